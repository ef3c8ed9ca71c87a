/* bench_scalar.c - gradients of functions of scalars, operation by operation
 *
 * Every case is done in several ways: recorded anew for each gradient, replayed, by a derivative
 * written by hand, by the plain function (which gives no gradient: the price of differentiation),
 * and by peers. The table says who is compared with whom, and what was promised of it. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "ways.h"

enum {
    SMALL = 1 << CASE_SMALL,
    MLP = 1 << CASE_MLP,
    CHAIN = 1 << CASE_CHAIN,
    ALL = (1 << CASE_COUNT) - 1,
    LARGE = ALL - SMALL, /* the five of many operations */
    REPLAYS = SMALL + MLP + CHAIN,
    BEST = WAYS, /* the better of CoDiPack and Adept */
};

/* A peer for ours, in these cases; aim is promised in those of `promised`. Where `promised` has a
 * case, a way that is not there is a line, too. */
static const struct comparison {
    const char *bench;
    int ours, peer;
    unsigned cases, promised;
    double aim;
} comparisons[] = {
    {"scalar", RECORDED, ADOLC, ALL, CHAIN | MLP, .3},
    {"scalar", RECORDED, BEST, LARGE, LARGE, .8},
    {"scalar", RECORDED, CODIPACK, SMALL, 0, 0},
    {"scalar", RECORDED, ADEPT, SMALL, 0, 0},
    {"scalar", RECORDED, HAND, ALL, SMALL, 2.5},
    {"scalar", RECORDED, PLAIN, ALL, MLP, 12},
    {"scalar", RECORDED, SITES, ALL, 0, 0},
    {"scalar", RECORDED, RECORDING, LARGE, 0, 0},
    {"scalar", FUSED, PLAIN, MLP, MLP, 1.5},
    {"scalar", FUSED, HAND, MLP, 0, 0},
    {"scalar", ARRAYS, PLAIN, MLP, MLP, 1.5},
    {"scalar", ARRAYS, HAND, MLP, 0, 0},
    {"replay", REPLAYED, HAND, REPLAYS, 0, 0},
    {"replay", REPLAYED, RECORDED, REPLAYS, 0, 0},
    {"replay", REPLAYED, ADOLC_REPLAYED, REPLAYS, 0, 0},
    {"replay", REPLAYED, CASADI, SMALL | MLP, 0, 0},
    {"replay", REPLAYED, JAX, REPLAYS, 0, 0},
    {"replay", REPLAYED, TORCH, SMALL | MLP, 0, 0},
    {"replay", OPTIMISED, HAND, REPLAYS, MLP, 1.1},
    {"replay", OPTIMISED, REPLAYED, REPLAYS, 0, 0},
    {"replay", OPTIMISED, CASADI, SMALL | MLP, 0, 0},
    {"replay", OPTIMISED, JAX, REPLAYS, 0, 0},
    {"replay", NATIVE, HAND, SMALL | MLP, SMALL, 1.1},
    {"replay", NATIVE, CASADI_C, SMALL | MLP, 0, 0},
};

enum { COMPARISONS = sizeof comparisons / sizeof *comparisons };

static const samples *time_of(const race *r, int id)
{
    if (id != BEST)
        return &r->time[id];
    const samples *a = &r->time[CODIPACK], *b = &r->time[ADEPT];
    return a->n == 0 || (b->n > 0 && samples_median(b) < samples_median(a)) ? b : a;
}

static const char *name_of(const race *r, int id, char name[64])
{
    if (id != BEST)
        return way_name((enum way_id)id);
    const samples *best = time_of(r, id);
    snprintf(name, 64, "better of CoDiPack and Adept%s",
             best->n == 0                 ? ""
             : best == &r->time[CODIPACK] ? ": CoDiPack"
                                          : ": Adept");
    return name;
}

static void report_comparison(const options *o, const struct comparison *c, const problem *p,
                              const race *r)
{
    char name[64];
    const bool promised = c->promised >> p->id & 1;
    if (!(c->cases >> p->id & 1) || (r->time[c->ours].n == 0 && !promised))
        return;
    report(o, &(result){.bench = c->bench,
                        .name = p->name,
                        .unit = "ns/op",
                        .ours_name = way_name((enum way_id)c->ours),
                        .peer_name = name_of(r, c->peer, name),
                        .ours = &r->time[c->ours],
                        .peer = time_of(r, c->peer),
                        .aim = promised ? c->aim : 0});
}

/* The ways that the wanted comparisons of a case need. */
static unsigned ways_for(const options *o, const problem *p)
{
    unsigned ways = wanted(o, "memory", p->name) ? 1u << RECORDED | 1u << ADOLC : 0;
    for (int i = 0; i < COMPARISONS; i++) {
        const struct comparison *c = &comparisons[i];
        if (!(c->cases >> p->id & 1) || !wanted(o, c->bench, p->name))
            continue;
        ways |= 1u << c->ours;
        ways |= c->peer == BEST ? 1u << CODIPACK | 1u << ADEPT : 1u << c->peer;
    }
    return ways;
}

static void report_bytes(const options *o, const problem *p, const race *r)
{
    static const int peers[] = {ADOLC, CODIPACK, ADEPT};
    const samples promised = {1, {24.005}}; /* 24, and what a tape of a million has once */
    result line = {.bench = "memory",
                   .name = p->name,
                   .unit = "bytes",
                   .peer_name = "promised",
                   .ours = &r->bytes[RECORDED],
                   .peer = &promised,
                   .aim = 1};
    report(o, &line);
    line.aim = 0;
    for (int i = 0; i < 3; i++) {
        line.peer_name = way_name((enum way_id)peers[i]);
        line.peer = &r->bytes[peers[i]];
        if (line.peer->n > 0)
            report(o, &line);
    }
}

/* ---- what a program costs before its first run ------------------------------------------------
 */

static double prepare(void *state, int repeats)
{
    double sum = 0;
    for (int i = 0; i < repeats; i++)
        sum += 1e-6 * entrant_number(state, "prepare");
    return sum / repeats;
}

/* Recording, capture and workspace (and compiling), beside one recorded gradient. */
static void run_preparation(const options *o, const schedule *s)
{
    static const int programs[] = {REPLAYED, OPTIMISED, NATIVE};
    const problem *p = scalar_problem(CASE_MLP);
    if (!wanted(o, "program", p->name))
        return;
    entrant entrants[4];
    turn turns[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        entrant_begin(&entrants[i], i < 3 ? (enum way_id)programs[i] : RECORDED, p, o->directory);
        if (entrants[i].c)
            turns[i] = (turn){i < 3 ? prepare : entrant_seconds, &entrants[i], 1e-3, 1, {0}};
    }
    take_turns("program", s, 4, turns);
    const samples promised = {1, {2}};
    for (int i = 0; i < 3; i++) {
        result r = {.bench = "program",
                    .name = p->name,
                    .unit = "ms",
                    .ours_name = way_name((enum way_id)programs[i]),
                    .peer_name = "one recorded gradient",
                    .ours = &turns[i].time,
                    .peer = &turns[3].time};
        if (turns[i].time.n > 0)
            report(o, &r);
        r.peer_name = "promised";
        r.peer = &promised;
        r.aim = 1;
        if (programs[i] == OPTIMISED)
            report(o, &r);
    }
    for (int i = 0; i < 4; i++)
        entrant_end(&entrants[i]);
}

void bench_scalar(const options *o)
{
    const schedule s = schedule_of(o);
    race *races = calloc(CASE_COUNT, sizeof *races);
    unsigned ways[CASE_COUNT];
    for (int i = 0; races && i < CASE_COUNT; i++) {
        const problem *p = scalar_problem((enum case_id)i);
        ways[i] = ways_for(o, p);
        if (ways[i])
            run_race(o, &s, p, ways[i], &races[i]);
        for (int k = 0; k < COMPARISONS; k++)
            if (ways[i] && comparisons[k].bench[0] == 's')
                report_comparison(o, &comparisons[k], p, &races[i]);
    }
    for (int k = 0; races && k < 2; k++)
        for (int i = 0; i < CASE_COUNT; i++) {
            const problem *p = scalar_problem((enum case_id)i);
            for (int c = 0; ways[i] && k == 0 && c < COMPARISONS; c++)
                if (comparisons[c].bench[0] == 'r')
                    report_comparison(o, &comparisons[c], p, &races[i]);
            if (k == 1 && wanted(o, "memory", p->name))
                report_bytes(o, p, &races[i]);
        }
    free(races);
    run_preparation(o, &s);
}
