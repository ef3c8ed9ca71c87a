/* test_compile.c - compiled programs: each pass on random programs, and every derivative against
 * the tape's own
 *
 * Random programs are compiled with and without each pass; bits must agree where they are promised
 * to. */
#define AD_PLAIN
#include "expect.h"
#include "scalar_programs.h"

enum { PROGRAMS = 300, ALL_PASSES = (1 << AD_PASS_COUNT_) - 1 };

static bool same_bits(double a, double b)
{
    return (isnan(a) && isnan(b)) || !memcmp(&a, &b, sizeof a);
}

static void each_pass_leaves_every_bit_as_it_was(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        sample s = write_program(seed, seed % 4 == 0);
        double x[2 * INPUTS + 3], plain[RESULTS], out[RESULTS];
        fill(&s, seed, x);
        run_compiled(&s, &(ad_compile_config){EVERYTHING, ALL_PASSES, false}, x, plain);
        for (int pass = 1; pass < AD_PASS_COUNT_; pass++) { /* dot products come first in ad_pass */
            run_compiled(&s, &(ad_compile_config){EVERYTHING, ALL_PASSES & ~(1 << pass), false}, x,
                         out);
            for (int i = 0; i < RESULTS; i++)
                if (!same_bits(out[i], plain[i]))
                    fail_msg("seed %d, pass %d alone: result %d is %.17g, was %.17g", (int)seed,
                             pass, i, out[i], plain[i]);
        }
        run_compiled(&s, &(ad_compile_config){EVERYTHING, AD_PASS_DOTS, false}, x, out);
        for (int i = 0; i < RESULTS; i++)
            if (!same_bits(out[i], plain[i]))
                fail_msg("seed %d, all passes: result %d is %.17g, was %.17g", (int)seed, i, out[i],
                         plain[i]);
        ad_tape_free(s.tape);
    }
}

/* dot products and all, against sweeps over the tape */
static void derivatives_agree_with_those_of_the_tape(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        sample s = write_program(seed, false);
        double x[2 * INPUTS + 3], out[RESULTS], want[INPUTS];
        const double *u = x + INPUTS, *v = u + 3;
        fill(&s, seed, x);
        run_compiled(&s, &(ad_compile_config){EVERYTHING, 0, seed % 2 == 0}, x, out);
        const double *at = out;
        for (int i = 0; i < 3; i++)
            want[i] = ad_value(s.y[i]);
        results_close("value", seed, 3, at, want);
        STATUS(ad_backward(s.y[0]), AD_OK, s.tape);
        for (int i = 0; i < INPUTS; i++)
            want[i] = ad_grad(s.x[i]);
        results_close("gradient", seed, INPUTS, at += 3, want);
        const double *seeds[3] = {u, u + 1, u + 2}, *directions[INPUTS];
        double *results[3] = {want, want + 1, want + 2}, *products[INPUTS];
        for (int i = 0; i < INPUTS; i++)
            directions[i] = v + i;
        STATUS(ad_vjp(3, s.y, seeds), AD_OK, s.tape);
        for (int i = 0; i < INPUTS; i++)
            want[i] = ad_grad(s.x[i]);
        results_close("VJP", seed, INPUTS, at += INPUTS, want);
        STATUS(ad_jvp(INPUTS, s.x, directions, 3, s.y, results, 1), AD_OK, s.tape);
        results_close("JVP", seed, 3, at += INPUTS, want);
        for (int i = 0; i < INPUTS; i++)
            products[i] = want + i;
        STATUS(ad_hvp(s.y[0], INPUTS, s.x, directions, products), AD_OK, s.tape);
        results_close("HVP", seed, INPUTS, at + 3, want);
        ad_tape_free(s.tape);
    }
}

static void every_row_compiles_to_what_the_tape_gives(void **state)
{
    (void)state;
    for (int op = 0; op < ad_op_count() && ad_op_at(op)->elementwise; op++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x[3 * EACH], y[EACH], sum = ad_constant(0);
        double at[6 * EACH], out[1 + 6 * EACH + EACH], want[3 * EACH];
        write_row_program(t, op, x, at, y);
        const int n = ad_op_at(op)->arity * EACH;
        for (int i = 0; i < EACH; i++)
            sum = ad_add(sum, ad_mul(ad_constant(i + 1), y[i]));
        ad_var outputs[1 + EACH] = {sum};
        memcpy(outputs + 1, y, sizeof y);
        for (int i = 0; i < n; i++)
            at[n + i] = .1 * i - .7;
        ad_program *p = ad_compile(t, n, x, 1 + EACH, outputs,
                                   &(ad_compile_config){.want = AD_GRADIENT | AD_HVP});
        ad_workspace *w = p ? ad_workspace_new(p) : NULL;
        if (!w || ad_run(w, at, out))
            fail_msg("%s: %s", ad_op_at(op)->name, p ? ad_workspace_error(w) : ad_tape_error(t));
        STATUS(ad_backward(sum), AD_OK, t);
        const double *directions[3 * EACH];
        double *products[3 * EACH], hessian[3 * EACH];
        for (int i = 0; i < n; i++) {
            want[i] = ad_grad(x[i]);
            directions[i] = at + n + i;
            products[i] = hessian + i;
        }
        for (int i = 0; i < EACH; i++)
            if (!same_bits(out[1 + i], ad_value(y[i])))
                fail_msg("%s: value %d is %.17g, want %.17g", ad_op_at(op)->name, i, out[1 + i],
                         ad_value(y[i]));
        STATUS(ad_hvp(sum, n, x, directions, products), AD_OK, t);
        results_close(ad_op_at(op)->name, 1, n, out + 1 + EACH, want);
        results_close(ad_op_at(op)->name, 2, n, out + 1 + EACH + n, hessian);
        ad_workspace_free(w);
        ad_program_free(p);
        ad_tape_free(t);
    }
}

/* ---- what programs are asked for ---- */

static ad_program *compiled(ad_tape *t, int n, const ad_var *x, int m, const ad_var *y, int want)
{
    ad_program *p = ad_compile(t, n, x, m, y, &(ad_compile_config){.want = want});
    if (!p)
        fail_msg("no program: %s", ad_tape_error(t));
    return p;
}

static void a_compiled_program_runs_at_new_inputs_after_its_tape_is_gone(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, y = ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
    ad_program *p = compiled(t, 2, x, 1, &y, AD_GRADIENT);
    ad_tape_free(t);
    ad_workspace *w = ad_workspace_new(p);
    double out[3], read;
    assert_int_equal(ad_program_input_size(p, 1), 1);
    assert_int_equal(ad_program_input_size(p, 2), -1);
    assert_int_equal(ad_program_output_size(p, 2), 1);
    RAN(ad_run(w, NULL, NULL), AD_OK, w); /* at the inputs of the tape */
    RAN(ad_workspace_read(w, 0, &read), AD_OK, w);
    CLOSE(read, 10 + sin(2));
    RAN(ad_workspace_read_gradient(w, 0, &read), AD_OK, w);
    CLOSE(read, 5 + cos(2));
    RAN(ad_workspace_read_gradient(w, 2, &read), AD_BAD_INDEX, w);
    for (int i = 0; i < 10; i++) {
        double a = .5 * i, b = 3 - i;
        RAN(ad_run(w, (const double[]){a, b}, out), AD_OK, w);
        CLOSE(out[0], a * b + sin(a));
        CLOSE(out[1], b + cos(a));
        CLOSE(out[2], a);
    }
    RAN(ad_workspace_set_scalar(w, 0, 3), AD_OK, w);
    RAN(ad_workspace_set_scalar(w, 2, 3), AD_BAD_INDEX, w);
    RAN(ad_run(w, NULL, out), AD_OK, w);
    CLOSE(out[0], 15 + sin(3));
    double both[3] = {.5, 4, 0}; /* results over the inputs */
    RAN(ad_run(w, both, both), AD_OK, w);
    CLOSE(both[0], 2 + sin(.5));
    CLOSE(both[1], 4 + cos(.5));
    ad_workspace_free(w);
    ad_program_free(p);
}

static void outputs_may_be_inputs_constants_and_twice_the_same(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, s = ad_sin(x[0]),
           y[5] = {s, x[1], ad_constant(7), s, ad_mul(ad_constant(2), ad_constant(3))};
    ad_program *p = compiled(t, 2, x, 5, y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[7];
    RAN(ad_run(w, (const double[]){1, 4}, out), AD_OK, w);
    const double want[7] = {sin(1), 4, 7, sin(1), 6, cos(1), 0};
    for (int i = 0; i < 7; i++)
        CLOSE(out[i], want[i]);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void what_is_not_wanted_is_not_there(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 2), y = ad_exp(ad_sin(x));
    ad_program *p = compiled(t, 1, &x, 1, &y, AD_HVP | AD_NO_VALUES);
    ad_workspace *w = ad_workspace_new(p);
    double out, c = cos(2), s = sin(2);
    assert_int_equal(ad_program_output_size(p, 1), -1);
    RAN(ad_run(w, (const double[]){2, 1}, &out), AD_OK, w);
    if (fabs(out - exp(s) * (c * c - s)) > 1e-14)
        fail_msg("got %.17g", out);
    RAN(ad_run(w, NULL, NULL), AD_OK, w);
    RAN(ad_workspace_read_gradient(w, 0, &out), AD_NOT_RECORDED, w);
    ad_workspace_free(w);
    ad_program_free(p);
    p = compiled(t, 1, &x, 1, &y, AD_VALUES);
    assert_int_equal(ad_program_stats_of(p).operations, 2); /* no derivative is computed */
    ad_program_free(p);
}

static void a_zero_cotangent_absorbs(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 4), ad_input(t, 1)},
           y = ad_add(ad_mul(ad_constant(0), ad_sqrt(x[0])),
                      ad_where(ad_less(x[0], ad_constant(1)), ad_log(x[0]), x[1]));
    ad_program *p = compiled(t, 2, x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[3];
    RAN(ad_run(w, (const double[]){0, 1}, out), AD_OK, w);
    RAN(ad_run(w, (const double[]){4, 1}, out), AD_OK, w);
    EQUAL(out[1], 0);
    EQUAL(out[2], 1);
    /* in sums of products: 0 * sqrt'(0) */
    ad_workspace_free(w);
    ad_program_free(p);
    ad_reset(t);
    ad_var v[12], sum = ad_constant(0);
    for (int i = 0; i < 12; i++)
        v[i] = ad_input(t, 1);
    for (int i = 0; i < 6; i++)
        sum = ad_add(sum, ad_mul(v[i], ad_sqrt(v[6 + i])));
    p = compiled(t, 12, v, 1, &sum, AD_GRADIENT);
    w = ad_workspace_new(p);
    double zeros[12] = {0}, result[13];
    RAN(ad_run(w, zeros, result), AD_OK, w);
    for (int i = 0; i < 13; i++)
        EQUAL(result[i], 0);
    ad_workspace_free(w);
    ad_program_free(p);
}

/* ---- guards and numbers that are not finite ---- */

static void a_guard_that_fails_says_so(void **state)
{
    ad_tape *t = *state;
    ad_var x[8], y = ad_constant(0);
    for (int i = 0; i < 8; i++) {
        x[i] = ad_input(t, i + 1);
        if ((ad_lt)(x[i], ad_constant(100)))
            y = ad_add(y, ad_sin(x[i]));
    }
    ad_program *p = compiled(t, 8, x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[9];
    RAN(ad_run(w, in, out), AD_OK, w);
    in[5] = 200;
    RAN(ad_run(w, in, out), AD_RETAPE, w);
    CONTAINS(ad_workspace_error(w), "200 < 100 was true when it was recorded");
    CONTAINS(ad_workspace_error(w), "guard at node");
    in[5] = 6;
    RAN(ad_run(w, in, out), AD_OK, w);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void the_first_operation_that_is_not_finite_is_named(void **state)
{
    (void)state;
    ad_context *c = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(c);
    ad_var x = ad_input(t, 2), y = ad_exp(ad_log(x));
    ad_program *p = compiled(t, 1, &x, 1, &y, AD_GRADIENT);
    ad_workspace *w = ad_workspace_new(p);
    double out[2];
    RAN(ad_run(w, (const double[]){3}, out), AD_OK, w);
    RAN(ad_run(w, (const double[]){-1}, out), AD_NOT_FINITE, w);
    CONTAINS(ad_workspace_error(w), "log at node 1: element 0 is nan");
    ad_workspace_free(w);
    ad_program_free(p);
    ad_reset(t);
    x = ad_input(t, 2), y = ad_sqrt(x);
    p = compiled(t, 1, &x, 1, &y, AD_GRADIENT);
    w = ad_workspace_new(p);
    RAN(ad_run(w, (const double[]){0}, out), AD_NOT_FINITE, w);
    CONTAINS(ad_workspace_error(w), "the derivative of sqrt at node 1: element 0 is inf");
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
    ad_context_free(c);
}

/* ---- size ---- */

/* A program of 10^5 steps is a few lines, and right. */
static void long_recurrences_become_loops(void **state)
{
    ad_tape *t = *state;
    enum { STEPS = 100000 };
    ad_var x[3] = {ad_input(t, .3), ad_input(t, .7), ad_input(t, .01)}, p = x[0], q = x[1];
    for (int i = 0; i < STEPS; i++) {
        p = ad_sub(p, ad_mul(x[2], ad_sin(q)));
        q = ad_add(q, ad_mul(x[2], p));
    }
    ad_program *program = compiled(t, 3, x, 1, &q, AD_GRADIENT);
    ad_program_stats s = ad_program_stats_of(program);
    if (s.lines > 200)
        fail_msg("%lld lines", (long long)s.lines);
    if (s.workspace_bytes > 6 * STEPS * (int64_t)sizeof(double)) /* what the gradient reads again */
        fail_msg("%lld bytes", (long long)s.workspace_bytes);
    ad_workspace *w = ad_workspace_new(program);
    double out[4];
    RAN(ad_run(w, NULL, out), AD_OK, w);
    STATUS(ad_backward(q), AD_OK, t);
    EQUAL(out[0], ad_value(q));
    for (int i = 0; i < 3; i++)
        if (fabs(out[1 + i] - ad_grad(x[i])) > 1e-9 * fabs(ad_grad(x[i])))
            fail_msg("gradient %d: got %.17g, want %.17g", i, out[1 + i], ad_grad(x[i]));
    ad_workspace_free(w);
    ad_program_free(program);
}

/* Recurrences that read the round before, the one before that, what there was at first, and, after
 * the loop, the last and others: rolled into loops they give the bits of the plain program. */
static void loops_keep_what_later_rounds_read(void **state)
{
    (void)state;
    enum { STEPS = 60, KINDS = 6, X = 4 };
    for (int kind = 0; kind < KINDS; kind++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x[X] = {ad_input(t, .3), ad_input(t, .8), ad_input(t, .1), ad_input(t, 1.7)},
               p = x[0], q = x[1], kept = ad_mul(p, q), y[3];
        ad_var all[STEPS];
        for (int i = 0; i < STEPS; i++) {
            ad_var old = p, product = ad_mul(x[2], ad_sin(q));
            p = kind % 2 ? ad_sub(product, p) : ad_sub(p, product);
            q = kind == 2 ? ad_div(ad_add(q, old), x[3]) : ad_add(q, ad_div(p, x[3]));
            if (kind == 3) /* two rounds before */
                p = ad_add(p, ad_mul(x[2], i > 1 ? all[i - 2] : kept));
            if (kind == 4) /* what there was at first */
                q = ad_sub(ad_mul(q, x[2]), kept);
            if (kind == 5) /* not written by the round that reads it */
                p = ad_add(ad_mul(p, x[2]), ad_cos(i > 0 ? all[i - 1] : p));
            all[i] = q;
        }
        y[0] = ad_add(ad_mul(p, q), kept);
        y[1] = kind == 1 ? all[STEPS / 2] : all[STEPS - 1];
        y[2] = p;
        double plain[3 + X], out[3 + X];
        const int without[2] = {AD_PASS_LOOPS | AD_PASS_DOTS, AD_PASS_DOTS};
        for (int i = 0; i < 2; i++) {
            ad_program *program = ad_compile(
                t, X, x, 3, y, &(ad_compile_config){.want = AD_GRADIENT, .without = without[i]});
            ad_workspace *w = ad_workspace_new(program);
            RAN(ad_run(w, NULL, i ? out : plain), AD_OK, w);
            assert_true(i == 0 || ad_program_stats_of(program).lines < 300);
            ad_workspace_free(w);
            ad_program_free(program);
        }
        for (int i = 0; i < 3 + X; i++)
            if (!same_bits(out[i], plain[i]))
                fail_msg("kind %d: result %d is %.17g, was %.17g", kind, i, out[i], plain[i]);
        ad_tape_free(t);
    }
}

static void a_network_of_scalars_becomes_products_of_matrices(void **state)
{
    ad_tape *t = *state;
    enum { W = 16, N = W + W * W + W };
    ad_var x[N], y = ad_constant(0);
    for (int i = 0; i < N; i++)
        x[i] = ad_input(t, .3 * sin(i));
    for (int j = 0; j < W; j++) {
        ad_var z = x[W + W * W + j];
        for (int i = 0; i < W; i++)
            z = ad_add(z, ad_mul(x[W + j * W + i], x[i]));
        y = ad_add(y, ad_tanh(z));
    }
    ad_program *p = compiled(t, N, x, 1, &y, AD_GRADIENT);
    ad_program_stats s = ad_program_stats_of(p);
    if (s.lines > 30 || s.changed[0] < 2 * W * W)
        fail_msg("%lld lines, %lld in dot products", (long long)s.lines, (long long)s.changed[0]);
    ad_workspace *w = ad_workspace_new(p);
    double out[N + 1], in[N];
    for (int i = 0; i < N; i++)
        in[i] = ad_value(x[i]);
    RAN(ad_run(w, in, out), AD_OK, w);
    STATUS(ad_backward(y), AD_OK, t);
    for (int i = 0; i < N; i++)
        if (fabs(out[1 + i] - ad_grad(x[i])) > 1e-15)
            fail_msg("gradient %d: got %.17g, want %.17g", i, out[1 + i], ad_grad(x[i]));
    ad_workspace_free(w);
    ad_program_free(p);
}

/* ---- sums, sines and constants ---- */

/* few products: not worth a dot product, so the sum is the recorded one to the last bit */
static void sums_of_few_products_keep_their_bits(void **state)
{
    ad_tape *t = *state;
    enum { N = 40 };
    ad_var x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = ad_input(t, sin(3 * i) * pow(10, i % 7 - 3));
    for (int i = 0; i < N; i++) {
        ad_var a = x[i], b = x[(i + 7) % N], c = x[(i + 11) % N], d = x[(i + 23) % N];
        y[i] = ad_mul(a, b);
        if (i % 5 > 0)
            y[i] = i % 2 ? ad_add(y[i], ad_mul(c, d)) : ad_add(ad_mul(c, d), y[i]);
        if (i % 5 > 1)
            y[i] = i % 3 ? ad_add(y[i], ad_mul(b, d)) : ad_add(ad_mul(b, d), y[i]);
        if (i % 5 > 2)
            y[i] = ad_add(i % 3 ? ad_sin(y[i]) : y[i], c);
        if (i % 5 > 3)
            y[i] = ad_add(ad_mul(y[i], y[(i + 39) % N]), ad_mul(a, c));
    }
    ad_program *p = compiled(t, N, x, N, y, 0);
    ad_workspace *w = ad_workspace_new(p);
    double out[N];
    RAN(ad_run(w, NULL, out), AD_OK, w);
    for (int i = 0; i < N; i++)
        EQUAL(out[i], ad_value(y[i]));
    assert_int_equal(ad_program_stats_of(p).changed[0], 0);
    ad_workspace_free(w);
    ad_program_free(p);
}

static void sums_that_are_written_in_turns_become_dot_products(void **state)
{
    ad_tape *t = *state;
    enum { ROWS = 3, N = 9 };
    ad_var x[N + ROWS * N], y[ROWS];
    for (int i = 0; i < N + ROWS * N; i++)
        x[i] = ad_input(t, cos(2 * i));
    for (int r = 0; r < ROWS; r++)
        y[r] = ad_mul(x[N + r * N], x[0]);
    for (int i = 1; i < N; i++)
        for (int r = 0; r < ROWS; r++)
            y[r] = ad_add(y[r], ad_mul(x[N + r * N + i], x[i]));
    ad_program *p = compiled(t, N + ROWS * N, x, ROWS, y, 0);
    const ad_program_stats s = ad_program_stats_of(p);
    assert_int_equal(s.changed[0], ROWS * (2 * N - 1));
    assert_int_equal(s.recorded, ROWS * (2 * N - 1));
    assert_int_equal(s.instructions, N + ROWS * N + ROWS * (2 * N - 1) + 1); /* a constant */
    ad_workspace *w = ad_workspace_new(p);
    double out[ROWS];
    RAN(ad_run(w, NULL, out), AD_OK, w);
    for (int r = 0; r < ROWS; r++)
        if (fabs(out[r] - ad_value(y[r])) > 1e-15 * N)
            fail_msg("sum %d: got %.17g, want %.17g", r, out[r], ad_value(y[r]));
    ad_workspace_free(w);
    ad_program_free(p);
}

/* They are computed together where both are wanted. */
static void sine_and_cosine_are_those_of_the_library(void **state)
{
    ad_tape *t = *state;
    ad_var x = ad_input(t, 1), y[2] = {ad_sin(x), ad_cos(x)};
    ad_program *p = compiled(t, 1, &x, 2, y, 0);
    ad_workspace *w = ad_workspace_new(p);
    double out[2];
    for (int i = 0; i < 20000; i++) {
        const double at = sin(7. * i) * pow(10, i % 25 - 12);
        RAN(ad_run(w, &at, out), AD_OK, w);
        EQUAL(out[0], sin(at));
        EQUAL(out[1], cos(at));
    }
    ad_workspace_free(w);
    ad_program_free(p);
}

static void equal_constants_are_one_however_many_there_are(void **state)
{
    ad_tape *t = *state;
    enum { N = 500 };
    ad_var x = ad_input(t, .3), y = ad_constant(0);
    for (int i = 0; i < 2 * N; i++)
        y = ad_add(y, ad_exp(ad_mul(ad_constant(sqrt(1 + i % N) / N), x)));
    ad_program *p = compiled(t, 1, &x, 1, &y, 0);
    assert_true(ad_program_stats_of(p).changed[5] >= 2 * N);
    ad_workspace *w = ad_workspace_new(p);
    double out;
    RAN(ad_run(w, NULL, &out), AD_OK, w);
    EQUAL(out, ad_value(y));
    ad_workspace_free(w);
    ad_program_free(p);
}

/* ---- fused nodes ---- */

static void fused_nodes_are_taken_apart(void **state)
{
    ad_tape *t = *state;
    enum { N = 12 };
    ad_var x[N + 1], y = ad_constant(0);
    double at[N + 1], w[N], out[N + 2], want;
    for (int i = 0; i <= N; i++) {
        at[i] = .4 * cos(3 * i);
        x[i] = ad_input(t, at[i]);
        w[i % N] = .1 * i - .3;
    }
    y = ad_add(y, ad_dot_n(N / 2, x, x + N / 2));
    y = ad_add(y, ad_dot_add_n(N, x, x, x[N]));
    y = ad_add(y, ad_affine_n(N, w, x, .7));
    y = ad_add(y, ad_tanh(ad_sum_n(N, x)));
    y = ad_add(y, ad_norm_n(N, x));
    y = ad_add(y, ad_polynomial_n(N, x, x[N]));
    y = ad_add(y, ad_horner_n(N, w, x[N]));
    ad_program *p = compiled(t, N + 1, x, 1, &y, AD_GRADIENT);
    if (ad_program_stats_of(p).changed[0] < 2 * N)
        fail_msg("%lld instructions in dot products", (long long)ad_program_stats_of(p).changed[0]);
    ad_workspace *workspace = ad_workspace_new(p);
    RAN(ad_run(workspace, at, out), AD_OK, workspace);
    STATUS(ad_backward(y), AD_OK, t);
    want = ad_value(y);
    results_close("value", 0, 1, out, &want);
    for (int i = 0; i <= N; i++) {
        want = ad_grad(x[i]);
        results_close("gradient", (uint64_t)i, 1, out + 1 + i, &want);
    }
    ad_workspace_free(workspace);
    ad_program_free(p);
}

/* ---- printing ---- */

static void a_program_is_printed_before_and_after(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)},
           y = ad_add(ad_mul(x[0], x[1]), ad_mul(ad_sin(x[0]), ad_constant(1)));
    ad_program *p = compiled(t, 2, x, 1, &y, AD_GRADIENT);
    char *text = NULL;
    size_t size;
    FILE *to = tmpfile();
    assert_int_equal(ad_program_print(p, to), AD_OK);
    size = (size_t)ftell(to);
    rewind(to);
    text = calloc(size + 1, 1);
    assert_int_equal(fread(text, 1, size, to), size);
    CONTAINS(text, "of 5 recorded");
    CONTAINS(text, "sin 0");
    CONTAINS(text, "identities");
    CONTAINS(text, "sin(x[0])");
    CONTAINS(text, "out[0] = ");
    free(text);
    fclose(to);
    assert_int_equal(ad_program_print(NULL, stderr), AD_NULL);
    assert_int_equal(ad_program_print(p, NULL), AD_NULL);
    ad_program_free(p);
}

/* ---- tensors ---- */

static void tensors_compile_by_recording(void **state)
{
    ad_tape *t = *state;
    const int64_t shape[2] = {2, 3}, columns[2] = {3, 2};
    const double a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {.1, .2, .3, .4, .5, .6};
    ad_var x[2] = {ad_input_array(t, AD_F64, 2, shape, a),
                   ad_input_array(t, AD_F64, 2, columns, b)},
           m = ad_tanh(ad_matmul(x[0], x[1])), y[2] = {ad_sum(ad_mul(m, m)), m};
    const int64_t before = ad_node_count(t);
    ad_program *p = compiled(t, 2, x, 2, y, EVERYTHING);
    assert_int_equal(ad_node_count(t), before);
    ad_workspace *w = ad_workspace_new(p);
    /* x, cotangents of both outputs, a direction */
    double in[12 + 5 + 12], out[5 + 12 + 12 + 5 + 12];
    for (int i = 0; i < 29; i++)
        in[i] = i < 6 ? a[i] : i < 12 ? b[i - 6] : cos(i);
    RAN(ad_run(w, in, out), AD_OK, w);
    const double *at = out + 5, *seeds[2] = {in + 12, in + 13}, *directions[2] = {in + 17, in + 23};
    double want[12], values[5];
    STATUS(ad_backward(y[0]), AD_OK, t);
    ad_grad_read(x[0], want), ad_grad_read(x[1], want + 6);
    results_close("gradient", 0, 12, at, want);
    STATUS(ad_vjp(2, y, seeds), AD_OK, t);
    ad_grad_read(x[0], want), ad_grad_read(x[1], want + 6);
    results_close("VJP", 0, 12, at += 12, want);
    STATUS(ad_jvp(2, x, directions, 2, y, (double *[]){values, values + 1}, 1), AD_OK, t);
    results_close("JVP", 0, 5, at += 12, values);
    STATUS(ad_hvp(y[0], 2, x, directions, (double *[]){want, want + 6}), AD_OK, t);
    results_close("HVP", 0, 12, at + 5, want);
    RAN(ad_run(w, in, NULL), AD_OK, w);
    RAN(ad_workspace_read_gradient(w, 1, want), AD_OK, w);
    results_close("gradient read", 0, 6, want, out + 11);
    const ad_program_stats stats = ad_program_stats_of(p);
    assert_true(stats.flops > 2 * 2 * 2 * 3 && stats.workspace_bytes > 0);
    assert_true(stats.lines < stats.recorded);
    char text[40000] = {0};
    FILE *to = tmpfile();
    assert_int_equal(ad_program_print(p, to), AD_OK);
    rewind(to);
    assert_true(fread(text, 1, sizeof text - 1, to) > 0);
    fclose(to);
    CONTAINS(text, "matmul 0, 1  (2,2)");
    CONTAINS(text, "one pass over memory");
    ad_workspace_free(w);
    ad_program_free(p);
}

/* ---- errors ---- */

static void wrong_requests_are_errors_with_a_reason(void **state)
{
    ad_tape *t = *state;
    const int64_t two[1] = {2};
    ad_var x[2], twice[2], y, v;
    const struct {
        int n, m, want;
        const ad_var *x, *y;
        ad_status status;
        const char *text;
    } cases[] = {
        {1, 1, 0, x, &y, AD_NOT_RECORDED, "not among the inputs listed"},
        {2, 1, 0, twice, &y, AD_BAD_ARGUMENT, "listed twice"},
        {1, 1, 0, &y, &y, AD_BAD_ARGUMENT, "which is no input"},
        {2, 0, AD_GRADIENT, x, NULL, AD_BAD_SHAPE, "a scalar"},
        {1, 1, AD_HVP, &v, &v, AD_BAD_SHAPE, "a scalar"},
        {2, 1, 1024, x, &y, AD_BAD_ARGUMENT, "no such thing"},
        {2, 1, 0, NULL, &y, AD_NULL, "null"},
        {-1, 1, 0, x, &y, AD_NULL, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ad_reset(t);
        x[0] = twice[0] = twice[1] = ad_input(t, 1), x[1] = ad_input(t, 2), y = ad_mul(x[0], x[1]);
        v = ad_input_array(t, AD_F64, 1, two, (const double[]){1, 2});
        assert_null(ad_compile(t, cases[i].n, cases[i].x, cases[i].m, cases[i].y,
                               &(ad_compile_config){.want = cases[i].want}));
        STATUS(ad_tape_status(t), cases[i].status, t);
        CONTAINS(ad_tape_error(t), cases[i].text);
    }
    assert_null(ad_compile(NULL, 0, NULL, 0, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pass_leaves_every_bit_as_it_was),
        cmocka_unit_test(derivatives_agree_with_those_of_the_tape),
        cmocka_unit_test(every_row_compiles_to_what_the_tape_gives),
        cmocka_unit_test(a_compiled_program_runs_at_new_inputs_after_its_tape_is_gone),
        ON_A_TAPE(outputs_may_be_inputs_constants_and_twice_the_same),
        ON_A_TAPE(what_is_not_wanted_is_not_there),
        ON_A_TAPE(a_zero_cotangent_absorbs),
        ON_A_TAPE(a_guard_that_fails_says_so),
        cmocka_unit_test(the_first_operation_that_is_not_finite_is_named),
        ON_A_TAPE(long_recurrences_become_loops),
        cmocka_unit_test(loops_keep_what_later_rounds_read),
        ON_A_TAPE(a_network_of_scalars_becomes_products_of_matrices),
        ON_A_TAPE(sums_of_few_products_keep_their_bits),
        ON_A_TAPE(sums_that_are_written_in_turns_become_dot_products),
        ON_A_TAPE(sine_and_cosine_are_those_of_the_library),
        ON_A_TAPE(equal_constants_are_one_however_many_there_are),
        ON_A_TAPE(fused_nodes_are_taken_apart),
        ON_A_TAPE(a_program_is_printed_before_and_after),
        ON_A_TAPE(tensors_compile_by_recording),
        ON_A_TAPE(wrong_requests_are_errors_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
