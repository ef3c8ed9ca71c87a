/* block_view.c - operations that show elements of their argument: reshape, permute, slice and kin
 *
 * Most of their results point into the argument. A view is described once (struct view), and one
 * function applies the description to any array of the argument's shape; value, tangent and adjoint
 * all follow from it. The transpose of a view, zeros around what it showed, is an operation of its
 * own (unview), so that the rules of both are views again. */
#define AD_PLAIN
#include "block_view.h"
#include "tensor.h"
#include <string.h>

static array element_view(const array *a, const int64_t *index)
{
    array out = *a;
    for (int i = 0; i < a->rank; i++)
        out = array_sliced(&out, i, index[i], 1, 1);
    out.rank = 0;
    return out;
}

static array diagonal_view(const array *a)
{
    array out = *a;
    out.rank = 1;
    out.size = out.shape[0] = a->shape[0] < a->shape[1] ? a->shape[0] : a->shape[1];
    out.stride[0] = a->stride[0] + a->stride[1];
    return out;
}

bool view_apply(const view *v, const array *a, array *out)
{
    switch (v->kind) {
    case VIEW_RESHAPE:
        return array_reshaped(a, v->rank, v->shape, out);
    case VIEW_PERMUTE:
        *out = array_permuted(a, v->u.axes);
        break;
    case VIEW_EXPAND:
        *out = array_expanded(a, v->rank, v->shape);
        break;
    case VIEW_SLICE:
        *out = array_sliced(a, v->u.slice.axis, v->u.slice.start, v->shape[v->u.slice.axis],
                            v->u.slice.step);
        break;
    case VIEW_DIAG:
        *out = diagonal_view(a);
        break;
    case VIEW_AT:
        *out = element_view(a, v->u.index);
        break;
    default:
        *out = *a;
    }
    return true;
}

/* ---- views: value, adjoint, tangent ---- */

static ad_status view_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0);
    if (view_apply(b->attr, &a, &b->out))
        return AD_OK;
    snprintf(f->note, sizeof f->note, "the argument's strides are not those it was recorded with");
    return AD_BAD_ARGUMENT;
}

/* where the result cannot share memory: scalars live in nodes, and some strides cannot be reshaped
 */
static ad_status copy_value(frame *f, block *b)
{
    const view *v = b->attr;
    array a = block_arg(f, b, 0), y = block_result(f, b), part;
    if (v->kind == VIEW_RESHAPE) {
        array_reshaped(&y, a.rank, a.shape, &part);
        array_copy(&part, &a);
    } else {
        view_apply(v, &a, &part);
        array_copy(&y, &part);
    }
    return AD_OK;
}

static view permute_back(const view *v)
{
    view back = *v;
    for (int i = 0; i < v->rank; i++) {
        back.u.axes[v->u.axes[i]] = i;
        back.shape[v->u.axes[i]] = v->shape[i];
    }
    return back;
}

/* g in the shape of the argument, all of which the view shows; false: strides do not allow it */
static bool view_undo(const view *v, const array *a, const array *g, array *out)
{
    if (v->kind == VIEW_RESHAPE)
        return array_reshaped(g, a->rank, a->shape, out);
    if (v->kind != VIEW_PERMUTE)
        return false;
    view back = permute_back(v);
    return view_apply(&back, g, out);
}

static ad_status view_adjoint(frame *f, block *b, const array *g)
{
    const view *v = b->attr;
    array a = block_arg(f, b, 0), part;
    if (view_undo(v, &a, g, &part))
        return adjoint_lend(f, b, 0, &part);
    bool fresh = false;
    array da = v->kind == VIEW_EXPAND || v->kind == VIEW_RESHAPE ? adjoint_slot(f, b, 0, &fresh)
                                                                 : adjoint_zeroed(f, b, 0);
    if (no_memory(&da))
        return AD_NO_MEMORY;
    if (v->kind == VIEW_EXPAND) {
        array_sum_to(&da, g, !fresh);
        return AD_OK;
    }
    view_apply(v, &da, &part);
    (fresh ? array_copy : array_add)(&part, g);
    return AD_OK;
}

static ad_status view_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy)
{
    (void)f, (void)a, (void)y;
    array part;
    if (!da[0]) {
        array_fill(dy, 0);
        return AD_OK;
    }
    view_apply(b->attr, da[0], &part);
    array_copy(dy, &part);
    return AD_OK;
}

/* ---- unview: zeros, and the argument where the view looks ---- */

static ad_status unview_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0), y = block_result(f, b), part;
    array_fill(&y, 0);
    view_apply(b->attr, &y, &part);
    array_copy(&part, &a);
    return AD_OK;
}

static ad_status unview_adjoint(frame *f, block *b, const array *g)
{
    array part;
    view_apply(b->attr, g, &part);
    return adjoint_add(f, b, 0, &part);
}

static ad_status unview_tangent(frame *f, block *b, const array *a, const array *y,
                                const array *const *da, array *dy)
{
    (void)f, (void)a, (void)y;
    array part;
    array_fill(dy, 0);
    if (da[0]) {
        view_apply(b->attr, dy, &part);
        array_copy(&part, da[0]);
    }
    return AD_OK;
}

/* ---- recording ---- */

static void reshape_record(rule *r);
static void permute_record(rule *r);
static void expand_record(rule *r);
static void unviewed_record(rule *r);
static void viewed_record(rule *r);

#define VIEW(kind, text, rule)                                                                     \
    [kind] = {.name = text,                                                                        \
              .value = view_value,                                                                 \
              .adjoint = view_adjoint,                                                             \
              .tangent = view_tangent,                                                             \
              .record = rule,                                                                      \
              .is_view = true,                                                                     \
              .any_strides = true}
#define COPY(kind, text, rule)                                                                     \
    [kind] = {.name = text,                                                                        \
              .value = copy_value,                                                                 \
              .adjoint = view_adjoint,                                                             \
              .tangent = view_tangent,                                                             \
              .record = rule,                                                                      \
              .any_strides = true}
#define UNVIEW(kind, text)                                                                         \
    [kind] = {.name = text,                                                                        \
              .value = unview_value,                                                               \
              .adjoint = unview_adjoint,                                                           \
              .tangent = unview_tangent,                                                           \
              .record = viewed_record,                                                             \
              .any_strides = true}
static const block_op view_ops[VIEW_KINDS] = {
    VIEW(VIEW_RESHAPE, "reshape", reshape_record),
    VIEW(VIEW_PERMUTE, "permute", permute_record),
    VIEW(VIEW_EXPAND, "expand", expand_record),
    VIEW(VIEW_SLICE, "slice", unviewed_record),
    VIEW(VIEW_DIAG, "diag", unviewed_record),
    [VIEW_SAME] = {.name = "stop_gradient", .value = view_value, .is_view = true}};
static const block_op copy_ops[VIEW_KINDS] = {
    COPY(VIEW_RESHAPE, "reshape", reshape_record), COPY(VIEW_EXPAND, "expand", expand_record),
    COPY(VIEW_AT, "at", unviewed_record),
    [VIEW_SAME] = {.name = "stop_gradient", .value = copy_value}};
static const block_op unview_ops[VIEW_KINDS] = {UNVIEW(VIEW_SLICE, "unslice"),
                                                UNVIEW(VIEW_DIAG, "diag"), UNVIEW(VIEW_AT, "unat")};
#undef VIEW
#undef COPY
#undef UNVIEW

ad_var view_end(call *c, const view *v)
{
    array out;
    bool shares = c->in[0].rank && v->rank && view_apply(v, &c->in[0], &out);
    ad_dtype dtype = v->rank ? c->in[0].dtype : AD_F64;
    return call_end(c, &(shares ? view_ops : copy_ops)[v->kind], -1, dtype, v->rank, v->shape,
                    (call_attr){v, sizeof *v, 0});
}

ad_var view_of(ad_tape *tape, ad_var a, const view *v)
{
    call c;
    if (!call_begin(&c, v->kind == VIEW_AT ? "at" : view_ops[v->kind].name, tape, 1, &a))
        return call_poison(&c);
    return view_end(&c, v);
}

view view_make(view_kind kind, int rank, const int64_t *shape)
{
    view v;
    memset(&v, 0, sizeof v); /* attributes may be compared as bytes */
    v.kind = kind;
    v.rank = rank;
    for (int i = 0; i < rank; i++)
        v.shape[i] = shape[i];
    return v;
}

static bool shape_is(const array *a, int rank, const int64_t *shape)
{
    array b = {.rank = rank};
    for (int i = 0; i < rank; i++)
        b.shape[i] = shape[i];
    return same_shape(a, &b);
}

/* ---- rules ---- */

/* scalars are doubles: going back to a tensor takes its dtype again */
static ad_var rule_dtype(const rule *r, int k, ad_var cotangent)
{
    array a = rule_argument(r, k);
    return a.rank ? ad_cast(cotangent, a.dtype) : cotangent;
}

static void reshape_record(rule *r)
{
    array a = rule_argument(r, 0);
    view v = view_make(VIEW_RESHAPE, a.rank, a.shape);
    r->da[0] = rule_dtype(r, 0, view_of(r->tape, r->g, &v));
}

static void permute_record(rule *r)
{
    view back = permute_back(r->attr);
    r->da[0] = view_of(r->tape, r->g, &back);
}

static void expand_record(rule *r) { r->da[0] = r->g; /* the engine sums */ }

static ad_var unview_of(ad_tape *tape, ad_var a, const view *v, ad_dtype dtype, int rank,
                        const int64_t *shape)
{
    call c;
    const block_op *op = &unview_ops[v->kind];
    if (!call_begin(&c, op->name, tape, 1, &a))
        return call_poison(&c);
    return call_end(&c, op, -1, dtype, rank, shape, (call_attr){v, sizeof *v, 0});
}

static void unviewed_record(rule *r)
{
    array a = rule_argument(r, 0);
    r->da[0] = unview_of(r->tape, r->g, r->attr, a.dtype, a.rank, a.shape);
}

static void viewed_record(rule *r) { r->da[0] = view_of(r->tape, r->g, r->attr); }

/* ---- reshape, permute, expand ---- */

bool call_shape(call *c, int rank, const int64_t *shape)
{
    char text[SHAPE_TEXT];
    if (rank < 0 || rank > AD_MAX_RANK)
        call_fail(c, AD_BAD_SHAPE, "rank %d is not in 0..%d", rank, AD_MAX_RANK);
    else if (rank && !shape)
        call_fail(c, AD_NULL, "no shape is given");
    else {
        bool negative = false;
        for (int i = 0; i < rank; i++)
            negative = negative || shape[i] < 0;
        if (!negative && shape_size(rank, shape) >= 0)
            return true;
        call_fail(c, negative ? AD_BAD_SHAPE : AD_TOO_LARGE, "%s has a %s size",
                  shape_text(text, rank, shape), negative ? "negative" : "too large a");
    }
    return false;
}

/* puts the size that is missing where the shape has -1 */
static void complete_shape(int64_t size, int rank, int64_t *shape)
{
    int64_t known = 1;
    int missing = -1;
    for (int i = 0; i < rank; i++)
        if (shape[i] == -1 && missing < 0)
            missing = i;
        else if (shape[i] > 0 && known <= INT64_MAX / shape[i])
            known *= shape[i];
        else
            return;
    if (missing >= 0 && size % known == 0)
        shape[missing] = size / known;
}

ad_var ad_reshape(ad_var a, int rank, const int64_t *shape)
{
    call c;
    char from[SHAPE_TEXT], to[SHAPE_TEXT];
    if (!call_begin(&c, "reshape", NULL, 1, &a))
        return call_poison(&c);
    view v = view_make(VIEW_RESHAPE, 0, NULL);
    for (int i = 0; shape && i < rank && rank <= AD_MAX_RANK; i++)
        v.shape[v.rank++] = shape[i];
    complete_shape(c.in[0].size, v.rank, v.shape);
    if (v.rank == rank && shape_size(v.rank, v.shape) != c.in[0].size)
        return call_fail(&c, AD_BAD_SHAPE, "%s cannot have the shape %s",
                         shape_text(from, c.in[0].rank, c.in[0].shape),
                         shape_text(to, rank, shape));
    if (!call_shape(&c, rank, v.rank == rank ? v.shape : shape))
        return call_poison(&c);
    return shape_is(&c.in[0], v.rank, v.shape) ? a : view_end(&c, &v);
}

/* axes of a permutation, counted from the front; false with an error on the tape */
static bool call_axes(call *c, const int *axes, int *out)
{
    bool seen[AD_MAX_RANK] = {false};
    if (!axes) {
        call_fail(c, AD_NULL, "no axes are given");
        return false;
    }
    for (int i = 0; i < c->in[0].rank; i++) {
        out[i] = call_axis(c, axes[i], c->in[0].rank);
        if (out[i] < 0)
            return false;
        if (seen[out[i]]) {
            call_fail(c, AD_BAD_AXIS, "axis %d is named twice", axes[i]);
            return false;
        }
        seen[out[i]] = true;
    }
    return true;
}

static ad_var permute_end(call *c, ad_var a, const int *axes)
{
    view v = view_make(VIEW_PERMUTE, c->in[0].rank, c->in[0].shape);
    bool moves = false;
    for (int i = 0; i < v.rank; i++) {
        v.u.axes[i] = axes[i];
        v.shape[i] = c->in[0].shape[axes[i]];
        moves = moves || axes[i] != i;
    }
    return moves ? view_end(c, &v) : a;
}

ad_var ad_permute(ad_var a, const int *axes)
{
    call c;
    int order[AD_MAX_RANK];
    if (is_constant(a))
        return a;
    if (!call_begin(&c, "permute", NULL, 1, &a))
        return call_poison(&c);
    if (c.in[0].rank == 0)
        return a;
    return call_axes(&c, axes, order) ? permute_end(&c, a, order) : call_poison(&c);
}

ad_var ad_transpose(ad_var a)
{
    call c;
    int axes[AD_MAX_RANK] = {0};
    char text[SHAPE_TEXT];
    if (!call_begin(&c, "transpose", NULL, 1, &a))
        return call_poison(&c);
    int rank = c.in[0].rank;
    if (rank < 2)
        return call_fail(&c, AD_BAD_SHAPE, "%s has fewer than 2 axes",
                         shape_text(text, rank, c.in[0].shape));
    for (int i = 0; i < rank - 2; i++)
        axes[i] = i;
    axes[rank - 2] = rank - 1;
    axes[rank - 1] = rank - 2;
    return permute_end(&c, a, axes);
}

ad_var ad_expand(ad_var a, int rank, const int64_t *shape)
{
    call c;
    int fits;
    int64_t joint[AD_MAX_RANK];
    char from[SHAPE_TEXT], to[SHAPE_TEXT];
    if (!call_begin(&c, "expand", NULL, 1, &a))
        return call_poison(&c);
    const array *in = &c.in[0];
    if (!call_shape(&c, rank, shape))
        return call_poison(&c);
    view v = view_make(VIEW_EXPAND, rank, shape);
    if (!shape_broadcast(in->rank, in->shape, rank, v.shape, &fits, joint) || fits != rank ||
        memcmp(joint, v.shape, (size_t)rank * sizeof *joint) != 0)
        return call_fail(&c, AD_BAD_SHAPE, "%s does not broadcast to %s",
                         shape_text(from, in->rank, in->shape), shape_text(to, rank, v.shape));
    return shape_is(in, rank, v.shape) ? a : view_end(&c, &v);
}

/* ---- slices and elements ---- */

static ad_var slice_call(const char *name, ad_var a, int axis, int64_t start, int64_t stop,
                         int64_t step)
{
    call c;
    if (!call_begin(&c, name, NULL, 1, &a))
        return call_poison(&c);
    axis = call_axis(&c, axis, c.in[0].rank);
    if (axis < 0)
        return call_poison(&c);
    if (step == 0)
        return call_fail(&c, AD_BAD_ARGUMENT, "the step is 0");
    view v = view_make(VIEW_SLICE, c.in[0].rank, c.in[0].shape);
    v.shape[axis] = slice_range(c.in[0].shape[axis], &start, stop, step);
    v.u.slice.axis = axis;
    v.u.slice.start = start;
    v.u.slice.step = step;
    return step == 1 && v.shape[axis] == c.in[0].shape[axis] ? a : view_end(&c, &v);
}

ad_var ad_slice(ad_var a, int axis, int64_t start, int64_t stop, int64_t step)
{
    return slice_call("slice", a, axis, start, stop, step);
}

ad_var ad_flip(ad_var a, int axis) { return slice_call("flip", a, axis, INT64_MAX, INT64_MIN, -1); }

/* the size of a part; -1 and an error on the tape */
static int64_t split_size(call *c, int n, int *axis, const ad_var *parts)
{
    if ((*axis = call_axis(c, *axis, c->in[0].rank)) < 0)
        return -1;
    int64_t size = c->in[0].shape[*axis];
    if (!parts)
        call_fail(c, AD_NULL, "there is no room for the parts");
    else if (n <= 0)
        call_fail(c, AD_BAD_ARGUMENT, "into %d parts", n);
    else if (size % n)
        call_fail(c, AD_BAD_SHAPE, "axis %d of size %lld has no %d equal parts", *axis,
                  (long long)size, n);
    else
        return size / n;
    return -1;
}

ad_status ad_split(ad_var a, int n, int axis, ad_var *parts)
{
    call c;
    int64_t size = call_begin(&c, "split", NULL, 1, &a) ? split_size(&c, n, &axis, parts) : -1;
    for (int k = 0; parts && k < n; k++)
        parts[k] =
            size < 0 ? call_poison(&c) : slice_call("split", a, axis, k * size, (k + 1) * size, 1);
    return c.tape ? ad_tape_status(c.tape) : AD_NULL;
}

ad_var ad_at(ad_var a, const int64_t *index)
{
    call c;
    char text[SHAPE_TEXT], shape[SHAPE_TEXT];
    if (is_constant(a))
        return a;
    if (!call_begin(&c, "at", NULL, 1, &a))
        return call_poison(&c);
    int rank = c.in[0].rank;
    if (rank == 0)
        return a;
    if (!index)
        return call_fail(&c, AD_NULL, "no index is given");
    view v = view_make(VIEW_AT, 0, NULL);
    for (int i = 0; i < rank; i++) {
        v.u.index[i] = index[i];
        if (index[i] < 0 || index[i] >= c.in[0].shape[i])
            return call_fail(&c, AD_BAD_INDEX, "index %s is not in %s",
                             shape_text(text, rank, index), shape_text(shape, rank, c.in[0].shape));
    }
    return view_end(&c, &v);
}

/* (...,n,...) -> (B,1,n S) -> (B,times,n S) -> (...,times n,...): three axes are enough, whatever
 * the rank */
ad_var ad_repeat(ad_var a, int axis, int64_t times)
{
    call c;
    if (!call_begin(&c, "repeat", NULL, 1, &a))
        return call_poison(&c);
    array in = c.in[0];
    axis = call_axis(&c, axis, in.rank);
    if (axis < 0)
        return call_poison(&c);
    if (times < 0)
        return call_fail(&c, AD_BAD_ARGUMENT, "%lld times", (long long)times);
    if (in.shape[axis] && times > INT64_MAX / in.shape[axis])
        return call_fail(&c, AD_TOO_LARGE, "%lld times is too large", (long long)times);
    int64_t wide[3] = {1, 1, 1};
    for (int i = 0; i < in.rank; i++)
        wide[i < axis ? 0 : 2] *= in.shape[i];
    a = ad_reshape(a, 3, wide);
    wide[1] = times;
    in.shape[axis] *= times;
    return ad_reshape(ad_expand(a, 3, wide), in.rank, in.shape);
}

/* ---- diagonals ---- */

ad_var ad_diag(ad_var a)
{
    call c;
    char text[SHAPE_TEXT];
    if (!call_begin(&c, "diag", NULL, 1, &a))
        return call_poison(&c);
    const array *in = &c.in[0];
    if (in->rank != 1 && in->rank != 2)
        return call_fail(&c, AD_BAD_SHAPE, "%s is neither a vector nor a matrix",
                         shape_text(text, in->rank, in->shape));
    int64_t n = in->shape[0], square[2] = {n, n};
    if (in->rank == 2 && in->shape[1] < n)
        n = in->shape[1];
    view v = view_make(VIEW_DIAG, 1, &n);
    if (in->rank == 2)
        return view_end(&c, &v);
    if (!call_shape(&c, 2, square))
        return call_poison(&c);
    return call_end(&c, &unview_ops[VIEW_DIAG], -1, in->dtype, 2, square,
                    (call_attr){&v, sizeof v, 0});
}

/* ---- one number, many times ---- */

ad_var rule_filled(const rule *r, ad_dtype dtype, double value, int64_t m, int64_t n)
{
    float valuef = (float)value;
    const void *data = dtype == AD_F64 ? (const void *)&value : &valuef;
    ad_var one = ad_constant_array(r->tape, dtype, 2, (int64_t[]){1, 1}, data);
    return ad_expand(one, 2, (int64_t[]){m, n});
}
