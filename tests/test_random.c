/* test_random.c - random draws: Philox to the bit, independence of everything but seed, key, step
 * and place
 *
 * The moments are of draws from fixed seeds, so these tests cannot fail by chance; their limits are
 * five standard deviations of the estimates. */
#define AD_PLAIN
#include "compare.h"

#include "ad.h"
#include "random.h"

enum { MANY = 1 << 16 };

/* ---- the generator ---- */

/* Known answers that the authors of Philox publish with it (Random123, kat_vectors). */
static void philox_gives_the_published_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        random_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

/* The numbers themselves must not change from one version to the next: the same seed gives the same
 * model. */
static void draws_are_these_numbers(void **state)
{
    (void)state;
    int64_t three[1] = {3};
    double x[3];
    uint32_t words[4], key[2], stream[4];
    const uint32_t seed[2] = {42, 0}, of_key[4] = {7, 0, 0, 0}, first[4] = {0, 0, 5, 0};
    random_philox(of_key, seed,
                  stream); /* the key of the stream is the cipher of the key under the seed */
    memcpy(key, stream, sizeof key);
    random_philox(first, key, words);
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, 1, three);
    assert_int_equal(ad_draw_uniform(t, 42, 7, 5), AD_OK);
    ad_tensor_read(t, x);
    assert_true(x[0] == (double)(((uint64_t)words[1] << 32 | words[0]) >> 11) * 0x1p-53);
    assert_true(x[1] == (double)(((uint64_t)words[3] << 32 | words[2]) >> 11) * 0x1p-53);
    ad_tensor_free(t);
    t = ad_tensor_new(NULL, AD_F32, 1, three);
    assert_int_equal(ad_draw_uniform(t, 42, 7, 5), AD_OK);
    ad_tensor_read(t, x);
    for (int i = 0; i < 3; i++)
        assert_true(x[i] == (double)(words[i] >> 8) * 0x1p-24);
    ad_tensor_free(t);
}

/* ---- what draws depend on ---- */

enum kind { UNIFORM, NORMAL, BERNOULLI, PERMUTATION, KINDS };
static const char *const kind_names[KINDS] = {"uniform", "normal", "bernoulli", "permutation"};

static ad_status draw(enum kind kind, ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step)
{
    return kind == UNIFORM     ? ad_draw_uniform(to, seed, key, step)
           : kind == NORMAL    ? ad_draw_normal(to, seed, key, step)
           : kind == BERNOULLI ? ad_draw_bernoulli(to, .3, seed, key, step)
                               : ad_draw_permutation(to, seed, key, step);
}

static ad_dtype dtype_for(enum kind kind, ad_dtype dtype)
{
    return kind == PERMUTATION ? AD_I32 : dtype;
}

static void drawn(enum kind kind, ad_dtype dtype, int rank, const int64_t *shape, uint64_t seed,
                  uint64_t key, uint64_t step, double *out)
{
    ad_tensor *t = ad_tensor_new(NULL, dtype_for(kind, dtype), rank, shape);
    assert_int_equal(draw(kind, t, seed, key, step), AD_OK);
    assert_int_equal(ad_tensor_read(t, out), AD_OK);
    ad_tensor_free(t);
}

static ad_var recorded(enum kind kind, ad_tape *t, uint64_t key, ad_dtype dtype, int rank,
                       const int64_t *shape)
{
    return kind == UNIFORM     ? ad_random_uniform(t, key, dtype, rank, shape)
           : kind == NORMAL    ? ad_random_normal(t, key, dtype, rank, shape)
           : kind == BERNOULLI ? ad_random_bernoulli(t, key, .3, dtype, rank, shape)
                               : ad_random_permutation(t, key, (int32_t)*shape);
}

#define FOR_KINDS(kind, dtype)                                                                     \
    for (int which_ = 0; which_ < 2 * KINDS; which_++)                                             \
        for (enum kind kind = (enum kind)(which_ / 2), *once_ = &kind; once_; once_ = NULL)        \
            for (ad_dtype dtype = which_ % 2 ? AD_F32 : AD_F64; once_; once_ = NULL)

static void draws_do_not_depend_on_the_shape(void **state)
{
    (void)state;
    begin_test();
    FOR_KINDS(kind, dtype)
    {
        double flat[60], other[60];
        const int64_t shapes[4][3] = {{60}, {5, 12}, {3, 4, 5}, {37}};
        const int ranks[4] = {1, 2, 3, 1};
        drawn(kind, dtype, 1, shapes[0], 1, 2, 3, flat);
        for (int i = 1; i < (kind == PERMUTATION ? 1 : 4); i++) {
            drawn(kind, dtype, ranks[i], shapes[i], 1, 2, 3, other);
            expect_same_bits(kind_names[kind], i == 3 ? 37 : 60, other, flat);
        }
    }
    end_test();
}

/* element i in row-major order, wherever it lies */
static void draws_do_not_depend_on_strides(void **state)
{
    (void)state;
    begin_test();
    FOR_KINDS(kind, dtype)
    {
        const int64_t shape[2] = {8, 9}, turned[2] = {9, 17};
        double want[72], got[72];
        int64_t count[1] = {72};
        if (kind == PERMUTATION)
            continue;
        drawn(kind, dtype, 1, count, 4, 5, 6, want);
        ad_tensor *whole = ad_tensor_new(NULL, dtype, 2, turned);
        ad_tensor *cut = ad_tensor_sliced(whole, 1, 15, -17, -2),
                  *view = ad_tensor_permuted(cut, (int[]){1, 0});
        assert_memory_equal(ad_tensor_shape(view), shape, sizeof shape);
        assert_int_equal(draw(kind, view, 4, 5, 6), AD_OK);
        ad_tensor_read(view, got);
        expect_same_bits(kind_names[kind], 72, got, want);
        ad_tensor_free(view);
        ad_tensor_free(cut);
        ad_tensor_free(whole);
    }
    end_test();
}

static void draws_do_not_depend_on_the_order_of_recording(void **state)
{
    (void)state;
    begin_test();
    for (int order = 0; order < 2; order++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_seed(t, 11);
        ad_set_step(t, 12);
        if (order) /* other things before */
            ad_sin(ad_input(t, 1));
        for (int i = 0; i < 2 * KINDS; i++) {
            int which = order ? 2 * KINDS - 1 - i : i;
            enum kind kind = (enum kind)(which / 2);
            ad_dtype dtype = which % 2 ? AD_F32 : AD_F64;
            const int64_t shape[1] = {20};
            double got[20], want[20];
            drawn(kind, dtype, 1, shape, 11, (uint64_t)which, 12, want);
            assert_int_equal(ad_read(recorded(kind, t, (uint64_t)which, dtype, 1, shape), got),
                             AD_OK);
            expect_same_bits(kind_names[kind], 20, got, want);
        }
        assert_string_equal(ad_tape_error(t), "");
        ad_tape_free(t);
    }
    end_test();
}

/* Seed, key and step: one bit more in any of them, low or high, makes other numbers. */
static void draws_depend_on_seed_key_and_step(void **state)
{
    (void)state;
    begin_test();
    FOR_KINDS(kind, dtype)
    {
        const int64_t shape[1] = {64};
        double base[64], other[64];
        drawn(kind, dtype, 1, shape, 1, 1, 1, base);
        for (int bit = 0; bit < 64; bit += 7)
            for (int k = 0; k < 3; k++) {
                uint64_t n[3] = {1, 1, 1};
                int same = 0;
                n[k] ^= (uint64_t)1 << bit;
                drawn(kind, dtype, 1, shape, n[0], n[1], n[2], other);
                for (int i = 0; i < 64; i++)
                    same += base[i] == other[i];
                if (same > (kind == BERNOULLI ? 55 : 10))
                    report("%s, bit %d of number %d: %d of 64 are the same", kind_names[kind], bit,
                           k, same);
            }
        drawn(kind, dtype, 1, shape, 1, 2, 1, base); /* and they are not one another's */
        drawn(kind, dtype, 1, shape, 2, 1, 1, other);
        if (!memcmp(base, other, sizeof base))
            report("%s: seed and key can be exchanged", kind_names[kind]);
    }
    end_test();
}

/* A replay draws anew for its own step, and the same again for the same. */
static void replays_draw_by_step(void **state)
{
    (void)state;
    begin_test();
    FOR_KINDS(kind, dtype)
    {
        const int64_t shape[1] = {16};
        double want[3][16], got[16];
        ad_tape *t = ad_tape_new(NULL);
        ad_seed(t, 9);
        ad_var y = recorded(kind, t, 4, dtype, 1, shape);
        for (int step = 0; step < 3; step++)
            drawn(kind, dtype, 1, shape, 9, 4, (uint64_t)step, want[step]);
        for (int i = 0; i < 5; i++) {
            static const int steps[5] = {0, 1, 1, 2, 0};
            ad_set_step(t, (uint64_t)steps[i]);
            assert_int_equal(ad_replay(t), AD_OK);
            assert_int_equal(ad_read(y, got), AD_OK);
            expect_same_bits(kind_names[kind], 16, got, want[steps[i]]);
        }
        ad_tape_free(t);
    }
    end_test();
}

/* A program goes on to the next step by itself, every workspace for itself. */
static void programs_draw_by_step(void **state)
{
    (void)state;
    begin_test();
    FOR_KINDS(kind, dtype)
    {
        const int64_t shape[1] = {16};
        double want[16], got[16];
        ad_tape *t = ad_tape_new(NULL);
        ad_seed(t, 9);
        ad_set_step(t, 100);
        ad_var y = recorded(kind, t, 4, dtype, 1, shape);
        ad_program *p = ad_program_capture(t, 0, NULL, 1, &y, AD_VALUES);
        assert_non_null(p);
        ad_tape_free(t);
        ad_workspace *w[2] = {ad_workspace_new(p), ad_workspace_new(p)};
        for (int i = 0; i < 6; i++) {
            uint64_t step = 100 + (uint64_t)(i / 2);
            drawn(kind, dtype, 1, shape, 9, 4, step, want);
            assert_int_equal(ad_run(w[i % 2], NULL, got), AD_OK);
            expect_same_bits(kind_names[kind], 16, got, want);
        }
        ad_workspace_set_step(w[0], 7);
        drawn(kind, dtype, 1, shape, 9, 4, 7, want);
        assert_int_equal(ad_run(w[0], NULL, got), AD_OK);
        expect_same_bits(kind_names[kind], 16, got, want);
        ad_workspace_free(w[0]);
        ad_workspace_free(w[1]);
        ad_program_free(p);
    }
    end_test();
}

/* ---- distributions ---- */

typedef struct moments {
    double mean, variance, skewness, kurtosis, low, high,
        neighbours; /* correlation with the element before */
} moments;

static moments moments_of(int64_t n, const double *x)
{
    moments m = {.low = (double)INFINITY, .high = -(double)INFINITY};
    double third = 0, fourth = 0, product = 0;
    for (int64_t i = 0; i < n; i++) {
        m.mean += x[i] / (double)n;
        m.low = fmin(m.low, x[i]);
        m.high = fmax(m.high, x[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        double d = x[i] - m.mean;
        m.variance += d * d / (double)n;
        third += d * d * d / (double)n;
        fourth += d * d * d * d / (double)n;
        product += i ? d * (x[i - 1] - m.mean) / (double)n : 0;
    }
    m.skewness = third / pow(m.variance, 1.5);
    m.kurtosis = fourth / (m.variance * m.variance);
    m.neighbours = product / m.variance;
    return m;
}

static double five_sigma(double variance_of_one) { return 5 * sqrt(variance_of_one / MANY); }

static void near(const char *what, ad_dtype dtype, double got, double want, double variance_of_one)
{
    char text[96];
    snprintf(text, sizeof text, "%s in %s", what, ad_dtype_name(dtype));
    expect_close(text, 1, &got, &want, five_sigma(variance_of_one));
}

static void moments_are_those_of_the_distributions(void **state)
{
    static double x[MANY];
    const int64_t shape[1] = {MANY};
    (void)state;
    begin_test();
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype = (ad_dtype)(dtype + 1)) {
        drawn(UNIFORM, dtype, 1, shape, 1, 2, 3, x);
        moments m = moments_of(MANY, x);
        near("mean of uniform", dtype, m.mean, .5, 1. / 12);
        near("variance of uniform", dtype, m.variance, 1. / 12, 1. / 180);
        near("neighbours of uniform", dtype, m.neighbours, 0, 1);
        assert_true(m.low >= 0 && m.low < 1e-3 && m.high < 1 && m.high > 1 - 1e-3);

        drawn(NORMAL, dtype, 1, shape, 1, 2, 3, x);
        m = moments_of(MANY, x);
        near("mean of normal", dtype, m.mean, 0, 1);
        near("variance of normal", dtype, m.variance, 1, 2);
        near("skewness of normal", dtype, m.skewness, 0, 6);
        near("kurtosis of normal", dtype, m.kurtosis, 3, 24);
        near("neighbours of normal", dtype, m.neighbours, 0, 1);
        assert_true(m.low < -3.5 && m.high > 3.5 && m.low > -7 && m.high < 7);

        drawn(BERNOULLI, dtype, 1, shape, 1, 2, 3, x);
        m = moments_of(MANY, x);
        near("mean of bernoulli", dtype, m.mean, .3, .21);
        for (int i = 0; i < MANY; i++)
            assert_true(x[i] == 0 || x[i] == 1);
    }
    end_test();
}

/* Kolmogorov and Smirnov: the largest distance between the share of draws below x and the
 * distribution function */
static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void distributions_are_these_all_along(void **state)
{
    static double x[MANY];
    const int64_t shape[1] = {MANY};
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool normal = i / 2;
        double worst = 0;
        drawn(normal ? NORMAL : UNIFORM, i % 2 ? AD_F32 : AD_F64, 1, shape, 5, 6, 7, x);
        qsort(x, MANY, sizeof *x, by_size);
        for (int k = 0; k < MANY; k++) {
            double below = normal ? .5 * erfc(-x[k] / sqrt(2)) : x[k];
            worst = fmax(worst, fmax(below - (double)k / MANY, (double)(k + 1) / MANY - below));
        }
        assert_true(worst < 2.5 / sqrt(MANY)); /* exceeded by chance once in 130,000 seeds */
    }
}

static void bernoulli_keeps_to_its_ends(void **state)
{
    const int64_t shape[1] = {4096};
    double x[4096];
    (void)state;
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, 1, shape);
    for (int p = 0; p < 2; p++) {
        assert_int_equal(ad_draw_bernoulli(t, p, 1, 2, 3), AD_OK);
        ad_tensor_read(t, x);
        for (int i = 0; i < 4096; i++)
            assert_true(x[i] == p);
    }
    assert_int_equal(ad_draw_bernoulli(t, 1.5, 1, 2, 3), AD_BAD_ARGUMENT);
    assert_int_equal(ad_draw_bernoulli(t, -.5, 1, 2, 3), AD_BAD_ARGUMENT);
    assert_int_equal(ad_draw_bernoulli(t, (double)NAN, 1, 2, 3), AD_BAD_ARGUMENT);
    ad_tensor_free(t);
}

/* ---- permutations ---- */

static void permutations_hold_every_number_once(void **state)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, 4096};
    static double x[4096];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            bool seen[4096] = {false};
            drawn(PERMUTATION, AD_I32, 1, &sizes[i], seed, 1, 2, x);
            for (int64_t k = 0; k < sizes[i]; k++) {
                assert_in_range(x[k], 0, sizes[i] - 1);
                assert_false(seen[(int)x[k]]);
                seen[(int)x[k]] = true;
            }
        }
}

/* All 24 orders of 4 come equally often: chi squared of 23 degrees of freedom, 99.999 % below 62.
 */
static void permutations_are_equally_likely(void **state)
{
    enum { DRAWS = 24000 };
    int count[256] = {0};
    double x[4], chi = 0;
    const int64_t four[1] = {4};
    (void)state;
    for (uint64_t step = 0; step < DRAWS; step++) {
        drawn(PERMUTATION, AD_I32, 1, four, 3, 4, step, x);
        count[(int)x[0] << 6 | (int)x[1] << 4 | (int)x[2] << 2 | (int)x[3]]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++)
        if (count[i]) {
            double d = count[i] - DRAWS / 24.;
            chi += d * d / (DRAWS / 24.);
            orders++;
        }
    assert_int_equal(orders, 24);
    assert_true(chi < 62);
}

/* ---- on tapes ---- */

static void draws_have_no_gradient(void **state)
{
    (void)state;
    double g[6], u[6];
    const int64_t shape[2] = {2, 3};
    ad_tape *t = ad_tape_new(NULL);
    double ones[6] = {1, 1, 1, 1, 1, 1};
    ad_var x = ad_input_array(t, AD_F64, 2, shape, ones),
           draw_ = ad_random_uniform(t, 8, AD_F64, 2, shape);
    ad_node_info info;
    assert_int_equal(ad_node_at(t, ad_var_node(draw_), &info), AD_OK);
    assert_false(info.needs_gradient);
    assert_int_equal(ad_backward(ad_sum(ad_mul(x, draw_))), AD_OK);
    assert_int_equal(ad_grad_read(x, g), AD_OK);
    assert_int_equal(ad_read(draw_, u), AD_OK);
    assert_memory_equal(g, u, sizeof u);
    ad_tape_free(t);
}

static void rank_0_draws_a_scalar(void **state)
{
    (void)state;
    const int64_t one[1] = {1};
    double want;
    for (int kind = UNIFORM; kind < PERMUTATION; kind++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var y = recorded((enum kind)kind, t, 8, AD_F64, 0, NULL);
        drawn((enum kind)kind, AD_F64, 1, one, 0, 8, 0, &want);
        assert_int_equal(ad_rank(y), 0);
        assert_true(ad_value(y) == want);
        ad_tape_free(t);
    }
}

static void draws_refuse_other_dtypes(void **state)
{
    (void)state;
    const int64_t shape[1] = {4};
    for (int kind = 0; kind < KINDS; kind++) {
        ad_tensor *t = ad_tensor_new(NULL, kind == PERMUTATION ? AD_F64 : AD_I32, 1, shape);
        assert_int_equal(draw((enum kind)kind, t, 1, 2, 3), AD_BAD_DTYPE);
        assert_int_equal(draw((enum kind)kind, NULL, 1, 2, 3), AD_NULL);
        ad_tensor_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(draws_are_these_numbers),
        cmocka_unit_test(draws_do_not_depend_on_the_shape),
        cmocka_unit_test(draws_do_not_depend_on_strides),
        cmocka_unit_test(draws_do_not_depend_on_the_order_of_recording),
        cmocka_unit_test(draws_depend_on_seed_key_and_step),
        cmocka_unit_test(replays_draw_by_step),
        cmocka_unit_test(programs_draw_by_step),
        cmocka_unit_test(moments_are_those_of_the_distributions),
        cmocka_unit_test(distributions_are_these_all_along),
        cmocka_unit_test(bernoulli_keeps_to_its_ends),
        cmocka_unit_test(permutations_hold_every_number_once),
        cmocka_unit_test(permutations_are_equally_likely),
        cmocka_unit_test(draws_have_no_gradient),
        cmocka_unit_test(rank_0_draws_a_scalar),
        cmocka_unit_test(draws_refuse_other_dtypes),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
