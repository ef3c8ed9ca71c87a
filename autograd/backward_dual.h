/* backward_dual.h - the reverse sweep over duals, for scalar programs */
#ifndef BACKWARD_DUAL_H
#define BACKWARD_DUAL_H
#include "tape.h"

/* are nodes 0..top scalars without descriptors */
bool frame_scalars_only(const frame *f, uint32_t top);
/* products[k][0] <- sum over j of d2y/dx_k dx_j v[j][0] */
ad_status sweep_backward_dual(frame *f, uint32_t y, int n, const uint32_t *x,
                              const double *const *v, double *const *products);

#endif
