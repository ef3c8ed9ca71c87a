/* test_products.c - products of matrices: by every instruction set that this processor has, through
 * the seam, and by any number of threads
 *
 * The judge is a product by definition, in long double; an element may differ by a rounding for
 * each term. */
#define AD_PLAIN
#include "gemm.h"
#include "kernels.h"
#include <float.h>
/* after the above */
#include "compare.h"

static const ad_kernels all[] = {AD_KERNELS_BASELINE, AD_KERNELS_AVX2, AD_KERNELS_AVX512};
enum { SETS = sizeof all / sizeof *all, SLACK = 3 };

typedef struct matrices {
    ad_dtype dtype;
    bool ta, tb, add;
    int64_t m, n, k, lda, ldb, ldc;
    void *a, *b, *c, *start; /* start: what C held before */
    long double *want,
        *terms; /* by definition, and the sum of magnitudes; NULL: not asked for yet */
} matrices;

static double get(const void *x, ad_dtype dtype, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void put(void *x, ad_dtype dtype, int64_t i, double value)
{
    if (dtype == AD_F64)
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}

/* one element before the matrix, so that its rows begin at odd addresses */
static void *numbers(ad_dtype dtype, int64_t count, uint64_t *random)
{
    char *memory = malloc((size_t)(count + 2) * ad_dtype_size(dtype));
    assert_non_null(memory);
    for (int64_t i = 0; i < count + 2; i++)
        put(memory, dtype, i, random_between(random, -1, 1));
    return memory + ad_dtype_size(dtype);
}

static void forget(void *matrix, ad_dtype dtype) { free((char *)matrix - ad_dtype_size(dtype)); }

static int64_t elements_of_c(const matrices *x) { return x->m * x->ldc; }

static matrices matrices_of(ad_dtype dtype, int kind, int64_t m, int64_t n, int64_t k,
                            uint64_t *random)
{
    matrices x = {
        .dtype = dtype, .ta = kind & 1, .tb = kind & 2, .add = kind & 4, .m = m, .n = n, .k = k};
    x.lda = (x.ta ? m : k) + (kind & 8 ? SLACK : 0);
    x.ldb = (x.tb ? k : n) + (kind & 8 ? SLACK : 0);
    x.ldc = n + (kind & 8 ? SLACK : 0);
    x.lda += x.lda == 0, x.ldb += x.ldb == 0;
    x.a = numbers(dtype, (x.ta ? k : m) * x.lda, random);
    x.b = numbers(dtype, (x.tb ? n : k) * x.ldb, random);
    x.start = numbers(dtype, elements_of_c(&x), random);
    for (int64_t i = 0; i < m && !x.add; i++) /* C is not read then */
        for (int64_t j = 0; j < n; j++)
            put(x.start, dtype, i * x.ldc + j, (double)NAN);
    x.c = numbers(dtype, elements_of_c(&x), random);
    return x;
}

static void matrices_free(matrices *x)
{
    forget(x->a, x->dtype), forget(x->b, x->dtype), forget(x->start, x->dtype),
        forget(x->c, x->dtype);
    free(x->want);
}

static void restart(matrices *x)
{
    memcpy(x->c, x->start, (size_t)elements_of_c(x) * ad_dtype_size(x->dtype));
}

static void by_gemm(const ad_context *context, matrices *x)
{
    restart(x);
    gemm(context, x->dtype, x->ta, x->tb, x->m, x->n, x->k, x->a, x->lda, x->b, x->ldb, x->add,
         x->c, x->ldc);
}

/* straight to the kernels of a set */
static void by_set(const kernels *set, matrices *x)
{
    const matrix_product p = {.add = x->add,
                              .m = x->m,
                              .n = x->n,
                              .k = x->k,
                              .ai = x->ta ? 1 : x->lda,
                              .ap = x->ta ? x->lda : 1,
                              .bp = x->tb ? 1 : x->ldb,
                              .bj = x->tb ? x->ldb : 1,
                              .ldc = x->ldc,
                              .cj = 1,
                              .a = x->a,
                              .b = x->b,
                              .c = x->c};
    matrix_product t = p; /* the transposed one: a column is its row */
    t.m = p.n, t.n = p.m, t.ldc = p.cj, t.cj = p.ldc;
    t.a = p.b, t.ai = p.bj, t.ap = p.bp;
    t.b = p.a, t.bp = p.ap, t.bj = p.ai;
    restart(x);
    if (!(p.m == 1 && set->products->row[x->dtype](&p)) &&
        !(p.n == 1 && set->products->row[x->dtype](&t)))
        set->products->part[x->dtype](&p, 0, x->m, 0, x->n);
}

static void judge(matrices *x)
{
    const size_t count = (size_t)(x->m * x->n);
    x->want = calloc(2 * count + 1, sizeof *x->want);
    assert_non_null(x->want);
    x->terms = x->want + count;
    for (int64_t i = 0; i < x->m; i++)
        for (int64_t j = 0; j < x->n; j++) {
            long double want = x->add ? (long double)get(x->start, x->dtype, i * x->ldc + j) : 0,
                        terms = fabsl(want);
            for (int64_t p = 0; p < x->k; p++) {
                const double a = get(x->a, x->dtype, x->ta ? p * x->lda + i : i * x->lda + p);
                const double b = get(x->b, x->dtype, x->tb ? j * x->ldb + p : p * x->ldb + j);
                want += (long double)a * (long double)b;
                terms += fabsl((long double)a * (long double)b);
            }
            x->want[i * x->n + j] = want;
            x->terms[i * x->n + j] = terms;
        }
}

static void check(matrices *x, const char *who)
{
    const double unit = x->dtype == AD_F64 ? DBL_EPSILON : FLT_EPSILON;
    if (!x->want)
        judge(x);
    for (int64_t i = 0; i < x->m; i++)
        for (int64_t j = 0; j < x->ldc; j++) {
            const double got = get(x->c, x->dtype, i * x->ldc + j);
            const double before = get(x->start, x->dtype, i * x->ldc + j);
            const bool inside = j < x->n;
            const long double want = inside ? x->want[i * x->n + j] : (long double)before,
                              bound = inside ? (long double)(unit * (double)(x->k + 2)) *
                                                   x->terms[i * x->n + j]
                                             : 0;
            if (inside ? !(fabsl((long double)got - want) <= bound) : !same_bits(got, before))
                report("%s, %s, (%d,%d,%d), %d%d%d, element (%d,%d): got %.9g, want %.9Lg", who,
                       ad_dtype_name(x->dtype), (int)x->m, (int)x->n, (int)x->k, x->ta, x->tb,
                       x->add, (int)i, (int)j, got, want);
        }
}

/* about tiles, vectors and packed pieces, from both sides */
static const int64_t sizes[][3] = {
    {1, 1, 1},     {1, 5, 3},      {3, 1, 7},      {2, 3, 5},       {4, 4, 4},
    {5, 33, 9},    {7, 31, 1},     {13, 16, 12},   {12, 32, 17},    {37, 65, 41},
    {73, 47, 19},  {71, 10, 64},   {1, 40, 70},    {40, 1, 70},     {25, 33, 0},
    {12, 17, 201}, {6, 8, 199},    {145, 34, 403}, {1, 9, 410},     {64, 1, 600},
    {16, 32, 256}, {13, 260, 512}, {14, 40, 1024}, {50, 130, 1024}, {600, 40, 20}};
enum { SIZES = sizeof sizes / sizeof *sizes, KINDS = 16 };

static void with_every_product(uint64_t random, void (*multiply)(matrices *x, void *user),
                               void *user)
{
    for (int s = 0; s < SIZES; s++)
        for (int kind = 0; kind < KINDS; kind++)
            for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
                matrices x =
                    matrices_of(dtype, kind, sizes[s][0], sizes[s][1], sizes[s][2], &random);
                multiply(&x, user);
                matrices_free(&x);
            }
}

static void by_every_set(matrices *x, void *user)
{
    (void)user;
    for (int k = 0; k < SETS; k++) {
        const kernels *set = kernels_available(all[k]);
        if (!set || !set->products->part[x->dtype] || x->k == 0)
            continue;
        by_set(set, x);
        check(x, set->name);
    }
}

static void every_set_multiplies(void **state)
{
    (void)state;
    begin_test();
    with_every_product(5, by_every_set, NULL);
    end_test();
}

static void through_every_context(matrices *x, void *user)
{
    ad_context *const *contexts = user;
    for (int k = 0; k < SETS; k++) {
        by_gemm(contexts[k], x);
        check(x, "gemm");
    }
}

static void the_seam_multiplies_by_whatever_it_chooses(void **state)
{
    (void)state;
    begin_test();
    ad_context *contexts[SETS];
    for (int k = 0; k < SETS; k++) {
        contexts[k] = ad_context_new(&(ad_context_config){.kernels = all[k]});
        assert_non_null(contexts[k]);
    }
    with_every_product(6, through_every_context, contexts);
    for (int k = 0; k < SETS; k++)
        ad_context_free(contexts[k]);
    end_test();
}

/* An element is one sum in one order, wherever in C the asked-for part begins. */
static void a_part_has_the_bits_of_the_whole(void **state)
{
    (void)state;
    begin_test();
    uint64_t random = 7;
    for (int kind = 0; kind < 4; kind++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++)
            for (int k = 0; k < SETS; k++) {
                const kernels *set = kernels_available(all[k]);
                if (!set || !set->products->part[dtype])
                    continue;
                matrices x = matrices_of(dtype, kind, 61, 83, 305, &random);
                by_set(set, &x);
                void *whole = numbers(dtype, elements_of_c(&x), &random);
                memcpy(whole, x.c, (size_t)elements_of_c(&x) * ad_dtype_size(dtype));
                const matrix_product p = {.m = x.m,
                                          .n = x.n,
                                          .k = x.k,
                                          .ai = x.ta ? 1 : x.lda,
                                          .ap = x.ta ? x.lda : 1,
                                          .bp = x.tb ? 1 : x.ldb,
                                          .bj = x.tb ? x.ldb : 1,
                                          .ldc = x.ldc,
                                          .cj = 1,
                                          .a = x.a,
                                          .b = x.b,
                                          .c = x.c};
                restart(&x);
                for (int64_t i = 0; i < x.m; i += 9)
                    for (int64_t j = 0; j < x.n; j += 20)
                        set->products->part[dtype](&p, i, x.m - i < 9 ? x.m - i : 9, j,
                                                   x.n - j < 20 ? x.n - j : 20);
                for (int64_t i = 0; i < elements_of_c(&x); i++)
                    if (!same_bits(get(x.c, dtype, i), get(whole, dtype, i)))
                        report("%s, %s, element %d", set->name, ad_dtype_name(dtype), (int)i);
                forget(whole, dtype);
                matrices_free(&x);
            }
    end_test();
}

/* large enough to be cut into tiles: by kernels and by a BLAS where there is one */
static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    static const int threads[] = {2, 3, 7};
    static const int64_t large[][3] = {
        {300, 500, 30}, {129, 300, 201}, {1, 3000, 1500}, {2000, 1, 2500}, {900, 10, 600}};
    begin_test();
    uint64_t random = 8;
    for (unsigned s = 0; s < sizeof large / sizeof *large; s++)
        for (int kind = 0; kind < 4; kind += 3)
            for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++)
                for (int k = 0; k < SETS; k += 2) {
                    matrices x =
                        matrices_of(dtype, kind, large[s][0], large[s][1], large[s][2], &random);
                    ad_context *one = ad_context_new(&(ad_context_config){.kernels = all[k]});
                    by_gemm(one, &x);
                    const size_t bytes = (size_t)elements_of_c(&x) * ad_dtype_size(dtype);
                    void *want = malloc(bytes);
                    assert_non_null(want);
                    memcpy(want, x.c, bytes);
                    for (unsigned t = 0; t < sizeof threads / sizeof *threads; t++) {
                        ad_context *many = ad_context_new(
                            &(ad_context_config){.kernels = all[k], .threads = threads[t]});
                        by_gemm(many, &x);
                        if (memcmp(want, x.c, bytes))
                            report("%s, (%d,%d,%d), %d threads differ from one",
                                   ad_dtype_name(dtype), (int)x.m, (int)x.n, (int)x.k, threads[t]);
                        ad_context_free(many);
                    }
                    ad_context_free(one);
                    free(want);
                    matrices_free(&x);
                }
    end_test();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_multiplies),
        cmocka_unit_test(the_seam_multiplies_by_whatever_it_chooses),
        cmocka_unit_test(a_part_has_the_bits_of_the_whole),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
