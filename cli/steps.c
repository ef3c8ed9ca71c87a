/* steps.c - see steps.h */
#include "steps.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "teach.h"

enum { CELL = 256 };

/* ---- the row ---- */

typedef struct builder {
    const trace *t;
    steps *s;
    int *got, *expected; /* contributions to each node */
    double *total;
} builder;

static void add(builder *b, step one) { b->s->all[b->s->n++] = one; }

static double number_of(const trace_node *n, const double *elements)
{
    return n->rank ? (double)NAN : elements[0];
}

static void add_values(builder *b)
{
    for (int i = 0; i < b->t->n; i++)
        add(b, (step){.sweep = SWEEP_VALUES,
                      .node = i,
                      .number = number_of(&b->t->nodes[i], b->t->nodes[i].value)});
}

static void add_tangents(builder *b, int wrt)
{
    for (int i = 0; i < b->t->n; i++)
        if (!b->t->nodes[i].is_input || i == b->t->wrt[wrt])
            add(b, (step){.sweep = SWEEP_TANGENTS,
                          .node = i,
                          .wrt = wrt,
                          .number = b->t->nodes[i].tangents[wrt]});
}

/* Nodes that the result does not depend on get no adjoint and pass none on. */
static void count_contributions(builder *b)
{
    b->expected[b->t->result] = 1;
    for (int from = b->t->result; from >= 0; from--)
        for (int k = 0; b->expected[from] && k < b->t->nodes[from].n_parents; k++)
            if (b->t->nodes[from].parents[k] >= 0)
                b->expected[b->t->nodes[from].parents[k]]++;
}

static void add_contribution(builder *b, int node, int from, int k)
{
    const trace_node *by = from < 0 ? NULL : &b->t->nodes[from];
    const double number = by ? number_of(by, by->adjoint) * by->partials[k] : 1;
    b->total[node] += number;
    b->got[node]++;
    add(b, (step){.sweep = SWEEP_REVERSE,
                  .node = node,
                  .from = from,
                  .k = k,
                  .nth = b->got[node],
                  .of = b->expected[node],
                  .number = number,
                  .total = b->t->scalars ? b->total[node] : (double)NAN});
}

static void add_adjoints(builder *b)
{
    count_contributions(b);
    add_contribution(b, b->t->result, -1, 0);
    for (int from = b->t->result; from >= 0; from--)
        for (int k = 0; b->expected[from] && k < b->t->nodes[from].n_parents; k++)
            if (b->t->nodes[from].parents[k] >= 0)
                add_contribution(b, b->t->nodes[from].parents[k], from, k);
}

static int64_t most_steps(const trace *t)
{
    int64_t most = 1 + (int64_t)t->n * (1 + t->n_wrt);
    for (int i = 0; i < t->n; i++)
        most += t->nodes[i].n_parents;
    return most;
}

steps *steps_new(const trace *t, trace_mode mode)
{
    builder b = {.t = t, .s = calloc(1, sizeof *b.s)};
    b.got = calloc((size_t)t->n + 1, sizeof *b.got);
    b.expected = calloc((size_t)t->n + 1, sizeof *b.expected);
    b.total = calloc((size_t)t->n + 1, sizeof *b.total);
    if (b.s)
        b.s->all = calloc((size_t)most_steps(t), sizeof *b.s->all);
    const bool good = b.s && b.s->all && b.got && b.expected && b.total;
    if (good)
        add_values(&b);
    for (int k = 0; good && mode != TRACE_REVERSE && t->scalars && k < t->n_wrt; k++)
        add_tangents(&b, k);
    if (good && mode != TRACE_FORWARD)
        add_adjoints(&b);
    free(b.got);
    free(b.expected);
    free(b.total);
    if (good)
        return b.s;
    steps_free(b.s);
    return NULL;
}

void steps_free(steps *s)
{
    if (s)
        free(s->all);
    free(s);
}

bool steps_have_numbers(const trace *t)
{
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        if (n->rank || !isfinite(n->value[0]) || !isfinite(n->adjoint[0]))
            return false;
        for (int k = 0; k < n->n_parents; k++)
            if (n->parents[k] >= 0 && !isfinite(n->partials[k]))
                return false;
        for (int k = 0; k < t->n_wrt; k++)
            if (!isfinite(n->tangents[k]))
                return false;
    }
    return true;
}

/* ---- texts ---- */

static void append(char out[STEP_TEXT], const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
static void append(char out[STEP_TEXT], const char *format, ...)
{
    const size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, STEP_TEXT - used, format, arguments);
    va_end(arguments);
}

double step_parent_value(const trace *t, int node, int k)
{
    return ad_value(ad_node_var(t->tape, ad_node_parent(t->tape, t->nodes[node].on_tape, k)));
}

const char *step_parent_label(const trace *t, int node, int k, char out[TRACE_NAME])
{
    const int parent = t->nodes[node].parents[k];
    if (parent >= 0)
        snprintf(out, TRACE_NAME, "%s", t->nodes[parent].label);
    else
        snprintf(out, TRACE_NAME, "%.12g", step_parent_value(t, node, k));
    return out;
}

char *step_with_numbers(const trace *t, int node, int digits)
{
    char numbers[RULE_MOST][32];
    const char *texts[RULE_MOST];
    const trace_node *n = &t->nodes[node];
    for (int k = 0; k < n->n_parents && k < RULE_MOST; k++)
        texts[k] = trace_number(numbers[k], step_parent_value(t, node, k), digits);
    return rule_formula(n->operation, n->n_parents, texts);
}

const char *step_factor(const char *text, char out[STEP_TEXT])
{
    int open = 0;
    bool sum = text[0] == '-';
    for (const char *c = text; *c; c++) {
        open += *c == '(';
        open -= *c == ')';
        sum = sum || (open == 0 && (*c == ' ' || *c == '/'));
    }
    snprintf(out, STEP_TEXT, sum ? "(%.2000s)" : "%.2000s", text);
    return out;
}

void step_title(const trace *t, const step *s, char out[STEP_TEXT])
{
    if (s->sweep == SWEEP_TANGENTS)
        snprintf(out, STEP_TEXT, "tangents along %s", t->nodes[t->wrt[s->wrt]].label);
    else
        strcpy(out, s->sweep == SWEEP_VALUES ? "values" : "reverse");
}

/* "h = v3 = w*x": as the text and the formulas call it. */
static void append_node(char out[STEP_TEXT], const trace_node *n)
{
    if (n->is_input)
        append(out, "%s", n->label);
    else if (*n->defined_as)
        append(out, "%s = %s = %s", n->name, n->defined_as, n->formula);
    else
        append(out, "%s = %s", n->name, n->formula);
}

static void append_parents(char out[STEP_TEXT], const trace *t, const step *s, int digits)
{
    const trace_node *n = &t->nodes[s->node];
    char number[32];
    int said = 0;
    for (int k = 0; k < n->n_parents; k++) {
        bool again = n->parents[k] < 0; /* constants stand in the formula */
        for (int j = 0; j < k; j++)
            again = again || n->parents[j] == n->parents[k];
        if (again)
            continue;
        const trace_node *p = &t->nodes[n->parents[k]];
        append(out, "%s%s", said++ ? ", " : " is computed from ", p->label);
        if (p->rank == 0)
            append(out, " = %s", trace_number(number, p->value[0], digits));
    }
}

static void value_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT])
{
    const trace_node *n = &t->nodes[s->node];
    char cell[CELL];
    trace_cell(n, n->value, 4, digits, cell, sizeof cell);
    append_node(out, n);
    if (n->is_input) {
        append(out, " is given: %s", cell);
        return;
    }
    append_parents(out, t, s, digits);
    char *numbers = t->scalars ? step_with_numbers(t, s->node, digits) : NULL;
    append(out, numbers ? ": %s = %s" : ": %.0s%s", numbers ? numbers : "", cell);
    free(numbers);
}

/* The sum over the parents: "x2*d(x1) + x1*d(x2)", or its numbers. */
static void append_terms(char out[STEP_TEXT], const trace *t, const step *s, bool symbols,
                         int digits)
{
    const trace_node *n = &t->nodes[s->node];
    char factor[STEP_TEXT], number[32], other[32], brackets[STEP_TEXT];
    int said = 0;
    for (int k = 0; k < n->n_parents; k++) {
        if (n->parents[k] < 0)
            continue;
        const trace_node *p = &t->nodes[n->parents[k]];
        append(out, "%s", said++ ? " + " : "");
        if (symbols)
            append(out, "%s*d(%s)", step_factor(n->symbols[k], factor), p->label);
        else
            append(out, "%s*%s", step_factor(trace_number(number, n->partials[k], digits), factor),
                   step_factor(trace_number(other, p->tangents[s->wrt], digits), brackets));
    }
    if (!said)
        append(out, "0");
}

static void tangent_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT])
{
    const trace_node *n = &t->nodes[s->node];
    char number[32];
    if (n->is_input) {
        append(out, "%s moves at speed 1, the other inputs stand still: d(%s) = 1, theirs are 0",
               n->label, n->label);
        return;
    }
    append_node(out, n);
    append(out, ": by the chain rule d(%s) = ", n->name);
    append_terms(out, t, s, true, digits);
    append(out, " = ");
    append_terms(out, t, s, false, digits);
    append(out, " = %s", trace_number(number, s->number, digits));
}

static void append_total(char out[STEP_TEXT], const trace *t, const step *s, int digits)
{
    const trace_node *n = &t->nodes[s->node];
    const int left = s->of - s->nth;
    char cell[CELL];
    if (!left)
        trace_cell(n, n->adjoint, 4, digits, cell, sizeof cell);
    else
        trace_number(cell, s->total, digits);
    append(out, " on to %s", n->label);
    if (!left || !isnan(s->total))
        append(out, ", whose adjoint is now %s", cell);
    if (left)
        append(out, " (%d more to come)", left);
}

/* Of tensors, in symbols: "passes its adjoint times 2*v3", or a rule that says all of it. */
static void tensor_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT])
{
    const char *symbol = t->nodes[s->from].symbols[s->k];
    append(out, strstr(symbol, "adjoint(") ? " passes %s" : " passes its adjoint times %s", symbol);
    append_total(out, t, s, digits);
}

static void reverse_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT])
{
    char adjoint[32], partial[32];
    if (s->from < 0) {
        append(out, "%s is the result: its derivative by itself is 1, and so its adjoint is 1",
               t->nodes[s->node].name);
        return;
    }
    const trace_node *from = &t->nodes[s->from];
    const char *symbol = from->symbols[s->k];
    append_node(out, from);
    if (from->rank || isnan(from->partials[s->k])) {
        tensor_reason(t, s, digits, out);
        return;
    }
    trace_number(adjoint, from->adjoint[0], digits);
    trace_number(partial, from->partials[s->k], digits);
    append(out, " passes its adjoint %s times %s", adjoint, symbol);
    if (strcmp(symbol, partial) != 0)
        append(out, " = %s", partial);
    if (from->adjoint[0] != 1)
        append(out, ", which is %s,", trace_number(partial, s->number, digits));
    append_total(out, t, s, digits);
}

void step_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT])
{
    *out = 0;
    (s->sweep == SWEEP_VALUES     ? value_reason
     : s->sweep == SWEEP_TANGENTS ? tangent_reason
                                  : reverse_reason)(t, s, digits, out);
}

/* ---- lines ---- */

static int letters_of(const char *text, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

void put_wrapped(FILE *to, const char *text, int width, int indent)
{
    int column = indent; /* as the caller has written that much */
    while (*text) {
        const size_t bytes = strcspn(text, " ");
        const int letters = letters_of(text, bytes);
        if (column > indent && column + 1 + letters > width) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, bytes, to);
        column += letters;
        text += bytes;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}
