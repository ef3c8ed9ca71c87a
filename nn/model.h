/* model.h - the inside of models and of passes over them
 *
 * A model is a function and a table of the variables that it asked for by name. A pass is one
 * recording of that function on a tape. The first pass, when the model is made, creates the
 * variables; later ones find them. */
#ifndef NN_MODEL_H
#define NN_MODEL_H
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "history.h"
#include "nn.h"

enum { NN_NAME_SIZE = 128, NN_MAX_SCOPES = 16 };

/* A parameter or state. Weights of dense layers are (in,out) here and (out,in) in files. */
typedef struct nn_variable {
    char *name;
    ad_param *param;
    bool is_state, transposed_in_files;
    UT_hash_handle hh;
} nn_variable;

/* What the first pass saw of one call of nn_apply, for the summary. */
typedef struct nn_note {
    char name[2 * NN_NAME_SIZE];
    char what[64];
    nn_shape output;
    int64_t parameters; /* new ones */
} nn_note;

struct nn_model {
    nn_model_config config;
    nn_function function;
    void *user;
    int n_layers; /* of a list; 0 for a function */
    nn_layer *layers;
    nn_variable *table;  /* by name */
    nn_variable **order; /* as asked for */
    int n_variables, room;
    nn_note *notes;
    int n_notes, notes_room;
    bool notes_lost; /* no memory for one */
    int64_t noted;   /* the parameters of all notes */
    nn_shape output; /* of one example */
    bool gives_probabilities;
    nn_history history;
    int64_t epochs, steps; /* of all fits so far: what shuffles and masks are drawn by */
    nn_error error;
};

/* The output of one nn_apply, for looking at magnitudes. */
typedef struct nn_output {
    char name[2 * NN_NAME_SIZE];
    ad_var value;
} nn_output;

typedef struct nn_count { /* how often a name was asked for in one pass */
    char *name;
    int n;
    UT_hash_handle hh;
} nn_count;

struct nn_pass {
    const nn_model *model;
    nn_model *building; /* the same, in the first pass; else NULL */
    ad_tape *tape;
    bool training;
    int depth;
    size_t ends[NN_MAX_SCOPES];   /* of the scopes in `scope` */
    int calls[NN_MAX_SCOPES + 1]; /* unnamed layers so far, by depth */
    char scope[NN_NAME_SIZE];     /* "encoder." */
    char culprit[NN_NAME_SIZE];   /* the innermost layer in which something failed; "": none */
    nn_count *counts;
    const ad_var *substitutes; /* in place of the parameters, by number; NULL: none */
    nn_output *outputs;        /* room for max_outputs; NULL: not wanted */
    int n_outputs, max_outputs;
};

/* Records the model's function; the error, if there is one, is on the tape. */
ad_var nn_pass_run(nn_pass *pass, const ad_var *inputs);

/* Dense weights: (in,out), told apart because files have them transposed. */
ad_var nn_dense_weight(nn_pass *pass, const char *name, int64_t in, int64_t out, nn_init init);
/* A state with given values; `otherwise` where they are NULL. */
ad_var nn_state_from(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                     const double *values, double otherwise);
/* A parameter whose fans are not its axes'. Fans are doubles: products of sizes that no check has
 * seen yet would overflow. */
ad_var nn_parameter_with_fans(nn_pass *pass, const char *name, int rank, const int64_t *shape,
                              double fan_in, double fan_out, nn_init init);

/* Keeps what the summary says of a layer (summary.c). */
void nn_note_layer(nn_model *model, const char *scope, const char *name, const nn_layer *layer,
                   ad_var y, int64_t parameters);
/* The model's error, if its construction failed; else AD_OK. */
ad_status nn_model_ready(const nn_model *model, nn_error *error);
/* A model of the first recording, from a config, a function or layers; the common part of all
 * constructors. */
nn_model *nn_model_make(const nn_model_config *config, nn_function function, void *user, int n,
                        const nn_layer *layers);
/* Leaves shaped for `rows` examples, zeros: the model's inputs. */
ad_status nn_model_inputs(const nn_model *model, ad_tape *tape, int64_t rows, ad_var *inputs);
/* The tensor of `rows` examples of that shape in the model's dtype, zeros. */
ad_tensor *nn_shape_tensor(const nn_model *model, const nn_shape *shape, int64_t rows);
/* Elements of one example. */
int64_t nn_shape_size(const nn_shape *shape);

#endif
