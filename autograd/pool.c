/* pool.c - threads that wait for work: a while with their eyes open, then asleep
 *
 * Each thread has a range of tiles of its own, the same ones each time, so that what it left in its
 * cache is still there; who is done helps the others. The caller takes part, and waits only for
 * those who have begun: a thread that wakes late finds the work closed. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* pthread_sigmask, also under -std=c11 */
#endif
#include "pool.h"

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_THREADS 1
#else
#define HAVE_THREADS 0
#endif

#if HAVE_THREADS
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* A thread that sleeps takes long to wake, on virtual machines a good part of a millisecond: with
 * two threads that slept between the layers a training step took as long as with one. */
enum {
    MOST_THREADS = 256,
    SPINS = 2000,  /* some tens of microseconds: the gap between two products */
    YIELDS = 30000 /* ten milliseconds and more, as a BLAS waits: the core is for whom wants it */
};

/* the tiles of one thread, on a cache line of its own */
typedef struct range {
    _Alignas(64) atomic_llong next;
    int64_t end;
} range;

typedef struct member {
    pool *pool;
    int number; /* of its range; the caller's is 0 */
    pthread_t thread;
} member;

struct pool {
    ad_allocator allocator;
    size_t bytes;
    int threads;

    pthread_mutex_t busy; /* held by who has work done */
    void (*work)(void *user, int64_t tile);
    void *user;
    atomic_int places;     /* threads that may still join */
    atomic_int finished;   /* of those that joined */
    atomic_uint announced; /* pieces of work so far */
    atomic_bool stop;

    pthread_mutex_t lock; /* for falling asleep */
    pthread_cond_t wake, done;
    atomic_int sleepers;
    atomic_bool caller_sleeps;

    range *ranges;
    member *members;
};

static void relax(int times)
{
    if (times >= SPINS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- work ---- */

/* own tiles first, then those of the others */
static void take_tiles(pool *p, int number)
{
    for (int i = 0; i < p->threads; i++) {
        range *r = &p->ranges[(number + i) % p->threads];
        for (int64_t tile; (tile = atomic_fetch_add(&r->next, 1)) < r->end;)
            p->work(p->user, tile);
    }
}

static bool join_work(pool *p)
{
    int places = atomic_load(&p->places);
    while (places > 0)
        if (atomic_compare_exchange_weak(&p->places, &places, places - 1))
            return true;
    return false;
}

static void leave_work(pool *p)
{
    atomic_fetch_add(&p->finished, 1);
    if (atomic_load(&p->caller_sleeps)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

/* ---- waiting ---- */

static bool news(pool *p, unsigned seen)
{
    return atomic_load(&p->announced) != seen || atomic_load(&p->stop);
}

static void await_work(pool *p, unsigned seen)
{
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if (news(p, seen))
            return;
        relax(i);
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!news(p, seen))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void wake_all(pool *p)
{
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void await_members(pool *p, int joined)
{
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if (atomic_load(&p->finished) == joined)
            return;
        relax(i);
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->finished) != joined)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

static void *member_main(void *argument)
{
    const member *m = argument;
    pool *p = m->pool;
    for (unsigned seen = 0;;) {
        await_work(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        seen = atomic_load(&p->announced);
        if (join_work(p)) {
            take_tiles(p, m->number);
            leave_work(p);
        }
    }
}

static void run_together(pool *p, int64_t tiles, void (*work)(void *, int64_t), void *user)
{
    const int others = p->threads - 1;
    p->work = work;
    p->user = user;
    for (int i = 0; i < p->threads; i++) {
        atomic_store(&p->ranges[i].next, tiles * i / p->threads);
        p->ranges[i].end = tiles * (i + 1) / p->threads;
    }
    atomic_store(&p->finished, 0);
    atomic_store(&p->places, others);
    atomic_fetch_add(&p->announced, 1);
    wake_all(p);
    take_tiles(p, 0);
    await_members(p, others - atomic_exchange(&p->places, 0));
}

/* ---- life ---- */

static bool primitives_new(pool *p)
{
    if (pthread_mutex_init(&p->busy, NULL))
        return false;
    if (pthread_mutex_init(&p->lock, NULL))
        goto no_lock;
    if (pthread_cond_init(&p->wake, NULL))
        goto no_wake;
    if (pthread_cond_init(&p->done, NULL) == 0)
        return true;
    pthread_cond_destroy(&p->wake);
no_wake:
    pthread_mutex_destroy(&p->lock);
no_lock:
    pthread_mutex_destroy(&p->busy);
    return false;
}

/* Signals are for the program's own threads. */
static void start_members(pool *p, int threads)
{
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (p->threads = 1; p->threads < threads; p->threads++) {
        member *m = &p->members[p->threads];
        *m = (member){.pool = p, .number = p->threads};
        if (pthread_create(&m->thread, NULL, member_main, m))
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

pool *pool_new(const ad_allocator *allocator, int threads)
{
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
    const size_t count = (size_t)threads, padding = 64;
    const size_t bytes = sizeof(pool) + count * (sizeof(range) + sizeof(member)) + padding;
    pool *p = allocator->allocate(allocator->user, bytes);
    if (!p)
        return NULL;
    memset(p, 0, bytes);
    p->allocator = *allocator;
    p->bytes = bytes;
    p->members = (member *)(p + 1);
    const uintptr_t after = (uintptr_t)(p->members + count);
    p->ranges = (range *)((after + padding - 1) / padding * padding);
    if (!primitives_new(p)) {
        allocator->release(allocator->user, p, bytes);
        return NULL;
    }
    start_members(p, threads);
    return p;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake_all(p);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->members[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->busy);
    const ad_allocator a = p->allocator;
    a.release(a.user, p, p->bytes);
}

int pool_threads(const ad_context *context)
{
    const pool *p = context_or_default(context)->pool;
    return p ? p->threads : 1;
}

void pool_run(const ad_context *context, int64_t tiles, void (*work)(void *user, int64_t tile),
              void *user)
{
    pool *p = context_or_default(context)->pool;
    if (p && tiles > 1 && pthread_mutex_trylock(&p->busy) == 0) {
        run_together(p, tiles, work, user);
        pthread_mutex_unlock(&p->busy);
        return;
    }
    for (int64_t i = 0; i < tiles; i++)
        work(user, i);
}

#else
/* One thread is what there is: a pool to be told from a lack of memory. */
struct pool {
    ad_allocator allocator;
};

pool *pool_new(const ad_allocator *allocator, int threads)
{
    pool *p = allocator->allocate(allocator->user, sizeof *p);
    (void)threads;
    if (p)
        p->allocator = *allocator;
    return p;
}

void pool_free(pool *p)
{
    if (p)
        p->allocator.release(p->allocator.user, p, sizeof *p);
}

int pool_threads(const ad_context *context)
{
    (void)context;
    return 1;
}

void pool_run(const ad_context *context, int64_t tiles, void (*work)(void *user, int64_t tile),
              void *user)
{
    (void)context;
    for (int64_t i = 0; i < tiles; i++)
        work(user, i);
}
#endif
