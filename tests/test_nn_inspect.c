/* test_nn_inspect.c - gradients of every kind of layer checked, wrong ones found, magnitudes
 * measured */
#include "compare.h"
#include "expect.h"
#include "nn.h"

enum { ROWS = 3 };

static const nn_shape features = {.rank = 1, .size = {5}}, sequence = {.rank = 2, .size = {3, 4}},
                      indices = {.rank = 1, .size = {4}, .indices = true},
                      image = {.rank = 3, .size = {2, 6, 5}};

/* Values between -1 and 1, or indices below 3. */
static ad_tensor *filled(ad_dtype dtype, int rank, const int64_t *shape, uint64_t seed)
{
    ad_tensor *t = ad_tensor_new(NULL, dtype, rank, shape);
    int64_t n = ad_tensor_size(t);
    double *x = test_calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = dtype == AD_I32 ? random_below(&seed, 3) : random_between(&seed, -1, 1);
    ad_tensor_write(t, x);
    test_free(x);
    return t;
}

/* Data of one input with targets in the shape of the model's output. */
static nn_data *data_for(const nn_model *m, int64_t rows)
{
    const nn_shape *in = &nn_model_config_of(m)->inputs[0];
    int64_t shape[AD_MAX_RANK] = {rows};
    nn_error error = {0};
    for (int i = 0; i < in->rank; i++)
        shape[i + 1] = in->size[i];
    ad_tensor *x = filled(in->indices ? AD_I32 : AD_F64, in->rank + 1, shape, 3);
    ad_tensor *y = nn_predict_tensors(m, &x, &error);
    if (!y)
        fail_msg("%s", error.text);
    ad_tensor *target = filled(AD_F64, ad_tensor_rank(y), ad_tensor_shape(y), 4);
    nn_data *data = nn_data_new(1, &x, target, NULL, &error);
    if (!data)
        fail_msg("%s", error.text);
    ad_tensor_free(x);
    ad_tensor_free(y);
    ad_tensor_free(target);
    return data;
}

static nn_model *list_of(int n, const nn_layer *layers, nn_shape input, ad_dtype dtype)
{
    nn_model *m =
        nn_sequential(&(nn_model_config){.seed = 5, .dtype = dtype, .inputs = {input}}, n, layers);
    if (nn_model_status(m))
        fail_msg("%s", nn_model_error(m));
    return m;
}

/* ---- gradient check ---------------------------------------------------------------------- */

/* All parameters and states, one after the other, to be freed. */
static double *all_values(const nn_model *m, int64_t *size)
{
    *size = 0;
    for (int i = 0; i < nn_param_count(m); i++)
        *size += ad_tensor_size(ad_param_value(nn_param_at(m, i)));
    double *x = test_calloc((size_t)*size + 1, sizeof *x), *at = x;
    for (int i = 0; i < nn_param_count(m); i++) {
        ad_tensor *value = ad_param_value(nn_param_at(m, i));
        ad_tensor_read(value, at);
        at += ad_tensor_size(value);
    }
    return x;
}

static void expect_passed(const char *what, nn_model *m)
{
    int64_t n;
    nn_error error = {0};
    ad_check_report check;
    nn_data *data = data_for(m, ROWS);
    double *before = all_values(m, &n);
    ad_status status = nn_gradcheck(m, data, NN_MSE, NULL, &check, &error);
    double *after = all_values(m, &n);
    if (status || error.status || !check.passed)
        report("%s: %s", what, error.text);
    else if (check.elements != nn_trainable_size(m))
        report("%s: %" PRId64 " elements checked, want %" PRId64, what, check.elements,
               nn_trainable_size(m));
    expect_same_bits(what, n, after, before);
    test_free(before);
    test_free(after);
    nn_data_free(data);
    nn_model_free(m);
}

static ad_var gated(nn_pass *pass, ad_var x, void *user)
{
    const int64_t shape[2] = {1, ad_shape(x)[1]};
    (void)user;
    ad_var w = nn_parameter(pass, "gate", 2, shape, (nn_init){0});
    ad_var noise = ad_random_normal(nn_tape(pass), nn_key(pass, "noise"), nn_dtype(pass), 2, shape);
    return ad_mul(ad_tanh(ad_add(x, w)), ad_add(noise, w));
}

static void check_in_a_list(ad_dtype dtype)
{
    const nn_layer dense = nn_dense(4, NN_TANH), conv = nn_conv2d(2, 3, 1, NN_TANH),
                   out = nn_dense(2, NULL), flatten = nn_flatten();
    nn_layer padded = nn_max_pool2d(3), groups = nn_conv2d(4, 2, 0, NN_GELU);
    padded.padding[0] = padded.padding[1] = padded.stride[0] = 1;
    groups.groups = 2;
    groups.stride[0] = 2;
    groups.dilation[1] = 2;
    const struct {
        const char *name;
        nn_shape input;
        int n;
        nn_layer layers[4];
    } lists[] = {
        {"dense", features, 2, {dense, out}},
        {"dense of sequences", sequence, 1, {nn_dense(3, NN_SILU)}},
        {"softmax", features, 2, {dense, nn_activation(NN_SOFTMAX)}},
        {"log_softmax", features, 2, {dense, nn_activation(NN_LOG_SOFTMAX)}},
        {"leaky_relu", features, 2, {nn_dense(4, NN_LEAKY_RELU), out}},
        {"elu", features, 2, {nn_dense(4, NN_ELU), out}},
        {"dropout", features, 3, {dense, nn_dropout(.4), out}},
        {"layer_norm", sequence, 3, {dense, nn_layer_norm(), out}},
        {"batch_norm", features, 3, {dense, nn_batch_norm(), out}},
        {"batch_norm of images", image, 4, {conv, nn_batch_norm(), flatten, out}},
        {"embedding", indices, 3, {nn_embedding(3, 2), flatten, out}},
        {"conv2d", image, 3, {groups, flatten, out}},
        {"max_pool2d", image, 4, {conv, padded, flatten, out}},
        {"average_pool2d", image, 4, {conv, nn_average_pool2d(2), flatten, out}},
        {"custom", features, 2, {nn_custom("gated", gated, NULL), out}},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        expect_passed(lists[i].name, list_of(lists[i].n, lists[i].layers, lists[i].input, dtype));
}

static void gradients_of_every_kind_of_layer_pass(void **state)
{
    (void)state;
    begin_test();
    check_in_a_list(AD_F64);
    end_test();
}

static void gradients_in_float_pass(void **state)
{
    (void)state;
    begin_test();
    check_in_a_list(AD_F32);
    end_test();
}

static void frozen_parameters_are_not_checked(void **state)
{
    const nn_layer layers[2] = {nn_dense(4, NN_TANH), nn_dense(2, NULL)};
    nn_model *m = list_of(2, layers, features, AD_F64);
    nn_error error = {0};
    (void)state;
    begin_test();
    nn_data *data = data_for(m, ROWS);
    nn_freeze(m, NULL, true);
    assert_int_equal(nn_gradcheck(m, data, NN_MSE, NULL, NULL, &error), AD_BAD_ARGUMENT);
    CONTAINS(error.text, "no parameters to train");
    nn_data_free(data);
    nn_freeze(m, "1", false);
    expect_passed("one layer frozen", m);
    end_test();
}

/* A square whose adjoint lacks the factor 2. */
static bool square_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        y->data[i] = a[0].data[i] * a[0].data[i];
    return true;
}

static bool square_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                           const ad_array *dy, ad_array *da)
{
    (void)n, (void)y;
    for (int64_t i = 0; i < dy->size && da[0].data; i++)
        da[0].data[i] += *(const double *)user * a[0].data[i] * dy->data[i];
    return true;
}

static bool square_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                           const ad_array *da, ad_array *dy)
{
    (void)user, (void)n, (void)y;
    for (int64_t i = 0; i < dy->size; i++)
        dy->data[i] = 2 * a[0].data[i] * da[0].data[i];
    return true;
}

static ad_var crooked(nn_pass *pass, ad_var x, void *user)
{
    static const ad_operation operation = {.name = "crooked_square",
                                           .value = square_value,
                                           .adjoint = square_adjoint,
                                           .tangent = square_tangent};
    return ad_call(nn_tape(pass), &operation, user, 1, &x, ad_rank(x), ad_shape(x));
}

static void a_wrong_layer_is_named_and_the_model_left_alone(void **state)
{
    double factor = 1;
    const nn_layer layers[3] = {nn_dense(4, NN_TANH), nn_custom("mine", crooked, &factor),
                                nn_dense(2, NULL)};
    nn_model *m = list_of(3, layers, features, AD_F64);
    nn_data *data = data_for(m, ROWS);
    nn_error error = {0};
    ad_check_report check;
    int64_t n;
    double *before = all_values(m, &n);
    (void)state;
    begin_test();
    assert_int_equal(nn_gradcheck(m, data, NN_MSE, NULL, &check, &error), AD_MISMATCH);
    double *after = all_values(m, &n);
    expect_same_bits("parameters", n, after, before);
    assert_int_equal(error.status, AD_MISMATCH);
    assert_false(check.passed);
    assert_string_equal(check.operation, "crooked_square");
    CONTAINS(check.scope, "mine");
    CONTAINS(error.text, "crooked_square");
    test_free(before);
    test_free(after);
    nn_data_free(data);
    factor = 2;
    expect_passed("the same, right", m);
    end_test();
}

/* ---- magnitudes -------------------------------------------------------------------------- */

enum { DEEP = 8, LAYERS = 2 * DEEP + 1 };

static nn_model *deep(const char *activation)
{
    nn_mlp_config config = {.in = 10, .out = 1, .activation = activation, .seed = 3};
    for (int i = 0; i < DEEP; i++)
        config.hidden[i] = 30;
    nn_model *m = nn_mlp(&config);
    assert_string_equal(nn_model_error(m), "");
    return m;
}

static void deep_sigmoids_show_vanishing_gradients(void **state)
{
    nn_model *m = deep(NN_SIGMOID);
    nn_data *data = data_for(m, 20);
    nn_error error = {0};
    nn_magnitude out[LAYERS];
    int count = 0;
    (void)state;
    assert_int_equal(nn_magnitudes(m, data, NN_MSE, NULL, LAYERS, out, &count, &error), AD_OK);
    assert_int_equal(count, LAYERS);
    for (int i = 0; i < LAYERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_string_equal(out[i].layer, name);
        assert_true(out[i].activation > 0 && out[i].adjoint > 0 && out[i].zeros == 0);
        assert_true(i % 2 ? out[i].weight == 0 && out[i].gradient == 0
                          : out[i].weight > 0 && out[i].gradient > 0);
    }
    for (int i = 2; i < LAYERS; i += 2)
        if (!(out[i - 2].adjoint < .5 * out[i].adjoint))
            fail_msg("layer %d: adjoint %g, layer %d: %g", i - 2, out[i - 2].adjoint, i,
                     out[i].adjoint);
    assert_true(out[0].gradient < 1e-4 * out[LAYERS - 1].gradient);
    nn_data_free(data);
    nn_model_free(m);
}

static double root_mean_square(int64_t n, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum / (double)n);
}

/* One dense layer, by hand: y = x W + b, the loss mean (y - t)^2. */
static void magnitudes_are_root_mean_squares(void **state)
{
    enum { IN = 5, OUT = 2, N = ROWS * OUT };
    const nn_layer layer = nn_dense(OUT, NN_RELU);
    nn_model *m = list_of(1, &layer, features, AD_F64);
    nn_data *data = data_for(m, ROWS);
    double x[ROWS * IN], t[N], p[IN * OUT + OUT], y[N], g[IN * OUT + OUT] = {0}, a[N], zeros = 0;
    nn_magnitude out;
    nn_error error = {0};
    (void)state;
    ad_tensor_read(nn_data_input(data, 0), x);
    ad_tensor_read(nn_data_target(data), t);
    ad_tensor_read(ad_param_value(nn_param_at(m, 0)), p);
    ad_tensor_read(ad_param_value(nn_param_at(m, 1)), p + IN * OUT);
    for (int i = 0; i < N; i++) {
        const int k = i % OUT;
        y[i] = p[IN * OUT + k];
        for (int j = 0; j < IN; j++)
            y[i] += x[i / OUT * IN + j] * p[j * OUT + k];
        y[i] = y[i] > 0 ? y[i] : 0;
        zeros += y[i] == 0;
        a[i] = 2 * (y[i] - t[i]) / N;
        for (int j = 0; y[i] > 0 && j < IN; j++)
            g[j * OUT + k] += a[i] * x[i / OUT * IN + j];
        g[IN * OUT + k] += y[i] > 0 ? a[i] : 0;
    }
    assert_int_equal(nn_magnitudes(m, data, NN_MSE, NULL, 1, &out, NULL, &error), AD_OK);
    assert_true(fabs(out.activation - root_mean_square(N, y)) < 1e-14);
    assert_true(fabs(out.adjoint - root_mean_square(N, a)) < 1e-14);
    assert_true(fabs(out.weight - root_mean_square(IN * OUT + OUT, p)) < 1e-14);
    assert_true(fabs(out.gradient - root_mean_square(IN * OUT + OUT, g)) < 1e-14);
    EQUAL(out.zeros, zeros / N);
    nn_data_free(data);
    nn_model_free(m);
}

static void less_room_than_layers_is_enough(void **state)
{
    nn_model *m = deep(NN_RELU);
    nn_data *data = data_for(m, 4);
    nn_error error = {0};
    nn_magnitude all[LAYERS], some[3];
    int count = 0;
    (void)state;
    assert_int_equal(nn_magnitudes(m, data, NN_MSE, NULL, LAYERS, all, NULL, &error), AD_OK);
    memset(some, 0, sizeof some);
    assert_int_equal(nn_magnitudes(m, data, NN_MSE, NULL, 2, some, &count, &error), AD_OK);
    assert_int_equal(count, LAYERS);
    for (int i = 0; i < 2; i++) {
        EQUAL(some[i].adjoint, all[i].adjoint);
        EQUAL(some[i].gradient, all[i].gradient);
    }
    assert_string_equal(some[2].layer, "");
    assert_true(all[1].zeros > .2 && all[1].zeros < .8);
    for (int n = -1; n < 1; n++) {
        assert_int_equal(nn_magnitudes(m, data, NN_MSE, NULL, n, NULL, &count, &error), AD_OK);
        assert_int_equal(count, LAYERS);
    }
    nn_data_free(data);
    nn_model_free(m);
}

static void magnitudes_are_printed_as_a_table(void **state)
{
    const nn_magnitude rows[2] = {
        {.layer = "0", .activation = .5, .adjoint = 1e-6, .weight = .25, .gradient = 2},
        {.layer = "1", .activation = 1.5, .adjoint = .125, .zeros = .5}};
    char text[512] = "";
    FILE *file = tmpfile();
    (void)state;
    assert_non_null(file);
    assert_int_equal(nn_magnitudes_print(2, rows, file), AD_OK);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_string_equal(
        text, "layer                 activation     adjoint   zeros     weights    gradient\n"
              "0                            0.5       1e-06    0.0%        0.25           2\n"
              "1                            1.5       0.125   50.0%\n");
    assert_int_equal(nn_magnitudes_print(1, NULL, stderr), AD_NULL);
    assert_int_equal(nn_magnitudes_print(1, rows, NULL), AD_NULL);
}

/* ---- what does not go -------------------------------------------------------------------- */

static void refused_at(const nn_model *m, const nn_data *data, nn_loss loss, ad_status want,
                       const char *text, int line)
{
    nn_error error = {0};
    ad_check_report check;
    nn_magnitude out;
    status_at(nn_gradcheck(m, data, loss, NULL, &check, &error), want, error.text, "gradcheck",
              line);
    status_at(check.status, want, error.text, "its report", line);
    contains_at(error.text, text, line);
    assert_int_equal(nn_magnitudes(m, data, loss, NULL, 1, &out, NULL, &error), want);
    error = (nn_error){0};
    status_at(nn_magnitudes(m, data, loss, NULL, 1, &out, NULL, &error), want, error.text,
              "magnitudes", line);
    contains_at(error.text, text, line);
}
#define REFUSED(m, data, loss, status, text) refused_at(m, data, loss, status, text, __LINE__)

static void wrong_data_are_refused(void **state)
{
    const nn_layer layer = nn_dense(2, NULL);
    nn_model *m = list_of(1, &layer, features, AD_F64),
             *other = list_of(1, &layer, sequence, AD_F64);
    nn_data *data = data_for(m, ROWS);
    ad_tensor *x = nn_data_input(data, 0);
    nn_data *untaught = nn_data_new(1, &x, NULL, NULL, NULL);
    (void)state;
    REFUSED(m, NULL, NN_MSE, AD_NULL, "no data");
    REFUSED(NULL, data, NN_MSE, AD_NULL, "no model");
    REFUSED(m, untaught, NN_MSE, AD_NULL, "no target");
    REFUSED(other, data, NN_MSE, AD_BAD_SHAPE, "input 0");
    REFUSED(m, data, (nn_loss)99, AD_BAD_ARGUMENT, "loss");
    REFUSED(m, data, (nn_loss)0, AD_BAD_ARGUMENT, "loss");
    nn_data_free(untaught);
    nn_data_free(data);
    nn_model_free(m);
    nn_model_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_every_kind_of_layer_pass),
        cmocka_unit_test(gradients_in_float_pass),
        cmocka_unit_test(frozen_parameters_are_not_checked),
        cmocka_unit_test(a_wrong_layer_is_named_and_the_model_left_alone),
        cmocka_unit_test(deep_sigmoids_show_vanishing_gradients),
        cmocka_unit_test(magnitudes_are_root_mean_squares),
        cmocka_unit_test(less_room_than_layers_is_enough),
        cmocka_unit_test(magnitudes_are_printed_as_a_table),
        cmocka_unit_test(wrong_data_are_refused),
    };
    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
