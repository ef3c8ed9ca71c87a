/* backward_dual.c - the reverse sweep over duals: Hessian-vector products of scalar programs
 *
 * ops.def once more, now over pairs of a value and its tangent: each rule's operations carry the
 * tangent of a cotangent along with it, by the very rules that they carry cotangents by. One
 * forward sweep, one backward sweep, nothing recorded. Programs with tensors go by the recorded
 * gradient instead (derivative.c). */
#define AD_PLAIN
#include "backward_dual.h"
#include "algebra.h"
#include "special.h"
#include "tangent.h"

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

typedef struct pair {
    double v, t;
} pair;

static inline pair pair_constant(double v) { return (pair){v, 0}; }
/* a tangent of zero absorbs, as a cotangent does */
#define SHARE(name, k, dx) ((dx) == 0 ? 0 : num_##name##_d##k##_f64(dx, av, bv, cv, y.v))

#define OP1(name, in, val, da, kink, doc)                                                          \
    static inline pair pair_##name(pair a)                                                         \
    {                                                                                              \
        const double av = a.v, bv = 0, cv = 0;                                                     \
        pair y = {num_##name##_f64(av), 0};                                                        \
        y.t = SHARE(name, 0, a.t);                                                                 \
        return y;                                                                                  \
    }
#define OP2(name, in1, in2, val, da, db, kink, doc)                                                \
    static inline pair pair_##name(pair a, pair b)                                                 \
    {                                                                                              \
        const double av = a.v, bv = b.v, cv = 0;                                                   \
        pair y = {num_##name##_f64(av, bv), 0};                                                    \
        y.t = SHARE(name, 0, a.t) + SHARE(name, 1, b.t);                                           \
        return y;                                                                                  \
    }
#define OP3(name, in1, in2, in3, val, da, db, dc, kink, doc)                                       \
    static inline pair pair_##name(pair a, pair b, pair c)                                         \
    {                                                                                              \
        const double av = a.v, bv = b.v, cv = c.v;                                                 \
        pair y = {num_##name##_f64(av, bv, cv), 0};                                                \
        y.t = SHARE(name, 0, a.t) + SHARE(name, 1, b.t) + SHARE(name, 2, c.t);                     \
        return y;                                                                                  \
    }
#include "ops.def"
#undef SHARE

#define op(f, ...)  pair_##f(__VA_ARGS__)
#define K(x)        pair_constant(x)
#define NO          K(0)
#define FLOWS(text) (sizeof(#text) != sizeof("NO"))
#define SEND(id, text)                                                                             \
    if (FLOWS(text)) {                                                                             \
        pair d = text;                                                                             \
        adjoint[id].v += d.v;                                                                      \
        adjoint[id].t += d.t;                                                                      \
    }
#define LOAD(id) ((pair){nodes[id].u.value, tangents[id]})

/* adjoint[i]: cotangent of node i and its derivative along the direction of the tangents */
static void sweep(const frame *f, uint32_t top, const double *tangents, pair *adjoint)
{
    const node *nodes = f->nodes;
    for (uint32_t i = top + 1; i-- > 0;) {
        const node *n = &nodes[i];
        const uint32_t ia = node_a(n), ib = node_b(n);
        const pair g = adjoint[i], y = LOAD(i);
        if (g.v == 0 && g.t == 0)
            continue;
        switch (node_op(n)) {
#define OP1(name, in, val, da, kink, doc)                                                          \
    case AD_OP_##name: {                                                                           \
        const pair a = LOAD(ia);                                                                   \
        (void)a, (void)y;                                                                          \
        SEND(ia, da)                                                                               \
        break;                                                                                     \
    }
#define OP2(name, in1, in2, val, da, db, kink, doc)                                                \
    case AD_OP_##name: {                                                                           \
        const pair a = LOAD(ia), b = LOAD(ib);                                                     \
        (void)a, (void)b, (void)y;                                                                 \
        SEND(ia, da)                                                                               \
        SEND(ib, db)                                                                               \
        break;                                                                                     \
    }
#define OP3(name, in1, in2, in3, val, da, db, dc, kink, doc)                                       \
    case AD_OP_##name: {                                                                           \
        const uint32_t ic = node_a(n - 1);                                                         \
        const pair a = LOAD(ia), b = LOAD(ib), c = LOAD(ic);                                       \
        (void)a, (void)b, (void)c, (void)y;                                                        \
        SEND(ia, da)                                                                               \
        SEND(ib, db)                                                                               \
        SEND(ic, dc)                                                                               \
        break;                                                                                     \
    }
#include "ops.def"
        default:
            break;
        }
    }
}
#undef LOAD
#undef SEND
#undef FLOWS
#undef NO
#undef K
#undef op

bool frame_scalars_only(const frame *f, uint32_t top)
{
    for (uint32_t i = 0; i <= top; i++)
        if (node_op(&f->nodes[i]) == CODE_TENSOR || node_op(&f->nodes[i]) == CODE_SCALAR_BLOCK)
            return false;
    return true;
}

ad_status sweep_backward_dual(frame *f, uint32_t y, int n, const uint32_t *x,
                              const double *const *v, double *const *products)
{
    arena_mark mark = arena_here(f->scratch);
    double *tangents = tangents_begin(f, 1);
    pair *adjoint = arena_zeros(f->scratch, (size_t)f->n * sizeof *adjoint + 8);
    ad_status s = tangents && adjoint ? AD_OK : AD_NO_MEMORY;
    for (int k = 0; !s && k < n; k++)
        s = tangents_seed(f, x[k], tangents, 1, 0, v[k]);
    if (!s)
        s = sweep_tangent_given(f, 0, tangents, 1, n, x);
    if (!s) {
        adjoint[y].v = 1;
        sweep(f, y, tangents, adjoint);
        for (int k = 0; k < n; k++)
            products[k][0] = adjoint[x[k]].t;
    }
    arena_rewind(f->scratch, mark);
    return s;
}
