/* ways.c - every way to the gradient of a scalar case, and how they race
 *
 * Each works in a process of its own, so that none finds the memory as another left it (ADOL-C
 * never forgets how large a trace it has seen). The gradients are compared before anything is
 * timed. */
#include "ways.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

/* ---- the cases --------------------------------------------------------------------------------
 */

enum { STEPS = 500000, PRODUCT = 1000000, ROSENBROCK = 100000 };

static const problem problems[CASE_COUNT] = {
    {CASE_SMALL, "x1*x2 + sin(x1)", 0, 2, 3, NULL, NULL},
    {CASE_MLP, "MLP 64-64-64-1, tanh", 0, MLP_INPUTS,
     2. * (2 * MLP_WIDTH * MLP_WIDTH + MLP_WIDTH) + 2 * MLP_WIDTH, NULL, NULL},
    {CASE_CHAIN, "chain of 10^6 statements, sin and div", STEPS, 4, 5. * STEPS, NULL, NULL},
    {CASE_ROTATION, "chain of 10^6 statements, add and mul", STEPS, 5, 6. * STEPS, NULL, NULL},
    {CASE_ROSENBROCK, "Rosenbrock, 10^5 inputs", ROSENBROCK, ROSENBROCK, 8. * (ROSENBROCK - 1),
     NULL, NULL},
    {CASE_PRODUCT, "product of 10^6 inputs", PRODUCT, PRODUCT, PRODUCT - 1, NULL, NULL},
};

const problem *scalar_problem(enum case_id id) { return &problems[id]; }

problem scalar_problem_of(enum case_id id, double operations)
{
    problem p = problems[id];
    double each = id == CASE_CHAIN ? 5 : 6;
    p.size = (size_t)(operations / each + .5);
    p.operations = each * (double)p.size;
    return p;
}

static double *inputs_of(const problem *p)
{
    double *x = malloc(p->n * sizeof *x);
    if (!x)
        return NULL;
    for (size_t i = 0; i < p->n; i++) {
        double wave = sin(1 + 1.7 * (double)i); /* anything without a pattern */
        x[i] = p->id == CASE_PRODUCT ? 1 + 1e-3 * wave : p->id == CASE_MLP ? .2 * wave : wave;
    }
    if (p->id == CASE_CHAIN) { /* swings, neither damped nor driven: derivatives stay near one */
        x[0] = 1.1;
        x[1] = .3;
        x[2] = .02;
        x[3] = 51;
    }
    if (p->id == CASE_ROTATION) {
        x[2] = cos(.37);
        x[3] = sin(.37);
        x[4] = -x[3];
    }
    if (p->id == CASE_SMALL) {
        x[0] = 2;
        x[1] = 5;
    }
    return x;
}

/* ---- the ways ---------------------------------------------------------------------------------
 */

/* In bench_ways where no peer in Python is named. CasADi builds an expression for each operation,
 * and PyTorch takes microseconds for each: so they are asked for so many operations at most. */
static const struct {
    const char *name;
    enum peer peer;
    double largest;
} ways[WAYS] = {
    [RECORDED] = {"recorded", PEER_COUNT, 0},
    [SITES] = {"recorded, with source sites", PEER_COUNT, 0},
    [RECORDING] = {"recorded, not reversed", PEER_COUNT, 0},
    [FUSED] = {"recorded, with dot nodes", PEER_COUNT, 0},
    [ARRAYS] = {"recorded, with arrays", PEER_COUNT, 0},
    [ON_DISK] = {"recorded, tape on disk", PEER_COUNT, 0},
    [REPLAYED] = {"replayed", PEER_COUNT, 1e7},
    [OPTIMISED] = {"optimised program", PEER_COUNT, 1e7},
    [NATIVE] = {"native program", PEER_COUNT, 1e5},
    [HAND] = {"hand-written derivative", PEER_COUNT, 0},
    [PLAIN] = {"plain function, value only", PEER_COUNT, 0},
    [ADOLC] = {"ADOL-C", PEER_COUNT, 1e7},
    [ADOLC_REPLAYED] = {"ADOL-C, replayed", PEER_COUNT, 1e7},
    [CODIPACK] = {"CoDiPack", PEER_COUNT, 0},
    [ADEPT] = {"Adept", PEER_COUNT, 0},
    [CASADI_C] = {"CasADi, its C compiled", PEER_COUNT, 1e3},
    [CASADI] = {"CasADi, virtual machine", PEER_CASADI, 1e5},
    [JAX] = {"JAX, jit", PEER_JAX, 1e7},
    [TORCH] = {"PyTorch, eager", PEER_TORCH, 1e4},
};

const char *way_name(enum way_id id) { return ways[id].name; }

/* ---- in a process of its own ------------------------------------------------------------------
 */

static bool file_name(const char *name, char path[128])
{
    const char *folder = scratch_folder();
    if (folder)
        snprintf(path, 128, "%s/%s", folder, name);
    return folder;
}

static bool write_inputs(const problem *p, const char *path)
{
    double *x = inputs_of(p);
    FILE *file = x ? fopen(path, "wb") : NULL;
    bool fine = file && fwrite(x, sizeof *x, p->n, file) == p->n;
    free(x);
    return file && fclose(file) == 0 && fine;
}

/* The compiled C of a case, made by CasADi's own process. */
static bool make_library(const problem *p, const char *x, char path[128])
{
    child *c = peer_child(PEER_CASADI);
    bool fine =
        c && file_name("casadi", path) &&
        child_ask(c, "scalar %s %zu %zu %s %s -", case_names[p->id], p->size, p->n, x, path) &&
        !strncmp(c->line, "ok", 2);
    if (fine) {
        fine = child_ask(c, "library") && c->line[0] == '/';
        snprintf(path, 128, "%.127s", c->line);
        child_ask(c, "done");
    }
    return fine;
}

void entrant_begin(entrant *e, enum way_id id, const problem *p, const char *directory)
{
    char x[128], library[128] = "-", program[4200];
    *e = (entrant){.own = {.pid = -1}, .p = *p};
    /* As matrices the network is small, for those who have matrices. */
    const bool large = ways[id].largest > 0 && p->operations > ways[id].largest * 1.01 &&
                       !(p->id == CASE_MLP && (id == CASADI_C || id == TORCH));
    if (large || !file_name("x", x) || !write_inputs(p, x) ||
        (id == CASADI_C && !make_library(p, x, library)))
        return;
    progress("%s: %s", p->name, ways[id].name);
    if (ways[id].peer != PEER_COUNT) {
        e->c = peer_child(ways[id].peer);
    } else {
        snprintf(program, sizeof program, "%s/bench_ways", directory);
        if (child_start(&e->own, (char *[]){program, NULL}) && child_read(&e->own))
            e->c = &e->own;
    }
    if (e->c && (!child_ask(e->c, "scalar %s %zu %zu %s %s %s", case_names[p->id], p->size, p->n, x,
                            library, ways[id].name) ||
                 strcmp(e->c->line, "ok"))) {
        child_stop(&e->own);
        e->c = NULL;
    }
}

double entrant_number(entrant *e, const char *question) { return child_number(e->c, question); }

double entrant_seconds(void *state, int repeats)
{
    char question[32];
    snprintf(question, sizeof question, "run %d", repeats);
    return 1e-6 * entrant_number(state, question);
}

void entrant_end(entrant *e)
{
    if (e->c && e->c != &e->own)
        child_ask(e->c, "done");
    child_stop(&e->own);
    e->c = NULL;
}

static bool read_gradient(entrant *e, double *out)
{
    char path[128];
    if (!file_name("gradient", path) || !child_ask(e->c, "gradient %s", path) ||
        strcmp(e->c->line, "ok"))
        return false;
    FILE *file = fopen(path, "rb");
    bool fine = file && fread(out, sizeof *out, e->p.n + 1, file) == e->p.n + 1;
    if (file)
        fclose(file);
    return fine;
}

bool entrant_right(entrant *e, enum way_id id, const double *want, double *out)
{
    double scale = 0, worst = 0;
    if (!read_gradient(e, out)) {
        complain("%s: %s: no gradient", e->p.name, ways[id].name);
        return false;
    }
    for (size_t i = 0; want && i <= (id == PLAIN || id == RECORDING ? 0 : e->p.n); i++) {
        scale = fmax(scale, fabs(want[i]));
        double off = fabs(out[i] - want[i]);
        worst = off <= worst ? worst : off; /* NaN stays */
    }
    if (worst <= 1e-7 * scale)
        return true;
    complain("%s: %s: off by %g where gradients are up to %g", e->p.name, ways[id].name, worst,
             scale);
    return false;
}

/* ---- the race ---------------------------------------------------------------------------------
 */

static void race_on(const schedule *s, const problem *p, unsigned wanted_ways, entrant *entrants,
                    race *r)
{
    turn turns[WAYS] = {{0}};
    double *want = calloc(2 * (p->n + 1), sizeof *want), *out = want + p->n + 1;
    if (!want || !entrants[HAND].c || !entrant_right(&entrants[HAND], HAND, NULL, want)) {
        complain("%s: no derivative to compare with", p->name);
        free(want);
        return;
    }
    for (int w = 0; w < WAYS; w++)
        if (entrants[w].c && entrant_right(&entrants[w], (enum way_id)w, want, out) &&
            wanted_ways >> w & 1)
            turns[w] = (turn){entrant_seconds, &entrants[w], 1e-9 * p->operations, 1, {0}};
    free(want);
    take_turns(p->name, s, WAYS, turns);
    for (int w = 0; w < WAYS; w++)
        if (turns[w].state) {
            double bytes = entrant_number(&entrants[w], "bytes");
            r->time[w] = turns[w].time;
            samples_add(&r->memory[w], entrant_number(&entrants[w], "memory"));
            if (bytes > 0)
                samples_add(&r->bytes[w], bytes / (p->operations + (double)p->n));
        }
}

void run_race(const options *o, const schedule *s, const problem *p, unsigned wanted_ways, race *r)
{
    entrant entrants[WAYS] = {{.c = NULL}};
    *r = (race){0};
    for (int w = 0; w < WAYS; w++)
        if ((wanted_ways | 1u << HAND) >> w & 1)
            entrant_begin(&entrants[w], (enum way_id)w, p, o->directory);
    race_on(s, p, wanted_ways, entrants, r);
    for (int w = 0; w < WAYS; w++)
        entrant_end(&entrants[w]);
}
