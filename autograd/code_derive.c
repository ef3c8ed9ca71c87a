/* code_derive.c - derivatives of straight-line code, as more of it
 *
 * The rules of ops.def read once more, now as a writer of instructions. A rule is linear in g, so
 * it serves the reverse sweep, where g is the cotangent of the result, and the forward sweep, where
 * g is the tangent of an argument. Zero absorbs in both, since every rule multiplies g by mulz and
 * divz. What they write can be derived again: a Hessian-vector product is the forward sweep over
 * the reverse one. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

/* ---- rules ---- */

#define OP1(name, ...)                                                                             \
    static inline uint32_t put_##name(code *k, uint32_t a)                                         \
    {                                                                                              \
        return code_put(k, AD_OP_##name, a, 0, 0);                                                 \
    }
#define OP2(name, ...)                                                                             \
    static inline uint32_t put_##name(code *k, uint32_t a, uint32_t b)                             \
    {                                                                                              \
        return code_put(k, AD_OP_##name, a, b, 0);                                                 \
    }
#define OP3(name, ...)                                                                             \
    static inline uint32_t put_##name(code *k, uint32_t a, uint32_t b, uint32_t c)                 \
    {                                                                                              \
        return code_put(k, AD_OP_##name, a, b, c);                                                 \
    }
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include "ops.def"

#define op(f, ...) put_##f(k, __VA_ARGS__)
#define K(x)       code_constant(k, x)
#define NO         NOTHING
#define RULE(name, n, text)                                                                        \
    static uint32_t rule_##name##_##n(code *k, uint32_t g, uint32_t a, uint32_t b, uint32_t c,     \
                                      uint32_t y)                                                  \
    {                                                                                              \
        (void)k, (void)g, (void)a, (void)b, (void)c, (void)y;                                      \
        return text;                                                                               \
    }
#define OP1(name, ia, val, da, kink, doc)         RULE(name, 0, da)
#define OP2(name, ia, ib, val, da, db, kink, doc) RULE(name, 0, da) RULE(name, 1, db)
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    RULE(name, 0, da) RULE(name, 1, db) RULE(name, 2, dc)
#include "ops.def"
#undef op
#undef K
#undef NO
#undef RULE

typedef uint32_t rule_function(code *k, uint32_t g, uint32_t a, uint32_t b, uint32_t c, uint32_t y);
#define OP1(name, ...) {rule_##name##_0, NULL, NULL},
#define OP2(name, ...) {rule_##name##_0, rule_##name##_1, NULL},
#define OP3(name, ...) {rule_##name##_0, rule_##name##_1, rule_##name##_2},
static rule_function *const rules[AD_OP_COUNT_][3] = {
#include "ops.def"
};

static uint32_t rule(code *k, const instr *i, uint32_t argument, uint32_t g, uint32_t y)
{
    rule_function *const of = rules[i->op][argument];
    return of ? of(k, g, i->a, i->b, i->c, y) : NOTHING;
}

static void add_to(code *k, uint32_t *sum, uint32_t term)
{
    if (term != NOTHING)
        *sum = *sum == NOTHING ? term : code_put(k, AD_OP_add, *sum, term, 0);
}

/* ---- the reverse sweep ---- */

/* What a cotangent is the sum of is kept until all of it is there. Products then become a dot
 * product, if there are enough of them side by side, and are never written out one by one. */
typedef struct share {
    uint32_t next;      /* in the order they came; the last leads back to the first */
    uint32_t g, factor; /* mulz(g, factor), or g where that is NOTHING */
    uint32_t from;      /* origin */
} share;

typedef struct sweep {
    code *k;
    share *shares;
    uint32_t n;
    uint32_t *last; /* share of each instruction, or NOTHING */
    bool *active;   /* does it depend on an input */
} sweep;

static void add_share(sweep *s, uint32_t to, uint32_t g, uint32_t factor)
{
    const uint32_t i = s->n++;
    uint32_t *last = &s->last[to], first = i;
    if (*last != NOTHING) {
        first = s->shares[*last].next;
        s->shares[*last].next = i;
    }
    s->shares[i] = (share){first, g, factor, s->k->from};
    *last = i;
}

/* The same of what a rule wrote from instruction `first` on: a product that it ends with is taken
 * back, for the time being. */
static void add_term(sweep *s, uint32_t to, uint32_t term, uint32_t first)
{
    code *k = s->k;
    if (term == NOTHING || k->status)
        return;
    const instr *at = &k->at[term];
    if (term >= first && term + 1 == k->n && at->op == AD_OP_mulz) {
        add_share(s, to, at->a, at->b);
        k->n--;
    } else {
        add_share(s, to, term, NOTHING);
    }
}

/* how many of `most` shares from i on are products */
static uint32_t count_products(const sweep *s, uint32_t i, uint32_t most)
{
    uint32_t n = 0;
    for (; n < most && s->shares[i].factor != NOTHING; n++)
        i = s->shares[i].next;
    return n;
}

/* sum + so many products from share *i on */
static uint32_t put_products(sweep *s, uint32_t *i, uint32_t n, uint32_t sum)
{
    code *k = s->k;
    const uint32_t list = code_factors(k, 2 * n);
    for (uint32_t t = 0; list != NOTHING && t < n; t++) {
        const share *at = &s->shares[*i];
        k->factors[list + 2 * t] = at->g;
        k->factors[list + 2 * t + 1] = at->factor;
        k->from = at->from;
        *i = at->next;
    }
    return code_put_dot(k, true, list, n, sum);
}

/* the whole cotangent of an instruction that has one */
static uint32_t cotangent(sweep *s, uint32_t of)
{
    code *k = s->k;
    const share *only = &s->shares[s->last[of]];
    uint32_t left = 1, i = only->next, sum = NOTHING;
    if (i == s->last[of]) {
        k->from = only->from;
        return only->factor == NOTHING ? only->g : put_mulz(k, only->g, only->factor);
    }
    for (uint32_t j = i; j != s->last[of]; j = s->shares[j].next)
        left++;
    while (left > 0 && !k->status) {
        const uint32_t products = k->dots_wanted ? count_products(s, i, left) : 0;
        if (products >= SHORTEST_DOT) {
            sum = put_products(s, &i, products, sum);
            left -= products;
            continue;
        }
        const share *at = &s->shares[i];
        k->from = at->from;
        add_to(k, &sum, at->factor == NOTHING ? at->g : put_mulz(k, at->g, at->factor));
        i = at->next;
        left--;
    }
    return sum;
}

static void reverse_dot(sweep *s, const instr *at, uint32_t g)
{
    for (uint32_t t = at->b; t-- > 0;) {
        const uint32_t a = s->k->factors[at->a + 2 * t], b = s->k->factors[at->a + 2 * t + 1];
        if (s->active[a])
            add_share(s, a, g, b);
        if (s->active[b])
            add_share(s, b, g, a);
    }
    if (at->c != NOTHING && s->active[at->c])
        add_share(s, at->c, g, NOTHING);
}

static void reverse_row(sweep *s, const instr *at, uint32_t g, uint32_t y)
{
    const uint32_t operand[3] = {at->a, at->b, at->c}, arity = code_arity(at);
    for (uint32_t j = 0; j < arity; j++) {
        const uint32_t first = s->k->n;
        if (s->active[operand[j]])
            add_term(s, operand[j], rule(s->k, at, j, g, y), first);
    }
}

static bool is_active(const code *k, const instr *at, const bool *active)
{
    const uint32_t arity = code_arity(at);
    bool found = (arity > 0 && active[at->a]) || (arity > 1 && active[at->b]) ||
                 (arity > 2 && active[at->c]);
    if (code_is_dot(at)) {
        found = at->c != NOTHING && active[at->c];
        for (uint32_t j = 0; j < 2 * at->b && !found; j++)
            found = active[k->factors[at->a + j]];
    }
    return found;
}

/* Of the leading inputs, and what depends on them. Gives how many shares there can be. */
static size_t mark_active(const code *k, uint32_t n, bool *active)
{
    size_t shares = 0;
    memset(active, 1, k->n_lead);
    for (uint32_t i = k->n_lead; i < n; i++) {
        const instr *at = &k->at[i];
        active[i] = is_active(k, at, active);
        shares += code_is_dot(at) ? 2 * (size_t)at->b + 1 : code_arity(at);
    }
    return shares;
}

void code_reverse(code *k, uint32_t n_y, const uint32_t *y, const uint32_t *cotangents,
                  uint32_t n_inputs, uint32_t *gradient)
{
    const uint32_t n = k->n;
    sweep s = {.k = k,
               .last = code_take(k, n, sizeof *s.last),
               .active = code_take(k, n, sizeof *s.active)};
    if (!k->status)
        s.shares = code_take(k, n_y + mark_active(k, n, s.active), sizeof *s.shares);
    if (!k->status)
        memset(s.last, 0xff, n * sizeof *s.last); /* NOTHING */
    for (uint32_t i = 0; i < n_y && !k->status; i++)
        add_share(&s, y[i], cotangents[i], NOTHING);
    for (uint32_t i = n; i-- > n_inputs && !k->status;) {
        if (s.last[i] == NOTHING || !s.active[i])
            continue;
        const uint32_t g = cotangent(&s, i);
        const instr at = k->at[i]; /* a copy: the code grows */
        k->from = k->origin[i] | DERIVED;
        if (code_is_dot(&at))
            reverse_dot(&s, &at, g);
        else
            reverse_row(&s, &at, g, i);
    }
    for (uint32_t i = 0; i < n_inputs && !k->status; i++) /* the first instructions are inputs */
        gradient[i] = s.last[i] == NOTHING ? code_constant(k, 0) : cotangent(&s, i);
    code_done(k);
}

/* ---- the forward sweep ---- */

typedef struct forward {
    code *k;
    uint32_t *tangent; /* of each instruction, or NOTHING */
} forward;

static void push_tangents(const forward *f, const instr *at, uint32_t y, uint32_t *sum)
{
    const uint32_t operand[3] = {at->a, at->b, at->c}, arity = code_arity(at);
    for (uint32_t j = 0; j < arity; j++)
        if (f->tangent[operand[j]] != NOTHING)
            add_to(f->k, sum, rule(f->k, at, j, f->tangent[operand[j]], y));
}

void code_forward(code *k, uint32_t n_inputs, const uint32_t *directions, uint32_t n_y,
                  const uint32_t *y, uint32_t *tangents)
{
    const uint32_t n = k->n;
    const forward f = {k, code_take(k, n, sizeof *f.tangent)};
    for (uint32_t i = 0; i < n && !k->status; i++) {
        const instr at = k->at[i]; /* a copy: the code grows */
        uint32_t sum = i < n_inputs ? directions[i] : NOTHING;
        k->from = k->origin[i] | DERIVED;
        if (code_is_row(&at))
            push_tangents(&f, &at, i, &sum);
        if (code_is_dot(&at) && at.c != NOTHING)
            sum = f.tangent[at.c];
        for (uint32_t t = 0; code_is_dot(&at) && t < at.b; t++) {
            const uint32_t *factor = k->factors + at.a + 2 * t;
            push_tangents(&f, &(instr){AD_OP_mulz, factor[0], factor[1], 0}, NOTHING, &sum);
        }
        f.tangent[i] = sum;
    }
    for (uint32_t i = 0; i < n_y && !k->status; i++)
        tangents[i] = f.tangent[y[i]] == NOTHING ? code_constant(k, 0) : f.tangent[y[i]];
    code_done(k);
}
