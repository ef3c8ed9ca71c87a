/* leaf.c - inputs, constants, parameters and states; reading values and gradients
 *
 * A leaf either owns a copy of its data in the tape's memory, or borrows a tensor: then it holds a
 * reference and the version that was recorded, so that a write in between is found before it does
 * harm. */
#define AD_PLAIN
#include "leaf.h"
#include "chain_kernels.h"
#include "tensor.h"
#include <string.h>

#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       memory_take(t->context, bytes)
#define uthash_free(p, bytes)      memory_give(t->context, p, bytes)
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>

struct param_entry {
    UT_hash_handle hh;
    ad_param *param;
    ad_var leaf;
    bool lost; /* uthash ran out of memory when it was added */
};

const block_op leaf_op = {.name = "leaf", .is_leaf = true};
static const block_op input_op = {.name = "input", .is_leaf = true};
static const block_op constant_op = {.name = "constant", .is_leaf = true};
static const block_op param_op = {.name = "parameter", .is_leaf = true};

/* ---- scalars ---- */

ad_var(ad_constant)(double value)
{
    return (ad_var){.tape = (ad_tape *)(uintptr_t)&ad_constant_head_, .u.constant = value};
}

ad_var ad_record_input_(ad_tape *t, double value, const char *site)
{
    if (!t)
        return (ad_var){0};
    if (!tape_ok(t))
        return tape_poison(t);
    if (t->paused)
        return ad_constant(value);
    if (!tape_room(t, 1))
        return tape_poison(t);
    const uint32_t before = t->head.last_input, row = ad_inputs_before_(&t->head);
    t->head.last_input = tape_push(t, CODE_INPUT, before, row, value, site);
    tape_sync(t);
    return tape_var(t, t->head.last_input);
}

ad_var ad_input(ad_tape *t, double value) { return ad_input_at_(t, value, NULL); }

ad_status ad_record_inputs_(ad_tape *t, int64_t n, const double *values, ad_var *inputs,
                            const char *site)
{
    if (!t || n < 0 || (n > 0 && (!values || !inputs)))
        return AD_NULL;
    if (n == 0)
        return t->status;
    inputs[0] = ad_record_input_(t, values[0], site); /* the site, and all that may be wrong */
    const bool room = tape_ok(t) && !t->paused && n <= (int64_t)NO_NODE;
    if (!room || !tape_room(t, (uint32_t)n - 1)) {
        for (int64_t k = 1; k < n; k++)
            inputs[k] = ad_record_input_(t, values[k], site);
        return t->status;
    }
    if (n > 1) {
        ad_head_ *h = &t->head;
        const uint32_t first = h->n, before = h->last_input, row = ad_inputs_before_(h);
        chain_inputs(t, first, (uint32_t)n - 1, before, row, values + 1, inputs + 1);
        h->n += (uint32_t)n - 1;
        h->last_input = h->n - 1;
        tape_sync(t);
    }
    return AD_OK;
}

ad_status ad_input_n(ad_tape *t, int64_t n, const double *values, ad_var *inputs)
{
    return ad_record_inputs_(t, n, values, inputs, NULL);
}

/* ---- tensors ---- */

static block *leaf_new(ad_tape *t, const char *name, const block_op *op, enum leaf_kind kind,
                       array value)
{
    block *b = arena_zeros(&t->memory, sizeof *b);
    if (!b || !tape_room(t, 1)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "%s: out of memory", name);
        return NULL;
    }
    *b = (block){.op = op,
                 .name = op->name,
                 .code = -1,
                 .leaf = kind,
                 .out = value,
                 .next_leaf = t->frame.last_leaf};
    /* a parameter's leaf outlives the pause in which it is first asked for */
    b->needs_grad =
        value.dtype != AD_I32 && (kind == LEAF_PARAMETER || (kind == LEAF_INPUT && !t->paused));
    b->node = tape_push(t, CODE_TENSOR, 0, 0, 0, NULL);
    t->head.nodes[b->node].u.block = b;
    t->frame.last_leaf = b->node;
    tape_sync(t);
    return b;
}

static ad_var leaf_copy(ad_tape *t, const char *name, enum leaf_kind kind, const array *from)
{
    if (!t)
        return (ad_var){0};
    if (!tape_ok(t))
        return tape_poison(t);
    if (!from->data)
        return tape_fail(t, AD_NULL, NULL, "%s: null data", name);
    if (t->paused)
        kind = LEAF_CONSTANT;
    if (from->rank == 0 && from->dtype != AD_I32) {
        double x = array_get(from, 0);
        return kind == LEAF_INPUT ? ad_input(t, x) : ad_constant(x);
    }
    array a = array_of(NULL, from->dtype, from->rank, from->shape);
    if (!(a.data = arena_take(&t->memory, array_bytes(&a))))
        return tape_fail(t, AD_NO_MEMORY, NULL, "%s: out of memory", name);
    array_copy(&a, from);
    block *b = leaf_new(t, name, kind == LEAF_INPUT ? &input_op : &constant_op, kind, a);
    return b ? tape_var(t, b->node) : tape_poison(t);
}

static ad_var leaf_array(ad_tape *t, const char *name, enum leaf_kind kind, ad_dtype dtype,
                         int rank, const int64_t *shape, const void *data)
{
    char text[SHAPE_TEXT];
    static const double nothing = 0;
    if (!tape_ready(t))
        return t ? tape_poison(t) : (ad_var){0};
    if ((unsigned)dtype > AD_I32)
        return tape_fail(t, AD_BAD_DTYPE, NULL, "%s: unknown dtype %d", name, (int)dtype);
    if (rank < 0 || rank > AD_MAX_RANK)
        return tape_fail(t, AD_BAD_SHAPE, NULL, "%s: %d axes, of %d at most", name, rank,
                         AD_MAX_RANK);
    if (rank > 0 && !shape)
        return tape_fail(t, AD_NULL, NULL, "%s: null shape", name);
    int64_t size = shape_size(rank, shape);
    if (size < 0) {
        bool negative = shape_negative(rank, shape);
        return tape_fail(t, negative ? AD_BAD_SHAPE : AD_TOO_LARGE, NULL, "%s: %s has a %s size",
                         name, shape_text(text, rank, shape),
                         negative ? "negative" : "too large a");
    }
    array from = array_of((void *)(uintptr_t)(size ? data : &nothing), dtype, rank, shape);
    return leaf_copy(t, name, kind, &from);
}

ad_var ad_input_array(ad_tape *t, ad_dtype dtype, int rank, const int64_t *shape, const void *data)
{
    return leaf_array(t, "input_array", LEAF_INPUT, dtype, rank, shape, data);
}

ad_var ad_constant_array(ad_tape *t, ad_dtype dtype, int rank, const int64_t *shape,
                         const void *data)
{
    return leaf_array(t, "constant_array", LEAF_CONSTANT, dtype, rank, shape, data);
}

static ad_var leaf_tensor(ad_tape *t, const char *name, enum leaf_kind kind, const ad_tensor *value)
{
    if (!tape_ready(t))
        return t ? tape_poison(t) : (ad_var){0};
    if (!value)
        return tape_fail(t, AD_NULL, NULL, "%s: null tensor", name);
    array a = tensor_array(value);
    return leaf_copy(t, name, kind, &a);
}

ad_var ad_input_tensor(ad_tape *t, const ad_tensor *value)
{
    return leaf_tensor(t, "input_tensor", LEAF_INPUT, value);
}

ad_var ad_constant_tensor(ad_tape *t, const ad_tensor *value)
{
    return leaf_tensor(t, "constant_tensor", LEAF_CONSTANT, value);
}

static ad_var leaf_borrow(ad_tape *t, const char *name, enum leaf_kind kind, ad_tensor *value,
                          ad_param *param)
{
    if (!tape_ready(t))
        return t ? tape_poison(t) : (ad_var){0};
    if (!value)
        return tape_fail(t, AD_NULL, NULL, "%s: null tensor", name);
    block *b = leaf_new(t, name, param ? &param_op : &input_op, kind, tensor_array(value));
    if (!b)
        return tape_poison(t);
    b->tensor = ad_tensor_retain(value);
    b->param = param;
    b->version = tensor_version(value);
    b->checksum = t->context->checksum_borrowed ? tensor_checksum(value) : 0;
    if (param && !param->trainable)
        b->needs_grad = false;
    return tape_var(t, b->node);
}

ad_var ad_bind(ad_tape *t, ad_tensor *value)
{
    return leaf_borrow(t, "bind", LEAF_INPUT, value, NULL);
}

static struct param_entry *param_find(ad_tape *t, ad_param *param)
{
    struct param_entry *e;
    HASH_FIND_PTR(t->params, &param, e);
    if (e)
        return e;
    if (!(e = memory_take(t->context, sizeof *e)))
        return NULL;
    e->param = param;
    HASH_ADD_PTR(t->params, param, e);
    if (!e->lost)
        return e;
    memory_give(t->context, e, sizeof *e);
    return NULL;
}

ad_var ad_use(ad_tape *t, ad_param *param)
{
    if (!tape_ready(t))
        return t ? tape_poison(t) : (ad_var){0};
    if (!param)
        return tape_fail(t, AD_NULL, NULL, "use: null parameter");
    struct param_entry *e = param_find(t, param);
    if (!e)
        return tape_fail(t, AD_NO_MEMORY, NULL, "use: out of memory");
    if (e->leaf.tape && tape_valid(t, e->leaf))
        return e->leaf;
    return e->leaf = leaf_borrow(t, "use", LEAF_PARAMETER, param->value, param);
}

void params_forget(ad_tape *t)
{
    struct param_entry *e, *next;
    HASH_ITER(hh, t->params, e, next)
    {
        HASH_DEL(t->params, e);
        memory_give(t->context, e, sizeof *e);
    }
}

void leaves_release(ad_tape *t, uint32_t from)
{
    frame *f = &t->frame;
    while (f->last_leaf != NO_NODE && f->last_leaf >= from) {
        block *b = f->nodes[f->last_leaf].u.block;
        ad_tensor_free(b->tensor);
        f->last_leaf = b->next_leaf;
    }
    if (from == 0)
        t->head.last_input = NO_NODE;
    while (t->head.last_input != NO_NODE && t->head.last_input >= from)
        t->head.last_input = node_a(&f->nodes[t->head.last_input]);
    f->last_input = t->head.last_input;
}

void leaves_hold(const frame *f)
{
    for (uint32_t i = f->nodes ? f->last_leaf : NO_NODE; i != NO_NODE;) {
        const block *b = f->nodes[i].u.block;
        ad_tensor_retain(b->tensor);
        i = b->next_leaf;
    }
}

void leaves_let_go(const frame *f)
{
    for (uint32_t i = f->nodes ? f->last_leaf : NO_NODE; i != NO_NODE;) {
        const block *b = f->nodes[i].u.block;
        ad_tensor_free(b->tensor);
        i = b->next_leaf;
    }
}

ad_status frame_check_borrowed(frame *f)
{
    for (uint32_t i = f->last_leaf; i != NO_NODE;) {
        const block *b = f->nodes[i].u.block;
        if (b->tensor &&
            (b->version != tensor_version(b->tensor) ||
             (f->context->checksum_borrowed && b->checksum != tensor_checksum(b->tensor)))) {
            f->failed_node = i;
            snprintf(f->note, sizeof f->note,
                     "its tensor %.60s%s was written after it was recorded",
                     b->param ? ad_param_name(b->param) : "", b->param ? "" : "(borrowed)");
            return AD_MODIFIED;
        }
        i = b->next_leaf;
    }
    return AD_OK;
}

/* ---- new values for inputs ---- */

ad_status ad_set_array(ad_var input, const double *values)
{
    uint32_t i;
    ad_status s = var_check(input, &i);
    if (s || i == NO_NODE)
        return s ? s : AD_BAD_ARGUMENT;
    ad_tape *t = input.tape;
    const block *b = block_at(t->head.nodes, i);
    bool scalar = node_op(&t->head.nodes[i]) == CODE_INPUT;
    if (!values || (!scalar && (!b || b->leaf != LEAF_INPUT || b->tensor)))
        tape_fail(t, values ? AD_BAD_ARGUMENT : AD_NULL, NULL, "set: node %u %s", i,
                  values ? "is no input with a copy of its own" : "from null values");
    else if (scalar)
        t->head.nodes[i].u.value = *values;
    else {
        array from = array_of((void *)(uintptr_t)values, AD_F64, b->out.rank, b->out.shape);
        array_copy(&b->out, &from);
    }
    return t->status;
}

ad_status ad_set(ad_var input, double value)
{
    uint32_t i;
    if (!var_check(input, &i) && i != NO_NODE && ad_size(input) != 1)
        tape_fail(input.tape, AD_BAD_SHAPE, NULL,
                  "set: node %u has %lld elements: use ad_set_array", i, (long long)ad_size(input));
    return ad_set_array(input, &value);
}
