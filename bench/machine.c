/* machine.c - what the numbers were taken on, and where the work is put
 *
 * Linux tells most of this; elsewhere it stays empty, and nothing is tied to a core. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#else
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#endif
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

#define TEXT_OF(x) TEXT(x)
#define TEXT(x)    #x
#if defined(__clang__)
static const char compiler[] = __VERSION__; /* begins with the name */
#elif defined(__GNUC__)
static const char compiler[] = "gcc " TEXT_OF(__GNUC__) "." TEXT_OF(__GNUC_MINOR__);
#else
static const char compiler[] = "unknown";
#endif

/* The text behind "key : " of a file of such lines. */
static void read_field(const char *path, const char *key, char *to, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(to, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (file)
        fclose(file);
}

static double last_cache(void)
{
    long bytes = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes <= 0)
        bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes > 0 ? (double)bytes / 1048576 : 0;
}

machine machine_here(void)
{
    machine m = {.cpu = "unknown processor", .compiler = compiler};
    struct utsname name;
    char system[128] = "";
    read_field("/proc/cpuinfo", "model name", m.cpu, sizeof m.cpu);
    if (uname(&name) == 0)
        snprintf(system, sizeof system, "%.40s %.40s %.40s", name.sysname, name.release,
                 name.machine);
    snprintf(m.system, sizeof m.system, "%s", system);
    m.cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    m.memory_gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1073741824;
    m.last_cache_mib = last_cache();
    return m;
}

#if defined(__linux__)
int pin_to(int cores)
{
    static cpu_set_t allowed; /* at first */
    static int count;
    if (!count && sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        count = CPU_COUNT(&allowed);
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    for (size_t i = CPU_SETSIZE, n = 0; i-- > 0 && (cores == 0 || n < (size_t)cores);)
        if (CPU_ISSET(i, &allowed)) {
            CPU_SET(i, &chosen);
            n++;
        }
    return count && sched_setaffinity(0, sizeof chosen, &chosen) == 0 ? count : 0;
}
#else
int pin_to(int cores)
{
    (void)cores;
    return 0;
}
#endif

/* ---- load -------------------------------------------------------------------------------------
 */

/* Seconds that all cores together were busy, and were taken by other guests, since the boot. */
static void system_times(double *busy, double *steal)
{
    double user = 0, nice = 0, kernel = 0, idle, wait, interrupts = 0, soft = 0, stolen = 0;
    FILE *stat = fopen("/proc/stat", "r");
    if (stat && fscanf(stat, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &kernel, &idle,
                       &wait, &interrupts, &soft, &stolen) != 8)
        user = stolen = 0;
    if (stat)
        fclose(stat);
    double tick = 1 / (double)sysconf(_SC_CLK_TCK);
    *busy = tick * (user + nice + kernel + interrupts + soft);
    *steal = tick * stolen;
}

static double own_seconds(void)
{
    double sum = 0;
    const int whose[2] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (int i = 0; i < 2; i++) {
        struct rusage use;
        getrusage(whose[i], &use);
        sum += (double)use.ru_utime.tv_sec + 1e-6 * (double)use.ru_utime.tv_usec;
        sum += (double)use.ru_stime.tv_sec + 1e-6 * (double)use.ru_stime.tv_usec;
    }
    return sum;
}

load load_begin(void)
{
    load l = {0};
    if (getloadavg(&l.average_before, 1) != 1)
        l.average_before = 0;
    system_times(&l.busy, &l.steal);
    l.busy -= own_seconds();
    l.started = seconds_now();
    return l;
}

void load_end(load *l)
{
    double busy, steal, elapsed = seconds_now() - l->started;
    if (getloadavg(&l->average_after, 1) != 1)
        l->average_after = 0;
    system_times(&busy, &steal);
    l->others = (busy - own_seconds() - l->busy) / elapsed;
    l->stolen = (steal - l->steal) / elapsed;
    if (l->others < 0)
        l->others = 0;
}
