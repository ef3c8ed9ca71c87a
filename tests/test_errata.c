/* test_errata.c - what is right where a lecture's slides err, and that docs/errata.md says so
 *
 * Every lettered entry of the page that has a number is computed here by the tape, compared with
 * the value in 17 digits, and looked for in that entry, in nine digits. */
#include "expect.h"

#include <ctype.h>
#include <stdio.h>

/* ---- the page ------------------------------------------------------------------------------- */

static char page[64 * 1024];

static int load_page(void **state)
{
    (void)state;
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/docs/errata.md", "rb");
    if (!file)
        return -1;
    size_t n = fread(page, 1, sizeof page - 1, file);
    page[n] = 0;
    return fclose(file) || n == sizeof page - 1;
}

typedef struct entry { /* from "- **(a)**" to the next one or the next heading */
    const char *begin, *end;
} entry;

static entry find_entry(const char *lecture, char letter)
{
    char mark[32];
    snprintf(mark, sizeof mark, "\n## %s\n", lecture);
    const char *chapter = strstr(page, mark);
    const char *next = chapter ? strstr(chapter + 1, "\n## ") : NULL;
    const char *last = next ? next : page + strlen(page);
    snprintf(mark, sizeof mark, "\n- **(%c)**", letter);
    entry e = {chapter ? strstr(chapter, mark) : NULL, NULL};
    if (!e.begin || e.begin > last) {
        fail_msg("docs/errata.md, %s: no entry (%c)", lecture, letter);
        return (entry){page, page}; /* not reached: for compilers that do not know */
    }
    e.end = strstr(e.begin + 1, "\n- **(");
    if (!e.end || e.end > last)
        e.end = last;
    return e;
}

/* The text as a number of its own: not the middle of a longer one. */
static bool holds(entry e, const char *number)
{
    const size_t n = strlen(number);
    for (const char *at = e.begin; (at = strstr(at, number)) && at < e.end; at++) {
        const bool before =
            isdigit((unsigned char)at[-1]) || at[-1] == '.' || (at[-1] == '-' && number[0] != '-');
        const bool after =
            isdigit((unsigned char)at[n]) || (at[n] == '.' && isdigit((unsigned char)at[n + 1]));
        if (!before && !after)
            return true;
    }
    return false;
}

static void says_at(const char *lecture, char letter, double got, double want, int line)
{
    char number[32];
    if (!(fabs(got - want) <= 1e-12 * fabs(want) + 1e-16))
        fail_msg("line %d: %s (%c): got %.17g, want %.17g", line, lecture, letter, got, want);
    snprintf(number, sizeof number, "%.9g", want);
    if (!holds(find_entry(lecture, letter), number))
        fail_msg("line %d: docs/errata.md, %s (%c) does not say %s", line, lecture, letter, number);
}

#define SAYS(lecture, letter, got, want) says_at(lecture, letter, got, want, __LINE__)

static void every_entry_is_there(void **state)
{
    (void)state;
    static const char *const lectures[] = {"000", "001", "002", "003", "004"};
    static const char last[] = "gdjjh";
    for (int i = 0; i < 5; i++) {
        for (char letter = 'a'; letter <= last[i]; letter++)
            find_entry(lectures[i], letter);
        char mark[32];
        snprintf(mark, sizeof mark, "\n- **(%c)**", last[i] + 1);
        entry final = find_entry(lectures[i], last[i]);
        if (strncmp(final.end, mark, strlen(mark)) == 0)
            fail_msg("docs/errata.md, %s: an entry (%c) that is not tested", lectures[i],
                     last[i] + 1);
    }
}

/* ---- 000 ------------------------------------------------------------------------------------ */

typedef struct linear_net { /* values and gradients of the 2-2-1 net at w1 to w6 */
    double h1, h2, prediction, error, gradient[6];
} linear_net;

static linear_net run_linear(const double *weights)
{
    linear_net n = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var w[6];
    for (int i = 0; i < 6; i++)
        w[i] = ad_input(t, weights[i]);
    ad_var h1 = ad_add(ad_mul(2, w[0]), ad_mul(3, w[1]));
    ad_var h2 = ad_add(ad_mul(2, w[2]), ad_mul(3, w[3]));
    ad_var prediction = ad_add(ad_mul(h1, w[4]), ad_mul(h2, w[5]));
    ad_var error = ad_mul(.5, ad_square(ad_sub(prediction, 1)));
    STATUS(ad_backward(error), AD_OK, t);
    n.h1 = ad_value(h1);
    n.h2 = ad_value(h2);
    n.prediction = ad_value(prediction);
    n.error = ad_value(error);
    for (int i = 0; i < 6; i++)
        n.gradient[i] = ad_grad(w[i]);
    ad_tape_free(t);
    return n;
}

static void of_000_the_linear_net(void **state)
{
    (void)state;
    double w[6] = {.11, .21, .12, .08, .14, .15};
    linear_net n = run_linear(w);
    SAYS("000", 'a', n.gradient[5], -.38832);
    SAYS("000", 'a', n.error * n.h2, .15707544);
    for (int i = 0; i < 6; i++)
        w[i] -= .05 * n.gradient[i];
    n = run_linear(w);
    SAYS("000", 'b', n.h1, .923619);
    SAYS("000", 'b', n.h2, .5588775);
    SAYS("000", 'c', n.prediction, .2557457808075);
    n = run_linear((const double[]){.12, .23, .13, .10, .17, .17});
    SAYS("000", 'b', n.h1, .93);
    SAYS("000", 'b', n.h2, .56);
    SAYS("000", 'c', n.prediction, .2533);
    SAYS("000", 'c', .92 * .17 + .56 * .17, .2516);
}

static void of_000_sparse_and_plain_cross_entropy(void **state)
{
    (void)state;
    static const int64_t shape[2] = {1, 3};
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input_array(t, AD_F64, 2, shape, (const double[]){2, 1, 0});
    ad_var class = ad_constant_array(t, AD_I32, 1, (const int64_t[]){1}, (const int32_t[]){0});
    ad_var row = ad_constant_array(t, AD_F64, 2, shape, (const double[]){1, 0, 0});
    ad_var none = ad_constant_array(t, AD_F64, 2, shape, (const double[]){0, 0, 0});
    SAYS("000", 'd', ad_value(ad_sum(ad_softmax_cross_entropy(z, class))), .4076059644443803);
    SAYS("000", 'd', ad_value(ad_sum(ad_softmax_cross_entropy(z, row))), .4076059644443803);
    EQUAL(ad_value(ad_sum(ad_softmax_cross_entropy(z, none))), 0);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
}

static ad_var absolute(const ad_var *x, void *user) { return (void)user, ad_abs(x[0]); }

static void of_000_a_kink_has_a_subgradient(void **state)
{
    (void)state;
    const double x[3] = {-1e-9, 0, 1e-9}, slopes[3] = {-1, 0, 1};
    for (int i = 0; i < 3; i++) {
        double g = NAN;
        assert_int_equal(ad_gradient(absolute, NULL, 1, &x[i], &g), AD_OK);
        SAYS("000", 'e', g, slopes[i]);
    }
}

static ad_var parabola(const ad_var *x, void *user) { return (void)user, ad_square(x[0]); }

static void of_000_adam_corrects_its_averages(void **state)
{
    (void)state;
    double x = 3, g = NAN;
    assert_int_equal(ad_gradient(parabola, NULL, 1, &x, &g), AD_OK);
    const double m = (1 - .9) * g, v = (1 - .999) * g * g; /* both averages were 0 */
    SAYS("000", 'f', m / sqrt(v), 3.1622776601683793);
    CLOSE(m / (1 - .9) / sqrt(v / (1 - .999)), 1);
}

/* The weight after one epoch of steps on `batch` of the four samples. */
static double epoch_of(int batch)
{
    static const double x[4] = {1, 2, 3, 4}, y[4] = {2, 4, 6, 8};
    const int64_t shape[1] = {batch};
    double w = 0;
    ad_tape *t = ad_tape_new(NULL);
    for (int from = 0; from < 4; from += batch) {
        ad_reset(t);
        ad_var in = ad_input(t, w), xs = ad_constant_array(t, AD_F64, 1, shape, x + from);
        ad_var ys = ad_constant_array(t, AD_F64, 1, shape, y + from);
        ad_var cost = ad_mul(.5, ad_mean(ad_square(ad_sub(ad_mul(in, xs), ys))));
        STATUS(ad_backward(cost), AD_OK, t);
        w -= .01 * ad_grad(in);
    }
    ad_tape_free(t);
    return w;
}

static void of_000_online_mini_batch_and_full_batch_are_three(void **state)
{
    (void)state;
    SAYS("000", 'g', epoch_of(1), .54702848);
    SAYS("000", 'g', epoch_of(2), .29375);
    SAYS("000", 'g', epoch_of(4), .15);
}

/* ---- 001 ------------------------------------------------------------------------------------ */

static ad_var slide_error(const ad_var *y, void *user)
{
    (void)user;
    return ad_sqrt(ad_sub(ad_square(y[0]), 1));
}

static ad_var distance(const ad_var *y, void *user)
{
    (void)user;
    return ad_sqrt(ad_square(ad_sub(y[0], 1)));
}

static void of_001_the_error_is_a_distance(void **state)
{
    (void)state;
    double y = .191, e = 0, g = 0;
    SAYS("001", 'a', y * y - 1, -.963519);
    assert_int_equal(ad_value_and_gradient(slide_error, NULL, 1, &y, &e, &g), AD_OK);
    EQUAL(e, NAN);
    assert_int_equal(ad_value_and_gradient(distance, NULL, 1, &y, &e, &g), AD_OK);
    SAYS("001", 'a', e, .809);
    EQUAL(g, -1);
    y = -1;
    assert_int_equal(ad_value_and_gradient(slide_error, NULL, 1, &y, &e, &g), AD_OK);
    EQUAL(e, 0);
}

static void of_001_a_sum_over_samples_is_one_of_products(void **state)
{
    (void)state;
    static const int64_t two[1] = {2};
    const double z[2] = {log(.8 / .2), log(.3 / .7)}, w0 = (z[1] - z[0]) / 1.5;
    double a[2], d[2];
    ad_tape *t = ad_tape_new(NULL);
    ad_var w = ad_input(t, w0), b = ad_input(t, z[0] - w0 * .5);
    ad_var x = ad_constant_array(t, AD_F64, 1, two, (const double[]){.5, 2});
    ad_var y = ad_constant_array(t, AD_F64, 1, two, (const double[]){1, 0});
    ad_var out = ad_sigmoid(ad_add(ad_mul(w, x), b));
    ad_retain(out);
    STATUS(ad_backward(ad_mul(.5, ad_sum(ad_square(ad_sub(out, y))))), AD_OK, t);
    ad_read(out, a);
    ad_grad_read(out, d);
    SAYS("001", 'b', d[0], -.2);
    SAYS("001", 'b', d[1], .3);
    const double sum = a[0] - 1 + a[1];
    SAYS("001", 'b', sum, .1);
    SAYS("001", 'c', ad_grad(w), .11);
    SAYS("001", 'c', a[0] * (1 - a[0]) * .5 * sum, .008);
    SAYS("001", 'c', a[1] * (1 - a[1]) * 2 * sum, .042);
    ad_tape_free(t);
}

/* the net of examples/lessons/hidden4_outputs3.c */
static void of_001_inner_layers_sum_over_samples_too(void **state)
{
    (void)state;
    static const double second[12] = {.3, -.2, .1, .5, .4, -.6, -.1, .7, .2, -.4, .6, .8};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_array(t, AD_F64, 2, (const int64_t[]){3, 2},
                                 (const double[]){1, .5, -.5, 1, .25, -1});
    ad_var y = ad_constant_array(t, AD_F64, 2, (const int64_t[]){3, 3},
                                 (const double[]){1, 0, 0, 0, 1, 0, 0, 0, 1});
    ad_var w1 = ad_input_array(t, AD_F64, 2, (const int64_t[]){2, 4},
                               (const double[]){.1, .2, -.3, .4, -.5, .6, .7, -.8});
    ad_var b1 =
        ad_input_array(t, AD_F64, 1, (const int64_t[]){4}, (const double[]){.1, -.1, .2, -.2});
    ad_var w2 = ad_input_array(t, AD_F64, 2, (const int64_t[]){4, 3}, second);
    ad_var b2 = ad_input_array(t, AD_F64, 1, (const int64_t[]){3}, (const double[]){.05, -.05, .1});
    ad_var h = ad_sigmoid(ad_add(ad_matmul(x, w1), b1));
    ad_var a = ad_sigmoid(ad_add(ad_matmul(h, w2), b2));
    STATUS(ad_backward(ad_mul(.5, ad_sum(ad_square(ad_sub(a, y))))), AD_OK, t);
    double g[8], out[9], hidden[12], slide = 0;
    ad_grad_read(w1, g);
    ad_read(a, out);
    ad_read(h, hidden);
    SAYS("001", 'd', g[0], -.020061062220154521);
    for (int j = 0; j < 3; j++) /* deltas by the slide, with sample 1's factors; inputs[0] is 1 */
        slide += out[j] * (1 - out[j]) * (out[j] + out[3 + j] + out[6 + j] - 1) * second[j];
    SAYS("001", 'd', slide * hidden[0] * (1 - hidden[0]), .0057908262116538093);
    ad_tape_free(t);
}

/* ---- 002 ------------------------------------------------------------------------------------ */

static void of_002_costs(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, .5), a = ad_sigmoid(z);
    STATUS(ad_backward(ad_square(ad_sub(a, 1))), AD_OK, t);
    SAYS("002", 'a', ad_grad(z), -.17744691734927375);
    STATUS(ad_backward(ad_mul(.5, ad_square(ad_sub(a, 1)))), AD_OK, t);
    SAYS("002", 'a', ad_grad(z), -.088723458674636874);

    a = ad_input(t, .3);
    ad_var on = ad_mul(0, ad_log(a)), off = ad_mul(1, ad_log(ad_sub(1, a)));
    SAYS("002", 'b', ad_value(ad_neg(ad_add(on, off))), .35667494393873238);
    SAYS("002", 'b', ad_value(ad_add(ad_neg(on), off)), -.35667494393873238);

    double minus_ln[3];
    const double right[3] = {1.7341961371357982, 3.4341961371357982, .23419613713579816};
    ad_var logits =
        ad_input_array(t, AD_F64, 1, (const int64_t[]){3}, (const double[]){.5, -1.2, 2});
    ad_read(ad_neg(ad_log_softmax(logits, 0)), minus_ln);
    for (int i = 0; i < 3; i++)
        SAYS("002", 'c', minus_ln[i], right[i]);
    EQUAL(ad_value(ad_log(ad_constant(-1.2))), NAN);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
}

static void of_002_leaky_relu_wants_a_slope_from_0_to_1(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, -2);
    SAYS("002", 'd', ad_value(ad_max(z, ad_mul(-1, z))), 2);
    SAYS("002", 'd', ad_value(ad_max(z, ad_mul(.01, z))), -.02);
    ad_tape_free(t);
}

typedef struct mazur { /* what the tape gives for lecture 004's example, biases shared */
    double mse, terms[2], delta_h[2], d_h[2], w1[4], w2[4], b2;
} mazur;

static mazur run_mazur(void)
{
    static const int64_t two[1] = {2}, square[2] = {2, 2};
    mazur m = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_constant_array(t, AD_F64, 1, two, (const double[]){.05, .1});
    ad_var y = ad_constant_array(t, AD_F64, 1, two, (const double[]){.01, .99});
    ad_var w1 = ad_input_array(t, AD_F64, 2, square, (const double[]){.15, .2, .25, .3});
    ad_var w2 = ad_input_array(t, AD_F64, 2, square, (const double[]){.4, .45, .5, .55});
    ad_var b1 = ad_input(t, .35), b2 = ad_input(t, .6);
    ad_var net_h = ad_add(ad_matmul(w1, x), b1), h = ad_sigmoid(net_h);
    ad_var o = ad_sigmoid(ad_add(ad_matmul(w2, h), b2));
    ad_var terms = ad_mul(.5, ad_square(ad_sub(y, o))), mse = ad_sum(terms);
    STATUS(ad_backward_keep(mse), AD_OK, t);
    m.mse = ad_value(mse);
    ad_read(terms, m.terms);
    ad_grad_read(net_h, m.delta_h);
    ad_grad_read(h, m.d_h);
    ad_grad_read(w1, m.w1);
    ad_grad_read(w2, m.w2);
    m.b2 = ad_grad(b2);
    ad_tape_free(t);
    return m;
}

static void of_002_deltas_and_biases(void **state)
{
    (void)state;
    mazur m = run_mazur();
    SAYS("002", 'e', m.delta_h[0], .008771354689486935);
    SAYS("002", 'e', m.delta_h[1], .009954254705217202);
    SAYS("002", 'g', m.b2, .10040032511200075);
    SAYS("002", 'g', .6 - .5 * m.b2, .5497998374439996);
}

static ad_var l2(const ad_var *w, void *user) /* R = 1/(2n) w^2, n = 1; user: lambda */
{
    return ad_mul(*(const double *)user, ad_mul(.5, ad_square(w[0])));
}

static ad_var l1(const ad_var *w, void *user)
{
    return ad_mul(*(const double *)user, ad_abs(w[0]));
}

static void of_002_penalties(void **state)
{
    (void)state;
    double lambda = .1, one = 1, w = .5, g = NAN;
    assert_int_equal(ad_gradient(l2, &lambda, 1, &w, &g), AD_OK);
    SAYS("002", 'f', g, .05);
    assert_int_equal(ad_gradient(l2, &one, 1, &w, &g), AD_OK);
    SAYS("002", 'f', g, .5);
    for (w = -.5; w > -1000; w *= 10) {
        assert_int_equal(ad_gradient(l1, &lambda, 1, &w, &g), AD_OK);
        SAYS("002", 'i', g, -.1);
    }
}

static void of_002_dropout_keeps_one_minus_p(void **state)
{
    (void)state;
    const double p = .3, expected = p * 0 + (1 - p) * 1;
    SAYS("002", 'h', expected, .7);
    ad_tape *t = ad_tape_new(NULL);
    ad_var kept = ad_mean(ad_random_bernoulli(t, 1, 1 - p, AD_F64, 1, (const int64_t[]){100000}));
    if (!(fabs(ad_value(kept) - expected) < .006)) /* four standard deviations */
        fail_msg("kept %g of the time, want %g", ad_value(kept), expected);
    ad_tape_free(t);
}

static ad_var cost_of_sigmoids(ad_var a, ad_var y)
{
    return ad_neg(ad_sum(ad_add(ad_mul(y, ad_log(a)), ad_mul(ad_sub(1, y), ad_log(ad_sub(1, a))))));
}

static void of_002_delta_is_a_minus_y_for_sigmoids_only(void **state)
{
    (void)state;
    static const int64_t three[1] = {3};
    const double right[3] = {-1.2446736616487686, -.011371709186772261, 1.2560453708355409};
    double delta[3], a[3];
    const double y[3] = {1, 0, .3};
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input_array(t, AD_F64, 1, three, (const double[]){.5, -1.2, 2});
    ad_var target = ad_constant_array(t, AD_F64, 1, three, y);
    STATUS(ad_backward(cost_of_sigmoids(ad_softmax(z, 0), target)), AD_OK, t);
    ad_grad_read(z, delta);
    for (int i = 0; i < 3; i++)
        SAYS("002", 'j', delta[i], right[i]);
    ad_var out = ad_sigmoid(z);
    STATUS(ad_backward(cost_of_sigmoids(out, target)), AD_OK, t);
    ad_grad_read(z, delta);
    ad_read(out, a);
    for (int i = 0; i < 3; i++)
        CLOSE(delta[i], a[i] - y[i]);
    ad_tape_free(t);
}

/* ---- 003 ------------------------------------------------------------------------------------ */

typedef enum cost { HALF_SQUARED, SQUARED, CROSS_ENTROPY } cost;

typedef struct neuron { /* one sigmoid neuron; gradient: of w and b */
    double a, gradient[2];
} neuron;

static ad_var neuron_cost(cost kind, ad_var a, double y)
{
    if (kind == CROSS_ENTROPY)
        return ad_neg(ad_add(ad_mul(y, ad_log(a)), ad_mul(1 - y, ad_log(ad_sub(1, a)))));
    return ad_mul(kind == SQUARED ? 1 : .5, ad_square(ad_sub(a, y)));
}

static neuron run_neuron(ad_tape *t, cost kind, double w, double b, double x, double y)
{
    ad_reset(t);
    ad_var in[2] = {ad_input(t, w), ad_input(t, b)};
    ad_var a = ad_sigmoid(ad_add(ad_mul(in[0], x), in[1]));
    STATUS(ad_backward(neuron_cost(kind, a, y)), AD_OK, t);
    return (neuron){ad_value(a), {ad_grad(in[0]), ad_grad(in[1])}};
}

static void of_003_the_task_and_the_cost(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    for (cost kind = HALF_SQUARED; kind <= CROSS_ENTROPY; kind++) {
        neuron n = run_neuron(t, kind, .6, .9, 0, 1);
        SAYS("003", 'a', n.gradient[0], 0);
        assert_true(n.gradient[1] != 0);
    }
    SAYS("003", 'b', run_neuron(t, SQUARED, .6, .9, 1, 0).gradient[0], .24387666485508552);
    SAYS("003", 'b', run_neuron(t, HALF_SQUARED, .6, .9, 1, 0).gradient[0], .12193833242754278);
    ad_tape_free(t);
}

static ad_var substitution(const ad_var *a, void *user)
{
    (void)user;
    return ad_sub(ad_div(1, a[0]), 1);
}

/* the last line but one, right and as printed; y = .3 */
static ad_var derived(const ad_var *a, void *user)
{
    (void)user;
    ad_var off = ad_log(ad_sub(1, a[0]));
    return ad_add(ad_neg(off), ad_mul(.3, ad_sub(off, ad_log(a[0]))));
}

static ad_var derived_with_slip(const ad_var *a, void *user)
{
    (void)user;
    ad_var off = ad_log(ad_sub(1, a[0]));
    return ad_sub(ad_neg(off), ad_mul(.3, ad_add(off, ad_mul(.3, ad_log(a[0])))));
}

static void of_003_deriving_cross_entropy(void **state)
{
    (void)state;
    double a = .5, g = NAN;
    assert_int_equal(ad_gradient(substitution, NULL, 1, &a, &g), AD_OK);
    SAYS("003", 'c', g, -4);
    a = .6;
    assert_int_equal(ad_gradient(derived, NULL, 1, &a, &g), AD_OK);
    SAYS("003", 'c', g, 1.25);
    CLOSE((a - .3) / (a * (1 - a)), 1.25);
    assert_int_equal(ad_gradient(derived_with_slip, NULL, 1, &a, &g), AD_OK);
    SAYS("003", 'c', g, 3.1);
}

static void of_003_the_first_equation(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, 1.5), a = ad_sigmoid(z);
    STATUS(ad_backward_keep(neuron_cost(CROSS_ENTROPY, a, 0)), AD_OK, t);
    const double da = ad_grad(a), slope = ad_node_partial(t, ad_var_node(a), 0);
    SAYS("003", 'e', da, 5.4816890703380648);
    SAYS("003", 'e', slope, .14914645207033286);
    SAYS("003", 'e', ad_grad(z), .8175744761936437);
    CLOSE(da * slope, ad_grad(z));
    ad_var x = ad_input_array(t, AD_F64, 1, (const int64_t[]){3}, (const double[]){1, 2, 3});
    double g[3];
    STATUS(ad_backward(ad_at(ad_softmax(x, 0), (const int64_t[]){0})), AD_OK, t);
    ad_grad_read(x, g);
    SAYS("003", 'f', g[1], -.022033044520174298);
    ad_tape_free(t);
}

static ad_var of_output(const ad_var *a, void *user)
{
    return neuron_cost(CROSS_ENTROPY, a[0], *(const double *)user);
}

static void of_003_the_least_cost_is_the_entropy(void **state)
{
    (void)state;
    double y = .3, c = NAN, slope = NAN, curvature = NAN;
    assert_int_equal(ad_value_and_gradient(of_output, &y, 1, &y, &c, &slope), AD_OK);
    assert_int_equal(ad_hessian(of_output, &y, 1, &y, &curvature), AD_OK);
    SAYS("003", 'g', c, .61086430205489346);
    SAYS("003", 'g', curvature, 4.7619047619047619);
    assert_true(fabs(slope) < 1e-15);
}

/* The first of 300 epochs with an output below one half, -1: none; *end is the last output. */
static int descend(cost kind, double start_w, double start_b, double rate, double *end)
{
    ad_tape *t = ad_tape_new(NULL);
    double w = start_w, b = start_b;
    int first = -1;
    for (int epoch = 0; epoch <= 300; epoch++) {
        neuron n = run_neuron(t, kind, w, b, 1, 0);
        if (first < 0 && n.a < .5)
            first = epoch;
        *end = n.a;
        w -= rate * n.gradient[0];
        b -= rate * n.gradient[1];
    }
    ad_tape_free(t);
    return first;
}

static void of_003_epochs(void **state)
{
    (void)state;
    double end;
    SAYS("003", 'h', descend(HALF_SQUARED, .6, .9, .15, &end), 36);
    SAYS("003", 'b', end, .09395569486364722);
    SAYS("003", 'h', descend(HALF_SQUARED, 2, 2, .15, &end), 232);
    SAYS("003", 'b', end, .20284842426777663);
    SAYS("003", 'h', descend(CROSS_ENTROPY, .6, .9, .15, &end), 8);
    SAYS("003", 'h', descend(CROSS_ENTROPY, 2, 2, .15, &end), 17);
    SAYS("003", 'h', descend(CROSS_ENTROPY, .6, .9, .005, &end), 228);
    assert_int_equal(descend(CROSS_ENTROPY, 2, 2, .005, &end), -1);
    SAYS("003", 'h', end, .7795870642061689);
}

static void of_003_the_sigmoid_does_reach_1(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var z = ad_input(t, 37);
    assert_true(ad_value(ad_sigmoid(ad_constant(36))) < 1);
    SAYS("003", 'i', ad_value(ad_sigmoid(z)), 1);
    EQUAL(ad_value(ad_log(ad_sub(1, ad_sigmoid(z)))), -INFINITY);
    SAYS("003", 'i', ad_value(ad_bce_logits(z, 0)), 37);
    ad_tape_free(t);
}

static void of_003_without_a_sigmoid_the_squared_cost_is_quick(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    double w = 2, b = 2;
    int epoch = 0;
    for (; w + b >= .5 && epoch < 300; epoch++) {
        ad_reset(t);
        ad_var in[2] = {ad_input(t, w), ad_input(t, b)};
        STATUS(ad_backward(neuron_cost(HALF_SQUARED, ad_add(in[0], in[1]), 0)), AD_OK, t);
        w -= .15 * ad_grad(in[0]);
        b -= .15 * ad_grad(in[1]);
    }
    SAYS("003", 'j', epoch, 6);
    SAYS("003", 'j', descend(HALF_SQUARED, 2, 2, .15, &w), 232);
    ad_tape_free(t);
}

/* ---- 004 ------------------------------------------------------------------------------------ */

static void of_004_the_example(void **state)
{
    (void)state;
    mazur m = run_mazur();
    SAYS("004", 'a', m.mse, .29837110876000267);
    SAYS("004", 'a', m.terms[0], .27481108317615494);
    SAYS("004", 'a', .5 * (pow(.01 - .751, 2) + pow(.99 - .773, 2)), .298085);
    SAYS("004", 'b', m.mse, .29837110876000267);
    SAYS("004", 'b', 2 * m.mse, .59674221752000534);
    SAYS("004", 'c', .4 - .5 * m.w2[0], .3589164797178846);
    SAYS("004", 'e', m.w1[0], .00043856773447434674);
    SAYS("004", 'e', m.d_h[0] * .05, .00181751531965723375);
}

static ad_var relu(const ad_var *x, void *user) { return (void)user, ad_relu(x[0]); }
static ad_var leaky(const ad_var *x, void *user) { return (void)user, ad_leaky_relu(x[0], .01); }

static void of_004_slopes_at_kinks(void **state)
{
    (void)state;
    double zero = 0, g = NAN;
    assert_int_equal(ad_gradient(relu, NULL, 1, &zero, &g), AD_OK);
    SAYS("004", 'd', g, 0);
    assert_int_equal(ad_gradient(leaky, NULL, 1, &zero, &g), AD_OK);
    SAYS("004", 'd', g, .01);
}

static void of_004_a_long_step_climbs(void **state)
{
    (void)state;
    double x = -1, y = NAN, g = NAN;
    for (int i = 0; i <= 10; i++) {
        assert_int_equal(ad_value_and_gradient(parabola, NULL, 1, &x, &y, &g), AD_OK);
        if (i == 1)
            SAYS("004", 'g', y, 1.21);
        if (i == 10)
            SAYS("004", 'g', x, -2.5937424601);
        x -= 1.05 * g;
    }
}

static void of_004_cross_entropy_ranks(void **state)
{
    (void)state;
    static const int64_t three[1] = {3};
    static const double predictions[2][3] = {{.4, .5, .1}, {.2, .5, .3}};
    static const double right[2] = {1.0819778284410284, 1.07019952487539};
    ad_tape *t = ad_tape_new(NULL);
    ad_var y = ad_constant_array(t, AD_F64, 1, three, (const double[]){.3, .5, .2});
    for (int k = 0; k < 2; k++) {
        ad_var q = ad_input_array(t, AD_F64, 1, three, predictions[k]);
        SAYS("004", 'h', ad_value(ad_neg(ad_sum(ad_mul(y, ad_log(q))))), right[k]);
        SAYS("004", 'h', ad_value(ad_sum(ad_square(ad_sub(y, q)))), .02);
    }
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_there),
        cmocka_unit_test(of_000_the_linear_net),
        cmocka_unit_test(of_000_sparse_and_plain_cross_entropy),
        cmocka_unit_test(of_000_a_kink_has_a_subgradient),
        cmocka_unit_test(of_000_adam_corrects_its_averages),
        cmocka_unit_test(of_000_online_mini_batch_and_full_batch_are_three),
        cmocka_unit_test(of_001_the_error_is_a_distance),
        cmocka_unit_test(of_001_a_sum_over_samples_is_one_of_products),
        cmocka_unit_test(of_001_inner_layers_sum_over_samples_too),
        cmocka_unit_test(of_002_costs),
        cmocka_unit_test(of_002_leaky_relu_wants_a_slope_from_0_to_1),
        cmocka_unit_test(of_002_deltas_and_biases),
        cmocka_unit_test(of_002_penalties),
        cmocka_unit_test(of_002_dropout_keeps_one_minus_p),
        cmocka_unit_test(of_002_delta_is_a_minus_y_for_sigmoids_only),
        cmocka_unit_test(of_003_the_task_and_the_cost),
        cmocka_unit_test(of_003_deriving_cross_entropy),
        cmocka_unit_test(of_003_the_first_equation),
        cmocka_unit_test(of_003_the_least_cost_is_the_entropy),
        cmocka_unit_test(of_003_epochs),
        cmocka_unit_test(of_003_the_sigmoid_does_reach_1),
        cmocka_unit_test(of_003_without_a_sigmoid_the_squared_cost_is_quick),
        cmocka_unit_test(of_004_the_example),
        cmocka_unit_test(of_004_slopes_at_kinks),
        cmocka_unit_test(of_004_a_long_step_climbs),
        cmocka_unit_test(of_004_cross_entropy_ranks),
    };
    return cmocka_run_group_tests(tests, load_page, NULL);
}
