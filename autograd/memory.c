/* memory.c - contexts, arenas and growing arrays
 *
 * Address space is reserved for the largest tape and turned into memory as the tape grows: nodes
 * never move, growing costs one system call for each doubling, and an index is all it takes to find
 * a node. */
#if defined(__unix__) || defined(__APPLE__)
#define _DEFAULT_SOURCE
#define HAVE_PAGES 1
#include <sys/mman.h>
#include <unistd.h>
#endif
#include "memory.h"
#include "pool.h"
#include "spill.h"
#include <stdlib.h>
#include <string.h>

static void *default_allocate(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void default_release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

#ifdef HAVE_PAGES
static void *default_reserve(void *user, size_t bytes)
{
    (void)user;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool default_commit(void *user, void *memory, size_t bytes)
{
    (void)user;
    return mprotect(memory, bytes, PROT_READ | PROT_WRITE) == 0;
}

static void default_unreserve(void *user, void *memory, size_t bytes)
{
    (void)user;
    munmap(memory, bytes);
}
#endif

static const ad_context default_context = {.allocator = {default_allocate, default_release,
#ifdef HAVE_PAGES
                                                         default_reserve, default_commit,
                                                         default_unreserve,
#else
                                                         NULL, NULL, NULL,
#endif
                                                         NULL}};

ad_allocator ad_default_allocator(void) { return default_context.allocator; }

const ad_context *context_or_default(const ad_context *context)
{
    return context ? context : &default_context;
}

ad_context *ad_context_new(const ad_context_config *config)
{
    static const ad_context_config defaults = {0};
    const ad_context_config *c = config ? config : &defaults;
    ad_allocator a = c->allocator ? *c->allocator : default_context.allocator;
    if (!a.allocate || !a.release)
        return NULL;
    if (!a.reserve || !a.commit || !a.unreserve)
        a.reserve = NULL;
    ad_context *context = a.allocate(a.user, sizeof *context);
    if (!context)
        return NULL;
    *context = (ad_context){a, c->check_finite, c->checksum_borrowed, c->kernels, NULL};
    if (c->threads < 2 || (context->pool = pool_new(&a, c->threads)))
        return context;
    a.release(a.user, context, sizeof *context);
    return NULL;
}

void ad_context_free(ad_context *context)
{
    if (context) {
        ad_allocator a = context->allocator;
        pool_free(context->pool);
        a.release(a.user, context, sizeof *context);
    }
}

void *memory_take_raw(const ad_context *context, size_t bytes)
{
    return context->allocator.allocate(context->allocator.user, bytes ? bytes : 1);
}

void *memory_take(const ad_context *context, size_t bytes)
{
    void *p = memory_take_raw(context, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void memory_give(const ad_context *context, void *memory, size_t bytes)
{
    if (memory)
        context->allocator.release(context->allocator.user, memory, bytes ? bytes : 1);
}

#ifdef AD_SMALL_CHUNKS /* for tests: nearly every request is a call of the allocator, which may    \
                          fail */
enum { ALIGN = 64, CHUNK = 64, CHUNK_MAX = 64 };
#else
enum { ALIGN = 64, CHUNK = 1 << 14, CHUNK_MAX = 1 << 22 };
#endif

static char *chunk_base(arena_chunk *c)
{
    uintptr_t p = (uintptr_t)(c + 1);
    return (char *)(c + 1) + (ALIGN - p % ALIGN) % ALIGN;
}

static arena_chunk *chunk_new(arena *a, size_t bytes)
{
    size_t size = a->total < CHUNK_MAX ? a->total : CHUNK_MAX; /* double, up to a limit */
    if (size < CHUNK)
        size = CHUNK;
    if (size < bytes)
        size = bytes;
    const ad_allocator *m = &a->context->allocator;
    arena_chunk *c = m->allocate(m->user, sizeof *c + ALIGN + size);
    if (c) {
        *c = (arena_chunk){NULL, size, 0};
        a->total += sizeof *c + ALIGN + size;
    }
    return c;
}

void *arena_take(arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    arena_chunk *c = a->current;
    while (c && c->size - c->used < bytes &&
           c->next) { /* later chunks are empty: take the first that fits */
        c = c->next;
        c->used = 0;
    }
    if (!c || c->size - c->used < bytes) {
        arena_chunk *fresh = chunk_new(a, bytes);
        if (!fresh)
            return NULL;
        if (c)
            c->next = fresh;
        else
            a->first = fresh;
        c = fresh;
    }
    a->current = c;
    void *p = chunk_base(c) + c->used;
    c->used += bytes;
    return p;
}

void *arena_zeros(arena *a, size_t bytes)
{
    void *p = arena_take(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

arena_mark arena_here(const arena *a)
{
    return (arena_mark){a->current, a->current ? a->current->used : 0};
}

bool arena_holds(const arena *a, arena_mark mark, const void *p)
{
    for (arena_chunk *c = mark.chunk ? mark.chunk : a->first; c; c = c->next) {
        const char *base = chunk_base(c), *from = base + (c == mark.chunk ? mark.used : 0);
        if ((uintptr_t)p >= (uintptr_t)from && (uintptr_t)p < (uintptr_t)(base + c->size))
            return true;
    }
    return false;
}

void arena_rewind(arena *a, arena_mark mark)
{
    a->current = mark.chunk ? mark.chunk : a->first;
    if (a->current)
        a->current->used = mark.chunk ? mark.used : 0;
}

void arena_free(arena *a)
{
    for (arena_chunk *c = a->first, *next; c; c = next) {
        next = c->next;
        a->context->allocator.release(a->context->allocator.user, c, sizeof *c + ALIGN + c->size);
    }
    a->first = a->current = NULL;
    a->total = 0;
}

static bool pages_reserve(const ad_context *context, pages *p, size_t need, size_t most)
{
    const ad_allocator *m = &context->allocator;
    for (size_t bytes = most; m->reserve && bytes >= need; bytes /= 2)
        if ((p->base = m->reserve(m->user, bytes))) {
            p->reserved = bytes;
            return true;
        }
    return false;
}

static bool pages_move(const ad_context *context, pages *p, size_t bytes)
{
    const ad_allocator *m = &context->allocator;
    void *fresh = m->allocate(m->user, bytes);
    if (!fresh)
        return false;
    if (p->base) {
        memcpy(fresh, p->base, p->committed);
        if (p->reserved)
            m->unreserve(m->user, p->base, p->reserved);
        else
            m->release(m->user, p->base, p->committed);
    }
    *p = (pages){fresh, 0, bytes, NULL};
    return true;
}

bool pages_grow(const ad_context *context, pages *p, size_t need, size_t most)
{
    enum { STEP = 1 << 16 };
    const ad_allocator *m = &context->allocator;
    if (need <= p->committed)
        return true;
    if (need > most)
        return false;
    if (p->spill) {
        p->base = spill_base(p->spill);
        return spill_grow(p->spill, need, &p->committed);
    }
    size_t bytes = p->committed ? 2 * p->committed : STEP;
    while (bytes < need)
        bytes *= 2;
    if (bytes > most)
        bytes = most;
    if (!p->base && !pages_reserve(context, p, bytes, most))
        return pages_move(context, p, bytes);
    if (p->reserved == 0 || bytes > p->reserved)
        return pages_move(context, p, bytes);
    if (!m->commit(m->user, p->base, bytes))
        return false;
    p->committed = bytes;
    return true;
}

void pages_clear(const ad_context *context, pages *p, size_t from)
{
#ifdef HAVE_PAGES
    if (p->reserved && context->allocator.commit == default_commit)
        return; /* fresh from the system: zero, and not to be touched before its time */
#endif
    (void)context;
    if (p->committed > from)
        memset((char *)p->base + from, 0, p->committed - from);
}

bool pages_discard(const ad_context *context, const pages *p, size_t from, size_t to)
{
#if defined(HAVE_PAGES) && defined(__linux__)
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (p->reserved && context->allocator.commit == default_commit)
        return from >= to || madvise((char *)p->base + from, to - from, MADV_DONTNEED) == 0;
#endif
    (void)context, (void)p, (void)from, (void)to;
    return false;
}

void pages_free(const ad_context *context, pages *p)
{
    const ad_allocator *m = &context->allocator;
    if (p->spill)
        spill_free(context, p->spill);
    else if (p->base && p->reserved)
        m->unreserve(m->user, p->base, p->reserved);
    else if (p->base)
        m->release(m->user, p->base, p->committed);
    *p = (pages){0};
}
