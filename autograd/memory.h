/* memory.h - contexts, arenas and growing arrays: every byte of the library comes through here */
#ifndef MEMORY_H
#define MEMORY_H
#include "ad.h"

struct ad_context {
    ad_allocator allocator;
    bool check_finite, checksum_borrowed;
    ad_kernels kernels; /* at most these */
    struct pool *pool;  /* NULL: one thread */
};

/* the context itself, or the immutable default for NULL */
const ad_context *context_or_default(const ad_context *context);

void *memory_take(const ad_context *context, size_t bytes); /* zeroed; NULL when out of memory */
void *memory_take_raw(const ad_context *context, size_t bytes); /* the same, not zeroed */
void memory_give(const ad_context *context, void *memory, size_t bytes);

/* An arena hands out memory that is released all at once; what was released is handed out again
 * without asking the allocator. */
typedef struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
} arena_chunk;

typedef struct arena {
    const ad_context *context;
    arena_chunk *first, *current;
    size_t total; /* bytes held */
} arena;

typedef struct arena_mark {
    arena_chunk *chunk;
    size_t used;
} arena_mark;

void *arena_take(arena *a, size_t bytes); /* aligned to 64, not zeroed; NULL when out of memory */
void *arena_zeros(arena *a, size_t bytes);
arena_mark arena_here(const arena *a);
bool arena_holds(const arena *a, arena_mark mark, const void *p); /* was p taken after the mark? */
void arena_rewind(arena *a, arena_mark mark);
static inline void arena_reset(arena *a)
{
    if ((a->current = a->first))
        a->first->used = 0;
}
void arena_free(arena *a);

/* A flat array that grows in place where address space can be reserved, else by copying. */
typedef struct pages {
    void *base;
    size_t reserved, committed; /* bytes; reserved = 0: from allocate */
    struct spill *spill;        /* in a file; NULL: in memory */
} pages;

/* Makes room for `need` bytes, of `most` at most; false when out of memory (nothing has changed).
 */
bool pages_grow(const ad_context *context, pages *p, size_t need, size_t most);
/* Zeroes what was added since `from` bytes were committed. */
void pages_clear(const ad_context *context, pages *p, size_t from);
/* Zeroes bytes by giving their memory back; false, and nothing done, where that cannot be. Bytes
 * that share a page with others stay as they are: they should be zero already. */
bool pages_discard(const ad_context *context, const pages *p, size_t from, size_t to);
void pages_free(const ad_context *context, pages *p);

#endif
