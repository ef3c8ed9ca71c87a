/* token.c - a text as a row of tokens, and numbers whatever the locale is
 *
 *     number = (digits ["." [digits]] | "." digits) [("e" | "E") ["+" | "-"] digits]
 *     name   = letter {letter | digit | "_"}
 *
 * Letters are those of ASCII, "_", and all that Unicode has beyond ASCII but the signs below. */
#define AD_PLAIN
#include "token.h"
#include "expression.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

/* ---- signs of Unicode, as they are typed or pasted ---- */

typedef struct alias {
    const char *text;
    int kind; /* 0: a blank */
} alias;

static const alias aliases[] = {
    {"\xe2\x88\x92", SIGN('-')},        /* − minus */
    {"\xc2\xb7", SIGN('*')},            /* · middle dot */
    {"\xe2\x8b\x85", SIGN('*')},        /* ⋅ dot operator */
    {"\xe2\x88\x97", SIGN('*')},        /* ∗ asterisk operator */
    {"\xc3\x97", SIGN('*')},            /* × */
    {"\xc3\xb7", SIGN('/')},            /* ÷ */
    {"\xe2\x89\xa4", TOKEN_LESS_EQUAL}, /* ≤ */
    {"\xe2\x89\xa5", TOKEN_GREATER_EQUAL},
    {"\xe2\x89\xa0", TOKEN_NOT_EQUAL},
    {"\xc2\xa0", 0},     /* a blank that does not break */
    {"\xe2\x80\x89", 0}, /* a thin one */
    {"\xe2\x80\xaf", 0}, /* a thin one that does not break */
    {"\xef\xbb\xbf", 0}, /* the mark at the beginning of a file */
    {"\xe2\x80\x90", TOKEN_WRONG},
    {"\xe2\x80\x91", TOKEN_WRONG}, /* hyphens */
    {"\xe2\x80\x93", TOKEN_WRONG},
    {"\xe2\x80\x94", TOKEN_WRONG}, /* dashes */
    {"\xc2\xb2", TOKEN_WRONG},     /* ² */
    {"\xc2\xb3", TOKEN_WRONG},     /* ³ */
    {"\xe2\x88\x9a", TOKEN_WRONG}, /* √ */
};

static const alias *alias_at(const char *text)
{
    for (size_t i = 0; (unsigned char)*text >= 0x80 && i < sizeof aliases / sizeof *aliases; i++)
        if (strncmp(text, aliases[i].text, strlen(aliases[i].text)) == 0)
            return &aliases[i];
    return NULL;
}

/* ---- names ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(const char *c)
{
    return (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' ||
           ((unsigned char)*c >= 0x80 && !alias_at(c));
}

size_t expr_name_length(const char *text)
{
    size_t n = 0;
    while (is_letter(text + n) || (n && is_digit(text[n])))
        n++;
    return n;
}

bool expr_constant(const char *name, double *value)
{
    *value = strcmp(name, "e") == 0 ? 2.71828182845904523536 : 3.14159265358979323846;
    return strcmp(name, "pi") == 0 || strcmp(name, "e") == 0 || strcmp(name, "\xcf\x80") == 0;
}

/* ---- numbers ---- */

static size_t number_length(const char *s)
{
    size_t n = 0, digits = 0, exponent;
    for (; is_digit(s[n]); n++)
        digits++;
    if (s[n] == '.')
        for (n++; is_digit(s[n]); n++)
            digits++;
    if (!digits)
        return 0;
    exponent = n + 1 + (s[n] && (s[n + 1] == '+' || s[n + 1] == '-'));
    if ((s[n] == 'e' || s[n] == 'E') && is_digit(s[exponent]))
        for (n = exponent; is_digit(s[n]); n++)
            ;
    return n;
}

/* How this locale writes the point of a number: what stands between 0 and 5 in 0.5. */
static size_t locale_point(char point[8])
{
    char half[16];
    int n = snprintf(half, sizeof half, "%.1f", .5);
    size_t length = n > 2 && n - 2 < 8 ? (size_t)n - 2 : 1;
    memcpy(point, half + 1, length);
    return length;
}

double expr_read_number(const char *text, size_t length)
{
    char fixed[64], point[8], *copy = fixed;
    const size_t n = locale_point(point), room = length + n + 1;
    const char *dot = memchr(text, '.', length);
    const size_t before = dot ? (size_t)(dot - text) : length;
    if (room > sizeof fixed && !(copy = memory_take(context_or_default(NULL), room)))
        return (double)NAN;
    memcpy(copy, text, before);
    if (dot) {
        memcpy(copy + before, point, n);
        memcpy(copy + before + n, dot + 1, length - before - 1);
    }
    copy[dot ? length - 1 + n : length] = 0;
    const double number = strtod(copy, NULL);
    if (copy != fixed)
        memory_give(context_or_default(NULL), copy, room);
    return number;
}

void expr_write_number(char text[EXPR_NUMBER_TEXT], double number)
{
    char point[8];
    /* %g leaves out zeros at the end, and 15 digits are certain, but for the very smallest numbers:
     * more come out only where they are needed, and 100 is not 1e+02. */
    for (int digits = fabs(number) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, EXPR_NUMBER_TEXT, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    const size_t n = locale_point(point);
    point[n] = 0;
    char *there = strstr(text, point);
    if (there && strcmp(point, ".") != 0) {
        *there = '.';
        memmove(there + 1, there + n, strlen(there + n) + 1);
    }
}

/* ---- tokens ---- */

static token pair(const char *s, int64_t at)
{
    static const struct {
        char text[3];
        int kind;
    } pairs[] = {{"<=", TOKEN_LESS_EQUAL}, {">=", TOKEN_GREATER_EQUAL}, {"==", TOKEN_EQUAL},
                 {"!=", TOKEN_NOT_EQUAL},  {"**", TOKEN_WRONG},         {"&&", TOKEN_WRONG},
                 {"||", TOKEN_WRONG}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strncmp(s, pairs[i].text, 2) == 0)
            return (token){.kind = pairs[i].kind, .at = at, .length = 2};
    return (token){.kind = TOKEN_END};
}

/* Blanks, and comments from # to the end of the line. */
static int64_t skip_blanks(const char *text, int64_t at)
{
    for (;;) {
        const alias *a = alias_at(text + at);
        if (text[at] == ' ' || text[at] == '\t' || text[at] == '\r')
            at++;
        else if (text[at] == '#')
            at += (int64_t)strcspn(text + at, "\n");
        else if (a && !a->kind)
            at += (int64_t)strlen(a->text);
        else
            return at;
    }
}

static token read_token(const char *s, int64_t at)
{
    const alias *a = alias_at(s);
    token two = pair(s, at);
    size_t length;
    if (!*s)
        return (token){.kind = TOKEN_END, .at = at};
    if (a)
        return (token){.kind = a->kind, .at = at, .length = (int64_t)strlen(a->text)};
    if ((length = number_length(s)))
        return (token){.kind = TOKEN_NUMBER,
                       .at = at,
                       .length = (int64_t)length,
                       .number = expr_read_number(s, length)};
    if ((length = expr_name_length(s)))
        return (token){.kind = TOKEN_NAME, .at = at, .length = (int64_t)length};
    if (two.kind)
        return two;
    if (*s == ';' || *s == '\n')
        return (token){.kind = TOKEN_BREAK, .at = at, .length = 1, .newline = *s == '\n'};
    return (token){
        .kind = strchr("+-*/@^()[],=<>", *s) ? SIGN(*s) : TOKEN_WRONG, .at = at, .length = 1};
}

token token_at(const char *text, int64_t at)
{
    const int64_t begins = skip_blanks(text, at);
    return read_token(text + begins, begins);
}
