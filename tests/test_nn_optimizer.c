/* test_nn_optimizer.c - optimizer rules against golden paths, L-BFGS, and schedules
 *
 * data/optimizers.csv holds the paths; optimizer_goldens.py made it and compares it with PyTorch.
 */
#include "allocator.h"
#include "expect.h"
#include "nn.h"

#include <limits.h>
#include <stdio.h>

static void failed_at(const nn_error *error, ad_status got, ad_status want, const char *part,
                      int line)
{
    if (got != want || error->status != want)
        fail_msg("line %d: got %s and in the error %s (%s), want %s", line, ad_status_name(got),
                 ad_status_name(error->status), error->text, ad_status_name(want));
    if (!strstr(error->text, part))
        fail_msg("line %d: got \"%s\", want \"%s\" in it", line, error->text, part);
}
#define FAILED(error, got, want, part) failed_at(error, got, want, part, __LINE__)

static void within_at(double got, double want, double tolerance, const char *what, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %s: got %.17g, want %.17g within %g", line, what, got, want, tolerance);
}
#define WITHIN(got, want, tolerance) within_at(got, want, tolerance, #got, __LINE__)

/* ---- one parameter and what moves it ---- */

enum { STEPS = 30, KEPT = 10, PATHS = 27 };
static const int kept[KEPT] = {1, 2, 3, 4, 5, 10, 11, 12, 20, 30};

struct walker {
    ad_param *p;
    nn_moments *moments;
    ad_var (*loss)(ad_var w);
};

static ad_param *param_of(const char *name, ad_dtype dtype, int64_t n, const double *values)
{
    ad_tensor *value = ad_tensor_new(NULL, dtype, 1, &n);
    assert_non_null(value);
    assert_int_equal(ad_tensor_write(value, values), AD_OK);
    return ad_param_new(name, value, true);
}

static struct walker walker_of(const nn_optimizer *o, ad_dtype dtype, const double start[2],
                               ad_var (*loss)(ad_var w))
{
    nn_error error = {0};
    struct walker walker = {param_of("w", dtype, 2, start), NULL, loss};
    walker.moments = nn_moments_new(o, 1, &walker.p, NULL, &error);
    if (!walker.moments)
        fail_msg("no moments: %s", error.text);
    return walker;
}

static void free_walker(struct walker *walker)
{
    nn_moments_free(walker->moments);
    ad_param_free(walker->p);
}

static ad_var element(ad_var w, int64_t i) { return ad_at(w, &i); }

static ad_var golden_loss(ad_var w)
{
    ad_var x = element(w, 0), y = element(w, 1);
    ad_var bowl = ad_add(ad_mul(.5, ad_square(x)), ad_mul(2, ad_square(y)));
    return ad_add(bowl, ad_sin(ad_mul(x, y)));
}

static ad_var ill_conditioned(ad_var w)
{
    return ad_add(ad_mul(50, ad_square(element(w, 0))), ad_mul(.5, ad_square(element(w, 1))));
}

static ad_var record(const struct walker *walker, ad_tape *t, ad_var rate)
{
    ad_var w = ad_use(t, walker->p), g, updated, loss = walker->loss(w);
    ad_gradients(loss, 1, &w, &g);
    STATUS(nn_record_step(walker->moments, t, &w, &g, &rate, &updated), AD_OK, t);
    return updated;
}

static void eager_step(const struct walker *walker, double rate)
{
    ad_tape *t = ad_tape_new(NULL);
    double updated[2], value[2];
    ad_var after = record(walker, t, ad_input(t, rate));
    STATUS(ad_read(after, updated), AD_OK, t);
    STATUS(ad_commit(t), AD_OK, t);
    ad_tensor_read(ad_param_value(walker->p), value);
    assert_memory_equal(updated, value, sizeof value);
    ad_tape_free(t);
}

static ad_program *program_of(const struct walker *walker)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var rate = ad_input(t, 0), updated = record(walker, t, rate);
    ad_program *program = ad_program_capture(t, 1, &rate, 1, &updated, AD_VALUES);
    if (!program)
        fail_msg("no program: %s", ad_tape_error(t));
    ad_tape_free(t);
    return program;
}

/* points[k]: the parameter after step k + 1; the rate is halved after step 10 */
static void walk(const struct walker *walker, bool replayed, double rate, double (*points)[2])
{
    ad_program *program = replayed ? program_of(walker) : NULL;
    ad_workspace *workspace = replayed ? ad_workspace_new(program) : NULL;
    for (int k = 0; k < STEPS; k++) {
        const double now = k < 10 ? rate : rate / 2;
        if (replayed)
            RAN(ad_run(workspace, &now, NULL), AD_OK, workspace);
        else
            eager_step(walker, now);
        ad_tensor_read(ad_param_value(walker->p), points[k]);
    }
    ad_workspace_free(workspace);
    ad_program_free(program);
}

/* ---- golden paths ---- */

struct path {
    const char *name;
    nn_optimizer o;
};

/* a preset with the number at that offset changed */
static nn_optimizer with(nn_optimizer o, size_t at, double value)
{
    memcpy((char *)&o + at, &value, sizeof value);
    return o;
}
#define WITH(preset, field, value) with(preset, offsetof(nn_optimizer, field), value)

static void torch_paths(struct path *paths)
{
    nn_optimizer centred = WITH(nn_rmsprop(.05), momentum, .9), top = WITH(nn_adam(.05), beta2, .9);
    centred.centred = true;
    top.amsgrad = true;
    const struct path all[] = {
        {"torch.sgd", nn_sgd(.05)},
        {"torch.sgd_m09", nn_momentum(.05, .9)},
        {"torch.sgd_nesterov", nn_nesterov(.05, .9)},
        {"torch.sgd_m09_damp05", WITH(nn_momentum(.05, .9), dampening, .5)},
        {"torch.sgd_wd01", WITH(nn_sgd(.05), coupled_decay, .1)},
        {"torch.adagrad", nn_adagrad(.05)},
        {"torch.rmsprop", nn_rmsprop(.05)},
        {"torch.rmsprop_centered_m09", centred},
        {"torch.adadelta", nn_adadelta(0)},
        {"torch.adam", nn_adam(.05)},
        {"torch.adam_wd01", WITH(nn_adam(.05), coupled_decay, .1)},
        {"torch.adamw_wd01", WITH(nn_adamw(.05), decoupled_decay, .1)},
        {"torch.adam_b2_09", WITH(nn_adam(.05), beta2, .9)},
        {"torch.adam_b2_09_amsgrad", top},
        {"torch.adamax", nn_adamax(.05)},
        {"torch.adamax_eps001", WITH(nn_adamax(.05), epsilon, 1e-2)},
        {"torch.nadam", nn_nadam(.05)},
    };
    memcpy(paths, all, sizeof all);
}

static void keras_paths(struct path *paths)
{
    nn_optimizer nesterov = WITH(nn_keras(NN_SGD), momentum, .9),
                 adamw = WITH(nn_keras(NN_ADAM), epsilon, 1e-3);
    nesterov.nesterov = true;
    nn_optimizer momentum = WITH(nn_keras(NN_SGD), momentum, .9);
    const struct path all[] = {
        {"keras.sgd_m09", momentum},
        {"keras.sgd_nesterov", nesterov},
        {"keras.sgd_wd001_m09", WITH(momentum, decoupled_decay, .01)},
        {"keras.adagrad", nn_keras(NN_ADAGRAD)},
        {"keras.rmsprop", nn_keras(NN_RMSPROP)},
        {"keras.adadelta", nn_keras(NN_ADADELTA)},
        {"keras.adam_eps0001", adamw},
        {"keras.adamw_wd0004_eps0001", WITH(adamw, decoupled_decay, .004)},
        {"keras.adamax_eps001", WITH(nn_keras(NN_ADAMAX), epsilon, 1e-2)},
        {"keras.nadam_eps0001", WITH(nn_keras(NN_NADAM), epsilon, 1e-3)},
    };
    memcpy(paths, all, sizeof all);
}

static void all_paths(struct path paths[PATHS])
{
    torch_paths(paths);
    keras_paths(paths + 17);
}

static double golden_rate(const struct path *path)
{
    return strstr(path->name, "adadelta") ? 1 : .05;
}

/* goldens[i][k]: of paths[i] after step kept[k] */
static void read_goldens(const struct path *paths, double (*goldens)[KEPT][2])
{
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/tests/data/optimizers.csv", "r");
    char line[128], name[64];
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (int i = 0; i < PATHS * KEPT; i++) {
        int step;
        double *at = goldens[i / KEPT][i % KEPT];
        assert_non_null(fgets(line, sizeof line, file));
        assert_int_equal(sscanf(line, "%63[^,],%d,%lf,%lf", name, &step, at, at + 1), 4);
        assert_string_equal(name, paths[i / KEPT].name);
        assert_int_equal(step, kept[i % KEPT]);
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void every_rule_walks_its_golden_path(void **state)
{
    (void)state;
    struct path paths[PATHS];
    double goldens[PATHS][KEPT][2], points[STEPS][2];
    all_paths(paths);
    read_goldens(paths, goldens);
    for (int i = 0; i < PATHS; i++) {
        struct walker walker = walker_of(&paths[i].o, AD_F64, (const double[]){1, 2}, golden_loss);
        walk(&walker, true, golden_rate(&paths[i]), points);
        for (int k = 0; k < 2 * KEPT; k++) {
            double got = points[kept[k / 2] - 1][k % 2], want = goldens[i][k / 2][k % 2];
            if (!(fabs(got - want) <= 1e-12))
                fail_msg("%s, step %d, coordinate %d: got %.17g, want %.17g", paths[i].name,
                         kept[k / 2], k % 2, got, want);
        }
        free_walker(&walker);
    }
}

static void every_two_golden_paths_differ(void **state)
{
    (void)state;
    struct path paths[PATHS];
    double goldens[PATHS][KEPT][2];
    all_paths(paths);
    read_goldens(paths, goldens);
    for (int i = 0; i < PATHS; i++)
        for (int j = 0; j < i; j++) {
            double gap = 0;
            for (int k = 0; k < 2 * KEPT; k++)
                gap = fmax(gap, fabs(goldens[i][k / 2][k % 2] - goldens[j][k / 2][k % 2]));
            if (!(gap > 1e-6))
                fail_msg("%s and %s differ by %g only", paths[i].name, paths[j].name, gap);
        }
}

static void replayed_steps_are_eager_steps_bit_for_bit(void **state)
{
    (void)state;
    struct path paths[PATHS];
    double eager[STEPS][2], replayed[STEPS][2];
    all_paths(paths);
    for (int i = 0; i < 2 * PATHS; i++) {
        for (int way = 0; way < 2; way++) {
            struct walker walker = walker_of(&paths[i / 2].o, i % 2 ? AD_F32 : AD_F64,
                                             (const double[]){1, 2}, golden_loss);
            walk(&walker, way, golden_rate(&paths[i / 2]), way ? replayed : eager);
            free_walker(&walker);
        }
        if (memcmp(eager, replayed, sizeof eager))
            fail_msg("%s: replayed otherwise", paths[i / 2].name);
    }
}

static void float_parameters_follow_the_double_ones(void **state)
{
    (void)state;
    struct path paths[PATHS];
    double doubles[STEPS][2], floats[STEPS][2];
    all_paths(paths);
    for (int i = 0; i < PATHS; i++) {
        for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
            struct walker walker =
                walker_of(&paths[i].o, (ad_dtype)dtype, (const double[]){1, 2}, golden_loss);
            walk(&walker, true, golden_rate(&paths[i]), dtype == AD_F32 ? floats : doubles);
            assert_int_equal(ad_tensor_dtype(ad_param_value(walker.p)), dtype);
            free_walker(&walker);
        }
        for (int k = 0; k < 2 * STEPS; k++)
            if (!(fabs(floats[k / 2][k % 2] - doubles[k / 2][k % 2]) <= 2e-5))
                fail_msg("%s, step %d: got %.9g in float, %.9g in double", paths[i].name, k / 2 + 1,
                         floats[k / 2][k % 2], doubles[k / 2][k % 2]);
    }
}

/* ---- moments ---- */

static void copy_moments(nn_moments *to, const nn_moments *from)
{
    assert_int_equal(nn_moments_count(to), nn_moments_count(from));
    for (int i = 0; i < nn_moments_count(to); i++) {
        ad_param *a = nn_moments_at(to, i), *b = nn_moments_at(from, i);
        assert_string_equal(ad_param_name(a), ad_param_name(b));
        assert_int_equal(ad_tensor_copy(ad_param_value(a), ad_param_value(b)), AD_OK);
    }
}

static void steps_resumed_from_copied_moments_have_the_same_bits(void **state)
{
    (void)state;
    struct path paths[PATHS];
    all_paths(paths);
    for (int i = 0; i < PATHS; i++) {
        struct walker a = walker_of(&paths[i].o, AD_F32, (const double[]){1, 2}, golden_loss);
        for (int k = 0; k < 7; k++)
            eager_step(&a, .05);
        double at[2], end[2][2];
        ad_tensor_read(ad_param_value(a.p), at);
        struct walker b = walker_of(&paths[i].o, AD_F32, at, golden_loss);
        copy_moments(b.moments, a.moments);
        for (int k = 0; k < 7; k++) {
            eager_step(&a, .05);
            eager_step(&b, .05);
        }
        ad_tensor_read(ad_param_value(a.p), end[0]);
        ad_tensor_read(ad_param_value(b.p), end[1]);
        if (memcmp(end[0], end[1], sizeof end[0]))
            fail_msg("%s resumed otherwise", paths[i].name);
        EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(b.moments, 0)), NULL), 14);
        free_walker(&a);
        free_walker(&b);
    }
}

static void moments_are_called_as_in_pytorch(void **state)
{
    (void)state;
    nn_optimizer all = WITH(nn_rmsprop(0), momentum, .9), top = nn_adam(0);
    all.centred = true;
    top.amsgrad = true;
    const struct {
        nn_optimizer o;
        const char *names[5];
    } cases[] = {
        {nn_sgd(0), {"step"}},
        {nn_momentum(0, .9), {"step", "momentum_buffer.0.weight"}},
        {nn_adagrad(0), {"step", "sum.0.weight"}},
        {nn_rmsprop(0), {"step", "square_avg.0.weight"}},
        {all, {"step", "square_avg.0.weight", "momentum_buffer.0.weight", "grad_avg.0.weight"}},
        {nn_adadelta(0), {"step", "square_avg.0.weight", "acc_delta.0.weight"}},
        {nn_adam(0), {"step", "exp_avg.0.weight", "exp_avg_sq.0.weight"}},
        {top, {"step", "exp_avg.0.weight", "exp_avg_sq.0.weight", "max_exp_avg_sq.0.weight"}},
        {nn_adamax(0), {"step", "exp_avg.0.weight", "exp_inf.0.weight"}},
        {nn_nadam(0), {"step", "mu_product", "exp_avg.0.weight", "exp_avg_sq.0.weight"}},
    };
    const int64_t shape[2] = {2, 3};
    ad_param *p = ad_param_new("0.weight", ad_tensor_new(NULL, AD_F32, 2, shape), true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nn_moments *m = nn_moments_new(&cases[i].o, 1, &p, NULL, NULL);
        int n = 0;
        for (; cases[i].names[n]; n++) {
            ad_param *at = nn_moments_at(m, n);
            assert_non_null(at);
            assert_string_equal(ad_param_name(at), cases[i].names[n]);
            assert_false(ad_param_trainable(at));
            bool shared = !strchr(cases[i].names[n], '.');
            assert_int_equal(ad_tensor_rank(ad_param_value(at)), shared ? 0 : 2);
            assert_int_equal(ad_tensor_dtype(ad_param_value(at)), shared ? AD_F64 : AD_F32);
        }
        assert_int_equal(nn_moments_count(m), n);
        assert_null(nn_moments_at(m, n));
        assert_null(nn_moments_at(m, -1));
        nn_moments_free(m);
    }
    ad_param_free(p);
}

static void initial_values_fill_the_moments(void **state)
{
    (void)state;
    const double start[2] = {1, 2};
    const nn_optimizer adagrad = nn_keras(NN_ADAGRAD), nadam = nn_nadam(0);
    struct walker a = walker_of(&adagrad, AD_F64, start, golden_loss),
                  b = walker_of(&nadam, AD_F64, start, golden_loss);
    EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(a.moments, 1)), (const int64_t[]){1}), .1);
    EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(b.moments, 1)), NULL), 1);
    EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(b.moments, 2)), (const int64_t[]){1}), 0);
    free_walker(&a);
    free_walker(&b);
}

/* ---- several parameters ---- */

static void step_two(nn_moments *moments, ad_param *const p[2], bool one_rate)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var w[2] = {ad_use(t, p[0]), ad_use(t, p[1])}, g[2], updated[2];
    ad_gradients(ad_add(golden_loss(w[0]), golden_loss(w[1])), 2, w, g);
    ad_var rates[2] = {ad_input(t, .05), ad_input(t, .1)};
    if (one_rate)
        rates[1] = rates[0];
    STATUS(nn_record_step(moments, t, w, g, rates, updated), AD_OK, t);
    STATUS(ad_commit(t), AD_OK, t);
    ad_tape_free(t);
}

static void each_parameter_moves_at_its_own_rate(void **state)
{
    (void)state;
    struct path paths[PATHS];
    const double start[2] = {1, 2};
    all_paths(paths);
    for (int i = 0; i < 2 * PATHS; i++) {
        const bool one_rate = i % 2;
        const nn_optimizer *o = &paths[i / 2].o;
        ad_param *p[2] = {param_of("a", AD_F64, 2, start), param_of("b", AD_F64, 2, start)};
        nn_moments *both = nn_moments_new(o, 2, p, NULL, NULL);
        struct walker alone[2] = {walker_of(o, AD_F64, start, golden_loss),
                                  walker_of(o, AD_F64, start, golden_loss)};
        for (int k = 0; k < 5; k++) {
            step_two(both, p, one_rate);
            eager_step(&alone[0], .05);
            eager_step(&alone[1], one_rate ? .05 : .1);
        }
        for (int k = 0; k < 2; k++) {
            double got[2], want[2];
            ad_tensor_read(ad_param_value(p[k]), got);
            ad_tensor_read(ad_param_value(alone[k].p), want);
            EQUAL(got[0], want[0]);
            EQUAL(got[1], want[1]);
            ad_param_free(p[k]);
            free_walker(&alone[k]);
        }
        nn_moments_free(both);
    }
}

static void no_parameters_are_no_error(void **state)
{
    (void)state;
    nn_error error = {0};
    const nn_optimizer o = nn_nadam(0);
    nn_moments *m = nn_moments_new(&o, 0, NULL, NULL, &error);
    assert_non_null(m);
    ad_tape *t = ad_tape_new(NULL);
    STATUS(nn_record_step(m, t, NULL, NULL, NULL, NULL), AD_OK, t);
    STATUS(ad_commit(t), AD_OK, t);
    EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(m, 0)), NULL), 1);
    ad_tape_free(t);
    nn_moments_free(m);
}

/* ---- what the rules are for ---- */

static void every_rule_goes_down_an_ill_conditioned_valley(void **state)
{
    (void)state;
    const nn_optimizer all[] = {
        nn_sgd(0),
        nn_momentum(0, .9),
        nn_nesterov(0, .9),
        nn_adagrad(.1),
        nn_rmsprop(0),
        nn_adadelta(0),
        nn_adam(.01),
        nn_adamw(.01),
        nn_adamax(.01),
        nn_nadam(.01),
        WITH(nn_keras(NN_SGD), momentum, .9),
        WITH(nn_keras(NN_ADAGRAD), rate, .1),
        WITH(nn_keras(NN_RMSPROP), rate, .01),
        WITH(nn_keras(NN_ADADELTA), rate, 5),
        WITH(nn_keras(NN_ADAM), rate, .01),
        WITH(nn_keras(NN_ADAMAX), rate, .01),
        WITH(nn_keras(NN_NADAM), rate, .01),
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct walker walker = walker_of(&all[i], AD_F32, (const double[]){1, 1}, ill_conditioned);
        ad_program *program = program_of(&walker);
        ad_workspace *workspace = ad_workspace_new(program);
        for (int k = 0; k < 400; k++)
            RAN(ad_run(workspace, &all[i].rate, NULL), AD_OK, workspace);
        double w[2];
        ad_tensor_read(ad_param_value(walker.p), w);
        double loss = 50 * w[0] * w[0] + .5 * w[1] * w[1];
        if (!(loss < .5)) /* of 50.5 */
            fail_msg("optimizer %zu: loss %g at (%g, %g)", i, loss, w[0], w[1]);
        ad_workspace_free(workspace);
        ad_program_free(program);
        free_walker(&walker);
    }
}

static ad_var slope_of_a_third(ad_var w) { return ad_mul(1. / 3, ad_sum(w)); }

static void a_variance_of_gradients_all_alike_is_no_root_of_a_negative(void **state)
{
    (void)state;
    nn_optimizer o = nn_rmsprop(1e-6);
    o.centred = true;
    o.alpha = .5;
    struct walker walker = walker_of(&o, AD_F32, (const double[]){1, 2}, slope_of_a_third);
    for (int k = 0; k < 100; k++)
        eager_step(&walker, 1e-12);
    double w[2];
    ad_tensor_read(ad_param_value(walker.p), w);
    assert_true(isfinite(w[0]) && isfinite(w[1]));
    free_walker(&walker);
}

static void keras_momentum_of_rmsprop_keeps_the_rate_inside(void **state)
{
    (void)state;
    nn_optimizer o = nn_keras(NN_RMSPROP);
    o.momentum = .5;
    o.centred = true;
    struct walker walker = walker_of(&o, AD_F64, (const double[]){3, 2}, slope_of_a_third);
    double v = 0, m = 0, b = 0, w = 3;
    const double g = 1. / 3, rates[3] = {.1, .1, .01};
    for (int k = 0; k < 3; k++) {
        eager_step(&walker, rates[k]);
        v = .9 * v + .1 * g * g;
        m = .9 * m + .1 * g;
        b = .5 * b + rates[k] * g / sqrt(v - m * m + 1e-7);
        w -= b;
        WITHIN(ad_tensor_get(ad_param_value(walker.p), (const int64_t[]){0}), w, 1e-14);
    }
    free_walker(&walker);
}

static void decays_apply_in_every_rule(void **state)
{
    (void)state;
    struct path paths[PATHS];
    all_paths(paths);
    for (int i = 0; i < PATHS; i++) {
        nn_optimizer o = paths[i].o;
        double coupled[2], plain[2], decoupled[2], *const ends[3] = {plain, coupled, decoupled};
        for (int k = 0; k < 3; k++) {
            o.coupled_decay = k == 1 ? .1 : 0;
            o.decoupled_decay = k == 2 ? .1 : 0;
            struct walker walker = walker_of(&o, AD_F64, (const double[]){1, 2}, golden_loss);
            eager_step(&walker, .05);
            eager_step(&walker, .05);
            ad_tensor_read(ad_param_value(walker.p), ends[k]);
            free_walker(&walker);
        }
        assert_true(fabs(coupled[0] - plain[0]) > 1e-9);
        assert_true(fabs(decoupled[0] - plain[0]) > 1e-4);
    }
}

/* ---- presets ---- */

static void presets_have_the_documented_defaults(void **state)
{
    (void)state;
    const struct {
        nn_optimizer o;
        double rate, alpha, beta1, beta2, epsilon, decoupled, initial, psi;
        bool keras;
    } cases[] = {
        {nn_sgd(0), .01, 0, 0, 0, 0, 0, 0, 0, false},
        {nn_sgd(.5), .5, 0, 0, 0, 0, 0, 0, 0, false},
        {nn_adagrad(0), .01, 0, 0, 0, 1e-10, 0, 0, 0, false},
        {nn_rmsprop(0), .01, .99, 0, 0, 1e-8, 0, 0, 0, false},
        {nn_adadelta(0), 1, .9, 0, 0, 1e-6, 0, 0, 0, false},
        {nn_adam(0), .001, 0, .9, .999, 1e-8, 0, 0, 0, false},
        {nn_adamw(0), .001, 0, .9, .999, 1e-8, .01, 0, 0, false},
        {nn_adamax(0), .002, 0, .9, .999, 1e-8, 0, 0, 0, false},
        {nn_nadam(0), .002, 0, .9, .999, 1e-8, 0, 0, .004, false},
        {nn_keras(NN_SGD), .01, 0, 0, 0, 0, 0, 0, 0, true},
        {nn_keras(NN_ADAGRAD), .001, 0, 0, 0, 1e-7, 0, .1, 0, true},
        {nn_keras(NN_RMSPROP), .001, .9, 0, 0, 1e-7, 0, 0, 0, true},
        {nn_keras(NN_ADADELTA), .001, .95, 0, 0, 1e-7, 0, 0, 0, true},
        {nn_keras(NN_ADAM), .001, 0, .9, .999, 1e-7, 0, 0, 0, true},
        {nn_keras(NN_ADAMAX), .001, 0, .9, .999, 1e-7, 0, 0, 0, true},
        {nn_keras(NN_NADAM), .001, 0, .9, .999, 1e-7, 0, 0, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nn_optimizer *o = &cases[i].o;
        EQUAL(o->rate, cases[i].rate);
        EQUAL(o->alpha, cases[i].alpha);
        EQUAL(o->beta1, cases[i].beta1);
        EQUAL(o->beta2, cases[i].beta2);
        EQUAL(o->epsilon, cases[i].epsilon);
        EQUAL(o->decoupled_decay, cases[i].decoupled);
        EQUAL(o->coupled_decay, 0);
        EQUAL(o->initial, cases[i].initial);
        EQUAL(o->momentum_decay, cases[i].psi);
        assert_int_equal(o->keras, cases[i].keras);
    }
    EQUAL(nn_momentum(0, .9).momentum, .9);
    assert_true(nn_nesterov(0, .9).nesterov);
    assert_int_equal(nn_lbfgs().rule, NN_LBFGS);
    assert_int_equal(nn_lbfgs().history, 10);
    assert_int_equal(nn_keras(NN_LBFGS).rule, NN_LBFGS);
}

/* ---- what cannot be used ---- */

static void unusable_numbers_are_named(void **state)
{
    (void)state;
    nn_optimizer damped = WITH(nn_nesterov(0, .9), dampening, .1),
                 keras = WITH(nn_keras(NN_SGD), dampening, .1), centred = nn_adam(0),
                 top = nn_nadam(0), nesterov = nn_rmsprop(0), none = {0};
    keras.momentum = .9;
    centred.centred = top.amsgrad = nesterov.nesterov = true;
    none.rule = (nn_rule)99;
    const struct {
        nn_optimizer o;
        const char *part;
    } cases[] = {
        {nn_sgd(-1), "SGD: rate is -1"},
        {nn_adam(NAN), "Adam: rate is nan"},
        {nn_adam(INFINITY), "rate is inf"},
        {nn_momentum(0, -.5), "momentum is -0.5"},
        {nn_momentum(0, NAN), "momentum is nan"},
        {WITH(nn_momentum(0, .9), dampening, INFINITY), "dampening is inf"},
        {WITH(nn_adam(0), beta1, 1), "beta1 is 1, it must be at least 0 and less than 1"},
        {WITH(nn_adam(0), beta2, 1.5), "beta2 is 1.5"},
        {WITH(nn_nadam(0), beta2, -.1), "NAdam: beta2 is -0.1"},
        {WITH(nn_adamax(0), epsilon, -1e-8), "AdaMax: epsilon is -1e-08"},
        {WITH(nn_rmsprop(0), alpha, 1), "RMSprop: alpha is 1"},
        {WITH(nn_adadelta(0), alpha, NAN), "Adadelta: alpha is nan"},
        {WITH(nn_adagrad(0), initial, -1), "Adagrad: initial is -1"},
        {WITH(nn_nadam(0), momentum_decay, -1), "momentum_decay is -1"},
        {WITH(nn_sgd(0), coupled_decay, -1), "coupled_decay is -1"},
        {WITH(nn_sgd(0), decoupled_decay, NAN), "decoupled_decay is nan"},
        {nn_nesterov(0, 0), "nesterov is set, but momentum is 0"},
        {damped, "then dampening must be 0"},
        {keras, "Keras' rule has none"},
        {WITH(nn_adam(0), momentum, .9), "momentum is 0.9, but Adam has none"},
        {WITH(nn_sgd(0), beta1, .9), "beta1 is 0.9, but SGD has none"},
        {centred, "centred is set, but Adam"},
        {top, "amsgrad is set, but NAdam"},
        {nesterov, "nesterov is set, but RMSprop"},
        {nn_lbfgs(), "nn_lbfgs_minimise"},
        {(nn_optimizer){0}, "there is no rule 0"},
        {none, "there is no rule 99"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nn_error error = {0};
        assert_null(nn_moments_new(&cases[i].o, 0, NULL, NULL, &error));
        FAILED(&error, error.status, AD_BAD_ARGUMENT, cases[i].part);
        assert_null(nn_moments_new(&cases[i].o, 0, NULL, NULL, NULL));
    }
}

static void unusable_parameters_are_named(void **state)
{
    (void)state;
    const nn_optimizer o = nn_adam(0);
    nn_error error = {0};
    ad_param *p[2] = {param_of("w", AD_F64, 2, (const double[]){1, 2}), NULL};
    assert_null(nn_moments_new(NULL, 1, p, NULL, &error));
    FAILED(&error, error.status, AD_NULL, "no optimizer");
    assert_null(nn_moments_new(&o, 1, p, NULL, &error)); /* an earlier error */
    FAILED(&error, error.status, AD_NULL, "no optimizer");
    error = (nn_error){0};
    assert_null(nn_moments_new(&o, 2, p, NULL, &error));
    FAILED(&error, error.status, AD_NULL, "parameter 1 of 2 is NULL");
    error = (nn_error){0};
    assert_null(nn_moments_new(&o, 1, NULL, NULL, &error));
    FAILED(&error, error.status, AD_NULL, "no parameters");
    error = (nn_error){0};
    assert_null(nn_moments_new(&o, -1, p, NULL, &error));
    FAILED(&error, error.status, AD_BAD_ARGUMENT, "-1 parameters");
    error = (nn_error){0};
    assert_null(nn_moments_new(&o, INT_MAX, p, NULL, &error));
    FAILED(&error, error.status, AD_BAD_ARGUMENT, "parameters");
    error = (nn_error){0};
    p[1] = param_of("classes", AD_I32, 2, (const double[]){1, 2});
    assert_null(nn_moments_new(&o, 2, p, NULL, &error));
    FAILED(&error, error.status, AD_BAD_DTYPE, "parameter 1, classes, is int32");
    ad_param_free(p[0]);
    ad_param_free(p[1]);
    assert_int_equal(nn_moments_count(NULL), 0);
    assert_null(nn_moments_at(NULL, 0));
    nn_moments_free(NULL);
}

static void unusable_steps_leave_an_error_on_the_tape(void **state)
{
    (void)state;
    const nn_optimizer o = nn_adam(0);
    const double values[3] = {1, 2, 3};
    ad_param *two = param_of("w", AD_F64, 2, values), *three = param_of("v", AD_F64, 3, values);
    nn_moments *m = nn_moments_new(&o, 1, &two, NULL, NULL);
    ad_tape *t = ad_tape_new(NULL);
    ad_var w = ad_use(t, two), v = ad_use(t, three), rate = ad_input(t, .1), updated, null = {0};
    assert_int_equal(nn_record_step(m, NULL, &w, &w, &rate, &updated), AD_NULL);
    STATUS(nn_record_step(NULL, t, &w, &w, &rate, &updated), AD_NULL, t);
    const struct {
        const ad_var *w, *g, *rate;
        ad_status status;
        const char *part;
    } cases[] = {
        {NULL, &w, &rate, AD_NULL, "NULL"},
        {&w, NULL, &rate, AD_NULL, "NULL"},
        {&w, &w, NULL, AD_NULL, "NULL"},
        {&null, &w, &rate, AD_NULL, ""},
        {&w, &null, &rate, AD_NULL, ""},
        {&w, &w, &null, AD_NULL, ""},
        {&w, &w, &w, AD_BAD_SHAPE, "must be a scalar"},
        {&v, &v, &rate, AD_BAD_SHAPE, ""},
        {&w, &v, &rate, AD_BAD_SHAPE, ""},
        {&rate, &w, &rate, AD_BAD_ARGUMENT, "handle of ad_use"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ad_reset(t);
        w = ad_use(t, two);
        v = ad_use(t, three);
        rate = ad_input(t, .1);
        STATUS(nn_record_step(m, t, cases[i].w, cases[i].g, cases[i].rate, &updated),
               cases[i].status, t);
        CONTAINS(ad_tape_error(t), cases[i].part);
        assert_int_equal(ad_commit(t), cases[i].status);
        EQUAL(ad_tensor_get(ad_param_value(nn_moments_at(m, 0)), NULL), 0); /* nothing moved */
    }
    ad_tape_free(t);
    nn_moments_free(m);
    ad_param_free(two);
    ad_param_free(three);
}

static void out_of_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    const nn_optimizer o = nn_nadam(0);
    const double values[2] = {1, 2};
    ad_param *p[2] = {param_of("a", AD_F64, 2, values), param_of("b", AD_F64, 2, values)};
    probe memory;
    const ad_allocator allocator = probe_allocator(&memory, false);
    ad_context *context = ad_context_new(&(ad_context_config){.allocator = &allocator});
    assert_non_null(context);
    const long before = memory.blocks;
    nn_moments *m = NULL;
    for (long i = 0; !m && i < 100; i++) {
        nn_error error = {0};
        memory.calls = 0;
        memory.fail_at = i;
        m = nn_moments_new(&o, 2, p, context, &error);
        if (!m) {
            FAILED(&error, error.status, AD_NO_MEMORY, "out of memory");
            assert_int_equal(memory.blocks, before);
        }
    }
    assert_non_null(m);
    nn_moments_free(m);
    assert_int_equal(memory.blocks, before);
    ad_context_free(context);
    assert_int_equal(memory.blocks + memory.wrong_sizes + memory.overruns, 0);
    ad_param_free(p[0]);
    ad_param_free(p[1]);
}

/* ---- L-BFGS ---- */

/* a function by the tape: value and gradient */
struct recorded {
    ad_function f;
    int n, calls;
};

static double by_tape(const double *x, double *gradient, void *user)
{
    struct recorded *r = user;
    double value = NAN;
    r->calls++;
    ad_value_and_gradient(r->f, NULL, r->n, x, &value, gradient);
    return value;
}

static int rosenbrock_size;
static ad_var rosenbrock(const ad_var *x, void *user)
{
    (void)user;
    ad_var sum = ad_constant(0);
    for (int i = 0; i + 1 < rosenbrock_size; i++) {
        ad_var valley = ad_square(ad_sub(x[i + 1], ad_square(x[i])));
        sum = ad_add(sum, ad_add(ad_mul(100, valley), ad_square(ad_sub(1, x[i]))));
    }
    return sum;
}

static void lbfgs_minimises_rosenbrock_s_function_by_the_tape(void **state)
{
    (void)state;
    for (int n = 2; n <= 100; n += 98) {
        struct recorded r = {rosenbrock, n, 0};
        double x[100];
        nn_lbfgs_result result;
        nn_error error = {0};
        rosenbrock_size = n;
        for (int i = 0; i < n; i++)
            x[i] = i % 2 ? 1 : -1.2;
        nn_lbfgs_config config = {.iterations = 1000};
        ad_status status = nn_lbfgs_minimise(by_tape, &r, n, x, &config, &result, &error);
        assert_int_equal(status, AD_OK);
        assert_true(result.converged);
        assert_int_equal(result.evaluations, r.calls);
        assert_true(result.iterations < (n == 2 ? 50 : 700));
        assert_true(result.evaluations < 2 * result.iterations + 10);
        assert_true(result.gradient <= 1e-8 && result.value < 1e-16);
        for (int i = 0; i < n; i++)
            WITHIN(x[i], 1, 1e-6);
    }
}

enum { WIDE = 10 };
static double quadratic(const double *x, double *gradient, void *user)
{
    const double condition = *(const double *)user;
    double sum = 0;
    for (int i = 0; i < WIDE; i++) {
        const double a = pow(condition, i / (WIDE - 1.)), d = x[i] - i;
        sum += .5 * a * d * d;
        gradient[i] = a * d;
    }
    return sum;
}

static void lbfgs_minimises_quadratics_of_condition_a_million(void **state)
{
    (void)state;
    for (double condition = 1; condition <= 1e6; condition *= 1e3) {
        double x[WIDE] = {0};
        nn_lbfgs_result result;
        nn_lbfgs_config config = {.iterations = 500, .change_below = -1};
        assert_int_equal(nn_lbfgs_minimise(quadratic, &condition, WIDE, x, &config, &result, NULL),
                         AD_OK);
        assert_true(result.converged);
        for (int i = 0; i < WIDE; i++)
            WITHIN(x[i], i, 1.1e-8); /* the least curvature is 1 */
        if (condition == 1)
            assert_true(result.iterations <= 2);
    }
}

/* x - ln x + y^2: NaN for x <= 0, the minimum at (1, 0) */
static double walled(const double *x, double *gradient, void *user)
{
    (void)user;
    gradient[0] = 1 - 1 / x[0];
    gradient[1] = 2 * x[1];
    return x[0] > 0 ? x[0] - log(x[0]) + x[1] * x[1] : NAN;
}

/* ends at a wall of infinity: the least value is at its foot, x = 2 */
static double down_to_a_wall(const double *x, double *gradient, void *user)
{
    (void)user;
    gradient[0] = 1;
    return x[0] < 2 ? INFINITY : x[0];
}

/* a gradient that is not finite where the value is */
static double half_walled(const double *x, double *gradient, void *user)
{
    (void)user;
    gradient[0] = x[0] < .5 ? NAN : 2 * (x[0] - 1);
    return (x[0] - 1) * (x[0] - 1);
}

static void lbfgs_stays_where_the_function_is_finite(void **state)
{
    (void)state;
    nn_lbfgs_result result;
    for (double start = 1e-3; start < 1e4; start *= 10) {
        double x[2] = {start, 3};
        assert_int_equal(nn_lbfgs_minimise(walled, NULL, 2, x, NULL, &result, NULL), AD_OK);
        assert_true(result.converged);
        WITHIN(x[0], 1, 2e-6);
        WITHIN(x[1], 0, 2e-6);
    }
    double x = 10;
    assert_int_equal(nn_lbfgs_minimise(down_to_a_wall, NULL, 1, &x, NULL, &result, NULL), AD_OK);
    WITHIN(x, 2, 1e-6);
    EQUAL(result.value, x);
    x = 30;
    assert_int_equal(nn_lbfgs_minimise(half_walled, NULL, 1, &x, NULL, &result, NULL), AD_OK);
    assert_true(result.converged);
    WITHIN(x, 1, 1e-8);
}

static void lbfgs_reports_a_start_that_is_not_finite(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_lbfgs_result result;
    double x[2] = {-1, 5};
    FAILED(&error, nn_lbfgs_minimise(walled, NULL, 2, x, NULL, &result, &error), AD_NOT_FINITE,
           "the value at the start is NaN");
    EQUAL(x[0], -1);
    assert_int_equal(result.evaluations, 1);
    assert_int_equal(result.iterations, 0);
    assert_false(result.converged);
    error = (nn_error){0};
    x[0] = 1;
    FAILED(&error, nn_lbfgs_minimise(down_to_a_wall, NULL, 1, x, NULL, NULL, &error), AD_NOT_FINITE,
           "infinite");
    error = (nn_error){0};
    x[0] = 0;
    FAILED(&error, nn_lbfgs_minimise(half_walled, NULL, 1, x, NULL, NULL, &error), AD_NOT_FINITE,
           "gradient's element 0");
}

/* ---- logistic regression: convex, and its minimum known to a Newton iteration ---- */

enum { ROWS = 40, FEATURES = 3 };
static const double ridge = .01;

static double feature(int i, int k) { return k ? sin(1.3 * i * k + k) * (k == 2 ? 10 : 1) : 1; }
static double label(int i) { return (i * 7) % 10 < 5 ? 1 : -1; }

static double margin(const double *x, int i)
{
    double z = 0;
    for (int k = 0; k < FEATURES; k++)
        z += x[k] * feature(i, k);
    return label(i) * z;
}

/* mean ln(1 + e^-m) + ridge / 2 |x|^2, on the tape */
static ad_var logistic(const ad_var *x, void *user)
{
    (void)user;
    ad_var sum = ad_constant(0);
    for (int i = 0; i < ROWS; i++) {
        ad_var z = ad_constant(0);
        for (int k = 0; k < FEATURES; k++)
            z = ad_add(z, ad_mul(x[k], feature(i, k)));
        sum = ad_add(sum, ad_softplus(ad_mul(-label(i), z)));
    }
    sum = ad_mul(sum, 1. / ROWS);
    for (int k = 0; k < FEATURES; k++)
        sum = ad_add(sum, ad_mul(.5 * ridge, ad_square(x[k])));
    return sum;
}

static void logistic_gradient(const double *x, double *g)
{
    for (int k = 0; k < FEATURES; k++) {
        g[k] = ridge * x[k];
        for (int i = 0; i < ROWS; i++)
            g[k] -= label(i) * feature(i, k) / (1 + exp(margin(x, i))) / ROWS;
    }
}

static void lbfgs_finds_the_exact_minimum_of_a_logistic_regression(void **state)
{
    (void)state;
    struct recorded r = {logistic, FEATURES, 0};
    double x[FEATURES] = {0}, g[FEATURES];
    nn_lbfgs_result result;
    nn_lbfgs_config config = {.change_below = -1, .gradient_below = 1e-12};
    assert_int_equal(nn_lbfgs_minimise(by_tape, &r, FEATURES, x, &config, &result, NULL), AD_OK);
    assert_true(result.converged);
    assert_true(result.evaluations < 60);
    logistic_gradient(x, g); /* by hand; strongly convex: |x - x*| <= |g| / ridge */
    for (int k = 0; k < FEATURES; k++)
        WITHIN(g[k], 0, 2e-12);
    double again[FEATURES] = {5, -5, 1}; /* from elsewhere, with the defaults, the same */
    assert_int_equal(nn_lbfgs_minimise(by_tape, &r, FEATURES, again, NULL, &result, NULL), AD_OK);
    assert_true(result.converged);
    for (int k = 0; k < FEATURES; k++)
        WITHIN(again[k], x[k], 1e-4);
}

/* ---- functions that cannot be minimised ---- */

static double wrong_sign(const double *x, double *gradient, void *user)
{
    ++*(int *)user;
    gradient[0] = -2 * x[0];
    return x[0] * x[0];
}

static double unbounded(const double *x, double *gradient, void *user)
{
    ++*(int *)user;
    gradient[0] = -1;
    return -x[0];
}

static double kink(const double *x, double *gradient, void *user)
{
    ++*(int *)user;
    gradient[0] = x[0] > .3 ? 1 : -1;
    return fabs(x[0] - .3);
}

static double noise(const double *x, double *gradient, void *user)
{
    int calls = ++*(int *)user;
    gradient[0] = sin(7. * calls);
    return x[0] + cos(5. * calls);
}

static double huge(const double *x, double *gradient, void *user)
{
    ++*(int *)user;
    gradient[0] = 4e200 * x[0] * x[0] * x[0];
    return 1e200 * x[0] * x[0] * x[0] * x[0];
}

static double constant(const double *x, double *gradient, void *user)
{
    ++*(int *)user;
    gradient[0] = 0 * x[0];
    return 7;
}

static void lbfgs_ends_on_every_function(void **state)
{
    (void)state;
    const nn_objective functions[] = {wrong_sign, unbounded, kink, noise, huge, constant};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int strict = 0; strict < 2; strict++) {
            int calls = 0;
            double x = 1.5;
            nn_lbfgs_result result;
            nn_lbfgs_config config = {.change_below = strict ? -1 : 0, .iterations = 50};
            assert_int_equal(nn_lbfgs_minimise(functions[i], &calls, 1, &x, &config, &result, NULL),
                             AD_OK);
            assert_int_equal(calls, result.evaluations);
            assert_true(result.iterations <= 50 && calls <= 51 * 130);
            if (i == 0) {
                assert_false(result.converged);
                EQUAL(x, 1.5);
            }
            if (i == 2)
                WITHIN(x, .3, 1e-6);
            if (i == 5)
                assert_true(result.converged && result.iterations == 0);
        }
}

static void lbfgs_stops_at_its_bounds(void **state)
{
    (void)state;
    struct recorded r = {rosenbrock, 2, 0};
    nn_lbfgs_result result;
    double x[2] = {-1.2, 1};
    rosenbrock_size = 2;
    nn_lbfgs_config config = {.iterations = 3, .history = 1};
    assert_int_equal(nn_lbfgs_minimise(by_tape, &r, 2, x, &config, &result, NULL), AD_OK);
    assert_int_equal(result.iterations, 3);
    assert_false(result.converged);
    double g[2], value = by_tape(x, g, &r);
    EQUAL(result.value, value); /* x is the point of which it speaks */
    EQUAL(result.gradient, fmax(fabs(g[0]), fabs(g[1])));
    for (int history = 1; history < 6; history++) {
        double y[2] = {-1.2, 1};
        config = (nn_lbfgs_config){.iterations = 2000, .history = history};
        assert_int_equal(nn_lbfgs_minimise(by_tape, &r, 2, y, &config, &result, NULL), AD_OK);
        assert_true(result.converged);
        WITHIN(y[0], 1, 1e-5);
    }
}

struct watched {
    int reports, until;
    double value, x;
};

static double watched_bowl(const double *x, double *gradient, void *user)
{
    (void)user;
    gradient[0] = exp(x[0]) - 1;
    return exp(x[0]) - x[0];
}

static bool watch(void *user, const double *x, const nn_lbfgs_result *so_far)
{
    struct watched *w = user;
    assert_int_equal(so_far->iterations, ++w->reports);
    assert_true(so_far->value <= w->value);
    EQUAL(so_far->value, exp(x[0]) - x[0]);
    EQUAL(so_far->gradient, fabs(exp(x[0]) - 1));
    w->value = so_far->value;
    w->x = x[0];
    return w->reports != w->until;
}

static void lbfgs_reports_every_iteration_and_stops_when_told_to(void **state)
{
    (void)state;
    for (int until = 0; until < 3; until++) {
        struct watched w = {.until = until, .value = INFINITY};
        nn_lbfgs_config config = {.report = watch};
        nn_lbfgs_result result;
        double x = 3;
        assert_int_equal(nn_lbfgs_minimise(watched_bowl, &w, 1, &x, &config, &result, NULL), AD_OK);
        assert_int_equal(result.iterations, w.reports);
        EQUAL(x, w.x);
        EQUAL(result.value, w.value);
        assert_int_equal(result.converged, !until);
        if (until)
            assert_int_equal(w.reports, until);
    }
}

static void lbfgs_names_arguments_that_cannot_be_used(void **state)
{
    (void)state;
    int calls = 0;
    double x = 1;
    nn_error error = {0};
    FAILED(&error, nn_lbfgs_minimise(NULL, NULL, 1, &x, NULL, NULL, &error), AD_NULL, "f is NULL");
    FAILED(&error, nn_lbfgs_minimise(kink, &calls, 1, NULL, NULL, NULL, &error), AD_NULL,
           "f is NULL"); /* the first error stays */
    error = (nn_error){0};
    FAILED(&error, nn_lbfgs_minimise(kink, &calls, 1, NULL, NULL, NULL, &error), AD_NULL,
           "x is NULL");
    error = (nn_error){0};
    FAILED(&error, nn_lbfgs_minimise(kink, &calls, -1, &x, NULL, NULL, &error), AD_BAD_ARGUMENT,
           "-1 variables");
    error = (nn_error){0};
    FAILED(&error, nn_lbfgs_minimise(kink, &calls, INT64_MAX, &x, NULL, NULL, &error), AD_TOO_LARGE,
           "memory");
    const nn_lbfgs_config unusable[] = {
        {.iterations = -1}, {.history = -1}, {.gradient_below = NAN}, {.change_below = NAN}};
    for (int i = 0; i < 4; i++) {
        error = (nn_error){0};
        FAILED(&error, nn_lbfgs_minimise(kink, &calls, 1, &x, &unusable[i], NULL, &error),
               AD_BAD_ARGUMENT, "must be");
    }
    assert_int_equal(calls, 0);
    nn_lbfgs_result result;
    assert_int_equal(nn_lbfgs_minimise(quadratic, &x, 0, NULL, NULL, NULL, &error),
                     AD_BAD_ARGUMENT); /* an earlier error */
    double none[WIDE] = {0};
    assert_int_equal(nn_lbfgs_minimise(constant, &calls, 0, none, NULL, &result, NULL), AD_OK);
    assert_true(result.converged);
}

/* ---- schedules ---- */

static void expect_factors(const char *what, const nn_schedule *schedule, int64_t per_epoch,
                           int64_t steps, int n, const double *want)
{
    for (int k = 0; k < n; k++) {
        double got = nn_schedule_factor(schedule, k, per_epoch, steps, 0);
        if (!(fabs(got - want[k]) <= 1e-15))
            fail_msg("%s, step %d: got %.17g, want %.17g", what, k, got, want[k]);
    }
}

/* numbers of PyTorch 1.13's torch.optim.lr_scheduler */
static void schedules_are_pytorch_s(void **state)
{
    (void)state;
    const double cut[] = {1, 1, 1, .5, .5, .5, .25, .25, .25, .125};
    expect_factors("StepLR", &(nn_schedule){.kind = NN_STEP, .gamma = .5, .every = 3}, 1, 10, 10,
                   cut);
    const double powers[] = {1, .9, .81, .7290000000000001, .6561000000000001};
    expect_factors("ExponentialLR", &(nn_schedule){.kind = NN_EXPONENTIAL, .gamma = .9}, 1, 5, 5,
                   powers);
    const double cosine[] = {
        1,   .9779754323328191,  .9140576474687263, .8145033635316129,  .6890576474687263,
        .55, .41094235253127376, .2854966364683872, .18594235253127372, .12202456766718092,
        .1};
    expect_factors("CosineAnnealingLR", &(nn_schedule){.kind = NN_COSINE, .floor = .1}, 3, 10, 11,
                   cosine);
    const double cycle[] = {.040000000000000036,
                            .52,
                            1,
                            .9504846320134737,
                            .8117456539497631,
                            .6112620219362893,
                            .38874197806371075,
                            .18825834605023697,
                            .049519367986526286,
                            4e-06};
    expect_factors("OneCycleLR", &(nn_schedule){.kind = NN_ONE_CYCLE}, 4, 10, 10, cycle);
    const double shares[] = {.040000000000000036,
                             .46750181997862017,
                             .988516421226845,
                             .8844757247686303,
                             .5305827080875998,
                             .15743251279950787,
                             4e-06};
    expect_factors("OneCycleLR .45", &(nn_schedule){.kind = NN_ONE_CYCLE, .warmup = .45}, 7, 7, 7,
                   shares);
    const double rising[] = {.25, .5, .75, 1, 1, 1}; /* LinearLR from 1/4 in 3 */
    expect_factors("LinearLR", &(nn_schedule){.warmup = 2}, 2, 6, 6, rising);
    const double both[] = {
        .25, .4877641290737884, .6783813728906053, .7938926261462366, .6545084971874737,
        .5}; /* and CosineAnnealingLR */
    expect_factors("warm cosine", &(nn_schedule){.kind = NN_COSINE, .warmup = 4}, 1, 10, 6, both);
    const nn_schedule plateau = {.kind = NN_PLATEAU, .gamma = .5, .floor = .2};
    const double reduced[] = {1, .5, .25, .2, .2}; /* ReduceLROnPlateau */
    for (int k = 0; k < 5; k++)
        EQUAL(nn_schedule_factor(&plateau, 3, 1, 10, k), reduced[k]);
}

static void schedules_count_in_epochs(void **state)
{
    (void)state;
    const nn_schedule step = {.kind = NN_STEP}, power = {.kind = NN_EXPONENTIAL};
    EQUAL(nn_schedule_factor(&step, 10 * 7 - 1, 7, 1000, 0), 1);
    EQUAL(nn_schedule_factor(&step, 10 * 7, 7, 1000, 0), .1);
    EQUAL(nn_schedule_factor(&power, 6, 7, 1000, 0), 1);
    EQUAL(nn_schedule_factor(&power, 7, 7, 1000, 0), .1);
    const nn_schedule warm = {.kind = NN_STEP, .every = 1, .gamma = .5, .warmup = 1.5};
    EQUAL(nn_schedule_factor(&warm, 0, 2, 10, 0), 1. / 3);
    EQUAL(nn_schedule_factor(&warm, 2, 2, 10, 0), .5);
    const nn_schedule floored = {.kind = NN_EXPONENTIAL, .floor = .01};
    EQUAL(nn_schedule_factor(&floored, 5, 1, 10, 0), .01);
}

static void schedules_give_a_rate_for_any_numbers(void **state)
{
    (void)state;
    EQUAL(nn_schedule_factor(NULL, 5, 1, 10, 0), 1);
    const int64_t extremes[] = {INT64_MIN, -1, 0, 1, 2, 1000, INT64_MAX};
    const int n = sizeof extremes / sizeof *extremes;
    for (int kind = NN_CONSTANT; kind <= NN_ONE_CYCLE + 1; kind++)
        for (int i = 0; i < n * n * n; i++) {
            const double warmups[] = {-1, 0, .5, 1, 1e300};
            for (int k = 0; k < 5; k++) {
                const nn_schedule s = {.kind = (nn_schedule_kind)kind, .warmup = warmups[k]};
                double got = nn_schedule_factor(&s, extremes[i % n], extremes[i / n % n],
                                                extremes[i / n / n], k - 2);
                if (!(got >= 0 && got <= 1))
                    fail_msg("kind %d, case %d, warmup %g: %g", kind, i, warmups[k], got);
            }
        }
}

static void no_step_of_a_schedule_has_rate_0(void **state)
{
    (void)state;
    for (int kind = NN_CONSTANT; kind <= NN_ONE_CYCLE; kind++)
        for (int64_t steps = 1; steps < 40; steps++)
            for (int64_t step = 0; step < steps; step++) {
                const nn_schedule s = {.kind = (nn_schedule_kind)kind, .warmup = kind % 2};
                double got = nn_schedule_factor(&s, step, 5, steps, 0);
                if (!(got > 0 && got <= 1))
                    fail_msg("kind %d, step %d of %d: %g", kind, (int)step, (int)steps, got);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_walks_its_golden_path),
        cmocka_unit_test(every_two_golden_paths_differ),
        cmocka_unit_test(replayed_steps_are_eager_steps_bit_for_bit),
        cmocka_unit_test(float_parameters_follow_the_double_ones),
        cmocka_unit_test(steps_resumed_from_copied_moments_have_the_same_bits),
        cmocka_unit_test(moments_are_called_as_in_pytorch),
        cmocka_unit_test(initial_values_fill_the_moments),
        cmocka_unit_test(each_parameter_moves_at_its_own_rate),
        cmocka_unit_test(no_parameters_are_no_error),
        cmocka_unit_test(every_rule_goes_down_an_ill_conditioned_valley),
        cmocka_unit_test(a_variance_of_gradients_all_alike_is_no_root_of_a_negative),
        cmocka_unit_test(keras_momentum_of_rmsprop_keeps_the_rate_inside),
        cmocka_unit_test(decays_apply_in_every_rule),
        cmocka_unit_test(presets_have_the_documented_defaults),
        cmocka_unit_test(unusable_numbers_are_named),
        cmocka_unit_test(unusable_parameters_are_named),
        cmocka_unit_test(unusable_steps_leave_an_error_on_the_tape),
        cmocka_unit_test(out_of_memory_leaves_nothing_behind),
        cmocka_unit_test(lbfgs_minimises_rosenbrock_s_function_by_the_tape),
        cmocka_unit_test(lbfgs_minimises_quadratics_of_condition_a_million),
        cmocka_unit_test(lbfgs_stays_where_the_function_is_finite),
        cmocka_unit_test(lbfgs_reports_a_start_that_is_not_finite),
        cmocka_unit_test(lbfgs_finds_the_exact_minimum_of_a_logistic_regression),
        cmocka_unit_test(lbfgs_ends_on_every_function),
        cmocka_unit_test(lbfgs_stops_at_its_bounds),
        cmocka_unit_test(lbfgs_reports_every_iteration_and_stops_when_told_to),
        cmocka_unit_test(lbfgs_names_arguments_that_cannot_be_used),
        cmocka_unit_test(schedules_are_pytorch_s),
        cmocka_unit_test(schedules_count_in_epochs),
        cmocka_unit_test(schedules_give_a_rate_for_any_numbers),
        cmocka_unit_test(no_step_of_a_schedule_has_rate_0),
    };
    return cmocka_run_group_tests_name("nn_optimizer", tests, NULL, NULL);
}
