/* linear_221.c - a linear network, 2-2-1, learns for three steps (lecture 000)
 *
 * Once by scalars, as the slides derive it, once by matrices, as they sum it up. The slides print
 * rounded numbers and go on with unrounded ones; here both are followed. */
#include "lesson.h"

#include <string.h>

enum { WEIGHTS = 6, STEPS = 3 };
static const double input[2] = {2, 3}, target = 1, rate = 0.05;
static const double first_weights[WEIGHTS] = {.11, .21, .12, .08, .14, .15};

typedef struct pass { /* w1 to w6, and what one step makes of them */
    double w[WEIGHTS], h[2], prediction, delta, error, gradient[WEIGHTS], updated[WEIGHTS];
} pass;

/* what is right, in 17 digits: computed in 40 by the formulas on the slides */
static const pass right[STEPS] = {
    {.h = {.85, .48},
     .prediction = .191,
     .delta = -.809,
     .error = .3272405,
     .gradient = {-.22652, -.33978, -.2427, -.36405, -.68765, -.38832},
     .updated = {.121326, .226989, .132135, .0982025, .1743825, .169416}},
    {.h = {.923619, .5588775},
     .prediction = .2557457808075,
     .delta = -.7442542191925,
     .error = .2769571713929189,
     .gradient = {-.2595698227566723, -.3893547341350084, -.25217714559743315, -.37826571839614975,
                  -.6874073376763576, -.4159469373867564},
     .updated = {.1343044911378336, .24645673670675042, .14474385727987166, .1171157859198075,
                 .2087528668838179, .19021334686933783}},
    {.h = {1.0079791923959185, .6408350723191658},
     .prediction = .3323139300689661,
     .delta = -.667686069931034,
     .error = .22290234398997474,
     .gradient = {-.27876276255298527, -.4181441438294779, -.2540056040392334, -.3810084060588501,
                  -.6730136655430883, -.42787665091075366},
     .updated = {.14824262926548287, .2673639438982243, .15744413748183334, .13616620622275,
                 .2424035501609723, .2116071794148755}}};

/* Error = 1/2 (prediction - target)^2 with prediction = (i1w1 + i2w2)w5 + (i1w3 + i2w4)w6 */
static void step_by_scalars(lesson *l, pass *p)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var w[WEIGHTS];
    for (int i = 0; i < WEIGHTS; i++)
        w[i] = ad_input(t, p->w[i]);
    ad_var h1 = ad_add(ad_mul(input[0], w[0]), ad_mul(input[1], w[1]));
    ad_var h2 = ad_add(ad_mul(input[0], w[2]), ad_mul(input[1], w[3]));
    ad_var prediction = ad_add(ad_mul(h1, w[4]), ad_mul(h2, w[5]));
    ad_var error = ad_mul(0.5, ad_square(ad_sub(prediction, target)));
    ad_retain(prediction); /* its adjoint is the slides' delta */
    ad_backward(error);
    p->h[0] = ad_value(h1);
    p->h[1] = ad_value(h2);
    p->prediction = ad_value(prediction);
    p->error = ad_value(error);
    p->delta = ad_grad(prediction);
    for (int i = 0; i < WEIGHTS; i++) {
        p->gradient[i] = ad_grad(w[i]);
        p->updated[i] = p->w[i] - rate * p->gradient[i];
    }
    lesson_tape_free(l, t);
}

/* The same with x (1,2), W1 (2,2) and W2 (2,1): a column of W1 for each hidden neuron. */
static void gradient_by_matrices(lesson *l, const double *w, double *gradient)
{
    const double w1[4] = {w[0], w[2], w[1], w[3]};
    double g1[4] = {0}, g2[2] = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_array(t, AD_F64, 2, (const int64_t[]){1, 2}, input);
    ad_var first = ad_input_array(t, AD_F64, 2, (const int64_t[]){2, 2}, w1);
    ad_var second = ad_input_array(t, AD_F64, 2, (const int64_t[]){2, 1}, w + 4);
    ad_var prediction = ad_matmul(ad_matmul(x, first), second);
    ad_backward(ad_sum(ad_mul(0.5, ad_square(ad_sub(prediction, target)))));
    ad_grad_read(first, g1);
    ad_grad_read(second, g2);
    memcpy(gradient, (const double[]){g1[0], g1[2], g1[1], g1[3], g2[0], g2[1]},
           WEIGHTS * sizeof *gradient);
    lesson_tape_free(l, t);
}

static void show_six(lesson *l, const char *name, const char *const *slide, const double *computed,
                     const double *wanted)
{
    for (int i = 0; i < WEIGHTS; i++) {
        char what[64];
        snprintf(what, sizeof what, "%s%d", name, i + 1);
        lesson_number(l, what, slide ? slide[i] : NULL, computed[i], wanted[i]);
    }
}

static void show_first_step(lesson *l, pass *p)
{
    lesson_part("The first step");
    step_by_scalars(l, p);
    lesson_table();
    lesson_number(l, "h1 = 2 w1 + 3 w2", ".85", p->h[0], right[0].h[0]);
    lesson_number(l, "h2 = 2 w3 + 3 w4", ".48", p->h[1], right[0].h[1]);
    lesson_number(l, "prediction = h1 w5 + h2 w6", "0.191", p->prediction, right[0].prediction);
    lesson_number(l, "Δ = prediction - actual", "-0.809", p->delta, right[0].delta);
    lesson_number(l, "Error = ½ (prediction - actual)²", NULL, p->error, right[0].error);
    show_six(l, "∂Error/∂w", NULL, p->gradient, right[0].gradient);
    double change[WEIGHTS];
    for (int i = 0; i < WEIGHTS; i++)
        change[i] = rate * p->gradient[i];
    show_six(l, "a ∂Error/∂w",
             (const char *const[]){"-0.011", "-0.017", "-0.012", "-0.018", "-0.034", "-0.019"},
             change,
             (const double[]){-.011326, -.016989, -.012135, -.0182025, -.0343825, -.019416});
    show_six(l, "new w", (const char *const[]){".12", ".23", ".13", ".10", "0.17", "0.17"},
             p->updated, right[0].updated);
    puts("\n  The second line of the slide on w6 multiplies ∂prediction/∂w6 by the error itself\n"
         "  where the first asked for its derivative; from the third line on it is right again:\n");
    lesson_formula(l, "∂Error/∂w6, by the second line", p->error * p->h[1], p->gradient[5],
                   right[0].gradient[5]);
    lesson_formula(l, "∂Error/∂w6, by the last, Δ h2", p->delta * p->h[1], p->gradient[5],
                   right[0].gradient[5]);
}

static void show_matrices(lesson *l, const pass *p)
{
    lesson_part("The same by matrices");
    double gradient[WEIGHTS];
    gradient_by_matrices(l, p->w, gradient);
    puts("  W1 = [w1 w3; w2 w4], W2 = [w5; w6]: the tape's gradients of W1 and W2, element by\n"
         "  element, and the slides' formulas for them, Δ [i1; i2] [w5 w6] and Δ [h1; h2]:\n");
    const double by_slide[WEIGHTS] = {p->delta * input[0] * p->w[4],
                                      p->delta * input[1] * p->w[4],
                                      p->delta * input[0] * p->w[5],
                                      p->delta * input[1] * p->w[5],
                                      p->delta * p->h[0],
                                      p->delta * p->h[1]};
    lesson_table();
    for (int i = 0; i < WEIGHTS; i++) {
        char what[64];
        snprintf(what, sizeof what, "∂Error/∂w%d", i + 1);
        lesson_formula(l, what, by_slide[i], gradient[i], right[0].gradient[i]);
    }
}

/* The slide's second pass: its matrix line has the unrounded numbers, its details the old ones. */
static void show_second_step(lesson *l, pass *p)
{
    lesson_part("The second step");
    step_by_scalars(l, p);
    lesson_table();
    lesson_number(l, "h1, in the line of matrices", "0.92", p->h[0], right[1].h[0]);
    lesson_number(l, "h2, in the line of matrices", "0.56", p->h[1], right[1].h[1]);
    lesson_number(l, "h1, in the line of details", ".85", p->h[0], right[1].h[0]);
    lesson_number(l, "h2, in the line of details", ".48", p->h[1], right[1].h[1]);
    lesson_number(l, "prediction", "0.26", p->prediction, right[1].prediction);
    show_six(l, "∂Error/∂w", NULL, p->gradient, right[1].gradient);
    show_six(l, "new w", NULL, p->updated, right[1].updated);

    puts("\n  Whoever calculates along with the weights as printed gets something else:\n");
    pass rounded = {.w = {.12, .23, .13, .10, .17, .17}};
    step_by_scalars(l, &rounded);
    lesson_number(l, "2 x .12 + 3 x .23", ".85", rounded.h[0], .93);
    lesson_number(l, "2 x .13 + 3 x .10", ".48", rounded.h[1], .56);
    lesson_number(l, "prediction from these", ".26", rounded.prediction, .2533);
    lesson_number(l, ".92 x .17 + .56 x .17", ".26", .92 * .17 + .56 * .17, .2516);
}

static void show_third_step(lesson *l, pass *p)
{
    lesson_part("The third step, which the slides do not take");
    step_by_scalars(l, p);
    lesson_table();
    lesson_number(l, "h1", NULL, p->h[0], right[2].h[0]);
    lesson_number(l, "h2", NULL, p->h[1], right[2].h[1]);
    lesson_number(l, "prediction, on its way to 1", NULL, p->prediction, right[2].prediction);
    lesson_number(l, "Error", NULL, p->error, right[2].error);
    show_six(l, "∂Error/∂w", NULL, p->gradient, right[2].gradient);
    show_six(l, "new w", NULL, p->updated, right[2].updated);
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "linear_221", "A linear network, 2-2-1, learns that (2, 3) is 1");
    pass p[STEPS] = {0};
    memcpy(p[0].w, first_weights, sizeof first_weights);
    show_first_step(&l, &p[0]);
    show_matrices(&l, &p[0]);
    memcpy(p[1].w, p[0].updated, sizeof p[1].w);
    show_second_step(&l, &p[1]);
    memcpy(p[2].w, p[1].updated, sizeof p[2].w);
    show_third_step(&l, &p[2]);
    return lesson_end(&l);
}
