/* routine.c - the buffers of a compiled program of scalars, and its run
 *
 * Inputs are read and results written where the caller has them. */
#define AD_PLAIN
#include "routine.h"
#include "elementwise.h"
#include <string.h>

void routine_free(routine *r)
{
    native_free(r);
    loops_free(&r->loops);
}

bool routine_workspace(ad_workspace *w)
{
    const routine *r = w->program->routine;
    const loops *l = &r->loops;
    w->x = arena_take(&w->memory, ((size_t)r->n_all + 1) * sizeof *w->x);
    w->m = arena_zeros(&w->memory, ((size_t)l->n_memory + 1) * sizeof *w->m);
    w->out = arena_zeros(&w->memory, ((size_t)l->n_outputs + 1) * sizeof *w->out);
    if (!w->x || !w->m || !w->out)
        return false;
    memcpy(w->x, r->starts, r->n_all * sizeof *w->x);
    return true;
}

/* ---- what went wrong ---- */

static ad_status guard_failed(ad_workspace *w, const loops_run *run)
{
    const uint32_t guard = run->guard;
    const routine *r = w->program->routine;
    const char *site = r->guard_sites[run->failed_guard];
    snprintf(w->error, sizeof w->error,
             "run: guard at node %u: the comparison %.9g %s %.9g was %s when it was recorded%s%s%s",
             r->loops.guard_origins[run->failed_guard], run->compared[0],
             comparison_text(guard >> 1), run->compared[1], guard & 1 ? "true" : "false",
             *site ? " (" : "", site, *site ? ")" : "");
    return AD_RETAPE;
}

/* The first operation, in the order of recording, that gave a number which is not finite. */
static ad_status check_finite(ad_workspace *w, const double *out)
{
    const routine *r = w->program->routine;
    const loops *l = &r->loops;
    uint32_t first = UINT32_MAX;
    double value = 0;
    for (uint32_t i = 0; i < l->n_memory; i++)
        if (!isfinite(w->m[i]) && l->origins[i] < first && l->origins[i] < DERIVED)
            first = l->origins[i], value = w->m[i];
    for (uint32_t i = 0; i < l->n_outputs; i++)
        if (!isfinite(out[i]) && l->origins[l->n_memory + i] < first)
            first = l->origins[l->n_memory + i], value = out[i];
    if (first == UINT32_MAX)
        return AD_OK;
    const uint32_t at = first & ~(uint32_t)DERIVED;
    snprintf(w->error, sizeof w->error, "run: %s%s at node %u: element 0 is %g%s%s%s",
             first >= DERIVED ? "the derivative of " : "",
             elementwise_ops[r->operations[at]].info.name, at, for_text(value),
             *r->sites[at] ? " (" : "", r->sites[at], *r->sites[at] ? ")" : "");
    return AD_NOT_FINITE;
}

/* ---- the run ---- */

static bool overlap(const double *a, size_t n, const double *b, size_t m)
{
    return (uintptr_t)a < (uintptr_t)(b + m) && (uintptr_t)b < (uintptr_t)(a + n);
}

static ad_status run_loops(ad_workspace *w, const double *x, double *out)
{
    const loops *l = &w->program->routine->loops;
    loops_run run = {.l = l, .base = {(double *)(uintptr_t)x, w->m, out, l->constants}};
    return loops_go(&run) ? guard_failed(w, &run) : AD_OK;
}

/* Short, and here, since machine code may take less time than getting there. */
ad_status ad_run(ad_workspace *w, const double *x, double *out)
{
    if (!w)
        return AD_NULL;
    if (w->status)
        return w->status;
    const routine *r = w->program->routine;
    if (!r)
        return frame_run(w, x, out);
    out = out ? out : w->out;
    if (!x)
        x = w->x;
    else if (overlap(x, r->n_all, out, r->loops.n_outputs))
        x = memcpy(w->x, x, r->n_all * sizeof *x);
    if (!r->native || r->native(x, w->m, out)) { /* a guard failed: once more, for the text */
        const ad_status s = run_loops(w, x, out);
        if (s)
            return s;
    }
    w->ran = out == w->out;
    return r->loops.origins ? check_finite(w, out) : AD_OK;
}
