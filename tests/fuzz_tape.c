/* fuzz_tape.c - bytes as calls of the library, wrong ones included: nothing may crash, leak or be
 * undefined
 *
 * A string of bytes is read as a sequence of calls on two tapes, with their programs, tensors and
 * parameters; arguments are drawn from it too: axes out of range, null, stale and foreign handles,
 * huge shapes, allocations that fail. What the calls give does not matter here; that every error
 * comes with a text does, and that all memory is given back.
 *
 * As a test this runs over strings from a seeded generator; `fuzz_tape FILE...` runs files. With
 * libFuzzer:
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
 * ...
 */
#define AD_PLAIN
#include "ad.h"
#include "fuzzing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    VARS = 48,
    MARKS = 6,
    PARAMS = 3,
    TENSORS = 4,
    PROGRAMS = 3,
    MAX_NUMBERS = 1 << 14,
    BUDGET = 1 << 21
};

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_tape: %s\n", what);
    abort();
}

/* ---- an allocator with a budget, which fails when told to ---- */

typedef struct memory {
    ad_allocator below;
    long bytes, regions;
    int fail_in; /* allocations from now; -1: none fails */
} memory;

static bool fails(memory *m) { return m->fail_in >= 0 && m->fail_in-- == 0; }

static void *take(void *user, size_t bytes)
{
    memory *m = user;
    if (bytes > BUDGET || m->bytes + (long)bytes > BUDGET || fails(m))
        return NULL;
    void *p = malloc(bytes ? bytes : 1);
    m->bytes += p ? (long)bytes : 0;
    return p;
}

static void give(void *user, void *p, size_t bytes)
{
    memory *m = user;
    m->bytes -= p ? (long)bytes : 0;
    free(p);
}

static void *reserve(void *user, size_t bytes)
{
    memory *m = user;
    void *p = fails(m) ? NULL : m->below.reserve(m->below.user, bytes);
    m->regions += p != NULL;
    return p;
}

static bool commit(void *user, void *p, size_t bytes)
{
    memory *m = user;
    return !fails(m) && m->below.commit(m->below.user, p, bytes);
}

static void unreserve(void *user, void *p, size_t bytes)
{
    memory *m = user;
    m->regions--;
    m->below.unreserve(m->below.user, p, bytes);
}

/* ---- the state ---- */

typedef struct fuzz {
    const uint8_t *at, *end;
    memory memory;
    ad_context *context;
    ad_tape *t, *other; /* most calls go to t */
    ad_var v[VARS];
    unsigned n_vars;
    ad_mark mark[MARKS];
    ad_tensor *tensor[TENSORS];
    ad_param *param[PARAMS];
    ad_program *program[PROGRAMS];
    ad_workspace *workspace[PROGRAMS];
    FILE *out;
    double numbers[MAX_NUMBERS], more[MAX_NUMBERS];
} fuzz;

static unsigned byte(fuzz *f) { return f->at < f->end ? *f->at++ : 0; }

static double number(fuzz *f)
{
    static const double odd[] = {0, -0.0, 1, -1, 1e300, -1e300, 5e-324, 0.5, 2147483648.0, -1e10};
    unsigned b = byte(f);
    if (b >= 250)
        return b == 255 ? (double)INFINITY : b == 254 ? (double)NAN : -(double)INFINITY;
    return b >= 230 ? odd[(b - 230) % 10] : ((double)b - 115) / 32;
}

static int64_t size_from(fuzz *f)
{
    unsigned b = byte(f);
    if (b < 240)
        return (int64_t)(b % 5);
    return b == 255   ? INT64_MAX
           : b == 254 ? INT64_MIN
           : b == 253 ? (int64_t)1 << 61
                      : (int64_t)b - 250;
}

/* a position, an axis, an index: in range, mostly */
static int small(fuzz *f)
{
    unsigned b = byte(f);
    if (b < 245)
        return (int)(b % 6) - 2;
    return b == 255 ? INT32_MAX : b == 254 ? INT32_MIN : (int)b - 250;
}

static int64_t position(fuzz *f)
{
    unsigned b = byte(f);
    if (b < 245)
        return (int64_t)(b % 12) - 6;
    return b == 255 ? INT64_MAX : b == 254 ? INT64_MIN : (int64_t)b - 250;
}

static int shape_from(fuzz *f, int64_t shape[12])
{
    unsigned b = byte(f);
    int rank = b < 240 ? (int)(b % 4) : b < 250 ? 8 : b == 255 ? -1 : (int)(b - 245);
    for (int i = 0; i < 12; i++)
        shape[i] = i < rank ? rank > 5 ? 1 + (int64_t)(byte(f) % 2) : size_from(f) : 0;
    return rank;
}

static ad_dtype dtype_from(fuzz *f)
{
    unsigned b = byte(f);
    return (ad_dtype)(b < 150 ? AD_F64 : b < 220 ? AD_F32 : b < 253 ? AD_I32 : (int)b);
}

static ad_var var_from(fuzz *f)
{
    unsigned b = byte(f);
    if (b >= 250)
        return b >= 254 ? (ad_var){0} : ad_constant(number(f));
    if (b >= 240 && f->n_vars) /* any, stale and foreign ones too */
        return f->v[byte(f) % (f->n_vars < VARS ? f->n_vars : VARS)];
    for (unsigned k = 0, back = 1 + b % 12; k < VARS && k < f->n_vars; k++) {
        ad_var v = f->v[(f->n_vars - 1 - k) % VARS];
        if (v.tape == f->t && --back == 0)
            return v;
    }
    return f->n_vars ? f->v[(f->n_vars - 1) % VARS] : ad_input(f->t, 1);
}

static void keep(fuzz *f, ad_var v) { f->v[f->n_vars++ % VARS] = v; }

static int vars_from(fuzz *f, ad_var v[6])
{
    unsigned b = byte(f);
    int n = b == 255 ? -1 : (int)(b % 6);
    for (int k = 0; k < 6; k++)
        v[k] = k < n ? var_from(f) : (ad_var){0};
    return n;
}

/* a handle whose elements fit the buffers, or null */
static ad_var readable(ad_var v)
{
    return ad_size(v) >= 0 && ad_size(v) <= MAX_NUMBERS / 16 ? v : (ad_var){0};
}

static void fill(fuzz *f, double *to)
{
    double x[4] = {number(f), number(f), number(f), number(f)};
    for (int i = 0; i < MAX_NUMBERS; i++)
        to[i] = x[i % 4] + (double)(i % 7);
}

static const void *data_from(fuzz *f, ad_dtype dtype)
{
    unsigned b = byte(f);
    if (b == 255)
        return NULL;
    if (dtype == AD_I32)
        for (int i = 0; i < MAX_NUMBERS; i++)
            ((int32_t *)(void *)f->more)[i] =
                (int32_t)((b + (unsigned)i * 5) % (b < 250 ? 3 : 9)) - (b > 252);
    else if (dtype == AD_F32)
        for (int i = 0; i < MAX_NUMBERS; i++)
            ((float *)(void *)f->more)[i] = (float)(b + (unsigned)i * 37 % 64) / 32 - 2;
    else
        for (int i = 0; i < MAX_NUMBERS; i++)
            f->more[i] = (double)(b + (unsigned)i * 37 % 64) / 32 - 2;
    return f->more;
}

/* ---- a user's operation: y = sum of the first elements ---- */

static bool first_value(void *user, int n, const ad_array *a, ad_array *y)
{
    for (int64_t i = 0; i < y->size; i++)
        for (int k = 0; k < n || k == 0; k++)
            y->data[i] = (k ? y->data[i] : 0) + (k < n && a[k].size ? a[k].data[0] : 0);
    return user == NULL;
}

static bool first_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                          const ad_array *dy, ad_array *da)
{
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < y->size && da[k].data && a[k].size; i++)
            da[k].data[0] += dy->data[i];
    return user == NULL;
}

static bool first_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                          const ad_array *da, ad_array *dy)
{
    (void)a;
    for (int64_t i = 0; i < y->size; i++)
        for (int k = 0; k < n || k == 0; k++)
            dy->data[i] = (k ? dy->data[i] : 0) + (k < n && da[k].size ? da[k].data[0] : 0);
    return user == NULL;
}

static const ad_operation whole_operation = {"first", first_value, first_adjoint, first_tangent,
                                             NULL};
static const ad_operation value_only = {NULL, first_value, NULL, NULL, NULL};
static const ad_operation no_value = {"nothing", NULL, NULL, NULL, NULL};

/* ---- the calls ---- */

static void record_leaf(fuzz *f)
{
    int64_t shape[12];
    int rank;
    ad_dtype dtype;
    switch (byte(f) % 8) {
    case 0:
    case 1:
        keep(f, ad_input(f->t, number(f)));
        break;
    case 2:
    case 3:
    case 4:
        rank = shape_from(f, shape);
        dtype = dtype_from(f);
        keep(f,
             ad_input_array(f->t, dtype, rank, byte(f) == 255 ? NULL : shape, data_from(f, dtype)));
        break;
    case 5:
        rank = shape_from(f, shape);
        dtype = dtype_from(f);
        keep(f, ad_constant_array(f->t, dtype, rank, shape, data_from(f, dtype)));
        break;
    case 6:
        keep(f, (byte(f) % 2 ? ad_bind(f->t, f->tensor[byte(f) % TENSORS])
                             : ad_input_tensor(f->t, f->tensor[byte(f) % TENSORS])));
        break;
    default:
        keep(f, ad_use(f->t, f->param[byte(f) % PARAMS]));
    }
}

static void record_elementwise(fuzz *f)
{
    ad_var a[6];
    int op = byte(f) == 255 ? small(f) : (int)(byte(f) % (unsigned)ad_op_count());
    for (int k = 0; k < 6; k++)
        a[k] = var_from(f);
    int n = op >= 0 && op < ad_op_count() ? ad_op_at(op)->arity : 1;
    keep(f, ad_apply(op, byte(f) == 255 ? (int)(byte(f) % 8) - 1 : n, a));
}

static void record_product(fuzz *f)
{
    static ad_var (*const products[])(ad_var, ad_var) = {ad_matmul, ad_matmul, ad_dot,
                                                         ad_outer,  ad_add,    ad_mul};
    ad_var a = var_from(f), b = var_from(f);
    if (byte(f) % 2)
        b = ad_rank(a) >= 2 ? ad_transpose(a) : a;
    keep(f, products[byte(f) % 6](a, b));
}

static void record_reduction(fuzz *f)
{
    static ad_var (*const whole[])(ad_var) = {ad_sum,  ad_mean, ad_prod,     ad_amax,
                                              ad_amin, ad_norm, ad_logsumexp};
    static ad_var (*const some[])(ad_var, int, const int *, bool) = {
        ad_sum_axes,  ad_mean_axes, ad_prod_axes,     ad_amax_axes,
        ad_amin_axes, ad_norm_axes, ad_logsumexp_axes};
    ad_var a = var_from(f);
    unsigned kind = byte(f);
    int axes[4] = {small(f), small(f), small(f), small(f)},
        n = (int)(byte(f) % 4) - (byte(f) == 255);
    const int *given = byte(f) == 255 ? NULL : axes;
    bool keep_axes = byte(f) % 2;
    switch (kind % 6) {
    case 0:
        keep(f, whole[kind / 6 % 7](a));
        break;
    case 1:
        keep(f, ad_var_of(a, small(f)));
        keep(f, ad_std(a, small(f)));
        break;
    case 2:
        keep(f, ad_var_axes(a, n, given, keep_axes, small(f)));
        keep(f, ad_std_axes(a, n, given, keep_axes, small(f)));
        break;
    case 3:
        keep(f, byte(f) % 2 ? ad_argmax(a, axes[0]) : ad_argmin(a, axes[0]));
        break;
    default:
        keep(f, some[kind / 6 % 7](a, n, given, keep_axes));
    }
}

static ad_var windows_from(fuzz *f, ad_var a)
{
    int64_t size[10], stride[10], dilation[10];
    for (int i = 0; i < 10; i++) {
        size[i] = i < 3 ? size_from(f) : 1;
        stride[i] = i < 3 ? size_from(f) : 1;
        dilation[i] = i < 3 ? size_from(f) : 1;
    }
    int n = byte(f) == 255 ? small(f) : (int)(byte(f) % 4);
    return ad_windows(a, n, byte(f) == 255 ? NULL : size, byte(f) % 2 ? NULL : stride,
                      byte(f) % 2 ? NULL : dilation);
}

static void record_view(fuzz *f)
{
    int64_t shape[12];
    int axes[10];
    ad_var a = var_from(f);
    for (int i = 0; i < 10; i++)
        axes[i] = i;
    int rank = ad_rank(a);
    switch (byte(f) % 10) {
    case 0:
        rank = shape_from(f, shape);
        keep(f, ad_reshape(a, rank, byte(f) == 255 ? NULL : shape));
        break;
    case 1:
        shape[0] = shape[1] = -1;
        shape[2] = 2;
        keep(f, ad_reshape(a, 1 + (int)(byte(f) % 3), shape + byte(f) % 2));
        break;
    case 2:
        for (int i = 0; i < rank; i++) {
            int k = (int)(byte(f) % (unsigned)rank), swapped = axes[i];
            axes[i] = axes[k];
            axes[k] = swapped;
        }
        if (byte(f) > 240)
            axes[0] = small(f);
        keep(f, ad_permute(a, byte(f) == 255 ? NULL : axes));
        break;
    case 3:
        keep(f, ad_transpose(a));
        break;
    case 4:
        for (int i = 0; i < rank && i < 8; i++)
            shape[i + 1] = ad_shape(a)[i] == 1 ? (int64_t)(byte(f) % 4) : ad_shape(a)[i];
        shape[0] = (int64_t)(byte(f) % 3);
        if (rank >= 0 && rank < 8)
            keep(f, byte(f) % 2 ? ad_expand(a, rank + 1, shape) : ad_expand(a, rank, shape + 1));
        break;
    case 5:
        rank = shape_from(f, shape);
        keep(f, ad_expand(a, rank, shape));
        break;
    case 6: {
        int axis = small(f);
        int64_t start = position(f), stop = position(f);
        keep(f, ad_slice(a, axis, start, stop, position(f)));
        break;
    }
    case 7:
        keep(f, ad_flip(a, small(f)));
        break;
    case 8:
        keep(f, windows_from(f, a));
        break;
    default:
        keep(f, ad_stop_gradient(a));
    }
}

static void record_join(fuzz *f)
{
    ad_var parts[6];
    int64_t before[10], after[10];
    int n;
    switch (byte(f) % 6) {
    case 0:
        n = vars_from(f, parts);
        keep(f, ad_concat(n, byte(f) == 255 ? NULL : parts, small(f)));
        break;
    case 1:
        n = vars_from(f, parts);
        keep(f, ad_stack(n, parts, small(f)));
        break;
    case 2:
        parts[0] = parts[1] = parts[2] = var_from(f);
        keep(f, byte(f) % 2 ? ad_concat(3, parts, small(f)) : ad_stack(3, parts, small(f)));
        break;
    case 3: {
        ad_var a = var_from(f);
        n = (int)(byte(f) % 4);
        if (ad_split(a, n, small(f), parts) == AD_OK)
            for (int k = 0; k < n; k++)
                keep(f, parts[k]);
        break;
    }
    case 4:
        for (int i = 0; i < 10; i++) {
            before[i] = size_from(f) % 3;
            after[i] = i < 3 ? size_from(f) : 0;
        }
        keep(f, ad_pad(var_from(f), before, byte(f) == 255 ? NULL : after, number(f)));
        break;
    default:
        keep(f, ad_repeat(var_from(f), small(f), size_from(f)));
    }
}

static void record_matrix_part(fuzz *f)
{
    ad_var a = var_from(f);
    int64_t index[10];
    switch (byte(f) % 6) {
    case 0:
        keep(f, ad_tril(a, small(f)));
        break;
    case 1:
        keep(f, ad_triu(a, small(f)));
        break;
    case 2:
        keep(f, ad_diag(a));
        break;
    case 3:
        keep(f, ad_trace(a));
        break;
    case 4:
        keep(f, byte(f) % 2 ? ad_cumsum(a, small(f)) : ad_cumprod(a, small(f)));
        break;
    default:
        for (int i = 0; i < 10; i++)
            index[i] = i < 3 ? size_from(f) : 0;
        keep(f, ad_at(a, byte(f) == 255 ? NULL : index));
    }
}

/* indices that are in range, mostly, in a shape like a's */
static ad_var indices(fuzz *f, ad_var a, bool like)
{
    int64_t shape[12];
    int rank = shape_from(f, shape);
    if (like && ad_rank(a) >= 0) {
        rank = ad_rank(a);
        memcpy(shape, ad_shape(a), (size_t)rank * sizeof *shape);
    }
    int64_t size = 1;
    for (int i = 0; i < rank && i < 12; i++)
        size =
            shape[i] < 0 || shape[i] > 9 || size > MAX_NUMBERS ? MAX_NUMBERS + 1 : size * shape[i];
    return size > MAX_NUMBERS ? var_from(f)
                              : ad_constant_array(f->t, AD_I32, rank, shape, data_from(f, AD_I32));
}

static void record_lookup(fuzz *f)
{
    ad_var a = var_from(f);
    switch (byte(f) % 4) {
    case 0:
        keep(f, ad_take(a, small(f), indices(f, a, false)));
        break;
    case 1:
        keep(f, ad_gather(a, small(f), indices(f, a, true)));
        break;
    case 2:
        keep(f, ad_scatter_add(a, small(f), indices(f, a, true), byte(f) % 2 ? a : var_from(f)));
        break;
    default:
        keep(f, ad_take(a, small(f), var_from(f)));
    }
}

static void record_network(fuzz *f)
{
    ad_var a = var_from(f);
    switch (byte(f) % 6) {
    case 0:
        keep(f, ad_softmax(a, small(f)));
        break;
    case 1:
        keep(f, ad_log_softmax(a, small(f)));
        break;
    case 2:
        keep(f, ad_maxout(a, small(f), small(f)));
        break;
    case 3:
        keep(f, ad_softmax_cross_entropy(a, byte(f) % 2 ? a : var_from(f)));
        break;
    case 4: {
        int32_t classes[4] = {0, 1, 0, (int32_t)small(f)};
        int64_t n = ad_rank(a) == 2 && ad_shape(a)[0] <= 4 ? ad_shape(a)[0] : 2;
        keep(f, ad_softmax_cross_entropy(a, ad_constant_array(f->t, AD_I32, 1, &n, classes)));
        break;
    }
    default:
        keep(f, ad_cast(a, dtype_from(f)));
    }
}

static void record_other(fuzz *f)
{
    ad_var a[6];
    int64_t shape[12];
    int rank = shape_from(f, shape), n;
    uint64_t key = byte(f);
    switch (byte(f) % 8) {
    case 0:
        keep(f, ad_random_uniform(f->t, key, dtype_from(f), rank, shape));
        break;
    case 1:
        keep(f, ad_random_normal(f->t, key, dtype_from(f), rank, shape));
        break;
    case 2:
        keep(f, ad_random_bernoulli(f->t, key, number(f), dtype_from(f), rank, shape));
        break;
    case 3:
        keep(f, ad_random_permutation(f->t, key, byte(f) == 255 ? INT32_MAX : small(f)));
        break;
    case 4:
        n = vars_from(f, a);
        keep(f, byte(f) % 2 ? ad_sum_n(n, a) : ad_prod_n(n, a));
        break;
    case 5:
        (void)(ad_lt(var_from(f), var_from(f)) || ad_ne(var_from(f), var_from(f)));
        break;
    default:
        n = vars_from(f, a);
        key = byte(f);
        keep(f, ad_call(byte(f) % 8 ? f->t : NULL,
                        key < 200   ? &whole_operation
                        : key < 240 ? &value_only
                        : key < 250 ? &no_value
                                    : NULL,
                        key % 16 ? NULL : f, n, a, rank, byte(f) == 255 ? NULL : shape));
    }
}

static void control(fuzz *f)
{
    switch (byte(f) % 12) {
    case 0:
    case 1:
        f->mark[byte(f) % MARKS] = ad_mark_here(f->t);
        break;
    case 2:
    case 3:
        ad_rewind(f->t, f->mark[byte(f) % MARKS]);
        break;
    case 4:
        ad_pause(f->t);
        break;
    case 5:
        ad_resume(f->t);
        break;
    case 6:
        ad_reset(f->t);
        break;
    case 7: {
        ad_tape *swapped = f->t;
        f->t = f->other ? f->other : ad_tape_new(f->context);
        f->other = swapped;
        break;
    }
    case 8:
        ad_scope_push(f->t, byte(f) == 255 ? NULL : byte(f) % 2 ? "layer" : "");
        break;
    case 9:
        ad_scope_pop(f->t);
        break;
    case 10:
        ad_seed(f->t, byte(f));
        ad_set_step(f->t, byte(f));
        break;
    default:
        f->memory.fail_in = (int)(byte(f) % 64);
    }
}

static void backward(fuzz *f)
{
    ad_var v[6];
    const double *seeds[6];
    int n;
    switch (byte(f) % 6) {
    case 0:
        ad_backward(var_from(f));
        break;
    case 1:
        ad_backward(ad_sum(var_from(f)));
        break;
    case 2:
        ad_backward_add(var_from(f));
        break;
    case 3:
        ad_backward_keep(ad_sum(var_from(f)));
        break;
    case 4:
        ad_retain(var_from(f));
        break;
    default:
        n = vars_from(f, v);
        fill(f, f->numbers);
        for (int k = 0; k < 6; k++) {
            v[k] = readable(v[k]);
            seeds[k] = byte(f) % 4 ? f->numbers : NULL;
        }
        ad_vjp(n, v, byte(f) % 4 ? seeds : NULL);
    }
}

static void derive(fuzz *f)
{
    ad_var x[6], y[6], g[6];
    const double *in[6];
    double *out[6];
    int n, m;
    switch (byte(f) % 5) {
    case 0:
        keep(f, ad_grad_of(var_from(f), var_from(f)));
        break;
    case 1:
        n = vars_from(f, x);
        if (ad_gradients(var_from(f), n, x, g) == AD_OK)
            for (int k = 0; k < n; k++)
                keep(f, g[k]);
        break;
    case 2:
        n = vars_from(f, x);
        m = vars_from(f, y);
        for (int k = 0; k < 6; k++)
            g[k] = byte(f) % 2 ? (ad_var){0} : var_from(f);
        if (ad_gradients_seeded(m, y, byte(f) % 2 ? g : NULL, n, x, g) == AD_OK)
            for (int k = 0; k < n; k++)
                keep(f, g[k]);
        break;
    case 3:
        n = vars_from(f, x);
        m = vars_from(f, y);
        fill(f, f->numbers);
        for (int k = 0; k < 6; k++) {
            x[k] = readable(x[k]);
            y[k] = readable(y[k]);
            in[k] = f->numbers;
            out[k] = f->more;
        }
        ad_jvp(n, x, in, m, y, out, (int)(byte(f) % 11));
        break;
    default:
        n = vars_from(f, x);
        fill(f, f->numbers);
        for (int k = 0; k < 6; k++) {
            x[k] = readable(x[k]);
            in[k] = f->numbers;
            out[k] = f->more;
        }
        ad_hvp(byte(f) % 2 ? ad_sum(var_from(f)) : var_from(f), n, x, in, out);
    }
}

static void replay(fuzz *f)
{
    switch (byte(f) % 4) {
    case 0:
        ad_set(var_from(f), number(f));
        break;
    case 1:
        fill(f, f->numbers);
        ad_set_array(readable(var_from(f)), byte(f) == 255 ? NULL : f->numbers);
        break;
    default:
        ad_replay(f->t);
    }
}

static void read_some(fuzz *f)
{
    ad_var v = var_from(f);
    ad_node_info info;
    ad_tensor *tensor;
    static int64_t counts[4096];
    switch (byte(f) % 10) {
    case 0:
        (void)(ad_value(v) + ad_grad(v));
        break;
    case 1:
        ad_read(readable(v), f->numbers);
        break;
    case 2:
        ad_grad_read(readable(v), f->numbers);
        break;
    case 3:
        tensor = byte(f) % 2 ? ad_read_tensor(readable(v)) : ad_grad_tensor(readable(v));
        if (tensor && tensor != f->tensor[0]) {
            ad_tensor_free(f->tensor[0]);
            f->tensor[0] = tensor;
        }
        break;
    case 4:
        if (ad_node_at(f->t, position(f) / 2 + (int64_t)(byte(f) % 32), &info) == AD_OK)
            check(info.operation && info.site && info.scope, "a node without texts");
        break;
    case 5:
        (void)ad_node_parent(f->t, byte(f) % 64, small(f));
        (void)ad_node_partial(f->t, byte(f) % 64, small(f));
        keep(f, ad_node_var(f->t, byte(f) % 64));
        (void)ad_var_node(v);
        break;
    case 6:
        if (ad_op_count() <= 4096)
            ad_tape_counts(f->t, counts);
        (void)ad_tape_stats(f->t);
        break;
    case 7:
        if (f->out && ad_node_count(f->t) < 200)
            ad_tape_print(f->t, f->out);
        break;
    case 8:
        if (f->out && ad_node_count(f->t) < 200)
            ad_tape_dot(f->t, f->out);
        break;
    default: {
        ad_var x[6];
        const char *names[6] = {"a", "b", NULL, "d", "e", "f"};
        int n = vars_from(f, x);
        if (f->out && ad_node_count(f->t) < 200)
            ad_trace_print(v, n, x, byte(f) % 2 ? names : NULL, f->out);
    }
    }
}

static void tensors(fuzz *f)
{
    unsigned k = byte(f) % TENSORS;
    ad_tensor *old = f->tensor[k], *made = NULL;
    int64_t shape[12], index[12];
    int rank, axes[10];
    switch (byte(f) % 8) {
    case 0:
        rank = shape_from(f, shape);
        made = ad_tensor_new(byte(f) % 2 ? f->context : NULL, dtype_from(f), rank, shape);
        break;
    case 1:
        for (int i = 0; i < 10; i++)
            axes[i] = old ? ad_tensor_rank(old) - 1 - i : 0;
        made = ad_tensor_permuted(old, axes);
        break;
    case 2: {
        int axis = small(f);
        int64_t start = position(f), stop = position(f);
        made = ad_tensor_sliced(old, axis, start, stop, position(f));
        break;
    }
    case 3:
        ad_tensor_fill(old, number(f));
        break;
    case 4:
        for (int i = 0; i < 12; i++)
            index[i] = i < 3 ? size_from(f) : 0;
        ad_tensor_set(old, index, number(f));
        (void)ad_tensor_get(old, index);
        break;
    case 5:
        ad_tensor_copy(old, f->tensor[byte(f) % TENSORS]);
        break;
    case 6:
        ad_draw_normal(old, byte(f), byte(f), byte(f));
        ad_draw_permutation(old, byte(f), byte(f), byte(f));
        break;
    default:
        ad_param_set_trainable(f->param[byte(f) % PARAMS], byte(f) % 2);
    }
    if (made) {
        ad_tensor_free(old);
        f->tensor[k] = made;
    }
}

static void assign(fuzz *f)
{
    ad_param *p = f->param[byte(f) % PARAMS];
    switch (byte(f) % 4) {
    case 0:
        ad_assign(ad_use(f->t, p), var_from(f));
        break;
    case 1: {
        ad_var state = ad_use(f->t, p);
        ad_assign(state, ad_mul(state, ad_constant(.5)));
        break;
    }
    case 2:
        ad_assign(var_from(f), var_from(f));
        break;
    default:
        ad_commit(f->t);
    }
}

static void free_program(fuzz *f, unsigned k)
{
    ad_workspace_free(f->workspace[k]);
    ad_program_free(f->program[k]);
    f->workspace[k] = NULL;
    f->program[k] = NULL;
}

/* the inputs of the tape among the variables, which a program must list */
static int inputs_of(fuzz *f, ad_var x[8])
{
    int n = 0;
    ad_node_info info;
    for (int64_t i = 0; i < ad_node_count(f->t) && n < 8; i++)
        if (ad_node_at(f->t, i, &info) == AD_OK && info.kind == AD_NODE_INPUT)
            x[n++] = ad_node_var(f->t, i);
    return n;
}

static void capture(fuzz *f)
{
    unsigned k = byte(f) % PROGRAMS;
    ad_var x[8], y[6];
    int n = byte(f) % 4 ? inputs_of(f, x) : vars_from(f, x), m = vars_from(f, y);
    if (byte(f) % 2 && m > 0)
        y[0] = ad_sum(y[0]);
    free_program(f, k);
    f->program[k] = ad_program_capture(f->t, n, x, m, y, byte(f) % 2 ? AD_GRADIENT : AD_VALUES);
    if (f->program[k]) {
        (void)(ad_program_node_count(f->program[k]) + ad_program_bytes(f->program[k]));
        f->workspace[k] = ad_workspace_new(f->program[k]);
    }
}

static void run(fuzz *f)
{
    unsigned k = byte(f) % PROGRAMS;
    ad_program *p = f->program[k];
    ad_workspace *w = f->workspace[k];
    int slot = small(f);
    bool fits = true;
    int64_t total = 0;
    for (int i = 0; i < 8; i++) {
        int64_t in = ad_program_input_size(p, i), out = ad_program_output_size(p, i);
        fits = fits && in < 2000 && out < 2000;
        total += in + out;
    }
    fits = fits && total < MAX_NUMBERS / 2;
    switch (byte(f) % 6) {
    case 0:
        if (byte(f) % 2)
            ad_workspace_set(w, slot, f->tensor[byte(f) % TENSORS]);
        else
            ad_workspace_bind_input(w, slot, f->tensor[byte(f) % TENSORS]);
        break;
    case 1:
        ad_workspace_set_scalar(w, slot, number(f));
        break;
    case 2:
        if (ad_program_output_size(p, slot) < MAX_NUMBERS)
            ad_workspace_read(w, slot, f->numbers);
        if (ad_program_input_size(p, slot) < MAX_NUMBERS)
            ad_workspace_read_gradient(w, slot, f->numbers);
        break;
    case 3:
        ad_workspace_bind(w, slot, f->tensor[byte(f) % TENSORS]);
        ad_workspace_set_step(w, byte(f));
        if (ad_program_parameter(p, slot) &&
            ad_tensor_size(ad_param_value(ad_program_parameter(p, slot))) < 1000)
            ad_workspace_read_param_gradient(w, slot, f->numbers);
        break;
    default:
        fill(f, f->numbers);
        if (fits &&
            ad_run(w, byte(f) % 4 ? f->numbers : NULL, byte(f) % 4 ? f->more : NULL) != AD_OK && w)
            check(ad_workspace_error(w)[0] != 0, "a run failed without a text");
    }
}

/* ---- functions of their own, for what makes a tape by itself ---- */

typedef struct code {
    uint8_t op[4];
    int n, n_x;
} code;

static ad_var run_code(const ad_var *x, void *user)
{
    const code *c = user;
    ad_var y = x[0];
    for (int i = 0; i < c->n; i++) {
        ad_var other = x[(c->op[i] / 16) % c->n_x], a[3] = {y, other, x[0]};
        int op = c->op[i] % ad_op_count();
        y = c->op[i] == 255   ? (ad_var){0}
            : c->op[i] == 254 ? ad_constant(1)
            : c->op[i] == 253 ? ad_matmul(y, other)
                              : ad_apply(op, ad_op_at(op)->arity, a);
    }
    return y;
}

static void run_codes(const ad_var *x, ad_var *y, void *user)
{
    y[0] = run_code(x, user);
    y[1] = x[0];
}

static void check_function(fuzz *f)
{
    code c = {.n = (int)(byte(f) % 5), .n_x = 1 + (int)(byte(f) % 3)};
    double x[3] = {number(f), number(f), number(f)}, out[9];
    ad_check_report report;
    ad_status s = AD_OK;
    for (int i = 0; i < 4; i++)
        c.op[i] = (uint8_t)byte(f);
    ad_check_options options = {
        .second_order = byte(f) % 2, .random_seeds = byte(f) % 2, .seed = byte(f)};
    switch (byte(f) % 5) {
    case 0:
        s = ad_gradcheck(run_code, &c, c.n_x, x, &options, &report);
        check(report.text[0] != 0 && report.passed == (s == AD_OK),
              "a report that contradicts itself");
        break;
    case 1:
        ad_gradcheck_against(run_code, &c, c.n_x, x, x, &options, &report);
        break;
    case 2:
        ad_value_and_gradient(run_code, &c, c.n_x, x, NULL, out);
        break;
    case 3:
        ad_jacobian(run_codes, &c, c.n_x, x, 2, out);
        break;
    default:
        ad_hessian(run_code, &c, c.n_x, x, out);
    }
    check(strcmp(ad_status_name(s), "unknown status") != 0, "an unknown status");
}

static void step(fuzz *f)
{
    static void (*const calls[])(fuzz *) = {
        record_leaf,
        record_leaf,
        record_elementwise,
        record_elementwise,
        record_product,
        record_reduction,
        record_view,
        record_view,
        record_join,
        record_matrix_part,
        record_lookup,
        record_network,
        record_other,
        control,
        control,
        backward,
        derive,
        replay,
        read_some,
        tensors,
        assign,
        capture,
        run,
        run,
        check_function,
    };
    calls[byte(f) % (sizeof calls / sizeof *calls)](f);
    for (int k = 0; k < 2; k++) {
        ad_tape *t = k ? f->other : f->t;
        ad_status s = ad_tape_status(t);
        check(s == AD_OK || t == NULL || ad_tape_error(t)[0] != 0, "an error without a text");
        check(s != AD_OK || ad_tape_error(t)[0] == 0, "a text without an error");
        check(strcmp(ad_status_name(s), "unknown status") != 0, "an unknown status");
        if (s && t && byte(f) % 4)
            ad_reset(t);
    }
}

/* ---- one string ---- */

static void begin(fuzz *f, const uint8_t *data, size_t size)
{
    static const int64_t shapes[TENSORS][2] = {{2, 3}, {3, 2}, {4, 0}, {1, 0}};
    static const int ranks[TENSORS] = {2, 2, 1, 0};
    *f = (fuzz){.at = data, .end = data + size};
    f->memory = (memory){.below = ad_default_allocator(), .fail_in = -1};
    ad_allocator a = {.allocate = take, .release = give, .user = &f->memory};
    unsigned first = byte(f);
    if (f->memory.below.reserve && first % 8) {
        a.reserve = reserve;
        a.commit = commit;
        a.unreserve = unreserve;
    }
    f->context = ad_context_new(&(ad_context_config){
        .allocator = &a, .check_finite = first % 16 == 1, .checksum_borrowed = first % 16 == 2});
    check(f->context != NULL, "no context");
    for (int k = 0; k < TENSORS; k++) {
        f->tensor[k] = ad_tensor_new(f->context, k == 1 ? AD_F32 : AD_F64, ranks[k], shapes[k]);
        ad_tensor_fill(f->tensor[k], .25 + k);
    }
    for (int k = 0; k < PARAMS; k++)
        f->param[k] = ad_param_new("parameter", ad_tensor_retain(f->tensor[k]), k != 2);
    f->t = ad_tape_new(f->context);
    f->out = fopen("/dev/null", "w");
}

static void end(fuzz *f)
{
    for (unsigned k = 0; k < PROGRAMS; k++)
        free_program(f, k);
    ad_tape_free(f->t);
    ad_tape_free(f->other);
    for (int k = 0; k < PARAMS; k++)
        ad_param_free(f->param[k]);
    for (int k = 0; k < TENSORS; k++)
        ad_tensor_free(f->tensor[k]);
    if (f->out)
        fclose(f->out);
    ad_context_free(f->context);
    check(f->memory.bytes == 0, "memory was not given back");
    check(f->memory.regions == 0, "address space was not given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz f; /* large; everything in it is written by begin */
    begin(&f, data, size);
    for (int steps = 0; f.at < f.end && steps < 200; steps++)
        step(&f);
    end(&f);
    return 0;
}

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

enum { STRINGS = 20000, LONGEST = 400 };

int main(int argc, char **argv)
{
    const int failed = run_files(argc, argv);
    uint64_t state = 1;
    for (int i = 0; i < STRINGS && argc == 1; i++) {
        uint8_t data[LONGEST];
        size_t size = (size_t)i % LONGEST;
        for (size_t k = 0; k < size; k++) { /* Knuth's MMIX generator */
            state = state * 6364136223846793005u + 1442695040888963407u;
            data[k] = (uint8_t)(state >> 56);
        }
        LLVMFuzzerTestOneInput(data, size);
    }
    return failed;
}

#endif
