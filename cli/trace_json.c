/* trace_json.c - a trace for programs, as docs/trace-json.md describes it
 *
 * The whole trace, whatever the style: who reads it picks. A change that breaks readers raises the
 * version. */
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "letters.h"
#include "trace_formats.h"

enum { VERSION = 1 };

/* ---- values ---- */

static void put_string(const char *text, FILE *to)
{
    fputc('"', to);
    for (const char *end = text; *text; text = end) {
        const uint32_t letter = next_letter(&end);
        if (letter == '"' || letter == '\\')
            fprintf(to, "\\%c", (int)letter);
        else if (letter < 0x20 || letter == 0x7F || letter == 0xFFFD)
            fprintf(to, "\\u%04x", (unsigned)letter);
        else
            fwrite(text, 1, (size_t)(end - text), to);
    }
    fputc('"', to);
}

/* "key": "text" */
static void put_pair(const char *key, const char *text, FILE *to)
{
    fprintf(to, "\"%s\": ", key);
    put_string(text, to);
}

static void put_values(const trace_node *n, const double *values, FILE *to)
{
    put_exact(n->rank, n->shape, values, "\"", to);
}

static void put_number(double value, FILE *to) { put_exact(0, NULL, &value, "\"", to); }

/* ---- a node ---- */

static bool put_parents(const trace *t, const trace_node *n, FILE *to)
{
    fputs("      \"parents\": [", to);
    for (int k = 0; k < n->n_parents; k++) {
        fputs(k ? ", " : "", to);
        if (n->parents[k] >= 0) {
            fprintf(to, "%d", n->parents[k] + 1);
            continue;
        }
        int rank;
        const int64_t *shape;
        double *values = argument_values(t, n, k, &rank, &shape);
        if (!values)
            return false;
        fputs("{\"constant\": ", to);
        put_exact(rank, shape, values, "\"", to);
        fputc('}', to);
        free(values);
    }
    fputs("],\n", to);
    return true;
}

static void put_shape(const trace_node *n, FILE *to)
{
    fputs("      \"shape\": [", to);
    for (int i = 0; i < n->rank; i++)
        fprintf(to, "%s%lld", i ? ", " : "", (long long)n->shape[i]);
    fputs("],\n", to);
}

static void put_tangents(const trace *t, const trace_node *n, FILE *to)
{
    fputs("      \"tangents\": ", to);
    if (!t->scalars) {
        fputs("null,\n", to);
        return;
    }
    for (int k = 0; k < t->n_wrt; k++) {
        fputs(k ? ", " : "{", to);
        put_string(t->nodes[t->wrt[k]].label, to);
        fputs(": ", to);
        put_number(n->tangents[k], to);
    }
    fputs(t->n_wrt ? "},\n" : "{},\n", to);
}

static void put_partials(const trace_node *n, FILE *to)
{
    fputs("      \"partials\": [", to);
    for (int k = 0; k < n->n_parents; k++) {
        fputs(k ? ", {" : "{", to);
        put_pair("symbol", n->symbols[k], to);
        fputs(", \"value\": ", to);
        if (has_partials(n))
            put_number(n->partials[k], to);
        else
            fputs("null", to);
        fputc('}', to);
    }
    fputs("],\n", to);
}

static bool put_contributions(const trace *t, int i, FILE *to)
{
    int n;
    trace_contribution *all = contributions_of(t, i, &n);
    if (!all)
        return false;
    fputs("      \"contributions\": [", to);
    for (int j = 0; j < n; j++) {
        const trace_node *from = &t->nodes[all[j].from];
        fprintf(to, "%s{\"from\": %d, \"argument\": %d, ", j ? ", " : "", all[j].from + 1,
                all[j].k + 1);
        put_pair("symbol", from->symbols[all[j].k], to);
        fputs(", \"value\": ", to);
        if (has_partials(from))
            put_number(all[j].value, to);
        else
            fputs("null", to);
        fputc('}', to);
    }
    fputs("]\n", to);
    free(all);
    return true;
}

static bool put_node(const trace *t, int i, FILE *to)
{
    const trace_node *n = &t->nodes[i];
    fprintf(to, "    {\n      \"id\": %d,\n      ", i + 1);
    put_pair("name", n->name, to);
    fputs(",\n      ", to);
    put_pair("label", n->label, to);
    fputs(",\n      ", to);
    put_pair("op", n->operation, to);
    fputs(",\n      ", to);
    put_pair("formula", n->formula, to);
    fputs(",\n      ", to);
    put_pair("defined_as", n->defined_as, to);
    if (n->length)
        fprintf(to, ",\n      \"span\": {\"at\": %lld, \"length\": %lld},\n", (long long)n->at,
                (long long)n->length);
    else
        fputs(",\n      \"span\": null,\n", to);
    put_shape(n, to);
    if (!put_parents(t, n, to))
        return false;
    fputs("      \"value\": ", to);
    put_values(n, n->value, to);
    fputs(",\n", to);
    put_tangents(t, n, to);
    fputs("      \"adjoint\": ", to);
    put_values(n, n->adjoint, to);
    fputs(",\n", to);
    put_partials(n, to);
    if (!put_contributions(t, i, to))
        return false;
    fputs(i + 1 < t->n ? "    },\n" : "    }\n", to);
    return true;
}

/* ---- all of it ---- */

static void put_inputs(const trace *t, FILE *to)
{
    bool first = true;
    fputs("  \"inputs\": [", to);
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        if (!n->is_input)
            continue;
        fputs(first ? "\n    {" : ",\n    {", to);
        put_pair("name", n->label, to);
        fprintf(to, ", \"node\": %d, \"wrt\": %s, \"value\": ", i + 1,
                n->is_wrt ? "true" : "false");
        put_values(n, n->value, to);
        fputc('}', to);
        first = false;
    }
    fputs("\n  ],\n", to);
}

static void put_gradient(const trace *t, FILE *to)
{
    fputs("  \"gradient\": {", to);
    for (int k = 0; k < t->n_wrt; k++) {
        const trace_node *x = &t->nodes[t->wrt[k]];
        fputs(k ? ", " : "", to);
        put_string(x->label, to);
        fputs(": ", to);
        put_values(x, x->adjoint, to);
    }
    fputs("},\n", to);
}

bool trace_put_json(const trace *t, const trace_style *style, FILE *to)
{
    (void)style;
    fprintf(to, "{\n  \"format\": \"tapegrad trace\",\n  \"version\": %d,\n  ", VERSION);
    put_pair("expression", t->text, to);
    fputs(",\n", to);
    put_inputs(t, to);
    fprintf(to, "  \"result\": %d,\n  \"value\": ", t->result + 1);
    put_values(&t->nodes[t->result], t->nodes[t->result].value, to);
    fputs(",\n", to);
    put_gradient(t, to);
    fputs("  \"nodes\": [\n", to);
    for (int i = 0; i < t->n; i++)
        if (!put_node(t, i, to))
            return false;
    fputs("  ]\n}\n", to);
    return true;
}
