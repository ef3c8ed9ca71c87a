/* export_c.c - a model as one C file that predicts, for where no library can go
 *
 * Each layer becomes its weights and a few loops, in the order of the list: from the input to one
 * of two local buffers, from there to the other, at last to the output. The file keeps no state, so
 * that any number of threads can predict at once. Activations are the core's own rows of C source,
 * and what they call. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "layer.h"
#include "number.h"
#include "words.h"

enum { LONGEST_NAME = 64, MOST_STACK = 1 << 22, NUMBERS_A_LINE = 6, NUMBER_TEXT = 48 };

typedef struct stage { /* a layer, with the shapes of one example around it */
    const nn_layer *layer;
    int number;
    nn_shape in, out;
} stage;

typedef struct step { /* a loop over one example: a layer's, or that of its activation */
    const stage *of;
    bool is_activation;
    const char *from, *to; /* the names of arrays: x, first, second, y */
} step;

typedef struct writer {
    FILE *to;
    const nn_model *model;
    nn_error *error;
    const char *name, *real; /* "float" or "double" */
    bool narrow;             /* float */
    bool *done;              /* by number of an operation: its function is written */
    bool softmax, log_softmax;
    int n_stages, n_steps;
    stage *stages;
    step *steps;
} writer;

/* ---- numbers and weights ----------------------------------------------------------------- */

/* A constant that reads back as the same number: the fewest digits, a point or exponent, and f. */
static void constant(const writer *w, double value, char text[NUMBER_TEXT])
{
    if (!isfinite(value)) {
        snprintf(text, NUMBER_TEXT, "%s",
                 isnan(value) ? "NAN"
                 : value < 0  ? "-INFINITY"
                              : "INFINITY");
        return;
    }
    for (int digits = w->narrow ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, NUMBER_TEXT, "%.*g", digits, value);
        if (w->narrow ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    if (w->narrow)
        strcat(text, "f");
}

static void put_array(const writer *w, int number, const char *what, int64_t n,
                      const double *values)
{
    char text[NUMBER_TEXT];
    fprintf(w->to, "static const %s %s_%d_%s[%lld] = {", w->real, w->name, number, what,
            (long long)n);
    for (int64_t i = 0; i < n; i++) {
        constant(w, values[i], text);
        fprintf(w->to, "%s%s", i % NUMBERS_A_LINE ? ", " : i ? ",\n    " : "\n    ", text);
    }
    fputs("};\n", w->to);
}

/* The numbers of a variable of that layer, to be freed; NULL when out of memory. */
static double *values_of(const writer *w, const stage *s, const char *what, int64_t *n)
{
    char name[NN_NAME_SIZE];
    *n = 0;
    if (s->layer->name)
        snprintf(name, sizeof name, "%s.%s", s->layer->name, what);
    else
        snprintf(name, sizeof name, "%d.%s", s->number, what);
    const ad_param *param = nn_param_find(w->model, name);
    if (!param) {
        nn_fail(w->error, AD_NOT_RECORDED, "export: layer %d has no parameter '%s'", s->number,
                name);
        return NULL;
    }
    *n = ad_tensor_size(ad_param_value(param));
    double *values = calloc((size_t)*n + 1, sizeof *values);
    if (!values || ad_tensor_read(ad_param_value(param), values)) {
        nn_no_memory(w->error);
        free(values);
        return NULL;
    }
    return values;
}

static void put_variable(const writer *w, const stage *s, const char *what)
{
    int64_t n;
    double *values = values_of(w, s, what, &n);
    if (values)
        put_array(w, s->number, what, n, values);
    free(values);
}

/* ---- activations ------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The next word of C source at or after *p, names and numbers each as one; false at the end. */
static bool next_word(const char **p, const char **begin)
{
    *begin = *p;
    if (!**p)
        return false;
    if (is_letter(**p) || is_digit(**p) || **p == '.')
        while (is_letter(**p) || is_digit(**p) || **p == '.')
            ++*p;
    else
        ++*p;
    return true;
}

static int operation(const char *name, size_t length)
{
    for (int i = 0; i < ad_op_count(); i++) {
        const ad_op_info *op = ad_op_at(i);
        if (op->elementwise && strlen(op->name) == length && !memcmp(op->name, name, length))
            return i;
    }
    return -1;
}

static bool in_library(const char *name, size_t length)
{
    static const char *const functions[] = {
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil",  "copysign",
        "cos",  "cosh",  "erf",  "erfc",  "exp",  "exp2",  "expm1", "fabs", "floor", "fma",
        "fmax", "fmin",  "fmod", "hypot", "log",  "log10", "log1p", "log2", "pow",   "remainder",
        "rint", "sin",   "sinh", "sqrt",  "tan",  "tanh",  "trunc",
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i]) == length && !memcmp(functions[i], name, length))
            return true;
    return false;
}

/* The row that a call inside `op` means: the C library's function of that name, -1; or another row
 * (an op is not written by means of itself). */
static int called(int op, const char *name, size_t length)
{
    int other = operation(name, length);
    if (other < 0 || other == op || in_library(name, length))
        return -1;
    return other;
}

static void put_operation(writer *w, int op);

/* Its source, with the functions that it calls written before it. */
static void put_callees(writer *w, int op)
{
    const ad_op_info *info = ad_op_at(op);
    const char *p = info->value, *begin;
    while (next_word(&p, &begin)) {
        const size_t length = (size_t)(p - begin);
        if (!is_letter(*begin) || *p != '(')
            continue;
        if (called(op, begin, length) >= 0)
            put_operation(w, called(op, begin, length));
        else if (!in_library(begin, length))
            nn_fail(w->error, AD_BAD_ARGUMENT,
                    "export: activation '%s': C's library has no function for it", info->name);
    }
}

static void put_operation(writer *w, int op)
{
    const ad_op_info *info = ad_op_at(op);
    const char *p = info->value, *begin;
    if (w->done[op])
        return;
    w->done[op] = true;
    put_callees(w, op);
    fprintf(w->to, "\n/* %s */\nstatic double %s_%s(double a%s)\n{\n    return ", info->doc,
            w->name, info->name, info->arity > 1 ? ", double b" : "");
    while (next_word(&p, &begin)) {
        const size_t length = (size_t)(p - begin);
        if (is_letter(*begin) && *p == '(' && called(op, begin, length) >= 0)
            fprintf(w->to, "%s_", w->name);
        fwrite(begin, 1, length, w->to);
    }
    fputs(";\n}\n", w->to);
}

/* As in the core: what is largest does not overflow, and a NaN makes all of them NaN. */
static void put_softmax(const writer *w, bool logarithm)
{
    const char *t = w->real;
    fprintf(w->to, "\nstatic void %s_%ssoftmax(int n, const %s *x, %s *y)\n{\n", w->name,
            logarithm ? "log_" : "", t, t);
    fprintf(
        w->to,
        "    %s most = x[0];\n    double sum = 0;\n    for (int i = 1; i < n; i++)\n"
        "        if (x[i] > most || x[i] != x[i])\n            most = x[i];\n"
        "    for (int i = 0; i < n; i++) {\n"
        "        const double below = x[i] == most && most > 0 ? 0 : (double)x[i] - (double)most;\n"
        "        const double power = exp(below);\n        y[i] = (%s)%s;\n        sum += power;\n "
        "   }\n",
        t, t, logarithm ? "below" : "power");
    fprintf(w->to, "    for (int i = 0; i < n; i++)\n        y[i] = (%s)((double)y[i] %s);\n}\n", t,
            logarithm ? "- log(sum)" : "/ sum");
}

static void put_activation_function(writer *w, const char *activation)
{
    if (!strcmp(activation, NN_SOFTMAX)) {
        if (!w->softmax)
            put_softmax(w, false);
        w->softmax = true;
    } else if (!strcmp(activation, NN_LOG_SOFTMAX)) {
        if (!w->log_softmax)
            put_softmax(w, true);
        w->log_softmax = true;
    } else {
        int op = operation(activation, strlen(activation));
        if (op >= 0)
            put_operation(w, op);
        else
            nn_fail(w->error, AD_BAD_ARGUMENT, "export: unknown activation '%.40s'", activation);
    }
}

static void put_activation(const writer *w, const step *s)
{
    const nn_layer *layer = s->of->layer;
    const nn_shape *shape = &s->of->out;
    const char *activation = layer->activation;
    const long long n = (long long)nn_shape_size(shape);
    char slope[NUMBER_TEXT];
    if (!strcmp(activation, NN_SOFTMAX) || !strcmp(activation, NN_LOG_SOFTMAX)) {
        if (shape->rank < 1) { /* along the examples */
            nn_fail(w->error, AD_BAD_SHAPE, "export: layer %d: %s over one number", s->of->number,
                    activation);
            return;
        }
        const long long last = (long long)shape->size[shape->rank - 1];
        fprintf(w->to,
                "    for (int i = 0; i < %lld; i += %lld)\n        %s_%s(%lld, %s + i, %s + i);\n",
                n, last, w->name, activation, last, s->from, s->to);
        return;
    }
    const bool leaky = !strcmp(activation, NN_LEAKY_RELU), elu = !strcmp(activation, NN_ELU);
    fprintf(w->to, "    for (int i = 0; i < %lld; i++)\n        %s[i] = (%s)%s_%s(%s[i]", n, s->to,
            w->real, w->name, activation, s->from);
    if (leaky || elu) {
        writer wide = *w;
        wide.narrow = false;
        constant(&wide, layer->slope != 0 ? layer->slope : leaky ? .01 : 1., slope);
        fprintf(w->to, ", %s", slope);
    }
    fputs(");\n", w->to);
}

/* ---- layers: shapes, weights, loops ---------------------------------------------------------- */

/* kernel, stride, padding and dilation as layer.c understands them */
typedef struct window {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
} window;

static window window_of(const nn_layer *layer)
{
    window v;
    const bool pooling = layer->kind != NN_CONV2D;
    nn_pair(layer->kernel, 0, v.kernel);
    nn_pair(layer->stride, 1, v.stride);
    nn_pair(layer->dilation, 1, v.dilation);
    memcpy(v.padding, layer->padding, sizeof v.padding);
    if (pooling && !layer->stride[0])
        v.stride[0] = v.kernel[0];
    if (pooling && !layer->stride[0] && !layer->stride[1])
        v.stride[1] = v.kernel[1];
    return v;
}

static void same_shape(const stage *s, nn_shape *out) { *out = s->in; }

static void dense_shape(const stage *s, nn_shape *out)
{
    *out = s->in;
    out->size[out->rank - 1] = s->layer->units;
}

static void flat_shape(const stage *s, nn_shape *out)
{
    *out = (nn_shape){.rank = 1, .size = {nn_shape_size(&s->in)}, .indices = s->in.indices};
}

static void embedding_shape(const stage *s, nn_shape *out)
{
    *out = s->in;
    out->indices = false;
    if (out->rank < AD_MAX_RANK - 1)
        out->size[out->rank++] = s->layer->units;
}

static void window_shape(const stage *s, nn_shape *out)
{
    const window v = window_of(s->layer);
    *out = s->in;
    if (s->layer->kind == NN_CONV2D)
        out->size[0] = s->layer->units;
    for (int i = 0; i < 2; i++)
        out->size[1 + i] =
            (s->in.size[1 + i] + 2 * v.padding[i] - v.dilation[i] * (v.kernel[i] - 1) - 1) /
                v.stride[i] +
            1;
}

/* (in,out) -> (out,in): each output's weights beside each other */
static void dense_weights(const writer *w, const stage *s)
{
    int64_t n;
    double *values = values_of(w, s, "weight", &n);
    const int64_t out = s->layer->units, in = n / out;
    double *turned = values ? calloc((size_t)n + 1, sizeof *turned) : NULL;
    if (values && !turned)
        nn_no_memory(w->error);
    for (int64_t i = 0; turned && i < n; i++)
        turned[i % out * in + i / out] = values[i];
    if (turned)
        put_array(w, s->number, "weight", n, turned);
    free(turned);
    free(values);
    if (!s->layer->no_bias)
        put_variable(w, s, "bias");
}

static void put_bias(const writer *w, const stage *s, const char *index)
{
    if (s->layer->no_bias)
        fputs("0;\n", w->to);
    else
        fprintf(w->to, "%s_%d_bias[%s];\n", w->name, s->number, index);
}

static void put_dense(const writer *w, const step *s)
{
    const nn_shape *shape = &s->of->in;
    const long long in = (long long)shape->size[shape->rank - 1],
                    out = (long long)s->of->layer->units;
    const long long rows = (long long)nn_shape_size(shape) / in;
    fprintf(w->to,
            "    for (int r = 0; r < %lld; r++)\n        for (int j = 0; j < %lld; j++) {\n"
            "            %s sum = ",
            rows, out, w->real);
    put_bias(w, s->of, "j");
    fprintf(w->to,
            "            for (int i = 0; i < %lld; i++)\n"
            "                sum += %s[%lld * r + i] * %s_%d_weight[%lld * j + i];\n"
            "            %s[%lld * r + j] = sum;\n        }\n",
            in, s->from, in, w->name, s->of->number, in, s->to, out);
}

static void embedding_weights(const writer *w, const stage *s) { put_variable(w, s, "weight"); }

static void put_embedding(const writer *w, const step *s)
{
    const long long n = (long long)nn_shape_size(&s->of->in);
    const long long rows = (long long)s->of->layer->rows, width = (long long)s->of->layer->units;
    fprintf(
        w->to,
        "    for (int i = 0; i < %lld; i++) /* an index out of range gives NaN */\n"
        "        for (int j = 0; j < %lld; j++)\n"
        "            %s[%lld * i + j] = %s[i] >= 0 && %s[i] < %lld ? %s_%d_weight[%lld * %s[i] + "
        "j] : (%s)NAN;\n",
        n, width, s->to, width, s->from, s->from, rows, w->name, s->of->number, width, s->from,
        w->real);
}

static void convolution_weights(const writer *w, const stage *s)
{
    put_variable(w, s, "weight");
    if (!s->layer->no_bias)
        put_variable(w, s, "bias");
}

/* Opens the loops over a window's cells: sets `row` and `column`, and passes over the border. */
static void open_window(const writer *w, const stage *s, int indent)
{
    const window v = window_of(s->layer);
    fprintf(w->to, "%*sfor (int u = 0; u < %lld; u++)\n%*sfor (int v = 0; v < %lld; v++) {\n",
            indent, "", (long long)v.kernel[0], indent + 4, "", (long long)v.kernel[1]);
    fprintf(w->to,
            "%*sconst int row = %lld * r + %lld * u - %lld, column = %lld * c + %lld * v - %lld;\n",
            indent + 8, "", (long long)v.stride[0], (long long)v.dilation[0],
            (long long)v.padding[0], (long long)v.stride[1], (long long)v.dilation[1],
            (long long)v.padding[1]);
    fprintf(w->to, "%*sif (row < 0 || row >= %lld || column < 0 || column >= %lld)\n%*scontinue;\n",
            indent + 8, "", (long long)s->in.size[1], (long long)s->in.size[2], indent + 12, "");
}

static void open_positions(const writer *w, const stage *s)
{
    fprintf(w->to,
            "    for (int k = 0; k < %lld; k++)\n        for (int r = 0; r < %lld; r++)\n"
            "            for (int c = 0; c < %lld; c++) {\n",
            (long long)s->out.size[0], (long long)s->out.size[1], (long long)s->out.size[2]);
}

static void close_positions(const writer *w, const step *s, const char *result)
{
    fprintf(w->to, "                %s[(k * %lld + r) * %lld + c] = %s;\n            }\n", s->to,
            (long long)s->of->out.size[1], (long long)s->of->out.size[2], result);
}

static void put_convolution(const writer *w, const step *s)
{
    const stage *of = s->of;
    const window v = window_of(of->layer);
    const long long groups = of->layer->groups > 0 ? (long long)of->layer->groups : 1;
    const long long depth = (long long)of->in.size[0] / groups,
                    per_group = (long long)of->layer->units / groups;
    open_positions(w, of);
    fprintf(w->to, "                %s sum = ", w->real);
    put_bias(w, of, "k");
    fprintf(w->to, "                for (int d = 0; d < %lld; d++)\n", depth);
    open_window(w, of, 20);
    fprintf(w->to,
            "                            sum += %s_%d_weight[((k * %lld + d) * %lld + u) * %lld + "
            "v] *\n"
            "                                   %s[((k / %lld * %lld + d) * %lld + row) * %lld + "
            "column];\n                        }\n",
            w->name, of->number, depth, (long long)v.kernel[0], (long long)v.kernel[1], s->from,
            per_group, depth, (long long)of->in.size[1], (long long)of->in.size[2]);
    close_positions(w, s, "sum");
}

static void put_pooling(const writer *w, const step *s)
{
    const stage *of = s->of;
    const window v = window_of(of->layer);
    const bool most = of->layer->kind == NN_MAX_POOL2D;
    char result[64];
    open_positions(w, of);
    fprintf(w->to, "                %s of = %s;\n", w->real, most ? "-INFINITY" : "0");
    open_window(w, of, 16);
    fprintf(w->to,
            "                        const %s cell = %s[(k * %lld + row) * %lld + column];\n",
            w->real, s->from, (long long)of->in.size[1], (long long)of->in.size[2]);
    fprintf(w->to, "                        of %s;\n                    }\n",
            most ? "= cell > of || cell != cell ? cell : of" : "+= cell");
    snprintf(result, sizeof result, most ? "of" : "of / %lld",
             (long long)(v.kernel[0] * v.kernel[1]));
    close_positions(w, s, result);
}

static double epsilon_of(const nn_layer *layer)
{
    return layer->epsilon > 0 ? layer->epsilon : 1e-5;
}

static void layer_norm_weights(const writer *w, const stage *s)
{
    if (s->layer->no_affine)
        return;
    put_variable(w, s, "weight");
    put_variable(w, s, "bias");
}

static void put_layer_norm(const writer *w, const step *s)
{
    const nn_shape *shape = &s->of->in;
    const long long n = (long long)shape->size[shape->rank - 1];
    writer wide = *w;
    char epsilon[NUMBER_TEXT];
    wide.narrow = false;
    constant(&wide, epsilon_of(s->of->layer), epsilon);
    fprintf(w->to,
            "    for (int r = 0; r < %lld; r += %lld) {\n        double mean = 0, variance = 0;\n"
            "        for (int i = 0; i < %lld; i++)\n            mean += %s[r + i];\n"
            "        mean /= %lld;\n        for (int i = 0; i < %lld; i++)\n"
            "            variance += (%s[r + i] - mean) * (%s[r + i] - mean);\n"
            "        const double scale = 1 / sqrt(variance / %lld + %s);\n"
            "        for (int i = 0; i < %lld; i++)\n"
            "            %s[r + i] = (%s)((%s[r + i] - mean) * scale)",
            (long long)nn_shape_size(shape), n, n, s->from, n, n, s->from, s->from, n, epsilon, n,
            s->to, w->real, s->from);
    if (!s->of->layer->no_affine)
        fprintf(w->to, " * %s_%d_weight[i] + %s_%d_bias[i]", w->name, s->of->number, w->name,
                s->of->number);
    fputs(";\n    }\n", w->to);
}

/* In evaluation a batch norm is (x - mean) * scale + bias. */
static void batch_norm_weights(const writer *w, const stage *s)
{
    int64_t n = 0;
    const bool affine = !s->layer->no_affine;
    double *scale = values_of(w, s, "running_var", &n);
    double *weight = scale && affine ? values_of(w, s, "weight", &n) : NULL;
    for (int64_t i = 0; scale && i < n; i++)
        scale[i] = (weight ? weight[i] : 1) / sqrt(scale[i] + epsilon_of(s->layer));
    if (scale && (weight || !affine)) {
        put_array(w, s->number, "scale", n, scale);
        put_variable(w, s, "running_mean");
        if (affine)
            put_variable(w, s, "bias");
    }
    free(weight);
    free(scale);
}

static void put_batch_norm(const writer *w, const step *s)
{
    const int number = s->of->number;
    const long long channels = (long long)s->of->in.size[0];
    const long long each = (long long)nn_shape_size(&s->of->in) / channels;
    fprintf(
        w->to,
        "    for (int k = 0; k < %lld; k++)\n        for (int i = %lld * k; i < %lld * (k + 1); "
        "i++)\n            %s[i] = (%s[i] - %s_%d_running_mean[k]) * %s_%d_scale[k]",
        channels, each, each, s->to, s->from, w->name, number, w->name, number);
    if (!s->of->layer->no_affine)
        fprintf(w->to, " + %s_%d_bias[k]", w->name, number);
    fputs(";\n", w->to);
}

static void scale_weights(const writer *w, const stage *s)
{
    put_variable(w, s, "scale");
    put_variable(w, s, "shift");
}

static void put_scale(const writer *w, const step *s)
{
    fprintf(w->to,
            "    for (int i = 0; i < %lld; i++)\n        %s[i] = %s[i] * %s_%d_scale[i] + "
            "%s_%d_shift[i];\n",
            (long long)nn_shape_size(&s->of->in), s->to, s->from, w->name, s->of->number, w->name,
            s->of->number);
}

/* Without loops: nothing happens to the numbers. */
static const struct kind {
    void (*shape)(const stage *s, nn_shape *out);
    void (*weights)(const writer *w, const stage *s);
    void (*loops)(const writer *w, const step *s);
} kinds[NN_LAYER_KINDS] = {
    [NN_DENSE] = {dense_shape, dense_weights, put_dense},
    [NN_ACTIVATION] = {same_shape, NULL, NULL},
    [NN_DROPOUT] = {same_shape, NULL, NULL},
    [NN_FLATTEN] = {flat_shape, NULL, NULL},
    [NN_LAYER_NORM] = {same_shape, layer_norm_weights, put_layer_norm},
    [NN_BATCH_NORM] = {same_shape, batch_norm_weights, put_batch_norm},
    [NN_EMBEDDING] = {embedding_shape, embedding_weights, put_embedding},
    [NN_CONV2D] = {window_shape, convolution_weights, put_convolution},
    [NN_MAX_POOL2D] = {window_shape, NULL, put_pooling},
    [NN_AVERAGE_POOL2D] = {window_shape, NULL, put_pooling},
    [NN_SCALE] = {same_shape, scale_weights, put_scale},
};

/* ---- the plan ---------------------------------------------------------------------------- */

static ad_status plan_stages(writer *w)
{
    nn_shape shape = w->model->config.inputs[0];
    for (int i = 0; i < w->n_stages; i++) {
        stage *s = &w->stages[i];
        *s = (stage){.layer = &w->model->layers[i], .number = i, .in = shape};
        if (!kinds[s->layer->kind].shape)
            return nn_fail(
                w->error, AD_BAD_ARGUMENT,
                "export: layer %d is the user's own function (custom), of which C source "
                "cannot be made",
                i);
        kinds[s->layer->kind].shape(s, &s->out);
        shape = s->out;
        const bool works = kinds[s->layer->kind].loops || s->layer->activation;
        if (s->in.indices && s->layer->kind != NN_EMBEDDING && works)
            return nn_fail(w->error, AD_BAD_DTYPE,
                           "export: layer %d: indices can only go into an embedding", i);
        if (nn_shape_size(&shape) > INT32_MAX / 4)
            return nn_fail(w->error, AD_TOO_LARGE, "export: layer %d: too large an output", i);
    }
    if (nn_shape_size(&shape) != nn_shape_size(&w->model->output))
        return nn_fail(w->error, AD_MISMATCH,
                       "export: %lld outputs expected, the model has %lld: a fault of the library",
                       (long long)nn_shape_size(&shape),
                       (long long)nn_shape_size(&w->model->output));
    return AD_OK;
}

static void add_step(writer *w, const stage *of, bool is_activation)
{
    static const char *const buffers[] = {"first", "second"};
    step *s = &w->steps[w->n_steps];
    *s = (step){
        .of = of, .is_activation = is_activation, .from = "x", .to = buffers[w->n_steps % 2]};
    if (w->n_steps > 0)
        s->from = s[-1].to;
    w->n_steps++;
}

static void plan_steps(writer *w)
{
    for (int i = 0; i < w->n_stages; i++) {
        const stage *s = &w->stages[i];
        if (kinds[s->layer->kind].loops)
            add_step(w, s, false);
        if (s->layer->activation)
            add_step(w, s, true);
    }
    if (w->n_steps > 0)
        w->steps[w->n_steps - 1].to = "y";
}

/* The largest that a buffer has to hold. */
static int64_t buffer_size(const writer *w, const char *buffer)
{
    int64_t most = 0;
    for (int i = 0; i < w->n_steps; i++) {
        int64_t size = nn_shape_size(&w->steps[i].of->out);
        if (!strcmp(w->steps[i].to, buffer) && size > most)
            most = size;
    }
    return most;
}

/* ---- the file ---------------------------------------------------------------------------- */

static void put_prototype(const writer *w, const char *end)
{
    fprintf(w->to, "void %s_predict(const %s *x, %s *y)%s\n", w->name,
            w->model->config.inputs[0].indices ? "int32_t" : w->real, w->real, end);
}

static void put_top(const writer *w, int64_t stack)
{
    const nn_shape *in = &w->model->config.inputs[0], *out = &w->model->output;
    fprintf(
        w->to,
        "/* %s: a neural network, %s -> %s, written by Tapegrad %s\n *\n"
        " * %s_predict reads %s_inputs numbers, row-major, and writes %s_outputs. It keeps no "
        "state and\n * needs %lld bytes of stack for what is in between. C99, to be linked with "
        "-lm. */\n",
        w->name, nn_shape_text_of(in->rank, in->size).text,
        nn_shape_text_of(out->rank, out->size).text, ad_version(), w->name, w->name, w->name,
        (long long)stack);
    fputs("#include <math.h>\n#include <stdint.h>\n\n", w->to);
    fprintf(w->to, "enum { %s_inputs = %lld, %s_outputs = %lld };\n", w->name,
            (long long)nn_shape_size(&w->model->config.inputs[0]), w->name,
            (long long)nn_shape_size(&w->model->output));
    put_prototype(w, ";");
}

static void put_step(const writer *w, const step *s)
{
    const nn_shape *in = &s->of->in, *out = &s->of->out;
    const nn_layer *layer = s->of->layer;
    if (s->is_activation)
        fprintf(w->to, "\n    /* %d: %s */\n", s->of->number, layer->activation);
    else
        fprintf(w->to, "\n    /* %d: %s, %s -> %s */\n", s->of->number,
                nn_layer_type_of(layer->kind)->name, nn_shape_text_of(in->rank, in->size).text,
                nn_shape_text_of(out->rank, out->size).text);
    if (s->is_activation)
        put_activation(w, s);
    else
        kinds[layer->kind].loops(w, s);
}

static void put_predict(const writer *w, const int64_t buffers[2])
{
    static const char *const names[] = {"first", "second"};
    fputc('\n', w->to);
    put_prototype(w, "\n{");
    for (int i = 0; i < 2; i++)
        if (buffers[i])
            fprintf(w->to, "    %s %s[%lld];\n", w->real, names[i], (long long)buffers[i]);
    for (int i = 0; i < w->n_steps; i++)
        put_step(w, &w->steps[i]);
    if (w->n_steps == 0)
        fprintf(w->to, "    for (int i = 0; i < %s_outputs; i++)\n        y[i] = (%s)x[i];\n",
                w->name, w->real);
    fputs("}\n", w->to);
}

static ad_status put_file(writer *w)
{
    const int64_t buffers[2] = {buffer_size(w, "first"), buffer_size(w, "second")};
    const int64_t stack =
        (buffers[0] + buffers[1]) * (int64_t)ad_dtype_size(w->model->config.dtype);
    if (stack > MOST_STACK)
        return nn_fail(w->error, AD_TOO_LARGE,
                       "export: what is between the layers would need %lld bytes of stack, but at "
                       "most %d are taken",
                       (long long)stack, MOST_STACK);
    put_top(w, stack);
    for (int i = 0; i < w->n_stages; i++) {
        const nn_layer *layer = w->stages[i].layer;
        if (kinds[layer->kind].weights) {
            fputc('\n', w->to);
            kinds[layer->kind].weights(w, &w->stages[i]);
        }
        if (layer->activation)
            put_activation_function(w, layer->activation);
    }
    put_predict(w, buffers);
    if (fflush(w->to) != 0 || ferror(w->to))
        nn_fail(w->error, AD_BAD_ARGUMENT, "export: cannot write the file");
    return w->error->status;
}

static bool is_identifier(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!is_letter(name[i]) && !(i > 0 && is_digit(name[i])))
            return false;
    return n > 0 && n <= LONGEST_NAME;
}

static ad_status check(const nn_model *model, const char *name, const FILE *to, nn_error *error)
{
    if (!model || !name || !to)
        return nn_fail(error, AD_NULL, "nn_export_c: no model, name or file");
    if (nn_model_ready(model, error))
        return error->status;
    if (!is_identifier(name))
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "export: the name '%.64s' is no C identifier: want at most %d letters, digits "
            "and _, not a digit first",
            name, LONGEST_NAME);
    if (model->n_layers == 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "export: the model is a function: C source can be made of a list of layers "
                       "only (nn_sequential, nn_mlp)");
    return AD_OK;
}

static ad_status export_with(writer *w)
{
    nn_numbers numbers;
    if (!w->stages || !w->steps || !w->done)
        return nn_no_memory(w->error);
    if (plan_stages(w))
        return w->error->status;
    plan_steps(w);
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(w->error);
    ad_status status = put_file(w);
    nn_own_numbers(&numbers);
    return status;
}

ad_status nn_export_c(const nn_model *model, const char *name, FILE *to, nn_error *error)
{
    nn_error own;
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (check(model, name, to, error))
        return error->status;
    const bool narrow = model->config.dtype == AD_F32;
    writer w = {.to = to,
                .model = model,
                .error = error,
                .name = name,
                .real = narrow ? "float" : "double",
                .narrow = narrow,
                .n_stages = model->n_layers};
    w.stages = calloc((size_t)w.n_stages + 1, sizeof *w.stages);
    w.steps = calloc((size_t)w.n_stages * 2 + 1, sizeof *w.steps);
    w.done = calloc((size_t)ad_op_count(), sizeof *w.done);
    ad_status status = export_with(&w);
    free(w.stages);
    free(w.steps);
    free(w.done);
    return status;
}
