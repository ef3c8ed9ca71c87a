/* fitting.h - small data, models and expectations for tests of training */
#ifndef TESTS_FITTING_H
#define TESTS_FITTING_H
#include "expect.h"
#include "nn.h"

static inline void fine_at(const nn_error *e, int line)
{
    if (e->status)
        fail_msg("line %d: %s: %s", line, ad_status_name(e->status), e->text);
}

/* An error of that kind with that in its text; forgets it. */
static inline void fails_at(nn_error *e, ad_status want, const char *part, int line)
{
    if (e->status != want || !strstr(e->text, part))
        fail_msg("line %d: got %s \"%s\", want %s with \"%s\" in it", line,
                 ad_status_name(e->status), e->text, ad_status_name(want), part);
    *e = (nn_error){0};
}

static inline void near_at(double got, double want, double tolerance, const char *what, int line)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("line %d: %s: got %.17g, want %.17g within %g", line, what, got, want, tolerance);
}

#define FINE(e)                       fine_at(&(e), __LINE__)
#define FAILS(e, status, part)        fails_at(&(e), status, part, __LINE__)
#define NEAR(got, want, tolerance)    near_at(got, want, tolerance, #got, __LINE__)
#define COUNT(array)                  ((int)(sizeof(array) / sizeof *(array)))
#define SAME_VALUES(a, b)             same_values_at(a, b, __LINE__)
#define CLOSE_VALUES(a, b, tolerance) close_values_at(a, b, tolerance, __LINE__)

/* What two models hold, parameter by parameter. */
static inline bool same_values(const nn_model *a, const nn_model *b, const char **name)
{
    for (int i = 0; i < nn_param_count(a); i++) {
        const ad_tensor *x = ad_param_value(nn_param_at(a, i)),
                        *y = ad_param_value(nn_param_at(b, i));
        const size_t bytes = (size_t)ad_tensor_size(x) * ad_dtype_size(ad_tensor_dtype(x));
        *name = ad_param_name(nn_param_at(a, i));
        if (ad_tensor_size(x) != ad_tensor_size(y) ||
            memcmp(ad_tensor_data_const(x), ad_tensor_data_const(y), bytes) != 0)
            return false;
    }
    return nn_param_count(a) == nn_param_count(b);
}

static inline void same_values_at(const nn_model *a, const nn_model *b, int line)
{
    const char *name = "";
    if (!same_values(a, b, &name))
        fail_msg("line %d: '%s' has other bits", line, name);
}

static inline void close_values_at(const nn_model *a, const nn_model *b, double tolerance, int line)
{
    for (int i = 0; i < nn_param_count(a); i++) {
        const ad_tensor *x = ad_param_value(nn_param_at(a, i)),
                        *y = ad_param_value(nn_param_at(b, i));
        double u[256], v[256];
        assert_true(ad_tensor_size(x) == ad_tensor_size(y) && ad_tensor_size(x) <= 256);
        ad_tensor_read(x, u);
        ad_tensor_read(y, v);
        for (int64_t k = 0; k < ad_tensor_size(x); k++)
            near_at(u[k], v[k], tolerance, ad_param_name(nn_param_at(a, i)), line);
    }
}

static inline double *values_of(const nn_model *m, const char *name)
{
    ad_param *p = nn_param_find(m, name);
    if (!p)
        fail_msg("no parameter '%s'", name);
    return ad_tensor_data(ad_param_value(p));
}

/* Data of tensors; takes over their references. */
static inline nn_data *data_of(ad_tensor *x, ad_tensor *y, ad_tensor *weights)
{
    nn_error e = {0};
    nn_data *data = nn_data_new(1, &x, y, weights, &e);
    fine_at(&e, __LINE__);
    ad_tensor_free(x);
    ad_tensor_free(y);
    ad_tensor_free(weights);
    return data;
}

static inline ad_tensor *drawn(int64_t rows, int64_t columns, uint64_t seed)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, columns ? 2 : 1, (int64_t[]){rows, columns});
    ad_draw_normal(t, seed, 7, 0);
    return t;
}

static inline ad_tensor *row_numbers(int64_t rows)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, 2, (int64_t[]){rows, 1});
    for (int64_t i = 0; i < rows; i++)
        ((double *)ad_tensor_data(t))[i] = (double)i;
    return t;
}

/* weights .5, 1, 1.5, 2, .5, ... */
static inline ad_tensor *some_weights(int64_t rows)
{
    ad_tensor *t = ad_tensor_new(NULL, AD_F64, 1, &rows);
    for (int64_t i = 0; i < rows; i++)
        ((double *)ad_tensor_data(t))[i] = .5 * (double)(i % 4 + 1);
    return t;
}

/* y = 2 x0 - 3 x1 + 1, and noise */
static inline nn_data *plane(int64_t rows, double noise, bool weighted)
{
    ad_tensor *x = drawn(rows, 2, 1), *y = drawn(rows, 1, 2);
    const double *u = ad_tensor_data_const(x);
    double *v = ad_tensor_data(y);
    for (int64_t i = 0; i < rows; i++)
        v[i] = 2 * u[2 * i] - 3 * u[2 * i + 1] + 1 + noise * v[i];
    return data_of(x, y, weighted ? some_weights(rows) : NULL);
}

/* (N,in) -> (N,out): x W + b */
static inline nn_model *linear(int64_t in, int64_t out, uint64_t seed)
{
    return nn_mlp(&(nn_mlp_config){.in = in, .out = out, .seed = seed});
}

static inline nn_model *small(int64_t out, ad_dtype dtype, uint64_t seed)
{
    return nn_mlp(&(nn_mlp_config){
        .in = 2, .hidden = {8}, .out = out, .activation = NN_TANH, .seed = seed, .dtype = dtype});
}

/* nn_sgd(0) would have the default rate */
static inline nn_optimizer still(void)
{
    nn_optimizer o = nn_sgd(1);
    o.rate = 0;
    return o;
}

/* A stream over data in memory: in the order of an epoch, at most `most` rows a time. */
typedef struct tap {
    const nn_data *data;
    int64_t at, most, fail_at;
    int64_t rewinds, last_epoch;
    bool ahead; /* says that it may be read ahead */
} tap;

static inline int64_t tap_next(void *user, int64_t rows, ad_tensor *const *inputs,
                               ad_tensor *target, ad_tensor *weights)
{
    tap *s = user;
    const int64_t left = nn_data_rows(s->data) - s->at;
    int64_t n = rows < left ? rows : left;
    n = s->most && n > s->most ? s->most : n;
    if (s->fail_at && s->at >= s->fail_at)
        return -1;
    const struct {
        const ad_tensor *from;
        ad_tensor *to;
    } copies[] = {{nn_data_input(s->data, 0), inputs[0]},
                  {nn_data_target(s->data), target},
                  {nn_data_weights(s->data), weights}};
    for (int k = 0; k < COUNT(copies); k++) {
        if (!copies[k].from || !copies[k].to)
            continue;
        const size_t row = (size_t)(ad_tensor_size(copies[k].from) / nn_data_rows(s->data)) *
                           ad_dtype_size(ad_tensor_dtype(copies[k].from));
        memcpy(ad_tensor_data(copies[k].to),
               (const char *)ad_tensor_data_const(copies[k].from) + (size_t)s->at * row,
               (size_t)n * row);
    }
    s->at += n;
    return n;
}

static inline bool tap_rewind(void *user, int64_t epoch)
{
    tap *s = user;
    s->at = 0;
    s->rewinds++;
    s->last_epoch = epoch;
    return true;
}

static inline nn_shape shape_of(const ad_tensor *t)
{
    nn_shape shape = {.rank = ad_tensor_rank(t) - 1, .indices = ad_tensor_dtype(t) == AD_I32};
    for (int i = 0; i < shape.rank; i++)
        shape.size[i] = ad_tensor_shape(t)[i + 1];
    return shape;
}

static inline nn_data *stream_of(tap *s, bool known)
{
    nn_error e = {0};
    nn_data *data = nn_data_stream(&(nn_stream){.next = tap_next,
                                                .rewind = tap_rewind,
                                                .user = s,
                                                .rows = known ? nn_data_rows(s->data) : -1,
                                                .n_inputs = 1,
                                                .inputs = {shape_of(nn_data_input(s->data, 0))},
                                                .target = shape_of(nn_data_target(s->data)),
                                                .weighted = nn_data_weights(s->data) != NULL,
                                                .ahead = s->ahead},
                                   &e);
    fine_at(&e, __LINE__);
    return data;
}

#endif
