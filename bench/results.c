/* results.c - the file of results: one JSON object, a row a line
 *
 * What it was measured on comes first, then the rows, then what was remarked and how busy the
 * machine was. bench/report.py makes tables and plots of it. */
#define _POSIX_C_SOURCE 200809L
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tapegrad/ad.h>

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif

static void print_number(FILE *to, const char *key, double value)
{
    if (isfinite(value))
        fprintf(to, "\"%s\":%.6g,", key, value);
    else
        fprintf(to, "\"%s\":null,", key);
}

static void print_string(FILE *to, const char *text)
{
    putc('"', to);
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            fprintf(to, "\\u%04x", (unsigned char)*text);
        else
            fprintf(to, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    putc('"', to);
}

static void print_text(FILE *to, const char *key, const char *text, const char *after)
{
    fprintf(to, "\"%s\":", key);
    print_string(to, text ? text : "");
    fputs(after, to);
}

static void print_samples(FILE *to, const char *key, const samples *s)
{
    const samples none = {0};
    char name[32];
    if (!s)
        s = &none;
    print_number(to, key, samples_median(s));
    snprintf(name, sizeof name, "%s_low", key);
    print_number(to, name, samples_quantile(s, .25));
    snprintf(name, sizeof name, "%s_high", key);
    print_number(to, name, samples_quantile(s, .75));
}

void results_row(FILE *to, const result *r)
{
    const samples none = {0}, ratio = samples_ratios(r->ours, r->peer ? r->peer : &none);
    putc('{', to);
    print_text(to, "bench", r->bench, ",");
    print_text(to, "case", r->name, ",");
    if (r->size > 0)
        print_number(to, "size", r->size);
    print_text(to, "way", r->ours_name, ",");
    print_samples(to, "ours", r->ours);
    print_samples(to, "peer", r->peer);
    print_text(to, "peer_name", r->peer_name, ",");
    print_samples(to, "ratio", &ratio);
    print_number(to, "rounds", r->ours->n);
    if (r->aim > 0) {
        print_number(to, "promise", r->aim);
        fprintf(to, "\"met\":%s,",
                ratio.n == 0                       ? "null"
                : samples_median(&ratio) <= r->aim ? "true"
                                                   : "false");
    }
    print_text(to, "unit", r->unit, "}");
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static void print_head(FILE *to, const options *o, const machine *m)
{
    char date[32];
    time_t now = time(NULL);
    const char *commit = getenv("TAPEGRAD_BENCH_COMMIT"), *dirty = getenv("TAPEGRAD_BENCH_DIRTY");
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    fputs("{\"format\":1,\n\"machine\":{", to);
    print_text(to, "cpu", m->cpu, ",");
    print_number(to, "cores", m->cores);
    print_number(to, "memory_gib", m->memory_gib);
    print_number(to, "last_cache_mib", m->last_cache_mib);
    print_text(to, "system", m->system, "},\n\"build\":{");
    print_text(to, "version", ad_version(), ",");
    print_text(to, "commit", commit ? commit : "", ",");
    fprintf(to, "\"dirty\":%s,", dirty && *dirty ? "true" : "false");
    print_text(to, "compiler", m->compiler, ",");
    print_text(to, "flags", BENCH_FLAGS, "},\n\"run\":{");
    print_text(to, "date", date, ",");
    print_text(to, "against", o->other_name, ",");
    print_text(to, "filter", o->filter, ",");
    fprintf(to, "\"quick\":%s},\n\"rows\":[", o->quick ? "true" : "false");
}

bool results_open(results *f, const options *o, const machine *m)
{
    *f = (results){0};
    if (!o->output)
        return true;
    snprintf(f->path, sizeof f->path, "%s", o->output);
    snprintf(f->part, sizeof f->part, "%s.part", f->path);
    f->file = fopen(f->part, "w");
    if (f->file)
        print_head(f->file, o, m);
    return f->file;
}

void results_add(results *f, const result *r)
{
    if (!f->file)
        return;
    fputs(f->rows++ ? ",\n" : "\n", f->file);
    results_row(f->file, r);
    fflush(f->file);
}

void results_note(results *f, const char *text)
{
    size_t had = f->notes ? strlen(f->notes) : 0, more = strlen(text);
    char *notes = f->file ? realloc(f->notes, had + more + 2) : NULL;
    if (!notes)
        return;
    memcpy(notes + had, text, more);
    memcpy(notes + had + more, "\n", 2);
    f->notes = notes;
}

bool results_close(results *f, const load *l, bool wrong)
{
    if (!f->file)
        return true;
    fputs("],\n\"notes\":[", f->file);
    int n = 0;
    for (char *line = f->notes ? strtok(f->notes, "\n") : NULL; line; line = strtok(NULL, "\n")) {
        fputs(n++ ? ",\n" : "", f->file);
        print_string(f->file, line);
    }
    fputs("],\n\"load\":{", f->file);
    print_number(f->file, "average_before", l->average_before);
    print_number(f->file, "average_after", l->average_after);
    print_number(f->file, "others_cores", l->others);
    print_number(f->file, "stolen_cores", l->stolen);
    fprintf(f->file, "\"seconds\":%.0f},\n\"wrong\":%s}\n", seconds_now() - l->started,
            wrong ? "true" : "false");
    bool fine = fclose(f->file) == 0 && rename(f->part, f->path) == 0;
    free(f->notes);
    *f = (results){0};
    return fine;
}
