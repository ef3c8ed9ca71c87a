/* checkpoint.c - a fit in a file: the model under PyTorch's names, and the fit's own state under
 * "fit."
 *
 * One safetensors file. Moments, averages and gathered gradients are tensors; the position is a
 * tensor of doubles, in the order of the table below; the best parameters so far, the predictions
 * of an epoch half done, the pairs of L-BFGS and the history are tensors as well. Shuffles and
 * masks need nothing: they are drawn by seed, epoch and step. What gives those numbers their
 * meaning, as the batch, is in the file to be compared. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fit.h"
#include "safetensors.h"

#define FORMAT "tapegrad fit 1"

/* The most that a file may say: what doubles count without gaps, and what two of fit into an int.
 */
static const double many = 9e15, few = 1e9;

/* The numbers of a position, as they lie in "fit.position". */
static const struct {
    size_t at;
    const double *most; /* of an int64_t; NULL: a double */
} fields[] = {
#define WHOLE(name, most)                                                                          \
    {                                                                                              \
        offsetof(nn_fit_position, name), &(most)                                                   \
    }
#define NUMBER(name)                                                                               \
    {                                                                                              \
        offsetof(nn_fit_position, name), NULL                                                      \
    }
    WHOLE(epoch, few),
    WHOLE(step, many),
    WHOLE(row, many),
    WHOLE(batch, many),
    NUMBER(rate),
    NUMBER(loss),
    NUMBER(divisor),
    NUMBER(best),
    WHOLE(best_epoch, few),
    WHOLE(waited, few),
    WHOLE(reductions, few),
    WHOLE(waited_for_rate, few),
    NUMBER(gathered_total),
    WHOLE(gathered_batches, few),
    NUMBER(seconds),
    WHOLE(epochs_before, few),
    WHOLE(steps_before, many),
#undef WHOLE
#undef NUMBER
};
enum { N_FIELDS = sizeof fields / sizeof *fields, N_SCORES = 12, N_HISTORY = 4 + 2 * N_SCORES };

/* ---- numbers in and out ------------------------------------------------------------------ */

static void put_position(const nn_fit_position *p, double *to)
{
    for (int i = 0; i < N_FIELDS; i++) {
        const char *from = (const char *)p + fields[i].at;
        to[i] = fields[i].most ? (double)*(const int64_t *)(const void *)from
                               : *(const double *)(const void *)from;
    }
}

static void get_position(nn_fit_position *p, const double *from)
{
    for (int i = 0; i < N_FIELDS; i++) {
        char *to = (char *)p + fields[i].at;
        if (fields[i].most)
            *(int64_t *)(void *)to = (int64_t)from[i];
        else
            *(double *)(void *)to = from[i];
    }
}

static void put_scores(const nn_scores *s, double *to)
{
    const double values[N_SCORES] = {(double)s->rows, s->loss,   s->accuracy, s->top_k,
                                     s->precision,    s->recall, s->f1,       s->auc,
                                     s->mae,          s->rmse,   s->r2,       s->custom};
    memcpy(to, values, sizeof values);
}

static nn_scores get_scores(const double *v)
{
    return (nn_scores){(int64_t)v[0], v[1], v[2], v[3], v[4],  v[5],
                       v[6],          v[7], v[8], v[9], v[10], v[11]};
}

static void put_row(const nn_history_row *row, double *to)
{
    to[0] = row->epoch;
    to[1] = (double)row->step;
    to[2] = row->rate;
    to[3] = row->seconds;
    put_scores(&row->training, to + 4);
    put_scores(&row->validation, to + 4 + N_SCORES);
}

static nn_history_row get_row(const double *from)
{
    return (nn_history_row){.epoch = (int)from[0],
                            .step = (int64_t)from[1],
                            .rate = from[2],
                            .seconds = from[3],
                            .training = get_scores(from + 4),
                            .validation = get_scores(from + 4 + N_SCORES)};
}

/* ---- what must be the same ---------------------------------------------------------------- */

typedef struct setting {
    const char *what;
    double value;
} setting;

enum { LOSS, RULE, N_SETTINGS = 14 };

/* Rates, penalties, schedules and numbers of epochs may be changed. */
static void settings_of(const nn_fitting *f, setting to[N_SETTINGS])
{
    const nn_fit_config *c = &f->config;
    const uint64_t seed = f->model->config.seed;
    const setting all[N_SETTINGS] = {
        [LOSS] = {"loss", c->loss},
        [RULE] = {"optimizer", c->optimizer.rule},
        {"Keras' formulas (1: yes)", c->optimizer.keras},
        {"rows to train on", (double)f->rows},
        {"rows held out", (double)f->n_held},
        {"batch", (double)c->batch},
        {"accumulate", c->accumulate > 1 ? c->accumulate : 1},
        {"no_shuffle", c->no_shuffle},
        {"average (1: yes)", c->average > 0},
        {"monitor", c->monitor},
        {"validation (1: yes)", f->validates},
        {"numbers to train", (double)nn_trainer_size(&f->trainer)},
        {"the seed's lower half", (double)(seed & UINT32_MAX)},
        {"the seed's upper half", (double)(seed >> 32)},
    };
    memcpy(to, all, sizeof all);
}

static void setting_text(char text[64], int i, double value)
{
    static const char *const rules[] = {
        [NN_SGD] = "SGD",           [NN_ADAGRAD] = "Adagrad", [NN_RMSPROP] = "RMSprop",
        [NN_ADADELTA] = "Adadelta", [NN_ADAM] = "Adam",       [NN_ADAMAX] = "Adamax",
        [NN_NADAM] = "NAdam",       [NN_LBFGS] = "L-BFGS"};
    if (i == LOSS && value >= 1 && value < NN_LOSSES)
        snprintf(text, 64, "%s", nn_loss_name((nn_loss)value));
    else if (i == RULE && value >= 1 && value <= NN_LBFGS)
        snprintf(text, 64, "%s", rules[(int)value]);
    else
        snprintf(text, 64, "%.15g", value);
}

/* ---- writing ----------------------------------------------------------------------------- */

typedef struct contents { /* of a file in the making */
    nn_named_tensor *tensors;
    char (*names)[2 * NN_NAME_SIZE];
    ad_tensor **own; /* made for the file */
    int n, n_own, room;
    bool failed;
} contents;

static void add(contents *c, const char *prefix, const char *name, const ad_tensor *t,
                bool transposed)
{
    if (c->failed || c->n == c->room || !t) {
        c->failed = true;
        return;
    }
    snprintf(c->names[c->n], sizeof c->names[c->n], "%s%s", prefix, name);
    c->tensors[c->n] = (nn_named_tensor){c->names[c->n], t, transposed};
    c->n++;
}

static void add_own(contents *c, const char *name, ad_tensor *t)
{
    if (t)
        c->own[c->n_own++] = t;
    add(c, "fit.", name, t, false);
}

static ad_tensor *table(int64_t rows, int64_t columns)
{
    return ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){rows, columns});
}

static void add_position(contents *c, const nn_fitting *f)
{
    ad_tensor *t = table(1, N_FIELDS);
    if (t)
        put_position(&f->at, ad_tensor_data(t));
    add_own(c, "position", t);
    setting settings[N_SETTINGS];
    settings_of(f, settings);
    t = table(1, N_SETTINGS);
    for (int i = 0; t && i < N_SETTINGS; i++)
        ((double *)ad_tensor_data(t))[i] = settings[i].value;
    add_own(c, "settings", t);
    t = table(2, N_SCORES);
    if (t) {
        put_scores(&f->training, ad_tensor_data(t));
        put_scores(&f->validation, (double *)ad_tensor_data(t) + N_SCORES);
    }
    add_own(c, "scores", t);
}

static void add_history(contents *c, const nn_fitting *f)
{
    const nn_history *h = &f->model->history;
    ad_tensor *t = table(h->n, N_HISTORY);
    for (int i = 0; t && i < h->n; i++)
        put_row(&h->rows[i], (double *)ad_tensor_data(t) + (ptrdiff_t)i * N_HISTORY);
    add_own(c, "history", t);
}

/* Predictions of the epoch so far: without them its metrics would be those of the rest. */
static void add_collected(contents *c, const nn_fitting *f)
{
    ad_tensor *predictions, *targets, *weights;
    if (f->collected.rows == 0 || f->at.row == 0)
        return;
    if (nn_collect_tensors(&f->collected, &predictions, &targets, &weights, NULL)) {
        c->failed = true;
        return;
    }
    add_own(c, "predictions", predictions);
    add_own(c, "targets", targets);
    add_own(c, "weights", weights);
}

static void add_lbfgs(contents *c, const nn_fitting *f)
{
    const nn_lbfgs_state *s = &f->lbfgs;
    const int64_t n = nn_trainer_size(&f->trainer), rows = 2 + 2 * (int64_t)s->pairs;
    if (!s->vectors)
        return;
    ad_tensor *t = table(rows, n);
    if (t)
        memcpy(ad_tensor_data(t), s->vectors, (size_t)(rows * n) * sizeof(double));
    add_own(c, "lbfgs", t);
    t = table(1, 2);
    if (t)
        memcpy(ad_tensor_data(t), (double[]){s->value, s->converged}, 2 * sizeof(double));
    add_own(c, "lbfgs.value", t);
}

static bool begin(contents *c, const nn_fitting *f)
{
    enum { OWN = 9 };
    *c = (contents){.room = 2 * f->model->n_variables + nn_trainer_state_count(&f->trainer) + OWN};
    c->tensors = calloc((size_t)c->room, sizeof *c->tensors);
    c->names = calloc((size_t)c->room, sizeof *c->names);
    c->own = calloc((size_t)c->room, sizeof(ad_tensor *));
    return c->tensors && c->names && c->own;
}

static void end(contents *c)
{
    for (int i = 0; i < c->n_own; i++)
        ad_tensor_free(c->own[i]);
    free(c->tensors);
    free(c->names);
    free(c->own);
}

/* Two groups of moments may have a "step" each, so states are told apart by number. */
static void state_name(const nn_fitting *f, int i, char name[2 * NN_NAME_SIZE])
{
    snprintf(name, 2 * NN_NAME_SIZE, "fit.state.%d.%.200s", i,
             ad_param_name(nn_trainer_state_at(&f->trainer, i)));
}

ad_status nn_checkpoint_write(const nn_fitting *f, nn_error *error)
{
    const char *const metadata[] = {"format", "pt", "tapegrad", FORMAT, NULL};
    const nn_model *model = f->model;
    char name[2 * NN_NAME_SIZE];
    contents c;
    bool ok = begin(&c, f);
    for (int i = 0; ok && i < model->n_variables; i++) {
        const nn_variable *v = model->order[i];
        add(&c, "", v->name, ad_param_value(v->param), v->transposed_in_files);
        if (f->best.n > i && f->at.best_epoch > 0)
            add(&c, "fit.best.", v->name, f->best.values[i], v->transposed_in_files);
    }
    for (int i = 0; ok && i < nn_trainer_state_count(&f->trainer); i++) {
        state_name(f, i, name);
        add(&c, "", name, ad_param_value(nn_trainer_state_at(&f->trainer, i)), false);
    }
    if (ok) {
        add_position(&c, f);
        add_history(&c, f);
        add_collected(&c, f);
        add_lbfgs(&c, f);
    }
    if (!ok || c.failed)
        nn_no_memory(error);
    else
        nn_tensor_file_write(f->config.checkpoint, c.n, c.tensors, metadata, error);
    end(&c);
    return nn_earlier(error);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* One that cannot be opened does exist, and must not be written over. */
static bool file_exists(const char *path)
{
    errno = 0;
    FILE *file = fopen(path, "rb");
    const bool exists = file || errno != ENOENT;
    if (file)
        fclose(file);
    return exists;
}

static ad_status misfit(const nn_fitting *f, const char *name, nn_error *error)
{
    return nn_fail(error, AD_BAD_SHAPE,
                   "%s: '%s' is missing or has another shape or dtype: it is a checkpoint of "
                   "another model, another optimizer, or none of a fit",
                   f->config.checkpoint, name);
}

static ad_status damaged(const nn_fitting *f, const char *name, int64_t i, double value,
                         nn_error *error)
{
    return nn_fail(error, AD_BAD_ARGUMENT,
                   "%s: number %lld of '%s' is %g, which it cannot be: the file is damaged",
                   f->config.checkpoint, (long long)i, name, value);
}

/* Everything in the file must be of this fit: a larger model, or an optimizer with more moments,
 * would else be cut down without a word. */
static ad_status check_names(const nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    const char state[] = "fit.state.";
    for (int i = 0; i < file->n; i++) {
        const char *name = ad_param_name(file->tensors[i]);
        const bool own = !strncmp(name, "fit.", 4),
                   moment = !strncmp(name, state, sizeof state - 1);
        if (nn_param_find(f->model, name) || (own && !moment))
            continue;
        if (!moment ||
            strtol(name + sizeof state - 1, NULL, 10) >= nn_trainer_state_count(&f->trainer))
            return nn_fail(
                error, AD_BAD_SHAPE,
                "%s: has '%s', and this fit has not: it is a checkpoint of another model "
                "or another optimizer",
                f->config.checkpoint, name);
    }
    return AD_OK;
}

/* A tensor of doubles of `rows` (-1: any) x columns. */
static const double *numbers(const nn_fitting *f, const nn_tensor_file *file, const char *name,
                             int64_t rows, int64_t columns, int64_t *found, nn_error *error)
{
    const ad_tensor *t = nn_tensor_file_find(file, name);
    if (!t || ad_tensor_dtype(t) != AD_F64 || ad_tensor_rank(t) != 2 ||
        ad_tensor_shape(t)[1] != columns || (rows >= 0 && ad_tensor_shape(t)[0] != rows)) {
        misfit(f, name, error);
        return NULL;
    }
    *found = ad_tensor_shape(t)[0];
    return ad_tensor_data_const(t);
}

static bool whole_number(double x, double most) { return x >= 0 && x <= most && x == floor(x); }

static ad_status check_settings(const nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    int64_t rows;
    setting now[N_SETTINGS];
    const double *then = numbers(f, file, "fit.settings", 1, N_SETTINGS, &rows, error);
    settings_of(f, now);
    for (int i = 0; then && i < N_SETTINGS; i++) {
        char a[64], b[64];
        if (then[i] == now[i].value)
            continue;
        setting_text(a, i, then[i]);
        setting_text(b, i, now[i].value);
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "%s: cannot go on with it: %s: %s then, %s now. Use what the fit began with, "
            "or begin anew without resume",
            f->config.checkpoint, now[i].what, a, b);
    }
    return nn_earlier(error);
}

static ad_status read_position(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    int64_t rows;
    const double *p = numbers(f, file, "fit.position", 1, N_FIELDS, &rows, error);
    const double *s = p ? numbers(f, file, "fit.scores", 2, N_SCORES, &rows, error) : NULL;
    if (!s)
        return nn_earlier(error);
    for (int i = 0; i < N_FIELDS; i++)
        if (fields[i].most && !whole_number(p[i], *fields[i].most))
            return damaged(f, "fit.position", i, p[i], error);
    for (int i = 0; i < 2 * N_SCORES; i += N_SCORES)
        if (!whole_number(s[i], many))
            return damaged(f, "fit.scores", i, s[i], error);
    get_position(&f->at, p);
    f->training = get_scores(s);
    f->validation = get_scores(s + N_SCORES);
    if (f->rows >= 0 && f->at.row > f->rows)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: stands at row %lld, but the data have %lld",
                       f->config.checkpoint, (long long)f->at.row, (long long)f->rows);
    return AD_OK;
}

/* epoch, step, and the rows of both scores */
static int bad_number(const double *row)
{
    const int whole[] = {0, 1, 4, 4 + N_SCORES};
    for (int i = 0; i < 4; i++)
        if (!whole_number(row[whole[i]], i ? many : 2 * few))
            return whole[i];
    return -1;
}

static ad_status read_history(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    int64_t rows = 0;
    const double *h = numbers(f, file, "fit.history", -1, N_HISTORY, &rows, error);
    nn_history history = {0};
    for (int64_t i = 0; h && i < rows && !nn_earlier(error); i++) {
        const double *at = h + i * N_HISTORY;
        const int bad = bad_number(at);
        nn_history_row row = bad < 0 ? get_row(at) : (nn_history_row){0};
        if (bad >= 0)
            damaged(f, "fit.history", i * N_HISTORY + bad, at[bad], error);
        else if (!nn_history_add(&history, &row))
            nn_no_memory(error);
    }
    if (nn_earlier(error)) {
        nn_history_clear(&history);
        return nn_earlier(error);
    }
    nn_history_clear(&f->model->history);
    f->model->history = history;
    return AD_OK;
}

/* Into a tensor that exists; `transposed`: the file has (b,a). */
static ad_status read_into(const nn_fitting *f, const nn_tensor_file *file, const char *name,
                           bool transposed, ad_tensor *to, nn_error *error)
{
    ad_tensor *t = nn_tensor_file_find(file, name);
    ad_tensor *turned = t && transposed && ad_tensor_rank(t) == 2
                            ? ad_tensor_permuted(t, (const int[]){1, 0})
                            : NULL;
    ad_status status = t ? ad_tensor_copy(to, turned ? turned : t) : AD_NULL;
    ad_tensor_free(turned);
    return status ? misfit(f, name, error) : AD_OK;
}

static ad_status read_tensors(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    const nn_model *model = f->model;
    char name[2 * NN_NAME_SIZE];
    for (int i = 0; i < model->n_variables; i++) {
        const nn_variable *v = model->order[i];
        if (read_into(f, file, v->name, v->transposed_in_files, ad_param_value(v->param), error))
            return nn_earlier(error);
    }
    for (int i = 0; i < nn_trainer_state_count(&f->trainer); i++) {
        state_name(f, i, name);
        if (read_into(f, file, name, false, ad_param_value(nn_trainer_state_at(&f->trainer, i)),
                      error))
            return nn_earlier(error);
    }
    return AD_OK;
}

static ad_status read_best(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    char name[2 * NN_NAME_SIZE];
    snprintf(name, sizeof name, "fit.best.%s", f->model->order[0]->name);
    if (!f->keeps_best || f->at.best_epoch == 0)
        return AD_OK;
    if (!nn_tensor_file_find(file, name))
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: has no best parameters, for the fit had neither patience nor "
                       "restore_best: go on without, or begin anew without resume",
                       f->config.checkpoint);
    if (nn_snapshot_take(&f->best, f->model, NULL, error))
        return nn_earlier(error);
    for (int i = 0; i < f->model->n_variables; i++) {
        const nn_variable *v = f->model->order[i];
        snprintf(name, sizeof name, "fit.best.%s", v->name);
        if (read_into(f, file, name, v->transposed_in_files, f->best.values[i], error))
            return nn_earlier(error);
    }
    return AD_OK;
}

static ad_status read_lbfgs(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    int64_t rows, one;
    const int64_t n = nn_trainer_size(&f->trainer);
    nn_lbfgs_state *s = &f->lbfgs;
    if (f->config.optimizer.rule != NN_LBFGS)
        return AD_OK;
    const double *v = numbers(f, file, "fit.lbfgs", -1, n, &rows, error);
    const double *value = v ? numbers(f, file, "fit.lbfgs.value", 1, 2, &one, error) : NULL;
    if (!value)
        return nn_earlier(error);
    if (rows < 2 || rows % 2 || rows / 2 > INT_MAX)
        return misfit(f, "fit.lbfgs", error);
    const size_t bytes = (size_t)(rows * n) * sizeof *v;
    *s = (nn_lbfgs_state){malloc(bytes), (int)(rows / 2 - 1), value[0], value[1] != 0};
    if (!s->vectors)
        return nn_no_memory(error);
    memcpy(s->vectors, v, bytes);
    return AD_OK;
}

static ad_status read_collected(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    nn_collected *c = &f->collected;
    const ad_tensor *p = nn_tensor_file_find(file, "fit.predictions"),
                    *t = nn_tensor_file_find(file, "fit.targets"),
                    *w = nn_tensor_file_find(file, "fit.weights");
    if (!p || !t || !w || f->at.row == 0 || !(f->measures.metrics || f->measures.metric))
        return AD_OK;
    const int64_t rows = ad_tensor_size(w);
    if (nn_collect_begin(c, f->model, f->batch, error))
        return nn_earlier(error);
    if (ad_tensor_dtype(p) != AD_F64 || ad_tensor_dtype(w) != AD_F64 ||
        ad_tensor_dtype(t) != c->target_dtype || ad_tensor_size(p) != rows * c->outputs ||
        ad_tensor_size(t) != rows * c->targets || rows > f->at.row)
        return misfit(f, "fit.predictions", error);
    for (int64_t i = 0; i < rows; i++) {
        const double weight = ((const double *)ad_tensor_data_const(w))[i];
        if (!(weight >= 0) || isinf(weight))
            return damaged(f, "fit.weights", i, weight, error);
    }
    if (!nn_collect_room(c, rows, error))
        return nn_earlier(error);
    memcpy(c->predictions, ad_tensor_data_const(p), (size_t)(rows * c->outputs) * sizeof(double));
    memcpy(c->target_bytes, ad_tensor_data_const(t),
           (size_t)(rows * c->targets) * ad_dtype_size(c->target_dtype));
    memcpy(c->weights, ad_tensor_data_const(w), (size_t)rows * sizeof(double));
    c->rows = rows;
    return AD_OK;
}

/* The history comes last: what is before it can still find the file wrong. */
static ad_status read_all(nn_fitting *f, const nn_tensor_file *file, nn_error *error)
{
    nn_snapshot before = {0};
    if (check_settings(f, file, error) || check_names(f, file, error) ||
        nn_snapshot_take(&before, f->model, NULL, error) || read_position(f, file, error) ||
        read_tensors(f, file, error) || read_best(f, file, error) || read_lbfgs(f, file, error) ||
        read_collected(f, file, error) || read_history(f, file, error))
        nn_snapshot_restore(&before, f->model, NULL, NULL);
    nn_snapshot_free(&before);
    return nn_earlier(error);
}

ad_status nn_checkpoint_read(nn_fitting *f, bool *found, nn_error *error)
{
    nn_tensor_file file = {0};
    const char *path = f->config.checkpoint;
    *found = file_exists(path);
    if (!*found || nn_tensor_file_read(path, f->model->config.context, &file, error))
        return nn_earlier(error);
    const char *format = nn_tensor_file_text(&file, "tapegrad");
    if (!format || strcmp(format, FORMAT) != 0)
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: not a checkpoint of a fit (to load parameters: nn_load_parameters)", path);
    else
        read_all(f, &file, error);
    nn_tensor_file_free(&file);
    return nn_earlier(error);
}
