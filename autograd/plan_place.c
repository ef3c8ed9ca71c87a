/* plan_place.c - where results are kept: in the state they are assigned to, or in a pool of memory
 * that is used again when its last reader has run */
#define AD_PLAIN
#include "program.h"
#include <string.h>

/* ---- states ---- */

static uint32_t last_fallible(const planner *q)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < q->n; i++)
        if ((q->marks[i] & (MARK_FALLIBLE | MARK_FIXED)) == MARK_FALLIBLE)
            last = q->position[i] > last ? q->position[i] : last;
    return last;
}

/* When the state's old value is read for the last time: by what uses it, or views of it. Whoever
 * looks at it after the run, or otherwise than element by element, needs it for ever. */
static void last_reads(const planner *q, uint32_t *last)
{
    const ad_program *p = q->p;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        if (b && b->op->is_view)
            continue;
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;) {
            const uint32_t base = q->base[args[k]];
            const bool in_order = args[k] == base && q->group[i] != NO_NODE;
            const uint32_t until = q->position[i] + !in_order;
            last[base] = until > last[base] ? until : last[base];
        }
    }
    for (uint32_t k = 0; k < p->n_outputs; k++)
        last[q->base[p->outputs[k]]] = NO_NODE;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        last[q->base[p->assigns[k].value]] = NO_NODE;
}

static bool is_output(const planner *q, uint32_t i)
{
    for (uint32_t k = 0; k < q->p->n_outputs; k++)
        if (q->base[q->p->outputs[k]] == i)
            return true;
    return false;
}

/* May the assignment's value be computed in the memory of its state? */
static bool takes_place(const planner *q, const assignment *a, const uint32_t *last,
                        uint32_t fallible)
{
    const block *state = block_at(q->nodes, a->state);
    return (q->passes & PASS_STATE) && q->group[a->value] != NO_NODE &&
           q->state[a->value] == NO_NODE && array_contiguous(&state->out) &&
           last[a->state] <= q->position[a->value] && q->position[a->value] > fallible &&
           !is_output(q, a->value);
}

bool plan_states(planner *q)
{
    const ad_program *p = q->p;
    const size_t bytes = ((size_t)q->n + 1) * sizeof(uint32_t);
    uint32_t *last = arena_zeros(&q->temporary, bytes), fallible = last_fallible(q);
    plan *to = q->plan;
    to->writes = arena_take(&q->p->memory, (p->n_assigns + 1) * sizeof *to->writes);
    to->commits = arena_take(&q->p->memory, (p->n_assigns + 1) * sizeof *to->commits);
    if (!last || !to->writes || !to->commits)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        q->state[i] = NO_NODE;
    last_reads(q, last);
    for (uint32_t k = 0; k < p->n_assigns; k++) {
        const assignment a = p->assigns[k];
        if (takes_place(q, &a, last, fallible)) {
            q->state[a.value] = a.state;
            to->writes[to->n_writes++] = a;
        } else {
            to->commits[to->n_commits++] = a;
        }
    }
    return true;
}

/* ---- the pool ---- */

enum { ALIGNED = 64 };

typedef struct hole { /* free memory between buffers, by address; the last has no end */
    size_t at, bytes;
} hole;

typedef struct pool {
    planner *q;
    hole *holes;
    uint32_t n_holes;
    uint32_t *until;            /* position of the last reader; NO_NODE: for ever */
    uint32_t *ending, *next;    /* buffers by the position at which they end, as lists */
    uint32_t *beginning, *then; /* the same by where they begin */
} pool;

static size_t bytes_of(const planner *q, uint32_t i)
{
    const size_t bytes = array_bytes(&((const block *)q->nodes[i].u.block)->out);
    return bytes ? (bytes + ALIGNED - 1) / ALIGNED * ALIGNED : ALIGNED;
}

/* The smallest hole that is large enough: a hole that fits wastes nothing, and large ones stay. */
static size_t pool_take(pool *p, size_t bytes)
{
    uint32_t best = p->n_holes - 1;
    for (uint32_t k = 0; k < p->n_holes; k++)
        if (p->holes[k].bytes >= bytes && p->holes[k].bytes < p->holes[best].bytes)
            best = k;
    const size_t at = p->holes[best].at;
    p->holes[best].at += bytes;
    if (best + 1 < p->n_holes && !(p->holes[best].bytes -= bytes))
        memmove(p->holes + best, p->holes + best + 1, (--p->n_holes - best) * sizeof *p->holes);
    return at;
}

static void pool_give(pool *p, size_t at, size_t bytes)
{
    uint32_t k = 0;
    while (p->holes[k].at < at)
        k++;
    hole *h = p->holes + k;
    const bool joins_next = at + bytes == h->at, joins_last = k && h[-1].at + h[-1].bytes == at;
    if (joins_next) {
        h->at = at;
        h->bytes += h->bytes == SIZE_MAX ? 0 : bytes;
    }
    if (joins_last) {
        h[-1].bytes = joins_next && h->bytes == SIZE_MAX
                          ? SIZE_MAX
                          : h[-1].bytes + (joins_next ? h->bytes : bytes);
        if (joins_next)
            memmove(h, h + 1, (--p->n_holes - k) * sizeof *h);
    } else if (!joins_next) {
        memmove(h + 1, h, (p->n_holes++ - k) * sizeof *h);
        *h = (hole){at, bytes};
    }
}

/* Has a node a buffer of its own? Leaves, views, scalars, what is computed in a state,
 * and what only its own pass reads have none. */
static bool has_buffer(const planner *q, uint32_t i)
{
    if (node_op(&q->nodes[i]) != CODE_TENSOR || (q->marks[i] & MARK_DEAD))
        return false;
    const block *b = q->nodes[i].u.block;
    if (b->leaf != LEAF_NONE || b->op->is_view || q->state[i] != NO_NODE)
        return false;
    if (q->group[i] == NO_NODE || (q->marks[i] & MARK_KEPT))
        return true;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++)
        if (!reads_inside(q, q->users[k], q->group[i]))
            return true;
    return false;
}

static void find_ends(pool *p)
{
    const planner *q = p->q;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        p->until[i] =
            (b && b->leaf != LEAF_NONE) || (q->marks[i] & MARK_FIXED) || !(q->passes & PASS_REUSE)
                ? NO_NODE
                : q->position[i];
    }
    for (uint32_t i = 0; i < q->n; i++)
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;) {
            uint32_t *until = &p->until[q->base[args[k]]];
            *until = q->position[i] > *until ? q->position[i] : *until;
        }
    for (uint32_t i = 0; i < q->n; i++)
        if (q->marks[i] & MARK_KEPT)
            p->until[q->base[i]] = NO_NODE;
}

static void end_buffers(pool *p, uint32_t position)
{
    for (uint32_t i = p->ending[position]; i != NO_NODE; i = p->next[i])
        pool_give(p, p->q->plan->place[i], bytes_of(p->q, i));
}

static void end_at(pool *p, uint32_t i)
{
    if (p->until[i] != NO_NODE) {
        p->next[i] = p->ending[p->until[i]];
        p->ending[p->until[i]] = i;
    }
}

static void begin_buffer(pool *p, uint32_t i)
{
    planner *q = p->q;
    const size_t bytes = bytes_of(q, i), at = q->plan->place[i] = pool_take(p, bytes);
    q->plan->pool = at + bytes > q->plan->pool ? at + bytes : q->plan->pool;
    end_at(p, i);
}

static bool pool_make(pool *p, planner *q)
{
    const size_t n = (size_t)q->n + 1;
    *p = (pool){.q = q, .holes = arena_take(&q->temporary, (n + 1) * sizeof *p->holes)};
    uint32_t **all[] = {&p->until, &p->ending, &p->next, &p->beginning, &p->then};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!(*all[k] = arena_take(&q->temporary, n * sizeof(uint32_t))))
            return false;
    if (!p->holes)
        return false;
    p->holes[p->n_holes++] = (hole){0, SIZE_MAX};
    for (uint32_t i = 0; i < q->n; i++)
        p->ending[i] = p->beginning[i] = NO_NODE;
    return true;
}

/* Is it read by elements only, as it lies? */
static bool has_views(const planner *q, uint32_t i)
{
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++) {
        const block *b = block_at(q->nodes, q->users[k]);
        if (b && b->op->is_view)
            return true;
    }
    return false;
}

/* A result of a pass is written where an operand lay that nobody reads later, if there is one. */
static bool take_over(pool *p, uint32_t i)
{
    planner *q = p->q;
    uint32_t *at = &p->ending[q->position[i]];
    while (*at != NO_NODE &&
           (q->position[*at] == q->position[i] || !same_lines(q, *at, i) || has_views(q, *at)))
        at = &p->next[*at];
    if (*at == NO_NODE || q->group[i] == NO_NODE)
        return false;
    q->over[i] = *at;
    q->plan->place[i] = q->plan->place[*at];
    *at = p->next[*at];
    end_at(p, i);
    return true;
}

bool plan_places(planner *q)
{
    pool p;
    q->plan->place = arena_take(&q->p->memory, ((size_t)q->n + 1) * sizeof *q->plan->place);
    if (!q->plan->place || !pool_make(&p, q))
        return false;
    find_ends(&p);
    for (uint32_t i = 0; i < q->n; i++) {
        q->plan->place[i] = NO_PLACE;
        q->over[i] = NO_NODE;
        if (!has_buffer(q, i))
            continue;
        if (p.until[i] == NO_NODE) { /* for ever: first, so that it leaves no holes */
            begin_buffer(&p, i);
        } else {
            p.then[i] = p.beginning[q->position[i]];
            p.beginning[q->position[i]] = i;
        }
    }
    for (uint32_t k = 0; k < q->n_order; k++) {
        for (uint32_t i = p.beginning[k]; i != NO_NODE; i = p.then[i])
            if (!take_over(&p, i))
                begin_buffer(&p, i);
        end_buffers(&p, k);
    }
    return true;
}
