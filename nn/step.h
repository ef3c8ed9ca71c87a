/* step.h - training steps as programs */
#ifndef NN_STEP_H
#define NN_STEP_H
#include "runner.h"

/* What training keeps for one parameter besides its value. */
typedef struct nn_trained {
    ad_param *param;
    double rate;        /* factor on the learning rate, from its group */
    bool penalised;     /* by L1, L2, decay */
    ad_param *average;  /* moving average; NULL where none is asked for */
    ad_param *gathered; /* sum of gradients of the batches so far; NULL without accumulation */
} nn_trained;

typedef struct nn_trainer {
    nn_model *model;
    const nn_fit_config *config;
    int n;
    nn_trained *trained;
    nn_moments *moments,
        *moments_decaying; /* the second for penalised parameters, where decay tells them apart */
    double penalty_scale;  /* 1, or 1 / rows */
    nn_runners steps;      /* or batches, where gradients are gathered */
    nn_runner apply;       /* with accumulation: the step on what was gathered */
    double gathered_total;
    int gathered_batches;
} nn_trainer;

/* Is there a parameter of that name, or below that scope? */
bool nn_trainer_has(const nn_model *model, const char *name);
ad_status nn_trainer_new(nn_trainer *trainer, nn_model *model, const nn_fit_config *config,
                         int64_t rows, nn_error *error);
void nn_trainer_free(nn_trainer *trainer);

/* Makes the program for batches of batch->rows, which the first of them would make otherwise. */
ad_status nn_trainer_prepare(nn_trainer *trainer, const nn_batch *batch, nn_error *error);
/* One batch: the loss with its penalties, and what its mean divides by. The optimizer steps after
 * every config->accumulate of them. *prediction, where not NULL, gets the outputs. */
ad_status nn_trainer_batch(nn_trainer *trainer, const nn_batch *batch, double rate, int64_t step,
                           double *loss, double *divisor, double *prediction, nn_error *error);
/* Steps on what is gathered but not yet used, at the end of an epoch. */
ad_status nn_trainer_flush(nn_trainer *trainer, double rate, int64_t step, nn_error *error);
/* Forgets the programs, so that they are recorded anew. */
void nn_trainer_forget(nn_trainer *trainer);

/* Loss and gradients at the present values, without a step: for L-BFGS. gradient, where not NULL,
 * gets those of the trained parameters one after the other. */
ad_status nn_trainer_objective(nn_trainer *trainer, nn_runner *runner, const nn_batch *batch,
                               double *loss, double *gradient, nn_error *error);
int64_t nn_trainer_size(const nn_trainer *trainer); /* elements of all trained parameters */

/* Exchanges values and averages, for evaluating with the latter. */
ad_status nn_trainer_swap_averages(nn_trainer *trainer, nn_error *error);
/* Every state of the trainer (moments, averages, gathered gradients), for checkpoints and
 * snapshots. */
int nn_trainer_state_count(const nn_trainer *trainer);
ad_param *nn_trainer_state_at(const nn_trainer *trainer, int i);

#endif
