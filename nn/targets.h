/* targets.h - rows of a tensor, read as doubles, whatever its dtype and strides */
#ifndef NN_TARGETS_H
#define NN_TARGETS_H
#include "nn.h"

typedef struct nn_rows {
    const void *data;
    ad_dtype dtype;
    int rank;
    const int64_t *shape, *stride;
    int64_t n, each; /* rows, and elements of one */
    bool dense;      /* the elements of a row lie one after the other */
} nn_rows;

/* Of a tensor with at least one axis. Valid as long as the tensor. */
nn_rows nn_rows_of(const ad_tensor *tensor);
double nn_rows_get(const nn_rows *rows, int64_t row, int64_t column);

/* nn_check_targets of the first n targets, without predictions. */
ad_status nn_check_first_targets(nn_loss loss, const nn_loss_options *options,
                                 const ad_tensor *target, int64_t n, int64_t first_row,
                                 nn_error *error);

#endif
