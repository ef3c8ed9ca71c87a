/* block_move.c - operations that copy elements to new places: concat, stack, pad, triangles, casts
 *
 * Unlike a view (block_view.c), such a result has memory of its own: it holds several arguments, or
 * elements that no argument has, or another dtype. Its adjoint picks from the cotangent what came
 * from each argument, so that the rules are views; stop_gradient and trace are made of views
 * outright. */
#define AD_PLAIN
#include "block_move.h"
#include "block_view.h"
#include <string.h>

/* ---- concat and stack ---- */

array join_part(const array *whole, const join *j, const array *part, int64_t *at)
{
    int64_t count = j->stacked ? 1 : part->shape[j->axis];
    array out = array_sliced(whole, j->axis, *at, count, 1);
    *at += count;
    if (!j->stacked)
        return out;
    out.rank--;
    for (int i = j->axis; i < out.rank; i++) {
        out.shape[i] = out.shape[i + 1];
        out.stride[i] = out.stride[i + 1];
    }
    return out;
}

static ad_status join_value(frame *f, block *b)
{
    array y = block_result(f, b);
    int64_t at = 0;
    for (int k = 0; k < (int)b->n_args; k++) {
        array a = block_arg(f, b, k), part = join_part(&y, b->attr, &a, &at);
        array_copy(&part, &a);
    }
    return AD_OK;
}

static ad_status join_adjoint(frame *f, block *b, const array *g)
{
    ad_status status = AD_OK;
    int64_t at = 0;
    for (int k = 0; k < (int)b->n_args && status == AD_OK; k++) {
        array a = block_arg(f, b, k), part = join_part(g, b->attr, &a, &at);
        if (block_wants(f, b, k))
            status = adjoint_add(f, b, k, &part);
    }
    return status;
}

static ad_status join_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy)
{
    (void)f, (void)y;
    int64_t at = 0;
    for (int k = 0; k < (int)b->n_args; k++) {
        array part = join_part(dy, b->attr, &a[k], &at);
        if (da[k])
            array_copy(&part, da[k]);
        else
            array_fill(&part, 0);
    }
    return AD_OK;
}

/* the part at `at` of the cotangent; of a stack, without the axis that it added */
static ad_var joined_part(const rule *r, ad_var g, const array *a, int64_t at)
{
    const join *j = r->attr;
    if (a->rank == 0) {
        view v = view_make(VIEW_AT, 0, NULL);
        v.u.index[0] = at;
        return view_of(r->tape, g, &v);
    }
    view v = view_make(VIEW_SLICE, ad_rank(r->y), ad_shape(r->y));
    v.shape[j->axis] = j->stacked ? 1 : a->shape[j->axis];
    v.u.slice.axis = j->axis;
    v.u.slice.start = at;
    v.u.slice.step = 1;
    ad_var part = view_of(r->tape, g, &v);
    return j->stacked ? ad_reshape(part, a->rank, a->shape) : part;
}

static void join_record(rule *r)
{
    const join *j = r->attr;
    ad_var g = r->g;
    int64_t at = 0;
    for (int k = 0; k < (int)r->n; k++) {
        array a = rule_argument(r, k);
        if (r->wants[k])
            r->da[k] = joined_part(r, g, &a, at);
        at += j->stacked ? 1 : a.shape[j->axis];
    }
}

static const block_op concat_op = {.name = "concat",
                                   .value = join_value,
                                   .adjoint = join_adjoint,
                                   .tangent = join_tangent,
                                   .record = join_record,
                                   .any_strides = true};
static const block_op stack_op = {.name = "stack",
                                  .value = join_value,
                                  .adjoint = join_adjoint,
                                  .tangent = join_tangent,
                                  .record = join_record,
                                  .any_strides = true};

/* do the parts fit together, but for their sizes along `axis` (-1: everywhere)? */
static bool call_parts(call *c, int axis)
{
    char text[SHAPE_TEXT], other[SHAPE_TEXT];
    const array *first = &c->in[0];
    for (int k = 1; k < (int)c->n; k++) {
        array part = c->in[k];
        if (axis >= 0 && part.rank == first->rank)
            part.shape[axis] = first->shape[axis];
        if (!same_shape(first, &part)) {
            call_fail(c, AD_BAD_SHAPE, "part %d is %s, the first is %s", k,
                      shape_text(other, c->in[k].rank, c->in[k].shape),
                      shape_text(text, first->rank, first->shape));
            return false;
        }
        if (part.dtype != first->dtype) {
            call_fail(c, AD_BAD_DTYPE, "part %d is %s, the first is %s", k,
                      ad_dtype_name(part.dtype), ad_dtype_name(first->dtype));
            return false;
        }
    }
    return true;
}

static ad_var join_end(call *c, const block_op *op, join j, int rank, const int64_t *shape)
{
    if (!call_shape(c, rank, shape))
        return call_poison(c);
    return call_end(c, op, -1, c->in[0].dtype, rank, shape, (call_attr){&j, sizeof j, 0});
}

ad_var ad_concat(int n, const ad_var *parts, int axis)
{
    call c;
    if (n <= 0 || !parts)
        return (ad_var){0};
    if (!call_begin(&c, "concat", NULL, n, parts))
        return call_poison(&c);
    array whole = c.in[0];
    axis = call_axis(&c, axis, whole.rank);
    if (axis < 0 || !call_parts(&c, axis))
        return call_poison(&c);
    for (int k = 1; k < n; k++) {
        if (whole.shape[axis] > INT64_MAX - c.in[k].shape[axis])
            return call_fail(&c, AD_TOO_LARGE, "the parts together are too large");
        whole.shape[axis] += c.in[k].shape[axis];
    }
    return join_end(&c, &concat_op, (join){axis, 0}, whole.rank, whole.shape);
}

ad_var ad_stack(int n, const ad_var *parts, int axis)
{
    call c;
    if (n <= 0 || !parts)
        return (ad_var){0};
    if (!call_begin(&c, "stack", NULL, n, parts))
        return call_poison(&c);
    const array *first = &c.in[0];
    axis = call_axis(&c, axis, first->rank + 1);
    if (axis < 0 || !call_parts(&c, -1))
        return call_poison(&c);
    int64_t shape[AD_MAX_RANK + 1];
    for (int i = 0; i <= first->rank; i++)
        shape[i] = i < axis ? first->shape[i] : i == axis ? n : first->shape[i - 1];
    return join_end(&c, &stack_op, (join){axis, 1}, first->rank + 1, shape);
}

/* ---- pad ---- */

array pad_inside(const array *whole, const padding *p, int rank, const int64_t *shape)
{
    array out = *whole;
    for (int i = 0; i < rank; i++)
        out = array_sliced(&out, i, p->before[i], shape[i], 1);
    return out;
}

static ad_status pad_value(frame *f, block *b)
{
    const padding *p = b->attr;
    array a = block_arg(f, b, 0), y = block_result(f, b);
    array inside = pad_inside(&y, p, a.rank, a.shape);
    array_fill(&y, p->value);
    array_copy(&inside, &a);
    return AD_OK;
}

static ad_status pad_adjoint(frame *f, block *b, const array *g)
{
    array a = block_arg(f, b, 0), inside = pad_inside(g, b->attr, a.rank, a.shape);
    return adjoint_add(f, b, 0, &inside);
}

static ad_status pad_tangent(frame *f, block *b, const array *a, const array *y,
                             const array *const *da, array *dy)
{
    (void)f, (void)y;
    array inside = pad_inside(dy, b->attr, a[0].rank, a[0].shape);
    array_fill(dy, 0);
    if (da[0])
        array_copy(&inside, da[0]);
    return AD_OK;
}

static void pad_record(rule *r)
{
    const padding *p = r->attr;
    array a = rule_argument(r, 0);
    ad_var g = r->g;
    for (int i = 0; i < a.rank; i++)
        g = ad_slice(g, i, p->before[i], p->before[i] + a.shape[i], 1);
    r->da[0] = g;
}

static const block_op pad_op = {.name = "pad",
                                .value = pad_value,
                                .adjoint = pad_adjoint,
                                .tangent = pad_tangent,
                                .record = pad_record,
                                .any_strides = true};

ad_var ad_pad(ad_var a, const int64_t *before, const int64_t *after, double value)
{
    call c;
    if (!call_begin(&c, "pad", NULL, 1, &a))
        return call_poison(&c);
    array y = c.in[0];
    if (y.rank == 0)
        return a;
    if (!before || !after)
        return call_fail(&c, AD_NULL, "no numbers of elements are given");
    padding p = {.value = value};
    for (int i = 0; i < y.rank; i++) {
        if (before[i] < 0 || after[i] < 0)
            return call_fail(&c, AD_BAD_ARGUMENT, "axis %d: %lld elements before and %lld after", i,
                             (long long)before[i], (long long)after[i]);
        if (before[i] > INT64_MAX - y.shape[i] || after[i] > INT64_MAX - y.shape[i] - before[i])
            return call_fail(&c, AD_TOO_LARGE, "axis %d is too large", i);
        y.shape[i] += before[i] + after[i];
        p.before[i] = before[i];
    }
    if (!call_shape(&c, y.rank, y.shape))
        return call_poison(&c);
    return call_end(&c, &pad_op, -1, y.dtype, y.rank, y.shape, (call_attr){&p, sizeof p, 0});
}

/* ---- tril and triu ---- */

/* to <- the triangle of `from`; `to` is contiguous */
static void triangle_copy(const triangle *t, const array *to, const array *from)
{
    array_copy(to, from);
    int64_t m = to->shape[to->rank - 2], n = to->shape[to->rank - 1];
    size_t bytes = ad_dtype_size(to->dtype);
    for (int64_t row = 0; n && row < to->size / n; row++) {
        int64_t edge = row % m + t->diagonal + (t->upper ? 0 : 1); /* first column beyond */
        edge = edge < 0 ? 0 : edge > n ? n : edge;
        int64_t first = t->upper ? 0 : edge, last = t->upper ? edge : n;
        memset((char *)to->data + (size_t)(row * n + first) * bytes, 0,
               (size_t)(last - first) * bytes);
    }
}

static ad_status triangle_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0), y = block_result(f, b);
    triangle_copy(b->attr, &y, &a);
    return AD_OK;
}

static ad_status triangle_adjoint(frame *f, block *b, const array *g)
{
    bool fresh;
    array da = adjoint_slot(f, b, 0, &fresh);
    arena_mark mark = arena_here(f->scratch);
    array part = fresh ? da : scratch_array(f, g->dtype, g->rank, g->shape);
    if (no_memory(&da) || no_memory(&part))
        return AD_NO_MEMORY;
    triangle_copy(b->attr, &part, g);
    if (!fresh)
        array_add(&da, &part);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status triangle_tangent(frame *f, block *b, const array *a, const array *y,
                                  const array *const *da, array *dy)
{
    (void)f, (void)a, (void)y;
    if (da[0])
        triangle_copy(b->attr, dy, da[0]);
    else
        array_fill(dy, 0);
    return AD_OK;
}

static void triangle_record(rule *r)
{
    const triangle *t = r->attr;
    r->da[0] = (t->upper ? ad_triu : ad_tril)(r->g, t->diagonal);
}

static const block_op triangle_ops[2] = {{.name = "tril",
                                          .value = triangle_value,
                                          .adjoint = triangle_adjoint,
                                          .tangent = triangle_tangent,
                                          .record = triangle_record},
                                         {.name = "triu",
                                          .value = triangle_value,
                                          .adjoint = triangle_adjoint,
                                          .tangent = triangle_tangent,
                                          .record = triangle_record}};

static ad_var triangle_call(ad_var a, int diagonal, int upper)
{
    call c;
    char text[SHAPE_TEXT];
    triangle t = {diagonal, upper};
    if (!call_begin(&c, triangle_ops[upper].name, NULL, 1, &a))
        return call_poison(&c);
    const array *in = &c.in[0];
    if (in->rank < 2)
        return call_fail(&c, AD_BAD_SHAPE, "%s has fewer than 2 axes",
                         shape_text(text, in->rank, in->shape));
    return call_end(&c, &triangle_ops[upper], -1, in->dtype, in->rank, in->shape,
                    (call_attr){&t, sizeof t, 0});
}

ad_var ad_tril(ad_var a, int diagonal) { return triangle_call(a, diagonal, 0); }

ad_var ad_triu(ad_var a, int diagonal) { return triangle_call(a, diagonal, 1); }

/* ---- cast and stop_gradient ---- */

static ad_status cast_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0), y = block_result(f, b);
    array_copy(&y, &a);
    return AD_OK;
}

/* of a scalar, which stays a double */
static ad_status truncate_value(frame *f, block *b)
{
    int32_t whole;
    array a = block_arg(f, b, 0), y = block_result(f, b), w = array_of(&whole, AD_I32, 0, NULL);
    array_copy(&w, &a);
    array_copy(&y, &w);
    return AD_OK;
}

static ad_status cast_adjoint(frame *f, block *b, const array *g)
{
    return adjoint_add(f, b, 0, g);
}

static ad_status cast_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy)
{
    (void)f, (void)b, (void)a, (void)y;
    if (da[0])
        array_copy(dy, da[0]);
    else
        array_fill(dy, 0);
    return AD_OK;
}

static void cast_record(rule *r) { r->da[0] = ad_cast(r->g, rule_argument(r, 0).dtype); }

static const block_op cast_op = {.name = "cast",
                                 .value = cast_value,
                                 .adjoint = cast_adjoint,
                                 .tangent = cast_tangent,
                                 .record = cast_record,
                                 .any_strides = true};
static const block_op cast_int_op = {.name = "cast", .value = cast_value};
static const block_op truncate_op = {.name = "cast", .value = truncate_value};

/* A scalar is a double that fits tensors of any dtype, so that only a cast to int32 changes it. */
ad_var ad_cast(ad_var a, ad_dtype dtype)
{
    call c;
    if (is_constant(a) && dtype != AD_I32)
        return a;
    if (!call_begin(&c, "cast", NULL, 1, &a))
        return call_poison(&c);
    const array *in = &c.in[0];
    bool scalar = in->rank == 0, whole = dtype == AD_I32;
    if (dtype != AD_F64 && dtype != AD_F32 && dtype != AD_I32)
        return call_fail(&c, AD_BAD_DTYPE, "there is no dtype %d", (int)dtype);
    if (in->dtype == dtype || (scalar && !whole && in->dtype == AD_F64))
        return a;
    return call_end(&c,
                    scalar && whole ? &truncate_op
                    : whole         ? &cast_int_op
                                    : &cast_op,
                    -1, scalar ? AD_F64 : dtype, in->rank, in->shape, (call_attr){0});
}

ad_var ad_stop_gradient(ad_var a)
{
    call c;
    if (is_constant(a))
        return a;
    if (!call_begin(&c, "stop_gradient", NULL, 1, &a))
        return call_poison(&c);
    view v = view_make(VIEW_SAME, c.in[0].rank, c.in[0].shape);
    return view_end(&c, &v);
}

/* ---- trace ---- */

ad_var ad_trace(ad_var a)
{
    call c;
    char text[SHAPE_TEXT];
    if (!call_begin(&c, "trace", NULL, 1, &a))
        return call_poison(&c);
    if (c.in[0].rank != 2)
        return call_fail(&c, AD_BAD_SHAPE, "%s is not a matrix",
                         shape_text(text, c.in[0].rank, c.in[0].shape));
    return ad_sum(ad_diag(a));
}
