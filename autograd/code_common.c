/* code_common.c - the pass that computes a common subexpression once
 *
 * Two instructions are the same if operation and operands are; where the order of operands does not
 * matter, in either order. Of constants all are remembered, of the rest so many that the tables
 * stay in the caches: one table for those since the last mark and one for those before it, so that
 * the distance alone decides and what repeats stays regular. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

enum { DISTANCE = 1 << 14 };

/* instructions by their hash, each as near behind its place as there was room; never full */
typedef struct table {
    uint32_t *at; /* NOTHING: free */
    uint32_t mask;
} table;

static table new_table(code *k, uint32_t most)
{
    uint32_t size = 16;
    while (size < 2 * most)
        size *= 2;
    table t = {code_take(k, size, sizeof *t.at), size - 1};
    return t;
}

static void clear(const table *t)
{
    if (t->at)
        memset(t->at, 0xff, ((size_t)t->mask + 1) * sizeof *t->at);
}

static bool commutes(uint32_t op)
{
    return op == AD_OP_add || op == AD_OP_mul || op == AD_OP_equal || op == AD_OP_not_equal;
}

/* operation and operands; of a constant its bits */
static instr key_of(const code *k, uint32_t i)
{
    instr key = k->at[i];
    if (key.op == OP_CONSTANT) {
        uint64_t bits;
        memcpy(&bits, &k->constants[key.a], sizeof bits);
        key.a = (uint32_t)bits, key.b = (uint32_t)(bits >> 32);
    } else if (key.a > key.b && commutes(key.op)) {
        key = (instr){key.op, key.b, key.a, key.c};
    }
    return key;
}

static bool same(const instr *a, const instr *b) { return !memcmp(a, b, sizeof *a); }

/* two multiplications do: there is no pattern to defend against */
static uint32_t hash_of(const instr *key)
{
    const uint64_t a = key->a | (uint64_t)key->b << 32, b = key->op | (uint64_t)key->c << 32,
                   h = (a ^ b * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 32);
}

/* where the table has an instruction of this key, or the free place for one */
static uint32_t *look(const code *k, const table *t, const instr *key, uint32_t hash)
{
    for (uint32_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        if (t->at[i] == NOTHING)
            return &t->at[i];
        const instr other = key_of(k, t->at[i]);
        if (same(&other, key))
            return &t->at[i];
    }
}

typedef struct memory_of {
    table now, last; /* stretches of DISTANCE instructions */
    table constants;
} memory_of;

/* the instruction that i is the same as, or i */
static uint32_t find(const code *k, uint32_t i, const memory_of *m)
{
    const uint32_t op = k->at[i].op;
    if (op == OP_INPUT || op_is_dot(op))
        return i; /* no two inputs are the same; dot products seldom are, and their lists long */
    const instr key = key_of(k, i);
    const uint32_t hash = hash_of(&key);
    uint32_t *at = look(k, op == OP_CONSTANT ? &m->constants : &m->now, &key, hash);
    if (*at != NOTHING)
        return *at;
    if (op != OP_CONSTANT) {
        const uint32_t before = *look(k, &m->last, &key, hash);
        if (before != NOTHING && i - before <= DISTANCE)
            return before;
    }
    return *at = i;
}

static void next_stretch(memory_of *m)
{
    const table last = m->last;
    m->last = m->now;
    m->now = last;
    clear(&m->now);
}

uint32_t code_common(code *k)
{
    const uint32_t most = k->n < DISTANCE ? k->n : DISTANCE;
    uint32_t *to = code_take(k, k->n, sizeof *to), found = 0, constants = 0;
    for (uint32_t i = 0; i < k->n; i++)
        constants += k->at[i].op == OP_CONSTANT;
    memory_of m = {new_table(k, most), new_table(k, most), new_table(k, constants)};
    if (!k->status) {
        clear(&m.now);
        clear(&m.constants);
    }
    for (uint32_t i = 0; i < k->n && !k->status; i++) {
        if (i % DISTANCE == 0)
            next_stretch(&m);
        if (found)
            code_replace_operands(k, &k->at[i], to);
        if ((to[i] = find(k, i, &m)) == i)
            continue;
        found++;
        if (k->at[i].op == OP_GUARD) /* asked before: nothing depends on it */
            k->at[i] = (instr){OP_CONSTANT, code_new_constant(k, 0), 0, 0};
    }
    if (found && !k->status)
        code_replace_outputs(k, to);
    code_done(k);
    return found;
}
