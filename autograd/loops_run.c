/* loops_run.c - runs a program of loops
 *
 * Loops whose rounds do not need one another are calls of a kernel. Stretches, innermost loops
 * whose rounds do among them, are interpreted; other loops go through their lines, round by round.
 */
#define AD_PLAIN
#include "loops_kernels.h"
#include "special.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

/* The rows mulz and divz, for compilers to know that zeros are rare. */
static inline double mulz_likely(double a, double b) { return AD_LIKELY_(a != 0) ? a * b : 0; }
static inline double divz_likely(double a, double b) { return AD_LIKELY_(a != 0) ? a / b : 0; }
#define num_mulz_f64 mulz_likely
#define num_divz_f64 divz_likely

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
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): rounds have steps
        index += at->at[at->n - 1 - i] * s->by[inward + i][j];
    return (spaced){r->base[AT_ARRAY(l->at[j])] + index, inward ? s->by[0][j] : 0};
}

static ad_status guard_failed(loops_run *r, const line *l, int64_t i, const rounds *at, double a,
                              double b)
{
    int64_t number = AT_INDEX(l->at[AT_Y]);
    const steps *s = l->depth ? &r->l->steps[l->steps] : NULL;
    const uint32_t inward = l->depth - at->n;
    for (uint32_t k = 0; k < at->n; k++)
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as above
        number += at->at[at->n - 1 - k] * s->by[inward + k][AT_Y];
    number += inward ? i * s->by[0][AT_Y] : 0;
    r->failed_guard = (uint32_t)number;
    r->guard = l->guard;
    r->compared[0] = a;
    r->compared[1] = b;
    return AD_RETAPE;
}

/* a line n times, in the loop around it */
static ad_status run_kernel(loops_run *r, const line *l, int64_t n, const rounds *at)
{
    const spaced a = operand(r, l, AT_A, at), b = operand(r, l, AT_B, at);
    if (l->op == OP_GUARD) {
        const int64_t i = kernel_guard(l->guard, n, a, b);
        return i < 0 ? AD_OK : guard_failed(r, l, i, at, a.at[i * a.by], b.at[i * b.by]);
    }
    const spaced y = operand(r, l, AT_Y, at), c = operand(r, l, AT_C, at);
    if (op_is_dot(l->op))
        kernel_dots(&(dots){l->op == OP_DOTZ, n, l->n, y, a, b, l->has_c ? c : (spaced){NULL, 0},
                            l->inner[0], l->inner[1]});
    else
        kernel_map(l->op, n, y, a, b, c);
    return AD_OK;
}

/* ---- number by number ---- */

static double *anchor_at(const loops_run *r, const anchor *p, uint32_t inward, const rounds *at)
{
    double *to = r->base[p->array];
    for (uint32_t i = 0; i < at->n; i++)
        to += at->at[at->n - 1 - i] * p->by[inward + i];
    return to;
}

#define AT(j) (p[s->in[j]] + s->at[j])

static void run_dot(const line *l, const scalar *s, double *const *p)
{
    const bool absorbing = l->op == OP_DOTZ;
    const double c = l->has_c ? *AT(AT_C) : 0;
    const spaced a = {AT(AT_A), l->inner[0]}, b = {AT(AT_B), l->inner[1]};
    *AT(AT_Y) = kernel_dot(absorbing, l->n, c, a, b);
}

/* What is no row of ops.def; false: a guard failed. */
static bool run_other(const loops_run *r, const scalar *s, double *const *p)
{
    const line *l = &r->l->lines[s->line];
    if (s->op == OP_GUARD)
        return kernel_guard(l->guard, 1, (spaced){AT(AT_A), 0}, (spaced){AT(AT_B), 0}) < 0;
    if (s->op == OP_COPY)
        *AT(AT_Y) = *AT(AT_A);
    else
        run_dot(l, s, p);
    return true;
}

#define IS(operation, value)                                                                       \
    case operation:                                                                                \
        last = value;                                                                              \
        *AT(AT_Y) = last;                                                                          \
        break;

#define PAIRS_OF(name, last_is, product)                                                           \
    IS(PAIR(PAIR_##name, PLUS_C) + last_is, product + *AT(AT_C))                                   \
    IS(PAIR(PAIR_##name, C_PLUS) + last_is, *AT(AT_C) + product)                                   \
    IS(PAIR(PAIR_##name, MINUS_C) + last_is, product - *AT(AT_C))                                  \
    IS(PAIR(PAIR_##name, C_MINUS) + last_is, *AT(AT_C) - product)
#define PAIRS(name)                                                                                \
    PAIRS_OF(name, 0, num_##name##_f64(*AT(AT_A), *AT(AT_B)))                                      \
    PAIRS_OF(name, PAIR_LAST_A, num_##name##_f64(last, *AT(AT_B)))                                 \
    PAIRS_OF(name, PAIR_LAST_B, num_##name##_f64(*AT(AT_A), last))

/* where the addresses of a stretch count from, in the round at hand */
typedef struct anchored {
    double *p[ANCHORS];
    uint32_t moving[ANCHORS], n_moving;
    int64_t by[ANCHORS];
    uint32_t round;
} anchored;

static void move_on(anchored *here)
{
    for (uint32_t i = 0; i < here->n_moving; i++)
        here->p[here->moving[i]] += here->by[i];
    here->round++;
}

/* All rounds; the instruction that failed, or NULL. */
static const scalar *run_rounds(const loops_run *r, const stretch *t, anchored *here)
{
    const scalar *first = r->l->scalars + t->scalars, *end = first + t->n;
    double *const *p = here->p;
    double last = 0;
    for (const scalar *s = first;; s++) {
        if (s == end) {
            if (here->round + 1 == t->rounds)
                return NULL;
            move_on(here);
            s = first;
        }
        switch (s->op) {
#define OP1(name, ...)                                                                             \
    IS(AD_OP_##name, num_##name##_f64(*AT(AT_A)))                                                  \
    IS(AD_OP_##name + LAST_A, num_##name##_f64(last))
#define OP2(name, ...)                                                                             \
    IS(AD_OP_##name, num_##name##_f64(*AT(AT_A), *AT(AT_B)))                                       \
    IS(AD_OP_##name + LAST_A, num_##name##_f64(last, *AT(AT_B)))                                   \
    IS(AD_OP_##name + LAST_B, num_##name##_f64(*AT(AT_A), last))
#define OP3(name, ...) IS(AD_OP_##name, num_##name##_f64(*AT(AT_A), *AT(AT_B), *AT(AT_C)))
#include "ops.def"
            PAIRS(mul)
            PAIRS(mulz)
            PAIRS(div)
            PAIRS(divz)
        case OP_SINCOS:
            last = *AT(AT_A); /* fall through */
        case OP_SINCOS + LAST_A: {
            const double sine = sin(last), cosine = cos(last);
            *AT(AT_Y) = last = sine;
            *AT(AT_C) = cosine;
            break;
        }
        default:
            if (!run_other(r, s, p))
                return s;
        }
    }
}
#undef IS
#undef PAIRS
#undef PAIRS_OF

static ad_status run_stretch(loops_run *r, const stretch *t, bool loop, const rounds *at)
{
    const loops *l = r->l;
    const anchor *a = l->anchors + t->anchors;
    anchored here;
    uint32_t n_moving = 0;
    for (uint32_t i = 0; i < t->n_anchors; i++)
        here.p[i] = anchor_at(r, &a[i], loop, at);
    for (uint32_t i = 0; t->rounds > 1 && i < t->n_anchors; i++)
        if (a[i].by[0]) {
            here.by[n_moving] = a[i].by[0];
            here.moving[n_moving++] = i;
        }
    here.n_moving = n_moving;
    here.round = 0;
    const scalar *s = run_rounds(r, t, &here);
    double *const *p = here.p;
    return s ? guard_failed(r, &l->lines[s->line], here.round, at, *AT(AT_A), *AT(AT_B)) : AD_OK;
}
#undef AT

/* ---- all lines ---- */

static ad_status run_lines(loops_run *r, const line *l, uint32_t count, rounds *at)
{
    ad_status s = AD_OK;
    for (uint32_t i = 0; i < count && !s; i++) {
        const bool loop = l[i].op == OP_LOOP;
        if (l[i].stretch != NOTHING) {
            const stretch *t = &r->l->stretches[l[i].stretch];
            s = run_stretch(r, t, loop, at);
            i += loop ? l[i].body : t->n_lines - 1;
            continue;
        }
        if (l[i].apart) {
            s = run_kernel(r, &l[i + 1], l[i].n, at);
        } else { /* as deep as LOOP_DEPTH, at most */
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
