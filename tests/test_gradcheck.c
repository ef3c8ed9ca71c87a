/* test_gradcheck.c - the check itself: it passes what is right, refuses what is wrong, and says
 * where and why */
#include "ad.h"
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SEED = 20240609 };

static void expect_status(const ad_check_report *r, ad_status returned, ad_status want)
{
    if (returned != want || r->status != want || r->passed != (want == AD_OK))
        fail_msg("got %s (in the report %s, %s), want %s, seed %d:\n%s", ad_status_name(returned),
                 ad_status_name(r->status), r->passed ? "passed" : "not passed",
                 ad_status_name(want), (int)SEED, r->text);
}

static void expect_text(const ad_check_report *r, const char *part)
{
    if (!strstr(r->text, part))
        fail_msg("the text lacks \"%s\":\n%s", part, r->text);
}

static void expect_number(const char *what, double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("%s: got %.17g, want %.17g", what, got, want);
}

/* ---- right functions ---- */

static ad_var lecture(const ad_var *x, void *user)
{
    (void)user;
    return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
}

static ad_var rosenbrock(const ad_var *x, void *user)
{
    const int n = *(const int *)user;
    ad_var sum = ad_constant(0);
    for (int i = 0; i + 1 < n; i++)
        sum = ad_add(sum, ad_add(ad_mul(100, ad_square(ad_sub(x[i + 1], ad_square(x[i])))),
                                 ad_square(ad_sub(1, x[i]))));
    return sum;
}

static ad_var network(const ad_var *x, void *user) /* (4,3), (3,5), (5) -> (4,5) */
{
    (void)user;
    return ad_softmax(ad_tanh(ad_add(ad_matmul(x[0], x[1]), x[2])), 1);
}

static void functions_of_scalars_pass(void **state)
{
    (void)state;
    ad_check_report r;
    const double x[2] = {2, 5};
    expect_status(&r, ad_gradcheck(lecture, NULL, 2, x, NULL, &r), AD_OK);
    assert_int_equal(r.elements, 2);
    assert_int_equal(r.kinks, 0);
    assert_int_equal(r.node, -1);
    assert_true(r.worst_ulps < 8 && r.worst_difference < 1e-9);
    expect_text(&r, "passed");
    const double y[6] = {.3, -1.2, .8, 1.1, -.4, 2};
    int n = 6;
    expect_status(&r, ad_gradcheck(rosenbrock, &n, n, y, NULL, &r), AD_OK);
    assert_int_equal(r.elements, 6);
}

static ad_tensor *tensor_of(ad_dtype dtype, int rank, const int64_t *shape, double phase)
{
    ad_tensor *x = ad_tensor_new(NULL, dtype, rank, shape);
    double values[64];
    assert_non_null(x);
    for (int64_t i = 0; i < ad_tensor_size(x); i++)
        values[i] = sin(phase + 1.7 * (double)i);
    assert_int_equal(ad_tensor_write(x, values), AD_OK);
    return x;
}

static void functions_of_tensors_pass_in_double_and_in_float(void **state)
{
    (void)state;
    for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
        ad_tensor *x[3] = {tensor_of(dtype, 2, (int64_t[]){4, 3}, 0),
                           tensor_of(dtype, 2, (int64_t[]){3, 5}, 1),
                           tensor_of(dtype, 1, (int64_t[]){5}, 2)};
        for (int k = 0; k < 4; k++) {
            const ad_check_options options = {
                .random_seeds = k & 1, .second_order = k & 2, .seed = SEED};
            ad_check_report r;
            expect_status(&r, ad_gradcheck_tensors(network, NULL, 3, x, &options, &r), AD_OK);
            assert_int_equal(r.elements, 12 + 15 + 5);
        }
        for (int k = 0; k < 3; k++)
            ad_tensor_free(x[k]);
    }
}

static ad_var weighted(const ad_var *x, void *user)
{
    (void)user;
    return ad_mul(x[0], ad_exp(x[1]));
}

static void tensors_may_be_views_of_rank_0_and_empty(void **state)
{
    (void)state;
    ad_check_report r;
    ad_tensor *base = tensor_of(AD_F64, 2, (int64_t[]){3, 4}, 0),
              *turned = ad_tensor_permuted(base, (int[]){1, 0});
    ad_tensor *scalar = tensor_of(AD_F64, 0, NULL, 1),
              *empty = tensor_of(AD_F64, 1, (int64_t[]){0}, 0);
    expect_status(
        &r, ad_gradcheck_tensors(weighted, NULL, 2, (ad_tensor *[]){turned, scalar}, NULL, &r),
        AD_OK);
    assert_int_equal(r.elements, 13);
    expect_status(
        &r, ad_gradcheck_tensors(weighted, NULL, 2, (ad_tensor *[]){scalar, scalar}, NULL, &r),
        AD_OK);
    assert_int_equal(r.elements, 2);
    expect_status(&r,
                  ad_gradcheck_tensors(weighted, NULL, 2, (ad_tensor *[]){empty, scalar}, NULL, &r),
                  AD_OK);
    assert_int_equal(r.elements, 1);
    ad_tensor_free(turned);
    ad_tensor_free(base);
    ad_tensor_free(scalar);
    ad_tensor_free(empty);
}

static void the_point_is_left_as_it_was(void **state)
{
    (void)state;
    ad_check_report r;
    ad_tensor *x[2] = {tensor_of(AD_F32, 1, (int64_t[]){3}, 0),
                       tensor_of(AD_F32, 1, (int64_t[]){3}, 1)};
    double before[6], after[6];
    for (int k = 0; k < 2; k++)
        assert_int_equal(ad_tensor_read(x[k], before + 3 * k), AD_OK);
    const uint64_t version = ad_tensor_version(x[0]);
    expect_status(&r, ad_gradcheck_tensors(weighted, NULL, 2, x, NULL, &r), AD_OK);
    for (int k = 0; k < 2; k++)
        assert_int_equal(ad_tensor_read(x[k], after + 3 * k), AD_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_true(ad_tensor_version(x[0]) == version);
    for (int k = 0; k < 2; k++)
        ad_tensor_free(x[k]);
}

/* ---- small and trivial functions ---- */

static ad_var constant(const ad_var *x, void *user)
{
    (void)x, (void)user;
    return ad_constant(7);
}
static ad_var first(const ad_var *x, void *user)
{
    (void)user;
    return x[0];
}
static ad_var ignoring(const ad_var *x, void *user)
{
    (void)user;
    return ad_sin(x[1]);
}
static ad_var stopped(const ad_var *x, void *user)
{
    (void)user;
    return ad_mul(ad_stop_gradient(x[0]), x[1]);
}

static void constants_inputs_and_unused_inputs_pass(void **state)
{
    (void)state;
    const double x[2] = {.5, -1.25};
    for (int k = 0; k < 4; k++) {
        const ad_check_options options = {
            .random_seeds = k & 1, .second_order = k & 2, .seed = SEED};
        ad_check_report r;
        expect_status(&r, ad_gradcheck(constant, NULL, 2, x, &options, &r), AD_OK);
        expect_status(&r, ad_gradcheck(first, NULL, 2, x, &options, &r), AD_OK);
        assert_int_equal(r.elements, 2);
        expect_status(&r, ad_gradcheck(ignoring, NULL, 2, x, &options, &r), AD_OK);
        expect_status(&r, ad_gradcheck(constant, NULL, 0, NULL, &options, &r), AD_OK);
        assert_int_equal(r.elements, 0);
        expect_status(&r, ad_gradcheck(constant, NULL, 0, x, &options, &r), AD_OK);
        expect_status(&r, ad_gradcheck_tensors(constant, NULL, 0, NULL, &options, &r), AD_OK);
        ad_tensor *t = tensor_of(AD_F32, 2, (int64_t[]){2, 3}, 0);
        expect_status(&r, ad_gradcheck_tensors(first, NULL, 1, &t, &options, &r), AD_OK);
        assert_int_equal(r.elements, 6);
        expect_status(&r, ad_gradcheck_tensors(constant, NULL, 1, &t, &options, &r), AD_OK);
        ad_tensor_free(t);
    }
}

/* A stopped gradient is asked for by the user, yet it is not the derivative of what is computed. */
static void a_stopped_gradient_is_told_by_differences(void **state)
{
    (void)state;
    const double x[2] = {.5, -1.25};
    ad_check_report r;
    expect_status(
        &r, ad_gradcheck(stopped, NULL, 2, x, &(ad_check_options){.no_differences = true}, &r),
        AD_OK);
    expect_status(&r, ad_gradcheck(stopped, NULL, 2, x, NULL, &r), AD_MISMATCH);
    assert_int_equal(r.input, 0);
    expect_text(&r, "differences");
}

/* ---- gradients derived by hand ---- */

static void a_right_gradient_by_hand_passes(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, g[2] = {5 + cos(2), 2};
    ad_check_report r;
    expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, &r), AD_OK);
    assert_int_equal(r.elements, 2);
}

static void a_wrong_element_of_a_gradient_by_hand_is_named(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, g[2] = {5 + cos(2), 2.0625};
    ad_check_report r;
    expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, &r), AD_MISMATCH);
    assert_int_equal(r.input, 1);
    assert_int_equal(r.node, -1);
    expect_number("got", r.got, 2.0625, 0);
    expect_number("want", r.want, 2, 1e-12);
    expect_text(&r, "FAILED");
    expect_text(&r, "input 1");
    expect_text(&r, "2.0625");
    assert_null(strstr(r.text, "sign"));
    assert_null(strstr(r.text, "passed"));
}

static void a_wrong_sign_in_a_gradient_by_hand_is_called_that(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, g[2] = {-(5 + cos(2)), 2};
    ad_check_report r;
    expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, &r), AD_MISMATCH);
    assert_int_equal(r.input, 0);
    expect_number("got", r.got, -(5 + cos(2)), 0);
    expect_number("want", r.want, 5 + cos(2), 1e-12);
    expect_text(&r, "sign");
}

static void a_nan_or_infinity_in_a_gradient_by_hand_is_wrong(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, wrong[2] = {NAN, INFINITY};
    for (int k = 0; k < 4; k++) {
        double g[2] = {5 + cos(2), 2};
        g[k % 2] = wrong[k / 2];
        ad_check_report r;
        expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, &r), AD_MISMATCH);
        assert_int_equal(r.input, k % 2);
    }
}

static void a_small_error_in_a_gradient_by_hand_is_seen(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, g[2] = {(5 + cos(2)) * (1 + 1e-7), 2};
    ad_check_report r;
    expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, &r), AD_MISMATCH);
    assert_int_equal(r.input, 0);
}

/* ---- kinks ---- */

static ad_var relu_of(const ad_var *x, void *user)
{
    (void)user;
    return ad_mul(3, ad_relu(x[0]));
}
static ad_var larger_of(const ad_var *x, void *user)
{
    (void)user;
    return ad_square(ad_max(x[0], x[1]));
}
static ad_var root_of(const ad_var *x, void *user)
{
    (void)user;
    return ad_sqrt(x[0]);
}
static ad_var norm_of(const ad_var *x, void *user)
{
    (void)user;
    return ad_norm(x[0]);
}
static ad_var largest_of(const ad_var *x, void *user)
{
    (void)user;
    return ad_amax(x[0]);
}
static ad_var rectified(const ad_var *x, void *user)
{
    (void)user;
    return ad_sum(ad_relu(x[0]));
}

static ad_var guarded(const ad_var *x, void *user)
{
    const double threshold = *(const double *)user;
    return ad_lt(x[0], threshold) ? ad_sin(x[0]) : ad_mul(2, x[0]);
}

static void expect_kink(const char *what, ad_function f, void *user, int n, const double *x,
                        const char *distance)
{
    ad_check_report r;
    ad_status s = ad_gradcheck(f, user, n, x, NULL, &r);
    if (s || !r.passed || r.kinks < 1)
        fail_msg("%s at %.17g: %s, %d kinks\n%s", what, *x, ad_status_name(s), r.kinks, r.text);
    expect_text(&r, what);
    expect_text(&r, distance);
    expect_text(&r, "kink");
    expect_text(&r, "passed");
}

static void a_kink_that_is_met_is_a_kink_and_no_error(void **state)
{
    (void)state;
    double zero = 0, tie[2] = {1.5, 1.5};
    expect_kink("relu", relu_of, NULL, 1, &zero, "at a kink");
    expect_kink("max", larger_of, NULL, 2, tie, "at a kink");
    expect_kink("sqrt", root_of, NULL, 1, &zero, "at a kink");
    expect_kink("guard", guarded, &zero, 1, &zero, "at a kink");
}

static void a_kink_nearly_met_is_a_kink_and_no_error(void **state)
{
    (void)state;
    double near[2] = {2e-5, -2e-5}, tie[2] = {1.5, 1.5 + 1e-6}, threshold = 0;
    for (int k = 0; k < 2; k++) {
        expect_kink("relu", relu_of, NULL, 1, &near[k], "near a kink");
        expect_kink("guard", guarded, &threshold, 1, &near[k], "near a kink");
    }
    expect_kink("max", larger_of, NULL, 2, tie, "near a kink");
}

static void a_kink_far_away_is_none(void **state)
{
    (void)state;
    double far[2] = {1, -1}, threshold = 0;
    ad_check_report r;
    for (int k = 0; k < 2; k++) {
        expect_status(&r, ad_gradcheck(relu_of, NULL, 1, &far[k], NULL, &r), AD_OK);
        assert_int_equal(r.kinks, 0);
        expect_status(&r, ad_gradcheck(guarded, &threshold, 1, &far[k], NULL, &r), AD_OK);
        assert_int_equal(r.kinks, 0);
    }
}

static void kinks_in_tensors_are_found_too(void **state)
{
    (void)state;
    const struct {
        ad_function f;
        const char *name;
        double x[4];
    } cases[] = {{rectified, "relu", {1, 0, -1, 2}},
                 {rectified, "relu", {1, 3e-5, -1, 2}},
                 {largest_of, "amax", {1, 4, 4, 2}},
                 {norm_of, "norm", {0, 0, 0, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            ad_check_report r;
            ad_tensor *x = ad_tensor_new(NULL, dtype, 1, (int64_t[]){4});
            assert_int_equal(ad_tensor_write(x, cases[i].x), AD_OK);
            expect_status(&r, ad_gradcheck_tensors(cases[i].f, NULL, 1, &x, NULL, &r), AD_OK);
            assert_true(r.kinks >= 1);
            expect_text(&r, cases[i].name);
            ad_tensor_free(x);
        }
}

/* a kink elsewhere is no excuse for a rule that duals contradict */
static bool half_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        y->data[i] = .5 * a->data[i] * a->data[i];
    return true;
}

static bool half_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *dy, ad_array *da)
{
    const double factor = *(const double *)user; /* 1 is right */
    (void)n;
    for (int64_t i = 0; i < y->size; i++)
        da->data[i] += factor * a->data[i] * dy->data[i];
    return true;
}

static bool half_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *da, ad_array *dy)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        dy->data[i] = a->data[i] * da->data[i];
    return true;
}

static void half_record_right(void *user, int n, const ad_var *a, ad_var y, ad_var dy, ad_var *da)
{
    (void)user, (void)n, (void)y;
    da[0] = ad_mul(dy, a[0]);
}

/* the gradient's value is right at the point, its derivative is not: a^2 / 1.5 where a = 1.5 */
static void half_record_wrong(void *user, int n, const ad_var *a, ad_var y, ad_var dy, ad_var *da)
{
    (void)user, (void)n, (void)y;
    da[0] = ad_mul(dy, ad_div(ad_square(a[0]), 1.5));
}

static const ad_operation half_square = {"half square", half_value, half_adjoint, half_tangent,
                                         half_record_right};
static const ad_operation half_wrong = {"half square", half_value, half_adjoint, half_tangent,
                                        half_record_wrong};
static const ad_operation half_unrecorded = {"half square", half_value, half_adjoint, half_tangent,
                                             NULL};

typedef struct own { /* a user's operation, with how it is wrong */
    const ad_operation *operation;
    double factor;
    const char *site;
} own;

static ad_var with_own(const ad_var *x, void *user)
{
    own *o = user;
    ad_tape *t = x[0].tape;
    ad_var a = ad_sin(x[0]);
    ad_scope_push(t, "layer 2");
    /* clang-format off */
    o->site = AD_SITE_; ad_var y = ad_call(t, o->operation, &o->factor, 1, &x[0], 0, NULL);
    /* clang-format on */
    ad_scope_pop(t);
    return ad_add(ad_mul(a, y), ad_exp(x[0]));
}

static ad_var own_and_kink(const ad_var *x, void *user)
{
    return ad_add(with_own(x, user), ad_relu(x[1]));
}

static void a_user_operation_that_is_right_passes(void **state)
{
    (void)state;
    const double x = 1.5;
    own right = {&half_square, 1, NULL};
    ad_check_report r;
    expect_status(
        &r, ad_gradcheck(with_own, &right, 1, &x, &(ad_check_options){.second_order = true}, &r),
        AD_OK);
}

static void a_user_operation_with_a_wrong_adjoint_is_blamed_with_name_and_site(void **state)
{
    (void)state;
    const double x = 1.5, factors[] = {-1, 0, 2, 1.0001};
    for (int k = 0; k < 4; k++) {
        own wrong = {&half_square, factors[k], NULL};
        ad_check_report r;
        expect_status(&r, ad_gradcheck(with_own, &wrong, 1, &x, NULL, &r), AD_MISMATCH);
        assert_string_equal(r.operation, "half square");
        assert_int_equal(r.argument, 0);
        assert_int_equal(r.input, 0);
        assert_true(r.node >= 0);
        assert_string_equal(r.scope, "layer 2");
        assert_string_equal(r.site, wrong.site ? wrong.site : "");
        expect_number("at", r.at[0], 1.5, 0);
        expect_number("got / want", r.got / r.want, factors[k], 1e-9);
        expect_text(&r, "half square");
        expect_text(&r, "layer 2");
        expect_text(&r, wrong.site ? wrong.site : "");
        expect_text(&r, "duals");
    }
}

static void a_kink_elsewhere_excuses_no_wrong_rule(void **state)
{
    (void)state;
    const double x[2] = {1.5, 0};
    own wrong = {&half_square, -1, NULL};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(own_and_kink, &wrong, 2, x, NULL, &r), AD_MISMATCH);
    assert_string_equal(r.operation, "half square");
    assert_int_equal(r.kinks, 1);
}

/* Adjoint and tangent agree, the value is another: only differences can tell. */
static bool third_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    y->data[0] = a->data[0] * a->data[0] / 3;
    return true;
}

static const ad_operation third_square = {"third square", third_value, half_adjoint, half_tangent,
                                          NULL};

static void a_rule_that_reverse_and_duals_share_is_told_by_differences(void **state)
{
    (void)state;
    const double x = 1.5;
    own wrong = {&third_square, 1, NULL};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(with_own, &wrong, 1, &x, NULL, &r), AD_MISMATCH);
    expect_text(&r, "differences");
    assert_true(r.worst_ulps < 64);
    expect_status(
        &r, ad_gradcheck(with_own, &wrong, 1, &x, &(ad_check_options){.no_differences = true}, &r),
        AD_OK);
}

/* ---- options ---- */

static void a_wrong_recorded_rule_is_caught_by_second_order_only(void **state)
{
    (void)state;
    const double x = 1.5;
    own wrong = {&half_wrong, 1, NULL};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(with_own, &wrong, 1, &x, NULL, &r), AD_OK);
    expect_status(
        &r, ad_gradcheck(with_own, &wrong, 1, &x, &(ad_check_options){.second_order = true}, &r),
        AD_MISMATCH);
    expect_text(&r, "second order");
}

static void second_order_without_a_recorded_rule_is_an_error(void **state)
{
    (void)state;
    const double x = 1.5;
    own unrecorded = {&half_unrecorded, 1, NULL};
    ad_check_report r;
    expect_status(
        &r,
        ad_gradcheck(with_own, &unrecorded, 1, &x, &(ad_check_options){.second_order = true}, &r),
        AD_NOT_RECORDED);
    expect_text(&r, "AD_NOT_RECORDED");
}

static void second_order_passes_on_right_functions(void **state)
{
    (void)state;
    const ad_check_options options = {.second_order = true, .seed = SEED};
    const double x[6] = {.3, -1.2, .8, 1.1, -.4, 2};
    int n = 6;
    ad_check_report r;
    expect_status(&r, ad_gradcheck(rosenbrock, &n, n, x, &options, &r), AD_OK);
    expect_text(&r, "second order");
    expect_status(&r, ad_gradcheck(lecture, NULL, 2, x, &options, &r), AD_OK);
}

/* with ones as cotangents the error of this one cancels: rows of a softmax sum to a constant */
static bool pair_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    y->data[0] = a->data[0] * a->data[1];
    y->data[1] = -y->data[0];
    return true;
}

static bool pair_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *dy, ad_array *da)
{
    (void)user, (void)n, (void)y;
    da->data[0] += a->data[1] * (dy->data[0] - dy->data[1]);
    da->data[1] += 3 * a->data[0] * (dy->data[0] - dy->data[1]); /* wrong */
    return true;
}

static bool pair_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *da, ad_array *dy)
{
    (void)user, (void)n, (void)y;
    dy->data[0] = a->data[1] * da->data[0] + a->data[0] * da->data[1];
    dy->data[1] = -dy->data[0];
    return true;
}

static const ad_operation pair = {"pair", pair_value, pair_adjoint, pair_tangent, NULL};

static ad_var paired(const ad_var *x, void *user)
{
    (void)user;
    return ad_call(x[0].tape, &pair, NULL, 1, x, 1, (int64_t[]){2});
}

static void random_seeds_see_what_ones_cancel(void **state)
{
    (void)state;
    ad_check_report r, again;
    ad_tensor *x = ad_tensor_from(NULL, AD_F64, 1, (int64_t[]){2}, (double[]){2, 3});
    expect_status(&r, ad_gradcheck_tensors(paired, NULL, 1, &x, NULL, &r), AD_OK);
    const ad_check_options options = {.random_seeds = true, .seed = SEED};
    expect_status(&r, ad_gradcheck_tensors(paired, NULL, 1, &x, &options, &r), AD_MISMATCH);
    assert_string_equal(r.operation, "pair");
    assert_int_equal(r.element, 1);
    expect_status(&again, ad_gradcheck_tensors(paired, NULL, 1, &x, &options, &again), AD_MISMATCH);
    assert_string_equal(r.text, again.text); /* the same seed, the same check */
    ad_tensor_free(x);
}

static void slack_multiplies_what_rounding_may_do(void **state)
{
    (void)state;
    const double x = 1.5;
    own wrong = {&half_square, 1 + 1e-12, NULL};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(with_own, &wrong, 1, &x, NULL, &r), AD_MISMATCH);
    expect_status(&r, ad_gradcheck(with_own, &wrong, 1, &x, &(ad_check_options){.slack = 1e6}, &r),
                  AD_OK);
}

/* ---- partials that vanish ---- */

static ad_var one_row(const ad_var *x, void *user)
{
    ad_var a[3];
    const double *fixed = user; /* row, argument that moves, arguments */
    const int op = (int)fixed[0], moving = (int)fixed[1];
    for (int k = 0; k < 3; k++)
        a[k] = k == moving ? x[0] : ad_constant(fixed[2 + k]);
    return ad_apply(op, ad_op_at(op)->arity, a);
}

static double row_partial(double *row, double x)
{
    double g = NAN;
    assert_int_equal(ad_gradient(one_row, row, 1, &x, &g), AD_OK);
    return g;
}

/* Where terms of a partial cancel, rounding is all that is left: no reason to refuse a right rule.
 */
static void right_rows_pass_where_their_partials_vanish(void **state)
{
    (void)state;
    int roots = 0, refused = 0;
    for (int op = 0; op < ad_op_count() && ad_op_at(op)->elementwise; op++)
        for (int k = 0; k < ad_op_at(op)->arity; k++) {
            const ad_op_info *o = ad_op_at(op);
            double row[5] = {op, k, 0, 0, 0};
            for (int i = 0; i < 3; i++)
                row[2 + i] = o->low[i] + .618 * (o->high[i] - o->low[i]);
            const int cuts = 64;
            for (int i = 0; i < cuts; i++) {
                double lo = o->low[k] + (o->high[k] - o->low[k]) * i / cuts;
                double hi = o->low[k] + (o->high[k] - o->low[k]) * (i + 1) / cuts;
                double at_lo = row_partial(row, lo), at_hi = row_partial(row, hi);
                if (!(at_lo * at_hi < 0))
                    continue;
                for (int j = 0; j < 60; j++) {
                    double mid = lo + (hi - lo) / 2, at_mid = row_partial(row, mid);
                    *(at_lo * at_mid <= 0 ? &hi : &lo) = mid;
                }
                roots++;
                for (int j = -4; j <= 4; j++) { /* at the root, and near */
                    double x = lo + j * .0007 * (1 + fabs(lo));
                    ad_check_report r;
                    if (ad_gradcheck(one_row, row, 1, &x, NULL, &r) && ++refused <= 12)
                        print_error(
                            "%s, argument %d, at %.17g: got %.17g, want %.17g, seed %d\n%s\n",
                            o->name, k, x, r.got, r.want, (int)SEED, r.text);
                }
            }
        }
    assert_true(roots > 5);
    assert_int_equal(refused, 0);
}

/* ---- points outside the domain ---- */

static ad_var logarithm(const ad_var *x, void *user)
{
    (void)user;
    return ad_log(x[0]);
}

static void non_finite_points_and_results_neither_crash_nor_pass_for_wrong(void **state)
{
    (void)state;
    const double points[] = {0, -1, 1e-4, INFINITY, -INFINITY, NAN, DBL_MAX, DBL_TRUE_MIN};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int k = 0; k < 2; k++) {
            const ad_check_options options = {.second_order = k};
            double x[2] = {points[i], .5};
            ad_check_report r;
            ad_status s = ad_gradcheck(logarithm, NULL, 1, x, &options, &r);
            if (s)
                fail_msg("log at %g: %s\n%s", points[i], ad_status_name(s), r.text);
            s = ad_gradcheck(lecture, NULL, 2, x, &options, &r);
            if (s)
                fail_msg("the lecture's function at %g: %s\n%s", points[i], ad_status_name(s),
                         r.text);
        }
}

static ad_var pole(const ad_var *x, void *user)
{
    (void)user;
    return ad_add(ad_recip(x[0]), ad_log(ad_square(x[0])));
}

/* steps of differences reach over it */
static void a_pole_nearby_is_no_error(void **state)
{
    (void)state;
    const double points[] = {1e-4, -1e-4, 7e-4, 2e-3, 1e-6};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int k = 0; k < 2; k++) {
            ad_check_report r;
            expect_status(
                &r,
                ad_gradcheck(pole, NULL, 1, &points[i], &(ad_check_options){.second_order = k}, &r),
                AD_OK);
            expect_status(&r,
                          ad_gradcheck(logarithm, NULL, 1, (double[]){fabs(points[i])},
                                       &(ad_check_options){.second_order = k}, &r),
                          AD_OK);
        }
}

static ad_var far_relu(const ad_var *x, void *user)
{
    (void)user;
    return ad_relu(ad_sub(x[0], 100));
}

/* steps grow with the argument, and reach over kinks that are not near */
static void a_kink_within_a_long_step_is_no_error(void **state)
{
    (void)state;
    for (int i = -60; i <= 60; i++) {
        double x = 100 + .004 * i;
        ad_check_report r;
        expect_status(&r, ad_gradcheck(far_relu, NULL, 1, &x, NULL, &r), AD_OK);
    }
}

/* ---- errors ---- */

static ad_var erring(const ad_var *x, void *user)
{
    (void)user;
    return ad_sum(ad_matmul(x[0], x[1]));
}
static ad_var nothing(const ad_var *x, void *user)
{
    (void)x, (void)user;
    return (ad_var){0};
}

static ad_var foreign(const ad_var *x, void *user)
{
    (void)x;
    return *(const ad_var *)user;
}

static void errors_in_the_function_are_reported(void **state)
{
    (void)state;
    ad_check_report r;
    ad_tensor *x[2] = {tensor_of(AD_F64, 2, (int64_t[]){3, 4}, 0),
                       tensor_of(AD_F64, 2, (int64_t[]){5, 2}, 0)};
    expect_status(&r, ad_gradcheck_tensors(erring, NULL, 2, x, NULL, &r), AD_BAD_SHAPE);
    expect_text(&r, "AD_BAD_SHAPE");
    expect_text(&r, "matmul: (3,4) x (5,2)");
    expect_status(&r, ad_gradcheck_tensors(nothing, NULL, 2, x, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck(nothing, NULL, 1, (double[]){1}, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck(nothing, NULL, 0, NULL, NULL, &r), AD_NULL);
    for (int k = 0; k < 2; k++)
        ad_tensor_free(x[k]);
}

static void a_result_of_another_tape_is_an_error(void **state)
{
    (void)state;
    ad_check_report r;
    ad_tape *t = ad_tape_new(NULL);
    ad_var other = ad_sin(ad_input(t, 1));
    ad_status s = ad_gradcheck(foreign, &other, 1, (double[]){1}, NULL, &r);
    if (s != AD_FOREIGN || r.passed)
        fail_msg("got %s\n%s", ad_status_name(s), r.text);
    assert_int_equal(ad_tape_status(t), AD_OK);
    ad_tape_free(t);
}

static bool failing_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                            const ad_array *dy, ad_array *da)
{
    (void)user, (void)n, (void)a, (void)y, (void)dy, (void)da;
    return false;
}

static const ad_operation failing = {"failing", half_value, failing_adjoint, half_tangent, NULL};
static const ad_operation without_tangent = {"without tangent", half_value, half_adjoint, NULL,
                                             NULL};

static void sweeps_that_fail_are_reported(void **state)
{
    (void)state;
    const double x = 1.5;
    own f = {&failing, 1, NULL}, w = {&without_tangent, 1, NULL};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(with_own, &f, 1, &x, NULL, &r), AD_BAD_ARGUMENT);
    expect_text(&r, "failing");
    expect_status(&r, ad_gradcheck(with_own, &w, 1, &x, NULL, &r), AD_NOT_RECORDED);
    expect_text(&r, "tangent");
}

static void null_and_unfit_arguments_are_errors(void **state)
{
    (void)state;
    const double x[2] = {2, 5};
    ad_check_report r;
    ad_tensor *whole = ad_tensor_new(NULL, AD_I32, 1, (int64_t[]){2}), *none = NULL;
    expect_status(&r, ad_gradcheck(NULL, NULL, 2, x, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck(lecture, NULL, 2, NULL, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_against(lecture, NULL, 2, x, NULL, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_against(NULL, NULL, 2, x, x, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_tensors(NULL, NULL, 1, &whole, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_tensors(first, NULL, 1, NULL, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_tensors(first, NULL, 1, &none, NULL, &r), AD_NULL);
    expect_status(&r, ad_gradcheck_tensors(first, NULL, 1, &whole, NULL, &r), AD_BAD_DTYPE);
    assert_int_not_equal(ad_gradcheck(lecture, NULL, -1, x, NULL, &r), AD_OK);
    assert_false(r.passed);
    assert_true(*r.text);
    ad_tensor_free(whole);
}

static void the_report_may_be_null(void **state)
{
    (void)state;
    const double x[2] = {2, 5}, g[2] = {0, 0};
    assert_int_equal(ad_gradcheck(lecture, NULL, 2, x, NULL, NULL), AD_OK);
    assert_int_equal(ad_gradcheck_against(lecture, NULL, 2, x, g, NULL, NULL), AD_MISMATCH);
    assert_int_equal(ad_gradcheck(NULL, NULL, 2, x, NULL, NULL), AD_NULL);
}

/* ---- the text ---- */

static ad_var many_kinks(const ad_var *x, void *user)
{
    (void)user;
    ad_var sum = ad_constant(0);
    for (int i = 0; i < 40; i++)
        sum = ad_add(sum, ad_abs(x[0]));
    return sum;
}

static void the_text_tells_a_pass_in_numbers(void **state)
{
    (void)state;
    const double x[2] = {2, 5};
    ad_check_report r;
    expect_status(&r, ad_gradcheck(lecture, NULL, 2, x, NULL, &r), AD_OK);
    expect_text(&r, "gradient check: passed\n");
    expect_text(&r, "2 elements");
    expect_text(&r, "duals");
    expect_text(&r, "differences");
    expect_status(
        &r, ad_gradcheck(lecture, NULL, 2, x, &(ad_check_options){.no_differences = true}, &r),
        AD_OK);
    assert_null(strstr(r.text, "differences"));
}

static void many_kinks_are_counted_and_do_not_overflow_the_text(void **state)
{
    (void)state;
    const double zero = 0;
    ad_check_report r;
    expect_status(&r, ad_gradcheck(many_kinks, NULL, 1, &zero, NULL, &r), AD_OK);
    assert_int_equal(r.kinks, 40);
    expect_text(&r, "40 operations");
    assert_true(strlen(r.text) < sizeof r.text);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(functions_of_scalars_pass),
        cmocka_unit_test(functions_of_tensors_pass_in_double_and_in_float),
        cmocka_unit_test(tensors_may_be_views_of_rank_0_and_empty),
        cmocka_unit_test(the_point_is_left_as_it_was),
        cmocka_unit_test(constants_inputs_and_unused_inputs_pass),
        cmocka_unit_test(a_stopped_gradient_is_told_by_differences),
        cmocka_unit_test(a_right_gradient_by_hand_passes),
        cmocka_unit_test(a_wrong_element_of_a_gradient_by_hand_is_named),
        cmocka_unit_test(a_wrong_sign_in_a_gradient_by_hand_is_called_that),
        cmocka_unit_test(a_nan_or_infinity_in_a_gradient_by_hand_is_wrong),
        cmocka_unit_test(a_small_error_in_a_gradient_by_hand_is_seen),
        cmocka_unit_test(a_kink_that_is_met_is_a_kink_and_no_error),
        cmocka_unit_test(a_kink_nearly_met_is_a_kink_and_no_error),
        cmocka_unit_test(a_kink_far_away_is_none),
        cmocka_unit_test(kinks_in_tensors_are_found_too),
        cmocka_unit_test(a_user_operation_that_is_right_passes),
        cmocka_unit_test(a_user_operation_with_a_wrong_adjoint_is_blamed_with_name_and_site),
        cmocka_unit_test(a_kink_elsewhere_excuses_no_wrong_rule),
        cmocka_unit_test(a_rule_that_reverse_and_duals_share_is_told_by_differences),
        cmocka_unit_test(a_wrong_recorded_rule_is_caught_by_second_order_only),
        cmocka_unit_test(second_order_without_a_recorded_rule_is_an_error),
        cmocka_unit_test(second_order_passes_on_right_functions),
        cmocka_unit_test(random_seeds_see_what_ones_cancel),
        cmocka_unit_test(slack_multiplies_what_rounding_may_do),
        cmocka_unit_test(right_rows_pass_where_their_partials_vanish),
        cmocka_unit_test(non_finite_points_and_results_neither_crash_nor_pass_for_wrong),
        cmocka_unit_test(a_pole_nearby_is_no_error),
        cmocka_unit_test(a_kink_within_a_long_step_is_no_error),
        cmocka_unit_test(errors_in_the_function_are_reported),
        cmocka_unit_test(a_result_of_another_tape_is_an_error),
        cmocka_unit_test(sweeps_that_fail_are_reported),
        cmocka_unit_test(null_and_unfit_arguments_are_errors),
        cmocka_unit_test(the_report_may_be_null),
        cmocka_unit_test(the_text_tells_a_pass_in_numbers),
        cmocka_unit_test(many_kinks_are_counted_and_do_not_overflow_the_text),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
