/* plan_common.c - nodes that compute the same are computed once
 *
 * Two nodes are the same when operation, attributes, shape and operands are, which makes their bits
 * the same; operands are compared after those before them were merged. Nobody reads the later of
 * the two any more: it is dead, as is what only it was computed from. The nodes stay where they
 * are, for a workspace that runs node after node. */
#define AD_PLAIN
#include "algebra.h"
#include "program.h"
#include <string.h>

typedef struct merging {
    planner *q;
    uint32_t *same;         /* the node that stands for each */
    uint32_t *table, slots; /* hashed; NO_NODE: free */
} merging;

static uint64_t mix(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

/* Attributes whose bytes all mean something: none, a view's, one number. */
static bool comparable(const block *b)
{
    return b->leaf == LEAF_NONE && !b->op->is_impure &&
           (b->attr_bytes == 0 || b->op->is_view || b->attr_bytes == sizeof(int));
}

static bool may_merge(const planner *q, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    const unsigned op = node_op(&q->nodes[i]);
    return op == CODE_CONSTANT || (b && comparable(b)); /* scalars cost less than their search */
}

static uint64_t hash_of(const planner *q, uint32_t i)
{
    const uint32_t *args;
    uint32_t few[3], n = node_operands(q, i, &args, few);
    const block *b = block_at(q->nodes, i);
    const unsigned op = node_op(&q->nodes[i]);
    uint64_t hash = mix(op, b ? (uint64_t)(uintptr_t)b->op + (unsigned)b->code : 0);
    if (op == CODE_CONSTANT)
        hash = mix(hash, q->nodes[i].u.bits);
    for (uint32_t k = 0; k < n; k++)
        hash = mix(hash, args[k]);
    return hash;
}

static bool same_node(const planner *q, uint32_t i, uint32_t j)
{
    const uint32_t *x, *y;
    uint32_t few_x[3], few_y[3], n = node_operands(q, i, &x, few_x);
    const block *a = block_at(q->nodes, i), *b = block_at(q->nodes, j);
    if (node_op(&q->nodes[i]) != node_op(&q->nodes[j]) || n != node_operands(q, j, &y, few_y) ||
        memcmp(x, y, n * sizeof *x) != 0)
        return false;
    if (node_op(&q->nodes[i]) == CODE_CONSTANT)
        return q->nodes[i].u.bits == q->nodes[j].u.bits;
    return !a || (a->op == b->op && a->code == b->code && a->attr_bytes == b->attr_bytes &&
                  a->out.dtype == b->out.dtype && same_shape(&a->out, &b->out) &&
                  (!a->attr_bytes || !memcmp(a->attr, b->attr, a->attr_bytes)));
}

/* The operands of node i, by the nodes that stand for them. A scalar made of scalars may know that
 * they lie side by side: its operands stay. */
static void rename_operands(const merging *m, uint32_t i)
{
    node *at = &m->q->p->frame.nodes[i];
    const unsigned op = node_op(at);
    block *b = block_at(m->q->nodes, i);
    uint32_t *args = b ? (uint32_t *)(uintptr_t)b->args : NULL; /* the program's own */
    for (uint32_t k = 0; b && k < b->n_args; k++)
        if (op == CODE_TENSOR || node_op(&m->q->nodes[args[k]]) == CODE_TENSOR)
            args[k] = m->same[args[k]];
    const int third = op < AD_OP_COUNT_ && elementwise_ops[op].info.arity == 3 ? 1 : 0;
    for (int k = 0; k <= third && (op < AD_OP_COUNT_ || op == CODE_GUARD); k++)
        at[-k].code =
            node_code(node_op(&at[-k]), m->same[node_a(&at[-k])], m->same[node_b(&at[-k])]);
}

static void merge(merging *m, uint32_t i)
{
    const uint64_t hash = hash_of(m->q, i);
    for (uint32_t at = (uint32_t)hash & (m->slots - 1);; at = (at + 1) & (m->slots - 1)) {
        if (m->table[at] == NO_NODE) {
            m->table[at] = i;
            return;
        }
        if (same_node(m->q, m->table[at], i)) {
            m->same[i] = m->table[at];
            return;
        }
    }
}

/* From the last node to the first: what is neither read nor wanted is dead. */
static void find_dead(planner *q)
{
    const ad_program *p = q->p;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        const unsigned op = node_op(&q->nodes[i]);
        const bool wanted =
            op == CODE_GUARD || op == CODE_INPUT || (b && (b->leaf || b->op->is_impure));
        q->marks[i] = wanted ? 0 : MARK_DEAD;
    }
    for (uint32_t k = 0; k < p->n_outputs; k++)
        q->marks[p->outputs[k]] = 0;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        q->marks[p->assigns[k].value] = 0;
    for (uint32_t i = q->n; i-- > 0;)
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;)
            q->marks[args[k]] = 0;
}

bool plan_common(planner *q)
{
    ad_program *p = q->p;
    merging m = {.q = q, .slots = 16};
    if (!(q->passes & PASS_COMMON))
        return true;
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n; i++)
        n += may_merge(q, i);
    while (m.slots / 2 < n && m.slots < (uint32_t)1 << 31)
        m.slots *= 2;
    m.same = arena_take(&q->temporary, ((size_t)q->n + 1) * sizeof *m.same);
    m.table = arena_take(&q->temporary, (size_t)m.slots * sizeof *m.table);
    if (!m.same || !m.table)
        return false;
    for (uint32_t k = 0; k < m.slots; k++)
        m.table[k] = NO_NODE;
    for (uint32_t i = 0; i < q->n; i++) {
        m.same[i] = i;
        rename_operands(&m, i);
        if (may_merge(q, i))
            merge(&m, i);
    }
    for (uint32_t k = 0; k < p->n_outputs; k++)
        p->outputs[k] = m.same[p->outputs[k]];
    for (uint32_t k = 0; k < p->n_assigns; k++)
        p->assigns[k].value = m.same[p->assigns[k].value];
    find_dead(q);
    return true;
}
