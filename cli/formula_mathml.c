/* formula_mathml.c - formulas of the language as MathML
 *
 * The text is read by ad_parse. What is written of an operation is a template in which #1q stands
 * for its second argument, in brackets where that binds less than q. Templates that wait for an
 * argument are on a stack of their own, so that no formula is too deep. */
#include "formula_mathml.h"

#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#include "markup.h"

/* How tightly a formula holds together. Letters of the templates: 0 anything, s a sum, t more than
 * that, p a product, q more than that, a what needs no brackets anywhere. */
enum { ANYTHING, COMPARISON, SUM, PRODUCT, FRACTION, POWER, ATOM };

#define PLUS  "<mo>+</mo>"
#define MINUS "<mo>&#x2212;</mo>"
#define TIMES "<mo>&#x22C5;</mo>"
/* Signs that grow with what they enclose have wide margins in some fonts: those that need not do
 * not.
 */
#define BAR(sign, arg)                                                                             \
    "<mrow><mo stretchy=\"false\">" sign "</mo>" arg "<mo stretchy=\"false\">" sign "</mo></mrow>"
#define FRACTION_OF(a, b) "<mfrac><mrow>" a "</mrow><mrow>" b "</mrow></mfrac>"
#define POWER_OF(a, b)    "<msup><mrow>" a "</mrow><mrow>" b "</mrow></msup>"
#define BASE(name, base)  "<msub><mi>" name "</mi><mn>" base "</mn></msub>"

static const struct rule {
    const char *operation;
    int binds;
    const char *template;
} rules[] = {
    {"add", SUM, "#0s" PLUS "#1t"},
    {"sub", SUM, "#0s" MINUS "#1t"},
    {"neg", SUM, MINUS "#0p"},
    {"mul", PRODUCT, "#0p" TIMES "#1q"},
    {"mulz", PRODUCT, "#0p" TIMES "#1q"},
    {"matmul", PRODUCT, "#0p<mspace width=\".25em\"/>#1q"},
    {"div", FRACTION, FRACTION_OF("#00", "#10")},
    {"divz", FRACTION, FRACTION_OF("#00", "#10")},
    {"recip", FRACTION, FRACTION_OF("<mn>1</mn>", "#00")},
    {"rsqrt", FRACTION, FRACTION_OF("<mn>1</mn>", "<msqrt>#00</msqrt>")},
    {"pow", POWER, POWER_OF("#0a", "#10")},
    {"powi", POWER, POWER_OF("#0a", "#10")},
    {"square", POWER, POWER_OF("#0a", "<mn>2</mn>")},
    {"exp", POWER, POWER_OF("<mi>e</mi>", "#00")},
    {"exp2", POWER, POWER_OF("<mn>2</mn>", "#00")},
    {"transpose", POWER, POWER_OF("#0a", "<mo>&#x22A4;</mo>")},
    {"sqrt", ATOM, "<msqrt>#00</msqrt>"},
    {"cbrt", ATOM, "<mroot><mrow>#00</mrow><mn>3</mn></mroot>"},
    {"abs", ATOM, BAR("|", "#00")},
    {"norm", ATOM, BAR("&#x2016;", "#00")},
    {"less", COMPARISON, "#0s<mo>&lt;</mo>#1s"},
    {"less_equal", COMPARISON, "#0s<mo>&#x2264;</mo>#1s"},
    {"greater", COMPARISON, "#0s<mo>&gt;</mo>#1s"},
    {"greater_equal", COMPARISON, "#0s<mo>&#x2265;</mo>#1s"},
    {"equal", COMPARISON, "#0s<mo>=</mo>#1s"},
    {"not_equal", COMPARISON, "#0s<mo>&#x2260;</mo>#1s"},
};

/* Functions that mathematics calls otherwise. */
static const char *const names[][2] = {
    {"log", "<mi>ln</mi>"}, {"log2", BASE("log", "2")}, {"log10", BASE("log", "10")}};

static const struct rule *rule_of(const char *operation)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].operation, operation) == 0)
            return &rules[i];
    return NULL;
}

static int level(char letter)
{
    return letter == 's'   ? SUM
           : letter == 't' ? SUM + 1
           : letter == 'p' ? PRODUCT
           : letter == 'q' ? PRODUCT + 1
           : letter == 'a' ? ATOM
                           : ANYTHING;
}

/* ---- names and numbers ---- */

static void put_some(FILE *to, const char *text, size_t n)
{
    char part[64];
    n = n < sizeof part ? n : sizeof part - 1;
    memcpy(part, text, n);
    part[n] = 0;
    markup_put(to, part);
}

/* Where the index begins: behind an underscore, or at the digits of the end. */
static size_t index_at(const char *name)
{
    const char *underscore = strchr(name, '_');
    if (underscore && underscore > name && underscore[1])
        return (size_t)(underscore - name);
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    return n;
}

/* `bar`: over the letter, before its index. */
static void put_letters(FILE *to, const char *name, bool bar)
{
    const size_t n = index_at(name);
    fputs(name[n] ? "<msub>" : "", to);
    fputs(bar ? "<mover accent=\"true\"><mi>" : "<mi>", to);
    if (strcmp(name, "pi") == 0)
        fputs("&#x3C0;", to);
    else
        put_some(to, name, n);
    fputs(bar ? "</mi><mo stretchy=\"false\">&#xAF;</mo></mover>" : "</mi>", to);
    if (!name[n])
        return;
    fputs("<mi mathvariant=\"normal\">", to);
    markup_put(to, name + n + (name[n] == '_'));
    fputs("</mi></msub>", to);
}

static const char ADJOINT[] = "adjoint_of_"; /* how the adjoint of a node is read, see readable() */

void mathml_put_name(FILE *to, const char *name)
{
    const bool bar = strncmp(name, ADJOINT, sizeof ADJOINT - 1) == 0;
    fputs(bar ? "<mrow>" : "<mrow data-name=\"", to);
    if (!bar)
        markup_put(to, name);
    fputs(bar ? "" : "\">", to);
    put_letters(to, bar ? name + sizeof ADJOINT - 1 : name, bar);
    fputs("</mrow>", to);
}

/* With as few digits as tell it from other numbers. */
static void put_number(FILE *to, double number)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) - number == 0)
            break;
    }
    char *power = strchr(text, 'e');
    if (power)
        *power++ = 0;
    const bool negative = *text == '-';
    fprintf(to, negative ? "<mrow>" MINUS "<mn>%s</mn>" : "<mrow><mn>%s</mn>", text + negative);
    if (power)
        fprintf(to, TIMES "<msup><mn>10</mn><mn>%d</mn></msup>", atoi(power));
    fputs("</mrow>", to);
}

/* ---- the writer ---- */

typedef struct frame {
    int64_t node;
    const char *rest; /* of its template; NULL: a call or an array, child by child */
    int next;         /* child */
    bool brackets;
} frame;

typedef struct writer {
    FILE *to;
    const ad_expression *e;
    frame *stack;
    size_t n, capacity;
    bool tall; /* it has fractions or matrices: brackets grow */
} writer;

static void put_bracket(const writer *w, const char *bracket)
{
    fprintf(w->to, w->tall ? "<mo>%s</mo>" : "<mo stretchy=\"false\">%s</mo>", bracket);
}

static bool is_tall(const ad_expression *e)
{
    for (int64_t i = 0; i < ad_expression_node_count(e); i++) {
        ad_expression_node n;
        if (ad_expression_node_at(e, i, &n))
            continue;
        const struct rule *rule = n.kind == AD_EXPRESSION_CALL ? rule_of(n.name) : NULL;
        if (n.rows > 0 || (rule && rule->binds == FRACTION))
            return true;
    }
    return false;
}

static void put_function(const writer *w, const char *name)
{
    const char *called = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], name) == 0)
            called = names[i][1];
    if (called)
        fputs(called, w->to);
    else
        fprintf(w->to, "<mi>%s</mi>", name);
    fputs("<mo>&#x2061;</mo><mrow>", w->to);
    put_bracket(w, "(");
}

static bool push(writer *w, frame f)
{
    if (w->n == w->capacity) {
        const size_t more = w->capacity ? 2 * w->capacity : 32;
        frame *bigger = realloc(w->stack, more * sizeof *bigger);
        if (!bigger)
            return false;
        w->stack = bigger;
        w->capacity = more;
    }
    w->stack[w->n++] = f;
    return true;
}

static int binding(const ad_expression_node *n)
{
    if (n->kind == AD_EXPRESSION_NUMBER)
        return n->number < 0 ? SUM : ATOM;
    const struct rule *rule = n->kind == AD_EXPRESSION_CALL ? rule_of(n->name) : NULL;
    return rule ? rule->binds : ATOM;
}

static bool end(writer *w, bool brackets)
{
    if (brackets)
        put_bracket(w, ")");
    fputs("</mrow>", w->to);
    return true;
}

/* Writes a leaf, or begins an operation. A name stands for what a definition says, except where
 * that is written itself. */
static bool begin(writer *w, int64_t node, int needed, bool itself)
{
    ad_expression_node n;
    if (ad_expression_node_at(w->e, node, &n))
        return true;
    if (*n.defined_as && !itself)
        return mathml_put_name(w->to, n.defined_as), true;
    if (n.kind == AD_EXPRESSION_NAME)
        return mathml_put_name(w->to, n.name), true;
    const struct rule *rule = n.kind == AD_EXPRESSION_CALL ? rule_of(n.name) : NULL;
    const bool brackets = binding(&n) < needed;
    fputs("<mrow>", w->to);
    if (brackets)
        put_bracket(w, "(");
    if (n.kind == AD_EXPRESSION_NUMBER)
        put_number(w->to, n.number);
    if (n.kind == AD_EXPRESSION_CALL && !rule)
        put_function(w, n.name);
    if (n.kind == AD_EXPRESSION_ARRAY)
        put_bracket(w, "[");
    if (n.kind == AD_EXPRESSION_ARRAY && n.rows)
        fputs("<mtable><mtr><mtd>", w->to);
    if (n.kind != AD_EXPRESSION_NUMBER)
        return push(w, (frame){node, rule ? rule->template : NULL, 0, brackets});
    return end(w, brackets);
}

/* Up to the next argument of a template. */
static bool go_on_in_template(writer *w, frame *f)
{
    const size_t n = strcspn(f->rest, "#");
    /* "&#x" begins a sign: no argument */
    if (f->rest[n] && n && f->rest[n - 1] == '&') {
        fwrite(f->rest, 1, n + 1, w->to);
        f->rest += n + 1;
        return true;
    }
    fwrite(f->rest, 1, n, w->to);
    if (!f->rest[n])
        return end(w, w->stack[--w->n].brackets);
    const int argument = f->rest[n + 1] - '0', needed = level(f->rest[n + 2]);
    f->rest += n + 3;
    return begin(w, ad_expression_child(w->e, f->node, argument), needed, false);
}

/* The next child of a call or an array, with what stands between two. */
static bool go_on_in_list(writer *w, frame *f)
{
    ad_expression_node n;
    ad_expression_node_at(w->e, f->node, &n);
    const int columns = n.kind == AD_EXPRESSION_ARRAY && n.rows ? n.n_children / n.rows : 0;
    if (f->next == n.n_children) {
        fputs(columns ? "</mtd></mtr></mtable>" : "", w->to);
        put_bracket(w, n.kind == AD_EXPRESSION_CALL ? ")" : "]");
        fputs(n.kind == AD_EXPRESSION_CALL ? "</mrow>" : "", w->to);
        return end(w, w->stack[--w->n].brackets);
    }
    if (f->next)
        fputs(!columns                 ? "<mo>,</mo>"
              : f->next % columns == 0 ? "</mtd></mtr><mtr><mtd>"
                                       : "</mtd><mtd>",
              w->to);
    return begin(w, ad_expression_child(w->e, f->node, f->next++), ANYTHING, false);
}

static bool finish(writer *w)
{
    bool good = true;
    while (good && w->n) {
        frame *f = &w->stack[w->n - 1];
        good = f->rest ? go_on_in_template(w, f) : go_on_in_list(w, f);
    }
    return good;
}

static void separate(writer *w, bool first)
{
    if (!first)
        fputs("</math>; <math>", w->to);
}

/* The definitions, then the result, which may be one of them. */
static bool put_statements(writer *w)
{
    const int64_t result = ad_expression_result(w->e);
    int64_t last = -1;
    for (int64_t i = 0; i < ad_expression_node_count(w->e); i++) {
        ad_expression_node n;
        if (ad_expression_node_at(w->e, i, &n) || !*n.defined_as)
            continue;
        separate(w, last < 0);
        mathml_put_name(w->to, n.defined_as);
        fputs("<mo>=</mo>", w->to);
        if (!begin(w, i, ANYTHING, true) || !finish(w))
            return false;
        last = i;
    }
    if (last >= 0 && last == result)
        return true;
    separate(w, last < 0);
    const bool good = begin(w, result, ANYTHING, false);
    return good && finish(w);
}

/* Rules of tensors say adjoint(v3), which is no function of the language: adjoint_of_v3 is a name.
 * To be freed. */
static char *readable(const char *text)
{
    char *out = malloc(2 * strlen(text) + 1), *to = out;
    while (out && *text) {
        const char *close = strncmp(text, "adjoint(", 8) == 0 ? strchr(text, ')') : NULL;
        if (!close) {
            *to++ = *text++;
            continue;
        }
        to += sprintf(to, "%s%.*s", ADJOINT, (int)(close - text - 8), text + 8);
        text = close + 1;
    }
    if (out)
        *to = 0;
    return out;
}

static bool put_text(FILE *to, const char *text, bool as_factor)
{
    writer w = {.to = to};
    char *formula = readable(text);
    ad_expression *e = formula ? ad_parse(formula, NULL) : NULL;
    bool good = formula != NULL;
    w.e = e;
    w.tall = is_tall(e);
    if (e && as_factor) {
        good = begin(&w, ad_expression_result(e), PRODUCT, true) && finish(&w);
    } else if (e) {
        good = put_statements(&w);
    } else if (good) {
        fputs("<mtext>", to);
        markup_put(to, text);
        fputs("</mtext>", to);
    }
    free(w.stack);
    free(formula);
    ad_expression_free(e);
    return good;
}

bool mathml_put(FILE *to, const char *text) { return put_text(to, text, false); }

bool mathml_put_factor(FILE *to, const char *text) { return put_text(to, text, true); }
