/* which_loss.c - which loss when: wide ranges, outliers, margins, distributions (lectures 000, 004)
 *
 *     which_loss [FILE.svg]     which_loss.svg where not said
 *
 * The lectures name losses and say in a word what each is for. What a loss is for is seen in its
 * gradient: that is all that training gets of it. So every part first asks the tape for the
 * gradient with respect to the predictions, and then trains a small model with it. */
#include "lesson.h"

#include <string.h>

/* A loss of predictions (rows,columns), its default mean; and its gradient by them (NULL: not). */
static double loss_of(lesson *l, nn_loss kind, int64_t rows, int64_t columns, const double *p,
                      const double *y, double *gradient)
{
    const int64_t shape[2] = {rows, columns};
    ad_tape *t = ad_tape_new(NULL);
    ad_var prediction = ad_input_array(t, AD_F64, 2, shape, p);
    ad_var target = ad_constant_array(t, AD_F64, 2, shape, y);
    ad_var loss = nn_record_loss(kind, NULL, prediction, target, (ad_var){0});
    double value = ad_value(loss);
    if (gradient) {
        ad_backward(loss);
        ad_grad_read(prediction, gradient);
    }
    lesson_tape_free(l, t);
    return value;
}

/* The derivative of a loss at one prediction. */
static double slope(lesson *l, nn_loss kind, double p, double y)
{
    double g = NAN;
    loss_of(l, kind, 1, 1, &p, &y, &g);
    return g;
}

static void say(const nn_error *error, lesson *l) { lesson_ok(l, error->status, error->text); }

/* Rows of `columns` inputs, and targets (n,width). */
static nn_data *table_of(int64_t n, int64_t columns, const double *x, int64_t width,
                         const double *y, nn_error *error)
{
    ad_tensor *in = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){n, columns}, x);
    ad_tensor *target = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){n, width}, y);
    nn_data *data = nn_data_new(1, &in, target, NULL, error);
    ad_tensor_free(in);
    ad_tensor_free(target);
    return data;
}

/* Normal numbers, the same on every run. */
static void noise(lesson *l, int64_t n, uint64_t key, double *to)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, 1, &n);
    lesson_ok(l, ad_draw_normal(t, 1, key, 0), "noise");
    memcpy(to, ad_tensor_data_const(t), (size_t)n * sizeof *to);
    ad_tensor_free(t);
}

static void predictions(const nn_model *m, const nn_data *data, double *to, nn_error *error)
{
    ad_tensor *p = nn_predict(m, data, error);
    if (p)
        memcpy(to, ad_tensor_data_const(p), (size_t)ad_tensor_size(p) * sizeof *to);
    ad_tensor_free(p);
}

/* ---- msle: targets of a wide range ---------------------------------------------------------- */

enum { SIZES = 5, RANGE = 48, QUARTERS = 4 };

/* The derivative of a loss by the one number that is predicted for all targets. */
static double slope_of_constant(lesson *l, nn_loss kind, double c)
{
    static const double targets[SIZES] = {1, 10, 100, 1000, 10000};
    double p[SIZES], g[SIZES] = {0}, sum = 0;
    for (int i = 0; i < SIZES; i++)
        p[i] = c;
    loss_of(l, kind, SIZES, 1, p, targets, g);
    for (int i = 0; i < SIZES; i++)
        sum += g[i];
    return sum;
}

static void show_middles(lesson *l)
{
    lesson_part("One guess for 1, 10, 100, 1000, 10000");
    puts("  Every loss has its own idea of the middle. The best guess is where the\n"
         "  derivative is 0: for mse that is the mean, for mae the median. For msle it\n"
         "  is the geometric mean of 1 + y, less 1: the middle by size.\n");
    lesson_table();
    double middle = 1;
    for (double y = 1; y < 1e5; y *= 10)
        middle *= pow(1 + y, 1. / SIZES);
    middle -= 1;
    lesson_near(l, "mse, derivative at 2222.2, the mean", NULL,
                slope_of_constant(l, NN_MSE, 2222.2), 0, 1e-9);
    lesson_number(l, "mae, derivative at 100, the median", NULL, slope_of_constant(l, NN_MAE, 100),
                  0);
    lesson_near(l, "msle: the guess", NULL, middle, 116.3395212304, 1e-9);
    lesson_near(l, "msle, derivative there", NULL, slope_of_constant(l, NN_MSLE, middle), 0, 1e-15);
    puts("\n  A prediction 10 % too high. The step that mse asks for grows with the\n"
         "  target, so that the largest decide. By ln p (a net that gives ln p, or ends\n"
         "  in exp) it is p ∂C/∂p, and msle asks for nearly the same step at every size.\n");
    lesson_table();
    for (double y = 10; y < 1e5; y *= 1000) {
        char what[64];
        const double p = 1.1 * y;
        snprintf(what, sizeof what, "mse, ∂C/∂p at p = %g, y = %g", p, y);
        lesson_near(l, what, NULL, slope(l, NN_MSE, p, y), .2 * y, 1e-9);
        snprintf(what, sizeof what, "msle, p ∂C/∂p at p = %g, y = %g", p, y);
        lesson_near(l, what, NULL, p * slope(l, NN_MSLE, p, y),
                    2 * log((1 + p) / (1 + y)) * p / (1 + p), 1e-12);
    }
}

/* Growth that slows down: ln y / ln 10 = 4 - 4 (1 - x)², at x in 0..1. */
static double grown(double x) { return pow(10, 4 - 4 * (1 - x) * (1 - x)); }

/* Each is off by a factor of its own. */
static void make_range(lesson *l, double *x, double *y)
{
    double off[RANGE];
    noise(l, RANGE, 1, off);
    for (int i = 0; i < RANGE; i++) {
        x[i] = (i + .5) / RANGE;
        y[i] = grown(x[i]) * exp(.2 * off[i]);
    }
}

/* p = exp(w x + b), by one loss; the mean of |p - y| / y for each quarter of the rows. */
static void fit_range(lesson *l, nn_loss kind, double *relative)
{
    double x[RANGE], y[RANGE], p[RANGE] = {0};
    nn_error error = {0};
    make_range(l, x, y);
    nn_data *data = table_of(RANGE, 1, x, 1, y, &error);
    nn_layer layer = nn_dense(1, "exp");
    layer.weight_init = layer.bias_init = (nn_init){.kind = NN_INIT_CONSTANT, .value = 3};
    nn_model_config config = {.inputs = {{.rank = 1, .size = {1}}}};
    nn_model *m = nn_sequential(&config, 1, &layer);
    nn_fit_config fit = {.loss = kind, .optimizer = nn_adam(.05), .batch = NN_FULL_BATCH};
    fit.epochs = 3000;
    fit.schedule.kind = NN_COSINE;
    nn_fit(m, data, &fit, &error);
    predictions(m, data, p, &error);
    for (int i = 0; i < RANGE; i++)
        relative[i * QUARTERS / RANGE] += fabs(p[i] - y[i]) / y[i] * QUARTERS / RANGE;
    say(&error, l);
    nn_model_free(m);
    nn_data_free(data);
}

static void show_range(lesson *l)
{
    double mse[QUARTERS] = {0}, msle[QUARTERS] = {0};
    lesson_part("msle: targets of a wide range");
    puts("  48 targets that grow from 1 to 10000, slower and slower, each some 20 % off.\n"
         "  The model is exp(w x + b), which cannot slow down and must miss something.\n"
         "  Fitted by mse and by msle, the mean of |p - y| / y for each quarter of the\n"
         "  targets is:\n");
    fit_range(l, NN_MSE, mse);
    fit_range(l, NN_MSLE, msle);
    puts("  targets from             by mse      by msle");
    for (int i = 0; i < QUARTERS; i++)
        printf("  %5.0f to %-5.0f      %10.0f %% %10.0f %%\n", grown((double)i / QUARTERS),
               grown((i + 1.) / QUARTERS), 100 * mse[i], 100 * msle[i]);
    puts("");
    lesson_table();
    lesson_claim(l, "msle for a wide range?", "yes", msle[0] < .1 * mse[0], true);
    lesson_claim(l, "is mse better for the largest?", NULL, mse[3] < msle[3], true);
    puts("\n  mse does not see the small ones: 1000 % off at 5 is 50, 1 % off at 10000 is\n"
         "  100. Where an error counts in units (of money, say) that is right. Where it\n"
         "  counts in per cent, take msle. Its targets and predictions must be above -1.");
}

/* ---- mae and huber: outliers ---------------------------------------------------------------- */

enum { POINTS = 20, OUTLIERS = 3, ROBUST = 3 };
static const nn_loss robust[ROBUST] = {NN_MSE, NN_MAE, NN_HUBER};
static const char *const robust_names[ROBUST] = {"mse", "mae", "huber"};

typedef struct scatter {
    double x[POINTS], y[POINTS]; /* about y = 2x + 1; the outliers are the last */
    double w[ROBUST], b[ROBUST]; /* the lines */
} scatter;

static void make_scatter(lesson *l, scatter *s)
{
    double off[POINTS];
    noise(l, POINTS, 2, off);
    for (int i = 0; i < POINTS; i++) {
        s->x[i] = i < POINTS - OUTLIERS ? .5 * i : 8.5 + .5 * (i - (POINTS - OUTLIERS));
        s->y[i] = 2 * s->x[i] + 1 + .3 * off[i] - (i < POINTS - OUTLIERS ? 0 : 15);
    }
}

/* Of the gradient by the predictions of the true line, summed by size: the outliers' share. */
static double outliers_share(lesson *l, const scatter *s, nn_loss kind)
{
    double p[POINTS], g[POINTS] = {0}, all = 0, theirs = 0;
    for (int i = 0; i < POINTS; i++)
        p[i] = 2 * s->x[i] + 1;
    loss_of(l, kind, POINTS, 1, p, s->y, g);
    for (int i = 0; i < POINTS; i++) {
        all += fabs(g[i]);
        theirs += i < POINTS - OUTLIERS ? 0 : fabs(g[i]);
    }
    return theirs / all;
}

static void fit_line(lesson *l, scatter *s, int k)
{
    nn_error error = {0};
    nn_data *data = table_of(POINTS, 1, s->x, 1, s->y, &error);
    nn_model *m = nn_mlp(&(nn_mlp_config){.in = 1, .out = 1, .seed = 1});
    nn_fit_config fit = {.loss = robust[k], .optimizer = nn_adam(.05), .batch = NN_FULL_BATCH};
    fit.epochs = 3000;
    fit.schedule.kind = NN_COSINE;
    nn_fit(m, data, &fit, &error);
    ad_tensor *w = ad_param_value(nn_param_find(m, "0.weight"));
    ad_tensor *b = ad_param_value(nn_param_find(m, "0.bias"));
    s->w[k] = w ? ad_tensor_get(w, (int64_t[]){0, 0}) : NAN;
    s->b[k] = b ? ad_tensor_get(b, (int64_t[]){0}) : NAN;
    say(&error, l);
    nn_model_free(m);
    nn_data_free(data);
}

/* Least squares, by its formula. */
static double least_squares(const scatter *s)
{
    double x = 0, y = 0, xx = 0, xy = 0;
    for (int i = 0; i < POINTS; i++) {
        x += s->x[i] / POINTS;
        y += s->y[i] / POINTS;
    }
    for (int i = 0; i < POINTS; i++) {
        xx += (s->x[i] - x) * (s->x[i] - x);
        xy += (s->x[i] - x) * (s->y[i] - y);
    }
    return xy / xx;
}

static void draw_lines(lesson *l, const scatter *s, const char *path)
{
    static const double ends[2] = {0, 10};
    double y[ROBUST][2];
    nn_series series[ROBUST + 1];
    for (int k = 0; k < ROBUST; k++) {
        for (int i = 0; i < 2; i++)
            y[k][i] = s->w[k] * ends[i] + s->b[k];
        series[k] = (nn_series){.name = robust_names[k], .n = 2, .x = ends, .y = y[k]};
    }
    series[ROBUST] = (nn_series){"data", POINTS, s->x, s->y, true};
    nn_chart chart = {.title = "A line through points, three of them wrong",
                      .x_label = "x",
                      .y_label = "y",
                      .n_series = ROBUST + 1,
                      .series = series};
    lesson_chart(l, &chart, path, NULL);
    series[1] = series[0]; /* as text without huber's line, which hides the one of mae */
    series[0].y = y[1];
    series[0].name = "mae";
    series[2] = series[ROBUST];
    chart.n_series = 3;
    lesson_chart(l, &chart, NULL, stdout);
}

static void show_outliers(lesson *l, const char *path)
{
    scatter s;
    make_scatter(l, &s);
    lesson_part("mae and huber: outliers");
    puts("  20 points about y = 2x + 1, but the last three are 15 too low (a sensor\n"
         "  broke). The derivative by a prediction is 2(p - y) for mse: who is far away\n"
         "  pulls hard. For mae it is 1 or -1: one vote a point. For huber it is p - y,\n"
         "  cut at ±1.\n");
    lesson_table();
    lesson_number(l, "mse, slope at p - y = 15", NULL, slope(l, NN_MSE, 15, 0), 30);
    lesson_number(l, "mae, slope at p - y = 15", NULL, slope(l, NN_MAE, 15, 0), 1);
    lesson_number(l, "huber, slope at p - y = 15", NULL, slope(l, NN_HUBER, 15, 0), 1);
    lesson_number(l, "huber, slope at p - y = .3", NULL, slope(l, NN_HUBER, .3, 0), .3);
    puts("\n  At the right line, how much of the gradient (sizes summed) is the outliers'?\n");
    lesson_table();
    lesson_claim(l, "mse: more than 80 %?", NULL, outliers_share(l, &s, NN_MSE) > .8, true);
    lesson_number(l, "mae", NULL, outliers_share(l, &s, NN_MAE), (double)OUTLIERS / POINTS);
    puts("\n  The lines that training finds:\n");
    lesson_table();
    for (int k = 0; k < ROBUST; k++)
        fit_line(l, &s, k);
    lesson_near(l, "mse, slope: least squares", NULL, s.w[0], least_squares(&s), 1e-3);
    lesson_near(l, "mae, slope: 2 but for .1", NULL, s.w[1], 2, .1);
    lesson_near(l, "huber, slope: 2 but for .2", NULL, s.w[2], 2, .2);
    lesson_claim(l, "mae with outliers?", "yes", fabs(s.w[1] - 2) < .2 * fabs(s.w[0] - 2), true);
    draw_lines(l, &s, path);
}

/* ---- hinge: margins ------------------------------------------------------------------------- */

enum { PLANE = 40 };
#define EDGE 1.02 /* where a margin of 1 ends, training being what it is */

typedef struct separator { /* f(x) = w.x + b, and f of all points */
    double w[2], b, f[PLANE];
} separator;

/* ½|w|² + 2 Σ loss, as an SVM has it: with the hinge this is one, with C = 2. */
static separator separate(lesson *l, nn_loss kind, const nn_data *data)
{
    separator s = {.w = {NAN, NAN}, .b = NAN};
    nn_error error = {0};
    nn_model *m = nn_mlp(&(nn_mlp_config){.in = 2, .out = 1, .seed = 1});
    nn_fit_config fit = {.loss = kind, .optimizer = nn_adam(.05), .batch = NN_FULL_BATCH, .l2 = .5};
    fit.loss_options = (nn_loss_options){.reduction = NN_SUM, .zero_one_labels = true};
    fit.epochs = 4000;
    fit.schedule.kind = NN_COSINE;
    nn_fit(m, data, &fit, &error);
    predictions(m, data, s.f, &error);
    if (!error.status) {
        ad_tensor *w = ad_param_value(nn_param_find(m, "0.weight"));
        for (int i = 0; i < 2; i++)
            s.w[i] = ad_tensor_get(w, (int64_t[]){i, 0});
        s.b = ad_tensor_get(ad_param_value(nn_param_find(m, "0.bias")), (int64_t[]){0});
    }
    say(&error, l);
    nn_model_free(m);
    return s;
}

static double sign_of(const nn_data *data, int64_t i)
{
    return ad_tensor_get(nn_data_target(data), &i) > 0 ? 1 : -1;
}

/* Which points have a margin y f of less than 1, or of just 1? */
static int64_t supports(const nn_data *data, const separator *s, int64_t *which)
{
    int64_t n = 0;
    for (int64_t i = 0; i < PLANE; i++)
        if (sign_of(data, i) * s->f[i] <= EDGE)
            which[n++] = i;
    return n;
}

/* Of the points with y f above `margin`: how many have a gradient? */
static int with_gradient(lesson *l, nn_loss kind, const nn_data *data, const separator *s,
                         double margin)
{
    int n = 0;
    for (int i = 0; i < PLANE; i++) {
        const double y = sign_of(data, i);
        n += y * s->f[i] > margin && slope(l, kind, s->f[i], y) != 0;
    }
    return n;
}

static double moved(const separator *a, const separator *b)
{
    return fabs(a->w[0] - b->w[0]) + fabs(a->w[1] - b->w[1]) + fabs(a->b - b->b);
}

static void draw_margin(lesson *l, const nn_data *data, const separator *s)
{
    static const double level[3] = {0, -1, 1};
    static const char *const names[3] = {"f = 0", "f = -1", "f = 1"};
    static const char *const classes[2] = {"class -1", "class 1"};
    double x[2][PLANE], y[2][PLANE], lx[3][2], ly[3][2] = {{-2, 2}, {-2, 2}, {-2, 2}};
    nn_series series[5];
    int n[2] = {0, 0};
    for (int64_t i = 0; i < PLANE; i++) {
        const int c = sign_of(data, i) > 0;
        x[c][n[c]] = ad_tensor_get(nn_data_input(data, 0), (int64_t[]){i, 0});
        y[c][n[c]++] = ad_tensor_get(nn_data_input(data, 0), (int64_t[]){i, 1});
    }
    for (int c = 0; c < 2; c++)
        series[c] = (nn_series){classes[c], n[c], x[c], y[c], true};
    for (int k = 0; k < 3; k++) {
        for (int e = 0; e < 2; e++)
            lx[k][e] = (level[k] - s->b - s->w[1] * ly[k][e]) / s->w[0];
        series[2 + k] = (nn_series){.name = names[k], .n = 2, .x = lx[k], .y = ly[k]};
    }
    nn_chart chart = {.title = "A linear SVM: only points at the margin hold it",
                      .n_series = 5,
                      .series = series,
                      .x_low = -2.2,
                      .x_high = 2.2,
                      .y_low = -1.5,
                      .y_high = 1.5};
    lesson_chart(l, &chart, NULL, stdout);
}

static void show_hinge_slopes(lesson *l)
{
    lesson_part("hinge: margins");
    puts("  f is the prediction, y is 1 or -1, and y f is by how much f is right. The\n"
         "  hinge is max(0, 1 - y f): beyond 1 it is content. The logistic loss ln(1 +\n"
         "  e^-yf) never is. ∂C/∂f for y = 1:\n");
    lesson_table();
    for (int i = 0; i < 3; i++) {
        static const double at[3] = {-2, .5, 3};
        char what[64];
        snprintf(what, sizeof what, "hinge, f = %g", at[i]);
        lesson_number(l, what, NULL, slope(l, NN_HINGE, at[i], 1), at[i] < 1 ? -1 : 0);
        snprintf(what, sizeof what, "logistic, f = %g: -σ(-f)", at[i]);
        lesson_number(l, what, NULL, slope(l, NN_LOGISTIC, at[i], 1), -1 / (1 + exp(at[i])));
    }
    const double f = .7, y = 1, minus = -1, zero = 0;
    puts("\n  The labels are -1 and 1, as the slide says. For cross-entropy they are 0 and\n"
         "  1; on logits that and the logistic loss are one and the same:\n");
    lesson_table();
    for (int k = 0; k < 2; k++) {
        double logistic = loss_of(l, NN_LOGISTIC, 1, 1, &f, k ? &y : &minus, NULL);
        lesson_number(l, k ? "logistic, f = .7, y = 1" : "logistic, f = .7, y = -1", NULL, logistic,
                      loss_of(l, NN_BCE_LOGITS, 1, 1, &f, k ? &y : &zero, NULL));
    }
}

static void show_hinge(lesson *l)
{
    static const nn_loss kinds[2] = {NN_HINGE, NN_LOGISTIC};
    nn_error error = {0};
    int64_t which[PLANE];
    separator all[2], few[2];
    nn_data *data = nn_make_blobs(PLANE, 2, .35, 3, &error);
    show_hinge_slopes(l);
    if (error.status) {
        say(&error, l);
        return;
    }
    for (int k = 0; k < 2; k++)
        all[k] = separate(l, kinds[k], data);
    const int64_t n = supports(data, &all[0], which);
    nn_data *rest = nn_data_select(data, n, which, &error);
    for (int k = 0; k < 2; k++)
        few[k] = separate(l, kinds[k], rest);
    say(&error, l);
    puts("\n  Two clouds of 20 points, and a line between them, by ½|w|² + 2 Σ loss. With\n"
         "  the hinge this is a linear support vector machine. The points beyond the\n"
         "  margin have no gradient: throw them away, train anew, and the line is the\n"
         "  same. The logistic loss listens to all.\n");
    lesson_table();
    lesson_number(l, "hinge: gradients beyond the margin", NULL,
                  with_gradient(l, NN_HINGE, data, &all[0], EDGE), 0);
    lesson_claim(l, "hinge: fewer than 10 others of 40?", NULL, n < 10, true);
    lesson_claim(l, "hinge: an SVM (the same line by these)?", "yes", moved(&all[0], &few[0]) < .03,
                 true);
    lesson_number(l, "logistic: gradients, all in all", NULL,
                  with_gradient(l, NN_LOGISTIC, data, &all[1], -INFINITY), PLANE);
    lesson_claim(l, "logistic: the same line by these?", NULL, moved(&all[1], &few[1]) < .3, false);
    printf("\n  The hinge is held by %d points, at a margin of 1/|w| = %.2f; trained on these\n"
           "  alone, w and b move by %.3f in all, those of the logistic loss by %.2f.\n",
           (int)n, 1 / hypot(all[0].w[0], all[0].w[1]), moved(&all[0], &few[0]),
           moved(&all[1], &few[1]));
    draw_margin(l, data, &all[0]);
    nn_data_free(rest);
    nn_data_free(data);
}

/* ---- KL and cross-entropy: distributions ---------------------------------------------------- */

enum { TEXTS = 48, WORDS = 6, COMMON = 2, RARE = 2 }; /* the last ones are rare */

static void show_distribution_slopes(lesson *l)
{
    static const double y[WORDS] = {.5, .25, .125, .125, 0, 0},
                        q[WORDS] = {.4, .2, .2, .1, .05, .05};
    double of_ce[WORDS] = {0}, of_kl[WORDS] = {0}, apart = 0;
    const double ce = loss_of(l, NN_CROSS_ENTROPY, 1, WORDS, q, y, of_ce);
    const double kl = loss_of(l, NN_KL, 1, WORDS, q, y, of_kl);
    for (int i = 0; i < WORDS; i++)
        apart = fmax(apart, fabs(of_ce[i] - of_kl[i]));
    lesson_part("KL and cross-entropy: reconstructing an input");
    puts("  y = (.5, .25, .125, .125, 0, 0), q = (.4, .2, .2, .1, .05, .05)\n");
    lesson_table();
    lesson_number(l, "cross-entropy -Σ y ln q", NULL, ce, 1.3495077197241208);
    lesson_number(l, "KL Σ y ln (y/q)", NULL, kl, ce - 1.75 * log(2));
    lesson_number(l, "their difference: the entropy of y", NULL, ce - kl, 1.75 * log(2));
    lesson_number(l, "∂C/∂q1 = -y1/q1, of both", NULL, of_kl[0], -1.25);
    lesson_number(l, "the gradients differ by", NULL, apart, 0);
    lesson_number(l, "KL where q = y", NULL, loss_of(l, NN_KL, 1, WORDS, y, y, NULL), 0);
    lesson_number(l, "cross-entropy where q = y", NULL,
                  loss_of(l, NN_CROSS_ENTROPY, 1, WORDS, y, y, NULL), 1.75 * log(2));
    puts("\n  So both train alike. But an input that is a distribution has an entropy of\n"
         "  its own, and only KL says by 0 that it came out again as it went in. For\n"
         "  classes (a 1 among zeros) the entropy is 0, and there is no difference.");
}

/* How often a text uses each word. The first two words vary between texts by 6 hundredths, the last
 * two by 2.7 hundredths; but these are nine tenths of what they are. */
static void make_texts(double *x)
{
    for (int i = 0; i < TEXTS; i++) {
        const double s = 2 * (i % 7) / 6. - 1, t = 2 * (i * 5 % 48) / 47. - 1; /* -1..1 */
        const double text[WORDS] = {.48 + .06 * s, .36 - .06 * s,      .06,
                                    .04,           .03 * (1 + .9 * t), .03 * (1 - .9 * t)};
        memcpy(x + i * WORDS, text, sizeof text);
    }
}

/* Through one number and back, by one loss. What comes out goes to q. */
static void reconstruct(lesson *l, nn_loss kind, const double *x, double *q)
{
    nn_error error = {0};
    nn_data *data = table_of(TEXTS, WORDS, x, WORDS, x, &error);
    nn_model *m = nn_sequential(&(nn_model_config){.inputs = {{1, {WORDS}, false}}, .seed = 1}, 2,
                                (nn_layer[]){nn_dense(1, NULL), nn_dense(WORDS, NN_SOFTMAX)});
    nn_fit_config fit = {.loss = kind, .optimizer = nn_adam(.05), .batch = NN_FULL_BATCH};
    fit.epochs = 3000;
    fit.schedule.kind = NN_COSINE;
    nn_fit(m, data, &fit, &error);
    predictions(m, data, q, &error);
    say(&error, l);
    nn_model_free(m);
    nn_data_free(data);
}

/* By how much words `from` to `to` - 1 are off, in per cent of themselves: the mean. */
static double per_cent(const double *q, const double *x, int from, int to)
{
    double sum = 0;
    for (int i = 0; i < TEXTS; i++)
        for (int j = from; j < to; j++)
            sum += fabs(q[i * WORDS + j] / x[i * WORDS + j] - 1);
    return 100 * sum / (TEXTS * (to - from));
}

static void show_reconstruction(lesson *l)
{
    static const nn_loss kinds[3] = {NN_KL, NN_CROSS_ENTROPY, NN_MSE};
    static const char *const names[3] = {"KL", "cross-entropy", "mse"};
    double x[TEXTS * WORDS], q[3][TEXTS * WORDS] = {{0}}, kl[3], rare[3];
    make_texts(x);
    puts("\n  48 texts, each as the shares of 6 words in it, pass through a single number\n"
         "  and back: an autoencoder 6-1-6 with a softmax at its end. The texts differ\n"
         "  in two ways, so something must be lost. What is lost, is up to the loss:\n");
    puts("  trained by        KL at the end    common words off by    rare words off by");
    for (int k = 0; k < 3; k++) {
        reconstruct(l, kinds[k], x, q[k]);
        kl[k] = loss_of(l, NN_KL, TEXTS, WORDS, q[k], x, NULL);
        rare[k] = per_cent(q[k], x, WORDS - RARE, WORDS);
        printf("  %-14s %15.4f %20.0f %% %18.0f %%\n", names[k], kl[k],
               per_cent(q[k], x, 0, COMMON), rare[k]);
    }
    const double entropy = loss_of(l, NN_CROSS_ENTROPY, TEXTS, WORDS, x, x, NULL);
    printf("\n  The mean entropy of the texts is %.4f: no cross-entropy can go below it.\n\n",
           entropy);
    lesson_table();
    lesson_claim(l, "KL for reconstructing an input?", "yes", kl[0] < .8 * kl[2], true);
    lesson_claim(l, "mse: gives up the rare words?", NULL, rare[2] > 2 * rare[0], true);
    lesson_near(l, "cross-entropy ends at H(y) + KL", NULL,
                loss_of(l, NN_CROSS_ENTROPY, TEXTS, WORDS, q[1], x, NULL), entropy + kl[1], 1e-9);
}

/* ---- what the slides say of all of them ----------------------------------------------------- */

static void show_rules(lesson *l)
{
    static const double q[6] = {.7, .2, .1, .3, .3, .4}, rows[6] = {1, 0, 0, 0, 0, 1};
    static const int64_t shape[2] = {2, 3};
    ad_tape *t = ad_tape_new(NULL);
    ad_var p = ad_constant_array(t, AD_F64, 2, shape, q), none = {0};
    ad_var classes = ad_constant_array(t, AD_I32, 1, shape, (int32_t[]){0, 2});
    double sparse = ad_value(nn_record_loss(NN_CROSS_ENTROPY, NULL, p, classes, none));
    lesson_part("Two rules of lecture 000");
    puts("  'Cross-entropy takes integer labels.' That is what Keras calls the sparse\n"
         "  one; the plain one takes rows with a single 1. The value is the same, and\n"
         "  here one loss takes both:\n");
    lesson_table();
    lesson_number(l, "labels 0, 2", NULL, sparse, -.5 * log(.7 * .4));
    lesson_number(l, "rows (1,0,0), (0,0,1)", NULL,
                  loss_of(l, NN_CROSS_ENTROPY, 2, 3, q, rows, NULL), sparse);
    lesson_tape_free(l, t);
    puts("\n  'A loss must be differentiable.' mae has a kink at p = y, the hinge at y f =\n"
         "  1, and both train: at a kink any slope between those of its sides will do (a\n"
         "  subgradient). The tape takes 0 at both.\n");
    lesson_table();
    const double right = slope(l, NN_MAE, 1e-9, 0), left = slope(l, NN_MAE, -1e-9, 0);
    lesson_number(l, "mae, slope at p = y", NULL, slope(l, NN_MAE, 1, 1), 0);
    lesson_number(l, "hinge, slope at y f = 1", NULL, slope(l, NN_HINGE, 1, 1), 0);
    lesson_claim(l, "is every one differentiable everywhere?", "yes", left == right, false);
}

int main(int argc, char **argv)
{
    lesson l;
    lesson_begin(&l, "which_loss", "Which loss when");
    puts("\n  Lecture 000 recommends msle for targets of a wide range, mae where there are\n"
         "  outliers, the hinge for an SVM, and KL for reconstructing an input. Lecture\n"
         "  004 names logistic, hinge and absolute loss, no more. What each is good for\n"
         "  is in its gradient.");
    show_middles(&l);
    show_range(&l);
    show_outliers(&l, argc > 1 ? argv[1] : "which_loss.svg");
    show_hinge(&l);
    show_distribution_slopes(&l);
    show_reconstruction(&l);
    show_rules(&l);
    return lesson_end(&l);
}
