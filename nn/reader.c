/* reader.c - batches one after the other; the next one read by a thread of its own, while a step
 * runs
 *
 * Two batches take turns: while a step runs on one, the thread gathers rows into the other. Batches
 * come in the same order as without it, and so do errors: one met ahead of time waits for the step
 * that its batch belongs to. The thread sleeps between two batches. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* pthread_sigmask under -std=c11, sched_getaffinity */
#endif
#include "reader.h"

#include <stdlib.h>

#include "error.h"

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_THREADS 1
#else
#define HAVE_THREADS 0
#endif

#if HAVE_THREADS
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* Handing a batch over costs two wake-ups, some microseconds: as much as copying this. */
enum { BYTES_THAT_PAY = 64 * 1024 };

struct nn_ahead {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    nn_feed *feed; /* what to read from, until it has been read; NULL: nothing */
    nn_batch *batch;
    nn_error error; /* of the last batch */
    bool stop;
};

/* ---- the thread -------------------------------------------------------------------------- */

static void *ahead_main(void *argument)
{
    nn_ahead *a = argument;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->feed && !a->stop)
            pthread_cond_wait(&a->wake, &a->lock);
        if (a->stop)
            break;
        pthread_mutex_unlock(&a->lock);
        nn_feed_next(a->feed, a->batch, &a->error);
        pthread_mutex_lock(&a->lock);
        a->feed = NULL;
        pthread_cond_signal(&a->done);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static bool start(nn_ahead *a)
{
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    const bool started = pthread_create(&a->thread, NULL, ahead_main, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void destroy(nn_ahead *a, int primitives)
{
    if (primitives > 2)
        pthread_cond_destroy(&a->done);
    if (primitives > 1)
        pthread_cond_destroy(&a->wake);
    if (primitives > 0)
        pthread_mutex_destroy(&a->lock);
    free(a);
}

/* NULL where the system has no thread to give: then there is none. */
static nn_ahead *ahead_new(void)
{
    nn_ahead *a = calloc(1, sizeof *a);
    int primitives = 0;
    if (!a)
        return NULL;
    if (pthread_mutex_init(&a->lock, NULL) == 0 && ++primitives &&
        pthread_cond_init(&a->wake, NULL) == 0 && ++primitives &&
        pthread_cond_init(&a->done, NULL) == 0 && ++primitives && start(a))
        return a;
    destroy(a, primitives);
    return NULL;
}

static void ahead_free(nn_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    destroy(a, 3);
}

static void ahead_begin(nn_ahead *a, nn_feed *feed, nn_batch *batch)
{
    pthread_mutex_lock(&a->lock);
    a->batch = batch;
    a->error.status = AD_OK;
    a->feed = feed;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

/* The error of what was begun. */
static const nn_error *ahead_end(nn_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->feed)
        pthread_cond_wait(&a->done, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return &a->error;
}

/* Processors that this process may use, if the system tells. */
static long processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
#ifdef _SC_NPROCESSORS_ONLN
    return sysconf(_SC_NPROCESSORS_ONLN);
#else
    return 1;
#endif
}

#else
enum { BYTES_THAT_PAY = 0 };

static nn_ahead *ahead_new(void) { return NULL; }
static void ahead_free(nn_ahead *a) { (void)a; }
static void ahead_begin(nn_ahead *a, nn_feed *feed, nn_batch *batch)
{
    (void)a, (void)feed, (void)batch;
}
static const nn_error *ahead_end(nn_ahead *a)
{
    (void)a;
    return NULL;
}
static long processors(void) { return 1; }
#endif

/* ---- the reader -------------------------------------------------------------------------- */

bool nn_reading_ahead_pays(const nn_model *model, const nn_data *data, int64_t capacity)
{
    int64_t bytes = 0;
    if (data->is_stream)
        return data->stream.ahead;
    for (int k = 0; k < data->n_inputs; k++) {
        const nn_shape shape = nn_data_shape(data, k);
        const ad_dtype dtype = shape.indices ? AD_I32 : model->config.dtype;
        bytes += nn_shape_size(&shape) * (int64_t)ad_dtype_size(dtype);
    }
    return capacity < data->rows && bytes >= (BYTES_THAT_PAY + capacity - 1) / capacity &&
           processors() > 1;
}

ad_status nn_reader_new(nn_reader *reader, const nn_model *model, const nn_data *data,
                        int64_t capacity, bool target, bool ahead, nn_error *error)
{
    nn_batch *first = &reader->batches[0], *second = &reader->batches[1];
    *reader = (nn_reader){.batch = first, .feed.data = data};
    if (nn_batch_new(first, model, data, capacity, target, error))
        return nn_earlier(error);
    if (!ahead || !(reader->ahead = ahead_new()))
        return AD_OK;
    if (nn_batch_new(second, model, data, capacity, target, error)) {
        nn_reader_free(reader);
        return nn_earlier(error);
    }
    second->number = 1;
    first->twin = second;
    second->twin = first;
    return AD_OK;
}

void nn_reader_free(nn_reader *reader)
{
    nn_reader_settle(reader);
    if (reader->ahead)
        ahead_free(reader->ahead);
    nn_batch_free(&reader->batches[0]);
    nn_batch_free(&reader->batches[1]);
    *reader = (nn_reader){0};
}

void nn_reader_settle(nn_reader *reader)
{
    if (reader->under_way)
        ahead_end(reader->ahead);
    reader->under_way = false;
}

ad_status nn_reader_begin(nn_reader *reader, const int64_t *order, int64_t n, int64_t at,
                          int64_t epoch, nn_error *error)
{
    nn_reader_settle(reader);
    if (nn_feed_begin(&reader->feed, reader->feed.data, order, n, epoch, error))
        return nn_earlier(error);
    reader->feed.at = at;
    return AD_OK;
}

/* Is there another batch, as far as one knows? A stream tells by giving no rows. */
static bool goes_on(const nn_reader *reader)
{
    const nn_feed *feed = &reader->feed;
    return reader->batch->rows > 0 && (feed->data->is_stream || feed->at < feed->n);
}

ad_status nn_reader_next(nn_reader *reader, nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    if (reader->under_way) {
        const nn_error *found = ahead_end(reader->ahead);
        reader->under_way = false;
        reader->batch = &reader->batches[!reader->batch->number];
        if (found->status)
            return nn_fail(error, found->status, "%s", found->text);
    } else if (nn_feed_next(&reader->feed, reader->batch, error)) {
        return nn_earlier(error);
    }
    if (reader->ahead && goes_on(reader)) {
        ahead_begin(reader->ahead, &reader->feed, &reader->batches[!reader->batch->number]);
        reader->under_way = true;
    }
    return AD_OK;
}
