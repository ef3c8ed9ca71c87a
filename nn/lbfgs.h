/* lbfgs.h - a minimisation by L-BFGS that can be put aside and gone on with */
#ifndef NN_LBFGS_H
#define NN_LBFGS_H
#include "nn.h"

/* All that the next iteration depends on. */
typedef struct nn_lbfgs_state {
    double *vectors; /* x, the gradient there, then s and y of each pair, the oldest first, of n
                        elements each; from malloc. NULL: not begun */
    int pairs;
    double value; /* at x */
    bool converged;
} nn_lbfgs_state;

/* As nn_lbfgs_minimise. `state`, where not NULL, is brought up to date before every report; where
 * it has begun, the search goes on from it and not from x, with the same bits, and
 * config->iterations are those still to come. */
ad_status nn_lbfgs_go_on(nn_objective f, void *user, int64_t n, double *x,
                         const nn_lbfgs_config *config, nn_lbfgs_state *state,
                         nn_lbfgs_result *result, nn_error *error);

#endif
