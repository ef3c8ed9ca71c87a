/* fit.c - training: epochs of shuffled batches, validation, stopping, what callbacks see
 *
 * The loop itself knows nothing of derivatives: a batch is one run of a program (step.c). All that
 * the next step depends on is in tensors and in nn_fit_position, so that a checkpoint of both goes
 * on with the same bits. */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "divergence.h"
#include "error.h"
#include "file.h"
#include "fit_lbfgs.h"
#include "initialise.h"

static double clock_seconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- the order of rows ------------------------------------------------------------------- */

/* keys of the model's generator */
static uint64_t key_of(const char *what) { return nn_hash(what, 0); }

/* to[0..n) = from (NULL: 0, 1, ...) in a random order, drawn into t. */
static ad_status shuffle(const int64_t *from, int64_t *to, ad_tensor *t, uint64_t seed,
                         uint64_t key, uint64_t step, nn_error *error)
{
    const ad_status status = ad_draw_permutation(t, seed, key, step);
    const int32_t *p = ad_tensor_data_const(t);
    if (status)
        return nn_fail(error, status, "fit: the rows could not be shuffled");
    for (int64_t i = 0; i < ad_tensor_size(t); i++)
        to[i] = from ? from[p[i]] : p[i];
    return AD_OK;
}

static int64_t *rows_for(int64_t n, nn_error *error)
{
    int64_t *rows = malloc((size_t)n * sizeof *rows);
    if (!rows)
        nn_no_memory(error);
    return rows;
}

/* Holds out the last of the rows in a random order. */
static ad_status hold_out(nn_fitting *f, nn_error *error)
{
    const double share = f->config.validation_share;
    const int64_t n = f->train->rows;
    ad_tensor *t = ad_tensor_new(NULL, AD_I32, 1, &n);
    f->divided = rows_for(n, error);
    if (!t)
        nn_no_memory(error);
    else if (f->divided)
        shuffle(NULL, f->divided, t, f->model->config.seed, key_of("fit: validation"), 0, error);
    ad_tensor_free(t);
    if (nn_earlier(error))
        return nn_earlier(error);
    f->n_held = (int64_t)((double)n * share + .5);
    f->n_order = n - f->n_held;
    f->held = f->divided + f->n_order;
    if (f->n_held < 1 || f->n_order < 1)
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "fit: validation_share %g of %lld rows leaves %lld to train on and %lld to validate",
            share, (long long)n, (long long)f->n_order, (long long)f->n_held);
    return AD_OK;
}

/* Holds out rows for validation, and gives the rest its place for orders. */
static ad_status divide_rows(nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    const int64_t n = f->train->rows;
    if (f->train->is_stream)
        return c->validation_share > 0
                   ? nn_fail(error, AD_BAD_ARGUMENT,
                             "fit: rows of a stream cannot be held out; give validation data")
                   : AD_OK;
    if (n < 1)
        return nn_fail(error, AD_BAD_SHAPE, "fit: the data have no rows");
    if (n > INT32_MAX)
        return nn_fail(error, AD_TOO_LARGE,
                       "fit: more than 2147483647 rows in memory; use a stream");
    f->n_order = n;
    if (c->validation_share > 0 && hold_out(f, error))
        return nn_earlier(error);
    if (!(f->order = rows_for(f->n_order, error)))
        return nn_earlier(error);
    if (!c->no_shuffle && !(f->permutation = ad_tensor_new(NULL, AD_I32, 1, &f->n_order)))
        return nn_no_memory(error);
    if (f->divided)
        memcpy(f->order, f->divided, (size_t)f->n_order * sizeof *f->order);
    for (int64_t i = 0; !f->divided && i < f->n_order; i++)
        f->order[i] = i;
    return AD_OK;
}

/* Every epoch a new order; it depends on seed and epoch only. */
static ad_status order_epoch(nn_fitting *f, nn_error *error)
{
    const int64_t epoch = f->at.epochs_before + f->at.epoch;
    return f->permutation ? shuffle(f->divided, f->order, f->permutation, f->model->config.seed,
                                    key_of("fit: shuffle"), (uint64_t)epoch, error)
                          : nn_earlier(error);
}

/* ---- beginning --------------------------------------------------------------------------- */

/* A name that nothing has would be ignored without a word. */
static ad_status check_groups(const nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    if (c->n_groups > 0 && !c->groups)
        return nn_fail(error, AD_NULL, "fit: n_groups, but no groups");
    for (int i = 0; i < c->n_groups; i++) {
        const nn_group *g = &c->groups[i];
        if (!(g->rate >= 0) || isinf(g->rate))
            return nn_fail(error, AD_BAD_ARGUMENT,
                           "fit: group %d: the rate is a factor, 0 (for 1) or more", i);
        if (!nn_trainer_has(f->model, g->name))
            return nn_fail(error, AD_BAD_ARGUMENT,
                           "fit: group %d: no parameter is called '%s', or lies below it", i,
                           g->name);
    }
    return AD_OK;
}

/* L-BFGS makes no recorded steps, and so has nothing of what belongs to them. */
static ad_status check_lbfgs(const nn_fit_config *c, nn_error *error)
{
    if (c->optimizer.rule == NN_LBFGS &&
        (c->average > 0 || c->clip_norm > 0 || c->clip_value > 0 || c->accumulate > 1 ||
         c->n_groups > 0 || c->optimizer.coupled_decay != 0 || c->optimizer.decoupled_decay != 0))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: L-BFGS goes without average, clipping, accumulate, groups and decay "
                       "(there is l2)");
    return AD_OK;
}

static ad_status check_monitor(const nn_fit_config *c, nn_error *error)
{
    bool known = c->monitor == 0;
    for (int k = 0; k < NN_METRICS; k++)
        known = known || c->monitor == 1 << k;
    if (!known || c->metrics >> NN_METRICS)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: monitor is one metric, as NN_ACCURACY, or 0 for the loss, and metrics "
                       "a sum of such; these are %d and %u",
                       c->monitor, c->metrics);
    return AD_OK;
}

/* A rate without a rule would be lost: the default is another optimizer. */
static ad_status check_rule(const nn_optimizer *o, nn_error *error)
{
    if (o->rule == 0 && (o->rate != 0 || o->momentum != 0 || o->alpha != 0 || o->beta1 != 0 ||
                         o->beta2 != 0 || o->epsilon != 0 || o->coupled_decay != 0 ||
                         o->decoupled_decay != 0 || o->nesterov || o->centred || o->amsgrad))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: the optimizer has settings, but no rule: begin with nn_adam(rate), "
                       "nn_sgd(rate), ..., and change its fields");
    return AD_OK;
}

static ad_status check_schedule(const nn_fitting *f, nn_error *error)
{
    const nn_schedule *s = &f->config.schedule;
    const bool cycle = s->kind == NN_ONE_CYCLE;
    if ((int)s->kind < 0 || s->kind > NN_ONE_CYCLE)
        return nn_fail(error, AD_BAD_ARGUMENT, "fit: no schedule has the number %d", (int)s->kind);
    if (!(s->gamma >= 0 && s->gamma <= 1) || !(s->floor >= 0 && s->floor <= 1) || s->every < 0 ||
        s->patience < 0 || !(s->warmup >= 0) || isinf(s->warmup) || (cycle && s->warmup > 1))
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "fit: schedule: gamma and floor are factors in [0, 1], every and patience not "
            "negative, warmup epochs, not negative (of one-cycle a share in [0, 1])");
    if (f->train->rows < 0 && (cycle || s->kind == NN_COSINE || s->warmup > 0))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: schedule: cosine, one-cycle and warm-up need the number of steps, but "
                       "the stream does not say how many rows it has");
    return AD_OK;
}

static ad_status check_config(nn_fitting *f, nn_error *error)
{
    nn_fit_config *c = &f->config;
    if (c->loss == 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: no loss: set .loss to NN_MSE, NN_SOFTMAX_CROSS_ENTROPY, ...");
    if (c->loss < 1 || c->loss >= NN_LOSSES)
        return nn_fail(error, AD_BAD_ARGUMENT, "fit: no loss has the number %d", (int)c->loss);
    if (c->loss_options.reduction == NN_NONE)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: the loss must be one number; NN_NONE leaves it unreduced");
    if (c->batch < 0 || c->epochs < 0 || c->accumulate < 0 || c->patience < 0 ||
        c->validate_every < 0 || c->checkpoint_every < 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: batch, epochs, accumulate, patience, validate_every and "
                       "checkpoint_every cannot be negative");
    if (!(c->average >= 0 && c->average < 1) || !(c->l1 >= 0) || !(c->l2 >= 0) ||
        !(c->clip_norm >= 0) || !(c->clip_value >= 0) || !(c->min_change >= 0) ||
        !(c->validation_share >= 0 && c->validation_share < 1))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: average and validation_share must be in [0, 1); l1, l2, clip_norm, "
                       "clip_value, min_change not negative");
    if (c->validation && c->validation_share > 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: validation data or a validation_share, not both");
    if ((c->resume || c->checkpoint_every) && !c->checkpoint)
        return nn_fail(error, AD_NULL,
                       "fit: resume and checkpoint_every need the checkpoint's path");
    if (c->penalty_by_rows && f->train->rows < 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: penalty_by_rows, but the stream does not say how many rows it has");
    return check_rule(&c->optimizer, error) || check_schedule(f, error) || check_groups(f, error) ||
                   check_lbfgs(c, error) || check_monitor(c, error)
               ? nn_earlier(error)
               : AD_OK;
}

static void fill_defaults(nn_fitting *f)
{
    nn_fit_config *c = &f->config;
    if (c->optimizer.rule == 0)
        c->optimizer = nn_adam(0);
    if (c->optimizer.rule == NN_LBFGS)
        c->batch = NN_FULL_BATCH;
    if (c->batch == 0)
        c->batch = 32;
    if (c->epochs == 0)
        c->epochs = 1;
    c->metrics |= (unsigned)c->monitor;
    f->validates = c->validation || f->n_held > 0;
    f->keeps_best = c->restore_best || c->patience > 0;
    f->rows = f->train->is_stream ? f->train->rows : f->n_order;
    if (f->rows >= 0 && c->batch > f->rows)
        c->batch = f->rows > 0 ? f->rows : 1;
    f->batches = f->rows < 0 ? -1 : (f->rows + c->batch - 1) / c->batch;
    f->measures = (nn_measures){c->metrics, c->top_k, nn_gives_probabilities(f->model, c->loss),
                                c->metric, c->metric_user};
}

static bool collects(const nn_fitting *f) { return f->config.metrics != 0 || f->config.metric; }

/* What is wrong with validation data is said to be there. */
static ad_status begin_validation(nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    const nn_data *data = c->validation ? c->validation : f->train;
    nn_error found = {0};
    if (nn_evaluator_new(&f->evaluator, f->model, data, 0, c->loss, &c->loss_options, &found))
        return nn_fail(error, found.status, "fit: validation: %.900s", found.text);
    f->evaluator.measures = f->measures;
    if (nn_evaluator_prepare(&f->evaluator, f->held ? f->n_held : data->rows, &found))
        return nn_fail(error, found.status, "fit: validation: %.900s", found.text);
    return AD_OK;
}

/* What the epochs will need, as far as it is known, is taken now: no step allocates after the first
 * one. */
static ad_status reserve(nn_fitting *f, nn_error *error)
{
    enum { HISTORY = 1000 };
    const nn_fit_config *c = &f->config;
    double notes = (double)c->epochs;
    if (c->validate_every)
        notes *= f->batches > 0 ? (double)f->batches / (double)c->validate_every : 1;
    if (!nn_history_reserve(&f->model->history, notes < HISTORY ? (int)notes + 1 : HISTORY))
        return nn_no_memory(error);
    if (f->keeps_best && nn_snapshot_take(&f->best, f->model, NULL, error))
        return nn_earlier(error);
    if (!collects(f))
        return AD_OK;
    nn_collect_begin(&f->collected, f->model, f->batch, error);
    return f->rows > 0 ? nn_collect_reserve(&f->collected, f->rows, &f->measures, error)
                       : nn_earlier(error);
}

static void begin_position(nn_fitting *f)
{
    f->at = (nn_fit_position){
        .best = NAN, .epochs_before = f->model->epochs, .steps_before = f->model->steps};
    f->at.rate = nn_fit_rate(f);
    f->training = f->validation = nn_no_scores();
    f->started = clock_seconds();
}

/* Better told now than when an hour's work cannot be written. */
static ad_status check_checkpoint(const char *path, nn_error *error)
{
    nn_file trial;
    if (!nn_file_begin(&trial, path, error))
        nn_file_done(&trial, false, error);
    return nn_earlier(error);
}

static ad_status resume(nn_fitting *f, nn_error *error)
{
    if (nn_checkpoint_read(f, &f->resumed, error))
        return nn_earlier(error);
    f->started -= f->at.seconds;
    f->trainer.gathered_total = f->at.gathered_total;
    f->trainer.gathered_batches = (int)f->at.gathered_batches;
    if (f->config.patience && f->at.waited >= f->config.patience)
        f->stopped = "no improvement"; /* as it was then */
    return AD_OK;
}

/* Programs are made now, for the last, smaller batch, too: what is wrong with so few rows (batch
 * norm wants two) had better be known before the first step. */
static ad_status prepare(nn_fitting *f, nn_error *error)
{
    const int64_t last = f->rows % f->config.batch;
    nn_error found = {0};
    if (last == 0 || f->config.optimizer.rule == NN_LBFGS)
        return AD_OK;
    f->batch->rows = f->config.batch;
    if (nn_trainer_prepare(&f->trainer, f->batch, error))
        return nn_earlier(error);
    f->batch->rows = last;
    if (nn_trainer_prepare(&f->trainer, f->batch, &found))
        return nn_fail(error, found.status,
                       "fit: %lld rows in batches of %lld leave a last one of %lld, which does not "
                       "do: %.700s. Choose another batch",
                       (long long)f->rows, (long long)f->config.batch, (long long)last, found.text);
    return AD_OK;
}

static bool reads_ahead(const nn_fitting *f)
{
    const nn_fit_config *c = &f->config;
    return !c->no_prefetch && c->optimizer.rule != NN_LBFGS &&
           nn_reading_ahead_pays(f->model, f->train, c->batch);
}

static ad_status begin(nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    if (nn_data_fits(f->train, f->model, true, error) || check_config(f, error) ||
        divide_rows(f, error))
        return nn_earlier(error);
    if (c->checkpoint && check_checkpoint(c->checkpoint, error))
        return nn_earlier(error);
    fill_defaults(f);
    if (f->train->is_stream && c->batch == NN_FULL_BATCH)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: a stream of unknown length has no full batch%s",
                       c->optimizer.rule == NN_LBFGS ? ", and L-BFGS wants one" : "; set .batch");
    if (!f->train->is_stream && nn_targets_fit(f->model, c->loss, &c->loss_options,
                                               f->train->target, f->train->rows, 0, error))
        return nn_earlier(error);
    if (nn_trainer_new(&f->trainer, f->model, c, f->rows, error) ||
        nn_reader_new(&f->reader, f->model, f->train, c->batch, true, reads_ahead(f), error))
        return nn_earlier(error);
    f->batch = f->reader.batch;
    if ((f->validates && begin_validation(f, error)) || reserve(f, error))
        return nn_earlier(error);
    begin_position(f);
    if (c->resume && resume(f, error))
        return nn_earlier(error);
    return f->rows > 0 ? prepare(f, error) : AD_OK;
}

static void end(nn_fitting *f)
{
    nn_reader_free(&f->reader);
    nn_trainer_free(&f->trainer);
    nn_collect_free(&f->collected);
    nn_evaluator_free(&f->evaluator);
    nn_snapshot_free(&f->best);
    nn_snapshot_free(&f->epoch_start);
    free(f->lbfgs.vectors);
    ad_tensor_free(f->permutation);
    free(f->divided);
    free(f->order);
}

/* ---- what callbacks see ------------------------------------------------------------------ */

/* In a stream of unknown length only the number of epochs so far is known; schedules that need more
 * were refused. */
double nn_fit_rate(const nn_fitting *f)
{
    const nn_fit_config *c = &f->config;
    const bool known = f->batches > 0;
    const int64_t per_epoch = known ? f->batches : 1;
    return c->optimizer.rate * nn_schedule_factor(&c->schedule, known ? f->at.step : f->at.epoch,
                                                  per_epoch, per_epoch * c->epochs,
                                                  (int)f->at.reductions);
}

static double seconds_left(const nn_fitting *f)
{
    const double done =
        f->batches > 0 ? (double)f->at.step / (double)f->batches : (double)f->at.epoch;
    return done > 0 ? f->at.seconds * ((double)f->config.epochs - done) / done : NAN;
}

static nn_progress_info info_of(const nn_fitting *f, nn_event event)
{
    const bool between = event == NN_FIT_DONE && f->at.row == 0; /* the last one, not the next */
    return (nn_progress_info){.event = event,
                              .epoch = (int)f->at.epoch + !between,
                              .epochs = f->config.epochs,
                              .batch = f->at.batch,
                              .batches = f->batches,
                              .step = f->at.step,
                              .rows = f->at.row,
                              .rate = f->at.rate,
                              .training = f->training,
                              .validation = f->validation,
                              .metrics = f->config.metrics,
                              .has_validation = f->validation.rows > 0,
                              .best = f->at.best,
                              .best_epoch = (int)f->at.best_epoch,
                              .waited = (int)f->at.waited,
                              .patience = f->config.patience,
                              .seconds = f->at.seconds,
                              .seconds_left = seconds_left(f),
                              .stopped = f->stopped,
                              .model = f->model};
}

void nn_fit_report(nn_fitting *f, nn_event event)
{
    f->at.seconds = clock_seconds() - f->started;
    const nn_progress_info info = info_of(f, event);
    for (int i = 0; i < NN_MAX_CALLBACKS; i++) {
        const nn_callback *c = &f->config.callbacks[i];
        if (c->function && !c->function(c->user, &info) && !f->stopped)
            f->stopped = "a callback asked for it";
    }
}

/* ---- validation, and what follows from it ------------------------------------------------- */

/* Losses and errors are better small, the other metrics large. */
static bool better_large(int metric)
{
    return metric != 0 && !(metric & (NN_MAE_METRIC | NN_RMSE));
}

static double monitored(const nn_fitting *f)
{
    const nn_scores *scores = f->validates ? &f->validation : &f->training;
    return f->config.monitor ? nn_score(scores, f->config.monitor) : scores->loss;
}

static ad_status judge(nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    const double value = monitored(f), sign = better_large(c->monitor) ? -1 : 1;
    if (isnan(value) && (f->keeps_best || c->schedule.kind == NN_PLATEAU))
        return nn_fail(
            error, AD_NOT_FINITE,
            "fit: the %s of the %s in epoch %lld is not defined (NaN), so there is no best "
            "one: monitor something that these data have, or loosen patience, "
            "restore_best or the plateau",
            c->monitor ? nn_metric_name(c->monitor) : "loss",
            f->validates ? "validation" : "training", (long long)f->at.epoch + 1);
    if (isnan(f->at.best) || sign * value < sign * f->at.best - c->min_change) {
        f->at.best = value;
        f->at.best_epoch = f->at.epoch + 1;
        f->at.waited = f->at.waited_for_rate = 0;
        return f->keeps_best ? nn_snapshot_take(&f->best, f->model, NULL, error) : AD_OK;
    }
    f->at.waited++;
    if (++f->at.waited_for_rate >= (c->schedule.patience ? c->schedule.patience : 5)) {
        f->at.reductions++;
        f->at.waited_for_rate = 0;
    }
    if (c->patience && f->at.waited >= c->patience && !f->stopped)
        f->stopped = "no improvement";
    return AD_OK;
}

ad_status nn_fit_validate(nn_fitting *f, nn_error *error)
{
    const nn_data *data = f->config.validation ? f->config.validation : f->train;
    if (f->config.average > 0)
        nn_trainer_swap_averages(&f->trainer, error);
    if (f->validates)
        nn_evaluator_run(&f->evaluator, data, f->config.validation ? NULL : f->held, f->n_held,
                         &f->validation, error);
    if (!nn_earlier(error))
        judge(f, error);
    if (f->config.average > 0)
        nn_trainer_swap_averages(&f->trainer, error);
    if (!nn_earlier(error) && f->validates)
        nn_fit_report(f, NN_VALIDATED);
    return nn_earlier(error);
}

ad_status nn_fit_note(nn_fitting *f, nn_error *error)
{
    f->at.seconds = clock_seconds() - f->started;
    const nn_history_row row = {.epoch = (int)(f->at.epochs_before + f->at.epoch) + 1,
                                .step = f->at.steps_before + f->at.step,
                                .rate = f->at.rate,
                                .seconds = f->at.seconds,
                                .training = f->training,
                                .validation = f->validation};
    return nn_history_add(&f->model->history, &row) ? AD_OK : nn_no_memory(error);
}

/* ---- epochs ------------------------------------------------------------------------------ */

static ad_status score_training(nn_fitting *f, bool all, nn_error *error)
{
    const bool sums = f->config.loss_options.reduction == NN_SUM;
    f->training.loss = sums ? f->at.loss : f->at.loss / f->at.divisor;
    f->training.rows = f->at.row;
    return all ? nn_collect_scores(&f->collected, &f->measures, &f->training, error) : AD_OK;
}

static bool has_callbacks(const nn_fitting *f)
{
    for (int i = 0; i < NN_MAX_CALLBACKS; i++)
        if (f->config.callbacks[i].function)
            return true;
    return false;
}

/* Accuracy while the epoch runs, by what the last batch adds to it. */
static ad_status score_batch(nn_fitting *f, nn_error *error)
{
    const double n = (double)f->batch->rows, before = (double)f->collected.rows - n;
    double accuracy;
    if (!(f->config.metrics & NN_ACCURACY) || !has_callbacks(f))
        return AD_OK;
    if (nn_collect_accuracy(&f->collected, f->batch->rows, f->measures.probabilities, &accuracy,
                            error))
        return nn_earlier(error);
    f->training.accuracy =
        before > 0 ? (f->training.accuracy * before + accuracy * n) / (before + n) : accuracy;
    return AD_OK;
}

/* A step; an error says where. */
static ad_status step(nn_fitting *f, double *loss, double *divisor, double *predictions,
                      nn_error *error)
{
    nn_error found = {0};
    f->at.rate = nn_fit_rate(f);
    if (!nn_trainer_batch(&f->trainer, f->batch, f->at.rate, f->at.steps_before + f->at.step, loss,
                          divisor, predictions, &found))
        return AD_OK;
    return nn_fail(error, found.status, "fit: epoch %lld, batch %lld: %.900s",
                   (long long)f->at.epoch + 1, (long long)f->at.batch + 1, found.text);
}

static ad_status run_batch(nn_fitting *f, nn_error *error)
{
    double loss = 0, divisor = 0, *predictions = NULL;
    if (collects(f) && !(predictions = nn_collect_room(&f->collected, f->batch->rows, error)))
        return nn_earlier(error);
    if (step(f, &loss, &divisor, predictions, error))
        return nn_earlier(error);
    if (!isfinite(loss))
        return nn_divergence(f, loss, error);
    if (collects(f)) {
        nn_collect_add(&f->collected, f->batch);
        score_batch(f, error);
    }
    f->at.loss += loss * divisor;
    f->at.divisor += divisor;
    f->at.row += f->batch->rows;
    f->at.batch++;
    f->at.step++;
    f->at.gathered_total = f->trainer.gathered_total;
    f->at.gathered_batches = f->trainer.gathered_batches;
    return nn_earlier(error);
}

static ad_status after_batch(nn_fitting *f, nn_error *error)
{
    const nn_fit_config *c = &f->config;
    score_training(f, false, error);
    nn_fit_report(f, NN_STEP_DONE);
    if (c->validate_every && f->at.step % c->validate_every == 0) {
        score_training(f, true, error);
        if (nn_fit_validate(f, error) || nn_fit_note(f, error))
            return nn_earlier(error);
    }
    if (c->stop && *c->stop && !f->stopped)
        f->stopped = "asked to";
    if (c->checkpoint_every && f->at.step % c->checkpoint_every == 0)
        nn_checkpoint_write(f, error);
    return nn_earlier(error);
}

/* The epoch's order, fed from the row where it stands: past 0 only after a resume. */
ad_status nn_fit_feed(nn_fitting *f, nn_error *error)
{
    nn_reader *r = &f->reader;
    nn_reader_settle(r);
    if (order_epoch(f, error) || nn_reader_begin(r, f->order, f->n_order, f->order ? f->at.row : 0,
                                                 f->at.epochs_before + f->at.epoch, error))
        return nn_earlier(error);
    bool ended = false;
    while (f->train->is_stream && r->feed.at < f->at.row && !ended) {
        if (nn_feed_next(&r->feed, r->batch, error))
            return nn_earlier(error);
        ended = r->batch->rows == 0;
    }
    if (r->feed.at != f->at.row)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fit: the stream %s row %lld, and the fit stands at row %lld: it must give "
                       "the same rows again, as many at a time",
                       ended ? "ended at" : "went on to", (long long)r->feed.at,
                       (long long)f->at.row);
    return AD_OK;
}

ad_status nn_fit_next(nn_fitting *f, nn_error *error)
{
    const ad_status status = nn_reader_next(&f->reader, error);
    f->batch = f->reader.batch;
    if (status || !f->train->is_stream || f->batch->rows == 0)
        return nn_earlier(error);
    return nn_targets_fit(f->model, f->config.loss, &f->config.loss_options, f->batch->target,
                          f->batch->rows, f->at.row, error);
}

static ad_status run_epoch(nn_fitting *f, nn_error *error)
{
    if (nn_fit_feed(f, error))
        return nn_earlier(error);
    if (f->at.row == 0)
        f->training = nn_no_scores();
    if (f->at.row == 0 || f->collected.room == 0)
        nn_collect_begin(&f->collected, f->model, f->batch, error);
    f->epoch_start_at = f->at;
    if (nn_snapshot_take(&f->epoch_start, f->model, &f->trainer, error))
        return nn_earlier(error);
    while (!f->stopped) {
        if (nn_fit_next(f, error))
            return nn_earlier(error);
        if (f->batch->rows == 0)
            break;
        if (run_batch(f, error) || after_batch(f, error))
            return nn_earlier(error);
    }
    return AD_OK;
}

/* A stop in the middle of an epoch leaves the position there, for a checkpoint. */
static bool epoch_is_over(const nn_fitting *f) { return f->batch->rows == 0; }

static ad_status finish_epoch(nn_fitting *f, nn_error *error)
{
    if (f->at.row == 0 || f->at.divisor == 0)
        return nn_fail(error, AD_BAD_SHAPE, "fit: epoch %lld had no rows%s",
                       (long long)f->at.epoch + 1, f->at.row ? " of a weight above 0" : "");
    if (nn_trainer_flush(&f->trainer, f->at.rate, f->at.steps_before + f->at.step, error))
        return nn_earlier(error);
    f->at.gathered_total = 0;
    f->at.gathered_batches = 0;
    score_training(f, true, error);
    if (!f->config.validate_every && nn_fit_validate(f, error))
        return nn_earlier(error);
    if (nn_earlier(error) || (!f->config.validate_every && nn_fit_note(f, error)))
        return nn_earlier(error);
    nn_fit_report(f, NN_EPOCH_DONE);
    f->at.epoch++;
    f->at.row = f->at.batch = 0;
    f->at.loss = f->at.divisor = 0;
    return f->config.checkpoint ? nn_checkpoint_write(f, error) : AD_OK;
}

static ad_status run(nn_fitting *f, nn_error *error)
{
    if (f->config.optimizer.rule == NN_LBFGS)
        return f->stopped ? AD_OK : nn_fit_lbfgs(f, error);
    while (f->at.epoch < f->config.epochs && !f->stopped) {
        run_epoch(f, error);
        nn_reader_settle(&f->reader);
        if (nn_earlier(error))
            return nn_earlier(error);
        if (epoch_is_over(f) ? finish_epoch(f, error)
                             : (f->config.checkpoint ? nn_checkpoint_write(f, error) : AD_OK))
            return nn_earlier(error);
    }
    return AD_OK;
}

ad_status nn_fit(nn_model *model, const nn_data *train, const nn_fit_config *config,
                 nn_error *error)
{
    nn_error own;
    error = nn_error_or(error, &own);
    if (nn_model_ready(model, error))
        return nn_earlier(error);
    if (!config)
        return nn_fail(error, AD_NULL, "fit: no config, which gives the loss");
    nn_fitting f = {.model = model, .config = *config, .train = train};
    if (!begin(&f, error)) {
        nn_fit_report(&f, NN_FIT_BEGINS);
        run(&f, error);
        if (!nn_earlier(error) && f.config.average > 0)
            nn_trainer_swap_averages(&f.trainer, error);
        if (!nn_earlier(error) && f.keeps_best && f.at.best_epoch > 0)
            nn_snapshot_restore(&f.best, model, NULL, error);
        if (nn_earlier(error))
            f.stopped = "an error";
        nn_fit_report(&f, NN_FIT_DONE);
        model->epochs = f.at.epochs_before + f.at.epoch;
        model->steps = f.at.steps_before + f.at.step;
    }
    end(&f);
    return nn_earlier(error);
}
