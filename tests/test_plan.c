/* test_plan.c - planned programs give the bits of unplanned ones
 *
 * Random programs over tensors are captured twice, with and without the passes of plan.h, and run
 * side by side on states of their own: outputs and states must not differ in a bit. Numbers are
 * wild on purpose: zeros of both signs, infinities, NaN, the smallest and the largest. A failure
 * prints the seed. */
#define AD_PLAIN
#include "allocator.h"
#include "block_matmul.h"
#include "compare.h"
#include "nn.h"
#include "program.h"
#include "tensor_programs.h"

enum { PROGRAMS = 600, RUNS = 3 };

/* ---- running two of one side by side ---- */

typedef struct side {
    ad_program *program;
    ad_workspace *workspace;
    ad_tensor *states[STATES];
} side;

/* States in memory of its own; `how` shares or turns some, the same on both sides. */
static void begin_side(side *s, const writer *w, int outputs, const ad_var *out, unsigned passes,
                       int how)
{
    s->program = program_capture(w->tape, INPUTS, w->in, outputs, out, AD_VALUES, passes);
    if (!s->program)
        fail_msg("no program: %s", ad_tape_error(w->tape));
    s->workspace = ad_workspace_new(s->program);
    const int n = ad_program_parameter_count(s->program);
    assert_true(n <= STATES);
    for (int k = 0; k < n; k++) {
        const ad_tensor *from = ad_param_value(ad_program_parameter(s->program, k));
        s->states[k] = ad_tensor_new(NULL, w->dtype, ad_tensor_rank(from), ad_tensor_shape(from));
        ad_tensor_copy(s->states[k], from);
        if (how == 2 && ad_tensor_rank(from) == 2) { /* one that lies by columns */
            ad_tensor *t = ad_tensor_permuted(s->states[k], (int[]){1, 0});
            ad_tensor *copy = ad_tensor_new(NULL, w->dtype, 2, ad_tensor_shape(t));
            ad_tensor_free(s->states[k]);
            ad_tensor_copy(copy, t);
            s->states[k] = ad_tensor_permuted(copy, (int[]){1, 0});
            ad_tensor_free(t);
            ad_tensor_free(copy);
        }
        ad_status status = AD_BAD_SHAPE;
        for (int j = 0; j < k && how == 1 && status; j++) /* two parameters, one tensor */
            status = ad_workspace_bind(s->workspace, k, s->states[j]);
        if (status)
            assert_int_equal(ad_workspace_bind(s->workspace, k, s->states[k]), AD_OK);
    }
}

static void end_side(side *s)
{
    for (int k = 0; k < ad_program_parameter_count(s->program); k++)
        ad_tensor_free(s->states[k]);
    ad_workspace_free(s->workspace);
    ad_program_free(s->program);
}

static void compare_tensors(const char *what, const ad_tensor *a, const ad_tensor *b)
{
    const int64_t n = ad_tensor_size(a);
    double *x = calloc((size_t)n * 2 + 1, sizeof *x);
    ad_tensor_read(a, x);
    ad_tensor_read(b, x + n);
    expect_same_bits(what, n, x, x + n);
    free(x);
}

static void compare_runs(side *a, side *b, int outputs, const char *what)
{
    static double x[LARGEST], y[LARGEST];
    char part[160];
    ad_status s = ad_run(a->workspace, NULL, NULL), r = ad_run(b->workspace, NULL, NULL);
    if (s != r)
        report("%s: %s (%s), without passes %s (%s)", what, ad_status_name(s),
               ad_workspace_error(a->workspace), ad_status_name(r),
               ad_workspace_error(b->workspace));
    for (int k = 0; k < outputs && !s && !r; k++) {
        ad_workspace_read(a->workspace, k, x);
        ad_workspace_read(b->workspace, k, y);
        snprintf(part, sizeof part, "%s: output %d", what, k);
        expect_same_bits(part, ad_program_output_size(a->program, k), x, y);
    }
    for (int k = 0; k < ad_program_parameter_count(a->program); k++) {
        snprintf(part, sizeof part, "%s: state %d", what, k);
        compare_tensors(part, a->states[k], b->states[k]);
    }
}

/* Another tensor for each input: one of its own, or that of a state, where there is one of the
 * shape. Side `a` reads it where it lies, b a copy. */
static void change_inputs(writer *w, side *a, side *b)
{
    const int states = ad_program_parameter_count(a->program);
    for (int k = 1; k < INPUTS; k++) {
        ad_tensor *own = wild_tensor(w, w->shapes[k]);
        const int j = choose(w, STATES);
        ad_status s = AD_BAD_SHAPE;
        if (j < states && !(s = ad_workspace_bind_input(a->workspace, k, a->states[j])))
            assert_int_equal(ad_workspace_set(b->workspace, k, b->states[j]), AD_OK);
        if (s) {
            s = ad_workspace_bind_input(a->workspace, k, own);
            assert_int_equal(ad_workspace_set(b->workspace, k, own), s);
        }
        ad_tensor_free(own); /* the workspace holds it */
    }
}

static void compare_program(int seed, unsigned passes, int how, const ad_context *context)
{
    writer w;
    ad_var out[OUTPUTS];
    char what[128];
    const ad_dtype dtype = seed % 2 ? AD_F32 : AD_F64;
    w = writer_of(seed, dtype);
    begin(&w, context);
    write_program(&w, 10 + choose(&w, 50));
    write_assignments(&w);
    const int outputs = 1 + choose(&w, OUTPUTS - 1);
    for (int k = 0; k < outputs; k++)
        out[k] = pick(&w);
    if (ad_tape_status(w.tape))
        report("seed %d: %s", seed, ad_tape_error(w.tape));
    side a = {0}, b = {0};
    begin_side(&a, &w, outputs, out, passes, how);
    begin_side(&b, &w, outputs, out, 0, how);
    for (int run = 0; run < RUNS && !failures; run++) {
        snprintf(what, sizeof what, "seed %d, %s, passes %u, binding %d, run %d", seed,
                 ad_dtype_name(dtype), passes, how, run);
        compare_runs(&a, &b, outputs, what);
        ad_workspace_set_scalar(a.workspace, 0, run);
        ad_workspace_set_scalar(b.workspace, 0, run);
        if (how == 3)
            change_inputs(&w, &a, &b);
    }
    end_side(&a);
    end_side(&b);
    end(&w);
}

static void planned_programs_give_the_same_bits(void **state)
{
    (void)state;
    begin_test();
    for (int seed = 0; seed < PROGRAMS && !failures; seed++)
        compare_program(seed, PASS_ALL, 0, NULL);
    end_test();
}

static void each_pass_alone_gives_the_same_bits(void **state)
{
    (void)state;
    begin_test();
    for (int seed = 0; seed < PROGRAMS && !failures; seed++)
        compare_program(PROGRAMS + seed, (unsigned)seed % PASS_ALL, 0, NULL);
    end_test();
}

static void tensors_that_a_plan_does_not_fit_give_the_same_bits(void **state)
{
    (void)state;
    begin_test();
    for (int seed = 0; seed < PROGRAMS && !failures; seed++)
        compare_program(2 * PROGRAMS + seed, PASS_ALL, 1 + seed / 2 % 2, NULL);
    end_test();
}

static void inputs_that_lie_elsewhere_give_the_same_bits(void **state)
{
    (void)state;
    begin_test();
    for (int seed = 0; seed < PROGRAMS && !failures; seed++)
        compare_program(4 * PROGRAMS + seed, PASS_ALL, 3, NULL);
    end_test();
}

static void threads_give_the_same_bits(void **state)
{
    (void)state;
    ad_context *context = ad_context_new(&(ad_context_config){.threads = 3});
    begin_test();
    for (int seed = 0; seed < PROGRAMS / 20 && !failures; seed++)
        compare_program(3 * PROGRAMS + seed, PASS_ALL, 0, context);
    end_test();
    ad_context_free(context);
}

static void what_is_also_read_turned_is_not_written_over(void **state)
{
    (void)state;
    const int64_t square[2] = {40, 40};
    double values[1600], got[2];
    for (int i = 0; i < 1600; i++)
        values[i] = sin(i);
    for (unsigned planned = 0; planned < 2; planned++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x = ad_input_array(t, AD_F64, 2, square, values), m = ad_matmul(x, x);
        ad_var y = ad_add(ad_sin(m), ad_transpose(m)), z = ad_sum(ad_square(ad_matmul(y, x)));
        ad_program *p = program_capture(t, 1, &x, 1, &z, AD_VALUES, planned ? PASS_ALL : 0);
        ad_workspace *w = ad_workspace_new(p);
        assert_int_equal(ad_run(w, NULL, &got[planned]), AD_OK);
        ad_workspace_free(w);
        ad_program_free(p);
        ad_tape_free(t);
    }
    assert_true(got[0] == got[1]);
}

/* ---- what plans look like ---- */

typedef struct network { /* x (8,5) - 7 - relu - 3, with Adam */
    ad_tape *tape;
    ad_param *w[4], *m[4], *v[4];
    ad_var in[2], out[2];
} network;

static ad_param *zeros(const char *name, int rank, const int64_t *sizes, bool trainable)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F32, rank, sizes);
    for (int64_t i = 0; trainable && i < ad_tensor_size(t); i++)
        ((float *)ad_tensor_data(t))[i] = (float)(i * 37 % 11) / 11 - .5f;
    return ad_param_new(name, t, trainable);
}

static void record_network(network *n, const ad_context *context, int batch)
{
    static const int64_t sizes[4][2] = {{5, 7}, {7, 0}, {7, 3}, {3, 0}};
    ad_var w[4], g[4], h;
    n->tape = ad_tape_new(context);
    ad_param *x = zeros("x", 2, (int64_t[]){batch, 5}, true);
    h = n->in[0] = ad_input_tensor(n->tape, ad_param_value(x));
    n->in[1] = ad_input(n->tape, .01);
    ad_param_free(x);
    for (int k = 0; k < 4; k++) {
        const int rank = 2 - k % 2;
        n->w[k] = zeros("w", rank, sizes[k], true);
        n->m[k] = zeros("m", rank, sizes[k], false);
        n->v[k] = zeros("v", rank, sizes[k], false);
        w[k] = ad_use(n->tape, n->w[k]);
        h = k % 2 ? ad_add(h, w[k]) : ad_matmul(k ? ad_relu(h) : h, w[k]);
    }
    n->out[0] = ad_mean(ad_square(ad_log_softmax(h, 1)));
    ad_gradients(n->out[0], 4, w, g);
    for (int k = 0; k < 4; k++) {
        ad_var m = ad_use(n->tape, n->m[k]), v = ad_use(n->tape, n->v[k]);
        ad_var m1 = ad_add(ad_mul(ad_constant(.9), m), ad_mul(ad_constant(.1), g[k]));
        ad_var v1 = ad_add(ad_mul(ad_constant(.99), v), ad_mul(ad_constant(.01), ad_square(g[k])));
        ad_assign(m, m1);
        ad_assign(v, v1);
        ad_var below = ad_add(ad_sqrt(v1), ad_constant(1e-8));
        ad_assign(w[k], ad_sub(w[k], ad_mul(n->in[1], ad_div(m1, below))));
    }
    n->out[1] = ad_norm_axes(n->in[0], 1, (int[]){0}, false); /* takes scratch memory, and late */
    assert_int_equal(ad_tape_status(n->tape), AD_OK);
}

static void free_network(network *n)
{
    ad_tape_free(n->tape);
    for (int k = 0; k < 4; k++) {
        ad_param_free(n->w[k]);
        ad_param_free(n->m[k]);
        ad_param_free(n->v[k]);
    }
}

static void an_update_is_one_pass_in_the_memory_of_its_states(void **state)
{
    (void)state;
    network n;
    record_network(&n, NULL, 8);
    ad_program *p = program_capture(n.tape, 2, n.in, 2, n.out, AD_VALUES, PASS_ALL);
    const plan *q = p->plan;
    assert_non_null(q);
    assert_int_equal(q->n_writes, 12);
    assert_int_equal(q->n_commits, 0);
    int updates = 0;
    for (uint32_t k = 0; k < q->n_steps; k++)
        if (q->steps[k].pass && q->steps[k].pass->n_out == 3)
            updates += q->steps[k].pass->n_ops == 1;
    assert_int_equal(updates, 4);
    ad_program_free(p);
    free_network(&n);
}

/* The gradient of each weight is gone before the next one comes. */
static void the_pool_holds_what_lives_at_one_time(void **state)
{
    (void)state;
    network n;
    record_network(&n, NULL, 64);
    ad_program *p = program_capture(n.tape, 2, n.in, 2, n.out, AD_VALUES, PASS_ALL),
               *apart =
                   program_capture(n.tape, 2, n.in, 2, n.out, AD_VALUES, PASS_ALL & ~PASS_REUSE);
    assert_true(p->plan->pool < apart->plan->pool / 3 * 2);
    ad_program_free(p);
    ad_program_free(apart);
    free_network(&n);
}

static void nothing_is_computed_for_the_gradient_of_data(void **state)
{
    (void)state;
    network n;
    record_network(&n, NULL, 8);
    ad_program *p = program_capture(n.tape, 2, n.in, 2, n.out, AD_VALUES, PASS_ALL);
    int products = 0;
    for (uint32_t i = 0; i < p->frame.n; i++) {
        const block *b = block_at(p->frame.nodes, i);
        products += b && is_product(b);
    }
    assert_int_equal(products,
                     5); /* two layers: 2 forward, 2 for weights, 1 for the data between */
    ad_program_free(p);
    free_network(&n);
}

static void what_is_written_twice_is_computed_once(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double values[6] = {1, 2, 3, 4, 5, 6};
    ad_var x = ad_input_array(t, AD_F64, 2, (int64_t[]){2, 3}, values), first = ad_exp(x);
    ad_var turned[2] = {ad_permute(x, (int[]){1, 0}), ad_permute(x, (int[]){1, 0})};
    ad_var y = ad_add(ad_matmul(first, turned[0]), ad_matmul(ad_exp(x), turned[1]));
    ad_program *p = program_capture(t, 1, &x, 1, &y, AD_VALUES, PASS_ALL);
    assert_int_equal(p->plan->n_products, 1);
    assert_int_equal(p->plan->n_fused, 2);
    ad_program_free(p);
    ad_tape_free(t);
}

/* Sum and mean of what a pass computes, and its gradient; gives how many sums the pass takes. */
static uint32_t total_of_chain(int64_t n, ad_dtype dtype, unsigned passes,
                               const ad_context *context, double out[3])
{
    ad_tape *t = ad_tape_new(context);
    double *values = calloc((size_t)n, sizeof *values);
    for (int64_t i = 0; values && i < n; i++)
        values[i] = (double)((i * 7919) % 1009) / 500 - 1;
    ad_tensor *v = ad_tensor_new(NULL, AD_F64, 1, &n);
    memcpy(ad_tensor_data(v), values, (size_t)n * sizeof *values);
    ad_var x = ad_input_tensor(t, v), like = dtype == AD_F64 ? x : ad_cast(x, dtype);
    ad_var y[3] = {ad_sum(ad_tanh(like)), ad_mean(ad_exp(ad_mul(like, like))), {0}};
    ad_gradients(y[0], 1, &x, &y[2]);
    y[2] = ad_sum(y[2]);
    ad_program *p = program_capture(t, 1, &x, 3, y, AD_VALUES, passes);
    ad_workspace *w = ad_workspace_new(p);
    assert_int_equal(ad_run(w, NULL, out), AD_OK);
    const uint32_t sums = p->plan ? p->plan->n_sums : 0;
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tensor_free(v);
    ad_tape_free(t);
    free(values);
    return sums;
}

static void sums_are_taken_where_their_elements_are_computed(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 8, 255, 257, 512, 513, 1025, 4000, 66000, 200000};
    ad_context *context = ad_context_new(&(ad_context_config){.threads = 3});
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
            double with[3], without[3], threads[3];
            const uint32_t sums =
                dtype == AD_F64 ? 3 : 2; /* what a cast gives is summed by itself */
            assert_int_equal(total_of_chain(sizes[k], (ad_dtype)dtype, PASS_ALL, NULL, with), sums);
            assert_int_equal(
                total_of_chain(sizes[k], (ad_dtype)dtype, PASS_ALL & ~PASS_SUM, NULL, without), 0);
            total_of_chain(sizes[k], (ad_dtype)dtype, PASS_ALL, context, threads);
            assert_memory_equal(with, without, sizeof with);
            assert_memory_equal(with, threads, sizeof with);
        }
    ad_context_free(context);
}

/* The updates of nn, with and without what their settings add, as loops over memory. */
static void updates_of_optimizers_are_one_loop(void **state)
{
    (void)state;
    nn_optimizer all[] = {nn_sgd(.1),  nn_sgd(.1),    nn_sgd(.1),     nn_adam(0),
                          nn_adamw(0), nn_rmsprop(0), nn_adagrad(.1), nn_adam(0)};
    all[1].momentum = all[2].momentum = .9;
    all[2].nesterov = true;
    all[7].keras = true;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        nn_error error = {0};
        ad_tape *t = ad_tape_new(NULL);
        ad_param *param = zeros("w", 2, (int64_t[]){8, 5}, true);
        nn_moments *moments = nn_moments_new(&all[k], 1, &param, NULL, &error);
        ad_var w = ad_use(t, param), in[2] = {ad_input(t, .1)}, out = ad_sum(w);
        in[1] = ad_input_tensor(t, ad_param_value(param)); /* the gradient */
        assert_int_equal(nn_record_step(moments, t, &w, &in[1], in, NULL), AD_OK);
        ad_program *p = program_capture(t, 2, in, 1, &out, AD_VALUES, PASS_ALL);
        const fused *pass = NULL;
        for (uint32_t j = 0; j < p->plan->n_steps; j++)
            pass = p->plan->steps[j].pass ? p->plan->steps[j].pass : pass;
        if (p->plan->n_fused != 1 || !pass || pass->n_ops != 1 || pass->n_stores)
            fail_msg("optimizer %d: %d passes, %d loops", (int)k, (int)p->plan->n_fused,
                     pass ? (int)pass->n_ops : 0);
        ad_program_free(p);
        nn_moments_free(moments);
        ad_param_free(param);
        ad_tape_free(t);
    }
}

static void programs_that_are_watched_or_swept_back_have_no_plan(void **state)
{
    (void)state;
    ad_context *watching = ad_context_new(&(ad_context_config){.check_finite = true});
    for (int k = 0; k < 2; k++) {
        network n;
        record_network(&n, k ? watching : NULL, 8);
        ad_program *p = ad_program_capture(n.tape, 2, n.in, 2, n.out, k ? AD_VALUES : AD_GRADIENT);
        assert_non_null(p);
        assert_null(p->plan);
        ad_program_free(p);
        free_network(&n);
    }
    ad_context_free(watching);
}

/* ---- compounds ---- */

typedef struct operands {
    ad_var v[COMPOUND_VECTORS], s[COMPOUND_SCALARS];
} operands;

/* compounds.def read as expression code: writes the results, gives their number */
#define v0            o->v[0]
#define v1            o->v[1]
#define v2            o->v[2]
#define v3            o->v[3]
#define s0            o->s[0]
#define s1            o->s[1]
#define s2            o->s[2]
#define s3            o->s[3]
#define s4            o->s[4]
#define s5            o->s[5]
#define s6            o->s[6]
#define y0            y[0]
#define y1            y[1]
#define op(name, ...) (ad_##name)(__VA_ARGS__)
static int write_compound(int which, const operands *o, ad_var *y)
{
    switch (which) {
#define COMPOUND1(name, V, S, text)                                                                \
    case COMPOUND_##name:                                                                          \
        y[0] = text;                                                                               \
        return 1;
#define COMPOUND2(name, V, S, text0, text1)                                                        \
    case COMPOUND_##name:                                                                          \
        y[0] = text0, y[1] = text1;                                                                \
        return 2;
#define COMPOUND3(name, V, S, text0, text1, text2)                                                 \
    case COMPOUND_##name:                                                                          \
        y[0] = text0, y[1] = text1, y[2] = text2;                                                  \
        return 3;
#include "compounds.def"
    }
    return 0;
}
#undef v0
#undef v1
#undef v2
#undef v3
#undef s0
#undef s1
#undef s2
#undef s3
#undef s4
#undef s5
#undef s6
#undef y0
#undef y1
#undef op

/* One pass of one loop, on vectors of this length; the first vector is assigned the last result. */
static void compare_compound(int which, ad_dtype dtype, int64_t length)
{
    enum { V = COMPOUND_VECTORS, S = COMPOUND_SCALARS };
    writer w = {.state = (uint64_t)(which * 7) + (uint64_t)length, .dtype = dtype};
    w.tape = ad_tape_new(NULL);
    const shape line = {1, {length}};
    ad_var y[COMPOUND_RESULTS];
    operands o;
    ad_param *state = ad_param_new("s", wild_tensor(&w, &line), true);
    for (int k = 0; k < V; k++) {
        ad_tensor *value = wild_tensor(&w, &line);
        w.in[k] = ad_input_tensor(w.tape, value);
        o.v[k] = k ? w.in[k] : ad_use(w.tape, state);
        ad_tensor_free(value);
    }
    w.in[V] = ad_input(w.tape, .7);
    w.in[V + 1] = ad_input(w.tape, 1);
    for (int k = 0; k < S; k++)
        o.s[k] = k % 2 ? ad_constant(.25 * k) : ad_mul(w.in[V], ad_constant(k + 1));
    const int n = write_compound(which, &o, y);
    ad_assign(o.v[0], y[n - 1]);
    char what[96];
    snprintf(what, sizeof what, "compound %d, %s, %lld elements", which, ad_dtype_name(dtype),
             (long long)length);
    side a = {0}, b = {0};
    begin_side(&a, &w, n - 1, y, PASS_ALL, 0);
    begin_side(&b, &w, n - 1, y, 0, 0);
    bool found = false;
    for (uint32_t k = 0; k < a.program->plan->n_steps; k++) {
        const fused *p = a.program->plan->steps[k].pass;
        found |= p && p->n_ops == 1 && p->ops[0].code == AD_OP_COUNT_ + which && !p->n_stores;
    }
    if (!found)
        report("%s is not found", what);
    compare_runs(&a, &b, n - 1, what);
    end_side(&a);
    end_side(&b);
    ad_tape_free(w.tape);
    ad_param_free(state);
}

static void every_compound_is_found_and_gives_the_same_bits(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 5, 64, 700};
    begin_test();
    for (int k = 0; k < COMPOUNDS; k++)
        for (int j = 0; j < 8; j++)
            compare_compound(k, j % 2 ? AD_F32 : AD_F64, lengths[j / 2]);
    end_test();
}

/* ---- memory ---- */

static double weight_sum(const network *n)
{
    double sum = 0;
    for (int k = 0; k < 4; k++)
        for (int64_t i = 0; i < ad_tensor_size(ad_param_value(n->w[k])); i++)
            sum += (double)((const float *)ad_tensor_data(ad_param_value(n->w[k])))[i] *
                   (double)(i + 1);
    return sum;
}

static void a_run_that_lacks_memory_changes_no_state(void **state)
{
    (void)state;
    bool ran = false;
    for (long k = 0; !ran && k < 1000; k++) {
        probe memory;
        ad_allocator allocator = probe_allocator(&memory, false);
        ad_context *context = ad_context_new(&(ad_context_config){.allocator = &allocator});
        network n;
        record_network(&n, context, 3000);
        ad_program *p = ad_program_capture(n.tape, 2, n.in, 2, n.out, AD_VALUES);
        ad_workspace *w = ad_workspace_new(p);
        const double before = weight_sum(&n);
        memory.fail_at = memory.calls + k;
        ran = ad_run(w, NULL, NULL) == AD_OK;
        assert_int_equal(weight_sum(&n) != before, ran);
        memory.fail_at = -1;
        assert_int_equal(ad_run(w, NULL, NULL), AD_OK);
        const long calls = memory.calls;
        assert_int_equal(ad_run(w, NULL, NULL), AD_OK);
        assert_int_equal(memory.calls, calls);
        ad_workspace_free(w);
        ad_program_free(p);
        free_network(&n);
        ad_context_free(context);
        assert_int_equal(memory.blocks, 0);
    }
    assert_true(ran);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(planned_programs_give_the_same_bits),
        cmocka_unit_test(each_pass_alone_gives_the_same_bits),
        cmocka_unit_test(inputs_that_lie_elsewhere_give_the_same_bits),
        cmocka_unit_test(what_is_also_read_turned_is_not_written_over),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(an_update_is_one_pass_in_the_memory_of_its_states),
        cmocka_unit_test(the_pool_holds_what_lives_at_one_time),
        cmocka_unit_test(nothing_is_computed_for_the_gradient_of_data),
        cmocka_unit_test(what_is_written_twice_is_computed_once),
        cmocka_unit_test(updates_of_optimizers_are_one_loop),
        cmocka_unit_test(programs_that_are_watched_or_swept_back_have_no_plan),
        cmocka_unit_test(sums_are_taken_where_their_elements_are_computed),
        cmocka_unit_test(every_compound_is_found_and_gives_the_same_bits),
        cmocka_unit_test(a_run_that_lacks_memory_changes_no_state),
        cmocka_unit_test(tensors_that_a_plan_does_not_fit_give_the_same_bits),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
