/* test_oracle.c - values and gradients against PyTorch's, for every operation that it has
 *
 * data/torch_ops.txt was made by oracle_torch.py, which describes it. A case is recorded in double
 * and in float; its gradient is computed backward and by the recorded rules, both with PyTorch's
 * cotangent. */
#define AD_PLAIN
#include "compare.h"

#include "ad.h"

enum { MAX_ARGUMENTS = 5, MAX_NUMBERS = 10 };

/* ---- the file ---- */

typedef struct numbers {
    bool integers;
    int rank;
    int64_t shape[AD_MAX_RANK], size;
    double *data;
} numbers;

typedef struct oracle_case {
    char name[32];
    int n_numbers, n_args, n_gradients;
    int64_t number[MAX_NUMBERS];
    numbers arg[MAX_ARGUMENTS], y, g, d[MAX_ARGUMENTS];
} oracle_case;

static double *read_numbers(const char *text, int64_t n)
{
    double *data = test_calloc((size_t)n + 1, sizeof *data);
    char *end;
    for (int64_t i = 0; i < n; i++, text = end) {
        data[i] = strtod(text, &end);
        if (end == text)
            fail_msg("torch_ops.txt: %" PRId64 " numbers expected, %" PRId64 " found", n, i);
    }
    return data;
}

static numbers read_array(const char *text)
{
    numbers a = {.size = 1};
    char *end;
    a.rank = (int)strtol(text, &end, 10);
    for (int i = 0; i < a.rank; i++)
        a.size *= a.shape[i] = strtol(end, &end, 10);
    a.data = read_numbers(end, a.size);
    return a;
}

static void read_operation(oracle_case *c, const char *text)
{
    int used = 0;
    assert_int_equal(sscanf(text, " %31s%n", c->name, &used), 1);
    for (char *at = (char *)(uintptr_t)text + used;;) {
        char *end;
        long number = strtol(at, &end, 10);
        if (end == at)
            return;
        assert_in_range(c->n_numbers, 0, MAX_NUMBERS - 1);
        c->number[c->n_numbers++] = number;
        at = end;
    }
}

/* the size of the first argument of floats but `skip` */
static int64_t float_size(const oracle_case *c, int skip)
{
    for (int k = 0; k < c->n_args; k++)
        if (!c->arg[k].integers && skip-- == 0)
            return c->arg[k].size;
    fail_msg("torch_ops.txt: %s has too many gradients", c->name);
    return 0;
}

/* false: no case is left */
static bool read_case(FILE *file, oracle_case *c)
{
    static char line[1 << 16];
    memset(c, 0, sizeof *c);
    while (fgets(line, sizeof line, file)) {
        switch (line[0]) {
        case 'o':
            read_operation(c, line + 1);
            break;
        case 'x':
        case 'i':
            assert_in_range(c->n_args, 0, MAX_ARGUMENTS - 1);
            c->arg[c->n_args] = read_array(line + 1);
            c->arg[c->n_args++].integers = line[0] == 'i';
            break;
        case 'y':
            c->y = read_array(line + 1);
            break;
        case 'g':
            c->g.data = read_numbers(line + 1, c->g.size = c->y.size);
            break;
        case 'd':
            c->d[c->n_gradients].size = float_size(c, c->n_gradients);
            c->d[c->n_gradients].data = read_numbers(line + 1, c->d[c->n_gradients].size);
            c->n_gradients++;
            break;
        default:
            return c->name[0] != 0;
        }
    }
    return c->name[0] != 0;
}

static void free_case(oracle_case *c)
{
    for (int k = 0; k < c->n_args; k++)
        test_free(c->arg[k].data);
    for (int k = 0; k < c->n_gradients; k++)
        test_free(c->d[k].data);
    test_free(c->y.data);
    test_free(c->g.data);
}

/* ---- operations by name ---- */

typedef ad_var operation(const ad_var *x, int n, const int64_t *p, int n_p);

static int axes_of(const int64_t *p, int n, int *axes)
{
    for (int i = 0; i < n; i++)
        axes[i] = (int)p[i];
    return n;
}

#define UNUSED (void)n, (void)p, (void)n_p
#define OPERATION(name, expression)                                                                \
    static ad_var do_##name(const ad_var *x, int n, const int64_t *p, int n_p)                     \
    {                                                                                              \
        UNUSED;                                                                                    \
        return expression;                                                                         \
    }
#define REDUCTION(name)                                                                            \
    OPERATION(name, ad_##name(x[0]))                                                               \
    static ad_var do_##name##_axes(const ad_var *x, int n, const int64_t *p, int n_p)              \
    {                                                                                              \
        int axes[MAX_NUMBERS];                                                                     \
        UNUSED;                                                                                    \
        return ad_##name##_axes(x[0], axes_of(p + 1, n_p - 1, axes), axes, p[0] != 0);             \
    }
#define DEVIATION(name, whole)                                                                     \
    OPERATION(name, whole(x[0], (int)p[0]))                                                        \
    static ad_var do_##name##_axes(const ad_var *x, int n, const int64_t *p, int n_p)              \
    {                                                                                              \
        int axes[MAX_NUMBERS];                                                                     \
        UNUSED;                                                                                    \
        return ad_##name##_axes(x[0], axes_of(p + 2, n_p - 2, axes), axes, p[1] != 0, (int)p[0]);  \
    }

OPERATION(polygamma, ad_polygamma(ad_constant((double)p[0]), x[0]))
OPERATION(powi, ad_powi(x[0], ad_constant((double)p[0])))
OPERATION(matmul, ad_matmul(x[0], x[1]))
OPERATION(matmul_self, ad_matmul(x[0], x[0]))
OPERATION(matmul_gram, ad_matmul(ad_transpose(x[0]), x[0]))
OPERATION(dot, ad_dot(x[0], x[1]))
OPERATION(outer, ad_outer(x[0], x[1]))
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(prod)
REDUCTION(amax)
REDUCTION(amin)
REDUCTION(norm)
REDUCTION(logsumexp)
DEVIATION(var, ad_var_of)
DEVIATION(std, ad_std)
OPERATION(argmax, ad_argmax(x[0], (int)p[0]))
OPERATION(argmin, ad_argmin(x[0], (int)p[0]))
OPERATION(cumsum, ad_cumsum(x[0], (int)p[0]))
OPERATION(cumprod, ad_cumprod(x[0], (int)p[0]))
OPERATION(reshape, ad_reshape(x[0], n_p, p))
OPERATION(reshape_transposed, ad_reshape(ad_transpose(x[0]), n_p, p))
OPERATION(transpose, ad_transpose(x[0]))
OPERATION(expand, ad_expand(x[0], n_p, p))
OPERATION(slice, ad_slice(x[0], (int)p[0], p[1], p[2], p[3]))
OPERATION(flip, ad_flip(x[0], (int)p[0]))
OPERATION(repeat, ad_repeat(x[0], (int)p[0], p[1]))
OPERATION(concat, ad_concat(n, x, (int)p[0]))
OPERATION(concat_self, ad_concat(2, (ad_var[]){x[0], x[0]}, (int)p[0]))
OPERATION(stack, ad_stack(n, x, (int)p[0]))
OPERATION(pad, ad_pad(x[0], p, p + 2, 2))
OPERATION(tril, ad_tril(x[0], (int)p[0]))
OPERATION(triu, ad_triu(x[0], (int)p[0]))
OPERATION(diag, ad_diag(x[0]))
OPERATION(trace, ad_trace(x[0]))
OPERATION(at, ad_at(x[0], p))
OPERATION(windows, ad_windows(x[0], (int)p[0], p + 1, p + 1 + p[0], p + 1 + 2 * p[0]))
OPERATION(stop_gradient, ad_mul(x[0], ad_stop_gradient(x[0])))
OPERATION(take, ad_take(x[0], (int)p[0], x[1]))
OPERATION(gather, ad_gather(x[0], (int)p[0], x[1]))
OPERATION(scatter_add, ad_scatter_add(x[0], (int)p[0], x[1], x[2]))
OPERATION(softmax, ad_softmax(x[0], (int)p[0]))
OPERATION(log_softmax, ad_log_softmax(x[0], (int)p[0]))
OPERATION(maxout, ad_maxout(x[0], (int)p[0], (int)p[1]))
OPERATION(cross_entropy, ad_softmax_cross_entropy(x[0], x[1]))
OPERATION(cast, ad_cast(ad_cast(x[0], AD_F32), AD_F64))
OPERATION(cast_int, ad_cast(x[0], AD_I32))
#undef OPERATION
#undef REDUCTION
#undef DEVIATION

static ad_var do_permute(const ad_var *x, int n, const int64_t *p, int n_p)
{
    int axes[MAX_NUMBERS];
    (void)n, (void)axes_of(p, n_p, axes);
    return ad_permute(x[0], axes);
}

static ad_var do_split(const ad_var *x, int n, const int64_t *p, int n_p)
{
    ad_var parts[2] = {{0}};
    UNUSED;
    ad_split(x[0], 2, (int)p[0], parts);
    return parts[1];
}

/* p: stride and dilation of both axes; the border is 1 */
static ad_var do_conv2d(const ad_var *x, int n, const int64_t *p, int n_p)
{
    const int64_t border[4] = {0, 0, 1, 1}, strides[2] = {p[0], p[0]}, dilations[2] = {p[1], p[1]};
    const int64_t *kernel = ad_shape(x[1]);
    UNUSED;
    ad_var seen = ad_windows(ad_pad(x[0], border, border, 0), 2, kernel + 2, strides, dilations);
    seen = ad_permute(seen, (int[]){0, 1, 4, 5, 2, 3});
    const int64_t *s = ad_shape(seen);
    const int64_t inner = s[1] * s[2] * s[3], y[4] = {s[0], kernel[0], s[4], s[5]};
    ad_var columns = ad_reshape(seen, 3, (int64_t[]){s[0], inner, s[4] * s[5]});
    ad_var weights = ad_reshape(x[1], 2, (int64_t[]){kernel[0], inner});
    return ad_reshape(ad_matmul(weights, columns), 4, y);
}

static ad_var do_max_pool2d(const ad_var *x, int n, const int64_t *p, int n_p)
{
    const int64_t size[2] = {p[0], p[0]};
    UNUSED;
    return ad_amax_axes(ad_windows(x[0], 2, size, size, NULL), 2, (int[]){-2, -1}, false);
}

/* Two layers, a normalisation between them, and a loss over classes. */
static ad_var do_network(const ad_var *x, int n, const int64_t *p, int n_p)
{
    const int rows[1] = {0};
    UNUSED;
    ad_var h = ad_tanh(ad_add(ad_matmul(x[0], x[1]), x[2]));
    ad_var spread = ad_sqrt(ad_add(ad_var_axes(h, 1, rows, false, 0), ad_constant(.5)));
    h = ad_div(ad_sub(h, ad_mean_axes(h, 1, rows, false)), spread);
    return ad_mean(ad_softmax_cross_entropy(ad_matmul(h, x[3]), x[4]));
}

static const struct {
    const char *name;
    operation *f;
} operations[] = {
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, do_##name                                                                           \
    }
#define ROWS(name) ROW(name), ROW(name##_axes)
    ROW(polygamma),     ROW(powi),       ROW(matmul),  ROW(matmul_self), ROW(matmul_gram),
    ROW(dot),           ROW(outer),      ROWS(sum),    ROWS(mean),       ROWS(prod),
    ROWS(amax),         ROWS(amin),      ROWS(norm),   ROWS(logsumexp),  ROWS(var),
    ROWS(std),          ROW(argmax),     ROW(argmin),  ROW(cumsum),      ROW(cumprod),
    ROW(reshape),       ROW(permute),    ROW(expand),  ROW(transpose),   ROW(reshape_transposed),
    ROW(slice),         ROW(flip),       ROW(repeat),  ROW(concat),      ROW(concat_self),
    ROW(stack),         ROW(split),      ROW(pad),     ROW(tril),        ROW(triu),
    ROW(diag),          ROW(trace),      ROW(at),      ROW(take),        ROW(gather),
    ROW(scatter_add),   ROW(softmax),    ROW(maxout),  ROW(log_softmax), ROW(cross_entropy),
    ROW(stop_gradient), ROW(cast),       ROW(network), ROW(cast_int),    ROW(windows),
    ROW(conv2d),        ROW(max_pool2d),
#undef ROW
#undef ROWS
};

static ad_var apply(const oracle_case *c, const ad_var *x)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!strcmp(operations[i].name, c->name))
            return operations[i].f(x, c->n_args, c->number, c->n_numbers);
    for (int op = 0; op < ad_op_count(); op++)
        if (ad_op_at(op)->elementwise && !strcmp(ad_op_at(op)->name, c->name))
            return ad_apply(op, c->n_args, x);
    fail_msg("torch_ops.txt: there is no operation %s", c->name);
    return (ad_var){0};
}

/* ---- the comparison ---- */

static ad_var input_of(ad_tape *t, const numbers *a, ad_dtype dtype)
{
    if (a->rank == 0 && !a->integers)
        return ad_input(t, a->data[0]);
    ad_tensor *tensor = ad_tensor_new(NULL, a->integers ? AD_I32 : dtype, a->rank, a->shape);
    assert_non_null(tensor);
    assert_int_equal(ad_tensor_write(tensor, a->data), AD_OK);
    ad_var x = ad_input_tensor(t, tensor);
    ad_tensor_free(tensor);
    return x;
}

/* "matmul (2,3) (3) in float" */
static void describe(const oracle_case *c, ad_dtype dtype, const char *what, char text[256])
{
    int used = snprintf(text, 256, "%s", c->name);
    for (int k = 0; k < c->n_args; k++) {
        used += snprintf(text + used, 256 - (size_t)used, " (");
        for (int i = 0; i < c->arg[k].rank; i++)
            used += snprintf(text + used, 256 - (size_t)used, "%s%" PRId64, i ? "," : "",
                             c->arg[k].shape[i]);
        used += snprintf(text + used, 256 - (size_t)used, ")");
    }
    snprintf(text + used, 256 - (size_t)used, " in %s: %s", ad_dtype_name(dtype), what);
}

static double allowed(const numbers *want, ad_dtype dtype)
{
    return (dtype == AD_F64 ? 1e-10 : 1e-5) * scale_of(want->size, want->data, 1);
}

static void compare(const oracle_case *c, ad_dtype dtype, const char *what, ad_var got,
                    bool gradient, const numbers *want)
{
    char text[256];
    double *read = test_calloc((size_t)want->size + 1, sizeof *read);
    describe(c, dtype, what, text);
    ad_status s = gradient                     ? ad_grad_read(got, read)
                  : ad_size(got) != want->size ? AD_BAD_SHAPE
                                               : ad_read(got, read);
    if (s)
        report("%s: %s %s", text, ad_status_name(s), got.tape ? ad_tape_error(got.tape) : "");
    else
        expect_close(text, want->size, read, want->data, allowed(want, dtype));
    test_free(read);
}

static void check_shape(const oracle_case *c, ad_dtype dtype, ad_var y)
{
    char text[256];
    describe(c, dtype, "shape", text);
    if (ad_rank(y) != c->y.rank ||
        (c->y.rank && memcmp(ad_shape(y), c->y.shape, (size_t)c->y.rank * sizeof *c->y.shape) != 0))
        report("%s: got rank %d, want %d, or a size differs", text, ad_rank(y), c->y.rank);
    bool tensors = false; /* of scalars alone, a result is double */
    for (int k = 0; k < c->n_args; k++)
        tensors = tensors || (c->arg[k].rank && !c->arg[k].integers);
    if (c->y.rank && tensors && ad_dtype_of(y) != AD_I32 && ad_dtype_of(y) != dtype)
        report("%s: the result is %s", text, ad_dtype_name(ad_dtype_of(y)));
}

static void check_case(const oracle_case *c, ad_dtype dtype)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[MAX_ARGUMENTS], leaf[MAX_ARGUMENTS], recorded[MAX_ARGUMENTS];
    int n = 0;
    for (int k = 0; k < c->n_args; k++) {
        x[k] = input_of(t, &c->arg[k], dtype);
        if (!c->arg[k].integers)
            leaf[n++] = x[k];
    }
    ad_var y = apply(c, x);
    if (ad_tape_status(t)) {
        report("%s in %s: %s", c->name, ad_dtype_name(dtype), ad_tape_error(t));
        ad_tape_free(t);
        return;
    }
    check_shape(c, dtype, y);
    compare(c, dtype, "value", y, false, &c->y);
    if (ad_dtype_of(y) != AD_I32) {
        const double *seeds[1] = {c->g.data};
        ad_vjp(1, &y, seeds);
        for (int k = 0; k < n; k++)
            compare(c, dtype, "gradient", leaf[k], true, &c->d[k]);
        numbers seed = c->y;
        seed.data = c->g.data;
        ad_var g = input_of(t, &seed, ad_dtype_of(y));
        ad_gradients_seeded(1, &y, &g, n, leaf, recorded);
        for (int k = 0; k < n; k++)
            compare(c, dtype, "recorded gradient", recorded[k], false, &c->d[k]);
    }
    ad_tape_free(t);
}

static int check_file(ad_dtype dtype)
{
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/tests/data/torch_ops.txt", "r");
    oracle_case c;
    int count = 0;
    assert_non_null(file);
    while (read_case(file, &c)) {
        if (dtype == AD_F64 || strcmp(c.name, "cast") != 0)
            check_case(&c, dtype);
        free_case(&c);
        count++;
    }
    fclose(file);
    return count;
}

static void values_and_gradients_are_torchs_in_double(void **state)
{
    (void)state;
    begin_test();
    assert_true(check_file(AD_F64) > 300);
    end_test();
}

static void values_and_gradients_are_torchs_in_float(void **state)
{
    (void)state;
    begin_test();
    assert_true(check_file(AD_F32) > 300);
    end_test();
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(values_and_gradients_are_torchs_in_double),
        cmocka_unit_test(values_and_gradients_are_torchs_in_float),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
