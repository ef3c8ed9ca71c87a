/* ways.h - the races of the scalar cases: every way to a gradient, ours and the peers'
 *
 * A new way of ours is a name here, a row in the table of ways.c and one in that of serve_scalar.c,
 * which does the work; what it is compared with is a row in the table of bench_scalar.c or of
 * bench_growth.c. */
#ifndef TAPEGRAD_BENCH_WAYS_H
#define TAPEGRAD_BENCH_WAYS_H

#include "bench.h"
#include "child.h"
#include "scalar.h"

enum way_id {
    RECORDED,
    SITES,
    RECORDING,
    FUSED,
    ARRAYS,
    ON_DISK,
    REPLAYED,
    OPTIMISED,
    NATIVE,
    OWN_WAYS,
    HAND = OWN_WAYS,
    PLAIN,
    ADOLC,
    ADOLC_REPLAYED,
    CODIPACK,
    ADEPT,
    CASADI_C,
    CASADI,
    JAX,
    TORCH,
    WAYS
};

const char *way_name(enum way_id id);

/* The cases by number, without inputs; the chains also at so many operations. */
const problem *scalar_problem(enum case_id id);
problem scalar_problem_of(enum case_id id, double operations);

/* One way that works on one problem in a process of its own. */
typedef struct entrant {
    child own, *c; /* c: NULL where it is absent */
    problem p;
} entrant;

/* Begins it with the programs of a folder; absent where they do not have it. */
void entrant_begin(entrant *e, enum way_id id, const problem *p, const char *directory);
double entrant_seconds(void *e, int repeats); /* of one gradient; what take_turns asks for */
double entrant_number(entrant *e, const char *question);
void entrant_end(entrant *e);
/* The value, the gradient; false where there is none, or it is not that of `want` (n + 1 numbers,
 * NULL: not compared). out may be the same as want. */
bool entrant_right(entrant *e, enum way_id id, const double *want, double *out);

/* The ways asked for (a set of bits), begun, checked against the hand-written gradient, and timed
 * in turn. */
typedef struct race {
    samples time[WAYS];   /* ns an operation; without samples: absent */
    samples bytes[WAYS];  /* of what is recorded, for an operation or input */
    samples memory[WAYS]; /* MiB of the process, at the highest */
} race;
void run_race(const options *o, const schedule *s, const problem *p, unsigned ways, race *r);

#endif
