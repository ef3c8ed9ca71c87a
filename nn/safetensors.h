/* safetensors.h - files of named tensors, with texts beside them
 *
 * What nn_save, nn_load_parameters and checkpoints are made of. A file is read whole or not at all:
 * every claim of its header is checked before memory is taken for it. */
#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H
#include <stdio.h>

#include "nn.h"

/* A file in memory. F64, F32 and I32 keep their dtype; F16 and BF16 become float; I64, I16, I8, U8
 * and BOOL become int32. */
typedef struct nn_tensor_file {
    int n;
    ad_param **tensors; /* names and values, as they lie in the file; never NULL after a read */
    int n_metadata;
    char **keys, **values;
} nn_tensor_file;

/* Fills *file, or leaves it empty and reports an error that names file, tensor and cause. The
 * tensors are made in `context`. */
ad_status nn_tensor_file_read(const char *path, const ad_context *context, nn_tensor_file *file,
                              nn_error *error);
/* The same from bytes; `path` is what errors call them. */
ad_status nn_tensor_file_parse(const char *path, const char *bytes, size_t size,
                               const ad_context *context, nn_tensor_file *file, nn_error *error);
/* Releases everything and empties *file; an empty one ({0}) is fine. */
void nn_tensor_file_free(nn_tensor_file *file);
/* A tensor by name, borrowed, and a text by its key; NULL where there is none. */
ad_tensor *nn_tensor_file_find(const nn_tensor_file *file, const char *name);
const char *nn_tensor_file_text(const nn_tensor_file *file, const char *key);

/* A tensor to be written; `transposed`: (a,b) is written as (b,a). Strided views are fine. */
typedef struct nn_named_tensor {
    const char *name;
    const ad_tensor *tensor;
    bool transposed;
} nn_named_tensor;

/* Writes aside and renames: a failure leaves the old file. `metadata`: pairs of texts, key and
 * value, ended by NULL; or NULL. Names and texts must be UTF-8, names and keys different from each
 * other. */
ad_status nn_tensor_file_write(const char *path, int n, const nn_named_tensor *tensors,
                               const char *const *metadata, nn_error *error);
/* The same to a stream; `path` is what errors call it. Errors of the stream itself are left to its
 * owner. */
ad_status nn_tensor_file_put(FILE *to, const char *path, int n, const nn_named_tensor *tensors,
                             const char *const *metadata, nn_error *error);

/* Writes a text as a JSON string, with its quotes; false (and part of it written) if it is not
 * UTF-8. */
bool nn_put_json_text(FILE *to, const char *text);

#endif
