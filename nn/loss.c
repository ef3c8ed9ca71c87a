/* loss.c - losses, as expression code on the tape
 *
 * A loss is a row of a table: a formula for every element (or, with categories, every sample) in
 * operations of the core, whose derivatives follow from theirs. Label smoothing and the weights of
 * classes, samples' weights and reductions are the same code for all.
 *
 * REDUCTIONS. With l the losses, w the samples' weights and M the elements of one sample's
 * prediction: NN_MEAN_SAMPLES is sum(w l) / D and NN_MEAN_ELEMENTS is sum(w l) / (D M), where D is
 *
 *   N        without weights, or with options.divide_by_count;
 *   sum(w)   with weights. A class target's weight counts as its sample's: D = sum(w c[y]). For
 *            targets that are probabilities class weights weigh the terms of the loss but not the
 *            divisor, and what smoothing gives to other classes is not in the divisor either.
 *
 * All this is PyTorch's. D is computed on the tape, so that a program may take weights as an input;
 * whoever adds up micro-batches to get the mean of one large batch weighs each by its own D (or
 * records NN_SUM and divides once).
 *
 * A weight of 0 removes a sample, whatever its loss is (mulz): a row that only fills a batch may
 * have an infinite loss. */
#include "loss.h"
#include "error.h"
#include "number.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

/* ---- formulas ---- */

static ad_var squared(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_square(ad_sub(p, y));
}

static ad_var half_squared(const nn_loss_options *o, ad_var p, ad_var y)
{
    return ad_mul(.5, squared(o, p, y));
}

static ad_var absolute(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_abs(ad_sub(p, y));
}

static ad_var huber(const nn_loss_options *o, ad_var p, ad_var y)
{
    const double delta = o->delta != 0 ? o->delta : 1;
    ad_var d = ad_abs(ad_sub(p, y));
    ad_var near = ad_mul(.5, ad_square(d)), far = ad_mul(delta, ad_sub(d, .5 * delta));
    return ad_where(ad_less(d, delta), near, far);
}

static ad_var squared_logarithmic(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_square(ad_sub(ad_log1p(p), ad_log1p(y)));
}

static ad_var binary(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_bce(p, y);
}

static ad_var binary_logits(const nn_loss_options *o, ad_var z, ad_var y)
{
    (void)o;
    return ad_bce_logits(z, y);
}

static ad_var softmax_entropy(const nn_loss_options *o, ad_var z, ad_var y)
{
    (void)o;
    return ad_softmax_cross_entropy(z, y);
}

static ad_var row_sum(ad_var a) { return ad_sum_axes(a, 1, (const int[]){1}, false); }

static ad_var entropy(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    if (ad_dtype_of(y) != AD_I32)
        return ad_neg(row_sum(ad_xlogy(y, p)));
    const int64_t n = ad_size(y), column[2] = {n, 1};
    return ad_neg(ad_log(ad_reshape(ad_gather(p, 1, ad_reshape(y, 2, column)), 1, &n)));
}

static ad_var kl(const nn_loss_options *o, ad_var q, ad_var y)
{
    (void)o;
    return row_sum(ad_sub(ad_xlogy(y, y), ad_xlogy(y, q)));
}

static ad_var hinge(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_relu(ad_sub(1, ad_mul(y, p)));
}

static ad_var squared_hinge(const nn_loss_options *o, ad_var p, ad_var y)
{
    return ad_square(hinge(o, p, y));
}

static ad_var logistic(const nn_loss_options *o, ad_var p, ad_var y)
{
    (void)o;
    return ad_softplus(ad_neg(ad_mul(y, p)));
}

static ad_var custom(const nn_loss_options *o, ad_var p, ad_var y)
{
    return o->function(p, y, o->user);
}

/* ---- the table ---- */

#define ELEMENTS NN_MEAN_ELEMENTS
#define SAMPLES  NN_MEAN_SAMPLES
static const nn_loss_row rows[NN_LOSSES] = {
    [NN_MSE] = {"mean squared error", squared, ELEMENTS, NN_TARGET_NUMBERS, false},
    [NN_HALF_MSE] = {"half mean squared error", half_squared, ELEMENTS, NN_TARGET_NUMBERS, false},
    [NN_MAE] = {"mean absolute error", absolute, ELEMENTS, NN_TARGET_NUMBERS, false},
    [NN_HUBER] = {"Huber", huber, ELEMENTS, NN_TARGET_NUMBERS, false},
    [NN_MSLE] = {"mean squared logarithmic error", squared_logarithmic, ELEMENTS,
                 NN_TARGET_LOGARITHMS, false},
    [NN_BCE] = {"binary cross-entropy", binary, ELEMENTS, NN_TARGET_PROBABILITY, true},
    [NN_BCE_LOGITS] = {"binary cross-entropy on logits", binary_logits, ELEMENTS,
                       NN_TARGET_PROBABILITY, false},
    [NN_SOFTMAX_CROSS_ENTROPY] = {"softmax cross-entropy", softmax_entropy, SAMPLES,
                                  NN_TARGET_CLASSES, false},
    [NN_CROSS_ENTROPY] = {"cross-entropy", entropy, SAMPLES, NN_TARGET_CLASSES, true},
    [NN_KL] = {"KL divergence", kl, SAMPLES, NN_TARGET_DISTRIBUTION, true},
    [NN_HINGE] = {"hinge", hinge, ELEMENTS, NN_TARGET_SIGN, false},
    [NN_SQUARED_HINGE] = {"squared hinge", squared_hinge, ELEMENTS, NN_TARGET_SIGN, false},
    [NN_LOGISTIC] = {"logistic", logistic, ELEMENTS, NN_TARGET_SIGN, false},
    [NN_CUSTOM_LOSS] = {"custom loss", custom, ELEMENTS, NN_TARGET_ANY, false},
};
#undef ELEMENTS
#undef SAMPLES

const nn_loss_row *nn_loss_row_of(nn_loss loss)
{
    return (int)loss > 0 && loss < NN_LOSSES ? &rows[loss] : NULL;
}

const char *nn_loss_name(nn_loss loss)
{
    const nn_loss_row *row = nn_loss_row_of(loss);
    return row ? row->name : "unknown loss";
}

/* ---- checks ---- */

static ad_status check_class_weights(const nn_loss_row *row, const nn_loss_options *o,
                                     int64_t classes, nn_error *error)
{
    if (row->target != NN_TARGET_CLASSES)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: class weights belong to the cross-entropies with classes; weigh the "
                       "samples instead",
                       row->name);
    if (o->n_class_weights < 1 || (classes >= 0 && o->n_class_weights != classes))
        return nn_fail(error, AD_BAD_SHAPE, "%s: %d class weights for %lld classes", row->name,
                       o->n_class_weights, (long long)classes);
    for (int i = 0; i < o->n_class_weights; i++)
        if (!(o->class_weights[i] >= 0 && o->class_weights[i] <= 1e300))
            return nn_fail(error, AD_BAD_ARGUMENT,
                           "%s: the weight of class %d is %g: it must be a number from 0 up",
                           row->name, i, o->class_weights[i]);
    return AD_OK;
}

static ad_status check_options(const nn_loss_row *row, const nn_loss_options *o, int64_t classes,
                               nn_error *error)
{
    if ((int)o->reduction < 0 || o->reduction > NN_MEAN_SAMPLES)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: no reduction has the number %d", row->name,
                       (int)o->reduction);
    if (!(o->delta >= 0 && o->delta <= 1e300))
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: delta is %g: it must be positive (0: 1)",
                       row->name, o->delta);
    if (!(o->smoothing >= 0 && o->smoothing <= 1))
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: smoothing is %g: it must be in 0..1", row->name,
                       o->smoothing);
    if (o->smoothing > 0 && row->target != NN_TARGET_CLASSES &&
        row->target != NN_TARGET_PROBABILITY)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: only cross-entropies can smooth labels",
                       row->name);
    if (o->zero_one_labels && row->target != NN_TARGET_SIGN)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: zero_one_labels is for the hinges and the logistic loss", row->name);
    if (row->target == NN_TARGET_ANY && !o->function)
        return nn_fail(error, AD_NULL, "%s: options.function is NULL", row->name);
    return o->class_weights ? check_class_weights(row, o, classes, error) : AD_OK;
}

ad_status nn_check_loss_options(const nn_loss_row *row, const nn_loss_options *options,
                                int64_t classes, nn_error *error)
{
    nn_numbers numbers;
    const bool c = nn_c_numbers(&numbers);
    const ad_status status = check_options(row, options, classes, error);
    if (c)
        nn_own_numbers(&numbers);
    return status;
}

static bool same_shape(nn_operand a, nn_operand b)
{
    return a.rank == b.rank &&
           (a.rank == 0 || !memcmp(a.shape, b.shape, (size_t)a.rank * sizeof *a.shape));
}

static bool is_column_of(nn_operand p, nn_operand y)
{
    return y.rank == 1 && p.rank == 2 && p.shape[1] == 1 && y.shape[0] == p.shape[0];
}

/* What is wrong with the shapes, or NULL. */
static const char *misfit(const nn_loss_row *row, nn_operand p, nn_operand y)
{
    const bool categories =
        row->target == NN_TARGET_CLASSES || row->target == NN_TARGET_DISTRIBUTION;
    if (p.rank < 1 || y.rank < 1)
        return "the first axis of both must count examples";
    if (p.shape[0] != y.shape[0])
        return "they must have as many examples (the first axis)";
    if (row->target == NN_TARGET_ANY)
        return NULL;
    if (categories && (p.rank != 2 || (p.shape[1] == 0 && p.shape[0] > 0)))
        return "predictions must be (N,C), a column for each class";
    if (row->target == NN_TARGET_CLASSES && y.rank == 1)
        return y.dtype == AD_I32 ? NULL
                                 : "classes (N) must be int32; probabilities are (N,C) as the "
                                   "prediction is";
    if (row->target == NN_TARGET_CLASSES && !same_shape(p, y))
        return "targets must be int32 classes (N), or probabilities (N,C) as the prediction is";
    if (!same_shape(p, y) && (categories || !is_column_of(p, y)))
        return "every element needs a target of its own, nothing is broadcast: reshape one of them";
    return NULL;
}

ad_status nn_check_loss_shapes(const nn_loss_row *row, nn_operand p, nn_operand y, nn_error *error)
{
    const char *wrong = misfit(row, p, y);
    if (wrong)
        return nn_fail(error, AD_BAD_SHAPE, "%s: prediction %s of %s, target %s of %s: %s",
                       row->name, nn_shape_text_of(p.rank, p.shape).text, ad_dtype_name(p.dtype),
                       nn_shape_text_of(y.rank, y.shape).text, ad_dtype_name(y.dtype), wrong);
    if (p.dtype == AD_I32)
        return nn_fail(error, AD_BAD_DTYPE,
                       "%s: the prediction is int32; it must be float or double", row->name);
    return AD_OK;
}

/* ---- recording ---- */

typedef struct recording {
    const nn_loss_row *row;
    const nn_loss_options *options;
    ad_tape *tape;
    ad_var p, y, weights; /* weights.tape NULL: none */
    int64_t n;
    ad_dtype dtype;
    ad_var losses, class_weights; /* what is recorded; (N), tape NULL: none */
} recording;

static nn_operand operand_of(ad_var a)
{
    return (nn_operand){ad_dtype_of(a), ad_rank(a), ad_shape(a)};
}

static int64_t size_of_one(nn_operand a)
{
    int64_t size = 1;
    for (int i = 1; i < a.rank; i++)
        size *= a.shape[i];
    return size;
}

/* w (N) as (N,1,...), to go along the first axis of something of that rank */
static ad_var along_rows(ad_var w, int64_t n, int rank)
{
    int64_t shape[AD_MAX_RANK] = {n, 1, 1, 1, 1, 1, 1, 1};
    _Static_assert(AD_MAX_RANK == 8, "a 1 for each axis");
    return rank == 1 ? w : ad_reshape(w, rank, shape);
}

static ad_var smooth(double s, double classes, ad_var y)
{
    return s > 0 ? ad_add(ad_mul(1 - s, y), s / classes) : y;
}

/* The weights of C classes, or C ones, in the prediction's dtype. */
static ad_var class_weights_of(const recording *r, int64_t classes)
{
    const double *given = r->options->class_weights;
    double *ones = NULL;
    if (!given) {
        ones = malloc((size_t)(classes > 0 ? classes : 1) * sizeof *ones);
        if (!ones)
            return ad_fail(r->tape, AD_NO_MEMORY, "loss: out of memory for the classes' weights");
        for (int64_t i = 0; i < classes; i++)
            ones[i] = 1;
        given = ones;
    }
    ad_var w = ad_cast(ad_constant_array(r->tape, AD_F64, 1, &classes, given), r->dtype);
    free(ones);
    return w;
}

/* Cross-entropies: with t = (1 - s) y + s / C and class weights c, a row's loss is -sum c t ln p.
 * Where y is a class that is (1 - s) c[y] (-ln p[y]) + s / C sum c (-ln p). */
static void record_categories(recording *r)
{
    const nn_loss_options *o = r->options;
    const int64_t *shape = ad_shape(r->p), both[2] = {shape[0], shape[1]};
    const double s = o->smoothing;
    const bool weighted = o->class_weights, classes = ad_rank(r->y) == 1;
    ad_var c = {0};
    if (weighted || (classes && s > 0))
        c = class_weights_of(r, both[1]);
    if (!classes) {
        ad_var t = smooth(s, (double)both[1], ad_cast(r->y, r->dtype));
        r->losses = r->row->formula(o, r->p, weighted ? ad_mul(t, c) : t);
        return;
    }
    r->losses = r->row->formula(o, r->p, r->y);
    if (weighted) {
        r->class_weights = ad_take(c, 0, r->y);
        r->losses = ad_mulz(r->class_weights, r->losses);
    }
    if (s > 0) {
        ad_var others = r->row->formula(o, r->p, ad_expand(c, 2, both));
        r->losses = ad_add(ad_mul(1 - s, r->losses), ad_mul(s / (double)both[1], others));
    }
}

static void record_elements(recording *r)
{
    const nn_loss_options *o = r->options;
    nn_operand p = operand_of(r->p);
    ad_var y = ad_cast(r->y, r->dtype);
    if (ad_rank(y) != p.rank)
        y = ad_reshape(y, p.rank, p.shape);
    if (r->row->target == NN_TARGET_PROBABILITY)
        y = smooth(o->smoothing, 2, y);
    if (r->row->target == NN_TARGET_SIGN && o->zero_one_labels)
        y = ad_sub(ad_mul(2, y), 1);
    r->losses = r->row->formula(o, r->p, y);
}

static void record_custom(recording *r)
{
    char text[256];
    r->losses = r->row->formula(r->options, r->p, r->y);
    if (ad_tape_status(r->tape))
        return;
    nn_operand l = operand_of(r->losses);
    if (l.rank >= 1 && l.shape[0] == r->n && l.dtype != AD_I32)
        return;
    snprintf(text, sizeof text,
             "custom loss: the function gave %s%s; it must give the losses of %lld samples, (N) or "
             "(N,...), unreduced",
             l.rank < 0 ? "no variable" : nn_shape_text_of(l.rank, l.shape).text,
             l.rank >= 0 && l.dtype == AD_I32 ? " of int32" : "", (long long)r->n);
    r->losses = ad_fail(r->tape, l.rank < 0 ? AD_NULL : AD_BAD_SHAPE, text);
}

/* ---- reduction ---- */

static ad_var divisor(const recording *r, bool of_elements)
{
    const bool is_custom = r->row->target == NN_TARGET_ANY;
    const double each =
        of_elements ? (double)size_of_one(operand_of(is_custom ? r->losses : r->p)) : 1;
    const bool by_sample = r->weights.tape, by_class = r->class_weights.tape;
    if (r->options->divide_by_count || (!by_sample && !by_class))
        return ad_constant((double)r->n * each);
    ad_var w = by_sample && by_class ? ad_mul(r->weights, r->class_weights)
               : by_sample           ? r->weights
                                     : r->class_weights;
    return each == 1 ? ad_sum(w) : ad_mul(ad_sum(w), each);
}

static ad_var reduced(const recording *r)
{
    const nn_reduction chosen = r->options->reduction ? r->options->reduction : r->row->reduction;
    ad_var l = r->losses;
    if (r->weights.tape)
        l = ad_mulz(along_rows(r->weights, r->n, ad_rank(l)), l);
    if (chosen == NN_NONE)
        return l;
    ad_var sum = ad_sum(l);
    return chosen == NN_SUM ? sum : ad_div(sum, divisor(r, chosen == NN_MEAN_ELEMENTS));
}

/* ---- the whole ---- */

/* The tape of the first that has one: constants have none that could keep an error. */
static ad_tape *tape_of(ad_var a, ad_var b, ad_var c)
{
    return ad_var_node(a) >= 0   ? a.tape
           : ad_var_node(b) >= 0 ? b.tape
           : ad_var_node(c) >= 0 ? c.tape
                                 : NULL;
}

static ad_status check_weights(const recording *r, nn_error *error)
{
    nn_operand w = operand_of(r->weights);
    if (w.rank == 1 && w.shape[0] == r->n)
        return AD_OK;
    return nn_fail(error, AD_BAD_SHAPE,
                   "%s: weights %s for %lld samples: they must be (N), one number for each",
                   r->row->name,
                   w.rank < 0 ? "that are no variable" : nn_shape_text_of(w.rank, w.shape).text,
                   (long long)r->n);
}

static ad_status check_call(recording *r, nn_loss loss, nn_error *error)
{
    if (!r->row)
        return nn_fail(error, AD_BAD_ARGUMENT, "loss: no loss has the number %d", (int)loss);
    nn_operand p = operand_of(r->p), y = operand_of(r->y);
    if (p.rank < 0 || y.rank < 0)
        return nn_fail(error, AD_NULL, "%s: the %s is no variable", r->row->name,
                       p.rank < 0 ? "prediction" : "target");
    if (nn_check_loss_shapes(r->row, p, y, error) ||
        nn_check_loss_options(r->row, r->options, p.rank > 1 ? p.shape[1] : -1, error))
        return error->status;
    r->n = p.shape[0];
    r->dtype = p.dtype;
    return r->weights.tape ? check_weights(r, error) : AD_OK;
}

ad_var nn_record_loss(nn_loss loss, const nn_loss_options *options, ad_var prediction,
                      ad_var target, ad_var weights)
{
    static const nn_loss_options defaults = {.reduction = NN_DEFAULT_REDUCTION};
    nn_error error = {0};
    recording r = {.row = nn_loss_row_of(loss),
                   .options = options ? options : &defaults,
                   .tape = tape_of(prediction, target, weights),
                   .p = prediction,
                   .y = target,
                   .weights = weights};
    if (!r.tape) /* a handle that went stale is reported by its own tape */
        return prediction.tape && ad_rank(prediction) < 0 ? ad_neg(prediction) : (ad_var){0};
    if (ad_tape_status(r.tape))
        return ad_fail(r.tape, ad_tape_status(r.tape), "");
    if (check_call(&r, loss, &error))
        return ad_fail(r.tape, error.status, error.text);
    if (weights.tape)
        r.weights = ad_cast(weights, r.dtype);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): check_call passes known losses only
    if (r.row->target == NN_TARGET_ANY)
        record_custom(&r);
    else if (r.row->target == NN_TARGET_CLASSES)
        record_categories(&r);
    else
        record_elements(&r);
    return reduced(&r);
}
