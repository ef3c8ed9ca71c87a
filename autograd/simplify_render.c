/* simplify_render.c - the normal form as an expression again
 *
 * Terms and factors stand in the order in which they appeared, but for numbers and names, which
 * lead in a product, and a minus, which does not lead a sum. */
#define AD_PLAIN
#include "simplify.h"

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
    if (form_may_open(of, PRODUCT))
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
    if (f->kind != SCALED || p->c.p != -1 || p->c.q != 1 || !form_may_open(p->of, SUM))
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
    if (!form_may_open(of, PRODUCT)) {
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
void form_render(normal *s, form *result)
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
