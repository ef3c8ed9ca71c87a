/* block_extreme.c - amax, amin, argmax, argmin
 *
 * Reductions (block_reduce.c) that pick one element of a row, the first where several are equal.
 * They remember its place, so that the whole cotangent goes back there. */
#define AD_PLAIN
#include "block_reduce.h"
#include "block_view.h"

/* ---- amax and amin ---- */

int64_t first_extreme(int64_t n, const double *x, bool least)
{
    int64_t best = 0;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return i;
        if (least ? x[i] < x[best] : x[i] > x[best])
            best = i;
    }
    return best;
}

/* index[i] <- place of the extreme in row i; and its value to y, unless y is NULL */
static ad_status extremes(frame *f, block *b, bool least, int64_t *index, const array *y)
{
    array a = block_arg(f, b, 0);
    rows r = rows_of(&a, ((const reduce_attr *)b->attr)->axes);
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &r.a, AD_F64);
    if (x.size && !x.data)
        return AD_NO_MEMORY;
    const double *row = x.data;
    for (int64_t i = 0; i < r.count && x.size; i++, row += r.n) {
        index[i] = first_extreme(r.n, row, least);
        if (y)
            array_put(y, i, row[index[i]]);
    }
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

static ad_status amax_value(frame *f, block *b)
{
    array y = block_result(f, b);
    return extremes(f, b, false, b->saved, &y);
}

static ad_status amin_value(frame *f, block *b)
{
    array y = block_result(f, b);
    return extremes(f, b, true, b->saved, &y);
}

/* the place of each row's extreme += g */
static void add_at_extremes(const rows *r, const int64_t *index, const array *g)
{
    array begins = r->a, row = r->a;
    begins.rank = r->kept;
    begins.size = r->count;
    row.rank -= r->kept;
    for (int i = 0; i < row.rank; i++) {
        row.shape[i] = r->a.shape[r->kept + i];
        row.stride[i] = r->a.stride[r->kept + i];
    }
    const array *only[1] = {&begins};
    int64_t i = 0;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w))
        for (int64_t k = 0; k < w.count; k++, i++) {
            int64_t at = w.offset[0] + k * w.step[0] + array_offset(&row, index[i]);
            array_put(&row, at, array_get(&row, at) + array_get(g, i));
        }
}

static ad_status extreme_adjoint(frame *f, block *b, const array *g)
{
    array slot = adjoint_zeroed(f, b, 0);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    rows r = rows_of(&slot, ((const reduce_attr *)b->attr)->axes);
    add_at_extremes(&r, b->saved, g);
    return AD_OK;
}

static double amax_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return x[first_extreme(n, x, false)];
}

static double amin_of(int64_t n, const double *x, int correction)
{
    (void)correction;
    return x[first_extreme(n, x, true)];
}

static double amax_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)correction;
    return dx[first_extreme(n, x, false)];
}

static double amin_tangent(int64_t n, const double *x, const double *dx, int correction)
{
    (void)correction;
    return dx[first_extreme(n, x, true)];
}

static void extreme_record(rule *r, ad_var (*find)(ad_var, int))
{
    rows p = rule_rows(r);
    ad_dtype dtype = p.a.dtype;
    ad_var place = ad_reshape(find(rule_flattened(r), 1), 2, (int64_t[]){p.count, 1});
    ad_var mask = ad_scatter_add(rule_filled(r, dtype, 0, p.count, p.n), 1, place,
                                 rule_filled(r, dtype, 1, p.count, 1));
    r->da[0] = rule_unflattened(r, ad_mulz(rule_column(r, r->g), mask));
}

static void amax_record(rule *r) { extreme_record(r, ad_argmax); }

static void amin_record(rule *r) { extreme_record(r, ad_argmin); }

/* the smallest distance between an extreme and the next element */
static double extreme_kink(frame *f, block *b)
{
    array a = block_arg(f, b, 0);
    rows r = rows_of(&a, ((const reduce_attr *)b->attr)->axes);
    const int64_t *index = b->saved;
    double nearest = (double)INFINITY;
    for (int64_t i = 0; i < r.count; i++) {
        double best = array_get(&r.a, array_offset(&r.a, i * r.n + index[i]));
        for (int64_t j = 0; j < r.n; j++)
            if (j != index[i])
                nearest =
                    fmin(nearest, fabs(best - array_get(&r.a, array_offset(&r.a, i * r.n + j))));
    }
    return nearest;
}

static const reduction amax_reduction = {{.name = "amax",
                                          .value = amax_value,
                                          .adjoint = extreme_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = amax_record,
                                          .kink = extreme_kink},
                                         amax_of,
                                         NULL,
                                         amax_tangent,
                                         true};

static const reduction amin_reduction = {{.name = "amin",
                                          .value = amin_value,
                                          .adjoint = extreme_adjoint,
                                          .tangent = tangent_by_rows,
                                          .record = amin_record,
                                          .kink = extreme_kink},
                                         amin_of,
                                         NULL,
                                         amin_tangent,
                                         true};

REDUCTION(amax)
REDUCTION(amin)
#undef REDUCTION

/* ---- argmax and argmin ---- */

static ad_status index_value(frame *f, block *b, bool least)
{
    array y = block_result(f, b);
    array index = scratch_array(f, AD_F64, y.rank, y.shape); /* room for as many int64_t */
    if (y.size == 0)
        return AD_OK;
    if (!index.data)
        return AD_NO_MEMORY;
    int64_t *places = index.data;
    ad_status s = extremes(f, b, least, places, NULL);
    for (int64_t i = 0; i < y.size && !s; i++)
        array_put(&y, i, (double)places[i]);
    return s;
}

static ad_status argmax_value(frame *f, block *b) { return index_value(f, b, false); }

static ad_status argmin_value(frame *f, block *b) { return index_value(f, b, true); }

static ad_status no_tangent(frame *f, block *b, const array *a, const array *y,
                            const array *const *da, array *dy)
{
    (void)f, (void)b, (void)a, (void)y, (void)da;
    array_fill(dy, 0);
    return AD_OK;
}

static const block_op argmax_op = {.name = "argmax", .value = argmax_value, .tangent = no_tangent},
                      argmin_op = {.name = "argmin", .value = argmin_value, .tangent = no_tangent};

static ad_var record_index(const block_op *op, ad_var a, int axis)
{
    call c;
    reduce_attr attr = {0};
    if (!call_begin(&c, op->name, NULL, 1, &a) || (axis = call_axis(&c, axis, c.in[0].rank)) < 0)
        return call_poison(&c);
    attr.axes = 1u << axis;
    if (!call_elements(&c, attr.axes))
        return call_poison(&c);
    if (c.in[0].shape[axis] > INT32_MAX)
        return call_fail(&c, AD_TOO_LARGE,
                         "%lld elements along axis %d: too many for an int32 index",
                         (long long)c.in[0].shape[axis], axis);
    int64_t shape[AD_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < c.in[0].rank; i++)
        if (i != axis)
            shape[rank++] = c.in[0].shape[i];
    return call_end(&c, op, -1, AD_I32, rank, shape, (call_attr){&attr, sizeof attr, 0});
}

ad_var ad_argmax(ad_var a, int axis) { return record_index(&argmax_op, a, axis); }

ad_var ad_argmin(ad_var a, int axis) { return record_index(&argmin_op, a, axis); }
