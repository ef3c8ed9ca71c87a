/* code_schedule.c - the order in which straight-line code is done
 *
 * An instruction's depth is one more than the deepest of its operands. Those of one depth do not
 * depend on one another: put side by side, and those of one operation together, they become loops
 * over memory; and what repeats from depth to depth becomes a loop as well. Derivatives are written
 * from the last operation to the first: where that is seen in the order of operands, it is turned,
 * so that memory is gone through upwards. */
#define AD_PLAIN
#include "code.h"

static uint32_t deepest(const code *k, const instr *at, const uint32_t *depth)
{
    const uint32_t arity = code_arity(at);
    uint32_t most = 0;
    if (arity > 0)
        most = depth[at->a];
    if (arity > 1 && depth[at->b] > most)
        most = depth[at->b];
    if (arity > 2 && depth[at->c] > most)
        most = depth[at->c];
    for (uint32_t j = 0; code_is_dot(at) && j < 2 * at->b; j++)
        most = depth[k->factors[at->a + j]] > most ? depth[k->factors[at->a + j]] : most;
    if (code_is_dot(at) && at->c != NOTHING)
        most = depth[at->c] > most ? depth[at->c] : most;
    return most;
}

/* order <- the instructions in the order of their keys, stably: which[i] < n_keys */
static void sort(uint32_t n, const uint32_t *from, const uint32_t *keys, uint32_t n_keys,
                 uint32_t *count, uint32_t *order)
{
    for (uint32_t i = 0; i <= n_keys; i++)
        count[i] = 0;
    for (uint32_t i = 0; i < n; i++)
        count[keys[from[i]] + 1]++;
    for (uint32_t i = 0; i < n_keys; i++)
        count[i + 1] += count[i];
    for (uint32_t i = 0; i < n; i++)
        order[count[keys[from[i]]]++] = from[i];
}

typedef struct tables {
    uint32_t *depth, *op, *first, *order, *count;
    instr *at;
    uint32_t *origin;
} tables;

/* where an instruction's operands stand, the first of them above all */
static uint64_t operands_at(const code *k, const instr *at, const uint32_t *position)
{
    const uint32_t *f = code_is_dot(at) ? k->factors + at->a : NULL, arity = code_arity(at);
    const uint64_t a = f           ? position[f[0]]
                       : arity > 0 ? position[at->a]
                                   : 0,
                   b = f           ? position[f[1]]
                       : arity > 1 ? position[at->b]
                                   : 0;
    return a << 32 | b;
}

static void reverse(uint32_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n / 2; i++) {
        const uint32_t kept = from[i];
        from[i] = from[n - 1 - i];
        from[n - 1 - i] = kept;
    }
}

/* Turns what goes downwards, group by group: those of one depth and operation. */
static void turn_downward_runs(const code *k, const tables *t, uint32_t *position)
{
    for (uint32_t i = 0, end; i < k->n; i = end) {
        const uint32_t *order = t->order;
        for (end = i + 1; end < k->n && t->op[order[end]] == t->op[order[i]] &&
                          t->depth[order[end]] == t->depth[order[i]];)
            end++;
        for (uint32_t j = i, last; j < end; j = last + 1) {
            uint64_t at = operands_at(k, &k->at[order[j]], position), next;
            for (last = j;
                 last + 1 < end && (next = operands_at(k, &k->at[order[last + 1]], position)) < at;
                 last++)
                at = next;
            reverse(t->order + j, last + 1 - j);
        }
        for (uint32_t j = i; j < end; j++)
            position[order[j]] = j;
    }
}

static void put_in_order(code *k, const tables *t)
{
    uint32_t *to = t->depth; /* where each one goes */
    for (uint32_t i = 0; i < k->n; i++)
        to[t->order[i]] = i;
    for (uint32_t i = 0; i < k->n; i++) {
        t->at[i] = k->at[t->order[i]];
        t->origin[i] = k->origin[t->order[i]];
    }
    for (uint32_t i = 0; i < k->n; i++) {
        k->at[i] = t->at[i];
        k->origin[i] = t->origin[i];
        code_replace_operands(k, &k->at[i], to);
    }
    code_replace_outputs(k, to);
}

void code_schedule(code *k)
{
    arena memory = {.context = k->context};
    const size_t n = (size_t)k->n + OP_COUNT + 2, bytes = n * sizeof(uint32_t);
    tables t = {arena_take(&memory, bytes), arena_take(&memory, bytes),
                arena_take(&memory, bytes), arena_take(&memory, bytes),
                arena_take(&memory, bytes), arena_take(&memory, n * sizeof *t.at),
                arena_take(&memory, bytes)};
    if (!t.depth || !t.op || !t.first || !t.order || !t.count || !t.at || !t.origin)
        k->status = AD_NO_MEMORY;
    uint32_t depths = 1;
    for (uint32_t i = 0; i < k->n && !k->status; i++) {
        const instr *at = &k->at[i];
        const bool leaf = at->op == OP_INPUT || at->op == OP_CONSTANT;
        t.depth[i] = leaf ? 0 : 1 + deepest(k, at, t.depth);
        depths = t.depth[i] >= depths ? t.depth[i] + 1 : depths;
        t.op[i] = at->op;
        t.first[i] = i;
    }
    if (!k->status) {
        sort(k->n, t.first, t.op, OP_COUNT, t.count, t.order);
        uint32_t *by_op = t.first;
        for (uint32_t i = 0; i < k->n; i++)
            by_op[i] = t.order[i];
        sort(k->n, by_op, t.depth, depths, t.count, t.order);
        turn_downward_runs(k, &t, t.first);
        put_in_order(k, &t);
    }
    arena_free(&memory);
}
