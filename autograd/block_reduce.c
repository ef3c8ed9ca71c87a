/* block_reduce.c - reductions by rows; sum, mean, prod
 *
 * Any reduction is one of rows: with the reduced axes moved behind the kept ones, an array is a
 * matrix whose rows become one number each. So a reduction is three functions of a row of doubles -
 * value, adjoint, tangent - and a recorded rule; moving, converting and adding to cotangents
 * happens once for all of them (block_extreme.c, block_norm.c). Rows of float tensors are
 * converted, so that every sum is in double; sum and mean, which are called most, read what they
 * can where it lies. Long sums are halved, so that their rounding error grows with the logarithm of
 * their length.
 *
 * Over all axes, without keep, the result is a scalar in double. Rows without elements: sum 0, prod
 * 1, norm 0, logsumexp -inf, mean and variance NaN; they have no extreme. A row whose cotangent is
 * 0 gets zeros, whatever is in it. Magnitudes are |g| |J|, but see block_norm.c. */
#define AD_PLAIN
#include "block_reduce.h"
#include "block_sum.h"
#include "chain_kernels.h"
#include "pool.h"
#include <stdlib.h>

/* ---- rows ---- */

static const reduction *reduction_of(const block *b)
{
    return (const reduction *)(const void *)b->op;
}

rows rows_of(const array *a, uint32_t axes)
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

ad_status value_by_rows(frame *f, block *b)
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

ad_status adjoint_by_rows(frame *f, block *b, const array *g)
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

ad_status tangent_by_rows(frame *f, block *b, const array *a, const array *y,
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

/* ---- for recorded rules ---- */

ad_var rule_with_axes(const rule *r, ad_var v)
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

rows rule_rows(const rule *r)
{
    array a = block_arg(&r->tape->frame, r->b, 0);
    return rows_of(&a, ((const reduce_attr *)r->attr)->axes);
}

ad_var rule_flattened(const rule *r)
{
    rows p = rule_rows(r);
    ad_var a = p.a.rank > 1 ? ad_permute(r->a[0], p.order) : r->a[0];
    return ad_reshape(a, 2, (int64_t[]){p.count, p.n});
}

ad_var rule_unflattened(const rule *r, ad_var v)
{
    rows p = rule_rows(r);
    int back[AD_MAX_RANK];
    for (int i = 0; i < p.a.rank; i++)
        back[p.order[i]] = i;
    v = ad_reshape(v, p.a.rank, p.a.shape);
    return p.a.rank > 1 ? ad_permute(v, back) : v;
}

ad_var rule_column(const rule *r, ad_var v)
{
    rows p = rule_rows(r);
    return r->b->out.rank == 0 ? v : ad_reshape(v, 2, (int64_t[]){p.count, 1});
}

/* ---- recording ---- */

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

bool call_elements(call *c, uint32_t axes)
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

ad_var reduce_call(const reduction *to, ad_var a, int n, const int *axes, bool keep, int correction)
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

/* ---- sum and mean ---- */

/* sum_*: one row. columns_*: `width` of them beside one another, up to MOST_COLUMNS. */
enum { MOST_COLUMNS = 256 };

/* how many of n elements, more than HALVED, are the first half of a sum */
static int64_t first_half(int64_t n)
{
    return n > SUM_TILE ? (n / 2 + SUM_TILE - 1) / SUM_TILE * SUM_TILE : n / 16 * 8;
}

#define SUMS(T, name)                                                                              \
    static double sum_##name(int64_t n, const T *x, int64_t step)                                  \
    {                                                                                              \
        if (n > HALVED) {                                                                          \
            int64_t half = first_half(n);                                                          \
            return sum_##name(half, x, step) + sum_##name(n - half, x + half * step, step);        \
        }                                                                                          \
        double sum[8] = {0};                                                                       \
        if (step == 1)                                                                             \
            chain_add_##name(n, x, sum);                                                           \
        for (int64_t i = 0; step != 1 && i < n; i++)                                               \
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

/* Neighbouring rows, each `n` elements `step` apart, and what becomes of them. */
typedef struct row_sums {
    const array *a, *y;
    int64_t offset, count, apart, n, step, first;
    int64_t share; /* rows that a thread takes at a time */
    double scale;
} row_sums;

/* Rows from..to-1 as columns, all of which are summed side by side. */
static void sum_columns(const row_sums *r, int64_t from, int64_t to)
{
    double sum[MOST_COLUMNS];
    for (int64_t i = from; i < to; i += MOST_COLUMNS) {
        int64_t width = to - i < MOST_COLUMNS ? to - i : MOST_COLUMNS,
                at = r->offset + i * r->apart;
        if (r->a->dtype == AD_F64)
            columns_f64(r->n, (const double *)r->a->data + at, r->step, width, r->apart, sum);
        else
            columns_f32(r->n, (const float *)r->a->data + at, r->step, width, r->apart, sum);
        for (int64_t j = 0; j < width; j++)
            array_put(r->y, r->first + i + j, sum[j] / r->scale);
    }
}

/* One by one where a row is the denser way through memory, else as columns. */
static void sum_share(void *user, int64_t share)
{
    const row_sums *r = user;
    const int64_t from = share * r->share,
                  to = from + r->share < r->count ? from + r->share : r->count;
    if (llabs((long long)r->step) > llabs((long long)r->apart) && r->n > 1)
        sum_columns(r, from, to);
    else
        for (int64_t i = from; i < to; i++)
            array_put(r->y, r->first + i,
                      sum_row(r->a, r->offset + i * r->apart, r->n, r->step) / r->scale);
}

/* By several threads where that is worth it: each row is summed as ever. */
static void sum_rows(const ad_context *context, row_sums *r)
{
    enum { LEAST = 1 << 14, NARROW = 32 }; /* elements; a stretch of memory */
    const int64_t most = r->count * r->n / LEAST;
    r->share = most < 2 || pool_threads(context) < 2 ? r->count : (r->count + most - 1) / most;
    if (r->share < NARROW)
        r->share = NARROW;
    pool_run(context, (r->count + r->share - 1) / r->share, sum_share, r);
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
        sum_rows(f->context, &(row_sums){.a = &r.a,
                                         .y = &y,
                                         .offset = array_offset(&leading, i / beside),
                                         .count = beside,
                                         .apart = apart,
                                         .n = r.n,
                                         .step = step,
                                         .first = i,
                                         .scale = scale});
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

double row_sum(int64_t n, const double *x) { return sum_f64(n, x, 1); }

static double sum_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return row_sum(n, x);
}

static double sum_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)x, (void)correction;
    return row_sum(n, dx);
}

static void sum_record(rule *r) { r->da[0] = rule_with_axes(r, r->g); }

static double mean_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return row_sum(n, x) / (double)n;
}

static double mean_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)x, (void)correction;
    return row_sum(n, dx) / (double)n;
}

static void mean_record(rule *r)
{
    r->da[0] = ad_div(rule_with_axes(r, r->g), ad_constant((double)rule_rows(r).n));
}

static const reduction sum_reduction = {{.name = "sum",
                                         .value = sum_value,
                                         .adjoint = sum_adjoint,
                                         .tangent = tangent_by_rows,
                                         .record = sum_record},
                                        sum_of,
                                        NULL,
                                        sum_tangent,
                                        false};

static const reduction mean_reduction = {{.name = "mean",
                                          .value = mean_value,
                                          .adjoint = mean_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = mean_record},
                                         mean_of,
                                         NULL,
                                         mean_tangent,
                                         false};

REDUCTION(sum)
REDUCTION(mean)

/* ---- by tiles ---- */

bool is_total(const block *b)
{
    if (b->op != &sum_reduction.op && b->op != &mean_reduction.op)
        return false;
    return b->out.size == 1;
}

double tile_sum(ad_dtype dtype, int64_t n, const void *x)
{
    return dtype == AD_F64 ? sum_f64(n, x, 1) : sum_f32(n, x, 1);
}

static double sum_of_tiles(int64_t n, const double *parts)
{
    if (n <= SUM_TILE)
        return *parts;
    const int64_t half = first_half(n);
    return sum_of_tiles(half, parts) + sum_of_tiles(n - half, parts + half / SUM_TILE);
}

double total_of_tiles(const block *b, int64_t n, const double *parts)
{
    return sum_of_tiles(n, parts) / (b->op == &mean_reduction.op ? (double)n : 1);
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
    rows p = rule_rows(r);
    if (p.n == 0)
        return;
    ad_var x = rule_flattened(r);
    ad_var behind = ad_flip(before(ad_flip(x, 1), p.n), 1);
    ad_var others = ad_mul(before(x, p.n), behind);
    r->da[0] = rule_unflattened(r, ad_mulz(rule_column(r, r->g), others));
}

static const reduction prod_reduction = {{.name = "prod",
                                          .value = value_by_rows,
                                          .adjoint = adjoint_by_rows,
                                          .tangent = tangent_by_rows,
                                          .record = prod_record},
                                         prod_of,
                                         prod_adjoint,
                                         prod_tangent,
                                         false};

REDUCTION(prod)
#undef REDUCTION
