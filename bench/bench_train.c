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

static void run_model(const options *o, const struct model *m)
{
    const char *chosen = getenv("TAPEGRAD_BENCH_PYTHON");
    char path[4200], script[4200], question[64], own_name[64] = "", peer_name[64] = "PyTorch";
    snprintf(path, sizeof path, "%s/bench_step", o->directory);
    snprintf(script, sizeof script, "%s/peer_torch.py", BENCH_SOURCE_DIRECTORY);
    snprintf(question, sizeof question, "run %d", m->steps);
    child ours, theirs;
    progress("training: %s", m->name);
    if (!begin(&ours, (char *[]){path, NULL}, m, own_name)) {
        complain("training: %s: %s", m->name, ours.line[0] ? ours.line : "bench_step ended");
        child_stop(&ours);
        return;
    }
    char interpreter[4096];
    snprintf(interpreter, sizeof interpreter, "%s", chosen ? chosen : python);
    bool present = begin(&theirs, (char *[]){interpreter, script, NULL}, m, peer_name);
    if (!present)
        remark(o, "training: no PyTorch: %s", theirs.line[0] ? theirs.line : "it ended");

    samples own = {0}, peer = {0}, own_memory = {0}, peer_memory = {0};
    int rounds = o->quick ? 9 : 31;
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        double a = child_number(&ours, question),
               b = present ? child_number(&theirs, question) : NAN;
        if (i == -1 && present) {
            double loss = child_number(&ours, "loss"), other = child_number(&theirs, "loss");
            if (!(fabs(loss - other) <= 1e-3 * fabs(other) + 1e-5))
                complain("training: %s: loss %g, PyTorch's %g", m->name, loss, other);
        }
        if (i < 0)
            continue;
        samples_add(&own, a);
        if (present)
            samples_add(&peer, b);
        progress("training: %s: round %d of %d", m->name, i + 1, rounds);
    }
    samples_add(&own_memory, child_number(&ours, "memory"));
    if (present)
        samples_add(&peer_memory, child_number(&theirs, "memory"));
    report(o,
           &(result){"training", m->name, "us/step", peer_name, &own, present ? &peer : NULL, 1});
    report(o, &(result){"resident", m->name, "MiB", peer_name, &own_memory,
                        present ? &peer_memory : NULL, 0});
    child_stop(&ours);
    child_stop(&theirs);
}

void bench_train(const options *o)
{
    setenv("OPENBLAS_NUM_THREADS", "1", 1); /* for the children */
    setenv("OMP_NUM_THREADS", "1", 1);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (wanted(o, "training", models[i].name) || wanted(o, "resident", models[i].name))
            run_model(o, &models[i]);
}
