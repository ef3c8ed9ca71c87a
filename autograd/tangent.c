/* tangent.c - the forward sweep over duals: tangents of every node, in one or several directions
 *
 * Tangents are doubles whatever the dtype of the values, so that they can witness gradients in
 * float. A tensor without tangent (a constant, or one that the inputs do not reach) has none
 * stored: zero. */
#define AD_PLAIN
#include "tangent.h"
#include "algebra.h"
#include "elementwise.h"
#include "leaf.h"
#include <string.h>

ad_status elementwise_tangent(frame *f, block *b, const array *a, const array *y,
                              const array *const *da, array *dy)
{
    (void)f;
    array in[3];
    for (uint32_t k = 0; k < b->n_args; k++)
        in[k] = array_expanded(&a[k], y->rank, y->shape);
    for (int64_t i = 0; i < y->size; i++) {
        double x[3] = {0, 0, 0};
        const double *dx[3] = {NULL, NULL, NULL};
        for (uint32_t k = 0; k < b->n_args; k++) {
            int64_t at = array_offset(&in[k], i);
            x[k] = array_get(&in[k], at);
            if (da[k])
                dx[k] = (const double *)da[k]->data + at; /* contiguous as a[k] is */
        }
        tangent_scalar_1(b->code, x, dx, (double *)dy->data + i);
    }
    return AD_OK;
}

/* tangent of node i in direction w as an array; false: zero */
static bool tangent_of(const frame *f, uint32_t i, double *tangents, int width, int w, array *out)
{
    if (node_op(&f->nodes[i]) == CODE_TENSOR) {
        const block *b = f->nodes[i].u.block;
        if (!b->tangent)
            return false;
        *out = array_of(b->tangent + b->out.size * w, AD_F64, b->out.rank, b->out.shape);
        return true;
    }
    *out = array_scalar(&tangents[(size_t)i * (size_t)width + (size_t)w]);
    return true;
}

static ad_status tangent_block(frame *f, uint32_t i, double *tangents, int width)
{
    block *b = block_at(f->nodes, i);
    bool tensor = node_op(&f->nodes[i]) == CODE_TENSOR;
    if (b->op->is_leaf || !b->op->tangent || b->out.dtype == AD_I32)
        return AD_OK;
    if (b->op->tangents)
        return b->op->tangents(f, b, tangents, width);
    bool any = false;
    for (uint32_t k = 0; k < b->n_args; k++) {
        const block *arg = block_at(f->nodes, b->args[k]);
        any |= !arg || node_op(&f->nodes[b->args[k]]) != CODE_TENSOR || arg->tangent;
    }
    if (!any)
        return AD_OK;
    array y = frame_array(f, i);
    if (tensor && !(b->tangent = arena_zeros(f->scratch,
                                             (size_t)y.size * (size_t)width * sizeof(double) + 8)))
        return AD_NO_MEMORY;
    arena_mark mark = arena_here(f->scratch);
    array *a = arena_take(f->scratch, (size_t)(b->n_args + 1) * 2 * sizeof *a),
          *da = a ? a + b->n_args + 1 : NULL;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the elements are pointers */
    const array **present = arena_take(f->scratch, (size_t)(b->n_args + 1) * sizeof *present);
    ad_status s = a && present ? AD_OK : AD_NO_MEMORY;
    y = s ? y : scratch_contiguous(f, &y, AD_F64);
    for (uint32_t k = 0; !s && k < b->n_args; k++) {
        array v = block_arg(f, b, (int)k);
        a[k] = v.dtype == AD_I32 ? v : scratch_contiguous(f, &v, AD_F64);
        s = a[k].data && y.data ? AD_OK : AD_NO_MEMORY;
    }
    for (int w = 0; !s && w < width; w++) {
        array dy;
        tangent_of(f, i, tangents, width, w, &dy);
        for (uint32_t k = 0; k < b->n_args; k++)
            present[k] = tangent_of(f, b->args[k], tangents, width, w, &da[k]) ? &da[k] : NULL;
        s = b->op->tangent(f, b, a, &y, present, &dy);
    }
    arena_rewind(f->scratch, mark);
    return s;
}

ad_status sweep_tangent(frame *f, uint32_t from, double *tangents, int width)
{
    const size_t w = (size_t)width;
    f->note[0] = 0;
    for (uint32_t i = from; i < f->n; i++) {
        const node *n = &f->nodes[i];
        const unsigned op = node_op(n);
        if (op < AD_OP_COUNT_) {
            uint32_t id[3] = {node_a(n), node_b(n),
                              elementwise_ops[op].info.arity == 3 ? node_a(n - 1) : node_a(n)};
            double x[3];
            const double *dx[3];
            for (int k = 0; k < 3; k++)
                x[k] = f->nodes[id[k]].u.value, dx[k] = tangents + id[k] * w;
            (width == 1 ? tangent_scalar_1 : tangent_scalar_8)((int)op, x, dx, tangents + i * w);
        } else if (op == CODE_TENSOR || op == CODE_SCALAR_BLOCK) {
            ad_status s = tangent_block(f, i, tangents, width);
            if (s) {
                f->failed_node = i;
                return s;
            }
        }
    }
    return AD_OK;
}

/* ---- from a tape ---- */

static void forget_tangents(frame *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (node_op(&f->nodes[i]) == CODE_TENSOR)
            ((block *)f->nodes[i].u.block)->tangent = NULL;
}

ad_status tangents_seed(frame *f, uint32_t i, double *tangents, int width, int w,
                        const double *seed)
{
    if (node_op(&f->nodes[i]) != CODE_TENSOR) {
        tangents[(size_t)i * (size_t)width + (size_t)w] = *seed;
        return AD_OK;
    }
    block *b = f->nodes[i].u.block;
    if (!b->tangent && !(b->tangent = arena_zeros(
                             f->scratch, (size_t)b->out.size * (size_t)width * sizeof(double) + 8)))
        return AD_NO_MEMORY;
    memcpy(b->tangent + b->out.size * w, seed, (size_t)b->out.size * sizeof(double));
    return AD_OK;
}

double *tangents_begin(frame *f, int width)
{
    forget_tangents(f);
    return arena_zeros(f->scratch, (size_t)f->n * (size_t)width * sizeof(double) + 8);
}

void tangents_read(const frame *f, uint32_t i, double *tangents, int width, int w, double *out)
{
    array t, v = frame_array(f, i);
    if (tangent_of(f, i, tangents, width, w, &t))
        memcpy(out, t.data, (size_t)v.size * sizeof *out);
    else
        memset(out, 0, (size_t)v.size * sizeof *out);
}

/* up to eight directions, beginning with direction `first` */
static ad_status jvp_sweep(ad_tape *t, int n, const uint32_t *in, const double *const *tangents,
                           int m, const uint32_t *out, double *const *results, int first, int count)
{
    frame *f = &t->frame;
    const int width = count == 1 ? 1 : 8;
    double *all = tangents_begin(f, width);
    ad_status s = all ? AD_OK : AD_NO_MEMORY;
    uint32_t from = f->n;
    for (int k = 0; !s && k < n; k++) {
        int64_t size = frame_array(f, in[k]).size;
        for (int w = 0; !s && w < count; w++)
            s = tangents_seed(f, in[k], all, width, w, tangents[k] + (first + w) * size);
        from = in[k] < from ? in[k] : from;
    }
    /* an input may be any node: its tangent is given, not computed, so the sweep runs between them
     */
    if (!s)
        s = sweep_tangent_given(f, from, all, width, n, in);
    for (int k = 0; !s && k < m; k++) {
        int64_t size = frame_array(f, out[k]).size;
        for (int w = 0; w < count; w++)
            tangents_read(f, out[k], all, width, w, results[k] + (first + w) * size);
    }
    return s;
}

static int by_node(const uint32_t *ids, uint32_t n, uint32_t at)
{
    int next = -1;
    for (uint32_t k = 0; k < n; k++)
        if (ids[k] >= at && (next < 0 || ids[k] < ids[next]))
            next = (int)k;
    return next;
}

ad_status sweep_tangent_given(frame *f, uint32_t from, double *tangents, int width, int n,
                              const uint32_t *given)
{
    const uint32_t all = f->n;
    ad_status s = AD_OK;
    bool leaves = true;
    for (int k = 0; k < n; k++) {
        const block *b = block_at(f->nodes, given[k]);
        leaves &= node_op(&f->nodes[given[k]]) == CODE_INPUT || (b && b->op->is_leaf);
    }
    if (leaves)
        return sweep_tangent(f, from, tangents, width);
    while (!s && from < all) {
        int k = by_node(given, (uint32_t)n, from);
        f->n = k < 0 ? all : given[k];
        s = sweep_tangent(f, from, tangents, width);
        from = k < 0 ? all : given[k] + 1;
    }
    f->n = all;
    return s;
}

static bool handles(ad_tape *t, int n, const ad_var *v, uint32_t *ids, const char *what)
{
    for (int k = 0; k < n; k++)
        if ((ids[k] = tape_node(t, v[k], what)) == NO_NODE)
            return false;
    return true;
}

ad_status ad_jvp(int n, const ad_var *inputs, const double *const *tangents, int m,
                 const ad_var *outputs, double *const *results, int directions)
{
    if (n < 0 || m < 0 || directions < 0 || (n && (!inputs || !tangents)) ||
        (m && (!outputs || !results)))
        return AD_BAD_ARGUMENT;
    ad_tape *t = tape_of(n, inputs);
    if (!t)
        t = tape_of(m, outputs);
    if (!t) { /* constants only: nothing moves */
        for (int k = 0; k < m; k++) {
            if (!outputs[k].tape)
                return AD_NULL;
            memset(results[k], 0, (size_t)directions * sizeof *results[k]);
        }
        return AD_OK;
    }
    if (t->status || tape_catch_up(t))
        return t->status;
    frame *f = &t->frame;
    arena_mark mark = arena_here(&t->scratch);
    uint32_t *in = arena_take(&t->scratch, ((size_t)n + (size_t)m + 1) * sizeof *in),
             *out = in ? in + n : NULL;
    if (!in)
        tape_fail(t, AD_NO_MEMORY, NULL, "jvp: out of memory");
    if (in && handles(t, n, inputs, in, "jvp") && handles(t, m, outputs, out, "jvp")) {
        f->n = t->head.n;
        ad_status s = frame_check_borrowed(f);
        for (int w = 0; !s && w < directions; w += 8) {
            arena_mark sweep_mark = arena_here(&t->scratch);
            s = jvp_sweep(t, n, in, tangents, m, out, results, w,
                          directions - w < 8 ? directions - w : 8);
            arena_rewind(&t->scratch, sweep_mark);
        }
        frame_report(t, s, "jvp");
    }
    arena_rewind(&t->scratch, mark);
    return t->status;
}
