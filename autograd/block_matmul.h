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

bool is_product(const block *b);
/* false: it is no single product of matrices that can be read where they lie */
bool product_bind(const frame *f, const block *b, bound_product *p);
void product_run(const bound_product *p);

#endif
