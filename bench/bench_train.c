/* bench_train.c - one training step of an MLP: ours, the peers', and the limit of both
 *
 * Each trainer is a process of its own and is asked for steps in turn. Weights and data are the
 * same, and so must the losses be after the same number of steps.
 *
 * The limit is what cannot be saved: the step's bare products, each by the library that is fastest
 * at it on this machine, and the bytes that the optimizer and the elementwise part must move where
 * they do not stay in the last cache. An optimizer reads parameter, gradient and moments and writes
 * parameter and moments; of the elementwise part, all but the derivative of the activation can be
 * done while a product is written, and that reads the activation again. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "child.h"
#include "machine.h"
#include "peers.h"

/* ---- networks ---------------------------------------------------------------------------------
 */

static const struct network {
    const char *name, *widths, *optimizer;
    double quick[4]; /* batches of --quick, from the smallest; 0 ends them */
} networks[] = {
    {"2-16-1", "2,16,1", "sgd", {32}},
    {"784-64-64-10", "784,64,64,10", "adam", {32, 512}},
    {"784-512-512-10", "784,512,512,10", "adam", {128}},
    {"1024-1024-1024-10", "1024,1024,1024,10", "adam", {0}},
};
static const int batches[] = {1, 8, 32, 128, 512, 4096};
enum { NETWORKS = sizeof networks / sizeof *networks, BATCH_COUNT = 6, MAX_WIDTHS = 8 };

struct problem_size {
    double parameters, hidden, activations, data; /* floats; hidden: elements that are activated */
};

static struct problem_size size_of(const struct network *n, int batch)
{
    struct problem_size s = {0};
    double width[MAX_WIDTHS];
    int count = 0;
    for (const char *w = n->widths; *w && count < MAX_WIDTHS; w += *w == ',') {
        char *end;
        width[count++] = strtod(w, &end);
        w = end;
    }
    for (int k = 1; k < count; k++) {
        s.parameters += width[k] * (width[k - 1] + 1);
        s.activations += width[k] * batch;
        s.hidden += k + 1 < count ? width[k] * batch : 0;
    }
    s.data = 4 * batch * (width[0] + 1); /* four batches that all trainers hold ready */
    return s;
}

/* What was promised, beside "faster than PyTorch everywhere". */
static double torch_aim(const struct network *n, int batch)
{
    if (n == &networks[0] && batch == 32)
        return .01;
    if (n == &networks[1] && batch == 32)
        return .25;
    return n == &networks[2] && batch == 128 ? 1 / 1.3 : 1;
}

static double limit_aim(const struct network *n, int batch)
{
    if (n == &networks[0] || batch < 32)
        return 0;
    return n == &networks[3] && batch == 512 ? 1.15 : 1.3;
}

/* ---- trainers ---------------------------------------------------------------------------------
 */

enum {
    OURS,
    OURS_TWO,
    PRODUCTS,
    PRODUCTS_TWO,
    HAND,
    TORCH,
    TORCH_COMPILED,
    TORCH_TWO,
    JAX,
    TRAINERS
};

/* A trainer is a row: a program of this folder, or a peer in Python, with so many threads. A manner
 * that must be compiled for each network is timed at a few batches only. */
static const struct trainer {
    const char *name, *program;
    enum peer peer;
    int threads;
    const char *how;
    bool trains, slow_to_begin;
} trainers[TRAINERS] = {
    [OURS] = {"Tapegrad", "bench_step", PEER_COUNT, 1, "-", true, false},
    [OURS_TWO] = {"Tapegrad, two threads", "bench_step", PEER_COUNT, 2, "-", true, false},
    [PRODUCTS] = {"bare products", "bench_products", PEER_COUNT, 1, "-", false, false},
    [PRODUCTS_TWO] = {"bare products, two threads", "bench_products", PEER_COUNT, 2, "-", false,
                      false},
    [HAND] = {"hand-written C on BLAS", "bench_hand_step", PEER_COUNT, 1, "-", true, false},
    [TORCH] = {"PyTorch, eager", NULL, PEER_TORCH, 1, "eager", true, false},
    [TORCH_COMPILED] = {"PyTorch, compiled", NULL, PEER_TORCH_COMPILED, 1, "compiled", true, true},
    [TORCH_TWO] = {"PyTorch, two threads", NULL, PEER_TORCH_TWO, 2, "eager", true, false},
    [JAX] = {"JAX, jit", NULL, PEER_JAX, 1, "jit", true, false},
};

static const int peers_of_one[] = {TORCH, TORCH_COMPILED, JAX, HAND};

typedef struct pupil {
    const struct trainer *trainer;
    child own, *c; /* c: NULL where it is absent */
} pupil;

/* Threads of BLAS and OpenMP wait with their eyes open, for some 25 milliseconds after their last
 * work: on a core that the next trainer needs. */
static void let_threads_sleep(const struct trainer *t)
{
    if (t->threads > 1)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static double steps(void *state, int repeats)
{
    pupil *p = state;
    char question[32];
    snprintf(question, sizeof question, "run %d", repeats);
    double seconds = 1e-6 * child_number(p->c, question);
    let_threads_sleep(p->trainer);
    return seconds;
}

static bool start_program(pupil *p, const char *directory)
{
    char path[4200], threads[8];
    snprintf(path, sizeof path, "%s/%s", directory, p->trainer->program);
    snprintf(threads, sizeof threads, "%d", p->trainer->threads);
    setenv("OPENBLAS_NUM_THREADS", threads, 1);
    setenv("OMP_NUM_THREADS", threads, 1);
    setenv("BLIS_NUM_THREADS", threads, 1);
    pin_to(p->trainer->threads);
    bool fine = child_start(&p->own, (char *[]){path, NULL}) && child_read(&p->own);
    pin_to(1);
    return fine;
}

static void begin(pupil *p, int t, const char *directory, const struct network *n, int batch)
{
    *p = (pupil){.trainer = &trainers[t], .own = {.pid = -1}};
    progress("training: %s, batch %d: %s", n->name, batch, p->trainer->name);
    if (p->trainer->peer != PEER_COUNT)
        p->c = peer_child(p->trainer->peer);
    else if (start_program(p, directory))
        p->c = &p->own;
    if (p->c &&
        child_ask(p->c, "model %s %d %s %d %s", n->widths, batch, n->optimizer, p->trainer->threads,
                  p->trainer->how) &&
        !strcmp(p->c->line, "ok"))
        return;
    child_stop(&p->own);
    p->c = NULL;
}

static void end(pupil *p)
{
    if (p->c && p->c != &p->own)
        child_ask(p->c, "done");
    child_stop(&p->own);
    p->c = NULL;
}

/* ---- a race -----------------------------------------------------------------------------------
 */

struct outcome {
    samples time[TRAINERS], memory[TRAINERS]; /* microseconds, MiB */
    samples limit;
    char which[256]; /* libraries did the products */
};

/* After the same three steps the losses must agree. */
static void compare_losses(const char *name, pupil *pupils)
{
    double first = NAN;
    for (int t = 0; t < TRAINERS; t++) {
        if (!pupils[t].c || !trainers[t].trains)
            continue;
        child_number(pupils[t].c, "run 3");
        double loss = child_number(pupils[t].c, "loss");
        if (isnan(first))
            first = loss;
        else if (!(fabs(loss - first) <= 2e-3 * fabs(first) + 1e-5))
            complain("training: %s: loss %g, that of %s %g", name, first, trainers[t].name, loss);
    }
}

static double cache_bytes(void) { return machine_here().last_cache_mib * 1048576; }

/* Microseconds for the bytes that must move beyond the last cache. */
static double bytes_time(const struct network *n, int batch, pupil *products)
{
    const struct problem_size s = size_of(n, batch);
    const bool adam = !strcmp(n->optimizer, "adam");
    double bytes = 0;
    if (s.parameters * (adam ? 16 : 8) > cache_bytes())
        bytes += s.parameters * (adam ? 28 : 12);
    if (s.activations * 8 > cache_bytes())
        bytes += s.hidden * 4;
    return bytes > 0 ? bytes / child_number(products->c, "triad") * 1e-3 : 0;
}

static void race(const options *o, const schedule *s, const char *name, const struct network *n,
                 int batch, unsigned chosen, struct outcome *r)
{
    pupil pupils[TRAINERS] = {{.c = NULL}};
    turn turns[TRAINERS] = {{0}};
    for (int t = 0; t < TRAINERS; t++)
        if (chosen >> t & 1) {
            begin(&pupils[t], t, o->directory, n, batch);
            if (pupils[t].c)
                turns[t] = (turn){steps, &pupils[t], 1e-6, 1, {0}};
        }
    compare_losses(name, pupils);
    double bytes = pupils[PRODUCTS].c ? bytes_time(n, batch, &pupils[PRODUCTS]) : 0;
    take_turns(name, s, TRAINERS, turns);
    for (int t = 0; t < TRAINERS; t++)
        if (pupils[t].c) {
            r->time[t] = turns[t].time;
            samples_add(&r->memory[t], child_number(pupils[t].c, "memory"));
        }
    for (int i = 0; i < r->time[PRODUCTS].n; i++)
        samples_add(&r->limit, r->time[PRODUCTS].value[i] + bytes);
    if (pupils[PRODUCTS].c && child_ask(pupils[PRODUCTS].c, "which"))
        snprintf(r->which, sizeof r->which, "%.255s", pupils[PRODUCTS].c->line);
    for (int t = 0; t < TRAINERS; t++)
        end(&pupils[t]);
}

/* ---- what is reported -------------------------------------------------------------------------
 */

static const char *peer_title(int t, char title[96])
{
    const char *comma = strchr(trainers[t].name, ',');
    if (trainers[t].peer == PEER_COUNT || !comma)
        snprintf(title, 96, "%s", trainers[t].name);
    else
        snprintf(title, 96, "%.60s%.30s", peer_name(trainers[t].peer), comma);
    return title;
}

static void report_training(const options *o, const char *name, const struct network *n, int batch,
                            const struct outcome *r)
{
    char title[96];
    for (size_t i = 0; i < sizeof peers_of_one / sizeof *peers_of_one; i++) {
        const int t = peers_of_one[i];
        if (r->time[t].n > 0 || t == TORCH)
            report(o, &(result){.bench = "training",
                                .name = name,
                                .unit = "us/step",
                                .size = batch,
                                .peer_name = peer_title(t, title),
                                .ours = &r->time[OURS],
                                .peer = &r->time[t],
                                .aim = t == TORCH ? torch_aim(n, batch) : 0});
    }
}

static void report_limit(const options *o, const char *name, const struct network *n, int batch,
                         const struct outcome *r)
{
    char title[300];
    snprintf(title, sizeof title, "limit (products: %s)", r->which);
    result line = {.bench = "limit",
                   .name = name,
                   .unit = "us/step",
                   .size = batch,
                   .peer_name = title,
                   .ours = &r->time[OURS],
                   .peer = &r->limit,
                   .aim = limit_aim(n, batch)};
    if (n == &networks[0])
        return; /* products of a microsecond are no limit */
    report(o, &line);
    line.ours_name = trainers[HAND].name;
    line.ours = &r->time[HAND];
    line.aim = 0;
    if (line.ours->n > 0)
        report(o, &line);
}

/* Shares of the time of one thread; two threads must save what they save the products, or more. */
static void report_threads(const options *o, const char *name, int batch, const struct outcome *r)
{
    char title[96];
    samples ours = samples_ratios(&r->time[OURS_TWO], &r->time[OURS]),
            products = samples_ratios(&r->time[PRODUCTS_TWO], &r->time[PRODUCTS]);
    if (r->time[OURS_TWO].n == 0)
        ours = (samples){0};
    report(o, &(result){.bench = "threads",
                        .name = name,
                        .unit = "of one",
                        .size = batch,
                        .ours_name = "share of the time of one thread",
                        .peer_name = "the bare products' share",
                        .ours = &ours,
                        .peer = &products,
                        .aim = 1 / .95});
    if (r->time[OURS_TWO].n > 0 && r->time[TORCH_TWO].n > 0)
        report(o, &(result){.bench = "threads",
                            .name = name,
                            .unit = "us/step",
                            .size = batch,
                            .ours_name = trainers[OURS_TWO].name,
                            .peer_name = peer_title(TORCH_TWO, title),
                            .ours = &r->time[OURS_TWO],
                            .peer = &r->time[TORCH_TWO]});
}

/* 1.2 x (4 x parameters + live activations) + 10 MiB, and the data that the trainer holds ready */
static void report_memory(const options *o, const char *name, const struct network *n, int batch,
                          const struct outcome *r)
{
    static const int peers[] = {TORCH, JAX, HAND};
    const struct problem_size s = size_of(n, batch);
    const samples promised = {
        1, {(1.2 * (4 * s.parameters + s.activations) + s.data) * 4 / 1048576 + 10}};
    char title[96];
    result line = {.bench = "resident",
                   .name = name,
                   .unit = "MiB",
                   .size = batch,
                   .peer_name = "promised",
                   .ours = &r->memory[OURS],
                   .peer = &promised,
                   .aim = 1};
    report(o, &line);
    line.aim = 0;
    for (int i = 0; i < 3; i++) {
        line.peer_name = peer_title(peers[i], title);
        line.peer = &r->memory[peers[i]];
        if (line.peer->n > 0)
            report(o, &line);
    }
}

/* ---- which are asked for ----------------------------------------------------------------------
 */

static bool in_quick(const struct network *n, int batch)
{
    for (int i = 0; i < 4 && n->quick[i] > 0; i++)
        if ((int)n->quick[i] == batch)
            return true;
    return false;
}

static unsigned trainers_for(const options *o, const char *name, const struct network *n, int batch)
{
    const bool big = n != &networks[0], large = n == &networks[3] || n == &networks[2];
    unsigned chosen = 0;
    if (wanted(o, "training", name))
        chosen |= 1u << OURS | 1u << TORCH | 1u << JAX | 1u << HAND;
    if (wanted(o, "training", name) && !o->quick && (batch == 32 || batch == 512))
        chosen |= 1u << TORCH_COMPILED;
    if (wanted(o, "resident", name))
        chosen |= 1u << OURS | 1u << TORCH | 1u << JAX | 1u << HAND;
    if (wanted(o, "limit", name) && big)
        chosen |= 1u << OURS | 1u << PRODUCTS | 1u << HAND;
    if (wanted(o, "threads", name) && big && batch >= 32 && (!o->quick || large))
        chosen |= 1u << OURS | 1u << OURS_TWO | 1u << PRODUCTS | 1u << PRODUCTS_TWO |
                  (o->quick ? 0 : 1u << TORCH_TWO);
    return chosen;
}

struct measured {
    const struct network *network;
    char name[96];
    int batch;
    unsigned chosen;
    struct outcome outcome;
};

static void report_group(const options *o, int group, const struct measured *m)
{
    if (group == 0)
        report_training(o, m->name, m->network, m->batch, &m->outcome);
    else if (group == 1)
        report_limit(o, m->name, m->network, m->batch, &m->outcome);
    else if (group == 2 && m->chosen >> OURS_TWO & 1)
        report_threads(o, m->name, m->batch, &m->outcome);
    else if (group == 3)
        report_memory(o, m->name, m->network, m->batch, &m->outcome);
}

static void make_name(char name[96], const struct network *n, int batch)
{
    snprintf(name, 96, "%s, batch %d, %s", n->name, batch,
             !strcmp(n->optimizer, "adam") ? "Adam" : "SGD");
}

void bench_train(const options *o)
{
    const schedule s = o->quick ? (schedule){.003, .5, 5, 15} : (schedule){.02, 5, 7, 41};
    struct measured *all = calloc(NETWORKS * BATCH_COUNT, sizeof *all);
    int count = 0;
    for (int i = 0; all && i < NETWORKS * BATCH_COUNT; i++) {
        struct measured *m = &all[count];
        m->network = &networks[i / BATCH_COUNT];
        m->batch = batches[i % BATCH_COUNT];
        make_name(m->name, m->network, m->batch);
        if (o->quick && !in_quick(m->network, m->batch))
            continue;
        m->chosen = trainers_for(o, m->name, m->network, m->batch);
        if (!m->chosen)
            continue;
        race(o, &s, m->name, m->network, m->batch, m->chosen, &m->outcome);
        report_group(o, 0, m);
        count++;
    }
    for (int group = 1; group < 4; group++)
        for (int i = 0; i < count; i++)
            report_group(o, group, &all[i]);
    free(all);
}

/* ---- two builds -------------------------------------------------------------------------------
 */

static void train_pair(const options *o, const schedule *s, const struct network *n, int batch,
                       int trainer)
{
    const char *folders[2] = {o->directory, o->against};
    pupil both[2];
    turn turns[2] = {{0}};
    char name[96], memory[112];
    make_name(name, n, batch);
    if (!wanted(o, "against", name))
        return;
    for (int i = 0; i < 2; i++) {
        begin(&both[i], trainer, folders[i], n, batch);
        if (both[i].c)
            turns[i] = (turn){steps, &both[i], 1e-6, 1, {0}};
    }
    if (both[0].c && both[1].c)
        take_turns(name, s, 2, turns);
    report_pair(o, name, "us/step", trainers[trainer].name, batch, turns);
    for (int i = 0; i < 2; i++) {
        samples mib = {0};
        if (both[i].c)
            samples_add(&mib, child_number(both[i].c, "memory"));
        turns[i].time = mib;
        end(&both[i]);
    }
    snprintf(memory, sizeof memory, "%s, memory", name);
    report_pair(o, memory, "MiB", trainers[trainer].name, batch, turns);
}

void train_against(const options *o, const schedule *s)
{
    for (int i = 0; i < NETWORKS; i++)
        for (int k = 0; k < BATCH_COUNT; k++) {
            if (o->quick ? !in_quick(&networks[i], batches[k]) : batches[k] > 512)
                continue;
            train_pair(o, s, &networks[i], batches[k], OURS);
            train_pair(o, s, &networks[i], batches[k], OURS_TWO);
        }
}
