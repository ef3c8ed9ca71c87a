/* iris.c - three species by four lengths: ten times five folds
 *
 *     iris [FOLDER]     of iris.csv; examples/data where not said
 *
 * With 150 flowers one split into training and test says little: thirty of them, of which one or
 * two are hard. So each flower is tested once in every round, by a network that has not seen it. */
#include <stdio.h>
#include <string.h>

#include <tapegrad/nn.h>

#include "lesson.h"

enum { ROUNDS = 10, FOLDS = 5, EPOCHS = 60 };

/* Trains on one part and gives the accuracy on the other. The scaler sees the training part only:
 * that, too, is part of what is learnt. */
static double one_fold(const nn_data *train, const nn_data *test, uint64_t seed, nn_error *error)
{
    nn_scaler scaler = {0};
    nn_scaler_fit(&scaler, NN_STANDARDISE, train, error);
    const nn_layer layers[] = {nn_scaled(&scaler), nn_dense(16, NN_RELU), nn_dense(3, NULL)};
    nn_model_config config = {.seed = seed, .inputs = {{.rank = 1, .size = {4}}}};
    nn_model *m = nn_sequential(&config, 3, layers);
    nn_fit(m, train,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                            .optimizer = nn_adam(.01),
                            .batch = 16,
                            .epochs = EPOCHS},
           error);
    nn_scores scores = {.accuracy = NAN};
    nn_evaluate(m, test, &(nn_evaluate_config){.metrics = NN_ACCURACY}, &scores, error);
    nn_model_free(m);
    nn_scaler_free(&scaler);
    return scores.accuracy;
}

int main(int argc, char **argv)
{
    nn_error error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/iris.csv", argc > 1 ? argv[1] : lesson_data());
    nn_data *all = nn_read_csv(path, NULL, &error);
    double mean = 0;
    puts("Irises, 50 of each of three species, told apart by four lengths: every flower is tested\n"
         "once in each round, by a network 4-16-3 that has not seen it.\n");
    for (int round = 0; round < ROUNDS && !error.status; round++) {
        double sum = 0;
        for (int fold = 0; fold < FOLDS; fold++) {
            nn_data *train = NULL, *test = NULL;
            uint64_t seed = (uint64_t)(round + 1);
            nn_fold(all, fold, FOLDS, true, seed, &train, &test, &error);
            sum += one_fold(train, test, seed * FOLDS + (uint64_t)fold, &error);
            nn_data_free(train);
            nn_data_free(test);
        }
        printf("round %2d: accuracy %.2f %%\n", round + 1, 100 * sum / FOLDS);
        mean += sum / FOLDS / ROUNDS;
    }
    nn_data_free(all);
    if (error.status) {
        fprintf(stderr, "iris: %s\n", error.text);
        return 1;
    }
    printf("mean of %d x %d folds: %.2f %%\n", ROUNDS, FOLDS, 100 * mean);
    return !(mean >= .95);
}
