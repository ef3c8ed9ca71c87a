/* code_strength.c - the pass that puts cheaper operations for dear ones, bit for bit the same
 *
 * pow(a, 2) is a*a by its row of ops.def; a division by a power of two is a product, as long as the
 * reciprocal is a normal number; mulz and divz whose first operand is a constant other than 0 are
 * plain products and quotients. */
#define AD_PLAIN
#include "code.h"
#include <math.h>

static bool exact_reciprocal(double b, double *reciprocal)
{
    int exponent;
    *reciprocal = 1 / b;
    return isnormal(b) && isnormal(*reciprocal) && fabs(frexp(b, &exponent)) == .5;
}

/* a to the power of a constant */
static bool reduce_power(code *k, instr *at, double b)
{
    if (b == 2)
        *at = (instr){AD_OP_square, at->a, 0, 0};
    else if (b == 0 && at->op == AD_OP_pow)
        *at = (instr){OP_CONSTANT, code_new_constant(k, 1), 0, 0};
    else
        return false;
    return !k->status;
}

bool code_reduce(code *k, uint32_t i)
{
    instr *at = &k->at[i];
    double a = 0, b = 0;
    const bool constant_a = code_is_constant(k, at->a, &a),
               constant_b = code_arity(at) > 1 && code_is_constant(k, at->b, &b);
    switch (at->op) {
    case AD_OP_pow:
    case AD_OP_powi:
        return constant_b && reduce_power(k, at, b);
    case AD_OP_divz:
        if (constant_a && a != 0)
            at->op = AD_OP_div;
        return constant_a && a != 0;
    case AD_OP_mulz:
        if (constant_a && a != 0)
            at->op = AD_OP_mul;
        return constant_a && a != 0;
    case AD_OP_mul:
        if ((constant_a && a == -1) || (constant_b && b == -1)) {
            *at = (instr){AD_OP_neg, constant_a && a == -1 ? at->b : at->a, 0, 0};
            return true;
        }
        return false;
    default:
        return false;
    }
}

bool code_divides_exactly(const code *k, uint32_t i, double *reciprocal)
{
    const instr *at = &k->at[i];
    double b;
    return (at->op == AD_OP_div || at->op == AD_OP_divz) && code_is_constant(k, at->b, &b) &&
           b != 1 && exact_reciprocal(b, reciprocal);
}

uint32_t code_reduce_divisions(code *k, uint32_t n)
{
    double reciprocal;
    uint32_t at = k->n_lead;
    if (!n || !code_lead(k, n))
        return 0;
    for (uint32_t i = at + n; i < k->n && !k->status; i++) {
        if (!code_divides_exactly(k, i, &reciprocal))
            continue;
        k->at[at].a = code_new_constant(k, reciprocal);
        k->at[i].op = k->at[i].op == AD_OP_div ? AD_OP_mul : AD_OP_mulz;
        k->at[i].b = at++;
    }
    return n;
}
