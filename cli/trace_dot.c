/* trace_dot.c - the graph of a trace in Graphviz' language, its edges with their local partials */
#include <string.h>

#include "exact.h"
#include "trace_formats.h"

/* Within quotes a backslash begins an escape of labels: both are written out. */
static void put_label(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_shape(const trace_node *n, FILE *to)
{
    for (int i = 0; i < n->rank; i++)
        fprintf(to, "%s%lld", i ? "," : " (", (long long)n->shape[i]);
    fputs(n->rank ? ")" : "", to);
}

static void put_node(const trace *t, int i, const trace_style *style, FILE *to)
{
    const trace_node *n = &t->nodes[i];
    char number[32];
    fprintf(to, "  %s [", n->name);
    if (n->is_input)
        fputs("shape=ellipse, ", to);
    if (i == t->result)
        fputs("peripheries=2, ", to);
    fprintf(to, "label=\"%s", n->name);
    put_shape(n, to);
    fputs(" = ", to);
    if (*n->defined_as) {
        put_label(n->defined_as, to);
        fputs(" = ", to);
    }
    put_label(n->formula, to);
    if (n->rank == 0) {
        fprintf(to, "\\nvalue %s", trace_number(number, n->value[0], style->digits));
        if (style->mode != TRACE_FORWARD)
            fprintf(to, "\\nadjoint %s", trace_number(number, n->adjoint[0], style->digits));
    }
    fputs("\"];\n", to);
}

static void put_edges(const trace *t, int i, const trace_style *style, FILE *to)
{
    const trace_node *n = &t->nodes[i];
    char number[32];
    for (int k = 0; k < n->n_parents; k++) {
        if (n->parents[k] < 0)
            continue;
        fprintf(to, "  %s -> %s [label=\"", t->nodes[n->parents[k]].name, n->name);
        put_label(n->symbols[k], to);
        trace_number(number, n->partials[k], style->digits);
        if (has_partials(n) && strcmp(number, n->symbols[k]) != 0)
            fprintf(to, "\\n= %s", number);
        fputs("\"];\n", to);
    }
}

bool trace_put_dot(const trace *t, const trace_style *style, FILE *to)
{
    fputs("digraph trace {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n  label=\"", to);
    for (const char *c = t->text; *c; c++) {
        const char one[] = {*c == '\n' ? ';' : *c, 0};
        put_label(one, to);
    }
    fputs("\";\n", to);
    for (int i = 0; i < t->n; i++)
        put_node(t, i, style, to);
    for (int i = 0; i < t->n; i++)
        put_edges(t, i, style, to);
    fputs("}\n", to);
    return true;
}
