/* elementwise.c - elementwise operations on tensors: broadcasting, and the loops over tiles
 *
 * The loops of algebra.c know contiguous arrays only. An operand that lies otherwise is brought
 * into a small buffer, tile by tile; one that is the same all along a run (a scalar, a broadcast
 * axis) once for the run. */
#define AD_PLAIN
#include "elementwise.h"
#include "algebra.h"
#include "kernels.h"

enum { TILE = 512 };

/* an operand along one run */
typedef struct operand {
    const array *a;
    const char *at; /* the run's first element */
    int64_t step;   /* in elements of the array */
    int64_t filled; /* elements of the buffer that hold the one value of the run */
    double buffer[TILE];
} operand;

#define GATHER(T, S)                                                                               \
    for (int64_t i = 0; i < n; i++)                                                                \
        ((T *)(void *)o->buffer)[i] = (T)((const S *)(const void *)at)[i * o->step];

/* n elements from number `first` of the run on, contiguous and of the wanted dtype */
static const void *operand_tile(operand *o, int64_t first, int64_t n, ad_dtype dtype)
{
    const ad_dtype from = o->a->dtype;
    const char *at = o->at + first * o->step * (int64_t)ad_dtype_size(from);
    if (from == dtype && o->step == 1)
        return at;
    if (o->step == 0) {
        if (o->filled >= n)
            return o->buffer;
        o->filled = n;
    }
    if (dtype == AD_F64)
        GATHER(double, double)
    else if (from == AD_F64)
        GATHER(float, double)
    else
        GATHER(float, float)
    return o->buffer;
}
#undef GATHER

/* the operands of a block and the walk over its result with them */
typedef struct tiles {
    array y, in[3];
    int n;
    array_walk walk;
    operand operands[3];
} tiles;

static void tiles_run(tiles *t)
{
    for (int k = 0; k < t->n; k++) {
        const array *a = &t->in[k];
        t->operands[k].at =
            (const char *)a->data + t->walk.offset[k + 1] * (int64_t)ad_dtype_size(a->dtype);
        t->operands[k].step = t->walk.step[k + 1];
        t->operands[k].filled = 0;
    }
}

static void tiles_begin(tiles *t, frame *f, const block *b)
{
    const array *all[4] = {&t->y};
    t->y = block_result(f, b);
    t->n = (int)b->n_args;
    for (int k = 0; k < t->n; k++) {
        array a = block_arg(f, b, k);
        t->in[k] = array_expanded(&a, t->y.rank, t->y.shape);
        all[k + 1] = t->operands[k].a = &t->in[k];
    }
    t->walk = array_walk_of(t->n + 1, all);
    if (t->walk.left)
        tiles_run(t);
}

static void tiles_next(tiles *t)
{
    array_walk_next(&t->walk);
    if (t->walk.left)
        tiles_run(t);
}

static ad_status elementwise_value(frame *f, block *b)
{
    tiles t;
    const kernels *set = kernels_of(f->context);
    for (tiles_begin(&t, f, b); t.walk.left; tiles_next(&t))
        for (int64_t i = 0; i < t.walk.count; i += TILE) {
            int64_t m = t.walk.count - i < TILE ? t.walk.count - i : TILE;
            const void *x[3] = {NULL, NULL, NULL};
            for (int k = 0; k < t.n; k++)
                x[k] = operand_tile(&t.operands[k], i, m, t.y.dtype);
            char *y = (char *)t.y.data + (size_t)(t.walk.offset[0] + i) * ad_dtype_size(t.y.dtype);
            kernels_map(set, b->code, t.y.dtype, m, x[0], x[1], x[2], y);
        }
    return AD_OK;
}

/* out <- cotangent of argument k, in the result's shape */
static void elementwise_cotangent(frame *f, const block *b, int k, const array *g, const array *out)
{
    tiles t;
    const kernels *set = kernels_of(f->context);
    for (tiles_begin(&t, f, b); t.walk.left; tiles_next(&t))
        for (int64_t i = 0; i < t.walk.count; i += TILE) {
            int64_t m = t.walk.count - i < TILE ? t.walk.count - i : TILE;
            const void *x[3] = {NULL, NULL, NULL};
            for (int j = 0; j < t.n; j++)
                x[j] = operand_tile(&t.operands[j], i, m, t.y.dtype);
            size_t at = (size_t)(t.walk.offset[0] + i) * ad_dtype_size(t.y.dtype);
            kernels_cotangent(set, b->code, k, t.y.dtype, m, (const char *)g->data + at, x[0], x[1],
                              x[2], (const char *)t.y.data + at, (char *)out->data + at);
        }
}

/* the same in magnitudes, element by element: for gradient checks only */
static void elementwise_magnitudes(frame *f, const block *b, int k, const array *g,
                                   const array *out)
{
    array y = block_result(f, b), in[3];
    for (int j = 0; j < (int)b->n_args; j++) {
        array a = block_arg(f, b, j);
        in[j] = array_expanded(&a, y.rank, y.shape);
    }
    for (int64_t i = 0; i < y.size; i++) {
        double x[3] = {0, 0, 0};
        for (int j = 0; j < (int)b->n_args; j++)
            x[j] = array_get(&in[j], array_offset(&in[j], i));
        array_put(out, i, elementwise_magnitude(b->code, k, array_get(g, i), x, array_get(&y, i)));
    }
}

static ad_status elementwise_adjoint(frame *f, block *b, const array *g)
{
    const elementwise *e = &elementwise_ops[b->code];
    for (int k = 0; k < (int)b->n_args; k++) {
        if (!e->flows[k] || !block_wants(f, b, k))
            continue;
        const array a = block_arg(f, b, k);
        const bool plain = e->plain[k] && !f->magnitude;
        if (plain && same_shape(&a, g)) {
            ad_status s = adjoint_lend(f, b, k, g);
            if (s)
                return s;
            continue;
        }
        bool fresh;
        array acc = adjoint_slot(f, b, k, &fresh);
        if (!acc.data)
            return AD_NO_MEMORY;
        arena_mark mark = arena_here(f->scratch); /* the slot must stay */
        bool direct = fresh && same_shape(&acc, g) && acc.dtype == g->dtype && !f->magnitude;
        array out = direct ? acc : plain ? *g : scratch_array(f, g->dtype, g->rank, g->shape);
        if (!out.data)
            return AD_NO_MEMORY;
        if (f->magnitude)
            elementwise_magnitudes(f, b, k, g, &out);
        else if (!plain)
            elementwise_cotangent(f, b, k, g, &out);
        if (!direct)
            array_sum_to(&acc, &out, !fresh);
        arena_rewind(f->scratch, mark);
    }
    return AD_OK;
}

static void elementwise_record(rule *r)
{
    ad_var x[3] = {r->a[0], r->n > 1 ? r->a[1] : r->a[0], r->n > 2 ? r->a[2] : r->a[0]},
           dx[3] = {{0}};
    bool wants[3] = {r->wants[0], r->n > 1 && r->wants[1], r->n > 2 && r->wants[2]};
    elementwise_ops[r->b->code].record(r->g, x[0], x[1], x[2], r->y, wants, dx);
    for (uint32_t k = 0; k < r->n; k++)
        r->da[k] = dx[k];
}

static double elementwise_kink(frame *f, block *b)
{
    array in[3];
    double nearest = (double)INFINITY;
    for (int k = 0; k < (int)b->n_args; k++) {
        array a = block_arg(f, b, k);
        in[k] = array_expanded(&a, b->out.rank, b->out.shape);
    }
    for (int64_t i = 0; i < b->out.size; i++) {
        double x[3] = {0, 0, 0};
        for (int k = 0; k < (int)b->n_args; k++)
            x[k] = array_get(&in[k], array_offset(&in[k], i));
        nearest = fmin(nearest, elementwise_distance(b->code, x));
    }
    return nearest;
}

const block_op elementwise_block = {.name = "elementwise",
                                    .value = elementwise_value,
                                    .adjoint = elementwise_adjoint,
                                    .tangent = elementwise_tangent,
                                    .record = elementwise_record,
                                    .kink = elementwise_kink};

/* Shapes broadcast; the dtype is that of the tensors among the arguments, which must agree. */
ad_var record_elementwise(ad_tape *t, int op, int n, const ad_var *args)
{
    call c;
    const elementwise *e = &elementwise_ops[op];
    if (!call_begin(&c, e->info.name, t, n, args))
        return call_poison(&c);
    int rank = 0;
    int64_t shape[AD_MAX_RANK];
    ad_dtype dtype = AD_F64;
    bool typed = false, gradient = false;
    for (int k = 0; k < n; k++) {
        const array *a = &c.in[k];
        bool tensor = node_op(&t->head.nodes[c.ids[k]]) == CODE_TENSOR;
        if (!call_float(&c, k))
            return call_poison(&c);
        if (tensor && typed && dtype != a->dtype)
            return call_fail(&c, AD_BAD_DTYPE, "%s and %s: ad_cast one of them",
                             ad_dtype_name(dtype), ad_dtype_name(a->dtype));
        if (tensor)
            dtype = a->dtype, typed = true;
        if (!shape_broadcast(rank, shape, a->rank, a->shape, &rank, shape)) {
            char x[SHAPE_TEXT], y[SHAPE_TEXT];
            return call_fail(&c, AD_BAD_SHAPE, "%s and %s do not broadcast",
                             shape_text(x, c.in[0].rank, c.in[0].shape),
                             shape_text(y, a->rank, a->shape));
        }
        gradient |= e->flows[k] && node_needs_grad(&t->frame, c.ids[k]);
    }
    ad_var y = call_end(&c, &elementwise_block, op, dtype, rank, shape, (call_attr){0});
    if (tape_ok(t) && !is_constant(y) && y.tape)
        block_at(t->head.nodes, y.u.node.id & ~AD_TENSOR_BIT_)->needs_grad &= gradient;
    return y;
}
