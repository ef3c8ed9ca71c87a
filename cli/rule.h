/* rule.h - operations as mathematics writes them: their formulas and their local partials
 *
 * Partials are not written here: those of elementwise operations are the symbolic derivatives that
 * the library finds, and so can be none but the tape's. */
#ifndef RULE_H
#define RULE_H
#include <tapegrad/ad.h>

/* An expression as text. To be freed; NULL when out of memory. */
char *rule_text(const ad_expression *e);

enum { RULE_MOST = 8 }; /* arguments that are shown */

/* "x1*x2", "sin(x1)" of the arguments' labels. To be freed; NULL when out of memory. */
char *rule_formula(const char *operation, int n, const char *const *labels);
/* The local partial by argument k: "cos(x1)". For structured operations the rule of the adjoint, as
 * "transpose(W) @ adjoint(y)". To be freed; NULL when out of memory. */
char *rule_partial(const char *operation, int n, int k, const char *const *labels,
                   const char *result);

#endif
