/* chart_svg.c - charts as SVG
 *
 * The picture stands alone: no style sheet and no ids that would leak where it is put into a page,
 * its own light ground for dark pages, and a description for who cannot see it. */
#include "chart_svg.h"

#include <stdlib.h>

#include "number.h"
#include "words.h"

enum { LETTER = 7, TICK_HEIGHT = 20, LEGEND_HEIGHT = 20, SAMPLE = 28 };

static void put_attribute(FILE *to, const char *name, double pixels)
{
    fprintf(to, " %s='", name);
    nn_put_pixels(to, pixels, false);
    fputc('\'', to);
}

/* ---- around them ---- */

static void put_label(FILE *to, double x, double y, const char *anchor, const char *text,
                      int letters)
{
    fputs("<text", to);
    put_attribute(to, "x", x);
    put_attribute(to, "y", y);
    if (anchor)
        fprintf(to, " text-anchor='%s'", anchor);
    fputc('>', to);
    nn_put_text(to, text, letters, true);
    fputs("</text>\n", to);
}

static void draw_grid(const nn_panel *p, bool labelled)
{
    fprintf(p->to, "<path fill='none' stroke='%s' d='", labelled ? "#ddd" : "#f0f0f0");
    for (int i = 0; i < p->x.n; i++)
        if ((*p->x.tick[i].label != 0) == labelled) {
            fputs("M", p->to);
            nn_put_pixels(p->to, nn_pixel_x(p, p->x.tick[i].place), false);
            fprintf(p->to, " %dv%d", p->top, p->height);
        }
    for (int i = 0; i < p->y.n; i++)
        if ((*p->y.tick[i].label != 0) == labelled) {
            fprintf(p->to, "M%d", p->left);
            nn_put_pixels(p->to, nn_pixel_y(p, p->y.tick[i].place), true);
            fprintf(p->to, "h%d", p->width);
        }
    fputs("'/>\n", p->to);
}

static void draw_ticks(const nn_panel *p)
{
    fputs("<g fill='#555'>\n", p->to);
    for (int i = 0; i < p->x.n; i++)
        if (*p->x.tick[i].label)
            put_label(p->to, nn_pixel_x(p, p->x.tick[i].place), p->top + p->height + 17, "middle",
                      p->x.tick[i].label, NN_TICK_TEXT);
    for (int i = 0; i < p->y.n; i++)
        if (*p->y.tick[i].label)
            put_label(p->to, p->left - 7, nn_pixel_y(p, p->y.tick[i].place) + 4, "end",
                      p->y.tick[i].label, NN_TICK_TEXT);
    fputs("</g>\n", p->to);
}

/* Names under the plot, in as many rows as they need; without `draw`, only counts the rows. */
static int legend(const nn_panel *p, int top, bool draw)
{
    int rows = 0, x = p->right, room = (p->right - p->left) / LETTER - 6;
    for (int i = 0; i < p->chart->n_series; i++) {
        const nn_series *s = &p->chart->series[i];
        int letters = nn_text_width(s->name);
        letters = letters > room ? room : letters;
        if (!letters)
            continue;
        int wide = SAMPLE + 8 + letters * LETTER + 18;
        if (x + wide > p->right + 12) {
            x = p->left;
            rows++;
        }
        if (draw) {
            int y = top + (rows - 1) * LEGEND_HEIGHT;
            nn_draw_sample(p->to, i, s->points, x, y, SAMPLE);
            put_label(p->to, x + SAMPLE + 8, y + 4, NULL, s->name, room);
        }
        x += wide;
    }
    return rows;
}

static bool has(const char *text) { return text && *text; }

static int foot_height(const nn_panel *p)
{
    return TICK_HEIGHT + (has(p->chart->x_label) ? 20 : 6) + legend(p, 0, false) * LEGEND_HEIGHT;
}

static bool draw_panel(const nn_panel *p)
{
    const nn_chart *c = p->chart;
    int letters = (p->right - p->left) / LETTER, foot = p->top + p->height + TICK_HEIGHT;
    draw_grid(p, false);
    draw_grid(p, true);
    draw_ticks(p);
    if (has(c->y_label))
        put_label(p->to, p->left, p->top - 9, NULL, c->y_label, letters);
    if (has(c->x_label))
        put_label(p->to, p->left + p->width / 2., foot + 14, "middle", c->x_label, letters);
    fprintf(p->to, "<path fill='none' stroke='#777' d='M%d %dh%dv%dh-%dz'/>\n", p->left, p->top,
            p->width, p->height, p->width);
    bool ok = true;
    for (int i = 0; i < c->n_series; i++)
        ok = nn_draw_series(p, i) && ok;
    fputs("<g stroke-linecap='round'>\n", p->to);
    legend(p, foot + (has(c->x_label) ? 20 : 6) + LEGEND_HEIGHT / 2, true);
    fputs("</g>\n", p->to);
    return ok;
}

/* ---- in words ---- */

static void describe_axis(FILE *to, const char *which, const char *label, const nn_axis *axis)
{
    char low[NN_NUMBER_TEXT], high[NN_NUMBER_TEXT];
    nn_short_number(low, axis->low, 3);
    nn_short_number(high, axis->high, 3);
    fprintf(to, "%s axis: ", which);
    nn_put_text(to, has(label) ? label : which, 200, true);
    fprintf(to, ", %s to %s%s. ", low, high, axis->logarithmic ? ", logarithmic" : "");
}

static bool stands(const nn_panel *p, const nn_series *s, int i)
{
    double at[2];
    return nn_place_point(&p->x, &p->y, s, i, at);
}

static void describe_series(FILE *to, const nn_panel *p, const nn_series *s)
{
    int count = 0, first = 0, last = 0, least = 0;
    for (int i = 0; i < s->n; i++)
        if (stands(p, s, i)) {
            first = count ? first : i;
            least = !count || s->y[i] < s->y[least] ? i : least;
            last = i;
            count++;
        }
    nn_put_text(to, has(s->name) ? s->name : "a series", 200, true);
    if (!count) {
        fputs(": no points. ", to);
        return;
    }
    char text[6][NN_NUMBER_TEXT];
    const int which[3] = {first, last, least};
    for (int k = 0; k < 3; k++) {
        nn_short_number(text[2 * k], s->y[which[k]], 4);
        nn_short_number(text[2 * k + 1], s->x[which[k]], 4);
    }
    fprintf(to, ": %d points, from %s at %s to %s at %s, lowest %s at %s. ", count, text[0],
            text[1], text[2], text[3], text[4], text[5]);
}

static void put_description(FILE *to, const char *title, int n, const nn_panel *panels)
{
    const nn_chart *first = panels[0].chart;
    fputs("<title>", to);
    if (has(title) || has(first->title))
        nn_put_text(to, has(title) ? title : first->title, 500, true);
    else {
        nn_put_text(to, has(first->y_label) ? first->y_label : "y", 200, true);
        fputs(" over ", to);
        nn_put_text(to, has(first->x_label) ? first->x_label : "x", 200, true);
    }
    fputs("</title>\n<desc>", to);
    for (int i = 0; i < n; i++) {
        const nn_panel *p = &panels[i];
        describe_axis(to, "x", p->chart->x_label, &p->x);
        describe_axis(to, "y", p->chart->y_label, &p->y);
        for (int s = 0; s < p->chart->n_series; s++)
            describe_series(to, p, &p->chart->series[s]);
    }
    fputs("</desc>\n", to);
}

/* ---- the picture ---- */

static int widest(const nn_axis *axis, int *labels)
{
    int wide = 0;
    *labels = 0;
    for (int i = 0; i < axis->n; i++) {
        int letters = nn_text_width(axis->tick[i].label);
        *labels += letters > 0;
        wide = letters > wide ? letters : wide;
    }
    return wide;
}

/* Where the frame stands, with as many ticks as there is room for their numbers. */
static void lay_out(nn_panel *p, const nn_chart *chart, int left, int width, int top, int height)
{
    p->chart = chart;
    p->top = top;
    p->height = height;
    p->right = left + width - 22;
    for (int want = 9; want > 2; want--) {
        int labels, wide;
        nn_chart_axes(chart, want, 6, &p->x, &p->y);
        p->left = left + 26 + widest(&p->y, &labels) * LETTER;
        p->width = p->right - p->left;
        wide = widest(&p->x, &labels);
        if (labels * (wide * LETTER + 12) <= p->width)
            return;
    }
}

/* Long titles are set in smaller letters, and cut in the end. */
static void put_title(FILE *to, const char *title, double x, int y, int width, int size)
{
    if (!has(title))
        return;
    while (size > 11 && nn_text_width(title) * size * 6 > width * 10)
        size--;
    fprintf(to, "<g font-size='%d' font-weight='bold' fill='#111'>", size);
    put_label(to, x, y, NULL, title, width * 10 / (size * 6));
    fputs("</g>\n", to);
}

static ad_status draw_panels(const char *title, int n, const nn_chart *charts, nn_panel *panels,
                             FILE *to)
{
    int each = n == 1 ? 640 : 440, head = has(title) ? 34 : 4, foot = 0, top = head + 14;
    for (int i = 0; i < n; i++) {
        int own = head + 14 + (has(charts[i].title) ? 28 : 0) + (has(charts[i].y_label) ? 16 : 0);
        top = own > top ? own : top;
    }
    for (int i = 0; i < n; i++) {
        panels[i].to = to;
        lay_out(&panels[i], &charts[i], i * each, each, top, n == 1 ? 300 : 250);
        foot = foot_height(&panels[i]) > foot ? foot_height(&panels[i]) : foot;
    }
    int width = n * each, height = top + panels[0].height + foot + 14;
    fprintf(to,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' "
            "role='img' font-family='sans-serif' font-size='12' fill='#333'>\n",
            width, height, width, height);
    put_description(to, title, n, panels);
    fprintf(to, "<rect width='%d' height='%d' rx='6' fill='#fff'/>\n", width, height);
    put_title(to, title, panels[0].left, 30, width - panels[0].left - 22, 17);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        put_title(to, charts[i].title, panels[i].left, head + 26, panels[i].width,
                  has(title) ? 14 : 16);
        ok = draw_panel(&panels[i]) && ok;
    }
    fputs("</svg>\n", to);
    return !ok ? AD_NO_MEMORY : fflush(to) || ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}

ad_status nn_panels_svg(const char *title, int n, const nn_chart *charts, FILE *to)
{
    nn_numbers numbers;
    nn_panel *panels = calloc((size_t)n, sizeof *panels);
    if (!panels || !nn_c_numbers(&numbers)) {
        free(panels);
        return AD_NO_MEMORY;
    }
    ad_status status = draw_panels(title, n, charts, panels, to);
    nn_own_numbers(&numbers);
    free(panels);
    return status;
}

ad_status nn_chart_svg(const nn_chart *chart, FILE *to)
{
    if (!to)
        return AD_NULL;
    ad_status status = nn_chart_check(chart);
    return status ? status : nn_panels_svg(NULL, 1, chart, to);
}
