/* blame.c - finds the operation at fault when a gradient check fails, and the kinks that excuse a
 * failure
 *
 * A gradient is a sum of products of local partials. Where it is wrong, some operation's partial
 * is: each one is asked for by its reverse rule and by its dual, at the values on the tape, and the
 * first that differ is named. */
#define AD_PLAIN
#include "algebra.h"
#include "gradcheck.h"
#include "tangent.h"
#include <float.h>
#include <string.h>

static void name_operation(ad_tape *t, uint32_t i, int k, double got, double want,
                           ad_check_report *r)
{
    const char *site = tape_site(t, i), *scope = tape_scope(t, i);
    snprintf(r->operation, sizeof r->operation, "%s", op_name(&t->frame, i));
    snprintf(r->site, sizeof r->site, "%s", site);
    snprintf(r->scope, sizeof r->scope, "%s", scope);
    r->node = i;
    r->argument = k;
    r->got = got;
    r->want = want;
}

/* size: of the terms that were added up to got */
static bool differ(double got, double want, double size)
{
    if (got == want || (isnan(got) && isnan(want)))
        return false;
    return !(fabs(got - want) <= 64 * DBL_EPSILON * fmax(fabs(want), size) + DBL_MIN) ||
           !isfinite(got);
}

/* an elementwise operation at one point: the partial of argument k both ways */
static bool partials_differ(int op, const double x[3], int *k, double *got, double *want)
{
    const elementwise *e = &elementwise_ops[op];
    double d[3];
    e->partials(1, x, e->value(x), d);
    for (*k = 0; *k < e->info.arity; ++*k) {
        const double one = 1, *dx[3] = {NULL, NULL, NULL};
        dx[*k] = &one;
        tangent_scalar_1(op, x, dx, want);
        *got = d[*k];
        double size = elementwise_magnitude(op, *k, 1, x, e->value(x));
        if (differ(*got, *want, size))
            return true;
    }
    return false;
}

/* or against a difference of its own value */
static bool formula_differs(int op, const double x[3], int *k, double *got, double *want)
{
    const elementwise *e = &elementwise_ops[op];
    double d[3];
    e->partials(1, x, e->value(x), d);
    if (elementwise_distance(op, x) < 1e-2)
        return false;
    for (*k = 0; *k < e->info.arity; ++*k) {
        double h = 1e-4 * fmax(1, fabs(x[*k])), p[3] = {x[0], x[1], x[2]}, at[4];
        for (int j = 0; j < 4; j++) {
            p[*k] = x[*k] + h * (j < 2 ? 1 : .5) * (j & 1 ? -1 : 1);
            at[j] = e->value(p);
        }
        double wide = (at[0] - at[1]) / (2 * h), narrow = (at[2] - at[3]) / h;
        *want = (4 * narrow - wide) / 3;
        *got = d[*k];
        if (e->flows[*k] && fabs(*got - *want) >
                                1e-6 * (fabs(*got) + fabs(*want)) + 10 * fabs(narrow - wide) + 1e-9)
            return true;
    }
    return false;
}

typedef bool (*local_test)(int op, const double x[3], int *k, double *got, double *want);

/* the values of an elementwise node's arguments, of element e where they are tensors */
static void operands(const frame *f, uint32_t i, int64_t e, double x[3])
{
    const block *b = block_at(f->nodes, i);
    const node *n = &f->nodes[i];
    x[0] = x[1] = x[2] = 0;
    if (!b) {
        int arity = elementwise_ops[node_op(n)].info.arity;
        x[0] = f->nodes[node_a(n)].u.value;
        x[1] = arity > 1 ? f->nodes[node_b(n)].u.value : 0;
        x[2] = arity > 2 ? f->nodes[node_a(n - 1)].u.value : 0;
    }
    for (uint32_t k = 0; b && k < b->n_args; k++) {
        array a = block_arg(f, b, (int)k), wide = array_expanded(&a, b->out.rank, b->out.shape);
        x[k] = array_get(&wide, array_offset(&wide, e));
    }
}

static int elementwise_code(const frame *f, uint32_t i)
{
    const block *b = block_at(f->nodes, i);
    unsigned op = node_op(&f->nodes[i]);
    return op < AD_OP_COUNT_ ? (int)op : b ? b->code : -1;
}

static bool test_elementwise(ad_tape *t, uint32_t i, local_test test, ad_check_report *r)
{
    const frame *f = &t->frame;
    int code = elementwise_code(f, i), k;
    int64_t size = frame_array(f, i).size;
    for (int64_t e = 0; e < size; e++) {
        double x[3], got, want;
        operands(f, i, e, x);
        if (!test(code, x, &k, &got, &want))
            continue;
        name_operation(t, i, k, got, want, r);
        memcpy(r->at, x, sizeof x);
        return true;
    }
    return false;
}

/* ---- structured operations: <g, T dx> = <A g, dx> for each argument, at probes ---- */

/* numbers in (-1, 1) that depend on i and k only */
static double probe(int64_t i, int k)
{
    uint64_t z = (uint64_t)i * 0x9E3779B97F4A7C15u + (uint64_t)(k + 1) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)(int64_t)(z ^ z >> 31) / 9.3e18;
}

static ad_status tangent_at(frame *f, block *b, int k, const double *seed, array *dy)
{
    uint32_t n = b->n_args;
    array *a = arena_take(f->scratch, (n + 1) * sizeof *a), y = block_result(f, b);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the elements are pointers */
    const array **da = arena_zeros(f->scratch, (n + 1) * sizeof *da);
    *dy = scratch_array(f, AD_F64, y.rank, y.shape);
    y = scratch_contiguous(f, &y, AD_F64);
    if (!a || !da || !dy->data || !y.data)
        return AD_NO_MEMORY;
    memset(dy->data, 0, array_bytes(dy));
    array d = {0};
    for (uint32_t j = 0; j < n; j++) {
        array v = block_arg(f, b, (int)j);
        a[j] = v.dtype == AD_I32 ? v : scratch_contiguous(f, &v, AD_F64);
        if (b->args[j] == b->args[k]) { /* the same variable twice: both move */
            d = array_of((void *)(uintptr_t)seed, AD_F64, v.rank, v.shape);
            da[j] = &d;
        }
    }
    return b->op->tangent(f, b, a, &y, da, dy);
}

static bool test_block(ad_tape *t, uint32_t i, ad_check_report *r)
{
    frame *f = &t->frame;
    block *b = block_at(f->nodes, i);
    if (!b->needs_grad || b->op->is_leaf || !b->op->adjoint || !b->op->tangent)
        return false;
    array y = frame_array(f, i);
    const double u = y.dtype == AD_F32 ? FLT_EPSILON / 2 : DBL_EPSILON / 2;
    for (int k = 0; k < (int)b->n_args; k++) {
        if (!block_wants(f, b, k))
            continue;
        frame_begin_pass(f, false);
        frame_clear_adjoints(f);
        array x = block_arg(f, b, k), g = scratch_array(f, y.dtype, y.rank, y.shape), dy;
        double *seed = arena_take(f->scratch, (size_t)x.size * sizeof *seed + 8);
        if (!g.data || !seed)
            return false;
        for (int64_t e = 0; e < x.size; e++)
            seed[e] = x.size == 1 ? 1 : probe(e, k); /* 1: what differs is then a partial */
        for (int64_t e = 0; e < y.size; e++)
            array_put(&g, e, y.size == 1 ? 1 : probe(e, 77));
        if (block_adjoint(f, b, &g) || tangent_at(f, b, k, seed, &dy))
            return false;
        bool fresh;
        array da = adjoint_slot(f, b, k, &fresh);
        double reverse = 0, forward = 0, scale = 0;
        for (int64_t e = 0; !fresh && e < x.size; e++) {
            reverse += array_get(&da, e) * seed[e];
            scale += fabs(array_get(&da, e) * seed[e]);
        }
        for (int64_t e = 0; e < y.size; e++) {
            forward += array_get(&g, e) * ((double *)dy.data)[e];
            scale += fabs(array_get(&g, e) * ((double *)dy.data)[e]);
        }
        if (fabs(reverse - forward) <= u * scale * (64 + 8 * sqrt((double)(x.size + y.size))) ||
            (isnan(reverse) && isnan(forward)))
            continue;
        name_operation(t, i, k, reverse, forward, r);
        for (int j = 0; j < 3; j++)
            r->at[j] = j < x.size ? array_get(&x, array_offset(&x, j)) : 0;
        return true;
    }
    return false;
}

bool blame_operation(ad_tape *t, ad_check_report *r)
{
    if (!tape_adjoints(t))
        return false;
    for (uint32_t i = 0; i < t->frame.n; i++)
        if (elementwise_code(&t->frame, i) >= 0
                ? test_elementwise(t, i, partials_differ, r)
                : block_at(t->frame.nodes, i) && test_block(t, i, r))
            return true;
    return false;
}

bool blame_formula(ad_tape *t, ad_check_report *r)
{
    for (uint32_t i = 0; i < t->frame.n; i++)
        if (elementwise_code(&t->frame, i) >= 0 && test_elementwise(t, i, formula_differs, r))
            return true;
    return false;
}

/* ---- kinks ---- */

static double kink_distance(frame *f, uint32_t i)
{
    const node *n = &f->nodes[i];
    block *b = block_at(f->nodes, i);
    if (node_op(n) == CODE_GUARD)
        return fabs(f->nodes[node_a(n)].u.value - f->nodes[node_b(n)].u.value);
    if (node_op(n) < AD_OP_COUNT_) {
        double x[3];
        operands(f, i, 0, x);
        return elementwise_distance((int)node_op(n), x);
    }
    return b && b->op->kink && b->out.dtype != AD_I32 ? b->op->kink(f, b) : (double)INFINITY;
}

int list_kinks(ad_tape *t, double reach, char *text, size_t size)
{
    int count = 0;
    size_t used = 0;
    enum { SHOWN = 4 };
    *text = 0;
    for (uint32_t i = 0; i < t->frame.n; i++) {
        double d = kink_distance(&t->frame, i);
        if (!(d <= reach))
            continue;
        const char *site = tape_site(t, i);
        if (++count <= SHOWN && used + 1 < size)
            used += (size_t)snprintf(
                text + used, size - used, "%s kink: %s (node %u%s%s), distance %.3g%s\n",
                d == 0 ? "at a" : "near a", op_name(&t->frame, i), i, *site ? ", " : "", site, d,
                d == 0 ? ": the documented one-sided convention applies" : "");
    }
    return count;
}
