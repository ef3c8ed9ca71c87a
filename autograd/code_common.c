/* code_common.c - the pass that computes a common subexpression once
 *
 * Two instructions are the same if operation and operands are; where the order of operands does not
 * matter, they are put in one. Of constants all are remembered, of the rest so many that the tables
 * stay in the caches: one table for those since the last mark and one for those before it, so that
 * the distance alone decides and what repeats stays regular. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       memory_take(k->context, bytes)
#define uthash_free(p, bytes)      memory_give(k->context, p, bytes)
#define uthash_nonfatal_oom(entry) (k->status = AD_NO_MEMORY)
/* keys are 16 bytes without a pattern to defend against: two multiplications do */
#define HASH_FUNCTION(key, length, hash)                                                           \
    do {                                                                                           \
        uint64_t half_[2];                                                                         \
        memcpy(half_, key, sizeof half_);                                                          \
        half_[0] = (half_[0] ^ half_[1] * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;              \
        (hash) = (unsigned)(half_[0] >> 32);                                                       \
    } while (0)
#include <uthash.h>
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      4096U /* it need not grow often */
#define HASH_INITIAL_NUM_BUCKETS_LOG2 12U

enum { DISTANCE = 1 << 14 };

typedef struct known {
    UT_hash_handle hh;
    instr key;
    uint32_t at;
} known;

typedef struct memory_of {
    known *table[2], *entries[2]; /* the present and the last stretch */
    known *constants, *constant_entries;
} memory_of;

static bool commutes(uint32_t op)
{
    return op == AD_OP_add || op == AD_OP_mul || op == AD_OP_equal || op == AD_OP_not_equal;
}

static bool key_of(const code *k, const instr *i, instr *key)
{
    *key = *i;
    if (code_is_dot(i))
        return false; /* two of the same are rare, and their lists long */
    if (commutes(i->op) && key->a > key->b)
        *key = (instr){i->op, i->b, i->a, i->c};
    if (i->op == OP_CONSTANT) { /* by its bits */
        uint64_t bits;
        memcpy(&bits, &k->constants[i->a], sizeof bits);
        key->a = (uint32_t)bits, key->b = (uint32_t)(bits >> 32);
    }
    return true;
}

static known *look(known *table, const instr *key, unsigned hash)
{
    known *same;
    HASH_FIND_BYHASHVALUE(hh, table, key, sizeof *key, hash, same);
    return same;
}

static void remember(code *k, known **table, known *e, uint32_t i, unsigned hash)
{
    known *all = *table;
    e->at = i;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, all, &e->key, sizeof e->key, hash, e);
    *table = all;
}

/* the instruction that i is the same as, or i */
static uint32_t find(code *k, uint32_t i, memory_of *m)
{
    const bool constant = k->at[i].op == OP_CONSTANT;
    known **table = constant ? &m->constants : &m->table[0],
          *e = constant ? &m->constant_entries[HASH_COUNT(*table)]
                        : &m->entries[0][HASH_COUNT(*table)];
    if (!key_of(k, &k->at[i], &e->key))
        return i;
    unsigned hash;
    HASH_FUNCTION(&e->key, sizeof e->key, hash);
    known *same = look(*table, &e->key, hash);
    if (!same && !constant)
        same = look(m->table[1], &e->key, hash);
    if (same && (constant || i - same->at <= DISTANCE))
        return same->at;
    remember(k, table, e, i, hash);
    return i;
}

static void next_stretch(code *k, memory_of *m)
{
    known *last = m->table[1], *room = m->entries[1];
    HASH_CLEAR(hh, last);
    m->table[1] = m->table[0];
    m->entries[1] = m->entries[0];
    m->table[0] = NULL;
    m->entries[0] = room;
}

uint32_t code_common(code *k)
{
    const size_t count = (k->n < DISTANCE ? k->n : DISTANCE) + 1;
    arena room = {.context = k->context};
    uint32_t *to = code_replacements(k), found = 0, constants = 0;
    for (uint32_t i = 0; i < k->n; i++)
        constants += k->at[i].op == OP_CONSTANT;
    memory_of m = {.entries = {arena_take(&room, count * sizeof(known)),
                               arena_take(&room, count * sizeof(known))},
                   .constant_entries = arena_take(&room, ((size_t)constants + 1) * sizeof(known))};
    if (!m.entries[0] || !m.entries[1] || !m.constant_entries)
        k->status = AD_NO_MEMORY;
    for (uint32_t i = 0; i < k->n && !k->status; i++) {
        if (i % DISTANCE == 0)
            next_stretch(k, &m);
        code_replace_operands(k, &k->at[i], to);
        if ((to[i] = find(k, i, &m)) == i)
            continue;
        found++;
        if (k->at[i].op == OP_GUARD) /* asked before: nothing depends on it */
            k->at[i] = (instr){OP_CONSTANT, code_new_constant(k, 0), 0, 0};
    }
    HASH_CLEAR(hh, m.table[0]);
    HASH_CLEAR(hh, m.table[1]);
    HASH_CLEAR(hh, m.constants);
    arena_free(&room);
    if (to) {
        code_replace_outputs(k, to);
        code_give(k, to);
    }
    return found;
}
