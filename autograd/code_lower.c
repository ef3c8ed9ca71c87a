/* code_lower.c - from a tape to straight-line code
 *
 * Fused nodes of many scalars are written out, but for those that are dot products. Sums of
 * products become dot products here (as in code_dots.c): what only a sum reads is not written
 * before it is known whether the sum goes on. */
#define AD_PLAIN
#include "block_chain.h"
#include "code.h"
#include <string.h>

/* a chain of additions whose terms are products, up to a node: the sum before it, and a term */
typedef struct link {
    uint32_t before; /* link, or NOTHING: the first */
    uint32_t sum, term;
    uint32_t length, start; /* terms; the instruction that they are added to, or NOTHING */
} link;

typedef struct lowering {
    code *k;
    ad_tape *t;
    uint32_t n;       /* nodes of the tape */
    uint32_t *number; /* of each node in the code; from PUT_OFF on: not there yet */
    link *links;
    uint32_t n_links;
} lowering;

/* numbers that are none; PUT_OFF + i: a sum that only one instruction reads, which link i ends */
enum { PUT_OFF = 1 << 30 };
#define NEEDED  (UINT32_MAX - 1) /* by one other */
#define SHARED  (UINT32_MAX - 2) /* by several */
#define PRODUCT (UINT32_MAX - 3) /* one that only one instruction reads */

static uint32_t arity_of(unsigned op)
{
    return op < AD_OP_COUNT_ ? code_arities[op] : op == CODE_GUARD ? 2 : 0;
}

/* the block of a fused node; NULL: it is none */
static const block *fused_at(const node *nodes, uint32_t i)
{
    const block *b = node_op(&nodes[i]) == CODE_SCALAR_BLOCK ? block_at(nodes, i) : NULL;
    const bool known =
        b && (b->op == &dot_n_op || b->op == &affine_n_op || b->op == &sum_n_op ||
              b->op == &norm_n_op || b->op == &polynomial_n_op || b->op == &horner_n_op);
    return known ? b : NULL;
}

static void need(lowering *l, uint32_t i)
{
    l->number[i] = l->number[i] == NOTHING ? NEEDED : SHARED;
}

/* From the last node to the first: what a needed node is computed from is needed. Gives how many
 * additions there are among them. */
static uint32_t mark_needed(lowering *l)
{
    const node *nodes = l->t->head.nodes;
    uint32_t additions = 0;
    for (uint32_t i = l->n; i-- > 0;) {
        const node *n = &nodes[i];
        const unsigned op = node_op(n);
        if (l->number[i] == NOTHING) {
            if (op != CODE_GUARD)
                continue;
            l->number[i] = SHARED;
        }
        const uint32_t arity = arity_of(op);
        additions += op == AD_OP_add;
        if (arity > 0)
            need(l, node_a(n));
        if (arity > 1)
            need(l, node_b(n));
        if (arity > 2)
            need(l, node_a(n - 1));
        const block *fused = arity == 0 ? fused_at(nodes, i) : NULL;
        for (uint32_t k = 0; fused && k < fused->n_args; k++)
            need(l, fused->args[k]);
    }
    return additions;
}

/* ---- sums of products ---- */

static uint32_t put_product(lowering *l, uint32_t i)
{
    const node *n = &l->t->head.nodes[i];
    l->k->from = i;
    return code_put(l->k, node_op(n), l->number[node_a(n)], l->number[node_b(n)], 0);
}

/* a chain of few terms as it was recorded */
static uint32_t put_additions(lowering *l, uint32_t last)
{
    const link *at[SHORTEST_DOT];
    uint32_t n = 0, sum = l->links[last].start;
    for (uint32_t i = last; i != NOTHING; i = l->links[i].before)
        at[n++] = &l->links[i];
    while (n-- > 0) {
        const uint32_t term = put_product(l, at[n]->term);
        l->k->from = at[n]->sum;
        sum = sum == NOTHING ? term
              : node_a(&l->t->head.nodes[at[n]->sum]) == at[n]->term
                  ? code_put(l->k, AD_OP_add, term, sum, 0)
                  : code_put(l->k, AD_OP_add, sum, term, 0);
    }
    return sum;
}

static uint32_t put_dot(lowering *l, uint32_t last)
{
    code *k = l->k;
    const node *nodes = l->t->head.nodes;
    const link end = l->links[last];
    const uint32_t list = code_factors(k, 2 * end.length);
    const bool absorbing = node_op(&nodes[end.term]) == AD_OP_mulz;
    if (list == NOTHING)
        return 0;
    for (uint32_t i = last, t = end.length; t-- > 0; i = l->links[i].before) {
        const node *term = &nodes[l->links[i].term];
        k->factors[list + 2 * t] = l->number[node_a(term)];
        k->factors[list + 2 * t + 1] = l->number[node_b(term)];
    }
    k->from = end.sum;
    return code_put_dot(k, absorbing, list, end.length, end.start);
}

static uint32_t put_now(lowering *l, uint32_t i)
{
    const uint32_t number = l->number[i], last = number - PUT_OFF, from = l->k->from;
    l->number[i] = number == PRODUCT                       ? put_product(l, i)
                   : l->links[last].length >= SHORTEST_DOT ? put_dot(l, last)
                                                           : put_additions(l, last);
    l->k->from = from;
    return l->number[i];
}

/* the instruction of a node, written now if it was put off */
static inline uint32_t value_of(lowering *l, uint32_t i)
{
    return l->number[i] < PUT_OFF ? l->number[i] : put_now(l, i);
}

static uint32_t add_link(lowering *l, uint32_t before, uint32_t sum, uint32_t term, uint32_t start)
{
    const uint32_t length = before == NOTHING ? 1 : l->links[before].length + 1;
    l->links[l->n_links] = (link){before, sum, term, length, start};
    return l->n_links++;
}

static bool is_sum(const lowering *l, uint32_t i)
{
    return l->number[i] >= PUT_OFF && l->number[i] - PUT_OFF < l->n_links;
}

/* The sum of a node and a product ends a chain: the one before it, or one that begins here. */
static uint32_t link_up(lowering *l, uint32_t i, uint32_t before, uint32_t term)
{
    const node *nodes = l->t->head.nodes;
    const unsigned op = node_op(&nodes[term]);
    if (is_sum(l, before)) {
        const uint32_t last = l->number[before] - PUT_OFF;
        if (node_op(&nodes[l->links[last].term]) == op)
            return add_link(l, last, i, term, l->links[last].start);
    } else if (l->number[before] == PRODUCT && node_op(&nodes[before]) == op) {
        return add_link(l, add_link(l, NOTHING, before, before, NOTHING), i, term, NOTHING);
    }
    return add_link(l, NOTHING, i, term, value_of(l, before));
}

/* Is this sum, or this product, put off, or was it written as one of a chain? */
static bool put_sum_of_products(lowering *l, uint32_t i, const node *n)
{
    const unsigned op = node_op(n);
    const uint32_t a = node_a(n), b = node_b(n);
    if (op == AD_OP_add && (l->number[a] == PRODUCT || l->number[b] == PRODUCT)) {
        const bool second = l->number[b] == PRODUCT, one_reader = l->number[i] == NEEDED;
        l->number[i] = PUT_OFF + link_up(l, i, second ? a : b, second ? b : a);
        if (!one_reader)
            value_of(l, i);
        return true;
    }
    if ((op != AD_OP_mul && op != AD_OP_mulz) || l->number[i] != NEEDED)
        return false;
    value_of(l, a), value_of(l, b);
    l->number[i] = PRODUCT;
    return true;
}

/* ---- fused nodes ---- */

/* sum + a b; the first of a sum begins it */
static uint32_t add_product(code *k, uint32_t sum, uint32_t a, uint32_t b)
{
    const uint32_t term = code_put(k, AD_OP_mul, a, b, 0);
    return sum == NOTHING ? term : code_put(k, AD_OP_add, sum, term, 0);
}

/* factor i of the terms of a dot product, or of an affine function: first and second */
static uint32_t factor_of(lowering *l, const block *b, const chain *c, int64_t i, bool second)
{
    return second               ? value_of(l, b->args[b->op == &dot_n_op ? c->n + i : i])
           : b->op == &dot_n_op ? value_of(l, b->args[i])
                                : code_constant(l->k, chain_numbers(c)[i]);
}

static uint32_t put_fused_dot(lowering *l, const block *b, const chain *c, uint32_t sum)
{
    code *k = l->k;
    const bool whole = k->dots_wanted && c->n >= SHORTEST_DOT;
    const uint32_t n = (uint32_t)c->n, list = whole ? code_factors(k, 2 * n) : NOTHING;
    for (uint32_t i = 0; i < n && !k->status; i++) {
        const uint32_t first = factor_of(l, b, c, i, false), second = factor_of(l, b, c, i, true);
        if (list == NOTHING)
            sum = add_product(k, sum, first, second);
        else
            k->factors[list + 2 * i] = first, k->factors[list + 2 * i + 1] = second;
    }
    return list == NOTHING ? sum : code_put_dot(k, false, list, n, sum);
}

static uint32_t put_sum(lowering *l, const block *b, const chain *c)
{
    code *k = l->k;
    uint32_t sum = c->one          ? value_of(l, b->args[c->lists * c->n])
                   : c->start != 0 ? code_constant(k, c->start)
                                   : NOTHING;
    if (b->op == &dot_n_op || b->op == &affine_n_op)
        return put_fused_dot(l, b, c, sum);
    for (int64_t i = 0; i < c->n; i++) {
        const uint32_t x = value_of(l, b->args[i]);
        sum = sum == NOTHING ? x : code_put(k, AD_OP_add, sum, x, 0);
    }
    return sum;
}

static uint32_t put_norm(lowering *l, const block *b, const chain *c)
{
    uint32_t y = code_put(l->k, AD_OP_abs, value_of(l, b->args[0]), 0, 0);
    for (int64_t i = 1; i < c->n; i++)
        y = code_put(l->k, AD_OP_hypot, y, value_of(l, b->args[i]), 0);
    return y;
}

/* by Horner's rule */
static uint32_t put_polynomial(lowering *l, const block *b, const chain *c)
{
    code *k = l->k;
    const uint32_t x = value_of(l, b->args[c->lists * c->n]);
    uint32_t y = NOTHING;
    for (int64_t i = c->n; i-- > 0;) {
        const uint32_t p =
            b->op == &horner_n_op ? code_constant(k, chain_numbers(c)[i]) : value_of(l, b->args[i]);
        y = y == NOTHING ? p : code_put(k, AD_OP_add, code_put(k, AD_OP_mul, y, x, 0), p, 0);
    }
    return y;
}

static void put_fused(lowering *l, uint32_t i, const block *b)
{
    const chain *c = b->attr;
    l->number[i] = b->op == &norm_n_op                                  ? put_norm(l, b, c)
                   : b->op == &polynomial_n_op || b->op == &horner_n_op ? put_polynomial(l, b, c)
                                                                        : put_sum(l, b, c);
}

static void put_row(lowering *l, uint32_t i)
{
    const node *n = &l->t->head.nodes[i];
    const unsigned op = node_op(n);
    const uint32_t arity = code_arities[op];
    if (l->k->dots_wanted && arity == 2 && put_sum_of_products(l, i, n))
        return;
    const uint32_t a = value_of(l, node_a(n)), b = arity > 1 ? value_of(l, node_b(n)) : 0,
                   c = arity > 2 ? value_of(l, node_a(n - 1)) : 0;
    l->k->from = i;
    l->number[i] = code_put(l->k, op, a, b, c);
}

static bool put_other(lowering *l, uint32_t i)
{
    code *k = l->k;
    const node *n = &l->t->head.nodes[i];
    const block *fused = fused_at(l->t->head.nodes, i);
    k->from = i;
    if (fused) {
        put_fused(l, i, fused);
    } else if (node_op(n) == CODE_CONSTANT) {
        l->number[i] = code_constant(k, n->u.value);
    } else if (node_op(n) == CODE_GUARD) {
        const uint32_t a = value_of(l, node_a(n)), b = value_of(l, node_b(n));
        k->from = i;
        l->number[i] = code_put(k, OP_GUARD, a, b, (uint32_t)n->u.bits);
    } else if (node_op(n) == CODE_INPUT) {
        tape_fail(l->t, AD_NOT_RECORDED, tape_site(l->t, i),
                  "compile: input node %u is used but not among the inputs listed", i);
    } else
        return false; /* a tensor, or made of tensors, or a user's own */
    return !k->status && tape_ok(l->t);
}

static bool lower(lowering *l, uint32_t n_inputs, const uint32_t *inputs, const uint32_t *outputs)
{
    code *k = l->k;
    memset(l->number, 0xff, l->n * sizeof *l->number); /* NOTHING */
    for (uint32_t i = 0; i < k->n_outputs; i++)
        l->number[outputs[i]] = SHARED;
    const size_t additions = mark_needed(l);
    if (!(l->links = code_take(k, k->dots_wanted ? 2 * additions : 0, sizeof *l->links)))
        return false;
    for (uint32_t i = 0; i < n_inputs; i++) {
        if (node_op(&l->t->head.nodes[inputs[i]]) != CODE_INPUT)
            return false;
        if (l->number[inputs[i]] < PUT_OFF) {
            tape_fail(l->t, AD_BAD_ARGUMENT, tape_site(l->t, inputs[i]),
                      "compile: node %u is listed twice as input", inputs[i]);
            return false;
        }
        k->from = inputs[i];
        l->number[inputs[i]] = code_put(k, OP_INPUT, i, 0, 0);
    }
    k->n_inputs = k->n_lead = n_inputs;
    for (uint32_t i = 0; i < l->n && !k->status; i++)
        if (l->number[i] == NEEDED || l->number[i] == SHARED) {
            if (node_op(&l->t->head.nodes[i]) < AD_OP_COUNT_)
                put_row(l, i);
            else if (!put_other(l, i))
                return false;
        }
    for (uint32_t i = 0; i < k->n_outputs; i++)
        k->outputs[i] = l->number[outputs[i]];
    return !k->status;
}

bool code_lower(code *k, ad_tape *t, uint32_t n_inputs, const uint32_t *inputs, uint32_t n_outputs,
                const uint32_t *outputs)
{
    lowering l = {.k = k, .t = t, .n = t->head.n};
    l.number = code_take(k, l.n, sizeof *l.number);
    k->outputs = memory_take(t->context, ((size_t)n_outputs + 1) * sizeof *k->outputs);
    k->n_outputs = k->outputs ? n_outputs : 0;
    if (!k->outputs)
        k->status = AD_NO_MEMORY;
    bool ok = !k->status && lower(&l, n_inputs, inputs, outputs);
    code_done(k);
    return ok;
}
