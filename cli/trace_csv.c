/* trace_csv.c - a trace for spreadsheets: RFC 4180, a row a node, every column whatever the style
 */
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "trace_formats.h"

/* A cell that is made piece by piece: quoted, with its quotes doubled. */
static void put_piece(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
}

static void put_cell(const char *text, FILE *to)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    fputc(',', to);
    if (quoted)
        fputc('"', to);
    put_piece(text, to);
    if (quoted)
        fputc('"', to);
}

static void put_values(const trace_node *n, const double *values, FILE *to)
{
    const char *around = n->rank ? "\"" : ""; /* brackets have commas in them */
    fprintf(to, ",%s", around);
    put_exact(n->rank, n->shape, values, "", to);
    fputs(around, to);
}

static void put_parents(const trace *t, const trace_node *n, FILE *to)
{
    fputc(',', to);
    for (int k = 0; k < n->n_parents; k++) {
        fputs(k ? " " : "", to);
        fputs(n->parents[k] < 0 ? "constant" : t->nodes[n->parents[k]].name, to);
    }
}

static void put_shape(const trace_node *n, FILE *to)
{
    fputc(',', to);
    for (int i = 0; i < n->rank; i++)
        fprintf(to, "%s%lld", i ? " " : "", (long long)n->shape[i]);
}

static void put_partials(const trace_node *n, FILE *to)
{
    char number[32];
    fputs(",\"", to);
    for (int k = 0; k < n->n_parents; k++) {
        fputs(k ? "; " : "", to);
        put_piece(n->symbols[k], to);
        if (has_partials(n))
            fprintf(to, " = %s", exact_number(number, n->partials[k]));
    }
    fputc('"', to);
}

static bool put_contributions(const trace *t, int i, FILE *to)
{
    char number[32];
    int n;
    trace_contribution *all = contributions_of(t, i, &n);
    if (!all)
        return false;
    fputs(",\"", to);
    for (int j = 0; j < n; j++) {
        const trace_node *from = &t->nodes[all[j].from];
        fprintf(to, "%s%s: ", j ? "; " : "", from->name);
        put_piece(from->symbols[all[j].k], to);
        if (has_partials(from))
            fprintf(to, " = %s", exact_number(number, all[j].value));
    }
    fputs("\"\r\n", to);
    free(all);
    return true;
}

static void put_head(const trace *t, FILE *to)
{
    fputs("node,label,op,formula,defined_as,at,length,parents,shape,value", to);
    for (int k = 0; t->scalars && k < t->n_wrt; k++) {
        char name[TRACE_NAME + 8];
        snprintf(name, sizeof name, "d/d%s", t->nodes[t->wrt[k]].label);
        put_cell(name, to);
    }
    fputs(",adjoint,partials,contributions\r\n", to);
}

bool trace_put_csv(const trace *t, const trace_style *style, FILE *to)
{
    (void)style;
    put_head(t, to);
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        char number[32];
        fputs(n->name, to);
        put_cell(n->label, to);
        put_cell(n->operation, to);
        put_cell(n->formula, to);
        put_cell(n->defined_as, to);
        fprintf(to, n->length ? ",%lld,%lld" : ",,", (long long)n->at, (long long)n->length);
        put_parents(t, n, to);
        put_shape(n, to);
        put_values(n, n->value, to);
        for (int k = 0; t->scalars && k < t->n_wrt; k++)
            fprintf(to, ",%s", exact_number(number, n->tangents[k]));
        put_values(n, n->adjoint, to);
        put_partials(n, to);
        if (!put_contributions(t, i, to))
            return false;
    }
    return true;
}
