/* check_second.c - the gradient check one order higher: the recorded gradient, and Hessian-vector
 * products
 *
 * Four opinions: the recorded gradient has the numeric one's value; its tangents by duals are what
 * a reverse sweep over it gives; and both are what differences of the numeric gradient say, which
 * no recorded rule has touched. */
#define AD_PLAIN
#include "gradcheck.h"
#include <float.h>

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
    check_random(c, 1, d->v, total);
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
        s = check_magnitudes(c, d->sum, &(double){1});
    for (int64_t i = 0, at = 0; !s && i < c->n; at += c->in[i++].value.size)
        s = ad_grad_read(c->x[i], d->magnitude + at);
    return s;
}

static ad_status second_differ(check *c, int i, int64_t e, const char *what, double got,
                               double want)
{
    check_blame(c, i, e, got, want, blame_operation);
    check_say(c, "second order: %s: %.17g against %.17g\n", what, got, want);
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
            if (!check_agree(recorded[e], in->reverse[e],
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
    const double bound = c->unit * (1 + check_path_length(c)) * slack;
    for (int64_t i = 0, at = 0; i < c->n; at += c->in[i++].value.size)
        for (int64_t e = 0; e < c->in[i].value.size; e++)
            if (!check_agree(d->reverse[at + e], d->forward[at + e],
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
    ad_status s = check_record_at(c, true);
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
    double *g = arena_zeros(&c->memory, (size_t)total * 6 * sizeof *g + 8);
    if (!g)
        return AD_NO_MEMORY;
    double *want = g + 4 * total, *error = want + total;
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
            if (!narrower || check_better(estimate, off, want[e], error[e]))
                want[e] = estimate, error[e] = off;
        }
        if (s && !narrower)
            return AD_OK; /* the neighbourhood leaves the domain: no opinion */
    }
    for (int64_t i = 0, at = 0; i < c->n; at += c->in[i++].value.size)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            double got = d->forward[at + e], off = error[at + e] + 1e-7 * fabs(got);
            if (isfinite(got) && isfinite(want[at + e]) && !check_agree(got, want[at + e], 2 * off))
                return second_differ(c, (int)i, e,
                                     "a Hessian-vector product, and differences of the gradient",
                                     got, want[at + e]);
        }
    return AD_OK;
}

/* The recorded gradient must be the numeric one; then, along one random direction v, its tangents
 * by duals must be the gradient of <gradient, v>, and what differences of the gradient give. */
ad_status check_second_order(check *c)
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
