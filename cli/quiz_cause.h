/* quiz_cause.h - why an answer may be wrong: the slips that would have led to just that number */
#ifndef QUIZ_CAUSE_H
#define QUIZ_CAUSE_H
#include "steps.h"

typedef struct question {
    const trace *t;
    const steps *all;
    const step *about;
    bool sum;     /* is it about the adjoint of about->node, not about one contribution? */
    int digits;   /* significant ones that an answer has to have */
    double right; /* answer */
} question;

/* Are they the same number in so many significant digits of `right`? */
bool quiz_agrees(double answer, double right, int digits);
/* The likely cause in words; "" where none is known. */
void quiz_cause(const question *q, double answer, char out[STEP_TEXT]);

#endif
