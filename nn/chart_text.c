/* chart_text.c - charts as text, for terminals and logs
 *
 * Marks and frame are plain ASCII, so that they look the same everywhere; names are written as they
 * are. Nothing is wider than `columns` or longer than `rows`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "number.h"
#include "words.h"

static const char marks[] = "*o+x#@%&";
enum { LEAST_COLUMNS = 30, LEAST_ROWS = 10, MOST = 10000 };

typedef struct canvas {
    const nn_chart *chart;
    FILE *to;
    nn_axis x, y;
    int columns;     /* of all */
    int left;        /* columns before the plot's first one */
    int wide, high;  /* of the plot */
    int legend_rows; /* at most */
    char *cells;     /* high x wide, the top row first */
} canvas;

static char mark_of(int series) { return marks[series % (int)(sizeof marks - 1)]; }

static bool has(const char *text) { return text && *text; }

/* ---- the plot ---- */

static int column_at(const canvas *c, double place) { return (int)lround(place * (c->wide - 1)); }

static int row_at(const canvas *c, double place)
{
    return (int)lround((1 - place) * (c->high - 1));
}

/* Where two series meet, both are seen: by turns along the row. */
static void put_mark(canvas *c, int column, int row, char mark)
{
    char *cell = &c->cells[row * c->wide + column];
    if (*cell == ' ' || (column + row) % 2)
        *cell = mark;
}

static void draw_between(canvas *c, const double from[2], const double to[2], char mark)
{
    double a[2] = {from[0], from[1]}, b[2] = {to[0], to[1]};
    if (!nn_cut_line(a, b))
        return;
    int column = column_at(c, a[0]), row = row_at(c, a[1]);
    int across = column_at(c, b[0]) - column, down = row_at(c, b[1]) - row;
    int steps = abs(across) > abs(down) ? abs(across) : abs(down);
    for (int k = 0; k <= steps; k++) {
        double part = steps ? (double)k / steps : 0;
        put_mark(c, column + (int)lround(across * part), row + (int)lround(down * part), mark);
    }
}

static void draw_series(canvas *c, const nn_series *s, char mark)
{
    bool drawing = false;
    double last[2] = {0}, at[2];
    for (int i = 0; i < s->n; i++) {
        bool stands = nn_place_point(&c->x, &c->y, s, i, at);
        if (stands && drawing && !s->points)
            draw_between(c, last, at, mark);
        else if (stands && nn_is_inside(at))
            draw_between(c, at, at, mark);
        drawing = stands;
        memcpy(last, at, sizeof last);
    }
}

/* ---- around it ---- */

static void put_line(const canvas *c, int indent, const char *text)
{
    if (has(text)) {
        fprintf(c->to, "%*s", indent, "");
        nn_put_text(c->to, text, c->columns - indent, false);
        fputc('\n', c->to);
    }
}

static void put_row(const canvas *c, int row)
{
    const char *label = "", *cells = &c->cells[row * c->wide];
    for (int i = 0; i < c->y.n; i++)
        if (*c->y.tick[i].label && row_at(c, c->y.tick[i].place) == row)
            label = c->y.tick[i].label;
    int n = c->wide;
    while (n > 0 && cells[n - 1] == ' ')
        n--;
    fprintf(c->to, "%*s %c%.*s\n", c->left - 2, label, *label ? '+' : '|', n, cells);
}

/* The lower border, and the numbers under it as far as they do not run into one another. */
static void put_x_axis(const canvas *c, char *line)
{
    memset(line, '-', (size_t)c->wide);
    for (int i = 0; i < c->x.n; i++)
        if (*c->x.tick[i].label)
            line[column_at(c, c->x.tick[i].place)] = '+';
    fprintf(c->to, "%*s+%.*s\n", c->left - 1, "", c->wide, line);
    int end = 0, width = c->left + c->wide;
    memset(line, ' ', (size_t)width);
    for (int i = 0; i < c->x.n; i++) {
        int n = (int)strlen(c->x.tick[i].label);
        int from = c->left + column_at(c, c->x.tick[i].place) - (n - 1) / 2;
        from = from + n > width ? width - n : from;
        if (n && from >= end) {
            memcpy(line + from, c->x.tick[i].label, (size_t)n);
            end = from + n + 1;
        }
    }
    fprintf(c->to, "%.*s\n", end ? end - 1 : 0, line);
}

/* Marks and names in rows; without `draw`, only counts the rows. */
static int legend(const canvas *c, bool draw)
{
    int rows = 0, x = c->columns + 1;
    for (int i = 0; i < c->chart->n_series; i++) {
        int room = c->columns - c->left - 2, wide = nn_text_width(c->chart->series[i].name);
        wide = wide > room ? room : wide;
        if (!wide)
            continue;
        bool again = x + 3 + 2 + wide > c->columns;
        if (again && rows == c->legend_rows)
            break;
        rows += again;
        if (draw) {
            if (again)
                fprintf(c->to, "%s%*s", rows > 1 ? "\n" : "", c->left, "");
            fprintf(c->to, "%s%c ", again ? "" : "   ", mark_of(i));
            nn_put_text(c->to, c->chart->series[i].name, room, false);
        }
        x = again ? c->left + 2 + wide : x + 3 + 2 + wide;
    }
    if (draw && rows)
        fputc('\n', c->to);
    return rows;
}

/* ---- the whole ---- */

static void lay_out(canvas *c, int rows)
{
    const nn_chart *chart = c->chart;
    c->legend_rows = (rows - 5) / 3;
    c->left = 12; /* for the legend, until the numbers are known */
    c->wide = c->columns - c->left;
    c->high = rows - 2 - has(chart->title) - has(chart->y_label) - has(chart->x_label);
    int high = c->high - legend(c, false);
    for (int want = c->columns / 8; want >= 3; want--) {
        int labels = 0, letters = 0, numbers = 0;
        nn_chart_axes(chart, want, high / 3, &c->x, &c->y);
        for (int i = 0; i < c->y.n; i++)
            letters = (int)fmax(letters, (double)strlen(c->y.tick[i].label));
        for (int i = 0; i < c->x.n; i++) {
            labels += *c->x.tick[i].label != 0;
            numbers = (int)fmax(numbers, (double)strlen(c->x.tick[i].label));
        }
        c->left = letters + 3;
        c->wide = c->columns - c->left;
        if (labels * (numbers + 2) <= c->wide)
            break;
    }
    c->high -= legend(c, false);
}

static void draw(canvas *c, char *line)
{
    memset(c->cells, ' ', (size_t)c->high * (size_t)c->wide);
    for (int i = 0; i < c->chart->n_series; i++)
        draw_series(c, &c->chart->series[i], mark_of(i));
    put_line(c, c->left, c->chart->title);
    put_line(c, 0, c->chart->y_label);
    for (int row = 0; row < c->high; row++)
        put_row(c, row);
    put_x_axis(c, line);
    int label = nn_text_width(c->chart->x_label), spare = c->wide - label;
    put_line(c, c->left + (spare > 0 ? spare / 2 : 0), c->chart->x_label);
    legend(c, true);
}

static ad_status draw_text(const nn_chart *chart, int columns, int rows, FILE *to)
{
    canvas c = {.chart = chart, .to = to, .columns = columns};
    lay_out(&c, rows);
    c.cells = malloc((size_t)c.high * (size_t)c.wide);
    char *line = malloc((size_t)columns + 1);
    if (c.cells && line)
        draw(&c, line);
    bool drawn = c.cells && line;
    free(c.cells);
    free(line);
    return !drawn ? AD_NO_MEMORY : fflush(to) || ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}

ad_status nn_chart_text(const nn_chart *chart, int columns, int rows, FILE *to)
{
    if (!to)
        return AD_NULL;
    ad_status status = nn_chart_check(chart);
    if (status)
        return status;
    columns = columns ? columns : 72;
    rows = rows ? rows : 20;
    if (columns < LEAST_COLUMNS || rows < LEAST_ROWS || columns > MOST || rows > MOST)
        return AD_BAD_ARGUMENT;
    nn_numbers numbers;
    if (!nn_c_numbers(&numbers))
        return AD_NO_MEMORY;
    status = draw_text(chart, columns, rows, to);
    nn_own_numbers(&numbers);
    return status;
}
