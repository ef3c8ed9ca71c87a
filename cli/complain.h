/* complain.h - errors of the command line: what is wrong, where, and what to do */
#ifndef COMPLAIN_H
#define COMPLAIN_H
#include "trace.h"

/* Keeps the text; gives false. */
bool complain(char wrong[TRACE_WRONG], const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* An error of the language: its text, the line of `text` that is wrong, a caret below. `what` names
 * the option that the text belongs to, "" for the expression. */
bool complain_at(char wrong[TRACE_WRONG], const char *what, const char *text,
                 const ad_parse_error *error);

#endif
