/* lesson.c - headings, tables that hold a slide against the computed number, and the verdict
 *
 * Columns are counted in characters, not in bytes: the lessons write ∂, δ and σ. */
#include "lesson.h"

#include <stdlib.h>
#include <string.h>

#ifndef EXAMPLES_DATA
#define EXAMPLES_DATA "examples/data"
#endif
#ifndef EXAMPLES_INSTALLED
#define EXAMPLES_INSTALLED EXAMPLES_DATA
#endif

enum { WHAT = 40, SLIDE = 14, COMPUTED = 21 };

const char *lesson_data(void)
{
    FILE *file = fopen(EXAMPLES_DATA "/digits.csv", "r");
    if (!file)
        return EXAMPLES_INSTALLED;
    fclose(file);
    return EXAMPLES_DATA;
}

static int characters(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80; /* not the rest of a character of UTF-8 */
    return n;
}

static void underlined(const char *text, char line)
{
    printf("\n%s\n", text);
    for (int i = characters(text); i > 0; i--)
        putchar(line);
    putchar('\n');
}

static void cell(const char *text, int width)
{
    int n = characters(text);
    printf("%s%*s", text, n < width ? width - n : 1, "");
}

static void row(const char *what, const char *slide, const char *computed, const char *verdict)
{
    printf("  ");
    cell(what, WHAT);
    cell(slide ? slide : "", SLIDE);
    cell(computed, COMPUTED);
    puts(verdict);
}

void lesson_begin(lesson *l, const char *name, const char *title)
{
    *l = (lesson){.name = name};
    underlined(title, '=');
}

void lesson_part(const char *text)
{
    underlined(text, '-');
    putchar('\n');
}

void lesson_table(void) { row("what", "slide", "computed", "verdict"); }

int lesson_end(const lesson *l)
{
    printf("\n%s: ", l->name);
    if (l->off)
        printf("%d of %d numbers computed are OFF.\n", l->off, l->numbers);
    else
        printf("all %d numbers computed are right", l->numbers);
    if (!l->off && l->slides)
        printf("; of %d that the slides give, %d %s not", l->slides, l->slipped,
               l->slipped == 1 ? "is" : "are");
    if (!l->off)
        puts(".");
    return l->off > 0;
}

/* Half a unit in the last place that the slide prints. */
static double rounding(const char *slide)
{
    const char *point = strchr(slide, '.');
    int places = point ? (int)strspn(point + 1, "0123456789") : 0;
    double half = 0.5;
    while (places-- > 0)
        half /= 10;
    return half * (1 + 1e-9);
}

/* Counts a number, and says what is to be said of it. */
static const char *judge(lesson *l, bool has_slide, bool slide_right, bool right)
{
    l->numbers++;
    l->off += !right;
    l->slides += has_slide;
    l->slipped += has_slide && !slide_right;
    if (!right)
        return "OFF";
    return !has_slide ? "right" : slide_right ? "slide right" : "SLIDE WRONG";
}

static bool near(double a, double b, double tolerance)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance;
}

/* A few roundings more or less, by the order of the terms, are no error. */
static double roundings(double right) { return 1e-12 * fabs(right) + 1e-15; }

static void in_digits(char text[32], int digits, double v, double right)
{
    if (isnan(v))
        snprintf(text, 32, "nan"); /* some have a sign */
    else
        snprintf(text, 32, "%.*g", digits, right == 0 && near(v, 0, 1e-15) ? 0 : v);
}

static void judged_row(lesson *l, const char *what, const char *slide, bool slide_right,
                       double computed, double right, double tolerance)
{
    char text[32];
    bool same = near(computed, right, tolerance);
    in_digits(text, 9, computed, right);
    row(what, slide, text, judge(l, slide, slide_right, same));
    if (!same)
        printf("      got %.17g, right is %.17g\n", computed, right);
}

void lesson_near(lesson *l, const char *what, const char *slide, double computed, double right,
                 double tolerance)
{
    bool slide_right = slide && near(strtod(slide, NULL), computed, rounding(slide));
    judged_row(l, what, slide, slide_right, computed, right, tolerance);
}

void lesson_number(lesson *l, const char *what, const char *slide, double computed, double right)
{
    lesson_near(l, what, slide, computed, right, roundings(right));
}

void lesson_formula(lesson *l, const char *what, double slide, double computed, double right)
{
    char text[32];
    in_digits(text, 6, slide, right);
    judged_row(l, what, text, near(slide, right, roundings(right)), computed, right,
               roundings(right));
}

void lesson_claim(lesson *l, const char *what, const char *slide, bool holds, bool right)
{
    const char *text = holds ? "yes" : "no";
    bool slide_right = slide && strcmp(slide, text) == 0;
    row(what, slide, text, judge(l, slide, slide_right, holds == right));
}

bool lesson_ok(lesson *l, ad_status status, const char *text)
{
    if (!status)
        return true;
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", l->name, ad_status_name(status), text);
    l->numbers++;
    l->off++;
    return false;
}

void lesson_tape_free(lesson *l, ad_tape *tape)
{
    lesson_ok(l, ad_tape_status(tape), ad_tape_error(tape));
    ad_tape_free(tape);
}

void lesson_chart(lesson *l, const nn_chart *chart, const char *svg, FILE *text)
{
    if (text) {
        fputc('\n', text);
        lesson_ok(l, nn_chart_text(chart, 78, 20, text), "the chart as text");
    }
    FILE *file = svg ? fopen(svg, "w") : NULL;
    if (!svg)
        return;
    if (!file) {
        lesson_ok(l, AD_BAD_ARGUMENT, svg);
        return;
    }
    ad_status s = nn_chart_svg(chart, file);
    bool closed = fclose(file) == 0;
    if (lesson_ok(l, s ? s : closed ? AD_OK : AD_BAD_ARGUMENT, svg))
        printf("\nThe same as a picture: %s\n", svg);
}
