/* saturated_neuron.c - one sigmoid neuron unlearns a wrong answer (lecture 003)
 *
 *     saturated_neuron [FILE.svg]     saturated_neuron.svg where not said
 *
 * The neuron is to turn 1 into 0. With the squared loss the step is (a - y) σ'(z) x: where the
 * neuron is most wrong it is saturated, σ' is next to 0, and it hardly learns. With cross-entropy
 * the step is (a - y) x. The lecture does not say its rates; its pictures are Michael Nielsen's
 * ("Neural Networks and Deep Learning", chapter 3): .15 for the squared loss, .005 for the other.
 * Here both are drawn at .15, and .005 to show that rates of two losses cannot be compared. */
#include "lesson.h"

enum { EPOCHS = 300, RUNS = 6 };

typedef enum cost { HALF_SQUARED, SQUARED, CROSS_ENTROPY } cost;

/* Costs of the output a = σ(w x + b) with x = 1, y = 0. */
static ad_var cost_of(cost kind, ad_var a, double y)
{
    switch (kind) {
    case HALF_SQUARED:
        return ad_mul(.5, ad_square(ad_sub(a, y)));
    case SQUARED:
        return ad_square(ad_sub(a, y));
    default:
        return ad_neg(ad_add(ad_mul(y, ad_log(a)), ad_mul(1 - y, ad_log(ad_sub(1, a)))));
    }
}

typedef struct plan { /* a start, a rate, and what is right */
    const char *name;
    cost kind;
    double w, b, rate;
    int below_half;    /* the first epoch with a < .5 */
    double end;        /* a after 300 epochs */
    const char *slide; /* where a picture says so */
} plan;

static const plan plans[RUNS] = {
    {"½ squared .15, (.6, .9)", HALF_SQUARED, .6, .9, .15, 36, .09395569486364722, ".09"},
    {"½ squared .15, (2, 2)", HALF_SQUARED, 2, 2, .15, 232, .20284842426777663, ".20"},
    {"cross-entropy .15, (.6, .9)", CROSS_ENTROPY, .6, .9, .15, 8, .011638208968903767, NULL},
    {"cross-entropy .15, (2, 2)", CROSS_ENTROPY, 2, 2, .15, 17, .012008741510817511, NULL},
    {"cross-entropy .005, (.6, .9)", CROSS_ENTROPY, .6, .9, .005, 228, .41767929959888694, NULL},
    {"cross-entropy .005, (2, 2)", CROSS_ENTROPY, 2, 2, .005, -1, .7795870642061689, NULL}};

typedef struct run { /* its course */
    const plan *plan;
    double a[EPOCHS + 1], c[EPOCHS + 1];
} run;

/* The step is a program: value, output and gradient; the tape is recorded once. */
static ad_program *record(lesson *l, cost kind, double x, double y)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var in[2] = {ad_input(t, 0), ad_input(t, 0)};
    ad_var a = ad_sigmoid(ad_add(ad_mul(in[0], x), in[1]));
    const ad_var out[2] = {cost_of(kind, a, y), a};
    ad_program *p = ad_program_capture(t, 2, in, 2, out, AD_GRADIENT);
    lesson_tape_free(l, t);
    return p;
}

static void descend(lesson *l, run *r)
{
    ad_program *p = record(l, r->plan->kind, 1, 0);
    ad_workspace *space = ad_workspace_new(p);
    double x[2] = {r->plan->w, r->plan->b}, out[4] = {0}; /* cost, output, and the gradient */
    ad_status s = AD_OK;
    for (int epoch = 0; epoch <= EPOCHS && !s; epoch++) {
        s = ad_run(space, x, out);
        r->c[epoch] = out[0];
        r->a[epoch] = out[1];
        x[0] -= r->plan->rate * out[2];
        x[1] -= r->plan->rate * out[3];
    }
    lesson_ok(l, s, ad_workspace_error(space));
    ad_workspace_free(space);
    ad_program_free(p);
}

static int first_below_half(const run *r)
{
    for (int epoch = 0; epoch <= EPOCHS; epoch++)
        if (r->a[epoch] < .5)
            return epoch;
    return -1;
}

static void show_runs(lesson *l, run *runs)
{
    lesson_part("300 epochs");
    puts("  Epochs until the output is below .5 (-1: not within 300), and the output at the end.\n"
         "  .09 and .20 stand below Nielsen's pictures, which the slides show.\n");
    lesson_table();
    for (int i = 0; i < RUNS; i++) {
        run *r = &runs[i];
        char what[64];
        descend(l, r);
        snprintf(what, sizeof what, "%s: a < .5", r->plan->name);
        lesson_number(l, what, NULL, first_below_half(r), r->plan->below_half);
        lesson_near(l, "  a at the end", r->plan->slide, r->a[EPOCHS], r->plan->end, 1e-12);
    }
    puts("\n  'For about 150 epochs it hardly learns': from w = b = 2 a tenth of the cost is\n"
         "  gone.\n");
    lesson_number(l, "½ squared, C at the beginning", NULL, runs[1].c[0], .48217554191230866);
    lesson_near(l, "½ squared, C after 150", NULL, runs[1].c[150], .4356340890376562, 1e-12);
    lesson_near(l, "cross-entropy, a after 150", NULL, runs[3].a[150], .02568537837575266, 1e-12);
}

/* ---- how fast it begins --------------------------------------------------------------------- */

static double slope(lesson *l, cost kind, double x, double y, const double *wb)
{
    double out[4] = {0};
    ad_program *p = record(l, kind, x, y);
    ad_workspace *space = ad_workspace_new(p);
    lesson_ok(l, ad_run(space, wb, out), ad_workspace_error(space));
    ad_workspace_free(space);
    ad_program_free(p);
    return out[2];
}

static void show_slopes(lesson *l)
{
    static const double good[2] = {.6, .9}, bad[2] = {2, 2};
    lesson_part("∂C/∂w in the beginning");
    lesson_table();
    lesson_number(l, "½ (y - a)² from w = .6, b = .9", NULL, slope(l, HALF_SQUARED, 1, 0, good),
                  .12193833242754278);
    lesson_number(l, "½ (y - a)² from w = b = 2", NULL, slope(l, HALF_SQUARED, 1, 0, bad),
                  .017345021070840124);
    lesson_number(l, "cross-entropy from w = .6, b = .9", NULL, slope(l, CROSS_ENTROPY, 1, 0, good),
                  .8175744761936437);
    lesson_number(l, "cross-entropy from w = b = 2", NULL, slope(l, CROSS_ENTROPY, 1, 0, bad),
                  .9820137900379085);
    puts("\n  The slide gives C = (y - a)² and ∂C/∂w = (a - y) σ'(z) x, which is half of its\n"
         "  derivative, or the derivative of its half:\n");
    lesson_formula(l, "∂/∂w (y - a)² from w = .6, b = .9", .12193833242754278,
                   slope(l, SQUARED, 1, 0, good), .24387666485508552);
    puts("\n  Its task is 'make 1 out of 0', its formulas have x = 1 and y = 0. With x = 0 the\n"
         "  weight would never move, whatever the cost:\n");
    lesson_number(l, "∂C/∂w for x = 0, y = 1, squared", NULL, slope(l, HALF_SQUARED, 0, 1, good),
                  0);
    lesson_number(l, "∂C/∂w for x = 0, y = 1, cross-entropy", NULL,
                  slope(l, CROSS_ENTROPY, 0, 1, good), 0);
}

/* ---- who is to blame ------------------------------------------------------------------------ */

/* The same neuron without its sigmoid, from w = b = 2, where it gives 4. */
static void show_linear(lesson *l)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var w = ad_input(t, 2), b = ad_input(t, 2), a = ad_add(w, b);
    ad_var c = cost_of(HALF_SQUARED, a, 0);
    ad_status s = AD_OK;
    int epoch = 0;
    while (!s && ad_value(a) >= .5 && epoch < EPOCHS) {
        s = ad_backward(c);
        ad_set(w, ad_value(w) - .15 * ad_grad(w));
        ad_set(b, ad_value(b) - .15 * ad_grad(b));
        s = s ? s : ad_replay(t);
        epoch++;
    }
    lesson_part("Is the squared loss to blame?");
    puts("  Without the sigmoid the squared loss learns at once. It is the two together.\n");
    lesson_table();
    lesson_number(l, "linear, ½ (y - a)², w = b = 2: a < .5", NULL, epoch, 6);
    lesson_tape_free(l, t);
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void draw(lesson *l, const run *runs, const char *path)
{
    static double epochs[EPOCHS + 1];
    nn_series outputs[RUNS], costs[2], ce_costs[2];
    for (int i = 0; i <= EPOCHS; i++)
        epochs[i] = i;
    for (int i = 0; i < RUNS; i++)
        outputs[i] =
            (nn_series){.name = runs[i].plan->name, .n = EPOCHS + 1, .x = epochs, .y = runs[i].a};
    for (int i = 0; i < 2; i++) {
        costs[i] = ce_costs[i] = outputs[i];
        costs[i].y = runs[i].c;
        ce_costs[i] = outputs[2 + i];
        ce_costs[i].y = runs[2 + i].c;
    }
    nn_chart chart = {.title = "½ (y - a)², as the lecture draws it: a plateau from w = b = 2",
                      .x_label = "epoch",
                      .y_label = "cost",
                      .n_series = 2,
                      .series = costs};
    lesson_part("Pictures");
    lesson_chart(l, &chart, NULL, stdout);
    chart.title = "Cross-entropy: the more wrong, the steeper";
    chart.series = ce_costs;
    lesson_chart(l, &chart, NULL, stdout);
    chart.title = "One neuron turns 1 into 0: its output";
    chart.y_label = "output a";
    chart.n_series = RUNS;
    chart.series = outputs;
    chart.y_high = 1;
    lesson_chart(l, &chart, path, NULL);
}

int main(int argc, char **argv)
{
    static run runs[RUNS]; /* too large for a stack */
    for (int i = 0; i < RUNS; i++)
        runs[i] = (run){.plan = &plans[i]};
    lesson l;
    lesson_begin(&l, "saturated_neuron", "One sigmoid neuron unlearns a wrong answer");
    show_slopes(&l);
    show_runs(&l, runs);
    show_linear(&l);
    draw(&l, runs, argc > 1 ? argv[1] : "saturated_neuron.svg");
    return lesson_end(&l);
}
