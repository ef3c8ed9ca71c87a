/* idx.h - the format of MNIST, from memory */
#ifndef NN_IDX_H
#define NN_IDX_H
#include "nn.h"

/* nn_read_idx of bytes; `name` stands in errors. */
ad_tensor *nn_parse_idx(const void *bytes, size_t size, ad_dtype dtype, const char *name,
                        nn_error *error);

#endif
