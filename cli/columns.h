/* columns.h - what a table's columns are called, and what a model wants of them
 *
 * A model knows how many numbers it takes, not what they are. Their names are kept beside it, in
 * MODEL.columns.json:
 *
 *     {
 *       "format": "tapegrad columns 1",
 *       "inputs": ["petal_length", "petal_width"],     as the model takes them
 *       "target": "species",
 *       "classes": ["setosa", "versicolor"]            in the order of its outputs; null: a number
 *     }
 */
#ifndef COLUMNS_H
#define COLUMNS_H
#include <stdbool.h>

#include <tapegrad/nn.h>

typedef struct columns {
    int n_inputs, n_classes; /* no classes: the target is a number */
    const char **inputs, **classes;
    const char *target;
    void *held; /* what the names belong to */
} columns;

#define COLUMNS_SUFFIX ".columns.json"

/* Beside the model: the columns of `data` and its classes, if the target is one. */
bool columns_write(const char *model, const nn_data *data, const char *target, bool regression,
                   nn_error *error);
/* false and an error; to be freed in either case. */
bool columns_read(columns *c, const char *model, nn_error *error);
void columns_free(columns *c);
/* The name of class k: its word, else its number, written into `number`. */
const char *columns_class(const nn_data *data, int k, char number[16]);

/* The names in a CSV file's first line, all of them, as nn_data_column gives them. */
nn_data *columns_header(const char *path, nn_error *error);

/* Keeps the first error; gives false. */
bool table_error(nn_error *error, ad_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
