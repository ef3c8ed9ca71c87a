/* algebra_numeric.h - ops.def read over one floating type: values num_NAME and cotangents
 * num_NAME_da, _db, _dc
 *
 * Define T, T_(name) (a suffix) and F(f) (the C library's f for that type, or what stands for it)
 * before including; S(f), special.h's, if it is not F(ad_special_f); NUM_INLINE, if not "static
 * inline". */
#define K(x) ((T)(x))
#ifndef NUM_INLINE
#define NUM_INLINE static inline
#endif
#ifndef S
#define S(f) F(ad_special_##f)
#endif
#define V(f)               T_(num_##f)
#define NO                 K(0)
#define NUM_(name, suffix) T_(num_##name##suffix)
#define op(f, ...)         NUM_(f, )(__VA_ARGS__)
#define UNUSED_            (void)g, (void)a, (void)b, (void)c, (void)y

#define OP1(name, ia, val, da, kink, doc)                                                          \
    NUM_INLINE T T_(num_##name)(T a) { return val; }
#define OP2(name, ia, ib, val, da, db, kink, doc)                                                  \
    NUM_INLINE T T_(num_##name)(T a, T b) { return val; }
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    NUM_INLINE T T_(num_##name)(T a, T b, T c) { return val; }
#include "ops.def"

#define RULE(name, k, text)                                                                        \
    NUM_INLINE T T_(num_##name##_raw##k)(T g, T a, T b, T c, T y)                                  \
    {                                                                                              \
        UNUSED_;                                                                                   \
        return text;                                                                               \
    }                                                                                              \
    NUM_INLINE T T_(num_##name##_d##k)(T g, T a, T b, T c, T y)                                    \
    {                                                                                              \
        return MUTATED(AD_OP_##name, k, T_(num_##name##_raw##k));                                  \
    }
#define OP1(name, ia, val, da, kink, doc)         RULE(name, 0, da)
#define OP2(name, ia, ib, val, da, db, kink, doc) RULE(name, 0, da) RULE(name, 1, db)
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    RULE(name, 0, da) RULE(name, 1, db) RULE(name, 2, dc)
#include "ops.def"

#undef RULE
#undef UNUSED_
#undef op
#undef NUM_
#undef NO
#undef S
#undef V
#undef K
#undef F
#undef T_
#undef T
