/* grad_command.c - tapegrad grad: derivatives of an expression as numbers, formulas or C source */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "emit_c.h"
#include "point.h"

static const char help[] =
    "Prints value and gradient of an expression; on request second derivatives, products with\n"
    "the Jacobian, formulas, or C source.\n"
    "\n"
    "usage: tapegrad grad EXPRESSION --at POINT [OPTION...]\n"
    "       tapegrad grad EXPRESSION --symbolic [--at POINT]\n"
    "       tapegrad grad EXPRESSION --emit c [--name NAME]\n"
    "\n"
    "  --at POINT       values of the inputs: x1=2,x2=5; also pi/4, and tensors W=[1,2;3,4]\n"
    "  --wrt NAMES      the inputs to derive by: x1,x2; all of them where not said\n"
    "  --hessian        the second derivatives, too\n"
    "  --jvp NUMBERS    the derivative along a direction: a number for each element of the inputs\n"
    "  --vjp NUMBERS    the gradient of the result times these: a number for each element of it\n"
    "  --symbolic       each derivative as a formula\n"
    "  --digits N       decimals, 6 where not said\n"
    "  --emit c         a C99 file with double NAME(const double x[n], double gradient[n]),\n"
    "                   which needs no library\n"
    "  --name NAME      of that function; f where not said\n"
    "\n"
    "examples:\n"
    "  tapegrad grad 'x1*x2 + sin(x1)' --at x1=2,x2=5 --hessian\n"
    "  tapegrad grad 'x1*x2 + sin(x1)' --symbolic\n"
    "  tapegrad grad 'W @ x' --at 'W=[1,2;3,4],x=[1,1]' --vjp 1,0\n"
    "  tapegrad grad 'log(x^2 + 1)' --emit c --name loss > loss.c\n";

typedef struct grad {
    const char *text, *at, *wrt, *jvp, *vjp, *digits_text, *emit, *name;
    bool hessian, symbolic;
    int digits;
    ad_expression *expression;
    point point;
    ad_tape *tape;
    ad_env *env;
    ad_var y;
    int n; /* inputs to derive by */
    const char **names;
    ad_var *x;
    int64_t elements; /* of all x */
    double *numbers;  /* room for as many, or for those of y */
    bool finite;
    char *wrong;
} grad;

static bool no_memory(grad *g)
{
    complain(g->wrong, "out of memory");
    return false;
}

/* ---- what is asked for ---- */

static bool choose_names(grad *g)
{
    const ad_expression *e = g->expression;
    const int all = ad_expression_name_count(e);
    g->names = calloc((size_t)all + 1, sizeof *g->names);
    if (!g->names)
        return no_memory(g);
    for (int i = 0; !g->wrt && i < all; i++)
        g->names[g->n++] = ad_expression_name(e, i);
    for (const char *list = g->wrt; list && *list;) {
        const size_t length = strcspn(list, ",");
        const char *name = NULL;
        for (int i = 0; i < all; i++)
            if (strlen(ad_expression_name(e, i)) == length &&
                memcmp(ad_expression_name(e, i), list, length) == 0)
                name = ad_expression_name(e, i);
        for (int k = 0; k < g->n; k++)
            if (g->names[k] == name)
                return complain(g->wrong, "--wrt: '%s' is there twice", name);
        if (!name)
            return complain(g->wrong, "--wrt: '%.*s' is no input of '%.300s'",
                            (int)(length < 100 ? length : 100), list, g->text);
        g->names[g->n++] = name;
        list += length + (list[length] == ',');
    }
    return g->n ? true : complain(g->wrong, "the expression depends on no input");
}

static bool record(grad *g)
{
    g->tape = ad_tape_new(NULL);
    g->env = ad_env_new(g->tape);
    g->x = calloc((size_t)g->n + 1, sizeof *g->x);
    if (!g->env || !g->x)
        return no_memory(g);
    if (!point_read(&g->point, g->at, g->wrong) ||
        !point_inputs(&g->point, g->expression, g->tape, g->env, g->wrong))
        return false;
    for (int k = 0; k < g->n; k++) {
        g->x[k] = ad_env_get(g->env, g->names[k]);
        g->elements += ad_size(g->x[k]);
    }
    g->y = ad_record_expression(g->env, g->expression, NULL);
    if (ad_tape_status(g->tape))
        return complain(g->wrong, "%s", ad_tape_error(g->tape));
    if (ad_var_node(g->y) < 0)
        return complain(g->wrong, "'%.300s' depends on no input: there is nothing to derive",
                        g->text);
    const int64_t most = g->elements > ad_size(g->y) ? g->elements : ad_size(g->y);
    g->numbers = calloc((size_t)most + 1, sizeof *g->numbers);
    return g->numbers ? true : no_memory(g);
}

/* As many numbers as wanted, each an expression of its own. */
static bool read_numbers(grad *g, const char *which, const char *list, int64_t wanted, double *to)
{
    char *text = malloc(strlen(list) + 3);
    ad_tape *tape = ad_tape_new(NULL);
    ad_env *env = ad_env_new(tape);
    ad_var v = {0};
    if (text) {
        sprintf(text, "[%s]", list);
        v = ad_eval(env, text);
    }
    const bool same = v.tape && !ad_tape_status(tape) && ad_size(v) == wanted;
    const bool good = same && !ad_read(v, to);
    if (!good && v.tape && !ad_tape_status(tape))
        complain(g->wrong, "%s: one number for each element is wanted, %lld of them, not %lld",
                 which, (long long)wanted, (long long)ad_size(v));
    else if (!good)
        complain(g->wrong, "%s: '%.200s' are no numbers; write 1,0", which, list);
    free(text);
    ad_env_free(env);
    ad_tape_free(tape);
    return good;
}

/* Before anything is printed. */
static bool check_numbers(grad *g)
{
    return (!g->jvp || read_numbers(g, "--jvp", g->jvp, g->elements, g->numbers)) &&
           (!g->vjp || read_numbers(g, "--vjp", g->vjp, ad_size(g->y), g->numbers));
}

/* ---- numbers ---- */

static const char *number(grad *g, double value, char out[32])
{
    g->finite = g->finite && isfinite(value);
    return trace_number(out, value, g->digits);
}

/* A number, or a tensor in brackets as the language reads it. */
static void put_value(grad *g, ad_var like, const double *values)
{
    char text[32];
    if (!ad_is_tensor(like)) {
        fputs(number(g, values[0], text), stdout);
        return;
    }
    const int rank = ad_rank(like);
    const int64_t size = ad_size(like), columns = rank ? ad_shape(like)[rank - 1] : 1;
    putchar('[');
    for (int64_t i = 0; i < size; i++)
        printf("%s%s", i == 0 ? "" : i % columns ? ", " : "; ", number(g, values[i], text));
    putchar(']');
}

static bool put_gradients(grad *g, const char *before)
{
    for (int k = 0; k < g->n; k++) {
        if (ad_grad_read(g->x[k], g->numbers))
            return complain(g->wrong, "%s", ad_tape_error(g->tape));
        printf("%s%s = ", before, g->names[k]);
        put_value(g, g->x[k], g->numbers);
        putchar('\n');
    }
    return true;
}

static bool put_first(grad *g)
{
    if (ad_read(g->y, g->numbers))
        return complain(g->wrong, "%s", ad_tape_error(g->tape));
    fputs("value = ", stdout);
    put_value(g, g->y, g->numbers);
    putchar('\n');
    if (ad_size(g->y) != 1)
        return true;
    return ad_backward(g->y) ? complain(g->wrong, "%s", ad_tape_error(g->tape))
                             : put_gradients(g, "d/d");
}

/* ---- products ---- */

static bool put_jvp(grad *g)
{
    const double **tangents = calloc((size_t)g->n + 1, sizeof *tangents);
    double *room = calloc((size_t)ad_size(g->y) + 1, sizeof *room);
    bool good =
        tangents && room ? read_numbers(g, "--jvp", g->jvp, g->elements, g->numbers) : no_memory(g);
    int64_t at = 0;
    for (int k = 0; good && k < g->n; k++) {
        tangents[k] = g->numbers + at;
        at += ad_size(g->x[k]);
    }
    if (good && ad_jvp(g->n, g->x, tangents, 1, &g->y, &room, 1))
        good = complain(g->wrong, "%s", ad_tape_error(g->tape));
    if (good) {
        printf("jvp along (%s) = ", g->jvp);
        put_value(g, g->y, room);
        putchar('\n');
    }
    free(tangents);
    free(room);
    return good;
}

static bool put_vjp(grad *g)
{
    const double *seed = g->numbers;
    char before[64];
    if (!read_numbers(g, "--vjp", g->vjp, ad_size(g->y), g->numbers))
        return false;
    if (ad_vjp(1, &g->y, &seed))
        return complain(g->wrong, "%s", ad_tape_error(g->tape));
    snprintf(before, sizeof before, "vjp with (%.40s), ", g->vjp);
    return put_gradients(g, before);
}

/* ---- second derivatives ---- */

typedef struct matrix {
    int64_t n;
    double *at;   /* n * n */
    char **texts; /* names of its rows */
} matrix;

/* "x1"; of tensors "W[0,1]", counted as at() does. */
static char *element_name(const grad *g, int64_t element)
{
    int k = 0;
    while (element >= ad_size(g->x[k]))
        element -= ad_size(g->x[k++]);
    const size_t room = strlen(g->names[k]) + 24 * AD_MAX_RANK;
    char *out = malloc(room), *to = out;
    if (!out)
        return NULL;
    to += sprintf(to, "%s", g->names[k]);
    int64_t below = ad_size(g->x[k]);
    for (int axis = 0; axis < ad_rank(g->x[k]); axis++) {
        below /= ad_shape(g->x[k])[axis];
        to += sprintf(to, "%s%lld", axis ? "," : "[", (long long)(element / below));
        element %= below;
    }
    if (ad_rank(g->x[k]) > 0)
        strcpy(to, "]");
    return out;
}

/* One backward sweep over duals for each column. */
static bool fill_matrix(grad *g, matrix *m)
{
    double *unit = calloc((size_t)m->n + 1, sizeof *unit);
    const double **v = calloc((size_t)g->n + 1, sizeof *v);
    double **products = calloc((size_t)g->n + 1, sizeof *products);
    bool good = unit && v && products ? true : no_memory(g);
    for (int64_t j = 0; good && j < m->n; j++) {
        int64_t at = 0;
        for (int k = 0; k < g->n; k++) {
            v[k] = unit + at;
            products[k] = m->at + j * m->n + at;
            at += ad_size(g->x[k]);
        }
        unit[j] = 1;
        if (ad_hvp(g->y, g->n, g->x, v, products))
            good = complain(g->wrong, "%s", ad_tape_error(g->tape));
        unit[j] = 0;
    }
    free(unit);
    free(v);
    free(products);
    return good;
}

static void put_matrix(grad *g, const matrix *m)
{
    char text[32];
    int width = 0, names = 0;
    for (int64_t i = 0; i < m->n; i++) {
        const int length = (int)strlen(m->texts[i]);
        names = length > names ? length : names;
    }
    width = names;
    for (int64_t i = 0; i < m->n * m->n; i++) {
        const int length = (int)strlen(number(g, m->at[i], text));
        width = length > width ? length : width;
    }
    printf("Hessian:\n%*s", names + 2, "");
    for (int64_t j = 0; j < m->n; j++)
        printf("  %*s", width, m->texts[j]);
    putchar('\n');
    for (int64_t i = 0; i < m->n; i++) {
        printf("  %-*s", names, m->texts[i]);
        for (int64_t j = 0; j < m->n; j++)
            printf("  %*s", width, number(g, m->at[i * m->n + j], text));
        putchar('\n');
    }
}

static bool put_hessian(grad *g)
{
    enum { MOST = 200 };
    if (ad_size(g->y) != 1)
        return complain(g->wrong,
                        "--hessian: '%.300s' is a tensor: end in a number, as in "
                        "sum(...)",
                        g->text);
    if (g->elements > MOST)
        return complain(g->wrong, "--hessian: %lld elements are too many to print, at most %d",
                        (long long)g->elements, MOST);
    matrix m = {.n = g->elements};
    m.at = calloc((size_t)(m.n * m.n) + 1, sizeof *m.at);
    m.texts = calloc((size_t)m.n + 1, sizeof *m.texts);
    bool good = m.at && m.texts ? fill_matrix(g, &m) : no_memory(g);
    for (int64_t i = 0; good && i < m.n; i++)
        good = (m.texts[i] = element_name(g, i)) != NULL;
    if (good)
        put_matrix(g, &m);
    else if (!*g->wrong)
        no_memory(g);
    for (int64_t i = 0; m.texts && i < m.n; i++)
        free(m.texts[i]);
    free(m.texts);
    free(m.at);
    return good;
}

/* ---- formulas ---- */

static bool put_symbolic(grad *g)
{
    for (int k = 0; k < g->n; k++) {
        ad_parse_error error;
        ad_expression *d = ad_expression_derivative(g->expression, g->names[k], &error);
        const size_t room = d ? ad_expression_text(d, NULL, 0) + 1 : 0;
        char *text = d ? malloc(room) : NULL;
        if (text) {
            ad_expression_text(d, text, room);
            printf("d/d%s = %s\n", g->names[k], text);
        } else if (!d) {
            complain_at(g->wrong, "--symbolic", g->text, &error);
        } else {
            no_memory(g);
        }
        ad_expression_free(d);
        free(text);
        if (!text)
            return false;
    }
    return true;
}

/* ---- the command ---- */

static bool check_options(const grad *g)
{
    const bool numbers = g->at || g->hessian || g->jvp || g->vjp || g->symbolic || g->wrt;
    if (g->emit && strcmp(g->emit, "c") != 0)
        return usage_error("grad: --emit writes c, not '%s'", g->emit), false;
    if (g->emit && numbers)
        return usage_error("grad: --emit c goes with --name only"), false;
    if (g->name && !g->emit)
        return usage_error("grad: --name goes with --emit c"), false;
    if (g->name && !emit_c_name(g->name))
        return usage_error("grad: --name: '%s' is no name for a function of C", g->name), false;
    char *end = NULL;
    const long digits = g->digits_text ? strtol(g->digits_text, &end, 10) : 6;
    if (g->digits_text && (end == g->digits_text || *end || digits < 1 || digits > 15))
        return usage_error("grad: --digits is a number from 1 to 15, not '%s'", g->digits_text),
               false;
    return true;
}

static bool work(grad *g)
{
    ad_parse_error error;
    g->digits = g->digits_text ? atoi(g->digits_text) : 6;
    g->expression = ad_parse(g->text, &error);
    if (!g->expression)
        return complain_at(g->wrong, "", g->text, &error);
    if (g->emit)
        return emit_c(g->expression, g->name ? g->name : "f", stdout, g->wrong);
    const bool numbers = g->at || g->hessian || g->jvp || g->vjp || !g->symbolic;
    return choose_names(g) && (!g->symbolic || put_symbolic(g)) &&
           (!numbers || (record(g) && check_numbers(g) && put_first(g) && (!g->jvp || put_jvp(g)) &&
                         (!g->vjp || put_vjp(g)) && (!g->hessian || put_hessian(g))));
}

static int run(int argc, char **argv)
{
    char wrong[TRACE_WRONG] = "";
    grad g = {.finite = true, .wrong = wrong};
    const option options[] = {{"--at", &g.at, NULL},
                              {"--wrt", &g.wrt, NULL},
                              {"--hessian", NULL, &g.hessian},
                              {"--jvp", &g.jvp, NULL},
                              {"--vjp", &g.vjp, NULL},
                              {"--symbolic", NULL, &g.symbolic},
                              {"--digits", &g.digits_text, NULL},
                              {"--emit", &g.emit, NULL},
                              {"--name", &g.name, NULL}};
    if (!read_options(&grad_command, argc, argv, sizeof options / sizeof *options, options, 1,
                      &g.text))
        return STATUS_USAGE;
    if (!g.text)
        return usage_error("grad: an expression is missing; see `tapegrad grad --help`");
    if (!check_options(&g))
        return STATUS_USAGE;
    const bool good = work(&g);
    if (!good)
        usage_error("%s", wrong);
    ad_expression_free(g.expression);
    point_free(&g.point);
    ad_env_free(g.env);
    ad_tape_free(g.tape);
    free(g.names);
    free(g.x);
    free(g.numbers);
    return !good ? STATUS_USAGE : g.finite ? STATUS_FINE : STATUS_NOT_FINITE;
}

const command grad_command = {"grad", "derivatives as numbers, formulas or C source", help, run};
