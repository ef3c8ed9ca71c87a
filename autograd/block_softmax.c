/* block_softmax.c - softmax, log_softmax, their fused cross-entropy, and maxout
 *
 * All subtract the largest element first, so that nothing overflows; logits of -inf have
 * probability 0, of several +inf each has the same. A line of nothing but -inf has no softmax: NaN.
 * The loops along a line (block_lines.h) are those of softmax_kernel.inc.
 *
 * Magnitudes: softmax y (g + sum g y), log_softmax g + e^y sum g, cross-entropy g (p sum |y| + |y|)
 * for the logits and g (|rest| + |z - most|) for targets that are probabilities. */
#define AD_PLAIN
#include "block_lines.h"
#include "block_view.h"
#include "kernels.h"
#include "pool.h"

#define REAL    double
#define NAME(x) x##_f64
#define EXP(x)  exp(x)
#include "softmax_kernel.inc"
#undef REAL
#undef NAME
#undef EXP
#define REAL    float
#define NAME(x) x##_f32
#define EXP(x)  expf(x)
#include "softmax_kernel.inc"
#undef REAL
#undef NAME
#undef EXP

/* ---- softmax and log_softmax ---- */

/* Softmax of x along the lines, some at a time. most, rest: NULL where not wanted. */
typedef struct softmaxes {
    const lines *lines;
    const kernels *kernels;
    const array *x;
    void *y, *below; /* below: x - most */
    double *most, *rest;
    int64_t share; /* lines that are taken together, all where they lie within one another */
} softmaxes;

static void *element(const softmaxes *s, void *base, int64_t at)
{
    return (char *)base + at * (int64_t)ad_dtype_size(s->x->dtype);
}

static void softmax_share(void *user, int64_t share)
{
    const softmaxes *s = user;
    const lines *l = s->lines;
    const int64_t from = share * s->share,
                  to = from + s->share < l->count ? from + s->share : l->count;
    const bool wide = s->x->dtype == AD_F64;
    for (int64_t i = from; i < to; i++) {
        const void *x = element(s, s->x->data, line_at(l, i));
        void *below = element(s, s->below, line_at(l, i));
        const double most = wide ? softmax_begin_f64(l->n, l->step, x, below)
                                 : (double)softmax_begin_f32(l->n, l->step, x, below);
        if (s->most)
            s->most[i] = most;
    }
    const int64_t first = line_at(l, from);
    kernels_map(s->kernels, AD_OP_exp, s->x->dtype, (to - from) * l->n, element(s, s->below, first),
                NULL, NULL, element(s, s->y, first));
    for (int64_t i = from; i < to; i++) {
        void *y = element(s, s->y, line_at(l, i));
        const double rest =
            wide ? softmax_end_f64(l->n, l->step, y) : softmax_end_f32(l->n, l->step, y);
        if (s->rest)
            s->rest[i] = rest;
    }
}

/* y <- softmax of x along the lines, each with its largest element and the logarithm of the sum of
 * e^(x - most), where these are wanted */
static ad_status softmax_lines(frame *f, const lines *l, const array *x, void *y, double *most,
                               double *rest)
{
    enum { TOGETHER = 1 << 10 }; /* elements: enough for the exponential, and they stay in cache */
    const array below = scratch_array(f, x->dtype, x->rank, x->shape);
    softmaxes s = {l, kernels_of(f->context), x, y, below.data, most, rest, l->count};
    if (!below.data)
        return AD_NO_MEMORY;
    if (l->step == 1 && l->n)
        s.share = l->n < TOGETHER ? TOGETHER / l->n : 1;
    pool_run(f->context, (l->count + s.share - 1) / s.share, softmax_share, &s);
    return AD_OK;
}

static void log_softmax_lines(const lines *l, const array *x, const array *y)
{
    for (int64_t i = 0; i < l->count; i++) {
        const int64_t at = line_at(l, i);
        if (y->dtype == AD_F64)
            log_softmax_f64(l->n, l->step, (double *)x->data + at, (double *)y->data + at);
        else
            log_softmax_f32(l->n, l->step, (float *)x->data + at, (float *)y->data + at);
    }
}

static ad_status line_value(frame *f, block *b, bool logarithm)
{
    array a = block_arg(f, b, 0), y = b->out;
    ad_status status = AD_OK;
    if (y.size == 0)
        return AD_OK;
    arena_mark mark = arena_here(f->scratch);
    array x = scratch_contiguous(f, &a, y.dtype);
    if (!x.data)
        return AD_NO_MEMORY;
    const lines l = lines_of(&y, axis_of(b));
    if (logarithm)
        log_softmax_lines(&l, &x, &y);
    else
        status = softmax_lines(f, &l, &x, y.data, NULL, NULL);
    arena_rewind(f->scratch, mark);
    return status;
}

static ad_status line_adjoint(frame *f, block *b, const array *g, bool logarithm)
{
    bool fresh, magnitude = f->magnitude;
    array slot = adjoint_slot(f, b, 0, &fresh), y = b->out;
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    lines l = lines_of(&y, axis_of(b));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t at = line_at(&l, i);
        if (y.dtype == AD_F64)
            (logarithm ? log_softmax_adjoint_f64 : softmax_adjoint_f64)(
                l.n, l.step, (double *)y.data + at, (double *)g->data + at, magnitude, !fresh,
                (double *)slot.data + at);
        else
            (logarithm ? log_softmax_adjoint_f32 : softmax_adjoint_f32)(
                l.n, l.step, (float *)y.data + at, (float *)g->data + at, magnitude, !fresh,
                (float *)slot.data + at);
    }
    return AD_OK;
}

/* The mean of dx under the softmax of x, and e^x's sum as most + rest: what both tangents are made
 * of. */
static double expected(lines l, const double *x, const double *dx, double *most, double *sum)
{
    double weighted = 0;
    *most = largest_f64(l.n, l.step, x);
    *sum = 0;
    for (int64_t i = 0; i < l.n; i++) {
        double weight = exp(below_f64(x[i * l.step], *most));
        *sum += weight;
        weighted += weight * dx[i * l.step];
    }
    return weighted / *sum;
}

static ad_status line_tangent(block *b, const array *a, const array *const *da, array *dy,
                              bool logarithm)
{
    if (!da[0] || dy->size == 0) {
        array_fill(dy, 0);
        return AD_OK;
    }
    lines l = lines_of(dy, axis_of(b));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t at = line_at(&l, i);
        const double *x = (double *)a[0].data + at, *dx = (double *)da[0]->data + at;
        double *out = (double *)dy->data + at, most, sum, mean = expected(l, x, dx, &most, &sum);
        for (int64_t j = 0; j < l.n; j++) {
            double weight = logarithm ? 1 : exp(below_f64(x[j * l.step], most)) / sum;
            out[j * l.step] = weight * (dx[j * l.step] - mean);
        }
    }
    return AD_OK;
}

static ad_status softmax_value(frame *f, block *b) { return line_value(f, b, false); }

static ad_status softmax_adjoint(frame *f, block *b, const array *g)
{
    return line_adjoint(f, b, g, false);
}

static ad_status softmax_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)f, (void)y;
    return line_tangent(b, a, da, dy, false);
}

static void softmax_record(rule *r)
{
    int axis = *(const int *)r->attr;
    ad_var part = ad_mulz(r->g, r->y);
    r->da[0] = ad_sub(part, ad_mulz(ad_sum_axes(part, 1, &axis, true), r->y));
}

static ad_status log_softmax_value(frame *f, block *b) { return line_value(f, b, true); }

static ad_status log_softmax_adjoint(frame *f, block *b, const array *g)
{
    return line_adjoint(f, b, g, true);
}

static ad_status log_softmax_tangent(frame *f, block *b, const array *a, const array *y,
                                     const array *const *da, array *dy)
{
    (void)f, (void)y;
    return line_tangent(b, a, da, dy, true);
}

static void log_softmax_record(rule *r)
{
    int axis = *(const int *)r->attr;
    r->da[0] = ad_sub(r->g, ad_mulz(ad_sum_axes(r->g, 1, &axis, true), ad_exp(r->y)));
}

static const block_op softmax_op = {.name = "softmax",
                                    .value = softmax_value,
                                    .adjoint = softmax_adjoint,
                                    .tangent = softmax_tangent,
                                    .record = softmax_record};
static const block_op log_softmax_op = {.name = "log_softmax",
                                        .value = log_softmax_value,
                                        .adjoint = log_softmax_adjoint,
                                        .tangent = log_softmax_tangent,
                                        .record = log_softmax_record};

static ad_var record_line(const block_op *op, ad_var a, int axis)
{
    call c;
    if (!call_begin(&c, op->name, NULL, 1, &a) || !call_float(&c, 0) ||
        (axis = call_axis(&c, axis, c.in[0].rank)) < 0)
        return call_poison(&c);
    return call_end(&c, op, -1, c.in[0].dtype, c.in[0].rank, c.in[0].shape,
                    (call_attr){&axis, sizeof axis, 0});
}

ad_var ad_softmax(ad_var a, int axis) { return record_line(&softmax_op, a, axis); }

ad_var ad_log_softmax(ad_var a, int axis) { return record_line(&log_softmax_op, a, axis); }

/* ---- softmax_cross_entropy ---- */

/* What value() leaves for adjoint(): the logarithms of the sums, the largest logits, the
 * probabilities. */
typedef struct entropy_saved {
    double *rest, *most;
    void *p;
} entropy_saved;

static entropy_saved saved_of(const block *b, int64_t rows)
{
    double *first = b->saved; /* NULL where there are no rows */
    return first ? (entropy_saved){first, first + rows, first + 2 * rows} : (entropy_saved){0};
}

/* The class of each row, in range or an error in the note. */
static ad_status check_classes(frame *f, const array *classes, int64_t n)
{
    for (int64_t i = 0; i < classes->size; i++) {
        double class = array_get(classes, i * classes->stride[0]);
        if (class >= 0 && class < (double)n)
            continue;
        snprintf(f->note, sizeof f->note, "class %.0f in row %lld is not in 0..%lld", class,
                 (long long)i, (long long)n - 1);
        return AD_BAD_INDEX;
    }
    return AD_OK;
}

/* The arguments, contiguous: logits (N,C); targets as they are where they are classes (N), else
 * (N,C) too. */
typedef struct entropy_args {
    array z, y;
    bool classes, ok;
    int64_t rows, n;
} entropy_args;

static entropy_args entropy_args_of(frame *f, const block *b)
{
    array z = block_arg(f, b, 0), y = block_arg(f, b, 1);
    entropy_args e = {.classes = y.dtype == AD_I32, .rows = z.shape[0], .n = z.shape[1]};
    e.z = scratch_contiguous(f, &z, z.dtype);
    e.y = e.classes ? y : scratch_contiguous(f, &y, y.dtype);
    e.ok = e.rows == 0 || (e.z.data && e.y.data && b->saved);
    return e;
}

static int64_t class_of(const entropy_args *e, int64_t row)
{
    return e->classes ? (int64_t)array_get(&e->y, row * e->y.stride[0]) : 0;
}

/* row i of a (N,C) array of T, or NULL */
#define ROW(T, a)  ((T *)(a).data + i * e.n)
#define TARGETS(T) (e.classes ? NULL : ROW(T, e.y))

static ad_status entropy_value(frame *f, block *b)
{
    arena_mark mark = arena_here(f->scratch);
    entropy_args e = entropy_args_of(f, b);
    ad_status status = !e.ok ? AD_NO_MEMORY : e.classes ? check_classes(f, &e.y, e.n) : AD_OK;
    entropy_saved s = saved_of(b, e.rows);
    array losses = b->out;
    const lines l = lines_of(&e.z, 1);
    if (!status && e.z.size && s.p)
        status = softmax_lines(f, &l, &e.z, s.p, s.most, s.rest);
    for (int64_t i = 0; s.p && i < e.rows && !status; i++) {
        double loss;
        if (e.z.dtype == AD_F64)
            loss = entropy_f64(e.n, ROW(double, e.z), s.most[i], s.rest[i], TARGETS(double),
                               class_of(&e, i));
        else
            loss = entropy_f32(e.n, ROW(float, e.z), (float)s.most[i], s.rest[i], TARGETS(float),
                               class_of(&e, i));
        array_put(&losses, i, loss);
    }
    arena_rewind(f->scratch, mark);
    return status;
}

static ad_status logits_adjoint(frame *f, block *b, const array *g)
{
    bool fresh;
    array slot = adjoint_slot(f, b, 0, &fresh);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    arena_mark mark = arena_here(f->scratch);
    entropy_args e = entropy_args_of(f, b);
    entropy_saved s = saved_of(b, e.rows);
    array p = {.data = s.p};
    for (int64_t i = 0; i < e.rows && e.ok; i++) {
        double seed = array_get(g, i);
        int64_t class = class_of(&e, i);
        if (slot.dtype == AD_F64)
            logits_adjoint_f64(e.n, ROW(double, p), TARGETS(double), class, seed, f->magnitude,
                               !fresh, ROW(double, slot));
        else
            logits_adjoint_f32(e.n, ROW(float, p), TARGETS(float), class, seed, f->magnitude,
                               !fresh, ROW(float, slot));
    }
    arena_rewind(f->scratch, mark);
    return e.ok ? AD_OK : AD_NO_MEMORY;
}

static ad_status targets_adjoint(frame *f, block *b, const array *g)
{
    bool fresh;
    array slot = adjoint_slot(f, b, 1, &fresh);
    if (slot.size == 0)
        return AD_OK;
    if (!slot.data)
        return AD_NO_MEMORY;
    arena_mark mark = arena_here(f->scratch);
    entropy_args e = entropy_args_of(f, b);
    entropy_saved s = saved_of(b, e.rows);
    for (int64_t i = 0; i < e.rows && e.ok; i++) {
        double seed = array_get(g, i);
        if (slot.dtype == AD_F64)
            targets_adjoint_f64(e.n, ROW(double, e.z), s.most[i], s.rest[i], seed, f->magnitude,
                                !fresh, ROW(double, slot));
        else
            targets_adjoint_f32(e.n, ROW(float, e.z), (float)s.most[i], s.rest[i], seed,
                                f->magnitude, !fresh, ROW(float, slot));
    }
    arena_rewind(f->scratch, mark);
    return e.ok ? AD_OK : AD_NO_MEMORY;
}

static ad_status entropy_adjoint(frame *f, block *b, const array *g)
{
    bool probabilities = block_arg(f, b, 1).dtype != AD_I32;
    ad_status s = block_wants(f, b, 0) ? logits_adjoint(f, b, g) : AD_OK;
    return s == AD_OK && probabilities && block_wants(f, b, 1) ? targets_adjoint(f, b, g) : s;
}
#undef ROW
#undef TARGETS

/* sum y times the mean of dz, less sum y dz, plus sum dy (logsumexp(z) - z) */
static ad_status entropy_tangent(frame *f, block *b, const array *a, const array *y,
                                 const array *const *da, array *dy)
{
    (void)y;
    bool classes = block_arg(f, b, 1).dtype == AD_I32;
    int64_t n = a[0].shape[1];
    for (int64_t i = 0; i < dy->size; i++) {
        const double *z = (double *)a[0].data + i * n,
                     *dz = da[0] ? (double *)da[0]->data + i * n : z;
        double most, sum, mean = expected((lines){n, 1, 1}, z, dz, &most, &sum), d = 0;
        for (int64_t j = 0; j < n; j++) {
            double target = array_get(&a[1], classes ? i : i * n + j);
            if (classes)
                target = target == (double)j;
            if (da[0] && target != 0)
                d += target * (mean - dz[j]);
            if (da[1] && !classes && ((double *)da[1]->data)[i * n + j] != 0)
                d += ((double *)da[1]->data)[i * n + j] * (log(sum) - below_f64(z[j], most));
        }
        array_put(dy, i, d);
    }
    return AD_OK;
}

static void entropy_record(rule *r)
{
    array z = block_arg(&r->tape->frame, r->b, 0), y = block_arg(&r->tape->frame, r->b, 1);
    int64_t column[2] = {z.shape[0], 1};
    ad_dtype dtype = r->b->out.dtype;
    ad_var g = ad_reshape(r->g, 2, column);
    if (r->wants[0] && y.dtype == AD_I32) {
        ad_var own =
            ad_scatter_add(rule_filled(r, dtype, 0, z.shape[0], z.shape[1]), 1,
                           ad_reshape(r->a[1], 2, column), rule_filled(r, dtype, 1, z.shape[0], 1));
        r->da[0] = ad_mulz(g, ad_sub(ad_softmax(r->a[0], 1), own));
    } else if (r->wants[0]) {
        ad_var sum = ad_sum_axes(r->a[1], 1, (int[]){1}, true);
        r->da[0] = ad_mulz(g, ad_sub(ad_mul(ad_softmax(r->a[0], 1), sum), r->a[1]));
    }
    if (r->wants[1] && y.dtype != AD_I32)
        r->da[1] = ad_neg(ad_mulz(g, ad_log_softmax(r->a[0], 1)));
}

static const block_op entropy_op = {.name = "softmax_cross_entropy",
                                    .value = entropy_value,
                                    .adjoint = entropy_adjoint,
                                    .tangent = entropy_tangent,
                                    .record = entropy_record};

static bool check_entropy(call *c)
{
    const array *z = &c->in[0], *y = &c->in[1];
    char a[SHAPE_TEXT], t[SHAPE_TEXT];
    shape_text(a, z->rank, z->shape);
    shape_text(t, y->rank, y->shape);
    if (z->rank != 2)
        call_fail(c, AD_BAD_SHAPE, "logits %s: they must be (N,C)", a);
    else if (z->shape[1] == 0 && z->shape[0] > 0)
        call_fail(c, AD_BAD_SHAPE, "logits %s: no classes", a);
    else if (y->dtype == AD_I32 && (y->rank != 1 || y->shape[0] != z->shape[0]))
        call_fail(c, AD_BAD_SHAPE, "logits %s, classes %s: one class for each row", a, t);
    else if (y->dtype != AD_I32 && !same_shape(z, y))
        call_fail(c, AD_BAD_SHAPE, "logits %s, probabilities %s: shapes differ", a, t);
    else if (y->dtype != AD_I32 && y->dtype != z->dtype)
        call_fail(c, AD_BAD_DTYPE, "logits are %s, probabilities %s: ad_cast one of them",
                  ad_dtype_name(z->dtype), ad_dtype_name(y->dtype));
    return c->ok;
}

ad_var ad_softmax_cross_entropy(ad_var logits, ad_var targets)
{
    call c;
    if (!call_begin(&c, "softmax_cross_entropy", NULL, 2, (ad_var[]){logits, targets}) ||
        !call_float(&c, 0) || !check_entropy(&c))
        return call_poison(&c);
    const array *z = &c.in[0];
    size_t saved =
        2 * (size_t)z->shape[0] * sizeof(double) + (size_t)z->size * ad_dtype_size(z->dtype);
    return call_end(&c, &entropy_op, -1, z->dtype, 1, z->shape, (call_attr){NULL, 0, saved});
}

/* ---- maxout ---- */

ad_var ad_maxout(ad_var a, int axis, int pieces)
{
    call c;
    if (!call_begin(&c, "maxout", NULL, 1, &a) || !call_float(&c, 0) ||
        (axis = call_axis(&c, axis, c.in[0].rank)) < 0)
        return call_poison(&c);
    const array *x = &c.in[0];
    if (pieces < 1 || x->shape[axis] % pieces != 0)
        return call_fail(&c, AD_BAD_ARGUMENT, "an axis of %lld cannot be cut into pieces of %d",
                         (long long)x->shape[axis], pieces);
    if (x->rank == AD_MAX_RANK)
        return call_fail(&c, AD_BAD_SHAPE, "%d axes, of %d at most", x->rank, AD_MAX_RANK - 1);
    int64_t shape[AD_MAX_RANK];
    int rank = 0, inner = axis + 1;
    for (int i = 0; i < x->rank; i++) {
        shape[rank++] = i == axis ? x->shape[i] / pieces : x->shape[i];
        if (i == axis)
            shape[rank++] = pieces;
    }
    return ad_amax_axes(ad_reshape(a, rank, shape), 1, &inner, false);
}
