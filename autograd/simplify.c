/* simplify.c - sums and products in a normal form, and back
 *
 * Read children first, each node becomes a term: a fraction times a form. Forms are unique (by
 * hash-consing), so that two things are alike where they are the same pointer:
 *
 *     SUM      of terms, with those of one form put together    2*x + x is 3*x
 *     PRODUCT  of powers, likewise                              x*x^2 is x^3, x/x^2 is 1/x
 *     SCALED   a term where a form is wanted: the 2*x of sin(2*x)
 *     CALL     any other operation
 *
 * A factor goes into a choice of which one side is 0, and choices by one condition are put
 * together: where(c, 1, 0)*x + where(c, 0, 1)*y is where(c, x, y), in which the side that is not
 * taken may be anything.
 *
 * What has a name of its own keeps it: a definition is never opened. A chain of sums, or of
 * products, that nobody else uses is put together at once, however long it is; of what is shared,
 * only small sums and products are opened. So the work stays proportional to the text. */
#define AD_PLAIN
#include "simplify.h"
#include "algebra.h"
#include <stdlib.h>
#include <string.h>

/* ---- operations ---- */

/* Numbers become their value where that is exact, whoever computes it. */
static bool fold(const normal *s, int function, int n, const term *a, double *y)
{
    static const int exact[] = {AD_OP_abs,   AD_OP_sign,      AD_OP_floor,   AD_OP_ceil,
                                AD_OP_trunc, AD_OP_round,     AD_OP_min,     AD_OP_max,
                                AD_OP_fmin,  AD_OP_fmax,      AD_OP_less,    AD_OP_less_equal,
                                AD_OP_equal, AD_OP_not_equal, AD_OP_greater, AD_OP_greater_equal,
                                AD_OP_clamp};
    double x[3] = {0};
    for (int k = 0; k < n; k++) {
        if (!term_is_number(s, a[k]))
            return false;
        x[k] = a[k].c.p;
    }
    *y = ad_op_value(function, x);
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (exact[i] == function)
            return true;
    if (function == AD_OP_sqrt)
        return *y == trunc(*y) && *y * *y == x[0];
    /* exp(0), log(1), cos(0) ... */
    return n == 1 && (x[0] == 0 || x[0] == 1) && (*y == 0 || fabs(*y) == 1);
}

/* relu(x) > 0, of a derivative that looks at the result, is x > 0. */
static bool compares_relu(const normal *s, int function, const term *a)
{
    const form *f = a[0].of;
    return function == AD_OP_greater && term_is_number(s, a[1]) && a[1].c.p == 0 && a[0].c.p == 1 &&
           a[0].c.q == 1 && f->kind == CALL && f->what == AD_OP_relu && !f->defined;
}

static term call(normal *s, int function, int n, const term *a)
{
    double y;
    if (compares_relu(s, function, a))
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a relu is one of something
        return call(s, function, n, (term[]){term_of(a[0].of->parts[1].of), a[1]});
    if (fold(s, function, n, a, &y))
        return term_of_number(s, y);
    if (function == AD_OP_where && term_is_number(s, a[0]))
        return a[0].c.p != 0 ? a[1] : a[2];
    form *children[3] = {NULL};
    for (int k = 0; k < n; k++)
        children[k] = form_of(s, a[k]);
    if (function == AD_OP_where && children[1] == children[2])
        return a[1];
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, CALL, function, 0, n);
    if (!f)
        return term_of(s->one);
    for (int k = 0; k < n; k++)
        part_set(&f->parts[k + 1], (part){.of = children[k], .exponent = 1});
    return term_of(form_unique(s, f, mark));
}

/* ---- choices ---- */

enum { CONDITION = 1, YES, NO }; /* the parts of where(c, a, b) */

static bool is_choice(const form *f)
{
    return f->kind == CALL && f->what == AD_OP_where && !f->defined;
}

static bool is_zero(const form *f) { return f->kind == NUMBER && f->number == 0; }

static term branch(const normal *s, const form *choice, int which)
{
    form *f = choice->parts[which].of;
    if (f->kind == NUMBER)
        return term_of_number(s, f->number);
    if (f->kind == SCALED && !f->defined)
        return (term){f->parts[1].c, f->parts[1].of};
    return term_of(f);
}

static term choice_of(normal *s, const form *like, term yes, term no)
{
    return call(s, AD_OP_where, 3, (term[]){term_of(like->parts[CONDITION].of), yes, no});
}

static int64_t half_choice(const normal *s)
{
    for (int64_t i = s->list.base; i < s->n; i++) {
        const form *f = s->items[i].part.of;
        if (s->items[i].part.exponent == 1 && is_choice(f) &&
            (is_zero(f->parts[YES].of) || is_zero(f->parts[NO].of)))
            return i;
    }
    return -1;
}

/* The factors of the list. */
static term product(normal *s)
{
    list_join(s, PRODUCT);
    const int64_t at = s->choices < SMALL ? half_choice(s) : -1;
    if (at < 0 || s->list.lead.p == 0)
        return list_product(s);
    const form *choice = s->items[at].part.of;
    const int side = is_zero(choice->parts[NO].of) ? YES : NO;
    s->items[at] = s->items[--s->n];
    s->choices++;
    list_multiply(s, branch(s, choice, side), 1);
    const term inside = product(s), zero = term_of_number(s, 0);
    s->choices--;
    return choice_of(s, choice, side == YES ? inside : zero, side == YES ? zero : inside);
}

static int64_t condition_of(const item *i)
{
    return is_choice(i->part.of) ? i->part.of->parts[CONDITION].of->id : -1;
}

static int by_condition(const void *left, const void *right)
{
    const int64_t a = condition_of(left), b = condition_of(right);
    return a == b ? list_by_order(left, right) : compared(a, b);
}

static term sum(normal *s);

/* Of the choices from item i to before item n: the sum of their sides. */
static term side_sum(normal *s, int64_t i, int64_t n, int side)
{
    const list outer = list_begin(s);
    for (; i < n; i++) {
        const term t = branch(s, s->items[i].part.of, side);
        const list of_factors = list_begin(s);
        list_scale(s, s->items[i].part.c, 1);
        list_multiply(s, t, 1);
        list_add(s, list_end(s, of_factors, product(s)), 1);
    }
    return list_end(s, outer, sum(s));
}

static void join_choices(normal *s)
{
    int64_t kept = s->list.base, next;
    list_sort(s, by_condition);
    for (int64_t i = s->list.base, n = s->n; i < n; i = next) {
        next = i + 1;
        while (condition_of(&s->items[i]) >= 0 && next < n &&
               condition_of(&s->items[next]) == condition_of(&s->items[i]))
            next++;
        item one = s->items[i];
        if (next > i + 1) {
            const term yes = side_sum(s, i, next, YES), no = side_sum(s, i, next, NO),
                       t = choice_of(s, one.part.of, yes, no);
            one.part = (part){.of = t.of, .c = t.c};
        }
        s->items[kept++] = one;
    }
    s->n = kept;
}

/* The terms of the list. */
static term sum(normal *s)
{
    int64_t n = 0;
    list_join(s, SUM);
    for (int64_t i = s->list.base; i < s->n; i++)
        n += is_choice(s->items[i].part.of);
    if (n > 1 && s->choices < SMALL) {
        s->choices++;
        join_choices(s);
        list_join(s, SUM);
        s->choices--;
    }
    return list_sum(s);
}

/* ---- nodes ---- */

static term power(normal *s, term a, int64_t exponent)
{
    if (exponent == 0)
        return term_of_number(s, 1);
    const list outer = list_begin(s);
    list_multiply(s, a, exponent);
    return list_end(s, outer, product(s));
}

static form_kind chain_of(const expr_node *n)
{
    if (n->kind != AD_EXPRESSION_CALL)
        return NAME;
    return n->function == AD_OP_add || n->function == AD_OP_sub   ? SUM
           : n->function == AD_OP_mul || n->function == AD_OP_div ? PRODUCT
                                                                  : CALL;
}

/* Is it only a part of the chain that its user belongs to? */
static bool is_absorbed(const normal *s, int64_t i)
{
    const form_kind chain = chain_of(&s->e->nodes[i]);
    return s->user[i] >= 0 && !s->e->nodes[i].defined && (chain == SUM || chain == PRODUCT) &&
           chain_of(&s->e->nodes[s->user[i]]) == chain;
}

static term chain_term(normal *s, int64_t root)
{
    const form_kind kind = chain_of(&s->e->nodes[root]);
    const list outer = list_begin(s);
    int64_t n = 0;
    s->stack[n++] = (visit){root, 1};
    while (n) {
        const visit at = s->stack[--n];
        if (at.node == root || is_absorbed(s, at.node)) {
            const int64_t *children = expr_children(s->e, at.node);
            const int function = s->e->nodes[at.node].function;
            const int sign = function == AD_OP_sub || function == AD_OP_div ? -at.sign : at.sign;
            s->stack[n++] = (visit){children[1], sign};
            s->stack[n++] = (visit){children[0], at.sign};
        } else if (kind == SUM) {
            list_add(s, s->terms[at.node], at.sign);
        } else {
            list_multiply(s, s->terms[at.node], at.sign);
        }
    }
    return list_end(s, outer, kind == SUM ? sum(s) : product(s));
}

static term call_term(normal *s, int64_t i)
{
    const expr_node *n = &s->e->nodes[i];
    const form_kind chain = chain_of(n);
    term a[3] = {{{0, 1}, NULL}};
    if (chain == SUM || chain == PRODUCT)
        return chain_term(s, i);
    for (int k = 0; k < n->n; k++)
        a[k] = s->terms[expr_children(s->e, i)[k]];
    if (n->function == AD_OP_neg)
        return (term){{a[0].c.p == 0 ? 0 : -a[0].c.p, a[0].c.q}, a[0].of};
    if (n->function == AD_OP_square)
        return power(s, a[0], 2);
    if ((n->function == AD_OP_pow || n->function == AD_OP_powi) && term_is_number(s, a[1]) &&
        a[1].c.p == trunc(a[1].c.p) && fabs(a[1].c.p) <= LARGEST_EXPONENT)
        return power(s, a[0], (int64_t)a[1].c.p);
    return call(s, n->function, n->n, a);
}

static term node_term(normal *s, int64_t i)
{
    const expr_node *n = &s->e->nodes[i];
    if (n->kind == AD_EXPRESSION_NUMBER)
        return term_of_number(s, n->number);
    if (n->kind == AD_EXPRESSION_NAME)
        return term_of(form_leaf(s, NAME, n->name, 0));
    const term t = call_term(s, i);
    form *f = n->defined ? form_of(s, t) : NULL;
    if (!f || f->kind == NUMBER || f->kind == NAME)
        return t;
    if (!f->defined)
        f->defined = n->defined;
    return term_of(f);
}

static void find_users(normal *s)
{
    const ad_expression *e = s->e;
    for (int64_t i = 0; i < e->n; i++)
        s->user[i] = UNUSED;
    s->user[e->result] = SHARED;
    for (int64_t i = e->result; i >= 0; i--)
        for (int k = 0; s->user[i] != UNUSED && k < e->nodes[i].n; k++) {
            int64_t *user = &s->user[expr_children(e, i)[k]];
            *user = *user == UNUSED ? i : SHARED;
        }
}

/* ---- all of it ---- */

static void simplify(normal *s)
{
    const ad_expression *e = s->e;
    s->one = form_new(s, NUMBER, 0, 1, 0);
    if (!s->one)
        return;
    form_unique(s, s->one, arena_here(&s->memory));
    find_users(s);
    for (int64_t i = 0; i <= e->result && !s->failed; i++)
        if (s->user[i] != UNUSED && !is_absorbed(s, i))
            s->terms[i] = node_term(s, i);
    if (!s->failed)
        form_render(s, form_of(s, s->terms[e->result]));
}

/* The arrays are smaller than the nodes themselves: their sizes cannot overflow. */
ad_expression *expr_simplified(const ad_expression *e)
{
    const ad_context *c = context_or_default(NULL);
    const size_t n = (size_t)e->n, terms = n * sizeof(term), users = n * sizeof(int64_t),
                 visits = (n + 2) * sizeof(visit);
    normal s = {.e = e, .memory = {.context = c}};
    s.y = expr_with_names_of(e);
    s.terms = memory_take(c, terms);
    s.user = memory_take(c, users);
    s.stack = memory_take(c, visits);
    s.failed = !s.y || !s.terms || !s.user || !s.stack;
    if (!s.failed)
        simplify(&s);
    HASH_CLEAR(hh, s.forms);
    arena_free(&s.memory);
    memory_give(c, s.terms, terms);
    memory_give(c, s.user, users);
    memory_give(c, s.stack, visits);
    memory_give(c, s.items, (size_t)s.capacity * sizeof *s.items);
    if (!s.failed)
        return s.y;
    ad_expression_free(s.y);
    return NULL;
}
