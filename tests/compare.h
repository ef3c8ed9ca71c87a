/* compare.h - what tests of numbers share: a seeded generator, and comparisons that say what
 * differs
 *
 * A test of many cases should go on after the first that fails: so a comparison prints what differs
 * and is counted, and the test asks for the count at its end. */
#ifndef COMPARE_H
#define COMPARE_H

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- random numbers: SplitMix64 ---- */

static inline uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0 .. n-1 */
static inline int random_below(uint64_t *state, int n)
{
    return (int)(random_bits(state) % (uint64_t)n);
}

/* A multiple of 1/4096 in (low, high) where they leave room for one: floats hold it exactly. */
static inline double random_between(uint64_t *state, double low, double high)
{
    double u = ((double)(random_bits(state) >> 11) + 0.5) * 0x1p-53;
    double x = low + (high - low) * u, rounded = floor(x * 4096 + 0.5) / 4096;
    return rounded > low && rounded < high ? rounded : x;
}

/* ---- comparisons ---- */

static int failures; /* of the test that runs: begin with begin_test, end with end_test */

static inline void begin_test(void) { failures = 0; }

#define end_test() assert_int_equal(failures, 0)

/* Prints what a failed case was, and counts it. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static inline void
report(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (failures++ < 20)
        print_error("%s\n", text);
}

static inline bool same_bits(double a, double b)
{
    return a == b ? signbit(a) == signbit(b) : a != a && b != b;
}

/* the largest finite |x|, or `least` if that is larger */
static inline double scale_of(int64_t n, const double *x, double least)
{
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]) && fabs(x[i]) > least)
            least = fabs(x[i]);
    return least;
}

/* Elements within `allowed` of each other, or equal (infinities), or both NaN; what differs is
 * reported. */
static inline bool expect_close(const char *what, int64_t n, const double *got, const double *want,
                                double allowed)
{
    for (int64_t i = 0; i < n; i++)
        if (!(got[i] == want[i] || (got[i] != got[i] && want[i] != want[i]) ||
              fabs(got[i] - want[i]) <= allowed)) {
            report("%s: element %" PRId64 " of %" PRId64
                   ": got %.17g, want %.17g, apart by %.3g, allowed %.3g",
                   what, i, n, got[i], want[i], fabs(got[i] - want[i]), allowed);
            return false;
        }
    return true;
}

static inline bool expect_same_bits(const char *what, int64_t n, const double *got,
                                    const double *want)
{
    for (int64_t i = 0; i < n; i++)
        if (!same_bits(got[i], want[i])) {
            report("%s: element %" PRId64 " of %" PRId64 ": got %a, want %a", what, i, n, got[i],
                   want[i]);
            return false;
        }
    return true;
}

#endif
