/* code_fold.c - the pass that computes what depends on constants only */
#define AD_PLAIN
#include "code.h"

bool code_fold(code *k, uint32_t i)
{
    const instr at = k->at[i];
    const uint32_t operand[3] = {at.a, at.b, at.c}, arity = code_arity(&at);
    double x[3] = {0, 0, 0};
    for (uint32_t j = 0; j < arity; j++)
        if (!code_is_constant(k, operand[j], &x[j]))
            return false;
    const uint32_t number = code_new_constant(k, elementwise_ops[at.op].value(x));
    if (k->status)
        return false;
    k->at[i] = (instr){OP_CONSTANT, number, 0, 0};
    return true;
}
