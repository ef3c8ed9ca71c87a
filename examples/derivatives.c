/* derivatives.c - gradient, Jacobian and Hessian of functions, without a tape in sight
 *
 * A function is written once, as expression code, and handed over with the point. */
#include <stdio.h>

#include <tapegrad/ad.h>

/* Rosenbrock's valley: its minimum, 0, is at (1, 1). `user` is the steepness of its walls. */
static ad_var valley(const ad_var *x, void *user)
{
    const double *steepness = user;
    ad_var wall = ad_sub(x[1], ad_square(x[0]));
    return ad_add(ad_square(ad_sub(1, x[0])), ad_mul(*steepness, ad_square(wall)));
}

/* from polar coordinates (r, angle) to x and y */
static void polar(const ad_var *x, ad_var *y, void *user)
{
    (void)user;
    y[0] = ad_mul(x[0], ad_cos(x[1]));
    y[1] = ad_mul(x[0], ad_sin(x[1]));
}

/* One step of Newton's method: solves hessian * step = gradient for two unknowns. */
static void newton(const double *hessian, const double *gradient, double *x)
{
    double determinant = hessian[0] * hessian[3] - hessian[1] * hessian[2];
    x[0] -= (hessian[3] * gradient[0] - hessian[1] * gradient[1]) / determinant;
    x[1] -= (hessian[0] * gradient[1] - hessian[2] * gradient[0]) / determinant;
}

int main(void)
{
    double jacobian[4];
    ad_status s = ad_jacobian(polar, NULL, 2, (const double[]){2, 0.5}, 2, jacobian);
    if (s)
        goto failed;
    printf("Jacobian of the polar coordinates at r = 2, angle 0.5:\n"
           "  %9.6f %9.6f\n  %9.6f %9.6f   determinant %g, which is r\n\n",
           jacobian[0], jacobian[1], jacobian[2], jacobian[3],
           jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2]);

    double x[2] = {-1.2, 1}, steepness = 100;
    printf("Newton's method in Rosenbrock's valley:\n");
    for (int step = 0; step <= 6; step++) {
        double value, gradient[2], hessian[4];
        s = ad_value_and_gradient(valley, &steepness, 2, x, &value, gradient);
        if (!s)
            s = ad_hessian(valley, &steepness, 2, x, hessian);
        if (s)
            goto failed;
        printf("  step %d: (%9.6f, %9.6f)  value %.3e\n", step, x[0], x[1], value);
        newton(hessian, gradient, x);
    }
    return 0;
failed:
    fprintf(stderr, "derivatives: %s\n", ad_status_name(s));
    return 1;
}
