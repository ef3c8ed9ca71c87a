/* code_identities.c - the pass that leaves out operations which change nothing: a * 1, a / 1, a - 0
 *
 * Only what holds for every number, NaN, infinities and -0 among them: a + 0 is not a where a is
 * -0. A user who has none of those may allow the identities that they disprove. */
#define AD_PLAIN
#include "code.h"
#include <math.h>

typedef struct operands {
    const code *k;
    const instr *i;
    double a, b; /* where they are constants, else NaN */
    bool finite; /* may we suppose that there are no NaN, infinities, and no difference of 0 and -0
                  */
} operands;

static bool is(double constant, double value)
{
    return constant == value && signbit(constant) == signbit(value);
}

static bool is_zero(double constant) { return constant == 0; }

/* the operand that the result always is, or NOTHING */
static uint32_t same_as(const operands *o)
{
    const instr *i = o->i;
    switch (i->op) {
    case AD_OP_add:
        return is(o->b, -0.) || (o->finite && is_zero(o->b))   ? i->a
               : is(o->a, -0.) || (o->finite && is_zero(o->a)) ? i->b
                                                               : NOTHING;
    case AD_OP_sub:
        return is(o->b, 0.) || (o->finite && is_zero(o->b)) ? i->a : NOTHING;
    case AD_OP_mul:
        return is(o->b, 1) ? i->a : is(o->a, 1) ? i->b : NOTHING;
    case AD_OP_mulz: /* makes 0 of -0 */
        return is(o->a, 1) ? i->b : o->finite && is(o->b, 1) ? i->a : NOTHING;
    case AD_OP_div:
        return is(o->b, 1) ? i->a : NOTHING;
    case AD_OP_divz:
        return o->finite && is(o->b, 1) ? i->a : NOTHING;
    case AD_OP_neg:
        return o->k->at[i->a].op == AD_OP_neg ? o->k->at[i->a].a : NOTHING;
    case AD_OP_where:
        return i->b == i->c    ? i->b
               : isnan(o->a)   ? NOTHING /* no constant, most likely */
               : is_zero(o->a) ? i->c
                               : i->b;
    default:
        return NOTHING;
    }
}

/* is the result always zero */
static bool vanishes(const operands *o)
{
    switch (o->i->op) {
    case AD_OP_mulz:
        return is_zero(o->a) || (o->finite && is_zero(o->b));
    case AD_OP_divz:
        return is_zero(o->a);
    case AD_OP_mul:
        return o->finite && (is_zero(o->a) || is_zero(o->b));
    case AD_OP_div:
        return o->finite && is_zero(o->a);
    case AD_OP_sub:
        return o->finite && o->i->a == o->i->b;
    default:
        return false;
    }
}

uint32_t code_identity(code *k, uint32_t i, bool finite)
{
    instr *at = &k->at[i];
    operands o = {k, at, (double)NAN, (double)NAN, finite};
    code_is_constant(k, at->a, &o.a);
    if (code_arity(at) > 1)
        code_is_constant(k, at->b, &o.b);
    const uint32_t same = same_as(&o);
    if (same != NOTHING || !vanishes(&o))
        return same;
    const uint32_t zero = code_new_constant(k, 0);
    if (k->status)
        return NOTHING;
    k->at[i] = (instr){OP_CONSTANT, zero, 0, 0};
    return i;
}
