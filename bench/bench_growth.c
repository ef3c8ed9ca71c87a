/* bench_growth.c - scalar chains from ten operations to 10^8: what is fixed cost, what falls out of
 * the caches, and what is promised of the largest */
#include <stdio.h>

#include "bench.h"
#include "ways.h"

static const struct series {
    enum case_id id;
    const char *name;
} series[] = {
    {CASE_CHAIN, "chain, sin and div"},
    {CASE_ROTATION, "chain, add and mul"},
};

enum { MAX_PEERS = 9 };

/* Who is seen growing, beside whom; the list ends with itself. */
static const struct growing {
    enum way_id ours, peers[MAX_PEERS];
} growing[] = {
    {RECORDED, {HAND, PLAIN, ADOLC, CODIPACK, ADEPT, RECORDED}},
    {REPLAYED, {HAND, ADOLC_REPLAYED, CASADI, CASADI_C, JAX, TORCH, REPLAYED}},
    {OPTIMISED, {HAND, REPLAYED, CASADI, JAX, OPTIMISED}},
    {NATIVE, {HAND, CASADI_C, NATIVE}},
};

static unsigned all_ways(void)
{
    unsigned ways = 0;
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
        ways |= 1u << growing[i].ours;
        for (int k = 0; growing[i].peers[k] != growing[i].ours; k++)
            ways |= 1u << growing[i].peers[k];
    }
    return ways;
}

static void report_growth(const options *o, const char *name, const problem *p,
                          const struct growing *g, const race *r)
{
    for (int k = 0; r->time[g->ours].n > 0 && g->peers[k] != g->ours; k++)
        if (r->time[g->peers[k]].n > 0)
            report(o, &(result){.bench = "growth",
                                .name = name,
                                .unit = "ns/op",
                                .size = p->operations,
                                .ours_name = way_name(g->ours),
                                .peer_name = way_name(g->peers[k]),
                                .ours = &r->time[g->ours],
                                .peer = &r->time[g->peers[k]]});
}

void bench_growth(const options *o)
{
    const schedule full = {.01, 1.5, 5, 21}, quick = {.002, .1, 3, 9};
    const int last = o->quick ? 6 : 8;
    for (size_t i = 0; i < sizeof series / sizeof *series; i++)
        for (int power = 1; power <= last; power += o->quick ? (power == 1 ? 2 : 3) : 1) {
            char name[96];
            double operations = 1;
            for (int k = 0; k < power; k++)
                operations *= 10;
            snprintf(name, sizeof name, "%s, 10^%d operations", series[i].name, power);
            if (!wanted(o, "growth", name))
                continue;
            problem p = scalar_problem_of(series[i].id, operations);
            p.name = name;
            race r;
            run_race(o, o->quick ? &quick : &full, &p, all_ways(), &r);
            for (size_t k = 0; k < sizeof growing / sizeof *growing; k++)
                report_growth(o, name, &p, &growing[k], &r);
        }
}

/* ---- sizes beyond the caches ------------------------------------------------------------------
 */

static double fresh(void *state, int repeats)
{
    double sum = 0;
    for (int i = 0; i < repeats; i++)
        sum += 1e-6 * entrant_number(state, "fresh");
    return sum / repeats;
}

/* Recordings of the rotation of so many operations, in turn with those of another size or kind. */
struct recording {
    enum way_id id;
    double operations;
    double (*sample)(void *state, int repeats);
};

/* memory: GiB that the first one needed; NULL: not asked for */
static void recordings(const options *o, const char *name, const char *peer_name,
                       const struct recording both[2], double aim, samples *memory)
{
    const schedule s = o->quick ? (schedule){.005, .3, 5, 11} : (schedule){.02, 4, 5, 25};
    entrant entrants[2];
    turn turns[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        problem p = scalar_problem_of(CASE_ROTATION, both[i].operations);
        entrant_begin(&entrants[i], both[i].id, &p, o->directory);
        if (entrants[i].c)
            turns[i] = (turn){both[i].sample, &entrants[i], 1e-9 * p.operations, 1, {0}};
    }
    take_turns(name, &s, 2, turns);
    report(o, &(result){.bench = "large",
                        .name = name,
                        .unit = "ns/op",
                        .peer_name = peer_name,
                        .ours = &turns[0].time,
                        .peer = &turns[1].time,
                        .aim = aim});
    if (memory && turns[0].state)
        samples_add(memory, entrant_number(&entrants[0], "memory") / 1024);
    for (int i = 0; i < 2; i++)
        entrant_end(&entrants[i]);
}

static void report_gib(const options *o, const char *name, const samples *gib)
{
    const samples limit = {1, {4}};
    report(o, &(result){.bench = "large",
                        .name = name,
                        .unit = "GiB",
                        .peer_name = "promised",
                        .ours = gib,
                        .peer = &limit,
                        .aim = 1});
}

void bench_large(const options *o)
{
    const char *cold = "10^6 operations, new tape", *huge = "10^8 operations, warm tape",
               *disk = "10^8 operations, tape on disk", *million = "10^6 operations, warm tape",
               *memory = "10^8 operations, memory of the process";
    const struct recording warm = {RECORDED, 1e6, entrant_seconds},
                           large = {RECORDED, 1e8, entrant_seconds};
    if (wanted(o, "large", cold))
        recordings(o, cold, million, (struct recording[]){{RECORDED, 1e6, fresh}, warm}, 0, NULL);
    if (!wanted(o, "large", huge) && !wanted(o, "large", memory) && !wanted(o, "large", disk))
        return;
    if (o->quick) {
        remark(o, "large: %s: left out by --quick", huge);
        return;
    }
    samples gib = {0}, gib_on_disk = {0};
    recordings(o, huge, million, (struct recording[]){large, warm}, 1.3, &gib);
    report_gib(o, memory, &gib);
    recordings(o, disk, huge, (struct recording[]){{ON_DISK, 1e8, entrant_seconds}, large}, 0,
               &gib_on_disk);
    if (gib_on_disk.n > 0)
        report(o, &(result){.bench = "large",
                            .name = "10^8 operations, tape on disk, memory of the process",
                            .unit = "GiB",
                            .peer_name = "tape in memory",
                            .ours = &gib_on_disk,
                            .peer = &gib});
}
