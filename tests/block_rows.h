/* block_rows.h - every structured operation at many shapes, for tests that go over all of them
 *
 * A row of the table is an operation, written as a function of its arguments, at shapes. To test an
 * operation at a shape of its own, add a row; every name of blocks.def must have one. Arguments and
 * cotangents are drawn from a seed that is the number of the row, and floats hold them exactly, so
 * that double and float see the same numbers. */
#ifndef BLOCK_ROWS_H
#define BLOCK_ROWS_H
#include "compare.h"

#include "ad.h"
#include "array.h"

enum { MAX_ARGS = 3, MAX_SIZE = 1024 };

enum {
    DISTINCT = 1, /* elements well apart: of ties the first would get all */
    POSITIVE = 2,
    KINKED = 4, /* differences do not see the derivative */
    SINGLE = 8, /* passes through float whatever the dtype */
};

typedef struct row {
    const char *block; /* its name in blocks.def */
    ad_function f;     /* gets the row as user */
    const char *shapes;
    int64_t p[AD_MAX_RANK + 2]; /* axes and the like, as f reads them */
    unsigned flags;
} row;

#define P(k) (((const row *)user)->p[k])
#define I(k) ((int)P(k))
#define OPERATION(name, expression)                                                                \
    static ad_var name(const ad_var *x, void *user)                                                \
    {                                                                                              \
        (void)user;                                                                                \
        return expression;                                                                         \
    }
#define VAR_OF(...) ((ad_var[]){__VA_ARGS__})

/* ---- operations ---- */

OPERATION(matmul, ad_matmul(x[0], x[1]))
OPERATION(matmul_self, ad_matmul(x[0], x[0]))
OPERATION(matmul_gram, ad_matmul(x[0], ad_transpose(x[0])))
OPERATION(dot, ad_dot(x[0], x[1]))
OPERATION(dot_self, ad_dot(x[0], x[0]))
OPERATION(outer, ad_outer(x[0], x[1]))

/* the elements of vectors, as scalars */
typedef struct scalars {
    ad_var at[16];
} scalars;
static scalars elements(ad_var x)
{
    scalars s;
    for (int64_t i = 0; i < ad_size(x) && i < 16; i++)
        s.at[i] = ad_at(x, &i);
    return s;
}
static const double coefficients[16] = {.5, -1, 2, .25, -.75, 1.5, 0, 1, -2};
OPERATION(dot_n, ad_dot_n(ad_size(x[0]), elements(x[0]).at, elements(x[1]).at))
OPERATION(dot_n_self, ad_dot_n(ad_size(x[0]), elements(x[0]).at, elements(x[0]).at))
OPERATION(dot_n_start,
          ad_dot_add_n(ad_size(x[0]), elements(x[0]).at, elements(x[1]).at, ad_sin(ad_sum(x[1]))))
OPERATION(affine_n, ad_affine_n(ad_size(x[0]), coefficients, elements(x[0]).at, .5))
OPERATION(sum_n, ad_sum_n((int)ad_size(x[0]), elements(x[0]).at))
OPERATION(norm_n, ad_norm_n(ad_size(x[0]), elements(x[0]).at))
OPERATION(polynomial_n, ad_polynomial_n(ad_size(x[0]), elements(x[0]).at, ad_sum(x[1])))
OPERATION(horner_n, ad_horner_n(I(0), coefficients, ad_sum(x[0])))
OPERATION(outer_self, ad_outer(x[0], x[0]))

/* p: number of axes (0: all), keep, axes...; of var and std correction, number, keep, axes... */
static int axes_of(const void *user, int first, int *axes)
{
    int n = I(first);
    for (int i = 0; i < n; i++)
        axes[i] = I(first + 2 + i);
    return n;
}

#define REDUCTION(name)                                                                            \
    static ad_var name(const ad_var *x, void *user)                                                \
    {                                                                                              \
        int axes[AD_MAX_RANK], n = axes_of(user, 0, axes);                                         \
        return n ? ad_##name##_axes(x[0], n, axes, P(1) != 0) : ad_##name(x[0]);                   \
    }
#define DEVIATION(name, whole)                                                                     \
    static ad_var name(const ad_var *x, void *user)                                                \
    {                                                                                              \
        int axes[AD_MAX_RANK], n = axes_of(user, 1, axes);                                         \
        return n ? ad_##name##_axes(x[0], n, axes, P(2) != 0, I(0)) : whole(x[0], I(0));           \
    }
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(prod)
REDUCTION(amax)
REDUCTION(amin)
REDUCTION(norm)
REDUCTION(logsumexp)
DEVIATION(var, ad_var_of)
DEVIATION(std, ad_std)
#undef REDUCTION
#undef DEVIATION
OPERATION(all_axes, ad_sum_axes(ad_square(x[0]), 8, (int[]){0, 1, 2, 3, 4, 5, 6, 7}, false))
OPERATION(row_of_largest, ad_take(x[0], 0, ad_argmax(x[0], I(0))))
OPERATION(row_of_smallest, ad_take(x[0], 0, ad_argmin(x[0], I(0))))
OPERATION(cumsum, ad_cumsum(x[0], I(0)))
OPERATION(cumprod, ad_cumprod(x[0], I(0)))

/* p: rank, sizes... */
OPERATION(reshape, ad_reshape(x[0], I(0), &P(1)))
OPERATION(reshape_transposed, ad_reshape(ad_transpose(x[0]), I(0), &P(1)))
OPERATION(expand, ad_expand(x[0], I(0), &P(1)))
OPERATION(transpose, ad_transpose(x[0]))
static ad_var permute(const ad_var *x, void *user)
{
    int axes[AD_MAX_RANK];
    for (int i = 0; i < AD_MAX_RANK; i++)
        axes[i] = I(i);
    return ad_permute(x[0], axes);
}
OPERATION(slice, ad_slice(x[0], I(0), P(1), P(2), P(3)))
OPERATION(flip, ad_flip(x[0], I(0)))
OPERATION(flipped_product, ad_mul(x[0], ad_flip(x[0], I(0))))
OPERATION(transposed_product, ad_mul(x[0], ad_transpose(x[0])))
OPERATION(sliced_product, ad_mul(ad_slice(x[0], 0, 0, -1, 1), ad_slice(x[0], 0, 1, 99, 1)))
OPERATION(repeat, ad_repeat(x[0], I(0), P(1)))
OPERATION(concat, ad_concat(2, x, I(0)))
OPERATION(concat_three, ad_concat(3, x, I(0)))
OPERATION(concat_self, ad_concat(3, VAR_OF(x[0], ad_square(x[0]), x[0]), I(0)))
OPERATION(stack, ad_stack(2, x, I(0)))
OPERATION(stack_self, ad_stack(2, VAR_OF(x[0], x[0]), I(0)))
static ad_var split(const ad_var *x, void *user)
{
    ad_var parts[3] = {{0}};
    ad_split(x[0], 3, I(0), parts);
    return ad_sub(ad_mul(parts[2], parts[0]), parts[1]);
}
OPERATION(pad, ad_pad(x[0], &P(0), &P(3), 1.5))
OPERATION(tril, ad_tril(x[0], I(0)))
OPERATION(triu, ad_triu(x[0], I(0)))
OPERATION(diag, ad_diag(x[0]))
OPERATION(trace, ad_trace(x[0]))
OPERATION(at, ad_at(x[0], &P(0)))

/* p: number of axes, sizes, strides, dilations; a stride or dilation that begins with 0: none given
 */
static ad_var windows(const ad_var *x, void *user)
{
    const int64_t n = P(0), *sizes = &P(1), *strides = sizes + n, *dilations = strides + n;
    return ad_windows(x[0], (int)n, sizes, *strides ? strides : NULL,
                      *dilations ? dilations : NULL);
}
static ad_var weighted_windows(const ad_var *x, void *user)
{
    return ad_mul(windows(x, user), x[1]);
}
static ad_var largest_in_windows(const ad_var *x, void *user)
{
    return ad_amax_axes(windows(x, user), 2, (int[]){-1, -2}, false);
}
/* (N,C,H,W) and (O, C KH KW) -> (N,O,OH OW), with a border of zeros */
static ad_var convolution(const ad_var *x, void *user)
{
    const int64_t border[4] = {0, 0, 1, 1};
    ad_var padded = ad_pad(x[0], border, border, 0);
    ad_var columns = ad_permute(windows(&padded, user), (int[]){0, 1, 4, 5, 2, 3});
    const int64_t *s = ad_shape(columns), shape[3] = {s[0], s[1] * s[2] * s[3], s[4] * s[5]};
    return ad_matmul(x[1], ad_reshape(columns, 3, shape));
}

/* indices 0, p0, 2 p0, ... modulo the size of the axis p1, in a shape: every row twice or more, out
 * of order */
static ad_var indices(ad_var a, const void *user, int rank, const int64_t *shape)
{
    int32_t index[MAX_SIZE];
    int64_t size = 1, modulus = ad_shape(a)[I(1) < 0 ? ad_rank(a) + I(1) : I(1)];
    for (int i = 0; i < rank; i++)
        size *= shape[i];
    for (int64_t i = 0; i < size; i++)
        index[i] = (int32_t)((i * P(0) + 1) % modulus);
    return ad_constant_array(a.tape, AD_I32, rank, shape, index);
}

/* p: factor, axis, rank, shape... */
OPERATION(take, ad_take(x[0], I(1), indices(x[0], user, I(2), &P(3))))
OPERATION(gather, ad_gather(x[0], I(1), indices(x[0], user, I(2), &P(3))))
OPERATION(scatter_add,
          ad_scatter_add(x[0], I(1), indices(x[0], user, ad_rank(x[1]), ad_shape(x[1])), x[1]))
OPERATION(scatter_self,
          ad_scatter_add(x[0], I(1), indices(x[0], user, ad_rank(x[0]), ad_shape(x[0])), x[0]))

/* The transposes of slice and the like, which only rules record: the gradient of those, seeded with
 * the argument. */
static ad_var transposed(ad_var g, ad_function f, void *user, int rank, const int64_t *shape)
{
    static const double zeros[MAX_SIZE];
    ad_var x = ad_input_array(g.tape, ad_dtype_of(g), rank, shape, zeros), y = f(&x, user),
           gradient = {0};
    ad_gradients_seeded(1, &y, &g, 1, &x, &gradient);
    return gradient;
}
OPERATION(unslice, transposed(x[0], slice, user, 2, (int64_t[]){3, 5}))
OPERATION(undiag, transposed(x[0], diag, user, 2, (int64_t[]){3, 4}))
OPERATION(unwindows, transposed(x[0], windows, user, 2, (int64_t[]){5, 7}))
OPERATION(unwindows_in_one, transposed(x[0], windows, user, 1, (int64_t[]){9}))
OPERATION(unat, transposed(x[0], at, user, 2, (int64_t[]){3, 4}))
OPERATION(untake, transposed(x[0], take, user, 2, (int64_t[]){4, 2}))
OPERATION(ungather, transposed(x[0], gather, user, 2, (int64_t[]){3, 2}))

OPERATION(to_float, ad_cast(x[0], AD_F32))
OPERATION(to_double, ad_cast(x[0], AD_F64))
OPERATION(to_float_and_back, ad_cast(ad_cast(x[0], AD_F32), AD_F64))
OPERATION(softmax, ad_softmax(x[0], I(0)))
OPERATION(log_softmax, ad_log_softmax(x[0], I(0)))
OPERATION(mean_of_softmax,
          ad_mean(ad_softmax(x[0], I(0)))) /* all derivatives are 0, but for rounding */
OPERATION(maxout, ad_maxout(x[0], I(0), I(1)))
OPERATION(entropy_of_classes,
          ad_softmax_cross_entropy(x[0], indices(x[0], user, 1, ad_shape(x[0]))))
OPERATION(entropy, ad_softmax_cross_entropy(x[0], x[1]))
OPERATION(entropy_self, ad_softmax_cross_entropy(x[0], x[0]))
OPERATION(stop_gradient, ad_mul(x[0], ad_stop_gradient(x[0])))

#define DRAW(kind, ...)                                                                            \
    ad_mul(x[0], ad_random_##kind(x[0].tape, 7, __VA_ARGS__ ad_dtype_of(x[0]), ad_rank(x[0]),      \
                                  ad_shape(x[0])))
OPERATION(times_uniform, DRAW(uniform, ))
OPERATION(times_normal, DRAW(normal, ))
OPERATION(times_bernoulli, DRAW(bernoulli, .5, ))
OPERATION(shuffled,
          ad_take(x[0], 0, ad_random_permutation(x[0].tape, 3, (int32_t)ad_shape(x[0])[0])))
#undef DRAW

/* a user's own operation: y[i] = a[i] b[i]^2 */
static bool product_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        y->data[i] = a[0].data[i] * a[1].data[i] * a[1].data[i];
    return true;
}

static bool product_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                            const ad_array *dy, ad_array *da)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++) {
        if (da[0].data)
            da[0].data[i] += dy->data[i] * a[1].data[i] * a[1].data[i];
        if (da[1].data)
            da[1].data[i] += dy->data[i] * 2 * a[0].data[i] * a[1].data[i];
    }
    return true;
}

static bool product_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                            const ad_array *da, ad_array *dy)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        dy->data[i] = da[0].data[i] * a[1].data[i] * a[1].data[i] +
                      2 * a[0].data[i] * a[1].data[i] * da[1].data[i];
    return true;
}

static void product_record(void *user, int n, const ad_var *a, ad_var y, ad_var dy, ad_var *da)
{
    (void)user, (void)n, (void)y;
    ad_var g[2], c[2];
    for (int k = 0; k < 2; k++)
        c[k] = ad_cast(a[k], AD_F64);
    g[0] = ad_mul(dy, ad_square(c[1]));
    g[1] = ad_mul(dy, ad_mul(ad_constant(2), ad_mul(c[0], c[1])));
    for (int k = 0; k < 2; k++)
        da[k] = ad_cast(g[k], ad_dtype_of(a[k]));
}

static const ad_operation product = {"product", product_value, product_adjoint, product_tangent,
                                     product_record};
OPERATION(own, ad_call(x[0].tape, &product, NULL, 2, x, ad_rank(x[0]), ad_shape(x[0])))
OPERATION(own_self,
          ad_call(x[0].tape, &product, NULL, 2, VAR_OF(x[0], x[0]), ad_rank(x[0]), ad_shape(x[0])))

/* ---- the table ---- */

static const row rows[] = {
    {"matmul", matmul, "(3,4) (4,2)", {0}, 0},
    {"matmul", matmul, "(1,4) (4,1)", {0}, 0},
    {"matmul", matmul, "(3,1) (1,3)", {0}, 0},
    {"matmul", matmul, "(1,1) (1,1)", {0}, 0},
    {"matmul", matmul, "(4) (4,3)", {0}, 0},
    {"matmul", matmul, "(3,4) (4)", {0}, 0},
    {"matmul", matmul, "(5) (5)", {0}, 0},
    {"matmul", matmul, "(1) (1)", {0}, 0},
    {"matmul", matmul, "(2,3,4) (2,4,2)", {0}, 0},
    {"matmul", matmul, "(2,3,4) (4,2)", {0}, 0},
    {"matmul", matmul, "(3,4) (2,4,2)", {0}, 0},
    {"matmul", matmul, "(2,1,3,2) (3,2,2)", {0}, 0},
    {"matmul", matmul, "(2,1,3,2) (1,3,2,2)", {0}, 0},
    {"matmul", matmul, "(3,2,2,4) (4)", {0}, 0},
    {"matmul", matmul, "(3) (2,2,3,2)", {0}, 0},
    {"matmul", matmul, "(1,2,1,2,1,1,2,3) (2,1,1,1,2,1,3,2)", {0}, 0},
    {"matmul", matmul, "(0,3) (3,2)", {0}, 0},
    {"matmul", matmul, "(2,0) (0,3)", {0}, 0},
    {"matmul", matmul, "(2,3) (3,0)", {0}, 0},
    {"matmul", matmul, "(0,2,3) (3,2)", {0}, 0},
    {"matmul", matmul, "(0) (0,2)", {0}, 0},
    {"matmul", matmul, "(0) (0)", {0}, 0},
    {"matmul", matmul, "(17,9) (9,21)", {0}, 0},
    {"matmul", matmul_self, "(3,3)", {0}, 0},
    {"matmul", matmul_self, "(2,3,3)", {0}, 0},
    {"matmul", matmul_self, "(4)", {0}, 0},
    {"matmul", matmul_gram, "(3,2)", {0}, 0},
    {"matmul", matmul_gram, "(2,3,4)", {0}, 0},
    {"dot", dot, "(5) (5)", {0}, 0},
    {"dot", dot, "(1) (1)", {0}, 0},
    {"dot", dot, "(0) (0)", {0}, 0},
    {"dot", dot, "(37) (37)", {0}, 0},
    {"dot", dot_self, "(6)", {0}, 0},
    {"dot_n", dot_n, "(9) (9)", {0}, 0},
    {"dot_n", dot_n, "(1) (1)", {0}, 0},
    {"dot_n", dot_n_self, "(4)", {0}, 0},
    {"dot_n", dot_n_start, "(3) (3)", {0}, 0},
    {"affine_n", affine_n, "(5)", {0}, 0},
    {"sum_n", sum_n, "(12)", {0}, 0},
    {"norm_n", norm_n, "(5)", {0}, 0},
    {"norm_n", norm_n, "(1)", {0}, 0},
    {"polynomial_n", polynomial_n, "(5) (2)", {0}, 0},
    {"polynomial_n", polynomial_n, "(1) (1)", {0}, 0},
    {"polynomial_n", polynomial_n, "(2) (1)", {0}, 0},
    {"horner_n", horner_n, "(2)", {9}, 0},
    {"horner_n", horner_n, "(2)", {2}, 0},
    {"outer", outer, "(3) (2)", {0}, 0},
    {"outer", outer, "(1) (4)", {0}, 0},
    {"outer", outer, "(0) (2)", {0}, 0},
    {"outer", outer_self, "(4)", {0}, 0},

    {"sum", sum, "()", {0}, 0},
    {"sum", sum, "(2,3,4)", {0}, 0},
    {"sum", sum, "(0)", {0}, 0},
    {"sum", sum, "(2,3,4)", {1, 0, 1}, 0},
    {"sum", sum, "(2,3,4)", {2, 1, -1, 0}, 0},
    {"sum", sum, "(2,3,4)", {3, 0, 2, 0, -2}, 0},
    {"sum", sum, "(2,0,3)", {1, 0, 1}, 0},
    {"sum", sum, "(2,0,3)", {1, 0, 2}, 0},
    {"sum", sum, "(1,2,1,3,1,2,1,2)", {4, 0, 1, 3, -1, 4}, 0},
    {"sum", sum, "(3,300)", {1, 0, 0}, 0},
    {"sum", sum, "(300,3)", {1, 0, 0}, 0},
    {"sum", all_axes, "(1,2,1,2,1,2,1,2)", {0}, 0},
    {"mean", mean, "()", {0}, 0},
    {"mean", mean, "(3,4)", {0}, 0},
    {"mean", mean, "(2,3,4)", {2, 0, 0, 2}, 0},
    {"mean", mean, "(2,3,4)", {1, 1, -2}, 0},
    {"mean", mean, "(0,3)", {1, 0, 1}, 0},
    {"prod", prod, "()", {0}, 0},
    {"prod", prod, "(5)", {0}, 0},
    {"prod", prod, "(1)", {0}, 0},
    {"prod", prod, "(2,3,2)", {2, 0, 0, 2}, 0},
    {"prod", prod, "(2,3,2)", {1, 1, -2}, 0},
    {"prod", prod, "(2,0)", {1, 0, 1}, 0},
    {"prod", prod, "(0,2)", {1, 0, 1}, 0},
    {"amax", amax, "()", {0}, 0},
    {"amax", amax, "(3,4)", {0}, DISTINCT},
    {"amax", amax, "(2,3,4)", {1, 0, -1}, DISTINCT},
    {"amax", amax, "(2,3,4)", {2, 1, 2, 0}, DISTINCT},
    {"amax", amax, "(2,1,3)", {1, 0, 1}, DISTINCT},
    {"amax", amax, "(0,3)", {1, 0, 1}, DISTINCT},
    {"amin", amin, "(3,4)", {0}, DISTINCT},
    {"amin", amin, "(2,3,4)", {1, 1, 0}, DISTINCT},
    {"amin", amin, "(2,3,4)", {2, 0, 1, 2}, DISTINCT},
    {"norm", norm, "()", {0}, POSITIVE},
    {"norm", norm, "(3,4)", {0}, 0},
    {"norm", norm, "(2,3,4)", {2, 0, 0, 2}, 0},
    {"norm", norm, "(2,3,4)", {1, 1, 1}, 0},
    {"norm", norm, "(2,0)", {1, 0, 1}, KINKED},
    {"norm", norm, "(3,1)", {1, 0, 1}, POSITIVE},
    {"logsumexp", logsumexp, "()", {0}, 0},
    {"logsumexp", logsumexp, "(3,4)", {0}, 0},
    {"logsumexp", logsumexp, "(2,3,4)", {2, 0, 0, 2}, 0},
    {"logsumexp", logsumexp, "(2,3,4)", {1, 1, -2}, 0},
    {"logsumexp", logsumexp, "(3,1)", {1, 0, 1}, 0},
    {"logsumexp", logsumexp, "(0,3)", {1, 0, 1}, 0},
    {"var_of", var, "(3,4)", {1}, 0},
    {"var_of", var, "(3,4)", {0}, 0},
    {"var_of", var, "(2,3,4)", {1, 1, 0, -1}, 0},
    {"var_of", var, "(2,3,4)", {0, 2, 1, 0, 2}, 0},
    {"var_of", var, "(3,1)", {0, 1, 0, 1}, 0},
    {"std", std, "(3,4)", {1}, 0},
    {"std", std, "(2,3,4)", {0, 1, 0, 1}, 0},
    {"std", std, "(2,3,4)", {1, 2, 1, 0, -1}, 0},
    {"argmax", row_of_largest, "(4,3)", {0}, DISTINCT},
    {"argmin", row_of_smallest, "(4,3)", {-2}, DISTINCT},
    {"cumsum", cumsum, "(5)", {0}, 0},
    {"cumsum", cumsum, "(2,3,2)", {1}, 0},
    {"cumsum", cumsum, "(2,3)", {-1}, 0},
    {"cumsum", cumsum, "(3,0)", {0}, 0},
    {"cumprod", cumprod, "(5)", {0}, 0},
    {"cumprod", cumprod, "(1)", {0}, 0},
    {"cumprod", cumprod, "(2,3,2)", {1}, 0},
    {"cumprod", cumprod, "(2,3)", {-2}, 0},
    {"cumprod", cumprod, "(0,3)", {1}, 0},

    {"reshape", reshape, "(2,6)", {2, 3, -1}, 0},
    {"reshape", reshape, "(2,3,4)", {1, 24}, 0},
    {"reshape", reshape, "(1)", {0}, 0},
    {"reshape", reshape, "()", {2, 1, 1}, 0},
    {"reshape", reshape, "(6)", {8, 1, 2, 1, 1, 3, 1, 1, 1}, 0},
    {"reshape", reshape, "(2,0)", {2, 0, 5}, 0},
    {"reshape", reshape_transposed, "(3,4)", {2, 2, 6}, 0},
    {"permute", permute, "(2,3,4)", {2, 0, 1}, 0},
    {"permute", permute, "(2,3,4)", {-1, -2, 0}, 0},
    {"permute", permute, "(1,2,1,3,1,2,1,2)", {7, 1, 5, 3, 0, 6, 2, 4}, 0},
    {"permute", permute, "(2,0,3)", {1, 2, 0}, 0},
    {"permute", transpose, "(3,4)", {0}, 0},
    {"permute", transpose, "(2,3,1)", {0}, 0},
    {"permute", transposed_product, "(3,3)", {0}, 0},
    {"expand", expand, "()", {2, 2, 3}, 0},
    {"expand", expand, "(3)", {2, 4, 3}, 0},
    {"expand", expand, "(3,1)", {3, 2, 3, 2}, 0},
    {"expand", expand, "(1)", {8, 1, 2, 1, 2, 1, 2, 1, 3}, 0},
    {"expand", expand, "(1,3)", {2, 0, 3}, 0},
    {"slice", slice, "(5,3)", {0, 1, 4, 2}, 0},
    {"slice", slice, "(3,5)", {-1, 4, 0, -2}, 0},
    {"slice", slice, "(5)", {0, -1, -6, -1}, 0},
    {"slice", slice, "(2,4,2)", {1, 2, 2, 1}, 0},
    {"slice", slice, "(2,4,2)", {1, 2, 3, 1}, 0},
    {"slice", flip, "(2,3)", {1}, 0},
    {"slice", flip, "(3,2)", {-2}, 0},
    {"slice", flip, "(0,2)", {0}, 0},
    {"slice", flipped_product, "(4)", {0}, 0},
    {"slice", sliced_product, "(5,2)", {0}, 0},
    {"slice", split, "(2,6)", {-1}, 0},
    {"slice", split, "(3)", {0}, 0},
    {"expand", repeat, "(2,3)", {0, 3}, 0},
    {"expand", repeat, "(2,3)", {-1, 2}, 0},
    {"expand", repeat, "(2,3)", {0, 0}, 0},
    {"expand", repeat, "(1,2,1,2,1,2,1,1)", {2, 2}, 0},
    {"concat", concat, "(2,1) (2,3)", {-1}, 0},
    {"concat", concat, "(1,3) (2,3)", {0}, 0},
    {"concat", concat, "(0,3) (2,3)", {0}, 0},
    {"concat", concat, "(0) (0)", {0}, 0},
    {"concat", concat_three, "(2) (1) (3)", {0}, 0},
    {"concat", concat_self, "(2,2)", {1}, 0},
    {"stack", stack, "() ()", {0}, 0},
    {"stack", stack, "(2,3) (2,3)", {0}, 0},
    {"stack", stack, "(2,3) (2,3)", {-1}, 0},
    {"stack", stack, "(2,3) (2,3)", {1}, 0},
    {"stack", stack, "(0,3) (0,3)", {1}, 0},
    {"stack", stack_self, "(3)", {-1}, 0},
    {"stack", stack_self, "()", {0}, 0},
    {"pad", pad, "(2,3)", {1, 0, 9, 0, 2}, 0},
    {"pad", pad, "(3)", {0, 9, 9, 1}, 0},
    {"pad", pad, "(1,2,1)", {1, 0, 1, 0, 2, 0}, 0},
    {"pad", pad, "(0,2)", {1, 0, 9, 1, 1}, 0},
    {"tril", tril, "(3,4)", {0}, 0},
    {"tril", tril, "(2,4,3)", {-1}, 0},
    {"tril", tril, "(3,3)", {9}, 0},
    {"tril", tril, "(0,2)", {0}, 0},
    {"triu", triu, "(3,4)", {1}, 0},
    {"triu", triu, "(2,4,3)", {-2}, 0},
    {"triu", triu, "(3,3)", {9}, 0},
    {"diag", diag, "(3)", {0}, 0},
    {"diag", diag, "(0)", {0}, 0},
    {"diag", diag, "(3,4)", {0}, 0},
    {"diag", diag, "(4,2)", {0}, 0},
    {"diag", trace, "(3,3)", {0}, 0},
    {"diag", trace, "(2,4)", {0}, 0},
    {"at", at, "(3,4)", {2, 1}, 0},
    {"at", at, "(1,2,1,2,1,2,1,2)", {0, 1, 0, 0, 0, 1, 0, 1}, 0},
    {"windows", windows, "(7)", {1, 3}, 0},
    {"windows", windows, "(7)", {1, 1}, 0},
    {"windows", windows, "(3)", {1, 3}, 0},
    {"windows", windows, "(8)", {1, 3, 2}, 0},
    {"windows", windows, "(2,8)", {1, 2, 3}, 0},
    {"windows", windows, "(6)", {1, 2, 2}, 0},
    {"windows", windows, "(9)", {1, 3, 1, 3}, 0},
    {"windows", windows, "(3,1)", {1, 1, 1 << 30, 1 << 30}, 0},
    {"windows", windows, "(2,5,6)", {2, 2, 3, 1, 2, 2, 1}, 0},
    {"windows", windows, "(1,2,5,4)", {2, 3, 2}, 0},
    {"windows", windows, "(4,5,4)", {3, 2, 3, 2, 1, 2, 1, 1, 1, 2}, 0},
    {"windows", windows, "(2,1,2,3)", {4, 1, 1, 2, 2}, 0},
    {"windows", windows, "(0,5)", {1, 2}, 0},
    {"windows", weighted_windows, "(3,5) (2,2,2,3)", {2, 2, 3, 1, 2}, 0},
    {"windows", largest_in_windows, "(2,6,5)", {2, 2, 2, 2, 2}, DISTINCT},
    {"windows", convolution, "(2,2,4,3) (3,12)", {2, 2, 3}, 0},
    {"windows", convolution, "(2,1,5,5) (2,9)", {2, 3, 3, 2, 2}, 0},
    {"take", take, "(4,2)", {3, 0, 1, 6}, 0},
    {"take", take, "(2,3,2)", {2, 1, 2, 2, 3}, 0},
    {"take", take, "(3)", {1, -1, 1, 5}, 0},
    {"take", take, "(3,2)", {1, 0, 0}, 0},
    {"take", take, "(3)", {2, 0, 0}, 0},
    {"take", take, "(3,2)", {1, 0, 1, 0}, 0},
    {"gather", gather, "(3,2)", {2, 0, 2, 4, 2}, 0},
    {"gather", gather, "(2,4)", {3, -1, 2, 1, 6}, 0},
    {"gather", gather, "(2,3,2)", {1, 1, 3, 2, 2, 1}, 0},
    {"gather", gather, "(2,3)", {1, 1, 2, 2, 0}, 0},
    {"scatter_add", scatter_add, "(3,2) (4,2)", {2, 0}, 0},
    {"scatter_add", scatter_add, "(2,4) (1,6)", {3, -1}, 0},
    {"scatter_add", scatter_add, "(2,3,2) (2,2,1)", {1, 1}, 0},
    {"scatter_add", scatter_add, "(3,2) (0,2)", {1, 0}, 0},
    {"scatter_add", scatter_self, "(3,2)", {2, 0}, 0},
    {"unslice", unslice, "(3,2)", {1, 4, 0, -2}, 0},
    {"unslice", unslice, "(1,5)", {0, 1, 2, 1}, 0},
    {"diag", undiag, "(3)", {0}, 0},
    {"unwindows", unwindows, "(5,5,3)", {1, 3}, 0},
    {"unwindows", unwindows, "(2,3,2,3)", {2, 2, 3, 3, 2}, 0},
    {"unwindows", unwindows_in_one, "(3,3)", {1, 3, 2, 2}, 0},
    {"unat", unat, "()", {2, 1}, 0},
    {"untake", untake, "(6,2)", {3, 0, 1, 6}, 0},
    {"untake", untake, "(4,2,3)", {1, 1, 2, 2, 3}, 0},
    {"ungather", ungather, "(4,2)", {2, 0, 2, 4, 2}, 0},
    {"ungather", ungather, "(3,5)", {1, 1, 2, 3, 5}, 0},
    {"cast", to_float, "(2,3)", {0}, SINGLE},
    {"cast", to_double, "(2,3)", {0}, SINGLE},
    {"cast", to_float_and_back, "(0,3)", {0}, SINGLE},
    {"cast", to_float_and_back, "(3,2)", {0}, SINGLE},

    {"softmax", softmax, "(4)", {0}, 0},
    {"softmax", softmax, "(2,3,2)", {1}, 0},
    {"softmax", softmax, "(3,1)", {-1}, 0},
    {"softmax", softmax, "(0,3)", {1}, 0},
    {"softmax", softmax, "(3,0)", {1}, 0},
    {"softmax", mean_of_softmax, "(3,4)", {1}, 0},
    {"log_softmax", log_softmax, "(4)", {0}, 0},
    {"log_softmax", log_softmax, "(2,3,2)", {-2}, 0},
    {"log_softmax", log_softmax, "(3,0)", {0}, 0},
    {"amax", maxout, "(2,6)", {1, 3}, DISTINCT},
    {"amax", maxout, "(6,2)", {-2, 2}, DISTINCT},
    {"softmax_cross_entropy", entropy_of_classes, "(3,4)", {2, 1}, 0},
    {"softmax_cross_entropy", entropy_of_classes, "(1,1)", {2, 1}, 0},
    {"softmax_cross_entropy", entropy_of_classes, "(0,3)", {2, 1}, 0},
    {"softmax_cross_entropy", entropy, "(3,4) (3,4)", {0}, 0},
    {"softmax_cross_entropy", entropy, "(2,1) (2,1)", {0}, 0},
    {"softmax_cross_entropy", entropy_self, "(2,3)", {0}, 0},
    {"stop_gradient", stop_gradient, "(2,3)", {0}, KINKED},
    {"stop_gradient", stop_gradient, "()", {0}, KINKED},
    {"random_uniform", times_uniform, "(2,3)", {0}, 0},
    {"random_normal", times_normal, "(5)", {0}, 0},
    {"random_bernoulli", times_bernoulli, "(3,2,2)", {0}, 0},
    {"random_permutation", shuffled, "(6,2)", {0}, 0},
    {"call", own, "(2,3) (2,3)", {0}, 0},
    {"call", own, "() ()", {0}, 0},
    {"call", own_self, "(4)", {0}, 0},
};
enum { ROWS = sizeof rows / sizeof *rows };
#undef P
#undef I

/* ---- arguments ---- */

typedef struct values {
    int rank;
    int64_t shape[AD_MAX_RANK], size;
    double data[MAX_SIZE];
} values;

typedef struct problem {
    const row *row;
    uint64_t seed;
    int n;
    values x[MAX_ARGS];
} problem;

static inline const char *parse_shape(const char *text, values *v)
{
    v->rank = 0;
    v->size = 1;
    text = strchr(text, '(') + 1;
    while (*text != ')') {
        char *end;
        v->size *= v->shape[v->rank++] = strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    assert_in_range(v->size, 0, MAX_SIZE);
    return text + 1;
}

/* within (-2, 2), or multiples of 1/4 in random order */
static inline void draw(values *v, unsigned flags, uint64_t *seed)
{
    for (int64_t i = 0; i < v->size; i++)
        v->data[i] = flags & DISTINCT   ? 0.25 * (double)(i - v->size / 2)
                     : flags & POSITIVE ? random_between(seed, .5, 2)
                                        : random_between(seed, -2, 2);
    for (int i = (int)v->size; i > 1 && flags & DISTINCT; i--) {
        int j = random_below(seed, i);
        double x = v->data[i - 1];
        v->data[i - 1] = v->data[j];
        v->data[j] = x;
    }
}

static inline problem problem_of(int i, uint64_t variant)
{
    problem p = {.row = &rows[i], .seed = (uint64_t)i + 1000 * variant};
    uint64_t seed = p.seed;
    for (const char *text = p.row->shapes; strchr(text, '('); p.n++) {
        text = parse_shape(text, &p.x[p.n]);
        draw(&p.x[p.n], p.row->flags, &seed);
    }
    return p;
}

/* "row 12: matmul (3,4) (4,2) in float, seed 12: adjoint" */
typedef struct label {
    char text[256];
} label;
static inline label describe(const problem *p, ad_dtype dtype, const char *what)
{
    label l;
    snprintf(l.text, sizeof l.text, "row %d: %s %s in %s, seed %" PRIu64 ": %s",
             (int)(p->row - rows), p->row->block, p->row->shapes, ad_dtype_name(dtype), p->seed,
             what);
    return l;
}

static inline ad_dtype precision(const problem *p, ad_dtype dtype)
{
    return p->row->flags & SINGLE ? AD_F32 : dtype;
}

/* ---- arguments in memory of other layouts ---- */

typedef enum layout { PLAIN, TRANSPOSED, STRIDED, BORROWED, LAYOUTS } layout;

/* v in a tensor: TRANSPOSED: axes in reverse order in memory; STRIDED: backward at every second
 * place of memory that is otherwise full of 7; BORROWED: both. What it is a view of is *whole. */
static inline ad_tensor *tensor_in(layout at, ad_dtype dtype, const values *v, ad_tensor **whole)
{
    int64_t shape[AD_MAX_RANK];
    int axes[AD_MAX_RANK];
    bool turned = at == TRANSPOSED || at == BORROWED,
         strided = (at == STRIDED || at == BORROWED) && v->rank;
    for (int i = 0; i < v->rank; i++) {
        axes[i] = turned ? v->rank - 1 - i : i;
        shape[axes[i]] = v->shape[i];
    }
    int last = v->rank - 1;
    if (strided)
        shape[axes[last]] = 2 * v->shape[last] + 1;
    *whole = ad_tensor_new(NULL, dtype, v->rank, shape);
    assert_int_equal(ad_tensor_fill(*whole, 7), AD_OK);
    ad_tensor *turn = ad_tensor_permuted(*whole, axes), *view = turn;
    if (strided) {
        view = ad_tensor_sliced(turn, last, v->shape[last] ? 2 * v->shape[last] - 1 : 0, 0, -2);
        ad_tensor_free(turn);
    }
    assert_non_null(view);
    assert_int_equal(ad_tensor_write(view, v->data), AD_OK);
    return view;
}

/* what v is in such memory; *leaf: the input that it is, or is a view of */
static inline ad_var arranged(ad_tape *t, layout at, ad_dtype dtype, const values *v, ad_var *leaf)
{
    ad_tensor *whole, *view = tensor_in(at, dtype, v, &whole);
    int axes[AD_MAX_RANK];
    ad_var x;
    for (int i = 0; i < v->rank; i++)
        axes[i] = v->rank - 1 - i;
    if (v->rank == 0)
        x = ad_input(t, v->data[0]);
    else if (at == BORROWED)
        x = ad_bind(t, view);
    else
        x = ad_input_tensor(t, at == PLAIN ? view : whole);
    *leaf = x;
    if (at == TRANSPOSED)
        x = ad_permute(x, axes);
    else if (at == STRIDED && v->rank)
        x = ad_slice(x, -1, v->shape[v->rank - 1] ? 2 * v->shape[v->rank - 1] - 1 : 0, 0, -2);
    ad_tensor_free(view);
    ad_tensor_free(whole);
    return x;
}

/* ---- a recorded row ---- */

typedef struct recording {
    ad_tape *t;
    ad_var x[MAX_ARGS], leaves[MAX_ARGS], y;
} recording;

static inline recording record(const problem *p, layout at, ad_dtype dtype)
{
    recording r = {.t = ad_tape_new(NULL)};
    for (int k = 0; k < p->n; k++)
        r.x[k] = arranged(r.t, at, dtype, &p->x[k], &r.leaves[k]);
    r.y = p->row->f(r.x, (void *)(uintptr_t)p->row);
    if (ad_tape_status(r.t) || ad_size(r.y) > MAX_SIZE)
        report("%s", describe(p, dtype, ad_tape_error(r.t)).text);
    return r;
}

#endif
