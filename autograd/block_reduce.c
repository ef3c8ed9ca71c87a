/* block_reduce.c - reductions: sum, mean, prod, extremes, norm, logsumexp, variance
 *
 * Any reduction is one of rows: with the reduced axes moved behind the kept ones, an array is a
 * matrix whose rows become one number each. So a reduction is three functions of a row of doubles -
 * value, adjoint, tangent - and a recorded rule; moving, converting and adding to cotangents
 * happens once for all of them. Rows of float tensors are converted, so that every sum is in
 * double; sum and mean, which are called most, read what they can where it lies. Long sums are
 * halved, so that their rounding error grows with the logarithm of their length.
 *
 * Over all axes, without keep, the result is a scalar in double. Rows without elements: sum 0, prod
 * 1, norm 0, logsumexp -inf, mean and variance NaN; they have no extreme. A row whose cotangent is
 * 0 gets zeros, whatever is in it. Magnitudes are |g| |J|, and for variance and deviation,
 * where x - mean cancels, |g| times the sum of the magnitudes of its terms. */
#define AD_PLAIN
#include "tape.h"
#include <stdlib.h>

typedef struct reduce_attr {
    uint32_t axes; /* bit i: axis i is reduced */
    bool keep;
    int correction;
} reduce_attr;

typedef struct reduction {
    block_op op; /* first: blocks point to it */
    double (*value)(int64_t n, const double *x, int correction);
    /* writes dx; g is not 0 */
    void (*adjoint)(int64_t n, const double *x, double g, int correction, bool magnitude,
                    double *dx);
    double (*tangent)(int64_t n, const double *x, const double *dx, int correction);
    bool extreme; /* needs an element, and remembers which */
} reduction;

static const reduction *reduction_of(const block *b)
{
    return (const reduction *)(const void *)b->op;
}

/* ---- rows ---- */

typedef struct rows {
    array a;                /* kept axes, then reduced ones */
    int kept;               /* how many are kept */
    int order[AD_MAX_RANK]; /* the axes of a in the argument */
    int64_t count, n;       /* rows, and their length */
} rows;

static rows rows_of(const array *a, uint32_t axes)
{
    rows r = {.count = 1, .n = 1};
    int k = 0;
    for (int i = 0; i < a->rank; i++)
        if (!(axes >> i & 1)) {
            r.order[k++] = i;
            r.count *= a->shape[i];
        }
    r.kept = k;
    for (int i = 0; i < a->rank; i++)
        if (axes >> i & 1) {
            r.order[k++] = i;
            r.n *= a->shape[i];
        }
    r.a = array_permuted(a, r.order);
    return r;
}

static ad_status value_by_rows(frame *f, block *b)
{
    const reduce_attr *attr = b->attr;
    array a = block_arg(f, b, 0), y = block_result(f, b);
    rows r = rows_of(&a, attr->axes);
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &r.a, AD_F64);
    if (x.size && !x.data)
        return AD_NO_MEMORY;
    const double *row = x.data;
    for (int64_t i = 0; i < r.count; i++)
        array_put(&y, i,
                  reduction_of(b)->value(r.n, x.size ? row + i * r.n : NULL, attr->correction));
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* Adds the contributions of rows, or hands them out where the slot holds nothing yet. */
static ad_status adjoint_by_rows(frame *f, block *b, const array *g)
{
    const reduce_attr *attr = b->attr;
    bool fresh;
    array a = block_arg(f, b, 0), slot = adjoint_slot(f, b, 0, &fresh);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    rows r = rows_of(&a, attr->axes);
    arena_mark mark = arena_here(f->scratch);
    array to = array_permuted(&slot, r.order), x = scratch_contiguous(f, &r.a, AD_F64);
    bool direct = fresh && to.dtype == AD_F64 && array_contiguous(&to);
    array d = direct ? to : scratch_array(f, AD_F64, to.rank, to.shape);
    if (!x.data || !d.data)
        return AD_NO_MEMORY;
    const double *row = x.data;
    double *dx = d.data;
    for (int64_t i = 0; i < r.count; i++, row += r.n, dx += r.n) {
        double seed = array_get(g, i);
        if (seed != 0)
            reduction_of(b)->adjoint(r.n, row, seed, attr->correction, f->magnitude, dx);
        else
            for (int64_t j = 0; j < r.n; j++)
                dx[j] = 0;
    }
    if (!direct && fresh)
        array_copy(&to, &d);
    else if (!direct)
        array_add(&to, &d);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status tangent_by_rows(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)y;
    const reduce_attr *attr = b->attr;
    if (!da[0] || a[0].size == 0) {
        array_fill(dy, 0);
        return AD_OK;
    }
    rows r = rows_of(&a[0], attr->axes), dr = rows_of(da[0], attr->axes);
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &r.a, AD_F64), dx = scratch_contiguous(f, &dr.a, AD_F64);
    if (!x.data || !dx.data)
        return AD_NO_MEMORY;
    for (int64_t i = 0; i < r.count; i++)
        array_put(dy, i,
                  reduction_of(b)->tangent(r.n, (double *)x.data + i * r.n,
                                           (double *)dx.data + i * r.n, attr->correction));
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* the smallest result, for those with a kink at 0 */
static double kink_at_zero(frame *f, block *b)
{
    array y = block_result(f, b);
    double nearest = (double)INFINITY;
    for (int64_t i = 0; i < y.size; i++)
        nearest = fmin(nearest, fabs(array_get(&y, i)));
    return nearest;
}

/* Sums over a row of terms in d = x - shift, halved. */
#define SUM_OF(name, term)                                                                         \
    static double name(int64_t n, const double *x, double shift)                                   \
    {                                                                                              \
        if (n > HALVED)                                                                            \
            return name(n / 2, x, shift) + name(n - n / 2, x + n / 2, shift);                      \
        double sum[4] = {0}, rest = 0; /* four: one would wait for each addition */                \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= n; i += 4)                                                                 \
            for (int j = 0; j < 4; j++) {                                                          \
                double d = x[i + j] - shift;                                                       \
                sum[j] += term;                                                                    \
            }                                                                                      \
        for (; i < n; i++) {                                                                       \
            double d = x[i] - shift;                                                               \
            rest += term;                                                                          \
        }                                                                                          \
        return (sum[0] + sum[2]) + (sum[1] + sum[3]) + rest;                                       \
    }
enum { HALVED = 256 };
SUM_OF(sum_shifted, d)
SUM_OF(sum_squares, d *d)
SUM_OF(sum_exp, exp(d))
#undef SUM_OF

/* ---- for recorded rules ---- */

/* g or y so that it broadcasts to the argument: with reduced axes of size 1, or a scalar */
static ad_var with_axes(const rule *r, ad_var v)
{
    const reduce_attr *attr = r->attr;
    array a = block_arg(&r->tape->frame, r->b, 0);
    if (attr->keep || r->b->out.rank == 0)
        return v;
    for (int i = 0; i < a.rank; i++)
        if (attr->axes >> i & 1)
            a.shape[i] = 1;
    return ad_reshape(v, a.rank, a.shape);
}

static rows rows_of_rule(const rule *r)
{
    array a = block_arg(&r->tape->frame, r->b, 0);
    return rows_of(&a, ((const reduce_attr *)r->attr)->axes);
}

/* The argument as the matrix of its rows, and back. */
static ad_var flattened(const rule *r)
{
    rows p = rows_of_rule(r);
    ad_var a = p.a.rank > 1 ? ad_permute(r->a[0], p.order) : r->a[0];
    return ad_reshape(a, 2, (int64_t[]){p.count, p.n});
}

static ad_var unflattened(const rule *r, ad_var v)
{
    rows p = rows_of_rule(r);
    int back[AD_MAX_RANK];
    for (int i = 0; i < p.a.rank; i++)
        back[p.order[i]] = i;
    v = ad_reshape(v, p.a.rank, p.a.shape);
    return p.a.rank > 1 ? ad_permute(v, back) : v;
}

/* g or y as a column beside it; a scalar stays one, since it may be double where the argument is
 * float */
static ad_var column(const rule *r, ad_var v)
{
    rows p = rows_of_rule(r);
    return r->b->out.rank == 0 ? v : ad_reshape(v, 2, (int64_t[]){p.count, 1});
}

/* a matrix of one number, of the argument's dtype, in no more memory than that */
static ad_var filled(const rule *r, double value, int64_t m, int64_t n)
{
    array a = block_arg(&r->tape->frame, r->b, 0);
    float valuef = (float)value;
    const void *data = a.dtype == AD_F64 ? (const void *)&value : &valuef;
    ad_var one = ad_constant_array(r->tape, a.dtype, 2, (int64_t[]){1, 1}, data);
    return ad_expand(one, 2, (int64_t[]){m, n});
}

/* x - mean over the reduced axes */
static ad_var centred(const rule *r)
{
    const reduce_attr *attr = r->attr;
    int axes[AD_MAX_RANK], n = 0;
    for (int i = 0; i < AD_MAX_RANK; i++)
        if (attr->axes >> i & 1)
            axes[n++] = i;
    return ad_sub(r->a[0], n ? ad_mean_axes(r->a[0], n, axes, true) : ad_mean(r->a[0]));
}

/* ---- sum and mean ---- */

/* sum_*: one row. columns_*: `width` of them beside one another, up to MOST_COLUMNS. */
enum { MOST_COLUMNS = 256 };
#define SUMS(T, name)                                                                              \
    static double sum_##name(int64_t n, const T *x, int64_t step)                                  \
    {                                                                                              \
        if (n > HALVED) {                                                                          \
            int64_t half = n / 16 * 8;                                                             \
            return sum_##name(half, x, step) + sum_##name(n - half, x + half * step, step);        \
        }                                                                                          \
        double sum[8] = {0};                                                                       \
        int64_t i = 0;                                                                             \
        if (step == 1)                                                                             \
            for (; i + 8 <= n; i += 8)                                                             \
                for (int j = 0; j < 8; j++)                                                        \
                    sum[j] += (double)x[i + j];                                                    \
        for (; i < n; i++)                                                                         \
            sum[i % 8] += (double)x[i * step];                                                     \
        return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));  \
    }                                                                                              \
    static void columns_##name(int64_t n, const T *x, int64_t step, int64_t width, int64_t across, \
                               double *restrict sum)                                               \
    {                                                                                              \
        for (int64_t j = 0; j < width; j++)                                                        \
            sum[j] = 0;                                                                            \
        if (n > HALVED) {                                                                          \
            double other[MOST_COLUMNS];                                                            \
            int64_t half = n / 2;                                                                  \
            columns_##name(half, x, step, width, across, sum);                                     \
            columns_##name(n - half, x + half * step, step, width, across, other);                 \
            for (int64_t j = 0; j < width; j++)                                                    \
                sum[j] += other[j];                                                                \
            return;                                                                                \
        }                                                                                          \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= n && across == 1; i += 4, x += 4 * step)                                   \
            for (int64_t j = 0; j < width; j++)                                                    \
                sum[j] += ((double)x[j] + (double)x[j + step]) +                                   \
                          ((double)x[j + 2 * step] + (double)x[j + 3 * step]);                     \
        for (; i < n; i++, x += step)                                                              \
            if (across == 1)                                                                       \
                for (int64_t j = 0; j < width; j++)                                                \
                    sum[j] += (double)x[j];                                                        \
            else                                                                                   \
                for (int64_t j = 0; j < width; j++)                                                \
                    sum[j] += (double)x[j * across];                                               \
    }
SUMS(double, f64)
SUMS(float, f32)
#undef SUMS

static double sum_row(const array *a, int64_t offset, int64_t n, int64_t step)
{
    return a->dtype == AD_F64 ? sum_f64(n, (const double *)a->data + offset, step)
                              : sum_f32(n, (const float *)a->data + offset, step);
}

/* Neighbouring rows: one by one where a row is the denser way through memory, else as columns. */
static void sum_rows(const array *a, int64_t offset, int64_t count, int64_t apart, int64_t n,
                     int64_t step, double scale, const array *y, int64_t first)
{
    double sum[MOST_COLUMNS];
    if (llabs((long long)step) <= llabs((long long)apart) || n == 1) {
        for (int64_t i = 0; i < count; i++)
            array_put(y, first + i, sum_row(a, offset + i * apart, n, step) / scale);
        return;
    }
    for (int64_t i = 0; i < count; i += MOST_COLUMNS) {
        int64_t width = count - i < MOST_COLUMNS ? count - i : MOST_COLUMNS,
                at = offset + i * apart;
        if (a->dtype == AD_F64)
            columns_f64(n, (const double *)a->data + at, step, width, apart, sum);
        else
            columns_f32(n, (const float *)a->data + at, step, width, apart, sum);
        for (int64_t j = 0; j < width; j++)
            array_put(y, first + i + j, sum[j] / scale);
    }
}

static void swap_axes(array *a, int i, int j)
{
    int64_t shape = a->shape[i], stride = a->stride[i];
    a->shape[i] = a->shape[j], a->stride[i] = a->stride[j];
    a->shape[j] = shape, a->stride[j] = stride;
}

/* Puts the reduced axes, whose order is free, as they lie in memory. Have they one stride? */
static bool one_stride(rows *r, int64_t *step)
{
    int64_t next = 0;
    bool first = true; /* a stride may be 0 */
    *step = 1;
    for (int i = r->kept; i < r->a.rank; i++)
        for (int j = i; j > r->kept && r->a.stride[j] > r->a.stride[j - 1]; j--)
            swap_axes(&r->a, j, j - 1);
    for (int i = r->a.rank - 1; i >= r->kept; i--) {
        if (r->a.shape[i] == 1)
            continue;
        if (first)
            *step = r->a.stride[i];
        else if (r->a.stride[i] != next)
            return false;
        next = r->a.stride[i] * r->a.shape[i];
        first = false;
    }
    return true;
}

static ad_status sum_scaled(frame *f, block *b, bool mean)
{
    array a = block_arg(f, b, 0), y = block_result(f, b);
    rows r = rows_of(&a, ((const reduce_attr *)b->attr)->axes);
    arena_mark mark = arena_here(f->scratch);
    double scale = mean ? (double)r.n : 1;
    int64_t step;
    if (a.size == 0) {
        array_fill(&y, 0 / scale);
        return AD_OK;
    }
    if (!one_stride(&r, &step)) {
        r.a = scratch_contiguous(f, &r.a, AD_F64);
        step = 1;
    }
    if (!r.a.data)
        return AD_NO_MEMORY;
    array leading = r.a;
    leading.rank = r.kept > 0 ? r.kept - 1 : 0;
    int64_t beside = r.kept > 0 ? r.a.shape[r.kept - 1] : 1;
    int64_t apart = r.kept > 0 ? r.a.stride[r.kept - 1] : r.n;
    for (int64_t i = 0; i < r.count; i += beside)
        sum_rows(&r.a, array_offset(&leading, i / beside), beside, apart, r.n, step, scale, &y, i);
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status sum_value(frame *f, block *b) { return sum_scaled(f, b, false); }

static ad_status mean_value(frame *f, block *b) { return sum_scaled(f, b, true); }

/* g, divided, spread over the reduced axes */
static ad_status spread(frame *f, block *b, const array *g, bool mean)
{
    const reduce_attr *attr = b->attr;
    array a = block_arg(f, b, 0), from = *g;
    rows r = rows_of(&a, attr->axes);
    if (a.size == 0)
        return AD_OK;
    if (mean) {
        from = scratch_array(f, g->dtype, g->rank, g->shape);
        if (!from.data)
            return AD_NO_MEMORY;
        for (int64_t i = 0; i < r.count; i++)
            array_put(&from, i, array_get(g, i) / (double)r.n);
    }
    array over = a;
    int64_t stride = 1;
    for (int i = a.rank - 1; i >= 0; i--) {
        bool reduced = attr->axes >> i & 1;
        over.stride[i] = reduced ? 0 : stride;
        stride *= reduced ? 1 : a.shape[i];
    }
    over.data = from.data;
    over.dtype = from.dtype;
    return adjoint_add(f, b, 0, &over);
}

static ad_status sum_adjoint(frame *f, block *b, const array *g) { return spread(f, b, g, false); }

static ad_status mean_adjoint(frame *f, block *b, const array *g) { return spread(f, b, g, true); }

static double sum_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return sum_f64(n, x, 1);
}

static double sum_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)x, (void)correction;
    return sum_f64(n, dx, 1);
}

static void sum_record(rule *r) { r->da[0] = with_axes(r, r->g); }

static double mean_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return sum_f64(n, x, 1) / (double)n;
}

static double mean_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)x, (void)correction;
    return sum_f64(n, dx, 1) / (double)n;
}

static void mean_record(rule *r)
{
    r->da[0] = ad_div(with_axes(r, r->g), ad_constant((double)rows_of_rule(r).n));
}

/* ---- prod ---- */

static double prod_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    double y = 1;
    for (int64_t i = 0; i < n; i++)
        y *= x[i];
    return y;
}

/* The product of the others: of those before times of those behind, exact where some are 0. */
static void prod_adjoint(int64_t n, const double *x, double g, int correction, bool magnitude,
                         double *dx)
{
    (void)correction;
    double before = g, behind = 1;
    for (int64_t i = 0; i < n; i++) {
        dx[i] = before;
        before *= x[i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        dx[i] *= behind;
        behind *= x[i];
        if (magnitude)
            dx[i] = fabs(dx[i]);
    }
}

static double prod_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)correction;
    double y = 1, dy = 0;
    for (int64_t i = 0; i < n; i++) {
        dy = dy * x[i] + y * dx[i];
        y *= x[i];
    }
    return dy;
}

/* the product of all before, in rows of a matrix */
static ad_var before(ad_var x, int64_t n)
{
    ad_var shifted = ad_pad(ad_slice(x, 1, 0, n - 1, 1), (int64_t[]){0, 1}, (int64_t[]){0, 0}, 1);
    return ad_cumprod(shifted, 1);
}

static void prod_record(rule *r)
{
    rows p = rows_of_rule(r);
    if (p.n == 0)
        return;
    ad_var x = flattened(r);
    ad_var behind = ad_flip(before(ad_flip(x, 1), p.n), 1);
    ad_var others = ad_mul(before(x, p.n), behind);
    r->da[0] = unflattened(r, ad_mulz(column(r, r->g), others));
}

/* ---- amax and amin ---- */

/* The first of the largest (smallest) elements; the first NaN if there is one. */
static int64_t first_extreme(int64_t n, const double *x, bool least)
{
    int64_t best = 0;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return i;
        if (least ? x[i] < x[best] : x[i] > x[best])
            best = i;
    }
    return best;
}

/* index[i] <- place of the extreme in row i; and its value to y, unless y is NULL */
static ad_status extremes(frame *f, block *b, bool least, int64_t *index, const array *y)
{
    array a = block_arg(f, b, 0);
    rows r = rows_of(&a, ((const reduce_attr *)b->attr)->axes);
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &r.a, AD_F64);
    if (x.size && !x.data)
        return AD_NO_MEMORY;
    const double *row = x.data;
    for (int64_t i = 0; i < r.count && x.size; i++, row += r.n) {
        index[i] = first_extreme(r.n, row, least);
        if (y)
            array_put(y, i, row[index[i]]);
    }
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status amax_value(frame *f, block *b)
{
    array y = block_result(f, b);
    return extremes(f, b, false, b->saved, &y);
}

static ad_status amin_value(frame *f, block *b)
{
    array y = block_result(f, b);
    return extremes(f, b, true, b->saved, &y);
}

static ad_status extreme_adjoint(frame *f, block *b, const array *g)
{
    const int64_t *index = b->saved;
    array slot = adjoint_zeroed(f, b, 0);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    rows r = rows_of(&slot, ((const reduce_attr *)b->attr)->axes);
    for (int64_t i = 0; i < r.count; i++) {
        int64_t at = array_offset(&r.a, i * r.n + index[i]);
        array_put(&slot, at, array_get(&slot, at) + array_get(g, i));
    }
    return AD_OK;
}

static double amax_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return x[first_extreme(n, x, false)];
}

static double amin_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return x[first_extreme(n, x, true)];
}

static double amax_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)correction;
    return dx[first_extreme(n, x, false)];
}

static double amin_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)correction;
    return dx[first_extreme(n, x, true)];
}

static void extreme_record(rule *r, ad_var (*find)(ad_var, int))
{
    rows p = rows_of_rule(r);
    ad_var place = ad_reshape(find(flattened(r), 1), 2, (int64_t[]){p.count, 1});
    ad_var mask = ad_scatter_add(filled(r, 0, p.count, p.n), 1, place, filled(r, 1, p.count, 1));
    r->da[0] = unflattened(r, ad_mulz(column(r, r->g), mask));
}

static void amax_record(rule *r) { extreme_record(r, ad_argmax); }

static void amin_record(rule *r) { extreme_record(r, ad_argmin); }

/* the smallest distance between an extreme and the next element */
static double extreme_kink(frame *f, block *b)
{
    array a = block_arg(f, b, 0);
    rows r = rows_of(&a, ((const reduce_attr *)b->attr)->axes);
    const int64_t *index = b->saved;
    double nearest = (double)INFINITY;
    for (int64_t i = 0; i < r.count; i++) {
        double best = array_get(&r.a, array_offset(&r.a, i * r.n + index[i]));
        for (int64_t j = 0; j < r.n; j++)
            if (j != index[i])
                nearest =
                    fmin(nearest, fabs(best - array_get(&r.a, array_offset(&r.a, i * r.n + j))));
    }
    return nearest;
}

/* ---- norm ---- */

static double norm_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    double sum = sum_squares(n, x, 0), most = 0;
    if (sum > 1e-280 && sum < 1e300)
        return sqrt(sum);
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return x[i];
        most = fmax(most, fabs(x[i]));
    }
    if (most == 0 || isinf(most))
        return most;
    int exponent;
    frexp(most, &exponent); /* a power of two: scaling is exact */
    sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double scaled = ldexp(x[i], -exponent);
        sum += scaled * scaled;
    }
    return ldexp(sqrt(sum), exponent);
}

static void norm_adjoint(int64_t n, const double *x, double g, int correction, bool magnitude,
                         double *dx)
{
    double y = norm_of(n, x, correction);
    for (int64_t i = 0; i < n; i++) {
        dx[i] = y == 0 ? 0 : g * (x[i] / y);
        if (magnitude)
            dx[i] = fabs(dx[i]);
    }
}

static double norm_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    double y = norm_of(n, x, correction), dy = 0;
    for (int64_t i = 0; i < n && y != 0; i++)
        dy += x[i] / y * dx[i];
    return dy;
}

static void norm_record(rule *r)
{
    r->da[0] = ad_mulz(with_axes(r, r->g), ad_divz(r->a[0], with_axes(r, r->y)));
}

/* ---- logsumexp ---- */

static double largest(int64_t n, const double *x)
{
    return n ? x[first_extreme(n, x, false)] : -(double)INFINITY;
}

static double logsumexp_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    double most = largest(n, x);
    return isfinite(most) ? most + log(sum_exp(n, x, most)) : most;
}

/* g times the softmax. A row of -inf has no gradient; of elements of +inf each gets the same. */
static void logsumexp_adjoint(int64_t n, const double *x, double g, int correction, bool magnitude,
                              double *dx)
{
    (void)correction, (void)magnitude; /* the softmax is its own magnitude */
    double most = largest(n, x);
    for (int64_t i = 0; i < n; i++)
        dx[i] = x[i] == most ? 1 : exp(x[i] - most);
    double sum = sum_f64(n, dx, 1), none = -(double)INFINITY;
    for (int64_t i = 0; i < n; i++)
        dx[i] = most == none ? 0 : g * (dx[i] / sum);
}

static double logsumexp_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    double y = logsumexp_of(n, x, correction), dy = 0, same = 0;
    for (int64_t i = 0; i < n && isinf(y); i++)
        if (y > 0 && x[i] == y) {
            dy += dx[i];
            same++;
        }
    if (isinf(y))
        return same > 0 ? dy / same : 0;
    for (int64_t i = 0; i < n; i++)
        dy += exp(x[i] - y) * dx[i];
    return dy;
}

static void logsumexp_record(rule *r)
{
    ad_var live = ad_greater(column(r, r->y), ad_constant(-(double)INFINITY));
    ad_var weights = ad_softmax(ad_where(live, flattened(r), ad_constant(0)), 1);
    r->da[0] = unflattened(r, ad_mulz(ad_mulz(column(r, r->g), live), weights));
}

/* ---- variance and deviation ---- */

/* The mean, by way of the first element, so that equal elements have a variance of exactly 0. */
static double mean_shifted(int64_t n, const double *x)
{
    return n ? x[0] + sum_shifted(n, x, x[0]) / (double)n : (double)NAN;
}

static double var_of(int64_t n, const double *x, int correction)
{
    double mean = mean_shifted(n, x), squares = sum_squares(n, x, mean);
    double rest = sum_shifted(n, x, mean); /* what rounding has left in the mean */
    return n > correction ? (squares - rest * rest / (double)n) / (double)(n - correction)
                          : (double)NAN;
}

/* dx = scale (x - mean); its magnitude has those of all that the mean was made from */
static void scaled_deviations(int64_t n, const double *x, double scale, bool magnitude, double *dx)
{
    double mean = mean_shifted(n, x), all = fabs(x[0]);
    for (int64_t i = 0; i < n && magnitude; i++)
        all += fabs(x[i]) / (double)n;
    for (int64_t i = 0; i < n; i++)
        dx[i] = scale * (magnitude ? fabs(x[i]) + all : x[i] - mean);
}

static void var_adjoint(int64_t n, const double *x, double g, int correction, bool magnitude,
                        double *dx)
{
    double scale = n > correction ? 2 * g / (double)(n - correction) : (double)NAN;
    scaled_deviations(n, x, scale, magnitude, dx);
}

static double var_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    double mean = mean_shifted(n, x), dmean = mean_shifted(n, dx), dy = 0;
    for (int64_t i = 0; i < n; i++)
        dy += (x[i] - mean) * (dx[i] - dmean);
    return n > correction ? 2 * dy / (double)(n - correction) : (double)NAN;
}

static void var_record(rule *r)
{
    int64_t n = rows_of_rule(r).n, correction = ((const reduce_attr *)r->attr)->correction;
    double scale = n > correction ? 2 / (double)(n - correction) : (double)NAN;
    r->da[0] = ad_mulz(ad_mulz(with_axes(r, r->g), ad_constant(scale)), centred(r));
}

static double std_of(int64_t n, const double *x, int correction)
{
    return sqrt(var_of(n, x, correction));
}

/* 0 where all elements are equal */
static void std_adjoint(int64_t n, const double *x, double g, int correction, bool magnitude,
                        double *dx)
{
    double y = std_of(n, x, correction);
    double scale = y == 0 ? 0 : g / ((double)(n - correction) * y);
    scaled_deviations(n, x, scale, magnitude, dx);
}

static double std_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    double y = std_of(n, x, correction);
    return y == 0 ? 0 : var_tangent(n, x, dx, correction) / (2 * y);
}

static void std_record(rule *r)
{
    int64_t n = rows_of_rule(r).n, correction = ((const reduce_attr *)r->attr)->correction;
    ad_var y = with_axes(r, r->y);
    ad_var slope = ad_div(centred(r), ad_mul(y, ad_constant((double)(n - correction))));
    slope = ad_where(ad_equal(y, ad_constant(0)), ad_constant(0), slope);
    r->da[0] = ad_mulz(with_axes(r, r->g), slope);
}

/* ---- the reductions ---- */

#define BY_ROWS(n, k)                                                                              \
    {                                                                                              \
        .name = #n, .value = value_by_rows, .adjoint = adjoint_by_rows,                            \
        .tangent = tangent_by_rows, .record = n##_record, .kink = k                                \
    }
static const reduction sum_reduction = {{.name = "sum",
                                         .value = sum_value,
                                         .adjoint = sum_adjoint,
                                         .tangent = tangent_by_rows,
                                         .record = sum_record},
                                        sum_of,
                                        NULL,
                                        sum_tangent,
                                        false},
                       mean_reduction = {{.name = "mean",
                                          .value = mean_value,
                                          .adjoint = mean_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = mean_record},
                                         mean_of,
                                         NULL,
                                         mean_tangent,
                                         false},
                       amax_reduction = {{.name = "amax",
                                          .value = amax_value,
                                          .adjoint = extreme_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = amax_record,
                                          .kink = extreme_kink},
                                         amax_of,
                                         NULL,
                                         amax_tangent,
                                         true},
                       amin_reduction = {{.name = "amin",
                                          .value = amin_value,
                                          .adjoint = extreme_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = amin_record,
                                          .kink = extreme_kink},
                                         amin_of,
                                         NULL,
                                         amin_tangent,
                                         true},
                       prod_reduction = {BY_ROWS(prod, NULL), prod_of, prod_adjoint, prod_tangent,
                                         false},
                       norm_reduction = {BY_ROWS(norm, kink_at_zero), norm_of, norm_adjoint,
                                         norm_tangent, false},
                       logsumexp_reduction = {BY_ROWS(logsumexp, NULL), logsumexp_of,
                                              logsumexp_adjoint, logsumexp_tangent, false},
                       var_reduction = {{.name = "var_of",
                                         .value = value_by_rows,
                                         .adjoint = adjoint_by_rows,
                                         .tangent = tangent_by_rows,
                                         .record = var_record},
                                        var_of,
                                        var_adjoint,
                                        var_tangent,
                                        false},
                       std_reduction = {BY_ROWS(std, kink_at_zero), std_of, std_adjoint,
                                        std_tangent, false};
#undef BY_ROWS

/* The axes as bits: n = 0 means all. false: an error is on the tape. */
static bool call_axes(call *c, int n, const int *axes, uint32_t *bits)
{
    int rank = c->in[0].rank;
    *bits = n > 0 ? 0 : (1u << rank) - 1;
    if (n < 0 || (n > 0 && !axes)) {
        call_fail(c, n < 0 ? AD_BAD_ARGUMENT : AD_NULL,
                  n < 0 ? "%d axes" : "%d axes, but none given", n);
        return false;
    }
    for (int i = 0; i < n; i++) {
        int axis = call_axis(c, axes[i], rank);
        if (axis < 0)
            return false;
        if (*bits >> axis & 1) {
            call_fail(c, AD_BAD_AXIS, "axis %d is named twice", axis);
            return false;
        }
        *bits |= 1u << axis;
    }
    return true;
}

/* An extreme needs an element. */
static bool call_elements(call *c, uint32_t axes)
{
    char text[SHAPE_TEXT];
    rows r = rows_of(&c->in[0], axes);
    for (int i = 0; i < c->in[0].rank && r.n == 0 && r.count > 0; i++)
        if (axes >> i & 1 && c->in[0].shape[i] == 0) {
            call_fail(c, AD_BAD_SHAPE, "%s: no element along axis %d",
                      shape_text(text, c->in[0].rank, c->in[0].shape), i);
            return false;
        }
    return true;
}

static ad_var reduce(const reduction *to, ad_var a, int n, const int *axes, bool keep,
                     int correction)
{
    call c;
    reduce_attr attr = {.keep = keep, .correction = correction};
    if (is_constant(a) && n == 0)
        return ad_constant(to->value(1, &a.u.constant, correction));
    if (!call_begin(&c, to->op.name, NULL, 1, &a) || !call_float(&c, 0) ||
        !call_axes(&c, n, axes, &attr.axes) || (to->extreme && !call_elements(&c, attr.axes)))
        return call_poison(&c);
    const array *x = &c.in[0];
    int64_t shape[AD_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (keep || !(attr.axes >> i & 1))
            shape[rank++] = attr.axes >> i & 1 ? 1 : x->shape[i];
    size_t saved = to->extreme ? (size_t)rows_of(x, attr.axes).count * sizeof(int64_t) : 0;
    return call_end(&c, &to->op, -1, rank ? x->dtype : AD_F64, rank, shape,
                    (call_attr){&attr, sizeof attr, saved});
}

#define REDUCTION(name, row)                                                                       \
    ad_var ad_##name(ad_var a) { return reduce(&row##_reduction, a, 0, NULL, false, 0); }          \
    ad_var ad_##name##_axes(ad_var a, int n, const int *axes, bool keep)                           \
    {                                                                                              \
        return reduce(&row##_reduction, a, n, axes, keep, 0);                                      \
    }
REDUCTION(sum, sum)
REDUCTION(mean, mean)
REDUCTION(prod, prod)
REDUCTION(amax, amax)
REDUCTION(amin, amin)
REDUCTION(norm, norm)
REDUCTION(logsumexp, logsumexp)
#undef REDUCTION

ad_var ad_var_of(ad_var a, int correction)
{
    return reduce(&var_reduction, a, 0, NULL, false, correction);
}

ad_var ad_var_axes(ad_var a, int n, const int *axes, bool keep, int correction)
{
    return reduce(&var_reduction, a, n, axes, keep, correction);
}

ad_var ad_std(ad_var a, int correction)
{
    return reduce(&std_reduction, a, 0, NULL, false, correction);
}

ad_var ad_std_axes(ad_var a, int n, const int *axes, bool keep, int correction)
{
    return reduce(&std_reduction, a, n, axes, keep, correction);
}

/* ---- argmax and argmin ---- */

static ad_status index_value(frame *f, block *b, bool least)
{
    array y = block_result(f, b);
    array index = scratch_array(f, AD_F64, y.rank, y.shape); /* room for as many int64_t */
    if (y.size == 0)
        return AD_OK;
    if (!index.data)
        return AD_NO_MEMORY;
    int64_t *places = index.data;
    ad_status s = extremes(f, b, least, places, NULL);
    for (int64_t i = 0; i < y.size && !s; i++)
        array_put(&y, i, (double)places[i]);
    return s;
}

static ad_status argmax_value(frame *f, block *b) { return index_value(f, b, false); }

static ad_status argmin_value(frame *f, block *b) { return index_value(f, b, true); }

static ad_status no_tangent(frame *f, block *b, const array *a, const array *y,
                            const array *const *da, array *dy)
{
    (void)f, (void)b, (void)a, (void)y, (void)da;
    array_fill(dy, 0);
    return AD_OK;
}

static const block_op argmax_op = {.name = "argmax", .value = argmax_value, .tangent = no_tangent},
                      argmin_op = {.name = "argmin", .value = argmin_value, .tangent = no_tangent};

static ad_var record_index(const block_op *op, ad_var a, int axis)
{
    call c;
    reduce_attr attr = {0};
    if (!call_begin(&c, op->name, NULL, 1, &a) || (axis = call_axis(&c, axis, c.in[0].rank)) < 0)
        return call_poison(&c);
    attr.axes = 1u << axis;
    if (!call_elements(&c, attr.axes))
        return call_poison(&c);
    if (c.in[0].shape[axis] > INT32_MAX)
        return call_fail(&c, AD_TOO_LARGE,
                         "%lld elements along axis %d: too many for an int32 index",
                         (long long)c.in[0].shape[axis], axis);
    int64_t shape[AD_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < c.in[0].rank; i++)
        if (i != axis)
            shape[rank++] = c.in[0].shape[i];
    return call_end(&c, op, -1, AD_I32, rank, shape, (call_attr){&attr, sizeof attr, 0});
}

ad_var ad_argmax(ad_var a, int axis) { return record_index(&argmax_op, a, axis); }

ad_var ad_argmin(ad_var a, int axis) { return record_index(&argmin_op, a, axis); }

/* ---- of several variables ---- */

/* Halves: as few operations as one after the other, but a shorter path and a smaller rounding
 * error. */
static ad_var of_halves(int n, const ad_var *a, ad_var (*join)(ad_var, ad_var))
{
    if (n == 1)
        return a[0];
    ad_var left = of_halves(n / 2, a, join);
    return join(left, of_halves(n - n / 2, a + n / 2, join));
}

ad_var ad_sum_n(int n, const ad_var *terms)
{
    if (n < 0 || (n > 0 && !terms))
        return (ad_var){0};
    return n ? of_halves(n, terms, ad_add) : ad_constant(0);
}

ad_var ad_prod_n(int n, const ad_var *factors)
{
    if (n < 0 || (n > 0 && !factors))
        return (ad_var){0};
    return n ? of_halves(n, factors, ad_mul) : ad_constant(1);
}
