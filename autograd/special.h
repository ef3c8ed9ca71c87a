/* special.h - special functions that libm lacks, or that it has only with a global variable
 *
 * Plain functions of plain numbers, with no state and no errno of their own: every one may be
 * called from any number of threads. A NaN argument gives NaN. The float forms compute in double
 * and round once. Errors are given in ulp of the result and were measured against mpmath, for the
 * round-to-nearest mode, a libm within an ulp or two, and compilation without -ffast-math. */
#ifndef AD_SPECIAL_H
#define AD_SPECIAL_H

#ifndef AD_API
#if defined(__GNUC__)
#define AD_API __attribute__((visibility("default")))
#else
#define AD_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The inverse of erf: the y with erf(y) = x. erfinv(+-1) is +-inf, outside [-1, 1] it is NaN, and
 * -0 is kept. Source: M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), then
 * one step of Newton's method on erf, or on erfc where |x| > 0.5, so that the result is accurate up
 * to the last x before 1. Error: below 2 ulp. */
AD_API double ad_special_erfinv(double x);
AD_API float ad_special_erfinvf(float x);

/* ln |Gamma(x)|, without the write to the global signgam that makes C's lgamma a data race. It is
 * lgamma_r where the platform has it. +inf at 0, -1, -2, ... and at both infinities. Error: libm's.
 */
AD_API double ad_special_lgamma(double x);
AD_API float ad_special_lgammaf(float x);

/* The digamma function, the derivative of ln |Gamma(x)|. NaN at -1, -2, ... and at -inf; -inf at +0
 * and +inf at -0, like PyTorch. Sources: on [1, 2] a rational function times (x - x0), x0 being the
 * positive root held in two doubles; psi(x + 1) = psi(x) + 1/x up to 10 (Abramowitz and
 * Stegun 6.3.5); the asymptotic series from there (6.3.18); psi(x) = psi(1 - x) - pi cot(pi x) for
 * x < 0 (6.3.7). Error: below 4 ulp for x > 0, and that of the larger of the two terms, not of
 * their sum, for x < 0. */
AD_API double ad_special_digamma(double x);
AD_API float ad_special_digammaf(float x);

/* The polygamma function: derivative number n of digamma at x, for an integer n from 0 to 20; any
 * other n gives NaN. n = 0 is digamma. For n > 0 the poles are 0, -1, -2, ...: an odd n gives +inf
 * at every one; an even n gives -inf at +0, +inf at -0 and NaN at the others, where the sides
 * differ. At +inf it is 0, at -inf NaN. Sources: for x > 0 the sum of n! / (x + k)^(n+1) and its
 * Euler-Maclaurin tail (Abramowitz and Stegun 6.4.10, 6.4.11, 23.1.30), for x < 0 the
 * reflection 6.4.7, with the derivatives of the cotangent as polynomials in it. Error: below 4 ulp
 * for x > 0; below about 10 + 2 n ulp of the larger of the two terms of the reflection for x < 0.
 */
AD_API double ad_special_polygamma(double n, double x);
AD_API float ad_special_polygammaf(float n, float x);

#ifdef __cplusplus
}
#endif

#endif
