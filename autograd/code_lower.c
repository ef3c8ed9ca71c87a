/* code_lower.c - from a tape to straight-line code
 *
 * Fused nodes of many scalars are written out: the passes find their dot products again, and their
 * derivatives are those of the operations that they consist of. */
#define AD_PLAIN
#include "block_chain.h"
#include "code.h"
#include <string.h>

typedef struct lowering {
    code *k;
    ad_tape *t;
    uint32_t n;       /* nodes of the tape */
    uint32_t *number; /* of each node in the code; NOTHING: not in it, NEEDED: not yet */
} lowering;

#define NEEDED (UINT32_MAX - 1)

static bool is_row(const node *n) { return node_op(n) < AD_OP_COUNT_; }
static uint32_t arity_of(const node *n)
{
    return is_row(n)                  ? (uint32_t)elementwise_ops[node_op(n)].info.arity
           : node_op(n) == CODE_GUARD ? 2
                                      : 0;
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

/* From the last node to the first: what a needed node is computed from is needed. */
static void mark_needed(lowering *l)
{
    const node *nodes = l->t->head.nodes;
    for (uint32_t i = l->n; i-- > 0;) {
        if (node_op(&nodes[i]) == CODE_GUARD)
            l->number[i] = NEEDED;
        const uint32_t arity = l->number[i] == NEEDED ? arity_of(&nodes[i]) : 0;
        const block *fused = l->number[i] == NEEDED ? fused_at(nodes, i) : NULL;
        for (uint32_t k = 0; fused && k < fused->n_args; k++)
            l->number[fused->args[k]] = NEEDED;
        if (arity > 0)
            l->number[node_a(&nodes[i])] = NEEDED;
        if (arity > 1)
            l->number[node_b(&nodes[i])] = NEEDED;
        if (arity > 2)
            l->number[node_a(&nodes[i - 1])] = NEEDED;
    }
}

/* sum + a b; the first of a sum begins it */
static uint32_t add_product(code *k, uint32_t sum, uint32_t a, uint32_t b)
{
    const uint32_t term = code_put(k, AD_OP_mul, a, b, 0);
    return sum == NOTHING ? term : code_put(k, AD_OP_add, sum, term, 0);
}

static uint32_t put_sum(lowering *l, const block *b, const chain *c)
{
    code *k = l->k;
    const uint32_t *x = b->args, *y = b->args + c->n;
    uint32_t sum = c->one          ? l->number[b->args[c->lists * c->n]]
                   : c->start != 0 ? code_constant(k, c->start)
                                   : NOTHING;
    for (int64_t i = 0; i < c->n; i++)
        if (b->op == &dot_n_op)
            sum = add_product(k, sum, l->number[x[i]], l->number[y[i]]);
        else if (b->op == &affine_n_op)
            sum = add_product(k, sum, code_constant(k, chain_numbers(c)[i]), l->number[x[i]]);
        else
            sum =
                sum == NOTHING ? l->number[x[i]] : code_put(k, AD_OP_add, sum, l->number[x[i]], 0);
    return sum;
}

static uint32_t put_norm(lowering *l, const block *b, const chain *c)
{
    uint32_t y = code_put(l->k, AD_OP_abs, l->number[b->args[0]], 0, 0);
    for (int64_t i = 1; i < c->n; i++)
        y = code_put(l->k, AD_OP_hypot, y, l->number[b->args[i]], 0);
    return y;
}

/* by Horner's rule */
static uint32_t put_polynomial(lowering *l, const block *b, const chain *c)
{
    code *k = l->k;
    const uint32_t x = l->number[b->args[c->lists * c->n]];
    uint32_t y = NOTHING;
    for (int64_t i = c->n; i-- > 0;) {
        const uint32_t p =
            b->op == &horner_n_op ? code_constant(k, chain_numbers(c)[i]) : l->number[b->args[i]];
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

static bool put_node(lowering *l, uint32_t i)
{
    code *k = l->k;
    const node *n = &l->t->head.nodes[i];
    const uint32_t *number = l->number, arity = arity_of(n);
    const block *fused = fused_at(l->t->head.nodes, i);
    k->from = i;
    if (fused)
        put_fused(l, i, fused);
    else if (is_row(n))
        l->number[i] = code_put(k, node_op(n), number[node_a(n)], arity > 1 ? number[node_b(n)] : 0,
                                arity > 2 ? number[node_a(n - 1)] : 0);
    else if (node_op(n) == CODE_CONSTANT)
        l->number[i] = code_constant(k, n->u.value);
    else if (node_op(n) == CODE_GUARD)
        l->number[i] =
            code_put(k, OP_GUARD, number[node_a(n)], number[node_b(n)], (uint32_t)n->u.bits);
    else if (node_op(n) == CODE_INPUT)
        tape_fail(l->t, AD_NOT_RECORDED, tape_site(l->t, i),
                  "compile: input node %u is used but not among the inputs listed", i);
    else
        return false; /* a tensor, or made of tensors, or a user's own */
    return !k->status && tape_ok(l->t);
}

static bool lower(lowering *l, uint32_t n_inputs, const uint32_t *inputs, const uint32_t *outputs)
{
    code *k = l->k;
    for (uint32_t i = 0; i < l->n; i++)
        l->number[i] = NOTHING;
    for (uint32_t i = 0; i < k->n_outputs; i++)
        l->number[outputs[i]] = NEEDED;
    mark_needed(l);
    for (uint32_t i = 0; i < n_inputs; i++) {
        if (node_op(&l->t->head.nodes[inputs[i]]) != CODE_INPUT)
            return false;
        if (l->number[inputs[i]] < NEEDED) {
            tape_fail(l->t, AD_BAD_ARGUMENT, tape_site(l->t, inputs[i]),
                      "compile: node %u is listed twice as input", inputs[i]);
            return false;
        }
        k->from = inputs[i];
        l->number[inputs[i]] = code_put(k, OP_INPUT, i, 0, 0);
    }
    k->n_inputs = n_inputs;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->number[i] == NEEDED && !put_node(l, i))
            return false;
    for (uint32_t i = 0; i < k->n_outputs; i++)
        k->outputs[i] = l->number[outputs[i]];
    return !k->status;
}

bool code_lower(code *k, ad_tape *t, uint32_t n_inputs, const uint32_t *inputs, uint32_t n_outputs,
                const uint32_t *outputs)
{
    const size_t bytes = ((size_t)t->head.n + 1) * sizeof(uint32_t);
    lowering l = {k, t, t->head.n, memory_take_raw(t->context, bytes)};
    k->outputs = memory_take(t->context, ((size_t)n_outputs + 1) * sizeof *k->outputs);
    k->n_outputs = k->outputs ? n_outputs : 0;
    if (!l.number || !k->outputs)
        k->status = AD_NO_MEMORY;
    bool ok = !k->status && lower(&l, n_inputs, inputs, outputs);
    memory_give(t->context, l.number, bytes);
    return ok;
}
