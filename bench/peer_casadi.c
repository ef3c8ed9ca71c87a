/* peer_casadi.c - the C that CasADi generates for a case, compiled and called from C
 *
 * peer_casadi.py writes and compiles it: a function F of x that gives the value and the gradient.
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

#include "scalar.h"

typedef int function(const double **arguments, double **results, long long *integers, double *work,
                     int memory);
typedef int work_sizes(long long *arguments, long long *results, long long *integers,
                       long long *work);

struct generated {
    void *opened;
    function *f;
    const double **arguments;
    double **results, *work;
    long long *integers;
};

static void finish(void *state)
{
    struct generated *g = state;
    if (!g)
        return;
    free(g->arguments);
    free(g->results);
    free(g->integers);
    free(g->work);
    if (g->opened)
        dlclose(g->opened);
    free(g);
}

static void *start(const problem *p)
{
    struct generated *g = calloc(1, sizeof *g);
    long long arguments, results, integers, work;
    work_sizes *sizes = NULL;
    if (!g)
        return NULL;
    g->opened = dlopen(p->built, RTLD_NOW);
    if (g->opened) {
        *(void **)&g->f = dlsym(g->opened, "F");
        *(void **)&sizes = dlsym(g->opened, "F_work");
    }
    if (!g->f || !sizes || sizes(&arguments, &results, &integers, &work)) {
        finish(g);
        return NULL;
    }
    g->arguments = calloc((size_t)arguments + 1, sizeof *g->arguments);
    g->results = calloc((size_t)results + 2, sizeof *g->results);
    g->integers = calloc((size_t)integers + 1, sizeof *g->integers);
    g->work = calloc((size_t)work + 1, sizeof *g->work);
    if (g->arguments && g->results && g->integers && g->work)
        return g;
    finish(g);
    return NULL;
}

static void gradient(void *state, const double *x, double *out)
{
    struct generated *g = state;
    g->arguments[0] = x;
    g->results[0] = out;
    g->results[1] = out + 1;
    if (g->f(g->arguments, g->results, g->integers, g->work, 0))
        out[0] = NAN;
}

const way way_casadi = {"CasADi, its C compiled", start, gradient, NULL, finish};
