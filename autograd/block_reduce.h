/* block_reduce.h - what a reduction is: three functions of a row, and what moves the rows
 *
 * block_reduce.c says how; block_extreme.c and block_norm.c hold the reductions that are more than
 * sums and products. */
#ifndef BLOCK_REDUCE_H
#define BLOCK_REDUCE_H
#include "tape.h"

typedef struct reduce_attr {
    uint32_t axes; /* bit i: axis i is reduced */
    bool keep;
    int correction;
} reduce_attr;

typedef struct reduction {
    block_op op; /* first: blocks point to it */
    double (*value)(int64_t n, const double *x, int correction);
    /* writes dx; g is not 0 */
    void (*adjoint)(int64_t n, const double *x, double g, int correction, bool magnitude,
                    double *dx);
    double (*tangent)(int64_t n, const double *x, const double *dx, int correction);
    bool extreme; /* needs an element, and remembers which */
} reduction;

/* ---- rows ---- */

typedef struct rows {
    array a;                /* kept axes, then reduced ones */
    int kept;               /* how many are kept */
    int order[AD_MAX_RANK]; /* the axes of a in the argument */
    int64_t count, n;       /* rows, and their length */
} rows;

rows rows_of(const array *a, uint32_t axes);

/* Sums of more elements than this are halved. */
enum { HALVED = 256 };
double row_sum(int64_t n, const double *x);
double row_norm(int64_t n, const double *x); /* without overflow */

/* ---- value, adjoint and tangent by way of the functions of a row ---- */

ad_status value_by_rows(frame *f, block *b);
/* Adds the contributions of rows, or hands them out where the slot holds nothing yet. */
ad_status adjoint_by_rows(frame *f, block *b, const array *g);
ad_status tangent_by_rows(frame *f, block *b, const array *a, const array *y,
                          const array *const *da, array *dy);

/* ---- for recorded rules ---- */

/* g or y so that it broadcasts to the argument: with reduced axes of size 1, or a scalar */
ad_var rule_with_axes(const rule *r, ad_var v);
rows rule_rows(const rule *r);
/* The argument as the matrix of its rows, and back. */
ad_var rule_flattened(const rule *r);
ad_var rule_unflattened(const rule *r, ad_var v);
/* g or y as a column beside it; a scalar stays one, since it may be double where the argument is
 * float */
ad_var rule_column(const rule *r, ad_var v);

/* ---- recording ---- */

/* An extreme needs an element: false, an error is on the tape. */
bool call_elements(call *c, uint32_t axes);
/* over n axes, or all where n is 0 */
ad_var reduce_call(const reduction *to, ad_var a, int n, const int *axes, bool keep,
                   int correction);

/* The public functions of a reduction without a correction. */
#define REDUCTION(name)                                                                            \
    ad_var ad_##name(ad_var a) { return reduce_call(&name##_reduction, a, 0, NULL, false, 0); }    \
    ad_var ad_##name##_axes(ad_var a, int n, const int *axes, bool keep)                           \
    {                                                                                              \
        return reduce_call(&name##_reduction, a, n, axes, keep, 0);                                \
    }

/* ---- of extremes ---- */

/* The first of the largest (smallest) elements; the first NaN if there is one. */
int64_t first_extreme(int64_t n, const double *x, bool least);

#endif
