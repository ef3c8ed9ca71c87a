/* formula_mathml.h - formulas of the language as MathML */
#ifndef FORMULA_MATHML_H
#define FORMULA_MATHML_H
#include <stdbool.h>
#include <stdio.h>

/* What belongs into <math>; after each definition it begins another, so that lines can break. A
 * name's element has it as data-name: a script can put numbers there. A text that is no formula is
 * put as it is. false when out of memory. */
bool mathml_put(FILE *to, const char *text);
/* In brackets where a product needs them; no definitions. */
bool mathml_put_factor(FILE *to, const char *text);
/* "x1" is x with the index 1. */
void mathml_put_name(FILE *to, const char *name);

#endif
