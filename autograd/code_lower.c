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

/* From the last node to the first: what a needed node is computed from is needed. */
static void mark_needed(lowering *l)
{
    const node *nodes = l->t->head.nodes;
    uint32_t *number = l->number;
    for (uint32_t i = l->n; i-- > 0;) {
        const node *n = &nodes[i];
        const unsigned op = node_op(n);
        if (op == CODE_GUARD)
            number[i] = NEEDED;
        if (number[i] != NEEDED)
            continue;
        const uint32_t arity = arity_of(op);
        if (arity > 0)
            number[node_a(n)] = NEEDED;
        if (arity > 1)
            number[node_b(n)] = NEEDED;
        if (arity > 2)
            number[node_a(n - 1)] = NEEDED;
        const block *fused = arity == 0 ? fused_at(nodes, i) : NULL;
        for (uint32_t k = 0; fused && k < fused->n_args; k++)
            number[fused->args[k]] = NEEDED;
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

static void put_row(lowering *l, uint32_t i)
{
    const node *n = &l->t->head.nodes[i];
    const unsigned op = node_op(n);
    const uint32_t *number = l->number, arity = code_arities[op];
    l->k->from = i;
    l->number[i] = code_put(l->k, op, number[node_a(n)], arity > 1 ? number[node_b(n)] : 0,
                            arity > 2 ? number[node_a(n - 1)] : 0);
}

static bool put_other(lowering *l, uint32_t i)
{
    code *k = l->k;
    const node *n = &l->t->head.nodes[i];
    const block *fused = fused_at(l->t->head.nodes, i);
    k->from = i;
    if (fused)
        put_fused(l, i, fused);
    else if (node_op(n) == CODE_CONSTANT)
        l->number[i] = code_constant(k, n->u.value);
    else if (node_op(n) == CODE_GUARD)
        l->number[i] =
            code_put(k, OP_GUARD, l->number[node_a(n)], l->number[node_b(n)], (uint32_t)n->u.bits);
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
    memset(l->number, 0xff, l->n * sizeof *l->number); /* NOTHING */
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
    k->n_inputs = k->n_lead = n_inputs;
    for (uint32_t i = 0; i < l->n && !k->status; i++)
        if (l->number[i] == NEEDED) {
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
    lowering l = {k, t, t->head.n, code_take(k, t->head.n, sizeof *l.number)};
    k->outputs = memory_take(t->context, ((size_t)n_outputs + 1) * sizeof *k->outputs);
    k->n_outputs = k->outputs ? n_outputs : 0;
    if (!k->outputs)
        k->status = AD_NO_MEMORY;
    bool ok = !k->status && lower(&l, n_inputs, inputs, outputs);
    code_done(k);
    return ok;
}
