/* coefficient.h - fractions of doubles, as they stand before the terms of a sum */
#ifndef COEFFICIENT_H
#define COEFFICIENT_H
#include <stdbool.h>

typedef struct coefficient { /* p/q, in lowest terms where both are integers; q > 0 */
    double p, q;
} coefficient;

/* In place, and only where the result is exact: else false, and nothing is changed. */
bool coefficient_times(coefficient *a, coefficient b);
bool coefficient_plus(coefficient *a, coefficient b);
coefficient coefficient_inverse(coefficient a); /* of one that is not 0 */

#endif
