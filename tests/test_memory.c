/* test_memory.c - running out of memory, at every single allocation: reported, nothing lost,
 * nothing broken
 *
 * A scenario uses every part of the library once. It is run with an allocator whose k-th call
 * fails, for k = 0, 1, 2 ... until it comes through, with and without address space that is
 * reserved first. Arenas are made so small here that each request of theirs is a call of the
 * allocator. */
#define AD_SMALL_CHUNKS
#include "memory.c" /* in place of the library's, which the linker then leaves out */
/* first, since it asks for more of the system's headers */
#include "allocator.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

static const double numbers[24] = {1,  -2,  3,  -4,  5,  -6,  7,  -8,  9,  -10, 11, -12,
                                   13, -14, 15, -16, 17, -18, 19, -20, 21, -22, 23, -24};
static const int32_t ints[6] = {0, 1, 1, 0, 1, 0};
static const int64_t s3[1] = {3}, s23[2] = {2, 3}, s32[2] = {3, 2}, s2[1] = {2},
                     s223[3] = {2, 2, 3};

/* ---- scenarios: each gives a status, and adds to a sum that shows whether all is right ---- */

typedef struct stage {
    const ad_context *context;
    ad_tape *t;
    ad_param *param;
    double sum;
} stage;

static ad_status read_sum(stage *s, ad_var y)
{
    double out[64] = {0};
    ad_status status = ad_size(y) > 64 ? AD_TOO_LARGE : ad_read(y, out);
    for (int64_t i = 0; !status && i < ad_size(y); i++)
        s->sum += out[i] * (double)(i + 1);
    return status;
}

static ad_status scalars(stage *s)
{
    ad_tape *t = s->t;
    ad_var x = ad_input(t, 1.5), y = x;
    for (int i = 0; i < 6000; i++) /* past the first pages */
        y = ad_sin(ad_add(y, x));
    y = ad_fma(y, 2, ad_clamp(x, 0, 1));
    ad_lt(y, 100);
    ad_retain(y);
    ad_status status = ad_backward(y);
    s->sum += ad_value(y) + ad_grad(x) + ad_grad(y);
    if (!status)
        status = ad_backward_add(y);
    if (!status)
        status = ad_backward_keep(y);
    if (!status)
        status = ad_replay(t);
    s->sum += ad_grad(x);
    return status;
}

/* one of each family */
static ad_var families(stage *s, ad_var a, ad_var w)
{
    ad_tape *t = s->t;
    ad_var classes = ad_constant_array(t, AD_I32, 1, s2, ints),
           index = ad_constant_array(t, AD_I32, 2, s23, ints), parts[3];
    ad_split(a, 3, 1, parts);
    ad_var few[4] = {ad_norm(a), ad_norm(w), ad_sum(w), ad_mean(a)};
    const ad_var all[] = {
        ad_sum(ad_mul(ad_exp(a), ad_sub(w, 1))),
        ad_where(ad_less(ad_sum(a), 0), ad_mean(a), ad_prod(a)),
        ad_sum(ad_matmul(a, ad_transpose(a))),
        ad_sum(ad_matmul(ad_reshape(ad_concat(2, (const ad_var[]){a, a}, 0), 3, s223),
                         ad_permute(a, (const int[]){1, 0}))),
        ad_sum(ad_outer(w, w)),
        ad_dot(w, w),
        ad_sum(ad_amax_axes(a, 1, (const int[]){0}, true)),
        ad_amin(a),
        ad_norm(a),
        ad_logsumexp(a),
        ad_var_of(a, 1),
        ad_sum(ad_std_axes(a, 1, (const int[]){1}, false, 0)),
        ad_sum(ad_cumsum(a, 1)),
        ad_sum(ad_cumprod(a, -1)),
        ad_sum(ad_expand(w, 2, s23)),
        ad_sum(ad_slice(a, 1, 0, 3, 2)),
        ad_sum(ad_flip(a, 0)),
        ad_sum(ad_repeat(a, 0, 2)),
        ad_sum(ad_stack(2, (const ad_var[]){w, w}, 0)),
        ad_sum(parts[1]),
        ad_sum(ad_pad(a, (const int64_t[]){1, 0}, (const int64_t[]){0, 1}, 3)),
        ad_sum(ad_tril(a, 0)),
        ad_sum(ad_triu(a, 1)),
        ad_sum(ad_diag(w)),
        ad_trace(ad_matmul(a, ad_reshape(a, 2, s32))),
        ad_at(a, (const int64_t[]){1, 2}),
        ad_sum(ad_take(a, 1, classes)),
        ad_sum(ad_gather(a, 0, index)),
        ad_sum(ad_scatter_add(a, 0, index, a)),
        ad_sum(ad_cast(ad_cast(a, AD_F32), AD_F64)),
        ad_sum(ad_cast(ad_argmax(a, 1), AD_F64)),
        ad_sum(ad_mul(ad_softmax(a, 1), a)),
        ad_sum(ad_mul(ad_log_softmax(a, 0), a)),
        ad_sum(ad_maxout(ad_reshape(a, 1, (const int64_t[]){6}), 0, 2)),
        ad_sum(ad_softmax_cross_entropy(a, classes)),
        ad_sum(ad_softmax_cross_entropy(a, ad_softmax(a, 1))),
        ad_sum(ad_mul(ad_stop_gradient(a), a)),
        ad_sum(ad_random_uniform(t, 1, AD_F64, 1, s3)),
        ad_sum(ad_random_normal(t, 1, AD_F32, 1, s3)),
        ad_sum(ad_random_bernoulli(t, 1, .5, AD_F64, 1, s3)),
        ad_sum(ad_cast(ad_random_permutation(t, 1, 3), AD_F64)),
        ad_dot_n(4, few, few),
        ad_affine_n(4, numbers, few, 1),
        ad_norm_n(4, few),
        ad_polynomial_n(4, few, few[0]),
        ad_horner_n(4, numbers, few[1]),
        ad_sum(ad_prod_n(2, (const ad_var[]){w, w})),
        ad_sum(ad_bce_logits(w, .5)),
    };
    return ad_sum_n((int)(sizeof all / sizeof *all), all);
}

static ad_status tensors(stage *s)
{
    ad_tape *t = s->t;
    ad_tensor *borrowed = ad_tensor_from(s->context, AD_F64, 2, s23, numbers);
    ad_tensor *turned = borrowed ? ad_tensor_permuted(borrowed, (const int[]){1, 0}) : NULL;
    ad_status status = borrowed && turned ? AD_OK : AD_NO_MEMORY;
    ad_scope_push(t, "tensors");
    ad_var a = ad_input_array(t, AD_F64, 2, s23, numbers), w = ad_use(t, s->param);
    ad_var y =
        ad_add(families(s, a, w), status ? ad_constant(0) : ad_sum(ad_mul(ad_bind(t, turned), 2)));
    ad_scope_pop(t);
    ad_pause(t);
    s->sum += ad_value(ad_sum(ad_mul(a, 3)));
    ad_resume(t);
    if (!status)
        status = ad_backward(y);
    if (!status)
        status = read_sum(s, y);
    double g[6] = {0};
    if (!status)
        status = ad_grad_read(a, g);
    for (int i = 0; i < 6; i++)
        s->sum += g[i];
    ad_tensor *copy = status ? NULL : ad_read_tensor(a),
              *gradient = status ? NULL : ad_grad_tensor(w);
    if (!status && (!copy || !gradient))
        status = AD_NO_MEMORY;
    ad_tensor_free(copy);
    ad_tensor_free(gradient);
    ad_tensor_free(borrowed);
    ad_tensor_free(turned);
    return status;
}

static ad_status derivatives(stage *s)
{
    ad_tape *t = s->t;
    ad_var a = ad_input_array(t, AD_F64, 2, s23, numbers), x = ad_input(t, .5),
           w = ad_use(t, s->param);
    ad_var y = ad_add(families(s, a, w), ad_mul(ad_exp(x), ad_sum(ad_square(a)))), in[2] = {a, x},
           g[2] = {{0}}, h;
    double tangents[12] = {1, 2, 3}, first[2] = {1, 2}, out[2] = {0}, products[6] = {0}, scalar = 0;
    const double *const seeds[2] = {tangents, first};
    double *const results[1] = {out}, *const hvp[2] = {products, &scalar};
    ad_status status = ad_vjp(1, &y, (const double *const[]){&numbers[4]});
    if (!status)
        status = ad_jvp(2, in, seeds, 1, &y, results, 2);
    ad_mark mark = ad_mark_here(t);
    if (!status)
        status = ad_gradients(y, 2, in, g);
    h = ad_grad_of(ad_sum(ad_mul(g[0], g[0])), x);
    if (!status)
        status = read_sum(s, h);
    if (!status)
        status = ad_backward(h);
    if (!status)
        status = ad_rewind(t, mark);
    ad_var z = ad_mul(ad_exp(x), ad_sum(ad_square(a)));
    if (!status)
        status = ad_hvp(z, 2, in, seeds, hvp);
    s->sum += out[0] + out[1] + products[0] + products[5] + scalar;
    return status;
}

static ad_status run_program(stage *s, const ad_program *p, ad_tensor *own)
{
    ad_workspace *w = ad_workspace_new(p), *other = ad_workspace_new(p);
    double x[7] = {.5, 1, 2, 3, 4, 5, 6}, out[8] = {0}, g[3] = {0};
    ad_status status = ad_run(w, x, out);
    if (!status)
        status = ad_workspace_bind(other, 0, own);
    for (int i = 0; i < 3 && !status; i++)
        status = ad_run(other, x, out);
    if (!status)
        status = ad_workspace_read_param_gradient(other, 0, g);
    s->sum += out[0] + out[1] + out[7] + g[1];
    ad_workspace_free(w);
    ad_workspace_free(other);
    return status;
}

static ad_status programs(stage *s)
{
    ad_tape *t = s->t;
    ad_scope_push(t, "step");
    ad_var x[2] = {ad_input(t, .5), ad_input_array(t, AD_F64, 2, s23, numbers)},
           w = ad_use(t, s->param);
    ad_var y = ad_add(families(s, x[1], w), ad_exp(x[0]));
    ad_scope_pop(t);
    ad_lt(x[0], 2);
    ad_var next = ad_sub(w, ad_mul(.001, ad_grad_of(ad_sum(ad_mul(w, w)), w)));
    ad_status status = ad_assign(w, next);
    ad_program *p = status ? NULL : ad_program_capture(t, 2, x, 1, &y, AD_GRADIENT);
    if (!status && !p)
        status = ad_tape_status(t);
    ad_tensor *own = p ? ad_tensor_from(s->context, AD_F64, 1, s3, numbers) : NULL;
    if (!status)
        status = ad_commit(t);
    if (!status)
        status = own ? run_program(s, p, own) : AD_NO_MEMORY;
    ad_tensor_free(own);
    ad_program_free(p);
    return status;
}

static bool half_value(void *user, int n, const ad_array *a, ad_array *y)
{
    for (int64_t i = 0; !user && n && i < y->size; i++)
        y->data[i] = a[0].data[i] / 2;
    return true;
}
static bool half_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *dy, ad_array *da)
{
    (void)a;
    for (int64_t i = 0; !user && n && i < y->size; i++)
        da[0].data[i] += dy->data[i] / 2;
    return true;
}
static bool half_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *da, ad_array *dy)
{
    (void)a;
    for (int64_t i = 0; !user && n && i < y->size; i++)
        dy->data[i] = da[0].data[i] / 2;
    return true;
}
static const ad_operation half = {
    .name = "half", .value = half_value, .adjoint = half_adjoint, .tangent = half_tangent};

static ad_status odds(stage *s)
{
    ad_tape *t = s->t;
    enum { MANY = 40 };
    char name[16];
    for (int i = 0; i < MANY; i++) { /* the table of scopes grows */
        snprintf(name, sizeof name, "s%d", i);
        ad_scope_push(t, name);
        ad_scope_pop(t);
    }
    ad_param *many[MANY] = {0};
    ad_status status = AD_OK;
    ad_var sum = ad_constant(0);
    for (int i = 0; i < MANY; i++) { /* and that of parameters */
        many[i] = ad_param_new("p", ad_tensor_from(s->context, AD_F32, 1, s3, numbers), false);
        if (!many[i])
            status = AD_NO_MEMORY;
        else
            sum = ad_add(sum, ad_sum(ad_use(t, many[i])));
    }
    ad_var v = ad_input_array(t, AD_F32, 1, s3, numbers), y = ad_call(t, &half, NULL, 1, &v, 1, s3);
    ad_retain(y);
    ad_mark_here(t);
    if (!status)
        status =
            ad_backward(ad_add(sum, ad_sum(ad_mul(y, ad_input_array(t, AD_F64, 1, s3, numbers)))));
    double out = 0, *const results[1] = {&out};
    ad_var z = ad_sum(y);
    if (!status)
        status = ad_jvp(1, &v, (const double *const[]){numbers}, 1, &z, results, 1);
    s->sum += ad_value(z) + out;
    ad_tensor *from = ad_tensor_from(s->context, AD_F64, 2, s23, numbers),
              *part = ad_tensor_sliced(from, 1, 2, INT64_MIN, -1);
    if (!from || !part || ad_tensor_copy(part, from))
        status = AD_NO_MEMORY;
    ad_tensor_free(from);
    ad_tensor_free(part);
    ad_reset(t);
    for (int i = 0; i < MANY; i++)
        ad_param_free(many[i]);
    return status;
}

static ad_status compile_and_run(stage *s, int n, const ad_var *x, int m, const ad_var *y, int want,
                                 const double *in, double *out)
{
    ad_program *p = ad_compile(s->t, n, x, m, y, &(ad_compile_config){.want = want});
    ad_workspace *w = p ? ad_workspace_new(p) : NULL;
    ad_status status = w ? ad_run(w, in, out) : ad_tape_status(s->t);
    ad_workspace_free(w);
    ad_program_free(p);
    return status;
}

static ad_status compiled(stage *s)
{
    enum { N = 12 };
    ad_var x[N], y[2] = {ad_constant(1), ad_constant(2)};
    double in[2 * N + 2], out[200];
    for (int i = 0; i < N; i++)
        x[i] = ad_input(s->t, in[i] = .1 * i);
    for (int i = 0; i < 2 * N + 2; i++)
        in[i] = .1 * i;
    for (int i = 0; i < N / 2; i++) {
        y[0] = ad_add(y[0], ad_mul(x[i], ad_sin(x[N - 1 - i])));
        y[1] = ad_tanh(ad_add(ad_mul(y[1], x[i]), ad_pow(x[i], ad_constant(2))));
    }
    (ad_lt)(y[1], ad_constant(5));
    ad_status status = compile_and_run(
        s, N, x, 2, y, AD_GRADIENT | AD_VJP | AD_JVP | AD_JACOBIAN | AD_HVP, in, out);
    for (int i = 0; i < 2 + 5 * N && !status; i++)
        s->sum += out[i];
    ad_reset(s->t);
    ad_var v = ad_input_array(s->t, AD_F64, 1, s3, numbers), z = ad_sum(ad_mul(v, ad_exp(v)));
    if (!status)
        status = compile_and_run(s, 1, &v, 1, &z, AD_GRADIENT | AD_JVP | AD_HVP, in, out);
    for (int i = 0; i < 1 + 3 + 1 + 3 && !status; i++)
        s->sum += out[i];
    return status;
}

/* ---- running them ---- */

typedef ad_status scene(stage *s);

static ad_status play(scene *play_scene, probe *memory, const ad_allocator *allocator, double *sum)
{
    ad_context *c =
        ad_context_new(&(ad_context_config){.allocator = allocator, .checksum_borrowed = true});
    if (!c)
        return AD_NO_MEMORY;
    stage s = {.context = c, .t = ad_tape_new(c)};
    s.param = ad_param_new("weights", ad_tensor_from(c, AD_F64, 1, s3, numbers), true);
    ad_status status = s.param ? play_scene(&s) : AD_NO_MEMORY;
    ad_status kept = ad_tape_status(s.t);
    if (!status && memory->failed) /* an error that no closing call has met is still on the tape */
        status = kept;
    if (!status)
        *sum = s.sum;
    if (kept && !*ad_tape_error(s.t))
        status = AD_STATUS_COUNT; /* an error has a text */
    ad_tape_free(s.t);
    ad_param_free(s.param);
    ad_context_free(c);
    return status;
}

static void check_balance(const probe *p, long k)
{
    if (p->blocks || p->bytes || p->wrong_sizes || p->overruns)
        fail_msg("call %ld failed: %ld blocks of %ld bytes not given back, %ld with another size, "
                 "%ld overrun",
                 k, p->blocks, p->bytes, p->wrong_sizes, p->overruns);
}

static void fail_at_every_call(scene *one)
{
    double want = NAN;
    for (int reserving = 1; reserving >= 0; reserving--) {
        probe p;
        double sum = NAN;
        ad_allocator a = probe_allocator(&p, reserving);
        ad_status status = play(one, &p, &a, &sum);
        if (status)
            fail_msg("without failures: got %s", ad_status_name(status));
        check_balance(&p, -1);
        if (isnan(sum) || (!reserving && sum != want))
            fail_msg("got the sum %.17g, want %.17g", sum, want);
        want = sum;
        long calls = p.calls;
        for (long k = 0; k < calls; k++) {
            a = probe_allocator(&p, reserving);
            p.fail_at = k;
            sum = want;
            status = play(one, &p, &a, &sum);
            /* address space that cannot be reserved is done without: copying instead */
            if (status != AD_NO_MEMORY && !(status == AD_OK && p.reserve_failed && sum == want))
                fail_msg("%s, call %ld of %ld failed: got %s, sum %.17g; want AD_NO_MEMORY",
                         reserving ? "reserving" : "copying", k, calls, ad_status_name(status),
                         sum);
            check_balance(&p, k);
        }
    }
}

static void scalars_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(scalars);
}

static void tensors_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(tensors);
}

static void derivatives_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(derivatives);
}

static void programs_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(programs);
}

static void compiled_programs_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(compiled);
}

static void tables_and_custom_operations_survive_every_failure(void **state)
{
    (void)state;
    fail_at_every_call(odds);
}

static void a_tape_recovers_from_every_failure_by_reset(void **state)
{
    (void)state;
    for (int reserving = 0; reserving < 2; reserving++) {
        probe p;
        ad_allocator a = probe_allocator(&p, reserving);
        ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
        bool through = false;
        for (long k = 0; !through; k++) {
            p.fail_at = -1;
            ad_tape *t = ad_tape_new(c);
            stage s = {.context = c,
                       .t = t,
                       .param = ad_param_new("w", ad_tensor_from(c, AD_F64, 1, s3, numbers), true)};
            p.fail_at = p.calls + k;
            p.failed = 0;
            through = tensors(&s) == AD_OK && !p.failed;
            p.fail_at = -1;
            ad_reset(t);
            if (ad_tape_status(t) == AD_NO_MEMORY)
                fail_msg("call %ld: the reset did not help: %s", k, ad_tape_error(t));
            double sum = s.sum = 0;
            if (tensors(&s))
                fail_msg("call %ld: after the reset: %s", k, ad_tape_error(t));
            sum = s.sum;
            s.sum = 0;
            ad_reset(t);
            if (tensors(&s) || s.sum != sum)
                fail_msg("call %ld: got the sum %.17g, want %.17g", k, s.sum, sum);
            ad_tape_free(t);
            ad_param_free(s.param);
        }
        ad_context_free(c);
        check_balance(&p, -1);
    }
}

/* ---- arenas and growing arrays ---- */

static void an_arena_hands_out_aligned_memory_again_after_a_rewind(void **state)
{
    (void)state;
    probe p;
    ad_allocator a = probe_allocator(&p, false);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    arena m = {.context = c};
    arena_mark start = arena_here(&m);
    void *first = arena_take(&m, 10);
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_true(arena_holds(&m, start, first));
    arena_mark mark = arena_here(&m);
    assert_false(arena_holds(&m, mark, first));
    void *large = arena_take(&m, 1 << 20), *small = arena_take(&m, 1);
    assert_int_equal((uintptr_t)large % 64, 0);
    assert_true(arena_holds(&m, mark, large) && arena_holds(&m, mark, small));
    long calls = p.calls;
    for (int i = 0; i < 5; i++) {
        arena_rewind(&m, mark);
        assert_ptr_equal(arena_take(&m, 1 << 20), large);
        assert_ptr_equal(arena_take(&m, 1), small);
    }
    arena_reset(&m);
    assert_ptr_equal(arena_take(&m, 10), first);
    assert_null(arena_take(&m, SIZE_MAX - 100));
    assert_int_equal(p.calls, calls);
    char *zeros = arena_zeros(&m, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    arena_free(&m);
    ad_context_free(c);
    check_balance(&p, -1);
}

static void a_growing_array_keeps_what_it_holds(void **state)
{
    (void)state;
    for (int reserving = 0; reserving < 2; reserving++) {
        probe p;
        ad_allocator a = probe_allocator(&p, reserving);
        ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
        pages grown = {0};
        const size_t most = 1 << 22;
        for (size_t n = 1; n <= most; n *= 3) {
            assert_true(pages_grow(c, &grown, n, most));
            assert_true(grown.committed >= n);
            ((unsigned char *)grown.base)[n - 1] = (unsigned char)n;
            for (size_t k = 1; k <= n; k *= 3)
                assert_int_equal(((unsigned char *)grown.base)[k - 1], (unsigned char)k);
        }
        assert_false(pages_grow(c, &grown, most + 1, most));
        assert_true(pages_grow(c, &grown, most, most));
        pages_free(c, &grown);
        ad_context_free(c);
        check_balance(&p, -1);
    }
}

static void a_smaller_reservation_is_tried_where_a_large_one_fails(void **state)
{
    (void)state;
    probe p;
    ad_allocator a = probe_allocator(&p, true);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    pages grown = {0};
    p.fail_at = p.calls;
    assert_true(pages_grow(c, &grown, 100, 1 << 22));
    if (ad_default_allocator().reserve)
        assert_int_equal(grown.reserved, 1 << 21);
    memset(grown.base, 7, 100);
    assert_true(pages_grow(c, &grown, (1 << 21) + 1, 1 << 22)); /* past it: moved */
    assert_int_equal(((unsigned char *)grown.base)[99], 7);
    pages_free(c, &grown);
    ad_context_free(c);
    check_balance(&p, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_survive_every_failure),
        cmocka_unit_test(tensors_survive_every_failure),
        cmocka_unit_test(derivatives_survive_every_failure),
        cmocka_unit_test(programs_survive_every_failure),
        cmocka_unit_test(compiled_programs_survive_every_failure),
        cmocka_unit_test(tables_and_custom_operations_survive_every_failure),
        cmocka_unit_test(a_tape_recovers_from_every_failure_by_reset),
        cmocka_unit_test(an_arena_hands_out_aligned_memory_again_after_a_rewind),
        cmocka_unit_test(a_growing_array_keeps_what_it_holds),
        cmocka_unit_test(a_smaller_reservation_is_tried_where_a_large_one_fails),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
