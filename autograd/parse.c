/* parse.c - reads a text as an expression, or says what is wrong with it
 *
 *     text        = {definition BREAK} statement [BREAK]      the last value is the result
 *     definition  = name "=" expression
 *     statement   = definition | expression
 *     expression  = a Pratt parser's, by binding power:
 *         10   == != < <= > >=    one of them, not in a row
 *         20   + -                from the left
 *         30   * / @              from the left
 *         40   - +                before an operand: -x^2 is -(x^2)
 *         50   ^                  from the right
 *     operand     = number | name | name "(" [expression {"," expression}] ")"
 *                 | "(" expression ")" | "[" row {";" row} "]"
 *     row         = expression {"," expression}
 *
 * Within brackets the end of a line is a blank; elsewhere it ends a statement. Nesting is counted,
 * so that no text makes the parser run out of stack. */
#define AD_PLAIN
#include "algebra.h"
#include "expression.h"
#include "token.h"
#include <stdarg.h>
#include <string.h>

enum { DEEPEST = 200, COMPARISON = 10, PREFIX = 40, POWER = 50 };
#define LARGEST_INTEGER 9007199254740992. /* up to which doubles are all of them: 2^53 */

typedef struct parser {
    const char *text;
    token now, before;
    int depth, brackets; /* nesting of expressions; open brackets */
    ad_expression *e;
    int64_t *stack; /* arguments and elements that wait for their call or array */
    int64_t n, capacity;
    ad_parse_error *error;
    bool defined; /* the last statement was a definition */
    bool failed;
} parser;

/* ---- errors ---- */

static bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* Line and column of byte `to`, from those of byte `from`. */
static void walk(const char *text, int64_t from, int64_t to, int *line, int *column)
{
    for (; from < to; from++) {
        if (text[from] == '\n') {
            ++*line;
            *column = 1;
        } else if (!continues(text[from])) {
            ++*column;
        }
    }
}

/* Keeps the first; gives -1, no node. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
static int64_t
wrong(parser *p, int64_t at, int64_t length, const char *format, ...)
{
    if (p->failed)
        return -1;
    p->failed = true;
    va_list arguments;
    va_start(arguments, format);
    *p->error = (ad_parse_error){.at = at, .length = length, .line = 1, .column = 1};
    vsnprintf(p->error->text, sizeof p->error->text, format, arguments);
    va_end(arguments);
    walk(p->text, 0, at, &p->error->line, &p->error->column);
    return -1;
}

static int64_t out_of_memory(parser *p) { return wrong(p, p->now.at, 0, "out of memory"); }

/* As much of a token as a message has room for, without half a letter. */
static int shown(const parser *p, const token *t)
{
    int64_t n = t->length < 32 ? t->length : 32;
    while (n > 0 && n < t->length && continues(p->text[t->at + n]))
        n--;
    return (int)n;
}

#define SHOWN(p, t) shown(p, &(t)), (p)->text + (t).at

/* What other languages write, and what it is here; NULL: nothing is known. */
static const char *here_for(const char *s)
{
    static const char *const pairs[][2] = {{"**", "^ for a power"},
                                           {"&&", "a product of comparisons"},
                                           {"||", "max(a, b) of comparisons"},
                                           {"|", "abs(x)"},
                                           {"%", "fmod(a, b)"},
                                           {"!", "exp(lgamma(n + 1)) for a factorial"},
                                           {"\xe2\x80\x90", "-"}, /* hyphens */
                                           {"\xe2\x80\x91", "-"},
                                           {"\xe2\x80\x93", "-"}, /* dashes */
                                           {"\xe2\x80\x94", "-"},
                                           {"\xc2\xb2", "^2"},
                                           {"\xc2\xb3", "^3"},
                                           {"\xe2\x88\x9a", "sqrt(x)"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strncmp(s, pairs[i][0], strlen(pairs[i][0])) == 0)
            return pairs[i][1];
    return NULL;
}

static int64_t unexpected(parser *p, const char *wanted)
{
    const token t = p->now;
    const char *here = t.kind == TOKEN_WRONG ? here_for(p->text + t.at) : NULL;
    if (t.kind == SIGN('='))
        return wrong(p, t.at, t.length, "'=' defines a name at the beginning; to compare write ==");
    if (here)
        return wrong(p, t.at, t.length, "'%.*s': write %s", SHOWN(p, t), here);
    return wrong(p, t.at, t.length, "'%.*s' where %s was expected", SHOWN(p, t), wanted);
}

/* ---- tokens ---- */

static void advance(parser *p)
{
    const token before = p->before = p->now;
    do
        p->now = token_at(p->text, p->now.at + p->now.length);
    while (p->brackets && p->now.kind == TOKEN_BREAK && p->now.newline);
    p->now.line = before.line;
    p->now.column = before.column;
    walk(p->text, before.at, p->now.at, &p->now.line, &p->now.column);
}

static bool take(parser *p, int kind)
{
    if (p->now.kind != kind)
        return false;
    advance(p);
    return true;
}

/* A node's place: from a token on, to the last one that was taken. */
static int64_t span(parser *p, int64_t node, const token *from)
{
    if (node < 0)
        return out_of_memory(p);
    expr_node *n = &p->e->nodes[node];
    n->at = from->at;
    n->length = p->before.at + p->before.length - from->at;
    n->line = from->line;
    n->column = from->column;
    return node;
}

/* ---- what waits ---- */

static bool push(parser *p, int64_t node)
{
    if (p->n == p->capacity) {
        const int64_t more = p->capacity ? 2 * p->capacity : 16;
        int64_t *stack = memory_take(context_or_default(NULL), (size_t)more * sizeof *stack);
        if (!stack)
            return out_of_memory(p) >= 0;
        if (p->n)
            memcpy(stack, p->stack, (size_t)p->n * sizeof *stack);
        memory_give(context_or_default(NULL), p->stack, (size_t)p->capacity * sizeof *stack);
        p->stack = stack;
        p->capacity = more;
    }
    p->stack[p->n++] = node;
    return true;
}

static int64_t expression(parser *p, int power);

/* One after the other onto the stack: how many; -1: an error. */
static int64_t elements(parser *p)
{
    const int64_t before = p->n;
    do {
        const int64_t node = expression(p, 0);
        if (node < 0 || !push(p, node))
            return -1;
    } while (take(p, SIGN(',')));
    return p->n - before;
}

static bool close(parser *p, char bracket, const token *opened, const char *wanted)
{
    p->brackets--;
    if (take(p, SIGN(bracket)))
        return true;
    p->brackets++;
    if (p->now.kind == TOKEN_END)
        wrong(p, opened->at, 1, "'%c' is not closed: '%c' is missing", p->text[opened->at],
              bracket);
    else
        unexpected(p, wanted);
    return false;
}

static void open(parser *p)
{
    p->brackets++;
    advance(p);
}

/* ---- operands ---- */

static int64_t unknown_function(parser *p, const token *name)
{
    char word[64] = "";
    const char *best = NULL;
    if (name->length > 1 && name->length < (int64_t)sizeof word) {
        memcpy(word, p->text + name->at, (size_t)name->length);
        for (int i = 0; i < expr_function_count(); i++)
            ad_suggest(word, expr_function_at(i).name, &best);
        ad_suggest(word, "ln", &best);
    }
    if (best)
        return wrong(p, name->at, name->length, "unknown function '%.*s'; did you mean '%s'?",
                     SHOWN(p, *name), best);
    return wrong(p, name->at, name->length,
                 "unknown function '%.*s'; for a product write %.*s*(...)", SHOWN(p, *name),
                 SHOWN(p, *name));
}

/* Of the arguments after the variables: is each an integer that can be known now? */
static bool integers_fit(parser *p, const expr_function *f, const int64_t *arguments, int n)
{
    for (int k = f->vars; f->vars >= 0 && k < n; k++) {
        const expr_node *node = &p->e->nodes[arguments[k]];
        if (node->kind != AD_EXPRESSION_NUMBER || fabs(node->number) > LARGEST_INTEGER ||
            node->number != trunc(node->number)) {
            wrong(p, node->at, node->length, "%s: argument %d must be an integer: %s", f->name,
                  k + 1, f->usage);
            return false;
        }
    }
    return true;
}

static bool arguments_fit(parser *p, const expr_function *f, const token *name, int n)
{
    const int64_t length = p->before.at + p->before.length - name->at;
    if (n >= f->least && n <= f->most)
        return integers_fit(p, f, p->stack + p->n - n, n);
    if (f->least == f->most)
        wrong(p, name->at, length, "%s takes %d argument%s, not %d", f->name, f->least,
              f->least == 1 ? "" : "s", n);
    else
        wrong(p, name->at, length, "%s cannot take %d argument%s: %s", f->name, n,
              n == 1 ? "" : "s", f->usage);
    return false;
}

static int64_t call(parser *p, const token *name)
{
    const int function = expr_function_named(p->text + name->at, (size_t)name->length);
    const token opened = p->now;
    int64_t n = 0;
    if (function == NO_FUNCTION)
        return unknown_function(p, name);
    open(p);
    if (p->now.kind != SIGN(')'))
        n = elements(p);
    if (n < 0 || !close(p, ')', &opened, "',' or ')'"))
        return -1;
    const expr_function f = expr_function_at(function);
    if (!arguments_fit(p, &f, name, (int)n))
        return -1;
    p->n -= n;
    return span(p, expr_call(p->e, function, (int)n, p->stack + p->n), name);
}

static int64_t name(parser *p)
{
    const token t = p->now;
    advance(p);
    if (p->now.kind == SIGN('('))
        return call(p, &t);
    const int function = expr_function_named(p->text + t.at, (size_t)t.length);
    const int i = expr_name(p->e, p->text + t.at, (size_t)t.length);
    if (i < 0)
        return out_of_memory(p);
    if (p->e->definitions[i] >= 0)
        return p->e->definitions[i];
    if (function != NO_FUNCTION && (p->now.kind == TOKEN_NAME || p->now.kind == TOKEN_NUMBER))
        return wrong(p, t.at, p->now.at + p->now.length - t.at, "'%.*s %.*s': write %.*s(%.*s)",
                     SHOWN(p, t), SHOWN(p, p->now), SHOWN(p, t), SHOWN(p, p->now));
    if (function != NO_FUNCTION)
        return wrong(p, t.at, t.length, "'%.*s' is a function: write %.*s(...)", SHOWN(p, t),
                     SHOWN(p, t));
    p->e->free[i] = true;
    return span(p, expr_leaf(p->e, i), &t);
}

/* [a, b] is a vector, [a, b; c, d] a matrix: rows of equal length. */
static int64_t array(parser *p)
{
    const token opened = p->now;
    int64_t n = 0, columns = 0;
    int rows = 0;
    open(p);
    do {
        const token begins = p->now;
        const int64_t row = elements(p);
        if (row < 0)
            return -1;
        if (rows && row != columns)
            return wrong(p, begins.at, p->before.at + p->before.length - begins.at,
                         "row %d has %lld element%s, but the first has %lld", rows + 1,
                         (long long)row, row == 1 ? "" : "s", (long long)columns);
        columns = row;
        n += row;
        rows++;
    } while (take(p, TOKEN_BREAK));
    if (!close(p, ']', &opened, "',', ';' or ']'"))
        return -1;
    p->n -= n;
    return span(p, expr_array(p->e, rows > 1 ? rows : 0, (int)n, p->stack + p->n), &opened);
}

static int64_t no_operand(parser *p)
{
    if (p->now.kind == TOKEN_END || p->now.kind == TOKEN_BREAK)
        return wrong(p, p->now.at, 0, "something is missing here: a number, a name, or '('");
    return unexpected(p, "a number, a name, or '('");
}

static int64_t number(parser *p)
{
    const token t = p->now;
    if (isnan(t.number))
        return out_of_memory(p);
    if (isinf(t.number))
        return wrong(p, t.at, t.length, "'%.*s' is larger than any double", SHOWN(p, t));
    advance(p);
    return span(p, expr_number(p->e, t.number), &t);
}

static int64_t negative(parser *p)
{
    const token minus = p->now;
    advance(p);
    const int64_t a = expression(p, PREFIX);
    if (a < 0)
        return -1;
    expr_node *node = &p->e->nodes[a];
    if (node->kind != AD_EXPRESSION_NUMBER || node->defined)
        return span(p, expr_call(p->e, AD_OP_neg, 1, &a), &minus);
    node->number = -node->number;
    return span(p, a, &minus);
}

static int64_t stray_comma(parser *p)
{
    return wrong(p, p->now.at, p->now.length,
                 "',' stands between arguments; a vector is [1, 2], and the point of a number '.'");
}

static int64_t bracket(parser *p)
{
    const token opened = p->now;
    open(p);
    const int64_t node = expression(p, 0);
    if (node >= 0 && p->now.kind == SIGN(','))
        return stray_comma(p);
    return node >= 0 && close(p, ')', &opened, "')'") ? node : -1;
}

static int64_t operand(parser *p)
{
    switch (p->now.kind) {
    case TOKEN_NUMBER:
        return number(p);
    case TOKEN_NAME:
        return name(p);
    case SIGN('('):
        return bracket(p);
    case SIGN('['):
        return array(p);
    case SIGN('-'):
        return negative(p);
    case SIGN('+'):
        advance(p);
        return expression(p, PREFIX);
    default:
        return no_operand(p);
    }
}

/* ---- operators ---- */

static const struct {
    int token, function, power;
} operators[] = {{TOKEN_EQUAL, AD_OP_equal, COMPARISON},
                 {TOKEN_NOT_EQUAL, AD_OP_not_equal, COMPARISON},
                 {SIGN('<'), AD_OP_less, COMPARISON},
                 {TOKEN_LESS_EQUAL, AD_OP_less_equal, COMPARISON},
                 {SIGN('>'), AD_OP_greater, COMPARISON},
                 {TOKEN_GREATER_EQUAL, AD_OP_greater_equal, COMPARISON},
                 {SIGN('+'), AD_OP_add, 20},
                 {SIGN('-'), AD_OP_sub, 20},
                 {SIGN('*'), AD_OP_mul, 30},
                 {SIGN('/'), AD_OP_div, 30},
                 {SIGN('@'), NO_FUNCTION, 30},
                 {SIGN('^'), AD_OP_pow, POWER}};
enum { OPERATORS = sizeof operators / sizeof *operators };

int expr_power_for(const expr_node *exponent)
{
    const double n = exponent->number;
    if (exponent->kind != AD_EXPRESSION_NUMBER || exponent->defined ||
        n != (double)(int32_t)(n > -1e9 && n < 1e9 ? n : .5))
        return AD_OP_pow;
    return n == 2 ? AD_OP_square : AD_OP_powi;
}

static int64_t combine(parser *p, int function, int64_t a, int64_t b, const token *from)
{
    if (function == AD_OP_pow)
        function = expr_power_for(&p->e->nodes[b]);
    if (function == NO_FUNCTION)
        function = expr_function_named("matmul", 6);
    if (function == AD_OP_square)
        p->e->n--; /* the exponent, which was read last */
    return span(p, expr_call(p->e, function, function == AD_OP_square ? 1 : 2, (int64_t[]){a, b}),
                from);
}

static bool begins_operand(const token *t)
{
    return t->kind == TOKEN_NUMBER || t->kind == TOKEN_NAME || t->kind == SIGN('(') ||
           t->kind == SIGN('[');
}

/* Two operands in a row: mathematics writes products so, and here a * is wanted. */
static int64_t product_missing(parser *p)
{
    const token a = p->before, b = p->now;
    const int64_t length = b.at + b.length - a.at;
    const char *between = b.at > a.at + a.length ? " " : "";
    if (a.kind == SIGN(')') || a.kind == SIGN(']') || b.kind == SIGN('(') || b.kind == SIGN('['))
        return wrong(p, a.at, length, "'%.*s%s%.*s': write %.*s*%.*s for a product", SHOWN(p, a),
                     between, SHOWN(p, b), SHOWN(p, a), SHOWN(p, b));
    return wrong(p, a.at, length, "'%.*s%s%.*s': write %.*s*%.*s", SHOWN(p, a), between,
                 SHOWN(p, b), SHOWN(p, a), SHOWN(p, b));
}

static int operator_at(const token *t)
{
    for (int i = 0; i < OPERATORS; i++)
        if (operators[i].token == t->kind)
            return i;
    return -1;
}

/* An operand, and the operators behind it that bind more than `power`. */
static int64_t expression(parser *p, int power)
{
    const token from = p->now;
    if (p->depth == DEEPEST)
        return wrong(p, from.at, from.length, "nested more than %d deep: use definitions", DEEPEST);
    p->depth++;
    int64_t left = operand(p);
    while (left >= 0) {
        const int i = operator_at(&p->now);
        if (i < 0 && begins_operand(&p->now))
            left = product_missing(p);
        if (i < 0 || operators[i].power <= power)
            break;
        advance(p);
        const int binding = operators[i].power;
        const int64_t right = expression(p, binding == POWER ? PREFIX - 1 : binding);
        left = right < 0 ? -1 : combine(p, operators[i].function, left, right, &from);
        if (left >= 0 && binding == COMPARISON && operator_at(&p->now) >= 0 &&
            operators[operator_at(&p->now)].power == COMPARISON)
            left =
                wrong(p, p->now.at, p->now.length, "comparisons in a row: write (a < b)*(b < c)");
    }
    p->depth--;
    return left;
}

/* ---- statements ---- */

/* "name =": its number; -1: the statement is an expression; -2: an error. */
static int definition(parser *p)
{
    const token t = p->now;
    if (t.kind != TOKEN_NAME)
        return -1;
    if (token_at(p->text, t.at + t.length).kind != SIGN('='))
        return -1;
    const int i = expr_name(p->e, p->text + t.at, (size_t)t.length);
    if (i < 0)
        return (int)out_of_memory(p) - 1;
    if (expr_function_named(p->text + t.at, (size_t)t.length) != NO_FUNCTION)
        return (int)wrong(p, t.at, t.length, "'%.*s' is a function: take another name",
                          SHOWN(p, t)) -
               1;
    if (p->e->free[i] || p->e->definitions[i] >= 0)
        return (int)wrong(p, t.at, t.length, "'%.*s' has a meaning already: take another name",
                          SHOWN(p, t)) -
               1;
    advance(p);
    advance(p);
    return i;
}

static int64_t statement(parser *p)
{
    const token begins = p->now;
    const int name = definition(p);
    p->defined = name >= 0;
    if (name < -1)
        return -1;
    int64_t node = expression(p, 0);
    if (node < 0)
        return -1;
    if (name >= 0 && p->e->free[name])
        return wrong(p, begins.at, begins.length, "'%.*s' is in its own definition",
                     SHOWN(p, begins));
    if (p->now.kind == SIGN(')') || p->now.kind == SIGN(']'))
        return wrong(p, p->now.at, p->now.length, "'%.*s' closes nothing", SHOWN(p, p->now));
    if (p->now.kind == SIGN(','))
        return stray_comma(p);
    if (p->now.kind != TOKEN_END && p->now.kind != TOKEN_BREAK)
        return unexpected(p, "an operator or the end");
    if (name >= 0)
        p->e->definitions[name] = node;
    if (name >= 0 && p->e->nodes[node].kind != AD_EXPRESSION_NAME && !p->e->nodes[node].defined)
        p->e->nodes[node].defined = name + 1;
    return node;
}

static void skip_breaks(parser *p)
{
    while (take(p, TOKEN_BREAK))
        ;
}

static void text(parser *p)
{
    p->now = (token){.kind = TOKEN_BREAK, .line = 1, .column = 1};
    skip_breaks(p);
    if (p->now.kind == TOKEN_END)
        wrong(p, p->now.at, 0, "the text is empty: an expression was expected");
    while (!p->failed && p->now.kind != TOKEN_END) {
        const token begins = p->now;
        p->e->result = statement(p);
        const token last = p->before;
        skip_breaks(p);
        /* as where a sum was broken into lines without brackets */
        if (!p->failed && p->now.kind != TOKEN_END && !p->defined)
            wrong(p, begins.at, last.at + last.length - begins.at,
                  "this value is not used: give it a name, or put brackets around an expression of "
                  "several lines");
    }
}

ad_expression *ad_parse(const char *from, ad_parse_error *error)
{
    ad_parse_error unread = {0};
    parser p = {.text = from, .error = error ? error : &unread};
    *p.error = (ad_parse_error){0};
    if (!from)
        wrong(&p, 0, 0, "the text is NULL");
    else if (!(p.e = expr_new()))
        out_of_memory(&p);
    else
        text(&p);
    memory_give(context_or_default(NULL), p.stack, (size_t)p.capacity * sizeof *p.stack);
    if (!p.failed)
        return p.e;
    ad_expression_free(p.e);
    return NULL;
}
