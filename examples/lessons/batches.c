/* batches.c - one example a step, some, or all (lectures 000, 002 and 004)
 *
 *     batches [FILE.svg [FOLDER]]     batches.svg, and examples/data with digits.csv, where not
 * said
 *
 * The cost is a mean over examples, and so is its gradient. The mean over a few examples, a
 * mini-batch, is a guess of it whose error falls as 1/√(size): four times the work for half the
 * error. Whether many cheap guesses or few good ones come further, and why the examples are
 * shuffled before each epoch, is measured on handwritten digits. */
#include "lesson.h"

#include <stdlib.h>

enum { PIXELS = 64, CLASSES = 10 };

/* ---- what is updated when ------------------------------------------------------------------- */

/* One epoch on y = 2x at x = 1, 2, 3, 4 by half the mean square, from w = 0. */
static double epoch_of_batches(lesson *l, int64_t batch)
{
    static const double x[4] = {1, 2, 3, 4}, y[4] = {2, 4, 6, 8}, zero = 0;
    nn_error error = {0};
    double w = NAN;
    ad_tensor *input = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){4, 1}, x);
    ad_tensor *target = ad_tensor_from(NULL, AD_F64, 2, (int64_t[]){4, 1}, y);
    nn_data *data = nn_data_new(1, &input, target, NULL, &error);
    nn_layer layer = nn_dense(1, NULL);
    layer.no_bias = true;
    layer.weight_init = (nn_init){NN_INIT_VALUES, .values = &zero};
    nn_model *m =
        nn_sequential(&(nn_model_config){.inputs = {{.rank = 1, .size = {1}}}}, 1, &layer);
    nn_fit(m, data,
           &(nn_fit_config){
               .loss = NN_HALF_MSE, .optimizer = nn_sgd(.01), .batch = batch, .no_shuffle = true},
           &error);
    if (lesson_ok(l, error.status, error.text))
        ad_tensor_read(ad_param_value(nn_param_at(m, 0)), &w);
    nn_model_free(m);
    nn_data_free(data);
    ad_tensor_free(input);
    ad_tensor_free(target);
    return w;
}

static void show_names(lesson *l)
{
    lesson_part("Three words, not two");
    puts("  Lecture 000: weights change after each example ('online') or after a group of them\n"
         "  ('offline, batch'). The group may be a part, a mini-batch, or all, the full batch. An\n"
         "  epoch, once through all examples, is many updates or one. y = 2x at x = 1, 2, 3, 4,\n"
         "  half the mean square, η = .01: w after one epoch from w = 0.\n");
    lesson_table();
    lesson_number(l, "one by one: 4 updates", NULL, epoch_of_batches(l, 1), .54702848);
    lesson_number(l, "by pairs: 2 updates", NULL, epoch_of_batches(l, 2), .29375);
    lesson_number(l, "all at once: 1 update", NULL, epoch_of_batches(l, NN_FULL_BATCH), .15);
}

/* ---- data ----------------------------------------------------------------------------------- */

typedef struct digits {
    nn_data *train, *test;
} digits;

static void read_digits(digits *d, const char *folder, nn_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/digits.csv", folder);
    nn_data *all = nn_read_csv(path, NULL, error), *part[3] = {NULL};
    nn_scaler scaler = {0};
    nn_split(all, &(nn_split_config){.test = .44, .stratified = true, .seed = 1}, part, error);
    nn_scaler_fit(&scaler, NN_STANDARDISE, part[NN_TRAIN], error);
    d->train = nn_scaler_apply(&scaler, part[NN_TRAIN], error);
    d->test = nn_scaler_apply(&scaler, part[NN_TEST], error);
    nn_scaler_free(&scaler);
    nn_data_free(part[NN_TRAIN]);
    nn_data_free(part[NN_TEST]);
    nn_data_free(all);
}

/* A linear layer before softmax: 650 parameters. */
static nn_model *linear_model(void)
{
    return nn_mlp(&(nn_mlp_config){.in = PIXELS, .out = CLASSES, .seed = 1});
}

/* ---- gradients ------------------------------------------------------------------------------ */

enum { PARAMETERS = PIXELS * CLASSES + CLASSES, EXAMPLES = 512 };

typedef struct gradients {
    double each[EXAMPLES][PARAMETERS], all[PARAMETERS];
} gradients;

/* The gradient of the mean loss of these rows, by one backward pass. */
static void gradient_of(lesson *l, const nn_model *m, const nn_data *data, int64_t n,
                        const int64_t *rows, double *g)
{
    nn_error error = {0};
    nn_data *part = nn_data_select(data, n, rows, &error);
    if (lesson_ok(l, error.status, error.text)) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x = ad_constant_tensor(t, nn_data_input(part, 0));
        ad_var y = ad_constant_tensor(t, nn_data_target(part));
        ad_backward(nn_record_loss(NN_SOFTMAX_CROSS_ENTROPY, NULL, nn_record(m, t, true, &x), y,
                                   (ad_var){0}));
        ad_grad_read(ad_use(t, nn_param_at(m, 0)), g);
        ad_grad_read(ad_use(t, nn_param_at(m, 1)), g + PIXELS * CLASSES);
        lesson_tape_free(l, t);
    }
    nn_data_free(part);
}

static double length(const double *g)
{
    double sum = 0;
    for (int i = 0; i < PARAMETERS; i++)
        sum += g[i] * g[i];
    return sqrt(sum);
}

/* The mean of some of the gradients, less that of all. */
static void deviation(const gradients *g, int n, const int64_t *rows, double *mean)
{
    for (int i = 0; i < PARAMETERS; i++) {
        double sum = 0;
        for (int k = 0; k < n; k++)
            sum += g->each[rows[k]][i];
        mean[i] = sum / n - g->all[i];
    }
}

static void show_means(lesson *l, const gradients *g)
{
    static double error[PARAMETERS];
    static int64_t rows[EXAMPLES];
    double largest = 0, size = 0;
    for (int k = 0; k < EXAMPLES; k++)
        rows[k] = k;
    deviation(g, EXAMPLES, rows, error);
    for (int i = 0; i < PARAMETERS; i++) {
        largest = fmax(largest, fabs(error[i]));
        size = fmax(size, fabs(g->all[i]));
    }
    lesson_part("The derivative of the mean is the mean of the derivatives");
    printf("  Lecture 002: repeat for the whole mini-batch, average the derivatives. That is %d\n"
           "  backward passes; one pass of the mean loss gives the same, but for roundings:\n\n",
           EXAMPLES);
    lesson_table();
    lesson_near(l, "largest difference / largest element", NULL, largest / size, 0, 1e-13);
}

enum { SIZES = 5, DRAWS = 1000 }; /* 1, 4, 16, 64, 256 */

/* Root mean square of the error, of batches drawn with replacement. */
static double noise_of(const gradients *g, int size, ad_tensor *u)
{
    static double error[PARAMETERS];
    int64_t rows[EXAMPLES];
    double sum = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        ad_draw_uniform(u, 1, (uint64_t)size, (uint64_t)draw);
        for (int k = 0; k < size; k++)
            rows[k] = (int64_t)(EXAMPLES * ad_tensor_get(u, (int64_t[]){k}));
        deviation(g, size, rows, error);
        sum += length(error) * length(error);
    }
    return sqrt(sum / DRAWS);
}

/* That of single examples: all of them, not drawn. */
static double noise_of_one(const gradients *g)
{
    static double error[PARAMETERS];
    double sum = 0;
    for (int64_t k = 0; k < EXAMPLES; k++) {
        deviation(g, 1, &k, error);
        sum += length(error) * length(error);
    }
    return sqrt(sum / EXAMPLES);
}

static void show_noise(lesson *l, const gradients *g)
{
    double sizes[SIZES], noise[SIZES], law[SIZES];
    ad_tensor *u = ad_tensor_new(NULL, AD_F64, 1, (int64_t[]){EXAMPLES});
    if (!u) {
        lesson_ok(l, AD_NO_MEMORY, "noise");
        return;
    }
    const double single = noise_of_one(g);
    lesson_part("How far the gradient of a mini-batch is off");
    printf("  The root mean square distance from the gradient of all %d, which is %.3f long; %d\n"
           "  random batches of each size. As means go, it is that of single examples divided by\n"
           "  √(size). Computed is the ratio of both.\n\n",
           EXAMPLES, length(g->all), DRAWS);
    lesson_table();
    for (int i = 0, size = 1; i < SIZES; i++, size *= 4) {
        char what[64];
        sizes[i] = size;
        noise[i] = noise_of(g, size, u);
        law[i] = single / sqrt(size);
        snprintf(what, sizeof what, "%3d examples: off by %.3f; ratio", size, noise[i]);
        lesson_near(l, what, NULL, noise[i] / law[i], 1, .12);
    }
    ad_tensor_free(u);
    const nn_series series[2] = {{"measured", SIZES, sizes, noise, true},
                                 {"the law", SIZES, sizes, law, false}};
    nn_chart chart = {.title = "Error of the gradient",
                      .x_label = "examples in the batch",
                      .y_label = "root mean square",
                      .n_series = 2,
                      .series = series,
                      .log_x = true,
                      .log_y = true};
    lesson_chart(l, &chart, NULL, stdout);
}

/* Gradients at the beginning of training: of each example, and of all in one pass. */
static void show_gradients(lesson *l, const nn_data *data)
{
    static gradients g;
    static int64_t rows[EXAMPLES];
    nn_model *m = linear_model();
    for (int k = 0; k < EXAMPLES; k++) {
        rows[k] = k;
        gradient_of(l, m, data, 1, &rows[k], g.each[k]);
    }
    gradient_of(l, m, data, EXAMPLES, rows, g.all);
    nn_model_free(m);
    show_means(l, &g);
    show_noise(l, &g);
}

/* ---- training ------------------------------------------------------------------------------- */

enum { EPOCHS = 15, RATES = 6, BY_ONE = 0, BY_SIXTEEN, ALL, WAYS };
static const double rates[RATES] = {.01, .03, .1, .3, 1, 3};

typedef struct way {
    const char *name;
    int64_t batch;
    double rate, loss[EPOCHS + 1], updates[EPOCHS + 1]; /* before, and after each epoch */
    double few;                                         /* the loss after EPOCHS updates */
    double seconds;                                     /* the fastest epoch's */
} way;

static nn_model *network(void)
{
    return nn_mlp(&(nn_mlp_config){.in = PIXELS, .hidden = {32}, .out = CLASSES, .seed = 1});
}

static double loss_of(const nn_model *m, const nn_data *data, nn_error *error)
{
    nn_scores s = {.loss = NAN};
    nn_evaluate(m, data, &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY}, &s, error);
    return s.loss;
}

/* Trains, and writes down the loss of all examples after each epoch: as of "validation" data that
 * are the training data. A rate that is too large may end in infinities, and is passed over. */
static void train(way *w, const nn_data *data)
{
    nn_error error = {0};
    nn_model *m = network();
    w->loss[0] = loss_of(m, data, &error);
    w->updates[0] = 0;
    nn_fit(m, data,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_sgd(w->rate),
                            .batch = w->batch,
                            .epochs = EPOCHS,
                            .validation = data},
           &error);
    double before = 0;
    w->seconds = INFINITY;
    for (int i = 1; i <= EPOCHS; i++) {
        const nn_history_row *row = nn_history_at(m, i - 1);
        w->loss[i] = row ? row->validation.loss : NAN;
        w->updates[i] = row ? (double)row->step : NAN;
        w->seconds = row ? fmin(w->seconds, row->seconds - before) : NAN;
        before = row ? row->seconds : 0;
    }
    nn_model_free(m);
}

static double mean_of(const double loss[EPOCHS + 1])
{
    double sum = 0;
    for (int i = 0; i <= EPOCHS; i++)
        sum += loss[i];
    return sum / (EPOCHS + 1);
}

/* The best: with the least loss in the mean over the epochs, fast and without relapses. */
static void train_at_best_rate(way *w, const nn_data *data)
{
    way tried = *w;
    for (int i = 0; i < RATES; i++) {
        tried.rate = rates[i];
        train(&tried, data);
        if (i == 0 || mean_of(tried.loss) < mean_of(w->loss))
            *w = tried;
    }
}

/* The loss after EPOCHS updates: of all at once those are the epochs; else one of so many batches.
 */
static double after_few(const way *w, const nn_data *data, nn_error *error)
{
    int64_t rows[16 * EPOCHS];
    if (w->batch == NN_FULL_BATCH)
        return w->loss[EPOCHS];
    for (int i = 0; i < 16 * EPOCHS; i++)
        rows[i] = i;
    nn_data *few = nn_data_select(data, w->batch * EPOCHS, rows, error);
    nn_model *m = network();
    nn_fit(m, few,
           &(nn_fit_config){
               .loss = NN_SOFTMAX_CROSS_ENTROPY, .optimizer = nn_sgd(w->rate), .batch = w->batch},
           error);
    const double loss = loss_of(m, data, error);
    nn_model_free(m);
    nn_data_free(few);
    return loss;
}

static void show_training(lesson *l, way *ways, const nn_data *data)
{
    nn_error error = {0};
    lesson_part("Few good steps, or many cheap ones?");
    printf("  %d digits, 64-32-10, plain descent, each size of batch at the best of the rates\n"
           "  .01, .03, .1, .3, 1, 3. An epoch is the same work for all of them: the gradient of\n"
           "  every example once. The loss is that of all examples.\n\n"
           "  batch     rate  updates   after 2 epochs       5      15   after %d updates\n",
           (int)nn_data_rows(data), EPOCHS);
    for (int i = 0; i < WAYS; i++) {
        way *w = &ways[i];
        train_at_best_rate(w, data);
        w->few = after_few(w, data, &error);
        printf("  %-8s %5g %8.0f %16.3f %7.3f %7.3f %18.3f\n", w->name, w->rate, w->updates[EPOCHS],
               w->loss[2], w->loss[5], w->loss[EPOCHS], w->few);
    }
    lesson_ok(l, error.status, error.text);
    putchar('\n');
    const way *one = &ways[BY_ONE], *sixteen = &ways[BY_SIXTEEN], *all = &ways[ALL];
    lesson_table();
    lesson_claim(l, "5 epochs: 16 below half of all's loss?", NULL,
                 sixteen->loss[5] < .5 * all->loss[5], true);
    lesson_claim(l, "5 epochs: 1 below half, too?", NULL, one->loss[5] < .5 * all->loss[5], true);
    lesson_claim(l, "15 updates: all below 16, 16 below 1?", NULL,
                 all->few < sixteen->few && sixteen->few < one->few, true);
    lesson_claim(l, "does 1 want a smaller rate than all?", NULL, one->rate < all->rate, true);
    printf("\n  An epoch of batches of 1 took %.1f times as long as one of batches of 16.\n",
           one->seconds / sixteen->seconds);
    puts("\n  For the same work small batches come further, as they move more often. A single\n"
         "  update is worth most with all examples. And 16 examples at once take much less time\n"
         "  than 16 times one, as one product of larger matrices is faster than many small\n"
         "  ones: hence mini-batches. How much, depends on the machine.");
}

/* ---- shuffling ------------------------------------------------------------------------------ */

enum { LOOKS = 4 }; /* epochs */

typedef struct look {
    double accuracy, nines; /* the share of rows that are taken for a 9 */
} look;

/* The rows by class: all zeros first. */
static nn_data *sorted(const nn_data *data, nn_error *error)
{
    int64_t n = 0, total = nn_data_rows(data);
    int64_t *rows = calloc((size_t)total, sizeof *rows);
    if (!rows)
        return NULL;
    for (int digit = 0; digit < CLASSES; digit++)
        for (int64_t i = 0; i < total; i++)
            if ((int)ad_tensor_get(nn_data_target(data), &i) == digit)
                rows[n++] = i;
    nn_data *result = nn_data_select(data, n, rows, error);
    free(rows);
    return result;
}

static look look_at(const nn_model *m, const nn_data *test, nn_error *error)
{
    int64_t counts[CLASSES * CLASSES] = {0};
    double right = 0, nines = 0, rows = (double)nn_data_rows(test);
    ad_tensor *y = nn_predict(m, test, error);
    nn_confusion(y, nn_data_target(test), CLASSES, false, counts, error);
    for (int i = 0; i < CLASSES; i++) {
        right += (double)counts[CLASSES * i + i];
        nines += (double)counts[CLASSES * i + 9];
    }
    ad_tensor_free(y);
    return (look){right / rows, nines / rows};
}

static void train_in_order(lesson *l, const way *w, const nn_data *data, const nn_data *test,
                           bool shuffle, look looks[LOOKS])
{
    nn_error error = {0};
    nn_model *m = network();
    for (int i = 0; i < LOOKS; i++) { /* an epoch each */
        nn_fit(m, data,
               &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                                .optimizer = nn_sgd(w->rate),
                                .batch = w->batch,
                                .no_shuffle = !shuffle},
               &error);
        looks[i] = look_at(m, test, &error);
    }
    lesson_ok(l, error.status, error.text);
    nn_model_free(m);
}

static void show_looks(const char *batch, bool shuffle, const look looks[LOOKS])
{
    printf("  batch %-3s %-10s ", batch, shuffle ? "shuffled" : "in order");
    for (int k = 0; k < LOOKS; k++)
        printf(" %4.0f%%", 100 * looks[k].accuracy);
    printf("    ");
    for (int k = 0; k < LOOKS; k++)
        printf(" %4.0f%%", 100 * looks[k].nines);
    putchar('\n');
}

static void claim_order(lesson *l, const char *batch, const look *in_order, const look *shuffled)
{
    char what[64];
    snprintf(what, sizeof what, "batch %s, one epoch: over 80%% shuffled?", batch);
    lesson_claim(l, what, NULL, shuffled->accuracy > .8, true);
    lesson_claim(l, "  below 60% in order?", NULL, in_order->accuracy < .6, true);
    lesson_claim(l, "  in order, over 25% taken for a 9?", NULL, in_order->nines > .25, true);
}

static void show_order(lesson *l, const way *ways, const digits *d)
{
    nn_error error = {0};
    look looks[2][2][LOOKS]; /* of 1 and 16; in order, and shuffled */
    nn_data *by_class = sorted(d->train, &error);
    lesson_part("Why the examples are shuffled before each epoch");
    puts("  Lecture 002 has it, and calls the descent stochastic after it; lecture 004 draws\n"
         "  subsets without replacement, which is the same. Here the digits come sorted: all 0s\n"
         "  first, all 9s last. Accuracy on test digits after each epoch, and how many of them\n"
         "  are taken for a 9 (a tenth of them are):\n\n"
         "                           accuracy                taken for a 9\n"
         "  after epoch             1     2     3     4        1     2     3     4");
    for (int i = 0; i < 2; i++)
        for (int shuffle = 1; shuffle >= 0; shuffle--) {
            train_in_order(l, &ways[i], by_class, d->test, shuffle, looks[i][shuffle]);
            show_looks(ways[i].name, shuffle, looks[i][shuffle]);
        }
    nn_data_free(by_class);
    lesson_ok(l, error.status, error.text);
    putchar('\n');
    lesson_table();
    for (int i = 0; i < 2; i++)
        claim_order(l, ways[i].name, looks[i][0], looks[i][1]);
    puts("\n  The network unlearns what it does not see: at the end of the epoch it has seen 9s\n"
         "  for a while, and nothing else, and so calls half of all digits that. The next epochs\n"
         "  mend it slowly. Only a full batch has no order.");
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void draw(lesson *l, const way *ways, const char *path)
{
    static const char *const names[WAYS] = {"one by one", "by 16", "all at once"};
    double epochs[EPOCHS + 1];
    nn_series by_epoch[WAYS], by_update[WAYS];
    for (int i = 0; i <= EPOCHS; i++)
        epochs[i] = i;
    for (int i = 0; i < WAYS; i++) {
        by_epoch[i] = (nn_series){names[i], EPOCHS + 1, epochs, ways[i].loss, false};
        by_update[i] = (nn_series){names[i], EPOCHS + 1, ways[i].updates, ways[i].loss, false};
    }
    lesson_part("Pictures");
    nn_chart chart = {.title = "The loss by updates",
                      .x_label = "updates",
                      .y_label = "cross-entropy",
                      .n_series = WAYS,
                      .series = by_update,
                      .log_x = true,
                      .log_y = true};
    lesson_chart(l, &chart, NULL, stdout);
    chart.title = "Batches of three sizes: the loss by epochs";
    chart.x_label = "epoch";
    chart.series = by_epoch;
    chart.log_x = false;
    lesson_chart(l, &chart, path, stdout);
}

int main(int argc, char **argv)
{
    static way ways[WAYS] = {{.name = "1", .batch = 1},
                             {.name = "16", .batch = 16},
                             {.name = "all", .batch = NN_FULL_BATCH}};
    lesson l;
    digits d = {0};
    nn_error error = {0};
    lesson_begin(&l, "batches", "One example a step, some, or all");
    show_names(&l);
    read_digits(&d, argc > 2 ? argv[2] : lesson_data(), &error);
    if (lesson_ok(&l, error.status, error.text)) {
        show_gradients(&l, d.train);
        show_training(&l, ways, d.train);
        show_order(&l, ways, &d);
        draw(&l, ways, argc > 1 ? argv[1] : "batches.svg");
    }
    nn_data_free(d.train);
    nn_data_free(d.test);
    return lesson_end(&l);
}
