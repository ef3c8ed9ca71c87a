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

void teach_cell(const trace_node *n, const double *values, int digits, char *out, size_t size)
{
    enum { FEW = 4 };
    char number[32];
    size_t used = 0;
    if (n->rank == 0) {
        snprintf(out, size, "%s", trace_number(number, values[0], digits));
        return;
    }
    const bool few = n->size <= FEW;
    const int64_t count = few ? n->size : n->rank, last = n->shape[n->rank - 1];
    for (int64_t i = 0; i < count && used < size; i++) {
        const char *before = i == 0 ? few ? "[" : "(" : !few ? "," : i % last ? ", " : "; ";
        if (few)
            trace_number(number, values[i], digits);
        else
            snprintf(number, sizeof number, "%lld", (long long)n->shape[i]);
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, number);
    }
    if (used < size)
        snprintf(out + used, size - used, few ? count ? "]" : "[]" : ")");
}
