/* test_kernels.c - the loops over arrays: every instruction set that this processor has, every row
 * of the table, float and double
 *
 * All sets must give the same bits, at every length and address; against the C library's functions,
 * read through the same rows, a few ulp are allowed. Cases walk the table and name no operation. */
#define AD_PLAIN
#include "algebra.h"
#include "kernels.h"
#include "vector_math.h"
#include <float.h>
/* after the above */
#include "compare.h"

/* the rows once more, over the C library's functions */
#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"
#define T           float
#define T_(name)    name##_f32
#define F(function) function##f
#include "algebra_numeric.h"

#define OP1(name, ...)                                                                             \
    static double row_##name##_f64(const double *x) { return num_##name##_f64(x[0]); }             \
    static float row_##name##_f32(const float *x) { return num_##name##_f32(x[0]); }
#define OP2(name, ...)                                                                             \
    static double row_##name##_f64(const double *x) { return num_##name##_f64(x[0], x[1]); }       \
    static float row_##name##_f32(const float *x) { return num_##name##_f32(x[0], x[1]); }
#define OP3(name, ...)                                                                             \
    static double row_##name##_f64(const double *x) { return num_##name##_f64(x[0], x[1], x[2]); } \
    static float row_##name##_f32(const float *x) { return num_##name##_f32(x[0], x[1], x[2]); }
#include "ops.def"

static const struct {
    double (*f64)(const double *);
    float (*f32)(const float *);
} rows[AD_OP_COUNT_] = {
#define OP1(name, ...) [AD_OP_##name] = {row_##name##_f64, row_##name##_f32},
#define OP2(name, ...) [AD_OP_##name] = {row_##name##_f64, row_##name##_f32},
#define OP3(name, ...) [AD_OP_##name] = {row_##name##_f64, row_##name##_f32},
#include "ops.def"
};

static const ad_kernels all[] = {AD_KERNELS_BASELINE, AD_KERNELS_AVX2, AD_KERNELS_AVX512};
enum { SETS = sizeof all / sizeof *all, MOST = 300 };

/* ---- numbers ---- */

static const double special[] = {
    0.,    -0.,    INFINITY, -INFINITY, NAN, DBL_TRUE_MIN, -DBL_TRUE_MIN, 1e-310, 1e-40, -1e-40,
    1e300, -1e300, DBL_MAX,  FLT_MAX,   1,   -1,           -.625,         .5,     -2.5,  3,
    100,   -100,   750,      -750,      1e5, 1e7,          -1e22};
enum { SPECIALS = sizeof special / sizeof *special };

/* a number of the row's interval, of any size, or a special one */
static double draw(uint64_t *state, int op, int k)
{
    const ad_op_info *o = ad_op_at(op);
    const int kind = random_below(state, 8);
    if (kind == 0)
        return special[random_below(state, SPECIALS)];
    if (kind == 1) {
        const double m = ldexp(1 + random_between(state, 0, 1), random_below(state, 80) - 40);
        return random_below(state, 2) ? m : -m;
    }
    return random_between(state, o->low[k], o->high[k]);
}

static void put(void *array, ad_dtype dtype, int64_t i, double x)
{
    if (dtype == AD_F64)
        ((double *)array)[i] = x;
    else
        ((float *)array)[i] = (float)x;
}

static double get(const void *array, ad_dtype dtype, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

/* the distance between neighbouring numbers of the dtype about x */
static double ulp(double x, ad_dtype dtype)
{
    if (dtype == AD_F64)
        return fmax(fabs(x) * DBL_EPSILON, DBL_TRUE_MIN);
    return fmax(fabs(x) * FLT_EPSILON, FLT_TRUE_MIN);
}

static uint64_t seed_of(int op) { return 20241121u + (uint64_t)op * 7919; }

/* ---- every set against the baseline ---- */

typedef struct arrays {
    double in[5][MOST + 2], out[MOST + 2]; /* g, a, b, c, y */
} arrays;

/* The value (k = -1) or a cotangent of n elements that begin one after the arrays' beginnings; what
 * lies around them must stay. */
static void run(const kernels *set, int op, int k, ad_dtype dtype, int64_t n, arrays *x)
{
    const void *p[5];
    for (int i = 0; i < 5; i++)
        p[i] = (const char *)x->in[i] + ad_dtype_size(dtype);
    for (int64_t i = 0; i < MOST + 2; i++)
        put(x->out, dtype, i, 77);
    void *out = (char *)x->out + ad_dtype_size(dtype);
    if (k < 0)
        kernels_map(set, op, dtype, n, p[1], p[2], p[3], out);
    else
        kernels_cotangent(set, op, k, dtype, n, p[0], p[1], p[2], p[3], p[4], out);
    for (int64_t i = n + 1; i < MOST + 2; i++)
        if (get(x->out, dtype, i) != 77)
            report("%s of %d, %s: wrote element %d of %d", ad_op_at(op)->name, k, set->name, (int)i,
                   (int)n);
    if (get(x->out, dtype, 0) != 77)
        report("%s of %d, %s: wrote before the array", ad_op_at(op)->name, k, set->name);
}

static void fill(arrays *x, int op, ad_dtype dtype, uint64_t *state)
{
    for (int64_t i = 0; i < MOST + 2; i++) {
        put(x->in[0], dtype, i, random_below(state, 9) ? random_between(state, -2, 2) : 0);
        for (int k = 0; k < 3; k++)
            put(x->in[1 + k], dtype, i, draw(state, op, k));
    }
    kernels_map(&kernels_baseline, op, dtype, MOST + 2, x->in[1], x->in[2], x->in[3], x->in[4]);
}

static void all_sets_give_the_same_bits_at_every_length(void **state)
{
    (void)state;
    static arrays x, want;
    begin_test();
    for (int op = 0; op < AD_OP_COUNT_; op++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            uint64_t random = seed_of(op);
            fill(&x, op, dtype, &random);
            for (int k = -1; k < ad_op_at(op)->arity; k++) {
                want = x;
                run(&kernels_baseline, op, k, dtype, MOST, &want);
                for (int s = 0; s < SETS; s++) {
                    const kernels *set = kernels_available(all[s]);
                    for (int64_t n = 0; set && n <= MOST; n += n < 35 ? 1 : 53) {
                        run(set, op, k, dtype, n, &x);
                        for (int64_t i = 1; i <= n; i++)
                            if (!same_bits(get(x.out, dtype, i), get(want.out, dtype, i)))
                                report("%s of %d, %s, %s, element %d of %d: %a, not %a",
                                       ad_op_at(op)->name, k, ad_dtype_name(dtype), set->name,
                                       (int)i, (int)n, get(x.out, dtype, i),
                                       get(want.out, dtype, i));
                    }
                }
            }
        }
    end_test();
}

/* ---- against the C library ---- */

static void compare_value(int op, ad_dtype dtype, const double x[3], double got)
{
    const float f[3] = {(float)x[0], (float)x[1], (float)x[2]};
    const double want = dtype == AD_F64 ? rows[op].f64(x) : (double)rows[op].f32(f);
    const bool number = isfinite(want) && isfinite(got);
    /* sums of functions may cancel: their terms are of the arguments' size in the intervals */
    const double terms = ad_op_at(op)->arity > 1 ? 3 : 0;
    const double allowed = VECTOR_MATH ? 8 * ulp(fmax(fabs(want), terms), dtype) : 0;
    if (number ? fabs(got - want) > allowed ||
                     (want == 0 && signbit(got) != signbit(want) && terms == 0)
               : !same_bits(got, want))
        report("%s(%.17g, %.17g, %.17g), %s: got %.17g, want %.17g", ad_op_at(op)->name, x[0], x[1],
               x[2], ad_dtype_name(dtype), got, want);
}

static void values_are_those_of_the_c_library_within_8_ulp(void **state)
{
    (void)state;
    static double in[3][MOST], out[MOST];
    begin_test();
    for (int op = 0; op < AD_OP_COUNT_; op++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            uint64_t random = seed_of(op) + 1;
            const ad_op_info *o = ad_op_at(op);
            for (int64_t i = 0; i < MOST; i++)
                for (int k = 0; k < 3; k++)
                    put(in[k], dtype, i,
                        o->arity == 1 ? draw(&random, op, k)
                                      : random_between(&random, o->low[k], o->high[k]));
            kernels_map(kernels_of(NULL), op, dtype, MOST, in[0], in[1], in[2], out);
            for (int64_t i = 0; i < MOST; i++) {
                const double x[3] = {get(in[0], dtype, i), get(in[1], dtype, i),
                                     get(in[2], dtype, i)};
                compare_value(op, dtype, x, get(out, dtype, i));
            }
        }
    end_test();
}

/* every combination of special values for the row's arguments */
static void special_values_are_those_of_the_c_library(void **state)
{
    (void)state;
    begin_test();
    for (int op = 0; op < AD_OP_COUNT_; op++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            const int n = ad_op_at(op)->arity;
            int many = 1;
            for (int k = 0; k < n && k < 2; k++)
                many *= SPECIALS;
            for (int i = 0; i < many; i++) {
                double in[3] = {0}, out = 0, x[3] = {0};
                for (int k = 0; k < n; k++) {
                    put(&in[k], dtype, 0, special[(k == 1 ? i / SPECIALS : i + k) % SPECIALS]);
                    x[k] = get(&in[k], dtype, 0);
                }
                kernels_map(kernels_of(NULL), op, dtype, 1, &in[0], &in[1], &in[2], &out);
                compare_value(op, dtype, x, get(&out, dtype, 0));
            }
        }
    end_test();
}

/* ---- the functions themselves ---- */

#define FUNCTION(f, lo, hi, ulps)                                                                  \
    {                                                                                              \
#f, vm_##f##_f64, vm_##f##_f32, f##l, lo, hi, ulps                                         \
    }
static const struct {
    const char *name;
    double (*f64)(double);
    float (*f32)(float);
    long double (*exact)(long double);
    double low, high, ulps; /* the bound in double */
} functions[] = {
    /* clang-format off */
    FUNCTION(exp, -745, 709.7, 1.1),  FUNCTION(exp, -2, 2, 1.1),        FUNCTION(exp2, -1074, 1023.9, 1.1),
    FUNCTION(exp2, -2, 2, 1.1),       FUNCTION(expm1, -40, 709.7, 2.5), FUNCTION(expm1, -1, 1, 2.5),
    FUNCTION(log, 0, 4, 1),           FUNCTION(log, .9, 1.1, 1),        FUNCTION(log2, 0, 4, 2),
    FUNCTION(log2, .9, 1.1, 2),       FUNCTION(log10, 0, 4, 2),         FUNCTION(log10, .9, 1.1, 2),
    FUNCTION(log1p, -1, 4, 1),        FUNCTION(log1p, -.1, .1, 1),      FUNCTION(sin, -4, 4, 1.5),
    FUNCTION(sin, -1e6, 1e6, 2.5),    FUNCTION(cos, -4, 4, 1.5),        FUNCTION(cos, -1e6, 1e6, 2.5),
    FUNCTION(tan, -1.5, 1.5, 3),      FUNCTION(tan, -1e6, 1e6, 3.6),    FUNCTION(sinh, -710, 710, 2.5),
    FUNCTION(sinh, -1, 1, 2.5),       FUNCTION(cosh, -710, 710, 1.5),   FUNCTION(cosh, -2, 2, 1.5),
    FUNCTION(tanh, -20, 20, 2.8),     FUNCTION(tanh, -1, 1, 2.8),       FUNCTION(erf, -6, 6, 2.2),
    FUNCTION(erf, -1, 1, 2.2),        FUNCTION(erfc, -6, 26.5, 6),      FUNCTION(erfc, .5, 1, 6),
    /* clang-format on */
};

/* Against long double, which has to be longer than double to judge. In float all are right to 0.55
 * ulp. */
static void functions_keep_their_bounds(void **state)
{
    (void)state;
    if (!VECTOR_MATH || LDBL_MANT_DIG < 64)
        skip();
    begin_test();
    uint64_t random = 17;
    for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++)
        for (int i = 0; i < 40000; i++) {
            const double low = functions[f].low, high = functions[f].high;
            double x = low + (high - low) * ((double)(random_bits(&random) >> 11) * 0x1p-53);
            if (i % 8 == 0)
                x = ldexp(x, -random_below(&random, 300));
            const long double want = functions[f].exact((long double)x);
            int e;
            frexpl(want, &e);
            long double got = (long double)functions[f].f64(x);
            long double error = fabsl(got - want) / ldexpl(1, e < -1021 ? -1074 : e - 53);
            if (want != 0 && isfinite(want) && !(error <= (long double)functions[f].ulps))
                report("%s(%a): %.3Lf ulp", functions[f].name, x, error);
            const float y = (float)x;
            const long double want_f = functions[f].exact((long double)y);
            frexpl(want_f, &e);
            got = (long double)functions[f].f32(y);
            error = fabsl(got - want_f) / ldexpl(1, e < -125 ? -149 : e - 24);
            if (want_f != 0 && isfinite(want_f) && e <= 128 && !(error <= .55L))
                report("%s(%a) in float: %.3Lf ulp", functions[f].name, (double)y, error);
        }
    end_test();
}

/* ---- the choice ---- */

static void a_context_uses_the_best_kernels_that_it_may(void **state)
{
    (void)state;
    const char *best = ad_context_kernels(NULL);
    assert_non_null(kernels_available(AD_KERNELS_BASELINE));
    for (int s = 0; s < SETS; s++) {
        ad_context *c = ad_context_new(&(ad_context_config){.kernels = all[s]});
        int have = s;
        while (!kernels_available(all[have])) /* what the processor lacks: the best below */
            have--;
        assert_ptr_equal(kernels_of(c), kernels_available(all[have]));
        assert_string_equal(ad_context_kernels(c), kernels_available(all[have])->name);
        if (kernels_available(all[s]))
            assert_string_equal(ad_context_kernels(c),
                                ((const char *const[]){"baseline", "avx2", "avx512"})[s]);
        if (s == SETS - 1)
            assert_string_equal(ad_context_kernels(c), best);
        ad_context_free(c);
    }
    ad_context *c = ad_context_new(NULL);
    assert_string_equal(ad_context_kernels(c), best);
    ad_context_free(c);
}

static void a_tape_computes_the_same_with_every_set(void **state)
{
    (void)state;
    double want[2][50], got[2][50], x[50];
    for (int i = 0; i < 50; i++)
        x[i] = .1 * i - 2;
    for (int s = 0; s < SETS; s++) {
        ad_context *context = ad_context_new(&(ad_context_config){.kernels = all[s]});
        ad_tape *t = ad_tape_new(context);
        ad_var a = ad_input_array(t, AD_F64, 1, (const int64_t[]){50}, x);
        ad_var y = ad_mul(ad_tanh(a), ad_sigmoid(a));
        assert_int_equal(ad_backward(ad_sum(y)), AD_OK);
        assert_int_equal(ad_read(y, got[0]), AD_OK);
        assert_int_equal(ad_grad_read(a, got[1]), AD_OK);
        if (s == 0)
            memcpy(want, got, sizeof want);
        assert_memory_equal(want, got, sizeof want);
        ad_tape_free(t);
        ad_context_free(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sets_give_the_same_bits_at_every_length),
        cmocka_unit_test(values_are_those_of_the_c_library_within_8_ulp),
        cmocka_unit_test(special_values_are_those_of_the_c_library),
        cmocka_unit_test(functions_keep_their_bounds),
        cmocka_unit_test(a_context_uses_the_best_kernels_that_it_may),
        cmocka_unit_test(a_tape_computes_the_same_with_every_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
