/* block_chain.c - sums, dot products, norms and polynomials of many scalars, as one node each
 *
 * An operation costs a scalar tape the same whether it multiplies or adds. A neuron of 64 inputs is
 * 128 nodes when it is written out, and one node here: two loops over numbers that lie in a row.
 * Variables that were recorded one after the other, as inputs are, have numbers that follow each
 * other; such a run is read without looking at the single ones. */
#define AD_PLAIN
#include "block_chain.h"
#include "block_reduce.h"
#include "chain_kernels.h"
#include "tape.h"
#include <string.h>

/* ---- lists of operands ---- */

typedef struct list {
    const uint32_t *ids;
    bool run;
} list;

static list list_of(const block *b, int which)
{
    const chain *c = b->attr;
    return (list){b->args + (which ? c->n : 0), c->run[which]};
}

static uint32_t one_of(const block *b)
{
    const chain *c = b->attr;
    return b->args[c->lists * c->n];
}

/* Lists are taken in pieces, whose values come to lie side by side. */
enum { PIECE = 128 };

static list after(list x, int64_t k) { return (list){x.ids + k, x.run}; }

static void values_of(const node *nodes, int64_t n, list x, double *out)
{
    if (x.run)
        chain_values(n, nodes + x.ids[0], out);
    else
        chain_gather(n, nodes, x.ids, out);
}

static double total_of(const double *t)
{
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

static double dot_of_lists(const node *nodes, int64_t n, list x, list y)
{
    double total[8] = {0}, a[PIECE], b[PIECE];
    for (int64_t k = 0; k < n; k += PIECE) {
        const int64_t m = n - k < PIECE ? n - k : PIECE;
        values_of(nodes, m, after(x, k), a);
        values_of(nodes, m, after(y, k), b);
        chain_dot(m, a, b, total);
    }
    return total_of(total);
}

static double affine_of_list(const node *nodes, int64_t n, const double *w, list x)
{
    double total[8] = {0}, a[PIECE];
    for (int64_t k = 0; k < n; k += PIECE) {
        const int64_t m = n - k < PIECE ? n - k : PIECE;
        values_of(nodes, m, after(x, k), a);
        chain_dot(m, w + k, a, total);
    }
    return total_of(total);
}

static double sum_of_list(const node *nodes, int64_t n, list x)
{
    if (n > HALVED) { /* halves: a smaller rounding error */
        const int64_t left = n / 2;
        return sum_of_list(nodes, left, x) +
               sum_of_list(nodes, n - left, (list){x.ids + left, x.run});
    }
    double sum[4] = {0, 0, 0, 0};
    for (int64_t k = 0; k < n; k++)
        sum[k & 3] += nodes[x.ids[k]].u.value;
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void gather(const node *nodes, int64_t n, const uint32_t *ids, double *out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = nodes[ids[k]].u.value;
}

/* ---- adding to adjoints ---- */

/* adjoint of to[k] += g w[k] */
static void send_numbers(frame *f, int64_t n, list to, const double *w, double g)
{
    if (f->magnitude)
        for (int64_t k = 0; k < n; k++)
            f->adjoints[to.ids[k]] += fabs(g * w[k]);
    else if (to.run)
        chain_axpy(n, g, w, f->adjoints + to.ids[0]);
    else
        chain_scatter(n, g, w, to.ids, f->adjoints);
}

/* adjoint of to[k] += g times the value of by[k] */
static void send_products(frame *f, int64_t n, list to, list by, double g)
{
    double value[PIECE];
    for (int64_t k = 0; k < n; k += PIECE) {
        const int64_t m = n - k < PIECE ? n - k : PIECE;
        values_of(f->nodes, m, after(by, k), value);
        send_numbers(f, m, after(to, k), value, g);
    }
}

static void send_one(frame *f, uint32_t to, double d)
{
    f->adjoints[to] += f->magnitude ? fabs(d) : d;
}

/* ---- tangents: of operands gathered in the order of the block's ---- */

typedef double (*chain_tangent)(const chain *c, const double *x, const double *dx);

static double share(double dx, double partial) { return dx == 0 ? 0 : dx * partial; }

/* operands and tangents as two rows, then the operation's own rule */
static ad_status tangent_gathered(frame *f, block *b, double *tangents, int width,
                                  chain_tangent dual)
{
    arena_mark mark = arena_here(f->scratch);
    double *x = arena_take(f->scratch, ((size_t)b->n_args * 2 + 1) * sizeof *x),
           *dx = x ? x + b->n_args : NULL;
    if (!x)
        return AD_NO_MEMORY;
    gather(f->nodes, b->n_args, b->args, x);
    for (int w = 0; w < width; w++) {
        for (uint32_t k = 0; k < b->n_args; k++)
            dx[k] = tangents[(size_t)b->args[k] * (size_t)width + (size_t)w];
        tangents[(size_t)b->node * (size_t)width + (size_t)w] = dual(b->attr, x, dx);
    }
    arena_rewind(f->scratch, mark);
    return AD_OK;
}

/* the same for who asks with arrays: the gradient check, of one operation */
static ad_status tangent_of_arrays(frame *f, block *b, const array *a, const array *const *da,
                                   array *dy, chain_tangent dual)
{
    double *x = arena_take(f->scratch, ((size_t)b->n_args * 2 + 1) * sizeof *x),
           *dx = x ? x + b->n_args : NULL;
    if (!x)
        return AD_NO_MEMORY;
    for (uint32_t k = 0; k < b->n_args; k++) {
        x[k] = array_get(&a[k], 0);
        dx[k] = da[k] ? array_get(da[k], 0) : 0;
    }
    array_put(dy, 0, dual(b->attr, x, dx));
    return AD_OK;
}

#define TANGENT(op)                                                                                \
    static ad_status op##_tangents(frame *f, block *b, double *tangents, int width)                \
    {                                                                                              \
        return tangent_gathered(f, b, tangents, width, op##_rule);                                 \
    }                                                                                              \
    static ad_status op##_tangent(frame *f, block *b, const array *a, const array *y,              \
                                  const array *const *da, array *dy)                               \
    {                                                                                              \
        (void)y;                                                                                   \
        return tangent_of_arrays(f, b, a, da, dy, op##_rule);                                      \
    }
#define OP(op, distance)                                                                           \
    TANGENT(op)                                                                                    \
    const block_op op##_op = {.name = #op,                                                         \
                              .value = op##_value,                                                 \
                              .adjoint = op##_adjoint,                                             \
                              .tangent = op##_tangent,                                             \
                              .tangents = op##_tangents,                                           \
                              .record = op##_record,                                               \
                              .kink = distance};

static void set_value(frame *f, const block *b, double y) { f->nodes[b->node].u.value = y; }

/* ---- sum ---- */

static ad_status sum_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    set_value(f, b, sum_of_list(f->nodes, c->n, list_of(b, 0)));
    return AD_OK;
}

static ad_status sum_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    const double d = *(const double *)g->data;
    const list x = list_of(b, 0);
    if (x.run)
        for (int64_t k = 0; k < c->n; k++)
            f->adjoints[x.ids[0] + k] += d;
    else
        for (int64_t k = 0; k < c->n; k++)
            f->adjoints[x.ids[k]] += d;
    return AD_OK;
}

static double sum_n_rule(const chain *c, const double *x, const double *dx)
{
    (void)x;
    return row_sum(c->n, dx);
}

static void sum_n_record(rule *r)
{
    for (uint32_t k = 0; k < r->n; k++)
        r->da[k] = r->g;
}

OP(sum_n, NULL)

/* ---- dot: two lists, and perhaps a start ---- */

static ad_status dot_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    double y = dot_of_lists(f->nodes, c->n, list_of(b, 0), list_of(b, 1));
    set_value(f, b, y + (c->one ? f->nodes[one_of(b)].u.value : c->start));
    return AD_OK;
}

static ad_status dot_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    const double d = *(const double *)g->data;
    send_products(f, c->n, list_of(b, 0), list_of(b, 1), d);
    send_products(f, c->n, list_of(b, 1), list_of(b, 0), d);
    if (c->one)
        f->adjoints[one_of(b)] += d;
    return AD_OK;
}

static double dot_n_rule(const chain *c, const double *x, const double *dx)
{
    double dy = c->one ? dx[2 * c->n] : 0;
    for (int64_t k = 0; k < c->n; k++)
        dy += share(dx[k], x[c->n + k]) + share(dx[c->n + k], x[k]);
    return dy;
}

static void dot_n_record(rule *r)
{
    const chain *c = r->attr;
    for (int64_t k = 0; k < c->n; k++) {
        if (r->wants[k])
            r->da[k] = ad_mulz(r->g, r->a[c->n + k]);
        if (r->wants[c->n + k])
            r->da[c->n + k] = ad_mulz(r->g, r->a[k]);
    }
    if (c->one)
        r->da[2 * c->n] = r->g;
}

OP(dot_n, NULL)

/* ---- affine: numbers and a list ---- */

static ad_status affine_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    set_value(f, b, c->start + affine_of_list(f->nodes, c->n, chain_numbers(c), list_of(b, 0)));
    return AD_OK;
}

static ad_status affine_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    send_numbers(f, c->n, list_of(b, 0), chain_numbers(c), *(const double *)g->data);
    return AD_OK;
}

static double affine_n_rule(const chain *c, const double *x, const double *dx)
{
    (void)x;
    double dy = 0;
    for (int64_t k = 0; k < c->n; k++)
        dy += share(dx[k], chain_numbers(c)[k]);
    return dy;
}

static void affine_n_record(rule *r)
{
    const chain *c = r->attr;
    for (int64_t k = 0; k < c->n; k++)
        if (r->wants[k])
            r->da[k] = ad_mulz(r->g, ad_constant(chain_numbers(c)[k]));
}

OP(affine_n, NULL)

/* ---- norm ---- */

static ad_status norm_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    double *x = arena_take(f->scratch, (size_t)c->n * sizeof *x);
    if (!x)
        return AD_NO_MEMORY;
    gather(f->nodes, c->n, b->args, x);
    set_value(f, b, row_norm(c->n, x));
    return AD_OK;
}

static ad_status norm_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    const double d = *(const double *)g->data, y = f->nodes[b->node].u.value;
    for (int64_t k = 0; k < c->n && y != 0; k++)
        send_one(f, b->args[k], d * (f->nodes[b->args[k]].u.value / y));
    return AD_OK;
}

static double norm_n_rule(const chain *c, const double *x, const double *dx)
{
    const double y = row_norm(c->n, x);
    double dy = 0;
    for (int64_t k = 0; k < c->n && y != 0; k++)
        dy += share(dx[k], x[k] / y);
    return dy;
}

static void norm_n_record(rule *r)
{
    for (uint32_t k = 0; k < r->n; k++)
        if (r->wants[k])
            r->da[k] = ad_mulz(r->g, ad_divz(r->a[k], r->y));
}

static double norm_n_kink(frame *f, block *b) { return f->nodes[b->node].u.value; }

OP(norm_n, norm_n_kink)

/* ---- polynomials: p[0] + p[1] x + ..., by Horner's rule ---- */

static ad_status polynomial_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    const double x = f->nodes[one_of(b)].u.value;
    double y = 0;
    for (int64_t k = c->n; k-- > 0;)
        y = y * x + f->nodes[b->args[k]].u.value;
    set_value(f, b, y);
    return AD_OK;
}

static ad_status polynomial_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    const double d = *(const double *)g->data, x = f->nodes[one_of(b)].u.value;
    double power = 1;
    for (int64_t k = 0; k < c->n; k++) {
        if (k + 1 < c->n)
            send_one(f, one_of(b),
                     d * ((double)(k + 1) * (f->nodes[b->args[k + 1]].u.value * power)));
        send_one(f, b->args[k], d * power);
        power *= x;
    }
    return AD_OK;
}

/* Horner's rule over duals */
static double polynomial_n_rule(const chain *c, const double *p, const double *dp)
{
    const double x = p[c->n], dx = dp[c->n];
    double y = 0, dy = 0;
    for (int64_t k = c->n; k-- > 0;) {
        dy = dy * x + share(dx, y) + dp[k];
        y = y * x + p[k];
    }
    return dy;
}

static void polynomial_n_record(rule *r)
{
    const chain *c = r->attr;
    const ad_var x = r->a[c->n];
    ad_var slope = ad_constant(0), power = ad_constant(1);
    for (int64_t k = c->n; r->wants[c->n] && k-- > 1;)
        slope = ad_add(ad_mul(slope, x), ad_mul(ad_constant((double)k), r->a[k]));
    for (int64_t k = 0; k < c->n; k++) {
        if (r->wants[k])
            r->da[k] = ad_mulz(r->g, power);
        power = k ? ad_mul(power, x) : x;
    }
    if (r->wants[c->n])
        r->da[c->n] = ad_mulz(r->g, slope);
}

OP(polynomial_n, NULL)

/* the same with numbers for coefficients */

static ad_status horner_n_value(frame *f, block *b)
{
    const chain *c = b->attr;
    const double x = f->nodes[b->args[0]].u.value, *p = chain_numbers(c);
    double y = 0;
    for (int64_t k = c->n; k-- > 0;)
        y = y * x + p[k];
    set_value(f, b, y);
    return AD_OK;
}

static ad_status horner_n_adjoint(frame *f, block *b, const array *g)
{
    const chain *c = b->attr;
    const double x = f->nodes[b->args[0]].u.value, *p = chain_numbers(c);
    double slope = 0, size = 0;
    for (int64_t k = c->n; k-- > 1;) {
        slope = slope * x + (double)k * p[k];
        size = size * fabs(x) + fabs((double)k * p[k]);
    }
    const double d = *(const double *)g->data;
    f->adjoints[b->args[0]] += f->magnitude ? fabs(d) * size : d * slope;
    return AD_OK;
}

static double horner_n_rule(const chain *c, const double *x, const double *dx)
{
    const double *p = chain_numbers(c);
    double y = 0, dy = 0;
    for (int64_t k = c->n; k-- > 0;) {
        dy = dy * *x + y;
        y = y * *x + p[k];
    }
    return share(*dx, dy);
}

static void horner_n_record(rule *r)
{
    const chain *c = r->attr;
    ad_var slope = ad_constant(0);
    for (int64_t k = c->n; k-- > 1;)
        slope = ad_add(ad_mul(slope, r->a[0]), ad_constant((double)k * chain_numbers(c)[k]));
    r->da[0] = ad_mulz(r->g, slope);
}

OP(horner_n, NULL)
#undef OP
#undef TANGENT

/* ---- recording ---- */

typedef struct arguments {
    const char *name;
    int64_t n;
    int lists;
    const ad_var *list[2];
    const ad_var *one; /* NULL: none */
    double start;
    const double *numbers; /* NULL: none */
} arguments;

/* The first real tape; *null: there is a null handle or list. */
static ad_tape *tape_among(const arguments *a, bool *constants)
{
    ad_tape *t = NULL;
    *constants = a->n >= 0;
    for (int i = 0; !t && i < a->lists; i++) {
        *constants = *constants && (a->list[i] || a->n == 0);
        for (int64_t k = 0; !t && a->list[i] && k < a->n; k++) {
            if (!a->list[i][k].tape)
                *constants = false;
            else if (!is_constant(a->list[i][k]))
                t = a->list[i][k].tape;
        }
    }
    if (!t && a->one) {
        if (!a->one->tape)
            *constants = false;
        else if (!is_constant(*a->one))
            t = a->one->tape;
    }
    return t;
}

/* Numbers of live scalars, up to the first handle that is something else. */
static int64_t known_scalars(const ad_head_ *t, int64_t n, const ad_var *v, uint32_t *ids)
{
    const uint64_t epoch = (uint64_t)t->epoch << 32;
    const uint32_t live = t->n;
    int64_t k = 0;
    for (; k < n && (const void *)v[k].tape == t && (v[k].u.bits ^ epoch) < live; k++)
        ids[k] = (uint32_t)v[k].u.bits;
    return k;
}

/* Numbers of the nodes; a run is seen in one pass that asks nothing of the single handle. */
static bool take_list(call *c, const ad_var *v, int64_t n, uint32_t *ids, bool *run)
{
    ad_tape *t = c->tape;
    const uint64_t from = v[0].u.bits ^ (uint64_t)t->head.epoch << 32;
    *run =
        n >= 8 && from < t->head.n && (uint64_t)n <= t->head.n - from && chain_apart(n, v, t) == 0;
    if (*run)
        chain_count(n, (uint32_t)from, ids);
    for (int64_t k = *run ? n : known_scalars(&t->head, n, v, ids); k < n; k++) {
        if ((ids[k] = tape_node(t, v[k], c->name)) == NO_NODE)
            return false;
        if (node_op(&t->head.nodes[ids[k]]) == CODE_TENSOR) {
            call_fail(c, AD_BAD_SHAPE, "argument %lld is a tensor: this is for arrays of scalars",
                      (long long)k);
            return false;
        }
    }
    return true;
}

static ad_var record_chain(const block_op *op, ad_tape *t, const arguments *a)
{
    call c = {.tape = t, .name = a->name};
    if (!tape_ready(t))
        return tape_poison(t);
    const int64_t n = a->n;
    bool lists = n >= 0;
    for (int i = 0; i < a->lists; i++)
        lists = lists && (a->list[i] || n == 0);
    if (!lists)
        return call_fail(&c, AD_NULL, n < 0 ? "a negative number of arguments" : "null argument");
    if (n > (int64_t)NO_NODE / 2)
        return call_fail(&c, AD_TOO_LARGE, "%lld arguments", (long long)n);
    const size_t n_args = (size_t)a->lists * (size_t)n + (a->one != NULL),
                 bytes = a->numbers ? (size_t)n * sizeof(double) : 0;
    block *b = call_scalar(&c, op, (uint32_t)n_args, sizeof(chain) + bytes);
    if (!b)
        return call_poison(&c);
    chain *to = b->attr;
    *to = (chain){.n = n, .lists = a->lists, .one = a->one, .start = a->start};
    if (bytes)
        memcpy(to + 1, a->numbers, bytes);
    uint32_t *ids = c.ids;
    bool run;
    for (int i = 0; i < a->lists; i++, ids += n)
        if (n && !take_list(&c, a->list[i], n, ids, &to->run[i]))
            return call_poison(&c);
    if (a->one && !take_list(&c, a->one, 1, ids, &run))
        return call_poison(&c);
    return call_scalar_end(&c, b);
}

/* ---- the functions ---- */

ad_var ad_dot_n(int64_t n, const ad_var *a, const ad_var *b)
{
    return ad_dot_add_n(n, a, b, ad_constant(0));
}

ad_var ad_dot_add_n(int64_t n, const ad_var *a, const ad_var *b, ad_var start)
{
    arguments all = {.name = "dot_n", .n = n, .lists = 2, .list = {a, b}, .one = &start};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (is_constant(start)) {
        all.start = start.u.constant;
        all.one = NULL;
    }
    if (n == 0 && start.tape)
        return start;
    if (t)
        return record_chain(&dot_n_op, t, &all);
    for (int64_t k = 0; constants && k < n; k++)
        all.start += a[k].u.constant * b[k].u.constant;
    return constants ? ad_constant(all.start) : (ad_var){0};
}

ad_var ad_affine_n(int64_t n, const double *w, const ad_var *x, double b)
{
    const arguments all = {
        .name = "affine_n", .n = n, .lists = 1, .list = {x}, .start = b, .numbers = w};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (n == 0)
        return ad_constant(b);
    if (t && w)
        return record_chain(&affine_n_op, t, &all);
    if (t)
        return tape_fail(t, AD_NULL, NULL, "affine_n: null argument");
    for (int64_t k = 0; constants && w && k < n; k++)
        b += w[k] * x[k].u.constant;
    return constants && w ? ad_constant(b) : (ad_var){0};
}

static bool any_tensor(int64_t n, const ad_var *x)
{
    for (int64_t k = 0; k < n; k++)
        if (x[k].tape && !is_constant(x[k]) && ad_is_tensor(x[k]))
            return true;
    return false;
}

/* Of scalars; and of tensors, in halves: as few operations as one after the other, but a shorter
 * path and a smaller rounding error. */
static ad_var of_halves(int n, const ad_var *a, ad_var (*join)(ad_var, ad_var))
{
    if (n == 1)
        return a[0];
    ad_var left = of_halves(n / 2, a, join);
    return join(left, of_halves(n - n / 2, a + n / 2, join));
}

ad_var ad_sum_n(int n, const ad_var *terms)
{
    if (n < 0 || (n > 0 && !terms))
        return (ad_var){0};
    const arguments all = {.name = "sum_n", .n = n, .lists = 1, .list = {terms}};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (t && n > 2 && !any_tensor(n, terms))
        return record_chain(&sum_n_op, t, &all);
    return n ? of_halves(n, terms, ad_add) : ad_constant(0);
}

ad_var ad_prod_n(int n, const ad_var *factors)
{
    if (n < 0 || (n > 0 && !factors))
        return (ad_var){0};
    return n ? of_halves(n, factors, ad_mul) : ad_constant(1);
}

ad_var ad_norm_n(int64_t n, const ad_var *x)
{
    const arguments all = {.name = "norm_n", .n = n, .lists = 1, .list = {x}};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (n == 0)
        return ad_constant(0);
    if (t)
        return record_chain(&norm_n_op, t, &all);
    double y = 0;
    for (int64_t k = 0; constants && k < n; k++)
        y = hypot(y, x[k].u.constant);
    return constants ? ad_constant(y) : (ad_var){0};
}

ad_var ad_polynomial_n(int64_t n, const ad_var *p, ad_var x)
{
    const arguments all = {.name = "polynomial_n", .n = n, .lists = 1, .list = {p}, .one = &x};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (n == 0 && x.tape)
        return ad_constant(0);
    if (t)
        return record_chain(&polynomial_n_op, t, &all);
    double y = 0;
    for (int64_t k = n; constants && k-- > 0;)
        y = y * x.u.constant + p[k].u.constant;
    return constants ? ad_constant(y) : (ad_var){0};
}

ad_var ad_horner_n(int64_t n, const double *p, ad_var x)
{
    const arguments all = {.name = "horner_n", .n = n, .one = &x, .numbers = p};
    bool constants;
    ad_tape *t = tape_among(&all, &constants);
    if (n == 0 && x.tape)
        return ad_constant(0);
    if (t && p)
        return record_chain(&horner_n_op, t, &all);
    if (t)
        return tape_fail(t, AD_NULL, NULL, "horner_n: null argument");
    double y = 0;
    for (int64_t k = n; constants && p && k-- > 0;)
        y = y * x.u.constant + p[k];
    return constants && p ? ad_constant(y) : (ad_var){0};
}

ad_status ad_axpy_n(int64_t n, ad_var a, const ad_var *x, const ad_var *y, ad_var *out)
{
    if (n < 0 || (n > 0 && (!x || !y || !out)))
        return AD_NULL;
    ad_status s = AD_OK;
    for (int64_t k = 0; k < n; k++) {
        out[k] = ad_add(ad_mul(a, x[k]), y[k]);
        s = !out[k].tape ? AD_NULL : is_constant(out[k]) ? AD_OK : out[k].tape->status;
    }
    return s;
}
