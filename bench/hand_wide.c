/* hand_wide.c - gradients over long arrays as loops by hand, and the triad that tells the memory's
 * bandwidth; see wide.h
 *
 * Value and gradient in one pass: what must move, moves once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"
#include "wide.h"

struct server {
    wide w;
    float *g[WIDE_INPUTS];
    double value;
    int turns;
};

/* Partial sums, so that the compiler may make vectors of them. */
enum { LANES = 16 };

static double total(const float sums[LANES])
{
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += (double)sums[i];
    return sum;
}

static double affine(size_t n, const float *restrict a, const float *restrict b,
                     const float *restrict c, float *restrict da, float *restrict db,
                     float *restrict dc)
{
    double value = 0;
    for (size_t start = 0; start < n; start += 4096) { /* floats lose nothing over so few */
        float sums[LANES] = {0};
        size_t end = start + 4096 < n ? start + 4096 : n;
        for (size_t i = start; i < end; i++) {
            sums[i % LANES] += a[i] + b[i] * c[i];
            da[i] = 1;
            db[i] = c[i];
            dc[i] = b[i];
        }
        value += total(sums);
    }
    return value;
}

static double tanh_sum(size_t n, const float *restrict x, float *restrict dx)
{
    double value = 0;
    for (size_t i = 0; i < n; i++) {
        float y = tanhf(x[i]);
        value += (double)y;
        dx[i] = 1 - y * y;
    }
    return value;
}

static double exp_sum(size_t n, const float *restrict x, float *restrict dx)
{
    double value = 0;
    for (size_t i = 0; i < n; i++) {
        float y = expf(-x[i] * x[i]);
        value += (double)y;
        dx[i] = -2 * x[i] * y;
    }
    return value;
}

static void triad(size_t n, float *restrict a, const float *restrict b, const float *restrict c,
                  float s)
{
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

static void once(struct server *s)
{
    float **x = s->w.x, **g = s->g;
    if (s->w.id == WIDE_AFFINE)
        s->value = affine(s->w.n, x[0], x[1], x[2], g[0], g[1], g[2]);
    else if (s->w.id == WIDE_TANH)
        s->value = tanh_sum(s->w.n, x[0], g[0]);
    else if (s->w.id == WIDE_EXP)
        s->value = exp_sum(s->w.n, x[0], g[0]);
    else
        triad(s->w.n, x[0], x[1], x[2], (float)(s->turns++ % 2));
}

static const char *begin(struct server *s, const char *words)
{
    const char *wrong = wide_read(&s->w, words);
    if (wrong || s->w.threads != 1)
        return wrong ? wrong : "absent";
    for (int k = 0; s->w.id != WIDE_TRIAD && k < s->w.inputs; k++) {
        s->g[k] = malloc(s->w.n * sizeof(float));
        if (!s->g[k])
            return "out of memory";
    }
    return "ok";
}

static double run(struct server *s, int n)
{
    double start = serve_seconds();
    for (int i = 0; i < n; i++)
        once(s);
    return (serve_seconds() - start) / n * 1e6;
}

static double loss(struct server *s)
{
    once(s);
    double sum = s->value;
    for (int k = 0; s->g[k] && k < s->w.inputs; k++) {
        double part = 0;
        for (size_t i = 0; i < s->w.n; i++)
            part += (double)s->g[k][i];
        sum += (k + 1) * part;
    }
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
        else if (!strncmp(line, "run ", 4) && s.w.n)
            printf("%.9g\n", run(&s, atoi(line + 4)));
        else if (!strcmp(line, "loss") && s.w.n)
            printf("%.9g\n", loss(&s));
        else if (!strcmp(line, "memory"))
            printf("%.9g\n", serve_memory_mib());
        else
            puts("what?");
        fflush(stdout);
    }
    return 0;
}
