/* array.c - strided views of memory: shapes, broadcasting, copying and summing
 *
 * Every block of the engine works on arrays, so the loops over strides live here once. What is
 * contiguous takes a short path that compilers vectorise; everything else goes through array_walk,
 * which merges axes that lie behind one another in all its arrays and then hands out runs. The
 * order of every sum follows from shapes alone, so that results do not depend on threads or on
 * addresses. */
#include "array.h"
#include <string.h>

static size_t element_size(ad_dtype dtype) { return dtype == AD_F64 ? sizeof(double) : 4; }

static void *element_at(const array *a, int64_t offset)
{
    return (char *)a->data + offset * (int64_t)element_size(a->dtype);
}

/* ---- shapes ---- */

static void row_major(array *a)
{
    int64_t stride = 1;
    for (int i = a->rank - 1; i >= 0; i--) {
        a->stride[i] = stride;
        stride *= a->shape[i] ? a->shape[i] : 1;
    }
}

array array_of(void *data, ad_dtype dtype, int rank, const int64_t *shape)
{
    array a = {.data = data, .size = 1, .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++)
        a.size *= a.shape[i] = shape[i];
    row_major(&a);
    return a;
}

size_t array_bytes(const array *a) { return (size_t)a->size * element_size(a->dtype); }

bool array_contiguous(const array *a)
{
    int64_t stride = 1;
    for (int i = a->rank - 1; i >= 0 && a->size; i--) {
        if (a->shape[i] != 1 && a->stride[i] != stride)
            return false;
        stride *= a->shape[i];
    }
    return true;
}

/* Sizes of 0 do not hide the others: strides are their product and must not overflow either. */
int64_t shape_size(int rank, const int64_t *shape)
{
    const int64_t most = (PTRDIFF_MAX < INT64_MAX ? (int64_t)PTRDIFF_MAX : INT64_MAX) / 8;
    int64_t product = 1;
    bool empty = false;
    if (rank < 0 || rank > AD_MAX_RANK || (rank && !shape))
        return -1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (shape[i] && product > most / shape[i]))
            return -1;
        if (shape[i])
            product *= shape[i];
        else
            empty = true;
    }
    return empty ? 0 : product;
}

bool same_shape(const array *a, const array *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return true;
}

bool shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *rank,
                     int64_t *shape)
{
    int n = rank_a > rank_b ? rank_a : rank_b;
    int64_t out[AD_MAX_RANK];
    for (int i = 0; i < n; i++) {
        int ia = i - (n - rank_a), ib = i - (n - rank_b);
        int64_t sa = ia < 0 ? 1 : a[ia], sb = ib < 0 ? 1 : b[ib];
        if (sa != sb && sa != 1 && sb != 1)
            return false;
        out[i] = sa == 1 ? sb : sa;
    }
    for (int i = 0; i < n; i++)
        shape[i] = out[i];
    *rank = n;
    return true;
}

array array_expanded(const array *a, int rank, const int64_t *shape)
{
    array out = {.data = a->data, .size = 1, .dtype = a->dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank);
        out.size *= out.shape[i] = shape[i];
        out.stride[i] = ia < 0 || a->shape[ia] != shape[i] ? 0 : a->stride[ia];
    }
    return out;
}

array array_permuted(const array *a, const int *axes)
{
    array out = *a;
    for (int i = 0; i < a->rank; i++) {
        out.shape[i] = a->shape[axes[i]];
        out.stride[i] = a->stride[axes[i]];
    }
    return out;
}

array array_sliced(const array *a, int axis, int64_t start, int64_t count, int64_t step)
{
    array out = *a;
    out.shape[axis] = count;
    if (count > 1)
        out.stride[axis] = a->stride[axis] * step;
    out.size = a->shape[axis] ? a->size / a->shape[axis] * count : 0;
    if (out.size && out.data)
        out.data = element_at(a, start * a->stride[axis]);
    return out;
}

/* Gives the new axes first..last-1, which together hold one run of old axes, the strides of a run
 * whose elements are `stride` apart. */
static void split_run(array *out, int first, int last, int64_t stride)
{
    for (int i = last - 1; i >= first; i--) {
        out->stride[i] = stride;
        stride *= out->shape[i];
    }
}

/* Matches groups of old axes with groups of new ones of the same product: within a group the old
 * axes must lie behind one another. */
bool array_reshaped(const array *a, int rank, const int64_t *shape, array *out)
{
    array r = array_of(a->data, a->dtype, rank, shape);
    if (r.size != a->size)
        return false;
    int64_t old_shape[AD_MAX_RANK] = {0}, old_stride[AD_MAX_RANK] = {0};
    int n = 0;
    for (int i = 0; i < a->rank && r.size; i++)
        if (a->shape[i] != 1) {
            old_shape[n] = a->shape[i];
            old_stride[n++] = a->stride[i];
        }
    for (int i = 0, j = 0; i < n;) {
        int64_t have = old_shape[i], want = 1;
        int first = j;
        while (want != have)
            if (want < have) {
                want *= shape[j++];
            } else {
                if (old_stride[i] != old_stride[i + 1] * old_shape[i + 1])
                    return false;
                have *= old_shape[++i];
            }
        split_run(&r, first, j, old_stride[i++]);
    }
    *out = r;
    return true;
}

char *shape_text(char *text, int rank, const int64_t *shape)
{
    size_t used = 0;
    text[used++] = '(';
    for (int i = 0; i < rank && i < AD_MAX_RANK; i++)
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, i ? ",%lld" : "%lld",
                                 (long long)shape[i]);
    text[used++] = ')';
    text[used] = 0;
    return text;
}

/* ---- walking ---- */

static bool walk_merges(const array_walk *w, const array *const *arrays, int axis)
{
    int last = w->rank - 1;
    for (int k = 0; k < w->n; k++)
        if (w->stride[k][last] != arrays[k]->stride[axis] * arrays[k]->shape[axis])
            return false;
    return true;
}

array_walk array_walk_of(int n, const array *const *arrays)
{
    array_walk w;
    w.n = n;
    w.rank = 0;
    w.left = arrays[0]->size ? 1 : 0;
    for (int i = 0; i < arrays[0]->rank; i++) {
        int64_t size = arrays[0]->shape[i];
        if (size == 1)
            continue;
        if (w.rank && walk_merges(&w, arrays, i))
            w.shape[w.rank - 1] *= size;
        else
            w.shape[w.rank++] = size;
        for (int k = 0; k < n; k++)
            w.stride[k][w.rank - 1] = arrays[k]->stride[i];
    }
    int last = w.rank - 1;
    w.count = w.rank ? w.shape[last] : 1;
    for (int k = 0; k < n; k++) {
        w.offset[k] = 0;
        w.step[k] = w.rank ? w.stride[k][last] : 1;
    }
    for (int i = 0; i < last; i++) {
        w.index[i] = 0;
        w.left *= w.shape[i];
    }
    return w;
}

void array_walk_next(array_walk *w)
{
    if (--w->left == 0)
        return;
    for (int i = w->rank - 2; i >= 0; i--) {
        bool wraps = ++w->index[i] == w->shape[i];
        for (int k = 0; k < w->n; k++)
            w->offset[k] += wraps ? w->stride[k][i] * (1 - w->shape[i]) : w->stride[k][i];
        if (!wraps)
            return;
        w->index[i] = 0;
    }
}

/* ---- elements ---- */

/* towards zero; what does not fit goes to the nearest end, NaN to 0 */
static int32_t to_int(double x)
{
    return x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : x == x ? (int32_t)x : 0;
}

static double get(const void *p, ad_dtype dtype)
{
    return dtype == AD_F64   ? *(const double *)p
           : dtype == AD_F32 ? (double)*(const float *)p
                             : (double)*(const int32_t *)p;
}

static void put(void *p, ad_dtype dtype, double value)
{
    if (dtype == AD_F64)
        *(double *)p = value;
    else if (dtype == AD_F32)
        *(float *)p = (float)value;
    else
        *(int32_t *)p = to_int(value);
}

double array_get(const array *a, int64_t offset) { return get(element_at(a, offset), a->dtype); }

void array_put(const array *a, int64_t offset, double value)
{
    put(element_at(a, offset), a->dtype, value);
}

int64_t array_offset(const array *a, int64_t i)
{
    int64_t offset = 0;
    for (int k = a->rank - 1; k >= 0; k--) {
        offset += i % a->shape[k] * a->stride[k];
        i /= a->shape[k];
    }
    return offset;
}

/* ---- copying and adding ---- */

/* Rows of a run each, for each pair of dtypes: copy converts, add adds in the wider of the two
 * (integers saturate). The two loops are the same but for strides that the compiler knows. */
#define INTO_f64(x) (double)(x)
#define INTO_f32(x) (float)(x)
#define INTO_i32(x) to_int((double)(x))
#define WIDE_f64(x) (x)
#define WIDE_f32(x) (x)
#define WIDE_i32(x) (double)(x)
#define ROWS(name, T, t, F, f, value)                                                              \
    static void name##_##t##_##f(void *to, const void *from, const panel *p)                       \
    {                                                                                              \
        T *restrict y = to;                                                                        \
        const F *restrict x = from;                                                                \
        const int64_t n = p->count, st = p->step[0], sf = p->step[1];                              \
        for (int64_t r = 0; r < p->rows; r++, y += p->row[0], x += p->row[1])                      \
            if (st == 1 && sf == 1)                                                                \
                for (int64_t i = 0, j = 0; i < n; i++, j++)                                        \
                    y[i] = INTO_##t(value);                                                        \
            else                                                                                   \
                for (int64_t i = 0, j = 0, k = 0; k < n; k++, i += st, j += sf)                    \
                    y[i] = INTO_##t(value);                                                        \
    }
#define PAIR(T, t, F, f)                                                                           \
    ROWS(copy, T, t, F, f, x[j])                                                                   \
    ROWS(add, T, t, F, f, WIDE_##t(y[i]) + WIDE_##f(x[j]))

/* what two arrays go through together: of each, steps within a row and from row to row */
typedef struct panel {
    int64_t rows, count, step[2], row[2];
} panel;

PAIR(double, f64, double, f64)
PAIR(double, f64, float, f32)
PAIR(double, f64, int32_t, i32)
PAIR(float, f32, double, f64)
PAIR(float, f32, float, f32)
PAIR(float, f32, int32_t, i32)
PAIR(int32_t, i32, double, f64)
PAIR(int32_t, i32, float, f32)
PAIR(int32_t, i32, int32_t, i32)
#undef PAIR
#undef ROWS

typedef void rows(void *to, const void *from, const panel *p);
static rows *const copy_rows[3][3] = {
    [AD_F64] = {[AD_F64] = copy_f64_f64, [AD_F32] = copy_f64_f32, [AD_I32] = copy_f64_i32},
    [AD_F32] = {[AD_F64] = copy_f32_f64, [AD_F32] = copy_f32_f32, [AD_I32] = copy_f32_i32},
    [AD_I32] = {[AD_F64] = copy_i32_f64, [AD_F32] = copy_i32_f32, [AD_I32] = copy_i32_i32}};
static rows *const add_rows[3][3] = {
    [AD_F64] = {[AD_F64] = add_f64_f64, [AD_F32] = add_f64_f32, [AD_I32] = add_f64_i32},
    [AD_F32] = {[AD_F64] = add_f32_f64, [AD_F32] = add_f32_f32, [AD_I32] = add_f32_i32},
    [AD_I32] = {[AD_F64] = add_i32_f64, [AD_F32] = add_i32_f32, [AD_I32] = add_i32_i32}};

/* n elements with steps between them */
static panel panel_of(int64_t n, int64_t step_to, int64_t step_from)
{
    return (panel){1, n, {step_to, step_from}, {0, 0}};
}

/* The last two axes of a walk over two arrays, the first of which it need not go along any more. */
static panel panel_from(array_walk *w)
{
    panel p = panel_of(w->count, w->step[0], w->step[1]);
    if (w->rank < 2)
        return p;
    int axis = w->rank-- - 2;
    p.rows = w->shape[axis];
    p.row[0] = w->stride[0][axis], p.row[1] = w->stride[1][axis];
    w->left /= p.rows;
    return p;
}

/* A transposed matrix is read along its columns and written along its rows: in tiles, so that both
 * stay in cache. */
static void run_tiles(rows *r, const array *to, int64_t offset_to, const array *from,
                      int64_t offset_from, const panel *p)
{
    enum { TILE = 16 };
    for (int64_t i = 0; i < p->rows; i += TILE)
        for (int64_t j = 0; j < p->count; j += TILE) {
            panel tile = *p;
            tile.rows = p->rows - i < TILE ? p->rows - i : TILE;
            tile.count = p->count - j < TILE ? p->count - j : TILE;
            r(element_at(to, offset_to + i * p->row[0] + j * p->step[0]),
              element_at(from, offset_from + i * p->row[1] + j * p->step[1]), &tile);
        }
}

static void run_all(rows *const table[3][3], const array *to, const array *from)
{
    rows *r = table[to->dtype][from->dtype];
    panel p = panel_of(to->size, 1, 1);
    if (array_contiguous(to) && array_contiguous(from)) {
        r(to->data, from->data, &p);
        return;
    }
    const array *both[2] = {to, from};
    array_walk w = array_walk_of(2, both);
    p = panel_from(&w);
    bool transposed = p.rows > 1 && p.step[0] == 1 && p.row[1] == 1;
    for (; w.left; array_walk_next(&w))
        if (transposed)
            run_tiles(r, to, w.offset[0], from, w.offset[1], &p);
        else
            r(element_at(to, w.offset[0]), element_at(from, w.offset[1]), &p);
}

void array_copy(const array *to, const array *from)
{
    if (to->size == 0)
        return;
    if (to->dtype == from->dtype && array_contiguous(to) && array_contiguous(from))
        memcpy(to->data, from->data, array_bytes(to));
    else
        run_all(copy_rows, to, from);
}

void array_add(const array *to, const array *from)
{
    if (to->size)
        run_all(add_rows, to, from);
}

void array_fill(const array *to, double value)
{
    union {
        double f64;
        float f32;
        int32_t i32;
    } one;
    put(&one, to->dtype, value);
    const array *only[1] = {to};
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w)) {
        panel p = panel_of(w.count, w.step[0], 0);
        copy_rows[to->dtype][to->dtype](element_at(to, w.offset[0]), &one, &p);
    }
}

static void abs_run(void *p, ad_dtype dtype, int64_t step, int64_t n)
{
    double *d = p;
    float *f = p;
    if (dtype == AD_F64)
        for (int64_t i = 0; i < n; i++, d += step)
            *d = fabs(*d);
    else if (dtype == AD_F32)
        for (int64_t i = 0; i < n; i++, f += step)
            *f = fabsf(*f);
    else
        for (int64_t i = 0; i < n; i++)
            put((int32_t *)p + i * step, AD_I32, fabs(get((int32_t *)p + i * step, AD_I32)));
}

void array_abs(const array *to, const array *from)
{
    if (to->data != from->data) /* else in place */
        array_copy(to, from);
    const array *only[1] = {to};
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w))
        abs_run(element_at(to, w.offset[0]), to->dtype, w.step[0], w.count);
}

int64_t array_not_finite(const array *a)
{
    if (a->dtype == AD_I32)
        return -1;
    const array *only[1] = {a};
    int64_t done = 0;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w), done += w.count)
        for (int64_t i = 0; i < w.count; i++)
            if (!isfinite(array_get(a, w.offset[0] + i * w.step[0])))
                return done + i;
    return -1;
}

/* ---- sums ---- */

/* Sums of WIDTH neighbouring results at once, over reduced elements lo..lo+n-1 counted row-major.
 * Short pieces are summed in order, longer ones from two halves: the error grows with the logarithm
 * of n. */
enum { WIDTH = 128, PIECE = 128 };

typedef struct reduction {
    const array *from;
    int rank; /* reduced axes */
    int64_t shape[AD_MAX_RANK], stride[AD_MAX_RANK];
    int64_t step, width; /* between results that are computed together, and their number */
} reduction;

/* four partial sums, which the processor can overlap */
#define SUM_RUN(T, t)                                                                              \
    static double sum_run_##t(const T *x, int64_t step, int64_t n)                                 \
    {                                                                                              \
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                                     \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= n; i += 4, x += 4 * step) {                                                \
            s0 += (double)x[0];                                                                    \
            s1 += (double)x[step];                                                                 \
            s2 += (double)x[2 * step];                                                             \
            s3 += (double)x[3 * step];                                                             \
        }                                                                                          \
        for (; i < n; i++, x += step)                                                              \
            s0 += (double)*x;                                                                      \
        return (s0 + s1) + (s2 + s3);                                                              \
    }                                                                                              \
    static void sum_rows_##t(double *restrict sum, const T *x, int64_t step, int64_t width,        \
                             int64_t stride, int64_t n)                                            \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++, x += stride)                                               \
            if (step == 1)                                                                         \
                for (int64_t c = 0; c < width; c++)                                                \
                    sum[c] += (double)x[c];                                                        \
            else                                                                                   \
                for (int64_t c = 0; c < width; c++)                                                \
                    sum[c] += (double)x[c * step];                                                 \
    }
SUM_RUN(double, f64)
SUM_RUN(float, f32)
SUM_RUN(int32_t, i32)
#undef SUM_RUN

/* adds n reduced elements, `stride` apart, to the sums */
static void sum_part(const reduction *r, int64_t offset, int64_t stride, int64_t n, double *sum)
{
    const void *x = element_at(r->from, offset);
    ad_dtype d = r->from->dtype;
    if (r->width == 1)
        sum[0] += d == AD_F64   ? sum_run_f64(x, stride, n)
                  : d == AD_F32 ? sum_run_f32(x, stride, n)
                                : sum_run_i32(x, stride, n);
    else if (d == AD_F64)
        sum_rows_f64(sum, x, r->step, r->width, stride, n);
    else if (d == AD_F32)
        sum_rows_f32(sum, x, r->step, r->width, stride, n);
    else
        sum_rows_i32(sum, x, r->step, r->width, stride, n);
}

static void sum_piece(const reduction *r, int64_t base, int64_t lo, int64_t n, double *sum)
{
    int last = r->rank - 1;
    int64_t index[AD_MAX_RANK], offset = base;
    for (int i = last; i >= 0; i--) {
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): nothing is summed where a size is 0 */
        index[i] = lo % r->shape[i];
        lo /= r->shape[i];
        offset += index[i] * r->stride[i];
    }
    while (n > 0) {
        int64_t count = r->shape[last] - index[last] < n ? r->shape[last] - index[last] : n;
        sum_part(r, offset, r->stride[last], count, sum);
        n -= count;
        offset -= index[last] * r->stride[last];
        index[last] = 0;
        for (int i = last - 1; i >= 0; i--) { /* carry */
            offset += r->stride[i];
            if (++index[i] < r->shape[i])
                break;
            offset -= r->shape[i] * r->stride[i];
            index[i] = 0;
        }
    }
}

static void sum_pairwise(const reduction *r, int64_t base, int64_t lo, int64_t n, double *sum)
{
    for (int64_t c = 0; c < r->width; c++)
        sum[c] = 0;
    if (n <= PIECE) {
        sum_piece(r, base, lo, n, sum);
        return;
    }
    double other[WIDTH];
    int64_t half = (n / 2 + PIECE - 1) / PIECE * PIECE;
    sum_pairwise(r, base, lo, half, sum);
    sum_pairwise(r, base, lo + half, n - half, other);
    for (int64_t c = 0; c < r->width; c++)
        sum[c] += other[c];
}

/* Splits collapsed axes into reduced ones (stride 0 in the result) and kept ones; gives the number
 * of reduced elements. Kept: walked by `to` and `base`, which is `from` at reduced index 0. */
static int64_t reduction_of(const array *to, const array *from, reduction *r, array *kept,
                            array *base)
{
    array wide = array_expanded(to, from->rank, from->shape);
    const array *both[2] = {&wide, from};
    array_walk w = array_walk_of(2, both);
    int64_t n = 1;
    *r = (reduction){.from = from, .step = 1, .width = 1};
    *kept = (array){.data = to->data, .size = 1, .dtype = to->dtype};
    *base = (array){.data = from->data, .size = 1, .dtype = from->dtype};
    for (int i = 0; i < w.rank; i++)
        if (w.stride[0][i] == 0) {
            r->shape[r->rank] = w.shape[i];
            r->stride[r->rank++] = w.stride[1][i];
            n *= w.shape[i];
        } else {
            int k = kept->rank++;
            base->rank++;
            kept->shape[k] = base->shape[k] = w.shape[i];
            kept->stride[k] = w.stride[0][i];
            base->stride[k] = w.stride[1][i];
            kept->size = base->size = kept->size * w.shape[i];
        }
    return n;
}

static void sum_store(const array *to, int64_t offset, int64_t step, int64_t n, const double *sum,
                      bool add)
{
    panel p = panel_of(n, step, 1);
    (add ? add_rows : copy_rows)[to->dtype][AD_F64](element_at(to, offset), sum, &p);
}

void array_sum_to(const array *to, const array *from, bool add)
{
    if (from->size == 0) {
        if (!add)
            array_fill(to, 0);
        return;
    }
    reduction r;
    array kept, base;
    int64_t n = reduction_of(to, from, &r, &kept, &base);
    if (r.rank == 0) {
        array same = array_expanded(to, from->rank, from->shape);
        (add ? array_add : array_copy)(&same, from);
        return;
    }
    const array *both[2] = {&kept, &base};
    double sum[WIDTH];
    for (array_walk w = array_walk_of(2, both); w.left; array_walk_next(&w)) {
        int64_t inner = r.stride[r.rank - 1], outer = w.step[1];
        bool by_rows = (outer < 0 ? -outer : outer) < (inner < 0 ? -inner : inner) || inner == 0;
        int64_t width = by_rows ? WIDTH : 1;
        r.step = w.step[1];
        for (int64_t i = 0; i < w.count; i += r.width) {
            r.width = w.count - i < width ? w.count - i : width;
            sum_pairwise(&r, w.offset[1] + i * w.step[1], 0, n, sum);
            sum_store(to, w.offset[0] + i * w.step[0], w.step[0], r.width, sum, add);
        }
    }
}
