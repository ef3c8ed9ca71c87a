/* train.h - a multi-layer perceptron on a table, from the file to the saved model */
#ifndef TRAIN_H
#define TRAIN_H
#include <stdbool.h>

#include <tapegrad/nn.h>

enum { TRAIN_SKIPPED = 64 };

typedef struct train_request {
    const char *data, *label;            /* label NULL: the last column */
    const char *skip[TRAIN_SKIPPED + 1]; /* columns, ended by NULL */
    nn_mlp_config net;                   /* hidden, activation, dropout */
    nn_fit_config fit;                   /* optimizer, epochs, batch, patience */
    double validation, test;             /* shares */
    uint64_t seed;                       /* of split, weights, order, dropout */
    bool regression, quiet;
    const char *save, *curves, *boundary; /* files, or NULL */
} train_request;

/* All of it; the exit status. */
int train(const train_request *request);

/* Where a model of two inputs changes its mind, as text on stdout and, where `path` is not NULL, as
 * SVG. false and an error. */
bool train_boundary(const nn_model *model, const nn_data *data, const char *path, nn_error *error);

#endif
