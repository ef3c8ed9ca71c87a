/* loss.h - the table of losses, and what losses and checks of targets both ask of their arguments
 */
#ifndef NN_LOSS_H
#define NN_LOSS_H
#include "nn.h"

typedef enum nn_target_kind {
    NN_TARGET_NUMBERS,
    NN_TARGET_LOGARITHMS,  /* above -1, and so must predictions be */
    NN_TARGET_PROBABILITY, /* each in 0..1 by itself */
    NN_TARGET_SIGN,        /* -1 or 1 */
    NN_TARGET_CLASSES,     /* int32 classes (N), or a distribution (N,C) */
    NN_TARGET_DISTRIBUTION,
    NN_TARGET_ANY
} nn_target_kind;

/* Losses of predictions p and targets y of one shape; of classes and distributions one a row. */
typedef ad_var (*nn_loss_formula)(const nn_loss_options *options, ad_var p, ad_var y);

typedef struct nn_loss_row {
    const char *name;
    nn_loss_formula formula;
    nn_reduction reduction; /* the default */
    nn_target_kind target;
    bool takes_probabilities; /* predictions are checked to be some */
} nn_loss_row;

/* NULL where there is no such loss. */
const nn_loss_row *nn_loss_row_of(nn_loss loss);

/* What a variable and a tensor have in common. */
typedef struct nn_operand {
    ad_dtype dtype;
    int rank;
    const int64_t *shape;
} nn_operand;

/* Do options make sense with a loss of `classes` classes (-1: not known)? */
ad_status nn_check_loss_options(const nn_loss_row *row, const nn_loss_options *options,
                                int64_t classes, nn_error *error);
/* Do shapes and dtypes go together? Nothing is ever broadcast: (N) against (N,1) is the one pair of
 * different shapes, for losses of elements. */
ad_status nn_check_loss_shapes(const nn_loss_row *row, nn_operand p, nn_operand y, nn_error *error);

#endif
