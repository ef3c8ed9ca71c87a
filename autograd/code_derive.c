/* code_derive.c - derivatives of straight-line code, as more of it
 *
 * The rules of ops.def read once more, now as a writer of instructions. A rule is linear in g, so
 * it serves the reverse sweep, where g is the cotangent of the result, and the forward sweep, where
 * g is the tangent of an argument. Zero absorbs in both, since every rule multiplies g by mulz and
 * divz. What they write can be derived again: a Hessian-vector product is the forward sweep over
 * the reverse one. */
#define AD_PLAIN
#include "code.h"

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
    return elementwise_ops[i->op].flows[argument]
               ? rules[i->op][argument](k, g, i->a, i->b, i->c, y)
               : NOTHING;
}

static void add_to(code *k, uint32_t *sum, uint32_t term)
{
    if (term != NOTHING)
        *sum = *sum == NOTHING ? term : code_put(k, AD_OP_add, *sum, term, 0);
}

/* ---- sweeps ---- */

/* One number for each instruction that is there now, NOTHING at first. */
static uint32_t *numbers(code *k, uint32_t n)
{
    uint32_t *all = k->status ? NULL : memory_take_raw(k->context, ((size_t)n + 1) * sizeof *all);
    if (!all)
        k->status = k->status ? k->status : AD_NO_MEMORY;
    for (uint32_t i = 0; all && i < n; i++)
        all[i] = NOTHING;
    return all;
}

static void give_numbers(code *k, uint32_t *all, uint32_t n)
{
    memory_give(k->context, all, ((size_t)n + 1) * sizeof *all);
}

/* Inputs come first, so that an instruction depends on one of the first n exactly if an operand
 * does. */
static void mark_active(const code *k, uint32_t n_inputs, uint32_t n, bool *active)
{
    for (uint32_t i = 0; i < n; i++) {
        const instr *at = &k->at[i];
        const uint32_t arity = code_arity(at);
        active[i] = (at->op == OP_INPUT && at->a < n_inputs) || (arity > 0 && active[at->a]) ||
                    (arity > 1 && active[at->b]) || (arity > 2 && active[at->c]);
    }
}

void code_reverse(code *k, uint32_t n_y, const uint32_t *y, const uint32_t *cotangents,
                  uint32_t n_inputs, uint32_t *gradient)
{
    const uint32_t n = k->n;
    uint32_t *adjoint = numbers(k, n);
    bool *active = memory_take_raw(k->context, (size_t)n + 1);
    if (!active && !k->status)
        k->status = AD_NO_MEMORY;
    if (!k->status)
        mark_active(k, n_inputs, n, active);
    for (uint32_t i = 0; i < n_y && !k->status; i++)
        add_to(k, &adjoint[y[i]], cotangents[i]);
    for (uint32_t i = n; i-- > 0 && !k->status;) {
        if (adjoint[i] == NOTHING || !active[i] || !code_is_row(&k->at[i]))
            continue;
        const instr at = k->at[i]; /* a copy: the code grows */
        const uint32_t operand[3] = {at.a, at.b, at.c}, arity = code_arity(&at);
        k->from = k->origin[i] | DERIVED;
        for (uint32_t j = 0; j < arity; j++)
            if (active[operand[j]])
                add_to(k, &adjoint[operand[j]], rule(k, &at, j, adjoint[i], i));
    }
    for (uint32_t i = 0; i < n_inputs && !k->status; i++) /* the first instructions are inputs */
        gradient[i] = adjoint[i] == NOTHING ? code_constant(k, 0) : adjoint[i];
    give_numbers(k, adjoint, n);
    memory_give(k->context, active, (size_t)n + 1);
}

void code_forward(code *k, uint32_t n_inputs, const uint32_t *directions, uint32_t n_y,
                  const uint32_t *y, uint32_t *tangents)
{
    const uint32_t n = k->n;
    uint32_t *tangent = numbers(k, n);
    for (uint32_t i = 0; i < n_inputs && !k->status; i++)
        tangent[i] = directions[i];
    for (uint32_t i = 0; i < n && !k->status; i++) {
        if (!code_is_row(&k->at[i]))
            continue;
        const instr at = k->at[i];
        const uint32_t operand[3] = {at.a, at.b, at.c}, arity = code_arity(&at);
        k->from = k->origin[i] | DERIVED;
        for (uint32_t j = 0; j < arity; j++)
            if (tangent[operand[j]] != NOTHING)
                add_to(k, &tangent[i], rule(k, &at, j, tangent[operand[j]], i));
    }
    for (uint32_t i = 0; i < n_y && !k->status; i++)
        tangents[i] = tangent[y[i]] == NOTHING ? code_constant(k, 0) : tangent[y[i]];
    give_numbers(k, tangent, n);
}
