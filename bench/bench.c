/* bench.c - the driver: options, the table on the terminal, one JSON object a line with --json */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tapegrad/ad.h>

#include "machine.h"
#include "peers.h"
#include "results.h"

/* Where the table has got to, whether a result was wrong, and the file of results: report is called
 * from everywhere. */
static struct {
    const char *bench;
    char name[128], way[128];
    bool wrong, printed;
    results file;
} table;

/* ---- output -----------------------------------------------------------------------------------
 */

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
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    progress(NULL);
    table.wrong = true;
    fprintf(stderr, "bench: %s\n", text);
    results_note(&table.file, text);
}

void remark(const options *o, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    progress(NULL);
    if (!o->json)
        puts(text);
    results_note(&table.file, text);
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

/* Four digits, without an exponent: 0.0123, 1.234, 12.34, 1234. */
static const char *number(char text[24], double value)
{
    int digits = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
    snprintf(text, 24, "%.*f", digits, value);
    return text;
}

static const char *percent(char text[24], const samples *s)
{
    text[0] = 0;
    if (s->n > 1)
        snprintf(text, 24, "%.0f%%", 100 * samples_spread(s));
    return text;
}

static void print_heading(const char *bench)
{
    static const struct {
        const char *bench, *text;
    } headings[] = {
        {"start", "of a process, to its first gradient"},
        {"scalar", "record, reverse, read the gradient"},
        {"replay", "value and gradient of a captured program at new inputs"},
        {"program", "recorded, captured, and a workspace made"},
        {"memory", "of the tape for an operation or input; adjoints and constants included"},
        {"growth", "value and gradient, from a few operations to many"},
        {"large", "record and reverse beyond the caches"},
        {"training", "one step: forward, backward, update; float, one thread"},
        {"limit", "one step against its bare products and the bytes it must move"},
        {"threads", "one step with two threads, as part of that with one"},
        {"resident", "memory of the process that trains, at its highest"},
        {"wide", "value and gradient over long arrays of float"},
        {"against", "this build's own ways against another's"},
    };
    const char *text = "";
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        if (!strcmp(headings[i].bench, bench))
            text = headings[i].text;
    printf("\n%s: %s\n", bench, text);
}

/* The line of a case, and of the way of ours that the lines under it compare. */
static void print_ours(const result *r)
{
    char text[24], spread[24], title[256];
    const char *way = r->ours_name ? r->ours_name : "";
    if (!table.bench || strcmp(table.bench, r->bench)) {
        print_heading(r->bench);
        table.name[0] = table.way[0] = 0;
    }
    if (strcmp(table.name, r->name) || strcmp(table.way, way)) {
        snprintf(title, sizeof title, "%s%s%s", r->name, *way ? ": " : "", way);
        if (r->ours->n > 0)
            printf("  %-48s %8s %-4s %s\n", title, number(text, samples_median(r->ours)),
                   percent(spread, r->ours), r->unit);
        else
            printf("  %-48s   not there\n", title);
    }
    table.bench = r->bench;
    snprintf(table.name, sizeof table.name, "%s", r->name);
    snprintf(table.way, sizeof table.way, "%s", way);
}

static void print_peer(const result *r)
{
    const samples none = {0};
    const samples *peer = r->peer ? r->peer : &none;
    samples ratios = samples_ratios(r->ours, peer);
    double ratio = samples_median(&ratios);
    char text[24], spread[24];
    printf("    %-46s ", r->peer_name);
    if (peer->n > 0)
        printf("%8s %-4s", number(text, samples_median(peer)), percent(spread, peer));
    else
        printf("  absent     ");
    if (ratios.n > 0)
        printf(" %9s %-4s", number(text, ratio), percent(spread, &ratios));
    if (r->aim > 0 && ratios.n > 0)
        printf("%s %s %s", ratio <= r->aim ? "<=" : "> ", number(text, r->aim),
               ratio <= r->aim ? "" : "missed");
    else if (r->aim > 0)
        printf(" %14s <= %s not measured", "", number(text, r->aim));
    putchar('\n');
    fflush(stdout);
}

void report(const options *o, const result *r)
{
    if (!wanted(o, r->bench, r->name))
        return;
    progress(NULL);
    table.printed = true;
    results_add(&table.file, r);
    if (o->json) {
        results_row(stdout, r);
        putchar('\n');
        fflush(stdout);
        return;
    }
    print_ours(r);
    print_peer(r);
}

static void print_machine(const options *o, const machine *m, int cores)
{
    printf("Tapegrad %s on %s, %d cores; %s%s\n", ad_version(), m->cpu, m->cores, m->compiler,
#ifdef __OPTIMIZE__
           ""
#else
           "; NOT OPTIMISED: these numbers mean little"
#endif
    );
    puts(cores ? "Tied to one core, where not said otherwise." : "Not tied to a core.");
    if (o->against)
        printf("Peer: this project at %s, built beside it.\n", o->other_name);
    puts(
        "Medians of interleaved repetitions, with half the interquartile range. Ratio: ours to the "
        "peer,\n"
        "round by round, less is better; where a ratio is promised, the promise stands behind it.\n"
        "\n                                                      ours/peer           ratio      "
        "promise");
}

static void print_load(const options *o, const load *l, int cores)
{
    bool busy = l->others + l->stolen > .1 * cores;
    remark(o,
           "\nLoad average %.2f before, %.2f after; meanwhile others took the time of %.2f of %d "
           "cores%s",
           l->average_before, l->average_after, l->others + l->stolen, cores,
           busy ? ": a BUSY machine, so take the ratios with care" : "");
}

/* ---- options ----------------------------------------------------------------------------------
 */

static int usage(FILE *to, int status)
{
    fputs("usage: bench [--json] [--quick] [--filter TEXT] [--output FILE] [--against DIR NAME]\n"
          "  --json              one JSON object a line\n"
          "  --quick             fewer repetitions and sizes: under a minute\n"
          "  --filter TEXT       only cases whose 'bench: case' contains TEXT\n"
          "  --output FILE       writes the results, with machine and load, as one JSON object\n"
          "  --against DIR NAME  no peers, but the programs of another build in DIR, called NAME\n",
          to);
    return status;
}

/* 0, or the status to end with. */
static int read_options(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            o->json = true;
        else if (!strcmp(argv[i], "--quick"))
            o->quick = true;
        else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
            o->filter = argv[++i];
        else if (!strcmp(argv[i], "--output") && i + 1 < argc)
            o->output = argv[++i];
        else if (!strcmp(argv[i], "--against") && i + 2 < argc) {
            o->against = argv[++i];
            o->other_name = argv[++i];
        } else
            return !strcmp(argv[i], "--help") ? usage(stdout, -1) : usage(stderr, 2);
    }
    return 0;
}

static void run_benches(const options *o)
{
    static void (*const benches[])(const options *) = {bench_start, bench_scalar, bench_train,
                                                       bench_wide,  bench_growth, bench_large};
    if (o->against)
        bench_against(o);
    for (size_t i = 0; !o->against && i < sizeof benches / sizeof *benches; i++)
        benches[i](o);
}

int main(int argc, char **argv)
{
    options o = {0};
    int status = read_options(&o, argc, argv);
    if (status)
        return status > 0 ? status : 0;
    char directory[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - argv[0]) : 1,
             slash ? argv[0] : ".");
    o.directory = directory;
    machine m = machine_here();
    int cores = pin_to(1);
    if (!results_open(&table.file, &o, &m)) {
        fprintf(stderr, "bench: cannot write %s\n", o.output);
        return 2;
    }
    if (!o.json)
        print_machine(&o, &m, cores);
    load l = load_begin();
    run_benches(&o);
    peers_stop();
    load_end(&l);
    progress(NULL);
    print_load(&o, &l, m.cores);
    if (!results_close(&table.file, &l, table.wrong))
        complain("cannot write %s", o.output);
    if (!table.printed && !table.wrong) {
        fprintf(stderr, "bench: no case contains '%s'\n", o.filter ? o.filter : "");
        return 2;
    }
    return table.wrong;
}
