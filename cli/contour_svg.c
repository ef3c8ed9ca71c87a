/* contour_svg.c - a field as a picture: marching squares, levels written on the lines, arrows
 *
 * Each square of the grid is crossed by a level where its corners lie on both sides of it. Where
 * all four sides are crossed, the middle's value says which corners belong together. */
#include <math.h>
#include <stdlib.h>

#include "contour.h"
#include "markup.h"
#include "trace.h"

enum { LEFT = 64, TOP = 56, SIDE = 480, RIGHT = 24, BELOW = 62, MOST_LABELS = 40, ARROWS = 13 };

typedef struct segment {
    double x[2], y[2]; /* in pixels */
} segment;

typedef struct picture {
    const field *f;
    const contour_levels *levels;
    FILE *to;
    segment *segments; /* of one level */
    int n;
    double label_x[MOST_LABELS], label_y[MOST_LABELS];
    int labels;
} picture;

static double pixel_x(double column, const field *f) { return LEFT + SIDE * column / f->columns; }
static double pixel_y(double row, const field *f) { return TOP + SIDE - SIDE * row / f->rows; }

/* With one decimal, which is finer than eyes; never "-0". */
static void put_pixel(FILE *to, const char *before, double x)
{
    char number[32];
    fprintf(to, "%s%s", before, trace_number(number, round(x * 10) / 10, 1));
}

/* ---- squares ---- */

/* Where the level crosses the side from corner a to corner b, counted around from the lower left.
 */
static void crossing(const field *f, int column, int row, const double v[4], int a, int b,
                     double level, double *x, double *y)
{
    static const int across[4] = {0, 1, 1, 0}, up[4] = {0, 0, 1, 1};
    const double part = (level - v[a]) / (v[b] - v[a]);
    *x = pixel_x(column + across[a] + part * (across[b] - across[a]), f);
    *y = pixel_y(row + up[a] + part * (up[b] - up[a]), f);
}

static void join(picture *p, int column, int row, const double v[4], double level, int side,
                 int other)
{
    segment *s = &p->segments[p->n++];
    crossing(p->f, column, row, v, side, (side + 1) % 4, level, &s->x[0], &s->y[0]);
    crossing(p->f, column, row, v, other, (other + 1) % 4, level, &s->x[1], &s->y[1]);
}

static void cut_square(picture *p, int column, int row, double level)
{
    const int across = p->f->columns + 1, at = row * across + column;
    const double *all = p->f->value;
    const double v[4] = {all[at], all[at + 1], all[at + across + 1], all[at + across]};
    int sides[4], n = 0;
    for (int k = 0; k < 4; k++) {
        if (!isfinite(v[k]))
            return;
        if ((v[k] >= level) != (v[(k + 1) % 4] >= level))
            sides[n++] = k;
    }
    if (n == 2)
        join(p, column, row, v, level, sides[0], sides[1]);
    if (n < 4)
        return;
    const bool high = (v[0] + v[1] + v[2] + v[3]) / 4 >= level;
    const int turn = high == (v[0] >= level) ? 0 : 3; /* which corners are cut off */
    join(p, column, row, v, level, turn, (turn + 1) % 4);
    join(p, column, row, v, level, (turn + 2) % 4, (turn + 3) % 4);
}

/* ---- levels ---- */

/* Low levels are blue, high ones red; the numbers on them say it, too. */
static void put_color(const picture *p, int level)
{
    static const int low[3] = {33, 91, 168}, middle[3] = {110, 110, 110}, high[3] = {186, 60, 20};
    const double place = p->levels->n > 1 ? 2. * level / (p->levels->n - 1) - 1 : 0;
    int c[3];
    for (int k = 0; k < 3; k++)
        c[k] = (int)lround(middle[k] + fabs(place) * ((place < 0 ? low : high)[k] - middle[k]));
    fprintf(p->to, "#%02x%02x%02x", (unsigned)c[0], (unsigned)c[1], (unsigned)c[2]);
}

/* Far from the labels that are there, and from the frame. */
static double freedom(const picture *p, double x, double y)
{
    const double edge = fmin(fmin(x - LEFT, LEFT + SIDE - x), fmin(y - TOP, TOP + SIDE - y));
    double room = 150;
    for (int i = 0; i < p->labels; i++)
        room = fmin(room, hypot(x - p->label_x[i], y - p->label_y[i]));
    return edge < 24 ? edge - 100 : room;
}

static void label_level(picture *p, double level)
{
    int best = -1;
    double most = -99, x = 0, y = 0;
    for (int i = 0; i < p->n; i++) {
        const double room = freedom(p, p->segments[i].x[0], p->segments[i].y[0]);
        if (room > most)
            most = room, best = i;
    }
    if (best < 0 || most < 14 || p->labels == MOST_LABELS)
        return;
    p->label_x[p->labels] = x = p->segments[best].x[0];
    p->label_y[p->labels++] = y = p->segments[best].y[0];
    char number[32];
    put_pixel(p->to, "<text class='level' text-anchor='middle' x='", x);
    put_pixel(p->to, "' y='", y + 4);
    fprintf(p->to, "' fill='#222' stroke='#fff' stroke-width='4' paint-order='stroke'>%s</text>\n",
            trace_number(number, level, 6));
}

static void cut_level(picture *p, int level)
{
    const double at = p->levels->at[level];
    p->n = 0;
    for (int row = 0; row < p->f->rows; row++)
        for (int column = 0; column < p->f->columns; column++)
            cut_square(p, column, row, at);
}

static void draw_level(picture *p, int level)
{
    cut_level(p, level);
    if (!p->n)
        return;
    fputs("<path fill='none' stroke='", p->to);
    put_color(p, level);
    fputs("' d='", p->to);
    for (int i = 0; i < p->n; i++) {
        const segment *s = &p->segments[i];
        put_pixel(p->to, "M", s->x[0]);
        put_pixel(p->to, " ", s->y[0]);
        put_pixel(p->to, "L", s->x[1]);
        put_pixel(p->to, " ", s->y[1]);
    }
    fputs("'/>\n", p->to);
}

static void draw_levels(picture *p)
{
    fputs("<g stroke-width='1.6' stroke-linecap='round'>\n", p->to);
    for (int i = 0; i < p->levels->n; i++)
        draw_level(p, i);
    fputs("</g>\n<g font-size='11'>\n", p->to);
    for (int i = 0; i < p->levels->n; i++) {
        cut_level(p, i);
        label_level(p, p->levels->at[i]);
    }
    fputs("</g>\n", p->to);
}

/* ---- arrows ---- */

static int arrow_node(const field *f, int i, int j)
{
    const int column = (int)lround(f->columns * (i + .5) / ARROWS);
    return (int)lround(f->rows * (j + .5) / ARROWS) * (f->columns + 1) + column;
}

/* The gradient in pixels: where a step along it leads in the picture. */
static void direction(const field *f, int at, double *x, double *y)
{
    *x = f->dx[at] / (f->x_high - f->x_low);
    *y = -f->dy[at] / (f->y_high - f->y_low);
}

static void draw_arrow(const picture *p, int at, double x, double y, double length)
{
    const int column = at % (p->f->columns + 1), row = at / (p->f->columns + 1);
    const double px = pixel_x(column, p->f), py = pixel_y(row, p->f);
    const double size = hypot(x, y), ux = x / size, uy = y / size;
    const double tip_x = px + ux * length / 2, tip_y = py + uy * length / 2;
    const double head = fmin(5, length * .4);
    put_pixel(p->to, "M", px - ux * length / 2);
    put_pixel(p->to, " ", py - uy * length / 2);
    put_pixel(p->to, "L", tip_x);
    put_pixel(p->to, " ", tip_y);
    put_pixel(p->to, "M", tip_x - head * (ux + .5 * uy));
    put_pixel(p->to, " ", tip_y - head * (uy - .5 * ux));
    put_pixel(p->to, "L", tip_x);
    put_pixel(p->to, " ", tip_y);
    put_pixel(p->to, "L", tip_x - head * (ux - .5 * uy));
    put_pixel(p->to, " ", tip_y - head * (uy + .5 * ux));
}

/* Lengths go with the root of the slope, so that flat places have arrows, too. */
static void draw_arrows(const picture *p)
{
    double sizes[ARROWS * ARROWS], x, y;
    for (int i = 0; i < ARROWS * ARROWS; i++) {
        direction(p->f, arrow_node(p->f, i % ARROWS, i / ARROWS), &x, &y);
        sizes[i] = hypot(x, y);
    }
    const double most = contour_quantile(ARROWS * ARROWS, sizes, .95);
    if (!(most > 0))
        return;
    fputs("<path class='gradient' fill='none' stroke='#444' stroke-width='1.1' opacity='.75' d='",
          p->to);
    for (int i = 0; i < ARROWS * ARROWS; i++) {
        const int at = arrow_node(p->f, i % ARROWS, i / ARROWS);
        direction(p->f, at, &x, &y);
        const double size = hypot(x, y);
        if (isfinite(size) && size > 0 && isfinite(p->f->value[at]))
            draw_arrow(p, at, x, y, 30 * sqrt(fmin(1, size / most)));
    }
    fputs("'/>\n", p->to);
}

/* ---- around ---- */

static void draw_ticks(const picture *p, bool upward)
{
    const field *f = p->f;
    const double low = upward ? f->y_low : f->x_low, high = upward ? f->y_high : f->x_high;
    const double step = contour_round_step((high - low) / 7);
    char number[32];
    for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * (high - low); k++) {
        const double place = (k * step - low) / (high - low);
        const double x = upward ? LEFT - 8 : LEFT + SIDE * place,
                     y = upward ? TOP + SIDE - SIDE * place + 4 : TOP + SIDE + 18;
        put_pixel(p->to, upward ? "<text text-anchor='end' x='" : "<text text-anchor='middle' x='",
                  x);
        put_pixel(p->to, "' y='", y);
        fprintf(p->to, "'>%s</text>\n", trace_number(number, k * step, 6));
        put_pixel(p->to, "<path stroke='#777' d='M", upward ? LEFT - 5 : x);
        put_pixel(p->to, " ", upward ? y - 4 : TOP + SIDE + 5);
        fputs(upward ? "h5'/>\n" : "v-5'/>\n", p->to);
    }
}

static void put_words(const picture *p)
{
    char number[32];
    if (p->levels->step > 0)
        fprintf(p->to, "contours every %s", trace_number(number, p->levels->step, 6));
    else
        fputs("contours at 1, 2, 5, 10, 20 ...", p->to);
    fputs("; arrows along the gradient, longer where steeper", p->to);
}

static void draw_head(const picture *p)
{
    const int width = LEFT + SIDE + RIGHT, height = TOP + SIDE + BELOW;
    fprintf(p->to,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d' "
            "font-family='system-ui, sans-serif' font-size='12' role='img'>\n<title>",
            width, height, width, height);
    markup_put(p->to, p->f->title);
    fputs("</title>\n<desc>", p->to);
    markup_put(p->to, p->f->title);
    fputs(": ", p->to);
    put_words(p);
    fprintf(p->to, ".</desc>\n<rect width='%d' height='%d' fill='#fff'/>\n", width, height);
    fprintf(p->to, "<text x='%d' y='22' font-size='15' fill='#222'>", LEFT);
    markup_put_most(p->to, p->f->title, 62);
    fprintf(p->to, "</text>\n<text x='%d' y='42' fill='#555'>", LEFT);
    put_words(p);
    fputs("</text>\n", p->to);
}

static void draw_frame(const picture *p)
{
    fprintf(p->to, "<path fill='none' stroke='#777' d='M%d %dh%dv%dh-%dz'/>\n", LEFT, TOP, SIDE,
            SIDE, SIDE);
    fputs("<g fill='#555'>\n", p->to);
    draw_ticks(p, false);
    draw_ticks(p, true);
    fprintf(p->to, "</g>\n<text fill='#222' text-anchor='middle' x='%d' y='%d'>", LEFT + SIDE / 2,
            TOP + SIDE + 42);
    markup_put_most(p->to, p->f->x_name, 40);
    fprintf(p->to, "</text>\n<text fill='#222' x='14' y='%d'>", TOP + SIDE / 2 + 4);
    markup_put_most(p->to, p->f->y_name, 5);
    fputs("</text>\n", p->to);
}

bool contour_svg(const field *f, const contour_levels *levels, FILE *to)
{
    picture p = {.f = f, .levels = levels, .to = to};
    p.segments = malloc((size_t)f->columns * (size_t)f->rows * 2 * sizeof *p.segments);
    if (!p.segments)
        return false;
    draw_head(&p);
    draw_frame(&p);
    draw_arrows(&p);
    draw_levels(&p);
    fputs("</svg>\n", to);
    free(p.segments);
    return true;
}
