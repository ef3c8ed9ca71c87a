/* results.h - the file of results: one JSON object, a row a line */
#ifndef TAPEGRAD_BENCH_RESULTS_H
#define TAPEGRAD_BENCH_RESULTS_H

#include <stdio.h>

#include "bench.h"
#include "machine.h"

/* One row as a JSON object, without a line's end. */
void results_row(FILE *to, const result *r);

typedef struct results {
    FILE *file;
    char path[4096], part[4200]; /* written beside it, and renamed when whole */
    char *notes;
    int rows;
} results;

/* With path NULL nothing is written. false: the file cannot be. */
bool results_open(results *f, const options *o, const machine *m);
void results_add(results *f, const result *r);
void results_note(results *f, const char *text);
bool results_close(results *f, const load *l, bool wrong);

#endif
