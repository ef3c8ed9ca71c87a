/* loops_run.c - runs a program of loops
 *
 * Loops whose rounds do not need one another are calls of a kernel. In an innermost loop whose
 * rounds do, every line keeps pointers that move from round to round; other loops go through their
 * lines, round by round. */
#define AD_PLAIN
#include "loops_kernels.h"
#include "special.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

typedef struct rounds { /* where we are in the loops around a line, the outermost first */
    uint32_t n;
    int64_t at[LOOP_DEPTH];
} rounds;

/* the operand j of a line, `inward` loops of which are left to the caller; with the step of the
 * innermost */
static spaced operand(const loops_run *r, const line *l, int j, const rounds *at)
{
    int64_t index = AT_INDEX(l->at[j]);
    const steps *s = l->depth ? &r->l->steps[l->steps] : NULL;
    const uint32_t inward = l->depth - at->n;
    for (uint32_t i = 0; i < at->n; i++)
        index += at->at[at->n - 1 - i] * s->by[inward + i][j];
    return (spaced){r->base[AT_ARRAY(l->at[j])] + index, inward ? s->by[0][j] : 0};
}

static ad_status guard_failed(loops_run *r, const line *l, int64_t i, const rounds *at, spaced a,
                              spaced b)
{
    int64_t number = AT_INDEX(l->at[AT_Y]);
    const steps *s = l->depth ? &r->l->steps[l->steps] : NULL;
    const uint32_t inward = l->depth - at->n;
    for (uint32_t k = 0; k < at->n; k++)
        number += at->at[at->n - 1 - k] * s->by[inward + k][AT_Y];
    number += inward ? i * s->by[0][AT_Y] : 0;
    r->failed_guard = (uint32_t)number;
    r->guard = l->guard;
    r->compared[0] = a.at[i * a.by];
    r->compared[1] = b.at[i * b.by];
    return AD_RETAPE;
}

/* a line n times, in the loop around it */
static ad_status run_kernel(loops_run *r, const line *l, int64_t n, const rounds *at)
{
    const spaced a = operand(r, l, AT_A, at), b = operand(r, l, AT_B, at);
    if (l->op == OP_GUARD) {
        const int64_t i = kernel_guard(l->guard, n, a, b);
        return i < 0 ? AD_OK : guard_failed(r, l, i, at, a, b);
    }
    const spaced y = operand(r, l, AT_Y, at), c = operand(r, l, AT_C, at);
    if (op_is_dot(l->op))
        kernel_dots(&(dots){l->op == OP_DOTZ, n, l->n, y, a, b, l->has_c ? c : (spaced){NULL, 0},
                            l->inner[0], l->inner[1]});
    else
        kernel_map(l->op, n, y, a, b, c);
    return AD_OK;
}

/* ---- loops whose rounds need one another ---- */

typedef struct moving { /* a line in such a loop */
    uint32_t op, terms;
    double *y, *a, *b, *c;
    int32_t by_y, by_a, by_b, by_c;
    const line *line;
} moving;

enum { AT_ONCE = 64 }; /* lines of such a loop, at most; longer ones take the general way */

static void prepare(const loops_run *r, const line *l, const rounds *at, moving *m)
{
    const spaced y = l->op == OP_GUARD ? (spaced){NULL, 0} : operand(r, l, AT_Y, at),
                 a = operand(r, l, AT_A, at), b = operand(r, l, AT_B, at),
                 c = operand(r, l, AT_C, at);
    *m = (moving){l->op,
                  l->n,
                  y.at,
                  a.at,
                  b.at,
                  op_is_dot(l->op) ? (l->has_c ? c.at : NULL) : c.at,
                  (int32_t)y.by,
                  (int32_t)a.by,
                  (int32_t)b.by,
                  (int32_t)c.by,
                  l};
}

/* where an operand is now; the next time it is a step further */
#define NEXT(operand) (m->operand += m->by_##operand, m->operand - m->by_##operand)

static bool run_other(moving *m)
{
    const double *a = NEXT(a), *b = NEXT(b), *c = m->c ? NEXT(c) : NULL;
    double *y = m->y ? NEXT(y) : NULL;
    if (m->op == OP_GUARD)
        return kernel_guard(m->line->guard, 1, (spaced){(double *)(uintptr_t)a, 0},
                            (spaced){(double *)(uintptr_t)b, 0}) < 0;
    if (m->op == OP_COPY)
        *y = *a;
    else /* a dot product */
        *y = kernel_dot(m->op == OP_DOTZ, m->terms, c ? *c : 0,
                        (spaced){(double *)(uintptr_t)a, m->line->inner[0]},
                        (spaced){(double *)(uintptr_t)b, m->line->inner[1]});
    return true;
}

static inline bool run_moving(moving *m)
{
    switch (m->op) {
#define OP1(name, ...)                                                                             \
    case AD_OP_##name: {                                                                           \
        const double a = *NEXT(a);                                                                 \
        *NEXT(y) = num_##name##_f64(a);                                                            \
        return true;                                                                               \
    }
#define OP2(name, ...)                                                                             \
    case AD_OP_##name: {                                                                           \
        const double a = *NEXT(a), b = *NEXT(b);                                                   \
        *NEXT(y) = num_##name##_f64(a, b);                                                         \
        return true;                                                                               \
    }
#define OP3(name, ...)                                                                             \
    case AD_OP_##name: {                                                                           \
        const double a = *NEXT(a), b = *NEXT(b), c = *NEXT(c);                                     \
        *NEXT(y) = num_##name##_f64(a, b, c);                                                      \
        return true;                                                                               \
    }
#include "ops.def"
    default:
        return run_other(m);
    }
}
#undef NEXT

/* a line once, in the rounds at hand */
static ad_status run_single(loops_run *r, const line *l, const rounds *at)
{
    moving m;
    prepare(r, l, at, &m);
    return run_moving(&m) ? AD_OK : guard_failed(r, l, 0, at, (spaced){m.a, 0}, (spaced){m.b, 0});
}

static ad_status run_carried(loops_run *r, const line *loop, const rounds *at)
{
    moving all[AT_ONCE];
    for (uint32_t i = 0; i < loop->body; i++)
        prepare(r, &loop[1 + i], at, &all[i]);
    for (uint32_t k = 0; k < loop->n; k++)
        for (uint32_t i = 0; i < loop->body; i++)
            if (!run_moving(&all[i])) {
                const int64_t gone = (int64_t)k + 1;
                const spaced a = {all[i].a - gone * all[i].by_a, all[i].by_a},
                             b = {all[i].b - gone * all[i].by_b, all[i].by_b};
                return guard_failed(r, all[i].line, k, at, a, b);
            }
    return AD_OK;
}

/* ---- all lines ---- */

static ad_status run_lines(loops_run *r, const line *l, uint32_t count, rounds *at)
{
    ad_status s = AD_OK;
    for (uint32_t i = 0; i < count && !s; i++) {
        if (l[i].op != OP_LOOP) {
            s = run_single(r, &l[i], at);
            continue;
        }
        if (l[i].apart)
            s = run_kernel(r, &l[i + 1], l[i].n, at);
        else if (l[i].innermost && l[i].body <= AT_ONCE)
            s = run_carried(r, &l[i], at);
        else { /* as deep as LOOP_DEPTH, at most */
            const uint32_t level = at->n++;
            for (at->at[level] = 0; at->at[level] < l[i].n && !s; at->at[level]++)
                s = run_lines(r, l + i + 1, l[i].body, at);
            at->n--;
        }
        i += l[i].body;
    }
    return s;
}

ad_status loops_go(loops_run *r)
{
    rounds at = {0};
    return run_lines(r, r->l->lines, r->l->n_lines, &at);
}
