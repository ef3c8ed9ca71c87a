/* hand_step.c - training steps of an MLP as one writes them by hand: a BLAS for the products, loops
 * for the rest, nothing computed twice and no library of derivatives
 *
 * Asked as step.c is. Activations are (batch, width), weights (in, out), all row-major. */
#define _POSIX_C_SOURCE 200809L
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "serve.h"

/* The weights of a layer are in one piece with its biases, behind them. */
struct trainer {
    model m;
    float *x[BATCHES], *target[BATCHES];
    int *label[BATCHES];
    float *w[MAX_LAYERS], *dw[MAX_LAYERS], *first[MAX_LAYERS], *second[MAX_LAYERS];
    float *a[MAX_LAYERS + 1], *dz[MAX_LAYERS]; /* activations, cotangents of the sums */
    double loss;
    long step;
};

static const float rate = 1e-3f, rate_sgd = .1f, beta1 = .9f, beta2 = .999f, epsilon = 1e-8f;

static size_t size_of(const struct trainer *t, int k)
{
    return (size_t)(t->m.width[k] + 1) * (size_t)t->m.width[k + 1];
}

static float *zeros(size_t n)
{
    float *data = calloc(n, sizeof *data);
    if (!data) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return data;
}

static void make_data(struct trainer *t)
{
    const size_t batch = (size_t)t->m.batch;
    const int classes = t->m.width[t->m.layers];
    for (int i = 0; i < BATCHES; i++) {
        t->x[i] = model_floats(batch * (size_t)t->m.width[0], 31 + i, 97, 0, 1);
        t->target[i] = model_floats(batch, 1 + i, 2, 0, 2);
        t->label[i] = calloc(batch, sizeof(int));
        for (int r = 0; t->label[i] && r < t->m.batch; r++)
            t->label[i][r] = (r * 7 + i) % classes;
    }
}

static void make_layers(struct trainer *t)
{
    for (int k = 0; k < t->m.layers; k++) {
        const size_t n = size_of(t, k), out = (size_t)t->m.width[k + 1];
        float *weights = model_weights(&t->m, k);
        t->w[k] = zeros(n);
        t->dw[k] = zeros(n);
        t->a[k + 1] = zeros((size_t)t->m.batch * out);
        t->dz[k] = zeros((size_t)t->m.batch * out);
        if (t->m.adam) {
            t->first[k] = zeros(n);
            t->second[k] = zeros(n);
        }
        if (weights)
            memcpy(t->w[k], weights, (n - out) * sizeof *weights);
        free(weights);
    }
}

/* ---- the step ---------------------------------------------------------------------------------
 */

static void forward(struct trainer *t, int k)
{
    const int in = t->m.width[k], out = t->m.width[k + 1], batch = t->m.batch;
    const float *bias = t->w[k] + (size_t)in * (size_t)out;
    float *z = t->a[k + 1];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, out, in, 1, t->a[k], in, t->w[k],
                out, 0, z, out);
    const bool last = k + 1 == t->m.layers;
    for (int r = 0; r < batch; r++, z += out)
        for (int j = 0; j < out; j++) {
            float sum = z[j] + bias[j];
            z[j] = last || sum > 0 ? sum : 0;
        }
}

/* Mean loss of a batch; dz gets its derivative by the logits. */
static double cross_entropy(const struct trainer *t, const float *z, const int *label, float *dz)
{
    const int n = t->m.width[t->m.layers], batch = t->m.batch;
    double loss = 0;
    for (int r = 0; r < batch; r++, z += n, dz += n) {
        float most = z[0], sum = 0;
        for (int j = 1; j < n; j++)
            most = z[j] > most ? z[j] : most;
        for (int j = 0; j < n; j++)
            sum += dz[j] = expf(z[j] - most);
        loss += (double)(logf(sum) + most - z[label[r]]);
        for (int j = 0; j < n; j++)
            dz[j] /= sum * (float)batch;
        dz[label[r]] -= 1 / (float)batch;
    }
    return loss / batch;
}

static double binary_cross_entropy(const struct trainer *t, const float *z, const float *y,
                                   float *dz)
{
    const int batch = t->m.batch;
    double loss = 0;
    for (int r = 0; r < batch; r++) {
        float e = expf(-fabsf(z[r])), p = z[r] >= 0 ? 1 / (1 + e) : e / (1 + e);
        loss += (double)((z[r] > 0 ? z[r] : 0) - z[r] * y[r] + log1pf(e));
        dz[r] = (p - y[r]) / (float)batch;
    }
    return loss / batch;
}

static void backward(struct trainer *t, int k)
{
    const int in = t->m.width[k], out = t->m.width[k + 1], batch = t->m.batch;
    const float *dz = t->dz[k];
    float *dbias = t->dw[k] + (size_t)in * (size_t)out;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, in, out, batch, 1, t->a[k], in, dz, out, 0,
                t->dw[k], out);
    memset(dbias, 0, (size_t)out * sizeof *dbias);
    for (int r = 0; r < batch; r++)
        for (int j = 0; j < out; j++)
            dbias[j] += dz[(size_t)r * (size_t)out + (size_t)j];
    if (k == 0)
        return;
    float *below = t->dz[k - 1];
    const float *a = t->a[k];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, batch, in, out, 1, dz, out, t->w[k], out,
                0, below, in);
    for (size_t i = 0; i < (size_t)batch * (size_t)in; i++)
        below[i] = a[i] > 0 ? below[i] : 0;
}

static void update(struct trainer *t, int k, float step, float correction)
{
    const size_t n = size_of(t, k);
    float *restrict w = t->w[k], *restrict m = t->first[k], *restrict v = t->second[k];
    const float *restrict g = t->dw[k];
    for (size_t i = 0; t->m.adam && i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= step * m[i] / (sqrtf(v[i]) * correction + epsilon);
    }
    for (size_t i = 0; !t->m.adam && i < n; i++)
        w[i] -= step * g[i];
}

static void run_step(struct trainer *t)
{
    const int which = (int)(t->step++ % BATCHES), last = t->m.layers - 1;
    const double n = (double)t->step;
    t->a[0] = t->x[which];
    for (int k = 0; k <= last; k++)
        forward(t, k);
    t->loss = t->m.width[t->m.layers] == 1
                  ? binary_cross_entropy(t, t->a[last + 1], t->target[which], t->dz[last])
                  : cross_entropy(t, t->a[last + 1], t->label[which], t->dz[last]);
    for (int k = last; k >= 0; k--)
        backward(t, k);
    const float step = t->m.adam ? (float)((double)rate / (1 - pow((double)beta1, n))) : rate_sgd;
    const float correction = (float)(1 / sqrt(1 - pow((double)beta2, n)));
    for (int k = 0; k <= last; k++)
        update(t, k, step, correction);
}

/* ---- questions --------------------------------------------------------------------------------
 */

static double run_steps(struct trainer *t, int n)
{
    double start = serve_seconds();
    for (int i = 0; i < n; i++)
        run_step(t);
    return (serve_seconds() - start) / n * 1e6;
}

int main(void)
{
    static struct trainer t;
    char line[256];
    serve_line("ready hand-written C on BLAS");
    while (serve_question(line, sizeof line)) {
        if (!strncmp(line, "model ", 6) && model_read(&t.m, line + 6)) {
            make_data(&t);
            make_layers(&t);
            puts("ok");
        } else if (!strncmp(line, "run ", 4) && t.m.layers)
            printf("%.9g\n", run_steps(&t, atoi(line + 4)));
        else if (!strcmp(line, "loss"))
            printf("%.9g\n", t.loss);
        else if (!strcmp(line, "memory"))
            printf("%.9g\n", serve_memory_mib());
        else
            puts("what?");
        fflush(stdout);
    }
    return 0;
}
