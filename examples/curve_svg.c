/* curve_svg.c - learning curves as a picture: the loss on a logarithmic axis, the accuracy beside
 * it */
#include "curve_svg.h"

#include <math.h>
#include <stdio.h>

/* colours that are told apart with any kind of colour vision (Okabe and Ito) */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73",
                                      "#cc79a7", "#e69f00", "#56b4e9"};
enum { COLOURS = sizeof colours / sizeof *colours };

typedef struct panel {
    double left, top, width, height; /* in pixels */
    double low, high;                /* of the vertical axis */
    bool logarithmic;
    int epochs;
} panel;

static double across(const panel *p, double epoch)
{
    return p->left + p->width * (p->epochs > 1 ? (epoch - 1) / (p->epochs - 1) : .5);
}

static double down(const panel *p, double y)
{
    double part = p->logarithmic ? log(y / p->low) / log(p->high / p->low)
                                 : (y - p->low) / (p->high - p->low);
    return p->top + p->height * (1 - part);
}

static void gridline(FILE *to, const panel *p, double y, const char *format)
{
    fprintf(to, "<path class='grid' d='M%.1f %.1fh%.1f'/>", p->left, down(p, y), p->width);
    fprintf(to, "<text class='tick' text-anchor='end' x='%.1f' y='%.1f'>", p->left - 8,
            down(p, y) + 4);
    fprintf(to, format, y);
    fputs("</text>\n", to);
}

static void draw_frame(FILE *to, const panel *p, const char *title)
{
    fprintf(to, "<text class='title' x='%.1f' y='%.1f'>%s</text>\n", p->left, p->top - 14, title);
    if (p->logarithmic)
        for (double decade = p->low; decade < p->high * 1.001; decade *= 10)
            gridline(to, p, decade, "%g");
    else
        for (int i = 0; i <= 4; i++)
            gridline(to, p, p->low + (p->high - p->low) * i / 4, "%g %%");
    fprintf(to, "<path class='axis' d='M%.1f %.1fv%.1fh%.1f'/>\n", p->left, p->top, p->height,
            p->width);
    int step = p->epochs > 60 ? 20 : p->epochs > 20 ? 10 : p->epochs > 8 ? 5 : 1;
    for (int e = 1; e <= p->epochs; e += e == 1 && step > 1 ? step - 1 : step)
        fprintf(to, "<text class='tick' text-anchor='middle' x='%.1f' y='%.1f'>%d</text>\n",
                across(p, e), p->top + p->height + 18, e);
    fprintf(to, "<text class='tick' text-anchor='middle' x='%.1f' y='%.1f'>epoch</text>\n",
            p->left + p->width / 2, p->top + p->height + 38);
}

static void draw_line(FILE *to, const panel *p, int n, const double *y, const char *colour)
{
    fprintf(to, "<polyline clip-path='url(#inside)' stroke='%s' points='", colour);
    for (int e = 0; e < n; e++)
        fprintf(to, "%.1f,%.1f ", across(p, e + 1), down(p, y[e]));
    fputs("'/>\n", to);
}

static double decade_below(double x) { return pow(10, floor(log10(x > 1e-9 ? x : 1e-9))); }

bool curve_write(const char *path, int runs, const history *h, double median)
{
    FILE *to = fopen(path, "w");
    if (!to || runs < 1)
        return false;
    double low = INFINITY, high = 0;
    for (int r = 0; r < runs; r++)
        for (int e = 0; e < h[r].epochs; e++) {
            low = h[r].loss[e] < low ? h[r].loss[e] : low;
            high = h[r].loss[e] > high ? h[r].loss[e] : high;
        }
    low = decade_below(low);
    high = decade_below(high) * 10;
    panel loss = {70, 84, 340, 250, low, high, true, h->epochs};
    panel accuracy = {500, 84, 340, 250, median > 90 ? 80 : 0, 100, false, h->epochs};

    fputs(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 880 420' width='880' height='420'>\n"
        "<style>text{font-family:sans-serif;fill:#222} .head{font-size:17px;font-weight:bold}"
        ".title{font-size:14px} .tick{font-size:12px;fill:#555} .grid{stroke:#ddd;fill:none}"
        ".axis{stroke:#555;fill:none} polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}"
        ".median{stroke:#222;stroke-dasharray:5 4;fill:none}</style>\n"
        "<clipPath id='inside'><rect y='80' width='880' height='254'/></clipPath>\n"
        "<rect width='880' height='420' fill='white'/>\n"
        "<text class='head' x='70' y='34'>64-64-32-10 network on 8x8 handwritten digits</text>\n",
        to);
    draw_frame(to, &loss, "training loss (cross-entropy, logarithmic)");
    draw_frame(to, &accuracy, "test accuracy");
    for (int r = 0; r < runs; r++) {
        const char *colour = colours[r % COLOURS];
        draw_line(to, &loss, h[r].epochs, h[r].loss, colour);
        draw_line(to, &accuracy, h[r].epochs, h[r].accuracy, colour);
        if (r < COLOURS) {
            fprintf(to, "<path stroke='%s' stroke-width='3' d='M%d 405h22'/>", colour,
                    70 + 100 * r);
            fprintf(to, "<text class='tick' x='%d' y='409'>seed %d</text>\n", 98 + 100 * r, r + 1);
        }
    }
    fprintf(to, "<path class='median' d='M%.1f %.1fh%.1f'/>", accuracy.left,
            down(&accuracy, median), accuracy.width);
    fprintf(to,
            "<text class='tick' text-anchor='end' x='%.1f' y='%.1f'>median at the end: %.2f "
            "%%</text>\n",
            accuracy.left + accuracy.width - 4, down(&accuracy, median) + 84, median);
    fputs("</svg>\n", to);
    return fclose(to) == 0;
}
