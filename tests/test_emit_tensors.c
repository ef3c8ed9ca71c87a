/* test_emit_tensors.c - programs with tensors as C: built without a warning, and the same results
 *
 * Every structured operation, every row of ops.def and random programs are written as C, built,
 * loaded, and run beside the interpreter, on memory that is full of NaN before and has a border
 * around it. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define AD_PLAIN
#include "allocator.h"
#include "block_rows.h"
#include "expect.h"
#include "nn.h"
#include "program.h"
#include "tensor.h"
#include "tensor_programs.h"
#include <dlfcn.h>
#include <unistd.h>

#define WARNINGS "-Wall -Wextra -Werror"

/* ---- a folder for each test ----
 *
 * Not that of folder.h: from memory a library may not be loaded. */

static int set_up(void **state)
{
    char *folder = strdup("/tmp/tapegrad-emit-XXXXXX");
    *state = folder && mkdtemp(folder) ? folder : NULL;
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    rmdir(*state);
    free(*state);
    return 0;
}

static bool has_compiler(void) { return system("cc --version > /dev/null 2>&1") == 0; }

/* ---- a program as C, built and loaded ---- */

enum { BORDER = 8 };

typedef struct emitted {
    const ad_program *p;
    void *library;
    int (*run)(const void *at, double *m);
    int memory;
    uint32_t n; /* slots: inputs, parameters, outputs */
    uint32_t *nodes;
    char **at; /* of each slot */
    double *m;
} emitted;

static array slot_array(const emitted *e, uint32_t k)
{
    const array a = frame_array(&e->p->frame, e->nodes[k]);
    return array_of(e->at[k], a.dtype, a.rank, a.shape);
}

static void find_slots(emitted *e)
{
    const ad_program *p = e->p;
    e->n = p->n_inputs + p->n_params + p->n_outputs;
    e->nodes = calloc(e->n + 1, sizeof *e->nodes);
    e->at = calloc(e->n + 1, sizeof *e->at);
    memcpy(e->nodes, p->inputs, p->n_inputs * sizeof *p->inputs);
    memcpy(e->nodes + p->n_inputs, p->params, p->n_params * sizeof *p->params);
    memcpy(e->nodes + p->n_inputs + p->n_params, p->outputs, p->n_outputs * sizeof *p->outputs);
    for (uint32_t k = 0; k < e->n; k++) {
        const size_t bytes =
            array_bytes(&(array){.size = slot_array(e, k).size}) + BORDER * sizeof(double);
        e->at[k] = malloc(bytes);
        memset(e->at[k], 0xff, bytes);
    }
}

static emitted emit(const ad_program *p, const char *folder, const char *flags)
{
    static int number;
    char path[600], command[1600];
    emitted e = {.p = p};
    snprintf(path, sizeof path, "%s/p%d", folder, ++number);
    snprintf(command, sizeof command, "%s.c", path);
    FILE *to = fopen(command, "w");
    const ad_status s = ad_program_emit_c(p, "emitted", to);
    if (s)
        fail_msg("%s: %s", ad_status_name(s), ad_program_note(p));
    fputs("const int memory = emitted_memory;\n", to);
    fclose(to);
    snprintf(command, sizeof command,
             "cc -std=c11 " WARNINGS " -ffp-contract=off -fPIC -shared %s -o %s.so %s.c -lm", flags,
             path, path);
    if (system(command))
        fail_msg("failed: %s", command);
    snprintf(command, sizeof command, "%s.so", path);
    e.library = dlopen(command, RTLD_NOW | RTLD_LOCAL);
    if (!e.library)
        fail_msg("%s", dlerror());
    void *run = dlsym(e.library, "emitted"), *memory = dlsym(e.library, "memory");
    memcpy(&e.run, &run, sizeof run);
    e.memory = *(int *)memory;
    unlink(command);
    snprintf(command, sizeof command, "%s.c", path);
    unlink(command);
    find_slots(&e);
    const size_t bytes = ((size_t)e.memory + 2 * BORDER) * sizeof *e.m;
    e.m = (double *)malloc(bytes) + BORDER;
    memset(e.m - BORDER, 0xff, bytes);
    return e;
}

static bool border_is_whole(const void *at)
{
    for (int i = 0; i < BORDER * (int)sizeof(double); i++)
        if (((const unsigned char *)at)[i] != 0xff)
            return false;
    return true;
}

static int run_emitted(emitted *e)
{
    const int s = e->run(e->at, e->m);
    if (!border_is_whole(e->m + e->memory) || !border_is_whole(e->m - BORDER))
        report("memory was written beyond its ends");
    for (uint32_t k = 0; k < e->n; k++) {
        const array a = slot_array(e, k);
        if (!border_is_whole(e->at[k] + array_bytes(&a)))
            report("slot %d was written beyond its end", (int)k);
    }
    return s;
}

static void end_emitted(emitted *e)
{
    for (uint32_t k = 0; k < e->n; k++)
        free(e->at[k]);
    free(e->at);
    free(e->nodes);
    free(e->m - BORDER);
    dlclose(e->library);
}

static void read_slot(const emitted *e, uint32_t k, double *out)
{
    const array from = slot_array(e, k), to = array_of(out, AD_F64, from.rank, from.shape);
    array_copy(&to, &from);
}

static uint32_t output_slot(const emitted *e, uint32_t k)
{
    return e->p->n_inputs + e->p->n_params + k;
}

/* What the inputs were when the program was captured. */
static void set_inputs(const emitted *e)
{
    for (uint32_t k = 0; k < e->p->n_inputs; k++) {
        const array from = frame_array(&e->p->frame, e->nodes[k]), to = slot_array(e, k);
        array_copy(&to, &from);
    }
}

static void set_parameters(const emitted *e)
{
    for (uint32_t k = 0; k < e->p->n_params; k++) {
        const ad_param *p = ad_program_parameter(e->p, (int)k);
        const array from = tensor_array(ad_param_value(p)), to = slot_array(e, e->p->n_inputs + k);
        array_copy(&to, &from);
    }
}

/* ---- comparing ---- */

/* allowed: of each output (NULL: u times its largest number); u = 0: not a bit may differ */
typedef struct tolerance {
    double u;
    const double *allowed;
} tolerance;

static void compare_outputs(const char *what, const emitted *e, const ad_workspace *w, tolerance t)
{
    char part[256];
    for (uint32_t k = 0; k < e->p->n_outputs; k++) {
        const int64_t n = slot_array(e, output_slot(e, k)).size;
        double *got = calloc(2 * (size_t)n + 1, sizeof *got), *want = got + n;
        read_slot(e, output_slot(e, k), got);
        assert_int_equal(ad_workspace_read(w, (int)k, want), AD_OK);
        snprintf(part, sizeof part, "%s: output %d, node %d", what, (int)k, (int)e->p->outputs[k]);
        if (t.u > 0)
            expect_close(part, n, got, want,
                         t.u * scale_of(n, want, 1e-30) + (t.allowed ? t.allowed[k] : 0));
        else
            expect_same_bits(part, n, got, want);
        free(got);
    }
}

static void compare_parameters(const char *what, const emitted *e, tolerance t)
{
    char part[256];
    for (uint32_t k = 0; k < e->p->n_params; k++) {
        const ad_tensor *value = ad_param_value(ad_program_parameter(e->p, (int)k));
        const int64_t n = ad_tensor_size(value);
        double *got = calloc(2 * (size_t)n + 1, sizeof *got), *want = got + n;
        read_slot(e, e->p->n_inputs + k, got);
        ad_tensor_read(value, want);
        snprintf(part, sizeof part, "%s: parameter %d", what, (int)k);
        if (t.u > 0)
            expect_close(part, n, got, want, t.u * scale_of(n, want, 1e-30));
        else
            expect_same_bits(part, n, got, want);
        free(got);
    }
}

/* Some runs of the interpreter and of the C, at the values of the capture; what is assigned in one
 * is there in the next. */
static void compare_program(const char *what, const ad_program *p, const char *folder,
                            const char *flags, tolerance t)
{
    ad_workspace *w = ad_workspace_new(p);
    emitted e = emit(p, folder, flags);
    set_inputs(&e);
    set_parameters(&e);
    for (int run = 0; run < 2 && !failures; run++) {
        const ad_status want = ad_run(w, NULL, NULL);
        const int got = run_emitted(&e);
        if ((want != AD_OK) != (got != 0))
            report("%s: gave %d, want %s", what, got, ad_workspace_error(w));
        if (!want && !got)
            compare_outputs(what, &e, w, t);
        if (!t.allowed)
            compare_parameters(what, &e, t);
    }
    end_emitted(&e);
    ad_workspace_free(w);
}

/* ---- structured operations ---- */

static bool has_no_c(const char *name)
{
    return !strncmp(name, "random", 6) || !strcmp(name, "call");
}

/* Rows from..to-1 of the table with their derivatives, as one program. */
static ad_program *program_of_rows(ad_tape *t, int from, int to, layout at, ad_dtype dtype)
{
    ad_var in[MAX_ARGS * 64], y[64];
    int n = 0, m = 0;
    for (int i = from; i < to; i++) {
        const problem p = problem_of(i, 0);
        ad_var x[MAX_ARGS];
        if (has_no_c(p.row->block))
            continue;
        for (int k = 0; k < p.n; k++)
            x[k] = arranged(t, at, dtype, &p.x[k], &in[n++]);
        y[m++] = p.row->f(x, (void *)(uintptr_t)p.row);
    }
    ad_program *p = ad_compile(t, n, in, m, y, &(ad_compile_config){.want = AD_VJP});
    if (!p)
        fail_msg("%s", ad_tape_error(t));
    return p;
}

static void every_structured_operation_is_right_as_c(void **state)
{
    enum { TOGETHER = 60 };
    if (!has_compiler())
        skip();
    begin_test();
    for (int at = PLAIN; at <= STRIDED; at++)
        for (int dtype = AD_F64; dtype <= AD_F32; dtype++)
            for (int from = 0; from < ROWS && !failures; from += TOGETHER) {
                char what[64];
                ad_tape *t = ad_tape_new(NULL);
                ad_program *p =
                    program_of_rows(t, from, from + TOGETHER < ROWS ? from + TOGETHER : ROWS,
                                    (layout)at, (ad_dtype)dtype);
                snprintf(what, sizeof what, "rows from %d, layout %d, %s", from, at,
                         ad_dtype_name((ad_dtype)dtype));
                compare_program(what, p, *state, at == PLAIN ? "-O1" : "-O0",
                                (tolerance){.u = dtype == AD_F64 ? 1e-13 : 1e-5});
                ad_program_free(p);
                ad_tape_free(t);
            }
    end_test();
}

/* ---- rows of ops.def ---- */

static bool has_no_row(const char *name)
{
    return !strcmp(name, "digamma") || !strcmp(name, "lgamma") || !strcmp(name, "polygamma") ||
           !strcmp(name, "erfinv");
}

/* Every row with its derivatives, at points of its domain and at special ones, its arguments of
 * shapes that broadcast. */
static ad_program *program_of_ops(ad_tape *t, ad_dtype dtype)
{
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, .5};
    static const int64_t sizes[3][3] = {{2, 1, 8}, {3, 1}, {2, 3, 8}};
    static const int ranks[3] = {3, 2, 3};
    static ad_var in[3 * AD_OP_COUNT_], y[AD_OP_COUNT_];
    int n = 0, m = 0;
    uint64_t seed = 1;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const ad_op_info *info = ad_op_at(op);
        for (int k = 0; k < info->arity && !has_no_row(info->name); k++) {
            double x[48];
            for (int i = 0; i < 48; i++)
                x[i] = i < 8 && k < 2 ? special[(i + 3 * k) % 8]
                                      : random_between(&seed, info->low[k], info->high[k] + 1e-9);
            in[n] = ad_input_array(t, AD_F64, ranks[k], sizes[k], x);
            n++;
        }
        if (!has_no_row(info->name)) {
            ad_var of[3];
            for (int k = 0; k < info->arity; k++)
                of[k] = ad_cast(in[n - info->arity + k], dtype);
            y[m++] = ad_apply(op, info->arity, of);
        }
    }
    ad_program *p = ad_compile(t, n, in, m, y, &(ad_compile_config){.want = AD_VJP});
    if (!p)
        fail_msg("%s", ad_tape_error(t));
    return p;
}

static void every_row_is_right_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_program *p = program_of_ops(t, (ad_dtype)dtype);
        compare_program(ad_dtype_name((ad_dtype)dtype), p, *state, "-O1",
                        (tolerance){.u = dtype == AD_F64 ? 1e-14 : 1e-6});
        ad_program_free(p);
        ad_tape_free(t);
    }
    end_test();
}

/* ---- random programs ---- */

static bool is_any(int number, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(*names, ad_op_at(number)->name))
            return true;
    return false;
}

/* what rounds once, or not at all */
static bool is_not_exact(int number)
{
    static const char *const exact[] = {
        "add",        "sub",       "mul",           "div",        "mulz",  "divz",      "neg",
        "abs",        "sign",      "square",        "recip",      "sqrt",  "rsqrt",     "relu",
        "floor",      "ceil",      "trunc",         "round",      "min",   "max",       "less",
        "less_equal", "greater",   "greater_equal", "equal",      "where", "not_equal", "clamp",
        "fmod",       "remainder", "copysign",      "leaky_relu", NULL};
    return !is_any(number, exact);
}

static bool jumps_or_has_no_c(int number)
{
    static const char *const jumping[] = {
        "sign",          "floor",    "ceil",      "trunc", "round",      "fmod",
        "remainder",     "copysign", "less",      "where", "less_equal", "greater",
        "greater_equal", "equal",    "not_equal", "powi",  NULL};
    return is_any(number, jumping) || has_no_row(ad_op_at(number)->name);
}

typedef struct random_program {
    writer w;
    ad_program *p;
    ad_var out[OUTPUTS];
    int n;
} random_program;

static random_program random_program_of(int seed, bool exact, double nudge)
{
    random_program r = {.w = writer_of(seed, seed % 2 ? AD_F32 : AD_F64)};
    writer *w = &r.w;
    w->draws = false;
    w->exact = exact;
    w->leaves_out = exact ? is_not_exact : jumps_or_has_no_c;
    w->tame = w->tame || !exact;
    w->nudge = nudge;
    begin(w, NULL);
    write_program(w, 10 + choose(w, 40));
    write_assignments(w);
    r.n = 1 + choose(w, OUTPUTS - 1);
    for (int k = 0; k < r.n; k++)
        r.out[k] = pick(w);
    r.p = ad_program_capture(w->tape, INPUTS, w->in, r.n, r.out, AD_VALUES);
    if (!r.p)
        fail_msg("seed %d: %s", seed, ad_tape_error(w->tape));
    return r;
}

static void end_random(random_program *r)
{
    ad_program_free(r->p);
    end(&r->w);
}

enum { PROGRAMS = 24 };

static int programs(void)
{
    const char *more = getenv("EMIT_PROGRAMS");
    return more ? atoi(more) : PROGRAMS;
}

static void what_is_exact_has_the_same_bits_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    for (int seed = 0; seed < programs() && !failures; seed++) {
        char what[64];
        random_program r = random_program_of(seed, true, 0);
        snprintf(what, sizeof what, "seed %d", seed);
        compare_program(what, r.p, *state, seed % 4 ? "-O0" : "-O2", (tolerance){0});
        end_random(&r);
    }
    end_test();
}

/* How far outputs move when the numbers that they come from move by a few of their last bits. */
static bool outputs_apart(const random_program *a, const random_program *b, double *apart)
{
    ad_workspace *v = ad_workspace_new(a->p), *w = ad_workspace_new(b->p);
    bool same = a->n == b->n && !ad_run(v, NULL, NULL) && !ad_run(w, NULL, NULL);
    for (int k = 0; k < a->n && same; k++) {
        const int64_t n = ad_program_output_size(a->p, k);
        same = ad_program_output_size(b->p, k) == n;
        double *x = calloc(2 * (size_t)n + 1, sizeof *x), *y = x + n;
        if (same)
            ad_workspace_read(v, k, x), ad_workspace_read(w, k, y);
        apart[k] = 0;
        for (int64_t i = 0; i < n; i++) {
            same = same && isnan(x[i]) == isnan(y[i]);
            apart[k] = isfinite(x[i] - y[i]) ? fmax(apart[k], fabs(x[i] - y[i])) : apart[k];
        }
        free(x);
    }
    ad_workspace_free(v);
    ad_workspace_free(w);
    return same;
}

static void random_programs_give_the_same_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    for (int seed = 0; seed < programs() && !failures; seed++) {
        char what[64];
        double apart[OUTPUTS];
        const double u = seed % 2 ? 0x1p-21 : 0x1p-50;
        random_program nudged = random_program_of(seed, false, u),
                       once = random_program_of(seed, false, 0);
        const bool steady = outputs_apart(&once, &nudged, apart);
        end_random(&nudged);
        end_random(&once);
        if (!steady)
            continue;
        random_program r = random_program_of(seed, false, 0);
        for (int k = 0; k < OUTPUTS; k++)
            apart[k] *= 1e4;
        snprintf(what, sizeof what, "seed %d", seed);
        compare_program(what, r.p, *state, seed % 4 ? "-O0" : "-O3", (tolerance){1e3 * u, apart});
        end_random(&r);
    }
    end_test();
}

/* ---- networks ---- */

static ad_var filled(ad_tape *t, ad_dtype dtype, int rank, const int64_t *sizes, uint64_t *seed,
                     bool input)
{
    double x[1 << 12];
    float narrow[1 << 12];
    const int64_t n = shape_size(rank, sizes);
    assert_in_range(n, 0, 1 << 12);
    for (int64_t i = 0; i < n; i++)
        narrow[i] = (float)(x[i] = random_between(seed, -1, 1));
    const void *data = dtype == AD_F64 ? (const void *)x : narrow;
    return (input ? ad_input_array : ad_constant_array)(t, dtype, rank, sizes, data);
}

typedef struct perceptron { /* x (N,6) - 9, tanh - 4, classes */
    ad_tape *t;
    ad_var in[6], loss; /* x, weights and biases, classes */
} perceptron;

static perceptron perceptron_of(ad_dtype dtype, int64_t batch)
{
    uint64_t seed = 3;
    int32_t classes[512];
    perceptron p = {.t = ad_tape_new(NULL)};
    for (int i = 0; i < batch; i++)
        classes[i] = i * 7 % 4;
    p.in[0] = filled(p.t, dtype, 2, (int64_t[]){batch, 6}, &seed, true);
    p.in[1] = filled(p.t, dtype, 2, (int64_t[]){6, 9}, &seed, true);
    p.in[2] = filled(p.t, dtype, 1, (int64_t[]){9}, &seed, true);
    p.in[3] = filled(p.t, dtype, 2, (int64_t[]){9, 4}, &seed, true);
    p.in[4] = filled(p.t, dtype, 1, (int64_t[]){4}, &seed, true);
    p.in[5] = ad_input_array(p.t, AD_I32, 1, &batch, classes);
    const ad_var h = ad_tanh(ad_add(ad_matmul(p.in[0], p.in[1]), p.in[2]));
    const ad_var z = ad_add(ad_matmul(h, p.in[3]), p.in[4]);
    p.loss = ad_mean(ad_softmax_cross_entropy(z, p.in[5]));
    return p;
}

/* The loss, the gradient of weights and biases, and the Hessian times a direction. */
static void a_perceptron_has_its_gradient_and_hessian_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
        uint64_t seed = 5;
        perceptron n = perceptron_of((ad_dtype)dtype, 13);
        ad_var in[10], out[9] = {n.loss};
        memcpy(in, n.in, sizeof n.in);
        for (int k = 0; k < 4; k++)
            in[6 + k] = filled(n.t, (ad_dtype)dtype, ad_rank(n.in[1 + k]), ad_shape(n.in[1 + k]),
                               &seed, true);
        ad_gradients(n.loss, 4, n.in + 1, out + 1);
        ad_gradients_seeded(4, out + 1, in + 6, 4, n.in + 1, out + 5);
        ad_program *p = ad_program_capture(n.t, 10, in, 9, out, AD_VALUES);
        STATUS(ad_tape_status(n.t), AD_OK, n.t);
        compare_program(ad_dtype_name((ad_dtype)dtype), p, *state, "-O3",
                        (tolerance){.u = dtype == AD_F64 ? 1e-13 : 1e-5});
        ad_program_free(p);
        ad_tape_free(n.t);
    }
    end_test();
}

/* Convolution, pooling, layer norm and a squared error, with all gradients. */
static void a_convolutional_network_is_right_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++) {
        uint64_t seed = 7;
        ad_tape *t = ad_tape_new(NULL);
        const int last = -1;
        const int64_t kernel[2] = {3, 3}, two[2] = {2, 2}, border[4] = {0, 0, 1, 1};
        ad_var in[3] = {filled(t, (ad_dtype)dtype, 4, (int64_t[]){2, 2, 6, 6}, &seed, true),
                        filled(t, (ad_dtype)dtype, 2, (int64_t[]){3, 18}, &seed, true),
                        filled(t, (ad_dtype)dtype, 2, (int64_t[]){27, 4}, &seed, true)};
        const ad_var windows_of =
            ad_windows(ad_pad(in[0], border, border, 0), 2, kernel, NULL, NULL);
        const ad_var columns = ad_permute(windows_of, (int[]){0, 1, 4, 5, 2, 3});
        const ad_var maps = ad_matmul(in[1], ad_reshape(columns, 3, (int64_t[]){2, 18, 36}));
        const ad_var images = ad_reshape(ad_relu(maps), 4, (int64_t[]){2, 3, 6, 6});
        const ad_var pools =
            ad_amax_axes(ad_windows(images, 2, two, two, NULL), 2, (int[]){-1, -2}, false);
        const ad_var flat = ad_reshape(pools, 2, (int64_t[]){2, 27});
        const ad_var centred = ad_sub(flat, ad_mean_axes(flat, 1, &last, true));
        const ad_var spread = ad_var_axes(flat, 1, &last, true, 0);
        const ad_var normal = ad_div(centred, ad_sqrt(ad_add(spread, ad_constant(1e-5))));
        ad_var loss = ad_mean(ad_square(ad_matmul(normal, in[2])));
        ad_program *p = ad_compile(t, 3, in, 1, &loss, &(ad_compile_config){.want = AD_GRADIENT});
        STATUS(ad_tape_status(t), AD_OK, t);
        compare_program(ad_dtype_name((ad_dtype)dtype), p, *state, "-O3 -march=native",
                        (tolerance){.u = dtype == AD_F64 ? 1e-12 : 1e-4});
        ad_program_free(p);
        ad_tape_free(t);
    }
    end_test();
}

static void a_training_step_is_right_as_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    uint64_t seed = 11;
    nn_error error = {0};
    nn_optimizer adam = nn_adam(.01);
    ad_tape *t = ad_tape_new(NULL);
    ad_param *w =
        ad_param_new("a \"w\" */ b", ad_tensor_new(NULL, AD_F32, 2, (int64_t[]){6, 3}), true);
    for (int i = 0; i < 18; i++)
        ((float *)ad_tensor_data(ad_param_value(w)))[i] = (float)random_between(&seed, -1, 1);
    nn_moments *moments = nn_moments_new(&adam, 1, &w, NULL, &error);
    ad_var in[4] = {filled(t, AD_F32, 2, (int64_t[]){5, 6}, &seed, true),
                    filled(t, AD_F32, 2, (int64_t[]){5, 3}, &seed, true), ad_input(t, .01),
                    ad_input(t, 1)};
    ad_var weights = ad_use(t, w), gradient;
    ad_var loss = ad_mean(ad_square(ad_sub(ad_matmul(in[0], weights), in[1])));
    ad_gradients(loss, 1, &weights, &gradient);
    assert_int_equal(nn_record_step(moments, t, &weights, &gradient, in + 2, NULL), AD_OK);
    ad_program *p = ad_program_capture(t, 4, in, 1, &loss, AD_VALUES);
    assert_true(ad_program_parameter_count(p) > 2); /* the weights and their moments */
    compare_program("step", p, *state, "-O2", (tolerance){.u = 1e-5});
    ad_program_free(p);
    nn_moments_free(moments);
    ad_param_free(w);
    ad_tape_free(t);
    end_test();
}

/* ---- zeros absorb ---- */

/* The untaken side of a choice is infinite: its derivative must not be NaN. */
static void zero_cotangents_absorb_in_c(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    const int64_t four[1] = {4};
    ad_var x = ad_input_array(t, AD_F64, 1, four, (double[]){0, -1, INFINITY, 4});
    ad_var live = ad_greater(x, ad_constant(1)),
           y = ad_sum(ad_where(live, ad_constant(2), ad_sqrt(x)));
    ad_var part = ad_sum(ad_mul(ad_constant(0), ad_sqrt(x)));
    ad_var out[4] = {y, part};
    ad_gradients(y, 1, &x, &out[2]);
    ad_gradients(part, 1, &x, &out[3]);
    ad_program *p = ad_program_capture(t, 1, &x, 4, out, AD_VALUES);
    emitted e = emit(p, *state, "-O2");
    double g[2][4];
    set_inputs(&e);
    assert_int_equal(run_emitted(&e), 0);
    for (int k = 0; k < 2; k++)
        read_slot(&e, output_slot(&e, 2 + (uint32_t)k), g[k]);
    assert_true(g[0][2] == 0 && g[0][3] == 0 && isnan(g[0][1]));
    for (int i = 0; i < 4; i++)
        assert_true(g[1][i] == 0);
    end_emitted(&e);
    compare_program("choices", p, *state, "-O2", (tolerance){.u = 1e-14});
    ad_program_free(p);
    ad_tape_free(t);
    end_test();
}

/* ---- as its user writes it ---- */

static void the_struct_is_filled_in_by_name(void **state)
{
    if (!has_compiler())
        skip();
    static const char user[] =
        "#include \"model.c\"\n"
        "int main(void)\n{\n"
        "    static double m[model_memory + 1];\n"
        "    const float x[model_x0] = {1, 2, 3, 4, 5, 6}, w[model_x1] = {1, -1};\n"
        "    double sum;\n"
        "    float gradient[model_y1];\n"
        "    const model_arrays at = {.x0 = x, .x1 = w, .y0 = &sum, .y1 = gradient};\n"
        "    if (model(&at, m) || sum != 3)\n        return 1;\n"
        "    return gradient[0] != -18 || gradient[1] != -24;\n}\n";
    char path[600], command[2000];
    uint64_t seed = 1;
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = filled(t, AD_F32, 2, (int64_t[]){3, 2}, &seed, true);
    ad_var w = filled(t, AD_F32, 1, (int64_t[]){2}, &seed, true), r = ad_matmul(x, w);
    ad_var out[2] = {ad_sum(ad_square(r))};
    ad_gradients(out[0], 1, &w, &out[1]);
    ad_program *p = ad_program_capture(t, 2, (ad_var[]){x, w}, 2, out, AD_VALUES);
    snprintf(path, sizeof path, "%s/model.c", (char *)*state);
    FILE *to = fopen(path, "w");
    assert_int_equal(ad_program_emit_c(p, "model", to), AD_OK);
    fclose(to);
    snprintf(path, sizeof path, "%s/user.c", (char *)*state);
    to = fopen(path, "w");
    fputs(user, to);
    fclose(to);
    snprintf(command, sizeof command,
             "cd '%s' && cc -std=c11 " WARNINGS
             " -Wconversion -Wshadow -O2 -o user user.c -lm && ./user; "
             "s=$?; rm -f user user.c model.c; exit $s",
             (char *)*state);
    assert_int_equal(system(command), 0);
    ad_program_free(p);
    ad_tape_free(t);
}

/* ---- what may go wrong ---- */

static void guards_and_indices_are_checked_before_anything_is_assigned(void **state)
{
    if (!has_compiler())
        skip();
    ad_tape *t = ad_tape_new(NULL);
    const int64_t three[1] = {3}, two[1] = {2};
    ad_param *s = ad_param_new("s", ad_tensor_new(NULL, AD_F64, 1, three), true);
    ad_var state_of = ad_use(t, s), x = ad_input_array(t, AD_F64, 1, three, (double[]){1, 2, 3});
    ad_var at = ad_input_array(t, AD_I32, 1, two, (int32_t[]){2, 0}), a = ad_input(t, 1),
           y = ad_sum(ad_take(x, 0, at));
    assert_true((ad_lt)(a, ad_constant(2)));
    assert_false((ad_gt)(a, y));
    ad_assign(state_of, ad_add(state_of, x));
    ad_program *p = ad_program_capture(t, 3, (ad_var[]){x, at, a}, 1, &y, AD_VALUES);
    emitted e = emit(p, *state, "-O1");
    set_inputs(&e);
    set_parameters(&e);
    double *sum = (double *)(void *)e.at[3], *a_at = (double *)(void *)e.at[2];
    int32_t *index = (int32_t *)(void *)e.at[1];
    assert_int_equal(run_emitted(&e), 0);
    assert_true(sum[0] == 1 && sum[2] == 3);
    a_at[0] = 2;
    assert_int_equal(run_emitted(&e), 1);
    a_at[0] = -INFINITY;
    assert_int_equal(run_emitted(&e), 0);
    ((double *)(void *)e.at[0])[2] = -INFINITY;
    a_at[0] = 1;
    assert_int_equal(run_emitted(&e), 2);
    ((double *)(void *)e.at[0])[2] = 3;
    index[1] = 3;
    assert_int_equal(run_emitted(&e), -1);
    index[1] = -1;
    assert_int_equal(run_emitted(&e), -1);
    assert_true(sum[0] == 2 && sum[2] == 6);
    index[1] = 1;
    assert_int_equal(run_emitted(&e), 0);
    assert_true(sum[0] == 3);
    end_emitted(&e);
    ad_program_free(p);
    ad_param_free(s);
    ad_tape_free(t);
}

static void what_has_no_c_is_refused_by_name(void **state)
{
    (void)state;
    const int64_t two[1] = {2};
    for (int k = 0; k < 4; k++) {
        static const char *const why[] = {"random_normal has no", "digamma has no",
                                          "product has no", "a backward sweep has no"};
        ad_tape *t = ad_tape_new(NULL);
        ad_var x = ad_input_array(t, AD_F64, 1, two, (double[]){1, 2});
        ad_var y = k == 0   ? ad_mul(x, ad_random_normal(t, 1, AD_F64, 1, two))
                   : k == 1 ? ad_digamma(x)
                   : k == 2 ? ad_call(t, &product, NULL, 2, (ad_var[]){x, x}, 1, two)
                            : ad_square(x);
        y = ad_sum(y);
        ad_program *p = ad_program_capture(t, 1, &x, 1, &y, k == 3 ? AD_GRADIENT : AD_VALUES);
        FILE *to = tmpfile();
        assert_int_equal(ad_program_emit_c(p, "f", to), AD_NOT_RECORDED);
        CONTAINS(ad_program_note(p), why[k]);
        assert_int_equal(ftell(to), 0);
        ad_workspace *w = ad_workspace_new(p);
        RAN(ad_run(w, NULL, NULL), AD_OK, w);
        ad_workspace_free(w);
        fclose(to);
        ad_program_free(p);
        ad_tape_free(t);
    }
}

/* One number, seen as 2^32 of them. */
static void arrays_whose_size_is_no_int_are_refused(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const double one = 1;
    ad_var x = ad_input_array(t, AD_F64, 2, (int64_t[]){1, 1}, &one);
    ad_var y = ad_expand(x, 2, (int64_t[]){65536, 65536});
    ad_program *p = ad_program_capture(t, 1, &x, 1, &y, AD_VALUES);
    FILE *to = tmpfile();
    assert_int_equal(ad_program_emit_c(p, "f", to), AD_TOO_LARGE);
    assert_int_equal(ftell(to), 0);
    fclose(to);
    ad_program_free(p);
    ad_tape_free(t);
}

static long length_of(const ad_program *p)
{
    FILE *to = tmpfile();
    assert_int_equal(ad_program_emit_c(p, "f", to), AD_OK);
    const long n = ftell(to);
    fclose(to);
    return n;
}

static void the_text_is_as_long_for_a_large_batch_as_for_a_small_one(void **state)
{
    (void)state;
    long length[2];
    for (int k = 0; k < 2; k++) {
        perceptron n = perceptron_of(AD_F32, k ? 500 : 5);
        ad_var out[5] = {n.loss};
        ad_gradients(n.loss, 4, n.in + 1, out + 1);
        ad_program *p = ad_program_capture(n.t, 6, n.in, 5, out, AD_VALUES);
        length[k] = length_of(p);
        ad_program_free(p);
        ad_tape_free(n.t);
    }
    if (labs(length[1] - length[0]) > 200)
        fail_msg("%ld characters for 5 examples, %ld for 500", length[0], length[1]);
}

/* No plan is made where numbers are checked, and none by these passes. */
static void programs_without_a_plan_are_written_node_by_node(void **state)
{
    if (!has_compiler())
        skip();
    begin_test();
    ad_context *watching = ad_context_new(&(ad_context_config){.check_finite = true});
    ad_tape *t = ad_tape_new(watching);
    uint64_t seed = 2;
    ad_var x = filled(t, AD_F64, 2, (int64_t[]){3, 4}, &seed, true), y = ad_exp(ad_sum(ad_tanh(x)));
    ad_program *p = ad_compile(t, 1, &x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
    assert_null(p->plan);
    compare_program("watched", p, *state, "-O1", (tolerance){.u = 1e-14});
    ad_program_free(p);
    ad_var a = ad_input(t, 2), b = ad_sin(ad_mul(a, a)); /* captured, of scalars */
    p = ad_program_capture(t, 1, &a, 1, &b, AD_VALUES);
    compare_program("scalars", p, *state, "-O1", (tolerance){.u = 1e-14});
    ad_program_free(p);
    ad_tape_free(t);
    ad_context_free(watching);
    for (int seed_of = 0; seed_of < 6 && !failures; seed_of++) {
        random_program r = random_program_of(seed_of, true, 0);
        ad_program *apart = program_capture(r.w.tape, INPUTS, r.w.in, r.n, r.out, AD_VALUES,
                                            seed_of % 2 ? 0 : PASS_ONCE | PASS_COMMON);
        compare_program("without passes", apart, *state, "-O0", (tolerance){0});
        ad_program_free(apart);
        end_random(&r);
    }
    end_test();
}

static void writing_may_lack_memory(void **state)
{
    (void)state;
    probe memory;
    ad_allocator allocator = probe_allocator(&memory, false);
    ad_context *context = ad_context_new(&(ad_context_config){.allocator = &allocator});
    ad_tape *t = ad_tape_new(context);
    const int64_t sizes[2] = {40, 30};
    static double values_of[1200];
    ad_var x = ad_input_array(t, AD_F64, 2, sizes, values_of),
           y = ad_mean(ad_softmax(ad_tanh(x), 0));
    ad_program *p = ad_compile(t, 1, &x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
    const long blocks = memory.blocks;
    ad_status s = AD_NO_MEMORY;
    for (long k = 0; s; k++) {
        FILE *to = tmpfile();
        memory.fail_at = memory.calls + k;
        s = ad_program_emit_c(p, "f", to);
        assert_true(s == AD_OK || s == AD_NO_MEMORY);
        assert_int_equal(memory.blocks, blocks);
        fclose(to);
    }
    ad_program_free(p);
    ad_tape_free(t);
    ad_context_free(context);
    assert_int_equal(memory.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_structured_operation_is_right_as_c, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_row_is_right_as_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_exact_has_the_same_bits_as_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_programs_give_the_same_as_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_perceptron_has_its_gradient_and_hessian_as_c, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_convolutional_network_is_right_as_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_training_step_is_right_as_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zero_cotangents_absorb_in_c, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guards_and_indices_are_checked_before_anything_is_assigned,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(programs_without_a_plan_are_written_node_by_node, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_struct_is_filled_in_by_name, set_up, tear_down),
        cmocka_unit_test(what_has_no_c_is_refused_by_name),
        cmocka_unit_test(arrays_whose_size_is_no_int_are_refused),
        cmocka_unit_test(the_text_is_as_long_for_a_large_batch_as_for_a_small_one),
        cmocka_unit_test(writing_may_lack_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
