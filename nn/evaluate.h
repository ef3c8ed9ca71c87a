/* evaluate.h - running a model over data without training it */
#ifndef NN_EVALUATE_H
#define NN_EVALUATE_H
#include "collect.h"
#include "runner.h"

typedef struct nn_evaluator {
    const nn_model *model;
    nn_loss loss; /* 0: none */
    const nn_loss_options *options;
    nn_measures measures;
    nn_batch batch;
    nn_runners runners;
    nn_collected collected;
} nn_evaluator;

ad_status nn_evaluator_new(nn_evaluator *e, const nn_model *model, const nn_data *data,
                           int64_t batch, nn_loss loss, const nn_loss_options *options,
                           nn_error *error);
/* Makes now what scores of n rows need (n -1: not known, then what a full batch needs): nothing is
 * allocated later. After the measures are set. */
ad_status nn_evaluator_prepare(nn_evaluator *e, int64_t n, nn_error *error);
/* Scores on the rows order[0..n) of the data (order NULL: all). */
ad_status nn_evaluator_run(nn_evaluator *e, const nn_data *data, const int64_t *order, int64_t n,
                           nn_scores *scores, nn_error *error);
void nn_evaluator_free(nn_evaluator *e);

#endif
