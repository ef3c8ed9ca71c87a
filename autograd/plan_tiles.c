/* plan_tiles.c - elementwise nodes that go through memory together, a tile at a time
 *
 * All lanes of a pass are seen in the shape of its results, and axes that lie behind one another in
 * all of them are merged; what is left is a stack of panels, rows of one length. A tile is part of
 * a row or, where rows are short, as many whole rows as fit, so that it is always a run of the
 * results. An operand that does not lie so is brought into a buffer: a number or a short row once
 * for many tiles, anything else tile by tile. */
#define AD_PLAIN
#include "program.h"
#include <string.h>

/* elements of a tile, where its values have to stay in cache from loop to loop, and where there is
 * but one loop; bytes, so that buffers do not meet in the cache */
enum { TILE = 512, LONG_TILE = 1 << 14, SKEW = 64 };

size_t bound_scratch(const fused *pass)
{
    return (size_t)(pass->n_in + pass->n_slots) * (TILE * sizeof(double) + SKEW);
}

bool bound_make(bound *b, const fused *pass, ad_dtype dtype, arena *memory)
{
    const size_t n = pass->n_in + pass->n_out;
    *b = (bound){.pass = pass, .dtype = dtype};
    b->lanes = arena_zeros(memory, (n + 1) * sizeof *b->lanes);
    b->at = arena_zeros(memory, (n + pass->n_slots + 1) * sizeof *b->at);
    b->scalars = arena_zeros(memory, (n + 1) * sizeof *b->scalars);
    for (uint32_t k = 0; b->lanes && k < pass->n_ops; k++)
        for (int j = 0; j < pass->ops[k].n_vectors; j++)
            if (pass->ops[k].x[j] < pass->n_in)
                b->lanes[pass->ops[k].x[j]].is_vector = true;
    return b->lanes && b->at && b->scalars;
}

/* ---- lanes ---- */

/* Does axis `axis` continue the last merged one in all lanes? */
static bool continues(const bound *b, uint32_t n, int rank, int axis)
{
    for (uint32_t k = 0; k < n && rank; k++)
        if (b->lanes[k].stride[rank - 1] != b->lanes[k].stride[axis] * b->shape[axis])
            return false;
    return rank > 0;
}

static void merge_axes(bound *b, uint32_t n)
{
    int rank = 0;
    for (int i = 0; i < b->rank; i++) {
        const int64_t size = b->shape[i];
        if (size == 1)
            continue;
        const int to = continues(b, n, rank, i) ? rank - 1 : rank;
        b->shape[to] = to < rank ? b->shape[to] * size : size;
        for (uint32_t k = 0; k < n; k++)
            b->lanes[k].stride[to] = b->lanes[k].stride[i];
        rank = to + 1;
    }
    for (; rank < 2; rank++) { /* at least a panel of one row */
        b->shape[rank] = rank ? b->shape[0] : 1;
        b->shape[0] = 1;
        for (uint32_t k = 0; k < n; k++) {
            b->lanes[k].stride[rank] = rank ? b->lanes[k].stride[0] : 0;
            b->lanes[k].stride[0] = 0;
        }
    }
    b->rank = rank;
}

/* How many rows there are in a tile, where they are short. */
static int64_t rows_of_tile(const bound *b)
{
    const int64_t rows = b->shape[b->rank - 2], fit = TILE / b->shape[b->rank - 1];
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

static void choose_kind(const bound *b, lane *l)
{
    const int64_t rows = b->shape[b->rank - 2], count = b->shape[b->rank - 1];
    bool one = true;
    for (int i = 0; i < b->rank; i++)
        one = one && (b->shape[i] == 1 || l->stride[i] == 0);
    l->row = l->stride[b->rank - 2];
    l->step = l->stride[b->rank - 1];
    if (one)
        l->kind = LANE_ONE;
    else if ((count == 1 || l->step == 1) && (b->tile_rows == 1 || l->row == count))
        l->kind = LANE_DIRECT;
    else
        l->kind = b->tile_rows > 1 && l->row == 0 ? LANE_REPEATED : LANE_GATHERED;
    if (l->kind == LANE_DIRECT && rows == 1)
        l->row = 0;
}

void bound_arrays(bound *b, const frame *f, char *scratch)
{
    const fused *p = b->pass;
    const uint32_t n = p->n_in + p->n_out;
    const size_t bytes = TILE * ad_dtype_size(b->dtype) + SKEW;
    const array y = frame_array(f, p->nodes[p->n_in]);
    b->kernels = kernels_of(f->context);
    b->rank = y.rank;
    memcpy(b->shape, y.shape, sizeof b->shape);
    for (uint32_t k = 0; k < n; k++) {
        const array a = frame_array(f, p->nodes[k]), all = array_expanded(&a, y.rank, y.shape);
        lane *l = &b->lanes[k];
        l->data = a.data;
        l->dtype = a.dtype;
        memcpy(l->stride, all.stride, sizeof l->stride);
    }
    merge_axes(b, n);
    b->tile_rows = rows_of_tile(b);
    b->tile = p->n_ops == 1 && !p->n_slots ? LONG_TILE : TILE;
    for (uint32_t k = 0; k < p->n_in; k++) {
        choose_kind(b, &b->lanes[k]);
        if (b->lanes[k].is_vector && b->lanes[k].kind != LANE_DIRECT)
            b->tile = TILE; /* of buffers */
        b->lanes[k].buffer = scratch;
        b->at[k] = scratch;
        scratch += bytes;
    }
    for (uint32_t k = 0; k < p->n_slots; k++, scratch += bytes)
        b->at[n + k] = scratch;
}

/* ---- buffers ---- */

/* The value of a lane that is one number, and a tile full of it where it is read so. */
static void read_one(const bound *b, uint32_t k)
{
    const lane *l = &b->lanes[k];
    const int64_t all = b->shape[b->rank - 2] * b->shape[b->rank - 1], n = all < TILE ? all : TILE;
    double *d = (void *)l->buffer;
    float *s = (void *)l->buffer;
    const double wide = l->dtype == AD_F64 ? *(const double *)(const void *)l->data
                                           : (double)*(const float *)(const void *)l->data;
    const float narrow = (float)wide;
    b->scalars[k] = wide;
    if (!l->is_vector)
        return;
    if (b->dtype == AD_F64)
        for (int64_t i = 0; i < n; i++)
            d[i] = wide;
    else
        for (int64_t i = 0; i < n; i++)
            s[i] = narrow;
}

#define GATHER(T)                                                                                  \
    for (int64_t r = 0; r < rows; r++) {                                                           \
        const T *from = (const T *)(const void *)at + r * l->row;                                  \
        T *to = (T *)(void *)l->buffer + r * count;                                                \
        for (int64_t i = 0; i < count; i++)                                                        \
            to[i] = from[i * l->step];                                                             \
    }

/* rows of `count` elements, one behind the other */
static void gather(const lane *l, const char *at, int64_t rows, int64_t count)
{
    if (l->dtype == AD_F64)
        GATHER(double)
    else
        GATHER(float)
}
#undef GATHER

/* ---- the walk ---- */

static const char *element(const lane *l, int64_t offset)
{
    return l->at + offset * (int64_t)ad_dtype_size(l->dtype);
}

static void run_op(const bound *b, const fused_op *op, int64_t m)
{
    const void *v[COMPOUND_VECTORS] = {NULL, NULL, NULL, NULL};
    double s[COMPOUND_SCALARS] = {0, 0, 0, 0, 0, 0, 0};
    void *y[COMPOUND_RESULTS] = {NULL, NULL, NULL};
    for (int k = 0; k < op->n_vectors; k++)
        v[k] = b->at[op->x[k]];
    for (int k = 0; k < op->n_scalars; k++)
        s[k] = b->scalars[op->x[op->n_vectors + k]];
    for (int k = 0; k < op->n_results; k++)
        y[k] = b->at[op->y[k]];
    if (op->code < AD_OP_COUNT_)
        kernels_map(b->kernels, op->code, b->dtype, m, v[0], v[1], v[2], y[0]);
    else
        b->kernels->compounds[op->code - AD_OP_COUNT_][b->dtype](m, v, s, y);
}

/* `rows` rows from row r on, `count` elements from column c of each on */
static void run_tile(bound *b, int64_t r, int64_t rows, int64_t c, int64_t count)
{
    const fused *p = b->pass;
    const uint32_t n = p->n_in + p->n_out;
    const int64_t m = rows * count;
    for (uint32_t k = 0; k < p->n_in; k++) {
        lane *l = &b->lanes[k];
        const char *at = element(l, r * l->row + c * l->step);
        if (l->kind == LANE_DIRECT)
            b->at[k] = (void *)(uintptr_t)at;
        else if (l->kind == LANE_GATHERED)
            gather(l, at, rows, count);
    }
    for (uint32_t k = p->n_in; k < n; k++)
        b->at[k] = (void *)(uintptr_t)element(&b->lanes[k], r * b->shape[b->rank - 1] + c);
    for (const fused_op *op = p->ops, *end = op + p->n_ops; op < end; op++)
        run_op(b, op, m);
    for (uint32_t k = 0; k < p->n_stores; k++)
        memcpy(b->at[p->stores[k].to], b->at[p->stores[k].from],
               (size_t)m * ad_dtype_size(b->dtype));
}

static void run_panel(bound *b)
{
    const int64_t rows = b->shape[b->rank - 2], count = b->shape[b->rank - 1];
    const int64_t high = b->tile_rows;
    for (uint32_t k = 0; k < b->pass->n_in; k++)
        if (b->lanes[k].kind == LANE_REPEATED)
            gather(&b->lanes[k], b->lanes[k].at, high, count);
    for (int64_t r = 0; r < rows; r += high)
        for (int64_t c = 0; c < count; c += b->tile)
            run_tile(b, r, rows - r < high ? rows - r : high, c,
                     count - c < b->tile ? count - c : b->tile);
}

/* Moves all lanes on to the next panel; false: that was the last. */
static bool next_panel(bound *b, int64_t *index)
{
    const uint32_t n = b->pass->n_in + b->pass->n_out;
    for (int i = b->rank - 3; i >= 0; i--) {
        const bool wraps = ++index[i] == b->shape[i];
        for (uint32_t k = 0; k < n; k++) {
            lane *l = &b->lanes[k];
            l->at += (wraps ? l->stride[i] * (1 - b->shape[i]) : l->stride[i]) *
                     (int64_t)ad_dtype_size(l->dtype);
        }
        if (!wraps)
            return true;
        index[i] = 0;
    }
    return false;
}

void bound_run(bound *b)
{
    int64_t index[AD_MAX_RANK] = {0};
    const uint32_t n = b->pass->n_in + b->pass->n_out;
    for (uint32_t k = 0; k < n; k++) {
        b->lanes[k].at = b->lanes[k].data;
        if (k < b->pass->n_in && b->lanes[k].kind == LANE_ONE)
            read_one(b, k);
    }
    do
        run_panel(b);
    while (next_panel(b, index));
}
