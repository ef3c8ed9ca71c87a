/* divergence.h - where a loss stopped being finite */
#ifndef NN_DIVERGENCE_H
#define NN_DIVERGENCE_H
#include "fit.h"

/* Names epoch, batch and the first operation that was not finite; the model is left as it was
 * before that batch. */
ad_status nn_divergence(nn_fitting *f, double loss, nn_error *error);

#endif
