/* test_properties.c - what must hold for any program: hundreds of random ones, each from a seed
 *
 * A random program is expression code that is written by a seed: a pool of variables that begins
 * with the inputs, to which operations on its members are added - elementwise ones of the table,
 * each with its arguments brought into the interval of its row, views, reductions, products,
 * indexing. What is chosen depends on shapes alone, so that the same seed writes the same program
 * at any inputs. A failure prints the seed. */
#define AD_PLAIN
#include "compare.h"

#include "ad.h"

enum { PROGRAMS = 400, INPUTS = 4, ELEMENTS = 1 + 3 + 6 + 6, POOL = 40, LARGEST = 48 };

static const int input_rank[INPUTS] = {0, 1, 2, 3};
static const int64_t input_shape[INPUTS][3] = {{0}, {3}, {2, 3}, {2, 1, 3}};
static const int64_t input_size[INPUTS] = {1, 3, 6, 6};

/* ---- writing a program ---- */

typedef struct writer {
    uint64_t state;
    ad_var pool[POOL];
    int n;
} writer;

static int choose(writer *w, int n) { return random_below(&w->state, n); }

/* one of the pool, the later the likelier */
static ad_var pick(writer *w)
{
    int a = choose(w, w->n), b = choose(w, w->n);
    return w->pool[a > b ? a : b];
}

static ad_var within(ad_var a, double low, double high)
{
    if (low == high)
        return ad_constant(low);
    return ad_add(ad_constant(low), ad_mul(ad_constant(high - low), ad_sigmoid(a)));
}

static ad_var pick_bounded(writer *w) { return ad_tanh(pick(w)); }

/* a member that broadcasts with a, or the mean of one that does not */
static ad_var pick_beside(writer *w, ad_var a)
{
    ad_var b = pick(w);
    for (int i = 1; i <= ad_rank(a) && i <= ad_rank(b); i++) {
        int64_t m = ad_shape(a)[ad_rank(a) - i], n = ad_shape(b)[ad_rank(b) - i];
        if (m != n && m != 1 && n != 1)
            return ad_mean(b);
    }
    return b;
}

static ad_var write_elementwise(writer *w)
{
    const ad_op_info *op;
    int number;
    do
        op = ad_op_at(number = choose(w, ad_op_count()));
    while (!op->elementwise);
    ad_var a[3] = {pick(w)};
    for (int k = 1; k < op->arity; k++) {
        a[k] = pick_beside(w, a[0]);
        if (k == 2 && ad_rank(a[1]) &&
            ad_rank(a[2])) /* each fits the first, but they may not fit each other */
            a[2] = ad_mean(a[2]);
    }
    for (int k = 0; k < op->arity; k++)
        a[k] = within(a[k], op->low[k], op->high[k]);
    return ad_apply(number, op->arity, a);
}

static ad_var write_product(writer *w)
{
    ad_var a = pick_bounded(w);
    int rank = ad_rank(a);
    if (rank == 0)
        return ad_mul(a, pick(w));
    if (rank == 1)
        return choose(w, 2) ? ad_outer(a, ad_flip(a, 0)) : ad_dot(a, a);
    return choose(w, 2) ? ad_matmul(a, ad_transpose(a)) : ad_matmul(ad_transpose(a), a);
}

static ad_var write_reduction(writer *w)
{
    static ad_var (*const some[])(ad_var, int, const int *, bool) = {
        ad_sum_axes,  ad_mean_axes, ad_prod_axes,     ad_amax_axes,
        ad_amin_axes, ad_norm_axes, ad_logsumexp_axes};
    ad_var a = pick_bounded(w);
    int axes[4], n = 0, kind = choose(w, 9);
    bool keep = choose(w, 2);
    for (int i = 0; i < ad_rank(a); i++)
        if (choose(w, 2))
            axes[n++] = choose(w, 2) ? i : i - ad_rank(a);
    if (kind == 7)
        return ad_var_axes(a, n, axes, keep, 0);
    if (kind == 8) /* away from its kink at 0 */
        return ad_sqrt(ad_add(ad_constant(1), ad_var_axes(a, n, axes, keep, 0)));
    return some[kind](a, n, axes, keep);
}

static ad_var write_view(writer *w)
{
    ad_var a = pick(w);
    int rank = ad_rank(a), axis = rank ? choose(w, rank) : 0, axes[AD_MAX_RANK];
    int64_t shape[AD_MAX_RANK] = {-1}, size = rank ? ad_shape(a)[axis] : 1;
    if (rank == 0)
        return ad_expand(a, 2, (int64_t[]){2, 3});
    switch (choose(w, 7)) {
    case 0:
        return ad_reshape(a, 1, shape);
    case 1:
        for (int i = 0; i < rank; i++)
            axes[i] = (i + 1) % rank;
        return ad_permute(a, axes);
    case 2:
        return ad_flip(a, axis);
    case 3:
        return size > 1 ? ad_slice(a, axis, choose(w, 2), size, 1 + choose(w, 2)) : a;
    case 4:
        return ad_slice(a, axis, -1, -size - 1, -1 - choose(w, 2));
    case 5:
        shape[0] = 2;
        for (int i = 0; i < rank; i++)
            shape[i + 1] = ad_shape(a)[i];
        return rank < 4 ? ad_expand(a, rank + 1, shape) : a;
    default:
        return rank >= 2 ? ad_transpose(a) : ad_repeat(a, 0, 2);
    }
}

static ad_var write_join(writer *w)
{
    ad_var a = pick(w), parts[3] = {a, ad_neg(a), a};
    int rank = ad_rank(a);
    if (rank == 0 || choose(w, 2))
        return ad_stack(2 + choose(w, 2), parts, rank ? choose(w, rank) : 0);
    if (choose(w, 2))
        return ad_concat(2, parts, choose(w, rank));
    return ad_pad(a, (int64_t[]){1, 0, 0, 0, 0, 0, 0, 0}, (int64_t[]){0, 1, 0, 0, 0, 0, 0, 0}, .5);
}

static ad_var write_indexing(writer *w)
{
    ad_var a = pick(w);
    int rank = ad_rank(a);
    if (rank == 0)
        return ad_square(a);
    int axis = choose(w, rank);
    int32_t index[4];
    int64_t at[AD_MAX_RANK], shape[AD_MAX_RANK], size = ad_shape(a)[axis];
    for (int i = 0; i < 4; i++)
        index[i] = (int32_t)choose(w, (int)size);
    for (int i = 0; i < rank; i++) {
        at[i] = choose(w, (int)ad_shape(a)[i]);
        shape[i] = 1;
    }
    shape[axis] = 4;
    switch (choose(w, 4)) {
    case 0:
        return ad_at(a, at);
    case 1:
        return ad_take(a, axis, ad_constant_array(a.tape, AD_I32, 1, (int64_t[]){4}, index));
    case 2:
        return ad_gather(a, axis, ad_constant_array(a.tape, AD_I32, rank, shape, index));
    default: {
        ad_var indices = ad_constant_array(a.tape, AD_I32, rank, shape, index);
        return ad_scatter_add(a, axis, indices, ad_gather(ad_sin(a), axis, indices));
    }
    }
}

static ad_var write_line(writer *w)
{
    ad_var a = pick_bounded(w);
    int rank = ad_rank(a), axis = rank ? choose(w, rank) - (choose(w, 2) ? rank : 0) : 0;
    if (rank == 0)
        return ad_exp(a);
    switch (choose(w, 7)) {
    case 0:
        return ad_softmax(a, axis);
    case 1:
        return ad_log_softmax(a, axis);
    case 2:
        return ad_cumsum(a, axis);
    case 3:
        return ad_cumprod(a, axis);
    case 4:
        return rank >= 2 ? ad_tril(a, choose(w, 3) - 1) : ad_diag(a);
    case 5:
        return rank == 2 ? ad_softmax_cross_entropy(a, ad_softmax(ad_sin(a), 1))
                         : ad_triu(ad_stack(2, (ad_var[]){a, a}, 0), 0);
    default:
        return ad_mul(a,
                      ad_random_normal(a.tape, (uint64_t)w->n, ad_dtype_of(a), rank, ad_shape(a)));
    }
}

/* A few large results would take all the time; tensors of scalars are double where the inputs may
 * be float. */
static ad_var cut(ad_var a, ad_dtype dtype)
{
    while (ad_size(a) > LARGEST || ad_rank(a) > 4)
        a = ad_mean_axes(a, 1, (int[]){0}, false);
    return ad_cast(a, dtype);
}

/* m scalars of the program of this seed */
static void write_program(uint64_t seed, const ad_var *x, int m, ad_var *y)
{
    static ad_var (*const kinds[])(writer *) = {
        write_elementwise, write_elementwise, write_elementwise, write_product,  write_reduction,
        write_view,        write_view,        write_join,        write_indexing, write_line};
    writer w = {.state = seed};
    for (int k = 0; k < INPUTS; k++)
        w.pool[w.n++] = x[k];
    int steps = 4 + choose(&w, 20);
    for (int i = 0; i < steps && w.n < POOL; i++) {
        ad_var a = cut(kinds[choose(&w, sizeof kinds / sizeof *kinds)](&w), ad_dtype_of(x[1]));
        if (ad_size(a) < 0) /* an error, which is on the tape */
            break;
        w.pool[w.n++] = a;
    }
    for (int k = 0; k < m; k++) { /* of the last few, lest one that is constant be all */
        ad_var terms[6];
        int n = w.n < 6 + k ? w.n - k : 6;
        for (int i = 0; i < n; i++) {
            ad_var last = ad_mean(w.pool[w.n - 1 - k - i]), other = ad_mean(pick(&w));
            terms[i] = ad_add(ad_mul(ad_constant(1.5), ad_sin(last)), ad_mul(last, other));
        }
        y[k] = ad_sum_n(n, terms);
    }
}

/* ---- recordings ---- */

typedef struct recording {
    uint64_t seed;
    ad_dtype dtype;
    ad_tape *t;
    ad_var x[INPUTS], y[2];
} recording;

static void draw_inputs(uint64_t seed, double x[ELEMENTS])
{
    for (int i = 0; i < ELEMENTS; i++)
        x[i] = random_between(&seed, -1.5, 1.5);
}

static recording record(uint64_t seed, ad_dtype dtype, const double *x)
{
    recording r = {.seed = seed, .dtype = dtype, .t = ad_tape_new(NULL)};
    for (int k = 0; k < INPUTS; x += input_size[k++]) {
        ad_tensor *t = ad_tensor_new(NULL, dtype, input_rank[k], input_shape[k]);
        ad_tensor_write(t, x);
        r.x[k] = ad_input_tensor(r.t, t);
        ad_tensor_free(t);
    }
    write_program(seed, r.x, 2, r.y);
    if (ad_tape_status(r.t))
        report("program %" PRIu64 " in %s: %s", seed, ad_dtype_name(dtype), ad_tape_error(r.t));
    return r;
}

static bool read_gradient(const recording *r, double g[ELEMENTS])
{
    for (int k = 0; k < INPUTS; g += input_size[k++])
        if (ad_grad_read(r->x[k], g)) {
            report("program %" PRIu64 ": %s", r->seed, ad_tape_error(r->t));
            return false;
        }
    return true;
}

static bool gradient(const recording *r, double g[ELEMENTS])
{
    if (ad_backward(r->y[0]))
        report("program %" PRIu64 ": %s", r->seed, ad_tape_error(r->t));
    return read_gradient(r, g);
}

typedef struct label {
    char text[128];
} label;
static label describe(const recording *r, const char *what)
{
    label l;
    snprintf(l.text, sizeof l.text, "program %" PRIu64 " in %s: %s", r->seed,
             ad_dtype_name(r->dtype), what);
    return l;
}

static double tolerance(const recording *r, const double *g)
{
    return (r->dtype == AD_F64 ? 1e-12 : 1e-4) * scale_of(ELEMENTS, g, 1);
}

static void slices(double *x, double *of[INPUTS])
{
    for (int k = 0; k < INPUTS; x += input_size[k++])
        of[k] = x;
}

#define FOR_ALL(r, x)                                                                              \
    for (uint64_t seed_ = 0; seed_ < PROGRAMS; seed_++)                                            \
        for (recording r = record_drawn(seed_, x), *once_ = &r; once_;                             \
             ad_tape_free(r.t), once_ = NULL)

/* odd programs in float */
static recording record_drawn(uint64_t seed, double x[ELEMENTS])
{
    draw_inputs(seed + 1, x);
    return record(seed, seed % 2 ? AD_F32 : AD_F64, x);
}

/* ---- properties ---- */

static void values_and_gradients_are_finite(void **state)
{
    double x[ELEMENTS], g[ELEMENTS];
    (void)state;
    begin_test();
    int zero = 0;
    FOR_ALL(r, x)
    {
        if (!isfinite(ad_value(r.y[0])))
            report("%s", describe(&r, "the value is not finite").text);
        if (gradient(&r, g))
            for (int i = 0; i < ELEMENTS; i++)
                if (!isfinite(g[i]))
                    report("%s", describe(&r, "the gradient is not finite").text);
        zero += scale_of(ELEMENTS, g, 0) == 0;
    }
    assert_true(zero < PROGRAMS / 20); /* or the programs test nothing */
    end_test();
}

static void reverse_agrees_with_duals(void **state)
{
    double x[ELEMENTS], g[ELEMENTS], v[ELEMENTS], *in[INPUTS], dy, *out[1] = {&dy};
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        double sum = 0, size = 0;
        draw_inputs(r.seed + 5, v);
        slices(v, in);
        if (!gradient(&r, g))
            continue;
        if (ad_jvp(INPUTS, r.x, (const double *const *)in, 1, r.y, out, 1))
            report("%s", describe(&r, ad_tape_error(r.t)).text);
        for (int i = 0; i < ELEMENTS; i++) {
            sum += g[i] * v[i];
            size += fabs(g[i] * v[i]);
        }
        expect_close(describe(&r, "reverse against duals").text, 1, &sum, &dy,
                     (r.dtype == AD_F64 ? 1e-12 : 1e-4) * (1 + size));
    }
    end_test();
}

static ad_var checked_program(const ad_var *x, void *user)
{
    ad_var y[2];
    write_program(*(const uint64_t *)user, x, 2, y);
    return y[0];
}

/* to the bound that the check computes; and second derivatives */
static void gradient_checks_pass(void **state)
{
    (void)state;
    begin_test();
    for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
        double x[ELEMENTS], *of[INPUTS];
        ad_tensor *in[INPUTS];
        ad_check_report result;
        draw_inputs(seed + 1, x);
        slices(x, of);
        for (int k = 0; k < INPUTS; k++) {
            in[k] = ad_tensor_new(NULL, seed % 2 ? AD_F32 : AD_F64, input_rank[k], input_shape[k]);
            ad_tensor_write(in[k], of[k]);
        }
        ad_check_options options = {
            .no_differences = true, .second_order = seed % 8 == 0, .seed = seed};
        if (ad_gradcheck_tensors(checked_program, &seed, INPUTS, in, &options, &result))
            report("program %" PRIu64 ":\n%s", seed, result.text);
        for (int k = 0; k < INPUTS; k++)
            ad_tensor_free(in[k]);
    }
    end_test();
}

static void recorded_gradients_are_the_numeric_ones(void **state)
{
    double x[ELEMENTS], g[ELEMENTS], got[ELEMENTS], *of[INPUTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        ad_var recorded[INPUTS];
        slices(got, of);
        if (!gradient(&r, g))
            continue;
        ad_status s = ad_gradients(r.y[0], INPUTS, r.x, recorded);
        for (int k = 0; k < INPUTS && !s; k++)
            s = ad_size(recorded[k]) != input_size[k] ? AD_BAD_SHAPE : ad_read(recorded[k], of[k]);
        if (s)
            report("%s", describe(&r, ad_tape_error(r.t)).text);
        else
            expect_close(describe(&r, "recorded gradient").text, ELEMENTS, got, g,
                         tolerance(&r, g));
    }
    end_test();
}

static void backward_twice_gives_the_same_bits(void **state)
{
    double x[ELEMENTS], first[ELEMENTS], second[ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        if (gradient(&r, first) && gradient(&r, second))
            expect_same_bits(describe(&r, "backward again").text, ELEMENTS, second, first);
        if (ad_backward_keep(r.y[0]) == AD_OK && read_gradient(&r, second))
            expect_same_bits(describe(&r, "backward that keeps").text, ELEMENTS, second, first);
        if (gradient(&r, second))
            expect_same_bits(describe(&r, "backward after one that keeps").text, ELEMENTS, second,
                             first);
    }
    end_test();
}

static void replays_give_the_bits_of_recordings(void **state)
{
    double x[ELEMENTS], other[ELEMENTS], *of[INPUTS], got[ELEMENTS], want[ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        draw_inputs(r.seed + 77, other);
        slices(other, of);
        recording fresh = record(r.seed, r.dtype, other);
        double y[2];
        for (int k = 0; k < INPUTS; k++)
            if (ad_set_array(r.x[k], of[k]))
                report("%s", describe(&r, ad_tape_error(r.t)).text);
        if (ad_replay(r.t))
            report("%s", describe(&r, ad_tape_error(r.t)).text);
        for (int k = 0; k < 2; k++) {
            y[0] = ad_value(r.y[k]);
            y[1] = ad_value(fresh.y[k]);
            expect_same_bits(describe(&r, "replayed value").text, 1, &y[0], &y[1]);
        }
        if (gradient(&r, got) && gradient(&fresh, want))
            expect_same_bits(describe(&r, "gradient of the replay").text, ELEMENTS, got, want);
        ad_tape_free(fresh.t);
    }
    end_test();
}

static void programs_give_the_bits_of_tapes(void **state)
{
    double x[ELEMENTS], other[ELEMENTS], out[2 + ELEMENTS], want[2 + ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        ad_program *p = ad_program_capture(r.t, INPUTS, r.x, 2, r.y, AD_GRADIENT);
        if (!p)
            report("%s", describe(&r, ad_tape_error(r.t)).text);
        ad_workspace *w = ad_workspace_new(p);
        for (int run = 0; run < 3 && p; run++) {
            draw_inputs(r.seed + (uint64_t)(run % 2), other);
            recording fresh = record(r.seed, r.dtype, other);
            want[0] = ad_value(fresh.y[0]);
            want[1] = ad_value(fresh.y[1]);
            ad_workspace_set_step(w, 0);
            if (ad_run(w, other, out))
                report("%s", describe(&r, ad_workspace_error(w)).text);
            else if (gradient(&fresh, want + 2))
                expect_same_bits(describe(&r, "program").text, 2 + ELEMENTS, out, want);
            ad_tape_free(fresh.t);
        }
        ad_workspace_free(w);
        ad_program_free(p);
    }
    end_test();
}

/* Of a tape that holds the recorded gradient too: a program that is nothing but values. */
static void programs_of_recorded_gradients_give_the_bits_of_tapes(void **state)
{
    double x[ELEMENTS], other[ELEMENTS], out[ELEMENTS], want[ELEMENTS], *of[INPUTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        ad_var g[INPUTS], h[INPUTS];
        if (r.seed % 4 > 1)
            continue;
        draw_inputs(r.seed + 3, other);
        recording fresh = record(r.seed, r.dtype, other);
        slices(want, of);
        ad_gradients(r.y[0], INPUTS, r.x, g);
        ad_gradients(fresh.y[0], INPUTS, fresh.x, h);
        for (int k = 0; k < INPUTS; k++)
            if (ad_read(h[k], of[k]))
                report("%s", describe(&r, ad_tape_error(fresh.t)).text);
        ad_program *p = ad_program_capture(r.t, INPUTS, r.x, INPUTS, g, AD_VALUES);
        ad_workspace *w = ad_workspace_new(p);
        if (!p || ad_run(w, other, out))
            report("%s", describe(&r, p ? ad_workspace_error(w) : ad_tape_error(r.t)).text);
        else
            expect_same_bits(describe(&r, "program of the gradient").text, ELEMENTS, out, want);
        ad_workspace_free(w);
        ad_program_free(p);
        ad_tape_free(fresh.t);
    }
    end_test();
}

static void gradients_are_linear_in_seeds(void **state)
{
    double x[ELEMENTS], g[2][ELEMENTS], both[ELEMENTS], want[ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        static const double a = -1.75, b = .625, four = 4;
        const double *const one[1] = {&four}, *const two[2] = {&a, &b};
        bool ok = true;
        for (int k = 0; k < 2; k++)
            ok = ok && ad_backward(r.y[k]) == AD_OK && read_gradient(&r, g[k]);
        ok = ok && ad_vjp(2, r.y, two) == AD_OK && read_gradient(&r, both);
        for (int i = 0; i < ELEMENTS && ok; i++)
            want[i] = a * g[0][i] + b * g[1][i];
        if (ok)
            expect_close(describe(&r, "sum of seeds").text, ELEMENTS, both, want,
                         4 * fmax(tolerance(&r, g[0]), tolerance(&r, g[1])));
        ok = ok && ad_vjp(1, r.y, one) == AD_OK && read_gradient(&r, both);
        for (int i = 0; i < ELEMENTS && ok; i++)
            want[i] = 4 * g[0][i];
        if (ok) /* a power of two changes no rounding */
            expect_same_bits(describe(&r, "four times the seed").text, ELEMENTS, both, want);
        if (!ok)
            report("%s", describe(&r, ad_tape_error(r.t)).text);
    }
    end_test();
}

static void passes_add_up_where_asked(void **state)
{
    double x[ELEMENTS], g[2][ELEMENTS], both[ELEMENTS], want[ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        bool ok = true;
        for (int k = 1; k >= 0; k--)
            ok = ok && ad_backward(r.y[k]) == AD_OK && read_gradient(&r, g[k]);
        ok = ok && ad_backward_add(r.y[1]) == AD_OK && read_gradient(&r, both);
        for (int i = 0; i < ELEMENTS && ok; i++)
            want[i] = g[0][i] + g[1][i];
        if (ok)
            expect_close(describe(&r, "sum of passes").text, ELEMENTS, both, want,
                         4 * fmax(tolerance(&r, g[0]), tolerance(&r, g[1])));
        else
            report("%s", describe(&r, ad_tape_error(r.t)).text);
    }
    end_test();
}

static void hessians_are_symmetric(void **state)
{
    double x[ELEMENTS], u[ELEMENTS], v[ELEMENTS], hu[ELEMENTS], hv[ELEMENTS];
    (void)state;
    begin_test();
    FOR_ALL(r, x)
    {
        double *pu[INPUTS], *pv[INPUTS], *phu[INPUTS], *phv[INPUTS], left = 0, right = 0, size = 0;
        draw_inputs(r.seed + 21, u);
        draw_inputs(r.seed + 22, v);
        slices(u, pu);
        slices(v, pv);
        slices(hu, phu);
        slices(hv, phv);
        if (ad_hvp(r.y[0], INPUTS, r.x, (const double *const *)pu, phu) ||
            ad_hvp(r.y[0], INPUTS, r.x, (const double *const *)pv, phv)) {
            report("%s", describe(&r, ad_tape_error(r.t)).text);
            continue;
        }
        for (int i = 0; i < ELEMENTS; i++) {
            left += v[i] * hu[i];
            right += u[i] * hv[i];
            size += fabs(v[i] * hu[i]) + fabs(u[i] * hv[i]);
            if (!isfinite(hu[i]))
                report("%s", describe(&r, "a Hessian-vector product is not finite").text);
        }
        expect_close(describe(&r, "symmetry of the Hessian").text, 1, &left, &right,
                     (r.dtype == AD_F64 ? 1e-11 : 1e-3) * (1 + size));
    }
    end_test();
}

/* A tape that was reset, or rewound to before the program, records it to the same bits. */
static void used_tapes_give_the_bits_of_new_ones(void **state)
{
    double x[ELEMENTS], want[ELEMENTS], got[ELEMENTS], first[ELEMENTS];
    (void)state;
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    FOR_ALL(r, x)
    {
        recording again = {.seed = r.seed, .dtype = r.dtype, .t = t};
        const double *at = x;
        if (!gradient(&r, want))
            continue;
        ad_reset(t);
        for (int k = 0; k < INPUTS; at += input_size[k++]) {
            ad_tensor *value = ad_tensor_new(NULL, r.dtype, input_rank[k], input_shape[k]);
            ad_tensor_write(value, at);
            again.x[k] = ad_input_tensor(t, value);
            ad_tensor_free(value);
        }
        ad_mark mark = ad_mark_here(t);
        for (int i = 0; i < 3; i++) {
            write_program(i == 1 ? r.seed + 1 : r.seed, again.x, 2, again.y);
            if (i != 1 && gradient(&again, i ? got : first))
                expect_same_bits(describe(&r, i ? "after a rewind" : "after a reset").text,
                                 ELEMENTS, i ? got : first, want);
            if (ad_rewind(t, mark))
                report("%s", describe(&r, ad_tape_error(t)).text);
        }
    }
    ad_tape_free(t);
    end_test();
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(values_and_gradients_are_finite),
        cmocka_unit_test(reverse_agrees_with_duals),
        cmocka_unit_test(gradient_checks_pass),
        cmocka_unit_test(recorded_gradients_are_the_numeric_ones),
        cmocka_unit_test(backward_twice_gives_the_same_bits),
        cmocka_unit_test(replays_give_the_bits_of_recordings),
        cmocka_unit_test(programs_give_the_bits_of_tapes),
        cmocka_unit_test(programs_of_recorded_gradients_give_the_bits_of_tapes),
        cmocka_unit_test(gradients_are_linear_in_seeds),
        cmocka_unit_test(passes_add_up_where_asked),
        cmocka_unit_test(hessians_are_symmetric),
        cmocka_unit_test(used_tapes_give_the_bits_of_new_ones),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
