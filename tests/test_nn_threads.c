/* test_nn_threads.c - one model asked by many threads at once, and fits that read ahead
 *
 * Of use under ThreadSanitizer above all. */
#include "fitting.h"
#include "reader.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 5, ROWS = 70, PIXELS = 36, CLASSES = 3 };
enum { RESULTS = ROWS * CLASSES + PIXELS + CLASSES }; /* of a round */

typedef struct job {
    const nn_model *model;
    const nn_data *data;
    double *results; /* round after round: predictions, an input's gradient, one prediction */
    bool failed;
} job;

static const int64_t shape[4] = {ROWS, 1, 6, 6};

/* The three ways of asking: all rows, few rows on a tape of one's own, one row by a predictor. */
static void ask(job *j, ad_tensor *row, nn_predictor *predictor, ad_tape *t, double *to)
{
    nn_error error = {0};
    double x[PIXELS];
    ad_tensor *y = nn_predict(j->model, j->data, &error);
    j->failed |= !y || ad_tensor_read(y, to) != AD_OK;
    ad_tensor_free(y);
    ad_var in = ad_input_tensor(t, row);
    ad_var out = nn_record(j->model, t, false, &in);
    j->failed |= ad_backward(ad_sum(ad_square(out))) != AD_OK;
    j->failed |= ad_grad_read(in, to + ROWS * CLASSES) != AD_OK;
    ad_reset(t);
    j->failed |= ad_tensor_read(row, x) != AD_OK;
    j->failed |= nn_predictor_run(predictor, x, to + ROWS * CLASSES + PIXELS) != AD_OK;
}

static void *work(void *of)
{
    job *j = of;
    ad_tensor *row = ad_tensor_sliced(nn_data_input(j->data, 0), 0, 5, 6, 1);
    nn_predictor *predictor = nn_predictor_new(j->model, 1, NULL);
    ad_tape *t = ad_tape_new(NULL);
    for (int r = 0; row && predictor && r < ROUNDS; r++)
        ask(j, row, predictor, t, j->results + r * RESULTS);
    j->failed |= !row || !predictor;
    ad_tape_free(t);
    nn_predictor_free(predictor);
    ad_tensor_free(row);
    return NULL;
}

static nn_model *images(ad_dtype dtype)
{
    const nn_layer layers[] = {nn_conv2d(4, 3, 1, NN_RELU),
                               nn_batch_norm(),
                               nn_max_pool2d(2),
                               nn_flatten(),
                               nn_dropout(.5),
                               nn_dense(CLASSES, NN_SOFTMAX)};
    nn_model *m = nn_sequential(
        &(nn_model_config){.dtype = dtype, .inputs = {{.rank = 3, .size = {1, 6, 6}}}}, 6, layers);
    if (nn_model_status(m))
        fail_msg("%s", nn_model_error(m));
    return m;
}

static nn_data *pixels(ad_dtype dtype)
{
    double x[ROWS * PIXELS];
    for (int i = 0; i < ROWS * PIXELS; i++)
        x[i] = sin(i * .37);
    ad_tensor *input = ad_tensor_new(NULL, dtype, 4, shape);
    ad_tensor_write(input, x);
    nn_data *data = nn_data_new(1, &input, NULL, NULL, NULL);
    assert_non_null(data);
    ad_tensor_free(input);
    return data;
}

static void compare(const job *jobs)
{
    for (int i = 1; i <= THREADS; i++)
        for (int k = 0; k < ROUNDS * RESULTS; k++)
            if (memcmp(&jobs[i].results[k], &jobs[0].results[k], sizeof(double)) != 0)
                fail_msg("thread %d, number %d: got %.17g, want %.17g", i, k, jobs[i].results[k],
                         jobs[0].results[k]);
}

static void many_threads_get_the_bits_of_one(void **state)
{
    pthread_t threads[THREADS + 1];
    (void)state;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_model *m = images(dtype);
        nn_data *data = pixels(dtype);
        job jobs[THREADS + 1];
        for (int i = 0; i <= THREADS; i++)
            jobs[i] = (job){m, data, calloc(ROUNDS * RESULTS, sizeof(double)), false};
        work(&jobs[0]); /* alone */
        for (int i = 1; i <= THREADS; i++)
            if (pthread_create(&threads[i], NULL, work, &jobs[i]) != 0)
                fail_msg("no thread %d", i);
        for (int i = 1; i <= THREADS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i <= THREADS; i++)
            if (jobs[i].failed)
                fail_msg("thread %d failed", i);
        compare(jobs);
        for (int i = 0; i <= THREADS; i++)
            free(jobs[i].results);
        nn_data_free(data);
        nn_model_free(m);
    }
}

/* ---- reading ahead ----------------------------------------------------------------------- */

enum { WIDE = 2048, WIDE_ROWS = 83, WIDE_BATCH = 20 }; /* a batch is worth a thread */

/* (83,2048) in double, classes, weights */
static nn_data *wide(void)
{
    ad_tensor *y = ad_tensor_new(NULL, AD_I32, 1, (int64_t[]){WIDE_ROWS});
    for (int i = 0; i < WIDE_ROWS; i++)
        ((int32_t *)ad_tensor_data(y))[i] = i * 7 % CLASSES;
    return data_of(drawn(WIDE_ROWS, WIDE, 4), y, some_weights(WIDE_ROWS));
}

static nn_model *wide_model(ad_dtype dtype, const ad_context *context)
{
    nn_model *m = nn_mlp(&(nn_mlp_config){.in = WIDE,
                                          .hidden = {40, 8},
                                          .out = CLASSES,
                                          .batch_norm = true,
                                          .dropout = .25,
                                          .seed = 3,
                                          .dtype = dtype,
                                          .context = context});
    if (nn_model_status(m))
        fail_msg("%s", nn_model_error(m));
    return m;
}

static void same_batches(const nn_batch *a, const nn_batch *b, int64_t row)
{
    const ad_tensor *const pairs[][2] = {
        {a->inputs[0], b->inputs[0]}, {a->target, b->target}, {a->weights, b->weights}};
    assert_int_equal(a->rows, b->rows);
    for (int k = 0; k < 3; k++) {
        const size_t each = (size_t)(ad_tensor_size(pairs[k][0]) / a->capacity) *
                            ad_dtype_size(ad_tensor_dtype(pairs[k][0]));
        if (memcmp(ad_tensor_data_const(pairs[k][0]), ad_tensor_data_const(pairs[k][1]),
                   (size_t)a->rows * each) != 0)
            fail_msg("the batch of row %d differs in tensor %d", (int)row, k);
    }
}

/* Both readers to the end, or to a row where they begin anew. */
static void read_both(nn_reader *a, nn_reader *b, const int64_t *order, int64_t from, int64_t to)
{
    nn_error e = {0};
    nn_reader_begin(a, order, WIDE_ROWS, from, 0, &e);
    nn_reader_begin(b, order, WIDE_ROWS, from, 0, &e);
    for (int64_t row = from; row < to; row += a->batch->rows) {
        nn_reader_next(a, &e);
        nn_reader_next(b, &e);
        FINE(e);
        same_batches(a->batch, b->batch, row);
        if (a->batch->rows == 0)
            break;
    }
}

static void a_thread_reads_the_same_batches(void **state)
{
    (void)state;
    nn_error e = {0};
    nn_reader alone, ahead;
    nn_data *data = wide();
    int64_t order[WIDE_ROWS];
    for (int64_t i = 0; i < WIDE_ROWS; i++)
        order[i] = i * 31 % WIDE_ROWS;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_model *m = wide_model(dtype, NULL);
        nn_reader_new(&alone, m, data, WIDE_BATCH, true, false, &e);
        nn_reader_new(&ahead, m, data, WIDE_BATCH, true, true, &e);
        FINE(e);
        assert_non_null(ahead.ahead);
        read_both(&alone, &ahead, order, 0, 1000);
        read_both(&alone, &ahead, order, 0, 50); /* and not to its end */
        read_both(&alone, &ahead, order, 40, 1000);
        read_both(&alone, &ahead, order, WIDE_ROWS, 1000);
        read_both(&alone, &ahead, order, 0, 10);
        nn_reader_settle(&ahead);
        nn_reader_free(&alone);
        nn_reader_free(&ahead); /* with a batch under way */
        nn_model_free(m);
    }
    nn_data_free(data);
}

static nn_fit_config wide_config(const nn_data *validation)
{
    return (nn_fit_config){.loss = NN_SOFTMAX_CROSS_ENTROPY,
                           .batch = WIDE_BATCH,
                           .epochs = 3,
                           .validation = validation,
                           .validate_every = 2,
                           .metrics = NN_ACCURACY};
}

static void same_fits(const nn_model *a, const nn_model *b)
{
    SAME_VALUES(a, b);
    assert_int_equal(nn_history_count(a), nn_history_count(b));
    for (int i = 0; i < nn_history_count(a); i++) {
        EQUAL(nn_history_at(a, i)->training.loss, nn_history_at(b, i)->training.loss);
        EQUAL(nn_history_at(a, i)->validation.loss, nn_history_at(b, i)->validation.loss);
        EQUAL(nn_history_at(a, i)->validation.accuracy, nn_history_at(b, i)->validation.accuracy);
    }
}

static void a_fit_that_reads_ahead_gives_the_same_bits(void **state)
{
    (void)state;
    nn_data *data = wide();
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_error e = {0};
        nn_model *a = wide_model(dtype, NULL), *b = wide_model(dtype, NULL);
        nn_fit_config c = wide_config(data);
        nn_fit(a, data, &c, &e);
        c.no_prefetch = true;
        nn_fit(b, data, &c, &e);
        FINE(e);
        same_fits(a, b);
        nn_model_free(a);
        nn_model_free(b);
    }
    nn_data_free(data);
}

/* What a fit saw, and what was left of its stream. */
typedef struct account {
    nn_model *model;
    nn_error error;
    int64_t steps, stop_at; /* stop_at 0: never */
    pthread_t thread;
    bool elsewhere; /* next ran on another thread */
    tap tap;
} account;

static bool count_steps(void *user, const nn_progress_info *info)
{
    account *a = user;
    a->steps += info->event == NN_STEP_DONE;
    return !a->stop_at || a->steps < a->stop_at;
}

static int64_t watched_next(void *user, int64_t rows, ad_tensor *const *inputs, ad_tensor *target,
                            ad_tensor *weights)
{
    account *a = user;
    a->elsewhere = a->elsewhere || !pthread_equal(pthread_self(), a->thread);
    return tap_next(&a->tap, rows, inputs, target, weights);
}

static bool watched_rewind(void *user, int64_t epoch)
{
    account *a = user;
    assert_true(pthread_equal(pthread_self(), a->thread));
    return tap_rewind(&a->tap, epoch);
}

static account fit_stream(const nn_data *data, tap with, int64_t stop_at, bool no_prefetch)
{
    account a = {.model = linear(2, 1, 1), .stop_at = stop_at, .thread = pthread_self()};
    nn_error e = {0};
    a.tap = with;
    a.tap.data = data;
    nn_data *stream = nn_data_stream(&(nn_stream){.next = watched_next,
                                                  .rewind = watched_rewind,
                                                  .user = &a,
                                                  .rows = -1,
                                                  .n_inputs = 1,
                                                  .inputs = {{.rank = 1, .size = {2}}},
                                                  .target = {.rank = 1, .size = {1}},
                                                  .weighted = true,
                                                  .ahead = with.ahead},
                                     &e);
    FINE(e);
    nn_fit(a.model, stream,
           &(nn_fit_config){.loss = NN_MSE,
                            .batch = 5,
                            .epochs = 3,
                            .callbacks = {{count_steps, &a}},
                            .no_prefetch = no_prefetch},
           &a.error);
    nn_data_free(stream);
    return a;
}

/* At its end, stopped, at an error of the stream, at a target that does not fit: with a thread as
 * without, but for what was read ahead of a stop. */
static void streams_are_read_ahead_where_they_allow_it(void **state)
{
    (void)state;
    nn_data *data = plane(22, .1, true), *odd = plane(22, .1, true);
    ((double *)ad_tensor_data(nn_data_target(odd)))[13] = NAN;
    const struct {
        const nn_data *data;
        tap tap;
        int64_t stop_at, steps, read_ahead;
        const char *error;
    } cases[] = {{data, {0}, 0, 15, 0, ""},
                 {data, {.most = 3}, 0, 24, 0, ""},
                 {data, {0}, 7, 7, 5, ""},
                 {data, {0}, 1, 1, 5, ""},
                 {data, {.fail_at = 10}, 0, 2, 0, "next gave -1 rows after row 10"},
                 {data, {.fail_at = 10}, 1, 1, 5, ""},
                 {data, {.fail_at = 10}, 2, 2, 0, ""}, /* it is not told what would have come */
                 {odd, {0}, 0, 2, 5, "row 13: the target nan is not a finite number"}};
    for (int k = 0; k < COUNT(cases); k++) {
        tap with = cases[k].tap;
        account alone = fit_stream(cases[k].data, with, cases[k].stop_at, false);
        with.ahead = true;
        account off = fit_stream(cases[k].data, with, cases[k].stop_at, true);
        account ahead = fit_stream(cases[k].data, with, cases[k].stop_at, false);
        assert_false(alone.elsewhere || off.elsewhere);
        assert_true(ahead.elsewhere);
        assert_int_equal(alone.steps, cases[k].steps);
        assert_int_equal(ahead.steps, cases[k].steps);
        assert_string_equal(ahead.error.text, alone.error.text);
        if (!strstr(alone.error.text, cases[k].error) || !*cases[k].error != !*alone.error.text)
            fail_msg("case %d: %s", k, alone.error.text);
        SAME_VALUES(ahead.model, alone.model);
        SAME_VALUES(off.model, alone.model);
        assert_int_equal(off.tap.at, alone.tap.at);
        assert_int_equal(ahead.tap.at, alone.tap.at + cases[k].read_ahead);
        nn_model_free(alone.model);
        nn_model_free(off.model);
        nn_model_free(ahead.model);
    }
    nn_data_free(data);
    nn_data_free(odd);
}

/* The epoch is run again from its beginning, whatever was read ahead. */
static void divergence_is_named_though_data_are_read_ahead(void **state)
{
    (void)state;
    nn_data *data = plane(22, .1, false);
    ((double *)ad_tensor_data(nn_data_input(data, 0)))[2 * 12] = NAN;
    for (int k = 0; k < 2; k++) {
        nn_error e = {0};
        tap t = {.data = data, .ahead = k};
        nn_data *stream = stream_of(&t, true);
        nn_model *m = linear(2, 1, 1);
        nn_fit(m, stream, &(nn_fit_config){.loss = NN_MSE, .batch = 5, .epochs = 2}, &e);
        FAILS(e, AD_NOT_FINITE, "batch 3: element 0 in row 12 of the data's input is NaN");
        nn_model_free(m);
        nn_data_free(stream);
    }
    nn_data_free(data);
}

/* ---- threads of a context ---------------------------------------------------------------- */

static void threads_of_a_context_do_not_change_the_bits(void **state)
{
    (void)state;
    nn_data *data = wide();
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        nn_error e = {0};
        nn_model *want = wide_model(dtype, NULL);
        nn_fit_config c = wide_config(data);
        nn_fit(want, data, &c, &e);
        for (int threads = 0; threads <= 4; threads++) {
            ad_context *context = ad_context_new(&(ad_context_config){.threads = threads});
            nn_model *m = wide_model(dtype, context);
            nn_fit(m, data, &c, &e);
            FINE(e);
            same_fits(m, want);
            nn_model_free(m);
            ad_context_free(context);
        }
        nn_model_free(want);
    }
    nn_data_free(data);
}

static void *fit_wide(void *of)
{
    job *j = of;
    const nn_fit_config c = wide_config(j->data);
    nn_model *m = wide_model(AD_F32, NULL);
    j->failed = nn_fit(m, j->data, &c, NULL) != AD_OK;
    ad_tensor_read(ad_param_value(nn_param_at(m, 0)), j->results);
    nn_model_free(m);
    return NULL;
}

/* On the same data, each with a thread that reads ahead. */
static void many_fits_at_once_give_the_bits_of_one(void **state)
{
    enum { WEIGHTS = WIDE * 40 };
    (void)state;
    pthread_t threads[THREADS + 1];
    job jobs[THREADS + 1];
    nn_data *data = wide();
    for (int i = 0; i <= THREADS; i++)
        jobs[i] = (job){.data = data, .results = calloc(WEIGHTS, sizeof(double))};
    fit_wide(&jobs[0]);
    for (int i = 1; i <= THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fit_wide, &jobs[i]), 0);
    for (int i = 1; i <= THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(jobs[i].failed);
        assert_memory_equal(jobs[i].results, jobs[0].results, WEIGHTS * sizeof(double));
    }
    for (int i = 0; i <= THREADS; i++)
        free(jobs[i].results);
    nn_data_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_get_the_bits_of_one),
        cmocka_unit_test(a_thread_reads_the_same_batches),
        cmocka_unit_test(a_fit_that_reads_ahead_gives_the_same_bits),
        cmocka_unit_test(streams_are_read_ahead_where_they_allow_it),
        cmocka_unit_test(divergence_is_named_though_data_are_read_ahead),
        cmocka_unit_test(threads_of_a_context_do_not_change_the_bits),
        cmocka_unit_test(many_fits_at_once_give_the_bits_of_one),
    };
    return cmocka_run_group_tests_name("nn_threads", tests, NULL, NULL);
}
