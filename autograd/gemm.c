/* gemm.c - products of matrices: by a plain loop, by kernels of our own or by a BLAS, whichever is
 * the fastest for the sizes at hand
 *
 * Large products are cut into tiles that follow from sizes alone, and the threads of the context
 * share them: so the bits do not depend on how many threads there are. */
#define AD_PLAIN
#include "gemm.h"
#include "kernels.h"
#include "pool.h"
#include <limits.h>
#include <math.h>

#ifdef AD_HAVE_CBLAS
#include <cblas.h>
#endif

#define REAL    double
#define NAME(x) x##_f64
#include "gemm_kernel.inc"
#undef REAL
#undef NAME
#define REAL    float
#define NAME(x) x##_f32
#include "gemm_kernel.inc"
#undef REAL
#undef NAME

/* A product as it was asked for. */
typedef struct request {
    const ad_context *context;
    ad_dtype dtype;
    bool ta, tb, add;
    int64_t m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
} request;

static const void *element(const request *p, const void *base, int64_t offset)
{
    return (const char *)base + offset * (int64_t)ad_dtype_size(p->dtype);
}

static void by_loop(const request *p)
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
static void by_gemv(const request *p)
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

static void by_gemm(const request *p)
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

/* the part of a product from row i, column j and depth d on, of sizes that fit into int */
static request part_of(const request *p, int64_t i, int64_t j, int64_t d)
{
    request q = *p;
    q.m = p->m - i < MOST ? p->m - i : MOST;
    q.n = p->n - j < MOST ? p->n - j : MOST;
    q.k = p->k - d < MOST ? p->k - d : MOST;
    q.a = element(p, p->a, p->ta ? d * p->lda + i : i * p->lda + d);
    q.b = element(p, p->b, p->tb ? j * p->ldb + d : d * p->ldb + j);
    q.c = (char *)p->c + (i * p->ldc + j) * (int64_t)ad_dtype_size(p->dtype);
    q.add = p->add || d > 0;
    return q;
}

static void by_library(const request *p)
{
    if (p->lda > MOST || p->ldb > MOST || p->ldc > MOST) { /* BLAS has no name for such a matrix */
        by_loop(p);
        return;
    }
    for (int64_t i = 0; i < p->m; i += MOST)
        for (int64_t j = 0; j < p->n; j += MOST)
            for (int64_t d = 0; d < p->k; d += MOST) {
                request q = part_of(p, i, j, d);
                if (q.m == 1 || q.n == 1)
                    by_gemv(&q);
                else
                    by_gemm(&q);
            }
}

#endif

/* ---- kernels of our own ---- */

static matrix_product strided(const request *p)
{
    return (matrix_product){.add = p->add,
                            .m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .ai = p->ta ? 1 : p->lda,
                            .ap = p->ta ? p->lda : 1,
                            .bp = p->tb ? 1 : p->ldb,
                            .bj = p->tb ? p->ldb : 1,
                            .ldc = p->ldc,
                            .cj = 1,
                            .a = p->a,
                            .b = p->b,
                            .c = p->c};
}

/* a column is a row of the transposed product */
static matrix_product transposed(const matrix_product *p)
{
    matrix_product t = *p;
    t.m = p->n, t.n = p->m;
    t.a = p->b, t.ai = p->bj, t.ap = p->bp;
    t.b = p->a, t.bp = p->ap, t.bj = p->ai;
    t.ldc = p->cj, t.cj = p->ldc;
    return t;
}

/* false: there are none */
static bool by_kernels(const request *p)
{
    const product_kernels *k = kernels_of(p->context)->products;
    const matrix_product q = strided(p), t = transposed(&q);
    if (!k->part[p->dtype])
        return false;
    if (!(p->m == 1 && k->row[p->dtype](&q)) && !(p->n == 1 && k->row[p->dtype](&t)))
        k->part[p->dtype](&q, 0, p->m, 0, p->n);
    return true;
}

/* ---- the choice ---- */

typedef enum way { BY_LOOP, BY_KERNELS, BY_LIBRARY } way;

static double work_of(const request *p) { return (double)p->m * (double)p->n * (double)p->k; }

/* Measured with OpenBLAS 0.3.21 and gcc 12 on a Zen 4, in time of the BLAS: with AVX-512 our
 * kernels take .85 to .95 from a million multiplications up and where B is transposed, 1.0 to 1.15
 * where rows lie a multiple of a page apart (and the BLAS in tiles no less), 1.2 and more below,
 * where OpenBLAS has kernels for small matrices, 2 to 3 for few columns. With AVX2 they take .9 to
 * 1.1. */
static way way_of(const request *p)
{
    enum { SMALL = 64 };
    const double work = work_of(p);
    if (p->k <= 0 || work <= SMALL)
        return BY_LOOP;
#ifdef AD_HAVE_CBLAS
    const bool best = kernels_of(p->context) == kernels_available(AD_KERNELS_AVX512);
    const bool wide = p->m >= 16 && p->n >= 32;
    return best && wide && (p->tb || work >= 1 << 20) ? BY_KERNELS : BY_LIBRARY;
#else
    return BY_KERNELS;
#endif
}

/* ---- tiles ---- */

typedef struct job {
    const request *request;
    way way;
    int64_t down, across; /* tiles */
} job;

static void run_part(const request *p, way how, int64_t i, int64_t m, int64_t j, int64_t n)
{
    request q = *p;
    q.m = m, q.n = n;
    q.a = element(p, p->a, p->ta ? i : i * p->lda);
    q.b = element(p, p->b, p->tb ? j * p->ldb : j);
    q.c = (char *)p->c + (i * p->ldc + j) * (int64_t)ad_dtype_size(p->dtype);
    if (how == BY_KERNELS && by_kernels(&q))
        return;
#ifdef AD_HAVE_CBLAS
    if (how == BY_LIBRARY) {
        by_library(&q);
        return;
    }
#endif
    by_loop(&q);
}

/* Where part `i` of `parts` begins: at multiples of what kernels do at a time, where there are. */
enum { STEP_M = 12, STEP_N = 32 };
static int64_t boundary(int64_t size, int64_t i, int64_t parts, int64_t step)
{
    const int64_t at = size * i / parts;
    return i == parts || size / parts < step ? at : (at + step / 2) / step * step;
}

static void run_tile(void *user, int64_t tile)
{
    const job *w = user;
    const request *p = w->request;
    const int64_t r = tile / w->across, c = tile % w->across;
    const int64_t i = boundary(p->m, r, w->down, STEP_M), j = boundary(p->n, c, w->across, STEP_N);
    run_part(p, w->way, i, boundary(p->m, r + 1, w->down, STEP_M) - i, j,
             boundary(p->n, c + 1, w->across, STEP_N) - j);
}

static inline int64_t pieces(int64_t size, int64_t most) { return (size + most - 1) / most; }

/* Our kernels give the same bits however C is cut: into as many parts as keep all threads busy to
 * the end, by columns as long as these fill vectors, since B then is packed once. */
static job job_of_kernels(const request *p, int threads)
{
    enum { EACH = 4, COLUMNS = 64, ROWS = 24 };
    const double least = 1 << 20; /* some ten microseconds */
    job w = {p, BY_KERNELS, 1, 1};
    int64_t parts = threads < 2 ? 1 : (int64_t)fmin((double)EACH * threads, work_of(p) / least);
    if (parts < 2)
        return w;
    w.across = parts < p->n / COLUMNS ? parts : p->n / COLUMNS;
    w.across = w.across < 1 ? 1 : w.across;
    parts = pieces(parts, w.across);
    w.down = parts < p->m / ROWS ? parts : p->m / ROWS;
    w.down = w.down < 1 ? 1 : w.down;
    return w;
}

/* For a library tiles follow from sizes alone, so that the bits do: large enough that packing what
 * they share once more costs little. */
static job job_of(const request *p)
{
    enum { ROWS = 128, COLUMNS = 256 };
    const double least = 1 << 21;
    const way how = way_of(p);
    job w = {p, how, 1, 1};
    if (how == BY_KERNELS)
        return job_of_kernels(p, pool_threads(p->context));
    if (how == BY_LOOP || work_of(p) < 2 * least)
        return w;
    w.across = pieces(p->n, COLUMNS);
    w.down = pieces(p->m, ROWS);
    while (w.down > 1 && work_of(p) / (double)(w.down * w.across) < least)
        w.down = (w.down + 1) / 2;
    return w;
}

void gemm(const ad_context *context, ad_dtype dtype, bool ta, bool tb, int64_t m, int64_t n,
          int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, bool add, void *c,
          int64_t ldc)
{
    if (m <= 0 || n <= 0)
        return;
    const request p = {context, dtype, ta, tb, add, m, n, k, lda, ldb, ldc, a, b, c};
    job w = job_of(&p);
    if (w.way == BY_LIBRARY)
        one_thread();
    pool_run(context, w.down * w.across, run_tile, &w);
}
