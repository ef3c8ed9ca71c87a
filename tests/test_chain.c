/* test_chain.c - dot products, sums, norms and polynomials of arrays of scalars, against the same
 * written out; and inputs and gradients by the array */
#include "expect.h"
#include "tape.h"

enum { MOST = 1000 };

static double number(int64_t i) { return sin(1 + 1.7 * (double)i); }

/* ---- the functions, each in two ways ---- */

typedef ad_var (*of_arrays)(int64_t n, const ad_var *a, const ad_var *b);

static ad_var dot(int64_t n, const ad_var *a, const ad_var *b) { return ad_dot_n(n, a, b); }
static ad_var dot_out(int64_t n, const ad_var *a, const ad_var *b)
{
    ad_var y = ad_constant(0);
    for (int64_t i = 0; i < n; i++)
        y = ad_add(y, ad_mul(a[i], b[i]));
    return y;
}
static ad_var dot_add(int64_t n, const ad_var *a, const ad_var *b)
{
    return ad_dot_add_n(n, a, b, n ? a[n / 2] : ad_constant(0));
}
static ad_var dot_add_out(int64_t n, const ad_var *a, const ad_var *b)
{
    return n ? ad_add(dot_out(n, a, b), a[n / 2]) : ad_constant(0);
}
static ad_var affine(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    double w[MOST];
    for (int64_t i = 0; i < n; i++)
        w[i] = number(i + 7);
    return ad_affine_n(n, w, a, .5);
}
static ad_var affine_out(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    ad_var y = ad_constant(.5);
    for (int64_t i = 0; i < n; i++)
        y = ad_add(y, ad_mul(number(i + 7), a[i]));
    return y;
}
static ad_var sum(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    return ad_sum_n((int)n, a);
}
static ad_var sum_out(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    ad_var y = ad_constant(0);
    for (int64_t i = 0; i < n; i++)
        y = ad_add(y, a[i]);
    return y;
}
static ad_var norm(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    return ad_norm_n(n, a);
}
static ad_var norm_out(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    return n ? ad_sqrt(dot_out(n, a, a)) : ad_constant(0);
}
static ad_var polynomial(int64_t n, const ad_var *a, const ad_var *b)
{
    return ad_polynomial_n(n, a, n ? ad_mul(.9, b[0]) : ad_constant(0));
}
static ad_var polynomial_out(int64_t n, const ad_var *a, const ad_var *b)
{
    ad_var y = ad_constant(0), x = n ? ad_mul(.9, b[0]) : ad_constant(0);
    for (int64_t i = n; i-- > 0;)
        y = ad_add(ad_mul(y, x), a[i]);
    return y;
}
static ad_var horner(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    double p[MOST];
    for (int64_t i = 0; i < n; i++)
        p[i] = number(i + 3);
    return ad_horner_n(n, p, n ? ad_mul(.9, a[0]) : ad_constant(0));
}
static ad_var horner_out(int64_t n, const ad_var *a, const ad_var *b)
{
    (void)b;
    ad_var y = ad_constant(0), x = n ? ad_mul(.9, a[0]) : ad_constant(0);
    for (int64_t i = n; i-- > 0;)
        y = ad_add(ad_mul(y, x), ad_constant(number(i + 3)));
    return y;
}

static const struct pair {
    const char *name;
    of_arrays fused, written_out;
} pairs[] = {
    {"dot_n", dot, dot_out},          {"dot_add_n", dot_add, dot_add_out},
    {"affine_n", affine, affine_out}, {"sum_n", sum, sum_out},
    {"norm_n", norm, norm_out},       {"polynomial_n", polynomial, polynomial_out},
    {"horner_n", horner, horner_out},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* where the operands are: in a row, here and there, the same in both, the same one many times, with
 * constants among them */
enum places { ROW, SCATTERED, SAME, ONE, MIXED, PLACES };

typedef struct operands {
    ad_var x[2 * MOST], a[MOST], b[MOST];
} operands;

static void place(ad_tape *t, enum places places, int64_t n, operands *o)
{
    double values[2 * MOST];
    for (int64_t i = 0; i < 2 * n; i++)
        values[i] = number(i);
    STATUS(ad_input_n(t, 2 * n, values, o->x), AD_OK, t);
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = places == SCATTERED ? i * 7 % n : places == ONE ? 0 : i;
        o->a[i] = o->x[j];
        o->b[i] = places == SAME ? o->x[j] : o->x[n + j];
        if (places == MIXED && i % 3 == 1)
            o->a[i] = ad_constant(number(i));
        if (places == MIXED && i % 4 == 2)
            o->b[i] = ad_constant(number(n + i));
    }
}

static void near(const char *what, int64_t n, enum places places, double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
        fail_msg("%s, n = %lld, places %d: got %.17g, want %.17g", what, (long long)n, (int)places,
                 got, want);
}

typedef void (*comparison)(const struct pair *p, int64_t n, enum places places, ad_tape *t[2],
                           operands *o[2], ad_var y[2]);

/* every function, at sizes around the kernels' pieces, with operands in every place */
static void for_all(comparison compare)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 9, 31, 128, 129, 300, 1000};
    operands *o[2] = {malloc(sizeof *o[0]), malloc(sizeof *o[0])};
    assert_true(o[0] && o[1]);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int p = 0; p < PAIRS; p++)
            for (int places = 0; places < PLACES; places++) {
                ad_tape *t[2] = {ad_tape_new(NULL), ad_tape_new(NULL)};
                ad_var y[2];
                for (int k = 0; k < 2; k++) {
                    place(t[k], (enum places)places, sizes[s], o[k]);
                    y[k] = (k ? pairs[p].written_out : pairs[p].fused)(sizes[s], o[k]->a, o[k]->b);
                    STATUS(ad_tape_status(t[k]), AD_OK, t[k]);
                }
                compare(&pairs[p], sizes[s], (enum places)places, t, o, y);
                ad_tape_free(t[0]);
                ad_tape_free(t[1]);
            }
    free(o[0]);
    free(o[1]);
}

static void same_gradients(const struct pair *p, int64_t n, enum places places, ad_tape *t[2],
                           operands *o[2], ad_var y[2])
{
    double g[2][2 * MOST];
    near(p->name, n, places, ad_value(y[0]), ad_value(y[1]));
    for (int k = 0; k < 2; k++) {
        STATUS(ad_backward(ad_mul(3, y[k])), AD_OK, t[k]);
        STATUS(ad_grad_n(2 * n, o[k]->x, g[k]), AD_OK, t[k]);
    }
    for (int64_t i = 0; i < 2 * n; i++) {
        near(p->name, n, places, g[0][i], g[1][i]);
        EQUAL(g[0][i], ad_grad(o[0]->x[i]));
    }
}

static void values_and_gradients_are_those_of_the_same_written_out(void **state)
{
    (void)state;
    for_all(same_gradients);
}

static void same_tangents(const struct pair *p, int64_t n, enum places places, ad_tape *t[2],
                          operands *o[2], ad_var y[2])
{
    double tangent[2 * MOST * 3], dy[2][3];
    const double *in[2 * MOST];
    for (int64_t i = 0; i < 6 * n; i++)
        tangent[i] = i % 5 ? number(i + 11) : 0;
    for (int64_t i = 0; i < 2 * n; i++)
        in[i] = tangent + 3 * i;
    for (int k = 0; k < 2; k++) {
        double *out[1] = {dy[k]};
        for (int directions = 1; directions <= 3; directions += 2)
            STATUS(ad_jvp((int)(2 * n), o[k]->x, in, 1, &y[k], out, directions), AD_OK, t[k]);
    }
    for (int w = 0; w < 3; w++)
        near(p->name, n, places, dy[0][w], dy[1][w]);
}

static void tangents_are_those_of_the_same_written_out(void **state)
{
    (void)state;
    for_all(same_tangents);
}

static void same_second(const struct pair *p, int64_t n, enum places places, ad_tape *t[2],
                        operands *o[2], ad_var y[2])
{
    if (n > 31)
        return;
    double v[2 * MOST], hv[2][2 * MOST];
    const double *in[2 * MOST];
    for (int64_t i = 0; i < 2 * n; i++) {
        v[i] = number(i + 5);
        in[i] = v + i;
    }
    for (int k = 0; k < 2; k++) {
        double *out[2 * MOST];
        for (int64_t i = 0; i < 2 * n; i++)
            out[i] = hv[k] + i;
        STATUS(ad_hvp(ad_square(y[k]), (int)(2 * n), o[k]->x, in, out), AD_OK, t[k]);
    }
    for (int64_t i = 0; i < 2 * n; i++)
        near(p->name, n, places, hv[0][i] / 64, hv[1][i] / 64);
}

static void hessians_are_those_of_the_same_written_out(void **state)
{
    (void)state;
    for_all(same_second);
}

static void same_program(const struct pair *p, int64_t n, enum places places, ad_tape *t[2],
                         operands *o[2], ad_var y[2])
{
    double x[2 * MOST], out[2][2 * MOST + 1];
    for (int64_t i = 0; i < 2 * n; i++)
        x[i] = number(i + 100);
    for (int k = 0; k < 2; k++) {
        ad_program *program =
            ad_program_capture(t[k], (int)(2 * n), o[k]->x, 1, &y[k], AD_GRADIENT);
        STATUS(ad_tape_status(t[k]), AD_OK, t[k]);
        ad_workspace *w = ad_workspace_new(program);
        for (int twice = 0; twice < 2; twice++)
            RAN(ad_run(w, x, out[k]), AD_OK, w);
        ad_workspace_free(w);
        ad_program_free(program);
    }
    for (int64_t i = 0; i <= 2 * n; i++)
        near(p->name, n, places, out[0][i], out[1][i]);
    for (int64_t i = 0; i < 2 * n; i++) /* and on the tape */
        assert_int_equal(ad_set(o[0]->x[i], x[i]), AD_OK);
    STATUS(ad_replay(t[0]), AD_OK, t[0]);
    EQUAL(ad_value(y[0]), out[0][0]);
}

static void programs_and_replays_are_those_of_the_same_written_out(void **state)
{
    (void)state;
    for_all(same_program);
}

static ad_var all_of_them(const ad_var *x, void *user)
{
    (void)user;
    ad_var y = ad_constant(0);
    for (int p = 0; p < PAIRS; p++)
        y = ad_add(y, pairs[p].fused(6, x, x + 6));
    return y;
}

static void the_gradient_check_passes(void **state)
{
    (void)state;
    double x[12];
    ad_check_report r;
    for (int i = 0; i < 12; i++)
        x[i] = number(i);
    const ad_check_options options = {.second_order = true};
    ad_gradcheck(all_of_them, NULL, 12, x, &options, &r);
    if (!r.passed)
        fail_msg("%s", r.text);
}

static void one_node_each(void **state)
{
    ad_tape *t = *state;
    operands *o = malloc(sizeof *o);
    assert_non_null(o);
    place(t, ROW, 100, o);
    const int64_t before = ad_node_count(t);
    const ad_var y = ad_dot_n(100, o->a, o->b);
    assert_int_equal(ad_node_count(t), before + 2); /* its own, and a hidden one */
    ad_node_info info;
    assert_int_equal(ad_node_at(t, ad_var_node(y), &info), AD_OK);
    assert_string_equal(info.operation, "dot_n");
    assert_int_equal(info.n_parents, 200);
    for (int k = 0; k < 200; k++)
        assert_int_equal(ad_node_parent(t, ad_var_node(y), k), ad_var_node(o->x[k]));
    const ad_var z = ad_sum_n(100, o->a);
    assert_int_equal(ad_node_at(t, ad_var_node(z), &info), AD_OK);
    assert_string_equal(info.operation, "sum_n");
    free(o);
}

static void errors_name_operation_and_line(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 1), ad_input_array(t, AD_F64, 1, (int64_t[]){2}, (double[]){1, 2})};
    ONE_LINE(ad_dot_n(2, x, x); const char *here = HERE);
    STATUS(ad_tape_status(t), AD_BAD_SHAPE, t);
    CONTAINS(ad_tape_error(t), "dot_n: argument 1 is a tensor");
    CONTAINS(ad_tape_error(t), here);
    ad_reset(t);
    x[0] = ad_input(t, 1);
    x[1] = (ad_var){0};
    ad_norm_n(2, x);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t);
    ad_norm_n(1, x); /* of before the reset */
    STATUS(ad_tape_status(t), AD_STALE, t);
    ad_reset(t);
    ad_tape *other = ad_tape_new(NULL);
    x[0] = ad_input(t, 1);
    x[1] = ad_input(other, 1);
    ad_sum_n(2, x);
    ad_polynomial_n(2, x, x[0]);
    STATUS(ad_tape_status(t), AD_FOREIGN, t);
    ad_reset(t);
    x[0] = ad_input(t, 1);
    ad_dot_n(1, x, NULL);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t);
    x[0] = ad_input(t, 1);
    ad_affine_n(1, NULL, x, 0);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_reset(t);
    x[0] = ad_input(t, 1);
    ad_horner_n(-1, (double[]){1}, x[0]);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_tape_free(other);
}

static void a_row_of_handles_with_a_stranger_in_it_is_seen(void **state)
{
    ad_tape *t = *state;
    double values[64] = {0};
    for (int wrong = 0; wrong < 64; wrong++) {
        ad_reset(t);
        ad_var x[64];
        STATUS(ad_input_n(t, 64, values, x), AD_OK, t);
        x[wrong].u.node.epoch -= 1;
        ad_sum_n(64, x);
        STATUS(ad_tape_status(t), AD_STALE, t);
    }
}

static void constants_alone_and_nothing_at_all_are_constants(void **state)
{
    ad_tape *t = *state;
    const ad_var c[2] = {ad_constant(3), ad_constant(4)};
    EQUAL(ad_value(ad_dot_n(2, c, c)), 25);
    EQUAL(ad_value(ad_dot_add_n(2, c, c, ad_constant(1))), 26);
    EQUAL(ad_value(ad_norm_n(2, c)), 5);
    EQUAL(ad_value(ad_affine_n(2, (double[]){1, 2}, c, 1)), 12);
    EQUAL(ad_value(ad_polynomial_n(2, c, ad_constant(2))), 11);
    EQUAL(ad_value(ad_horner_n(2, (double[]){1, 2}, c[0])), 7);
    EQUAL(ad_value(ad_dot_n(0, NULL, NULL)), 0);
    EQUAL(ad_value(ad_norm_n(0, NULL)), 0);
    EQUAL(ad_value(ad_affine_n(0, NULL, NULL, 2)), 2);
    const ad_var x = ad_input(t, 7);
    EQUAL(ad_value(ad_dot_add_n(0, NULL, NULL, x)), 7);
    EQUAL(ad_value(ad_polynomial_n(0, NULL, x)), 0);
    EQUAL(ad_value(ad_horner_n(0, NULL, x)), 0);
    assert_int_equal(ad_node_count(t), 1);
    assert_null(ad_dot_n(1, (ad_var[]){{0}}, c).tape);
}

static void a_zero_cotangent_absorbs(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 0), ad_input(t, INFINITY)};
    const ad_var y = ad_add(ad_mul(0, ad_dot_n(2, x, x)), x[0]);
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_grad(x[0]), 1);
    EQUAL(ad_grad(x[1]), 0);
    EQUAL(ad_value(ad_grad_of(y, x[1])), 0);
}

static void the_norm_is_safe_at_zero_and_far_out(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 0), ad_input(t, 0)};
    STATUS(ad_backward(ad_norm_n(2, x)), AD_OK, t);
    EQUAL(ad_grad(x[0]), 0);
    ad_reset(t);
    x[0] = ad_input(t, 3e200);
    x[1] = ad_input(t, 4e200);
    const ad_var y = ad_norm_n(2, x);
    CLOSE(ad_value(y), 5e200);
    STATUS(ad_backward(y), AD_OK, t);
    CLOSE(ad_grad(x[0]), .6);
}

static void a_pause_gives_constants(void **state)
{
    ad_tape *t = *state;
    ad_var x[2] = {ad_input(t, 3), ad_input(t, 4)};
    ad_pause(t);
    const ad_var y = ad_norm_n(2, x);
    ad_var more[3];
    STATUS(ad_input_n(t, 3, (double[]){1, 2, 3}, more), AD_OK, t);
    ad_resume(t);
    EQUAL(ad_value(y), 5);
    EQUAL(ad_value(more[2]), 3);
    assert_int_equal(ad_var_node(y), -1);
    assert_int_equal(ad_node_count(t), 2);
}

static void what_is_not_finite_is_found(void **state)
{
    (void)state;
    ad_context *c = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(c);
    ad_var x[2] = {ad_input(t, 1e200), ad_input(t, 1e200)};
    ad_dot_n(2, x, x);
    STATUS(ad_tape_status(t), AD_NOT_FINITE, t);
    CONTAINS(ad_tape_error(t), "dot_n");
    ad_tape_free(t);
    ad_context_free(c);
}

static void axpy_is_y_plus_a_x(void **state)
{
    ad_tape *t = *state;
    ad_var a = ad_input(t, 2), x[3], y[3], out[3];
    STATUS(ad_input_n(t, 3, (double[]){1, 2, 3}, x), AD_OK, t);
    STATUS(ad_input_n(t, 3, (double[]){10, 20, 30}, y), AD_OK, t);
    STATUS(ad_axpy_n(3, a, x, y, out), AD_OK, t);
    STATUS(ad_axpy_n(3, a, x, y, y), AD_OK, t); /* in place */
    for (int i = 0; i < 3; i++) {
        EQUAL(ad_value(out[i]), 12. * (i + 1));
        EQUAL(ad_value(y[i]), 12. * (i + 1));
    }
    STATUS(ad_backward(ad_sum_n(3, y)), AD_OK, t);
    EQUAL(ad_grad(a), 6);
    EQUAL(ad_grad(x[1]), 2);
    assert_int_equal(ad_axpy_n(3, a, NULL, y, out), AD_NULL);
    assert_int_equal(ad_axpy_n(0, a, NULL, NULL, NULL), AD_OK);
}

/* ---- arrays of inputs and of gradients ---- */

static void inputs_by_the_array_are_inputs(void **state)
{
    ad_tape *t = *state;
    enum { N = 5000 };
    static double values[N], g[N];
    static ad_var x[N];
    for (int i = 0; i < N; i++)
        values[i] = number(i);
    for (int pass = 0; pass < 3; pass++) {
        ad_reset(t);
        const ad_var first = ad_input(t, .5);
        STATUS(ad_input_n(t, N, values, x), AD_OK, t);
        ad_var y = first;
        for (int i = 0; i < N; i++) {
            EQUAL(ad_value(x[i]), values[i]);
            y = ad_add(y, ad_square(x[i]));
        }
        const ad_var late = ad_input(t, 2);
        y = ad_mul(y, late);
        STATUS(ad_backward(y), AD_OK, t);
        STATUS(ad_grad_n(N, x, g), AD_OK, t);
        for (int i = 0; i < N; i++)
            EQUAL(g[i], 2 * (2 * values[i]));
        EQUAL(ad_grad(first), 2);
        ad_stats s = ad_tape_stats(t);
        assert_int_equal(s.inputs, N + 2);
        STATUS(ad_backward_add(y), AD_OK, t);
        EQUAL(ad_grad(x[N - 1]), 4 * (2 * values[N - 1]));
        EQUAL(ad_grad(first), 4);
    }
    assert_int_equal(ad_input_n(NULL, 1, values, x), AD_NULL);
    assert_int_equal(ad_input_n(t, -1, values, x), AD_NULL);
    assert_int_equal(ad_input_n(t, 0, NULL, NULL), AD_OK);
}

static void gradients_by_the_array_are_those_one_by_one(void **state)
{
    ad_tape *t = *state;
    ad_var x[300], y = ad_constant(0);
    double values[300], g[6];
    for (int i = 0; i < 300; i++)
        values[i] = number(i);
    STATUS(ad_input_n(t, 300, values, x), AD_OK, t);
    for (int i = 0; i < 300; i++)
        y = ad_add(y, ad_square(x[i]));
    const ad_var late = ad_input(t, 1);
    assert_int_equal(ad_grad_n(1, x, g), AD_NOT_RECORDED);
    ad_reset(t);
    STATUS(ad_input_n(t, 300, values, x), AD_OK, t);
    y = ad_dot_n(300, x, x);
    STATUS(ad_backward(y), AD_OK, t);
    const ad_var after = ad_input(t, 1);
    const ad_var some[6] = {x[7], x[8], x[299], after, x[0], ad_constant(1)};
    STATUS(ad_grad_n(6, some, g), AD_OK, t);
    for (int k = 0; k < 6; k++)
        EQUAL(g[k], ad_grad(some[k]));
    EQUAL(g[3], 0);
    EQUAL(g[2], 2 * values[299]);
    assert_int_equal(ad_grad_n(1, &y, g), AD_NOT_RECORDED);
    assert_int_equal(ad_grad_n(1, &late, g), AD_NOT_RECORDED); /* the first error stays */
    assert_int_equal(ad_grad_n(1, NULL, g), AD_NULL);
    assert_int_equal(ad_grad_n(0, NULL, NULL), AD_OK);
}

/* A sweep leaves adjoints on inputs; nodes that come to lie there later must not see them. */
static void adjoints_of_removed_nodes_reach_no_later_gradient(void **state)
{
    ad_tape *t = *state;
    for (int keep = 0; keep < 2; keep++) {
        ad_reset(t);
        ad_var x = ad_input(t, 3);
        const ad_mark mark = ad_mark_here(t);
        ad_var many[20], y = x;
        for (int i = 0; i < 20; i++)
            y = ad_add(y, ad_mul(x, many[i] = ad_input(t, i)));
        STATUS((keep ? ad_backward_keep : ad_backward)(y), AD_OK, t);
        EQUAL(ad_grad(x), 191);
        STATUS(ad_rewind(t, mark), AD_OK, t);
        EQUAL(ad_grad(x), 191);
        y = x;
        for (int i = 0; i < 30; i++)
            y = ad_add(y, x);
        const ad_var fresh = ad_input(t, 1);
        EQUAL(ad_grad(fresh), 0);
        STATUS(ad_backward_add(y), AD_OK, t);
        EQUAL(ad_grad(x), 191 + 31);
        STATUS(ad_backward(y), AD_OK, t);
        EQUAL(ad_grad(x), 31);
        EQUAL(ad_grad(fresh), 0);
        ad_reset(t);
        x = ad_sin(ad_input(t, 0));
        STATUS(ad_backward(x), AD_OK, t);
        EQUAL(ad_grad(ad_node_var(t, 0)), 1);
    }
}

#define TEST(name) ON_A_TAPE(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_and_gradients_are_those_of_the_same_written_out),
        TEST(tangents_are_those_of_the_same_written_out),
        TEST(hessians_are_those_of_the_same_written_out),
        TEST(programs_and_replays_are_those_of_the_same_written_out),
        TEST(the_gradient_check_passes),
        TEST(one_node_each),
        TEST(errors_name_operation_and_line),
        TEST(a_row_of_handles_with_a_stranger_in_it_is_seen),
        TEST(constants_alone_and_nothing_at_all_are_constants),
        TEST(a_zero_cotangent_absorbs),
        TEST(the_norm_is_safe_at_zero_and_far_out),
        TEST(a_pause_gives_constants),
        TEST(what_is_not_finite_is_found),
        TEST(axpy_is_y_plus_a_x),
        TEST(inputs_by_the_array_are_inputs),
        TEST(gradients_by_the_array_are_those_one_by_one),
        TEST(adjoints_of_removed_nodes_reach_no_later_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
