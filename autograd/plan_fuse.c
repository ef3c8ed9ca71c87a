/* plan_fuse.c - which elementwise nodes run together
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
    for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;) {
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
    for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;)
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
        if (count[r] % PASS_NODES == 0)
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
    if (!f.level || !f.root)
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
