/* block_view.h - views of an argument, for the blocks that show or undo parts of one
 *
 * block_view.c says what a view is. The other blocks need a few: their rules take parts of a
 * cotangent, spread one number, and check shapes that come from outside. */
#ifndef BLOCK_VIEW_H
#define BLOCK_VIEW_H
#include "tape.h"

typedef enum view_kind {
    VIEW_RESHAPE,
    VIEW_PERMUTE,
    VIEW_EXPAND,
    VIEW_SLICE,
    VIEW_DIAG,
    VIEW_AT,
    VIEW_SAME, /* stop_gradient */
    VIEW_KINDS
} view_kind;

typedef struct view {
    view_kind kind;
    int rank; /* of the result */
    int64_t shape[AD_MAX_RANK];
    union {
        int axes[AD_MAX_RANK];
        int64_t index[AD_MAX_RANK];
        struct {
            int axis;
            int64_t start, step;
        } slice;
    } u;
} view;

/* the view of an array; false: only a reshape can fail, where strides do not allow it */
bool view_apply(const view *v, const array *a, array *out);
view view_make(view_kind kind, int rank, const int64_t *shape);
/* the view `v` of `a`, where it is known to fit */
ad_var view_of(ad_tape *tape, ad_var a, const view *v);
/* the same, of the argument of a call that has begun */
ad_var view_end(call *c, const view *v);
/* a shape from outside: rank and sizes that can be; false: an error is on the tape */
bool call_shape(call *c, int rank, const int64_t *shape);
/* a (m,n) matrix of one number, in no more memory than that */
ad_var rule_filled(const rule *r, ad_dtype dtype, double value, int64_t m, int64_t n);

static inline array rule_argument(const rule *r, int k)
{
    return block_arg(&r->tape->frame, r->b, k);
}

static inline bool no_memory(const array *a) { return !a->data && a->size; }

#endif
