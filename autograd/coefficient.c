/* coefficient.c - fractions of doubles, multiplied and added where that is exact
 *
 * Exact is meant as people write numbers: 3 times 0.1 is 0.3, though the doubles nearest to them
 * are not exact multiples. So decimals come first, and what is exact in binary second. What is
 * neither stays as it is written: 1/3 is a fraction, not 0.333. */
#define AD_PLAIN
#include "coefficient.h"
#include "expression.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { DECIMAL_DIGITS = 15 };                    /* any double holds so many */
static const double LARGEST = 9007199254740992.; /* all integers up to it are doubles */

static bool is_whole(double x) { return fabs(x) <= LARGEST && x == trunc(x); }

/* ---- decimals ---- */

typedef struct decimal { /* digits * 10^exponent */
    double digits;
    int exponent;
} decimal;

static double power_of_10(int n)
{
    double y = 1;
    while (n-- > 0)
        y *= 10;
    return y;
}

/* false: it has more than 15 digits. */
static bool read_decimal(double x, decimal *d)
{
    char text[EXPR_NUMBER_TEXT];
    int n = 0, fraction = 0;
    bool point = false;
    const char *c = text;
    expr_write_number(text, x);
    *d = (decimal){0, 0};
    for (c += *c == '-'; *c && *c != 'e'; c++) {
        if (*c == '.') {
            point = true;
            continue;
        }
        d->digits = 10 * d->digits + (*c - '0');
        n += d->digits > 0;
        fraction += point;
    }
    if (*c == 'e')
        for (const char *k = c + 2; *k; k++)
            d->exponent = 10 * d->exponent + (*k - '0');
    d->exponent = (*c == 'e' && c[1] == '-' ? -d->exponent : d->exponent) - fraction;
    d->digits = x < 0 ? -d->digits : d->digits;
    return n <= DECIMAL_DIGITS;
}

static bool write_decimal(decimal d, double *x)
{
    char text[64];
    if (!(fabs(d.digits) < 1e15) || abs(d.exponent) > 300)
        return false;
    snprintf(text, sizeof text, "%.0fe%d", fabs(d.digits), d.exponent);
    *x = copysign(expr_read_number(text, strlen(text)), d.digits);
    return isfinite(*x);
}

/* ---- exact operations: false where there is no exact result ---- */

static bool multiply(double a, double b, double *y)
{
    decimal x, z;
    *y = a * b;
    if (is_whole(a) && is_whole(b) && is_whole(*y))
        return true;
    if (read_decimal(a, &x) && read_decimal(b, &z) &&
        write_decimal((decimal){x.digits * z.digits, x.exponent + z.exponent}, y))
        return true;
    *y = a * b;
    return fabs(*y) >= DBL_MIN && isfinite(*y) && fma(a, b, -*y) == 0;
}

static bool add(double a, double b, double *y)
{
    decimal x, z;
    *y = a + b;
    if (is_whole(a) && is_whole(b) && is_whole(*y))
        return true;
    if (read_decimal(a, &x) && read_decimal(b, &z) && abs(x.exponent - z.exponent) < 16) {
        const int least = x.exponent < z.exponent ? x.exponent : z.exponent;
        const double digits =
            x.digits * power_of_10(x.exponent - least) + z.digits * power_of_10(z.exponent - least);
        if (write_decimal((decimal){digits, least}, y))
            return true;
    }
    *y = a + b;
    const double part = *y - a;
    return isfinite(*y) && (a - (*y - part)) + (b - part) == 0;
}

static double common_divisor(double a, double b)
{
    a = fabs(a);
    b = fabs(b);
    while (b != 0) {
        const double rest = fmod(a, b);
        a = b;
        b = rest;
    }
    return a;
}

/* ---- fractions ---- */

static coefficient reduced(coefficient c)
{
    const double sign = c.q < 0 ? -1 : 1;
    const double divisor = is_whole(c.p) && is_whole(c.q) ? common_divisor(c.p, c.q) : 1;
    if (c.p == 0)
        return (coefficient){0, 1};
    if (fabs(c.p) == fabs(c.q))
        return (coefficient){sign * (c.p / fabs(c.p)), 1};
    return (coefficient){sign * c.p / divisor, sign * c.q / divisor};
}

bool coefficient_times(coefficient *a, coefficient b)
{
    /* across first: 3 * (2/3) shall not fail where 6/3 is too large */
    const coefficient one = reduced((coefficient){a->p, b.q}),
                      other = reduced((coefficient){b.p, a->q});
    coefficient y;
    if (one.p == 0 || other.p == 0) {
        *a = (coefficient){0, 1};
        return true;
    }
    if (!multiply(one.p, other.p, &y.p) || !multiply(one.q, other.q, &y.q))
        return false;
    *a = reduced(y);
    return true;
}

bool coefficient_plus(coefficient *a, coefficient b)
{
    coefficient y = {0, a->q};
    double left = a->p, right = b.p;
    if (a->q != b.q &&
        (!multiply(a->p, b.q, &left) || !multiply(b.p, a->q, &right) || !multiply(a->q, b.q, &y.q)))
        return false;
    if (!add(left, right, &y.p))
        return false;
    *a = reduced(y);
    return true;
}

coefficient coefficient_inverse(coefficient a) { return reduced((coefficient){a.q, a.p}); }
