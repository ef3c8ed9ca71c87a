/* page_operations.h - the calculus of a trace as JavaScript, so that a page can compute */
#ifndef PAGE_OPERATIONS_H
#define PAGE_OPERATIONS_H
#include "trace.h"

/* Are all its operations rows of ops.def, on scalars? */
bool page_can_compute(const trace *t);
/* The rows of the trace's operations, and all that these need; false when out of memory. */
bool page_put_operations(const trace *t, FILE *to);

#endif
