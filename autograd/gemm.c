/* gemm.c - products of matrices: by a BLAS where there is one, else by kernels of our own
 *
 * A BLAS is the fastest there is for large matrices and spends longer on being called than on the
 * product of tiny ones, which therefore go through a plain loop in every build. Without a BLAS the
 * rest is done the way that BLAS do it: blocks that fit into the cache are packed into strips, and
 * a tile of C is summed in registers. */
#define AD_PLAIN
#include "gemm.h"
#include <limits.h>

#ifdef AD_HAVE_CBLAS
#include <cblas.h>
#endif

enum {
/* up to so many multiplications the plain loop is faster: measured with OpenBLAS 0.3, gcc 12, Zen 5
 */
#ifdef AD_HAVE_CBLAS
    SMALL = 64,
#else
    SMALL = 512,
#endif
    TILE_M = 4,   /* rows of a register tile */
    BLOCK_M = 32, /* what is packed at once; multiples of the tile, 96 KiB of stack in double */
    BLOCK_N = 64,
    BLOCK_K = 128,
#if defined(__AVX512F__)
    VECTOR_BYTES = 64,
#elif defined(__AVX__)
    VECTOR_BYTES = 32,
#else
    VECTOR_BYTES = 16,
#endif
    TILE_N_F64 = 2 * VECTOR_BYTES / 8,
    TILE_N_F32 = 2 * VECTOR_BYTES / 4
};

#define REAL    double
#define NAME(x) x##_f64
#define TILE_N  TILE_N_F64
#include "gemm_kernel.inc"
#undef REAL
#undef NAME
#undef TILE_N
#define REAL    float
#define NAME(x) x##_f32
#define TILE_N  TILE_N_F32
#include "gemm_kernel.inc"
#undef REAL
#undef NAME
#undef TILE_N

/* A product as strides: what the loops want to know. */
typedef struct product {
    ad_dtype dtype;
    bool ta, tb, add;
    int64_t m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
} product;

static void by_loop(const product *p)
{
    int64_t ai = p->ta ? 1 : p->lda, ap = p->ta ? p->lda : 1;
    int64_t bp = p->tb ? 1 : p->ldb, bj = p->tb ? p->ldb : 1;
    if (p->dtype == AD_F64)
        small_f64(p->add, p->m, p->n, p->k, p->a, ai, ap, p->b, bp, bj, p->c, p->ldc);
    else
        small_f32(p->add, p->m, p->n, p->k, p->a, ai, ap, p->b, bp, bj, p->c, p->ldc);
}

/* Products are asked for one at a time, from the caller's thread: then their bits do not depend on
 * how many threads there are, and no pool of threads spins beside a program whose products are
 * small. OpenBLAS has one setting for the whole process; it is set when it is found different. */
static void one_thread(void)
{
#ifdef AD_HAVE_OPENBLAS
    if (openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
#endif
}

#ifdef AD_HAVE_CBLAS
enum { MOST = INT_MAX / 2 }; /* of a dimension, in one call */

/* y <- op(A) x + beta y, where a dimension of C is 1. OpenBLAS' beta = 0 may keep a NaN of y:
 * cleared here. */
static void by_gemv(const product *p)
{
    bool column = p->n == 1;
    bool transposed = column ? p->ta : !p->tb;
    const void *matrix = column ? p->a : p->b, *x = column ? p->b : p->a;
    int64_t length = column ? p->m : p->n;
    int rows = (int)(transposed ? p->k : length), columns = (int)(transposed ? length : p->k);
    int ld = (int)(column ? p->lda : p->ldb), step_y = column ? (int)p->ldc : 1;
    int step_x = (int)(column ? (p->tb ? 1 : p->ldb) : (p->ta ? p->lda : 1));
    CBLAS_TRANSPOSE op = transposed ? CblasTrans : CblasNoTrans;
    if (p->dtype == AD_F64) {
        double *y = p->c;
        for (int64_t i = 0; i < length && !p->add; i++)
            y[i * step_y] = 0;
        cblas_dgemv(CblasRowMajor, op, rows, columns, 1, matrix, ld, x, step_x, 1, y, step_y);
    } else {
        float *y = p->c;
        for (int64_t i = 0; i < length && !p->add; i++)
            y[i * step_y] = 0;
        cblas_sgemv(CblasRowMajor, op, rows, columns, 1, matrix, ld, x, step_x, 1, y, step_y);
    }
}

static void by_gemm(const product *p)
{
    CBLAS_TRANSPOSE ta = p->ta ? CblasTrans : CblasNoTrans, tb = p->tb ? CblasTrans : CblasNoTrans;
    int m = (int)p->m, n = (int)p->n, k = (int)p->k;
    int lda = (int)p->lda, ldb = (int)p->ldb, ldc = (int)p->ldc;
    if (p->dtype == AD_F64)
        cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, p->a, lda, p->b, ldb, p->add, p->c, ldc);
    else
        cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, p->a, lda, p->b, ldb, p->add ? 1 : 0, p->c,
                    ldc);
}

static const void *element(const product *p, const void *base, int64_t offset)
{
    return (const char *)base + offset * (int64_t)ad_dtype_size(p->dtype);
}

/* the part of a product from row i, column j and depth d on, of sizes that fit into int */
static product part_of(const product *p, int64_t i, int64_t j, int64_t d)
{
    product q = *p;
    q.m = p->m - i < MOST ? p->m - i : MOST;
    q.n = p->n - j < MOST ? p->n - j : MOST;
    q.k = p->k - d < MOST ? p->k - d : MOST;
    q.a = element(p, p->a, p->ta ? d * p->lda + i : i * p->lda + d);
    q.b = element(p, p->b, p->tb ? j * p->ldb + d : d * p->ldb + j);
    q.c = (char *)p->c + (i * p->ldc + j) * (int64_t)ad_dtype_size(p->dtype);
    q.add = p->add || d > 0;
    return q;
}

static void by_library(const product *p)
{
    if (p->lda > MOST || p->ldb > MOST || p->ldc > MOST) { /* BLAS has no name for such a matrix */
        by_loop(p);
        return;
    }
    for (int64_t i = 0; i < p->m; i += MOST)
        for (int64_t j = 0; j < p->n; j += MOST)
            for (int64_t d = 0; d < p->k; d += MOST) {
                product q = part_of(p, i, j, d);
                if (q.m == 1 || q.n == 1)
                    by_gemv(&q);
                else
                    by_gemm(&q);
            }
}

#else
static void by_library(const product *p)
{
    if (p->m == 1) {
        by_loop(p);
        return;
    }
    if (p->n == 1 && p->ldc == 1) { /* a column is a row of the transposed product */
        product q = {p->dtype, !p->tb, !p->ta, p->add, 1,    p->m, p->k,
                     p->ldb,   p->lda, p->m,   p->b,   p->a, p->c};
        by_loop(&q);
        return;
    }
    int64_t ai = p->ta ? 1 : p->lda, ap = p->ta ? p->lda : 1;
    int64_t bp = p->tb ? 1 : p->ldb, bj = p->tb ? p->ldb : 1;
    if (p->dtype == AD_F64)
        blocked_f64(p->add, p->m, p->n, p->k, p->a, ai, ap, p->b, bp, bj, p->c, p->ldc);
    else
        blocked_f32(p->add, p->m, p->n, p->k, p->a, ai, ap, p->b, bp, bj, p->c, p->ldc);
}
#endif

void gemm(ad_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a,
          int64_t lda, const void *b, int64_t ldb, bool add, void *c, int64_t ldc)
{
    if (m <= 0 || n <= 0)
        return;
    product p = {dtype, ta, tb, add, m, n, k, lda, ldb, ldc, a, b, c};
    if (k <= 0 || (m <= SMALL && n <= SMALL && k <= SMALL && m * n * k <= SMALL))
        by_loop(&p);
    else {
        one_thread();
        by_library(&p);
    }
}
