/* train.c - see train.h
 *
 * Inputs are standardised by the model's first layer, so that the model takes the table's numbers
 * as they are. A regression learns targets of mean 0 and variance 1, whatever their unit, so that
 * any optimizer's usual rate will do; the model that is kept ends in a layer that gives the unit
 * back. */
#define _POSIX_C_SOURCE 200809L
#include "train.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "command.h"

enum { MOST_CONFUSED = 20 }; /* classes of a confusion matrix that fits a terminal */

typedef struct training {
    const train_request *request;
    nn_error error;
    nn_data *all, *part[3];   /* as in the file */
    nn_data *learnt[3];       /* a regression's, with scaled targets; else the same as `part` */
    nn_scaler inputs, target; /* target.n 0: classes */
    int outputs;
    nn_model *net, *model; /* what learns, and what is kept: the same for classes */
} training;

/* What a handler of signals may touch, and so the one variable of the program that is not local. */
static volatile sig_atomic_t interrupted;

static void interrupt(int number) { interrupted = number == SIGINT; }

/* ---- data ---- */

static void check_classes(training *t)
{
    const int64_t rows = nn_data_rows(t->all);
    const int classes = nn_data_class_count(t->all);
    if (classes < 2)
        table_error(&t->error, AD_BAD_ARGUMENT, "%s: all rows have the same label",
                    t->request->data);
    else if (classes > 2 && classes > rows / 2)
        table_error(&t->error, AD_BAD_ARGUMENT,
                    "%s: %d classes are too many for %lld rows; where the target is a number, say "
                    "--regression",
                    t->request->data, classes, (long long)rows);
    t->outputs = classes;
}

/* The part with targets of mean 0 and variance 1. */
static nn_data *with_scaled_target(training *t, const nn_data *part)
{
    ad_tensor *target = nn_data_target(part);
    nn_data *as_input = nn_data_new(1, &target, NULL, NULL, &t->error);
    nn_data *scaled = nn_scaler_apply(&t->target, as_input, &t->error);
    nn_data *result =
        scaled ? nn_data_with_target(part, nn_data_input(scaled, 0), &t->error) : NULL;
    nn_data_free(as_input);
    nn_data_free(scaled);
    return result;
}

static void scale_targets(training *t)
{
    ad_tensor *target = nn_data_target(t->part[NN_TRAIN]);
    nn_data *as_input = nn_data_new(1, &target, NULL, NULL, &t->error);
    nn_scaler_fit(&t->target, NN_STANDARDISE, as_input, &t->error);
    nn_data_free(as_input);
    for (int k = 0; k < 3 && !t->error.status; k++)
        t->learnt[k] = t->part[k] ? with_scaled_target(t, t->part[k]) : NULL;
}

static void read_data(training *t)
{
    const train_request *r = t->request;
    const nn_csv_config table = {.label = r->label, .skip = r->skip, .regression = r->regression};
    t->all = nn_read_csv(r->data, &table, &t->error);
    if (t->all && !r->regression)
        check_classes(t);
    const nn_split_config shares = {.validation = r->validation,
                                    .test = r->test,
                                    .stratified = !r->regression,
                                    .seed = r->seed};
    nn_split(t->all, &shares, t->part, &t->error);
    if (t->error.status)
        return;
    nn_scaler_fit(&t->inputs, NN_STANDARDISE, t->part[NN_TRAIN], &t->error);
    if (t->inputs.n != 2 && r->boundary)
        table_error(&t->error, AD_BAD_ARGUMENT,
                    "%s: --boundary wants two columns of inputs, and there are %lld; --skip leaves "
                    "columns out",
                    r->data, (long long)t->inputs.n);
    if (!r->regression)
        memcpy(t->learnt, t->part, sizeof t->learnt);
    else {
        t->outputs = 1;
        scale_targets(t);
    }
}

/* ---- models ---- */

/* Scaling, the perceptron's own layers, and (in_units) the target's unit. */
static nn_model *model_of(training *t, bool in_units)
{
    nn_mlp_config config = t->request->net;
    config.in = t->inputs.n;
    config.out = t->outputs;
    config.seed = t->request->seed;
    nn_model *mlp = nn_mlp(&config), *model = NULL;
    const int n = nn_layer_count(mlp);
    nn_layer *layers = nn_model_status(mlp) ? NULL : calloc((size_t)n + 2, sizeof *layers);
    double scale = 1, shift = 0;
    if (nn_model_status(mlp))
        table_error(&t->error, nn_model_status(mlp), "%s", nn_model_error(mlp));
    else if (!layers)
        table_error(&t->error, AD_NO_MEMORY, "out of memory");
    else {
        layers[0] = nn_scaled(&t->inputs);
        for (int i = 0; i < n; i++)
            layers[i + 1] = *nn_layer_at(mlp, i);
        if (in_units) { /* the inverse of x * scale + shift */
            scale = 1 / t->target.scale[0];
            shift = -t->target.shift[0] / t->target.scale[0];
            layers[n + 1] =
                (nn_layer){.kind = NN_SCALE, .n_scale = 1, .scale = &scale, .shift = &shift};
        }
        const nn_model_config whole = {.seed = t->request->seed,
                                       .inputs = {{.rank = 1, .size = {t->inputs.n}}}};
        model = nn_sequential(&whole, n + 1 + in_units, layers);
        if (nn_model_status(model))
            table_error(&t->error, nn_model_status(model), "%s", nn_model_error(model));
    }
    free(layers);
    nn_model_free(mlp);
    return model;
}

static void make_models(training *t)
{
    if (t->error.status)
        return;
    t->net = model_of(t, false);
    t->model = t->net;
    if (t->request->regression)
        t->model = t->error.status ? NULL : model_of(t, true);
}

/* What was learnt, into the model that is kept. */
static void keep(training *t)
{
    for (int i = 0; t->model != t->net && i < nn_param_count(t->net); i++) {
        const ad_param *from = nn_param_at(t->net, i);
        ad_param *to = nn_param_find(t->model, ad_param_name(from));
        if (!to || ad_tensor_copy(ad_param_value(to), ad_param_value(from)))
            table_error(&t->error, AD_MISMATCH, "the parameter %s was lost", ad_param_name(from));
    }
}

/* Ctrl-C ends the fit after its step; a second one the program. Where it is ignored, as below
 * nohup, it stays so. */
static void fit(training *t)
{
    nn_fit_config config = t->request->fit;
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, before;
    config.loss = t->request->regression ? NN_MSE : NN_SOFTMAX_CROSS_ENTROPY;
    config.metrics = t->request->regression ? NN_R2 : NN_ACCURACY;
    config.validation = t->learnt[NN_VALIDATION];
    config.stop = &interrupted;
    if (!t->request->quiet)
        config.callbacks[0] = nn_progress(stderr);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
    nn_fit(t->net, t->learnt[NN_TRAIN], &config, &t->error);
    sigaction(SIGINT, &before, NULL);
    keep(t);
}

/* ---- report ---- */

static const char *const part_names[3] = {"training", "validation", "test"};

static void put_count(const char *before, const nn_data *part, const char *after)
{
    if (part)
        printf("%s%lld%s", before, (long long)nn_data_rows(part), after);
}

/* Without its folder. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void describe(const training *t)
{
    printf("%s: %lld rows, ", file_name(t->request->data), (long long)nn_data_rows(t->all));
    put_count("", t->part[NN_TRAIN], " to train on");
    put_count(", ", t->part[NN_VALIDATION], " to validate");
    put_count(", ", t->part[NN_TEST], " to test");
    puts("\n");
    nn_summary(t->model, stdout);
    fflush(stdout);
}

/* Errors are in the target's unit, the others shares of 1. */
static void put_score(int metric, double value)
{
    if (metric == NN_MAE_METRIC || metric == NN_RMSE)
        printf("  %10.5g", value);
    else
        printf("  %10.4f", value);
}

static void put_scores(training *t, unsigned metrics)
{
    printf("\n%-10s  %8s", "part", "rows");
    for (int bit = 1; bit < 1 << NN_METRICS; bit *= 2)
        if (metrics & (unsigned)bit)
            printf("  %10s", nn_metric_name(bit));
    putchar('\n');
    for (int k = 0; k < 3; k++) {
        nn_scores scores;
        if (!t->part[k] ||
            nn_evaluate(t->model, t->part[k], &(nn_evaluate_config){.metrics = metrics}, &scores,
                        &t->error))
            continue;
        printf("%-10s  %8lld", part_names[k], (long long)scores.rows);
        for (int bit = 1; bit < 1 << NN_METRICS; bit *= 2)
            if (metrics & (unsigned)bit)
                put_score(bit, nn_score(&scores, bit));
        putchar('\n');
    }
}

/* Of the rows that the model knows least: the test's, else the validation's. */
static void put_confusion(training *t)
{
    const int n = t->outputs;
    const int k = t->part[NN_TEST] ? NN_TEST : t->part[NN_VALIDATION] ? NN_VALIDATION : NN_TRAIN;
    if (n > MOST_CONFUSED || t->error.status)
        return;
    int64_t *counts = calloc((size_t)n * (size_t)n, sizeof *counts);
    const char **names = calloc((size_t)n, sizeof *names);
    for (int i = 0; names && i < n; i++)
        names[i] = nn_data_class(t->all, i);
    ad_tensor *p = nn_predict(t->model, t->part[k], &t->error);
    if (!counts || !names)
        table_error(&t->error, AD_NO_MEMORY, "out of memory");
    else if (!nn_confusion(p, nn_data_target(t->part[k]), n, false, counts, &t->error)) {
        printf("\nconfusion matrix, %s part\n\n", part_names[k]);
        nn_confusion_print(n, counts, nn_data_class(t->all, 0) ? names : NULL, stdout);
    }
    ad_tensor_free(p);
    free(names);
    free(counts);
}

static void report(training *t)
{
    if (t->error.status)
        return;
    put_scores(t, t->request->regression ? NN_MAE_METRIC | NN_RMSE | NN_R2
                                         : NN_ACCURACY | NN_PRECISION | NN_RECALL | NN_F1);
    if (!t->request->regression)
        put_confusion(t);
    if (!t->request->regression && t->inputs.n == 2 && !t->error.status)
        train_boundary(t->model, t->all, t->request->boundary, &t->error);
}

/* ---- files ---- */

/* Does a column go by that name, or by its number? */
static bool is_column(const char *asked, const nn_data *header, int column)
{
    char number[16];
    snprintf(number, sizeof number, "%d", column);
    return strcmp(asked, nn_data_column(header, column)) == 0 || strcmp(asked, number) == 0;
}

/* The label's column, which the reader of tables took by its name, by its number, or as the last
 * that is not left out. */
static const char *target_name(const training *t, const nn_data *header)
{
    const char *label = t->request->label, *target = "prediction";
    for (int i = 0; nn_data_column(header, i); i++) {
        bool fits = !label || is_column(label, header, i);
        for (int k = 0; !label && t->request->skip[k]; k++)
            fits &= !is_column(t->request->skip[k], header, i);
        if (fits)
            target = nn_data_column(header, i);
        if (label && strcmp(label, target) == 0)
            break;
    }
    return target;
}

static void save(training *t)
{
    const char *path = t->request->save;
    if (!path || t->error.status)
        return;
    nn_data *header = columns_header(t->request->data, &t->error);
    columns_write(path, t->all, target_name(t, header), t->request->regression, &t->error);
    nn_save(t->model, path, &t->error);
    nn_data_free(header);
    if (!t->error.status)
        printf("\nmodel: %s, with %s.json and %s%s\n", path, path, path, COLUMNS_SUFFIX);
}

static void draw_curves(training *t)
{
    const char *path = t->request->curves;
    if (!path || t->error.status)
        return;
    if (nn_history_count(t->net) == 0) {
        fprintf(stderr, "tapegrad: train: no epoch was ended: there are no curves to draw\n");
        return;
    }
    FILE *to = fopen(path, "w");
    const bool drawn = to && !nn_history_svg(t->net, file_name(t->request->data), to);
    if (!to || fclose(to) || !drawn)
        table_error(&t->error, AD_BAD_ARGUMENT, "%s: cannot write it: %s", path, strerror(errno));
    else
        printf("curves: %s\n", path);
}

/* Better now than after the training. */
static void check_writable(training *t, const char *path)
{
    if (!path || t->error.status)
        return;
    char *folder = malloc(strlen(path) + 2);
    if (!folder) {
        table_error(&t->error, AD_NO_MEMORY, "out of memory");
        return;
    }
    strcpy(folder, path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[1] = 0;
    else
        strcpy(folder, ".");
    if (access(folder, W_OK))
        table_error(&t->error, AD_BAD_ARGUMENT, "%s: cannot write there: %s", path,
                    strerror(errno));
    free(folder);
}

/* ---- all of it ---- */

static void release(training *t)
{
    for (int k = 0; k < 3; k++) {
        if (t->learnt[k] != t->part[k])
            nn_data_free(t->learnt[k]);
        nn_data_free(t->part[k]);
    }
    nn_data_free(t->all);
    nn_scaler_free(&t->inputs);
    nn_scaler_free(&t->target);
    if (t->model != t->net)
        nn_model_free(t->model);
    nn_model_free(t->net);
}

int train(const train_request *request)
{
    training t = {.request = request};
    int status = STATUS_FINE;
    check_writable(&t, request->save);
    check_writable(&t, request->curves);
    check_writable(&t, request->boundary);
    read_data(&t);
    make_models(&t);
    if (!t.error.status) {
        describe(&t);
        fit(&t);
        report(&t);
        save(&t);
        draw_curves(&t);
    }
    if (t.error.status) {
        usage_error("train: %s", t.error.text);
        status = t.error.status == AD_NOT_FINITE ? STATUS_NOT_FINITE : STATUS_USAGE;
    }
    release(&t);
    return status;
}
