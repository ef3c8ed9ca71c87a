/* steps.h - a trace as a row of steps, one number each, with the reason in words
 *
 * What --step walks and --quiz asks for: first the values, then the tangents along one input after
 * the other, then, from the result back, one contribution to an adjoint after the other. */
#ifndef STEPS_H
#define STEPS_H
#include "trace_formats.h"

enum { STEP_TEXT = 2048 };

typedef enum step_sweep { SWEEP_VALUES, SWEEP_TANGENTS, SWEEP_REVERSE } step_sweep;

typedef struct step {
    step_sweep sweep;
    int node;      /* that it gives a number */
    int wrt;       /* of tangents: along this one of the trace's inputs of interest */
    int from, k;   /* of adjoints: by which node, whose parent k this is; from -1: the seed */
    int nth, of;   /* this contribution among those to the node, from 1 */
    double number; /* the value, tangent or contribution; of scalars */
    double total;  /* the adjoint with it; NaN where parts of it are no scalars */
} step;

typedef struct steps {
    int n;
    step *all;
} steps;

/* Of the sweeps that the mode asks for; NULL when out of memory. */
steps *steps_new(const trace *t, trace_mode mode);
void steps_free(steps *s);
/* Are all nodes scalars, and all that the sweeps compute finite numbers? */
bool steps_have_numbers(const trace *t);
/* "values", "tangents along x1", "reverse". */
void step_title(const trace *t, const step *s, char out[STEP_TEXT]);
/* What is computed, from what, and why. */
void step_reason(const trace *t, const step *s, int digits, char out[STEP_TEXT]);

/* Parent k of a node: what formulas call it, and its value; constants too. Scalars only. */
const char *step_parent_label(const trace *t, int node, int k, char out[TRACE_NAME]);
double step_parent_value(const trace *t, int node, int k);
/* "sin(2)": the formula with the parents' values; to be freed, NULL when out of memory. */
char *step_with_numbers(const trace *t, int node, int digits);
/* As a factor of a product: in brackets where it is a sum or a negative number. */
const char *step_factor(const char *text, char out[STEP_TEXT]);
/* Writes words into lines of that width, all but the first one indented. */
void put_wrapped(FILE *to, const char *text, int width, int indent);

#endif
