/* data.c - examples, and batches of them
 *
 * nn_data holds references to tensors and never changes; what looks like a change makes a new one
 * that shares them. A batch is made by nn_data_gather, which training calls at every step: it
 * allocates nothing, and moves whole rows by memcpy where element types agree and a row's elements
 * lie behind one another. */
#include "data.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* ---- tensors ---- */

int64_t nn_elements(int rank, const int64_t *shape)
{
    const int64_t most = (PTRDIFF_MAX < INT64_MAX ? (int64_t)PTRDIFF_MAX : INT64_MAX) / 8;
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (shape[i] && product > most / shape[i]))
            return -1;
        empty |= shape[i] == 0;
        product *= shape[i] ? shape[i] : 1;
    }
    return empty ? 0 : product;
}

/* axes `from` and up lie row-major */
static bool lies_row_major(const ad_tensor *tensor, int from)
{
    const int64_t *shape = ad_tensor_shape(tensor), *stride = ad_tensor_strides(tensor);
    int64_t want = 1;
    for (int i = ad_tensor_rank(tensor) - 1; i >= from; i--) {
        if (shape[i] != 1 && stride[i] != want)
            return false;
        want *= shape[i] ? shape[i] : 1;
    }
    return true;
}

int64_t nn_row_size(const ad_tensor *tensor)
{
    return nn_elements(ad_tensor_rank(tensor) - 1, ad_tensor_shape(tensor) + 1);
}

bool nn_is_row_major(const ad_tensor *tensor)
{
    return ad_tensor_size(tensor) == 0 || lies_row_major(tensor, 0);
}

ad_tensor *nn_row_major(const ad_tensor *tensor)
{
    if (nn_is_row_major(tensor))
        return ad_tensor_retain((ad_tensor *)(uintptr_t)tensor); /* only its count changes */
    ad_tensor *copy = ad_tensor_new(NULL, ad_tensor_dtype(tensor), ad_tensor_rank(tensor),
                                    ad_tensor_shape(tensor));
    if (copy)
        ad_tensor_copy(copy, tensor); /* shapes agree */
    return copy;
}

/* ---- names ---- */

void nn_names_free(int n, char **names)
{
    for (int i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

char **nn_names_copy(int n, char *const *names)
{
    char **copy = names ? calloc((size_t)n + 1, sizeof *copy) : NULL;
    for (int i = 0; copy && i < n; i++) {
        size_t size = strlen(names[i]) + 1;
        copy[i] = malloc(size);
        if (!copy[i]) {
            nn_names_free(n, copy);
            return NULL;
        }
        memcpy(copy[i], names[i], size);
    }
    return copy;
}

enum { LONGEST_NAME = 63 };

static int letter(char c) { return tolower((unsigned char)c); }

/* Levenshtein's distance, capitals counting as small letters. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[LONGEST_NAME + 1];
    if (n > LONGEST_NAME || m > LONGEST_NAME)
        return LONGEST_NAME;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = corner + (letter(a[i - 1]) != letter(b[j - 1]));
            corner = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

static const char *nearest(const char *asked, int n, char *const *names)
{
    const char *best = NULL;
    int least = (int)(strlen(asked) + 2) / 3 + 1; /* further away it is no misspelling */
    for (int i = 0; i < n; i++) {
        int d = distance(asked, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

void nn_names_hint(const char *asked, int n, char *const *names, size_t size, char *out)
{
    const char *near = nearest(asked, n, names);
    int used = near ? snprintf(out, size, "; did you mean \"%s\"? There are: ", near)
                    : snprintf(out, size, "; there are: ");
    for (int i = 0; i < n && used >= 0 && (size_t)used < size; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): n names
        bool fits = (size_t)used + strlen(names[i]) + sizeof ", ..." < size;
        used += snprintf(out + used, size - (size_t)used, "%s%s", i ? ", " : "",
                         fits ? names[i] : "...");
        if (!fits)
            return;
    }
}

/* ---- making ---- */

static bool fits_rows(const ad_tensor *tensor, int64_t rows, const char *what, nn_error *error)
{
    if (ad_tensor_rank(tensor) < 1)
        nn_fail(error, AD_BAD_SHAPE, "data: %s has no axes: its first one counts examples", what);
    else if (ad_tensor_shape(tensor)[0] != rows)
        nn_fail(error, AD_BAD_SHAPE,
                "data: %s has %" PRId64 " rows, the first input %" PRId64 ": they must agree", what,
                ad_tensor_shape(tensor)[0], rows);
    else
        return true;
    return false;
}

static bool good_inputs(int n, ad_tensor *const *inputs, nn_error *error)
{
    if (n < 1 || n > NN_MAX_INPUTS) {
        nn_fail(error, AD_BAD_ARGUMENT, "data: %d inputs: there can be 1 to %d", n, NN_MAX_INPUTS);
        return false;
    }
    for (int k = 0; k < n; k++) {
        char what[32];
        snprintf(what, sizeof what, "input %d", k);
        if (!inputs || !inputs[k]) {
            nn_fail(error, AD_NULL, "data: %s is NULL", inputs ? what : "the array of inputs");
            return false;
        }
        int64_t rows = ad_tensor_rank(inputs[0]) > 0 ? ad_tensor_shape(inputs[0])[0] : 0;
        if (!fits_rows(inputs[k], rows, what, error))
            return false;
    }
    if (ad_tensor_shape(inputs[0])[0] == 0) {
        nn_fail(error, AD_BAD_SHAPE, "data: no rows: at least one example is needed");
        return false;
    }
    return true;
}

static bool good_weights(const ad_tensor *weights, int64_t rows, nn_error *error)
{
    if (!weights)
        return true;
    if (!fits_rows(weights, rows, "the tensor of weights", error))
        return false;
    if (ad_tensor_rank(weights) != 1 || ad_tensor_dtype(weights) != AD_F64) {
        nn_fail(error, ad_tensor_rank(weights) != 1 ? AD_BAD_SHAPE : AD_BAD_DTYPE,
                "data: weights are of rank %d and %s: they must be (rows) of double",
                ad_tensor_rank(weights), ad_dtype_name(ad_tensor_dtype(weights)));
        return false;
    }
    for (int64_t i = 0; i < rows; i++) {
        double w = ad_tensor_get(weights, &i);
        if (!(w >= 0) || !isfinite(w)) {
            nn_fail(error, AD_BAD_ARGUMENT,
                    "data: the weight of row %" PRId64 " is %s: weights are finite, 0 or more", i,
                    w < 0 ? "negative" : "not finite");
            return false;
        }
    }
    return true;
}

/* largest class + 1; 0 where the target is none or holds no classes; -1: out of memory */
static int64_t classes_of(const ad_tensor *target)
{
    if (!target || ad_tensor_dtype(target) != AD_I32)
        return 0;
    ad_tensor *t = nn_row_major(target);
    if (!t)
        return -1;
    const int32_t *class = ad_tensor_data_const(t);
    int64_t largest = -1;
    for (int64_t i = 0; i < ad_tensor_size(t); i++)
        largest = class[i] > largest ? class[i] : largest;
    ad_tensor_free(t);
    return largest < INT32_MAX ? largest + 1 : INT32_MAX;
}

static bool set_target(nn_data *data, ad_tensor *target, nn_error *error)
{
    if (target && !fits_rows(target, data->rows, "the target", error))
        return false;
    int64_t n = classes_of(target);
    if (n < 0) {
        nn_no_memory(error);
        return false;
    }
    data->target = ad_tensor_retain(target);
    data->n_classes = (int)n;
    return true;
}

static nn_data *data_of(int n, ad_tensor *const *inputs, nn_error *error)
{
    nn_data *data = calloc(1, sizeof *data);
    if (!data) {
        nn_no_memory(error);
        return NULL;
    }
    data->rows = ad_tensor_shape(inputs[0])[0];
    data->n_inputs = n;
    for (int k = 0; k < n; k++)
        data->inputs[k] = ad_tensor_retain(inputs[k]);
    return data;
}

nn_data *nn_data_new(int n_inputs, ad_tensor *const *inputs, ad_tensor *target, ad_tensor *weights,
                     nn_error *error)
{
    if (nn_earlier(error) || !good_inputs(n_inputs, inputs, error) ||
        !good_weights(weights, ad_tensor_shape(inputs[0])[0], error))
        return NULL;
    nn_data *data = data_of(n_inputs, inputs, error);
    if (!data)
        return NULL;
    data->weights = ad_tensor_retain(weights);
    if (!set_target(data, target, error)) {
        nn_data_free(data);
        return NULL;
    }
    return data;
}

void nn_data_free(nn_data *data)
{
    if (!data)
        return;
    for (int k = 0; k < data->n_inputs; k++)
        ad_tensor_free(data->inputs[k]);
    ad_tensor_free(data->target);
    ad_tensor_free(data->weights);
    nn_names_free(data->n_columns, data->columns);
    nn_names_free(data->n_classes, data->classes);
    free(data);
}

static bool good_shape(const nn_shape *shape, const char *what, int k, nn_error *error)
{
    bool good = shape->rank >= 0 && shape->rank < AD_MAX_RANK;
    for (int i = 0; good && i < shape->rank; i++)
        good = shape->size[i] > 0;
    if (!good || nn_elements(shape->rank, shape->size) < 0) {
        nn_fail(error, AD_BAD_SHAPE,
                "stream: the shape of %s %d: the rank is %d (it can be 0 to %d), and all sizes "
                "must be positive",
                what, k, shape->rank, AD_MAX_RANK - 1);
        return false;
    }
    return true;
}

static bool nothing_to_rewind(void *user, int64_t epoch)
{
    (void)user, (void)epoch;
    return true;
}

nn_data *nn_data_stream(const nn_stream *stream, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!stream || !stream->next) {
        nn_fail(error, AD_NULL, "stream: %s is NULL", stream ? "its function next" : "it");
        return NULL;
    }
    if (stream->n_inputs < 1 || stream->n_inputs > NN_MAX_INPUTS || stream->rows < -1) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "stream: %d inputs and %" PRId64 " rows: there can be 1 to %d inputs, and 0 rows "
                "or more, or -1 where their number is not known",
                stream->n_inputs, stream->rows, NN_MAX_INPUTS);
        return NULL;
    }
    for (int k = 0; k < stream->n_inputs; k++)
        if (!good_shape(&stream->inputs[k], "input", k, error))
            return NULL;
    if (!good_shape(&stream->target, "target", 0, error))
        return NULL;
    nn_data *data = calloc(1, sizeof *data);
    if (!data) {
        nn_no_memory(error);
        return NULL;
    }
    data->rows = stream->rows;
    data->n_inputs = stream->n_inputs;
    data->is_stream = true;
    data->stream = *stream;
    if (!stream->rewind)
        data->stream.rewind = nothing_to_rewind;
    return data;
}

/* ---- reading ---- */

int64_t nn_data_rows(const nn_data *data) { return data ? data->rows : -1; }

int nn_data_input_count(const nn_data *data) { return data ? data->n_inputs : 0; }

ad_tensor *nn_data_input(const nn_data *data, int k)
{
    return data && k >= 0 && k < data->n_inputs ? data->inputs[k] : NULL;
}

ad_tensor *nn_data_target(const nn_data *data) { return data ? data->target : NULL; }

ad_tensor *nn_data_weights(const nn_data *data) { return data ? data->weights : NULL; }

const char *nn_data_column(const nn_data *data, int column)
{
    return data && data->columns && column >= 0 && column < data->n_columns ? data->columns[column]
                                                                            : NULL;
}

int nn_data_class_count(const nn_data *data) { return data ? data->n_classes : 0; }

const char *nn_data_class(const nn_data *data, int k)
{
    return data && data->classes && k >= 0 && k < data->n_classes ? data->classes[k] : NULL;
}

nn_shape nn_data_shape(const nn_data *data, int k)
{
    nn_shape shape = {.rank = -1};
    if (!data || k < -1 || k >= data->n_inputs)
        return shape;
    if (data->is_stream)
        return k < 0 ? data->stream.target : data->stream.inputs[k];
    const ad_tensor *t = k < 0 ? data->target : data->inputs[k];
    if (!t)
        return shape;
    shape.rank = ad_tensor_rank(t) - 1;
    shape.indices = ad_tensor_dtype(t) == AD_I32;
    for (int i = 0; i < shape.rank; i++)
        shape.size[i] = ad_tensor_shape(t)[i + 1];
    return shape;
}

/* ---- data made of data ---- */

static bool is_tensors(const nn_data *data, const char *call, nn_error *error)
{
    if (!data)
        nn_fail(error, AD_NULL, "%s: the data are NULL", call);
    else if (data->is_stream)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: the data are a stream: its rows cannot be reached",
                call);
    else
        return true;
    return false;
}

static bool copy_columns(nn_data *to, const nn_data *from, nn_error *error)
{
    to->columns = nn_names_copy(from->n_columns, from->columns);
    to->n_columns = to->columns ? from->n_columns : 0;
    if (from->columns && !to->columns)
        nn_no_memory(error);
    return !from->columns || to->columns;
}

/* A part keeps the number of classes, even where its rows lack the last one. */
static bool copy_classes(nn_data *to, const nn_data *from, nn_error *error)
{
    to->classes = nn_names_copy(from->n_classes, from->classes);
    to->n_classes = from->n_classes;
    if (from->classes && !to->classes)
        nn_no_memory(error);
    return !from->classes || to->classes;
}

static nn_data *freed(nn_data *data)
{
    nn_data_free(data);
    return NULL;
}

nn_data *nn_data_with_input(const nn_data *data, ad_tensor *input, nn_error *error)
{
    ad_tensor *inputs[NN_MAX_INPUTS] = {input};
    for (int k = 1; k < data->n_inputs; k++)
        inputs[k] = data->inputs[k];
    nn_data *out = data_of(data->n_inputs, inputs, error);
    ad_tensor_free(input);
    if (!out)
        return NULL;
    out->target = ad_tensor_retain(data->target);
    out->weights = ad_tensor_retain(data->weights);
    if (!copy_columns(out, data, error) || !copy_classes(out, data, error))
        return freed(out);
    return out;
}

nn_data *nn_data_with_target(const nn_data *data, ad_tensor *target, nn_error *error)
{
    if (nn_earlier(error) || !is_tensors(data, "data with target", error))
        return NULL;
    nn_data *out = data_of(data->n_inputs, data->inputs, error);
    if (!out)
        return NULL;
    out->weights = ad_tensor_retain(data->weights);
    if (!copy_columns(out, data, error) || !set_target(out, target, error))
        return freed(out);
    return out;
}

nn_data *nn_data_with_weights(const nn_data *data, ad_tensor *weights, nn_error *error)
{
    if (nn_earlier(error) || !is_tensors(data, "data with weights", error) ||
        !good_weights(weights, data->rows, error))
        return NULL;
    nn_data *out = nn_data_with_input(data, ad_tensor_retain(data->inputs[0]), error);
    if (!out)
        return NULL;
    ad_tensor_free(out->weights);
    out->weights = ad_tensor_retain(weights);
    return out;
}

static const ad_tensor *tensor_of(const nn_data *data, int k)
{
    return k >= 0 ? data->inputs[k] : k == -1 ? data->target : data->weights;
}

static ad_tensor *selected(const nn_data *data, int k, int64_t n, const int64_t *rows,
                           nn_error *error)
{
    const ad_tensor *from = tensor_of(data, k);
    int64_t shape[AD_MAX_RANK];
    memcpy(shape, ad_tensor_shape(from), (size_t)ad_tensor_rank(from) * sizeof *shape);
    shape[0] = n;
    if (nn_elements(ad_tensor_rank(from), shape) < 0) {
        nn_fail(error, AD_TOO_LARGE, "select: %" PRId64 " rows are more than memory can hold", n);
        return NULL;
    }
    ad_tensor *to = ad_tensor_new(NULL, ad_tensor_dtype(from), ad_tensor_rank(from), shape);
    if (!to)
        nn_no_memory(error);
    else
        nn_data_gather(data, k, rows, 0, n, to); /* shapes agree, rows were checked */
    return to;
}

static bool select_into(nn_data *out, const nn_data *data, int64_t n, const int64_t *rows,
                        nn_error *error)
{
    for (int k = 0; k < data->n_inputs; k++)
        if (!(out->inputs[k] = selected(data, k, n, rows, error)))
            return false;
    if (data->target && !(out->target = selected(data, -1, n, rows, error)))
        return false;
    if (data->weights && !(out->weights = selected(data, -2, n, rows, error)))
        return false;
    return copy_columns(out, data, error) && copy_classes(out, data, error);
}

nn_data *nn_data_select(const nn_data *data, int64_t n, const int64_t *rows, nn_error *error)
{
    if (nn_earlier(error) || !is_tensors(data, "select", error))
        return NULL;
    if (n < 1 || !rows) {
        nn_fail(error, rows ? AD_BAD_ARGUMENT : AD_NULL,
                rows ? "select: no rows: at least one is needed" : "select: the rows are NULL");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= data->rows) {
            nn_fail(error, AD_BAD_INDEX,
                    "select: row %" PRId64 " (number %" PRId64 " of those asked for): the data "
                    "have rows 0 to %" PRId64,
                    rows[i], i, data->rows - 1);
            return NULL;
        }
    nn_data *out = calloc(1, sizeof *out);
    if (!out) {
        nn_no_memory(error);
        return NULL;
    }
    out->rows = n;
    out->n_inputs = data->n_inputs;
    return select_into(out, data, n, rows, error) ? out : freed(out);
}

/* ---- batches ---- */

/* towards zero; what does not fit goes to the nearest end, NaN to 0: as the core converts */
static int32_t to_int(double x)
{
    return x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : x == x ? (int32_t)x : 0;
}

/* n elements, `step` elements apart, to n that lie behind one another */
typedef void (*converter)(const void *from, int64_t step, void *to, int64_t n);

#define CONVERTER(name, FROM, TO, value)                                                           \
    static void name(const void *from, int64_t step, void *to, int64_t n)                          \
    {                                                                                              \
        const FROM *a = from;                                                                      \
        TO *b = to;                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            FROM x = a[i * step];                                                                  \
            b[i] = value;                                                                          \
        }                                                                                          \
    }
CONVERTER(double_to_double, double, double, x)
CONVERTER(double_to_float, double, float, (float)x)
CONVERTER(double_to_int, double, int32_t, to_int(x))
CONVERTER(float_to_double, float, double, x)
CONVERTER(float_to_float, float, float, x)
CONVERTER(float_to_int, float, int32_t, to_int((double)x))
CONVERTER(int_to_double, int32_t, double, x)
CONVERTER(int_to_float, int32_t, float, (float)x)
CONVERTER(int_to_int, int32_t, int32_t, x)
#undef CONVERTER

static const converter converters[3][3] = {
    [AD_F64] = {[AD_F64] = double_to_double, [AD_F32] = double_to_float, [AD_I32] = double_to_int},
    [AD_F32] = {[AD_F64] = float_to_double, [AD_F32] = float_to_float, [AD_I32] = float_to_int},
    [AD_I32] = {[AD_F64] = int_to_double, [AD_F32] = int_to_float, [AD_I32] = int_to_int},
};

typedef struct row_copy {
    const char *from;
    int rank; /* of a row */
    const int64_t *shape, *stride;
    int64_t row_stride, width; /* elements */
    size_t from_size, to_size; /* bytes of an element */
    bool dense;                /* a row's elements lie behind one another */
    converter convert;         /* NULL: a memcpy does it */
} row_copy;

static row_copy row_copy_of(const ad_tensor *from, ad_dtype to)
{
    ad_dtype dtype = ad_tensor_dtype(from);
    row_copy c = {ad_tensor_data_const(from), ad_tensor_rank(from) - 1,
                  ad_tensor_shape(from) + 1,  ad_tensor_strides(from) + 1,
                  ad_tensor_strides(from)[0], nn_row_size(from),
                  ad_dtype_size(dtype),       ad_dtype_size(to),
                  lies_row_major(from, 1),    converters[dtype][to]};
    if (c.dense && dtype == to)
        c.convert = NULL;
    return c;
}

/* A row of a view: its last axis run by run, the others counted up like an odometer. */
static void copy_strided(const row_copy *c, const char *from, char *to)
{
    int64_t index[AD_MAX_RANK] = {0}, run = c->shape[c->rank - 1], offset = 0;
    for (int64_t done = 0; done < c->width; done += run) {
        c->convert(from + offset * (int64_t)c->from_size, c->stride[c->rank - 1],
                   to + done * (int64_t)c->to_size, run);
        for (int i = c->rank - 2; i >= 0; i--) {
            offset += c->stride[i];
            if (++index[i] < c->shape[i])
                break;
            offset -= index[i] * c->stride[i];
            index[i] = 0;
        }
    }
}

static void copy_row(const row_copy *c, int64_t row, char *to)
{
    const char *from = c->from + row * c->row_stride * (int64_t)c->from_size;
    if (!c->convert)
        memcpy(to, from, (size_t)c->width * c->to_size);
    else if (c->dense)
        c->convert(from, 1, to, c->width);
    else
        copy_strided(c, from, to);
}

/* Inlined for each size: a call would cost more than the copy. */
static inline void copy_short_rows(const row_copy *c, const int64_t *order, int64_t first,
                                   int64_t n, char *to, size_t bytes)
{
    const int64_t apart = c->row_stride * (int64_t)c->from_size;
    for (int64_t i = 0; i < n; i++, to += bytes)
        memcpy(to, c->from + (order ? order[first + i] : first + i) * apart, bytes);
}

static void copy_rows(const row_copy *c, const int64_t *order, int64_t first, int64_t n, char *to)
{
    const size_t bytes = (size_t)c->width * c->to_size;
    if (!c->convert && bytes == 4)
        copy_short_rows(c, order, first, n, to, 4);
    else if (!c->convert && bytes == 8)
        copy_short_rows(c, order, first, n, to, 8);
    else if (!c->convert && bytes == 16)
        copy_short_rows(c, order, first, n, to, 16);
    else
        for (int64_t i = 0; bytes && i < n; i++, to += bytes)
            copy_row(c, order ? order[first + i] : first + i, to);
}

static void fill_ones(ad_tensor *to, int64_t n)
{
    static const int32_t one = 1;
    ad_dtype dtype = ad_tensor_dtype(to);
    converters[AD_I32][dtype](&one, 0, ad_tensor_data(to), n);
}

ad_status nn_data_gather(const nn_data *data, int k, const int64_t *order, int64_t first, int64_t n,
                         ad_tensor *to)
{
    if (!data || !to)
        return AD_NULL;
    if (data->is_stream || k < -2 || k >= data->n_inputs || n < 0 || first < 0)
        return AD_BAD_ARGUMENT;
    if (!order && (n > data->rows || first > data->rows - n))
        return AD_BAD_INDEX;
    const ad_tensor *from = tensor_of(data, k);
    if (!from && k == -1)
        return AD_NULL;
    if (ad_tensor_rank(to) < 1 || ad_tensor_shape(to)[0] < n || !nn_is_row_major(to) ||
        nn_row_size(to) != (from ? nn_row_size(from) : 1))
        return AD_BAD_SHAPE;
    for (int64_t i = 0; order && i < n; i++)
        if (order[first + i] < 0 || order[first + i] >= data->rows)
            return AD_BAD_INDEX;
    if (!from) {
        fill_ones(to, n);
        return AD_OK;
    }
    row_copy c = row_copy_of(from, ad_tensor_dtype(to));
    char *out = ad_tensor_data(to);
    if (!order && !c.convert && c.row_stride == c.width && c.width) {
        memcpy(out, c.from + first * c.row_stride * (int64_t)c.from_size,
               (size_t)(n * c.width) * c.to_size);
        return AD_OK;
    }
    copy_rows(&c, order, first, n, out);
    return AD_OK;
}
