/* model.h - the networks that are trained, as the hand-written step and the bare products see them
 *
 * The same data and weights as those of step.c and of the peers. */
#ifndef TAPEGRAD_BENCH_MODEL_H
#define TAPEGRAD_BENCH_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_LAYERS = 8, BATCHES = 4 };

typedef struct model {
    int layers, width[MAX_LAYERS + 1], batch, threads;
    bool adam;
} model;

/* From "784,64,64,10 32 adam 1 how"; false where it is not that. */
bool model_read(model *m, const char *words);
/* n floats; NULL when out of memory */
float *model_floats(size_t n, long times, long modulus, double shift, double scale);
float *model_weights(const model *m, int layer);

#endif
