/* scale.c - features brought to one scale: x * scale + shift
 *
 * A first pass finds the mean (sums compensated by Neumaier's method) and the extremes, a second
 * one the variance about that mean: no cancellation however far from 0 the values lie. The variance
 * divides by the number of rows, as scikit-learn's StandardScaler does. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "error.h"

enum { CHUNK_ROWS = 64 };

typedef struct feature {
    double sum, lost; /* the sum, and what rounding took from it */
    double low, high, mean;
    double squares; /* of the deviations */
} feature;

typedef struct pass {
    const nn_data *data;
    int64_t n;        /* features */
    ad_tensor *chunk; /* (CHUNK_ROWS,n) of double */
    feature *features;
    nn_error *error;
} pass;

/* ---- chunks of rows as doubles ---- */

static int64_t next_chunk(pass *p, int64_t first)
{
    int64_t left = p->data->rows - first, n = left < CHUNK_ROWS ? left : CHUNK_ROWS;
    nn_data_gather(p->data, 0, NULL, first, n, p->chunk); /* shapes agree */
    return n;
}

static ad_tensor *new_chunk(int64_t features)
{
    const int64_t shape[2] = {CHUNK_ROWS, features};
    return nn_elements(2, shape) < 0 ? NULL : ad_tensor_new(NULL, AD_F64, 2, shape);
}

static bool good_data(const nn_data *data, const char *call, nn_error *error)
{
    if (!data)
        nn_fail(error, AD_NULL, "%s: the data are NULL", call);
    else if (data->is_stream)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: the data are a stream: its rows cannot be reached",
                call);
    else if (nn_row_size(data->inputs[0]) < 1)
        nn_fail(error, AD_BAD_SHAPE, "%s: the first input has no features", call);
    else
        return true;
    return false;
}

/* ---- fitting ---- */

static void add(feature *f, double x)
{
    double sum = f->sum + x;
    f->lost += fabs(f->sum) >= fabs(x) ? (f->sum - sum) + x : (x - sum) + f->sum;
    f->sum = sum;
    f->low = x < f->low ? x : f->low;
    f->high = x > f->high ? x : f->high;
}

static bool not_finite(const pass *p, int64_t row, int64_t k, double x)
{
    nn_fail(p->error, AD_NOT_FINITE,
            "scaler: row %" PRId64 ", feature %" PRId64 " is %s: take it out first", row, k,
            isnan(x) ? "NaN" : "infinite");
    return false;
}

static bool find_means(pass *p)
{
    for (int64_t k = 0; k < p->n; k++)
        p->features[k] = (feature){.low = INFINITY, .high = -(double)INFINITY};
    for (int64_t first = 0, rows; first < p->data->rows; first += rows) {
        rows = next_chunk(p, first);
        const double *x = ad_tensor_data_const(p->chunk);
        for (int64_t i = 0; i < rows; i++, x += p->n)
            for (int64_t k = 0; k < p->n; k++) {
                if (!isfinite(x[k]))
                    return not_finite(p, first + i, k, x[k]);
                add(&p->features[k], x[k]);
            }
    }
    for (int64_t k = 0; k < p->n; k++) {
        feature *f = &p->features[k];
        f->mean = f->low == f->high ? f->low : (f->sum + f->lost) / (double)p->data->rows;
    }
    return true;
}

static void find_squares(pass *p)
{
    for (int64_t first = 0, rows; first < p->data->rows; first += rows) {
        rows = next_chunk(p, first);
        const double *x = ad_tensor_data_const(p->chunk);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < p->n; k++) {
                double d = x[i * p->n + k] - p->features[k].mean;
                p->features[k].squares += d * d;
            }
    }
}

static bool settle(const pass *p, nn_scaling kind, nn_scaler *scaler)
{
    for (int64_t k = 0; k < p->n; k++) {
        const feature *f = &p->features[k];
        bool standard = kind == NN_STANDARDISE;
        double from = standard ? f->mean : f->low;
        double size = standard ? sqrt(f->squares / (double)p->data->rows) : f->high - f->low;
        double scale = f->low == f->high ? 1 : 1 / size, shift = -from * scale;
        if (!isfinite(size) || !isfinite(scale) || !isfinite(shift)) {
            nn_fail(p->error, AD_NOT_FINITE,
                    "scaler: feature %" PRId64 " varies too little or too much for its scale to be "
                    "a double",
                    k);
            return false;
        }
        scaler->scale[k] = scale;
        scaler->shift[k] = shift + 0.0; /* no -0 */
    }
    return true;
}

static void fit(pass *p, nn_scaling kind, nn_scaler *scaler)
{
    p->n = nn_row_size(p->data->inputs[0]);
    p->chunk = new_chunk(p->n);
    p->features = calloc((size_t)p->n, sizeof *p->features);
    *scaler = (nn_scaler){p->n, calloc((size_t)p->n, sizeof(double)),
                          calloc((size_t)p->n, sizeof(double))};
    if (!p->chunk || !p->features || !scaler->scale || !scaler->shift)
        nn_no_memory(p->error);
    else if (find_means(p)) {
        find_squares(p);
        settle(p, kind, scaler);
    }
    ad_tensor_free(p->chunk);
    free(p->features);
}

ad_status nn_scaler_fit(nn_scaler *scaler, nn_scaling kind, const nn_data *train, nn_error *error)
{
    nn_error own;
    if (scaler)
        *scaler = (nn_scaler){0}; /* to be freed in any case */
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!scaler)
        return nn_fail(error, AD_NULL, "scaler: it is NULL");
    if (kind != NN_STANDARDISE && kind != NN_MIN_MAX)
        return nn_fail(error, AD_BAD_ARGUMENT, "scaler: %d is no kind of scaling", (int)kind);
    if (!good_data(train, "scaler", error))
        return error->status;
    pass p = {.data = train, .error = error};
    fit(&p, kind, scaler);
    if (error->status)
        nn_scaler_free(scaler);
    return error->status;
}

void nn_scaler_free(nn_scaler *scaler)
{
    if (!scaler)
        return;
    free(scaler->scale);
    free(scaler->shift);
    *scaler = (nn_scaler){0};
}

/* ---- applying ---- */

static void scale_chunk(const nn_scaler *s, int64_t rows, const double *x, ad_tensor *to,
                        int64_t first)
{
    void *data = ad_tensor_data(to);
    bool floats = ad_tensor_dtype(to) == AD_F32;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < s->n; k++) {
            double y = x[i * s->n + k] * s->scale[k] + s->shift[k];
            if (floats)
                ((float *)data)[(first + i) * s->n + k] = (float)y;
            else
                ((double *)data)[(first + i) * s->n + k] = y;
        }
}

static ad_tensor *scaled_input(const nn_scaler *scaler, const nn_data *data)
{
    const ad_tensor *from = data->inputs[0];
    pass p = {.data = data, .n = scaler->n, .chunk = new_chunk(scaler->n)};
    ad_tensor *to = p.chunk ? ad_tensor_new(NULL, ad_tensor_dtype(from) == AD_F32 ? AD_F32 : AD_F64,
                                            ad_tensor_rank(from), ad_tensor_shape(from))
                            : NULL;
    for (int64_t first = 0, rows; to && first < data->rows; first += rows) {
        rows = next_chunk(&p, first);
        scale_chunk(scaler, rows, ad_tensor_data_const(p.chunk), to, first);
    }
    ad_tensor_free(p.chunk);
    return to;
}

nn_data *nn_scaler_apply(const nn_scaler *scaler, const nn_data *data, nn_error *error)
{
    if (nn_earlier(error) || !good_data(data, "scaler", error))
        return NULL;
    if (!scaler || !scaler->scale || !scaler->shift) {
        nn_fail(error, AD_NULL, "scaler: it is NULL, or was not fitted");
        return NULL;
    }
    int64_t n = nn_row_size(data->inputs[0]);
    if (n != scaler->n) {
        nn_fail(error, AD_BAD_SHAPE,
                "scaler: the first input has %" PRId64
                " features, the scaler was fitted on %" PRId64,
                n, scaler->n);
        return NULL;
    }
    ad_tensor *input = scaled_input(scaler, data);
    if (!input) {
        nn_no_memory(error);
        return NULL;
    }
    return nn_data_with_input(data, input, error);
}

nn_layer nn_scaled(const nn_scaler *scaler)
{
    nn_layer layer = {.kind = NN_SCALE};
    if (scaler) {
        layer.n_scale = scaler->n;
        layer.scale = scaler->scale;
        layer.shift = scaler->shift;
    }
    return layer;
}
