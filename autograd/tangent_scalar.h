/* tangent_scalar.h - one scalar operation over duals, from dual.h and not from ops.def: the witness
 * of the check
 *
 * Included once for each number of directions: define AD_DUAL_WIDTH and TANGENT_NAME before. */
#include "ad.h"
#include "dual.h"

/* dy <- tangents of operation `op` at the values x[0..2], whose tangents are
 * dx[0..2][AD_DUAL_WIDTH]; gives the value */
double TANGENT_NAME(int op, const double x[3], const double *const dx[3], double *dy);

static ad_dual load(double v, const double *d)
{
    ad_dual a;
    a.v = v;
    for (int k = 0; k < AD_DUAL_WIDTH; k++)
        a.d[k] = d ? d[k] : 0;
    return a;
}

double TANGENT_NAME(int op, const double x[3], const double *const dx[3], double *dy)
{
    const ad_dual a = load(x[0], dx[0]), b = load(x[1], dx[1]), c = load(x[2], dx[2]);
    ad_dual y;
    switch (op) {
#define OP1(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        y = ad_dual_##name(a);                                                                     \
        break;
#define OP2(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        y = ad_dual_##name(a, b);                                                                  \
        break;
#define OP3(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        y = ad_dual_##name(a, b, c);                                                               \
        break;
#include "ops.def"
    default:
        y = ad_dual_constant(0);
    }
    for (int k = 0; k < AD_DUAL_WIDTH; k++)
        dy[k] = y.d[k];
    return y.v;
}
