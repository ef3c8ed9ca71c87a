/* boundary.c - the lines in the plane of two inputs across which a model's answer changes
 *
 * On a grid, class k's lead is its logit less the largest other one. Its zeros, found cell by cell
 * (marching squares, Lorensen and Cline 1987 in the plane), are the border of the region where k is
 * the answer. A border between two classes belongs to both and is drawn for the lesser one. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "train.h"

enum { CELLS = 160, POINTS = CELLS + 1, MOST_DOTS = 2000, TEXT_COLUMNS = 78, TEXT_ROWS = 24 };

typedef struct line { /* pieces, each of two points and a gap */
    int n, room;
    double *x, *y;
} line;

typedef struct plane {
    const nn_data *data;
    nn_error *error;
    double low[2], high[2];
    int classes;
    double *logits; /* [(j * POINTS + i) * classes + k] at column i, row j */
    line border;
} plane;

static bool no_memory(plane *p)
{
    table_error(p->error, AD_NO_MEMORY, "out of memory");
    return false;
}

static double coordinate(const plane *p, int axis, double place)
{
    return p->low[axis] + (p->high[axis] - p->low[axis]) * place / CELLS;
}

/* ---- the grid ---- */

static double input_at(const plane *p, int64_t row, int axis)
{
    return ad_tensor_get(nn_data_input(p->data, 0), (int64_t[]){row, axis});
}

/* What the data span, and a little more. */
static void find_range(plane *p)
{
    for (int axis = 0; axis < 2; axis++) {
        double low = input_at(p, 0, axis), high = low;
        for (int64_t row = 1; row < nn_data_rows(p->data); row++) {
            low = fmin(low, input_at(p, row, axis));
            high = fmax(high, input_at(p, row, axis));
        }
        const double margin = high > low ? .05 * (high - low) : 1;
        p->low[axis] = low - margin;
        p->high[axis] = high + margin;
    }
}

static bool predict_grid(plane *p, const nn_model *model)
{
    ad_tensor *grid = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){POINTS * POINTS, 2});
    double *x = grid ? ad_tensor_data(grid) : NULL;
    for (int i = 0; x && i < POINTS * POINTS; i++) {
        const int column = i % POINTS, row = i / POINTS;
        x[2 * i] = coordinate(p, 0, column);
        x[2 * i + 1] = coordinate(p, 1, row);
    }
    p->logits = malloc(sizeof *p->logits * POINTS * POINTS * (size_t)p->classes);
    if (!grid || !p->logits) {
        ad_tensor_free(grid);
        return no_memory(p);
    }
    ad_tensor *y = nn_predict_tensors(model, &grid, p->error);
    const bool good = y && !ad_tensor_read(y, p->logits);
    ad_tensor_free(y);
    ad_tensor_free(grid);
    return good;
}

static const double *logits_at(const plane *p, int i, int j)
{
    return p->logits + (size_t)(j * POINTS + i) * (size_t)p->classes;
}

static int answer_at(const plane *p, int i, int j)
{
    const double *z = logits_at(p, i, j);
    int best = 0;
    for (int k = 1; k < p->classes; k++)
        best = z[k] > z[best] ? k : best;
    return best;
}

static double lead_at(const plane *p, int i, int j, int k)
{
    const double *z = logits_at(p, i, j);
    double other = -INFINITY;
    for (int m = 0; m < p->classes; m++)
        other = m != k && z[m] > other ? z[m] : other;
    return z[k] - other;
}

/* ---- the border ---- */

static bool add_piece(plane *p, const double from[2], const double to[2])
{
    line *l = &p->border;
    if (l->n + 3 > l->room) {
        const int room = 2 * l->room + 300;
        double *x = realloc(l->x, (size_t)room * sizeof *x);
        if (!x)
            return no_memory(p);
        l->x = x;
        double *y = realloc(l->y, (size_t)room * sizeof *y);
        if (!y)
            return no_memory(p);
        l->y = y;
        l->room = room;
    }
    const double *ends[3] = {from, to, (const double[]){NAN, NAN}};
    for (int k = 0; k < 3; k++, l->n++) {
        l->x[l->n] = ends[k][0];
        l->y[l->n] = ends[k][1];
    }
    return true;
}

static const int corner[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};

/* Of class k, in the cell whose lower left corner is (i,j). */
static bool border_in(plane *p, int i, int j, int k)
{
    double lead[4], at[4][2];
    int n = 0;
    for (int c = 0; c < 4; c++)
        lead[c] = lead_at(p, i + corner[c][0], j + corner[c][1], k);
    for (int c = 0; c < 4; c++) {
        const int d = (c + 1) % 4;
        if ((lead[c] > 0) == (lead[d] > 0))
            continue;
        const double part = lead[c] / (lead[c] - lead[d]);
        for (int axis = 0; axis < 2; axis++)
            at[n][axis] = coordinate(p, axis,
                                     (axis ? j : i) + corner[c][axis] +
                                         part * (corner[d][axis] - corner[c][axis]));
        n++;
    }
    if (n < 4)
        return n < 2 || add_piece(p, at[0], at[1]);
    /* A saddle: the middle tells which two corners hang together. */
    const bool first = (lead[0] + lead[1] + lead[2] + lead[3] > 0) == (lead[0] > 0);
    return add_piece(p, at[first ? 0 : 3], at[first ? 1 : 0]) &&
           add_piece(p, at[first ? 2 : 1], at[first ? 3 : 2]);
}

static bool find_border(plane *p)
{
    for (int j = 0; j < CELLS; j++)
        for (int i = 0; i < CELLS; i++) {
            int answers[4], last = 0;
            for (int c = 0; c < 4; c++) {
                answers[c] = answer_at(p, i + corner[c][0], j + corner[c][1]);
                last = answers[c] > last ? answers[c] : last;
            }
            for (int c = 0; c < 4; c++) {
                bool drawn = answers[c] == last;
                for (int before = 0; before < c; before++)
                    drawn |= answers[before] == answers[c];
                if (!drawn && !border_in(p, i, j, answers[c]))
                    return false;
            }
        }
    return true;
}

/* ---- the picture ---- */

typedef struct dots {
    int n;
    double *x, *y;
    char number[16];
} dots;

/* The rows of every class; of many rows some, evenly taken. */
static bool find_dots(plane *p, dots *of)
{
    const int64_t rows = nn_data_rows(p->data), every = (rows - 1) / MOST_DOTS + 1;
    const int32_t *class = ad_tensor_data_const(nn_data_target(p->data));
    for (int k = 0; k < p->classes; k++) {
        of[k].x = malloc(MOST_DOTS * sizeof *of[k].x);
        of[k].y = malloc(MOST_DOTS * sizeof *of[k].y);
        if (!of[k].x || !of[k].y)
            return no_memory(p);
    }
    for (int64_t row = 0; row < rows; row += every) {
        dots *d = &of[class[row]];
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): of one of the classes
        d->x[d->n] = input_at(p, row, 0);
        d->y[d->n++] = input_at(p, row, 1);
    }
    return true;
}

static bool write_chart(const nn_chart *chart, const char *path, nn_error *error)
{
    putchar('\n');
    nn_chart_text(chart, TEXT_COLUMNS, TEXT_ROWS, stdout);
    if (!path)
        return true;
    FILE *to = fopen(path, "w");
    const bool drawn = to && !nn_chart_svg(chart, to);
    if (!to || fclose(to) || !drawn)
        return table_error(error, AD_BAD_ARGUMENT, "%s: cannot write it: %s", path,
                           strerror(errno));
    printf("\nboundary: %s\n", path);
    return true;
}

static bool draw(plane *p, dots *of, const char *path)
{
    nn_series *series = calloc((size_t)p->classes + 1, sizeof *series);
    if (!series)
        return no_memory(p);
    series[0] = (nn_series){
        .name = "decision boundary", .n = p->border.n, .x = p->border.x, .y = p->border.y};
    for (int k = 0; k < p->classes; k++)
        series[k + 1] = (nn_series){.name = columns_class(p->data, k, of[k].number),
                                    .n = of[k].n,
                                    .x = of[k].x,
                                    .y = of[k].y,
                                    .points = true};
    const nn_chart chart = {.title = "Decision boundary",
                            .x_label = nn_data_column(p->data, 0),
                            .y_label = nn_data_column(p->data, 1),
                            .n_series = p->classes + 1,
                            .series = series,
                            .x_low = p->low[0],
                            .x_high = p->high[0],
                            .y_low = p->low[1],
                            .y_high = p->high[1]};
    const bool good = write_chart(&chart, path, p->error);
    free(series);
    return good;
}

bool train_boundary(const nn_model *model, const nn_data *data, const char *path, nn_error *error)
{
    plane p = {.data = data, .error = error, .classes = nn_data_class_count(data)};
    dots *of = calloc((size_t)p.classes, sizeof *of);
    find_range(&p);
    const bool good = (of || no_memory(&p)) && predict_grid(&p, model) && find_border(&p) &&
                      find_dots(&p, of) && draw(&p, of, path);
    for (int k = 0; of && k < p.classes; k++) {
        free(of[k].x);
        free(of[k].y);
    }
    free(of);
    free(p.logits);
    free(p.border.x);
    free(p.border.y);
    return good;
}
