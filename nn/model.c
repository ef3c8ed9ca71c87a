/* model.c - models: a function, its named variables, and recordings of it
 *
 * The table of variables is filled by the first pass, on two examples of zeros, when the model is
 * made. Later passes only look names up, so that a model can be recorded by several threads at
 * once. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "initialise.h"

/* ---- shapes ------------------------------------------------------------------------------ */

int64_t nn_shape_size(const nn_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++)
        n *= shape->size[i];
    return n;
}

ad_tensor *nn_shape_tensor(const nn_model *model, const nn_shape *shape, int64_t rows)
{
    int64_t sizes[AD_MAX_RANK] = {rows};
    memcpy(sizes + 1, shape->size, sizeof shape->size);
    return ad_tensor_new(model->config.context, shape->indices ? AD_I32 : model->config.dtype,
                         shape->rank + 1, sizes);
}

ad_status nn_model_inputs(const nn_model *model, ad_tape *tape, int64_t rows, ad_var *inputs)
{
    for (int k = 0; k < model->config.n_inputs; k++) {
        ad_tensor *zeros = nn_shape_tensor(model, &model->config.inputs[k], rows);
        if (!zeros) {
            ad_fail(tape, AD_NO_MEMORY, "model: out of memory for its inputs");
            return AD_NO_MEMORY;
        }
        inputs[k] = ad_input_tensor(tape, zeros);
        ad_tensor_free(zeros);
    }
    return ad_tape_status(tape);
}

/* ---- variables --------------------------------------------------------------------------- */

static nn_variable *find(const nn_model *model, const char *name)
{
    nn_variable *v = NULL;
    HASH_FIND_STR(model->table, name, v);
    return v;
}

static void variable_free(nn_variable *v)
{
    if (!v)
        return;
    ad_param_free(v->param);
    free(v->name);
    free(v);
}

/* Takes over the value. */
static nn_variable *variable_new(const char *name, ad_tensor *value, bool is_state)
{
    nn_variable *v = calloc(1, sizeof *v);
    if (v)
        v->name = malloc(strlen(name) + 1);
    if (!v || !v->name) {
        ad_tensor_free(value);
        variable_free(v);
        return NULL;
    }
    strcpy(v->name, name);
    v->is_state = is_state;
    v->param = ad_param_new(name, value, !is_state);
    if (!v->param) {
        variable_free(v);
        return NULL;
    }
    return v;
}

static bool variable_add(nn_model *model, nn_variable *v)
{
    if (model->n_variables == model->room) {
        int room = model->room ? 2 * model->room : 16;
        nn_variable **order = realloc(model->order, (size_t)room * sizeof(*order));
        if (!order)
            return false;
        model->order = order;
        model->room = room;
    }
    HASH_ADD_KEYPTR(hh, model->table, v->name, strlen(v->name), v);
    if (!find(model, v->name)) /* uthash had no memory */
        return false;
    model->order[model->n_variables++] = v;
    return true;
}

static bool same_shape(const ad_tensor *t, int rank, const int64_t *shape)
{
    if (ad_tensor_rank(t) != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (ad_tensor_shape(t)[i] != shape[i])
            return false;
    return true;
}

static ad_var complain(nn_pass *pass, ad_status status, const char *format, const char *name)
{
    char text[512];
    snprintf(text, sizeof text, format, name);
    return ad_fail(pass->tape, status, text);
}

typedef struct wanted { /* a variable as it is asked for */
    const char *name;
    int rank;
    const int64_t *shape;
    double fan_in, fan_out;
    nn_init init;
    bool is_state, transposed_in_files, bias;
} wanted;

static nn_variable *variable_make(nn_pass *pass, const char *name, const wanted *w)
{
    nn_model *model = pass->building;
    ad_tensor *value = ad_tensor_new(model->config.context, model->config.dtype, w->rank, w->shape);
    if (!value) {
        complain(pass, AD_NO_MEMORY, "parameter '%s': out of memory, or a bad shape", name);
        return NULL;
    }
    ad_status status = nn_initialise(value, w->init, w->fan_in, w->fan_out, w->bias,
                                     model->config.seed, nn_hash(name, 0));
    if (status) {
        complain(pass, status, "parameter '%s': its initial values cannot be made", name);
        ad_tensor_free(value);
        return NULL;
    }
    nn_variable *v = variable_new(name, value, w->is_state);
    if (!v || !variable_add(model, v)) {
        variable_free(v);
        complain(pass, AD_NO_MEMORY, "parameter '%s': out of memory", name);
        return NULL;
    }
    v->transposed_in_files = w->transposed_in_files;
    return v;
}

static ad_var ask(nn_pass *pass, const wanted *w)
{
    char name[NN_NAME_SIZE];
    if (!pass)
        return (ad_var){0};
    if (ad_tape_status(pass->tape))
        return ad_fail(pass->tape, AD_BAD_ARGUMENT, "");
    if (!w->name || !*w->name)
        return complain(pass, AD_NULL, "%s: a parameter needs a name", "nn_parameter");
    if ((size_t)snprintf(name, sizeof name, "%s%s", pass->scope, w->name) >= sizeof name)
        return complain(pass, AD_TOO_LARGE, "parameter '%.100s...': the name is too long", name);
    if (w->rank < 0 || w->rank > AD_MAX_RANK || (w->rank > 0 && !w->shape))
        return complain(pass, AD_BAD_SHAPE, "parameter '%s': a rank from 0 to 8 and a shape", name);
    nn_variable *v = find(pass->model, name);
    if (!v && !pass->building)
        return complain(
            pass, AD_NOT_RECORDED,
            "parameter '%s' was not asked for when the model was made: a model's function must ask "
            "for the same parameters each time",
            name);
    if (!v)
        v = variable_make(pass, name, w);
    if (!v)
        return ad_fail(pass->tape, AD_NO_MEMORY, "");
    if (!same_shape(ad_param_value(v->param), w->rank, w->shape))
        return complain(pass, AD_BAD_SHAPE,
                        "parameter '%s' is asked for with another shape than before: shared names "
                        "need one shape",
                        name);
    if (v->is_state != w->is_state)
        return complain(pass, AD_BAD_ARGUMENT,
                        "'%s' is asked for as a parameter and as a state: two names are needed",
                        name);
    if (pass->substitutes)
        for (int i = 0; i < pass->model->n_variables; i++)
            if (pass->model->order[i] == v && pass->substitutes[i].tape)
                return pass->substitutes[i];
    return ad_use(pass->tape, v->param);
}

ad_var nn_parameter(nn_pass *pass, const char *name, int rank, const int64_t *shape, nn_init init)
{
    double in = 1;
    for (int i = 0; shape && i + 1 < rank && i < AD_MAX_RANK; i++)
        in *= (double)shape[i];
    return ask(
        pass,
        &(wanted){.name = name,
                  .rank = rank,
                  .shape = shape,
                  .fan_in = in,
                  .fan_out = rank > 0 && rank <= AD_MAX_RANK && shape ? (double)shape[rank - 1] : 1,
                  .init = init,
                  .bias = rank < 2});
}

ad_var nn_parameter_with_fans(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                              double fan_in, double fan_out, nn_init init)
{
    return ask(pass, &(wanted){.name = name,
                               .rank = rank,
                               .shape = shape,
                               .fan_in = fan_in,
                               .fan_out = fan_out,
                               .init = init,
                               .bias = rank < 2});
}

ad_var nn_dense_weight(nn_pass *pass, const char *name, int64_t in, int64_t out, nn_init init)
{
    return ask(pass, &(wanted){.name = name,
                               .rank = 2,
                               .shape = (int64_t[]){in, out},
                               .fan_in = (double)in,
                               .fan_out = (double)out,
                               .init = init,
                               .transposed_in_files = true});
}

ad_var nn_state(nn_pass *pass, const char *name, int rank, const int64_t *shape, double value)
{
    return ask(pass, &(wanted){.name = name,
                               .rank = rank,
                               .shape = shape,
                               .init = {NN_INIT_CONSTANT, value, NULL},
                               .is_state = true});
}

ad_var nn_state_from(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                     const double *values, double otherwise)
{
    nn_init init = {values ? NN_INIT_VALUES : NN_INIT_CONSTANT, otherwise, values};
    return ask(
        pass,
        &(wanted){.name = name, .rank = rank, .shape = shape, .init = init, .is_state = true});
}

/* ---- passes ------------------------------------------------------------------------------ */

ad_tape *nn_tape(const nn_pass *pass) { return pass ? pass->tape : NULL; }

bool nn_is_training(const nn_pass *pass) { return pass && pass->training; }

ad_dtype nn_dtype(const nn_pass *pass) { return pass ? pass->model->config.dtype : AD_F64; }

void nn_scope_push(nn_pass *pass, const char *name)
{
    if (!pass)
        return;
    size_t used = strlen(pass->scope), more = name ? strlen(name) : 0;
    if (pass->depth == NN_MAX_SCOPES || used + more + 2 > sizeof pass->scope || more == 0) {
        ad_fail(pass->tape, AD_TOO_LARGE,
                "nn_scope_push: scopes need a name, at most 16 levels and 127 characters together");
        return;
    }
    pass->ends[pass->depth++] = used;
    pass->calls[pass->depth] = 0;
    memcpy(pass->scope + used, name, more);
    memcpy(pass->scope + used + more, ".", 2);
    ad_scope_push(pass->tape, name);
}

void nn_scope_pop(nn_pass *pass)
{
    if (!pass)
        return;
    if (pass->depth == 0) {
        ad_fail(pass->tape, AD_BAD_ARGUMENT, "nn_scope_pop: without a push before it");
        return;
    }
    pass->scope[pass->ends[--pass->depth]] = 0;
    ad_scope_pop(pass->tape);
}

/* how often this name was asked for before in this pass; -1 when out of memory */
static int occurrence(nn_pass *pass, const char *name)
{
    nn_count *c = NULL;
    HASH_FIND_STR(pass->counts, name, c);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c || !(c->name = malloc(strlen(name) + 1))) {
            free(c);
            return -1;
        }
        strcpy(c->name, name);
        HASH_ADD_KEYPTR(hh, pass->counts, c->name, strlen(c->name), c);
        nn_count *there = NULL;
        HASH_FIND_STR(pass->counts, name, there);
        if (!there) {
            free(c->name);
            free(c);
            return -1;
        }
    }
    return c->n++;
}

static void counts_free(nn_pass *pass)
{
    nn_count *c, *next;
    HASH_ITER(hh, pass->counts, c, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the table goes with its last count
        HASH_DEL(pass->counts, c);
        free(c->name);
        free(c);
    }
}

uint64_t nn_key(nn_pass *pass, const char *name)
{
    char full[2 * NN_NAME_SIZE];
    if (!pass)
        return 0;
    int length = snprintf(full, sizeof full, "key:%s%s", pass->scope, name ? name : "");
    if ((size_t)length >= sizeof full) /* cut, two names could become one */
        ad_fail(pass->tape, AD_TOO_LARGE, "nn_key: the name is too long");
    int n = occurrence(pass, full);
    if (n < 0)
        ad_fail(pass->tape, AD_NO_MEMORY, "nn_key: out of memory");
    return nn_hash(full, (uint64_t)n + 1);
}

ad_var nn_pass_run(nn_pass *pass, const ad_var *inputs)
{
    ad_var y = pass->model->function(pass, inputs, pass->model->user);
    if (ad_tape_status(pass->tape))
        y = ad_fail(pass->tape, AD_BAD_ARGUMENT, ""); /* what went wrong is on the tape already */
    else if (pass->depth > 0)
        y = complain(pass, AD_BAD_ARGUMENT,
                     "model: its function left the scope '%s' open: each nn_scope_push needs an "
                     "nn_scope_pop",
                     pass->scope);
    else if (ad_rank(y) < 0)
        y = ad_fail(pass->tape, AD_NULL, "model: its function gave no variable back");
    else if (ad_rank(y) > 0 && y.tape != pass->tape)
        y = ad_fail(pass->tape, AD_FOREIGN,
                    "model: its function gave a variable of another tape back");
    while (pass->depth > 0)
        nn_scope_pop(pass);
    counts_free(pass);
    return y;
}

ad_var nn_record(const nn_model *model, ad_tape *tape, bool training, const ad_var *inputs)
{
    if (!model || !inputs)
        return ad_fail(tape, AD_NULL, "nn_record: no model, or no inputs");
    if (model->error.status)
        return ad_fail(tape, model->error.status, model->error.text);
    nn_pass pass = {.model = model, .tape = tape, .training = training};
    return nn_pass_run(&pass, inputs);
}

/* ---- construction ------------------------------------------------------------------------ */

/* A model that could not even be allocated: shared, never written, never freed. */
static const nn_model dead_model = {.error = {AD_NO_MEMORY, "model: out of memory"}};

static ad_var run_layers(nn_pass *pass, const ad_var *inputs, void *user)
{
    (void)user;
    ad_var x = inputs[0];
    for (int i = 0; i < pass->model->n_layers; i++)
        x = nn_apply(pass, NULL, pass->model->layers[i], x);
    return x;
}

static char *copy_text(const char *text, bool *ok)
{
    char *copy = text ? malloc(strlen(text) + 1) : NULL;
    if (copy)
        strcpy(copy, text);
    *ok = *ok && (!text || copy);
    return copy;
}

static double *copy_numbers(const double *numbers, int64_t n, bool *ok)
{
    double *copy = numbers && n > 0 ? malloc((size_t)n * sizeof(double)) : NULL;
    if (copy)
        memcpy(copy, numbers, (size_t)n * sizeof(double));
    *ok = *ok && (!numbers || n <= 0 || copy);
    return copy;
}

static bool copy_layers(nn_model *model, int n, const nn_layer *layers)
{
    bool ok = true;
    model->layers = calloc((size_t)n, sizeof(nn_layer));
    if (!model->layers)
        return false;
    model->n_layers = n;
    for (int i = 0; i < n; i++) {
        nn_layer *to = &model->layers[i];
        *to = layers[i];
        to->name = copy_text(layers[i].name, &ok);
        to->activation = copy_text(layers[i].activation, &ok);
        to->scale = copy_numbers(layers[i].scale, layers[i].n_scale, &ok);
        to->shift = copy_numbers(layers[i].shift, layers[i].n_scale, &ok);
    }
    return ok;
}

/* nn_init's values belong to the caller and are read once; later readings of the list must not see
 * them. */
static void forget_values(nn_model *model)
{
    for (int i = 0; i < model->n_layers; i++) {
        nn_layer *layer = &model->layers[i];
        if (layer->weight_init.kind == NN_INIT_VALUES)
            layer->weight_init = (nn_init){0};
        if (layer->bias_init.kind == NN_INIT_VALUES)
            layer->bias_init = (nn_init){0};
    }
}

static ad_status check_inputs(nn_model *model)
{
    nn_model_config *c = &model->config;
    if (c->n_inputs == 0)
        c->n_inputs = 1;
    if (c->n_inputs < 0 || c->n_inputs > NN_MAX_INPUTS)
        return nn_fail(&model->error, AD_BAD_ARGUMENT, "model: %d inputs, but 1 to %d are possible",
                       c->n_inputs, NN_MAX_INPUTS);
    if (c->dtype != AD_F32 && c->dtype != AD_F64)
        return nn_fail(&model->error, AD_BAD_DTYPE, "model: its dtype must be AD_F64 or AD_F32");
    for (int k = 0; k < c->n_inputs; k++) {
        const nn_shape *s = &c->inputs[k];
        bool ok = s->rank >= 0 && s->rank < AD_MAX_RANK;
        for (int i = 0; ok && i < s->rank; i++)
            ok = s->size[i] > 0;
        if (!ok)
            return nn_fail(
                &model->error, AD_BAD_SHAPE,
                "model: input %d: its shape (of one example) needs 0 to %d sizes above 0", k,
                AD_MAX_RANK - 1);
    }
    return AD_OK;
}

/* The tape's error, with the layer in which it happened. */
static void keep_error(nn_model *model, const nn_pass *pass)
{
    const char *text = ad_tape_error(pass->tape), *own = "model: ";
    const int length = (int)strlen(pass->culprit) - 1; /* without the dot */
    if (!strncmp(text, own, strlen(own)))
        text += strlen(own);
    if (length > 0)
        nn_fail(&model->error, ad_tape_status(pass->tape), "model: layer '%.*s': %s", length,
                pass->culprit, text);
    else
        nn_fail(&model->error, ad_tape_status(pass->tape), "model: %s", text);
}

/* Is the last operation a sigmoid or softmax, but for those that only move elements? */
static bool ends_in_probabilities(const ad_tape *tape, ad_var y)
{
    static const char *const moving[] = {"reshape", "permute", "slice", "expand"};
    ad_node_info info;
    bool moves = true;
    for (int64_t node = ad_var_node(y); moves && node >= 0 && !ad_node_at(tape, node, &info);
         node = ad_node_parent(tape, node, 0)) {
        if (strcmp(info.operation, "sigmoid") == 0 || strcmp(info.operation, "softmax") == 0)
            return true;
        moves = false;
        for (size_t i = 0; i < sizeof moving / sizeof *moving; i++)
            moves = moves || strcmp(info.operation, moving[i]) == 0;
    }
    return false;
}

/* The first pass, which makes the variables. Two examples, since batch norm wants more than one. */
static void first_pass(nn_model *model)
{
    enum { ROWS = 2 };
    ad_var inputs[NN_MAX_INPUTS];
    ad_tape *tape = ad_tape_new(model->config.context);
    nn_model_inputs(model, tape, ROWS, inputs);
    nn_pass pass = {.model = model, .building = model, .tape = tape, .training = true};
    ad_var y = {0};
    if (!ad_tape_status(tape))
        y = nn_pass_run(&pass, inputs);
    if (!ad_tape_status(tape) && (ad_rank(y) < 1 || ad_shape(y)[0] != ROWS))
        ad_fail(tape, AD_BAD_SHAPE,
                "model: its function must give a tensor whose first axis counts the examples, as "
                "its inputs' do");
    if (ad_tape_status(tape)) {
        keep_error(model, &pass);
    } else {
        model->output = (nn_shape){.rank = ad_rank(y) - 1};
        memcpy(model->output.size, ad_shape(y) + 1, (size_t)model->output.rank * sizeof(int64_t));
        model->gives_probabilities = ends_in_probabilities(tape, y);
    }
    ad_tape_free(tape);
}

nn_model *nn_model_make(const nn_model_config *config, nn_function function, void *user, int n,
                        const nn_layer *layers)
{
    nn_model *model = calloc(1, sizeof *model);
    if (!model)
        return (nn_model *)(uintptr_t)&dead_model;
    if (config)
        model->config = *config;
    model->function = function ? function : run_layers;
    model->user = user;
    if (!config)
        nn_fail(&model->error, AD_NULL, "model: no config, which gives the shape of its inputs");
    else if (!function && (n < 1 || !layers))
        nn_fail(&model->error, AD_NULL, "model: no layers");
    else if (check_inputs(model))
        return model;
    else if (!function && model->config.n_inputs != 1)
        nn_fail(&model->error, AD_BAD_ARGUMENT,
                "model: %d inputs, but a list of layers takes 1; for more, write the model as a "
                "function",
                model->config.n_inputs);
    else if (!function && !copy_layers(model, n, layers))
        nn_no_memory(&model->error);
    else
        first_pass(model);
    forget_values(model);
    return model;
}

nn_model *nn_model_new(const nn_model_config *config, nn_function function, void *user)
{
    nn_model *model = nn_model_make(config, function, user, 0, NULL);
    if (!function && model != &dead_model)
        model->error = (nn_error){AD_NULL, "model: no function"};
    return model;
}

nn_model *nn_sequential(const nn_model_config *config, int n, const nn_layer *layers)
{
    return nn_model_make(config, NULL, NULL, n, layers);
}

nn_model *nn_mlp(const nn_mlp_config *config)
{
    nn_layer layers[4 * NN_MAX_HIDDEN + 1];
    int n = 0;
    if (!config)
        return nn_sequential(NULL, 0, NULL);
    const nn_mlp_config c = *config;
    for (int i = 0; i < NN_MAX_HIDDEN && c.hidden[i] != 0; i++) {
        layers[n] = nn_dense(c.hidden[i], NULL);
        layers[n].weight_init = c.weight_init;
        layers[n++].bias_init = c.bias_init;
        if (c.batch_norm)
            layers[n++] = nn_batch_norm();
        layers[n++] = nn_activation(c.activation ? c.activation : NN_RELU);
        if (c.dropout != 0)
            layers[n++] = nn_dropout(c.dropout);
    }
    layers[n] = nn_dense(c.out, c.output);
    layers[n].weight_init = c.weight_init;
    layers[n++].bias_init = c.bias_init;
    nn_model_config model = {.context = c.context,
                             .seed = c.seed,
                             .dtype = c.dtype,
                             .n_inputs = 1,
                             .inputs = {{.rank = 1, .size = {c.in}}}};
    return nn_sequential(&model, n, layers);
}

void nn_model_free(nn_model *model)
{
    if (!model || model == &dead_model)
        return;
    HASH_CLEAR(hh, model->table);
    for (int i = 0; i < model->n_variables; i++)
        variable_free(model->order[i]);
    for (int i = 0; i < model->n_layers; i++) {
        const nn_layer *layer = &model->layers[i];
        free((void *)(uintptr_t)layer->name);
        free((void *)(uintptr_t)layer->activation);
        free((void *)(uintptr_t)layer->scale);
        free((void *)(uintptr_t)layer->shift);
    }
    nn_history_clear(&model->history);
    free(model->layers);
    free(model->order);
    free(model->notes);
    free(model);
}

/* ---- questions --------------------------------------------------------------------------- */

ad_status nn_model_ready(const nn_model *model, nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!model)
        return nn_fail(error, AD_NULL, "no model");
    if (model->error.status)
        return nn_fail(error, model->error.status, "%s", model->error.text);
    return AD_OK;
}

ad_status nn_model_status(const nn_model *model) { return model ? model->error.status : AD_NULL; }

const char *nn_model_error(const nn_model *model) { return model ? model->error.text : "no model"; }

const nn_model_config *nn_model_config_of(const nn_model *model)
{
    return model ? &model->config : NULL;
}

nn_history *nn_model_history(const nn_model *model)
{
    return model && model != &dead_model ? (nn_history *)(uintptr_t)&model->history : NULL;
}

int nn_layer_count(const nn_model *model) { return model ? model->n_layers : 0; }

const nn_layer *nn_layer_at(const nn_model *model, int i)
{
    return model && i >= 0 && i < model->n_layers ? &model->layers[i] : NULL;
}

int nn_param_count(const nn_model *model) { return model ? model->n_variables : 0; }

ad_param *nn_param_at(const nn_model *model, int i)
{
    return model && i >= 0 && i < model->n_variables ? model->order[i]->param : NULL;
}

ad_param *nn_param_find(const nn_model *model, const char *name)
{
    nn_variable *v = model && name ? find(model, name) : NULL;
    return v ? v->param : NULL;
}

int64_t nn_size(const nn_model *model)
{
    int64_t n = 0;
    for (int i = 0; model && i < model->n_variables; i++)
        n += model->order[i]->is_state ? 0 : ad_tensor_size(ad_param_value(model->order[i]->param));
    return n;
}

int64_t nn_trainable_size(const nn_model *model)
{
    int64_t n = 0;
    for (int i = 0; model && i < model->n_variables; i++)
        if (ad_param_trainable(model->order[i]->param))
            n += ad_tensor_size(ad_param_value(model->order[i]->param));
    return n;
}

int nn_freeze(nn_model *model, const char *name, bool frozen)
{
    size_t length = name ? strlen(name) : 0;
    int n = 0;
    for (int i = 0; model && i < model->n_variables; i++) {
        nn_variable *v = model->order[i];
        bool fits = length == 0 || (!strncmp(v->name, name, length) &&
                                    (v->name[length] == 0 || v->name[length] == '.'));
        if (!fits || v->is_state)
            continue;
        ad_param_set_trainable(v->param, !frozen);
        n++;
    }
    return n;
}
