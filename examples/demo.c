/* demo.c - the tour: a tape, its gradient, the check, wrong gradients caught, a network on digits
 *
 *     demo [SEEDS [EPOCHS]]     5 and 50 where not said
 *
 * Ends with the test accuracy, and leaves the learning curve in the current folder. */
#define _POSIX_C_SOURCE 200809L
#include "curve_svg.h"
#include "digits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tapegrad/ad.h>

enum { MAX_SEEDS = 25 };

static void heading(int number, const char *text)
{
    printf("\n%d. %s\n   ", number, text);
    for (size_t i = 0; i < strlen(text); i++)
        putchar('-');
    printf("\n\n");
}

static bool complain(ad_status status, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "demo: %s%s%s\n", status ? ad_status_name(status) : "", status ? ": " : "",
            text);
    return false;
}

/* the lines of a report, moved in, the long ones broken at a blank */
static void print_indented(const char *text)
{
    enum { WIDTH = 76 };
    bool begun = false;
    while (*text) {
        size_t line = strcspn(text, "\n"), n = line;
        if (n > WIDTH)
            for (n = WIDTH; n > 0 && text[n] != ' ';)
                n--;
        if (n == 0)
            n = line;
        printf("   %s%.*s\n", begun ? "    " : "", (int)n, text);
        begun = n < line;
        text += n + (text[n] != 0);
    }
}

/* ---- 1 and 2: the function everybody begins with ----------------------------------------- */

static ad_var example(const ad_var *x, void *user)
{
    (void)user;
    return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
}

static const double at[2] = {2, 5};

static bool show_tape(void)
{
    heading(1, "The tape of y = x1*x2 + sin(x1) at (2, 5)");
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, at[0]), ad_input(t, at[1])};
    ad_var y = example(x, NULL);
    ad_status s = ad_backward_keep(y);
    if (!s)
        s = ad_trace_print(y, 2, x, (const char *const[]){"x1", "x2"}, stdout);
    if (!s)
        printf("\n   y = %.6f, and its gradient is (%.7g, %.7g): the adjoints of x1 and x2.\n",
               ad_value(y), ad_grad(x[0]), ad_grad(x[1]));
    bool ok = s ? complain(s, ad_tape_error(t)) : true;
    ad_tape_free(t);
    return ok;
}

static bool check_passes(void)
{
    heading(2, "Is that right? Reverse mode against dual numbers, and against differences");
    ad_check_report report;
    ad_status s = ad_gradcheck(example, NULL, 2, at, NULL, &report);
    print_indented(report.text);
    return s ? complain(s, "the check should have passed") : true;
}

/* ---- 3: wrong on purpose ----------------------------------------------------------------- */

/* The user's own operation 1 / (1 + a^2). Its derivative is -2 a y^2; the adjoint lost the sign. */
static bool bell_value(void *user, int n, const ad_array *a, ad_array *y)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        y->data[i] = 1 / (1 + a->data[i] * a->data[i]);
    return true;
}

static bool bell_adjoint(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *dy, ad_array *da)
{
    (void)user, (void)n;
    for (int64_t i = 0; da->data && i < y->size; i++)
        da->data[i] += 2 * a->data[i] * y->data[i] * y->data[i] * dy->data[i];
    return true;
}

static bool bell_tangent(void *user, int n, const ad_array *a, const ad_array *y,
                         const ad_array *da, ad_array *dy)
{
    (void)user, (void)n;
    for (int64_t i = 0; i < y->size; i++)
        dy->data[i] = -2 * a->data[i] * y->data[i] * y->data[i] * da->data[i];
    return true;
}

static const ad_operation bell = {
    .name = "bell", .value = bell_value, .adjoint = bell_adjoint, .tangent = bell_tangent};

static ad_var with_bell(const ad_var *x, void *user)
{
    (void)user;
    ad_var inner = ad_mul(x[0], ad_sin(x[1]));
    ad_var y = ad_call(x[0].tape, &bell, NULL, 1, &inner, 0, NULL);
    return ad_add(ad_exp(y), x[0]);
}

static bool expect_mismatch(ad_status s, const ad_check_report *report, const char *missed)
{
    print_indented(report->text);
    return s == AD_MISMATCH ? true : complain(s, s ? report->text : missed);
}

static bool check_catches(void)
{
    heading(3, "Wrong on purpose: does the check notice, and say what is wrong?");
    ad_check_report report;
    printf("   A gradient derived by hand, (x2 - cos(x1), x1), with a wrong sign:\n\n");
    const double wrong[2] = {at[1] - cos(at[0]), at[0]};
    ad_status s = ad_gradcheck_against(example, NULL, 2, at, wrong, NULL, &report);
    if (!expect_mismatch(s, &report, "a wrong gradient passed the check"))
        return false;
    printf("\n   A user's own operation, bell(a) = 1/(1+a^2), whose adjoint lost its sign:\n\n");
    s = ad_gradcheck(with_bell, NULL, 2, at, NULL, &report);
    if (!expect_mismatch(s, &report, "a wrong operation passed the check"))
        return false;
    return strcmp(report.operation, "bell") ? complain(s, "the check blamed another operation")
                                            : true;
}

/* ---- 4: a network ------------------------------------------------------------------------ */

typedef struct show { /* how far we are */
    int seed, seeds, epochs;
    bool terminal;
} show;

static void show_progress(void *user, const history *h)
{
    const show *s = user;
    const int e = h->epochs, done = (s->seed - 1) * s->epochs + e, all = s->seeds * s->epochs;
    if (s->terminal) {
        enum { CELLS = 16 }; /* the line fits into 80 columns */
        char bar[CELLS + 1];
        for (int i = 0; i < CELLS; i++)
            bar[i] = i < CELLS * done / all ? '#' : '.';
        bar[CELLS] = 0;
        fprintf(stderr, "\r   [%s] %3d %%  seed %d, epoch %3d: loss %.4f, accuracy %.2f %% ", bar,
                100 * done / all, s->seed, e, h->loss[e - 1], h->accuracy[e - 1]);
        if (e == s->epochs)
            fprintf(stderr, "\r%79s\r", "");
    } else if (e % 10 == 0 && e < s->epochs) {
        fprintf(stderr, "   (%2d)      %.6f        %6.2f %%     epoch %d\n", s->seed,
                h->loss[e - 1], h->accuracy[e - 1], e);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool train_one(const digits *all, uint64_t seed, const show *shown, history *h)
{
    char error[512] = "out of memory";
    digits train, test;
    double begin = seconds();
    bool ok = digits_split(all, seed, &train, &test);
    if (ok && seed == 1)
        printf("   %lld pictures to learn from, %lld to be tested on; batches of 32, Adam.\n\n"
               "   seed   training loss   test accuracy    time\n",
               (long long)train.n, (long long)test.n);
    ok = ok && digits_train(&train, &test, seed, shown->epochs, h, show_progress,
                            (void *)(uintptr_t)shown, error);
    if (ok)
        printf("   %4d      %.6f        %6.2f %%     %.2f s\n", (int)seed, h->loss[h->epochs - 1],
               h->accuracy[h->epochs - 1], seconds() - begin);
    digits_free(&train);
    digits_free(&test);
    return ok ? true : complain(AD_OK, error);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_accuracy(int runs, const history *h)
{
    double last[MAX_SEEDS];
    for (int r = 0; r < runs; r++)
        last[r] = h[r].accuracy[h[r].epochs - 1];
    qsort(last, (size_t)runs, sizeof *last, ascending);
    return runs % 2 ? last[runs / 2] : (last[runs / 2 - 1] + last[runs / 2]) / 2;
}

static bool save_curve(int runs, const history *h, double median)
{
    char folder[1024];
    if (!curve_write("learning_curve.svg", runs, h, median))
        return complain(AD_OK, "learning_curve.svg: cannot be written");
    printf("learning curve: %s/learning_curve.svg\n", getcwd(folder, sizeof folder) ? folder : ".");
    return true;
}

static bool learn_digits(int seeds, int epochs)
{
    heading(4, "A 64-64-32-10 network learns digits; each training step is one program");
    char error[512];
    digits all;
    if (!digits_read(&all, DIGITS_CSV, error))
        return complain(AD_OK, error);
    history *h = calloc((size_t)seeds, sizeof *h);
    show shown = {.seeds = seeds, .epochs = epochs, .terminal = isatty(STDERR_FILENO)};
    bool ok = h ? true : complain(AD_NO_MEMORY, "no room for the learning curves");
    for (int r = 0; ok && r < seeds; r++) {
        shown.seed = r + 1;
        ok = train_one(&all, (uint64_t)shown.seed, &shown, &h[r]);
        fflush(stdout);
    }
    if (ok) {
        double median = median_accuracy(seeds, h);
        printf(
            "\n   A step (forward, backward, Adam for %lld weights) is a program of %lld nodes.\n",
            (long long)h->weights, (long long)h->nodes);
        printf("\ntest accuracy (median of %d seed%s): %.2f %%\n", seeds, seeds == 1 ? "" : "s",
               median);
        ok = save_curve(seeds, h, median);
    }
    free(h);
    digits_free(&all);
    return ok;
}

int main(int argc, char **argv)
{
    int seeds = argc > 1 ? atoi(argv[1]) : 5, epochs = argc > 2 ? atoi(argv[2]) : 50;
    if (seeds < 1 || seeds > MAX_SEEDS || epochs < 1 || epochs > MAX_EPOCHS || argc > 3) {
        fprintf(stderr, "usage: demo [SEEDS [EPOCHS]]     up to %d and %d\n", MAX_SEEDS,
                MAX_EPOCHS);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("Tapegrad %s\n", ad_version());
    bool ok = show_tape() && check_passes() && check_catches() && learn_digits(seeds, epochs);
    return ok ? 0 : 1;
}
