/* suggest.h - the known word nearest to a mistyped one */
#ifndef NN_SUGGEST_H
#define NN_SUGGEST_H

/* The number of edits (a letter more, less, other, or two swapped) from a to b, at most 63 letters
 * each. */
int nn_edits(const char *a, const char *b);
/* The best of the words kept so far: *best changes to `candidate` if it is nearer to `word` and
 * near enough. Begin with *best NULL. */
void nn_suggest(const char *word, const char *candidate, const char **best);

#endif
