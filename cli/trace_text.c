/* trace_text.c - a trace as a table for a terminal or a page */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "notes.h"
#include "trace_formats.h"

/* ---- cells ---- */

/* Columns of a terminal that a text takes: its letters. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80 && (unsigned char)*text != 0xCC;
    return n; /* U+0300 to U+033F lie over the letter before */
}

static void put(FILE *to, const char *text, int width)
{
    fputs(text, to);
    for (int i = width_of(text); i < width; i++)
        fputc(' ', to);
}

/* May it stand in a product without brackets? */
static bool is_factor(const char *symbol)
{
    int open = 0;
    for (; *symbol; symbol++) {
        open += *symbol == '(' || *symbol == '[';
        open -= *symbol == ')' || *symbol == ']';
        if (open == 0 && strchr("+-/ ", *symbol))
            return false;
    }
    return true;
}

/* What an adjoint is called: the sign before a node's number. */
static const char *adjoint_sign(const trace_style *style)
{
    static const char *const signs[][2] = {
        [NOTATION_V] = {"adjoint", "adjoint"},
        [NOTATION_BAR] = {"v\xcc\x84", "vbar"},
        [NOTATION_DELTA] = {"\xce\xb4", "delta"},
    };
    return signs[style->notation][style->ascii];
}

/* Where a contribution comes from: "v4", or in symbols what it is, the adjoint times the partial.
 */
static void source_text(const trace_node *from, const trace_node *to, const trace_style *style,
                        char *out, size_t size)
{
    const char *d = style->ascii ? "d" : "\xe2\x88\x82";
    if (style->notation == NOTATION_V)
        snprintf(out, size, "%s", from->name);
    else
        snprintf(out, size, "%s%s %s%s/%s%s", adjoint_sign(style), from->name + 1, d, from->name, d,
                 to->label);
}

static void contribution_text(const trace *t, int to, const trace_contribution *c,
                              const trace_style *style, char *out, size_t size)
{
    const trace_node *from = &t->nodes[c->from];
    char adjoint[32], value[32], source[2 * TRACE_NAME + 40];
    const char *symbol = from->symbols[c->k];
    source_text(from, &t->nodes[to], style, source, sizeof source);
    if (from->rank || isnan(from->partials[c->k]))
        snprintf(out, size, "%s: %s", source, symbol);
    else
        snprintf(out, size, is_factor(symbol) ? "%s: %s*%s = %s" : "%s: %s*(%s) = %s", source,
                 trace_number(adjoint, from->adjoint[0], style->digits), symbol,
                 trace_number(value, c->value, style->digits));
}

/* ---- the table ---- */

enum { CELL = 320, MOST_COLUMNS = 40 };

typedef struct table {
    const trace *t;
    const trace_style *style;
    int width[MOST_COLUMNS], n; /* columns: node, expression, value, tangents, adjoint */
    FILE *to;
} table;

static bool forward(const table *b) { return b->style->mode != TRACE_REVERSE && b->t->scalars; }
static bool reverse(const table *b) { return b->style->mode != TRACE_FORWARD; }

/* The text of column j in row i; row -1 is the head. */
static void column_text(const table *b, int i, int j, char out[CELL])
{
    const trace *t = b->t;
    const trace_node *n = i < 0 ? NULL : &t->nodes[i];
    const int digits = b->style->digits, tangents = forward(b) ? t->n_wrt : 0;
    if (j == 0)
        snprintf(out, CELL, "%s", n ? n->name : "node");
    else if (j == 1)
        snprintf(out, CELL, n && *n->defined_as ? "%s = %s" : "%s%s",
                 !n               ? "expression"
                 : *n->defined_as ? n->defined_as
                                  : n->formula,
                 n && *n->defined_as ? n->formula : "");
    else if (j == 2 && n)
        trace_cell(n, n->value, TRACE_FEW, digits, out, CELL);
    else if (j == 2)
        strcpy(out, "value");
    else if (j < 3 + tangents && n)
        trace_number(out, n->tangents[j - 3], digits);
    else if (j < 3 + tangents)
        snprintf(out, CELL, "d/d%.60s", t->nodes[t->wrt[j - 3]].label);
    else if (n)
        trace_cell(n, n->adjoint, TRACE_FEW, digits, out, CELL);
    else
        strcpy(out, adjoint_sign(b->style));
}

static void measure(table *b)
{
    char text[CELL];
    b->n = 3 + (forward(b) ? b->t->n_wrt : 0) + reverse(b);
    b->n = b->n < MOST_COLUMNS ? b->n : MOST_COLUMNS;
    for (int j = 0; j < b->n; j++)
        for (int i = -1; i < b->t->n; i++) {
            column_text(b, i, j, text);
            b->width[j] = width_of(text) > b->width[j] ? width_of(text) : b->width[j];
        }
}

static void put_contributions(const table *b, int i, int indent)
{
    const trace *t = b->t;
    const int n = trace_contributions(t, i, NULL);
    trace_contribution *all = malloc((size_t)n * sizeof *all + 1);
    char text[CELL];
    if (!all)
        return;
    trace_contributions(t, i, all);
    if (i == t->result)
        fputs("1, the seed", b->to);
    for (int k = 0; k < n; k++) {
        contribution_text(t, i, &all[k], b->style, text, sizeof text);
        if (k || i == t->result)
            fprintf(b->to, "\n%*s", indent, "");
        fputs(text, b->to);
    }
    free(all);
}

static void put_row(const table *b, int i)
{
    char text[CELL];
    int indent = 0;
    for (int j = 0; j < b->n; j++) {
        column_text(b, i, j, text);
        put(b->to, text, j + 1 < b->n || reverse(b) ? b->width[j] + 2 : 0);
        indent += b->width[j] + 2;
    }
    if (reverse(b) && i < 0)
        fputs("contributions", b->to);
    else if (reverse(b))
        put_contributions(b, i, indent);
    fputc('\n', b->to);
}

static void put_rule(const table *b)
{
    int width = reverse(b) ? 24 : -2;
    for (int j = 0; j < b->n; j++)
        width += b->width[j] + 2;
    for (int i = 0; i < width; i++)
        fputs(b->style->ascii ? "-" : "\xe2\x94\x80", b->to);
    fputc('\n', b->to);
}

/* ---- below the table ---- */

static void put_gradient(const table *b)
{
    const trace *t = b->t;
    char text[CELL];
    fputs("\ngradient", b->to);
    for (int k = 0; k < t->n_wrt; k++) {
        const trace_node *x = &t->nodes[t->wrt[k]];
        trace_cell(x, x->adjoint, TRACE_FEW, b->style->digits, text, sizeof text);
        fprintf(b->to, "%s d/d%s = %s", k ? "," : " ", x->label, text);
    }
    fputc('\n', b->to);
}

/* The largest difference of tangents and adjoints, relative to 1 or the gradient. */
static double disagreement(const trace *t)
{
    double worst = 0;
    for (int k = 0; k < t->n_wrt; k++) {
        const double reverse = t->nodes[t->wrt[k]].adjoint[0],
                     forward = t->nodes[t->result].tangents[k];
        worst = fmax(worst, fabs(reverse - forward) / fmax(1, fabs(reverse)));
    }
    return worst;
}

/* The largest disagreement of the gradient with differences, relative to 1 or the gradient. */
static double off_differences(const trace *t)
{
    double worst = NAN;
    for (int k = 0; k < t->n_wrt; k++) {
        const double reverse = t->nodes[t->wrt[k]].adjoint[0];
        if (!isnan(t->differences[k]))
            worst = fmax(worst, fabs(reverse - t->differences[k]) / fmax(1, fabs(reverse)));
    }
    return worst;
}

static void put_verdicts(const table *b)
{
    const trace *t = b->t;
    char text[32];
    int operations = 0;
    for (int i = 0; i < t->n; i++)
        operations += !t->nodes[i].is_input;
    if (t->scalars)
        fprintf(b->to, "forward = reverse: %s (largest difference %s)\n",
                disagreement(t) < 1e-9 ? "yes" : "NO", trace_number(text, disagreement(t), 3));
    if (!isnan(off_differences(t)))
        fprintf(b->to, "differences agree: %s (largest difference %s)\n",
                off_differences(t) < 1e-6 ? "yes" : "NO",
                trace_number(text, off_differences(t), 3));
    fprintf(b->to,
            "cost: %d operation%s; forward %d sweep%s, one for each input; reverse 1 sweep back\n",
            operations, operations == 1 ? "" : "s", t->n_wrt, t->n_wrt == 1 ? "" : "s");
}

bool trace_put_text(const trace *t, const trace_style *style, FILE *to)
{
    table b = {.t = t, .style = style, .to = to};
    measure(&b);
    put_row(&b, -1);
    put_rule(&b);
    for (int i = 0; i < t->n; i++)
        put_row(&b, i);
    put_gradient(&b);
    trace_put_notes(t, style->digits, to);
    put_verdicts(&b);
    return true;
}
