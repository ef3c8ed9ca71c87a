/* machine.h - what the numbers were taken on, and where the work is put */
#ifndef TAPEGRAD_BENCH_MACHINE_H
#define TAPEGRAD_BENCH_MACHINE_H

typedef struct machine {
    char cpu[160], system[160];
    const char *compiler;
    int cores;
    double memory_gib, last_cache_mib; /* the last cache: 0 where it is not known */
} machine;

machine machine_here(void);

/* Ties this process, and those it starts, to so many of the cores it may use, the last ones; 0: all
 * of them. Gives how many there are; 0 where the system knows no such thing. */
int pin_to(int cores);

/* How busy the machine was meanwhile: load averages, and the cores' worth of time that others took
 * (other processes, and other guests of the same hardware) since load_begin. */
typedef struct load {
    double average_before, average_after, others, stolen;
    double started, busy, steal; /* at the begin */
} load;

load load_begin(void);
void load_end(load *l);

#endif
