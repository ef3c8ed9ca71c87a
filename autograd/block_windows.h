/* block_windows.h - where sliding windows look */
#ifndef BLOCK_WINDOWS_H
#define BLOCK_WINDOWS_H
#include "tape.h"

typedef struct windows {
    int n; /* the last n axes */
    int64_t size[AD_MAX_RANK], stride[AD_MAX_RANK], dilation[AD_MAX_RANK];
} windows;

/* (..., L1, L2) as (..., O1, O2, K1, K2) */
array windows_view(const windows *w, const array *a);
/* (..., O1, O2, K1, K2) as (..., K1, K2, O1, O2) */
array windows_by_offset(const windows *w, const array *a);

#endif
