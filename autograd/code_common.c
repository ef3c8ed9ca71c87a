/* code_common.c - the pass that computes a common subexpression once
 *
 * Two instructions are the same if operation and operands are; where the order of operands does not
 * matter, they are put in one. The table forgets all when it is full: it stays in the caches, and
 * what is that far apart is rarely the same. */
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

enum { MOST = 1 << 15 };

typedef struct known {
    UT_hash_handle hh;
    instr key;
    uint32_t at;
} known;

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

/* the instruction that i is the same as, or i */
static uint32_t find(code *k, uint32_t i, known **table, known *entries)
{
    known *e = &entries[HASH_COUNT(*table)], *same;
    if (!key_of(k, &k->at[i], &e->key))
        return i;
    unsigned hash;
    HASH_FUNCTION(&e->key, sizeof e->key, hash);
    HASH_FIND_BYHASHVALUE(hh, *table, &e->key, sizeof e->key, hash, same);
    if (same)
        return same->at;
    e->at = i;
    known *all = *table;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, all, &e->key, sizeof e->key, hash, e);
    *table = all;
    return i;
}

uint32_t code_common(code *k)
{
    const size_t bytes = ((k->n < MOST ? k->n : MOST) + 1) * sizeof(known);
    uint32_t *to = code_replacements(k), found = 0;
    known *entries = to ? memory_take_raw(k->context, bytes) : NULL, *table = NULL;
    if (to && !entries)
        k->status = AD_NO_MEMORY;
    for (uint32_t i = 0; i < k->n && !k->status; i++) {
        if (HASH_COUNT(table) == MOST)
            HASH_CLEAR(hh, table);
        code_replace_operands(k, &k->at[i], to);
        if ((to[i] = find(k, i, &table, entries)) == i)
            continue;
        found++;
        if (k->at[i].op == OP_GUARD) /* asked before: nothing depends on it */
            k->at[i] = (instr){OP_CONSTANT, code_new_constant(k, 0), 0, 0};
    }
    HASH_CLEAR(hh, table);
    memory_give(k->context, entries, bytes);
    if (to) {
        code_replace_outputs(k, to);
        code_give(k, to);
    }
    return found;
}
