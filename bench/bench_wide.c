/* bench_wide.c - value and gradient over long arrays, as part of the memory's bandwidth
 *
 * What must move: each input is read once, each gradient written once. How long that takes at least
 * is known from a triad, a = b + s c, over arrays as long, in the same rounds. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "peers.h"

static const struct {
    const char *word, *name;
    double bytes; /* that must move, an element */
} cases[] = {
    {"affine", "sum(a + b*c)", 24},
    {"tanh", "sum(tanh(x))", 8},
    {"exp", "sum(exp(-x*x))", 8},
};

enum { TRIAD, OURS, HAND, TORCH, JAX, RUNNERS };

static const struct {
    const char *name, *program;
    enum peer peer;
} runners[RUNNERS] = {
    [TRIAD] = {"triad", "bench_hand_wide", PEER_COUNT},
    [OURS] = {"Tapegrad", "bench_wide", PEER_COUNT},
    [HAND] = {"hand-written loops", "bench_hand_wide", PEER_COUNT},
    [TORCH] = {"PyTorch", NULL, PEER_TORCH},
    [JAX] = {"JAX", NULL, PEER_JAX},
};

typedef struct runner {
    child own, *c;
} runner;

static double run(void *state, int repeats)
{
    runner *r = state;
    char question[32];
    snprintf(question, sizeof question, "run %d", repeats);
    return 1e-6 * child_number(r->c, question);
}

static void begin(runner *r, int which, const char *directory, const char *word, double n)
{
    char path[4200];
    *r = (runner){.own = {.pid = -1}};
    progress("wide: %s: %s", word, runners[which].name);
    if (runners[which].peer != PEER_COUNT) {
        r->c = peer_child(runners[which].peer);
    } else {
        snprintf(path, sizeof path, "%s/%s", directory, runners[which].program);
        if (child_start(&r->own, (char *[]){path, NULL}) && child_read(&r->own))
            r->c = &r->own;
    }
    if (r->c && child_ask(r->c, "wide %s %.0f 1 eager", which == TRIAD ? "triad" : word, n) &&
        !strcmp(r->c->line, "ok"))
        return;
    child_stop(&r->own);
    r->c = NULL;
}

static void end(runner *r)
{
    if (r->c && r->c != &r->own)
        child_ask(r->c, "done");
    child_stop(&r->own);
}

static void compare_sums(const char *name, double n, runner *r)
{
    double first = NAN;
    for (int i = OURS; i < RUNNERS; i++) {
        double sum = r[i].c ? child_number(r[i].c, "loss") : NAN;
        if (!r[i].c)
            continue;
        if (isnan(first))
            first = sum;
        /* the value is summed in floats by some, and inputs are one on the average */
        if (!(fabs(sum - first) <= 1e-4 * n))
            complain("wide: %s: sums %g, those of %s %g", name, first, runners[i].name, sum);
    }
}

static void run_case(const options *o, int which, const char *name, double n)
{
    const schedule s = o->quick ? (schedule){.01, .4, 5, 15} : (schedule){.05, 6, 7, 31};
    runner all[RUNNERS];
    turn turns[RUNNERS] = {{0}};
    for (int i = 0; i < RUNNERS; i++) {
        begin(&all[i], i, o->directory, cases[which].word, n);
        if (all[i].c)
            turns[i] = (turn){run, &all[i], 1e-3, 1, {0}};
    }
    compare_sums(name, n, all);
    take_turns(name, &s, RUNNERS, turns);
    for (int i = 0; i < RUNNERS; i++)
        end(&all[i]);
    samples least = {0};
    for (int i = 0; i < turns[TRIAD].time.n; i++)
        samples_add(&least, turns[TRIAD].time.value[i] * cases[which].bytes / 12);
    char title[96];
    snprintf(title, sizeof title, "its bytes at the triad's %.1f GB/s",
             12e-6 * n / samples_median(&turns[TRIAD].time));
    result line = {.bench = "wide",
                   .name = name,
                   .unit = "ms",
                   .size = n,
                   .peer_name = title,
                   .ours = &turns[OURS].time,
                   .peer = &least,
                   .aim = 1 / .7};
    report(o, &line);
    line.aim = 0;
    for (int i = HAND; i < RUNNERS; i++) {
        line.peer_name =
            runners[i].peer == PEER_COUNT ? runners[i].name : peer_name(runners[i].peer);
        line.peer = &turns[i].time;
        if (line.peer->n > 0)
            report(o, &line);
    }
}

void bench_wide(const options *o)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double n = o->quick ? 5e6 : 3e7;
        char name[96];
        snprintf(name, sizeof name, "%s, %.0g floats", cases[i].name, n);
        if (wanted(o, "wide", name))
            run_case(o, (int)i, name, n);
    }
}

void wide_against(const options *o, const schedule *s)
{
    const char *folders[2] = {o->directory, o->against};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double n = o->quick ? 1e6 : 1e7;
        runner both[2];
        turn turns[2] = {{0}};
        char name[96];
        snprintf(name, sizeof name, "%s, %.0g floats", cases[i].name, n);
        if (!wanted(o, "against", name))
            continue;
        for (int k = 0; k < 2; k++) {
            begin(&both[k], OURS, folders[k], cases[i].word, n);
            if (both[k].c)
                turns[k] = (turn){run, &both[k], 1e-3, 1, {0}};
        }
        take_turns(name, s, 2, turns);
        report_pair(o, name, "ms", NULL, n, turns);
        for (int k = 0; k < 2; k++)
            end(&both[k]);
    }
}
