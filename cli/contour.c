/* contour.c - see contour.h: levels, and the field as letters */
#include "contour.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/* ---- levels ---- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double contour_quantile(int n, double *values, double q)
{
    int finite = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(values[i]))
            values[finite++] = values[i];
    qsort(values, (size_t)finite, sizeof *values, compare);
    return finite ? values[(int)(q * (finite - 1) + .5)] : (double)NAN;
}

double contour_round_step(double x)
{
    static const double steps[] = {1, 2, 5, 10};
    const double power = pow(10, floor(log10(x)));
    for (int i = 0; i < 4; i++)
        if (power * steps[i] >= x * (1 - 1e-12))
            return power * steps[i];
    return power * 10;
}

enum { ABOUT = 10 }; /* levels */

static void choose_steps(contour_levels *l, double low, double high)
{
    l->step = contour_round_step((high - low) / ABOUT);
    const double first = ceil(low / l->step - 1e-9);
    for (; l->n < CONTOUR_MOST && (first + l->n) * l->step <= high + 1e-9 * l->step; l->n++)
        l->at[l->n] = (first + l->n) * l->step;
}

/* Down from the highest: 100, 50, 20, 10 ... */
static void choose_powers(contour_levels *l, double high)
{
    static const double steps[] = {5, 2, 1};
    double down[CONTOUR_MOST] = {0}, power = pow(10, floor(log10(high)));
    for (; l->n < ABOUT; power /= 10)
        for (int i = 0; i < 3; i++)
            if (power * steps[i] <= high && l->n < ABOUT)
                down[l->n++] = power * steps[i];
    for (int i = 0; i < l->n; i++)
        l->at[i] = down[l->n - 1 - i];
}

/* A pole must not push all levels to its foot: the outer hundredths do not count then. */
bool contour_choose(const field *f, contour_levels *levels)
{
    const int n = (f->columns + 1) * (f->rows + 1);
    double *sorted = malloc((size_t)n * sizeof *sorted);
    *levels = (contour_levels){0};
    if (!sorted)
        return false;
    memcpy(sorted, f->value, (size_t)n * sizeof *sorted);
    double low = contour_quantile(n, sorted, .01), high = contour_quantile(n, sorted, .99);
    const double least = contour_quantile(n, sorted, 0), most = contour_quantile(n, sorted, 1),
                 middle = contour_quantile(n, sorted, .5);
    free(sorted);
    if (isnan(low))
        return true;
    if (most - least < 4 * (high - low) || high <= low) /* no pole: all of it */
        low = least, high = most;
    if (!(high > low))
        *levels = (contour_levels){{low}, 1, 1};
    else if (least >= 0 && middle < .25 * high)
        choose_powers(levels, high);
    else
        choose_steps(levels, low, high);
    return true;
}

/* ---- as letters ---- */

/* Interval 0 is below the first level. */
static int interval_of(const contour_levels *l, double value)
{
    int i = 0;
    while (i < l->n && value >= l->at[i] - 1e-9 * fabs(l->at[i]))
        i++;
    return i;
}

static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static const char *arrow(const field *f, int at)
{
    static const char *const arrows[] = {"\xe2\x86\x92", "\xe2\x86\x97", "\xe2\x86\x91",
                                         "\xe2\x86\x96", "\xe2\x86\x90", "\xe2\x86\x99",
                                         "\xe2\x86\x93", "\xe2\x86\x98"};
    const double x = f->dx[at] / (f->x_high - f->x_low), y = f->dy[at] / (f->y_high - f->y_low);
    if (!isfinite(x) || !isfinite(y) || !isfinite(f->value[at]))
        return NULL;
    if (x == 0 && y == 0)
        return "\xc2\xb7";
    return arrows[(int)floor(atan2(y, x) / 0.78539816339744830962 + .5) & 7];
}

static void put_row(const field *f, const contour_levels *l, int row, int columns, int rows,
                    bool ascii, FILE *to)
{
    const int y = (int)lround((double)f->rows * (rows - 1 - row) / (rows - 1));
    for (int column = 0; column < columns; column++) {
        const int x = (int)lround((double)f->columns * column / (columns - 1));
        const int at = y * (f->columns + 1) + x;
        const char *sign = !ascii && row % 4 == 2 && column % 8 == 4 ? arrow(f, at) : NULL;
        if (sign)
            fputs(sign, to);
        else
            fputc(isnan(f->value[at]) ? ' ' : letters[interval_of(l, f->value[at])], to);
    }
}

static void put_legend(const field *f, const contour_levels *l, bool ascii, FILE *to)
{
    char from[32], until[32];
    int column = 0;
    for (int i = 0; i <= l->n; i++) {
        char text[80];
        trace_number(from, l->at[i ? i - 1 : 0], 6);
        trace_number(until, l->at[i < l->n ? i : 0], 6);
        if (i == 0)
            snprintf(text, sizeof text, "0: below %s", until);
        else if (i == l->n)
            snprintf(text, sizeof text, "%c: from %s", letters[i], from);
        else
            snprintf(text, sizeof text, "%c: %s to %s", letters[i], from, until);
        if (column && column + 3 + (int)strlen(text) > 78) {
            fputc('\n', to);
            column = 0;
        }
        column += fprintf(to, column ? "   %s" : "%s", text);
    }
    fprintf(to, "\n%s goes to the right, %s upward.%s\n", f->x_name, f->y_name,
            ascii ? "" : " Arrows point along the gradient, uphill.");
}

bool contour_text(const field *f, const contour_levels *l, int columns, int rows, bool ascii,
                  FILE *to)
{
    enum { MARGIN = 10 };
    char number[32];
    columns -= MARGIN;
    fprintf(to, "%s\n", f->title);
    for (int row = 0; row < rows; row++) {
        const bool named = row == 0 || row == rows - 1;
        fprintf(to, "%*s ", MARGIN - 1,
                !named ? "" : trace_number(number, row ? f->y_low : f->y_high, 3));
        put_row(f, l, row, columns, rows, ascii, to);
        fputc('\n', to);
    }
    const int used = fprintf(to, "%*s%s", MARGIN, "", trace_number(number, f->x_low, 3));
    fprintf(to, "%*s\n\n", MARGIN + columns - used, trace_number(number, f->x_high, 3));
    put_legend(f, l, ascii, to);
    return true;
}
