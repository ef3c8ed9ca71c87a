/* collect.c - predictions, targets and weights of many batches, for metrics */
#include "collect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "loss.h"

nn_scores nn_no_scores(void)
{
    return (nn_scores){.loss = NAN,
                       .accuracy = NAN,
                       .top_k = NAN,
                       .precision = NAN,
                       .recall = NAN,
                       .f1 = NAN,
                       .auc = NAN,
                       .mae = NAN,
                       .rmse = NAN,
                       .r2 = NAN,
                       .custom = NAN};
}

bool nn_gives_probabilities(const nn_model *model, nn_loss loss)
{
    const nn_loss_row *row = nn_loss_row_of(loss);
    return (row && row->takes_probabilities) || model->gives_probabilities;
}

ad_status nn_collect_begin(nn_collected *c, const nn_model *model, const nn_batch *batch,
                           nn_error *error)
{
    c->rows = 0;
    if (c->room > 0)
        return AD_OK;
    c->output = model->output;
    c->outputs = nn_shape_size(&c->output);
    c->target_dtype = ad_tensor_dtype(batch->target);
    c->target.rank = ad_tensor_rank(batch->target) - 1;
    memcpy(c->target.size, ad_tensor_shape(batch->target) + 1,
           (size_t)c->target.rank * sizeof(int64_t));
    c->targets = nn_shape_size(&c->target);
    return nn_earlier(error);
}

static bool grow(void **memory, int64_t room, int64_t each)
{
    void *more = realloc(*memory, (size_t)room * (size_t)each + 1);
    if (more)
        *memory = more;
    return more != NULL;
}

double *nn_collect_room(nn_collected *c, int64_t rows, nn_error *error)
{
    const int64_t each = c->targets * (int64_t)ad_dtype_size(c->target_dtype);
    if (c->rows + rows > c->room) {
        int64_t room = 2 * c->room > c->rows + rows ? 2 * c->room : c->rows + rows;
        if (!grow((void **)&c->predictions, room, c->outputs * (int64_t)sizeof(double)) ||
            !grow((void **)&c->target_bytes, room, each) ||
            !grow((void **)&c->weights, room, (int64_t)sizeof(double))) {
            nn_fail(error, AD_NO_MEMORY, "out of memory for the predictions of %lld rows",
                    (long long)(c->rows + rows));
            return NULL;
        }
        c->room = room;
    }
    return c->predictions + c->rows * c->outputs;
}

ad_status nn_collect_reserve(nn_collected *c, int64_t rows, const nn_measures *m, nn_error *error)
{
    const size_t bytes = nn_scores_bytes(m->metrics, rows, c->outputs);
    if (!nn_collect_room(c, rows - c->rows, error))
        return nn_earlier(error);
    return nn_scratch_take(&c->scratch, bytes) ? AD_OK : nn_no_memory(error);
}

void nn_collect_add(nn_collected *c, const nn_batch *batch)
{
    const int64_t each = c->targets * (int64_t)ad_dtype_size(c->target_dtype);
    memcpy(c->target_bytes + c->rows * each, ad_tensor_data_const(batch->target),
           (size_t)(batch->rows * each));
    for (int64_t i = 0; i < batch->rows; i++)
        c->weights[c->rows + i] =
            batch->weights ? ((const double *)ad_tensor_data_const(batch->weights))[i] : 1;
    c->rows += batch->rows;
}

static ad_tensor *tensor_of(ad_dtype dtype, int64_t rows, const nn_shape *shape, const void *values)
{
    int64_t sizes[AD_MAX_RANK] = {rows};
    memcpy(sizes + 1, shape->size, sizeof shape->size);
    return ad_tensor_from(NULL, dtype, shape->rank + 1, sizes, values);
}

ad_status nn_collect_tensors(const nn_collected *c, ad_tensor **predictions, ad_tensor **targets,
                             ad_tensor **weights, nn_error *error)
{
    const nn_shape none = {0};
    *predictions = tensor_of(AD_F64, c->rows, &c->output, c->predictions);
    *targets = tensor_of(c->target_dtype, c->rows, &c->target, c->target_bytes);
    *weights = tensor_of(AD_F64, c->rows, &none, c->weights);
    if (*predictions && *targets && *weights)
        return AD_OK;
    ad_tensor_free(*predictions);
    ad_tensor_free(*targets);
    ad_tensor_free(*weights);
    *predictions = *targets = *weights = NULL;
    return nn_no_memory(error);
}

/* Rows that lie one after the other, and the shape that they need. */
typedef struct packed {
    int64_t shape[AD_MAX_RANK], stride[AD_MAX_RANK];
    nn_rows rows;
} packed;

static void pack(packed *p, const void *values, ad_dtype dtype, int64_t n, const nn_shape *shape)
{
    p->rows = (nn_rows){.data = values,
                        .dtype = dtype,
                        .rank = shape->rank + 1,
                        .shape = p->shape,
                        .stride = p->stride,
                        .n = n,
                        .each = 1,
                        .dense = true};
    p->shape[0] = n;
    for (int i = shape->rank; i > 0; i--) {
        p->shape[i] = shape->size[i - 1];
        p->stride[i] = p->rows.each;
        p->rows.each *= p->shape[i];
    }
    p->stride[0] = p->rows.each;
}

/* Metrics of the last n rows. */
static ad_status score(nn_collected *c, int64_t n, unsigned metrics, int top_k, bool probabilities,
                       nn_scores *scores, nn_error *error)
{
    const nn_shape none = {0};
    const int64_t first = c->rows - n;
    const int64_t target_size = c->targets * (int64_t)ad_dtype_size(c->target_dtype);
    packed predictions, targets, weights;
    pack(&predictions, c->predictions + first * c->outputs, AD_F64, n, &c->output);
    pack(&targets, c->target_bytes + first * target_size, c->target_dtype, n, &c->target);
    pack(&weights, c->weights + first, AD_F64, n, &none);
    return nn_scores_of_rows(&predictions.rows, &targets.rows, &weights.rows, metrics, top_k,
                             probabilities, &c->scratch, scores, error);
}

static double own_metric(const nn_collected *c, const nn_measures *m, nn_error *error)
{
    ad_tensor *predictions, *targets, *weights;
    if (nn_collect_tensors(c, &predictions, &targets, &weights, error))
        return NAN;
    const double value = m->metric(predictions, targets, m->user);
    ad_tensor_free(predictions);
    ad_tensor_free(targets);
    ad_tensor_free(weights);
    return value;
}

ad_status nn_collect_scores(nn_collected *c, const nn_measures *m, nn_scores *scores,
                            nn_error *error)
{
    const double loss = scores->loss;
    if ((m->metrics == 0 && !m->metric) || c->rows == 0)
        return AD_OK;
    const ad_status status =
        score(c, c->rows, m->metrics, m->top_k, m->probabilities, scores, error);
    scores->loss = loss;
    if (m->metric && !status)
        scores->custom = own_metric(c, m, error);
    return nn_earlier(error);
}

ad_status nn_collect_accuracy(nn_collected *c, int64_t rows, bool probabilities, double *accuracy,
                              nn_error *error)
{
    nn_scores scores;
    const ad_status status = score(c, rows, NN_ACCURACY, 0, probabilities, &scores, error);
    *accuracy = scores.accuracy;
    return status;
}

void nn_collect_free(nn_collected *c)
{
    free(c->predictions);
    free(c->target_bytes);
    free(c->weights);
    nn_scratch_free(&c->scratch);
    *c = (nn_collected){0};
}
