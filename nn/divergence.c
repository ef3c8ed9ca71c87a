/* divergence.c - where a loss stopped being finite
 *
 * By the time a loss is NaN the parameters may be: the operation at fault ran a step earlier. So
 * the epoch is run again from its beginning, with the same bits, on a context that checks every
 * operation. That costs nothing until it is needed. */
#include "divergence.h"

#include <math.h>
#include <stdlib.h>

#include "error.h"
#include "targets.h"

/* The batches again, until one fails; its number from 1, 0 if none does. */
static int64_t run_again(nn_fitting *f, nn_error *found)
{
    double loss, divisor;
    f->at = f->epoch_start_at;
    f->trainer.gathered_total = f->at.gathered_total;
    f->trainer.gathered_batches = (int)f->at.gathered_batches;
    if (nn_fit_feed(f, found))
        return 0;
    while (!nn_fit_next(f, found) && f->batch->rows > 0) {
        const int64_t batch = f->at.batch + 1;
        if (nn_trainer_batch(&f->trainer, f->batch, nn_fit_rate(f), f->at.steps_before + f->at.step,
                             &loss, &divisor, NULL, found))
            return batch;
        f->at.row += f->batch->rows;
        f->at.batch++;
        f->at.step++;
    }
    return 0;
}

/* Predictions that the loss cannot take, as of a model that should end in a sigmoid. */
static bool name_prediction(const nn_fitting *f, nn_error *why)
{
    const int64_t n = f->batch->rows * nn_shape_size(&f->model->output);
    ad_tensor *inputs[NN_MAX_INPUTS] = {NULL}, *p = NULL;
    double *values = malloc((size_t)n * sizeof *values + 1);
    bool ok = values && f->batch->target, finite = true;
    for (int k = 0; ok && k < f->batch->n_inputs; k++)
        ok = (inputs[k] = nn_first_rows(f->batch->inputs[k], f->batch->rows));
    ok = ok && (p = nn_predict_tensors(f->model, inputs, NULL)) && !ad_tensor_read(p, values);
    for (int64_t i = 0; ok && i < n; i++)
        finite = finite && isfinite(values[i]); /* else an operation is to blame */
    if (ok && finite)
        nn_predictions_fit(f->model, f->config.loss, &f->config.loss_options, values, f->batch, 0,
                           why);
    for (int k = 0; k < f->batch->n_inputs; k++)
        ad_tensor_free(inputs[k]);
    ad_tensor_free(p);
    free(values);
    return why->status && why->status != AD_NO_MEMORY;
}

/* Signs of NaNs mean nothing, though printf shows them. */
static const char *words_for(double x) { return isnan(x) ? "NaN" : "infinite"; }

static bool name_row(const nn_fitting *f, const ad_tensor *t, const char *what, char text[96])
{
    const nn_rows r = nn_rows_of(t);
    for (int64_t i = 0; i < f->batch->rows; i++) {
        for (int64_t k = 0; k < r.each; k++) {
            const double x = nn_rows_get(&r, i, k);
            const int64_t row = f->at.row + i;
            if (isfinite(x))
                continue;
            snprintf(text, 96, "element %lld in row %lld of the data's %s is %s", (long long)k,
                     (long long)(f->order ? f->order[row] : row), what, words_for(x));
            return true;
        }
    }
    return false;
}

/* No operation is to blame for what came with the data. */
static bool name_data(const nn_fitting *f, char text[96])
{
    for (int k = 0; k < f->batch->n_inputs; k++) {
        char what[24];
        snprintf(what, sizeof what, f->batch->n_inputs > 1 ? "input %d" : "input", k);
        if (name_row(f, f->batch->inputs[k], what, text))
            return true;
    }
    return f->batch->target && name_row(f, f->batch->target, "target", text);
}

ad_status nn_divergence(nn_fitting *f, double loss, nn_error *error)
{
    const int64_t epoch = f->at.epoch + 1, batch = f->at.batch + 1;
    const ad_context *own = f->model->config.context;
    ad_context *checking = ad_context_new(&(ad_context_config){.check_finite = true});
    nn_error found = {0}, why = {0};
    int64_t first = 0;
    char data[96];
    if (checking && !nn_snapshot_restore(&f->epoch_start, f->model, &f->trainer, &found)) {
        nn_trainer_forget(&f->trainer);
        f->model->config.context = checking;
        first = run_again(f, &found);
        f->model->config.context = own;
        nn_trainer_forget(&f->trainer);
    }
    ad_context_free(checking);
    if (first > 0 && name_data(f, data))
        return nn_fail(error, AD_NOT_FINITE,
                       "fit: the loss is %s in epoch %lld, batch %lld: %s. Fill in such values, or "
                       "take the rows out; the model is left as it was before batch %lld",
                       words_for(loss), (long long)epoch, (long long)batch, data, (long long)first);
    if (first > 0 && name_prediction(f, &why))
        return nn_fail(error, AD_NOT_FINITE,
                       "fit: the loss is %s in epoch %lld, batch %lld. In batch %lld: %.700s; the "
                       "model is left as it was before that batch",
                       words_for(loss), (long long)epoch, (long long)batch, (long long)first,
                       why.text);
    if (first > 0)
        return nn_fail(error, AD_NOT_FINITE,
                       "fit: the loss is %s in epoch %lld, batch %lld; the first operation that "
                       "was not finite, in batch %lld: %.500s. Try a lower learning rate, "
                       "clip_norm, or scaled data; the model is left as it was before that batch",
                       words_for(loss), (long long)epoch, (long long)batch, (long long)first,
                       found.text);
    nn_snapshot_restore(&f->epoch_start, f->model, &f->trainer, NULL);
    return nn_fail(error, AD_NOT_FINITE,
                   "fit: the loss is %s in epoch %lld, batch %lld; the model is left as it was "
                   "before that epoch",
                   words_for(loss), (long long)epoch, (long long)batch);
}
