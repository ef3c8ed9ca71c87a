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
    uint32_t n, mask;
} table;

struct seen {
    table now, last; /* stretches of DISTANCE instructions */
    table constants;
};

static table new_table(code *k, uint32_t most)
{
    uint32_t size = 16;
    while (size < 2 * most)
        size *= 2;
    const table t = {code_take(k, size, sizeof *t.at), 0, size - 1};
    if (t.at)
        memset(t.at, 0xff, size * sizeof *t.at);
    return t;
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

static void remember(code *k, table *t, uint32_t *at, uint32_t i)
{
    *at = i;
    if (2 * ++t->n <= t->mask)
        return;
    table more = new_table(k, t->n + 1); /* twice the size */
    for (uint32_t j = 0; more.at && j <= t->mask; j++)
        if (t->at[j] != NOTHING) {
            const instr key = key_of(k, t->at[j]);
            *look(k, &more, &key, hash_of(&key)) = t->at[j];
        }
    more.n = t->n;
    *t = more;
}

static void next_stretch(seen *s)
{
    const table last = s->last;
    s->last = s->now;
    s->now = last;
    s->now.n = 0;
    memset(s->now.at, 0xff, ((size_t)s->now.mask + 1) * sizeof *s->now.at);
}

seen *code_seen(code *k)
{
    const uint32_t most = k->n - k->n_lead;
    seen *s = code_take(k, 1, sizeof *s);
    if (s)
        *s = (seen){new_table(k, most < DISTANCE ? most + 1 : DISTANCE + 1),
                    new_table(k, most < DISTANCE ? most + 1 : DISTANCE + 1), new_table(k, 64)};
    return k->status ? NULL : s;
}

uint32_t code_same(code *k, seen *s, uint32_t i)
{
    const uint32_t op = k->at[i].op;
    if ((i - k->n_lead) % DISTANCE == 0)
        next_stretch(s);
    if (op == OP_INPUT || op_is_dot(op))
        return i; /* no two inputs are the same; dot products seldom are, and their lists long */
    const instr key = key_of(k, i);
    const uint32_t hash = hash_of(&key);
    table *t = op == OP_CONSTANT ? &s->constants : &s->now;
    uint32_t *at = look(k, t, &key, hash);
    if (*at != NOTHING)
        return *at;
    if (op != OP_CONSTANT && s->last.n > 0) {
        const uint32_t before = *look(k, &s->last, &key, hash);
        if (before != NOTHING && i - before <= DISTANCE)
            return before;
    }
    remember(k, t, at, i);
    return i;
}
