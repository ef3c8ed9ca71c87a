/* dual.h - forward-mode differentiation by dual numbers, usable alone
 *
 * A dual number is a + b e with e^2 = 0: a value v and a tangent d. Carry e through a computation
 * and Taylor's formula stops after one term, f(a + b e) = f(a) + f'(a) b e, so that the tangent of
 * the result is an exact derivative: no step size, no truncation. Here e has AD_DUAL_WIDTH
 * independent directions, and one run gives the derivatives along all of them:
 *
 *     #include <tapegrad/dual.h>
 *     #include <stdio.h>
 *     ad_dual x = ad_dual_variable(3, 0);            // seed direction 0 at x = 3
 *     ad_dual y = ad_dual_mul(x, ad_dual_sin(x));    // y = x sin x
 *     printf("%g %g\n", y.v, y.d[0]);                // the value, and y' = sin x + x cos x
 *
 * Define AD_DUAL_WIDTH before the first inclusion as the number of directions carried at once. One
 * (the default) is right for a directional derivative, a Jacobian-vector product or a column at a
 * time. A function of n inputs with n small is fastest with width n; for a large n take 4 to 8 and
 * run n/width times: a wider dual repeats fewer values but fills more registers. Everything below
 * is static inline, so files of one program may choose different widths, as long as they do not
 * pass duals to each other.
 *
 * This header knows nothing of the tape, and it needs nothing but libm. In the library it is the
 * witness: a gradient check compares the reverse sweep with it. A witness is worth having only if
 * it was not told what to say, so the derivatives below are not taken from the table of operations,
 * ops.def. They are written again from the mathematics, in another form wherever there is a good
 * one (1 / cos^2 for the tangent where the table has 1 + tan^2), and several special functions have
 * an implementation of their own. Please keep it so: one function here for each row there, and no
 * shared formula.
 *
 * Conventions. A zero tangent is absorbing: it contributes exactly 0 whatever the partial
 * derivative is, be it infinite or NaN. A side that is not taken (of where, min, clamp, ...)
 * contributes 0 whatever its tangent is. At a kink the derivative is the one PyTorch documents;
 * functions with a kink state theirs. Partials keep their relative accuracy where functions
 * saturate: tanh'(20) is 1.7e-17, not 0. They hold for IEEE 754 arithmetic; compile without
 * -ffast-math.
 *
 * Names that start with ad_dualx_ are internal. */
#ifndef AD_DUAL_H
#define AD_DUAL_H

#include <float.h>
#include <math.h>

#ifndef AD_DUAL_WIDTH
#define AD_DUAL_WIDTH 1
#endif

typedef struct ad_dual {
    double v;                /* the value */
    double d[AD_DUAL_WIDTH]; /* its derivative along each direction */
} ad_dual;

/* A number that depends on nothing: all tangents are 0. */
static inline ad_dual ad_dual_constant(double v)
{
    ad_dual y;
    y.v = v;
    for (int k = 0; k < AD_DUAL_WIDTH; ++k)
        y.d[k] = 0;
    return y;
}

/* An independent variable: its tangent is 1 along direction k, 0 <= k < AD_DUAL_WIDTH, and 0 along
 * the others. A k outside that range gives a constant. */
static inline ad_dual ad_dual_variable(double v, int k)
{
    ad_dual y = ad_dual_constant(v);
    if (k >= 0 && k < AD_DUAL_WIDTH)
        y.d[k] = 1;
    return y;
}

/* ---- the chain rule: everything below is a value and its partials, handed to one of these ---- */

/* one term of the chain rule; a zero tangent wins over an infinite or NaN partial */
static inline double ad_dualx_flow(double partial, double tangent)
{
    return tangent == 0 ? 0 : partial * tangent;
}

static inline ad_dual ad_dualx_chain1(double value, double da, ad_dual a)
{
    ad_dual y;
    y.v = value;
    for (int k = 0; k < AD_DUAL_WIDTH; ++k)
        y.d[k] = ad_dualx_flow(da, a.d[k]);
    return y;
}

static inline ad_dual ad_dualx_chain2(double value, double da, ad_dual a, double db, ad_dual b)
{
    ad_dual y;
    y.v = value;
    for (int k = 0; k < AD_DUAL_WIDTH; ++k)
        y.d[k] = ad_dualx_flow(da, a.d[k]) + ad_dualx_flow(db, b.d[k]);
    return y;
}

static inline ad_dual ad_dualx_chain3(double value, double da, ad_dual a, double db, ad_dual b,
                                      double dc, ad_dual c)
{
    ad_dual y;
    y.v = value;
    for (int k = 0; k < AD_DUAL_WIDTH; ++k)
        y.d[k] = ad_dualx_flow(da, a.d[k]) + ad_dualx_flow(db, b.d[k]) + ad_dualx_flow(dc, c.d[k]);
    return y;
}

/* ---- numbers ---- */

static inline double ad_dualx_inf(void) { return (double)INFINITY; }

static inline double ad_dualx_nan(void) { return (double)NAN; }

/* (a - b) - s, where s is the rounded a - b (Knuth) */
static inline double ad_dualx_difference_error(double a, double b, double s)
{
    const double t = s - a;
    const double e = (a - (s - t)) - (b + t);
    return e == e ? e : 0; /* infinite a or b */
}

/* exp(-x^2 m) for m = 1 or 1/2: rounding x^2 would cost |x^2| ulp, so its error is carried along */
static inline double ad_dualx_gauss(double x, double m)
{
    if (fabs(x) > 40) /* below the least denormal */
        return x == x ? 0 : x;
    const double s = x * x;
    return exp(-m * s) * (1 - m * fma(x, x, -s));
}

/* ---- special functions, on principles other than special.c's where that is practical ---- */

/* (-1)^k (zeta(k) - 1), k = 2 ... 28, summed as a Taylor series: for |z| <= 1/2
 *     ln Gamma(2 + z) = (1 - gamma) z + sum (-1)^k (zeta(k) - 1) z^k / k
 * derivative == 0 gives that, 1 its derivative psi(2 + z). (Abramowitz and Stegun 6.1.33) */
static inline double ad_dualx_about_two(double z, int derivative)
{
    static const double zeta_minus_1[] = {
        0.64493406684822643647,   0.2020569031595942854,    0.082323233711138191516,
        0.036927755143369926331,  0.017343061984449139715,  0.0083492773819228268398,
        0.0040773561979443393787, 0.0020083928260822144179, 0.00099457512781808533715,
        0.0004941886041194645587, 2.4608655330804829864e-4, 1.2271334757848914675e-4,
        6.1248135058704829259e-5, 3.0588236307020493552e-5, 1.5282259408651871733e-5,
        7.6371976378997622736e-6, 3.8172932649998398565e-6, 1.9082127165539389257e-6,
        9.5396203387279611315e-7, 4.7693298678780646312e-7, 2.3845050272773299e-7,
        1.1921992596531107307e-7, 5.9608189051259479612e-8, 2.9803503514652280186e-8,
        1.4901554828365041235e-8, 7.450711789835429492e-9,  3.7253340247884570548e-9};
    const double one_minus_gamma = 0.42278433509846713939;
    double y = 0;
    for (int k = 28; k >= 2; --k)
        y = (derivative ? zeta_minus_1[k - 2] : zeta_minus_1[k - 2] / k) - z * y;
    return derivative ? one_minus_gamma + z * y : z * (one_minus_gamma + z * y);
}

/* |sin(pi x)| and cot(pi x) of a reduced argument */
static inline double ad_dualx_sin_pi(double x)
{
    return fabs(sin(3.14159265358979323846 * (x - rint(x))));
}

static inline double ad_dualx_cot_pi(double x)
{
    const double r = x - rint(x), pi = 3.14159265358979323846;
    /* cos(pi r) as a sine, for its zero at r = 1/2 */
    return sin(pi * (0.5 - fabs(r))) / sin(pi * r);
}

/* ln |Gamma(x)|; accurate relatively for x > 0, absolutely near its zeros at x < 0 */
static inline double ad_dualx_lgamma(double x)
{
    if (x != x || fabs(x) == ad_dualx_inf())
        return x * x;
    if (fabs(x) < 0.5) /* Gamma(2 + x) = (1 + x) x Gamma(x) */
        return ad_dualx_about_two(x, 0) - log1p(x) - log(fabs(x));
    if (x < 0) {
        if (x == floor(x))
            return ad_dualx_inf();
        /* Gamma(x) Gamma(-x) = -pi / (x sin(pi x)) */
        return log(3.14159265358979323846 / ad_dualx_sin_pi(x)) - log(-x) - ad_dualx_lgamma(-x);
    }
    if (x < 1.5)
        return ad_dualx_about_two(x - 1, 0) - log1p(x - 1);
    if (x >= 12) { /* Stirling's series */
        const double u = 1 / (x * x);
        const double s =
            (1.0 / 12 -
             u * (1.0 / 360 -
                  u * (1.0 / 1260 - u * (1.0 / 1680 - u * (1.0 / 1188 - u * (691.0 / 360360 -
                                                                             u * (1.0 / 156))))))) /
            x;
        return (x - 0.5) * (log(x) - 1) + (0.41893853320467274178 + s);
    }
    double product = 1;
    while (x > 2.5) {
        x -= 1;
        product *= x;
    }
    return log(product) + ad_dualx_about_two(x - 2, 0);
}

/* psi about its zero x0 = 1.46...: Taylor's series in h = x - x0, for |h| <= 1/4, where the pieces
 * below would cancel */
static inline double ad_dualx_digamma_about_zero(double x)
{
    static const double c[] = {
        0.9676722454476212,     -0.4427631689835921,    0.258499760955651,
        -0.16394270544240652,   0.10782405069126237,    -0.07219956125645471,
        0.04880428816414311,    -0.03316112647484736,   0.022597648232218104,
        -0.01542476590494896,   0.010538791616612175,   -0.007204534386356869,
        0.004926781395729853,   -0.003369801655439328,  0.002305126326734928,
        -0.0015769367714301972, 0.0010788252019162967,  -0.0007380709389960052,
        0.000504953265834602,   -0.0003454680251063077, 0.00023635601564027053,
        -0.00016170622091974803};
    const double h = (x - 1.4616321449683622) - 9.549995429965697e-17;
    double y = 0;
    for (int k = 21; k >= 0; --k)
        y = c[k] + h * y;
    return h * y;
}

/* The derivative of ln |Gamma|, piece by piece. */
static inline double ad_dualx_digamma(double x)
{
    if (x == 0)
        return copysign(ad_dualx_inf(), -x);
    if (fabs(x) < 0.5)
        return ad_dualx_about_two(x, 1) - (1 + 2 * x) / (x * (1 + x));
    if (x < 0) { /* psi(x) = psi(-x) - 1/x - pi cot(pi x) */
        if (x == floor(x))
            return ad_dualx_nan();
        return ad_dualx_digamma(-x) - 1 / x - 3.14159265358979323846 * ad_dualx_cot_pi(x);
    }
    if (fabs(x - 1.46) < 0.24)
        return ad_dualx_digamma_about_zero(x);
    if (x < 1.5)
        return ad_dualx_about_two(x - 1, 1) - 1 / x;
    if (x >= 12) {
        const double r = 1 / x, u = r * r;
        const double s =
            1.0 / 12 -
            u * (1.0 / 120 -
                 u * (1.0 / 252 -
                      u * (1.0 / 240 - u * (1.0 / 132 - u * (691.0 / 32760 - u * (1.0 / 12))))));
        return log(x) - r * (0.5 + r * s);
    }
    double sum = 0;
    while (x > 2.5) {
        x -= 1;
        sum += 1 / x;
    }
    return sum + ad_dualx_about_two(x - 2, 1);
}

/* n! zeta(n + 1, q) = sum over k >= 0 of n! / (q + k)^(n + 1), for n >= 1, q > 0 (Euler-Maclaurin).
 * The tail's terms are built one from the other; a power multiplies the rounding of q + k, which is
 * put back. */
static inline double ad_dualx_zeta(int n, double q)
{
    /* B_2j/(2j)! over B_2j-2/(2j-2)!, starting with B_2/2! */
    static const double ratio[] = {1.0 / 12,
                                   -1.0 / 60,
                                   -1.0 / 42,
                                   -1.0 / 40,
                                   -5.0 / 198,
                                   -691.0 / 27300,
                                   -35.0 / 1382,
                                   -3617.0 / 142800,
                                   -219335.0 / 8659098,
                                   -1222277.0 / 48253700,
                                   -4272565.0 / 168674226};
    const double s = n + 1;
    double factorial = 1;
    for (int i = 2; i <= n; ++i)
        factorial *= i;
    if (!(q < ad_dualx_inf()))
        return q != q ? q : 0;

    int terms = 0;
    while (q + terms < 20 + n)
        ++terms;
    const double w = q + terms;
    const double u = 1 / (w * w);
    double step = s / w, sum = 0; /* everything in units of w^-s */
    for (int j = 0; j < 11; ++j) {
        step *= ratio[j];
        sum += step;
        step *= (s + 2 * j + 1) * (s + 2 * j + 2) * u;
    }
    double tail = w / n + (0.5 + sum);
    tail *= 1 - n * (ad_dualx_difference_error(q, -(double)terms, w) / w);
    /* w^-n in two halves: either is representable wherever the product is */
    const double root = pow(w, -0.5 * n);
    double y = root * (factorial * (tail / w)) * root;
    for (int k = terms - 1; k >= 0; --k) {
        const double t = q + k, e = ad_dualx_difference_error(q, -(double)k, t) / t;
        const double term = factorial * pow(t, -s);
        y += e == 0 ? term : term * (1 - s * e);
    }
    return y;
}

/* Derivative number n of digamma. For x < 0 the sum over x, x + 1, x + 2, ... is split at the poles
 * beside it: with -x = m + f, 0 < f < 1, it runs over 1 - f, 2 - f, ... upward and over f, 1 + f,
 * ..., m + f with the sign turned; no reflection formula is needed. */
static inline double ad_dualx_polygamma(double n, double x)
{
    if (!(n >= 0 && n <= 21) || n != floor(n))
        return ad_dualx_nan();
    if (n == 0)
        return ad_dualx_digamma(x);
    const int order = (int)n;
    const double sign = order % 2 ? 1 : -1;
    if (x > 0)
        return sign * ad_dualx_zeta(order, x);
    if (x != x || x == -ad_dualx_inf())
        return ad_dualx_nan();
    if (x == floor(x)) { /* a pole: both sides agree for odd orders */
        if (sign > 0)
            return ad_dualx_inf();
        return x == 0 ? copysign(ad_dualx_inf(), -x) : ad_dualx_nan();
    }
    const double f = -x - floor(-x);
    return sign * ((ad_dualx_zeta(order, 1 - f) + sign * ad_dualx_zeta(order, f)) -
                   sign * ad_dualx_zeta(order, 1 - x));
}

/* The inverse of erf, as a value and a correction beyond its last digit. Start: M. Giles,
 * "Approximating the erfinv function" (2011), the single precision polynomial; then Halley's
 * method. */
static inline double ad_dualx_erfinv(double x, double *correction)
{
    const double two_over_root_pi = 1.1283791670955125739;
    const double m = fabs(x);
    *correction = 0;
    if (!(m < 1))
        return m == 1 ? copysign(ad_dualx_inf(), x) : ad_dualx_nan();
    if (m < 1e-9)
        return x / two_over_root_pi;
    double y;
    if (m < 0.98) {
        const double w = -log((1 - m) * (1 + m)) - 2.5;
        double p = 2.81022636e-08;
        p = 3.43273939e-07 + p * w;
        p = -3.5233877e-06 + p * w;
        p = -4.39150654e-06 + p * w;
        p = 0.00021858087 + p * w;
        p = -0.00125372503 + p * w;
        p = -0.00417768164 + p * w;
        p = 0.246640727 + p * w;
        p = 1.50140941 + p * w;
        y = p * m;
    } else { /* 1 - m = erfc(y), about exp(-y^2) / (y sqrt(pi)) */
        const double level = -log(1 - m), log_root_pi = 0.57236494292470008707;
        y = sqrt(level);
        for (int i = 0; i < 3; ++i)
            y = sqrt(level - log_root_pi - log(y));
    }
    double step = 0;
    for (int i = 0; i < 4; ++i) { /* the last step is the correction */
        y += step;
        const double excess = m > 0.25 ? (1 - m) - erfc(y) : erf(y) - m;
        const double newton = excess / (two_over_root_pi * ad_dualx_gauss(y, 1));
        step = -newton / (1 + y * newton);
    }
    *correction = copysign(1.0, x) * step;
    return copysign(y, x);
}

/* erfc(-a / sqrt 2) / 2, with the rounding of a / sqrt 2 put back (it would cost a^2 ulp) */
static inline double ad_dualx_normcdf(double a)
{
    const double c = 0.70710678118654757, c_low = -4.8336466567264567e-17; /* 1 / sqrt 2 */
    const double z = -c * a;
    double y = 0.5 * erfc(z);
    if (fabs(a) < 40) /* erfc' = -2/sqrt(pi) exp(-z^2) */
        y += 0.56418958354775628695 * ad_dualx_gauss(a, 0.5) * (fma(c, a, z) + c_low * a);
    return y;
}

static inline double ad_dualx_normpdf(double a)
{
    return ad_dualx_gauss(a, 0.5) / 2.5066282746310005024; /* sqrt(2 pi) */
}

/* sigmoid(t) for t >= 0 is 1 / (1 + e), for t < 0 e / (1 + e), with e = exp(-|t|): no cancellation
 */
static inline double ad_dualx_sigmoid(double t)
{
    const double e = exp(-fabs(t));
    return (t < 0 ? e : 1) / (1 + e);
}

/* n a^(n-1) from y = a^n, without the rounding of n - 1 where that is possible. From 2^53 on n is
 * even, and y has lost the sign of a. */
static inline double ad_dualx_power_slope(double a, double n, double y)
{
    if (n == 0)
        return 0;
    const double r = y / a;
    if (fabs(y) >= DBL_MIN && fabs(r) >= DBL_MIN && fabs(r) <= DBL_MAX && fabs(y) <= DBL_MAX)
        return n * r;
    return n * (fabs(n) < 9007199254740992.0 ? pow(a, n - 1) : a < 0 ? -y : y);
}

/* The integer q in y = a - q b, given y = fmod or remainder(a, b) and a guess at q. */
static inline double ad_dualx_quotient(double a, double b, double y, double guess)
{
    if (y == a || !(fabs(guess) <= DBL_MAX)) /* an infinite b, among others */
        return y == a ? 0 : guess;
    return guess + rint((fma(-guess, b, a) - y) / b);
}

/* ---- arithmetic ---- */

static inline ad_dual ad_dual_add(ad_dual a, ad_dual b)
{
    return ad_dualx_chain2(a.v + b.v, 1, a, 1, b);
}

static inline ad_dual ad_dual_sub(ad_dual a, ad_dual b)
{
    return ad_dualx_chain2(a.v - b.v, 1, a, -1, b);
}

static inline ad_dual ad_dual_mul(ad_dual a, ad_dual b)
{
    return ad_dualx_chain2(a.v * b.v, b.v, a, a.v, b);
}

static inline ad_dual ad_dual_div(ad_dual a, ad_dual b)
{
    return ad_dualx_chain2(a.v / b.v, 1 / b.v, a, -(a.v / b.v) / b.v, b);
}

/* Nothing flows to b where a is 0. */
static inline ad_dual ad_dual_mulz(ad_dual a, ad_dual b)
{
    if (a.v == 0)
        return ad_dualx_chain1(0, b.v, a);
    return ad_dual_mul(a, b);
}

/* Nothing flows to b where a is 0. */
static inline ad_dual ad_dual_divz(ad_dual a, ad_dual b)
{
    if (a.v == 0)
        return ad_dualx_chain1(0, 1 / b.v, a);
    return ad_dual_div(a, b);
}

static inline ad_dual ad_dual_neg(ad_dual a) { return ad_dualx_chain1(-a.v, -1, a); }

/* Kink at 0: derivative 0. */
static inline ad_dual ad_dual_abs(ad_dual a)
{
    if (a.v == 0)
        return ad_dual_constant(0);
    return ad_dualx_chain1(fabs(a.v), a.v == a.v ? copysign(1.0, a.v) : a.v, a);
}

/* Derivative 0 everywhere. */
static inline ad_dual ad_dual_sign(ad_dual a)
{
    return ad_dual_constant(a.v == 0 || a.v != a.v ? a.v : copysign(1.0, a.v));
}

static inline ad_dual ad_dual_square(ad_dual a) { return ad_dualx_chain1(a.v * a.v, a.v + a.v, a); }

static inline ad_dual ad_dual_recip(ad_dual a)
{
    return ad_dualx_chain1(1 / a.v, -(1 / a.v) / a.v, a);
}

/* At 0 (of either sign) the derivative is +inf. */
static inline ad_dual ad_dual_sqrt(ad_dual a)
{
    return ad_dualx_chain1(sqrt(a.v), 1 / (2 * sqrt(a.v == 0 ? 0 : a.v)), a);
}

static inline ad_dual ad_dual_rsqrt(ad_dual a)
{
    return ad_dualx_chain1(1 / sqrt(a.v), -0.5 / a.v / sqrt(a.v), a);
}

/* At 0 the derivative is +inf. */
static inline ad_dual ad_dual_cbrt(ad_dual a)
{
    const double y = cbrt(a.v), s = y * y;
    if (a.v == 0 || fabs(a.v) == ad_dualx_inf())
        return ad_dualx_chain1(y, 1 / fabs(a.v), a);
    if (fabs(a.v) < 1e-280) /* what y^3 loses has no digits left */
        return ad_dualx_chain1(y, y / a.v / 3, a);
    /* C libraries are off by an ulp or two: y^3 - a, with what rounding y^2 lost, puts that right
     */
    const double excess = fma(s, y, -a.v) + fma(y, y, -s) * y;
    return ad_dualx_chain1(y, (y - excess / (3 * s)) / a.v / 3, a);
}

/* ---- exponentials and logarithms ---- */

static inline ad_dual ad_dual_exp(ad_dual a)
{
    const double y = exp(a.v);
    return ad_dualx_chain1(y, y, a);
}

static inline ad_dual ad_dual_exp2(ad_dual a)
{
    const double y = exp2(a.v);
    return ad_dualx_chain1(y, y * 0.69314718055994530942, a);
}

static inline ad_dual ad_dual_expm1(ad_dual a) { return ad_dualx_chain1(expm1(a.v), exp(a.v), a); }

static inline ad_dual ad_dual_log(ad_dual a) { return ad_dualx_chain1(log(a.v), 1 / a.v, a); }

static inline ad_dual ad_dual_log2(ad_dual a)
{
    return ad_dualx_chain1(log2(a.v), 1.4426950408889634074 / a.v, a);
}

static inline ad_dual ad_dual_log10(ad_dual a)
{
    return ad_dualx_chain1(log10(a.v), 0.43429448190325182765 / a.v, a);
}

static inline ad_dual ad_dual_log1p(ad_dual a)
{
    return ad_dualx_chain1(log1p(a.v), 1 / (1 + a.v), a);
}

/* ln(1 - e^a), a < 0: -e^a / (1 - e^a), and -inf at 0 */
static inline ad_dual ad_dual_log1mexp(ad_dual a)
{
    const double complement = -expm1(a.v); /* 1 - e^a */
    const double e = exp(a.v);
    const double y = a.v < -0.69314718055994530942 ? log1p(-e) : log(complement);
    return ad_dualx_chain1(y, -(e / (complement == 0 ? 0 : complement)), a);
}

/* The shares e^a / (e^a + e^b) and e^b / (e^a + e^b), the smaller through exp of minus the
 * distance. */
static inline ad_dual ad_dual_logaddexp(ad_dual a, ad_dual b)
{
    const double s = a.v - b.v, r = ad_dualx_difference_error(a.v, b.v, s);
    const double e = exp(-fabs(s)) * (1 - (s < 0 ? -r : r));
    const double larger = 1 / (1 + e), smaller = e / (1 + e);
    double y = (a.v < b.v ? b.v : a.v) + log1p(e);
    if (a.v == b.v) /* infinities of one sign too: their distance is NaN, and so are the shares */
        y = a.v + 0.69314718055994530942;
    return ad_dualx_chain2(y, s < 0 ? smaller : larger, a, s < 0 ? larger : smaller, b);
}

/* At a = 0 the value is 0, the derivative in b is 0, and that in a is ln b, cut to 0 for b <= 0. */
static inline ad_dual ad_dual_xlogy(ad_dual a, ad_dual b)
{
    if (a.v == 0 && b.v == b.v)
        return ad_dualx_chain1(0, b.v > 0 ? log(b.v) : 0, a);
    return ad_dualx_chain2(a.v * log(b.v), log(b.v), a, a.v / b.v, b);
}

/* ---- powers ---- */

/* d/da a^b is 0 for b = 0 and 1 for a = 0, b = 1; d/db is 0 where a = 0 and b >= 0. */
static inline ad_dual ad_dual_pow(ad_dual a, ad_dual b)
{
    const double y = pow(a.v, b.v);
    const double db = (a.v == 0 && b.v >= 0) || y == 0 ? 0 : log(a.v) * y;
    return ad_dualx_chain2(y, ad_dualx_power_slope(a.v, b.v, y), a, db, b);
}

/* b is cut to an integer and has no derivative. */
static inline ad_dual ad_dual_powi(ad_dual a, ad_dual b)
{
    const double n = trunc(b.v), y = pow(a.v, n);
    return ad_dualx_chain1(y, ad_dualx_power_slope(a.v, n, y), a);
}

/* b a^(b-1): its slopes by a, and by b, where the logarithm counts for 0 if a = 0 and b >= 1 */
static inline ad_dual ad_dual_pow_slope(ad_dual a, ad_dual b)
{
    const double y = ad_dualx_power_slope(a.v, b.v, pow(a.v, b.v)), m = b.v - 1;
    const double r = y / a.v;
    /* b - 2, where it is rounded, is as even as b */
    const double curve = b.v == 0 || m == 0                         ? 0
                         : fabs(r) >= DBL_MIN && fabs(r) <= DBL_MAX ? m * r
                                                                    : b.v * m * pow(a.v, b.v - 2);
    const double turn = (a.v == 0 && m >= 0) || y == 0 ? 0 : y * log(a.v);
    return ad_dualx_chain2(y, curve, a, pow(a.v, m) + turn, b);
}

/* a / b for |a| <= |b|; two infinities count as equally large, as they do in C's atan2 */
static inline double ad_dualx_ratio(double a, double b)
{
    return fabs(a) > DBL_MAX && fabs(b) > DBL_MAX ? copysign(1, a) * copysign(1, b) : a / b;
}

/* The direction cosines of (a, b), from the ratio of the smaller to the larger; (0, 0) at (0, 0).
 */
static inline ad_dual ad_dual_hypot(ad_dual a, ad_dual b)
{
    const int a_is_larger = fabs(a.v) >= fabs(b.v);
    const double y = hypot(a.v, b.v);
    if (y == 0)
        return ad_dual_constant(0);
    const double t = ad_dualx_ratio(a_is_larger ? b.v : a.v, a_is_larger ? a.v : b.v);
    const double major = copysign(1 / sqrt(1 + t * t), a_is_larger ? a.v : b.v);
    const double minor = t * major;
    return ad_dualx_chain2(y, a_is_larger ? major : minor, a, a_is_larger ? minor : major, b);
}

/* The cosine a / c, where c is known to be hypot(a, b); b matters only where both are infinite. */
static inline ad_dual ad_dual_direction(ad_dual a, ad_dual b, ad_dual c)
{
    if (a.v == 0)
        return ad_dualx_chain1(0, 1 / c.v, a);
    const double t = ad_dualx_ratio(b.v, a.v);
    const double y = fabs(a.v) > DBL_MAX ? copysign(1 / sqrt(1 + t * t), a.v) : a.v / c.v;
    return ad_dualx_chain2(y, 1 / c.v, a, -y / c.v, c);
}

/* ---- trigonometry ---- */

static inline ad_dual ad_dual_sin(ad_dual a) { return ad_dualx_chain1(sin(a.v), cos(a.v), a); }

static inline ad_dual ad_dual_cos(ad_dual a) { return ad_dualx_chain1(cos(a.v), -sin(a.v), a); }

static inline ad_dual ad_dual_tan(ad_dual a)
{
    const double secant = 1 / cos(a.v);
    return ad_dualx_chain1(tan(a.v), secant * secant, a);
}

static inline ad_dual ad_dual_asin(ad_dual a)
{
    return ad_dualx_chain1(asin(a.v), 1 / sqrt(fma(-a.v, a.v, 1)), a);
}

static inline ad_dual ad_dual_acos(ad_dual a)
{
    return ad_dualx_chain1(acos(a.v), -1 / sqrt(fma(-a.v, a.v, 1)), a);
}

/* 1 / (1 + a^2), from the reciprocal of a large a, whose square may overflow */
static inline ad_dual ad_dual_atan(ad_dual a)
{
    const double t = fabs(a.v) > 1 ? 1 / a.v : a.v;
    const double c = 1 / fma(t, t, 1);
    return ad_dualx_chain1(atan(a.v), fabs(a.v) > 1 ? c * t * t : c, a);
}

/* The angle of the point (b, a): b / (a^2 + b^2) and -a / (a^2 + b^2), from the ratio of the
 * smaller to the larger, whose square cannot overflow. NaN at (0, 0). */
static inline ad_dual ad_dual_atan2(ad_dual a, ad_dual b)
{
    double da, db;
    if (fabs(a.v) > fabs(b.v)) {
        const double t = ad_dualx_ratio(b.v, a.v), c = 1 / (1 + t * t);
        da = t * c / a.v;
        db = -c / a.v;
    } else {
        const double t = ad_dualx_ratio(a.v, b.v), c = 1 / (1 + t * t);
        da = c / b.v;
        db = -t * c / b.v;
    }
    return ad_dualx_chain2(atan2(a.v, b.v), da, a, db, b);
}

static inline ad_dual ad_dual_sinh(ad_dual a) { return ad_dualx_chain1(sinh(a.v), cosh(a.v), a); }

static inline ad_dual ad_dual_cosh(ad_dual a) { return ad_dualx_chain1(cosh(a.v), sinh(a.v), a); }

/* 1 / cosh^2 = 4 e / (1 + e)^2 with e = exp(-2 |a|) */
static inline double ad_dualx_sech2(double a)
{
    const double e = exp(-2 * fabs(a)), h = 2 / (1 + e);
    return e * h * h;
}

static inline ad_dual ad_dual_tanh(ad_dual a)
{
    return ad_dualx_chain1(tanh(a.v), ad_dualx_sech2(a.v), a);
}

/* 1 - tanh^2; its derivative is -2 tanh sech^2 */
static inline ad_dual ad_dual_sech2(ad_dual a)
{
    const double y = ad_dualx_sech2(a.v);
    return ad_dualx_chain1(y, -(tanh(a.v) * (y + y)), a);
}

static inline ad_dual ad_dual_asinh(ad_dual a)
{
    const double m = fabs(a.v);
    return ad_dualx_chain1(asinh(a.v), m > 1e9 ? 1 / m : 1 / sqrt(fma(a.v, a.v, 1)), a);
}

/* 1 / sqrt(a^2 - 1): from the distance to 1 near it, from the reciprocal far from it */
static inline ad_dual ad_dual_acosh(ad_dual a)
{
    double da;
    if (a.v > 2) {
        const double t = 1 / a.v;
        da = t / sqrt(fma(-t, t, 1));
    } else {
        const double excess = a.v - 1;
        da = 1 / sqrt(excess < 0 ? excess : excess * (excess + 2));
    }
    return ad_dualx_chain1(acosh(a.v), da, a);
}

static inline ad_dual ad_dual_atanh(ad_dual a)
{
    return ad_dualx_chain1(atanh(a.v), 1 / fma(-a.v, a.v, 1), a);
}

/* ---- special functions ---- */

static inline ad_dual ad_dual_erf(ad_dual a)
{
    return ad_dualx_chain1(erf(a.v), ad_dualx_gauss(a.v, 1) / 0.88622692545275801365, a);
}

static inline ad_dual ad_dual_erfc(ad_dual a)
{
    return ad_dualx_chain1(erfc(a.v), -ad_dualx_gauss(a.v, 1) / 0.88622692545275801365, a);
}

/* sqrt(pi)/2 exp(y^2), by the reciprocal of exp(-y^2), with y's last digits */
static inline ad_dual ad_dual_erfinv(ad_dual a)
{
    double correction;
    const double y = ad_dualx_erfinv(a.v, &correction);
    const double da = 0.88622692545275801365 * (1 + 2 * y * correction) / ad_dualx_gauss(y, 1);
    return ad_dualx_chain1(y, fabs(a.v) == 1 ? ad_dualx_inf() : da, a);
}

static inline ad_dual ad_dual_lgamma(ad_dual a)
{
    return ad_dualx_chain1(ad_dualx_lgamma(a.v), ad_dualx_digamma(a.v), a);
}

static inline ad_dual ad_dual_digamma(ad_dual a)
{
    return ad_dualx_chain1(ad_dualx_digamma(a.v), ad_dualx_polygamma(1, a.v), a);
}

/* The order a has no derivative. */
static inline ad_dual ad_dual_polygamma(ad_dual a, ad_dual b)
{
    const double y = a.v <= 20 ? ad_dualx_polygamma(a.v, b.v) : ad_dualx_nan();
    return ad_dualx_chain1(y, ad_dualx_polygamma(a.v + 1, b.v), b);
}

static inline ad_dual ad_dual_normpdf(ad_dual a)
{
    const double y = ad_dualx_normpdf(a.v);
    return ad_dualx_chain1(y, y == 0 ? 0 : -a.v * y, a);
}

static inline ad_dual ad_dual_normcdf(ad_dual a)
{
    return ad_dualx_chain1(ad_dualx_normcdf(a.v), ad_dualx_normpdf(a.v), a);
}

/* ---- activations and losses; e is exp(-|a|) throughout ---- */

static inline ad_dual ad_dual_sigmoid(ad_dual a)
{
    const double e = exp(-fabs(a.v)), h = 1 / (1 + e);
    return ad_dualx_chain1(ad_dualx_sigmoid(a.v), e * h * h, a);
}

static inline ad_dual ad_dual_log_sigmoid(ad_dual a)
{
    const double e = exp(-fabs(a.v));
    return ad_dualx_chain1((a.v > 0 ? 0 : a.v) - log1p(e), (a.v > 0 ? e : 1) / (1 + e), a);
}

static inline ad_dual ad_dual_softplus(ad_dual a)
{
    const double e = exp(-fabs(a.v));
    return ad_dualx_chain1((a.v < 0 ? 0 : a.v) + log1p(e), (a.v < 0 ? e : 1) / (1 + e), a);
}

/* Kink at 0: derivative 0. */
static inline ad_dual ad_dual_relu(ad_dual a)
{
    if (a.v > 0)
        return a;
    return ad_dual_constant(a.v == a.v ? 0 : a.v);
}

/* Kink at a = 0: derivative b. */
static inline ad_dual ad_dual_leaky_relu(ad_dual a, ad_dual b)
{
    if (a.v > 0)
        return a;
    return ad_dualx_chain2(b.v * a.v, b.v, a, a.v, b);
}

/* Kink at a = 0 (unless b = 1): derivative b. */
static inline ad_dual ad_dual_elu(ad_dual a, ad_dual b)
{
    if (a.v > 0)
        return a;
    const double m = expm1(a.v);
    return ad_dualx_chain2(b.v * m, b.v * exp(a.v), a, m, b);
}

/* a sigmoid(a); the derivative over one denominator (1 + e)^2 */
static inline ad_dual ad_dual_silu(ad_dual a)
{
    const double e = exp(-fabs(a.v)), h = 1 / (1 + e);
    double da;
    if (fabs(a.v) > 800) /* e is 0, and would meet an infinite a */
        da = a.v > 0 ? 1 : 0;
    else if (a.v >= 0)
        da = (1 + e * (1 + a.v)) * h * h;
    else
        da = e * ((1 + a.v) + e) * h * h;
    return ad_dualx_chain1(a.v * ad_dualx_sigmoid(a.v), da, a);
}

/* a Phi(a), with derivative Phi(a) + a phi(a) */
static inline ad_dual ad_dual_gelu(ad_dual a)
{
    const double cdf = ad_dualx_normcdf(a.v), pdf = ad_dualx_normpdf(a.v);
    return ad_dualx_chain1(a.v * cdf, pdf == 0 ? cdf : cdf + a.v * pdf, a);
}

/* (a/2) (1 + tanh(t/2)) = a sigmoid(t), t = c a (1 + 0.044715 a^2), c = 2 sqrt(2/pi). Rounding t
 * would cost |t| ulp where sigmoid is small, so t's error r is carried along. */
static inline ad_dual ad_dual_gelu_tanh(ad_dual a)
{
    const double c = 1.5957691216057308, c_low = -9.9693088091109204e-17;
    const double g = 0.044715, g_low = 2.1960211427085595e-18, x = a.v;
    if (fabs(x) > 30) /* exp(-|t|) is 0 */
        return ad_dualx_chain1(x * (x > 0 ? 1 : 0), x > 0 ? 1 : 0, a);
    const double s = x * x, s_low = fma(x, x, -s);
    const double p = g * s, p_low = fma(g, s, -p) + g * s_low + g_low * s;
    const double q = 1 + p, q_low = p_low + ad_dualx_difference_error(1, -p, q);
    const double k = c * x, k_low = fma(c, x, -k) + c_low * x;
    const double t = k * q, r = fma(k, q, -t) + k * q_low + k_low * q;
    const double e = exp(-fabs(t)) * (1 - (t < 0 ? -r : r)), h = 1 / (1 + e);
    const double slope = k * (1 + 3 * p); /* a dt/da */
    const double da = t < 0 ? e * ((1 + slope) + e) * h * h : (1 + e * (1 + slope)) * h * h;
    return ad_dualx_chain1(x * ((t < 0 ? e : 1) * h), da, a);
}

/* ln(1 + e^a) - a b, written as a sum of terms of one sign for 0 <= b <= 1; its derivative in a is
 * sigmoid(a) - b over one denominator, so that nothing is lost at b = 0 or 1 */
static inline ad_dual ad_dual_bce_logits(ad_dual a, ad_dual b)
{
    const double e = exp(-fabs(a.v));
    const double y = (a.v < 0 ? -a.v * b.v : a.v * (1 - b.v)) + log1p(e);
    const double da = a.v < 0 ? e * (1 - b.v) - b.v : (1 - b.v) - e * b.v;
    return ad_dualx_chain2(y, da / (1 + e), a, -a.v, b);
}

/* -b ln a - (1 - b) ln(1 - a), where no logarithm is below -100. Its derivative in a by partial
 * fractions of 1 / (a (1 - a)), which ends at 1e12; in b it is the logit of 1 - a, near 1/2 by the
 * area tangent. */
static inline ad_dual ad_dual_bce(ad_dual a, ad_dual b)
{
    const double p = a.v, q = 1 - p, miss = p - b.v, least = -100;
    double u = log(p), v = log1p(-p);
    u = u < least ? least : u;
    v = v < least ? least : v;
    const double da = p * q < 1e-12 ? miss * 1e12 : miss / p + miss / q;
    const double db = fabs(q - p) < .5 ? 2 * atanh(q - p) : v - u;
    return ad_dualx_chain2((1 - b.v) * -v - b.v * u, da, a, db, b);
}

/* ---- rounding: derivative 0 ---- */

static inline ad_dual ad_dual_floor(ad_dual a) { return ad_dual_constant(floor(a.v)); }

static inline ad_dual ad_dual_ceil(ad_dual a) { return ad_dual_constant(ceil(a.v)); }

static inline ad_dual ad_dual_trunc(ad_dual a) { return ad_dual_constant(trunc(a.v)); }

static inline ad_dual ad_dual_round(ad_dual a) { return ad_dual_constant(rint(a.v)); }

/* a - q b with the integer q fixed: 1 and -q */
static inline ad_dual ad_dual_fmod(ad_dual a, ad_dual b)
{
    const double y = fmod(a.v, b.v);
    return ad_dualx_chain2(y, 1, a, -ad_dualx_quotient(a.v, b.v, y, trunc(a.v / b.v)), b);
}

static inline ad_dual ad_dual_remainder(ad_dual a, ad_dual b)
{
    const double y = remainder(a.v, b.v);
    return ad_dualx_chain2(y, 1, a, -ad_dualx_quotient(a.v, b.v, y, rint(a.v / b.v)), b);
}

/* Kink at a = 0: derivative 0. None in b. */
static inline ad_dual ad_dual_copysign(ad_dual a, ad_dual b)
{
    const double y = copysign(a.v, b.v);
    if (a.v == 0)
        return ad_dual_constant(y);
    return ad_dualx_chain1(y, !signbit(a.v) == !signbit(b.v) ? 1 : -1, a);
}

/* ---- choices: the side that is not taken contributes nothing, whatever its tangent ---- */

/* A tie splits 1/2, 1/2. */
static inline ad_dual ad_dual_min(ad_dual a, ad_dual b)
{
    if (a.v == b.v)
        return ad_dualx_chain2(a.v, 0.5, a, 0.5, b);
    if (a.v != a.v || b.v != b.v)
        return ad_dual_constant(a.v + b.v);
    return a.v < b.v ? a : b;
}

/* A tie splits 1/2, 1/2. */
static inline ad_dual ad_dual_max(ad_dual a, ad_dual b)
{
    if (a.v == b.v)
        return ad_dualx_chain2(a.v, 0.5, a, 0.5, b);
    if (a.v != a.v || b.v != b.v)
        return ad_dual_constant(a.v + b.v);
    return a.v < b.v ? b : a;
}

/* A tie goes to a; of a number and a NaN the number is taken. */
static inline ad_dual ad_dual_fmin(ad_dual a, ad_dual b)
{
    return ad_dualx_chain1(fmin(a.v, b.v), 1, a.v <= b.v || b.v != b.v ? a : b);
}

/* A tie goes to a; of a number and a NaN the number is taken. */
static inline ad_dual ad_dual_fmax(ad_dual a, ad_dual b)
{
    return ad_dualx_chain1(fmax(a.v, b.v), 1, a.v >= b.v || b.v != b.v ? a : b);
}

static inline ad_dual ad_dual_less(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v < b.v ? 1 : 0);
}

static inline ad_dual ad_dual_less_equal(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v <= b.v ? 1 : 0);
}

static inline ad_dual ad_dual_greater(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v > b.v ? 1 : 0);
}

static inline ad_dual ad_dual_greater_equal(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v >= b.v ? 1 : 0);
}

static inline ad_dual ad_dual_equal(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v == b.v ? 1 : 0);
}

static inline ad_dual ad_dual_not_equal(ad_dual a, ad_dual b)
{
    return ad_dual_constant(a.v == b.v ? 0 : 1);
}

/* The mask a has no derivative. */
static inline ad_dual ad_dual_where(ad_dual a, ad_dual b, ad_dual c) { return a.v == 0 ? c : b; }

/* At a bound the derivative is a's, beyond it the bound's. */
static inline ad_dual ad_dual_clamp(ad_dual a, ad_dual b, ad_dual c)
{
    if (a.v < b.v)
        return b;
    return a.v > c.v ? c : a;
}

static inline ad_dual ad_dual_fma(ad_dual a, ad_dual b, ad_dual c)
{
    return ad_dualx_chain3(fma(a.v, b.v, c.v), b.v, a, a.v, b, 1, c);
}

#endif
