/* test_nn_checkpoint.c - a fit that was stopped and goes on gives the bits of one that was not
 *
 * Scenarios are small: 13 rows in batches of 5, 4 epochs, so that every place where a fit can stop
 * is tried. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "fitting.h"
#include "folder.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 13, BATCH = 5, EPOCHS = 4, STEPS = 12 };

static bool exists(const char *path) { return access(path, F_OK) == 0; }

/* ---- scenarios --------------------------------------------------------------------------- */

typedef enum model_kind { SMALL, SMALL_FLOAT, NORMED, NORMED_FLOAT, FROZEN } model_kind;
typedef enum data_source {
    MEMORY,
    WEIGHTED,
    STREAM,
    ENDLESS,
    WEIGHTED_STREAM,
    AHEAD, /* a stream that is read ahead */
    ENDLESS_AHEAD
} data_source;

typedef struct scenario {
    const char *name;
    model_kind kind;
    data_source source;
    bool validates; /* on data of its own */
    bool second;    /* the model had another fit before */
    nn_fit_config config;
} scenario;

static nn_model *model_of(model_kind kind)
{
    const bool normed = kind == NORMED || kind == NORMED_FLOAT;
    nn_model *m = nn_mlp(
        &(nn_mlp_config){.in = 2,
                         .hidden = {6},
                         .out = 2,
                         .activation = NN_TANH,
                         .batch_norm = normed,
                         .dropout = normed ? .25 : 0,
                         .seed = 5,
                         .dtype = kind == SMALL_FLOAT || kind == NORMED_FLOAT ? AD_F32 : AD_F64});
    if (kind == FROZEN)
        assert_int_equal(nn_freeze(m, "0", true), 2);
    return m;
}

/* Where a scenario's data are. */
typedef struct source_data {
    nn_data *rows, *train, *validation;
    tap tap;
} source_data;

static void data_begin(source_data *d, const scenario *s, int64_t rows)
{
    nn_error e = {0};
    *d = (source_data){.rows = nn_make_moons(rows, .3, 3, &e)};
    if (s->source == WEIGHTED || s->source == WEIGHTED_STREAM) {
        ad_tensor *weights = some_weights(rows);
        nn_data *weighted = nn_data_with_weights(d->rows, weights, &e);
        ad_tensor_free(weights);
        nn_data_free(d->rows);
        d->rows = weighted;
    }
    if (s->validates)
        d->validation = nn_make_moons(9, .3, 4, &e);
    fine_at(&e, __LINE__);
    d->tap.data = d->rows;
    d->tap.ahead = s->source >= AHEAD;
    const bool endless = s->source == ENDLESS || s->source == ENDLESS_AHEAD;
    d->train = s->source < STREAM ? d->rows : stream_of(&d->tap, !endless);
}

static void data_end(source_data *d)
{
    if (d->train != d->rows)
        nn_data_free(d->train);
    nn_data_free(d->rows);
    nn_data_free(d->validation);
}

static double first_prediction(const ad_tensor *prediction, const ad_tensor *target, void *user)
{
    (void)target;
    (void)user;
    return ((const double *)ad_tensor_data_const(prediction))[0];
}

/* ---- runs -------------------------------------------------------------------------------- */

typedef struct watcher { /* of a fit */
    int64_t events, steps;
    int64_t stop_at; /* the event, from 1; 0: none */
    int64_t stop_step;
    nn_progress_info last;
} watcher;

static bool watch(void *user, const nn_progress_info *info)
{
    watcher *w = user;
    w->events++;
    w->steps += info->event == NN_STEP_DONE;
    w->last = *info;
    return w->events != w->stop_at &&
           !(info->event == NN_STEP_DONE && w->stop_step && info->step == w->stop_step);
}

static nn_fit_config config_of(const scenario *s, const source_data *d)
{
    nn_fit_config c = s->config;
    if (c.loss == 0)
        c.loss = NN_SOFTMAX_CROSS_ENTROPY;
    if (c.batch == 0)
        c.batch = BATCH;
    if (c.epochs == 0)
        c.epochs = EPOCHS;
    c.validation = d->validation;
    return c;
}

/* A fit of that model: from its beginning, or from the file where there is one. */
static void run(nn_model *m, const scenario *s, const char *path, bool resume, watcher *w)
{
    nn_error e = {0};
    source_data d;
    data_begin(&d, s, ROWS);
    nn_fit_config c = config_of(s, &d);
    if (s->second && !(resume && exists(path)))
        nn_fit(m, d.train, &(nn_fit_config){.loss = c.loss, .batch = BATCH, .epochs = 2}, &e);
    c.checkpoint = path;
    c.checkpoint_every = path ? s->config.checkpoint_every : 0;
    c.resume = resume;
    c.callbacks[0] = (nn_callback){watch, w};
    nn_fit(m, d.train, &c, &e);
    data_end(&d);
    if (e.status)
        fail_msg("%s: %s", s->name, e.text);
}

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

/* NaNs are alike. */
static bool same_scores(const nn_scores *a, const nn_scores *b)
{
    const double x[] = {a->loss, a->accuracy, a->top_k, a->precision, a->recall, a->f1,
                        a->auc,  a->mae,      a->rmse,  a->r2,        a->custom};
    const double y[] = {b->loss, b->accuracy, b->top_k, b->precision, b->recall, b->f1,
                        b->auc,  b->mae,      b->rmse,  b->r2,        b->custom};
    bool same = a->rows == b->rows;
    for (int i = 0; i < COUNT(x); i++)
        same = same && (same_bits(x[i], y[i]) || (isnan(x[i]) && isnan(y[i])));
    return same;
}

static void same_history(const nn_model *got, const nn_model *want, const char *where)
{
    if (nn_history_count(got) != nn_history_count(want))
        fail_msg("%s: %d rows of history, want %d", where, nn_history_count(got),
                 nn_history_count(want));
    for (int i = 0; i < nn_history_count(want); i++) {
        const nn_history_row *a = nn_history_at(got, i), *b = nn_history_at(want, i);
        if (a->epoch != b->epoch || a->step != b->step || !same_bits(a->rate, b->rate))
            fail_msg("%s: row %d of the history: epoch %d, step %lld, rate %.17g; want %d, %lld, "
                     "%.17g",
                     where, i, a->epoch, (long long)a->step, a->rate, b->epoch, (long long)b->step,
                     b->rate);
        if (!same_scores(&a->training, &b->training))
            fail_msg("%s: row %d of the history: training loss %.17g, want %.17g, or other scores "
                     "differ",
                     where, i, a->training.loss, b->training.loss);
        if (!same_scores(&a->validation, &b->validation))
            fail_msg("%s: row %d of the history: validation loss %.17g, want %.17g, or other "
                     "scores differ",
                     where, i, a->validation.loss, b->validation.loss);
    }
}

/* What callbacks saw at the end, but for seconds. */
static void same_ends(const nn_progress_info *got, const nn_progress_info *want, const char *where)
{
    const char *a = got->stopped ? got->stopped : "", *b = want->stopped ? want->stopped : "";
    if (strcmp(a, b) != 0)
        fail_msg("%s: stopped by \"%s\", want \"%s\"", where, a, b);
    if (got->epoch != want->epoch || got->step != want->step || got->batch != want->batch ||
        got->rows != want->rows || got->best_epoch != want->best_epoch ||
        got->waited != want->waited)
        fail_msg("%s: ends at epoch %d, step %lld, batch %lld, row %lld, best epoch %d, waited "
                 "%d; want %d, %lld, %lld, %lld, %d, %d",
                 where, got->epoch, (long long)got->step, (long long)got->batch,
                 (long long)got->rows, got->best_epoch, got->waited, want->epoch,
                 (long long)want->step, (long long)want->batch, (long long)want->rows,
                 want->best_epoch, want->waited);
    if (!same_bits(got->rate, want->rate) ||
        !(same_bits(got->best, want->best) || (isnan(got->best) && isnan(want->best))))
        fail_msg("%s: ends at rate %.17g, best %.17g; want %.17g, %.17g", where, got->rate,
                 got->best, want->rate, want->best);
    if (!same_scores(&got->training, &want->training) ||
        !same_scores(&got->validation, &want->validation))
        fail_msg("%s: ends with other scores: training loss %.17g, want %.17g", where,
                 got->training.loss, want->training.loss);
}

static void same_models(const nn_model *got, const nn_model *want, const char *where)
{
    const char *name = "";
    if (!same_values(got, want, &name))
        fail_msg("%s: '%s' has other bits", where, name);
    same_history(got, want, where);
}

/* Stopped at every event that a callback can see; what goes on is a new model. */
static void stops_anywhere(const scenario *s)
{
    char path[PATH], where[200];
    watcher all = {0};
    nn_model *straight = model_of(s->kind);
    run(straight, s, NULL, false, &all);
    in_folder(path, "stopped");
    for (int64_t stop = 1; stop <= all.events; stop++) {
        watcher first = {.stop_at = stop}, rest = {0};
        nn_model *stopped = model_of(s->kind), *resumed = model_of(s->kind);
        snprintf(where, sizeof where, "%s, stopped at event %lld of %lld", s->name, (long long)stop,
                 (long long)all.events);
        remove(path);
        run(stopped, s, path, false, &first);
        run(resumed, s, path, true, &rest);
        same_models(resumed, straight, where);
        same_ends(&rest.last, &all.last, where);
        nn_model_free(stopped);
        nn_model_free(resumed);
    }
    nn_model_free(straight);
}

/* Stopped after every step, and every time begun anew from the file. */
static void stops_everywhere(const scenario *s)
{
    char path[PATH];
    watcher all = {0}, part;
    nn_model *straight = model_of(s->kind), *m;
    run(straight, s, NULL, false, &all);
    remove(in_folder(path, "everywhere"));
    for (int i = 0;; i++) {
        part = (watcher){.stop_at = 2}; /* the event after the beginning */
        m = model_of(s->kind);
        run(m, s, path, true, &part);
        if (!part.last.stopped || strcmp(part.last.stopped, "a callback asked for it") != 0)
            break;
        nn_model_free(m);
        if (i > 10 * STEPS)
            fail_msg("%s: does not come to its end", s->name);
    }
    same_models(m, straight, s->name);
    same_ends(&part.last, &all.last, s->name);
    nn_model_free(m);
    nn_model_free(straight);
}

static void all_stops(const scenario *s, int n)
{
    for (int i = 0; i < n; i++) {
        stops_anywhere(&s[i]);
        stops_everywhere(&s[i]);
    }
}

/* ---- the promise ------------------------------------------------------------------------- */

static nn_optimizer with_decay(nn_optimizer o, double coupled, double decoupled)
{
    o.coupled_decay = coupled;
    o.decoupled_decay = decoupled;
    return o;
}

static void every_optimizer_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    nn_optimizer centred = nn_rmsprop(.01), amsgrad = nn_adam(.05), damped = nn_momentum(.1, .9);
    centred.centred = true;
    centred.momentum = .5;
    amsgrad.amsgrad = true;
    damped.dampening = .1;
    const scenario s[] = {
        {.name = "SGD", .config.optimizer = nn_sgd(.2)},
        {.name = "momentum", .config.optimizer = nn_momentum(.1, .9)},
        {.name = "dampening", .config.optimizer = damped},
        {.name = "Nesterov", .config.optimizer = nn_nesterov(.1, .9)},
        {.name = "Adagrad", .config.optimizer = nn_adagrad(.1)},
        {.name = "RMSprop", .config.optimizer = nn_rmsprop(.01)},
        {.name = "RMSprop, centred", .config.optimizer = centred},
        {.name = "Adadelta", .config.optimizer = nn_adadelta(1)},
        {.name = "Adam", .config.optimizer = nn_adam(.05)},
        {.name = "Adam, float", .kind = SMALL_FLOAT, .config.optimizer = nn_adam(.05)},
        {.name = "AMSGrad", .config.optimizer = amsgrad},
        {.name = "AdamW", .config.optimizer = nn_adamw(.05)},
        {.name = "decay", .config.optimizer = with_decay(nn_adam(.05), .1, .1)},
        {.name = "Adamax", .config.optimizer = nn_adamax(.05)},
        {.name = "NAdam", .config.optimizer = nn_nadam(.05)},
        {.name = "NAdam, float", .kind = SMALL_FLOAT, .config.optimizer = nn_nadam(.05)},
        {.name = "Keras' SGD", .config.optimizer = nn_keras(NN_SGD)},
        {.name = "Keras' Adagrad", .config.optimizer = nn_keras(NN_ADAGRAD)},
        {.name = "Keras' RMSprop", .config.optimizer = nn_keras(NN_RMSPROP)},
        {.name = "Keras' Adadelta", .config.optimizer = nn_keras(NN_ADADELTA)},
        {.name = "Keras' Adam", .config.optimizer = nn_keras(NN_ADAM)},
        {.name = "Keras' Adamax", .config.optimizer = nn_keras(NN_ADAMAX)},
        {.name = "Keras' NAdam", .config.optimizer = nn_keras(NN_NADAM)},
    };
    all_stops(s, COUNT(s));
}

static void lbfgs_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    nn_optimizer short_memory = nn_lbfgs();
    short_memory.history = 2;
    const nn_fit_config plain = {.optimizer = nn_lbfgs(), .epochs = 8},
                        two = {.optimizer = short_memory, .epochs = 8, .metrics = NN_ACCURACY},
                        best = {.optimizer = nn_lbfgs(), .epochs = 8, .patience = 2};
    const scenario s[] = {
        {.name = "L-BFGS", .config = plain},
        {.name = "L-BFGS, two pairs", .config = two},
        {.name = "L-BFGS, float", .kind = SMALL_FLOAT, .config = plain},
        {.name = "L-BFGS, norms", .kind = NORMED, .config = two},
        {.name = "L-BFGS, frozen", .kind = FROZEN, .config = plain},
        {.name = "L-BFGS, weights", .source = WEIGHTED, .config = two},
        {.name = "L-BFGS, stream", .source = STREAM, .config = plain},
        {.name = "L-BFGS, patience", .validates = true, .config = best},
        {.name = "L-BFGS, a second fit", .second = true, .config = plain},
        {.name = "L-BFGS, to the end",
         .kind = FROZEN,
         .config = {.optimizer = nn_lbfgs(), .epochs = 60, .l2 = .1}},
    };
    all_stops(s, COUNT(s));
}

static void every_option_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    const double class_weights[] = {1, 3};
    const nn_loss_options of_classes = {.n_class_weights = 2, .class_weights = class_weights};
    const nn_group groups[] = {{.name = "2.weight", .rate = .5},
                               {.name = "0", .rate = 2, .no_decay = true}};
    const scenario s[] = {
        {.name = "accumulate", .config = {.accumulate = 2}},
        {.name = "accumulate beyond an epoch", .config = {.accumulate = 5, .l2 = .1}},
        {.name = "accumulate, sums",
         .config = {.accumulate = 2, .loss_options.reduction = NN_SUM, .clip_norm = .1}},
        {.name = "accumulate, float",
         .kind = NORMED_FLOAT,
         .source = WEIGHTED,
         .config = {.accumulate = 2, .average = .9, .metrics = NN_ACCURACY}},
        {.name = "average", .config = {.average = .8}},
        {.name = "average, validation", .validates = true, .config = {.average = .8}},
        {.name = "average, best",
         .validates = true,
         .config = {.average = .8, .patience = 2, .optimizer = nn_adam(.5)}},
        {.name = "penalties",
         .config = {.l1 = .01, .l2 = .02, .penalty_by_rows = true, .penalise_biases = true}},
        {.name = "clipping", .config = {.clip_value = .05, .clip_norm = .1}},
        {.name = "groups", .config = {.groups = groups, .n_groups = 2, .optimizer = nn_adamw(.05)}},
        {.name = "weights", .source = WEIGHTED, .config = {.metrics = NN_ACCURACY | NN_AUC}},
        {.name = "weights of classes",
         .source = WEIGHTED,
         .config = {.loss_options = of_classes, .accumulate = 2}},
        {.name = "smoothing", .config = {.loss_options.smoothing = .1}},
        {.name = "frozen", .kind = FROZEN},
        {.name = "frozen, average", .kind = FROZEN, .config = {.average = .5, .accumulate = 2}},
        {.name = "norms", .kind = NORMED},
        {.name = "norms, float", .kind = NORMED_FLOAT, .config = {.metrics = NN_ACCURACY}},
        {.name = "norms, average",
         .kind = NORMED,
         .validates = true,
         .config = {.average = .8, .restore_best = true, .validate_every = 2}},
        {.name = "in order", .config = {.no_shuffle = true}},
        {.name = "row by row", .config = {.batch = 1, .epochs = 1}},
        {.name = "all rows", .config = {.batch = NN_FULL_BATCH}},
        {.name = "every step", .config = {.checkpoint_every = 1}},
        {.name = "every second step", .config = {.checkpoint_every = 2, .accumulate = 2}},
        {.name = "a second fit", .second = true},
        {.name = "a second fit, norms",
         .kind = NORMED,
         .second = true,
         .validates = true,
         .config = {.metrics = NN_ACCURACY, .average = .5}},
        {.name = "a metric of one's own", .config = {.metric = first_prediction}},
    };
    all_stops(s, COUNT(s));
}

static void validation_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    const scenario s[] = {
        {.name = "validation", .validates = true, .config = {.metrics = NN_ACCURACY | NN_F1}},
        {.name = "held rows", .config = {.validation_share = .3}},
        {.name = "held rows, norms",
         .kind = NORMED,
         .config = {.validation_share = .3, .restore_best = true, .metrics = NN_ACCURACY}},
        {.name = "held rows, in order", .config = {.validation_share = .3, .no_shuffle = true}},
        {.name = "every second step", .validates = true, .config = {.validate_every = 2}},
        {.name = "every fourth step, without data",
         .config = {.validate_every = 4, .metrics = NN_ACCURACY}},
        {.name = "patience",
         .validates = true,
         .config = {.patience = 2, .epochs = 8, .optimizer = nn_adam(1)}},
        {.name = "patience at once",
         .validates = true,
         .config = {.patience = 1, .min_change = 10, .epochs = 8}},
        {.name = "patience within an epoch",
         .validates = true,
         .config = {.patience = 3, .validate_every = 2, .min_change = 10, .epochs = 8}},
        {.name = "patience without validation", .config = {.patience = 2, .min_change = 10}},
        {.name = "best accuracy",
         .validates = true,
         .config = {.restore_best = true, .monitor = NN_ACCURACY, .optimizer = nn_adam(1)}},
        {.name = "best of the training", .config = {.restore_best = true, .metrics = NN_AUC}},
    };
    all_stops(s, COUNT(s));
}

static void schedules_go_on_with_the_same_bits(void **state)
{
    (void)state;
    const nn_schedule schedules[] = {
        {.kind = NN_STEP, .every = 1, .gamma = .5},
        {.kind = NN_STEP, .every = 2, .gamma = .5, .warmup = 1.5},
        {.kind = NN_EXPONENTIAL, .gamma = .7, .warmup = 1},
        {.kind = NN_COSINE, .floor = .01},
        {.kind = NN_COSINE, .warmup = 2},
        {.kind = NN_PLATEAU, .patience = 1},
        {.kind = NN_PLATEAU, .patience = 2, .gamma = .5, .warmup = .5},
        {.kind = NN_ONE_CYCLE},
    };
    for (int i = 0; i < COUNT(schedules); i++) {
        char name[40];
        snprintf(name, sizeof name, "schedule %d", i);
        const scenario s = {.name = name,
                            .validates = true,
                            .config = {.schedule = schedules[i], .min_change = .5}};
        all_stops(&s, 1);
    }
    const scenario steps = {.name = "plateau within epochs",
                            .validates = true,
                            .config = {.schedule = {.kind = NN_PLATEAU, .patience = 1},
                                       .validate_every = 2,
                                       .patience = 4,
                                       .min_change = .5}};
    all_stops(&steps, 1);
}

static void streams_go_on_with_the_same_bits(void **state)
{
    (void)state;
    const scenario s[] = {
        {.name = "stream", .source = STREAM},
        {.name = "stream, scores",
         .source = STREAM,
         .validates = true,
         .config = {.metrics = NN_ACCURACY, .patience = 2}},
        {.name = "endless", .source = ENDLESS},
        {.name = "endless, accumulate",
         .source = ENDLESS,
         .config = {.accumulate = 2, .metrics = NN_ACCURACY, .average = .5}},
        {.name = "weighted stream", .source = WEIGHTED_STREAM, .kind = NORMED},
        {.name = "stream, a second fit", .source = STREAM, .second = true},
        {.name = "stream, read ahead", .source = AHEAD, .config = {.metrics = NN_ACCURACY}},
        {.name = "stream, read ahead, norms",
         .source = AHEAD,
         .kind = NORMED,
         .second = true,
         .validates = true,
         .config = {.validate_every = 2, .checkpoint_every = 1, .accumulate = 2}},
        {.name = "endless, read ahead", .source = ENDLESS_AHEAD},
    };
    all_stops(s, COUNT(s));
}

/* A stream in another order every epoch, by the number that rewind is given. */
typedef struct shuffled {
    tap tap;
    nn_data *orders[8];
    int64_t n;
} shuffled;

static int64_t shuffled_next(void *user, int64_t rows, ad_tensor *const *inputs, ad_tensor *target,
                             ad_tensor *weights)
{
    return tap_next(&((shuffled *)user)->tap, rows, inputs, target, weights);
}

static bool shuffled_rewind(void *user, int64_t epoch)
{
    shuffled *s = user;
    s->tap.data = s->orders[epoch % 8];
    return tap_rewind(&s->tap, epoch);
}

static nn_data *shuffled_begin(shuffled *s, nn_data *rows)
{
    nn_error e = {0};
    *s = (shuffled){.tap.most = 4};
    for (int64_t k = 0; k < 8; k++) {
        int64_t order[ROWS];
        for (int64_t i = 0; i < ROWS; i++)
            order[i] = (i * (k + 1) + k) % ROWS;
        s->orders[k] = nn_data_select(rows, ROWS, order, &e);
    }
    nn_data *stream = nn_data_stream(&(nn_stream){.next = shuffled_next,
                                                  .rewind = shuffled_rewind,
                                                  .user = s,
                                                  .rows = ROWS,
                                                  .n_inputs = 1,
                                                  .inputs = {shape_of(nn_data_input(rows, 0))},
                                                  .target = shape_of(nn_data_target(rows))},
                                     &e);
    fine_at(&e, __LINE__);
    return stream;
}

static void a_stream_is_rewound_by_the_number_of_its_epoch(void **state)
{
    (void)state;
    char path[PATH];
    nn_error e = {0};
    shuffled s;
    nn_data *rows = nn_make_moons(ROWS, .3, 3, &e), *stream = shuffled_begin(&s, rows);
    nn_fit_config c = {.loss = NN_SOFTMAX_CROSS_ENTROPY, .batch = BATCH, .epochs = EPOCHS};
    nn_model *straight = model_of(SMALL);
    nn_fit(straight, stream, &c, &e);
    c.checkpoint = in_folder(path, "stream");
    for (int64_t stop = 1; stop <= 4 * EPOCHS; stop++) {
        watcher w = {.stop_step = stop};
        nn_model *m = model_of(SMALL), *again = model_of(SMALL);
        c.resume = false;
        c.callbacks[0] = (nn_callback){watch, &w};
        nn_fit(m, stream, &c, &e);
        c.resume = true;
        c.callbacks[0] = (nn_callback){0};
        nn_fit(again, stream, &c, &e);
        FINE(e);
        same_models(again, straight, "in another order every epoch");
        nn_model_free(m);
        nn_model_free(again);
    }
    nn_model_free(straight);
    for (int k = 0; k < 8; k++)
        nn_data_free(s.orders[k]);
    nn_data_free(stream);
    nn_data_free(rows);
}

/* ---- ways to stop ------------------------------------------------------------------------ */

static volatile sig_atomic_t asked;
static void on_signal(int number) { asked = number == SIGUSR1; }

static bool raise_at_5(void *user, const nn_progress_info *info)
{
    *(nn_progress_info *)user = *info;
    if (info->event == NN_STEP_DONE && info->step == 5)
        raise(SIGUSR1);
    return true;
}

static void a_signal_stops_after_the_step_and_the_fit_goes_on(void **state)
{
    (void)state;
    char path[PATH];
    nn_error e = {0};
    nn_progress_info last = {0};
    const scenario s = {.name = "signal", .kind = NORMED};
    source_data d;
    watcher w = {0};
    nn_model *straight = model_of(NORMED), *m = model_of(NORMED), *again = model_of(NORMED);
    run(straight, &s, NULL, false, &w);
    data_begin(&d, &s, ROWS);
    nn_fit_config c = config_of(&s, &d);
    c.checkpoint = in_folder(path, "signal");
    c.stop = &asked;
    c.callbacks[0] = (nn_callback){raise_at_5, &last};
    signal(SIGUSR1, on_signal);
    asked = 0;
    nn_fit(m, d.train, &c, &e);
    signal(SIGUSR1, SIG_DFL);
    FINE(e);
    assert_int_equal(last.step, 5);
    assert_string_equal(last.stopped, "asked to");
    asked = 0;
    c.callbacks[0] = (nn_callback){0};
    c.resume = true;
    nn_fit(again, d.train, &c, &e);
    FINE(e);
    same_models(again, straight, "a signal");
    data_end(&d);
    nn_model_free(straight);
    nn_model_free(m);
    nn_model_free(again);
}

static bool die_at(void *user, const nn_progress_info *info)
{
    if (info->event == NN_STEP_DONE && info->step == *(const int64_t *)user)
        kill(getpid(), SIGKILL);
    return true;
}

/* No chance to write at the end: the file is of an earlier step. */
static void a_killed_fit_goes_on_from_its_last_checkpoint(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "killed",
                        .kind = NORMED,
                        .validates = true,
                        .config = {.checkpoint_every = 2, .average = .8, .metrics = NN_ACCURACY}};
    watcher w = {0};
    nn_model *straight = model_of(NORMED);
    run(straight, &s, NULL, false, &w);
    in_folder(path, "killed");
    for (int64_t step = 1; step <= STEPS; step += 2) {
        remove(path);
        pid_t child = fork();
        if (child == 0) {
            source_data d;
            data_begin(&d, &s, ROWS);
            nn_fit_config c = config_of(&s, &d);
            c.checkpoint = path;
            c.callbacks[0] = (nn_callback){die_at, &step};
            nn_fit(model_of(NORMED), d.train, &c, NULL);
            _exit(1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_true(exists(path) == (step > 2));
        nn_model *m = model_of(NORMED);
        w = (watcher){0};
        run(m, &s, path, true, &w);
        assert_int_equal(w.steps, STEPS - (step > 2 ? step - 1 : 0));
        same_models(m, straight, "killed");
        nn_model_free(m);
    }
    nn_model_free(straight);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void resuming_a_finished_fit_does_nothing(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s[] = {
        {.name = "finished"},
        {.name = "finished, average", .config.average = .8},
        {.name = "finished, best", .validates = true, .config = {.patience = 2, .epochs = 9}},
        {.name = "finished, L-BFGS", .config.optimizer = nn_lbfgs()},
    };
    in_folder(path, "finished");
    for (int i = 0; i < COUNT(s); i++) {
        size_t before, after;
        watcher first = {0}, second = {0};
        nn_model *m = model_of(SMALL), *again = model_of(SMALL);
        remove(path);
        run(m, &s[i], path, false, &first);
        char *old = read_bytes(path, &before);
        run(again, &s[i], path, true, &second);
        char *new = read_bytes(path, &after);
        assert_int_equal(second.steps, 0);
        assert_int_equal(second.events, 2); /* it begins, and is done */
        same_models(again, m, s[i].name);
        same_ends(&second.last, &first.last, s[i].name);
        assert_int_equal(before, after);
        assert_memory_equal(old, new, after);
        run(m, &s[i], path, true, &second); /* the same model likewise */
        same_models(m, again, s[i].name);
        free(old);
        free(new);
        nn_model_free(m);
        nn_model_free(again);
    }
}

static void a_finished_fit_goes_on_for_more_epochs(void **state)
{
    (void)state;
    char path[PATH];
    scenario s[] = {
        {.name = "more", .config.metrics = NN_ACCURACY},
        {.name = "more, average", .kind = NORMED, .config = {.average = .8, .accumulate = 2}},
        {.name = "more, best", .validates = true, .config = {.restore_best = true}},
        {.name = "more, L-BFGS", .config.optimizer = nn_lbfgs()},
        {.name = "more patience",
         .validates = true,
         .config = {.patience = 2, .min_change = 10, .epochs = 7}},
    };
    in_folder(path, "more");
    for (int i = 0; i < COUNT(s); i++) {
        watcher w = {0};
        nn_model *m = model_of(s[i].kind), *again = model_of(s[i].kind),
                 *straight = model_of(s[i].kind);
        remove(path);
        run(m, &s[i], path, false, &w);
        s[i].config.epochs = 7;
        s[i].config.patience *= 2;
        run(again, &s[i], path, true, &w);
        run(straight, &s[i], NULL, false, &w);
        same_models(again, straight, s[i].name);
        nn_model_free(m);
        nn_model_free(again);
        nn_model_free(straight);
    }
}

static void without_a_file_a_resumed_fit_begins_anew(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "anew"};
    watcher w = {0};
    nn_model *straight = model_of(SMALL), *m = model_of(SMALL);
    run(straight, &s, NULL, false, &w);
    run(m, &s, in_folder(path, "anew"), true, &w);
    same_models(m, straight, "anew");
    assert_true(exists(path));
    nn_model_free(m);
    m = model_of(SMALL);
    run(m, &s, path, false, &w); /* not asked to resume: the file is written over */
    same_models(m, straight, "not resumed");
    nn_model_free(m);
    nn_model_free(straight);
}

/* The rows of a table without one column. */
static void drop_column(char *text, int column)
{
    char *to = text;
    for (int at = 0; *text; text++) {
        if (at != column || *text == '\n')
            *to++ = *text;
        at = *text == '\n' ? 0 : at + (*text == ',');
    }
    *to = 0;
}

static char *csv_of(const nn_model *m)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    assert_int_equal(nn_history_csv(m, to), AD_OK);
    fclose(to);
    drop_column(text, 3); /* seconds */
    return text;
}

static void the_history_of_a_resumed_fit_is_whole(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "history",
                        .second = true,
                        .validates = true,
                        .config = {.metrics = NN_ACCURACY | NN_F1}};
    watcher w = {0}, stop = {.stop_step = 8};
    nn_model *straight = model_of(SMALL), *m = model_of(SMALL), *again = model_of(SMALL);
    run(straight, &s, NULL, false, &w);
    run(m, &s, in_folder(path, "history"), false, &stop);
    run(again, &s, path, true, &w);
    char *got = csv_of(again), *want = csv_of(straight);
    assert_string_equal(got, want);
    assert_int_equal(nn_history_count(again), 2 + EPOCHS);
    for (int i = 1; i < nn_history_count(again); i++) /* time goes on, too */
        if (i != 2)
            assert_true(nn_history_at(again, i)->seconds >= nn_history_at(again, i - 1)->seconds);
    free(got);
    free(want);
    nn_model_free(straight);
    nn_model_free(m);
    nn_model_free(again);
}

/* ---- files that do not fit --------------------------------------------------------------- */

/* A checkpoint of a fit stopped in its second epoch. */
static void write_stopped(const scenario *s, const char *path)
{
    watcher w = {.stop_step = 5};
    nn_model *m = model_of(s->kind);
    remove(path);
    run(m, s, path, false, &w);
    assert_true(exists(path));
    nn_model_free(m);
}

/* What a fit from that file says; the model must be left as it was. */
static nn_error resumed_error(const scenario *s, const char *path, nn_model *m, int64_t rows)
{
    nn_error e = {0};
    source_data d;
    data_begin(&d, s, rows);
    nn_fit_config c = config_of(s, &d);
    const nn_fit_config before = {.loss = NN_SOFTMAX_CROSS_ENTROPY, .batch = BATCH};
    nn_fit(m, d.rows, &before, &e); /* so that there is something to lose */
    FINE(e);
    nn_model *same = model_of(s->kind);
    const bool comparable = nn_param_count(same) == nn_param_count(m) &&
                            nn_model_config_of(same)->seed == nn_model_config_of(m)->seed &&
                            nn_size(same) == nn_size(m);
    nn_fit(same, d.rows, &before, &e);
    FINE(e);
    c.checkpoint = path;
    c.resume = true;
    nn_fit(m, d.train, &c, &e);
    if (e.status && comparable)
        same_models(m, same, "after an error");
    nn_model_free(same);
    data_end(&d);
    return e;
}

static nn_model *seeded(int64_t hidden, uint64_t seed)
{
    return nn_mlp(&(nn_mlp_config){
        .in = 2, .hidden = {hidden}, .out = 2, .activation = NN_TANH, .seed = seed});
}

static nn_model *three_layers(void)
{
    return nn_mlp(
        &(nn_mlp_config){.in = 2, .hidden = {6, 6}, .out = 2, .activation = NN_TANH, .seed = 5});
}

static void another_config_is_an_error_that_says_what_differs(void **state)
{
    (void)state;
    char path[PATH];
    const scenario wrote = {.name = "wrote", .config.optimizer = nn_adam(.05)};
    const nn_optimizer adam = nn_adam(.05);
    nn_optimizer keras = nn_keras(NN_ADAM), amsgrad = adam;
    keras.rate = .05;
    amsgrad.amsgrad = true;
    const struct {
        scenario s;
        int64_t rows;
        const char *part;
    } cases[] = {
        {{.config.optimizer = nn_sgd(.1)}, ROWS, "optimizer"},
        {{.config.optimizer = nn_momentum(.1, .9)}, ROWS, "optimizer"},
        {{.config.optimizer = nn_adamax(.1)}, ROWS, "optimizer"},
        {{.config.optimizer = nn_nadam(.1)}, ROWS, "optimizer"},
        {{.config.optimizer = nn_lbfgs()}, ROWS, "optimizer"},
        {{.config.optimizer = keras}, ROWS, "Keras"},
        {{.config.optimizer = amsgrad}, ROWS, "max_exp_avg_sq"},
        {{.config = {.optimizer = adam, .batch = 4}}, ROWS, "batch"},
        {{.config = {.optimizer = adam, .batch = NN_FULL_BATCH}}, ROWS, "batch"},
        {{.config = {.optimizer = adam, .accumulate = 2}}, ROWS, "accumulate"},
        {{.config = {.optimizer = adam, .no_shuffle = true}}, ROWS, "no_shuffle"},
        {{.config = {.optimizer = adam, .average = .5}}, ROWS, "average"},
        {{.config = {.optimizer = adam, .validation_share = .3}}, ROWS, "rows"},
        {{.config = {.optimizer = adam, .monitor = NN_ACCURACY}}, ROWS, "monitor"},
        {{.config = {.optimizer = adam, .loss = NN_MSE}}, ROWS, "loss"},
        {{.config.optimizer = adam}, ROWS + 1, "rows"},
        {{.config.optimizer = adam}, ROWS - 1, "rows"},
        {{.config.optimizer = adam}, 4, "rows"},
        {{.config.optimizer = adam, .source = STREAM}, ROWS + 1, "rows"},
        {{.config.optimizer = adam, .source = ENDLESS}, ROWS, "rows"},
        {{.config.optimizer = adam, .kind = FROZEN}, ROWS, "train"},
        {{.config.optimizer = adam, .kind = SMALL_FLOAT}, ROWS, "0.weight"},
        {{.config.optimizer = adam, .kind = NORMED}, ROWS, "train"},
        {{.config.optimizer = adam, .validates = true}, ROWS, "validat"},
        {{.config = {.optimizer = adam, .restore_best = true}}, ROWS, "best"},
    };
    write_stopped(&wrote, in_folder(path, "wrote"));
    for (int i = 0; i < COUNT(cases); i++) {
        nn_model *m = model_of(cases[i].s.kind);
        nn_error e = resumed_error(&cases[i].s, path, m, cases[i].rows);
        if (!e.status || !strstr(e.text, cases[i].part) || !strstr(e.text, path))
            fail_msg("case %d: %s \"%s\", want an error with \"%s\" and the file's name", i,
                     ad_status_name(e.status), e.text, cases[i].part);
        nn_model_free(m);
    }
    nn_model *others[] = {seeded(7, 5), seeded(6, 6), seeded(6, 5 + ((uint64_t)1 << 40)),
                          three_layers()};
    const char *parts[] = {"train", "seed", "seed", "train"};
    for (int i = 0; i < COUNT(others); i++) {
        nn_error e = resumed_error(&wrote, path, others[i], ROWS);
        if (!e.status || !strstr(e.text, parts[i]))
            fail_msg("model %d: %s \"%s\", want an error with \"%s\"", i, ad_status_name(e.status),
                     e.text, parts[i]);
        nn_model_free(others[i]);
    }
}

static void what_may_change_may_change(void **state)
{
    (void)state;
    char path[PATH];
    const scenario wrote = {.name = "wrote", .config = {.optimizer = nn_adam(.05), .patience = 3}};
    const scenario others[] = {
        {.name = "rate", .config = {.optimizer = nn_adam(.01)}},
        {.name = "schedule", .config = {.schedule.kind = NN_COSINE}},
        {.name = "penalty", .config = {.l2 = .1, .epochs = 6}},
        {.name = "no best", .config = {.metrics = NN_ACCURACY}},
        {.name = "clipping", .config = {.clip_norm = .1, .checkpoint_every = 1}},
    };
    in_folder(path, "wrote");
    for (int i = 0; i < COUNT(others); i++) {
        write_stopped(&wrote, path);
        nn_model *m = model_of(SMALL);
        watcher w = {0};
        run(m, &others[i], path, true, &w);
        assert_int_equal(w.last.step, STEPS * (i == 2 ? 6 : 4) / 4);
        nn_model_free(m);
    }
}

static void a_file_that_is_no_checkpoint_is_an_error(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "none"};
    nn_error e = {0};
    nn_model *m = model_of(SMALL);
    nn_save(m, in_folder(path, "model"), &e);
    FINE(e);
    e = resumed_error(&s, path, m, ROWS);
    FAILS(e, AD_BAD_ARGUMENT, "not a checkpoint");
    e = resumed_error(&s, folder, m = (nn_model_free(m), model_of(SMALL)), ROWS);
    FAILS(e, AD_BAD_ARGUMENT, folder);
    write_bytes(in_folder(path, "text"), "epoch 3\n", 8);
    e = resumed_error(&s, path, m = (nn_model_free(m), model_of(SMALL)), ROWS);
    FAILS(e, AD_BAD_ARGUMENT, path);
    nn_model_free(m);
}

static void a_file_that_may_not_be_read_is_not_written_over(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "locked"};
    size_t before, after;
    write_stopped(&s, in_folder(path, "locked"));
    char *old = read_bytes(path, &before);
    chmod(path, 0);
    if (access(path, R_OK) == 0) { /* root may */
        free(old);
        skip();
    }
    nn_model *m = model_of(SMALL);
    nn_error e = resumed_error(&s, path, m, ROWS);
    FAILS(e, AD_BAD_ARGUMENT, "Permission denied");
    chmod(path, 0600);
    char *new = read_bytes(path, &after);
    assert_int_equal(before, after);
    assert_memory_equal(old, new, after);
    free(old);
    free(new);
    nn_model_free(m);
}

/* ---- damage ------------------------------------------------------------------------------ */

/* Everything that a checkpoint can hold. */
static const scenario full = {
    .name = "full",
    .validates = true,
    .config = {
        .accumulate = 2, .average = .8, .restore_best = true, .epochs = 2, .metrics = NN_ACCURACY}};

/* Goes on from such a file, or says why not and leaves the model as it is. true: it went on. */
static bool survives(const scenario *s, const source_data *d, const char *path)
{
    nn_error e = {0};
    nn_fit_config c = config_of(s, d);
    watcher w = {0};
    nn_model *m = model_of(s->kind), *same = model_of(s->kind);
    c.checkpoint = path;
    c.resume = true;
    c.callbacks[0] = (nn_callback){watch, &w};
    nn_fit(m, d->train, &c, &e);
    if (w.events == 0) { /* what is found later may have trained, from a number that could be */
        same_models(m, same, e.text);
        if (!strstr(e.text, path))
            fail_msg("no file named: %s", e.text);
    }
    nn_model_free(m);
    nn_model_free(same);
    return e.status == AD_OK;
}

static void a_file_cut_short_is_an_error(void **state)
{
    (void)state;
    char path[PATH], cut[PATH];
    size_t size;
    source_data d;
    write_stopped(&full, in_folder(path, "whole"));
    char *bytes = read_bytes(path, &size);
    data_begin(&d, &full, ROWS);
    in_folder(cut, "cut");
    for (size_t n = 0; n < size; n += n < 64 || n + 9 >= size ? 1 : 37) {
        write_bytes(cut, bytes, n);
        if (survives(&full, &d, cut))
            fail_msg("the first %zu of %zu bytes were enough", n, size);
    }
    write_bytes(cut, bytes, size);
    assert_true(survives(&full, &d, cut));
    free(bytes);
    data_end(&d);
}

static void flipped_bits_never_crash(void **state)
{
    (void)state;
    char path[PATH], damaged[PATH];
    size_t size, header = 0;
    source_data d;
    write_stopped(&full, in_folder(path, "whole"));
    char *bytes = read_bytes(path, &size);
    for (int i = 8; i-- > 0;)
        header = header << 8 | (unsigned char)bytes[i];
    assert_true(header + 8 < size);
    data_begin(&d, &full, ROWS);
    in_folder(damaged, "damaged");
    for (size_t at = 0; at < size; at += at < 8 ? 1 : at < header + 8 ? 3 : 11) {
        const char flipped = (char)(1 << at % 8);
        bytes[at] ^= flipped;
        write_bytes(damaged, bytes, size);
        survives(&full, &d, damaged);
        bytes[at] ^= flipped;
    }
    free(bytes);
    data_end(&d);
}

/* The file with one number of one tensor changed. */
static void with_number(const char *from, const char *to, const char *name, int64_t at,
                        double value)
{
    nn_error e = {0};
    int n = 0;
    ad_param **tensors = NULL;
    const char *names[64];
    ad_tensor *values[64];
    bool found = false;
    nn_safetensors_read(from, &n, &tensors, &e);
    FINE(e);
    assert_true(n <= 64);
    for (int i = 0; i < n; i++) {
        names[i] = ad_param_name(tensors[i]);
        values[i] = ad_param_value(tensors[i]);
        if (strcmp(names[i], name) != 0)
            continue;
        found = true;
        assert_true(ad_tensor_dtype(values[i]) == AD_F64 && at < ad_tensor_size(values[i]));
        ((double *)ad_tensor_data(values[i]))[at] = value;
    }
    if (!found)
        fail_msg("no '%s'", name);
    nn_safetensors_write(to, n, names, values,
                         (const char *[]){"format", "pt", "tapegrad", "tapegrad fit 1", NULL}, &e);
    FINE(e);
    for (int i = 0; i < n; i++)
        ad_param_free(tensors[i]);
    free(tensors);
}

static void numbers_that_cannot_be_are_errors(void **state)
{
    (void)state;
    enum { WORSE = 5 };
    char path[PATH], lie[PATH];
    const double worse[WORSE] = {-1, .5, 1e300, (double)NAN, -(double)INFINITY};
    /* whole numbers of the position and of the history: epoch, step, rows of both scores */
    const int64_t position[] = {0, 1, 2, 3, 8, 9, 10, 11, 13, 15, 16}, history[] = {0, 1, 4, 16},
                  scores[] = {0, 12};
    const struct {
        const char *name;
        const int64_t *at;
        int n;
    } lies[] = {{"fit.position", position, COUNT(position)},
                {"fit.history", history, COUNT(history)},
                {"fit.scores", scores, COUNT(scores)}};
    source_data d;
    write_stopped(&full, in_folder(path, "truth"));
    data_begin(&d, &full, ROWS);
    in_folder(lie, "lie");
    for (int k = 0; k < COUNT(lies); k++)
        for (int i = 0; i < lies[k].n; i++)
            for (int v = 0; v < WORSE; v++) {
                with_number(path, lie, lies[k].name, lies[k].at[i], worse[v]);
                if (survives(&full, &d, lie))
                    fail_msg("%s: number %lld may be %g", lies[k].name, (long long)lies[k].at[i],
                             worse[v]);
            }
    with_number(path, lie, "fit.position", 2, ROWS + 1);
    assert_false(survives(&full, &d, lie));
    with_number(path, lie, "fit.position", 2, BATCH + 1); /* more rows than predictions */
    assert_false(survives(&full, &d, lie));
    with_number(path, lie, "fit.position", 2, BATCH * 2);
    assert_true(survives(&full, &d, lie)); /* nothing was changed */
    data_end(&d);
}

/* A stream that gives other rows than it did. */
static void a_stream_that_gives_less_than_before_is_an_error(void **state)
{
    (void)state;
    char path[PATH];
    const scenario s = {.name = "less", .source = ENDLESS};
    nn_error e = {0};
    source_data d;
    write_stopped(&s, in_folder(path, "less")); /* at row 10 of the second epoch */
    const int64_t most[] = {0, 4};
    for (int i = 0; i < 2; i++) {
        data_begin(&d, &s, i ? ROWS : 8);
        d.tap.most = most[i];
        nn_fit_config c = config_of(&s, &d);
        c.checkpoint = path;
        c.resume = true;
        nn_model *m = model_of(SMALL);
        nn_fit(m, d.train, &c, &e);
        FAILS(e, AD_BAD_ARGUMENT, "the same rows");
        nn_model_free(m);
        data_end(&d);
    }
}

/* ---- writing ----------------------------------------------------------------------------- */

static void what_cannot_be_written_is_found_at_once(void **state)
{
    (void)state;
    char below[PATH], text[PATH];
    nn_error e = {0};
    source_data d;
    const scenario s = {.name = "unwritable"};
    write_bytes(in_folder(text, "text"), "", 0);
    in_folder(below, "text/checkpoint");
    const char *paths[] = {"/dev/full", "/dev/null", folder, below};
    data_begin(&d, &s, ROWS);
    for (int i = 0; i < COUNT(paths); i++) {
        nn_fit_config c = config_of(&s, &d);
        watcher w = {0};
        nn_model *m = model_of(SMALL);
        c.checkpoint = paths[i];
        c.callbacks[0] = (nn_callback){watch, &w};
        nn_fit(m, d.train, &c, &e);
        FAILS(e, AD_BAD_ARGUMENT, paths[i]);
        assert_null(w.last.stopped); /* it is found before the first step */
        nn_model_free(m);
    }
    data_end(&d);
}

/* A child whose disk is full from step 6 on: what it wrote before is kept, and goes on. */
static bool fill_disk(void *user, const nn_progress_info *info)
{
    (void)user;
    if (info->event == NN_STEP_DONE && info->step == 6)
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){300, 300});
    return true;
}

static void a_full_disk_keeps_the_old_checkpoint(void **state)
{
    (void)state;
    char path[PATH], command[2 * PATH];
    const scenario s = {.name = "full disk", .config.checkpoint_every = 1};
    watcher w = {0};
    nn_model *straight = model_of(SMALL), *m = model_of(SMALL);
    run(straight, &s, NULL, false, &w);
    in_folder(path, "checkpoint");
    pid_t child = fork();
    if (child == 0) {
        nn_error e = {0};
        source_data d;
        data_begin(&d, &s, ROWS);
        nn_fit_config c = config_of(&s, &d);
        c.checkpoint = path;
        c.callbacks[0] = (nn_callback){fill_disk, NULL};
        signal(SIGXFSZ, SIG_IGN);
        nn_fit(m, d.train, &c, &e);
        data_end(&d);
        nn_model_free(m);
        nn_model_free(straight);
        _exit(e.status == AD_BAD_ARGUMENT && strstr(e.text, "the old file is kept") ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    snprintf(command, sizeof command, "test \"$(ls '%.400s')\" = checkpoint", folder);
    assert_int_equal(system(command), 0); /* nothing half written is left beside it */
    w = (watcher){0};
    run(m, &s, path, true, &w);
    assert_int_equal(w.steps, STEPS - 5);
    same_models(m, straight, "after a full disk");
    nn_model_free(straight);
    nn_model_free(m);
}

static void what_a_crash_left_beside_is_no_obstacle(void **state)
{
    (void)state;
    char path[PATH], beside[PATH + 64];
    size_t size;
    const scenario s = {.name = "left beside"};
    watcher w = {0};
    nn_model *straight = model_of(SMALL), *m = model_of(SMALL);
    run(straight, &s, NULL, false, &w);
    in_folder(path, "checkpoint");
    snprintf(beside, sizeof beside, "%s.%ld-0.tmp", path, (long)getpid());
    write_bytes(beside, "half", 4);
    write_stopped(&s, path);
    run(m, &s, path, true, &w);
    same_models(m, straight, "left beside");
    char *bytes = read_bytes(beside, &size);
    assert_true(size == 4 && !memcmp(bytes, "half", 4)); /* another process may be writing it */
    free(bytes);
    nn_model_free(straight);
    nn_model_free(m);
}

/* ---- as files of others ------------------------------------------------------------------ */

static void a_checkpoint_is_a_file_of_parameters(void **state)
{
    (void)state;
    char path[PATH];
    nn_error e = {0};
    const scenario s = {.name = "plain", .kind = NORMED, .config.metrics = NN_ACCURACY};
    watcher w = {.stop_step = 5};
    nn_model *stopped = model_of(NORMED), *m = model_of(NORMED);
    run(stopped, &s, in_folder(path, "plain"), false, &w);
    nn_load_parameters(m, path, &e);
    FINE(e);
    SAME_VALUES(m, stopped);
    assert_int_equal(nn_history_count(m), 0);
    nn_model_free(stopped);
    nn_model_free(m);
}

static void python_reads_a_checkpoint(void **state)
{
    (void)state;
    char path[PATH], command[4 * PATH];
    const char *python = getenv("PYTHON");
    write_stopped(&full, in_folder(path, "checkpoint"));
    const char *program = "import sys\n"
                          "try:\n"
                          "    from safetensors.numpy import load_file\n"
                          "except ImportError:\n"
                          "    sys.exit(77)\n"
                          "t = load_file(sys.argv[1])\n"
                          "assert t['0.weight'].shape == (6, 2), t['0.weight'].shape\n"
                          "assert t['fit.position'][0, 1] == 5, t['fit.position']\n"
                          "assert len(t['fit.history']) == 1, t['fit.history']\n";
    snprintf(command, sizeof command, "'%.200s' -c \"%s\" '%s'", python ? python : "python3",
             program, path);
    int status = system(command);
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127))
        skip(); /* no safetensors here */
    assert_int_equal(status, 0);
}

/* ---- threads ----------------------------------------------------------------------------- */

typedef struct job {
    int number;
    char path[PATH];
    nn_model *result;
    bool failed;
} job;

/* Stops after every step, as stops_everywhere, without assertions: those belong to the main thread.
 */
static void *work(void *of)
{
    job *j = of;
    nn_error e = {0};
    nn_data *rows = nn_make_moons(ROWS, .3, 3, &e);
    nn_fit_config c = {.loss = NN_SOFTMAX_CROSS_ENTROPY,
                       .batch = BATCH,
                       .epochs = EPOCHS,
                       .validation_share = .3,
                       .optimizer = j->number ? nn_adamw(.05) : nn_momentum(.1, .9),
                       .average = .8,
                       .metrics = NN_ACCURACY,
                       .resume = j->path[0] != 0,
                       .checkpoint = j->path[0] ? j->path : NULL};
    bool done = false;
    for (int i = 0; !done && !e.status && i < 10 * STEPS; i++) {
        watcher w = {.stop_at = j->path[0] ? 2 : 0};
        nn_model_free(j->result);
        j->result = model_of(j->number ? NORMED : SMALL);
        c.callbacks[0] = (nn_callback){watch, &w};
        done = nn_fit(j->result, rows, &c, &e) || !w.last.stopped;
    }
    nn_data_free(rows);
    j->failed = e.status || !done;
    return NULL;
}

static void two_threads_fit_two_models_with_checkpoints(void **state)
{
    (void)state;
    job jobs[4] = {{.number = 0}, {.number = 1}, {.number = 0}, {.number = 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        work(&jobs[2 + i]);
        in_folder(jobs[i].path, i ? "one" : "two");
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_false(jobs[i].failed || jobs[2 + i].failed);
        same_models(jobs[i].result, jobs[2 + i].result, "by threads");
    }
    for (int i = 0; i < 4; i++)
        nn_model_free(jobs[i].result);
}

#define TEST(f) IN_A_FOLDER(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_optimizer_goes_on_with_the_same_bits),
        TEST(lbfgs_goes_on_with_the_same_bits),
        TEST(every_option_goes_on_with_the_same_bits),
        TEST(validation_goes_on_with_the_same_bits),
        TEST(schedules_go_on_with_the_same_bits),
        TEST(streams_go_on_with_the_same_bits),
        TEST(a_stream_is_rewound_by_the_number_of_its_epoch),
        TEST(a_signal_stops_after_the_step_and_the_fit_goes_on),
        TEST(a_killed_fit_goes_on_from_its_last_checkpoint),
        TEST(resuming_a_finished_fit_does_nothing),
        TEST(a_finished_fit_goes_on_for_more_epochs),
        TEST(without_a_file_a_resumed_fit_begins_anew),
        TEST(the_history_of_a_resumed_fit_is_whole),
        TEST(another_config_is_an_error_that_says_what_differs),
        TEST(what_may_change_may_change),
        TEST(a_file_that_is_no_checkpoint_is_an_error),
        TEST(a_file_that_may_not_be_read_is_not_written_over),
        TEST(a_file_cut_short_is_an_error),
        TEST(flipped_bits_never_crash),
        TEST(numbers_that_cannot_be_are_errors),
        TEST(a_stream_that_gives_less_than_before_is_an_error),
        TEST(what_cannot_be_written_is_found_at_once),
        TEST(a_full_disk_keeps_the_old_checkpoint),
        TEST(what_a_crash_left_beside_is_no_obstacle),
        TEST(a_checkpoint_is_a_file_of_parameters),
        TEST(python_reads_a_checkpoint),
        TEST(two_threads_fit_two_models_with_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
