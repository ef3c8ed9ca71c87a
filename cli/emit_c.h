/* emit_c.h - value and gradient of a scalar expression as a C99 file that needs no library */
#ifndef EMIT_C_H
#define EMIT_C_H
#include "complain.h"

/* Defines double NAME(const double x[n], double gradient[n]). false and what is wrong. */
bool emit_c(const ad_expression *e, const char *name, FILE *to, char wrong[TRACE_WRONG]);
/* Is it a name that a C function may have? */
bool emit_c_name(const char *name);

#endif
