/* progress.c - what a training run shows
 *
 *     epoch 12/50 [######----] 600/938  loss 0.2134  acc 93.71%  lr 1e-3  eta 0:07
 *     epoch 11/50  val loss 0.2011  acc 94.20%  (best 0.1987, epoch 9; patience 2/5)
 *
 * On a terminal the first line is drawn again and again and every epoch leaves one of the second
 * kind; elsewhere there is one line an epoch, with all of it. Nothing is kept between calls: the
 * FILE is the whole state, and whether a tenth of a second has gone by is reckoned from the run's
 * own times. Where a line would be wider than the terminal, its least important parts go. */
#define _POSIX_C_SOURCE 200809L
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nn.h"
#include "number.h"
#include "words.h"

/* ---- lines that fit ---- */

enum { PARTS = 32, PART_TEXT = 256, LINE_TEXT = 1024, BAR = 10, PLAIN = 80 };

/* Parts of a line; those with the highest rank go first where there is no room. Rank 0 stays. */
typedef struct line {
    int n;
    struct {
        int rank;
        char text[PART_TEXT];
    } part[PARTS];
} line;

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
add(line *l, int rank, const char *format, ...)
{
    if (l->n == PARTS)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(l->part[l->n].text, PART_TEXT, format, arguments);
    va_end(arguments);
    l->part[l->n++].rank = rank;
}

static size_t width_of(const line *l)
{
    size_t width = 0;
    for (int i = 0; i < l->n; i++)
        width += strlen(l->part[i].text);
    return width;
}

/* Drops the last of the least important parts; false where there is none left to drop. */
static bool drop_one(line *l)
{
    int worst = 0;
    for (int i = 1; i < l->n; i++)
        worst = l->part[i].rank >= l->part[worst].rank ? i : worst;
    if (!l->n || l->part[worst].rank == 0)
        return false;
    l->n--;
    memmove(&l->part[worst], &l->part[worst + 1], (size_t)(l->n - worst) * sizeof l->part[0]);
    return true;
}

static void put_line(line *l, size_t width, FILE *to)
{
    char text[LINE_TEXT] = "";
    size_t length = 0;
    width = width < LINE_TEXT - 1 ? width : LINE_TEXT - 1;
    while (width_of(l) > width && drop_one(l))
        ;
    for (int i = 0; i < l->n && length < width; i++) {
        size_t more = strlen(l->part[i].text), room = width - length;
        more = more < room ? more : room;
        memcpy(text + length, l->part[i].text, more);
        length += more;
    }
    fwrite(text, 1, length, to);
}

/* ---- the terminal ---- */

static bool is_terminal(FILE *to)
{
    const char *kind = getenv("TERM");
    int number = fileno(to);
    return number >= 0 && isatty(number) && !(kind && !strcmp(kind, "dumb"));
}

/* Columns that can be written without a new line; unlimited where `to` is no terminal. */
static size_t room_of(FILE *to, bool terminal)
{
    const char *columns = getenv("COLUMNS");
    long width = 0;
    if (!terminal)
        return LINE_TEXT;
#ifdef TIOCGWINSZ
    struct winsize size;
    if (!ioctl(fileno(to), TIOCGWINSZ, &size))
        width = size.ws_col;
#endif
    if (width <= 0 && columns)
        width = strtol(columns, NULL, 10);
    return width > 1 ? (size_t)width - 1 : PLAIN - 1;
}

/* ---- numbers ---- */

/* Four digits, and as many characters from one line to the next as can be. */
static void value_text(char text[NN_NUMBER_TEXT], double value)
{
    double size = fabs(value);
    if (size >= .001 && size < 10000)
        snprintf(text, NN_NUMBER_TEXT, "%.*f",
                 size < 10     ? 4
                 : size < 100  ? 3
                 : size < 1000 ? 2
                               : 1,
                 value);
    else
        nn_short_number(text, value, 4);
}

static void rate_text(char text[NN_NUMBER_TEXT], double rate)
{
    if (rate > 0 && rate < .01) {
        snprintf(text, NN_NUMBER_TEXT, "%.2e", rate);
        nn_compact_number(text);
    } else
        nn_short_number(text, rate, 3);
}

/* 0:07, 12:34, 1:02:03 */
static void time_text(char text[NN_NUMBER_TEXT], double seconds)
{
    long long s = llround(fmin(seconds, 1e12));
    if (s < 3600)
        snprintf(text, NN_NUMBER_TEXT, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(text, NN_NUMBER_TEXT, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

static void add_value(line *l, int rank, const char *name, double value)
{
    char text[NN_NUMBER_TEXT];
    value_text(text, value);
    add(l, rank, "  %s %s", name, text);
}

static void add_time(line *l, int rank, const char *name, double seconds)
{
    char text[NN_NUMBER_TEXT];
    if (!(seconds >= 0 && seconds < 1e12))
        return;
    time_text(text, seconds);
    add(l, rank, "  %s %s", name, text);
}

static void add_rate(line *l, int rank, double rate)
{
    char text[NN_NUMBER_TEXT];
    rate_text(text, rate);
    add(l, rank, "  lr %s", text);
}

/* The first one at `rank`, the others (which go before it) above. */
static void add_metrics(line *l, int rank, unsigned metrics, const nn_scores *scores)
{
    int others = rank + 1;
    for (int k = 0; k < NN_METRICS; k++) {
        int bit = 1 << k;
        double value = metrics & (unsigned)bit ? nn_score(scores, bit) : NAN;
        if (isnan(value))
            continue;
        if (bit == NN_ACCURACY)
            add(l, rank, "  acc %.2f%%", 100 * value);
        else
            add_value(l, rank, nn_metric_name(bit), value);
        rank = others;
    }
    if (!isnan(scores->custom))
        add_value(l, rank, "custom", scores->custom);
}

/* ---- lines ---- */

static void add_bar(line *l, const nn_progress_info *info)
{
    if (info->batches <= 0) {
        add(l, 2, " batch %lld", (long long)info->batch);
        return;
    }
    double share = fmax(0, fmin(1, (double)info->batch / (double)info->batches));
    int full = (int)(share * BAR);
    add(l, 3, " [%.*s%.*s]", full, "##########", BAR - full, "----------");
    add(l, 2, " %lld/%lld", (long long)info->batch, (long long)info->batches);
}

/* Where the fit is now. */
static void running_line(line *l, const nn_progress_info *info)
{
    add(l, 0, "epoch %d/%d", info->epoch, info->epochs);
    add_bar(l, info);
    add_value(l, 0, "loss", info->training.loss);
    add_metrics(l, 4, info->metrics, &info->training);
    add_rate(l, 6, info->rate);
    add_time(l, 1, "eta", info->seconds_left);
}

static void add_best(line *l, const nn_progress_info *info)
{
    char best[NN_NUMBER_TEXT];
    if (info->best_epoch <= 0 || (!info->has_validation && !info->patience))
        return;
    value_text(best, info->best);
    if (info->patience)
        add(l, 2, "  (best %s, epoch %d; patience %d/%d)", best, info->best_epoch, info->waited,
            info->patience);
    else
        add(l, 2, "  (best %s, epoch %d)", best, info->best_epoch);
}

/* What an epoch, or a validation, came to. */
static void finished_line(line *l, const nn_progress_info *info)
{
    bool validated = info->has_validation;
    add(l, 0, "epoch %d/%d", info->epoch, info->epochs);
    if (info->event == NN_VALIDATED)
        add(l, 3, " %lld/%lld", (long long)info->batch, (long long)info->batches);
    add_value(l, validated ? 5 : 0, "loss", info->training.loss);
    add_metrics(l, validated ? 6 : 1, info->metrics, &info->training);
    if (validated) {
        add_value(l, 0, "val loss", info->validation.loss);
        add_metrics(l, 1, info->metrics, &info->validation);
    }
    add_best(l, info);
    add_rate(l, 9, info->rate);
    add_time(l, 8, "time", info->seconds);
}

/* Why it ended before its time. */
static void closing_line(line *l, const nn_progress_info *info)
{
    char best[NN_NUMBER_TEXT];
    add(l, 0, "stopped: %s", info->stopped);
    if (!strcmp(info->stopped, "no improvement") && info->patience)
        add(l, 0, " in %d validation%s", info->patience, info->patience == 1 ? "" : "s");
    if (info->best_epoch <= 0)
        return;
    value_text(best, info->best);
    add(l, 1, "; best %s in epoch %d%s", best, info->best_epoch, info->patience ? " restored" : "");
}

/* ---- when ---- */

/* How long a step takes: from the estimate for the rest (a fit that goes on has counted steps of
 * other runs), else from what has passed. */
static double seconds_a_step(const nn_progress_info *info)
{
    if (info->batches > 0 && info->seconds_left > 0) {
        double left = (double)(info->epochs - info->epoch) * (double)info->batches +
                      (double)(info->batches - info->batch);
        if (left > 0)
            return info->seconds_left / left;
    }
    return info->step > 0 ? info->seconds / (double)info->step : info->seconds;
}

/* Has this step gone over a tenth of a second of the run? Without times, over a hundredth of the
 * epoch. */
static bool is_due(const nn_progress_info *info)
{
    if (info->seconds > 0) {
        double before = fmax(0, info->seconds - seconds_a_step(info));
        return floor(10 * info->seconds) > floor(10 * before);
    }
    if (info->batches <= 0)
        return info->batch % 100 == 0;
    double parts = 100 / (double)info->batches;
    return floor((double)info->batch * parts) > floor((double)(info->batch - 1) * parts);
}

static bool shows(const nn_progress_info *info, bool terminal)
{
    switch (info->event) {
    case NN_STEP_DONE:
        return terminal;
    case NN_VALIDATED: /* in the middle of an epoch; at its end the epoch's line says it */
        return terminal && info->batches > 0 && info->batch < info->batches;
    case NN_EPOCH_DONE:
        return true;
    case NN_FIT_DONE:
        return terminal || info->stopped;
    default:
        return false;
    }
}

static void show(const nn_progress_info *info, bool terminal, FILE *to)
{
    line l = {0};
    bool step = info->event == NN_STEP_DONE, done = info->event == NN_FIT_DONE;
    if (step)
        running_line(&l, info);
    else if (!done)
        finished_line(&l, info);
    else if (info->stopped)
        closing_line(&l, info);
    if (terminal)
        fputs("\r", to);
    put_line(&l, room_of(to, terminal), to);
    if (terminal)
        fputs("\033[K", to); /* erases the rest of the line before */
    if (l.n && !step)
        fputs("\n", to);
    fflush(to);
}

static bool progress(void *user, const nn_progress_info *info)
{
    FILE *to = user;
    nn_numbers numbers;
    if (!to || !info || (info->event == NN_STEP_DONE && !is_due(info)))
        return true;
    bool terminal = is_terminal(to);
    if (shows(info, terminal) && nn_c_numbers(&numbers)) {
        show(info, terminal, to);
        nn_own_numbers(&numbers);
    }
    return true; /* a picture that fails is no reason to stop */
}

nn_callback nn_progress(FILE *to) { return (nn_callback){progress, to}; }
