/* cases.c - the scalar cases as a user of the library writes them
 *
 * Compiled twice: without source sites for the headline numbers, and with them by cases_sites.c. */
#if !defined(BENCH_SITES) && !defined(AD_NO_SITES)
#define AD_NO_SITES
#endif
#include <tapegrad/ad.h>

#include <stdlib.h>

#include "scalar.h"

typedef ad_var function(const ad_var *x, size_t size);

static ad_var chain(const ad_var *x, size_t size)
{
    ad_var q = x[0], p = x[1], k = x[2], m = x[3];
    for (size_t i = 0; i < size; i++) {
        p = ad_sub(p, ad_mul(k, ad_sin(q)));
        q = ad_add(q, ad_div(p, m));
    }
    return q;
}

static ad_var rotation(const ad_var *x, size_t size)
{
    ad_var c = x[0], s = x[1], a = x[2], b = x[3], d = x[4];
    for (size_t i = 0; i < size; i++) {
        ad_var turned = ad_add(ad_mul(c, a), ad_mul(s, d));
        s = ad_add(ad_mul(c, b), ad_mul(s, a));
        c = turned;
    }
    return c;
}

static ad_var product(const ad_var *x, size_t size)
{
    ad_var y = x[0];
    for (size_t i = 1; i < size; i++)
        y = ad_mul(y, x[i]);
    return y;
}

static ad_var rosenbrock(const ad_var *x, size_t size)
{
    ad_var y = ad_constant(0);
    for (size_t i = 0; i + 1 < size; i++) {
        ad_var a = ad_sub(x[i + 1], ad_mul(x[i], x[i]));
        ad_var b = ad_sub(1, x[i]);
        y = ad_add(y, ad_add(ad_mul(100, ad_mul(a, a)), ad_mul(b, b)));
    }
    return y;
}

/* z = b + w a, for one neuron */
static ad_var neuron(const ad_var *w, const ad_var *a, ad_var b)
{
    ad_var z = b;
    for (int i = 0; i < MLP_WIDTH; i++)
        z = ad_add(z, ad_mul(w[i], a[i]));
    return z;
}

static ad_var mlp(const ad_var *x, size_t size)
{
    (void)size;
    const ad_var *a = x, *w = x + MLP_WIDTH;
    ad_var hidden[2][MLP_WIDTH];
    for (int layer = 0; layer < 2; layer++) {
        const ad_var *b = w + MLP_WIDTH * MLP_WIDTH;
        for (int j = 0; j < MLP_WIDTH; j++)
            hidden[layer][j] = ad_tanh(neuron(w + j * MLP_WIDTH, a, b[j]));
        a = hidden[layer];
        w = b + MLP_WIDTH;
    }
    return neuron(w, a, w[MLP_WIDTH]);
}

static ad_var small(const ad_var *x, size_t size)
{
    (void)size;
    return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
}

static function *const functions[CASE_COUNT] = {
    [CASE_CHAIN] = chain,           [CASE_ROTATION] = rotation, [CASE_PRODUCT] = product,
    [CASE_ROSENBROCK] = rosenbrock, [CASE_MLP] = mlp,           [CASE_SMALL] = small,
};

/* Inputs and gradients one by one where they are few, all at once where the library can. */
enum { FEW = 16 };

static void make_inputs(ad_tape *t, size_t n, const double *x, ad_var *inputs)
{
#ifdef HAVE_INPUT_N
    if (n > FEW) {
        ad_input_n(t, (int64_t)n, x, inputs);
        return;
    }
#endif
    for (size_t i = 0; i < n; i++)
        inputs[i] = ad_input(t, x[i]);
}

static void read_gradients(size_t n, const ad_var *inputs, double *gradients)
{
#ifdef HAVE_INPUT_N
    if (n > FEW) {
        ad_grad_n((int64_t)n, inputs, gradients);
        return;
    }
#endif
    for (size_t i = 0; i < n; i++)
        gradients[i] = ad_grad(inputs[i]);
}

/* ---- recorded anew for each gradient ------------------------------------------------------------
 */

struct recorded {
    ad_tape *tape;
    ad_var *x;
    function *f;
    size_t n, size;
};

static void recorded_finish(void *state)
{
    struct recorded *r = state;
    if (r) {
        ad_tape_free(r->tape);
        free(r->x);
        free(r);
    }
}

static void *recorded_start(const problem *p)
{
    struct recorded *r = calloc(1, sizeof *r);
    ad_var *x = calloc(p->n, sizeof *x);
    if (!r || !x) {
        free(r);
        free(x);
        return NULL;
    }
    *r = (struct recorded){ad_tape_new(NULL), x, functions[p->id], p->n, p->size};
    return r;
}

static void recorded_gradient(void *state, const double *x, double *out)
{
    struct recorded *r = state;
    ad_reset(r->tape);
    make_inputs(r->tape, r->n, x, r->x);
    ad_var y = r->f(r->x, r->size);
    ad_backward(y);
    read_gradients(r->n, r->x, out + 1);
    out[0] = ad_value(y);
}

#ifndef BENCH_SITES
/* Without the backward pass: what it costs on top. */
static void recording_gradient(void *state, const double *x, double *out)
{
    struct recorded *r = state;
    ad_reset(r->tape);
    make_inputs(r->tape, r->n, x, r->x);
    out[0] = ad_value(r->f(r->x, r->size));
}
#endif

static double recorded_bytes(void *state)
{
    struct recorded *r = state;
    return (double)ad_tape_stats(r->tape).node_bytes;
}

#ifdef BENCH_SITES
const way way_recorded_with_sites = {"recorded, with source sites", recorded_start,
                                     recorded_gradient, recorded_bytes, recorded_finish};
#else
const way way_recorded = {"recorded", recorded_start, recorded_gradient, recorded_bytes,
                          recorded_finish};
const way way_recording = {"recorded, not reversed", recorded_start, recording_gradient, NULL,
                           recorded_finish};

static void *mlp_start(const problem *p) { return p->id == CASE_MLP ? recorded_start(p) : NULL; }

#ifdef HAVE_DOTS
/* ---- recorded anew, each neuron as one node -----------------------------------------------------
 */

static ad_var mlp_dots(const ad_var *x)
{
    enum { W = MLP_WIDTH };
    const ad_var *a = x, *w = x + W;
    ad_var hidden[2][W];
    for (int layer = 0; layer < 2; layer++) {
        const ad_var *b = w + W * W;
        for (int j = 0; j < W; j++)
            hidden[layer][j] = ad_tanh(ad_dot_add_n(W, w + j * W, a, b[j]));
        a = hidden[layer];
        w = b + W;
    }
    return ad_dot_add_n(W, w, a, w[W]);
}

static void dots_gradient(void *state, const double *x, double *out)
{
    struct recorded *r = state;
    ad_reset(r->tape);
    make_inputs(r->tape, r->n, x, r->x);
    ad_var y = mlp_dots(r->x);
    ad_backward(y);
    read_gradients(r->n, r->x, out + 1);
    out[0] = ad_value(y);
}

const way way_dots = {"recorded, with dot nodes", mlp_start, dots_gradient, recorded_bytes,
                      recorded_finish};
#endif

/* ---- recorded anew, each layer as operations on arrays ------------------------------------------
 */

enum { LEAVES = 1 + 2 * (MLP_LAYERS + 1) };

/* inputs; weights and biases of each layer */
static void make_leaves(ad_tape *t, const double *x, ad_var leaf[LEAVES])
{
    enum { W = MLP_WIDTH };
    for (int k = 0; k < LEAVES; k++) {
        const int layer = (k - 1) / 2, outputs = k && layer == MLP_LAYERS ? 1 : W;
        const int64_t shape[] = {outputs, k % 2 ? W : 1};
        leaf[k] = ad_input_array(t, AD_F64, 2, shape, x);
        x += shape[0] * shape[1];
    }
}

static void arrays_gradient(void *state, const double *x, double *out)
{
    struct recorded *r = state;
    ad_var leaf[LEAVES];
    ad_reset(r->tape);
    make_leaves(r->tape, x, leaf);
    ad_var y = leaf[0];
    for (int layer = 0; layer <= MLP_LAYERS; layer++) {
        y = ad_add(ad_matmul(leaf[1 + 2 * layer], y), leaf[2 + 2 * layer]);
        y = layer < MLP_LAYERS ? ad_tanh(y) : ad_sum(y);
    }
    ad_backward(y);
    double *gradient = out + 1;
    for (int k = 0; k < LEAVES; k++) {
        ad_grad_read(leaf[k], gradient);
        gradient += ad_size(leaf[k]);
    }
    out[0] = ad_value(y);
}

const way way_arrays = {"recorded, with arrays", mlp_start, arrays_gradient, recorded_bytes,
                        recorded_finish};

#ifdef HAVE_DISK
/* ---- recorded anew, on a tape that lies in a file -----------------------------------------------
 */

static void *on_disk_start(const problem *p)
{
    struct recorded *r = recorded_start(p);
    const char *folder = getenv("TAPEGRAD_CACHE");
    if (r) {
        ad_tape_free(r->tape);
        r->tape = ad_tape_new_in(NULL, folder ? folder : "/tmp", 0);
    }
    return r;
}

const way way_on_disk = {"recorded, tape on disk", on_disk_start, recorded_gradient, recorded_bytes,
                         recorded_finish};
#endif

/* ---- recorded once, replayed as a program -------------------------------------------------------
 */

struct replayed {
    ad_program *program;
    ad_workspace *workspace;
};

static void replayed_finish(void *state)
{
    struct replayed *r = state;
    if (r) {
        ad_workspace_free(r->workspace);
        ad_program_free(r->program);
        free(r);
    }
}

enum manner { AS_CAPTURED, OPTIMISED, AS_MACHINE_CODE };

static ad_program *make_program(ad_tape *t, size_t n, const ad_var *x, ad_var y, enum manner manner)
{
#ifdef HAVE_COMPILE
    if (manner != AS_CAPTURED) {
        ad_program *p = ad_compile(t, (int)n, x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
#ifdef HAVE_NATIVE
        if (p && manner == AS_MACHINE_CODE && ad_program_native(p, NULL) != AD_OK) {
            ad_program_free(p);
            p = NULL;
        }
#endif
        return p;
    }
#endif
    return manner == AS_CAPTURED ? ad_program_capture(t, (int)n, x, 1, &y, AD_GRADIENT) : NULL;
}

static void *start_program(const problem *p, enum manner manner)
{
    struct recorded *once = recorded_start(p);
    struct replayed *r = calloc(1, sizeof *r);
    if (once && r) {
        make_inputs(once->tape, p->n, p->x, once->x);
        ad_var y = once->f(once->x, p->size);
        r->program = make_program(once->tape, p->n, once->x, y, manner);
        r->workspace = r->program ? ad_workspace_new(r->program) : NULL;
    }
    recorded_finish(once);
    if (r && !r->workspace) {
        replayed_finish(r);
        r = NULL;
    }
    return r;
}

static void *replayed_start(const problem *p) { return start_program(p, AS_CAPTURED); }

static void replayed_gradient(void *state, const double *x, double *out)
{
    struct replayed *r = state;
    if (ad_run(r->workspace, x, out) != AD_OK)
        out[0] = NAN;
}

static double replayed_bytes(void *state)
{
    struct replayed *r = state;
    return (double)ad_program_bytes(r->program);
}

const way way_replayed = {"replayed", replayed_start, replayed_gradient, replayed_bytes,
                          replayed_finish};

#ifdef HAVE_COMPILE
static void *optimised_start(const problem *p) { return start_program(p, OPTIMISED); }

const way way_optimised = {"optimised program", optimised_start, replayed_gradient, replayed_bytes,
                           replayed_finish};
#endif

#ifdef HAVE_NATIVE
static void *native_start(const problem *p) { return start_program(p, AS_MACHINE_CODE); }

const way way_native = {"native program", native_start, replayed_gradient, replayed_bytes,
                        replayed_finish};
#endif
#endif
