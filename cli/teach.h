/* teach.h - what the teaching modes of trace share: lines that are read, cells that are filled */
#ifndef TEACH_H
#define TEACH_H
#include "trace.h"

enum { TEACH_LINE = 400 };

/* A line without its end and without blanks around it; longer ones are cut. false: no more. */
bool teach_line(FILE *from, char line[TEACH_LINE]);
/* Columns of a terminal that a text takes: its letters. */
int teach_width(const char *text);
/* At most `width` letters of it, the last three "..." where it is cut; filled with blanks if asked.
 */
void teach_put(FILE *to, const char *text, int width, bool fill);

#endif
