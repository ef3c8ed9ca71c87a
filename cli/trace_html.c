/* trace_html.c - a trace as a page: graph and table, and the sweeps step by step
 *
 * One file that needs no other. Without scripts it shows the graph and the whole table; page.js
 * hides what a sweep has not reached yet. */
#define _POSIX_C_SOURCE 200809L /* open_memstream */

#include <stdlib.h>
#include <string.h>

#include "formula_mathml.h"
#include "markup.h"
#include "notes.h"
#include "page_operations.h"
#include "page_text.h"
#include "picture.h"

enum { LONG = 240, TANGENTS = 8 }; /* letters that a heading shows as mathematics; columns */

typedef struct page {
    const trace *t;
    const trace_style *style;
    FILE *to;
    bool computes, good;
} page;

/* ---- small parts ---- */

static bool shows_reverse(const page *p) { return p->style->mode != TRACE_FORWARD; }

static bool shows_tangents(const page *p)
{
    return p->style->mode != TRACE_REVERSE && p->t->scalars && p->t->n_wrt > 0;
}

static void put(const page *p, const char *text) { fputs(text, p->to); }

static void put_math(page *p, const char *formula)
{
    p->good = mathml_put(p->to, formula) && p->good;
}

static void put_factor(page *p, const char *formula)
{
    p->good = mathml_put_factor(p->to, formula) && p->good;
}

static void put_name(const page *p, const char *name)
{
    put(p, "<math>");
    mathml_put_name(p->to, name);
    put(p, "</math>");
}

static void put_cell(const page *p, const trace_node *n, const double *values)
{
    char text[PICTURE_CELL];
    trace_cell(n, values, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
    markup_put(p->to, text);
}

/* ---- above the graph ---- */

static void put_head(page *p)
{
    const char *text = p->t->text;
    put(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Trace "
           "of ");
    markup_put_most(p->to, text, 80);
    put(p, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    markup_put_lines(p->to, picture_css);
    markup_put_lines(p->to, page_css);
    put(p, "</style>\n</head>\n<body>\n<main>\n<h1>Trace of ");
    if (markup_length(text) <= LONG) {
        put(p, "<math>");
        put_math(p, text);
        put(p, "</math>");
    } else {
        put(p, "an expression");
    }
    put(p, "</h1>\n<p><code>");
    markup_put_most(p->to, text, 4000);
    put(p, "</code></p>\n");
}

/* An input's number in as few digits as give it back. */
static void put_given(const page *p, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) - value == 0)
            break;
    }
    put(p, text);
}

static void put_inputs(page *p)
{
    const trace *t = p->t;
    if (!p->computes) {
        put(p, "<p class=\"note\">");
        put(p, t->scalars ? "An operation of this expression is not elementwise. "
                          : "This expression has tensors: the page shows shapes, and values where "
                            "they are few. ");
        put(p, "Its inputs cannot be changed here; run the command again for others.</p>\n");
        return;
    }
    put(p, "<form id=\"inputs\" class=\"needs-script\" "
           "autocomplete=\"off\"><fieldset><legend>Inputs</legend>\n");
    for (int i = 0; i < t->n; i++) {
        if (!t->nodes[i].is_input)
            continue;
        fprintf(p->to, "<label for=\"input-%d\">", i);
        put_name(p, t->nodes[i].label);
        fprintf(p->to,
                " =</label><input id=\"input-%d\" type=\"text\" inputmode=\"decimal\" "
                "spellcheck=\"false\" aria-label=\"",
                i);
        markup_put(p->to, t->nodes[i].label);
        put(p, "\" aria-describedby=\"wrong\" value=\"");
        put_given(p, t->nodes[i].value[0]);
        put(p, "\">\n");
    }
    put(p, "<button type=\"button\" id=\"reset\">Reset</button></fieldset></form>\n"
           "<p id=\"wrong\" role=\"alert\"></p>\n");
}

static void put_answer(page *p)
{
    const trace *t = p->t;
    put(p, "<div id=\"answer\"><span>Value <span class=\"number\" id=\"answer-value\">");
    put_cell(p, &t->nodes[t->result], t->nodes[t->result].value);
    put(p, "</span></span>\n");
    for (int k = 0; shows_reverse(p) && k < t->n_wrt && k < PICTURE_MOST; k++) {
        const trace_node *x = &t->nodes[t->wrt[k]];
        put(p, "<span>d/d");
        put_name(p, x->label);
        fprintf(p->to, " = <span class=\"number\" id=\"answer-%d\">", k);
        put_cell(p, x, x->adjoint);
        put(p, "</span></span>\n");
    }
    put(p, "</div>\n");
}

/* Ends of domains and kinks, at the inputs of the command. */
static void put_notes(page *p)
{
    char *text = NULL;
    size_t size = 0;
    if (trace_put_notes(p->t, p->style->digits, NULL) == 0)
        return;
    FILE *to = open_memstream(&text, &size);
    if (to) {
        trace_put_notes(p->t, p->style->digits, to);
        p->good = fclose(to) == 0 && p->good;
    }
    p->good = p->good && text;
    put(p, "<pre id=\"notes\" class=\"note\">");
    markup_put(p->to, text ? text : "");
    put(p, "</pre>\n");
    free(text);
}

static void put_tab(const page *p, const char *sweep, const char *title, bool disabled)
{
    fprintf(p->to,
            "<button type=\"button\" role=\"tab\" id=\"tab-%s\" data-sweep=\"%s\" "
            "aria-controls=\"panel\" aria-selected=\"false\"%s>%s</button>\n",
            sweep, sweep, disabled ? " disabled" : "", title);
}

static void put_choice(page *p)
{
    const trace *t = p->t;
    put(p, " <label for=\"by\">Derive by</label> <select id=\"by\">");
    for (int k = 0; k < t->n_wrt; k++) {
        fprintf(p->to, "<option value=\"%d\">", k);
        markup_put(p->to, t->nodes[t->wrt[k]].label);
        put(p, "</option>");
    }
    put(p, "</select>");
}

static void put_tabs(page *p)
{
    const bool tangents = p->style->mode != TRACE_REVERSE && p->t->n_wrt > 0;
    put(p, "<section class=\"needs-script\" aria-label=\"Steps\">\n"
           "<div role=\"tablist\" aria-label=\"Sweeps\">\n");
    put_tab(p, "forward", "Forward: values", false);
    if (tangents)
        put_tab(p, "tangent", "Forward: tangents", !p->t->scalars);
    if (shows_reverse(p))
        put_tab(p, "reverse", "Reverse: adjoints", false);
    put(p, "</div>\n<div id=\"panel\" role=\"tabpanel\">\n"
           "<p id=\"about-forward\">From the inputs to the result: each node's value is computed "
           "from those of its arguments.</p>\n");
    if (tangents) {
        put(p,
            "<p id=\"about-tangent\" hidden>Along with the values: how each of them changes with "
            "one input. One sweep for each input.");
        if (shows_tangents(p))
            put_choice(p);
        put(p, "</p>\n");
    }
    if (shows_reverse(p))
        put(p,
            "<p id=\"about-reverse\" hidden>From the result back to the inputs: each node passes "
            "its adjoint times the local partial to its arguments, where contributions add up. "
            "One sweep for all inputs.</p>\n");
    put(p,
        "<div class=\"controls\" role=\"group\" aria-label=\"Move\">\n"
        "<button type=\"button\" id=\"start\" aria-keyshortcuts=\"Home\">Start</button>\n"
        "<button type=\"button\" id=\"back\" aria-keyshortcuts=\"ArrowLeft\">Back</button>\n"
        "<button type=\"button\" id=\"play\">Play</button>\n"
        "<button type=\"button\" id=\"forward\" aria-keyshortcuts=\"ArrowRight\">Forward</button>\n"
        "<button type=\"button\" id=\"end\" aria-keyshortcuts=\"End\">End</button>\n"
        "<span id=\"count\"></span>\n</div>\n"
        "<p id=\"sentence\" aria-live=\"polite\"></p>\n<div id=\"formula\"></div>\n</div>\n"
        "<p class=\"keys\">Keys: arrows right and left for a step forward and back, Home and End "
        "for the first and the last.</p>\n</section>\n");
}

/* ---- the graph ---- */

static void put_figure(page *p)
{
    put(p, "<figure>\n<div id=\"graph\" tabindex=\"0\" role=\"region\" aria-label=\"Graph\">\n");
    p->good = picture_put(p->t, p->style, false, p->to) && p->good;
    put(p, "</div>\n<figcaption>");
    put(p, shows_reverse(p)
               ? "In a node: its value, and its adjoint, the derivative of the result by it. "
               : "In a node: its value. ");
    put(p, p->t->scalars
               ? "On an edge: the local partial, the derivative of the right node by the left one."
               : "On an edge: what the left node's adjoint receives, or the local partial.");
    put(p,
        " <label class=\"needs-script screen\"><input type=\"checkbox\" id=\"whole\"> Fit to the "
        "window</label></figcaption>\n</figure>\n");
}

/* ---- the table ---- */

static int tangent_columns(const page *p)
{
    return !shows_tangents(p) ? 0 : p->t->n_wrt <= TANGENTS ? p->t->n_wrt : 1;
}

static void put_table_head(const page *p)
{
    put(p, "<thead><tr><th scope=\"col\">Node</th><th scope=\"col\">Expression</th>"
           "<th scope=\"col\" class=\"number\">Value</th>");
    for (int k = 0; k < tangent_columns(p); k++) {
        fprintf(p->to, "<th scope=\"col\" class=\"number tangent\" id=\"tangent-head-%d\">d/d", k);
        put_name(p, p->t->nodes[p->t->wrt[k]].label);
        put(p, "</th>");
    }
    if (shows_reverse(p))
        put(p,
            "<th scope=\"col\" class=\"number\">Adjoint</th><th scope=\"col\">Contributions</th>");
    put(p, "</tr></thead>\n");
}

/* What the adjoint of an argument receives, where that is no product of numbers. */
static void put_rule(page *p, const trace_node *from, int k)
{
    bool elementwise = false;
    for (int i = 0; i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, from->operation) == 0)
            elementwise = ad_op_at(i)->elementwise;
    if (elementwise) {
        char bar[TRACE_NAME + 16];
        snprintf(bar, sizeof bar, "adjoint(%s)", from->label);
        put_math(p, bar);
        put(p, "<mo>&#x2299;</mo>");
        put_factor(p, from->symbols[k]);
    } else {
        put_math(p, from->symbols[k]);
    }
}

static void put_contribution(page *p, const trace_contribution *c)
{
    const trace_node *from = &p->t->nodes[c->from];
    char text[32];
    fprintf(p->to, "<div id=\"row-contribution-%d-%d\">%s: ", c->from, c->k, from->name);
    if (!picture_has_partials(from)) {
        put(p, "<math>");
        put_rule(p, from, c->k);
        put(p, "</math></div>");
        return;
    }
    fprintf(p->to,
            "<span class=\"number\" id=\"contribution-adjoint-%d-%d\">%s</span> &#xB7; <math>",
            c->from, c->k, trace_number(text, from->adjoint[0], p->style->digits));
    put_factor(p, from->symbols[c->k]);
    fprintf(p->to, "</math> = <span class=\"number\" id=\"contribution-%d-%d\">%s</span></div>",
            c->from, c->k, trace_number(text, c->value, p->style->digits));
}

static void put_contributions(page *p, int i)
{
    const int n = trace_contributions(p->t, i, NULL);
    trace_contribution *all = malloc((size_t)n * sizeof *all + 1);
    p->good = p->good && all;
    if (!all)
        return;
    trace_contributions(p->t, i, all);
    put(p, "<td class=\"contributions\">");
    if (i == p->t->result)
        put(p, "<div id=\"row-seed\">1, the seed</div>");
    for (int k = 0; k < n; k++)
        put_contribution(p, &all[k]);
    put(p, "</td>");
    free(all);
}

static void put_row(page *p, int i)
{
    const trace_node *n = &p->t->nodes[i];
    char text[32];
    fprintf(p->to, "<tr id=\"row-%d\"><th scope=\"row\">%s</th><td><math>", i, n->name);
    if (*n->defined_as) {
        mathml_put_name(p->to, n->defined_as);
        put(p, "<mo>=</mo>");
    }
    put_math(p, n->formula);
    fprintf(p->to, "</math></td><td class=\"number\"><span id=\"cell-value-%d\">", i);
    put_cell(p, n, n->value);
    put(p, "</span></td>");
    for (int k = 0; k < tangent_columns(p); k++)
        fprintf(p->to, "<td class=\"number\"><span id=\"tangent-%d-%d\">%s</span></td>", i, k,
                trace_number(text, n->tangents[k], p->style->digits));
    if (shows_reverse(p)) {
        fprintf(p->to, "<td class=\"number\"><span id=\"cell-adjoint-%d\">", i);
        put_cell(p, n, n->adjoint);
        put(p, "</span></td>");
        put_contributions(p, i);
    }
    put(p, "</tr>\n");
}

static void put_table(page *p)
{
    put(p, "<h2 id=\"table\">Table</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
           "aria-labelledby=\"table\">\n<table>\n");
    put_table_head(p);
    put(p, "<tbody>\n");
    for (int i = 0; i < p->t->n; i++)
        put_row(p, i);
    put(p, "</tbody>\n</table>\n</div>\n");
}

/* In place of the graph and the table of a large trace. */
static void put_summary(page *p)
{
    fprintf(p->to,
            "<p class=\"note\">This trace has %d nodes, more than the %d that a page shows: it is "
            "summarised.</p>\n<figure>\n",
            p->t->n, PICTURE_MOST);
    p->good = picture_put(p->t, p->style, false, p->to) && p->good;
    put(p, "</figure>\n");
}

/* ---- data for the scripts ---- */

static void put_text(const page *p, const char *name, const char *text)
{
    fprintf(p->to, "%s: ", name);
    markup_put_string(p->to, text);
    put(p, ", ");
}

/* MathML made by `make`, as a string of JavaScript: it has '<', and so goes through memory. */
typedef void maker(page *p, const trace_node *n, int k);

static void put_made(page *p, maker *make, const trace_node *n, int k)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = p->to;
    p->to = open_memstream(&text, &size);
    if (p->to) {
        make(p, n, k);
        p->good = fclose(p->to) == 0 && p->good;
    } else {
        p->good = false;
    }
    p->to = to;
    markup_put_string(p->to, text ? text : "");
    free(text);
}

static void make_name(page *p, const trace_node *n, int k)
{
    (void)k;
    mathml_put_name(p->to, n->name);
}

static void make_label(page *p, const trace_node *n, int k)
{
    (void)k;
    mathml_put_name(p->to, n->label);
}

static void make_defined(page *p, const trace_node *n, int k)
{
    (void)k;
    mathml_put_name(p->to, n->defined_as);
}

static void make_formula(page *p, const trace_node *n, int k)
{
    (void)k;
    put_math(p, n->formula);
}

static void make_symbol(page *p, const trace_node *n, int k) { put_factor(p, n->symbols[k]); }

static void put_list(page *p, const char *name, int n, const double *values)
{
    fprintf(p->to, "%s: [", name);
    for (int k = 0; k < n; k++) {
        put(p, k ? ", " : "");
        markup_put_double(p->to, values[k]);
    }
    put(p, "], ");
}

static void put_parents(page *p, const trace_node *n)
{
    put(p, "parents: [");
    for (int k = 0; k < n->n_parents; k++)
        fprintf(p->to, "%s%d", k ? ", " : "", n->parents[k]);
    put(p, "], constants: [");
    for (int k = 0; k < n->n_parents; k++) {
        ad_node_info info;
        const int64_t parent = ad_node_parent(p->t->tape, n->on_tape, k);
        put(p, k ? ", " : "");
        if (n->parents[k] >= 0 || ad_node_at(p->t->tape, parent, &info))
            put(p, "0");
        else
            markup_put_double(p->to, info.value);
    }
    put(p, "], symbols: [");
    for (int k = 0; k < n->n_parents; k++) {
        put(p, k ? ", " : "");
        markup_put_string(p->to, n->symbols[k]);
    }
    put(p, "], factors: [");
    for (int k = 0; k < n->n_parents; k++) {
        put(p, k ? ", " : "");
        put_made(p, make_symbol, n, k);
    }
    put(p, "], ");
}

static void put_tensor_texts(page *p, const trace_node *n)
{
    char text[PICTURE_CELL];
    trace_cell(n, n->value, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
    put_text(p, "value_text", text);
    trace_cell(n, n->adjoint, TRACE_FEW, p->style->digits, text, PICTURE_CELL);
    put_text(p, "adjoint_text", text);
}

/* What an argument's adjoint receives, where the local partials are no numbers. */
static void put_rules(page *p, const trace_node *n)
{
    put(p, "rules: [");
    for (int k = 0; k < n->n_parents; k++) {
        put(p, k ? ", " : "");
        put_made(p, put_rule, n, k);
    }
    put(p, "], ");
}

static void put_node(page *p, const trace_node *n)
{
    put(p, "  {");
    put_text(p, "name", n->name);
    put_text(p, "label", n->label);
    put_text(p, "operation", n->operation);
    put_text(p, "defined", n->defined_as);
    put_text(p, "formula", n->formula);
    put(p, "name_math: ");
    put_made(p, make_name, n, 0);
    put(p, ", label_math: ");
    put_made(p, make_label, n, 0);
    put(p, ", defined_math: ");
    put_made(p, make_defined, n, 0);
    put(p, ", math: ");
    put_made(p, make_formula, n, 0);
    put(p, ", ");
    put_parents(p, n);
    if (p->t->scalars) {
        put_list(p, "partials", n->n_parents, n->partials);
        put_list(p, "tangents", p->t->n_wrt, n->tangents);
        put(p, "value: ");
        markup_put_double(p->to, n->value[0]);
        put(p, ", adjoint: ");
        markup_put_double(p->to, n->adjoint[0]);
        put(p, ", ");
    } else {
        put_tensor_texts(p, n);
    }
    if (!picture_has_partials(n))
        put_rules(p, n);
    fprintf(p->to, "numbered: %s, input: %s},\n", picture_has_partials(n) ? "true" : "false",
            n->is_input ? "true" : "false");
}

static void put_data(page *p)
{
    const trace *t = p->t;
    fprintf(p->to, "const trace = {digits: %d, scalars: %s, result: %d, wrt: [", p->style->digits,
            t->scalars ? "true" : "false", t->result);
    for (int k = 0; k < t->n_wrt; k++)
        fprintf(p->to, "%s%d", k ? ", " : "", t->wrt[k]);
    put(p, "], given: {");
    for (int i = 0; i < t->n && p->computes; i++)
        if (t->nodes[i].is_input) {
            fprintf(p->to, "%d: \"", i);
            put_given(p, t->nodes[i].value[0]);
            put(p, "\", ");
        }
    put(p, "}, nodes: [\n");
    for (int i = 0; i < t->n; i++)
        put_node(p, &t->nodes[i]);
    put(p, "]};\n");
}

static void put_scripts(page *p)
{
    put(p, "<script>\n");
    put_data(p);
    if (p->computes)
        p->good = page_put_operations(p->t, p->to) && p->good;
    markup_put_lines(p->to, page_js);
    put(p, "</script>\n");
}

bool trace_put_html(const trace *t, const trace_style *style, FILE *to)
{
    page p = {t, style, to, page_can_compute(t), true};
    put_head(&p);
    if (picture_is_summary(t)) {
        put_answer(&p);
        put_notes(&p);
        put_summary(&p);
    } else {
        put_inputs(&p);
        put_answer(&p);
        put_notes(&p);
        put_tabs(&p);
        put_figure(&p);
        put_table(&p);
    }
    put(&p, "</main>\n");
    if (!picture_is_summary(t))
        put_scripts(&p);
    put(&p, "</body>\n</html>\n");
    return p.good;
}
