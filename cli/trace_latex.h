/* trace_latex.h - the parts of a trace's LaTeX document */
#ifndef TRACE_LATEX_H
#define TRACE_LATEX_H
#include "trace_formats.h"

/* In mathematics: a number, a small tensor's elements, else its shape. */
void latex_put_values(const trace_node *n, const double *values, int digits, FILE *to);
/* Each adjoint as the sum of its contributions: as partials, as symbols, as numbers. false when
 * out of memory. */
bool latex_put_derivation(const trace *t, int digits, FILE *to);
/* The graph as a TikZ picture, scaled to the page, or a sentence where it is too large. false when
 * out of memory. */
bool latex_put_graph(const trace *t, const trace_style *style, FILE *to);

#endif
