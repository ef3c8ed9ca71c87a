/* draw.c - the tape for people: a table, a trace of values, tangents and adjoints, and a graph
 *
 * What is shown comes from the public introspection, and only the stream that the caller names is
 * written. */
#define AD_PLAIN
#include "tape.h"
#include <string.h>

static void print_shape(const ad_node_info *info, FILE *to)
{
    char text[SHAPE_TEXT];
    fprintf(to, " %-12s", info->rank ? shape_text(text, info->rank, info->shape) : "");
}

static void parents_text(const ad_tape *t, int64_t i, const ad_node_info *info, char *out,
                         size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s", info->operation);
    for (int k = 0; k < info->n_parents && used + 16 < size; k++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", k ? ", " : " ",
                                 (long long)ad_node_parent(t, i, k));
    if (info->kind == AD_NODE_GUARD && used + 12 < size)
        snprintf(out + used, size - used, " -> %s", info->value != 0 ? "true" : "false");
}

ad_status ad_tape_print(const ad_tape *t, FILE *to)
{
    if (!t || !to)
        return AD_NULL;
    fprintf(to, "%6s  %-24s %-12s %14s %14s  %s\n", "node", "operation", "shape", "value",
            "adjoint", "site");
    for (int64_t i = 0; i < ad_node_count(t); i++) {
        ad_node_info info;
        char text[64];
        if (ad_node_at(t, i, &info) || info.kind == AD_NODE_HIDDEN)
            continue;
        parents_text(t, i, &info, text, sizeof text);
        fprintf(to, "%6lld  %-24s", (long long)i, text);
        print_shape(&info, to);
        if (info.rank || info.dtype != AD_F64 || info.kind == AD_NODE_GUARD)
            fprintf(to, " %14s %14s", info.kind == AD_NODE_GUARD ? "" : ad_dtype_name(info.dtype),
                    "");
        else
            fprintf(to, " %14.9g %14.9g", info.value, info.adjoint);
        fprintf(to, "  %s%s%s\n", info.scope, *info.scope && *info.site ? " " : "", info.site);
    }
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}

/* ---- the trace ---- */

typedef struct trace {
    ad_tape *tape;
    int64_t nodes;
    int n;
    const char *const *names;
    const ad_var *x;
    double *tangent; /* of node i along input k: [i * n + k]; scalars only */
} trace;

/* How a node reads: "x1", "v0 * v1", "sin(v0)". */
static void formula(const trace *r, int64_t i, const ad_node_info *info, char *out, size_t size)
{
    static const struct {
        const char *name, *sign;
    } infix[] = {{"add", "+"}, {"sub", "-"}, {"mul", "*"}, {"div", "/"}};
    for (int k = 0; k < r->n; k++)
        if (ad_var_node(r->x[k]) == i) {
            snprintf(out, size, "%s", r->names && r->names[k] ? r->names[k] : "input");
            return;
        }
    long long p[2] = {(long long)ad_node_parent(r->tape, i, 0),
                      (long long)ad_node_parent(r->tape, i, 1)};
    for (size_t k = 0; k < sizeof infix / sizeof *infix; k++)
        if (info->n_parents == 2 && !strcmp(info->operation, infix[k].name)) {
            snprintf(out, size, "v%lld %s v%lld", p[0], infix[k].sign, p[1]);
            return;
        }
    size_t used = (size_t)snprintf(out, size, "%s%s", info->operation, info->n_parents ? "(" : "");
    for (int k = 0; k < info->n_parents && used + 16 < size; k++)
        used += (size_t)snprintf(out + used, size - used, "%sv%lld", k ? ", " : "",
                                 (long long)ad_node_parent(r->tape, i, k));
    if (info->n_parents && used + 2 < size)
        snprintf(out + used, size - used, ")");
}

/* tangents of all scalar nodes along each input, by one forward sweep for each */
static ad_status trace_tangents(trace *r)
{
    size_t nodes = (size_t)r->nodes, n = (size_t)r->n;
    double one = 1, zero = 0;
    const ad_context *c = r->tape->context;
    const double **seeds = memory_take(c, (n + 1) * sizeof *seeds);
    double **results = memory_take(c, (nodes + 1) * sizeof *results);
    ad_var *all = memory_take(c, (nodes + 1) * sizeof *all);
    double *column = memory_take(c, (nodes + 1) * sizeof *column);
    int scalars = 0;
    ad_status s = seeds && results && all && column ? AD_OK : AD_NO_MEMORY;
    for (int64_t i = 0; !s && i < r->nodes; i++) {
        ad_node_info info;
        if (ad_node_at(r->tape, i, &info) || info.rank || info.kind == AD_NODE_HIDDEN ||
            info.kind == AD_NODE_GUARD)
            continue;
        results[scalars] = &column[i];
        all[scalars++] = ad_node_var(r->tape, i);
    }
    for (size_t k = 0; !s && k < n; k++) {
        for (size_t j = 0; j < n; j++)
            seeds[j] = j == k ? &one : &zero;
        s = ad_jvp(r->n, r->x, seeds, scalars, all, results, 1);
        for (size_t i = 0; i < nodes; i++)
            r->tangent[i * n + k] = column[i];
    }
    memory_give(c, seeds, (n + 1) * sizeof *seeds);
    memory_give(c, results, (nodes + 1) * sizeof *results);
    memory_give(c, all, (nodes + 1) * sizeof *all);
    memory_give(c, column, (nodes + 1) * sizeof *column);
    return s;
}

static void trace_header(const trace *r, FILE *to)
{
    fprintf(to, "%6s  %-18s %13s", "node", "operation", "value");
    for (int k = 0; k < r->n; k++) {
        char text[32];
        snprintf(text, sizeof text, "d/d%.20s", r->names && r->names[k] ? r->names[k] : "x");
        fprintf(to, " %13s", text);
    }
    fprintf(to, " %13s\n", "adjoint");
}

static void trace_row(const trace *r, int64_t i, FILE *to)
{
    ad_node_info info;
    char text[64], name[24];
    if (ad_node_at(r->tape, i, &info) || info.kind == AD_NODE_HIDDEN || info.kind == AD_NODE_GUARD)
        return;
    formula(r, i, &info, text, sizeof text);
    snprintf(name, sizeof name, "v%lld", (long long)i);
    fprintf(to, "%6s  %-18s", name, text);
    if (info.rank) {
        print_shape(&info, to);
    } else {
        fprintf(to, " %13.6f", info.value);
        for (int k = 0; k < r->n; k++)
            fprintf(to, " %13.6f", r->tangent[(size_t)i * (size_t)r->n + (size_t)k]);
        fprintf(to, " %13.6f", info.adjoint);
    }
    fputc('\n', to);
}

ad_status ad_trace_print(ad_var y, int n, const ad_var *x, const char *const *names, FILE *to)
{
    int64_t last = ad_var_node(y);
    if (last < 0 && y.tape && ad_size(y) < 0)
        return ad_tape_status(y.tape);
    if (last < 0 || !to || n < 0 || (n && !x))
        return AD_NULL;
    trace r = {.tape = y.tape, .nodes = last + 1, .n = n, .names = names, .x = x};
    for (int k = 0; k < n; k++)
        if (ad_size(x[k]) != 1 || ad_var_node(x[k]) < 0)
            return AD_BAD_SHAPE;
    ad_status s = ad_backward_keep(y);
    const size_t bytes = ((size_t)r.nodes * (size_t)n + 1) * sizeof *r.tangent;
    r.tangent = memory_take(r.tape->context, bytes);
    if (!s)
        s = r.tangent ? trace_tangents(&r) : AD_NO_MEMORY;
    if (!s) {
        trace_header(&r, to);
        for (int64_t i = 0; i < r.nodes; i++)
            trace_row(&r, i, to);
    }
    memory_give(r.tape->context, r.tangent, bytes);
    return s;
}

/* ---- the graph ---- */

static void dot_text(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void dot_node(const ad_tape *t, int64_t i, const ad_node_info *info, FILE *to)
{
    static const char *const shapes[] = {"ellipse", "plaintext", "house", "box", "diamond"};
    char text[SHAPE_TEXT];
    fprintf(to, "  n%lld [shape=%s, label=\"%s\\n", (long long)i, shapes[info->kind],
            info->operation);
    if (info->rank)
        fprintf(to, "%s", shape_text(text, info->rank, info->shape));
    else
        fprintf(to, "%.6g", info->value);
    if (*info->site) {
        fputs("\", tooltip=\"", to);
        dot_text(info->site, to);
    }
    fputs("\"];\n", to);
    for (int k = 0; k < info->n_parents; k++) {
        double d = ad_node_partial(t, i, k);
        fprintf(to, "  n%lld -> n%lld", (long long)ad_node_parent(t, i, k), (long long)i);
        if (d == d)
            fprintf(to, " [label=\"%.4g\"]", d);
        fputs(";\n", to);
    }
}

ad_status ad_tape_dot(const ad_tape *t, FILE *to)
{
    if (!t || !to)
        return AD_NULL;
    fputs("digraph tape {\n  rankdir=LR;\n", to);
    for (int64_t i = 0; i < ad_node_count(t); i++) {
        ad_node_info info;
        if (!ad_node_at(t, i, &info) && info.kind != AD_NODE_HIDDEN)
            dot_node(t, i, &info, to);
    }
    fputs("}\n", to);
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
