/* trace_latex.c - a trace as a LaTeX document: the table, the derivation, the graph
 *
 * It asks for nothing beyond amsmath and TikZ, and one run of pdflatex makes it. */
#include "trace_latex.h"

#include "formula_latex.h"

static const char preamble[] = "\\documentclass[a4paper]{article}\n"
                               "\\usepackage[margin=2cm]{geometry}\n"
                               "\\usepackage[fleqn]{amsmath}\n"
                               "\\usepackage{tikz}\n"
                               "\\setlength{\\parindent}{0pt}\n"
                               "\\setlength{\\parskip}{6pt}\n"
                               "\\renewcommand{\\arraystretch}{1.3}\n"
                               "\\setlength{\\mathindent}{0pt}\n"
                               "\\allowdisplaybreaks[1]\n"
                               "\\raggedright\n"
                               "\\begin{document}\n"
                               "\\setlength{\\abovedisplayskip}{3pt}\n"
                               "\\setlength{\\belowdisplayskip}{3pt}\n";

void latex_put_values(const trace_node *n, const double *values, int digits, FILE *to)
{
    enum { FEW = 12, ACROSS = 6 };
    const int64_t columns = n->rank ? n->shape[n->rank - 1] : 1;
    if (n->rank == 0) {
        latex_put_number(values[0], digits, LATEX_WHOLE, to);
        return;
    }
    if (n->rank > 2 || n->size > FEW || columns > ACROSS || n->size == 0) {
        fputs("\\text{shape }(", to);
        for (int i = 0; i < n->rank; i++)
            fprintf(to, "%s%lld", i ? ", " : "", (long long)n->shape[i]);
        fputc(')', to);
        return;
    }
    fprintf(to, "\\left[\\begin{array}{*{%lld}{r}} ", (long long)columns);
    for (int64_t i = 0; i < n->size; i++) {
        fputs(!i ? "" : i % columns ? " & " : " \\\\ ", to);
        latex_put_number(values[i], digits, LATEX_WHOLE, to);
    }
    fputs(" \\end{array}\\right]", to);
}

/* ---- head ---- */

static bool put_head(const trace *t, int digits, FILE *to)
{
    bool first = true;
    fputs("\\section*{Trace}\n$\\displaystyle ", to);
    if (!latex_put_formula(t->text, LATEX_WHOLE, to))
        return false;
    fputs("$\n\n", to);
    for (int i = 0; i < t->n; i++) {
        if (!t->nodes[i].is_input)
            continue;
        fputs(first ? "at $" : ",\n$", to);
        latex_put_name(t->nodes[i].label, NULL, to);
        fputs(" = ", to);
        latex_put_values(&t->nodes[i], t->nodes[i].value, digits, to);
        fputc('$', to);
        first = false;
    }
    fputs(first ? "has the value $" : "\nhas the value $", to);
    latex_put_values(&t->nodes[t->result], t->nodes[t->result].value, digits, to);
    fputs("$.\n\n", to);
    for (int k = 0; k < t->n_wrt; k++) {
        const trace_node *x = &t->nodes[t->wrt[k]];
        fputs(k ? ",\n$\\partial/\\partial " : "Its derivatives: $\\partial/\\partial ", to);
        latex_put_name(x->label, NULL, to);
        fputs(" = ", to);
        latex_put_values(x, x->adjoint, digits, to);
        fputc('$', to);
    }
    fputs(t->n_wrt ? ".\n" : "", to);
    return true;
}

/* ---- tables ---- */

/* Tangents that a page has room for beside the rest, and twice as many without; rows that one has
 * room for, of numbers and of matrices. */
enum { TANGENTS = 4, ROWS = 30, TALL_ROWS = 12 };

/* Columns of a table: tangents from `first` on, n of them. */
typedef struct columns {
    bool expression, adjoint;
    int first, n;
} columns;

static bool put_row(const trace *t, int i, const columns *c, int digits, FILE *to)
{
    const trace_node *n = &t->nodes[i];
    fprintf(to, "$v_{%d}$", i + 1);
    if (c->expression) {
        fputs(" & $", to);
        if (*n->defined_as) {
            latex_put_name(n->defined_as, NULL, to);
            fputs(" = ", to);
        }
        if (!latex_put_formula(n->formula, LATEX_WHOLE, to))
            return false;
        fputs("$ & $", to);
        latex_put_values(n, n->value, digits, to);
        fputc('$', to);
    }
    for (int k = c->first; k < c->first + c->n; k++) {
        fputs(" & $", to);
        latex_put_number(n->tangents[k], digits, LATEX_WHOLE, to);
        fputc('$', to);
    }
    if (c->adjoint) {
        fputs(" & $", to);
        latex_put_values(n, n->adjoint, digits, to);
        fputc('$', to);
    }
    fputs(t->scalars ? " \\\\\n" : " \\\\[4pt]\n", to);
    return true;
}

static bool put_table(const trace *t, const columns *c, int from, int end, int digits, FILE *to)
{
    fputs(c->expression ? "\n\\begin{tabular}{lll" : "\n\\begin{tabular}{l", to);
    for (int k = 0; k < c->n + c->adjoint; k++)
        fputc('l', to);
    fputs(c->expression ? "}\nnode & expression & value" : "}\nnode", to);
    for (int k = c->first; k < c->first + c->n; k++) {
        fputs(" & $\\partial/\\partial ", to);
        latex_put_name(t->nodes[t->wrt[k]].label, NULL, to);
        fputc('$', to);
    }
    fputs(c->adjoint ? " & adjoint \\\\\n\\hline\n" : " \\\\\n\\hline\n", to);
    for (int i = from; i < end; i++)
        if (!put_row(t, i, c, digits, to))
            return false;
    fputs("\\end{tabular}\n", to);
    return true;
}

/* A table for each page: longtable would break by itself, but needs two runs of LaTeX. */
static bool put_pages(const trace *t, const columns *c, int digits, FILE *to)
{
    const int rows = t->scalars ? ROWS : TALL_ROWS;
    for (int from = 0; from < t->n; from += rows) {
        const int end = t->n - from > rows ? from + rows : t->n;
        if (!put_table(t, c, from, end, digits, to))
            return false;
    }
    return true;
}

/* Tangents stand in the table as long as there is room, else in tables of their own. */
static bool put_tables(const trace *t, const trace_style *style, FILE *to)
{
    const int tangents = style->mode != TRACE_REVERSE && t->scalars ? t->n_wrt : 0;
    const columns all = {.expression = true,
                         .adjoint = style->mode != TRACE_FORWARD,
                         .n = tangents <= TANGENTS ? tangents : 0};
    bool good = put_pages(t, &all, style->digits, to);
    for (int k = 0; good && tangents > TANGENTS && k < tangents; k += 2 * TANGENTS) {
        const int left = tangents - k;
        const columns some = {.first = k, .n = left < 2 * TANGENTS ? left : 2 * TANGENTS};
        good = put_pages(t, &some, style->digits, to);
    }
    return good;
}

bool trace_put_latex(const trace *t, const trace_style *style, FILE *to)
{
    fputs(preamble, to);
    if (!put_head(t, style->digits, to) || !put_tables(t, style, to))
        return false;
    if (style->mode != TRACE_FORWARD) {
        fputs("\\section*{Adjoints by the chain rule, from the result back}\n", to);
        if (!latex_put_derivation(t, style->digits, to))
            return false;
    }
    fputs("\\section*{Graph}\n", to);
    if (!latex_put_graph(t, style, to))
        return false;
    fputs("\\end{document}\n", to);
    return true;
}
