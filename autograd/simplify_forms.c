/* simplify_forms.c - forms, of which equal ones are one, and the lists of parts that become sums
 * and products */
#define AD_PLAIN
#include "simplify.h"
#include <stdlib.h>
#include <string.h>

/* ---- forms ---- */

/* Field by field: what a struct may have between them would be in the key. */
void part_set(part *to, part from)
{
    to->of = from.of;
    to->c = from.c;
    to->exponent = from.exponent;
}

form *form_new(normal *s, form_kind kind, int what, double number, int64_t n)
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
    part_set(&f->parts[0], (part){.c = {number, kind}, .exponent = what});
    f->shown = f->parts + 1;
    return f;
}

/* The form that there is already, or this one, which is the last that was taken from memory since
 * the mark. */
form *form_unique(normal *s, form *f, arena_mark mark)
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
form *form_leaf(normal *s, form_kind kind, int what, double number)
{
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, kind, what, number, 0);
    return f ? form_unique(s, f, mark) : s->one;
}

form *form_of(normal *s, term t)
{
    if (t.c.p == 1 && t.c.q == 1)
        return t.of;
    if (t.of == s->one && t.c.q == 1)
        return form_leaf(s, NUMBER, 0, t.c.p);
    const arena_mark mark = arena_here(&s->memory);
    form *f = form_new(s, SCALED, 0, 0, 1);
    if (!f)
        return s->one;
    part_set(&f->parts[1], (part){.of = t.of, .c = t.c});
    return form_unique(s, f, mark);
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

static int by_form(const void *left, const void *right)
{
    const item *a = left, *b = right;
    return a->part.of == b->part.of ? compared(a->order, b->order)
                                    : compared(a->part.of->id, b->part.of->id);
}

int list_by_order(const void *left, const void *right)
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

void list_sort(normal *s, int (*order)(const void *, const void *))
{
    if (s->n > s->list.base)
        qsort(s->items + s->list.base, (size_t)(s->n - s->list.base), sizeof *s->items, order);
}

/* Puts together what is of one form, and leaves out what is nothing; sorts by form. */
void list_join(normal *s, form_kind kind)
{
    const int64_t base = s->list.base;
    int64_t n = base, kept = base;
    list_sort(s, by_form);
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
        part_set(&f->parts[i + 1], items[i].part);
    if ((made = form_unique(s, f, mark)) != f)
        return made;
    list_sort(s, order);
    part *shown = arena_take(&s->memory, (size_t)n * sizeof(part));
    s->failed = s->failed || !shown;
    for (int64_t i = 0; shown && i < n; i++)
        shown[i] = items[i].part;
    f->shown = shown ? shown : f->shown;
    return f;
}

/* Lists may be made while others are: they are the end of the items. */
list list_begin(normal *s)
{
    const list outer = s->list;
    s->list = (list){s->n, {1, 1}};
    return outer;
}

term list_end(normal *s, list outer, term t)
{
    s->n = s->list.base;
    s->list = outer;
    return t;
}

void list_add(normal *s, term t, int sign)
{
    const double p = sign * t.c.p;
    if (p == 0)
        return;
    if (!form_may_open(t.of, SUM) || fabs(p) != 1 || t.c.q != 1) {
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
void list_scale(normal *s, coefficient c, int64_t exponent)
{
    if (c.p == 0 && exponent < 0) {
        push(s, (part){.of = form_leaf(s, NUMBER, 0, 0), .exponent = exponent});
        return;
    }
    if (coefficient_times(&s->list.lead, exponent < 0 ? coefficient_inverse(c) : c))
        return;
    s->list.lead.p = c.p < 0 ? -s->list.lead.p : s->list.lead.p;
    if (fabs(c.p) != 1)
        push(s, (part){.of = form_leaf(s, NUMBER, 0, fabs(c.p)), .exponent = exponent});
    if (c.q != 1)
        push(s, (part){.of = form_leaf(s, NUMBER, 0, c.q), .exponent = -exponent});
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
void list_multiply(normal *s, term t, int64_t exponent)
{
    const bool one = llabs(exponent) == 1, sign_only = fabs(t.c.p) == 1 && t.c.q == 1;
    coefficient y;
    if (one)
        list_scale(s, t.c, exponent);
    else if (t.of == s->one && number_power(t.c, exponent, &y))
        list_scale(s, y, 1);
    else if (!sign_only || t.of == s->one)
        push(s, (part){.of = form_of(s, t), .exponent = exponent});
    else if (t.c.p < 0 && exponent % 2)
        s->list.lead.p = -s->list.lead.p;
    if (t.of == s->one || !(one || sign_only))
        return;
    if (!form_may_open(t.of, PRODUCT) || !(one || t.of->n == 1)) {
        push(s, (part){.of = t.of, .exponent = exponent});
        return;
    }
    for (int64_t i = 0; i < t.of->n; i++)
        push(s, (part){.of = t.of->shown[i].of, .exponent = t.of->shown[i].exponent * exponent});
}

term list_sum(normal *s)
{
    const item *items = s->items + s->list.base;
    if (s->n == s->list.base)
        return term_of_number(s, 0);
    if (s->n == s->list.base + 1)
        return (term){items->part.c, items->part.of};
    return term_of(list_form(s, SUM, list_by_order));
}

term list_product(normal *s)
{
    const item *items = s->items + s->list.base;
    if (s->list.lead.p == 0)
        return term_of_number(s, 0);
    if (s->n == s->list.base)
        return (term){s->list.lead, s->one};
    if (s->n == s->list.base + 1 && items->part.exponent == 1)
        return (term){s->list.lead, items->part.of};
    return (term){s->list.lead, list_form(s, PRODUCT, by_rank)};
}
