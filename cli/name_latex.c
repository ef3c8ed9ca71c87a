/* name_latex.c - names, numbers and words as LaTeX writes them
 *
 * pdflatex knows the letters of Greek and of western Europe; others become their numbers. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "exact.h"
#include "formula_latex.h"
#include "letters.h"

/* ---- letters ---- */

static const char *const greek[] = {
    "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta",  "eta",    "theta", "iota",
    "kappa", "lambda", "mu",      "nu",    "xi",      "pi",    "rho",    "sigma", "tau",
    "phi",   "chi",    "upsilon", "psi",   "omega",   "Gamma", "Delta",  "Theta", "Lambda",
    "Xi",    "Pi",     "Sigma",   "Phi",   "Psi",     "Omega", "Upsilon"};

static const struct {
    uint32_t letter;
    const char *latex;
} signs[] = {
    {0x3B1, "\\alpha"},      {0x3B2, "\\beta"},     {0x3B3, "\\gamma"},  {0x3B4, "\\delta"},
    {0x3B5, "\\varepsilon"}, {0x3B6, "\\zeta"},     {0x3B7, "\\eta"},    {0x3B8, "\\theta"},
    {0x3B9, "\\iota"},       {0x3BA, "\\kappa"},    {0x3BB, "\\lambda"}, {0x3BC, "\\mu"},
    {0x3BD, "\\nu"},         {0x3BE, "\\xi"},       {0x3BF, "o"},        {0x3C0, "\\pi"},
    {0x3C1, "\\rho"},        {0x3C2, "\\varsigma"}, {0x3C3, "\\sigma"},  {0x3C4, "\\tau"},
    {0x3C5, "\\upsilon"},    {0x3C6, "\\varphi"},   {0x3C7, "\\chi"},    {0x3C8, "\\psi"},
    {0x3C9, "\\omega"},      {0x3D1, "\\vartheta"}, {0x3D5, "\\phi"},    {0x3F5, "\\epsilon"},
    {0x393, "\\Gamma"},      {0x394, "\\Delta"},    {0x398, "\\Theta"},  {0x39B, "\\Lambda"},
    {0x39E, "\\Xi"},         {0x3A0, "\\Pi"},       {0x3A3, "\\Sigma"},  {0x3A5, "\\Upsilon"},
    {0x3A6, "\\Phi"},        {0x3A8, "\\Psi"},      {0x3A9, "\\Omega"},  {0xB5, "\\mu"},
    {0x175, "\\hat{w}"},     {0x177, "\\hat{y}"},   {0x2113, "\\ell"},   {0x2202, "\\partial"},
    {0x2207, "\\nabla"},     {0x221E, "\\infty"}};

/* Accented letters and the like that the font of every LaTeX has. */
static bool is_western(uint32_t c)
{
    return c >= 0xC0 && c <= 0xFF && c != 0xD0 && c != 0xD7 && c != 0xDE && c != 0xF0 &&
           c != 0xF7 && c != 0xFE;
}

/* One letter, of a formula or between words. */
static void put_letter(uint32_t c, const char *text, size_t length, bool words, FILE *to)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].letter == c) {
            fprintf(to, words ? "$%s$" : "%s ", signs[i].latex);
            return;
        }
    if (c == '\\')
        fputs("\\textbackslash{}", to);
    else if (c == '^' || c == '~')
        fprintf(to, "\\char%d{}", (int)c);
    else if (c == '<' || c == '>' || c == '|')
        fprintf(to, words ? "$%c$" : "%c", (int)c);
    else if (c < 0x80 && strchr("_%$#&{}", (int)c))
        fprintf(to, "\\%c", (int)c);
    else if (c < 0x80)
        fputc(c < 0x20 || c == 0x7F ? ' ' : (int)c, to);
    else if (is_western(c))
        fprintf(to, words ? "%.*s" : "\\text{%.*s}", (int)length, text);
    else
        fprintf(to, words ? "U+%04X" : "\\text{U+%04X}", (unsigned)c);
}

static void put_letters(const char *text, const char *end, bool words, FILE *to)
{
    while (text < end) {
        const char *from = text;
        const uint32_t c = next_letter(&text);
        put_letter(c, from, (size_t)(text - from), words, to);
    }
}

void latex_put_words(const char *text, FILE *to)
{
    put_letters(text, text + strlen(text), true, to);
}

/* ---- names ---- */

/* Digits, and the small ones below the line: 0 to 9; -1 for others. */
static int digit(uint32_t c)
{
    return c >= '0' && c <= '9' ? (int)c - '0' : c >= 0x2080 && c <= 0x2089 ? (int)c - 0x2080 : -1;
}

static bool is_greek(const char *text, const char *end)
{
    for (size_t i = 0; i < sizeof greek / sizeof *greek; i++)
        if (strlen(greek[i]) == (size_t)(end - text) &&
            memcmp(greek[i], text, strlen(greek[i])) == 0)
            return true;
    return false;
}

/* A part of a name: one letter as a symbol, a greek letter's name as that, others as a word. */
static void put_part(const char *text, const char *end, FILE *to)
{
    const char *second = text;
    if (text == end)
        return;
    next_letter(&second);
    if (is_greek(text, end)) {
        fprintf(to, "\\%.*s", (int)(end - text), text);
        return;
    }
    const bool word = second < end;
    fputs(word ? "\\mathit{" : "", to);
    put_letters(text, end, false, to);
    fputs(word ? "}" : "", to);
}

/* "12", "h", "out": to the next underscore, which an empty part is written as. */
static const char *put_subscript(const char *text, FILE *to)
{
    const char *end = text;
    while (*end && *end != '_') {
        const char *next = end;
        const int d = digit(next_letter(&next));
        if (d < 0)
            break;
        fprintf(to, "%d", d);
        end = next;
    }
    const char *rest = end;
    while (*end && *end != '_')
        end++;
    put_part(rest, end, to);
    if (end == text)
        fputs("\\_", to);
    return end;
}

void latex_put_name(const char *name, const char *accent, FILE *to)
{
    const char *end = name, *next = name;
    for (uint32_t c; (c = next_letter(&next)) && c != '_' && digit(c) < 0;)
        end = next;
    const char *second = name;
    if (accent && next_letter(&second) && second < end && !is_greek(name, end) &&
        strcmp(accent, "\\bar") == 0)
        accent = "\\overline"; /* as wide as the word */
    if (accent)
        fprintf(to, "%s{", accent);
    else if (end == name)
        fputs("{}", to);
    put_part(name, end, to);
    if (accent)
        fputc('}', to);
    if (!*end)
        return;
    fputs("_{", to);
    end = put_subscript(end + (*end == '_' && end > name), to);
    while (*end) {
        fputc(',', to);
        end = put_subscript(end + 1, to);
    }
    fputc('}', to);
}

/* ---- numbers ---- */

void latex_put_number(double value, int digits, int least, FILE *to)
{
    char text[32];
    if (digits)
        trace_number(text, value, digits);
    else
        exact_number(text, value);
    char *e = isfinite(value) ? strchr(text, 'e') : NULL;
    const bool bracket = (*text == '-' && least >= LATEX_TERM) || (e && least >= LATEX_FACTOR);
    fputs(bracket ? "(" : "", to);
    if (isnan(value))
        fputs("\\text{nan}", to);
    else if (isinf(value))
        fputs(value > 0 ? "\\infty" : "-\\infty", to);
    else if (!e)
        fputs(text, to);
    else {
        int power = 0;
        for (const char *c = e + 2; *c; c++)
            power = 10 * power + (*c - '0');
        *e = 0;
        if (strcmp(text, "1") != 0)
            fprintf(to, "%s \\cdot ", text);
        fprintf(to, "10^{%s%d}", e[1] == '-' ? "-" : "", power);
    }
    fputs(bracket ? ")" : "", to);
}
