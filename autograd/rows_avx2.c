/* rows_avx2.c - array loops for x86-64 processors with AVX2 and FMA */
#define AD_PLAIN
#include "kernels.h"
#if KERNELS_X86
#include "algebra.h"
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define KERNELS       kernels_avx2
#define KERNELS_NAME  "avx2"
#define KERNELS_BYTES 32
#define PRODUCTS      products_avx2
#include "rows.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int kernels_avx2_nothing; /* a file has to hold something */
#endif
