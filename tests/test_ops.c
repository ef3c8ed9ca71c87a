/* test_ops.c - every row of the table: against duals, differences and mpmath, and read in every
 * other way
 *
 * Cases walk the table and name no operation, so that a new row is tested the moment it exists.
 * Only the last part names some: a convention at a kink belongs to one operation.
 *
 * Reverse mode and duals may differ by k u S: S sums the magnitudes of all contributions to an
 * element, u is the unit roundoff of the dtype, and k counts roundings, ROUNDINGS for each
 * operation on the longest path. */
#define AD_PLAIN
#include "algebra.h"
#include "kernels.h"
#include "tape.h"
#include "vector_math.h"
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEED = 20240607, ROUNDINGS = 8, POINTS = 12 };
static const double unit[2] = {DBL_EPSILON / 2, FLT_EPSILON / 2}; /* by dtype */

/* ---- complaints: a case tells all that is wrong with it, then fails ---- */

static int complaints;

static int begin(void **state)
{
    (void)state;
    complaints = 0;
    return 0;
}

static void complain(const char *what, int op, const double x[3], int k, double got, double want,
                     double allowed)
{
    if (++complaints <= 40)
        print_error(
            "%s: %s(%.17g, %.17g, %.17g), argument %d: got %.17g, want %.17g +- %.3g (seed %d)\n",
            what, ad_op_at(op)->name, x[0], x[1], x[2], k, got, want, allowed, (int)SEED);
}

static void settle(void)
{
    if (complaints)
        fail_msg("%d disagreements", complaints);
}

static bool near(double got, double want, double allowed)
{
    return got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= allowed;
}

static void expect(const char *what, int op, const double x[3], int k, double got, double want,
                   double allowed)
{
    if (!near(got, want, allowed))
        complain(what, op, x, k, got, want, allowed);
}

static void expect_ok(const char *what, int op, const ad_tape *t, ad_status s)
{
    if (!s)
        s = ad_tape_status(t);
    if (s)
        fail_msg("%s: %s: %s: %s", what, ad_op_at(op)->name, ad_status_name(s), ad_tape_error(t));
}

/* ---- loops over arrays ---- */

/* They may use functions of their own, whose errors in ulp test_kernels.c bounds: a row has two. */
enum { ARRAY_ULPS = VECTOR_MATH ? 8 : 0 };

static void map(int op, ad_dtype dtype, int64_t n, const void *a, const void *b, const void *c,
                void *y)
{
    kernels_map(kernels_of(NULL), op, dtype, n, a, b, c, y);
}

static void cotangent(int op, int k, ad_dtype dtype, const void *g, const void *const x[3],
                      const void *y, void *out)
{
    kernels_cotangent(kernels_of(NULL), op, k, dtype, 1, g, x[0], x[1], x[2], y, out);
}

/* of a value, of arguments near 1 that may cancel in it */
static double array_allowed(double want)
{
    return isfinite(want) ? ARRAY_ULPS * unit[0] * fmax(1, fabs(want)) : 0;
}

/* ---- points ---- */

typedef struct draw {
    uint64_t state;
} draw;

/* by name, so that a new row changes no other's points */
static draw draw_of(int op, int purpose)
{
    draw d = {SEED + (uint64_t)purpose * 7919};
    for (const char *c = ad_op_at(op)->name; *c; c++)
        d.state = d.state * 1099511628211u + (unsigned char)*c;
    return d;
}

static uint64_t draw_bits(draw *d) /* splitmix64 */
{
    uint64_t z = d->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static double draw_uniform(draw *d, double lo, double hi)
{
    return lo + (hi - lo) * ((double)(draw_bits(d) >> 11) / 9007199254740992.0);
}

/* a number that is one of the dtype */
static double rounded(double x, ad_dtype dtype) { return dtype == AD_F32 ? (double)(float)x : x; }

/* a point of the row's intervals, now and then on their borders */
static void draw_point(draw *d, int op, ad_dtype dtype, double x[3])
{
    const ad_op_info *o = ad_op_at(op);
    for (int k = 0; k < 3; k++) {
        unsigned where = (unsigned)(draw_bits(d) % 8);
        double v = draw_uniform(d, o->low[k], o->high[k]);
        x[k] = rounded(where == 0 ? o->low[k] : where == 1 ? o->high[k] : v, dtype);
    }
}

/* the same, at least `clear` from a kink */
static void draw_smooth(draw *d, int op, double clear, double x[3])
{
    int tries = 0;
    do {
        draw_point(d, op, AD_F64, x);
        if (++tries > 1000)
            fail_msg("%s: no point of its intervals is smooth", ad_op_at(op)->name);
    } while (elementwise_ops[op].kink(x) < clear);
}

/* the tangent of one operation along its argument k, by dual.h */
static double dual_partial(int op, const double x[3], int k, double *value)
{
    const double one = 1, *dx[3] = {NULL, NULL, NULL};
    double dy, y;
    dx[k] = &one;
    y = tangent_scalar_1(op, x, dx, &dy);
    if (value)
        *value = y;
    return dy;
}

/* sum of |x_k dy/dx_k|: what one rounding of each argument does to a value */
static double condition(int op, const double x[3])
{
    const elementwise *e = &elementwise_ops[op];
    double d[3], sum = 0;
    e->partials(1, x, e->value(x), d);
    for (int k = 0; k < e->info.arity; k++)
        sum += isfinite(x[k] * d[k]) ? fabs(x[k] * d[k]) : 0;
    return sum;
}

/* ---- sweeps ---- */

/* operations on the longest path to a node of the tape */
static double longest_path(const ad_tape *t)
{
    int64_t n = ad_node_count(t);
    double *length = calloc((size_t)n + 1, sizeof *length), longest = 0;
    assert_non_null(length);
    for (int64_t i = 0; i < n; i++) {
        int64_t p;
        for (int k = 0; (p = ad_node_parent(t, i, k)) >= 0; k++)
            length[i] = fmax(length[i], length[p] + 1);
        longest = fmax(longest, length[i]);
    }
    free(length);
    return longest;
}

static void scalar_inputs(ad_tape *t, int op, const double x[3], ad_var v[3]);
static ad_tape *rules; /* where rules are recorded to be looked at */

static int open_rules(void **state)
{
    (void)state;
    rules = ad_tape_new(NULL);
    return 0;
}

static int close_rules(void **state)
{
    (void)state;
    ad_tape_free(rules);
    return 0;
}

/* The magnitude of what a row sends to argument k, for the bound. A partial may be a sum itself,
 * whose terms cancel where it is near zero: then the roundings of the nodes of its recorded rule
 * count, each as far as it moves the partial, with a third of ROUNDINGS: C libraries' cbrt and such
 * are off by more than an ulp. */
static double partial_magnitude(int op, const double x[3], int k)
{
    ad_tape *t = rules;
    ad_var v[3], g;
    double sum = 0, partial;
    ad_reset(t);
    scalar_inputs(t, op, x, v);
    g = ad_grad_of(ad_apply(op, ad_op_at(op)->arity, v), v[k]);
    partial = fabs(ad_value(g));
    assert_int_equal(ad_backward_keep(g), AD_OK);
    for (int64_t i = 0; (const void *)g.tape == t && i < ad_node_count(t); i++) {
        ad_node_info info;
        assert_int_equal(ad_node_at(t, i, &info), AD_OK);
        if (info.kind == AD_NODE_OPERATION && info.adjoint != 0 &&
            isfinite(info.value * info.adjoint))
            sum += fabs(info.value * info.adjoint);
    }
    return fmax(partial, sum / 3);
}

/* the reverse sweep once more, with magnitudes of contributions in place of contributions */
static void sweep_magnitudes(ad_var y, const double *seed, int n, const ad_var *x,
                             double *const *out)
{
    frame *f = &y.tape->frame;
    uint32_t i = y.u.node.id & ~AD_TENSOR_BIT_;
    double *magnitudes = calloc((size_t)ad_size(y) + 1, sizeof *magnitudes);
    assert_non_null(magnitudes);
    for (int64_t j = 0; j < ad_size(y); j++)
        magnitudes[j] = seed ? fabs(seed[j]) : 1;
    assert_true(tape_adjoints(y.tape));
    frame_clear_adjoints(f);
    frame_begin_pass(f, false);
    f->magnitude = true;
    assert_int_equal(frame_seed(f, i, magnitudes, 1), AD_OK);
    assert_int_equal(sweep_backward(f, i, true), AD_OK);
    f->magnitude = false;
    for (int k = 0; k < n; k++)
        assert_int_equal(ad_grad_read(x[k], out[k]), AD_OK);
    frame_clear_adjoints(f);
    free(magnitudes);
}

/* scalar inputs at x; as many as the row has arguments */
static void scalar_inputs(ad_tape *t, int op, const double x[3], ad_var v[3])
{
    for (int k = 0; k < 3; k++)
        v[k] = k < ad_op_at(op)->arity ? ad_input(t, x[k]) : (ad_var){0};
}

/* Central differences at h, h/2 and h/4, extrapolated twice; *error is what they may be off by,
 * the function being computed to a few units of its size or of `noise`, the size of what it is a
 * sum of. */
typedef double (*function)(double x, const void *user);
static double difference(function f, const void *user, double x, double h, double noise,
                         double *error)
{
    double d[3], size = 0;
    for (int j = 0; j < 3; j++, h /= 2) {
        double up = f(x + h, user), down = f(x - h, user);
        d[j] = (up - down) / ((x + h) - (x - h));
        size = fmax(size, fabs(up) + fabs(down));
    }
    size += noise;
    double first = (4 * d[1] - d[0]) / 3, second = (4 * d[2] - d[1]) / 3;
    double best = (16 * second - first) / 15;
    *error = fabs(best - second) + 16 * unit[0] * size / (2 * h);
    return best;
}

typedef struct slice { /* one row as a function of its argument k */
    int op, k, of;     /* the value (of < 0), or the partial with respect to argument `of` */
    double x[3];
} slice;

static double slice_at(double x, const void *user)
{
    slice s = *(const slice *)user;
    const elementwise *e = &elementwise_ops[s.op];
    double d[3];
    s.x[s.k] = x;
    if (s.of < 0)
        return ad_op_value(s.op, s.x);
    e->partials(1, s.x, e->value(s.x), d);
    return d[s.of];
}

static const double step = 4e-3;
#define CLEAR (8 * step) /* from kinks: an argument may count several times in the distance */

static void expect_difference(const char *what, const slice *s, double got)
{
    double error, x = s->x[s->k];
    double size = s->of < 0 ? condition(s->op, s->x) : partial_magnitude(s->op, s->x, s->of);
    double want = difference(slice_at, s, x, step * fmax(.25, fmin(1, fabs(x))), size, &error);
    if (!(error <= 1e-6 * (1 + fabs(want))))
        complain("differences are too vague", s->op, s->x, s->k, error, 0, 1e-6);
    expect(what, s->op, s->x, s->k, got, want, error);
}

/* ---- the table ---- */

#define OP1(name, ...) {{.one = ad_##name}},
#define OP2(name, ...) {{.two = ad_##name}},
#define OP3(name, ...) {{.three = ad_##name}},
static const struct {
    union {
        ad_var (*one)(ad_var);
        ad_var (*two)(ad_var, ad_var);
        ad_var (*three)(ad_var, ad_var, ad_var);
    } as;
} functions[AD_OP_COUNT_] = {
#include "ops.def"
};

static ad_var call_function(int op, const ad_var *v)
{
    int n = ad_op_at(op)->arity;
    return n == 1   ? functions[op].as.one(v[0])
           : n == 2 ? functions[op].as.two(v[0], v[1])
                    : functions[op].as.three(v[0], v[1], v[2]);
}

static void every_row_is_documented_and_has_intervals_to_draw_from(void **state)
{
    (void)state;
    assert_true(ad_op_count() > AD_OP_COUNT_);
    for (int op = 0; op < ad_op_count(); op++) {
        const ad_op_info *o = ad_op_at(op);
        if (!o || !o->name || !*o->name || !o->doc || !*o->doc)
            fail_msg("operation %d lacks a name or a doc", op);
        for (int other = 0; other < op; other++)
            if (!strcmp(o->name, ad_op_at(other)->name))
                fail_msg("%s is there twice", o->name);
        if (o->elementwise != (op < AD_OP_COUNT_))
            fail_msg("%s: rows come first, structured operations after them", o->name);
        if (!o->elementwise)
            continue;
        if (o->arity < 1 || o->arity > 3 || !*o->value)
            fail_msg("%s: arity %d, value \"%s\"", o->name, o->arity, o->value);
        for (int k = 0; k < 3; k++) {
            bool used = k < o->arity;
            if (!(o->low[k] <= o->high[k]) || !isfinite(o->low[k]) || !isfinite(o->high[k]))
                fail_msg("%s: interval %d is [%g, %g]", o->name, k, o->low[k], o->high[k]);
            if (used != (*o->partial[k] != 0) ||
                elementwise_ops[op].flows[k] != (used && strcmp(o->partial[k], "NO")))
                fail_msg("%s: partial %d is \"%s\"", o->name, k, o->partial[k]);
        }
        draw d = draw_of(op, 0);
        for (int i = 0; i < POINTS; i++) {
            double x[3];
            draw_point(&d, op, AD_F64, x);
            if (!isfinite(ad_op_value(op, x)) || !(elementwise_ops[op].kink(x) >= 0))
                complain("value", op, x, 0, ad_op_value(op, x), 0, 0);
        }
    }
    assert_null(ad_op_at(-1));
    assert_null(ad_op_at(ad_op_count()));
    assert_true(isnan(ad_op_value(-1, (double[3]){0})));
    assert_true(isnan(ad_op_value(AD_OP_COUNT_, (double[3]){0})));
    settle();
}

static void every_row_has_a_dual_of_the_same_value(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        draw d = draw_of(op, 1);
        for (int i = 0; i < 4 * POINTS; i++) {
            double x[3], y, dy[8];
            const double *none[3] = {NULL, NULL, NULL};
            draw_point(&d, op, AD_F64, x);
            double want = ad_op_value(op, x);
            dual_partial(op, x, 0, &y);
            expect("the dual's value", op, x, 0, y, want,
                   ROUNDINGS * unit[0] * (fabs(want) + condition(op, x)));
            expect("eight duals' value", op, x, 0, tangent_scalar_8(op, x, none, dy), y, 0);
        }
    }
    settle();
}

static void eight_directions_at_once_are_those_one_by_one(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        draw d = draw_of(op, 2);
        for (int i = 0; i < POINTS; i++) {
            double x[3], in[3][8], together[8], alone;
            draw_point(&d, op, AD_F64, x);
            for (int k = 0; k < 24; k++)
                in[k / 8][k % 8] = draw_uniform(&d, -2, 2);
            tangent_scalar_8(op, x, (const double *[]){in[0], in[1], in[2]}, together);
            for (int w = 0; w < 8; w++) {
                tangent_scalar_1(op, x, (const double *[]){&in[0][w], &in[1][w], &in[2][w]},
                                 &alone);
                expect("one of eight directions", op, x, w, together[w], alone, 0);
            }
        }
    }
    settle();
}

/* ---- values ---- */

/* Recorded, replayed, folded, by function, in arrays of double: one and the same number. */
static void a_value_is_the_same_however_it_is_computed(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        draw d = draw_of(op, 3);
        double column[3][POINTS], out[POINTS];
        for (int i = 0; i < POINTS; i++) {
            double x[3], z[3];
            draw_point(&d, op, AD_F64, x);
            draw_point(&d, op, AD_F64, z);
            for (int k = 0; k < 3; k++)
                column[k][i] = x[k];
            const double want = e->value(x);
            ad_var v[3], c[3];
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            for (int k = 0; k < 3; k++)
                c[k] = ad_constant(x[k]);
            ad_var y = ad_apply(op, e->info.arity, v), f = call_function(op, v);
            expect("the table's value", op, x, 0, ad_op_value(op, x), want, 0);
            expect("recorded", op, x, 0, ad_value(y), want, 0);
            expect("recorded by its function", op, x, 0, ad_value(f), want, 0);
            expect("of constants", op, x, 0, ad_value(ad_apply(op, e->info.arity, c)), want, 0);
            expect("of constants by its function", op, x, 0, ad_value(call_function(op, c)), want,
                   0);
            for (int k = 0; k < e->info.arity; k++)
                ad_set(v[k], z[k]);
            expect_ok("replay", op, t, ad_replay(t));
            expect("replayed", op, z, 0, ad_value(y), e->value(z), 0);
        }
        map(op, AD_F64, POINTS, column[0], column[1], column[2], out);
        for (int i = 0; i < POINTS; i++) {
            const double x[3] = {column[0][i], column[1][i], column[2][i]};
            expect("in an array", op, x, 0, out[i], e->value(x), array_allowed(e->value(x)));
        }
    }
    ad_tape_free(t);
    settle();
}

/* Roundings in float may act as if they were made in the arguments, too: that is the condition. */
static void a_value_in_float_is_that_in_double_to_rounding(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        draw d = draw_of(op, 4);
        for (int i = 0; i < 4 * POINTS; i++) {
            double x[3];
            float a[3], y;
            draw_point(&d, op, AD_F32, x);
            for (int k = 0; k < 3; k++)
                a[k] = (float)x[k];
            map(op, AD_F32, 1, &a[0], &a[1], &a[2], &y);
            double want = e->value(x);
            expect("in float", op, x, 0, (double)y, want,
                   ROUNDINGS * unit[1] * (fabs(want) + condition(op, x)));
        }
    }
    settle();
}

/* ---- first derivatives ---- */

static void a_gradient_is_that_of_duals_to_rounding(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        draw d = draw_of(op, 5);
        for (int i = 0; i < 4 * POINTS; i++) {
            double x[3], seed = draw_uniform(&d, .5, 2), magnitude[3];
            ad_var v[3];
            draw_point(&d, op, AD_F64, x);
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            ad_var y = ad_apply(op, n, v);
            expect_ok("vjp", op, t, ad_vjp(1, &y, (const double *[]){&seed}));
            double got[3] = {0};
            for (int k = 0; k < n; k++)
                got[k] = ad_grad(v[k]);
            for (int k = 0; k < n; k++)
                magnitude[k] = seed * partial_magnitude(op, x, k);
            for (int k = 0; k < n; k++) {
                const double zero = 0, one = 1;
                const double *in[3] = {k == 0 ? &one : &zero, k == 1 ? &one : &zero,
                                       k == 2 ? &one : &zero};
                double tangent, *out = &tangent;
                expect_ok("jvp", op, t, ad_jvp(n, v, in, 1, &y, &out, 1));
                expect("reverse against duals", op, x, k, got[k], seed * tangent,
                       ROUNDINGS * unit[0] * magnitude[k]);
                expect("the witness itself", op, x, k, tangent, dual_partial(op, x, k, NULL), 0);
                if (elementwise_ops[op].flows[k])
                    expect("the node's partial", op, x, k,
                           ad_node_partial(t, ad_var_node(y), k) * seed, got[k],
                           ROUNDINGS * unit[0] * magnitude[k]);
            }
        }
    }
    ad_tape_free(t);
    settle();
}

static void a_gradient_in_float_is_that_of_duals_to_rounding(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        draw d = draw_of(op, 6);
        for (int i = 0; i < 4 * POINTS; i++) {
            double x[3];
            float a[3], y, out, g = 1.25f;
            draw_point(&d, op, AD_F32, x);
            for (int k = 0; k < 3; k++)
                a[k] = (float)x[k];
            map(op, AD_F32, 1, &a[0], &a[1], &a[2], &y);
            for (int k = 0; k < e->info.arity; k++) {
                double want = 1.25 * dual_partial(op, x, k, NULL);
                cotangent(op, k, AD_F32, &g, (const void *const[]){&a[0], &a[1], &a[2]}, &y, &out);
                expect("float against duals", op, x, k, (double)out, want,
                       ROUNDINGS * unit[1] * 1.25 * partial_magnitude(op, x, k));
            }
        }
    }
    settle();
}

static void a_gradient_is_that_of_central_differences(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        draw d = draw_of(op, 7);
        for (int i = 0; i < POINTS; i++) {
            slice s = {.op = op, .of = -1};
            double got[3];
            draw_smooth(&d, op, CLEAR, s.x);
            e->partials(1, s.x, e->value(s.x), got);
            for (s.k = 0; s.k < e->info.arity; s.k++)
                if (e->flows[s.k])
                    expect_difference("reverse against differences", &s, got[s.k]);
        }
    }
    settle();
}

/* ---- recorded derivatives ---- */

static void a_recorded_gradient_is_the_numeric_one(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        draw d = draw_of(op, 8);
        for (int i = 0; i < POINTS; i++) {
            double x[3];
            ad_var v[3], g[3], seed;
            draw_point(&d, op, AD_F64, x);
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            seed = ad_input(t, draw_uniform(&d, .5, 2));
            ad_var y = ad_apply(op, n, v), z = ad_mul(y, seed);
            expect_ok("gradients", op, t, ad_gradients(z, n, v, g));
            expect_ok("backward", op, t, ad_backward(z));
            for (int k = 0; k < n; k++)
                expect("recorded against numeric", op, x, k, ad_value(g[k]), ad_grad(v[k]), 0);
        }
    }
    ad_tape_free(t);
    settle();
}

/* Reverse over the recorded gradient, tangents of it, and differences of the numeric gradient. */
static void a_second_derivative_is_the_same_by_reverse_by_duals_and_by_differences(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        const int n = e->info.arity;
        draw d = draw_of(op, 9);
        for (int i = 0; i < POINTS; i++) {
            double x[3];
            draw_smooth(&d, op, CLEAR, x);
            for (int of = 0; of < n; of++) {
                ad_var v[3], g;
                if (!e->flows[of])
                    continue;
                ad_reset(t);
                scalar_inputs(t, op, x, v);
                g = ad_grad_of(ad_apply(op, n, v), v[of]);
                expect_ok("second derivative", op, t, ad_backward(g));
                if ((const void *)g.tape != t)
                    continue; /* a constant: its derivatives are 0, which differences check below */
                double reverse[3] = {0}, magnitude[3] = {0}, tangent[3] = {0};
                for (int k = 0; k < n; k++)
                    reverse[k] = ad_grad(v[k]);
                sweep_magnitudes(g, NULL, n, v,
                                 (double *[]){&magnitude[0], &magnitude[1], &magnitude[2]});
                double bound = ROUNDINGS * unit[0] * longest_path(t),
                       id[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
                for (int k = 0; k < n; k++) {
                    double *out = &tangent[k];
                    expect_ok("second derivative", op, t,
                              ad_jvp(n, v, (const double *[]){id[k], id[k] + 1, id[k] + 2}, 1, &g,
                                     &out, 1));
                    expect("second derivative, reverse against duals", op, x, k, reverse[k],
                           tangent[k], bound * magnitude[k]);
                    if (e->flows[k])
                        expect_difference("second derivative against differences",
                                          &(slice){op, k, of, {x[0], x[1], x[2]}}, reverse[k]);
                }
            }
        }
    }
    ad_tape_free(t);
    settle();
}

static void a_third_derivative_is_finite_and_symmetric(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        draw d = draw_of(op, 10);
        for (int i = 0; i < 3; i++) {
            double x[3], third[3][3][3] = {{{0}}}, scale = 0;
            ad_var v[3], first[3], second[3];
            draw_smooth(&d, op, CLEAR, x);
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            expect_ok("gradients", op, t, ad_gradients(ad_apply(op, n, v), n, v, first));
            for (int j = 0; j < n; j++) {
                if ((const void *)first[j].tape != t)
                    continue;
                expect_ok("second gradients", op, t, ad_gradients(first[j], n, v, second));
                for (int k = 0; k < n; k++) {
                    expect_ok("third gradients", op, t, ad_backward(second[k]));
                    for (int l = 0; l < n && (const void *)second[k].tape == t; l++) {
                        third[j][k][l] = ad_grad(v[l]);
                        scale = fmax(scale, fabs(third[j][k][l]));
                        if (!isfinite(third[j][k][l]))
                            complain("third derivative", op, x, l, third[j][k][l], 0, 0);
                    }
                }
            }
            for (int j = 0; j < n * n * n; j++) {
                int a = j / (n * n), b = j / n % n, c = j % n;
                expect("third derivative, other order", op, x, c, third[a][b][c], third[c][b][a],
                       1e-9 * scale);
            }
        }
    }
    ad_tape_free(t);
    settle();
}

/* ---- programs ---- */

static void a_captured_program_replays_value_gradient_and_recorded_gradient(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        draw d = draw_of(op, 11);
        ad_tape *t = ad_tape_new(NULL);
        double x[3];
        ad_var v[3], out[4];
        draw_point(&d, op, AD_F64, x);
        scalar_inputs(t, op, x, v);
        out[0] = ad_mul(ad_apply(op, n, v), v[0]);
        expect_ok("gradients", op, t, ad_gradients(out[0], n, v, out + 1));
        ad_program *p = ad_program_capture(t, n, v, 1 + n, out, AD_GRADIENT);
        expect_ok("capture", op, t, p ? AD_OK : AD_NULL);
        ad_workspace *w = ad_workspace_new(p);
        for (int i = 0; i < POINTS; i++) {
            double got[7] = {0};
            draw_point(&d, op, AD_F64, x);
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            ad_var y = ad_mul(ad_apply(op, n, v), v[0]);
            expect_ok("backward", op, t, ad_backward(y));
            if (ad_run(w, x, got))
                fail_msg("run: %s: %s", ad_op_at(op)->name, ad_workspace_error(w));
            expect("a program's value", op, x, 0, got[0], ad_value(y), 0);
            for (int k = 0; k < n; k++) {
                expect("a program's recorded gradient", op, x, k, got[1 + k], ad_grad(v[k]), 0);
                expect("a program's gradient", op, x, k, got[1 + n + k], ad_grad(v[k]), 0);
            }
        }
        ad_workspace_free(w);
        ad_program_free(p);
        ad_tape_free(t);
    }
    settle();
}

/* ---- tensors ---- */

enum { LARGEST = 256 };
typedef enum layout { PLAIN, BOUND_TRANSPOSED, BOUND_REVERSED, TRANSPOSED_NODE, LAYOUTS } layout;

typedef struct extent {
    int rank; /* -1: a scalar */
    int64_t size[AD_MAX_RANK];
} extent;

static const struct {
    extent of[3];
} classes[] = {
    {{{1, {5}}, {-1, {0}}, {-1, {0}}}},                 /* (n) with scalars */
    {{{-1, {0}}, {1, {4}}, {1, {4}}}},                  /* a scalar with (n) */
    {{{2, {3, 4}}, {1, {4}}, {2, {3, 4}}}},             /* (m,n) with (n) */
    {{{1, {4}}, {2, {3, 4}}, {-1, {0}}}},               /* and the other way */
    {{{2, {3, 1}}, {1, {4}}, {2, {1, 4}}}},             /* (m,1) with (n) */
    {{{1, {1}}, {1, {6}}, {1, {1}}}},                   /* (1) with (n) */
    {{{1, {6}}, {1, {1}}, {2, {1, 1}}}},                /* sizes of 1 */
    {{{2, {2, 3}}, {2, {2, 3}}, {2, {2, 3}}}},          /* one shape */
    {{{0, {0}}, {1, {3}}, {0, {0}}}},                   /* rank 0 */
    {{{0, {0}}, {0, {0}}, {0, {0}}}},                   /* rank 0 only */
    {{{3, {2, 1, 3}}, {3, {1, 4, 1}}, {2, {4, 3}}}},    /* each axis from another */
    {{{4, {2, 1, 2, 1}}, {1, {3}}, {4, {1, 2, 1, 1}}}}, /* ranks 4 to 7 */
    {{{5, {1, 2, 1, 2, 2}}, {2, {2, 1}}, {-1, {0}}}},
    {{{6, {2, 1, 1, 2, 1, 3}}, {3, {2, 1, 3}}, {6, {1, 1, 1, 2, 1, 1}}}},
    {{{7, {1, 1, 2, 1, 2, 1, 3}}, {2, {2, 3}}, {1, {3}}}},
    {{{8, {2, 1, 2, 1, 1, 2, 1, 2}}, {8, {1, 2, 2, 1, 1, 1, 2, 2}}, {1, {2}}}}, /* rank 8 */
    {{{8, {1, 1, 1, 1, 1, 1, 1, 1}}, {-1, {0}}, {3, {2, 1, 2}}}},
    {{{1, {0}}, {-1, {0}}, {1, {0}}}}, /* empty */
    {{{2, {0, 3}}, {1, {3}}, {2, {1, 1}}}},
    {{{2, {3, 1}}, {2, {1, 0}}, {-1, {0}}}},
    {{{1, {130}}, {1, {130}}, {1, {130}}}}, /* longer than vectors */
};
enum { CLASSES = sizeof classes / sizeof *classes };

typedef struct tensors { /* one row applied to tensors */
    int op, n, rank;
    ad_dtype dtype;
    int64_t size, shape[AD_MAX_RANK];
    ad_tape *t;
    ad_var leaf[3], x[3], y; /* x: what the row sees; leaf: what has the gradient */
    ad_tensor *held[6];
    double value[3][LARGEST]; /* of x, row-major */
} tensors;

static int64_t extent_elements(const extent *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++)
        n *= s->size[i];
    return n;
}

/* A leaf with such values, and a view of it in shape s: the leaf is transposed or reversed where
 * asked. */
static void make_argument(tensors *c, int k, const extent *s, layout how, const double *values)
{
    ad_tape *t = c->t;
    double base[LARGEST];
    float narrow[LARGEST];
    int axes[AD_MAX_RANK];
    extent from = *s;
    if (s->rank < 0) {
        c->leaf[k] = c->x[k] = ad_input(t, values[0]);
        return;
    }
    bool turned = how == BOUND_TRANSPOSED || how == TRANSPOSED_NODE;
    int64_t n = extent_elements(s), index[AD_MAX_RANK] = {0}, stride[AD_MAX_RANK + 1];
    for (int i = 0; i < s->rank; i++) {
        axes[i] = s->rank - 1 - i;
        from.size[i] = s->size[turned ? axes[i] : i];
    }
    stride[s->rank] = 1;
    for (int i = s->rank; i-- > 0;)
        stride[i] = stride[i + 1] * from.size[i];
    for (int64_t e = 0; e < n; e++) { /* where the view's element e lies in the base */
        int64_t at = 0;
        for (int i = 0; i < s->rank; i++)
            at += (how == BOUND_REVERSED ? s->size[i] - 1 - index[i] : index[i]) *
                  stride[(turned ? axes[i] : i) + 1];
        base[at] = values[e];
        for (int i = s->rank; i-- > 0 && ++index[i] == s->size[i];)
            index[i] = 0;
    }
    for (int64_t e = 0; e < n; e++)
        narrow[e] = (float)base[e];
    const void *data = c->dtype == AD_F32 ? (const void *)narrow : base;
    if (how == PLAIN || how == TRANSPOSED_NODE) {
        c->leaf[k] = c->x[k] = ad_input_array(t, c->dtype, s->rank, from.size, data);
        if (how == TRANSPOSED_NODE)
            c->x[k] = ad_permute(c->leaf[k], axes);
        return;
    }
    ad_tensor *v = ad_tensor_from(NULL, c->dtype, s->rank, from.size, data);
    if (how == BOUND_TRANSPOSED) {
        c->held[2 * k] = v;
        v = ad_tensor_permuted(v, axes);
    }
    for (int i = 0; how == BOUND_REVERSED && i < s->rank && n; i++) {
        ad_tensor *reversed = ad_tensor_sliced(v, i, s->size[i] - 1, -1 - s->size[i], -1);
        ad_tensor_free(v);
        v = reversed;
    }
    assert_non_null(v);
    c->held[2 * k + 1] = v;
    c->leaf[k] = c->x[k] = ad_bind(t, v);
}

static void drop_arguments(tensors *c)
{
    ad_reset(c->t);
    for (int i = 0; i < 6; i++) {
        ad_tensor_free(c->held[i]);
        c->held[i] = NULL;
    }
}

static void make_tensors(tensors *c, int class, layout how, draw *d)
{
    c->rank = 0;
    double point[3];
    for (int k = 0; k < c->n; k++) {
        const extent *s = &classes[class].of[k];
        int64_t n = extent_elements(s);
        for (int64_t e = 0; e < n; e++) {
            draw_point(d, c->op, s->rank < 0 && c->n > 1 ? AD_F64 : c->dtype, point);
            c->value[k][e] = rounded(point[k], c->dtype);
        }
        make_argument(c, k, s, how, c->value[k]);
        for (; c->rank < s->rank; c->rank++) {
            memmove(c->shape + 1, c->shape, sizeof *c->shape * (size_t)c->rank);
            c->shape[0] = 1;
        }
        for (int i = 0; i < s->rank; i++)
            if (s->size[i] != 1)
                c->shape[c->rank - s->rank + i] = s->size[i];
    }
    c->size = 1;
    for (int i = 0; i < c->rank; i++)
        c->size *= c->shape[i];
    c->y = ad_apply(c->op, c->n, c->x);
    expect_ok("apply", c->op, c->t, AD_OK);
}

/* which element of argument k meets element e of the result */
static int64_t element_of(const tensors *c, int class, int k, int64_t e)
{
    const extent *s = &classes[class].of[k];
    int64_t at = 0, stride = 1;
    for (int i = c->rank, j = s->rank; i-- > 0; e /= c->shape[i])
        if (j-- > 0) {
            at += s->size[j] == 1 ? 0 : e % c->shape[i] * stride;
            stride *= s->size[j];
        }
    return at;
}

/* the number that the row gives in the arrays' dtype */
static double value_in(int op, ad_dtype dtype, const double x[3])
{
    float a[3] = {(float)x[0], (float)x[1], (float)x[2]}, y;
    if (dtype == AD_F64)
        return elementwise_ops[op].value(x);
    map(op, AD_F32, 1, &a[0], &a[1], &a[2], &y);
    return (double)y;
}

/* A gradient read in the order of x, whatever the leaf's order: through the recorded view's shape.
 */
static void read_gradient(const tensors *c, int class, layout how, int k, double *out)
{
    const extent *s = &classes[class].of[k];
    double raw[LARGEST];
    assert_int_equal(ad_grad_read(c->leaf[k], raw), AD_OK);
    int64_t n = extent_elements(s), index[AD_MAX_RANK] = {0};
    for (int64_t e = 0; e < n; e++) {
        int64_t at = 0;
        if (how == TRANSPOSED_NODE &&
            s->rank > 0) { /* the leaf's row-major order is x's column-major one */
            for (int i = s->rank; i-- > 0;)
                at = at * s->size[i] + index[i];
        } else
            at = e;
        out[e] = raw[at];
        for (int i = s->rank; i-- > 0 && ++index[i] == s->size[i];)
            index[i] = 0;
    }
}

typedef struct total { /* a sum, with what rounding lost of it (Neumaier) */
    double sum, lost;
} total;

static void total_add(total *t, double x)
{
    double s = t->sum + x;
    t->lost += fabs(t->sum) >= fabs(x) ? (t->sum - s) + x : (x - s) + t->sum;
    t->sum = s;
}

typedef struct sums { /* of one class: cotangents that are right, and magnitudes of what they sum */
    double right[3][LARGEST], magnitude[3][LARGEST], got[3][LARGEST];
} sums;

static void sum_contributions(const tensors *c, int class, const double *g, bool careful, sums *r)
{
    memset(r->right, 0, sizeof r->right);
    memset(r->magnitude, 0, sizeof r->magnitude);
    for (int64_t e = 0; e < c->size; e++) {
        double x[3] = {0};
        int64_t at[3] = {0};
        for (int k = 0; k < c->n; k++)
            x[k] = c->value[k][at[k] = element_of(c, class, k, e)];
        for (int k = 0; k < c->n; k++) {
            double partial = dual_partial(c->op, x, k, NULL);
            r->right[k][at[k]] += g[e] * partial;
            r->magnitude[k][at[k]] +=
                fabs(g[e]) * (careful ? partial_magnitude(c->op, x, k) : fabs(partial));
        }
    }
}

static void check_class(tensors *c, int class, layout how, draw *d)
{
    double y[LARGEST], g[LARGEST];
    sums r;
    const int64_t *shape = ad_shape(c->y);
    ad_dtype dtype = AD_F64; /* scalars only: double */
    for (int k = 0; k < c->n; k++)
        dtype = ad_is_tensor(c->x[k]) ? c->dtype : dtype;
    if ((c->rank ? ad_rank(c->y) != c->rank : ad_rank(c->y) > 0) || ad_size(c->y) != c->size ||
        (c->rank && memcmp(shape, c->shape, (size_t)c->rank * sizeof *shape)))
        fail_msg("%s: class %d: the result has rank %d and %lld elements", ad_op_at(c->op)->name,
                 class, ad_rank(c->y), (long long)ad_size(c->y));
    assert_int_equal(ad_read(c->y, y), AD_OK);
    for (int64_t e = 0; e < c->size; e++)
        g[e] = rounded(draw_uniform(d, -2, 2), c->dtype);
    double longest = 1;
    for (int64_t e = 0; e < c->size; e++) {
        double x[3] = {0};
        for (int k = 0; k < c->n; k++)
            x[k] = c->value[k][element_of(c, class, k, e)];
        const double want = value_in(c->op, dtype, x);
        expect("an element", c->op, x, (int)how, y[e], want,
               dtype == AD_F64 ? array_allowed(want) : 0);
    }
    for (int k = 0; k < c->n; k++)
        longest = fmax(longest, (double)c->size /
                                    (double)(extent_elements(&classes[class].of[k]) + !c->size));
    const double bound = (ROUNDINGS + log2(fmax(1, longest))) * unit[dtype];
    expect_ok("vjp", c->op, c->t, ad_vjp(1, &c->y, (const double *[]){g}));
    double v[3][LARGEST], jv[LARGEST], scale = 0;
    total left = {0}, right = {0};
    for (int k = 0; k < c->n; k++) {
        read_gradient(c, class, how, k, r.got[k]);
        for (int64_t e = 0; e < extent_elements(&classes[class].of[k]); e++) {
            v[k][e] = draw_uniform(d, -1, 1);
            total_add(&left, v[k][e] * r.got[k][e]);
        }
    }
    expect_ok(
        "jvp", c->op, c->t,
        ad_jvp(c->n, c->x, (const double *[]){v[0], v[1], v[2]}, 1, &c->y, (double *[]){jv}, 1));
    for (int64_t e = 0; e < c->size; e++)
        total_add(&right, g[e] * jv[e]);
    /* The magnitudes of partials whose terms cancel cost time: the second round is for them. */
    bool agrees = false;
    for (int round = 0; round < 2 && !agrees; round++) {
        sum_contributions(c, class, g, round, &r);
        agrees = true;
        scale = 0;
        for (int k = 0; k < c->n; k++)
            for (int64_t e = 0; e < extent_elements(&classes[class].of[k]); e++) {
                agrees &= near(r.got[k][e], r.right[k][e], bound * r.magnitude[k][e]);
                scale += fabs(v[k][e]) * r.magnitude[k][e];
            }
        agrees &= near(left.sum + left.lost, right.sum + right.lost, bound * scale);
    }
    for (int k = 0; k < c->n && !agrees; k++)
        for (int64_t e = 0; e < extent_elements(&classes[class].of[k]); e++)
            expect("an element's gradient (value, class, layout)", c->op,
                   (double[]){c->value[k][e], class, how}, k, r.got[k][e], r.right[k][e],
                   bound * r.magnitude[k][e]);
    expect("<A g, v> = <g, T v> (class, layout)", c->op, (double[]){class, how, 0}, 0,
           left.sum + left.lost, right.sum + right.lost, bound * scale);
}

/* the gradient as variables: of each argument's shape and dtype, and the same numbers */
static void check_recorded_class(tensors *c, int class, layout how)
{
    ad_var seed = ad_is_tensor(c->y) ? (ad_var){0} : ad_constant(1), g[3];
    double numeric[3][LARGEST], recorded[LARGEST], magnitude[3][LARGEST];
    expect_ok("vjp", c->op, c->t, ad_vjp(1, &c->y, NULL));
    for (int k = 0; k < c->n; k++)
        assert_int_equal(ad_grad_read(c->leaf[k], numeric[k]), AD_OK);
    sweep_magnitudes(c->y, NULL, c->n, c->leaf,
                     (double *[]){magnitude[0], magnitude[1], magnitude[2]});
    expect_ok("gradients", c->op, c->t, ad_gradients_seeded(1, &c->y, &seed, c->n, c->leaf, g));
    for (int k = 0; k < c->n; k++) {
        int64_t n = ad_size(c->leaf[k]);
        const ad_dtype dtype = ad_dtype_of(c->y);
        if (ad_rank(g[k]) != ad_rank(c->leaf[k]) || ad_size(g[k]) != n ||
            ad_dtype_of(g[k]) != ad_dtype_of(c->leaf[k]) ||
            (ad_rank(g[k]) > 0 &&
             memcmp(ad_shape(g[k]), ad_shape(c->leaf[k]), (size_t)ad_rank(g[k]) * sizeof(int64_t))))
            fail_msg(
                "%s: class %d, argument %d: the gradient's shape or dtype is not the argument's",
                ad_op_at(c->op)->name, class, k);
        assert_int_equal(ad_read(g[k], recorded), AD_OK);
        for (int64_t e = 0; e < n; e++)
            expect("recorded against numeric (class, layout, element)", c->op,
                   (double[]){class, how, (double)e}, k, recorded[e], numeric[k][e],
                   (ROUNDINGS + 4) * unit[dtype] * magnitude[k][e]);
    }
}

static void check_tensors(ad_dtype dtype, bool recorded)
{
    tensors *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->t = ad_tape_new(NULL);
    c->dtype = dtype;
    for (c->op = 0; c->op < AD_OP_COUNT_; c->op++) {
        draw d = draw_of(c->op, 12 + (int)dtype);
        c->n = ad_op_at(c->op)->arity;
        for (int class = 0; class < CLASSES; class ++)
            for (layout how = 0; how < LAYOUTS; how++) {
                if (classes[class].of[0].rank < 0 && c->n == 1)
                    continue; /* a scalar alone */
                if (recorded && how != PLAIN && how != TRANSPOSED_NODE)
                    continue;
                make_tensors(c, class, how, &d);
                if (recorded)
                    check_recorded_class(c, class, how);
                else
                    check_class(c, class, how, &d);
                drop_arguments(c);
            }
    }
    ad_tape_free(c->t);
    free(c);
    settle();
}

static void tensors_of_double_broadcast_in_every_shape_and_layout(void **state)
{
    (void)state;
    check_tensors(AD_F64, false);
}

static void tensors_of_float_broadcast_in_every_shape_and_layout(void **state)
{
    (void)state;
    check_tensors(AD_F32, false);
}

static void recorded_gradients_of_double_tensors_have_their_shapes_and_numbers(void **state)
{
    (void)state;
    check_tensors(AD_F64, true);
}

static void recorded_gradients_of_float_tensors_have_their_shapes_and_numbers(void **state)
{
    (void)state;
    check_tensors(AD_F32, true);
}

/* A tensor program at new inputs, beside a tape recorded there. */
static void a_program_of_tensors_replays_values_and_gradients(void **state)
{
    (void)state;
    tensors *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->t = ad_tape_new(NULL);
    for (c->op = 0; c->op < AD_OP_COUNT_; c->op++)
        for (c->dtype = AD_F64; c->dtype <= AD_F32; c->dtype++) {
            const int class = 4; /* each argument broadcasts */
            draw d = draw_of(c->op, 14);
            c->n = ad_op_at(c->op)->arity;
            make_tensors(c, class, TRANSPOSED_NODE, &d);
            ad_var out[2] = {ad_sum(c->y), c->y};
            ad_program *p = ad_program_capture(c->t, c->n, c->leaf, 2, out, AD_GRADIENT);
            expect_ok("capture", c->op, c->t, p ? AD_OK : AD_NULL);
            ad_workspace *w = ad_workspace_new(p);
            drop_arguments(c);
            for (int round = 0; round < 3; round++) {
                double x[3 * LARGEST], got[4 * LARGEST], want[4 * LARGEST];
                int64_t n_x = 0, n_y = 1;
                make_tensors(c, class, TRANSPOSED_NODE, &d);
                for (int k = 0; k < c->n; n_x += ad_size(c->leaf[k++]))
                    assert_int_equal(ad_read(c->leaf[k], x + n_x), AD_OK);
                ad_var sum = ad_sum(c->y);
                expect_ok("backward", c->op, c->t, ad_backward(sum));
                want[0] = ad_value(sum);
                assert_int_equal(ad_read(c->y, want + n_y), AD_OK);
                n_y += c->size;
                for (int k = 0; k < c->n; n_y += ad_size(c->leaf[k++]))
                    assert_int_equal(ad_grad_read(c->leaf[k], want + n_y), AD_OK);
                if (ad_run(w, x, got))
                    fail_msg("run: %s: %s", ad_op_at(c->op)->name, ad_workspace_error(w));
                for (int64_t e = 0; e < n_y; e++)
                    expect("a program's output (element, dtype)", c->op,
                           (double[]){(double)e, c->dtype, 0}, 0, got[e], want[e], 0);
                drop_arguments(c);
            }
            ad_workspace_free(w);
            ad_program_free(p);
        }
    ad_tape_free(c->t);
    free(c);
    settle();
}

static void one_variable_as_every_argument_gets_the_sum_of_partials(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const ad_op_info *o = ad_op_at(op);
        double lo = o->low[0], hi = o->high[0];
        for (int k = 1; k < o->arity; k++)
            if (o->low[k] <= hi && o->high[k] >= lo)
                lo = fmax(lo, o->low[k]), hi = fmin(hi, o->high[k]);
        draw d = draw_of(op, 15);
        for (int i = 0; i < POINTS; i++) {
            double v[4], want[4], magnitude[4], got[4], jv[4], ones[4] = {1, 1, 1, 1}, x[3];
            float narrow[4];
            for (int e = 0; e < 4; e++) {
                narrow[e] = (float)draw_uniform(&d, lo, hi);
                narrow[e] = (double)narrow[e] < lo ? (float)hi : narrow[e];
                v[e] = (double)narrow[e];
                x[0] = x[1] = x[2] = v[e];
                want[e] = magnitude[e] = 0;
                for (int k = 0; k < o->arity; k++) {
                    want[e] += dual_partial(op, x, k, NULL);
                    magnitude[e] += partial_magnitude(op, x, k);
                }
            }
            ad_reset(t);
            ad_var s = ad_input(t, v[0]), y = ad_apply(op, o->arity, (ad_var[]){s, s, s});
            expect_ok("backward", op, t, ad_backward(y));
            x[0] = x[1] = x[2] = v[0];
            expect("f(x, x)", op, x, 0, ad_grad(s), want[0], ROUNDINGS * unit[0] * magnitude[0]);
            ad_jvp(1, &s, (const double *[]){ones}, 1, &y, (double *[]){jv}, 1);
            expect("f(x, x) by duals", op, x, 0, ad_grad(s), jv[0],
                   ROUNDINGS * unit[0] * magnitude[0]);
            for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
                const void *data = dtype == AD_F32 ? (const void *)narrow : v;
                ad_var a = ad_input_array(t, dtype, 1, (int64_t[]){4}, data);
                y = ad_apply(op, o->arity, (ad_var[]){a, a, a});
                expect_ok("vjp", op, t, ad_vjp(1, &y, NULL));
                assert_int_equal(ad_grad_read(a, got), AD_OK);
                expect_ok("jvp", op, t,
                          ad_jvp(1, &a, (const double *[]){ones}, 1, &y, (double *[]){jv}, 1));
                for (int e = 0; e < 4; e++) {
                    x[0] = x[1] = x[2] = v[e];
                    double bound = ROUNDINGS * unit[dtype] * magnitude[e];
                    expect("f(x, x) of tensors", op, x, (int)dtype, got[e], want[e], bound);
                    expect("f(x, x) of tensors by duals", op, x, (int)dtype, got[e], jv[e], bound);
                }
            }
        }
    }
    ad_tape_free(t);
    settle();
}

/* ---- mpmath ---- */

static double ulp_of(double x)
{
    x = fabs(x);
    return fmax(nextafter(x, (double)INFINITY) - x, DBL_TRUE_MIN);
}

static int row_named(const char *name)
{
    for (int op = 0; op < AD_OP_COUNT_; op++)
        if (!strcmp(ad_op_at(op)->name, name))
            return op;
    return -1;
}

/* Ulps that libm and the rules may be off by, at points of the row's intervals. At extreme points
 * beyond them a row that scales its argument rounds it first, which costs ulps in a steep tail and
 * near roots: there two roundings of the arguments count, and for a partial those in its rule. */
enum { VALUE_ULPS = 8, PARTIAL_ULPS = 16 };

static bool in_intervals(int op, const double x[3])
{
    const ad_op_info *o = ad_op_at(op);
    for (int k = 0; k < o->arity; k++)
        if (x[k] < o->low[k] || x[k] > o->high[k])
            return false;
    return true;
}

static void values_and_partials_are_those_of_mpmath(void **state)
{
    (void)state;
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/tests/data/mpmath_ops.csv", "r");
    char line[512];
    int lines[AD_OP_COUNT_] = {0};
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "op,a,b,c,value,da,db,dc\n");
    while (fgets(line, sizeof line, file)) {
        double number[7] = {0}, x[3], y, d[3];
        char *field = strchr(line, ',');
        assert_non_null(field);
        *field = 0;
        for (int i = 0; i < 7; i++) {
            assert_non_null(field);
            number[i] = strtod(field + 1, NULL);
            field = strchr(field + 1, ',');
        }
        int op = row_named(line);
        if (op < 0)
            fail_msg("%s is no row", line);
        lines[op]++;
        const elementwise *e = &elementwise_ops[op];
        memcpy(x, number, sizeof x);
        y = e->value(x);
        const bool inside = in_intervals(op, x);
        double allowed =
            VALUE_ULPS * ulp_of(number[3]) + (inside ? 0 : 2 * unit[0] * condition(op, x));
        expect("mpmath's value", op, x, 0, y, number[3], allowed);
        dual_partial(op, x, 0, &y);
        expect("mpmath's value against the dual's", op, x, 0, y, number[3], allowed);
        e->partials(1, x, e->value(x), d);
        for (int k = 0; k < e->info.arity; k++) {
            double want = number[4 + k];
            allowed = PARTIAL_ULPS * ulp_of(want) +
                      (inside ? 0 : ROUNDINGS * unit[0] * partial_magnitude(op, x, k));
            expect("mpmath's partial", op, x, k, d[k], want, allowed);
            expect("mpmath's partial against the dual's", op, x, k, dual_partial(op, x, k, NULL),
                   want, allowed);
        }
    }
    fclose(file);
    for (int op = 0; op < AD_OP_COUNT_; op++)
        if (lines[op] < 2)
            fail_msg("%s: only %d lines", ad_op_at(op)->name, lines[op]);
    settle();
}

/* ---- special values ---- */

static const double special[] = {
    0.,    -0.,    INFINITY, -INFINITY, NAN,   DBL_TRUE_MIN, -DBL_TRUE_MIN, 1e-310,
    1e300, -1e300, DBL_MAX,  1,         -.625, .5,           -2.5,          3};
enum { SPECIALS = sizeof special / sizeof *special };

/* every combination of special values for the row's arguments; false: no more */
static bool special_point(int op, int i, double x[3])
{
    int left = i;
    for (int k = 0; k < 3; k++) {
        x[k] = k < ad_op_at(op)->arity ? special[left % SPECIALS] : 0;
        left = k < ad_op_at(op)->arity ? left / SPECIALS : left;
    }
    return left == 0;
}

static void special_values_give_the_same_value_in_every_reading(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        double x[3], y, dual;
        for (int i = 0; special_point(op, i, x); i++) {
            ad_var v[3];
            double want = e->value(x);
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            ad_var r = call_function(op, v);
            expect("recorded", op, x, 0, ad_value(r), want, 0);
            map(op, AD_F64, 1, &x[0], &x[1], &x[2], &y);
            expect("in an array", op, x, 0, y, want,
                   isfinite(want) ? ARRAY_ULPS * ulp_of(want) : 0);
            expect_ok("replay", op, t, ad_replay(t));
            expect("replayed", op, x, 0, ad_value(r), want, 0);
            dual_partial(op, x, 0, &dual);
            expect("the dual's value", op, x, 0, dual, want, VALUE_ULPS * ulp_of(want));
        }
    }
    ad_tape_free(t);
    settle();
}

/* Where value and partial are finite both ways they are the same. Below the least normal number a
 * result has lost its digits: a partial there counts as 0, and a value there has no more digits to
 * give to a partial. */
static void special_values_have_the_partials_of_duals_where_both_are_finite(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        double x[3];
        for (int i = 0; special_point(op, i, x); i++) {
            ad_var v[3];
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            ad_var y = ad_apply(op, n, v);
            expect_ok("backward", op, t, ad_backward(y));
            double u = fmax(unit[0], DBL_TRUE_MIN /
                                         fmax(fabs(ad_value(y)), DBL_TRUE_MIN)); /* of the value */
            for (int k = 0; k < n && isfinite(ad_value(y)); k++) {
                double got = ad_grad(v[k]), want = dual_partial(op, x, k, NULL);
                if (isfinite(got) && isfinite(want))
                    expect("reverse against duals", op, x, k, got, want,
                           PARTIAL_ULPS * u * fabs(want) + DBL_MIN);
            }
        }
    }
    ad_tape_free(t);
    settle();
}

static void a_zero_cotangent_stays_zero_whatever_the_partial(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const elementwise *e = &elementwise_ops[op];
        const int n = e->info.arity;
        double x[3];
        for (int i = 0; special_point(op, i, x); i++) {
            double zero = 0, d[3], y = e->value(x), out;
            float a[3] = {(float)x[0], (float)x[1], (float)x[2]}, yf, gf = 0, of;
            e->partials(0, x, y, d);
            map(op, AD_F32, 1, &a[0], &a[1], &a[2], &yf);
            ad_var v[3], g[3], u, recorded[3];
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            u = ad_apply(op, n, v);
            g[0] = ad_input(t, 0);
            expect_ok("gradients", op, t, ad_gradients_seeded(1, &u, g, n, v, recorded));
            expect_ok("vjp", op, t, ad_vjp(1, &u, (const double *[]){&zero}));
            for (int k = 0; k < n; k++) {
                expect("the rule", op, x, k, d[k], 0, 0);
                cotangent(op, k, AD_F64, &zero, (const void *const[]){&x[0], &x[1], &x[2]}, &y,
                          &out);
                expect("the rule in arrays", op, x, k, out, 0, 0);
                cotangent(op, k, AD_F32, &gf, (const void *const[]){&a[0], &a[1], &a[2]}, &yf, &of);
                expect("the rule in float", op, x, k, (double)of, 0, 0);
                expect("the sweep", op, x, k, ad_grad(v[k]), 0, 0);
                expect("the recorded rule", op, x, k, ad_value(recorded[k]), 0, 0);
            }
        }
    }
    ad_tape_free(t);
    settle();
}

/* A zero tangent, likewise, in both arithmetics of duals. */
static void a_zero_tangent_stays_zero_whatever_the_partial(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        double x[3];
        for (int i = 0; special_point(op, i, x); i++) {
            const double zero[8] = {0}, *dx[3] = {zero, zero, zero};
            double dy[8];
            tangent_scalar_1(op, x, dx, dy);
            expect("one tangent", op, x, 0, dy[0], 0, 0);
            tangent_scalar_8(op, x, dx, dy);
            for (int w = 0; w < 8; w++)
                expect("eight tangents", op, x, w, dy[w], 0, 0);
        }
    }
    settle();
}

/* ---- kinks: the documented conventions, point by point ---- */

#define ANY NAN /* what it is, is not said */
static const struct {
    int op;
    double x[3], value, partial[3];
} conventions[] = {
    {AD_OP_relu, {0}, 0, {0}},
    {AD_OP_relu, {-0.}, 0, {0}},
    {AD_OP_leaky_relu, {0, .1}, 0, {.1, 0}},
    {AD_OP_elu, {0, 1.5}, 0, {1.5, 0}},
    {AD_OP_max, {2, 2}, 2, {.5, .5}},
    {AD_OP_min, {-1, -1}, -1, {.5, .5}},
    {AD_OP_fmax, {2, 2}, 2, {1, 0}},
    {AD_OP_fmin, {2, 2}, 2, {1, 0}},
    {AD_OP_abs, {0}, 0, {0}},
    {AD_OP_abs, {-0.}, 0, {0}},
    {AD_OP_sign, {0}, 0, {0}},
    {AD_OP_sqrt, {0}, 0, {INFINITY}},
    {AD_OP_cbrt, {0}, 0, {INFINITY}},
    {AD_OP_pow, {0, 0}, 1, {0, 0}},
    {AD_OP_pow, {0, 1}, 0, {1, 0}},
    {AD_OP_pow, {0, 2}, 0, {0, 0}},
    {AD_OP_pow, {-2, 3}, -8, {12, ANY}},
    {AD_OP_powi, {0, 0}, 1, {0, 0}},
    {AD_OP_powi, {0, 1}, 0, {1, 0}},
    {AD_OP_powi, {0, 2}, 0, {0, 0}},
    {AD_OP_powi, {-2, 3}, -8, {12, 0}},
    /* b - 1 is no number: in float from 2^24 on, in double from 2^53 on */
    {AD_OP_pow, {-1, 0x1p24 + 2}, 1, {-0x1p24 - 2, ANY}},
    {AD_OP_pow, {-1, -0x1p24}, 1, {0x1p24, ANY}},
    {AD_OP_pow, {-1, 0x1p53}, 1, {-0x1p53, ANY}},
    {AD_OP_pow, {-1, 0x1p53 + 2}, 1, {-0x1p53 - 2, ANY}},
    {AD_OP_pow, {-1, -0x1p53}, 1, {0x1p53, ANY}},
    {AD_OP_pow, {-INFINITY, 0x1p80}, INFINITY, {-INFINITY, ANY}},
    {AD_OP_pow, {0, -0x1p80}, INFINITY, {-INFINITY, -INFINITY}},
    {AD_OP_powi, {-1, 0x1p24 + 2}, 1, {-0x1p24 - 2, 0}},
    {AD_OP_powi, {-1, 0x1p53 + 2}, 1, {-0x1p53 - 2, 0}},
    {AD_OP_powi, {-1, -0x1p53}, 1, {0x1p53, 0}},
    {AD_OP_pow_slope, {-1, 0x1p53 + 2}, -0x1p53 - 2, {0x1p53 * (0x1p53 + 2), ANY}},
    {AD_OP_pow_slope, {-1, 0x1p24 + 2}, -0x1p24 - 2, {(0x1p24 + 2) * (0x1p24 + 1), ANY}},
    {AD_OP_pow_slope, {0, 0}, 0, {0, INFINITY}},
    {AD_OP_pow_slope, {0, 1}, 1, {0, 1}},
    {AD_OP_pow_slope, {3, 2}, 6, {2, ANY}},
    {AD_OP_hypot, {0, 0}, 0, {0, 0}},
    {AD_OP_hypot, {INFINITY, 0}, INFINITY, {1, 0}},
    {AD_OP_hypot, {-INFINITY, -3}, INFINITY, {-1, 0}},
    {AD_OP_hypot, {1e30, -INFINITY}, INFINITY, {0, -1}},
    {AD_OP_hypot, {-INFINITY, INFINITY}, INFINITY, {-.70710678118654752440, .70710678118654752440}},
    {AD_OP_atan2, {-INFINITY, 3}, -1.5707963267948966, {0, 0}},
    {AD_OP_atan2, {1e30, INFINITY}, 0, {0, 0}},
    {AD_OP_atan2, {0, -INFINITY}, 3.1415926535897931, {0, 0}},
    {AD_OP_atan2, {INFINITY, INFINITY}, .78539816339744828, {0, 0}},
    {AD_OP_atan2, {INFINITY, -INFINITY}, 2.3561944901923448, {0, 0}},
    {AD_OP_xlogy, {0, 0}, 0, {0, 0}},
    {AD_OP_xlogy, {0, 2}, 0, {.69314718055994530942, 0}},
    {AD_OP_bce, {0, 0}, 0, {0, 100}},
    {AD_OP_bce, {1, 1}, 0, {0, -100}},
    {AD_OP_bce, {0, 1}, 100, {-1e12, 100}},
    {AD_OP_bce, {1, 0}, 100, {1e12, -100}},
    {AD_OP_clamp, {1, 1, 3}, 1, {1, 0, 0}},
    {AD_OP_clamp, {3, 1, 3}, 3, {1, 0, 0}},
    {AD_OP_clamp, {0, 1, 3}, 1, {0, 1, 0}},
    {AD_OP_clamp, {4, 1, 3}, 3, {0, 0, 1}},
    {AD_OP_copysign, {0, 1}, 0, {0, 0}},
    {AD_OP_copysign, {INFINITY, -3}, -INFINITY, {-1, 0}},
    {AD_OP_copysign, {-INFINITY, -INFINITY}, -INFINITY, {1, 0}},
    {AD_OP_copysign, {-3, INFINITY}, 3, {-1, 0}},
    {AD_OP_copysign, {1e-30, -0.}, -1e-30, {-1, 0}},
    {AD_OP_floor, {2}, 2, {0}},
    {AD_OP_round, {2.5}, 2, {0}},
    {AD_OP_where, {0, INFINITY, 3}, 3, {0, 0, 1}},
    {AD_OP_where, {1, 3, NAN}, 3, {0, 1, 0}},
};

static void conventions_at_kinks_are_the_documented_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conventions / sizeof *conventions; i++) {
        const int op = conventions[i].op, n = ad_op_at(op)->arity;
        const double *x = conventions[i].x;
        ad_tape *t = ad_tape_new(NULL);
        ad_var v[3], g[3];
        scalar_inputs(t, op, x, v);
        ad_var y = ad_apply(op, n, v);
        double compiled[4];
        ad_program *p = ad_compile(t, n, v, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
        ad_workspace *w = ad_workspace_new(p);
        if (ad_run(w, x, compiled))
            fail_msg("run: %s: %s", ad_op_at(op)->name, ad_workspace_error(w));
        ad_workspace_free(w);
        ad_program_free(p);
        expect("value", op, x, 0, ad_value(y), conventions[i].value, 0);
        expect("compiled value", op, x, 0, compiled[0], conventions[i].value, 0);
        expect_ok("gradients", op, t, ad_gradients(y, n, v, g));
        expect_ok("backward", op, t, ad_backward(y));
        for (int k = 0; k < n; k++) {
            double want = conventions[i].partial[k];
            if (isnan(want))
                continue;
            expect("reverse", op, x, k, ad_grad(v[k]), want, unit[0] * fabs(want));
            expect("duals", op, x, k, dual_partial(op, x, k, NULL), want, 2 * unit[0] * fabs(want));
            expect("recorded", op, x, k, ad_value(g[k]), want, unit[0] * fabs(want));
            expect("compiled", op, x, k, compiled[1 + k], want, unit[0] * fabs(want));
            for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) { /* and in arrays */
                ad_tape *u = ad_tape_new(NULL);
                ad_var a[3];
                for (int j = 0; j < n; j++)
                    a[j] = ad_input_array(u, dtype, 1, (int64_t[]){1},
                                          dtype == AD_F32 ? (const void *)(float[]){(float)x[j]}
                                                          : &x[j]);
                expect_ok("vjp", op, u, ad_backward(ad_apply(op, n, a)));
                expect("in arrays", op, x, k, ad_grad(a[k]), want, 2 * unit[dtype] * fabs(want));
                ad_tape_free(u);
            }
        }
        ad_tape_free(t);
    }
    settle();
}

static void the_angle_of_the_origin_has_no_derivative(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var a = ad_input(t, 0), b = ad_input(t, 0);
    assert_int_equal(ad_backward(ad_atan2(a, b)), AD_OK);
    assert_true(isnan(ad_grad(a)) && isnan(ad_grad(b)));
    ad_tape_free(t);
    const double x[3] = {0};
    assert_true(isnan(dual_partial(AD_OP_atan2, x, 0, NULL)));
    assert_true(isnan(dual_partial(AD_OP_atan2, x, 1, NULL)));
}

static void reductions_take_the_first_extreme_and_norm_has_derivative_0_at_0(void **state)
{
    (void)state;
    const double ties[4] = {1, 3, 3, -1}, lows[4] = {2, -1, -1, 5}, zeros[4] = {0},
                 one_zero[4] = {2, 0, 3, 4};
    const struct {
        ad_var (*of)(ad_var);
        const double *x, want[4];
    } cases[] = {{ad_amax, ties, {0, 1, 0, 0}},
                 {ad_amin, lows, {0, 1, 0, 0}},
                 {ad_norm, zeros, {0, 0, 0, 0}},
                 {ad_prod, one_zero, {0, 24, 0, 0}},
                 {ad_prod, zeros, {0, 0, 0, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ad_tape *t = ad_tape_new(NULL);
        double g[4], r[4];
        ad_var x = ad_input_array(t, AD_F64, 1, (int64_t[]){4}, cases[i].x), y = cases[i].of(x),
               recorded = ad_grad_of(y, x);
        assert_int_equal(ad_backward(y), AD_OK);
        assert_int_equal(ad_grad_read(x, g), AD_OK);
        assert_int_equal(ad_read(recorded, r), AD_OK);
        for (int k = 0; k < 4; k++)
            if (g[k] != cases[i].want[k] || r[k] != cases[i].want[k])
                fail_msg("case %zu, element %d: got %.17g, recorded %.17g, want %.17g", i, k, g[k],
                         r[k], cases[i].want[k]);
        ad_tape_free(t);
    }
}

/* ---- branches not taken ---- */

static ad_var guarded_root(ad_var x)
{
    return ad_where(ad_greater(x, ad_constant(0)), ad_sqrt(x), ad_constant(0));
}

static void a_guarded_root_at_0_has_derivative_0_as_scalar(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 0), y = guarded_root(x), g = ad_grad_of(y, x), h = ad_grad_of(g, x);
    assert_int_equal(ad_backward(y), AD_OK);
    assert_true(ad_value(y) == 0 && ad_grad(x) == 0 && ad_value(g) == 0 && ad_value(h) == 0);
    assert_int_equal(ad_backward(g), AD_OK);
    assert_true(ad_grad(x) == 0);
    double one = 1, jvp = NAN;
    assert_int_equal(ad_jvp(1, &x, (const double *[]){&one}, 1, &y, (double *[]){&jvp}, 1), AD_OK);
    assert_true(jvp == 0);
    ad_tape_free(t);
}

static void a_guarded_root_at_0_has_derivative_0_in_tensors(void **state)
{
    (void)state;
    const double v[3] = {0, 4, -1}, want[3] = {0, .25, 0};
    const float narrow[3] = {0, 4, -1};
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        ad_tape *t = ad_tape_new(NULL);
        double g[3], r[3];
        ad_var x =
            ad_input_array(t, dtype, 1, (int64_t[]){3}, dtype == AD_F32 ? (const void *)narrow : v);
        ad_var y = ad_sum(guarded_root(x)), recorded = ad_grad_of(y, x);
        assert_int_equal(ad_backward(y), AD_OK);
        assert_int_equal(ad_grad_read(x, g), AD_OK);
        assert_int_equal(ad_read(recorded, r), AD_OK);
        for (int k = 0; k < 3; k++)
            if (g[k] != want[k] || r[k] != want[k])
                fail_msg("%s, element %d: got %.17g, recorded %.17g, want %.17g",
                         ad_dtype_name(dtype), k, g[k], r[k], want[k]);
        ad_tape_free(t);
    }
}

static void a_guarded_root_at_0_has_derivative_0_in_programs(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 4), out[3];
    out[0] = guarded_root(x);
    out[1] = ad_grad_of(out[0], x);
    out[2] = ad_grad_of(out[1], x);
    ad_program *p = ad_program_capture(t, 1, &x, 3, out, AD_GRADIENT);
    assert_non_null(p);
    ad_workspace *w = ad_workspace_new(p);
    const double at[4] = {4, 0, -2, 0.25}, want[4][2] = {{2, .25}, {0, 0}, {0, 0}, {.5, 1}};
    for (int i = 0; i < 4; i++) {
        double got[4];
        assert_int_equal(ad_run(w, &at[i], got), AD_OK);
        if (got[0] != want[i][0] || got[1] != want[i][1] || got[3] != want[i][1] ||
            !isfinite(got[2]))
            fail_msg("at %g: value %.17g, recorded %.17g, second %.17g, gradient %.17g", at[i],
                     got[0], got[1], got[2], got[3]);
    }
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
}

/* the side not taken, whichever row it is and whatever its partial at a special value */
static void nothing_comes_from_an_untaken_branch_of_any_row(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const int n = ad_op_at(op)->arity;
        double x[3];
        for (int i = 0; special_point(op, i, x); i += n == 3 ? 7 : 1) {
            ad_var v[3], g[3];
            ad_reset(t);
            scalar_inputs(t, op, x, v);
            ad_var y = ad_where(ad_input(t, 0), ad_apply(op, n, v), ad_constant(1));
            expect_ok("gradients", op, t, ad_gradients(y, n, v, g));
            expect_ok("backward", op, t, ad_backward(y));
            for (int k = 0; k < n; k++) {
                expect("an untaken branch", op, x, k, ad_grad(v[k]), 0, 0);
                expect("an untaken branch, recorded", op, x, k, ad_value(g[k]), 0, 0);
            }
        }
    }
    ad_tape_free(t);
    settle();
}

static void a_root_times_0_at_0_has_derivative_0(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 0), y = ad_mul(ad_constant(0), ad_sqrt(x)), g = ad_grad_of(y, x);
    assert_int_equal(ad_backward(y), AD_OK);
    assert_true(ad_grad(x) == 0);
    assert_true(ad_value(g) == 0);
    ad_tape_free(t);
}

/* ---- where functions saturate ---- */

static const struct {
    int op;
    double x[3];
    int k;
    double want; /* 17 digits */
} saturated[] = {
    {AD_OP_tanh, {20}, 0, 1.6993417021166355e-17},
    {AD_OP_tanh, {-20}, 0, 1.6993417021166355e-17},
    {AD_OP_tanh, {300}, 0, 1.0601586212017243e-260},
    {AD_OP_sigmoid, {40}, 0, 4.248354255291589e-18},
    {AD_OP_sigmoid, {-40}, 0, 4.248354255291589e-18},
    {AD_OP_sigmoid, {-700}, 0, 9.85967654375977e-305},
    {AD_OP_bce_logits, {40, 1}, 0, -4.248354255291589e-18},
    {AD_OP_bce_logits, {-40, 0}, 0, 4.248354255291589e-18},
    {AD_OP_bce_logits, {40, 0}, 0, 1},
    {AD_OP_bce_logits, {-700, 1}, 0, -1},
    {AD_OP_bce_logits, {700, 1}, 0, -9.85967654375977e-305},
};

static void gradients_are_accurate_where_functions_saturate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof saturated / sizeof *saturated; i++) {
        const int op = saturated[i].op, n = ad_op_at(op)->arity, k = saturated[i].k;
        const double *x = saturated[i].x, want = saturated[i].want;
        ad_tape *t = ad_tape_new(NULL);
        ad_var v[3], g[3];
        scalar_inputs(t, op, x, v);
        ad_var y = ad_apply(op, n, v);
        expect_ok("gradients", op, t, ad_gradients(y, n, v, g));
        expect_ok("backward", op, t, ad_backward(y));
        expect("reverse", op, x, k, ad_grad(v[k]), want, PARTIAL_ULPS * unit[0] * fabs(want));
        expect("recorded", op, x, k, ad_value(g[k]), want, PARTIAL_ULPS * unit[0] * fabs(want));
        expect("duals", op, x, k, dual_partial(op, x, k, NULL), want,
               PARTIAL_ULPS * unit[0] * fabs(want));
        ad_tape_free(t);
        if (fabs(want) < 1e-37)
            continue;
        t = ad_tape_new(NULL);
        for (int j = 0; j < n; j++)
            v[j] = ad_input_array(t, AD_F32, 1, (int64_t[]){1}, (float[]){(float)x[j]});
        expect_ok("backward", op, t, ad_backward(ad_apply(op, n, v)));
        expect("in float", op, x, k, ad_grad(v[k]), want, PARTIAL_ULPS * unit[1] * fabs(want));
        ad_tape_free(t);
    }
    settle();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest cases[] = {
        CASE(every_row_is_documented_and_has_intervals_to_draw_from),
        CASE(every_row_has_a_dual_of_the_same_value),
        CASE(eight_directions_at_once_are_those_one_by_one),
        CASE(a_value_is_the_same_however_it_is_computed),
        CASE(a_value_in_float_is_that_in_double_to_rounding),
        CASE(a_gradient_is_that_of_duals_to_rounding),
        CASE(a_gradient_in_float_is_that_of_duals_to_rounding),
        CASE(a_gradient_is_that_of_central_differences),
        CASE(a_recorded_gradient_is_the_numeric_one),
        CASE(a_second_derivative_is_the_same_by_reverse_by_duals_and_by_differences),
        CASE(a_third_derivative_is_finite_and_symmetric),
        CASE(a_captured_program_replays_value_gradient_and_recorded_gradient),
        CASE(tensors_of_double_broadcast_in_every_shape_and_layout),
        CASE(tensors_of_float_broadcast_in_every_shape_and_layout),
        CASE(recorded_gradients_of_double_tensors_have_their_shapes_and_numbers),
        CASE(recorded_gradients_of_float_tensors_have_their_shapes_and_numbers),
        CASE(a_program_of_tensors_replays_values_and_gradients),
        CASE(one_variable_as_every_argument_gets_the_sum_of_partials),
        CASE(values_and_partials_are_those_of_mpmath),
        CASE(special_values_give_the_same_value_in_every_reading),
        CASE(special_values_have_the_partials_of_duals_where_both_are_finite),
        CASE(a_zero_cotangent_stays_zero_whatever_the_partial),
        CASE(a_zero_tangent_stays_zero_whatever_the_partial),
        CASE(conventions_at_kinks_are_the_documented_ones),
        CASE(the_angle_of_the_origin_has_no_derivative),
        CASE(reductions_take_the_first_extreme_and_norm_has_derivative_0_at_0),
        CASE(a_guarded_root_at_0_has_derivative_0_as_scalar),
        CASE(a_guarded_root_at_0_has_derivative_0_in_tensors),
        CASE(a_guarded_root_at_0_has_derivative_0_in_programs),
        CASE(nothing_comes_from_an_untaken_branch_of_any_row),
        CASE(a_root_times_0_at_0_has_derivative_0),
        CASE(gradients_are_accurate_where_functions_saturate),
    };
    return cmocka_run_group_tests(cases, open_rules, close_rules);
}
