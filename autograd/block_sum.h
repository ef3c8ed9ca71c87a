/* block_sum.h - sums of all elements of an array, tile by tile, as passes over memory take them */
#ifndef BLOCK_SUM_H
#define BLOCK_SUM_H
#include "tape.h"

/* Long sums are halved at multiples of this: so each such tile is one branch of the sum. */
enum { SUM_TILE = 512 };
/* Is it the sum or the mean of all elements? */
bool is_total(const block *b);
double tile_sum(ad_dtype dtype, int64_t n, const void *x);
/* what b, of n elements, is by the sums of their tiles */
double total_of_tiles(const block *b, int64_t n, const double *parts);

#endif
