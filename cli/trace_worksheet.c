/* trace_worksheet.c - the tables of a trace with blanks to be filled by hand, and their key */
#include "worksheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "steps.h"
#include "teach.h"

/* ---- variants ---- */

/* SplitMix64: a few numbers, the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool draw_point(const ad_expression *e, uint64_t *state, char point[WORKSHEET_POINT])
{
    static const char *const values[] = {"-2", "-1.5", "-1", "-0.5", "0.5",
                                         "1",  "1.5",  "2",  "2.5",  "3"};
    size_t used = 0;
    for (int i = 0; i < ad_expression_name_count(e); i++) {
        const char *value = values[draw(state) % (sizeof values / sizeof *values)];
        used += (size_t)snprintf(point + used, WORKSHEET_POINT - used, "%s%s=%s", i ? "," : "",
                                 ad_expression_name(e, i), value);
        if (used >= WORKSHEET_POINT)
            return false;
    }
    return true;
}

/* Readable, and no kink hit: a partial of 0 where another is wanted teaches little, but may be. */
static bool is_readable(const trace *t)
{
    if (!steps_have_numbers(t))
        return false;
    for (int i = 0; i < t->n; i++)
        if (fabs(t->nodes[i].value[0]) > 1000 || fabs(t->nodes[i].adjoint[0]) > 1000)
            return false;
    return true;
}

bool worksheet_point(const char *text, uint64_t seed, char point[WORKSHEET_POINT],
                     char wrong[TRACE_WRONG])
{
    enum { TRIES = 2000 };
    ad_parse_error error;
    ad_expression *e = ad_parse(text, &error);
    if (!e)
        return complain_at(wrong, "", text, &error);
    bool good = false, room = true;
    *wrong = 0;
    for (int i = 0; i < TRIES && !good && room; i++) {
        const trace_request request = {.text = text, .at = point};
        room = draw_point(e, &seed, point);
        trace *t = room ? trace_new(&request, wrong) : NULL;
        good = t && is_readable(t);
        room = room && t;
        trace_free(t);
    }
    ad_expression_free(e);
    if (good)
        return true;
    return *wrong  ? false
           : !room ? complain(wrong, "the expression has too many inputs to draw values for")
                   : complain(wrong,
                              "--seed: no values were found at which all of '%s' is finite "
                              "and small; give some with --at",
                              text);
}

/* ---- tables ---- */

enum { BLANK = 10, CELL = 256, MOST_TANGENTS = 6 };

typedef struct sheet {
    const trace *t;
    const trace_style *style;
    bool key;
    FILE *to;
} sheet;

/* A number, or the room for it. */
static const char *answer(const sheet *s, double value, char out[CELL])
{
    char number[32];
    if (!s->key)
        return strcpy(out, "__________");
    snprintf(out, CELL, "%s", trace_number(number, value, s->style->digits));
    return out;
}

static void put_rule(const sheet *s, int width)
{
    for (int i = 0; i < width; i++)
        fputs(s->style->ascii ? "-" : "\xe2\x94\x80", s->to);
    fputc('\n', s->to);
}

static const char *expression_text(const trace_node *n, char out[CELL])
{
    snprintf(out, CELL, *n->defined_as ? "%.60s = %.180s" : "%.0s%.180s", n->defined_as,
             n->formula);
    return out;
}

static int expression_width(const trace *t)
{
    char text[CELL];
    int width = teach_width("expression");
    for (int i = 0; i < t->n; i++) {
        const int one = teach_width(expression_text(&t->nodes[i], text));
        width = one > width ? one : width;
    }
    return width;
}

/* Numbers and blanks stand in columns of this width; keys of many digits need more. */
static int number_width(const sheet *s)
{
    return 2 + (s->key && s->style->digits > 6 ? BLANK + s->style->digits - 6 : BLANK);
}

static void put_forward(const sheet *s, int first, int tangents, const char *title)
{
    const trace *t = s->t;
    const int wide = expression_width(t), number = number_width(s);
    char text[CELL];
    fprintf(s->to, "\n%s\n\nnode  ", title);
    teach_put(s->to, "expression", wide + 2, true);
    teach_put(s->to, "value", number, tangents > 0);
    for (int k = 0; k < tangents; k++) {
        snprintf(text, sizeof text, "d/d%s", t->nodes[t->wrt[first + k]].label);
        teach_put(s->to, text, number, k + 1 < tangents);
    }
    fputc('\n', s->to);
    put_rule(s, 6 + wide + number * (tangents + 1));
    for (int i = 0; i < t->n; i++) {
        const trace_node *n = &t->nodes[i];
        const sheet given = {t, s->style, s->key || n->is_input, s->to};
        teach_put(s->to, n->name, 6, true);
        teach_put(s->to, expression_text(n, text), wide + 2, true);
        teach_put(s->to, answer(&given, n->value[0], text), number, tangents > 0);
        for (int k = 0; k < tangents; k++)
            teach_put(s->to, answer(s, n->tangents[first + k], text), number, k + 1 < tangents);
        fputc('\n', s->to);
    }
}

/* "v4: 1 * cos(x1) = -0.416147", or the blanks in its place. */
static void contribution_text(const sheet *s, const step *c, char out[CELL])
{
    char adjoint[32], value[32], factor[STEP_TEXT];
    if (c->from < 0) {
        strcpy(out, "1, the seed");
        return;
    }
    const trace_node *from = &s->t->nodes[c->from];
    if (s->key)
        snprintf(out, CELL, "%s: %s * %.120s = %s", from->name,
                 trace_number(adjoint, from->adjoint[0], s->style->digits),
                 step_factor(from->symbols[c->k], factor),
                 trace_number(value, c->number, s->style->digits));
    else
        snprintf(out, CELL, "%s: ________ * ____________ = __________", from->name);
}

/* From the last node back: a row for each contribution, the adjoint beside the last of them. */
static void put_reverse(const sheet *s, const steps *all)
{
    static const char head[] = "contribution: adjoint * partial";
    const trace *t = s->t;
    char text[CELL];
    int wide = teach_width(head);
    for (int i = 0; i < all->n; i++)
        if (all->all[i].sweep == SWEEP_REVERSE) {
            contribution_text(s, &all->all[i], text);
            wide = teach_width(text) > wide ? teach_width(text) : wide;
        }
    fputs("\nReverse sweep: adjoints, from the result back\n\nnode  ", s->to);
    teach_put(s->to, head, wide + 2, true);
    fputs("adjoint\n", s->to);
    put_rule(s, 6 + wide + number_width(s));
    for (int node = t->n - 1; node >= 0; node--) {
        int said = 0;
        for (int i = 0; i < all->n; i++) {
            const step *c = &all->all[i];
            if (c->sweep != SWEEP_REVERSE || c->node != node)
                continue;
            contribution_text(s, c, text);
            teach_put(s->to, said++ ? "" : t->nodes[node].name, 6, true);
            teach_put(s->to, text, wide + 2, c->nth == c->of);
            if (c->nth == c->of && c->from < 0)
                fputs("1", s->to);
            else if (c->nth == c->of)
                fputs(answer(s, t->nodes[node].adjoint[0], text), s->to);
            fputc('\n', s->to);
        }
    }
}

/* ---- the sheet ---- */

static void put_head(const sheet *s)
{
    char number[32];
    fprintf(s->to, "%s: f = %s\n", s->key ? "Key" : "Worksheet", s->t->text);
    for (int i = 0, said = 0; i < s->t->n; i++)
        if (s->t->nodes[i].is_input)
            fprintf(s->to, "%s%s = %s", said++ ? ", " : "at ", s->t->nodes[i].label,
                    trace_number(number, s->t->nodes[i].value[0], s->style->digits));
    fputs("\n", s->to);
}

static void put_gradient(const sheet *s)
{
    char number[CELL], text[CELL];
    int column = fprintf(s->to, "\nGradient:") - 1;
    for (int k = 0; k < s->t->n_wrt; k++) {
        const trace_node *x = &s->t->nodes[s->t->wrt[k]];
        snprintf(text, sizeof text, " d/d%.60s = %.100s%s", x->label,
                 answer(s, x->adjoint[0], number), k + 1 < s->t->n_wrt ? "," : "");
        if (column + teach_width(text) > 78)
            column = fprintf(s->to, "\n         ") - 1;
        column += teach_width(text);
        fputs(text, s->to);
    }
    fputc('\n', s->to);
}

/* Tangents of many inputs go into several tables, for a page is only so wide. */
static void put_all_forward(const sheet *s)
{
    const int all = s->style->mode == TRACE_REVERSE ? 0 : s->t->n_wrt;
    const int room = (80 - 6 - expression_width(s->t)) / number_width(s) - 1;
    const int each = room < 1 ? 1 : room > MOST_TANGENTS ? MOST_TANGENTS : room;
    if (!all)
        put_forward(s, 0, 0, "Forward sweep: values");
    for (int first = 0; first < all; first += each)
        put_forward(s, first, all - first < each ? all - first : each,
                    first ? "Forward sweep, continued" : "Forward sweep: values and tangents");
}

static bool put_sheet(const sheet *s)
{
    steps *all = steps_new(s->t, s->style->mode);
    if (!all)
        return false;
    put_head(s);
    put_all_forward(s);
    if (s->style->mode != TRACE_FORWARD)
        put_reverse(s, all);
    put_gradient(s);
    steps_free(all);
    return true;
}

bool trace_put_worksheet(const trace *t, const trace_style *style, FILE *to)
{
    return put_sheet(&(sheet){t, style, false, to});
}

bool trace_put_key(const trace *t, const trace_style *style, FILE *to)
{
    return put_sheet(&(sheet){t, style, true, to});
}
