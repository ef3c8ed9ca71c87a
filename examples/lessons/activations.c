/* activations.c - the activations of lectures 002 and 004, and their derivatives
 *
 *     activations [FILE.svg]     activations.svg where not said
 *
 * Values and derivatives at five points, the kinks, both ends of the sigmoid, softmax with its
 * Jacobian, and maxout; and all of them as a picture. */
#include "lesson.h"

enum { POINTS = 5, KINDS = 5, CLASSES = 3 };
static const double points[POINTS] = {-2, -.5, 0, .5, 2};

static ad_var sigmoid(const ad_var *x, void *user) { return (void)user, ad_sigmoid(x[0]); }
static ad_var tangent(const ad_var *x, void *user) { return (void)user, ad_tanh(x[0]); }
static ad_var relu(const ad_var *x, void *user) { return (void)user, ad_relu(x[0]); }
static ad_var leaky(const ad_var *x, void *user) { return (void)user, ad_leaky_relu(x[0], .01); }
static ad_var softplus(const ad_var *x, void *user) { return (void)user, ad_softplus(x[0]); }

typedef struct activation {
    const char *name, *derivative;
    ad_function f;
    double values[POINTS], slopes[POINTS]; /* right, at the points */
} activation;

static const activation activations[KINDS] = {
    {"sigmoid",
     "sigmoid'",
     sigmoid,
     {.11920292202211756, .37754066879814546, .5, .6224593312018546, .8807970779778824},
     {.10499358540350652, .2350037122015945, .25, .2350037122015945, .10499358540350652}},
    {"tanh",
     "tanh'",
     tangent,
     {-.9640275800758169, -.46211715726000974, 0, .46211715726000974, .9640275800758169},
     {.07065082485316447, .7864477329659274, 1, .7864477329659274, .07065082485316447}},
    {"ReLU", "ReLU'", relu, {0, 0, 0, .5, 2}, {0, 0, 0, 1, 1}},
    {"leaky ReLU", "leaky ReLU'", leaky, {-.02, -.005, 0, .5, 2}, {.01, .01, .01, 1, 1}},
    {"softplus",
     "softplus'",
     softplus,
     {.1269280110429725, .4740769841801067, .6931471805599453, .9740769841801067,
      2.1269280110429727},
     {.11920292202211756, .37754066879814546, .5, .6224593312018546, .8807970779778824}}};

static void value_and_slope(lesson *l, ad_function f, double x, double *value, double *slope)
{
    *value = *slope = NAN;
    lesson_ok(l, ad_value_and_gradient(f, NULL, 1, &x, value, slope), "derivative");
}

static void show_points(lesson *l)
{
    lesson_part("At five points");
    lesson_table();
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < POINTS; i++) {
            const activation *a = &activations[k];
            double value, slope;
            char what[64];
            value_and_slope(l, a->f, points[i], &value, &slope);
            snprintf(what, sizeof what, "%s(%g)", a->name, points[i]);
            lesson_number(l, what, NULL, value, a->values[i]);
            snprintf(what, sizeof what, "%s(%g)", a->derivative, points[i]);
            const bool at_kink = points[i] == 0 && (a->f == relu || a->f == leaky);
            lesson_number(l, what, at_kink ? "1" : NULL, slope, a->slopes[i]);
        }
    puts("\n  At a kink every slope between those of both sides is a subgradient; 1 could be\n"
         "  chosen, and is not: PyTorch takes 0 and .01, the slopes of the left side; so does\n"
         "  Tapegrad.");
}

/* ---- max(x, ax) ----------------------------------------------------------------------------- */

static ad_var larger(const ad_var *x, void *user)
{
    const double a = *(const double *)user;
    return ad_max(x[0], ad_mul(a, x[0]));
}

static void show_larger(lesson *l)
{
    static const double slopes[3] = {.01, -1, 2}, right[3] = {-.02, 2, -2};
    lesson_part("max(x, a x), a ≤ 1");
    puts("  With a < 0 negative inputs come out positive, with -1 as |x|. It takes 0 ≤ a ≤ 1.\n");
    lesson_table();
    for (int i = 0; i < 3; i++) {
        double a = slopes[i], x = -2, value = NAN, slope;
        char what[64];
        lesson_ok(l, ad_value_and_gradient(larger, &a, 1, &x, &value, &slope), "max");
        snprintf(what, sizeof what, "max(-2, a (-2)) with a = %g", a);
        lesson_number(l, what, NULL, value, right[i]);
    }
    double a = -1, x = -2, value = NAN, slope = NAN;
    lesson_ok(l, ad_value_and_gradient(larger, &a, 1, &x, &value, &slope), "max");
    lesson_claim(l, "a = -1 is allowed: leaky?", "yes", value < 0, false);
    lesson_number(l, "its derivative at -2", NULL, slope, -1);
}

/* ---- the ends of the sigmoid ---------------------------------------------------------------- */

static void show_ends(lesson *l)
{
    double value, slope;
    lesson_part("'The sigmoid never reaches 0 or 1'");
    puts("  Not as a function. In doubles, with 53 bits, 1 - σ(z) is lost from z = 37 on, so that\n"
         "  ln(1 - a) is -inf there: costs are computed of z, not of a (ad_bce_logits).\n");
    lesson_table();
    value_and_slope(l, sigmoid, 36, &value, &slope);
    lesson_claim(l, "σ(36) < 1?", "yes", value < 1, true);
    value_and_slope(l, sigmoid, 37, &value, &slope);
    lesson_claim(l, "σ(37) < 1?", "yes", value < 1, false);
    lesson_number(l, "σ'(37), from both tails", NULL, slope, 8.5330476257440652e-17);
    value_and_slope(l, sigmoid, -746, &value, &slope);
    lesson_claim(l, "σ(-746) > 0?", "yes", value > 0, false);
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, 37), cost = ad_bce_logits(z, 0);
    ad_backward(cost);
    lesson_number(l, "-ln(1 - σ(37)), by the logit", NULL, ad_value(cost), 37);
    lesson_number(l, "and its derivative", NULL, ad_grad(z), 1);
    lesson_tape_free(l, t);
}

/* ---- of several inputs ---------------------------------------------------------------------- */

static void softmax(const ad_var *x, ad_var *y, void *user)
{
    (void)user;
    ad_var e[CLASSES], sum = ad_exp(ad_logsumexp(ad_stack(CLASSES, x, 0)));
    for (int i = 0; i < CLASSES; i++) {
        e[i] = ad_exp(x[i]);
        y[i] = ad_div(e[i], sum);
    }
}

static ad_var maxout(const ad_var *x, void *user)
{
    (void)user;
    return ad_sum(ad_maxout(ad_stack(CLASSES, x, 0), 0, CLASSES));
}

static void show_softmax(lesson *l)
{
    static const double x[CLASSES] = {1, 2, 3};
    static const double right[CLASSES][CLASSES] = {
        {.08192506906499322, -.022033044520174298, -.059892024544818935},
        {-.022033044520174298, .1848364465099787, -.16280340198980442},
        {-.059892024544818935, -.16280340198980442, .22269542653462335}};
    static const double p[CLASSES] = {.09003057317038046, .24472847105479764, .6652409557748219};
    double jacobian[CLASSES * CLASSES] = {0};
    lesson_ok(l, ad_jacobian(softmax, NULL, CLASSES, x, CLASSES, jacobian), "Jacobian");
    lesson_part("Softmax of (1, 2, 3): ∂f_i/∂x_j = f_i (δ_ij - f_j)");
    lesson_table();
    for (int i = 0; i < CLASSES * CLASSES; i++) {
        char what[64];
        const int row = i / CLASSES, column = i % CLASSES;
        snprintf(what, sizeof what, "∂f%d/∂x%d", row + 1, column + 1);
        lesson_formula(l, what, p[row] * ((row == column) - p[column]), jacobian[i],
                       right[row][column]);
    }
}

static void show_maxout(lesson *l)
{
    static const double x[CLASSES] = {1, 3, 2}, right[CLASSES] = {0, 1, 0};
    double value = NAN, gradient[CLASSES] = {0};
    lesson_ok(l, ad_value_and_gradient(maxout, NULL, CLASSES, x, &value, gradient), "maxout");
    lesson_part("Maxout of (1, 3, 2): the gradient goes to the largest");
    lesson_table();
    lesson_number(l, "max", NULL, value, 3);
    for (int i = 0; i < CLASSES; i++) {
        char what[64];
        snprintf(what, sizeof what, "∂max/∂x%d", i + 1);
        lesson_formula(l, what, i == 1, gradient[i], right[i]);
    }
}

/* ---- the picture ---------------------------------------------------------------------------- */

static void draw(lesson *l, const char *path)
{
    enum { N = 161 };
    static double x[N], y[2 * KINDS][N];
    nn_series series[2 * KINDS];
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < N; i++) {
            x[i] = (i - 80) / 20.; /* from -4 to 4 */
            value_and_slope(l, activations[k].f, x[i], &y[k][i], &y[KINDS + k][i]);
        }
        series[k] = (nn_series){.name = activations[k].name, .n = N, .x = x, .y = y[k]};
        series[KINDS + k] =
            (nn_series){.name = activations[k].derivative, .n = N, .x = x, .y = y[KINDS + k]};
    }
    nn_chart chart = {.title = "Activations and their derivatives",
                      .x_label = "x",
                      .y_label = "f(x), f'(x)",
                      .n_series = 2 * KINDS,
                      .series = series,
                      .y_low = -1.5,
                      .y_high = 3};
    lesson_chart(l, &chart, path, NULL);
    lesson_part("Sigmoid and its flat ends");
    const nn_series two[2] = {series[0], series[KINDS]};
    chart = (nn_chart){.x_label = "x", .y_label = "σ, σ'", .n_series = 2, .series = two};
    lesson_chart(l, &chart, NULL, stdout);
}

int main(int argc, char **argv)
{
    lesson l;
    lesson_begin(&l, "activations", "Activations and their derivatives");
    show_points(&l);
    show_larger(&l);
    show_ends(&l);
    show_softmax(&l);
    show_maxout(&l);
    draw(&l, argc > 1 ? argv[1] : "activations.svg");
    return lesson_end(&l);
}
