/* collect.h - predictions, targets and weights of many batches, for metrics */
#ifndef NN_COLLECT_H
#define NN_COLLECT_H
#include "batch.h"
#include "metric.h"

typedef struct nn_collected {
    int64_t rows, room;
    int64_t outputs, targets; /* numbers a row */
    nn_shape output, target;
    ad_dtype target_dtype;
    double *predictions;
    char *target_bytes;
    double *weights; /* NULL: all alike */
    nn_scratch scratch;
} nn_collected;

/* What to compute of them. */
typedef struct nn_measures {
    unsigned metrics;
    int top_k;
    bool probabilities; /* a single output is one */
    nn_metric_function metric;
    void *user;
} nn_measures;

/* Makes ready for batches like this one; forgets what was collected. */
ad_status nn_collect_begin(nn_collected *c, const nn_model *model, const nn_batch *batch,
                           nn_error *error);
/* Where the predictions of the next rows go; NULL when out of memory. */
double *nn_collect_room(nn_collected *c, int64_t rows, nn_error *error);
/* Makes room for so many rows in all, and what these measures of them need: then neither collecting
 * nor scoring them allocates (but for a metric of the user's own). */
ad_status nn_collect_reserve(nn_collected *c, int64_t rows, const nn_measures *measures,
                             nn_error *error);
/* The batch's predictions have been written there. */
void nn_collect_add(nn_collected *c, const nn_batch *batch);
/* Metrics of all that was collected; the loss is left as it is. */
ad_status nn_collect_scores(nn_collected *c, const nn_measures *measures, nn_scores *scores,
                            nn_error *error);
/* Accuracy of the last so many rows. */
ad_status nn_collect_accuracy(nn_collected *c, int64_t rows, bool probabilities, double *accuracy,
                              nn_error *error);
/* As tensors of their own: (rows,...) predictions in double, targets, weights (NULL: none). */
ad_status nn_collect_tensors(const nn_collected *c, ad_tensor **predictions, ad_tensor **targets,
                             ad_tensor **weights, nn_error *error);
void nn_collect_free(nn_collected *c);

/* No scores yet: all NaN. */
nn_scores nn_no_scores(void);
/* Does a single output stand for a probability with this loss, or after the model's last layer? */
bool nn_gives_probabilities(const nn_model *model, nn_loss loss);

#endif
