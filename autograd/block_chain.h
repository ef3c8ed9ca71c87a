/* block_chain.h - what a fused node of many scalars knows, for those who take it apart */
#ifndef BLOCK_CHAIN_H
#define BLOCK_CHAIN_H
#include "tape.h"

/* what a block knows besides its operands: n of the first list, n of the second, and one more */
typedef struct chain {
    int64_t n;
    int lists;    /* of n operands each: 1 or 2 */
    bool one;     /* and one more operand: the start of a sum, or where a polynomial is taken */
    bool run[2];  /* is the list a run of nodes */
    double start; /* a constant to begin with */
} chain;          /* then, where there are any, n numbers */

static inline const double *chain_numbers(const chain *c) { return (const double *)(c + 1); }

/* start + sum of x[k] y[k]; start + sum of w[k] x[k], w numbers; sum of x[k]; its Euclidean norm;
 * sum of p[k] one^k, p variables, or numbers */
extern const block_op dot_n_op, affine_n_op, sum_n_op, norm_n_op, polynomial_n_op, horner_n_op;

#endif
