/* products.h - products of matrices by kernels of our own, one set for each instruction set
 *
 * An element of C is one sum in a fixed order, whatever part of C is asked for. Sets that have it
 * fuse multiplication and addition, so that their bits differ from those of sets that do not. */
#ifndef PRODUCTS_H
#define PRODUCTS_H
#include <stdbool.h>
#include <stdint.h>

/* C <- A B or C <- C + A B. A's element (i,p) lies at a[i * ai + p * ap], B's (p,j) at
 * b[p * bp + j * bj], C's (i,j) at c[i * ldc + j * cj]. */
typedef struct matrix_product {
    bool add;
    int64_t m, n, k, ai, ap, bp, bj, ldc, cj;
    const void *a, *b;
    void *c;
} matrix_product;

typedef struct product_kernels { /* by dtype AD_F64, AD_F32 */
    /* m rows of C from i on and n columns from j on; cj = 1 */
    void (*part[2])(const matrix_product *p, int64_t i, int64_t m, int64_t j, int64_t n);
    /* m = 1; false: not as B and C lie */
    bool (*row[2])(const matrix_product *p);
} product_kernels;

extern const product_kernels products_baseline, products_avx2, products_avx512;

#endif
