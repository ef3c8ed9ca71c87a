/* split.c - parts of data: training, validation and test, and folds
 *
 * Rows are shuffled once, by a permutation drawn from the seed and a key. Stratified, they are then
 * put in order of their classes, each class in its shuffled order, and dealt out class by class;
 * what belongs together is marked, and every part keeps the shuffled order. Without classes all
 * rows count as one class, so that there is one way for both. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "error.h"

/* Keys of the draws: the words in ASCII. */
#define KEY_SPLIT ((uint64_t)0x73706c6974) /* "split" */
#define KEY_FOLD  ((uint64_t)0x666f6c64)   /* "fold" */

enum { PARTS = 3 };

typedef struct place {
    int32_t class, at; /* a row's class, and its place in the shuffled order */
} place;

typedef struct deal {
    const char *call; /* for errors */
    const nn_data *data;
    nn_error *error;
    int32_t n;
    ad_tensor *order;
    const int32_t *shuffled; /* the rows */
    place *sorted;           /* by class, then as shuffled */
    int32_t *part;           /* of the row shuffled[i] */
} deal;

/* ---- rows in order ---- */

static int by_class(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->class != q->class)
        return p->class < q->class ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

static bool has_classes(const deal *d)
{
    const ad_tensor *y = d->data->target;
    bool good = y && ad_tensor_dtype(y) == AD_I32 && ad_tensor_size(y) == d->n;
    if (!good)
        nn_fail(d->error, AD_BAD_ARGUMENT,
                "%s: stratified needs classes: an int32 target with one for each row", d->call);
    return good;
}

static bool sort_places(deal *d, bool stratified)
{
    ad_tensor *classes = NULL;
    if (stratified && !has_classes(d))
        return false;
    if (stratified && !(classes = nn_row_major(d->data->target))) {
        nn_no_memory(d->error);
        return false;
    }
    const int32_t *class = ad_tensor_data_const(classes);
    for (int32_t i = 0; i < d->n; i++)
        d->sorted[i] = (place){class ? class[d->shuffled[i]] : 0, i};
    ad_tensor_free(classes);
    if (stratified)
        qsort(d->sorted, (size_t)d->n, sizeof *d->sorted, by_class);
    return true;
}

static bool good_data(const nn_data *data, const char *call, nn_error *error)
{
    if (!data)
        nn_fail(error, AD_NULL, "%s: the data are NULL", call);
    else if (data->is_stream)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: the data are a stream: its rows cannot be reached",
                call);
    else if (data->rows > INT32_MAX)
        nn_fail(error, AD_TOO_LARGE,
                "%s: %" PRId64 " rows: permutations are of int32, so that 2147483647 rows are the "
                "most that can be split",
                call, data->rows);
    else
        return true;
    return false;
}

static void deal_end(deal *d)
{
    ad_tensor_free(d->order);
    free(d->sorted);
    free(d->part);
}

static bool deal_begin(deal *d, bool stratified, uint64_t seed, uint64_t key)
{
    d->n = (int32_t)d->data->rows;
    d->order = ad_tensor_new(NULL, AD_I32, 1, &d->data->rows);
    d->sorted = malloc((size_t)d->n * sizeof *d->sorted);
    d->part = malloc((size_t)d->n * sizeof *d->part);
    if (!d->order || !d->sorted || !d->part) {
        nn_no_memory(d->error);
        return false;
    }
    ad_status status = ad_draw_permutation(d->order, seed, key, 0);
    if (status != AD_OK) {
        nn_fail(d->error, status, "%s: the permutation: %s", d->call, ad_status_name(status));
        return false;
    }
    d->shuffled = ad_tensor_data_const(d->order);
    return sort_places(d, stratified);
}

/* The rows of one part, or (`others`) of all but it. */
static nn_data *rows_of(const deal *d, int32_t part, bool others)
{
    int64_t n = 0;
    int64_t *rows = malloc((size_t)d->n * sizeof *rows);
    if (!rows) {
        nn_no_memory(d->error);
        return NULL;
    }
    for (int32_t i = 0; i < d->n; i++)
        if ((d->part[i] == part) != others)
            rows[n++] = d->shuffled[i];
    nn_data *data = nn_data_select(d->data, n, rows, d->error);
    free(rows);
    return data;
}

/* ---- shares ---- */

/* Sizes of the parts that add up to n: whole rows first, what is left to the largest remainders. */
static void whole_sizes(const double shares[PARTS], int64_t n, int64_t sizes[PARTS])
{
    double rest[PARTS];
    int64_t left = n;
    for (int p = 0; p < PARTS; p++) {
        double exact = shares[p] * (double)n, whole = floor(exact + 1e-6); /* 150 * .1 is 15 */
        sizes[p] = (int64_t)whole;
        rest[p] = exact - whole;
        left -= sizes[p];
    }
    for (; left > 0; left--) {
        int best = 0;
        for (int p = 1; p < PARTS; p++)
            best = rest[p] > rest[best] + 1e-6 ? p : best;
        sizes[best]++;
        rest[best] = -1;
    }
}

/* How many of the rows up to `rows` of n belong to a part of `size`, rounded: the differences from
 * class to class are within one row of the class' share, and add up to the size. */
static int64_t quota(int64_t rows, int64_t size, int64_t n)
{
    return n ? (rows * size + n / 2) / n : 0; /* below 2^62 */
}

/* Class by class: first those to test on, then of the others those to validate on. Two parts have
 * each class' share to within a row, three to within two; where the shares are whole, exactly. */
static void deal_sizes(deal *d, const int64_t sizes[PARTS])
{
    int64_t test = 0, validation = 0, others = d->n - sizes[NN_TEST];
    for (int32_t first = 0, end; first < d->n; first = end) {
        for (end = first + 1; end < d->n && d->sorted[end].class == d->sorted[first].class;)
            end++;
        int64_t tests = quota(end, sizes[NN_TEST], d->n);
        int64_t validations = quota(end - tests, sizes[NN_VALIDATION], others);
        int64_t to_test = first + (tests - test),
                to_validate = to_test + (validations - validation);
        for (int32_t i = first; i < end; i++)
            d->part[d->sorted[i].at] = i < to_test       ? NN_TEST
                                       : i < to_validate ? NN_VALIDATION
                                                         : NN_TRAIN;
        test = tests;
        validation = validations;
    }
}

static bool good_shares(const nn_data *data, const double shares[PARTS], int64_t sizes[PARTS],
                        nn_error *error)
{
    static const char *const names[PARTS] = {"training", "validation", "test"};
    if (!(shares[1] >= 0 && shares[2] >= 0 && shares[0] > 0)) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "split: the shares of validation and test must be 0 or more, and less than 1 "
                "together");
        return false;
    }
    whole_sizes(shares, data->rows, sizes);
    for (int p = 0; p < PARTS; p++)
        if (shares[p] > 0 && sizes[p] == 0) {
            nn_fail(error, AD_BAD_ARGUMENT,
                    "split: of %" PRId64 " rows, none is left for the %s "
                    "part: take other shares, or more rows",
                    data->rows, names[p]);
            return false;
        }
    return true;
}

ad_status nn_split(const nn_data *data, const nn_split_config *config, nn_data *parts[3],
                   nn_error *error)
{
    nn_error own;
    for (int p = 0; parts && p < PARTS; p++)
        parts[p] = NULL; /* to be freed in any case */
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!config || !parts)
        return nn_fail(error, AD_NULL, "split: the %s NULL", config ? "parts are" : "config is");
    const double shares[PARTS] = {1 - config->validation - config->test, config->validation,
                                  config->test};
    int64_t sizes[PARTS];
    deal d = {.call = "split", .data = data, .error = error};
    if (!good_data(data, d.call, error) || !good_shares(data, shares, sizes, error))
        return error->status;
    if (deal_begin(&d, config->stratified, config->seed, KEY_SPLIT)) {
        deal_sizes(&d, sizes);
        for (int p = 0; p < PARTS && !error->status; p++)
            parts[p] = shares[p] > 0 ? rows_of(&d, p, false) : NULL;
    }
    deal_end(&d);
    for (int p = 0; p < PARTS && error->status; p++) {
        nn_data_free(parts[p]);
        parts[p] = NULL;
    }
    return error->status;
}

/* Dealt out like cards, on and on through the classes: no two folds differ by more than one row, of
 * any class or in all. */
ad_status nn_fold(const nn_data *data, int fold, int folds, bool stratified, uint64_t seed,
                  nn_data **train, nn_data **test, nn_error *error)
{
    nn_error own;
    if (train)
        *train = NULL;
    if (test)
        *test = NULL;
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!train || !test)
        return nn_fail(error, AD_NULL, "fold: the place for the %s data is NULL",
                       train ? "test" : "training");
    deal d = {.call = "fold", .data = data, .error = error};
    if (!good_data(data, d.call, error))
        return error->status;
    if (folds < 2 || folds > data->rows || fold < 0 || fold >= folds)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "fold: fold %d of %d, of %" PRId64 " rows: there are 2 folds or more, each "
                       "with a row at least, counted from 0",
                       fold, folds, data->rows);
    if (deal_begin(&d, stratified, seed, KEY_FOLD)) {
        for (int32_t i = 0; i < d.n; i++)
            d.part[d.sorted[i].at] = i % folds;
        *train = rows_of(&d, fold, true);
        *test = *train ? rows_of(&d, fold, false) : NULL;
    }
    deal_end(&d);
    if (error->status) {
        nn_data_free(*train);
        *train = NULL;
    }
    return error->status;
}

/* ---- classes as vectors ---- */

static bool good_classes(const ad_tensor *classes, int count, ad_dtype dtype, nn_error *error)
{
    if (!classes)
        nn_fail(error, AD_NULL, "one hot: the classes are NULL");
    else if (ad_tensor_dtype(classes) != AD_I32 || ad_tensor_rank(classes) != 1)
        nn_fail(error, ad_tensor_rank(classes) != 1 ? AD_BAD_SHAPE : AD_BAD_DTYPE,
                "one hot: classes are of rank %d and %s: they must be (rows) of int32",
                ad_tensor_rank(classes), ad_dtype_name(ad_tensor_dtype(classes)));
    else if (count < 1)
        nn_fail(error, AD_BAD_ARGUMENT, "one hot: %d classes: there must be one at least", count);
    else if (dtype != AD_F64 && dtype != AD_F32 && dtype != AD_I32)
        nn_fail(error, AD_BAD_DTYPE, "one hot: %d is no element type", (int)dtype);
    else
        return true;
    return false;
}

static bool in_range(const ad_tensor *classes, int count, nn_error *error)
{
    for (int64_t i = 0; i < ad_tensor_size(classes); i++) {
        double class = ad_tensor_get(classes, &i);
        if (!(class >= 0 && class < count)) {
            nn_fail(error, AD_BAD_INDEX, "one hot: row %" PRId64 ": class %d: there are 0 to %d", i,
                    (int)class, count - 1);
            return false;
        }
    }
    return true;
}

ad_tensor *nn_one_hot(const ad_tensor *classes, int count, ad_dtype dtype, nn_error *error)
{
    if (nn_earlier(error) || !good_classes(classes, count, dtype, error) ||
        !in_range(classes, count, error))
        return NULL;
    const int64_t n = ad_tensor_size(classes), shape[2] = {n, count};
    if (nn_elements(2, shape) < 0) {
        nn_fail(error, AD_TOO_LARGE, "one hot: %" PRId64 " rows of %d are too many", n, count);
        return NULL;
    }
    ad_tensor *to = ad_tensor_new(NULL, dtype, 2, shape);
    if (!to) {
        nn_no_memory(error);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        ad_tensor_set(to, (const int64_t[2]){i, (int64_t)ad_tensor_get(classes, &i)}, 1);
    return to;
}
