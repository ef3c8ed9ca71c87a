/* bench_start.c - milliseconds from the start of a process to its first gradient */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "child.h"

static double answer_after(char *const argv[], double *answer)
{
    child c;
    double start = seconds_now();
    bool started = child_start(&c, argv);
    *answer = started && child_read(&c) ? strtod(c.line, NULL) : NAN;
    double elapsed = seconds_now() - start;
    child_stop(&c);
    return 1e3 * elapsed;
}

void bench_start(const options *o)
{
    const char *name = "x1*x2 + sin(x1)";
    if (!wanted(o, "start", name))
        return;
    char path[4200];
    snprintf(path, sizeof path, "%s/bench_first", o->directory);
    samples ours = {0}, nothing = {0};
    const samples promised = {1, {20}};
    progress("start: %s", name);
    for (int i = 0; i < (o->quick ? 15 : 50); i++) {
        double gradient, ignored;
        samples_add(&ours, answer_after((char *[]){path, NULL}, &gradient));
        samples_add(&nothing, answer_after((char *[]){"true", NULL}, &ignored));
        if (!(fabs(gradient - 4.5838531634528574) < 1e-12)) {
            complain("start: %s did not answer with the gradient", path);
            return;
        }
    }
    result r = {"start", name, "ms", "promised", &ours, &promised, 1};
    report(o, &r);
    r.peer_name = "true(1), start to end";
    r.peer = &nothing;
    r.aim = 0;
    report(o, &r);
}
