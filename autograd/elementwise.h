/* elementwise.h - the elementwise block and guards, as sweeps see them */
#ifndef ELEMENTWISE_H
#define ELEMENTWISE_H
#include "tape.h"

/* Records row `op` on arguments of which one at least is a tensor. */
ad_var record_elementwise(ad_tape *t, int op, int n, const ad_var *args);
extern const block_op elementwise_block;
ad_status elementwise_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy);
bool guard_holds(const frame *f, uint32_t node);
/* comparisons, by the numbers that guards keep */
bool comparison_holds(unsigned comparison, double a, double b);
const char *comparison_text(unsigned comparison); /* "<" ... */

#endif
