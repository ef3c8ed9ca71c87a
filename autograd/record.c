/* record.c - records operations: scalars off the fast path, elementwise operations on tensors, and
 * blocks
 *
 * ad.h's inlined path handles two live scalars of one tape. Everything else arrives here: constants
 * (folded, or made nodes), tensors (broadcast, then a block), pauses, and every mistake that a
 * handle can be. */
#define AD_PLAIN
#include "algebra.h"
#include "elementwise.h"
#include "leaf.h"
#include <string.h>

/* ---- scalars ---- */

static ad_var not_finite(ad_tape *t, int op, int n, const double x[3], double y, const char *site)
{
    char text[96] = "";
    for (int k = 0, used = 0; k < n; k++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%c = %g", k ? ", " : "",
                         'a' + k, for_text(x[k]));
    return tape_fail(t, AD_NOT_FINITE, site, "%s: gives %g at %s", elementwise_ops[op].info.name,
                     for_text(y), text);
}

static ad_var record_scalar(ad_tape *t, int op, int n, const ad_var *args, const uint32_t *ids,
                            const char *site)
{
    double x[3] = {0, 0, 0};
    uint32_t id[3] = {0, 0, 0};
    if (t->paused && tape_catch_up(t))
        return ad_sited_(tape_poison(t), site);
    for (int k = 0; k < n; k++)
        x[k] = is_constant(args[k]) ? args[k].u.constant : t->head.nodes[ids[k]].u.value;
    double y = elementwise_ops[op].value(x);
    if (t->context->check_finite && !isfinite(y))
        return not_finite(t, op, n, x, y, site);
    if (t->paused)
        return ad_constant(y);
    if (!tape_room(t, (uint32_t)n + 2))
        return ad_sited_(tape_poison(t), site);
    for (int k = 0; k < n; k++)
        id[k] = is_constant(args[k]) ? tape_push(t, CODE_CONSTANT, 0, 0, x[k], site) : ids[k];
    if (n == 1)
        id[1] = id[0];
    if (n == 3)
        tape_push(t, CODE_HIDDEN, id[2], id[2], 0, site);
    uint32_t i = tape_push(t, (unsigned)op, id[0], id[1], y, site);
    tape_sync(t);
    return tape_var(t, i);
}

static ad_var record(int op, int n, const ad_var *args, const char *site)
{
    ad_tape *t = tape_of(n, args);
    if (!t) { /* constants only, or null */
        double x[3] = {0, 0, 0};
        for (int k = 0; k < n; k++) {
            if (!args[k].tape)
                return (ad_var){0};
            x[k] = args[k].u.constant;
        }
        return ad_constant(elementwise_ops[op].value(x));
    }
    if (!tape_ok(t))
        return tape_poison(t);
    bool tensor = false;
    uint32_t ids[3] = {0, 0, 0};
    for (int k = 0; k < n; k++) {
        if (is_constant(args[k]))
            continue;
        ids[k] = tape_node(t, args[k], elementwise_ops[op].info.name);
        if (ids[k] == NO_NODE)
            return ad_sited_(tape_poison(t), site);
        tensor |= node_op(&t->head.nodes[ids[k]]) == CODE_TENSOR;
    }
    if (!site)
        site = t->rule_site;
    return tensor ? ad_sited_(record_elementwise(t, op, n, args), site)
                  : record_scalar(t, op, n, args, ids, site);
}

ad_var ad_record1_(int op, ad_var a, const char *site) { return record(op, 1, &a, site); }

ad_var ad_record2_(int op, ad_var a, ad_var b, const char *site)
{
    return record(op, 2, (ad_var[]){a, b}, site);
}

ad_var ad_record3_(int op, ad_var a, ad_var b, ad_var c, const char *site)
{
    return record(op, 3, (ad_var[]){a, b, c}, site);
}

ad_var ad_apply(int op, int n, const ad_var *args)
{
    if (!args || n < 1)
        return (ad_var){0};
    if (op < 0 || op >= AD_OP_COUNT_ || n != elementwise_ops[op].info.arity) {
        ad_tape *t = tape_of(n, args);
        return t && tape_ok(t) ? tape_fail(t, AD_BAD_ARGUMENT, NULL,
                                           "apply: no operation %d with %d arguments", op, n)
                               : (ad_var){0};
    }
    return record(op, n, args, NULL);
}

/* the plain functions: without a site of their own, but those that a rule calls get its operation's
 */
static const char *rule_site(ad_var a)
{
    return a.tape && !is_constant(a) ? a.tape->rule_site : NULL;
}
#define SITE_OF(a) rule_site(a)
#define OP1(name, ...)                                                                             \
    ad_var ad_##name(ad_var a) { return ad_##name##_at_(a, SITE_OF(a)); }
#define OP2(name, ...)                                                                             \
    ad_var ad_##name(ad_var a, ad_var b) { return ad_##name##_at_(a, b, SITE_OF(a)); }
#define OP3(name, ...)                                                                             \
    ad_var ad_##name(ad_var a, ad_var b, ad_var c) { return ad_##name##_at_(a, b, c, SITE_OF(a)); }
#include "ops.def"
#undef SITE_OF

/* ---- guards ---- */

bool comparison_holds(unsigned comparison, double a, double b)
{
    switch (comparison) {
    case 0:
        return a < b;
    case 1:
        return a <= b;
    case 2:
        return a > b;
    case 3:
        return a >= b;
    case 4:
        return a == b;
    default:
        return a != b;
    }
}

bool guard_holds(const frame *f, uint32_t i)
{
    const node *n = &f->nodes[i];
    unsigned comparison = (unsigned)(n->u.bits >> 1);
    return comparison_holds(comparison, f->nodes[node_a(n)].u.value, f->nodes[node_b(n)].u.value) ==
           (n->u.bits & 1);
}

const char *comparison_text(unsigned comparison)
{
    static const char *const texts[] = {"<", "<=", ">", ">=", "==", "!="};
    return texts[comparison];
}

bool ad_guard_(int comparison, ad_var a, ad_var b, const char *site)
{
    ad_var args[2] = {a, b};
    ad_tape *t = tape_of(2, args);
    if (!t)
        return a.tape && b.tape &&
               comparison_holds((unsigned)comparison, a.u.constant, b.u.constant);
    if (!tape_ok(t))
        return false;
    uint32_t id[2];
    for (int k = 0; k < 2; k++) {
        id[k] = tape_node(t, args[k], "comparison");
        if (id[k] == NO_NODE) {
            ad_sited_(tape_poison(t), site);
            return false;
        }
        if (node_op(&t->head.nodes[id[k]]) == CODE_TENSOR) {
            tape_fail(t, AD_BAD_SHAPE, site,
                      "comparison: of a tensor: use ad_less and ad_where for masks");
            return false;
        }
    }
    if (tape_catch_up(t))
        return false;
    bool result = comparison_holds((unsigned)comparison, t->head.nodes[id[0]].u.value,
                                   t->head.nodes[id[1]].u.value);
    if (!t->paused && tape_room(t, 1)) {
        uint32_t i = tape_push(t, CODE_GUARD, id[0], id[1], 0, site);
        t->head.nodes[i].u.bits = (uint64_t)comparison << 1 | result;
        tape_sync(t);
    }
    return result;
}

bool(ad_lt)(ad_var a, ad_var b) { return ad_guard_(0, a, b, NULL); }
bool(ad_le)(ad_var a, ad_var b) { return ad_guard_(1, a, b, NULL); }
bool(ad_gt)(ad_var a, ad_var b) { return ad_guard_(2, a, b, NULL); }
bool(ad_ge)(ad_var a, ad_var b) { return ad_guard_(3, a, b, NULL); }
bool(ad_eq)(ad_var a, ad_var b) { return ad_guard_(4, a, b, NULL); }
bool(ad_ne)(ad_var a, ad_var b) { return ad_guard_(5, a, b, NULL); }

/* ---- blocks ---- */

bool call_begin(call *c, const char *name, ad_tape *tape, int n, const ad_var *args)
{
    *c = (call){.name = name, .n = (uint32_t)n};
    ad_tape *t = c->tape = tape ? tape : n > 0 && args ? tape_of(n, args) : NULL;
    if (!tape_ready(t))
        return false;
    if (n < 0 || (n > 0 && !args)) {
        tape_fail(t, AD_NULL, NULL, "%s: null argument", name);
        return false;
    }
    c->ids = arena_take(&t->memory, ((size_t)n + 1) * sizeof *c->ids);
    c->in = arena_take(&t->memory, ((size_t)n + 1) * sizeof *c->in);
    if (!c->ids || !c->in) {
        tape_fail(t, AD_NO_MEMORY, NULL, "%s: out of memory", name);
        return false;
    }
    for (int k = 0; k < n; k++)
        if ((c->ids[k] = tape_node(t, args[k], name)) == NO_NODE)
            return false;
    for (int k = 0; k < n; k++) /* after the last constant is a node: nodes may have moved */
        c->in[k] = frame_array(&t->frame, c->ids[k]);
    return c->ok = true;
}

ad_var call_poison(const call *c) { return c->tape ? tape_poison(c->tape) : (ad_var){0}; }

ad_var call_fail(call *c, ad_status status, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is the line before */
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->ok = false;
    return c->tape ? tape_fail(c->tape, status, NULL, "%s: %s", c->name, text) : (ad_var){0};
}

int call_axis(call *c, int axis, int rank)
{
    int i = axis < 0 ? axis + rank : axis;
    if (i >= 0 && i < rank)
        return i;
    call_fail(c, AD_BAD_AXIS, "axis %d is out of range for %d axes", axis, rank);
    return -1;
}

bool call_float(call *c, int k)
{
    if (c->in[k].dtype == AD_F64 || c->in[k].dtype == AD_F32)
        return true;
    call_fail(c, AD_BAD_DTYPE, "argument %d is %s: ad_cast it to float or double", k,
              ad_dtype_name(c->in[k].dtype));
    return false;
}

/* the descriptor, with room for its result; not yet on the tape */
static block *block_new(const call *c, const block_op *op, int code, ad_dtype dtype, int rank,
                        const int64_t *shape, call_attr attr, bool scalar)
{
    arena *m = &c->tape->memory;
    block *b = arena_zeros(m, sizeof *b);
    if (!b)
        return NULL;
    *b = (block){.op = op,
                 .name = code >= 0 ? elementwise_ops[code].info.name : op->name,
                 .code = code,
                 .n_args = c->n,
                 .args = c->ids,
                 .attr_bytes = attr.bytes,
                 .saved_bytes = attr.saved_bytes};
    if (attr.bytes && !(b->attr = arena_take(m, attr.bytes)))
        return NULL;
    if (attr.bytes)
        memcpy(b->attr, attr.data, attr.bytes);
    if (attr.saved_bytes && !(b->saved = arena_zeros(m, attr.saved_bytes)))
        return NULL;
    b->out = array_of(NULL, dtype, rank, shape);
    if (!scalar && !op->is_view && !(b->out.data = arena_take(m, array_bytes(&b->out))))
        return NULL;
    if (op->adjoint && dtype != AD_I32)
        for (uint32_t k = 0; k < c->n; k++)
            b->needs_grad |= node_needs_grad(&c->tape->frame, c->ids[k]);
    return b;
}

/* while paused: a scalar becomes a constant, a tensor a leaf without gradient */
static ad_var unrecord(ad_tape *t, block *b, uint32_t i, bool scalar)
{
    if (scalar) {
        double y = t->head.nodes[i].u.value;
        t->head.n = t->frame.n = i - 1;
        while (t->head.n_sites && t->head.sites[t->head.n_sites - 1].node >= t->head.n)
            t->head.n_sites--;
        t->head.site = t->head.n_sites ? t->head.sites[t->head.n_sites - 1].text : NULL;
        return ad_constant(y);
    }
    b->op = &leaf_op;
    b->name = leaf_op.name;
    b->n_args = 0;
    b->needs_grad = false;
    b->leaf = LEAF_CONSTANT;
    return tape_var(t, i);
}

/* Computes what has just been put on the tape; what is deferred only learns where a view lies. */
static ad_status compute(ad_tape *t, block *b)
{
    if (!b->op->value)
        return AD_OK;
    if (t->deferring && !t->paused && !b->op->is_view) {
        t->behind = true;
        tape_sync(t); /* values are no longer there to be read */
        return AD_OK;
    }
    const arena_mark scratch = arena_here(&t->scratch);
    t->frame.note[0] = 0;
    const ad_status s = b->op->value(&t->frame, b);
    arena_rewind(&t->scratch, scratch);
    return s;
}

/* puts a block on the tape and computes it */
static ad_var record_block(call *c, block *b, bool scalar)
{
    ad_tape *t = c->tape;
    char text[SHAPE_TEXT];
    if (!tape_room(t, 2) || (t->paused && tape_catch_up(t)))
        return tape_poison(t);
    const char *site = t->rule_site;
    if (scalar)
        t->head.nodes[tape_push(t, CODE_HIDDEN, 0, 0, 0, site)].u.block = b;
    uint32_t i = tape_push(t, scalar ? CODE_SCALAR_BLOCK : CODE_TENSOR, 0, 0, 0, site);
    if (!scalar)
        t->head.nodes[i].u.block = b;
    b->node = i;
    frame *f = &t->frame;
    const ad_status s = compute(t, b);
    if (s) {
        t->head.n = f->n = scalar ? i - 1 : i; /* never seen */
        return call_fail(c, s, "%s",
                         *f->note            ? f->note
                         : s == AD_NO_MEMORY ? "out of memory"
                                             : ad_status_name(s));
    }
    array y = block_result(f, b);
    int64_t bad = t->context->check_finite ? array_not_finite(&y) : -1;
    if (bad >= 0)
        return call_fail(c, AD_NOT_FINITE, "element %lld of %s is %g", (long long)bad,
                         shape_text(text, y.rank, y.shape),
                         for_text(array_get(&y, array_offset(&y, bad))));
    tape_sync(t);
    return t->paused ? unrecord(t, b, i, scalar) : tape_var(t, i);
}

ad_var call_end(call *c, const block_op *op, int code, ad_dtype dtype, int rank,
                const int64_t *shape, call_attr attr)
{
    if (!c->ok)
        return call_poison(c);
    char text[SHAPE_TEXT];
    if (rank > AD_MAX_RANK)
        return call_fail(c, AD_BAD_SHAPE, "the result would have %d axes, of %d at most", rank,
                         AD_MAX_RANK);
    if (shape_size(rank, shape) < 0) {
        bool negative = shape_negative(rank, shape);
        return call_fail(c, negative ? AD_BAD_SHAPE : AD_TOO_LARGE,
                         "the result's shape %s has a %s size", shape_text(text, rank, shape),
                         negative ? "negative" : "too large a");
    }
    bool scalar = rank == 0 && dtype == AD_F64;
    block *b = block_new(c, op, code, dtype, rank, shape, attr, scalar);
    return b ? record_block(c, b, scalar)
             : call_fail(c, AD_NO_MEMORY, "out of memory for %s", shape_text(text, rank, shape));
}

block *call_scalar(call *c, const block_op *op, uint32_t n, size_t attr_bytes)
{
    /* one piece of memory; of the arrays, which scalars have no use for, as little as may be */
    const size_t attr_at = (sizeof(block) + 15) & ~(size_t)15,
                 ids_at = attr_at + ((attr_bytes + 15) & ~(size_t)15);
    char *p = arena_take(&c->tape->memory, ids_at + ((size_t)n + 1) * sizeof *c->ids);
    if (!p) {
        call_fail(c, AD_NO_MEMORY, "out of memory");
        return NULL;
    }
    block *b = (block *)(void *)p;
    memset(b, 0, offsetof(block, out));
    memset(&b->adj_pass, 0, sizeof *b - offsetof(block, adj_pass));
    b->out.data = b->adj.data = NULL;
    b->out.size = b->adj.size = 1;
    b->out.dtype = b->adj.dtype = AD_F64;
    b->out.rank = b->adj.rank = 0;
    c->n = n;
    c->ids = (uint32_t *)(void *)(p + ids_at);
    c->ok = true;
    b->op = op;
    b->name = op->name;
    b->code = -1;
    b->n_args = n;
    b->args = c->ids;
    b->attr = p + attr_at;
    b->attr_bytes = attr_bytes;
    return b;
}

ad_var call_scalar_end(call *c, block *b)
{
    for (uint32_t k = 0; !b->needs_grad && k < b->n_args; k++)
        b->needs_grad = node_needs_grad(&c->tape->frame, b->args[k]);
    ad_head_ *h = &c->tape->head;
    if (h->n + 2 >= h->limit) /* no room, or something to be asked */
        return record_block(c, b, true);
    frame *f = &c->tape->frame;
    const char *site = c->tape->rule_site;
    h->nodes[tape_push(c->tape, CODE_HIDDEN, 0, 0, 0, site)].u.block = b;
    b->node = tape_push(c->tape, CODE_SCALAR_BLOCK, 0, 0, 0, site);
    const arena_mark scratch = arena_here(f->scratch);
    const ad_status s = b->op->value(f, b); /* of scalars: not worth deferring */
    arena_rewind(f->scratch, scratch);
    if (!s)
        return tape_var(c->tape, b->node);
    h->n = f->n = b->node - 1; /* never seen */
    return call_fail(c, s, "%s", s == AD_NO_MEMORY ? "out of memory" : ad_status_name(s));
}
