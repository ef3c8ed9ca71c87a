/* data.h - the inside of nn_data, and batches of it */
#ifndef NN_DATA_H
#define NN_DATA_H
#include "nn.h"

struct nn_data {
    int64_t rows; /* -1: a stream that does not say */
    int n_inputs;
    ad_tensor *inputs[NN_MAX_INPUTS]; /* retained; NULL for streams */
    ad_tensor *target, *weights;      /* or NULL */
    int n_columns, n_classes;
    char **columns, **classes; /* names, or NULL */
    bool is_stream;
    nn_stream stream; /* its rewind is never NULL */
};

/* The shape of one example of an input, or of the target (k = -1). Streams and tensors alike. Rank
 * -1 where there is no such tensor. */
nn_shape nn_data_shape(const nn_data *data, int k);
/* Copies rows order[first..first+n) (order NULL: as they stand) of an input, target (k = -1) or
 * weights (k = -2) into the first n rows of `to`, whose dtype may be another. Missing weights are
 * ones. Rows of `to` need as many elements, not the same shape; it must be row-major. Allocates
 * nothing. */
ad_status nn_data_gather(const nn_data *data, int k, const int64_t *order, int64_t first, int64_t n,
                         ad_tensor *to);
/* A new nn_data with the same names, target and weights, but this first input; takes over the
 * caller's reference to it, also on failure. */
nn_data *nn_data_with_input(const nn_data *data, ad_tensor *input, nn_error *error);

/* Number of elements, or -1 where it (times 8) overflows or a size is negative. */
int64_t nn_elements(int rank, const int64_t *shape);
/* Elements of one row: all axes but the first. */
int64_t nn_row_size(const ad_tensor *tensor);
bool nn_is_row_major(const ad_tensor *tensor);
/* The same elements lying row-major: the tensor itself, retained, or a copy. NULL: out of memory.
 */
ad_tensor *nn_row_major(const ad_tensor *tensor);

/* n names, each from malloc, and their array. */
void nn_names_free(int n, char **names);
/* NULL when out of memory, or where names is NULL. */
char **nn_names_copy(int n, char *const *names);
/* Writes `; did you mean "species"? There are: a, b, c` for a name that was asked for in vain. */
void nn_names_hint(const char *asked, int n, char *const *names, size_t size, char *out);

#endif
