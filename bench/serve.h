/* serve.h - what the processes that are asked a line at a time have in common */
#ifndef TAPEGRAD_BENCH_SERVE_H
#define TAPEGRAD_BENCH_SERVE_H

#include <stdbool.h>
#include <stddef.h>

void serve_line(const char *text);            /* writes a line, at once */
bool serve_question(char *line, size_t size); /* the next one, without its end; false: no more */
double serve_seconds(void);                   /* monotonic */
/* What this process has needed of memory at most; NaN where the system does not say. */
double serve_memory_mib(void);

#endif
