/* kernels.c - chooses among the sets of kernels: the best that the processor has and the context
 * allows
 */
#define AD_PLAIN
#include "kernels.h"
#include "algebra.h"
#include "memory.h"
#include "vector_math.h"
#include <string.h>

#if KERNELS_X86
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

const kernels *kernels_available(ad_kernels which)
{
#if KERNELS_X86
    if (which == AD_KERNELS_AVX512)
        return has_avx512() ? &kernels_avx512 : NULL;
    if (which == AD_KERNELS_AVX2)
        return has_avx2() ? &kernels_avx2 : NULL;
#endif
    return which == AD_KERNELS_BASELINE ? &kernels_baseline : NULL;
}

const kernels *kernels_of(const ad_context *context)
{
    const ad_kernels most = context_or_default(context)->kernels;
    const kernels *k = NULL;
    if (most == AD_KERNELS_BEST || most >= AD_KERNELS_AVX512)
        k = kernels_available(AD_KERNELS_AVX512);
    if (!k && (most == AD_KERNELS_BEST || most >= AD_KERNELS_AVX2))
        k = kernels_available(AD_KERNELS_AVX2);
    return k ? k : &kernels_baseline;
}

const char *ad_context_kernels(const ad_context *context) { return kernels_of(context)->name; }

/* ---- loops ---- */

enum { OPERANDS = 5 }; /* of a cotangent: g, a, b, c, y */

/* What is shorter than a block, filled up with zeros. */
typedef struct tail {
    double room[OPERANDS + 1][KERNELS_BLOCK_MOST / sizeof(double)];
    const void *in[OPERANDS];
} tail;

static void tail_of(tail *t, int n_in, const void *const *in, size_t bytes)
{
    memset(t->room, 0, sizeof t->room);
    for (int k = 0; k < n_in; k++) {
        t->in[k] = in[k] ? t->room[k] : NULL;
        if (in[k])
            memcpy(t->room[k], in[k], bytes);
    }
}

/* `bytes` further on, where there is anything */
static const void *from(const void *x, int64_t bytes) { return x ? (const char *)x + bytes : NULL; }

static double number(const void *x, ad_dtype dtype, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void set_number(void *x, ad_dtype dtype, int64_t i, double value)
{
    if (dtype == AD_F64)
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}

/* Angles beyond what vector_math.h reduces are rare: the rows of sines find them in a pass of their
 * own, and take the scalar value. */
static bool has_large_angle(int op, ad_dtype dtype, int64_t n, const void *a)
{
    if (!VECTOR_MATH || !(op == AD_OP_sin || op == AD_OP_cos || op == AD_OP_tan))
        return false;
    bool large = false;
    if (dtype == AD_F64)
        for (int64_t i = 0; i < n; i++)
            large |= fabs(((const double *)a)[i]) > VM_LARGEST_ANGLE;
    else
        for (int64_t i = 0; i < n; i++)
            large |= fabsf(((const float *)a)[i]) > (float)VM_LARGEST_ANGLE;
    return large;
}

static void large_angles(int op, ad_dtype dtype, int64_t n, const void *g, const void *a,
                         const void *y, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        double x[3] = {number(a, dtype, i), 0, 0}, dx[3];
        if (!(fabs(x[0]) > VM_LARGEST_ANGLE))
            continue;
        if (g)
            elementwise_ops[op].partials(number(g, dtype, i), x, number(y, dtype, i), dx);
        else
            dx[0] = elementwise_ops[op].value(x);
        set_number(out, dtype, i, dx[0]);
    }
}

/* The last, incomplete block begins before its place and ends with the array: elements computed
 * twice have the same bits. */
void kernels_map(const kernels *set, int op, ad_dtype dtype, int64_t n, const void *a,
                 const void *b, const void *c, void *y)
{
    map_loop *map = set->ops[op].map[dtype];
    const int64_t block = set->block_bytes, bytes = n * (int64_t)ad_dtype_size(dtype);
    const int64_t blocks = bytes / block, last = bytes - block;
    if (blocks) {
        map(blocks, a, b, c, y);
        if (bytes % block)
            map(1, from(a, last), from(b, last), from(c, last), (char *)y + last);
    } else if (n > 0) {
        tail t;
        tail_of(&t, 3, (const void *const[]){a, b, c}, (size_t)bytes);
        map(1, t.in[0], t.in[1], t.in[2], t.room[OPERANDS]);
        memcpy(y, t.room[OPERANDS], (size_t)bytes);
    }
    if (has_large_angle(op, dtype, n, a))
        large_angles(op, dtype, n, NULL, a, NULL, y);
}

void kernels_cotangent(const kernels *set, int op, int k, ad_dtype dtype, int64_t n, const void *g,
                       const void *a, const void *b, const void *c, const void *y, void *out)
{
    cotangent_loop *cotangent = set->ops[op].cotangent[k][dtype];
    const int64_t block = set->block_bytes, bytes = n * (int64_t)ad_dtype_size(dtype);
    const int64_t blocks = bytes / block, last = bytes - block;
    if (blocks) {
        cotangent(blocks, g, a, b, c, y, out);
        if (bytes % block)
            cotangent(1, from(g, last), from(a, last), from(b, last), from(c, last), from(y, last),
                      (char *)out + last);
    } else if (n > 0) {
        tail t;
        tail_of(&t, OPERANDS, (const void *const[]){g, a, b, c, y}, (size_t)bytes);
        cotangent(1, t.in[0], t.in[1], t.in[2], t.in[3], t.in[4], t.room[OPERANDS]);
        memcpy(out, t.room[OPERANDS], (size_t)bytes);
    }
    if (has_large_angle(op, dtype, n, a))
        large_angles(op, dtype, n, g, a, y, out);
}
