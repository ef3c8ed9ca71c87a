/* hyperparameters.c - rate, batch and width are chosen on validation data; the test data wait
 * (lecture 002)
 *
 *     hyperparameters [FILE.svg [FOLDER]]     hyperparameters.svg, and examples/data, where not
 * said
 *
 * Parameters are learnt from training data. What is not learnt - learning rate, size of the
 * mini-batch, architecture: lecture 002 names these - is tried, and chosen by the loss on
 * validation data, which no fit has seen. By a grid first, then by as many random points. The test
 * data are used once, at the very end: the last part shows what happens to a number by which one
 * has chosen. */
#include "lesson.h"

enum { PIXELS = 64, CLASSES = 10, EPOCHS = 8, RATE = 0, BATCH, UNITS, COUNT, TRIALS = 45 };

/* ---- a trial -------------------------------------------------------------------------------- */

static nn_model *network(int64_t units, uint64_t seed)
{
    return nn_mlp(&(nn_mlp_config){.in = PIXELS, .hidden = {units}, .out = CLASSES, .seed = seed});
}

static nn_model *trained(const double *point, const nn_data *train, nn_error *error)
{
    nn_model *m = network(llround(point[UNITS]), 1);
    nn_fit(m, train,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_momentum(point[RATE], .9),
                            .batch = llround(point[BATCH]),
                            .epochs = EPOCHS},
           error);
    return m;
}

static nn_scores scores_of(const nn_model *m, const nn_data *data, nn_error *error)
{
    nn_scores s = {.loss = NAN, .accuracy = NAN};
    nn_evaluate(m, data,
                &(nn_evaluate_config){.loss = NN_SOFTMAX_CROSS_ENTROPY, .metrics = NN_ACCURACY}, &s,
                error);
    return s;
}

typedef struct search {
    nn_data *part[3];
    int done;
    double points[TRIALS * COUNT], losses[TRIALS], accuracies[TRIALS];
    double best[COUNT], score;
} search;

/* A trial that fails, as its loss became infinite, gives NaN, and is passed over. */
static double trial(const double *point, void *user)
{
    search *s = user;
    nn_error error = {0};
    nn_model *m = trained(point, s->part[NN_TRAIN], &error);
    const nn_scores scores = scores_of(m, s->part[NN_VALIDATION], &error);
    nn_model_free(m);
    s->accuracies[s->done++] = scores.accuracy;
    return scores.loss;
}

/* ---- grid and random ------------------------------------------------------------------------ */

static void run(lesson *l, search *s, const nn_search_config *config)
{
    nn_error error = {0};
    s->done = 0;
    nn_search(config, trial, s, s->best, &s->score, s->points, s->losses, &error);
    lesson_ok(l, error.status, error.text);
}

static int rank(const search *s, int i)
{
    int better = 0;
    for (int k = 0; k < TRIALS; k++)
        better += s->losses[k] < s->losses[i] || (s->losses[k] == s->losses[i] && k < i);
    return better;
}

static void show_point(const search *s, int i)
{
    const double *p = &s->points[i * COUNT];
    printf("  %-9.2g %6.0f %6.0f", p[RATE], p[BATCH], p[UNITS]);
    if (isnan(s->losses[i]))
        puts("      diverged");
    else
        printf(" %13.3g %9.1f%%\n", s->losses[i], 100 * s->accuracies[i]);
}

/* The best five, and the worst that gave a number. */
static void show_trials(const search *s)
{
    int diverged = 0, last = -1;
    puts("  rate       batch  units     loss on   accuracy: validation data");
    for (int place = 0; place < TRIALS; place++)
        for (int i = 0; i < TRIALS; i++) {
            if (isnan(s->losses[i]) || rank(s, i) != place)
                continue;
            if (place < 5)
                show_point(s, i);
            last = i;
        }
    for (int i = 0; i < TRIALS; i++)
        diverged += isnan(s->losses[i]);
    puts("  ...");
    if (last >= 0)
        show_point(s, last);
    printf("  and %d of %d trials that diverged\n\n", diverged, TRIALS);
}

static void show_search(lesson *l, search *grid, search *random)
{
    static const double rates[] = {.001, .01, .1, 1, 10}, batches[] = {8, 32, 128},
                        units[] = {4, 16, 64};
    static const nn_hyperparameter lists[COUNT] = {
        [RATE] = {.name = "rate", .n_values = 5, .values = rates},
        [BATCH] = {.name = "batch", .n_values = 3, .values = batches},
        [UNITS] = {.name = "units", .n_values = 3, .values = units}};
    static const nn_hyperparameter ranges[COUNT] = {
        [RATE] = {.name = "rate", .low = .001, .high = 10, .logarithmic = true},
        [BATCH] = {.name = "batch", .low = 8, .high = 128, .logarithmic = true},
        [UNITS] = {.name = "units", .low = 4, .high = 64, .logarithmic = true}};
    lesson_part("A grid: 5 rates x 3 sizes of batch x 3 widths");
    printf("  %d digits to train on, %d for validation, %d for the test. 64-units-10, descent\n"
           "  with momentum .9, %d epochs. The best five, and the worst:\n\n",
           (int)nn_data_rows(grid->part[NN_TRAIN]), (int)nn_data_rows(grid->part[NN_VALIDATION]),
           (int)nn_data_rows(grid->part[NN_TEST]), EPOCHS);
    run(l, grid, &(nn_search_config){.n = COUNT, .hyperparameters = lists});
    show_trials(grid);
    lesson_part("As many random points of the same ranges");
    run(l, random,
        &(nn_search_config){.n = COUNT, .hyperparameters = ranges, .trials = TRIALS, .seed = 1});
    show_trials(random);
    puts("  The grid has spent its trials on 5 rates, each nine times; the random points are 45\n"
         "  rates. Where one hyperparameter matters most, as the rate does here, that is the\n"
         "  better use of them (Bergstra and Bengio 2012). With three there is room for both; the\n"
         "  grid grows with every further one, the number of random points does not.");
}

static double least_accuracy(const search *s)
{
    double least = 1;
    for (int i = 0; i < TRIALS; i++)
        least = s->accuracies[i] < least ? s->accuracies[i] : least; /* NaN is not */
    return least;
}

/* ---- the test ------------------------------------------------------------------------------- */

static void show_test(lesson *l, const search *grid, const search *random)
{
    const search *best = random->score < grid->score ? random : grid;
    nn_error error = {0};
    lesson_part("The test data, once");
    puts("  Lecture 002: 'We touch the test set only at the very end.' Of all trials the one with\n"
         "  the least loss on validation data is chosen:\n");
    nn_model *m = trained(best->best, best->part[NN_TRAIN], &error);
    const nn_scores validation = scores_of(m, best->part[NN_VALIDATION], &error);
    const nn_scores test = scores_of(m, best->part[NN_TEST], &error);
    nn_model_free(m);
    if (!lesson_ok(l, error.status, error.text))
        return;
    printf("  rate %.2g, batches of %.0f, %.0f units (%s)\n"
           "  validation: loss %.3f, accuracy %.1f%%\n"
           "  test:       loss %.3f, accuracy %.1f%%\n\n",
           best->best[RATE], best->best[BATCH], best->best[UNITS],
           best == grid ? "of the grid" : "a random point", validation.loss,
           100 * validation.accuracy, test.loss, 100 * test.accuracy);
    lesson_table();
    lesson_claim(l, "trained again: the same loss, bit by bit?", NULL,
                 validation.loss == best->score, true);
    lesson_claim(l, "test accuracy above 92%?", NULL, test.accuracy > .92, true);
    lesson_claim(l, "the grid's worst trial below 50%?", NULL, least_accuracy(grid) < .5, true);
    lesson_claim(l, "do both searches find a loss below .3?", NULL,
                 grid->score < .3 && random->score < .3, true);
}

/* ---- why not by the test data --------------------------------------------------------------- */

enum { MODELS = 60, TINY = 30, MOST = 2000 };

typedef struct panel { /* what models that differ by their seed alone get right */
    int rows;
    bool right[MODELS][MOST];
} panel;

static void judge_rows(panel *p, int k, const nn_model *m, const nn_data *data, nn_error *error)
{
    ad_tensor *y = nn_predict(m, data, error);
    p->rows = (int)nn_data_rows(data) < MOST ? (int)nn_data_rows(data) : MOST;
    for (int i = 0; y && i < p->rows; i++) {
        int largest = 0;
        for (int c = 1; c < CLASSES; c++)
            if (ad_tensor_get(y, (int64_t[]){i, c}) > ad_tensor_get(y, (int64_t[]){i, largest}))
                largest = c;
        p->right[k][i] = largest == (int)ad_tensor_get(nn_data_target(data), (int64_t[]){i});
    }
    ad_tensor_free(y);
}

/* The share of rows [from, to), or of all others, that model k gets right. */
static double share(const panel *p, int k, int from, int to, bool others)
{
    int right = 0, n = 0;
    for (int i = 0; i < p->rows; i++)
        if ((i >= from && i < to) != others) {
            right += p->right[k][i];
            n++;
        }
    return n ? (double)right / n : NAN;
}

typedef struct flattery {
    double chosen, truly, mean; /* of the chosen on its part, on the others; of all models */
} flattery;

/* Of the first so many models, chosen by each part of TINY rows in turn. */
static flattery choose(const panel *p, int models)
{
    const int parts = p->rows / TINY;
    flattery f = {0};
    for (int part = 0; part < parts; part++) {
        const int from = part * TINY, to = from + TINY;
        int best = 0;
        for (int k = 0; k < models; k++) {
            if (share(p, k, from, to, false) > share(p, best, from, to, false))
                best = k;
            f.mean += share(p, k, from, to, true) / models / parts;
        }
        f.chosen += share(p, best, from, to, false) / parts;
        f.truly += share(p, best, from, to, true) / parts;
    }
    return f;
}

static void show_flattery(lesson *l, const search *s)
{
    static panel p;
    static const int counts[4] = {1, 5, 20, MODELS};
    nn_error error = {0};
    flattery f = {0};
    for (int k = 0; k < MODELS; k++) { /* hardly trained: there is something left to choose */
        nn_model *m = network(16, (uint64_t)k + 1);
        nn_fit(m, s->part[NN_TRAIN],
               &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY, .optimizer = nn_sgd(.1)}, &error);
        judge_rows(&p, k, m, s->part[NN_VALIDATION], &error);
        nn_model_free(m);
    }
    lesson_part("Why not choose by the test data?");
    printf(
        "  Because the best of many is the luckiest, too. %d networks that differ only by their\n"
        "  seed; the best is chosen by %d digits, and then judged by the rest of the\n"
        "  validation data. Means over %d choices, by other digits each:\n\n"
        "  models   best on its %d digits   the same on the rest   mean model\n",
        MODELS, TINY, p.rows / TINY, TINY);
    if (!lesson_ok(l, error.status, error.text))
        return;
    for (int i = 0; i < 4; i++) {
        f = choose(&p, counts[i]);
        printf("  %6d %21.1f%% %21.1f%% %11.1f%%\n", counts[i], 100 * f.chosen, 100 * f.truly,
               100 * f.mean);
    }
    putchar('\n');
    lesson_table();
    lesson_claim(l, "does the choice flatter by 5% or more?", NULL, f.chosen - f.truly > .05, true);
    puts(
        "\n  To choose does help, but less than it seems to: the more trials and the fewer digits\n"
        "  to choose by, the less. The accuracy by which one has chosen is no measure of what\n"
        "  has been chosen: that takes data which had no part in it. Used a second time, to go\n"
        "  on choosing, test data are validation data.");
}

/* ---- the picture ---------------------------------------------------------------------------- */

static void draw(lesson *l, const search *grid, const search *random, const char *path)
{
    static double rates[2][TRIALS];
    for (int i = 0; i < TRIALS; i++) {
        rates[0][i] = grid->points[i * COUNT + RATE];
        rates[1][i] = random->points[i * COUNT + RATE];
    }
    const nn_series series[2] = {{"grid", TRIALS, rates[0], grid->accuracies, true},
                                 {"random", TRIALS, rates[1], random->accuracies, true}};
    const nn_chart chart = {.title = "Trials: accuracy on validation data by the rate",
                            .x_label = "learning rate",
                            .y_label = "accuracy",
                            .n_series = 2,
                            .series = series,
                            .log_x = true,
                            .y_high = 1};
    lesson_part("Picture");
    lesson_chart(l, &chart, path, stdout);
}

/* ---- data ----------------------------------------------------------------------------------- */

/* Scaled by what the training part knows. */
static void read_digits(nn_data *part[3], const char *folder, nn_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/digits.csv", folder);
    nn_data *all = nn_read_csv(path, NULL, error), *raw[3] = {NULL};
    nn_scaler scaler = {0};
    nn_split(all, &(nn_split_config){.validation = .25, .test = .25, .stratified = true, .seed = 1},
             raw, error);
    nn_scaler_fit(&scaler, NN_STANDARDISE, raw[NN_TRAIN], error);
    for (int i = 0; i < 3; i++) {
        part[i] = nn_scaler_apply(&scaler, raw[i], error);
        nn_data_free(raw[i]);
    }
    nn_scaler_free(&scaler);
    nn_data_free(all);
}

int main(int argc, char **argv)
{
    static search grid, random;
    lesson l;
    nn_error error = {0};
    lesson_begin(&l, "hyperparameters", "Hyperparameters, validation and test");
    read_digits(grid.part, argc > 2 ? argv[2] : lesson_data(), &error);
    for (int i = 0; i < 3; i++)
        random.part[i] = grid.part[i];
    if (lesson_ok(&l, error.status, error.text)) {
        show_search(&l, &grid, &random);
        show_flattery(&l, &grid);
        draw(&l, &grid, &random, argc > 1 ? argv[1] : "hyperparameters.svg");
        show_test(&l, &grid, &random);
    }
    for (int i = 0; i < 3; i++)
        nn_data_free(grid.part[i]);
    return lesson_end(&l);
}
