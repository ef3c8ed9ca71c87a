/* serve.c - what the processes that are asked a line at a time have in common */
#define _POSIX_C_SOURCE 200809L
#include "serve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void serve_line(const char *text)
{
    puts(text);
    fflush(stdout);
}

bool serve_question(char *line, size_t size)
{
    if (!fgets(line, (int)size, stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    return true;
}

double serve_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double serve_memory_mib(void)
{
    char line[128];
    double kib = NAN;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib / 1024;
}
