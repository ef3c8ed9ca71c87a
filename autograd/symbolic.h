/* symbolic.h - what the parts of the symbolic derivative share */
#ifndef SYMBOLIC_H
#define SYMBOLIC_H
#include "expression.h"

/* Adds to e what the tape's nodes `tops` are computed from. made[i] is the expression's node for
 * node i of the tape: a number of one, expr_unmade(name) for a leaf that is made when it is needed,
 * or NOT_MADE; it has room for the last of the tops. false: there are other operations than
 * elementwise ones on scalars, other inputs, constants that are not finite, or no memory. */
enum { NOT_MADE = -1 };
static inline int64_t expr_unmade(int name) { return -2 - (int64_t)name; }
bool expr_from_tape(ad_expression *e, const ad_tape *t, int64_t n, const int64_t *tops,
                    int64_t *made);

/* The nodes of a derivative as the rules of ops.def record it. */
typedef struct expr_recorded {
    const ad_expression *e;
    int64_t seed;        /* the number 1 that stands for the cotangent of the result */
    int64_t first, last; /* the rules recorded those from first to before last */
    bool euler;          /* e is Euler's number, and not what it is derived by */
} expr_recorded;

/* The same with operations that only rules use written as everyone else does. */
ad_expression *expr_rewritten(const expr_recorded *recorded);
/* The same with sums and products in their normal form. Of elementwise operations only. */
ad_expression *expr_simplified(const ad_expression *e);
/* One that has the same names, and no nodes. */
ad_expression *expr_with_names_of(const ad_expression *e);

#endif
