/* code_fold.c - the pass that computes what depends on constants only */
#define AD_PLAIN
#include "code.h"

uint32_t code_fold(code *k)
{
    uint32_t folded = 0;
    for (uint32_t i = 0; i < k->n && !k->status; i++) {
        instr *at = &k->at[i];
        const uint32_t operand[3] = {at->a, at->b, at->c};
        double x[3] = {0, 0, 0};
        bool constant = code_is_row(at);
        for (uint32_t j = 0; constant && j < code_arity(at); j++)
            constant = code_is_constant(k, operand[j], &x[j]);
        if (!constant)
            continue;
        const uint32_t number = code_new_constant(k, elementwise_ops[at->op].value(x));
        if (!k->status) {
            *at = (instr){OP_CONSTANT, number, 0, 0};
            folded++;
        }
    }
    return folded;
}
