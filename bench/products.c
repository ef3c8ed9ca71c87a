/* products.c - the bare matrix products of a training step, by the best library for each
 *
 * The limit of a training step: what its products alone take. Each product is tried with every
 * library that this machine has, our own included; the fastest does it from then on.
 *     model 784,64,64,10 32 adam 1 -  ->  ok
 *     run 100                         ->  microseconds of the products of a step
 *     which                           ->  who does how many of them
 *     triad                           ->  GB/s of a = b + s c over arrays beyond the caches
 *     memory                          ->  MiB that this process has needed at most */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#include "model.h"
#include "serve.h"

enum { MAX_PRODUCTS = 3 * MAX_LAYERS };

/* c (m,n) = op(a) (m,k) x op(b) (k,n), row-major without gaps; turned: op is the transpose */
struct product {
    int m, n, k;
    bool a_turned, b_turned;
    float *a, *b, *c;
    struct own *own;
    int best;
};

struct own { /* Tapegrad's product, as a program */
    ad_program *program;
    ad_workspace *workspace;
};

/* ---- libraries --------------------------------------------------------------------------------
 */

typedef void cblas_function(int order, int ta, int tb, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);
typedef int dnnl_function(char ta, char tb, long long m, long long n, long long k, float alpha,
                          const float *a, long long lda, const float *b, long long ldb, float beta,
                          float *c, long long ldc);

static const struct {
    const char *name, *files[3], *symbol;
    bool dnnl;
} libraries[] = {
    {"OpenBLAS", {"libopenblas.so.0", "libopenblas.so", NULL}, "cblas_sgemm", false},
    {"BLIS", {"libblis.so.4", "libblis.so", NULL}, "cblas_sgemm", false},
    {"MKL", {"libmkl_rt.so.2", "libmkl_rt.so", NULL}, "cblas_sgemm", false},
    {"oneDNN", {"libdnnl.so.3", "libdnnl.so.2", NULL}, "dnnl_sgemm", true},
    {"Tapegrad", {NULL, NULL, NULL}, NULL, false},
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries, OWN = LIBRARIES - 1 };

typedef struct loaded {
    cblas_function *cblas;
    dnnl_function *dnnl;
} loaded;

static void load(loaded *l)
{
    for (int i = 0; i < OWN; i++) {
        void *library = NULL, *symbol;
        for (int f = 0; !library && libraries[i].files[f]; f++)
            library = dlopen(libraries[i].files[f], RTLD_NOW | RTLD_LOCAL);
        symbol = library ? dlsym(library, libraries[i].symbol) : NULL;
        if (libraries[i].dnnl)
            *(void **)&l[i].dnnl = symbol;
        else
            *(void **)&l[i].cblas = symbol;
    }
}

static void *make_own(const struct product *p, const ad_context *context)
{
    struct own *own = calloc(1, sizeof *own);
    ad_tape *t = ad_tape_new(context);
    int64_t a_shape[2] = {p->a_turned ? p->k : p->m, p->a_turned ? p->m : p->k};
    int64_t b_shape[2] = {p->b_turned ? p->n : p->k, p->b_turned ? p->k : p->n};
    ad_tensor *a_values = ad_tensor_from(NULL, AD_F32, 2, a_shape, p->a);
    ad_tensor *b_values = ad_tensor_from(NULL, AD_F32, 2, b_shape, p->b);
    ad_var in[2] = {ad_input_tensor(t, a_values), ad_input_tensor(t, b_values)};
    ad_var a = p->a_turned ? ad_transpose(in[0]) : in[0];
    ad_var b = p->b_turned ? ad_transpose(in[1]) : in[1];
    ad_var c = ad_matmul(a, b);
    if (own) {
        own->program = ad_program_capture(t, 2, in, 1, &c, AD_VALUES);
        own->workspace = own->program ? ad_workspace_new(own->program) : NULL;
    }
    ad_tape_free(t);
    ad_tensor_free(a_values);
    ad_tensor_free(b_values);
    return own;
}

static bool multiply(const loaded *l, struct product *p, int by)
{
    const int lda = p->a_turned ? p->m : p->k, ldb = p->b_turned ? p->k : p->n;
    if (by == OWN)
        return p->own && p->own->workspace && ad_run(p->own->workspace, NULL, NULL) == AD_OK;
    if (l[by].dnnl)
        return l[by].dnnl(p->a_turned ? 'T' : 'N', p->b_turned ? 'T' : 'N', p->m, p->n, p->k, 1,
                          p->a, lda, p->b, ldb, 0, p->c, p->n) == 0;
    if (!l[by].cblas)
        return false;
    /* CblasRowMajor 101, CblasNoTrans 111, CblasTrans 112 */
    l[by].cblas(101, p->a_turned ? 112 : 111, p->b_turned ? 112 : 111, p->m, p->n, p->k, 1, p->a,
                lda, p->b, ldb, 0, p->c, p->n);
    return true;
}

/* ---- the products of a step -------------------------------------------------------------------
 */

struct step {
    model m;
    ad_context *context; /* NULL: one thread */
    loaded offered[LIBRARIES];
    struct product product[MAX_PRODUCTS];
    int count;
};

static void add_product(struct step *s, int m, int n, int k, bool a_turned, bool b_turned)
{
    struct product *p = &s->product[s->count++];
    *p = (struct product){.m = m, .n = n, .k = k, .a_turned = a_turned, .b_turned = b_turned};
    p->a = model_floats((size_t)m * (size_t)k, 31, 97, .5, 1);
    p->b = model_floats((size_t)k * (size_t)n, 7919, 1000, .5, 1);
    p->c = model_floats((size_t)m * (size_t)n, 1, 2, 0, 0);
    p->own = make_own(p, s->context);
}

static double seconds_of(struct step *s, struct product *p, int by, int repeats)
{
    double start = serve_seconds();
    for (int i = 0; i < repeats; i++)
        multiply(s->offered, p, by);
    return (serve_seconds() - start) / repeats;
}

/* In turn, five times; the least counts, as others only ever make it slower. */
static void choose_library(struct step *s, struct product *p)
{
    double best[LIBRARIES];
    int repeats[LIBRARIES];
    for (int by = 0; by < LIBRARIES; by++) {
        best[by] = multiply(s->offered, p, by) ? seconds_of(s, p, by, 1) : INFINITY;
        repeats[by] = best[by] < .002 ? (int)(.002 / best[by]) + 1 : 1;
    }
    for (int round = 0; round < 5; round++)
        for (int by = 0; by < LIBRARIES; by++)
            if (isfinite(best[by]))
                best[by] = fmin(best[by], seconds_of(s, p, by, repeats[by]));
    for (int by = 0; by < LIBRARIES; by++)
        if (best[by] < best[p->best])
            p->best = by;
}

static void make_products(struct step *s)
{
#ifdef HAVE_THREADS
    if (s->m.threads > 1)
        s->context = ad_context_new(&(ad_context_config){.threads = s->m.threads});
#endif
    for (int k = 0; k < s->m.layers; k++) {
        const int in = s->m.width[k], out = s->m.width[k + 1], batch = s->m.batch;
        add_product(s, batch, out, in, false, false); /* forward */
        add_product(s, in, out, batch, true, false);  /* gradient of the weights */
        if (k > 0)
            add_product(s, batch, in, out, false, true); /* of the activations below */
    }
    for (int i = 0; i < s->count; i++)
        choose_library(s, &s->product[i]);
}

static double run(struct step *s, int n)
{
    double start = serve_seconds();
    for (int i = 0; i < n; i++)
        for (int k = 0; k < s->count; k++)
            multiply(s->offered, &s->product[k], s->product[k].best);
    return (serve_seconds() - start) / n * 1e6;
}

static void print_which(const struct step *s)
{
    for (int by = 0, said = 0; by < LIBRARIES; by++) {
        int n = 0;
        for (int k = 0; k < s->count; k++)
            n += s->product[k].best == by;
        if (n)
            printf("%s%d by %s", said++ ? ", " : "", n, libraries[by].name);
    }
    putchar('\n');
}

/* GB/s as STREAM counts: three arrays, whatever the caches read on top. */
static double triad(void)
{
    const size_t n = 16u << 20; /* 64 MiB each */
    float *a = model_floats(n, 1, 2, 0, 1), *b = model_floats(n, 31, 97, 0, 1),
          *c = model_floats(n, 7, 97, 0, 1);
    double best = INFINITY;
    for (int r = 0; a && b && c && r < 7; r++) {
        double start = serve_seconds();
        for (size_t i = 0; i < n; i++)
            a[i] = b[i] + (float)r * c[i];
        best = fmin(best, serve_seconds() - start);
    }
    volatile float kept = a ? a[n / 2] : 0;
    (void)kept;
    free(a);
    free(b);
    free(c);
    return 12e-9 * (double)n / best;
}

int main(void)
{
    static struct step s;
    char line[256];
    load(s.offered);
    serve_line("ready");
    while (serve_question(line, sizeof line)) {
        if (!strncmp(line, "model ", 6) && model_read(&s.m, line + 6)) {
            make_products(&s);
            puts("ok");
        } else if (!strncmp(line, "run ", 4))
            printf("%.9g\n", run(&s, atoi(line + 4)));
        else if (!strcmp(line, "which"))
            print_which(&s);
        else if (!strcmp(line, "triad"))
            printf("%.9g\n", triad());
        else if (!strcmp(line, "memory"))
            printf("%.9g\n", serve_memory_mib());
        else
            puts("0");
        fflush(stdout);
    }
    return 0;
}
