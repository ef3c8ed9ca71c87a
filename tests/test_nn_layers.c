/* test_nn_layers.c - layers and small models against PyTorch's: values, gradients, running
 * statistics
 *
 * data/torch_layers.txt was made by oracle_nn_layers.py, which describes it. A case makes a model,
 * gives it PyTorch's parameters, and runs its passes in double and in float. What PyTorch cannot
 * tell, masks of dropout above all, is tested after that. */
#include "compare.h"
#include "expect.h"
#include "nn.h"

enum { MAX_TENSORS = 8, NAME = 64 };

/* ---- the file ---------------------------------------------------------------------------- */

typedef struct numbers {
    char name[NAME];
    bool integers;
    int rank;
    int64_t shape[AD_MAX_RANK], size;
    double *data;
} numbers;

typedef struct list {
    int n;
    numbers at[MAX_TENSORS];
} list;

typedef struct oracle_pass { /* what belongs to one pass */
    bool training;
    list x, d, q, s;
    numbers y, g;
} oracle_pass;

typedef struct oracle_case {
    char words[256];
    list p;
    int n_passes;
    oracle_pass passes[MAX_TENSORS];
} oracle_case;

/* Numbers to the end of the line. */
static double *read_numbers(const char *text, int64_t *n)
{
    int64_t room = (int64_t)strlen(text) / 2 + 1;
    double *data = test_calloc((size_t)room, sizeof *data);
    char *end;
    *n = 0;
    for (double v = strtod(text, &end); end != text; v = strtod(text, &end)) {
        data[(*n)++] = v;
        text = end;
    }
    return data;
}

static const char *read_name(const char *text, numbers *a)
{
    int used = 0;
    if (sscanf(text, " %63s%n", a->name, &used) != 1)
        fail_msg("torch_layers.txt: a name is missing");
    return text + used;
}

static void read_array(const char *text, numbers *a, bool named, bool shaped)
{
    char *end;
    int64_t size = 1;
    text = named ? read_name(text, a) : text;
    if (shaped) {
        a->rank = (int)strtol(text, &end, 10);
        for (int i = 0; i < a->rank; i++)
            size *= a->shape[i] = strtol(end, &end, 10);
        text = end;
    }
    a->data = read_numbers(text, &a->size);
    if (shaped && a->size != size)
        fail_msg("torch_layers.txt: %" PRId64 " numbers expected, %" PRId64 " found", size,
                 a->size);
}

static numbers *next(list *l)
{
    assert_in_range(l->n, 0, MAX_TENSORS - 1);
    return &l->at[l->n++];
}

static void read_line(oracle_case *c, const char *line)
{
    oracle_pass *p = c->n_passes ? &c->passes[c->n_passes - 1] : NULL;
    numbers *to = NULL;
    switch (line[0]) {
    case 'o':
        snprintf(c->words, sizeof c->words, "%.*s", (int)strcspn(line + 2, "\n"), line + 2);
        return;
    case 't':
    case 'e':
        assert_in_range(c->n_passes, 0, MAX_TENSORS - 1);
        c->passes[c->n_passes++].training = line[0] == 't';
        return;
    case 'p':
        read_array(line + 1, next(&c->p), true, true);
        return;
    }
    assert_non_null(p);
    if (line[0] == 'x' || line[0] == 'i')
        (to = next(&p->x))->integers = line[0] == 'i';
    else
        to = line[0] == 'y'   ? &p->y
             : line[0] == 'g' ? &p->g
             : line[0] == 'd' ? next(&p->d)
             : line[0] == 'q' ? next(&p->q)
                              : next(&p->s);
    read_array(line + 1, to, line[0] == 'q' || line[0] == 's', strchr("xiy", line[0]) != NULL);
}

/* false: no case is left */
static bool read_case(FILE *file, oracle_case *c)
{
    static char line[1 << 16];
    memset(c, 0, sizeof *c);
    while (fgets(line, sizeof line, file) && line[0] != '\n')
        read_line(c, line);
    return c->words[0] != 0;
}

static void free_list(list *l)
{
    for (int i = 0; i < l->n; i++)
        test_free(l->at[i].data);
}

static void free_case(oracle_case *c)
{
    free_list(&c->p);
    for (int i = 0; i < c->n_passes; i++) {
        oracle_pass *p = &c->passes[i];
        free_list(&p->x);
        free_list(&p->d);
        free_list(&p->q);
        free_list(&p->s);
        test_free(p->y.data);
        test_free(p->g.data);
    }
}

/* ---- models as functions ----------------------------------------------------------------- */

static ad_var residual(nn_pass *pass, const ad_var *x, void *user)
{
    (void)user;
    nn_scope_push(pass, "block");
    ad_var h = nn_apply(pass, "first", nn_dense(5, NN_TANH), x[0]);
    h = nn_apply(pass, "second", nn_dense(ad_shape(x[0])[1], NULL), h);
    nn_scope_pop(pass);
    return nn_apply(pass, "out", nn_dense(2, NULL), ad_add(x[0], h));
}

static ad_var two_inputs(nn_pass *pass, const ad_var *x, void *user)
{
    nn_layer right = nn_dense(2, NN_SIGMOID);
    (void)user;
    right.no_bias = true;
    ad_var a = nn_apply(pass, "left", nn_dense(4, NN_TANH), x[0]);
    ad_var b = nn_apply(pass, "right", right, x[1]);
    return nn_apply(pass, "out", nn_dense(1, NULL), ad_concat(2, ((const ad_var[]){a, b}), 1));
}

static ad_var words(nn_pass *pass, const ad_var *x, void *user)
{
    const int second = 1;
    (void)user;
    ad_var found =
        ad_sum_axes(nn_apply(pass, "table", nn_embedding(4, 3), x[1]), 1, &second, false);
    return nn_apply(pass, "out", nn_dense(2, NULL), ad_mul(x[0], found));
}

static ad_var shared(nn_pass *pass, const ad_var *x, void *user)
{
    ad_var h = x[0];
    (void)user;
    for (int i = 0; i < 3; i++)
        h = nn_apply(pass, "cell", nn_dense(3, NN_TANH), ad_add(h, x[0]));
    return h;
}

static ad_var bend(nn_pass *pass, ad_var x, void *user)
{
    const int64_t shape[2] = {1, ad_shape(x)[1]};
    (void)user;
    ad_var strength = nn_parameter(pass, "strength", 1, shape + 1, (nn_init){0});
    ad_var shift = nn_parameter(pass, "shift", 2, shape, (nn_init){0});
    return ad_add(ad_mul(x, ad_exp(strength)), ad_sin(ad_add(x, shift)));
}

static ad_var conv_net(nn_pass *pass, const ad_var *x, void *user)
{
    (void)user;
    ad_var h = nn_apply(pass, "conv", nn_conv2d(3, 3, 1, NULL), x[0]);
    nn_layer norm = nn_batch_norm();
    norm.activation = NN_RELU;
    h = nn_apply(pass, NULL, nn_max_pool2d(2), nn_apply(pass, "norm", norm, h));
    h = nn_apply(pass, "out", nn_dense(4, NULL), nn_apply(pass, NULL, nn_flatten(), h));
    return ad_softmax_cross_entropy(h, x[1]);
}

static nn_model *model_of_name(const nn_model_config *config, const char *name)
{
    static const struct {
        const char *name;
        nn_function function;
    } functions[] = {{"residual", residual},
                     {"two_inputs", two_inputs},
                     {"words", words},
                     {"shared", shared},
                     {"conv_net", conv_net}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(name, functions[i].name))
            return nn_model_new(config, functions[i].function, NULL);
    if (!strcmp(name, "custom"))
        return nn_sequential(
            config, 3,
            (nn_layer[]){nn_dense(4, NULL), nn_custom("bend", bend, NULL), nn_dense(2, NULL)});
    fail_msg("torch_layers.txt: there is no model %s", name);
    return NULL;
}

/* ---- layers by words --------------------------------------------------------------------- */

static nn_layer_kind kind_of(const char *name)
{
    static const char *const names[NN_LAYER_KINDS] = {
        [NN_DENSE] = "dense",           [NN_ACTIVATION] = "activation",
        [NN_DROPOUT] = "dropout",       [NN_FLATTEN] = "flatten",
        [NN_LAYER_NORM] = "layer_norm", [NN_BATCH_NORM] = "batch_norm",
        [NN_EMBEDDING] = "embedding",   [NN_CONV2D] = "conv2d",
        [NN_MAX_POOL2D] = "max_pool2d", [NN_AVERAGE_POOL2D] = "average_pool2d"};
    for (int k = 0; k < NN_LAYER_KINDS; k++)
        if (names[k] && !strcmp(name, names[k]))
            return (nn_layer_kind)k;
    fail_msg("torch_layers.txt: there is no layer %s", name);
    return NN_DENSE;
}

/* "3x2" */
static void set_pair(int64_t *pair, const char *text)
{
    char *end;
    pair[0] = strtol(text, &end, 10);
    pair[1] = *end == 'x' ? strtol(end + 1, NULL, 10) : 0;
}

static void set_field(nn_layer *layer, const char *field, const char *value)
{
    const struct {
        const char *name;
        int64_t *integer, *pair;
        double *number;
        bool *flag;
    } fields[] = {
        {"units", &layer->units, NULL, NULL, NULL},
        {"rows", &layer->rows, NULL, NULL, NULL},
        {"groups", &layer->groups, NULL, NULL, NULL},
        {"kernel", NULL, layer->kernel, NULL, NULL},
        {"stride", NULL, layer->stride, NULL, NULL},
        {"padding", NULL, layer->padding, NULL, NULL},
        {"dilation", NULL, layer->dilation, NULL, NULL},
        {"slope", NULL, NULL, &layer->slope, NULL},
        {"epsilon", NULL, NULL, &layer->epsilon, NULL},
        {"momentum", NULL, NULL, &layer->momentum, NULL},
        {"rate", NULL, NULL, &layer->rate, NULL},
        {"no_bias", NULL, NULL, NULL, &layer->no_bias},
        {"no_affine", NULL, NULL, NULL, &layer->no_affine},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(field, fields[i].name) != 0)
            continue;
        if (fields[i].integer)
            *fields[i].integer = strtol(value, NULL, 10);
        else if (fields[i].pair)
            set_pair(fields[i].pair, value);
        else if (fields[i].number)
            *fields[i].number = strtod(value, NULL);
        else
            *fields[i].flag = strcmp(value, "0") != 0;
        return;
    }
    fail_msg("torch_layers.txt: there is no field %s", field);
}

static nn_shape example_of(const numbers *x)
{
    nn_shape s = {.rank = x->rank - 1, .indices = x->integers};
    for (int i = 1; i < x->rank; i++)
        s.size[i - 1] = x->shape[i];
    return s;
}

static nn_model *model_of(const oracle_case *c, ad_dtype dtype)
{
    const list *x = &c->passes[0].x;
    nn_model_config config = {.dtype = dtype, .n_inputs = x->n};
    char text[256], *value, *word = strtok(strcpy(text, c->words), " ");
    for (int k = 0; k < x->n; k++)
        config.inputs[k] = example_of(&x->at[k]);
    if (!strcmp(word, "model"))
        return model_of_name(&config, strtok(NULL, " "));
    nn_layer layer = {.kind = kind_of(word)};
    while ((word = strtok(NULL, " "))) {
        value = strchr(word, '=');
        assert_non_null(value);
        *value++ = 0;
        if (!strcmp(word, "activation"))
            layer.activation = value;
        else
            set_field(&layer, word, value);
    }
    return nn_sequential(&config, 1, &layer);
}

/* ---- the comparison ---------------------------------------------------------------------- */

typedef struct run { /* a pass of a case in progress */
    const oracle_case *c;
    ad_dtype dtype;
    int number;
    nn_model *model;
    ad_tape *tape;
} run;

static void compare(const run *r, const char *what, const char *name, ad_status status,
                    const double *got, const numbers *want)
{
    char text[512];
    snprintf(text, sizeof text, "%s in %s, pass %d: %s %s", r->c->words, ad_dtype_name(r->dtype),
             r->number, what, name);
    if (status)
        report("%s: %s %s", text, ad_status_name(status), ad_tape_error(r->tape));
    else
        expect_close(text, want->size, got, want->data,
                     (r->dtype == AD_F64 ? 1e-10 : 1e-5) * scale_of(want->size, want->data, 1));
}

static void compare_var(const run *r, const char *what, ad_var v, bool gradient,
                        const numbers *want)
{
    double *got = test_calloc((size_t)want->size + 1, sizeof *got);
    ad_status status = ad_size(v) != want->size ? AD_BAD_SHAPE
                       : gradient               ? ad_grad_read(v, got)
                                                : ad_read(v, got);
    compare(r, what, want->name, status, got, want);
    test_free(got);
}

static void compare_state(const run *r, const numbers *want)
{
    ad_param *state = nn_param_find(r->model, want->name);
    double *got = test_calloc((size_t)want->size + 1, sizeof *got);
    bool fits = state && ad_tensor_size(ad_param_value(state)) == want->size;
    compare(r, "state", want->name,
            fits ? ad_tensor_read(ad_param_value(state), got) : AD_BAD_SHAPE, got, want);
    test_free(got);
}

static void check_shape(const run *r, ad_var y, const numbers *want)
{
    bool same = ad_rank(y) == want->rank && ad_dtype_of(y) == r->dtype;
    for (int i = 0; same && i < want->rank; i++)
        same = ad_shape(y)[i] == want->shape[i];
    if (!same)
        report("%s in %s: the result has another shape or dtype", r->c->words,
               ad_dtype_name(r->dtype));
}

static ad_var input_of(ad_tape *t, const numbers *a, ad_dtype dtype)
{
    ad_tensor *tensor = ad_tensor_new(NULL, a->integers ? AD_I32 : dtype, a->rank, a->shape);
    assert_non_null(tensor);
    assert_int_equal(ad_tensor_write(tensor, a->data), AD_OK);
    ad_var x = ad_input_tensor(t, tensor);
    ad_tensor_free(tensor);
    return x;
}

static void check_pass(run *r, const oracle_pass *p)
{
    ad_var x[MAX_TENSORS];
    int n = 0;
    r->tape = ad_tape_new(NULL);
    for (int k = 0; k < p->x.n; k++)
        x[k] = input_of(r->tape, &p->x.at[k], r->dtype);
    ad_var y = nn_record(r->model, r->tape, p->training, x);
    const double *seeds[1] = {p->g.data};
    compare_var(r, "value", y, false, &p->y);
    check_shape(r, y, &p->y);
    ad_vjp(1, &y, seeds);
    for (int k = 0; k < p->x.n; k++)
        if (!p->x.at[k].integers)
            compare_var(r, "gradient", x[k], true, &p->d.at[n++]);
    for (int k = 0; k < p->q.n; k++)
        compare_var(r, "gradient of", ad_use(r->tape, nn_param_find(r->model, p->q.at[k].name)),
                    true, &p->q.at[k]);
    if (ad_commit(r->tape))
        report("%s: %s", r->c->words, ad_tape_error(r->tape));
    for (int k = 0; k < p->s.n; k++)
        compare_state(r, &p->s.at[k]);
    ad_tape_free(r->tape);
}

static void check_case(const oracle_case *c, ad_dtype dtype)
{
    run r = {.c = c, .dtype = dtype, .model = model_of(c, dtype)};
    if (nn_model_status(r.model))
        report("%s: %s", c->words, nn_model_error(r.model));
    else if (nn_param_count(r.model) != c->p.n + c->passes[0].s.n)
        report("%s: got %d parameters and states, want %d", c->words, nn_param_count(r.model),
               c->p.n + c->passes[0].s.n);
    for (int k = 0; k < c->p.n; k++) {
        ad_param *param = nn_param_find(r.model, c->p.at[k].name);
        if (!param)
            fail_msg("%s: there is no parameter %s", c->words, c->p.at[k].name);
        assert_int_equal(ad_tensor_size(ad_param_value(param)), c->p.at[k].size);
        assert_int_equal(ad_tensor_write(ad_param_value(param), c->p.at[k].data), AD_OK);
    }
    for (r.number = 0; !nn_model_status(r.model) && r.number < c->n_passes; r.number++)
        check_pass(&r, &c->passes[r.number]);
    nn_model_free(r.model);
}

static int check_file(ad_dtype dtype)
{
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/tests/data/torch_layers.txt", "r");
    oracle_case c;
    int count = 0;
    assert_non_null(file);
    for (; read_case(file, &c); count++) {
        check_case(&c, dtype);
        free_case(&c);
    }
    fclose(file);
    return count;
}

static void layers_and_models_are_torchs_in_double(void **state)
{
    (void)state;
    begin_test();
    assert_true(check_file(AD_F64) >= 90);
    end_test();
}

static void layers_and_models_are_torchs_in_float(void **state)
{
    (void)state;
    begin_test();
    assert_true(check_file(AD_F32) >= 90);
    end_test();
}

/* ---- running statistics in a program ----------------------------------------------------- */

enum { STEPS = 4, ROWS = 3, FEATURES = 2 };

static void batch_of_step(int step, double x[ROWS * FEATURES])
{
    for (int i = 0; i < ROWS * FEATURES; i++)
        x[i] = sin(1 + 1.7 * i + 5.3 * step);
}

static nn_model *normalised(void)
{
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {FEATURES}}}};
    nn_layer layer = nn_batch_norm();
    nn_model *m = nn_sequential(&config, 1, &layer);
    assert_string_equal(nn_model_error(m), "");
    return m;
}

static void train_on_tapes(nn_model *m)
{
    double x[ROWS * FEATURES];
    ad_tape *t = ad_tape_new(NULL);
    for (int step = 0; step < STEPS; step++) {
        batch_of_step(step, x);
        ad_var in = ad_input_array(t, AD_F64, 2, ((const int64_t[]){ROWS, FEATURES}), x);
        nn_record(m, t, true, &in);
        STATUS(ad_commit(t), AD_OK, t);
        ad_reset(t);
    }
    ad_tape_free(t);
}

static void train_in_a_program(nn_model *m)
{
    double x[ROWS * FEATURES];
    ad_tape *t = ad_tape_new(NULL);
    batch_of_step(0, x);
    ad_var in = ad_input_array(t, AD_F64, 2, ((const int64_t[]){ROWS, FEATURES}), x);
    ad_var y = nn_record(m, t, true, &in);
    ad_program *program = ad_program_capture(t, 1, &in, 1, &y, AD_VALUES);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
    ad_workspace *w = ad_workspace_new(program);
    for (int step = 0; step < STEPS; step++) {
        batch_of_step(step, x);
        RAN(ad_run(w, x, NULL), AD_OK, w);
    }
    ad_workspace_free(w);
    ad_program_free(program);
}

/* Exponential averages, with Bessel's correction of the variance. */
static void expected_statistics(double mean[FEATURES], double variance[FEATURES])
{
    double x[ROWS * FEATURES];
    for (int k = 0; k < FEATURES; k++) {
        mean[k] = 0;
        variance[k] = 1;
        for (int step = 0; step < STEPS; step++) {
            double m = 0, v = 0;
            batch_of_step(step, x);
            for (int i = 0; i < ROWS; i++)
                m += x[i * FEATURES + k] / ROWS;
            for (int i = 0; i < ROWS; i++)
                v += (x[i * FEATURES + k] - m) * (x[i * FEATURES + k] - m) / (ROWS - 1);
            mean[k] = .9 * mean[k] + .1 * m;
            variance[k] = .9 * variance[k] + .1 * v;
        }
    }
}

static void running_statistics_follow_on_tapes_and_in_programs(void **state)
{
    nn_model *a = normalised(), *b = normalised();
    double mean[FEATURES], variance[FEATURES], got[FEATURES], other[FEATURES];
    (void)state;
    begin_test();
    train_on_tapes(a);
    train_in_a_program(b);
    expected_statistics(mean, variance);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "0.running_var" : "0.running_mean";
        ad_tensor_read(ad_param_value(nn_param_find(a, name)), got);
        ad_tensor_read(ad_param_value(nn_param_find(b, name)), other);
        expect_close(name, FEATURES, got, i ? variance : mean, 1e-14);
        expect_close(name, FEATURES, other, got, 1e-15);
    }
    end_test();
    nn_model_free(a);
    nn_model_free(b);
}

static void evaluation_moves_no_statistics_and_takes_single_examples(void **state)
{
    const int64_t shape[2] = {1, FEATURES};
    const double x[FEATURES] = {3, -1};
    double y[FEATURES], mean[FEATURES];
    nn_model *m = normalised();
    ad_tape *t = ad_tape_new(NULL);
    (void)state;
    ad_var in = ad_input_array(t, AD_F64, 2, shape, x), out = nn_record(m, t, false, &in);
    STATUS(ad_commit(t), AD_OK, t);
    STATUS(ad_read(out, y), AD_OK, t);
    ad_tensor_read(ad_param_value(nn_param_find(m, "0.running_mean")), mean);
    for (int k = 0; k < FEATURES; k++) {
        CLOSE(y[k], x[k] / sqrt(1 + 1e-5));
        EQUAL(mean[k], 0);
    }
    nn_record(m, t, true, &in);
    STATUS(ad_tape_status(t), AD_BAD_SHAPE, t);
    CONTAINS(ad_tape_error(t), "batch_norm: training needs more than one value a channel");
    ad_tape_free(t);
    nn_model_free(m);
}

/* ---- dropout ----------------------------------------------------------------------------- */

enum { WIDE = 500, DROPPED_ROWS = 20, MANY = WIDE * DROPPED_ROWS };

static ad_var ones(ad_tape *t)
{
    static const int64_t shape[2] = {DROPPED_ROWS, WIDE};
    double *x = test_calloc(MANY, sizeof *x);
    for (int i = 0; i < MANY; i++)
        x[i] = 1;
    ad_var in = ad_input_array(t, AD_F64, 2, shape, x);
    test_free(x);
    return in;
}

static nn_model *dropping(double rate)
{
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {WIDE}}}};
    nn_layer layer = nn_dropout(rate);
    return nn_sequential(&config, 1, &layer);
}

/* One pass over ones on a tape of that seed and step: to be freed. */
static double *dropped(const nn_model *m, bool training, uint64_t seed, uint64_t step)
{
    double *y = test_calloc(MANY, sizeof *y), *d = test_calloc(MANY, sizeof *d);
    ad_tape *t = ad_tape_new(NULL);
    ad_seed(t, seed);
    ad_set_step(t, step);
    ad_var in = ones(t), out = nn_record(m, t, training, &in);
    STATUS(ad_backward(ad_sum(out)), AD_OK, t);
    STATUS(ad_read(out, y), AD_OK, t);
    STATUS(ad_grad_read(in, d), AD_OK, t);
    if (memcmp(y, d, MANY * sizeof *y) != 0) /* linear, and x is 1 */
        report("dropout: its gradient is not its mask");
    test_free(d);
    ad_tape_free(t);
    return y;
}

static void dropout_drops_that_share_and_scales_the_rest(void **state)
{
    (void)state;
    begin_test();
    for (double rate = .1; rate < 1; rate += .2) {
        nn_model *m = dropping(rate);
        double *y = dropped(m, true, 5, 0), kept = 0;
        for (int i = 0; i < MANY; i++) {
            if (y[i] != 0)
                CLOSE(y[i], 1 / (1 - rate));
            kept += y[i] != 0;
        }
        double off = fabs(kept / MANY - (1 - rate)), allowed = 5 * sqrt(rate * (1 - rate) / MANY);
        if (!(off <= allowed))
            report("dropout %g: the share kept is off by %g, allowed %g", rate, off, allowed);
        test_free(y);
        nn_model_free(m);
    }
    end_test();
}

static void dropout_is_nothing_in_evaluation_or_at_rate_0(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < 2; i++) {
        nn_model *m = dropping(i ? 0 : .5);
        double *y = dropped(m, i == 1, 5, 0);
        for (int k = 0; k < MANY; k++)
            EQUAL(y[k], 1);
        test_free(y);
        nn_model_free(m);
    }
    end_test();
}

static void masks_are_those_of_seed_and_step(void **state)
{
    const size_t size = MANY * sizeof(double);
    nn_model *m = dropping(.5), *other = dropping(.5);
    (void)state;
    begin_test();
    double *y = dropped(m, true, 5, 3), *again = dropped(m, true, 5, 3),
           *twin = dropped(other, true, 5, 3), *later = dropped(m, true, 5, 4),
           *seeded = dropped(m, true, 6, 3);
    assert_true(!memcmp(y, again, size) && !memcmp(y, twin, size));
    assert_true(memcmp(y, later, size) && memcmp(y, seeded, size));
    end_test();
    test_free(y);
    test_free(again);
    test_free(twin);
    test_free(later);
    test_free(seeded);
    nn_model_free(m);
    nn_model_free(other);
}

/* Correlation of masks over ones; 0 for independent ones. */
static double correlation(const double *a, const double *b, double rate)
{
    double sum = 0;
    for (int i = 0; i < MANY; i++)
        sum += ((a[i] != 0) - (1 - rate)) * ((b[i] != 0) - (1 - rate));
    return sum / MANY / (rate * (1 - rate));
}

static ad_var two_masks(nn_pass *pass, const ad_var *x, void *user)
{
    const char *const *names = user;
    ad_var a = nn_apply(pass, names[0], nn_dropout(.5), x[0]),
           b = nn_apply(pass, names[1], nn_dropout(.5), x[0]);
    return ad_stack(2, ((const ad_var[]){a, b}), 1);
}

static void two_dropouts_draw_apart_even_under_one_name(void **state)
{
    const char *names[3][2] = {{NULL, NULL}, {"drop", "drop"}, {"left", "right"}};
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {WIDE}}}};
    double *both = test_calloc(2 * MANY, sizeof *both), *a = test_calloc(MANY, sizeof *a),
           *b = test_calloc(MANY, sizeof *b);
    (void)state;
    for (int i = 0; i < 3; i++) {
        nn_model *m = nn_model_new(&config, two_masks, (void *)names[i]);
        ad_tape *t = ad_tape_new(NULL);
        ad_var in = ones(t), out = nn_record(m, t, true, &in);
        STATUS(ad_read(out, both), AD_OK, t);
        for (int r = 0; r < DROPPED_ROWS; r++) {
            memcpy(a + r * WIDE, both + 2 * r * WIDE, WIDE * sizeof *a);
            memcpy(b + r * WIDE, both + (2 * r + 1) * WIDE, WIDE * sizeof *b);
        }
        if (!(fabs(correlation(a, b, .5)) <= 5 / sqrt(MANY)))
            fail_msg("names %d: the masks' correlation is %g", i, correlation(a, b, .5));
        ad_tape_free(t);
        nn_model_free(m);
    }
    test_free(both);
    test_free(a);
    test_free(b);
}

static void a_program_draws_a_new_mask_each_run(void **state)
{
    const size_t size = MANY * sizeof(double);
    double *x = test_calloc(MANY, sizeof *x), *first = test_calloc(MANY, sizeof *x),
           *second = test_calloc(MANY, sizeof *x);
    nn_model *m = dropping(.5);
    ad_tape *t = ad_tape_new(NULL);
    (void)state;
    ad_seed(t, 5);
    ad_var in = ones(t), out = nn_record(m, t, true, &in);
    ad_read(in, x);
    ad_program *program = ad_program_capture(t, 1, &in, 1, &out, AD_VALUES);
    ad_workspace *w = ad_workspace_new(program);
    ad_workspace_set_step(w, 3);
    RAN(ad_run(w, x, first), AD_OK, w);
    RAN(ad_run(w, x, second), AD_OK, w);
    double *third = dropped(m, true, 5, 3), *fourth = dropped(m, true, 5, 4);
    assert_true(!memcmp(first, third, size) && !memcmp(second, fourth, size));
    ad_workspace_free(w);
    ad_program_free(program);
    ad_tape_free(t);
    nn_model_free(m);
    test_free(x);
    test_free(first);
    test_free(second);
    test_free(third);
    test_free(fourth);
}

/* ---- the rest ---------------------------------------------------------------------------- */

static ad_var same_cell(nn_pass *pass, const ad_var *x, void *user)
{
    nn_layer cell = nn_dense(2, NULL);
    (void)user;
    cell.name = "cell";
    return nn_apply(pass, NULL, cell, nn_apply(pass, NULL, cell, x[0]));
}

static void layers_of_one_name_share_their_parameters(void **state)
{
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {2}}}};
    nn_model *m = nn_model_new(&config, same_cell, NULL);
    (void)state;
    assert_string_equal(nn_model_error(m), "");
    assert_int_equal(nn_param_count(m), 2);
    assert_int_equal(nn_size(m), 6);
    nn_model_free(m);
}

static void a_border_around_a_maximum_is_a_number(void **state)
{
    ad_context *checking = ad_context_new(&(ad_context_config){.check_finite = true});
    nn_layer layer = nn_max_pool2d(3);
    (void)state;
    layer.padding[0] = layer.padding[1] = 1;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        const nn_model_config config = {
            .context = checking, .dtype = dtype, .inputs = {{.rank = 3, .size = {1, 4, 4}}}};
        nn_model *m = nn_sequential(&config, 1, &layer);
        assert_string_equal(nn_model_error(m), "");
        nn_model_free(m);
    }
    ad_context_free(checking);
}

static void a_scaler_is_a_layer(void **state)
{
    const double scale[2] = {2, .5}, shift[2] = {-1, 3}, x[4] = {1, 2, -3, 4};
    const nn_layer layer = {.kind = NN_SCALE, .n_scale = 2, .scale = scale, .shift = shift};
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {2}}}};
    nn_model *m = nn_sequential(&config, 1, &layer);
    ad_tape *t = ad_tape_new(NULL);
    double y[4];
    (void)state;
    assert_string_equal(nn_model_error(m), "");
    assert_int_equal(nn_size(m), 0);
    ad_var in = ad_input_array(t, AD_F64, 2, ((const int64_t[]){2, 2}), x);
    STATUS(ad_read(nn_record(m, t, true, &in), y), AD_OK, t);
    for (int i = 0; i < 4; i++)
        EQUAL(y[i], x[i] * scale[i % 2] + shift[i % 2]);
    ad_tape_free(t);
    nn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_and_models_are_torchs_in_double),
        cmocka_unit_test(layers_and_models_are_torchs_in_float),
        cmocka_unit_test(running_statistics_follow_on_tapes_and_in_programs),
        cmocka_unit_test(evaluation_moves_no_statistics_and_takes_single_examples),
        cmocka_unit_test(dropout_drops_that_share_and_scales_the_rest),
        cmocka_unit_test(dropout_is_nothing_in_evaluation_or_at_rate_0),
        cmocka_unit_test(masks_are_those_of_seed_and_step),
        cmocka_unit_test(two_dropouts_draw_apart_even_under_one_name),
        cmocka_unit_test(a_program_draws_a_new_mask_each_run),
        cmocka_unit_test(layers_of_one_name_share_their_parameters),
        cmocka_unit_test(a_border_around_a_maximum_is_a_number),
        cmocka_unit_test(a_scaler_is_a_layer),
    };
    return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
