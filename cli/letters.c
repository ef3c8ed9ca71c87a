/* letters.c - texts letter by letter, as UTF-8 writes them
 *
 * What comes from a command line may be any bytes; what goes into a file of a format may not. */
#include "letters.h"

enum { UNREADABLE = 0xFFFD };

static uint32_t unreadable(const char **text)
{
    ++*text;
    return UNREADABLE;
}

uint32_t next_letter(const char **text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *b = (const unsigned char *)*text;
    const int more = b[0] < 0x80 ? 0 : b[0] < 0xC0 ? 4 : b[0] < 0xE0 ? 1 : b[0] < 0xF0 ? 2 : 3;
    if (more == 4 || b[0] >= 0xF8)
        return unreadable(text);
    uint32_t letter = more ? b[0] & (0x3Fu >> more) : b[0];
    for (int i = 1; i <= more; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return unreadable(text);
        letter = letter << 6 | (b[i] & 0x3Fu);
    }
    if (letter < least[more] || letter > 0x10FFFF || (letter >= 0xD800 && letter < 0xE000))
        return unreadable(text);
    *text += letter ? 1 + more : 0;
    return letter;
}
