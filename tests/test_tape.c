/* test_tape.c - life of a tape: growth, marks, pauses, sites and scopes, adjoints, and what it
 * shows of itself */
#include "allocator.h"
#include "expect.h"
#include "tape.h"

static const int64_t three[1] = {3}, two_by_three[2] = {2, 3};
static const double counting[6] = {1, 2, 3, 4, 5, 6};

/* ---- life ---- */

static void a_new_tape_is_empty_and_well(void **state)
{
    ad_tape *t = *state;
    assert_int_equal(ad_node_count(t), 0);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_string_equal(ad_tape_error(t), "");
    STATUS(ad_replay(t), AD_OK, t);
    STATUS(ad_commit(t), AD_OK, t);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    ad_tape_free(NULL);
    ad_reset(NULL);
    ad_program_free(NULL);
    ad_workspace_free(NULL);
    ad_tensor_free(NULL);
    ad_param_free(NULL);
    ad_context_free(NULL);
}

static void a_tape_gives_values_and_gradients(void **state)
{
    ad_tape *t = *state;
    ad_var x1 = ad_input(t, 2.0), x2 = ad_input(t, 5.0);
    ad_var y = ad_add(ad_mul(x1, x2), ad_sin(x1));
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_value(y), 2.0 * 5.0 + sin(2.0));
    CLOSE(ad_grad(x1), 5.0 + cos(2.0));
    EQUAL(ad_grad(x2), 2.0);
}

static void a_tape_grows_to_ten_million_nodes_without_moving_them(void **state)
{
    enum { N = 10000000 };
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1.0), y = x;
    const node *first = t->head.nodes;
    for (int i = 0; i < N; i++)
        y = ad_add(y, x);
    if (ad_default_allocator().reserve)
        assert_ptr_equal(t->head.nodes, first);
    assert_int_equal(ad_node_count(t), N + 1);
    EQUAL(ad_value(y), N + 1);
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_grad(x), N + 1);
    STATUS(ad_set(x, 2), AD_OK, t);
    STATUS(ad_replay(t), AD_OK, t);
    EQUAL(ad_value(y), 2.0 * (N + 1));
}

static void a_full_tape_is_an_error(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1);
    t->head.n = NO_NODE; /* as if */
    t->head.limit = 0;
    ad_var y = ad_input(t, 1);
    t->head.n = t->frame.n = 1;
    STATUS(ad_tape_status(t), AD_TOO_LARGE, t);
    CONTAINS(ad_tape_error(t), "more than");
    EQUAL(ad_value(y), NAN);
    EQUAL(ad_value(x), NAN);
}

/* every node from another line than the one before */
static ad_var to_and_fro(ad_tape *t, ad_var x, int64_t nodes)
{
    while (ad_node_count(t) < nodes)
        if (ad_node_count(t) % 2)
            x = ad_neg(x);
        else
            x = ad_abs(x);
    return x;
}

static void every_node_may_have_a_site_of_its_own(void **state)
{
    (void)state;
    for (int structured = 0; structured < 700;
         structured += 7) { /* where the run of sites begins */
        probe p;
        ad_allocator a = probe_allocator(&p, false); /* so that a write past the end is found */
        ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
        ad_tape *t = ad_tape_new(c);
        ad_var x = ad_input(t, 1);
        ad_var m = ad_input_array(t, AD_F64, 1, three, counting);
        x = to_and_fro(t, x, 2800 + structured);
        ad_sum(m);
        to_and_fro(t, x, 9000);
#ifndef AD_NO_SITES
        assert_int_equal(t->head.n_sites, t->head.n);
#endif
        ad_tape_free(t);
        ad_context_free(c);
        assert_int_equal(p.overruns, 0);
        assert_int_equal(p.blocks, 0);
    }
}

/* ---- deferring ---- */

static void what_is_deferred_is_computed_when_somebody_looks(void **state)
{
    ad_tape *t = *state;
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting), w[2], total[2];
    for (int deferred = 0; deferred < 2; deferred++) {
        if (deferred)
            ad_defer(t);
        w[deferred] = ad_slice(ad_mul(ad_exp(v), v), 0, 1, 3, 1);
        total[deferred] = ad_mul(ad_sum(w[deferred]), 2);
    }
    assert_true(t->behind);
    double want[2], got[2];
    STATUS(ad_read(w[1], got), AD_OK, t);
    assert_false(t->behind);
    STATUS(ad_read(w[0], want), AD_OK, t);
    EQUAL(got[0], want[0]);
    EQUAL(got[1], want[1]);
    EQUAL(ad_value(total[1]), ad_value(total[0]));
}

static void deferred_values_serve_reads_comparisons_pauses_and_gradients(void **state)
{
    ad_tape *t = *state;
    double g[3];
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_defer(t);
    EQUAL(ad_value(ad_add(ad_sum(v), 1)), 7);
    EQUAL(ad_value(ad_sum(v)), 6);
    ad_var y = ad_sum(ad_square(v)); /* 14 */
    assert_true(ad_gt(y, 13));
    ad_var more = ad_add(y, ad_sum(v));
    ad_pause(t);
    ad_var constant = ad_mul(more, 2);
    ad_resume(t);
    EQUAL(ad_value(constant), 40);
    STATUS(ad_backward(ad_add(y, ad_mean(v))), AD_OK, t);
    STATUS(ad_grad_read(v, g), AD_OK, t);
    CLOSE(g[2], 6 + 1. / 3);
    STATUS(ad_replay(t), AD_OK, t);
    ad_reset(t);
    assert_false(t->deferring);
}

static void what_cannot_be_computed_is_an_error_when_it_is_due(void **state)
{
    ad_tape *t = *state;
    ad_var z = ad_input_array(t, AD_F64, 2, (int64_t[]){1, 3}, counting);
    ad_tensor *class = ad_tensor_from(NULL, AD_I32, 1, (int64_t[]){1}, (int32_t[]){7});
    ad_defer(t);
    ad_var y = ad_sum(ad_softmax_cross_entropy(z, ad_constant_tensor(t, class)));
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_int_equal(ad_backward(y), AD_BAD_INDEX);
    ad_tensor_free(class);
}

/* ---- backward ---- */

static void backward_twice_gives_the_same(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var y = ad_add(ad_square(x), ad_sum(ad_mul(v, x)));
    for (int i = 0; i < 3; i++) {
        STATUS(ad_backward(y), AD_OK, t);
        double g[3];
        EQUAL(ad_grad(x), 12);
        STATUS(ad_grad_read(v, g), AD_OK, t);
        EQUAL(g[0], 3);
        EQUAL(g[2], 3);
    }
}

static void backward_add_adds(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting),
           unused = ad_input(t, 0);
    ad_var y = ad_mul(x, ad_sum(v)), z = ad_mul(x, 2);
    double g[3];
    STATUS(ad_backward_add(y), AD_OK, t); /* the first adds to nothing */
    EQUAL(ad_grad(x), 6);
    STATUS(ad_backward_add(y), AD_OK, t);
    STATUS(ad_backward_add(z), AD_OK, t);
    EQUAL(ad_grad(x), 14);
    EQUAL(ad_grad(unused), 0);
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[1], 6);
    STATUS(ad_backward(z), AD_OK, t);
    EQUAL(ad_grad(x), 2);
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[1], 0);
}

static void backward_keep_keeps_every_adjoint_and_leaves_no_trace(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var s = ad_sin(x), w = ad_mul(v, s), y = ad_mul(ad_sum(w), 2);
    double g[3];
    for (int i = 0; i < 2; i++) {
        STATUS(ad_backward_keep(y), AD_OK, t);
        EQUAL(ad_grad(y), 1);
        EQUAL(ad_grad(s), 12);
        STATUS(ad_grad_read(w, g), AD_OK, t);
        EQUAL(g[2], 2);
        CLOSE(ad_grad(x), 12 * cos(2.0));
    }
    STATUS(ad_backward(ad_mul(s, x)), AD_OK, t);
    CLOSE(ad_grad(x), sin(2.0) + 2 * cos(2.0));
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[0], 0);
    EQUAL(ad_grad(s), NAN); /* not kept any more: an error */
    STATUS(ad_tape_status(t), AD_NOT_RECORDED, t);
    CONTAINS(ad_tape_error(t), "ad_retain");
}

static void retained_nodes_keep_theirs(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var s = ad_square(x), w = ad_mul(v, s), y = ad_sum(w), z = ad_mul(y, s);
    STATUS(ad_retain(y), AD_OK, t);
    STATUS(ad_retain(s), AD_OK, t);
    STATUS(ad_retain(w), AD_OK, t);
    STATUS(ad_retain(s), AD_OK, t); /* again */
    for (int i = 0; i < 2; i++) {
        double g[3];
        STATUS(ad_backward(z), AD_OK, t);
        EQUAL(ad_grad(y), 4);       /* z = y s */
        EQUAL(ad_grad(s), 24 + 24); /* z = 6 s s */
        EQUAL(ad_grad(x), 48 * 4);
        STATUS(ad_grad_read(w, g), AD_OK, t);
        EQUAL(g[0], 4);
        STATUS(ad_backward(y), AD_OK, t); /* from below z */
        EQUAL(ad_grad(y), 1);
        EQUAL(ad_grad(s), 6);
    }
}

/* its adjoint was in memory that the next sweep uses again */
static void a_node_may_be_retained_after_a_pass(void **state)
{
    ad_tape *t = *state;
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting), w = ad_exp(ad_mul(v, v));
    ad_var y = ad_sum(ad_mul(ad_sin(w), w));
    double first[3], second[3];
    STATUS(ad_backward_keep(y), AD_OK, t);
    STATUS(ad_grad_read(w, first), AD_OK, t);
    STATUS(ad_retain(w), AD_OK, t);
    STATUS(ad_backward(y), AD_OK, t);
    STATUS(ad_grad_read(w, second), AD_OK, t);
    for (int i = 0; i < 3; i++)
        EQUAL(second[i], first[i]);
}

static void an_adjoint_before_any_pass_is_an_error(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2);
    EQUAL(ad_grad(x), NAN);
    STATUS(ad_tape_status(t), AD_NOT_RECORDED, t);
}

static void fan_out_accumulates(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), s = ad_square(x);
    ad_var y = ad_add(ad_mul(s, s), ad_sub(s, x));
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_grad(x), 4 * 27 + 6 - 1);
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting);
    STATUS(ad_backward(ad_sum(ad_add(ad_mul(v, v), v))), AD_OK, t);
    double g[3];
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[0], 3);
    EQUAL(g[2], 7);
}

static void backward_of_an_input_gives_one(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), z = ad_input(t, 4);
    STATUS(ad_backward(x), AD_OK, t);
    EQUAL(ad_grad(x), 1);
    EQUAL(ad_grad(z), 0);
}

static void backward_of_a_constant_is_fine_and_gives_zero(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3);
    STATUS(ad_backward(ad_constant(2)), AD_OK, t);
    STATUS(ad_backward(x), AD_OK, t);
    EQUAL(ad_grad(ad_constant(2)), 0);
    ad_var c = ad_constant_array(t, AD_F64, 1, three, counting);
    STATUS(ad_backward(ad_sum(c)), AD_OK, t);
    EQUAL(ad_grad(x), 0);
    double g[3] = {9, 9, 9};
    STATUS(ad_grad_read(c, g), AD_OK, t);
    EQUAL(g[1], 0);
}

static void several_outputs_take_seeds(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var y[3] = {ad_square(x), ad_mul(v, x), ad_constant(7)};
    const double first = 10, second[3] = {1, 0, -1};
    double g[3];
    STATUS(ad_vjp(3, y, (const double *const[]){&first, second, NULL}), AD_OK, t);
    EQUAL(ad_grad(x), 60 - 2);
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[0], 3);
    EQUAL(g[1], 0);
    EQUAL(g[2], -3);
    STATUS(ad_vjp(2, y, NULL), AD_OK, t); /* ones */
    EQUAL(ad_grad(x), 6 + 6);
    STATUS(ad_vjp(0, NULL, NULL), AD_OK, t);
    STATUS(ad_vjp(2, (ad_var[]){y[0], y[0]}, NULL), AD_OK, t); /* twice the same */
    EQUAL(ad_grad(x), 12);
}

/* ---- marks ---- */

static void rewind_removes_what_came_after_the_mark(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), before = ad_square(x);
    ad_mark mark = ad_mark_here(t);
    ad_var after = ad_sin(before);
    STATUS(ad_rewind(t, mark), AD_OK, t);
    assert_int_equal(ad_node_count(t), 2);
    EQUAL(ad_value(before), 9);
    ad_var again = ad_neg(before); /* takes the place of `after` */
    STATUS(ad_backward(again), AD_OK, t);
    EQUAL(ad_grad(x), -6);
    EQUAL(ad_value(after), NAN);
    STATUS(ad_tape_status(t), AD_STALE, t);
    CONTAINS(ad_tape_error(t), "stale handle");
}

static void marks_nest(void **state)
{
    ad_tape *t = *state;
    ad_var a = ad_input(t, 1);
    ad_mark outer = ad_mark_here(t);
    ad_var b = ad_add(a, 1);
    ad_mark inner = ad_mark_here(t);
    ad_var c = ad_add(b, 1);
    STATUS(ad_rewind(t, inner), AD_OK, t);
    EQUAL(ad_value(b), 2);
    ad_var d = ad_add(b, 10);
    STATUS(ad_rewind(t, inner), AD_OK, t); /* a mark may be used again */
    ad_var e = ad_add(b, 20);
    EQUAL(ad_value(e), 22);
    STATUS(ad_rewind(t, outer), AD_OK, t);
    assert_int_equal(ad_node_count(t), 1);
    EQUAL(ad_value(a), 1);
    const ad_var gone[] = {b, c, d, e};
    for (int i = 0; i < 4; i++)
        assert_false(tape_valid(t, gone[i]));
    ad_var f = ad_add(a, 5), g = ad_add(f, 5);
    for (int i = 0; i < 4; i++)
        assert_false(tape_valid(t, gone[i]));
    assert_true(tape_valid(t, f));
    EQUAL(ad_value(g), 11);
    STATUS(ad_rewind(t, inner), AD_STALE, t); /* it lay in what was removed */
    CONTAINS(ad_tape_error(t), "rewind");
}

static void handles_are_valid_exactly_until_their_node_is_removed(void **state)
{
    enum { N = 40 };
    ad_tape *t = *state;
    ad_var all[N * 10];
    bool alive[N * 10];
    ad_mark marks[N];
    int n = 0, n_marks = 0;
    unsigned random = 7;
    for (int step = 0; step < 3000 && n < N * 10; step++) {
        random = random * 1103515245u + 12345u;
        unsigned what = random >> 16 & 7;
        if (what < 4) {
            all[n] = ad_input(t, n);
            alive[n++] = true;
        } else if (what < 6 && n_marks < N) {
            marks[n_marks++] = ad_mark_here(t);
        } else if (what == 6 && n_marks) {
            n_marks = (int)((random >> 20) % (unsigned)n_marks);
            uint32_t from = marks[n_marks].nodes;
            STATUS(ad_rewind(t, marks[n_marks]), AD_OK, t);
            for (int i = 0; i < n; i++)
                alive[i] = alive[i] && all[i].u.node.id < from;
        } else if (step % 97 == 0) {
            ad_reset(t);
            n_marks = 0;
            memset(alive, 0, sizeof alive);
        }
        for (int i = 0; i < n; i++)
            if (tape_valid(t, all[i]) != alive[i])
                fail_msg("step %d: handle %d: got %d, want %d", step, i, tape_valid(t, all[i]),
                         alive[i]);
    }
}

static void reset_makes_every_handle_stale_and_keeps_the_memory(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3);
    ad_input_array(t, AD_F64, 1, three, counting);
    int64_t bytes = ad_tape_stats(t).tensor_bytes;
    ad_reset(t);
    assert_int_equal(ad_node_count(t), 0);
    assert_false(tape_valid(t, x));
    ad_var y = ad_input(t, 4);
    assert_false(tape_valid(t, x));
    EQUAL(ad_value(y), 4);
    ad_input_array(t, AD_F64, 1, three, counting);
    assert_int_equal(ad_tape_stats(t).tensor_bytes, bytes);
    ad_sin(x);
    STATUS(ad_tape_status(t), AD_STALE, t);
    ad_reset(t);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_string_equal(ad_tape_error(t), "");
}

static void a_mark_from_before_a_reset_is_stale(void **state)
{
    ad_tape *t = *state;
    ad_input(t, 3);
    ad_mark mark = ad_mark_here(t);
    ad_reset(t);
    ad_input(t, 3);
    ad_input(t, 3);
    STATUS(ad_rewind(t, mark), AD_STALE, t);
    STATUS(ad_rewind(NULL, mark), AD_NULL, NULL);
    ad_reset(t);
    STATUS(ad_rewind(t, (ad_mark){0, 0}), AD_STALE, t);
}

static void gradients_outlive_a_rewind_below_which_their_inputs_lie(void **state)
{
    ad_tape *t = *state;
    enum { N = 300 };
    static const int64_t shape[1] = {N};
    double data[N], g[N];
    for (int i = 0; i < N; i++)
        data[i] = i;
    ad_var v = ad_input_array(t, AD_F64, 1, shape, data), w = ad_mul(v, v);
    STATUS(ad_retain(w), AD_OK, t);
    ad_mark mark = ad_mark_here(t);
    for (int round = 1; round <= 4; round++) {
        ad_var y = ad_sum(ad_mul(w, round));
        STATUS(ad_backward(y), AD_OK, t);
        STATUS(ad_rewind(t, mark), AD_OK, t);
        ad_var other = ad_input_array(t, AD_F64, 1, shape, data); /* over what was removed */
        ad_var z = ad_mul(other, -1), twice = ad_mul(z, 2);
        STATUS(ad_grad_read(v, g), AD_OK, t);
        EQUAL(g[N - 1], 2.0 * (N - 1) * round);
        STATUS(ad_grad_read(w, g), AD_OK, t);
        EQUAL(g[N - 1], round);
        STATUS(ad_backward(ad_sum(ad_mul(w, twice))), AD_OK, t);
        STATUS(ad_read(z, g), AD_OK, t); /* adjoints do not lie over values */
        for (int i = 0; i < N; i++)
            EQUAL(g[i], -i);
        STATUS(ad_read(twice, g), AD_OK, t);
        for (int i = 0; i < N; i++)
            EQUAL(g[i], -2 * i);
        STATUS(ad_grad_read(v, g), AD_OK, t);
        for (int i = 0; i < N; i++)
            EQUAL(g[i], 2.0 * i * (-2 * i));
        STATUS(ad_rewind(t, mark), AD_OK, t);
    }
}

static void rewinding_forgets_assignments_and_retained_nodes(void **state)
{
    ad_tape *t = *state;
    ad_param *p = ad_param_new("state", ad_tensor_from(NULL, AD_F64, 1, three, counting), false);
    ad_var s = ad_use(t, p), x = ad_input(t, 2);
    ad_mark mark = ad_mark_here(t);
    ad_var y = ad_mul(s, 2);
    STATUS(ad_assign(s, y), AD_OK, t);
    STATUS(ad_retain(y), AD_OK, t);
    STATUS(ad_rewind(t, mark), AD_OK, t);
    ad_mul(s, x);
    STATUS(ad_commit(t), AD_OK, t);
    EQUAL(ad_tensor_get(ad_param_value(p), (int64_t[]){0}), 1);
    STATUS(ad_backward(ad_mul(x, x)), AD_OK, t);
    EQUAL(ad_grad(x), 4);
    STATUS(ad_assign(s, ad_mul(s, 3)), AD_OK, t); /* not twice: the first is gone */
    STATUS(ad_commit(t), AD_OK, t);
    EQUAL(ad_tensor_get(ad_param_value(p), (int64_t[]){1}), 6);
    ad_param_free(p); /* the leaf holds its own reference to the tensor */
}

static void borrowed_tensors_are_given_back_by_rewind_and_reset(void **state)
{
    (void)state;
    probe p;
    ad_allocator a = probe_allocator(&p, true);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    ad_tape *t = ad_tape_new(c);
    ad_mark mark = ad_mark_here(t);
    for (int i = 0; i < 3; i++) {
        long blocks = p.blocks;
        ad_tensor *v = ad_tensor_from(c, AD_F64, 1, three, counting);
        ad_var x = ad_bind(t, v);
        ad_tensor_free(v); /* the tape holds it */
        EQUAL(ad_value(ad_sum(x)), 6);
        if (i < 2)
            STATUS(ad_rewind(t, mark), AD_OK, t);
        else
            ad_reset(t);
        if (i)
            assert_int_equal(p.blocks, blocks);
    }
    ad_tape_free(t);
    ad_context_free(c);
    assert_int_equal(p.blocks, 0);
    assert_int_equal(p.wrong_sizes, 0);
}

/* ---- pauses, constants ---- */

static void operations_during_a_pause_are_computed_and_not_recorded(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting);
    int64_t nodes = ad_node_count(t);
    ad_pause(t);
    ad_pause(t);
    ad_var a = ad_mul(x, 4), i = ad_input(t, 5), s = ad_sum(v);
    ad_resume(t);
    ad_var b = ad_sin(a); /* still paused */
    ad_var w = ad_mul(v, x);
    ad_var f = ad_fma(x, x, 1);
    ad_resume(t);
    EQUAL(ad_value(a), 12);
    EQUAL(ad_value(b), sin(12.0));
    EQUAL(ad_value(i), 5);
    EQUAL(ad_value(s), 6);
    EQUAL(ad_value(f), 10);
    assert_false(ad_is_tensor(a) || ad_is_tensor(s));
    assert_int_equal(ad_var_node(a), -1);
    assert_int_equal(ad_var_node(s), -1);
    double read[3];
    STATUS(ad_read(w, read), AD_OK, t);
    EQUAL(read[2], 9);
    for (int64_t k = nodes; k < ad_node_count(t); k++) {
        ad_node_info info;
        STATUS(ad_node_at(t, k, &info), AD_OK, t);
        if (info.kind == AD_NODE_OPERATION)
            fail_msg("node %d is an operation: %s", (int)k, info.operation);
    }
    STATUS(ad_backward(ad_add(ad_mul(x, a), ad_add(ad_sum(w), b))), AD_OK, t);
    EQUAL(ad_grad(x), 12);
    STATUS(ad_grad_read(v, read), AD_OK, t);
    EQUAL(read[0], 0);
}

static void a_parameter_used_first_during_a_pause_still_gets_its_gradient(void **state)
{
    ad_tape *t = *state;
    ad_param *p = ad_param_new("w", ad_tensor_from(NULL, AD_F64, 1, three, counting), true);
    ad_pause(t);
    EQUAL(ad_value(ad_sum(ad_use(t, p))), 6);
    ad_resume(t);
    ad_var w = ad_use(t, p);
    STATUS(ad_backward(ad_sum(ad_mul(w, w))), AD_OK, t);
    double g[3];
    STATUS(ad_grad_read(w, g), AD_OK, t);
    EQUAL(g[2], 6);
    ad_param_free(p);
}

static void resume_without_pause_is_an_error(void **state)
{
    ad_tape *t = *state;
    ad_pause(t);
    ad_resume(t);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_resume(t);
    STATUS(ad_tape_status(t), AD_BAD_ARGUMENT, t);
    CONTAINS(ad_tape_error(t), "resume");
}

static void reset_ends_pauses(void **state)
{
    ad_tape *t = *state;
    ad_pause(t);
    ad_reset(t);
    ad_input(t, 1);
    assert_int_equal(ad_node_count(t), 1);
}

static void no_gradient_passes_a_stop(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var y = ad_mul(x, ad_stop_gradient(ad_square(x))),
           z = ad_sum(ad_mul(v, ad_stop_gradient(v)));
    EQUAL(ad_value(y), 27);
    STATUS(ad_backward(ad_add(y, z)), AD_OK, t);
    EQUAL(ad_grad(x), 9);
    double g[3];
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[2], 3);
    STATUS(ad_set(x, 2), AD_OK, t); /* but values do, on a replay too */
    STATUS(ad_replay(t), AD_OK, t);
    EQUAL(ad_value(y), 8);
}

static void constants_fold_and_take_no_nodes(void **state)
{
    ad_tape *t = *state;
    ad_var c = ad_mul(ad_constant(2), ad_add(ad_sin(1), 3));
    EQUAL(ad_value(c), 2 * (sin(1.0) + 3));
    EQUAL(ad_value(ad_fma(2, 3, 4)), 10);
    assert_int_equal(ad_var_node(c), -1);
    assert_int_equal(ad_rank(c), 0);
    assert_int_equal(ad_size(c), 1);
    ad_var x = ad_input(t, 1), y = ad_mul(x, c);
    assert_int_equal(ad_node_count(t), 3); /* x, the constant, y */
    ad_node_info info;
    STATUS(ad_node_at(t, 1, &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_CONSTANT);
    STATUS(ad_backward(y), AD_OK, t);
    CLOSE(ad_grad(x), ad_value(c));
}

/* ---- order and forms of calls ---- */

static const char *operation(const ad_tape *t, int64_t i)
{
    ad_node_info info;
    return ad_node_at(t, i, &info) ? "no node" : info.operation;
}

static void nested_calls_record_from_left_to_right(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), z = ad_input(t, 5);
    ad_var y = ad_add(ad_mul(x, z), ad_sin(x));
    assert_string_equal(operation(t, 2), "mul");
    assert_string_equal(operation(t, 3), "sin");
    assert_string_equal(operation(t, 4), "add");
    assert_int_equal(ad_var_node(y), 4);
    assert_int_equal(ad_node_parent(t, 4, 0), 2);
    assert_int_equal(ad_node_parent(t, 4, 1), 3);
    ad_reset(t);
    x = ad_input(t, 2);
    ad_fma(ad_sin(x), ad_cos(x), ad_tan(x));
    assert_string_equal(operation(t, 1), "sin");
    assert_string_equal(operation(t, 2), "cos");
    assert_string_equal(operation(t, 3), "tan");
    ad_reset(t);
    x = ad_input(t, 2);
    assert_true(ad_lt(ad_sin(x), ad_exp(x)));
    assert_string_equal(operation(t, 1), "sin");
    assert_string_equal(operation(t, 2), "exp");
}

static void structured_calls_record_from_left_to_right(void **state)
{
    ad_tape *t = *state;
    const int64_t square[2] = {2, 2};
    ad_var a = ad_input_array(t, AD_F64, 2, square, counting);
    ad_matmul(ad_sin(a), ad_cos(a));
    assert_string_equal(operation(t, 1), "sin");
    assert_string_equal(operation(t, 2), "cos");
    assert_string_equal(operation(t, 3), "matmul");
}

static void twenty_levels_of_nesting_compile(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1);
    ad_var y = ad_add(
        x,
        ad_add(
            x,
            ad_add(
                x,
                ad_add(
                    x,
                    ad_add(
                        x,
                        ad_add(
                            x,
                            ad_add(
                                x,
                                ad_add(
                                    x,
                                    ad_add(
                                        x,
                                        ad_add(
                                            x,
                                            ad_add(
                                                x,
                                                ad_add(
                                                    x,
                                                    ad_add(
                                                        x,
                                                        ad_add(
                                                            x,
                                                            ad_add(
                                                                x,
                                                                ad_add(
                                                                    x,
                                                                    ad_add(
                                                                        x,
                                                                        ad_add(
                                                                            x,
                                                                            ad_add(
                                                                                x,
                                                                                ad_add(
                                                                                    x,
                                                                                    x))))))))))))))))))));
    EQUAL(ad_value(y), 21);
    y = ad_mul(
        ad_add(ad_mul(ad_add(ad_mul(ad_add(ad_mul(ad_add(ad_mul(ad_add(ad_mul(ad_add(ad_mul(x, 1),
                                                                                     ad_neg(x)),
                                                                              x),
                                                                       2),
                                                                x),
                                                         3),
                                                  x),
                                           4),
                                    x),
                             5),
                      x),
               6),
        x);
    EQUAL(ad_value(y), 20);
}

static void numbers_stand_for_variables(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 3);
    EQUAL(ad_value(ad_sub(10, x)), 7);
    EQUAL(ad_value(ad_sub(x, 10.0f)), -7);
    EQUAL(ad_value(ad_mul(2u, ad_constant(4))), 8);
    EQUAL(ad_value(ad_where(ad_less(x, 4), x, -1)), 3);
    assert_true(ad_lt(x, 4));
    assert_true(ad_ge(4, x));
    EQUAL(ad_value(ad_add(x, (ad_var[]){x, x}[1])),
          6); /* a comma in the last argument is no separator */
    EQUAL(ad_value(ad_neg((ad_var[]){x, x}[1])), -3);
    EQUAL(ad_value(ad_sum_n(2, (ad_var[]){x, x})), 6);
}

static void functions_have_addresses(void **state)
{
    ad_tape *t = *state;
    ad_var (*one)(ad_var) = ad_sin, (*two)(ad_var, ad_var) = ad_mul, (*all)(ad_var) = ad_sum;
    bool (*guard)(ad_var, ad_var) = ad_lt;
    ad_var x = ad_input(t, 3), v = ad_input_array(t, AD_F64, 1, three, counting);
    EQUAL(ad_value(one(x)), sin(3.0));
    EQUAL(ad_value(two(x, x)), 9);
    EQUAL(ad_value(all(v)), 6);
    assert_true(guard(x, ad_constant(4)));
    EQUAL(ad_value((ad_sin)(x)), sin(3.0));
}

/* ---- values ---- */

static void the_value_of_a_tensor_of_one_element_can_be_asked_for(void **state)
{
    ad_tape *t = *state;
    const int64_t one[2] = {1, 1};
    ad_var m = ad_input_array(t, AD_F32, 2, one, (const float[]){2.5f});
    EQUAL(ad_value(m), 2.5);
    EQUAL(ad_value(ad_mul(m, 2)), 5);
    STATUS(ad_backward(ad_mul(m, m)), AD_OK, t);
    EQUAL(ad_grad(m), 5);
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting);
    EQUAL(ad_value(ad_slice(v, 0, 2, 3, 1)), 3);
    EQUAL(ad_value(v), NAN); /* three elements have no one value; that is no error of the tape */
    STATUS(ad_tape_status(t), AD_OK, t);
}

static void values_can_be_set_and_replayed(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), v = ad_input_array(t, AD_F32, 1, three, (const float[]){1, 2, 3});
    ad_var y = ad_add(ad_mul(x, x), ad_sum(ad_mul(v, x)));
    EQUAL(ad_value(y), 16);
    STATUS(ad_set(x, 3), AD_OK, t);
    STATUS(ad_set_array(v, (const double[]){10, 20, 30}), AD_OK, t);
    STATUS(ad_replay(t), AD_OK, t);
    EQUAL(ad_value(y), 9 + 180);
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_grad(x), 6 + 60);
    double g[3];
    STATUS(ad_grad_read(v, g), AD_OK, t);
    EQUAL(g[1], 3);
}

static void a_flipped_comparison_asks_for_a_new_tape(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2);
    ONE_LINE(const char *here = HERE; bool less = ad_lt(x, 3);)
    ad_mul(x, less ? 1 : 2);
    STATUS(ad_set(x, 2.5), AD_OK, t);
    STATUS(ad_replay(t), AD_OK, t);
    STATUS(ad_set(x, 3.5), AD_OK, t);
    STATUS(ad_replay(t), AD_RETAPE, t);
    CONTAINS(ad_tape_error(t), "3.5 < 3 was true");
    CONTAINS(ad_tape_error(t), here);
}

static void a_borrowed_tensor_may_not_change_before_the_replay(void **state)
{
    ad_tape *t = *state;
    for (int how = 0; how < 5; how++) {
        ad_tensor *v = ad_tensor_from(NULL, AD_F64, 1, three, counting);
        ad_tensor *view = ad_tensor_sliced(v, 0, 1, 2, 1);
        ad_var x = ad_bind(t, how == 4 ? view : v), y = ad_sum(ad_mul(x, x));
        STATUS(ad_backward(y), AD_OK, t);
        if (how == 0)
            STATUS(ad_tensor_set(v, (int64_t[]){1}, 5), AD_OK, NULL);
        else if (how == 1)
            *(double *)ad_tensor_data(v) = 9;
        else if (how == 2)
            STATUS(ad_tensor_fill(view, 5), AD_OK, NULL); /* a view's write is the tensor's */
        else
            STATUS(ad_tensor_write(v, counting), AD_OK, NULL);
        STATUS(how % 2 ? ad_replay(t) : ad_backward(y), AD_MODIFIED, t);
        CONTAINS(ad_tape_error(t), "written after it was recorded");
        ad_reset(t);
        ad_tensor_free(v);
        ad_tensor_free(view);
    }
}

static void raw_writes_to_borrowed_memory_are_found_by_checksums(void **state)
{
    (void)state;
    ad_context *c = ad_context_new(&(ad_context_config){.checksum_borrowed = true});
    for (int checked = 0; checked < 2; checked++) {
        ad_tape *t = ad_tape_new(checked ? c : NULL);
        ad_tensor *v = ad_tensor_from(NULL, AD_F32, 1, three, (const float[]){1, 2, 3});
        float *raw = ad_tensor_data(v);
        ad_var y = ad_sum(ad_bind(t, v));
        STATUS(ad_backward(y), AD_OK, t);
        raw[2] = 4;
        STATUS(ad_backward(y), checked ? AD_MODIFIED : AD_OK, t);
        ad_tape_free(t);
        ad_tensor_free(v);
    }
    ad_context_free(c);
}

static void the_first_number_that_is_not_finite_is_named(void **state)
{
    (void)state;
    ad_context *c = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(c);
    ad_var x = ad_input(t, -1), good = ad_square(x);
    EQUAL(ad_value(good), 1);
    ONE_LINE(const char *here = HERE; ad_var bad = ad_log(x);)
    ad_div(bad, 0);
    STATUS(ad_backward(good), AD_NOT_FINITE, t);
    CONTAINS(ad_tape_error(t), "log: gives ");
    CONTAINS(ad_tape_error(t), "at a = -1 (");
    CONTAINS(ad_tape_error(t), here);
    ad_reset(t);
    ad_var v = ad_input_array(t, AD_F64, 1, three, (const double[]){1, 2, -3});
    ONE_LINE(here = HERE; ad_sqrt(v);)
    CONTAINS(ad_tape_error(t), "sqrt: element 2 of (3) is");
    CONTAINS(ad_tape_error(t), here);
    ad_reset(t);
    x = ad_input(t, 1); /* on a replay too */
    ONE_LINE(here = HERE; ad_var y = ad_log(x);)
    ad_mul(y, 2);
    STATUS(ad_set(x, 0), AD_OK, t);
    STATUS(ad_replay(t), AD_NOT_FINITE, t);
    CONTAINS(ad_tape_error(t), "replay: log at node 1");
    CONTAINS(ad_tape_error(t), here);
    ad_reset(t);
    x = ad_input(t, 0); /* and of gradients */
    STATUS(ad_backward(ad_sqrt(x)), AD_NOT_FINITE, t);
    CONTAINS(ad_tape_error(t), "gradient of input node 0");
    ad_tape_free(t);
    ad_context_free(c);
}

static void draws_follow_seed_and_step(void **state)
{
    ad_tape *t = *state;
    double a[6], b[6];
    ad_seed(t, 5);
    ad_set_step(t, 2);
    ad_var r = ad_random_normal(t, 1, AD_F64, 2, two_by_three);
    STATUS(ad_read(r, a), AD_OK, t);
    ad_tensor *same = ad_tensor_new(NULL, AD_F64, 2, two_by_three);
    STATUS(ad_draw_normal(same, 5, 1, 2), AD_OK, NULL);
    STATUS(ad_tensor_read(same, b), AD_OK, NULL);
    assert_memory_equal(a, b, sizeof a);
    ad_set_step(t, 3);
    STATUS(ad_replay(t), AD_OK, t);
    STATUS(ad_read(r, b), AD_OK, t);
    assert_memory_not_equal(a, b, sizeof a);
    ad_set_step(t, 2);
    STATUS(ad_replay(t), AD_OK, t);
    STATUS(ad_read(r, b), AD_OK, t);
    assert_memory_equal(a, b, sizeof a);
    ad_tensor_free(same);
}

/* ---- sites and scopes ---- */

static void site_at(const ad_tape *t, ad_var a, const char *want, int line)
{
    ad_node_info info;
    if (ad_node_at(t, ad_var_node(a), &info))
        fail_msg("line %d: no node: %s", line, ad_tape_error(t));
    if (strcmp(info.site, want))
        fail_msg("line %d: got site \"%s\", want \"%s\"", line, info.site, want);
}
#define SITE(a, want) site_at(t, a, want, __LINE__)

static void every_node_knows_its_source_line(void **state)
{
    ad_tape *t = *state;
    const char *site[9];
    ONE_LINE(site[0] = HERE; ad_var x = ad_input(t, 2);)
    ONE_LINE(site[1] = HERE; ad_var s = ad_sin(x);)
    ONE_LINE(site[2] = HERE; ad_var m = ad_mul(s, x);)
    ONE_LINE(site[3] = HERE; ad_var c = ad_mul(m, 2);)
    ONE_LINE(site[4] = HERE; ad_var v = ad_input_array(t, AD_F64, 1, three, counting);)
    ONE_LINE(site[5] = HERE; ad_var w = ad_mul(v, m);)
    ONE_LINE(site[6] = HERE; ad_var y = ad_sum(w);)
    ONE_LINE(site[7] = HERE; ad_var f = ad_fma(x, y, 3);)
    ONE_LINE(site[8] = HERE; ad_var p = (ad_cos)(x);)
    SITE(x, site[0]);
    SITE(s, site[1]);
    SITE(m, site[2]);
    SITE(c, site[3]);
    SITE(v, site[4]);
    SITE(w, site[5]);
    SITE(y, site[6]);
    SITE(f, site[7]);
    SITE(p, ""); /* a plain function has none */
    (void)site[8];
    ad_mark mark = ad_mark_here(t);
    ad_neg(x);
    STATUS(ad_rewind(t, mark), AD_OK, t);
    ONE_LINE(site[0] = HERE; x = ad_neg(x);)
    SITE(x, site[0]);
}

static void nodes_of_a_derivative_have_the_site_of_their_operation(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2);
    ONE_LINE(const char *here = HERE; ad_var y = ad_exp(ad_sin(x));)
    ad_var g = ad_grad_of(y, x);
    SITE(g, here);
}

static void scope_at(const ad_tape *t, ad_var a, const char *want, int line)
{
    ad_node_info info;
    if (ad_node_at(t, ad_var_node(a), &info))
        fail_msg("line %d: no node: %s", line, ad_tape_error(t));
    if (strcmp(info.scope, want))
        fail_msg("line %d: got scope \"%s\", want \"%s\"", line, info.scope, want);
}
#define SCOPE(a, want) scope_at(t, a, want, __LINE__)

static void scopes_name_the_nodes_within(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1);
    ad_scope_push(t, "a");
    ad_var in_a = ad_sin(x);
    ad_scope_push(t, "b");
    ad_var in_b = ad_sin(x);
    ad_scope_pop(t);
    ad_var back = ad_sin(x);
    ad_scope_push(t, "c");
    ad_var in_c = ad_sum(ad_input_array(t, AD_F64, 1, three, counting));
    ad_scope_pop(t);
    ad_scope_pop(t);
    ad_var out = ad_sin(x);
    SCOPE(x, "");
    SCOPE(in_a, "a");
    SCOPE(in_b, "a/b");
    SCOPE(back, "a");
    SCOPE(in_c, "a/c");
    SCOPE(out, "");
    ad_scope_push(t, "layer 2");
    ad_scope_push(t, "attention");
    ad_matmul(ad_input_array(t, AD_F64, 2, two_by_three, counting),
              ad_input_array(t, AD_F64, 2, two_by_three, counting));
    CONTAINS(ad_tape_error(t), "layer 2/attention");
}

static void scopes_within_a_rewound_region_leave_no_trace(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1);
    ad_scope_push(t, "outer");
    ad_var before = ad_sin(x);
    ad_mark mark = ad_mark_here(t);
    for (int i = 0; i < 4; i++) {
        ad_scope_push(t, "step");
        ad_var in_step = ad_sin(before);
        SCOPE(in_step, "outer/step");
        ad_scope_pop(t);
        ad_var behind = ad_sin(before);
        SCOPE(behind, "outer");
        STATUS(ad_rewind(t, mark), AD_OK, t);
        ad_var after = ad_cos(before);
        SCOPE(after, "outer");
        SCOPE(before, "outer");
        SCOPE(x, "");
        STATUS(ad_rewind(t, mark), AD_OK, t);
    }
    ad_scope_push(t, "deep");
    ad_scope_push(t, "deeper");
    ad_sin(before);
    STATUS(ad_rewind(t, mark), AD_OK, t); /* scopes that are open stay open */
    ad_var y = ad_sin(before);
    SCOPE(y, "outer/deep/deeper");
    ad_scope_pop(t);
    y = ad_sin(before);
    SCOPE(y, "outer/deep");
    ad_scope_pop(t);
    ad_scope_pop(t);
    y = ad_sin(before);
    SCOPE(y, "");
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_true(ad_tape_stats(t).site_bytes < 1000);
    ad_reset(t);
    x = ad_input(t, 1);
    SCOPE(x, "");
}

static void popping_a_scope_that_is_not_open_is_an_error(void **state)
{
    ad_tape *t = *state;
    ad_scope_push(t, "a");
    ad_scope_pop(t);
    STATUS(ad_tape_status(t), AD_OK, t);
    ad_scope_pop(t);
    STATUS(ad_tape_status(t), AD_BAD_ARGUMENT, t);
    CONTAINS(ad_tape_error(t), "scope_pop");
    ad_reset(t);
    ad_scope_push(t, NULL);
    STATUS(ad_tape_status(t), AD_NULL, t);
}

/* ---- what recording costs ---- */

static double one_round(ad_tape *t, ad_param *p)
{
    const int64_t column[2] = {3, 1};
    ad_scope_push(t, "round");
    ad_var x = ad_input(t, 2), y = x;
    for (int i = 0; i < 5000; i++)
        y = ad_sin(ad_add(y, x));
    ad_var v = ad_input_array(t, AD_F64, 2, two_by_three, counting), w = ad_use(t, p);
    ad_var m = ad_matmul(v, ad_reshape(w, 2, column));
    ad_var z = ad_add(y, ad_sum(ad_tanh(ad_concat(2, (ad_var[]){m, ad_softmax(m, 0)}, 1))));
    ad_mark mark = ad_mark_here(t);
    ad_sum(ad_mul(z, v));
    ad_rewind(t, mark);
    ad_retain(m);
    ad_var g = ad_grad_of(z, w);
    ad_assign(w, ad_sub(w, ad_mul(g, 0)));
    ad_scope_pop(t);
    if (ad_backward(z) || ad_replay(t) || ad_commit(t))
        return NAN;
    double sum = ad_value(z) + ad_grad(x);
    ad_reset(t);
    return sum;
}

static void a_warm_tape_allocates_nothing(void **state)
{
    (void)state;
    for (int reserving = 0; reserving < 2; reserving++) {
        probe p;
        ad_allocator a = probe_allocator(&p, reserving);
        ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
        ad_tape *t = ad_tape_new(c);
        ad_param *w = ad_param_new("w", ad_tensor_from(c, AD_F64, 1, three, counting), true);
        double first = one_round(t, w);
        long calls = p.calls, bytes = p.bytes;
        double second = one_round(t, w);
        STATUS(ad_tape_status(t), AD_OK, t);
        EQUAL(second, first);
        /* what ad_grad_of works with does not outlive it; nothing else may call */
        if (p.bytes != bytes || p.calls - calls > 3)
            fail_msg("the second round made %ld calls, want 3 at most; held %ld bytes, want %ld",
                     p.calls - calls, p.bytes, bytes);
        ad_param_free(w);
        ad_tape_free(t);
        ad_context_free(c);
        assert_int_equal(p.blocks, 0);
        assert_int_equal(p.wrong_sizes, 0);
    }
}

static void recording_calls_no_allocator_once_warm(void **state)
{
    (void)state;
    probe p;
    ad_allocator a = probe_allocator(&p, true);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    ad_tape *t = ad_tape_new(c);
    long calls = 0;
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            calls = p.calls;
        ad_var x = ad_input(t, 2), v = ad_input_array(t, AD_F64, 2, two_by_three, counting), y = x;
        for (int i = 0; i < 20000; i++)
            y = ad_sin(ad_add(y, x));
        ad_var z = ad_sum(ad_mul(ad_exp(ad_transpose(v)), y));
        STATUS(ad_backward(z), AD_OK, t);
        ad_reset(t);
    }
    assert_int_equal(p.calls - calls, 0);
    ad_tape_free(t);
    ad_context_free(c);
    assert_int_equal(p.blocks, 0);
}

/* ---- introspection ---- */

static void the_nodes_can_be_walked(void **state)
{
    ad_tape *t = *state;
    ad_var x1 = ad_input(t, 2), x2 = ad_input(t, 5);
    ad_var y = ad_add(ad_mul(x1, x2), ad_sin(x1));
    STATUS(ad_backward_keep(y), AD_OK, t);
    static const struct {
        ad_node_kind kind;
        const char *operation;
        int n_parents;
        int64_t parents[2];
        double adjoint;
    } want[5] = {{AD_NODE_INPUT, "input", 0, {-1, -1}, 0},
                 {AD_NODE_INPUT, "input", 0, {-1, -1}, 2},
                 {AD_NODE_OPERATION, "mul", 2, {0, 1}, 1},
                 {AD_NODE_OPERATION, "sin", 1, {0, -1}, 1},
                 {AD_NODE_OPERATION, "add", 2, {2, 3}, 1}};
    const double values[5] = {2, 5, 10, sin(2.0), 10 + sin(2.0)};
    assert_int_equal(ad_node_count(t), 5);
    for (int i = 0; i < 5; i++) {
        ad_node_info info;
        STATUS(ad_node_at(t, i, &info), AD_OK, t);
        assert_int_equal(info.kind, want[i].kind);
        assert_string_equal(info.operation, want[i].operation);
        assert_int_equal(info.n_parents, want[i].n_parents);
        for (int k = 0; k < 2; k++)
            assert_int_equal(ad_node_parent(t, i, k), want[i].parents[k]);
        EQUAL(info.value, values[i]);
        if (i)
            EQUAL(info.adjoint, want[i].adjoint);
        else
            CLOSE(info.adjoint, 5 + cos(2.0));
        assert_int_equal(info.rank, 0);
        assert_true(info.needs_gradient);
        assert_int_equal(ad_var_node(ad_node_var(t, i)), i);
    }
    EQUAL(ad_node_partial(t, 2, 0), 5);
    EQUAL(ad_node_partial(t, 2, 1), 2);
    EQUAL(ad_node_partial(t, 3, 0), cos(2.0));
    EQUAL(ad_node_partial(t, 4, 1), 1);
    EQUAL(ad_node_partial(t, 0, 0), NAN);
    EQUAL(ad_node_partial(t, 2, 2), NAN);
    EQUAL(ad_node_partial(t, 9, 0), NAN);
    EQUAL(ad_node_partial(NULL, 0, 0), NAN);
}

static void nodes_out_of_range_are_refused(void **state)
{
    ad_tape *t = *state;
    ad_node_info info;
    ad_input(t, 1);
    STATUS(ad_node_at(t, 1, &info), AD_BAD_INDEX, t);
    STATUS(ad_node_at(t, -1, &info), AD_BAD_INDEX, t);
    STATUS(ad_node_at(NULL, 0, &info), AD_NULL, t);
    STATUS(ad_node_at(t, 0, NULL), AD_NULL, t);
    assert_int_equal(ad_node_parent(t, 0, 0), -1);
    assert_int_equal(ad_node_parent(t, 5, 0), -1);
    assert_null(ad_node_var(t, 7).tape);
    assert_int_equal(ad_node_count(NULL), 0);
    STATUS(ad_tape_status(t), AD_OK, t);
}

static void operations_of_three_arguments_show_all_their_parents(void **state)
{
    ad_tape *t = *state;
    ad_var a = ad_input(t, 2), b = ad_input(t, 3), c = ad_input(t, 4), y = ad_fma(a, b, c);
    int64_t i = ad_var_node(y);
    assert_int_equal(ad_node_parent(t, i, 0), 0);
    assert_int_equal(ad_node_parent(t, i, 1), 1);
    assert_int_equal(ad_node_parent(t, i, 2), 2);
    EQUAL(ad_node_partial(t, i, 0), 3);
    EQUAL(ad_node_partial(t, i, 1), 2);
    EQUAL(ad_node_partial(t, i, 2), 1);
}

static void tensors_and_guards_show_what_they_are(void **state)
{
    ad_tape *t = *state;
    ad_param *p =
        ad_param_new("w", ad_tensor_from(NULL, AD_F32, 1, three, (const float[]){1, 2, 3}), true);
    ad_var w = ad_use(t, p),
           c = ad_constant_array(t, AD_F32, 2, two_by_three, (const float[]){1, 2, 3, 4, 5, 6});
    ad_var y = ad_mul(c, w), s = ad_sum(y);
    ad_lt(s, 100);
    ad_node_info info;
    STATUS(ad_node_at(t, ad_var_node(w), &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_PARAMETER);
    STATUS(ad_node_at(t, ad_var_node(c), &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_CONSTANT);
    assert_false(info.needs_gradient);
    STATUS(ad_node_at(t, ad_var_node(y), &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_OPERATION);
    assert_string_equal(info.operation, "mul");
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.shape[1], 3);
    assert_int_equal(info.dtype, AD_F32);
    EQUAL(info.value, NAN);
    assert_int_equal(ad_node_parent(t, ad_var_node(y), 1), ad_var_node(w));
    int64_t sum = ad_var_node(s);
    STATUS(ad_node_at(t, sum, &info), AD_OK, t);
    assert_string_equal(info.operation, "sum");
    EQUAL(info.value, 5 + 14 + 27);
    STATUS(ad_node_at(t, sum - 1, &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_HIDDEN);
    STATUS(ad_node_at(t, ad_node_count(t) - 1, &info), AD_OK, t);
    assert_int_equal(info.kind, AD_NODE_GUARD);
    assert_int_equal(info.n_parents, 2);
    EQUAL(info.value, 1);
    ad_param_free(p);
}

static void statistics_count_by_kind(void **state)
{
    ad_tape *t = *state;
    ad_param *p = ad_param_new("w", ad_tensor_from(NULL, AD_F64, 1, three, counting), true);
    ad_var x = ad_input(t, 2), w = ad_use(t, p), y = ad_sum(ad_mul(ad_mul(w, x), 3));
    ad_constant_array(t, AD_F64, 1, three, counting);
    ad_sin(ad_sin(x));
    ad_gt(y, 0);
    ad_value(y);
    ad_stats s = ad_tape_stats(t);
    assert_int_equal(s.nodes, ad_node_count(t));
    assert_int_equal(s.inputs, 1);
    assert_int_equal(s.parameters, 1);
    assert_int_equal(s.constants, 3); /* 3, the array, 0 */
    assert_int_equal(s.operations, 5);
    assert_int_equal(s.guards, 1);
    assert_int_equal(s.node_bytes, 24 * s.nodes);
    assert_int_equal(s.value_reads, 1);
    assert_true(s.tensor_bytes > 0);
    int64_t *counts = calloc((size_t)ad_op_count(), sizeof *counts);
    STATUS(ad_tape_counts(t, counts), AD_OK, t);
    int64_t all = 0;
    for (int i = 0; i < ad_op_count(); i++) {
        const char *name = ad_op_at(i)->name;
        int64_t want = !strcmp(name, "mul") || !strcmp(name, "sin") ? 2 : !strcmp(name, "sum");
        if (counts[i] != want)
            fail_msg("%s: got %d, want %d", name, (int)counts[i], (int)want);
        all += counts[i];
    }
    assert_int_equal(all, s.operations);
    STATUS(ad_tape_counts(t, NULL), AD_NULL, t);
    STATUS(ad_tape_counts(NULL, counts), AD_NULL, t);
    assert_int_equal(ad_tape_stats(NULL).nodes, 0);
    free(counts);
    ad_param_free(p);
}

/* ---- pictures ---- */

static void written_at(FILE *from, const char *want, int line)
{
    static char got[8192];
    rewind(from);
    size_t n = fread(got, 1, sizeof got - 1, from);
    got[n] = 0;
    fclose(from);
    if (strcmp(got, want)) {
        print_error("got\n%s\n", got);
        print_error("want\n%s\n", want);
        fail_msg("line %d: what was written differs", line);
    }
}
/* all of it from one line */
#define WORKED_EXAMPLE(t, site, y)                                                                 \
    const char *site = HERE;                                                                       \
    ad_var x1 = ad_input(t, 2), x2 = ad_input(t, 5), y = ad_add(ad_mul(x1, x2), ad_sin(x1))
#define WRITTEN(from, want) written_at(from, want, __LINE__)

static void the_table_reads_well(void **state)
{
    ad_tape *t = *state;
    WORKED_EXAMPLE(t, site, y);
    STATUS(ad_backward_keep(y), AD_OK, t);
    FILE *to = tmpfile();
    STATUS(ad_tape_print(t, to), AD_OK, t);
    char want[4096];
    snprintf(want, sizeof want,
             "  node  operation                shape                 value        adjoint  site\n"
             "     0  input                                              2     4.58385316  %s\n"
             "     1  input                                              5              2  %s\n"
             "     2  mul 0, 1                                          10              1  %s\n"
             "     3  sin 0                                    0.909297427              1  %s\n"
             "     4  add 2, 3                                  10.9092974              1  %s\n",
             site, site, site, site, site);
    WRITTEN(to, want);
    STATUS(ad_tape_print(NULL, stdout), AD_NULL, t);
    STATUS(ad_tape_print(t, NULL), AD_NULL, t);
}

static void the_trace_reads_well(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, y = ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
    FILE *to = tmpfile();
    STATUS(ad_trace_print(y, 2, x, (const char *const[]){"x1", "x2"}, to), AD_OK, t);
    WRITTEN(to,
            "  node  operation                  value         d/dx1         d/dx2       adjoint\n"
            "    v0  x1                      2.000000      1.000000      0.000000      4.583853\n"
            "    v1  x2                      5.000000      0.000000      1.000000      2.000000\n"
            "    v2  v0 * v1                10.000000      5.000000      2.000000      1.000000\n"
            "    v3  sin(v0)                 0.909297     -0.416147      0.000000      1.000000\n"
            "    v4  v2 + v3                10.909297      4.583853      2.000000      1.000000\n");
    STATUS(ad_trace_print(y, 2, x, NULL, NULL), AD_NULL, t);
}

static void the_graph_reads_well(void **state)
{
    ad_tape *t = *state;
    WORKED_EXAMPLE(t, site, y);
    assert_int_equal(ad_var_node(y), 4);
    FILE *to = tmpfile();
    STATUS(ad_tape_dot(t, to), AD_OK, t);
    char want[4096], tip[512];
    snprintf(tip, sizeof tip, *site ? "\", tooltip=\"%s\"];\n" : "%s\"];\n", site);
    snprintf(want, sizeof want,
             "digraph tape {\n"
             "  rankdir=LR;\n"
             "  n0 [shape=ellipse, label=\"input\\n2%s"
             "  n1 [shape=ellipse, label=\"input\\n5%s"
             "  n2 [shape=box, label=\"mul\\n10%s"
             "  n0 -> n2 [label=\"5\"];\n"
             "  n1 -> n2 [label=\"2\"];\n"
             "  n3 [shape=box, label=\"sin\\n0.909297%s"
             "  n0 -> n3 [label=\"-0.4161\"];\n"
             "  n4 [shape=box, label=\"add\\n10.9093%s"
             "  n2 -> n4 [label=\"1\"];\n"
             "  n3 -> n4 [label=\"1\"];\n"
             "}\n",
             tip, tip, tip, tip, tip);
    WRITTEN(to, want);
    STATUS(ad_tape_dot(NULL, stdout), AD_NULL, t);
}

static void pictures_of_tensors_show_shapes(void **state)
{
    ad_tape *t = *state;
    ad_scope_push(t, "layer");
    ad_var v = ad_input_array(t, AD_F64, 2, two_by_three, counting), x = ad_input(t, 1);
    ad_var y = ad_sum(ad_mul(v, x));
    ad_lt(y, 1000);
    char text[8192];
    FILE *to = tmpfile();
    STATUS(ad_tape_print(t, to), AD_OK, t);
    STATUS(ad_trace_print(y, 1, &x, NULL, to), AD_OK, t);
    STATUS(ad_tape_dot(t, to), AD_OK, t);
    rewind(to);
    size_t n = fread(text, 1, sizeof text - 1, to);
    text[n] = 0;
    fclose(to);
    CONTAINS(text, "(2,3)");
    CONTAINS(text, "mul 0, 1");
    CONTAINS(text, "guard 4, 5 -> true");
    CONTAINS(text, "layer");
    CONTAINS(text, "shape=diamond");
    CONTAINS(text, "double");
}

int main(void)
{
#define T(name) ON_A_TAPE(name)
    const struct CMUnitTest tests[] = {
        T(a_new_tape_is_empty_and_well),
        T(freeing_nothing_is_fine),
        T(a_tape_gives_values_and_gradients),
        T(a_tape_grows_to_ten_million_nodes_without_moving_them),
        T(a_full_tape_is_an_error),
        T(every_node_may_have_a_site_of_its_own),
        T(what_is_deferred_is_computed_when_somebody_looks),
        T(deferred_values_serve_reads_comparisons_pauses_and_gradients),
        T(what_cannot_be_computed_is_an_error_when_it_is_due),
        T(backward_twice_gives_the_same),
        T(backward_add_adds),
        T(backward_keep_keeps_every_adjoint_and_leaves_no_trace),
        T(retained_nodes_keep_theirs),
        T(a_node_may_be_retained_after_a_pass),
        T(an_adjoint_before_any_pass_is_an_error),
        T(fan_out_accumulates),
        T(backward_of_an_input_gives_one),
        T(backward_of_a_constant_is_fine_and_gives_zero),
        T(several_outputs_take_seeds),
        T(rewind_removes_what_came_after_the_mark),
        T(marks_nest),
        T(handles_are_valid_exactly_until_their_node_is_removed),
        T(reset_makes_every_handle_stale_and_keeps_the_memory),
        T(a_mark_from_before_a_reset_is_stale),
        T(gradients_outlive_a_rewind_below_which_their_inputs_lie),
        T(rewinding_forgets_assignments_and_retained_nodes),
        T(borrowed_tensors_are_given_back_by_rewind_and_reset),
        T(operations_during_a_pause_are_computed_and_not_recorded),
        T(a_parameter_used_first_during_a_pause_still_gets_its_gradient),
        T(resume_without_pause_is_an_error),
        T(reset_ends_pauses),
        T(no_gradient_passes_a_stop),
        T(constants_fold_and_take_no_nodes),
        T(nested_calls_record_from_left_to_right),
        T(structured_calls_record_from_left_to_right),
        T(twenty_levels_of_nesting_compile),
        T(numbers_stand_for_variables),
        T(functions_have_addresses),
        T(the_value_of_a_tensor_of_one_element_can_be_asked_for),
        T(values_can_be_set_and_replayed),
        T(a_flipped_comparison_asks_for_a_new_tape),
        T(a_borrowed_tensor_may_not_change_before_the_replay),
        T(raw_writes_to_borrowed_memory_are_found_by_checksums),
        T(the_first_number_that_is_not_finite_is_named),
        T(draws_follow_seed_and_step),
        T(every_node_knows_its_source_line),
        T(nodes_of_a_derivative_have_the_site_of_their_operation),
        T(scopes_name_the_nodes_within),
        T(scopes_within_a_rewound_region_leave_no_trace),
        T(popping_a_scope_that_is_not_open_is_an_error),
        T(a_warm_tape_allocates_nothing),
        T(recording_calls_no_allocator_once_warm),
        T(the_nodes_can_be_walked),
        T(nodes_out_of_range_are_refused),
        T(operations_of_three_arguments_show_all_their_parents),
        T(tensors_and_guards_show_what_they_are),
        T(statistics_count_by_kind),
        T(the_table_reads_well),
        T(the_trace_reads_well),
        T(the_graph_reads_well),
        T(pictures_of_tensors_show_shapes),
    };
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
