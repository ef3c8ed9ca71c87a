/* allocator.h - an allocator for tests: counts its calls, fails the one it is told to, and keeps
 * the balance
 *
 * Every block carries the size it was asked for, so that a release with another size is found, and
 * has a margin behind it, so that writes past its end are. */
#ifndef TESTS_ALLOCATOR_H
#define TESTS_ALLOCATOR_H
#include "ad.h"
#include <stdlib.h>
#include <string.h>

enum { PROBE_REGIONS = 256, PROBE_HEAD = 64, PROBE_TAIL = 64, PROBE_MAGIC = 0x7a9e5afe };

typedef struct probe {
    long calls;   /* of allocate, reserve and commit together */
    long fail_at; /* the call that fails, counted from 0; -1: none */
    long failed;  /* calls that did */
    bool reserve_failed;
    long commits;
    long blocks, bytes; /* held now */
    long wrong_sizes;   /* releases with another size than was asked for */
    long overruns;      /* blocks written past their end */
    struct {
        void *memory;
        size_t bytes;
    } regions[PROBE_REGIONS];
} probe;

static bool probe_fails(probe *p)
{
    bool fails = p->calls++ == p->fail_at;
    p->failed += fails;
    return fails;
}

static void *probe_allocate(void *user, size_t bytes)
{
    probe *p = user;
    if (probe_fails(p) || bytes > SIZE_MAX / 2)
        return NULL;
    size_t *block = malloc(PROBE_HEAD + bytes + PROBE_TAIL);
    if (!block)
        return NULL;
    block[0] = bytes;
    block[1] = PROBE_MAGIC;
    memset((char *)block + PROBE_HEAD + bytes, 0xa5, PROBE_TAIL);
    p->blocks++;
    p->bytes += (long)bytes;
    return (char *)block + PROBE_HEAD;
}

static void probe_release(void *user, void *memory, size_t bytes)
{
    probe *p = user;
    size_t *block = (size_t *)(void *)((char *)memory - PROBE_HEAD);
    p->wrong_sizes += block[0] != bytes || block[1] != PROBE_MAGIC;
    const unsigned char *tail = (const unsigned char *)memory + block[0];
    bool clean = true;
    for (int i = 0; i < PROBE_TAIL; i++)
        clean = clean && tail[i] == 0xa5;
    p->overruns += !clean;
    p->blocks--;
    p->bytes -= (long)block[0];
    block[1] = 0;
    free(block);
}

static void *probe_reserve(void *user, size_t bytes)
{
    probe *p = user;
    bool fails = probe_fails(p);
    p->reserve_failed = p->reserve_failed || fails;
    void *memory = fails ? NULL : ad_default_allocator().reserve(NULL, bytes);
    for (int i = 0; memory && i < PROBE_REGIONS; i++)
        if (!p->regions[i].memory) {
            p->regions[i].memory = memory;
            p->regions[i].bytes = bytes;
            p->blocks++;
            return memory;
        }
    if (memory)
        ad_default_allocator().unreserve(NULL, memory, bytes);
    return NULL;
}

static bool probe_commit(void *user, void *memory, size_t bytes)
{
    probe *p = user;
    if (probe_fails(p))
        return false;
    p->commits++;
    return ad_default_allocator().commit(NULL, memory, bytes);
}

static void probe_unreserve(void *user, void *memory, size_t bytes)
{
    probe *p = user;
    for (int i = 0; i < PROBE_REGIONS; i++)
        if (p->regions[i].memory == memory) {
            p->wrong_sizes += p->regions[i].bytes != bytes;
            p->regions[i].memory = NULL;
            p->blocks--;
            ad_default_allocator().unreserve(NULL, memory, bytes);
            return;
        }
    p->wrong_sizes++;
}

/* reserving: with address space that is reserved first, where the platform has it */
static ad_allocator probe_allocator(probe *p, bool reserving)
{
    *p = (probe){.fail_at = -1};
    ad_allocator a = {.allocate = probe_allocate, .release = probe_release, .user = p};
    if (reserving && ad_default_allocator().reserve) {
        a.reserve = probe_reserve;
        a.commit = probe_commit;
        a.unreserve = probe_unreserve;
    }
    return a;
}

#endif
