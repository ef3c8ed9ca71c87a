/* code_schedule.c - the order in which straight-line code is done
 *
 * An instruction's depth is one more than the deepest of its operands. Those of one depth do not
 * depend on one another: put side by side, and those of one operation together, they become loops
 * over memory; and what repeats from depth to depth becomes a loop as well. Derivatives are written
 * from the last operation to the first: where that is seen in the order of operands, it is turned,
 * so that memory is gone through upwards. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

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
    if (!code_is_dot(at))
        return most;
    const uint32_t *factors = k->factors + at->a, n = 2 * at->b;
    for (uint32_t j = 0; j < n; j++)
        most = depth[factors[j]] > most ? depth[factors[j]] : most;
    return at->c != NOTHING && depth[at->c] > most ? depth[at->c] : most;
}

typedef struct tables {
    uint32_t *depth, *key, *order, *other, *count;
    instr *at;
    uint32_t *origin;
} tables;

/* order <- the instructions in the order of their keys, stably: key[i] < n_keys. The leading inputs
 * are where they belong. */
static void sort(const code *k, const uint32_t *from, const tables *t, uint32_t n_keys)
{
    uint32_t *count = t->count;
    const uint32_t *key = t->key;
    memset(count, 0, ((size_t)n_keys + 1) * sizeof *count);
    count[0] = k->n_lead;
    for (uint32_t i = k->n_lead; i < k->n; i++)
        count[key[i] + 1]++;
    for (uint32_t i = 0; i < n_keys; i++)
        count[i + 1] += count[i];
    for (uint32_t i = k->n_lead; i < k->n; i++) {
        const uint32_t at = from ? from[i] : i;
        t->order[count[key[at]]++] = at;
    }
}

/* By depth, and those of one depth by operation: at once where both make a key that is small. */
static void sort_all(const code *k, tables *t, uint32_t depths)
{
    const bool at_once = (uint64_t)depths * OP_COUNT <= k->n;
    const uint32_t factor = at_once ? OP_COUNT : 0;
    for (uint32_t i = k->n_lead; i < k->n; i++)
        t->key[i] = t->depth[i] * factor + k->at[i].op;
    sort(k, NULL, t, at_once ? depths * OP_COUNT : OP_COUNT);
    if (at_once)
        return;
    uint32_t *by_operation = t->order;
    t->order = t->other;
    t->other = by_operation;
    memcpy(t->key, t->depth, k->n * sizeof *t->key);
    sort(k, by_operation, t, depths);
}

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
    const uint32_t *depth = t->depth;
    uint32_t *order = t->order;
    for (uint32_t i = 0; i < k->n_lead; i++)
        position[i] = i;
    for (uint32_t i = k->n_lead, end; i < k->n; i = end) {
        const uint32_t op = k->at[order[i]].op;
        for (end = i + 1;
             end < k->n && k->at[order[end]].op == op && depth[order[end]] == depth[order[i]];)
            end++;
        for (uint32_t j = i, last; depth[order[i]] > 0 && j < end; j = last + 1) {
            uint64_t at = operands_at(k, &k->at[order[j]], position), next;
            for (last = j;
                 last + 1 < end && (next = operands_at(k, &k->at[order[last + 1]], position)) < at;
                 last++)
                at = next;
            if (last > j)
                reverse(order + j, last + 1 - j);
        }
        for (uint32_t j = i; j < end; j++)
            position[order[j]] = j;
    }
}

static void put_in_order(code *k, const tables *t, const uint32_t *position)
{
    const uint32_t first = k->n_lead, n = k->n - first;
    for (uint32_t i = first; i < k->n; i++) {
        t->at[i - first] = k->at[t->order[i]];
        t->origin[i - first] = k->origin[t->order[i]];
        code_replace_operands(k, &t->at[i - first], position);
    }
    memcpy(k->at + first, t->at, n * sizeof *k->at);
    memcpy(k->origin + first, t->origin, n * sizeof *k->origin);
    code_replace_outputs(k, position);
}

void code_schedule(code *k)
{
    const size_t n = (size_t)k->n, behind = n - k->n_lead, one = sizeof(uint32_t);
    tables t = {.depth = code_take(k, n, one),
                .key = code_take(k, n, one),
                .order = code_take(k, n, one),
                .other = code_take(k, n, one),
                .count = code_take(k, n + OP_COUNT + 2, one),
                .at = code_take(k, behind, sizeof *t.at),
                .origin = code_take(k, behind, one)};
    uint32_t depths = 1;
    if (!k->status)
        memset(t.depth, 0, k->n_lead * sizeof *t.depth);
    for (uint32_t i = k->n_lead; i < k->n && !k->status; i++) {
        const instr *at = &k->at[i];
        const bool leaf = at->op == OP_INPUT || at->op == OP_CONSTANT;
        const uint32_t depth = leaf ? 0 : 1 + deepest(k, at, t.depth);
        t.depth[i] = depth;
        depths = depth >= depths ? depth + 1 : depths;
    }
    if (!k->status) {
        sort_all(k, &t, depths);
        uint32_t *position = t.key; /* has served */
        turn_downward_runs(k, &t, position);
        put_in_order(k, &t, position);
        uint32_t *depth = t.other;
        for (uint32_t i = 0; i < k->n; i++)
            depth[i] = i < k->n_lead ? 0 : t.depth[t.order[i]];
        k->depth = depth;
    }
}
