/* trace.h - an expression at a point, with all that its sweeps compute: what every format shows
 *
 * A trace is made of the public introspection of a tape. Nodes are numbered from v1, inputs first
 * in the order of the text, then operations in the order in which the text says them; constants are
 * written into formulas and are no nodes. */
#ifndef TRACE_H
#define TRACE_H
#include <tapegrad/ad.h>

enum { TRACE_NAME = 64, TRACE_WRONG = 600 };

typedef struct trace_node {
    char name[TRACE_NAME];  /* "v3" */
    char label[TRACE_NAME]; /* as formulas call it: the input's name, else "v3" */
    const char *operation;  /* "sin", "input" */
    bool is_input, is_wrt;
    char *formula;      /* "x1*x2", in labels */
    char *defined_as;   /* the name that the text gives it, or "" */
    int64_t on_tape;    /* its node there */
    int64_t at, length; /* where the text says it; length 0: nowhere */
    int rank;
    const int64_t *shape;
    int64_t size;            /* elements */
    double *value, *adjoint; /* `size` of them */
    double *tangents;        /* [k * size + i]: along wrt k, element i; scalars' inputs only */
    int n_parents;
    int *parents;     /* their numbers in the trace; -1: a constant */
    char **symbols;   /* of each local partial: "cos(x1)"; tensors: the adjoint's rule */
    double *partials; /* of scalar operations; NaN for others */
} trace_node;

typedef struct trace_contribution { /* to an adjoint: adjoint of `from` times its partial k */
    int from, k;
    double value; /* of scalars */
} trace_contribution;

typedef struct trace {
    char *text; /* of the expression */
    ad_expression *expression;
    ad_tape *tape;
    int n, result; /* nodes; the number of the one whose derivative this is */
    trace_node *nodes;
    int n_wrt, *wrt;     /* nodes of the inputs of interest */
    double *differences; /* central ones, by each wrt; NaN where it is a tensor */
    bool scalars;        /* all nodes are */
} trace;

typedef struct trace_request {
    const char *text; /* "x1*x2 + sin(x1)" */
    const char *at;   /* "x1=2,x2=5" */
    const char *wrt;  /* "x1,x2"; NULL: all inputs */
} trace_request;

/* NULL and what is wrong, ready to be printed, with the line of the text and a caret below. */
trace *trace_new(const trace_request *request, char wrong[TRACE_WRONG]);
void trace_free(trace *t);
/* The contributions to node i, last operation first; their number (give NULL to count). */
int trace_contributions(const trace *t, int i, trace_contribution *out);
/* One number, of as many decimals; "3.14e-9" where it is very small or large; "inf", "nan". */
const char *trace_number(char out[32], double value, int digits);
/* A scalar's number; a tensor's elements, "[1, 2; 3, 4]", or where there are more than `few` its
 * shape, "(64,10)". */
enum { TRACE_FEW = 6 };
void trace_cell(const trace_node *n, const double *values, int few, int digits, char *out,
                size_t size);

#endif
