/* digits.c - a network that learns handwritten digits, its whole training step one program
 *
 * The step is recorded once: pick the batch, forward, loss, backward, Adam, and assignments of the
 * new weights and moments. From then on it is replayed. The last batch of an epoch is smaller, and
 * so is a second program over the same parameters. Nothing here derives anything by hand. */
#include "digits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 64, CLASSES = 10, LAYERS = 3, WEIGHTS = 2 * LAYERS, BATCH = 32 };
static const int64_t width[LAYERS + 1] = {PIXELS, 64, 32, CLASSES};
static const double rate = 1e-3, beta1 = .9, beta2 = .999, epsilon = 1e-8;

/* what the seed is split into: a stream of random numbers each */
enum { KEY_SPLIT = 100, KEY_SHUFFLE = 200 };

/* ---- data -------------------------------------------------------------------------------- */

static bool digits_new(digits *d, int64_t n)
{
    d->n = n;
    d->pixels = ad_tensor_new(NULL, AD_F32, 2, (int64_t[]){n, PIXELS});
    d->labels = ad_tensor_new(NULL, AD_I32, 1, &n);
    return d->pixels && d->labels;
}

void digits_free(digits *d)
{
    ad_tensor_free(d->pixels);
    ad_tensor_free(d->labels);
    *d = (digits){0};
}

/* 64 numbers from 0 to 16, and the digit */
static bool parse_line(char *line, float *pixels, int32_t *label)
{
    for (int i = 0; i <= PIXELS; i++) {
        char *end;
        long number = strtol(line, &end, 10);
        if (end == line || number < 0 || number > (i < PIXELS ? 16 : 9))
            return false;
        if (i < PIXELS)
            pixels[i] = (float)number / 16;
        else
            *label = (int32_t)number;
        line = end + (*end == ',');
    }
    return true;
}

bool digits_read(digits *all, const char *path, char error[512])
{
    char line[1024];
    int64_t n = -1; /* the first line names the columns */
    *all = (digits){0};
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(error, 512, "%s: cannot be opened", path);
        return false;
    }
    while (fgets(line, sizeof line, file))
        n++;
    rewind(file);
    bool ok = n > 1 && digits_new(all, n) && fgets(line, sizeof line, file);
    float *pixels = ok ? ad_tensor_data(all->pixels) : NULL;
    int32_t *labels = ok ? ad_tensor_data(all->labels) : NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        ok = fgets(line, sizeof line, file) && parse_line(line, pixels + i * PIXELS, labels + i);
        if (!ok)
            snprintf(error, 512, "%s:%lld: not 64 pixels and a digit", path, (long long)i + 2);
    }
    if (n <= 1 || !all->labels)
        snprintf(error, 512, "%s: %s", path, n <= 1 ? "too few rows" : "out of memory");
    fclose(file);
    if (!ok)
        digits_free(all);
    return ok;
}

static bool digits_pick(digits *to, const digits *from, const int32_t *rows, int64_t n)
{
    if (!digits_new(to, n))
        return false;
    const float *pixels = ad_tensor_data_const(from->pixels);
    const int32_t *labels = ad_tensor_data_const(from->labels);
    float *x = ad_tensor_data(to->pixels);
    int32_t *y = ad_tensor_data(to->labels);
    for (int64_t i = 0; i < n; i++) {
        memcpy(x + i * PIXELS, pixels + rows[i] * PIXELS, PIXELS * sizeof *x);
        y[i] = labels[rows[i]];
    }
    return true;
}

bool digits_split(const digits *all, uint64_t seed, digits *train, digits *test)
{
    ad_tensor *order = ad_tensor_new(NULL, AD_I32, 1, &all->n);
    *train = *test = (digits){0};
    bool ok = order && !ad_draw_permutation(order, seed, KEY_SPLIT, 0);
    if (ok) {
        const int32_t *rows = ad_tensor_data_const(order);
        int64_t n = all->n * 4 / 5;
        ok = digits_pick(train, all, rows, n) && digits_pick(test, all, rows + n, all->n - n);
    }
    ad_tensor_free(order);
    return ok;
}

/* ---- model ------------------------------------------------------------------------------- */

typedef struct model {
    ad_param *weights[WEIGHTS]; /* of layer k: 2k is the matrix (in,out), 2k+1 the bias (out) */
    ad_param *first[WEIGHTS];   /* Adam's moments: states, like the weights but not trained */
    ad_param *second[WEIGHTS];
    ad_param *count; /* steps taken: a scalar */
} model;

/* He's initialisation: normal with variance 2 / inputs, which layers of relu keep */
static bool draw_weights(ad_param *matrix, uint64_t seed, uint64_t key, int64_t inputs)
{
    ad_tensor *t = ad_param_value(matrix);
    if (ad_draw_normal(t, seed, key, 0))
        return false;
    float *w = ad_tensor_data(t), scale = sqrtf(2 / (float)inputs);
    for (int64_t i = 0; i < ad_tensor_size(t); i++)
        w[i] *= scale;
    return true;
}

static ad_param *zeros(const char *what, int layer, ad_dtype dtype, int rank, const int64_t *shape,
                       bool trainable)
{
    char name[32];
    snprintf(name, sizeof name, "%s %d", what, layer + 1);
    ad_tensor *value = ad_tensor_new(NULL, dtype, rank, shape);
    return value ? ad_param_new(name, value, trainable) : NULL;
}

static bool model_new(model *m, uint64_t seed)
{
    bool ok = true;
    for (int i = 0; i < WEIGHTS; i++) {
        int k = i / 2, rank = i % 2 ? 1 : 2;
        const int64_t *shape = i % 2 ? &width[k + 1] : &width[k];
        m->weights[i] = zeros(i % 2 ? "bias" : "weights", k, AD_F32, rank, shape, true);
        m->first[i] = zeros("first moment", i, AD_F32, rank, shape, false);
        m->second[i] = zeros("second moment", i, AD_F32, rank, shape, false);
        ok = ok && m->weights[i] && m->first[i] && m->second[i];
        if (ok && i % 2 == 0)
            ok = draw_weights(m->weights[i], seed, (uint64_t)k, width[k]);
    }
    m->count = zeros("step", 0, AD_F64, 0, NULL, false);
    return ok && m->count;
}

static void model_free(model *m)
{
    for (int i = 0; i < WEIGHTS; i++) {
        ad_param_free(m->weights[i]);
        ad_param_free(m->first[i]);
        ad_param_free(m->second[i]);
    }
    ad_param_free(m->count);
}

/* ---- what is recorded -------------------------------------------------------------------- */

/* (n,64) -> (n,10) */
static ad_var record_logits(const model *m, ad_tape *t, ad_var x)
{
    for (int k = 0; k < LAYERS; k++) {
        ad_scope_push(t, (const char *const[]){"layer 1", "layer 2", "layer 3"}[k]);
        x = ad_add(ad_matmul(x, ad_use(t, m->weights[2 * k])), ad_use(t, m->weights[2 * k + 1]));
        if (k + 1 < LAYERS)
            x = ad_relu(x);
        ad_scope_pop(t);
    }
    return x;
}

/* Adam (Kingma and Ba, 2015) as expression code: nothing changes until the program runs */
static void record_adam(const model *m, ad_tape *t, ad_var loss)
{
    ad_var w[WEIGHTS], g[WEIGHTS];
    for (int i = 0; i < WEIGHTS; i++)
        w[i] = ad_use(t, m->weights[i]);
    ad_gradients(loss, WEIGHTS, w, g);
    ad_var before = ad_use(t, m->count), count = ad_add(before, 1);
    ad_var correction1 = ad_sub(1, ad_pow(beta1, count));
    ad_var correction2 = ad_sub(1, ad_pow(beta2, count));
    ad_assign(before, count);
    for (int i = 0; i < WEIGHTS; i++) {
        ad_var m0 = ad_use(t, m->first[i]), v0 = ad_use(t, m->second[i]);
        ad_var m1 = ad_add(ad_mul(beta1, m0), ad_mul(1 - beta1, g[i]));
        ad_var v1 = ad_add(ad_mul(beta2, v0), ad_mul(1 - beta2, ad_square(g[i])));
        ad_var size = ad_add(ad_sqrt(ad_div(v1, correction2)), epsilon);
        ad_assign(m0, m1);
        ad_assign(v0, v1);
        ad_assign(w[i], ad_sub(w[i], ad_mul(rate, ad_div(ad_div(m1, correction1), size))));
    }
}

static ad_program *keep(ad_tape *t, ad_program *p, char error[512])
{
    if (!p)
        snprintf(error, 512, "%s", ad_tape_error(t));
    ad_tape_free(t);
    return p;
}

/* A step on the training set's rows that its input names, as many as `rows` has; gives the loss. */
static ad_program *record_step(const model *m, const digits *train, const ad_tensor *rows,
                               char error[512])
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var batch = ad_input_tensor(t, rows);
    ad_var x = ad_take(ad_constant_tensor(t, train->pixels), 0, batch);
    ad_var y = ad_take(ad_constant_tensor(t, train->labels), 0, batch);
    ad_var loss = ad_mean(ad_softmax_cross_entropy(record_logits(m, t, x), y));
    record_adam(m, t, loss);
    return keep(t, ad_program_capture(t, 1, &batch, 1, &loss, AD_VALUES), error);
}

/* what the network takes each picture for */
static ad_program *record_answers(const model *m, const digits *test, char error[512])
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var answers = ad_argmax(record_logits(m, t, ad_constant_tensor(t, test->pixels)), 1);
    return keep(t, ad_program_capture(t, 0, NULL, 1, &answers, AD_VALUES), error);
}

/* ---- training ---------------------------------------------------------------------------- */

typedef struct trainer {
    model model;
    ad_tensor *order; /* (n) int32: the training rows as this epoch meets them */
    ad_tensor **rows; /* of each batch: views of order */
    int64_t batches;
    ad_program *step[2], *answers; /* step[1]: for the smaller last batch */
    ad_workspace *stepper[2], *answerer;
} trainer;

static bool trainer_new(trainer *r, const digits *train, const digits *test, uint64_t seed,
                        char error[512])
{
    *r = (trainer){.batches = (train->n + BATCH - 1) / BATCH};
    r->order = ad_tensor_new(NULL, AD_I32, 1, &train->n);
    r->rows = calloc((size_t)r->batches, sizeof *r->rows);
    bool ok = model_new(&r->model, seed) && r->order && r->rows;
    for (int64_t b = 0; ok && b < r->batches; b++) {
        int64_t end = (b + 1) * BATCH;
        r->rows[b] = ad_tensor_sliced(r->order, 0, b * BATCH, end < train->n ? end : train->n, 1);
        ok = r->rows[b] != NULL;
    }
    snprintf(error, 512, "%s", ok ? "" : "out of memory");
    if (!ok || !(r->answers = record_answers(&r->model, test, error)))
        return false;
    r->answerer = ad_workspace_new(r->answers);
    for (int last = 0; last < 2; last++) {
        const ad_tensor *rows = r->rows[last ? r->batches - 1 : 0];
        if (!(r->step[last] = record_step(&r->model, train, rows, error)))
            return false;
        r->stepper[last] = ad_workspace_new(r->step[last]);
    }
    return true;
}

static void trainer_free(trainer *r)
{
    for (int last = 0; last < 2; last++) {
        ad_workspace_free(r->stepper[last]);
        ad_program_free(r->step[last]);
    }
    ad_workspace_free(r->answerer);
    ad_program_free(r->answers);
    for (int64_t b = 0; r->rows && b < r->batches; b++)
        ad_tensor_free(r->rows[b]);
    free(r->rows);
    ad_tensor_free(r->order);
    model_free(&r->model);
}

static ad_status note_failure(const ad_workspace *w, ad_status s, char error[512])
{
    if (s)
        snprintf(error, 512, "%s: %s", ad_status_name(s), ad_workspace_error(w));
    return s;
}

static ad_status train_epoch(trainer *r, uint64_t seed, int epoch, double *mean_loss,
                             char error[512])
{
    double sum = 0;
    ad_status s = ad_draw_permutation(r->order, seed, KEY_SHUFFLE, (uint64_t)epoch);
    for (int64_t b = 0; !s && b < r->batches; b++) {
        ad_workspace *w = r->stepper[b + 1 == r->batches];
        double loss = 0;
        s = ad_workspace_set(w, 0, r->rows[b]);
        if (!s)
            s = ad_run(w, NULL, &loss);
        note_failure(w, s, error);
        sum += loss * (double)ad_tensor_size(r->rows[b]);
    }
    *mean_loss = sum / (double)ad_tensor_size(r->order);
    return s;
}

/* in percent */
static ad_status test_accuracy(trainer *r, const digits *test, double *accuracy, char error[512])
{
    double *answer = malloc((size_t)test->n * sizeof *answer);
    ad_status s = answer ? ad_run(r->answerer, NULL, answer) : AD_NO_MEMORY;
    const int32_t *labels = ad_tensor_data_const(test->labels);
    int64_t right = 0;
    for (int64_t i = 0; !s && i < test->n; i++)
        right += (int32_t)answer[i] == labels[i];
    *accuracy = 100 * (double)right / (double)test->n;
    free(answer);
    return note_failure(r->answerer, s, error);
}

bool digits_train(const digits *train, const digits *test, uint64_t seed, int epochs, history *h,
                  digits_progress *progress, void *user, char error[512])
{
    trainer r;
    *h = (history){0};
    bool ok = trainer_new(&r, train, test, seed, error);
    if (ok)
        h->nodes = ad_program_node_count(r.step[0]);
    for (int i = 0; ok && i < WEIGHTS; i++)
        h->weights += ad_tensor_size(ad_param_value(r.model.weights[i]));
    for (int e = 0; ok && e < epochs && e < MAX_EPOCHS; e++) {
        ok = !train_epoch(&r, seed, e, &h->loss[e], error) &&
             !test_accuracy(&r, test, &h->accuracy[e], error);
        h->epochs = e + ok;
        if (ok && progress)
            progress(user, h);
    }
    trainer_free(&r);
    return ok;
}
