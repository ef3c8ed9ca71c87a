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
 * only small sums and products are opened. So the work stays proportional to the text.
 *
 * On the way back, terms and factors stand in the order in which they appeared, but for numbers and
 * names, which lead in a product, and a minus, which does not lead a sum. */
#define AD_PLAIN
#include "algebra.h"
#include "coefficient.h"
#include "symbolic.h"
#include <stdlib.h>
#include <string.h>

/* uthash asks here for memory; it must never exit */
#define HASH_NONFATAL_OOM         1
#define uthash_malloc(bytes)      memory_take(context_or_default(NULL), bytes)
#define uthash_free(p, bytes)     memory_give(context_or_default(NULL), p, bytes)
#define uthash_nonfatal_oom(form) ((form)->lost = true)
#include <uthash.h>

enum { SMALL = 8, FOLDED_EXPONENT = 64, LARGEST_EXPONENT = 1 << 28 };

typedef enum form_kind { NUMBER, NAME, CALL, PRODUCT, SUM, SCALED } form_kind;

typedef struct form form;

typedef struct term {
    coefficient c;
    form *of; /* that of the number 1, where the term is a number */
} term;

typedef struct part { /* of a CALL or PRODUCT: a form to a power; of a SUM, or SCALED: a term */
    form *of;
    coefficient c;
    int64_t exponent;
} part;

struct form {
    UT_hash_handle hh; /* by its key: kind, what, number and parts, in the order of their ids */
    form_kind kind;
    int what; /* the function of a CALL, the place of a NAME in `names` */
    double number;
    int64_t n, id;
    int64_t out;  /* its node in the result */
    part *shown;  /* the parts in the order to be written */
    int defined;  /* 1 + place of the name that a definition gives it; 0: none */
    bool needed;  /* in the result */
    bool lost;    /* uthash ran out of memory when it was added */
    part parts[]; /* the first is the head of the key */
};

typedef struct item { /* a term or a factor of a list that is being made */
    part part;
    int64_t order;
} item;

typedef struct list { /* where it begins among the items, and what stands before its factors */
    int64_t base;
    coefficient lead;
} list;

typedef struct visit { /* a node of a chain, and the sign or exponent that it has there */
    int64_t node;
    int sign;
} visit;

typedef struct normal {
    const ad_expression *e;
    ad_expression *y;
    arena memory;
    form *forms, *last, *one;
    int64_t n_forms;
    term *terms;   /* of each node of e */
    int64_t *user; /* of each node: the one that uses it, or one of these: */
    list list;     /* the one that is being made: the last of the items */
    item *items;
    int64_t n, capacity, pushed;
    int choices; /* within choices */
    visit *stack;
    bool failed; /* out of memory */
} normal;
enum { UNUSED = -1, SHARED = -2 };

/* ---- forms ---- */

/* Field by field: what a struct may have between them would be in the key. */
static void set_part(part *to, part from)
{
    to->of = from.of;
    to->c = from.c;
    to->exponent = from.exponent;
}

static form *form_new(normal *s, form_kind kind, int what, double number, int64_t n)
{
    form *f = arena_zeros(&s->memory, sizeof(form) + ((size_t)n + 1) * sizeof(part));
    if (!f) {
        s->failed = true;
        return NULL;
    }
    f->kind = kind;
    f->what = what;
    f->number = number;
    f->n = n;
    set_part(&f->parts[0], (part){.c = {number, kind}, .exponent = what});
    f->shown = f->parts + 1;
    return f;
}

/* The form that there is already, or this one, which is the last that was taken from memory since
 * the mark. */
static form *unique(normal *s, form *f, arena_mark mark)
{
    const size_t bytes = ((size_t)f->n + 1) * sizeof(part);
    form *known;
    HASH_FIND(hh, s->forms, f->parts, bytes, known);
    if (known) {
        arena_rewind(&s->memory, mark);
        return known;
    }
    f->id = s->n_forms++;
    HASH_ADD_KEYPTR(hh, s->forms, f->parts, bytes, f);
    s->failed = s->failed || f->lost;
    s->last = f->lost ? s->last : f;
    return f;
}

/* Where memory ends, any form does: the result is thrown away. */
static form *leaf(normal *s, form_kind kind, int what, double number)
{
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, kind, what, number, 0);
    return f ? unique(s, f, mark) : s->one;
}

static form *as_form(normal *s, term t)
{
    if (t.c.p == 1 && t.c.q == 1)
        return t.of;
    if (t.of == s->one && t.c.q == 1)
        return leaf(s, NUMBER, 0, t.c.p);
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, SCALED, 0, 0, 1);
    if (!f)
        return s->one;
    set_part(&f->parts[1], (part){.of = t.of, .c = t.c});
    return unique(s, f, mark);
}

static term plain(form *f) { return (term){{1, 1}, f}; }

static term number_term(const normal *s, double number)
{
    return (term){{number == 0 ? 0 : number, 1}, s->one};
}

static bool is_number(const normal *s, term t) { return t.of == s->one && t.c.q == 1; }

static bool may_open(const form *f, form_kind kind)
{
    return f->kind == kind && !f->defined && f->n <= SMALL;
}

/* ---- lists of terms and factors ---- */

static void push(normal *s, part p)
{
    if (s->n == s->capacity) {
        const int64_t more = s->capacity ? 2 * s->capacity : 16;
        item *items = memory_take(context_or_default(NULL), (size_t)more * sizeof *items);
        if (!items) {
            s->failed = true;
            return;
        }
        if (s->n)
            memcpy(items, s->items, (size_t)s->n * sizeof *items);
        memory_give(context_or_default(NULL), s->items, (size_t)s->capacity * sizeof *items);
        s->items = items;
        s->capacity = more;
    }
    s->items[s->n++] = (item){p, s->pushed++};
}

static int compared(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

static int by_form(const void *left, const void *right)
{
    const item *a = left, *b = right;
    return a->part.of == b->part.of ? compared(a->order, b->order)
                                    : compared(a->part.of->id, b->part.of->id);
}

static int by_order(const void *left, const void *right)
{
    return compared(((const item *)left)->order, ((const item *)right)->order);
}

/* Numbers, then names in their order, then what needs no bracket, then sums. */
static int rank_of(const form *f)
{
    return f->kind < CALL ? (int)f->kind : f->kind == SUM && !f->defined ? SUM : CALL;
}

static int by_rank(const void *left, const void *right)
{
    const item *a = left, *b = right;
    const form *f = a->part.of, *g = b->part.of;
    const int rank = compared(rank_of(f), rank_of(g));
    return rank              ? rank
           : f->kind == NAME ? compared(f->what, g->what)
                             : compared(a->order, b->order);
}

static bool joined(part *a, const part *b, form_kind kind)
{
    if (a->of != b->of)
        return false;
    if (kind == SUM)
        return coefficient_plus(&a->c, b->c);
    if (llabs(a->exponent + b->exponent) > LARGEST_EXPONENT)
        return false;
    a->exponent += b->exponent;
    return true;
}

static void sort(normal *s, int (*order)(const void *, const void *))
{
    if (s->n > s->list.base)
        qsort(s->items + s->list.base, (size_t)(s->n - s->list.base), sizeof *s->items, order);
}

/* Puts together what is of one form, and leaves out what is nothing; sorts by form. */
static void join(normal *s, form_kind kind)
{
    const int64_t base = s->list.base;
    int64_t n = base, kept = base;
    sort(s, by_form);
    for (int64_t i = base; i < s->n; i++)
        if (n == base || !joined(&s->items[n - 1].part, &s->items[i].part, kind))
            s->items[n++] = s->items[i];
    for (int64_t i = base; i < n; i++)
        if (kind == SUM ? s->items[i].part.c.p != 0 : s->items[i].part.exponent != 0)
            s->items[kept++] = s->items[i];
    s->n = kept;
}

static form *list_form(normal *s, form_kind kind, int (*order)(const void *, const void *))
{
    const int64_t n = s->n - s->list.base;
    const item *items = s->items + s->list.base;
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, kind, 0, 0, n), *made;
    if (!f)
        return s->one;
    for (int64_t i = 0; i < n; i++)
        set_part(&f->parts[i + 1], items[i].part);
    if ((made = unique(s, f, mark)) != f)
        return made;
    sort(s, order);
    part *shown = arena_take(&s->memory, (size_t)n * sizeof(part));
    s->failed = s->failed || !shown;
    for (int64_t i = 0; shown && i < n; i++)
        shown[i] = items[i].part;
    f->shown = shown ? shown : f->shown;
    return f;
}

/* Lists may be made while others are: they are the end of the items. */
static list begin(normal *s)
{
    const list outer = s->list;
    s->list = (list){s->n, {1, 1}};
    return outer;
}

static term end(normal *s, list outer, term t)
{
    s->n = s->list.base;
    s->list = outer;
    return t;
}

static void addend(normal *s, term t, int sign)
{
    const double p = sign * t.c.p;
    if (p == 0)
        return;
    if (!may_open(t.of, SUM) || fabs(p) != 1 || t.c.q != 1) {
        push(s, (part){.of = t.of, .c = {p, t.c.q}});
        return;
    }
    for (int64_t i = 0; i < t.of->n; i++) {
        part each = t.of->shown[i];
        each.c.p *= p;
        push(s, each);
    }
}

/* A number to the power 1 or -1: what cannot be multiplied exactly stays a factor. */
static void times(normal *s, coefficient c, int64_t exponent)
{
    if (c.p == 0 && exponent < 0) {
        push(s, (part){.of = leaf(s, NUMBER, 0, 0), .exponent = exponent});
        return;
    }
    if (coefficient_times(&s->list.lead, exponent < 0 ? coefficient_inverse(c) : c))
        return;
    s->list.lead.p = c.p < 0 ? -s->list.lead.p : s->list.lead.p;
    if (fabs(c.p) != 1)
        push(s, (part){.of = leaf(s, NUMBER, 0, fabs(c.p)), .exponent = exponent});
    if (c.q != 1)
        push(s, (part){.of = leaf(s, NUMBER, 0, c.q), .exponent = -exponent});
}

static bool number_power(coefficient c, int64_t exponent, coefficient *y)
{
    *y = (coefficient){1, 1};
    if (llabs(exponent) > FOLDED_EXPONENT || (c.p == 0 && exponent < 0))
        return false;
    const coefficient each = exponent < 0 ? coefficient_inverse(c) : c;
    for (int64_t k = llabs(exponent); k > 0; k--)
        if (!coefficient_times(y, each))
            return false;
    return true;
}

/* exponent is not 0 */
static void factor(normal *s, term t, int64_t exponent)
{
    const bool one = llabs(exponent) == 1, sign_only = fabs(t.c.p) == 1 && t.c.q == 1;
    coefficient y;
    if (one)
        times(s, t.c, exponent);
    else if (t.of == s->one && number_power(t.c, exponent, &y))
        times(s, y, 1);
    else if (!sign_only || t.of == s->one)
        push(s, (part){.of = as_form(s, t), .exponent = exponent});
    else if (t.c.p < 0 && exponent % 2)
        s->list.lead.p = -s->list.lead.p;
    if (t.of == s->one || !(one || sign_only))
        return;
    if (!may_open(t.of, PRODUCT) || !(one || t.of->n == 1)) {
        push(s, (part){.of = t.of, .exponent = exponent});
        return;
    }
    for (int64_t i = 0; i < t.of->n; i++)
        push(s, (part){.of = t.of->shown[i].of, .exponent = t.of->shown[i].exponent * exponent});
}

static term plain_sum(normal *s)
{
    const item *items = s->items + s->list.base;
    if (s->n == s->list.base)
        return number_term(s, 0);
    if (s->n == s->list.base + 1)
        return (term){items->part.c, items->part.of};
    return plain(list_form(s, SUM, by_order));
}

static term plain_product(normal *s)
{
    const item *items = s->items + s->list.base;
    if (s->list.lead.p == 0)
        return number_term(s, 0);
    if (s->n == s->list.base)
        return (term){s->list.lead, s->one};
    if (s->n == s->list.base + 1 && items->part.exponent == 1)
        return (term){s->list.lead, items->part.of};
    return (term){s->list.lead, list_form(s, PRODUCT, by_rank)};
}

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
        if (!is_number(s, a[k]))
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
    return function == AD_OP_greater && is_number(s, a[1]) && a[1].c.p == 0 && a[0].c.p == 1 &&
           a[0].c.q == 1 && f->kind == CALL && f->what == AD_OP_relu && !f->defined;
}

static term call(normal *s, int function, int n, const term *a)
{
    double y;
    if (compares_relu(s, function, a))
        return call(s, function, n, (term[]){plain(a[0].of->parts[1].of), a[1]});
    if (fold(s, function, n, a, &y))
        return number_term(s, y);
    if (function == AD_OP_where && is_number(s, a[0]))
        return a[0].c.p != 0 ? a[1] : a[2];
    form *children[3] = {NULL};
    for (int k = 0; k < n; k++)
        children[k] = as_form(s, a[k]);
    if (function == AD_OP_where && children[1] == children[2])
        return a[1];
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, CALL, function, 0, n);
    if (!f)
        return plain(s->one);
    for (int k = 0; k < n; k++)
        set_part(&f->parts[k + 1], (part){.of = children[k], .exponent = 1});
    return plain(unique(s, f, mark));
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
        return number_term(s, f->number);
    if (f->kind == SCALED && !f->defined)
        return (term){f->parts[1].c, f->parts[1].of};
    return plain(f);
}

static term choice_of(normal *s, const form *like, term yes, term no)
{
    return call(s, AD_OP_where, 3, (term[]){plain(like->parts[CONDITION].of), yes, no});
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
    join(s, PRODUCT);
    const int64_t at = s->choices < SMALL ? half_choice(s) : -1;
    if (at < 0 || s->list.lead.p == 0)
        return plain_product(s);
    const form *choice = s->items[at].part.of;
    const int side = is_zero(choice->parts[NO].of) ? YES : NO;
    s->items[at] = s->items[--s->n];
    s->choices++;
    factor(s, branch(s, choice, side), 1);
    const term inside = product(s), zero = number_term(s, 0);
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
    return a == b ? by_order(left, right) : compared(a, b);
}

static term sum(normal *s);

/* Of the choices from item i to before item n: the sum of their sides. */
static term side_sum(normal *s, int64_t i, int64_t n, int side)
{
    const list outer = begin(s);
    for (; i < n; i++) {
        const term t = branch(s, s->items[i].part.of, side);
        const list of_factors = begin(s);
        times(s, s->items[i].part.c, 1);
        factor(s, t, 1);
        addend(s, end(s, of_factors, product(s)), 1);
    }
    return end(s, outer, sum(s));
}

static void join_choices(normal *s)
{
    int64_t kept = s->list.base, next;
    sort(s, by_condition);
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
    join(s, SUM);
    for (int64_t i = s->list.base; i < s->n; i++)
        n += is_choice(s->items[i].part.of);
    if (n > 1 && s->choices < SMALL) {
        s->choices++;
        join_choices(s);
        join(s, SUM);
        s->choices--;
    }
    return plain_sum(s);
}

/* ---- nodes ---- */

static term power(normal *s, term a, int64_t exponent)
{
    if (exponent == 0)
        return number_term(s, 1);
    const list outer = begin(s);
    factor(s, a, exponent);
    return end(s, outer, product(s));
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
    const list outer = begin(s);
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
            addend(s, s->terms[at.node], at.sign);
        } else {
            factor(s, s->terms[at.node], at.sign);
        }
    }
    return end(s, outer, kind == SUM ? sum(s) : product(s));
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
    if ((n->function == AD_OP_pow || n->function == AD_OP_powi) && is_number(s, a[1]) &&
        a[1].c.p == trunc(a[1].c.p) && fabs(a[1].c.p) <= LARGEST_EXPONENT)
        return power(s, a[0], (int64_t)a[1].c.p);
    return call(s, n->function, n->n, a);
}

static term node_term(normal *s, int64_t i)
{
    const expr_node *n = &s->e->nodes[i];
    if (n->kind == AD_EXPRESSION_NUMBER)
        return number_term(s, n->number);
    if (n->kind == AD_EXPRESSION_NAME)
        return plain(leaf(s, NAME, n->name, 0));
    const term t = call_term(s, i);
    form *f = n->defined ? as_form(s, t) : NULL;
    if (!f || f->kind == NUMBER || f->kind == NAME)
        return t;
    if (!f->defined)
        f->defined = n->defined;
    return plain(f);
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

/* ---- back to an expression ---- */

static int64_t made(normal *s, int64_t node)
{
    s->failed = s->failed || node < 0;
    return node < 0 ? 0 : node;
}

static int64_t make1(normal *s, int function, int64_t a)
{
    return made(s, expr_call(s->y, function, 1, &a));
}

static int64_t make2(normal *s, int function, int64_t a, int64_t b)
{
    return made(s, expr_call(s->y, function, 2, (int64_t[]){a, b}));
}

static int64_t make_number(normal *s, double x) { return made(s, expr_number(s->y, x)); }

static int64_t render_power(normal *s, const part *p)
{
    const int64_t exponent = llabs(p->exponent);
    return exponent == 1   ? p->of->out
           : exponent == 2 ? make1(s, AD_OP_square, p->of->out)
                           : make2(s, AD_OP_powi, p->of->out, make_number(s, (double)exponent));
}

/* -x*y as (-x)*y, which needs no bracket */
static int64_t render_minus(normal *s, const part *p)
{
    if (p->of->kind == NUMBER && p->exponent == 1)
        return make_number(s, -p->of->number);
    return make1(s, AD_OP_neg, render_power(s, p));
}

/* 0.5/x as 1/(2*x): halves, quarters ... over something go below the line. */
static coefficient over(coefficient c)
{
    int exponent;
    if (fabs(c.p) >= 1 || fabs(c.p) < 1. / 1024 || fabs(frexp(c.p, &exponent)) != .5)
        return c;
    return (coefficient){c.p < 0 ? -1 : 1, c.q / fabs(c.p)};
}

static int64_t render_product(normal *s, coefficient c, int64_t n, const part *parts)
{
    int64_t top = -1, bottom = -1, above = 0;
    for (int64_t i = 0; i < n; i++)
        above += parts[i].exponent > 0;
    c = above < n ? over(c) : c;
    bool minus = c.p == -1 && above;
    if (!above || fabs(c.p) != 1)
        top = make_number(s, c.p);
    if (c.q != 1)
        bottom = make_number(s, c.q);
    for (int64_t i = 0; i < n; i++) {
        int64_t *side = parts[i].exponent > 0 ? &top : &bottom;
        const bool turn = minus && side == &top;
        const int64_t f = turn ? render_minus(s, &parts[i]) : render_power(s, &parts[i]);
        minus = minus && !turn;
        *side = *side < 0 ? f : make2(s, AD_OP_mul, *side, f);
    }
    return bottom < 0 ? top : make2(s, AD_OP_div, top, bottom);
}

static int64_t render_term(normal *s, coefficient c, form *of)
{
    const part single = {.of = of, .exponent = 1};
    if (of == s->one)
        return render_product(s, c, 0, NULL);
    if (may_open(of, PRODUCT))
        return render_product(s, c, of->n, of->shown);
    return render_product(s, c, 1, &single);
}

/* sign: 1, or -1 for the opposite of the sum */
static int64_t render_sum(normal *s, const form *f, int sign)
{
    int64_t first = 0;
    while (first < f->n && sign * f->shown[first].c.p < 0)
        first++;
    first = first < f->n ? first : 0;
    coefficient c = f->shown[first].c;
    c.p *= sign;
    int64_t y = render_term(s, c, f->shown[first].of);
    for (int64_t i = 0; i < f->n; i++) {
        if (i == first)
            continue;
        c = f->shown[i].c;
        const bool minus = sign * c.p < 0;
        c.p = fabs(c.p);
        y = make2(s, minus ? AD_OP_sub : AD_OP_add, y, render_term(s, c, f->shown[i].of));
    }
    return y;
}

/* -(a - b) is b - a. */
static bool is_turned_sum(const form *f)
{
    const part *p = &f->parts[1];
    bool minus = false;
    if (f->kind != SCALED || p->c.p != -1 || p->c.q != 1 || !may_open(p->of, SUM))
        return false;
    for (int64_t i = 0; i < p->of->n; i++)
        minus = minus || p->of->shown[i].c.p < 0;
    return minus;
}

static int64_t render(normal *s, form *f)
{
    int64_t children[3] = {0};
    switch (f->kind) {
    case NUMBER:
        return make_number(s, f->number);
    case NAME:
        s->y->free[f->what] = true;
        return made(s, expr_leaf(s->y, f->what));
    case PRODUCT:
        return render_product(s, (coefficient){1, 1}, f->n, f->shown);
    case SUM:
        return render_sum(s, f, 1);
    case SCALED:
        return is_turned_sum(f) ? render_sum(s, f->parts[1].of, -1)
                                : render_term(s, f->parts[1].c, f->parts[1].of);
    default:
        for (int64_t k = 0; k < f->n; k++)
            children[k] = f->parts[k + 1].of->out;
        return made(s, expr_call(s->y, f->what, (int)f->n, children));
    }
}

/* The forms that rendering a sum's or scaled term asks for. */
static void need_term(const normal *s, form *of)
{
    if (of == s->one)
        return;
    if (!may_open(of, PRODUCT)) {
        of->needed = true;
        return;
    }
    for (int64_t i = 0; i < of->n; i++)
        of->shown[i].of->needed = true;
}

static void need_parts(const normal *s, const form *f)
{
    const form *of = is_turned_sum(f) ? f->parts[1].of : f;
    for (int64_t i = 1; i <= of->n; i++)
        if (of->kind == SUM || of->kind == SCALED)
            need_term(s, of->parts[i].of);
        else
            of->parts[i].of->needed = true;
}

/* Forms are in the order in which they were made: parts first. */
static void render_all(normal *s, form *result)
{
    result->needed = true;
    for (form *f = s->last; f; f = f->hh.prev)
        if (f->needed)
            need_parts(s, f);
    for (form *f = s->forms; f && !s->failed; f = f->hh.next) {
        if (!f->needed)
            continue;
        f->out = render(s, f);
        if (f->defined && !s->failed) {
            s->y->nodes[f->out].defined = f->defined;
            s->y->definitions[f->defined - 1] = f->out;
        }
    }
    s->y->result = result->out;
}

/* ---- all of it ---- */

static void simplify(normal *s)
{
    const ad_expression *e = s->e;
    s->one = form_new(s, NUMBER, 0, 1, 0);
    if (!s->one)
        return;
    unique(s, s->one, arena_here(&s->memory));
    find_users(s);
    for (int64_t i = 0; i <= e->result && !s->failed; i++)
        if (s->user[i] != UNUSED && !is_absorbed(s, i))
            s->terms[i] = node_term(s, i);
    if (!s->failed)
        render_all(s, as_form(s, s->terms[e->result]));
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
