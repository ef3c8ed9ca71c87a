/* letters.h - texts letter by letter, as UTF-8 writes them */
#ifndef LETTERS_H
#define LETTERS_H
#include <stdint.h>

/* The letter at *text, which moves behind it; U+FFFD for a byte that begins none. 0 at the end. */
uint32_t next_letter(const char **text);

#endif
