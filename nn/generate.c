/* generate.c - made-up data: points of the plane in classes
 *
 * Row i belongs to class i modulo their number, so that classes are balanced and any beginning of
 * the rows too. Each row has two uniform and two normal numbers of its own, drawn by the seed and
 * the keys below at step 0; the uniform ones say where the point lies, the normal ones, times
 * `noise`, how far it strays. */
#include <inttypes.h>

#include "data.h"
#include "error.h"

/* Keys of the draws: the words in ASCII. */
#define KEY_PLACE ((uint64_t)0x706c616365) /* "place" */
#define KEY_NOISE ((uint64_t)0x6e6f697365) /* "noise" */

static const double pi = 3.14159265358979323846;

typedef struct generator {
    const char *name;
    int64_t rows;
    int classes;
    double noise;
    uint64_t seed;
    /* the point of a row without noise: `i` of `n` in its class; u: two numbers in (0,1) */
    void (*place)(const struct generator *g, int class, int64_t i, int64_t n, const double u[2],
                  double point[2]);
} generator;

static bool good_generator(const generator *g, nn_error *error)
{
    const int64_t shape[2] = {g->rows, 2};
    if (g->rows < 1 || nn_elements(2, shape) < 0)
        nn_fail(error, g->rows < 1 ? AD_BAD_ARGUMENT : AD_TOO_LARGE,
                "%s: %" PRId64 " rows: there must be one at least, and memory for all", g->name,
                g->rows);
    else if (g->classes < 1)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: %d classes: there must be one at least", g->name,
                g->classes);
    else if (!(g->noise >= 0) || !isfinite(g->noise))
        nn_fail(error, AD_BAD_ARGUMENT, "%s: the noise must be 0 or more, and finite", g->name);
    else
        return true;
    return false;
}

static void fill(const generator *g, const double *u, double *x, int32_t *y)
{
    for (int64_t row = 0; row < g->rows; row++) {
        int class = (int)(row % g->classes);
        int64_t i = row / g->classes, n = (g->rows - class - 1) / g->classes + 1;
        double point[2];
        g->place(g, class, i, n, u + 2 * row, point);
        for (int k = 0; k < 2; k++)
            x[2 * row + k] = point[k] + g->noise * x[2 * row + k];
        y[row] = class;
    }
}

static nn_data *generated(const generator *g, nn_error *error)
{
    if (nn_earlier(error) || !good_generator(g, error))
        return NULL;
    const int64_t shape[2] = {g->rows, 2};
    ad_tensor *u = ad_tensor_new(NULL, AD_F64, 2, shape),
              *x = ad_tensor_new(NULL, AD_F64, 2, shape);
    ad_tensor *y = ad_tensor_new(NULL, AD_I32, 1, shape);
    nn_data *data = NULL;
    if (!u || !x || !y)
        nn_no_memory(error);
    else if (ad_draw_uniform(u, g->seed, KEY_PLACE, 0) || ad_draw_normal(x, g->seed, KEY_NOISE, 0))
        nn_fail(error, AD_BAD_ARGUMENT, "%s: the random numbers could not be drawn", g->name);
    else {
        fill(g, ad_tensor_data_const(u), ad_tensor_data(x), ad_tensor_data(y));
        data = nn_data_new(1, &x, y, NULL, error);
    }
    if (data)
        data->n_classes = g->classes; /* even where there are fewer rows */
    ad_tensor_free(u);
    ad_tensor_free(x);
    ad_tensor_free(y);
    return data;
}

/* ---- the shapes ---- */

static void xor_place(const generator *g, int class, int64_t i, int64_t n, const double u[2],
                      double point[2])
{
    (void)g, (void)n;
    int left = (int)(i % 2), below = left ^ class; /* both quadrants of a class in turn */
    for (int k = 0; k < 2; k++)
        point[k] = (k ? below : left) ? -.1 - .9 * u[k] : .1 + .9 * u[k];
}

nn_data *nn_make_xor(int64_t rows, double noise, uint64_t seed, nn_error *error)
{
    return generated(&(generator){"xor", rows, 2, noise, seed, xor_place}, error);
}

static void spiral_place(const generator *g, int arm, int64_t i, int64_t n, const double u[2],
                         double point[2])
{
    (void)i, (void)n;
    double radius = .1 + .9 * u[0], angle = 2 * pi * (radius + (double)arm / g->classes);
    point[0] = radius * cos(angle);
    point[1] = radius * sin(angle);
}

nn_data *nn_make_spirals(int64_t rows, int arms, double noise, uint64_t seed, nn_error *error)
{
    return generated(&(generator){"spirals", rows, arms, noise, seed, spiral_place}, error);
}

static void moon_place(const generator *g, int moon, int64_t i, int64_t n, const double u[2],
                       double point[2])
{
    (void)g, (void)u;
    double angle = n > 1 ? pi * (double)i / (double)(n - 1) : 0;
    point[0] = moon ? 1 - cos(angle) : cos(angle);
    point[1] = moon ? .5 - sin(angle) : sin(angle);
}

nn_data *nn_make_moons(int64_t rows, double noise, uint64_t seed, nn_error *error)
{
    return generated(&(generator){"moons", rows, 2, noise, seed, moon_place}, error);
}

static void blob_place(const generator *g, int class, int64_t i, int64_t n, const double u[2],
                       double point[2])
{
    (void)i, (void)n, (void)u;
    point[0] = cos(2 * pi * class / g->classes);
    point[1] = sin(2 * pi * class / g->classes);
}

nn_data *nn_make_blobs(int64_t rows, int classes, double spread, uint64_t seed, nn_error *error)
{
    return generated(&(generator){"blobs", rows, classes, spread, seed, blob_place}, error);
}
