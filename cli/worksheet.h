/* worksheet.h - variants of a worksheet: other values of the inputs, small and readable */
#ifndef WORKSHEET_H
#define WORKSHEET_H
#include "trace.h"

enum { WORKSHEET_POINT = 4096 };

/* Draws values for the inputs of the text, "x1=0.5,x2=-1.5", always the same for a seed; such that
 * all that is computed is finite and of a size to write down. false and what is wrong. */
bool worksheet_point(const char *text, uint64_t seed, char point[WORKSHEET_POINT],
                     char wrong[TRACE_WRONG]);

#endif
