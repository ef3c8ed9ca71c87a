/* chart_svg.h - what the picture of a chart and the paths of its series share */
#ifndef NN_CHART_SVG_H
#define NN_CHART_SVG_H
#include "chart.h"

typedef struct nn_panel {
    const nn_chart *chart;
    nn_axis x, y;
    int left, top, width, height; /* of the frame, in pixels */
    int right;                    /* where the panel ends */
    FILE *to;
} nn_panel;

/* A number of pixels in tenths, never 1.50 or 2.0; apart from a number before it. */
void nn_put_pixels(FILE *to, double pixels, bool part);
double nn_pixel_x(const nn_panel *panel, double place);
double nn_pixel_y(const nn_panel *panel, double place);
/* A series in the frame; false when out of memory. */
bool nn_draw_series(const nn_panel *panel, int number);
/* Its line or mark alone, for the legend, `width` pixels wide. */
void nn_draw_sample(FILE *to, int number, bool dots, int x, int y, int width);

#endif
