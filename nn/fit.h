/* fit.h - where a fit stands: what a checkpoint has to hold */
#ifndef NN_FIT_H
#define NN_FIT_H
#include "evaluate.h"
#include "lbfgs.h"
#include "reader.h"
#include "snapshot.h"

typedef struct nn_fit_position { /* everything that the next step depends on, beside tensors */
    int64_t epoch;               /* of this fit, from 0 */
    int64_t step;                /* steps of this fit */
    int64_t row;                 /* next row of the epoch's order; of a stream: rows read */
    int64_t batch;               /* batches of this epoch */
    double rate;                 /* of the last step */
    double loss, divisor;        /* sums of this epoch so far */
    double best;                 /* of the monitored value; NaN: none yet */
    int64_t best_epoch;
    int64_t waited, reductions, waited_for_rate;
    double gathered_total;
    int64_t gathered_batches;
    double seconds;
    int64_t epochs_before, steps_before; /* of earlier fits of the model */
} nn_fit_position;

typedef struct nn_fitting {
    nn_model *model;
    nn_fit_config config; /* defaults filled in */
    const nn_data *train;
    int64_t rows, batches;   /* of an epoch; -1: a stream that does not say */
    int64_t *order, n_order; /* rows to train on, in this epoch's order */
    int64_t *divided;        /* the same in a fixed order, then those held out; NULL: 0, 1, ... */
    int64_t *held, n_held;   /* rows held out for validation */
    ad_tensor *permutation;  /* of an epoch; NULL: not shuffled */
    nn_trainer trainer;
    nn_reader reader;
    nn_batch *batch;        /* the reader's; in turn with another where it reads ahead */
    nn_collected collected; /* of this epoch */
    nn_evaluator evaluator;
    bool validates, keeps_best, resumed;
    nn_measures measures;
    nn_fit_position at;
    nn_scores training, validation;
    nn_snapshot best, epoch_start;
    nn_fit_position epoch_start_at;
    nn_lbfgs_state lbfgs; /* where it is for a checkpoint */
    double started;       /* seconds of the clock, less those before a resumed fit */
    const char *stopped;
} nn_fitting;

/* Pieces of the loop (fit.c) that divergence.c and fit_lbfgs.c go through as well: this epoch's
 * order, fed from the row where the fit stands; the next batch (rows 0: no more); validation and
 * what follows from it; a row of history; the callbacks; the learning rate now. */
ad_status nn_fit_feed(nn_fitting *f, nn_error *error);
ad_status nn_fit_next(nn_fitting *f, nn_error *error);
ad_status nn_fit_validate(nn_fitting *f, nn_error *error);
ad_status nn_fit_note(nn_fitting *f, nn_error *error);
void nn_fit_report(nn_fitting *f, nn_event event);
double nn_fit_rate(const nn_fitting *f);

/* Writes and reads everything of a fit (checkpoint.c). */
ad_status nn_checkpoint_write(const nn_fitting *f, nn_error *error);
ad_status nn_checkpoint_read(nn_fitting *f, bool *found, nn_error *error);

#endif
