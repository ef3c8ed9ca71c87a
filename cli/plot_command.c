/* plot_command.c - tapegrad plot: an expression and its derivatives, drawn */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/nn.h>

#include "command.h"
#include "contour.h"
#include "sampler.h"

static const char help[] =
    "Draws an expression and its derivative over a range; of two variables, contours and the\n"
    "gradient as arrows.\n"
    "\n"
    "usage: tapegrad plot EXPRESSION --over NAME=FROM:TO[,NAME=FROM:TO] [OPTION...]\n"
    "\n"
    "  --over RANGES    x=-3:3, or of two variables x=-2:2,y=-2:2; ends may be written as -pi/2\n"
    "  --at POINT       values of the other inputs: a=1,b=2\n"
    "  --svg FILE       a picture in place of text; - is standard output\n"
    "  --ascii          no signs beyond ASCII\n"
    "\n"
    "examples:\n"
    "  tapegrad plot 'sigmoid(x)' --over x=-6:6\n"
    "  tapegrad plot 'a*sin(x)/x' --over x=-3*pi:3*pi --at a=2 --svg sinc.svg\n"
    "  tapegrad plot '(1-x)^2 + 5*(y-x^2)^2' --over x=-2:2,y=-1:3 --svg valley.svg\n";

enum { NAME = 64, SAMPLES = 481, GRID = 96, ROWS = 24, COLUMNS = 78 };

typedef struct range {
    char name[NAME];
    double low, high;
} range;

typedef struct plot {
    const char *text, *over, *at, *svg;
    bool ascii;
    range range[2];
    int n;
    sampler sampler;
    char *wrong;
} plot;

/* ---- ranges ---- */

static bool read_end(plot *p, const char *text, size_t length, double *value)
{
    char copy[200];
    if (length >= sizeof copy)
        return complain(p->wrong, "--over: an end of a range is too long");
    memcpy(copy, text, length);
    copy[length] = 0;
    ad_tape *tape = ad_tape_new(NULL);
    ad_env *env = ad_env_new(tape);
    const ad_var v = ad_eval(env, copy);
    *value = ad_is_tensor(v) ? (double)NAN : ad_value(v);
    ad_env_free(env);
    ad_tape_free(tape);
    return isfinite(*value) ? true
                            : complain(p->wrong, "--over: '%s' is no number; write x=-3:3", copy);
}

/* "x=-3:3" */
static bool read_range(plot *p, const char *text, size_t length, range *r)
{
    const char *equals = memchr(text, '=', length), *colon = memchr(text, ':', length);
    const size_t name = equals ? (size_t)(equals - text) : 0;
    if (!equals || !colon || colon < equals || name == 0 || name >= NAME)
        return complain(p->wrong, "--over: '%.*s' is no range; write x=-3:3",
                        (int)(length < 200 ? length : 200), text);
    memcpy(r->name, text, name);
    r->name[name] = 0;
    if (!read_end(p, equals + 1, (size_t)(colon - equals) - 1, &r->low) ||
        !read_end(p, colon + 1, length - (size_t)(colon + 1 - text), &r->high))
        return false;
    return r->low < r->high ? true
                            : complain(p->wrong, "--over: %s begins at %g, which is not below %g",
                                       r->name, r->low, r->high);
}

static bool read_ranges(plot *p)
{
    const char *text = p->over;
    while (*text) {
        size_t length = 0;
        int open = 0;
        for (; text[length] && (open || text[length] != ','); length++)
            open += (text[length] == '(') - (text[length] == ')');
        if (p->n == 2)
            return complain(p->wrong, "--over: one variable or two, not more");
        if (!read_range(p, text, length, &p->range[p->n++]))
            return false;
        text += length + (text[length] == ',');
    }
    if (p->n == 2 && strcmp(p->range[0].name, p->range[1].name) == 0)
        return complain(p->wrong, "--over: '%s' is there twice", p->range[0].name);
    return p->n ? true : complain(p->wrong, "--over is empty; write x=-3:3");
}

/* The expression must have the names that move. */
static bool check_names(plot *p, const ad_expression *e)
{
    for (int k = 0; k < p->n; k++) {
        const char *best = NULL, *name;
        bool there = false;
        for (int i = 0; (name = ad_expression_name(e, i)) != NULL; i++) {
            there = there || strcmp(name, p->range[k].name) == 0;
            ad_suggest(p->range[k].name, name, &best);
        }
        if (!there)
            return complain(p->wrong,
                            best ? "--over: '%s' is no input of '%.300s'; did you mean '%s'?"
                                 : "--over: '%s' is no input of '%.300s'",
                            p->range[k].name, p->text, best);
    }
    return true;
}

/* ---- one variable ---- */

typedef struct curve {
    double x[SAMPLES], y[SAMPLES], slope[SAMPLES];
} curve;

static bool sample_curve(plot *p, curve *c)
{
    const range *r = &p->range[0];
    const char *name = r->name;
    for (int i = 0; i < SAMPLES; i++) {
        const double part = (double)i / (SAMPLES - 1);
        c->x[i] = (1 - part) * r->low + part * r->high;
        if (!sampler_read(&p->sampler, 1, &name, &c->x[i], &c->y[i], &c->slope[i], p->wrong))
            return false;
    }
    return true;
}

/* Where a pole would press all else flat, the chart is cut; lines do not lead across poles. */
static bool cut_poles(curve *c, nn_chart *chart)
{
    double *all = malloc(2 * SAMPLES * sizeof *all);
    if (!all)
        return false;
    memcpy(all, c->y, sizeof c->y);
    memcpy(all + SAMPLES, c->slope, sizeof c->slope);
    const double low = contour_quantile(2 * SAMPLES, all, .05),
                 high = contour_quantile(2 * SAMPLES, all, .95);
    const double least = contour_quantile(2 * SAMPLES, all, 0),
                 most = contour_quantile(2 * SAMPLES, all, 1);
    free(all);
    if (!(high > low) || most - least < 6 * (high - low))
        return true;
    chart->y_low = fmax(least, low - .4 * (high - low));
    chart->y_high = fmin(most, high + .4 * (high - low));
    double *const lines[2] = {c->y, c->slope};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i + 1 < SAMPLES; i++)
            if ((lines[k][i] > chart->y_high && lines[k][i + 1] < chart->y_low) ||
                (lines[k][i] < chart->y_low && lines[k][i + 1] > chart->y_high))
                lines[k][i] = (double)NAN;
    return true;
}

static bool any_finite(int n, const double *values)
{
    for (int i = 0; i < n; i++)
        if (isfinite(values[i]))
            return true;
    return false;
}

static int draw_curve(plot *p, FILE *to)
{
    static const nn_series none = {0};
    curve *c = calloc(1, sizeof *c);
    char slope[NAME + 8];
    if (!c || !sample_curve(p, c)) {
        free(c);
        return usage_error("%s", *p->wrong ? p->wrong : "out of memory");
    }
    snprintf(slope, sizeof slope, "d/d%s", p->range[0].name);
    nn_series series[2] = {none, none};
    series[0] = (nn_series){.name = "value", .n = SAMPLES, .x = c->x, .y = c->y};
    series[1] = (nn_series){.name = slope, .n = SAMPLES, .x = c->x, .y = c->slope};
    nn_chart chart = {
        .title = p->text, .x_label = p->range[0].name, .n_series = 2, .series = series};
    int status = STATUS_FINE;
    if (!any_finite(SAMPLES, c->y)) {
        usage_error("plot: '%s' is nowhere finite in this range", p->text);
        status = STATUS_NOT_FINITE;
    } else if (!cut_poles(c, &chart) ||
               (p->svg ? nn_chart_svg(&chart, to) : nn_chart_text(&chart, COLUMNS, ROWS, to))) {
        status = usage_error("plot: the chart could not be drawn");
    }
    free(c);
    return status;
}

/* ---- two variables ---- */

static bool sample_field(plot *p, field *f)
{
    const char *names[2] = {p->range[0].name, p->range[1].name};
    for (int i = 0; i < (GRID + 1) * (GRID + 1); i++) {
        const int to_right = i % (GRID + 1), up = i / (GRID + 1);
        const double column = (double)to_right / GRID, row = (double)up / GRID;
        const double x[2] = {(1 - column) * f->x_low + column * f->x_high,
                             (1 - row) * f->y_low + row * f->y_high};
        double slope[2];
        if (!sampler_read(&p->sampler, 2, names, x, &f->value[i], slope, p->wrong))
            return false;
        f->dx[i] = slope[0];
        f->dy[i] = slope[1];
    }
    return true;
}

static bool draw_levels(plot *p, field *f, FILE *to, bool *finite)
{
    contour_levels levels;
    if (!sample_field(p, f) || !contour_choose(f, &levels))
        return false;
    *finite = levels.n > 0;
    if (!*finite)
        return true;
    return p->svg ? contour_svg(f, &levels, to)
                  : contour_text(f, &levels, COLUMNS, ROWS, p->ascii, to);
}

static int draw_field(plot *p, FILE *to)
{
    enum { POINTS = (GRID + 1) * (GRID + 1) };
    double *room = calloc(3 * POINTS, sizeof *room);
    field f = {.title = p->text,
               .x_name = p->range[0].name,
               .y_name = p->range[1].name,
               .x_low = p->range[0].low,
               .x_high = p->range[0].high,
               .y_low = p->range[1].low,
               .y_high = p->range[1].high,
               .columns = GRID,
               .rows = GRID,
               .value = room};
    bool finite = true;
    if (room) {
        f.dx = room + POINTS;
        f.dy = room + 2 * POINTS;
    }
    const bool good = room && draw_levels(p, &f, to, &finite);
    free(room);
    if (!good)
        return usage_error("%s", *p->wrong ? p->wrong : "out of memory");
    if (finite)
        return STATUS_FINE;
    usage_error("plot: '%s' is nowhere finite in this range", p->text);
    return STATUS_NOT_FINITE;
}

/* ---- the command ---- */

static int draw(plot *p)
{
    const bool to_file = p->svg && strcmp(p->svg, "-") != 0;
    FILE *to = to_file ? fopen(p->svg, "wb") : stdout;
    if (!to)
        return usage_error("%s: %s", p->svg, strerror(errno));
    int status = p->n == 1 ? draw_curve(p, to) : draw_field(p, to);
    bool lost = to_file && (fflush(to) != 0 || ferror(to));
    lost = (to_file && fclose(to) != 0) || lost;
    if (!lost)
        return status;
    usage_error("%s: it could not be written", p->svg);
    return STATUS_FAILED;
}

static int run(int argc, char **argv)
{
    char wrong[TRACE_WRONG] = "";
    ad_parse_error error;
    plot p = {.wrong = wrong};
    const option options[] = {{"--over", &p.over, NULL},
                              {"--at", &p.at, NULL},
                              {"--svg", &p.svg, NULL},
                              {"--ascii", NULL, &p.ascii}};
    if (!read_options(&plot_command, argc, argv, sizeof options / sizeof *options, options, 1,
                      &p.text))
        return STATUS_USAGE;
    if (!p.text)
        return usage_error("plot: an expression is missing; see `tapegrad plot --help`");
    if (!p.over)
        return usage_error("plot: --over is missing: the range to draw, as in --over x=-3:3");
    ad_expression *e = ad_parse(p.text, &error);
    if (!e)
        complain_at(wrong, "", p.text, &error);
    const bool good = e && read_ranges(&p) && check_names(&p, e);
    int status = STATUS_USAGE;
    if (!good)
        usage_error("%s", wrong);
    else if (!sampler_new(&p.sampler, e, p.at, wrong))
        usage_error("%s", wrong);
    else
        status = draw(&p);
    if (good)
        sampler_free(&p.sampler);
    ad_expression_free(e);
    return status;
}

const command plot_command = {"plot", "value and derivative over a range, as text or SVG", help,
                              run};
