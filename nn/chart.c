/* chart.c - the axes of charts: ranges, ticks, and places on them
 *
 * An axis is worked out in its own space: values, or their logarithms to base 10. Values beyond
 * 1e300 count as infinite, so that no difference of two overflows. */
#include "chart.h"

#include <math.h>
#include <stdlib.h>

#include "words.h"

static const double LARGEST = 1e300, SMALLEST = 1e-300;

static bool range_fits(double low, double high, bool logarithmic)
{
    if (low == 0 && high == 0)
        return true;
    return fabs(low) <= LARGEST && fabs(high) <= LARGEST && low < high &&
           (!logarithmic || low >= SMALLEST);
}

ad_status nn_chart_check(const nn_chart *chart)
{
    if (!chart || (chart->n_series > 0 && !chart->series))
        return AD_NULL;
    if (chart->n_series < 0 || !range_fits(chart->x_low, chart->x_high, chart->log_x) ||
        !range_fits(chart->y_low, chart->y_high, chart->log_y))
        return AD_BAD_ARGUMENT;
    for (int s = 0; s < chart->n_series; s++) {
        if (chart->series[s].n < 0)
            return AD_BAD_ARGUMENT;
        if (chart->series[s].n && (!chart->series[s].x || !chart->series[s].y))
            return AD_NULL;
    }
    return AD_OK;
}

/* ---- places ---- */

static bool can_stand(const nn_axis *axis, double value)
{
    return fabs(value) <= LARGEST && (!axis->logarithmic || value >= SMALLEST);
}

double nn_axis_place(const nn_axis *axis, double value)
{
    if (!can_stand(axis, value))
        return NAN;
    double place =
        ((axis->logarithmic ? log10(value) : value) - axis->from) / (axis->to - axis->from);
    return fmax(-1e6, fmin(1e6, place)); /* far outside is as good as infinitely far */
}

bool nn_place_point(const nn_axis *x, const nn_axis *y, const nn_series *series, int i,
                    double at[2])
{
    at[0] = nn_axis_place(x, series->x[i]);
    at[1] = nn_axis_place(y, series->y[i]);
    return !isnan(at[0]) && !isnan(at[1]);
}

bool nn_is_inside(const double at[2])
{
    const double slack = 1e-9;
    return at[0] >= -slack && at[0] <= 1 + slack && at[1] >= -slack && at[1] <= 1 + slack;
}

/* Liang and Barsky 1984: the part of the line between entering and leaving the unit square. */
bool nn_cut_line(double a[2], double b[2])
{
    double enter = 0, leave = 1, way[2] = {b[0] - a[0], b[1] - a[1]};
    if (nn_is_inside(a) && nn_is_inside(b))
        return true;
    for (int k = 0; k < 2; k++) {
        if (way[k] == 0) {
            if (a[k] < 0 || a[k] > 1)
                return false;
            continue;
        }
        double at0 = -a[k] / way[k], at1 = (1 - a[k]) / way[k];
        enter = fmax(enter, fmin(at0, at1));
        leave = fmin(leave, fmax(at0, at1));
    }
    if (enter > leave)
        return false;
    for (int k = 0; k < 2; k++) {
        b[k] = a[k] + leave * way[k];
        a[k] += enter * way[k];
    }
    return true;
}

/* ---- ticks ---- */

static void add_tick(nn_axis *axis, double value, const char *label)
{
    double place = nn_axis_place(axis, value);
    if (axis->n >= NN_MAX_TICKS || !(place >= -1e-9 && place <= 1 + 1e-9))
        return;
    nn_tick *tick = &axis->tick[axis->n++];
    tick->place = place;
    snprintf(tick->label, sizeof tick->label, "%s", label);
}

/* 1, 2 or 5 times a power of ten: at most `want` of them in the span. */
static double nice_step(double span, int want, bool whole)
{
    double raw = span / want, power = pow(10, floor(log10(raw) + 1e-9)), part = raw / power;
    const double slack = 1 + 1e-6;
    double step = power * (part <= slack ? 1 : part <= 2 * slack ? 2 : part <= 5 * slack ? 5 : 10);
    return whole && step < 1 ? 1 : step;
}

/* As many decimals as the step needs, with an exponent where that would be long. */
static void linear_label(const nn_axis *axis, double value, double step, char label[NN_NUMBER_TEXT])
{
    double most = fmax(fabs(axis->low), fabs(axis->high)), fine = floor(log10(step) + 1e-9);
    if (fabs(value) < step / 2)
        snprintf(label, NN_NUMBER_TEXT, "0");
    else if (most < 1e6 && fine >= -4)
        snprintf(label, NN_NUMBER_TEXT, "%.*f", fine < 0 ? (int)-fine : 0, value);
    else {
        double digits = floor(log10(fabs(value)) + 1e-9) - fine;
        snprintf(label, NN_NUMBER_TEXT, "%.*e", (int)fmax(0, fmin(16, digits)), value);
        nn_compact_number(label);
    }
}

static void linear_ticks(nn_axis *axis, int want)
{
    double step = nice_step(axis->high - axis->low, want, axis->whole);
    double first = ceil(axis->low / step - 1e-6), last = floor(axis->high / step + 1e-6);
    for (double k = first; k <= last && axis->n < NN_MAX_TICKS; k++) {
        char label[NN_NUMBER_TEXT];
        linear_label(axis, k * step, step, label);
        add_tick(axis, k * step, label);
    }
}

/* Is the digit's place in a decade named, where so many decades are shown? */
static bool digit_is_named(int digit, double decades, int want)
{
    return digit == 1 || (decades <= 1 && want >= 5) ||
           (decades * 3 <= want + 2 && (digit == 2 || digit == 5));
}

static void log_ticks(nn_axis *axis, int want)
{
    double decades = axis->to - axis->from, every = ceil(decades / want - 1e-6);
    for (double e = floor(axis->from - 1e-9); e <= axis->to + 1e-9; e++)
        for (int digit = 1; digit <= (decades > 6 ? 1 : 9); digit++) {
            char label[NN_NUMBER_TEXT] = "";
            double value = digit * pow(10, e);
            if (digit_is_named(digit, decades, want) && fmod(e, every) == 0)
                nn_short_number(label, value, 6);
            if (*label || decades <= 6)
                add_tick(axis, value, label);
        }
}

/* ---- ranges ---- */

/* A span that can be divided into ticks, also where all values are one, or there are none. */
static void open_range(nn_axis *axis)
{
    if (axis->low > axis->high) { /* nothing to show */
        axis->low = axis->logarithmic ? .1 : 0;
        axis->high = axis->logarithmic ? 10 : 1;
    }
    double most = fmax(fabs(axis->low), fabs(axis->high)), span = axis->high - axis->low;
    if (span > 1e-9 * most && span > 1e-280)
        return;
    double spare = most < 1e-280 ? 1 : .1 * most;
    axis->low = axis->logarithmic ? axis->low / 2 : axis->low - spare;
    axis->high = axis->logarithmic ? axis->high * 2 : axis->high + spare;
}

static void set_ends(nn_axis *axis)
{
    axis->from = axis->logarithmic ? log10(axis->low) : axis->low;
    axis->to = axis->logarithmic ? log10(axis->high) : axis->high;
}

/* Less than half a decade: a logarithmic axis has the ticks of a linear one. */
static bool is_narrow(const nn_axis *axis) { return axis->to - axis->from < .5; }

/* 1, 2 or 5 times a power of ten, or (coarse) such a power, below or above a value */
static double round_log(double value, bool up, bool coarse)
{
    static const double digits[4] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(value) + 1e-9)), part = value / power, below = 1;
    for (int i = 0; i < 4; i += coarse ? 3 : 1) {
        if (up && digits[i] >= part * (1 - 1e-9))
            return power * digits[i];
        if (digits[i] <= part * (1 + 1e-9))
            below = digits[i];
    }
    return power * below;
}

/* Ends at ticks: a number stands at both. */
static void round_range(nn_axis *axis, int want)
{
    if (!axis->logarithmic || is_narrow(axis)) {
        double step = nice_step(axis->high - axis->low, want, axis->whole);
        double low = step * floor(axis->low / step + 1e-6);
        axis->low = axis->logarithmic && low <= 0 ? axis->low : low;
        axis->high = step * ceil(axis->high / step - 1e-6);
    } else {
        bool coarse = axis->to - axis->from > 3;
        axis->low = fmax(SMALLEST, round_log(axis->low, false, coarse));
        axis->high = fmin(LARGEST, round_log(axis->high, true, coarse));
    }
    set_ends(axis);
}

/* Takes in the points that can be drawn and, where the other axis is settled, are inside of it. */
static void take_range(nn_axis *axis, const nn_chart *chart, bool vertical, const nn_axis *other,
                       bool settled)
{
    for (int s = 0; s < chart->n_series; s++)
        for (int i = 0; i < chart->series[s].n; i++) {
            double x = chart->series[s].x[i], y = chart->series[s].y[i];
            double value = vertical ? y : x, across = vertical ? x : y;
            if (!can_stand(axis, value) || !can_stand(other, across) ||
                (settled && (across < other->low || across > other->high)))
                continue;
            axis->low = fmin(axis->low, value);
            axis->high = fmax(axis->high, value);
            axis->whole = axis->whole && value == floor(value);
        }
    open_range(axis);
    set_ends(axis);
}

static void begin_axis(nn_axis *axis, bool logarithmic, double low, double high)
{
    bool given = low != 0 || high != 0;
    *axis = (nn_axis){.logarithmic = logarithmic, .whole = !given};
    axis->low = given ? low : INFINITY;
    axis->high = given ? high : -INFINITY;
    if (given) {
        open_range(axis);
        set_ends(axis);
    }
}

/* Dots should not stand on the frame, where lines may. */
static void spare_room(nn_axis *axis, const nn_chart *chart)
{
    bool dots = false;
    for (int s = 0; s < chart->n_series; s++)
        dots = dots || chart->series[s].points;
    if (!dots)
        return;
    double spare = .03 * (axis->to - axis->from);
    axis->from -= spare;
    axis->to += spare;
    axis->low = axis->logarithmic ? fmax(SMALLEST, pow(10, axis->from)) : axis->from;
    axis->high = axis->logarithmic ? fmin(LARGEST, pow(10, axis->to)) : axis->to;
    set_ends(axis);
}

void nn_chart_axes(const nn_chart *chart, int x_ticks, int y_ticks, nn_axis *x, nn_axis *y)
{
    x_ticks = x_ticks < 3 ? 3 : x_ticks;
    y_ticks = y_ticks < 3 ? 3 : y_ticks;
    begin_axis(x, chart->log_x, chart->x_low, chart->x_high);
    begin_axis(y, chart->log_y, chart->y_low, chart->y_high);
    bool x_given = chart->x_low != 0 || chart->x_high != 0;
    bool y_given = chart->y_low != 0 || chart->y_high != 0;
    if (!x_given) {
        take_range(x, chart, false, y, y_given);
        spare_room(x, chart);
    }
    if (!y_given) {
        take_range(y, chart, true, x, true);
        round_range(y, y_ticks);
    }
    nn_axis *const axes[2] = {x, y};
    for (int k = 0; k < 2; k++)
        (axes[k]->logarithmic && !is_narrow(axes[k]) ? log_ticks : linear_ticks)(
            axes[k], k ? y_ticks : x_ticks);
}
