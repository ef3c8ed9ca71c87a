/* hidden4_outputs3.c - four hidden neurons, three outputs, several samples (lecture 001)
 *
 * The lecture's formulas hold for one sample. With several, the error is a sum over samples, and so
 * is its derivative: of whole products, out of which a(1 - a) and the activation before it cannot
 * be taken. Its error function for regressions is looked at first. */
#include "lesson.h"

enum { SAMPLES = 3, IN = 2, HIDDEN = 4, OUT = 3 };
static const double inputs[SAMPLES * IN] = {1, .5, -.5, 1, .25, -1};
static const double targets[SAMPLES * OUT] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
static const double first[IN * HIDDEN] = {.1, .2, -.3, .4, -.5, .6, .7, -.8};
static const double first_bias[HIDDEN] = {.1, -.1, .2, -.2};
static const double second[HIDDEN * OUT] = {.3, -.2, .1, .5, .4, -.6, -.1, .7, .2, -.4, .6, .8};
static const double second_bias[OUT] = {.05, -.05, .1};

/* ---- the error function --------------------------------------------------------------------- */

static ad_var slide_error(const ad_var *y, void *user)
{
    const double *t = user;
    return ad_sqrt(ad_sub(ad_square(y[0]), *t * *t));
}

static double error_of_slide(lesson *l, double y, double t)
{
    double e = 0, g = 0;
    lesson_ok(l, ad_value_and_gradient(slide_error, &t, 1, &y, &e, &g), "slide_error");
    return e;
}

static ad_var distance(const ad_var *y, void *user)
{
    const double *t = user;
    return ad_sqrt(ad_square(ad_sub(y[0], *t)));
}

static void show_error(lesson *l)
{
    double y = .191, t = 1, e = 0, g = 0;
    lesson_part("E = √(Y² - T²)?");
    puts("  For Y = .191 and T = 1 (the first output of lecture 000) the root is imaginary: NaN.\n"
         "  For Y = -T it is 0 however large T is. A distance is √((Y - T)²) = |Y - T|.\n");
    lesson_table();
    lesson_number(l, "Y² - T²", NULL, y * y - t * t, -.963519);
    const double slide = error_of_slide(l, y, t);
    lesson_ok(l, ad_value_and_gradient(distance, &t, 1, &y, &e, &g), "distance");
    lesson_formula(l, "E", slide, e, .809);
    lesson_number(l, "∂E/∂Y, the sign of Y - T", NULL, g, -1);
    y = -1;
    lesson_ok(l, ad_value_and_gradient(distance, &t, 1, &y, &e, &g), "distance");
    lesson_formula(l, "E for Y = -1", error_of_slide(l, y, t), e, 2);
}

/* ---- one neuron, two samples ---------------------------------------------------------------- */

/* Weight and bias are chosen so that inputs .5 and 2 give the outputs .8 and .3. */
static void show_counterexample(lesson *l)
{
    static const int64_t two[1] = {2};
    static const double previous[2] = {.5, 2}, t2[2] = {1, 0};
    const double z[2] = {log(.8 / .2), log(.3 / .7)}, w0 = (z[1] - z[0]) / 1.5;
    double a[2] = {0}, d[2] = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var w = ad_input(t, w0), b = ad_input(t, z[0] - w0 * previous[0]);
    ad_var x = ad_constant_array(t, AD_F64, 1, two, previous);
    ad_var y = ad_constant_array(t, AD_F64, 1, two, t2);
    ad_var out = ad_sigmoid(ad_add(ad_mul(w, x), b));
    ad_retain(out);
    ad_backward(ad_mul(.5, ad_sum(ad_square(ad_sub(out, y)))));
    ad_read(out, a);
    ad_grad_read(out, d);
    lesson_part("One output neuron, two samples");
    puts(
        "  a = .8 and .3 for targets 1 and 0, activations before it .5 and 2. The derivative with\n"
        "  respect to one sample's output has no sum; that with respect to the weight has one,\n"
        "  of whole products Σ_k (a_k - t_k) a_k (1 - a_k) x_k:\n");
    const double sum = a[0] - t2[0] + a[1] - t2[1];
    lesson_table();
    lesson_formula(l, "∂E/∂a, sample 1", sum, d[0], -.2);
    lesson_formula(l, "∂E/∂a, sample 2", sum, d[1], .3);
    lesson_formula(l, "∂E/∂w, a(1-a) x of sample 1", a[0] * (1 - a[0]) * previous[0] * sum,
                   ad_grad(w), .11);
    lesson_formula(l, "∂E/∂w, a(1-a) x of sample 2", a[1] * (1 - a[1]) * previous[1] * sum,
                   ad_grad(w), .11);
    lesson_tape_free(l, t);
}

/* ---- the whole network ---------------------------------------------------------------------- */

typedef struct pass { /* what the tape gives for the first `samples` of the samples */
    int samples;
    double error, hidden[SAMPLES * HIDDEN], out[SAMPLES * OUT];
    double g1[IN * HIDDEN], g2[HIDDEN * OUT];
} pass;

static pass run(lesson *l, int samples)
{
    pass p = {.samples = samples};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_array(t, AD_F64, 2, (const int64_t[]){samples, IN}, inputs);
    ad_var y = ad_constant_array(t, AD_F64, 2, (const int64_t[]){samples, OUT}, targets);
    ad_var w1 = ad_input_array(t, AD_F64, 2, (const int64_t[]){IN, HIDDEN}, first);
    ad_var b1 = ad_input_array(t, AD_F64, 1, (const int64_t[]){HIDDEN}, first_bias);
    ad_var w2 = ad_input_array(t, AD_F64, 2, (const int64_t[]){HIDDEN, OUT}, second);
    ad_var b2 = ad_input_array(t, AD_F64, 1, (const int64_t[]){OUT}, second_bias);
    ad_var hidden = ad_sigmoid(ad_add(ad_matmul(x, w1), b1));
    ad_var out = ad_sigmoid(ad_add(ad_matmul(hidden, w2), b2));
    ad_var error = ad_mul(.5, ad_sum(ad_square(ad_sub(out, y))));
    ad_backward(error);
    p.error = ad_value(error);
    ad_read(hidden, p.hidden);
    ad_read(out, p.out);
    ad_grad_read(w1, p.g1);
    ad_grad_read(w2, p.g2);
    lesson_tape_free(l, t);
    return p;
}

/* By hand, for comparison. Right: every product belongs to one sample, and then comes the sum. The
 * slides: sum of a - t over samples, the rest of one sample, `of`. */
static double output_delta(const pass *p, int k, int j)
{
    const double a = p->out[k * OUT + j];
    return (a - targets[k * OUT + j]) * a * (1 - a);
}

static double slide_output_delta(const pass *p, int of, int j)
{
    const double a = p->out[of * OUT + j];
    double sum = 0;
    for (int k = 0; k < p->samples; k++)
        sum += p->out[k * OUT + j] - targets[k * OUT + j];
    return a * (1 - a) * sum;
}

static double hidden_delta(const pass *p, int k, int i, const double *deltas)
{
    const double a = p->hidden[k * HIDDEN + i];
    double sum = 0;
    for (int j = 0; j < OUT; j++)
        sum += deltas[j] * second[i * OUT + j];
    return a * (1 - a) * sum;
}

/* the gradients by hand: of = -1 is right, else the slides' with that sample's factors */
static void by_hand(const pass *p, int of, double *g1, double *g2)
{
    for (int i = 0; i < IN * HIDDEN; i++)
        g1[i] = 0;
    for (int i = 0; i < HIDDEN * OUT; i++)
        g2[i] = 0;
    for (int k = of < 0 ? 0 : of; k < (of < 0 ? p->samples : of + 1); k++) {
        double deltas[OUT];
        for (int j = 0; j < OUT; j++)
            deltas[j] = of < 0 ? output_delta(p, k, j) : slide_output_delta(p, of, j);
        for (int i = 0; i < HIDDEN * OUT; i++)
            g2[i] += p->hidden[k * HIDDEN + i / OUT] * deltas[i % OUT];
        for (int i = 0; i < IN * HIDDEN; i++)
            g1[i] += inputs[k * IN + i / HIDDEN] * hidden_delta(p, k, i % HIDDEN, deltas);
    }
}

static double farthest(int n, const double *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

static bool agree(const pass *p, int of)
{
    double g1[IN * HIDDEN], g2[HIDDEN * OUT];
    by_hand(p, of, g1, g2);
    return farthest(IN * HIDDEN, g1, p->g1) < 1e-13 && farthest(HIDDEN * OUT, g2, p->g2) < 1e-13;
}

static void show_network(lesson *l)
{
    pass p = run(l, SAMPLES), one = run(l, 1);
    double g1[IN * HIDDEN], g2[HIDDEN * OUT];
    lesson_part("Two inputs, four hidden neurons, three outputs, three samples");
    lesson_table();
    lesson_number(l, "E = ½ Σ (a - t)²", NULL, p.error, 1.2556712011032813);
    lesson_number(l, "∂E/∂w11, layer 2, by the tape", NULL, p.g2[0], .088233230887461726);
    lesson_number(l, "∂E/∂w43, layer 2, by the tape", NULL, p.g2[11], .03708944731179247);
    lesson_number(l, "∂E/∂w11, layer 1, by the tape", NULL, p.g1[0], -.020061062220154521);
    lesson_number(l, "∂E/∂w24, layer 1, by the tape", NULL, p.g1[7], .038321239619036669);
    lesson_claim(l, "Σ_k (a-t) a(1-a) a_prev: all 20 weights?", NULL, agree(&p, -1), true);
    puts("\n  By the slides, a(1 - a) and the activation before it stand outside of the sum. Of\n"
         "  which sample? Whichever is taken, it is not the gradient, in either layer:\n");
    for (int of = 0; of < SAMPLES; of++) {
        char what[64];
        by_hand(&p, of, g1, g2);
        snprintf(what, sizeof what, "∂E/∂w11, layer 2, factors of sample %d", of + 1);
        lesson_formula(l, what, g2[0], p.g2[0], .088233230887461726);
        snprintf(what, sizeof what, "∂E/∂w11, layer 1, factors of sample %d", of + 1);
        lesson_formula(l, what, g1[0], p.g1[0], -.020061062220154521);
    }
    puts("");
    lesson_claim(l, "the slides' formulas, three samples?", "yes", agree(&p, 0), false);
    lesson_claim(l, "the slides' formulas, one sample?", "yes", agree(&one, 0), true);
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "hidden4_outputs3", "Four hidden neurons, three outputs, several samples");
    show_error(&l);
    show_counterexample(&l);
    show_network(&l);
    return lesson_end(&l);
}
