/* c_helpers.c - see c_helpers.h
 *
 * The preprocessor makes one line of a helper's text. What is a statement, a block or a word is
 * found again, as far as it takes to write it for people, in the type at hand. */
#include "c_helpers.h"
#include <string.h>

static const struct {
    const char *name, *calls, *text;
} helpers[HELPERS] = {
#define HELPER(name, calls, ...) {#name, calls, #__VA_ARGS__},
#include "c_helpers.def"
};

static bool calls(int from, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = helpers[from].calls; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && !strncmp(at, name, length))
            return true;
    return false;
}

void c_helpers_need(c_helpers *h, ad_dtype dtype, int helper)
{
    if (h->needed[dtype][helper])
        return;
    h->needed[dtype][helper] = true;
    for (int i = 0; i < HELPERS; i++)
        if (calls(helper, helpers[i].name))
            c_helpers_need(h, dtype, i);
}

/* ---- text ---- */

typedef struct printer {
    FILE *to;
    bool is_float;
    int depth, parentheses, list; /* list: within the braces of an initialiser */
    char before;                  /* the last character that is no space */
} printer;

static size_t word_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && !strncmp(text, word, length);
}

/* T, MATH(f), name_T, or as it stands; gives how much of the text that was */
static size_t put_word(const printer *p, const char *text, size_t length)
{
    const bool ends = length > 2 && !strncmp(text + length - 2, "_T", 2);
    if (is_word(text, length, "T"))
        fputs(p->is_float ? "float" : "double", p->to);
    else if (is_word(text, length, "MATH")) {
        const size_t inner = word_length(text + length + 1);
        fprintf(p->to, "%.*s%s", (int)inner, text + length + 1, p->is_float ? "f" : "");
        return length + inner + 2;
    } else
        fprintf(p->to, "%.*s%s", (int)(ends ? length - 2 : length), text,
                !ends         ? ""
                : p->is_float ? "_f32"
                              : "_f64");
    return length;
}

static void new_line(const printer *p) { fprintf(p->to, "\n%*s", 4 * p->depth, ""); }

/* A brace opens a block or a list of numbers; statements and blocks end lines. */
static void put_sign(printer *p, char sign, const char *rest)
{
    rest += *rest == ' ';
    if (sign == '{' && (p->before == '=' || p->list))
        p->list++;
    else if (sign == '{')
        p->depth++;
    else if (sign == '}' && !p->list)
        p->depth--;
    p->parentheses += (sign == '(') - (sign == ')');
    fputc(sign, p->to);
    if (sign == '}' && p->list)
        p->list--;
    else if (!p->list && ((sign == ';' && !p->parentheses) || sign == '{' || sign == '}') &&
             *rest) {
        p->depth -= *rest == '}';
        new_line(p);
        p->depth += *rest == '}';
    }
}

static void put_helper(printer p, const char *text)
{
    while (*text) {
        const size_t length = word_length(text);
        if (length) {
            p.before = 'a';
            text += put_word(&p, text, length);
            continue;
        }
        const char sign = *text++;
        const bool ends_line = strchr(";{}", p.before ? p.before : 'a') && !p.parentheses;
        if (sign == ' ' && ends_line && !p.list)
            continue;
        put_sign(&p, sign, text);
        p.before = sign == ' ' ? p.before : sign;
    }
    fputs("\n\n", p.to);
}

void c_helpers_write(const c_helpers *h, FILE *to)
{
    for (int i = 0; i < HELPERS; i++)
        for (int dtype = AD_F64; dtype <= AD_F32; dtype++)
            if (h->needed[dtype][i])
                put_helper((printer){.to = to, .is_float = dtype == AD_F32}, helpers[i].text);
}
