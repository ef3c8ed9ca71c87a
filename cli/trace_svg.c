/* trace_svg.c - the graph of a trace as SVG: every node with its formula, value and adjoint, every
 * edge with its local partial
 *
 * Letters are those of a fixed width, so that the room they need is known without a font. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "markup.h"
#include "page_text.h"
#include "picture.h"

enum {
    PAD = 10,
    LINE = 19,
    END = 22,     /* between the ends of edges at a node */
    HEADING = 34, /* above a graph that stands alone */
    LEGEND = 44,  /* below it */
    FORMULA = 36, /* letters of texts, at most */
    NUMBERS = 40,
    SYMBOL = 32,
    LEAST = 11, /* letters that numbers have room for, as they may change in a page */
};
static const double LETTER = 8.45, SMALL_LETTER = 7.85; /* widths */

bool picture_is_summary(const trace *t) { return t->n > PICTURE_MOST; }

bool picture_has_partials(const trace_node *n)
{
    for (int i = 0; n->rank == 0 && i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, n->operation) == 0)
            return ad_op_at(i)->elementwise;
    return false;
}

/* "v3 = h = sigmoid(v2)"; to be freed. */
static char *node_text(const trace_node *n)
{
    const size_t room = strlen(n->name) + strlen(n->defined_as) + strlen(n->formula) + 8;
    char *text = malloc(room);
    if (text)
        snprintf(text, room, "%s = %s%s%s", n->name, n->defined_as, *n->defined_as ? " = " : "",
                 n->formula);
    return text;
}

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }

static void put_style(double width, double height, FILE *to)
{
    fputs("<style>\n", to);
    markup_put_lines(to, picture_css);
    fprintf(to, "</style>\n<rect width=\"%g\" height=\"%g\" fill=\"#ffffff\"/>\n", width, height);
}

/* ---- summaries ---- */

picture_count *picture_counts(const trace *t, int *n)
{
    picture_count *all = calloc((size_t)t->n + 1, sizeof *all);
    *n = 0;
    for (int i = 0; all && i < t->n; i++) {
        int k = 0;
        if (t->nodes[i].is_input)
            continue;
        while (k < *n && strcmp(all[k].operation, t->nodes[i].operation) != 0)
            k++;
        *n += k == *n;
        all[k].operation = t->nodes[i].operation;
        all[k].n++;
    }
    for (int i = 1; all && i < *n; i++) {
        const picture_count moved = all[i];
        int k = i;
        for (; k && all[k - 1].n < moved.n; k--)
            all[k] = all[k - 1];
        all[k] = moved;
    }
    return all;
}

int picture_depth(const trace *t)
{
    int *depth = calloc((size_t)t->n + 1, sizeof *depth), deepest;
    for (int i = 0; depth && i < t->n; i++)
        for (int k = 0; k < t->nodes[i].n_parents; k++)
            if (t->nodes[i].parents[k] >= 0)
                depth[i] = most(depth[i], depth[t->nodes[i].parents[k]] + 1);
    deepest = depth ? depth[t->result] : -1;
    free(depth);
    return deepest;
}

static void put_words(const trace *t, const trace_style *style, int inputs, FILE *to)
{
    char value[PICTURE_CELL];
    trace_cell(&t->nodes[t->result], t->nodes[t->result].value, TRACE_FEW, style->digits, value,
               PICTURE_CELL);
    fputs("<text class=\"heading\" x=\"16\" y=\"26\">", to);
    markup_put_most(to, t->text, 70);
    fprintf(to,
            "</text>\n<text x=\"16\" y=\"54\">%d nodes, more than the %d that a graph shows: this "
            "is a summary</text>\n",
            t->n, PICTURE_MOST);
    fprintf(to,
            "<text x=\"16\" y=\"78\">%d input%s, %d operations, at most %d of them one after the "
            "other</text>\n<text x=\"16\" y=\"102\">value %s</text>\n",
            inputs, inputs == 1 ? "" : "s", t->n - inputs, picture_depth(t), value);
}

static void put_bars(int n, const picture_count *counts, FILE *to)
{
    enum { ROWS = 24, TOP = 136, ROW = 22, BAR = 360 };
    const int shown = least(n, ROWS);
    for (int i = 0; i < shown; i++) {
        const int y = TOP + ROW * i;
        const double length = (double)BAR * counts[i].n / counts[0].n;
        fprintf(to,
                "<text x=\"200\" y=\"%d\" text-anchor=\"end\">%s</text><rect class=\"bar\" "
                "x=\"212\" y=\"%d\" width=\"%.1f\" height=\"14\"/><text x=\"%.1f\" "
                "y=\"%d\">%d</text>\n",
                y, counts[i].operation, y - 12, length, 220 + length, y, counts[i].n);
    }
    if (n > shown)
        fprintf(to, "<text x=\"212\" y=\"%d\">and %d kinds more</text>\n", TOP + ROW * shown,
                n - shown);
}

static bool put_summary(const trace *t, const trace_style *style, bool alone, FILE *to)
{
    enum { WIDTH = 720, HEIGHT = 136 + 22 * 25 };
    int n, inputs = t->n;
    picture_count *counts = picture_counts(t, &n);
    if (!counts)
        return false;
    for (int i = 0; i < n; i++)
        inputs -= counts[i].n;
    const int height = least(HEIGHT, 136 + 22 * n);
    fprintf(
        to,
        "<svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"graph-title graph-desc\">\n<title "
        "id=\"graph-title\">Summary of the operations of ",
        WIDTH, height, WIDTH, height);
    markup_put_most(to, t->text, 200);
    fprintf(to, "</title>\n<desc id=\"graph-desc\">%d nodes:", t->n);
    for (int i = 0; i < n; i++)
        fprintf(to, " %s %d,", counts[i].operation, counts[i].n);
    fprintf(to, " inputs %d.</desc>\n", inputs);
    if (alone)
        put_style(WIDTH, height, to);
    put_words(t, style, inputs, to);
    put_bars(n, counts, to);
    fputs("</svg>\n", to);
    free(counts);
    return true;
}

/* ---- the layout of a trace ---- */

typedef struct picture {
    const trace *t;
    const trace_style *style;
    layout *l;
    int *argument; /* of each edge: which of its node's */
    FILE *to;
} picture;

static bool shows_adjoint(const picture *p) { return p->style->mode != TRACE_FORWARD; }

static bool measure_node(picture *p, int i)
{
    const trace_node *n = &p->t->nodes[i];
    char value[PICTURE_CELL], adjoint[PICTURE_CELL], *text = node_text(n);
    if (!text)
        return false;
    trace_cell(n, n->value, TRACE_FEW, p->style->digits, value, PICTURE_CELL);
    trace_cell(n, n->adjoint, TRACE_FEW, p->style->digits, adjoint, PICTURE_CELL);
    const int numbers =
        8 + least(NUMBERS, most(LEAST, most(markup_length(value), markup_length(adjoint))));
    const int letters = most(numbers, least(FORMULA, markup_length(text)));
    int ends = 0;
    for (int k = 0; k < n->n_parents; k++)
        ends += n->parents[k] >= 0;
    p->l->nodes[i].width = letters * LETTER + 2 * PAD;
    p->l->nodes[i].height = most((shows_adjoint(p) ? 3 : 2) * LINE + PAD, ends * END);
    p->l->nodes[i].last = i == p->t->result;
    free(text);
    return true;
}

/* "cos(x1) = -0.416147": how many letters the symbol has there, and the number, or "". */
static int partial_text(const picture *p, const trace_node *n, int k, char number[48])
{
    char text[32];
    *number = 0;
    if (!picture_has_partials(n))
        return least(markup_length(n->symbols[k]), NUMBERS);
    trace_number(text, n->partials[k], p->style->digits);
    if (strcmp(text, n->symbols[k]) == 0)
        return markup_length(text);
    snprintf(number, 48, "&#160;=&#160;%s", text);
    return least(markup_length(n->symbols[k]), SYMBOL);
}

static int count_edges(const trace *t)
{
    int edges = 0;
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->nodes[i].n_parents; k++)
            edges += t->nodes[i].parents[k] >= 0;
    return edges;
}

static bool lay_out(picture *p)
{
    const trace *t = p->t;
    const int edges = count_edges(t);
    char number[48]; /* with two blanks of 6 letters each */
    p->l = layout_new(t->n, edges);
    p->argument = calloc((size_t)edges + 1, sizeof *p->argument);
    if (!p->l || !p->argument)
        return false;
    for (int i = 0, e = 0; i < t->n; i++) {
        if (!measure_node(p, i))
            return false;
        for (int k = 0; k < t->nodes[i].n_parents; k++) {
            if (t->nodes[i].parents[k] < 0)
                continue;
            const int letters = partial_text(p, &t->nodes[i], k, number);
            p->l->edges[e] = (layout_edge){
                .from = t->nodes[i].parents[k],
                .to = i,
                .label =
                    26 + SMALL_LETTER *
                             (letters + (*number ? most(LEAST, (int)strlen(number) - 10) : 0))};
            p->argument[e++] = k;
        }
    }
    return layout_run(p->l);
}

/* ---- drawing ---- */

/* Level within the columns, curved between them. */
static void put_path(const picture *p, const layout_edge *e)
{
    const layout *l = p->l;
    int layer = l->nodes[e->from].layer;
    fprintf(p->to, "<path d=\"M%g %g", l->right[layer], e->y[0]);
    for (int i = 1; i < e->n; i++) {
        const double from = l->right[layer++], to = l->enter[layer], middle = (from + to) / 2;
        fprintf(p->to, "C%g %g %g %g %g %g", middle, e->y[i - 1], middle, e->y[i], to, e->y[i]);
        fprintf(p->to, "H%g", i + 1 < e->n ? l->right[layer] : l->left[layer] - 8);
    }
    fputs("\"/>", p->to);
}

static void put_edge(const picture *p, int i)
{
    const layout_edge *e = &p->l->edges[i];
    const trace_node *to = &p->t->nodes[e->to];
    const int k = p->argument[i];
    const double x = p->l->left[p->l->nodes[e->to].layer], y = e->y[e->n - 1];
    char number[48];
    const int letters = partial_text(p, to, k, number);
    fprintf(p->to, "<g class=\"edge\" id=\"edge-%d-%d\">", e->to, k);
    put_path(p, e);
    fprintf(p->to, "<path class=\"head\" d=\"M%g %gl-9 -4.5v9z\"/>", x - 1, y);
    fprintf(p->to, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\"><title>", x - 12, y - 5);
    fprintf(p->to, picture_has_partials(to) ? "partial derivative of %s by " : "%s, back to ",
            to->name);
    markup_put(p->to, p->t->nodes[e->from].label);
    fputs(": ", p->to);
    markup_put(p->to, to->symbols[k]);
    fputs("</title><tspan>", p->to);
    markup_put_most(p->to, to->symbols[k], letters);
    fprintf(p->to, "</tspan><tspan id=\"partial-%d-%d\">%s</tspan></text></g>\n", e->to, k, number);
}

static void put_number(const picture *p, int i, const char *word, const double *values, double y)
{
    const layout_node *box = &p->l->nodes[i];
    char text[PICTURE_CELL];
    trace_cell(&p->t->nodes[i], values, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
    fprintf(p->to, "<text class=\"word\" x=\"%g\" y=\"%g\">%s</text>",
            box->x - box->width / 2 + PAD, y, word);
    fprintf(p->to, "<text class=\"%s\" id=\"%s-%d\" x=\"%g\" y=\"%g\" text-anchor=\"end\">", word,
            word, i, box->x + box->width / 2 - PAD, y);
    markup_put_most(p->to, text, NUMBERS);
    fputs("</text>", p->to);
}

static bool is_finite(const trace_node *n)
{
    for (int64_t i = 0; i < n->size; i++)
        if (!isfinite(n->value[i]) || !isfinite(n->adjoint[i]))
            return false;
    return true;
}

static bool put_node(const picture *p, int i)
{
    const trace_node *n = &p->t->nodes[i];
    const layout_node *box = &p->l->nodes[i];
    const double left = box->x - box->width / 2, top = box->y - box->height / 2;
    const int lines = shows_adjoint(p) ? 3 : 2;
    const double y = box->y - lines * LINE / 2. + 14;
    char *text = node_text(n);
    if (!text)
        return false;
    fprintf(p->to, "<g class=\"node%s%s%s\" id=\"node-%d\"><title>", n->is_input ? " input" : "",
            i == p->t->result ? " result" : "", is_finite(n) ? "" : " bad", i);
    markup_put(p->to, text);
    fprintf(p->to,
            "</title><rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"%g\"/>"
            "<text class=\"formula\" x=\"%g\" y=\"%g\">",
            left, top, box->width, box->height, n->is_input ? box->height / 2.5 : 5, left + PAD, y);
    markup_put_most(p->to, text, FORMULA);
    fputs("</text>", p->to);
    put_number(p, i, "value", n->value, y + LINE);
    if (shows_adjoint(p))
        put_number(p, i, "adjoint", n->adjoint, y + 2 * LINE);
    fputs("</g>\n", p->to);
    free(text);
    return true;
}

/* ---- all of it ---- */

/* What a picture says to those who do not see it: the nodes in their order. */
static void put_description(const picture *p)
{
    const trace *t = p->t;
    char text[PICTURE_CELL];
    fprintf(p->to, "<desc id=\"graph-desc\">%d nodes, from the inputs on the left to the result.",
            t->n);
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        trace_cell(n, n->value, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
        fprintf(p->to, " %s = ", n->name);
        markup_put(p->to, n->defined_as);
        fputs(*n->defined_as ? " = " : "", p->to);
        markup_put(p->to, n->formula);
        fprintf(p->to, " = %s", text);
        trace_cell(n, n->adjoint, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
        if (shows_adjoint(p))
            fprintf(p->to, ", adjoint %s", text);
        fputs(i == t->result ? ", the result;" : i + 1 < t->n ? ";" : ".", p->to);
    }
    fputs("</desc>\n", p->to);
}

static void put_head(const picture *p, bool alone)
{
    const double width = fmax(p->l->width, alone ? 560 : 0),
                 height = p->l->height + (alone ? HEADING + LEGEND : 0);
    fprintf(p->to,
            "<svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
            "viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"graph-title graph-desc\">\n",
            width, height, width, height);
    fputs("<title id=\"graph-title\">Graph of ", p->to);
    markup_put_most(p->to, p->t->text, 200);
    fputs("</title>\n", p->to);
    put_description(p);
    if (!alone)
        return;
    put_style(width, height, p->to);
    fputs("<text class=\"heading\" x=\"16\" y=\"26\">", p->to);
    markup_put_most(p->to, p->t->text, (int)((width - 32) / 9.7));
    fprintf(p->to, "</text>\n<text class=\"legend\" x=\"16\" y=\"%g\">%s</text>\n", height - 28,
            shows_adjoint(p)
                ? "In a node: its value, and its adjoint, the derivative of the result by it."
                : "In a node: its value.");
    fprintf(p->to, "<text class=\"legend\" x=\"16\" y=\"%g\">%s</text>\n", height - 10,
            p->t->scalars
                ? "On an edge: the local partial, the derivative of the right node by the left one."
                : "On an edge: what the left node's adjoint receives, or the local partial.");
}

static bool put_graph(picture *p, bool alone)
{
    bool good = lay_out(p);
    if (!good)
        return false;
    put_head(p, alone);
    fprintf(p->to, "<g transform=\"translate(0,%d)\">\n", alone ? HEADING : 0);
    for (int i = 0; i < p->l->n_edges; i++)
        put_edge(p, i);
    for (int i = 0; good && i < p->t->n; i++)
        good = put_node(p, i);
    fputs("</g>\n</svg>\n", p->to);
    return good;
}

bool picture_put(const trace *t, const trace_style *style, bool alone, FILE *to)
{
    picture p = {.t = t, .style = style, .to = to};
    if (picture_is_summary(t))
        return put_summary(t, style, alone, to);
    const bool good = put_graph(&p, alone);
    layout_free(p.l);
    free(p.argument);
    return good;
}

bool trace_put_svg(const trace *t, const trace_style *style, FILE *to)
{
    return picture_put(t, style, true, to);
}
