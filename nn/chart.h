/* chart.h - what the two ways of drawing a chart share: ranges, ticks, cutting at the frame */
#ifndef NN_CHART_H
#define NN_CHART_H
#include "nn.h"

enum { NN_MAX_TICKS = 96, NN_TICK_TEXT = 40 };

typedef struct nn_tick {
    double place;             /* 0: the axis' low end, 1: its high end */
    char label[NN_TICK_TEXT]; /* "": a thin line between the others */
} nn_tick;

typedef struct nn_axis {
    bool logarithmic;
    double low, high; /* values */
    double from, to;  /* the same, or their logarithms */
    bool whole;       /* integers only: no ticks between them */
    int n;
    nn_tick tick[NN_MAX_TICKS];
} nn_axis;

ad_status nn_chart_check(const nn_chart *chart);
/* The ranges that a chart asks for or its series need, with about so many ticks. Needs
 * nn_c_numbers. */
void nn_chart_axes(const nn_chart *chart, int x_ticks, int y_ticks, nn_axis *x, nn_axis *y);
/* Where a value stands on an axis, 0 to 1 between its ends; NaN where it stands nowhere. */
double nn_axis_place(const nn_axis *axis, double value);
/* Both places of a point; false where it cannot be drawn, and lines have a gap. */
bool nn_place_point(const nn_axis *x, const nn_axis *y, const nn_series *series, int i,
                    double at[2]);
bool nn_is_inside(const double at[2]);
/* Cuts a line at the frame; false where nothing of it is inside. */
bool nn_cut_line(double a[2], double b[2]);
/* Many charts side by side in one picture, under one title. */
ad_status nn_panels_svg(const char *title, int n, const nn_chart *charts, FILE *to);

#endif
