/* block_norm.c - norm, logsumexp, variance and deviation
 *
 * Reductions (block_reduce.c) whose obvious formulas overflow or cancel: the norm is scaled where
 * squares would leave the range, logsumexp subtracts the largest element first, and the variance is
 * one of differences from the first element and then from the mean. Magnitudes are |g| |J|, and for
 * variance and deviation, where x - mean cancels, |g| times the sum of the magnitudes of its terms.
 */
#define AD_PLAIN
#include "block_reduce.h"

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
SUM_OF(sum_shifted, d)
SUM_OF(sum_squares, d *d)
SUM_OF(sum_exp, exp(d))
#undef SUM_OF

/* the smallest result, for those with a kink at 0 */
static double kink_at_zero(frame *f, block *b)
{
    array y = block_result(f, b);
    double nearest = (double)INFINITY;
    for (int64_t i = 0; i < y.size; i++)
        nearest = fmin(nearest, fabs(array_get(&y, i)));
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

double row_norm(int64_t n, const double *x) { return norm_of(n, x, 0); }

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
    r->da[0] = ad_mulz(rule_with_axes(r, r->g), ad_divz(r->a[0], rule_with_axes(r, r->y)));
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
    double sum = row_sum(n, dx), none = -(double)INFINITY;
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
    ad_var live = ad_greater(rule_column(r, r->y), ad_constant(-(double)INFINITY));
    ad_var weights = ad_softmax(ad_where(live, rule_flattened(r), ad_constant(0)), 1);
    r->da[0] = rule_unflattened(r, ad_mulz(ad_mulz(rule_column(r, r->g), live), weights));
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

static void var_record(rule *r)
{
    int64_t n = rule_rows(r).n, correction = ((const reduce_attr *)r->attr)->correction;
    double scale = n > correction ? 2 / (double)(n - correction) : (double)NAN;
    r->da[0] = ad_mulz(ad_mulz(rule_with_axes(r, r->g), ad_constant(scale)), centred(r));
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
    int64_t n = rule_rows(r).n, correction = ((const reduce_attr *)r->attr)->correction;
    ad_var y = rule_with_axes(r, r->y);
    ad_var slope = ad_div(centred(r), ad_mul(y, ad_constant((double)(n - correction))));
    slope = ad_where(ad_equal(y, ad_constant(0)), ad_constant(0), slope);
    r->da[0] = ad_mulz(rule_with_axes(r, r->g), slope);
}

/* ---- the reductions ---- */

#define BY_ROWS(n, k)                                                                              \
    {                                                                                              \
        .name = #n, .value = value_by_rows, .adjoint = adjoint_by_rows,                            \
        .tangent = tangent_by_rows, .record = n##_record, .kink = k                                \
    }
static const reduction norm_reduction = {BY_ROWS(norm, kink_at_zero), norm_of, norm_adjoint,
                                         norm_tangent, false};
static const reduction logsumexp_reduction = {BY_ROWS(logsumexp, NULL), logsumexp_of,
                                              logsumexp_adjoint, logsumexp_tangent, false};
static const reduction var_reduction = {{.name = "var_of",
                                         .value = value_by_rows,
                                         .adjoint = adjoint_by_rows,
                                         .tangent = tangent_by_rows,
                                         .record = var_record},
                                        var_of,
                                        var_adjoint,
                                        var_tangent,
                                        false};
static const reduction std_reduction = {BY_ROWS(std, kink_at_zero), std_of, std_adjoint,
                                        std_tangent, false};
#undef BY_ROWS

REDUCTION(norm)
REDUCTION(logsumexp)
#undef REDUCTION

ad_var ad_var_of(ad_var a, int correction)
{
    return reduce_call(&var_reduction, a, 0, NULL, false, correction);
}

ad_var ad_var_axes(ad_var a, int n, const int *axes, bool keep, int correction)
{
    return reduce_call(&var_reduction, a, n, axes, keep, correction);
}

ad_var ad_std(ad_var a, int correction)
{
    return reduce_call(&std_reduction, a, 0, NULL, false, correction);
}

ad_var ad_std_axes(ad_var a, int n, const int *axes, bool keep, int correction)
{
    return reduce_call(&std_reduction, a, n, axes, keep, correction);
}
