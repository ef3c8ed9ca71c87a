/* trace_formats.h - the formats that a trace is written in, one file each */
#ifndef TRACE_FORMATS_H
#define TRACE_FORMATS_H
#include <stdio.h>

#include "trace.h"

typedef enum trace_mode { TRACE_BOTH, TRACE_FORWARD, TRACE_REVERSE } trace_mode;

/* How the table calls an adjoint: "adjoint", a bar over v, or delta. */
typedef enum trace_notation { NOTATION_V, NOTATION_BAR, NOTATION_DELTA } trace_notation;

typedef struct trace_style {
    trace_mode mode;
    trace_notation notation;
    int digits;
    bool digits_given; /* were they asked for? */
    bool ascii;        /* no signs beyond ASCII */
    bool color;
} trace_style;

/* Each writes all of it; false when out of memory. */
bool trace_put_text(const trace *t, const trace_style *style, FILE *to);
/* Tables with blanks, and the same filled in; of traces that steps_have_numbers takes. */
bool trace_put_worksheet(const trace *t, const trace_style *style, FILE *to);
bool trace_put_key(const trace *t, const trace_style *style, FILE *to);
/* These read stdin, too; the quiz takes what worksheets take. */
bool trace_step(const trace *t, const trace_style *style, FILE *to);
bool trace_quiz(const trace *t, const trace_style *style, FILE *to);
bool trace_put_json(const trace *t, const trace_style *style, FILE *to);
bool trace_put_csv(const trace *t, const trace_style *style, FILE *to);
bool trace_put_dot(const trace *t, const trace_style *style, FILE *to);
bool trace_put_latex(const trace *t, const trace_style *style, FILE *to);
bool trace_put_svg(const trace *t, const trace_style *style, FILE *to);
bool trace_put_html(const trace *t, const trace_style *style, FILE *to);

#endif
