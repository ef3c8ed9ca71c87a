/* train_command.c - tapegrad train: a network from a table, without a line of code */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "train.h"

static const char help[] =
    "Trains a multi-layer perceptron on a CSV file and says how good it has become.\n"
    "\n"
    "usage: tapegrad train --data FILE [--label COLUMN] [OPTION...]\n"
    "\n"
    "  --data FILE          a table; its first line names the columns\n"
    "  --label COLUMN       what to predict, by name or number from 0; else the last\n"
    "  --skip COLUMNS       what to leave out: id,year\n"
    "  --regression         the label is a number, not a class\n"
    "  --hidden UNITS       of the hidden layers, 64,32 where not said; none: a\n"
    "                       linear model\n"
    "  --activation NAME    between layers: relu where not said, tanh, gelu, ...\n"
    "  --dropout P          after each hidden layer: the share that is dropped\n"
    "  --epochs N           at most; 100 where not said\n"
    "  --batch N            examples a step, 32 where not said; all: every one\n"
    "  --optimizer NAME     sgd, momentum, nesterov, adagrad, rmsprop, adadelta,\n"
    "                       adam, adamw, adamax, nadam, lbfgs; adam where not said\n"
    "  --rate R             learning rate; the optimizer's own where not said\n"
    "  --validation SHARE   of the rows, watched while training; .2 where not said\n"
    "  --test SHARE         of the rows, kept for the end; .2 where not said\n"
    "  --patience N         stops after N epochs in which the validation did not get\n"
    "                       better, and keeps the best\n"
    "  --seed N             of all that is random, 1 where not said: the same seed\n"
    "                       gives the same bytes\n"
    "  --save MODEL         writes MODEL, MODEL.json and MODEL.columns.json\n"
    "  --curves FILE        draws loss and score by epoch, as SVG\n"
    "  --boundary FILE      draws where the answer changes, as SVG: for classes, by\n"
    "                       two columns\n"
    "  --quiet              no progress on standard error\n"
    "\n"
    "All inputs are numbers; labels are words, or integers from 0. Ctrl-C ends the\n"
    "training after its step: the model is scored and saved as it is then. A second\n"
    "one ends the program. Exit status 3 where the loss is infinite or not a number.\n"
    "\n"
    "examples:\n"
    "  tapegrad train --data iris.csv --label species --save iris.safetensors\n"
    "  tapegrad train --data iris.csv --skip 0,1 --boundary iris.svg\n"
    "  tapegrad train --data penguins.csv --regression --patience 10 --hidden 16\n";

/* ---- numbers ---- */

/* NULL: was not given, and *value stays. */
static bool read_integer(const char *name, const char *text, long long least, long long most,
                         long long *value)
{
    char *end = NULL;
    const long long n = text ? strtoll(text, &end, 10) : 0;
    if (!text || (end != text && !*end && n >= least && n <= most)) {
        *value = text ? n : *value;
        return true;
    }
    usage_error("train: %s is an integer from %lld to %lld, not '%s'", name, least, most, text);
    return false;
}

/* From 0 to below `below`. */
static bool read_real(const char *name, const char *text, double below, double *value)
{
    char *end = NULL;
    const double x = text ? strtod(text, &end) : 0;
    if (!text || (end != text && !*end && x >= 0 && x < below)) {
        *value = text ? x : *value;
        return true;
    }
    usage_error("train: %s is a number from 0 to below %g, not '%s'", name, below, text);
    return false;
}

static bool read_hidden(const char *text, int64_t hidden[NN_MAX_HIDDEN])
{
    int n = 0;
    const char *at = text ? text : "64,32";
    if (strcmp(at, "none") == 0)
        return true;
    for (bool more = true; more; n++) {
        char *end;
        const long long units = strtoll(at, &end, 10);
        if (n == NN_MAX_HIDDEN || end == at || (*end && *end != ',') || units < 1 ||
            units > 1 << 20) {
            usage_error("train: --hidden is the units of at most %d layers, as in 64,32, not '%s'",
                        NN_MAX_HIDDEN, text);
            return false;
        }
        hidden[n] = units;
        more = *end == ',';
        at = end + 1;
    }
    return true;
}

/* ---- words ---- */

static nn_optimizer momentum(double rate) { return nn_momentum(rate, .9); }
static nn_optimizer nesterov(double rate) { return nn_nesterov(rate, .9); }

static const struct {
    const char *name;
    nn_optimizer (*make)(double rate);
} optimizers[] = {
    {"sgd", nn_sgd},
    {"momentum", momentum},
    {"nesterov", nesterov},
    {"adagrad", nn_adagrad},
    {"rmsprop", nn_rmsprop},
    {"adadelta", nn_adadelta},
    {"adam", nn_adam},
    {"adamw", nn_adamw},
    {"adamax", nn_adamax},
    {"nadam", nn_nadam},
    {"lbfgs", NULL /* it has no rate */},
};
enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static bool read_optimizer(const char *name, const char *rate_text, nn_optimizer *optimizer)
{
    const char *best = NULL;
    double rate = 0; /* its own */
    int i = 0;
    name = name ? name : "adam";
    while (i < OPTIMIZERS && strcmp(optimizers[i].name, name) != 0)
        ad_suggest(name, optimizers[i++].name, &best);
    if (i == OPTIMIZERS) {
        if (best)
            usage_error("train: unknown optimizer '%s'; did you mean '%s'?", name, best);
        else
            usage_error("train: unknown optimizer '%s'; see `tapegrad train --help`", name);
        return false;
    }
    if (!read_real("--rate", rate_text, 1e6, &rate))
        return false;
    if (rate_text && !optimizers[i].make) {
        usage_error("train: lbfgs has no --rate: it searches along a line");
        return false;
    }
    if (rate_text && rate == 0) {
        usage_error("train: --rate must be above 0");
        return false;
    }
    *optimizer = optimizers[i].make ? optimizers[i].make(rate) : nn_lbfgs();
    return true;
}

static bool read_batch(const char *text, int64_t *batch)
{
    long long n = 0;
    if (text && strcmp(text, "all") == 0) {
        *batch = NN_FULL_BATCH;
        return true;
    }
    if (!read_integer("--batch", text, 1, INT32_MAX, &n))
        return false;
    *batch = n;
    return true;
}

/* Cuts `text` at its commas. */
static bool read_skipped(char *text, const char *skip[TRAIN_SKIPPED + 1])
{
    int n = 0;
    for (char *at = text; at; n++) {
        if (n == TRAIN_SKIPPED) {
            usage_error("train: --skip takes at most %d columns", TRAIN_SKIPPED);
            return false;
        }
        skip[n] = at;
        char *comma = strchr(at, ',');
        if (comma)
            *comma++ = 0;
        at = comma;
    }
    return true;
}

/* ---- the command ---- */

typedef struct texts { /* of the options, before they are read */
    const char *skip, *hidden, *epochs, *batch, *optimizer, *rate, *dropout, *validation, *test,
        *seed, *patience;
} texts;

static bool read_numbers(const texts *given, train_request *r)
{
    long long epochs = 100, seed = 1, patience = 0;
    r->validation = r->test = .2;
    if (!read_hidden(given->hidden, r->net.hidden) ||
        !read_integer("--epochs", given->epochs, 1, 1000000000, &epochs) ||
        !read_integer("--seed", given->seed, 0, INT64_MAX, &seed) ||
        !read_integer("--patience", given->patience, 0, 1000000000, &patience) ||
        !read_batch(given->batch, &r->fit.batch) ||
        !read_real("--dropout", given->dropout, 1, &r->net.dropout) ||
        !read_real("--validation", given->validation, 1, &r->validation) ||
        !read_real("--test", given->test, 1, &r->test) ||
        !read_optimizer(given->optimizer, given->rate, &r->fit.optimizer))
        return false;
    r->fit.epochs = (int)epochs;
    r->fit.patience = (int)patience;
    r->seed = (uint64_t)seed;
    return true;
}

static bool check(const train_request *r)
{
    if (!r->data)
        usage_error("train: --data is missing; see `tapegrad train --help`");
    else if (r->validation + r->test >= 1)
        usage_error("train: --validation %g and --test %g leave nothing to train on", r->validation,
                    r->test);
    else if (r->boundary && r->regression)
        usage_error("train: --boundary is for classes, not for --regression");
    else
        return true;
    return false;
}

static int run(int argc, char **argv)
{
    train_request r = {0};
    texts given = {0};
    const option options[] = {
        {"--data", &r.data, NULL},           {"--label", &r.label, NULL},
        {"--skip", &given.skip, NULL},       {"--regression", NULL, &r.regression},
        {"--hidden", &given.hidden, NULL},   {"--activation", &r.net.activation, NULL},
        {"--dropout", &given.dropout, NULL}, {"--epochs", &given.epochs, NULL},
        {"--batch", &given.batch, NULL},     {"--optimizer", &given.optimizer, NULL},
        {"--rate", &given.rate, NULL},       {"--validation", &given.validation, NULL},
        {"--test", &given.test, NULL},       {"--patience", &given.patience, NULL},
        {"--seed", &given.seed, NULL},       {"--save", &r.save, NULL},
        {"--curves", &r.curves, NULL},       {"--boundary", &r.boundary, NULL},
        {"--quiet", NULL, &r.quiet}};
    if (!read_options(&train_command, argc, argv, sizeof options / sizeof *options, options, 0,
                      NULL) ||
        !read_numbers(&given, &r) || !check(&r))
        return STATUS_USAGE;
    char *skip = given.skip ? malloc(strlen(given.skip) + 1) : NULL;
    if (given.skip && !skip)
        return usage_error("out of memory");
    const int status =
        read_skipped(skip ? strcpy(skip, given.skip) : NULL, r.skip) ? train(&r) : STATUS_USAGE;
    free(skip);
    return status;
}

const command train_command = {
    "train", "a network on a CSV file: progress, scores, pictures, a saved model", help, run};
