/* plan_fuse.c - which elementwise nodes run together, and the passes they become
 *
 * Nodes of one shape that read one another go through memory together, a tile at a time, and what
 * only they read never reaches memory. Each node has a level, which rises wherever a value has to
 * be complete before it is used: so nodes of one level and shape can always run together. As soon
 * as possible is right for what uses its operands up, as late as possible for what could be made
 * anew from them (the derivative of an activation, the decay of a moment): a node moves down to its
 * readers where no more values than before have to be kept for that. */
#define AD_PLAIN
#include "program.h"
#include <string.h>

enum { MAX_OPS = 128 }; /* of a pass: their scratch must stay in cache */

typedef struct fusion {
    planner *q;
    uint32_t *level, *root; /* root: of the tree of nodes that are to run together */
} fusion;

static bool fusable(const planner *q, uint32_t i) { return q->marks[i] & MARK_FUSABLE; }

static bool together(const fusion *f, uint32_t a, uint32_t b)
{
    return fusable(f->q, a) && fusable(f->q, b) && f->level[a] == f->level[b] &&
           same_lines(f->q, a, b);
}

static uint32_t soonest(const fusion *f, uint32_t i)
{
    const planner *q = f->q;
    const uint32_t *args;
    uint32_t few[3], level = 0;
    for (uint32_t k = node_operands(q->nodes, i, &args, few); k-- > 0;) {
        const uint32_t a = args[k];
        const bool waits = fusable(q, a) && !(fusable(q, i) && same_lines(q, a, i));
        level = f->level[a] + waits > level ? f->level[a] + waits : level;
    }
    return level;
}

/* Is the value read outside of the nodes that run with it? */
static bool is_kept(const fusion *f, uint32_t i)
{
    const planner *q = f->q;
    if (q->marks[i] & MARK_KEPT)
        return true;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++)
        if (!together(f, i, q->users[k]))
            return true;
    return false;
}

static void move_down(fusion *f, uint32_t i)
{
    const planner *q = f->q;
    const uint32_t *args, user = q->first[i] < q->first[i + 1] ? q->users[q->first[i]] : i;
    uint32_t few[3], more = 0;
    if ((q->marks[i] & MARK_KEPT) || !fusable(q, user) || !same_lines(q, i, user))
        return;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++)
        if (!together(f, user, q->users[k]))
            return;
    for (uint32_t k = node_operands(q->nodes, i, &args, few); k-- > 0;)
        more += together(f, i, args[k]) && !is_kept(f, args[k]);
    if (more <= 1)
        f->level[i] = f->level[user];
}

/* ---- groups: nodes of one level that read one another, or the same operand ---- */

static uint32_t root_of(const fusion *f, uint32_t i)
{
    while (f->root[i] != i)
        i = f->root[i] = f->root[f->root[i]];
    return i;
}

static void join(fusion *f, uint32_t a, uint32_t b)
{
    const uint32_t x = root_of(f, a), y = root_of(f, b);
    f->root[x > y ? x : y] = x > y ? y : x;
}

static void join_readers(fusion *f, uint32_t i)
{
    enum { NEAR = 8 }; /* readers to look back at: a long list of them is not searched */
    const planner *q = f->q;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++) {
        const uint32_t user = q->users[k];
        if (together(f, i, user))
            join(f, i, user);
        else if (fusable(q, user) && same_lines(q, i, user))
            for (uint32_t j = k; j > q->first[i] && k - j < NEAR; j--)
                if (together(f, user, q->users[j - 1]))
                    join(f, user, q->users[j - 1]);
    }
}

static bool number_groups(fusion *f)
{
    planner *q = f->q;
    uint32_t *current = arena_zeros(&q->temporary, ((size_t)q->n + 1) * sizeof *current);
    uint32_t *count = arena_zeros(&q->temporary, ((size_t)q->n + 1) * sizeof *count);
    if (!current || !count)
        return false;
    for (uint32_t i = 0; i < q->n; i++) {
        if (!fusable(q, i))
            continue;
        const uint32_t r = root_of(f, i);
        if (count[r] % MAX_OPS == 0)
            current[r] = q->n_groups++;
        count[r]++;
        q->group[i] = current[r];
    }
    return true;
}

bool plan_groups(planner *q)
{
    const size_t bytes = ((size_t)q->n + 1) * sizeof(uint32_t);
    fusion f = {q, arena_zeros(&q->temporary, bytes), arena_take(&q->temporary, bytes)};
    if (!(q->group = arena_take(&q->temporary, bytes)) || !f.level || !f.root)
        return false;
    for (uint32_t i = 0; i < q->n; i++) {
        q->group[i] = NO_NODE;
        f.root[i] = i;
        f.level[i] = soonest(&f, i);
    }
    for (uint32_t i = q->n; i-- > 0;)
        if (fusable(q, i))
            move_down(&f, i);
    for (uint32_t i = 0; i < q->n; i++)
        join_readers(&f, i);
    return number_groups(&f);
}

/* ---- passes ---- */

typedef struct build {
    planner *q;
    fused *to;
    uint32_t g, *members;
    uint32_t *lane;               /* of each node in the pass at work; NO_NODE */
    uint32_t *last;               /* number in the group of the last member that reads a node */
    uint16_t *free_slots, n_free; /* scratch lanes free to be used again */
} build;

/* Does every reader of a member belong to the group? */
static bool stays_inside(const planner *q, uint32_t i)
{
    if (q->marks[i] & MARK_KEPT)
        return false;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++)
        if (q->group[q->users[k]] != q->group[i])
            return false;
    return true;
}

/* A state must be read before it is written: by this operation, and by all after it. */
static bool reads_state_from(const build *b, uint32_t m)
{
    const uint32_t state = b->q->state[b->members[m]];
    return state != NO_NODE && b->lane[state] < b->to->n_in && b->last[state] >= m;
}

static void number_lanes(build *b)
{
    const planner *q = b->q;
    fused *to = b->to;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t m = 0; m < to->n_ops; m++)
        for (uint32_t i = b->members[m], n = node_operands(q->nodes, i, &args, few), k = 0; k < n;
             k++) {
            const uint32_t a = args[k];
            b->last[a] = m;
            if (b->lane[a] != NO_NODE || q->group[a] == b->g)
                continue;
            to->nodes[b->lane[a] = to->n_in++] = a;
        }
    for (uint32_t m = 0; m < to->n_ops; m++)
        if (!stays_inside(q, b->members[m]))
            to->nodes[to->n_in + to->n_out++] = b->members[m];
}

static uint16_t slot_take(build *b)
{
    return b->n_free ? b->free_slots[--b->n_free]
                     : (uint16_t)(b->to->n_in + b->to->n_out + b->to->n_slots++);
}

/* In scratch, or where the result is kept; slots whose last reader was this operation are free
 * after it. */
static void place_results(build *b)
{
    const planner *q = b->q;
    fused *to = b->to;
    const uint32_t *args;
    uint32_t few[3], out = to->n_in;
    for (uint32_t m = 0; m < to->n_ops; m++) {
        const uint32_t i = b->members[m], n = node_operands(q->nodes, i, &args, few);
        fused_op *op = &to->ops[m];
        const bool inside = stays_inside(q, i), stored = !inside && reads_state_from(b, m);
        *op = (fused_op){.code = (uint16_t)((const block *)q->nodes[i].u.block)->code};
        for (uint32_t k = 0; k < n; k++)
            op->x[k] = (uint16_t)b->lane[args[k]];
        op->y = inside || stored ? slot_take(b) : (uint16_t)out;
        if (stored)
            to->stores[to->n_stores++] = (fused_store){op->y, (uint16_t)out};
        out += !inside;
        b->lane[i] = op->y;
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t a = args[k];
            if (q->group[a] == b->g && b->last[a] == m && stays_inside(q, a)) {
                b->free_slots[b->n_free++] = (uint16_t)b->lane[a];
                b->last[a] = NO_NODE; /* an operand that comes twice is given back once */
            }
        }
    }
}

static void forget_lanes(build *b)
{
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t m = 0; m < b->to->n_ops; m++) {
        b->lane[b->members[m]] = NO_NODE;
        for (uint32_t k = node_operands(b->q->nodes, b->members[m], &args, few); k-- > 0;)
            b->lane[args[k]] = NO_NODE;
    }
}

static bool build_pass(build *b)
{
    arena *memory = &b->q->p->memory;
    fused *to = b->to;
    const size_t n = to->n_ops;
    to->ops = arena_take(memory, n * sizeof *to->ops);
    to->nodes = arena_take(memory, 4 * n * sizeof *to->nodes);
    to->stores = arena_take(memory, n * sizeof *to->stores);
    if (!to->ops || !to->nodes || !to->stores)
        return false;
    b->n_free = 0;
    number_lanes(b);
    place_results(b);
    forget_lanes(b);
    return true;
}

/* Members of all groups, group by group. */
static bool collect(const planner *q, fused *passes, uint32_t **members, uint32_t **starts)
{
    arena *temporary = (arena *)(uintptr_t)&q->temporary;
    uint32_t *from = *starts = arena_zeros(temporary, ((size_t)q->n_groups + 2) * sizeof *from);
    uint32_t *all = *members = arena_take(temporary, ((size_t)q->n + 1) * sizeof *all);
    if (!from || !all)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        if (q->group[i] != NO_NODE)
            passes[q->group[i]].n_ops++;
    for (uint32_t g = 0; g < q->n_groups; g++)
        from[g + 2] = from[g + 1] + passes[g].n_ops;
    for (uint32_t i = 0; i < q->n; i++)
        if (q->group[i] != NO_NODE)
            all[from[q->group[i] + 1]++] = i;
    return true;
}

bool plan_passes(planner *q)
{
    uint32_t *members, *starts;
    const size_t bytes = ((size_t)q->n + 1) * sizeof(uint32_t);
    build b = {.q = q,
               .lane = arena_take(&q->temporary, bytes),
               .last = arena_zeros(&q->temporary, bytes),
               .free_slots = arena_take(&q->temporary, 4 * MAX_OPS * sizeof *b.free_slots)};
    q->passes_of = arena_zeros(&q->p->memory, ((size_t)q->n_groups + 1) * sizeof *q->passes_of);
    if (!b.lane || !b.last || !b.free_slots || !q->passes_of ||
        !collect(q, q->passes_of, &members, &starts))
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        b.lane[i] = NO_NODE;
    q->plan->n_fused = q->n_groups;
    for (b.g = 0; b.g < q->n_groups; b.g++) {
        b.to = &q->passes_of[b.g];
        b.members = members + starts[b.g];
        if (!build_pass(&b))
            return false;
        const size_t slots = bound_scratch(b.to);
        q->plan->slots = q->plan->slots > slots ? q->plan->slots : slots;
    }
    return true;
}
