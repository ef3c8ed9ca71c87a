/* digits_nn.c - handwritten digits by a list of layers: what examples/digits.c does by hand
 *
 *     digits_nn [FOLDER]     of digits.csv; examples/data where not said
 *
 * A fifth of the digits is for the test, of every digit alike; each of five seeds splits them
 * anew. */
#include <stdio.h>

#include <tapegrad/nn.h>

#include "lesson.h"

enum { SEEDS = 5, EPOCHS = 40 };

static double one_seed(const nn_data *all, uint64_t seed, nn_error *error)
{
    nn_data *part[3] = {NULL, NULL, NULL};
    nn_scaler scaler = {0};
    nn_split(all, &(nn_split_config){.test = .2, .stratified = true, .seed = seed}, part, error);
    nn_scaler_fit(&scaler, NN_STANDARDISE, part[NN_TRAIN], error);
    nn_data *train = nn_scaler_apply(&scaler, part[NN_TRAIN], error);
    nn_data *test = nn_scaler_apply(&scaler, part[NN_TEST], error);
    nn_mlp_config network = {.in = 64, .hidden = {128}, .out = 10, .dropout = .3, .dtype = AD_F32};
    network.seed = seed;
    nn_model *m = nn_mlp(&network);
    nn_fit(m, train,
           &(nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY, .batch = 32, .epochs = EPOCHS},
           error);
    nn_scores scores = {.accuracy = NAN};
    nn_evaluate(m, test, NULL, &scores, error);
    nn_model_free(m);
    nn_data_free(train);
    nn_data_free(test);
    nn_data_free(part[NN_TRAIN]);
    nn_data_free(part[NN_TEST]);
    nn_scaler_free(&scaler);
    return scores.accuracy;
}

int main(int argc, char **argv)
{
    nn_error error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/digits.csv", argc > 1 ? argv[1] : lesson_data());
    nn_data *all = nn_read_csv(path, &(nn_csv_config){.dtype = AD_F32}, &error);
    double mean = 0;
    puts("Handwritten digits, 8x8 dots each: a fifth of the 1797 is kept for the test, a network\n"
         "64-128-10 learns from the rest. Five times, each with another split and start.\n");
    for (int seed = 1; seed <= SEEDS && !error.status; seed++) {
        double accuracy = one_seed(all, (uint64_t)seed, &error);
        printf("seed %d: test accuracy %.2f %%\n", seed, 100 * accuracy);
        mean += accuracy / SEEDS;
    }
    nn_data_free(all);
    if (error.status) {
        fprintf(stderr, "digits_nn: %s\n", error.text);
        return 1;
    }
    printf("mean of %d seeds: %.2f %%\n", SEEDS, 100 * mean);
    return !(mean >= .97);
}
