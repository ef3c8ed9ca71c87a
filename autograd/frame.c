/* frame.c - what sweeps ask of a frame: the values of nodes, and where cotangents go
 *
 * A scalar's value and adjoint are in its node; a tensor's are arrays, its cotangent in the memory
 * of the node where it is read after the sweep, else in scratch memory that the next sweep uses
 * again. */
#define AD_PLAIN
#include "algebra.h"
#include "tape.h"
#include <string.h>

array frame_array(const frame *f, uint32_t i)
{
    node *n = &f->nodes[i];
    if (node_op(n) == CODE_TENSOR)
        return ((block *)n->u.block)->out;
    return array_scalar(&n->u.value);
}

/* Of an operation on scalars it is not known what it depends on; through some nothing flows. */
bool node_needs_grad(const frame *f, uint32_t i)
{
    const block *b = block_at(f->nodes, i);
    unsigned op = node_op(&f->nodes[i]);
    if (!b && op < AD_OP_COUNT_) {
        const bool *flows = elementwise_ops[op].flows;
        return flows[0] || flows[1] || flows[2];
    }
    return b ? b->needs_grad : op != CODE_CONSTANT && op != CODE_GUARD && op != CODE_HIDDEN;
}

const char *op_name(const frame *f, uint32_t i)
{
    unsigned op = node_op(&f->nodes[i]);
    if (op < AD_OP_COUNT_)
        return elementwise_ops[op].info.name;
    const block *b = block_at(f->nodes, i);
    if (b)
        return b->name;
    return op == CODE_INPUT      ? "input"
           : op == CODE_CONSTANT ? "constant"
           : op == CODE_GUARD    ? "guard"
                                 : "hidden";
}

/* ---- cotangents of tensors ---- */

array scratch_array(frame *f, ad_dtype dtype, int rank, const int64_t *shape)
{
    array a = array_of(NULL, dtype, rank, shape);
    a.data = arena_take(f->scratch, array_bytes(&a));
    return a;
}

array scratch_contiguous(frame *f, const array *a, ad_dtype dtype)
{
    if (a->dtype == dtype && array_contiguous(a))
        return *a;
    array copy = scratch_array(f, dtype, a->rank, a->shape);
    if (copy.data)
        array_copy(&copy, a);
    return copy;
}

/* Cotangents that are read after the sweep live as long as their node, all others as long as the
 * sweep. */
static bool is_lasting(const block *b) { return b->leaf != LEAF_NONE || b->retained; }

static bool place_adjoint(frame *f, block *b, enum adj_place place)
{
    b->adj = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
    b->adj.data = arena_take(place == ADJ_LASTING ? f->memory : f->scratch, array_bytes(&b->adj));
    b->adj_place = place;
    return b->adj.data != NULL;
}

/* what was lent is about to be written */
static void own_adjoint(frame *f, block *b)
{
    const array lent = b->adj;
    if (place_adjoint(f, b, ADJ_SCRATCH))
        array_copy(&b->adj, &lent);
    else
        b->adj_pass = 0;
}

array frame_slot(frame *f, uint32_t i, bool *fresh)
{
    node *n = &f->nodes[i];
    *fresh = false;
    if (node_op(n) != CODE_TENSOR)
        return array_scalar(&f->adjoints[i]);
    block *b = n->u.block;
    if (b->adj_pass == f->pass) {
        if (b->adj_place == ADJ_LENT)
            own_adjoint(f, b);
        return b->adj;
    }
    bool there = is_lasting(b) && b->adj_place == ADJ_LASTING && b->adj.data;
    if (!there && !place_adjoint(f, b, is_lasting(b) ? ADJ_LASTING : ADJ_SCRATCH))
        return b->adj;
    b->adj_pass = f->pass;
    *fresh = true;
    return b->adj;
}

array adjoint_slot(frame *f, const block *b, int k, bool *fresh)
{
    return frame_slot(f, b->args[k], fresh);
}

array adjoint_zeroed(frame *f, const block *b, int k)
{
    bool fresh;
    array a = frame_slot(f, b->args[k], &fresh);
    if (a.data && fresh)
        memset(a.data, 0, array_bytes(&a));
    return a;
}

ad_status adjoint_add(frame *f, const block *b, int k, const array *contribution)
{
    bool fresh;
    array a = frame_slot(f, b->args[k], &fresh);
    if (!a.data)
        return AD_NO_MEMORY;
    if (fresh)
        array_copy(&a, contribution);
    else
        array_add(&a, contribution);
    return AD_OK;
}

/* The cotangent of a scalar is no longer there when its rule is done; that of a tensor stays for
 * the sweep, and nobody writes to it again. */
ad_status adjoint_lend(frame *f, const block *b, int k, const array *contribution)
{
    const node *n = &f->nodes[b->args[k]];
    block *arg = node_op(n) == CODE_TENSOR ? n->u.block : NULL;
    if (!arg || arg->adj_pass == f->pass || is_lasting(arg) ||
        arg->out.dtype != contribution->dtype || node_op(&f->nodes[b->node]) != CODE_TENSOR ||
        !(arg->op->any_strides || array_contiguous(contribution)))
        return adjoint_add(f, b, k, contribution);
    arg->adj = *contribution;
    arg->adj_place = ADJ_LENT;
    arg->adj_pass = f->pass;
    return AD_OK;
}
