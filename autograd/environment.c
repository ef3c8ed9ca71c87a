/* environment.c - names on a tape, and recording what a text says about them
 *
 * An expression's nodes are in an order in which children come first, so that recording is one loop
 * over them. Every operation on the tape knows where in the text it stands, as its source line. */
#define AD_PLAIN
#include "algebra.h"
#include "expression.h"
#include "tape.h"
#include <string.h>

/* uthash asks here for memory, with the environment in scope as `env`; it must never exit */
#define HASH_NONFATAL_OOM           1
#define uthash_malloc(bytes)        memory_take(env->context, bytes)
#define uthash_free(p, bytes)       memory_give(env->context, p, bytes)
#define uthash_nonfatal_oom(symbol) ((symbol)->lost = true)
#include <uthash.h>

typedef struct symbol {
    UT_hash_handle hh;
    ad_var value;
    size_t bytes;
    bool lost; /* uthash ran out of memory when it was added */
    char name[];
} symbol;

struct ad_env {
    ad_tape *tape;
    const ad_context *context; /* the tape's; a dead one has none */
    symbol *symbols;
};

ad_env *ad_env_new(ad_tape *t)
{
    if (!t)
        return NULL;
    const ad_context *context = context_or_default(t->context);
    ad_env *env = memory_take(context, sizeof *env);
    if (env)
        *env = (ad_env){.tape = t, .context = context};
    return env;
}

void ad_env_free(ad_env *env)
{
    if (!env)
        return;
    symbol *s, *next;
    HASH_ITER(hh, env->symbols, s, next)
    {
        HASH_DEL(env->symbols, s);
        memory_give(env->context, s, s->bytes);
    }
    memory_give(env->context, env, sizeof *env);
}

static symbol *find(const ad_env *env, const char *name)
{
    symbol *s = NULL;
    HASH_FIND_STR(env->symbols, name, s);
    return s;
}

ad_status ad_env_set(ad_env *env, const char *name, ad_var value)
{
    if (!env || !name || !value.tape)
        return AD_NULL;
    if (value.tape != env->tape && !is_constant(value))
        return AD_FOREIGN;
    const size_t length = strlen(name), bytes = sizeof(symbol) + length + 1;
    if (!length || expr_name_length(name) != length)
        return AD_BAD_ARGUMENT;
    symbol *s = find(env, name);
    if (s) {
        s->value = value;
        return AD_OK;
    }
    s = memory_take(env->context, bytes);
    if (!s)
        return AD_NO_MEMORY;
    s->value = value;
    s->bytes = bytes;
    memcpy(s->name, name, length + 1);
    HASH_ADD_STR(env->symbols, name, s);
    if (!s->lost)
        return AD_OK;
    memory_give(env->context, s, bytes);
    return AD_NO_MEMORY;
}

ad_var ad_env_get(const ad_env *env, const char *name)
{
    const symbol *s = env && name ? find(env, name) : NULL;
    return s ? s->value : (ad_var){0};
}

/* ---- recording ---- */

typedef struct recorder {
    ad_env *env;
    const ad_expression *e;
    ad_var *values; /* of each node */
    ad_var *arguments;
} recorder;

/* "text:1:5": line and letter where a node stands. NULL where that is not known. */
static const char *site_of(const recorder *r, const expr_node *n)
{
    char text[48];
    if (!n->line)
        return NULL;
    snprintf(text, sizeof text, "text:%d:%d", n->line, n->column);
    return tape_interned(r->env->tape, text);
}

static ad_var unknown_name(recorder *r, const char *name, const char *site)
{
    const char *best = NULL;
    for (const symbol *s = r->env->symbols; s; s = s->hh.next)
        ad_suggest(name, s->name, &best);
    return best ? tape_fail(r->env->tape, AD_BAD_ARGUMENT, site,
                            "eval: unknown name '%.100s'; did you mean '%.100s'?", name, best)
                : tape_fail(r->env->tape, AD_BAD_ARGUMENT, site,
                            "eval: unknown name '%.100s': it has no value", name);
}

static ad_var record_name(recorder *r, const expr_node *n, const char *site)
{
    const char *name = r->e->names[n->name];
    const symbol *s = find(r->env, name);
    ad_tape *t = r->env->tape;
    double value;
    if (s && !is_constant(s->value))
        tape_node(t, s->value, name); /* has it been removed? */
    if (s)
        return t->status ? ad_sited_(tape_poison(t), site) : s->value;
    return expr_constant(name, &value) ? ad_constant(value) : unknown_name(r, name, site);
}

static ad_var record_row(const expr_node *n, const ad_var *a, const char *site)
{
    return n->n == 1   ? ad_record1_(n->function, a[0], site)
           : n->n == 2 ? ad_record2_(n->function, a[0], a[1], site)
                       : ad_record3_(n->function, a[0], a[1], a[2], site);
}

/* Structured operations find the tape by their arguments, and numbers have none. */
static void onto_tape(recorder *r, int n)
{
    for (int k = 0; k < n; k++) {
        const uint32_t i = is_constant(r->arguments[k])
                               ? tape_node(r->env->tape, r->arguments[k], "eval")
                               : NO_NODE;
        if (i != NO_NODE)
            r->arguments[k] = tape_var(r->env->tape, i);
    }
}

/* Is it a row of ops.def, or a structured operation? */
static ad_var record_call(recorder *r, const expr_node *n, const char *site)
{
    const int64_t *children = r->e->children + n->first;
    const expr_function f = expr_function_at(n->function);
    const int vars = f.vars < 0 ? n->n : f.vars;
    expr_arguments a = {.vars = r->arguments, .n_vars = vars, .site = site};
    for (int k = 0; k < vars; k++)
        r->arguments[k] = r->values[children[k]];
    if (!f.record)
        return record_row(n, r->arguments, site);
    onto_tape(r, vars);
    for (int k = vars; k < n->n; k++)
        a.integers[a.n_integers++] = (int64_t)r->e->nodes[children[k]].number;
    return ad_sited_(f.record(r->env->tape, &a), site);
}

static ad_var record_array(recorder *r, const expr_node *n, const char *site)
{
    const int64_t *children = r->e->children + n->first;
    const int64_t shape[2] = {n->rows, n->rows ? n->n / n->rows : 0};
    ad_tape *t = r->env->tape;
    bool numbers = true;
    for (int k = 0; k < n->n; k++) {
        r->arguments[k] = r->values[children[k]];
        numbers = numbers && is_constant(r->arguments[k]);
    }
    if (!numbers) {
        ad_var y = ad_sited_(ad_stack(n->n, r->arguments, 0), site);
        return n->rows ? ad_sited_(ad_reshape(y, 2, shape), site) : y;
    }
    const int64_t length = n->n;
    double *values = memory_take(t->context, (size_t)n->n * sizeof *values);
    if (!values)
        return tape_fail(t, AD_NO_MEMORY, site, "eval: out of memory");
    for (int k = 0; k < n->n; k++)
        values[k] = r->arguments[k].u.constant;
    ad_var y = ad_constant_array(t, AD_F64, n->rows ? 2 : 1, n->rows ? shape : &length, values);
    memory_give(t->context, values, (size_t)n->n * sizeof *values);
    return ad_sited_(y, site);
}

static ad_var record_node(recorder *r, const expr_node *n)
{
    switch (n->kind) {
    case AD_EXPRESSION_NUMBER:
        return ad_constant(n->number);
    case AD_EXPRESSION_NAME:
        return record_name(r, n, site_of(r, n));
    case AD_EXPRESSION_CALL:
        return record_call(r, n, site_of(r, n));
    default:
        return record_array(r, n, site_of(r, n));
    }
}

static bool define(recorder *r)
{
    for (int i = 0; i < r->e->n_names; i++)
        if (r->e->definitions[i] >= 0 &&
            ad_env_set(r->env, r->e->names[i], r->values[r->e->definitions[i]]))
            return false;
    return true;
}

ad_var ad_record_expression(ad_env *env, const ad_expression *e, int64_t *nodes)
{
    if (!env || !e)
        return env ? tape_fail(env->tape, AD_NULL, NULL, "eval: null expression") : (ad_var){0};
    ad_tape *t = env->tape;
    int most = 0;
    for (int64_t i = 0; nodes && i < e->n; i++)
        nodes[i] = -1;
    for (int64_t i = 0; i < e->n; i++)
        most = e->nodes[i].n > most ? e->nodes[i].n : most;
    const size_t bytes = ((size_t)e->n + (size_t)most + 1) * sizeof(ad_var);
    recorder r = {.env = env, .e = e};
    r.values = memory_take(env->context, bytes);
    if (!r.values)
        return tape_fail(t, AD_NO_MEMORY, NULL, "eval: out of memory");
    r.arguments = r.values + e->n;
    for (int64_t i = 0; i < e->n && !t->status; i++)
        r.values[i] = record_node(&r, &e->nodes[i]);
    ad_var y = t->status ? tape_poison(t) : r.values[e->result];
    if (!t->status && !define(&r))
        y = tape_fail(t, AD_NO_MEMORY, NULL, "eval: out of memory");
    for (int64_t i = 0; nodes && !t->status && i < e->n; i++)
        nodes[i] = ad_var_node(r.values[i]); /* -1 of constants */
    memory_give(env->context, r.values, bytes);
    return y;
}

ad_var ad_eval(ad_env *env, const char *text)
{
    ad_parse_error error;
    if (!env)
        return (ad_var){0};
    if (!text)
        return tape_fail(env->tape, AD_NULL, NULL, "eval: null text");
    ad_expression *e = ad_parse(text, &error);
    if (!e)
        return tape_fail(env->tape, AD_BAD_ARGUMENT, NULL, "eval: line %d, column %d: %s",
                         error.line, error.column, error.text);
    ad_var y = ad_record_expression(env, e, NULL);
    ad_expression_free(e);
    return y;
}
