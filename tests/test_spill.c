/* test_spill.c - tapes on disk: the same gradients, little memory, no file that stays, and a full
 * disk as an error */
#define _GNU_SOURCE
#include "expect.h"
#include "spill.h"
#include "tape.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mount.h>
#endif

enum { LITTLE = 1 << 20 };

static char folder[] = "spill-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a file is left */
}

static int files_in(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int n = 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* a rotation, step by step, with inputs at its beginning, in its middle and at its end */
typedef struct rotated {
    ad_var angle[4], y, middle;
} rotated;

static rotated rotate(ad_tape *t, long steps)
{
    rotated r = {.angle = {ad_input(t, cos(.37)), ad_input(t, sin(.37))}};
    ad_var c = ad_input(t, .6), s = ad_input(t, .8);
    for (long i = 0; i < steps; i++) {
        ad_var turned = ad_sub(ad_mul(c, r.angle[0]), ad_mul(s, r.angle[1]));
        s = ad_add(ad_mul(c, r.angle[1]), ad_mul(s, r.angle[0]));
        c = turned;
        if (i == steps / 2) {
            r.angle[2] = ad_input(t, .99);
            c = r.middle = ad_mul(c, r.angle[2]);
        }
    }
    r.angle[3] = ad_input(t, 1.5);
    r.y = ad_mul(ad_dot_n(2, (ad_var[]){c, s}, r.angle), r.angle[3]);
    return r;
}

static void same(const rotated *a, const rotated *b)
{
    EQUAL(ad_value(a->y), ad_value(b->y));
    for (int i = 0; i < 4; i++)
        EQUAL(ad_grad(a->angle[i]), ad_grad(b->angle[i]));
}

static void gradients_are_those_of_a_tape_in_memory(void **state)
{
    (void)state;
    ad_tape *memory = ad_tape_new(NULL), *disk = ad_tape_new_in(NULL, folder, LITTLE);
    STATUS(ad_tape_status(disk), AD_OK, disk);
    for (long steps = 300000; steps > 0; steps /= 50) {
        ad_reset(memory);
        ad_reset(disk);
        const rotated a = rotate(memory, steps), b = rotate(disk, steps);
        STATUS(ad_backward(a.y), AD_OK, memory);
        STATUS(ad_backward(b.y), AD_OK, disk);
        same(&a, &b);
        STATUS(ad_backward(b.y), AD_OK, disk); /* again, from the disk */
        same(&a, &b);
        STATUS(ad_backward_add(a.y), AD_OK, memory);
        STATUS(ad_backward_add(b.y), AD_OK, disk);
        same(&a, &b);
        STATUS(ad_retain(a.middle), AD_OK, memory);
        STATUS(ad_retain(b.middle), AD_OK, disk);
        STATUS(ad_backward(a.y), AD_OK, memory);
        STATUS(ad_backward(b.y), AD_OK, disk);
        same(&a, &b);
        EQUAL(ad_grad(a.middle), ad_grad(b.middle));
        STATUS(ad_backward_keep(a.y), AD_OK, memory);
        STATUS(ad_backward_keep(b.y), AD_OK, disk);
        same(&a, &b);
        assert_int_equal(ad_set(b.angle[3], 2.5), AD_OK);
        assert_int_equal(ad_set(a.angle[3], 2.5), AD_OK);
        STATUS(ad_replay(memory), AD_OK, memory);
        STATUS(ad_replay(disk), AD_OK, disk);
        STATUS(ad_backward(a.y), AD_OK, memory);
        STATUS(ad_backward(b.y), AD_OK, disk);
        same(&a, &b);
    }
    ad_tape_free(memory);
    ad_tape_free(disk);
}

static void a_rewind_gives_the_disk_back_and_recording_goes_on(void **state)
{
    (void)state;
    ad_tape *memory = ad_tape_new(NULL), *disk = ad_tape_new_in(NULL, folder, LITTLE);
    ad_tape *const both[2] = {memory, disk};
    rotated r[2];
    for (int k = 0; k < 2; k++) {
        r[k] = rotate(both[k], 30000);
        const ad_mark mark = ad_mark_here(both[k]);
        for (int again = 0; again < 3; again++) {
            ad_var y = r[k].y;
            for (int i = 0; i < 200000; i++)
                y = ad_add(y, ad_mul(r[k].angle[2], y));
            if (again < 2)
                STATUS(ad_rewind(both[k], mark), AD_OK, both[k]);
            else
                r[k].y = ad_mul(1e-300, y);
        }
        STATUS(ad_backward(r[k].y), AD_OK, both[k]);
    }
    same(&r[0], &r[1]);
    ad_tape_free(memory);
    ad_tape_free(disk);
}

static void tensors_may_be_on_it(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new_in(NULL, folder, LITTLE);
    ad_var x = ad_input_array(t, AD_F64, 1, (int64_t[]){3}, (double[]){1, 2, 3});
    ad_var y = ad_sum(ad_square(x));
    for (int i = 0; i < 100000; i++)
        y = ad_add(y, 1);
    STATUS(ad_backward(y), AD_OK, t);
    double g[3];
    STATUS(ad_grad_read(x, g), AD_OK, t);
    EQUAL(g[2], 6);
    EQUAL(ad_value(ad_grad_of(y, ad_sum(x))), 0);
    ad_tape_free(t);
}

static void there_is_no_file_to_be_left(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new_in(NULL, folder, LITTLE);
    rotate(t, 100000);
    STATUS(ad_tape_status(t), AD_OK, t);
    assert_int_equal(files_in(folder), 0);
    const pid_t child = fork();
    if (child == 0) { /* even where it ends so */
        rotate(ad_tape_new_in(NULL, folder, LITTLE), 100000);
        raise(SIGKILL);
    }
    assert_true(child > 0 && waitpid(child, NULL, 0) == child);
    assert_int_equal(files_in(folder), 0);
    ad_tape_free(t);
}

static void a_folder_that_cannot_be_used_is_an_error(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new_in(NULL, "no/such/folder", 0);
    STATUS(ad_tape_status(t), AD_BAD_ARGUMENT, t);
    CONTAINS(ad_tape_error(t), "no/such/folder");
    assert_true(isnan(ad_value(ad_input(t, 1))));
    ad_reset(t); /* helps nothing, and harms nothing */
    ad_input(t, 1);
    ad_tape_free(t);
    t = ad_tape_new_in(NULL, NULL, 0);
    STATUS(ad_tape_status(t), AD_NULL, t);
    ad_tape_free(t);
}

/* what a child of this process says with its exit status */
static int in_a_child(int (*run)(const char *where), const char *where)
{
    const pid_t child = fork();
    if (child == 0)
        _exit(run(where));
    int status = -1;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static int record_until_full(const char *where)
{
    ad_tape *t = ad_tape_new_in(NULL, where, LITTLE);
    rotate(t, 5000000);
    if (ad_tape_status(t) != AD_NO_MEMORY)
        return 1;
    ad_reset(t); /* and there is room again */
    rotated r = rotate(t, 1000);
    if (ad_backward(r.y) != AD_OK || !isfinite(ad_grad(r.angle[0])))
        return 2;
    ad_tape_free(t);
    return 0;
}

static int record_until_limit(const char *where)
{
    const struct rlimit limit = {8 << 20, 8 << 20};
    signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &limit) ? 3 : record_until_full(where);
}

static void a_file_that_may_not_grow_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(record_until_limit, folder), 0);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
#ifdef __linux__
    if (mount("tmpfs", folder, "tmpfs", 0, "size=8m") == 0) {
        const int got = in_a_child(record_until_full, folder);
        assert_int_equal(umount(folder), 0);
        assert_int_equal(got, 0);
        return;
    }
#endif
    skip(); /* a small disk is not for everybody to make */
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_OF_A_TOOL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define MEMORY_OF_A_TOOL 1
#endif
#endif

/* kilobytes of memory at most, so far, of this process; -1: not known here */
static long peak(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kilobytes = -1;
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "VmHWM: %ld", &kilobytes);
    if (f)
        fclose(f);
    return kilobytes;
}

static int record_much(const char *where)
{
    const long before = peak();
    ad_tape *t = ad_tape_new_in(NULL, where, 16 << 20);
    const rotated r = rotate(t, 1500000); /* 9 million nodes: 144 MB, and 72 of adjoints */
    const long recorded = peak();
    if (ad_backward(r.y) != AD_OK)
        return 1;
    const long swept = peak();
    ad_tape_free(t);
    return before < 0 ? 9 : recorded - before > 24 << 10 ? 2 : swept - before > 32 << 10 ? 3 : 0;
}

static void memory_is_what_was_asked_for(void **state)
{
    (void)state;
#ifdef MEMORY_OF_A_TOOL
    skip();
#endif
    const int got = in_a_child(record_much, folder);
    if (got == 9)
        skip();
    assert_int_equal(got, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_a_tape_in_memory),
        cmocka_unit_test(a_rewind_gives_the_disk_back_and_recording_goes_on),
        cmocka_unit_test(tensors_may_be_on_it),
        cmocka_unit_test(there_is_no_file_to_be_left),
        cmocka_unit_test(a_folder_that_cannot_be_used_is_an_error),
        cmocka_unit_test(a_file_that_may_not_grow_is_an_error),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(memory_is_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
