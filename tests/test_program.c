/* test_program.c - programs: captured once, run at new inputs, with parameters, states, guards and
 * draws */
#include "allocator.h"
#include "expect.h"

static const int64_t three[1] = {3}, two_by_three[2] = {2, 3};
static const double counting[6] = {1, 2, 3, 4, 5, 6};

static ad_program *captured(ad_tape *t, int n, const ad_var *in, int m, const ad_var *out,
                            int flags)
{
    ad_program *p = ad_program_capture(t, n, in, m, out, flags);
    if (!p)
        fail_msg("no program: %s", ad_tape_error(t));
    return p;
}

static ad_param *vector_param(const char *name, const double *values, bool trainable)
{
    return ad_param_new(name, ad_tensor_from(NULL, AD_F64, 1, three, values), trainable);
}

static double element(ad_param *p, int64_t i) { return ad_tensor_get(ad_param_value(p), &i); }

/* ---- inputs and outputs ---- */

static void a_program_runs_at_new_inputs_after_its_tape_is_gone(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, y = ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
    ad_program *p = captured(t, 2, x, 1, &y, AD_GRADIENT);
    ad_tape_free(t);
    ad_workspace *w = ad_workspace_new(p);
    assert_int_equal(ad_program_input_size(p, 0), 1);
    assert_int_equal(ad_program_output_size(p, 0), 1);
    assert_int_equal(ad_program_parameter_count(p), 0);
    assert_true(ad_program_bytes(p) > 0);
    for (int i = 0; i < 10; i++) {
        double a = .5 * i, b = 3 - i, out[3];
        RAN(ad_run(w, (const double[]){a, b}, out), AD_OK, w);
        EQUAL(out[0], a * b + sin(a));
        CLOSE(out[1], b + cos(a));
        EQUAL(out[2], a);
        double read;
        RAN(ad_workspace_read(w, 0, &read), AD_OK, w);
        EQUAL(read, out[0]);
        RAN(ad_workspace_read_gradient(w, 1, &read), AD_OK, w);
        EQUAL(read, a);
    }
    assert_string_equal(ad_workspace_error(w), "");
    ad_workspace_free(w);
    ad_program_free(p);
}

/* a function of scalars and tensors with something of most families in it */
static ad_var model(const ad_var *x, ad_param *p)
{
    const int64_t column[2] = {3, 1};
    ad_var w = ad_use(x[0].tape, p), m = ad_matmul(ad_tanh(x[1]), ad_reshape(w, 2, column));
    ad_var s = ad_softmax(ad_concat(2, (const ad_var[]){m, ad_mul(m, x[0])}, 1), 1);
    ad_var picked = ad_take(
        x[1], 1,
        ad_constant_array(x[0].tape, AD_I32, 1, (const int64_t[]){2}, (const int32_t[]){2, 0}));
    return ad_add(ad_sum(ad_mul(s, picked)),
                  ad_fma(ad_norm(w), ad_at(x[1], (const int64_t[]){1, 2}),
                         ad_logsumexp(ad_permute(x[1], (const int[]){1, 0}))));
}

static void values_and_gradients_are_those_of_the_tape(void **state)
{
    ad_tape *t = *state;
    ad_param *p = vector_param("w", counting, true);
    ad_var x[2] = {ad_input(t, 1), ad_input_array(t, AD_F64, 2, two_by_three, counting)},
           y = model(x, p);
    ad_program *program = captured(t, 2, x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(program);
    assert_int_equal(ad_program_input_size(program, 1), 6);
    assert_int_equal(ad_program_parameter_count(program), 1);
    assert_ptr_equal(ad_program_parameter(program, 0), p);
    for (int run = 0; run < 4; run++) {
        double in[7], out[8], g[6];
        for (int i = 0; i < 7; i++)
            in[i] = sin(1.0 + i + 3 * run);
        RAN(ad_run(w, in, out), AD_OK, w);
        ad_reset(t);
        ad_var at[2] = {ad_input(t, in[0]), ad_input_array(t, AD_F64, 2, two_by_three, in + 1)},
               z = model(at, p);
        STATUS(ad_backward(z), AD_OK, t);
        EQUAL(out[0], ad_value(z));
        EQUAL(out[1], ad_grad(at[0]));
        STATUS(ad_grad_read(at[1], g), AD_OK, t);
        assert_memory_equal(g, out + 2, sizeof g);
        STATUS(ad_grad_read(ad_use(t, p), g), AD_OK, t);
        double got[3];
        RAN(ad_workspace_read_param_gradient(w, 0, got), AD_OK, w);
        assert_memory_equal(g, got, sizeof got);
    }
    ad_workspace_free(w);
    ad_program_free(program);
    ad_param_free(p);
}

static void inputs_may_be_double_or_float_tensors(void **state)
{
    ad_tape *t = *state;
    ad_var d = ad_input_array(t, AD_F64, 2, two_by_three, counting);
    ad_var f = ad_input_array(t, AD_F32, 1, three, (const float[]){1, 2, 3});
    ad_var y = ad_sum(ad_mul(d, ad_cast(f, AD_F64))), in[2] = {d, f};
    ad_program *p = captured(t, 2, in, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double x[9], out[10];
    for (int i = 0; i < 9; i++)
        x[i] = i + .5;
    RAN(ad_run(w, x, out), AD_OK, w);
    double want = 0;
    for (int i = 0; i < 6; i++)
        want += x[i] * x[6 + i % 3];
    EQUAL(out[0], want);
    EQUAL(out[1], 6.5);
    EQUAL(out[7], .5 + 3.5);
    ad_tensor *df = ad_tensor_from(NULL, AD_F64, 2, two_by_three, counting);
    ad_tensor *wide =
        ad_tensor_from(NULL, AD_F32, 1, (const int64_t[]){6}, (const float[]){1, 9, 2, 9, 3, 9});
    ad_tensor *strided = ad_tensor_sliced(wide, 0, 0, 6, 2);
    RAN(ad_workspace_set(w, 0, df), AD_OK, w);
    RAN(ad_workspace_set(w, 1, strided), AD_OK, w);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    EQUAL(out[0], 1 + 4 + 9 + 4 + 10 + 18);
    ad_tensor_free(df);
    ad_tensor_free(wide);
    ad_tensor_free(strided);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void a_recorded_view_of_borrowed_memory_runs_on_its_own(void **state)
{
    ad_tape *t = *state;
    ad_tensor *m = ad_tensor_from(NULL, AD_F64, 2, two_by_three, counting);
    ad_tensor *turned = ad_tensor_permuted(m, (const int[]){1, 0});
    ad_var x = ad_bind(t, turned), flat = ad_reshape(x, 1, (const int64_t[]){6});
    ad_var y[3] = {ad_sum(ad_mul(flat, flat)), flat, ad_slice(ad_flip(x, 0), 1, 0, 1, 1)};
    ad_program *p = captured(t, 1, &x, 3, y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double in[6] = {6, 5, 4, 3, 2, 1}, out[16];
    RAN(ad_run(w, in, out), AD_OK, w);
    EQUAL(out[0], 91);
    assert_memory_equal(out + 1, in, sizeof in);
    EQUAL(out[7], 2);
    EQUAL(out[9], 6);
    EQUAL(out[10], 12);
    EQUAL(out[15], 2);
    EQUAL(ad_tensor_get(m, (const int64_t[]){0, 0}), 1); /* the user's memory is as it was */
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tensor_free(m);
    ad_tensor_free(turned);
}

static void a_bound_input_is_read_where_it_lies(void **state)
{
    ad_tape *t = *state;
    ad_tensor *first = ad_tensor_from(NULL, AD_F64, 2, two_by_three, counting);
    ad_tensor *second = ad_tensor_new(NULL, AD_F64, 2, two_by_three);
    ad_tensor *turned = ad_tensor_permuted(second, (const int[]){1, 0});
    ad_var x = ad_bind(t, first);
    ad_var y[3] = {ad_sum(ad_mul(x, x)), ad_matmul(ad_transpose(x), x), ad_slice(x, 0, 1, 2, 1)};
    ad_program *p = captured(t, 1, &x, 3, y, AD_VALUES);
    ad_workspace *w = ad_workspace_new(p), *other = ad_workspace_new(p);
    double *lies = ad_tensor_data(first), out[13];
    for (int run = 0; run < 3; run++) { /* as it is then */
        lies[5] = 6 + run;
        RAN(ad_run(w, NULL, out), AD_OK, w);
        EQUAL(out[0], 55 + (6 + run) * (6 + run));
        EQUAL(out[9], 9 + (6 + run) * (6 + run));
        EQUAL(out[12], 6 + run);
    }
    lies[5] = 6;
    for (int i = 0; i < 6; i++)
        ((double *)ad_tensor_data(second))[i] = -i;
    RAN(ad_workspace_bind_input(w, 0, second), AD_OK, w);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    EQUAL(out[0], 55);
    EQUAL(out[9], 4 + 25);
    EQUAL(out[12], -5);
    RAN(ad_run(other, NULL, out), AD_OK, other);
    EQUAL(out[0], 91);
    RAN(ad_run(other, (const double[]){1, 1, 1, 1, 1, 1}, out), AD_OK,
        other); /* its own from now */
    EQUAL(out[0], 6);
    EQUAL(lies[5], 6);
    lies[5] = 7;
    RAN(ad_run(other, NULL, out), AD_OK, other);
    EQUAL(out[0], 6);
    RAN(ad_workspace_set(w, 0, first), AD_OK, w);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    EQUAL(out[0], 55 + 49);
    EQUAL(((double *)ad_tensor_data(second))[5], -5); /* as they were */
    RAN(ad_workspace_bind_input(w, 0, second), AD_OK, w);
    ad_tensor_free(second);
    RAN(ad_run(w, NULL, out), AD_OK, w); /* the workspace holds it */
    EQUAL(out[0], 55);
    ad_tensor_free(first);
    ad_tensor_free(turned);
    ad_workspace_free(w);
    ad_workspace_free(other);
    ad_program_free(p);
}

static void a_bound_input_may_be_strided_or_one_number(void **state)
{
    ad_tape *t = *state;
    const int64_t three_by_two[2] = {3, 2};
    ad_var in[2] = {ad_input_array(t, AD_F64, 2, three_by_two, counting), ad_input(t, 1)};
    ad_var y = ad_mul(ad_slice(in[0], 0, 1, 2, 1), in[1]);
    ad_program *p = captured(t, 2, in, 1, &y, AD_VALUES);
    ad_workspace *w = ad_workspace_new(p);
    ad_tensor *m = ad_tensor_from(NULL, AD_F64, 2, two_by_three, counting);
    ad_tensor *turned = ad_tensor_permuted(m, (const int[]){1, 0});
    ad_tensor *number = ad_tensor_from(NULL, AD_F64, 0, NULL, (const double[]){10});
    double out[2];
    RAN(ad_workspace_bind_input(w, 0, turned), AD_OK, w);
    RAN(ad_workspace_bind_input(w, 1, number), AD_OK, w);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    EQUAL(out[0], 20);
    EQUAL(out[1], 50);
    ad_tensor_free(m);
    ad_tensor_free(turned);
    ad_tensor_free(number);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void scalars_can_be_set_one_by_one(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, y = ad_sub(x[0], x[1]);
    ad_program *p = captured(t, 2, x, 1, &y, AD_VALUES);
    ad_workspace *w = ad_workspace_new(p);
    double out;
    RAN(ad_workspace_set_scalar(w, 0, 10), AD_OK, w);
    RAN(ad_workspace_set_scalar(w, 1, 3), AD_OK, w);
    RAN(ad_run(w, NULL, &out), AD_OK, w);
    EQUAL(out, 7);
    RAN(ad_workspace_set_scalar(w, 1, 4), AD_OK, w);
    RAN(ad_run(w, NULL, NULL), AD_OK, w);
    RAN(ad_workspace_read(w, 0, &out), AD_OK, w);
    EQUAL(out, 6);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void outputs_may_be_inputs_and_constants(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), v = ad_input_array(t, AD_F64, 1, three, counting), in[2] = {x, v};
    ad_var c = ad_constant_array(t, AD_F64, 1, three, counting);
    ad_var out[6] = {x, v, ad_constant(7), c, ad_slice(v, 0, 1, 3, 1), ad_stop_gradient(x)};
    ad_program *p = captured(t, 2, in, 6, out, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double got[16], want[16] = {10, 20, 30, 40, 7, 1, 2, 3, 30, 40, 10, 1, 0, 0, 0};
    RAN(ad_run(w, (const double[]){10, 20, 30, 40}, got), AD_OK, w);
    for (int i = 0; i < 15; i++)
        EQUAL(got[i], want[i]);
    ad_workspace_free(w);
    ad_program_free(p);
    p = captured(t, 1, &x, 1, &out[2], AD_GRADIENT); /* the gradient of a constant */
    w = ad_workspace_new(p);
    RAN(ad_run(w, (const double[]){3}, got), AD_OK, w);
    EQUAL(got[0], 7);
    EQUAL(got[1], 0);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void what_outputs_do_not_need_is_left_out(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), unused = ad_input(t, 3),
           v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_mul(unused, x);
    ad_var y = ad_add(ad_sin(x), 1);
    ad_sum(ad_mul(v, unused));
    ad_program *p = captured(t, 1, &x, 1, &y, AD_VALUES);
    assert_int_equal(ad_program_node_count(p), 4); /* x, sin, 1, add */
    ad_program_free(p);
    p = captured(t, 2, (const ad_var[]){x, unused}, 1, &y, AD_VALUES); /* a listed input stays */
    assert_int_equal(ad_program_node_count(p), 5);
    ad_workspace *w = ad_workspace_new(p);
    double out;
    RAN(ad_run(w, (const double[]){1, 9}, &out), AD_OK, w);
    EQUAL(out, sin(1.0) + 1);
    ad_workspace_free(w);
    ad_program_free(p);
    STATUS(ad_tape_status(t), AD_OK, t);
}

static void operations_of_three_arguments_are_renumbered_whole(void **state)
{
    ad_tape *t = *state;
    ad_input(t, 1);
    ad_input(t, 1); /* so that numbers differ */
    ad_var x[3] = {ad_input(t, 2), ad_input(t, 3), ad_input(t, 4)};
    ad_var y = ad_mul(ad_fma(x[0], x[1], x[2]), ad_where(ad_less(x[0], x[1]), x[2], x[0]));
    ad_program *p = captured(t, 3, x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[4];
    RAN(ad_run(w, (const double[]){5, 6, 7}, out), AD_OK, w);
    EQUAL(out[0], 37 * 7);
    EQUAL(out[1], 42);
    EQUAL(out[2], 35);
    EQUAL(out[3], 7 + 37);
    RAN(ad_run(w, (const double[]){7, 6, 5}, out), AD_OK, w);
    EQUAL(out[0], 47 * 7);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void nothing_is_allocated_from_the_second_run_on(void **state)
{
    (void)state;
    probe memory;
    ad_allocator a = probe_allocator(&memory, true);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    ad_tape *t = ad_tape_new(c);
    ad_param *param = ad_param_new("w", ad_tensor_from(c, AD_F64, 1, three, counting), true);
    ad_var x[2] = {ad_input(t, 1), ad_input_array(t, AD_F64, 2, two_by_three, counting)},
           y = model(x, param);
    ad_var w = ad_use(t, param);
    STATUS(ad_assign(w, ad_sub(w, ad_mul(ad_grad_of(y, w), .01))), AD_OK, t);
    ad_program *p = captured(t, 2, x, 1, &y, AD_GRADIENT);
    ad_workspace *ws = ad_workspace_new(p);
    long calls = 0, bytes = 0;
    for (int run = 0; run < 5; run++) {
        double out[8];
        RAN(ad_run(ws, (const double[]){1, 6, 5, 4, 3, 2, 1}, out), AD_OK, ws);
        if (run == 0)
            calls = memory.calls, bytes = memory.bytes;
    }
    assert_int_equal(memory.calls, calls);
    assert_int_equal(memory.bytes, bytes);
    ad_workspace_free(ws);
    ad_program_free(p);
    ad_param_free(param);
    ad_tape_free(t);
    ad_context_free(c);
    assert_int_equal(memory.blocks, 0);
    assert_int_equal(memory.wrong_sizes, 0);
}

/* ---- parameters and states ---- */

static void states_swap_because_writes_come_after_all_reads(void **state)
{
    ad_tape *t = *state;
    const double other[3] = {10, 20, 30};
    ad_param *p = vector_param("a", counting, false), *q = vector_param("b", other, false);
    ad_var a = ad_use(t, p), b = ad_use(t, q), y = ad_sum(ad_sub(a, b));
    STATUS(ad_assign(a, b), AD_OK, t);
    STATUS(ad_assign(b, a), AD_OK, t);
    EQUAL(element(p, 0), 1); /* recording changes nothing */
    ad_program *program = captured(t, 0, NULL, 1, &y, AD_VALUES);
    STATUS(ad_commit(t), AD_OK, t);
    EQUAL(element(p, 2), 30);
    EQUAL(element(q, 2), 3);
    ad_workspace *w = ad_workspace_new(program);
    assert_int_equal(ad_program_parameter_count(program), 2);
    for (int run = 0; run < 4; run++) {
        double out;
        RAN(ad_run(w, NULL, &out), AD_OK, w);
        EQUAL(out, run % 2 ? -54 : 54);
        EQUAL(element(p, 1), run % 2 ? 20 : 2);
        EQUAL(element(q, 1), run % 2 ? 2 : 20);
    }
    ad_workspace_free(w);
    ad_program_free(program);
    ad_param_free(p);
    ad_param_free(q);
}

static void states_may_be_assigned_views_and_numbers_of_themselves(void **state)
{
    ad_tape *t = *state;
    ad_param *p = vector_param("ring", counting, false),
             *n = ad_param_new("count", ad_tensor_new(NULL, AD_F64, 0, NULL), false);
    ad_var ring = ad_use(t, p), count = ad_use(t, n);
    STATUS(ad_assign(ring, ad_flip(ring, 0)), AD_OK, t);
    STATUS(ad_assign(count, ad_add(count, 1)), AD_OK, t);
    ad_program *program = captured(t, 0, NULL, 0, NULL, AD_VALUES);
    ad_workspace *w = ad_workspace_new(program);
    for (int run = 0; run < 3; run++)
        RAN(ad_run(w, NULL, NULL), AD_OK, w);
    EQUAL(element(p, 0), 3);
    EQUAL(element(p, 1), 2);
    EQUAL(element(p, 2), 1);
    EQUAL(ad_tensor_get(ad_param_value(n), NULL), 3);
    ad_workspace_free(w);
    ad_program_free(program);
    ad_param_free(p);
    ad_param_free(n);
}

static void what_a_run_puts_out_is_from_before_the_commit(void **state)
{
    ad_tape *t = *state;
    ad_param *p = vector_param("s", counting, false);
    ad_var s = ad_use(t, p), out[2] = {s, ad_slice(s, 0, 1, 2, 1)};
    STATUS(ad_assign(s, ad_mul(s, 10)), AD_OK, t);
    ad_program *program = captured(t, 0, NULL, 2, out, AD_VALUES);
    ad_workspace *w = ad_workspace_new(program);
    double got[4], read[3];
    RAN(ad_run(w, NULL, got), AD_OK, w);
    EQUAL(got[2], 3);
    EQUAL(got[3], 2);
    EQUAL(element(p, 2), 30);
    RAN(ad_workspace_read(w, 0, read), AD_OK, w);
    EQUAL(read[2], 3);
    RAN(ad_workspace_read(w, 1, read), AD_OK, w);
    EQUAL(read[0], 2);
    ad_workspace_free(w);
    ad_program_free(program);
    ad_param_free(p);
}

static ad_var loss_of(ad_tape *t, ad_var w, ad_var x)
{
    (void)t;
    return ad_mean(
        ad_square(ad_sub(ad_sum_axes(ad_mul(ad_tanh(w), x), 1, (const int[]){1}, false), 1)));
}

static void adam_as_one_program_is_adam_by_hand(void **state)
{
    ad_tape *t = *state;
    const double b1 = .9, b2 = .999, rate = .05, epsilon = 1e-8, start[3] = {.1, -.2, .3},
                 zero[3] = {0};
    ad_param *pw = vector_param("w", start, true), *pm = vector_param("m", zero, false),
             *pv = vector_param("v", zero, false),
             *pt = ad_param_new("t", ad_tensor_new(NULL, AD_F64, 0, NULL), false);
    ad_var x = ad_input_array(t, AD_F64, 2, two_by_three, counting), w = ad_use(t, pw),
           m = ad_use(t, pm), v = ad_use(t, pv), step = ad_use(t, pt), loss = loss_of(t, w, x),
           g = ad_grad_of(loss, w);
    ad_var m1 = ad_add(ad_mul(b1, m), ad_mul(1 - b1, g)),
           v1 = ad_add(ad_mul(b2, v), ad_mul(1 - b2, ad_square(g)));
    ad_var t1 = ad_add(step, 1);
    ad_var mh = ad_div(m1, ad_sub(1, ad_pow(b1, t1))), vh = ad_div(v1, ad_sub(1, ad_pow(b2, t1)));
    ad_assign(m, m1);
    ad_assign(v, v1);
    ad_assign(step, t1);
    STATUS(ad_assign(w, ad_sub(w, ad_mul(rate, ad_div(mh, ad_add(ad_sqrt(vh), epsilon))))), AD_OK,
           t);
    ad_program *p = captured(t, 1, &x, 1, &loss, AD_VALUES);
    ad_workspace *ws = ad_workspace_new(p);
    assert_int_equal(ad_program_parameter_count(p), 4);
    double hw[3], hm[3] = {0}, hv[3] = {0};
    memcpy(hw, start, sizeof hw);
    for (int k = 1; k <= 50; k++) {
        double in[6], hg[3], out;
        for (int i = 0; i < 6; i++)
            in[i] = cos(i + .1 * k);
        ad_reset(t); /* by hand */
        ad_var at = ad_input_array(t, AD_F64, 1, three, hw),
               l = loss_of(t, at, ad_constant_array(t, AD_F64, 2, two_by_three, in));
        STATUS(ad_backward(l), AD_OK, t);
        STATUS(ad_grad_read(at, hg), AD_OK, t);
        RAN(ad_run(ws, in, &out), AD_OK, ws);
        EQUAL(out, ad_value(l));
        for (int i = 0; i < 3; i++) {
            hm[i] = b1 * hm[i] + (1 - b1) * hg[i];
            hv[i] = b2 * hv[i] + (1 - b2) * (hg[i] * hg[i]);
            hw[i] -=
                rate * ((hm[i] / (1 - pow(b1, k))) / (sqrt(hv[i] / (1 - pow(b2, k))) + epsilon));
            if (!(fabs(element(pw, i) - hw[i]) <= 1e-12))
                fail_msg("step %d, w[%d]: got %.17g, want %.17g", k, i, element(pw, i), hw[i]);
        }
    }
    EQUAL(ad_tensor_get(ad_param_value(pt), NULL), 50);
    ad_workspace_free(ws);
    ad_program_free(p);
    ad_param_free(pw);
    ad_param_free(pm);
    ad_param_free(pv);
    ad_param_free(pt);
}

static void a_workspace_can_be_bound_to_tensors_of_its_own(void **state)
{
    ad_tape *t = *state;
    ad_param *p = vector_param("w", counting, true);
    ad_var w = ad_use(t, p), y = ad_sum(ad_mul(w, w));
    STATUS(ad_assign(w, ad_mul(w, 2)), AD_OK, t);
    ad_program *program = captured(t, 0, NULL, 1, &y, AD_GRADIENT);
    ad_workspace *own = ad_workspace_new(program), *shared = ad_workspace_new(program);
    ad_tensor *mine = ad_tensor_from(NULL, AD_F64, 1, three, (const double[]){10, 20, 30}),
              *again = ad_tensor_new(NULL, AD_F64, 1, three);
    RAN(ad_workspace_bind(own, 0, again), AD_OK, own);
    RAN(ad_workspace_bind(own, 0, mine), AD_OK, own);
    ad_tensor_free(again);
    uint64_t version = ad_tensor_version(mine);
    double out, g[3];
    RAN(ad_run(own, NULL, &out), AD_OK, own);
    EQUAL(out, 1400);
    RAN(ad_workspace_read_param_gradient(own, 0, g), AD_OK, own);
    EQUAL(g[2], 60);
    EQUAL(ad_tensor_get(mine, (const int64_t[]){2}), 60);
    assert_true(ad_tensor_version(mine) > version);
    EQUAL(element(p, 2), 3); /* the parameter's own is as it was */
    RAN(ad_run(shared, NULL, &out), AD_OK, shared);
    EQUAL(out, 14);
    EQUAL(element(p, 2), 6);
    ad_tensor_free(mine); /* the workspace holds it */
    RAN(ad_run(own, NULL, &out), AD_OK, own);
    EQUAL(out, 5600);
    ad_workspace_free(own);
    ad_workspace_free(shared);
    ad_program_free(program);
    ad_param_free(p);
}

/* ---- guards ---- */

static void a_comparison_that_flips_asks_for_a_new_tape(void **state)
{
    ad_tape *t = *state;
    ad_param *p = vector_param("s", counting, false);
    ad_var x = ad_input(t, 2), s = ad_use(t, p);
    ONE_LINE(const char *here = HERE; bool less = ad_lt(x, 3);)
    ad_var y = less ? ad_square(x) : ad_neg(x);
    STATUS(ad_assign(s, ad_mul(s, 2)), AD_OK, t);
    ad_program *program = captured(t, 1, &x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(program);
    double out[2] = {-1, -1};
    RAN(ad_run(w, (const double[]){2.5}, out), AD_OK, w);
    EQUAL(out[0], 6.25);
    EQUAL(element(p, 0), 2);
    RAN(ad_run(w, (const double[]){3.5}, out), AD_RETAPE, w);
    CONTAINS(ad_workspace_error(w), "3.5 < 3 was true");
    CONTAINS(ad_workspace_error(w), here);
    EQUAL(out[0], 6.25);     /* nothing is put out */
    EQUAL(element(p, 0), 2); /* nor committed */
    RAN(ad_workspace_read(w, 0, out), AD_NOT_RECORDED, w);
    RAN(ad_run(w, (const double[]){1}, out), AD_OK, w);
    EQUAL(out[0], 1);
    EQUAL(out[1], 2);
    ad_workspace_free(w);
    ad_program_free(program);
    ad_param_free(p);
}

static void every_comparison_is_guarded(void **state)
{
    ad_tape *t = *state;
    static bool (*const compare[])(ad_var, ad_var) = {ad_lt, ad_le, ad_gt, ad_ge, ad_eq, ad_ne};
    static const double points[3] = {1, 2, 3};
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < 3; i++) {
            ad_reset(t);
            ad_var x = ad_input(t, points[i]);
            bool outcome = compare[k](x, ad_constant(2));
            ad_program *p = captured(t, 1, &x, 1, &x, AD_VALUES);
            ad_workspace *w = ad_workspace_new(p);
            for (int j = 0; j < 3; j++) {
                bool now = (const bool[]){points[j]<2, points[j] <= 2, points[j]> 2, points[j] >= 2,
                                          points[j] == 2, points[j] != 2}[k];
                RAN(ad_run(w, &points[j], NULL), now == outcome ? AD_OK : AD_RETAPE, w);
            }
            ad_workspace_free(w);
            ad_program_free(p);
        }
}

/* ---- draws ---- */

static void draws_follow_the_step(void **state)
{
    ad_tape *t = *state;
    ad_seed(t, 42);
    ad_set_step(t, 7);
    ad_var r = ad_random_normal(t, 3, AD_F64, 1, three), on_tape[1] = {r};
    double recorded[3], out[3], want[3];
    STATUS(ad_read(r, recorded), AD_OK, t);
    ad_program *p = captured(t, 0, NULL, 1, on_tape, AD_VALUES);
    ad_workspace *w = ad_workspace_new(p);
    ad_tensor *draw = ad_tensor_new(NULL, AD_F64, 1, three);
    for (uint64_t run = 0; run < 4; run++) { /* a run raises the step by one */
        RAN(ad_run(w, NULL, out), AD_OK, w);
        ad_draw_normal(draw, 42, 3, 7 + run);
        ad_tensor_read(draw, want);
        assert_memory_equal(out, want, sizeof out);
        if (run == 0)
            assert_memory_equal(out, recorded, sizeof out);
        else
            assert_memory_not_equal(out, recorded, sizeof out);
    }
    ad_workspace_set_step(w, 7);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    assert_memory_equal(out, recorded, sizeof out);
    ad_tensor_free(draw);
    ad_workspace_free(w);
    ad_program_free(p);
}

/* ---- a user's operation, and failures within a run ---- */

typedef struct fussy {
    bool refuse_value, refuse_adjoint;
} fussy;

static bool twice_value(void *user, int n, const ad_array *a, ad_array *y)
{
    for (int64_t i = 0; n == 1 && i < y->size; i++)
        y->data[i] = 2 * a[0].data[i];
    return !((const fussy *)user)->refuse_value;
}

static bool twice_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                          const ad_array *dy, ad_array *da)
{
    (void)a;
    for (int64_t i = 0; n == 1 && da[0].data && i < y->size; i++)
        da[0].data[i] += 2 * dy->data[i];
    return !((const fussy *)user)->refuse_adjoint;
}

static const ad_operation twice = {.name = "twice", .value = twice_value, .adjoint = twice_adjoint};

static void a_failed_sweep_leaves_no_adjoints_behind(void **state)
{
    ad_tape *t = *state;
    fussy f = {0};
    ad_var x = ad_input(t, 2), s = ad_square(x),
           y = ad_add(ad_call(t, &twice, &f, 1, &s, 0, NULL), ad_mul(s, ad_exp(x)));
    ad_program *p = captured(t, 1, &x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[2], want[2], at = 3;
    RAN(ad_run(w, &at, want), AD_OK, w);
    CLOSE(want[1], 12 + 6 * exp(3.0) + 9 * exp(3.0));
    for (int i = 0; i < 2; i++) {
        f.refuse_adjoint = true;
        RAN(ad_run(w, &at, out), AD_BAD_ARGUMENT, w);
        CONTAINS(ad_workspace_error(w), "adjoint function reported failure");
        f = (fussy){.refuse_value = true};
        RAN(ad_run(w, &at, out), AD_BAD_ARGUMENT, w);
        CONTAINS(ad_workspace_error(w), "value function reported failure");
        f = (fussy){0};
        RAN(ad_run(w, &at, out), AD_OK, w);
        EQUAL(out[0], want[0]);
        EQUAL(out[1], want[1]);
    }
    ad_workspace_free(w);
    ad_program_free(p);
    f.refuse_adjoint = true; /* nor on a tape */
    STATUS(ad_backward(y), AD_BAD_ARGUMENT, t);
    ad_reset(t);
    f = (fussy){0};
    x = ad_input(t, 3);
    STATUS(ad_backward(ad_call(t, &twice, &f, 1, &x, 0, NULL)), AD_OK, t);
    EQUAL(ad_grad(x), 2);
}

static void an_index_out_of_range_stops_the_run_and_says_where(void **state)
{
    ad_tape *t = *state;
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_var i = ad_input_array(t, AD_I32, 1, (const int64_t[]){2}, (const int32_t[]){0, 1}),
           in[2] = {v, i};
    ONE_LINE(const char *here = HERE; ad_var y = ad_take(v, 0, i); ad_var s = ad_sum(y);)
    ad_program *p = captured(t, 2, in, 1, &s, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[6];
    RAN(ad_run(w, (const double[]){5, 6, 7, 2, 2}, out), AD_OK, w);
    EQUAL(out[0], 14);
    EQUAL(out[3], 2);
    EQUAL(out[4], 0); /* of the indices */
    RAN(ad_run(w, (const double[]){5, 6, 7, 2, 3}, out), AD_BAD_INDEX, w);
    CONTAINS(ad_workspace_error(w), "run: take at node ");
    CONTAINS(ad_workspace_error(w), "index 3");
    CONTAINS(ad_workspace_error(w), here);
    RAN(ad_run(w, (const double[]){5, 6, 7, 0, 1}, out), AD_OK, w);
    EQUAL(out[0], 11);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void numbers_that_are_not_finite_are_found_in_a_run(void **state)
{
    (void)state;
    ad_context *c = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(c);
    ad_var x = ad_input(t, 2);
    ONE_LINE(const char *here = HERE; ad_var y = ad_log(x);)
    ad_program *p = captured(t, 1, &x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[2];
    RAN(ad_run(w, (const double[]){1}, out), AD_OK, w);
    RAN(ad_run(w, (const double[]){0}, out), AD_NOT_FINITE, w);
    CONTAINS(ad_workspace_error(w), "log at node ");
    CONTAINS(ad_workspace_error(w), here);
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
    ad_context_free(c);
}

static void derivatives_recorded_on_the_tape_run_too(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), y = ad_mul(ad_sin(x), x), d = ad_grad_of(y, x),
           out[3] = {y, d, ad_grad_of(d, x)};
    ad_program *p = captured(t, 1, &x, 3, out, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    for (int i = 0; i < 5; i++) {
        double a = .3 + i, got[4];
        RAN(ad_run(w, &a, got), AD_OK, w);
        CLOSE(got[0], a * sin(a));
        CLOSE(got[1], sin(a) + a * cos(a));
        CLOSE(got[2], 2 * cos(a) - a * sin(a));
        CLOSE(got[3], got[1]);
    }
    ad_workspace_free(w);
    ad_program_free(p);
}

static void tensors_recorded_during_a_pause_are_constants_of_the_program(void **state)
{
    ad_tape *t = *state;
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting);
    ad_pause(t);
    ad_var scale = ad_mul(v, 2), shift = ad_input_array(t, AD_F64, 1, three, counting);
    ad_resume(t);
    ad_var y = ad_sum(ad_add(ad_mul(v, scale), shift));
    ad_program *p = captured(t, 1, &v, 1, &y, AD_GRADIENT);
    ad_reset(t);
    ad_workspace *w = ad_workspace_new(p);
    double out[4];
    RAN(ad_run(w, (const double[]){1, 1, 1}, out), AD_OK, w);
    EQUAL(out[0], 12 + 6);
    EQUAL(out[3], 6);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void two_workspaces_do_not_share_values(void **state)
{
    ad_tape *t = *state;
    ad_var v = ad_input_array(t, AD_F64, 1, three, counting), y = ad_sum(ad_exp(v));
    ad_program *p = captured(t, 1, &v, 1, &y, AD_GRADIENT);
    ad_workspace *a = ad_workspace_new(p), *b = ad_workspace_new(p);
    double x[3] = {1, 2, 3}, z[3] = {0, 0, 0}, out_a[4], out_b[4], again[4];
    RAN(ad_run(a, x, out_a), AD_OK, a);
    RAN(ad_run(b, z, out_b), AD_OK, b);
    EQUAL(out_b[0], 3);
    RAN(ad_workspace_read(a, 0, again), AD_OK, a);
    EQUAL(again[0], out_a[0]);
    RAN(ad_workspace_read_gradient(a, 0, again), AD_OK, a);
    assert_memory_equal(again, out_a + 1, 3 * sizeof(double));
    ad_workspace_free(a);
    ad_workspace_free(b);
    ad_program_free(p);
}

int main(void)
{
#define T(name) ON_A_TAPE(name)
    const struct CMUnitTest tests[] = {
        T(a_program_runs_at_new_inputs_after_its_tape_is_gone),
        T(values_and_gradients_are_those_of_the_tape),
        T(inputs_may_be_double_or_float_tensors),
        T(a_recorded_view_of_borrowed_memory_runs_on_its_own),
        T(a_bound_input_is_read_where_it_lies),
        T(a_bound_input_may_be_strided_or_one_number),
        T(scalars_can_be_set_one_by_one),
        T(outputs_may_be_inputs_and_constants),
        T(what_outputs_do_not_need_is_left_out),
        T(operations_of_three_arguments_are_renumbered_whole),
        T(nothing_is_allocated_from_the_second_run_on),
        T(states_swap_because_writes_come_after_all_reads),
        T(states_may_be_assigned_views_and_numbers_of_themselves),
        T(what_a_run_puts_out_is_from_before_the_commit),
        T(adam_as_one_program_is_adam_by_hand),
        T(a_workspace_can_be_bound_to_tensors_of_its_own),
        T(a_comparison_that_flips_asks_for_a_new_tape),
        T(every_comparison_is_guarded),
        T(draws_follow_the_step),
        T(a_failed_sweep_leaves_no_adjoints_behind),
        T(an_index_out_of_range_stops_the_run_and_says_where),
        T(numbers_that_are_not_finite_are_found_in_a_run),
        T(derivatives_recorded_on_the_tape_run_too),
        T(tensors_recorded_during_a_pause_are_constants_of_the_program),
        T(two_workspaces_do_not_share_values),
    };
    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
