/* regression.c - how heavy is a penguin: a small net beside linear least squares
 *
 *     regression [FOLDER]     of penguins.csv; examples/data where not said
 *
 * The bill's length and depth and the flipper's length, in millimetres, give the weight in grams.
 * The baseline is the same model without a hidden layer, brought to its minimum by L-BFGS: least
 * squares. There are three species, which the data do not name and a plane cannot tell apart; the
 * net does it by the bill. Ten folds, each tested once; inputs are standardised, and the output
 * scaled to grams, by the training part alone. */
#include <stdio.h>

#include <tapegrad/nn.h>

#include "lesson.h"

enum { FOLDS = 10, INPUTS = 3, SEED = 1 };

typedef struct candidate {
    const char *name;
    int64_t hidden; /* units; 0: a linear model */
    nn_fit_config fit;
    double rmse, r2; /* measured: mean square over all penguins, mean over folds */
} candidate;

/* y is (rows,1). */
static void mean_and_deviation(const ad_tensor *y, double *mean, double *deviation)
{
    double n = (double)ad_tensor_size(y), sum = 0, squares = 0;
    for (int64_t i = 0; i < ad_tensor_size(y); i++) {
        double v = ad_tensor_get(y, (int64_t[]){i, 0});
        sum += v;
        squares += v * v;
    }
    *mean = sum / n;
    *deviation = sqrt(squares / n - *mean * *mean);
}

/* Standardises, passes a hidden layer if there is one, and ends in grams. */
static nn_model *network(const nn_scaler *scaler, int64_t hidden, double mean, double deviation)
{
    nn_layer layers[4];
    int n = 0;
    layers[n++] = nn_scaled(scaler);
    if (hidden)
        layers[n++] = nn_dense(hidden, NN_TANH);
    layers[n++] = nn_dense(1, NULL);
    layers[n++] = (nn_layer){.kind = NN_SCALE, .n_scale = 1, .scale = &deviation, .shift = &mean};
    nn_model_config config = {.seed = SEED, .inputs = {{.rank = 1, .size = {INPUTS}}}};
    return nn_sequential(&config, n, layers);
}

static void one_fold(candidate *c, const nn_data *train, const nn_data *test, nn_error *error)
{
    nn_scaler scaler = {0};
    nn_scores scores = {0};
    double mean = 0, deviation = 1;
    nn_scaler_fit(&scaler, NN_STANDARDISE, train, error);
    if (error->status)
        return;
    mean_and_deviation(nn_data_target(train), &mean, &deviation);
    nn_model *m = network(&scaler, c->hidden, mean, deviation);
    nn_fit(m, train, &c->fit, error);
    nn_evaluate(m, test, NULL, &scores, error); /* MAE, RMSE and R², as the target is a number */
    c->rmse += scores.rmse * scores.rmse * (double)scores.rows; /* a sum yet */
    c->r2 += scores.r2 / FOLDS;
    nn_model_free(m);
    nn_scaler_free(&scaler);
}

static void cross_validate(candidate *c, const nn_data *all, nn_error *error)
{
    for (int fold = 0; fold < FOLDS && !error->status; fold++) {
        nn_data *train = NULL, *test = NULL;
        nn_fold(all, fold, FOLDS, false, SEED, &train, &test, error);
        one_fold(c, train, test, error);
        nn_data_free(train);
        nn_data_free(test);
    }
    if (error->status)
        return;
    c->rmse = sqrt(c->rmse / (double)nn_data_rows(all));
    printf("%-24s %8.1f %8.3f\n", c->name, c->rmse, c->r2);
}

int main(int argc, char **argv)
{
    nn_error error = {0};
    char path[4096];
    static const char *const skip[] = {"male", NULL};
    snprintf(path, sizeof path, "%s/penguins.csv", argc > 1 ? argv[1] : lesson_data());
    nn_data *all = nn_read_csv(path, &(nn_csv_config){.regression = true, .skip = skip}, &error);
    candidate linear = {"linear least squares", 0, .fit = {.optimizer = nn_lbfgs(), .epochs = 100}};
    candidate net = {"16 units, tanh", 16, .fit = {.optimizer = nn_adam(.01), .epochs = 150}};
    linear.fit.loss = net.fit.loss = NN_MSE;
    puts("How heavy is a penguin, by its bill and flipper? Ten folds, each tested once: the error "
         "in\n"
         "grams, and the share of the variance that is explained.\n");
    printf("%-24s %8s %8s\n", "model", "RMSE, g", "R²");
    cross_validate(&linear, all, &error);
    cross_validate(&net, all, &error);
    nn_data_free(all);
    if (error.status) {
        fprintf(stderr, "regression: %s\n", error.text);
        return 1;
    }
    return !(net.rmse < .95 * linear.rmse && linear.r2 > .7);
}
