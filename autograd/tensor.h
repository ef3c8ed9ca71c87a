/* tensor.h - what is inside a tensor and a parameter, for leaves and programs
 *
 * Views of one tensor share a storage: its memory, and the version that every write through the API
 * raises. */
#ifndef TENSOR_H
#define TENSOR_H
#include "array.h"
#include "memory.h"

/* Reference counts are atomic where the compiler can, so that threads may share tensors. */
#ifndef __STDC_NO_ATOMICS__
#include <stdatomic.h>
typedef atomic_int reference_count;
#else
typedef int reference_count;
#endif

typedef struct storage {
    const ad_context *context;
    void *data;
    size_t bytes; /* of the whole allocation, this struct included */
    uint64_t version;
    reference_count count; /* of tensors */
} storage;

struct ad_tensor {
    array view; /* into the storage */
    storage *storage;
    reference_count count;
};

struct ad_param {
    char *name;
    ad_tensor *value;
    bool trainable;
};

static inline array tensor_array(const ad_tensor *t) { return t->view; }
static inline uint64_t tensor_version(const ad_tensor *t) { return t->storage->version; }
/* after writing elements past the API */
static inline void tensor_touch(ad_tensor *t) { t->storage->version++; }
/* A hash of all elements, which raw writes change. */
uint64_t tensor_checksum(const ad_tensor *t);
/* A new row-major tensor with a copy of `a`; NULL when out of memory. */
ad_tensor *tensor_of_array(const ad_context *context, const array *a);

/* Python's a[start:stop:step] on an axis of this size: clamps, moves *start to the first element
 * and gives the number of elements. step is not 0. Negative positions count from the end; to reach
 * element 0 with a negative step, stop at INT64_MIN. */
int64_t slice_range(int64_t size, int64_t *start, int64_t stop, int64_t step);

#endif
