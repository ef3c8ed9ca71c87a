/* model.c - reads a network's description; weights and data from formulas */
#define _POSIX_C_SOURCE 200809L
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool model_read(model *m, const char *words)
{
    char optimizer[8], widths[64];
    *m = (model){.layers = -1};
    if (sscanf(words, "%63s %d %7s %d", widths, &m->batch, optimizer, &m->threads) != 4)
        return false;
    m->adam = !strcmp(optimizer, "adam");
    for (char *w = strtok(widths, ","); w && m->layers < MAX_LAYERS; w = strtok(NULL, ","))
        m->width[++m->layers] = atoi(w);
    return m->layers > 0 && m->batch > 0;
}

float *model_floats(size_t n, long times, long modulus, double shift, double scale)
{
    float *data = malloc(n * sizeof *data);
    for (size_t i = 0; data && i < n; i++)
        data[i] = (float)(((double)((long)i * times % modulus) / (double)modulus - shift) * scale);
    return data;
}

float *model_weights(const model *m, int layer)
{
    const int in = m->width[layer], out = m->width[layer + 1];
    return model_floats((size_t)in * (size_t)out, 7919 + layer, 1000, .5, 2 * sqrt(6. / in));
}
