/* mutation_ops.c - breaks every rule on purpose: the gradient check must notice, and say which and
 * where
 *
 * Linked with the library built with AD_MUTATION. A check that was never seen to fail proves
 * nothing, so each row and each argument to which something flows gets a wrong sign, a dropped
 * term, and its operands swapped (where that makes a difference), in scalars and in tensors of both
 * dtypes; every structured operation gets a wrong sign. The cases count what they broke and what
 * was caught. */
#include "algebra.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEED = 20240608 };

/* ---- complaints: a case tells all that is wrong with it, then fails ---- */

static int complaints;

static int begin(void **state)
{
    (void)state;
    complaints = 0;
    ad_mutation = (mutation){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    ad_mutation = (mutation){0};
    return 0;
}

static const char *const kinds[] = {"nothing", "sign", "drop", "swap"};

static void complain(const char *why, const char *name, int argument, const double x[3],
                     const ad_check_report *r)
{
    if (++complaints <= 12)
        print_error("%s, argument %d, %s at (%.17g, %.17g, %.17g), seed %d: %s\n%s\n", name,
                    argument, kinds[ad_mutation.block ? MUTATE_SIGN : ad_mutation.kind], x[0], x[1],
                    x[2], (int)SEED, why, r->text);
}

/* ---- points ---- */

static uint64_t draw_bits(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static double draw_uniform(uint64_t *state, double lo, double hi)
{
    return lo + (hi - lo) * ((double)(draw_bits(state) >> 11) / 9007199254740992.0);
}

/* the partial with respect to argument k, as the library computes it now, mutated or not */
static double partial(int op, int k, const double x[3])
{
    double d[3];
    elementwise_ops[op].partials(1, x, elementwise_ops[op].value(x), d);
    return d[k];
}

/* A point of the row's intervals, clear of kinks, at which something flows to argument k (or any: k
 * < 0). */
static void draw_point(uint64_t *state, int op, int k, double clear, double x[3])
{
    const ad_op_info *o = ad_op_at(op);
    for (int tries = 0; tries < 10000; tries++) {
        for (int i = 0; i < 3; i++) {
            bool border = draw_bits(state) % 8 == 0; /* a mask must also be seen at 0 */
            x[i] = border ? o->low[i] : draw_uniform(state, o->low[i], o->high[i]);
        }
        if (elementwise_ops[op].kink(x) >= clear && (k < 0 || fabs(partial(op, k, x)) > .05))
            return;
    }
    fail_msg("%s: no point of its intervals has a partial %d", o->name, k);
}

/* ---- a function around the row ---- */

typedef struct subject {
    int op, n;
    bool input[3]; /* is argument k an input, or a constant */
    double x[3];
    const char *site; /* where the row was applied, told by the function */
} subject;

static subject subject_of(int op)
{
    subject s = {.op = op, .n = ad_op_at(op)->arity};
    const bool *flows = elementwise_ops[op].flows;
    for (int k = 0; k < s.n; k++) /* an argument without derivative may jump: it is held */
        s.input[k] = flows[k] || !(flows[0] || flows[1] || flows[2]);
    return s;
}

/* The row comes first of all rows, so that a broken one is first where it was applied; what comes
 * after has a derivative between 1.5 and 2.5. */
static ad_var around(subject *s, const ad_var *arguments)
{
    ad_var y = ad_sited_(ad_apply(s->op, s->n, arguments), s->site = AD_SITE_);
    return ad_add(ad_mul(y, 1.5), ad_atan(y));
}

static ad_var scalar_function(const ad_var *x, void *user)
{
    subject *s = user;
    ad_var a[3];
    int inputs = s->input[0] + s->input[1] + s->input[2];
    ad_var packed = ad_stack(inputs, x, 0); /* arguments are computed, but not by rows */
    for (int k = 0, i = 0; k < s->n; k++)
        a[k] = s->input[k] ? ad_at(packed, (int64_t[]){i++}) : ad_constant(s->x[k]);
    return around(s, a);
}

static ad_var tensor_function(const ad_var *x, void *user)
{
    subject *s = user;
    ad_var a[3];
    for (int k = 0, i = 0; k < s->n; k++)
        a[k] = s->input[k] ? ad_flip(x[i++], 0) : ad_constant(s->x[k]);
    return around(s, a);
}

static ad_status check_scalars(subject *s, ad_check_report *r)
{
    double x[3];
    int n = 0;
    for (int k = 0; k < s->n; k++)
        if (s->input[k])
            x[n++] = s->x[k];
    return ad_gradcheck(scalar_function, s, n, x, NULL, r);
}

/* Tensors that broadcast, their elements about the point: (2,3), (3) and (2,1). */
static ad_status check_tensors(subject *s, ad_dtype dtype, ad_check_report *r)
{
    static const int64_t shapes[3][2] = {{2, 3}, {3, 0}, {2, 1}};
    static const int ranks[3] = {2, 1, 2};
    const ad_op_info *o = ad_op_at(s->op);
    const ad_check_options options = {.random_seeds = true, .seed = SEED};
    ad_tensor *x[3] = {NULL};
    int n = 0;
    for (int k = 0; k < s->n; k++) {
        double values[6];
        for (int e = 0; e < 6; e++)
            values[e] = fmin(o->high[k], fmax(o->low[k], s->x[k] * (1 + .004 * (e - 2))));
        if (!s->input[k])
            continue;
        x[n] = ad_tensor_new(NULL, dtype, ranks[k], shapes[k]);
        assert_int_equal(ad_tensor_write(x[n++], values), AD_OK);
    }
    ad_status status = ad_gradcheck_tensors(tensor_function, s, n, x, &options, r);
    while (n > 0)
        ad_tensor_free(x[--n]);
    return status;
}

typedef enum form { SCALARS, DOUBLES, FLOATS } form;

static ad_status check(subject *s, form how, ad_check_report *r)
{
    return how == SCALARS ? check_scalars(s, r)
                          : check_tensors(s, how == DOUBLES ? AD_F64 : AD_F32, r);
}

/* float differences take long steps: kinks must be further away */
static double clearance(form how) { return how == FLOATS ? .25 : .05; }

static void every_row_passes(form how)
{
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        uint64_t state = SEED + (uint64_t)op;
        for (int i = 0; i < 8; i++) {
            ad_check_report r;
            subject s = subject_of(op);
            draw_point(&state, op, -1, clearance(how), s.x);
            if (check(&s, how, &r) || !r.passed || r.status)
                complain("a right rule was refused", ad_op_at(op)->name, -1, s.x, &r);
        }
    }
    if (complaints)
        fail_msg("%d complaints", complaints);
}

/* is the mutation that is set one that changes anything at x? */
static bool changes(int op, int k, const double x[3])
{
    const mutation kept = ad_mutation;
    double got = partial(op, k, x);
    ad_mutation = (mutation){0};
    double want = partial(op, k, x);
    ad_mutation = kept;
    return !(fabs(got - want) <= 1e-6 * fabs(want));
}

/* breaks argument k of the row; true: the check noticed and named all rightly */
static bool caught(subject *s, int k, form how)
{
    ad_check_report r;
    const char *name = ad_op_at(s->op)->name, *why = NULL;
    ad_status status = check(s, how, &r);
    if (status != AD_MISMATCH || r.status != AD_MISMATCH || r.passed)
        why = "a wrong rule was not noticed";
    else if (strcmp(r.operation, name))
        why = "the wrong operation was named";
    else if (r.argument != k)
        why = "the wrong argument was named";
    else if (strcmp(r.site, s->site ? s->site : ""))
        why = "the wrong place was named";
    else if (!strstr(r.text, name) || (s->site && !strstr(r.text, s->site)))
        why = "the text does not say it";
    else if (isfinite(r.got) && fabs(r.got - r.want) <= 1e-7 * fabs(r.want))
        why = "got and want are one number";
    if (why)
        complain(why, name, k, s->x, &r);
    return !why;
}

static void every_mutation_is_caught(form how)
{
    int made = 0, noticed = 0, flows = 0, swaps = 0;
    for (int op = 0; op < AD_OP_COUNT_; op++)
        for (int k = 0; k < ad_op_at(op)->arity; k++) {
            uint64_t state = SEED + (uint64_t)op * 3 + (uint64_t)k;
            subject s = subject_of(op);
            if (!elementwise_ops[op].flows[k])
                continue;
            flows++;
            for (int kind = MUTATE_SIGN; kind <= MUTATE_SWAP; kind++) {
                int tries = 0;
                do { /* swapped operands may make no difference here, but elsewhere */
                    ad_mutation.kind = MUTATE_NOTHING;
                    draw_point(&state, op, k, clearance(how), s.x);
                    ad_mutation = (mutation){op, k, kind, NULL};
                } while (!changes(op, k, s.x) && kind == MUTATE_SWAP && ++tries < 20);
                if (tries < 20) {
                    made++;
                    swaps += kind == MUTATE_SWAP;
                    noticed += caught(&s, k, how);
                }
                ad_mutation = (mutation){0};
            }
        }
    print_message("# %d mutations of %d rules: %d caught\n", made, flows, noticed);
    assert_int_equal(made, 2 * flows + swaps);
    assert_int_equal(noticed, made);
    assert_true(flows >= AD_OP_COUNT_ && swaps > flows / 2);
    assert_int_equal(complaints, 0);
}

static void every_row_passes_in_scalars_as_it_is(void **state)
{
    (void)state;
    every_row_passes(SCALARS);
}
static void every_row_passes_in_doubles_as_it_is(void **state)
{
    (void)state;
    every_row_passes(DOUBLES);
}
static void every_row_passes_in_floats_as_it_is(void **state)
{
    (void)state;
    every_row_passes(FLOATS);
}

static void every_mutated_rule_is_caught_and_named_in_scalars(void **state)
{
    (void)state;
    every_mutation_is_caught(SCALARS);
}

static void every_mutated_rule_is_caught_and_named_in_doubles(void **state)
{
    (void)state;
    every_mutation_is_caught(DOUBLES);
}

static void every_mutated_rule_is_caught_and_named_in_floats(void **state)
{
    (void)state;
    every_mutation_is_caught(FLOATS);
}

/* ---- structured operations ---- */

/* Inputs: (3,4), (4,3), (4) and (4). A function uses one structured operation, and tells where. */
static ad_var indices(const ad_var *x, int rank, const int64_t *shape, const int32_t *i)
{
    return ad_constant_array(x[0].tape, AD_I32, rank, shape, i);
}

static bool cube_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        y->data[i] = a->data[i] * a->data[i] * a->data[i];
    return true;
}

static bool cube_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *dy, ad_array *da)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        da->data[i] += 3 * a->data[i] * a->data[i] * dy->data[i];
    return true;
}

static bool cube_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *da, ad_array *dy)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        dy->data[i] = 3 * a->data[i] * a->data[i] * da->data[i];
    return true;
}

static const ad_operation cube = {"cube", cube_value, cube_adjoint, cube_tangent, NULL};

#define USE(name, ...)                                                                             \
    static ad_var use_##name(const ad_var *x, void *site)                                          \
    {                                                                                              \
        *(const char **)site = AD_SITE_;                                                           \
        return __VA_ARGS__;                                                                        \
    }
/* three elements, as scalars */
#define PARTS(k)                                                                                   \
    ((ad_var[]){ad_at(x[k], (int64_t[]){0}), ad_at(x[k], (int64_t[]){1}),                          \
                ad_at(x[k], (int64_t[]){2})})
/* clang-format off */
USE(matmul, ad_matmul(x[0], x[1]))
USE(dot, ad_dot(x[2], x[3]))
USE(dot_n, ad_dot_n(3, PARTS(2), PARTS(3)))
USE(affine_n, ad_affine_n(3, (double[]){.5, -1, 2}, PARTS(2), .5))
USE(sum_n, ad_sum_n(3, PARTS(2)))
USE(norm_n, ad_norm_n(3, PARTS(2)))
USE(polynomial_n, ad_polynomial_n(3, PARTS(2), ad_at(x[3], (int64_t[]){0})))
USE(horner_n, ad_horner_n(3, (double[]){.5, -1, 2}, ad_at(x[3], (int64_t[]){0})))
USE(outer, ad_outer(x[2], x[3]))
USE(sum, ad_sum(x[0]))
USE(sum_rows, ad_sum_axes(x[0], 1, (int[]){1}, false))
USE(mean, ad_mean(x[0]))
USE(prod, ad_prod(x[0]))
USE(amax, ad_amax(x[0]))
USE(amin, ad_amin_axes(x[0], 1, (int[]){0}, true))
USE(norm, ad_norm(x[0]))
USE(logsumexp, ad_logsumexp(x[0]))
USE(var_of, ad_var_of(x[0], 1))
USE(std, ad_std(x[0], 1))
USE(cumsum, ad_cumsum(x[0], 1))
USE(cumprod, ad_cumprod(x[0], 0))
USE(reshape, ad_reshape(x[0], 2, (int64_t[]){2, 6}))
USE(permute, ad_permute(x[0], (int[]){1, 0}))
USE(expand, ad_expand(x[2], 2, (int64_t[]){3, 4}))
USE(slice, ad_slice(x[0], 1, 0, 4, 2))
USE(concat, ad_concat(2, x + 2, 0))
USE(stack, ad_stack(2, x + 2, 0))
USE(pad, ad_pad(x[0], (int64_t[]){1, 0}, (int64_t[]){0, 2}, .5))
USE(tril, ad_tril(x[0], 0))
USE(triu, ad_triu(x[0], 1))
USE(diag, ad_diag(x[0]))
USE(at, ad_at(x[0], (int64_t[]){1, 2}))
USE(windows, ad_windows(x[0], 2, (int64_t[]){2, 2}, NULL, (int64_t[]){1, 2}))
USE(take, ad_take(x[0], 0, indices(x, 1, (int64_t[]){4}, (int32_t[]){2, 0, 2, 1})))
USE(gather, ad_gather(x[0], 0, indices(x, 2, (int64_t[]){1, 4}, (int32_t[]){2, 0, 2, 1})))
USE(scatter_add, ad_scatter_add(x[2], 0, indices(x, 1, (int64_t[]){4}, (int32_t[]){3, 0, 3, 1}), x[3]))
USE(cast, ad_cast(x[0], ad_dtype_of(x[0]) == AD_F64 ? AD_F32 : AD_F64))
USE(softmax, ad_softmax(x[0], 1))
USE(log_softmax, ad_log_softmax(x[0], 0))
USE(softmax_cross_entropy, ad_softmax_cross_entropy(x[0], indices(x, 1, (int64_t[]){3}, (int32_t[]){3, 0, 1})))
USE(unslice, ad_grad_of(ad_sum(ad_square(ad_slice(x[0], 1, 0, 4, 2))), x[0]))
USE(unwindows, ad_grad_of(ad_sum(ad_square(ad_windows(x[0], 1, (int64_t[]){3}, NULL, NULL))), x[0]))
USE(unat, ad_grad_of(ad_square(ad_at(x[0], (int64_t[]){1, 2})), x[0]))
USE(untake, ad_grad_of(ad_sum(ad_square(ad_take(x[0], 0, indices(x, 1, (int64_t[]){4}, (int32_t[]){2, 0, 2, 1})))), x[0]))
USE(ungather, ad_grad_of(ad_sum(ad_square(ad_gather(x[0], 0, indices(x, 2, (int64_t[]){1, 4}, (int32_t[]){2, 0, 2, 1})))), x[0]))
USE(call, ad_call(x[0].tape, &cube, NULL, 1, x, 2, (int64_t[]){3, 4}))
/* clang-format on */
#undef USE
#undef PARTS

static const struct {
    const char *name;
    ad_function use;
} blocks[] = {
    {"matmul", use_matmul},
    {"dot", use_dot},
    {"dot_n", use_dot_n},
    {"affine_n", use_affine_n},
    {"sum_n", use_sum_n},
    {"norm_n", use_norm_n},
    {"polynomial_n", use_polynomial_n},
    {"horner_n", use_horner_n},
    {"outer", use_outer},
    {"sum", use_sum},
    {"sum", use_sum_rows},
    {"mean", use_mean},
    {"prod", use_prod},
    {"amax", use_amax},
    {"amin", use_amin},
    {"norm", use_norm},
    {"logsumexp", use_logsumexp},
    {"var_of", use_var_of},
    {"std", use_std},
    {"cumsum", use_cumsum},
    {"cumprod", use_cumprod},
    {"reshape", use_reshape},
    {"permute", use_permute},
    {"expand", use_expand},
    {"slice", use_slice},
    {"concat", use_concat},
    {"stack", use_stack},
    {"pad", use_pad},
    {"tril", use_tril},
    {"triu", use_triu},
    {"diag", use_diag},
    {"at", use_at},
    {"windows", use_windows},
    {"take", use_take},
    {"gather", use_gather},
    {"scatter_add", use_scatter_add},
    {"cast", use_cast},
    {"softmax", use_softmax},
    {"log_softmax", use_log_softmax},
    {"softmax_cross_entropy", use_softmax_cross_entropy},
    {"unslice", use_unslice},
    {"unwindows", use_unwindows},
    {"unat", use_unat},
    {"untake", use_untake},
    {"ungather", use_ungather},
    {"call", use_call},
};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

/* those through which nothing flows */
static const char *const stops[] = {
    "argmax",        "argmin",           "stop_gradient",     "random_uniform",
    "random_normal", "random_bernoulli", "random_permutation"};

static bool is_tried(const char *name)
{
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (!strcmp(stops[i], name))
            return true;
    for (int i = 0; i < BLOCKS; i++)
        if (!strcmp(blocks[i].name, name))
            return true;
    return false;
}

static void no_structured_operation_is_forgotten(void **state)
{
    (void)state;
    for (int op = AD_OP_COUNT_; op < ad_op_count(); op++)
        if (!is_tried(ad_op_at(op)->name))
            fail_msg("%s is not tried here", ad_op_at(op)->name);
}

static ad_status check_block(int i, ad_dtype dtype, const char **site, ad_check_report *r)
{
    static const int64_t shapes[4][2] = {{3, 4}, {4, 3}, {4, 0}, {4, 0}};
    static const int ranks[4] = {2, 2, 1, 1};
    const ad_check_options options = {.random_seeds = true, .seed = SEED};
    uint64_t state = SEED + (uint64_t)i;
    ad_tensor *x[4];
    for (int k = 0; k < 4; k++) {
        double values[12], base = draw_uniform(&state, .6, .9);
        for (int e = 0; e < 12; e++) /* distinct by more than a step of differences, in no order */
            values[e] = base + .2 * (double)(e * 5 % 12) - (e % 2 ? 2.5 : 0);
        x[k] = ad_tensor_new(NULL, dtype, ranks[k], shapes[k]);
        assert_int_equal(ad_tensor_write(x[k], values), AD_OK);
    }
    ad_status s = ad_gradcheck_tensors(blocks[i].use, site, 4, x, &options, r);
    for (int k = 0; k < 4; k++)
        ad_tensor_free(x[k]);
    return s;
}

static void every_structured_operation_passes_as_it_is(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCKS; i++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            ad_check_report r;
            const char *site = "";
            if (check_block(i, dtype, &site, &r) || !r.passed)
                complain("a right rule was refused", blocks[i].name, (int)dtype, (double[3]){0},
                         &r);
        }
    assert_int_equal(complaints, 0);
}

static void every_structured_operation_with_a_wrong_sign_is_caught_and_named(void **state)
{
    (void)state;
    int noticed = 0;
    for (int i = 0; i < BLOCKS; i++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            ad_check_report r;
            const char *site = NULL, *why = NULL, *name = blocks[i].name;
            if (blocks[i].use == use_call)
                name = cube.name; /* the user's own */
            ad_mutation.block = name;
            ad_status s = check_block(i, dtype, &site, &r);
            if (s != AD_MISMATCH || r.passed)
                why = "a wrong rule was not noticed";
            else if (strcmp(r.operation, name))
                why = "the wrong operation was named";
            else if (strcmp(r.site, site ? site : ""))
                why = "the wrong place was named";
            if (why)
                complain(why, name, (int)dtype, (double[3]){0}, &r);
            noticed += !why;
            ad_mutation.block = NULL;
        }
    print_message("# %d structured operations with a wrong sign in 2 dtypes: %d caught\n",
                  (int)BLOCKS, noticed);
    assert_int_equal(noticed, 2 * BLOCKS);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest cases[] = {
        CASE(every_row_passes_in_scalars_as_it_is),
        CASE(every_row_passes_in_doubles_as_it_is),
        CASE(every_row_passes_in_floats_as_it_is),
        CASE(every_mutated_rule_is_caught_and_named_in_scalars),
        CASE(every_mutated_rule_is_caught_and_named_in_doubles),
        CASE(every_mutated_rule_is_caught_and_named_in_floats),
        CASE(no_structured_operation_is_forgotten),
        CASE(every_structured_operation_passes_as_it_is),
        CASE(every_structured_operation_with_a_wrong_sign_is_caught_and_named),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
