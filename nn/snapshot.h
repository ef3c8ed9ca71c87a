/* snapshot.h - the values of a model, and of its training, at one moment */
#ifndef NN_SNAPSHOT_H
#define NN_SNAPSHOT_H
#include "step.h"

typedef struct nn_snapshot {
    int n;
    ad_tensor **values; /* variables of the model, then states of the trainer */
} nn_snapshot;

/* Of the model alone where trainer is NULL. Reuses the memory of an earlier one of the same model.
 */
ad_status nn_snapshot_take(nn_snapshot *s, const nn_model *model, const nn_trainer *trainer,
                           nn_error *error);
ad_status nn_snapshot_restore(const nn_snapshot *s, const nn_model *model,
                              const nn_trainer *trainer, nn_error *error);
void nn_snapshot_free(nn_snapshot *s);

#endif
