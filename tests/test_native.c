/* test_native.c - programs as C and as machine code: the same results, a cache that trusts nobody,
 * and going on without where there is no compiler */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define AD_PLAIN
#include "expect.h"
#include "scalar_programs.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUILT = 5 };

/* ---- a folder for each test ---- */

static int set_up(void **state)
{
    char *folder = strdup("/tmp/tapegrad-native-XXXXXX");
    *state = folder && mkdtemp(folder) ? folder : NULL;
    return *state ? 0 : -1;
}

/* counts what is in the folder; calls f on each file */
static int each_file(const char *folder, void (*f)(const char *path, void *user), void *user)
{
    char path[600];
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.255s", folder, e->d_name);
        n++;
        if (f)
            f(path, user);
    }
    if (d)
        closedir(d);
    return n;
}

static void remove_file(const char *path, void *user)
{
    (void)user;
    unlink(path);
}

static int tear_down(void **state)
{
    each_file(*state, remove_file, NULL);
    rmdir(*state);
    free(*state);
    return 0;
}

static bool has_compiler(const char *folder)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 1);
    ad_program *p = ad_compile(t, 1, &x, 1, &x, NULL);
    const ad_status s = ad_program_native(p, &(ad_native_config){.folder = folder});
    ad_program_free(p);
    ad_tape_free(t);
    each_file(folder, remove_file, NULL);
    return s == AD_OK;
}

/* x1 x2 + sin x1 with its gradient */
static ad_program *small_program(void)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)}, y = ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
    ad_program *p = ad_compile(t, 2, x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
    assert_non_null(p);
    ad_tape_free(t);
    return p;
}

static void expect_small(ad_program *p)
{
    double out[3];
    ad_workspace *w = ad_workspace_new(p);
    RAN(ad_run(w, (const double[]){3, 4}, out), AD_OK, w);
    CLOSE(out[0], 12 + sin(3));
    CLOSE(out[1], 4 + cos(3));
    CLOSE(out[2], 3);
    ad_workspace_free(w);
}

/* ---- results ---- */

static void machine_code_gives_what_the_loops_give(void **state)
{
    if (!has_compiler(*state))
        skip();
    int built = 0;
    for (uint64_t seed = 1; built < BUILT; seed++) {
        sample s = write_program(seed * 7, false);
        double x[2 * INPUTS + 3], loops[RESULTS], native[RESULTS];
        fill(&s, seed, x);
        ad_program *p =
            ad_compile(s.tape, INPUTS, s.x, 3, s.y, &(ad_compile_config){.want = EVERYTHING});
        assert_non_null(p);
        ad_workspace *w = ad_workspace_new(p);
        RAN(ad_run(w, x, loops), AD_OK, w);
        const ad_status status = ad_program_native(p, &(ad_native_config){.folder = *state});
        if (status == AD_UNAVAILABLE)
            assert_true(strstr(ad_program_note(p), "has no stand-alone C") ||
                        strstr(ad_program_note(p), "too many lines"));
        else
            assert_int_equal(status, AD_OK);
        built += status == AD_OK;
        assert_int_equal(ad_program_stats_of(p).native, status == AD_OK);
        RAN(ad_run(w, x, native), AD_OK, w);
        results_close("result", seed, RESULTS, native, loops);
        ad_workspace_free(w);
        ad_program_free(p);
        ad_tape_free(s.tape);
    }
}

/* all in one program: but those that C's library lacks */
static void every_row_is_right_as_machine_code(void **state)
{
    if (!has_compiler(*state))
        skip();
    enum { MOST = 3 * EACH * 128 };
    static double at[MOST], out[2][MOST + 1];
    static ad_var x[MOST], y[EACH];
    ad_tape *t = ad_tape_new(NULL);
    ad_var sum = ad_constant(0);
    int n = 0, first[128], rows = 0;
    for (; ad_op_at(rows)->elementwise; rows++) {
        const char *name = ad_op_at(rows)->name;
        first[rows] = n;
        if (!strcmp(name, "digamma") || !strcmp(name, "lgamma") || !strcmp(name, "polygamma") ||
            !strcmp(name, "erfinv"))
            continue;
        write_row_program(t, rows, x + n, at + n, y);
        n += ad_op_at(rows)->arity * EACH;
        for (int i = 0; i < EACH; i++)
            sum = ad_add(sum, ad_mul(ad_constant(i + 1), y[i]));
    }
    first[rows] = n;
    ad_program *p = ad_compile(t, n, x, 1, &sum, &(ad_compile_config){.want = AD_GRADIENT});
    ad_workspace *w = ad_workspace_new(p);
    RAN(ad_run(w, at, out[0]), AD_OK, w);
    if (ad_program_native(p, &(ad_native_config){.folder = *state}))
        fail_msg("%s", ad_program_note(p));
    RAN(ad_run(w, at, out[1]), AD_OK, w);
    results_close("sum", 0, 1, out[1], out[0]);
    for (int op = 0; op < rows; op++)
        results_close(ad_op_at(op)->name, 0, first[op + 1] - first[op], out[1] + 1 + first[op],
                      out[0] + 1 + first[op]);
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
}

/* Infinite arguments, and exponents b of which b - 1 is no number: as in test_ops.c. */
static void limits_are_right_as_machine_code(void **state)
{
    static const struct {
        const char *name;
        double a, b, da;
    } cases[] = {
        {"pow", -1, 0x1p53 + 2, -0x1p53 - 2},
        {"powi", -1, -0x1p53, 0x1p53},
        {"hypot", INFINITY, 3, 1},
        {"hypot", 3, INFINITY, 0},
        {"atan2", 3, INFINITY, 0},
        {"atan2", INFINITY, INFINITY, 0},
        {"copysign", -INFINITY, 3, -1},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    if (!has_compiler(*state))
        skip();
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2 * CASES], y[CASES];
    double at[2 * CASES], out[CASES];
    for (int i = 0; i < CASES; i++) {
        x[2 * i] = ad_input(t, at[2 * i] = cases[i].a);
        x[2 * i + 1] = ad_input(t, at[2 * i + 1] = cases[i].b);
        for (int op = 0; op < ad_op_count(); op++)
            if (!strcmp(ad_op_at(op)->name, cases[i].name))
                y[i] = ad_grad_of(ad_apply(op, 2, x + 2 * i), x[2 * i]);
    }
    ad_program *p = ad_compile(t, 2 * CASES, x, CASES, y, NULL);
    if (ad_program_native(p, &(ad_native_config){.folder = *state}))
        fail_msg("%s", ad_program_note(p));
    ad_workspace *w = ad_workspace_new(p);
    RAN(ad_run(w, at, out), AD_OK, w);
    for (int i = 0; i < CASES; i++)
        if (out[i] != cases[i].da)
            fail_msg("%s(%g, %g): got %g, want %g", cases[i].name, cases[i].a, cases[i].b, out[i],
                     cases[i].da);
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
}

static void a_guard_in_machine_code_says_what_was_compared(void **state)
{
    if (!has_compiler(*state))
        skip();
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input(t, 2), y = ad_sin(x);
    assert_true((ad_gt)(x, ad_constant(1)));
    ad_program *p = ad_compile(t, 1, &x, 1, &y, NULL);
    assert_int_equal(ad_program_native(p, &(ad_native_config){.folder = *state}), AD_OK);
    ad_workspace *w = ad_workspace_new(p);
    double out;
    RAN(ad_run(w, (const double[]){1.5}, &out), AD_OK, w);
    RAN(ad_run(w, (const double[]){.5}, &out), AD_RETAPE, w);
    CONTAINS(ad_workspace_error(w), "0.5 > 1 was true");
    ad_workspace_free(w);
    ad_program_free(p);
    ad_tape_free(t);
}

/* ---- the cache ---- */

static void newest(const char *path, void *user)
{
    struct stat s;
    long *at = user;
    if (stat(path, &s) == 0 && (long)s.st_ino > *at)
        *at = (long)s.st_ino;
}

static void what_is_built_is_built_once(void **state)
{
    if (!has_compiler(*state))
        skip();
    long before = 0, after = 0;
    for (int i = 0; i < 2; i++) {
        ad_program *p = small_program();
        assert_int_equal(ad_program_native(p, &(ad_native_config){.folder = *state}), AD_OK);
        assert_int_equal(ad_program_native(p, &(ad_native_config){.folder = *state}), AD_OK);
        expect_small(p);
        ad_program_free(p);
        assert_int_equal(each_file(*state, newest, i ? &after : &before), 2);
    }
    assert_true(before == after); /* the same files */
}

static void spoil(const char *path, void *user)
{
    (void)user;
    if (!strstr(path, ".c"))
        return;
    FILE *f = fopen(path, "r+");
    fputc('?', f);
    fclose(f);
}

static void a_text_that_differs_is_built_anew(void **state)
{
    if (!has_compiler(*state))
        skip();
    for (int i = 0; i < 2; i++) {
        ad_program *p = small_program();
        assert_int_equal(ad_program_native(p, &(ad_native_config){.folder = *state}), AD_OK);
        expect_small(p);
        ad_program_free(p);
        if (i == 0)
            each_file(*state, spoil, NULL);
    }
}

static void several_processes_build_the_same_at_once(void **state)
{
    if (!has_compiler(*state))
        skip();
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) {
            ad_program *p = small_program();
            const ad_status s = ad_program_native(p, &(ad_native_config){.folder = *state});
            _exit(s == AD_OK && ad_program_stats_of(p).native ? 0 : 1);
        }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(each_file(*state, NULL, NULL), 2);
}

/* ---- without ---- */

static void expect_refusal(ad_program *p, const ad_native_config *config, const char *why)
{
    assert_int_equal(ad_program_native(p, config), AD_UNAVAILABLE);
    CONTAINS(ad_program_note(p), why);
    assert_false(ad_program_stats_of(p).native);
    expect_small(p);
}

static void without_machine_code_a_program_runs_as_before(void **state)
{
    const char *folder = *state;
    char missing[600];
    ad_program *p = small_program();
    expect_refusal(p, &(ad_native_config){.folder = folder, .compiler = "/there/is/no/compiler"},
                   "missing or failed");
    assert_int_equal(each_file(folder, NULL, NULL), 0);
    expect_refusal(p, &(ad_native_config){.folder = folder, .compiler = "false"},
                   "missing or failed");
    assert_int_equal(each_file(folder, NULL, NULL), 0);
    expect_refusal(p, &(ad_native_config){.folder = "/dev/null/x"}, "may write");
    chmod(folder, 0770);
    expect_refusal(p, &(ad_native_config){.folder = folder}, "may write");
    chmod(folder, 0700);
    snprintf(missing, sizeof missing, "%s/file", folder);
    fclose(fopen(missing, "w"));
    expect_refusal(p, &(ad_native_config){.folder = missing}, "may write");
    ad_program_free(p);
    assert_int_equal(ad_program_native(NULL, NULL), AD_NULL);
}

static void what_has_no_stand_alone_c_says_so(void **state)
{
    ad_tape *t = ad_tape_new(NULL);
    const int64_t two[1] = {2};
    ad_var x = ad_input(t, 2), y = ad_digamma(x),
           v = ad_input_array(t, AD_F64, 1, two, (double[]){1, 2}), z = ad_sum(v);
    ad_program *p = ad_compile(t, 1, &x, 1, &y, NULL), *tensors = ad_compile(t, 1, &v, 1, &z, NULL);
    FILE *to = tmpfile();
    assert_int_equal(ad_program_native(p, &(ad_native_config){.folder = *state}), AD_UNAVAILABLE);
    CONTAINS(ad_program_note(p), "digamma has no stand-alone C");
    assert_int_equal(ad_program_emit_c(p, "f", to), AD_NOT_RECORDED);
    assert_int_equal(ad_program_native(tensors, NULL), AD_UNAVAILABLE);
    CONTAINS(ad_program_note(tensors), "keeps to the library's kernels");
    assert_int_equal(ftell(to), 0);
    fclose(to);
    ad_program_free(p);
    ad_program_free(tensors);
    ad_tape_free(t);
}

static void names_are_identifiers(void **state)
{
    (void)state;
    ad_program *p = small_program();
    FILE *to = tmpfile();
    const char *const wrong[] = {NULL, "", "2x", "a b", "f;", "f-g", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(ad_program_emit_c(p, wrong[i], to), AD_BAD_ARGUMENT);
    assert_int_equal(ad_program_emit_c(NULL, "f", to), AD_NULL);
    assert_int_equal(ad_program_emit_c(p, "f", NULL), AD_NULL);
    assert_int_equal(ad_program_emit_c(p, "_f2", to), AD_OK);
    assert_true(ftell(to) > 0);
    fclose(to);
    ad_program_free(p);
}

/* ---- size ---- */

/* The text grows with the structure, not with the number of steps. */
static void a_loop_is_as_long_for_a_hundred_steps_as_for_a_hundred_thousand(void **state)
{
    (void)state;
    long length[2];
    for (int k = 0; k < 2; k++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var x[3] = {ad_input(t, .3), ad_input(t, .7), ad_input(t, .01)}, p = x[0], q = x[1];
        for (int i = 0; i < (k ? 100000 : 100); i++) {
            p = ad_sub(p, ad_mul(x[2], ad_sin(q)));
            q = ad_add(q, ad_mul(x[2], p));
        }
        ad_program *program = ad_compile(t, 3, x, 1, &q, &(ad_compile_config){.want = AD_GRADIENT});
        FILE *to = tmpfile();
        assert_int_equal(ad_program_emit_c(program, "f", to), AD_OK);
        length[k] = ftell(to);
        fclose(to);
        ad_program_free(program);
        ad_tape_free(t);
    }
    if (length[1] > length[0] * 3 / 2)
        fail_msg("%ld bytes for 10^2 steps, %ld for 10^5", length[0], length[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(machine_code_gives_what_the_loops_give, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_row_is_right_as_machine_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_are_right_as_machine_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guard_in_machine_code_says_what_was_compared, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_built_is_built_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_that_differs_is_built_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_processes_build_the_same_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_machine_code_a_program_runs_as_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_stand_alone_c_says_so, set_up, tear_down),
        cmocka_unit_test(names_are_identifiers),
        cmocka_unit_test(a_loop_is_as_long_for_a_hundred_steps_as_for_a_hundred_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
