/* overfitting.c - a network learns its examples by heart, and what helps (lecture 002)
 *
 *     overfitting [FILE.svg]     overfitting.svg where not said
 *
 * A network of 4,482 parameters is shown 40 points of two noisy half moons. It gets them all right,
 * and new points wrong more often than it must. The same network is then trained with each remedy
 * that the lecture names: L2, L1, dropout, more data, made-up data, less capacity; and stopped
 * early. Every number is a mean over several draws of data and weights.
 *
 * First the formulas: what L2, L1 and dropout do in one step, to the last digit. */
#include "lesson.h"

#include <stdlib.h>
#include <string.h>

/* ---- the formulas --------------------------------------------------------------------------- */

enum { N = 5, FEATURES = 3 }; /* a linear model on five examples */

static nn_data *few_examples(nn_error *error)
{
    static const double x[N][FEATURES] = {
        {1, 2, -1}, {.5, -1, 0}, {-2, .3, 1}, {0, 1, 1.5}, {3, -.5, .2}};
    static const double y[N] = {1, -1, .5, 2, 0};
    ad_tensor *input = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){N, FEATURES}, x);
    ad_tensor *target = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){N, 1}, y);
    nn_data *data = nn_data_new(1, &input, target, NULL, error);
    ad_tensor_free(input);
    ad_tensor_free(target);
    return data;
}

static nn_model *linear_model(void)
{
    static const double start[FEATURES] = {.5, -.25, 0};
    return nn_mlp(&(nn_mlp_config){.in = FEATURES,
                                   .out = 1,
                                   .weight_init = {NN_INIT_VALUES, .values = start},
                                   .bias_init = {NN_INIT_CONSTANT, .value = .3}});
}

static void read_parameters(const nn_model *m, double wb[FEATURES + 1])
{
    ad_tensor_read(ad_param_value(nn_param_find(m, "0.weight")), wb);
    ad_tensor_read(ad_param_value(nn_param_find(m, "0.bias")), wb + FEATURES);
}

/* The parameters after one step of the given fit. */
static void one_step(lesson *l, const nn_data *data, nn_fit_config fit, double wb[FEATURES + 1])
{
    nn_error error = {0};
    nn_model *m = linear_model();
    fit.loss = NN_HALF_MSE;
    fit.batch = NN_FULL_BATCH;
    nn_fit(m, data, &fit, &error);
    if (lesson_ok(l, error.status, error.text))
        read_parameters(m, wb);
    nn_model_free(m);
}

/* What the lecture's formulas need: parameters and the gradient of C0, by the tape. */
static void gradient(lesson *l, const nn_data *data, double wb[FEATURES + 1],
                     double g[FEATURES + 1])
{
    nn_model *m = linear_model();
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_tensor(t, nn_data_input(data, 0));
    ad_var y = ad_constant_tensor(t, nn_data_target(data));
    ad_backward(nn_record_loss(NN_HALF_MSE, NULL, nn_record(m, t, true, &x), y, (ad_var){0}));
    ad_grad_read(ad_use(t, nn_param_find(m, "0.weight")), g);
    ad_grad_read(ad_use(t, nn_param_find(m, "0.bias")), g + FEATURES);
    read_parameters(m, wb);
    lesson_tape_free(l, t);
    nn_model_free(m);
}

static void show_decay(lesson *l, const nn_data *data)
{
    const double rate = .1, lambda = 2;
    double wb[FEATURES + 1] = {0}, g[FEATURES + 1] = {0}, by_fit[FEATURES + 1] = {0};
    double decayed[FEATURES + 1] = {0};
    gradient(l, data, wb, g);
    lesson_part("L2 is a decay of the weights");
    puts("  C = C0 + λ/2n Σ w². One step: w := (1 - ηλ/n) w - η ∂C0/∂w, equation (15), and\n"
         "  b := b - η ∂C0/∂b. So each step first shrinks the weights, and leaves the biases\n"
         "  alone. A linear model, n = 5, η = .1, λ = 2: nn_fit with a penalty in the loss,\n"
         "  against (15).\n");
    lesson_table();
    nn_fit_config fit = {.optimizer = nn_sgd(rate), .l2 = lambda, .penalty_by_rows = true};
    one_step(l, data, fit, by_fit);
    for (int i = 0; i < FEATURES; i++) {
        char what[64];
        snprintf(what, sizeof what, "w%d: %g becomes", i + 1, wb[i]);
        lesson_number(l, what, NULL, by_fit[i], (1 - rate * lambda / N) * wb[i] - rate * g[i]);
    }
    lesson_number(l, "b: .3 becomes, without decay", NULL, by_fit[FEATURES],
                  .3 - rate * g[FEATURES]);

    fit = (nn_fit_config){.optimizer = nn_adam(rate), .l2 = lambda, .penalty_by_rows = true};
    one_step(l, data, fit, by_fit);
    fit = (nn_fit_config){.optimizer = nn_adam(rate)};
    fit.optimizer.decoupled_decay = lambda / N;
    one_step(l, data, fit, decayed);
    puts("\n  That the two are one holds for plain descent. Adam divides the penalty's gradient,\n"
         "  too, by the gradient's size; AdamW therefore decays beside the step:\n");
    lesson_claim(l, "Adam: do L2 and decay give the same w1?", NULL,
                 fabs(by_fit[0] - decayed[0]) < 1e-6, false);
}

/* The penalties of one weight, n = 1. */
static ad_var l2_penalty(const ad_var *w, void *user)
{
    (void)user;
    return ad_mul(.1, ad_mul(.5, ad_square(w[0]))); /* λ = .1 */
}
static ad_var l1_penalty(const ad_var *w, void *user)
{
    (void)user;
    return ad_mul(.1, ad_abs(w[0]));
}

static double slope(lesson *l, ad_function f, double w)
{
    double g = NAN;
    lesson_ok(l, ad_gradient(f, NULL, 1, &w, &g), "penalty");
    return g;
}

static void show_penalties(lesson *l)
{
    lesson_part("What a penalty adds to ∂C/∂w (λ = .1, n = 1)");
    puts("  The middle of equation (13) has ∂C0/∂w + ∂R/∂w: λ is missing there, its right side\n"
         "  has it. For L1 the slide gives R alone; its gradient is (λ/n) sign(w). It pulls small\n"
         "  weights as hard as large ones, down to 0; L2's pull fades with the weight.\n");
    lesson_table();
    lesson_formula(l, "L2, w = .5: λ w, and (13)'s middle w", .5, slope(l, l2_penalty, .5), .05);
    lesson_number(l, "L2, w = .001", NULL, slope(l, l2_penalty, .001), .0001);
    lesson_number(l, "L1, w = -.5", NULL, slope(l, l1_penalty, -.5), -.1);
    lesson_number(l, "L1, w = .001", NULL, slope(l, l1_penalty, .001), .1);
    lesson_number(l, "L1, w = 0: a kink, 0 is taken", NULL, slope(l, l1_penalty, 0), 0);
}

/* Σ w h over all masks of three neurons, each with its probability. */
static double mean_with_dropout(const double *w, const double *h, double drop)
{
    double mean = 0;
    for (int mask = 0; mask < 8; mask++) {
        double probability = 1, z = 0;
        for (int i = 0; i < 3; i++) {
            bool kept = mask >> i & 1;
            probability *= kept ? 1 - drop : drop;
            z += kept ? w[i] * h[i] : 0;
        }
        mean += probability * z;
    }
    return mean;
}

/* The layer on so many ones: their mean, and the share of zeros. */
static void dropout_layer(lesson *l, bool training, double *mean, double *zeros)
{
    enum { UNITS = 100000 };
    const nn_layer layer = nn_dropout(.3);
    nn_model_config config = {.seed = 1, .inputs = {{.rank = 1, .size = {UNITS}}}};
    nn_model *m = nn_sequential(&config, 1, &layer);
    ad_tape *t = ad_tape_new(NULL);
    ad_tensor *ones = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){1, UNITS});
    lesson_ok(l, ones ? ad_tensor_fill(ones, 1) : AD_NO_MEMORY, "ones");
    ad_var x = ad_constant_tensor(t, ones), y = nn_record(m, t, training, &x);
    *mean = ad_value(ad_mean(y));
    *zeros = ad_value(ad_mean(ad_equal(y, 0)));
    ad_tensor_free(ones);
    lesson_tape_free(l, t);
    nn_model_free(m);
}

static void show_dropout(lesson *l)
{
    static const double w[3] = {.5, -1, 2}, h[3] = {1, .4, .8}, one[3] = {1};
    double full = 0, mean, zeros;
    for (int i = 0; i < 3; i++)
        full += w[i] * h[i];
    lesson_part("Dropout: by which factor?");
    puts("  Neurons are switched off in training with probability p. The slide: in normal use,\n"
         "  multiply the weights by p. But with p = .3 a neuron is there .7 of the time, and the\n"
         "  next layer has learnt with .7 of it: the factor is 1 - p. (p is right only where it\n"
         "  is the probability of *keeping* a neuron.) All masks, each with its probability:\n");
    lesson_table();
    lesson_number(l, "p = .3: mean of a neuron that is 1", ".3", mean_with_dropout(one, one, .3),
                  .7);
    lesson_number(l, "three neurons: mean of z / z without", ".3",
                  mean_with_dropout(w, h, .3) / full, .7);
    puts("\n  Tapegrad, as most libraries, divides by 1 - p in training instead, so that normal\n"
         "  use needs no factor. Its layer on 100,000 ones:\n");
    lesson_table();
    dropout_layer(l, true, &mean, &zeros);
    lesson_near(l, "training: share of zeros", NULL, zeros, .3, .01);
    lesson_near(l, "training: mean", NULL, mean, 1, .02);
    dropout_layer(l, false, &mean, &zeros);
    lesson_number(l, "normal use: share of zeros", NULL, zeros, 0);
    lesson_number(l, "normal use: mean", NULL, mean, 1);
}

/* ---- the experiment ------------------------------------------------------------------------- */

enum {
    SEEDS = 4,
    FEW = 40,
    TIMES = 10, /* as many examples, where there are more */
    BATCH = 20,
    STEPS = 800, /* of every fit */
    EVERY = 20,  /* steps the losses are written down, and before the first */
    MARKS = STEPS / EVERY + 1,
    VALIDATION = 300,
    TEST = 1000,
    UNITS_WIDE = 64,
    UNITS_NARROW = 4,
};
static const double noise = .3, near_zero = .001;

typedef enum data_kind { PLAIN, MORE, SYNTHETIC } data_kind;

typedef struct result {
    nn_scores train, validation, test;
    double sum, norm, zeros; /* of the weights: Σ|w|, √Σw², the share next to 0 */
} result;

typedef struct remedy {
    const char *name;
    double l1, l2, dropout;
    data_kind data;
    int64_t units;
    int patience;
    result mean;
    double training_curve[MARKS], validation_curve[MARKS];
} remedy;

enum { NONE, L2, L1, DROPOUT, MORE_DATA, MADE_UP, SMALL, EARLY, REMEDIES };

/* The same points so many times, each moved a little: data that nobody had to measure. */
static nn_data *shaken(const nn_data *data, uint64_t seed, nn_error *error)
{
    static int64_t rows[FEW * TIMES];
    static double x[2 * FEW * TIMES], move[2 * FEW * TIMES];
    for (int i = 0; i < FEW * TIMES; i++)
        rows[i] = i % FEW;
    nn_data *repeated = nn_data_select(data, FEW * TIMES, rows, error), *made = NULL;
    ad_tensor *input = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){FEW * TIMES, 2});
    if (repeated && input && !ad_draw_normal(input, seed, 1, 0)) {
        ad_tensor_read(input, move);
        ad_tensor_read(nn_data_input(repeated, 0), x);
        for (int i = 0; i < 2 * FEW * TIMES; i++)
            x[i] += .25 * move[i];
        ad_tensor_write(input, x);
        made = nn_data_new(1, &input, nn_data_target(repeated), NULL, error);
    }
    ad_tensor_free(input);
    nn_data_free(repeated);
    return made;
}

static nn_data *training_data(data_kind kind, uint64_t seed, nn_error *error)
{
    nn_data *data = nn_make_moons(kind == MORE ? FEW * TIMES : FEW, noise, seed, error);
    if (kind != SYNTHETIC)
        return data;
    nn_data *made = shaken(data, seed, error);
    nn_data_free(data);
    return made;
}

static void look_at_weights(const nn_model *m, result *r)
{
    static double w[UNITS_WIDE * UNITS_WIDE];
    double sum = 0, squares = 0, zeros = 0, count = 0;
    for (int i = 0; i < nn_param_count(m); i++) {
        const ad_tensor *value = ad_param_value(nn_param_at(m, i));
        if (ad_tensor_rank(value) < 2) /* a bias */
            continue;
        ad_tensor_read(value, w);
        for (int64_t k = 0; k < ad_tensor_size(value); k++) {
            sum += fabs(w[k]);
            squares += w[k] * w[k];
            zeros += fabs(w[k]) < near_zero;
        }
        count += (double)ad_tensor_size(value);
    }
    r->sum += sum / SEEDS;
    r->norm += sqrt(squares) / SEEDS;
    r->zeros += zeros / count / SEEDS;
}

static void add_scores(nn_scores *mean, const nn_model *m, const nn_data *data, nn_error *error)
{
    nn_scores s = {.loss = NAN, .accuracy = NAN};
    nn_evaluate(m, data,
                &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY, .metrics = NN_ACCURACY}, &s,
                error);
    mean->loss += s.loss / SEEDS;
    mean->accuracy += s.accuracy / SEEDS;
}

typedef struct watcher { /* writes down the curves while the model learns */
    remedy *r;
    const nn_data *train, *validation;
    int marks;
} watcher;

/* Losses without penalty and dropout. */
static void mark(watcher *w, const nn_model *m, nn_error *error)
{
    const nn_evaluate_config config = {.loss = NN_SOFTMAX_CROSS_ENTROPY};
    nn_scores training = {.loss = NAN}, validation = {.loss = NAN};
    nn_evaluate(m, w->train, &config, &training, error);
    nn_evaluate(m, w->validation, &config, &validation, error);
    w->r->training_curve[w->marks] += training.loss / SEEDS;
    w->r->validation_curve[w->marks++] += validation.loss / SEEDS;
}

static bool watch(void *user, const nn_progress_info *info)
{
    watcher *w = user;
    if (info->event == NN_VALIDATED && w->marks < MARKS)
        mark(w, info->model, NULL); /* an error leaves NaN */
    return true;
}

static void train_one(remedy *r, uint64_t seed, nn_error *error)
{
    nn_data *train = training_data(r->data, seed, error);
    nn_data *validation = nn_make_moons(VALIDATION, noise, 100 + seed, error);
    nn_data *test = nn_make_moons(TEST, noise, 200 + seed, error);
    nn_model *m = nn_mlp(&(nn_mlp_config){
        .in = 2, .hidden = {r->units, r->units}, .out = 2, .dropout = r->dropout, .seed = seed});
    watcher w = {.r = r, .train = train, .validation = validation};
    mark(&w, m, error);
    nn_fit(m, train,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_adam(.01),
                            .schedule = {.kind = NN_COSINE},
                            .batch = BATCH,
                            .epochs = (int)(STEPS * BATCH / nn_data_rows(train)),
                            .l1 = r->l1,
                            .l2 = r->l2,
                            .validation = validation,
                            .validate_every = EVERY,
                            .patience = r->patience,
                            .callbacks = {{watch, &w}}},
           error);
    add_scores(&r->mean.train, m, train, error);
    add_scores(&r->mean.validation, m, validation, error);
    add_scores(&r->mean.test, m, test, error);
    look_at_weights(m, &r->mean);
    for (; w.marks < MARKS; w.marks++) /* stopped: no line goes on */
        r->training_curve[w.marks] = r->validation_curve[w.marks] = NAN;
    nn_model_free(m);
    nn_data_free(train);
    nn_data_free(validation);
    nn_data_free(test);
}

static void show_experiment(lesson *l, remedy *remedies)
{
    nn_error error = {0};
    lesson_part("Learnt by heart: 40 points, 4,482 parameters");
    printf(
        "  Two half moons with noise %g; %d steps of Adam, batches of %d. Means over %d draws of\n"
        "  points and weights. The loss is the cross-entropy, without penalties; for L1 and L2\n"
        "  λ/n is given; 'near 0' is below .001.\n\n"
        "                     training     validation      test          weights\n"
        "                    loss   acc    loss   acc    loss   acc   Σ|w|  √Σw²  near 0\n",
        noise, STEPS, BATCH, SEEDS);
    for (int i = 0; i < REMEDIES && !error.status; i++) {
        remedy *r = &remedies[i];
        for (uint64_t seed = 1; seed <= SEEDS && !error.status; seed++)
            train_one(r, seed, &error);
        const result *m = &r->mean;
        printf("  %-16s %7.3f %4.0f%% %7.3f %4.1f%% %7.3f %4.1f%% %6.0f %5.1f %6.0f%%\n", r->name,
               m->train.loss, 100 * m->train.accuracy, m->validation.loss,
               100 * m->validation.accuracy, m->test.loss, 100 * m->test.accuracy, m->sum, m->norm,
               100 * m->zeros);
    }
    lesson_ok(l, error.status, error.text);
}

static double least(const double *y)
{
    double low = INFINITY;
    for (int i = 0; i < MARKS; i++)
        low = y[i] < low ? y[i] : low;
    return low;
}

static void show_claims(lesson *l, const remedy *r)
{
    const result *none = &r[NONE].mean;
    lesson_part("What can be read off");
    lesson_table();
    lesson_claim(l, "nothing: training loss below .05?", NULL, none->train.loss < .05, true);
    lesson_claim(l, "validation loss over 5 times as large?", NULL,
                 none->validation.loss > 5 * none->train.loss, true);
    lesson_claim(l, "does the validation loss fall first,", NULL,
                 least(r[NONE].validation_curve) < .8 * r[NONE].validation_curve[0], true);
    lesson_claim(l, "  then rise to more than twice its least?", NULL,
                 r[NONE].validation_curve[MARKS - 1] > 2 * least(r[NONE].validation_curve), true);
    for (int i = NONE + 1; i < REMEDIES; i++) {
        char what[64];
        snprintf(what, sizeof what, "%s: test loss below 3/4?", r[i].name);
        lesson_claim(l, what, NULL, r[i].mean.test.loss < .75 * none->test.loss, true);
        snprintf(what, sizeof what, "  and training loss above?");
        lesson_claim(l, what, NULL, r[i].mean.train.loss > none->train.loss, true);
    }
    lesson_claim(l, "L1: over half of the weights next to 0?", NULL, r[L1].mean.zeros > .5, true);
    lesson_claim(l, "nothing: over a tenth?", NULL, none->zeros > .1, false);
    lesson_claim(l, "L2: is √Σw² below 2/3 of nothing's?", NULL,
                 r[L2].mean.norm < none->norm * 2 / 3, true);
    lesson_claim(l, "are more true data better than shaken?", NULL,
                 r[MORE_DATA].mean.test.loss < r[MADE_UP].mean.test.loss, true);
    puts(
        "\n  The training loss says nothing about new points: it is lowest where the test loss is\n"
        "  highest. 'The cost falls, but the accuracy on validation data does not rise' is the\n"
        "  lecture's sign. The validation loss shows it more clearly, as it counts how sure the\n"
        "  wrong answers are. L1 sets nearly all weights to 0 and lets a few be large; L2 would\n"
        "  rather have many small ones (and lets whole neurons go that are of no use). More true\n"
        "  data help most. The small network cannot learn the noise, but the moons not quite\n"
        "  either: too little capacity is a fault, too. Early stopping has chosen its step by\n"
        "  the validation data, which therefore flatter it a little; the test data do not.");
}

static void draw(lesson *l, const remedy *r, const char *path)
{
    static double steps[MARKS];
    nn_series both[2], all[2 + REMEDIES];
    for (int i = 0; i < MARKS; i++)
        steps[i] = i * EVERY;
    both[0] = (nn_series){.name = "training", .n = MARKS, .x = steps, .y = r[NONE].training_curve};
    both[1] =
        (nn_series){.name = "validation", .n = MARKS, .x = steps, .y = r[NONE].validation_curve};
    lesson_part("Pictures");
    nn_chart chart = {.title = "Over-fitting: the loss on 40 points and on new ones",
                      .x_label = "step",
                      .y_label = "cross-entropy",
                      .n_series = 2,
                      .series = both};
    lesson_chart(l, &chart, NULL, stdout);
    int n = 0;
    all[n++] = (nn_series){
        .name = "training, nothing done", .n = MARKS, .x = steps, .y = r[NONE].training_curve};
    all[n++] = (nn_series){
        .name = "validation, nothing done", .n = MARKS, .x = steps, .y = r[NONE].validation_curve};
    for (int i = NONE + 1; i < EARLY; i++)
        all[n++] =
            (nn_series){.name = r[i].name, .n = MARKS, .x = steps, .y = r[i].validation_curve};
    chart = (nn_chart){.title = "Validation loss with each remedy",
                       .x_label = "step",
                       .y_label = "cross-entropy",
                       .n_series = n,
                       .series = all};
    lesson_chart(l, &chart, path, NULL);
}

int main(int argc, char **argv)
{
    static remedy remedies[REMEDIES] = {
        [NONE] = {"nothing", .units = UNITS_WIDE},
        [L2] = {"L2 .01", .l2 = .01, .units = UNITS_WIDE},
        [L1] = {"L1 .002", .l1 = .002, .units = UNITS_WIDE},
        [DROPOUT] = {"dropout .5", .dropout = .5, .units = UNITS_WIDE},
        [MORE_DATA] = {"400 points", .data = MORE, .units = UNITS_WIDE},
        [MADE_UP] = {"shaken 10 times", .data = SYNTHETIC, .units = UNITS_WIDE},
        [SMALL] = {"2-4-4-2 network", .units = UNITS_NARROW},
        [EARLY] = {"stopped early", .units = UNITS_WIDE, .patience = 5}};
    lesson l;
    nn_error error = {0};
    lesson_begin(&l, "overfitting", "Over-fitting, and what helps");
    nn_data *data = few_examples(&error);
    lesson_ok(&l, error.status, error.text);
    show_decay(&l, data);
    nn_data_free(data);
    show_penalties(&l);
    show_dropout(&l);
    show_experiment(&l, remedies);
    show_claims(&l, remedies);
    draw(&l, remedies, argc > 1 ? argv[1] : "overfitting.svg");
    return lesson_end(&l);
}
