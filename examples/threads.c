/* threads.c - one program, run by several threads at once
 *
 * A program never changes after its capture, so threads share it; everything that a run writes is
 * in a workspace, of which each thread has its own. Nothing is locked, and nothing is allocated
 * after the first run. */
#include <pthread.h>
#include <stdio.h>

#include <tapegrad/ad.h>

enum { THREADS = 2, POINTS = 10000 };

/* a potential with many hollows, in two dimensions */
static ad_var potential(const ad_var *x)
{
    ad_var hills = ad_mul(ad_sin(ad_mul(3, x[0])), ad_cos(ad_mul(3, x[1])));
    return ad_add(hills, ad_mul(0.1, ad_add(ad_square(x[0]), ad_square(x[1]))));
}

static ad_program *capture(void)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, 0), ad_input(t, 0)};
    ad_var y = potential(x);
    ad_program *p = ad_program_capture(t, 2, x, 1, &y, AD_GRADIENT);
    if (!p)
        fprintf(stderr, "threads: %s\n", ad_tape_error(t));
    ad_tape_free(t); /* the program stands alone */
    return p;
}

typedef struct job {
    const ad_program *program;
    int first, last;
    double lowest, at[2];
    ad_status status;
} job;

/* goes downhill from each of its starting points */
static void *work(void *user)
{
    job *j = user;
    ad_workspace *w = ad_workspace_new(j->program);
    j->lowest = INFINITY;
    for (int i = j->first; i < j->last && !j->status; i++) {
        double x[2] = {-5 + i % 100 * 0.1, -5 + i / 100 * 0.1};
        double out[3] = {0}; /* the value, then the gradient */
        for (int step = 0; step < 50 && !j->status; step++) {
            j->status = ad_run(w, x, out);
            x[0] -= 0.05 * out[1];
            x[1] -= 0.05 * out[2];
        }
        if (!j->status && out[0] < j->lowest) {
            j->lowest = out[0];
            j->at[0] = x[0];
            j->at[1] = x[1];
        }
    }
    ad_workspace_free(w);
    return NULL;
}

int main(void)
{
    ad_program *p = capture();
    if (!p)
        return 1;
    pthread_t thread[THREADS];
    job jobs[THREADS];
    int started = 0, failed = 0;
    for (int i = 0; i < THREADS; i++) {
        jobs[i] =
            (job){.program = p, .first = POINTS * i / THREADS, .last = POINTS * (i + 1) / THREADS};
        if (pthread_create(&thread[i], NULL, work, &jobs[i]))
            break;
        started++;
    }
    failed = started < THREADS;
    for (int i = 0; i < started; i++) {
        pthread_join(thread[i], NULL);
        failed |= jobs[i].status != AD_OK;
        printf("thread %d: lowest %.6f near (%.3f, %.3f)\n", i + 1, jobs[i].lowest, jobs[i].at[0],
               jobs[i].at[1]);
    }
    ad_program_free(p);
    return failed;
}
