/* products_baseline.c - products of matrices for every processor of the architecture */
#include "ad.h"
#include "products.h"
#include <string.h>

#if defined(__GNUC__)
#define TILE_M 4
typedef double pair __attribute__((vector_size(16)));
typedef float quad __attribute__((vector_size(16)));

#define REAL         double
#define NAME(x)      x##_f64
#define VECTOR       pair
#define LANES        2
#define SPLAT(x)     ((pair){(x), (x)})
#define FMA(a, b, c) ((a) * (b) + (c))
#include "products.inc"

#define REAL         float
#define NAME(x)      x##_f32
#define VECTOR       quad
#define LANES        4
#define SPLAT(x)     ((quad){(x), (x), (x), (x)})
#define FMA(a, b, c) ((a) * (b) + (c))
#include "products.inc"

const product_kernels products_baseline = {{part_f64, part_f32}, {row_f64, row_f32}};
#else
const product_kernels products_baseline = {{NULL, NULL}, {NULL, NULL}};
#endif
