/* test_nn_chart.c - charts as SVG and as text, histories, the progress of fits, and searches */
#define _GNU_SOURCE /* openpty */
#include "expect.h"
#include "nn.h"

#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>
#if defined(__linux__)
#include <pty.h>
#endif

#include "chart.h"
#include "model.h"
#include "words.h"

/* ---- what was written ---- */

typedef struct output {
    char *text;
    size_t size;
    FILE *to;
} output;

static output open_output(void)
{
    output o = {0};
    o.to = tmpfile();
    assert_non_null(o.to);
    return o;
}

static void close_output(output *o)
{
    long size = ftell(o->to);
    rewind(o->to);
    o->text = calloc((size_t)size + 1, 1);
    assert_non_null(o->text);
    o->size = fread(o->text, 1, (size_t)size, o->to);
    fclose(o->to);
}

static void code_at(ad_status got, ad_status want, const char *what, int line)
{
    if (got != want)
        fail_msg("line %d: %s: got %s, want %s", line, what, ad_status_name(got),
                 ad_status_name(want));
}
#define CODE(got, want) code_at(got, want, #got, __LINE__)

static void text_at(const char *got, const char *want, int line)
{
    if (strcmp(got, want))
        fail_msg("line %d: got\n%s\nwant\n%s", line, got, want);
}
#define TEXT(got, want) text_at(got, want, __LINE__)

static char *svg_of(const nn_chart *chart)
{
    output o = open_output();
    CODE(nn_chart_svg(chart, o.to), AD_OK);
    close_output(&o);
    return o.text;
}

static char *text_of(const nn_chart *chart, int columns, int rows)
{
    output o = open_output();
    CODE(nn_chart_text(chart, columns, rows, o.to), AD_OK);
    close_output(&o);
    return o.text;
}

/* ---- is it XML? ---- */

typedef struct tags {
    int depth;
    char name[16][16];
} tags;

/* A tag from < on; gives what follows it, NULL where it is wrong. */
static const char *read_tag(const char *s, tags *t)
{
    bool closes = *++s == '/';
    char name[16] = "";
    s += closes;
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");
    if (!n || n >= sizeof name)
        return NULL;
    memcpy(name, s, n);
    s += n;
    while (*s && *s != '>' && *s != '/') { /* attributes, in single quotes */
        s += strspn(s, " \n");
        size_t word = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789");
        if (!word || s[word] != '=' || s[word + 1] != '\'')
            return NULL;
        s = strchr(s + word + 2, '\'');
        if (!s++)
            return NULL;
    }
    bool empty = *s == '/';
    s += empty;
    if (*s != '>')
        return NULL;
    if (closes)
        return t->depth && !strcmp(t->name[--t->depth], name) ? s + 1 : NULL;
    if (!empty) {
        if (t->depth == 16)
            return NULL;
        memcpy(t->name[t->depth++], name, sizeof name);
    }
    return s + 1;
}

static void expect_xml(const char *text, const char *what)
{
    tags t = {0};
    const char *s = text;
    while (s && *s) {
        unsigned char c = (unsigned char)*s;
        if (c == '<')
            s = read_tag(s, &t);
        else if (c == '&') {
            const char *end = strchr(s, ';');
            s = end && end - s < 7 ? end + 1 : NULL;
        } else {
            const char *next = s;
            bool bad =
                *s != '\n' && nn_next_letter(&next) == 0xFFFD && memcmp(s, "\xEF\xBF\xBD", 3);
            s = bad ? NULL : *s == '\n' ? s + 1 : next;
        }
    }
    if (!s || t.depth)
        fail_msg("%s: not well formed (depth %d):\n%s", what, t.depth, text);
}

/* ---- the paths of a picture ---- */

typedef struct extent {
    double low[2], high[2];
    int points, strokes; /* strokes: how often the pen is set down */
} extent;

static void reach(extent *e, double x, double y)
{
    const double at[2] = {x, y};
    for (int k = 0; k < 2; k++) {
        e->low[k] = e->points ? fmin(e->low[k], at[k]) : at[k];
        e->high[k] = e->points ? fmax(e->high[k], at[k]) : at[k];
    }
    e->points++;
}

/* Of the path of M and l that follows `marker` in the picture. */
static extent path_after(const char *svg, const char *marker)
{
    extent e = {0};
    const char *s = strstr(svg, marker);
    s = s ? strstr(s, " d='") : NULL;
    if (!s)
        fail_msg("no path after %s", marker);
    double x = 0, y = 0;
    bool relative = false;
    for (s += 4; *s && *s != '\'';) {
        if (*s == 'M' || *s == 'l') {
            relative = *s++ == 'l';
            e.strokes += !relative;
        } else if (*s == 'h') /* a dot */
            s += 2;
        else if (*s == '\n' || *s == ' ')
            s++;
        else {
            char *end;
            double a = strtod(s, &end), b = strtod(end, &end);
            assert_true(end > s);
            s = end;
            x = relative ? x + a : a;
            y = relative ? y + b : b;
            reach(&e, x, y);
        }
    }
    return e;
}

static const char solid[] = "<path fill='none' stroke='#0072b2'";

/* ---- SVG ---- */

static void a_line_goes_from_corner_to_corner(void **state)
{
    (void)state;
    const double x[3] = {0, 1, 2}, y[3] = {0, 50, 100};
    nn_series s = {"rise", 3, x, y, false};
    char *svg = svg_of(&(nn_chart){.title = "t", .n_series = 1, .series = &s});
    expect_xml(svg, "line");
    CONTAINS(svg, "<title>t</title>");
    CONTAINS(svg, "rise: 3 points, from 0 at 0 to 100 at 2, lowest 0 at 0.");
    extent e = path_after(svg, solid);
    EQUAL(e.points, 3);
    EQUAL(e.strokes, 1);
    EQUAL(e.high[0], 618); /* the frame's right side */
    EQUAL(e.high[1] - e.low[1], 300);
    free(svg);
}

static void nan_and_infinity_leave_gaps(void **state)
{
    (void)state;
    const double x[9] = {0, 1, 2, 3, 4, 5, NAN, 7, 8};
    const double y[9] = {1, 2, NAN, 3, INFINITY, 4, 5, 6, 7};
    nn_series s = {"gaps", 9, x, y, false};
    char *svg = svg_of(&(nn_chart){.n_series = 1, .series = &s});
    expect_xml(svg, "gaps");
    extent e = path_after(svg, solid);
    EQUAL(e.strokes, 2); /* 0-1 and 7-8 */
    EQUAL(e.points, 4);
    extent dots = path_after(svg, "<path fill='#0072b2'");
    EQUAL(dots.points, 2); /* 3 and 5 stand alone */
    CONTAINS(svg, "gaps: 6 points");
    free(svg);
}

static void logarithmic_axes_leave_out_what_has_no_logarithm(void **state)
{
    (void)state;
    const double x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {100, 10, 0, -5, .1, .01};
    nn_series s = {"loss", 6, x, y, false};
    char *svg = svg_of(&(nn_chart){.n_series = 1, .series = &s, .log_y = true});
    expect_xml(svg, "logarithm");
    extent e = path_after(svg, solid);
    EQUAL(e.points, 4);
    EQUAL(e.strokes, 2);
    const char *const decades[] = {">100<", ">10<", ">1<", ">0.1<", ">0.01<"};
    for (int i = 0; i < 5; i++)
        CONTAINS(svg, decades[i]);
    free(svg);
    free(text_of(&(nn_chart){.n_series = 1, .series = &s, .log_y = true, .log_x = true}, 40, 12));
}

static void long_series_are_thinned_but_keep_their_extremes(void **state)
{
    (void)state;
    enum { N = 100000 };
    double *x = calloc(2 * N, sizeof *x), *y = x + N;
    assert_non_null(x);
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = sin(i * .7);
    }
    y[54321] = 99.5;
    y[54322] = -99.5;
    nn_series s = {"long", N, x, y, false};
    char *svg = svg_of(&(nn_chart){.n_series = 1, .series = &s, .y_low = -100, .y_high = 100});
    expect_xml(svg, "long");
    extent e = path_after(svg, "stroke-width='1'");
    if (strlen(svg) > 40000 || e.points > 2500)
        fail_msg("%zu bytes and %d points are too many", strlen(svg), e.points);
    assert_true(fabs(e.high[1] - e.low[1] - 298.5) < .2);
    free(svg);
    s.points = true;
    svg = svg_of(&(nn_chart){.n_series = 1, .series = &s});
    if (strlen(svg) > 250000)
        fail_msg("%zu bytes of dots", strlen(svg));
    free(svg);
    free(x);
}

static void a_given_range_cuts_lines_at_the_frame(void **state)
{
    (void)state;
    const double x[4] = {-1e9, 1e9, 1e9, 0}, y[4] = {-1e9, 1e9, 1e299, .5};
    nn_series s[2] = {{"line", 4, x, y, false}, {"dots", 4, x, y, true}};
    char *svg = svg_of(
        &(nn_chart){.n_series = 2, .series = s, .x_low = -1, .x_high = 1, .y_low = 0, .y_high = 1});
    expect_xml(svg, "cut");
    extent e = path_after(svg, solid);
    EQUAL(e.high[0], 618);
    EQUAL(e.high[1] - e.low[1], 300);
    free(svg);
}

static void names_are_escaped_and_cleaned(void **state)
{
    (void)state;
    const double x[2] = {0, 1};
    char all[257];
    for (int i = 0; i < 256; i++)
        all[i] = (char)(i < 255 ? i + 1 : 0);
    all[256] = 0;
    const char *const names[] = {"<script>alert('1')</script> & \"more\" ]]>",
                                 all,
                                 "\x1b[2J\x07",
                                 "\xff\xfe\xc0\x80",
                                 "cut \xe5\xad",
                                 "\xed\xa0\x80 \xf4\x90\x80\x80 \xef\xbf\xbf",
                                 "\xe5\xad\xa6\xe7\xbf\x92",
                                 "\xe2\x80\xae"
                                 "backwards"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nn_series s = {names[i], 2, x, x, i % 2 == 0};
        nn_chart c = {names[i], names[i], names[i], 1, &s, false, false, 0, 0, 0, 0};
        char *svg = svg_of(&c);
        expect_xml(svg, "names");
        free(svg);
        char *text = text_of(&c, 60, 15);
        for (const char *t = text; *t; t++)
            if ((unsigned char)*t < 32 && *t != '\n')
                fail_msg("a control character, %d, in\n%s", *t, text);
        free(text);
    }
    nn_series s = {names[0], 2, x, x, false};
    char *svg = svg_of(&(nn_chart){.n_series = 1, .series = &s});
    CONTAINS(svg, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot; ]]&gt;");
    free(svg);
}

static void bytes_are_the_same_in_every_locale(void **state)
{
    (void)state;
    const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "ps_AF", "C.UTF-8"};
    const double x[3] = {.1, .2, .35}, y[3] = {1.5, .25, 1e-7};
    nn_series s = {"a", 3, x, y, false};
    nn_chart c = {.title = "t", .n_series = 1, .series = &s};
    char *svg = svg_of(&c), *text = text_of(&c, 0, 0);
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++) {
        if (!setlocale(LC_ALL, locales[i]))
            continue; /* not on this machine */
        char *again = svg_of(&c), *text_again = text_of(&c, 0, 0);
        TEXT(again, svg);
        TEXT(text_again, text);
        free(again);
        free(text_again);
    }
    setlocale(LC_ALL, "C");
    free(svg);
    free(text);
}

static void wrong_charts_are_refused(void **state)
{
    (void)state;
    const double v[2] = {1, 2};
    nn_series s = {"a", 2, v, v, false}, no_x = {"b", 2, NULL, v, false},
              no_y = {"c", 2, v, NULL, false};
    nn_series negative = {"d", -1, v, v, false}, empty = {"e", 0, NULL, NULL, false};
    FILE *to = tmpfile();
    const struct {
        nn_chart chart;
        ad_status want;
    } wrong[] = {
        {{.n_series = 1}, AD_NULL},
        {{.n_series = -1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &no_x}, AD_NULL},
        {{.n_series = 1, .series = &no_y}, AD_NULL},
        {{.n_series = 1, .series = &negative}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .x_low = 1, .x_high = 1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .x_low = 2, .x_high = 1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .y_low = NAN, .y_high = 1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .y_low = 0, .y_high = INFINITY}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .log_y = true, .y_low = -1, .y_high = 1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &s, .log_x = true, .x_low = 0, .x_high = 1}, AD_BAD_ARGUMENT},
        {{.n_series = 1, .series = &empty}, AD_OK},
        {{.n_series = 1, .series = &s}, AD_OK},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (nn_chart_svg(&wrong[i].chart, to) != wrong[i].want ||
            nn_chart_text(&wrong[i].chart, 0, 0, to) != wrong[i].want)
            fail_msg("chart %zu: got %s and %s, want %s", i,
                     ad_status_name(nn_chart_svg(&wrong[i].chart, to)),
                     ad_status_name(nn_chart_text(&wrong[i].chart, 0, 0, to)),
                     ad_status_name(wrong[i].want));
    nn_chart c = {.n_series = 1, .series = &s};
    CODE(nn_chart_svg(NULL, to), AD_NULL);
    CODE(nn_chart_svg(&c, NULL), AD_NULL);
    CODE(nn_chart_text(NULL, 0, 0, to), AD_NULL);
    CODE(nn_chart_text(&c, 0, 0, NULL), AD_NULL);
    CODE(nn_chart_text(&c, -1, 20, to), AD_BAD_ARGUMENT);
    CODE(nn_chart_text(&c, 29, 20, to), AD_BAD_ARGUMENT);
    CODE(nn_chart_text(&c, 80, 9, to), AD_BAD_ARGUMENT);
    CODE(nn_chart_text(&c, INT_MAX, INT_MAX, to), AD_BAD_ARGUMENT);
    fclose(to);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    const double v[2] = {1, 2};
    nn_series s = {"a", 2, v, v, false};
    nn_chart c = {.n_series = 1, .series = &s};
    nn_history_row row = {.epoch = 1};
    nn_history h = {&row, 1, 1};
    FILE *full = fopen("/dev/full", "w");
    if (!full)
        return; /* not a Linux */
    CODE(nn_chart_svg(&c, full), AD_BAD_ARGUMENT);
    CODE(nn_chart_text(&c, 0, 0, full), AD_BAD_ARGUMENT);
    CODE(nn_history_write_csv(&h, full), AD_BAD_ARGUMENT);
    CODE(nn_history_write_json(&h, full), AD_BAD_ARGUMENT);
    CODE(nn_history_write_svg(&h, "t", full), AD_BAD_ARGUMENT);
    fclose(full);
}

/* ---- text ---- */

static void a_chart_in_text_looks_so(void **state)
{
    (void)state;
    const double x[5] = {1, 2, 3, 4, 5}, y[5] = {1, .5, .25, .125, .0625}, z[1] = {1};
    nn_series s[2] = {{"training", 5, x, y, false}, {"chance", 1, x + 3, z, true}};
    char *text = text_of(
        &(nn_chart){
            .title = "Loss", .x_label = "epoch", .y_label = "loss", .n_series = 2, .series = s},
        40, 13);
    TEXT(text, "      Loss\n"
               "loss\n"
               " 1.0 + **                     o\n"
               "     |   **\n"
               "     |     ***\n"
               " 0.5 +        ***\n"
               "     |           ****\n"
               "     |               *************\n"
               "   0 +                            *****\n"
               "     +-+-------+-------+------+-------+-\n"
               "       1       2       3      4       5\n"
               "                    epoch\n"
               "      * training   o chance\n");
    free(text);
}

/* ---- both, over everything ---- */

static void expect_inside(const char *text, int columns, int rows, unsigned seed)
{
    int lines = 0;
    for (const char *line = text; *line; lines++) {
        const char *end = strchr(line, '\n');
        char copy[2000] = "";
        if (!end || end - line >= (long)sizeof copy)
            fail_msg("seed %u: a line without end in\n%s", seed, text);
        memcpy(copy, line, (size_t)(end - line));
        if (nn_text_width(copy) > columns)
            fail_msg("seed %u: \"%s\" is wider than %d", seed, copy, columns);
        line = end + 1;
    }
    if (lines > rows)
        fail_msg("seed %u: %d lines, want %d:\n%s", seed, lines, rows, text);
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static double odd_number(unsigned *seed)
{
    static const double odd[] = {0,        -0.,    1,        -1,     1e308,     -1e308,   1e300,
                                 -1e300,   1e-300, 5e-324,   1e-310, 1e9,       1e9 + 1,  1e15,
                                 1e15 + 1, .1,     INFINITY, NAN,    -INFINITY, 2.5e-308, 3};
    unsigned r = next_random(seed);
    if (r % 3 == 0)
        return odd[next_random(seed) % (sizeof odd / sizeof *odd)];
    return (double)(r % 2000) / 100 - (r % 3 == 1 ? 0 : 10);
}

static void any_numbers_make_a_picture(void **state)
{
    (void)state;
    enum { N = 12 };
    for (unsigned trial = 1; trial <= 3000; trial++) {
        unsigned seed = trial;
        double values[4][N];
        nn_series s[2];
        for (int k = 0; k < 4; k++) {
            double base = odd_number(&seed);
            bool odd = next_random(&seed) % 2;
            for (int i = 0; i < N; i++)
                values[k][i] = odd ? odd_number(&seed) : base * (1 + i * 1e-3 * (k % 2));
        }
        for (int k = 0; k < 2; k++)
            s[k] = (nn_series){k ? "a series with a long name, so that it is cut" : "b",
                               (int)(next_random(&seed) % (N + 1)), values[2 * k],
                               values[2 * k + 1], next_random(&seed) % 3 == 0};
        nn_chart c = {.title = "any", .x_label = "x", .n_series = 2, .series = s};
        c.log_x = next_random(&seed) % 2;
        c.log_y = next_random(&seed) % 2;
        char *svg = svg_of(&c);
        expect_xml(svg, "any");
        if (strstr(svg, "nan") || strstr(svg, "inf,") || strstr(svg, "inf "))
            fail_msg("trial %u: a number that is none in\n%s", trial, svg);
        extent e = {0};
        if (!s[0].points)
            e = path_after(svg, solid);
        if (e.points && !(e.low[0] >= 0 && e.high[0] <= 640 && e.low[1] >= 0 && e.high[1] <= 400))
            fail_msg("trial %u: a line from %g,%g to %g,%g in\n%s", trial, e.low[0], e.low[1],
                     e.high[0], e.high[1], svg);
        free(svg);
        int columns = 30 + (int)(next_random(&seed) % 90), rows = 10 + (int)(trial % 30);
        char *text = text_of(&c, columns, rows);
        expect_inside(text, columns, rows, trial);
        free(text);
    }
}

static void axes_have_a_few_ticks_between_their_ends(void **state)
{
    (void)state;
    for (unsigned trial = 1; trial <= 3000; trial++) {
        unsigned seed = trial;
        double size = pow(10, (int)(next_random(&seed) % 40) - 20), v[2];
        v[0] = (next_random(&seed) % 1000) * size + size;
        v[1] = v[0] + (1 + next_random(&seed) % 100000) * size * .01;
        nn_series s = {"a", 2, v, v, false};
        nn_chart c = {.n_series = 1, .series = &s, .log_x = trial % 2, .log_y = trial % 3 == 0};
        nn_axis axes[2];
        nn_chart_axes(&c, 8, 6, &axes[0], &axes[1]);
        for (int k = 0; k < 2; k++) {
            int labelled = 0;
            double last = -1;
            for (int i = 0; i < axes[k].n; i++) {
                double place = axes[k].tick[i].place;
                labelled += *axes[k].tick[i].label != 0;
                if (!(place > last && place <= 1 + 1e-9))
                    fail_msg("trial %u: tick %d of %d at %g after %g", trial, i, axes[k].n, place,
                             last);
                last = place;
            }
            if (labelled < 1 + k || labelled > 13)
                fail_msg("trial %u: %d labels from %g to %g", trial, labelled, axes[k].low,
                         axes[k].high);
        }
    }
}

/* ---- histories ---- */

static const nn_scores no_scores = {0, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};

static nn_history two_epochs(bool validation)
{
    nn_history h = {0};
    for (int i = 0; i < 2; i++) {
        nn_history_row row = {
            .epoch = i + 1, .step = 10 * (i + 1), .rate = 1e-3, .seconds = .5 * i};
        row.training = row.validation = no_scores;
        row.training.rows = 320;
        row.training.loss = i ? .1 : 1. / 3;
        row.training.accuracy = .5 + .25 * i;
        if (validation && i) {
            row.validation.rows = 32;
            row.validation.loss = .2;
            row.validation.accuracy = 1;
        }
        assert_true(nn_history_add(&h, &row));
    }
    return h;
}

static void histories_are_written_as_csv(void **state)
{
    (void)state;
    nn_history h = two_epochs(true);
    output o = open_output();
    CODE(nn_history_write_csv(&h, o.to), AD_OK);
    close_output(&o);
    char want[400];
    snprintf(want, sizeof want,
             "epoch,step,rate,seconds,loss,%s,validation_loss,validation_%s\n"
             "1,10,0.001,0,0.3333333333333333,0.5,,\n"
             "2,20,0.001,0.5,0.1,0.75,0.2,1\n",
             nn_metric_name(NN_ACCURACY), nn_metric_name(NN_ACCURACY));
    TEXT(o.text, want);
    free(o.text);
    nn_history_clear(&h);
    EQUAL(h.n, 0);
    o = open_output();
    CODE(nn_history_write_csv(&h, o.to), AD_OK);
    close_output(&o);
    TEXT(o.text, "epoch,step,rate,seconds,loss\n");
    free(o.text);
}

static void histories_are_written_as_json(void **state)
{
    (void)state;
    nn_history h = two_epochs(true);
    h.rows[0].training.loss = INFINITY;
    output o = open_output();
    CODE(nn_history_write_json(&h, o.to), AD_OK);
    close_output(&o);
    json_error_t error;
    json_t *all = json_loads(o.text, 0, &error);
    if (!all)
        fail_msg("%s in %s", error.text, o.text);
    EQUAL((double)json_array_size(all), 2);
    const json_t *first = json_array_get(all, 0), *second = json_array_get(all, 1);
    EQUAL((double)json_integer_value(json_object_get(second, "step")), 20);
    EQUAL(json_real_value(json_object_get(second, "loss")), .1);
    EQUAL(json_real_value(json_object_get(second, "validation_loss")), .2);
    assert_true(json_is_null(json_object_get(first, "validation_loss")));
    assert_true(json_is_null(json_object_get(first, "loss")));
    assert_null(json_object_get(second, nn_metric_name(NN_F1)));
    json_decref(all);
    free(o.text);
    nn_history_clear(&h);
    o = open_output();
    CODE(nn_history_write_json(&h, o.to), AD_OK);
    close_output(&o);
    all = json_loads(o.text, 0, &error);
    assert_true(json_is_array(all) && !json_array_size(all));
    json_decref(all);
    free(o.text);
}

static void histories_are_drawn(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        nn_history h = two_epochs(k > 0);
        if (k == 2)
            h.rows[1].epoch = 1;
        if (k == 3)
            h.rows[1].epoch = 1, h.rows[1].step = 1;
        output o = open_output();
        CODE(nn_history_write_svg(&h, "<run> 1", o.to), AD_OK);
        close_output(&o);
        expect_xml(o.text, "history");
        CONTAINS(o.text, "<title>&lt;run&gt; 1</title>");
        CONTAINS(o.text, nn_metric_name(NN_ACCURACY));
        CONTAINS(o.text, k < 2 ? ">epoch<" : k == 2 ? ">step<" : ">row<");
        assert_true(!strstr(o.text, "validation") == !k);
        free(o.text);
        nn_history_clear(&h);
        o = open_output();
        CODE(nn_history_write_svg(&h, NULL, o.to), AD_OK);
        close_output(&o);
        expect_xml(o.text, "no history");
        free(o.text);
    }
}

static void a_models_history_is_its_own(void **state)
{
    (void)state;
    nn_model model = {0};
    model.history = two_epochs(false);
    EQUAL(nn_history_count(&model), 2);
    EQUAL(nn_history_at(&model, 1)->epoch, 2);
    assert_null(nn_history_at(&model, 2));
    assert_null(nn_history_at(&model, -1));
    FILE *to = tmpfile();
    CODE(nn_history_csv(&model, to), AD_OK);
    CODE(nn_history_json(&model, to), AD_OK);
    CODE(nn_history_svg(&model, "a", to), AD_OK);
    CODE(nn_history_csv(&model, NULL), AD_NULL);
    CODE(nn_history_json(&model, NULL), AD_NULL);
    CODE(nn_history_svg(&model, "a", NULL), AD_NULL);
    model.error.status = AD_BAD_SHAPE;
    CODE(nn_history_csv(&model, to), AD_BAD_SHAPE);
    nn_history_clear(&model.history);
    EQUAL(nn_history_count(NULL), 0);
    assert_null(nn_history_at(NULL, 0));
    CODE(nn_history_csv(NULL, to), AD_NULL);
    CODE(nn_history_json(NULL, to), AD_NULL);
    CODE(nn_history_svg(NULL, NULL, to), AD_NULL);
    fclose(to);
}

static void exact_numbers_read_back(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        char text[NN_NUMBER_TEXT];
        double x = ldexp((double)next_random(&seed) * 16777216. + next_random(&seed),
                         (int)(next_random(&seed) % 2000) - 1060);
        nn_exact_number(text, x);
        if (strtod(text, NULL) != x)
            fail_msg("got %s, want %.17g", text, x);
    }
    const struct {
        double value;
        int digits;
        const char *want;
    } cases[] = {{.1, 4, "0.1"},       {1e-5, 3, "1e-5"},     {1.5e-10, 3, "1.5e-10"},
                 {100000, 4, "1e5"},   {123456, 3, "1.23e5"}, {-2.5e100, 4, "-2.5e100"},
                 {1200, 2, "1.2e3"},   {0, 3, "0"},           {-0., 3, "0"},
                 {INFINITY, 3, "inf"}, {NAN, 3, "nan"},       {5e-324, 1, "5e-324"},
                 {99999.6, 5, "1e5"},  {1000, 4, "1000"},     {-.001, 3, "-0.001"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NN_NUMBER_TEXT];
        nn_short_number(text, cases[i].value, cases[i].digits);
        TEXT(text, cases[i].want);
    }
}

/* ---- progress ---- */

static nn_progress_info info_at(nn_event event)
{
    nn_progress_info info = {.event = event,
                             .epoch = 12,
                             .epochs = 50,
                             .batch = 600,
                             .batches = 938,
                             .step = 11 * 938 + 600,
                             .rate = 1e-3,
                             .metrics = NN_ACCURACY,
                             .best = .1987,
                             .best_epoch = 9,
                             .waited = 2,
                             .patience = 5,
                             .seconds_left = 7};
    info.training = info.validation = no_scores;
    info.training.loss = .21342;
    info.training.accuracy = .93712;
    return info;
}

static nn_progress_info validated_at(nn_event event)
{
    nn_progress_info info = info_at(event);
    info.batch = info.batches;
    info.seconds = 41;
    info.has_validation = true;
    info.validation.loss = .2011;
    info.validation.accuracy = .942;
    info.validation.rows = 10000;
    return info;
}

static void a_log_gets_one_line_an_epoch(void **state)
{
    (void)state;
    output o = open_output();
    nn_callback c = nn_progress(o.to);
    nn_progress_info info = info_at(NN_FIT_BEGINS);
    assert_true(c.function(c.user, &info));
    for (int i = 1; i <= 938; i++) {
        info = info_at(NN_STEP_DONE);
        info.batch = i;
        assert_true(c.function(c.user, &info));
    }
    info = info_at(NN_EPOCH_DONE);
    info.best_epoch = 0;
    c.function(c.user, &info);
    info = validated_at(NN_VALIDATED);
    c.function(c.user, &info);
    info.batch = 100;
    c.function(c.user, &info);
    info = validated_at(NN_EPOCH_DONE);
    c.function(c.user, &info);
    info.patience = 0;
    info.metrics = NN_AUC;
    info.training.loss = info.validation.loss = 12345;
    info.training.auc = info.validation.auc = .75;
    info.training.custom = 1e-7;
    info.rate = .05;
    info.seconds = 3723.6;
    c.function(c.user, &info);
    info.event = NN_FIT_DONE;
    c.function(c.user, &info);
    info = validated_at(NN_FIT_DONE);
    info.stopped = "no improvement";
    c.function(c.user, &info);
    close_output(&o);
    char want[1000];
    const char *auc = nn_metric_name(NN_AUC);
    snprintf(want, sizeof want,
             "epoch 12/50  loss 0.2134  acc 93.71%%  lr 1e-3  time 0:00\n"
             "epoch 12/50  loss 0.2134  acc 93.71%%  val loss 0.2011  acc 94.20%%  "
             "(best 0.1987, epoch 9; patience 2/5)  lr 1e-3  time 0:41\n"
             "epoch 12/50  loss 1.234e4  %s 0.7500  custom 1e-7  val loss 1.234e4  %s 0.7500  "
             "(best 0.1987, epoch 9)  lr 0.05  time 1:02:04\n"
             "stopped: no improvement in 5 validations; best 0.1987 in epoch 9 restored\n",
             auc, auc);
    TEXT(o.text, want);
    free(o.text);
}

static void progress_to_nothing_does_nothing(void **state)
{
    (void)state;
    nn_callback c = nn_progress(NULL);
    nn_progress_info info = validated_at(NN_EPOCH_DONE);
    assert_true(c.function(c.user, &info));
    c = nn_progress(stderr);
    assert_true(c.function(c.user, NULL));
}

#if defined(__linux__)
typedef struct terminal {
    int master;
    FILE *to;
} terminal;

/* A terminal of so many columns, whose lines come out as they are written. */
static terminal open_terminal(int columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int slave;
    terminal t;
    setenv("TERM", "xterm", 1);
    if (openpty(&t.master, &slave, NULL, NULL, &size)) {
        t.to = NULL;
        return t;
    }
    t.to = fdopen(slave, "w");
    return t;
}

/* All that was written; the terminal is closed. */
static char *read_terminal(terminal *t)
{
    enum { ROOM = 65536 };
    char *text = calloc(ROOM, 1);
    assert_non_null(text);
    fclose(t->to); /* what it holds can still be read, and then reading ends */
    ssize_t got;
    for (size_t n = 0; (got = read(t->master, text + n, ROOM - 1 - n)) > 0;)
        n += (size_t)got;
    close(t->master);
    return text;
}

static void a_terminal_sees_a_bar(void **state)
{
    (void)state;
    terminal t = open_terminal(80);
    if (!t.to)
        skip();
    nn_callback c = nn_progress(t.to);
    nn_progress_info info = info_at(NN_STEP_DONE);
    info.batch = 591; /* 63 of 100 parts are done: 590 was in the 62nd */
    assert_true(c.function(c.user, &info));
    info.batch = 592;
    assert_true(c.function(c.user, &info));
    info = validated_at(NN_VALIDATED);
    c.function(c.user, &info);
    info = validated_at(NN_EPOCH_DONE);
    c.function(c.user, &info);
    info = validated_at(NN_FIT_DONE);
    c.function(c.user, &info);
    info.stopped = "asked to";
    info.patience = 0;
    c.function(c.user, &info);
    char *text = read_terminal(&t);
    TEXT(text,
         "\repoch 12/50 [######----] 591/938  loss 0.2134  acc 93.71%  lr 1e-3  eta 0:07\033[K"
         "\repoch 12/50  val loss 0.2011  acc 94.20%  (best 0.1987, epoch 9; patience 2/5)"
         "\033[K\r\n"
         "\r\033[K"
         "\rstopped: asked to; best 0.1987 in epoch 9\033[K\r\n");
    free(text);
}

static void a_narrow_terminal_is_not_overrun(void **state)
{
    (void)state;
    for (int columns = 2; columns < 130; columns++) {
        terminal t = open_terminal(columns);
        if (!t.to)
            skip();
        nn_callback c = nn_progress(t.to);
        nn_progress_info info = info_at(NN_STEP_DONE);
        info.batch = 591;
        info.metrics = (1 << NN_METRICS) - 1;
        info.training = (nn_scores){1, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5};
        c.function(c.user, &info);
        info = validated_at(NN_EPOCH_DONE);
        c.function(c.user, &info);
        char *text = read_terminal(&t);
        for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
            char *end = strstr(line, "\033[K");
            if (!end || end - line >= columns)
                fail_msg("%d columns: \"%s\"", columns, line);
        }
        free(text);
    }
}

static void a_terminal_is_drawn_about_ten_times_a_second(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        terminal t = open_terminal(80);
        if (!t.to)
            skip();
        nn_callback c = nn_progress(t.to);
        const int steps = 5000; /* in two seconds */
        for (int i = 1; i <= steps; i++) {
            nn_progress_info info = info_at(NN_STEP_DONE);
            info.epochs = info.epoch = 1;
            info.batch = i;
            info.batches = known ? steps : -1;
            info.step = i + (known ? 1000000 : 0);
            info.seconds = 2 * (i - .4) / steps;
            info.seconds_left = known ? 2 - info.seconds : NAN;
            c.function(c.user, &info);
        }
        char *text = read_terminal(&t);
        int drawn = 0;
        for (const char *s = text; (s = strchr(s, '\r')); s++)
            drawn++;
        if (drawn < 18 || drawn > 22)
            fail_msg("drawn %d times in two seconds, want 20", drawn);
        free(text);
    }
}

static void a_terminal_without_a_size_has_that_of_its_environment(void **state)
{
    (void)state;
    terminal t = open_terminal(0);
    if (!t.to)
        skip();
    setenv("COLUMNS", "30", 1);
    nn_callback c = nn_progress(t.to);
    nn_progress_info info = validated_at(NN_EPOCH_DONE);
    c.function(c.user, &info);
    unsetenv("COLUMNS");
    char *text = read_terminal(&t);
    TEXT(text, "\repoch 12/50  val loss 0.2011\033[K\r\n");
    free(text);
}

static void a_dumb_terminal_gets_lines(void **state)
{
    (void)state;
    terminal t = open_terminal(80);
    if (!t.to)
        skip();
    setenv("TERM", "dumb", 1);
    nn_callback c = nn_progress(t.to);
    nn_progress_info info = info_at(NN_STEP_DONE);
    info.batch = 591;
    c.function(c.user, &info);
    info = info_at(NN_EPOCH_DONE);
    info.best_epoch = 0;
    c.function(c.user, &info);
    setenv("TERM", "xterm", 1);
    char *text = read_terminal(&t);
    TEXT(text, "epoch 12/50  loss 0.2134  acc 93.71%  lr 1e-3  time 0:00\r\n");
    free(text);
}
#endif

/* ---- searches ---- */

enum { MOST = 64 };
typedef struct seen {
    int calls, reports;
    double points[MOST][2];
    int fail_every; /* NaN at these */
    bool ok;
} seen;

/* Smallest, -1, at (3, 0.01). */
static double bowl(const double *point, void *user)
{
    seen *s = user;
    if (s->calls < MOST)
        memcpy(s->points[s->calls], point, sizeof s->points[0]);
    s->calls++;
    if (s->fail_every && s->calls % s->fail_every == 0)
        return NAN;
    return pow(point[0] - 3, 2) + pow(log10(point[1]) + 2, 2) - 1;
}

static void note_report(void *user, int trial, int trials, const double *point, double score)
{
    seen *s = user;
    (void)score;
    s->reports++;
    s->ok = trial == s->reports && trial == s->calls && trials >= trial &&
            point[0] == s->points[trial - 1][0];
}

static const double units[3] = {1, 3, 7};
static const nn_hyperparameter two[2] = {
    {.name = "units", .n_values = 3, .values = units},
    {.name = "rate", .low = 1e-4, .high = 1, .logarithmic = true},
};

static void a_grid_tries_every_combination(void **state)
{
    (void)state;
    nn_search_config config = {.n = 2, .hyperparameters = two, .steps = 5, .report = note_report};
    EQUAL((double)nn_search_size(&config), 15);
    seen s = {0};
    double best[2], score, points[30], scores[15];
    nn_error error = {0};
    CODE(nn_search(&config, bowl, &s, best, &score, points, scores, &error), AD_OK);
    EQUAL(s.calls, 15);
    EQUAL(s.reports, 15);
    assert_true(s.ok);
    EQUAL(best[0], 3);
    CLOSE(best[1], .01);
    EQUAL(scores[7], score);
    for (int i = 0; i < 15; i++) { /* the last changes fastest */
        EQUAL(points[2 * i], units[i / 5]);
        CLOSE(points[2 * i + 1], pow(10, i % 5 - 4));
    }
    EQUAL(points[1], 1e-4);
    EQUAL(points[9], 1);
    config.maximise = true;
    config.steps = 0;
    EQUAL((double)nn_search_size(&config), 9);
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_OK);
    EQUAL(best[0], 7);
    EQUAL(best[1], 1e-4); /* the first of two that are alike */
}

static void ranges_are_cut_linearly(void **state)
{
    (void)state;
    const nn_hyperparameter h[2] = {{.name = "a", .low = -1, .high = 2},
                                    {.name = "b", .low = .5, .high = .5}};
    nn_search_config config = {.n = 2, .hyperparameters = h, .steps = 4};
    EQUAL((double)nn_search_size(&config), 4);
    seen s = {0};
    double best[2], score;
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_OK);
    for (int i = 0; i < 4; i++) {
        EQUAL(s.points[i][0], i - 1);
        EQUAL(s.points[i][1], .5);
    }
    config.steps = 1;
    s = (seen){0};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_OK);
    EQUAL(s.calls, 1);
    EQUAL(s.points[0][0], .5);
}

static void random_points_depend_on_seed_and_number_only(void **state)
{
    (void)state;
    nn_search_config config = {.n = 2, .hyperparameters = two, .trials = 40, .seed = 7};
    EQUAL((double)nn_search_size(&config), 40);
    seen a = {0}, b = {0}, c = {0};
    double best[2], score;
    CODE(nn_search(&config, bowl, &a, best, &score, NULL, NULL, NULL), AD_OK);
    config.trials = 10;
    CODE(nn_search(&config, bowl, &b, best, &score, NULL, NULL, NULL), AD_OK);
    assert_memory_equal(a.points, b.points, 10 * sizeof a.points[0]);
    config.seed = 8;
    CODE(nn_search(&config, bowl, &c, best, &score, NULL, NULL, NULL), AD_OK);
    assert_memory_not_equal(b.points, c.points, 10 * sizeof a.points[0]);
    int low = 0, of_units[3] = {0};
    for (int i = 0; i < 40; i++) {
        double rate = a.points[i][1];
        if (!(rate >= 1e-4 && rate <= 1))
            fail_msg("point %d: rate %g is outside of its range", i, rate);
        low += rate < 1e-2;
        for (int k = 0; k < 3; k++)
            of_units[k] += a.points[i][0] == units[k];
    }
    assert_in_range(low, 10, 30); /* by magnitude, half of them */
    EQUAL(of_units[0] + of_units[1] + of_units[2], 40);
    for (int k = 0; k < 3; k++)
        assert_in_range(of_units[k], 5, 25);
}

static void failed_trials_are_left_out(void **state)
{
    (void)state;
    nn_search_config config = {.n = 2, .hyperparameters = two, .steps = 5};
    seen s = {.fail_every = 2};
    double best[2], score, scores[15];
    nn_error error = {0};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, scores, &error), AD_OK);
    assert_true(isnan(scores[1]) && isnan(scores[7]) && !isnan(score));
    s = (seen){.fail_every = 1};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, scores, &error), AD_NOT_FINITE);
    CONTAINS(error.text, "all 15 trials failed");
    assert_true(isnan(score));
    s.calls = 0;
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, scores, &error), AD_NOT_FINITE);
    EQUAL(s.calls, 0); /* the earlier error is kept */
}

static void wrong_searches_are_refused_by_name(void **state)
{
    (void)state;
    const double values[2] = {1, NAN};
    const nn_hyperparameter big = {.name = "big", .low = 0, .high = 1};
    nn_hyperparameter many[8];
    for (int k = 0; k < 8; k++)
        many[k] = big;
    const struct {
        nn_hyperparameter h;
        ad_status want;
        const char *part;
    } wrong[] = {
        {{.name = "rate", .low = 0, .high = 1, .logarithmic = true},
         AD_BAD_ARGUMENT,
         "hyperparameter 2 of 2 (rate): a logarithmic range needs low > 0"},
        {{.name = "rate", .low = 2, .high = 1}, AD_BAD_ARGUMENT, "low 2 is above high 1"},
        {{.name = "rate", .low = NAN, .high = 1}, AD_BAD_ARGUMENT, "not finite"},
        {{.name = "rate", .low = 0, .high = INFINITY}, AD_BAD_ARGUMENT, "not finite"},
        {{.n_values = -3}, AD_BAD_ARGUMENT, "(without a name): n_values is -3"},
        {{.name = "x", .n_values = 2}, AD_NULL, "values is NULL"},
        {{.name = "x", .n_values = 2, .values = values}, AD_BAD_ARGUMENT, "value 2 of 2 is"},
    };
    seen s = {0};
    double best[8], score;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const nn_hyperparameter h[2] = {big, wrong[i].h};
        nn_search_config config = {.n = 2, .hyperparameters = h};
        nn_error error = {0};
        CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, &error), wrong[i].want);
        CONTAINS(error.text, wrong[i].part);
        EQUAL((double)nn_search_size(&config), -1);
    }
    nn_search_config config = {.n = 8, .hyperparameters = many, .steps = 1000};
    nn_error error = {0};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, &error), AD_TOO_LARGE);
    CONTAINS(error.text, "set trials");
    EQUAL((double)nn_search_size(&config), -1);
    config.trials = -1;
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_BAD_ARGUMENT);
    config = (nn_search_config){.n = 1};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_NULL);
    config = (nn_search_config){.n = 0, .hyperparameters = two};
    CODE(nn_search(&config, bowl, &s, best, &score, NULL, NULL, NULL), AD_BAD_ARGUMENT);
    config = (nn_search_config){.n = 2, .hyperparameters = two};
    CODE(nn_search(NULL, bowl, &s, best, &score, NULL, NULL, NULL), AD_NULL);
    CODE(nn_search(&config, NULL, &s, best, &score, NULL, NULL, NULL), AD_NULL);
    CODE(nn_search(&config, bowl, &s, NULL, &score, NULL, NULL, NULL), AD_NULL);
    CODE(nn_search(&config, bowl, &s, best, NULL, NULL, NULL, NULL), AD_NULL);
    EQUAL((double)nn_search_size(NULL), -1);
    EQUAL(s.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_goes_from_corner_to_corner),
        cmocka_unit_test(nan_and_infinity_leave_gaps),
        cmocka_unit_test(logarithmic_axes_leave_out_what_has_no_logarithm),
        cmocka_unit_test(long_series_are_thinned_but_keep_their_extremes),
        cmocka_unit_test(a_given_range_cuts_lines_at_the_frame),
        cmocka_unit_test(names_are_escaped_and_cleaned),
        cmocka_unit_test(bytes_are_the_same_in_every_locale),
        cmocka_unit_test(wrong_charts_are_refused),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test(a_chart_in_text_looks_so),
        cmocka_unit_test(any_numbers_make_a_picture),
        cmocka_unit_test(axes_have_a_few_ticks_between_their_ends),
        cmocka_unit_test(histories_are_written_as_csv),
        cmocka_unit_test(histories_are_written_as_json),
        cmocka_unit_test(histories_are_drawn),
        cmocka_unit_test(a_models_history_is_its_own),
        cmocka_unit_test(exact_numbers_read_back),
        cmocka_unit_test(a_log_gets_one_line_an_epoch),
        cmocka_unit_test(progress_to_nothing_does_nothing),
#if defined(__linux__)
        cmocka_unit_test(a_terminal_sees_a_bar),
        cmocka_unit_test(a_narrow_terminal_is_not_overrun),
        cmocka_unit_test(a_terminal_is_drawn_about_ten_times_a_second),
        cmocka_unit_test(a_terminal_without_a_size_has_that_of_its_environment),
        cmocka_unit_test(a_dumb_terminal_gets_lines),
#endif
        cmocka_unit_test(a_grid_tries_every_combination),
        cmocka_unit_test(ranges_are_cut_linearly),
        cmocka_unit_test(random_points_depend_on_seed_and_number_only),
        cmocka_unit_test(failed_trials_are_left_out),
        cmocka_unit_test(wrong_searches_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
