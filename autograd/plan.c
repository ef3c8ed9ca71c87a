/* plan.c - what is known of each node before a program is planned, and the plan's steps */
#define AD_PLAIN
#include "algebra.h"
#include "block_matmul.h"
#include "elementwise.h"
#include "program.h"
#include <string.h>

uint32_t node_operands(const planner *q, uint32_t i, const uint32_t **list, uint32_t few[3])
{
    const node *nodes = q->nodes;
    const block *b = block_at(nodes, i);
    const unsigned op = node_op(&nodes[i]);
    *list = few;
    if (q->marks[i] & MARK_DEAD)
        return 0;
    if (b) {
        *list = b->args;
        return b->n_args;
    }
    if (op >= AD_OP_COUNT_ && op != CODE_GUARD)
        return 0;
    const uint32_t n = op == CODE_GUARD ? 2 : (uint32_t)elementwise_ops[op].info.arity;
    few[0] = node_a(&nodes[i]);
    few[1] = node_b(&nodes[i]);
    if (n == 3)
        few[2] = node_a(&nodes[i - 1]);
    return n;
}

bool same_lines(const planner *q, uint32_t a, uint32_t b)
{
    if (node_op(&q->nodes[a]) != CODE_TENSOR || node_op(&q->nodes[b]) != CODE_TENSOR)
        return false;
    const block *x = q->nodes[a].u.block, *y = q->nodes[b].u.block;
    return x->out.dtype == y->out.dtype && same_shape(&x->out, &y->out);
}

/* ---- what is known of nodes ---- */

static bool is_fixed(const planner *q, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    const unsigned op = node_op(&q->nodes[i]);
    if (op == CODE_CONSTANT || (b && b->leaf == LEAF_CONSTANT))
        return true;
    if (op == CODE_INPUT || op == CODE_GUARD || op == CODE_HIDDEN ||
        (b && (b->op->is_leaf || b->op->is_impure)) || !(q->passes & PASS_ONCE))
        return false;
    const uint32_t *args;
    uint32_t few[3], n = node_operands(q, i, &args, few);
    for (uint32_t k = 0; k < n; k++)
        if (!(q->marks[args[k]] & MARK_FIXED))
            return false;
    return n > 0;
}

/* May a block fail at some values? Indices can be out of range, and a user's function may say no.
 * Anything else fails for want of scratch memory only, and no more when it has run once. */
static bool refuses(const planner *q, const block *b)
{
    bool indices = b->op->is_impure;
    for (uint32_t k = 0; k < b->n_args && !indices; k++)
        indices = frame_array(&q->p->frame, b->args[k]).dtype == AD_I32;
    return indices;
}

static uint8_t marks_of(const planner *q, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    const unsigned op = node_op(&q->nodes[i]);
    if (q->marks[i] & MARK_DEAD)
        return MARK_DEAD;
    if (is_fixed(q, i))
        return MARK_FIXED;
    if (op == CODE_GUARD)
        return MARK_FALLIBLE;
    if (!b || b->op->is_view || !b->op->value)
        return 0;
    if (b->op != &elementwise_block)
        return refuses(q, b) ? MARK_FALLIBLE : 0;
    return (q->passes & PASS_FUSE) && op == CODE_TENSOR && b->out.size ? MARK_FUSABLE : 0;
}

static bool learn(planner *q)
{
    const ad_program *p = q->p;
    q->base = arena_take(&q->temporary, (q->n + 1) * sizeof *q->base);
    if (!q->base)
        return false;
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        q->marks[i] = marks_of(q, i);
        q->base[i] = b && b->op->is_view ? q->base[b->args[0]] : i;
    }
    for (uint32_t k = 0; k < p->n_outputs; k++)
        q->marks[p->outputs[k]] |= MARK_KEPT;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        q->marks[p->assigns[k].value] |= MARK_KEPT;
    return true;
}

/* Each node's users, one after the other: counted, then filled in. */
static bool find_users(planner *q)
{
    uint32_t few[3], total = 0;
    const uint32_t *args;
    q->first = arena_zeros(&q->temporary, ((size_t)q->n + 2) * sizeof *q->first);
    if (!q->first)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0; total++)
            q->first[args[k] + 2]++;
    if (!(q->users = arena_take(&q->temporary, ((size_t)total + 1) * sizeof *q->users)))
        return false;
    for (uint32_t i = 2; i < q->n + 2; i++)
        q->first[i] += q->first[i - 1];
    for (uint32_t i = 0; i < q->n; i++)
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;)
            q->users[q->first[args[k] + 1]++] = i;
    return true;
}

/* ---- steps ---- */

bool node_once(const planner *q, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    const bool views = q->passes & (PASS_ONCE | PASS_FUSE); /* a pass must know where they lie */
    return (q->marks[i] & MARK_FIXED) || (views && b && b->op->is_view);
}

/* Does a sweep do nothing for it? */
static bool does_nothing(const planner *q, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    const unsigned op = node_op(&q->nodes[i]);
    return op == CODE_INPUT || op == CODE_CONSTANT || op == CODE_HIDDEN || (b && !b->op->value);
}

bool node_idle(const planner *q, uint32_t i)
{
    return (q->marks[i] & MARK_DEAD) || does_nothing(q, i);
}

/* Nodes behind one another run in one step, products in one of their own. */
static void add_node(planner *q, plan_step *steps, uint32_t *n, uint32_t i)
{
    const block *b = block_at(q->nodes, i);
    plan_step *last = *n ? &steps[*n - 1] : NULL;
    const bool product = b && is_product(b) && (q->passes & PASS_ONCE);
    bool joins = last && !last->pass && !last->product && !product && last->to <= i;
    for (uint32_t k = joins ? last->to : i; joins && k < i; k++)
        joins = does_nothing(q, k);
    if (joins)
        last->to = i + 1;
    else
        steps[(*n)++] = (plan_step){.from = i, .to = i + 1, .product = product};
}

/* Adds what a unit of the order does in every run. */
static void add_unit(planner *q, plan_step *steps, uint32_t i)
{
    plan *to = q->plan;
    if (q->group[i] == NO_NODE) {
        if (!node_once(q, i) && !node_idle(q, i))
            add_node(q, steps, &to->n_steps, i);
        return;
    }
    const fused *pass = q->passes_of + q->group[i];
    for (uint32_t k = 0; k < pass->n_out && to->first_write > to->n_steps; k++)
        if (q->state[pass->nodes[pass->n_in + k]] != NO_NODE)
            to->first_write = to->n_steps;
    steps[to->n_steps++] = (plan_step){.from = i, .to = i + 1, .pass = pass};
}

static bool make_steps(planner *q)
{
    plan *to = q->plan;
    size_t bytes = ((size_t)q->n + 1) * sizeof *to->steps;
    plan_step *once = arena_take(&q->temporary, bytes), *steps = arena_take(&q->temporary, bytes);
    if (!once || !steps)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        if (node_once(q, i) && !node_idle(q, i))
            add_node(q, once, &to->n_once, i);
    to->first_write = NO_NODE;
    for (uint32_t k = 0; k < q->n_order; k++)
        add_unit(q, steps, q->order[k]);
    for (uint32_t k = 0; k < to->n_steps; k++)
        to->n_products += steps[k].product;
    to->once = arena_take(&q->p->memory, (to->n_once + 1) * sizeof *once);
    to->steps = arena_take(&q->p->memory, (to->n_steps + 1) * sizeof *steps);
    if (!to->once || !to->steps)
        return false;
    memcpy(to->once, once, to->n_once * sizeof *once);
    memcpy(to->steps, steps, to->n_steps * sizeof *steps);
    return true;
}

bool plan_program(ad_program *p, unsigned passes, plan **out)
{
    bool tensors = false;
    for (uint32_t i = 0; i < p->frame.n && !tensors; i++)
        tensors = node_op(&p->frame.nodes[i]) == CODE_TENSOR;
    *out = NULL;
    if (!passes || !tensors || (p->flags & AD_GRADIENT) || p->context->check_finite)
        return true;
    planner q = {.p = p,
                 .nodes = p->frame.nodes,
                 .n = p->frame.n,
                 .passes = passes,
                 .temporary.context = p->context,
                 .plan = arena_zeros(&p->memory, sizeof(plan))};
    q.marks = arena_zeros(&q.temporary, (size_t)q.n + 1);
    bool ok = q.plan && q.marks && plan_common(&q) && learn(&q) && find_users(&q) &&
              plan_groups(&q) && plan_order(&q) && plan_states(&q) && plan_places(&q) &&
              plan_passes(&q) && make_steps(&q);
    arena_free(&q.temporary);
    *out = q.plan;
    return ok;
}
