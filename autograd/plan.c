/* plan.c - what is known of each node before a program is planned, and the plan's steps */
#define AD_PLAIN
#include "algebra.h"
#include "block_matmul.h"
#include "elementwise.h"
#include "program.h"
#include <string.h>

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

static void learn(planner *q)
{
    const ad_program *p = q->p;
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        q->marks[i] = marks_of(q, i);
        q->base[i] = b && b->op->is_view ? q->base[b->args[0]] : i;
    }
    for (uint32_t k = 0; k < p->n_outputs; k++)
        q->marks[p->outputs[k]] |= MARK_KEPT;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        q->marks[p->assigns[k].value] |= MARK_KEPT;
}

/* Each node's users, one after the other: counted, then filled in. */
static bool find_users(planner *q)
{
    uint32_t few[3], total = 0;
    const uint32_t *args;
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

/* Steps as they are found: counted, or written too. */
typedef struct steps {
    planner *q;
    plan_step *to, last; /* NULL: only counted */
    uint32_t n;
} steps;

static void put(steps *s, plan_step next)
{
    s->last = next;
    if (s->to)
        s->to[s->n] = next;
    s->n++;
}

/* Nodes behind one another run in one step, products in one of their own. */
static void put_node(steps *s, uint32_t i)
{
    const planner *q = s->q;
    const block *b = block_at(q->nodes, i);
    const bool product = b && is_product(b) && (q->passes & PASS_ONCE);
    const summed *sum = q->marks[i] & MARK_SUMMED ? plan_sum(q->plan, i) : NULL;
    const bool alone = product || sum;
    bool joins =
        s->n && !s->last.pass && !s->last.product && !s->last.sum && !alone && s->last.to <= i;
    for (uint32_t k = joins ? s->last.to : i; joins && k < i; k++)
        joins = does_nothing(q, k);
    s->n -= joins;
    put(s,
        (plan_step){.from = joins ? s->last.from : i, .to = i + 1, .product = product, .sum = sum});
}

static void put_once(steps *s)
{
    for (uint32_t i = 0; i < s->q->n; i++)
        if (node_once(s->q, i) && !node_idle(s->q, i))
            put_node(s, i);
}

/* What the order does in every run. */
static void put_every(steps *s)
{
    const planner *q = s->q;
    for (uint32_t k = 0; k < q->n_order; k++) {
        const uint32_t i = q->order[k];
        if (q->group[i] != NO_NODE)
            put(s, (plan_step){.from = i, .to = i + 1, .pass = q->passes_of + q->group[i]});
        else if (!node_once(q, i) && !node_idle(q, i))
            put_node(s, i);
    }
}

static bool reads_input(const planner *q, const plan_step *s)
{
    const uint32_t *list = s->pass ? s->pass->nodes : NULL;
    uint32_t few[3], n = s->pass ? s->pass->n_in : 0;
    for (uint32_t i = s->from; i < s->to; i++) {
        if (!s->pass)
            n = node_operands(q, i, &list, few);
        for (uint32_t k = 0; k < n; k++) {
            const block *b = block_at(q->nodes, q->base[list[k]]);
            if (b && b->leaf == LEAF_INPUT)
                return true;
        }
    }
    return false;
}

static bool make_steps(planner *q, void (*find)(steps *s), plan_step **to, uint32_t *n)
{
    steps s = {.q = q};
    find(&s);
    if (!(*to = arena_take(&q->p->memory, ((size_t)s.n + 1) * sizeof **to)))
        return false;
    s = (steps){.q = q, .to = *to};
    find(&s);
    *n = s.n;
    for (uint32_t k = 0; k < s.n; k++)
        (*to)[k].reads_input = reads_input(q, *to + k);
    return true;
}

static bool writes_state(const planner *q, const fused *pass)
{
    for (uint32_t k = 0; pass && k < pass->n_out; k++)
        if (q->state[pass->nodes[pass->n_in + k]] != NO_NODE)
            return true;
    return false;
}

static bool plan_steps(planner *q)
{
    plan *to = q->plan;
    if (!make_steps(q, put_once, &to->once, &to->n_once) ||
        !make_steps(q, put_every, &to->steps, &to->n_steps))
        return false;
    to->first_write = NO_NODE;
    for (uint32_t k = to->n_steps; k-- > 0;) {
        to->n_products += to->steps[k].product;
        if (writes_state(q, to->steps[k].pass))
            to->first_write = k;
    }
    return true;
}

/* ---- the planner ---- */

/* What is known of each node from the first part of the planner to the last. */
static bool planner_memory(planner *q)
{
    uint32_t **all[] = {&q->base, &q->group, &q->order, &q->position, &q->state, &q->over};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!(*all[k] = arena_take(&q->temporary, ((size_t)q->n + 1) * sizeof(uint32_t))))
            return false;
    q->first = arena_zeros(&q->temporary, ((size_t)q->n + 2) * sizeof *q->first);
    q->marks = arena_zeros(&q->temporary, (size_t)q->n + 1);
    return q->first && q->marks;
}

/* Runs the parts, each with temporary memory of its own. */
static bool run_parts(planner *q)
{
    static bool (*const parts[])(planner * q) = {plan_groups, plan_sums,   plan_order, plan_states,
                                                 plan_places, plan_passes, plan_steps};
    arena_mark mark = arena_here(&q->temporary);
    if (!plan_common(q))
        return false;
    arena_rewind(&q->temporary, mark);
    learn(q);
    if (!find_users(q))
        return false;
    mark = arena_here(&q->temporary);
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        if (!parts[k](q))
            return false;
        arena_rewind(&q->temporary, mark);
    }
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
    const bool ok = q.plan && planner_memory(&q) && run_parts(&q);
    arena_free(&q.temporary);
    *out = q.plan;
    return ok;
}
