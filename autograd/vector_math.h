/* vector_math.h - elementary functions for array loops: no branches, no tables, no calls
 *
 * A compiler makes vectors of a loop only where every element takes the same steps, so a function
 * here computes all its cases and chooses among the results; those of a whole vector run at the
 * speed of one. They are built of single IEEE operations, none contracted: an element's bits depend
 * on its argument alone, not on its place in an array, the instruction set or the compiler. Float
 * functions compute in double, by shorter polynomials, and round once.
 *
 * Errors, measured against mpmath, and the special values of C's annex F are held by
 * tests/test_kernels.c: below 3 ulp in double and 0.6 ulp in float. Rounding must be to nearest.
 * The polynomials are minimax fits (Remez), with the error relative to the function.
 *
 * Sources of the methods: W. J. Cody and W. Waite, Software Manual for the Elementary Functions
 * (1980), for reductions in several parts; Abramowitz and Stegun 4.1.27 (log by artanh), 7.1.23 and
 * on (erfc by its scaled form). */
#ifndef VECTOR_MATH_H
#define VECTOR_MATH_H
#include "special.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if !defined(AD_NO_VECTOR_MATH) && defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define VECTOR_MATH 1
#else
#define VECTOR_MATH 0
#endif

#if defined(__GNUC__)
#define VM_INLINE static inline __attribute__((always_inline, unused))
#else
#define VM_INLINE static inline
#endif

/* Up to here sin, cos and tan reduce their argument exactly enough; loops compute larger ones
 * again, one by one. */
#define VM_LARGEST_ANGLE 1e6

#if VECTOR_MATH
/* Adding and subtracting it rounds to an integer, which the low bits of the sum hold. */
#define VM_ROUND 0x1.8p52

/* polynomials by Horner's rule */
#define VM_P2(z, a, b)    (a + z * (b))
#define VM_P3(z, a, ...)  (a + z * VM_P2(z, __VA_ARGS__))
#define VM_P4(z, a, ...)  (a + z * VM_P3(z, __VA_ARGS__))
#define VM_P5(z, a, ...)  (a + z * VM_P4(z, __VA_ARGS__))
#define VM_P6(z, a, ...)  (a + z * VM_P5(z, __VA_ARGS__))
#define VM_P7(z, a, ...)  (a + z * VM_P6(z, __VA_ARGS__))
#define VM_P8(z, a, ...)  (a + z * VM_P7(z, __VA_ARGS__))
#define VM_P9(z, a, ...)  (a + z * VM_P8(z, __VA_ARGS__))
#define VM_P10(z, a, ...) (a + z * VM_P9(z, __VA_ARGS__))
#define VM_P11(z, a, ...) (a + z * VM_P10(z, __VA_ARGS__))

VM_INLINE uint64_t vm_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

VM_INLINE double vm_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* a NaN passes */
VM_INLINE double vm_within(double x, double low, double high)
{
    x = x > high ? high : x;
    return x < low ? low : x;
}

/* ---- exponentials: e^x = 2^k e^r, |r| <= ln 2 / 2 ---- */

/* 2^k of k + VM_ROUND, -1023 < k < 1024 */
VM_INLINE double vm_power(double k_rounded) { return vm_double((vm_bits(k_rounded) + 1023) << 52); }

/* e^r - 1 */
VM_INLINE double vm_expm1_reduced(double r, bool full)
{
    const double z = r * r;
    if (full)
        return r +
               z * (VM_P5(z, 0.5000000000000004, 0.04166666666658008, 0.001388888893074953,
                          2.4801506043689112e-05, 2.7625791216345794e-07) +
                    r * VM_P5(z, 0.16666666666666594, 0.008333333333387006, 0.00019841269723632632,
                              2.755740393369336e-06, 2.505481892484913e-08));
    return r + z * ((0.5000000042487396 + r * 0.16666666381430384) +
                    z * ((0.04166636522460281 + r * 0.00833338727284846) +
                         z * (0.0013940389359215566 + r * 0.00019846929316288717)));
}

/* x - tail = k ln 2 + r; gives r */
VM_INLINE double vm_exp_reduce(double x, double tail, bool full, double *k_rounded)
{
    const double k = x * 1.4426950408889634074 + VM_ROUND, n = k - VM_ROUND;
    *k_rounded = k;
    return full ? (x - n * 0x1.62e42feep-1) - (n * 0x1.a39ef35793c76p-33 + tail)
                : (x - n * .69314718055994530942) - tail;
}

/* y 2^k for any k that makes sense, rounded once: by two factors */
VM_INLINE double vm_scale(double y, double k_rounded)
{
    const double n = k_rounded - VM_ROUND, half = n * .5 + VM_ROUND;
    return y * vm_power(half) * vm_power(n - (half - VM_ROUND) + VM_ROUND);
}

/* e^(x - tail) */
VM_INLINE double vm_exp_tail(double x, double tail, bool full)
{
    double k;
    x = full ? vm_within(x, -746, 710) : vm_within(x, -110, 90);
    const double r = vm_exp_reduce(x, tail, full, &k), y = 1 + vm_expm1_reduced(r, full);
    return full ? vm_scale(y, k) : y * vm_power(k);
}

VM_INLINE double vm_exp_any(double x, bool full) { return vm_exp_tail(x, 0, full); }

VM_INLINE double vm_exp2_any(double x, bool full)
{
    x = full ? vm_within(x, -1080, 1025) : vm_within(x, -160, 130);
    const double k = x + VM_ROUND, r = (x - (k - VM_ROUND)) * .69314718055994530942;
    const double y = 1 + vm_expm1_reduced(r, full);
    return full ? vm_scale(y, k) : y * vm_power(k);
}

/* (e^x - 1) / 4, which does not overflow up to 710.6 */
VM_INLINE double vm_expm1_quarter(double x, bool full)
{
    double k;
    const double p = vm_expm1_reduced(vm_exp_reduce(x, 0, full, &k), full), s = vm_power(k - 2);
    return s * p + (s - .25);
}

VM_INLINE double vm_expm1_any(double x, bool full)
{
    const double y = 4 * vm_expm1_quarter(vm_within(x, -60, 710.4), full);
    return fabs(x) < 0x1p-54 ? x : y;
}

VM_INLINE double vm_sinh_any(double x, bool full)
{
    const double q = vm_expm1_quarter(vm_within(fabs(x), 0, 710.6), full);
    return fabs(x) < 0x1p-54 ? x : copysign(2 * q + .5 * q / (q + .25), x);
}

VM_INLINE double vm_cosh_any(double x, bool full)
{
    double k;
    const double r = vm_exp_reduce(vm_within(fabs(x), 0, 710.6), 0, full, &k);
    const double q = (1 + vm_expm1_reduced(r, full)) * vm_power(k - 2); /* e^|x| / 4 */
    return 2 * q + .125 / q;
}

VM_INLINE double vm_tanh_any(double x, bool full)
{
    const double m = 4 * vm_expm1_quarter(vm_within(-2 * fabs(x), -50, 0), full);
    const double y = copysign(m / (m + 2), x);
    return full && fabs(x) < 0x1p-54 ? x : y;
}

/* ---- logarithms: x = 2^k (1 + f), 1 + f within a factor of sqrt 2 of 1 ---- */

VM_INLINE double vm_log_split(double x, double *f)
{
    const uint64_t root_half = 0x3fe6a09e00000000u, u = vm_bits(x) - root_half;
    *f = vm_double((u & 0x000fffffffffffffu) + root_half) - 1;
    return vm_double(((u + 0x4000000000000000u) >> 52) | 0x4330000000000000u) - (0x1p52 + 1024);
}

/* f - ln(1 + f) + small, without the cancellation of an f that is */
VM_INLINE double vm_log_rest(double f, double small, bool full)
{
    const double s = f / (2 + f), z = s * s, square = .5 * f * f;
    const double rest =
        full ? z * (VM_P4(z * z, 0.6666666666666726, 0.28571428734810034, 0.18183533911495603,
                          0.14789690469712521) +
                    z * VM_P3(z * z, 0.3999999999945583, 0.22222199240082602, 0.1531474429068885))
             : z * VM_P4(z, 0.6666666568274843, 0.4000032891799364, 0.28537622481252756,
                         0.23577289658146575);
    return square - (s * (square + rest) + small);
}

/* Added, so that compilers cannot follow the constants into what is made of the result: a loop with
 * paths of its own for them would be no vector's. */
VM_INLINE double vm_log_special(double x, double y)
{
    return y + (x < (double)INFINITY ? x > 0 ? -0. : x == 0 ? -(double)INFINITY : (double)NAN : x);
}

/* k and f of a positive number, a denormal one included */
VM_INLINE double vm_log_split_any(double x, double *f, bool full)
{
    if (!full)
        return vm_log_split(x, f);
    const bool tiny = x < DBL_MIN;
    const double k = vm_log_split(tiny ? x * 0x1p54 : x, f);
    return tiny ? k - 54 : k;
}

VM_INLINE double vm_log_any(double x, bool full)
{
    double f;
    const double k = vm_log_split_any(x, &f, full);
    const double rest = vm_log_rest(f, k * 0x1.a39ef35793c76p-33, full);
    return vm_log_special(x, k * 0x1.62e42feep-1 - (rest - f));
}

/* k a + ln(1 + f) b, a = log 2 in two parts */
VM_INLINE double vm_log_base(double x, double a_high, double a_low, double b, bool full)
{
    double f;
    const double k = vm_log_split_any(x, &f, full);
    const double y = (f - vm_log_rest(f, 0, full)) * b;
    return vm_log_special(x, k * a_high + (k * a_low + y));
}

VM_INLINE double vm_log2_any(double x, bool full)
{
    return vm_log_base(x, 1, 0, 1.4426950408889634074, full);
}

VM_INLINE double vm_log10_any(double x, bool full)
{
    return vm_log_base(x, 0x1.34413509f6p-2, 0x1.9fef311f12b36p-42, .43429448190325182765, full);
}

/* u = 1 + x rounded, and c what was lost; ln(1 + x) = ln u + c/u, 1/u by the first terms of its
 * series, since c is at most half a last place */
VM_INLINE double vm_log1p_any(double x, bool full)
{
    const double u = 1 + x, part = u - 1;
    const double c = u < (double)INFINITY ? (1 - (u - part)) + (x - part) : 0;
    double f;
    const double k = vm_log_split(u, &f);
    const double lost = c * vm_power(VM_ROUND - vm_within(k, -60, 60)) * (1 - f * (1 - f));
    const double rest = vm_log_rest(f, k * 0x1.a39ef35793c76p-33 + lost, full);
    const double y = copysign(k * 0x1.62e42feep-1 - (rest - f), x);
    return vm_log_special(u, y);
}

/* ---- angles: x = k pi/2 + r, |r| <= pi/4 ---- */

VM_INLINE double vm_angle_reduce(double x, bool full, uint64_t *quadrant)
{
    const double k = x * .63661977236758134308 + VM_ROUND, n = k - VM_ROUND;
    *quadrant = vm_bits(k);
    const double r = x - n * 0x1.921fb544p0;
    return full ? (r - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69
                : r - n * 0x1.0b4611a62633p-34;
}

VM_INLINE double vm_sin_reduced(double r, bool full)
{
    const double z = r * r;
    const double rest =
        full ? VM_P6(z, -0.16666666666666632, 0.008333333333322515, -0.00019841269829863677,
                     2.7557313705442113e-06, -2.5050759571431594e-08, 1.5896850878809226e-10)
             : VM_P4(z, -0.16666666641784414, 0.008333329395619718, -0.0001983933622114194,
                     2.7183137172340267e-06);
    return copysign(r + r * z * rest, r);
}

VM_INLINE double vm_cos_reduced(double r, bool full)
{
    const double z = r * r, h = .5 * z, w = 1 - h;
    return w +
           (((1 - w) - h) + z * z *
                                (full ? VM_P6(z, 0.041666666666666616, -0.0013888888888876076,
                                              2.4801587290538082e-05, -2.7557314622637967e-07,
                                              2.08757563796877e-09, -1.136121180902674e-11)
                                      : VM_P4(z, 0.041666666624160936, -0.001388888384436392,
                                              2.4799539705896566e-05, -2.7211605233164877e-07)));
}

/* the sine of r + quadrant pi/2 */
VM_INLINE double vm_sin_of(double r, uint64_t quadrant, bool full)
{
    const double sine = vm_sin_reduced(r, full), cosine = vm_cos_reduced(r, full);
    const double y = quadrant & 1 ? cosine : sine;
    return y * copysign(1, vm_double(quadrant << 62));
}

VM_INLINE double vm_sin_any(double x, bool full)
{
    uint64_t quadrant;
    const double r = vm_angle_reduce(x, full, &quadrant);
    return vm_sin_of(r, quadrant, full);
}

VM_INLINE double vm_cos_any(double x, bool full)
{
    uint64_t quadrant;
    const double r = vm_angle_reduce(x, full, &quadrant);
    return vm_sin_of(r, quadrant + 1, full);
}

VM_INLINE double vm_tan_any(double x, bool full)
{
    uint64_t quadrant;
    const double r = vm_angle_reduce(x, full, &quadrant);
    const double s = vm_sin_reduced(r, full), c = vm_cos_reduced(r, full);
    const bool odd = quadrant & 1;
    return (odd ? -c : s) / (odd ? s : c);
}

/* ---- error functions ---- */

/* erf(x) for |x| <= 3/4 */
VM_INLINE double vm_erf_small(double x, bool full)
{
    const double z = x * x;
    return x +
           x * (full
                    ? VM_P11(z, 0.1283791670955126, -0.37612638903183715, 0.11283791670952478,
                             -0.026866170644401683, 0.005223977615111728, -0.0008548326168305632,
                             0.00012055288742268527, -1.4924175686921365e-05, 1.643037275249144e-06,
                             -1.5937461737335748e-07, 1.1463235366645233e-08)
                    : VM_P6(z, 0.12837916549588851, -0.37612618745407184, 0.11283376343713623,
                            -0.026834610145993452, 0.005114310891794619, -0.00067492315236218));
}

/* erfc(x) for x >= 3/4: e^-(x^2) / (x + c) times a polynomial in t = (x - c) / (x + c). The square
 * is taken in two parts, for e^x makes relative errors of absolute ones. */
VM_INLINE double vm_erfc_large(double x, bool full)
{
    const double c = full ? 3 : 2.5, w = 1 / (x + c), t = (x - c) * w, z = t * t;
    const double high = vm_double(vm_bits(x) & 0xfffffffff8000000u);
    const double e = vm_exp_tail(-(high * high), (x - high) * (x + high), full);
    double q;
    if (full) /* the first steps one by one, for they cancel in part */
        q = 1.0740069070883398 +
            t * (-0.8833944531698837 +
                 t * (0.5902283571041016 +
                      t * (VM_P9(z, -0.3104672619005477, -0.026827234625351193,
                                 0.0030340620185977836, -0.0002767780332806806,
                                 3.039933039419007e-05, -4.753509511867561e-06,
                                 1.0075413540342821e-06, -2.40446143346658e-07,
                                 4.650668514821346e-08) +
                           t * VM_P9(z, 0.11952776128729904, -0.0012124166271179463,
                                     -0.0005483097002690567, 0.00010756163897081271,
                                     -1.747187722414364e-05, 2.771668056120036e-06,
                                     -4.2510912259902855e-07, 7.122962881924517e-08,
                                     -1.6865141166664738e-08))));
    else
        q = VM_P5(z, 1.0540318198844745, 0.45391419007565315, 0.028359531675034133,
                  -0.004799383197247986, 0.0006256855712610862) +
            t * VM_P4(z, -0.804651861168052, -0.17125059168849088, 0.008386019943757527,
                      -0.0004056632984925433);
    return e * (w * q);
}

VM_INLINE double vm_erf_any(double x, bool full)
{
    const double m = fabs(x), small = vm_erf_small(x, full);
    const double large = 1 - vm_erfc_large(vm_within(m, .5, 28), full);
    return m <= .75 ? small : copysign(large, x);
}

VM_INLINE double vm_erfc_any(double x, bool full)
{
    const double m = fabs(x), small = 1 - vm_erf_small(x, full);
    const double large = vm_erfc_large(vm_within(m, .5, 28), full);
    const double either = x < 0 ? 2 - large : large;
    return m <= .75 ? small : either;
}

#define VM_BOTH(f)                                                                                 \
    VM_INLINE double vm_##f##_f64(double x) { return vm_##f##_any(x, true); }                      \
    VM_INLINE float vm_##f##_f32(float x) { return (float)vm_##f##_any((double)x, false); }
#else
#define VM_BOTH(f) VM_LIBM1(f)
#endif

/* ---- under the names of the C library: every F(f) of ops.def is here ---- */

#define VM_LIBM1(name)                                                                             \
    VM_INLINE double vm_##name##_f64(double x) { return name(x); }                                 \
    VM_INLINE float vm_##name##_f32(float x) { return name##f(x); }
#define VM_LIBM2(name)                                                                             \
    VM_INLINE double vm_##name##_f64(double x, double y) { return name(x, y); }                    \
    VM_INLINE float vm_##name##_f32(float x, float y) { return name##f(x, y); }

VM_BOTH(exp)
VM_BOTH(exp2)
VM_BOTH(expm1)
VM_BOTH(log)
VM_BOTH(log2)
VM_BOTH(log10)
VM_BOTH(log1p)
VM_BOTH(sin)
VM_BOTH(cos)
VM_BOTH(tan)
VM_BOTH(sinh)
VM_BOTH(cosh)
VM_BOTH(tanh)
VM_BOTH(erf)
VM_BOTH(erfc)
VM_LIBM1(fabs)
VM_LIBM1(sqrt)
VM_LIBM1(cbrt)
VM_LIBM1(asin)
VM_LIBM1(acos)
VM_LIBM1(atan)
VM_LIBM1(asinh)
VM_LIBM1(acosh)
VM_LIBM1(atanh)
VM_LIBM1(floor)
VM_LIBM1(ceil)
VM_LIBM1(trunc)
VM_LIBM1(rint)
VM_LIBM2(atan2)
VM_LIBM2(pow)
VM_LIBM2(hypot)
VM_LIBM2(fmod)
VM_LIBM2(remainder)
VM_LIBM2(copysign)

VM_INLINE double vm_fmin_f64(double x, double y) { return x <= y || y != y ? x : y; }
VM_INLINE float vm_fmin_f32(float x, float y) { return x <= y || y != y ? x : y; }
VM_INLINE double vm_fmax_f64(double x, double y) { return x >= y || y != y ? x : y; }
VM_INLINE float vm_fmax_f32(float x, float y) { return x >= y || y != y ? x : y; }
VM_INLINE double vm_fma_f64(double x, double y, double z) { return fma(x, y, z); }
VM_INLINE float vm_fma_f32(float x, float y, float z) { return fmaf(x, y, z); }

#undef VM_BOTH
#undef VM_LIBM1
#undef VM_LIBM2

#endif
