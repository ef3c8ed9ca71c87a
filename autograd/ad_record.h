/* ad_record.h - the path that records a scalar operation, inlined into the caller; include ad.h
 *
 * Users need not read this. The fast path is one test and three stores: the tape's limit covers
 * room for nodes and for source sites, and it is 0 when there is anything to report (an error, a
 * pause, a dead tape), so that every other case goes to the library's ad_record functions. */
#ifndef TAPEGRAD_AD_RECORD_H
#define TAPEGRAD_AD_RECORD_H

#if defined(__GNUC__) || defined(__clang__)
#define AD_LIKELY_(x) __builtin_expect(!!(x), 1)
#define AD_SELDOM_    __attribute__((cold))
#define AD_EXTENSION_ __extension__
#else
#define AD_LIKELY_(x) (x)
#define AD_SELDOM_
#define AD_EXTENSION_
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 16 bytes: operation and operands in one word (8 + 28 + 28 bits), and the value or the descriptor
 * of a tensor. Adjoints are in an array of their own, so that recording does not touch them. */
typedef struct ad_node_ {
    uint64_t code;
    union {
        double value;
        void *block;
        uint64_t bits;
    } u;
} ad_node_;

typedef struct ad_site_ {
    const char *text;
    uint32_t node; /* from this node on */
} ad_site_;

typedef struct ad_head_ { /* how every tape begins */
    ad_node_ *nodes;
    AD_EXTENSION_ union {
        uint64_t next; /* the handle of the next node */
        AD_EXTENSION_ struct {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            uint32_t epoch, n;
#else
            uint32_t n, epoch;
#endif
        };
    };
    uint32_t limit, n_sites;
    uint32_t last_input; /* inputs are linked, the last first */
    uint32_t swept; /* nodes below this have an adjoint of a backward pass; 0: there was none */
    uint32_t value_reads;
    const char *site;
    ad_site_ *sites;
    double *adjoints;
} ad_head_;

extern AD_API const ad_head_ ad_constant_head_; /* the "tape" of constants */

AD_API AD_SELDOM_ ad_var ad_record1_(int op, ad_var a, const char *site);
AD_API AD_SELDOM_ ad_var ad_record2_(int op, ad_var a, ad_var b, const char *site);
AD_API AD_SELDOM_ ad_var ad_record3_(int op, ad_var a, ad_var b, ad_var c, const char *site);
AD_API ad_var ad_sited_(ad_var a, const char *site);
AD_API ad_status ad_record_inputs_(ad_tape *tape, int64_t n, const double *values, ad_var *inputs,
                                   const char *site);
AD_API AD_SELDOM_ ad_var ad_record_input_(ad_tape *tape, double value, const char *site);
AD_API bool ad_guard_(int comparison, ad_var a, ad_var b, const char *site);

AD_API double ad_special_erfinv(double a);
AD_API double ad_special_lgamma(double a);
AD_API double ad_special_digamma(double a);
AD_API double ad_special_polygamma(double n, double a);

#ifdef __cplusplus
}
#endif

#define AD_TENSOR_BIT_ 0x80000000u

/* There is room; and whether `a` is a scalar node of the present epoch: then only what is below the
 * tensor bit differs from the next handle. */
static inline bool ad_room_(const ad_head_ *t, uint32_t more)
{
    return (uint32_t)t->next + more < t->limit;
}

static inline uint64_t ad_apart_(const ad_head_ *t, ad_var a) { return a.u.bits ^ t->next; }

static inline bool ad_hot1_(const ad_head_ *t, ad_var a)
{
    return AD_LIKELY_(t) && AD_LIKELY_(ad_room_(t, 0)) && AD_LIKELY_(!(ad_apart_(t, a) >> 31));
}

static inline bool ad_hot2_(const ad_head_ *t, ad_var a, ad_var b)
{
    return AD_LIKELY_(t) && AD_LIKELY_(ad_room_(t, 0)) && AD_LIKELY_(a.tape == b.tape) &&
           AD_LIKELY_(!((ad_apart_(t, a) | ad_apart_(t, b)) >> 31));
}

static inline double ad_number_(const ad_head_ *t, ad_var a)
{
    return t->nodes[(uint32_t)a.u.bits].u.value;
}

/* The code's fields are apart, so adding is the same as or, and one instruction. */
static inline ad_var ad_push_(ad_head_ *t, unsigned op, uint32_t a, uint32_t b, double value,
                              const char *site)
{
    ad_var y;
    y.tape = (ad_tape *)(void *)t;
    y.u.bits = t->next;
    ad_node_ *node = &t->nodes[(uint32_t)y.u.bits];
    node->code = op + ((uint64_t)a << 8) + ((uint64_t)b << 36);
    node->u.value = value;
#ifndef AD_NO_SITES
    if (t->site != site) {
        ad_site_ *s = &t->sites[t->n_sites++];
        s->text = t->site = site;
        s->node = (uint32_t)y.u.bits;
    }
#else
    (void)site;
#endif
    t->next = y.u.bits + 1;
    return y;
}

/* a number as operand of a live scalar: a node of its own, before the operation's */
static inline bool ad_is_number_(ad_var a)
{
    return (const void *)a.tape == (const void *)&ad_constant_head_;
}

static inline bool ad_hot_beside_number_(const ad_head_ *t, ad_var a)
{
    return AD_LIKELY_(t) && AD_LIKELY_(ad_room_(t, 1)) && AD_LIKELY_(!(ad_apart_(t, a) >> 31));
}

static inline uint32_t ad_hold_(ad_head_ *t, ad_var number, const char *site)
{
    return ad_push_(t, 241, 0, 0, number.u.constant, site).u.node.id;
}

/* Inputs in a row know how many of them are right before: a backward pass has nothing to do there.
 */
static inline uint32_t ad_inputs_before_(const ad_head_ *t)
{
    uint32_t before = t->last_input;
    return before + 1 == t->n ? (uint32_t)(t->nodes[before].code >> 36) + 1 : 0;
}

static inline ad_var ad_input_at_(ad_tape *tape, double value, const char *site)
{
    ad_head_ *t = (ad_head_ *)(void *)tape;
    if (!AD_LIKELY_(t && t->n < t->limit))
        return ad_record_input_(tape, value, site);
    uint32_t before = t->last_input, row = ad_inputs_before_(t);
    t->last_input = t->n;
    return ad_push_(t, 240, before, row, value, site);
}

/* reading a live scalar, and the adjoint of a live input */
static inline double ad_value_at_(ad_var a)
{
    ad_head_ *t = (ad_head_ *)(void *)a.tape;
    if (!AD_LIKELY_(t && t->limit && t->next - a.u.bits - 1 < t->n))
        return (ad_value)(a);
    t->value_reads++;
    return t->nodes[(uint32_t)a.u.bits].u.value;
}

static inline double ad_grad_at_(ad_var a)
{
    const ad_head_ *t = (const ad_head_ *)(const void *)a.tape;
    if (!AD_LIKELY_(t && t->limit && (a.u.bits ^ (uint64_t)t->epoch << 32) < t->swept &&
                    (t->nodes[(uint32_t)a.u.bits].code & 255) == 240))
        return (ad_grad)(a);
    return t->adjoints[(uint32_t)a.u.bits];
}

#ifndef __cplusplus
static inline bool ad_guard_lt_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(0, a, b, site);
}
static inline bool ad_guard_le_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(1, a, b, site);
}
static inline bool ad_guard_gt_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(2, a, b, site);
}
static inline bool ad_guard_ge_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(3, a, b, site);
}
static inline bool ad_guard_eq_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(4, a, b, site);
}
static inline bool ad_guard_ne_(ad_var a, ad_var b, const char *site)
{
    return ad_guard_(5, a, b, site);
}

/* numbers for variables: _Generic selects the function, so that only the chosen one sees the
 * argument */
static inline ad_var ad_lift_var_(ad_var a) { return a; }
static inline ad_var ad_lift_number_(double a)
{
    ad_var y;
    y.tape = (ad_tape *)(void *)(uintptr_t)&ad_constant_head_;
    y.u.constant = a;
    return y;
}
#define AD_LIFT_(a) _Generic((a), ad_var : ad_lift_var_, default : ad_lift_number_)(a)

#ifdef AD_NO_SITES
#define AD_SITE_     ((const char *)0)
#define AD_SITED_(y) (y)
#else
#define AD_TEXT_(x)  #x
#define AD_LINE_(x)  AD_TEXT_(x)
#define AD_SITE_     (__FILE__ ":" AD_LINE_(__LINE__))
#define AD_SITED_(y) ad_sited_(y, AD_SITE_)
#endif

/* Each argument is written once and evaluated in order; the names are unique, so that nesting
 * shadows nothing. */
#define AD_NAME_(a, n)       ad_##a##_##n##_
#define AD_CALL1_(f, n, ...) AD_CALL1N_(f, n, (__VA_ARGS__))
#define AD_CALL2_(f, n, ...) AD_CALL2N_(f, n, __VA_ARGS__)
#define AD_CALL3_(f, n, ...) AD_CALL3N_(f, n, __VA_ARGS__)
#define AD_CALL1N_(f, n, x)                                                                        \
    __extension__({                                                                                \
        __auto_type AD_NAME_(a, n) = x;                                                            \
        f(AD_LIFT_(AD_NAME_(a, n)), AD_SITE_);                                                     \
    })
#define AD_CALL2N_(f, n, x, ...)                                                                   \
    __extension__({                                                                                \
        __auto_type AD_NAME_(a, n) = (x);                                                          \
        __auto_type AD_NAME_(b, n) = (__VA_ARGS__);                                                \
        f(AD_LIFT_(AD_NAME_(a, n)), AD_LIFT_(AD_NAME_(b, n)), AD_SITE_);                           \
    })
#define AD_CALL3N_(f, n, x, y, ...)                                                                \
    __extension__({                                                                                \
        __auto_type AD_NAME_(a, n) = (x);                                                          \
        __auto_type AD_NAME_(b, n) = (y);                                                          \
        __auto_type AD_NAME_(c, n) = (__VA_ARGS__);                                                \
        f(AD_LIFT_(AD_NAME_(a, n)), AD_LIFT_(AD_NAME_(b, n)), AD_LIFT_(AD_NAME_(c, n)), AD_SITE_); \
    })
#define AD_ORDERED2_(f, n, ...) AD_ORDERED2N_(f, n, __VA_ARGS__)
#define AD_ORDERED3_(f, n, ...) AD_ORDERED3N_(f, n, __VA_ARGS__)
#define AD_ORDERED4_(f, n, ...) AD_ORDERED4N_(f, n, __VA_ARGS__)
#define AD_ORDERED2N_(f, n, x, y)                                                                  \
    __extension__({                                                                                \
        ad_var AD_NAME_(a, n) = (x), AD_NAME_(b, n) = (y);                                         \
        AD_SITED_((f)(AD_NAME_(a, n), AD_NAME_(b, n)));                                            \
    })
#define AD_ORDERED3N_(f, n, x, axis, y)                                                            \
    __extension__({                                                                                \
        ad_var AD_NAME_(a, n) = (x);                                                               \
        int AD_NAME_(axis, n) = (axis);                                                            \
        AD_SITED_((f)(AD_NAME_(a, n), AD_NAME_(axis, n), (y)));                                    \
    })
#define AD_ORDERED4N_(f, n, x, axis, y, z)                                                         \
    __extension__({                                                                                \
        ad_var AD_NAME_(a, n) = (x);                                                               \
        int AD_NAME_(axis, n) = (axis);                                                            \
        ad_var AD_NAME_(b, n) = (y);                                                               \
        AD_SITED_((f)(AD_NAME_(a, n), AD_NAME_(axis, n), AD_NAME_(b, n), (z)));                    \
    })
#endif

#endif
