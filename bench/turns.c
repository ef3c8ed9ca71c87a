/* turns.c - samples, and ways of doing the same thing that are timed in turn */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

void samples_add(samples *s, double value)
{
    if (s->n < MAX_SAMPLES)
        s->value[s->n++] = value;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_quantile(const samples *s, double q)
{
    if (s->n == 0)
        return NAN;
    double sorted[MAX_SAMPLES];
    memcpy(sorted, s->value, (size_t)s->n * sizeof *sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, by_size);
    double at = q * (s->n - 1);
    int below = (int)at, above = below + 1 < s->n ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

double samples_median(const samples *s) { return samples_quantile(s, .5); }

double samples_spread(const samples *s)
{
    return (samples_quantile(s, .75) - samples_quantile(s, .25)) / 2 / samples_median(s);
}

samples samples_ratios(const samples *a, const samples *b)
{
    samples ratios = {0};
    if (a->n == b->n)
        for (int i = 0; i < a->n; i++)
            samples_add(&ratios, a->value[i] / b->value[i]);
    else if (a->n > 0 && b->n > 0)
        samples_add(&ratios, samples_median(a) / samples_median(b));
    return ratios;
}

/* ---- turns ------------------------------------------------------------------------------------
 */

schedule schedule_of(const options *o)
{
    return o->quick ? (schedule){.003, .25, 5, 15} : (schedule){.015, 3, 9, 41};
}

/* How many repeats take `least` seconds: ten times as many until the clock can tell. */
static int repeats_for(turn *t, double least)
{
    int repeats = 1;
    for (;;) {
        double took = t->sample(t->state, repeats) * repeats;
        if (!(took < least / 8) || repeats >= 10000000) {
            double more = took < least ? least / took : 1;
            return more < 8.1 ? (int)ceil(repeats * more) : repeats;
        }
        repeats *= took > 0 && took > least / 80 ? 8 : 10;
    }
}

void take_turns(const char *what, const schedule *s, int n, turn *turns)
{
    for (int i = 0; i < n; i++)
        if (turns[i].state) {
            progress("%s", what);
            turns[i].repeats = repeats_for(&turns[i], s->least);
        }
    double start = seconds_now();
    for (int r = 0; r < s->most && (r < s->fewest || seconds_now() - start < s->budget); r++) {
        progress("%s: round %d", what, r + 1);
        for (int i = 0; i < n; i++) {
            turn *t = &turns[r % 2 ? n - 1 - i : i];
            if (t->state)
                samples_add(&t->time, t->sample(t->state, t->repeats) / t->unit);
        }
    }
}
