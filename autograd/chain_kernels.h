/* chain_kernels.h - loops over nodes that lie side by side, of which compilers make vectors */
#ifndef CHAIN_KERNELS_H
#define CHAIN_KERNELS_H
#include "tape.h"

/* 0 where v is n nodes of tape t, one after the other, the first of them v[0] */
uint64_t chain_apart(int64_t n, const ad_var *v, const ad_tape *t);
/* ids[k] = first + k */
void chain_count(int64_t n, uint32_t first, uint32_t *ids);
/* the values of n nodes side by side, and of nodes by number */
void chain_values(int64_t n, const node *from, double *out);
void chain_gather(int64_t n, const node *nodes, const uint32_t *ids, double *out);
/* total[8] += x y, eight running totals */
void chain_dot(int64_t n, const double *x, const double *y, double *total);
/* the same of x alone */
void chain_add_f64(int64_t n, const double *x, double *total);
void chain_add_f32(int64_t n, const float *x, double *total);
/* y += g x; y of the nodes by number */
void chain_axpy(int64_t n, double g, const double *x, double *y);
void chain_scatter(int64_t n, double g, const double *x, const uint32_t *ids, double *y);
/* nodes and handles of n inputs; before: the last input, row: how many are right before */
void chain_inputs(ad_tape *t, uint32_t first, uint32_t n, uint32_t before, uint32_t row,
                  const double *values, ad_var *inputs);

#endif
