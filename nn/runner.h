/* runner.h - one program over a model for one batch size, and its workspace */
#ifndef NN_RUNNER_H
#define NN_RUNNER_H
#include "batch.h"

/* The leaves that a recipe records on, and what it gives back. */
typedef struct nn_recording {
    ad_tape *tape;
    const nn_batch *batch;
    ad_var inputs[NN_MAX_INPUTS], target, weights; /* null where the batch has none */
    ad_var rate, total;                            /* scalars; see step.c */
    ad_var *outputs;                               /* room for NN_MAX_OUTPUTS */
    int n_outputs;
} nn_recording;

enum { NN_OUT_LOSS = 0, NN_OUT_PREDICTION = 1 }; /* what every recipe with a loss puts out first */

/* Writes expression code and its outputs; errors stay on the tape. */
typedef void (*nn_recipe)(nn_recording *recording, void *user);

typedef struct nn_views { /* the first rows of a batch's buffers */
    ad_tensor *inputs[NN_MAX_INPUTS], *target, *weights;
} nn_views;

typedef struct nn_runner {
    int64_t rows;
    int n_inputs, target, weights, rate, total; /* slots; -1: none */
    nn_views views[2];                          /* of the batch and its twin, by their numbers */
    ad_program *program;
    ad_workspace *workspace;
} nn_runner;

/* Records the recipe on leaves, the first `rows` examples of the batch's buffers, and captures it.
 * max_outputs: as many as the recipe can put out. scalars: it has the inputs rate and total. */
ad_status nn_runner_new(nn_runner *runner, const nn_model *model, const nn_batch *batch,
                        int64_t rows, bool scalars, int max_outputs, nn_recipe recipe, void *user,
                        nn_error *error);
void nn_runner_free(nn_runner *runner);
/* Runs on what the batch holds, that of nn_runner_new or its twin. */
ad_status nn_runner_run(nn_runner *runner, const nn_batch *batch, double rate, double total,
                        uint64_t step, nn_error *error);
/* An output as doubles. */
ad_status nn_runner_read(const nn_runner *runner, int output, double *out);

/* A few runners by batch size: full batches, the last one. */
enum { NN_RUNNERS = 4 };
typedef struct nn_runners {
    nn_runner slots[NN_RUNNERS];
    int n, oldest;
} nn_runners;
nn_runner *nn_runners_find(nn_runners *runners, int64_t rows); /* NULL: none yet */
nn_runner *nn_runners_room(nn_runners *runners);               /* an empty one; the oldest goes */
void nn_runners_free(nn_runners *runners);

#endif
