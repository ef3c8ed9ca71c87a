/* initialisation.c - good and bad first values of weights (lectures 002, 003 and 004)
 *
 *     initialisation [FILE.svg [FOLDER]]     initialisation.svg, and of digits.csv: examples/data
 *
 * Lecture 002 draws weights from a distribution and sets biases to one value; lecture 003 announces
 * a better initialisation and stops there; lecture 004 names it as something to be thought of. The
 * rest is here: why not zeros, why not N(0,1), what Nielsen (chapter 3), Glorot and Bengio (2010)
 * and He et al. (2015) take instead, and what becomes of each in a deep network. N(m,v) has the
 * variance v. */
#include "lesson.h"

enum { DEEP = 20, WIDE = 64, EPOCHS = 20, MOST = 5 };

/* How a network begins. */
typedef struct start {
    const char *name;
    nn_init weights, biases;
} start;

#define ZERO                                                                                       \
    {                                                                                              \
        .kind = NN_INIT_CONSTANT                                                                   \
    }
#define NORMAL(sd)                                                                                 \
    {                                                                                              \
        .kind = NN_INIT_NORMAL, .value = sd                                                        \
    }
#define OF_KIND(a_kind)                                                                            \
    {                                                                                              \
        .kind = a_kind                                                                             \
    }

/* Layers of so many units each, with an activation; and the last one without. */
static nn_model *network(const start *s, int64_t in, int hidden, int64_t units, const char *act,
                         int64_t out)
{
    nn_layer layers[DEEP + 1];
    for (int i = 0; i <= hidden; i++) {
        layers[i] = nn_dense(i < hidden ? units : out, i < hidden ? act : NULL);
        layers[i].weight_init = s->weights;
        layers[i].bias_init = s->biases;
    }
    nn_model_config config = {.seed = 1, .inputs = {{.rank = 1, .size = {in}}}};
    return nn_sequential(&config, hidden + 1, layers);
}

static void say(lesson *l, const nn_error *error) { lesson_ok(l, error->status, error->text); }

/* ---- zeros ---------------------------------------------------------------------------------- */

enum { TWINS = 4, STARTS = 3 };

/* How far the hidden neurons' weights are apart at most; and the largest weight of all. */
static double apart(const nn_model *m, double *largest)
{
    const ad_tensor *w = ad_param_value(nn_param_find(m, "0.weight")); /* (2,TWINS) */
    double most = 0;
    *largest = 0;
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < TWINS; j++) {
            const double one = ad_tensor_get(w, (int64_t[]){i, j});
            most = fmax(most, fabs(one - ad_tensor_get(w, (int64_t[]){i, 0})));
            *largest = fmax(*largest, fabs(one));
        }
    return most;
}

static void train_twins(lesson *l, const start *s, const nn_data *data, double *result)
{
    nn_error error = {0};
    nn_scores scores = {.accuracy = NAN};
    nn_model *m = network(s, 2, 1, TWINS, NN_TANH, 1);
    nn_fit_config fit = {.loss = NN_BCE_LOGITS, .optimizer = nn_sgd(.5), .batch = NN_FULL_BATCH};
    fit.epochs = 1000;
    nn_fit(m, data, &fit, &error);
    nn_evaluate(m, data, NULL, &scores, &error);
    result[0] = result[1] = NAN;
    if (!error.status)
        result[0] = apart(m, &result[1]);
    result[2] = scores.accuracy;
    say(l, &error);
    nn_model_free(m);
}

static void show_zeros(lesson *l)
{
    static const start starts[STARTS] = {{"all 0", ZERO, ZERO},
                                         {"all .5", {NN_INIT_CONSTANT, .5, NULL}, ZERO},
                                         {"N(0,1), biases 0", NORMAL(1), ZERO}};
    nn_error error = {0};
    nn_data *data = nn_make_xor(200, 0, 1, &error);
    double result[STARTS][3];
    say(l, &error);
    lesson_part("Why not zeros: neurons that begin alike stay alike");
    puts("  A network 2-4-1 with tanh is to learn xor in 1000 epochs. From zeros it\n"
         "  never gets away: the hidden layer gives 0, so the last weights have no\n"
         "  gradient; these are 0, so the first ones have none. From .5 it does move,\n"
         "  but all four neurons get the same gradient, always: they are one.\n");
    puts("  begins with        neurons apart  largest weight  accuracy");
    for (int i = 0; i < STARTS; i++) {
        train_twins(l, &starts[i], data, result[i]);
        printf("  %-16s %15.2f %15.2f %7.0f %%\n", starts[i].name, result[i][0], result[i][1],
               100 * result[i][2]);
    }
    puts("");
    lesson_table();
    lesson_number(l, "all 0: largest weight after 1000 epochs", NULL, result[0][1], 0);
    lesson_claim(l, "all .5: neurons the same but for 1e-6?", NULL, result[1][0] < 1e-6, true);
    lesson_claim(l, "all .5: does it learn xor?", NULL, result[1][2] > .9, false);
    lesson_claim(l, "weights drawn, biases all alike: well?", "yes", result[2][2] > .9, true);
    puts("\n  Lecture 002 is right: it is enough to draw the weights. Biases may begin\n"
         "  alike.");
    nn_data_free(data);
}

/* ---- N(0,1) with many inputs ---------------------------------------------------------------- */

enum { INPUTS = 1000, NEURONS = 2000 };

typedef struct spread { /* of z in one layer, and of what the sigmoid makes of it */
    double deviation, slope, saturated;
} spread;

/* z of 2000 neurons with 1000 inputs, half of which are 1, the others 0: Nielsen's example. */
static spread spread_of(lesson *l, const start *s)
{
    double x[INPUTS], z[NEURONS] = {0}, slopes[NEURONS] = {0};
    spread result = {0};
    for (int i = 0; i < INPUTS; i++)
        x[i] = i % 2;
    nn_error error = {0};
    nn_model *m = network(s, INPUTS, 0, 0, NULL, NEURONS);
    nn_predictor *p = nn_predictor_new(m, 1, &error);
    lesson_ok(l, nn_predictor_run(p, x, z), "neurons");
    ad_tape *t = ad_tape_new(NULL);
    ad_var v = ad_input_array(t, AD_F64, 1, (int64_t[]){NEURONS}, z);
    ad_backward(ad_sum(ad_sigmoid(v)));
    ad_grad_read(v, slopes);
    for (int i = 0; i < NEURONS; i++) {
        result.deviation += z[i] * z[i] / NEURONS;
        result.slope += slopes[i] / NEURONS;
        result.saturated += (slopes[i] < .01) / (double)NEURONS;
    }
    result.deviation = sqrt(result.deviation);
    lesson_tape_free(l, t);
    say(l, &error);
    nn_predictor_free(p);
    nn_model_free(m);
    return result;
}

static void show_many_inputs(lesson *l)
{
    const start large = {"N(0,1)", NORMAL(1), NORMAL(1)};
    const start nielsen = {"Nielsen", OF_KIND(NN_INIT_NIELSEN), OF_KIND(NN_INIT_NIELSEN)};
    const spread a = spread_of(l, &large), b = spread_of(l, &nielsen);
    lesson_part("Why not N(0,1): many inputs add up");
    puts("  A neuron has 1000 inputs, 500 of them 1. With weights and bias from N(0,1)\n"
         "  its z is a sum of 501 such numbers: N(0, 501), with a standard deviation of\n"
         "  22. A sigmoid is flat there: the neuron begins saturated, and hardly learns.\n"
         "\n"
         "  Nielsen draws weights from N(0, 1/n), that is with a deviation of 1/√1000,\n"
         "  and leaves the bias: z has the variance 500/1000 + 1. Of 2000 neurons (right\n"
         "  but for 5 %):\n");
    lesson_table();
    lesson_near(l, "N(0,1): deviation of z, √501", NULL, a.deviation, sqrt(501), 1.1);
    lesson_near(l, "Nielsen: deviation of z, √(3/2)", NULL, b.deviation, sqrt(1.5), .06);
    lesson_near(l, "N(0,1): mean of σ'", NULL, a.slope, .0178, .004);
    lesson_near(l, "Nielsen: mean of σ'", NULL, b.slope, .188, .01);
    lesson_claim(l, "N(0,1): σ' < .01 for most?", NULL, a.saturated > .7, true);
    lesson_claim(l, "Nielsen: σ' < .01 for more than 1 %?", NULL, b.saturated > .01, false);
    printf("\n  σ' < .01: %.0f %% of the neurons with N(0,1), %.1f %% with 1/√n.\n",
           100 * a.saturated, 100 * b.saturated);
}

/* ---- digits --------------------------------------------------------------------------------- */

enum { ROWS = 600, SIGMOIDS = 4 };

typedef struct course {          /* of a fit, epoch by epoch; the beginning first */
    double loss[EPOCHS + 1];     /* on what it is trained on */
    double accuracy[EPOCHS + 1]; /* on other digits */
    ad_status status;
} course;

/* The first 600 digits, standardised: 450 to train on, 150 to look at. */
static bool read_digits(lesson *l, const char *folder, nn_data *part[3])
{
    char path[4096];
    int64_t rows[ROWS];
    nn_error error = {0};
    nn_scaler scaler = {0};
    snprintf(path, sizeof path, "%s/digits.csv", folder);
    for (int i = 0; i < ROWS; i++)
        rows[i] = i;
    nn_data *all = nn_read_csv(path, NULL, &error);
    nn_data *some = nn_data_select(all, ROWS, rows, &error);
    nn_scaler_fit(&scaler, NN_STANDARDISE, some, &error);
    nn_data *scaled = nn_scaler_apply(&scaler, some, &error);
    nn_split_config split = {.validation = .25, .stratified = true, .seed = 1};
    nn_split(scaled, &split, part, &error);
    nn_scaler_free(&scaler);
    nn_data_free(scaled);
    nn_data_free(some);
    nn_data_free(all);
    say(l, &error);
    return !error.status;
}

/* Trains with a rate that falls to 0. That a loss becomes infinite is a result. */
static void follow(lesson *l, nn_model *m, nn_data *const *part, nn_optimizer optimizer, course *c)
{
    nn_error error = {0};
    nn_scores seen = {.loss = NAN}, other = {.accuracy = NAN};
    nn_fit_config fit = {.loss = NN_SOFTMAX_CROSS_ENTROPY, .optimizer = optimizer};
    nn_evaluate_config look = {.loss = fit.loss, .metrics = NN_ACCURACY};
    fit.epochs = EPOCHS;
    fit.schedule.kind = NN_COSINE;
    fit.validation = part[NN_VALIDATION];
    fit.metrics = NN_ACCURACY;
    nn_evaluate(m, part[NN_TRAIN], &look, &seen, &error);
    nn_evaluate(m, part[NN_VALIDATION], &look, &other, &error);
    say(l, &error);
    c->status = nn_fit(m, part[NN_TRAIN], &fit, &error);
    if (c->status != AD_NOT_FINITE)
        say(l, &error);
    for (int i = 0; i <= EPOCHS; i++) {
        const nn_history_row *row = i && !c->status ? nn_history_at(m, i - 1) : NULL;
        c->loss[i] = row ? row->training.loss : i ? NAN : seen.loss;
        c->accuracy[i] = row ? row->validation.accuracy : i ? NAN : other.accuracy;
    }
}

static void draw(lesson *l, nn_series *series, int n, const char *title, const char *y_label,
                 double y_high, const char *svg)
{
    double epochs[EPOCHS + 1];
    for (int i = 0; i <= EPOCHS; i++)
        epochs[i] = i;
    for (int i = 0; i < n; i++) {
        series[i].n = EPOCHS + 1;
        series[i].x = epochs;
    }
    nn_chart chart = {.title = title,
                      .x_label = "epoch",
                      .y_label = y_label,
                      .n_series = n,
                      .series = series,
                      .y_high = y_high};
    lesson_chart(l, &chart, svg, stdout);
}

static void show_sigmoids(lesson *l, nn_data *const *part)
{
    static const start starts[SIGMOIDS] = {
        {"zeros", ZERO, ZERO},
        {"N(0,1)", NORMAL(1), NORMAL(1)},
        {"Nielsen", OF_KIND(NN_INIT_NIELSEN), OF_KIND(NN_INIT_NIELSEN)},
        {"Glorot", OF_KIND(NN_INIT_GLOROT_NORMAL), ZERO}};
    static course c[SIGMOIDS];
    nn_series series[SIGMOIDS];
    lesson_part("Digits, with one hidden layer of sigmoids");
    puts("  450 digits, standardised; 64-30-10; gradient descent at .2 in batches of 32.\n"
         "  Glorot draws weights from N(0, 2/(n in + n out)), so that neither values nor\n"
         "  gradients grow. The accuracy on 150 other digits:\n");
    puts("  begins with    after 1 epoch    after 5    after 20");
    for (int i = 0; i < SIGMOIDS; i++) {
        nn_model *m = network(&starts[i], 64, 1, 30, NN_SIGMOID, 10);
        follow(l, m, part, nn_sgd(.2), &c[i]);
        nn_model_free(m);
        printf("  %-14s %11.0f %% %8.0f %% %9.0f %%\n", starts[i].name, 100 * c[i].accuracy[1],
               100 * c[i].accuracy[5], 100 * c[i].accuracy[EPOCHS]);
        series[i] = (nn_series){.name = starts[i].name, .y = c[i].accuracy};
    }
    puts("");
    lesson_table();
    lesson_claim(l, "zeros: better than 40 % in the end?", NULL, c[0].accuracy[EPOCHS] > .4, false);
    lesson_claim(l, "'better initialisation': is it?", "yes",
                 c[2].accuracy[5] > c[1].accuracy[5] + .1, true);
    lesson_claim(l, "Nielsen and Glorot: above 85 %?", NULL,
                 fmin(c[2].accuracy[EPOCHS], c[3].accuracy[EPOCHS]) > .85, true);
    draw(l, series, SIGMOIDS, "Accuracy, one hidden layer of sigmoids", "accuracy", 1, NULL);
}

/* ---- deep networks of relus ----------------------------------------------------------------- */

typedef struct deep { /* a start, and what became of it */
    start begin;
    double factor; /* of adjoints, from layer to layer: √(n σ²/2), as a relu lets half pass */
    double activations[DEEP], gradients[DEEP], activation_factor, adjoint_factor;
    course course;
} deep;

static nn_model *deep_network(const deep *d)
{
    return network(&d->begin, 64, DEEP, WIDE, NN_RELU, 10);
}

static void measure(lesson *l, deep *d, const nn_data *data)
{
    nn_error error = {0};
    nn_magnitude sizes[DEEP + 1] = {{.activation = NAN}};
    int n = 0;
    nn_model *m = deep_network(d);
    nn_magnitudes(m, data, NN_SOFTMAX_CROSS_ENTROPY, NULL, DEEP + 1, sizes, &n, &error);
    say(l, &error);
    const nn_magnitude *first = &sizes[0], *last = &sizes[DEEP - 1];
    d->activation_factor = pow(last->activation / first->activation, 1. / (DEEP - 1));
    d->adjoint_factor = pow(first->adjoint / last->adjoint, 1. / (DEEP - 1));
    for (int i = 0; i < DEEP; i++) {
        d->activations[i] = sizes[i].activation;
        d->gradients[i] = sizes[i].gradient;
    }
    nn_model_free(m);
}

/* Layers 1, 5, 10, 15 and 20. */
static void print_sizes(const char *what, const deep *d, bool gradients)
{
    printf("  %-12s", what);
    for (int k = 0; k < MOST; k++)
        printf(k == 0 ? " %10s " : " %11s", d[k].begin.name); /* ² is two bytes */
    puts("");
    for (int i = 0; i <= DEEP; i += 5) {
        printf("  layer %-6d", i ? i : 1);
        for (int k = 0; k < MOST; k++)
            printf(" %11.1e", (gradients ? d[k].gradients : d[k].activations)[i ? i - 1 : 0]);
        puts("");
    }
    puts("");
}

static void show_sizes(lesson *l, deep *d, const nn_data *data)
{
    lesson_part("Twenty layers of relus: sizes before training");
    puts("  64 units a layer. A layer multiplies the mean square by n σ², and a relu\n"
         "  halves it: from layer to layer sizes go by √(n σ²/2), and gradients by the\n"
         "  same on their way back. He takes σ² = 2/n, so that this is 1. With σ² = 1/n\n"
         "  (Nielsen; Glorot, where all layers are equally wide) it is √½, and √½ twenty\n"
         "  times is .001. Nielsen's biases hide that: activations stay large, but they\n"
         "  are those of the biases, and gradients fall.\n");
    for (int k = 0; k < MOST; k++)
        measure(l, &d[k], data);
    print_sizes("activation", d, false);
    print_sizes("gradient", d, true);
    lesson_table();
    for (int k = 0; k < MOST; k++) {
        char what[64];
        snprintf(what, sizeof what, "%s: adjoints, factor a layer", d[k].begin.name);
        lesson_near(l, what, NULL, d[k].adjoint_factor, d[k].factor, .1 * d[k].factor);
    }
    lesson_near(l, "He: activations, factor a layer", NULL, d[4].activation_factor, 1, .1);
    lesson_near(l, "Glorot: activations, factor a layer", NULL, d[3].activation_factor, sqrt(.5),
                .1);
    puts("\n  (Right but for 10 %: widths of 64 are few draws.)");
}

static void show_training(lesson *l, deep *d, nn_data *const *part, const char *svg)
{
    static course adam;
    nn_series series[MOST];
    lesson_part("Twenty layers of relus: training");
    puts("  Gradient descent at .01 with momentum .9, 20 epochs. ln 10 = 2.30 is the\n"
         "  loss of one who knows nothing.\n");
    puts("  begins with           loss before        after");
    int n = 0;
    for (int k = 0; k < MOST; k++) {
        nn_model *m = deep_network(&d[k]);
        follow(l, m, part, nn_momentum(.01, .9), &d[k].course);
        nn_model_free(m);
        const course *c = &d[k].course;
        printf(k == 0 ? "  %-17s" : "  %-16s", d[k].begin.name);
        printf(" %15.3g", c->loss[0]);
        printf(c->status ? " NaN in epoch 1\n" : " %12.3f\n", c->loss[EPOCHS]);
        if (!c->status)
            series[n++] = (nn_series){.name = d[k].begin.name, .y = c->loss};
    }
    nn_model *m = deep_network(&d[3]);
    follow(l, m, part, nn_adam(.001), &adam);
    nn_model_free(m);
    printf("  %-16s %15.3g %12.3f\n\n", "Glorot, by Adam", adam.loss[0], adam.loss[EPOCHS]);
    if (n < MOST)
        series[n++] = (nn_series){.name = "Glorot, by Adam", .y = adam.loss};
    lesson_table();
    lesson_claim(l, "N(0,1): does the loss stay finite?", NULL, !d[1].course.status, false);
    lesson_claim(l, "N(0,.01²): is it below 2.2 in the end?", NULL, d[0].course.loss[EPOCHS] < 2.2,
                 false);
    lesson_claim(l, "Glorot: is it below 2.2?", NULL, d[3].course.loss[EPOCHS] < 2.2, false);
    lesson_claim(l, "He: is it below 1?", NULL, d[4].course.loss[EPOCHS] < 1, true);
    lesson_claim(l, "Glorot, by Adam: is it below 2.2?", NULL, adam.loss[EPOCHS] < 2.2, true);
    puts("\n  Adam divides every gradient by its own size, and so gets away even with\n"
         "  small ones.");
    draw(l, series, n, "Loss, 20 hidden layers of relus", "loss", 0, svg);
}

static void show_deep(lesson *l, nn_data *const *part, const char *svg)
{
    static deep d[MOST] = {
        {.begin = {"N(0,.01²)", NORMAL(.01), ZERO}, .factor = .05656854249492381},
        {.begin = {"N(0,1)", NORMAL(1), ZERO}, .factor = 5.656854249492381},
        {.begin = {"Nielsen", OF_KIND(NN_INIT_NIELSEN), OF_KIND(NN_INIT_NIELSEN)},
         .factor = .7071067811865476},
        {.begin = {"Glorot", OF_KIND(NN_INIT_GLOROT_NORMAL), ZERO}, .factor = .7071067811865476},
        {.begin = {"He", OF_KIND(NN_INIT_HE_NORMAL), ZERO}, .factor = 1}};
    show_sizes(l, d, part[NN_TRAIN]);
    show_training(l, d, part, svg);
}

int main(int argc, char **argv)
{
    lesson l;
    nn_data *part[3] = {NULL, NULL, NULL};
    lesson_begin(&l, "initialisation", "First values of weights");
    puts("\n  Lecture 002 draws the weights from a distribution and sets the biases to one\n"
         "  value. Lecture 003 announces a better initialisation, and stops there. This\n"
         "  is the rest.");
    show_zeros(&l);
    show_many_inputs(&l);
    if (read_digits(&l, argc > 2 ? argv[2] : lesson_data(), part)) {
        show_sigmoids(&l, part);
        show_deep(&l, part, argc > 1 ? argv[1] : "initialisation.svg");
    }
    nn_data_free(part[NN_TRAIN]);
    nn_data_free(part[NN_VALIDATION]);
    return lesson_end(&l);
}
