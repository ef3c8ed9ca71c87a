/* formula_latex.c - expressions as LaTeX writes them: fractions, powers, roots, cases, matrices
 *
 * A row of the table says how an operation is written; one without a row is written as a call of
 * its name, so that no operation of the library is unknown here. The tree is walked with a stack of
 * what is still to be written: no text can make it run out of the program's own. */
#include "formula_latex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#define ADJOINT "\xee\x80\x80" /* U+E000, private use: before the name of a node */

/* ---- how operations are written ---- */

enum {
    CASES = 5,
    COMPARISON = 10,
    SUM = 20,
    NEGATIVE = 25, /* stands in front of a product without brackets, and behind none */
    PRODUCT = 30,
    FRACTION = 40, /* bound by its line, but no base of a power */
    CALL = 50,
    POWER = 55,
    ATOM = LATEX_BASE
};

/* In a form #1 is the first argument, held together as `least` says, @ all of them in brackets, *
 * a product's sign where one is needed, and ? "is not 0" where that is not said by a comparison. */
typedef struct row {
    const char *operation;
    int power;
    const char *form;
    int least[3];
    bool tall; /* more than a line high: brackets grow */
} row;

#define F(name) "\\operatorname{" name "}@"
static const row rows[] = {
    {"add", SUM, "#1 + #2", {SUM, PRODUCT, 0}, false},
    {"sub", SUM, "#1 - #2", {SUM, PRODUCT, 0}, false},
    {"mul", PRODUCT, "#1*#2", {NEGATIVE, PRODUCT + 1, 0}, false},
    {"mulz", PRODUCT, "#1*#2", {NEGATIVE, PRODUCT + 1, 0}, false},
    {"div", FRACTION, "\\frac{#1}{#2}", {0}, true},
    {"divz", FRACTION, "\\frac{#1}{#2}", {0}, true},
    {"neg", NEGATIVE, "-#1", {PRODUCT}, false},
    {"abs", ATOM, "\\left|#1\\right|", {0}, false},
    {"sign", CALL, F("sign"), {0}, false},
    {"square", POWER, "#1^{2}", {ATOM}, false},
    {"pow", POWER, "#1^{#2}", {ATOM}, false},
    {"powi", POWER, "#1^{#2}", {ATOM}, false},
    {"pow_slope", PRODUCT, "#2*#1^{#2 - 1}", {ATOM, PRODUCT, 0}, false},
    {"recip", FRACTION, "\\frac{1}{#1}", {0}, true},
    {"sqrt", ATOM, "\\sqrt{#1}", {0}, false},
    {"rsqrt", FRACTION, "\\frac{1}{\\sqrt{#1}}", {0}, true},
    {"cbrt", ATOM, "\\sqrt[3]{#1}", {0}, false},
    {"direction", FRACTION, "\\frac{#1}{#3}", {0}, true},
    {"hypot", ATOM, "\\sqrt{#1^{2} + #2^{2}}", {ATOM, ATOM, 0}, false},
    {"exp", POWER, "e^{#1}", {0}, false},
    {"exp2", POWER, "2^{#1}", {0}, false},
    {"expm1", SUM, "e^{#1} - 1", {0}, false},
    {"log", CALL, "\\ln@", {0}, false},
    {"log2", CALL, "\\log_{2}@", {0}, false},
    {"log10", CALL, "\\log_{10}@", {0}, false},
    {"log1p", CALL, "\\ln\\!\\left(1 + #1\\right)", {PRODUCT}, false},
    {"log1mexp", CALL, "\\ln\\!\\left(1 - e^{#1}\\right)", {0}, false},
    {"logaddexp", CALL, "\\ln\\!\\left(e^{#1} + e^{#2}\\right)", {0}, false},
    {"xlogy", PRODUCT, "#1\\,\\ln\\!\\left(#2\\right)", {NEGATIVE, 0, 0}, false},
    {"sin", CALL, "\\sin@", {0}, false},
    {"cos", CALL, "\\cos@", {0}, false},
    {"tan", CALL, "\\tan@", {0}, false},
    {"asin", CALL, "\\arcsin@", {0}, false},
    {"acos", CALL, "\\arccos@", {0}, false},
    {"atan", CALL, "\\arctan@", {0}, false},
    {"sinh", CALL, "\\sinh@", {0}, false},
    {"cosh", CALL, "\\cosh@", {0}, false},
    {"tanh", CALL, "\\tanh@", {0}, false},
    {"sech2", CALL, "\\operatorname{sech}^{2}@", {0}, false},
    {"asinh", CALL, F("arsinh"), {0}, false},
    {"acosh", CALL, F("arcosh"), {0}, false},
    {"atanh", CALL, F("artanh"), {0}, false},
    {"erfinv", CALL, "\\operatorname{erf}^{-1}@", {0}, false},
    {"lgamma", CALL, "\\ln\\left|\\Gamma@\\right|", {0}, false},
    {"digamma", CALL, "\\psi@", {0}, false},
    {"polygamma", CALL, "\\psi^{(#1)}\\!\\left(#2\\right)", {0}, false},
    {"normpdf", CALL, "\\varphi@", {0}, false},
    {"normcdf", CALL, "\\Phi@", {0}, false},
    {"sigmoid", CALL, "\\sigma@", {0}, false},
    {"log_sigmoid", CALL, "\\ln\\sigma@", {0}, false},
    {"relu", CALL, F("ReLU"), {0}, false},
    {"floor", ATOM, "\\left\\lfloor #1\\right\\rfloor", {0}, false},
    {"ceil", ATOM, "\\left\\lceil #1\\right\\rceil", {0}, false},
    {"min", CALL, "\\min@", {0}, false},
    {"max", CALL, "\\max@", {0}, false},
    {"less", COMPARISON, "#1 < #2", {SUM, SUM, 0}, false},
    {"less_equal", COMPARISON, "#1 \\le #2", {SUM, SUM, 0}, false},
    {"greater", COMPARISON, "#1 > #2", {SUM, SUM, 0}, false},
    {"greater_equal", COMPARISON, "#1 \\ge #2", {SUM, SUM, 0}, false},
    {"equal", COMPARISON, "#1 = #2", {SUM, SUM, 0}, false},
    {"not_equal", COMPARISON, "#1 \\ne #2", {SUM, SUM, 0}, false},
    {"where",
     CASES,
     "\\begin{cases} #2 & \\text{where }#1? \\\\ #3 & \\text{else} \\end{cases}",
     {COMPARISON, COMPARISON, COMPARISON},
     true},
    {"fma", SUM, "#1 \\cdot #2 + #3", {NEGATIVE, PRODUCT + 1, PRODUCT}, false},
    {"matmul", PRODUCT, "#1\\,#2", {NEGATIVE, PRODUCT + 1, 0}, false},
    {"dot", ATOM, "\\left\\langle #1,\\, #2\\right\\rangle", {0}, false},
    {"outer", PRODUCT, "#1 \\otimes #2", {NEGATIVE, PRODUCT + 1, 0}, false},
    {"transpose", POWER, "#1^{\\top}", {ATOM}, false},
    {"trace", CALL, F("tr"), {0}, false},
    {"norm", ATOM, "\\left\\lVert #1\\right\\rVert", {0}, false},
};
#undef F

static const row *row_of(const char *operation)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].operation, operation) == 0)
            return &rows[i];
    return NULL;
}

/* ---- writing ---- */

/* What is still to be written: a text, or a node. */
typedef struct piece {
    const char *text;
    size_t length;
    int64_t node;
    int least;
} piece;

/* How high a node is: more than a line; so many groups within each other. */
typedef struct extent {
    bool tall;
    int groups;
} extent;

typedef struct writer {
    ad_expression *e;
    extent *extents; /* of each node */
    piece *stack;    /* the next one is the last */
    size_t n, capacity;
    bool failed;
    FILE *to;
} writer;

static void push(writer *w, piece p)
{
    if (w->n == w->capacity) {
        const size_t more = w->capacity ? 2 * w->capacity : 64;
        piece *bigger = realloc(w->stack, more * sizeof *bigger);
        if (!bigger) {
            w->failed = true;
            return;
        }
        w->stack = bigger;
        w->capacity = more;
    }
    w->stack[w->n++] = p;
}

static void push_text(writer *w, const char *text, size_t length)
{
    push(w, (piece){.text = text, .length = length});
}

static void push_string(writer *w, const char *text) { push_text(w, text, strlen(text)); }

static void push_child(writer *w, int64_t node, int k, int least)
{
    push(w, (piece){.node = ad_expression_child(w->e, node, k), .least = least});
}

static ad_expression_node node_at(const ad_expression *e, int64_t i)
{
    ad_expression_node n = {.name = "", .defined_as = ""};
    ad_expression_node_at(e, i, &n);
    return n;
}

static bool is_named(const ad_expression_node *n)
{
    return n->kind == AD_EXPRESSION_NAME || *n->defined_as;
}

static int power_of(const ad_expression_node *n)
{
    const row *r = n->kind == AD_EXPRESSION_CALL ? row_of(n->name) : NULL;
    return n->kind != AD_EXPRESSION_CALL ? ATOM : r ? r->power : CALL;
}

/* Of a node as a child: a name hides what it stands for. */
static extent extent_of(const writer *w, int64_t node)
{
    const ad_expression_node n = node_at(w->e, node);
    static const extent none = {0};
    return is_named(&n) ? none : w->extents[node];
}

static void find_extents(writer *w)
{
    for (int64_t i = 0; i < ad_expression_node_count(w->e); i++) {
        const ad_expression_node n = node_at(w->e, i);
        const row *r = n.kind == AD_EXPRESSION_CALL ? row_of(n.name) : NULL;
        extent all = {.tall = n.rows || (r && r->tall)};
        for (int k = 0; k < n.n_children; k++) {
            const extent child = extent_of(w, ad_expression_child(w->e, i, k));
            all.tall = all.tall || child.tall;
            all.groups = child.groups > all.groups ? child.groups : all.groups;
        }
        all.groups += all.tall || !r || strchr(r->form, '{') || strstr(r->form, "\\left");
        w->extents[i] = all;
    }
}

/* TeX has no more than 255 groups within each other, and brackets around fractions within fractions
 * double in height: nobody could read it. */
static bool is_too_deep(const writer *w)
{
    enum { DEEPEST = 12 };
    for (int64_t i = 0; i < ad_expression_node_count(w->e); i++)
        if (w->extents[i].groups > DEEPEST)
            return true;
    return false;
}

/* All arguments in brackets. */
static void push_arguments(writer *w, int64_t node, const ad_expression_node *n)
{
    push_string(w, w->extents[node].tall ? "\\!\\left(" : "(");
    for (int k = 0; k < n->n_children; k++) {
        if (k)
            push_string(w, ", ");
        push_child(w, node, k, LATEX_WHOLE);
    }
    push_string(w, w->extents[node].tall ? "\\right)" : ")");
}

/* May the second factor stand right behind the first? Not where two numbers, a number and a
 * fraction, or a name and a bracket would meet and be read as something else. */
static bool stands_beside(const writer *w, int64_t first, int64_t second)
{
    const ad_expression_node a = node_at(w->e, first), b = node_at(w->e, second);
    if (is_named(&b))
        return true;
    if (power_of(&b) <= PRODUCT)
        return a.kind == AD_EXPRESSION_NUMBER && !is_named(&a);
    if (b.kind == AD_EXPRESSION_CALL && power_of(&b) == POWER && row_of(b.name)->form[0] == '#') {
        const ad_expression_node base = node_at(w->e, ad_expression_child(w->e, second, 0));
        return is_named(&base);
    }
    return b.kind == AD_EXPRESSION_CALL &&
           (power_of(&b) == CALL || strcmp(b.name, "exp") == 0 || strcmp(b.name, "sqrt") == 0);
}

static void push_form(writer *w, int64_t node, const ad_expression_node *n, const row *r)
{
    const char *c = r->form;
    while (*c) {
        const size_t plain = strcspn(c, "#@*?");
        push_text(w, c, plain);
        c += plain;
        if (*c == '#') {
            push_child(w, node, c[1] - '1', r->least[c[1] - '1']);
            c++;
        } else if (*c == '@') {
            push_arguments(w, node, n);
        } else if (*c == '*') {
            push_string(w, stands_beside(w, ad_expression_child(w->e, node, 0),
                                         ad_expression_child(w->e, node, 1))
                               ? "\\,"
                               : " \\cdot ");
        } else if (*c == '?') {
            const ad_expression_node a = node_at(w->e, ad_expression_child(w->e, node, 0));
            push_string(w, power_of(&a) == COMPARISON && !is_named(&a) ? "" : " \\ne 0");
        }
        c += *c != 0;
    }
}

static void push_array(writer *w, int64_t node, const ad_expression_node *n)
{
    const int columns = n->rows ? n->n_children / n->rows : n->n_children;
    if (n->rows)
        fprintf(w->to, "\\left[\\begin{array}{*{%d}{c}} ", columns);
    else
        fputc('[', w->to);
    for (int k = 0; k < n->n_children; k++) {
        if (k)
            push_string(w, !n->rows ? ",\\, " : k % columns ? " & " : " \\\\ ");
        push_child(w, node, k, LATEX_WHOLE);
    }
    push_string(w, n->rows ? " \\end{array}\\right]" : "]");
}

/* What was pushed since `from` comes off the stack in the order in which it was pushed. */
static void turn(writer *w, size_t from)
{
    for (size_t i = from, j = w->n; j && i < --j; i++) {
        const piece p = w->stack[i];
        w->stack[i] = w->stack[j];
        w->stack[j] = p;
    }
}

static void write_inside(writer *w, int64_t node, int least)
{
    const ad_expression_node n = node_at(w->e, node);
    if (n.kind == AD_EXPRESSION_NUMBER) {
        latex_put_number(n.number, 0, least, w->to);
        return;
    }
    if (n.kind == AD_EXPRESSION_NAME) {
        const bool bar = strncmp(n.name, ADJOINT, strlen(ADJOINT)) == 0;
        latex_put_name(n.name + (bar ? strlen(ADJOINT) : 0), bar ? "\\bar" : NULL, w->to);
        return;
    }
    const row *r = n.kind == AD_EXPRESSION_CALL ? row_of(n.name) : NULL;
    const size_t from = w->n;
    const bool bracket = power_of(&n) < least, mask = power_of(&n) == COMPARISON;
    if (bracket)
        fputs(mask ? "[" : w->extents[node].tall ? "\\left(" : "(", w->to);
    if (n.kind == AD_EXPRESSION_ARRAY) {
        push_array(w, node, &n);
    } else if (r) {
        push_form(w, node, &n, r);
    } else {
        fputs("\\operatorname{", w->to);
        latex_put_words(n.name, w->to);
        fputc('}', w->to);
        push_arguments(w, node, &n);
    }
    if (bracket)
        push_string(w, mask ? "]" : w->extents[node].tall ? "\\right)" : ")");
    turn(w, from);
}

/* A node by its name, if a definition gives it one. */
static void write_piece(writer *w, piece p)
{
    const ad_expression_node n = node_at(w->e, p.node);
    if (p.text)
        fwrite(p.text, 1, p.length, w->to);
    else if (*n.defined_as)
        latex_put_name(n.defined_as, NULL, w->to);
    else
        write_inside(w, p.node, p.least);
}

static void write_all(writer *w)
{
    while (w->n && !w->failed)
        write_piece(w, w->stack[--w->n]);
}

/* Definitions, and the last value. */
static void write_statements(writer *w, int least)
{
    const int64_t result = ad_expression_result(w->e);
    int64_t last = -1;
    for (int64_t i = 0; i < ad_expression_node_count(w->e) && !w->failed; i++) {
        const ad_expression_node n = node_at(w->e, i);
        if (!*n.defined_as)
            continue;
        fputs(last < 0 ? "" : ",\\quad ", w->to);
        latex_put_name(n.defined_as, NULL, w->to);
        fputs(" = ", w->to);
        write_inside(w, i, LATEX_WHOLE);
        write_all(w);
        last = i;
    }
    if (w->failed || last == result)
        return;
    fputs(last < 0 ? "" : ",\\quad ", w->to);
    write_piece(w, (piece){.node = result, .least = least});
    write_all(w);
}

/* ---- texts ---- */

/* adjoint(v3) is no operation: it becomes a name with a mark, which is written with a bar. */
static char *with_adjoints(const char *text)
{
    static const char call[] = "adjoint(";
    char *out = malloc(strlen(text) + 1), *to = out;
    while (out && *text) {
        const bool begins = strncmp(text, call, strlen(call)) == 0;
        const char *end = begins ? strchr(text, ')') : NULL;
        if (!end) {
            *to++ = *text++;
            continue;
        }
        to +=
            sprintf(to, ADJOINT "%.*s", (int)(end - text - (int)strlen(call)), text + strlen(call));
        text = end + 1;
    }
    if (out)
        *to = 0;
    return out;
}

/* Words, with adjoints among them. Changes the text. */
static void put_sentence(char *text, FILE *to)
{
    fputs("\\text{", to);
    for (char *mark; (mark = strstr(text, ADJOINT));) {
        *mark = 0;
        latex_put_words(text, to);
        char *name = mark + strlen(ADJOINT), *end = name + strcspn(name, " ,;()[]*/+-^@=");
        const char after = *end;
        *end = 0;
        fputc('$', to);
        latex_put_name(name, "\\bar", to);
        fputc('$', to);
        *end = after;
        text = end;
    }
    latex_put_words(text, to);
    fputc('}', to);
}

bool latex_put_formula(const char *given, int least, FILE *to)
{
    ad_parse_error error;
    char *text = with_adjoints(given);
    writer w = {.e = text ? ad_parse(text, &error) : NULL, .to = to};
    w.extents = calloc((size_t)ad_expression_node_count(w.e) + 1, sizeof *w.extents);
    w.failed = !text || !w.extents || (!w.e && strcmp(error.text, "out of memory") == 0);
    if (!w.failed)
        find_extents(&w);
    if (!w.failed && w.e && !is_too_deep(&w))
        write_statements(&w, least);
    else if (!w.failed)
        put_sentence(text, to);
    ad_expression_free(w.e);
    free(w.stack);
    free(w.extents);
    free(text);
    return !w.failed;
}
