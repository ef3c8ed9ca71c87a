/* loops_kernels.h - one operation on many numbers in memory, evenly spaced */
#ifndef LOOPS_KERNELS_H
#define LOOPS_KERNELS_H
#include "loops.h"

/* where a number is, and how far it is to the next */
typedef struct spaced {
    double *at;
    int64_t by;
} spaced;

/* y[i] = op(a[i], b[i], c[i]) for a row of ops.def or OP_COPY. Each element is computed as a single
 * one would be, bit for bit. */
void kernel_map(uint32_t op, int64_t n, spaced y, spaced a, spaced b, spaced c);

/* c + sum of a[t] b[t] */
double kernel_dot(bool absorbing, int64_t n, double c, spaced a, spaced b);

/* Many dot products: y[i] = c[i] + sum of a[i][t] b[i][t]; `by` leads from one to the next, `inner`
 * from term to term. c.at NULL: no start. Chooses between going along the terms of each and along
 * the products, whichever goes through memory evenly. */
typedef struct dots {
    bool absorbing;
    int64_t n, terms;
    spaced y, a, b, c;
    int64_t inner_a, inner_b;
} dots;
void kernel_dots(const dots *d);

/* the first i whose comparison comes out differently, or -1 */
int64_t kernel_guard(uint32_t guard, int64_t n, spaced a, spaced b);

#endif
