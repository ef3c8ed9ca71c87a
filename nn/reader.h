/* reader.h - batches one after the other; the next one read by a thread of its own, while a step
 * runs */
#ifndef NN_READER_H
#define NN_READER_H
#include "batch.h"

typedef struct nn_ahead nn_ahead;

typedef struct nn_reader {
    nn_feed feed;
    nn_batch batches[2]; /* in use by turns; the second only where there is a thread */
    nn_batch *batch;     /* the one in use */
    nn_ahead *ahead;     /* the thread; NULL: none */
    bool under_way;      /* the other one is being filled */
} nn_reader;

/* Does reading such batches on a thread of its own save time on this machine? */
bool nn_reading_ahead_pays(const nn_model *model, const nn_data *data, int64_t capacity);
/* ahead: with a thread, where the system has one to give. What is read does not depend on it. */
ad_status nn_reader_new(nn_reader *reader, const nn_model *model, const nn_data *data,
                        int64_t capacity, bool target, bool ahead, nn_error *error);
void nn_reader_free(nn_reader *reader);

/* Waits for the thread and forgets what it read: from then on nobody else touches the data. */
void nn_reader_settle(nn_reader *reader);
/* Settles, and begins a pass over the data as nn_feed_begin does, at row `at` of the order. */
ad_status nn_reader_begin(nn_reader *reader, const int64_t *order, int64_t n, int64_t at,
                          int64_t epoch, nn_error *error);
/* The next batch becomes reader->batch (rows 0: there are no more), with its errors; the thread
 * begins to read the one after it. What the last one held is gone. */
ad_status nn_reader_next(nn_reader *reader, nn_error *error);

#endif
