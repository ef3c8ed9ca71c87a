/* complain.c - errors of the command line: what is wrong, where, and what to do */
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool complain(char wrong[TRACE_WRONG], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(wrong, TRACE_WRONG, format, arguments);
    va_end(arguments);
    return false;
}

static bool begins_letter(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

bool complain_at(char wrong[TRACE_WRONG], const char *what, const char *text,
                 const ad_parse_error *error)
{
    enum { SHOWN = 100 }; /* letters of the line; the rest is cut */
    char line[4 * SHOWN + 1] = "", mark[SHOWN + 2] = "";
    const char *from = text;
    for (int i = 1; i < error->line && strchr(from, '\n'); i++)
        from = strchr(from, '\n') + 1;
    size_t n = 0;
    for (int letters = 0; from[n] && from[n] != '\n' && n < sizeof line - 1; n++)
        if ((letters += begins_letter(from[n])) > SHOWN)
            break;
    memcpy(line, from, n);
    const char *at = text + error->at;
    int marks = 0;
    for (int64_t i = 0; i < error->length && at[i] != '\n'; i++)
        marks += begins_letter(at[i]);
    int column = 1;
    for (; column < error->column && column <= SHOWN; column++)
        mark[column - 1] = ' ';
    for (int i = 0; i < (marks ? marks : 1) && column <= SHOWN + 1; i++, column++)
        mark[column - 1] = '^';
    return complain(wrong, "%s%s%s\n  %s\n  %s", what, *what ? ": " : "", error->text, line, mark);
}
