/* c_helpers.h - functions that programs with tensors call when they are written as C */
#ifndef C_HELPERS_H
#define C_HELPERS_H
#include "ad.h"
#include <stdio.h>

enum {
#define HELPER(name, ...) HELPER_##name,
#include "c_helpers.def"
    HELPERS
};

typedef struct c_helpers {
    bool needed[2][HELPERS]; /* by dtype AD_F64, AD_F32 */
} c_helpers;

/* This one, and those that it calls. */
void c_helpers_need(c_helpers *h, ad_dtype dtype, int helper);
/* as name_f64 and name_f32 */
void c_helpers_write(const c_helpers *h, FILE *to);

#endif
