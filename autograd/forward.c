/* forward.c - replays a program at the values its leaves have now */
#define AD_PLAIN
#include "algebra.h"
#include "elementwise.h"
#include "leaf.h"
#include "special.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

static ad_status guard_failed(frame *f, uint32_t i)
{
    const node *n = &f->nodes[i];
    snprintf(f->note, sizeof f->note, "the comparison %.9g %s %.9g was %s when it was recorded",
             f->nodes[node_a(n)].u.value, comparison_text((unsigned)(n->u.bits >> 1)),
             f->nodes[node_b(n)].u.value, n->u.bits & 1 ? "true" : "false");
    return AD_RETAPE;
}

static ad_status forward_block(frame *f, uint32_t i)
{
    block *b = block_at(f->nodes, i);
    if (!b->op->value)
        return AD_OK;
    arena_mark mark = arena_here(f->scratch);
    ad_status s = b->op->value(f, b);
    arena_rewind(f->scratch, mark);
    return s;
}

static ad_status check_finite(frame *f, uint32_t i)
{
    unsigned op = node_op(&f->nodes[i]);
    if (op == CODE_HIDDEN || op == CODE_GUARD)
        return AD_OK;
    array y = frame_array(f, i);
    int64_t bad = array_not_finite(&y);
    if (bad < 0)
        return AD_OK;
    snprintf(f->note, sizeof f->note, "element %lld is %g", (long long)bad,
             for_text(array_get(&y, array_offset(&y, bad))));
    return AD_NOT_FINITE;
}

/* nodes that are no elementwise operation on scalars */
static ad_status forward_special(frame *f, uint32_t i)
{
    const unsigned code = node_op(&f->nodes[i]);
    if (code == CODE_SCALAR_BLOCK || code == CODE_TENSOR)
        return forward_block(f, i);
    return code == CODE_GUARD && !guard_holds(f, i) ? guard_failed(f, i) : AD_OK;
}

ad_status sweep_range(frame *f, uint32_t from, uint32_t end)
{
    node *nodes = f->nodes;
    const bool checking = f->context->check_finite;
    for (uint32_t i = from; i < end; i++) {
        node *n = &nodes[i];
        const uint32_t ia = node_a(n), ib = node_b(n);
        ad_status s;
        switch (node_op(n)) {
#define OP1(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        n->u.value = num_##name##_f64(nodes[ia].u.value);                                          \
        break;
#define OP2(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        n->u.value = num_##name##_f64(nodes[ia].u.value, nodes[ib].u.value);                       \
        break;
#define OP3(name, ...)                                                                             \
    case AD_OP_##name:                                                                             \
        n->u.value =                                                                               \
            num_##name##_f64(nodes[ia].u.value, nodes[ib].u.value, nodes[node_a(n - 1)].u.value);  \
        break;
#include "ops.def"
        case CODE_INPUT:
            continue;
        default:
            if ((s = forward_special(f, i))) {
                f->failed_node = i;
                return s;
            }
        }
        if (checking && (s = check_finite(f, i))) {
            f->failed_node = i;
            return s;
        }
    }
    return AD_OK;
}

ad_status sweep_forward(frame *f, uint32_t from)
{
    f->note[0] = 0;
    return sweep_range(f, from, f->n);
}

ad_status ad_replay(ad_tape *t)
{
    if (!tape_ok(t))
        return t ? t->status : AD_NULL;
    t->frame.n = t->head.n;
    ad_status s = frame_check_borrowed(&t->frame);
    if (!s)
        s = sweep_forward(&t->frame, 0);
    t->behind = t->behind && s;
    tape_sync(t);
    frame_report(t, s, "replay");
    return s;
}

ad_status tape_catch_up(ad_tape *t) { return t->behind ? ad_replay(t) : t->status; }
