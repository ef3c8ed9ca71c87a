/* snapshot.c - the values of a model, and of its training, at one moment */
#include "snapshot.h"

#include <stdlib.h>

#include "error.h"

static ad_tensor *value_at(const nn_model *model, const nn_trainer *trainer, int i)
{
    return i < model->n_variables
               ? ad_param_value(model->order[i]->param)
               : ad_param_value(nn_trainer_state_at(trainer, i - model->n_variables));
}

static ad_tensor *like(const ad_tensor *t)
{
    return ad_tensor_new(NULL, ad_tensor_dtype(t), ad_tensor_rank(t), ad_tensor_shape(t));
}

ad_status nn_snapshot_take(nn_snapshot *s, const nn_model *model, const nn_trainer *trainer,
                           nn_error *error)
{
    const int n = model->n_variables + (trainer ? nn_trainer_state_count(trainer) : 0);
    if (!s->values) {
        s->values = calloc((size_t)n + 1, sizeof *s->values);
        s->n = s->values ? n : 0;
    }
    for (int i = 0; i < s->n; i++) {
        const ad_tensor *value = value_at(model, trainer, i);
        if (!s->values[i])
            s->values[i] = like(value);
        if (!s->values[i] || ad_tensor_copy(s->values[i], value))
            return nn_no_memory(error);
    }
    return s->n == n ? AD_OK : nn_no_memory(error);
}

ad_status nn_snapshot_restore(const nn_snapshot *s, const nn_model *model,
                              const nn_trainer *trainer, nn_error *error)
{
    for (int i = 0; i < s->n; i++) {
        ad_status status = ad_tensor_copy(value_at(model, trainer, i), s->values[i]);
        if (status)
            return nn_fail(error, status, "a snapshot could not be put back");
    }
    return AD_OK;
}

void nn_snapshot_free(nn_snapshot *s)
{
    for (int i = 0; i < s->n; i++)
        ad_tensor_free(s->values[i]);
    free(s->values);
    *s = (nn_snapshot){0};
}
