/* rewrite.c - what only rules write becomes what people write
 *
 * The rules of ops.def are written for a computer: they put the cotangent into a product in which 0
 * absorbs, guard the edges of domains, and avoid overflow. Read as mathematics, each is a notation
 * of something simpler. The table below says of what, in the language itself; a name in it stands
 * for anything.
 *
 * A rule of the engine is linear in its cotangent, so that a sum of two things that both depend on
 * the seed is one of paths through the expression. The sweep meets the last path first: such sums
 * are turned around. */
#define AD_PLAIN
#include "algebra.h"
#include "symbolic.h"
#include <string.h>

typedef struct rewrite {
    const char *from, *to;
    bool anywhere; /* or only in what rules recorded: others may mean it as it is */
} rewrite;

static const rewrite table[] = {
    /* edges of domains */
    {"where((e == 0)*(b >= 0), 0, log(e))", "1", false},      /* e^b */
    {"where((a == 0)*(b >= 0), 0, log(a))", "log(a)", false}, /* pow */
    {"where((a == 0)*(b <= 0), 0, log(b))", "log(b)", false}, /* xlogy */
    {"max(a <= b, b != b)", "a <= b", false},                 /* fmin */
    {"max(a >= b, b != b)", "a >= b", false},                 /* fmax */
    /* accuracy, and room for large numbers */
    {"sigmoid(a)*sigmoid(-a)", "sigmoid(a)*(1 - sigmoid(a))", false},
    {"hypot(1, a)", "sqrt(1 + a^2)", false},
    {"direction(b, a, hypot(a, b))/hypot(a, b)", "b/(a^2 + b^2)", false}, /* atan2 */
    {"direction(a, b, hypot(a, b))/hypot(a, b)", "a/(a^2 + b^2)", false},
    {"direction(a, b, c)", "a/c", true},
    {"sign(copysign(a, b))*sign(a)", "copysign(a, b)/a", false},
    {"pow_slope(a, trunc(b))", "trunc(b)*powi(a, trunc(b) - 1)", false}, /* powi */
    {"pow_slope(a, b)", "b*a^(b - 1)", true},
    {"(1 - a)*(1 + a)", "1 - a^2", false},
    {"divz(divz(g, sqrt(a - 1)), sqrt(a + 1))", "g/sqrt(a^2 - 1)", false}, /* acosh */
    {"mulz(mulz(g, 1 - b), sigmoid(a)) - mulz(mulz(g, b), sigmoid(-a))", "g*(sigmoid(a) - b)",
     false}, /* bce_logits */
    /* numbers */
    {"0.69314718055994530942*g", "g*log(2)", false},
    {"1.4426950408889634074*g", "g/log(2)", false},
    {"0.43429448190325182765*g", "g/log(10)", false},
    /* in general */
    {"mulz(a, b)", "a*b", true},
    {"divz(a, b)", "a/b", true},
    {"recip(a)", "1/a", true},
    {"rsqrt(a)", "1/sqrt(a)", true},
    {"fma(a, b, c)", "a*b + c", true},
};
enum { TABLE = sizeof table / sizeof *table, VARIABLES = 4, NODES = 16 };

typedef struct rewriter {
    const ad_expression *from;
    ad_expression *to;
    int64_t *moved; /* where a node is now */
    bool *depends;  /* on the seed */
    bool euler;     /* e is a number */
    ad_expression *patterns[TABLE], *replacements[TABLE];
    int64_t bound[VARIABLES]; /* the nodes that the names of a pattern stand for; -1: none yet */
} rewriter;

/* ---- patterns ---- */

/* As deep as patterns are, which is not deep. */
static bool matches(rewriter *r, const ad_expression *pattern, int64_t p, int64_t node)
{
    const expr_node *want = &pattern->nodes[p], *have = &r->from->nodes[node];
    if (want->kind == AD_EXPRESSION_NAME && strcmp(pattern->names[want->name], "e") == 0)
        return r->euler && have->kind == AD_EXPRESSION_NAME &&
               strcmp(r->from->names[have->name], "e") == 0;
    if (want->kind == AD_EXPRESSION_NAME) {
        int64_t *bound = &r->bound[want->name];
        *bound = *bound < 0 ? node : *bound;
        return *bound == node;
    }
    if (want->kind != have->kind || want->function != have->function ||
        want->number != have->number)
        return false;
    for (int k = 0; k < want->n; k++)
        if (!matches(r, pattern, expr_children(pattern, p)[k], expr_children(r->from, node)[k]))
            return false;
    return true;
}

static int64_t bound_to(const rewriter *r, const ad_expression *pattern, const char *name)
{
    for (int i = 0; i < pattern->n_names; i++)
        if (strcmp(pattern->names[i], name) == 0)
            return r->moved[r->bound[i]];
    return -1;
}

static int64_t replace(rewriter *r, const ad_expression *pattern, const ad_expression *by)
{
    int64_t made[NODES] = {0};
    for (int64_t i = 0; i < by->n; i++) {
        const expr_node *n = &by->nodes[i];
        int64_t children[3] = {0};
        for (int k = 0; k < n->n; k++)
            children[k] = made[expr_children(by, i)[k]];
        made[i] = n->kind == AD_EXPRESSION_NAME     ? bound_to(r, pattern, by->names[n->name])
                  : n->kind == AD_EXPRESSION_NUMBER ? expr_number(r->to, n->number)
                                                    : expr_call(r->to, n->function, n->n, children);
        if (made[i] < 0)
            return -1;
    }
    return made[by->result];
}

/* ---- nodes ---- */

static int64_t copy_call(rewriter *r, int64_t i, bool turned)
{
    const expr_node *n = &r->from->nodes[i];
    int64_t children[3] = {0};
    for (int k = 0; k < n->n; k++)
        children[k] = r->moved[expr_children(r->from, i)[turned ? n->n - 1 - k : k]];
    return expr_call(r->to, n->function, n->n, children);
}

static int64_t rewrite_call(rewriter *r, int64_t i, bool by_rule)
{
    const expr_node *n = &r->from->nodes[i];
    const int64_t *children = expr_children(r->from, i);
    for (int k = 0; k < TABLE; k++) {
        const ad_expression *pattern = r->patterns[k];
        if (pattern->nodes[pattern->result].function != n->function ||
            !(by_rule || table[k].anywhere))
            continue;
        memset(r->bound, -1, sizeof r->bound);
        if (matches(r, pattern, pattern->result, i))
            return replace(r, pattern, r->replacements[k]);
    }
    return copy_call(r, i,
                     by_rule && n->function == AD_OP_add && r->depends[children[0]] &&
                         r->depends[children[1]]);
}

static int64_t rewrite_node(rewriter *r, int64_t i, bool by_rule)
{
    const expr_node *n = &r->from->nodes[i];
    for (int k = 0; k < n->n; k++)
        r->depends[i] = r->depends[i] || r->depends[expr_children(r->from, i)[k]];
    if (n->kind == AD_EXPRESSION_NUMBER)
        return expr_number(r->to, n->number);
    if (n->kind == AD_EXPRESSION_CALL)
        return rewrite_call(r, i, by_rule);
    r->to->free[n->name] = true;
    return expr_leaf(r->to, n->name);
}

/* A definition goes along, unless its node has become one that has a name. */
static void keep_name(rewriter *r, int64_t i)
{
    const int defined = r->from->nodes[i].defined;
    expr_node *n = &r->to->nodes[r->moved[i]];
    if (!defined || n->kind != AD_EXPRESSION_CALL || n->defined)
        return;
    n->defined = defined;
    r->to->definitions[defined - 1] = r->moved[i];
}

static bool read_table(rewriter *r)
{
    for (int k = 0; k < TABLE; k++) {
        r->patterns[k] = ad_parse(table[k].from, NULL);
        r->replacements[k] = ad_parse(table[k].to, NULL);
        if (!r->patterns[k] || !r->replacements[k] || r->patterns[k]->n_names > VARIABLES ||
            r->replacements[k]->n > NODES)
            return false;
    }
    return true;
}

ad_expression *expr_with_names_of(const ad_expression *e)
{
    ad_expression *y = expr_new();
    for (int i = 0; y && i < e->n_names; i++)
        if (expr_name(y, e->names[i], strlen(e->names[i])) < 0) {
            ad_expression_free(y);
            return NULL;
        }
    return y;
}

/* The arrays are smaller than the nodes themselves: their sizes cannot overflow. */
ad_expression *expr_rewritten(const expr_recorded *recorded)
{
    const ad_context *c = context_or_default(NULL);
    const ad_expression *e = recorded->e;
    const size_t n = (size_t)e->n, bytes = n * sizeof(int64_t);
    rewriter r = {.from = e, .euler = recorded->euler};
    r.to = expr_with_names_of(e);
    r.moved = memory_take(c, bytes);
    r.depends = memory_take(c, n);
    bool ok = r.to && r.moved && r.depends && read_table(&r);
    if (ok)
        r.depends[recorded->seed] = true;
    for (int64_t i = 0; ok && i < e->n; i++) {
        r.moved[i] = rewrite_node(&r, i, i >= recorded->first && i < recorded->last);
        ok = r.moved[i] >= 0;
        if (ok)
            keep_name(&r, i);
    }
    if (ok)
        r.to->result = r.moved[e->result];
    for (int k = 0; k < TABLE; k++) {
        ad_expression_free(r.patterns[k]);
        ad_expression_free(r.replacements[k]);
    }
    memory_give(c, r.moved, bytes);
    memory_give(c, r.depends, n);
    if (ok)
        return r.to;
    ad_expression_free(r.to);
    return NULL;
}
