/* serve_wide.c - gradients over long arrays as programs, in a process of their own; see wide.h */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#include "serve.h"
#include "wide.h"

struct server {
    wide w;
    ad_context *context; /* NULL: one thread */
    ad_program *program;
    ad_workspace *workspace;
};

static ad_var function(enum wide_case id, const ad_var *x)
{
    if (id == WIDE_AFFINE)
        return ad_sum(ad_add(x[0], ad_mul(x[1], x[2])));
    if (id == WIDE_TANH)
        return ad_sum(ad_tanh(x[0]));
    return ad_sum(ad_exp(ad_neg(ad_mul(x[0], x[0]))));
}

static bool use_threads(struct server *s)
{
#ifdef HAVE_THREADS
    s->context =
        s->w.threads > 1 ? ad_context_new(&(ad_context_config){.threads = s->w.threads}) : NULL;
    return s->context || s->w.threads == 1;
#else
    return s->w.threads == 1;
#endif
}

static const char *begin(struct server *s, const char *words)
{
    static char error[512];
    const char *wrong = wide_read(&s->w, words);
    if (wrong || s->w.id == WIDE_TRIAD || !use_threads(s))
        return wrong ? wrong : "absent";
    ad_tape *t = ad_tape_new(s->context);
    ad_var x[WIDE_INPUTS];
    for (int k = 0; k < s->w.inputs; k++) {
        x[k] = ad_input_array(t, AD_F32, 1, (int64_t[]){(int64_t)s->w.n}, s->w.x[k]);
        free(s->w.x[k]);
    }
    ad_var y = function(s->w.id, x);
#ifdef HAVE_COMPILE
    s->program = ad_compile(t, s->w.inputs, x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
#else
    s->program = ad_program_capture(t, s->w.inputs, x, 1, &y, AD_GRADIENT);
#endif
    snprintf(error, sizeof error, "%s", ad_tape_error(t));
    ad_tape_free(t);
    s->workspace = s->program ? ad_workspace_new(s->program) : NULL;
    return s->workspace ? "ok" : error;
}

static double run(struct server *s, int n)
{
    ad_status status = AD_OK;
    double start = serve_seconds();
    for (int i = 0; i < n && status == AD_OK; i++)
        status = ad_run(s->workspace, NULL, NULL);
    double elapsed = serve_seconds() - start;
    return status == AD_OK ? elapsed / n * 1e6 : NAN;
}

static double loss(struct server *s)
{
    double sum, *gradient = malloc(s->w.n * sizeof *gradient);
    run(s, 1);
    if (!gradient || ad_workspace_read(s->workspace, 0, &sum) != AD_OK)
        return NAN;
    for (int k = 0; k < s->w.inputs; k++) {
        double part = 0;
        if (ad_workspace_read_gradient(s->workspace, k, gradient) != AD_OK)
            part = NAN;
        for (size_t i = 0; i < s->w.n; i++)
            part += gradient[i];
        sum += (k + 1) * part;
    }
    free(gradient);
    return sum;
}

int main(void)
{
    static struct server s;
    char line[256];
    serve_line("ready");
    while (serve_question(line, sizeof line)) {
        if (!strncmp(line, "wide ", 5))
            puts(begin(&s, line + 5));
        else if (!strcmp(line, "memory"))
            printf("%.9g\n", serve_memory_mib());
        else if (!s.workspace)
            puts("what?");
        else if (!strncmp(line, "run ", 4))
            printf("%.9g\n", run(&s, atoi(line + 4)));
        else if (!strcmp(line, "loss"))
            printf("%.9g\n", loss(&s));
        else
            puts("what?");
        fflush(stdout);
    }
    ad_workspace_free(s.workspace);
    ad_program_free(s.program);
    ad_context_free(s.context);
    return 0;
}
