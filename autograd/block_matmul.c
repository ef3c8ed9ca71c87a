/* block_matmul.c - products of matrices and vectors: matmul, dot, outer
 *
 * Value, adjoint and tangent of matmul and outer are all products of stacks of matrices, broadcast
 * over their leading axes; so there is one function for that, and transposing is nothing but
 * swapping strides. It hands matrices to gemm where they lie, sums straight into cotangents, and
 * merges the leading axes of a stack with its rows (or with what is summed over) where a single
 * large product does the work of many small ones.
 *
 * A zero cotangent is absorbing: what it meets, infinity or NaN, does not count. gemm knows nothing
 * of this, so products with cotangents look whether something was not finite, in the partial or in
 * the result, whichever is smaller, and only then do the work again, slowly (the recorded rule,
 * being made of matmuls, does not). Magnitudes: |G| |B|^T and |A|^T |G|. */
#define AD_PLAIN
#include "block_matmul.h"
#include "gemm.h"

/* ---- matrices, where they lie ---- */

static array transposed(const array *a)
{
    array t = *a;
    int r = a->rank;
    t.shape[r - 1] = a->shape[r - 2], t.stride[r - 1] = a->stride[r - 2];
    t.shape[r - 2] = a->shape[r - 1], t.stride[r - 2] = a->stride[r - 1];
    return t;
}

/* A vector as the row or column that it stands for; a matrix as it is. */
static array as_matrix(const array *v, bool column)
{
    if (v->rank != 1)
        return *v;
    array m = *v;
    m.rank = 2;
    m.shape[0] = column ? v->shape[0] : 1, m.stride[0] = column ? v->stride[0] : v->shape[0];
    m.shape[1] = column ? 1 : v->shape[0], m.stride[1] = column ? 1 : v->stride[0];
    return m;
}

/* `a` over the leading axes of the result */
static array stacked(const array *a, int lead, const int64_t *leading)
{
    int64_t shape[AD_MAX_RANK];
    for (int i = 0; i < lead; i++)
        shape[i] = leading[i];
    shape[lead] = a->shape[a->rank - 2];
    shape[lead + 1] = a->shape[a->rank - 1];
    return array_expanded(a, lead + 2, shape);
}

/* The inverse: leading axes along which the same matrices are repeated get size 1. */
static array unstacked(const array *a)
{
    array u = *a;
    u.size = 1;
    for (int i = 0; i < a->rank; i++) {
        if (i < a->rank - 2 && a->stride[i] == 0)
            u.shape[i] = 1;
        u.size *= u.shape[i];
    }
    return u;
}

/* How gemm sees the last two axes: transposed or not, and its rows how far apart. false: not at
 * all. */
static bool layout(const array *a, bool *t, int64_t *ld)
{
    int64_t rows = a->shape[a->rank - 2], columns = a->shape[a->rank - 1];
    int64_t down = a->stride[a->rank - 2], right = a->stride[a->rank - 1];
    *t = !((right == 1 || columns <= 1) && (down >= columns || rows <= 1));
    if (*t && !((down == 1 || rows <= 1) && (right >= rows || columns <= 1)))
        return false;
    int64_t least = *t ? rows : columns, apart = *t ? right : down;
    bool single = *t ? columns <= 1 : rows <= 1;
    *ld = single || apart < least ? least : apart;
    if (*ld < 1)
        *ld = 1;
    return true;
}

/* Makes `a` one that gemm can read. */
static bool make_readable(frame *f, array *a)
{
    bool t;
    int64_t ld;
    if (layout(a, &t, &ld))
        return true;
    array once = unstacked(a), copy = scratch_contiguous(f, &once, a->dtype);
    if (!copy.data)
        return false;
    *a = array_expanded(&copy, a->rank, a->shape);
    return true;
}

static array element(const array *a, int64_t offset)
{
    array e = *a;
    e.data = (char *)a->data + offset * (int64_t)ad_dtype_size(a->dtype);
    return e;
}

/* c <- a b of the last two axes as a call of gemm; all must be readable, c by rows. */
static bound_product bound_one(const frame *f, const array *a, const array *b, const array *c)
{
    bool tc;
    int64_t ldc = 0;
    bound_product p = {.context = f->context,
                       .dtype = c->dtype,
                       .m = c->shape[c->rank - 2],
                       .n = c->shape[c->rank - 1],
                       .k = a->shape[a->rank - 1],
                       .a = a->data,
                       .b = b->data,
                       .c = c->data};
    layout(a, &p.ta, &p.lda);
    layout(b, &p.tb, &p.ldb);
    layout(c, &tc, &ldc);
    p.ldc = ldc;
    return p;
}

static void bound_run_product(const bound_product *p, bool add)
{
    gemm(p->context, p->dtype, p->ta, p->tb, p->m, p->n, p->k, p->a, p->lda, p->b, p->ldb, add,
         p->c, p->ldc);
}

void product_run(const bound_product *p) { bound_run_product(p, false); }

static void multiply_one(const frame *f, const array *a, const array *b, bool add, const array *c)
{
    bound_product p = bound_one(f, a, b, c);
    bound_run_product(&p, add);
}

/* ---- stacks ---- */

/* The leading axes and `axis` as one axis of one stride, if they lie so. */
static bool merged(const array *a, int axis, int64_t *size, int64_t *stride)
{
    *size = 1;
    *stride = 1;
    for (int i = a->rank - 2; i >= 0; i--) {
        int k = i == a->rank - 2 ? axis : i;
        if (a->shape[k] == 1)
            continue;
        if (*size != 1 && a->stride[k] != *stride * *size)
            return false;
        if (*size == 1)
            *stride = a->stride[k];
        *size *= a->shape[k];
    }
    return true;
}

/* The stack as a single matrix whose rows (down) or columns hold the leading axes too. */
static bool fold(array *a, bool down)
{
    array m = *a;
    int r = a->rank, axis = down ? r - 2 : r - 1, other = down ? r - 1 : r - 2;
    int64_t size, stride;
    bool t;
    int64_t ld;
    if (!merged(a, axis, &size, &stride))
        return false;
    m.rank = 2;
    m.shape[!down] = size, m.stride[!down] = stride;
    m.shape[down] = a->shape[other], m.stride[down] = a->stride[other];
    *a = m;
    return layout(&m, &t, &ld);
}

static bool repeated(const array *a) /* the same matrix all over the stack */
{
    for (int i = 0; i < a->rank - 2; i++)
        if (a->shape[i] != 1 && a->stride[i] != 0)
            return false;
    return true;
}

static array last_two(const array *a)
{
    array m = *a;
    m.rank = 2;
    for (int i = 0; i < 2; i++)
        m.shape[i] = a->shape[a->rank - 2 + i], m.stride[i] = a->stride[a->rank - 2 + i];
    return m;
}

bool product_fold(array *a, array *b, array *c)
{
    array x = *a, y = *b, z = *c;
    if (repeated(b) && fold(&x, true) && fold(&z, true)) {
        y = last_two(b);
    } else {
        x = *a;
        if (!repeated(c) || !fold(&x, false) || !fold(&y, true))
            return false;
        z = last_two(c);
    }
    *a = x, *b = y, *c = z;
    return true;
}

static void clear_once(const array *c)
{
    array once = unstacked(c);
    array_fill(&once, 0);
}

/* c <- (or +=) a b over stacks of one leading shape. Where c repeats, the products are summed. */
static ad_status multiply(frame *f, array a, array b, bool add, const array *c)
{
    int lead = c->rank - 2;
    array leading = array_of(NULL, c->dtype, lead, c->shape);
    if (leading.size == 0) {
        if (!add)
            clear_once(c);
        return AD_OK;
    }
    if (!make_readable(f, &a) || !make_readable(f, &b))
        return AD_NO_MEMORY;
    array z = *c;
    if (leading.size == 1 || product_fold(&a, &b, &z)) {
        multiply_one(f, &a, &b, add, &z);
        return AD_OK;
    }
    if (!add && unstacked(c).size != c->size) {
        clear_once(c);
        add = true;
    }
    const array *all[3] = {&a, &b, c};
    array heads[3];
    for (int k = 0; k < 3; k++) {
        heads[k] = *all[k];
        heads[k].rank = lead;
    }
    for (int64_t i = 0; i < leading.size; i++) {
        array x = element(&a, array_offset(&heads[0], i)),
              y = element(&b, array_offset(&heads[1], i));
        z = element(c, array_offset(&heads[2], i));
        multiply_one(f, &x, &y, add, &z);
    }
    return AD_OK;
}

/* ---- products with cotangents ---- */

/* Nothing but finite numbers, in the whole or, where it is a stack that repeats, once. */
static bool all_finite(const array *a)
{
    array once = unstacked(a);
    if (!array_contiguous(&once))
        return array_not_finite(&once) < 0;
    double bad[8] = {0}; /* 0 x is 0, or NaN */
    float badf[16] = {0};
    const double *x = once.data;
    const float *xf = once.data;
    int64_t i = 0, n = once.size;
    if (once.dtype == AD_F64) {
        for (; i + 8 <= n; i += 8)
            for (int j = 0; j < 8; j++)
                bad[j] += 0 * x[i + j];
        for (; i < n; i++)
            bad[0] += 0 * x[i];
    } else {
        for (; i + 16 <= n; i += 16)
            for (int j = 0; j < 16; j++)
                badf[j] += 0 * xf[i + j];
        for (; i < n; i++)
            badf[0] += 0 * xf[i];
    }
    for (int j = 0; j < 16; j++)
        bad[j % 8] += (double)badf[j];
    for (int j = 1; j < 8; j++)
        bad[0] += bad[j];
    return bad[0] == 0;
}

/* One element of c: the sum over the last axis of a and the last but one of b, where g is one of
 * them. */
static double absorbing_sum(const array *a, int64_t x, const array *b, int64_t y, bool g_is_a)
{
    int r = a->rank;
    double sum = 0;
    for (int64_t p = 0; p < a->shape[r - 1]; p++) {
        double u = array_get(a, x + p * a->stride[r - 1]),
               v = array_get(b, y + p * b->stride[r - 2]);
        sum += (g_is_a ? u : v) == 0 ? 0 : u * v;
    }
    return sum;
}

static void multiply_absorbing(const array *a, const array *b, bool g_is_a, bool add,
                               const array *c)
{
    int r = c->rank;
    if (!add)
        clear_once(c);
    array x = *a, y = *b; /* what an element of c begins from */
    for (int i = 0; i < r; i++)
        x.shape[i] = y.shape[i] = c->shape[i];
    x.stride[r - 1] = y.stride[r - 2] = 0;
    for (int64_t i = 0; i < c->size; i++) {
        int64_t at = array_offset(c, i);
        double sum = absorbing_sum(a, array_offset(&x, i), b, array_offset(&y, i), g_is_a);
        array_put(c, at, array_get(c, at) + sum);
    }
}

static ad_status multiply_checked(frame *f, const array *a, const array *b, bool g_is_a, bool add,
                                  const array *c)
{
    array once = unstacked(c), partial = unstacked(g_is_a ? b : a);
    if (partial.size <= once.size) {
        if (all_finite(&partial))
            return multiply(f, *a, *b, add, c);
    } else {
        array to = add ? scratch_array(f, c->dtype, once.rank, once.shape) : once;
        if (!to.data)
            return AD_NO_MEMORY;
        array over = add ? array_expanded(&to, c->rank, c->shape) : *c;
        ad_status s = multiply(f, *a, *b, false, &over);
        if (s)
            return s;
        if (all_finite(&to)) {
            if (add)
                array_add(&once, &to);
            return AD_OK;
        }
    }
    multiply_absorbing(a, b, g_is_a, add, c);
    return AD_OK;
}

static ad_status multiply_cotangent(frame *f, const array *a, const array *b, bool g_is_a, bool add,
                                    const array *c)
{
    if (!f->magnitude)
        return multiply_checked(f, a, b, g_is_a, add, c);
    const array *partial = g_is_a ? b : a;
    array once = unstacked(partial), copy = scratch_array(f, once.dtype, once.rank, once.shape);
    if (!copy.data)
        return AD_NO_MEMORY;
    array_abs(&copy, &once);
    array magnitude = array_expanded(&copy, partial->rank, partial->shape);
    return multiply_checked(f, g_is_a ? a : &magnitude, g_is_a ? &magnitude : b, g_is_a, add, c);
}

/* ---- matmul and outer ---- */

static const block_op matmul_op, outer_op;

/* Vectors of matmul are a row on the left and a column on the right, of outer the other way round.
 */
static array operand(const block *b, const array *v, int k)
{
    return as_matrix(v, (k == 1) != (b->op == &outer_op));
}

matrices product_matrices(const block *b, const array *a0, const array *b0, const array *y0)
{
    array x = operand(b, a0, 0), z = operand(b, b0, 1);
    int64_t shape[AD_MAX_RANK];
    int lead = 0;
    shape_broadcast(x.rank - 2, x.shape, z.rank - 2, z.shape, &lead, shape);
    matrices s = {.a = stacked(&x, lead, shape), .b = stacked(&z, lead, shape)};
    shape[lead] = x.shape[x.rank - 2];
    shape[lead + 1] = z.shape[z.rank - 1];
    s.y = array_of(y0->data, y0->dtype, lead + 2, shape);
    return s;
}

static ad_status product_value(frame *f, block *b)
{
    array x = block_arg(f, b, 0), z = block_arg(f, b, 1);
    matrices s = product_matrices(b, &x, &z, &b->out);
    arena_mark mark = arena_here(f->scratch);
    ad_status status = multiply(f, s.a, s.b, false, &s.y);
    arena_rewind(f->scratch, mark);
    return status;
}

bool is_product(const block *b) { return b->op == &matmul_op || b->op == &outer_op; }

bool product_bind(const frame *f, const block *b, bound_product *p)
{
    bool t;
    int64_t ld;
    array x = block_arg(f, b, 0), z = block_arg(f, b, 1);
    matrices s = product_matrices(b, &x, &z, &b->out);
    array leading = array_of(NULL, s.y.dtype, s.y.rank - 2, s.y.shape);
    if (!layout(&s.a, &t, &ld) || !layout(&s.b, &t, &ld) ||
        (leading.size != 1 && (!leading.size || !product_fold(&s.a, &s.b, &s.y))))
        return false;
    *p = bound_one(f, &s.a, &s.b, &s.y);
    return true;
}

/* dA = G B^T, dB = A^T G, straight into the slots */
static ad_status product_adjoint(frame *f, block *b, const array *g)
{
    array x = block_arg(f, b, 0), z = block_arg(f, b, 1);
    matrices s = product_matrices(b, &x, &z, g);
    for (int k = 0; k < 2; k++) {
        if (!block_wants(f, b, k))
            continue;
        bool fresh;
        array slot = adjoint_slot(f, b, k, &fresh);
        if (!slot.data)
            return AD_NO_MEMORY;
        arena_mark mark = arena_here(f->scratch);
        array matrix = operand(b, &slot, k), c = stacked(&matrix, s.y.rank - 2, s.y.shape);
        array partial = transposed(k == 0 ? &s.b : &s.a);
        ad_status status = multiply_cotangent(f, k == 0 ? &s.y : &partial, k == 0 ? &partial : &s.y,
                                              k == 0, !fresh, &c);
        arena_rewind(f->scratch, mark);
        if (status)
            return status;
    }
    return AD_OK;
}

static ad_status product_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)y;
    ad_status status = AD_OK;
    bool add = false;
    for (int k = 0; k < 2 && !status; k++)
        if (da[k]) {
            matrices s = product_matrices(b, k == 0 ? da[0] : &a[0], k == 1 ? da[1] : &a[1], dy);
            status = multiply(f, s.a, s.b, add, &s.y);
            add = true;
        }
    if (!add)
        array_fill(dy, 0);
    return status;
}

static ad_var reshaped(ad_var a, const array *matrix)
{
    return ad_reshape(a, matrix->rank, matrix->shape);
}

/* (...,m,n) as one matrix (... m, n) */
static ad_var rows_together(ad_var a, const array *v)
{
    int64_t shape[2] = {1, v->shape[v->rank - 1]};
    for (int i = 0; i < v->rank - 1; i++)
        shape[0] *= v->shape[i];
    return v->rank == 2 ? a : ad_reshape(a, 2, shape);
}

static void matmul_record(rule *r)
{
    const frame *f = &r->tape->frame;
    array x = block_arg(f, r->b, 0), z = block_arg(f, r->b, 1);
    matrices s = product_matrices(r->b, &x, &z, &r->b->out);
    array x2 = operand(r->b, &x, 0), z2 = operand(r->b, &z, 1);
    ad_var a = x.rank == 1 ? reshaped(r->a[0], &x2) : r->a[0];
    ad_var b = z.rank == 1 ? reshaped(r->a[1], &z2) : r->a[1];
    ad_var g = x.rank == 1 || z.rank == 1 ? reshaped(r->g, &s.y) : r->g;
    if (r->wants[0])
        r->da[0] = ad_matmul(g, ad_transpose(b));
    if (!r->wants[1])
        return;
    if (z2.rank == 2) /* one product; and nothing is left to sum over the stack */
        r->da[1] = ad_matmul(ad_transpose(rows_together(a, &s.a)), rows_together(g, &s.y));
    else
        r->da[1] = ad_matmul(ad_transpose(a), g);
    if (z.rank == 1)
        r->da[1] = ad_reshape(r->da[1], 1, z.shape);
}

static void outer_record(rule *r)
{
    if (r->wants[0])
        r->da[0] = ad_matmul(r->g, r->a[1]);
    if (r->wants[1])
        r->da[1] = ad_matmul(r->a[0], r->g);
}

static const block_op matmul_op = {.name = "matmul",
                                   .value = product_value,
                                   .adjoint = product_adjoint,
                                   .tangent = product_tangent,
                                   .record = matmul_record};
static const block_op outer_op = {.name = "outer",
                                  .value = product_value,
                                  .adjoint = product_adjoint,
                                  .tangent = product_tangent,
                                  .record = outer_record};

/* ---- dot ---- */

/* Long sums are halved, so that their rounding error grows with the logarithm of their length. */
#define DOT(name, T)                                                                               \
    static double name(int64_t n, const T *a, int64_t da, const T *b, int64_t db)                  \
    {                                                                                              \
        if (n > 1024) {                                                                            \
            int64_t half = n / 16 * 8;                                                             \
            return name(half, a, da, b, db) +                                                      \
                   name(n - half, a + half * da, da, b + half * db, db);                           \
        }                                                                                          \
        double sum[8] = {0};                                                                       \
        int64_t i = 0;                                                                             \
        if (da == 1 && db == 1)                                                                    \
            for (; i + 8 <= n; i += 8)                                                             \
                for (int j = 0; j < 8; j++)                                                        \
                    sum[j] += (double)a[i + j] * (double)b[i + j];                                 \
        for (; i < n; i++)                                                                         \
            sum[i % 8] += (double)a[i * da] * (double)b[i * db];                                   \
        return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));  \
    }
DOT(dot_f64, double)
DOT(dot_f32, float)
#undef DOT

static double dot_of(const array *a, const array *b)
{
    return a->dtype == AD_F64 ? dot_f64(a->size, a->data, a->stride[0], b->data, b->stride[0])
                              : dot_f32(a->size, a->data, a->stride[0], b->data, b->stride[0]);
}

static ad_status dot_value(frame *f, block *b)
{
    array x = block_arg(f, b, 0), z = block_arg(f, b, 1), y = block_result(f, b);
    array_put(&y, 0, dot_of(&x, &z));
    return AD_OK;
}

/* da = g b, db = g a; magnitudes g |b| and g |a| */
static ad_status dot_adjoint(frame *f, block *b, const array *g)
{
    double scale = array_get(g, 0);
    for (int k = 0; k < 2; k++) {
        if (!block_wants(f, b, k))
            continue;
        array other = block_arg(f, b, !k);
        bool fresh;
        array slot = adjoint_slot(f, b, k, &fresh);
        if (!slot.data)
            return AD_NO_MEMORY;
        if (scale == 0) {
            if (fresh)
                array_fill(&slot, 0);
            continue;
        }
        for (int64_t i = 0; i < slot.size; i++) {
            double d = scale * array_get(&other, i * other.stride[0]);
            d = f->magnitude ? fabs(d) : d;
            array_put(&slot, i, fresh ? d : array_get(&slot, i) + d);
        }
    }
    return AD_OK;
}

static ad_status dot_tangent(frame *f, block *b, const array *a, const array *y,
                             const array *const *da, array *dy)
{
    (void)f, (void)b, (void)y;
    double sum = 0;
    for (int k = 0; k < 2; k++)
        if (da[k])
            sum += dot_of(da[k], &a[!k]);
    array_put(dy, 0, sum);
    return AD_OK;
}

static void dot_record(rule *r)
{
    for (int k = 0; k < 2; k++)
        if (r->wants[k])
            r->da[k] = ad_mulz(r->g, r->a[!k]);
}

static const block_op dot_op = {.name = "dot",
                                .value = dot_value,
                                .adjoint = dot_adjoint,
                                .tangent = dot_tangent,
                                .record = dot_record};

/* ---- recording ---- */

/* "(3,4) x (5,2)" */
enum { PAIR_TEXT = 2 * SHAPE_TEXT + 4 };
static const char *pair_text(char *text, const call *c)
{
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    snprintf(text, PAIR_TEXT, "%s x %s", shape_text(a, c->in[0].rank, c->in[0].shape),
             shape_text(b, c->in[1].rank, c->in[1].shape));
    return text;
}

static bool check_dtypes(call *c)
{
    if (!call_float(c, 0) || !call_float(c, 1))
        return false;
    if (c->in[0].rank && c->in[1].rank && c->in[0].dtype != c->in[1].dtype) {
        call_fail(c, AD_BAD_DTYPE, "%s x %s: ad_cast one of them", ad_dtype_name(c->in[0].dtype),
                  ad_dtype_name(c->in[1].dtype));
        return false;
    }
    return true;
}

static bool check_vectors(call *c, bool same)
{
    char text[PAIR_TEXT];
    if (c->in[0].rank != 1 || c->in[1].rank != 1)
        call_fail(c, AD_BAD_SHAPE, "%s: both must be vectors", pair_text(text, c));
    else if (same && c->in[0].shape[0] != c->in[1].shape[0])
        call_fail(c, AD_BAD_SHAPE, "%s: sizes %lld and %lld differ", pair_text(text, c),
                  (long long)c->in[0].shape[0], (long long)c->in[1].shape[0]);
    return c->ok;
}

static ad_var end_dot(call *c) { return call_end(c, &dot_op, -1, AD_F64, 0, NULL, (call_attr){0}); }

/* The result's shape, or an error. */
static bool matmul_shape(call *c, int *rank, int64_t *shape)
{
    array a = as_matrix(&c->in[0], false), b = as_matrix(&c->in[1], true);
    char text[PAIR_TEXT];
    if (a.rank == 0 || b.rank == 0) {
        call_fail(c, AD_BAD_SHAPE, "%s: a scalar is not a matrix: use ad_mul", pair_text(text, c));
        return false;
    }
    int64_t inner = a.shape[a.rank - 1], other = b.shape[b.rank - 2];
    if (inner != other) {
        call_fail(c, AD_BAD_SHAPE, "%s: inner dimensions %lld and %lld differ", pair_text(text, c),
                  (long long)inner, (long long)other);
        return false;
    }
    if (!shape_broadcast(a.rank - 2, a.shape, b.rank - 2, b.shape, rank, shape)) {
        call_fail(c, AD_BAD_SHAPE, "%s: leading axes do not broadcast", pair_text(text, c));
        return false;
    }
    if (c->in[0].rank > 1)
        shape[(*rank)++] = a.shape[a.rank - 2];
    if (c->in[1].rank > 1)
        shape[(*rank)++] = b.shape[b.rank - 1];
    return true;
}

ad_var ad_matmul(ad_var a, ad_var b)
{
    call c;
    int rank = 0;
    int64_t shape[AD_MAX_RANK];
    if (!call_begin(&c, "matmul", NULL, 2, (ad_var[]){a, b}) || !check_dtypes(&c) ||
        !matmul_shape(&c, &rank, shape))
        return call_poison(&c);
    if (rank == 0)
        return end_dot(&c);
    return call_end(&c, &matmul_op, -1, c.in[0].dtype, rank, shape, (call_attr){0});
}

ad_var ad_dot(ad_var a, ad_var b)
{
    call c;
    if (!call_begin(&c, "dot", NULL, 2, (ad_var[]){a, b}) || !check_dtypes(&c) ||
        !check_vectors(&c, true))
        return call_poison(&c);
    return end_dot(&c);
}

ad_var ad_outer(ad_var a, ad_var b)
{
    call c;
    if (!call_begin(&c, "outer", NULL, 2, (ad_var[]){a, b}) || !check_dtypes(&c) ||
        !check_vectors(&c, false))
        return call_poison(&c);
    int64_t shape[2] = {c.in[0].shape[0], c.in[1].shape[0]};
    return call_end(&c, &outer_op, -1, c.in[0].dtype, 2, shape, (call_attr){0});
}
