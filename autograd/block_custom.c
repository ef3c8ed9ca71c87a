/* block_custom.c - a user's own operation: function pointers with the standing of a built-in one
 *
 * What the user's functions see are contiguous doubles, whatever the arguments are. */
#define AD_PLAIN
#include "tape.h"
#include <string.h>

typedef struct custom {
    const ad_operation *operation;
    void *user;
} custom;

static ad_array public_array(const array *a)
{
    return (ad_array){.data = a->data, .rank = a->rank, .size = a->size, .shape = a->shape};
}

/* the arguments, and room for as many more, in scratch; NULL when out of memory */
static ad_array *custom_args(frame *f, const block *b, array **views)
{
    size_t n = b->n_args + 1;
    ad_array *all = arena_zeros(f->scratch, 2 * n * sizeof *all);
    *views = arena_take(f->scratch, 2 * n * sizeof **views);
    if (!all || !*views)
        return NULL;
    for (uint32_t k = 0; k < b->n_args; k++) {
        array v = block_arg(f, b, (int)k);
        (*views)[k] = scratch_contiguous(f, &v, AD_F64);
        if (!(*views)[k].data)
            return NULL;
        all[k] = public_array(&(*views)[k]);
    }
    return all;
}

static ad_status refused(frame *f, const char *what)
{
    snprintf(f->note, sizeof f->note, "the operation's %s function reported failure", what);
    return AD_BAD_ARGUMENT;
}

static ad_status custom_value(frame *f, block *b)
{
    const custom *c = b->attr;
    array *views, y = block_result(f, b);
    ad_array *a = custom_args(f, b, &views);
    if (!a)
        return AD_NO_MEMORY;
    ad_array out = public_array(&y);
    return c->operation->value(c->user, (int)b->n_args, a, &out) ? AD_OK : refused(f, "value");
}

static ad_status custom_adjoint(frame *f, block *b, const array *g)
{
    const custom *c = b->attr;
    const uint32_t n = b->n_args;
    if (!c->operation->adjoint) {
        snprintf(f->note, sizeof f->note, "the operation has no adjoint function");
        return AD_NOT_RECORDED;
    }
    array *views, y = block_result(f, b);
    ad_array *a = custom_args(f, b, &views);
    if (!a)
        return AD_NO_MEMORY;
    ad_array *da = a + n + 1, out = public_array(&y), dy = public_array(g);
    for (uint32_t k = 0; k < n; k++) {
        if (!block_wants(f, b, (int)k))
            continue;
        array *d = &views[n + 1 + k];
        *d = scratch_array(f, AD_F64, views[k].rank, views[k].shape);
        if (!d->data)
            return AD_NO_MEMORY;
        memset(d->data, 0, array_bytes(d));
        da[k] = public_array(d);
    }
    if (!c->operation->adjoint(c->user, (int)n, a, &out, &dy, da))
        return refused(f, "adjoint");
    for (uint32_t k = 0; k < n; k++) {
        array *d = &views[n + 1 + k];
        if (!da[k].data)
            continue;
        if (f->magnitude)
            array_abs(d, d);
        ad_status s = adjoint_add(f, b, (int)k, d);
        if (s)
            return s;
    }
    return AD_OK;
}

static ad_status custom_tangent(frame *f, block *b, const array *a, const array *y,
                                const array *const *da, array *dy)
{
    const custom *c = b->attr;
    const uint32_t n = b->n_args;
    if (!c->operation->tangent) {
        snprintf(f->note, sizeof f->note, "the operation has no tangent function");
        return AD_NOT_RECORDED;
    }
    ad_array *args = arena_zeros(f->scratch, 2 * ((size_t)n + 1) * sizeof *args);
    if (!args)
        return AD_NO_MEMORY;
    for (uint32_t k = 0; k < n; k++) {
        args[k] = public_array(&a[k]);
        array zero = a[k];
        if (!da[k] && !(zero.data = arena_zeros(f->scratch, array_bytes(&a[k]))))
            return AD_NO_MEMORY;
        args[n + 1 + k] = public_array(da[k] ? da[k] : &zero);
    }
    ad_array value = public_array(y), out = public_array(dy);
    return c->operation->tangent(c->user, (int)n, args, &value, args + n + 1, &out)
               ? AD_OK
               : refused(f, "tangent");
}

static void custom_record(rule *r)
{
    const custom *c = r->attr;
    if (c->operation->record)
        c->operation->record(c->user, (int)r->n, r->a, r->y, r->g, r->da);
    else
        tape_fail(r->tape, AD_NOT_RECORDED, NULL,
                  "%s: the operation has no record function, for derivatives of derivatives",
                  r->b->name);
}

static const block_op custom_op = {.name = "call",
                                   .value = custom_value,
                                   .adjoint = custom_adjoint,
                                   .tangent = custom_tangent,
                                   .record = custom_record,
                                   .is_impure = true};

ad_var ad_call(ad_tape *t, const ad_operation *operation, void *user, int n, const ad_var *args,
               int rank, const int64_t *shape)
{
    call c;
    const char *name = operation && operation->name ? operation->name : "call";
    if (!call_begin(&c, name, t, n, args))
        return call_poison(&c);
    if (!operation || !operation->value)
        return call_fail(&c, AD_NULL, "null operation, or one without a value function");
    if (rank < 0 || (rank && !shape))
        return call_fail(&c, AD_BAD_SHAPE, "null shape, or a rank of %d", rank);
    for (int k = 0; k < n; k++)
        if (!call_float(&c, k))
            return call_poison(&c);
    custom attr = {operation, user};
    ad_var y =
        call_end(&c, &custom_op, -1, AD_F64, rank, shape, (call_attr){&attr, sizeof attr, 0});
    if (tape_ok(c.tape) && !c.tape->paused) /* errors and checks blame it by the user's name */
        block_at(c.tape->head.nodes, y.u.node.id & ~AD_TENSOR_BIT_)->name = name;
    return y;
}
