/* rows_baseline.c - array loops for every processor of the architecture */
#define KERNELS       kernels_baseline
#define KERNELS_NAME  "baseline"
#define KERNELS_BYTES 16
#define PRODUCTS      products_baseline
#define AD_PLAIN
#include "rows.inc"
