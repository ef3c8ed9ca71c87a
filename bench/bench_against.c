/* bench_against.c - this build's own ways against those of another, in turn
 *
 * The other is this project at some commit, measured by the programs of this folder: ./run bench
 * --against COMMIT builds it. What one of the two does not have is left out. */
#include <stdio.h>

#include "bench.h"
#include "ways.h"

static const schedule *schedule_for(const options *o)
{
    static const schedule full = {.02, 3, 11, 51}, quick = {.005, .3, 7, 21};
    return o->quick ? &quick : &full;
}

void report_pair(const options *o, const char *name, const char *unit, const char *which,
                 double size, const turn turns[2])
{
    if (turns[0].time.n > 0 && turns[1].time.n > 0)
        report(o, &(result){.bench = "against",
                            .name = name,
                            .unit = unit,
                            .size = size,
                            .ours_name = which,
                            .peer_name = o->other_name,
                            .ours = &turns[0].time,
                            .peer = &turns[1].time});
}

static void scalar_pair(const options *o, enum way_id id, const problem *p)
{
    const char *folders[2] = {o->directory, o->against};
    entrant entrants[2];
    turn turns[2] = {{0}};
    if (!wanted(o, "against", p->name))
        return;
    for (int i = 0; i < 2; i++) {
        entrant_begin(&entrants[i], id, p, folders[i]);
        if (entrants[i].c)
            turns[i] = (turn){entrant_seconds, &entrants[i], 1e-9 * p->operations, 1, {0}};
    }
    if (turns[0].state && turns[1].state)
        take_turns(p->name, schedule_for(o), 2, turns);
    report_pair(o, p->name, "ns/op", way_name(id), p->operations, turns);
    for (int i = 0; i < 2; i++)
        entrant_end(&entrants[i]);
}

void bench_against(const options *o)
{
    start_against(o, schedule_for(o));
    for (int i = 0; i < CASE_COUNT; i++)
        for (int w = 0; w < OWN_WAYS; w++)
            scalar_pair(o, (enum way_id)w, scalar_problem((enum case_id)i));
    for (int power = 1; power <= (o->quick ? 3 : 7); power += 2) {
        char name[64];
        double operations = 1;
        for (int k = 0; k < power; k++)
            operations *= 10;
        snprintf(name, sizeof name, "chain, add and mul, 10^%d operations", power);
        problem p = scalar_problem_of(CASE_ROTATION, operations);
        p.name = name;
        scalar_pair(o, RECORDED, &p);
        scalar_pair(o, REPLAYED, &p);
    }
    train_against(o, schedule_for(o));
    wide_against(o, schedule_for(o));
}
