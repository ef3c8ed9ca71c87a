/* layer.h - the kinds of layers: a row each */
#ifndef NN_LAYER_H
#define NN_LAYER_H
#include "model.h"

typedef struct nn_layer_type {
    const char *name; /* "dense": in summaries and descriptions */
    ad_var (*apply)(nn_pass *pass, const nn_layer *layer, ad_var x);
} nn_layer_type;

/* By kind; NULL for a number that is none. */
const nn_layer_type *nn_layer_type_of(nn_layer_kind kind);

/* Both sizes of a field such as kernel or stride: a 0 for the width means the height's, and
 * `otherwise` where both are 0. */
void nn_pair(const int64_t field[2], int64_t otherwise, int64_t pair[2]);

#endif
