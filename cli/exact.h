/* exact.h - what the formats for programs share: numbers that read back as the same bits */
#ifndef EXACT_H
#define EXACT_H
#include <stdio.h>

#include "trace.h"

/* With the fewest digits that read back; "-0.0", "inf", "-inf", "nan". */
const char *exact_number(char out[32], double value);
/* A scalar's number, a tensor's elements in nested brackets. Those that are not finite stand
 * between `quotes`. */
void put_exact(int rank, const int64_t *shape, const double *values, const char *quotes, FILE *to);

/* Are its local partials numbers? Those of elementwise operations on scalars are. */
bool has_partials(const trace_node *n);
/* The contributions to node i, to be freed; NULL when out of memory. */
trace_contribution *contributions_of(const trace *t, int i, int *n);
/* The elements of argument k of a node, to be freed, with its rank and shape; NULL when out of
 * memory. */
double *argument_values(const trace *t, const trace_node *n, int k, int *rank,
                        const int64_t **shape);

#endif
