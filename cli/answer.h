/* answer.h - a learner's derivative against the right one, term by term */
#ifndef ANSWER_H
#define ANSWER_H
#include <tapegrad/ad.h>

/* Prints the verdict; the exit status. `at`: a point to try among others, or NULL. */
int check_answer(const ad_expression *e, const char *text, const char *against, const char *wrt,
                 const char *at);

#endif
