/* rows_avx512.c - array loops for x86-64 processors with AVX-512 (F, BW, DQ, VL) */
#define AD_PLAIN
#include "kernels.h"
#if KERNELS_X86
#include "algebra.h"
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
#define KERNELS       kernels_avx512
#define KERNELS_NAME  "avx512"
#define KERNELS_BYTES 64
#define PRODUCTS      products_avx512
#include "rows.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int kernels_avx512_nothing; /* a file has to hold something */
#endif
