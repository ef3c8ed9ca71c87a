/* algebra.c - reads ops.def into the table of elementwise operations
 *
 * The rows become scalar functions, recorded rules, and text; rows.inc reads them once more as
 * loops over arrays. */
#define AD_PLAIN
#include "algebra.h"
#include "special.h"

#ifdef AD_MUTATION
mutation ad_mutation;
#endif

#define T        double
#define T_(name) name##_f64
#define F(f)     f
#include "algebra_numeric.h"

/* scalar functions */
#define K(x)   ((double)(x))
#define F(f)   f
#define SMOOTH ((void)a, (void)b, (void)c, (double)INFINITY)
#define OP1(name, ia, val, da, kink, doc)                                                          \
    static double value_##name(const double x[3]) { return num_##name##_f64(x[0]); }               \
    static void partials_##name(double g, const double x[3], double y, double dx[3])               \
    {                                                                                              \
        dx[0] = num_##name##_d0_f64(g, x[0], 0, 0, y), dx[1] = dx[2] = 0;                          \
    }                                                                                              \
    KINK(name, kink)
#define OP2(name, ia, ib, val, da, db, kink, doc)                                                  \
    static double value_##name(const double x[3]) { return num_##name##_f64(x[0], x[1]); }         \
    static void partials_##name(double g, const double x[3], double y, double dx[3])               \
    {                                                                                              \
        dx[0] = num_##name##_d0_f64(g, x[0], x[1], 0, y),                                          \
        dx[1] = num_##name##_d1_f64(g, x[0], x[1], 0, y), dx[2] = 0;                               \
    }                                                                                              \
    KINK(name, kink)
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    static double value_##name(const double x[3]) { return num_##name##_f64(x[0], x[1], x[2]); }   \
    static void partials_##name(double g, const double x[3], double y, double dx[3])               \
    {                                                                                              \
        dx[0] = num_##name##_d0_f64(g, x[0], x[1], x[2], y),                                       \
        dx[1] = num_##name##_d1_f64(g, x[0], x[1], x[2], y),                                       \
        dx[2] = num_##name##_d2_f64(g, x[0], x[1], x[2], y);                                       \
    }                                                                                              \
    KINK(name, kink)
#define KINK(name, text)                                                                           \
    static double kink_##name(const double x[3])                                                   \
    {                                                                                              \
        const double a = x[0], b = x[1], c = x[2], y = value_##name(x);                            \
        (void)a, (void)b, (void)c, (void)y;                                                        \
        return text;                                                                               \
    }
#include "ops.def"
#undef KINK
#undef SMOOTH
#undef F
#undef K

/* recorded rules */
#define K(x)       ad_constant(x)
#define NO         ((ad_var){0})
#define op(f, ...) (ad_##f)(__VA_ARGS__)
#define UNUSED_    (void)g, (void)a, (void)b, (void)c, (void)y
#ifdef AD_MUTATION
static ad_var mutated(int opcode, int k, ad_var straight, ad_var swapped)
{
    if (ad_mutation.kind == MUTATE_NOTHING || ad_mutation.op != opcode || ad_mutation.argument != k)
        return straight;
    return ad_mutation.kind == MUTATE_SIGN   ? (ad_neg)(straight)
           : ad_mutation.kind == MUTATE_DROP ? (ad_var){0}
                                             : swapped;
}
#define MUTATED_RULE(name, k)                                                                      \
    mutated(AD_OP_##name, k, rule_##name##_##k(g, a, b, c, y),                                     \
            ad_mutation.kind == MUTATE_SWAP ? rule_##name##_##k(g, b, a, c, y) : (ad_var){0})
#else
#define MUTATED_RULE(name, k) rule_##name##_##k(g, a, b, c, y)
#endif
#define RULE(name, k, text)                                                                        \
    static ad_var rule_##name##_##k(ad_var g, ad_var a, ad_var b, ad_var c, ad_var y)              \
    {                                                                                              \
        UNUSED_;                                                                                   \
        return text;                                                                               \
    }
#define RECORD(name, ...)                                                                          \
    static void record_##name(ad_var g, ad_var a, ad_var b, ad_var c, ad_var y,                    \
                              const bool wants[3], ad_var dx[3])                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WANT(name, k)                                                                              \
    if (wants[k])                                                                                  \
        dx[k] = MUTATED_RULE(name, k);
#define OP1(name, ia, val, da, kink, doc) RULE(name, 0, da) RECORD(name, WANT(name, 0))
#define OP2(name, ia, ib, val, da, db, kink, doc)                                                  \
    RULE(name, 0, da) RULE(name, 1, db) RECORD(name, WANT(name, 0) WANT(name, 1))
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    RULE(name, 0, da)                                                                              \
    RULE(name, 1, db) RULE(name, 2, dc) RECORD(name, WANT(name, 0) WANT(name, 1) WANT(name, 2))
#include "ops.def"
#undef WANT
#undef RECORD
#undef RULE
#undef MUTATED_RULE
#undef UNUSED_
#undef op
#undef NO
#undef K

/* the table, with the text of each row */
#define K(x)        x
#define F(f)        f
#define S(f)        ad_special_##f
#define V(f)        f
#define op(f, ...)  f(__VA_ARGS__)
#define IN(lo, hi)  lo, hi
#define TEXT_(...)  #__VA_ARGS__
#define TEXT(...)   TEXT_(__VA_ARGS__)
#define FLOWS(text) sizeof(#text) != sizeof("NO")
#ifdef AD_MUTATION
#define PLAIN(text) false
#else
#define PLAIN(text) sizeof(#text) == sizeof("g")
#endif
#define FUNCTIONS(id)                                                                              \
    .value = value_##id, .partials = partials_##id, .kink = kink_##id, .record = record_##id
#define INTERVALS_(alo, ahi, blo, bhi, clo, chi) .low = {alo, blo, clo}, .high = {ahi, bhi, chi}
#define INTERVALS(...)                           INTERVALS_(__VA_ARGS__)
const elementwise elementwise_ops[AD_OP_COUNT_] = {
#define OP1(id, ia, val_, da, kink_, doc_)                                                         \
    [AD_OP_##id] = {.info = {.name = #id,                                                          \
                             .doc = doc_,                                                          \
                             .arity = 1,                                                           \
                             .elementwise = true,                                                  \
                             INTERVALS(ia, 0, 0, 0, 0),                                            \
                             .value = TEXT(val_),                                                  \
                             .partial = {TEXT(da), "", ""}},                                       \
                    .flows = {FLOWS(da), false, false},                                            \
                    .plain = {PLAIN(da), false, false},                                            \
                    FUNCTIONS(id)},
#define OP2(id, ia, ib, val_, da, db, kink_, doc_)                                                 \
    [AD_OP_##id] = {.info = {.name = #id,                                                          \
                             .doc = doc_,                                                          \
                             .arity = 2,                                                           \
                             .elementwise = true,                                                  \
                             INTERVALS(ia, ib, 0, 0),                                              \
                             .value = TEXT(val_),                                                  \
                             .partial = {TEXT(da), TEXT(db), ""}},                                 \
                    .flows = {FLOWS(da), FLOWS(db), false},                                        \
                    .plain = {PLAIN(da), PLAIN(db), false},                                        \
                    FUNCTIONS(id)},
#define OP3(id, ia, ib, ic, val_, da, db, dc, kink_, doc_)                                         \
    [AD_OP_##id] = {.info = {.name = #id,                                                          \
                             .doc = doc_,                                                          \
                             .arity = 3,                                                           \
                             .elementwise = true,                                                  \
                             INTERVALS(ia, ib, ic),                                                \
                             .value = TEXT(val_),                                                  \
                             .partial = {TEXT(da), TEXT(db), TEXT(dc)}},                           \
                    .flows = {FLOWS(da), FLOWS(db), FLOWS(dc)},                                    \
                    .plain = {PLAIN(da), PLAIN(db), PLAIN(dc)},                                    \
                    FUNCTIONS(id)},
#include "ops.def"
};
#undef K
#undef F
#undef S
#undef V
#undef op
#undef IN
#undef TEXT
#undef TEXT_
#undef FLOWS
#undef PLAIN
#undef FUNCTIONS
#undef INTERVALS
#undef INTERVALS_

double elementwise_distance(int op, const double x[3])
{
    const elementwise *e = &elementwise_ops[op];
    for (int k = 0; k < e->info.arity; k++) {
        const double one = 1, *dx[3] = {NULL, NULL, NULL};
        double partial;
        dx[k] = &one;
        tangent_scalar_1(op, x, dx,
                         &partial); /* the witness: a wrong rule shall not excuse itself */
        if (isfinite(x[k]) && !isfinite(partial))
            return 0;
    }
    return e->kink(x);
}

static const ad_op_info block_infos[] = {
#define BLOCK(name_, arguments, doc_)                                                              \
    {.name = #name_, .doc = doc_, .value = "", .partial = {"", "", ""}},
#include "blocks.def"
};

int ad_op_count(void) { return AD_OP_COUNT_ + (int)(sizeof block_infos / sizeof *block_infos); }

const ad_op_info *ad_op_at(int op)
{
    if (op < 0 || op >= ad_op_count())
        return NULL;
    return op < AD_OP_COUNT_ ? &elementwise_ops[op].info : &block_infos[op - AD_OP_COUNT_];
}

double ad_op_value(int op, const double args[3])
{
    return op >= 0 && op < AD_OP_COUNT_ && args ? elementwise_ops[op].value(args) : (double)NAN;
}
