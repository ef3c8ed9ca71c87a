/* recorded.c - the reverse sweep written to the tape: derivatives that can be derived again
 *
 * The same rules, read over variables: each node that lies between the outputs and the x asked for
 * gets its cotangent as a variable. Rules may give a cotangent in any shape that broadcasts;
 * fitting it to the argument's shape, and adding up the paths, is done here for all of them. */
#define AD_PLAIN
#include "algebra.h"
#include "elementwise.h"
#include "leaf.h"
#include <string.h>

/* a constant as a node, for operations that need to know the tape */
static ad_var as_node(ad_tape *t, ad_var v)
{
    if (!is_constant(v))
        return v;
    uint32_t i = tape_node(t, v, "gradients");
    return i == NO_NODE ? tape_poison(t) : tape_var(t, i);
}

/* sums v over the axes along which the argument was broadcast, or spreads it to the argument's
 * shape */
static ad_var fit(ad_tape *t, ad_var v, uint32_t arg)
{
    array to = frame_array(&t->frame, arg);
    bool tensor = node_op(&t->head.nodes[arg]) == CODE_TENSOR;
    if (!v.tape || !tape_ok(t))
        return v;
    if (!tensor)
        return ad_is_tensor(v) ? ad_sum(v) : v;
    int rank = ad_rank(v);
    int64_t shape[AD_MAX_RANK] = {0};
    if (rank > 0)
        memcpy(shape, ad_shape(v), (size_t)rank * sizeof *shape);
    if (rank == to.rank && !memcmp(shape, to.shape, (size_t)rank * sizeof *shape) &&
        ad_is_tensor(v))
        return v;
    int axes[AD_MAX_RANK], n = 0, extra = rank - to.rank;
    for (int i = 0; i < rank; i++)
        if (i < extra || (to.shape[i - extra] == 1 && shape[i] != 1))
            axes[n++] = i;
    if (n)
        v = ad_sum_axes(v, n, axes, true);
    if (extra > 0)
        return ad_reshape(v, to.rank, to.shape);
    if (n && extra == 0 && ad_size(v) == to.size)
        return v;
    if (to.rank == 0 && !ad_is_tensor(v) && to.dtype == AD_F32)
        return ad_cast(as_node(t, v), AD_F32);
    static const int64_t one[1] = {1};
    if (!ad_is_tensor(v) && to.dtype == AD_F32) /* a scalar takes the argument's dtype */
        v = ad_add(v, ad_constant_array(t, AD_F32, 1, one, (const float[]){0}));
    return ad_expand(as_node(t, v), to.rank, to.shape);
}

typedef struct reverse {
    ad_tape *t;
    uint32_t low, top;
    bool *reaches;   /* does this node depend on an x; from low on */
    ad_var *adjoint; /* from low on */
} reverse;

static void parents_of(const frame *f, uint32_t i, uint32_t *few, const uint32_t **ids, uint32_t *n)
{
    const block *b = block_at(f->nodes, i);
    unsigned op = node_op(&f->nodes[i]);
    *ids = few;
    *n = 0;
    if (b) {
        *ids = b->args;
        *n = b->n_args;
    } else if (op < AD_OP_COUNT_) {
        *n = (uint32_t)elementwise_ops[op].info.arity;
        few[0] = node_a(&f->nodes[i]);
        few[1] = node_b(&f->nodes[i]);
        if (*n == 3)
            few[2] = node_a(&f->nodes[i - 1]);
    }
}

static void mark_reached(reverse *r, int n, const uint32_t *x)
{
    const frame *f = &r->t->frame;
    for (int k = 0; k < n; k++)
        if (x[k] <= r->top)
            r->reaches[x[k] - r->low] = true;
    for (uint32_t i = r->low; i <= r->top; i++) {
        uint32_t few[3] = {0}, count;
        const uint32_t *ids;
        parents_of(f, i, few, &ids, &count);
        for (uint32_t k = 0; k < count && !r->reaches[i - r->low]; k++)
            r->reaches[i - r->low] =
                ids[k] >= r->low && r->reaches[ids[k] - r->low] && node_needs_grad(f, i);
    }
}

/* the cotangents of node i's arguments */
static void record_rule(reverse *r, uint32_t i, uint32_t n, const uint32_t *ids)
{
    ad_tape *t = r->t;
    arena_mark mark = arena_here(&t->scratch);
    ad_var *a = arena_zeros(&t->scratch, (size_t)n * 2 * sizeof *a), *da = a ? a + n : NULL;
    bool *wants = arena_zeros(&t->scratch, n + 3);
    if (!a || !wants) {
        tape_fail(t, AD_NO_MEMORY, NULL, "gradients: out of memory");
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        a[k] = tape_var(t, ids[k]);
        wants[k] = ids[k] >= r->low && r->reaches[ids[k] - r->low];
    }
    const block *b = block_at(t->head.nodes, i);
    unsigned op = node_op(&t->head.nodes[i]);
    ad_var g = as_node(t, r->adjoint[i - r->low]), y = tape_var(t, i);
    t->rule_site = tape_site(t, i);
    if (!b) {
        ad_var dx[3] = {{0}};
        elementwise_ops[op].record(g, a[0], n > 1 ? a[1] : a[0], n > 2 ? a[2] : a[0], y, wants, dx);
        for (uint32_t k = 0; k < n; k++)
            da[k] = dx[k];
    } else if (b->op->record) {
        b->op->record(&(rule){.tape = t,
                              .b = b,
                              .attr = b->attr,
                              .g = b->code >= 0 ? g : fit(t, g, i),
                              .y = y,
                              .a = a,
                              .n = n,
                              .wants = wants,
                              .da = da});
    } else {
        tape_fail(t, AD_NOT_RECORDED, NULL, "gradients: %s has no rule to record",
                  op_name(&t->frame, i));
    }
    for (uint32_t k = 0; k < n && tape_ok(t); k++) {
        if (!wants[k] || !da[k].tape)
            continue;
        ad_var *sum = &r->adjoint[ids[k] - r->low], d = fit(t, da[k], ids[k]);
        *sum = sum->tape ? ad_add(*sum, d) : d;
    }
    t->rule_site = NULL;
    arena_rewind(&t->scratch, mark);
}

static ad_var zero_like(ad_tape *t, uint32_t i)
{
    ad_var zero = ad_constant(0);
    return node_op(&t->head.nodes[i]) == CODE_TENSOR ? fit(t, zero, i) : zero;
}

static void sweep_recorded(reverse *r, int m, const uint32_t *y, const ad_var *cotangents)
{
    ad_tape *t = r->t;
    for (int k = 0; k < m; k++) {
        if (y[k] < r->low)
            continue;
        ad_var seed = cotangents && cotangents[k].tape ? cotangents[k] : ad_constant(1),
               *sum = &r->adjoint[y[k] - r->low];
        seed = fit(t, seed, y[k]);
        *sum = sum->tape ? ad_add(*sum, seed) : seed;
    }
    for (uint32_t i = r->top + 1; i-- > r->low && tape_ok(t);) {
        uint32_t few[3], n;
        const uint32_t *ids;
        if (!r->reaches[i - r->low] || !r->adjoint[i - r->low].tape)
            continue;
        parents_of(&t->frame, i, few, &ids, &n);
        if (n)
            record_rule(r, i, n, ids);
    }
}

ad_status ad_gradients_seeded(int m, const ad_var *y, const ad_var *cotangents, int n,
                              const ad_var *x, ad_var *gradients)
{
    if (m < 0 || n < 0 || (m && !y) || (n && (!x || !gradients)))
        return AD_BAD_ARGUMENT;
    for (int k = 0; k < n; k++)
        gradients[k] = (ad_var){0};
    ad_tape *t = tape_of(n, x);
    if (!t)
        return n ? AD_NULL : AD_OK;
    if (t->status) {
        for (int k = 0; k < n; k++)
            gradients[k] = tape_poison(t);
        return t->status;
    }
    size_t ids_bytes = ((size_t)m + (size_t)n + 1) * sizeof(uint32_t);
    uint32_t *ids = memory_take(t->context, ids_bytes), *ix = ids ? ids + m : NULL;
    reverse r = {.t = t, .low = NO_NODE};
    for (int k = 0; ids && k < m; k++)
        if ((ids[k] = tape_node(t, y[k], "gradients")) != NO_NODE)
            r.top = ids[k] > r.top ? ids[k] : r.top;
    for (int k = 0; ids && k < n; k++)
        if ((ix[k] = tape_node(t, x[k], "gradients")) != NO_NODE)
            r.low = ix[k] < r.low ? ix[k] : r.low;
    size_t count = tape_ok(t) && r.low <= r.top ? r.top - r.low + 1 : 0;
    r.reaches = memory_take(t->context, count);
    r.adjoint = memory_take(t->context, count * sizeof *r.adjoint);
    const bool room = ids && r.reaches && r.adjoint;
    if (!room)
        tape_fail(t, AD_NO_MEMORY, NULL, "gradients: out of memory");
    if (room && tape_ok(t) && count) {
        t->frame.n = t->head.n;
        mark_reached(&r, n, ix);
        sweep_recorded(&r, m, ids, cotangents);
    }
    for (int k = 0; k < n && room && tape_ok(t); k++) {
        ad_var g = count && ix[k] <= r.top ? r.adjoint[ix[k] - r.low] : (ad_var){0};
        gradients[k] = g.tape ? fit(t, g, ix[k]) : zero_like(t, ix[k]);
    }
    for (int k = 0; k < n && !tape_ok(t); k++)
        gradients[k] = tape_poison(t);
    memory_give(t->context, ids, ids_bytes);
    memory_give(t->context, r.reaches, count);
    memory_give(t->context, r.adjoint, count * sizeof *r.adjoint);
    return t->status;
}

ad_status ad_gradients(ad_var y, int n, const ad_var *x, ad_var *gradients)
{
    return ad_gradients_seeded(1, &y, NULL, n, x, gradients);
}

ad_var ad_grad_of(ad_var y, ad_var x)
{
    ad_var g = {0};
    ad_gradients_seeded(1, &y, NULL, 1, &x, &g);
    return g;
}
