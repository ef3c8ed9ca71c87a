/* test_nn_initialise.c - first values of parameters: their distributions, and what they depend on
 *
 * Statistics of 60,000 draws are compared with the rule's at five standard errors; the draws are
 * seeded, so a test passes or fails always. */
#include "compare.h"
#include "expect.h"
#include "initialise.h"

enum { IN = 200, OUT = 300, MANY = IN * OUT };

/* A model of one layer and its config, ready for a parameter to be looked at. */
static nn_model *one_layer(nn_layer layer, nn_shape input, uint64_t seed, ad_dtype dtype)
{
    const nn_model_config config = {.seed = seed, .dtype = dtype, .inputs = {input}};
    nn_model *m = nn_sequential(&config, 1, &layer);
    if (nn_model_status(m))
        fail_msg("%s", nn_model_error(m));
    return m;
}

static nn_model *dense(int64_t in, int64_t out, nn_init weight, nn_init bias, ad_dtype dtype)
{
    nn_layer layer = nn_dense(out, NULL);
    layer.weight_init = weight;
    layer.bias_init = bias;
    return one_layer(layer, (nn_shape){.rank = 1, .size = {in}}, 7, dtype);
}

/* The elements of a parameter, to be freed. */
static double *elements(const nn_model *m, const char *name, int64_t *n)
{
    ad_param *param = nn_param_find(m, name);
    if (!param)
        fail_msg("there is no parameter %s", name);
    *n = ad_tensor_size(ad_param_value(param));
    double *x = test_calloc((size_t)*n, sizeof *x);
    assert_int_equal(ad_tensor_read(ad_param_value(param), x), AD_OK);
    return x;
}

typedef struct moments {
    double mean, variance, low, high;
} moments;

static moments moments_of(const nn_model *m, const char *name)
{
    int64_t n;
    double *x = elements(m, name, &n);
    moments s = {.low = x[0], .high = x[0]};
    for (int64_t i = 0; i < n; i++) {
        s.mean += x[i] / (double)n;
        s.low = fmin(s.low, x[i]);
        s.high = fmax(s.high, x[i]);
    }
    for (int64_t i = 0; i < n; i++)
        s.variance += (x[i] - s.mean) * (x[i] - s.mean) / (double)n;
    test_free(x);
    return s;
}

/* U(-limit,limit): inside, and with so many draws near both ends. */
static void expect_uniform(const char *what, moments got, double limit)
{
    const double variance = limit * limit / 3;
    if (!(got.low >= -limit && got.high <= limit && got.low < -.999 * limit &&
          got.high > .999 * limit))
        report("%s: from %.9g to %.9g, want +-%.9g", what, got.low, got.high, limit);
    if (!(fabs(got.mean) <= 5 * sqrt(variance / MANY)))
        report("%s: mean %g", what, got.mean);
    if (!(fabs(got.variance - variance) <= 5 * sqrt(.8 / MANY) * variance))
        report("%s: variance %g, want %g", what, got.variance, variance);
}

/* N(0,variance): its tails too. */
static void expect_normal(const char *what, moments got, double variance)
{
    const double deviation = sqrt(variance);
    if (!(got.low < -3.3 * deviation && got.high > 3.3 * deviation && got.low > -6 * deviation &&
          got.high < 6 * deviation))
        report("%s: from %g to %g with a deviation of %g", what, got.low, got.high, deviation);
    if (!(fabs(got.mean) <= 5 * sqrt(variance / MANY)))
        report("%s: mean %g", what, got.mean);
    if (!(fabs(got.variance - variance) <= 5 * sqrt(2. / MANY) * variance))
        report("%s: variance %g, want %g", what, got.variance, variance);
}

static void every_rule_has_its_distribution(void **state)
{
    const struct {
        const char *name;
        nn_init init;
        double limit, variance; /* limit 0: normal */
    } rules[] = {
        {"default", {0}, 1 / sqrt(IN), 0},
        {"torch", {.kind = NN_INIT_TORCH}, 1 / sqrt(IN), 0},
        {"glorot uniform", {.kind = NN_INIT_GLOROT_UNIFORM}, sqrt(6. / (IN + OUT)), 0},
        {"glorot normal", {.kind = NN_INIT_GLOROT_NORMAL}, 0, 2. / (IN + OUT)},
        {"he uniform", {.kind = NN_INIT_HE_UNIFORM}, sqrt(6. / IN), 0},
        {"he normal", {.kind = NN_INIT_HE_NORMAL}, 0, 2. / IN},
        {"lecun normal", {.kind = NN_INIT_LECUN_NORMAL}, 0, 1. / IN},
        {"nielsen", {.kind = NN_INIT_NIELSEN}, 0, 1. / IN},
        {"normal", {.kind = NN_INIT_NORMAL, .value = .3}, 0, .09},
        {"uniform", {.kind = NN_INIT_UNIFORM, .value = .7}, .7, 0},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            nn_model *m = dense(IN, OUT, rules[i].init, (nn_init){0}, dtype);
            moments got = moments_of(m, "0.weight");
            if (rules[i].limit > 0)
                expect_uniform(rules[i].name, got,
                               dtype == AD_F32 ? (double)(float)rules[i].limit : rules[i].limit);
            else
                expect_normal(rules[i].name, got, rules[i].variance);
            nn_model_free(m);
        }
    end_test();
}

static void biases_of_dense_layers_have_their_own_rule(void **state)
{
    const nn_init zero = {.kind = NN_INIT_CONSTANT}, nielsen = {.kind = NN_INIT_NIELSEN};
    (void)state;
    begin_test();
    nn_model *m = dense(16, MANY, zero, (nn_init){0}, AD_F64);
    expect_uniform("default bias", moments_of(m, "0.bias"), .25);
    EQUAL(moments_of(m, "0.weight").high, 0);
    nn_model_free(m);
    m = dense(16, MANY, zero, nielsen, AD_F64);
    expect_normal("Nielsen's bias", moments_of(m, "0.bias"), 1);
    nn_model_free(m);
    end_test();
}

/* For a convolution, fans count the kernel's area and the channels of one group. */
static void fans_of_convolutions_count_the_kernel(void **state)
{
    const nn_shape image = {.rank = 3, .size = {8, 3, 5}};
    const double in = 4 * 3 * 5;
    nn_layer layer = {.kind = NN_CONV2D, .units = 1000, .groups = 2, .kernel = {3, 5}};
    (void)state;
    begin_test();
    nn_model *m = one_layer(layer, image, 7, AD_F64);
    expect_uniform("conv2d weight", moments_of(m, "0.weight"), 1 / sqrt(in));
    moments bias = moments_of(m, "0.bias");
    assert_true(bias.low >= -1 / sqrt(in) && bias.high <= 1 / sqrt(in) && bias.high > .1);
    nn_model_free(m);
    layer.weight_init.kind = NN_INIT_GLOROT_UNIFORM;
    m = one_layer(layer, image, 7, AD_F64);
    expect_uniform("conv2d weight", moments_of(m, "0.weight"), sqrt(6 / (in + 500 * 3 * 5)));
    nn_model_free(m);
    end_test();
}

static void other_layers_begin_as_pytorchs(void **state)
{
    const nn_shape indices = {.rank = 1, .size = {2}, .indices = true},
                   features = {.rank = 1, .size = {3}};
    const nn_layer norms[2] = {nn_layer_norm(), nn_batch_norm()};
    (void)state;
    begin_test();
    nn_model *m = one_layer(nn_embedding(IN, OUT), indices, 7, AD_F64);
    expect_normal("embedding", moments_of(m, "0.weight"), 1);
    nn_model_free(m);
    for (int i = 0; i < 2; i++) {
        m = one_layer(norms[i], features, 7, AD_F64);
        EQUAL(moments_of(m, "0.weight").low, 1);
        EQUAL(moments_of(m, "0.weight").high, 1);
        EQUAL(moments_of(m, "0.bias").low, 0);
        EQUAL(moments_of(m, "0.bias").high, 0);
        nn_model_free(m);
    }
    end_test();
}

static void values_are_taken_as_they_are_and_read_once(void **state)
{
    double w[6] = {1, 2, 3, 4, 5, 6}, b[3] = {-1, .5, 7};
    const double x[2] = {1, 10}, want[3] = {41 - 1, 52.5, 63 + 7};
    double y[3];
    (void)state;
    nn_model *m = dense(2, 3, (nn_init){.kind = NN_INIT_VALUES, .values = w},
                        (nn_init){.kind = NN_INIT_VALUES, .values = b}, AD_F64);
    memset(w, 0, sizeof w);
    memset(b, 0, sizeof b);
    ad_tape *t = ad_tape_new(NULL);
    ad_var in = ad_input_array(t, AD_F64, 2, ((const int64_t[]){1, 2}), x);
    STATUS(ad_read(nn_record(m, t, true, &in), y), AD_OK, t);
    for (int i = 0; i < 3; i++)
        EQUAL(y[i], want[i]);
    assert_null(nn_layer_at(m, 0)->weight_init.values);
    ad_tape_free(t);
    nn_model_free(m);
}

/* ---- what values depend on --------------------------------------------------------------- */

static ad_var in_order(nn_pass *pass, const ad_var *x, void *user)
{
    const char *const *names = user;
    const int64_t shape[1] = {4};
    ad_var y = x[0];
    for (int i = 0; i < 2; i++)
        y = ad_add(y, nn_parameter(pass, names[i], 1, shape, (nn_init){0}));
    return y;
}

static nn_model *named(const char *first, const char *second, uint64_t seed)
{
    const nn_model_config config = {.seed = seed, .inputs = {{.rank = 1, .size = {4}}}};
    const char *names[2] = {first, second};
    nn_model *m = nn_model_new(&config, in_order, (void *)names);
    assert_string_equal(nn_model_error(m), "");
    return m;
}

static bool same(const nn_model *a, const char *name, const nn_model *b, const char *other)
{
    int64_t n, k;
    double *x = elements(a, name, &n), *y = elements(b, other, &k);
    bool equal = n == k && !memcmp(x, y, (size_t)n * sizeof *x);
    test_free(x);
    test_free(y);
    return equal;
}

static void values_depend_on_seed_and_name_only(void **state)
{
    nn_model *m = named("a", "b", 1), *again = named("a", "b", 1), *turned = named("b", "a", 1),
             *seeded = named("a", "b", 2);
    (void)state;
    assert_true(same(m, "a", again, "a") && same(m, "b", again, "b"));
    assert_true(same(m, "a", turned, "a") && same(m, "b", turned, "b"));
    assert_false(same(m, "a", seeded, "a") || same(m, "b", seeded, "b"));
    assert_false(same(m, "a", m, "b"));
    nn_model_free(m);
    nn_model_free(again);
    nn_model_free(turned);
    nn_model_free(seeded);
}

/* Results and resumed runs depend on it: it must not change. */
static void names_are_hashed_the_same_everywhere(void **state)
{
    static const struct {
        const char *text;
        uint64_t more, want;
    } hashes[] = {
        {"", 0, 0xf52a15e9a9b5e89bu},
        {"a", 0, 0x02c0bdbf481420f8u},
        {"encoder.weight", 0, 0x60b15900f7c34a24u},
        {"key:0.dropout", 1, 0xbdfa79ec19b52d83u},
    };
    (void)state;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (nn_hash(hashes[i].text, hashes[i].more) != hashes[i].want)
            fail_msg("%s: got %016" PRIx64, hashes[i].text,
                     nn_hash(hashes[i].text, hashes[i].more));
}

static void draws_are_those_of_the_names_hash(void **state)
{
    nn_model *m = named("a", "b", 1);
    ad_tensor *u = ad_tensor_new(NULL, AD_F64, 1, (const int64_t[]){4});
    int64_t n;
    double want[4], *x = elements(m, "a", &n);
    (void)state;
    assert_int_equal(ad_draw_uniform(u, 1, nn_hash("a", 0), 0), AD_OK);
    ad_tensor_read(u, want);
    for (int i = 0; i < 4; i++)
        EQUAL(x[i], 2 * want[i] - 1);
    test_free(x);
    ad_tensor_free(u);
    nn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_has_its_distribution),
        cmocka_unit_test(biases_of_dense_layers_have_their_own_rule),
        cmocka_unit_test(fans_of_convolutions_count_the_kernel),
        cmocka_unit_test(other_layers_begin_as_pytorchs),
        cmocka_unit_test(values_are_taken_as_they_are_and_read_once),
        cmocka_unit_test(values_depend_on_seed_and_name_only),
        cmocka_unit_test(names_are_hashed_the_same_everywhere),
        cmocka_unit_test(draws_are_those_of_the_names_hash),
    };
    return cmocka_run_group_tests_name("initialise", tests, NULL, NULL);
}
