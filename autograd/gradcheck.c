/* gradcheck.c - is a gradient right? Reverse mode against duals within rounding, then both against
 * differences
 *
 * Three opinions that share no formula: the reverse sweep reads ops.def, the forward sweep reads
 * dual.h, and differences read nothing. Reverse and duals must agree to a bound that is computed,
 * not guessed: a further reverse sweep sums the magnitudes of all contributions to an element, and
 * rounding can move it by that sum, times the unit roundoff, times the length of the longest path.
 * Differences see what a common mistake would hide. */
#define AD_PLAIN
#include "gradcheck.h"
#include "algebra.h"
#include "random.h"
#include "tensor.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

typedef struct input {
    array value; /* what the check was asked for: not to be changed */
    array moved; /* a copy in the same dtype, for differences */
    double *reverse, *magnitude, *dual;
} input;

typedef struct check {
    ad_function f;
    void *user;
    int n;
    input *in;
    ad_var *x, y;
    double *seed, *y_values; /* of the output */
    int64_t y_size;
    ad_tape *t;
    arena memory;
    double unit, bound,
        reach; /* roundoff; allowed error in units of it; distance at which kinks matter */
    const ad_check_options *options;
    ad_check_report *report;
    size_t used; /* of the report's text */
} check;

static void say(check *c, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
static void say(check *c, const char *format, ...)
{
    size_t room = sizeof c->report->text - c->used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(c->report->text + c->used, room, format, args);
    va_end(args);
    c->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static ad_status fail(check *c, ad_status s)
{
    c->report->status = s;
    if (!c->used)
        say(c, "gradient check: %s: %s\n", ad_status_name(s), ad_tape_error(c->t));
    return s;
}

static bool agree(double got, double want, double allowed)
{
    return got == want || (isnan(got) && isnan(want)) ||
           (isfinite(got) && isfinite(want) && fabs(got - want) <= allowed);
}

/* ---- recording ---- */

static ad_status record_at(check *c, bool moved)
{
    ad_reset(c->t);
    for (int i = 0; i < c->n; i++) {
        const array *v = moved ? &c->in[i].moved : &c->in[i].value;
        c->x[i] = v->rank ? ad_input_array(c->t, v->dtype, v->rank, v->shape, v->data)
                          : ad_input(c->t, array_get(v, 0));
    }
    c->y = c->f(c->x, c->user);
    if (ad_tape_status(c->t))
        return ad_tape_status(c->t);
    return !c->y.tape ? AD_NULL : c->y.tape != c->t && !is_constant(c->y) ? AD_FOREIGN : AD_OK;
}

/* the longest chain of operations, weighted by how many roundings each may add */
static double path_length(check *c)
{
    const frame *f = &c->t->frame;
    double *length = arena_zeros(&c->memory, ((size_t)f->n + 1) * sizeof *length), longest = 0;
    if (!length)
        return -1;
    for (uint32_t i = 0; i < f->n; i++) {
        double before = 0;
        for (int k = 0;; k++) {
            int64_t p = ad_node_parent(c->t, i, k);
            if (p < 0)
                break;
            before = fmax(before, length[p]);
        }
        const block *b = block_at(f->nodes, i);
        int64_t size = 1;
        for (uint32_t k = 0; b && k < b->n_args; k++)
            size = block_arg(f, b, (int)k).size > size ? block_arg(f, b, (int)k).size : size;
        if (b && b->out.dtype == AD_F32)
            c->unit = FLT_EPSILON / 2;
        length[i] = before + (b && b->op->is_leaf ? 0 : 8 + 2 * log2((double)size));
        longest = fmax(longest, length[i]);
    }
    return longest;
}

static ad_status take_numbers(check *c, double **p, int64_t n)
{
    return (*p = arena_zeros(&c->memory, (size_t)n * sizeof **p + 8)) ? AD_OK : AD_NO_MEMORY;
}

static void random_numbers(const check *c, uint64_t key, double *to, int64_t n)
{
    array a = array_of(to, AD_F64, 1, &n);
    random_normal(random_stream_of(c->options->seed, key, 0), &a);
}

static ad_status prepare(check *c)
{
    ad_status s = record_at(c, false);
    if (s)
        return s;
    c->unit = DBL_EPSILON / 2;
    c->t->frame.n = c->t->head.n;
    c->bound = 1 + path_length(c);
    if (c->bound < 1)
        return AD_NO_MEMORY;
    c->bound *= c->options->slack > 0 ? c->options->slack : 1;
    c->y_size = ad_size(c->y);
    if ((s = take_numbers(c, &c->seed, c->y_size)) ||
        (s = take_numbers(c, &c->y_values, c->y_size)))
        return s;
    for (int64_t j = 0; j < c->y_size; j++)
        c->seed[j] = 1;
    if (c->options->random_seeds)
        random_numbers(c, 0, c->seed, c->y_size);
    for (int i = 0; i < c->n; i++) {
        input *in = &c->in[i];
        in->moved = array_of(NULL, in->value.rank ? in->value.dtype : AD_F64, in->value.rank,
                             in->value.shape); /* a scalar is a double */
        in->moved.data = arena_take(&c->memory, array_bytes(&in->moved) + 8);
        if (!in->moved.data || take_numbers(c, &in->reverse, in->value.size) ||
            take_numbers(c, &in->magnitude, in->value.size) ||
            take_numbers(c, &in->dual, in->value.size))
            return AD_NO_MEMORY;
        array_copy(&in->moved, &in->value);
    }
    return AD_OK;
}

/* ---- reverse, magnitudes, duals ---- */

/* leaves sums of |contributions| where gradients are read */
static ad_status magnitude_sweep(check *c, ad_var y, const double *seed)
{
    frame *f = &c->t->frame;
    uint32_t i = y.u.node.id & ~AD_TENSOR_BIT_;
    f->n = c->t->head.n;
    frame_clear_adjoints(f, f->n);
    frame_begin_pass(f, false);
    f->magnitude = true;
    ad_status s = frame_seed(f, i, seed, 1);
    if (!s)
        s = sweep_backward(f, i, true);
    f->magnitude = false;
    c->t->kept = true;
    c->t->swept_top = f->n;
    return s;
}

static ad_status reverse_sweeps(check *c)
{
    if (is_constant(c->y))
        return AD_OK; /* all zero */
    const double *seeds[1] = {c->seed};
    ad_status s = ad_vjp(1, &c->y, seeds);
    for (int i = 0; !s && i < c->n; i++)
        s = ad_grad_read(c->x[i], c->in[i].reverse);
    double *magnitudes = arena_take(&c->memory, (size_t)c->y_size * sizeof *magnitudes + 8);
    if (!magnitudes)
        return AD_NO_MEMORY;
    for (int64_t j = 0; j < c->y_size; j++)
        magnitudes[j] = fabs(c->seed[j]);
    if (!s)
        s = magnitude_sweep(c, c->y, magnitudes);
    for (int i = 0; !s && i < c->n; i++)
        s = ad_grad_read(c->x[i], c->in[i].magnitude);
    return s;
}

/* Every element of every input is a direction; eight in a sweep. */
static ad_status dual_sweeps(check *c, int which)
{
    enum { WIDTH = 8 };
    const input *in = &c->in[which];
    arena_mark mark = arena_here(&c->memory);
    double *seeds = arena_take(&c->memory, (size_t)in->value.size * WIDTH * sizeof *seeds + 8);
    double *out = arena_take(&c->memory, (size_t)c->y_size * WIDTH * sizeof *out + 8);
    ad_status s = seeds && out ? AD_OK : AD_NO_MEMORY;
    for (int64_t e = 0; !s && e < in->value.size; e += WIDTH) {
        int count = in->value.size - e < WIDTH ? (int)(in->value.size - e) : WIDTH;
        memset(seeds, 0, (size_t)in->value.size * WIDTH * sizeof *seeds);
        for (int w = 0; w < count; w++)
            seeds[w * in->value.size + e + w] = 1;
        const double *const tangents[1] = {seeds};
        double *const results[1] = {out};
        s = ad_jvp(1, &c->x[which], tangents, 1, &c->y, results, count);
        for (int w = 0; !s && w < count; w++)
            for (int64_t j = 0; j < c->y_size; j++)
                if (c->seed[j] != 0 && out[w * c->y_size + j] != 0)
                    in->dual[e + w] += c->seed[j] * out[w * c->y_size + j];
    }
    arena_rewind(&c->memory, mark);
    return s;
}

static void blame(check *c, int i, int64_t e, double got, double want,
                  bool (*find)(ad_tape *, ad_check_report *))
{
    ad_check_report *r = c->report;
    r->status = AD_MISMATCH;
    r->input = i;
    r->element = e;
    r->node = -1;
    r->got = got;
    r->want = want;
    say(c, "gradient check: FAILED at element %lld of input %d\n", (long long)e, i);
    if (find && find(c->t, r))
        say(c,
            "first wrong operation: %s, argument %d (node %lld%s%s%s%s)\n  at (%.9g, %.9g, %.9g): "
            "got %.9g, want %.9g\n",
            r->operation, r->argument, (long long)r->node, *r->scope ? ", " : "", r->scope,
            *r->site ? ", " : "", r->site, r->at[0], r->at[1], r->at[2], r->got, r->want);
}

static ad_status compare_duals(check *c)
{
    ad_check_report *r = c->report;
    for (int i = 0; i < c->n; i++)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            const input *in = &c->in[i];
            double got = in->reverse[e], want = in->dual[e], scale = c->unit * in->magnitude[e];
            r->elements++;
            if (got != want && scale > 0)
                r->worst_ulps = fmax(r->worst_ulps, fabs(got - want) / scale);
            if (agree(got, want, c->bound * scale + DBL_MIN))
                continue;
            if (!isfinite(want) && r->kinks)
                continue; /* an infinite partial at a kink */
            blame(c, i, e, got, want, blame_operation);
            say(c,
                "reverse mode gives %.17g, duals %.17g: %.3g units of rounding apart, %.3g "
                "allowed\n",
                got, want, scale > 0 ? fabs(got - want) / scale : (double)INFINITY, c->bound);
            return AD_MISMATCH;
        }
    return AD_OK;
}

/* ---- differences ---- */

static ad_status value_at(check *c, const array *moved, int64_t e, double x, double *value,
                          double *size)
{
    double old = array_get(moved, e);
    array_put(moved, e, x);
    ad_status s = record_at(c, true);
    array_put(moved, e, old);
    *value = *size = 0;
    if (!s && ad_size(c->y) != c->y_size)
        s = AD_BAD_SHAPE;
    if (!s)
        s = ad_read(c->y, c->y_values);
    for (int64_t j = 0; !s && j < c->y_size; j++) {
        *value += c->seed[j] * c->y_values[j];
        *size += fabs(c->seed[j] * c->y_values[j]);
    }
    return s;
}

/* central differences at two steps, extrapolated; *error is what they may be off by */
static ad_status difference(check *c, int i, int64_t e, double h, double *derivative, double *error)
{
    const array *moved = &c->in[i].moved;
    double x = array_get(moved, e), d[2], noise = 0;
    for (int j = 0; j < 2; j++) {
        double step = j ? h / 2 : h, up, down, size_up, size_down;
        ad_status s = value_at(c, moved, e, x + step, &up, &size_up);
        if (!s)
            s = value_at(c, moved, e, x - step, &down, &size_down);
        if (s)
            return s;
        double width = moved->dtype == AD_F32
                           ? (double)(float)(x + step) - (double)(float)(x - step)
                           : (x + step) - (x - step);
        d[j] = (up - down) / width;
        noise = fmax(noise, (c->unit * c->bound * (size_up + size_down) + DBL_MIN) / step);
    }
    *derivative = (4 * d[1] - d[0]) / 3;
    *error = fabs(d[1] - d[0]) + noise;
    return AD_OK;
}

/* is one estimate more certain than another, absolutely or relative to itself */
static bool better(double d, double off, double than, double than_off)
{
    return off < than_off || off / (fabs(d) + off) < than_off / (fabs(than) + than_off);
}

/* The most certain of several steps: a pole or a bend nearby spoils the wide ones, rounding the
 * narrow ones. */
static ad_status best_difference(check *c, int i, int64_t e, double *derivative, double *error)
{
    const double x = array_get(&c->in[i].moved, e);
    double h = (c->unit > 1e-10 ? 4e-2 : 1e-3) * fmax(1, fabs(x));
    ad_status s = difference(c, i, e, h, derivative, error);
    const double got = c->in[i].reverse[e];
    for (int j = 0; j < 5 && (s || !agree(got, *derivative, *error)); j++) {
        double d, uncertain;
        h /= 8;
        ad_status narrow = difference(c, i, e, h, &d, &uncertain);
        if (!narrow && isfinite(d) && (s || better(d, uncertain, *derivative, *error)))
            *derivative = d, *error = uncertain, s = AD_OK;
    }
    return s;
}

static ad_status compare_differences(check *c)
{
    ad_check_report *r = c->report;
    for (int i = 0; i < c->n; i++)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            double want, error, got = c->in[i].reverse[e];
            ad_status s = best_difference(c, i, e, &want, &error);
            if (s) { /* the neighbourhood leaves the domain: differences have no opinion there */
                say(c, "differences: none at element %lld of input %d: %s\n", (long long)e, i,
                    ad_tape_error(c->t));
                continue;
            }
            if (!isfinite(want) || !isfinite(got))
                continue;
            double scale = fmax(fabs(got), fabs(want));
            if (fabs(got - want) <= error + 1e-9 * (scale + c->in[i].magnitude[e])) {
                if (scale > 0)
                    r->worst_difference =
                        fmax(r->worst_difference, fabs(got - want) / fmax(scale, 1));
                continue;
            }
            if (r->kinks)
                continue;
            s = record_at(c, false);
            blame(c, i, e, got, want, s ? NULL : blame_formula);
            say(c, "reverse mode and duals give %.17g, differences %.9g +- %.2g\n", got, want,
                error);
            return AD_MISMATCH;
        }
    return record_at(c, false);
}

/* ---- second order ---- */

typedef struct second {
    ad_var *g, sum;                        /* recorded gradients, and <gradient, direction> */
    double *v;                             /* the direction, all inputs in a row */
    double *forward, *reverse, *magnitude; /* of the product: duals, reverse sweep */
    const double **directions;
    double **products;
} second;

static ad_status second_prepare(check *c, second *d, int64_t total)
{
    d->g = arena_zeros(&c->memory, (size_t)c->n * sizeof *d->g + 8);
    d->v = arena_zeros(&c->memory, (size_t)total * 4 * sizeof *d->v + 8);
    d->directions = arena_zeros(&c->memory, (size_t)c->n * sizeof *d->directions + 8);
    d->products = arena_zeros(&c->memory, (size_t)c->n * sizeof *d->products + 8);
    if (!d->g || !d->v || !d->directions || !d->products)
        return AD_NO_MEMORY;
    d->forward = d->v + total;
    d->reverse = d->forward + total;
    d->magnitude = d->reverse + total;
    random_numbers(c, 1, d->v, total);
    return AD_OK;
}

/* the gradient as variables, and its product with the direction */
static ad_status second_record(check *c, second *d)
{
    ad_tape *t = c->t;
    ad_var cotangent = {0};
    if (ad_is_tensor(c->y))
        cotangent = ad_cast(ad_constant_array(t, AD_F64, ad_rank(c->y), ad_shape(c->y), c->seed),
                            ad_dtype_of(c->y));
    else
        cotangent = ad_constant(c->seed[0]);
    ad_status s = ad_gradients_seeded(1, &c->y, &cotangent, c->n, c->x, d->g);
    d->sum = ad_constant(0);
    for (int64_t i = 0, at = 0; !s && i < c->n; at += c->in[i++].value.size) {
        const array *x = &c->in[i].value;
        double *v = d->v + at;
        ad_var direction = ad_constant(*v), part;
        if (x->rank) {
            direction = ad_cast(ad_constant_array(t, AD_F64, x->rank, x->shape, v), x->dtype);
            s = ad_read(direction, v); /* as rounded to the dtype */
        }
        part = ad_mul(d->g[i], direction);
        d->sum = ad_add(d->sum, x->rank ? ad_sum(part) : part);
        d->directions[i] = v;
        d->products[i] = d->forward + at;
    }
    return s ? s : ad_tape_status(t);
}

static ad_status second_sweeps(check *c, second *d)
{
    ad_status s = ad_jvp(c->n, c->x, d->directions, c->n, d->g, d->products, 1);
    if (s || is_constant(d->sum))
        return s;
    s = ad_backward(d->sum);
    for (int64_t i = 0, at = 0; !s && i < c->n; at += c->in[i++].value.size)
        s = ad_grad_read(c->x[i], d->reverse + at);
    if (!s)
        s = magnitude_sweep(c, d->sum, &(double){1});
    for (int64_t i = 0, at = 0; !s && i < c->n; at += c->in[i++].value.size)
        s = ad_grad_read(c->x[i], d->magnitude + at);
    return s;
}

static ad_status second_differ(check *c, int i, int64_t e, const char *what, double got,
                               double want)
{
    blame(c, i, e, got, want, blame_operation);
    say(c, "second order: %s: %.17g against %.17g\n", what, got, want);
    return AD_MISMATCH;
}

/* the recorded gradient against the numeric one */
static ad_status second_values(check *c, const second *d)
{
    ad_status s = AD_OK;
    for (int i = 0; !s && i < c->n; i++) {
        const input *in = &c->in[i];
        double *recorded = arena_take(&c->memory, (size_t)in->value.size * sizeof *recorded + 8);
        s = recorded ? ad_read(d->g[i], recorded) : AD_NO_MEMORY;
        for (int64_t e = 0; !s && e < in->value.size; e++)
            if (!agree(recorded[e], in->reverse[e],
                       c->bound * c->unit * in->magnitude[e] + DBL_MIN) &&
                !c->report->kinks)
                s = second_differ(c, i, e, "the recorded gradient, and the numeric one",
                                  recorded[e], in->reverse[e]);
    }
    return s;
}

/* products by duals over the recorded gradient against those by the reverse sweep over it */
static ad_status second_products(check *c, const second *d)
{
    const double slack = c->options->slack > 0 ? c->options->slack : 1;
    const double bound = c->unit * (1 + path_length(c)) * slack;
    for (int64_t i = 0, at = 0; i < c->n; at += c->in[i++].value.size)
        for (int64_t e = 0; e < c->in[i].value.size; e++)
            if (!agree(d->reverse[at + e], d->forward[at + e],
                       bound * d->magnitude[at + e] + DBL_MIN) &&
                !c->report->kinks)
                return second_differ(c, (int)i, e,
                                     "a Hessian-vector product by reverse sweep, and by duals",
                                     d->reverse[at + e], d->forward[at + e]);
    return AD_OK;
}

/* the numeric gradient at x + step v, all inputs in a row */
static ad_status gradient_along(check *c, const second *d, double step, double *out)
{
    for (int64_t i = 0, at = 0; i < c->n; at += c->in[i++].value.size)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            const array *x = &c->in[i].value;
            array_put(&c->in[i].moved, e, array_get(x, array_offset(x, e)) + step * d->v[at + e]);
        }
    const double *seeds[1] = {c->seed};
    ad_status s = record_at(c, true);
    if (!s)
        s = ad_size(c->y) != c->y_size ? AD_BAD_SHAPE : ad_vjp(1, &c->y, seeds);
    for (int64_t i = 0, at = 0; !s && i < c->n; at += c->in[i++].value.size)
        s = ad_grad_read(c->x[i], out + at);
    for (int i = 0; i < c->n; i++)
        array_copy(&c->in[i].moved, &c->in[i].value);
    return s;
}

/* products against differences of the numeric gradient, which no recorded rule has touched */
static ad_status second_differences(check *c, const second *d, int64_t total)
{
    double *g = arena_zeros(&c->memory, (size_t)total * 6 * sizeof *g + 8), *want = g + 4 * total;
    double *error = want + total;
    if (!g)
        return AD_NO_MEMORY;
    double h = c->unit > 1e-10 ? 4e-2 : 1e-3, far = 1, rounded = 0;
    for (int i = 0; i < c->n; i++)
        for (int64_t e = 0; e < c->in[i].value.size; e++)
            far = fmax(far, fabs(array_get(&c->in[i].value, array_offset(&c->in[i].value, e))));
    for (int i = 0; i < c->n; i++)
        if (c->in[i].value.dtype == AD_F32) /* the step is rounded, too */
            rounded = 4 * (double)FLT_EPSILON * far, h = 4e-2;
    if (far > 1e8)
        return AD_OK; /* no step is both small and a step */
    for (int narrower = 0; narrower < 6; narrower++, h /= 8) {
        ad_status s = AD_OK;
        for (int k = 0; !s && k < 4; k++)
            s = gradient_along(c, d, (k & 1 ? -1 : 1) * (k < 2 ? h : h / 2), g + k * total);
        for (int64_t e = 0, i = 0, at = 0; !s && e < total; e++) {
            while (e - at >= c->in[i].value.size)
                at += c->in[i++].value.size;
            double wide = (g[e] - g[total + e]) / (2 * h),
                   narrow = (g[2 * total + e] - g[3 * total + e]) / h;
            double estimate = (4 * narrow - wide) / 3;
            double off =
                fabs(narrow - wide) + 4 * c->unit * c->bound * c->in[i].magnitude[e - at] / h;
            off += rounded / h * fabs(estimate);
            if (!narrower || better(estimate, off, want[e], error[e]))
                want[e] = estimate, error[e] = off;
        }
        if (s && !narrower)
            return AD_OK; /* the neighbourhood leaves the domain: no opinion */
    }
    for (int64_t i = 0, at = 0; i < c->n; at += c->in[i++].value.size)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            double got = d->forward[at + e], off = error[at + e] + 1e-7 * fabs(got);
            if (isfinite(got) && isfinite(want[at + e]) && !agree(got, want[at + e], 2 * off))
                return second_differ(c, (int)i, e,
                                     "a Hessian-vector product, and differences of the gradient",
                                     got, want[at + e]);
        }
    return AD_OK;
}

/* The recorded gradient must be the numeric one; then, along one random direction v, its tangents
 * by duals must be the gradient of <gradient, v>, and what differences of the gradient give. */
static ad_status second_order(check *c)
{
    second d = {0};
    int64_t total = 0;
    for (int i = 0; i < c->n; i++)
        total += c->in[i].value.size;
    ad_status s = second_prepare(c, &d, total);
    if (!s)
        s = second_record(c, &d);
    if (!s)
        s = second_values(c, &d);
    if (!s)
        s = second_sweeps(c, &d);
    if (!s)
        s = second_products(c, &d);
    if (!s && !c->options->no_differences && !c->report->kinks && !is_constant(c->y))
        s = second_differences(c, &d, total);
    return s;
}

/* ---- the whole ---- */

static ad_status run_check(check *c)
{
    ad_status s = prepare(c);
    char kinks[600];
    if (s)
        return fail(c, s);
    c->reach = (c->unit > 1e-10 ? 4e-2 : 1e-3) * 2;
    c->report->kinks = list_kinks(c->t, c->reach, kinks, sizeof kinks);
    s = reverse_sweeps(c);
    for (int i = 0; !s && i < c->n; i++)
        s = dual_sweeps(c, i);
    if (s)
        return fail(c, s);
    s = compare_duals(c);
    if (!s && !c->options->no_differences)
        s = compare_differences(c);
    if (!s && c->options->second_order)
        s = second_order(c);
    if (s && s != AD_MISMATCH)
        return fail(c, s);
    if (!s)
        say(c,
            "gradient check: passed\n%lld elements: reverse against duals within %.2g units of "
            "rounding (%.3g allowed)%s\n",
            (long long)c->report->elements, c->report->worst_ulps, c->bound,
            c->options->second_order ? ", second order too" : "");
    if (!s && !c->options->no_differences)
        say(c, "against central differences: worst relative disagreement %.1e\n",
            c->report->worst_difference);
    if (*kinks)
        say(c, "%s", kinks);
    if (c->report->kinks > 4)
        say(c, "... %d operations at or near kinks in all\n", c->report->kinks);
    c->report->passed = !s;
    return c->report->status = s;
}

static ad_status check_hand(check *c, const double *gradient)
{
    for (int i = 0; i < c->n; i++) {
        double want = c->in[i].reverse[0], got = gradient[i],
               error = c->unit * c->in[i].magnitude[0];
        if (agree(got, want, 1e-9 * fabs(want) + 64 * c->bound * error + DBL_MIN))
            continue;
        c->used = 0;
        c->report->passed = false;
        blame(c, i, 0, got, want, NULL);
        say(c, "the gradient given has %.17g, reverse mode and duals %.17g%s\n", got, want,
            fabs(got + want) <= 1e-9 * fabs(want) ? ": its sign is wrong" : "");
        return AD_MISMATCH;
    }
    return AD_OK;
}

static ad_status check_all(check *c, const double *hand)
{
    static const ad_check_options defaults = {0};
    ad_check_report unread;
    const ad_context *context = context_or_default(NULL);
    if (!c->report)
        c->report = &unread;
    *c->report = (ad_check_report){.node = -1};
    if (!c->options)
        c->options = &defaults;
    c->memory.context = context;
    c->t = ad_tape_new(NULL);
    c->x = arena_zeros(&c->memory, (size_t)c->n * sizeof *c->x + 8);
    ad_status s = c->x ? run_check(c) : fail(c, AD_NO_MEMORY);
    if (!s && hand)
        s = c->report->status = check_hand(c, hand);
    ad_tape_free(c->t);
    arena_free(&c->memory);
    return s;
}

static ad_status refuse(ad_check_report *r, ad_status s, const char *why)
{
    if (r) {
        *r = (ad_check_report){.status = s, .node = -1};
        snprintf(r->text, sizeof r->text, "gradient check: %s: %s\n", ad_status_name(s), why);
    }
    return s;
}

static ad_status check_scalars(ad_function f, void *user, int n, const double *x,
                               const double *hand, const ad_check_options *options,
                               ad_check_report *report)
{
    if (!f || n < 0 || (n && !x))
        return refuse(report, AD_NULL, "null function or point");
    size_t bytes = (size_t)n * sizeof(input);
    input *in = memory_take(context_or_default(NULL), bytes);
    if (!in)
        return refuse(report, AD_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        in[i].value = array_scalar((double *)(uintptr_t)&x[i]);
    check c = {.f = f, .user = user, .n = n, .in = in, .options = options, .report = report};
    ad_status s = check_all(&c, hand);
    memory_give(context_or_default(NULL), in, bytes);
    return s;
}

ad_status ad_gradcheck(ad_function f, void *user, int n, const double *x,
                       const ad_check_options *options, ad_check_report *report)
{
    return check_scalars(f, user, n, x, NULL, options, report);
}

ad_status ad_gradcheck_against(ad_function f, void *user, int n, const double *x,
                               const double *gradient, const ad_check_options *options,
                               ad_check_report *report)
{
    if (!gradient)
        return refuse(report, AD_NULL, "null gradient");
    return check_scalars(f, user, n, x, gradient, options, report);
}

ad_status ad_gradcheck_tensors(ad_function f, void *user, int n, ad_tensor *const *x,
                               const ad_check_options *options, ad_check_report *report)
{
    if (!f || n < 0 || (n && !x))
        return refuse(report, AD_NULL, "null function or point");
    size_t bytes = (size_t)n * sizeof(input);
    input *in = memory_take(context_or_default(NULL), bytes);
    ad_status s = in ? AD_OK : refuse(report, AD_NO_MEMORY, "out of memory");
    for (int i = 0; !s && i < n; i++) {
        if (!x[i] || ad_tensor_dtype(x[i]) == AD_I32)
            s = refuse(report, x[i] ? AD_BAD_DTYPE : AD_NULL, "an input is null, or of integers");
        else
            in[i].value = tensor_array(x[i]);
    }
    if (!s) {
        check c = {.f = f, .user = user, .n = n, .in = in, .options = options, .report = report};
        s = check_all(&c, NULL);
    }
    memory_give(context_or_default(NULL), in, bytes);
    return s;
}
