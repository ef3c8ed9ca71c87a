/* words.c - texts for people: letters of UTF-8, and numbers as short as they can be read
 *
 * Names come from users and from files: whatever bytes they hold, what is written is valid UTF-8
 * without controls, so that no name breaks a picture or commands a terminal. */
#include "words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT = 0xFFFD };

/* The letter that begins here, and its length; 0 bytes where they are no UTF-8. */
static unsigned long decode(const unsigned char *s, int *length)
{
    static const unsigned long least[5] = {0, 0, 0x80, 0x800, 0x10000};
    int n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    unsigned long letter = n == 1 ? s[0] : s[0] & (0xFFu >> (n + 1));
    *length = 0;
    for (int i = 1; i < n; i++) { /* a 0 ends this too */
        if (s[i] >> 6 != 2)
            return 0;
        letter = letter << 6 | (s[i] & 0x3Fu);
    }
    if (!n || letter < least[n] || letter > 0x10FFFF || (letter >= 0xD800 && letter < 0xE000))
        return 0;
    *length = n;
    return letter;
}

unsigned long nn_next_letter(const char **text)
{
    if (!**text)
        return 0;
    int length;
    unsigned long letter = decode((const unsigned char *)*text, &length);
    *text += length ? length : 1;
    bool control = letter < 0x20 || (letter >= 0x7F && letter < 0xA0);
    /* the last two turn the direction of writing: they would reorder what follows */
    bool hidden = letter == 0xFFFE || letter == 0xFFFF || (letter >= 0x202A && letter <= 0x202E) ||
                  (letter >= 0x2066 && letter <= 0x2069);
    return !length || control || hidden ? REPLACEMENT : letter;
}

/* Roughly: the scripts of East Asia and pictures take two columns. */
static int columns_of(unsigned long letter)
{
    return (letter >= 0x1100 && letter < 0x1160) || (letter >= 0x2E80 && letter < 0xD7B0) ||
                   (letter >= 0xF900 && letter < 0xFB00) || (letter >= 0xFF00 && letter < 0xFF61) ||
                   letter >= 0x1F300
               ? 2
               : 1;
}

int nn_text_width(const char *text)
{
    int width = 0;
    for (unsigned long letter; text && width < 10000 && (letter = nn_next_letter(&text));)
        width += columns_of(letter);
    return width;
}

static void put_letter(FILE *to, unsigned long letter, const char *bytes, size_t length, bool xml)
{
    const char *escaped = letter == REPLACEMENT ? "\xEF\xBF\xBD"
                          : !xml                ? NULL
                          : letter == '&'       ? "&amp;"
                          : letter == '<'       ? "&lt;"
                          : letter == '>'       ? "&gt;"
                          : letter == '\''      ? "&#39;"
                          : letter == '"'       ? "&quot;"
                                                : NULL;
    if (escaped)
        fputs(escaped, to);
    else
        fwrite(bytes, 1, length, to);
}

void nn_put_text(FILE *to, const char *text, int columns, bool xml)
{
    bool cut = nn_text_width(text) > columns;
    int room = cut ? columns - 3 : columns;
    for (const char *next = text; text && *text; text = next) {
        unsigned long letter = nn_next_letter(&next);
        room -= columns_of(letter);
        if (room < 0)
            break;
        put_letter(to, letter, text, (size_t)(next - text), xml);
    }
    if (cut && columns >= 3)
        fputs("...", to);
}

void nn_compact_number(char *text)
{
    char *exponent = strchr(text, 'e'), *end = exponent ? exponent : text + strlen(text);
    char *to = end;
    if (memchr(text, '.', (size_t)(end - text)))
        while (to[-1] == '0' || to[-1] == '.')
            if (*--to == '.')
                break;
    if (exponent && exponent[1]) {
        const char *from = exponent + 1;
        *to++ = 'e';
        if (*from == '-')
            *to++ = '-';
        while (*from == '-' || *from == '+' || (*from == '0' && from[1]))
            from++;
        while (*from)
            *to++ = *from++;
    }
    *to = 0;
}

void nn_short_number(char text[NN_NUMBER_TEXT], double value, int digits)
{
    double size = fabs(value);
    if (!isfinite(value))
        snprintf(text, NN_NUMBER_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    else if (value == 0)
        snprintf(text, NN_NUMBER_TEXT, "0");
    else {
        bool plain = size >= 1e-3 && size < 99999.5;
        snprintf(text, NN_NUMBER_TEXT, plain ? "%.*g" : "%.*e", plain ? digits : digits - 1, value);
        nn_compact_number(text);
    }
}

void nn_exact_number(char text[NN_NUMBER_TEXT], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, NN_NUMBER_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

/* ---- shapes ---- */

nn_shape_text nn_shape_text_of(int rank, const int64_t *shape)
{
    nn_shape_text s;
    const size_t room = sizeof s.text;
    size_t used = 0;
    for (int i = 0; i < rank && used < room; i++)
        used += (size_t)snprintf(s.text + used, room - used, "%c%lld", i ? ',' : '(',
                                 (long long)shape[i]);
    if (used < room)
        used += (size_t)snprintf(s.text + used, room - used, "%s", rank ? ")" : "()");
    if (used >= room)
        memcpy(s.text + room - 4, "...", 4);
    return s;
}
