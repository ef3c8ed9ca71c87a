/* clang-format off */
/* nn.h - models, losses, optimizers and training, as expression code on the tape of ad.h
 *
 *     #include <tapegrad/nn.h>
 *
 *     nn_error error = {0};
 *     nn_data *all = nn_read_csv("digits.csv", &(nn_csv_config){.label = "digit"}, &error), *part[3];
 *     nn_split(all, &(nn_split_config){.validation = .1, .test = .2, .stratified = true}, part, &error);
 *     nn_model *m = nn_mlp(&(nn_mlp_config){.in = 64, .hidden = {64, 32}, .out = 10, .seed = 1});
 *     nn_fit(m, part[NN_TRAIN], &(nn_fit_config){
 *         .loss = NN_SOFTMAX_CROSS_ENTROPY, .optimizer = nn_adam(1e-3), .batch = 32, .epochs = 50,
 *         .validation = part[NN_VALIDATION], .metrics = NN_ACCURACY, .callbacks = {nn_progress(stderr)}}, &error);
 *     nn_scores scores;
 *     nn_evaluate(m, part[NN_TEST], NULL, &scores, &error);
 *     if (error.status)
 *         fprintf(stderr, "%s\n", error.text);
 *
 * MODEL.    A model is a function, written as expression code, and the named parameters that it asks
 *           for. A list of layers (nn_sequential, nn_mlp) is such a function already. Layers are
 *           values: a list of them makes a network, and nn_apply uses one inside a function of your own.
 * ERRORS.   Calls that can fail take an nn_error, which keeps the first error: a call that finds one
 *           in it does nothing and gives that status back (or NULL), so that one look at the end is
 *           enough. NULL is allowed. What is wrong with a model's construction is kept by the model
 *           and reported by the first call that uses it. Nothing here aborts or prints, except to the
 *           FILE it is given.
 * SHAPES.   The first axis of every input, target and prediction counts examples.
 * BITS.     Everything random is drawn by Philox 4x32-10 from the model's seed, a key and a step
 *           number: the same seed gives the same bits, on any number of threads and after a resumed run.
 * THREADS.  Predicting and evaluating only read a model: any number of threads at once. Fitting,
 *           loading and freezing want it alone. Large operations use the threads of the model's
 *           context, and a fit reads its next batch while a step runs. */
/* clang-format on */
#ifndef TAPEGRAD_NN_H
#define TAPEGRAD_NN_H

#include <signal.h>

#include "ad.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ------------------------------------------------------------------------------------
 */

typedef struct nn_error {
    ad_status status;
    char text[1024]; /* what was wrong, where, and what to do */
} nn_error;

/* ---- activations and initial values
 * -------------------------------------------------------------- */

/* An activation is the name of an operation of the core with one argument ("relu", "tanh", "gelu",
 * ...: all of docs/ops.md), or "leaky_relu" and "elu" (with a slope), "softmax" and "log_softmax"
 * (last axis). */
#define NN_RELU        "relu"
#define NN_LEAKY_RELU  "leaky_relu"
#define NN_ELU         "elu"
#define NN_SIGMOID     "sigmoid"
#define NN_TANH        "tanh"
#define NN_SOFTPLUS    "softplus"
#define NN_SILU        "silu"
#define NN_GELU        "gelu"
#define NN_SOFTMAX     "softmax"
#define NN_LOG_SOFTMAX "log_softmax"

/* fan_in and fan_out count the inputs and outputs of one unit: for a dense layer its sizes, for a
 * convolution times the kernel's area. */
typedef enum nn_init_kind {
    NN_INIT_DEFAULT = 0,    /* what the layer's documentation says: PyTorch's */
    NN_INIT_TORCH,          /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's Linear and Conv2d */
    NN_INIT_GLOROT_UNIFORM, /* U(+-sqrt(6 / (fan_in + fan_out))): Glorot and Bengio 2010, Keras'
                               default */
    NN_INIT_GLOROT_NORMAL,  /* N(0, 2 / (fan_in + fan_out)) (variance) */
    NN_INIT_HE_UNIFORM,     /* U(+-sqrt(6 / fan_in)): He et al. 2015, for relu */
    NN_INIT_HE_NORMAL,      /* N(0, 2 / fan_in) */
    NN_INIT_LECUN_NORMAL,   /* N(0, 1 / fan_in) */
    NN_INIT_NIELSEN,        /* weights N(0, 1 / fan_in), biases N(0, 1): Nielsen, chapter 3 */
    NN_INIT_NORMAL,         /* N(0, value^2) */
    NN_INIT_UNIFORM,        /* U(-value, value) */
    NN_INIT_CONSTANT,       /* value */
    NN_INIT_VALUES,         /* `values`, row-major, in the parameter's shape */
} nn_init_kind;

typedef struct nn_init {
    nn_init_kind kind;
    double value;
    const double *values; /* read when the parameter is made */
} nn_init;

/* ---- layers ------------------------------------------------------------------------------------
 */

typedef struct nn_model nn_model;
typedef struct nn_pass nn_pass; /* one recording of a model's function on a tape */

typedef enum nn_layer_kind {
    NN_DENSE = 1,  /* (N,...,in) -> (N,...,units): x W + b, W (in,units); weight, bias as PyTorch's
                      Linear */
    NN_ACTIVATION, /* any shape */
    NN_DROPOUT,    /* training: x / (1 - rate) with probability 1 - rate, else 0; evaluation: x */
    NN_FLATTEN,    /* (N,a,b,...) -> (N,a b ...) */
    NN_LAYER_NORM, /* over the last axis; weight, bias */
    NN_BATCH_NORM, /* over all axes but the second (the channels); weight, bias, running_mean,
                      running_var */
    NN_EMBEDDING,  /* int32 indices S -> S + (units): rows of a table of `rows`; weight N(0,1) */
    NN_CONV2D,     /* (N,C,H,W) -> (N,units,H',W'): weight (units,C/groups,kh,kw), bias */
    NN_MAX_POOL2D, /* (N,C,H,W) -> (N,C,H',W') */
    NN_AVERAGE_POOL2D, /* the same; zeros of the padding are counted, as in PyTorch */
    NN_SCALE,  /* x * scale + shift, both constant (nn_scaled): a scaler as part of the model */
    NN_CUSTOM, /* the user's own function */
    NN_LAYER_KINDS
} nn_layer_kind;

/* A user's layer: expression code that may ask for parameters with nn_parameter and nn_state. */
typedef ad_var (*nn_layer_function)(nn_pass *pass, ad_var x, void *user);

/* A layer is a value: fields not used by its kind stay 0, and 0 means the default. Strings and
 * arrays that it points to are copied by models made of it. */
typedef struct nn_layer {
    nn_layer_kind kind;
    const char
        *name; /* of its parameters; NULL: its place in the list, "0", "1", ..., as in PyTorch */
    int64_t units;                  /* dense: outputs; conv2d: output channels; embedding: width */
    int64_t rows;                   /* embedding: number of rows */
    const char *activation;         /* applied to the result; NULL: none */
    double slope;                   /* of leaky_relu (0: .01) and elu (0: 1) */
    bool no_bias;                   /* dense, conv2d */
    bool no_affine;                 /* layer_norm, batch_norm: without weight and bias */
    nn_init weight_init, bias_init; /* default: PyTorch's for that layer */
    int64_t kernel[2], stride[2], dilation[2]; /* height, width; a 0 for width: as height */
    int64_t padding[2];                        /* height, width */
    int64_t groups;                            /* conv2d: 0 means 1 */
    double rate;                               /* dropout: probability of dropping */
    double epsilon;                            /* norms: 0 means 1e-5 */
    double momentum; /* batch_norm: weight of the new statistics; 0 means .1 */
    int64_t n_scale; /* scale: number of features (the size of one example) */
    const double *scale, *shift;
    nn_layer_function function; /* custom */
    void *user;
} nn_layer;

/* The common ones in short. */
AD_API nn_layer nn_dense(int64_t units, const char *activation); /* NULL: none */
AD_API nn_layer nn_activation(const char *activation);
AD_API nn_layer nn_dropout(double rate);
AD_API nn_layer nn_flatten(void);
AD_API nn_layer nn_layer_norm(void);
AD_API nn_layer nn_batch_norm(void);
AD_API nn_layer nn_embedding(int64_t rows, int64_t width);
AD_API nn_layer nn_conv2d(int64_t channels, int64_t kernel, int64_t padding,
                          const char *activation);
AD_API nn_layer nn_max_pool2d(int64_t size);     /* stride = size */
AD_API nn_layer nn_average_pool2d(int64_t size); /* stride = size */
AD_API nn_layer nn_custom(const char *name, nn_layer_function function, void *user);

/* ---- models ------------------------------------------------------------------------------------
 */

enum { NN_MAX_INPUTS = 8, NN_MAX_HIDDEN = 16, NN_MAX_CALLBACKS = 8 };

/* The shape of one example, without the axis that counts examples. */
typedef struct nn_shape {
    int rank;
    int64_t size[AD_MAX_RANK - 1];
    bool indices; /* int32 (for embeddings) in place of the model's dtype */
} nn_shape;

typedef struct nn_model_config {
    const ad_context *context; /* its memory, and the threads that large operations may use */
    uint64_t seed;
    ad_dtype dtype; /* of parameters and values: AD_F64 unless said otherwise; AD_F32 trains twice
                       as fast */
    int n_inputs;   /* 0 means 1 */
    nn_shape inputs[NN_MAX_INPUTS];
} nn_model_config;

/* A model's function: the inputs, each with the axis of examples first, to its output. It is
 * recorded anew for every batch size, in training and in evaluation, and asks for its parameters
 * each time by name. */
typedef ad_var (*nn_function)(nn_pass *pass, const ad_var *inputs, void *user);

/* Models are never NULL; a model that could not be made reports it by nn_model_status and at its
 * first use. All parameters exist from the beginning: a function is recorded once for that, with
 * two examples of zeros. */
AD_API nn_model *nn_model_new(const nn_model_config *config, nn_function function, void *user);
AD_API nn_model *nn_sequential(const nn_model_config *config, int n, const nn_layer *layers);

typedef struct nn_mlp_config {
    int64_t in, hidden[NN_MAX_HIDDEN], out; /* hidden ends at the first 0 */
    const char *activation;                 /* between layers; NULL: relu */
    const char *output; /* of the last layer; NULL: none (logits, or a regression) */
    bool batch_norm;    /* before each activation */
    double dropout;     /* after each activation; 0: none */
    nn_init weight_init, bias_init;
    uint64_t seed;
    ad_dtype dtype;
    const ad_context *context;
} nn_mlp_config;
AD_API nn_model *nn_mlp(const nn_mlp_config *config);

AD_API void nn_model_free(nn_model *model);
AD_API ad_status nn_model_status(const nn_model *model);
AD_API const char *nn_model_error(const nn_model *model); /* "" where there is none */
AD_API const nn_model_config *nn_model_config_of(const nn_model *model);
/* The layers of a model made of a list; 0 and NULL for one made of a function. */
AD_API int nn_layer_count(const nn_model *model);
AD_API const nn_layer *nn_layer_at(const nn_model *model, int i);

/* Parameters and states (running statistics), in the order in which the function first asked for
 * them. Their names are scopes and name joined with dots: "0.weight", "encoder.bias". */
AD_API int nn_param_count(const nn_model *model);
AD_API ad_param *nn_param_at(const nn_model *model, int i);
AD_API ad_param *nn_param_find(const nn_model *model,
                               const char *name); /* NULL where there is none */
AD_API int64_t nn_size(const nn_model *model);    /* elements of all parameters, states left out */
AD_API int64_t nn_trainable_size(const nn_model *model); /* of those that are trained */
/* Freezes (or thaws) the parameters of that name or below that scope ("encoder"); gives their
 * number. */
AD_API int nn_freeze(nn_model *model, const char *name, bool frozen);
/* A table: layer, output shape, parameters; and their sum. */
AD_API ad_status nn_summary(const nn_model *model, FILE *to);

/* Records the model on a tape: for training loops of one's own. Random layers draw by the tape's
 * seed and step. */
AD_API ad_var nn_record(const nn_model *model, ad_tape *tape, bool training, const ad_var *inputs);

/* Inside a model's function. */
AD_API ad_tape *nn_tape(const nn_pass *pass);
AD_API bool nn_is_training(const nn_pass *pass);
AD_API ad_dtype nn_dtype(const nn_pass *pass);
/* Applies a layer; its parameters are called `name`.weight and so on. Asked for twice by one name
 * in one pass, it shares them: their gradient is the sum. NULL: layer.name, or the number of the
 * call. */
AD_API ad_var nn_apply(nn_pass *pass, const char *name, nn_layer layer, ad_var x);
AD_API ad_var nn_apply_activation(nn_pass *pass, const char *activation, double slope, ad_var x);
/* A parameter by name, made at the first recording. For fans, its last axis counts as outputs, the
 * product of the others as inputs. */
AD_API ad_var nn_parameter(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                           nn_init init);
/* A state: not trained, saved with the model, changed by ad_assign when a training step has run. */
AD_API ad_var nn_state(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                       double value);
/* Opens and closes a scope: its name is put before those of parameters. */
AD_API void nn_scope_push(nn_pass *pass, const char *name);
AD_API void nn_scope_pop(nn_pass *pass);
/* A key for random operations, made of the scope, the name and how often it was asked for in this
 * pass. */
AD_API uint64_t nn_key(nn_pass *pass, const char *name);

/* ---- data --------------------------------------------------------------------------------------
 */

/* Examples: one or more inputs, a target (none, where there is nothing to learn from) and weights
 * (none: all alike). Immutable; shared by threads. */
typedef struct nn_data nn_data;

/* Retains the tensors. inputs[k] is (rows,...); target (rows), (rows,C) or of any shape with rows
 * first; int32 targets are classes; weights (rows) of double, or NULL. At least one row. */
AD_API nn_data *nn_data_new(int n_inputs, ad_tensor *const *inputs, ad_tensor *target,
                            ad_tensor *weights, nn_error *error);
AD_API void nn_data_free(nn_data *data);
AD_API int64_t nn_data_rows(const nn_data *data); /* -1 where a stream does not say */
AD_API int nn_data_input_count(const nn_data *data);
AD_API ad_tensor *nn_data_input(const nn_data *data, int k); /* borrowed, as the following ones */
AD_API ad_tensor *nn_data_target(const nn_data *data);       /* NULL: none */
AD_API ad_tensor *nn_data_weights(const nn_data *data);      /* NULL: none */
/* What a reader found: the columns' names, and the classes' where labels were words. NULL where
 * unknown. */
AD_API const char *nn_data_column(const nn_data *data, int column);
AD_API int nn_data_class_count(const nn_data *data); /* 0: the target is not classes */
AD_API const char *nn_data_class(const nn_data *data, int k);
/* Those rows, in that order (repeats are fine), copied. */
AD_API nn_data *nn_data_select(const nn_data *data, int64_t n, const int64_t *rows,
                               nn_error *error);
/* The same inputs with other targets or weights. */
AD_API nn_data *nn_data_with_target(const nn_data *data, ad_tensor *target, nn_error *error);
AD_API nn_data *nn_data_with_weights(const nn_data *data, ad_tensor *weights, nn_error *error);

/* Data that come batch by batch. next fills the tensors (shapes of the batch, in the dtypes that
 * the model wants) with up to `rows` examples and gives their number; 0: the epoch ends; negative:
 * an error. rewind, called before every epoch, may shuffle by the epoch's number; NULL: nothing to
 * rewind. Both are called by the thread that fits, unless `ahead` is set: then next is called by
 * another, while steps, callbacks and validation run, one batch ahead of the one in use. The bits
 * are the same; of a fit that is stopped, one batch more may have been read than was used. */
typedef struct nn_stream {
    int64_t (*next)(void *user, int64_t rows, ad_tensor *const *inputs, ad_tensor *target,
                    ad_tensor *weights);
    bool (*rewind)(void *user, int64_t epoch);
    void *user;
    int64_t rows; /* an epoch's, where known; else -1 */
    int n_inputs;
    nn_shape inputs[NN_MAX_INPUTS];
    nn_shape target; /* indices: classes */
    bool weighted;
    bool ahead; /* next may be called so */
} nn_stream;
AD_API nn_data *nn_data_stream(const nn_stream *stream, nn_error *error);

/* Readers. Sizes that a file claims are checked against what it holds before anything is allocated.
 * Numbers are read the same in every locale. */
typedef struct nn_csv_config {
    char separator; /* 0: ',' */
    bool no_header; /* the first line is data already */
    const char
        *label; /* the target's column by name, or by number from 0 ("4"); NULL: the last column */
    bool no_label; /* all columns are inputs */
    bool
        regression; /* the target is a number; else labels are classes: integers from 0, or words */
    const char *const *skip; /* names of columns to leave out, ended by NULL; NULL: none */
    ad_dtype dtype;          /* of the inputs: AD_F64, or AD_F32 */
    int64_t max_rows;        /* an error beyond; 0: no limit but memory */
} nn_csv_config;
AD_API nn_data *nn_read_csv(const char *path, const nn_csv_config *config, nn_error *error);
AD_API nn_data *nn_parse_csv(const char *text, size_t size, const nn_csv_config *config,
                             nn_error *error);
/* IDX, the format of MNIST, plain or gzipped: bytes become floats (of `dtype`) as they are, or
 * int32. */
AD_API ad_tensor *nn_read_idx(const char *path, ad_dtype dtype, nn_error *error);
/* A folder in MNIST's way: train-images-idx3-ubyte[.gz] and so on; images as (rows,1,28,28) in 0..1
 * if `channels`, else (rows,784). */
AD_API ad_status nn_read_idx_folder(const char *folder, ad_dtype dtype, bool channels,
                                    nn_data **train, nn_data **test, nn_error *error);
/* NumPy: bool, 8 to 64 bit integers, float16, float, double, either byte order, C or Fortran order.
 * Integers and bool become int32 (an error where they do not fit), float64 double, the others
 * float. nn_read_npz reads one member of the archive. */
AD_API ad_tensor *nn_read_npy(const char *path, nn_error *error);
AD_API ad_tensor *nn_read_npz(const char *path, const char *member, nn_error *error);
AD_API ad_tensor *nn_parse_npy(const void *bytes, size_t size, nn_error *error);
AD_API ad_status nn_write_npy(const char *path, const ad_tensor *tensor, nn_error *error);

/* Parts. */
enum { NN_TRAIN = 0, NN_VALIDATION = 1, NN_TEST = 2 };
typedef struct nn_split_config {
    double validation, test; /* shares of the rows */
    bool stratified;         /* every class in the same shares */
    uint64_t seed;
} nn_split_config;
/* parts[NN_VALIDATION] and parts[NN_TEST] are NULL where their share is 0; all are on an error. */
AD_API ad_status nn_split(const nn_data *data, const nn_split_config *config, nn_data *parts[3],
                          nn_error *error);
/* Part `fold` (from 0) of `folds` to test on, the rest to train on. */
AD_API ad_status nn_fold(const nn_data *data, int fold, int folds, bool stratified, uint64_t seed,
                         nn_data **train, nn_data **test, nn_error *error);
/* (rows) classes -> (rows,classes) of zeros and ones. */
AD_API ad_tensor *nn_one_hot(const ad_tensor *classes, int count, ad_dtype dtype, nn_error *error);

/* Scaling of the first input, feature by feature, fitted on one part and applied to all: x * scale
 * + shift. A feature that does not vary gets scale 1. */
typedef struct nn_scaler {
    int64_t n;
    double *scale, *shift;
} nn_scaler;
typedef enum nn_scaling { NN_STANDARDISE, NN_MIN_MAX } nn_scaling; /* mean 0, variance 1; or 0..1 */
AD_API ad_status nn_scaler_fit(nn_scaler *scaler, nn_scaling kind, const nn_data *train,
                               nn_error *error);
AD_API nn_data *nn_scaler_apply(const nn_scaler *scaler, const nn_data *data, nn_error *error);
AD_API void nn_scaler_free(nn_scaler *scaler);
AD_API nn_layer nn_scaled(const nn_scaler *scaler); /* the same as the first layer of a model */

/* Generated: two inputs, classes; row i is of class i modulo their number. xor: the quadrants of
 * [-1,1]^2, a tenth kept clear about the axes; spirals: one turn, from radius .1 to 1; moons:
 * scikit-learn's; blobs: about points of the unit circle. noise and spread: standard deviations. */
AD_API nn_data *nn_make_xor(int64_t rows, double noise, uint64_t seed, nn_error *error);
AD_API nn_data *nn_make_spirals(int64_t rows, int arms, double noise, uint64_t seed,
                                nn_error *error);
AD_API nn_data *nn_make_moons(int64_t rows, double noise, uint64_t seed, nn_error *error);
AD_API nn_data *nn_make_blobs(int64_t rows, int classes, double spread, uint64_t seed,
                              nn_error *error);

/* ---- losses ------------------------------------------------------------------------------------
 */

typedef enum nn_loss {
    NN_MSE = 1,               /* (p - y)^2 */
    NN_HALF_MSE,              /* (p - y)^2 / 2: the one with which delta = a - y */
    NN_MAE,                   /* |p - y| */
    NN_HUBER,                 /* d^2 / 2 for |d| < delta, else delta (|d| - delta / 2) */
    NN_MSLE,                  /* (ln(1 + p) - ln(1 + y))^2 */
    NN_BCE,                   /* probabilities p; logarithms cut at -100, as PyTorch */
    NN_BCE_LOGITS,            /* logits */
    NN_SOFTMAX_CROSS_ENTROPY, /* logits (N,C); targets classes (N) int32, or probabilities (N,C) */
    NN_CROSS_ENTROPY,         /* probabilities (N,C): -sum y ln p; targets likewise */
    NN_KL,                    /* probabilities q (N,C): sum y ln y - y ln q */
    NN_HINGE,                 /* max(0, 1 - y p), y = +-1 */
    NN_SQUARED_HINGE,         /* its square */
    NN_LOGISTIC,              /* ln(1 + e^(-y p)), y = +-1 */
    NN_CUSTOM_LOSS,           /* options.function */
    NN_LOSSES
} nn_loss;

typedef enum nn_reduction {
    NN_DEFAULT_REDUCTION =
        0, /* mean over samples for the cross-entropies of categories and KL, else over elements */
    NN_NONE, /* (N,...): every element's; for the cross-entropies of categories and KL every
                sample's */
    NN_SUM,
    NN_MEAN_ELEMENTS,
    NN_MEAN_SAMPLES, /* components summed: the textbooks' form */
} nn_reduction;

/* Every sample's (or element's) loss of predictions and targets, as expression code. */
typedef ad_var (*nn_loss_function)(ad_var prediction, ad_var target, void *user);

typedef struct nn_loss_options {
    nn_reduction reduction;
    double delta;        /* of Huber: 0 means 1 */
    double smoothing;    /* of labels: (1 - s) y + s / C; cross-entropies, binary ones with C = 2 */
    int n_class_weights; /* weights of the classes (cross-entropies with classes), NULL: all alike
                          */
    const double *class_weights;
    /* weighted means divide by the number; else by the sum of the weights, as PyTorch (weights of
     * classes count where targets are class indices) */
    bool divide_by_count;
    bool zero_one_labels; /* hinges and logistic: targets 0/1 stand for -1/+1 */
    nn_loss_function function;
    void *user;
} nn_loss_options;

/* Records a loss: a scalar, or with NN_NONE a tensor. weights: of the samples (N), or {0} for none.
 * Options NULL: all defaults. */
AD_API ad_var nn_record_loss(nn_loss loss, const nn_loss_options *options, ad_var prediction,
                             ad_var target, ad_var weights);
/* Are these targets (and predictions, or NULL) fit for the loss? Names row, column and value of the
 * first that is not; rows are counted from first_row. */
AD_API ad_status nn_check_targets(nn_loss loss, const nn_loss_options *options,
                                  const ad_tensor *prediction, const ad_tensor *target,
                                  int64_t first_row, nn_error *error);
AD_API const char *nn_loss_name(nn_loss loss); /* "softmax cross-entropy" */

/* ---- optimizers --------------------------------------------------------------------------------
 */

typedef enum nn_rule {
    NN_SGD = 1,
    NN_ADAGRAD,
    NN_RMSPROP,
    NN_ADADELTA,
    NN_ADAM,
    NN_ADAMAX,
    NN_NADAM,
    NN_LBFGS
} nn_rule;

/* A rule and its numbers, as PyTorch has them, or (keras) as Keras has them: formulas in
 * docs/nn.md. The functions below fill in every default; change fields after. */
typedef struct nn_optimizer {
    nn_rule rule;
    bool keras;
    double rate;
    double momentum, dampening; /* SGD, RMSprop */
    bool nesterov;              /* SGD */
    double alpha;               /* RMSprop, Adadelta: decay of the mean square */
    bool centred;               /* RMSprop */
    double beta1, beta2;        /* Adam and its kin */
    bool amsgrad;               /* Adam */
    double momentum_decay;      /* NAdam's psi */
    double epsilon;
    double initial;         /* Adagrad: of the sum of squares */
    double coupled_decay;   /* lambda w added to the gradient: PyTorch's weight_decay */
    double decoupled_decay; /* w <- (1 - rate lambda) w before the step: AdamW's */
    int history;            /* L-BFGS: pairs kept */
} nn_optimizer;

/* A rate of 0 gives the default. Fields that a rule does not have must stay 0. */
AD_API nn_optimizer nn_sgd(double rate);
AD_API nn_optimizer nn_momentum(double rate, double momentum);
AD_API nn_optimizer nn_nesterov(double rate, double momentum);
AD_API nn_optimizer nn_adagrad(double rate);
AD_API nn_optimizer nn_rmsprop(double rate);
AD_API nn_optimizer nn_adadelta(double rate);
AD_API nn_optimizer nn_adam(double rate);
AD_API nn_optimizer nn_adamw(double rate);
AD_API nn_optimizer nn_adamax(double rate);
AD_API nn_optimizer nn_nadam(double rate);
AD_API nn_optimizer nn_lbfgs(void); /* full batch, strong Wolfe line search */
AD_API nn_optimizer
nn_keras(nn_rule rule); /* Keras' rule and defaults; AdamW: NN_ADAM with decoupled_decay */

/* The moments of each parameter and the number of steps: states, outside tapes. */
typedef struct nn_moments nn_moments;
AD_API nn_moments *nn_moments_new(const nn_optimizer *optimizer, int n, ad_param *const *params,
                                  const ad_context *context, nn_error *error);
AD_API void nn_moments_free(nn_moments *moments);
AD_API int nn_moments_count(const nn_moments *moments);
AD_API ad_param *nn_moments_at(const nn_moments *moments,
                               int i); /* named "exp_avg.0.weight", "step", ... */
/* Records one step for all parameters: w[i] (their handles) on gradients[i] at learning rates
 * rates[i] (scalars); ends in ad_assign of parameters and moments. updated[i] becomes the new
 * value. Any rule but L-BFGS. */
AD_API ad_status nn_record_step(nn_moments *moments, ad_tape *tape, const ad_var *w,
                                const ad_var *gradients, const ad_var *rates, ad_var *updated);

/* Minimises a function of n variables by L-BFGS (Nocedal and Wright, algorithms 7.5 and 3.5): f
 * gives the value and writes the gradient. x is start and result. */
typedef struct nn_lbfgs_result {
    int iterations, evaluations;
    double value, gradient; /* the largest element's size */
    bool converged;
} nn_lbfgs_result;
typedef struct nn_lbfgs_config {
    int iterations;        /* 0: 100 */
    int history;           /* 0: 10 */
    double gradient_below; /* stops where no gradient element is larger; 0: 1e-8 */
    /* stops where the value falls by less, relatively; 0: 1e-12; negative: never */
    double change_below;
    /* called after every iteration, with x and what was reached; false stops. NULL: none */
    bool (*report)(void *user, const double *x, const struct nn_lbfgs_result *so_far);
} nn_lbfgs_config;
typedef double (*nn_objective)(const double *x, double *gradient, void *user);
AD_API ad_status nn_lbfgs_minimise(nn_objective f, void *user, int64_t n, double *x,
                                   const nn_lbfgs_config *config, nn_lbfgs_result *result,
                                   nn_error *error);

/* Learning rates over time: a factor on the optimizer's rate. */
typedef enum nn_schedule_kind {
    NN_CONSTANT = 0,
    NN_STEP,        /* gamma^floor(epoch / every) */
    NN_EXPONENTIAL, /* gamma^epoch */
    NN_COSINE,      /* from 1 down to `floor` over the whole run, step by step */
    NN_PLATEAU, /* times gamma when the monitored value has not improved for `patience` validations
                 */
    /* up from 1/25 to 1 over the first `warmup` of all steps, cosine down to 1/250000: PyTorch's
       OneCycleLR (Smith 2018) */
    NN_ONE_CYCLE,
} nn_schedule_kind;
typedef struct nn_schedule {
    nn_schedule_kind kind;
    double gamma; /* 0: .1 */
    int every;    /* epochs; 0: 10 */
    int patience; /* 0: 5 */
    double floor; /* the least factor */
    double
        warmup; /* of any kind: rises linearly over that many epochs; of one-cycle: share, 0: .3 */
} nn_schedule;
/* The factor at a step counted from 0 of `steps` in all, `steps_per_epoch` of them an epoch;
 * NN_PLATEAU's reductions so far are given. */
AD_API double nn_schedule_factor(const nn_schedule *schedule, int64_t step, int64_t steps_per_epoch,
                                 int64_t steps, int reductions);

/* ---- metrics -----------------------------------------------------------------------------------
 */

enum { /* which of nn_scores to compute: any sum of these */
       NN_ACCURACY =
           1, /* classes: largest output; one output: its sign, or above 1/2 after a sigmoid */
       NN_TOP_K = 2,
       NN_PRECISION = 4, /* and recall: mean over classes; of class 1 where there are two */
       NN_RECALL = 8,
       NN_F1 = 16,
       NN_AUC = 32, /* two classes: probability that a positive ranks above a negative */
       NN_MAE_METRIC = 64,
       NN_RMSE = 128,
       NN_R2 = 256,
       NN_METRICS = 9 /* their number */
};
AD_API const char *nn_metric_name(int metric); /* of the bit: "accuracy" */

typedef struct nn_scores {
    int64_t rows;
    double loss; /* NaN where not computed, as all */
    double accuracy, top_k, precision, recall, f1, auc, mae, rmse, r2, custom;
} nn_scores;
AD_API double nn_score(const nn_scores *scores, int metric); /* by its bit */

/* Of predictions (rows,...) and targets, with weights (rows) or NULL. k is that of top-k (0: 5).
 * `probabilities`: a single output is one, not a logit. */
AD_API ad_status nn_compute_scores(const ad_tensor *prediction, const ad_tensor *target,
                                   const ad_tensor *weights, unsigned metrics, int k,
                                   bool probabilities, nn_scores *scores, nn_error *error);
/* counts[classes * truth + predicted], classes*classes numbers. */
AD_API ad_status nn_confusion(const ad_tensor *prediction, const ad_tensor *target, int classes,
                              bool probabilities, int64_t *counts, nn_error *error);
AD_API ad_status nn_confusion_print(int classes, const int64_t *counts, const char *const *names,
                                    FILE *to);

/* A metric of one's own: of all predictions and targets. */
typedef double (*nn_metric_function)(const ad_tensor *prediction, const ad_tensor *target,
                                     void *user);

/* ---- training ----------------------------------------------------------------------------------
 */

typedef enum nn_event {
    NN_FIT_BEGINS = 1,
    NN_STEP_DONE,
    NN_VALIDATED,
    NN_EPOCH_DONE,
    NN_FIT_DONE
} nn_event;

typedef struct nn_progress_info { /* what a callback sees */
    nn_event event;
    int epoch, epochs;      /* the epoch from 1 */
    int64_t batch, batches; /* of this epoch, from 1; batches -1 where a stream does not say */
    int64_t step, rows;     /* steps since the beginning; rows of this epoch so far */
    double rate;            /* learning rate */
    nn_scores training;   /* of this epoch so far: loss with its penalties; metrics as asked for */
    nn_scores validation; /* the latest */
    unsigned metrics;
    bool has_validation;
    double best;
    int best_epoch;               /* of the monitored value */
    int waited, patience;         /* validations without improvement */
    double seconds, seconds_left; /* of the fit; an estimate for its rest */
    const char *stopped;          /* at NN_FIT_DONE: why before the end; else NULL */
    nn_model *model;
} nn_progress_info;

/* false stops the fit after this step. */
typedef struct nn_callback {
    bool (*function)(void *user, const nn_progress_info *info);
    void *user;
} nn_callback;
/* Progress: a bar where `to` is a terminal, one line an epoch where it is not. */
AD_API nn_callback nn_progress(FILE *to);

/* Parameters that are treated otherwise: of that name or below that scope. The first that fits is
 * taken. */
typedef struct nn_group {
    const char *name;
    double rate;   /* factor on the learning rate; 0 means 1 (to freeze: nn_freeze) */
    bool no_decay; /* neither L1, L2 nor decoupled decay */
} nn_group;

#define NN_FULL_BATCH INT64_MAX

typedef struct nn_fit_config {
    nn_loss loss;
    nn_loss_options loss_options;
    nn_optimizer optimizer; /* default: nn_adam(0) */
    nn_schedule schedule;
    int64_t batch;   /* examples a step: 0 means 32; 1 per example; NN_FULL_BATCH */
    int epochs;      /* 0 means 1 */
    bool no_shuffle; /* else every epoch in a new order */
    int accumulate; /* batches a step of the optimizer: their gradients are those of one large batch
                     */

    double l1,
        l2; /* l1 sum |w|, l2/2 sum w^2, added to the loss and reported with it; without biases */
    bool penalise_biases;         /* vectors too (biases, weights of norms); decay likewise */
    bool penalty_by_rows;         /* divided by the number of training examples: lambda/2n */
    double clip_value, clip_norm; /* gradients: each element; all together. 0: not */
    double average; /* decay of an exponential moving average of the weights; 0: none */
    const nn_group *groups;
    int n_groups;

    const nn_data *validation;
    double validation_share; /* in place of data of its own: the last rows of a shuffle by the
                                model's seed */
    int64_t validate_every;  /* steps; 0: every epoch */
    unsigned metrics;        /* NN_ACCURACY | ... */
    int top_k;
    nn_metric_function metric; /* of one's own */
    void *metric_user;
    int monitor;  /* a metric's bit; 0: the loss; of the validation, or of the training where there
                     is none */
    int patience; /* early stopping after so many validations without improvement; 0: none */
    double min_change; /* what counts as improvement */
    bool restore_best; /* ends with the parameters of the best validation; patience implies it */

    nn_callback callbacks[NN_MAX_CALLBACKS];
    const volatile sig_atomic_t
        *stop;              /* when it becomes 1, the fit ends after the step, with a checkpoint */
    const char *checkpoint; /* a file, written every epoch and at the end */
    int64_t checkpoint_every; /* and every so many steps; 0: not */
    bool resume;              /* go on from `checkpoint` where it exists */
    bool no_prefetch; /* batches are read by the calling thread, never by another while a step runs.
                         The bits are the same */
} nn_fit_config;

/* Trains. A NaN or infinite loss stops with AD_NOT_FINITE and names epoch, batch and the first
 * operation that gave one; a stop asked for by `stop` or a callback is no error. */
AD_API ad_status nn_fit(nn_model *model, const nn_data *train, const nn_fit_config *config,
                        nn_error *error);

/* What happened in all fits of a model, one row an epoch (or validation). */
typedef struct nn_history_row {
    int epoch;
    int64_t step;
    double rate, seconds;
    nn_scores training, validation; /* validation.rows 0: none */
} nn_history_row;
AD_API int nn_history_count(const nn_model *model);
AD_API const nn_history_row *nn_history_at(const nn_model *model, int i);
AD_API ad_status nn_history_csv(const nn_model *model, FILE *to);
AD_API ad_status nn_history_json(const nn_model *model, FILE *to);
AD_API ad_status nn_history_svg(const nn_model *model, const char *title, FILE *to);

typedef struct nn_evaluate_config {
    nn_loss loss; /* 0: none */
    nn_loss_options loss_options;
    unsigned metrics; /* 0: accuracy where targets are classes, else MAE, RMSE and R2 */
    int top_k;
    nn_metric_function metric;
    void *metric_user;
    int64_t batch; /* 0: 256 */
} nn_evaluate_config;
AD_API ad_status nn_evaluate(const nn_model *model, const nn_data *data,
                             const nn_evaluate_config *config, nn_scores *scores, nn_error *error);
/* Outputs for all rows, a new tensor. */
AD_API ad_tensor *nn_predict(const nn_model *model, const nn_data *data, nn_error *error);
AD_API ad_tensor *nn_predict_tensors(const nn_model *model, ad_tensor *const *inputs,
                                     nn_error *error);
/* For many small predictions: a program of its own for one batch size, one thread at a time. x and
 * y: the elements of the first input and of the output, row-major. */
typedef struct nn_predictor nn_predictor;
AD_API nn_predictor *nn_predictor_new(const nn_model *model, int64_t rows, nn_error *error);
AD_API void nn_predictor_free(nn_predictor *predictor);
AD_API ad_status nn_predictor_run(nn_predictor *predictor, const double *x, double *y);

/* Checks the gradients of all parameters on these rows: reverse against duals against differences.
 */
AD_API ad_status nn_gradcheck(const nn_model *model, const nn_data *batch, nn_loss loss,
                              const nn_loss_options *options, ad_check_report *report,
                              nn_error *error);

/* How large activations, their adjoints and weights' gradients are, layer by layer (root mean
 * squares): vanishing and exploding made visible. */
typedef struct nn_magnitude {
    char layer[64];
    double activation, adjoint; /* of the layer's output */
    double zeros;               /* share of outputs that are 0: dead relus */
    double weight, gradient;    /* of its parameters; 0 where it has none */
} nn_magnitude;
/* Up to n of them; *count becomes the number of layers. */
AD_API ad_status nn_magnitudes(const nn_model *model, const nn_data *batch, nn_loss loss,
                               const nn_loss_options *options, int n, nn_magnitude *out, int *count,
                               nn_error *error);
AD_API ad_status nn_magnitudes_print(int n, const nn_magnitude *magnitudes, FILE *to);

/* Search for hyperparameters: each is a list of values, or a range, drawn uniformly or
 * (logarithmic) by magnitude. The trial trains and gives the score on validation data, NaN if it
 * failed; smaller is better unless `maximise`. */
typedef struct nn_hyperparameter {
    const char *name;
    int n_values;
    const double *values;
    double low, high; /* where there are no values */
    bool logarithmic;
} nn_hyperparameter;
typedef double (*nn_trial)(const double *point, void *user);
typedef struct nn_search_config {
    int n;
    const nn_hyperparameter *hyperparameters;
    int trials; /* 0: the grid of all values, ranges cut into `steps`; else so many random points */
    int steps;  /* 0: 3 */
    bool maximise;
    uint64_t seed;
    void (*report)(void *user, int trial, int trials, const double *point,
                   double score); /* NULL: none */
} nn_search_config;
/* best: n numbers; *score its score. points (n each) and scores of all trials where not NULL: their
 * number is nn_search_size's, -1 where the search cannot be made. Trials that give NaN are passed
 * over; where all do, AD_NOT_FINITE. Coordinate j of random trial i (from 0) is the j-th number of
 * ad_draw_uniform with the seed, key 0x736561726368 and step i, so that more trials go on where
 * fewer ended. A grid's last hyperparameter changes fastest; report counts trials from 1. */
AD_API int64_t nn_search_size(const nn_search_config *config);
AD_API ad_status nn_search(const nn_search_config *config, nn_trial trial, void *user, double *best,
                           double *score, double *points, double *scores, nn_error *error);

/* ---- pictures ----------------------------------------------------------------------------------
 */

/* Lines and points in a frame with axes, as SVG, or as text for a terminal. NaN, infinities and (on
 * a logarithmic axis) what is not positive leave gaps. As text: at most that many columns (from 30;
 * 0: 72) and rows (from 10; 0: 20). A file that cannot be written is AD_BAD_ARGUMENT. */
typedef struct nn_series {
    const char *name;
    int n;
    const double *x, *y;
    bool points; /* dots, not a line */
} nn_series;
typedef struct nn_chart {
    const char *title, *x_label, *y_label;
    int n_series;
    const nn_series *series;
    bool log_x, log_y;
    double x_low, x_high, y_low, y_high; /* both 0: what the series need */
} nn_chart;
AD_API ad_status nn_chart_svg(const nn_chart *chart, FILE *to);
AD_API ad_status nn_chart_text(const nn_chart *chart, int columns, int rows, FILE *to);

/* ---- files -------------------------------------------------------------------------------------
 */

/* Saves the parameters as `path` (safetensors, PyTorch's names and layout) and the description
 * beside it (the path with .json after it). Written aside and renamed: a crash leaves the old file.
 */
AD_API ad_status nn_save(const nn_model *model, const char *path, nn_error *error);
/* A model of layers from its two files. NULL where the description says that its function is the
 * user's own: make the model by code, then nn_load_parameters. */
AD_API nn_model *nn_load(const char *path, const ad_context *context, nn_error *error);
/* Into a model that exists: names and shapes must agree. Also reads files of PyTorch (float16,
 * bfloat16 too). */
AD_API ad_status nn_load_parameters(nn_model *model, const char *path, nn_error *error);
/* safetensors as such: n named tensors. Reading gives a new array of parameters (names and values),
 * to be freed one by one and then with free(). `metadata`: pairs of strings ended by NULL, or NULL.
 */
AD_API ad_status nn_safetensors_write(const char *path, int n, const char *const *names,
                                      ad_tensor *const *tensors, const char *const *metadata,
                                      nn_error *error);
AD_API ad_status nn_safetensors_read(const char *path, int *n, ad_param ***tensors,
                                     nn_error *error);

/* One C file that predicts, with the weights in it and nothing else: no library, no malloc. It
 * defines void name_predict(const float *x, float *y) for one example (double where the model is,
 * int32_t inputs where they are indices), name_inputs and name_outputs. */
AD_API ad_status nn_export_c(const nn_model *model, const char *name, FILE *to, nn_error *error);

#ifdef __cplusplus
}
#endif

#endif
