/* targets.c - are targets fit for a loss?
 *
 * What a loss cannot use would train to a NaN, or worse, to something: so data are looked through
 * before, and the first value that does not fit is named with its row and column. */
#include "targets.h"
#include "error.h"
#include "loss.h"
#include "number.h"
#include "words.h"

/* ---- rows ---- */

nn_rows nn_rows_of(const ad_tensor *tensor)
{
    nn_rows r = {.data = ad_tensor_data_const(tensor),
                 .dtype = ad_tensor_dtype(tensor),
                 .rank = ad_tensor_rank(tensor),
                 .shape = ad_tensor_shape(tensor),
                 .stride = ad_tensor_strides(tensor),
                 .each = 1,
                 .dense = true};
    r.n = r.rank ? r.shape[0] : 1;
    for (int i = r.rank - 1; i > 0; i--) {
        r.dense = r.dense && (r.shape[i] <= 1 || r.stride[i] == r.each);
        r.each *= r.shape[i];
    }
    return r;
}

double nn_rows_get(const nn_rows *r, int64_t row, int64_t column)
{
    int64_t at = row * r->stride[0];
    if (r->dense)
        at += column;
    else
        for (int i = r->rank - 1; i > 0; column /= r->shape[i--])
            at += column % r->shape[i] * r->stride[i];
    return r->dtype == AD_F64   ? ((const double *)r->data)[at]
           : r->dtype == AD_F32 ? (double)((const float *)r->data)[at]
                                : (double)((const int32_t *)r->data)[at];
}

/* ---- one value ---- */

typedef struct inspection {
    const nn_loss_row *row;
    const nn_loss_options *options;
    int64_t rows;               /* so many at most are looked at */
    int64_t first_row, classes; /* -1: any number of classes */
    bool classes_by_weights;    /* there is no prediction that says how many */
    nn_error *error;
} inspection;

/* "row 17" or "row 17, column 3" */
typedef struct place {
    char text[80];
} place;

static place place_of(const inspection *c, const nn_rows *r, int64_t row, int64_t column)
{
    place p;
    const long long at = (long long)(c->first_row + row);
    if (r->each > 1)
        snprintf(p.text, sizeof p.text, "row %lld, column %lld", at, (long long)column);
    else
        snprintf(p.text, sizeof p.text, "row %lld", at);
    return p;
}

static const char *wrong_label(const nn_loss_options *o, double y)
{
    if (o->zero_one_labels)
        return y == 0 || y == 1 ? NULL
               : y == -1        ? "not 0 or 1 (leave zero_one_labels out where they are -1 and 1)"
                                : "not 0 or 1, as zero_one_labels says";
    return y == -1 || y == 1 ? NULL
           : y == 0          ? "not -1 or 1 (set zero_one_labels where they are 0 and 1)"
                             : "not -1 or 1";
}

/* What is wrong with a target, or NULL. */
static const char *wrong_target(const inspection *c, double y)
{
    switch (c->row->target) {
    case NN_TARGET_LOGARITHMS:
        return y > -1 ? NULL : "not above -1: its logarithm ln(1 + y) does not exist";
    case NN_TARGET_PROBABILITY:
        return y >= 0 && y <= 1 ? NULL
               : y == -1        ? "not in 0..1 (for labels of -1 and 1 there is NN_LOGISTIC)"
                                : "not in 0..1";
    case NN_TARGET_SIGN:
        return wrong_label(c->options, y);
    case NN_TARGET_CLASSES:
    case NN_TARGET_DISTRIBUTION:
        return y >= 0 ? NULL : "negative: a row must be probabilities";
    default:
        return NULL;
    }
}

/* What is wrong with a prediction, or NULL. */
static const char *wrong_prediction(const inspection *c, double p)
{
    if (c->row->target == NN_TARGET_LOGARITHMS)
        return p > -1 ? NULL : "not above -1: its logarithm ln(1 + p) does not exist";
    if (!c->row->takes_probabilities)
        return NULL;
    const double above = c->row->target == NN_TARGET_PROBABILITY ? 1 : 1 + 1e-3;
    if (p >= 0 && p <= above)
        return NULL;
    switch (c->row->target) {
    case NN_TARGET_PROBABILITY:
        return "not in 0..1 (end the model with a sigmoid, or use NN_BCE_LOGITS)";
    case NN_TARGET_CLASSES:
        return "not in 0..1 (end the model with softmax, or use NN_SOFTMAX_CROSS_ENTROPY)";
    default:
        return "not in 0..1 (end the model with softmax)";
    }
}

/* ---- all of them ---- */

static ad_status check_value(const inspection *c, const nn_rows *r, bool target, int64_t row,
                             int64_t column)
{
    const double x = nn_rows_get(r, row, column);
    const char *wrong = NULL;
    ad_status status = AD_BAD_ARGUMENT;
    if (isnan(x) || (target && isinf(x)))
        status = AD_NOT_FINITE, wrong = "not a finite number";
    else
        wrong = target ? wrong_target(c, x) : wrong_prediction(c, x);
    if (!wrong)
        return AD_OK;
    return nn_fail(c->error, status, "%s: %s: the %s %g is %s", c->row->name,
                   place_of(c, r, row, column).text, target ? "target" : "prediction", x, wrong);
}

/* Probabilities of one row. A prediction in float of many classes is not better than this. */
static ad_status check_sum(const inspection *c, const nn_rows *r, bool target, int64_t row)
{
    double sum = 0;
    for (int64_t j = 0; j < r->each; j++)
        sum += nn_rows_get(r, row, j);
    if (fabs(sum - 1) <= 1e-3)
        return AD_OK;
    return nn_fail(c->error, AD_BAD_ARGUMENT,
                   "%s: row %lld: the %s sums to %g, and must be probabilities, whose sum is 1%s",
                   c->row->name, (long long)(c->first_row + row), target ? "target" : "prediction",
                   sum, target ? "" : " (end the model with softmax)");
}

static ad_status check_values(const inspection *c, const ad_tensor *tensor, bool target)
{
    const nn_rows r = nn_rows_of(tensor);
    const bool distribution =
        (c->row->target == NN_TARGET_CLASSES || c->row->target == NN_TARGET_DISTRIBUTION) &&
        (target || c->row->takes_probabilities);
    for (int64_t i = 0; i < r.n && i < c->rows; i++) {
        for (int64_t j = 0; j < r.each; j++)
            if (check_value(c, &r, target, i, j))
                return c->error->status;
        if (distribution && check_sum(c, &r, target, i))
            return c->error->status;
    }
    return AD_OK;
}

static ad_status check_classes(const inspection *c, const ad_tensor *target)
{
    const nn_rows r = nn_rows_of(target);
    for (int64_t i = 0; i < r.n && i < c->rows; i++) {
        const double y = nn_rows_get(&r, i, 0);
        const long long row = (long long)(c->first_row + i), classes = (long long)c->classes;
        if (r.dtype != AD_I32 && (isnan(y) || y != floor(y)))
            return nn_fail(c->error, isnan(y) ? AD_NOT_FINITE : AD_BAD_ARGUMENT,
                           "%s: row %lld: the class %g is no integer (classes are int32)",
                           c->row->name, row, y);
        if (y >= 0 && (classes < 0 || y < (double)classes))
            continue;
        if (classes < 0)
            return nn_fail(c->error, AD_BAD_INDEX,
                           "%s: row %lld: class %.0f, but classes count from 0", c->row->name, row,
                           y);
        return nn_fail(c->error, AD_BAD_INDEX,
                       "%s: row %lld: class %.0f, but %s %lld %s, so classes are 0..%lld",
                       c->row->name, row, y,
                       c->classes_by_weights ? "there are weights for" : "the prediction has",
                       classes, c->classes_by_weights ? "classes" : "columns", classes - 1);
    }
    if (r.dtype != AD_I32)
        return nn_fail(c->error, AD_BAD_DTYPE,
                       "%s: classes must be int32, and these are %s (probabilities are (N,C))",
                       c->row->name, ad_dtype_name(r.dtype));
    return AD_OK;
}

static nn_operand operand_of(const ad_tensor *t)
{
    return (nn_operand){ad_tensor_dtype(t), ad_tensor_rank(t), ad_tensor_shape(t)};
}

/* How many classes, as far as anything says. */
static int64_t class_count(const nn_loss_row *row, const nn_loss_options *o,
                           const ad_tensor *prediction, const ad_tensor *target)
{
    if (row->target != NN_TARGET_CLASSES)
        return -1;
    if (prediction && ad_tensor_rank(prediction) == 2)
        return ad_tensor_shape(prediction)[1];
    if (ad_tensor_rank(target) == 2)
        return ad_tensor_shape(target)[1];
    return o->class_weights ? o->n_class_weights : -1;
}

static bool is_of_classes(const inspection *c, nn_operand y)
{
    return c->row->target == NN_TARGET_CLASSES && y.rank == 1;
}

/* Shapes, of the target alone where there is no prediction. */
static ad_status check_shapes(const inspection *c, const ad_tensor *prediction, nn_operand y)
{
    const bool categories =
        c->row->target == NN_TARGET_CLASSES || c->row->target == NN_TARGET_DISTRIBUTION;
    if (prediction)
        return nn_check_loss_shapes(c->row, operand_of(prediction), y, c->error);
    if (y.rank >= 1 && (!categories || is_of_classes(c, y) || y.rank == 2))
        return AD_OK;
    return nn_fail(c->error, AD_BAD_SHAPE, "%s: target %s: its first axis must count examples%s",
                   c->row->name, nn_shape_text_of(y.rank, y.shape).text,
                   categories ? ", and a second one classes" : "");
}

static void check_target(inspection *c, const ad_tensor *prediction, const ad_tensor *target)
{
    const nn_operand y = operand_of(target);
    c->classes = class_count(c->row, c->options, prediction, target);
    c->classes_by_weights = !prediction;
    if (is_of_classes(c, y) && y.dtype != AD_I32) {
        check_classes(c, target); /* says what they are before what shape they have */
        return;
    }
    if (check_shapes(c, prediction, y) ||
        nn_check_loss_options(c->row, c->options, c->classes, c->error))
        return;
    if (!(is_of_classes(c, y) ? check_classes(c, target) : check_values(c, target, true)) &&
        prediction)
        check_values(c, prediction, false);
}

static ad_status check(nn_loss loss, const nn_loss_options *options, const ad_tensor *prediction,
                       const ad_tensor *target, int64_t n, int64_t first_row, nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    static const nn_loss_options defaults = {.reduction = NN_DEFAULT_REDUCTION};
    nn_error own;
    nn_numbers numbers;
    inspection c = {.row = nn_loss_row_of(loss),
                    .options = options ? options : &defaults,
                    .rows = n,
                    .first_row = first_row,
                    .error = nn_error_or(error, &own)};
    if (!c.row)
        return nn_fail(error, AD_BAD_ARGUMENT, "loss: no loss has the number %d", (int)loss);
    if (!target)
        return nn_fail(error, AD_NULL, "%s: no targets (NULL)", c.row->name);
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(error);
    check_target(&c, prediction, target);
    nn_own_numbers(&numbers);
    return c.error->status; /* the first that was found */
}

ad_status nn_check_targets(nn_loss loss, const nn_loss_options *options,
                           const ad_tensor *prediction, const ad_tensor *target, int64_t first_row,
                           nn_error *error)
{
    return check(loss, options, prediction, target, INT64_MAX, first_row, error);
}

ad_status nn_check_first_targets(nn_loss loss, const nn_loss_options *options,
                                 const ad_tensor *target, int64_t n, int64_t first_row,
                                 nn_error *error)
{
    return check(loss, options, NULL, target, n, first_row, error);
}
