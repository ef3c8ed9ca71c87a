/* code_dots.c - the pass that finds dot products: chains of additions whose terms are products
 *
 * ((c + a0 b0) + a1 b1) + ... becomes one instruction, if nothing else reads the products and the
 * sums on the way. Its terms may be added in another order then: the result differs by at most
 * 2 n u sum |a b|. Products and products with an absorbing first factor do not go together. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

/* what is known of the chain that ends in an addition: its last term, and the sum before it */
typedef struct link {
    uint32_t before, term, length, start; /* length 0: no chain ends here */
} link;

typedef struct search {
    code *k;
    uint32_t *uses;
    link *links; /* of additions */
} search;

static void count_uses(search *s)
{
    const code *k = s->k;
    memset(s->uses, 0, k->n * sizeof *s->uses);
    for (uint32_t i = k->n_lead; i < k->n; i++) {
        const instr *at = &k->at[i];
        const uint32_t arity = code_arity(at);
        if (arity > 0)
            s->uses[at->a]++;
        if (arity > 1)
            s->uses[at->b]++;
        if (arity > 2)
            s->uses[at->c]++;
        for (uint32_t j = 0; code_is_dot(at) && j < 2 * at->b; j++)
            s->uses[k->factors[at->a + j]]++;
        if (code_is_dot(at) && at->c != NOTHING)
            s->uses[at->c]++;
    }
    for (uint32_t i = 0; i < k->n_outputs; i++)
        s->uses[k->outputs[i]]++;
}

static bool is_product(const search *s, uint32_t i)
{
    const uint32_t op = s->k->at[i].op;
    return (op == AD_OP_mul || op == AD_OP_mulz) && s->uses[i] == 1;
}

/* may term follow on the chain that ends in `sum`? */
static bool continues(const search *s, uint32_t sum, uint32_t term)
{
    const link *l = &s->links[sum];
    return s->k->at[sum].op == AD_OP_add && l->length && s->uses[sum] == 1 &&
           s->k->at[l->term].op == s->k->at[term].op;
}

static link link_of(const search *s, uint32_t sum, uint32_t term)
{
    if (continues(s, sum, term))
        return (link){sum, term, s->links[sum].length + 1, s->links[sum].start};
    if (is_product(s, sum) && s->k->at[sum].op == s->k->at[term].op)
        return (link){sum, term, 2, NOTHING}; /* the first two terms */
    return (link){NOTHING, term, 1, sum};
}

static bool find_chains(search *s)
{
    uint32_t longest = 0;
    for (uint32_t i = s->k->n_lead; i < s->k->n; i++) {
        const instr *at = &s->k->at[i];
        if (at->op != AD_OP_add)
            continue;
        const bool a = is_product(s, at->a), b = is_product(s, at->b);
        link *l = &s->links[i];
        *l = b && (!a || !continues(s, at->b, at->a)) ? link_of(s, at->a, at->b)
             : a                                      ? link_of(s, at->b, at->a)
                                                      : (link){0, 0, 0, 0};
        longest = l->length > longest ? l->length : longest;
    }
    return longest >= SHORTEST_DOT;
}

static void put_term(code *k, uint32_t list, uint32_t t, uint32_t product)
{
    k->factors[list + 2 * t] = k->at[product].a;
    k->factors[list + 2 * t + 1] = k->at[product].b;
}

/* The chain that ends in i, from its last term to its first; no other ends on the way then. */
static void make_dot(search *s, uint32_t i)
{
    code *k = s->k;
    const link last = s->links[i];
    const uint32_t list = code_factors(k, 2 * last.length);
    if (list == NOTHING)
        return;
    uint32_t at = i;
    for (uint32_t t = last.length; t-- > 0;) {
        link *l = &s->links[at];
        if (t == 0 && last.start == NOTHING) { /* the first two terms have one link */
            put_term(k, list, 0, at);
            break;
        }
        put_term(k, list, t, l->term);
        l->length = 0;
        at = l->before;
    }
    k->at[i] =
        (instr){k->at[last.term].op == AD_OP_mul ? OP_DOT : OP_DOTZ, list, last.length, last.start};
    k->n_taken += 2 * last.length - (last.start == NOTHING);
}

uint32_t code_dots(code *k)
{
    search s = {k, code_take(k, k->n, sizeof *s.uses), code_take(k, k->n, sizeof *s.links)};
    const uint32_t before = k->n_taken;
    if (!k->status)
        count_uses(&s);
    const bool found = !k->status && find_chains(&s);
    for (uint32_t i = k->n; found && i-- > k->n_lead && !k->status;)
        if (k->at[i].op == AD_OP_add && s.links[i].length >= SHORTEST_DOT)
            make_dot(&s, i);
    code_done(k);
    return k->n_taken - before;
}
