/* plan_tiles.c - elementwise nodes that go through memory together, a tile at a time
 *
 * All lanes of a pass are seen in the shape of its results, and axes that lie behind one another in
 * all of them are merged; what is left is a stack of panels, rows of one length. A tile is part of
 * a row or, where rows are short, as many whole rows as fit, so that it is always a run of the
 * results. An operand that does not lie so is brought into a buffer: a number or a short row once
 * for many tiles, anything else tile by tile. */
#define AD_PLAIN
#include "block_sum.h"
#include "pool.h"
#include "program.h"
#include <string.h>

/* elements of a tile, where its values have to stay in cache from loop to loop, and where there is
 * but one loop; bytes, so that buffers do not meet in the cache */
enum { TILE = SUM_TILE, LONG_TILE = 1 << 14, SKEW = 64 };

static inline size_t size_of(ad_dtype dtype)
{
    return dtype == AD_F64 ? sizeof(double) : sizeof(float);
}

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
    b->busy = arena_zeros(memory, (n + 1) * sizeof *b->busy);
    return b->lanes && b->at && b->scalars && b->busy;
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

/* ---- buffers ---- */

/* The value of a lane that is one number, and a tile full of it where it is read so. */
static void read_one(const bound *b, uint32_t k)
{
    const lane *l = &b->lanes[k];
    const int64_t all = b->shape[b->rank - 2] * b->shape[b->rank - 1], n = all < TILE ? all : TILE;
    double *d = b->at[k];
    float *s = b->at[k];
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
        T *to = (T *)buffer + r * count;                                                           \
        if (l->step == 1)                                                                          \
            memcpy(to, from, (size_t)count * sizeof(T));                                           \
        else                                                                                       \
            for (int64_t i = 0; i < count; i++)                                                    \
                to[i] = from[i * l->step];                                                         \
    }

/* rows of `count` elements, one behind the other, into a buffer */
static void gather(const lane *l, const char *at, int64_t rows, int64_t count, void *buffer)
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
    return l->at + offset * (int64_t)size_of(l->dtype);
}

static void run_compound(const bound *b, const fused_op *op, int64_t m, void *const *at)
{
    const void *v[COMPOUND_VECTORS];
    double s[COMPOUND_SCALARS];
    void *y[COMPOUND_RESULTS];
    for (int k = 0; k < COMPOUND_VECTORS; k++)
        v[k] = at[op->x[k]]; /* more than there are: not looked at */
    for (int k = 0; k < COMPOUND_SCALARS; k++)
        s[k] = k < op->n_scalars ? b->scalars[op->x[op->n_vectors + k]] : 0;
    for (int k = 0; k < COMPOUND_RESULTS; k++)
        y[k] = at[op->y[k]];
    b->kernels->compounds[op->code - AD_OP_COUNT_][b->dtype](m, v, s, y);
}

/* m elements, tile number `tile` of a pass that takes sums */
static void run_ops(const bound *b, int64_t tile, int64_t m, void *const *at)
{
    const fused *p = b->pass;
    for (const fused_op *op = p->ops, *end = op + p->n_ops; op < end; op++)
        if (op->code == FUSED_SUM)
            b->parts[op->sum->parts + (size_t)tile] = tile_sum(b->dtype, m, at[op->x[0]]);
        else if (op->code >= AD_OP_COUNT_)
            run_compound(b, op, m, at);
        else
            kernels_map(b->kernels, op->code, b->dtype, m, at[op->x[0]],
                        op->n_vectors > 1 ? at[op->x[1]] : NULL,
                        op->n_vectors > 2 ? at[op->x[2]] : NULL, at[op->y[0]]);
    for (uint32_t k = 0; k < p->n_stores; k++)
        memcpy(at[p->stores[k].to], at[p->stores[k].from], (size_t)m * size_of(b->dtype));
}

/* `rows` rows from row r on, `count` elements from column c of each on; at: buffers and slots */
static void run_tile(const bound *b, void **at, int64_t r, int64_t rows, int64_t c, int64_t count)
{
    const uint32_t n_in = b->pass->n_in, n = n_in + b->pass->n_out;
    for (uint32_t k = 0; k < n_in; k++) {
        const lane *l = &b->lanes[k];
        const char *from = element(l, r * l->row + c * l->step);
        if (l->kind == LANE_DIRECT)
            at[k] = (void *)(uintptr_t)from;
        else if (l->kind == LANE_GATHERED)
            gather(l, from, rows, count, at[k]);
    }
    for (uint32_t k = n_in; k < n; k++)
        at[k] = (void *)(uintptr_t)element(&b->lanes[k], r * b->shape[b->rank - 1] + c);
    run_ops(b, c / TILE, rows * count, at);
}

/* Tiles from..to-1 of a panel, by rows. */
static void run_tiles(const bound *b, void **at, int64_t from, int64_t to)
{
    const int64_t rows = b->shape[b->rank - 2], count = b->shape[b->rank - 1];
    const int64_t across = (count + b->tile - 1) / b->tile;
    int64_t r = from / across * b->tile_rows, c = from % across * b->tile;
    for (int64_t i = from; i < to; i++) {
        run_tile(b, at, r, rows - r < b->tile_rows ? rows - r : b->tile_rows, c,
                 count - c < b->tile ? count - c : b->tile);
        c += b->tile;
        if (c >= count)
            c = 0, r += b->tile_rows;
    }
}

static int64_t count_tiles(const bound *b)
{
    const int64_t rows = b->shape[b->rank - 2], count = b->shape[b->rank - 1];
    return (rows + b->tile_rows - 1) / b->tile_rows * ((count + b->tile - 1) / b->tile);
}

/* ---- by several threads ---- */

enum {
    SHARED = 1 << 14, /* elements: fewer are not worth it */
    SHARE = 1 << 12,
    HANDS_LANES = 64,
    HANDS_ROOM = 1 << 16 /* bytes of stack */
};

static size_t stretch(const bound *b) { return TILE * size_of(b->dtype) + SKEW; }

static bool is_own(const bound *b, uint32_t k) /* does each thread need a buffer of its own */
{
    return k >= b->pass->n_in + b->pass->n_out ||
           (k < b->pass->n_in && b->lanes[k].kind == LANE_GATHERED);
}

/* A share of the tiles of a panel, with buffers of its own for what changes from tile to tile. */
static void run_share(void *user, int64_t share)
{
    const bound *b = user;
    const uint32_t n = b->pass->n_in + b->pass->n_out + b->pass->n_slots;
    const int64_t tiles = count_tiles(b), from = share * b->share;
    _Alignas(64) char room[HANDS_ROOM];
    void *at[HANDS_LANES];
    char *next = room;
    for (uint32_t k = 0; k < n; k++) {
        at[k] = is_own(b, k) ? next : b->at[k];
        next += is_own(b, k) ? stretch(b) : 0;
    }
    run_tiles(b, at, from, from + b->share < tiles ? from + b->share : tiles);
}

/* Tiles of one share, if several threads are there and worth it; else 0. */
static int64_t share_of(const bound *b, const ad_context *context)
{
    const int64_t all = b->shape[b->rank - 2] * b->shape[b->rank - 1], tiles = count_tiles(b);
    const uint32_t n = b->pass->n_in + b->pass->n_out + b->pass->n_slots;
    size_t room = 0;
    for (uint32_t k = 0; k < n; k++)
        room += is_own(b, k) ? stretch(b) : 0;
    if (pool_threads(context) < 2 || all < SHARED || n > HANDS_LANES || room > HANDS_ROOM)
        return 0;
    const int64_t share = SHARE / (all / tiles);
    return share < 1 ? 1 : share;
}

static void run_panel(bound *b)
{
    const int64_t tiles = count_tiles(b);
    for (uint32_t k = 0; k < b->pass->n_in; k++)
        if (b->lanes[k].kind == LANE_REPEATED)
            gather(&b->lanes[k], b->lanes[k].at, b->tile_rows, b->shape[b->rank - 1], b->at[k]);
    if (b->share)
        pool_run(b->context, (tiles + b->share - 1) / b->share, run_share, b);
    else
        run_tiles(b, b->at, 0, tiles);
}

/* ---- binding and running ---- */

void bound_arrays(bound *b, const frame *f, char *scratch)
{
    const fused *p = b->pass;
    const uint32_t n = p->n_in + p->n_out;
    const size_t bytes = stretch(b);
    const array y = frame_array(f, p->like);
    b->context = f->context;
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
        b->at[k] = scratch;
        scratch += bytes;
    }
    for (uint32_t k = 0; k < p->n_slots; k++, scratch += bytes)
        b->at[n + k] = scratch;
    b->share = share_of(b, f->context);
    b->n_busy = 0;
    for (uint32_t k = 0; k < p->n_in; k++)
        if (b->lanes[k].kind != LANE_DIRECT)
            b->busy[b->n_busy++] = k;
    b->is_single = b->rank == 2 && count_tiles(b) == 1;
    for (uint32_t k = 0; k < n && b->is_single; k++)
        if (k >= p->n_in || b->lanes[k].kind == LANE_DIRECT)
            b->at[k] = b->lanes[k].data;
}

/* One tile is all, and where its lanes lie is known. */
static void run_single(bound *b)
{
    const int64_t rows = b->shape[0], count = b->shape[1];
    for (uint32_t j = 0; j < b->n_busy; j++) {
        const uint32_t k = b->busy[j];
        if (b->lanes[k].kind == LANE_ONE)
            read_one(b, k);
        else
            gather(&b->lanes[k], b->lanes[k].data, rows, count, b->at[k]);
    }
    run_ops(b, 0, rows * count, b->at);
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
                     (int64_t)size_of(l->dtype);
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
    if (b->is_single) {
        run_single(b);
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        b->lanes[k].at = b->lanes[k].data;
        if (k < b->pass->n_in && b->lanes[k].kind == LANE_ONE)
            read_one(b, k);
    }
    do
        run_panel(b);
    while (next_panel(b, index));
}
