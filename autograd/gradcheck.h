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

/* ---- one check ---- */

typedef struct input {
    array value; /* what the check was asked for: not to be changed */
    array moved; /* a copy in the same dtype, for differences */
    double *reverse, *magnitude, *dual;
} input;

typedef struct check {
    ad_function f;
    void *user;
    int n;
    input *in;
    ad_var *x, y;
    double *seed, *y_values; /* of the output */
    int64_t y_size;
    ad_tape *t;
    arena memory;
    double unit, bound,
        reach; /* roundoff; allowed error in units of it; distance at which kinks matter */
    const ad_check_options *options;
    ad_check_report *report;
    size_t used; /* of the report's text */
} check;

void check_say(check *c, const char *format, ...) /* adds to the report's text */
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* records the function anew, at the point asked for or at the moved one */
ad_status check_record_at(check *c, bool moved);
/* the longest chain of operations, weighted by how many roundings each may add; -1 when out of
 * memory */
double check_path_length(check *c);
void check_random(const check *c, uint64_t key, double *to, int64_t n); /* normal numbers */
/* leaves sums of |contributions| where gradients are read */
ad_status check_magnitudes(check *c, ad_var y, const double *seed);
bool check_agree(double got, double want, double allowed);
/* reports a disagreement, and the operation that `find` names for it */
void check_blame(check *c, int input, int64_t element, double got, double want,
                 bool (*find)(ad_tape *, ad_check_report *));
/* is one estimate more certain than another, absolutely or relative to itself */
bool check_better(double d, double off, double than, double than_off);
ad_status check_differences(check *c);
ad_status check_second_order(check *c);

#endif
