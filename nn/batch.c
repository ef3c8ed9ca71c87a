/* batch.c - examples on their way from data to a program */
#include "batch.h"

#include <math.h>
#include <string.h>

#include "error.h"
#include "loss.h"
#include "targets.h"
#include "words.h"

static bool same_example(const nn_shape *a, const nn_shape *b)
{
    if (a->rank != b->rank || a->indices != b->indices)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->size[i] != b->size[i])
            return false;
    return true;
}

ad_status nn_data_fits(const nn_data *data, const nn_model *model, bool target, nn_error *error)
{
    if (nn_model_ready(model, error))
        return nn_earlier(error);
    if (!data)
        return nn_fail(error, AD_NULL, "no data");
    if (data->n_inputs != model->config.n_inputs)
        return nn_fail(error, AD_BAD_SHAPE, "the data have %d inputs, but the model takes %d",
                       data->n_inputs, model->config.n_inputs);
    for (int k = 0; k < data->n_inputs; k++) {
        nn_shape have = nn_data_shape(data, k), want = model->config.inputs[k];
        if (same_example(&have, &want))
            continue;
        return nn_fail(
            error, AD_BAD_SHAPE,
            "input %d: an example of the data is %s of %s, but the model takes %s of %s", k,
            nn_shape_text_of(have.rank, have.size).text, have.indices ? "int32" : "numbers",
            nn_shape_text_of(want.rank, want.size).text, want.indices ? "int32" : "numbers");
    }
    if (target && !data->target && !(data->is_stream && data->stream.target.rank >= 0))
        return nn_fail(error, AD_NULL, "the data have no target to learn from");
    return AD_OK;
}

static ad_tensor *buffer(const nn_model *model, const nn_data *data, int k, int64_t rows)
{
    nn_shape shape = nn_data_shape(data, k);
    return nn_shape_tensor(model, &shape, rows);
}

ad_status nn_batch_new(nn_batch *batch, const nn_model *model, const nn_data *data,
                       int64_t capacity, bool target, nn_error *error)
{
    *batch = (nn_batch){.capacity = capacity, .n_inputs = model->config.n_inputs};
    bool ok = true;
    for (int k = 0; ok && k < batch->n_inputs; k++)
        ok = (batch->inputs[k] = buffer(model, data, k, capacity));
    if (ok && target)
        ok = (batch->target = buffer(model, data, -1, capacity));
    if (ok && target && (data->weights || (data->is_stream && data->stream.weighted)))
        ok = (batch->weights = ad_tensor_new(model->config.context, AD_F64, 1, &capacity));
    if (ok)
        return AD_OK;
    nn_batch_free(batch);
    return nn_fail(error, AD_NO_MEMORY, "out of memory for a batch of %lld examples",
                   (long long)capacity);
}

void nn_batch_free(nn_batch *batch)
{
    for (int k = 0; k < batch->n_inputs; k++)
        ad_tensor_free(batch->inputs[k]);
    ad_tensor_free(batch->target);
    ad_tensor_free(batch->weights);
    *batch = (nn_batch){0};
}

ad_tensor *nn_first_rows(ad_tensor *buffer, int64_t rows)
{
    return ad_tensor_shape(buffer)[0] == rows ? ad_tensor_retain(buffer)
                                              : ad_tensor_sliced(buffer, 0, 0, rows, 1);
}

/* ---- targets ----------------------------------------------------------------------------- */

/* Without predictions nn_check_targets cannot know how many classes there are. */
static ad_status check_classes(const nn_model *model, nn_loss loss, const ad_tensor *target,
                               int64_t n, int64_t first_row, nn_error *error)
{
    const nn_loss_row *row = nn_loss_row_of(loss);
    const nn_rows r = nn_rows_of(target);
    const int64_t classes = model->output.size[0];
    if (row->target != NN_TARGET_CLASSES || r.rank != 1 || model->output.rank != 1)
        return AD_OK;
    for (int64_t i = 0; i < n; i++)
        if (nn_rows_get(&r, i, 0) >= (double)classes)
            return nn_fail(error, AD_BAD_INDEX,
                           "%s: row %lld: class %.0f, but the model has %lld output%s, so classes "
                           "are 0..%lld",
                           row->name, (long long)(first_row + i), nn_rows_get(&r, i, 0),
                           (long long)classes, classes == 1 ? "" : "s", (long long)classes - 1);
    return AD_OK;
}

ad_status nn_targets_fit(const nn_model *model, nn_loss loss, const nn_loss_options *options,
                         ad_tensor *target, int64_t n, int64_t first_row, nn_error *error)
{
    if (nn_check_first_targets(loss, options, target, n, first_row, error))
        return nn_earlier(error);
    return check_classes(model, loss, target, n, first_row, error);
}

ad_status nn_predictions_fit(const nn_model *model, nn_loss loss, const nn_loss_options *options,
                             const double *predictions, const nn_batch *batch, int64_t first_row,
                             nn_error *error)
{
    int64_t sizes[AD_MAX_RANK] = {batch->rows};
    memcpy(sizes + 1, model->output.size, sizeof sizes - sizeof *sizes);
    ad_tensor *p = ad_tensor_from(NULL, AD_F64, model->output.rank + 1, sizes, predictions);
    ad_tensor *y = nn_first_rows(batch->target, batch->rows);
    if (p && y)
        nn_check_targets(loss, options, p, y, first_row, error);
    else
        nn_no_memory(error);
    ad_tensor_free(p);
    ad_tensor_free(y);
    return nn_earlier(error);
}

/* ---- one pass over the data -------------------------------------------------------------- */

ad_status nn_feed_begin(nn_feed *feed, const nn_data *data, const int64_t *order, int64_t n,
                        int64_t epoch, nn_error *error)
{
    *feed = (nn_feed){.data = data, .order = order, .n = order ? n : data->rows};
    if (data->is_stream && data->stream.rewind && !data->stream.rewind(data->stream.user, epoch))
        return nn_fail(error, AD_BAD_ARGUMENT, "data stream: rewind failed before epoch %lld",
                       (long long)epoch + 1);
    return AD_OK;
}

/* Those of tensors were looked at when the data were made. */
static ad_status check_weights(const nn_feed *feed, const nn_batch *batch, nn_error *error)
{
    const double *w = batch->weights ? ad_tensor_data_const(batch->weights) : NULL;
    for (int64_t i = 0; w && i < batch->rows; i++)
        if (!(w[i] >= 0) || isinf(w[i]))
            return nn_fail(error, AD_BAD_ARGUMENT,
                           "data stream: the weight of row %lld is %s: weights are finite, 0 or "
                           "more",
                           (long long)(feed->at + i), w[i] < 0 ? "negative" : "not finite");
    return AD_OK;
}

static ad_status next_of_stream(nn_feed *feed, nn_batch *batch, nn_error *error)
{
    const nn_stream *s = &feed->data->stream;
    if (batch->weights)
        ad_tensor_fill(batch->weights, 1);
    batch->rows = s->next(s->user, batch->capacity, batch->inputs, batch->target, batch->weights);
    if (batch->rows < 0 || batch->rows > batch->capacity)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "data stream: next gave %lld rows after row %lld; 0 to %lld are possible",
                       (long long)batch->rows, (long long)feed->at, (long long)batch->capacity);
    if (check_weights(feed, batch, error))
        return nn_earlier(error);
    feed->at += batch->rows;
    return AD_OK;
}

ad_status nn_feed_next(nn_feed *feed, nn_batch *batch, nn_error *error)
{
    const nn_data *data = feed->data;
    ad_status status = AD_OK;
    if (data->is_stream)
        return next_of_stream(feed, batch, error);
    int64_t n = feed->n - feed->at;
    batch->rows = n = n < batch->capacity ? n : batch->capacity;
    for (int k = 0; !status && k < batch->n_inputs; k++)
        status = nn_data_gather(data, k, feed->order, feed->at, n, batch->inputs[k]);
    if (!status && batch->target)
        status = nn_data_gather(data, -1, feed->order, feed->at, n, batch->target);
    if (!status && batch->weights)
        status = nn_data_gather(data, -2, feed->order, feed->at, n, batch->weights);
    feed->at += n;
    return status ? nn_fail(error, status, "a batch could not be copied from the data") : AD_OK;
}

/* ---- what a mean divides by -------------------------------------------------------------- */

static double class_weight(const nn_loss_options *o, double class)
{
    bool known = o->class_weights && class >= 0 && class < o->n_class_weights;
    return known ? o->class_weights[(int)class] : 1;
}

double nn_batch_divisor(nn_loss loss, const nn_loss_options *options, const nn_batch *batch)
{
    const nn_loss_options none = {0}, *o = options ? options : &none;
    const bool classes = batch->target && ad_tensor_dtype(batch->target) == AD_I32 &&
                         ad_tensor_rank(batch->target) == 1;
    const bool by_class = o->class_weights && classes &&
                          (loss == NN_SOFTMAX_CROSS_ENTROPY || loss == NN_CROSS_ENTROPY);
    double sum = 0;
    if (o->reduction == NN_SUM)
        return 1;
    if (o->divide_by_count || (!batch->weights && !by_class))
        return (double)batch->rows;
    const double *weights = batch->weights ? ad_tensor_data_const(batch->weights) : NULL;
    const int32_t *target = by_class ? ad_tensor_data_const(batch->target) : NULL;
    for (int64_t i = 0; i < batch->rows; i++)
        sum += (weights ? weights[i] : 1) * (target ? class_weight(o, target[i]) : 1);
    return sum;
}
