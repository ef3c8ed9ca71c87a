/* scalar_programs.h - random programs of scalars, each written by a seed: straight-line stretches
 * of any operations of the table, recurrences, sums of products, and guards */
#ifndef SCALAR_PROGRAMS_H
#define SCALAR_PROGRAMS_H
#include "expect.h"

enum { INPUTS = 24, POOL = 400 };

/* ---- writing a program ---- */

typedef struct writer {
    uint64_t state;
    ad_var pool[POOL];
    int n;
    bool guards;
} writer;

static uint64_t draw(writer *w)
{
    w->state += 0x9e3779b97f4a7c15u;
    uint64_t z = w->state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int choose(writer *w, int n) { return (int)(draw(w) % (uint64_t)n); }

static double uniform(writer *w, double low, double high)
{
    return low + (high - low) * (double)(draw(w) >> 11) * 0x1p-53;
}

static ad_var pick(writer *w) { return w->pool[choose(w, w->n)]; }

static void keep(writer *w, ad_var a)
{
    if (w->n < POOL)
        w->pool[w->n++] = a;
    else
        w->pool[choose(w, POOL)] = a;
}

static ad_var within(ad_var a, double low, double high)
{
    return low == high ? ad_constant(low)
                       : ad_add(ad_constant(low), ad_mul(ad_constant(high - low), ad_sigmoid(a)));
}

static void write_row(writer *w)
{
    const ad_op_info *op;
    int number;
    do
        op = ad_op_at(number = choose(w, ad_op_count()));
    while (!op->elementwise);
    ad_var a[3];
    for (int k = 0; k < op->arity; k++)
        a[k] = within(pick(w), op->low[k], op->high[k]);
    keep(w, ad_apply(number, op->arity, a));
}

/* what passes look for: constants of all kinds in simple operations */
static void write_simple(writer *w)
{
    static const double constants[] = {0, -0., 1, -1, 2, .5, 3, -4, .125};
    ad_var c = ad_constant(constants[choose(w, 9)]), a = pick(w), b = choose(w, 3) ? c : pick(w);
    switch (choose(w, 9)) {
    case 0:
        keep(w, ad_mul(a, b));
        break;
    case 1:
        keep(w, ad_mul(b, a));
        break;
    case 2:
        keep(w, ad_add(a, b));
        break;
    case 3:
        keep(w, ad_sub(a, b));
        break;
    case 4:
        keep(w, ad_tanh(ad_div(a, ad_constant(constants[2 + choose(w, 7)]))));
        break;
    case 5:
        keep(w, ad_pow(within(a, .5, 2), ad_constant(constants[choose(w, 7)])));
        break;
    case 6:
        keep(w, ad_neg(ad_neg(a)));
        break;
    case 7:
        keep(w, ad_mulz(b, a));
        break;
    default:
        keep(w, ad_where(b, a, pick(w)));
    }
}

static void write_sum_of_products(writer *w)
{
    int n = 2 + choose(w, 20), rows = 1 + choose(w, 4), start = choose(w, 2),
        first = choose(w, w->n);
    for (int r = 0; r < rows; r++) {
        ad_var sum = start ? pick(w) : ad_mul(pick(w), pick(w));
        for (int i = 0; i < n; i++) {
            ad_var a = w->pool[(first + i) % w->n], b = w->pool[(first + 7 * r + 3 * i) % w->n];
            sum = ad_add(sum, ad_mul(ad_tanh(a), b));
        }
        keep(w, ad_tanh(sum));
    }
}

static void write_recurrence(writer *w)
{
    int n = 3 + choose(w, 30), kind = choose(w, 3);
    ad_var p = ad_tanh(pick(w)), q = ad_tanh(pick(w)), a = ad_tanh(pick(w));
    for (int i = 0; i < n; i++) {
        ad_var old = p;
        if (kind == 0)
            p = ad_sub(p, ad_mul(a, ad_sin(q)));
        else if (kind == 1)
            p = ad_add(ad_mul(p, a), ad_mul(q, ad_constant(.25)));
        else
            p = ad_tanh(ad_add(p, w->pool[i % w->n]));
        q = ad_add(q, ad_div(old, ad_constant(8)));
        if (w->guards)
            ad_lt(p, ad_constant(100));
    }
    keep(w, p);
    keep(w, q);
}

static void write_elements(writer *w)
{
    int n = 4 + choose(w, 12), first = choose(w, w->n);
    ad_var terms[16];
    for (int i = 0; i < n; i++)
        terms[i] = ad_mul(ad_exp(within(w->pool[(first + i) % w->n], -1, 1)), ad_constant(.3));
    for (int i = 0; i < n; i++)
        keep(w, terms[i]);
}

typedef struct sample {
    ad_tape *tape;
    ad_var x[INPUTS], y[3];
    double at[INPUTS];
} sample;

static inline sample write_program(uint64_t seed, bool guards)
{
    writer w = {.state = seed, .guards = guards};
    sample s = {.tape = ad_tape_new(NULL)};
    for (int i = 0; i < INPUTS; i++) {
        s.at[i] = uniform(&w, -1, 1);
        keep(&w, s.x[i] = ad_input(s.tape, s.at[i]));
    }
    const int stretches = 1 + choose(&w, 12);
    for (int i = 0; i < stretches; i++) {
        void (*const kinds[])(writer *) = {
            write_row,      write_row,        write_simple,         write_simple,
            write_elements, write_recurrence, write_sum_of_products};
        kinds[choose(&w, 7)](&w);
        if (guards && choose(&w, 3) == 0)
            ad_lt(w.pool[choose(&w, w.n)], w.pool[choose(&w, w.n)]);
    }
    s.y[0] = ad_tanh(w.pool[w.n - 1]);
    for (int i = 0; i < 8; i++)
        s.y[0] = ad_add(s.y[0], ad_tanh(pick(&w)));
    s.y[1] = pick(&w);
    s.y[2] = w.pool[w.n - 1];
    STATUS(ad_tape_status(s.tape), AD_OK, s.tape);
    return s;
}

/* ---- running it ---- */

enum { EVERYTHING = AD_GRADIENT | AD_VJP | AD_JVP | AD_HVP, RESULTS = 3 + INPUTS * 3 + 3 };

/* inputs, then cotangents, then a direction */
static inline void run_compiled(const sample *s, const ad_compile_config *config, const double *x,
                                double *out)
{
    ad_program *p = ad_compile(s->tape, INPUTS, s->x, 3, s->y, config);
    if (!p)
        fail_msg("no program: %s", ad_tape_error(s->tape));
    ad_workspace *w = ad_workspace_new(p);
    RAN(ad_run(w, x, out), AD_OK, w);
    ad_workspace_free(w);
    ad_program_free(p);
}

static inline void fill(const sample *s, uint64_t seed, double *x)
{
    writer w = {.state = seed ^ 99};
    for (int i = 0; i < INPUTS; i++)
        x[i] = s->at[i];
    for (int i = 0; i < 3 + INPUTS; i++)
        x[INPUTS + i] = uniform(&w, -1, 1);
}

static inline void results_close(const char *what, uint64_t seed, int n, const double *got,
                                 const double *want)
{
    double scale = 1e-300;
    for (int i = 0; i < n; i++)
        scale = fmax(scale, fabs(want[i]));
    for (int i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-10 * fmax(scale, 1)) &&
            !(isnan(got[i]) && isnan(want[i])))
            fail_msg("seed %d: %s %d: got %.17g, want %.17g", (int)seed, what, i, got[i], want[i]);
}

/* ---- every row of the table ---- */

enum { EACH = 12 }; /* points in its domain: so many that they become a loop */

/* Inputs of row `op` at points in its domain, x[k * EACH + i] for argument k, and the results. */
static inline void write_row_program(ad_tape *t, int op, ad_var *x, double *at, ad_var *y)
{
    const ad_op_info *info = ad_op_at(op);
    writer w = {.state = (uint64_t)op + 5};
    for (int k = 0; k < info->arity; k++)
        for (int i = 0; i < EACH; i++) {
            at[k * EACH + i] = uniform(&w, info->low[k], info->high[k]);
            x[k * EACH + i] = ad_input(t, at[k * EACH + i]);
        }
    for (int i = 0; i < EACH; i++)
        y[i] = ad_apply(
            op, info->arity,
            (ad_var[]){x[i], x[(info->arity > 1) * EACH + i], x[(info->arity > 2) * 2 * EACH + i]});
}

#endif
