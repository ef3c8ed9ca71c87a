/* derivative.c - derivatives of functions, for callers who want no tape in sight; Hessian-vector
 * products
 *
 * A Hessian-vector product is the tangent of the gradient. Of a scalar program, the reverse sweep
 * itself runs over duals. With tensors, the reverse sweep is recorded, and a forward sweep over
 * duals gives its tangents; so does a whole Hessian, eight directions at a time. */
#define AD_PLAIN
#include "backward_dual.h"
#include <string.h>

static ad_status hvp_sweep(ad_tape *t, ad_var y, int n, const ad_var *x, int directions,
                           const double *const *v, double *const *products, ad_var *gradients)
{
    ad_mark mark = ad_mark_here(t);
    ad_status s = ad_gradients(y, n, x, gradients);
    if (!s)
        s = ad_jvp(n, x, v, n, gradients, products, directions);
    if (s)
        return s;
    return ad_rewind(t, mark);
}

/* AD_NOT_RECORDED without an error on the tape: there are tensors, go by the recorded gradient */
static ad_status hvp_scalars(ad_tape *t, ad_var y, int n, const ad_var *x, const double *const *v,
                             double *const *products)
{
    frame *f = &t->frame;
    f->n = t->head.n;
    if (!y.tape || is_constant(y))
        return AD_NOT_RECORDED;
    uint32_t top = tape_node(t, y, "hvp");
    if (top == NO_NODE || !frame_scalars_only(f, top))
        return t->status ? t->status : AD_NOT_RECORDED;
    arena_mark mark = arena_here(&t->scratch);
    uint32_t *ids = arena_take(&t->scratch, ((size_t)n + 1) * sizeof *ids);
    ad_status s = ids ? AD_OK : AD_NO_MEMORY;
    for (int k = 0; !s && k < n; k++) {
        ids[k] = tape_node(t, x[k], "hvp");
        s = ids[k] == NO_NODE                                ? t->status
            : node_op(&t->head.nodes[ids[k]]) == CODE_TENSOR ? AD_NOT_RECORDED
                                                             : AD_OK;
    }
    f->n = t->head.n; /* constants among x have become nodes */
    if (!s) {
        s = sweep_backward_dual(f, top, n, ids, v, products);
        frame_report(t, s, "hvp");
    }
    arena_rewind(&t->scratch, mark);
    return s;
}

ad_status ad_hvp(ad_var y, int n, const ad_var *x, const double *const *v, double *const *products)
{
    if (n < 0 || (n && (!x || !v || !products)))
        return AD_BAD_ARGUMENT;
    ad_tape *t = tape_of(n, x);
    if (!t)
        return n ? AD_NULL : AD_OK;
    if (t->status || tape_catch_up(t))
        return t->status;
    size_t bytes = (size_t)n * sizeof(ad_var);
    ad_var *gradients = memory_take(t->context, bytes);
    if (!gradients)
        tape_fail(t, AD_NO_MEMORY, NULL, "hvp: out of memory");
    ad_status s = !gradients ? t->status : hvp_scalars(t, y, n, x, v, products);
    if (gradients && s == AD_NOT_RECORDED && !t->status)
        s = hvp_sweep(t, y, n, x, 1, v, products, gradients);
    memory_give(t->context, gradients, bytes);
    return s;
}

/* a tape with n inputs at x, and room for more variables and numbers behind them */
typedef struct lab {
    ad_tape *t;
    ad_var *x;
    size_t bytes;
    double *numbers;
} lab;

static ad_status lab_open(lab *l, int n, int more, size_t numbers, const double *x)
{
    *l = (lab){0};
    if (n < 0 || more < 0 || (n && !x))
        return AD_BAD_ARGUMENT;
    l->t = ad_tape_new(NULL);
    size_t vars = (size_t)n + (size_t)more + 1;
    if (numbers > (SIZE_MAX / 4) / sizeof(double))
        return AD_TOO_LARGE;
    l->bytes = vars * sizeof *l->x + numbers * sizeof(double);
    l->x = memory_take(context_or_default(NULL), l->bytes);
    if (!l->x)
        return AD_NO_MEMORY;
    l->numbers = (double *)(void *)(l->x + vars);
    for (int i = 0; i < n; i++)
        l->x[i] = ad_input(l->t, x[i]);
    return ad_tape_status(l->t);
}

static ad_status lab_close(lab *l, ad_status s)
{
    if (!s)
        s = ad_tape_status(l->t);
    memory_give(context_or_default(NULL), l->x, l->bytes);
    ad_tape_free(l->t);
    return s;
}

static ad_status checked_output(ad_var y)
{
    return !y.tape ? AD_NULL : is_constant(y) ? AD_OK : y.tape->status;
}

ad_status ad_value_and_gradient(ad_function f, void *user, int n, const double *x, double *value,
                                double *gradient)
{
    lab l;
    ad_status s = !f || (n > 0 && !gradient) ? AD_NULL : AD_OK;
    if (s || (s = lab_open(&l, n, 0, 0, x)))
        return s ? (f && gradient ? lab_close(&l, s) : s) : s;
    ad_var y = f(l.x, user);
    s = checked_output(y);
    if (!s)
        s = ad_backward(y);
    if (!s && value)
        *value = ad_value(y);
    for (int i = 0; !s && i < n; i++)
        gradient[i] = is_constant(y) ? 0 : ad_grad(l.x[i]);
    return lab_close(&l, s);
}

ad_status ad_gradient(ad_function f, void *user, int n, const double *x, double *gradient)
{
    return ad_value_and_gradient(f, user, n, x, NULL, gradient);
}

/* columns by forward sweeps, eight at a time */
static ad_status jacobian_forward(lab *l, int n, int m, const ad_var *y, double *jacobian)
{
    size_t nn = (size_t)n, mm = (size_t)m;
    double *seeds = l->numbers, *columns = seeds + nn * nn;
    const ad_context *c = context_or_default(NULL);
    size_t bytes = (nn + mm) * sizeof(double *);
    double **pointers = memory_take(c, bytes);
    if (!pointers)
        return AD_NO_MEMORY;
    for (size_t i = 0; i < nn; i++) {
        seeds[i * nn + i] = 1; /* of input i: direction after direction, one element each */
        pointers[i] = seeds + i * nn;
    }
    for (size_t j = 0; j < mm; j++)
        pointers[nn + j] = columns + j * nn;
    ad_status s = ad_jvp(n, l->x, (const double *const *)pointers, m, y, pointers + nn, n);
    if (!s)
        memcpy(jacobian, columns, nn * mm * sizeof *jacobian);
    memory_give(c, pointers, bytes);
    return s;
}

static ad_status jacobian_reverse(const lab *l, int n, int m, const ad_var *y, double *jacobian)
{
    ad_status s = AD_OK;
    for (int j = 0; !s && j < m; j++) {
        s = ad_backward(y[j]);
        for (int i = 0; !s && i < n; i++)
            jacobian[(size_t)j * (size_t)n + (size_t)i] = is_constant(y[j]) ? 0 : ad_grad(l->x[i]);
    }
    return s;
}

ad_status ad_jacobian(ad_functions f, void *user, int n, const double *x, int m, double *jacobian)
{
    if (!f || m < 0 || n < 0 || (n && m && !jacobian))
        return !f || !jacobian ? AD_NULL : AD_BAD_ARGUMENT;
    lab l;
    bool forward = n <= m;
    size_t nn = (size_t)n, mm = (size_t)m;
    ad_status s = lab_open(&l, n, m, forward ? nn * nn + nn * mm : 0, x);
    ad_var *y = s ? NULL : l.x + n;
    if (!s)
        f(l.x, y, user);
    for (int j = 0; !s && j < m; j++)
        s = checked_output(y[j]);
    if (!s && n && m)
        s = forward ? jacobian_forward(&l, n, m, y, jacobian)
                    : jacobian_reverse(&l, n, m, y, jacobian);
    return lab_close(&l, s);
}

ad_status ad_hessian(ad_function f, void *user, int n, const double *x, double *hessian)
{
    if (!f || n < 0 || (n && !hessian))
        return !f || !hessian ? AD_NULL : AD_BAD_ARGUMENT;
    lab l;
    ad_status s = lab_open(&l, n, n, 0, x);
    ad_var y = {0};
    if (!s) {
        y = f(l.x, user);
        s = checked_output(y);
    }
    if (!s)
        s = ad_gradients(y, n, l.x, l.x + n);
    lab second = l; /* the Jacobian of the gradient */
    size_t nn = (size_t)n;
    second.numbers = s ? NULL : memory_take(context_or_default(NULL), 2 * nn * nn * sizeof(double));
    if (!s && !second.numbers)
        s = AD_NO_MEMORY;
    if (!s && n)
        s = jacobian_forward(&second, n, n, l.x + n, hessian);
    memory_give(context_or_default(NULL), second.numbers, 2 * nn * nn * sizeof(double));
    return lab_close(&l, s);
}
