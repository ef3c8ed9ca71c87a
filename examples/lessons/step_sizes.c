/* step_sizes.c - gradient descent with steps too small, right and too large (lecture 004)
 *
 *     step_sizes [FILE.svg]     step_sizes.svg where not said
 *
 * The negative gradient is the direction in which a function falls fastest, but only at the point
 * itself. How far it may be followed is said by the curvature: on f(x) = x² every step multiplies x
 * by 1 - η f'', so that it shrinks for η < 2/f'' and is 0 after one step for η = 1/f''. */
#include "lesson.h"

enum { STEPS = 10, SIZES = 5, CURVE = 121 };

static ad_var f(const ad_var *x, void *user) { return (void)user, ad_square(x[0]); }

typedef struct descent { /* x and f(x), the start first */
    double rate, x[STEPS + 1], y[STEPS + 1];
} descent;

static void descend(lesson *l, descent *d)
{
    d->x[0] = -1;
    for (int i = 0; i <= STEPS; i++) {
        double slope = NAN;
        lesson_ok(l, ad_value_and_gradient(f, NULL, 1, &d->x[i], &d->y[i], &slope), "gradient");
        if (i < STEPS)
            d->x[i + 1] = d->x[i] - d->rate * slope;
    }
}

static void show_descents(lesson *l, descent *d)
{
    static const char *const names[SIZES] = {"too small", "right", "one step: 1/f''",
                                             "back and forth", "too large"};
    static const double ends[SIZES] = {-.81707280688754688, -.0060466176, 0, -.1073741824,
                                       -2.5937424601};
    lesson_part("x after 10 steps on f(x) = x² from x = -1");
    lesson_table();
    for (int i = 0; i < SIZES; i++) {
        char what[64];
        descend(l, &d[i]);
        snprintf(what, sizeof what, "η = %g, %s", d[i].rate, names[i]);
        lesson_number(l, what, NULL, d[i].x[STEPS], ends[i]);
    }
    lesson_claim(l, "does f fall in each step, η = .9?", "yes", d[3].y[1] < d[3].y[0], true);
    lesson_claim(l, "does f fall in each step, η = 1.05?", "yes", d[4].y[1] < d[4].y[0], false);
}

static void show_curvature(lesson *l)
{
    double x = -1, curvature = NAN;
    lesson_ok(l, ad_hessian(f, NULL, 1, &x, &curvature), "Hessian");
    lesson_part("How large a step may be");
    lesson_table();
    lesson_number(l, "f''", NULL, curvature, 2);
    lesson_number(l, "1/f'', the best step", NULL, 1 / curvature, .5);
    lesson_number(l, "2/f'': beyond, it diverges", NULL, 2 / curvature, 1);
}

static void draw(lesson *l, const descent *d, const char *path)
{
    static double x[CURVE], y[CURVE], steps[STEPS + 1];
    for (int i = 0; i < CURVE; i++) {
        double slope;
        x[i] = (i - 60) / 20.;
        lesson_ok(l, ad_value_and_gradient(f, NULL, 1, &x[i], &y[i], &slope), "curve");
    }
    nn_series series[4] = {{.name = "f(x) = x²", .n = CURVE, .x = x, .y = y}}, values[3];
    static const int drawn[3] = {0, 1, 4};
    static const char *const names[3] = {"η = .01, too small", "η = .2, right",
                                         "η = 1.05, too large"};
    for (int i = 0; i <= STEPS; i++)
        steps[i] = i;
    for (int i = 0; i < 3; i++) {
        const descent *one = &d[drawn[i]];
        series[1 + i] = (nn_series){names[i], STEPS + 1, one->x, one->y, true};
        values[i] = (nn_series){names[i], STEPS + 1, steps, one->y, false};
    }
    lesson_part("f, step by step");
    nn_chart chart = {.x_label = "step", .y_label = "f", .n_series = 3, .series = values};
    lesson_chart(l, &chart, NULL, stdout);
    chart = (nn_chart){.title = "Gradient descent: ten steps of three sizes",
                       .x_label = "x",
                       .y_label = "f(x)",
                       .n_series = 4,
                       .series = series};
    lesson_chart(l, &chart, path, NULL);
}

int main(int argc, char **argv)
{
    descent d[SIZES] = {{.rate = .01}, {.rate = .2}, {.rate = .5}, {.rate = .9}, {.rate = 1.05}};
    lesson l;
    lesson_begin(&l, "step_sizes", "Step sizes");
    show_descents(&l, d);
    show_curvature(&l);
    draw(&l, d, argc > 1 ? argv[1] : "step_sizes.svg");
    return lesson_end(&l);
}
