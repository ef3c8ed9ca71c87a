/* block_scan.c - running sums and products along an axis
 *
 * A scan walks each line along the axis (block_lines.h) once, in double; its adjoint walks it
 * backward. Magnitudes: the same walks with |x|. */
#define AD_PLAIN
#include "block_lines.h"

/* One line of doubles to another: y <- scan(x), or dx <- contributions from g. */
typedef void scan(int64_t n, const double *x, const double *g, double *out);

/* Applies it to every line of contiguous doubles; g may be NULL. */
static bool scan_lines(frame *f, scan *s, lines l, const double *x, const double *g, double *out)
{
    double *buffer = scratch_array(f, AD_F64, 1, (int64_t[]){3 * l.n}).data;
    if (l.n && !buffer)
        return false;
    double *xs = buffer, *gs = buffer + l.n, *ys = buffer + 2 * l.n;
    for (int64_t i = 0; i < l.count; i++) {
        int64_t at = line_at(&l, i);
        for (int64_t j = 0; j < l.n; j++) {
            xs[j] = x[at + j * l.step];
            gs[j] = g ? g[at + j * l.step] : 0;
        }
        s(l.n, xs, gs, ys);
        for (int64_t j = 0; j < l.n; j++)
            out[at + j * l.step] = ys[j];
    }
    return true;
}

static ad_status scan_value(frame *f, block *b, scan *s)
{
    array a = block_arg(f, b, 0), y = b->out;
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &a, AD_F64), out = y;
    if (y.dtype != AD_F64)
        out = scratch_array(f, AD_F64, y.rank, y.shape);
    if (y.size == 0)
        return AD_OK;
    if (!x.data || !out.data || !scan_lines(f, s, lines_of(&y, axis_of(b)), x.data, NULL, out.data))
        return AD_NO_MEMORY;
    if (out.data != y.data)
        array_copy(&y, &out);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status scan_adjoint(frame *f, block *b, const array *g, scan *s)
{
    bool fresh;
    array a = block_arg(f, b, 0), slot = adjoint_slot(f, b, 0, &fresh);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &a, AD_F64), seed = scratch_contiguous(f, g, AD_F64);
    array dx = scratch_array(f, AD_F64, a.rank, a.shape);
    if (f->magnitude) {
        array from = x;
        x = scratch_array(f, AD_F64, a.rank, a.shape);
        if (x.data && from.data)
            array_abs(&x, &from);
    }
    if (!x.data || !seed.data || !dx.data ||
        !scan_lines(f, s, lines_of(&slot, axis_of(b)), x.data, seed.data, dx.data))
        return AD_NO_MEMORY;
    if (fresh)
        array_copy(&slot, &dx);
    else
        array_add(&slot, &dx);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status scan_tangent(frame *f, block *b, const array *a, const array *const *da, array *dy,
                              scan *s)
{
    if (!da[0] || dy->size == 0) {
        array_fill(dy, 0);
        return AD_OK;
    }
    arena_mark mark = arena_here(f->scratch);
    if (!scan_lines(f, s, lines_of(dy, axis_of(b)), a[0].data, da[0]->data, dy->data))
        return AD_NO_MEMORY;
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* ---- cumsum ---- */

static void sums(int64_t n, const double *x, const double *g, double *y)
{
    (void)g;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        y[i] = sum += x[i];
}

static void sums_backward(int64_t n, const double *x, const double *g, double *dx)
{
    (void)x;
    double sum = 0;
    for (int64_t i = n - 1; i >= 0; i--)
        dx[i] = sum += g[i];
}

static void sums_forward(int64_t n, const double *x, const double *dx, double *dy)
{
    sums(n, dx, x, dy);
}

static ad_status cumsum_value(frame *f, block *b) { return scan_value(f, b, sums); }

static ad_status cumsum_adjoint(frame *f, block *b, const array *g)
{
    return scan_adjoint(f, b, g, sums_backward);
}

static ad_status cumsum_tangent(frame *f, block *b, const array *a, const array *y,
                                const array *const *da, array *dy)
{
    (void)y;
    return scan_tangent(f, b, a, da, dy, sums_forward);
}

static void cumsum_record(rule *r)
{
    int axis = *(const int *)r->attr;
    r->da[0] = ad_flip(ad_cumsum(ad_flip(r->g, axis), axis), axis);
}

/* ---- cumprod ---- */

static void products(int64_t n, const double *x, const double *g, double *y)
{
    (void)g;
    double product = 1;
    for (int64_t i = 0; i < n; i++)
        y[i] = product *= x[i];
}

/* y[k] holds x[j] for k >= j: dx[j] is what is before j times s[j] = g[j] + x[j+1] s[j+1], the sum
 * of g[k] times what lies between. No division, so that zeros do no harm. */
static void products_backward(int64_t n, const double *x, const double *g, double *dx)
{
    double s = 0, before = 1;
    for (int64_t j = n - 1; j >= 0; j--) {
        dx[j] = s = g[j] + (s == 0 ? 0 : x[j + 1] * s);
    }
    for (int64_t j = 0; j < n; j++) {
        dx[j] = dx[j] == 0 ? 0 : before * dx[j];
        before *= x[j];
    }
}

static void products_forward(int64_t n, const double *x, const double *dx, double *dy)
{
    double y = 1, tangent = 0;
    for (int64_t i = 0; i < n; i++) {
        dy[i] = tangent = tangent * x[i] + y * dx[i];
        y *= x[i];
    }
}

static ad_status cumprod_value(frame *f, block *b) { return scan_value(f, b, products); }

static ad_status cumprod_adjoint(frame *f, block *b, const array *g)
{
    return scan_adjoint(f, b, g, products_backward);
}

static ad_status cumprod_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)y;
    return scan_tangent(f, b, a, da, dy, products_forward);
}

/* (m,n) -> (m,n): what is before each element */
static ad_var before(ad_var x, int64_t n)
{
    return ad_cumprod(ad_pad(ad_slice(x, 1, 0, n - 1, 1), (int64_t[]){0, 1}, (int64_t[]){0, 0}, 1),
                      1);
}

/* (m,n) -> (m,n,n): the products of what lies behind j up to k, for k >= j, else 0: running
 * products of rows in which everything up to j is 1 */
static ad_var between(const rule *r, ad_var x, int64_t m, int64_t n)
{
    double one = 1;
    float onef = 1;
    ad_dtype dtype = r->b->out.dtype;
    const void *data = dtype == AD_F64 ? (const void *)&one : &onef;
    ad_var ones = ad_constant_array(r->tape, dtype, 2, (int64_t[]){1, 1}, data);
    ad_var rows = ad_expand(ad_reshape(x, 3, (int64_t[]){m, 1, n}), 3, (int64_t[]){m, n, n});
    ad_var factors = ad_add(ad_triu(rows, 1), ad_tril(ad_expand(ones, 2, (int64_t[]){n, n}), 0));
    return ad_triu(ad_cumprod(factors, 2), 0);
}

/* The same sums as products_backward's, as a matrix: n^2 numbers a line, but it can be
 * differentiated again. */
static void cumprod_record(rule *r)
{
    int axis = *(const int *)r->attr, order[AD_MAX_RANK], back[AD_MAX_RANK], k = 0;
    array y = r->b->out;
    int64_t n = y.shape[axis], m = lines_of(&y, axis).count;
    if (y.size == 0)
        return;
    for (int i = 0; i < y.rank; i++)
        if (i != axis)
            order[k++] = i;
    order[k] = axis;
    for (int i = 0; i < y.rank; i++)
        back[order[i]] = i;
    array moved = array_permuted(&y, order);
    ad_var x = ad_reshape(ad_permute(r->a[0], order), 2, (int64_t[]){m, n});
    ad_var g = ad_reshape(ad_permute(r->g, order), 3, (int64_t[]){m, 1, n});
    ad_var s = ad_sum_axes(ad_mulz(g, between(r, x, m, n)), 1, (int[]){2}, false);
    ad_var dx = ad_mulz(s, before(x, n));
    r->da[0] = ad_permute(ad_reshape(dx, moved.rank, moved.shape), back);
}

/* ---- recording ---- */

static const block_op cumsum_op = {.name = "cumsum",
                                   .value = cumsum_value,
                                   .adjoint = cumsum_adjoint,
                                   .tangent = cumsum_tangent,
                                   .record = cumsum_record};
static const block_op cumprod_op = {.name = "cumprod",
                                    .value = cumprod_value,
                                    .adjoint = cumprod_adjoint,
                                    .tangent = cumprod_tangent,
                                    .record = cumprod_record};

static ad_var record_scan(const block_op *op, ad_var a, int axis)
{
    call c;
    if (!call_begin(&c, op->name, NULL, 1, &a) || !call_float(&c, 0) ||
        (axis = call_axis(&c, axis, c.in[0].rank)) < 0)
        return call_poison(&c);
    return call_end(&c, op, -1, c.in[0].dtype, c.in[0].rank, c.in[0].shape,
                    (call_attr){&axis, sizeof axis, 0});
}

ad_var ad_cumsum(ad_var a, int axis) { return record_scan(&cumsum_op, a, axis); }

ad_var ad_cumprod(ad_var a, int axis) { return record_scan(&cumprod_op, a, axis); }
