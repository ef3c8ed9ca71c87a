/* c_rows.h - rows of ops.def as functions in C, for programs that are written as C */
#ifndef C_ROWS_H
#define C_ROWS_H
#include "ad.h"
#include <stdio.h>

typedef struct c_rows {
    bool needed[2][AD_OP_COUNT_]; /* by dtype AD_F64, AD_F32 */
} c_rows;

/* This row, and the rows that its value is made of. */
void c_rows_need(c_rows *r, ad_dtype dtype, int op);
/* The name of a needed row that has no stand-alone C; NULL: there is none. */
const char *c_rows_lacking(const c_rows *r);
/* op_NAME of doubles and opf_NAME of floats, as far as they are needed. */
void c_rows_write(const c_rows *r, FILE *to);

#endif
