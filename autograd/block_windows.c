/* block_windows.c - sliding windows over the last axes, as convolutions and poolings see their
 * argument
 *
 * The windows are a view: neighbours share elements, so the strides overlap, which nobody who reads
 * minds. The adjoint adds the windows up where they lie. It goes through them offset by offset: all
 * that is added in one run then lies behind one another, and no element is met twice. */
#define AD_PLAIN
#include "block_windows.h"
#include "block_view.h"
#include <string.h>

/* How many windows fit along an axis; at least one does. Strides and dilations that no second
 * window or element follows may be of any size. */
static int64_t windows_along(const windows *w, int i, int64_t length)
{
    return (length - 1 - (w->size[i] - 1) * w->dilation[i]) / w->stride[i] + 1;
}

array windows_view(const windows *w, const array *a)
{
    array out = *a;
    out.rank += w->n;
    for (int i = 0; i < w->n; i++) {
        int axis = a->rank - w->n + i, within = a->rank + i;
        int64_t step = a->stride[axis];
        out.shape[axis] = windows_along(w, i, a->shape[axis]);
        out.stride[axis] = out.shape[axis] > 1 ? step * w->stride[i] : step;
        out.shape[within] = w->size[i];
        out.stride[within] = w->size[i] > 1 ? step * w->dilation[i] : step;
    }
    out.size = 1;
    for (int i = 0; i < out.rank; i++)
        out.size *= out.shape[i];
    return out;
}

array windows_by_offset(const windows *w, const array *a)
{
    int axes[AD_MAX_RANK], lead = a->rank - 2 * w->n;
    for (int i = 0; i < a->rank; i++)
        axes[i] = i < lead ? i : i < lead + w->n ? i + w->n : i - w->n;
    return array_permuted(a, axes);
}

/* to += the windows, each where it lies */
static void windows_add(const windows *w, const array *to, const array *from)
{
    array places = windows_view(w, to), x = windows_by_offset(w, &places),
          y = windows_by_offset(w, from);
    array_add(&x, &y);
}

/* ---- windows ---- */

static ad_status windows_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0);
    b->out = windows_view(b->attr, &a);
    return AD_OK;
}

static ad_status windows_adjoint(frame *f, block *b, const array *g)
{
    array da = adjoint_zeroed(f, b, 0);
    if (no_memory(&da))
        return AD_NO_MEMORY;
    windows_add(b->attr, &da, g);
    return AD_OK;
}

static ad_status windows_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)f, (void)a, (void)y;
    if (!da[0]) {
        array_fill(dy, 0);
        return AD_OK;
    }
    array part = windows_view(b->attr, da[0]);
    array_copy(dy, &part);
    return AD_OK;
}

/* ---- the transpose: zeros, and the windows added up ---- */

static ad_status unwindows_value(frame *f, block *b)
{
    array a = block_arg(f, b, 0), y = block_result(f, b);
    array_fill(&y, 0);
    windows_add(b->attr, &y, &a);
    return AD_OK;
}

static ad_status unwindows_adjoint(frame *f, block *b, const array *g)
{
    array part = windows_view(b->attr, g);
    return adjoint_add(f, b, 0, &part);
}

static ad_status unwindows_tangent(frame *f, block *b, const array *a, const array *y,
                                   const array *const *da, array *dy)
{
    (void)f, (void)a, (void)y;
    array_fill(dy, 0);
    if (da[0])
        windows_add(b->attr, dy, da[0]);
    return AD_OK;
}

/* ---- recording ---- */

static void windows_record(rule *r);
static void unwindows_record(rule *r);

static const block_op windows_op = {.name = "windows",
                                    .value = windows_value,
                                    .adjoint = windows_adjoint,
                                    .tangent = windows_tangent,
                                    .record = windows_record,
                                    .is_view = true,
                                    .any_strides = true};
static const block_op unwindows_op = {.name = "unwindows",
                                      .value = unwindows_value,
                                      .adjoint = unwindows_adjoint,
                                      .tangent = unwindows_tangent,
                                      .record = unwindows_record,
                                      .any_strides = true};

/* `shape` is that of the result */
static ad_var windows_call(const block_op *op, const rule *r, const array *shape)
{
    call c;
    if (!call_begin(&c, op->name, r->tape, 1, &r->g))
        return call_poison(&c);
    return call_end(&c, op, -1, shape->dtype, shape->rank, shape->shape,
                    (call_attr){r->attr, sizeof(windows), 0});
}

static void windows_record(rule *r)
{
    array a = rule_argument(r, 0);
    r->da[0] = windows_call(&unwindows_op, r, &a);
}

static void unwindows_record(rule *r)
{
    array a = rule_argument(r, 0);
    r->da[0] = windows_call(&windows_op, r, &a);
}

/* one axis of a call: numbers that make sense, and a window that fits; else an error is on the tape
 */
static bool call_window(call *c, const windows *w, int i)
{
    const array *in = &c->in[0];
    int axis = in->rank - w->n + i;
    int64_t size = w->size[i], length = in->shape[axis];
    char text[SHAPE_TEXT];
    if (size < 1)
        call_fail(c, AD_BAD_ARGUMENT, "a window of %lld along axis %d", (long long)size, axis);
    else if (w->stride[i] < 1)
        call_fail(c, AD_BAD_ARGUMENT, "a stride of %lld along axis %d", (long long)w->stride[i],
                  axis);
    else if (w->dilation[i] < 1)
        call_fail(c, AD_BAD_ARGUMENT, "a dilation of %lld along axis %d", (long long)w->dilation[i],
                  axis);
    else if (length < 1 || (size > 1 && w->dilation[i] > (length - 1) / (size - 1)))
        call_fail(c, AD_BAD_SHAPE,
                  "%s: window %lld with dilation %lld is longer than axis %d of %lld",
                  shape_text(text, in->rank, in->shape), (long long)size, (long long)w->dilation[i],
                  axis, (long long)length);
    return c->ok;
}

ad_var ad_windows(ad_var a, int n, const int64_t *size, const int64_t *stride,
                  const int64_t *dilation)
{
    call c;
    char text[SHAPE_TEXT];
    if (!call_begin(&c, "windows", NULL, 1, &a))
        return call_poison(&c);
    const array *in = &c.in[0];
    if (n < 1 || n > in->rank)
        return call_fail(&c, AD_BAD_ARGUMENT, "over %d axes of %s", n,
                         shape_text(text, in->rank, in->shape));
    if (!size)
        return call_fail(&c, AD_NULL, "no sizes are given");
    windows w;
    memset(&w, 0, sizeof w); /* attributes may be compared as bytes */
    w.n = n;
    int64_t shape[2 * AD_MAX_RANK];
    for (int i = 0; i < in->rank; i++)
        shape[i] = in->shape[i];
    for (int i = 0; i < n; i++) {
        w.size[i] = size[i];
        w.stride[i] = stride ? stride[i] : 1;
        w.dilation[i] = dilation ? dilation[i] : 1;
        if (!call_window(&c, &w, i))
            return call_poison(&c);
        shape[in->rank - n + i] = windows_along(&w, i, in->shape[in->rank - n + i]);
        shape[in->rank + i] = size[i];
    }
    return call_end(&c, &windows_op, -1, in->dtype, in->rank + n, shape,
                    (call_attr){&w, sizeof w, 0});
}
