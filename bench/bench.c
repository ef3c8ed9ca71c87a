/* bench.c - the driver: options, the table on the terminal, one JSON object a line with --json */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tapegrad/ad.h>

/* This program's only mutable state: where the table has got to, and whether a result was wrong. */
static struct {
    const char *bench, *name;
    bool wrong, printed;
} table;

/* ---- samples ------------------------------------------------------------------------------------
 */

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void samples_add(samples *s, double value)
{
    if (s->n < MAX_SAMPLES)
        s->value[s->n++] = value;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const samples *s, double q)
{
    if (s->n == 0)
        return NAN;
    double sorted[MAX_SAMPLES];
    memcpy(sorted, s->value, (size_t)s->n * sizeof *sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, by_size);
    double at = q * (s->n - 1);
    int below = (int)at, above = below + 1 < s->n ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

double samples_median(const samples *s) { return quantile(s, .5); }

double samples_spread(const samples *s)
{
    return (quantile(s, .75) - quantile(s, .25)) / 2 / samples_median(s);
}

/* ---- output
 * --------------------------------------------------------------------------------------- */

void progress(const char *format, ...)
{
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    if (format) {
        va_list list;
        va_start(list, format);
        vfprintf(stderr, format, list);
        va_end(list);
    }
    fflush(stderr);
}

void complain(const char *format, ...)
{
    progress(NULL);
    table.wrong = true;
    fputs("bench: ", stderr);
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

void remark(const options *o, const char *format, ...)
{
    progress(NULL);
    if (o->json)
        return;
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && text[i] &&
               tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == n)
            return true;
    }
    return n == 0;
}

bool wanted(const options *o, const char *bench, const char *name)
{
    char title[256];
    snprintf(title, sizeof title, "%s: %s", bench, name);
    return !o->filter || contains(title, o->filter);
}

static void print_json_number(const char *key, double value)
{
    if (isfinite(value))
        printf("\"%s\":%.6g,", key, value);
    else
        printf("\"%s\":null,", key);
}

static void print_json_text(const char *key, const char *text, const char *after)
{
    printf("\"%s\":\"", key);
    for (; *text; text++)
        printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    printf("\"%s", after);
}

/* Four digits, without an exponent: 0.0123, 1.234, 12.34, 1234. */
static const char *number(char text[16], double value)
{
    int digits = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
    snprintf(text, 16, "%.*f", digits, value);
    return text;
}

static const char *percent(char text[16], const samples *s)
{
    text[0] = 0;
    if (s->n > 1)
        snprintf(text, 16, "%.0f%%", 100 * samples_spread(s));
    return text;
}

static void print_heading(const char *bench)
{
    static const struct {
        const char *bench, *text;
    } headings[] = {
        {"scalar", "record, reverse, read the gradient"},
        {"memory", "of the tape for an operation; adjoints, inputs and constants included"},
        {"replay", "value and gradient of a captured program at new inputs"},
        {"program", "recorded, captured, and a workspace made"},
        {"large", "record and reverse beyond the caches"},
        {"start", "of a process, to its first gradient"},
        {"training", "one step: forward, backward, update; float, one thread"},
        {"resident", "memory of the process that trains"},
    };
    const char *text = "";
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        if (!strcmp(headings[i].bench, bench))
            text = headings[i].text;
    printf("\n%s: %s\n", bench, text);
}

void report(const options *o, const result *r)
{
    if (!wanted(o, r->bench, r->name))
        return;
    progress(NULL);
    double ours = samples_median(r->ours), peer = r->peer ? samples_median(r->peer) : NAN;
    table.printed = true;
    if (o->json) {
        putchar('{');
        print_json_text("bench", r->bench, ",");
        print_json_text("case", r->name, ",");
        print_json_number("ours", ours);
        print_json_number("peer", peer);
        print_json_text("peer_name", r->peer_name, ",");
        print_json_number("ratio", ours / peer);
        print_json_text("unit", r->unit, "}\n");
        fflush(stdout);
        return;
    }
    char text[16], spread[16];
    if (!table.bench || strcmp(table.bench, r->bench)) {
        print_heading(r->bench);
        table.name = NULL;
    }
    if (!table.name || strcmp(table.name, r->name))
        printf("  %-42s %8s %-4s %s\n", r->name, number(text, ours), percent(spread, r->ours),
               r->unit);
    table.bench = r->bench;
    table.name = r->name;
    printf("    %-40s ", r->peer_name);
    if (!isfinite(peer)) {
        puts("  absent");
        return;
    }
    printf("%8s %-4s", number(text, peer), percent(spread, r->peer));
    printf(" %9s", number(text, ours / peer));
    if (r->aim > 0)
        printf(" %s %s%s", ours / peer <= r->aim ? "<=" : "> ", number(text, r->aim),
               ours / peer <= r->aim ? "" : " missed");
    putchar('\n');
    fflush(stdout);
}

static void print_machine(void)
{
    char line[256], cpu[200] = "processor unknown";
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info)) {
        char *colon = strchr(line, ':');
        if (!strncmp(line, "model name", 10) && colon && colon[1]) {
            line[strcspn(line, "\n")] = 0;
            snprintf(cpu, sizeof cpu, "%s", colon + 2);
            break;
        }
    }
    if (info)
        fclose(info);
#if defined(__clang__)
    const char *compiler = __VERSION__; /* begins with the name */
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    printf("Tapegrad %s on %s, %ld cores; %s%s\n", ad_version(), cpu, sysconf(_SC_NPROCESSORS_ONLN),
           compiler,
#ifdef __OPTIMIZE__
           ""
#else
           "; NOT OPTIMISED: these numbers mean little"
#endif
    );
    puts("Medians of interleaved repetitions, with half the interquartile range. Ratio: ours to "
         "the\n"
         "peer, less is better; where a ratio is promised, the promise stands behind it.\n"
         "\n                                                ours/peer           ratio promise");
}

static int usage(FILE *to, int status)
{
    fputs("usage: bench [--json] [--quick] [--filter TEXT]\n"
          "  --json         one JSON object a line\n"
          "  --quick        fewer repetitions, and no 10^8 operations: under a minute\n"
          "  --filter TEXT  only cases whose 'bench: case' contains TEXT\n",
          to);
    return status;
}

int main(int argc, char **argv)
{
    options o = {0};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            o.json = true;
        else if (!strcmp(argv[i], "--quick"))
            o.quick = true;
        else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
            o.filter = argv[++i];
        else if (!strcmp(argv[i], "--help"))
            return usage(stdout, 0);
        else
            return usage(stderr, 2);
    }
    char directory[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - argv[0]) : 1,
             slash ? argv[0] : ".");
    o.directory = directory;
    if (!o.json)
        print_machine();
    bench_start(&o);
    bench_scalar(&o);
    bench_train(&o);
    bench_large(&o);
    progress(NULL);
    if (!table.printed && !table.wrong) {
        fprintf(stderr, "bench: no case contains '%s'\n", o.filter ? o.filter : "");
        return 2;
    }
    return table.wrong;
}
