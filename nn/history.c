/* history.c - what happened in the fits of a model, and its writers
 *
 * CSV and JSON have the same fields, those that some row has a number for. What is missing in a row
 * is an empty cell of CSV and a null of JSON. */
#include "history.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "chart.h"
#include "model.h"
#include "number.h"
#include "words.h"

static bool make_room(nn_history *history, int capacity)
{
    if ((size_t)capacity > SIZE_MAX / sizeof *history->rows)
        return false;
    nn_history_row *rows = realloc(history->rows, (size_t)capacity * sizeof *rows);
    if (!rows)
        return false;
    history->rows = rows;
    history->capacity = capacity;
    return true;
}

bool nn_history_reserve(nn_history *history, int rows)
{
    if (rows <= history->capacity - history->n)
        return true;
    return rows <= INT_MAX - history->n && make_room(history, history->n + rows);
}

bool nn_history_add(nn_history *history, const nn_history_row *row)
{
    if (history->n == history->capacity &&
        (history->capacity > INT_MAX / 2 ||
         !make_room(history, history->capacity ? 2 * history->capacity : 16)))
        return false;
    history->rows[history->n++] = *row;
    return true;
}

void nn_history_clear(nn_history *history)
{
    free(history->rows);
    *history = (nn_history){0};
}

/* ---- fields ---- */

/* Loss, the metrics and the user's own one, of the training and then of the validation. */
enum { SCORES = NN_METRICS + 2, FIELDS = 2 * SCORES };

static double score_of(const nn_scores *scores, int k)
{
    return k == 0            ? scores->loss
           : k == SCORES - 1 ? scores->custom
                             : nn_score(scores, 1 << (k - 1));
}

static const char *score_name(int k)
{
    return k == 0 ? "loss" : k == SCORES - 1 ? "custom" : nn_metric_name(1 << (k - 1));
}

/* NaN where the row has none. */
static double field_of(const nn_history_row *row, int field)
{
    if (field < SCORES)
        return score_of(&row->training, field);
    return row->validation.rows ? score_of(&row->validation, field - SCORES) : NAN;
}

static void field_name(char name[80], int field)
{
    snprintf(name, 80, "%s%s", field < SCORES ? "" : "validation_", score_name(field % SCORES));
}

/* Which fields there are: those of some row, and the loss always. */
static void find_fields(const nn_history *history, bool present[FIELDS])
{
    for (int f = 0; f < FIELDS; f++) {
        present[f] = f == 0;
        for (int i = 0; i < history->n && !present[f]; i++)
            present[f] = !isnan(field_of(&history->rows[i], f));
    }
}

static ad_status written(FILE *to) { return fflush(to) || ferror(to) ? AD_BAD_ARGUMENT : AD_OK; }

/* ---- CSV ---- */

static void put_number(FILE *to, double value)
{
    char text[NN_NUMBER_TEXT];
    nn_exact_number(text, value);
    fprintf(to, ",%s", isnan(value) ? "" : text);
}

static void put_csv(const nn_history *history, FILE *to)
{
    bool present[FIELDS];
    char name[80];
    find_fields(history, present);
    fputs("epoch,step,rate,seconds", to);
    for (int f = 0; f < FIELDS; f++)
        if (present[f]) {
            field_name(name, f);
            fprintf(to, ",%s", name);
        }
    fputc('\n', to);
    for (int i = 0; i < history->n; i++) {
        const nn_history_row *row = &history->rows[i];
        fprintf(to, "%d,%lld", row->epoch, (long long)row->step);
        put_number(to, row->rate);
        put_number(to, row->seconds);
        for (int f = 0; f < FIELDS; f++)
            if (present[f])
                put_number(to, field_of(row, f));
        fputc('\n', to);
    }
}

ad_status nn_history_write_csv(const nn_history *history, FILE *to)
{
    nn_numbers numbers;
    if (!history || !to)
        return AD_NULL;
    if (!nn_c_numbers(&numbers))
        return AD_NO_MEMORY;
    put_csv(history, to);
    nn_own_numbers(&numbers);
    return written(to);
}

/* ---- JSON ---- */

static bool put_field(json_t *object, const char *name, double value)
{
    return !json_object_set_new(object, name, isfinite(value) ? json_real(value) : json_null());
}

static bool put_json_row(const nn_history_row *row, const bool present[FIELDS], FILE *to)
{
    json_t *object = json_object();
    bool ok = object && !json_object_set_new(object, "epoch", json_integer(row->epoch)) &&
              !json_object_set_new(object, "step", json_integer(row->step)) &&
              put_field(object, "rate", row->rate) && put_field(object, "seconds", row->seconds);
    char name[80];
    for (int f = 0; ok && f < FIELDS; f++)
        if (present[f]) {
            field_name(name, f);
            ok = put_field(object, name, field_of(row, f));
        }
    /* a failed write shows in ferror: what is left is memory */
    ok = ok && (!json_dumpf(object, to, JSON_COMPACT | JSON_REAL_PRECISION(17)) || ferror(to));
    json_decref(object);
    return ok;
}

ad_status nn_history_write_json(const nn_history *history, FILE *to)
{
    bool present[FIELDS], ok = true;
    nn_numbers numbers;
    if (!history || !to)
        return AD_NULL;
    if (!nn_c_numbers(&numbers))
        return AD_NO_MEMORY;
    find_fields(history, present);
    fputc('[', to);
    for (int i = 0; ok && i < history->n; i++) {
        fputs(i ? ",\n" : "\n", to);
        ok = put_json_row(&history->rows[i], present, to);
    }
    fputs("\n]\n", to);
    nn_own_numbers(&numbers);
    return ok ? written(to) : AD_NO_MEMORY;
}

/* ---- SVG ---- */

/* What the rows are drawn over: epochs, or (many validations an epoch, or many fits) steps, or
 * their number. */
static const char *fill_x(const nn_history *history, double *x)
{
    bool epochs = true, steps = true;
    for (int i = 1; i < history->n; i++) {
        epochs = epochs && history->rows[i].epoch > history->rows[i - 1].epoch;
        steps = steps && history->rows[i].step > history->rows[i - 1].step;
    }
    for (int i = 0; i < history->n; i++)
        x[i] = epochs ? history->rows[i].epoch : steps ? (double)history->rows[i].step : i + 1;
    return epochs ? "epoch" : steps ? "step" : "row";
}

/* A loss that falls by more than a factor of 50 shows nothing of its end on a linear axis. */
static bool wants_logarithm(int n, const double *y)
{
    double low = INFINITY, high = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(y[i]))
            continue;
        low = fmin(low, y[i]);
        high = fmax(high, y[i]);
    }
    return low > 0 && high > 50 * low;
}

static ad_status draw(const nn_history *history, const char *title, double *values, FILE *to)
{
    bool present[FIELDS];
    find_fields(history, present);
    int metric = 1, n = history->n;
    while (metric < SCORES && !present[metric] && !present[metric + SCORES])
        metric++;
    const char *over = fill_x(history, values);
    nn_series series[2][2];
    nn_chart charts[2];
    for (int k = 0; k < 2; k++) { /* loss and metric, of training and validation */
        int score = k ? metric : 0, fields = 0;
        for (int part = 0; part < 2 && score < SCORES; part++) {
            int field = score + part * SCORES;
            double *y = values + (size_t)(1 + 2 * k + fields) * (size_t)n;
            if (!present[field])
                continue;
            for (int i = 0; i < n; i++)
                y[i] = field_of(&history->rows[i], field);
            series[k][fields++] =
                (nn_series){part ? "validation" : "training", n, values, y, false};
        }
        charts[k] = (nn_chart){.x_label = over, .n_series = fields, .series = series[k]};
        charts[k].y_label = score < SCORES ? score_name(score) : NULL;
    }
    charts[0].log_y = wants_logarithm(n * charts[0].n_series, values + n);
    return nn_panels_svg(title, metric < SCORES ? 2 : 1, charts, to);
}

ad_status nn_history_write_svg(const nn_history *history, const char *title, FILE *to)
{
    if (!history || !to)
        return AD_NULL;
    if ((size_t)history->n > SIZE_MAX / sizeof(double) / 5 - 1)
        return AD_TOO_LARGE;
    double *values = calloc(5 * ((size_t)history->n + 1), sizeof *values);
    if (!values)
        return AD_NO_MEMORY;
    ad_status status = draw(history, title, values, to);
    free(values);
    return status;
}

/* ---- of a model ---- */

int nn_history_count(const nn_model *model) { return model ? model->history.n : 0; }

const nn_history_row *nn_history_at(const nn_model *model, int i)
{
    return model && i >= 0 && i < model->history.n ? &model->history.rows[i] : NULL;
}

static ad_status ready(const nn_model *model) { return model ? model->error.status : AD_NULL; }

ad_status nn_history_csv(const nn_model *model, FILE *to)
{
    ad_status status = ready(model);
    return status ? status : nn_history_write_csv(&model->history, to);
}

ad_status nn_history_json(const nn_model *model, FILE *to)
{
    ad_status status = ready(model);
    return status ? status : nn_history_write_json(&model->history, to);
}

ad_status nn_history_svg(const nn_model *model, const char *title, FILE *to)
{
    ad_status status = ready(model);
    return status ? status : nn_history_write_svg(&model->history, title, to);
}
