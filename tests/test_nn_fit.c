/* test_nn_fit.c - training, evaluating and predicting, against plain loops and against each other
 *
 * What a fit must do is mostly said by equations: a step equals arithmetic written out by hand,
 * gathered batches equal a large one, a stream equals the same rows in memory. Tolerances are a few
 * hundred roundings of numbers near 1 unless a test says otherwise. */
#include "allocator.h"
#include "fitting.h"
#include <stdatomic.h>

#define ROUNDING 1e-13

/* ---- learning ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    nn_optimizer (*make)(double rate);
    double rate;
} optimizers[] = {
    {"SGD", nn_sgd, .3},          {"Adagrad", nn_adagrad, .2}, {"RMSprop", nn_rmsprop, .01},
    {"Adadelta", nn_adadelta, 1}, {"Adam", nn_adam, .02},      {"AdamW", nn_adamw, .02},
    {"AdaMax", nn_adamax, .02},   {"NAdam", nn_nadam, .02},
};

static double accuracy_after(nn_data *data, int64_t classes, ad_dtype dtype, nn_fit_config config)
{
    nn_error e = {0};
    nn_model *m = small(classes, dtype, 3);
    nn_scores scores;
    config.loss = NN_SOFTMAX_CROSS_ENTROPY;
    nn_fit(m, data, &config, &e);
    nn_evaluate(m, data, NULL, &scores, &e);
    FINE(e);
    nn_model_free(m);
    return scores.accuracy;
}

static void blobs_are_learned_by(const char *name, nn_optimizer o, int epochs)
{
    nn_error e = {0};
    nn_data *blobs = nn_make_blobs(60, 3, .15, 1, &e);
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
        double accuracy =
            accuracy_after(blobs, 3, (ad_dtype)dtype,
                           (nn_fit_config){.optimizer = o, .batch = 10, .epochs = epochs});
        if (!(accuracy >= .98))
            fail_msg("%s, %s: accuracy %g", name, ad_dtype_name((ad_dtype)dtype), accuracy);
    }
    nn_data_free(blobs);
}

static void every_optimizer_learns_blobs(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(optimizers); i++)
        blobs_are_learned_by(optimizers[i].name, optimizers[i].make(optimizers[i].rate), 30);
    blobs_are_learned_by("momentum", nn_momentum(.05, .9), 30);
    blobs_are_learned_by("Nesterov", nn_nesterov(.05, .9), 30);
    blobs_are_learned_by("L-BFGS", nn_lbfgs(), 30);
    for (int rule = NN_SGD; rule <= NN_NADAM; rule++) {
        nn_optimizer keras = nn_keras((nn_rule)rule);
        keras.rate = rule == NN_SGD ? .3 : rule == NN_ADADELTA ? 1 : .02;
        blobs_are_learned_by("Keras", keras, rule == NN_ADAGRAD ? 80 : 30);
    }
}

static void xor_and_moons_are_learned(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data[] = {nn_make_xor(100, .05, 1, &e), nn_make_moons(100, .1, 1, &e)};
    const nn_optimizer with[] = {nn_adam(.03), nn_lbfgs()};
    for (int i = 0; i < COUNT(data); i++)
        for (int k = 0; k < COUNT(with); k++) {
            nn_fit_config c = {.optimizer = with[k], .batch = 10, .epochs = 80};
            double accuracy = accuracy_after(data[i], 2, AD_F64, c);
            if (!(accuracy >= .97))
                fail_msg("data %d, optimizer %d: accuracy %g", i, k, accuracy);
        }
    for (int i = 0; i < COUNT(data); i++)
        nn_data_free(data[i]);
}

/* One output: classes as 0 and 1 are column targets of the binary losses. */
static void one_output_learns_two_classes(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *moons = nn_make_moons(100, .1, 1, &e);
    const nn_loss losses[] = {NN_BCE_LOGITS, NN_HINGE, NN_SQUARED_HINGE, NN_LOGISTIC, NN_BCE};
    for (int i = 0; i < COUNT(losses); i++) {
        nn_model *m = nn_mlp(&(nn_mlp_config){.in = 2,
                                              .hidden = {12},
                                              .out = 1,
                                              .output = losses[i] == NN_BCE ? NN_SIGMOID : NULL,
                                              .seed = 1});
        nn_scores scores;
        nn_fit_config c = {.loss = losses[i], .optimizer = nn_adam(.03), .batch = 10, .epochs = 60};
        c.loss_options.zero_one_labels = losses[i] != NN_BCE_LOGITS && losses[i] != NN_BCE;
        nn_fit(m, moons, &c, &e);
        nn_evaluate(m, moons, &(nn_evaluate_config){.metrics = NN_ACCURACY}, &scores, &e);
        FINE(e);
        if (!(scores.accuracy >= .97))
            fail_msg("%s: accuracy %g", nn_loss_name(losses[i]), scores.accuracy);
        nn_model_free(m);
    }
    nn_data_free(moons);
}

static void regression_finds_the_plane(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(50, 0, false);
    const nn_optimizer with[] = {nn_lbfgs(), nn_adam(.05), nn_sgd(.1)};
    for (int i = 0; i < COUNT(with); i++) {
        nn_model *m = linear(2, 1, 1);
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE, .optimizer = with[i], .batch = 10, .epochs = 150},
               &e);
        FINE(e);
        const double *w = values_of(m, "0.weight"), *b = values_of(m, "0.bias");
        const double tolerance = i == 0 ? 1e-6 : 1e-2;
        NEAR(w[0], 2, tolerance);
        NEAR(w[1], -3, tolerance);
        NEAR(b[0], 1, tolerance);
        nn_model_free(m);
    }
    nn_data_free(data);
}

static ad_var squares(ad_var p, ad_var y, void *user)
{
    ++*(int *)user;
    return ad_square(ad_sub(p, y));
}

static void a_custom_loss_trains_like_the_one_it_copies(void **state)
{
    (void)state;
    nn_error e = {0};
    int calls = 0;
    nn_data *data = plane(30, .1, false);
    nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
    nn_fit_config c = {.loss = NN_MSE, .batch = 8, .epochs = 3};
    nn_fit(a, data, &c, &e);
    c.loss = NN_CUSTOM_LOSS;
    c.loss_options = (nn_loss_options){.function = squares, .user = &calls};
    nn_fit(b, data, &c, &e);
    FINE(e);
    SAME_VALUES(a, b);
    assert_true(calls > 0);
    nn_model_free(a);
    nn_model_free(b);
    nn_data_free(data);
}

/* ---- steps by hand ----------------------------------------------------------------------- */

/* y = w . x + b, trained by mean half squares: what a fit without shuffling must equal */
typedef struct by_hand {
    double w[2], b, gw[2], gb, total;
} by_hand;

static by_hand hand_of(const nn_model *m)
{
    const double *w = values_of(m, "0.weight"), *b = values_of(m, "0.bias");
    return (by_hand){.w = {w[0], w[1]}, .b = b[0]};
}

static void hand_add(by_hand *h, const nn_data *data, int64_t row)
{
    const double *x = (const double *)ad_tensor_data_const(nn_data_input(data, 0)) + 2 * row;
    const double *weights =
        nn_data_weights(data) ? ad_tensor_data_const(nn_data_weights(data)) : NULL;
    const double y = ((const double *)ad_tensor_data_const(nn_data_target(data)))[row];
    const double weight = weights ? weights[row] : 1;
    const double d = weight * (h->w[0] * x[0] + h->w[1] * x[1] + h->b - y);
    h->gw[0] += d * x[0];
    h->gw[1] += d * x[1];
    h->gb += d;
    h->total += weight;
}

static void hand_step(by_hand *h, double rate)
{
    h->w[0] -= rate * h->gw[0] / h->total;
    h->w[1] -= rate * h->gw[1] / h->total;
    h->b -= rate * h->gb / h->total;
    h->gw[0] = h->gw[1] = h->gb = h->total = 0;
}

static void equals_hand(const nn_model *m, const by_hand *h, int line)
{
    const double *w = values_of(m, "0.weight"), *b = values_of(m, "0.bias");
    near_at(w[0], h->w[0], ROUNDING, "w0", line);
    near_at(w[1], h->w[1], ROUNDING, "w1", line);
    near_at(b[0], h->b, ROUNDING, "b", line);
}

static void steps_equal_plain_arithmetic(void **state)
{
    (void)state;
    const int64_t rows = 11, batches[] = {1, 4, 11, NN_FULL_BATCH, 50};
    for (int k = 0; k < 2 * COUNT(batches); k++) {
        nn_error e = {0};
        nn_data *data = plane(rows, .1, k % 2);
        nn_model *m = linear(2, 1, 1);
        by_hand h = hand_of(m);
        const int64_t batch = batches[k / 2];
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_HALF_MSE,
                                .optimizer = nn_sgd(.1),
                                .batch = batch,
                                .epochs = 3,
                                .no_shuffle = true},
               &e);
        FINE(e);
        for (int64_t epoch = 0; epoch < 3; epoch++)
            for (int64_t row = 0; row < rows; row++) {
                hand_add(&h, data, row);
                if (row == rows - 1 || (row + 1) % (batch < rows ? batch : rows) == 0)
                    hand_step(&h, .1);
            }
        equals_hand(m, &h, __LINE__);
        nn_model_free(m);
        nn_data_free(data);
    }
}

/* With every reduction the step of the same sum of gradients, divided by other numbers. */
static void reductions_divide_by_what_they_say(void **state)
{
    (void)state;
    nn_error e = {0};
    enum { ROWS = 6, OUT = 3 };
    nn_data *data = data_of(drawn(ROWS, 2, 1), drawn(ROWS, OUT, 2), NULL);
    const struct {
        nn_reduction reduction;
        double divisor;
    } cases[] = {{NN_SUM, 1},
                 {NN_MEAN_SAMPLES, ROWS},
                 {NN_MEAN_ELEMENTS, ROWS * OUT},
                 {NN_DEFAULT_REDUCTION, ROWS * OUT}};
    double sum[2 * OUT];
    for (int k = 0; k < COUNT(cases); k++) {
        nn_model *m = linear(2, OUT, 1), *before = linear(2, OUT, 1);
        nn_fit_config c = {.loss = NN_MSE, .optimizer = nn_sgd(.01), .batch = NN_FULL_BATCH};
        c.loss_options.reduction = cases[k].reduction;
        nn_fit(m, data, &c, &e);
        FINE(e);
        for (int i = 0; i < 2 * OUT; i++) {
            double moved = values_of(m, "0.weight")[i] - values_of(before, "0.weight")[i];
            if (k == 0)
                sum[i] = moved;
            NEAR(moved * cases[k].divisor, sum[i], 100 * ROUNDING);
        }
        nn_model_free(m);
        nn_model_free(before);
    }
    nn_data_free(data);
}

/* ---- the order of rows ------------------------------------------------------------------- */

enum { MOST_ROWS = 64, MOST_EPOCHS = 8 };

/* A metric sees targets in the order of training; here they are row numbers. */
typedef struct seen {
    int n; /* epochs, or validations */
    int64_t rows[MOST_EPOCHS];
    int order[MOST_EPOCHS][MOST_ROWS];
} seen;

static double see(const ad_tensor *prediction, const ad_tensor *target, void *user)
{
    seen *s = user;
    (void)prediction;
    assert_true(s->n < MOST_EPOCHS && ad_tensor_size(target) <= MOST_ROWS);
    s->rows[s->n] = ad_tensor_size(target);
    for (int64_t i = 0; i < s->rows[s->n]; i++)
        s->order[s->n][i] = (int)((const double *)ad_tensor_data_const(target))[i];
    s->n++;
    return 0;
}

static void holds_each_once(const seen *s, int k, int64_t rows, int line)
{
    bool found[MOST_ROWS] = {false};
    for (int64_t i = 0; i < s->rows[k]; i++) {
        if (found[s->order[k][i]])
            fail_msg("line %d: row %d came twice", line, s->order[k][i]);
        found[s->order[k][i]] = true;
    }
    assert_int_equal(s->rows[k], rows);
}

static bool same_order(const seen *s, int a, int b)
{
    return s->rows[a] == s->rows[b] &&
           !memcmp(s->order[a], s->order[b], (size_t)s->rows[a] * sizeof(int));
}

static nn_data *numbered(int64_t rows)
{
    return data_of(drawn(rows, 2, 1), row_numbers(rows), NULL);
}

static void every_row_is_used_once_an_epoch_in_a_new_order(void **state)
{
    (void)state;
    nn_error e = {0};
    seen s = {0};
    nn_data *data = numbered(23);
    nn_model *m = linear(2, 1, 1);
    nn_fit_config c = {.loss = NN_MSE,
                       .optimizer = nn_sgd(1e-4),
                       .batch = 5,
                       .epochs = 3,
                       .metric = see,
                       .metric_user = &s};
    nn_fit(m, data, &c, &e);
    nn_fit(m, data, &c, &e); /* goes on with other shuffles */
    FINE(e);
    assert_int_equal(s.n, 6);
    for (int k = 0; k < 6; k++) {
        holds_each_once(&s, k, 23, __LINE__);
        for (int j = 0; j < k; j++)
            assert_false(same_order(&s, j, k));
    }
    c.no_shuffle = true;
    c.epochs = 2;
    nn_fit(m, data, &c, &e);
    FINE(e);
    for (int k = 6; k < 8; k++)
        for (int i = 0; i < 23; i++)
            assert_int_equal(s.order[k][i], i);
    nn_model_free(m);
    nn_data_free(data);
}

/* ---- accumulation ------------------------------------------------------------------------ */

static void same_as_large_batches(nn_data *data, int64_t out, nn_fit_config config, int line)
{
    nn_error e = {0};
    nn_model *large = small(out, AD_F64, 1), *gathered = small(out, AD_F64, 1);
    config.batch = 12;
    config.epochs = 3;
    nn_fit(large, data, &config, &e);
    config.batch = 4;
    config.accumulate = 3;
    nn_fit(gathered, data, &config, &e);
    fine_at(&e, line);
    close_values_at(gathered, large, 100 * ROUNDING, line);
    near_at(nn_history_at(gathered, 0)->training.loss, nn_history_at(large, 0)->training.loss,
            100 * ROUNDING, "loss", line);
    nn_model_free(large);
    nn_model_free(gathered);
}

/* 32 rows: the last group has 2 batches of 3. Weights differ from batch to batch; in one they are
 * all 0. */
static void gathered_batches_equal_a_large_one(void **state)
{
    (void)state;
    nn_error e = {0};
    enum { ROWS = 32 };
    ad_tensor *weights = some_weights(ROWS);
    for (int i = 4; i < 8; i++)
        ((double *)ad_tensor_data(weights))[i] = 0;
    nn_data *classes = nn_make_blobs(ROWS, 3, .5, 1, &e);
    nn_data *weighted = nn_data_with_weights(classes, weights, &e);
    nn_data *numbers = plane(ROWS, .1, true);
    const double class_weights[] = {1, 5, .25};
    const nn_fit_config plain = {
        .loss = NN_SOFTMAX_CROSS_ENTROPY, .optimizer = nn_momentum(.05, .9), .no_shuffle = true};
    nn_fit_config c = plain;
    same_as_large_batches(classes, 3, c, __LINE__);
    same_as_large_batches(weighted, 3, c, __LINE__);
    c.loss_options.n_class_weights = 3;
    c.loss_options.class_weights = class_weights;
    same_as_large_batches(classes, 3, c, __LINE__);
    same_as_large_batches(weighted, 3, c, __LINE__);
    c.loss_options.divide_by_count = true;
    same_as_large_batches(weighted, 3, c, __LINE__);
    c = plain;
    c.l1 = .01;
    c.l2 = .1;
    c.clip_norm = .1;
    c.average = .5;
    same_as_large_batches(weighted, 3, c, __LINE__);
    c.loss_options.reduction = NN_SUM;
    c.l1 = c.l2 = 0; /* each sum of a batch would have its own */
    c.loss = NN_MSE;
    ad_tensor_free(weights);
    same_as_large_batches(numbers, 1, c, __LINE__);
    c.loss_options.reduction = NN_MEAN_ELEMENTS;
    same_as_large_batches(numbers, 1, c, __LINE__);
    nn_data_free(classes);
    nn_data_free(weighted);
    nn_data_free(numbers);
}

/* ---- penalties, decay, clipping, averages ------------------------------------------------ */

static double penalty_of(const nn_model *m, double l1, double l2, bool biases)
{
    double sum = 0;
    for (int i = 0; i < nn_param_count(m); i++) {
        const ad_tensor *t = ad_param_value(nn_param_at(m, i));
        const double *w = ad_tensor_data_const(t);
        for (int64_t k = 0; k < ad_tensor_size(t); k++)
            if (biases || ad_tensor_rank(t) > 1)
                sum += l1 * fabs(w[k]) + l2 / 2 * w[k] * w[k];
    }
    return sum;
}

static void penalties_are_added_to_the_loss(void **state)
{
    (void)state;
    nn_error e = {0};
    const int64_t rows = 12;
    nn_data *data = plane(rows, .1, false);
    for (int k = 0; k < 4; k++) {
        const bool biases = k & 1, by_rows = k & 2;
        nn_model *m = small(1, AD_F64, 1);
        nn_scores scores;
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE,
                                .optimizer = still(),
                                .batch = 5,
                                .l1 = .3,
                                .l2 = .7,
                                .penalise_biases = biases,
                                .penalty_by_rows = by_rows},
               &e);
        nn_evaluate(m, data, &(nn_evaluate_config){.loss = NN_MSE}, &scores, &e);
        FINE(e);
        double want = scores.loss + penalty_of(m, .3, .7, biases) / (by_rows ? (double)rows : 1);
        NEAR(nn_history_at(m, 0)->training.loss, want, ROUNDING);
        nn_model_free(m);
    }
    nn_data_free(data);
}

/* the full batch's gradient of half squares at the model's values */
static by_hand gradient_at(const nn_data *data, by_hand h)
{
    h.gw[0] = h.gw[1] = h.gb = h.total = 0;
    for (int64_t i = 0; i < nn_data_rows(data); i++)
        hand_add(&h, data, i);
    h.gw[0] /= h.total;
    h.gw[1] /= h.total;
    h.gb /= h.total;
    return h;
}

/* Momentum tells the two kinds of decay apart from its second step on. */
static void decay_is_coupled_or_decoupled(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(12, .1, false);
    for (int k = 0; k < 4; k++) {
        const bool coupled = k & 1, biases = k & 2;
        const double rate = .1, mu = .9, decay = .4;
        nn_model *m = linear(2, 1, 1);
        by_hand h = hand_of(m);
        double v[3] = {0};
        nn_optimizer o = nn_momentum(rate, mu);
        *(coupled ? &o.coupled_decay : &o.decoupled_decay) = decay;
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_HALF_MSE,
                                .optimizer = o,
                                .batch = NN_FULL_BATCH,
                                .epochs = 3,
                                .penalise_biases = biases},
               &e);
        FINE(e);
        for (int step = 0; step < 3; step++) {
            by_hand g = gradient_at(data, h);
            double *w[3] = {&h.w[0], &h.w[1], &h.b}, d[3] = {g.gw[0], g.gw[1], g.gb};
            for (int i = 0; i < 3; i++) {
                const double lambda = i < 2 || biases ? decay : 0;
                if (coupled)
                    d[i] += lambda * *w[i];
                else
                    *w[i] *= 1 - rate * lambda;
                v[i] = mu * v[i] + d[i];
                *w[i] -= rate * v[i];
            }
        }
        equals_hand(m, &h, __LINE__);
        nn_model_free(m);
    }
    nn_data_free(data);
}

/* A gradient of (3,4). */
static void clipping_follows_its_formula(void **state)
{
    (void)state;
    nn_error e = {0};
    const int64_t shape[2] = {1, 2}, one[2] = {1, 1};
    nn_data *data = data_of(ad_tensor_from(NULL, AD_F64, 2, shape, (double[]){3, 4}),
                            ad_tensor_from(NULL, AD_F64, 2, one, (double[]){-1}), NULL);
    const struct {
        double by_norm, by_value, want[2];
    } cases[] = {{2, 0, {3 * (2 / (5 + 1e-6)), 4 * (2 / (5 + 1e-6))}},
                 {6, 0, {3, 4}},
                 {0, 3.5, {3, 3.5}},
                 {0, 5, {3, 4}},
                 {2, 3, {3 * 2 / (sqrt(18) + 1e-6), 3 * 2 / (sqrt(18) + 1e-6)}},
                 {0, 0, {3, 4}}};
    for (int k = 0; k < COUNT(cases); k++) {
        nn_layer layer = nn_dense(1, NULL);
        layer.no_bias = true;
        layer.weight_init = (nn_init){.kind = NN_INIT_CONSTANT};
        nn_model *m = nn_sequential(
            &(nn_model_config){.n_inputs = 1, .inputs = {{.rank = 1, .size = {2}}}}, 1, &layer);
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_HALF_MSE,
                                .optimizer = nn_sgd(1),
                                .clip_norm = cases[k].by_norm,
                                .clip_value = cases[k].by_value},
               &e);
        FINE(e);
        NEAR(-values_of(m, "0.weight")[0], cases[k].want[0], ROUNDING);
        NEAR(-values_of(m, "0.weight")[1], cases[k].want[1], ROUNDING);
        nn_model_free(m);
    }
    NEAR(cases[0].want[0], 1.2, 1e-6);
    nn_data_free(data);
}

static void averages_are_what_validation_sees_and_the_fit_ends_with(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(12, .1, false);
    nn_model *m = linear(2, 1, 1);
    by_hand h = hand_of(m), average = h;
    nn_scores scores;
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_HALF_MSE,
                            .optimizer = nn_sgd(.1),
                            .batch = NN_FULL_BATCH,
                            .epochs = 5,
                            .average = .8,
                            .validation = data},
           &e);
    for (int step = 0; step < 5; step++) {
        by_hand g = gradient_at(data, h);
        g.total = 1;
        hand_step(&g, .1);
        h = g;
        for (int i = 0; i < 2; i++)
            average.w[i] = .8 * average.w[i] + .2 * h.w[i];
        average.b = .8 * average.b + .2 * h.b;
    }
    equals_hand(m, &average, __LINE__);
    nn_evaluate(m, data, &(nn_evaluate_config){.loss = NN_HALF_MSE}, &scores, &e);
    FINE(e);
    EQUAL(nn_history_at(m, 4)->validation.loss, scores.loss);
    nn_model_free(m);
    nn_data_free(data);
}

/* ---- groups, frozen parameters, states ---------------------------------------------------- */

static void groups_have_rates_and_no_decay(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(12, .1, false);
    const nn_group groups[] = {{.name = "0.weight", .rate = 3}, {.name = "2", .no_decay = true}};
    const nn_fit_config plain = {
        .loss = NN_MSE, .optimizer = nn_sgd(.1), .batch = NN_FULL_BATCH, .penalise_biases = true};
    nn_model *before = small(1, AD_F64, 1), *m = small(1, AD_F64, 1), *g = small(1, AD_F64, 1);
    nn_fit_config c = plain;
    nn_fit(m, data, &c, &e);
    c.groups = groups;
    c.n_groups = 1;
    nn_fit(g, data, &c, &e);
    FINE(e);
    for (int i = 0; i < 16; i++)
        NEAR(values_of(g, "0.weight")[i] - values_of(before, "0.weight")[i],
             3 * (values_of(m, "0.weight")[i] - values_of(before, "0.weight")[i]), ROUNDING);
    EQUAL(values_of(g, "0.bias")[0], values_of(m, "0.bias")[0]);
    nn_model_free(g);
    nn_model_free(m);
    m = small(1, AD_F64, 1), g = small(1, AD_F64, 1); /* decay everywhere but in layer 2 */
    nn_fit(m, data, &plain, &e);
    c = plain;
    c.l1 = c.l2 = .1;
    c.optimizer.decoupled_decay = .1;
    c.groups = groups + 1;
    c.n_groups = 1;
    nn_fit(g, data, &c, &e);
    FINE(e);
    EQUAL(values_of(g, "2.weight")[3], values_of(m, "2.weight")[3]);
    EQUAL(values_of(g, "2.bias")[0], values_of(m, "2.bias")[0]);
    assert_true(values_of(g, "0.weight")[3] != values_of(m, "0.weight")[3]);
    assert_true(values_of(g, "0.bias")[3] != values_of(m, "0.bias")[3]);
    nn_model_free(before);
    nn_model_free(g);
    nn_model_free(m);
    nn_data_free(data);
}

static void frozen_parameters_keep_their_bits_and_states_move(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(12, .1, false);
    const nn_mlp_config config = {.in = 2, .hidden = {4}, .out = 1, .batch_norm = true, .seed = 1};
    nn_model *m = nn_mlp(&config), *before = nn_mlp(&config);
    assert_int_equal(nn_freeze(m, "0", true), 2);
    nn_optimizer o = nn_adamw(.1);
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_MSE, .optimizer = o, .epochs = 3, .l2 = .1, .average = .5},
           &e);
    FINE(e);
    for (int i = 0; i < nn_param_count(m); i++) {
        const ad_tensor *a = ad_param_value(nn_param_at(m, i)),
                        *b = ad_param_value(nn_param_at(before, i));
        const bool same = !memcmp(ad_tensor_data_const(a), ad_tensor_data_const(b),
                                  (size_t)ad_tensor_size(a) * sizeof(double));
        const char *name = ad_param_name(nn_param_at(m, i));
        if (same != !strncmp(name, "0.", 2))
            fail_msg("'%s' %s", name, same ? "did not move" : "moved");
    }
    nn_model_free(m);
    nn_model_free(before);
    nn_data_free(data);
}

/* ---- validation -------------------------------------------------------------------------- */

static void held_rows_are_never_trained_on(void **state)
{
    (void)state;
    nn_error e = {0};
    enum { ROWS = 20, HELD = 5, EPOCHS = 3 };
    seen s = {0};
    bool held[ROWS] = {false};
    nn_data *data = numbered(ROWS);
    nn_model *m = linear(2, 1, 1);
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_MSE,
                            .optimizer = nn_sgd(1e-5),
                            .batch = 4,
                            .epochs = EPOCHS,
                            .validation_share = .25,
                            .metric = see,
                            .metric_user = &s},
           &e);
    FINE(e);
    assert_int_equal(s.n, 2 * EPOCHS); /* training and validation in turn */
    for (int i = 0; i < HELD; i++)
        held[s.order[1][i]] = true;
    for (int k = 0; k < EPOCHS; k++) {
        holds_each_once(&s, 2 * k, ROWS - HELD, __LINE__);
        holds_each_once(&s, 2 * k + 1, HELD, __LINE__);
        for (int i = 0; i < ROWS - HELD; i++)
            assert_false(held[s.order[2 * k][i]]);
        for (int i = 0; i < HELD; i++)
            assert_true(held[s.order[2 * k + 1][i]]);
        assert_int_equal(nn_history_at(m, k)->validation.rows, HELD);
    }
    nn_model_free(m);
    nn_data_free(data);
}

/* What callbacks saw. */
typedef struct log_entry {
    nn_progress_info info;
} log_entry;
typedef struct fit_log {
    int n, stop_at; /* 0: never; else false at the so-many-eth entry */
    log_entry entries[256];
} fit_log;

static bool note(void *user, const nn_progress_info *info)
{
    fit_log *l = user;
    assert_true(l->n < COUNT(l->entries));
    l->entries[l->n++].info = *info;
    return l->n != l->stop_at;
}

static int count_events(const fit_log *l, nn_event event)
{
    int n = 0;
    for (int i = 0; i < l->n; i++)
        n += l->entries[i].info.event == event;
    return n;
}

static const nn_progress_info *nth_event(const fit_log *l, nn_event event, int k)
{
    for (int i = 0; i < l->n; i++)
        if (l->entries[i].info.event == event && k-- == 0)
            return &l->entries[i].info;
    fail_msg("no event %d", (int)event);
    return NULL;
}

static void validation_comes_every_epoch_or_every_so_many_steps(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false), *other = plane(7, .3, false);
    for (int every = 0; every <= 3; every += 3) {
        static fit_log l;
        l = (fit_log){0};
        nn_model *m = linear(2, 1, 1);
        nn_scores scores;
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE,
                                .batch = 5,
                                .epochs = 3,
                                .validation = other,
                                .validate_every = every,
                                .metrics = NN_RMSE,
                                .callbacks = {{note, &l}}},
               &e);
        nn_evaluate(m, other, &(nn_evaluate_config){.loss = NN_MSE, .metrics = NN_RMSE}, &scores,
                    &e);
        FINE(e);
        const int validations = every ? 12 / every : 3;
        assert_int_equal(count_events(&l, NN_FIT_BEGINS), 1);
        assert_int_equal(count_events(&l, NN_STEP_DONE), 12);
        assert_int_equal(count_events(&l, NN_VALIDATED), validations);
        assert_int_equal(count_events(&l, NN_EPOCH_DONE), 3);
        assert_int_equal(count_events(&l, NN_FIT_DONE), 1);
        assert_int_equal(nn_history_count(m), validations);
        for (int i = 0; i < validations; i++)
            assert_int_equal(nn_history_at(m, i)->step, (i + 1) * (every ? every : 4));
        EQUAL(nn_history_at(m, validations - 1)->validation.loss, scores.loss);
        EQUAL(nn_history_at(m, validations - 1)->validation.rmse, scores.rmse);
        const nn_progress_info *last = nth_event(&l, NN_FIT_DONE, 0);
        assert_int_equal(last->epoch, 3);
        assert_int_equal(last->step, 12);
        assert_null(last->stopped);
        const nn_progress_info *sixth = nth_event(&l, NN_STEP_DONE, 5);
        assert_int_equal(sixth->epoch, 2);
        assert_int_equal(sixth->batch, 2);
        assert_int_equal(sixth->batches, 4);
        assert_int_equal(sixth->rows, 10);
        nn_model_free(m);
    }
    nn_data_free(data);
    nn_data_free(other);
}

/* Keeps the values of each best validation, as the fit should. */
typedef struct best_kept {
    nn_model *copy;
    double best;
    int since, validations;
} best_kept;

static bool keep_best(void *user, const nn_progress_info *info)
{
    best_kept *k = user;
    if (info->event != NN_VALIDATED)
        return true;
    k->validations++;
    k->since++;
    if (isnan(k->best) || info->validation.loss < k->best) {
        k->best = info->validation.loss;
        k->since = 0;
        for (int i = 0; i < nn_param_count(k->copy); i++)
            ad_tensor_copy(ad_param_value(nn_param_at(k->copy, i)),
                           ad_param_value(nn_param_at(info->model, i)));
    }
    assert_int_equal(info->waited, k->since);
    EQUAL(info->best, k->best);
    return true;
}

/* A large rate makes the validation jump about. */
static void early_stopping_restores_the_best_bits(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, 1, false), *other = plane(9, 1, false);
    for (int patience = 0; patience <= 4; patience += 2) {
        best_kept kept = {linear(2, 1, 1), NAN, 0, 0};
        nn_model *m = linear(2, 1, 1);
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE,
                                .optimizer = nn_adam(.3),
                                .batch = 2,
                                .epochs = 200,
                                .validation = other,
                                .patience = patience,
                                .restore_best = true,
                                .callbacks = {{keep_best, &kept}}},
               &e);
        FINE(e);
        SAME_VALUES(m, kept.copy);
        assert_int_equal(nn_history_count(m), kept.validations);
        if (patience) {
            assert_int_equal(kept.since, patience);
            assert_true(kept.validations < 200);
        }
        nn_model_free(m);
        nn_model_free(kept.copy);
    }
    nn_data_free(data);
    nn_data_free(other);
}

/* Accuracy is good when large: as long as it rises there is no stop, though the loss's best would
 * be another epoch's. */
static void a_metric_can_be_monitored(void **state)
{
    (void)state;
    nn_error e = {0};
    static fit_log l;
    l = (fit_log){0};
    nn_data *blobs = nn_make_blobs(60, 3, .6, 1, &e), *other = nn_make_blobs(30, 3, .6, 2, &e);
    nn_model *m = small(3, AD_F64, 1);
    nn_scores scores;
    nn_fit(m, blobs,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_adam(.02),
                            .batch = 10,
                            .epochs = 12,
                            .validation = other,
                            .monitor = NN_ACCURACY,
                            .restore_best = true,
                            .callbacks = {{note, &l}}},
           &e);
    nn_evaluate(m, other, NULL, &scores, &e);
    FINE(e);
    double best = 0;
    for (int i = 0; i < 12; i++)
        best = fmax(best, nn_history_at(m, i)->validation.accuracy);
    EQUAL(nth_event(&l, NN_FIT_DONE, 0)->best, best);
    EQUAL(scores.accuracy, best);
    assert_true(best > .6);
    nn_model_free(m);
    nn_data_free(blobs);
    nn_data_free(other);
}

/* ---- rates ------------------------------------------------------------------------------- */

static void callbacks_see_the_rate_of_the_step(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    const nn_schedule schedules[] = {{.kind = NN_CONSTANT},
                                     {.kind = NN_STEP, .every = 2, .gamma = .5},
                                     {.kind = NN_EXPONENTIAL, .gamma = .5, .warmup = 1},
                                     {.kind = NN_COSINE, .floor = .1},
                                     {.kind = NN_ONE_CYCLE}};
    for (int k = 0; k < COUNT(schedules); k++) {
        static fit_log l;
        l = (fit_log){0};
        nn_model *m = linear(2, 1, 1);
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE,
                                .optimizer = nn_sgd(.02),
                                .schedule = schedules[k],
                                .batch = 5,
                                .epochs = 5,
                                .callbacks = {{note, &l}}},
               &e);
        FINE(e);
        for (int step = 0; step < 20; step++)
            EQUAL(nth_event(&l, NN_STEP_DONE, step)->rate,
                  .02 * nn_schedule_factor(&schedules[k], step, 4, 20, 0));
        for (int epoch = 0; epoch < 5; epoch++)
            EQUAL(nn_history_at(m, epoch)->rate,
                  .02 * nn_schedule_factor(&schedules[k], 4 * epoch + 3, 4, 20, 0));
        nn_model_free(m);
    }
    nn_data_free(data);
}

/* Nothing moves, so that the first validation stays the best. */
static void a_plateau_reduces_the_rate(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    nn_model *m = linear(2, 1, 1);
    nn_freeze(m, "0.weight", true);
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_MSE,
                            .optimizer = nn_sgd(1e-300),
                            .schedule = {.kind = NN_PLATEAU, .gamma = .5, .patience = 2},
                            .batch = NN_FULL_BATCH,
                            .epochs = 7,
                            .validation = data},
           &e);
    FINE(e);
    const double factors[] = {1, 1, 1, .5, .5, .25, .25};
    for (int i = 0; i < 7; i++)
        EQUAL(nn_history_at(m, i)->rate, 1e-300 * factors[i]);
    nn_model_free(m);
    nn_data_free(data);
}

/* ---- scores of training ------------------------------------------------------------------ */

/* What nn_compute_scores says of what the fit collected. */
typedef struct scored {
    nn_scores scores;
    const ad_tensor *weights; /* in the order of training */
} scored;

static double score_again(const ad_tensor *prediction, const ad_tensor *target, void *user)
{
    scored *s = user;
    nn_error e = {0};
    nn_compute_scores(prediction, target, s->weights, NN_ACCURACY | NN_TOP_K | NN_PRECISION | NN_F1,
                      2, false, &s->scores, &e);
    FINE(e);
    return 42;
}

static void training_scores_are_those_of_the_epoch(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *blobs = nn_make_blobs(32, 3, .6, 1, &e);
    ad_tensor *weights = some_weights(32);
    nn_data *data = nn_data_with_weights(blobs, weights, &e);
    nn_model *m = small(3, AD_F64, 1);
    scored again = {.weights = weights};
    static fit_log l;
    l = (fit_log){0};
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = still(),
                            .batch = 5,
                            .no_shuffle = true,
                            .metrics = NN_ACCURACY | NN_TOP_K | NN_PRECISION | NN_F1,
                            .top_k = 2,
                            .metric = score_again,
                            .metric_user = &again,
                            .callbacks = {{note, &l}}},
           &e);
    nn_scores one;
    nn_evaluate_config all = {.loss = NN_SOFTMAX_CROSS_ENTROPY, .batch = 32};
    nn_evaluate(m, data, &all, &one, &e);
    FINE(e);
    const nn_scores *training = &nn_history_at(m, 0)->training;
    NEAR(training->loss, one.loss, ROUNDING);
    EQUAL(training->accuracy, again.scores.accuracy);
    EQUAL(training->accuracy, one.accuracy);
    EQUAL(training->top_k, again.scores.top_k);
    EQUAL(training->precision, again.scores.precision);
    EQUAL(training->f1, again.scores.f1);
    EQUAL(training->custom, 42);
    assert_int_equal(training->rows, 32);
    EQUAL(nth_event(&l, NN_EPOCH_DONE, 0)->training.accuracy, again.scores.accuracy);
    assert_true(isnan(nth_event(&l, NN_STEP_DONE, 2)->training.precision)); /* not yet */
    ad_tensor_free(weights);
    nn_model_free(m);
    nn_data_free(data);
    nn_data_free(blobs);
}

static void lbfgs_scores_its_training_too(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *blobs = nn_make_blobs(40, 3, .7, 1, &e);
    nn_model *m = small(3, AD_F64, 1);
    nn_scores scores;
    nn_fit(m, blobs,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_lbfgs(),
                            .epochs = 6,
                            .monitor = NN_ACCURACY},
           &e);
    nn_evaluate(m, blobs, &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY}, &scores, &e);
    FINE(e);
    const nn_history_row *last = nn_history_at(m, nn_history_count(m) - 1);
    EQUAL(last->training.accuracy, scores.accuracy);
    NEAR(last->training.loss, scores.loss, ROUNDING);
    for (int i = 1; i < nn_history_count(m); i++)
        assert_true(nn_history_at(m, i)->training.loss < nn_history_at(m, i - 1)->training.loss);
    nn_model_free(m);
    nn_data_free(blobs);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void a_stream_trains_like_the_same_rows_in_memory(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data[] = {plane(22, .1, true), plane(22, .1, false)};
    for (int k = 0; k < 4; k++) {
        tap t = {.data = data[k % 2]};
        nn_data *stream = stream_of(&t, k / 2);
        nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
        nn_scores scores[2];
        nn_fit_config c = {
            .loss = NN_MSE, .batch = 5, .epochs = 3, .no_shuffle = true, .metrics = NN_MAE_METRIC};
        nn_fit(a, data[k % 2], &c, &e);
        nn_fit(b, stream, &c, &e);
        nn_evaluate_config all = {.loss = NN_MSE, .batch = 5};
        nn_evaluate(a, data[k % 2], &all, &scores[0], &e);
        assert_int_equal(t.rewinds, 3);
        assert_int_equal(t.last_epoch, 2);
        nn_evaluate(b, stream, &all, &scores[1], &e);
        nn_evaluate(b, stream, NULL, &scores[1], &e);
        nn_evaluate(b, stream, &all, &scores[1], &e);
        FINE(e);
        SAME_VALUES(a, b);
        EQUAL(nn_history_at(b, 2)->training.loss, nn_history_at(a, 2)->training.loss);
        EQUAL(nn_history_at(b, 2)->training.mae, nn_history_at(a, 2)->training.mae);
        EQUAL(scores[1].loss, scores[0].loss);
        EQUAL(scores[1].rmse, scores[0].rmse);
        nn_model_free(a);
        nn_model_free(b);
        nn_data_free(stream);
    }
    nn_data_free(data[0]);
    nn_data_free(data[1]);
}

/* Batches as the stream gives them: 3 rows where 5 are asked for. */
static void a_stream_may_give_less_than_is_asked_for(void **state)
{
    (void)state;
    nn_error e = {0};
    static fit_log l;
    l = (fit_log){0};
    nn_data *data = plane(22, .1, false);
    tap t = {.data = data, .most = 3};
    nn_data *stream = stream_of(&t, false);
    nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
    nn_fit_config c = {.loss = NN_MSE, .batch = 3, .epochs = 2, .no_shuffle = true};
    nn_fit(a, data, &c, &e);
    c.batch = 5;
    c.callbacks[0] = (nn_callback){note, &l};
    nn_fit(b, stream, &c, &e);
    FINE(e);
    SAME_VALUES(a, b);
    assert_int_equal(nth_event(&l, NN_STEP_DONE, 6)->batch, 7);
    assert_int_equal(nth_event(&l, NN_STEP_DONE, 6)->batches, -1);
    assert_int_equal(nth_event(&l, NN_STEP_DONE, 6)->rows, 21);
    nn_model_free(a);
    nn_model_free(b);
    nn_data_free(stream);
    nn_data_free(data);
}

/* Labels of -1 and 1, of which a short first batch must not show the rest of its buffer. */
static void only_rows_that_a_stream_gave_are_looked_at(void **state)
{
    (void)state;
    nn_error e = {0};
    ad_tensor *y = row_numbers(4);
    for (int i = 0; i < 4; i++)
        ((double *)ad_tensor_data(y))[i] = i % 2 ? 1 : -1;
    nn_data *data = data_of(drawn(4, 2, 1), y, NULL);
    tap t = {.data = data};
    nn_data *stream = stream_of(&t, false);
    nn_model *m = linear(2, 1, 1);
    nn_scores scores;
    nn_fit(m, stream, &(nn_fit_config){.loss = NN_HINGE, .batch = 10}, &e);
    nn_evaluate(m, stream, &(nn_evaluate_config){.loss = NN_HINGE, .metrics = NN_RMSE}, &scores,
                &e);
    FINE(e);
    ((double *)ad_tensor_data(nn_data_target(data)))[3] = .5;
    nn_fit(m, stream, &(nn_fit_config){.loss = NN_HINGE, .batch = 3}, &e);
    FAILS(e, AD_BAD_ARGUMENT, "row 3: the target 0.5");
    nn_evaluate(m, stream, &(nn_evaluate_config){.loss = NN_HINGE, .batch = 3}, &scores, &e);
    FAILS(e, AD_BAD_ARGUMENT, "row 3: the target 0.5");
    nn_model_free(m);
    nn_data_free(stream);
    nn_data_free(data);
}

static bool never(void *user, int64_t epoch)
{
    (void)user;
    return epoch < 1;
}

static int64_t nothing(void *user, int64_t rows, ad_tensor *const *inputs, ad_tensor *target,
                       ad_tensor *weights)
{
    (void)user, (void)inputs, (void)target, (void)weights;
    return user ? rows + 1 : 0;
}

static nn_data *odd_stream(int64_t (*next)(void *user, int64_t rows, ad_tensor *const *inputs,
                                           ad_tensor *target, ad_tensor *weights),
                           bool (*rewind)(void *user, int64_t epoch), void *user)
{
    nn_error e = {0};
    nn_data *data = nn_data_stream(&(nn_stream){.next = next,
                                                .rewind = rewind,
                                                .user = user,
                                                .rows = -1,
                                                .n_inputs = 1,
                                                .inputs = {{.rank = 1, .size = {2}}},
                                                .target = {.rank = 1, .size = {1}}},
                                   &e);
    FINE(e);
    return data;
}

static void errors_of_streams_are_told(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(22, .1, true);
    tap t = {.data = data, .fail_at = 10};
    nn_data *failing = stream_of(&t, false), *empty = odd_stream(nothing, NULL, NULL),
            *too_much = odd_stream(nothing, NULL, &t), *once = odd_stream(tap_next, never, &t);
    nn_model *m = linear(2, 1, 1);
    const nn_fit_config c = {.loss = NN_MSE, .batch = 5, .epochs = 2};
    nn_fit(m, failing, &c, &e);
    FAILS(e, AD_BAD_ARGUMENT, "next gave -1 rows after row 10");
    nn_fit(m, empty, &c, &e);
    FAILS(e, AD_BAD_SHAPE, "epoch 1 had no rows");
    nn_fit(m, too_much, &c, &e);
    FAILS(e, AD_BAD_ARGUMENT, "next gave 6 rows");
    t = (tap){.data = data};
    nn_fit(m, once, &c, &e);
    FAILS(e, AD_BAD_ARGUMENT, "rewind failed before epoch 2");
    nn_fit(m, failing, &(nn_fit_config){.loss = NN_MSE, .batch = NN_FULL_BATCH}, &e);
    FAILS(e, AD_BAD_ARGUMENT, "no full batch; set .batch");
    nn_fit(m, failing, &(nn_fit_config){.loss = NN_MSE, .optimizer = nn_lbfgs()}, &e);
    FAILS(e, AD_BAD_ARGUMENT, "L-BFGS");
    nn_fit(m, failing, &(nn_fit_config){.loss = NN_MSE, .validation_share = .5}, &e);
    FAILS(e, AD_BAD_ARGUMENT, "cannot be held out");
    nn_fit(m, failing, &(nn_fit_config){.loss = NN_MSE, .l2 = 1, .penalty_by_rows = true}, &e);
    FAILS(e, AD_BAD_ARGUMENT, "how many rows");
    const double wrong[] = {-1, NAN, INFINITY};
    for (int i = 0; i < COUNT(wrong); i++) {
        ((double *)ad_tensor_data(nn_data_weights(data)))[7] = wrong[i];
        nn_fit(m, failing, &c, &e);
        FAILS(e, AD_BAD_ARGUMENT, i ? "row 7 is not finite" : "row 7 is negative");
    }
    nn_data *all[] = {failing, empty, too_much, once, data};
    for (int i = 0; i < COUNT(all); i++)
        nn_data_free(all[i]);
    nn_model_free(m);
}

/* ---- evaluating -------------------------------------------------------------------------- */

/* The loss of all rows at once, on a tape. */
static double loss_on_tape(const nn_model *m, const nn_data *data, nn_loss loss,
                           const nn_loss_options *options)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_tensor(t, nn_data_input(data, 0)), weights = {0};
    ad_var y = ad_constant_tensor(t, nn_data_target(data));
    if (nn_data_weights(data))
        weights = ad_constant_tensor(t, nn_data_weights(data));
    double value = NAN;
    ad_read(nn_record_loss(loss, options, nn_record(m, t, false, &x), y, weights), &value);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
    return value;
}

static void evaluates_alike(nn_loss loss, nn_loss_options options, const nn_data *data,
                            const char *output, int64_t out)
{
    nn_error e = {0};
    nn_model *m = nn_mlp(&(nn_mlp_config){
        .in = 2, .hidden = {3}, .out = out, .output = output, .seed = (uint64_t)1});
    for (int reduction = NN_DEFAULT_REDUCTION; reduction <= NN_MEAN_SAMPLES; reduction++) {
        options.reduction = (nn_reduction)reduction;
        if (reduction == NN_NONE)
            continue;
        const double want = loss_on_tape(m, data, loss, &options);
        for (int64_t batch = 0; batch <= 16; batch += batch < 2 ? 1 : 7) {
            nn_scores scores;
            nn_evaluate(
                m, data,
                &(nn_evaluate_config){.loss = loss, .loss_options = options, .batch = batch},
                &scores, &e);
            FINE(e);
            if (!(fabs(scores.loss - want) <= ROUNDING * fabs(want)))
                fail_msg("%s, reduction %d, batch %d: got %.17g, want %.17g", nn_loss_name(loss),
                         reduction, (int)batch, scores.loss, want);
        }
    }
    nn_model_free(m);
}

/* Targets for every loss: numbers in 0..1, or labels, classes, distributions. */
static nn_data *data_for(nn_loss loss, bool weighted)
{
    enum { ROWS = 17 };
    const bool classes = loss == NN_SOFTMAX_CROSS_ENTROPY || loss == NN_CROSS_ENTROPY;
    ad_tensor *y = classes ? ad_tensor_new(NULL, AD_I32, 1, (int64_t[]){ROWS})
                           : ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){ROWS, 3});
    double *values = classes ? NULL : ad_tensor_data(y);
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < 3; k++) {
            double v = .1 * ((i + 2 * k) % 9);
            if (loss == NN_HINGE || loss == NN_SQUARED_HINGE || loss == NN_LOGISTIC)
                v = (i + k) % 2 ? 1 : -1;
            if (loss == NN_KL)
                v = (double[]){.2, .5, .3}[(i + k) % 3];
            if (classes)
                ((int32_t *)ad_tensor_data(y))[i] = i % 3;
            else
                values[3 * i + k] = v;
        }
    ad_tensor *weights = weighted ? some_weights(ROWS) : NULL;
    if (weighted) /* whole batches of nothing, where batches are small */
        for (int i = 2; i < 6; i++)
            ((double *)ad_tensor_data(weights))[i] = 0;
    return data_of(drawn(ROWS, 2, 3), y, weights);
}

static void the_batch_size_does_not_matter_to_evaluation(void **state)
{
    (void)state;
    int calls = 0;
    const double class_weights[] = {1, .5, 3};
    for (int loss = NN_MSE; loss < NN_LOSSES; loss++)
        for (int weighted = 0; weighted < 2; weighted++) {
            nn_data *data = data_for((nn_loss)loss, weighted);
            const bool classes = loss == NN_SOFTMAX_CROSS_ENTROPY || loss == NN_CROSS_ENTROPY;
            const char *output = loss == NN_MSLE || loss == NN_BCE           ? NN_SIGMOID
                                 : loss == NN_CROSS_ENTROPY || loss == NN_KL ? NN_SOFTMAX
                                                                             : NULL;
            nn_loss_options options = {.function = squares, .user = &calls};
            evaluates_alike((nn_loss)loss, options, data, output, 3);
            options.divide_by_count = true;
            evaluates_alike((nn_loss)loss, options, data, output, 3);
            if (classes) {
                options.divide_by_count = false;
                options.n_class_weights = 3;
                options.class_weights = class_weights;
                options.smoothing = .1;
                evaluates_alike((nn_loss)loss, options, data, output, 3);
            }
            nn_data_free(data);
        }
}

static void metrics_are_chosen_by_the_targets(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *classes = nn_make_blobs(20, 3, .2, 1, &e), *numbers = plane(20, .1, false);
    nn_model *m = small(3, AD_F64, 1), *r = small(1, AD_F64, 1);
    nn_scores scores;
    nn_evaluate(m, classes, NULL, &scores, &e);
    FINE(e);
    assert_true(!isnan(scores.accuracy) && isnan(scores.mae) && isnan(scores.loss));
    assert_int_equal(scores.rows, 20);
    nn_evaluate(r, numbers, NULL, &scores, &e);
    FINE(e);
    assert_true(isnan(scores.accuracy) && scores.mae > 0 && scores.rmse >= scores.mae &&
                !isnan(scores.r2));
    nn_evaluate(m, classes, &(nn_evaluate_config){.metrics = NN_TOP_K, .top_k = 3}, &scores, &e);
    FINE(e);
    EQUAL(scores.top_k, 1);
    nn_model_free(m);
    nn_model_free(r);
    nn_data_free(classes);
    nn_data_free(numbers);
}

/* ---- predicting -------------------------------------------------------------------------- */

static void predictions_equal_the_recorded_model(void **state)
{
    (void)state;
    nn_error e = {0};
    enum { ROWS = 600 }; /* two batches of 256, and a rest */
    const nn_mlp_config config = {
        .in = 2, .hidden = {5}, .out = 3, .batch_norm = true, .dropout = .5, .seed = 1};
    nn_model *m = nn_mlp(&config);
    nn_data *data = data_of(drawn(ROWS, 2, 1), NULL, NULL);
    ad_tensor *x = nn_data_input(data, 0), *y = nn_predict(m, data, &e),
              *z = nn_predict_tensors(m, &x, &e);
    nn_predictor *p = nn_predictor_new(m, 4, &e);
    FINE(e);
    ad_tape *t = ad_tape_new(NULL);
    ad_var in = ad_constant_tensor(t, x);
    static double want[3 * ROWS], got[3 * ROWS];
    ad_read(nn_record(m, t, false, &in), want);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_int_equal(ad_tensor_rank(y), 2);
    assert_int_equal(ad_tensor_shape(y)[0], ROWS);
    assert_int_equal(ad_tensor_shape(y)[1], 3);
    for (int i = 0; i < 3 * ROWS; i++) {
        EQUAL(((double *)ad_tensor_data(y))[i], ((double *)ad_tensor_data(z))[i]);
        NEAR(((double *)ad_tensor_data(y))[i], want[i], ROUNDING);
    }
    for (int i = 0; i < ROWS; i += 4)
        assert_int_equal(
            nn_predictor_run(p, (const double *)ad_tensor_data_const(x) + 2 * i, got + 3 * i),
            AD_OK);
    for (int i = 0; i < 3 * ROWS; i++)
        NEAR(got[i], want[i], ROUNDING);
    assert_int_equal(nn_predictor_run(p, NULL, got), AD_NULL);
    assert_int_equal(nn_predictor_run(p, want, NULL), AD_NULL);
    assert_int_equal(nn_predictor_run(NULL, want, got), AD_NULL);
    nn_predictor_free(p);
    ad_tape_free(t);
    ad_tensor_free(y);
    ad_tensor_free(z);
    nn_data_free(data);
    nn_model_free(m);
}

static ad_var add_both(nn_pass *pass, const ad_var *inputs, void *user)
{
    (void)user;
    ad_var table = nn_apply(pass, "table", nn_embedding(4, 2), inputs[1]);
    return nn_apply(pass, "out", nn_dense(1, NULL), ad_add(inputs[0], table));
}

/* Two inputs, one of them indices, in float. */
static void several_inputs_are_trained_and_predicted(void **state)
{
    (void)state;
    nn_error e = {0};
    enum { ROWS = 30 };
    const nn_model_config config = {
        .dtype = AD_F32,
        .n_inputs = 2,
        .inputs = {{.rank = 1, .size = {2}}, {.rank = 0, .indices = true}}};
    nn_model *m = nn_model_new(&config, add_both, NULL);
    const int64_t rows = ROWS;
    ad_tensor *x[2] = {drawn(ROWS, 2, 1), ad_tensor_new(NULL, AD_I32, 1, &rows)};
    ad_tensor *y = row_numbers(ROWS);
    for (int i = 0; i < ROWS; i++) {
        ((int32_t *)ad_tensor_data(x[1]))[i] = i % 4;
        const double *row = (const double *)ad_tensor_data_const(x[0]) + 2 * i;
        ((double *)ad_tensor_data(y))[i] = row[0] + row[1] + i % 4;
    }
    nn_data *data = nn_data_new(2, x, y, NULL, &e);
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_MSE, .optimizer = nn_adam(.03), .batch = 7, .epochs = 200},
           &e);
    ad_tensor *p = nn_predict_tensors(m, x, &e);
    FINE(e);
    for (int i = 0; i < ROWS; i++)
        NEAR((double)((float *)ad_tensor_data(p))[i], ((double *)ad_tensor_data(y))[i], .01);
    assert_null(nn_predictor_new(m, 1, &e));
    FAILS(e, AD_BAD_ARGUMENT, "2 inputs");
    ad_tensor *t[] = {x[0], x[1], y, p};
    for (int i = 0; i < COUNT(t); i++)
        ad_tensor_free(t[i]);
    nn_data_free(data);
    nn_model_free(m);
}

/* ---- stopping ---------------------------------------------------------------------------- */

typedef struct stopping {
    volatile sig_atomic_t flag;
    int64_t at;
    const char *why;
    int64_t last;
} stopping;

static bool raise_flag(void *user, const nn_progress_info *info)
{
    stopping *s = user;
    if (info->event == NN_STEP_DONE && info->step == s->at)
        s->flag = 1;
    if (info->event == NN_FIT_DONE)
        s->why = info->stopped;
    s->last = info->step;
    return true;
}

static void a_flag_or_a_callback_stops_after_the_step(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    for (int at = 1; at <= 8; at++) {
        nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
        static fit_log l;
        l = (fit_log){.stop_at = at + 1 + (at > 4)}; /* BEGINS is first, EPOCH_DONE after 4 */
        stopping s = {.at = at};
        nn_fit_config c = {.loss = NN_MSE, .batch = 5, .epochs = 3};
        c.callbacks[0] = (nn_callback){raise_flag, &s};
        c.stop = &s.flag;
        nn_fit(a, data, &c, &e);
        c.stop = NULL;
        c.callbacks[0] = (nn_callback){note, &l};
        nn_fit(b, data, &c, &e);
        FINE(e);
        assert_int_equal(s.last, at);
        assert_string_equal(s.why, "asked to");
        const nn_progress_info *done = nth_event(&l, NN_FIT_DONE, 0);
        assert_int_equal(done->step, at);
        CONTAINS(done->stopped, "callback");
        SAME_VALUES(a, b);
        assert_int_equal(nn_history_count(a), at / 4 - (at % 4 == 0));
        nn_model_free(a);
        nn_model_free(b);
    }
    nn_data_free(data);
}

static void a_callback_may_stop_before_the_first_step(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    for (int k = 0; k < 2; k++) {
        nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
        static fit_log l;
        l = (fit_log){.stop_at = 1};
        nn_fit_config c = {.loss = NN_MSE, .callbacks = {{note, &l}}};
        c.optimizer = k ? nn_lbfgs() : nn_adam(0);
        nn_fit(a, data, &c, &e);
        FINE(e);
        SAME_VALUES(a, b);
        assert_int_equal(l.n, 2);
        nn_model_free(a);
        nn_model_free(b);
    }
    nn_data_free(data);
}

/* ---- a second fit ------------------------------------------------------------------------ */

static void a_second_fit_goes_on(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    const nn_mlp_config config = {.in = 2, .hidden = {6}, .out = 1, .dropout = .5, .seed = 1};
    nn_model *once = nn_mlp(&config), *twice = nn_mlp(&config);
    nn_fit_config c = {.loss = NN_MSE, .optimizer = nn_sgd(.05), .batch = 5, .epochs = 4};
    nn_fit(once, data, &c, &e);
    c.epochs = 2;
    nn_fit(twice, data, &c, &e);
    nn_fit(twice, data, &c, &e);
    FINE(e);
    SAME_VALUES(once, twice); /* plain SGD has no moments that would begin anew */
    assert_int_equal(nn_history_count(twice), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nn_history_at(twice, i)->epoch, i + 1);
        assert_int_equal(nn_history_at(twice, i)->step, 4 * i + 4);
        EQUAL(nn_history_at(twice, i)->training.loss, nn_history_at(once, i)->training.loss);
    }
    assert_null(nn_history_at(twice, 4));
    assert_null(nn_history_at(twice, -1));
    assert_null(nn_history_at(NULL, 0));
    assert_int_equal(nn_history_count(NULL), 0);
    nn_model_free(once);
    nn_model_free(twice);
    nn_data_free(data);
}

static void the_seed_decides_the_bits(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = nn_make_blobs(40, 3, .5, 1, &e);
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_model *m[3];
        for (int k = 0; k < 3; k++) {
            m[k] = nn_mlp(&(nn_mlp_config){.in = 2,
                                           .hidden = {6},
                                           .out = 3,
                                           .batch_norm = true,
                                           .dropout = .3,
                                           .dtype = (ad_dtype)dtype,
                                           .weight_init = {.kind = NN_INIT_CONSTANT, .value = .1},
                                           .bias_init = {.kind = NN_INIT_CONSTANT, .value = .1},
                                           .seed = k < 2 ? 7 : 8});
            nn_fit(m[k], data,
                   &(nn_fit_config){
                       .loss = NN_SOFTMAX_CROSS_ENTROPY, .batch = 7, .epochs = 3, .average = .9},
                   &e);
            FINE(e);
        }
        const char *name;
        SAME_VALUES(m[0], m[1]);
        assert_false(same_values(m[0], m[2], &name)); /* shuffles and masks alone */
        for (int k = 0; k < 3; k++)
            nn_model_free(m[k]);
    }
    nn_data_free(data);
}

/* ---- divergence -------------------------------------------------------------------------- */

static void is_finite(const nn_model *m)
{
    for (int i = 0; i < nn_param_count(m); i++) {
        const ad_tensor *t = ad_param_value(nn_param_at(m, i));
        for (int64_t k = 0; k < ad_tensor_size(t); k++)
            if (!isfinite(((const double *)ad_tensor_data_const(t))[k]))
                fail_msg("'%s' is not finite", ad_param_name(nn_param_at(m, i)));
    }
}

static void divergence_is_named_and_leaves_the_model_finite(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    for (int k = 0; k < 3; k++) {
        static fit_log l;
        l = (fit_log){0};
        nn_model *m = small(1, AD_F64, 1);
        nn_fit_config c = {.loss = NN_MSE,
                           .optimizer = k ? nn_sgd(1e30) : nn_adam(1e200),
                           .batch = 5,
                           .epochs = 30,
                           .accumulate = k == 2 ? 2 : 0,
                           .callbacks = {{note, &l}}};
        nn_fit(m, data, &c, &e);
        CONTAINS(e.text, "epoch ");
        CONTAINS(e.text, "batch ");
        CONTAINS(e.text, " at node ");
        assert_null(strstr(e.text, "nan"));
        FAILS(e, AD_NOT_FINITE, "the first operation that was not finite");
        is_finite(m);
        assert_int_equal(count_events(&l, NN_FIT_DONE), 1); /* even so */
        CONTAINS(nth_event(&l, NN_FIT_DONE, 0)->stopped, "error");
        nn_model_free(m);
    }
    nn_data_free(data);
}

static void a_nan_in_the_inputs_is_found(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    ((double *)ad_tensor_data(nn_data_input(data, 0)))[2 * 13] = NAN;
    const nn_optimizer with[] = {nn_adam(0), nn_lbfgs()};
    for (int k = 0; k < COUNT(with); k++) {
        nn_model *m = small(1, AD_F64, 1);
        nn_fit(
            m, data,
            &(nn_fit_config){.loss = NN_MSE, .optimizer = with[k], .batch = 5, .no_shuffle = true},
            &e);
        CONTAINS(e.text, k ? "the loss is NaN in epoch 1, batch 1:" : "NaN in epoch 1, batch 3:");
        FAILS(e, AD_NOT_FINITE, "element 0 in row 13 of the data's input is NaN");
        is_finite(m);
        nn_model_free(m);
    }
    nn_data_free(data);
}

static ad_var logarithm(nn_pass *pass, ad_var x, void *user)
{
    (void)pass, (void)user;
    return ad_log(x);
}

static void a_layer_at_fault_is_named(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    const nn_layer layers[] = {nn_dense(4, NULL), nn_custom("risky", logarithm, NULL),
                               nn_dense(1, NULL)};
    nn_model *m =
        nn_sequential(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}}, 3, layers);
    nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE, .batch = 5}, &e);
    CONTAINS(e.text, "log: element 0 of (5,4) is nan");
    FAILS(e, AD_NOT_FINITE, ", risky");
    is_finite(m);
    nn_model_free(m);
    /* a context of one's own that checks: says where as well */
    ad_context *checking = ad_context_new(&(ad_context_config){.check_finite = true});
    m = nn_mlp(&(nn_mlp_config){.in = 2, .hidden = {4}, .out = 1, .seed = 1, .context = checking});
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_MSE, .optimizer = nn_sgd(1e30), .batch = 5, .epochs = 20},
           &e);
    CONTAINS(e.text, "fit: epoch ");
    FAILS(e, AD_NOT_FINITE, "batch ");
    is_finite(m);
    nn_model_free(m);
    ad_context_free(checking);
    nn_data_free(data);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void configs_that_cannot_be_are_errors(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    nn_model *m = linear(2, 1, 1), *before = linear(2, 1, 1);
    const nn_group misnamed = {.name = "encodr"}, negative = {.name = "0", .rate = -1};
    const struct {
        nn_fit_config config;
        ad_status status;
        const char *part;
    } cases[] = {
        {{.loss = (nn_loss)0}, AD_BAD_ARGUMENT, "no loss"},
        {{.loss = NN_LOSSES}, AD_BAD_ARGUMENT, "no loss has the number"},
        {{.loss = NN_MSE, .loss_options = {.reduction = NN_NONE}}, AD_BAD_ARGUMENT, "NN_NONE"},
        {{.loss = NN_CUSTOM_LOSS}, AD_NULL, "function"},
        {{.loss = NN_MSE, .batch = -1}, AD_BAD_ARGUMENT, "negative"},
        {{.loss = NN_MSE, .epochs = -1}, AD_BAD_ARGUMENT, "negative"},
        {{.loss = NN_MSE, .accumulate = -1}, AD_BAD_ARGUMENT, "negative"},
        {{.loss = NN_MSE, .patience = -1}, AD_BAD_ARGUMENT, "negative"},
        {{.loss = NN_MSE, .validate_every = -1}, AD_BAD_ARGUMENT, "negative"},
        {{.loss = NN_MSE, .l1 = -1}, AD_BAD_ARGUMENT, "not negative"},
        {{.loss = NN_MSE, .l2 = NAN}, AD_BAD_ARGUMENT, "not negative"},
        {{.loss = NN_MSE, .clip_norm = -1}, AD_BAD_ARGUMENT, "not negative"},
        {{.loss = NN_MSE, .clip_value = -1}, AD_BAD_ARGUMENT, "not negative"},
        {{.loss = NN_MSE, .min_change = NAN}, AD_BAD_ARGUMENT, "min_change"},
        {{.loss = NN_MSE, .average = 1}, AD_BAD_ARGUMENT, "average"},
        {{.loss = NN_MSE, .validation_share = 1}, AD_BAD_ARGUMENT, "validation_share"},
        {{.loss = NN_MSE, .validation_share = .001}, AD_BAD_ARGUMENT, "leaves 20 to train on"},
        {{.loss = NN_MSE, .validation_share = .99}, AD_BAD_ARGUMENT, "leaves 0 to train on"},
        {{.loss = NN_MSE, .validation = data, .validation_share = .1}, AD_BAD_ARGUMENT, "not both"},
        {{.loss = NN_MSE, .resume = true}, AD_NULL, "checkpoint"},
        {{.loss = NN_MSE, .checkpoint_every = 1}, AD_NULL, "checkpoint"},
        {{.loss = NN_MSE, .n_groups = 1}, AD_NULL, "no groups"},
        {{.loss = NN_MSE, .n_groups = 1, .groups = &misnamed}, AD_BAD_ARGUMENT, "'encodr'"},
        {{.loss = NN_MSE, .n_groups = 1, .groups = &negative}, AD_BAD_ARGUMENT, "group 0"},
        {{.loss = NN_MSE, .monitor = 3}, AD_BAD_ARGUMENT, "monitor"},
        {{.loss = NN_MSE, .metrics = 1u << 20}, AD_BAD_ARGUMENT, "metrics"},
        {{.loss = NN_MSE, .optimizer = {.rule = (nn_rule)77}}, AD_BAD_ARGUMENT, "77"},
        {{.loss = NN_MSE, .optimizer = {.rule = NN_SGD, .rate = -1}}, AD_BAD_ARGUMENT, "rate"},
        {{.loss = NN_MSE, .optimizer = nn_lbfgs(), .average = .9}, AD_BAD_ARGUMENT, "L-BFGS"},
        {{.loss = NN_MSE, .checkpoint = "/nonexistent/folder/file"}, AD_BAD_ARGUMENT, "/nonexist"},
        {{.loss = (nn_loss)99}, AD_BAD_ARGUMENT, "99"},
        {{.loss = NN_MSE, .optimizer = {.rate = .5}}, AD_BAD_ARGUMENT, "no rule"},
        {{.loss = NN_MSE, .optimizer = {.nesterov = true}}, AD_BAD_ARGUMENT, "no rule"},
        {{.loss = NN_MSE, .loss_options = {.zero_one_labels = true}}, AD_BAD_ARGUMENT, "zero_one"},
        {{.loss = NN_MSE, .schedule = {.kind = (nn_schedule_kind)77}}, AD_BAD_ARGUMENT, "77"},
        {{.loss = NN_MSE, .schedule = {.kind = NN_STEP, .gamma = -1}}, AD_BAD_ARGUMENT, "gamma"},
        {{.loss = NN_MSE, .schedule = {.kind = NN_STEP, .gamma = 2}}, AD_BAD_ARGUMENT, "gamma"},
        {{.loss = NN_MSE, .schedule = {.floor = 7}}, AD_BAD_ARGUMENT, "floor"},
        {{.loss = NN_MSE, .schedule = {.warmup = -5}}, AD_BAD_ARGUMENT, "warmup"},
        {{.loss = NN_MSE, .schedule = {.kind = NN_ONE_CYCLE, .warmup = 5}},
         AD_BAD_ARGUMENT,
         "share"},
        {{.loss = NN_MSE, .schedule = {.every = -3}}, AD_BAD_ARGUMENT, "every"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        nn_fit(m, data, &cases[i].config, &e);
        if (e.status != cases[i].status || !strstr(e.text, cases[i].part))
            fail_msg("case %d: got %s \"%s\", want \"%s\"", i, ad_status_name(e.status), e.text,
                     cases[i].part);
        e = (nn_error){0};
        SAME_VALUES(m, before);
    }
    nn_model_free(m);
    nn_model_free(before);
    nn_data_free(data);
}

/* Of a stream of unknown length only epochs can be counted. */
static void schedules_on_endless_streams_go_by_epochs(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    tap s = {.data = data};
    nn_data *stream = stream_of(&s, false);
    const nn_schedule wrong[] = {
        {.kind = NN_COSINE}, {.kind = NN_ONE_CYCLE}, {.kind = NN_STEP, .warmup = 2}};
    nn_model *m = linear(2, 1, 1);
    for (int i = 0; i < COUNT(wrong); i++) {
        nn_fit(m, stream, &(nn_fit_config){.loss = NN_MSE, .schedule = wrong[i]}, &e);
        FAILS(e, AD_BAD_ARGUMENT, "does not say how many rows");
    }
    nn_fit(m, stream,
           &(nn_fit_config){.loss = NN_MSE,
                            .optimizer = nn_sgd(.1),
                            .schedule = {.kind = NN_STEP, .every = 2, .gamma = .5},
                            .batch = 5,
                            .epochs = 4},
           &e);
    FINE(e);
    for (int i = 0; i < 4; i++)
        EQUAL(nn_history_at(m, i)->rate, i < 2 ? .1 : .05);
    nn_model_free(m);
    nn_data_free(stream);
    nn_data_free(data);
}

static ad_var sigmoid_model(nn_pass *pass, const ad_var *inputs, void *user)
{
    (void)user;
    ad_var y = ad_sigmoid(nn_apply(pass, "out", nn_dense(1, NULL), inputs[0]));
    return ad_reshape(y, 2, (int64_t[]){-1, 1});
}

/* Whatever computes it: a list of layers, or a function. */
static void probabilities_are_seen_in_any_model(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = nn_make_blobs(40, 2, .1, 1, &e);
    nn_model *m = nn_model_new(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}, .seed = 1},
                               sigmoid_model, NULL);
    nn_scores fitted, asked;
    const int64_t rows = 40;
    ad_tensor *y = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){rows, 1});
    for (int64_t i = 0; i < rows; i++)
        ((double *)ad_tensor_data(y))[i] =
            ((const int32_t *)ad_tensor_data_const(nn_data_target(data)))[i];
    ad_tensor *x = nn_data_input(data, 0);
    nn_data *binary = nn_data_new(1, &x, y, NULL, &e);
    nn_fit(m, binary, &(nn_fit_config){.loss = NN_BCE, .optimizer = nn_adam(.05), .epochs = 60},
           &e);
    nn_evaluate(m, binary, &(nn_evaluate_config){.metrics = NN_ACCURACY}, &asked, &e);
    nn_evaluate(m, binary, &(nn_evaluate_config){.loss = NN_BCE, .metrics = NN_ACCURACY}, &fitted,
                &e);
    FINE(e);
    EQUAL(asked.accuracy, fitted.accuracy);
    assert_true(asked.accuracy > .9);
    nn_model_free(m);
    nn_data_free(binary);
    nn_data_free(data);
    ad_tensor_free(y);
}

static bool count_calls(void *user, const nn_progress_info *info)
{
    (void)info;
    ++*(int *)user;
    return true;
}

static void empty_places_among_callbacks_are_passed_over(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, false);
    nn_model *m = linear(2, 1, 1);
    int calls = 0;
    nn_fit_config c = {.loss = NN_MSE};
    c.callbacks[1] = (nn_callback){count_calls, &calls};
    nn_fit(m, data, &c, &e);
    FINE(e);
    assert_true(calls > 0);
    nn_model_free(m);
    nn_data_free(data);
}

/* Three classes have no AUC: nothing can be the best. */
static void a_monitored_metric_that_is_not_defined_is_an_error(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = nn_make_blobs(30, 3, .1, 1, &e);
    nn_model *m = linear(2, 3, 1);
    nn_fit_config c = {.loss = NN_SOFTMAX_CROSS_ENTROPY, .monitor = NN_AUC};
    nn_fit(m, data, &c, &e);
    FINE(e); /* but a NaN in the history does no harm */
    c.patience = 2;
    nn_fit(m, data, &c, &e);
    FAILS(e, AD_NOT_FINITE, "the auc of the training in epoch");
    nn_model_free(m);
    nn_data_free(data);
}

/* Logits where a loss wants probabilities: the loss is NaN, but the model is at fault. */
static void predictions_that_a_loss_cannot_take_are_named(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_scores scores;
    ad_tensor *x = drawn(20, 2, 1), *y = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){20, 1});
    nn_data *data = data_of(x, y, NULL);
    nn_model *m = linear(2, 1, 1);
    nn_evaluate(m, data, &(nn_evaluate_config){.loss = NN_BCE}, &scores, &e);
    FAILS(e, AD_BAD_ARGUMENT, "NN_BCE_LOGITS");
    nn_fit(m, data, &(nn_fit_config){.loss = NN_BCE}, &e);
    FAILS(e, AD_NOT_FINITE, "NN_BCE_LOGITS");
    nn_model_free(m);
    nn_data_free(data);
}

static void a_last_batch_too_small_is_found_before_the_first_step(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(33, .1, false);
    nn_model *m =
        nn_mlp(&(nn_mlp_config){.in = 2, .hidden = {4}, .out = 1, .batch_norm = true, .seed = 1});
    nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE, .batch = 32}, &e);
    FAILS(e, AD_BAD_SHAPE, "33 rows in batches of 32 leave a last one of 1");
    assert_int_equal(nn_history_count(m), 0);
    nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE, .batch = 11}, &e);
    FINE(e);
    nn_model_free(m);
    nn_data_free(data);
}

static void data_that_do_not_fit_are_errors(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = nn_make_blobs(20, 3, .1, 1, &e);
    nn_data *wide = data_of(drawn(4, 3, 1), drawn(4, 1, 1), NULL),
            *no_target = data_of(drawn(4, 2, 1), NULL, NULL);
    nn_model *two = linear(2, 2, 1), *three = linear(2, 3, 1);
    const nn_fit_config c = {.loss = NN_SOFTMAX_CROSS_ENTROPY};
    nn_scores scores;
    nn_fit(two, data, &c, &e);
    FAILS(e, AD_BAD_INDEX, "row 2: class 2, but the model has 2 outputs, so classes are 0..1");
    nn_evaluate(two, data, &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY}, &scores, &e);
    FAILS(e, AD_BAD_INDEX, "row 2: class 2");
    ((int32_t *)ad_tensor_data(nn_data_target(data)))[5] = -1;
    nn_fit(three, data, &c, &e);
    FAILS(e, AD_BAD_INDEX, "row 5: class -1");
    ((int32_t *)ad_tensor_data(nn_data_target(data)))[5] = 2;
    nn_data *other = nn_make_blobs(9, 4, .1, 1, &e);
    nn_fit(three, data, &(nn_fit_config){.loss = c.loss, .validation = other}, &e);
    FAILS(e, AD_BAD_INDEX, "fit: validation: softmax cross-entropy: row 3: class 3");
    nn_fit(three, wide, &c, &e);
    FAILS(e, AD_BAD_SHAPE, "the model takes (2)");
    nn_fit(three, data, &(nn_fit_config){.loss = c.loss, .validation = wide}, &e);
    FAILS(e, AD_BAD_SHAPE, "fit: validation: input 0");
    nn_fit(two, no_target, &c, &e);
    FAILS(e, AD_NULL, "no target");
    nn_evaluate(two, no_target, NULL, &scores, &e);
    FAILS(e, AD_NULL, "no target");
    nn_fit(two, NULL, &c, &e);
    FAILS(e, AD_NULL, "no data");
    nn_fit(three, wide, NULL, &e);
    FAILS(e, AD_NULL, "no config");
    nn_fit(NULL, wide, &c, &e);
    FAILS(e, AD_NULL, "no model");
    nn_fit(two, data, &(nn_fit_config){.loss = NN_MSE}, &e);
    FAILS(e, AD_BAD_SHAPE, "prediction (20,2)");
    nn_freeze(three, "0", true);
    nn_fit(three, data, &c, &e);
    FAILS(e, AD_BAD_ARGUMENT, "frozen");
    nn_evaluate_config none = {.loss = NN_SOFTMAX_CROSS_ENTROPY};
    none.loss_options.reduction = NN_NONE;
    nn_evaluate(three, data, &none, &scores, &e);
    FAILS(e, AD_BAD_ARGUMENT, "NN_NONE");
    nn_evaluate(three, data, NULL, NULL, &e);
    FAILS(e, AD_NULL, "scores");
    nn_data *all[] = {data, wide, no_target, other};
    for (int i = 0; i < COUNT(all); i++)
        nn_data_free(all[i]);
    nn_model_free(two);
    nn_model_free(three);
}

static void weights_that_are_all_zero_teach_nothing(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data = plane(20, .1, true), *part = NULL;
    double *w = ad_tensor_data(nn_data_weights(data));
    int64_t rows[10];
    for (int i = 0; i < 10; i++) {
        w[2 * i] = 0;
        rows[i] = 2 * i + 1;
    }
    part = nn_data_select(data, 10, rows, &e);
    nn_model *a = linear(2, 1, 1), *b = linear(2, 1, 1);
    nn_fit_config c = {.loss = NN_MSE,
                       .optimizer = nn_sgd(.1),
                       .batch = 1,
                       .epochs = 2,
                       .no_shuffle = true,
                       .metrics = NN_RMSE};
    nn_fit(a, data, &c, &e);
    nn_fit(b, part, &c, &e);
    FINE(e);
    SAME_VALUES(a, b);
    EQUAL(nn_history_at(a, 1)->training.loss, nn_history_at(b, 1)->training.loss);
    EQUAL(nn_history_at(a, 1)->training.rmse, nn_history_at(b, 1)->training.rmse);
    for (int i = 0; i < 20; i++)
        w[i] = 0;
    nn_fit(a, data, &c, &e);
    FAILS(e, AD_BAD_SHAPE, "no rows of a weight above 0");
    nn_model_free(a);
    nn_model_free(b);
    nn_data_free(data);
    nn_data_free(part);
}

static void a_call_after_an_error_does_nothing(void **state)
{
    (void)state;
    nn_data *data = plane(20, .1, false);
    nn_model *m = linear(2, 1, 1), *before = linear(2, 1, 1);
    nn_error e = {AD_TOO_LARGE, "earlier"};
    nn_scores scores = {.rows = 77};
    ad_tensor *x = nn_data_input(data, 0);
    ad_check_report report;
    assert_int_equal(nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE}, &e), AD_TOO_LARGE);
    SAME_VALUES(m, before);
    assert_int_equal(nn_evaluate(m, data, NULL, &scores, &e), AD_TOO_LARGE);
    assert_int_equal(scores.rows, 77);
    assert_null(nn_predict(m, data, &e));
    assert_null(nn_predict_tensors(m, &x, &e));
    assert_null(nn_predictor_new(m, 1, &e));
    assert_int_equal(nn_gradcheck(m, data, NN_MSE, NULL, &report, &e), AD_TOO_LARGE);
    assert_string_equal(e.text, "earlier");
    /* without an nn_error the status says it */
    assert_int_equal(nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE, .batch = -1}, NULL),
                     AD_BAD_ARGUMENT);
    assert_int_equal(nn_fit(m, data, &(nn_fit_config){.loss = NN_MSE}, NULL), AD_OK);
    nn_model *broken = nn_mlp(&(nn_mlp_config){.in = -1, .out = 1});
    assert_int_equal(nn_fit(broken, data, &(nn_fit_config){.loss = NN_MSE}, NULL),
                     nn_model_status(broken));
    nn_model_free(broken);
    nn_model_free(m);
    nn_model_free(before);
    nn_data_free(data);
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Calls of the context's allocator and, where the linker can, of malloc and its kin by anything
 * that is linked here; and programs captured. */
static atomic_long mallocs, captures, nodes;

#ifdef COUNT_MALLOC
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
ad_program *__real_ad_program_capture(ad_tape *tape, int n_inputs, const ad_var *inputs,
                                      int n_outputs, const ad_var *outputs, int flags);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
ad_program *__wrap_ad_program_capture(ad_tape *tape, int n_inputs, const ad_var *inputs,
                                      int n_outputs, const ad_var *outputs, int flags);

void *__wrap_malloc(size_t bytes)
{
    mallocs++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    mallocs++;
    return __real_calloc(n, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    mallocs++;
    return __real_realloc(memory, bytes);
}

ad_program *__wrap_ad_program_capture(ad_tape *tape, int n_inputs, const ad_var *inputs,
                                      int n_outputs, const ad_var *outputs, int flags)
{
    ad_program *p = __real_ad_program_capture(tape, n_inputs, inputs, n_outputs, outputs, flags);
    captures++;
    nodes += ad_program_node_count(p);
    return p;
}
#endif

/* Allocations seen by a callback: `first` before the first step was over, `later` afterwards. */
typedef struct allocations {
    probe probe;
    long first, later, programs, nodes;
    int64_t steps;
    nn_event event; /* before which the last of `later` was made */
    int epoch;
} allocations;

static bool count_allocations(void *user, const nn_progress_info *info)
{
    allocations *a = user;
    const long now = a->probe.calls + mallocs;
    if (info->event == NN_STEP_DONE && a->steps++ == 0)
        a->first = now;
    if (a->steps > 0 && now > a->first + a->later) {
        a->later = now - a->first;
        a->event = info->event;
        a->epoch = info->epoch;
    }
    return true;
}

typedef struct workload {
    const char *name;
    int64_t rows, width;
    bool stream, weighted, ahead, validates, frozen, normed;
    int programs; /* that are captured */
    nn_fit_config config;
} workload;

static nn_model *model_for(const workload *w, const ad_context *context)
{
    nn_model *m = nn_mlp(&(nn_mlp_config){.in = w->width,
                                          .hidden = {4},
                                          .out = 1,
                                          .batch_norm = w->normed,
                                          .dropout = w->normed ? .25 : 0,
                                          .seed = 1,
                                          .context = context});
    if (w->frozen)
        assert_int_equal(nn_freeze(m, "0", true), 2);
    return m;
}

/* (rows,width), numbers around 0, and their sign as 0 or 1 */
static nn_data *data_with(int64_t rows, int64_t width, bool weighted)
{
    ad_tensor *y = drawn(rows, 1, 2);
    for (int64_t i = 0; i < rows; i++)
        ((double *)ad_tensor_data(y))[i] = i % 3 > 0;
    return data_of(drawn(rows, width, 1), y, weighted ? some_weights(rows) : NULL);
}

static allocations allocations_of(const workload *w)
{
    nn_error e = {0};
    allocations a = {0};
    const ad_allocator probing = probe_allocator(&a.probe, false);
    ad_context *context = ad_context_new(&(ad_context_config){.allocator = &probing});
    nn_data *data = data_with(w->rows, w->width, w->weighted), *train = data;
    nn_data *validation = w->validates ? data_with(300, w->width, false) : NULL;
    tap t = {.data = data, .ahead = w->ahead};
    if (w->stream)
        train = stream_of(&t, true);
    nn_model *m = model_for(w, context);
    nn_fit_config c = w->config;
    c.loss = NN_BCE_LOGITS;
    c.validation = validation;
    c.epochs = c.epochs ? c.epochs : 5;
    c.callbacks[0] = (nn_callback){count_allocations, &a};
    captures = nodes = 0;
    nn_fit(m, train, &c, &e);
    a.programs = captures;
    a.nodes = nodes;
    if (e.status)
        fail_msg("%s: %s", w->name, e.text);
    nn_model_free(m);
    if (train != data)
        nn_data_free(train);
    nn_data_free(data);
    nn_data_free(validation);
    ad_context_free(context);
    EQUAL((double)(a.probe.blocks + a.probe.wrong_sizes + a.probe.overruns), 0);
    return a;
}

/* From the end of the first step to that of the fit: smaller last batches, evaluation, validation
 * and scores included. */
static void nothing_is_allocated_after_the_first_step(void **state)
{
    (void)state;
    const unsigned all = (1u << NN_METRICS) - 1;
    const workload workloads[] = {
        {"whole batches", 20, 2, .programs = 1, .config = {.batch = 5}},
        {"a smaller last batch", 23, 2, .programs = 2, .config = {.batch = 5}},
        {"accumulation", 23, 2, .programs = 3, .config = {.batch = 5, .accumulate = 2}},
        {"averages, held rows, error", 26, 2, .programs = 3,
         .config = {.batch = 5, .average = .9, .validation_share = .25, .metrics = NN_RMSE}},
        {"validation in two batches", 23, 2, .validates = true, .programs = 4,
         .config = {.batch = 5}},
        {"every metric, the best kept", 23, 2, .validates = true, .weighted = true, .programs = 4,
         .config = {.batch = 5, .metrics = all, .restore_best = true}},
        {"validation every third step", 23, 2, .validates = true, .programs = 4,
         .config = {.batch = 5, .metrics = NN_ACCURACY, .validate_every = 3}},
        {"batch norm and dropout", 23, 2, .normed = true, .validates = true, .programs = 4,
         .config = {.batch = 5}},
        {"a frozen layer", 23, 2, .frozen = true, .programs = 2, .config = {.batch = 5}},
        {"penalties, clipping, groups of decay", 23, 2, .programs = 2,
         .config = {.batch = 5, .l1 = .01, .l2 = .01, .clip_norm = 1, .optimizer = nn_adamw(.01)}},
        {"read ahead", 83, 2048, .validates = true, .programs = 4,
         .config = {.batch = 20, .epochs = 3}},
        {"a stream", 23, 2, .stream = true, .weighted = true, .programs = 2,
         .config = {.batch = 5}},
        {"a stream, read ahead", 23, 2, .stream = true, .ahead = true, .programs = 2,
         .config = {.batch = 5, .metrics = NN_ACCURACY}},
    };
    for (int k = 0; k < COUNT(workloads); k++) {
        const allocations a = allocations_of(&workloads[k]);
        if (a.later)
            fail_msg(
                "%s: %ld allocations after the first step, the last before event %d of epoch %d",
                workloads[k].name, a.later, a.event, a.epoch);
#ifdef COUNT_MALLOC
        if (a.programs != workloads[k].programs)
            fail_msg("%s: %ld programs, want %d", workloads[k].name, a.programs,
                     workloads[k].programs);
#endif
    }
}

/* What is frozen costs nothing: its gradient is no part of the step. */
static void frozen_layers_have_a_program_of_their_own(void **state)
{
    (void)state;
    workload w = {"frozen", 23, 2, .config = {.batch = 5}};
    const allocations whole = allocations_of(&w);
    w.frozen = true;
    const allocations part = allocations_of(&w);
    assert_int_equal(part.programs, whole.programs);
#ifdef COUNT_MALLOC
    assert_in_range(part.nodes, 1, whole.nodes * 3 / 4);
#endif
}

/* An allocator that fails once, at every call in turn: an error, and nothing is lost. */
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    nn_data *data = plane(13, .1, true);
    bool failed = true;
    for (long at = 0; failed; at++) {
        nn_error e = {0};
        probe p;
        const ad_allocator a = probe_allocator(&p, false);
        ad_context *context = ad_context_new(&(ad_context_config){.allocator = &a});
        nn_model *m = nn_mlp(
            &(nn_mlp_config){.in = 2, .hidden = {3}, .out = 1, .seed = 1, .context = context});
        nn_scores scores;
        p.fail_at = p.calls + at;
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_MSE,
                                .batch = 5,
                                .accumulate = 2,
                                .average = .5,
                                .validation_share = .2,
                                .metrics = NN_RMSE},
               &e);
        nn_evaluate(m, data, NULL, &scores, &e);
        ad_tensor_free(nn_predict(m, data, &e));
        failed = p.failed > 0;
        if (e.status != (failed ? AD_NO_MEMORY : AD_OK))
            fail_msg("call %ld: %s \"%s\"", at, ad_status_name(e.status), e.text);
        nn_model_free(m);
        ad_context_free(context);
        EQUAL((double)(p.blocks + p.wrong_sizes + p.overruns), 0);
    }
    nn_data_free(data);
}

/* ---- searching --------------------------------------------------------------------------- */

static double try_point(const double *point, void *user)
{
    nn_data *const *data = user;
    nn_error e = {0};
    nn_model *m = nn_mlp(&(nn_mlp_config){.in = 2, .hidden = {(int64_t)point[1]}, .out = 3});
    nn_scores scores;
    nn_fit(m, data[0],
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_sgd(point[0]),
                            .batch = 10,
                            .epochs = 5},
           &e);
    nn_evaluate(m, data[1], &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY}, &scores, &e);
    nn_model_free(m);
    return e.status ? NAN : scores.loss;
}

/* A rate of 1e300 diverges and is passed over; of the others the middle one is best. */
static void a_search_tries_real_fits(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_data *data[] = {nn_make_blobs(60, 3, .2, 1, &e), nn_make_blobs(30, 3, .2, 2, &e)};
    const double rates[] = {1e-6, .5, 1e300}, widths[] = {4, 8};
    const nn_hyperparameter h[] = {{.name = "rate", .n_values = 3, .values = rates},
                                   {.name = "width", .n_values = 2, .values = widths}};
    double best[2], score = NAN, scores[6];
    nn_search(&(nn_search_config){.n = 2, .hyperparameters = h}, try_point, data, best, &score,
              NULL, scores, &e);
    FINE(e);
    EQUAL(best[0], .5);
    EQUAL(score, fmin(scores[2], scores[3]));
    EQUAL(try_point(best, data), score);
    assert_true(isnan(scores[4]) && isnan(scores[5]));
    nn_data_free(data[0]);
    nn_data_free(data[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_optimizer_learns_blobs),
        cmocka_unit_test(xor_and_moons_are_learned),
        cmocka_unit_test(one_output_learns_two_classes),
        cmocka_unit_test(regression_finds_the_plane),
        cmocka_unit_test(a_custom_loss_trains_like_the_one_it_copies),
        cmocka_unit_test(steps_equal_plain_arithmetic),
        cmocka_unit_test(reductions_divide_by_what_they_say),
        cmocka_unit_test(every_row_is_used_once_an_epoch_in_a_new_order),
        cmocka_unit_test(gathered_batches_equal_a_large_one),
        cmocka_unit_test(penalties_are_added_to_the_loss),
        cmocka_unit_test(decay_is_coupled_or_decoupled),
        cmocka_unit_test(clipping_follows_its_formula),
        cmocka_unit_test(averages_are_what_validation_sees_and_the_fit_ends_with),
        cmocka_unit_test(groups_have_rates_and_no_decay),
        cmocka_unit_test(frozen_parameters_keep_their_bits_and_states_move),
        cmocka_unit_test(held_rows_are_never_trained_on),
        cmocka_unit_test(validation_comes_every_epoch_or_every_so_many_steps),
        cmocka_unit_test(early_stopping_restores_the_best_bits),
        cmocka_unit_test(a_metric_can_be_monitored),
        cmocka_unit_test(callbacks_see_the_rate_of_the_step),
        cmocka_unit_test(a_plateau_reduces_the_rate),
        cmocka_unit_test(training_scores_are_those_of_the_epoch),
        cmocka_unit_test(lbfgs_scores_its_training_too),
        cmocka_unit_test(a_stream_trains_like_the_same_rows_in_memory),
        cmocka_unit_test(a_stream_may_give_less_than_is_asked_for),
        cmocka_unit_test(only_rows_that_a_stream_gave_are_looked_at),
        cmocka_unit_test(errors_of_streams_are_told),
        cmocka_unit_test(the_batch_size_does_not_matter_to_evaluation),
        cmocka_unit_test(metrics_are_chosen_by_the_targets),
        cmocka_unit_test(predictions_equal_the_recorded_model),
        cmocka_unit_test(several_inputs_are_trained_and_predicted),
        cmocka_unit_test(a_flag_or_a_callback_stops_after_the_step),
        cmocka_unit_test(a_callback_may_stop_before_the_first_step),
        cmocka_unit_test(a_second_fit_goes_on),
        cmocka_unit_test(the_seed_decides_the_bits),
        cmocka_unit_test(divergence_is_named_and_leaves_the_model_finite),
        cmocka_unit_test(a_nan_in_the_inputs_is_found),
        cmocka_unit_test(a_layer_at_fault_is_named),
        cmocka_unit_test(configs_that_cannot_be_are_errors),
        cmocka_unit_test(schedules_on_endless_streams_go_by_epochs),
        cmocka_unit_test(probabilities_are_seen_in_any_model),
        cmocka_unit_test(empty_places_among_callbacks_are_passed_over),
        cmocka_unit_test(a_monitored_metric_that_is_not_defined_is_an_error),
        cmocka_unit_test(predictions_that_a_loss_cannot_take_are_named),
        cmocka_unit_test(a_last_batch_too_small_is_found_before_the_first_step),
        cmocka_unit_test(data_that_do_not_fit_are_errors),
        cmocka_unit_test(weights_that_are_all_zero_teach_nothing),
        cmocka_unit_test(a_call_after_an_error_does_nothing),
        cmocka_unit_test(nothing_is_allocated_after_the_first_step),
        cmocka_unit_test(frozen_layers_have_a_program_of_their_own),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(a_search_tries_real_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
