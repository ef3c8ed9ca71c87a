/* words.h - texts for people: letters of UTF-8, and numbers as short as they can be read
 *
 * Numbers need nn_c_numbers around them (number.h). */
#ifndef NN_WORDS_H
#define NN_WORDS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The next letter, 0 at the end. Bytes that are no UTF-8, and letters that neither XML nor a
 * terminal should be sent (controls), become U+FFFD. */
unsigned long nn_next_letter(const char **text);
/* How many columns of a terminal it takes, or letters of a picture; NULL takes none. */
int nn_text_width(const char *text);
/* Writes it in at most `columns` columns, the last three of them "..." where it is cut. */
void nn_put_text(FILE *to, const char *text, int columns, bool xml);

enum { NN_NUMBER_TEXT = 40 };
/* 1.50e-05 becomes 1.5e-5. */
void nn_compact_number(char *text);
/* So many significant digits, with an exponent only where it is shorter. */
void nn_short_number(char text[NN_NUMBER_TEXT], double value, int digits);
/* The fewest digits that read back as the same number. */
void nn_exact_number(char text[NN_NUMBER_TEXT], double value);

/* "(3,4)"; ends in "..." where the room does not do */
typedef struct nn_shape_text {
    char text[96];
} nn_shape_text;
nn_shape_text nn_shape_text_of(int rank, const int64_t *shape);

#endif
