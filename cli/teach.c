/* teach.c - see teach.h */
#include "teach.h"

#include <string.h>

bool teach_line(FILE *from, char line[TEACH_LINE])
{
    size_t n = 0;
    int c = getc(from);
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc(from))
        if (n + 1 < TEACH_LINE && (n || (c != ' ' && c != '\t')))
            line[n++] = c ? (char)c : ' ';
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
        n--;
    line[n] = 0;
    return true;
}

static bool begins_letter(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

int teach_width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += begins_letter(*text);
    return n;
}

void teach_put(FILE *to, const char *text, int width, bool fill)
{
    const int all = teach_width(text);
    const bool cut = all > width && width > 3;
    int left = cut ? width - 3 : width, n = 0;
    for (; *text; text++) {
        n += begins_letter(*text);
        if (n > left)
            break;
        fputc(*text == '\n' ? ' ' : *text, to);
    }
    fputs(cut ? "..." : "", to);
    for (int i = all; fill && i < width; i++)
        fputc(' ', to);
}
