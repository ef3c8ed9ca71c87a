/* predict_command.c - tapegrad predict: what a model saved by `tapegrad train` says of a table */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "command.h"

static const char help[] =
    "Predicts the rows of a CSV file by a model that `tapegrad train --save` wrote.\n"
    "\n"
    "usage: tapegrad predict --model MODEL --data FILE [--output FILE]\n"
    "\n"
    "  --model MODEL    beside it lie MODEL.json and MODEL.columns.json\n"
    "  --data FILE      a table with the columns that the model was trained on, in\n"
    "                   any order; others, as the label, are passed over\n"
    "  --output FILE    where to write; standard output where not said\n"
    "\n"
    "Gives a CSV file of as many rows: the class and every class' probability, or\n"
    "the number.\n"
    "\n"
    "example:\n"
    "  tapegrad predict --model iris.safetensors --data new.csv --output answers.csv\n";

typedef struct prediction {
    const char *model_path, *data_path;
    nn_error error;
    nn_model *model;
    columns columns;
    nn_data *header, *data;
    ad_tensor *inputs;  /* (rows, n_inputs), in the model's order */
    ad_tensor *outputs; /* (rows, classes): probabilities; or (rows, 1) */
} prediction;

/* ---- columns ---- */

static bool missing_column(prediction *p, const char *wanted)
{
    const char *best = NULL, *name;
    for (int i = 0; (name = nn_data_column(p->header, i)) != NULL; i++)
        ad_suggest(wanted, name, &best);
    return table_error(&p->error, AD_BAD_ARGUMENT,
                       "%s: no column \"%s\", which the model wants%s%s%s", p->data_path, wanted,
                       best ? "; is it \"" : "", best ? best : "", best ? "\"?" : "");
}

static int place_of(const char *name, int n, const char *const *names)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* The columns that the model does not know, ended by NULL; to be freed. NULL and an error. */
static const char **columns_to_skip(prediction *p)
{
    const columns *c = &p->columns;
    int n = 0, skipped = 0;
    while (nn_data_column(p->header, n))
        n++;
    const char **skip = calloc((size_t)n + 1, sizeof *skip);
    char *found = calloc((size_t)c->n_inputs + 1, 1);
    bool good = skip && found;
    if (!good)
        table_error(&p->error, AD_NO_MEMORY, "out of memory");
    for (int i = 0; good && i < n; i++) {
        const char *name = nn_data_column(p->header, i);
        const int place = place_of(name, c->n_inputs, c->inputs);
        if (place < 0)
            skip[skipped++] = name;
        else if (found[place])
            good = table_error(&p->error, AD_BAD_ARGUMENT, "%s: two columns are called \"%s\"",
                               p->data_path, name);
        else
            found[place] = 1;
    }
    for (int i = 0; good && i < c->n_inputs; i++)
        good = found[i] || missing_column(p, c->inputs[i]);
    free(found);
    if (!good)
        free(skip);
    return good ? skip : NULL;
}

/* The columns in the model's order. */
static void order_columns(prediction *p)
{
    ad_tensor *as_read = nn_data_input(p->data, 0);
    const int64_t shape[2] = {nn_data_rows(p->data), p->columns.n_inputs};
    p->inputs = ad_tensor_new(NULL, AD_F64, 2, shape);
    if (!p->inputs) {
        table_error(&p->error, AD_NO_MEMORY, "out of memory");
        return;
    }
    double *to = ad_tensor_data(p->inputs);
    for (int64_t from = 0; from < shape[1]; from++) {
        const int place =
            place_of(nn_data_column(p->data, (int)from), p->columns.n_inputs, p->columns.inputs);
        for (int64_t row = 0; row < shape[0]; row++)
            to[row * shape[1] + place] = ad_tensor_get(as_read, (int64_t[]){row, from});
    }
}

static void read_table(prediction *p)
{
    p->header = columns_header(p->data_path, &p->error);
    const char **skip = p->header ? columns_to_skip(p) : NULL;
    const nn_csv_config table = {.no_label = true, .skip = skip};
    p->data = skip ? nn_read_csv(p->data_path, &table, &p->error) : NULL;
    if (p->data)
        order_columns(p);
    free(skip);
}

/* ---- predicting ---- */

static void read_model(prediction *p)
{
    p->model = nn_load(p->model_path, NULL, &p->error);
    if (!columns_read(&p->columns, p->model_path, &p->error))
        return;
    const nn_shape input = nn_model_config_of(p->model)->inputs[0];
    if (input.rank != 1 || input.size[0] != p->columns.n_inputs)
        table_error(&p->error, AD_BAD_SHAPE, "%s" COLUMNS_SUFFIX " does not belong to the model",
                    p->model_path);
}

/* Of logits. */
static ad_tensor *probabilities(prediction *p, const ad_tensor *logits)
{
    ad_tape *tape = ad_tape_new(NULL);
    ad_tensor *y = ad_read_tensor(ad_softmax(ad_constant_tensor(tape, logits), 1));
    if (!y)
        table_error(&p->error, AD_NO_MEMORY, "%s",
                    tape && *ad_tape_error(tape) ? ad_tape_error(tape) : "out of memory");
    ad_tape_free(tape);
    return y;
}

static void predict(prediction *p)
{
    const int classes = p->columns.n_classes, outputs = classes ? classes : 1;
    if (p->error.status)
        return;
    ad_tensor *y = nn_predict_tensors(p->model, &p->inputs, &p->error);
    if (y && (ad_tensor_rank(y) != 2 || ad_tensor_shape(y)[1] != outputs))
        table_error(&p->error, AD_BAD_SHAPE, "%s" COLUMNS_SUFFIX " does not belong to the model",
                    p->model_path);
    else if (y && classes)
        p->outputs = probabilities(p, y);
    else if (y)
        p->outputs = ad_tensor_retain(y);
    ad_tensor_free(y);
}

/* ---- writing ---- */

/* In quotes where it holds what has a meaning in CSV. */
static void put_field(FILE *to, const char *before, const char *text)
{
    const size_t n = strlen(text);
    if (!strpbrk(text, "\",\r\n") && *text != ' ' && (n == 0 || text[n - 1] != ' ')) {
        fprintf(to, "%s%s", before, text);
        return;
    }
    fprintf(to, "\"%s", before);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

/* "species,p_setosa,p_versicolor" */
static void put_header(const prediction *p, FILE *to)
{
    put_field(to, "", p->columns.target);
    for (int k = 0; k < p->columns.n_classes; k++) {
        fputc(',', to);
        put_field(to, "p_", p->columns.classes[k]);
    }
    fputc('\n', to);
}

static void put_rows(const prediction *p, FILE *to)
{
    const int classes = p->columns.n_classes;
    for (int64_t row = 0; row < ad_tensor_shape(p->outputs)[0]; row++) {
        int best = 0;
        for (int k = 1; k < classes; k++)
            if (ad_tensor_get(p->outputs, (int64_t[]){row, k}) >
                ad_tensor_get(p->outputs, (int64_t[]){row, best}))
                best = k;
        if (classes)
            put_field(to, "", p->columns.classes[best]);
        else
            fprintf(to, "%.9g", ad_tensor_get(p->outputs, (int64_t[]){row, 0}));
        for (int k = 0; k < classes; k++)
            fprintf(to, ",%.6f", ad_tensor_get(p->outputs, (int64_t[]){row, k}));
        fputc('\n', to);
    }
}

static void write_table(prediction *p, const char *path)
{
    if (p->error.status)
        return;
    FILE *to = path ? fopen(path, "w") : stdout;
    bool good = to != NULL;
    if (good) {
        put_header(p, to);
        put_rows(p, to);
        good = !ferror(to);
    }
    if (to && path)
        good = fclose(to) == 0 && good;
    if (!good)
        table_error(&p->error, AD_BAD_ARGUMENT, "%s: cannot write it: %s",
                    path ? path : "the output", strerror(errno));
}

/* ---- the command ---- */

static int run(int argc, char **argv)
{
    prediction p = {0};
    const char *output = NULL;
    const option options[] = {{"--model", &p.model_path, NULL},
                              {"--data", &p.data_path, NULL},
                              {"--output", &output, NULL}};
    if (!read_options(&predict_command, argc, argv, 3, options, 0, NULL))
        return STATUS_USAGE;
    if (!p.model_path || !p.data_path)
        return usage_error("predict: %s is missing; see `tapegrad predict --help`",
                           p.model_path ? "--data" : "--model");
    read_model(&p);
    if (!p.error.status)
        read_table(&p);
    predict(&p);
    write_table(&p, output);
    ad_tensor_free(p.outputs);
    ad_tensor_free(p.inputs);
    nn_data_free(p.data);
    nn_data_free(p.header);
    nn_model_free(p.model);
    columns_free(&p.columns);
    return p.error.status ? usage_error("predict: %s", p.error.text) : STATUS_FINE;
}

const command predict_command = {"predict", "what a trained model says of a CSV file", help, run};
