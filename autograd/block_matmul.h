/* block_matmul.h - products whose operands stay where they are, for programs that run many times */
#ifndef BLOCK_MATMUL_H
#define BLOCK_MATMUL_H
#include "tape.h"

typedef struct bound_product { /* the arguments of one call of gemm */
    const ad_context *context;
    bool ta, tb;
    ad_dtype dtype;
    int64_t m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
} bound_product;

typedef struct matrices { /* (..., m,k) (..., k,n) = (..., m,n) over the same leading axes */
    array a, b, y;
} matrices;

bool is_product(const block *b);
/* A product's arguments and result as stacks of matrices. */
matrices product_matrices(const block *b, const array *a0, const array *b0, const array *y0);
/* One product for the whole stack, (l m, k) (k, n), or (m, l k) (l k, n) where results are summed;
 * false: there is none. */
bool product_fold(array *a, array *b, array *c);
/* false: it is no single product of matrices that can be read where they lie */
bool product_bind(const frame *f, const block *b, bound_product *p);
void product_run(const bound_product *p);

#endif
