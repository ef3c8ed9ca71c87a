/* trace_tikz.c - the graph of a trace as a TikZ picture, in the places of layout.h */
#include <math.h>
#include <string.h>

#include "exact.h"
#include "formula_latex.h"
#include "layout.h"
#include "letters.h"
#include "trace_latex.h"

/* The layout's units are points of this size; the page has room for so many, and what would have
 * to become smaller than `SMALLEST` to fit cannot be read. */
#define POINT    .6
#define WIDE     (480 / POINT)
#define HIGH     (640 / POINT)
#define SMALLEST .2
/* a letter of a node and of an edge's label, about; a line of a node */
#define LETTER       (5 / POINT)
#define SMALL_LETTER (4 / POINT)
#define LINE         (13 / POINT)

enum {
    LONG = 32,       /* of a partial, in letters: longer ones are left out */
    MOST_NODES = 400 /* no page has room for more */
};

static int length_of(const char *text)
{
    int n = 0;
    while (next_letter(&text))
        n++;
    return n;
}

static int lines_of(const trace_node *n, const trace_style *style)
{
    return n->rank ? 2 : style->mode == TRACE_FORWARD ? 2 : 3;
}

/* ---- the layout ---- */

static int count_edges(const trace *t)
{
    int n = 0;
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->nodes[i].n_parents; k++)
            n += t->nodes[i].parents[k] >= 0;
    return n;
}

static double label_width(const trace_node *n, int k, const trace_style *style)
{
    const int letters = length_of(n->symbols[k]), number = has_partials(n) ? style->digits + 5 : 0;
    return SMALL_LETTER * (letters > LONG ? number : letters + number) + 10;
}

/* Layers from left to right, or from the top down: there the layout's x goes down the page. */
typedef struct picture {
    layout *l;
    bool down;
    double scale;
} picture;

static void fill_layout(const trace *t, const trace_style *style, const picture *p)
{
    layout *l = p->l;
    layout_edge *e = l->edges;
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        const int formula = length_of(n->formula) + length_of(n->defined_as) + 6;
        int into = 0;
        double labels = 0;
        for (int k = 0; k < n->n_parents; k++) {
            if (n->parents[k] < 0)
                continue;
            e->from = n->parents[k];
            e->to = i;
            const double width = label_width(n, k, style);
            e++->label = p->down ? LINE : width;
            labels = fmax(labels, width);
            into++;
        }
        const int most = formula > style->digits + 8 ? formula : style->digits + 8;
        const double width = LETTER * most + 10, height = LINE * lines_of(n, style) + 8;
        l->nodes[i].width = p->down ? height : width;
        l->nodes[i].height = p->down ? fmax(width, labels * into) : fmax(height, LINE * into);
        l->nodes[i].last = i == t->result;
    }
}

/* ---- the picture ---- */

static void put_point(const picture *p, double along, double across, FILE *to)
{
    fprintf(to, "(%.0f,%.0f)", p->down ? across : along, p->down ? along : across);
}

static bool put_node(const trace *t, int i, const picture *p, const trace_style *style, FILE *to)
{
    const trace_node *n = &t->nodes[i];
    const layout_node *at = &p->l->nodes[i];
    fprintf(to, "\\node[%s, minimum width=%.0fpt, minimum height=%.0fpt] at ",
            i == t->result ? "v, very thick"
            : n->is_input  ? "v, fill=black!8"
                           : "v",
            POINT * (p->down ? at->height : at->width), POINT * (p->down ? at->width : at->height));
    put_point(p, at->x, at->y, to);
    fputs(" {$", to);
    latex_put_name(n->label, NULL, to);
    if (*n->defined_as) {
        fputs(" = ", to);
        latex_put_name(n->defined_as, NULL, to);
    }
    if (!n->is_input) {
        fputs(" = ", to);
        if (!latex_put_formula(n->formula, LATEX_WHOLE, to))
            return false;
    }
    fputs("$\\\\ $", to);
    if (n->rank) {
        fputs("\\text{shape }(", to);
        for (int k = 0; k < n->rank; k++)
            fprintf(to, "%s%lld", k ? ", " : "", (long long)n->shape[k]);
        fputs(")$};\n", to);
        return true;
    }
    latex_put_number(n->value[0], style->digits, LATEX_WHOLE, to);
    if (style->mode != TRACE_FORWARD) {
        fputs("$\\\\ $", to);
        latex_put_name(n->label, "\\bar", to);
        fputs(" = ", to);
        latex_put_number(n->adjoint[0], style->digits, LATEX_WHOLE, to);
    }
    fputs("$};\n", to);
    return true;
}

/* The local partial, as symbol and number, or one of them where that says it all. */
static bool put_label(const trace_node *n, int k, int digits, FILE *to)
{
    char number[32];
    const bool is_long = length_of(n->symbols[k]) > LONG, known = has_partials(n);
    trace_number(number, n->partials[k], digits);
    const bool both = known && !is_long && strcmp(number, n->symbols[k]) != 0;
    if (!is_long && !latex_put_formula(n->symbols[k], LATEX_WHOLE, to))
        return false;
    fputs(both ? " = " : "", to);
    if (both || (known && is_long))
        latex_put_number(n->partials[k], digits, LATEX_WHOLE, to);
    return true;
}

static bool put_edge(const picture *p, const layout_edge *e, const trace_node *n, int k, int digits,
                     FILE *to)
{
    const layout *l = p->l;
    int layer = l->nodes[e->from].layer;
    fputs("\\draw[->] ", to);
    put_point(p, l->right[layer], e->y[0], to);
    for (int i = 1; i < e->n; i++) {
        const double from = l->right[layer], enter = l->enter[layer + 1], half = (from + enter) / 2;
        layer++;
        fputs(" .. controls ", to);
        put_point(p, half, e->y[i - 1], to);
        fputs(" and ", to);
        put_point(p, half, e->y[i], to);
        fputs(" .. ", to);
        put_point(p, enter, e->y[i], to);
        fputs(" -- ", to);
        put_point(p, i + 1 < e->n ? l->right[layer] : l->left[layer], e->y[i], to);
    }
    fputs(";\n\\node[e] at ", to);
    put_point(p, p->down ? l->enter[layer] : (l->enter[layer] + l->left[layer]) / 2, e->y[e->n - 1],
              to);
    fputs(" {$", to);
    if (!put_label(n, k, digits, to))
        return false;
    fputs("$};\n", to);
    return true;
}

static bool put_picture(const trace *t, const trace_style *style, const picture *p, FILE *to)
{
    const layout_edge *e = p->l->edges;
    fprintf(to,
            "\\begin{tikzpicture}[x=%gpt, y=-%gpt, scale=%.2f, transform shape,\n"
            "  v/.style={draw, rounded corners=3pt, align=center, inner sep=1pt, "
            "font=\\footnotesize},\n"
            "  e/.style={%s, inner sep=1.5pt, font=\\scriptsize}]\n",
            POINT, POINT, p->scale, p->down ? "fill=white" : "above");
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->nodes[i].n_parents; k++)
            if (t->nodes[i].parents[k] >= 0 &&
                !put_edge(p, e++, &t->nodes[i], k, style->digits, to))
                return false;
    for (int i = 0; i < t->n; i++)
        if (!put_node(t, i, p, style, to))
            return false;
    fputs("\\end{tikzpicture}\n", to);
    return true;
}

static bool make_picture(const trace *t, const trace_style *style, picture *p)
{
    p->l = layout_new(t->n, count_edges(t));
    if (!p->l)
        return false;
    fill_layout(t, style, p);
    if (!layout_run(p->l))
        return false;
    const double wide = p->down ? p->l->height : p->l->width,
                 high = p->down ? p->l->width : p->l->height;
    p->scale = fmin(1, fmin(WIDE / wide, HIGH / high));
    return true;
}

static void put_too_many(const trace *t, FILE *to)
{
    fprintf(to,
            "The graph has %d nodes, which is too many for a page; the formats "
            "\\texttt{-{}-svg} and \\texttt{-{}-dot} have room for it.\n",
            t->n);
}

bool latex_put_graph(const trace *t, const trace_style *style, FILE *to)
{
    picture right = {.down = false}, down = {.down = true};
    if (t->n > MOST_NODES) {
        put_too_many(t, to);
        return true;
    }
    bool good = make_picture(t, style, &right) && make_picture(t, style, &down);
    const picture *p = down.scale > right.scale ? &down : &right;
    if (good && p->scale < SMALLEST)
        put_too_many(t, to);
    else if (good)
        good = put_picture(t, style, p, to);
    layout_free(right.l);
    layout_free(down.l);
    return good;
}
