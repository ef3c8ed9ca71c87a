/* bench_scalar.c - gradients of functions of scalars, operation by operation
 *
 * Every case is done in several ways: recorded anew for each gradient, replayed, by a derivative
 * written by hand, by the plain function (which gives no gradient: the price of differentiation),
 * and by ADOL-C. The ways take turns, and their gradients are compared before anything is timed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <tapegrad/ad.h>

#include "bench.h"
#include "scalar.h"

enum { STEPS = 500000, PRODUCT = 1000000, ROSENBROCK = 100000 };

static const problem problems[CASE_COUNT] = {
    {CASE_SMALL, "x1*x2 + sin(x1)", 0, 2, 3, NULL},
    {CASE_MLP, "MLP 64-64-64-1, tanh", 0, MLP_INPUTS,
     2. * (2 * MLP_WIDTH * MLP_WIDTH + MLP_WIDTH) + 2 * MLP_WIDTH, NULL},
    {CASE_CHAIN, "chain of 10^6 statements, sin and div", STEPS, 4, 5. * STEPS, NULL},
    {CASE_ROTATION, "chain of 10^6 statements, add and mul", STEPS, 5, 6. * STEPS, NULL},
    {CASE_ROSENBROCK, "Rosenbrock, 10^5 inputs", ROSENBROCK, ROSENBROCK, 8. * (ROSENBROCK - 1),
     NULL},
    {CASE_PRODUCT, "product of 10^6 inputs", PRODUCT, PRODUCT, PRODUCT - 1, NULL},
};

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

/* ---- ways that take turns
 * ------------------------------------------------------------------------ */

enum { RECORDED, SITES, DOTS, REPLAYED, HAND, PLAIN, ADOLC, ADOLC_REPLAYED, WAYS };

struct turn {
    const way *way;
    void *state;
    int repeats;  /* gradients a sample */
    samples time; /* ns an operation */
};

/* Gradients a sample, at inputs that change a little, so that nothing is computed once for all. */
static double sample(struct turn *t, const problem *p, double *x, double *out)
{
    double kept = x[0], start = seconds_now();
    for (int i = 0; i < t->repeats; i++) {
        x[0] = kept + 1e-9 * i;
        t->way->gradient(t->state, x, out);
    }
    double elapsed = seconds_now() - start;
    x[0] = kept;
    return elapsed / t->repeats / p->operations * 1e9;
}

static void begin(struct turn *t, const way *how, const problem *p)
{
    *t = (struct turn){.way = how};
    if (how)
        t->state = how->start(p);
    if (how && !t->state)
        complain("%s: %s could not start", p->name, how->name);
}

/* The first gradient, compared with that by hand; then how many make a sample of some milliseconds.
 */
static void check(struct turn *t, const problem *p, double *x, double *out, const double *want,
                  double least)
{
    size_t n = t->way == &way_plain ? 0 : p->n;
    double scale = 0, worst = 0;
    t->repeats = 1;
    sample(t, p, x, out);
    for (size_t i = 0; i <= n; i++) {
        scale = fmax(scale, fabs(want[i]));
        double off = fabs(out[i] - want[i]);
        worst = off <= worst ? worst : off; /* NaN stays */
    }
    if (!(worst <= 1e-7 * scale))
        complain("%s: %s: off by %g where gradients are up to %g", p->name, t->way->name, worst,
                 scale);
    double once = sample(t, p, x, out) * p->operations * 1e-9;
    t->repeats = once > 0 && once < least ? (int)ceil(least / once) : 1;
}

struct outcome {
    bool present[WAYS];
    samples time[WAYS];
    samples bytes, bytes_adolc;
};

static bool is_replay(int w) { return w == REPLAYED || w == ADOLC_REPLAYED; }

/* Times all ways of a case, in turn. */
static void run_case(const options *o, const problem *of, bool replay, struct outcome *outcome)
{
    const way *const ways[WAYS] = {&way_recorded,
                                   &way_recorded_with_sites,
                                   of->id == CASE_MLP ? &way_dots : NULL,
                                   &way_replayed,
                                   &way_hand,
                                   &way_plain,
                                   peer_adolc_recorded(),
                                   peer_adolc_replayed()};
    double *x = inputs_of(of), *out = calloc(of->n + 1, sizeof *out),
           *want = calloc(of->n + 1, sizeof *want);
    problem p = *of;
    p.x = x;
    struct turn turns[WAYS] = {{0}};
    if (!x || !out || !want) {
        complain("%s: out of memory", p.name);
        goto done;
    }
    for (int w = 0; w < WAYS; w++)
        if (replay || !is_replay(w))
            begin(&turns[w], ways[w], &p);
    if (turns[HAND].state)
        turns[HAND].way->gradient(turns[HAND].state, x, want);
    for (int w = 0; w < WAYS; w++)
        if (turns[w].state) {
            progress("%s: %s", p.name, turns[w].way->name);
            check(&turns[w], &p, x, out, want, o->quick ? .008 : .02);
        }
    int rounds = o->quick ? 15 : 31;
    for (int r = 0; r < rounds; r++) {
        progress("%s: round %d of %d", p.name, r + 1, rounds);
        for (int w = 0; w < WAYS; w++)
            if (turns[w].state)
                samples_add(&turns[w].time, sample(&turns[w], &p, x, out));
    }
    for (int w = 0; w < WAYS; w++) {
        outcome->present[w] = turns[w].state;
        outcome->time[w] = turns[w].time;
    }
    if (turns[RECORDED].state)
        samples_add(&outcome->bytes, way_recorded.bytes(turns[RECORDED].state) / p.operations);
    if (turns[ADOLC].state)
        samples_add(&outcome->bytes_adolc,
                    turns[ADOLC].way->bytes(turns[ADOLC].state) / p.operations);
done:
    for (int w = 0; w < WAYS; w++)
        if (turns[w].state)
            turns[w].way->finish(turns[w].state);
    free(x);
    free(out);
    free(want);
}

static void report_against(const options *o, const char *bench, const problem *p,
                           const struct outcome *outcome, int ours, int peer, const char *peer_name,
                           double aim)
{
    report(o, &(result){bench, p->name, "ns/op", peer_name, &outcome->time[ours],
                        outcome->present[peer] ? &outcome->time[peer] : NULL, aim});
}

static void report_recorded(const options *o, const problem *p, const struct outcome *outcome)
{
    bool against_adolc = p->id == CASE_CHAIN || p->id == CASE_MLP;
    report_against(o, "scalar", p, outcome, RECORDED, ADOLC, "ADOL-C", against_adolc ? .4 : 0);
    report_against(o, "scalar", p, outcome, RECORDED, HAND, way_hand.name,
                   p->id == CASE_SMALL ? 3.5 : 0);
    report_against(o, "scalar", p, outcome, RECORDED, PLAIN, way_plain.name,
                   p->id == CASE_MLP ? 20 : 0);
    report_against(o, "scalar", p, outcome, RECORDED, SITES, way_recorded_with_sites.name, 0);
    if (p->id == CASE_MLP)
        report(o, &(result){"scalar", "MLP 64-64-64-1, ad_dot_add_n", "ns/op", way_plain.name,
                            &outcome->time[DOTS], &outcome->time[PLAIN], 1.5});
}

static void report_bytes(const options *o, const problem *p, const struct outcome *outcome)
{
    const samples promised = {1, {32}};
    report(o, &(result){"memory", p->name, "bytes/op", "promised", &outcome->bytes, &promised, 1});
    report(o, &(result){"memory", p->name, "bytes/op", "ADOL-C", &outcome->bytes,
                        outcome->present[ADOLC] ? &outcome->bytes_adolc : NULL, 0});
}

static void report_replayed(const options *o, const problem *p, const struct outcome *outcome)
{
    double aim = p->id == CASE_SMALL ? 3.5 : p->id == CASE_MLP ? 15 : 0;
    report_against(o, "replay", p, outcome, REPLAYED, HAND, way_hand.name, aim);
    report_against(o, "replay", p, outcome, REPLAYED, PLAIN, way_plain.name, 0);
    report_against(o, "replay", p, outcome, REPLAYED, RECORDED, "recorded anew", 0);
    report_against(o, "replay", p, outcome, REPLAYED, ADOLC_REPLAYED, "ADOL-C, replayed", 0);
}

/* What a program costs before its first run: recording, capture and workspace. */
static void run_capture(const options *o, const problem *of)
{
    double *x = inputs_of(of), *out = calloc(of->n + 1, sizeof *out);
    problem p = *of;
    p.x = x;
    samples capture = {0}, record = {0};
    void *tape = x && out ? way_recorded.start(&p) : NULL;
    for (int r = 0; tape && r < (o->quick ? 7 : 25); r++) {
        double start = seconds_now();
        void *program = way_replayed.start(&p);
        double captured = seconds_now();
        way_recorded.gradient(tape, x, out);
        double recorded = seconds_now();
        samples_add(&capture, 1e3 * (captured - start));
        samples_add(&record, 1e3 * (recorded - captured));
        if (program)
            way_replayed.finish(program);
        else
            complain("%s: no program", p.name);
    }
    report(o, &(result){"program", p.name, "ms", "one recorded gradient", &capture, &record, 0});
    way_recorded.finish(tape);
    free(x);
    free(out);
}

void bench_scalar(const options *o)
{
    struct outcome *outcomes = calloc(CASE_COUNT, sizeof *outcomes);
    bool replay[CASE_COUNT];
    for (int i = 0; outcomes && i < CASE_COUNT; i++) {
        const problem *p = &problems[i];
        replay[i] = i <= CASE_CHAIN && wanted(o, "replay", p->name);
        if (replay[i] || wanted(o, "scalar", p->name) || wanted(o, "memory", p->name)) {
            run_case(o, p, replay[i], &outcomes[i]);
            report_recorded(o, p, &outcomes[i]);
        }
    }
    for (int i = 0; outcomes && i < CASE_COUNT; i++)
        if (wanted(o, "memory", problems[i].name))
            report_bytes(o, &problems[i], &outcomes[i]);
    for (int i = 0; outcomes && i < CASE_COUNT; i++)
        if (replay[i])
            report_replayed(o, &problems[i], &outcomes[i]);
    free(outcomes);
    if (wanted(o, "program", problems[CASE_MLP].name))
        run_capture(o, &problems[CASE_MLP]);
}

/* ---- sizes beyond the caches
 * ---------------------------------------------------------------------- */

/* Nanoseconds an operation of `steps` rotations, six operations each, on a tape used `warm` times
 * before. */
static bool rotations(size_t steps, int warm, int times, samples *time, samples *bytes)
{
    problem p = problems[CASE_ROTATION];
    p.size = steps;
    p.operations = 6. * (double)steps;
    double *x = inputs_of(&p), out[6];
    p.x = x;
    void *state = x ? way_recorded.start(&p) : NULL;
    bool fine = state;
    for (int i = -warm; fine && i < times; i++) {
        double start = seconds_now();
        way_recorded.gradient(state, x, out);
        if (i >= 0)
            samples_add(time, (seconds_now() - start) / p.operations * 1e9);
        fine = isfinite(out[0]);
    }
    if (fine && bytes)
        samples_add(bytes, way_recorded.bytes(state) / 1073741824.);
    if (!fine)
        complain("%.0e operations: no gradient", p.operations);
    if (state)
        way_recorded.finish(state);
    free(x);
    return fine;
}

/* ns a node of the backward pass alone, and of recording */
static void backward_alone(size_t steps, int times, samples *backward, samples *record)
{
    ad_tape *t = ad_tape_new(NULL);
    for (int i = -1; i < times; i++) {
        ad_reset(t);
        double start = seconds_now();
        ad_var c = ad_input(t, .6), s = ad_input(t, .8), a = ad_input(t, .8), b = ad_input(t, .6);
        for (size_t k = 0; k < steps; k++) {
            ad_var turned = ad_sub(ad_mul(c, a), ad_mul(s, b));
            s = ad_add(ad_mul(c, b), ad_mul(s, a));
            c = turned;
        }
        double recorded = seconds_now();
        ad_status status = ad_backward(c);
        double done = seconds_now();
        if (status != AD_OK)
            complain("backward over %zu steps: %s", steps, ad_tape_error(t));
        double nodes = 6. * (double)steps;
        if (i >= 0) {
            samples_add(backward, 1e9 * (done - recorded) / nodes);
            samples_add(record, 1e9 * (recorded - start) / nodes);
        }
    }
    ad_tape_free(t);
}

void bench_large(const options *o)
{
    const char *million = "10^6 operations, warm tape";
    int times = o->quick ? 7 : 25;
    if (wanted(o, "large", "10^6 operations, new tape")) {
        samples cold = {0}, warm = {0};
        progress("large: 10^6 operations, new tape");
        for (int i = 0; i < times; i++) {
            rotations(1000000 / 6, 0, 1, &cold, NULL);
            rotations(1000000 / 6, 1, 1, &warm, NULL);
        }
        report(o,
               &(result){"large", "10^6 operations, new tape", "ns/op", million, &cold, &warm, 0});
    }
    if (wanted(o, "large", "backward over 10^7 nodes")) {
        samples backward = {0}, record = {0}, small = {0}, ignored = {0};
        progress("large: backward over 10^7 nodes");
        for (int i = 0; i < 3; i++) {
            backward_alone(10000000 / 6, times / 3, &backward, &record);
            backward_alone(1000000 / 6, times / 3, &small, &ignored);
        }
        result r = {
            "large", "backward over 10^7 nodes", "ns/op", "over 10^6 nodes", &backward, &small, 0};
        report(o, &r);
        r.peer_name = "recording them";
        r.peer = &record;
        report(o, &r);
    }
    const char *huge = "10^8 operations, once";
    if (wanted(o, "large", huge)) {
        if (o->quick) {
            remark(o, "large: %s: left out by --quick", huge);
            return;
        }
        samples once = {0}, warm = {0}, gib = {0};
        const samples limit = {1, {4}};
        progress("large: %s", huge);
        rotations(1000000 / 6, 2, 9, &warm, NULL);
        rotations(100000000 / 6, 0, 1, &once, &gib);
        rotations(1000000 / 6, 2, 9, &warm, NULL);
        report(o, &(result){"large", huge, "ns/op", million, &once, &warm, 0});
        report(o, &(result){"large", "10^8 operations, memory of the tape", "GiB", "promised", &gib,
                            &limit, 1});
    }
}
