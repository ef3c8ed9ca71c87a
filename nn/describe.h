/* describe.h - the description of a model beside its parameters: JSON */
#ifndef NN_DESCRIBE_H
#define NN_DESCRIBE_H
#include <stdio.h>

#include "nn.h"

/* Writes it; `path` is what errors call it. Errors of the stream itself are left to its owner. */
ad_status nn_describe(const nn_model *model, FILE *to, const char *path, nn_error *error);
/* A new model with initial values; NULL after an error, which names place and cause. `elements`:
 * how many numbers the file of its parameters holds; a description that asks for more is not
 * believed.
 */
nn_model *nn_described(const char *path, const char *text, size_t size, int64_t elements,
                       const ad_context *context, nn_error *error);

#endif
