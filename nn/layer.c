/* layer.c - the layers, each a few lines of expression code
 *
 * Adding a kind is a row of the table and its function; saving, loading and the summary follow. */
#include "layer.h"

#include <float.h>
#include <string.h>

/* ---- layers in short --------------------------------------------------------------------- */

nn_layer nn_dense(int64_t units, const char *activation)
{
    return (nn_layer){.kind = NN_DENSE, .units = units, .activation = activation};
}

nn_layer nn_activation(const char *activation)
{
    return (nn_layer){.kind = NN_ACTIVATION, .activation = activation};
}

nn_layer nn_dropout(double rate) { return (nn_layer){.kind = NN_DROPOUT, .rate = rate}; }

nn_layer nn_flatten(void) { return (nn_layer){.kind = NN_FLATTEN}; }

nn_layer nn_layer_norm(void) { return (nn_layer){.kind = NN_LAYER_NORM}; }

nn_layer nn_batch_norm(void) { return (nn_layer){.kind = NN_BATCH_NORM}; }

nn_layer nn_embedding(int64_t rows, int64_t width)
{
    return (nn_layer){.kind = NN_EMBEDDING, .rows = rows, .units = width};
}

nn_layer nn_conv2d(int64_t channels, int64_t kernel, int64_t padding, const char *activation)
{
    return (nn_layer){.kind = NN_CONV2D,
                      .units = channels,
                      .kernel = {kernel, kernel},
                      .padding = {padding, padding},
                      .activation = activation};
}

nn_layer nn_max_pool2d(int64_t size)
{
    return (nn_layer){.kind = NN_MAX_POOL2D, .kernel = {size, size}};
}

nn_layer nn_average_pool2d(int64_t size)
{
    return (nn_layer){.kind = NN_AVERAGE_POOL2D, .kernel = {size, size}};
}

nn_layer nn_custom(const char *name, nn_layer_function function, void *user)
{
    return (nn_layer){.kind = NN_CUSTOM, .name = name, .function = function, .user = user};
}

/* ---- what several need ------------------------------------------------------------------- */

void nn_pair(const int64_t field[2], int64_t otherwise, int64_t pair[2])
{
    pair[0] = field[0] ? field[0] : otherwise;
    pair[1] = field[1] ? field[1] : pair[0];
}

static ad_var wrong(nn_pass *pass, ad_status status, const char *text)
{
    return ad_fail(pass->tape, status, text);
}

static ad_var wrong_shape(nn_pass *pass, const char *layer, const char *want, ad_var x)
{
    char text[256], shape[96] = "(";
    for (int i = 0; i < ad_rank(x); i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", i ? "," : "",
                 (long long)ad_shape(x)[i]);
    snprintf(text, sizeof text, "%s: input %s), but it takes %s", layer, shape, want);
    return ad_fail(pass->tape, AD_BAD_SHAPE, text);
}

/* (n) -> (n,1,1...): along the second axis of a tensor of that rank */
static ad_var along_channels(ad_var v, int rank)
{
    int64_t shape[AD_MAX_RANK] = {ad_size(v), 1, 1, 1, 1, 1, 1, 1};
    return rank <= 2 ? v : ad_reshape(v, rank - 1, shape);
}

static bool failed(const nn_pass *pass) { return ad_tape_status(pass->tape) != AD_OK; }

/* ---- activations ------------------------------------------------------------------------- */

static ad_var unknown_activation(nn_pass *pass, const char *name)
{
    static const char *const others[] = {NN_LEAKY_RELU, NN_ELU, NN_SOFTMAX, NN_LOG_SOFTMAX};
    const char *best = NULL;
    char text[256];
    for (int i = 0; i < ad_op_count(); i++)
        if (ad_op_at(i)->elementwise && ad_op_at(i)->arity == 1)
            ad_suggest(name, ad_op_at(i)->name, &best);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ad_suggest(name, others[i], &best);
    snprintf(text, sizeof text, "unknown activation '%.60s'%s%s%s", name,
             best ? "; did you mean '" : "; docs/ops.md lists the operations of one argument",
             best ? best : "", best ? "'?" : "");
    return ad_fail(pass->tape, AD_BAD_ARGUMENT, text);
}

ad_var nn_apply_activation(nn_pass *pass, const char *activation, double slope, ad_var x)
{
    if (!activation)
        return x;
    if (!pass)
        return (ad_var){0};
    if (!strcmp(activation, NN_SOFTMAX))
        return ad_softmax(x, -1);
    if (!strcmp(activation, NN_LOG_SOFTMAX))
        return ad_log_softmax(x, -1);
    if (!strcmp(activation, NN_LEAKY_RELU))
        return ad_leaky_relu(x, slope != 0 ? slope : .01);
    if (!strcmp(activation, NN_ELU))
        return ad_elu(x, slope != 0 ? slope : 1.);
    for (int i = 0; i < ad_op_count(); i++) {
        const ad_op_info *op = ad_op_at(i);
        if (op->elementwise && op->arity == 1 && !strcmp(op->name, activation))
            return ad_apply(i, 1, &x);
    }
    return unknown_activation(pass, activation);
}

static ad_var apply_activation(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    /* the activation itself is applied to every kind's result */
    return layer->activation ? x : wrong(pass, AD_NULL, "activation: without a name");
}

/* ---- dense and embedding ----------------------------------------------------------------- */

static ad_var apply_dense(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    if (layer->units < 1)
        return wrong(pass, AD_BAD_ARGUMENT, "dense: units must be 1 or more");
    if (ad_rank(x) < 2)
        return wrong_shape(pass, "dense", "(N,...,features)", x);
    const int64_t in = ad_shape(x)[ad_rank(x) - 1], out = layer->units;
    ad_var w = nn_dense_weight(pass, "weight", in, out, layer->weight_init);
    ad_var y = ad_matmul(x, w);
    if (layer->no_bias)
        return y;
    ad_var b = nn_parameter_with_fans(pass, "bias", 1, &out, (double)in, (double)out,
                                      layer->bias_init.kind ? layer->bias_init
                                                            : (nn_init){.kind = NN_INIT_TORCH});
    return ad_add(y, b);
}

static ad_var apply_embedding(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    if (layer->rows < 1 || layer->units < 1)
        return wrong(pass, AD_BAD_ARGUMENT, "embedding: rows and units must be 1 or more");
    if (ad_dtype_of(x) != AD_I32)
        return wrong(pass, AD_BAD_DTYPE,
                     "embedding: its input must be int32 indices (nn_shape.indices of that input)");
    nn_init init = layer->weight_init.kind ? layer->weight_init
                                           : (nn_init){.kind = NN_INIT_NORMAL, .value = 1};
    ad_var w = nn_parameter(pass, "weight", 2, (int64_t[]){layer->rows, layer->units}, init);
    return ad_take(w, 0, x);
}

/* ---- shape and noise --------------------------------------------------------------------- */

static ad_var apply_flatten(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    (void)layer;
    if (ad_rank(x) < 1)
        return wrong_shape(pass, "flatten", "(N,...)", x);
    int64_t rest = 1;
    for (int i = 1; i < ad_rank(x); i++)
        rest *= ad_shape(x)[i];
    return ad_reshape(x, 2, (int64_t[]){ad_shape(x)[0], rest});
}

static ad_var apply_dropout(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const double keep = 1 - layer->rate;
    if (!(layer->rate >= 0 && layer->rate < 1))
        return wrong(pass, AD_BAD_ARGUMENT,
                     "dropout: the rate is the probability of dropping, from 0 to below 1");
    if (!pass->training || layer->rate == 0)
        return x;
    ad_var mask = ad_random_bernoulli(pass->tape, nn_key(pass, "dropout"), keep, ad_dtype_of(x),
                                      ad_rank(x), ad_shape(x));
    return ad_mul(x, ad_mul(mask, 1 / keep));
}

static ad_var apply_scale(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const int rank = ad_rank(x) - 1;
    if (rank < 1 || ad_size(x) / (ad_shape(x)[0] ? ad_shape(x)[0] : 1) != layer->n_scale)
        return wrong_shape(pass, "scale", "as many features as its scaler has", x);
    ad_var scale = nn_state_from(pass, "scale", rank, ad_shape(x) + 1, layer->scale, 1);
    ad_var shift = nn_state_from(pass, "shift", rank, ad_shape(x) + 1, layer->shift, 0);
    return ad_add(ad_mul(x, scale), shift);
}

static ad_var apply_custom(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    return layer->function ? layer->function(pass, x, layer->user)
                           : wrong(pass, AD_NULL, "custom layer: no function");
}

/* ---- normalisation ----------------------------------------------------------------------- */

static double epsilon_of(const nn_layer *layer)
{
    return layer->epsilon > 0 ? layer->epsilon : 1e-5;
}

static ad_var affine(nn_pass *pass, const nn_layer *layer, int64_t n, int rank, ad_var x)
{
    if (layer->no_affine)
        return x;
    ad_var w =
        nn_parameter(pass, "weight", 1, &n,
                     layer->weight_init.kind ? layer->weight_init
                                             : (nn_init){.kind = NN_INIT_CONSTANT, .value = 1});
    ad_var b = nn_parameter(pass, "bias", 1, &n,
                            layer->bias_init.kind ? layer->bias_init
                                                  : (nn_init){.kind = NN_INIT_CONSTANT});
    return ad_add(ad_mul(x, along_channels(w, rank)), along_channels(b, rank));
}

static ad_var apply_layer_norm(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const int last = -1;
    if (ad_rank(x) < 2)
        return wrong_shape(pass, "layer_norm", "(N,...,features)", x);
    if (!(layer->epsilon >= 0))
        return wrong(pass, AD_BAD_ARGUMENT, "layer_norm: epsilon must be 0 (for 1e-5) or more");
    ad_var centred = ad_sub(x, ad_mean_axes(x, 1, &last, true));
    ad_var variance = ad_var_axes(x, 1, &last, true, 0);
    ad_var y = ad_mul(centred, ad_rsqrt(ad_add(variance, epsilon_of(layer))));
    return affine(pass, layer, ad_shape(x)[ad_rank(x) - 1], 2, y);
}

/* state <- (1 - momentum) state + momentum value, when the step has run */
static void follow(ad_var state, double momentum, ad_var value)
{
    ad_assign(state,
              ad_add(ad_mul(1 - momentum, state), ad_mul(momentum, ad_stop_gradient(value))));
}

static ad_var apply_batch_norm(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const int rank = ad_rank(x);
    if (rank < 2)
        return wrong_shape(pass, "batch_norm", "(N,channels,...)", x);
    if (!(layer->epsilon >= 0 && layer->momentum >= 0 && layer->momentum <= 1))
        return wrong(pass, AD_BAD_ARGUMENT,
                     "batch_norm: epsilon must be 0 (for 1e-5) or more, momentum from 0 (for .1) "
                     "to 1");
    const int64_t channels = ad_shape(x)[1], count = ad_size(x) / (channels ? channels : 1);
    const double momentum = layer->momentum > 0 ? layer->momentum : .1;
    int axes[AD_MAX_RANK] = {0}, n = 1;
    for (int i = 2; i < rank; i++)
        axes[n++] = i;
    ad_var running_mean = nn_state(pass, "running_mean", 1, &channels, 0);
    ad_var running_var = nn_state(pass, "running_var", 1, &channels, 1);
    ad_var mean = running_mean, variance = running_var;
    if (pass->training) {
        if (count < 2)
            return wrong(
                pass, AD_BAD_SHAPE,
                "batch_norm: training needs more than one value a channel (a batch of 2 or more)");
        mean = ad_mean_axes(x, n, axes, false);
        variance = ad_var_axes(x, n, axes, false, 0);
        follow(running_mean, momentum, mean);
        follow(running_var, momentum, ad_mul((double)count / ((double)count - 1), variance));
    }
    ad_var scale = ad_rsqrt(ad_add(variance, epsilon_of(layer)));
    ad_var y = ad_mul(ad_sub(x, along_channels(mean, rank)), along_channels(scale, rank));
    return affine(pass, layer, channels, rank, y);
}

/* ---- convolution and pooling -------------------------------------------------------------- */

static ad_var bordered(ad_var x, const int64_t padding[2], double value)
{
    const int64_t around[4] = {0, 0, padding[0], padding[1]};
    return padding[0] || padding[1] ? ad_pad(x, around, around, value) : x;
}

/* (N,C,H,W) -> (N,C,H',W',kh,kw); null after an error */
static ad_var cut_windows(nn_pass *pass, const nn_layer *layer, const char *what,
                          int64_t stride_otherwise, double border, ad_var x)
{
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    nn_pair(layer->kernel, 0, kernel);
    nn_pair(layer->stride, stride_otherwise, stride);
    nn_pair(layer->dilation, 1, dilation);
    memcpy(padding, layer->padding, sizeof padding);
    if (ad_rank(x) != 4)
        return wrong_shape(pass, what, "(N,channels,height,width)", x);
    if (kernel[0] < 1 || kernel[1] < 1 || padding[0] < 0 || padding[1] < 0)
        return wrong(pass, AD_BAD_ARGUMENT,
                     "convolution or pooling: kernel must be 1 or more, padding 0 or more");
    return ad_windows(bordered(x, padding, border), 2, kernel, stride, dilation);
}

/* Convolution is a product: the windows become columns (C/groups kh kw, H'W'), the weights rows. */
static ad_var apply_conv2d(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const int64_t groups = layer->groups ? layer->groups : 1, out = layer->units;
    if (out < 1 || groups < 1)
        return wrong(pass, AD_BAD_ARGUMENT, "conv2d: units and groups must be 1 or more");
    ad_var windows = cut_windows(pass, layer, "conv2d", 1, 0, x);
    if (failed(pass))
        return windows;
    const int64_t *s = ad_shape(windows), rows = s[0], channels = s[1], h = s[2], w = s[3];
    const int64_t kh = s[4], kw = s[5], depth = channels / groups * kh * kw;
    if (out % groups || channels % groups)
        return wrong(pass, AD_BAD_ARGUMENT,
                     "conv2d: channels and units must be multiples of groups");
    const int64_t units = out / groups;
    const double fan_in = (double)depth, fan_out = (double)units * (double)(kh * kw);
    ad_var weight =
        nn_parameter_with_fans(pass, "weight", 4, (int64_t[]){out, channels / groups, kh, kw},
                               fan_in, fan_out, layer->weight_init);
    ad_var columns = ad_permute(windows, ((const int[]){0, 1, 4, 5, 2, 3}));
    ad_var y;
    if (groups == 1)
        y = ad_matmul(ad_reshape(weight, 2, (int64_t[]){out, depth}),
                      ad_reshape(columns, 3, (int64_t[]){rows, depth, h * w}));
    else
        y = ad_matmul(ad_reshape(weight, 3, (int64_t[]){groups, out / groups, depth}),
                      ad_reshape(columns, 4, (int64_t[]){rows, groups, depth, h * w}));
    y = ad_reshape(y, 4, (int64_t[]){rows, out, h, w});
    if (layer->no_bias)
        return y;
    ad_var b = nn_parameter_with_fans(pass, "bias", 1, &out, fan_in, fan_out,
                                      layer->bias_init.kind ? layer->bias_init
                                                            : (nn_init){.kind = NN_INIT_TORCH});
    return ad_add(y, along_channels(b, 4));
}

static ad_var pool(nn_pass *pass, const nn_layer *layer, const char *what, double border, ad_var x,
                   ad_var reduce(ad_var a, int n, const int *axes, bool keep))
{
    int64_t kernel[2];
    nn_pair(layer->kernel, 0, kernel);
    if (kernel[0] > 0 && kernel[1] > 0 &&
        (layer->padding[0] > kernel[0] / 2 || layer->padding[1] > kernel[1] / 2))
        return wrong(pass, AD_BAD_ARGUMENT, "pooling: padding can be at most half the kernel");
    int64_t stride[2] = {layer->stride[0] ? layer->stride[0] : kernel[0],
                         layer->stride[1]   ? layer->stride[1]
                         : layer->stride[0] ? layer->stride[0]
                                            : kernel[1]};
    nn_layer with_stride = *layer;
    memcpy(with_stride.stride, stride, sizeof stride);
    ad_var windows = cut_windows(pass, &with_stride, what, 1, border, x);
    return failed(pass) ? windows : reduce(windows, 2, (const int[]){-2, -1}, false);
}

/* Its border is the least number, not -infinity, which a context that checks every operation would
 * take for an overflow. */
static ad_var apply_max_pool2d(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    const double least = ad_dtype_of(x) == AD_F32 ? -(double)FLT_MAX : -DBL_MAX;
    return pool(pass, layer, "max_pool2d", least, x, (ad_amax_axes));
}

static ad_var apply_average_pool2d(nn_pass *pass, const nn_layer *layer, ad_var x)
{
    return pool(pass, layer, "average_pool2d", 0, x, (ad_mean_axes));
}

/* ---- the table --------------------------------------------------------------------------- */

static const nn_layer_type types[NN_LAYER_KINDS] = {
    [NN_DENSE] = {"dense", apply_dense},
    [NN_ACTIVATION] = {"activation", apply_activation},
    [NN_DROPOUT] = {"dropout", apply_dropout},
    [NN_FLATTEN] = {"flatten", apply_flatten},
    [NN_LAYER_NORM] = {"layer_norm", apply_layer_norm},
    [NN_BATCH_NORM] = {"batch_norm", apply_batch_norm},
    [NN_EMBEDDING] = {"embedding", apply_embedding},
    [NN_CONV2D] = {"conv2d", apply_conv2d},
    [NN_MAX_POOL2D] = {"max_pool2d", apply_max_pool2d},
    [NN_AVERAGE_POOL2D] = {"average_pool2d", apply_average_pool2d},
    [NN_SCALE] = {"scale", apply_scale},
    [NN_CUSTOM] = {"custom", apply_custom},
};

const nn_layer_type *nn_layer_type_of(nn_layer_kind kind)
{
    return (int)kind > 0 && kind < NN_LAYER_KINDS && types[kind].name ? &types[kind] : NULL;
}

/* ---- applying ---------------------------------------------------------------------------- */

static void take_output(nn_pass *pass, const char *name, ad_var y)
{
    if (!pass->outputs)
        return;
    if (pass->n_outputs < pass->max_outputs) {
        nn_output *o = &pass->outputs[pass->n_outputs];
        snprintf(o->name, sizeof o->name, "%s%s", pass->scope, name);
        o->value = y;
    }
    pass->n_outputs++;
}

/* Users' layers may be wrong: what they give back, and how they leave the scopes, is looked at. */
static ad_var apply_in_scope(nn_pass *pass, const nn_layer_type *type, const char *name,
                             const nn_layer *layer, ad_var x)
{
    char text[2 * NN_NAME_SIZE], scope[NN_NAME_SIZE];
    const int depth = pass->depth;
    nn_scope_push(pass, name);
    if (failed(pass))
        return wrong(pass, AD_BAD_ARGUMENT, "");
    memcpy(scope, pass->scope, sizeof scope);
    ad_var y = type->apply(pass, layer, x);
    if (!failed(pass))
        y = nn_apply_activation(pass, layer->activation, layer->slope, y);
    if (!failed(pass) && pass->depth != depth + 1) {
        snprintf(text, sizeof text,
                 "layer '%.120s': its function pushes and pops scopes unequally often", name);
        y = wrong(pass, AD_BAD_ARGUMENT, text);
    }
    if (!failed(pass) && ad_rank(y) < 0) {
        snprintf(text, sizeof text, "layer '%.120s': its function gave no variable back", name);
        y = wrong(pass, AD_NULL, text);
    }
    if (failed(pass) && !*pass->culprit)
        memcpy(pass->culprit, scope, sizeof pass->culprit);
    while (pass->depth > depth)
        nn_scope_pop(pass);
    return y;
}

ad_var nn_apply(nn_pass *pass, const char *name, nn_layer layer, ad_var x)
{
    char number[16];
    const nn_layer_type *type = nn_layer_type_of(layer.kind);
    if (!pass)
        return (ad_var){0};
    name = name ? name : layer.name;
    int call = pass->calls[pass->depth]++;
    if (!name) {
        snprintf(number, sizeof number, "%d", call);
        name = number;
    }
    if (!type)
        return wrong(pass, AD_BAD_ARGUMENT,
                     "layer: its kind is none of NN_DENSE, NN_ACTIVATION, ...");
    if (!failed(pass) && ad_rank(x) < 0)
        return wrong(pass, AD_NULL, "nn_apply: its input is no variable");
    if (!failed(pass) && ad_rank(x) > 0 && x.tape != pass->tape)
        return wrong(pass, AD_FOREIGN, "nn_apply: its input is a variable of another tape");
    if (failed(pass))
        return wrong(pass, AD_BAD_ARGUMENT, "");
    const int64_t before = nn_size(pass->model) - pass->model->noted;
    ad_var y = apply_in_scope(pass, type, name, &layer, x);
    if (failed(pass))
        return y;
    take_output(pass, name, y);
    if (pass->building) /* what layers inside this one have noted counts there */
        nn_note_layer(pass->building, pass->scope, name, &layer, y,
                      nn_size(pass->model) - pass->model->noted - before);
    return y;
}
