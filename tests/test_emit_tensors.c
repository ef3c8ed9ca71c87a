/* test_emit_tensors.c - programs with tensors as C: built without a warning, and the same results
 *
 * Every structured operation, every row of ops.def and random programs are written as C, built,
 * loaded, and run beside the interpreter, on memory that is full of NaN before and has a border
 * after it. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define AD_PLAIN
#include "block_rows.h"
#include "program.h"
#include "tensor_programs.h"
#include <dlfcn.h>
#include <unistd.h>

#define WARNINGS "-Wall -Wextra -Werror"

/* ---- a folder for each test ---- */

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
        const size_t bytes = array_bytes(&(array){.size = slot_array(e, k).size}) + BORDER;
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
    e.m = malloc(((size_t)e.memory + BORDER) * sizeof *e.m);
    memset(e.m, 0xff, ((size_t)e.memory + BORDER) * sizeof *e.m);
    return e;
}

static bool border_is_whole(const void *at)
{
    for (int i = 0; i < BORDER; i++)
        if (((const unsigned char *)at)[i] != 0xff)
            return false;
    return true;
}

static int run_emitted(emitted *e)
{
    const int s = e->run(e->at, e->m);
    if (!border_is_whole(e->m + e->memory))
        report("memory was written beyond its end");
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
    free(e->m);
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

/* ---- comparing ---- */

/* All outputs of two runs, within u times the largest of each. */
static void compare_outputs(const char *what, const emitted *e, const ad_workspace *w, double u)
{
    char part[256];
    for (uint32_t k = 0; k < e->p->n_outputs; k++) {
        const int64_t n = slot_array(e, output_slot(e, k)).size;
        double *got = calloc(2 * (size_t)n + 1, sizeof *got), *want = got + n;
        read_slot(e, output_slot(e, k), got);
        assert_int_equal(ad_workspace_read(w, (int)k, want), AD_OK);
        snprintf(part, sizeof part, "%s: output %d, node %d", what, (int)k, (int)e->p->outputs[k]);
        if (u > 0)
            expect_close(part, n, got, want, u * scale_of(n, want, 1e-30));
        else
            expect_same_bits(part, n, got, want);
        free(got);
    }
}

/* The interpreter and the C, at the values of the capture. */
static void compare_program(const char *what, const ad_program *p, const char *folder,
                            const char *flags, double u)
{
    ad_workspace *w = ad_workspace_new(p);
    if (ad_run(w, NULL, NULL))
        fail_msg("%s: %s", what, ad_workspace_error(w));
    emitted e = emit(p, folder, flags);
    set_inputs(&e);
    for (int run = 0; run < 2 && !failures;
         run++) { /* of the second, memory is as the first left it */
        const int s = run_emitted(&e);
        if (s)
            report("%s: gave %d", what, s);
        compare_outputs(what, &e, w, u);
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
                ad_workspace *w = ad_workspace_new(p);
                ad_workspace_free(w);
                compare_program(what, p, *state, at == PLAIN ? "-O1" : "-O0",
                                dtype == AD_F64 ? 1e-13 : 1e-5);
                ad_program_free(p);
                ad_tape_free(t);
            }
    end_test();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_structured_operation_is_right_as_c, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
