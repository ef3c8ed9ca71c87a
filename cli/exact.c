/* exact.c - see exact.h */
#include "exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *exact_number(char out[32], double value)
{
    if (isnan(value))
        return strcpy(out, "nan");
    if (isinf(value))
        return strcpy(out, value > 0 ? "inf" : "-inf");
    if (value == 0) /* readers take "-0" for an integer, and lose its sign */
        return strcpy(out, signbit(value) ? "-0.0" : "0");
    if (fabs(value) < 1e15 && value == floor(value)) { /* 10, not 1e+01 */
        snprintf(out, 32, "%.0f", value);
        return out;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

/* Axes that begin at element i, or end before it. */
static int axes_at(int rank, const int64_t *shape, int64_t i)
{
    int n = 0;
    int64_t size = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        size *= shape[axis];
        n += i % size == 0;
    }
    return n;
}

static void put_times(char c, int n, FILE *to)
{
    for (; n > 0; n--)
        fputc(c, to);
}

void put_exact(int rank, const int64_t *shape, const double *values, const char *quotes, FILE *to)
{
    char text[32];
    int64_t size = 1;
    for (int i = 0; i < rank; i++)
        size *= shape[i];
    if (size == 0)
        fputs("[]", to);
    for (int64_t i = 0; i < size; i++) {
        const char *around = isfinite(values[i]) ? "" : quotes;
        const int axes = axes_at(rank, shape, i);
        if (i) {
            put_times(']', axes, to);
            fputs(", ", to);
        }
        put_times('[', axes, to);
        fprintf(to, "%s%s%s", around, exact_number(text, values[i]), around);
    }
    put_times(']', size ? rank : 0, to);
}

bool has_partials(const trace_node *n)
{
    for (int i = 0; n->rank == 0 && i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, n->operation) == 0)
            return ad_op_at(i)->elementwise;
    return false;
}

trace_contribution *contributions_of(const trace *t, int i, int *n)
{
    *n = trace_contributions(t, i, NULL);
    trace_contribution *all = malloc((size_t)*n * sizeof *all + 1);
    if (all)
        trace_contributions(t, i, all);
    return all;
}

double *argument_values(const trace *t, const trace_node *n, int k, int *rank,
                        const int64_t **shape)
{
    const ad_var v = ad_node_var(t->tape, ad_node_parent(t->tape, n->on_tape, k));
    double *values = malloc((size_t)ad_size(v) * sizeof *values + 1);
    *rank = ad_rank(v);
    *shape = ad_shape(v);
    if (values && ad_read(v, values) == AD_OK)
        return values;
    free(values);
    return NULL;
}
