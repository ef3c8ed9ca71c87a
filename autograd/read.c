/* read.c - values, shapes and gradients of variables, for the caller */
#define AD_PLAIN
#include "chain_kernels.h"
#include "tape.h"
#include "tensor.h"
#include <string.h>

static ad_status value_of(ad_var *a, array *out)
{
    uint32_t i;
    ad_status s = var_check(*a, &i);
    if (!s)
        *out = i == NO_NODE ? array_scalar(&a->u.constant) : frame_array(&a->tape->frame, i);
    return s;
}

static ad_status computed_value_of(ad_var *a, array *out)
{
    const ad_status s = value_of(a, out);
    return s || is_constant(*a) ? s : tape_catch_up(a->tape);
}

double ad_value(ad_var a)
{
    array v;
    if (computed_value_of(&a, &v) || v.size != 1)
        return (double)NAN;
    if (!is_constant(a))
        a.tape->head.value_reads++;
    return array_get(&v, array_offset(&v, 0));
}

int ad_rank(ad_var a)
{
    array v;
    return value_of(&a, &v) ? -1 : v.rank;
}

int64_t ad_size(ad_var a)
{
    array v;
    return value_of(&a, &v) ? -1 : v.size;
}

ad_dtype ad_dtype_of(ad_var a)
{
    array v;
    return value_of(&a, &v) ? AD_F64 : v.dtype;
}

const int64_t *ad_shape(ad_var a)
{
    static const int64_t none[1] = {1};
    uint32_t i;
    if (var_check(a, &i))
        return NULL;
    return i != NO_NODE && ad_is_tensor(a) ? ((block *)a.tape->head.nodes[i].u.block)->out.shape
                                           : none;
}

bool ad_is_tensor(ad_var a)
{
    uint32_t i;
    return !var_check(a, &i) && i != NO_NODE && node_op(&a.tape->head.nodes[i]) == CODE_TENSOR;
}

static ad_status read_array(const array *v, double *out)
{
    if (!out)
        return AD_NULL;
    array to = array_of(out, AD_F64, v->rank, v->shape);
    array_copy(&to, v);
    return AD_OK;
}

ad_status ad_read(ad_var a, double *out)
{
    array v;
    ad_status s = computed_value_of(&a, &v);
    return s ? s : read_array(&v, out);
}

static ad_tensor *array_to_tensor(ad_var a, const array *v)
{
    const ad_context *c = is_constant(a) ? NULL : a.tape->context;
    ad_tensor *made = tensor_of_array(c, v);
    if (!made && !is_constant(a))
        tape_fail(a.tape, AD_NO_MEMORY, NULL, "read: out of memory");
    return made;
}

ad_tensor *ad_read_tensor(ad_var a)
{
    array v;
    return computed_value_of(&a, &v) ? NULL : array_to_tensor(a, &v);
}

/* The adjoint of a node as the last pass left it; data NULL: zero. */
static ad_status adjoint_of(ad_var a, array *out)
{
    uint32_t i;
    ad_status s = var_check(a, &i);
    *out = array_scalar(NULL);
    if (s || i == NO_NODE)
        return s;
    ad_tape *t = a.tape;
    const block *b = block_at(t->head.nodes, i);
    bool leaf = node_op(&t->head.nodes[i]) == CODE_INPUT || (b && b->op->is_leaf);
    if (!t->head.swept || (!leaf && !t->kept && !is_retained(t, i))) {
        tape_fail(
            t, AD_NOT_RECORDED, NULL, "grad: no adjoint of node %u (%s)%s", i,
            op_name(&t->frame, i),
            t->head.swept
                ? ", which is no input: ad_retain it before ad_backward, or use ad_backward_keep"
                : " before a backward pass");
        return t->status;
    }
    if (b && node_op(&t->head.nodes[i]) == CODE_TENSOR) {
        *out = b->adj_pass == t->frame.pass ? b->adj : b->out;
        if (b->adj_pass != t->frame.pass)
            out->data = NULL;
    } else {
        *out = array_scalar(i < t->head.swept ? &t->head.adjoints[i] : NULL);
    }
    return AD_OK;
}

double ad_grad(ad_var a)
{
    array g;
    if (adjoint_of(a, &g) || g.size != 1)
        return (double)NAN;
    return g.data ? array_get(&g, 0) : 0;
}

/* how many of them, from the first on, are inputs recorded one after the other */
static int64_t inputs_in_row(int64_t n, const ad_var *x)
{
    const ad_tape *t = x[0].tape;
    if (!t || is_constant(x[0]) || t->status || ad_apart_(&t->head, x[0]) >= t->head.swept)
        return 0;
    const uint64_t first = x[0].u.bits;
    const uint32_t i = (uint32_t)first;
    enum { PIECE = 128 };
    int64_t k = 0;
    while (k + PIECE <= n && x[k].u.bits == first + (uint64_t)k && !chain_apart(PIECE, x + k, t))
        k += PIECE;
    while (k < n && x[k].tape == t && x[k].u.bits == first + (uint64_t)k)
        k++;
    if (k > (int64_t)(t->head.swept - i))
        k = (int64_t)(t->head.swept - i);
    const node *last = &t->head.nodes[i + k - 1]; /* it knows of those before */
    return node_op(last) == CODE_INPUT && (int64_t)node_b(last) >= k - 1 ? k : 0;
}

ad_status ad_grad_n(int64_t n, const ad_var *x, double *out)
{
    if (n < 0 || (n > 0 && (!x || !out)))
        return AD_NULL;
    ad_status first = AD_OK;
    for (int64_t k = 0; k < n;) {
        const int64_t row = inputs_in_row(n - k, x + k);
        if (row > 0) {
            memcpy(out + k, &x[k].tape->head.adjoints[(uint32_t)x[k].u.bits],
                   (size_t)row * sizeof *out);
            k += row;
            continue;
        }
        array g;
        ad_status s = adjoint_of(x[k], &g);
        if (!s && g.size != 1)
            s = AD_BAD_SHAPE;
        out[k++] = s ? (double)NAN : g.data ? array_get(&g, 0) : 0;
        first = first ? first : s;
    }
    return first;
}

ad_status ad_grad_read(ad_var a, double *out)
{
    array g;
    ad_status s = adjoint_of(a, &g);
    if (s || !out)
        return s ? s : AD_NULL;
    if (g.data)
        return read_array(&g, out);
    memset(out, 0, (size_t)g.size * sizeof *out);
    return AD_OK;
}

ad_tensor *ad_grad_tensor(ad_var a)
{
    array g;
    if (adjoint_of(a, &g))
        return NULL;
    if (g.data)
        return array_to_tensor(a, &g);
    return ad_tensor_new(is_constant(a) ? NULL : a.tape->context, g.dtype, g.rank, g.shape);
}
