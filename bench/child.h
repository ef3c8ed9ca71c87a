/* child.h - a helper process, asked a line at a time
 *
 * What is measured of a whole process, its start or its memory, needs a process of its own; so does
 * a peer in another language. */
#ifndef TAPEGRAD_BENCH_CHILD_H
#define TAPEGRAD_BENCH_CHILD_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum { CHILD_PATIENCE = 300 }; /* seconds, for one answer */

typedef struct child {
    pid_t pid;
    FILE *to, *from;
    char line[512]; /* the last answer */
} child;

/* argv[0] is looked for in PATH unless it has a slash. false: it could not be started. */
bool child_start(child *c, char *const argv[]);
/* Reads one line into c->line, without its end; false where the process has ended. */
bool child_read(child *c);
/* Asks and reads the answer. */
bool child_ask(child *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Asks for a number; NaN where the answer is none. */
double child_number(child *c, const char *question);
void child_stop(child *c);

#endif
