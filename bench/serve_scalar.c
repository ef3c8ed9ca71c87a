/* serve_scalar.c - the ways to a scalar gradient that are in C and C++, in a process of their own
 *
 * Asked by ways.c, a line at a time, as the peers in Python are:
 *     scalar chain 500000 4 FILE - recorded  ->  ok, or why not; FILE has the inputs, as doubles
 *     gradient FILE                          ->  ok; FILE gets the value and the gradient
 *     run 100                                ->  microseconds a gradient
 *     prepare                                ->  microseconds until a first gradient could be taken
 *     fresh                                  ->  microseconds of that and of the first gradient
 *     bytes                                  ->  of what is recorded
 *     memory                                 ->  MiB that this process has needed at most */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scalar.h"
#include "serve.h"

/* Their names are those of ways.c. `get` where only the build knows. */
static const struct {
    const char *name;
    const way *way;
    const way *(*get)(void);
} ways[] = {
    {"recorded", &way_recorded, NULL},
    {"recorded, with source sites", &way_recorded_with_sites, NULL},
    {"recorded, not reversed", &way_recording, NULL},
#ifdef HAVE_DOTS
    {"recorded, with dot nodes", &way_dots, NULL},
#endif
    {"recorded, with arrays", &way_arrays, NULL},
#ifdef HAVE_DISK
    {"recorded, tape on disk", &way_on_disk, NULL},
#endif
    {"replayed", &way_replayed, NULL},
#ifdef HAVE_COMPILE
    {"optimised program", &way_optimised, NULL},
#endif
#ifdef HAVE_NATIVE
    {"native program", &way_native, NULL},
#endif
    {"hand-written derivative", &way_hand, NULL},
    {"plain function, value only", &way_plain, NULL},
    {"ADOL-C", NULL, peer_adolc_recorded},
    {"ADOL-C, replayed", NULL, peer_adolc_replayed},
    {"CoDiPack", NULL, peer_codipack},
    {"Adept", NULL, peer_adept},
    {"CasADi, its C compiled", &way_casadi, NULL},
};

struct server {
    problem p;
    const way *way;
    void *state;
    double *x, *out;
    char built[256];
};

static const way *way_named(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(ways[i].name, name))
            return ways[i].get ? ways[i].get() : ways[i].way;
    return NULL;
}

static bool read_inputs(struct server *s, const char *path)
{
    FILE *file = fopen(path, "rb");
    s->x = calloc(s->p.n + 1, sizeof *s->x);
    s->out = calloc(s->p.n + 1, sizeof *s->out);
    bool fine = file && s->x && s->out && fread(s->x, sizeof *s->x, s->p.n, file) == s->p.n;
    if (file)
        fclose(file);
    s->p.x = s->x;
    return fine;
}

/* elementary operations, for what wants to know how much room to make */
static double operations_of(const problem *p)
{
    switch (p->id) {
    case CASE_CHAIN:
        return 5. * (double)p->size;
    case CASE_ROTATION:
        return 6. * (double)p->size;
    case CASE_MLP:
        return 2. * MLP_INPUTS;
    default:
        return 8. * (double)p->n;
    }
}

static const char *begin(struct server *s, const char *words)
{
    char name[16], path[256];
    int at = 0, id = 0;
    if (sscanf(words, "%15s %zu %zu %255s %255s %n", name, &s->p.size, &s->p.n, path, s->built,
               &at) != 5 ||
        !at)
        return "scalar: case, size, inputs, file, library, way";
    while (id < CASE_COUNT && strcmp(name, case_names[id]))
        id++;
    s->way = way_named(words + at);
    if (!s->way || id == CASE_COUNT)
        return "absent";
    s->p.id = (enum case_id)id;
    s->p.name = case_names[id];
    s->p.built = s->built;
    s->p.operations = operations_of(&s->p);
    if (!read_inputs(s, path))
        return "inputs cannot be read";
    s->state = s->way->start(&s->p);
    return s->state ? "ok" : "absent";
}

/* Microseconds a gradient, at inputs that change a little, so that nothing is computed once for
 * all. */
static double run(struct server *s, int repeats)
{
    double kept = s->x[0], start = serve_seconds();
    for (int i = 0; i < repeats; i++) {
        s->x[0] = kept + 1e-9 * i;
        s->way->gradient(s->state, s->x, s->out);
    }
    double elapsed = serve_seconds() - start;
    s->x[0] = kept;
    return elapsed / repeats * 1e6;
}

static double prepare(struct server *s, bool and_run)
{
    double start = serve_seconds();
    void *state = s->way->start(&s->p);
    if (state && and_run)
        s->way->gradient(state, s->x, s->out);
    double elapsed = serve_seconds() - start;
    if (state)
        s->way->finish(state);
    return state ? elapsed * 1e6 : NAN;
}

static const char *write_gradient(struct server *s, const char *path)
{
    s->way->gradient(s->state, s->x, s->out);
    FILE *file = fopen(path, "wb");
    bool fine = file && fwrite(s->out, sizeof *s->out, s->p.n + 1, file) == s->p.n + 1;
    return file && fclose(file) == 0 && fine ? "ok" : "the gradient cannot be written";
}

static void answer(struct server *s, const char *line)
{
    if (!strncmp(line, "scalar ", 7) && !s->state)
        puts(begin(s, line + 7));
    else if (!strcmp(line, "memory"))
        printf("%.9g\n", serve_memory_mib());
    else if (!s->state)
        puts("what?");
    else if (!strncmp(line, "run ", 4))
        printf("%.9g\n", run(s, atoi(line + 4)));
    else if (!strncmp(line, "gradient ", 9))
        puts(write_gradient(s, line + 9));
    else if (!strcmp(line, "prepare") || !strcmp(line, "fresh"))
        printf("%.9g\n", prepare(s, line[0] == 'f'));
    else if (!strcmp(line, "bytes"))
        printf("%.9g\n", s->way->bytes ? s->way->bytes(s->state) : 0);
    else
        puts("what?");
}

int main(void)
{
    static struct server s;
    char line[1024];
    serve_line("ready");
    while (serve_question(line, sizeof line)) {
        answer(&s, line);
        fflush(stdout);
    }
    if (s.state)
        s.way->finish(s.state);
    free(s.x);
    free(s.out);
    return 0;
}
