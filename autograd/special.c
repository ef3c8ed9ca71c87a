/* special.c - special functions that libm lacks
 *
 * The engine's derivatives need erf's inverse and the whole family of lgamma's derivatives, in
 * double and to its last digits: a gradient check is only as good as the functions under it.
 * Sources, errors and special values of each are in special.h. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* lgamma_r in glibc and musl, also under -std=c11 */
#endif
#if defined(__APPLE__) && !defined(_REENTRANT)
#define _REENTRANT 1 /* the same on macOS */
#endif

#include "special.h"

#include <math.h>

#define PI 3.14159265358979323846

static double not_a_number(void) { return (double)NAN; }

static double infinity(void) { return (double)INFINITY; }

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
static double polynomial(const double *c, int n, double x)
{
    double y = c[n - 1];
    for (int i = n - 2; i >= 0; --i)
        y = y * x + c[i];
    return y;
}

/* erfinv */

/* Normal quantile at 1/2 + q, for |q| <= 0.425: AS 241's first fit. */
static double quantile_centre(double q)
{
    static const double num[] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                 1.9715909503065514427e3, 1.3731693765509461125e4,
                                 4.5921953931549871457e4, 6.7265770927008700853e4,
                                 3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double den[] = {1.0,
                                 4.2313330701600911252e1,
                                 6.8718700749205790830e2,
                                 5.3941960214247511077e3,
                                 2.1213794301586595867e4,
                                 3.9307895800092710610e4,
                                 2.8729085735721942674e4,
                                 5.2264952788528545610e3};
    const double r = 0.180625 - q * q;
    return q * polynomial(num, 8, r) / polynomial(den, 8, r);
}

/* Normal quantile at 1 - p, for p < 0.075: AS 241's fits in sqrt(-ln p). */
static double quantile_tail(double p)
{
    static const double near_num[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                      5.76949722146069140550e0,  3.64784832476320460504e0,
                                      1.27045825245236838258e0,  2.41780725177450611770e-1,
                                      2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double near_den[] = {1.0,
                                      2.05319162663775882187e0,
                                      1.67638483018380384940e0,
                                      6.89767334985100004550e-1,
                                      1.48103976427480074590e-1,
                                      1.51986665636164571966e-2,
                                      5.47593808499534494600e-4,
                                      1.05075007164441684324e-9};
    static const double far_num[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                     1.78482653991729133580e0,  2.96560571828504891230e-1,
                                     2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                     2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double far_den[] = {1.0,
                                     5.99832206555887937690e-1,
                                     1.36929880922735805310e-1,
                                     1.48753612908506148525e-2,
                                     7.86869131145613259100e-4,
                                     1.84631831751005468180e-5,
                                     1.42151175831644588870e-7,
                                     2.04426310338993978564e-15};
    const double r = sqrt(-log(p));
    if (r <= 5)
        return polynomial(near_num, 8, r - 1.6) / polynomial(near_den, 8, r - 1.6);
    return polynomial(far_num, 8, r - 5) / polynomial(far_den, 8, r - 5);
}

double ad_special_erfinv(double x)
{
    const double half_root_pi = 0.88622692545275801365, root_half = 0.70710678118654752440;
    const double m = fabs(x);
    if (!(m < 1))
        return m == 1 ? copysign(infinity(), x) : not_a_number();
    if (m < 1e-8) /* the next term of the series is pi/12 x^2 < 2^-54 relative */
        return half_root_pi * x;
    double y = root_half * (m <= 0.85 ? quantile_centre(0.5 * m) : quantile_tail(0.5 * (1 - m)));
    /* erfc keeps the residual's digits where erf is close to 1; 1 - m is exact there */
    const double residual = m <= 0.5 ? erf(y) - m : (1 - m) - erfc(y);
    y -= residual * half_root_pi * exp(y * y);
    return copysign(y, x);
}

/* lgamma */

double ad_special_lgamma(double x)
{
#if defined(__GLIBC__) || defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__) ||      \
    defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
    int sign;
    return lgamma_r(x, &sign);
#else
    return lgamma(x); /* Microsoft's writes no signgam; nor does C ask for one */
#endif
}

/* digamma */

/* cot(pi r) for |r| <= 1/2, from the side on which the tangent is small */
static double cotangent_pi(double r)
{
    if (fabs(r) <= 0.25)
        return 1 / tan(PI * r);
    return copysign(tan(PI * (0.5 - fabs(r))), r);
}

/* psi(1 + z) for z >= 0, which keeps the digits of a small z */
static double digamma_above_one(double z)
{
    /* psi(1 + z) / (z - z0) on [0, 1]; fitted with mpmath, relative error 1e-18 */
    static const double num[] = {1.2503801375034053578,   1.7838496662480537965,
                                 0.85964996973444627914,  0.16869726414784111803,
                                 0.012444165215869346355, 0.00022684991921133341081};
    static const double den[] = {1.0,
                                 2.1101926907749322047,
                                 1.528134782799332512,
                                 0.48103097815615854253,
                                 0.066508005789977200198,
                                 0.0034591998899758561714,
                                 0.000040103693401653676767};
    /* B_2k / 2k */
    static const double series[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                                    1.0 / 132, -691.0 / 32760, 1.0 / 12,  -3617.0 / 8160};
    const double root_hi = 0.46163214496836236, root_lo = -1.5522348162858677e-17;

    if (z >= 9) {
        const double x = 1 + z, w = 1 / x;
        return log(x) - (0.5 * w + w * w * polynomial(series, 8, w * w));
    }
    double sum = 0;
    while (z > 1) { /* psi(1 + z) = psi(z) + 1/z; the subtraction is exact */
        sum += 1 / z;
        z -= 1;
    }
    return sum + ((z - root_hi) - root_lo) * (polynomial(num, 6, z) / polynomial(den, 7, z));
}

double ad_special_digamma(double x)
{
    if (x == 0)
        return copysign(infinity(), -x);
    if (x >= 1)
        return x > 4e18 ? log(x) : digamma_above_one(x - 1);
    if (x > 0)
        return digamma_above_one(x) - 1 / x;
    if (x != x || x == floor(x)) /* NaN, the poles, and -inf */
        return not_a_number();
    return digamma_above_one(-x) - PI * cotangent_pi(x - rint(x));
}

/* polygamma */

/* n!, exact as a double up to 22! */
static double factorial(int n)
{
    double f = 1;
    for (int i = 2; i <= n; ++i)
        f *= i;
    return f;
}

/* what is lost in s = a + b (Knuth) */
static double sum_error(double a, double b, double s)
{
    const double t = s - a;
    return (a - (s - t)) + (b - t);
}

/* sum over k >= 0 of n! / (x + k)^(n+1), for n >= 1 and x > 0: |psi_n(x)| */
static double polygamma_sum(int n, double x)
{
    /* B_2j / (2j)! */
    static const double bernoulli[] = {
        8.3333333333333333333e-2,   -1.3888888888888888889e-3,  3.3068783068783068783e-5,
        -8.2671957671957671958e-7,  2.0876756987868098979e-8,   -5.2841901386874931848e-10,
        1.3382536530684678833e-11,  -3.3896802963225828668e-13, 8.5860620562778445641e-15,
        -2.1748686985580618730e-16, 5.5090028283602295152e-18,  -1.3954464685812523341e-19};
    const double scale = factorial(n - 1); /* taken out of every term */
    const int shift = x < n + 12 ? (int)ceil(n + 12 - x) : 0;

    if (!(x < infinity()))
        return x > 0 ? 0 : x;
    /* The tail from w = x + shift on, relative to w^-n */
    const double w = x + shift, v = 1 / w;
    double tail = 0, rising = n * (n + 1.0); /* n (n+1) ... */
    for (int j = 0; j < 12; ++j) {
        const double term = bernoulli[j] * rising * pow(v, 2 * (j + 1));
        tail += term;
        rising *= (n + 2.0 * j + 2) * (n + 2.0 * j + 3);
        if (fabs(term) < 1e-19)
            break;
    }
    tail += 0.5 * n * v;
    tail += 1;
    tail -= n * (sum_error(x, shift, w) * v); /* w is rounded, and its power would magnify that */
    /* two halves of the power, so that neither leaves the range while the product is in it */
    const int half = n / 2;
    double sum = pow(w, -half) * scale * tail * pow(w, half - n);

    for (int k = shift - 1; k >= 0; --k) { /* smallest first */
        const double s = x + k, e = sum_error(x, k, s);
        const double power = n * pow(s, -(n + 1));
        sum += scale * (power > 0 && e != 0 ? power * (1 - (n + 1) * e / s) : power);
    }
    return sum;
}

/* (-1)^n times derivative number n of pi cot(pi x), divided by pi^(n+1): a polynomial in c = cot(pi
 * x), since c' = -pi (1 + c^2). All its coefficients are positive integers, so that nothing
 * cancels. */
enum { MOST = 21 }; /* one order more than is promised: the derivative of the last */

static double cotangent_derivative(int n, double c)
{
    double p[MOST + 3] = {0, 1};
    for (int k = 0; k < n; ++k) { /* p := (1 + c^2) p' */
        double q[MOST + 3] = {0};
        for (int i = 1; i <= k + 1; ++i) {
            q[i - 1] += i * p[i];
            q[i + 1] += i * p[i];
        }
        for (int i = 0; i < MOST + 3; ++i)
            p[i] = q[i];
    }
    return polynomial(p, n + 2, c);
}

double ad_special_polygamma(double n, double x)
{
    if (!(n >= 0 && n <= MOST) || n != floor(n))
        return not_a_number();
    if (n == 0)
        return ad_special_digamma(x);
    const int order = (int)n;
    const int odd = order & 1;
    if (x != x || x == -infinity())
        return not_a_number();
    if (x > 0)
        return odd ? polygamma_sum(order, x) : -polygamma_sum(order, x);
    if (x == floor(x)) {
        if (odd)
            return infinity();
        return x == 0 ? copysign(infinity(), -x) : not_a_number();
    }
    const double poles = pow(PI, n + 1) * cotangent_derivative(order, cotangent_pi(x - rint(x)));
    /* psi_n(x) = (-1)^n psi_n(1 - x) - d^n/dx^n pi cot(pi x) */
    const double smooth = polygamma_sum(order, 1 - x);
    return odd ? poles - smooth : -poles - smooth;
}

/* float */

float ad_special_erfinvf(float x) { return (float)ad_special_erfinv((double)x); }

float ad_special_lgammaf(float x) { return (float)ad_special_lgamma((double)x); }

float ad_special_digammaf(float x) { return (float)ad_special_digamma((double)x); }

float ad_special_polygammaf(float n, float x)
{
    return (float)ad_special_polygamma((double)n, (double)x);
}
