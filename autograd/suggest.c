/* suggest.c - the known word nearest to a mistyped one (optimal string alignment distance) */
#include "ad.h"
#include <string.h>

enum { LETTERS = 64 };

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* how many edits (a letter more, less, other, or two swapped) lead from a to b */
static int edits(const char *a, const char *b)
{
    int d[LETTERS][LETTERS];
    size_t n = strlen(a), m = strlen(b);
    if (n >= LETTERS || m >= LETTERS)
        return LETTERS;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            d[i][j] =
                least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, LETTERS);
        }
    return d[n][m];
}

static size_t common(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* Of words as near, the one that begins like it. */
static bool better(const char *word, const char *candidate, int edited, const char *best)
{
    const int least_so_far = best ? edits(word, best) : edited + 1;
    return edited < least_so_far ||
           (edited == least_so_far && common(word, candidate) > common(word, best));
}

void ad_suggest(const char *word, const char *candidate, const char **best)
{
    if (!word || !candidate || !best)
        return;
    int n = edits(word, candidate), limit = 1 + (int)strlen(word) / 4;
    if (n <= limit && better(word, candidate, n, *best))
        *best = candidate;
}
