/* block_index.c - reading and adding at indices: take, gather, scatter_add
 *
 * All of them pair the elements of an array of indices with places in a table and with elements of
 * a result. Such a pairing is three arrays of one shape (struct lookup): the table with stride 0
 * along the axis that is looked up, the indices, and the result. take and gather differ in how they
 * set up the three, and nowhere else. */
#define AD_PLAIN
#include "block_index.h"
#include <string.h>

static bool no_memory(const array *a) { return !a->data && a->size; }

static lookup gather_lookup(int axis, const array *table, const array *index, const array *result)
{
    lookup l = {*table, *index, *result, table->stride[axis], table->shape[axis]};
    l.table.size = index->size;
    memcpy(l.table.shape, index->shape, sizeof index->shape);
    l.table.stride[axis] = 0;
    return l;
}

/* result (before, indices..., behind) */
static lookup take_lookup(int axis, const array *table, const array *index, const array *result)
{
    lookup l = {*result, *result, *result, table->stride[axis], table->shape[axis]};
    l.table.data = table->data;
    l.table.dtype = table->dtype;
    l.index.data = index->data;
    l.index.dtype = index->dtype;
    for (int i = 0; i < result->rank; i++) {
        int k = i - axis;
        bool within = k >= 0 && k < index->rank;
        l.index.stride[i] = within ? index->stride[k] : 0;
        l.table.stride[i] = within ? 0 : table->stride[k < 0 ? i : i - index->rank + 1];
    }
    return l;
}

lookup lookup_of(const lookup_attr *at, const array *table, const array *index, const array *result)
{
    return (at->taken ? take_lookup : gather_lookup)(at->axis, table, index, result);
}

static array_walk lookup_walk(const lookup *l)
{
    const array *all[3] = {&l->table, &l->index, &l->result};
    return array_walk_of(3, all);
}

static ad_status check_indices(frame *f, const array *index, int64_t size)
{
    const array *only[1] = {index};
    int64_t done = 0;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w), done += w.count)
        for (int64_t i = 0; i < w.count; i++) {
            int32_t at = ((const int32_t *)index->data)[w.offset[0] + i * w.step[0]];
            if (at >= 0 && at < size)
                continue;
            snprintf(f->note, sizeof f->note, "index %d at position %lld is not in 0..%lld",
                     (int)at, (long long)done + i, (long long)size - 1);
            return AD_BAD_INDEX;
        }
    return AD_OK;
}

/* ---- reading and adding ---- */

/* One run of a walk. Where the index stays the same along it, the run of the table is a run too. */
#define FETCH(T, t)                                                                                \
    static void fetch_##t(const lookup *l, const array_walk *w)                                    \
    {                                                                                              \
        const T *x = (const T *)l->table.data + w->offset[0];                                      \
        const int32_t *at = (const int32_t *)l->index.data + w->offset[1];                         \
        T *y = (T *)l->result.data + w->offset[2];                                                 \
        int64_t sx = w->step[0], sat = w->step[1], sy = w->step[2], n = w->count;                  \
        if (sat == 0 && sx == 1 && sy == 1)                                                        \
            memcpy(y, x + *at * l->stride, (size_t)n * sizeof *y);                                 \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i * sy] = x[i * sx + at[i * sat] * l->stride];                                   \
    }
#define COLLECT(T, F, t)                                                                           \
    static void collect_##t(const lookup *l, const array_walk *w)                                  \
    {                                                                                              \
        T *x = (T *)l->table.data + w->offset[0];                                                  \
        const int32_t *at = (const int32_t *)l->index.data + w->offset[1];                         \
        const F *y = (const F *)l->result.data + w->offset[2];                                     \
        int64_t sx = w->step[0], sat = w->step[1], sy = w->step[2], n = w->count;                  \
        if (sat == 0 && sx == 1 && sy == 1)                                                        \
            for (int64_t i = 0, base = *at * l->stride; i < n; i++)                                \
                x[base + i] += (T)y[i];                                                            \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                        \
                x[i * sx + at[i * sat] * l->stride] += (T)y[i * sy];                               \
    }
FETCH(double, f64)
FETCH(float, f32)
FETCH(int32_t, i32)
COLLECT(double, double, f64)
COLLECT(double, float, f64_f32)
COLLECT(double, int32_t, f64_i32)
COLLECT(float, float, f32)
#undef FETCH
#undef COLLECT

/* of two dtypes: a single element, which became a scalar */
static void fetch_any(const lookup *l, const array_walk *w)
{
    const int32_t *at = (const int32_t *)l->index.data + w->offset[1];
    for (int64_t i = 0; i < w->count; i++)
        array_put(
            &l->result, w->offset[2] + i * w->step[2],
            array_get(&l->table, w->offset[0] + i * w->step[0] + at[i * w->step[1]] * l->stride));
}

/* result <- table at indices; these have been checked */
static void lookup_read(const lookup_attr *at, const array *table, const array *index,
                        const array *result)
{
    lookup l = lookup_of(at, table, index, result);
    ad_dtype d = table->dtype;
    for (array_walk w = lookup_walk(&l); w.left; array_walk_next(&w))
        (d != result->dtype ? fetch_any
         : d == AD_F64      ? fetch_f64
         : d == AD_F32      ? fetch_f32
                            : fetch_i32)(&l, &w);
}

static void lookup_collect(const lookup_attr *at, const array *table, const array *index,
                           const array *from)
{
    lookup l = lookup_of(at, table, index, from);
    for (array_walk w = lookup_walk(&l); w.left; array_walk_next(&w))
        (table->dtype == AD_F32  ? collect_f32
         : from->dtype == AD_F64 ? collect_f64
         : from->dtype == AD_F32 ? collect_f64_f32
                                 : collect_f64_i32)(&l, &w);
}

/* table at indices += from. Floats are summed in double, lest a row that is hit a thousand times
 * loses digits - unless the table is so much larger than what is added that a copy of it would be
 * the larger evil. */
static ad_status lookup_add(frame *f, const lookup_attr *at, const array *table, const array *index,
                            const array *from)
{
    if (lookup_adds_directly(table, from)) {
        lookup_collect(at, table, index, from);
        return AD_OK;
    }
    arena_mark mark = arena_here(f->scratch);
    array wide = scratch_array(f, AD_F64, table->rank, table->shape);
    if (no_memory(&wide))
        return AD_NO_MEMORY;
    array_copy(&wide, table);
    lookup_collect(at, &wide, index, from);
    array_copy(table, &wide);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* The cotangent of an argument k that was added at indices: what g has there. */
static ad_status adjoint_read(frame *f, const block *b, int k, const array *index, const array *g)
{
    bool fresh;
    array da = adjoint_slot(f, b, k, &fresh);
    arena_mark mark = arena_here(f->scratch);
    array part = fresh ? da : scratch_array(f, g->dtype, da.rank, da.shape);
    if (no_memory(&da) || no_memory(&part))
        return AD_NO_MEMORY;
    lookup_read(b->attr, g, index, &part);
    if (!fresh)
        array_add(&da, &part);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* ---- take and gather ---- */

static ad_status read_value(frame *f, block *b)
{
    const lookup_attr *at = b->attr;
    array a = block_arg(f, b, 0), index = block_arg(f, b, 1), y = block_result(f, b);
    ad_status status = check_indices(f, &index, a.shape[at->axis]);
    if (status == AD_OK)
        lookup_read(at, &a, &index, &y);
    return status;
}

static ad_status read_adjoint(frame *f, block *b, const array *g)
{
    array da = adjoint_zeroed(f, b, 0), index = block_arg(f, b, 1);
    return no_memory(&da) ? AD_NO_MEMORY : lookup_add(f, b->attr, &da, &index, g);
}

static ad_status read_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy)
{
    (void)a, (void)y;
    array index = block_arg(f, b, 1);
    if (da[0])
        lookup_read(b->attr, da[0], &index, dy);
    else
        array_fill(dy, 0);
    return AD_OK;
}

/* ---- the transpose: zeros, and the argument added at indices ---- */

static ad_status unread_value(frame *f, block *b)
{
    const lookup_attr *at = b->attr;
    array a = block_arg(f, b, 0), index = block_arg(f, b, 1), y = block_result(f, b);
    array_fill(&y, 0);
    ad_status status = check_indices(f, &index, y.shape[at->axis]);
    return status == AD_OK ? lookup_add(f, at, &y, &index, &a) : status;
}

static ad_status unread_adjoint(frame *f, block *b, const array *g)
{
    array index = block_arg(f, b, 1);
    return adjoint_read(f, b, 0, &index, g);
}

static ad_status unread_tangent(frame *f, block *b, const array *a, const array *y,
                                const array *const *da, array *dy)
{
    (void)a, (void)y;
    array index = block_arg(f, b, 1);
    array_fill(dy, 0);
    if (da[0])
        lookup_collect(b->attr, dy, &index, da[0]);
    return AD_OK;
}

static void read_record(rule *r);
static void unread_record(rule *r);

#define READ(text)                                                                                 \
    {                                                                                              \
        .name = text, .value = read_value, .adjoint = read_adjoint, .tangent = read_tangent,       \
        .record = read_record                                                                      \
    }
#define UNREAD(text)                                                                               \
    {                                                                                              \
        .name = text, .value = unread_value, .adjoint = unread_adjoint, .tangent = unread_tangent, \
        .record = unread_record                                                                    \
    }
static const block_op read_ops[2] = {READ("gather"), READ("take")};
static const block_op unread_ops[2] = {UNREAD("ungather"), UNREAD("untake")};
#undef READ
#undef UNREAD

static ad_var lookup_call(const block_op *op, ad_tape *tape, const lookup_attr *at, ad_var a,
                          ad_var index, int rank, const int64_t *shape, ad_dtype dtype)
{
    call c;
    if (!call_begin(&c, op->name, tape, 2, (ad_var[]){a, index}))
        return call_poison(&c);
    return call_end(&c, op, -1, rank ? dtype : AD_F64, rank, shape, (call_attr){at, sizeof *at, 0});
}

static void read_record(rule *r)
{
    const lookup_attr *at = r->attr;
    array a = block_arg(&r->tape->frame, r->b, 0);
    if (r->wants[0])
        r->da[0] = lookup_call(&unread_ops[at->taken], r->tape, at, r->g, r->a[1], a.rank, a.shape,
                               a.dtype);
}

static void unread_record(rule *r)
{
    const lookup_attr *at = r->attr;
    array a = block_arg(&r->tape->frame, r->b, 0);
    if (r->wants[0])
        r->da[0] =
            lookup_call(&read_ops[at->taken], r->tape, at, r->g, r->a[1], a.rank, a.shape, a.dtype);
}

/* ---- recording ---- */

static bool call_indices(call *c)
{
    if (c->in[1].dtype == AD_I32)
        return true;
    call_fail(c, AD_BAD_DTYPE, "the indices are %s: ad_cast them to int32",
              ad_dtype_name(c->in[1].dtype));
    return false;
}

ad_var ad_take(ad_var a, int axis, ad_var indices)
{
    call c;
    if (!call_begin(&c, "take", NULL, 2, (ad_var[]){a, indices}))
        return call_poison(&c);
    const array *in = &c.in[0], *index = &c.in[1];
    axis = call_axis(&c, axis, in->rank);
    if (axis < 0 || !call_indices(&c))
        return call_poison(&c);
    int64_t shape[2 * AD_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < axis; i++)
        shape[rank++] = in->shape[i];
    for (int i = 0; i < index->rank; i++)
        shape[rank++] = index->shape[i];
    for (int i = axis + 1; i < in->rank; i++)
        shape[rank++] = in->shape[i];
    lookup_attr at = {axis, 1};
    return call_end(&c, &read_ops[1], -1, rank ? in->dtype : AD_F64, rank, shape,
                    (call_attr){&at, sizeof at, 0});
}

/* do indices fit within the table, but for the axis that they look up? */
static bool call_within(call *c, int axis)
{
    const array *in = &c->in[0], *index = &c->in[1];
    char table[SHAPE_TEXT], text[SHAPE_TEXT];
    bool fits = in->rank == index->rank;
    for (int i = 0; fits && i < in->rank; i++)
        fits = i == axis || index->shape[i] <= in->shape[i];
    if (!fits)
        call_fail(c, AD_BAD_SHAPE, "indices of shape %s do not fit %s along axis %d",
                  shape_text(text, index->rank, index->shape),
                  shape_text(table, in->rank, in->shape), axis);
    return fits;
}

ad_var ad_gather(ad_var a, int axis, ad_var indices)
{
    call c;
    if (!call_begin(&c, "gather", NULL, 2, (ad_var[]){a, indices}))
        return call_poison(&c);
    axis = call_axis(&c, axis, c.in[0].rank);
    if (axis < 0 || !call_indices(&c) || !call_within(&c, axis))
        return call_poison(&c);
    lookup_attr at = {axis, 0};
    return call_end(&c, &read_ops[0], -1, c.in[0].dtype, c.in[1].rank, c.in[1].shape,
                    (call_attr){&at, sizeof at, 0});
}

/* ---- scatter_add: a, indices, source ---- */

static ad_status scatter_value(frame *f, block *b)
{
    const lookup_attr *at = b->attr;
    array a = block_arg(f, b, 0), index = block_arg(f, b, 1), source = block_arg(f, b, 2);
    array y = block_result(f, b);
    ad_status status = check_indices(f, &index, a.shape[at->axis]);
    if (status != AD_OK)
        return status;
    array_copy(&y, &a);
    return lookup_add(f, at, &y, &index, &source);
}

static ad_status scatter_adjoint(frame *f, block *b, const array *g)
{
    array index = block_arg(f, b, 1);
    ad_status status = block_wants(f, b, 0) ? adjoint_add(f, b, 0, g) : AD_OK;
    if (status == AD_OK && block_wants(f, b, 2))
        status = adjoint_read(f, b, 2, &index, g);
    return status;
}

static ad_status scatter_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)a, (void)y;
    array index = block_arg(f, b, 1);
    if (da[0])
        array_copy(dy, da[0]);
    else
        array_fill(dy, 0);
    if (da[2])
        lookup_collect(b->attr, dy, &index, da[2]);
    return AD_OK;
}

static void scatter_record(rule *r)
{
    const lookup_attr *at = r->attr;
    array source = block_arg(&r->tape->frame, r->b, 2);
    if (r->wants[0])
        r->da[0] = r->g;
    if (r->wants[2])
        r->da[2] = lookup_call(&read_ops[0], r->tape, at, r->g, r->a[1], source.rank, source.shape,
                               source.dtype);
}

static const block_op scatter_op = {.name = "scatter_add",
                                    .value = scatter_value,
                                    .adjoint = scatter_adjoint,
                                    .tangent = scatter_tangent,
                                    .record = scatter_record};

ad_var ad_scatter_add(ad_var a, int axis, ad_var indices, ad_var source)
{
    call c;
    char text[SHAPE_TEXT], other[SHAPE_TEXT];
    if (!call_begin(&c, "scatter_add", NULL, 3, (ad_var[]){a, indices, source}))
        return call_poison(&c);
    const array *in = &c.in[0], *index = &c.in[1], *from = &c.in[2];
    axis = call_axis(&c, axis, in->rank);
    if (axis < 0 || !call_indices(&c) || !call_within(&c, axis))
        return call_poison(&c);
    if (!same_shape(index, from))
        return call_fail(&c, AD_BAD_SHAPE, "indices of shape %s for a source of shape %s",
                         shape_text(text, index->rank, index->shape),
                         shape_text(other, from->rank, from->shape));
    if (in->dtype != from->dtype)
        return call_fail(&c, AD_BAD_DTYPE, "%s to %s: ad_cast one of them",
                         ad_dtype_name(from->dtype), ad_dtype_name(in->dtype));
    lookup_attr at = {axis, 0};
    return call_end(&c, &scatter_op, -1, in->dtype, in->rank, in->shape,
                    (call_attr){&at, sizeof at, 0});
}
