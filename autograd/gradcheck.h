/* gradcheck.h - the parts of a gradient check: who is to blame, and where the kinks are */
#ifndef GRADCHECK_H
#define GRADCHECK_H
#include "tape.h"

/* Looks at every operation's local partials, reverse against duals, and fills the report with the
 * first that differ. false: all agree. */
bool blame_operation(ad_tape *t, ad_check_report *report);
/* The same against differences of the operation's own value, where reverse and duals agree with
 * each other. */
bool blame_formula(ad_tape *t, ad_check_report *report);
/* Counts operations whose arguments are within `reach` of a kink, and describes the first few into
 * text. */
int list_kinks(ad_tape *t, double reach, char *text, size_t size);

#endif
