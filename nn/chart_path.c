/* chart_path.c - the lines and dots of a chart's series, as paths of SVG
 *
 * Series differ in colour and also in dashes or shape. A long one is thinned to what its pixels can
 * show. Places are written in tenths of a pixel, as integers, so that the bytes are the same
 * everywhere. */
#include <math.h>
#include <stdlib.h>

#include "chart_svg.h"
#include "words.h"

/* colours that are told apart with any kind of colour vision (Okabe and Ito 2008), yellow left out
 */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#333"};
static const char *const dashes[] = {NULL, "7 4", "2 3.5", "10 3 2 3", "14 4", "5 2.5 2 2.5 2 2.5"};
/* from the middle of the mark on */
static const struct shape {
    const char *path, *width;
} shapes[] = {
    {"h0", "6"},
    {"m-3.5 0h7m-3.5-3.5v7", "1.6"},
    {"m-2.5-2.5h5v5h-5z", "1"},
    {"m-3-3l6 6m0-6l-6 6", "1.6"},
    {"m0-3.5l3.5 6h-7z", "1"},
    {"m0-3.7l3.7 3.7-3.7 3.7-3.7-3.7z", "1"},
};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static long tenths(double pixels) { return lround(pixels * 10); }

/* One number of a path; numbers after the first of a command are parted where they need it. */
static void put_tenths(FILE *to, long n, bool part)
{
    unsigned long size = n < 0 ? 0ul - (unsigned long)n : (unsigned long)n;
    fprintf(to, "%s%lu", n < 0 ? "-" : part ? " " : "", size / 10);
    if (size % 10)
        fprintf(to, ".%lu", size % 10);
}

void nn_put_pixels(FILE *to, double pixels, bool part) { put_tenths(to, tenths(pixels), part); }

double nn_pixel_x(const nn_panel *p, double place) { return p->left + p->width * place; }

double nn_pixel_y(const nn_panel *p, double place) { return p->top + p->height * (1 - place); }

/* ---- lines ---- */

/* Points in one column of pixels are drawn as its first, lowest, highest and last one (Jugel et al.
 * 2014): the same picture as all of them. */
typedef struct column {
    int n;
    double number;
    int at[4]; /* indices of the four */
    double point[4][2];
} column;

typedef struct pen {
    const nn_panel *panel;
    bool drawing; /* there is a point to go on from */
    double last[2];
    bool started; /* the path has a place */
    long x, y;    /* in tenths of a pixel */
    int written;
} pen;

static void pen_move(pen *p, const double a[2])
{
    long x = tenths(nn_pixel_x(p->panel, a[0])), y = tenths(nn_pixel_y(p->panel, a[1]));
    if (p->started && p->x == x && p->y == y)
        return;
    fputs("M", p->panel->to);
    put_tenths(p->panel->to, x, false);
    put_tenths(p->panel->to, y, true);
    p->started = true;
    p->x = x;
    p->y = y;
    p->written = 0;
}

static void pen_draw(pen *p, const double b[2])
{
    FILE *to = p->panel->to;
    long x = tenths(nn_pixel_x(p->panel, b[0])), y = tenths(nn_pixel_y(p->panel, b[1]));
    if (p->written % 16 == 0)
        fputs(p->written ? "\nl" : "l", to);
    put_tenths(to, x - p->x, p->written % 16 != 0);
    put_tenths(to, y - p->y, true);
    p->x = x;
    p->y = y;
    p->written++;
}

static void pen_to(pen *p, const double at[2])
{
    double a[2] = {p->last[0], p->last[1]}, b[2] = {at[0], at[1]};
    if (p->drawing && nn_cut_line(a, b)) {
        pen_move(p, a);
        pen_draw(p, b);
    }
    p->drawing = true;
    p->last[0] = at[0];
    p->last[1] = at[1];
}

static void column_flush(column *c, pen *p)
{
    if (!c->n)
        return;
    int order[4] = {0, c->at[1] < c->at[2] ? 1 : 2, c->at[1] < c->at[2] ? 2 : 1, 3};
    for (int k = 0; k < 4; k++)
        if (!k || c->at[order[k]] != c->at[order[k - 1]])
            pen_to(p, c->point[order[k]]);
    c->n = 0;
}

static void column_keep(column *c, int k, int i, const double at[2])
{
    c->at[k] = i;
    c->point[k][0] = at[0];
    c->point[k][1] = at[1];
}

static void column_add(column *c, pen *p, int i, const double at[2])
{
    double number = floor(at[0] * p->panel->width);
    if (c->n && c->number != number)
        column_flush(c, p);
    c->number = number;
    if (!c->n || at[1] < c->point[1][1])
        column_keep(c, 1, i, at);
    if (!c->n || at[1] > c->point[2][1])
        column_keep(c, 2, i, at);
    if (!c->n++)
        column_keep(c, 0, i, at);
    column_keep(c, 3, i, at);
}

static void draw_line(const nn_panel *p, const nn_series *s)
{
    pen line = {.panel = p};
    column c = {0};
    double at[2];
    for (int i = 0; i < s->n; i++)
        if (nn_place_point(&p->x, &p->y, s, i, at))
            column_add(&c, &line, i, at);
        else {
            column_flush(&c, &line);
            line.drawing = false;
        }
    column_flush(&c, &line);
}

/* ---- dots ---- */

static bool stands(const nn_panel *p, const nn_series *s, int i)
{
    double at[2];
    return i >= 0 && i < s->n && nn_place_point(&p->x, &p->y, s, i, at);
}

/* Dots on the same two pixels are drawn once. Of a line, only the points between two gaps. */
static bool draw_dots(const nn_panel *p, const nn_series *s, const char *shape)
{
    size_t wide = (size_t)p->width / 2 + 2, high = (size_t)p->height / 2 + 2;
    char *taken = calloc(wide, high);
    if (!taken)
        return false;
    for (int i = 0; i < s->n; i++) {
        double at[2];
        if (!nn_place_point(&p->x, &p->y, s, i, at) || !nn_is_inside(at))
            continue;
        if (!s->points && (stands(p, s, i - 1) || stands(p, s, i + 1)))
            continue;
        size_t across = (size_t)(fmax(0, at[0]) * p->width / 2);
        char *cell = &taken[across * high + (size_t)(fmax(0, at[1]) * p->height / 2)];
        if (*cell)
            continue;
        *cell = 1;
        fputs("M", p->to);
        put_tenths(p->to, tenths(nn_pixel_x(p, at[0])), false);
        put_tenths(p->to, tenths(nn_pixel_y(p, at[1])), true);
        fprintf(p->to, "%s\n", shape);
    }
    free(taken);
    return true;
}

static void begin_path(FILE *to, int number, const char *width, bool line)
{
    const char *colour = colours[number % COUNT(colours)], *dash = dashes[number % COUNT(dashes)];
    fprintf(to, "<path fill='%s' stroke='%s' stroke-width='%s'", line ? "none" : colour, colour,
            width);
    if (line && dash)
        fprintf(to, " stroke-dasharray='%s'", dash);
    fputs(" d='", to);
}

bool nn_draw_series(const nn_panel *p, int number)
{
    const nn_series *s = &p->chart->series[number];
    const struct shape *shape = &shapes[number % COUNT(shapes)];
    fputs("<g stroke-linejoin='round' stroke-linecap='round'>", p->to);
    if (s->name) { /* shown by browsers under the pointer */
        fputs("<title>", p->to);
        nn_put_text(p->to, s->name, 200, true);
        fputs("</title>", p->to);
    }
    fputc('\n', p->to);
    if (!s->points) {
        begin_path(p->to, number, s->n > 4 * p->width ? "1" : "2", true); /* dense: see through */
        draw_line(p, s);
        fputs("'/>\n", p->to);
    }
    begin_path(p->to, number, shape->width, false);
    bool ok = draw_dots(p, s, shape->path);
    fputs("'/></g>\n", p->to);
    return ok;
}

void nn_draw_sample(FILE *to, int number, bool dots, int x, int y, int width)
{
    const struct shape *shape = &shapes[number % COUNT(shapes)];
    begin_path(to, number, dots ? shape->width : "2", !dots);
    if (dots)
        fprintf(to, "M%d %d%s'/>\n", x + width / 2, y, shape->path);
    else
        fprintf(to, "M%d %dh%d'/>\n", x, y, width);
}
