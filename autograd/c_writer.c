/* c_writer.c - see c_writer.h
 *
 * An array of the text is named by the object that it lies in, and its elements by the loops around
 * them. */
#define AD_PLAIN
#include "c_writer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

void c_put(c_writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (w->to)
        vfprintf(w->to, format, args);
    va_end(args);
}

void c_begin_line(c_writer *w) { c_put(w, "%*s", 4 * w->depth, ""); }

const char *c_type(ad_dtype dtype)
{
    return dtype == AD_F64 ? "double" : dtype == AD_F32 ? "float" : "int32_t";
}

void c_helper(c_writer *w, int helper, ad_dtype dtype)
{
    static const char *const names[] = {
#define HELPER(name, ...) #name,
#include "c_helpers.def"
    };
    c_helpers_need(&w->helpers, dtype, helper);
    c_put(w, "%s_%s", names[helper], dtype == AD_F64 ? "f64" : "f32");
}

/* The fewest digits that read back as the same number. */
void c_number(c_writer *w, double x, ad_dtype dtype)
{
    const bool is_float = dtype == AD_F32;
    char text[48];
    x = is_float ? (double)(float)x : x;
    if (dtype == AD_I32)
        snprintf(text, sizeof text, x > -2147483648.0 ? "%.0f" : "(-2147483647 - 1)", x);
    else if (!isfinite(x))
        snprintf(text, sizeof text, "%s", isnan(x) ? "NAN" : x < 0 ? "-INFINITY" : "INFINITY");
    else
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, x);
            if (is_float ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x)
                break;
        }
    const bool whole = isfinite(x) && dtype != AD_I32 && !strpbrk(text, ".,e");
    for (char *comma = strchr(text, ','); comma; comma = NULL)
        *comma = '.';
    const char *const ending = isfinite(x) && is_float ? "f" : "";
    c_put(w, x < 0 || signbit(x) ? "(%s%s%s)" : "%s%s%s", text, whole ? ".0" : "", ending);
}

/* ---- lanes and loops ---- */

c_lane c_lane_of(const c_writer *w, uint32_t i)
{
    return (c_lane){i, frame_array(&w->layout->frame, i)};
}

c_lane c_scratch(c_writer *w, ad_dtype dtype, int rank, const int64_t *shape)
{
    const c_lane l = {C_SCRATCH, array_of(NULL, dtype, rank, shape)};
    const size_t bytes = (array_bytes(&l.a) + 7) / 8 * 8;
    w->scratch = bytes > w->scratch ? bytes : w->scratch;
    return l;
}

static bool continues(const c_nest *nest, int n, const array *arrays, int axis)
{
    const int last = nest->rank - 1;
    for (int k = 0; k < n && last >= 0; k++)
        if (nest->stride[k][last] != arrays[k].stride[axis] * arrays[k].shape[axis])
            return false;
    return last >= 0;
}

c_nest c_nest_of(c_writer *w, int n, const array *arrays, bool merged)
{
    c_nest nest = {.stride = arena_take(&w->layout->memory, ((size_t)n + 1) * sizeof *nest.stride)};
    if (!nest.stride) {
        w->status = AD_NO_MEMORY;
        return nest;
    }
    for (int i = 0; i < arrays[0].rank; i++) {
        const int64_t size = arrays[0].shape[i];
        if (merged && size == 1)
            continue;
        const bool joins = merged && continues(&nest, n, arrays, i);
        const int to = joins ? nest.rank - 1 : nest.rank;
        nest.shape[to] = joins ? nest.shape[to] * size : size;
        for (int k = 0; k < n; k++)
            nest.stride[k][to] = arrays[k].stride[i];
        nest.rank = to + 1;
    }
    return nest;
}

void c_open(c_writer *w, const c_nest *n, int from, int to)
{
    for (int i = from; i < to; i++, w->depth++) {
        c_begin_line(w);
        c_put(w, "for (long i%d = 0; i%d < %lld; i%d++)\n", i, i, (long long)n->shape[i], i);
    }
}

void c_close(c_writer *w, int loops) { w->depth -= loops; }

/* ---- names ---- */

/* of a node that is a number */
void c_scalar(c_writer *w, uint32_t i)
{
    const node *n = &w->p->frame.nodes[i];
    w->is_used[i] = true;
    if (node_op(n) == CODE_CONSTANT)
        c_number(w, n->u.value, AD_F64);
    else if (w->objects[i].letter)
        c_put(w, "%c%u[0]", w->objects[i].letter, w->objects[i].number);
    else
        c_put(w, "s%u", i);
}

void c_name(c_writer *w, const c_lane *l)
{
    if (l->node == C_SCRATCH) {
        c_put(w, l->a.dtype == AD_F64 ? "r" : "((%s *)r)", c_type(l->a.dtype));
        return;
    }
    if (c_is_scalar(w, l->node)) {
        c_scalar(w, l->node);
        return;
    }
    const uint32_t base = w->base[l->node];
    w->is_used[base] = true;
    c_put(w, "%c%u", w->objects[base].letter, w->objects[base].number);
}

/* where the array begins in its object, in elements */
static int64_t offset_of(const c_writer *w, const c_lane *l)
{
    if (l->node == C_SCRATCH || c_is_scalar(w, l->node) || !l->a.size)
        return 0;
    const char *from = frame_array(&w->layout->frame, w->base[l->node]).data;
    return ((const char *)l->a.data - from) / (int64_t)ad_dtype_size(l->a.dtype);
}

/* "3*i0 + i1 + 5", each term but perhaps the first behind a sign; gives whether there is any */
static bool terms(c_writer *w, const c_lane *l, const c_nest *n, int k, bool is_first)
{
    for (int i = 0; n && i < n->rank; i++) {
        const int64_t by = n->stride[k][i];
        if (!by)
            continue;
        c_put(w, by < 0 ? (is_first ? "-" : " - ") : is_first ? "" : " + ");
        if (by != 1 && by != -1)
            c_put(w, "%lld*", llabs((long long)by));
        c_put(w, "i%d", i);
        is_first = false;
    }
    const int64_t offset = offset_of(w, l);
    if (offset)
        c_put(w, is_first ? "%lld" : " + %lld", (long long)offset);
    return !is_first || offset;
}

void c_index(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    if (!terms(w, l, n, k, true))
        c_put(w, "0");
}

void c_element(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    c_name(w, l);
    if (c_is_scalar(w, l->node))
        return;
    c_put(w, "[");
    c_index(w, l, n, k);
    c_put(w, "]");
}

void c_pointer(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    if (!l->a.size) {
        c_put(w, "NULL");
        return;
    }
    if (c_is_scalar(w, l->node))
        c_put(w, "(const double[]){");
    c_name(w, l);
    if (c_is_scalar(w, l->node))
        c_put(w, "}");
    else
        terms(w, l, n, k, false);
}
