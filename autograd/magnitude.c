/* magnitude.c - how large a cotangent's parts are: ops.def read over magnitudes, for the bound of
 * the gradient check
 *
 * Rounding moves a sum by the unit roundoff times the magnitudes of its terms, however much of them
 * cancels; this holds for the sums inside a rule too (silu's derivative passes through 0). So next
 * to its value each operation of a rule carries the sum of the magnitudes of its terms. */
#define AD_PLAIN
#include "algebra.h"
#include "special.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

typedef struct sized {
    double v, m; /* value, and the magnitude of what was added up to it */
} sized;

static inline sized sized_of(double v) { return (sized){v, fabs(v)}; }

static inline sized result(int op, double v, sized a, sized b, sized c)
{
    switch (op) {
    case AD_OP_add:
    case AD_OP_sub:
        return (sized){v, a.m + b.m};
    case AD_OP_neg:
        return (sized){v, a.m};
    case AD_OP_mul:
        return (sized){v, a.m * b.m};
    case AD_OP_mulz:
        return (sized){v, a.m == 0 ? 0 : a.m * b.m};
    case AD_OP_div:
    case AD_OP_divz:
        return (sized){v, a.m == 0 ? 0 : a.m / fabs(b.v)};
    case AD_OP_where:
        return (sized){v, a.v != 0 ? b.m : c.m};
    default:
        return sized_of(v);
    }
}

#define OP1(name, ...)                                                                             \
    static inline sized sized_##name(sized a)                                                      \
    {                                                                                              \
        return result(AD_OP_##name, num_##name##_f64(a.v), a, a, a);                               \
    }
#define OP2(name, ...)                                                                             \
    static inline sized sized_##name(sized a, sized b)                                             \
    {                                                                                              \
        return result(AD_OP_##name, num_##name##_f64(a.v, b.v), a, b, b);                          \
    }
#define OP3(name, ...)                                                                             \
    static inline sized sized_##name(sized a, sized b, sized c)                                    \
    {                                                                                              \
        return result(AD_OP_##name, num_##name##_f64(a.v, b.v, c.v), a, b, c);                     \
    }
#include "ops.def"

#define op(f, ...) sized_##f(__VA_ARGS__)
#define K(x)       sized_of(x)
#define NO         K(0)
double elementwise_magnitude(int opcode, int k, double g_, const double x[3], double y_)
{
    const sized g = sized_of(g_), a = sized_of(x[0]), b = sized_of(x[1]), c = sized_of(x[2]);
    const sized y = sized_of(y_);
    (void)a, (void)b, (void)c, (void)y;
    switch (opcode * 3 + k) {
#define PART(name, k, text)                                                                        \
    case AD_OP_##name * 3 + k:                                                                     \
        return fabs((text).m);
#define OP1(name, in, val, da, kink, doc)           PART(name, 0, da)
#define OP2(name, in1, in2, val, da, db, kink, doc) PART(name, 0, da) PART(name, 1, db)
#define OP3(name, in1, in2, in3, val, da, db, dc, kink, doc)                                       \
    PART(name, 0, da) PART(name, 1, db) PART(name, 2, dc)
#include "ops.def"
    default:
        return 0;
    }
}
