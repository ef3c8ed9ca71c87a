/* array.h - strided views of memory: shapes, broadcasting, copying; what tensors are to the engine
 */
#ifndef ARRAY_H
#define ARRAY_H
#include "ad.h"
#include <math.h>

typedef struct array {
    void *data;
    int64_t size; /* elements */
    ad_dtype dtype;
    int rank;
    int64_t shape[AD_MAX_RANK], stride[AD_MAX_RANK]; /* strides in elements */
} array;

/* A row-major array of a shape over `data`. */
array array_of(void *data, ad_dtype dtype, int rank, const int64_t *shape);
/* Rank 0, double; made in a few instructions: a scalar has no shape or strides to fill in. */
static inline array array_scalar(double *value)
{
    array a;
    a.data = value;
    a.size = 1;
    a.dtype = AD_F64;
    a.rank = 0;
    return a;
}
size_t array_bytes(const array *a); /* of a row-major copy */
bool array_contiguous(const array *a);
/* Number of elements of a shape, or -1 when a size is negative or the product (times 8) overflows.
 */
int64_t shape_size(int rank, const int64_t *shape);
bool same_shape(const array *a, const array *b);

/* Broadcast of two shapes, NumPy's rule: false where they do not fit. out may be a. */
bool shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *rank,
                     int64_t *shape);
/* `a` seen in a larger shape (stride 0 along new axes); the shapes must fit. */
array array_expanded(const array *a, int rank, const int64_t *shape);
/* Views; arguments must be valid. */
array array_permuted(const array *a, const int *axes);
array array_sliced(const array *a, int axis, int64_t start, int64_t count, int64_t step);
/* The same elements in another shape, if strides allow it without copying. */
bool array_reshaped(const array *a, int rank, const int64_t *shape, array *out);

/* Elementwise to <- from, to <- to + from, to <- value; shapes equal (to is not a broadcast view).
 * Dtypes may differ. Rows of `to` may share elements: array_add adds to them once for each. */
void array_copy(const array *to, const array *from);
void array_add(const array *to, const array *from);
void array_fill(const array *to, double value);
/* to <- (or +=) sum of `from` over the axes along which `to` was broadcast; sums in double,
 * pairwise by rows. */
void array_sum_to(const array *to, const array *from, bool add);
/* to <- |from| */
void array_abs(const array *to, const array *from);
/* One element at an offset (in elements) from data. */
double array_get(const array *a, int64_t offset);
void array_put(const array *a, int64_t offset, double value);
/* Offset of the element with row-major number i. */
int64_t array_offset(const array *a, int64_t i);
/* Row-major number of the first element that is not finite; -1: none. */
int64_t array_not_finite(const array *a);

/* "(2,3)" into text, which has room for SHAPE_TEXT bytes; gives text back */
enum { SHAPE_TEXT = 8 * 22 + 4 };
char *shape_text(char *text, int rank, const int64_t *shape);
/* A number for a message: without a NaN's sign, which means nothing and differs between machines.
 */
static inline double for_text(double x) { return isnan(x) ? (double)NAN : x; }

/* Walks n arrays of one shape together: runs of the last axis, everything before it collapsed where
 * possible. for (array_walk w = array_walk_of(n, arrays); w.left; array_walk_next(&w))
 *         ... w.count elements from w.offset[k] with step w.step[k] ... */
enum { WALK_MAX = 5 };
typedef struct array_walk {
    int n, rank;
    int64_t left, count; /* runs left, elements of a run */
    int64_t offset[WALK_MAX], step[WALK_MAX];
    int64_t shape[AD_MAX_RANK], index[AD_MAX_RANK], stride[WALK_MAX][AD_MAX_RANK];
} array_walk;
array_walk array_walk_of(int n, const array *const *arrays);
void array_walk_next(array_walk *w);

#endif
