/* output_delta.c - the delta of the output layer, a - y, and when it is something else
 *
 * Delta is the adjoint of the pre-activation z. Lectures 002 and 003 derive it for pairs of output
 * and cost; here it is read off tapes that record nothing but the cost. The exercises of lecture
 * 003 on cross-entropy follow. */
#include "lesson.h"

#include <string.h>

enum { OUT = 3 };
static const double pre[OUT] = {.5, -1.2, 2};

/* ---- pairs of output and cost --------------------------------------------------------------- */

static ad_var squared(ad_var a, ad_var y) { return ad_mul(.5, ad_sum(ad_square(ad_sub(a, y)))); }

/* of n independent outputs: each may be on or off */
static ad_var binary_cross_entropy(ad_var a, ad_var y)
{
    ad_var on = ad_mul(y, ad_log(a)), off = ad_mul(ad_sub(1, y), ad_log(ad_sub(1, a)));
    return ad_neg(ad_sum(ad_add(on, off)));
}

static ad_var cross_entropy(ad_var a, ad_var y) { return ad_neg(ad_sum(ad_mul(y, ad_log(a)))); }

static ad_var sigmoid(ad_var z) { return ad_sigmoid(z); }
static ad_var softmax(ad_var z) { return ad_softmax(z, -1); }
static ad_var linear(ad_var z) { return z; }

typedef struct pair {
    const char *name;
    ad_var (*output)(ad_var z);
    ad_var (*cost)(ad_var a, ad_var y);
    double y[OUT], right[OUT];
    bool is_difference; /* delta = a - y */
    const char *slide;
} pair;

static const pair pairs[] = {
    {"sigmoid and cross-entropy",
     sigmoid,
     binary_cross_entropy,
     {1, 0, .3},
     {-.37754066879814544, .23147521650098236, .58079707797788244},
     true,
     "yes"},
    {"softmax and cross-entropy",
     softmax,
     cross_entropy,
     {.2, .1, .7},
     {.17654205886637115 - .2, .032251325457234011 - .1, .79120661567639484 - .7},
     true,
     NULL},
    {"linear and ½ squared", linear, squared, {1, 0, .3}, {-.5, -1.2, 1.7}, true, "yes"},
    {"sigmoid and ½ squared",
     sigmoid,
     squared,
     {1, 0, .3},
     {-.088723458674636874, .041178154163040506, .060979967608777835},
     false,
     NULL},
    {"softmax and the cost of sigmoids, -Σ y ln a + (1 - y) ln(1 - a)",
     softmax,
     binary_cross_entropy,
     {1, 0, .3},
     {-1.2446736616487686, -.011371709186772261, 1.2560453708355409},
     false,
     "yes"}};

static void show_pair(lesson *l, const pair *p)
{
    double delta[OUT] = {0}, a[OUT] = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input_array(t, AD_F64, 1, (const int64_t[]){OUT}, pre);
    ad_var y = ad_constant_array(t, AD_F64, 1, (const int64_t[]){OUT}, p->y);
    ad_var out = p->output(z);
    ad_backward(p->cost(out, y));
    ad_read(out, a);
    ad_grad_read(z, delta);
    printf("  %s\n", p->name);
    bool difference = true;
    for (int i = 0; i < OUT; i++) {
        char what[64];
        snprintf(what, sizeof what, "  δ%d", i + 1);
        lesson_number(l, what, NULL, delta[i], p->right[i]);
        difference = difference && fabs(delta[i] - (a[i] - p->y[i])) < 1e-14;
    }
    lesson_claim(l, "  δ = a - y?", p->slide, difference, p->is_difference);
    lesson_tape_free(l, t);
}

/* Equation (7) of lecture 002, δ = a - y, is given without an output: the last pair is its limit.
 * It gives (6) δ = (a - y) σ'(z) for the cost 1/n Σ ||a - y||², which has no half. */
static void show_factor(lesson *l)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, pre[0]), a = ad_sigmoid(z);
    ad_backward(ad_square(ad_sub(a, 1)));
    const double out = ad_value(a), by_slide = (out - 1) * out * (1 - out);
    puts("\n  Equation (6) of lecture 002 is for ½ ||a - y||²; its cost is ||a - y||²:\n");
    lesson_formula(l, "δ1 of ||a - y||², sigmoid", by_slide, ad_grad(z), 2 * -.088723458674636874);
    lesson_tape_free(l, t);
}

/* ---- read off the tape ---------------------------------------------------------------------- */

/* The adjoint of what the last node of that operation was applied to. */
static double adjoint_before(const ad_tape *t, const char *operation)
{
    ad_node_info info = {0};
    for (int64_t i = ad_node_count(t) - 1; i >= 0; i--) {
        ad_node_at(t, i, &info);
        if (info.operation && strcmp(info.operation, operation) == 0) {
            ad_node_at(t, ad_node_parent(t, i, 0), &info);
            return info.adjoint;
        }
    }
    return NAN;
}

static void show_tape(lesson *l)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 1), w = ad_input(t, .6), b = ad_input(t, .9);
    ad_var a = ad_sigmoid(ad_add(ad_mul(w, x), b));
    ad_var cost = ad_neg(ad_log(ad_sub(1, a))); /* cross-entropy for y = 0 */
    lesson_part("Where it stands on the tape: one neuron, y = 0");
    const ad_var inputs[3] = {x, w, b};
    lesson_ok(l, ad_trace_print(cost, 3, inputs, (const char *const[]){"x", "w", "b"}, stdout),
              ad_tape_error(t));
    ad_backward_keep(cost);
    puts("\n  The adjoint of the sum that goes into the sigmoid is the sigmoid's value less 0:\n");
    lesson_table();
    lesson_number(l, "δ, the adjoint before the sigmoid", NULL, adjoint_before(t, "sigmoid"),
                  .8175744761936437);
    lesson_number(l, "a - y", NULL, ad_value(a) - 0, .8175744761936437);
    lesson_tape_free(l, t);
}

/* ---- the factor x --------------------------------------------------------------------------- */

/* Two inputs with the same z, so with the same a and C: no cost can tell them apart, and yet the
 * derivatives differ, because the inputs do. */
static void show_inputs(lesson *l)
{
    static const double x[2][2] = {{1, 2}, {2, 1}};
    lesson_part("The factor x cannot be removed");
    puts("  w = (.4, .4): the inputs (1, 2) and (2, 1) give the same z; y = 0.\n");
    lesson_table();
    for (int k = 0; k < 2; k++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var w1 = ad_input(t, .4), w2 = ad_input(t, .4);
        ad_var z = ad_add(ad_mul(w1, x[k][0]), ad_mul(w2, x[k][1]));
        ad_backward(ad_softplus(z)); /* cross-entropy of σ(z) for y = 0 */
        printf("  x = (%g, %g)\n", x[k][0], x[k][1]);
        lesson_number(l, "  z", NULL, ad_value(z), 1.2);
        lesson_number(l, "  ∂C/∂w1", NULL, ad_grad(w1), .76852478349901764 * x[k][0]);
        lesson_number(l, "  ∂C/∂w2", NULL, ad_grad(w2), .76852478349901764 * x[k][1]);
        lesson_tape_free(l, t);
    }
}

/* ---- exercises ------------------------------------------------------------------------------ */

/* C(a) = -(y ln a + (1 - y) ln(1 - a)); user: y */
static ad_var of_output(const ad_var *a, void *user)
{
    const double y = *(const double *)user;
    return ad_neg(ad_add(ad_mul(y, ad_log(a[0])), ad_mul(1 - y, ad_log(ad_sub(1, a[0])))));
}

static void show_swap(lesson *l)
{
    lesson_part("y and a swapped: -(a ln y + (1 - a) ln(1 - y)) for y = 0");
    ad_context *checking = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(checking);
    ad_var y = ad_input(t, 0), a = ad_sigmoid(ad_input(t, .5));
    ad_var cost = ad_neg(ad_add(ad_mul(a, ad_log(y)), ad_mul(ad_sub(1, a), ad_log(ad_sub(1, y)))));
    (void)cost;
    printf("  The tape, told to check values: %s\n\n", ad_tape_error(t));
    lesson_table();
    lesson_claim(l, "is it defined for y = 0?", "no", ad_tape_status(t) == AD_OK, false);
    ad_tape_free(t);
    ad_context_free(checking);
}

static void show_minimum(lesson *l)
{
    double y = .3, c = 0, slope = 0, curvature = 0;
    lesson_part("Cross-entropy is least at a = y, for 0 < y < 1 too (y = .3)");
    lesson_ok(l, ad_value_and_gradient(of_output, &y, 1, &y, &c, &slope), "gradient");
    lesson_ok(l, ad_hessian(of_output, &y, 1, &y, &curvature), "Hessian");
    lesson_table();
    lesson_near(l, "C'(y)", "0", slope, 0, 1e-15);
    lesson_number(l, "C''(y) = 1/(y (1 - y))", NULL, curvature, 4.7619047619047619);
    puts("\n  The slide has C → 0 for a → y, and says for y of 0 or 1. For others it is the\n"
         "  entropy:\n");
    lesson_formula(l, "C(y) = H(y)", 0, c, .61086430205489346);
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "output_delta", "The delta of the output layer");
    lesson_part("Pairs of output and cost, z = (.5, -1.2, 2)");
    lesson_table();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        show_pair(&l, &pairs[i]);
    show_factor(&l);
    show_tape(&l);
    show_inputs(&l);
    show_swap(&l);
    show_minimum(&l);
    return lesson_end(&l);
}
