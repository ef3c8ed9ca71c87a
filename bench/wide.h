/* wide.h - gradients over long arrays: what both programs that take them agree on
 *
 * affine: sum(a + b c) by a, b and c; tanh: sum(tanh(x)) by x; exp: sum(exp(-x x)) by x. Asked as
 *     wide tanh 30000000 1 -  ->  ok, or why not; 1: threads
 *     run 3                   ->  microseconds a value and gradient
 *     loss                    ->  the value, and the sum of each gradient times its number, added
 *     memory                  ->  MiB that this process has needed at most */
#ifndef TAPEGRAD_BENCH_WIDE_H
#define TAPEGRAD_BENCH_WIDE_H

#include <stddef.h>

enum wide_case { WIDE_AFFINE, WIDE_TANH, WIDE_EXP, WIDE_TRIAD, WIDE_COUNT };
enum { WIDE_INPUTS = 3 };

typedef struct wide {
    enum wide_case id;
    size_t n;
    int inputs, threads;
    float *x[WIDE_INPUTS];
} wide;

/* NULL, or why not. */
const char *wide_read(wide *w, const char *words);

#endif
