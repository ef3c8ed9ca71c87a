/* lesson.h - what the lessons share: headings, tables that hold a slide against the computed number
 *
 * A lesson works through an example of a lecture. Every number is computed by the tape, compared
 * with the value known to full precision (a lesson with a number off ends with status 1), and with
 * what the slide prints, to as many digits as the slide prints. */
#ifndef LESSON_H
#define LESSON_H

#include <stdbool.h>
#include <stdio.h>

#include <tapegrad/ad.h>
#include <tapegrad/nn.h>

typedef struct lesson {
    const char *name;    /* of the program */
    int numbers, off;    /* computed, and those of them that are not right */
    int slides, slipped; /* that slides give, and those of them that are not right */
} lesson;

/* The folder with digits.csv and the others: of the sources, or, where those are gone, as
 * installed. */
const char *lesson_data(void);

void lesson_begin(lesson *l, const char *name, const char *title);
/* The verdict on all: a line, and main's exit status. */
int lesson_end(const lesson *l);

/* A part's heading; the head of a table. */
void lesson_part(const char *text);
void lesson_table(void);

/* A row. `slide` is the number as the slide prints it, NULL where it prints none. lesson_near is
 * for what is only known to `tolerance`, lesson_formula for a slide that prints a formula, which
 * gives `slide`. A claim is "yes" or "no": does it hold, and should it? */
void lesson_number(lesson *l, const char *what, const char *slide, double computed, double right);
void lesson_near(lesson *l, const char *what, const char *slide, double computed, double right,
                 double tolerance);
void lesson_formula(lesson *l, const char *what, double slide, double computed, double right);
void lesson_claim(lesson *l, const char *what, const char *slide, bool holds, bool right);

/* Reports an error, if it is one; a lesson with an error is not right. */
bool lesson_ok(lesson *l, ad_status status, const char *text);
/* The same of a tape, which is freed. */
void lesson_tape_free(lesson *l, ad_tape *tape);

/* Writes a chart to the file `svg`, and as text below the table; NULL: not that one. */
void lesson_chart(lesson *l, const nn_chart *chart, const char *svg, FILE *text);

#endif
