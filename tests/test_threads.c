/* test_threads.c - many tapes at once, one program run by many threads, tensors shared between them
 *
 * Of use under ThreadSanitizer above all. */
#include "ad.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 40, SIZE = 37 };

static const int64_t vector[1] = {SIZE}, matrix[2] = {SIZE, SIZE};

typedef struct job {
    int number;
    const ad_program *program;
    ad_tensor *tensor;
    ad_param *param;
    double results[ROUNDS][SIZE + 1];
    bool failed;
} job;

static void fill(double *x, int n, int seed)
{
    for (int i = 0; i < n; i++)
        x[i] = sin(1.0 + i * .37 + seed * 1.7);
}

/* runs `work` for each job, at once or one after the other; checks are made by the caller, in one
 * thread */
static void run_jobs(job *jobs, void *(*work)(void *), bool at_once)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (!at_once)
            work(&jobs[i]);
        else if (pthread_create(&threads[i], NULL, work, &jobs[i]))
            fail_msg("no thread %d", i);
    for (int i = 0; at_once && i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        if (jobs[i].failed)
            fail_msg("job %d failed", i);
}

static void compare(const job *got, const job *want)
{
    for (int i = 0; i < THREADS; i++)
        for (int r = 0; r < ROUNDS; r++)
            for (int k = 0; k <= SIZE; k++)
                if (memcmp(&got[i].results[r][k], &want[i].results[r][k], sizeof(double)))
                    fail_msg("thread %d, round %d, number %d: got %.17g, want %.17g", i, r, k,
                             got[i].results[r][k], want[i].results[r][k]);
}

static ad_var model(ad_var m, ad_var v)
{
    ad_var h = ad_tanh(ad_matmul(m, v));
    return ad_add(ad_logsumexp(ad_mul(h, v)), ad_mul(ad_norm(v), ad_sum(ad_softmax(h, 0))));
}

static job *jobs_new(const ad_program *program, ad_tensor *tensor, ad_param *param)
{
    job *jobs = calloc(THREADS, sizeof *jobs);
    for (int i = 0; i < THREADS; i++) {
        jobs[i].number = i;
        jobs[i].program = program;
        jobs[i].tensor = tensor;
        jobs[i].param = param;
    }
    return jobs;
}

static void both_ways(void *(*work)(void *), const ad_program *program, ad_tensor *tensor,
                      ad_param *param)
{
    job *serial = jobs_new(program, tensor, param), *parallel = jobs_new(program, tensor, param);
    run_jobs(serial, work, false);
    run_jobs(parallel, work, true);
    compare(parallel, serial);
    free(serial);
    free(parallel);
}

static void *tape_work(void *of)
{
    job *j = of;
    static const char *const scopes[] = {"one", "two", "three"};
    double x[SIZE * SIZE];
    ad_tape *t = ad_tape_new(NULL);
    for (int r = 0; r < ROUNDS; r++) {
        fill(x, SIZE * SIZE, 100 * j->number + r);
        ad_scope_push(t, scopes[r % 3]);
        ad_seed(t, (uint64_t)j->number);
        ad_var m = ad_input_array(t, AD_F64, 2, matrix, x), w = ad_use(t, j->param),
               s = ad_input(t, x[0]);
        ad_var v = ad_add(w, ad_mul(ad_random_normal(t, 1, AD_F64, 1, vector), s));
        for (int i = 0; i < 500; i++)
            s = ad_sin(ad_mul(s, 1.01));
        ad_var y = ad_add(model(m, v), s);
        j->failed |= ad_backward(y) != AD_OK || ad_grad_read(w, j->results[r] + 1) != AD_OK;
        j->results[r][0] = ad_value(y);
        ad_reset(t);
        ad_sin((ad_var){0});
        ad_matmul(ad_input_array(t, AD_F64, 2, matrix, x),
                  ad_input_array(t, AD_F64, 1, (const int64_t[]){1}, x));
        j->failed |= ad_tape_status(t) != AD_BAD_SHAPE; /* errors are a tape's own, too */
        ad_reset(t);
    }
    ad_tape_free(t);
    return NULL;
}

static ad_param *new_param(void)
{
    double x[SIZE];
    fill(x, SIZE, 5);
    return ad_param_new("w", ad_tensor_from(NULL, AD_F64, 1, vector, x), true);
}

static void tapes_in_many_threads_give_the_bits_of_one_after_the_other(void **state)
{
    (void)state;
    ad_param *p = new_param();
    both_ways(tape_work, NULL, NULL, p);
    ad_param_free(p);
}

static void *program_work(void *of)
{
    job *j = of;
    double x[SIZE], out[2 * SIZE + 2];
    ad_workspace *w = ad_workspace_new(j->program);
    for (int r = 0; r < ROUNDS; r++) {
        fill(x, SIZE, 100 * j->number + r);
        j->failed |=
            ad_run(w, x, out) != AD_OK || ad_workspace_read_param_gradient(w, 0, out + 1) != AD_OK;
        memcpy(j->results[r], out, sizeof j->results[r]);
        x[0] = -2; /* asks for another tape */
        j->failed |= ad_run(w, x, out) != AD_RETAPE || !strstr(ad_workspace_error(w), "-2 < -1");
    }
    ad_workspace_free(w);
    return NULL;
}

static ad_program *new_program(ad_param *p)
{
    double x[SIZE * SIZE];
    fill(x, SIZE * SIZE, 0);
    ad_tape *t = ad_tape_new(NULL);
    ad_var m = ad_constant_array(t, AD_F64, 2, matrix, x),
           v = ad_input_array(t, AD_F64, 1, vector, x), w = ad_use(t, p);
    ad_lt(ad_at(v, (const int64_t[]){0}), -1);
    ad_var y = model(m, ad_add(v, ad_mul(w, ad_random_uniform(t, 3, AD_F64, 1, vector))));
    ad_program *program = ad_program_capture(t, 1, &v, 1, &y, AD_GRADIENT);
    if (!program)
        fail_msg("no program: %s", ad_tape_error(t));
    ad_tape_free(t);
    return program;
}

static void one_program_in_many_threads_gives_the_bits_of_one_after_the_other(void **state)
{
    (void)state;
    ad_param *p = new_param();
    ad_program *program = new_program(p);
    both_ways(program_work, program, NULL, p);
    ad_program_free(program);
    ad_param_free(p);
}

static void *compiled_work(void *of)
{
    job *j = of;
    double x[SIZE];
    ad_workspace *w = ad_workspace_new(j->program);
    for (int r = 0; r < ROUNDS; r++) {
        fill(x, SIZE, 100 * j->number + r);
        j->failed |= ad_run(w, x, j->results[r]) != AD_OK;
        double rest[SIZE + 1];
        x[0] = -2; /* asks for another tape */
        j->failed |= ad_run(w, x, rest) != AD_RETAPE || !strstr(ad_workspace_error(w), "-2 < -1");
    }
    ad_workspace_free(w);
    return NULL;
}

static void one_compiled_program_in_many_threads_gives_the_bits_of_one_after_the_other(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[SIZE], y = ad_constant(0);
    for (int i = 0; i < SIZE; i++)
        x[i] = ad_input(t, 1);
    ad_lt(x[0], -1);
    for (int i = 0; i < SIZE; i++)
        y = ad_add(ad_mul(x[i], ad_sin(x[SIZE - 1 - i])), ad_tanh(y));
    ad_program *program = ad_compile(t, SIZE, x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
    if (!program)
        fail_msg("no program: %s", ad_tape_error(t));
    ad_tape_free(t);
    both_ways(compiled_work, program, NULL, NULL);
    ad_program_free(program);
}

/* each with states of its own, bound in place of the parameter's */
static void *training_work(void *of)
{
    job *j = of;
    double x[SIZE];
    fill(x, SIZE, j->number);
    ad_tensor *own = ad_tensor_from(NULL, AD_F64, 1, vector, x);
    ad_workspace *w = ad_workspace_new(j->program);
    j->failed |= ad_workspace_bind(w, 0, own) != AD_OK;
    for (int r = 0; r < ROUNDS; r++) {
        j->failed |= ad_run(w, NULL, j->results[r]) != AD_OK;
        j->failed |= ad_tensor_read(own, j->results[r] + 1) != AD_OK;
    }
    ad_workspace_free(w);
    ad_tensor_free(own);
    return NULL;
}

static void states_bound_to_workspaces_are_trained_apart(void **state)
{
    (void)state;
    ad_param *p = new_param();
    ad_tape *t = ad_tape_new(NULL);
    ad_var w = ad_use(t, p), y = ad_sum(ad_square(ad_sub(ad_exp(w), 2)));
    ad_assign(w, ad_sub(w, ad_mul(.01, ad_grad_of(y, w))));
    ad_program *program = ad_program_capture(t, 0, NULL, 1, &y, AD_VALUES);
    assert_non_null(program);
    ad_tape_free(t);
    both_ways(training_work, program, NULL, p);
    ad_program_free(program);
    ad_param_free(p);
}

static void *sharing_work(void *of)
{
    job *j = of;
    ad_tape *t = ad_tape_new(NULL);
    for (int r = 0; r < ROUNDS; r++) {
        ad_tensor *mine = ad_tensor_retain(j->tensor),
                  *view = ad_tensor_sliced(mine, 0, j->number, SIZE, 2),
                  *turned = ad_tensor_permuted(view, (const int[]){0});
        ad_var y = ad_sum(ad_square(ad_bind(t, turned)));
        ad_tensor_free(view);
        ad_tensor_free(mine);
        ad_tensor_free(turned);
        j->failed |= ad_backward(y) != AD_OK;
        j->results[r][0] = ad_value(y);
        ad_reset(t);
    }
    ad_tape_free(t);
    return NULL;
}

static void references_to_a_shared_tensor_are_counted_right(void **state)
{
    (void)state;
    double x[SIZE];
    fill(x, SIZE, 1);
    ad_tensor *shared = ad_tensor_from(NULL, AD_F64, 1, vector, x);
    both_ways(sharing_work, NULL, shared, NULL);
    assert_true(ad_tensor_get(shared, (const int64_t[]){3}) == x[3]);
    ad_tensor_free(shared); /* the last: AddressSanitizer finds one too few or too many */
}

enum { TALL = 700, WIDE = 333, RESULTS = 2 * WIDE + TALL + 2 * TALL * WIDE };

/* sums down and across, softmaxes, their cross-entropy: all that threads of a context share */
static void shared_results(const ad_context *context, ad_dtype dtype, double *out)
{
    const int64_t shape[2] = {TALL, WIDE}, rows[1] = {TALL};
    ad_tensor *x = ad_tensor_new(NULL, dtype, 2, shape), *y = ad_tensor_new(NULL, AD_I32, 1, rows);
    for (int64_t i = 0; i < TALL; i++)
        for (int64_t j = 0; j < WIDE; j++)
            ad_tensor_set(x, (const int64_t[]){i, j}, 9 * sin((double)(i * WIDE + j)));
    for (int64_t i = 0; i < TALL; i++)
        ad_tensor_set(y, &i, (double)(i * 7 % WIDE));
    ad_tape *t = ad_tape_new(context);
    ad_var a = ad_input_tensor(t, x), classes = ad_constant_tensor(t, y);
    ad_var all[5] = {ad_sum_axes(a, 1, (int[]){0}, false),
                     ad_mean_axes(ad_exp(a), 1, (int[]){0}, false),
                     ad_softmax_cross_entropy(a, classes), ad_softmax(a, 0), ad_softmax(a, 1)};
    for (int k = 0; k < 5; k++) {
        assert_int_equal(ad_read(all[k], out), AD_OK);
        out += ad_size(all[k]);
    }
    ad_tape_free(t);
    ad_tensor_free(x);
    ad_tensor_free(y);
}

static void what_the_threads_of_a_context_share_has_the_bits_of_one(void **state)
{
    (void)state;
    ad_context *context = ad_context_new(&(ad_context_config){.threads = 3});
    double *one = malloc(2 * RESULTS * sizeof *one), *three = one + RESULTS;
    assert_non_null(one);
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        shared_results(NULL, dtype, one);
        shared_results(context, dtype, three);
        for (int i = 0; i < RESULTS; i++)
            if (memcmp(one + i, three + i, sizeof *one))
                fail_msg("%s: number %d: %.17g by one thread, %.17g by three", ad_dtype_name(dtype),
                         i, one[i], three[i]);
    }
    free(one);
    ad_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tapes_in_many_threads_give_the_bits_of_one_after_the_other),
        cmocka_unit_test(one_program_in_many_threads_gives_the_bits_of_one_after_the_other),
        cmocka_unit_test(
            one_compiled_program_in_many_threads_gives_the_bits_of_one_after_the_other),
        cmocka_unit_test(states_bound_to_workspaces_are_trained_apart),
        cmocka_unit_test(references_to_a_shared_tensor_are_counted_right),
        cmocka_unit_test(what_the_threads_of_a_context_share_has_the_bits_of_one),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
