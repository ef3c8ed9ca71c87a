/* tensor_programs.h - random programs over tensors, each written by a seed: elementwise operations
 * that broadcast, views, reductions and products, with states that are assigned
 *
 * Numbers are wild on purpose: zeros of both signs, infinities, NaN, the smallest and the largest.
 */
#ifndef TENSOR_PROGRAMS_H
#define TENSOR_PROGRAMS_H
#include "ad.h"
#include "compare.h"

enum { LARGEST = 1 << 18, INPUTS = 6, STATES = 8, POOL = 64, OUTPUTS = 6 };

typedef struct shape {
    int rank;
    int64_t of[3];
} shape;

/* what broadcasts with what: all but the last three fit (2,3,4) or (40,30) */
static const shape shapes[] = {{2, {3, 4}},    {2, {40, 30}},  {1, {4}},     {2, {3, 1}},
                               {3, {2, 3, 4}}, {3, {2, 1, 4}}, {2, {1, 30}}, {2, {40, 1}},
                               {1, {1}},       {2, {3, 700}},  {1, {700}},   {2, {0, 4}},
                               {1, {1100}}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
/* the same, large enough for several threads */
static const shape wide_shapes[] = {{2, {300, 256}},    {1, {256}}, {2, {300, 1}},
                                    {3, {1, 300, 256}}, {1, {1}},   {2, {256, 300}}};
enum { WIDE_SHAPES = sizeof wide_shapes / sizeof *wide_shapes };

typedef struct writer {
    uint64_t state;
    ad_tape *tape;
    ad_dtype dtype;
    bool tame, wide;
    bool draws;                     /* random numbers */
    bool exact;                     /* only what rounds once an element */
    double nudge;                   /* by how much of themselves numbers are moved */
    bool (*leaves_out)(int number); /* rows that are not wanted; NULL: none */
    ad_var pool[POOL];
    int n;
    ad_var in[INPUTS];
    const shape *shapes[INPUTS];
    ad_param *states[STATES];
} writer;

static inline int choose(writer *w, int n) { return random_below(&w->state, n); }

/* Half of all programs see no wild numbers: these spread, and hide what else differs. */
static inline double wild(uint64_t *state, bool tame)
{
    static const double numbers[] = {0,   -0.0, 1,     -1,      INFINITY, -INFINITY,
                                     NAN, .5,   1e-40, -1e-310, 3e38,     2};
    if (tame || random_below(state, 8))
        return random_between(state, -3, 3);
    return numbers[random_below(state, (int)(sizeof numbers / sizeof *numbers))];
}

static inline const shape *any_shape(writer *w)
{
    return w->wide ? &wide_shapes[choose(w, WIDE_SHAPES)] : &shapes[choose(w, SHAPES)];
}

static inline ad_tensor *wild_tensor(writer *w, const shape *s)
{
    ad_tensor *t = ad_tensor_new(NULL, w->dtype, s->rank, s->of);
    double *x = calloc((size_t)ad_tensor_size(t) + 1, sizeof *x);
    for (int64_t i = 0; i < ad_tensor_size(t); i++)
        x[i] = wild(&w->state, w->tame) * (1 + (i % 2 ? w->nudge : -w->nudge));
    ad_tensor_write(t, x);
    free(x);
    return t;
}

/* ---- writing a program ---- */

static inline void add(writer *w, ad_var a)
{
    if (ad_size(a) <= (w->wide ? LARGEST : LARGEST / 16) &&
        (!ad_is_tensor(a) || ad_dtype_of(a) == w->dtype))
        w->pool[w->n < POOL ? w->n++ : choose(w, POOL)] = a;
}

static inline ad_var pick(writer *w)
{
    int a = choose(w, w->n), b = choose(w, w->n);
    return w->pool[a > b ? a : b];
}

static inline int64_t size_from_end(ad_var a, int i)
{
    return i <= ad_rank(a) ? ad_shape(a)[ad_rank(a) - i] : 1;
}

/* Do all three broadcast, to something that is not too large? */
static inline bool fits(ad_var a, ad_var b, ad_var c)
{
    int64_t all = 1;
    for (int i = 1; i <= AD_MAX_RANK; i++) {
        const int64_t sizes[3] = {size_from_end(a, i), size_from_end(b, i), size_from_end(c, i)};
        int64_t most = 1;
        for (int k = 0; k < 3; k++) {
            if (sizes[k] != 1 && most != 1 && sizes[k] != most)
                return false;
            most = sizes[k] != 1 ? sizes[k] : most;
        }
        all *= most;
    }
    return all <= LARGEST;
}

static inline ad_var pick_beside(writer *w, ad_var a, ad_var b)
{
    for (int tries = 0; tries < 20; tries++) {
        ad_var c = pick(w);
        if (fits(a, b, c))
            return c;
    }
    return choose(w, 2) ? a : ad_constant(choose(w, 4) ? .5 : -2);
}

static inline ad_var write_elementwise(writer *w)
{
    static const int usual[] = {AD_OP_add, AD_OP_mul, AD_OP_sub,  AD_OP_div,     AD_OP_relu,
                                AD_OP_neg, AD_OP_max, AD_OP_mulz, AD_OP_greater, AD_OP_where};
    int number = usual[choose(w, 10)];
    while (choose(w, 3) == 0 || !ad_op_at(number)->elementwise ||
           (w->leaves_out && w->leaves_out(number)))
        number = choose(w, ad_op_count());
    ad_var a[3] = {pick(w)};
    if (fits(w->pool[w->n - 1], a[0], a[0]) && choose(w, 2)) /* long chains */
        a[0] = w->pool[w->n - 1];
    a[1] = pick_beside(w, a[0], a[0]);
    a[2] = pick_beside(w, a[0], a[1]);
    return ad_apply(number, ad_op_at(number)->arity, a);
}

static inline ad_var write_view(writer *w, ad_var a)
{
    const int rank = ad_rank(a);
    int axes[AD_MAX_RANK], axis;
    int64_t to[AD_MAX_RANK];
    if (rank == 0)
        return ad_expand(a, 2, (int64_t[]){3, 4});
    switch (choose(w, 4)) {
    case 0:
        for (int i = 0; i < rank; i++)
            axes[i] = rank - 1 - i;
        return ad_permute(a, axes);
    case 1:
        axis = choose(w, rank);
        return ad_slice(a, axis, ad_shape(a)[axis] / 3, ad_shape(a)[axis], 1 + choose(w, 2));
    case 2:
        to[0] = 2;
        for (int i = 0; i < rank; i++)
            to[i + 1] = ad_shape(a)[i];
        return rank < 3 ? ad_expand(a, rank + 1, to) : a;
    default:
        to[0] = ad_size(a);
        return ad_reshape(a, 1, to);
    }
}

/* the same, of operations whose results do not depend on the order of anything */
static inline ad_var write_exact(writer *w, ad_var a)
{
    const int rank = ad_rank(a), axis = rank ? choose(w, rank) : 0;
    const int64_t one[AD_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, *sizes = ad_shape(a);
    switch (rank && ad_size(a) ? choose(w, 8) : 8) {
    case 0:
        return ad_sub(a, ad_amax_axes(a, 1, &axis, true));
    case 1:
        return ad_amin_axes(a, 1, &axis, choose(w, 2));
    case 2:
        return ad_pad(a, one, one, .5);
    case 3:
        return ad_flip(a, axis);
    case 4:
        return ad_concat(2, (ad_var[]){a, a}, axis);
    case 5:
        return rank < 4 ? ad_take(a, axis, ad_argmax(a, axis)) : a;
    case 6:
        return rank > 1 ? ad_tril(a, choose(w, 3) - 1) : ad_cumsum(a, axis);
    case 7:
        return rank < 4 ? ad_windows(a, 1, (int64_t[]){sizes[rank - 1] / 2 + 1}, NULL, NULL) : a;
    default:
        return ad_sqrt(ad_abs(a));
    }
}

static inline ad_var write_structured(writer *w, ad_var a)
{
    const int rank = ad_rank(a);
    const int axis = rank ? choose(w, rank) : 0;
    ad_var some[3] = {ad_mean(a), ad_mul(ad_sum(pick(w)), ad_constant(.5)), ad_mean(a)};
    switch (rank ? choose(w, 12) : 8) {
    case 0:
        return ad_sum(a);
    case 1:
        return ad_sum_axes(a, 1, &axis, choose(w, 2));
    case 2:
        return ad_mean_axes(a, 1, &axis, true);
    case 3:
        return ad_softmax(a, axis);
    case 4:
        return ad_cumsum(a, axis);
    case 5:
        return ad_concat(2, (ad_var[]){a, a}, axis);
    case 6:
        return rank == 2 && ad_shape(a)[0] <= 300 ? ad_matmul(a, ad_permute(a, (int[]){1, 0}))
                                                  : ad_norm(a);
    case 7:
        if (!w->draws)
            return ad_size(a) ? ad_sub(a, ad_amax_axes(a, 1, &axis, true)) : a;
        return ad_mul(a, ad_random_bernoulli(w->tape, (uint64_t)choose(w, 9), .5, w->dtype, rank,
                                             ad_shape(a)));
    case 9:
        return ad_sum_n(3, some);
    case 10: /* of one operation, twice */
        return ad_sub(ad_exp(a), ad_mul(ad_constant(2), ad_exp(a)));
    case 11:
        return ad_shape(a)[axis] > 2 && !ad_lt(some[0], some[1])
                   ? ad_take(
                         a, axis,
                         ad_constant_array(w->tape, AD_I32, 1, (int64_t[]){2}, (int32_t[]){2, 0}))
                   : ad_dot(ad_reshape(a, 1, (int64_t[]){ad_size(a)}),
                            ad_reshape(a, 1, (int64_t[]){ad_size(a)}));
    default:
        return ad_sqrt(ad_abs(a));
    }
}

static inline void write_program(writer *w, int operations)
{
    for (int k = 0; k < operations && !ad_tape_status(w->tape); k++) {
        const int kind = choose(w, 12);
        if (kind < 8)
            add(w, write_elementwise(w));
        else if (kind < 10)
            add(w, write_view(w, pick(w)));
        else
            add(w, (w->exact ? write_exact : write_structured)(w, pick(w)));
    }
}

static inline bool same_shape_of(ad_var a, ad_var b)
{
    bool same = ad_is_tensor(b) && ad_rank(a) == ad_rank(b);
    for (int i = 0; same && i < ad_rank(a); i++)
        same = ad_shape(a)[i] == ad_shape(b)[i];
    return same;
}

/* Assigns to most states what fits: what was computed, another state, a view of one. */
static inline void write_assignments(writer *w)
{
    for (int k = 0; k < STATES; k++) {
        ad_var s = ad_use(w->tape, w->states[k]), v = pick(w);
        for (int tries = 0; tries < 30 && !same_shape_of(s, v); tries++)
            v = pick(w);
        if (!same_shape_of(s, v)) /* an update of its own */
            v = ad_add(ad_mul(s, ad_constant(.9)), ad_mul(ad_constant(.1), s));
        if (choose(w, 4))
            ad_assign(s, v);
    }
}

/* A writer's settings; then `begin` writes inputs and states. */
static inline writer writer_of(int seed, ad_dtype dtype)
{
    return (writer){.state = (uint64_t)seed, .dtype = dtype, .tame = seed / 2 % 2, .draws = true};
}

static inline void begin(writer *w, const ad_context *context)
{
    w->wide = context;
    w->tape = ad_tape_new(context);
    add(w, w->in[0] = ad_input(w->tape, wild(&w->state, w->tame)));
    for (int k = 1; k < INPUTS; k++) {
        ad_tensor *value = wild_tensor(w, w->shapes[k] = any_shape(w));
        add(w, w->in[k] = ad_input_tensor(w->tape, value));
        ad_tensor_free(value);
    }
    for (int k = 0; k < STATES; k++) {
        ad_tensor *value = wild_tensor(w, any_shape(w));
        w->states[k] = ad_param_new("s", value, choose(w, 2));
        add(w, ad_use(w->tape, w->states[k]));
    }
    ad_tensor *constant = wild_tensor(w, any_shape(w));
    add(w, ad_constant_tensor(w->tape, constant));
    add(w, ad_add(ad_constant_tensor(w->tape, constant), ad_constant(1)));
    ad_tensor_free(constant);
}

static inline void end(writer *w)
{
    ad_tape_free(w->tape);
    for (int k = 0; k < STATES; k++)
        ad_param_free(w->states[k]);
}

#endif
