/* routine.h - a compiled program of scalars: loops, and what errors and listings need to know */
#ifndef ROUTINE_H
#define ROUTINE_H
#include "loops.h"
#include "program.h"

enum { SHOWN_ENDS = 24 }; /* instructions of either end that are kept for listings */

typedef struct listing { /* straight-line code before the passes, its ends */
    instr first[SHOWN_ENDS], last[SHOWN_ENDS];
    uint32_t n, n_first, n_last, last_from;
} listing;

typedef struct routine {
    loops loops;
    listing before;
    ad_program_stats stats;
    double *starts;      /* the inputs at the time of compilation */
    uint32_t n_all;      /* inputs, then cotangents and directions */
    const char **sites;  /* of the nodes of the tape, and */
    uint8_t *operations; /* their operations: where numbers are checked, else NULL */
    const char **guard_sites;
    void *library; /* machine code, where there is some: see native.c */
    int (*native)(const double *x, double *m, double *out);
} routine;

void routine_free(routine *r);
void native_free(routine *r);

/* the part of a workspace: its memory */
bool routine_workspace(ad_workspace *w);

#endif
