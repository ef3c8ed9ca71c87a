/* gemm.h - the seam for products of matrices
 *
 * Everything that multiplies matrices comes through this one function, so that a BLAS, another
 * library or our own kernels can stand behind it without anybody noticing. */
#ifndef GEMM_H
#define GEMM_H
#include "ad.h"

/* C <- op(A) op(B), or C <- C + op(A) op(B) where `add` is set. op(A) is (m,k), op(B) is (k,n), C
 * is (m,n), all row-major with rows lda, ldb, ldc elements apart; ta: A is stored as (k,m), tb: B
 * is stored as (n,k). dtype is AD_F64 or AD_F32; the threads of the context may help. C must not
 * overlap A or B. Without `add` C is not read, so that it may hold anything; k = 0 gives zeros. A
 * leading dimension is at least the length of a stored row, and at least 1. */
void gemm(const ad_context *context, ad_dtype dtype, bool ta, bool tb, int64_t m, int64_t n,
          int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, bool add, void *c,
          int64_t ldc);

#endif
