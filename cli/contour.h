/* contour.h - a function of two variables as contours with arrows along its gradient */
#ifndef CONTOUR_H
#define CONTOUR_H
#include <stdbool.h>
#include <stdio.h>

/* The function on a grid of (columns+1) x (rows+1) points, rows upward; NaN where undefined. */
typedef struct field {
    const char *title, *x_name, *y_name;
    double x_low, x_high, y_low, y_high;
    int columns, rows;
    double *value, *dx, *dy;
} field;

enum { CONTOUR_MOST = 32 };

/* Levels at round numbers among what most of the field has, in ascending order: `step` apart, or
 * 1, 2, 5, 10, 20 ... (step 0) where little of a positive field is high, as in a valley. */
typedef struct contour_levels {
    double at[CONTOUR_MOST], step;
    int n;
} contour_levels;

/* false when out of memory. n is 0 where nothing is finite. */
bool contour_choose(const field *f, contour_levels *levels);
/* Contours as lines with their levels written on them. */
bool contour_svg(const field *f, const contour_levels *levels, FILE *to);
/* A letter for each interval between levels; arrows between them where not only ASCII is wanted. */
bool contour_text(const field *f, const contour_levels *levels, int columns, int rows, bool ascii,
                  FILE *to);

/* The value in place q (0 to 1) of those that are finite, sorted; NaN: none. Sorts `values`. */
double contour_quantile(int n, double *values, double q);
/* 1, 2 or 5 times a power of ten, not below x. */
double contour_round_step(double x);

#endif
