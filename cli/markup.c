/* markup.c - see markup.h */
#include "markup.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Bytes of the letter that begins here; 0: it is no UTF-8, or XML does not allow it. */
static int letter_length(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] < 0x80)
        return c[0] >= 0x20 || c[0] == '\n' || c[0] == '\t';
    const int n = c[0] >= 0xC2 && c[0] <= 0xDF   ? 2
                  : c[0] >= 0xE0 && c[0] <= 0xEF ? 3
                  : c[0] >= 0xF0 && c[0] <= 0xF4 ? 4
                                                 : 0;
    for (int i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80)
            return 0;
    /* longer than needed, halves of pairs, beyond the last, no letters */
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
        (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F) ||
        (c[0] == 0xEF && c[1] == 0xBF && c[2] > 0xBD))
        return 0;
    return n;
}

static void put_letter(FILE *to, const char *text, int n)
{
    switch (*text) {
    case '<':
        fputs("&lt;", to);
        break;
    case '>':
        fputs("&gt;", to);
        break;
    case '&':
        fputs("&amp;", to);
        break;
    case '"':
        fputs("&quot;", to);
        break;
    case '\'':
        fputs("&#39;", to);
        break;
    default:
        if (n)
            fwrite(text, 1, (size_t)n, to);
        else
            fputs("&#xFFFD;", to);
    }
}

int markup_length(const char *text)
{
    int letters = 0;
    for (; *text; text += letter_length(text) ? letter_length(text) : 1)
        letters++;
    return letters;
}

void markup_put_most(FILE *to, const char *text, int most)
{
    const bool cut = markup_length(text) > most;
    for (int i = 0; *text && (!cut || i < most - 3); i++) {
        const int n = letter_length(text);
        put_letter(to, text, n);
        text += n ? n : 1;
    }
    if (cut)
        fputs("...", to);
}

void markup_put(FILE *to, const char *text) { markup_put_most(to, text, markup_length(text)); }

/* "</script>" and "<!--" must not stand in a script. */
static void put_in_string(FILE *to, const char *text, int n)
{
    if (!n)
        fputs("\\uFFFD", to);
    else if (*text == '"' || *text == '\\')
        fprintf(to, "\\%c", *text);
    else if (*text == '<' && text[1] == '/')
        fputs("<\\", to);
    else if ((unsigned char)*text < ' ' || (*text == '<' && text[1] && strchr("!sS", text[1])))
        fprintf(to, "\\u%04X", (unsigned)*text);
    else if (n == 3 && memcmp(text, "\xe2\x80", 2) == 0 && ((unsigned char)text[2] & 0xFE) == 0xA8)
        fprintf(to, "\\u202%c", text[2] & 1 ? '9' : '8'); /* ends of lines to JavaScript */
    else
        fwrite(text, 1, (size_t)n, to);
}

void markup_put_string(FILE *to, const char *text)
{
    fputc('"', to);
    while (*text) {
        const int n = letter_length(text);
        put_in_string(to, text, n);
        text += n ? n : 1;
    }
    fputc('"', to);
}

void markup_put_double(FILE *to, double value)
{
    if (isnan(value))
        fputs("NaN", to);
    else if (isinf(value))
        fputs(value > 0 ? "Infinity" : "-Infinity", to);
    else
        fprintf(to, "%.17g", value);
}

void markup_put_lines(FILE *to, const char *const *lines)
{
    for (; *lines; lines++)
        fputs(*lines, to);
}
