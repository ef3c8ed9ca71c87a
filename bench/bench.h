/* bench.h - what the benchmark's files share: options, timing, and the table of results
 *
 * Machines are noisy, so only ratios measured side by side count: every way of doing a case is
 * timed in turn, again and again (ours, peer, ours, peer ...), and the medians are compared. */
#ifndef TAPEGRAD_BENCH_H
#define TAPEGRAD_BENCH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct options {
    bool json, quick;
    const char *filter;    /* only cases that contain it; NULL: all */
    const char *directory; /* of this program: its helpers lie beside it */
} options;

enum { MAX_SAMPLES = 64 };

typedef struct samples {
    int n;
    double value[MAX_SAMPLES];
} samples;

void samples_add(samples *s, double value);
double samples_median(const samples *s); /* NaN where there are none */
double samples_spread(const samples *s); /* half the interquartile range, relative to the median */

double seconds_now(void);

/* One line of results: ours against one peer. A peer without samples is reported as absent. */
typedef struct result {
    const char *bench, *name, *unit;
    const char *peer_name;
    const samples *ours, *peer; /* peer NULL: absent on this machine */
    double aim;                 /* the ratio that is promised; 0: none */
} result;

void report(const options *o, const result *r);
/* A line about how the numbers were come by; not part of --json. */
void remark(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is being measured now: on a terminal's stderr only. NULL clears the line. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A wrong result, not a slow one: the benchmark ends with status 1. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool wanted(const options *o, const char *bench, const char *name);

void bench_scalar(const options *o);
void bench_large(const options *o);
void bench_start(const options *o);
void bench_train(const options *o);

#endif
