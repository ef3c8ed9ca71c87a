/* code_schedule.c - the order in which straight-line code is done
 *
 * An instruction's depth is one more than the deepest of its operands. Those of one depth do not
 * depend on one another: put side by side, and those of one operation together, they become loops
 * over memory; and what repeats from depth to depth becomes a loop as well. */
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
        put_in_order(k, &t);
    }
    arena_free(&memory);
}
