/* test_pool.c - the threads of a context: every tile once, from any number of threads and contexts
 *
 * Of use under ThreadSanitizer above all. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#define AD_PLAIN
#include "pool.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* after the above */
#include <cmocka.h>

enum { MOST = 1000 };

typedef struct work {
    const ad_context *context;
    int count[MOST]; /* of visits: each is written by one thread at a time, or the sanitizer
                        complains */
    int64_t nested;
} work;

static void visit(void *user, int64_t tile) { ((work *)user)->count[tile]++; }

static void expect_each(const work *w, int64_t tiles, int times)
{
    for (int64_t i = 0; i < MOST; i++)
        if (w->count[i] != (i < tiles ? times : 0))
            fail_msg("tile %d of %d: %d visits, not %d", (int)i, (int)tiles, w->count[i], times);
}

static ad_context *context_of(int threads)
{
    ad_context *c = ad_context_new(&(ad_context_config){.threads = threads});
    assert_non_null(c);
    return c;
}

static const int thread_counts[] = {-1, 0, 1, 2, 3, 7};
enum { COUNTS = sizeof thread_counts / sizeof *thread_counts };

static void every_tile_is_done_once(void **state)
{
    (void)state;
    static work w;
    for (int k = 0; k < COUNTS; k++) {
        ad_context *c = context_of(thread_counts[k]);
        assert_in_range(pool_threads(c), 1, thread_counts[k] < 2 ? 1 : thread_counts[k]);
        for (int64_t tiles = 0; tiles <= MOST; tiles += tiles < 20 ? 1 : 245) {
            memset(&w, 0, sizeof w);
            for (int round = 0; round < 30; round++)
                pool_run(c, tiles, visit, &w);
            expect_each(&w, tiles, 30);
        }
        ad_context_free(c);
    }
    memset(&w, 0, sizeof w);
    pool_run(NULL, 5, visit, &w);
    expect_each(&w, 5, 1);
    assert_int_equal(pool_threads(NULL), 1);
}

static void wait_microseconds(long n) { nanosleep(&(struct timespec){.tv_nsec = n * 1000}, NULL); }

/* long enough for the others to fall asleep */
static void threads_that_sleep_are_woken(void **state)
{
    (void)state;
    static work w;
    ad_context *c = context_of(3);
    memset(&w, 0, sizeof w);
    for (int round = 0; round < 10; round++) {
        wait_microseconds(2000);
        pool_run(c, 50, visit, &w);
    }
    expect_each(&w, 50, 10);
    ad_context_free(c);
}

static void slow_visit(void *user, int64_t tile)
{
    wait_microseconds(tile % 2 ? 3000 : 10);
    visit(user, tile);
}

static void the_caller_waits_for_the_slowest(void **state)
{
    (void)state;
    static work w;
    ad_context *c = context_of(4);
    memset(&w, 0, sizeof w);
    for (int round = 0; round < 5; round++)
        pool_run(c, 8, slow_visit, &w);
    expect_each(&w, 8, 5);
    ad_context_free(c);
}

static void inner(void *user, int64_t tile) { ((int *)user)[tile]++; }

static void visit_and_run(void *user, int64_t tile)
{
    work *w = user;
    int count[10] = {0};
    pool_run(w->context, 10, inner, count);
    for (int i = 0; i < 10; i++)
        w->count[tile] += count[i];
}

static void work_within_work_is_done_by_its_thread(void **state)
{
    (void)state;
    static work w;
    ad_context *c = context_of(3);
    memset(&w, 0, sizeof w);
    w.context = c;
    pool_run(c, 40, visit_and_run, &w);
    expect_each(&w, 40, 10);
    ad_context_free(c);
}

enum { CALLERS = 6 };

static void *call_often(void *user)
{
    work *w = user;
    for (int round = 0; round < 200; round++)
        pool_run(w->context, 16, visit, w);
    return NULL;
}

static void callers(ad_context *const *contexts, int n)
{
    static work w[CALLERS];
    pthread_t threads[CALLERS];
    memset(w, 0, sizeof w);
    for (int i = 0; i < CALLERS; i++) {
        w[i].context = contexts[i % n];
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &w[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        expect_each(&w[i], 16, 200);
    }
}

static void one_context_serves_several_threads(void **state)
{
    (void)state;
    ad_context *c = context_of(3);
    callers(&c, 1);
    ad_context_free(c);
}

static void contexts_do_not_disturb_each_other(void **state)
{
    (void)state;
    ad_context *c[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        c[i] = context_of(2);
    callers(c, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        ad_context_free(c[i]);
}

static void a_context_may_be_freed_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        ad_context_free(context_of(4));
}

typedef struct limited {
    int left;
} limited;

static void *allocate(void *user, size_t bytes)
{
    limited *l = user;
    return l->left-- > 0 ? malloc(bytes) : NULL;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static void a_context_without_memory_for_its_threads_is_none(void **state)
{
    (void)state;
    limited l = {1};
    const ad_allocator a = {.allocate = allocate, .release = release, .user = &l};
    assert_null(ad_context_new(&(ad_context_config){.allocator = &a, .threads = 2}));
    l.left = 2;
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a, .threads = 2});
    assert_non_null(c);
    ad_context_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_is_done_once),
        cmocka_unit_test(threads_that_sleep_are_woken),
        cmocka_unit_test(the_caller_waits_for_the_slowest),
        cmocka_unit_test(work_within_work_is_done_by_its_thread),
        cmocka_unit_test(one_context_serves_several_threads),
        cmocka_unit_test(contexts_do_not_disturb_each_other),
        cmocka_unit_test(a_context_may_be_freed_at_once),
        cmocka_unit_test(a_context_without_memory_for_its_threads_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
