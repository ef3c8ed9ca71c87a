/* block_move.h - what operations that copy elements to new places know */
#ifndef BLOCK_MOVE_H
#define BLOCK_MOVE_H
#include "tape.h"

typedef struct join {
    int axis;
    int stacked; /* the axis is new */
} join;

/* the place of a part in the whole; moves *at behind it */
array join_part(const array *whole, const join *j, const array *part, int64_t *at);

typedef struct padding {
    int64_t before[AD_MAX_RANK];
    double value;
} padding;

array pad_inside(const array *whole, const padding *p, int rank, const int64_t *shape);

typedef struct triangle {
    int diagonal;
    int upper;
} triangle;

#endif
