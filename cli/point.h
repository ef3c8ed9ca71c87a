/* point.h - the values of inputs, as --at gives them: "x1=2,x2=5", "W=[1,2;3,4]" */
#ifndef POINT_H
#define POINT_H
#include "complain.h"

typedef struct point {
    ad_tape *tape;
    ad_env *values; /* by name */
} point;

/* false and what is wrong; to be freed in either case. */
bool point_read(point *p, const char *text, char wrong[TRACE_WRONG]);
void point_free(point *p);
/* Inputs of another tape, with these values, for all names that an expression needs. */
bool point_inputs(const point *p, const ad_expression *e, ad_tape *tape, ad_env *env,
                  char wrong[TRACE_WRONG]);

#endif
