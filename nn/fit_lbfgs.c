/* fit_lbfgs.c - a fit by L-BFGS: all rows at once, an iteration where others have an epoch
 *
 * The parameters lie one after the other in one vector, in the order of the trainer. */
#include "fit_lbfgs.h"

#include <math.h>
#include <stdlib.h>

#include "divergence.h"
#include "error.h"

typedef struct search {
    nn_fitting *f;
    nn_runner runner;
    nn_error *error;
    int evaluations;
} search;

static void put_parameters(const nn_trainer *t, const double *x)
{
    for (int i = 0; i < t->n; i++) {
        ad_tensor *value = ad_param_value(t->trained[i].param);
        ad_tensor_write(value, x);
        x += ad_tensor_size(value);
    }
}

static void get_parameters(const nn_trainer *t, double *x)
{
    for (int i = 0; i < t->n; i++) {
        const ad_tensor *value = ad_param_value(t->trained[i].param);
        ad_tensor_read(value, x);
        x += ad_tensor_size(value);
    }
}

static double objective(const double *x, double *gradient, void *user)
{
    search *s = user;
    double loss = NAN;
    put_parameters(&s->f->trainer, x);
    if (nn_trainer_objective(&s->f->trainer, &s->runner, s->f->batch, &loss, gradient, s->error))
        return NAN;
    if (s->evaluations++ == 0 && !isfinite(loss))
        nn_divergence(s->f, loss, s->error);
    return loss;
}

/* Metrics want predictions at x, where the line search may not have been last. */
static ad_status score(search *s, double loss)
{
    nn_fitting *f = s->f;
    double *predictions;
    f->training = nn_no_scores();
    f->training.loss = loss;
    f->training.rows = f->rows;
    if (f->measures.metrics == 0 && !f->measures.metric)
        return AD_OK;
    if (nn_collect_begin(&f->collected, f->model, f->batch, s->error) ||
        !(predictions = nn_collect_room(&f->collected, f->batch->rows, s->error)) ||
        nn_trainer_objective(&f->trainer, &s->runner, f->batch, &loss, NULL, s->error))
        return nn_earlier(s->error);
    nn_runner_read(&s->runner, NN_OUT_PREDICTION, predictions);
    nn_collect_add(&f->collected, f->batch);
    return nn_collect_scores(&f->collected, &f->measures, &f->training, s->error);
}

/* After an iteration: what the loop of epochs does after an epoch. */
static bool report(void *user, const double *x, const nn_lbfgs_result *so_far)
{
    search *s = user;
    nn_fitting *f = s->f;
    put_parameters(&f->trainer, x);
    f->at.row = f->rows;
    f->at.batch = 1;
    f->at.step++;
    if (score(s, so_far->value) || nn_fit_validate(f, s->error) || nn_fit_note(f, s->error))
        return false;
    nn_fit_report(f, NN_EPOCH_DONE);
    f->at.epoch++;
    f->at.row = f->at.batch = 0;
    if (f->config.stop && *f->config.stop && !f->stopped)
        f->stopped = "asked to";
    if (f->config.checkpoint && nn_checkpoint_write(f, s->error))
        return false;
    return !f->stopped;
}

/* All iterations see the rows in one order, that of the first. */
static ad_status take_rows(nn_fitting *f, nn_error *error)
{
    const int64_t epoch = f->at.epoch;
    f->at.epoch = 0;
    if (!nn_fit_feed(f, error))
        nn_fit_next(f, error);
    f->at.epoch = epoch;
    return nn_earlier(error);
}

ad_status nn_fit_lbfgs(nn_fitting *f, nn_error *error)
{
    const nn_lbfgs_config config = {.iterations = f->config.epochs - (int)f->at.epoch,
                                    .history = f->config.optimizer.history,
                                    .report = report};
    nn_lbfgs_result result;
    search s = {.f = f, .error = error, .evaluations = f->lbfgs.vectors != NULL};
    const int64_t n = nn_trainer_size(&f->trainer);
    double *x = config.iterations > 0 ? malloc((size_t)n * sizeof *x) : NULL;
    if (config.iterations <= 0)
        return AD_OK;
    if (!x)
        return nn_no_memory(error);
    get_parameters(&f->trainer, x);
    f->epoch_start_at = f->at;
    if (!take_rows(f, error)) {
        nn_lbfgs_go_on(objective, &s, n, x, &config, f->config.checkpoint ? &f->lbfgs : NULL,
                       &result, error);
        put_parameters(&f->trainer, x);
        if (!f->stopped && f->at.epoch < f->config.epochs)
            f->stopped = result.converged ? "converged" : "no further descent";
    }
    nn_runner_free(&s.runner);
    free(x);
    return nn_earlier(error);
}
