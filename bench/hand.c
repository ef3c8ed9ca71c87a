/* hand.c - the scalar cases as plain C, and their gradients derived and written by hand
 *
 * A file of its own, so that the optimiser sees neither the arguments nor what becomes of the
 * results. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scalar.h"

enum { W = MLP_WIDTH };

struct hand {
    const problem *p;
    double *memory; /* of intermediate values */
};

/* ---- values ------------------------------------------------------------------------------------
 */

static double chain(const double *x, size_t size)
{
    double q = x[0], p = x[1], k = x[2], m = x[3];
    for (size_t i = 0; i < size; i++) {
        p = p - k * sin(q);
        q = q + p / m;
    }
    return q;
}

static double rotation(const double *x, size_t size)
{
    double c = x[0], s = x[1], a = x[2], b = x[3], d = x[4];
    for (size_t i = 0; i < size; i++) {
        double turned = c * a + s * d;
        s = c * b + s * a;
        c = turned;
    }
    return c;
}

static double product(const double *x, size_t size)
{
    double y = x[0];
    for (size_t i = 1; i < size; i++)
        y *= x[i];
    return y;
}

static double rosenbrock(const double *x, size_t size)
{
    double y = 0;
    for (size_t i = 0; i + 1 < size; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        y = y + (100 * (a * a) + b * b);
    }
    return y;
}

static double neuron(const double *w, const double *a, double b)
{
    double z = b;
    for (int i = 0; i < W; i++)
        z = z + w[i] * a[i];
    return z;
}

static void layer(const double *w, const double *a, double *y)
{
    for (int j = 0; j < W; j++)
        y[j] = tanh(neuron(w + j * W, a, w[W * W + j]));
}

static double mlp(const double *x, size_t size)
{
    (void)size;
    double h1[W], h2[W];
    const double *w1 = x + W, *w2 = w1 + W * W + W, *w3 = w2 + W * W + W;
    layer(w1, x, h1);
    layer(w2, h1, h2);
    return neuron(w3, h2, w3[W]);
}

static double small(const double *x, size_t size)
{
    (void)size;
    return x[0] * x[1] + sin(x[0]);
}

/* ---- gradients ---------------------------------------------------------------------------------
 */

static double chain_gradient(const double *x, double *g, size_t size, double *memory)
{
    double q = x[0], p = x[1], k = x[2], m = x[3];
    double *sine = memory, *cosine = memory + size, *quotient = memory + 2 * size;
    for (size_t i = 0; i < size; i++) {
        sine[i] = sin(q);
        cosine[i] = cos(q);
        p = p - k * sine[i];
        quotient[i] = p / m;
        q = q + quotient[i];
    }
    double dq = 1, dp = 0, dk = 0, dm = 0;
    for (size_t i = size; i-- > 0;) {
        double dr = dq / m;
        dp += dr;
        dm -= dr * quotient[i];
        dk -= dp * sine[i];
        dq -= dp * k * cosine[i];
    }
    g[0] = dq;
    g[1] = dp;
    g[2] = dk;
    g[3] = dm;
    return q;
}

static double rotation_gradient(const double *x, double *g, size_t size, double *memory)
{
    double c = x[0], s = x[1], a = x[2], b = x[3], d = x[4];
    for (size_t i = 0; i < size; i++) {
        memory[2 * i] = c;
        memory[2 * i + 1] = s;
        double turned = c * a + s * d;
        s = c * b + s * a;
        c = turned;
    }
    double dc = 1, ds = 0, da = 0, db = 0, dd = 0;
    for (size_t i = size; i-- > 0;) {
        double c0 = memory[2 * i], s0 = memory[2 * i + 1];
        da += dc * c0 + ds * s0;
        db += ds * c0;
        dd += dc * s0;
        double turned = dc * a + ds * b;
        ds = dc * d + ds * a;
        dc = turned;
    }
    g[0] = dc;
    g[1] = ds;
    g[2] = da;
    g[3] = db;
    g[4] = dd;
    return c;
}

static double product_gradient(const double *x, double *g, size_t size, double *memory)
{
    (void)memory;
    double y = 1; /* of those before */
    for (size_t i = 0; i < size; i++) {
        g[i] = y;
        y *= x[i];
    }
    double after = 1;
    for (size_t i = size; i-- > 0;) {
        g[i] *= after;
        after *= x[i];
    }
    return y;
}

static double rosenbrock_gradient(const double *x, double *g, size_t size, double *memory)
{
    (void)memory;
    double y = 0, carried = 0;
    for (size_t i = 0; i + 1 < size; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        y += 100 * (a * a) + b * b;
        g[i] = carried - 400 * a * x[i] - 2 * b;
        carried = 200 * a;
    }
    g[size - 1] = carried;
    return y;
}

/* dz: cotangents of the neurons' sums; da gets those of their arguments */
static void layer_gradient(const double *w, const double *a, const double *dz, double *dw,
                           double *restrict da)
{
    memset(da, 0, W * sizeof *da);
    for (int j = 0; j < W; j++) {
        dw[W * W + j] = dz[j];
        for (int i = 0; i < W; i++) {
            dw[j * W + i] = dz[j] * a[i];
            da[i] += dz[j] * w[j * W + i];
        }
    }
}

static double mlp_gradient(const double *x, double *g, size_t size, double *memory)
{
    (void)size;
    (void)memory;
    double h1[W], h2[W], dh[W], dz[W];
    const double *w1 = x + W, *w2 = w1 + W * W + W, *w3 = w2 + W * W + W;
    double *g1 = g + W, *g2 = g1 + W * W + W, *g3 = g2 + W * W + W;
    layer(w1, x, h1);
    layer(w2, h1, h2);
    double y = neuron(w3, h2, w3[W]);
    for (int i = 0; i < W; i++) {
        g3[i] = h2[i];
        dz[i] = w3[i] * (1 - h2[i] * h2[i]);
    }
    g3[W] = 1;
    layer_gradient(w2, h1, dz, g2, dh);
    for (int i = 0; i < W; i++)
        dz[i] = dh[i] * (1 - h1[i] * h1[i]);
    layer_gradient(w1, x, dz, g1, g);
    return y;
}

static double small_gradient(const double *x, double *g, size_t size, double *memory)
{
    (void)size;
    (void)memory;
    g[0] = x[1] + cos(x[0]);
    g[1] = x[0];
    return x[0] * x[1] + sin(x[0]);
}

/* ---- as ways -----------------------------------------------------------------------------------
 */

static const struct {
    double (*value)(const double *x, size_t size);
    double (*gradient)(const double *x, double *g, size_t size, double *memory);
    size_t memory; /* doubles a step */
} cases[CASE_COUNT] = {
    [CASE_CHAIN] = {chain, chain_gradient, 3},
    [CASE_ROTATION] = {rotation, rotation_gradient, 2},
    [CASE_PRODUCT] = {product, product_gradient, 0},
    [CASE_ROSENBROCK] = {rosenbrock, rosenbrock_gradient, 0},
    [CASE_MLP] = {mlp, mlp_gradient, 0},
    [CASE_SMALL] = {small, small_gradient, 0},
};

static void *hand_start(const problem *p)
{
    struct hand *h = malloc(sizeof *h);
    size_t bytes = cases[p->id].memory * p->size * sizeof(double);
    double *memory = malloc(bytes + 1);
    if (!h || !memory) {
        free(h);
        free(memory);
        return NULL;
    }
    *h = (struct hand){p, memory};
    return h;
}

static void hand_finish(void *state)
{
    struct hand *h = state;
    if (h) {
        free(h->memory);
        free(h);
    }
}

static void hand_gradient(void *state, const double *x, double *out)
{
    struct hand *h = state;
    out[0] = cases[h->p->id].gradient(x, out + 1, h->p->size, h->memory);
}

static void plain_value(void *state, const double *x, double *out)
{
    struct hand *h = state;
    out[0] = cases[h->p->id].value(x, h->p->size);
}

const way way_hand = {"hand-written derivative", hand_start, hand_gradient, NULL, hand_finish};
const way way_plain = {"plain function, value only", hand_start, plain_value, NULL, hand_finish};
