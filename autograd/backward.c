/* backward.c - the reverse sweep: adjoints of every node, from the last to the first
 *
 * One loop over nodes, never recursion: a node comes after its operands, so when it is reached all
 * of its adjoint has arrived. Adjoints of intermediate scalars are set back to zero as they are
 * read: the next sweep starts clean without clearing anything, and the cost of a sweep is that of
 * the nodes it visits. A zero adjoint is not propagated at all; so an infinite partial on an
 * untaken branch cannot make a NaN. */
#define AD_PLAIN
#include "algebra.h"
#include "leaf.h"
#include "special.h"
#include "spill.h"
#include <string.h>

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

ad_status frame_seed(frame *f, uint32_t i, const double *seed, double scale)
{
    if (node_op(&f->nodes[i]) != CODE_TENSOR) {
        f->adjoints[i] += seed ? *seed : scale;
        return AD_OK;
    }
    bool fresh;
    array a = frame_slot(f, i, &fresh), from;
    if (!a.data)
        return AD_NO_MEMORY;
    if (fresh)
        memset(a.data, 0, array_bytes(&a));
    from = array_of((void *)(uintptr_t)(seed ? seed : &scale), AD_F64, a.rank, a.shape);
    if (!seed)
        memset(from.stride, 0, sizeof from.stride);
    array_add(&a, &from);
    return AD_OK;
}

static void zero(double *a, uint32_t from, uint32_t to)
{
    if (to - from > 8) {
        memset(a + from, 0, (to - from) * sizeof *a);
        return;
    }
    for (volatile double *few = a; from < to; from++) /* no call for two inputs */
        few[from] = 0;
}

/* A new pass: what inputs got in the last one is forgotten, or kept to be added to. */
static inline void begin_pass(frame *f, bool accumulate)
{
    arena_reset(f->scratch);
    f->pass++;
    if (f->stale_to) {
        zero(f->adjoints, f->stale_from, f->stale_to);
        f->stale_to = 0;
    }
    if (!accumulate) {
        zero(f->adjoints, 0, f->dirty);
        f->dirty = 0;
    } else {
        for (uint32_t i = f->last_leaf; i != NO_NODE;) {
            block *b = f->nodes[i].u.block;
            if (b->adj.data && b->adj_pass == f->pass - 1)
                b->adj_pass = f->pass;
            i = b->next_leaf;
        }
    }
}

void frame_begin_pass(frame *f, bool accumulate) { begin_pass(f, accumulate); }

void frame_clear_adjoints(frame *f)
{
    if (f->room)
        memset(f->adjoints, 0, f->room * sizeof(double));
    f->dirty = f->stale_to = 0;
}

/* After a sweep from `top`: the inputs hold gradients, and all nodes hold something where the sweep
 * kept them or stopped half-way. */
static void frame_end_pass(frame *f, uint32_t top, bool all)
{
    uint32_t below = all                        ? top + 1
                     : f->last_input == NO_NODE ? 0
                     : f->last_input < top      ? f->last_input + 1
                                                : top + 1;
    f->dirty = below > f->dirty ? below : f->dirty;
}

/* ---- the sweep ---- */

ad_status block_adjoint(frame *f, block *b, const array *g)
{
#ifdef AD_MUTATION
    array flipped = scratch_array(f, g->dtype, g->rank, g->shape);
    if (ad_mutation.block && !strcmp(ad_mutation.block, b->name) && flipped.data) {
        for (int64_t k = 0; k < g->size; k++)
            array_put(&flipped, k, -array_get(g, array_offset(g, k)));
        return b->op->adjoint(f, b, &flipped);
    }
#endif
    return b->op->adjoint(f, b, g);
}

static ad_status sweep_block(frame *f, uint32_t i, double scalar_adjoint)
{
    block *b = block_at(f->nodes, i);
    bool tensor = node_op(&f->nodes[i]) == CODE_TENSOR;
    if (!b->needs_grad || b->op->is_leaf || (tensor && b->adj_pass != f->pass))
        return AD_OK;
    array g = tensor ? b->adj : array_scalar(&scalar_adjoint);
    return block_adjoint(f, b, &g);
}

/* nodes that are no elementwise operation on scalars */
static ad_status sweep_special(frame *f, uint32_t i, bool keep)
{
    const unsigned code = node_op(&f->nodes[i]);
    const double g = f->adjoints[i];
    ad_status s = AD_OK;
    if (code == CODE_CONSTANT || (code == CODE_SCALAR_BLOCK && !keep))
        f->adjoints[i] = 0;
    if (code == CODE_TENSOR || (code == CODE_SCALAR_BLOCK && g != 0))
        s = sweep_block(f, i, g);
    if (s)
        f->failed_node = i;
    return s;
}

#if defined(__GNUC__)
#define NOT_ZERO(g)                                                                                \
    if ((g) == 0)                                                                                  \
    __builtin_unreachable()
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* addresses of labels */
#else
#define NOT_ZERO(g) (void)0
#endif

/* by its bits: no NaN to be thought of */
static inline bool is_zero(double g)
{
    uint64_t bits;
    memcpy(&bits, &g, sizeof bits);
    return bits << 1 == 0;
}

#define SWEEP     sweep
#define KEEP      false
#define MAGNITUDE false
#include "sweep.inc"

#define SWEEP     sweep_keeping
#define KEEP      true
#define MAGNITUDE false
#include "sweep.inc"

#define SWEEP     sweep_magnitudes
#define KEEP      true
#define MAGNITUDE true
#include "sweep.inc"

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static ad_status sweep_plain(frame *f, uint32_t top, uint32_t bottom)
{
    ad_status s = sweep(f, top, bottom);
    frame_end_pass(f, top, s != AD_OK);
    return s;
}

/* The same from a tape on disk: nodes are read ahead, and let go when they have been passed, and so
 * are adjoints, which are all zero then where there are no inputs. */
static ad_status sweep_tape(ad_tape *t, uint32_t top, uint32_t bottom)
{
    frame *f = &t->frame;
    const struct spill *file = t->node_pages.spill;
    if (!file)
        return sweep_plain(f, top, bottom);
    const uint32_t piece = (uint32_t)(spill_piece(file) / sizeof(node));
    const char *base = t->adjoint_pages.base;
    uint32_t last = top, first, input = f->last_input;
    ad_status s = AD_OK;
    while (input != NO_NODE && input > top)
        input = node_a(&f->nodes[input]);
    do {
        first = last / piece * piece > bottom ? last / piece * piece : bottom;
        const uint32_t ahead = first > 2 * piece ? first - 2 * piece : 0;
        spill_fetch(file, ahead * sizeof(node), first * sizeof(node));
        s = sweep(f, last, first);
        bool inputs = false;
        for (; input != NO_NODE && input >= first; inputs = true)
            input = node_a(&f->nodes[input]);
        const size_t at = (size_t)((const char *)(f->adjoints + first) - base);
        if (!s && !inputs)
            pages_discard(t->context, &t->adjoint_pages, at,
                          at + (size_t)(last - first + 1) * sizeof(double));
        spill_release(file, first * sizeof(node), ((size_t)last + 1) * sizeof(node));
        last = first - 1;
    } while (!s && first > bottom);
    frame_end_pass(f, top, s != AD_OK);
    return s;
}

/* Before a pass that begins anew, without touching what has no memory. */
static void forget_adjoints(ad_tape *t)
{
    frame *f = &t->frame;
    if (t->node_pages.spill &&
        pages_discard(t->context, &t->adjoint_pages, 0, t->adjoint_pages.committed))
        f->dirty = f->stale_to = 0;
}

ad_status sweep_backward(frame *f, uint32_t top, bool keep)
{
    f->note[0] = 0;
    if (!f->magnitude && !keep)
        return sweep_plain(f, top, 0);
    ad_status s = f->magnitude ? sweep_magnitudes(f, top, 0) : sweep_keeping(f, top, 0);
    frame_end_pass(f, top, true);
    return s;
}

/* ---- from a tape ---- */

ad_status ad_retain(ad_var a)
{
    uint32_t i;
    ad_status s = var_check(a, &i);
    if (s || i == NO_NODE)
        return s;
    ad_tape *t = a.tape;
    uint32_t *all;
    if (is_retained(t, i))
        return AD_OK;
    if (!pages_grow(t->context, &t->retain_pages, (t->n_retained + 1) * sizeof *all,
                    (size_t)AD_MAX_NODES * sizeof *all)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "retain: out of memory");
        return t->status;
    }
    all = t->retain_pages.base;
    uint32_t k = t->n_retained++;
    for (; k > 0 && all[k - 1] > i; k--) /* in order of nodes, for the sweep */
        all[k] = all[k - 1];
    all[k] = i;
    block *b = block_at(t->head.nodes, i);
    if (b)
        b->retained = true;
    return AD_OK;
}

/* The sweep runs from retained node to retained node, whose adjoints are set aside before they are
 * read. */
static ad_status sweep_retaining(ad_tape *t, uint32_t top)
{
    frame *f = &t->frame;
    const uint32_t *all = t->retain_pages.base;
    double *kept = arena_take(&t->scratch, (t->n_retained + 1) * sizeof *kept);
    ad_status s = kept ? AD_OK : AD_NO_MEMORY;
    uint32_t k = t->n_retained;
    while (k && all[k - 1] > top)
        k--;
    const uint32_t n = k;
    for (; !s && k > 0; k--) { /* nodes above all[k-1], then that one */
        uint32_t stop = all[k - 1];
        s = sweep_tape(t, top, stop + 1);
        kept[k - 1] = f->adjoints[stop];
        top = stop;
    }
    if (!s)
        s = sweep_tape(t, top, 0);
    for (uint32_t j = 0; !s && j < n; j++)
        f->adjoints[all[j]] = kept[j];
    if (n)
        frame_end_pass(f, all[n - 1], true);
    return s;
}

/* while non-finite numbers are errors: the gradients of inputs and parameters */
static void check_gradients(ad_tape *t)
{
    frame *f = &t->frame;
    for (uint32_t i = f->last_input; i != NO_NODE; i = node_a(&f->nodes[i]))
        if (!isfinite(f->adjoints[i]))
            tape_fail(t, AD_NOT_FINITE, tape_site(t, i),
                      "backward: the gradient of input node %u is %g", i, for_text(f->adjoints[i]));
    for (uint32_t i = f->last_leaf; i != NO_NODE; i = ((block *)f->nodes[i].u.block)->next_leaf) {
        const block *b = f->nodes[i].u.block;
        int64_t bad = b->adj_pass == f->pass ? array_not_finite(&b->adj) : -1;
        if (bad >= 0)
            tape_fail(t, AD_NOT_FINITE, tape_site(t, i),
                      "backward: element %lld of the gradient of node %u %s is %g", (long long)bad,
                      i, b->param ? ad_param_name(b->param) : "",
                      for_text(array_get(&b->adj, bad)));
    }
}

static ad_status backward(ad_tape *t, int n, const ad_var *y, const double *const *seeds, bool keep,
                          bool accumulate)
{
    frame *f = &t->frame;
    uint32_t top = 0;
    if (!tape_adjoints(t))
        return t->status;
    if (accumulate && (t->kept || t->n_retained)) { /* else they all go */
        const uint32_t *all = t->retain_pages.base;
        if (t->kept)
            for (uint32_t i = 0; i < t->swept_top; i++)
                if (node_op(&f->nodes[i]) != CODE_INPUT)
                    f->adjoints[i] = 0;
        for (uint32_t k = 0; k < t->n_retained; k++)
            f->adjoints[all[k]] = 0;
    }
    t->kept = false;
    if (!accumulate)
        forget_adjoints(t);
    f->n = t->head.n;
    f->last_input = t->head.last_input;
    if (f->last_leaf != NO_NODE) {
        frame_report(t, frame_check_borrowed(f), "backward");
        if (t->status)
            return t->status;
    }
    frame_begin_pass(f, accumulate || !t->head.swept);
    for (int k = 0; k < n; k++) {
        if (is_constant(y[k]))
            continue;
        uint32_t i = y[k].u.node.id & ~AD_TENSOR_BIT_;
        if (frame_seed(f, i, seeds ? seeds[k] : NULL, 1)) {
            tape_fail(t, AD_NO_MEMORY, NULL, "backward: out of memory");
            return t->status;
        }
        top = i > top ? i : top;
    }
    ad_status s = keep            ? sweep_backward(f, top, true)
                  : t->n_retained ? sweep_retaining(t, top)
                                  : sweep_tape(t, top, 0);
    t->kept = keep || s;
    t->head.swept = t->head.n;
    t->swept_top = top + 1;
    if (s)
        frame_report(t, s, "backward");
    else if (t->context->check_finite)
        check_gradients(t);
    return t->status;
}

/* any_shape: outputs need not be scalars */
static ad_status backward_checked(int n, const ad_var *y, const double *const *seeds,
                                  bool any_shape, bool keep, bool accumulate)
{
    if (n < 0 || (n && !y))
        return AD_NULL;
    ad_tape *t = tape_of(n, y);
    if (!t) {
        for (int k = 0; k < n; k++)
            if (!y[k].tape)
                return AD_NULL;
        return AD_OK; /* of constants: nothing depends on anything */
    }
    if (t->status)
        return t->status;
    for (int k = 0; k < n; k++)
        if (!is_constant(y[k])) {
            uint32_t i = tape_node(t, y[k], "backward");
            if (i == NO_NODE)
                return t->status;
            if (node_op(&t->head.nodes[i]) != CODE_TENSOR)
                continue;
            array v = frame_array(&t->frame, i);
            if (v.dtype == AD_I32) {
                tape_fail(t, AD_BAD_DTYPE, NULL, "backward: from an int32 tensor");
                return t->status;
            }
            if (!any_shape && v.size != 1) {
                char text[SHAPE_TEXT];
                tape_fail(t, AD_BAD_SHAPE, NULL,
                          "backward: from shape %s: reduce it to a scalar, or give seeds to ad_vjp",
                          shape_text(text, v.rank, v.shape));
                return t->status;
            }
        }
    if (tape_catch_up(t))
        return t->status;
    return backward(t, n, y, seeds, keep, accumulate);
}

/* Scalars only, nothing kept, borrowed, watched or on disk: straight to the sweep. A tape's limit
 * is zero where there is anything to report, and so is that of constants. */
ad_status ad_backward(ad_var y)
{
    ad_tape *t = y.tape;
    if (!t || !t->head.limit || t->head.next - y.u.bits - 1 >= t->head.n || t->kept ||
        t->n_retained || t->frame.last_leaf != NO_NODE || t->node_pages.spill)
        return backward_checked(1, &y, NULL, false, false, false);
    frame *f = &t->frame;
    const uint32_t i = y.u.node.id;
    if (t->head.n > f->room && !tape_adjoints(t))
        return t->status;
    f->n = t->head.n;
    f->last_input = t->head.last_input;
    begin_pass(f, !t->head.swept);
    f->adjoints[i] += 1;
    t->head.swept = t->head.n;
    t->swept_top = i + 1;
    ad_status s = sweep_plain(f, i, 0);
    if (s) {
        t->kept = true;
        frame_report(t, s, "backward");
    }
    return s;
}

ad_status ad_backward_add(ad_var y) { return backward_checked(1, &y, NULL, false, false, true); }

ad_status ad_backward_keep(ad_var y) { return backward_checked(1, &y, NULL, false, true, false); }

ad_status ad_vjp(int n, const ad_var *outputs, const double *const *seeds)
{
    return backward_checked(n, outputs, seeds, true, false, false);
}
