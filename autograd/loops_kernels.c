/* loops_kernels.c - see loops_kernels.h
 *
 * Loops over what lies side by side are written out, so that compilers make vectors of them; sums
 * have eight running totals, in the same order on every machine. */
#define AD_PLAIN
#include "loops_kernels.h"
#include "elementwise.h"
#include "special.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

/* The best of what the processor at hand has, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_PROCESSOR
#endif

#define EACH(value)                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                              \
        const double a = x[i * sx], b = z[i * sz];                                                 \
        (void)b;                                                                                   \
        y[i * sy] = value;                                                                         \
    }                                                                                              \
    return;

/* The cheap operations, side by side: with both operands moving, or one of them standing still. */
static inline __attribute__((always_inline)) void cheap(uint32_t op, int64_t n, double *restrict y,
                                                        int64_t sy, const double *x, int64_t sx,
                                                        const double *z, int64_t sz)
{
    switch (op) {
    case OP_COPY:
        EACH(a)
    case AD_OP_neg:
        EACH(-a)
    case AD_OP_square:
        EACH(a * a)
    case AD_OP_add:
        EACH(a + b)
    case AD_OP_sub:
        EACH(a - b)
    case AD_OP_mul:
        EACH(a * b)
    case AD_OP_mulz:
        EACH(a == 0 ? 0 : a * b)
    case AD_OP_div:
        EACH(a / b)
    case AD_OP_divz:
        EACH(a == 0 ? 0 : a / b)
    default:
        return;
    }
}
#undef EACH

static bool is_cheap(uint32_t op)
{
    switch (op) {
    case OP_COPY:
    case AD_OP_neg:
    case AD_OP_square:
    case AD_OP_add:
    case AD_OP_sub:
    case AD_OP_mul:
    case AD_OP_mulz:
    case AD_OP_div:
    case AD_OP_divz:
        return true;
    default:
        return false;
    }
}

EVERY_PROCESSOR
static void map_cheap(uint32_t op, int64_t n, spaced y, spaced a, spaced b)
{
    if (y.by == 1 && a.by == 1 && b.by == 1)
        cheap(op, n, y.at, 1, a.at, 1, b.at, 1);
    else if (y.by == 1 && a.by == 0 && b.by == 1)
        cheap(op, n, y.at, 1, a.at, 0, b.at, 1);
    else if (y.by == 1 && a.by == 1 && b.by == 0)
        cheap(op, n, y.at, 1, a.at, 1, b.at, 0);
    else
        cheap(op, n, y.at, y.by, a.at, a.by, b.at, b.by);
}

static void map_any(uint32_t op, int64_t n, spaced y, spaced a, spaced b, spaced c)
{
    (void)c;
    switch (op) {
#define EACH(value)                                                                                \
    for (int64_t i = 0; i < n; i++)                                                                \
        y.at[i * y.by] = value;                                                                    \
    break;
#define OP1(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        EACH(num_##name##_f64(a.at[i * a.by]))
#define OP2(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        EACH(num_##name##_f64(a.at[i * a.by], b.at[i * b.by]))
#define OP3(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        EACH(num_##name##_f64(a.at[i * a.by], b.at[i * b.by], c.at[i * c.by]))
#include "ops.def"
    default:
        break;
#undef EACH
    }
}

/* Downwards is upwards from the other end. */
static void turn(spaced *s, int64_t n)
{
    s->at += (n - 1) * s->by;
    s->by = -s->by;
}

void kernel_map(uint32_t op, int64_t n, spaced y, spaced a, spaced b, spaced c)
{
    if (y.by < 0) {
        turn(&y, n), turn(&a, n), turn(&b, n);
        if (c.at)
            turn(&c, n);
    }
    if (is_cheap(op))
        map_cheap(op, n, y, a, b.at ? b : (spaced){a.at, 0});
    else
        map_any(op, n, y, a, b, c);
}

/* ---- dot products ---- */

enum { LANES = 8, PACK = 256 };

static inline double add_lanes(const double *sum)
{
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

#define TERM(i) (absorbing && a[i] == 0 ? 0 : a[i] * b[i])

static inline __attribute__((always_inline)) double dot_even(const bool absorbing, int64_t n,
                                                             const double *a, const double *b)
{
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            sum[j] += TERM(i + j);
    for (int64_t j = 0; i < n; i++, j++)
        sum[j] += TERM(i);
    return add_lanes(sum);
}
#undef TERM

EVERY_PROCESSOR
static double dot_plain(int64_t n, const double *a, const double *b)
{
    return dot_even(false, n, a, b);
}

EVERY_PROCESSOR
static double dot_absorbing(int64_t n, const double *a, const double *b)
{
    return dot_even(true, n, a, b);
}

static const double *packed(int64_t n, spaced s, double *to)
{
    if (s.by == 1)
        return s.at;
    for (int64_t i = 0; i < n; i++)
        to[i] = s.at[i * s.by];
    return to;
}

/* at most LANES terms, in the same order */
static double add_few(bool absorbing, int64_t n, double c, spaced a, spaced b)
{
    double sum[LANES] = {0};
    for (int64_t i = 0; i < n; i++, a.at += a.by, b.at += b.by)
        sum[i] += absorbing && *a.at == 0 ? 0 : *a.at * *b.at;
    return c + add_lanes(sum);
}

double kernel_dot(bool absorbing, int64_t n, double c, spaced a, spaced b)
{
    double left[PACK], right[PACK];
    if (n <= LANES)
        return add_few(absorbing, n, c, a, b);
    if (a.by == 1 && b.by == 1)
        return c + (absorbing ? dot_absorbing(n, a.at, b.at) : dot_plain(n, a.at, b.at));
    for (int64_t i = 0; i < n; i += PACK) {
        const int64_t m = n - i < PACK ? n - i : PACK;
        const double *x = packed(m, (spaced){a.at + i * a.by, a.by}, left),
                     *z = packed(m, (spaced){b.at + i * b.by, b.by}, right);
        c += absorbing ? dot_absorbing(m, x, z) : dot_plain(m, x, z);
    }
    return c;
}

/* y[i] += f[0] m0[i] + f[1] m1[i] ...: four rows of a matrix at a time, where no factor is zero */
EVERY_PROCESSOR
static void add_rows(int64_t n, double *restrict y, const double *factors, const double *m,
                     int64_t next)
{
    const double f0 = factors[0], f1 = factors[1], f2 = factors[2], f3 = factors[3];
    const double *m1 = m + next, *m2 = m1 + next, *m3 = m2 + next;
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] + (f0 * m[i] + f1 * m1[i]) + (f2 * m2[i] + f3 * m3[i]);
}

EVERY_PROCESSOR
static void add_row(int64_t n, double *restrict y, double factor, const double *m)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * m[i];
}

/* The matrix goes along the products, the vector stays: term by term for all products at once. Only
 * the vector's zeros absorb, or none: a zero in the matrix is an ordinary factor of mul, and of
 * mulz the vector has to be the first operand. */
static void dots_by_terms(const dots *d, spaced vector, const double *m, int64_t next)
{
    double f[4];
    int64_t waiting = 0;
    const double *first = m;
    for (int64_t t = 0; t < d->terms; t++, m += next) {
        const double factor = vector.at[t * vector.by];
        if (d->absorbing && factor == 0) {
            for (int64_t k = 0; k < waiting; k++)
                add_row(d->n, d->y.at, f[k], first + k * next);
            waiting = 0;
            continue;
        }
        if (!waiting)
            first = m;
        f[waiting++] = factor;
        if (waiting == 4) {
            add_rows(d->n, d->y.at, f, first, next);
            waiting = 0;
        }
    }
    for (int64_t k = 0; k < waiting; k++)
        add_row(d->n, d->y.at, f[k], first + k * next);
}

static void dots_one_by_one(const dots *d)
{
    for (int64_t i = 0; i < d->n; i++)
        d->y.at[i * d->y.by] =
            kernel_dot(d->absorbing, d->terms, d->c.at ? d->c.at[i * d->c.by] : 0,
                       (spaced){d->a.at + i * d->a.by, d->inner_a},
                       (spaced){d->b.at + i * d->b.by, d->inner_b});
}

static inline double term(bool absorbing, double a, double b)
{
    return absorbing && a == 0 ? 0 : a * b;
}

/* Of two terms each: what kernel_dot gives, where its other totals are zero. A sum that goes on and
 * on, its result being its start, stays in a register. */
static inline __attribute__((always_inline)) void dots_of_two(const dots *d, bool absorbing)
{
    const bool goes_on = d->c.at && d->c.at == d->y.at && d->c.by == 0 && d->y.by == 0;
    const double *a = d->a.at, *b = d->b.at;
    double y = d->c.at ? *d->c.at : 0;
    for (int64_t i = 0; i < d->n; i++, a += d->a.by, b += d->b.by) {
        const double c = goes_on ? y : d->c.at ? d->c.at[i * d->c.by] : 0;
        y = c + ((0 + term(absorbing, a[0], b[0])) +
                 (0 + term(absorbing, a[d->inner_a], b[d->inner_b])));
        if (!goes_on)
            d->y.at[i * d->y.by] = y;
    }
    if (goes_on)
        *d->y.at = y;
}

/* A vector that stands still and does not lie side by side is brought together once. */
static void dots_by_products(const dots *d)
{
    if (d->terms == 2) {
        if (d->absorbing)
            dots_of_two(d, true);
        else
            dots_of_two(d, false);
        return;
    }
    double vector[4 * PACK];
    dots side = *d;
    if (d->terms <= 4 * PACK && d->n > 1) {
        if (d->a.by == 0 && d->inner_a != 1)
            side.a.at =
                (double *)(uintptr_t)packed(d->terms, (spaced){d->a.at, d->inner_a}, vector),
            side.inner_a = 1;
        else if (d->b.by == 0 && d->inner_b != 1)
            side.b.at =
                (double *)(uintptr_t)packed(d->terms, (spaced){d->b.at, d->inner_b}, vector),
            side.inner_b = 1;
    }
    dots_one_by_one(&side);
}

void kernel_dots(const dots *all)
{
    dots d = *all;
    if (d.y.by < 0) {
        turn(&d.y, d.n), turn(&d.a, d.n), turn(&d.b, d.n);
        if (d.c.at)
            turn(&d.c, d.n);
    }
    const bool along_a = d.a.by == 1 && d.b.by == 0 && !d.absorbing,
               along_b = d.b.by == 1 && d.a.by == 0;
    if (d.y.by != 1 || !(along_a || along_b) || (along_b ? d.inner_b : d.inner_a) == 1) {
        dots_by_products(&d);
        return;
    }
    for (int64_t i = 0; i < d.n; i++)
        d.y.at[i] = d.c.at ? d.c.at[i * d.c.by] : 0;
    if (along_b)
        dots_by_terms(&d, (spaced){d.a.at, d.inner_a}, d.b.at, d.inner_b);
    else
        dots_by_terms(&d, (spaced){d.b.at, d.inner_b}, d.a.at, d.inner_a);
}

/* ---- guards ---- */

int64_t kernel_guard(uint32_t guard, int64_t n, spaced a, spaced b)
{
    for (int64_t i = 0; i < n; i++)
        if (comparison_holds(guard >> 1, a.at[i * a.by], b.at[i * b.by]) != (guard & 1))
            return i;
    return -1;
}
