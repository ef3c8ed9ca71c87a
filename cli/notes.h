/* notes.h - where a trace meets the end of a domain, a kink, or an overflow */
#ifndef NOTES_H
#define NOTES_H
#include <stdio.h>

#include "trace.h"

/* A line for each such place: what happened at which node, and what is taken there by convention.
 * How many there are; `to` may be NULL. */
int trace_put_notes(const trace *t, int digits, FILE *to);

#endif
