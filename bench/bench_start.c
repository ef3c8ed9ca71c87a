/* bench_start.c - milliseconds from the start of a process to its first gradient */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "child.h"

struct starter {
    char path[4200];
    double answer; /* its first number */
};

static double start_once(void *state, int repeats)
{
    struct starter *s = state;
    child c;
    double start = seconds_now();
    for (int i = 0; i < repeats; i++) {
        bool started = child_start(&c, (char *[]){s->path, NULL});
        s->answer = started && child_read(&c) ? strtod(c.line, NULL) : NAN;
        if (i + 1 == repeats)
            start = seconds_now() - start;
        child_stop(&c);
    }
    return start / repeats;
}

void bench_start(const options *o)
{
    const char *name = "x1*x2 + sin(x1)";
    if (!wanted(o, "start", name))
        return;
    const schedule s = {0, o->quick ? .5 : 3, 15, 60};
    const samples promised = {1, {5}};
    struct starter first, nothing;
    snprintf(first.path, sizeof first.path, "%s/bench_first", o->directory);
    snprintf(nothing.path, sizeof nothing.path, "true");
    turn turns[2] = {{start_once, &first, 1e-3, 1, {0}}, {start_once, &nothing, 1e-3, 1, {0}}};
    take_turns("start", &s, 2, turns);
    if (!(fabs(first.answer - 4.5838531634528574) < 1e-12))
        complain("start: %s did not answer with the gradient", first.path);
    result r = {.bench = "start",
                .name = name,
                .unit = "ms",
                .peer_name = "promised",
                .ours = &turns[0].time,
                .peer = &promised,
                .aim = 1};
    report(o, &r);
    r.peer_name = "true(1), start to end";
    r.peer = &turns[1].time;
    r.aim = 0;
    report(o, &r);
}

void start_against(const options *o, const schedule *s)
{
    struct starter starters[2];
    const char *folders[2] = {o->directory, o->against};
    turn turns[2] = {{0}};
    if (!wanted(o, "against", "start to first gradient"))
        return;
    for (int i = 0; i < 2; i++) {
        snprintf(starters[i].path, sizeof starters[i].path, "%s/bench_first", folders[i]);
        turns[i] = (turn){start_once, &starters[i], 1e-3, 1, {0}};
    }
    take_turns("start", s, 2, turns);
    report_pair(o, "start to first gradient", "ms", NULL, 0, turns);
}
