/* fashion.c - lecture 004's network in Keras, as nn has it, on any images in MNIST's format
 *
 *     fashion FOLDER [slide|adam|best] [--epochs N] [--seeds N] [--tune] [--save PATH]
 *
 * FOLDER holds train-images-idx3-ubyte[.gz] and the three files that go with it: MNIST, or
 * Fashion-MNIST (Debian: dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist). The lecture
 * writes
 *
 *     inputs = Input(shape=(784,))
 *     x = Dense(64, activation='relu')(inputs)
 *     x = Dense(64, activation='relu')(x)
 *     predictions = Dense(10, activation='softmax')(x)
 *     model = Model(inputs=inputs, outputs=predictions)
 *     model.compile(optimizer='rmsprop', loss='categorical_crossentropy', metrics=['accuracy'])
 *     model.fit(data, labels)
 *
 * which is the recipe `slide` below, Keras' own rmsprop included. The softmax is left to the loss:
 * the two together are the same function, but lose no digits where an output is sure of itself.
 *
 * Every seed trains a new network, and looks at the test set once, when it is done. To choose
 * between recipes say --tune: it trains on five sixths of the training set, reports the accuracy on
 * the rest of it, and leaves the test set alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/nn.h>

typedef enum rule { KERAS_RMSPROP, ADAM, ADAMW } rule;

typedef struct recipe {
    const char *name;
    int64_t hidden[2];
    int epochs;
    int64_t batch;
    rule rule;
    double rate, decay; /* 0: the rule's default */
    double dropout, smoothing, average;
    bool batch_norm, one_cycle, flip;
} recipe;

static const recipe recipes[] = {
    {"slide", {64, 64}, .epochs = 10, .batch = 32, .rule = KERAS_RMSPROP},
    {"adam", {64, 64}, .epochs = 10, .batch = 32, .rule = ADAM, .rate = 1e-3},
    {"best",
     {512, 512},
     .epochs = 30,
     .batch = 128,
     .rule = ADAMW,
     .rate = 4e-3,
     .decay = .02,
     .dropout = .3,
     .smoothing = .05,
     .batch_norm = true,
     .one_cycle = true,
     .flip = true},
};
enum { RECIPES = sizeof recipes / sizeof *recipes, MAX_SEEDS = 100, CLASSES = 10 };

typedef struct options {
    const char *folder, *save;
    recipe recipe;
    int seeds;
    bool tune;
} options;

/* ---- the network ----------------------------------------------------------------------------- */

/* In training half of the images are mirrored: shoes and shirts stay shoes and shirts. */
static ad_var flip(nn_pass *pass, ad_var x, void *user)
{
    (void)user;
    if (!nn_is_training(pass))
        return x; /* (N,1,H,W) */
    const int64_t one_each[4] = {ad_shape(x)[0], 1, 1, 1};
    ad_var which =
        ad_random_bernoulli(nn_tape(pass), nn_key(pass, "flip"), .5, nn_dtype(pass), 4, one_each);
    return ad_where(which, ad_flip(x, 3), x);
}

static nn_model *network(const recipe *r, const int64_t *images, uint64_t seed)
{
    nn_layer layers[12];
    int n = 0;
    if (r->flip)
        layers[n++] = nn_custom("flip", flip, NULL);
    layers[n++] = nn_flatten();
    for (int i = 0; i < 2; i++) {
        layers[n++] = nn_dense(r->hidden[i], r->batch_norm ? NULL : NN_RELU);
        if (r->batch_norm) {
            layers[n++] = nn_batch_norm();
            layers[n++] = nn_activation(NN_RELU);
        }
        if (r->dropout > 0)
            layers[n++] = nn_dropout(r->dropout);
    }
    layers[n++] = nn_dense(CLASSES, NULL);
    nn_model_config config = {.seed = seed, .dtype = AD_F32};
    config.inputs[0] = (nn_shape){.rank = 3, .size = {images[1], images[2], images[3]}};
    return nn_sequential(&config, n, layers);
}

static nn_optimizer optimizer(const recipe *r)
{
    nn_optimizer o = r->rule == KERAS_RMSPROP ? nn_keras(NN_RMSPROP)
                     : r->rule == ADAM        ? nn_adam(r->rate)
                                              : nn_adamw(r->rate);
    if (r->decay > 0)
        o.decoupled_decay = r->decay;
    return o;
}

/* ---- training -------------------------------------------------------------------------------- */

/* Accuracy of one seed: on the test set, or on what --tune held out. NaN where something failed. */
static double train(const options *o, const nn_data *data, const nn_data *test, int seed,
                    nn_error *error)
{
    const recipe *r = &o->recipe;
    nn_scores scores = {.accuracy = NAN};
    nn_model *m = network(r, ad_tensor_shape(nn_data_input(data, 0)), (uint64_t)seed);
    nn_fit_config fit = {.loss = NN_SOFTMAX_CROSS_ENTROPY,
                         .loss_options = {.smoothing = r->smoothing},
                         .optimizer = optimizer(r),
                         .schedule = {.kind = r->one_cycle ? NN_ONE_CYCLE : NN_CONSTANT},
                         .average = r->average,
                         .batch = r->batch,
                         .epochs = r->epochs,
                         .metrics = NN_ACCURACY,
                         .validation_share = o->tune ? 1. / 6 : 0,
                         .callbacks = {nn_progress(stderr)}};
    if (seed == 1)
        nn_summary(m, stdout);
    nn_fit(m, data, &fit, error);
    int epochs = nn_history_count(m);
    const nn_history_row *last = epochs ? nn_history_at(m, epochs - 1) : NULL;
    if (o->tune && last)
        scores = last->validation;
    else if (!o->tune)
        nn_evaluate(m, test, &(nn_evaluate_config){.metrics = NN_ACCURACY}, &scores, error);
    if (last && !error->status)
        printf("seed %d: %s accuracy %.2f %%, %.2f s an epoch\n", seed,
               o->tune ? "validation" : "test", 100 * scores.accuracy, last->seconds / epochs);
    if (o->save && seed == 1)
        nn_save(m, o->save, error);
    nn_model_free(m);
    return error->status ? NAN : scores.accuracy;
}

static void report(const options *o, const double *accuracy)
{
    double mean = 0, squares = 0, least = accuracy[0], most = accuracy[0];
    for (int i = 0; i < o->seeds; i++)
        mean += accuracy[i] / o->seeds;
    for (int i = 0; i < o->seeds; i++) {
        squares += (accuracy[i] - mean) * (accuracy[i] - mean);
        least = fmin(least, accuracy[i]);
        most = fmax(most, accuracy[i]);
    }
    printf("%s, %d epochs, %d seed%s: %s accuracy %.2f %%", o->recipe.name, o->recipe.epochs,
           o->seeds, o->seeds == 1 ? "" : "s", o->tune ? "validation" : "test", 100 * mean);
    if (o->seeds > 1)
        printf(", standard deviation %.2f, from %.2f to %.2f", 100 * sqrt(squares / (o->seeds - 1)),
               100 * least, 100 * most);
    puts("");
}

/* ---- what was asked for ---------------------------------------------------------------------- */

static int usage(void)
{
    fputs("usage: fashion FOLDER [slide|adam|best] [--epochs N] [--seeds N] [--tune]"
          " [--save PATH]\n"
          "FOLDER holds IDX files in MNIST's naming, such as /usr/share/datasets/fashion-mnist\n"
          "of Debian's package dataset-fashion-mnist.\n",
          stderr);
    return 2;
}

static bool number(const char *text, int most, int *to)
{
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end || n < 1 || n > most)
        return false;
    *to = (int)n;
    return true;
}

static bool choose(const char *name, recipe *to)
{
    for (int i = 0; i < RECIPES; i++) {
        if (strcmp(recipes[i].name, name) == 0) {
            *to = recipes[i];
            return true;
        }
    }
    return false;
}

static bool read_options(int argc, char **argv, options *o)
{
    int epochs = 0;
    *o = (options){.recipe = recipes[0], .seeds = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--tune") == 0) {
            o->tune = true;
        } else if (strncmp(argv[i], "--", 2) == 0) {
            bool fits = strcmp(argv[i], "--epochs") == 0  ? number(value, 100000, &epochs)
                        : strcmp(argv[i], "--seeds") == 0 ? number(value, MAX_SEEDS, &o->seeds)
                        : strcmp(argv[i], "--save") == 0  ? (o->save = value) != NULL
                                                          : false;
            if (!fits)
                return false;
            i++;
        } else if (!o->folder) {
            o->folder = argv[i];
        } else if (!choose(argv[i], &o->recipe)) {
            return false;
        }
    }
    o->recipe.epochs = epochs ? epochs : o->recipe.epochs;
    return o->folder != NULL;
}

int main(int argc, char **argv)
{
    options o;
    if (!read_options(argc, argv, &o))
        return usage();
    nn_error error = {0};
    nn_data *data = NULL, *test = NULL;
    double accuracy[MAX_SEEDS] = {0};
    nn_read_idx_folder(o.folder, AD_F32, true, &data, &test, &error);
    for (int i = 0; i < o.seeds && !error.status; i++)
        accuracy[i] = train(&o, data, test, i + 1, &error);
    if (error.status)
        fprintf(stderr, "fashion: %s\n", error.text);
    else
        report(&o, accuracy);
    nn_data_free(data);
    nn_data_free(test);
    return error.status != AD_OK;
}
