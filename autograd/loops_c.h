/* loops_c.h - a program of loops as C */
#ifndef LOOPS_C_H
#define LOOPS_C_H
#include "loops.h"

/* A function `int name(const double *x, double *m, double *out)` and all it needs; 0, or 1 + the
 * number of the guard that failed. AD_NOT_RECORDED where an operation has no stand-alone C, whose
 * name is then in *lacking. */
ad_status loops_write_c(const loops *l, const char *name, FILE *to, const char **lacking);

#endif
