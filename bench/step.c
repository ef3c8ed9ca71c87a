/* step.c - training steps of an MLP as one program, in a process of its own
 *
 * Forward, loss, backward and the optimizer are recorded once, end in ad_assign, and are captured:
 * from then on a step is one ad_run. Asked by bench_train.c, a line at a time, as the peers are:
 *     model 784,64,64,10 32 adam 1 eager  ->  ok, or why not; 1: threads
 *     run 100                             ->  microseconds a step
 *     loss                                ->  of the last step
 *     memory                              ->  MiB that this process has needed at most */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#include "serve.h"

enum { MAX_LAYERS = 8, BATCHES = 4 };

/* One network in training. Parameter 2k is the weight of layer k, (in,out), and 2k+1 its bias,
 * (out). */
struct trainer {
    int layers, width[MAX_LAYERS + 1], batch;
    bool adam;
    ad_tensor *x[BATCHES], *y[BATCHES];
    ad_param *params[2 * MAX_LAYERS], *first[2 * MAX_LAYERS], *second[2 * MAX_LAYERS]; /* moments */
    ad_context *context; /* NULL: one thread */
    ad_program *program;
    ad_workspace *workspace;
    long step;
};

static const double rate = 1e-3, rate_sgd = .1, beta1 = .9, beta2 = .999, epsilon = 1e-8;

/* ---- data and weights: any, but the same as in peer_torch.py and peer_jax.py
 * --------------------------------------- */

static ad_tensor *floats(int rank, const int64_t *shape, long times, long modulus, double shift,
                         double scale)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F32, rank, shape);
    float *data = t ? ad_tensor_data(t) : NULL;
    for (int64_t i = 0; data && i < ad_tensor_size(t); i++)
        data[i] = (float)(((double)(i * times % modulus) / (double)modulus - shift) * scale);
    return t;
}

static ad_tensor *labels(int batch, int classes, int which)
{
    if (classes == 1)
        return floats(2, (int64_t[]){batch, 1}, 1 + which, 2, 0, 2);
    ad_tensor *t = ad_tensor_new(NULL, AD_I32, 1, (int64_t[]){batch});
    int32_t *data = t ? ad_tensor_data(t) : NULL;
    for (int i = 0; data && i < batch; i++)
        data[i] = (i * 7 + which) % classes;
    return t;
}

static void make_parameters(struct trainer *t)
{
    for (int k = 0; k < t->layers; k++) {
        const int in = t->width[k], out = t->width[k + 1];
        for (int bias = 0; bias < 2; bias++) {
            const int rank = bias ? 1 : 2, i = 2 * k + bias;
            const int64_t *shape = bias ? (int64_t[]){out} : (int64_t[]){in, out};
            double scale = bias ? 0 : 2 * sqrt(6. / in);
            t->params[i] = ad_param_new("w", floats(rank, shape, 7919 + k, 1000, .5, scale), true);
            if (t->adam) {
                t->first[i] = ad_param_new("m", ad_tensor_new(NULL, AD_F32, rank, shape), false);
                t->second[i] = ad_param_new("v", ad_tensor_new(NULL, AD_F32, rank, shape), false);
            }
        }
    }
}

/* ---- the step, recorded
 * ------------------------------------------------------------------------------ */

/* x: (batch, in); gives the loss, a scalar */
static ad_var record_loss(struct trainer *t, ad_tape *tape, ad_var x, ad_var y, ad_var *params)
{
    ad_var a = x;
    for (int k = 0; k < t->layers; k++) {
        ad_var w = params[2 * k] = ad_use(tape, t->params[2 * k]);
        ad_var b = params[2 * k + 1] = ad_use(tape, t->params[2 * k + 1]);
        a = ad_add(ad_matmul(a, w), b);
        if (k + 1 < t->layers)
            a = ad_relu(a);
    }
    return t->width[t->layers] == 1 ? ad_mean(ad_bce_logits(a, y))
                                    : ad_mean(ad_softmax_cross_entropy(a, y));
}

/* rate and correction change from step to step: lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t) */
static void record_update(struct trainer *t, ad_tape *tape, int i, ad_var w, ad_var g, ad_var step,
                          ad_var correction)
{
    if (!t->adam) {
        ad_assign(w, ad_sub(w, ad_mul(step, g)));
        return;
    }
    ad_var m = ad_use(tape, t->first[i]), v = ad_use(tape, t->second[i]);
    ad_var m1 = ad_add(ad_mul(beta1, m), ad_mul(1 - beta1, g));
    ad_var v1 = ad_add(ad_mul(beta2, v), ad_mul(1 - beta2, ad_mul(g, g)));
    ad_assign(m, m1);
    ad_assign(v, v1);
    ad_var size = ad_add(ad_mul(ad_sqrt(v1), correction), epsilon);
    ad_assign(w, ad_sub(w, ad_mul(step, ad_div(m1, size))));
}

static const char *make_step(struct trainer *t)
{
    static char error[512];
    ad_tape *tape = ad_tape_new(t->context);
#ifdef HAVE_DEFER
    ad_defer(tape);
#endif
    ad_var in[4] = {ad_bind(tape, t->x[0]), ad_bind(tape, t->y[0]), ad_input(tape, 0),
                    ad_input(tape, 0)};
    ad_var params[2 * MAX_LAYERS], gradients[2 * MAX_LAYERS];
    ad_var loss = record_loss(t, tape, in[0], in[1], params);
    ad_gradients(loss, 2 * t->layers, params, gradients);
    for (int i = 0; i < 2 * t->layers; i++)
        record_update(t, tape, i, params[i], gradients[i], in[2], in[3]);
    t->program = ad_program_capture(tape, t->adam ? 4 : 3, in, 1, &loss, AD_VALUES);
    snprintf(error, sizeof error, "%s", ad_tape_error(tape));
    ad_tape_free(tape);
    if (!t->program)
        return error;
    t->workspace = ad_workspace_new(t->program);
    return NULL;
}

static ad_status run_step(struct trainer *t)
{
    const int which = (int)(t->step++ % BATCHES);
    const double n = (double)t->step;
#ifdef HAVE_BIND_INPUT
    ad_workspace_bind_input(t->workspace, 0, t->x[which]);
    ad_workspace_bind_input(t->workspace, 1, t->y[which]);
#else
    ad_workspace_set(t->workspace, 0, t->x[which]);
    ad_workspace_set(t->workspace, 1, t->y[which]);
#endif
    ad_workspace_set_scalar(t->workspace, 2, t->adam ? rate / (1 - pow(beta1, n)) : rate_sgd);
    if (t->adam)
        ad_workspace_set_scalar(t->workspace, 3, 1 / sqrt(1 - pow(beta2, n)));
    return ad_run(t->workspace, NULL, NULL);
}

/* ---- questions
 * ----------------------------------------------------------------------------------------- */

static bool use_threads(struct trainer *t, int threads)
{
#ifdef HAVE_THREADS
    t->context = threads > 1 ? ad_context_new(&(ad_context_config){.threads = threads}) : NULL;
    return t->context || threads == 1;
#else
    (void)t;
    return threads == 1;
#endif
}

static const char *make_model(struct trainer *t, char *words)
{
    char optimizer[8], widths[64];
    int threads;
    if (sscanf(words, "%63s %d %7s %d", widths, &t->batch, optimizer, &threads) != 4)
        return "model: widths, batch, optimizer, threads, manner";
    if (!use_threads(t, threads))
        return "absent: no threads";
    t->adam = !strcmp(optimizer, "adam");
    t->layers = -1;
    for (char *w = strtok(widths, ","); w && t->layers < MAX_LAYERS; w = strtok(NULL, ","))
        t->width[++t->layers] = atoi(w);
    for (int i = 0; i < BATCHES; i++) {
        t->x[i] = floats(2, (int64_t[]){t->batch, t->width[0]}, 31 + i, 97, 0, 1);
        t->y[i] = labels(t->batch, t->width[t->layers], i);
    }
    make_parameters(t);
    return make_step(t);
}

static double run_steps(struct trainer *t, int n)
{
    ad_status status = AD_OK;
    double start = serve_seconds();
    for (int i = 0; i < n && status == AD_OK; i++)
        status = run_step(t);
    double elapsed = serve_seconds() - start;
    return status == AD_OK ? elapsed / n * 1e6 : NAN;
}

static void answer(struct trainer *t, char *line)
{
    double loss = NAN;
    if (!strncmp(line, "model ", 6)) {
        const char *error = make_model(t, line + 6);
        puts(error ? error : "ok");
    } else if (!strncmp(line, "run ", 4) && t->workspace) {
        printf("%.9g\n", run_steps(t, atoi(line + 4)));
    } else if (!strcmp(line, "loss") && t->workspace) {
        ad_workspace_read(t->workspace, 0, &loss);
        printf("%.9g\n", loss);
    } else if (!strcmp(line, "memory")) {
        printf("%.9g\n", serve_memory_mib());
    } else {
        puts("what?");
    }
    fflush(stdout);
}

int main(void)
{
    struct trainer t = {0};
    char line[256];
    printf("ready Tapegrad %s\n", ad_version());
    fflush(stdout);
    while (serve_question(line, sizeof line))
        answer(&t, line);
    ad_workspace_free(t.workspace);
    ad_program_free(t.program);
    for (int i = 0; i < 2 * MAX_LAYERS; i++) {
        ad_param_free(t.params[i]);
        ad_param_free(t.first[i]);
        ad_param_free(t.second[i]);
    }
    for (int i = 0; i < BATCHES; i++) {
        ad_tensor_free(t.x[i]);
        ad_tensor_free(t.y[i]);
    }
    ad_context_free(t.context);
    return 0;
}
