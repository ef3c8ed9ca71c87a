/* introspect.c - the tape as data: nodes, parents, partials, statistics */
#define AD_PLAIN
#include "algebra.h"
#include "leaf.h"
#include <string.h>

int64_t ad_node_count(const ad_tape *t) { return t ? t->head.n : 0; }

static bool has_node(const ad_tape *t, int64_t i) { return t && i >= 0 && i < t->head.n; }

static ad_node_kind kind_of(const node *nodes, uint32_t i)
{
    const block *b = block_at(nodes, i);
    switch (node_op(&nodes[i])) {
    case CODE_INPUT:
        return AD_NODE_INPUT;
    case CODE_CONSTANT:
        return AD_NODE_CONSTANT;
    case CODE_HIDDEN:
        return AD_NODE_HIDDEN;
    case CODE_GUARD:
        return AD_NODE_GUARD;
    default:
        break;
    }
    return !b || b->leaf == LEAF_NONE ? AD_NODE_OPERATION
           : b->leaf == LEAF_INPUT    ? AD_NODE_INPUT
           : b->leaf == LEAF_CONSTANT ? AD_NODE_CONSTANT
                                      : AD_NODE_PARAMETER;
}

static int parent_count(const frame *f, uint32_t i)
{
    const block *b = block_at(f->nodes, i);
    unsigned op = node_op(&f->nodes[i]);
    return b                   ? (int)b->n_args
           : op < AD_OP_COUNT_ ? elementwise_ops[op].info.arity
           : op == CODE_GUARD  ? 2
                               : 0;
}

int64_t ad_node_parent(const ad_tape *t, int64_t i, int k)
{
    if (!has_node(t, i) || k < 0 || k >= parent_count(&t->frame, (uint32_t)i))
        return -1;
    const node *n = &t->head.nodes[i];
    const block *b = block_at(t->head.nodes, (uint32_t)i);
    return b ? b->args[k] : k == 0 ? node_a(n) : k == 1 ? node_b(n) : node_a(n - 1);
}

ad_status ad_node_at(const ad_tape *t, int64_t at, ad_node_info *info)
{
    if (!t || !info)
        return AD_NULL;
    if (!has_node(t, at))
        return AD_BAD_INDEX;
    tape_catch_up((ad_tape *)(uintptr_t)t);
    uint32_t i = (uint32_t)at;
    const frame *f = &t->frame;
    const node *n = &t->head.nodes[i];
    bool tensor = node_op(n) == CODE_TENSOR, guard = node_op(n) == CODE_GUARD;
    const block *b = block_at(t->head.nodes, i);
    *info = (ad_node_info){.kind = kind_of(f->nodes, i),
                           .operation = op_name(f, i),
                           .n_parents = parent_count(f, i),
                           .value = tensor  ? (double)NAN
                                    : guard ? (double)(n->u.bits & 1)
                                            : n->u.value,
                           .adjoint = tensor              ? (double)NAN
                                      : i < t->head.swept ? t->head.adjoints[i]
                                                          : 0,
                           .needs_gradient = node_needs_grad(f, i),
                           .site = tape_site(t, i),
                           .scope = tape_scope(t, i)};
    if (tensor) {
        info->shape = b->out.shape;
        info->rank = b->out.rank;
        info->dtype = b->out.dtype;
    }
    if (info->kind == AD_NODE_CONSTANT)
        info->adjoint = 0;
    return AD_OK;
}

ad_var ad_node_var(const ad_tape *t, int64_t i)
{
    return has_node(t, i) ? tape_var(t, (uint32_t)i) : (ad_var){0};
}

int64_t ad_var_node(ad_var a)
{
    uint32_t i;
    return var_check(a, &i) || i == NO_NODE ? -1 : (int64_t)i;
}

double ad_node_partial(const ad_tape *t, int64_t at, int k)
{
    if (!has_node(t, at) || node_op(&t->head.nodes[at]) >= AD_OP_COUNT_ || k < 0 ||
        k >= parent_count(&t->frame, (uint32_t)at))
        return (double)NAN;
    tape_catch_up((ad_tape *)(uintptr_t)t);
    const node *n = &t->head.nodes[at];
    double x[3] = {0, 0, 0}, d[3];
    for (int j = 0; j < parent_count(&t->frame, (uint32_t)at); j++)
        x[j] = t->head.nodes[ad_node_parent(t, at, j)].u.value;
    elementwise_ops[node_op(n)].partials(1, x, n->u.value, d);
    return d[k];
}

ad_stats ad_tape_stats(const ad_tape *t)
{
    ad_stats s = {0};
    if (!t)
        return s;
    int64_t *const count[] = {&s.inputs, &s.constants, &s.parameters, &s.operations, &s.guards};
    for (uint32_t i = 0; i < t->head.n; i++) {
        ad_node_kind kind = kind_of(t->head.nodes, i);
        if (kind != AD_NODE_HIDDEN)
            ++*count[kind];
    }
    s.nodes = t->head.n;
    s.node_bytes = s.nodes * (int64_t)(sizeof(node) + sizeof(double));
    s.tensor_bytes = (int64_t)(t->memory.total + t->scratch.total);
    s.site_bytes =
        (int64_t)(t->head.n_sites * sizeof(ad_site_) + t->n_scopes * sizeof(scope_change));
    s.value_reads = t->head.value_reads;
    return s;
}

ad_status ad_tape_counts(const ad_tape *t, int64_t *counts)
{
    if (!t || !counts)
        return AD_NULL;
    memset(counts, 0, (size_t)ad_op_count() * sizeof *counts);
    for (uint32_t i = 0; i < t->head.n; i++) {
        if (kind_of(t->head.nodes, i) != AD_NODE_OPERATION)
            continue;
        const char *name = op_name(&t->frame, i);
        unsigned op = node_op(&t->head.nodes[i]);
        const block *b = block_at(t->head.nodes, i);
        int at = op < AD_OP_COUNT_ ? (int)op : b && b->code >= 0 ? b->code : AD_OP_COUNT_;
        while (at >= AD_OP_COUNT_ && at < ad_op_count() && strcmp(ad_op_at(at)->name, name) != 0)
            at++;
        if (at < ad_op_count())
            counts[at]++;
    }
    return AD_OK;
}
