/* check_differences.c - the third opinion of a gradient check: differences of values, which read no
 * rule at all */
#define AD_PLAIN
#include "gradcheck.h"
#include <float.h>

static ad_status value_at(check *c, const array *moved, int64_t e, double x, double *value,
                          double *size)
{
    double old = array_get(moved, e);
    array_put(moved, e, x);
    ad_status s = check_record_at(c, true);
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
bool check_better(double d, double off, double than, double than_off)
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
    for (int j = 0; j < 5 && (s || !check_agree(got, *derivative, *error)); j++) {
        double d, uncertain;
        h /= 8;
        ad_status narrow = difference(c, i, e, h, &d, &uncertain);
        if (!narrow && isfinite(d) && (s || check_better(d, uncertain, *derivative, *error)))
            *derivative = d, *error = uncertain, s = AD_OK;
    }
    return s;
}

ad_status check_differences(check *c)
{
    ad_check_report *r = c->report;
    for (int i = 0; i < c->n; i++)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            double want, error, got = c->in[i].reverse[e];
            ad_status s = best_difference(c, i, e, &want, &error);
            if (s) { /* the neighbourhood leaves the domain: differences have no opinion there */
                check_say(c, "differences: none at element %lld of input %d: %s\n", (long long)e, i,
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
            s = check_record_at(c, false);
            check_blame(c, i, e, got, want, s ? NULL : blame_formula);
            check_say(c, "reverse mode and duals give %.17g, differences %.9g +- %.2g\n", got, want,
                      error);
            return AD_MISMATCH;
        }
    return check_record_at(c, false);
}
