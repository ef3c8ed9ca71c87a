/* pool.h - the threads of a context: one piece of work, cut into tiles, by all of them
 *
 * What a tile is follows from the work alone, never from the number of threads: then results do not
 * depend on it either. */
#ifndef POOL_H
#define POOL_H
#include "memory.h"

typedef struct pool pool;

/* Threads for a context, `threads` of them with the one that calls; fewer where the system has no
 * more to give. NULL when out of memory. */
pool *pool_new(const ad_allocator *allocator, int threads);
void pool_free(pool *p);

/* How many threads pool_run may use, at least 1: for deciding whether work is worth cutting up. */
int pool_threads(const ad_context *context);

/* work(user, i) once for each i from 0 to tiles-1, in any order and by several threads at once;
 * returns when all are done. Within a tile, and where the threads are at other work (a context may
 * be used by several threads), the caller does everything itself. */
void pool_run(const ad_context *context, int64_t tiles, void (*work)(void *user, int64_t tile),
              void *user);

#endif
