/* operation.c - an operation of your own: Kepler's equation, whose solution no table of functions
 * has
 *
 * E = kepler(M, e) solves E - e sin E = M by Newton's method. Recording the iterations would work,
 * but the implicit function theorem gives the derivative at once, from the solution alone:
 *
 *     dE = (dM + sin E de) / (1 - e cos E)
 *
 * The operation gets that derivative three times: as cotangents for reverse sweeps, as tangent for
 * forward ones, and as expression code, which can be derived again. The gradient check compares all
 * of it. */
#include <stdio.h>

#include <tapegrad/ad.h>

static bool kepler_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    const double mean = a[0].data[0], eccentricity = a[1].data[0];
    double E = mean;
    for (int i = 0; i < 50; i++) {
        double off = E - eccentricity * sin(E) - mean;
        E -= off / (1 - eccentricity * cos(E));
        if (fabs(off) < 1e-15)
            break;
    }
    y->data[0] = E;
    return isfinite(E); /* false: an error of the tape */
}

static bool kepler_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                           const ad_array *dy, ad_array *da)
{
    (void)user, (void)n;
    const double E = y->data[0], g = dy->data[0] / (1 - a[1].data[0] * cos(E));
    if (da[0].data) /* NULL: not asked for */
        da[0].data[0] += g;
    if (da[1].data)
        da[1].data[0] += g * sin(E);
    return true;
}

static bool kepler_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                           const ad_array *da, ad_array *dy)
{
    (void)user, (void)n;
    const double E = y->data[0];
    dy->data[0] = (da[0].data[0] + sin(E) * da[1].data[0]) / (1 - a[1].data[0] * cos(E));
    return true;
}

static void kepler_record(void *user, int n, const ad_var *a, ad_var y, ad_var dy, ad_var *da)
{
    (void)user, (void)n;
    da[0] = ad_div(dy, ad_sub(1, ad_mul(a[1], ad_cos(y))));
    da[1] = ad_mul(da[0], ad_sin(y));
}

static const ad_operation kepler = {"kepler", kepler_value, kepler_adjoint, kepler_tangent,
                                    kepler_record};

/* distance of a planet from its sun, in half axes of its ellipse */
static ad_var distance(const ad_var *x, void *user)
{
    (void)user;
    ad_var E = ad_call(x[0].tape, &kepler, NULL, 2, x, 0, NULL);
    return ad_sub(1, ad_mul(x[1], ad_cos(E)));
}

int main(void)
{
    const double x[2] = {1.0, 0.2056}; /* Mercury's eccentricity */
    double value, gradient[2], hessian[4];
    ad_check_report report;
    ad_status s = ad_value_and_gradient(distance, NULL, 2, x, &value, gradient);
    if (!s)
        s = ad_hessian(distance, NULL, 2, x, hessian);
    if (!s)
        s = ad_gradcheck(distance, NULL, 2, x, &(ad_check_options){.second_order = true}, &report);
    if (s) {
        fprintf(stderr, "operation: %s\n", ad_status_name(s));
        return 1;
    }
    printf("distance %.6f, gradient (%.6f, %.6f)\n", value, gradient[0], gradient[1]);
    printf("second derivatives %.6f %.6f %.6f\n\n", hessian[0], hessian[1], hessian[3]);
    fputs(report.text, stdout);
    return 0;
}
