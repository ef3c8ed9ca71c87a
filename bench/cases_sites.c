/* cases_sites.c - the scalar cases once more, recording file and line of every operation */
#define BENCH_SITES
#include "cases.c"
