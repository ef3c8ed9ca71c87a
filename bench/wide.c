/* wide.c - reads which long arrays are wanted, and makes them */
#include "wide.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *wide_read(wide *w, const char *words)
{
    static const char *const names[WIDE_COUNT] = {"affine", "tanh", "exp", "triad"};
    char name[16];
    *w = (wide){0};
    if (sscanf(words, "%15s %zu %d", name, &w->n, &w->threads) != 3)
        return "wide: case, elements, threads, manner";
    int id = 0;
    while (id < WIDE_COUNT && strcmp(name, names[id]))
        id++;
    if (id == WIDE_COUNT)
        return "absent";
    w->id = (enum wide_case)id;
    w->inputs = id == WIDE_AFFINE || id == WIDE_TRIAD ? 3 : 1;
    for (int k = 0; k < w->inputs; k++) {
        float *x = w->x[k] = malloc(w->n * sizeof *x);
        if (!x)
            return "out of memory";
        for (size_t i = 0; i < w->n; i++) /* between -1 and 1, and exact */
            x[i] = (float)((int32_t)((uint32_t)i * 7u + 13u * (uint32_t)k) % 1000) / 500 - 1;
    }
    return NULL;
}
