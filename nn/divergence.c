/* divergence.c - where a loss stopped being finite
 *
 * By the time a loss is NaN the parameters may be: the operation at fault ran a step earlier. So
 * the epoch is run again from its beginning, with the same bits, on a context that checks every
 * operation. That costs nothing until it is needed. */
#include "divergence.h"

#include <math.h>

#include "error.h"

/* The batches again, until one fails; its number from 1, 0 if none does. */
static int64_t run_again(nn_fitting *f, nn_error *found)
{
    double loss, divisor;
    f->at = f->epoch_start_at;
    f->trainer.gathered_total = f->at.gathered_total;
    f->trainer.gathered_batches = (int)f->at.gathered_batches;
    if (nn_fit_feed(f, found))
        return 0;
    while (!nn_fit_next(f, found) && f->batch.rows > 0) {
        const int64_t batch = f->at.batch + 1;
        if (nn_trainer_batch(&f->trainer, &f->batch, nn_fit_rate(f),
                             f->at.steps_before + f->at.step, &loss, &divisor, NULL, found))
            return batch;
        f->at.row += f->batch.rows;
        f->at.batch++;
        f->at.step++;
    }
    return 0;
}

/* Signs of NaNs mean nothing, though printf shows them. */
static const char *words_for(double loss) { return isnan(loss) ? "NaN" : "infinite"; }

ad_status nn_divergence(nn_fitting *f, double loss, nn_error *error)
{
    const int64_t epoch = f->at.epoch + 1, batch = f->at.batch + 1;
    const ad_context *own = f->model->config.context;
    ad_context *checking = ad_context_new(&(ad_context_config){.check_finite = true});
    nn_error found = {0};
    int64_t first = 0;
    if (checking && !nn_snapshot_restore(&f->epoch_start, f->model, &f->trainer, &found)) {
        nn_trainer_forget(&f->trainer);
        f->model->config.context = checking;
        first = run_again(f, &found);
        f->model->config.context = own;
        nn_trainer_forget(&f->trainer);
    }
    ad_context_free(checking);
    if (first > 0)
        return nn_fail(error, AD_NOT_FINITE,
                       "fit: the loss is %s in epoch %lld, batch %lld; the first operation that "
                       "was not finite, in batch "
                       "%lld: %.500s. Try a lower learning rate, clip_norm, or scaled data; the "
                       "model is left as it was "
                       "before that batch",
                       words_for(loss), (long long)epoch, (long long)batch, (long long)first,
                       found.text);
    nn_snapshot_restore(&f->epoch_start, f->model, &f->trainer, NULL);
    return nn_fail(error, AD_NOT_FINITE,
                   "fit: the loss is %s in epoch %lld, batch %lld; the model is left as it was "
                   "before that epoch",
                   words_for(loss), (long long)epoch, (long long)batch);
}
