/* block_lines.h - an array as lines along one of its axes
 *
 * A contiguous array around an axis is (before, n, behind): for every place before and behind there
 * is a line of n elements, `behind` apart. Softmax and scans walk it line by line. */
#ifndef BLOCK_LINES_H
#define BLOCK_LINES_H
#include "tape.h"

typedef struct lines {
    int64_t n, step, count; /* elements of a line, their distance, and how many lines */
} lines;

static inline lines lines_of(const array *a, int axis)
{
    lines l = {.n = a->shape[axis], .step = 1, .count = 1};
    for (int i = 0; i < a->rank; i++)
        if (i != axis)
            l.count *= a->shape[i];
    for (int i = axis + 1; i < a->rank; i++)
        l.step *= a->shape[i];
    return l;
}

/* where a line begins */
static inline int64_t line_at(const lines *l, int64_t i)
{
    return i / l->step * l->n * l->step + i % l->step;
}

/* of an operation whose attribute is the axis alone */
static inline int axis_of(const block *b) { return *(const int *)b->attr; }

#endif
