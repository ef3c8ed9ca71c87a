/* fit_lbfgs.h - a fit by L-BFGS: all rows at once, no steps of batches */
#ifndef NN_FIT_LBFGS_H
#define NN_FIT_LBFGS_H
#include "fit.h"

ad_status nn_fit_lbfgs(nn_fitting *f, nn_error *error);

#endif
