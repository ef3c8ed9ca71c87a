/* picture.h - the graph of a trace as SVG: a file of its own, or a part of a page */
#ifndef PICTURE_H
#define PICTURE_H
#include "trace_formats.h"

enum { PICTURE_MOST = 200, PICTURE_CELL = 160 }; /* nodes that are drawn */

/* Is it too large to draw, so that it is summarised? */
bool picture_is_summary(const trace *t);
/* Parts have ids, by which a page's script finds them: node-3, value-3, adjoint-3, and edge-3-0 and
 * partial-3-0 of what leads to node 3 as its first argument. `alone`: with styles and heading.
 * false when out of memory. */
bool picture_put(const trace *t, const trace_style *style, bool alone, FILE *to);

/* Does the tape compute it as a row of ops.def, of scalars? Then its local partials are numbers. */
bool picture_has_partials(const trace_node *n);

/* Operations by how often they occur; NULL when out of memory. */
typedef struct picture_count {
    const char *operation;
    int n;
} picture_count;
picture_count *picture_counts(const trace *t, int *n);
/* Operations one after the other on the longest way to the result. */
int picture_depth(const trace *t);

#endif
