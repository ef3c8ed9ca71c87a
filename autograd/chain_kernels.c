/* chain_kernels.c - see chain_kernels.h
 *
 * Sums have eight running totals, in the same order on every machine. */
#define AD_PLAIN
#include "chain_kernels.h"
#include <string.h>

/* The best of what the processor at hand has, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_PROCESSOR
#endif

#if defined(__GNUC__) && UINTPTR_MAX == UINT64_MAX
/* two handles, of two words each: the tape, and the node */
typedef uint64_t two __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) uint64_t apart_by_four(int64_t n, const ad_var *v,
                                                                    const ad_tape *t)
{
    const uint64_t tape = (uint64_t)(uintptr_t)t, first = v[0].u.bits;
    const two next = {0, 4, 0, 4};
    two want = {tape, first, tape, first + 1}, more = {tape, first + 2, tape, first + 3},
        apart = {0}, beside = {0}, is;
    for (int64_t k = 0; k + 4 <= n; k += 4, want += next, more += next) {
        memcpy(&is, v + k, sizeof is);
        apart |= is ^ want;
        memcpy(&is, v + k + 2, sizeof is);
        beside |= is ^ more;
    }
    apart |= beside;
    return apart[0] | apart[1] | apart[2] | apart[3];
}
enum { BY_FOUR = 3 };
#else
static uint64_t apart_by_four(int64_t n, const ad_var *v, const ad_tape *t)
{
    (void)n, (void)v, (void)t;
    return 0;
}
enum { BY_FOUR = -1 };
#endif

EVERY_PROCESSOR uint64_t chain_apart(int64_t n, const ad_var *v, const ad_tape *t)
{
    uint64_t all = apart_by_four(n, v, t);
    for (int64_t k = BY_FOUR < 0 ? 0 : n & ~(int64_t)BY_FOUR; k < n; k++)
        all |= (uint64_t)(v[k].tape != t) | (v[k].u.bits ^ (v[0].u.bits + (uint64_t)k));
    return all;
}

EVERY_PROCESSOR void chain_count(int64_t n, uint32_t first, uint32_t *ids)
{
    for (int64_t k = 0; k < n; k++)
        ids[k] = first + (uint32_t)k;
}

EVERY_PROCESSOR void chain_values(int64_t n, const node *restrict from, double *restrict out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = from[k].u.value;
}

void chain_gather(int64_t n, const node *restrict nodes, const uint32_t *restrict ids,
                  double *restrict out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = nodes[ids[k]].u.value;
}

EVERY_PROCESSOR void chain_dot(int64_t n, const double *restrict x, const double *restrict y,
                               double *restrict total)
{
    double t[8];
    int64_t k = 0;
    memcpy(t, total, sizeof t);
    for (; k + 8 <= n; k += 8)
        for (int j = 0; j < 8; j++)
            t[j] += x[k + j] * y[k + j];
    for (; k < n; k++)
        t[k & 7] += x[k] * y[k];
    memcpy(total, t, sizeof t);
}

#define ADD(name, T)                                                                               \
    EVERY_PROCESSOR void name(int64_t n, const T *restrict x, double *restrict total)              \
    {                                                                                              \
        double t[8];                                                                               \
        int64_t k = 0;                                                                             \
        memcpy(t, total, sizeof t);                                                                \
        for (; k + 8 <= n; k += 8)                                                                 \
            for (int j = 0; j < 8; j++)                                                            \
                t[j] += (double)x[k + j];                                                          \
        for (; k < n; k++)                                                                         \
            t[k & 7] += (double)x[k];                                                              \
        memcpy(total, t, sizeof t);                                                                \
    }
ADD(chain_add_f64, double)
ADD(chain_add_f32, float)
#undef ADD

EVERY_PROCESSOR void chain_axpy(int64_t n, double g, const double *restrict x, double *restrict y)
{
    for (int64_t k = 0; k < n; k++)
        y[k] += g * x[k];
}

void chain_scatter(int64_t n, double g, const double *restrict x, const uint32_t *restrict ids,
                   double *restrict y)
{
    for (int64_t k = 0; k < n; k++)
        y[ids[k]] += g * x[k];
}

EVERY_PROCESSOR void chain_inputs(ad_tape *t, uint32_t first, uint32_t n, uint32_t before,
                                  uint32_t row, const double *restrict values,
                                  ad_var *restrict inputs)
{
    node *restrict to = t->head.nodes + first;
    const uint64_t handle = (uint64_t)t->head.epoch << 32 | first;
    const uint64_t code = node_code(CODE_INPUT, first, row + 1), step = node_code(0, 1, 1);
    for (uint32_t k = 0; k < n; k++) {
        to[k].code = code + (k - 1) * step; /* linked to the input before, one more in the row */
        to[k].u.value = values[k];
        inputs[k].tape = t;
        inputs[k].u.bits = handle + k;
    }
    to[0].code = node_code(CODE_INPUT, before, row);
}
