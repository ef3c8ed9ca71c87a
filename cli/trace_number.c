/* trace_number.c - values as they are shown: numbers, and tensors in full where they are small */
#include <math.h>
#include <string.h>

#include "trace.h"

const char *trace_number(char out[32], double value, int digits)
{
    const double size = fabs(value);
    if (isnan(value)) {
        strcpy(out, "nan");
    } else if (isinf(value)) {
        strcpy(out, value > 0 ? "inf" : "-inf");
    } else if (value != 0 && (size >= 1e9 || size < pow(10, -digits) * 100)) {
        snprintf(out, 32, "%.*g", digits, value);
    } else {
        snprintf(out, 32, "%.*f", digits, value);
        char *end = out + strlen(out);
        while (strchr(out, '.') && (end[-1] == '0' || end[-1] == '.'))
            if (*--end == '.') {
                *end = 0;
                break;
            } else {
                *end = 0;
            }
        if (strcmp(out, "-0") == 0)
            strcpy(out, "0");
    }
    return out;
}

void trace_cell(const trace_node *n, const double *values, int few, int digits, char *out,
                size_t size)
{
    char number[32];
    size_t used = 0;
    if (n->rank == 0) {
        snprintf(out, size, "%s", trace_number(number, values[0], digits));
        return;
    }
    const bool all = n->size <= few;
    const int64_t count = all ? n->size : n->rank, last = n->shape[n->rank - 1];
    for (int64_t i = 0; i < count && used < size; i++) {
        const char *before = i == 0 ? all ? "[" : "(" : !all ? "," : i % last ? ", " : "; ";
        if (all)
            trace_number(number, values[i], digits);
        else
            snprintf(number, sizeof number, "%lld", (long long)n->shape[i]);
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, number);
    }
    if (used < size)
        snprintf(out + used, size - used, all ? count ? "]" : "[]" : ")");
}
