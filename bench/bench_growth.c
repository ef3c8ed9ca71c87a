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

/* Two recordings of the rotation in turn, warm but where `sample` makes it fresh; then what the
 * first one needed. */
static void against_million(const options *o, const char *name, double operations,
                            double (*sample)(void *, int), double aim, samples *gib)
{
    const schedule s = o->quick ? (schedule){.005, .3, 5, 11} : (schedule){.02, 4, 5, 25};
    problem p[2] = {scalar_problem_of(CASE_ROTATION, operations),
                    scalar_problem_of(CASE_ROTATION, 1e6)};
    entrant entrants[2];
    turn turns[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        entrant_begin(&entrants[i], RECORDED, &p[i], o->directory);
        if (!entrants[i].c)
            complain("%s: could not start", name);
        else
            turns[i] =
                (turn){i ? entrant_seconds : sample, &entrants[i], 1e-9 * p[i].operations, 1, {0}};
    }
    take_turns(name, &s, 2, turns);
    report(o, &(result){.bench = "large",
                        .name = name,
                        .unit = "ns/op",
                        .peer_name = "10^6 operations, warm tape",
                        .ours = &turns[0].time,
                        .peer = &turns[1].time,
                        .aim = aim});
    if (gib && turns[0].state)
        samples_add(gib, entrant_number(&entrants[0], "memory") / 1024);
    for (int i = 0; i < 2; i++)
        entrant_end(&entrants[i]);
}

void bench_large(const options *o)
{
    const char *cold = "10^6 operations, new tape", *huge = "10^8 operations, warm tape",
               *memory = "10^8 operations, memory of the process";
    if (wanted(o, "large", cold))
        against_million(o, cold, 1e6, fresh, 0, NULL);
    if (!wanted(o, "large", huge) && !wanted(o, "large", memory))
        return;
    if (o->quick) {
        remark(o, "large: %s: left out by --quick", huge);
        return;
    }
    samples gib = {0};
    const samples limit = {1, {4}};
    against_million(o, huge, 1e8, entrant_seconds, 1.3, &gib);
    report(o, &(result){.bench = "large",
                        .name = memory,
                        .unit = "GiB",
                        .peer_name = "promised",
                        .ours = &gib,
                        .peer = &limit,
                        .aim = 1});
}
