/* bench_train.c - one training step of an MLP against PyTorch
 *
 * Both run in processes of their own and are asked for a batch of steps in turn: step.c here,
 * peer_torch.py there. Weights and data are the same, and so must the losses be after the same
 * number of steps. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"

/* Debian's Python is the one that sees Debian's PyTorch; TAPEGRAD_BENCH_PYTHON names another. */
static const char *const python = "/usr/bin/python3";
#ifndef BENCH_SOURCE_DIRECTORY
#define BENCH_SOURCE_DIRECTORY "bench"
#endif

struct model {
    const char *name, *widths, *optimizer;
    int batch, steps; /* in a sample */
};

static const struct model models[] = {
    {"2-16-1, batch 32, SGD", "2,16,1", "sgd", 32, 200},
    {"784-64-64-10, batch 32, Adam", "784,64,64,10", "adam", 32, 30},
    {"784-512-512-10, batch 128, Adam", "784,512,512,10", "adam", 128, 5},
};

/* Starts a trainer and gives it the model; false, with the reason in c->line, where that fails. */
static bool begin(child *c, char *const argv[], const struct model *m, char name[64])
{
    if (!child_start(c, argv)) {
        snprintf(c->line, sizeof c->line, "absent %s cannot be started", argv[0]);
        return false;
    }
    if (!child_read(c) || strncmp(c->line, "ready ", 6))
        return false;
    snprintf(name, 64, "%.63s", c->line + 6);
    return child_ask(c, "model %s %d %s", m->widths, m->batch, m->optimizer) &&
           !strcmp(c->line, "ok");
}

struct outcome {
    bool measured, present; /* present: PyTorch is */
    char peer_name[64];
    samples time, memory, peer_time, peer_memory;
};

static void run_rounds(const options *o, const struct model *m, child *ours, child *theirs,
                       struct outcome *r)
{
    char question[64];
    snprintf(question, sizeof question, "run %d", m->steps);
    const int rounds = o->quick ? 15 : 31;
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        progress("training: %s: round %d of %d", m->name, i + 1, rounds);
        double own = child_number(ours, question);
        double peer = r->present ? child_number(theirs, question) : NAN;
        if (i < 0 && r->present) {
            double loss = child_number(ours, "loss"), other = child_number(theirs, "loss");
            if (!(fabs(loss - other) <= 1e-3 * fabs(other) + 1e-5))
                complain("training: %s: loss %g, PyTorch's %g", m->name, loss, other);
        }
        if (i < 0)
            continue;
        samples_add(&r->time, own);
        if (r->present)
            samples_add(&r->peer_time, peer);
    }
    samples_add(&r->memory, child_number(ours, "memory"));
    if (r->present)
        samples_add(&r->peer_memory, child_number(theirs, "memory"));
    r->measured = true;
}

static void run_model(const options *o, const struct model *m, struct outcome *r)
{
    const char *chosen = getenv("TAPEGRAD_BENCH_PYTHON");
    char path[4200], interpreter[4096], script[4200], own_name[64];
    snprintf(path, sizeof path, "%s/bench_step", o->directory);
    snprintf(interpreter, sizeof interpreter, "%s", chosen ? chosen : python);
    snprintf(script, sizeof script, "%s/peer_torch.py", BENCH_SOURCE_DIRECTORY);
    snprintf(r->peer_name, sizeof r->peer_name, "PyTorch");
    progress("training: %s", m->name);
    child ours, theirs = {.pid = -1};
    if (begin(&ours, (char *[]){path, NULL}, m, own_name)) {
        r->present = begin(&theirs, (char *[]){interpreter, script, NULL}, m, r->peer_name);
        if (!r->present)
            remark(o, "training: no PyTorch: %s", theirs.line[0] ? theirs.line : "it ended");
        run_rounds(o, m, &ours, &theirs, r);
    } else {
        complain("training: %s: %s", m->name, ours.line[0] ? ours.line : "bench_step ended");
    }
    child_stop(&ours);
    child_stop(&theirs);
}

void bench_train(const options *o)
{
    enum { MODELS = sizeof models / sizeof *models };
    struct outcome *r = calloc(MODELS, sizeof *r);
    setenv("OPENBLAS_NUM_THREADS", "1", 1); /* for the children */
    setenv("OMP_NUM_THREADS", "1", 1);
    for (int i = 0; r && i < MODELS; i++) {
        const struct model *m = &models[i];
        if (wanted(o, "training", m->name) || wanted(o, "resident", m->name))
            run_model(o, m, &r[i]);
        if (r[i].measured)
            report(o, &(result){"training", m->name, "us/step", r[i].peer_name, &r[i].time,
                                r[i].present ? &r[i].peer_time : NULL, 1});
    }
    for (int i = 0; r && i < MODELS; i++)
        if (r[i].measured)
            report(o, &(result){"resident", models[i].name, "MiB", r[i].peer_name, &r[i].memory,
                                r[i].present ? &r[i].peer_memory : NULL, 0});
    free(r);
}
