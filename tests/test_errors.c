/* test_errors.c - every bad input is an error with a text, stays until the reset, and does no harm
 */
#include "allocator.h"
#include "expect.h"

static const double numbers[24] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                   13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

/* ---- a tape with something of every kind ---- */

struct fixture {
    probe memory;
    ad_context *context;
    ad_tape *t, *foreign;
    ad_param *param;
    ad_var x, v3_1, v2, v3, v4, f3, m34, m52, t234, t343, t8, empty30;
    ad_var classes3, classes5, indices22, beyond2, before2;
    ad_var state, other, other_m, stale, stale_v;
};

static ad_var doubles(ad_tape *t, int rank, const int64_t *shape)
{
    return ad_input_array(t, AD_F64, rank, shape, numbers);
}

static ad_var integers(ad_tape *t, int rank, const int64_t *shape, const int32_t *values)
{
    return ad_constant_array(t, AD_I32, rank, shape, values);
}

static void record_fixture(struct fixture *f)
{
    ad_tape *t = f->t;
    const int64_t one[1] = {1}, two[1] = {2}, three[1] = {3}, four[1] = {4}, five[1] = {5},
                  s22[2] = {2, 2};
    f->stale = ad_input(t, 1);
    f->stale_v = doubles(t, 1, three);
    ad_reset(t);
    f->x = ad_input(t, 2);
    f->v3_1 = doubles(t, 1, one);
    f->v2 = doubles(t, 1, two);
    f->v3 = doubles(t, 1, three);
    f->v4 = doubles(t, 1, four);
    f->f3 = ad_input_array(t, AD_F32, 1, three, (const float[]){1, 2, 3});
    f->m34 = doubles(t, 2, (const int64_t[]){3, 4});
    f->m52 = doubles(t, 2, (const int64_t[]){5, 2});
    f->t234 = doubles(t, 3, (const int64_t[]){2, 3, 4});
    f->t343 = ad_reshape(ad_concat(3, (const ad_var[]){f->m34, f->m34, f->m34}, 0), 3,
                         (const int64_t[]){3, 4, 3});
    f->t8 = doubles(t, 8, (const int64_t[]){2, 1, 1, 1, 1, 1, 1, 1});
    f->empty30 = ad_input_array(t, AD_F64, 2, (const int64_t[]){3, 0}, NULL);
    f->classes3 = integers(t, 1, three, (const int32_t[]){0, 1, 2});
    f->classes5 = integers(t, 1, five, (const int32_t[]){0, 1, 1, 2, 0});
    f->indices22 = integers(t, 2, s22, (const int32_t[]){0, 1, 1, 0});
    f->beyond2 = integers(t, 1, two, (const int32_t[]){0, 3});
    f->before2 = integers(t, 1, two, (const int32_t[]){-1, 0});
    f->state = ad_use(t, f->param);
    f->other = ad_input(f->foreign, 1);
    f->other_m = doubles(f->foreign, 2, (const int64_t[]){4, 3});
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    ad_allocator a = probe_allocator(&f->memory, true);
    f->context = ad_context_new(&(ad_context_config){.allocator = &a});
    f->t = ad_tape_new(f->context);
    f->foreign = ad_tape_new(f->context);
    f->param = ad_param_new(
        "velocity", ad_tensor_from(f->context, AD_F64, 1, (const int64_t[]){3}, numbers), false);
    record_fixture(f);
    STATUS(ad_tape_status(f->t), AD_OK, f->t);
    STATUS(ad_tape_status(f->foreign), AD_OK, f->foreign);
    return f;
}

static void fixture_free(struct fixture *f)
{
    ad_tape_free(f->t);
    ad_tape_free(f->foreign);
    ad_param_free(f->param);
    ad_context_free(f->context);
    long blocks = f->memory.blocks, bytes = f->memory.bytes, wrong = f->memory.wrong_sizes,
         over = f->memory.overruns;
    free(f);
    if (blocks || bytes || wrong || over)
        fail_msg("%ld blocks of %ld bytes not given back, %ld with another size, %ld overrun",
                 blocks, bytes, wrong, over);
}

static int set_up(void **state)
{
    *state = fixture_new();
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- what is promised of every error ---- */

/* closing calls give the status, reading gives NaN, and nothing is recorded */
static void stays_failed(struct fixture *f, ad_status want)
{
    ad_tape *t = f->t;
    char text[600];
    int64_t nodes = ad_node_count(t);
    snprintf(text, sizeof text, "%s", ad_tape_error(t));
    ad_var later[] = {ad_add(f->x, 1),
                      ad_sum(f->v3),
                      ad_input(t, 3),
                      doubles(t, 1, (const int64_t[]){3}),
                      ad_fma(f->x, 1, 2),
                      ad_mul(f->v3, 2),
                      ad_matmul(f->m34, f->m34),
                      ad_use(t, f->param),
                      ad_stop_gradient(f->x)};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        EQUAL(ad_value(later[i]), NAN);
        STATUS(ad_backward(later[i]), want, t);
    }
    double out[4] = {0}, *outs[1] = {out};
    const double *ins[1] = {numbers};
    ad_var g[1];
    EQUAL(ad_value(f->x), NAN);
    EQUAL(ad_grad(f->x), NAN);
    assert_false(ad_lt(f->x, 100));
    assert_int_equal(ad_rank(f->v3), -1);
    assert_int_equal(ad_size(f->v3), -1);
    assert_null(ad_shape(f->v3));
    assert_null(ad_read_tensor(f->v3));
    assert_null(ad_grad_tensor(f->v3));
    assert_int_equal(ad_var_node(f->x), -1);
    STATUS(ad_read(f->v3, out), want, t);
    STATUS(ad_grad_read(f->v3, out), want, t);
    STATUS(ad_backward(f->x), want, t);
    STATUS(ad_backward_add(f->x), want, t);
    STATUS(ad_backward_keep(f->x), want, t);
    STATUS(ad_vjp(1, &f->x, NULL), want, t);
    STATUS(ad_jvp(1, &f->x, ins, 1, &f->x, outs, 1), want, t);
    STATUS(ad_hvp(f->x, 1, &f->x, ins, outs), want, t);
    STATUS(ad_gradients(f->x, 1, &f->x, g), want, t);
    EQUAL(ad_value(ad_grad_of(f->x, f->x)), NAN);
    STATUS(ad_replay(t), want, t);
    STATUS(ad_commit(t), want, t);
    STATUS(ad_assign(f->state, f->v3), want, t);
    STATUS(ad_set(f->x, 1), want, t);
    STATUS(ad_set_array(f->v3, numbers), want, t);
    STATUS(ad_retain(f->x), want, t);
    STATUS(ad_split(f->m34, 2, 1, later), want, t);
    STATUS(ad_trace_print(f->x, 0, NULL, NULL, stdout), want, t);
    assert_null(ad_program_capture(t, 1, &f->x, 1, &f->x, AD_VALUES));
    STATUS(ad_rewind(t, ad_mark_here(t)), want, t); /* a rewind does not clear it */
    ad_scope_push(t, "scope");
    ad_scope_pop(t);
    ad_pause(t);
    ad_resume(t);
    STATUS(ad_tape_status(t), want, t);
    assert_int_equal(ad_node_count(t), nodes);
    assert_string_equal(ad_tape_error(t), text);
}

/* and after the reset the tape is as good as new */
static void works_again(struct fixture *f)
{
    ad_tape *t = f->t;
    ad_reset(t);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_string_equal(ad_tape_error(t), "");
    assert_int_equal(ad_node_count(t), 0);
    ad_var x = ad_input(t, 3), v = doubles(t, 1, (const int64_t[]){3});
    STATUS(ad_backward(ad_mul(x, ad_sum(ad_mul(v, v)))), AD_OK, t);
    EQUAL(ad_grad(x), 14);
    double g[3];
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[2], 18);
    record_fixture(f);
    STATUS(ad_tape_status(t), AD_OK, t);
}

static void is_error(struct fixture *f, ad_status want, const char *begins, const char *site)
{
    ad_tape *t = f->t;
    STATUS(ad_tape_status(t), want, t);
    const char *text = ad_tape_error(t);
    if (strncmp(text, begins, strlen(begins)))
        fail_msg("got \"%s\", want it to begin \"%s\"", text, begins);
    CONTAINS(text, " (node ");
    if (site && !strstr(text, site))
        fail_msg("got \"%s\", want \"%s\" in it", text, site);
    STATUS(ad_tape_status(f->foreign), AD_OK, f->foreign);
    stays_failed(f, want);
    works_again(f);
}

/* ---- bad calls of operations ---- */

static bool halve(void *user, int n, const ad_array *a, ad_array *y)
{
    for (int64_t i = 0; n > 0 && i < y->size; i++)
        y->data[i] = a[0].data[i] / 2;
    return user == NULL;
}

static const ad_operation half = {.name = "half", .value = halve};

static ad_var compared(bool result, const struct fixture *f)
{
    assert_false(result);
    return f->x;
}

#define BAD(name, status, text, call)                                                              \
    static ad_var name(const struct fixture *f) { return call; }
#include "bad_input.def"
#undef BAD

typedef struct bad_call {
    ad_var (*call)(const struct fixture *f);
    ad_status status;
    const char *text, *site;
} bad_call;

#define BAD(name, status, text, call) {name, status, text, HERE},
static bad_call bad_calls[] = {
#include "bad_input.def"
};
#undef BAD

static void bad_call_is_an_error(void **state)
{
    const bad_call *bad = *state;
    struct fixture *f = fixture_new();
    int64_t nodes = ad_node_count(f->t);
    ad_var y = bad->call(f);
    if (!y.tape)
        fail_msg("got a null handle, want one of the tape; status %s",
                 ad_status_name(ad_tape_status(f->t)));
    EQUAL(ad_value(y), NAN);
    ad_node_info info;
    for (int64_t i = nodes; i < ad_node_count(f->t); i++)
        if (!ad_node_at(f->t, i, &info) && info.kind == AD_NODE_OPERATION &&
            !strncmp(bad->text, info.operation, strlen(info.operation)))
            fail_msg("node %d was recorded: %s", (int)i, info.operation);
    is_error(f, bad->status, bad->text, bad->site);
    fixture_free(f);
}

/* ---- other bad calls ---- */

static void the_first_error_is_kept_with_its_own_line(void **state)
{
    struct fixture *f = *state;
    ad_assign(f->x, f->x); /* not an operation: it has no line, and must not get another's */
    ad_sum(f->v3);
    ad_matmul(f->m34, f->m52);
    ad_sin(f->other);
    ad_input(f->t, 1);
    ad_use(f->t, f->param);
    assert_null(strstr(ad_tape_error(f->t), __FILE__));
    is_error(f, AD_BAD_ARGUMENT, "assign: ", NULL);
    ONE_LINE(const char *here = HERE; ad_matmul(f->m34, f->m52);)
    ad_matmul(f->v3, f->m52);
    ad_assign(f->x, f->x);
    is_error(f, AD_BAD_SHAPE, "matmul: (3,4) x (5,2)", here);
}

static void plain_functions_leave_the_line_out(void **state)
{
    struct fixture *f = *state;
    (ad_mul)(f->v3, f->v4);
    assert_null(strstr(ad_tape_error(f->t), "null"));
    is_error(f, AD_BAD_SHAPE, "mul: (3) and (4) do not broadcast", NULL);
    (ad_matmul)(f->m34, f->m52);
    is_error(f, AD_BAD_SHAPE, "matmul: (3,4) x (5,2)", NULL);
    ad_apply(AD_OP_mul, 2, (const ad_var[]){f->v3, f->v4});
    is_error(f, AD_BAD_SHAPE, "mul: (3) and (4)", NULL);
}

static void errors_name_the_scope(void **state)
{
    struct fixture *f = *state;
    ad_scope_push(f->t, "layer 2");
    ad_scope_push(f->t, "attention");
    ad_sin(f->x);
    ad_matmul(f->m34, f->m52);
    CONTAINS(ad_tape_error(f->t), ", layer 2/attention");
    is_error(f, AD_BAD_SHAPE, "matmul: ", NULL);
}

static void gradients_asked_for_after_an_error_keep_its_status(void **state)
{
    struct fixture *f = *state;
    ad_var g[2];
    ad_matmul(f->m34, f->m52);
    STATUS(ad_backward(ad_grad_of(f->x, f->x)), AD_BAD_SHAPE, f->t);
    STATUS(ad_gradients(f->x, 2, (const ad_var[]){f->x, f->v3}, g), AD_BAD_SHAPE, f->t);
    STATUS(ad_backward(ad_sum(g[1])), AD_BAD_SHAPE, f->t);
}

static void long_texts_are_cut_not_overrun(void **state)
{
    struct fixture *f = *state;
    char name[2000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    ad_scope_push(f->t, name);
    ad_sin(f->x);
    ad_matmul(f->m34, f->m52);
    is_error(f, AD_BAD_SHAPE, "matmul: ", NULL);
    ad_operation long_name = half;
    long_name.name = name;
    ad_call(f->t, &long_name, NULL, 1, &f->classes3, 1, (const int64_t[]){3});
    is_error(f, AD_BAD_DTYPE, "xxxx", NULL);
}

static void splits_that_do_not_fit_are_errors(void **state)
{
    struct fixture *f = *state;
    ad_var parts[4];
    STATUS(ad_split(f->m34, 3, 1, parts), AD_BAD_SHAPE, f->t);
    is_error(f, AD_BAD_SHAPE, "split: axis 1 of size 4 has no 3 equal parts", NULL);
    STATUS(ad_split(f->m34, 2, 2, parts), AD_BAD_AXIS, f->t);
    is_error(f, AD_BAD_AXIS, "split: axis 2", NULL);
    STATUS(ad_split(f->m34, 0, 1, parts), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "split: into 0 parts", NULL);
    STATUS(ad_split(f->m34, -1, 1, parts), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "split: into -1 parts", NULL);
    STATUS(ad_split(f->m34, 2, 1, NULL), AD_NULL, f->t);
    is_error(f, AD_NULL, "split: ", NULL);
    STATUS(ad_split((ad_var){0}, 2, 1, parts), AD_NULL, NULL);
}

static void joining_nothing_gives_a_null_handle(void **state)
{
    struct fixture *f = *state;
    const ad_var nothing[] = {ad_concat(0, &f->v3, 0), ad_concat(-1, &f->v3, 0),
                              ad_concat(2, NULL, 0),   ad_stack(0, &f->v3, 0),
                              ad_stack(2, NULL, 0),    ad_sum_n(2, NULL),
                              ad_prod_n(-1, &f->v3),   ad_apply(AD_OP_sin, 1, NULL)};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        EQUAL(ad_value(nothing[i]), NAN);
        assert_true(ad_backward(nothing[i]) != AD_OK || !nothing[i].tape);
    }
}

static void operations_by_number_are_checked(void **state)
{
    struct fixture *f = *state;
    ad_apply(AD_OP_COUNT_, 1, &f->x);
    is_error(f, AD_BAD_ARGUMENT, "apply: no operation ", NULL);
    ad_apply(-1, 1, &f->x);
    is_error(f, AD_BAD_ARGUMENT, "apply: no operation -1", NULL);
    ad_apply(AD_OP_sin, 2, (const ad_var[]){f->x, f->x});
    is_error(f, AD_BAD_ARGUMENT, "apply: ", NULL);
    assert_null(ad_apply(AD_OP_sin, 0, &f->x).tape);
    assert_null(ad_op_at(-1));
    assert_null(ad_op_at(ad_op_count()));
    EQUAL(ad_op_value(-1, numbers), NAN);
    EQUAL(ad_op_value(AD_OP_COUNT_, numbers), NAN);
}

static void null_handles_without_a_tape_are_harmless(void **state)
{
    (void)state;
    const ad_var null = {0};
    double out[3];
    assert_null(ad_add(null, 1).tape);
    assert_null(ad_sin(null).tape);
    assert_null(ad_sum(null).tape);
    assert_null(ad_matmul(null, ad_constant(1)).tape);
    assert_null(ad_fma(1, null, 2).tape);
    assert_null(ad_reshape(null, 0, NULL).tape);
    assert_null(ad_stop_gradient(null).tape);
    assert_null(ad_at(null, NULL).tape);
    assert_null(ad_cast(null, AD_F32).tape);
    assert_false(ad_lt(null, 1));
    assert_false(ad_ne(null, 1));
    assert_false(ad_ne(1, null));
    EQUAL(ad_value(null), NAN);
    EQUAL(ad_grad(null), NAN);
    assert_int_equal(ad_rank(null), -1);
    assert_int_equal(ad_size(null), -1);
    assert_null(ad_shape(null));
    assert_false(ad_is_tensor(null));
    assert_int_equal(ad_var_node(null), -1);
    assert_null(ad_read_tensor(null));
    STATUS(ad_read(null, out), AD_NULL, NULL);
    STATUS(ad_grad_read(null, out), AD_NULL, NULL);
    STATUS(ad_backward(null), AD_NULL, NULL);
    STATUS(ad_backward_keep(null), AD_NULL, NULL);
    STATUS(ad_vjp(1, &null, NULL), AD_NULL, NULL);
    STATUS(ad_vjp(1, NULL, NULL), AD_NULL, NULL);
    STATUS(ad_retain(null), AD_NULL, NULL);
    STATUS(ad_set(null, 1), AD_NULL, NULL);
    STATUS(ad_assign(null, null), AD_NULL, NULL);
    STATUS(ad_trace_print(null, 0, NULL, NULL, stdout), AD_NULL, NULL);
    assert_null(ad_grad_of(null, null).tape);
}

static void null_tapes_are_harmless(void **state)
{
    (void)state;
    const int64_t three[1] = {3};
    assert_null(ad_input(NULL, 1).tape);
    assert_null(ad_input_array(NULL, AD_F64, 1, three, numbers).tape);
    assert_null(ad_constant_array(NULL, AD_F64, 1, three, numbers).tape);
    assert_null(ad_input_tensor(NULL, NULL).tape);
    assert_null(ad_bind(NULL, NULL).tape);
    assert_null(ad_use(NULL, NULL).tape);
    assert_null(ad_random_normal(NULL, 0, AD_F64, 1, three).tape);
    assert_null(ad_random_permutation(NULL, 0, 3).tape);
    assert_null(ad_call(NULL, &half, NULL, 0, NULL, 0, NULL).tape);
    STATUS(ad_replay(NULL), AD_NULL, NULL);
    STATUS(ad_commit(NULL), AD_NULL, NULL);
    STATUS(ad_tape_status(NULL), AD_NULL, NULL);
    assert_string_equal(ad_tape_error(NULL), "null tape");
    ad_pause(NULL);
    ad_resume(NULL);
    ad_scope_push(NULL, "a");
    ad_scope_pop(NULL);
    ad_seed(NULL, 1);
    ad_set_step(NULL, 1);
    ad_mark_here(NULL);
    assert_null(ad_program_capture(NULL, 0, NULL, 0, NULL, 0));
}

static void a_tape_without_memory_reports_it_everywhere(void **state)
{
    struct fixture *f = *state;
    const int64_t three[1] = {3};
    f->memory.fail_at = f->memory.calls;
    ad_tape *t = ad_tape_new(f->context);
    assert_non_null(t);
    STATUS(ad_tape_status(t), AD_NO_MEMORY, t);
    CONTAINS(ad_tape_error(t), "out of memory");
    ad_var x = ad_input(t, 1), v = ad_input_array(t, AD_F64, 1, three, numbers),
           y = ad_add(ad_sum(v), ad_sin(x));
    ad_use(t, f->param);
    ad_mark mark = ad_mark_here(t);
    ad_reset(t);
    ad_pause(t);
    ad_resume(t);
    ad_resume(t);
    ad_scope_push(t, "a");
    ad_scope_pop(t);
    ad_scope_pop(t);
    ad_seed(t, 1);
    ad_set_step(t, 2);
    STATUS(ad_backward(y), AD_NO_MEMORY, t);
    STATUS(ad_backward(x), AD_NO_MEMORY, t);
    STATUS(ad_replay(t), AD_NO_MEMORY, t);
    STATUS(ad_commit(t), AD_NO_MEMORY, t);
    STATUS(ad_rewind(t, mark), AD_NO_MEMORY, t);
    STATUS(ad_assign(x, y), AD_NO_MEMORY, t);
    STATUS(ad_retain(x), AD_NO_MEMORY, t);
    EQUAL(ad_value(x), NAN);
    assert_false(ad_lt(x, 3));
    assert_int_equal(ad_node_count(t), 0);
    assert_int_equal(ad_tape_stats(t).nodes, 0);
    assert_null(ad_program_capture(t, 0, NULL, 1, &y, 0));
    ad_tape_free(t);
}

static void assignments_that_cannot_be_are_errors(void **state)
{
    struct fixture *f = *state;
    STATUS(ad_assign(f->v3, f->state), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "assign: node 3 is no parameter or state", NULL);
    STATUS(ad_assign(f->state, f->v4), AD_BAD_SHAPE, f->t);
    CONTAINS(ad_tape_error(f->t), "(4) to velocity, which is double (3)");
    is_error(f, AD_BAD_SHAPE, "assign: ", NULL);
    STATUS(ad_assign(f->state, f->x), AD_BAD_SHAPE, f->t);
    is_error(f, AD_BAD_SHAPE, "assign: ", NULL);
    STATUS(ad_assign(f->state, f->f3), AD_BAD_DTYPE, f->t);
    is_error(f, AD_BAD_DTYPE, "assign: float", NULL);
    STATUS(ad_assign(f->state, f->v3), AD_OK, f->t);
    STATUS(ad_assign(f->state, f->v3), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "assign: velocity is assigned twice", NULL);
    STATUS(ad_assign(f->state, (ad_var){0}), AD_NULL, f->t);
    is_error(f, AD_NULL, "assign: null handle", NULL);
    STATUS(ad_assign((ad_var){0}, f->v3), AD_NULL, f->t);
    is_error(f, AD_NULL, "assign: null handle", NULL);
    STATUS(ad_assign(f->state, f->other_m), AD_FOREIGN, f->t);
    is_error(f, AD_FOREIGN, "assign: handles of two tapes", NULL);
    STATUS(ad_assign(f->state, f->stale_v), AD_STALE, f->t);
    is_error(f, AD_STALE, "assign: stale handle", NULL);
    STATUS(ad_assign(ad_constant(1), ad_constant(2)), AD_NULL, NULL);
}

static void values_that_cannot_be_set_are_errors(void **state)
{
    struct fixture *f = *state;
    STATUS(ad_set(ad_sin(f->x), 1), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "set: node ", NULL);
    STATUS(ad_set(f->v3, 1), AD_BAD_SHAPE, f->t);
    is_error(f, AD_BAD_SHAPE, "set: node 3 has 3 elements", NULL);
    STATUS(ad_set_array(f->state, numbers), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "set: node ", NULL);
    STATUS(ad_set_array(f->classes3, numbers), AD_BAD_ARGUMENT, f->t);
    is_error(f, AD_BAD_ARGUMENT, "set: node ", NULL);
    STATUS(ad_set_array(f->v3, NULL), AD_NULL, f->t);
    is_error(f, AD_NULL, "set: ", NULL);
    STATUS(ad_set(f->stale, 1), AD_STALE, f->t);
    is_error(f, AD_STALE, "read: stale handle", NULL);
    STATUS(ad_set(ad_constant(1), 1), AD_BAD_ARGUMENT, NULL);
}

static void reading_what_is_not_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    EQUAL(ad_value(f->stale), NAN);
    is_error(f, AD_STALE, "read: stale handle: its node 0", NULL);
    assert_null(ad_shape(f->stale_v));
    is_error(f, AD_STALE, "read: stale handle: its node ", NULL);
    EQUAL(ad_grad(f->x), NAN);
    is_error(f, AD_NOT_RECORDED, "grad: no adjoint of node 0 (input) before a backward pass", NULL);
    ad_var y = ad_sin(f->x);
    ad_backward(ad_mul(y, 2));
    EQUAL(ad_grad(y), NAN);
    is_error(f, AD_NOT_RECORDED, "grad: no adjoint of node ", NULL);
    STATUS(ad_read(f->v3, NULL), AD_NULL, f->t);
}

static void backward_from_what_cannot_be_is_an_error(void **state)
{
    struct fixture *f = *state;
    STATUS(ad_backward(f->m34), AD_BAD_SHAPE, f->t);
    is_error(f, AD_BAD_SHAPE,
             "backward: from shape (3,4): reduce it to a scalar, or give seeds to ad_vjp", NULL);
    STATUS(ad_vjp(1, &f->classes3, NULL), AD_BAD_DTYPE, f->t);
    is_error(f, AD_BAD_DTYPE, "backward: from an int32 tensor", NULL);
    STATUS(ad_backward(f->stale), AD_STALE, f->t);
    is_error(f, AD_STALE, "backward: stale handle", NULL);
    STATUS(ad_vjp(2, (const ad_var[]){f->x, f->other}, NULL), AD_FOREIGN, f->t);
    is_error(f, AD_FOREIGN, "backward: handles of two tapes", NULL);
    STATUS(ad_vjp(2, (const ad_var[]){f->x, {0}}, NULL), AD_NULL, f->t);
    is_error(f, AD_NULL, "backward: null handle", NULL);
    STATUS(ad_vjp(-1, &f->x, NULL), AD_NULL, f->t);
    STATUS(ad_tape_status(f->t), AD_OK, f->t);
}

static void derivatives_of_what_cannot_be_are_errors(void **state)
{
    struct fixture *f = *state;
    double out[4], *outs[2] = {out, out};
    const double *ins[2] = {numbers, numbers};
    ad_var g[2];
    STATUS(ad_jvp(-1, &f->x, ins, 1, &f->x, outs, 1), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_jvp(1, &f->x, NULL, 1, &f->x, outs, 1), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_hvp(f->x, -1, &f->x, ins, outs), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_hvp(f->x, 1, &f->x, NULL, outs), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_gradients(f->x, -1, &f->x, g), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_gradients(f->x, 1, NULL, g), AD_BAD_ARGUMENT, f->t);
    STATUS(ad_tape_status(f->t), AD_OK, f->t);
    STATUS(ad_jvp(1, &f->other, ins, 1, &f->x, outs, 1), AD_FOREIGN, f->t);
    STATUS(ad_tape_status(f->foreign), AD_FOREIGN, f->foreign); /* the inputs' tape has it */
    ad_reset(f->foreign);
    f->other = ad_input(f->foreign, 1);
    STATUS(ad_jvp(1, &f->x, ins, 1, &f->other, outs, 1), AD_FOREIGN, f->t);
    is_error(f, AD_FOREIGN, "jvp: handles of two tapes", NULL);
    STATUS(ad_jvp(1, &f->stale, ins, 1, &f->x, outs, 1), AD_STALE, f->t);
    is_error(f, AD_STALE, "jvp: stale handle", NULL);
    STATUS(ad_gradients(f->other, 1, &f->x, g), AD_FOREIGN, f->t);
    is_error(f, AD_FOREIGN, "gradients: handles of two tapes", NULL);
    STATUS(ad_gradients(f->stale, 1, &f->x, g), AD_STALE, f->t);
    is_error(f, AD_STALE, "gradients: stale handle", NULL);
    ad_call(f->t, &half, NULL, 1, &f->x, 0, NULL);
    STATUS(ad_backward(ad_call(f->t, &half, NULL, 1, &f->x, 0, NULL)), AD_NOT_RECORDED, f->t);
    is_error(f, AD_NOT_RECORDED, "backward: ", NULL);
    ad_var y = ad_call(f->t, &half, NULL, 1, &f->x, 0, NULL);
    STATUS(ad_jvp(1, &f->x, ins, 1, &y, outs, 1), AD_NOT_RECORDED, f->t);
    is_error(f, AD_NOT_RECORDED, "jvp: ", NULL);
    ad_grad_of(ad_call(f->t, &half, NULL, 1, &f->x, 0, NULL), f->x);
    is_error(f, AD_NOT_RECORDED, "half: ", NULL);
}

static ad_var product(const ad_var *x, void *user)
{
    return user ? (ad_var){0} : ad_mul(x[0], x[1]);
}

static void products(const ad_var *x, ad_var *y, void *user) { y[0] = product(x, user); }

static void derivatives_of_functions_check_their_arguments(void **state)
{
    (void)state;
    double x[2] = {2, 3}, g[4], *null = NULL;
    STATUS(ad_gradient(NULL, NULL, 2, x, g), AD_NULL, NULL);
    STATUS(ad_gradient(product, NULL, 2, x, null), AD_NULL, NULL);
    STATUS(ad_gradient(product, NULL, 2, null, g), AD_BAD_ARGUMENT, NULL);
    STATUS(ad_gradient(product, NULL, -1, x, g), AD_BAD_ARGUMENT, NULL);
    STATUS(ad_gradient(product, x, 2, x, g), AD_NULL, NULL);
    STATUS(ad_hessian(NULL, NULL, 2, x, g), AD_NULL, NULL);
    STATUS(ad_hessian(product, NULL, 2, x, null), AD_NULL, NULL);
    STATUS(ad_hessian(product, x, 2, x, g), AD_NULL, NULL);
    STATUS(ad_jacobian(NULL, NULL, 2, x, 1, g), AD_NULL, NULL);
    STATUS(ad_jacobian(products, NULL, 2, x, -1, g), AD_BAD_ARGUMENT, NULL);
    STATUS(ad_jacobian(products, NULL, 2, x, 1, null), AD_NULL, NULL);
    STATUS(ad_jacobian(products, x, 2, x, 1, g), AD_NULL, NULL);
    STATUS(ad_gradient(product, NULL, 2, x, g), AD_OK, NULL);
    EQUAL(g[0], 3);
}

static void programs_that_cannot_be_captured_are_errors(void **state)
{
    struct fixture *f = *state;
    ad_tape *t = f->t;
    ONE_LINE(const char *here = HERE; ad_var x = ad_input(t, 3);)
    ad_var y = ad_mul(x, f->x), in[1] = {f->x}, out[1] = {y};
    assert_null(ad_program_capture(t, 1, in, 1, out, AD_GRADIENT));
    is_error(f, AD_NOT_RECORDED, "program: input node ", here);
    out[0] = ad_sin(f->v3);
    assert_null(ad_program_capture(t, 0, NULL, 1, out, AD_VALUES));
    is_error(f, AD_NOT_RECORDED, "program: input node 3 is used but not among the inputs listed",
             NULL);
    out[0] = ad_sin(f->v3);
    assert_null(ad_program_capture(t, 1, &f->v3, 1, out, AD_GRADIENT));
    is_error(f, AD_BAD_SHAPE, "program: AD_GRADIENT needs a first output that is a scalar", NULL);
    assert_null(ad_program_capture(t, 1, &f->v3, 0, NULL, AD_GRADIENT));
    is_error(f, AD_BAD_SHAPE, "program: AD_GRADIENT", NULL);
    y = ad_sin(f->x);
    assert_null(ad_program_capture(t, 1, &y, 1, &y, AD_VALUES));
    is_error(f, AD_BAD_ARGUMENT, "program: input 0 is node ", NULL);
    assert_null(ad_program_capture(t, 1, &f->state, 1, &f->x, AD_VALUES));
    is_error(f, AD_BAD_ARGUMENT, "program: input 0 is node ", NULL);
    assert_null(ad_program_capture(t, 1, &f->other, 1, &f->x, AD_VALUES));
    is_error(f, AD_FOREIGN, "program: handles of two tapes", NULL);
    assert_null(ad_program_capture(t, 1, &f->x, 1, &f->other, AD_VALUES));
    is_error(f, AD_FOREIGN, "program: handles of two tapes", NULL);
    assert_null(ad_program_capture(t, 1, &f->stale, 1, &f->x, AD_VALUES));
    is_error(f, AD_STALE, "program: stale handle", NULL);
    assert_null(ad_program_capture(t, 1, (const ad_var[]){{0}}, 1, &f->x, AD_VALUES));
    is_error(f, AD_NULL, "program: null handle", NULL);
    assert_null(ad_program_capture(t, 1, NULL, 1, &f->x, AD_VALUES));
    is_error(f, AD_NULL, "program: null inputs or outputs", NULL);
    assert_null(ad_program_capture(t, 1, &f->x, 1, NULL, AD_VALUES));
    is_error(f, AD_NULL, "program: null inputs or outputs", NULL);
    assert_null(ad_program_capture(t, -1, &f->x, 1, &f->x, AD_VALUES));
    is_error(f, AD_NULL, "program: ", NULL);
}

static void calls_of_a_missing_program_say_so(void **state)
{
    (void)state;
    double out[3];
    assert_int_equal(ad_program_input_size(NULL, 0), -1);
    assert_int_equal(ad_program_output_size(NULL, 0), -1);
    assert_int_equal(ad_program_parameter_count(NULL), 0);
    assert_null(ad_program_parameter(NULL, 0));
    assert_int_equal(ad_program_node_count(NULL), 0);
    assert_int_equal(ad_program_bytes(NULL), 0);
    ad_workspace *w = ad_workspace_new(NULL); /* what follows from a capture that failed */
    assert_non_null(w);
    STATUS(ad_run(w, numbers, out), AD_NULL, NULL);
    CONTAINS(ad_workspace_error(w), "null program");
    STATUS(ad_workspace_read(w, 0, out), AD_NULL, NULL);
    STATUS(ad_workspace_set_scalar(w, 0, 1), AD_NULL, NULL);
    ad_workspace_set_step(w, 1);
    ad_workspace_free(w);
    STATUS(ad_run(NULL, numbers, out), AD_NULL, NULL);
    STATUS(ad_workspace_set(NULL, 0, NULL), AD_NULL, NULL);
    STATUS(ad_workspace_set_scalar(NULL, 0, 1), AD_NULL, NULL);
    STATUS(ad_workspace_read(NULL, 0, out), AD_NULL, NULL);
    STATUS(ad_workspace_read_gradient(NULL, 0, out), AD_NULL, NULL);
    STATUS(ad_workspace_read_param_gradient(NULL, 0, out), AD_NULL, NULL);
    STATUS(ad_workspace_bind(NULL, 0, NULL), AD_NULL, NULL);
    STATUS(ad_workspace_bind_input(NULL, 0, NULL), AD_NULL, NULL);
    ad_workspace_set_step(NULL, 1);
    assert_string_equal(ad_workspace_error(NULL), "null workspace");
}

static void slots_that_are_not_there_are_refused(void **state)
{
    struct fixture *f = *state;
    ad_var in[2] = {f->x, f->v3}, out[1] = {ad_mul(f->x, ad_sum(ad_mul(f->v3, f->state)))};
    ad_program *p = ad_program_capture(f->t, 2, in, 1, out, AD_GRADIENT),
               *values = ad_program_capture(f->t, 2, in, 1, out, AD_VALUES);
    ad_workspace *w = ad_workspace_new(p), *v = ad_workspace_new(values);
    const int64_t three[1] = {3}, four[1] = {4};
    ad_tensor *t3 = ad_tensor_from(f->context, AD_F64, 1, three, numbers),
              *t4 = ad_tensor_new(f->context, AD_F64, 1, four),
              *f3 = ad_tensor_new(f->context, AD_F32, 1, three);
    double read[8];
    assert_int_equal(ad_program_input_size(p, 2), -1);
    assert_int_equal(ad_program_input_size(p, -1), -1);
    assert_int_equal(ad_program_output_size(p, 1), -1);
    assert_null(ad_program_parameter(p, 1));
    assert_null(ad_program_parameter(p, -1));
    STATUS(ad_workspace_read(w, 0, read), AD_NOT_RECORDED, NULL); /* before the first run */
    STATUS(ad_run(w, numbers, read), AD_OK, NULL);
    STATUS(ad_run(v, numbers, read), AD_OK, NULL);
    STATUS(ad_workspace_read(w, 1, read), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_read(w, -1, read), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_read(w, 0, NULL), AD_NULL, NULL);
    STATUS(ad_workspace_read_gradient(w, 2, read), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_read_gradient(v, 0, read), AD_NOT_RECORDED, NULL);
    STATUS(ad_workspace_read_param_gradient(w, 1, read), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_read_param_gradient(v, 0, read), AD_NOT_RECORDED, NULL);
    STATUS(ad_workspace_set(w, 2, t3), AD_BAD_INDEX, NULL);
    CONTAINS(ad_workspace_error(w), "workspace_set: no such input");
    STATUS(ad_workspace_set(w, 1, t4), AD_BAD_SHAPE, NULL);
    CONTAINS(ad_workspace_error(w), "another shape");
    STATUS(ad_workspace_set(w, 1, f3), AD_BAD_DTYPE, NULL);
    CONTAINS(ad_workspace_error(w), "another dtype");
    STATUS(ad_workspace_set(w, 1, NULL), AD_NULL, NULL);
    STATUS(ad_workspace_bind_input(w, 2, t3), AD_BAD_INDEX, NULL);
    CONTAINS(ad_workspace_error(w), "workspace_bind_input: no such input");
    STATUS(ad_workspace_bind_input(w, -1, t3), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_bind_input(w, 1, t4), AD_BAD_SHAPE, NULL);
    STATUS(ad_workspace_bind_input(w, 1, f3), AD_BAD_DTYPE, NULL);
    CONTAINS(ad_workspace_error(w), "workspace_bind_input: the input has another dtype");
    STATUS(ad_workspace_bind_input(w, 1, NULL), AD_NULL, NULL);
    STATUS(ad_workspace_set_scalar(w, 1, 1), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_set_scalar(w, -1, 1), AD_BAD_INDEX, NULL);
    STATUS(ad_workspace_bind(w, 1, t3), AD_BAD_INDEX, NULL);
    CONTAINS(ad_workspace_error(w), "workspace_bind: no such parameter");
    STATUS(ad_workspace_bind(w, 0, t4), AD_BAD_SHAPE, NULL);
    STATUS(ad_workspace_bind(w, 0, f3), AD_BAD_DTYPE, NULL);
    STATUS(ad_workspace_bind(w, 0, NULL), AD_NULL, NULL);
    STATUS(ad_run(w, numbers, read), AD_OK, NULL);
    EQUAL(read[0], 2 * 1 + 3 * 2 + 4 * 3);
    ad_tensor_free(t3);
    ad_tensor_free(t4);
    ad_tensor_free(f3);
    ad_workspace_free(w);
    ad_workspace_free(v);
    ad_program_free(p);
    ad_program_free(values);
}

/* ---- tensors outside of tapes ---- */

static void tensors_that_cannot_be_are_null(void **state)
{
    (void)state;
    const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, negative[1] = {-1},
                  huge[3] = {(int64_t)1 << 30, (int64_t)1 << 30, 9}, s[2] = {2, 3};
    assert_null(ad_tensor_new(NULL, AD_F64, 9, nine));
    assert_null(ad_tensor_new(NULL, AD_F64, -1, nine));
    assert_null(ad_tensor_new(NULL, AD_F64, 1, negative));
    assert_null(ad_tensor_new(NULL, AD_F64, 3, huge));
    assert_null(ad_tensor_new(NULL, AD_F64, 1, NULL));
    assert_null(ad_tensor_new(NULL, (ad_dtype)5, 2, s));
    assert_null(ad_tensor_from(NULL, AD_F64, 2, s, NULL));
    ad_tensor *t = ad_tensor_from(NULL, AD_F64, 2, s, numbers),
              *other = ad_tensor_new(NULL, AD_F64, 1, s),
              *floats = ad_tensor_new(NULL, AD_F32, 2, s);
    assert_null(ad_tensor_permuted(t, (const int[]){0, 0}));
    assert_null(ad_tensor_permuted(t, (const int[]){0, 2}));
    assert_null(ad_tensor_permuted(t, NULL));
    assert_null(ad_tensor_permuted(NULL, (const int[]){0, 1}));
    assert_null(ad_tensor_sliced(t, 2, 0, 1, 1));
    assert_null(ad_tensor_sliced(t, 0, 0, 1, 0));
    assert_null(ad_tensor_sliced(NULL, 0, 0, 1, 1));
    EQUAL(ad_tensor_get(t, (const int64_t[]){2, 0}), NAN);
    EQUAL(ad_tensor_get(t, (const int64_t[]){0, -1}), NAN);
    EQUAL(ad_tensor_get(t, NULL), NAN);
    EQUAL(ad_tensor_get(NULL, s), NAN);
    STATUS(ad_tensor_set(t, (const int64_t[]){0, 3}, 1), AD_BAD_INDEX, NULL);
    STATUS(ad_tensor_set(t, NULL, 1), AD_NULL, NULL);
    STATUS(ad_tensor_set(NULL, s, 1), AD_NULL, NULL);
    STATUS(ad_tensor_read(t, NULL), AD_NULL, NULL);
    STATUS(ad_tensor_write(t, NULL), AD_NULL, NULL);
    STATUS(ad_tensor_fill(NULL, 1), AD_NULL, NULL);
    STATUS(ad_tensor_copy(t, other), AD_BAD_SHAPE, NULL);
    STATUS(ad_tensor_copy(t, floats), AD_BAD_DTYPE, NULL);
    STATUS(ad_tensor_copy(t, NULL), AD_NULL, NULL);
    assert_null(ad_tensor_data(NULL));
    assert_null(ad_tensor_shape(NULL));
    assert_int_equal(ad_tensor_rank(NULL), -1);
    assert_int_equal(ad_tensor_size(NULL), -1);
    assert_null(ad_tensor_retain(NULL));
    assert_null(ad_param_new("p", NULL, true));
    assert_null(ad_param_new(NULL, ad_tensor_retain(other), true)); /* the value is released */
    assert_null(ad_param_value(NULL));
    STATUS(ad_draw_uniform(NULL, 0, 0, 0), AD_NULL, NULL);
    STATUS(ad_draw_bernoulli(t, 2, 0, 0, 0), AD_BAD_ARGUMENT, NULL);
    STATUS(ad_draw_permutation(t, 0, 0, 0), AD_BAD_DTYPE, NULL);
    ad_tensor_free(t);
    ad_tensor_free(other);
    ad_tensor_free(floats);
}

static void contexts_need_an_allocator_that_is_whole(void **state)
{
    (void)state;
    ad_allocator a = ad_default_allocator();
    a.release = NULL;
    assert_null(ad_context_new(&(ad_context_config){.allocator = &a}));
    a = ad_default_allocator();
    a.commit = NULL; /* then without reserving */
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    ad_tape *t = ad_tape_new(c);
    EQUAL(ad_value(ad_sin(ad_input(t, 1))), sin(1.0));
    ad_tape_free(t);
    ad_context_free(c);
}

static void names_of_no_status_and_no_dtype_are_texts(void **state)
{
    (void)state;
    assert_string_equal(ad_status_name((ad_status)99), "unknown status");
    assert_string_equal(ad_status_name((ad_status)-1), "unknown status");
    for (int i = 0; i < AD_STATUS_COUNT; i++)
        assert_ptr_equal(strstr(ad_status_name((ad_status)i), "AD_"), ad_status_name((ad_status)i));
    assert_string_equal(ad_dtype_name((ad_dtype)9), "unknown dtype");
    assert_int_equal(ad_dtype_size((ad_dtype)9), 0);
    assert_string_equal(ad_version(), AD_VERSION);
}

/* ---- what is odd and legal ---- */

static void empty_tensors_are_legal_where_they_mean_something(void **state)
{
    struct fixture *f = *state;
    ad_tape *t = f->t;
    ad_var e = f->empty30, none = ad_slice(f->v3, 0, 2, 2, 1);
    double out[12] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    assert_int_equal(ad_size(e), 0);
    EQUAL(ad_value(ad_sum(e)), 0);
    EQUAL(ad_value(ad_prod(e)), 1);
    EQUAL(ad_value(ad_mean(e)), NAN);
    EQUAL(ad_value(ad_norm(e)), 0);
    EQUAL(ad_value(ad_logsumexp(e)), -INFINITY);
    ad_var z = ad_matmul(e, ad_input_array(t, AD_F64, 2, (const int64_t[]){0, 4}, NULL));
    STATUS(ad_read(z, out), AD_OK, t);
    for (int i = 0; i < 12; i++)
        EQUAL(out[i], 0);
    assert_int_equal(ad_size(ad_matmul(ad_transpose(e), f->m34)), 0);
    assert_int_equal(ad_size(ad_mul(ad_sin(e), 2)), 0);
    assert_int_equal(ad_size(ad_add(e, ad_slice(f->m34, 1, 0, 1, 1))), 0);
    assert_int_equal(ad_size(ad_concat(2, (const ad_var[]){none, f->v3}, 0)), 3);
    assert_int_equal(ad_size(ad_softmax(e, 1)), 0);
    assert_int_equal(ad_size(ad_cumsum(none, 0)), 0);
    assert_int_equal(ad_size(ad_reshape(e, 3, (const int64_t[]){2, 0, 7})), 0);
    assert_int_equal(
        ad_size(ad_take(f->m34, 0, ad_constant_array(t, AD_I32, 1, (const int64_t[]){0}, NULL))),
        0);
    assert_int_equal(ad_size(ad_pad(none, (const int64_t[]){1}, (const int64_t[]){2}, 5)), 3);
    assert_int_equal(ad_size(ad_sum_axes(e, 1, (const int[]){0}, false)), 0);
    assert_int_equal(ad_size(ad_sum_axes(e, 1, (const int[]){1}, false)), 3);
    assert_int_equal(ad_size(ad_repeat(f->v3, 0, 0)), 0);
    assert_int_equal(ad_size(ad_random_normal(t, 0, AD_F64, 1, (const int64_t[]){0})), 0);
    assert_int_equal(ad_size(ad_random_permutation(t, 0, 0)), 0);
    STATUS(ad_backward(ad_add(ad_sum(z), ad_add(ad_sum(ad_exp(e)), ad_sum(ad_mul(none, none))))),
           AD_OK, t);
    STATUS(ad_grad_read(e, out), AD_OK, t);
    STATUS(ad_grad_read(f->v3, out), AD_OK, t);
    EQUAL(out[2], 0);
    STATUS(ad_replay(t), AD_OK, t);
    ad_tensor *read = ad_read_tensor(e);
    assert_int_equal(ad_tensor_size(read), 0);
    ad_tensor_free(read);
    ad_var y = ad_sum(ad_exp(e));
    ad_program *p = ad_program_capture(t, 1, &e, 1, &y, AD_GRADIENT);
    assert_non_null(p);
    ad_workspace *w = ad_workspace_new(p);
    STATUS(ad_run(w, NULL, out), AD_OK, t);
    EQUAL(out[0], 0);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void counts_of_nothing_are_legal(void **state)
{
    struct fixture *f = *state;
    ad_tape *t = f->t;
    STATUS(ad_vjp(0, NULL, NULL), AD_OK, t);
    STATUS(ad_gradients(f->x, 0, NULL, NULL), AD_OK, t);
    STATUS(ad_hvp(f->x, 0, NULL, NULL, NULL), AD_OK, t);
    STATUS(ad_jvp(1, &f->x, (const double *const[]){numbers}, 0, NULL, NULL, 1), AD_OK, t);
    ad_program *p = ad_program_capture(t, 0, NULL, 0, NULL, AD_VALUES);
    assert_non_null(p);
    ad_workspace *w = ad_workspace_new(p);
    STATUS(ad_run(w, NULL, NULL), AD_OK, t);
    ad_workspace_free(w);
    ad_program_free(p);
    assert_string_equal(ad_tape_error(t), "");
}

static void slices_clamp_as_in_python(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int64_t start, stop, step, size;
        double first;
    } slices[] = {{0, 99, 1, 4, 1},
                  {-2, 99, 1, 2, 3},
                  {-99, 2, 1, 2, 1},
                  {3, 1, 1, 0, 0},
                  {99, 100, 1, 0, 0},
                  {0, 4, 3, 2, 1},
                  {0, 4, INT64_MAX, 1, 1},
                  {3, INT64_MIN, -1, 4, 4},
                  {-1, 0, -2, 2, 4},
                  {99, INT64_MIN, INT64_MIN, 1, 4},
                  {INT64_MIN, INT64_MAX, 1, 4, 1}};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        ad_var y = ad_slice(f->v4, 0, slices[i].start, slices[i].stop, slices[i].step);
        assert_int_equal(ad_size(y), slices[i].size);
        if (slices[i].size)
            EQUAL(ad_value(ad_at(y, (const int64_t[]){0})), slices[i].first);
        STATUS(ad_tape_status(f->t), AD_OK, f->t);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest others[] = {
        T(the_first_error_is_kept_with_its_own_line),
        T(plain_functions_leave_the_line_out),
        T(errors_name_the_scope),
        T(gradients_asked_for_after_an_error_keep_its_status),
        T(long_texts_are_cut_not_overrun),
        T(splits_that_do_not_fit_are_errors),
        T(joining_nothing_gives_a_null_handle),
        T(operations_by_number_are_checked),
        T(null_handles_without_a_tape_are_harmless),
        T(null_tapes_are_harmless),
        T(a_tape_without_memory_reports_it_everywhere),
        T(assignments_that_cannot_be_are_errors),
        T(values_that_cannot_be_set_are_errors),
        T(reading_what_is_not_there_is_an_error),
        T(backward_from_what_cannot_be_is_an_error),
        T(derivatives_of_what_cannot_be_are_errors),
        T(derivatives_of_functions_check_their_arguments),
        T(programs_that_cannot_be_captured_are_errors),
        T(calls_of_a_missing_program_say_so),
        T(slots_that_are_not_there_are_refused),
        T(tensors_that_cannot_be_are_null),
        T(contexts_need_an_allocator_that_is_whole),
        T(names_of_no_status_and_no_dtype_are_texts),
        T(empty_tensors_are_legal_where_they_mean_something),
        T(counts_of_nothing_are_legal),
        T(slices_clamp_as_in_python),
    };
#define BAD(name, status, text, call) #name " is an error",
    static const char *const names[] = {
#include "bad_input.def"
    };
#undef BAD
    enum { CALLS = sizeof names / sizeof *names, OTHERS = sizeof others / sizeof *others };
    static struct CMUnitTest tests[CALLS + OTHERS];
    for (int i = 0; i < CALLS; i++)
        tests[i] = (struct CMUnitTest){names[i], bad_call_is_an_error, NULL, NULL, &bad_calls[i]};
    memcpy(tests + CALLS, others, sizeof others);
    return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
