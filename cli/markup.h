/* markup.h - texts within XML, HTML and JavaScript */
#ifndef MARKUP_H
#define MARKUP_H
#include <stdio.h>

/* As XML's and HTML's text, or within quotes; what is no UTF-8 becomes U+FFFD. */
void markup_put(FILE *to, const char *text);
/* At most so many letters, the last of them "..." where there are more. */
void markup_put_most(FILE *to, const char *text, int most);
/* As JavaScript's string, with its quotes, fit to stand in a page. */
void markup_put_string(FILE *to, const char *text);
void markup_put_double(FILE *to, double value);
/* Lines up to NULL, as embed.c makes them of a file. */
void markup_put_lines(FILE *to, const char *const *lines);
/* Its letters. */
int markup_length(const char *text);

#endif
