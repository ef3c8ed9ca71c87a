/* functions.c - the functions of the language: rows of ops.def, and the structured operations
 *
 * A structured operation takes its variables first and its axes and sizes, which must be integers,
 * after them. */
#define AD_PLAIN
#include "algebra.h"
#include "expression.h"
#include <string.h>

enum { ANY = 1 << 20, MORE_AXES = AD_MAX_RANK };

/* An argument as an axis or a count; what is out of range for an int is so for all of them. */
static int whole(const expr_arguments *a, int i)
{
    const int64_t n = a->integers[i];
    return n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : (int)n;
}

#define REDUCTION(name)                                                                            \
    static ad_var name(ad_tape *t, const expr_arguments *a)                                        \
    {                                                                                              \
        int axes[AD_MAX_RANK + 4];                                                                 \
        (void)t;                                                                                   \
        for (int i = 0; i < a->n_integers; i++)                                                    \
            axes[i] = whole(a, i);                                                                 \
        return a->n_integers ? ad_##name##_axes(a->vars[0], a->n_integers, axes, false)            \
                             : ad_##name(a->vars[0]);                                              \
    }
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(prod)
REDUCTION(amax)
REDUCTION(amin)
REDUCTION(norm)
REDUCTION(logsumexp)
#undef REDUCTION

#define BINARY(name)                                                                               \
    static ad_var name(ad_tape *t, const expr_arguments *a)                                        \
    {                                                                                              \
        (void)t;                                                                                   \
        return ad_##name(a->vars[0], a->vars[1]);                                                  \
    }
BINARY(matmul)
BINARY(dot)
BINARY(outer)
#undef BINARY

#define UNARY(name)                                                                                \
    static ad_var name(ad_tape *t, const expr_arguments *a)                                        \
    {                                                                                              \
        (void)t;                                                                                   \
        return ad_##name(a->vars[0]);                                                              \
    }
UNARY(transpose)
UNARY(diag)
UNARY(trace)
UNARY(stop_gradient)
#undef UNARY

/* of one axis, or of the whole where none is given: then the last of a vector */
#define ALONG(name)                                                                                \
    static ad_var name(ad_tape *t, const expr_arguments *a)                                        \
    {                                                                                              \
        (void)t;                                                                                   \
        return ad_##name(a->vars[0], a->n_integers ? whole(a, 0) : -1);                            \
    }
ALONG(argmax)
ALONG(argmin)
ALONG(cumsum)
ALONG(cumprod)
ALONG(softmax)
ALONG(log_softmax)
ALONG(flip)
#undef ALONG

#define DIAGONAL(name)                                                                             \
    static ad_var name(ad_tape *t, const expr_arguments *a)                                        \
    {                                                                                              \
        (void)t;                                                                                   \
        return ad_##name(a->vars[0], a->n_integers ? whole(a, 0) : 0);                             \
    }
DIAGONAL(tril)
DIAGONAL(triu)
DIAGONAL(var_of)
DIAGONAL(std)
#undef DIAGONAL

static ad_var reshape(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_reshape(a->vars[0], a->n_integers, a->integers);
}

static ad_var expand(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_expand(a->vars[0], a->n_integers, a->integers);
}

static ad_var permute(ad_tape *t, const expr_arguments *a)
{
    int axes[AD_MAX_RANK + 4];
    for (int i = 0; i < a->n_integers; i++)
        axes[i] = whole(a, i);
    if (ad_rank(a->vars[0]) >= 0 && a->n_integers != ad_rank(a->vars[0]))
        return ad_fail(t, AD_BAD_AXIS, "permute: wants each axis of the tensor once");
    return ad_permute(a->vars[0], axes);
}

static ad_var slice(ad_tape *t, const expr_arguments *a)
{
    const int64_t *i = a->integers;
    (void)t;
    return ad_slice(a->vars[0], whole(a, 0), i[1], i[2], a->n_integers > 3 ? i[3] : 1);
}

static ad_var repeat(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_repeat(a->vars[0], whole(a, 0), a->integers[1]);
}

static ad_var maxout(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_maxout(a->vars[0], whole(a, 0), whole(a, 1));
}

static ad_var at(ad_tape *t, const expr_arguments *a)
{
    if (ad_rank(a->vars[0]) >= 0 && a->n_integers != ad_rank(a->vars[0]))
        return ad_fail(t, AD_BAD_INDEX, "at: wants an index for each axis of the tensor");
    return ad_at(a->vars[0], a->integers);
}

/* Those that join any number of variables do it along the first axis. */
static ad_var concat(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_concat(a->n_vars, a->vars, 0);
}

static ad_var stack(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_stack(a->n_vars, a->vars, 0);
}

/* Indices as the language has them, numbers, become integers. */
static ad_var indices_of(ad_var a) { return ad_dtype_of(a) == AD_I32 ? a : ad_cast(a, AD_I32); }

static ad_var take(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_take(a->vars[0], a->n_integers ? whole(a, 0) : 0, indices_of(a->vars[1]));
}

static ad_var gather(ad_tape *t, const expr_arguments *a)
{
    (void)t;
    return ad_gather(a->vars[0], whole(a, 0), indices_of(a->vars[1]));
}

static ad_var softmax_cross_entropy(ad_tape *t, const expr_arguments *a)
{
    const bool classes = ad_rank(a->vars[1]) == 1;
    (void)t;
    return ad_softmax_cross_entropy(a->vars[0], classes ? indices_of(a->vars[1]) : a->vars[1]);
}

static const expr_function structured[] = {
    {"matmul", 2, 2, -1, "matmul(a, b), or a @ b", matmul},
    {"dot", 2, 2, -1, "dot(a, b)", dot},
    {"outer", 2, 2, -1, "outer(a, b)", outer},
    {"sum", 1, 1 + MORE_AXES, 1, "sum(a), or sum(a, axis, ...)", sum},
    {"mean", 1, 1 + MORE_AXES, 1, "mean(a), or mean(a, axis, ...)", mean},
    {"prod", 1, 1 + MORE_AXES, 1, "prod(a), or prod(a, axis, ...)", prod},
    {"amax", 1, 1 + MORE_AXES, 1, "amax(a), or amax(a, axis, ...)", amax},
    {"amin", 1, 1 + MORE_AXES, 1, "amin(a), or amin(a, axis, ...)", amin},
    {"norm", 1, 1 + MORE_AXES, 1, "norm(a), or norm(a, axis, ...)", norm},
    {"logsumexp", 1, 1 + MORE_AXES, 1, "logsumexp(a), or logsumexp(a, axis, ...)", logsumexp},
    {"var", 1, 2, 1, "var(a), or var(a, correction)", var_of},
    {"std", 1, 2, 1, "std(a), or std(a, correction)", std},
    {"argmax", 1, 2, 1, "argmax(a, axis)", argmax},
    {"argmin", 1, 2, 1, "argmin(a, axis)", argmin},
    {"cumsum", 1, 2, 1, "cumsum(a, axis)", cumsum},
    {"cumprod", 1, 2, 1, "cumprod(a, axis)", cumprod},
    {"reshape", 2, 1 + AD_MAX_RANK, 1, "reshape(a, size, ...)", reshape},
    {"expand", 2, 1 + AD_MAX_RANK, 1, "expand(a, size, ...)", expand},
    {"transpose", 1, 1, -1, "transpose(a)", transpose},
    {"permute", 2, 1 + AD_MAX_RANK, 1, "permute(a, axis, ...)", permute},
    {"slice", 4, 5, 1, "slice(a, axis, start, stop), or with a step", slice},
    {"flip", 1, 2, 1, "flip(a, axis)", flip},
    {"repeat", 3, 3, 1, "repeat(a, axis, times)", repeat},
    {"concat", 1, ANY, -1, "concat(a, b, ...)", concat},
    {"stack", 1, ANY, -1, "stack(a, b, ...)", stack},
    {"tril", 1, 2, 1, "tril(a), or tril(a, diagonal)", tril},
    {"triu", 1, 2, 1, "triu(a), or triu(a, diagonal)", triu},
    {"diag", 1, 1, -1, "diag(a)", diag},
    {"trace", 1, 1, -1, "trace(a)", trace},
    {"at", 2, 1 + AD_MAX_RANK, 1, "at(a, index, ...)", at},
    {"take", 2, 3, 2, "take(a, indices), or take(a, indices, axis)", take},
    {"gather", 3, 3, 2, "gather(a, indices, axis)", gather},
    {"softmax", 1, 2, 1, "softmax(a), or softmax(a, axis)", softmax},
    {"log_softmax", 1, 2, 1, "log_softmax(a), or log_softmax(a, axis)", log_softmax},
    {"maxout", 3, 3, 1, "maxout(a, axis, pieces)", maxout},
    {"softmax_cross_entropy", 2, 2, -1, "softmax_cross_entropy(logits, targets)",
     softmax_cross_entropy},
    {"stop_gradient", 1, 1, -1, "stop_gradient(a)", stop_gradient},
};
enum { STRUCTURED = sizeof structured / sizeof *structured };

int expr_function_count(void) { return AD_OP_COUNT_ + STRUCTURED; }

expr_function expr_function_at(int function)
{
    if (function >= AD_OP_COUNT_)
        return structured[function - AD_OP_COUNT_];
    const ad_op_info *row = ad_op_at(function);
    return (expr_function){row->name, row->arity, row->arity, -1, row->doc, NULL};
}

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

int expr_function_named(const char *text, size_t length)
{
    if (is_name("ln", text, length))
        return AD_OP_log;
    for (int i = 0; i < expr_function_count(); i++)
        if (is_name(expr_function_at(i).name, text, length))
            return i;
    return NO_FUNCTION;
}
