/* lbfgs.c - minimises a function of many variables from its gradients
 *
 * L-BFGS keeps the last few pairs of steps s and changes of the gradient y, and multiplies the
 * gradient by the inverse Hessian that they imply (Nocedal and Wright, Numerical Optimization, 2nd
 * edition, algorithms 7.4 and 7.5). Along that direction a search finds a step that meets the
 * strong Wolfe conditions (3.5, 3.6), so that s.y is positive.
 *
 * Near a minimum the value stops falling in its last digits while the gradient still says where to
 * go: there the condition on the value is replaced by one on the slope (Hager and Zhang 2005, the
 * approximate Wolfe conditions). A value or gradient that is not finite is a wall: the search stays
 * on this side of it. Every loop here has a bound. */
#include "lbfgs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum { TRIALS = 60 }; /* of one line search: enough to shrink a step 10^-40-fold */

static const double sufficient = 1e-4, flat = .9; /* c1 and c2 of the Wolfe conditions */

struct pair {
    double *s, *y; /* n */
    double rho;    /* 1 / s.y */
    double alpha;  /* of the two loops */
};

struct search {
    nn_objective f;
    void *user;
    size_t n;
    nn_lbfgs_config config;
    nn_lbfgs_result result;
    double *memory; /* all vectors, in one piece */
    struct pair *pairs;
    int count, oldest; /* of the pairs in use, a ring */
    double *x, *gradient, *direction;
    double *trial_x, *trial_gradient, *best_gradient; /* best: at the line search's `low` */
    double value;
};

static double dot(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add_to(size_t n, double *to, double factor, const double *a)
{
    for (size_t i = 0; i < n; i++)
        to[i] += factor * a[i];
}

/* NaN where one of them is */
static double largest(size_t n, const double *a)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i]) <= most))
            most = fabs(a[i]) > most ? fabs(a[i]) : NAN;
    return most;
}

/* ---- the direction ------------------------------------------------------------------------------
 */

static struct pair *pair_at(const struct search *s, int age) /* 0: the oldest */
{
    return &s->pairs[(s->oldest + age) % s->config.history];
}

/* direction = -H gradient: algorithm 7.4, H0 = s.y / y.y of the newest pair */
static void two_loops(struct search *s)
{
    double *d = s->direction;
    for (size_t i = 0; i < s->n; i++)
        d[i] = -s->gradient[i];
    if (!s->count)
        return;
    for (int age = s->count - 1; age >= 0; age--) {
        struct pair *p = pair_at(s, age);
        p->alpha = p->rho * dot(s->n, p->s, d);
        add_to(s->n, d, -p->alpha, p->y);
    }
    const struct pair *newest = pair_at(s, s->count - 1);
    const double scale = 1 / (newest->rho * dot(s->n, newest->y, newest->y));
    for (size_t i = 0; i < s->n; i++)
        d[i] *= scale;
    for (int age = 0; age < s->count; age++) {
        struct pair *p = pair_at(s, age);
        add_to(s->n, d, p->alpha - p->rho * dot(s->n, p->y, d), p->s);
    }
}

/* Keeps the step from (x, gradient) to (trial_x, trial_gradient) where its curvature is positive
 * beyond rounding and nothing computed from it leaves the range of double; else leaves it out. */
static void remember(struct search *s)
{
    double sy = 0, ss = 0, yy = 0;
    for (size_t i = 0; i < s->n; i++) {
        const double step = s->trial_x[i] - s->x[i], y = s->trial_gradient[i] - s->gradient[i];
        sy += step * y;
        ss += step * step;
        yy += y * y;
    }
    if (!(sy > DBL_EPSILON * sqrt(ss) * sqrt(yy)) || !isfinite(1 / sy) || !isfinite(yy / sy) ||
        !isfinite(sy / yy))
        return;
    const bool full = s->count == s->config.history;
    struct pair *p = pair_at(s, full ? 0 : s->count); /* the oldest makes room */
    for (size_t i = 0; i < s->n; i++) {
        p->s[i] = s->trial_x[i] - s->x[i];
        p->y[i] = s->trial_gradient[i] - s->gradient[i];
    }
    p->rho = 1 / sy;
    if (full)
        s->oldest = (s->oldest + 1) % s->config.history;
    else
        s->count++;
}

/* ---- the line search ----------------------------------------------------------------------------
 */

struct point {
    double a, value, slope; /* at x + a direction; slope NaN: not finite there */
};

static void swap(double **a, double **b)
{
    double *c = *a;
    *a = *b;
    *b = c;
}

static struct point evaluate(struct search *s, double a)
{
    for (size_t i = 0; i < s->n; i++)
        s->trial_x[i] = s->x[i] + a * s->direction[i];
    struct point p = {a, s->f(s->trial_x, s->trial_gradient, s->user), NAN};
    s->result.evaluations++;
    if (isfinite(p.value) && isfinite(largest(s->n, s->trial_gradient)))
        p.slope = dot(s->n, s->trial_gradient, s->direction);
    return p;
}

/* The minimum of the cubic with these values and slopes (Nocedal and Wright, 3.59); NaN where there
 * is none. */
static double cubic(struct point p, struct point q)
{
    const double d1 = p.slope + q.slope - 3 * (p.value - q.value) / (p.a - q.a);
    const double d2 = copysign(sqrt(d1 * d1 - p.slope * q.slope), q.a - p.a);
    return q.a - (q.a - p.a) * (q.slope + d2 - d1) / (q.slope - p.slope + 2 * d2);
}

/* low: the best so far; high: the interval's other end, infinity before one is known */
struct bracket {
    struct point start, low, high;
    double widths[2]; /* of the last two intervals */
};

/* by how much values differ that are the same but for rounding */
static double noise_of(const struct bracket *b) { return 4 * DBL_EPSILON * fabs(b->start.value); }

static bool is_flat(const struct bracket *b, struct point p)
{
    return fabs(p.slope) <= -flat * b->start.slope;
}

static bool falls_enough(const struct bracket *b, struct point p)
{
    return p.value < b->start.value + sufficient * p.a * b->start.slope ||
           (p.value <= b->start.value + noise_of(b) && is_flat(b, p));
}

/* Within the interval, away from its ends; the middle where interpolation gives nothing, or where
 * it did not shrink the interval by a third in two steps. */
static double between(struct bracket *b)
{
    const double low = b->low.a, width = b->high.a - low;
    const double before = b->widths[0];
    b->widths[0] = b->widths[1];
    b->widths[1] = fabs(width);
    if (isnan(b->high.slope)) /* a wall: towards the safe side, faster than by halves */
        return low + .2 * width;
    const double at = (cubic(b->low, b->high) - low) / width;
    if (!(at > 0 && at < 1) || fabs(width) > .66 * before)
        return low + .5 * width;
    return low + fmin(fmax(at, .05), .95) * width;
}

/* Further out, while the slope still falls: the cubic's minimum, 2 to 10 times as far. */
static double beyond(const struct bracket *b, struct point last)
{
    const double at = cubic(last, b->low);
    return fmin(isfinite(at) ? fmax(at, 2 * b->low.a) : 4 * b->low.a, 10 * b->low.a);
}

/* One trial; true where it is the step wanted. Otherwise *next is where to try. */
static bool try_step(struct search *s, struct bracket *b, double a, double *next)
{
    const struct point p = evaluate(s, a), last = b->low;
    const bool closed = isfinite(b->high.a);
    if (isnan(p.slope) || !falls_enough(b, p) || p.value > b->low.value + noise_of(b)) {
        b->high = p;
    } else {
        swap(&s->trial_gradient, &s->best_gradient);
        b->low = p;
        if (is_flat(b, p))
            return true;
        const double outward = closed ? b->high.a - last.a : 1;
        if (p.slope * outward >= 0)
            b->high = last;
    }
    *next = isfinite(b->high.a) ? between(b) : beyond(b, last);
    return false;
}

/* Moves trial_x, trial_gradient and *value to a better point along the direction; false where there
 * is none. The first that meets the Wolfe conditions, or else the best that was found. */
static bool line_search(struct search *s, double slope, double first, double *value)
{
    struct bracket b = {.start = {0, s->value, slope}, .widths = {INFINITY, INFINITY}};
    b.low = b.start;
    b.high = (struct point){INFINITY, NAN, NAN};
    double a = first;
    for (int i = 0; i < TRIALS; i++) {
        if (try_step(s, &b, a, &a))
            break;
        /* too near to be told apart, or out of range */
        if (!isfinite(a) || fabs(a - b.low.a) <= DBL_EPSILON * b.low.a || a == 0)
            break;
    }
    if (b.low.a == 0)
        return false;
    for (size_t i = 0; i < s->n; i++)
        s->trial_x[i] = s->x[i] + b.low.a * s->direction[i];
    swap(&s->trial_gradient, &s->best_gradient);
    *value = b.low.value;
    return true;
}

/* ---- iterations ---------------------------------------------------------------------------------
 */

/* Length 1 in x: nothing is known yet of the function's scale. By way of the largest element, so
 * that squares stay in range. */
static double first_step(const struct search *s)
{
    const double most = s->result.gradient;
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += (s->gradient[i] / most) * (s->gradient[i] / most);
    return 1 / most / sqrt(sum);
}

static bool is_small(const struct search *s, double fall, double value)
{
    return fall <= s->config.change_below * fmax(fabs(s->value), fabs(value));
}

/* A step; false where there is none that goes down. */
static bool iterate(struct search *s)
{
    double slope, value;
    for (;;) {
        two_loops(s);
        slope = dot(s->n, s->direction, s->gradient);
        if (slope < 0 && line_search(s, slope, s->count ? 1 : first_step(s), &value))
            break;
        /* half the slope is the fall that a quadratic would have */
        s->result.converged = s->count && slope < 0 && is_small(s, -slope / 2, s->value);
        if (s->result.converged || !s->count)
            return false;
        s->count = 0; /* once more, down the gradient */
    }
    remember(s);
    const bool small = is_small(s, s->value - value, value);
    swap(&s->x, &s->trial_x);
    swap(&s->gradient, &s->trial_gradient);
    s->value = s->result.value = value;
    s->result.iterations++;
    s->result.gradient = largest(s->n, s->gradient);
    s->result.converged = small || s->result.gradient <= s->config.gradient_below;
    return true;
}

static ad_status begin(struct search *s, nn_error *error)
{
    s->value = s->result.value = s->f(s->x, s->gradient, s->user);
    s->result.evaluations = 1;
    s->result.gradient = largest(s->n, s->gradient);
    if (!isfinite(s->value))
        return nn_fail(error, AD_NOT_FINITE,
                       "nn_lbfgs_minimise: the value at the start is %s: begin elsewhere",
                       isnan(s->value) ? "NaN" : "infinite");
    for (size_t i = 0; i < s->n; i++)
        if (!isfinite(s->gradient[i]))
            return nn_fail(error, AD_NOT_FINITE,
                           "nn_lbfgs_minimise: the gradient's element %zu at the start is %s: "
                           "begin elsewhere",
                           i, isnan(s->gradient[i]) ? "NaN" : "infinite");
    s->result.converged = s->result.gradient <= s->config.gradient_below;
    return AD_OK;
}

/* ---- put aside, and taken up again --------------------------------------------------------------
 */

/* false: no memory */
static bool put_aside(const struct search *s, nn_lbfgs_state *to)
{
    const size_t n = s->n;
    double *v = realloc(to->vectors, (2 + 2 * (size_t)s->count) * n * sizeof *v + 1);
    if (!v)
        return false;
    *to = (nn_lbfgs_state){v, s->count, s->value, s->result.converged};
    memcpy(v, s->x, n * sizeof *v);
    memcpy(v + n, s->gradient, n * sizeof *v);
    for (int age = 0; age < s->count; age++) {
        memcpy(v += 2 * n, pair_at(s, age)->s, n * sizeof *v);
        memcpy(v + n, pair_at(s, age)->y, n * sizeof *v);
    }
    return true;
}

/* Where more pairs were kept than are now, the newest. */
static void take_up(struct search *s, const nn_lbfgs_state *from)
{
    const size_t n = s->n;
    const double *v = from->vectors;
    memcpy(s->x, v, n * sizeof *v);
    memcpy(s->gradient, v + n, n * sizeof *v);
    s->count = from->pairs < s->config.history ? from->pairs : s->config.history;
    v += 2 * n * (size_t)(from->pairs - s->count);
    for (int i = 0; i < s->count; i++) {
        struct pair *p = &s->pairs[i];
        memcpy(p->s, v += 2 * n, n * sizeof *v);
        memcpy(p->y, v + n, n * sizeof *v);
        p->rho = 1 / dot(n, p->s, p->y);
    }
    s->value = s->result.value = from->value;
    s->result.gradient = largest(n, s->gradient);
    s->result.converged = from->converged;
}

static ad_status minimise(struct search *s, nn_lbfgs_state *state, nn_error *error)
{
    bool on = true;
    ad_status status = AD_OK;
    if (state && state->vectors)
        take_up(s, state);
    else
        status = begin(s, error);
    if (status)
        return status;
    while (on && !s->result.converged && s->result.iterations < s->config.iterations) {
        on = iterate(s);
        if (on && state && !put_aside(s, state))
            return nn_no_memory(error);
        on = on && (!s->config.report || s->config.report(s->user, s->x, &s->result));
    }
    return AD_OK;
}

/* ---- the call -----------------------------------------------------------------------------------
 */

static ad_status settle(nn_lbfgs_config *config, const nn_lbfgs_config *given, int pairs,
                        nn_error *error)
{
    *config = given ? *given : (nn_lbfgs_config){0};
    if (config->iterations < 0 || config->history < 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "nn_lbfgs_minimise: iterations %d and history %d must be 0 (the default) or "
                       "more",
                       config->iterations, config->history);
    if (isnan(config->gradient_below) || isnan(config->change_below))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "nn_lbfgs_minimise: gradient_below and change_below must be numbers");
    if (config->iterations == 0)
        config->iterations = 100;
    if (config->history == 0)
        config->history = 10;
    if (config->history - pairs > config->iterations) /* there will not be more pairs */
        config->history = config->iterations + pairs;
    if (config->gradient_below == 0)
        config->gradient_below = 1e-8;
    if (config->change_below == 0)
        config->change_below = 1e-12;
    return AD_OK;
}

static ad_status allocate(struct search *s, nn_error *error)
{
    const size_t vectors = 6 + 2 * (size_t)s->config.history;
    if (s->n > SIZE_MAX / sizeof(double) / vectors)
        return nn_fail(error, AD_TOO_LARGE,
                       "nn_lbfgs_minimise: %zu variables and a history of %d need more memory than "
                       "there can be",
                       s->n, s->config.history);
    s->memory = calloc(vectors * s->n + 1, sizeof(double));
    s->pairs = calloc((size_t)s->config.history + 1, sizeof *s->pairs);
    if (!s->memory || !s->pairs)
        return nn_no_memory(error);
    double **names[] = {&s->x,       &s->gradient,       &s->direction,
                        &s->trial_x, &s->trial_gradient, &s->best_gradient};
    double *next = s->memory;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++, next += s->n)
        *names[i] = next;
    for (int i = 0; i < s->config.history; i++, next += 2 * s->n) {
        s->pairs[i].s = next;
        s->pairs[i].y = next + s->n;
    }
    return AD_OK;
}

ad_status nn_lbfgs_go_on(nn_objective f, void *user, int64_t n, double *x,
                         const nn_lbfgs_config *config, nn_lbfgs_state *state,
                         nn_lbfgs_result *result, nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!f || (!x && n > 0))
        return nn_fail(error, AD_NULL, "nn_lbfgs_minimise: %s is NULL", f ? "x" : "f");
    if (n < 0)
        return nn_fail(error, AD_BAD_ARGUMENT, "nn_lbfgs_minimise: %lld variables", (long long)n);
    struct search s = {.f = f, .user = user, .n = (size_t)n};
    ad_status status = settle(&s.config, config, state && state->vectors ? state->pairs : 0, error);
    if (!status)
        status = allocate(&s, error);
    if (!status) {
        if (n)
            // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): allocate made it
            memcpy(s.x, x, s.n * sizeof *x);
        status = minimise(&s, state, error);
        if (n && !status)
            memcpy(x, s.x, s.n * sizeof *x);
    }
    if (result)
        *result = s.result;
    free(s.pairs);
    free(s.memory);
    return status;
}

ad_status nn_lbfgs_minimise(nn_objective f, void *user, int64_t n, double *x,
                            const nn_lbfgs_config *config, nn_lbfgs_result *result, nn_error *error)
{
    return nn_lbfgs_go_on(f, user, n, x, config, NULL, result, error);
}
