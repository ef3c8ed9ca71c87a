/* test_nn_model.c - models: parameters, scopes, the summary, what is wrong with one, and memory
 * that runs out
 *
 * What models compute is tested in test_nn_layers.c, how they are inspected in test_nn_inspect.c.
 */
#include "allocator.h"
#include "compare.h"
#include "expect.h"
#include "nn.h"

static nn_model *good(nn_model *m)
{
    if (nn_model_status(m))
        fail_msg("%s", nn_model_error(m));
    return m;
}

/* ---- parameters -------------------------------------------------------------------------- */

static ad_var coder(nn_pass *pass, const ad_var *x, void *user)
{
    (void)user;
    nn_scope_push(pass, "encoder");
    ad_var h = nn_apply(pass, "first", nn_dense(4, NN_TANH), x[0]);
    h = nn_apply(pass, "norm", nn_batch_norm(), h);
    nn_scope_pop(pass);
    nn_scope_push(pass, "encode"); /* a name that begins as the other does */
    h = nn_apply(pass, NULL, nn_dense(2, NULL), h);
    nn_scope_pop(pass);
    return nn_apply(pass, NULL, nn_dense(3, NULL), h);
}

static nn_model *coder_model(ad_dtype dtype)
{
    return good(nn_model_new(
        &(nn_model_config){.dtype = dtype, .inputs = {{.rank = 1, .size = {3}}}}, coder, NULL));
}

static void parameters_are_found_by_name_and_in_order(void **state)
{
    static const char *const names[] = {"encoder.first.weight",
                                        "encoder.first.bias",
                                        "encoder.norm.running_mean",
                                        "encoder.norm.running_var",
                                        "encoder.norm.weight",
                                        "encoder.norm.bias",
                                        "encode.0.weight",
                                        "encode.0.bias",
                                        "0.weight",
                                        "0.bias"};
    const int n = (int)(sizeof names / sizeof *names);
    nn_model *m = coder_model(AD_F64);
    (void)state;
    assert_int_equal(nn_param_count(m), n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(ad_param_name(nn_param_at(m, i)), names[i]);
        assert_ptr_equal(nn_param_find(m, names[i]), nn_param_at(m, i));
    }
    assert_null(nn_param_at(m, n));
    assert_null(nn_param_at(m, -1));
    assert_null(nn_param_find(m, "encoder"));
    assert_null(nn_param_find(m, "encoder.first.weights"));
    assert_null(nn_param_find(m, NULL));
    assert_int_equal(nn_size(m), 3 * 4 + 4 + 4 + 4 + 4 * 2 + 2 + 2 * 3 + 3);
    assert_int_equal(nn_trainable_size(m), nn_size(m));
    nn_model_free(m);
}

static void dtypes_are_the_models(void **state)
{
    (void)state;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_model *m = coder_model(dtype);
        for (int i = 0; i < nn_param_count(m); i++)
            assert_int_equal(ad_tensor_dtype(ad_param_value(nn_param_at(m, i))), dtype);
        assert_int_equal(nn_model_config_of(m)->dtype, dtype);
        nn_model_free(m);
    }
}

static void freezing_goes_by_name_and_by_scope(void **state)
{
    nn_model *m = coder_model(AD_F64);
    const int64_t all = nn_size(m), encoder = 12 + 4 + 8;
    (void)state;
    assert_int_equal(nn_freeze(m, "encoder", true), 4);
    assert_int_equal(nn_trainable_size(m), all - encoder);
    assert_int_equal(nn_size(m), all);
    assert_false(ad_param_trainable(nn_param_find(m, "encoder.first.weight")));
    assert_true(ad_param_trainable(nn_param_find(m, "encode.0.weight")));
    assert_int_equal(nn_freeze(m, "encoder.first.weight", false), 1);
    assert_int_equal(nn_trainable_size(m), all - encoder + 12);
    assert_int_equal(nn_freeze(m, "encoder.fir", true), 0);
    assert_int_equal(nn_freeze(m, "nothing", true), 0);
    assert_int_equal(nn_freeze(m, NULL, false), 8); /* states stay as they are */
    assert_int_equal(nn_trainable_size(m), all);
    assert_false(ad_param_trainable(nn_param_find(m, "encoder.norm.running_mean")));
    assert_int_equal(nn_freeze(NULL, NULL, true), 0);
    nn_model_free(m);
}

static void layers_of_a_list_can_be_looked_at(void **state)
{
    char activation[] = "relu";
    nn_layer layers[2] = {nn_dense(3, activation), nn_dropout(.5)};
    nn_model *m =
        good(nn_sequential(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}}, 2, layers));
    nn_model *function = coder_model(AD_F64);
    (void)state;
    activation[0] = 'x'; /* strings are copied */
    assert_int_equal(nn_layer_count(m), 2);
    assert_int_equal(nn_layer_at(m, 0)->units, 3);
    assert_string_equal(nn_layer_at(m, 0)->activation, "relu");
    EQUAL(nn_layer_at(m, 1)->rate, .5);
    assert_null(nn_layer_at(m, 2));
    assert_null(nn_layer_at(m, -1));
    assert_int_equal(nn_layer_count(function), 0);
    assert_null(nn_layer_at(function, 0));
    nn_model_free(m);
    nn_model_free(function);
}

static void a_perceptron_has_the_layers_that_its_config_says(void **state)
{
    static const nn_layer_kind kinds[] = {NN_DENSE,      NN_BATCH_NORM, NN_ACTIVATION,
                                          NN_DROPOUT,    NN_DENSE,      NN_BATCH_NORM,
                                          NN_ACTIVATION, NN_DROPOUT,    NN_DENSE};
    nn_model *m = good(nn_mlp(&(nn_mlp_config){.in = 3,
                                               .hidden = {5, 4},
                                               .out = 2,
                                               .activation = NN_TANH,
                                               .output = NN_SOFTMAX,
                                               .batch_norm = true,
                                               .dropout = .25,
                                               .dtype = AD_F32,
                                               .seed = 9}));
    (void)state;
    assert_int_equal(nn_layer_count(m), sizeof kinds / sizeof *kinds);
    for (int i = 0; i < nn_layer_count(m); i++)
        assert_int_equal(nn_layer_at(m, i)->kind, kinds[i]);
    assert_string_equal(nn_layer_at(m, 2)->activation, "tanh");
    assert_string_equal(nn_layer_at(m, 8)->activation, "softmax");
    assert_int_equal(nn_model_config_of(m)->seed, 9);
    assert_int_equal(nn_model_config_of(m)->dtype, AD_F32);
    assert_int_equal(nn_size(m), 3 * 5 + 5 + 10 + 5 * 4 + 4 + 8 + 4 * 2 + 2);
    nn_model_free(m);
    m = good(nn_mlp(&(nn_mlp_config){.in = 3, .hidden = {5}, .out = 2}));
    assert_string_equal(nn_layer_at(m, 1)->activation, "relu");
    assert_null(nn_layer_at(m, 2)->activation);
    nn_model_free(m);
}

/* ---- the summary ------------------------------------------------------------------------- */

static void expect_summary(const nn_model *m, const char *want)
{
    char text[4096] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(nn_summary(m, file), AD_OK);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_string_equal(text, want);
}

static void the_summary_of_a_perceptron_counts_55050(void **state)
{
    nn_model *m = good(nn_mlp(&(nn_mlp_config){.in = 784, .hidden = {64, 64}, .out = 10}));
    (void)state;
    assert_int_equal(nn_size(m), 55050);
    expect_summary(m, "layer  kind   output shape    parameters\n"
                      "----------------------------------------\n"
                      "0      dense  (64)                50,240\n"
                      "1      relu   (64)                     0\n"
                      "2      dense  (64)                 4,160\n"
                      "3      relu   (64)                     0\n"
                      "4      dense  (10)                   650\n"
                      "----------------------------------------\n"
                      "parameters                        55,050\n");
    nn_model_free(m);
}

static void the_summary_of_images_tells_activations_and_what_is_trained(void **state)
{
    const nn_layer layers[] = {nn_conv2d(8, 3, 1, NN_RELU), nn_max_pool2d(2), nn_flatten(),
                               nn_dropout(.25), nn_dense(10, NN_SOFTMAX)};
    nn_model *m = good(
        nn_sequential(&(nn_model_config){.inputs = {{.rank = 3, .size = {1, 28, 28}}}}, 5, layers));
    (void)state;
    assert_int_equal(nn_freeze(m, "0", true), 2);
    expect_summary(m, "layer  kind             output shape    parameters\n"
                      "--------------------------------------------------\n"
                      "0      conv2d + relu    (8,28,28)               80\n"
                      "1      max_pool2d       (8,14,14)                0\n"
                      "2      flatten          (1568)                   0\n"
                      "3      dropout 25%      (1568)                   0\n"
                      "4      dense + softmax  (10)                15,690\n"
                      "--------------------------------------------------\n"
                      "parameters                                  15,770\n"
                      "of them trained                             15,690\n");
    nn_model_free(m);
}

static ad_var doubled(nn_pass *pass, ad_var x, void *user)
{
    (void)user;
    ad_var shift = nn_parameter(pass, "shift", 0, NULL, (nn_init){0});
    x = nn_apply(pass, "inner", nn_dense(2, NULL), x);
    return ad_add(nn_apply(pass, "inner", nn_dense(2, NULL), x), shift);
}

static void the_summary_counts_each_parameter_once(void **state)
{
    const nn_layer layer = nn_custom("twice", doubled, NULL);
    nn_model *m =
        good(nn_sequential(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}}, 1, &layer));
    (void)state;
    expect_summary(m, "layer        kind    output shape    parameters\n"
                      "-----------------------------------------------\n"
                      "twice.inner  dense   (2)                      6\n"
                      "twice.inner  dense   (2)                      0\n"
                      "twice        custom  (2)                      1\n"
                      "-----------------------------------------------\n"
                      "parameters                                    7\n");
    nn_model_free(m);
}

/* ---- scopes, states, keys ---------------------------------------------------------------- */

typedef struct asked { /* what a function found in its pass */
    uint64_t first, second, other, scoped;
    bool training;
    ad_dtype dtype;
    bool has_tape;
} asked;

static ad_var asking(nn_pass *pass, const ad_var *x, void *user)
{
    asked *a = user;
    a->first = nn_key(pass, "noise");
    a->second = nn_key(pass, "noise");
    a->other = nn_key(pass, "other");
    nn_scope_push(pass, "deep");
    a->scoped = nn_key(pass, "noise");
    nn_scope_pop(pass);
    a->training = nn_is_training(pass);
    a->dtype = nn_dtype(pass);
    a->has_tape = nn_tape(pass) == x[0].tape;
    return x[0];
}

static ad_var record(const nn_model *m, ad_tape *t, bool training, ad_dtype dtype, int64_t columns)
{
    ad_tensor *x = ad_tensor_new(NULL, dtype, 2, (const int64_t[]){2, columns});
    ad_var in = ad_input_tensor(t, x);
    ad_tensor_free(x);
    return nn_record(m, t, training, &in);
}

static void keys_tell_scopes_names_and_calls_apart(void **state)
{
    asked a = {0}, b = {0};
    const nn_model_config config = {.dtype = AD_F32, .inputs = {{.rank = 1, .size = {2}}}};
    nn_model *m = good(nn_model_new(&config, asking, &a));
    ad_tape *t = ad_tape_new(NULL);
    (void)state;
    assert_true(a.training && a.dtype == AD_F32 && a.has_tape);
    assert_true(a.first != a.second && a.first != a.other && a.first != a.scoped &&
                a.second != a.other && a.second != a.scoped && a.other != a.scoped);
    b = a;
    record(m, t, false, AD_F32, 2);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_true(!a.training && a.has_tape);
    assert_true(a.first == b.first && a.second == b.second && a.scoped == b.scoped);
    ad_tape_free(t);
    nn_model_free(m);
}

static ad_var counting(nn_pass *pass, const ad_var *x, void *user)
{
    const int64_t shape[1] = {2};
    (void)user;
    nn_scope_push(pass, "a");
    nn_scope_push(pass, "b");
    ad_var seen = nn_state(pass, "seen", 1, shape, 10);
    nn_scope_pop(pass);
    nn_scope_pop(pass);
    ad_var w = nn_parameter(pass, "w", 1, shape, (nn_init){.kind = NN_INIT_CONSTANT, .value = 3});
    if (nn_is_training(pass))
        ad_assign(seen, ad_add(seen, 1));
    return ad_add(ad_mul(x[0], w), seen);
}

static void states_change_when_a_training_step_has_run(void **state)
{
    nn_model *m = good(
        nn_model_new(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}}, counting, NULL));
    ad_tape *t = ad_tape_new(NULL);
    ad_tensor *seen = ad_param_value(nn_param_find(m, "a.b.seen"));
    (void)state;
    assert_int_equal(nn_param_count(m), 2);
    assert_int_equal(nn_size(m), 2);
    EQUAL(ad_tensor_get(seen, (const int64_t[]){0}), 10); /* making the model was no step */
    for (int step = 1; step <= 3; step++) {
        record(m, t, true, AD_F64, 2);
        STATUS(ad_commit(t), AD_OK, t);
        ad_reset(t);
        EQUAL(ad_tensor_get(seen, (const int64_t[]){1}), 10 + step);
    }
    record(m, t, false, AD_F64, 2);
    STATUS(ad_commit(t), AD_OK, t);
    EQUAL(ad_tensor_get(seen, (const int64_t[]){0}), 13);
    ad_tape_free(t);
    nn_model_free(m);
}

/* ---- what is wrong with a list of layers ------------------------------------------------- */

/* Makes a model of the layers, which must fail with that status and text. */
static void refused_at(int n, const nn_layer *layers, nn_shape input, ad_status want,
                       const char *text, int line)
{
    const nn_model_config config = {.inputs = {input}};
    nn_model *m = nn_sequential(&config, n, layers);
    status_at(nn_model_status(m), want, nn_model_error(m), text, line);
    contains_at(nn_model_error(m), text, line);
    nn_model_free(m);
}
#define REFUSED(layer, input, status, text)                                                        \
    refused_at(1, ((const nn_layer[]){layer}), input, status, text, __LINE__)

static const nn_shape number = {.rank = 0}, features = {.rank = 1, .size = {4}},
                      indices = {.rank = 1, .size = {4}, .indices = true},
                      image = {.rank = 3, .size = {4, 5, 5}};

static void wrong_activations_are_named_and_a_word_is_suggested(void **state)
{
    nn_layer l = nn_dense(2, "rellu");
    (void)state;
    REFUSED(l, features, AD_BAD_ARGUMENT,
            "layer '0': unknown activation 'rellu'; did you mean 'relu'?");
    l = nn_dense(2, "log-softmax");
    REFUSED(l, features, AD_BAD_ARGUMENT, "did you mean 'log_softmax'?");
    l = nn_activation("leakyrelu");
    REFUSED(l, features, AD_BAD_ARGUMENT, "did you mean 'leaky_relu'?");
    l = nn_activation("%s%s%n%n%999d");
    REFUSED(l, features, AD_BAD_ARGUMENT, "unknown activation '%s%s%n%n%999d'; docs/ops.md lists");
    l = nn_activation("add"); /* two arguments */
    REFUSED(l, features, AD_BAD_ARGUMENT, "unknown activation 'add'");
    l = nn_activation("");
    REFUSED(l, features, AD_BAD_ARGUMENT, "unknown activation ''");
    l = nn_activation(NULL);
    REFUSED(l, features, AD_NULL, "activation: without a name");
}

static void wrong_shapes_and_dtypes_are_refused(void **state)
{
    const struct {
        nn_layer layer;
        nn_shape input;
        ad_status status;
        const char *text;
    } cases[] = {
        {nn_dense(2, NULL), number, AD_BAD_SHAPE,
         "dense: input (2), but it takes (N,...,features)"},
        {nn_dense(2, NULL), indices, AD_BAD_DTYPE, "int32"},
        {nn_layer_norm(), number, AD_BAD_SHAPE, "layer_norm: input (2)"},
        {nn_batch_norm(), number, AD_BAD_SHAPE, "batch_norm: input (2)"},
        {nn_conv2d(3, 1, 0, NULL), features, AD_BAD_SHAPE, "conv2d: input (2,4), but it takes (N,"},
        {nn_max_pool2d(2), features, AD_BAD_SHAPE, "max_pool2d: input (2,4)"},
        {nn_average_pool2d(2), features, AD_BAD_SHAPE, "average_pool2d: input (2,4)"},
        {nn_embedding(3, 2), features, AD_BAD_DTYPE, "embedding: its input must be int32"},
        {nn_conv2d(3, 6, 0, NULL), image, AD_BAD_SHAPE, "window 6"},
        {nn_conv2d(3, INT64_MAX, 0, NULL), image, AD_BAD_SHAPE, "window 9223372036854775807"},
        {nn_max_pool2d(6), image, AD_BAD_SHAPE, "window 6"},
        {{.kind = NN_SCALE, .n_scale = 3}, features, AD_BAD_SHAPE, "as many features as"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused_at(1, &cases[i].layer, cases[i].input, cases[i].status, cases[i].text, __LINE__);
}

static void wrong_numbers_are_refused(void **state)
{
    const nn_layer conv = {.kind = NN_CONV2D, .units = 6, .kernel = {2, 2}};
    nn_layer l;
    (void)state;
    const int64_t counts[] = {0, -1, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        REFUSED((l = nn_dense(counts[i], NULL), l), features, AD_BAD_ARGUMENT, "dense: units");
        REFUSED((l = nn_embedding(counts[i], 2), l), indices, AD_BAD_ARGUMENT, "embedding: rows");
        REFUSED((l = nn_embedding(2, counts[i]), l), indices, AD_BAD_ARGUMENT, "embedding: rows");
        REFUSED((l = nn_conv2d(counts[i], 1, 0, NULL), l), image, AD_BAD_ARGUMENT, "conv2d: units");
        REFUSED((l = nn_conv2d(2, counts[i], 0, NULL), l), image, AD_BAD_ARGUMENT,
                "kernel must be");
        REFUSED((l = nn_max_pool2d(counts[i]), l), image, AD_BAD_ARGUMENT, "kernel must be");
    }
    REFUSED((l = conv, l.groups = 3, l), image, AD_BAD_ARGUMENT, "multiples of groups");
    REFUSED((l = conv, l.groups = -2, l), image, AD_BAD_ARGUMENT, "groups must be 1 or more");
    REFUSED((l = conv, l.groups = 4, l), image, AD_BAD_ARGUMENT, "multiples of groups");
    REFUSED((l = conv, l.padding[1] = -1, l), image, AD_BAD_ARGUMENT, "padding 0 or more");
    REFUSED((l = conv, l.padding[0] = INT64_MAX, l), image, AD_TOO_LARGE, "pad");
    REFUSED((l = conv, l.stride[0] = -1, l), image, AD_BAD_ARGUMENT, "stride of -1");
    REFUSED((l = conv, l.dilation[0] = INT64_MAX, l), image, AD_BAD_SHAPE, "dilation");
    REFUSED((l = nn_max_pool2d(2), l.padding[0] = 2, l), image, AD_BAD_ARGUMENT, "half the kernel");
    REFUSED((l = nn_max_pool2d(2), l.padding[1] = INT64_MAX, l), image, AD_BAD_ARGUMENT,
            "half the kernel");
    REFUSED((l = nn_layer_norm(), l.epsilon = -1, l), features, AD_BAD_ARGUMENT, "epsilon");
    REFUSED((l = nn_batch_norm(), l.epsilon = NAN, l), features, AD_BAD_ARGUMENT, "epsilon");
    REFUSED((l = nn_batch_norm(), l.momentum = 1.5, l), features, AD_BAD_ARGUMENT, "momentum");
    const double rates[] = {1, 1.5, -.1, NAN, INFINITY};
    for (int i = 0; i < 5; i++)
        REFUSED((l = nn_dropout(rates[i]), l), features, AD_BAD_ARGUMENT,
                "dropout: the rate is the probability of dropping");
}

static void sizes_that_no_memory_holds_are_refused(void **state)
{
    const nn_layer wide = nn_dense(INT64_MAX, NULL), many = nn_conv2d(INT64_MAX, 2, 0, NULL),
                   table = nn_embedding(INT64_MAX / 4, INT64_MAX / 4);
    (void)state;
    REFUSED(wide, features, AD_NO_MEMORY, "parameter '0.weight': out of memory");
    REFUSED(many, image, AD_NO_MEMORY, "parameter '0.weight': out of memory");
    REFUSED(table, indices, AD_NO_MEMORY, "parameter '0.weight': out of memory");
    nn_shape huge = features;
    huge.size[0] = INT64_MAX;
    REFUSED(wide, huge, AD_NO_MEMORY, "model: out of memory for its inputs");
}

static void wrong_layers_are_refused(void **state)
{
    nn_layer l = {0};
    char name[300] = "";
    (void)state;
    REFUSED(l, features, AD_BAD_ARGUMENT, "its kind is none of NN_DENSE");
    l.kind = (nn_layer_kind)99;
    REFUSED(l, features, AD_BAD_ARGUMENT, "its kind is none of NN_DENSE");
    l.kind = (nn_layer_kind)-1;
    REFUSED(l, features, AD_BAD_ARGUMENT, "its kind is none of NN_DENSE");
    REFUSED((l = nn_custom("own", NULL, NULL), l), features, AD_NULL, "custom layer: no function");
    l = nn_dense(2, NULL);
    l.name = name;
    REFUSED(l, features, AD_TOO_LARGE, "scopes need a name");
    memset(name, 'x', sizeof name - 1);
    REFUSED(l, features, AD_TOO_LARGE, "127 characters");
    name[125] = 0;
    REFUSED(l, features, AD_TOO_LARGE, "the name is too long");
    l = nn_dense(2, NULL);
    l.weight_init.kind = (nn_init_kind)99;
    REFUSED(l, features, AD_BAD_ARGUMENT, "'0.weight': its initial values cannot be made");
    l.weight_init.kind = NN_INIT_VALUES;
    REFUSED(l, features, AD_NULL, "'0.weight': its initial values cannot be made");
}

static void one_name_for_two_shapes_is_refused(void **state)
{
    nn_layer layers[2] = {nn_dense(3, NULL), nn_dense(5, NULL)};
    (void)state;
    layers[0].name = layers[1].name = "same";
    refused_at(2, layers, features, AD_BAD_SHAPE,
               "layer 'same': parameter 'same.weight' is asked for with another shape", __LINE__);
    layers[1] = nn_conv2d(3, 1, 0, NULL);
    layers[1].name = "same";
    refused_at(2, layers, features, AD_BAD_SHAPE, "conv2d: input (2,3)", __LINE__);
}

/* ---- what is wrong with a config --------------------------------------------------------- */

static void config_refused_at(nn_model *m, ad_status want, const char *text, int line)
{
    status_at(nn_model_status(m), want, nn_model_error(m), text, line);
    contains_at(nn_model_error(m), text, line);
    nn_model_free(m);
}
#define CONFIG_REFUSED(model, status, text) config_refused_at(model, status, text, __LINE__)

static ad_var identity(nn_pass *pass, const ad_var *x, void *user)
{
    (void)pass, (void)user;
    return x[0];
}

static void wrong_configs_are_refused(void **state)
{
    const nn_layer layer = nn_dense(2, NULL);
    nn_model_config c = {.inputs = {features, features}};
    (void)state;
    CONFIG_REFUSED(nn_sequential(NULL, 1, &layer), AD_NULL, "no config");
    CONFIG_REFUSED(nn_sequential(&c, 0, &layer), AD_NULL, "no layers");
    CONFIG_REFUSED(nn_sequential(&c, -3, &layer), AD_NULL, "no layers");
    CONFIG_REFUSED(nn_sequential(&c, 1, NULL), AD_NULL, "no layers");
    CONFIG_REFUSED(nn_model_new(&c, NULL, NULL), AD_NULL, "no function");
    CONFIG_REFUSED(nn_model_new(NULL, NULL, NULL), AD_NULL, "no function");
    CONFIG_REFUSED(nn_model_new(NULL, identity, NULL), AD_NULL, "no config");
    c.n_inputs = 2;
    CONFIG_REFUSED(nn_sequential(&c, 1, &layer), AD_BAD_ARGUMENT, "a list of layers takes 1");
    c.n_inputs = 9;
    CONFIG_REFUSED(nn_sequential(&c, 1, &layer), AD_BAD_ARGUMENT, "9 inputs, but 1 to 8");
    CONFIG_REFUSED(nn_model_new(&c, identity, NULL), AD_BAD_ARGUMENT, "9 inputs, but 1 to 8");
    c.n_inputs = -1;
    CONFIG_REFUSED(nn_sequential(&c, 1, &layer), AD_BAD_ARGUMENT, "-1 inputs, but 1 to 8");
    c.n_inputs = 1;
    c.dtype = AD_I32;
    CONFIG_REFUSED(nn_sequential(&c, 1, &layer), AD_BAD_DTYPE, "must be AD_F64 or AD_F32");
    c.dtype = AD_F64;
    const int ranks[] = {-1, AD_MAX_RANK, 1000000};
    for (int i = 0; i < 3; i++) {
        c.inputs[0].rank = ranks[i];
        CONFIG_REFUSED(nn_sequential(&c, 1, &layer), AD_BAD_SHAPE, "input 0: its shape");
    }
    c.inputs[0] = features;
    c.inputs[1].size[0] = 0;
    c.n_inputs = 2;
    CONFIG_REFUSED(nn_model_new(&c, identity, NULL), AD_BAD_SHAPE, "input 1: its shape");
}

static void wrong_perceptrons_are_refused(void **state)
{
    (void)state;
    CONFIG_REFUSED(nn_mlp(NULL), AD_NULL, "no config");
    CONFIG_REFUSED(nn_mlp(&(nn_mlp_config){0}), AD_BAD_SHAPE, "input 0: its shape");
    CONFIG_REFUSED(nn_mlp(&(nn_mlp_config){.in = 3}), AD_BAD_ARGUMENT, "dense: units");
    CONFIG_REFUSED(nn_mlp(&(nn_mlp_config){.in = 3, .hidden = {-1}, .out = 2}), AD_BAD_ARGUMENT,
                   "layer '0': dense: units");
    CONFIG_REFUSED(
        nn_mlp(&(nn_mlp_config){.in = 3, .hidden = {2}, .out = 2, .activation = "tan h"}),
        AD_BAD_ARGUMENT, "layer '1': unknown activation 'tan h'; did you mean 'tanh'?");
    CONFIG_REFUSED(nn_mlp(&(nn_mlp_config){.in = 3, .hidden = {2}, .out = 2, .dropout = 1}),
                   AD_BAD_ARGUMENT, "layer '2': dropout");
}

/* ---- what is wrong with a function ------------------------------------------------------- */

typedef ad_var (*wrong_function)(nn_pass *pass, ad_var x);

static ad_var nothing(nn_pass *pass, ad_var x)
{
    (void)pass, (void)x;
    return (ad_var){0};
}

static ad_var scalar(nn_pass *pass, ad_var x)
{
    (void)pass;
    return ad_sum(x);
}

static ad_var plain_number(nn_pass *pass, ad_var x)
{
    (void)pass, (void)x;
    return ad_constant(3);
}

static ad_var turned(nn_pass *pass, ad_var x)
{
    (void)pass;
    return ad_transpose(x);
}

static ad_var opened(nn_pass *pass, ad_var x)
{
    nn_scope_push(pass, "left");
    nn_scope_push(pass, "open");
    return x;
}

static ad_var closed(nn_pass *pass, ad_var x)
{
    nn_scope_pop(pass);
    return x;
}

static ad_var too_deep(nn_pass *pass, ad_var x)
{
    for (int i = 0; i < 17; i++)
        nn_scope_push(pass, "s");
    for (int i = 0; i < 17; i++)
        nn_scope_pop(pass);
    return x;
}

static ad_var nameless_scope(nn_pass *pass, ad_var x)
{
    nn_scope_push(pass, NULL);
    nn_scope_pop(pass);
    return x;
}

static ad_var nameless_parameter(nn_pass *pass, ad_var x)
{
    return ad_add(x, nn_parameter(pass, NULL, 0, NULL, (nn_init){0}));
}

static ad_var shapeless(nn_pass *pass, ad_var x)
{
    return ad_add(x, nn_parameter(pass, "w", 2, NULL, (nn_init){0}));
}

static ad_var rank_9(nn_pass *pass, ad_var x)
{
    const int64_t shape[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    return ad_add(x, nn_parameter(pass, "w", 9, shape, (nn_init){0}));
}

static ad_var negative_size(nn_pass *pass, ad_var x)
{
    return ad_add(x, nn_parameter(pass, "w", 2, ((const int64_t[]){-3, 4}), (nn_init){0}));
}

static ad_var immense(nn_pass *pass, ad_var x)
{
    const int64_t shape[4] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    return ad_add(x, nn_parameter(pass, "w", 4, shape, (nn_init){0}));
}

static ad_var both(nn_pass *pass, ad_var x)
{
    const int64_t shape[1] = {4};
    x = ad_add(x, nn_parameter(pass, "w", 1, shape, (nn_init){0}));
    return ad_add(x, nn_state(pass, "w", 1, shape, 0));
}

static ad_var null_input(nn_pass *pass, ad_var x)
{
    (void)x;
    return nn_apply(pass, "a", nn_dense(2, NULL), (ad_var){0});
}

static ad_var long_key(nn_pass *pass, ad_var x)
{
    char name[400];
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = 0;
    nn_key(pass, name);
    return x;
}

static ad_var norm_twice(nn_pass *pass, ad_var x)
{
    return nn_apply(pass, "n", nn_batch_norm(), nn_apply(pass, "n", nn_batch_norm(), x));
}

static ad_var own_error(nn_pass *pass, ad_var x)
{
    (void)x;
    return ad_fail(nn_tape(pass), AD_BAD_INDEX, "no such word");
}

static const struct {
    wrong_function f;
    ad_status status;
    const char *text;
} wrong_functions[] = {
    {nothing, AD_NULL, "gave no variable back"},
    {opened, AD_BAD_ARGUMENT, "scope"},
    {closed, AD_BAD_ARGUMENT, "scope"},
    {too_deep, AD_TOO_LARGE, "at most 16 levels"},
    {nameless_scope, AD_TOO_LARGE, "scopes need a name"},
    {nameless_parameter, AD_NULL, "a parameter needs a name"},
    {shapeless, AD_BAD_SHAPE, "a rank from 0 to 8 and a shape"},
    {rank_9, AD_BAD_SHAPE, "a rank from 0 to 8 and a shape"},
    {negative_size, AD_NO_MEMORY, "w': out of memory, or a bad shape"},
    {immense, AD_NO_MEMORY, "w': out of memory, or a bad shape"},
    {both, AD_BAD_ARGUMENT, "w' is asked for as a parameter and as a state"},
    {null_input, AD_NULL, "its input is no variable"},
    {long_key, AD_TOO_LARGE, "nn_key: the name is too long"},
    {norm_twice, AD_BAD_ARGUMENT, "running_mean is assigned twice"},
    {own_error, AD_BAD_INDEX, "no such word"},
};
enum { WRONG_FUNCTIONS = sizeof wrong_functions / sizeof *wrong_functions };

static ad_var as_model(nn_pass *pass, const ad_var *x, void *user)
{
    return (*(const wrong_function *)user)(pass, x[0]);
}

static ad_var as_layer(nn_pass *pass, ad_var x, void *user)
{
    return (*(const wrong_function *)user)(pass, x);
}

static void wrong_functions_are_refused_as_models_and_as_layers(void **state)
{
    const nn_model_config config = {.inputs = {features}};
    (void)state;
    for (int i = 0; i < WRONG_FUNCTIONS; i++) {
        wrong_function f = wrong_functions[i].f;
        nn_layer layer = nn_custom("own", as_layer, &f);
        CONFIG_REFUSED(nn_model_new(&config, as_model, &f), wrong_functions[i].status,
                       wrong_functions[i].text);
        nn_model *m = nn_sequential(&config, 1, &layer);
        CONTAINS(nn_model_error(m), "layer 'own");
        CONFIG_REFUSED(m, wrong_functions[i].status, wrong_functions[i].text);
    }
}

static void outputs_without_examples_are_refused(void **state)
{
    wrong_function functions[] = {scalar, plain_number, turned};
    const nn_model_config config = {.inputs = {features}};
    (void)state;
    for (int i = 0; i < 3; i++)
        CONFIG_REFUSED(nn_model_new(&config, as_model, &functions[i]), AD_BAD_SHAPE,
                       "whose first axis counts the examples");
}

static ad_var to_other_tape(nn_pass *pass, const ad_var *x, void *user)
{
    (void)pass, (void)x;
    return ad_input_array(user, AD_F64, 2, ((const int64_t[]){2, 4}),
                          ((const double[]){1, 2, 3, 4, 5, 6, 7, 8}));
}

static void outputs_of_another_tape_are_refused(void **state)
{
    ad_tape *other = ad_tape_new(NULL);
    (void)state;
    CONFIG_REFUSED(nn_model_new(&(nn_model_config){.inputs = {features}}, to_other_tape, other),
                   AD_FOREIGN, "another tape");
    ad_tape_free(other);
}

static ad_var changing(nn_pass *pass, const ad_var *x, void *user)
{
    const int *mode = user;
    const int64_t one[1] = {*mode == 1 ? 1 : 4};
    ad_var w = nn_parameter(pass, *mode == 2 ? "v" : "w", 1, one, (nn_init){0});
    return *mode == 3 ? (ad_var){0} : ad_add(x[0], w);
}

static void functions_must_ask_for_the_same_each_time(void **state)
{
    static const char *const texts[] = {
        "", "parameter 'w' is asked for with another shape than before",
        "parameter 'v' was not asked for when the model was made", "gave no variable back"};
    static const ad_status statuses[] = {AD_OK, AD_BAD_SHAPE, AD_NOT_RECORDED, AD_NULL};
    int mode = 0;
    nn_model *m = good(nn_model_new(&(nn_model_config){.inputs = {features}}, changing, &mode));
    (void)state;
    for (mode = 0; mode < 4; mode++) {
        ad_tape *t = ad_tape_new(NULL);
        record(m, t, true, AD_F64, 4);
        STATUS(ad_tape_status(t), statuses[mode], t);
        CONTAINS(ad_tape_error(t), texts[mode]);
        ad_tape_free(t);
    }
    assert_int_equal(nn_param_count(m), 1);
    nn_model_free(m);
}

static void wrong_inputs_of_a_recording_are_refused(void **state)
{
    nn_model *m = coder_model(AD_F64);
    ad_tape *t = ad_tape_new(NULL), *other = ad_tape_new(NULL);
    ad_var null = {0}, foreign = record(m, other, true, AD_F64, 3);
    (void)state;
    record(m, t, true, AD_F64, 5);
    STATUS(ad_tape_status(t), AD_BAD_SHAPE, t);
    CONTAINS(ad_tape_error(t), "parameter 'encoder.first.weight' is asked for with another shape");
    ad_reset(t);
    record(m, t, true, AD_F32, 3);
    STATUS(ad_tape_status(t), AD_BAD_DTYPE, t);
    ad_reset(t);
    nn_record(m, t, true, &null);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t);
    nn_record(m, t, true, &foreign);
    STATUS(ad_tape_status(t), AD_FOREIGN, t);
    ad_reset(t);
    nn_record(m, t, true, NULL);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t);
    nn_record(NULL, t, true, &null);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t); /* and the tape is as good as new */
    record(m, t, true, AD_F64, 3);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_null(nn_record(m, NULL, true, &foreign).tape);
    ad_tape_free(t);
    ad_tape_free(other);
    nn_model_free(m);
}

static void passes_that_are_null_do_nothing(void **state)
{
    ad_var x = ad_constant(2);
    (void)state;
    assert_null(nn_tape(NULL));
    assert_false(nn_is_training(NULL));
    assert_int_equal(nn_dtype(NULL), AD_F64);
    assert_int_equal(nn_key(NULL, "k"), 0);
    assert_null(nn_apply(NULL, "a", nn_dense(2, NULL), x).tape);
    assert_null(nn_apply_activation(NULL, "relu", 0, x).tape);
    assert_null(nn_parameter(NULL, "w", 0, NULL, (nn_init){0}).tape);
    assert_null(nn_state(NULL, "s", 0, NULL, 1).tape);
    nn_scope_push(NULL, "s");
    nn_scope_pop(NULL);
}

/* ---- models that failed ------------------------------------------------------------------ */

static nn_data *some_data(void)
{
    const double zeros[8] = {0};
    nn_error error = {0};
    ad_tensor *x = ad_tensor_from(NULL, AD_F64, 2, (const int64_t[]){2, 4}, zeros);
    ad_tensor *y = ad_tensor_from(NULL, AD_F64, 2, (const int64_t[]){2, 1}, zeros);
    nn_data *data = nn_data_new(1, &x, y, NULL, &error);
    if (!data)
        fail_msg("%s", error.text);
    ad_tensor_free(x);
    ad_tensor_free(y);
    return data;
}

static void expect_error(nn_error *error, ad_status status, const char *call, const char *text)
{
    if (error->status != status || !strstr(error->text, text))
        report("%s: got %s (%s), want %s (%s)", call, ad_status_name(error->status), error->text,
               ad_status_name(status), text);
    *error = (nn_error){0};
}

/* Each call that takes a model and an error must leave that one. */
static void every_call_reports(nn_model *m, ad_status status, const char *text)
{
    nn_data *data = some_data();
    ad_tensor *x = nn_data_input(data, 0);
    FILE *file = tmpfile();
    nn_error e = {0};
    nn_scores scores;
    ad_check_report check;
    nn_magnitude magnitude;
    int n;
    nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE}, &e);
    expect_error(&e, status, "nn_fit", text);
    nn_evaluate(m, data, NULL, &scores, &e);
    expect_error(&e, status, "nn_evaluate", text);
    assert_null(nn_predict(m, data, &e));
    expect_error(&e, status, "nn_predict", text);
    assert_null(nn_predict_tensors(m, &x, &e));
    expect_error(&e, status, "nn_predict_tensors", text);
    assert_null(nn_predictor_new(m, 1, &e));
    expect_error(&e, status, "nn_predictor_new", text);
    nn_gradcheck(m, data, NN_MSE, NULL, &check, &e);
    expect_error(&e, status, "nn_gradcheck", text);
    nn_magnitudes(m, data, NN_MSE, NULL, 1, &magnitude, &n, &e);
    expect_error(&e, status, "nn_magnitudes", text);
    nn_save(m, "nowhere/at/all", &e);
    expect_error(&e, status, "nn_save", text);
    nn_load_parameters(m, "nowhere/at/all", &e);
    expect_error(&e, status, "nn_load_parameters", text);
    nn_export_c(m, "net", file, &e);
    expect_error(&e, status, "nn_export_c", text);
    assert_int_equal(nn_summary(m, file), status);
    assert_int_equal(ftell(file), 0);
    fclose(file);
    nn_data_free(data);
}

static void every_call_on_a_failed_model_reports_why_it_failed(void **state)
{
    const nn_layer layers[2] = {nn_dense(3, NULL), nn_dense(0, NULL)};
    nn_model *m = nn_sequential(&(nn_model_config){.inputs = {features}}, 2, layers);
    ad_tape *t = ad_tape_new(NULL);
    (void)state;
    begin_test();
    assert_int_equal(nn_model_status(m), AD_BAD_ARGUMENT);
    every_call_reports(m, AD_BAD_ARGUMENT, "layer '1': dense: units must be 1 or more");
    record(m, t, true, AD_F64, 4);
    STATUS(ad_tape_status(t), AD_BAD_ARGUMENT, t);
    CONTAINS(ad_tape_error(t), "dense: units must be 1 or more");
    nn_freeze(m, NULL, true);
    ad_tape_free(t);
    nn_model_free(m);
    end_test();
}

static void every_call_without_a_model_reports_that(void **state)
{
    (void)state;
    begin_test();
    every_call_reports(NULL, AD_NULL, "model");
    assert_int_equal(nn_model_status(NULL), AD_NULL);
    assert_string_equal(nn_model_error(NULL), "no model");
    assert_null(nn_model_config_of(NULL));
    assert_int_equal(nn_param_count(NULL), 0);
    assert_null(nn_param_at(NULL, 0));
    assert_null(nn_param_find(NULL, "w"));
    assert_int_equal(nn_size(NULL), 0);
    assert_int_equal(nn_trainable_size(NULL), 0);
    assert_int_equal(nn_layer_count(NULL), 0);
    assert_null(nn_layer_at(NULL, 0));
    assert_int_equal(nn_history_count(NULL), 0);
    assert_null(nn_history_at(NULL, 0));
    nn_model_free(NULL);
    end_test();
}

/* ---- memory that runs out ---------------------------------------------------------------- */

/* Makes a model, records it, sweeps it; the first error. */
static ad_status make_and_record(const ad_context *context, double *loss)
{
    nn_model *m = nn_mlp(&(nn_mlp_config){
        .in = 3, .hidden = {4}, .out = 2, .batch_norm = true, .dropout = .5, .context = context});
    ad_status status = nn_model_status(m);
    if (status && !strstr(nn_model_error(m), "memory"))
        fail_msg("%s: %s", ad_status_name(status), nn_model_error(m));
    ad_tape *t = ad_tape_new(context);
    if (!status) {
        ad_var y = ad_sum(ad_square(record(m, t, true, AD_F64, 3)));
        ad_backward(y);
        *loss = ad_value(y);
        status = ad_commit(t);
    }
    ad_tape_free(t);
    nn_model_free(m);
    return status;
}

/* Does so with an allocator whose call number k fails; -1: none. Gives the number of its calls. */
static long with_failure(long k, bool reserving, double want)
{
    probe p;
    double loss = 0;
    ad_allocator allocator = probe_allocator(&p, reserving);
    ad_context *context = ad_context_new(&(ad_context_config){.allocator = &allocator});
    assert_non_null(context);
    p.calls = 0;
    p.fail_at = k;
    ad_status status = make_and_record(context, &loss);
    const bool without = status == AD_OK && p.reserve_failed && loss == want;
    if (k < 0 ? status != AD_OK : status != AD_NO_MEMORY && !without)
        fail_msg("call %ld failed: got %s", k, ad_status_name(status));
    const long calls = p.calls;
    p.fail_at = -1;
    ad_context_free(context);
    if (p.blocks || p.bytes || p.wrong_sizes || p.overruns)
        fail_msg("call %ld failed: %ld blocks of %ld bytes left, %ld sizes wrong, %ld overruns", k,
                 p.blocks, p.bytes, p.wrong_sizes, p.overruns);
    return calls;
}

static void a_model_survives_every_failure_of_an_allocation(void **state)
{
    double want = 0;
    (void)state;
    assert_int_equal(make_and_record(NULL, &want), AD_OK);
    for (int reserving = 0; reserving < 2; reserving++) {
        const long calls = with_failure(-1, reserving, want);
        assert_true(calls > 20);
        for (long k = 0; k < calls; k++)
            with_failure(k, reserving, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_found_by_name_and_in_order),
        cmocka_unit_test(dtypes_are_the_models),
        cmocka_unit_test(freezing_goes_by_name_and_by_scope),
        cmocka_unit_test(layers_of_a_list_can_be_looked_at),
        cmocka_unit_test(a_perceptron_has_the_layers_that_its_config_says),
        cmocka_unit_test(the_summary_of_a_perceptron_counts_55050),
        cmocka_unit_test(the_summary_of_images_tells_activations_and_what_is_trained),
        cmocka_unit_test(the_summary_counts_each_parameter_once),
        cmocka_unit_test(keys_tell_scopes_names_and_calls_apart),
        cmocka_unit_test(states_change_when_a_training_step_has_run),
        cmocka_unit_test(wrong_activations_are_named_and_a_word_is_suggested),
        cmocka_unit_test(wrong_shapes_and_dtypes_are_refused),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(sizes_that_no_memory_holds_are_refused),
        cmocka_unit_test(wrong_layers_are_refused),
        cmocka_unit_test(one_name_for_two_shapes_is_refused),
        cmocka_unit_test(wrong_configs_are_refused),
        cmocka_unit_test(wrong_perceptrons_are_refused),
        cmocka_unit_test(wrong_functions_are_refused_as_models_and_as_layers),
        cmocka_unit_test(outputs_without_examples_are_refused),
        cmocka_unit_test(outputs_of_another_tape_are_refused),
        cmocka_unit_test(functions_must_ask_for_the_same_each_time),
        cmocka_unit_test(wrong_inputs_of_a_recording_are_refused),
        cmocka_unit_test(passes_that_are_null_do_nothing),
        cmocka_unit_test(every_call_on_a_failed_model_reports_why_it_failed),
        cmocka_unit_test(every_call_without_a_model_reports_that),
        cmocka_unit_test(a_model_survives_every_failure_of_an_allocation),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
