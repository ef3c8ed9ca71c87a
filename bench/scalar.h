/* scalar.h - the scalar cases and the ways to get their gradients
 *
 * A case is a function of n inputs made of a known number of elementary operations. A way is one
 * implementation: a tape, a program, a derivative written by hand, a peer. The interface is plain C
 * with one function call a gradient, so that a peer in another language fits behind it. */
#ifndef TAPEGRAD_BENCH_SCALAR_H
#define TAPEGRAD_BENCH_SCALAR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum case_id { /* in the order of their sizes: ADOL-C never forgets how large a trace it has seen */
               CASE_SMALL,      /* x0 x1 + sin(x0) */
               CASE_MLP,        /* 64-64-64-1, tanh */
               CASE_CHAIN,      /* a pendulum, step by step: p -= k sin(q); q += p / m */
               CASE_ROTATION,   /* a rotation, step by step: (c, s) = (c a + s d, c b + s a) */
               CASE_ROSENBROCK, /* sum of 100 (x1 - x0^2)^2 + (1 - x0)^2 */
               CASE_PRODUCT,    /* x0 x1 x2 ... */
               CASE_COUNT
};

enum { MLP_WIDTH = 64, MLP_LAYERS = 2, MLP_INPUTS = 2 * MLP_WIDTH * MLP_WIDTH + 4 * MLP_WIDTH + 1 };

extern const char *const case_names[CASE_COUNT];

typedef struct problem {
    enum case_id id;
    const char *name;
    size_t size;       /* steps of a chain */
    size_t n;          /* inputs */
    double operations; /* elementary operations of one evaluation */
    const double *x;
    const char *built; /* the shared object of a way that is compiled on the spot */
} problem;

/* start: NULL where the way does not exist for a case. gradient: out gets the value, then n numbers
 * (from the plain function the value only). bytes: what the recording takes; NULL where nothing is
 * recorded. */
typedef struct way {
    const char *name;
    void *(*start)(const problem *p);
    void (*gradient)(void *state, const double *x, double *out);
    double (*bytes)(void *state);
    void (*finish)(void *state);
} way;

/* Some exist where the library has what they are made of: HAVE_... of meson.build. */
extern const way way_recorded, way_recorded_with_sites, way_recording, way_dots, way_arrays,
    way_on_disk, way_replayed, way_optimised, way_native, way_hand, way_plain, way_casadi;
/* Peers; NULL where the benchmark was built without them. */
const way *peer_adolc_recorded(void);
const way *peer_adolc_replayed(void);
const way *peer_codipack(void);
const way *peer_adept(void);

#ifdef __cplusplus
}
#endif

#endif
