/* symbolic.c - the derivative of an expression, as an expression
 *
 * The calculus is that of ops.def, as ever: the expression is recorded on a tape of its own, the
 * reverse sweep writes the gradient onto that tape, and the gradient is read back. No number on the
 * tape matters: names and numbers alike are inputs, so that nothing is folded, and both sides of
 * every choice are recorded.
 *
 * Each place where the name stands is an input of its own. The derivative is the sum over these
 * places in the order of the text, which is the order of the rules that people learn:
 * x^2*sin(x) gives 2*x*sin(x) + x^2*cos(x). */
#define AD_PLAIN
#include "symbolic.h"
#include "algebra.h"
#include <limits.h>
#include <stdarg.h>
#include <string.h>

typedef struct derivation {
    const ad_expression *e;
    int name;      /* its place in `names`; -1: the expression does not have it */
    bool *needed;  /* of each node: does the result depend on it */
    ad_var *vars;  /* of each node */
    ad_var *x, *g; /* the places of the name, and the gradients there */
    int64_t *tops; /* nodes of the tape: of these gradients */
    int64_t *made; /* of each node of the tape: that of the expression */
    int n;
    ad_tape *t;
    ad_var seed;
    ad_expression *raw;
    ad_parse_error *error;
} derivation;

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static bool
fails(derivation *d, const expr_node *at, const char *format, ...)
{
    va_list arguments;
    *d->error = (ad_parse_error){.line = 1, .column = 1};
    if (at && at->line)
        *d->error = (ad_parse_error){
            .at = at->at, .length = at->length, .line = at->line, .column = at->column};
    va_start(arguments, format);
    vsnprintf(d->error->text, sizeof d->error->text, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- the expression ---- */

static void find_needed(derivation *d)
{
    const ad_expression *e = d->e;
    d->needed[e->result] = true;
    for (int64_t i = e->result; i >= 0; i--)
        for (int k = 0; d->needed[i] && k < e->nodes[i].n; k++)
            d->needed[expr_children(e, i)[k]] = true;
}

static bool is_elementwise(derivation *d)
{
    for (int64_t i = 0; i <= d->e->result; i++) {
        const expr_node *n = &d->e->nodes[i];
        if (!d->needed[i] || !(n->kind == AD_EXPRESSION_ARRAY ||
                               (n->kind == AD_EXPRESSION_CALL && n->function >= AD_OP_COUNT_)))
            continue;
        return fails(d, n,
                     "symbolic derivatives are for elementwise operations on scalars; %s is "
                     "not one",
                     n->kind == AD_EXPRESSION_ARRAY ? "an array"
                                                    : expr_function_at(n->function).name);
    }
    return true;
}

/* ---- recording ---- */

static void record(derivation *d)
{
    const double anywhere = .5;
    ad_var children[3];
    d->seed = ad_input(d->t, anywhere);
    for (int64_t i = 0; i <= d->e->result; i++) {
        const expr_node *n = &d->e->nodes[i];
        if (!d->needed[i])
            continue;
        for (int k = 0; k < n->n; k++)
            children[k] = d->vars[expr_children(d->e, i)[k]];
        d->vars[i] = n->kind == AD_EXPRESSION_CALL ? ad_apply(n->function, n->n, children)
                                                   : ad_input(d->t, anywhere);
        if (n->kind == AD_EXPRESSION_NAME && n->name == d->name && d->n < INT_MAX)
            d->x[d->n++] = d->vars[i];
    }
    ad_gradients_seeded(1, &d->vars[d->e->result], &d->seed, d->n, d->x, d->g);
}

/* ---- and back ---- */

/* Names and numbers are what they were in the expression, and so are its definitions. */
static bool make_leaves(derivation *d)
{
    for (int64_t i = 0; i <= d->e->result; i++) {
        const expr_node *n = &d->e->nodes[i];
        if (!d->needed[i] || n->kind == AD_EXPRESSION_CALL)
            continue;
        int64_t *made = &d->made[ad_var_node(d->vars[i])];
        *made = n->kind == AD_EXPRESSION_NAME ? expr_leaf(d->raw, n->name)
                                              : expr_number(d->raw, n->number);
        if (*made < 0)
            return false;
    }
    return true;
}

static void keep_definitions(derivation *d)
{
    for (int64_t i = 0; i <= d->e->result; i++)
        if (d->needed[i] && d->e->nodes[i].kind == AD_EXPRESSION_CALL)
            d->raw->nodes[d->made[ad_var_node(d->vars[i])]].defined = d->e->nodes[i].defined;
}

/* Where nothing flows, the gradient is a constant 0, and is left out. */
static bool add_up(derivation *d)
{
    int64_t sum = -1;
    for (int k = 0; k < d->n; k++) {
        const int64_t i = ad_var_node(d->g[k]), node = i < 0 ? -1 : d->made[i];
        if (i < 0)
            continue;
        sum = sum < 0 ? node : expr_call(d->raw, AD_OP_add, 2, (int64_t[]){sum, node});
        if (sum < 0)
            return false;
    }
    return (d->raw->result = sum < 0 ? expr_number(d->raw, 0) : sum) >= 0;
}

static bool read_back(derivation *d, expr_recorded *recorded)
{
    const int64_t y = ad_var_node(d->vars[d->e->result]), seed = ad_var_node(d->seed);
    int64_t n = 0;
    for (int64_t i = 0; i < ad_node_count(d->t); i++)
        d->made[i] = NOT_MADE;
    for (int k = 0; k < d->n; k++)
        if (ad_var_node(d->g[k]) >= 0)
            d->tops[n++] = ad_var_node(d->g[k]);
    d->made[seed] = recorded->seed = expr_number(d->raw, 1);
    if (recorded->seed < 0 || !make_leaves(d) || !expr_from_tape(d->raw, d->t, 1, &y, d->made))
        return false;
    keep_definitions(d);
    recorded->first = d->raw->n;
    if (!expr_from_tape(d->raw, d->t, n, d->tops, d->made))
        return false;
    recorded->last = d->raw->n;
    recorded->e = d->raw;
    recorded->euler = d->name < 0 || strcmp(d->e->names[d->name], "e") != 0;
    return add_up(d);
}

static ad_expression *derive(derivation *d)
{
    const ad_context *c = context_or_default(NULL);
    expr_recorded recorded;
    find_needed(d);
    if (!is_elementwise(d))
        return NULL;
    record(d);
    if (ad_tape_status(d->t)) {
        fails(d, NULL, "%.150s", ad_tape_error(d->t));
        return NULL;
    }
    const size_t bytes = (size_t)ad_node_count(d->t) * sizeof *d->made;
    d->made = memory_take(c, bytes);
    const bool read = d->made && read_back(d, &recorded);
    ad_expression *rewritten = read ? expr_rewritten(&recorded) : NULL,
                  *y = rewritten ? expr_simplified(rewritten) : NULL;
    if (!y)
        fails(d, NULL, "out of memory");
    ad_expression_free(rewritten);
    memory_give(c, d->made, bytes);
    return y;
}

static int place_of(const ad_expression *e, const char *name)
{
    for (int i = 0; i < e->n_names; i++)
        if (e->free[i] && strcmp(e->names[i], name) == 0)
            return i;
    return -1;
}

/* What a definition names is no name to derive by: the derivative is 0, as for
 * every name that the expression does not have. The arrays are smaller than the nodes themselves:
 * their sizes cannot overflow. */
ad_expression *ad_expression_derivative(const ad_expression *e, const char *name,
                                        ad_parse_error *error)
{
    const ad_context *c = context_or_default(NULL);
    ad_parse_error unread = {0};
    derivation d = {.e = e, .error = error ? error : &unread};
    *d.error = (ad_parse_error){0};
    if (!e || !name || !e->n) {
        fails(&d, NULL, "%s is NULL", name ? "the expression" : "the name");
        return NULL;
    }
    const size_t n = (size_t)e->n, vars = n * sizeof(ad_var), tops = n * sizeof(int64_t);
    d.name = place_of(e, name);
    d.t = ad_tape_new(NULL);
    d.raw = expr_with_names_of(e);
    d.needed = memory_take(c, n);
    d.vars = memory_take(c, vars);
    d.x = memory_take(c, vars);
    d.g = memory_take(c, vars);
    d.tops = memory_take(c, tops);
    ad_expression *y = NULL;
    if (d.raw && d.needed && d.vars && d.x && d.g && d.tops)
        y = derive(&d);
    else
        fails(&d, NULL, "out of memory");
    memory_give(c, d.needed, n);
    memory_give(c, d.vars, vars);
    memory_give(c, d.x, vars);
    memory_give(c, d.g, vars);
    memory_give(c, d.tops, tops);
    ad_expression_free(d.raw);
    ad_tape_free(d.t);
    return y;
}
