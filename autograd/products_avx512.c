/* products_avx512.c - products of matrices for x86-64 processors with AVX-512 (F, BW, DQ, VL) */
#define AD_PLAIN
#include "kernels.h"
#if KERNELS_X86
#include <immintrin.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif
#define TILE_M 12

#define REAL         double
#define NAME(x)      x##_f64
#define VECTOR       __m512d
#define LANES        8
#define SPLAT(x)     _mm512_set1_pd(x)
#define FMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#include "products.inc"

#define REAL         float
#define NAME(x)      x##_f32
#define VECTOR       __m512
#define LANES        16
#define SPLAT(x)     _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "products.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const product_kernels products_avx512 = {{part_f64, part_f32}, {row_f64, row_f32}};
#else
typedef int products_avx512_nothing; /* a file has to hold something */
#endif
