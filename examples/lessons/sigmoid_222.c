/* sigmoid_222.c - two inputs, two hidden neurons, two outputs, all sigmoid (lecture 004)
 *
 * The example is Matt Mazur's ("A Step by Step Backpropagation Example", 2015), from whom the rate
 * .5 is that the slides do not give. A training step, its gradient and update included, is recorded
 * once as a tape, captured as a program, and run 10,000 times: with the biases frozen, as on the
 * slides and in Mazur's text, with one bias shared by the neurons of a layer, and with one each. */
#include "lesson.h"

enum { STEPS = 10000 };
typedef enum biases { FROZEN, SHARED, EACH, KINDS } biases;

static const double inputs[2] = {.05, .1}, targets[2] = {.01, .99}, rate = .5;
static const double first[4] = {.15, .2, .25, .3}, second[4] = {.4, .45, .5, .55};
static const int64_t two[1] = {2};

typedef struct net { /* one bias is a vector of one number, which is repeated for both neurons */
    ad_param *w1, *b1, *w2, *b2;
} net;

static ad_param *param(const char *name, int rank, const int64_t *shape, const double *values,
                       bool trainable)
{
    return ad_param_new(name, ad_tensor_from(NULL, AD_F64, rank, shape, values), trainable);
}

static net net_new(biases kind)
{
    const int64_t square[2] = {2, 2}, one[1] = {1};
    const int64_t *shape = kind == EACH ? two : one;
    return (net){.w1 = param("w1", 2, square, first, true),
                 .b1 = param("b1", 1, shape, (const double[]){.35, .35}, kind != FROZEN),
                 .w2 = param("w2", 2, square, second, true),
                 .b2 = param("b2", 1, shape, (const double[]){.6, .6}, kind != FROZEN)};
}

static void net_free(net n)
{
    ad_param_free(n.w1);
    ad_param_free(n.b1);
    ad_param_free(n.w2);
    ad_param_free(n.b2);
}

typedef struct record { /* the variables of one pass */
    ad_var w[4];        /* w1, w2, b1, b2 */
    ad_var net_h, h, net_o, o, terms, error;
} record;

static record forward(ad_tape *t, net n)
{
    record r = {.w = {ad_use(t, n.w1), ad_use(t, n.w2), ad_use(t, n.b1), ad_use(t, n.b2)}};
    ad_var x = ad_constant_array(t, AD_F64, 1, two, inputs);
    ad_var y = ad_constant_array(t, AD_F64, 1, two, targets);
    r.net_h = ad_add(ad_matmul(r.w[0], x), r.w[2]);
    r.h = ad_sigmoid(r.net_h);
    r.net_o = ad_add(ad_matmul(r.w[1], r.h), r.w[3]);
    r.o = ad_sigmoid(r.net_o);
    r.terms = ad_mul(.5, ad_square(ad_sub(y, r.o))); /* 1/(N D), where N D = 1 x 2 */
    r.error = ad_sum(r.terms);
    return r;
}

/* ---- one step, number by number ------------------------------------------------------------- */

/* two rows: name1 and name2, or from another number on */
static void show_two(lesson *l, const char *name, int number, const char *const *slide,
                     const double *computed, double right1, double right2)
{
    for (int i = 0; i < 2; i++) {
        char what[64];
        snprintf(what, sizeof what, "%s%d", name, number + i);
        lesson_number(l, what, slide ? slide[i] : NULL, computed[i], i ? right2 : right1);
    }
}

static void show_forward(lesson *l, const record *r)
{
    double v[2] = {0};
    lesson_part("Forward");
    lesson_table();
    ad_read(r->net_h, v);
    show_two(l, "net_h", 1, NULL, v, .3775, .3925);
    ad_read(r->h, v);
    show_two(l, "h", 1, (const char *const[]){"0.593", "0.597"}, v, .5932699921071872,
             .596884378259767);
    ad_read(r->net_o, v);
    show_two(l, "net_o", 1, NULL, v, 1.1059059670597702, 1.2249214040964655);
    ad_read(r->o, v);
    show_two(l, "o", 1, (const char *const[]){"0.751", "0.773"}, v, .7513650695523157,
             .7729284653214626);
    ad_read(r->terms, v);
    show_two(l, "½ (t - o)², output ", 1, NULL, v, .27481108317615494, .023560025583847736);
    lesson_number(l, "MSE", "0.275", ad_value(r->error), .29837110876000267);
    const double from_rounded = .5 * (pow(.01 - .751, 2) + pow(.99 - .773, 2));
    lesson_number(l, "½ ((.01 - .751)² + (.99 - .773)²)", "0.275", from_rounded, .298085);
    puts("\n  .275 is the first term alone. Of the slides' three normalisations 1/(N D), 1/2 and\n"
         "  1/N the first two agree because N D is 2 here; 1/N, with one sample, doubles it:\n");
    lesson_formula(l, "1/N Σ (t - o)²", 2 * ad_value(r->error), ad_value(r->error),
                   .29837110876000267);
}

static void show_update(lesson *l, const double *g1, const double *g2)
{
    double new1[4], new2[4];
    for (int i = 0; i < 4; i++) {
        new1[i] = first[i] - rate * g1[i];
        new2[i] = second[i] - rate * g2[i];
    }
    puts("\n  Updated at rate .5, which the slides do not say:\n");
    show_two(l, "new w", 1, NULL, new1, .14978071613276284, .19956143226552564);
    show_two(l, "new w", 3, NULL, new1 + 2, .24975114363236958, .29950228726473915);
    show_two(l, "new w", 5, NULL, new2, .3589164797178846, .4086661860762334);
    show_two(l, "new w", 7, NULL, new2 + 2, .5113012702387375, .5613701211079891);
}

static void show_backward(lesson *l, const record *r)
{
    double g1[4] = {0}, g2[4] = {0}, d_h[2] = {0}, delta_h[2] = {0}, delta_o[2] = {0}, v[2] = {0};
    ad_grad_read(r->w[0], g1);
    ad_grad_read(r->w[1], g2);
    ad_grad_read(r->h, d_h);
    ad_grad_read(r->net_h, delta_h);
    ad_grad_read(r->net_o, delta_o);
    lesson_part("Backward: the deltas are the adjoints of the nets");
    lesson_table();
    ad_grad_read(r->o, v);
    show_two(l, "∂f/∂o", 1, NULL, v, .7413650695523157, -.2170715346785374);
    show_two(l, "δ_o", 1, NULL, delta_o, .13849856162855698, -.038098236516556215);
    show_two(l, "∂f/∂h", 1, NULL, d_h, .036350306393144675, .04137032264874472);
    show_two(l, "δ_h", 1, NULL, delta_h, .008771354689486935, .009954254705217202);
    show_two(l, "∂f/∂w", 1, NULL, g1, .00043856773447434674, .0008771354689486935);
    show_two(l, "∂f/∂w", 3, NULL, g1 + 2, .0004977127352608601, .0009954254705217202);
    show_two(l, "∂f/∂w", 5, NULL, g2, .08216704056423078, .08266762784753326);
    show_two(l, "∂f/∂w", 7, NULL, g2 + 2, -.02260254047747506, -.022740242215978212);
    puts("\n  The recursion, by the formula that the slides end with:\n");
    double sum = delta_o[0] * second[0] + delta_o[1] * second[2];
    double h1 = 0.5932699921071872;
    lesson_number(l, "(δ_o1 w5 + δ_o2 w7) h1 (1 - h1) i1", NULL, sum * h1 * (1 - h1) * inputs[0],
                  .00043856773447434674);
    puts("\n  In the text of the slides some boxes became fractions: read as written, one factor\n"
         "  cancels, and what is left is ∂f/∂h1 i1, which is not ∂f/∂w1:\n");
    lesson_formula(l, "∂f/∂w1, the boxes as fractions", d_h[0] * inputs[0], g1[0],
                   .00043856773447434674);
    show_update(l, g1, g2);
}

static void show_one_step(lesson *l)
{
    net n = net_new(SHARED);
    ad_tape *t = ad_tape_new(NULL);
    record r = forward(t, n);
    ad_backward_keep(r.error);
    show_forward(l, &r);
    show_backward(l, &r);
    puts("\n  A bias shared by two neurons is one number, used twice: its adjoint is a sum.\n");
    double b[2] = {0};
    ad_grad_read(r.w[2], &b[0]);
    ad_grad_read(r.w[3], &b[1]);
    lesson_number(l, "∂f/∂b1 = δ_h1 + δ_h2", NULL, b[0], .018725609394704135);
    lesson_number(l, "∂f/∂b2 = δ_o1 + δ_o2", NULL, b[1], .10040032511200075);
    lesson_tape_free(l, t);
    net_free(n);
}

/* ---- ten thousand steps, from one tape ------------------------------------------------------ */

/* The error and outputs before the step; running it updates the parameters that are trained. */
static ad_program *capture_step(lesson *l, net n, biases kind)
{
    ad_tape *t = ad_tape_new(NULL);
    record r = forward(t, n);
    const int trained = kind == FROZEN ? 2 : 4;
    ad_var gradients[4];
    ad_gradients(r.error, trained, r.w, gradients);
    for (int i = 0; i < trained; i++)
        ad_assign(r.w[i], ad_sub(r.w[i], ad_mul(rate, gradients[i])));
    const ad_var outputs[2] = {r.error, r.o};
    ad_program *step = ad_program_capture(t, 0, NULL, 2, outputs, AD_VALUES);
    lesson_tape_free(l, t);
    return step;
}

static void train(lesson *l, biases kind)
{
    static const char *const names[KINDS] = {"biases frozen", "biases shared", "a bias each"};
    static const double after_one[KINDS] = {.29102777369359933, .2857508866992965,
                                            .28047144679143016};
    static const double after_all[KINDS][3] = {
        {3.510187782978846e-05, .015913620443550627, .9840642735146238},
        {4.355321066163808e-06, .012102159123466414, .9879283897200597},
        {2.4475622359322855e-06, .011587527390870095, .9884589350256716}};
    net n = net_new(kind);
    ad_program *step = capture_step(l, n, kind);
    ad_workspace *space = ad_workspace_new(step);
    double out[3] = {0}, second_run = NAN; /* the error, then the outputs */
    ad_status s = AD_OK;
    for (int i = 0; i <= STEPS && !s; i++) {
        s = ad_run(space, NULL, out);
        if (i == 1)
            second_run = out[0];
    }
    lesson_ok(l, s, ad_workspace_error(space));
    char what[64];
    snprintf(what, sizeof what, "%s: MSE after 1 step", names[kind]);
    lesson_number(l, what, NULL, second_run, after_one[kind]);
    snprintf(what, sizeof what, "%s: after %d", names[kind], STEPS);
    lesson_near(l, what, NULL, out[0], after_all[kind][0], 1e-9 * after_all[kind][0]);
    lesson_near(l, "  o1, to become .01", NULL, out[1], after_all[kind][1], 1e-12);
    lesson_near(l, "  o2, to become .99", NULL, out[2], after_all[kind][2], 1e-12);
    ad_workspace_free(space);
    ad_program_free(step);
    net_free(n);
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "sigmoid_222", "Two inputs, two hidden neurons, two outputs, all sigmoid");
    show_one_step(&l);
    lesson_part("Ten thousand steps: one tape, captured as a program");
    lesson_table();
    for (biases kind = FROZEN; kind < KINDS; kind++)
        train(&l, kind);
    return lesson_end(&l);
}
