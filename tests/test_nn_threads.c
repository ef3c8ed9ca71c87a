/* test_nn_threads.c - one model asked by many threads at once
 *
 * Of use under ThreadSanitizer above all. */
#include "expect.h"
#include "nn.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_get_the_bits_of_one),
    };
    return cmocka_run_group_tests_name("nn_threads", tests, NULL, NULL);
}
