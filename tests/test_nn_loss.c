/* test_nn_loss.c - losses: values and gradients, weights, reductions; what they refuse
 *
 * data/torch_loss.txt was made by oracle_nn_loss.py, which describes it. */
#include "allocator.h"
#include "compare.h"
#include "expect.h"
#include "nn.h"

static const char *const names[NN_LOSSES] = {
    "",
    "mse",
    "half_mse",
    "mae",
    "huber",
    "msle",
    "bce",
    "bce_logits",
    "softmax_cross_entropy",
    "cross_entropy",
    "kl",
    "hinge",
    "squared_hinge",
    "logistic",
    "custom",
};
static const char *const reductions[] = {"", "none", "sum", "elements", "samples"};

static ad_var of_doubles(ad_tape *t, ad_dtype dtype, int rank, const int64_t *shape,
                         const double *values)
{
    return ad_cast(ad_input_array(t, AD_F64, rank, shape, values), dtype);
}

#define ARRAY(t, values, ...)                                                                      \
    ad_input_array(t, AD_F64, (int)(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)),             \
                   (const int64_t[]){__VA_ARGS__}, values)
#define CLASSES(t, n, ...)                                                                         \
    ad_constant_array(t, AD_I32, 1, (const int64_t[]){n}, (const int32_t[]){__VA_ARGS__})

/* ---- PyTorch ---- */

enum { MAX_NUMBERS = 16 };

typedef struct torch_case {
    nn_loss loss;
    nn_loss_options options;
    char name[32], text[96];
    int p_rank, y_rank, n_p, n_w, n_c, n_v;
    bool classes;
    int64_t p_shape[2], y_shape[2];
    double p[MAX_NUMBERS], y[MAX_NUMBERS], w[MAX_NUMBERS], c[MAX_NUMBERS], v[MAX_NUMBERS],
        g[MAX_NUMBERS], d[MAX_NUMBERS];
} torch_case;

static int index_of(const char *name, int n, const char *const *all)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i], name))
            return i;
    fail_msg("torch_loss.txt: \"%s\" is not known", name);
    return 0;
}

static int numbers_in(const char *text, double *out)
{
    int n = 0;
    for (char *end;; text = end) {
        const double x = strtod(text, &end);
        if (end == text)
            return n;
        assert_in_range(n, 0, MAX_NUMBERS - 1);
        out[n++] = x;
    }
}

static int array_in(const char *text, int *rank, int64_t *shape, double *out)
{
    char *end;
    *rank = (int)strtol(text, &end, 10);
    assert_in_range(*rank, 0, 2);
    for (int i = 0; i < *rank; i++)
        shape[i] = strtol(end, &end, 10);
    return numbers_in(end, out);
}

static void read_head(torch_case *c, const char *line)
{
    char reduction[16], flags[8];
    assert_int_equal(sscanf(line + 1, " %31s %15s %lf %lf %7s", c->name, reduction,
                            &c->options.smoothing, &c->options.delta, flags),
                     5);
    c->loss = (nn_loss)index_of(c->name, NN_LOSSES, names);
    c->options.reduction = (nn_reduction)index_of(reduction, 5, reductions);
    c->options.divide_by_count = strchr(flags, 'c');
    c->options.zero_one_labels = strchr(flags, 'z');
    snprintf(c->text, sizeof c->text, "%.80s", line + 2);
    c->text[strcspn(c->text, "\n")] = 0;
}

/* false: no case is left */
static bool read_case(FILE *file, torch_case *c)
{
    char line[1024];
    memset(c, 0, sizeof *c);
    while (fgets(line, sizeof line, file) && line[0] != '\n')
        switch (line[0]) {
        case 'o':
            read_head(c, line);
            break;
        case 'p':
            c->n_p = array_in(line + 1, &c->p_rank, c->p_shape, c->p);
            break;
        case 'i':
        case 'y':
            c->classes = line[0] == 'i';
            array_in(line + 1, &c->y_rank, c->y_shape, c->y);
            break;
        case 'w':
            c->n_w = numbers_in(line + 1, c->w);
            break;
        case 'c':
            c->n_c = c->options.n_class_weights = numbers_in(line + 1, c->c);
            c->options.class_weights = c->c;
            break;
        case 'v':
            c->n_v = numbers_in(line + 1, c->v);
            break;
        case 'g':
            assert_int_equal(numbers_in(line + 1, c->g), c->n_v);
            break;
        case 'd':
            assert_int_equal(numbers_in(line + 1, c->d), c->n_p);
            break;
        default:
            fail_msg("torch_loss.txt: %s", line);
        }
    return c->name[0] != 0;
}

static void check_case(torch_case *c, ad_dtype dtype)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var p = of_doubles(t, dtype, c->p_rank, c->p_shape, c->p);
    ad_var y =
        ad_cast(of_doubles(t, AD_F64, c->y_rank, c->y_shape, c->y), c->classes ? AD_I32 : dtype);
    ad_var w = {0};
    if (c->n_w)
        w = of_doubles(t, AD_F64, 1, c->p_shape, c->w);
    ad_retain(p);
    ad_var loss = nn_record_loss(c->loss, &c->options, p, y, w);
    double value[MAX_NUMBERS], gradient[MAX_NUMBERS];
    STATUS(ad_tape_status(t), AD_OK, t);
    if (ad_size(loss) != c->n_v)
        fail_msg("%s: %d values, want %d", c->text, (int)ad_size(loss), c->n_v);
    STATUS(ad_read(loss, value), AD_OK, t);
    STATUS(ad_vjp(1, &loss, (const double *const[]){c->g}), AD_OK, t);
    STATUS(ad_grad_read(p, gradient), AD_OK, t);
    const double tolerance = dtype == AD_F32 ? 1e-5 : 1e-10;
    char what[128];
    snprintf(what, sizeof what, "%s (%s)", c->text, ad_dtype_name(dtype));
    expect_close(what, c->n_v, value, c->v, tolerance * scale_of(c->n_v, c->v, 1));
    strcat(what, ", gradient");
    expect_close(what, c->n_p, gradient, c->d, tolerance * scale_of(c->n_p, c->d, 1));
    ad_tape_free(t);
}

static void losses_and_gradients_are_pytorchs(void **state)
{
    (void)state;
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/tests/data/torch_loss.txt", "r");
    assert_non_null(file);
    torch_case c;
    int cases = 0, of[NN_LOSSES] = {0};
    begin_test();
    for (; read_case(file, &c); cases++, of[c.loss]++) {
        check_case(&c, AD_F64);
        check_case(&c, AD_F32);
    }
    fclose(file);
    end_test();
    assert_true(cases >= 300);
    for (int loss = 1; loss < NN_CUSTOM_LOSS; loss++)
        if (!of[loss])
            fail_msg("no case of %s", nn_loss_name((nn_loss)loss));
}

/* ---- numbers from lectures ---- */

/* the loss of one row, and the gradient of its prediction */
static double one_row(nn_loss loss, nn_reduction reduction, int n, const double *p, const double *y,
                      double *gradient)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ARRAY(t, p, 1, n);
    ad_var l = nn_record_loss(loss, &(nn_loss_options){.reduction = reduction}, x,
                              ARRAY(t, y, 1, n), (ad_var){0});
    STATUS(ad_backward(l), AD_OK, t);
    const double value = ad_value(l);
    if (gradient)
        STATUS(ad_grad_read(x, gradient), AD_OK, t);
    ad_tape_free(t);
    return value;
}

static void near_at(double got, double want, double tolerance, const char *what, int line)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("line %d: %s: got %.17g, want %.17g", line, what, got, want);
}
#define NEAR(got, want) near_at(got, want, 1e-14, #got, __LINE__)

static void three_classes_have_the_losses_worked_out_by_hand(void **state)
{
    (void)state;
    static const struct {
        double p[3], squares, ce, kl, kl_elements, bce, mae, msle, d_ce[3], d_squares[3];
    } rows[2] = {{{.4, .5, .1},
                  .02,
                  1.0819778284410284,
                  0.05232481437645478,
                  0.017441604792151594,
                  0.6234725892944851,
                  0.06666666666666667,
                  0.004354323754122764,
                  {-.75, -1, -2},
                  {.2, 0, -.2}},
                 {{.2, .5, .3},
                  .02,
                  1.07019952487539,
                  0.040546510810816436,
                  0.01351550360360548,
                  0.6194378520754318,
                  0.06666666666666667,
                  0.004271223367807471,
                  {-1.5, -1, -.6666666666666666},
                  {-.2, 0, .2}}};
    const double y[3] = {.3, .5, .2};
    double d[3];
    for (int k = 0; k < 2; k++) {
        const double *p = rows[k].p;
        NEAR(one_row(NN_MSE, NN_SUM, 3, p, y, d), rows[k].squares);
        for (int i = 0; i < 3; i++)
            NEAR(d[i], rows[k].d_squares[i]);
        NEAR(one_row(NN_HALF_MSE, NN_SUM, 3, p, y, d), rows[k].squares / 2);
        for (int i = 0; i < 3; i++)
            NEAR(d[i], p[i] - y[i]);
        NEAR(one_row(NN_CROSS_ENTROPY, NN_DEFAULT_REDUCTION, 3, p, y, d), rows[k].ce);
        for (int i = 0; i < 3; i++)
            NEAR(d[i], rows[k].d_ce[i]);
        NEAR(one_row(NN_KL, NN_DEFAULT_REDUCTION, 3, p, y, NULL), rows[k].kl);
        NEAR(one_row(NN_KL, NN_MEAN_ELEMENTS, 3, p, y, NULL), rows[k].kl_elements);
        NEAR(one_row(NN_BCE, NN_DEFAULT_REDUCTION, 3, p, y, NULL), rows[k].bce);
        NEAR(one_row(NN_MAE, NN_DEFAULT_REDUCTION, 3, p, y, NULL), rows[k].mae);
        NEAR(one_row(NN_MSLE, NN_DEFAULT_REDUCTION, 3, p, y, NULL), rows[k].msle);
        /* on logits ln p: softmax gives p back, and the gradient is p - y */
        const double z[3] = {log(p[0]), log(p[1]), log(p[2])};
        NEAR(one_row(NN_SOFTMAX_CROSS_ENTROPY, NN_DEFAULT_REDUCTION, 3, z, y, d), rows[k].ce);
        for (int i = 0; i < 3; i++)
            NEAR(d[i], p[i] - y[i]);
    }
}

static void one_output_has_the_losses_worked_out_by_hand(void **state)
{
    (void)state;
    static const struct {
        nn_loss loss;
        double z, y, value, slope;
    } rows[] = {
        {NN_BCE_LOGITS, 0, 0, 0.6931471805599453, 0.5},
        {NN_BCE_LOGITS, 2, 0, 2.1269280110429727, 0.8807970779778824},
        {NN_BCE_LOGITS, 2, 1, 0.1269280110429725, -0.11920292202211756},
        {NN_BCE_LOGITS, 17, 0, 17.000000041399375, 0.9999999586006245},
        {NN_BCE_LOGITS, 100, 0, 100, 1},
        {NN_BCE_LOGITS, -100, 1, 100, -1},
        {NN_BCE_LOGITS, .5, .3, 0.8240769841801067, 0.32245933120185455},
        {NN_HINGE, .3, 1, .7, -1},
        {NN_HINGE, .3, -1, 1.3, 1},
        {NN_SQUARED_HINGE, .3, 1, .49, -1.4},
        {NN_SQUARED_HINGE, .3, -1, 1.69, 2.6},
        {NN_LOGISTIC, .3, 1, 0.5543552444685271, -0.425557483188341},
        {NN_LOGISTIC, .3, -1, 0.8543552444685272, 0.574442516811659},
        /* the flat sides, the kinks, and Huber's three pieces */
        {NN_HINGE, 1.5, 1, 0, 0},
        {NN_HINGE, 1, 1, 0, 0},
        {NN_MAE, .25, .25, 0, 0},
        {NN_MAE, -1, .25, 1.25, -1},
        {NN_HUBER, .5, 0, .125, .5},
        {NN_HUBER, 3, 0, 2.5, 1},
        {NN_HUBER, -3, 0, 2.5, -1},
        {NN_HUBER, 1, 0, .5, 1},
        {NN_MSLE, 0, 0, 0, 0},
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        double slope, value = one_row(rows[k].loss, NN_SUM, 1, &rows[k].z, &rows[k].y, &slope);
        if (!(fabs(value - rows[k].value) <= 2e-15 * fmax(1, rows[k].value)) ||
            !(fabs(slope - rows[k].slope) <= 2e-15))
            fail_msg("%s of %g and %g: got %.17g and slope %.17g, want %.17g and %.17g",
                     nn_loss_name(rows[k].loss), rows[k].z, rows[k].y, value, slope, rows[k].value,
                     rows[k].slope);
    }
}

/* lecture 003: exercises */
static void swapped_arguments_and_minima_are_as_the_lectures_say(void **state)
{
    (void)state;
    double d[2];
    /* cross-entropy with y and a swapped takes the logarithm of 0 */
    assert_true(isinf(one_row(NN_CROSS_ENTROPY, NN_SUM, 2, (const double[]){0, 1},
                              (const double[]){.25, .75}, NULL)));
    /* it is smallest where a = y, and then is y's entropy, not 0 */
    const double y[2] = {.25, .75};
    const double least = one_row(NN_CROSS_ENTROPY, NN_SUM, 2, y, y, NULL);
    NEAR(least, -.25 * log(.25) - .75 * log(.75));
    EQUAL(one_row(NN_KL, NN_SUM, 2, y, y, NULL), 0);
    for (double a = .05; a < 1; a += .05)
        if (fabs(a - .25) > .01)
            assert_true(one_row(NN_CROSS_ENTROPY, NN_SUM, 2, (double[]){a, 1 - a}, y, d) > least);
    one_row(NN_BCE, NN_SUM, 1, y, y, d);
    EQUAL(d[0], 0);
}

/* ---- extremes ---- */

static double logit_loss(nn_loss loss, ad_dtype dtype, double z, double y, double *slope)
{
    ad_tape *t = ad_tape_new(NULL);
    const int64_t one[2] = {1, 1};
    ad_var x = of_doubles(t, dtype, 2, one, &z);
    ad_retain(x);
    ad_var l = nn_record_loss(loss, NULL, x, of_doubles(t, dtype, 2, one, &y), (ad_var){0});
    STATUS(ad_backward(l), AD_OK, t);
    const double value = ad_value(l);
    STATUS(ad_grad_read(x, slope), AD_OK, t);
    ad_tape_free(t);
    return value;
}

static void large_logits_neither_overflow_nor_lose_the_gradient(void **state)
{
    (void)state;
    const double sizes[] = {100, 1000, 1e308};
    double slope;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        for (int i = 0; i < 3; i++) {
            const double z = dtype == AD_F32 && i == 2 ? 0x1p120 : sizes[i];
            EQUAL(logit_loss(NN_BCE_LOGITS, dtype, z, 0, &slope), z);
            EQUAL(slope, 1);
            EQUAL(logit_loss(NN_BCE_LOGITS, dtype, -z, 1, &slope), z);
            EQUAL(slope, -1);
            assert_true(logit_loss(NN_BCE_LOGITS, dtype, z, 1, &slope) < 1e-40);
            assert_true(fabs(slope) < 1e-40);
            EQUAL(logit_loss(NN_LOGISTIC, dtype, z, -1, &slope), z);
            EQUAL(slope, 1);
            EQUAL(logit_loss(NN_LOGISTIC, dtype, -z, 1, &slope), z);
            EQUAL(slope, -1);
            assert_true(logit_loss(NN_LOGISTIC, dtype, z, 1, &slope) < 1e-40);
        }
        /* in float, sigmoid(17) is 1: a loss on probabilities would have gradient 0 here */
        assert_true(fabs(logit_loss(NN_BCE_LOGITS, dtype, 17, 0, &slope) - 17) < 1e-6);
        near_at(slope, 0.9999999586006245, 1e-7, "slope", __LINE__);
        assert_true(logit_loss(NN_BCE_LOGITS, dtype, -17, 0, &slope) > 4.13e-8);
        near_at(slope * 1e8, 4.1399375, 1e-5, "slope", __LINE__);
        assert_true(logit_loss(NN_LOGISTIC, dtype, 17, 1, &slope) > 4.13e-8);
    }
}

static void softmax_cross_entropy_bears_large_logits(void **state)
{
    (void)state;
    static const double z[4][3] = {
        {1000, 0, -1000}, {1e308, -1e308, 0}, {-1e308, -1e308, 1e308}, {1, 2, 3}};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ARRAY(t, &z[0][0], 4, 3);
    ad_var l = nn_record_loss(NN_SOFTMAX_CROSS_ENTROPY, &(nn_loss_options){.reduction = NN_NONE}, x,
                              CLASSES(t, 4, 1, 0, 2, 2), (ad_var){0});
    double value[4], d[12];
    STATUS(ad_read(l, value), AD_OK, t);
    EQUAL(value[0], 1000);
    EQUAL(value[1], 0);
    EQUAL(value[2], 0);
    NEAR(value[3], 3.40760596444438 - 3);
    STATUS(ad_backward(ad_sum(l)), AD_OK, t);
    STATUS(ad_grad_read(x, d), AD_OK, t);
    EQUAL(d[0], 1);
    EQUAL(d[1], -1);
    NEAR(d[9], 0.09003057317038046);
    NEAR(d[10], 0.24472847105479764);
    NEAR(d[11], 0.6652409557748219 - 1);
    ad_tape_free(t);
}

static void probabilities_of_0_and_1_have_pytorchs_cut_losses(void **state)
{
    (void)state;
    double slope;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        EQUAL(logit_loss(NN_BCE, dtype, 0, 1, &slope), 100);
        near_at(slope, -1e12, 1e-6, "slope", __LINE__);
        EQUAL(logit_loss(NN_BCE, dtype, 1, 0, &slope), 100);
        near_at(slope, 1e12, 1e-6, "slope", __LINE__);
        EQUAL(logit_loss(NN_BCE, dtype, 0, 0, &slope), 0);
        EQUAL(slope, 0);
        EQUAL(logit_loss(NN_BCE, dtype, 1, 1, &slope), 0);
        EQUAL(slope, 0);
        EQUAL(logit_loss(NN_BCE, dtype, 1, .5, &slope), 50);
    }
}

static void zero_times_the_logarithm_of_zero_is_zero(void **state)
{
    (void)state;
    const double p[3] = {0, .25, .75}, y[3] = {0, .5, .5};
    double d[3];
    NEAR(one_row(NN_CROSS_ENTROPY, NN_SUM, 3, p, y, d), -.5 * log(.25) - .5 * log(.75));
    EQUAL(d[0], 0);
    NEAR(d[1], -2);
    NEAR(one_row(NN_KL, NN_SUM, 3, p, y, d),
         .5 * log(.5) - .5 * log(.25) + .5 * log(.5) - .5 * log(.75));
    EQUAL(d[0], 0);
    assert_true(isinf(one_row(NN_KL, NN_SUM, 3, p, (const double[]){.5, .25, .25}, NULL)));
}

/* ---- weights ---- */

static void a_weight_of_0_removes_even_an_infinite_loss(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[4] = {0, 1, .25, .75}, w[2] = {0, 3};
    ad_var x = ARRAY(t, p, 2, 2);
    ad_var l = nn_record_loss(NN_CROSS_ENTROPY, NULL, x, CLASSES(t, 2, 0, 1), ARRAY(t, w, 2));
    double d[4];
    STATUS(ad_backward(l), AD_OK, t);
    NEAR(ad_value(l), -log(.75));
    STATUS(ad_grad_read(x, d), AD_OK, t);
    for (int i = 0; i < 3; i++)
        EQUAL(d[i], 0);
    NEAR(d[3], -1 / .75);
    ad_reset(t);
    /* and so does that of a class */
    x = ARRAY(t, p, 2, 2);
    l = nn_record_loss(
        NN_CROSS_ENTROPY,
        &(nn_loss_options){.n_class_weights = 2, .class_weights = (const double[]){0, 5}}, x,
        CLASSES(t, 2, 0, 1), (ad_var){0});
    NEAR(ad_value(l), -log(.75));
    ad_tape_free(t);
}

static void weights_that_sum_to_0_have_no_mean(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[2] = {1, 2}, w[2] = {0, 0};
    ad_var x = ARRAY(t, p, 2, 1), l = nn_record_loss(NN_MSE, NULL, x, x, ARRAY(t, w, 2));
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_true(isnan(ad_value(l)));
    EQUAL(ad_value(nn_record_loss(NN_MSE, &(nn_loss_options){.divide_by_count = true}, x, x,
                                  ARRAY(t, w, 2))),
          0);
    ad_tape_free(t);
}

static void a_program_divides_by_the_weights_of_each_run(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[6] = {1, 2, 3, 4, 5, 6}, zeros[6] = {0}, ones[3] = {1, 1, 1};
    ad_var in[3] = {ARRAY(t, p, 3, 2), ARRAY(t, zeros, 3, 2), ARRAY(t, ones, 3)};
    ad_var l = nn_record_loss(NN_MSE, NULL, in[0], in[1], in[2]);
    EQUAL(ad_value(l), 91. / 6);
    ad_program *program = ad_program_capture(t, 3, in, 1, &l, AD_VALUES);
    assert_non_null(program);
    ad_tape_free(t);
    ad_workspace *w = ad_workspace_new(program);
    const double x[15] = {1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 1, 3, 0};
    double out;
    RAN(ad_run(w, x, &out), AD_OK, w);
    EQUAL(out, (5 + 3 * 25.) / (4 * 2));
    ad_workspace_free(w);
    ad_program_free(program);
}

static void class_weights_count_in_the_divisor_of_classes_only(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[4] = {.5, .5, .25, .75}, one_hot[4] = {1, 0, 0, 1};
    const nn_loss_options o = {.n_class_weights = 2, .class_weights = (const double[]){1, 4}};
    ad_var x = ARRAY(t, p, 2, 2), none = {0};
    ad_var y = ARRAY(t, one_hot, 2, 2);
    const double total = -log(.5) - 4 * log(.75);
    NEAR(ad_value(nn_record_loss(NN_CROSS_ENTROPY, &o, x, CLASSES(t, 2, 0, 1), none)), total / 5);
    NEAR(ad_value(nn_record_loss(NN_CROSS_ENTROPY, &o, x, y, none)), total / 2);
    NEAR(ad_value(nn_record_loss(NN_CROSS_ENTROPY, &o, x, ad_cast(y, AD_I32), none)), total / 2);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
}

static void binary_labels_are_smoothed_as_two_classes(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double z = .75, y = 1, smooth = .95;
    ad_var x = ARRAY(t, &z, 1, 1), none = {0};
    const double want =
        ad_value(nn_record_loss(NN_BCE_LOGITS, NULL, x, ARRAY(t, &smooth, 1), none));
    NEAR(ad_value(nn_record_loss(NN_BCE_LOGITS, &(nn_loss_options){.smoothing = .1}, x,
                                 ARRAY(t, &y, 1), none)),
         want);
    ad_tape_free(t);
}

/* ---- gradients ---- */

typedef struct recipe { /* how to draw arguments where there is no kink */
    double p_low, p_high, y_low, y_high;
    bool signs, classes, distribution;
} recipe;

static const recipe recipes[NN_LOSSES] = {
    [NN_MSE] = {-2, 2, -2, 2, 0, 0, 0},
    [NN_HALF_MSE] = {-2, 2, -2, 2, 0, 0, 0},
    [NN_MAE] = {-2, -.1, .1, 2, 0, 0, 0},
    [NN_HUBER] = {.1, .6, -.2, 0, 0, 0, 0},
    [NN_MSLE] = {-.5, 2, -.5, 2, 0, 0, 0},
    [NN_BCE] = {.2, .8, .2, .8, 0, 0, 0},
    [NN_BCE_LOGITS] = {-2, 2, .2, .8, 0, 0, 0},
    [NN_SOFTMAX_CROSS_ENTROPY] = {-2, 2, .1, 1, 0, 1, 1},
    [NN_CROSS_ENTROPY] = {.2, .8, .1, 1, 0, 1, 1},
    [NN_KL] = {.2, .8, .2, .8, 0, 0, 1},
    [NN_HINGE] = {-.8, .8, 0, 0, 1, 0, 0},
    [NN_SQUARED_HINGE] = {-.8, .8, 0, 0, 1, 0, 0},
    [NN_LOGISTIC] = {-2, 2, 0, 0, 1, 0, 0},
    [NN_CUSTOM_LOSS] = {-2, 2, -2, 2, 0, 0, 0},
};

typedef struct setting {
    nn_loss loss;
    nn_loss_options options;
    bool weighted, classes;
} setting;

static ad_var quartic(ad_var p, ad_var y, void *user)
{
    (void)user;
    return ad_square(ad_square(ad_sub(p, y)));
}

/* x: prediction, target unless it is classes, weights if there are any */
static ad_var record_setting(const ad_var *x, void *user)
{
    const setting *s = user;
    int k = 1;
    ad_var y = s->classes ? CLASSES(x[0].tape, 3, 2, 0, 2) : x[k++];
    return nn_record_loss(s->loss, &s->options, x[0], y, s->weighted ? x[k] : (ad_var){0});
}

static ad_tensor *drawn(uint64_t *state, ad_dtype dtype, int rank, double low, double high,
                        bool signs)
{
    double values[12];
    for (int i = 0; i < 12; i++)
        values[i] = signs ? 2 * random_below(state, 2) - 1 : random_between(state, low, high);
    ad_tensor *x = ad_tensor_new(NULL, dtype, rank, (const int64_t[]){3, 4});
    assert_non_null(x);
    assert_int_equal(ad_tensor_write(x, values), AD_OK);
    return x;
}

static void check_setting(setting *s, ad_dtype dtype, uint64_t *random)
{
    const recipe *r = &recipes[s->loss];
    ad_tensor *x[3];
    int n = 0;
    x[n++] = drawn(random, dtype, 2, r->p_low, r->p_high, false);
    if (!s->classes)
        x[n++] = drawn(random, dtype, 2, r->y_low, r->y_high, r->signs);
    if (s->weighted)
        x[n++] = drawn(random, dtype, 1, .5, 2, false);
    ad_check_report result;
    const ad_check_options options = {.second_order = true, .random_seeds = true};
    if (ad_gradcheck_tensors(record_setting, s, n, x, &options, &result))
        report("%s, reduction %d, %s%s%s, smoothing %g, %s: %s", nn_loss_name(s->loss),
               (int)s->options.reduction, s->weighted ? "weights " : "",
               s->classes ? "classes " : "", s->options.class_weights ? "class weights" : "",
               s->options.smoothing, ad_dtype_name(dtype), result.text);
    for (int i = 0; i < n; i++)
        ad_tensor_free(x[i]);
}

static void all_gradients_pass_the_check(void **state)
{
    (void)state;
    static const double class_weights[4] = {.5, 2, 1, 3};
    uint64_t random = 1;
    begin_test();
    /* bits of i: weights, by count, classes, class weights, smoothing, float */
    for (int loss = 1; loss < NN_LOSSES; loss++)
        for (int reduction = 0; reduction <= NN_MEAN_SAMPLES; reduction++)
            for (int i = 0; i < 64; i++) {
                const bool categories = recipes[loss].classes;
                const bool smooths = categories || loss == NN_BCE || loss == NN_BCE_LOGITS;
                if (((i & 2) && !(i & 1)) || ((i & 12) && !categories) || ((i & 16) && !smooths))
                    continue;
                setting s = {.loss = (nn_loss)loss, .weighted = i & 1, .classes = i & 4};
                s.options = (nn_loss_options){.reduction = (nn_reduction)reduction,
                                              .divide_by_count = i & 2,
                                              .n_class_weights = i & 8 ? 4 : 0,
                                              .class_weights = i & 8 ? class_weights : NULL,
                                              .smoothing = i & 16 ? .125 : 0,
                                              .function = quartic};
                check_setting(&s, i & 32 ? AD_F32 : AD_F64, &random);
            }
    end_test();
}

/* ---- shapes ---- */

static void nothing_is_broadcast(void **state)
{
    (void)state;
    static const struct {
        nn_loss loss;
        int p_rank, y_rank;
        int64_t p[3], y[3];
        bool fits;
    } rows[] = {
        {NN_MSE, 2, 1, {3, 1}, {3}, true},
        {NN_MSE, 2, 2, {3, 1}, {3, 1}, true},
        {NN_MSE, 1, 1, {3}, {3}, true},
        {NN_MSE, 1, 2, {3}, {3, 1}, false},
        {NN_MSE, 2, 1, {3, 3}, {3}, false},
        {NN_MSE, 2, 2, {3, 3}, {3, 1}, false},
        {NN_MSE, 2, 2, {3, 1}, {3, 3}, false},
        {NN_MSE, 2, 2, {3, 2}, {2, 3}, false},
        {NN_MSE, 2, 2, {3, 1}, {1, 3}, false},
        {NN_MSE, 2, 1, {3, 1}, {1}, false},
        {NN_MSE, 2, 1, {3, 2}, {6}, false},
        {NN_MSE, 3, 3, {3, 2, 1}, {3, 2, 1}, true},
        {NN_MSE, 3, 2, {3, 2, 1}, {3, 2}, false},
        {NN_MSE, 3, 1, {3, 1, 1}, {3}, false},
        {NN_BCE_LOGITS, 2, 1, {3, 1}, {3}, true},
        {NN_HINGE, 2, 1, {3, 3}, {3}, false},
        {NN_KL, 2, 2, {3, 2}, {3, 2}, true},
        {NN_KL, 2, 1, {3, 1}, {3}, false},
        {NN_KL, 3, 3, {3, 2, 1}, {3, 2, 1}, false},
        {NN_CROSS_ENTROPY, 2, 1, {3, 3}, {3}, false}, /* classes of double */
        {NN_CROSS_ENTROPY, 2, 2, {3, 2}, {3, 1}, false},
        {NN_SOFTMAX_CROSS_ENTROPY, 1, 1, {3}, {3}, false},
    };
    double ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var p = ad_input_array(t, AD_F64, rows[k].p_rank, rows[k].p, ones),
               y = ad_input_array(t, AD_F64, rows[k].y_rank, rows[k].y, ones);
        ad_var l = nn_record_loss(rows[k].loss, NULL, p, y, (ad_var){0});
        const ad_status got = ad_tape_status(t), want = rows[k].fits ? AD_OK : AD_BAD_SHAPE;
        if (got != want || isnan(ad_value(l)) != !rows[k].fits)
            fail_msg("row %d: got %s (%s), want %s", (int)k, ad_status_name(got), ad_tape_error(t),
                     ad_status_name(want));
        if (!rows[k].fits)
            CONTAINS(ad_tape_error(t), "prediction (3");
        ad_tape_free(t);
    }
}

static void a_target_per_row_stands_beside_a_column(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[3] = {1, 2, 4}, y[3] = {1, 1, 2};
    ad_var none = {0}, x = ARRAY(t, p, 3, 1);
    ad_var e =
        nn_record_loss(NN_MSE, &(nn_loss_options){.reduction = NN_NONE}, x, ARRAY(t, y, 3), none);
    assert_int_equal(ad_size(e), 3); /* and not 9 */
    double values[3];
    STATUS(ad_read(e, values), AD_OK, t);
    EQUAL(values[0], 0);
    EQUAL(values[1], 1);
    EQUAL(values[2], 4);
    /* whole numbers are cast, doubles too */
    EQUAL(ad_value(nn_record_loss(NN_MSE, NULL, x, CLASSES(t, 3, 1, 1, 2), none)), 5. / 3);
    ad_var narrow = ad_cast(x, AD_F32);
    EQUAL(ad_value(nn_record_loss(NN_MSE, NULL, narrow, ARRAY(t, y, 3), none)), 5. / 3);
    EQUAL(ad_value(nn_record_loss(NN_HINGE, &(nn_loss_options){.zero_one_labels = true}, narrow,
                                  CLASSES(t, 3, 1, 0, 0), none)),
          (0 + 3 + 5) / 3.);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_tape_free(t);
}

static void reductions_have_their_shapes_and_divisors(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double p[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, zeros[12] = {0}, w[2] = {1, 3};
    ad_var x = ARRAY(t, p, 2, 3, 2), y = ARRAY(t, zeros, 2, 3, 2), v = ARRAY(t, w, 2), none = {0};
#define MAE(r, weights) nn_record_loss(NN_MAE, &(nn_loss_options){.reduction = r}, x, y, weights)
    EQUAL(ad_value(MAE(NN_DEFAULT_REDUCTION, none)), 78. / 12);
    EQUAL(ad_value(MAE(NN_MEAN_ELEMENTS, none)), 78. / 12);
    EQUAL(ad_value(MAE(NN_MEAN_SAMPLES, none)), 78. / 2);
    EQUAL(ad_value(MAE(NN_SUM, none)), 78);
    EQUAL(ad_value(MAE(NN_MEAN_ELEMENTS, v)), (21 + 3 * 57) / (4. * 6));
    EQUAL(ad_value(MAE(NN_MEAN_SAMPLES, v)), (21 + 3 * 57) / 4.);
    EQUAL(ad_value(MAE(NN_SUM, v)), 21 + 3 * 57);
    ad_var all = MAE(NN_NONE, v);
    assert_int_equal(ad_rank(all), 3);
    double values[12];
    STATUS(ad_read(all, values), AD_OK, t);
    for (int i = 0; i < 12; i++)
        EQUAL(values[i], p[i] * (i < 6 ? 1 : 3));
#undef MAE
    ad_tape_free(t);
}

static void an_empty_batch_has_sum_0_and_no_mean(void **state)
{
    (void)state;
    static const double alike[3] = {1, 1, 1};
    for (int loss = 1; loss < NN_LOSSES; loss++)
        for (int i = 0; i < 4; i++) {
            ad_tape *t = ad_tape_new(NULL);
            const int64_t shape[2] = {0, 3};
            const double none = 0;
            ad_var p = ad_input_array(t, AD_F64, 2, shape, &none), y = p, w = {0};
            if ((i & 1) && recipes[loss].classes)
                y = ad_constant_array(t, AD_I32, 1, shape, &none);
            if (i & 2)
                w = ad_input_array(t, AD_F64, 1, shape, &none);
            nn_loss_options o = {.reduction = NN_SUM, .function = quartic};
            if (recipes[loss].classes) {
                o.n_class_weights = 3;
                o.class_weights = alike;
                o.smoothing = .1;
            }
            EQUAL(ad_value(nn_record_loss((nn_loss)loss, &o, p, y, w)), 0);
            o.reduction = NN_DEFAULT_REDUCTION;
            ad_var mean = nn_record_loss((nn_loss)loss, &o, p, y, w);
            assert_true(isnan(ad_value(mean)));
            STATUS(ad_backward(mean), AD_OK, t);
            o.reduction = NN_NONE;
            assert_int_equal(ad_size(nn_record_loss((nn_loss)loss, &o, p, y, w)), 0);
            STATUS(ad_tape_status(t), AD_OK, t);
            ad_tape_free(t);
        }
}

/* ---- a loss of one's own ---- */

typedef struct own_loss {
    ad_var (*give)(ad_var p, ad_var y);
} own_loss;

static ad_var of_samples(ad_var p, ad_var y)
{
    return ad_amax_axes(ad_abs(ad_sub(p, y)), 1, (const int[]){1}, false);
}
static ad_var reduced(ad_var p, ad_var y) { return ad_mean(ad_abs(ad_sub(p, y))); }
static ad_var nothing(ad_var p, ad_var y)
{
    (void)p, (void)y;
    return (ad_var){0};
}
static ad_var failing(ad_var p, ad_var y) { return ad_matmul(p, y); }
static ad_var constant(ad_var p, ad_var y)
{
    (void)p, (void)y;
    return ad_constant(1);
}
static ad_var turned(ad_var p, ad_var y)
{
    (void)y;
    return ad_transpose(p);
}

static ad_var give_own(ad_var p, ad_var y, void *user) { return ((own_loss *)user)->give(p, y); }

static ad_var record_own(ad_tape *t, ad_var (*give)(ad_var p, ad_var y), nn_reduction reduction)
{
    const double p[6] = {1, 2, 3, 4, 5, 7}, y[6] = {0};
    own_loss own = {give};
    return nn_record_loss(
        NN_CUSTOM_LOSS,
        &(nn_loss_options){.reduction = reduction, .function = give_own, .user = &own},
        ARRAY(t, p, 2, 3), ARRAY(t, y, 2, 3), ARRAY(t, ((const double[]){1, 3}), 2));
}

static void a_loss_of_ones_own_is_reduced_like_the_others(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    EQUAL(ad_value(record_own(t, of_samples, NN_DEFAULT_REDUCTION)), (3 + 3 * 7) / 4.);
    EQUAL(ad_value(record_own(t, of_samples, NN_SUM)), 24);
    assert_int_equal(ad_size(record_own(t, of_samples, NN_NONE)), 2);
    STATUS(ad_tape_status(t), AD_OK, t);
    static const struct {
        ad_var (*give)(ad_var p, ad_var y);
        ad_status status;
        const char *text;
    } wrong[] = {{reduced, AD_BAD_SHAPE, "the function gave ()"},
                 {constant, AD_BAD_SHAPE, "the function gave ()"},
                 {nothing, AD_NULL, "the function gave no variable"},
                 {turned, AD_BAD_SHAPE, "the function gave (3,2); it must give the losses of 2"},
                 {failing, AD_BAD_SHAPE, "matmul"}};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        ad_reset(t);
        assert_true(isnan(ad_value(record_own(t, wrong[k].give, NN_DEFAULT_REDUCTION))));
        STATUS(ad_tape_status(t), wrong[k].status, t);
        CONTAINS(ad_tape_error(t), wrong[k].text);
    }
    ad_tape_free(t);
}

/* ---- what is refused ---- */

static void options_that_make_no_sense_are_errors(void **state)
{
    (void)state;
    const double two[2] = {1, 1}, negative[3] = {1, -1, 1}, four[4] = {1, 1, 1, 1};
    const struct {
        nn_loss loss;
        nn_loss_options options;
        ad_status status;
        const char *text;
    } rows[] = {
        {(nn_loss)0, {.delta = 0}, AD_BAD_ARGUMENT, "no loss has the number 0"},
        {NN_LOSSES, {.delta = 0}, AD_BAD_ARGUMENT, "no loss has the number 15"},
        {(nn_loss)-1, {.delta = 0}, AD_BAD_ARGUMENT, "no loss has the number -1"},
        {NN_MSE, {.reduction = (nn_reduction)5}, AD_BAD_ARGUMENT, "no reduction has the number 5"},
        {NN_HUBER, {.delta = -1}, AD_BAD_ARGUMENT, "Huber: delta is -1"},
        {NN_HUBER, {.delta = NAN}, AD_BAD_ARGUMENT, "delta is nan"},
        {NN_MSE, {.smoothing = .1}, AD_BAD_ARGUMENT, "only cross-entropies can smooth labels"},
        {NN_BCE, {.smoothing = 1.5}, AD_BAD_ARGUMENT, "smoothing is 1.5"},
        {NN_BCE, {.smoothing = NAN}, AD_BAD_ARGUMENT, "smoothing is nan"},
        {NN_CUSTOM_LOSS, {.delta = 0}, AD_NULL, "options.function is NULL"},
        {NN_BCE,
         {.n_class_weights = 2, .class_weights = two},
         AD_BAD_ARGUMENT,
         "class weights belong to the cross-entropies with classes"},
        {NN_CROSS_ENTROPY,
         {.n_class_weights = 2, .class_weights = two},
         AD_BAD_SHAPE,
         "2 class weights for 3 classes"},
        {NN_CROSS_ENTROPY,
         {.n_class_weights = 4, .class_weights = four},
         AD_BAD_SHAPE,
         "4 class weights for 3 classes"},
        {NN_SOFTMAX_CROSS_ENTROPY,
         {.n_class_weights = 3, .class_weights = negative},
         AD_BAD_ARGUMENT,
         "the weight of class 1 is -1"},
    };
    const double p[6] = {.25, .25, .5, .25, .25, .5};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x = ARRAY(t, p, 2, 3);
        ad_var l = nn_record_loss(rows[k].loss, &rows[k].options, x, x, (ad_var){0});
        assert_true(isnan(ad_value(l)));
        STATUS(ad_tape_status(t), rows[k].status, t);
        CONTAINS(ad_tape_error(t), rows[k].text);
        assert_int_equal(ad_backward(l), rows[k].status);
        /* and so says the check of the data */
        const int64_t shape[2] = {2, 3};
        ad_tensor *data = ad_tensor_from(NULL, AD_F64, 2, shape, p);
        nn_error error = {0};
        assert_int_equal(nn_check_targets(rows[k].loss, &rows[k].options, NULL, data, 0, &error),
                         rows[k].status);
        CONTAINS(error.text, rows[k].text);
        ad_tensor_free(data);
        ad_tape_free(t);
    }
}

static void handles_that_are_none_are_errors(void **state)
{
    (void)state;
    const double ones[3] = {1, 1, 1};
    const ad_var none = {0};
    for (int i = 0; i < 6; i++) {
        ad_tape *t = ad_tape_new(NULL), *other = ad_tape_new(NULL);
        ad_var x = ARRAY(t, ones, 3), far = ARRAY(other, ones, 3), flat = ad_input(t, 1);
        ad_mark mark = ad_mark_here(t);
        ad_var stale = ARRAY(t, ones, 3);
        ad_rewind(t, mark);
        const ad_status want[] = {AD_NULL,  AD_NULL,      AD_FOREIGN,
                                  AD_STALE, AD_BAD_SHAPE, AD_BAD_SHAPE};
        ad_var l = i == 0   ? nn_record_loss(NN_MSE, NULL, none, x, none)
                   : i == 1 ? nn_record_loss(NN_MSE, NULL, x, none, none)
                   : i == 2 ? nn_record_loss(NN_MSE, NULL, x, far, none)
                   : i == 3 ? nn_record_loss(NN_MSE, NULL, stale, stale, none)
                   : i == 4 ? nn_record_loss(NN_MSE, NULL, flat, flat, none)
                            : nn_record_loss(NN_MSE, NULL, x, x, flat);
        assert_true(isnan(ad_value(l)));
        STATUS(ad_tape_status(t), want[i], t);
        ad_tape_free(t);
        ad_tape_free(other);
    }
    assert_true(isnan(ad_value(nn_record_loss(NN_MSE, NULL, none, none, none))));
    assert_true(
        isnan(ad_value(nn_record_loss(NN_MSE, NULL, ad_constant(1), ad_constant(2), none))));
}

static void earlier_errors_of_the_tape_are_kept(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double ones[3] = {1, 1, 1};
    ad_var x = ARRAY(t, ones, 3), bad = ad_matmul(x, ARRAY(t, ones, 1));
    assert_true(isnan(ad_value(nn_record_loss(NN_MSE, NULL, bad, x, (ad_var){0}))));
    assert_true(isnan(ad_value(nn_record_loss((nn_loss)99, NULL, x, x, (ad_var){0}))));
    CONTAINS(ad_tape_error(t), "matmul");
    ad_tape_free(t);
}

static void classes_out_of_range_are_errors_of_the_tape(void **state)
{
    (void)state;
    const double p[6] = {.25, .25, .5, .25, .25, .5};
    for (int i = 0; i < 8; i++) {
        ad_tape *t = ad_tape_new(NULL);
        const nn_loss loss = i & 1 ? NN_CROSS_ENTROPY : NN_SOFTMAX_CROSS_ENTROPY;
        ad_var l = nn_record_loss(
            loss,
            &(nn_loss_options){.n_class_weights = 3,
                               .class_weights = i & 2 ? (const double[]){1, 2, 3} : NULL},
            ARRAY(t, p, 2, 3), CLASSES(t, 2, 0, i & 4 ? 3 : -1), (ad_var){0});
        assert_true(isnan(ad_value(l)));
        STATUS(ad_tape_status(t), AD_BAD_INDEX, t);
        ad_tape_free(t);
    }
}

static void wrong_predictions_and_weights_are_errors(void **state)
{
    (void)state;
    const double ones[3] = {1, 1, 1};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ARRAY(t, ones, 3, 1), whole = CLASSES(t, 3, 1, 1, 1), none = {0};
    nn_record_loss(NN_MSE, NULL, whole, whole, none);
    STATUS(ad_tape_status(t), AD_BAD_DTYPE, t);
    CONTAINS(ad_tape_error(t), "the prediction is int32");
    ad_reset(t);
    x = ARRAY(t, ones, 3, 1);
    nn_record_loss(NN_MSE, NULL, x, x, x);
    STATUS(ad_tape_status(t), AD_BAD_SHAPE, t);
    CONTAINS(ad_tape_error(t), "weights (3,1) for 3 samples");
    ad_tape_free(t);
}

static void memory_that_runs_out_is_an_error_of_the_tape(void **state)
{
    (void)state;
    const double p[6] = {.25, .25, .5, .25, .25, .5};
    for (long k = 0; k < 200; k++) {
        probe counter;
        ad_allocator allocator = probe_allocator(&counter, true);
        counter.fail_at = k;
        ad_context *context = ad_context_new(&(ad_context_config){.allocator = &allocator});
        if (!context)
            continue;
        ad_tape *t = ad_tape_new(context);
        ad_var l = nn_record_loss(
            NN_CROSS_ENTROPY,
            &(nn_loss_options){.smoothing = .1, .n_class_weights = 3, .class_weights = p},
            ARRAY(t, p, 2, 3), CLASSES(t, 2, 0, 1), (ad_var){0});
        if (isnan(ad_value(l)))
            STATUS(ad_tape_status(t), AD_NO_MEMORY, t);
        else
            STATUS(ad_tape_status(t), AD_OK, t);
        ad_tape_free(t);
        ad_context_free(context);
        assert_int_equal(counter.blocks, 0);
    }
}

/* ---- targets ---- */

static ad_tensor *tensor(ad_dtype dtype, int rank, int64_t rows, int64_t columns,
                         const double *values)
{
    ad_tensor *x = ad_tensor_new(NULL, dtype, rank, (const int64_t[]){rows, columns});
    assert_non_null(x);
    assert_int_equal(ad_tensor_write(x, values), AD_OK);
    return x;
}

typedef struct data_case {
    nn_loss loss;
    bool zero_one;
    int p_columns; /* of the prediction; 0: none is given */
    double p[6];
    ad_dtype dtype;
    int y_rank;
    double y[6];
    ad_status status;
    const char *text;
} data_case;

static const data_case data_cases[] = {
    /* classes */
    {NN_SOFTMAX_CROSS_ENTROPY, 0, 3, {0}, AD_I32, 1, {2, 0}, AD_OK, ""},
    {NN_SOFTMAX_CROSS_ENTROPY,
     0,
     3,
     {0},
     AD_I32,
     1,
     {2, 12},
     AD_BAD_INDEX,
     "row 17: class 12, but the prediction has 3 columns, so classes are 0..2"},
    {NN_CROSS_ENTROPY,
     0,
     3,
     {.5, .5, 0, 1, 0, 0},
     AD_I32,
     1,
     {-1, 2},
     AD_BAD_INDEX,
     "row 16: class -1, but the prediction has 3 columns"},
    {NN_CROSS_ENTROPY, 0, 0, {0}, AD_I32, 1, {1000, 2}, AD_OK, ""},
    {NN_CROSS_ENTROPY,
     0,
     0,
     {0},
     AD_I32,
     1,
     {3, -2},
     AD_BAD_INDEX,
     "row 17: class -2, but classes count from 0"},
    {NN_CROSS_ENTROPY,
     0,
     0,
     {0},
     AD_F64,
     1,
     {1, 1.5},
     AD_BAD_ARGUMENT,
     "row 17: the class 1.5 is no integer"},
    {NN_CROSS_ENTROPY,
     0,
     3,
     {0},
     AD_F32,
     1,
     {1, 2},
     AD_BAD_DTYPE,
     "classes must be int32, and these are float"},
    {NN_CROSS_ENTROPY, 0, 0, {0}, AD_F64, 1, {1, NAN}, AD_NOT_FINITE, "row 17: the class nan"},
    /* probabilities */
    {NN_CROSS_ENTROPY, 0, 0, {0}, AD_F64, 2, {.5, .5, 0, 1, 0, 0}, AD_OK, ""},
    {NN_CROSS_ENTROPY,
     0,
     0,
     {0},
     AD_F32,
     2,
     {.5, .5, 0, .2, .2, .2},
     AD_BAD_ARGUMENT,
     "row 17: the target sums to 0.6"},
    {NN_SOFTMAX_CROSS_ENTROPY, 0, 0, {0}, AD_F64, 2, {.5, .4995, 0, 1, 0, 0}, AD_OK, ""},
    {NN_SOFTMAX_CROSS_ENTROPY,
     0,
     0,
     {0},
     AD_F64,
     2,
     {1.5, -.5, 0, 1, 0, 0},
     AD_BAD_ARGUMENT,
     "row 16, column 1: the target -0.5 is negative"},
    {NN_KL,
     0,
     0,
     {0},
     AD_F64,
     2,
     {.5, .5, 0, NAN, 0, 0},
     AD_NOT_FINITE,
     "row 17, column 0: the target nan is not a finite number"},
    {NN_CROSS_ENTROPY, 0, 3, {.5, .5, 0, .2, .5, .3}, AD_F64, 2, {1, 0, 0, 0, 1, 0}, AD_OK, ""},
    {NN_CROSS_ENTROPY,
     0,
     3,
     {.5, .5, 0, -3, 2, 2},
     AD_F64,
     2,
     {1, 0, 0, 0, 1, 0},
     AD_BAD_ARGUMENT,
     "row 17, column 0: the prediction -3 is not in 0..1 (end the model with softmax, or use "
     "NN_SOFTMAX_CROSS_ENTROPY)"},
    {NN_KL,
     0,
     3,
     {.5, .5, 0, .5, .5, .5},
     AD_F64,
     2,
     {1, 0, 0, 0, 1, 0},
     AD_BAD_ARGUMENT,
     "row 17: the prediction sums to 1.5"},
    {NN_SOFTMAX_CROSS_ENTROPY,
     0,
     3,
     {9, -9, 0, 5, 5, NAN},
     AD_F64,
     2,
     {1, 0, 0, 0, 1, 0},
     AD_NOT_FINITE,
     "row 17, column 2: the prediction nan"},
    {NN_SOFTMAX_CROSS_ENTROPY,
     0,
     3,
     {9, -INFINITY, 0, 5, 5, 5},
     AD_F64,
     2,
     {1, 0, 0, 0, 1, 0},
     AD_OK,
     ""},
    {NN_BCE,
     0,
     0,
     {0},
     AD_F64,
     1,
     {1, 1.25},
     AD_BAD_ARGUMENT,
     "row 17: the target 1.25 is not in 0..1"},
    {NN_BCE_LOGITS,
     0,
     0,
     {0},
     AD_I32,
     1,
     {1, -1},
     AD_BAD_ARGUMENT,
     "the target -1 is not in 0..1 (for labels of -1 and 1 there is NN_LOGISTIC)"},
    {NN_BCE,
     0,
     1,
     {.5, 3},
     AD_F64,
     1,
     {1, 1},
     AD_BAD_ARGUMENT,
     "row 17: the prediction 3 is not in 0..1 (end the model with a sigmoid, or use "
     "NN_BCE_LOGITS)"},
    {NN_BCE_LOGITS, 0, 1, {.5, 3}, AD_F64, 1, {1, 1}, AD_OK, ""},
    /* signs */
    {NN_HINGE, 0, 0, {0}, AD_F64, 1, {1, -1}, AD_OK, ""},
    {NN_HINGE,
     0,
     0,
     {0},
     AD_I32,
     1,
     {1, 0},
     AD_BAD_ARGUMENT,
     "row 17: the target 0 is not -1 or 1 (set zero_one_labels where they are 0 and 1)"},
    {NN_LOGISTIC, 1, 0, {0}, AD_I32, 1, {1, 0}, AD_OK, ""},
    {NN_SQUARED_HINGE,
     1,
     0,
     {0},
     AD_F64,
     1,
     {1, -1},
     AD_BAD_ARGUMENT,
     "row 17: the target -1 is not 0 or 1"},
    {NN_HINGE, 0, 0, {0}, AD_F64, 1, {2, -1}, AD_BAD_ARGUMENT, "row 16: the target 2"},
    /* numbers */
    {NN_MSLE,
     0,
     0,
     {0},
     AD_F64,
     1,
     {-.5, -1},
     AD_BAD_ARGUMENT,
     "row 17: the target -1 is not above -1"},
    {NN_MSLE,
     0,
     1,
     {0, -2},
     AD_F64,
     1,
     {0, 0},
     AD_BAD_ARGUMENT,
     "row 17: the prediction -2 is not above -1"},
    {NN_MSE,
     0,
     0,
     {0},
     AD_F64,
     2,
     {0, 0, 0, 0, INFINITY, 0},
     AD_NOT_FINITE,
     "row 17, column 1: the target inf"},
    {NN_MSE, 0, 3, {0}, AD_F64, 2, {0}, AD_OK, ""},
    {NN_CUSTOM_LOSS,
     0,
     3,
     {0, NAN},
     AD_F64,
     2,
     {0},
     AD_NOT_FINITE,
     "row 16, column 1: the prediction nan"},
    /* shapes */
    {NN_MSE,
     0,
     3,
     {0},
     AD_F64,
     1,
     {0},
     AD_BAD_SHAPE,
     "prediction (2,3) of double, target (2) of double: every element needs a target of its own"},
    {NN_MSE, 0, 1, {0}, AD_F64, 1, {0}, AD_OK, ""},
    {NN_KL, 0, 0, {0}, AD_F64, 1, {0}, AD_BAD_SHAPE, "target (2): its first axis"},
};

static void targets_that_do_not_fit_are_named(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof data_cases / sizeof *data_cases; k++) {
        const data_case *c = &data_cases[k];
        ad_tensor *y = tensor(c->dtype, c->y_rank, 2, 3, c->y), *p = NULL;
        if (c->p_columns)
            p = tensor(AD_F64, 2, 2, c->p_columns, c->p);
        nn_error error = {0};
        const nn_loss_options options = {.zero_one_labels = c->zero_one, .function = quartic};
        const ad_status got = nn_check_targets(c->loss, &options, p, y, 16, &error);
        if (got != c->status || error.status != c->status || !strstr(error.text, c->text))
            fail_msg("case %d, %s: got %s, \"%s\"; want %s, \"%s\"", (int)k, nn_loss_name(c->loss),
                     ad_status_name(got), error.text, ad_status_name(c->status), c->text);
        assert_int_equal(nn_check_targets(c->loss, &options, p, y, 16, NULL), c->status);
        ad_tensor_free(y);
        ad_tensor_free(p);
    }
}

static void class_weights_say_how_many_classes_there_are(void **state)
{
    (void)state;
    ad_tensor *y = tensor(AD_I32, 1, 2, 0, (const double[]){1, 4});
    nn_error error = {0};
    const nn_loss_options o = {.n_class_weights = 3, .class_weights = (const double[]){1, 1, 1}};
    assert_int_equal(nn_check_targets(NN_SOFTMAX_CROSS_ENTROPY, &o, NULL, y, 0, &error),
                     AD_BAD_INDEX);
    CONTAINS(error.text,
             "row 1: class 4, but there are weights for 3 classes, so classes are 0..2");
    /* an error that is there already is given back, and nothing is done */
    assert_int_equal(nn_check_targets(NN_MSE, NULL, NULL, NULL, 0, &error), AD_BAD_INDEX);
    assert_int_equal(nn_check_targets(NN_MSE, NULL, NULL, NULL, 0, NULL), AD_NULL);
    ad_tensor_free(y);
}

static void views_and_empty_data_are_looked_through(void **state)
{
    (void)state;
    nn_error error = {0};
    ad_tensor *base = tensor(AD_F64, 2, 2, 3, (const double[]){0, 0, 0, 0, 2, 0}),
              *y = ad_tensor_permuted(base, (const int[]){1, 0});
    assert_int_equal(nn_check_targets(NN_BCE, NULL, NULL, y, 0, &error), AD_BAD_ARGUMENT);
    CONTAINS(error.text, "row 1, column 1: the target 2");
    error = (nn_error){0};
    ad_tensor *empty = tensor(AD_F64, 2, 0, 3, NULL);
    for (int loss = 1; loss < NN_LOSSES; loss++)
        assert_int_equal(nn_check_targets((nn_loss)loss, &(nn_loss_options){.function = quartic},
                                          empty, empty, 0, &error),
                         AD_OK);
    ad_tensor *scalar = tensor(AD_F64, 0, 0, 0, (const double[]){1});
    assert_int_equal(nn_check_targets(NN_MSE, NULL, NULL, scalar, 0, &error), AD_BAD_SHAPE);
    ad_tensor_free(base);
    ad_tensor_free(y);
    ad_tensor_free(empty);
    ad_tensor_free(scalar);
}

static void every_loss_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(nn_loss_name(NN_SOFTMAX_CROSS_ENTROPY), "softmax cross-entropy");
    for (int a = 1; a < NN_LOSSES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(nn_loss_name((nn_loss)a), nn_loss_name((nn_loss)b));
    assert_string_equal(nn_loss_name((nn_loss)0), "unknown loss");
    assert_string_equal(nn_loss_name((nn_loss)-3), "unknown loss");
    assert_string_equal(nn_loss_name(NN_LOSSES), "unknown loss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_are_pytorchs),
        cmocka_unit_test(three_classes_have_the_losses_worked_out_by_hand),
        cmocka_unit_test(one_output_has_the_losses_worked_out_by_hand),
        cmocka_unit_test(swapped_arguments_and_minima_are_as_the_lectures_say),
        cmocka_unit_test(large_logits_neither_overflow_nor_lose_the_gradient),
        cmocka_unit_test(softmax_cross_entropy_bears_large_logits),
        cmocka_unit_test(probabilities_of_0_and_1_have_pytorchs_cut_losses),
        cmocka_unit_test(zero_times_the_logarithm_of_zero_is_zero),
        cmocka_unit_test(a_weight_of_0_removes_even_an_infinite_loss),
        cmocka_unit_test(weights_that_sum_to_0_have_no_mean),
        cmocka_unit_test(a_program_divides_by_the_weights_of_each_run),
        cmocka_unit_test(class_weights_count_in_the_divisor_of_classes_only),
        cmocka_unit_test(binary_labels_are_smoothed_as_two_classes),
        cmocka_unit_test(all_gradients_pass_the_check),
        cmocka_unit_test(nothing_is_broadcast),
        cmocka_unit_test(a_target_per_row_stands_beside_a_column),
        cmocka_unit_test(reductions_have_their_shapes_and_divisors),
        cmocka_unit_test(an_empty_batch_has_sum_0_and_no_mean),
        cmocka_unit_test(a_loss_of_ones_own_is_reduced_like_the_others),
        cmocka_unit_test(options_that_make_no_sense_are_errors),
        cmocka_unit_test(handles_that_are_none_are_errors),
        cmocka_unit_test(earlier_errors_of_the_tape_are_kept),
        cmocka_unit_test(classes_out_of_range_are_errors_of_the_tape),
        cmocka_unit_test(wrong_predictions_and_weights_are_errors),
        cmocka_unit_test(memory_that_runs_out_is_an_error_of_the_tape),
        cmocka_unit_test(targets_that_do_not_fit_are_named),
        cmocka_unit_test(class_weights_say_how_many_classes_there_are),
        cmocka_unit_test(views_and_empty_data_are_looked_through),
        cmocka_unit_test(every_loss_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
