/* formula_latex.h - formulas as LaTeX writes them, for use between dollars */
#ifndef FORMULA_LATEX_H
#define FORMULA_LATEX_H
#include <stdbool.h>
#include <stdio.h>

/* How strongly a formula's parts must hold together; weaker ones are put into brackets. */
enum { LATEX_WHOLE = 0, LATEX_TERM = 26, LATEX_FACTOR = 31, LATEX_BASE = 60 };

/* The text of an expression, "h = sin(x1); h^2". One that is none, as "adjoint(v3) to every
 * element", as words. false when out of memory. */
bool latex_put_formula(const char *text, int least, FILE *to);
/* x_{1}, w_{12}, \theta_{h}; with an accent, "\\bar", \bar{x}_{1}. */
void latex_put_name(const char *name, const char *accent, FILE *to);
/* 1.5 \cdot 10^{-9}; digits as trace_number takes them, 0: all that there are. */
void latex_put_number(double value, int digits, int least, FILE *to);
/* Words, with what LaTeX would take for commands as it stands. */
void latex_put_words(const char *text, FILE *to);

#endif
