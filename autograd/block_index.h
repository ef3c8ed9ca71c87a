/* block_index.h - how indices pair places in a table with elements */
#ifndef BLOCK_INDEX_H
#define BLOCK_INDEX_H
#include "tape.h"

typedef struct lookup_attr {
    int axis;
    int taken; /* indices of any shape in place of the axis; else one for each element of the result
                */
} lookup_attr;

typedef struct lookup { /* three arrays of one shape */
    array table, index, result;
    int64_t stride, size; /* of the axis in the table */
} lookup;

lookup lookup_of(const lookup_attr *at, const array *table, const array *index,
                 const array *result);
/* Are elements added to a table right where they are, or to a copy of it in double? */
static inline bool lookup_adds_directly(const array *table, const array *from)
{
    return table->dtype == AD_F64 ||
           (table->dtype == AD_F32 && from->dtype == AD_F32 && table->size / 4 > from->size);
}

#endif
