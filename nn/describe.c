/* describe.c - the description of a model beside its parameters: JSON
 *
 * What has a row in the tables of fields is written where it is not 0, and read: a new field of
 * nn_layer is a new row. The numbers of a scale layer are states and lie among the parameters. */
#include "describe.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "layer.h"
#include "number.h"
#include "safetensors.h"
#include "words.h"

enum { VERSION = 1 };
static const char format_name[] = "tapegrad model";
/* Products of two are no overflow. */
static const int64_t most_of_a_size = (int64_t)1 << 31, most_in_an_example = (int64_t)1 << 30;

/* Where in a description the reader or writer is, for errors. */
typedef struct place {
    const char *path;
    nn_error *error;
    char where[96]; /* "layers[2].weight_init" */
} place;

static bool wanted(const place *at, const char *want)
{
    nn_fail(at->error, AD_BAD_ARGUMENT, "%s: %s: want %s", at->path, at->where, want);
    return false;
}

static place below(const place *at, const char *name)
{
    place deeper = *at;
    size_t used = strlen(deeper.where);
    snprintf(deeper.where + used, sizeof deeper.where - used, "%s%s", used ? "." : "", name);
    return deeper;
}

static place element(const place *at, int i)
{
    place deeper = *at;
    size_t used = strlen(deeper.where);
    snprintf(deeper.where + used, sizeof deeper.where - used, "[%d]", i);
    return deeper;
}

/* ---- kinds of fields ----------------------------------------------------------------------- */

typedef struct value_type {
    bool (*is_set)(const void *field);
    bool (*put)(const place *at, FILE *to, const void *field);
    bool (*get)(const place *at, const json_t *value, void *field);
} value_type;

typedef struct row {
    const char *name;
    size_t offset;
    const value_type *type;
} row;

static bool put_fields(const place *at, FILE *to, int n, const row *rows, const void *object)
{
    const char *separator = "";
    bool ok = true;
    fputc('{', to);
    for (int i = 0; i < n; i++) {
        const void *member = (const char *)object + rows[i].offset;
        if (!rows[i].type->is_set(member))
            continue;
        place deeper = below(at, rows[i].name);
        fprintf(to, "%s\"%s\": ", separator, rows[i].name);
        ok = rows[i].type->put(&deeper, to, member) && ok;
        separator = ", ";
    }
    fputc('}', to);
    return ok;
}

/* NULL, with an error that suggests the nearest, where no row has this name. */
static const row *row_named(const place *at, const char *name, int n, const row *rows)
{
    const char *best = NULL;
    for (int i = 0; i < n; i++) {
        if (!strcmp(rows[i].name, name))
            return &rows[i];
        ad_suggest(name, rows[i].name, &best);
    }
    nn_fail(at->error, AD_BAD_ARGUMENT, "%s: %s: unknown key '%.60s'%s%s%s", at->path,
            *at->where ? at->where : "description", name, best ? ", did you mean '" : "",
            best ? best : "", best ? "'?" : "");
    return NULL;
}

static bool get_fields(const place *at, const json_t *from, int n, const row *rows, void *object)
{
    const char *name;
    json_t *value;
    if (!json_is_object(from))
        return wanted(at, "an object");
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        const row *r = row_named(at, name, n, rows);
        place deeper = below(at, name);
        if (!r || !r->type->get(&deeper, value, (char *)object + r->offset))
            return false;
    }
    return true;
}

static bool text_set(const void *field) { return *(const char *const *)field != NULL; }

static bool put_text(const place *at, FILE *to, const void *field)
{
    return nn_put_json_text(to, *(const char *const *)field) || wanted(at, "a text in UTF-8");
}

/* Points into the tree. */
static bool get_text(const place *at, const json_t *value, void *field)
{
    *(const char **)field = json_string_value(value);
    return json_is_string(value) || wanted(at, "a text");
}

/* Layers take what is negative for 0. */
static bool size_set(const void *field) { return *(const int64_t *)field > 0; }

static bool put_size(const place *at, FILE *to, const void *field)
{
    (void)at;
    fprintf(to, "%" PRId64, *(const int64_t *)field);
    return true;
}

static bool get_size(const place *at, const json_t *value, void *field)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > most_of_a_size)
        return wanted(at, "an integer from 0 to 2^31");
    *(int64_t *)field = (int64_t)json_integer_value(value);
    return true;
}

static bool pair_set(const void *field)
{
    const int64_t *pair = field;
    return pair[0] || pair[1];
}

static bool put_pair(const place *at, FILE *to, const void *field)
{
    const int64_t *pair = field;
    (void)at;
    fprintf(to, "[%" PRId64 ", %" PRId64 "]", pair[0], pair[1]);
    return true;
}

static bool get_pair(const place *at, const json_t *value, void *field)
{
    int64_t *pair = field;
    return (json_array_size(value) == 2 || wanted(at, "two integers")) &&
           get_size(at, json_array_get(value, 0), &pair[0]) &&
           get_size(at, json_array_get(value, 1), &pair[1]);
}

static bool number_set(const void *field) { return *(const double *)field != 0; }

static bool put_number(const place *at, FILE *to, const void *field)
{
    char text[NN_NUMBER_TEXT];
    if (!isfinite(*(const double *)field))
        return wanted(at, "a finite number");
    nn_exact_number(text, *(const double *)field);
    fputs(text, to);
    return true;
}

static bool get_number(const place *at, const json_t *value, void *field)
{
    *(double *)field = json_number_value(value);
    return json_is_number(value) || wanted(at, "a number");
}

static bool flag_set(const void *field) { return *(const bool *)field; }

static bool put_flag(const place *at, FILE *to, const void *field)
{
    (void)at;
    fputs(*(const bool *)field ? "true" : "false", to);
    return true;
}

static bool get_flag(const place *at, const json_t *value, void *field)
{
    *(bool *)field = json_is_true(value);
    return json_is_boolean(value) || wanted(at, "true or false");
}

/* ---- enums, by name -------------------------------------------------------------------------- */

static const char *const init_names[] = {
    "default",      "torch",   "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
    "lecun_normal", "nielsen", "normal",         "uniform",       "constant",
};
_Static_assert(sizeof init_names / sizeof *init_names == NN_INIT_VALUES,
               "every kind but the last, whose values the model forgets, has a name");

static const char *init_name(int kind)
{
    return kind >= 0 && kind < NN_INIT_VALUES ? init_names[kind] : NULL;
}

static const char *layer_name(int kind)
{
    const nn_layer_type *type = nn_layer_type_of((nn_layer_kind)kind);
    return type && kind != NN_CUSTOM ? type->name : NULL;
}

/* -1, with an error that suggests the nearest, where the word names none */
static int named(const place *at, const json_t *value, const char *(*name_of)(int), int count)
{
    const char *word = json_string_value(value), *best = NULL;
    if (!word) {
        wanted(at, "a name");
        return -1;
    }
    for (int i = 0; i < count; i++) {
        const char *name = name_of(i);
        if (name && !strcmp(name, word))
            return i;
        if (name)
            ad_suggest(word, name, &best);
    }
    nn_fail(at->error, AD_BAD_ARGUMENT, "%s: %s: unknown name '%.60s'%s%s%s", at->path, at->where,
            word, best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
    return -1;
}

static bool init_kind_set(const void *field) { return *(const nn_init_kind *)field != 0; }

static bool put_init_kind(const place *at, FILE *to, const void *field)
{
    const char *name = init_name((int)*(const nn_init_kind *)field);
    return name ? nn_put_json_text(to, name) : wanted(at, "a kind of initial values");
}

static bool get_init_kind(const place *at, const json_t *value, void *field)
{
    int kind = named(at, value, init_name, NN_INIT_VALUES);
    *(nn_init_kind *)field = kind < 0 ? NN_INIT_DEFAULT : (nn_init_kind)kind;
    return kind >= 0;
}

static bool layer_kind_set(const void *field)
{
    (void)field;
    return true;
}

static bool put_layer_kind(const place *at, FILE *to, const void *field)
{
    const char *name = layer_name((int)*(const nn_layer_kind *)field);
    return name ? nn_put_json_text(to, name) : wanted(at, "a kind of layer");
}

static bool get_layer_kind(const place *at, const json_t *value, void *field)
{
    int kind = named(at, value, layer_name, NN_LAYER_KINDS);
    *(nn_layer_kind *)field = kind < 0 ? NN_DENSE : (nn_layer_kind)kind;
    return kind >= 0;
}

/* ---- the tables ------------------------------------------------------------------------------ */

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static const value_type text_type = {text_set, put_text, get_text},
                        size_type = {size_set, put_size, get_size},
                        pair_type = {pair_set, put_pair, get_pair},
                        number_type = {number_set, put_number, get_number},
                        flag_type = {flag_set, put_flag, get_flag},
                        init_kind_type = {init_kind_set, put_init_kind, get_init_kind},
                        layer_kind_type = {layer_kind_set, put_layer_kind, get_layer_kind};

static const row init_fields[] = {
    {"kind", offsetof(nn_init, kind), &init_kind_type},
    {"value", offsetof(nn_init, value), &number_type},
};

static bool init_set(const void *field)
{
    const nn_init *init = field;
    return init->kind || init->value != 0;
}

static bool put_init(const place *at, FILE *to, const void *field)
{
    return put_fields(at, to, COUNT(init_fields), init_fields, field);
}

static bool get_init(const place *at, const json_t *value, void *field)
{
    return get_fields(at, value, COUNT(init_fields), init_fields, field);
}

static const value_type init_type = {init_set, put_init, get_init};

static const row layer_fields[] = {
    {"kind", offsetof(nn_layer, kind), &layer_kind_type},
    {"name", offsetof(nn_layer, name), &text_type},
    {"units", offsetof(nn_layer, units), &size_type},
    {"rows", offsetof(nn_layer, rows), &size_type},
    {"activation", offsetof(nn_layer, activation), &text_type},
    {"slope", offsetof(nn_layer, slope), &number_type},
    {"no_bias", offsetof(nn_layer, no_bias), &flag_type},
    {"no_affine", offsetof(nn_layer, no_affine), &flag_type},
    {"weight_init", offsetof(nn_layer, weight_init), &init_type},
    {"bias_init", offsetof(nn_layer, bias_init), &init_type},
    {"kernel", offsetof(nn_layer, kernel), &pair_type},
    {"stride", offsetof(nn_layer, stride), &pair_type},
    {"padding", offsetof(nn_layer, padding), &pair_type},
    {"dilation", offsetof(nn_layer, dilation), &pair_type},
    {"groups", offsetof(nn_layer, groups), &size_type},
    {"rate", offsetof(nn_layer, rate), &number_type},
    {"epsilon", offsetof(nn_layer, epsilon), &number_type},
    {"momentum", offsetof(nn_layer, momentum), &number_type},
    {"n_scale", offsetof(nn_layer, n_scale), &size_type},
};

/* One input: its sizes, and whether they are indices. */
static bool always_set(const void *field)
{
    (void)field;
    return true;
}

static bool put_sizes(const place *at, FILE *to, const void *field)
{
    const nn_shape *shape = field;
    (void)at;
    fputc('[', to);
    for (int i = 0; i < shape->rank; i++)
        fprintf(to, "%s%" PRId64, i ? ", " : "", shape->size[i]);
    fputc(']', to);
    return true;
}

static bool get_sizes(const place *at, const json_t *value, void *field)
{
    nn_shape *shape = field;
    if (!json_is_array(value) || json_array_size(value) > AD_MAX_RANK - 1)
        return wanted(at, "a list of at most 7 sizes");
    shape->rank = (int)json_array_size(value);
    for (int i = 0; i < shape->rank; i++)
        if (!get_size(at, json_array_get(value, (size_t)i), &shape->size[i]))
            return false;
    return true;
}

static const value_type sizes_type = {always_set, put_sizes, get_sizes};
static const row shape_fields[] = {
    {"shape", 0, &sizes_type},
    {"indices", offsetof(nn_shape, indices), &flag_type},
};

static bool put_seed(const place *at, FILE *to, const void *field)
{
    (void)at;
    /* as a text: readers of JSON may keep numbers as doubles, which have 53 bits */
    fprintf(to, "\"%" PRIu64 "\"", *(const uint64_t *)field);
    return true;
}

static bool get_seed(const place *at, const json_t *value, void *field)
{
    const char *text = json_string_value(value);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    errno = 0;
    *(uint64_t *)field = digits ? strtoull(text, NULL, 10) : 0;
    return (digits > 0 && digits == strlen(text) && errno == 0) ||
           wanted(at, "a text with an integer from 0 to 2^64 - 1");
}

static bool put_dtype(const place *at, FILE *to, const void *field)
{
    (void)at;
    return nn_put_json_text(to, ad_dtype_name(*(const ad_dtype *)field));
}

static const char *dtype_name(int dtype) { return ad_dtype_name((ad_dtype)dtype); }

static bool get_dtype(const place *at, const json_t *value, void *field)
{
    int dtype = named(at, value, dtype_name, AD_I32);
    *(ad_dtype *)field = dtype < 0 ? AD_F64 : (ad_dtype)dtype;
    return dtype >= 0;
}

static bool put_inputs(const place *at, FILE *to, const void *field)
{
    const nn_model_config *config = field;
    bool ok = true;
    fputc('[', to);
    for (int i = 0; i < config->n_inputs; i++) {
        fputs(i ? ", " : "", to);
        ok = put_fields(at, to, COUNT(shape_fields), shape_fields, &config->inputs[i]) && ok;
    }
    fputc(']', to);
    return ok;
}

static bool get_inputs(const place *at, const json_t *value, void *field)
{
    nn_model_config *config = field;
    if (json_array_size(value) < 1 || json_array_size(value) > NN_MAX_INPUTS)
        return wanted(at, "a list of 1 to 8 inputs");
    config->n_inputs = (int)json_array_size(value);
    for (int i = 0; i < config->n_inputs; i++) {
        place deeper = element(at, i);
        if (!get_fields(&deeper, json_array_get(value, (size_t)i), COUNT(shape_fields),
                        shape_fields, &config->inputs[i]))
            return false;
    }
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

typedef struct description {
    const char *format;
    int64_t version;
    bool function; /* the user's own: no layers */
    nn_model_config config;
    struct layers {
        int n;
        nn_layer *list;
    } layers;
} description;

static bool layers_set(const void *field) { return ((const struct layers *)field)->list != NULL; }

static bool put_layers(const place *at, FILE *to, const void *field)
{
    const struct layers *layers = field;
    bool ok = true;
    fputc('[', to);
    for (int i = 0; i < layers->n; i++) {
        place deeper = element(at, i);
        fputs(i ? ",\n  " : "\n  ", to);
        ok = put_fields(&deeper, to, COUNT(layer_fields), layer_fields, &layers->list[i]) && ok;
    }
    fputc(']', to);
    return ok;
}

static bool get_layers(const place *at, const json_t *value, void *field)
{
    struct layers *layers = field;
    if (json_array_size(value) < 1 || json_array_size(value) > INT32_MAX)
        return wanted(at, "a list of layers");
    layers->list = calloc(json_array_size(value), sizeof *layers->list);
    if (!layers->list) {
        nn_no_memory(at->error);
        return false;
    }
    layers->n = (int)json_array_size(value);
    for (int i = 0; i < layers->n; i++) {
        place deeper = element(at, i);
        if (!get_fields(&deeper, json_array_get(value, (size_t)i), COUNT(layer_fields),
                        layer_fields, &layers->list[i]))
            return false;
        if (!layers->list[i].kind) {
            deeper = below(&deeper, "kind");
            return wanted(&deeper, "the layer's kind, such as \"dense\"");
        }
    }
    return true;
}

static const value_type seed_type = {always_set, put_seed, get_seed},
                        dtype_type = {always_set, put_dtype, get_dtype},
                        inputs_type = {always_set, put_inputs, get_inputs},
                        layers_type = {layers_set, put_layers, get_layers};

static const row description_fields[] = {
    {"format", offsetof(description, format), &text_type},
    {"version", offsetof(description, version), &size_type},
    {"function", offsetof(description, function), &flag_type},
    {"seed", offsetof(description, config.seed), &seed_type},
    {"dtype", offsetof(description, config.dtype), &dtype_type},
    {"inputs", offsetof(description, config), &inputs_type},
    {"layers", offsetof(description, layers), &layers_type},
};

/* Can the layers be made again without the user's code? */
static bool is_function(const nn_model *model)
{
    for (int i = 0; i < model->n_layers; i++)
        if (model->layers[i].kind == NN_CUSTOM)
            return true;
    return model->n_layers == 0;
}

ad_status nn_describe(const nn_model *model, FILE *to, const char *path, nn_error *error)
{
    nn_error own;
    nn_numbers numbers;
    error = nn_error_or(error, &own);
    description d = {.format = format_name,
                     .version = VERSION,
                     .function = is_function(model),
                     .config = model->config};
    if (!d.function) {
        d.layers.n = model->n_layers;
        d.layers.list = model->layers;
    }
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(error);
    place at = {.path = path, .error = error};
    put_fields(&at, to, COUNT(description_fields), description_fields, &d);
    fputc('\n', to);
    nn_own_numbers(&numbers);
    return error->status;
}

/* Is this such a file, and one that can be made a model again? */
static bool usable(const char *path, const json_t *tree, nn_error *error)
{
    const char *format = json_string_value(json_object_get(tree, "format"));
    const json_t *version = json_object_get(tree, "version");
    if (!format || strcmp(format, format_name) != 0)
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: no description of a model: want {\"format\": \"%s\", ...}", path, format_name);
    else if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: version: this library reads version %d only: use the one that wrote it, or a "
                "newer one",
                path, VERSION);
    else if (json_is_true(json_object_get(tree, "function")))
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: the model's function is the user's own and not in the file: make the model by "
                "the same code, then call nn_load_parameters",
                path);
    else
        return true;
    return false;
}

static bool too_large(const char *path, const char *what, int i, int64_t size, int64_t most,
                      const char *unit, nn_error *error)
{
    if (size <= most)
        return false;
    nn_fail(error, AD_TOO_LARGE, "%s: %s[%d]: %" PRId64 " %s, but at most %" PRId64 " %s", path,
            what, i, size, unit, most, "can be right: damaged, or not that file's");
    return true;
}

/* A model that asks for more numbers than the file beside it holds is not made: the memory for its
 * first pass could be far more than there is. */
static bool credible(const char *path, const description *d, int64_t elements, nn_error *error)
{
    for (int i = 0; i < d->config.n_inputs; i++) {
        const nn_shape *shape = &d->config.inputs[i];
        int64_t size = 1;
        for (int k = 0; k < shape->rank && size <= most_in_an_example; k++)
            size *= shape->size[k];
        if (too_large(path, "inputs", i, size, most_in_an_example, "elements", error))
            return false;
    }
    for (int i = 0; i < d->layers.n; i++) {
        const nn_layer *layer = &d->layers.list[i];
        if (too_large(path, "layers", i, layer->units, elements, "units", error) ||
            too_large(path, "layers", i, layer->rows, elements, "rows", error) ||
            too_large(path, "layers", i, layer->n_scale, elements, "numbers to scale", error))
            return false;
    }
    return true;
}

static nn_model *build(const char *path, const description *d, int64_t elements,
                       const ad_context *context, nn_error *error)
{
    if (d->layers.n < 1 || d->config.n_inputs < 1) {
        nn_fail(error, AD_BAD_ARGUMENT, "%s: %s: missing", path,
                d->layers.n < 1 ? "layers" : "inputs");
        return NULL;
    }
    if (!credible(path, d, elements, error))
        return NULL;
    nn_model_config config = d->config;
    config.context = context;
    nn_model *model = nn_sequential(&config, d->layers.n, d->layers.list);
    if (nn_model_status(model) == AD_OK)
        return model;
    nn_fail(error, nn_model_status(model), "%s: %s", path, nn_model_error(model));
    nn_model_free(model);
    return NULL;
}

nn_model *nn_described(const char *path, const char *text, size_t size, int64_t elements,
                       const ad_context *context, nn_error *error)
{
    nn_numbers numbers;
    json_error_t why = {0};
    nn_model *model = NULL;
    description d = {0};
    if (!nn_c_numbers(&numbers)) {
        nn_no_memory(error);
        return NULL;
    }
    json_t *tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    place at = {.path = path, .error = error};
    if (!tree && !*why.text) /* what jansson says when it is out of memory */
        nn_no_memory(error);
    else if (!tree)
        nn_fail(error, AD_BAD_ARGUMENT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    else if (usable(path, tree, error) &&
             get_fields(&at, tree, COUNT(description_fields), description_fields, &d))
        model = build(path, &d, elements, context, error);
    free(d.layers.list);
    json_decref(tree);
    nn_own_numbers(&numbers);
    return model;
}
