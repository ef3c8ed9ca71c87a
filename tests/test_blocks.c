/* test_blocks.c - every structured operation: its adjoint, tangent and recorded rule against each
 * other; every test goes over all rows of block_rows.h */
#define AD_PLAIN
#include "block_rows.h"

static ad_var plain(ad_tape *t, ad_dtype dtype, const values *v)
{
    ad_var leaf;
    return arranged(t, PLAIN, dtype, v, &leaf);
}

typedef double numbers[MAX_SIZE];

/* cotangents and tangents: multiples of 1/64 in (-1, 1), none of them 0 */
static void draw_numbers(uint64_t seed, int64_t n, double *to)
{
    for (int64_t i = 0; i < n && i < MAX_SIZE; i++) {
        double x = floor(random_between(&seed, -1, 1) * 64) / 64;
        to[i] = x == 0 ? .5 : x;
    }
}

/* the same in the shape of y */
static values cotangent_of(ad_var y, uint64_t seed)
{
    values w = {.rank = ad_rank(y) > 0 ? ad_rank(y) : 0, .size = ad_size(y)};
    if (w.rank)
        memcpy(w.shape, ad_shape(y), (size_t)w.rank * sizeof *w.shape);
    draw_numbers(seed, w.size, w.data);
    return w;
}

static bool read_value(const problem *p, ad_dtype dtype, ad_var y, numbers out)
{
    ad_status s = ad_size(y) > MAX_SIZE ? AD_TOO_LARGE : ad_read(y, out);
    if (s)
        report("%s: %s", describe(p, dtype, "value").text, ad_status_name(s));
    return s == AD_OK;
}

/* the gradients of all arguments for a cotangent drawn from the seed */
static bool adjoints(const problem *p, ad_dtype dtype, const recording *r, numbers g[MAX_ARGS])
{
    numbers w;
    const double *seeds[1] = {w};
    draw_numbers(p->seed + 1, ad_size(r->y), w);
    ad_status s = ad_vjp(1, &r->y, seeds);
    for (int k = 0; k < p->n && !s; k++)
        s = ad_grad_read(r->x[k], g[k]);
    if (s)
        report("%s: %s", describe(p, dtype, "adjoint").text, ad_tape_error(r->t));
    return s == AD_OK;
}

/* sums of terms and of their magnitudes */
typedef struct total {
    double sum, size;
} total;
static void add_products(total *s, int64_t n, const double *a, const double *b)
{
    for (int64_t i = 0; i < n; i++) {
        s->sum += a[i] * b[i];
        s->size += fabs(a[i] * b[i]);
    }
}

static const ad_dtype both[2] = {AD_F64, AD_F32};

#define FOR_ALL(p, dtype)                                                                          \
    for (int row_ = 0; row_ < 2 * ROWS; row_++)                                                    \
        for (problem p = problem_of(row_ / 2, 0), *once_ = &p; once_; once_ = NULL)                \
            for (ad_dtype dtype = both[row_ % 2]; once_; once_ = NULL)

/* ---- tests over all rows ---- */

static void every_structured_operation_has_a_row(void **state)
{
    static const char *const names[] = {
#define BLOCK(name, arguments, text) #name,
#include "blocks.def"
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found = false;
        for (int k = 0; k < ROWS; k++)
            found = found || !strcmp(rows[k].block, names[i]);
        if (!found)
            report("%s of blocks.def has no row", names[i]);
    }
    end_test();
}

static void record_their_own_name(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < ROWS; i++) {
        problem p = problem_of(i, 0);
        recording r = record(&p, PLAIN, AD_F64);
        bool found = false, same = false;
        ad_node_info info;
        for (int64_t k = 0; k < ad_node_count(r.t); k++) {
            assert_int_equal(ad_node_at(r.t, k, &info), AD_OK);
            found = found || !strcmp(info.operation, rows[i].block) ||
                    (!strcmp(rows[i].block, "call") && !strcmp(info.operation, "product")) ||
                    (!strcmp(rows[i].block, "matmul") && !strcmp(info.operation, "dot"));
        }
        for (int k = 0; k < p.n; k++) /* nothing to do: the argument itself */
            same = same || ad_var_node(r.x[k]) == ad_var_node(r.y);
        if (!found && !same && strcmp(rows[i].block, "expand") != 0 &&
            strcmp(rows[i].block, "cast") != 0)
            report("%s", describe(&p, AD_F64, "its name is not on the tape").text);
        ad_tape_free(r.t);
    }
    end_test();
}

/* <w, J v> = <J' w, v> */
static void adjoints_are_the_transposes_of_tangents(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        recording r = record(&p, PLAIN, dtype);
        numbers g[MAX_ARGS], v[MAX_ARGS], w, dy;
        const double *tangents[MAX_ARGS];
        double *results[1] = {dy};
        total forward = {0, 0}, reverse = {0, 0};
        bool ok = adjoints(&p, dtype, &r, g);
        for (int k = 0; k < p.n; k++) {
            draw_numbers(p.seed + 2 + (uint64_t)k, p.x[k].size, v[k]);
            tangents[k] = v[k];
            if (ok)
                add_products(&reverse, p.x[k].size, g[k], v[k]);
        }
        ad_status s = ad_jvp(p.n, r.x, tangents, 1, &r.y, results, 1);
        if (s)
            report("%s: %s", describe(&p, dtype, "tangent").text, ad_tape_error(r.t));
        draw_numbers(p.seed + 1, ad_size(r.y), w);
        if (ok && !s)
            add_products(&forward, ad_size(r.y), w, dy);
        double unit = precision(&p, dtype) == AD_F64 ? 1e-13 : 1e-5;
        expect_close(describe(&p, dtype, "adjoint against tangent").text, 1, &reverse.sum,
                     &forward.sum, unit * fmax(1, forward.size + reverse.size));
        ad_tape_free(r.t);
    }
    end_test();
}

static void recorded_rules_give_the_adjoints(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        recording r = record(&p, PLAIN, dtype);
        numbers g[MAX_ARGS], got;
        ad_var gradient[MAX_ARGS];
        bool ok = adjoints(&p, dtype, &r, g);
        values seed = cotangent_of(r.y, p.seed + 1);
        ad_var cotangent = ok ? plain(r.t, ad_dtype_of(r.y), &seed) : ad_constant(0);
        if (ok && ad_gradients_seeded(1, &r.y, &cotangent, p.n, r.x, gradient))
            report("%s: %s", describe(&p, dtype, "recorded rule").text, ad_tape_error(r.t));
        for (int k = 0; k < p.n && !ad_tape_status(r.t); k++) {
            label l = describe(&p, dtype, "recorded rule against adjoint");
            if (ad_size(gradient[k]) != p.x[k].size || ad_rank(gradient[k]) != p.x[k].rank) {
                report("%s: the gradient has %" PRId64 " elements", l.text, ad_size(gradient[k]));
                continue;
            }
            if (p.x[k].rank && ad_dtype_of(gradient[k]) != dtype)
                report("%s: the gradient is %s", l.text, ad_dtype_name(ad_dtype_of(gradient[k])));
            if (read_value(&p, dtype, gradient[k], got))
                expect_close(l.text, p.x[k].size, got, g[k],
                             (precision(&p, dtype) == AD_F64 ? 1e-13 : 1e-5) *
                                 scale_of(p.x[k].size, g[k], 1));
        }
        ad_tape_free(r.t);
    }
    end_test();
}

/* <w, f(x + h v)>, and how large its terms are */
static total value_along(const problem *p, ad_dtype dtype, double h)
{
    problem moved = *p;
    numbers v, w, y;
    total s = {0, 0};
    for (int k = 0; k < p->n; k++) {
        draw_numbers(p->seed + 2 + (uint64_t)k, p->x[k].size, v);
        for (int64_t i = 0; i < p->x[k].size; i++)
            moved.x[k].data[i] += h * v[i];
    }
    recording r = record(&moved, PLAIN, dtype);
    if (read_value(&moved, dtype, r.y, y)) {
        draw_numbers(p->seed + 1, ad_size(r.y), w);
        add_products(&s, ad_size(r.y), w, y);
    }
    ad_tape_free(r.t);
    return s;
}

static void adjoints_agree_with_central_differences(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        if (p.row->flags & KINKED)
            continue;
        recording r = record(&p, PLAIN, dtype);
        numbers g[MAX_ARGS], v;
        total reverse = {0, 0};
        bool single = precision(&p, dtype) == AD_F32, ok = adjoints(&p, dtype, &r, g);
        double h = single ? 0x1p-5 : 0x1p-9, d[2], size = 0;
        for (int k = 0; k < p.n && ok; k++) {
            draw_numbers(p.seed + 2 + (uint64_t)k, p.x[k].size, v);
            add_products(&reverse, p.x[k].size, g[k], v);
        }
        for (int j = 0; j < 2; j++, h /= 2) {
            total up = value_along(&p, dtype, h), down = value_along(&p, dtype, -h);
            d[j] = (up.sum - down.sum) / (2 * h);
            size = up.size;
        }
        double want = (4 * d[1] - d[0]) / 3;
        expect_close(describe(&p, dtype, "adjoint against differences").text, 1, &reverse.sum,
                     &want, (single ? 1e-3 : 1e-8) * (1 + size + reverse.size));
        ad_tape_free(r.t);
    }
    end_test();
}

static void float_agrees_with_double(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < ROWS; i++) {
        problem p = problem_of(i, 0);
        numbers y[2], g[2][MAX_ARGS];
        int64_t size = 0;
        bool ok = true;
        for (int j = 0; j < 2; j++) {
            recording r = record(&p, PLAIN, both[j]);
            ok = ok && read_value(&p, both[j], r.y, y[j]) && adjoints(&p, both[j], &r, g[j]);
            size = ad_size(r.y);
            ad_tape_free(r.t);
        }
        /* the draws of each dtype are its own */
        if (!ok || (!strncmp(p.row->block, "random_", 7) &&
                    strcmp(p.row->block, "random_permutation") != 0 &&
                    strcmp(p.row->block, "random_bernoulli") != 0))
            continue;
        expect_close(describe(&p, AD_F32, "value against double").text, size, y[1], y[0],
                     2e-6 * scale_of(size, y[0], 1));
        for (int k = 0; k < p.n; k++)
            expect_close(describe(&p, AD_F32, "adjoint against double").text, p.x[k].size, g[1][k],
                         g[0][k], 5e-6 * scale_of(p.x[k].size, g[0][k], 1));
    }
    end_test();
}

/* Value and gradient do not depend on how the arguments lie in memory. */
static void layouts_change_nothing(void **state)
{
    static const char *const names[LAYOUTS] = {"plain", "transposed", "strided",
                                               "borrowed and strided"};
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        numbers y[2], g[2][MAX_ARGS];
        for (int at = PLAIN; at < LAYOUTS; at++) {
            recording r = record(&p, (layout)at, dtype);
            int which = at != PLAIN;
            for (int k = 0; k < p.n; k++)
                if (which && p.x[k].rank)
                    ad_retain(r.x[k]);
            double unit = dtype == AD_F64 ? 1e-14 : 1e-6;
            if (!read_value(&p, dtype, r.y, y[which]) || !adjoints(&p, dtype, &r, g[which])) {
                report("%s", describe(&p, dtype, names[at]).text);
            } else if (which) {
                int64_t size = ad_size(r.y);
                label l = describe(&p, dtype, names[at]);
                expect_close(l.text, size, y[1], y[0], unit * scale_of(size, y[0], 1));
                for (int k = 0; k < p.n; k++)
                    expect_close(l.text, p.x[k].size, g[1][k], g[0][k],
                                 unit * scale_of(p.x[k].size, g[0][k], 1));
            }
            ad_tape_free(r.t);
        }
    }
    end_test();
}

/* Arguments with stride 0: along every second axis they are one number repeated. */
static void expanded_arguments_get_the_sum(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        numbers y[2], g[2][MAX_ARGS];
        problem small = p;
        bool ok = true;
        for (int k = 0; k < p.n; k++) {
            array full = array_of(p.x[k].data, AD_F64, p.x[k].rank, p.x[k].shape);
            for (int i = 0; i < p.x[k].rank; i += 2) {
                int64_t n = p.x[k].shape[i] ? 1 : 0;
                small.x[k].size = n ? small.x[k].size / p.x[k].shape[i] : 0;
                small.x[k].shape[i] = n;
            }
            array few = array_of(small.x[k].data, AD_F64, p.x[k].rank, small.x[k].shape);
            few = array_expanded(&few, full.rank, full.shape);
            array_copy(&full, &few);
        }
        for (int j = 0; j < 2; j++) {
            recording r = {.t = ad_tape_new(NULL)};
            for (int k = 0; k < p.n; k++) {
                r.x[k] = plain(r.t, dtype, j ? &small.x[k] : &p.x[k]);
                if (j && p.x[k].rank) {
                    r.x[k] = ad_expand(r.x[k], p.x[k].rank, p.x[k].shape);
                    ad_retain(r.x[k]);
                }
            }
            r.y = p.row->f(r.x, (void *)(uintptr_t)p.row);
            ok = ok && read_value(&p, dtype, r.y, y[j]) && adjoints(&p, dtype, &r, g[j]);
            double unit = dtype == AD_F64 ? 1e-14 : 1e-6;
            label l = describe(&p, dtype, "expanded arguments");
            if (ok && j) {
                expect_close(l.text, ad_size(r.y), y[1], y[0],
                             unit * scale_of(ad_size(r.y), y[0], 1));
                for (int k = 0; k < p.n; k++)
                    expect_close(l.text, p.x[k].size, g[1][k], g[0][k],
                                 unit * scale_of(p.x[k].size, g[0][k], 1));
            }
            ad_tape_free(r.t);
        }
    }
    end_test();
}

/* An argument that three things use gets the sum of their contributions. */
static void contributions_add_up(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        recording r = record(&p, PLAIN, dtype);
        numbers once[MAX_ARGS], got, want, w[2], v[MAX_ARGS];
        ad_var outputs[2 + MAX_ARGS] = {r.y, p.row->f(r.x, (void *)(uintptr_t)p.row)};
        const double *seeds[2 + MAX_ARGS] = {w[0], w[1]};
        bool ok = adjoints(&p, dtype, &r, once);
        draw_numbers(p.seed + 1, ad_size(r.y), w[0]);
        memcpy(w[1], w[0], sizeof w[0]);
        for (int k = 0; k < p.n; k++) {
            outputs[2 + k] = ad_neg(r.x[k]);
            seeds[2 + k] = v[k];
            draw_numbers(p.seed + 9, p.x[k].size, v[k]);
        }
        ad_status s = ad_vjp(2 + p.n, outputs, seeds);
        for (int k = 0; k < p.n && !s && ok; k++) {
            s = ad_grad_read(r.x[k], got);
            for (int64_t i = 0; i < p.x[k].size; i++)
                want[i] = 2 * once[k][i] - v[k][i];
            expect_close(describe(&p, dtype, "contributions").text, p.x[k].size, got, want,
                         (precision(&p, dtype) == AD_F64 ? 1e-14 : 1e-6) *
                             scale_of(p.x[k].size, once[k], 1));
        }
        if (s)
            report("%s: %s", describe(&p, dtype, "contributions").text, ad_tape_error(r.t));
        ad_tape_free(r.t);
    }
    end_test();
}

static void gradient_checks_pass(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        ad_tensor *x[MAX_ARGS], *whole;
        ad_check_report result;
        ad_check_options options = {.random_seeds = true,
                                    .second_order = true,
                                    .seed = p.seed,
                                    .no_differences = (p.row->flags & KINKED) != 0};
        int64_t size = 0;
        for (int k = 0; k < p.n; k++) {
            x[k] = tensor_in(PLAIN, dtype, &p.x[k], &whole);
            ad_tensor_free(whole);
            size += p.x[k].size;
        }
        if (size <= 100 &&
            ad_gradcheck_tensors(p.row->f, (void *)(uintptr_t)p.row, p.n, x, &options, &result))
            report("%s:\n%s", describe(&p, dtype, "gradient check").text, result.text);
        for (int k = 0; k < p.n; k++)
            ad_tensor_free(x[k]);
    }
    end_test();
}

/* ---- cotangents that are passed on ---- */

static ad_var shown(int how, ad_var h, ad_var other)
{
    switch (how) {
    case 0:
        return ad_reshape(h, 2, (int64_t[]){2, 6});
    case 1:
        return ad_transpose(h);
    case 2:
        return ad_reshape(ad_permute(ad_reshape(h, 3, (int64_t[]){3, 2, 2}), (int[]){2, 0, 1}), 1,
                          (int64_t[]){12});
    case 3:
        return ad_add(h, other);
    case 4:
        return ad_slice(ad_transpose(other), 0, 1, 3, 1);
    default:
        return ad_matmul(h, ad_transpose(h));
    }
}

/* Gradients of all these nodes, backward and recorded. */
static void check_passed_on(int number, bool keep, int n, const ad_var *of, ad_var y)
{
    numbers got[8], want;
    ad_var recorded[8];
    ad_dtype dtype = ad_dtype_of(of[0]);
    for (int k = 1; k < n && !keep; k++) /* all but the input */
        ad_retain(of[k]);
    if ((keep ? ad_backward_keep : ad_backward)(y))
        report("views %d: %s", number, ad_tape_error(y.tape));
    for (int k = 0; k < n; k++)
        assert_int_equal(ad_grad_read(of[k], got[k]), AD_OK);
    assert_int_equal(ad_gradients(y, n, of, recorded), AD_OK);
    for (int k = 0; k < n; k++) {
        char text[64];
        snprintf(text, sizeof text, "views %d, gradient of node %d", number, k);
        assert_int_equal(ad_read(recorded[k], want), AD_OK);
        expect_close(text, ad_size(of[k]), got[k], want,
                     (dtype == AD_F32 ? 1e-6 : 1e-14) * scale_of(ad_size(of[k]), want, 1));
    }
}

/* A cotangent that is the argument's too, if seen otherwise, is passed on without being copied.
 * Nobody may notice: not where the argument has other users, before or after, nor where cotangents
 * are read. */
static void cotangents_that_are_passed_on_stay_what_they_are(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < 2 * 6 * 6 * 6; i++) {
        values a = {.rank = 2, .shape = {3, 4}, .size = 12};
        uint64_t seed = (uint64_t)i;
        draw(&a, 0, &seed);
        ad_tape *t = ad_tape_new(NULL);
        ad_var of[6], y = ad_constant(0);
        of[0] = plain(t, both[i % 2], &a);
        of[1] = ad_reshape(ad_sin(ad_transpose(of[0])), 2, (int64_t[]){3, 4});
        of[2] = ad_sin(of[0]);
        for (int k = 0, how = i / 2; k < 3; k++, how /= 6) {
            of[3 + k] = shown(how % 6, of[1 + k % 2], of[2 - k % 2]);
            y = ad_add(y, ad_sum(ad_sin(of[3 + k])));
        }
        check_passed_on(i, i / 2 % 2, 6, of, y);
        ad_tape_free(t);
    }
    end_test();
}

/* The first are gone when their rule is done, the second stay when the next sweep begins. */
static void cotangents_of_scalars_and_inputs_are_copied(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    double two = 2, threes[6] = {3, 3, 3, 3, 3, 3}, g[6];
    ad_var x = ad_input_array(t, AD_F64, 1, (int64_t[]){1}, &two);
    ad_var y = ad_reshape(ad_square(x), 0, NULL);
    assert_int_equal(ad_backward(ad_square(y)), AD_OK);
    assert_true(ad_grad(x) == 32);
    ad_var a = ad_input_array(t, AD_F64, 2, (int64_t[]){2, 3}, threes),
           b = ad_reshape(a, 1, (int64_t[]){6});
    assert_int_equal(ad_backward(ad_sum(ad_square(b))), AD_OK);
    assert_int_equal(ad_backward_add(ad_sum(ad_square(ad_mul(b, b)))), AD_OK);
    assert_int_equal(ad_grad_read(a, g), AD_OK);
    for (int i = 0; i < 6; i++)
        assert_true(g[i] == 6 + 108);
    ad_tape_free(t);
}

/* ---- replays and programs ---- */

/* y at other inputs, replayed and recorded: the same bits; likewise a program, and its gradient. */
static void replays_and_programs_give_the_same_bits(void **state)
{
    (void)state;
    begin_test();
    FOR_ALL(p, dtype)
    {
        problem other = problem_of((int)(p.row - rows), 1);
        recording r = record(&p, PLAIN, dtype), fresh = record(&other, PLAIN, dtype);
        numbers got, want, g[MAX_ARGS];
        double in[MAX_ARGS * MAX_SIZE], out[2 + (MAX_ARGS + 1) * MAX_SIZE];
        int64_t size = ad_size(r.y), at = 0;
        bool ok = read_value(&p, dtype, fresh.y, want);
        other.seed = p.seed;
        ok = ok && adjoints(&other, dtype, &fresh, g);

        values w = cotangent_of(
            r.y, p.seed + 1); /* <w, y>: its gradient is that of y with the cotangent w */
        ad_var outputs[2] = {ad_mul(r.y, ad_constant(w.data[0])), r.y};
        if (w.rank) {
            ad_tensor *whole, *weights = tensor_in(PLAIN, ad_dtype_of(r.y), &w, &whole);
            outputs[0] = ad_sum(ad_mul(r.y, ad_constant_tensor(r.t, weights)));
            ad_tensor_free(weights);
            ad_tensor_free(whole);
        }
        ad_program *program = ad_program_capture(r.t, p.n, r.x, 2, outputs, AD_GRADIENT);
        if (!program)
            report("%s: %s", describe(&p, dtype, "program").text, ad_tape_error(r.t));

        for (int k = 0; k < p.n; k++) {
            ad_set_array(r.x[k], other.x[k].data);
            memcpy(in + at, other.x[k].data, (size_t)p.x[k].size * sizeof *in);
            at += p.x[k].size;
        }
        if (ad_replay(r.t))
            report("%s: %s", describe(&p, dtype, "replay").text, ad_tape_error(r.t));
        if (ok && read_value(&p, dtype, r.y, got))
            expect_same_bits(describe(&other, dtype, "replay against recording").text, size, got,
                             want);

        ad_workspace *work = ad_workspace_new(program);
        for (int run = 0; run < 2 && program && ok; run++) {
            ad_workspace_set_step(work, 0);
            if (ad_run(work, in, out))
                report("%s: %s", describe(&p, dtype, "run").text, ad_workspace_error(work));
            expect_same_bits(describe(&other, dtype, "program against recording").text, size,
                             out + 1, want);
            double *gradient = out + 1 + size;
            for (int k = 0; k < p.n; gradient += p.x[k++].size)
                expect_same_bits(describe(&other, dtype, "program's gradient").text, p.x[k].size,
                                 gradient, g[k]);
        }
        ad_workspace_free(work);
        ad_program_free(program);
        ad_tape_free(fresh.t);
        ad_tape_free(r.t);
    }
    end_test();
}

/* ---- broadcasting ---- */

/* NumPy's rule, on its own: sizes from the right, equal or 1. */
static bool numpy_shape(int ra, const int64_t *a, int rb, const int64_t *b, int *rank,
                        int64_t *shape)
{
    *rank = ra > rb ? ra : rb;
    for (int i = 1; i <= *rank; i++) {
        int64_t m = i <= ra ? a[ra - i] : 1, n = i <= rb ? b[rb - i] : 1;
        if (m != n && m != 1 && n != 1)
            return false;
        shape[*rank - i] = m == 1 ? n : m;
    }
    return true;
}

/* the element of a that meets element i of the result */
static int64_t numpy_element(int ra, const int64_t *a, int rank, const int64_t *shape, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int k = 1; k <= rank; k++) {
        int64_t index = i % shape[rank - k];
        i /= shape[rank - k];
        if (k <= ra) {
            at += a[ra - k] == 1 ? 0 : index * step;
            step *= a[ra - k];
        }
    }
    return at;
}

/* shape number i of all with at most 3 axes of 0 to 3: 1 + 4 + 16 + 64 */
static void shape_number(int i, values *v)
{
    int count = 1;
    for (v->rank = 0; i >= count; v->rank++, count *= 4)
        i -= count;
    v->size = 1;
    for (int k = 0; k < v->rank; k++, i /= 4)
        v->size *= v->shape[k] = (i + 1) % 4;
}

static void check_broadcast(const values *a, const values *b, ad_dtype dtype)
{
    int rank;
    int64_t shape[AD_MAX_RANK], size = 1;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = plain(t, dtype, a), z = plain(t, dtype, b), y = ad_mul(x, z);
    char sa[SHAPE_TEXT], sb[SHAPE_TEXT];
    shape_text(sa, a->rank, a->shape);
    shape_text(sb, b->rank, b->shape);
    bool fits = numpy_shape(a->rank, a->shape, b->rank, b->shape, &rank, shape);
    for (int i = 0; i < rank; i++)
        size *= shape[i];
    if (ad_tape_status(t) != (fits ? AD_OK : AD_BAD_SHAPE)) {
        report("mul %s %s: %s", sa, sb, fits ? ad_tape_error(t) : "no error");
    } else if (fits && (ad_rank(y) != rank ||
                        (rank && memcmp(ad_shape(y), shape, (size_t)rank * sizeof *shape) != 0))) {
        report("mul %s %s: the result has another shape than NumPy's", sa, sb);
    } else if (fits) {
        double want[MAX_SIZE], got[MAX_SIZE], ga[MAX_SIZE] = {0}, gb[MAX_SIZE] = {0};
        for (int64_t i = 0; i < size; i++) {
            int64_t ia = numpy_element(a->rank, a->shape, rank, shape, i);
            int64_t ib = numpy_element(b->rank, b->shape, rank, shape, i);
            want[i] = a->data[ia] * b->data[ib];
            ga[ia] += b->data[ib];
            gb[ib] += a->data[ia];
        }
        char text[64 + 2 * SHAPE_TEXT];
        snprintf(text, sizeof text, "mul %s %s in %s", sa, sb, ad_dtype_name(dtype));
        double unit = dtype == AD_F64 ? 1e-14 : 1e-6;
        assert_int_equal(ad_read(y, got), AD_OK);
        expect_close(text, size, got, want, unit * 4);
        assert_int_equal(ad_vjp(1, &y, NULL), AD_OK);
        assert_int_equal(ad_grad_read(x, got), AD_OK);
        expect_close(text, a->size, got, ga, unit * 64);
        assert_int_equal(ad_grad_read(z, got), AD_OK);
        expect_close(text, b->size, got, gb, unit * 64);
    }
    ad_tape_free(t);
}

static void broadcasting_is_numpys(void **state)
{
    (void)state;
    begin_test();
    uint64_t seed = 5;
    values a, b;
    for (int i = 0; i < 85; i++)
        for (int k = 0; k < 85; k++) {
            shape_number(i, &a);
            shape_number(k, &b);
            draw(&a, 0, &seed);
            draw(&b, 0, &seed);
            check_broadcast(&a, &b, (i + k) % 2 ? AD_F32 : AD_F64);
        }
    end_test();
}

/* Windows of (2, length, length), element by element; and what comes back to the argument. */
static void check_windows(int length, const int64_t size[2], const int64_t stride[2],
                          const int64_t dilation[2])
{
    values a = {.rank = 3, .shape = {2, length, length}, .size = 2 * length * length};
    numbers got, want, w, g = {0}, back;
    uint64_t seed = 3;
    int64_t n = 0;
    draw(&a, 0, &seed);
    draw_numbers(4, MAX_SIZE, w);
    for (int64_t b = 0; b < 2; b++)
        for (int64_t i = 0; i + (size[0] - 1) * dilation[0] < length; i += stride[0])
            for (int64_t j = 0; j + (size[1] - 1) * dilation[1] < length; j += stride[1])
                for (int64_t k = 0; k < size[0] * size[1]; k++, n++) {
                    int64_t r = i + k / size[1] * dilation[0], c = j + k % size[1] * dilation[1];
                    int64_t at = (b * length + r) * length + c;
                    want[n] = a.data[at];
                    g[at] += w[n];
                }
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = plain(t, AD_F64, &a), y = ad_windows(x, 2, size, stride, dilation);
    const double *seeds[1] = {w};
    assert_int_equal(ad_size(y), n);
    assert_int_equal(ad_read(y, got), AD_OK);
    assert_int_equal(ad_vjp(1, &y, seeds), AD_OK);
    assert_int_equal(ad_grad_read(x, back), AD_OK);
    expect_close("windows", n, got, want, 0);
    expect_close("gradient of windows", a.size, back, g, 1e-14 * (double)n);
    ad_tape_free(t);
}

static void windows_are_those_of_a_loop(void **state)
{
    (void)state;
    begin_test();
    for (int64_t i = 0; i < 216; i++) {
        const int64_t size[2] = {1 + i % 3, 1 + i / 27 % 3}, stride[2] = {1 + i / 3 % 3, 1 + i % 2},
                      dilation[2] = {1 + i / 9 % 3, 1 + i / 81};
        check_windows(7, size, stride, dilation);
    }
    end_test();
}

/* where, with three operands of three shapes, one of them a view of another */
static void three_operands_broadcast_together(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    double x[6] = {1, 2, 3, 4, 5, 6}, y[12], g[6];
    ad_var a = ad_input_array(t, AD_F64, 2, (int64_t[]){2, 3}, x);
    ad_var top = ad_slice(a, 0, 0, 1, 1), column = ad_reshape(a, 3, (int64_t[]){2, 3, 1});
    ad_var mask = ad_constant_array(t, AD_F64, 2, (int64_t[]){3, 1}, (double[]){1, 0, 1});
    ad_var all = ad_where(mask, top, column); /* (3,1) (1,3) (2,3,1) -> (2,3,3) */
    assert_int_equal(ad_tape_status(t), AD_OK);
    assert_int_equal(ad_rank(all), 3);
    assert_int_equal(ad_size(all), 18);
    ad_var rows_of_2 = ad_sum_axes(all, 1, (int[]){2}, false);
    assert_int_equal(ad_read(rows_of_2, y), AD_OK);
    const double want[6] = {6, 6, 6, 6, 15, 6}; /* 1+2+3, or three times the column's 2 and 5 */
    for (int i = 0; i < 6; i++)
        assert_true(y[i] == want[i]);
    assert_int_equal(ad_backward(ad_sum(all)), AD_OK);
    assert_int_equal(ad_grad_read(a, g), AD_OK);
    const double gradient[6] = {4, 7, 4, 0, 3, 0};
    for (int i = 0; i < 6; i++)
        assert_true(g[i] == gradient[i]);
    ad_tape_free(t);
}

/* As a parameter or a borrowed tensor, rank 0 is a tensor and not a scalar. */
static void elementwise_operations_take_tensors_of_rank_0(void **state)
{
    (void)state;
    for (int d = 0; d < 2; d++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_tensor *half = ad_tensor_new(NULL, both[d], 0, NULL);
        ad_tensor_fill(half, .5);
        ad_var x = ad_bind(t, half), y = ad_mul(ad_square(x), ad_add(x, ad_constant(1)));
        assert_true(ad_value(y) == .375);
        assert_int_equal(ad_backward(y), AD_OK);
        assert_true(ad_grad(x) == 1.75);
        assert_true(ad_value(ad_grad_of(y, x)) == 1.75);
        ad_tape_free(t);
        ad_tensor_free(half);
    }
}

static void blocks_take_tensors_of_rank_0(void **state)
{
    (void)state;
    for (int d = 0; d < 2; d++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_tensor *half = ad_tensor_new(NULL, both[d], 0, NULL);
        ad_tensor_fill(half, .5);
        ad_var x = ad_bind(t, half);
        ad_var parts[] = {ad_sum(x), ad_sum(ad_reshape(x, 1, (int64_t[]){1})),
                          ad_sum(ad_expand(x, 1, (int64_t[]){3})),
                          ad_sum(ad_stack(2, VAR_OF(x, x), 0)), ad_mean(x)};
        ad_var y = ad_sum_n(5, parts);
        assert_string_equal(ad_tape_error(t), "");
        assert_true(ad_value(y) == 4);
        assert_int_equal(ad_backward(y), AD_OK);
        assert_true(ad_grad(x) == 8);
        assert_true(ad_value(ad_grad_of(y, x)) == 8);
        ad_tape_free(t);
        ad_tensor_free(half);
    }
}

/* ---- extremes ---- */

/* An operation at a vector (or matrix of `columns`), with what its value and gradient must be. */
typedef struct extreme {
    const char *what;
    ad_function f;
    int n;
    double x[4];
    int n_y;
    double y[4], g[4]; /* value, and gradient for a cotangent of ones */
    bool double_only;
} extreme;

static const row over_all = {"", NULL, "", {0}, 0};
static const double inf = (double)INFINITY, nan_ = (double)NAN;

OPERATION(sum_of_softmax, ad_mul(ad_softmax(x[0], 0), ad_constant(1)))
OPERATION(log_softmax_0, ad_log_softmax(x[0], 0))
OPERATION(cumprod_0, ad_cumprod(x[0], 0))
OPERATION(variance, ad_var_of(x[0], 1))
OPERATION(deviation, ad_std(x[0], 0))
OPERATION(entropy_of_row,
          ad_softmax_cross_entropy(ad_reshape(x[0], 2, (int64_t[]){1, ad_size(x[0])}),
                                   ad_constant_array(x[0].tape, AD_I32, 1, (int64_t[]){1},
                                                     (int32_t[]){1})))
/* a branch that is not taken is infinite, with an infinite derivative */
OPERATION(untaken, ad_where(ad_greater(x[0], ad_constant(0)), ad_sqrt(x[0]), ad_constant(0)))
OPERATION(untaken_product, ad_mul(ad_constant(0), ad_sum(ad_log(x[0]))))
OPERATION(masked_matmul,
          ad_matmul(ad_constant_array(x[0].tape, ad_dtype_of(x[0]), 1, (int64_t[]){3},
                                      ad_dtype_of(x[0]) == AD_F64
                                          ? (const void *)(double[]){1, 0, 2}
                                          : (const void *)(float[]){1, 0, 2}),
                    ad_reshape(x[0], 2, (int64_t[]){3, 1})))

static void extremes_are_exact(void **state)
{
    const extreme all[] = {
        {"prod with a zero", prod, 3, {2, 0, 3}, 1, {0}, {0, 6, 0}, false},
        {"prod with two zeros", prod, 3, {2, 0, 0}, 1, {0}, {0, 0, 0}, false},
        {"cumprod with a zero",
         cumprod_0,
         4,
         {2, 0, 3, 5},
         4,
         {2, 0, 0, 0},
         {1, 2 * (1 + 3 + 15), 0, 0},
         false},
        {"norm at 0", norm, 3, {0, 0, 0}, 1, {0}, {0, 0, 0}, false},
        {"norm of large numbers", norm, 2, {3e300, 4e300}, 1, {5e300}, {.6, .8}, true},
        {"norm of small numbers", norm, 2, {3e-300, -4e-300}, 1, {5e-300}, {.6, -.8}, true},
        {"norm of subnormal numbers",
         norm,
         2,
         {0x3p-1070, 0x4p-1070},
         1,
         {0x5p-1070},
         {.6, .8},
         true},
        {"norm of one infinity", norm, 2, {1, -inf}, 1, {inf}, {0, nan_}, false},
        {"logsumexp of large numbers", logsumexp, 2, {1e300, 1e300}, 1, {1e300}, {.5, .5}, true},
        {"logsumexp of numbers far apart", logsumexp, 2, {1e30, -1e30}, 1, {1e30}, {1, 0}, true},
        {"logsumexp with -inf",
         logsumexp,
         3,
         {-inf, 0, 0},
         1,
         {.69314718055994531},
         {0, .5, .5},
         false},
        {"logsumexp of nothing but -inf", logsumexp, 2, {-inf, -inf}, 1, {-inf}, {0, 0}, false},
        {"logsumexp with inf", logsumexp, 3, {inf, 0, -inf}, 1, {inf}, {1, 0, 0}, false},
        {"softmax with -inf", sum_of_softmax, 3, {-inf, 1, 1}, 3, {0, .5, .5}, {0, 0, 0}, false},
        {"softmax of large numbers",
         sum_of_softmax,
         3,
         {1e300, 1e300, -1e300},
         3,
         {.5, .5, 0},
         {0, 0, 0},
         true},
        {"softmax of numbers beyond exp",
         sum_of_softmax,
         3,
         {-2000, 2000, 2000},
         3,
         {0, .5, .5},
         {0, 0, 0},
         false},
        {"log_softmax of numbers beyond exp",
         log_softmax_0,
         2,
         {-2000, 2000},
         2,
         {-4000, 0},
         {1, -1},
         false},
        {"log_softmax with -inf", log_softmax_0, 2, {-inf, 3}, 2, {-inf, 0}, {1, -1}, false},
        {"cross-entropy of large logits", entropy_of_row, 2, {1e30, 0}, 1, {1e30}, {1, -1}, false},
        {"cross-entropy with a logit of -inf",
         entropy_of_row,
         3,
         {-inf, 0, -inf},
         1,
         {0},
         {0, 0, 0},
         false},
        {"variance of equal numbers", variance, 3, {.1, .1, .1}, 1, {0}, {0, 0, 0}, false},
        {"deviation of equal numbers", deviation, 3, {.1, .1, .1}, 1, {0}, {0, 0, 0}, false},
        {"variance far from 0", variance, 3, {1e8 + 1, 1e8 + 2, 1e8 + 3}, 1, {1}, {-1, 0, 1}, true},
        {"first of equal largest", amax, 4, {1, 3, 3, 3}, 1, {3}, {0, 1, 0, 0}, false},
        {"first of equal smallest", amin, 4, {2, 1, 1, 2}, 1, {1}, {0, 1, 0, 0}, false},
        {"largest with -inf", amax, 3, {-inf, -inf, 1}, 1, {1}, {0, 0, 1}, false},
        {"largest with NaN", amax, 3, {1, nan_, 5}, 1, {nan_}, {0, 1, 0}, false},
        {"smallest with NaN", amin, 3, {nan_, nan_, -5}, 1, {nan_}, {1, 0, 0}, false},
        {"a branch not taken", untaken, 3, {-1, 0, 4}, 3, {0, 0, 2}, {0, 0, .25}, false},
        {"a product with 0", untaken_product, 2, {0, 2}, 1, {nan_}, {0, 0}, false},
        {"mean of large numbers", mean, 2, {1.5e308, 1e308}, 1, {inf}, {.5, .5}, true},
        {"a matrix product by 0", masked_matmul, 3, {1, 5, 2}, 1, {5}, {1, 0, 2}, false},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < 2 * sizeof all / sizeof *all; i++) {
        const extreme *e = &all[i / 2];
        ad_dtype dtype = both[i % 2];
        if (dtype == AD_F32 && e->double_only)
            continue;
        ad_tape *t = ad_tape_new(NULL);
        values v = {.rank = 1, .shape = {e->n}, .size = e->n};
        double y[4], g[4];
        char text[160];
        memcpy(v.data, e->x, sizeof e->x);
        ad_var x = plain(t, dtype, &v), out = e->f(&x, (void *)(uintptr_t)&over_all), gradient;
        snprintf(text, sizeof text, "%s in %s", e->what, ad_dtype_name(dtype));
        double unit = dtype == AD_F64 ? 4e-15 : 4e-7;
        if (ad_size(out) != e->n_y || ad_read(out, y) || ad_vjp(1, &out, NULL) ||
            ad_grad_read(x, g))
            report("%s: %s", text, ad_tape_error(t));
        for (int k = 0; k < e->n_y; k++)
            expect_close(text, 1, &y[k], &e->y[k], unit * fabs(e->y[k]));
        for (int k = 0; k < e->n; k++)
            expect_close(text, 1, &g[k], &e->g[k], unit * fmax(1, fabs(e->g[k])));
        snprintf(text, sizeof text, "%s in %s, recorded", e->what, ad_dtype_name(dtype));
        if (ad_gradients(out, 1, &x, &gradient) || ad_read(gradient, g))
            report("%s: %s", text, ad_tape_error(t));
        else
            for (int k = 0; k < e->n; k++)
                expect_close(text, 1, &g[k], &e->g[k], unit * fmax(1, fabs(e->g[k])));
        ad_tape_free(t);
    }
    end_test();
}
#undef OPERATION
#undef VAR_OF

/* A cotangent of 0 is absorbing: what it meets, infinity or NaN, does not count. */
static void zero_cotangents_absorb(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < ROWS; i++) {
        problem p = problem_of(i, 0);
        if (!strcmp(p.row->block, "call"))
            continue;
        for (int k = 0; k < p.n; k++)
            for (int64_t j = 0; j < p.x[k].size; j += 2)
                p.x[k].data[j] = j % 4 ? inf : nan_;
        recording r = record(&p, PLAIN, AD_F64);
        numbers w = {0}, g, zeros = {0};
        const double *seeds[1] = {w};
        ad_status s = ad_vjp(1, &r.y, seeds);
        for (int k = 0; k < p.n && !s; k++) {
            s = ad_grad_read(r.x[k], g);
            expect_close(describe(&p, AD_F64, "zero cotangent").text, p.x[k].size, g, zeros, 0);
        }
        if (s)
            report("%s: %s", describe(&p, AD_F64, "zero cotangent").text, ad_tape_error(r.t));
        ad_tape_free(r.t);
    }
    end_test();
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(every_structured_operation_has_a_row),
        cmocka_unit_test(record_their_own_name),
        cmocka_unit_test(adjoints_are_the_transposes_of_tangents),
        cmocka_unit_test(recorded_rules_give_the_adjoints),
        cmocka_unit_test(adjoints_agree_with_central_differences),
        cmocka_unit_test(float_agrees_with_double),
        cmocka_unit_test(layouts_change_nothing),
        cmocka_unit_test(expanded_arguments_get_the_sum),
        cmocka_unit_test(contributions_add_up),
        cmocka_unit_test(cotangents_that_are_passed_on_stay_what_they_are),
        cmocka_unit_test(cotangents_of_scalars_and_inputs_are_copied),
        cmocka_unit_test(gradient_checks_pass),
        cmocka_unit_test(replays_and_programs_give_the_same_bits),
        cmocka_unit_test(broadcasting_is_numpys),
        cmocka_unit_test(windows_are_those_of_a_loop),
        cmocka_unit_test(three_operands_broadcast_together),
        cmocka_unit_test(blocks_take_tensors_of_rank_0),
        cmocka_unit_test(elementwise_operations_take_tensors_of_rank_0),
        cmocka_unit_test(extremes_are_exact),
        cmocka_unit_test(zero_cotangents_absorb),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
