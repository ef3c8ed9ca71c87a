/* code_dots.c - the pass that finds dot products: chains of additions whose terms are products
 *
 * ((c + a0 b0) + a1 b1) + ... becomes one instruction, if nothing else reads the products and the
 * sums on the way. Its terms may be added in another order then: the result differs by at most
 * 2 n u sum |a b|. Products and products with an absorbing first factor do not go together. */
#define AD_PLAIN
#include "code.h"

enum { SHORTEST = 4 }; /* terms: for fewer it is not worth a loop */

/* what is known of the chain that ends in an instruction: its last term, and the sum before it */
typedef struct link {
    uint32_t before, term, length, start; /* length 0: no chain ends here */
} link;

typedef struct search {
    code *k;
    uint32_t *uses;
    link *links;
} search;

static void count_uses(search *s)
{
    const code *k = s->k;
    for (uint32_t i = 0; i < k->n; i++) {
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
    return l->length && s->uses[sum] == 1 && s->k->at[l->term].op == s->k->at[term].op;
}

static link link_of(const search *s, uint32_t sum, uint32_t term)
{
    if (continues(s, sum, term))
        return (link){sum, term, s->links[sum].length + 1, s->links[sum].start};
    if (is_product(s, sum) && s->k->at[sum].op == s->k->at[term].op)
        return (link){sum, term, 2, NOTHING}; /* the first two terms */
    return (link){NOTHING, term, 1, sum};
}

static void find_chains(search *s)
{
    for (uint32_t i = 0; i < s->k->n; i++) {
        const instr *at = &s->k->at[i];
        if (at->op != AD_OP_add)
            continue;
        const bool a = is_product(s, at->a), b = is_product(s, at->b);
        if (b && (!a || !continues(s, at->b, at->a)))
            s->links[i] = link_of(s, at->a, at->b);
        else if (a)
            s->links[i] = link_of(s, at->b, at->a);
    }
}

static void put_term(code *k, uint32_t list, uint32_t t, uint32_t product)
{
    k->factors[list + 2 * t] = k->at[product].a;
    k->factors[list + 2 * t + 1] = k->at[product].b;
}

/* The chain that ends in i, from its last term to its first. */
static void make_dot(search *s, uint32_t i)
{
    code *k = s->k;
    const link last = s->links[i];
    const uint32_t list = code_factors(k, 2 * last.length);
    if (list == NOTHING)
        return;
    uint32_t at = i;
    for (uint32_t t = last.length; t-- > 0;) {
        const link *l = &s->links[at];
        if (t == 0 && last.start == NOTHING) { /* the first two terms have one link */
            put_term(k, list, 0, at);
            break;
        }
        put_term(k, list, t, l->term);
        at = l->before;
    }
    k->at[i] =
        (instr){k->at[last.term].op == AD_OP_mul ? OP_DOT : OP_DOTZ, list, last.length, last.start};
}

uint32_t code_dots(code *k)
{
    const size_t count = (size_t)k->n + 1;
    search s = {k, memory_take(k->context, count * sizeof *s.uses),
                memory_take(k->context, count * sizeof *s.links)};
    uint32_t found = 0;
    if (!s.uses || !s.links)
        k->status = AD_NO_MEMORY;
    if (!k->status) {
        count_uses(&s);
        find_chains(&s);
    }
    for (uint32_t i = k->n; i-- > 0 && !k->status;) {
        link *l = &s.links[i];
        if (l->length < SHORTEST)
            continue;
        found += 2 * l->length - 1;
        make_dot(&s, i);
        for (uint32_t at = i, n = l->length; n-- > 1 && at != NOTHING;) { /* taken */
            const uint32_t before = s.links[at].before;
            s.links[at].length = 0;
            at = before;
        }
    }
    memory_give(k->context, s.uses, count * sizeof *s.uses);
    memory_give(k->context, s.links, count * sizeof *s.links);
    return found;
}
