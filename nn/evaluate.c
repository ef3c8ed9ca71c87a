/* evaluate.c - running a model over data without training it: scores, predictions
 *
 * All state is in the call's own evaluator, so that any number of threads may ask one model. */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum { ROWS_AT_ONCE = 256 };

static void recipe_evaluate(nn_recording *r, void *user)
{
    const nn_evaluator *e = user;
    ad_var p = nn_record(e->model, r->tape, false, r->inputs);
    r->outputs[NN_OUT_LOSS] = ad_constant(0);
    if (e->loss)
        r->outputs[NN_OUT_LOSS] = nn_record_loss(e->loss, e->options, p, r->target, r->weights);
    r->outputs[NN_OUT_PREDICTION] = p;
    r->n_outputs = 2;
}

ad_status nn_evaluator_new(nn_evaluator *e, const nn_model *model, const nn_data *data,
                           int64_t batch, nn_loss loss, const nn_loss_options *options,
                           nn_error *error)
{
    *e = (nn_evaluator){.model = model, .loss = loss, .options = options};
    bool target = loss != 0 || (data && (data->target || data->is_stream));
    if (nn_data_fits(data, model, loss != 0, error))
        return nn_earlier(error);
    if (loss && options && options->reduction == NN_NONE)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "the loss must be one number; NN_NONE leaves it unreduced");
    if (loss && !data->is_stream &&
        nn_targets_fit(model, loss, options, data->target, data->rows, 0, error))
        return nn_earlier(error);
    if (batch <= 0)
        batch = ROWS_AT_ONCE;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): data that fit are not NULL
    if (data->rows >= 0 && batch > data->rows)
        batch = data->rows > 0 ? data->rows : 1;
    return nn_batch_new(&e->batch, model, data, batch, target, error);
}

void nn_evaluator_free(nn_evaluator *e)
{
    nn_batch_free(&e->batch);
    nn_runners_free(&e->runners);
    nn_collect_free(&e->collected);
}

static nn_runner *runner_for(nn_evaluator *e, nn_error *error)
{
    nn_runner *runner = nn_runners_find(&e->runners, e->batch.rows);
    if (runner && runner->program)
        return runner;
    if (!runner)
        runner = nn_runners_room(&e->runners);
    if (!nn_runner_new(runner, e->model, &e->batch, e->batch.rows, false, 2, recipe_evaluate, e,
                       error))
        return runner;
    nn_runner_free(runner);
    return NULL;
}

ad_status nn_evaluator_prepare(nn_evaluator *e, int64_t n, nn_error *error)
{
    const int64_t most = e->batch.capacity;
    e->batch.rows = n < 0 || n > most ? most : n;
    if (e->batch.rows > 0 && !runner_for(e, error))
        return nn_earlier(error);
    e->batch.rows = n < 0 ? 0 : n % most;
    if (e->batch.rows > 0 && !runner_for(e, error))
        return nn_earlier(error);
    if (!e->batch.target || n <= 0 || nn_collect_begin(&e->collected, e->model, &e->batch, error))
        return nn_earlier(error);
    return nn_collect_reserve(&e->collected, n, &e->measures, error);
}

/* The next batch's predictions to `predictions`; its loss and what that was divided by. */
static ad_status run_batch(nn_evaluator *e, double *predictions, double *loss, nn_error *error)
{
    nn_runner *runner = runner_for(e, error);
    if (!runner || nn_runner_run(runner, &e->batch, 0, 1, 0, error))
        return nn_earlier(error);
    nn_runner_read(runner, NN_OUT_PREDICTION, predictions);
    nn_runner_read(runner, NN_OUT_LOSS, loss);
    return e->loss && !isfinite(*loss)
               ? nn_predictions_fit(e->model, e->loss, e->options, predictions, &e->batch,
                                    e->collected.rows, error)
               : AD_OK;
}

ad_status nn_evaluator_run(nn_evaluator *e, const nn_data *data, const int64_t *order, int64_t n,
                           nn_scores *scores, nn_error *error)
{
    nn_feed feed;
    double loss = 0, divisor = 0;
    const bool sums = e->options && e->options->reduction == NN_SUM;
    *scores = nn_no_scores();
    if (!e->batch.target)
        return nn_fail(error, AD_NULL, "evaluate: the data have no target to compare with");
    if (nn_collect_begin(&e->collected, e->model, &e->batch, error) ||
        nn_feed_begin(&feed, data, order, n, 0, error))
        return nn_earlier(error);
    while (!nn_feed_next(&feed, &e->batch, error) && e->batch.rows > 0) {
        double *room = nn_collect_room(&e->collected, e->batch.rows, error), part_loss = 0;
        if (e->loss && data->is_stream &&
            nn_targets_fit(e->model, e->loss, e->options, e->batch.target, e->batch.rows,
                           e->collected.rows, error))
            return nn_earlier(error);
        if (!room || run_batch(e, room, &part_loss, error))
            return nn_earlier(error);
        nn_collect_add(&e->collected, &e->batch);
        double d = nn_batch_divisor(e->loss, e->options, &e->batch);
        if (d > 0) /* else the mean is 0/0, and counts for nothing */
            loss += part_loss * d;
        divisor += d;
    }
    if (nn_earlier(error))
        return nn_earlier(error);
    ad_status status = nn_collect_scores(&e->collected, &e->measures, scores, error);
    scores->rows = e->collected.rows;
    if (e->loss)
        scores->loss = sums ? loss : loss / divisor;
    return status;
}

static unsigned metrics_for(const nn_data *data, unsigned asked)
{
    const ad_tensor *target = nn_data_target(data);
    bool classes =
        target ? ad_tensor_dtype(target) == AD_I32 : data->is_stream && data->stream.target.indices;
    return asked ? asked : classes ? NN_ACCURACY : NN_MAE_METRIC | NN_RMSE | NN_R2;
}

ad_status nn_evaluate(const nn_model *model, const nn_data *data, const nn_evaluate_config *config,
                      nn_scores *scores, nn_error *error)
{
    const nn_evaluate_config none = {0}, *c = config ? config : &none;
    nn_error own;
    nn_evaluator e;
    error = nn_error_or(error, &own);
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!scores)
        return nn_fail(error, AD_NULL, "evaluate: nowhere to write the scores");
    *scores = nn_no_scores();
    if (!nn_evaluator_new(&e, model, data, c->batch, c->loss, &c->loss_options, error)) {
        e.measures =
            (nn_measures){metrics_for(data, c->metrics), c->top_k,
                          nn_gives_probabilities(model, c->loss), c->metric, c->metric_user};
        nn_evaluator_run(&e, data, NULL, 0, scores, error);
        nn_evaluator_free(&e);
    }
    return nn_earlier(error);
}

/* ---- predictions ------------------------------------------------------------------------- */

static void recipe_predict(nn_recording *r, void *user)
{
    r->outputs[0] = nn_record(user, r->tape, false, r->inputs);
    r->n_outputs = 1;
}

static ad_tensor *output_tensor(const nn_model *model, int64_t rows)
{
    nn_shape output = model->output;
    return nn_shape_tensor(model, &output, rows);
}

/* to[at..at+n) of a contiguous tensor */
static void put(ad_tensor *to, int64_t at, const double *values, int64_t n)
{
    void *data = ad_tensor_data(to);
    for (int64_t i = 0; i < n; i++)
        if (ad_tensor_dtype(to) == AD_F32)
            ((float *)data)[at + i] = (float)values[i];
        else
            ((double *)data)[at + i] = values[i];
}

static ad_status predict_into(const nn_model *model, const nn_data *data, ad_tensor *to,
                              nn_error *error)
{
    const int64_t width = nn_shape_size(&model->output);
    const int64_t most =
        data->rows < ROWS_AT_ONCE ? (data->rows > 0 ? data->rows : 1) : ROWS_AT_ONCE;
    nn_batch batch;
    nn_runners runners = {0};
    nn_feed feed;
    double *values = malloc((size_t)(most * width) * sizeof *values + 1);
    if (!values)
        return nn_no_memory(error);
    if (!nn_batch_new(&batch, model, data, most, false, error)) {
        nn_feed_begin(&feed, data, NULL, 0, 0, error);
        for (int64_t at = 0; !nn_feed_next(&feed, &batch, error) && batch.rows > 0;
             at += batch.rows) {
            nn_runner *runner = nn_runners_find(&runners, batch.rows);
            if (!runner &&
                nn_runner_new(runner = nn_runners_room(&runners), model, &batch, batch.rows, false,
                              1, recipe_predict, (void *)(uintptr_t)model, error))
                break;
            if (nn_runner_run(runner, &batch, 0, 1, 0, error))
                break;
            nn_runner_read(runner, 0, values);
            put(to, at * width, values, batch.rows * width);
        }
        nn_batch_free(&batch);
    }
    nn_runners_free(&runners);
    free(values);
    return nn_earlier(error);
}

ad_tensor *nn_predict(const nn_model *model, const nn_data *data, nn_error *error)
{
    nn_error own;
    error = nn_error_or(error, &own);
    if (nn_earlier(error) || nn_data_fits(data, model, false, error))
        return NULL;
    if (data->is_stream) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "predict: a stream; read its batches and use nn_predict_tensors");
        return NULL;
    }
    ad_tensor *to = output_tensor(model, data->rows);
    if (!to)
        nn_no_memory(error);
    else if (predict_into(model, data, to, error)) {
        ad_tensor_free(to);
        to = NULL;
    }
    return to;
}

ad_tensor *nn_predict_tensors(const nn_model *model, ad_tensor *const *inputs, nn_error *error)
{
    nn_error own;
    error = nn_error_or(error, &own);
    if (nn_model_ready(model, error))
        return NULL;
    nn_data *data = nn_data_new(model->config.n_inputs, inputs, NULL, NULL, error);
    ad_tensor *y = nn_predict(model, data, error);
    nn_data_free(data);
    return y;
}

struct nn_predictor {
    nn_runner runner;
};

nn_predictor *nn_predictor_new(const nn_model *model, int64_t rows, nn_error *error)
{
    nn_error own;
    error = nn_error_or(error, &own);
    if (nn_model_ready(model, error))
        return NULL;
    if (rows < 1 || model->config.n_inputs > 1) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "predictor: %lld rows of a model with %d inputs; 1 row or more and 1 input are "
                "possible (for more: nn_predict_tensors)",
                (long long)rows, model->config.n_inputs);
        return NULL;
    }
    nn_predictor *p = calloc(1, sizeof *p);
    nn_batch batch = {.capacity = rows, .n_inputs = model->config.n_inputs};
    bool ok = p != NULL;
    for (int k = 0; ok && k < batch.n_inputs; k++)
        ok = (batch.inputs[k] = nn_shape_tensor(model, &model->config.inputs[k], rows));
    if (!ok)
        nn_no_memory(error);
    else
        nn_runner_new(&p->runner, model, &batch, rows, false, 1, recipe_predict,
                      (void *)(uintptr_t)model, error);
    nn_batch_free(&batch);
    if (nn_earlier(error)) {
        nn_predictor_free(p);
        return NULL;
    }
    return p;
}

void nn_predictor_free(nn_predictor *predictor)
{
    if (!predictor)
        return;
    nn_runner_free(&predictor->runner);
    free(predictor);
}

ad_status nn_predictor_run(nn_predictor *predictor, const double *x, double *y)
{
    return predictor && x && y ? ad_run(predictor->runner.workspace, x, y) : AD_NULL;
}
