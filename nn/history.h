/* history.h - what happened in the fits of a model, row by row, and its writers */
#ifndef NN_HISTORY_H
#define NN_HISTORY_H
#include "nn.h"

/* {0} is an empty one. */
typedef struct nn_history {
    nn_history_row *rows;
    int n, capacity;
} nn_history;

/* false when out of memory; the history is then as before. */
bool nn_history_add(nn_history *history, const nn_history_row *row);
/* Makes room for so many rows more; false when out of memory. */
bool nn_history_reserve(nn_history *history, int rows);
void nn_history_clear(nn_history *history);
ad_status nn_history_write_csv(const nn_history *history, FILE *to);
ad_status nn_history_write_json(const nn_history *history, FILE *to);
ad_status nn_history_write_svg(const nn_history *history, const char *title, FILE *to);

/* The history inside a model (model.c); NULL for no model. */
nn_history *nn_model_history(const nn_model *model);

#endif
