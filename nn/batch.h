/* batch.h - examples on their way from data to a program: buffers of one batch, filled in order */
#ifndef NN_BATCH_H
#define NN_BATCH_H
#include "data.h"
#include "model.h"

/* Buffers for up to `capacity` examples; `rows` of them are filled. */
typedef struct nn_batch {
    int64_t capacity, rows;
    int n_inputs;
    ad_tensor *inputs[NN_MAX_INPUTS];
    ad_tensor *target, *weights; /* or NULL */
    int number;                  /* of two that are used by turns: 0 or 1 */
    const struct nn_batch *twin; /* the other one; NULL: there is none */
} nn_batch;

/* Do the data have the inputs that the model takes, and a target if one is wanted? */
ad_status nn_data_fits(const nn_data *data, const nn_model *model, bool target, nn_error *error);
ad_status nn_batch_new(nn_batch *batch, const nn_model *model, const nn_data *data,
                       int64_t capacity, bool target, nn_error *error);
void nn_batch_free(nn_batch *batch);
/* The first `rows` examples of a buffer; the whole where it is just as long. A new reference; NULL
 * when out of memory. */
ad_tensor *nn_first_rows(ad_tensor *buffer, int64_t rows);

/* Are the first n targets fit for the loss, and classes for the outputs that the model has? Rows
 * are named as counted from first_row. */
ad_status nn_targets_fit(const nn_model *model, nn_loss loss, const nn_loss_options *options,
                         ad_tensor *target, int64_t n, int64_t first_row, nn_error *error);

/* The same of predictions (as doubles) for the batch's targets: what a loss that is not finite may
 * come from. */
ad_status nn_predictions_fit(const nn_model *model, nn_loss loss, const nn_loss_options *options,
                             const double *predictions, const nn_batch *batch, int64_t first_row,
                             nn_error *error);

/* One pass over the data, in a given order of rows (NULL: as they stand; streams have their own).
 */
typedef struct nn_feed {
    const nn_data *data;
    const int64_t *order;
    int64_t n, at; /* rows of it; the next */
} nn_feed;

ad_status nn_feed_begin(nn_feed *feed, const nn_data *data, const int64_t *order, int64_t n,
                        int64_t epoch, nn_error *error);
/* Fills the batch with the next rows; batch->rows 0 when there are no more. */
ad_status nn_feed_next(nn_feed *feed, nn_batch *batch, nn_error *error);

/* What the mean of a batch's loss divides by: rows, or the sum of their weights, or 1 for sums. */
double nn_batch_divisor(nn_loss loss, const nn_loss_options *options, const nn_batch *batch);

#endif
