/* bench.h - what the benchmark's files share: options, samples, turns, and the table of results
 *
 * Machines are noisy, so only ratios measured side by side count: every way of doing a case is
 * timed in turn, again and again (ours, peer, peer, ours ...), and the ratio of a case is the
 * median of the ratios of its rounds. */
#ifndef TAPEGRAD_BENCH_H
#define TAPEGRAD_BENCH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct options {
    bool json, quick;
    const char *filter;     /* only cases that contain it; NULL: all */
    const char *directory;  /* of this program: its helpers lie beside it */
    const char *output;     /* file for the results; NULL: none */
    const char *against;    /* directory of another build's programs; NULL: peers are measured */
    const char *other_name; /* of that other build */
} options;

/* ---- samples and turns ------------------------------------------------------------------------
 */

enum { MAX_SAMPLES = 64 };

typedef struct samples {
    int n;
    double value[MAX_SAMPLES];
} samples;

void samples_add(samples *s, double value);
double samples_quantile(const samples *s, double q); /* NaN where there are none */
double samples_median(const samples *s);
double samples_spread(const samples *s); /* half the interquartile range, relative to the median */
/* Quotients of samples of the same rounds; where they were not taken in rounds, of the medians. */
samples samples_ratios(const samples *a, const samples *b);

double seconds_now(void);

/* One of those that take turns. `sample` does the work `repeats` times and gives the seconds of one
 * time; the caller says in what the samples are to be read: unit is so many seconds. */
typedef struct turn {
    double (*sample)(void *state, int repeats);
    void *state; /* NULL: absent */
    double unit;
    int repeats;
    samples time;
} turn;

/* Rounds until `budget` seconds are spent, in an order that turns round each time. Repeats are
 * chosen so that a sample takes `least` seconds; slow ways are called once. */
typedef struct schedule {
    double least, budget;
    int fewest, most;
} schedule;
schedule schedule_of(const options *o);
void take_turns(const char *what, const schedule *s, int n, turn *turns);

/* ---- results ----------------------------------------------------------------------------------
 */

/* One line of results: ours against one peer. */
typedef struct result {
    const char *bench, *name, *unit;
    double size;           /* where the case is one of a series that grows; 0: it is not */
    const char *ours_name; /* which way of ours; NULL: there is only one */
    const char *peer_name;
    const samples *ours; /* without samples: not there yet */
    const samples *peer; /* NULL, or without samples: absent on this machine */
    double aim;          /* the ratio that is promised; 0: none */
} result;

void report(const options *o, const result *r);
/* A line about how the numbers were come by; results files have them as notes. */
void remark(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is being measured now: on a terminal's stderr only. NULL clears the line. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A wrong result, not a slow one: the benchmark ends with status 1. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool wanted(const options *o, const char *bench, const char *name);

/* ---- benches ----------------------------------------------------------------------------------
 */

void bench_scalar(const options *o);
void bench_growth(const options *o);
void bench_large(const options *o);
void bench_start(const options *o);
void bench_train(const options *o);
void bench_wide(const options *o);

/* Own ways only, of two builds. */
void bench_against(const options *o);
void start_against(const options *o, const schedule *s);
void train_against(const options *o, const schedule *s);
void wide_against(const options *o, const schedule *s);
void report_pair(const options *o, const char *name, const char *unit, const char *which,
                 double size, const turn turns[2]);

#endif
