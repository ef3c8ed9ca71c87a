/* code_simplify.c - goes through straight-line code once, for the passes that look at one
 * instruction after the other: folding, identities, strength and common subexpressions
 *
 * Each instruction is simplified when those before it are. */
#define AD_PLAIN
#include "code.h"

enum { FOLDING = 2, IDENTITIES, STRENGTH, COMMON }; /* in the order of ad_pass */

/* Most instructions have no constant operand, and nothing that these passes look for. */
static bool may_be_simpler(const code *k, const instr *at, bool finite)
{
    if (at->op == AD_OP_neg || at->op == AD_OP_where || (finite && at->op == AD_OP_sub))
        return true;
    return k->at[at->a].op == OP_CONSTANT || (code_arity(at) > 1 && k->at[at->b].op == OP_CONSTANT);
}

/* the instruction in place of i, or i, which may have changed */
static uint32_t simpler(code *k, uint32_t i, int which, bool finite, int64_t *changed)
{
    if (which & AD_PASS_FOLDING && code_fold(k, i)) {
        changed[FOLDING]++;
        return i;
    }
    const uint32_t same = which & AD_PASS_IDENTITIES ? code_identity(k, i, finite) : NOTHING;
    if (same != NOTHING) {
        changed[IDENTITIES]++;
        return same;
    }
    if (which & AD_PASS_STRENGTH && code_reduce(k, i))
        changed[STRENGTH]++;
    return i;
}

/* Gives how many divisions are exact products. */
static uint32_t simplify(code *k, int which, bool finite, int64_t *changed)
{
    uint32_t *to = code_replacements(k), divisions = 0;
    seen *seen_before = which & AD_PASS_COMMON ? code_seen(k) : NULL;
    bool replaced = false;
    double reciprocal;
    for (uint32_t i = k->n_lead; i < k->n && !k->status; i++) {
        const instr *at = &k->at[i];
        if (replaced)
            code_replace_operands(k, &k->at[i], to);
        if (code_is_row(at) && may_be_simpler(k, at, finite)) {
            to[i] = simpler(k, i, which, finite, changed);
            divisions += code_divides_exactly(k, i, &reciprocal);
        }
        if (to[i] == i && seen_before && (to[i] = code_same(k, seen_before, i)) != i) {
            changed[COMMON]++;
            if (at->op == OP_GUARD) /* asked before: nothing depends on it */
                k->at[i] = (instr){OP_CONSTANT, code_new_constant(k, 0), 0, 0};
        }
        replaced |= to[i] != i;
    }
    if (replaced && !k->status)
        code_replace_outputs(k, to);
    code_done(k);
    return which & AD_PASS_STRENGTH ? divisions : 0;
}

void code_simplify(code *k, int which, bool finite, int64_t *changed)
{
    const uint32_t divisions = simplify(k, which, finite, changed);
    if (!divisions)
        return;
    changed[STRENGTH] += code_reduce_divisions(k, divisions);
    if (which & AD_PASS_COMMON)
        simplify(k, AD_PASS_COMMON, finite, changed); /* their reciprocals, and what follows */
}
