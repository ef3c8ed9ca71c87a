/* metric.c - how good predictions are, in numbers that people ask for
 *
 * Definitions are scikit-learn's. Every row counts as much as its weight; rows of weight 0 do not
 * count at all, whatever is in them.
 *
 *   classes    The predicted class is the largest output, the first of several; a single output is
 *              class 1 where the logit is above 0 or the probability above 1/2. A row with a NaN
 *              predicts no class, which is wrong. True classes come as int32, as rows of which the
 *              largest is meant (one-hot, probabilities), or for one output as 0/1 or -1/+1.
 *   precision  and recall and F1 of class 1 where there are two classes, else their mean over all
 *              classes that occur in truth or prediction; 0 for a class that was never predicted
 *              (precision), or never true (recall).
 *   AUC        (sum over pairs of a positive and a negative: 1 if ranked rightly, 1/2 if tied) per
 *              pair. Needs both classes; NaN where there is one, or more than two.
 *   MAE, RMSE  over all elements.
 *   R2         1 - residual / total sum of squares for each output, then the mean over outputs;
 *              an output whose target never changes has none and is left out. */
#include "metric.h"
#include "error.h"
#include "loss.h"
#include "number.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

static const struct metric {
    int bit;
    const char *name;
    size_t offset;
} metrics_table[NN_METRICS] = {
#define METRIC(bit, field)                                                                         \
    {                                                                                              \
        bit, #field, offsetof(nn_scores, field)                                                    \
    }
    METRIC(NN_ACCURACY, accuracy), METRIC(NN_TOP_K, top_k), METRIC(NN_PRECISION, precision),
    METRIC(NN_RECALL, recall),     METRIC(NN_F1, f1),       METRIC(NN_AUC, auc),
    METRIC(NN_MAE_METRIC, mae),    METRIC(NN_RMSE, rmse),   METRIC(NN_R2, r2),
#undef METRIC
};
static const struct metric the_loss = {0, "loss", offsetof(nn_scores, loss)};

/* NULL: none has this bit. 0 is the loss, as in nn_fit_config.monitor. */
static const struct metric *metric_of(int bit)
{
    for (int i = 0; i < NN_METRICS; i++)
        if (metrics_table[i].bit == bit)
            return &metrics_table[i];
    return bit == 0 ? &the_loss : NULL;
}

const char *nn_metric_name(int metric)
{
    const struct metric *m = metric_of(metric);
    return m ? m->name : "unknown metric";
}

double nn_score(const nn_scores *scores, int metric)
{
    const struct metric *m = metric_of(metric);
    double score = NAN;
    if (m && scores)
        memcpy(&score, (const char *)scores + m->offset, sizeof score);
    return score;
}

/* ---- what is measured ---- */

typedef struct measurement {
    nn_rows p, y, w;
    bool weighted, probabilities;
    int64_t n, classes; /* classes 2 for one output */
    nn_scratch *scratch;
    nn_error *error;
} measurement;

bool nn_scratch_take(nn_scratch *s, size_t bytes)
{
    if (s->memory && bytes <= s->bytes)
        return true;
    free(s->memory);
    s->memory = calloc(1, bytes > 0 ? bytes : 1);
    s->bytes = s->memory ? bytes : 0;
    return s->memory != NULL;
}

void nn_scratch_free(nn_scratch *s)
{
    free(s->memory);
    *s = (nn_scratch){0};
}

/* n elements of zeros; NULL when out of memory, which is the error then. */
static void *zeros(const measurement *m, int64_t n, size_t each)
{
    if ((uint64_t)n > SIZE_MAX / each || !nn_scratch_take(m->scratch, (size_t)n * each)) {
        nn_no_memory(m->error);
        return NULL;
    }
    return memset(m->scratch->memory, 0, (size_t)n * each);
}

static double weight_of(const measurement *m, int64_t row)
{
    return m->weighted ? nn_rows_get(&m->w, row, 0) : 1;
}

static double total_weight(const measurement *m)
{
    double sum = 0;
    for (int64_t i = 0; i < m->n; i++)
        sum += weight_of(m, i);
    return sum;
}

/* the first of the largest; -1 where there is a NaN */
static int64_t largest(const nn_rows *r, int64_t row)
{
    int64_t best = 0;
    double most = nn_rows_get(r, row, 0);
    for (int64_t j = 0; j < r->each; j++) {
        const double x = nn_rows_get(r, row, j);
        if (isnan(x))
            return -1;
        if (x > most)
            best = j, most = x;
    }
    return best;
}

static int64_t predicted_class(const measurement *m, int64_t row)
{
    if (m->p.each > 1)
        return largest(&m->p, row);
    const double p = nn_rows_get(&m->p, row, 0);
    return isnan(p) ? -1 : p > (m->probabilities ? .5 : 0);
}

static int64_t true_class(const measurement *m, int64_t row)
{
    if (m->y.each > 1)
        return largest(&m->y, row);
    const double y = nn_rows_get(&m->y, row, 0);
    return m->p.each > 1 ? (int64_t)y : y > .5;
}

/* ---- are the arguments usable? ---- */

static ad_status take_weights(measurement *m, const nn_rows *weights)
{
    if (weights->rank != 1 || weights->n != m->n)
        return nn_fail(m->error, AD_BAD_SHAPE, "metrics: weights %s for %lld rows",
                       nn_shape_text_of(weights->rank, weights->shape).text, (long long)m->n);
    m->w = *weights;
    m->weighted = true;
    for (int64_t i = 0; i < m->n; i++)
        if (!(weight_of(m, i) >= 0 && weight_of(m, i) <= 1e300))
            return nn_fail(m->error, AD_BAD_ARGUMENT,
                           "metrics: the weight of row %lld is %g: it must be a number from 0 up",
                           (long long)i, weight_of(m, i));
    return AD_OK;
}

static ad_status take_rows(measurement *m, const nn_rows *prediction, const nn_rows *target,
                           const nn_rows *weights)
{
    m->p = *prediction;
    m->y = *target;
    m->n = m->p.n;
    m->classes = m->p.each == 1 ? 2 : m->p.each;
    if (prediction->rank < 1 || target->rank < 1 || prediction->n != target->n)
        return nn_fail(m->error, AD_BAD_SHAPE,
                       "metrics: prediction %s, target %s: rows (the first axis) differ",
                       nn_shape_text_of(prediction->rank, prediction->shape).text,
                       nn_shape_text_of(target->rank, target->shape).text);
    return weights ? take_weights(m, weights) : AD_OK;
}

static ad_status take_tensors(measurement *m, const ad_tensor *prediction, const ad_tensor *target,
                              const ad_tensor *weights)
{
    if (!prediction || !target) {
        nn_fail(m->error, AD_NULL, "metrics: %s is NULL",
                prediction ? "the target" : "the prediction");
        return AD_NULL;
    }
    const nn_rows p = nn_rows_of(prediction), y = nn_rows_of(target);
    const nn_rows w = weights ? nn_rows_of(weights) : (nn_rows){0};
    return take_rows(m, &p, &y, weights ? &w : NULL);
}

/* A target that names its class: in range? */
static ad_status check_label(const measurement *m, int64_t row)
{
    const double y = nn_rows_get(&m->y, row, 0);
    if (m->p.each > 1 && !(y >= 0 && y < (double)m->classes))
        return nn_fail(m->error, AD_BAD_INDEX,
                       "metrics: row %lld: class %.0f, but the prediction has %lld columns, so "
                       "classes are 0..%lld",
                       (long long)row, y, (long long)m->classes, (long long)m->classes - 1);
    if (m->p.each == 1 && !(y >= -1 && y <= 1))
        return nn_fail(m->error, AD_BAD_ARGUMENT,
                       "metrics: row %lld: the target %g is no label of one output: they are 0 and "
                       "1, or -1 and 1",
                       (long long)row, y);
    return AD_OK;
}

static ad_status check_classes(const measurement *m)
{
    const bool labels = m->y.each == 1, columns = m->y.each == m->p.each;
    if (m->p.each < 1 || m->p.rank > 2 || m->y.rank > 2 || (!labels && !columns))
        return nn_fail(m->error, AD_BAD_SHAPE,
                       "metrics: classes are predicted as (N,C) or (N,1), and true as int32 (N) or "
                       "(N,C): prediction %s, target %s",
                       nn_shape_text_of(m->p.rank, m->p.shape).text,
                       nn_shape_text_of(m->y.rank, m->y.shape).text);
    if (labels && m->p.each > 1 && m->y.dtype != AD_I32)
        return nn_fail(m->error, AD_BAD_DTYPE, "metrics: classes must be int32, and these are %s",
                       ad_dtype_name(m->y.dtype));
    for (int64_t i = 0; i < m->n; i++)
        if (weight_of(m, i) == 0)
            continue;
        else if (labels && check_label(m, i))
            return m->error->status;
        else if (!labels && true_class(m, i) < 0)
            return nn_fail(m->error, AD_NOT_FINITE, "metrics: row %lld: the target has a NaN",
                           (long long)i);
    return AD_OK;
}

/* ---- accuracy ---- */

static double accuracy(const measurement *m)
{
    double right = 0;
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i);
        if (w > 0 && true_class(m, i) == predicted_class(m, i))
            right += w;
    }
    return right / total_weight(m);
}

/* Is the true class among the k largest outputs, the first of ties before the others? */
static bool among_largest(const measurement *m, int64_t row, int k)
{
    const int64_t truth = true_class(m, row);
    const double own = nn_rows_get(&m->p, row, truth);
    int64_t before = 0;
    for (int64_t j = 0; j < m->p.each; j++) {
        const double x = nn_rows_get(&m->p, row, j);
        if (isnan(x))
            return false;
        before += x > own || (x == own && j < truth);
    }
    return before < k;
}

static double top_k(const measurement *m, int k)
{
    double right = 0;
    if (m->p.each == 1 && k == 1)
        return accuracy(m);
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i);
        if (w > 0 && (m->p.each == 1 ? predicted_class(m, i) >= 0 : among_largest(m, i, k)))
            right += w;
    }
    return right / total_weight(m);
}

/* ---- precision, recall, F1 ---- */

typedef struct tally { /* of one class */
    double both, predicted, actual;
    bool occurs;
} tally;

static void count_tallies(const measurement *m, tally *tallies)
{
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i);
        if (w == 0)
            continue;
        const int64_t truth = true_class(m, i), guess = predicted_class(m, i);
        tallies[truth].actual += w;
        tallies[truth].occurs = true;
        if (guess < 0)
            continue;
        tallies[guess].predicted += w;
        tallies[guess].occurs = true;
        if (guess == truth)
            tallies[truth].both += w;
    }
}

static double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

static ad_status measure_classes(const measurement *m, unsigned metrics, nn_scores *scores)
{
    tally *tallies = zeros(m, m->classes, sizeof *tallies);
    if (!tallies)
        return m->error->status;
    count_tallies(m, tallies);
    double precision = 0, recall = 0, f1 = 0, count = 0;
    for (int64_t k = m->classes == 2; k < m->classes; k++) {
        const tally *t = &tallies[k];
        if (!t->occurs && m->classes > 2)
            continue;
        precision += share(t->both, t->predicted);
        recall += share(t->both, t->actual);
        f1 += share(2 * t->both, t->predicted + t->actual);
        count++;
    }
    if (!(total_weight(m) > 0))
        count = 0, precision = recall = f1 = 0; /* nothing was seen: NaN */
    if (metrics & NN_PRECISION)
        scores->precision = precision / count;
    if (metrics & NN_RECALL)
        scores->recall = recall / count;
    if (metrics & NN_F1)
        scores->f1 = f1 / count;
    return AD_OK;
}

/* ---- AUC ---- */

typedef struct ranked {
    double score, positive, negative; /* weights */
} ranked;

static int by_score(const void *a, const void *b)
{
    const double x = ((const ranked *)a)->score, y = ((const ranked *)b)->score;
    return (x > y) - (x < y);
}

/* How much class 1 is preferred: by the output, or of two by their difference. */
static double preference(const measurement *m, int64_t row)
{
    return m->p.each == 1     ? nn_rows_get(&m->p, row, 0)
           : m->probabilities ? nn_rows_get(&m->p, row, 1)
                              : nn_rows_get(&m->p, row, 1) - nn_rows_get(&m->p, row, 0);
}

/* From the lowest score up: every positive beats the negatives below it and half of those beside
 * it.
 */
static double area(ranked *all, int64_t n)
{
    double below = 0, won = 0, positives = 0;
    qsort(all, (size_t)n, sizeof *all, by_score);
    for (int64_t i = 0; i < n;) {
        const double score = all[i].score;
        double positive = 0, negative = 0;
        for (; i < n && all[i].score == score; i++)
            positive += all[i].positive, negative += all[i].negative;
        won += positive * (below + .5 * negative);
        below += negative;
        positives += positive;
    }
    return won / (positives * below);
}

static ad_status measure_auc(const measurement *m, nn_scores *scores)
{
    if (m->classes != 2 || m->n == 0)
        return AD_OK;
    ranked *all = zeros(m, m->n, sizeof *all);
    if (!all)
        return m->error->status;
    int64_t n = 0;
    bool ordered = true;
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i), score = preference(m, i);
        if (w == 0)
            continue;
        const bool positive = true_class(m, i) == 1;
        all[n++] = (ranked){score, positive ? w : 0, positive ? 0 : w};
        ordered = ordered && !isnan(score);
    }
    if (ordered)
        scores->auc = area(all, n);
    return AD_OK;
}

/* ---- regression ---- */

static ad_status check_numbers(const measurement *m)
{
    const bool column = m->y.rank == 1 && m->p.each == 1 && m->p.rank == 2;
    if (column || (m->p.rank == m->y.rank &&
                   !memcmp(m->p.shape, m->y.shape, (size_t)m->p.rank * sizeof *m->p.shape)))
        return AD_OK;
    return nn_fail(m->error, AD_BAD_SHAPE,
                   "metrics: prediction %s, target %s: MAE, RMSE and R2 want equal shapes",
                   nn_shape_text_of(m->p.rank, m->p.shape).text,
                   nn_shape_text_of(m->y.rank, m->y.shape).text);
}

static void measure_errors(const measurement *m, unsigned metrics, nn_scores *scores)
{
    double absolute = 0, squares = 0;
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i);
        for (int64_t j = 0; w > 0 && j < m->p.each; j++) {
            const double d = nn_rows_get(&m->p, i, j) - nn_rows_get(&m->y, i, j);
            absolute += w * fabs(d);
            squares += w * d * d;
        }
    }
    const double count = total_weight(m) * (double)m->p.each;
    if (metrics & NN_MAE_METRIC)
        scores->mae = absolute / count;
    if (metrics & NN_RMSE)
        scores->rmse = sqrt(squares / count);
}

typedef struct spread { /* of one output; counted from its first value, so that a constant has none
                         */
    double first, mean, residual, total;
} spread;

static void count_spreads(const measurement *m, spread *of)
{
    double seen = 0;
    for (int64_t i = 0; i < m->n; i++) {
        const double w = weight_of(m, i);
        if (w == 0)
            continue;
        for (int64_t j = 0; j < m->p.each; j++) {
            const double y = nn_rows_get(&m->y, i, j), d = nn_rows_get(&m->p, i, j) - y;
            if (seen == 0)
                of[j].first = y;
            /* West's running mean and sum of squares */
            const double apart = y - of[j].first - of[j].mean;
            of[j].mean += apart * w / (seen + w);
            of[j].total += w * apart * (y - of[j].first - of[j].mean);
            of[j].residual += w * d * d;
        }
        seen += w;
    }
}

static ad_status measure_r2(const measurement *m, nn_scores *scores)
{
    spread *of = zeros(m, m->p.each + 1, sizeof *of); /* there may be no outputs */
    if (!of)
        return m->error->status;
    double sum = 0, count = 0;
    count_spreads(m, of);
    for (int64_t j = 0; j < m->p.each; j++)
        if (of[j].total != 0) { /* NaN too */
            sum += 1 - of[j].residual / of[j].total;
            count++;
        }
    scores->r2 = sum / count;
    return AD_OK;
}

/* ---- together ---- */

static ad_status measure(const measurement *m, unsigned metrics, int k, nn_scores *scores)
{
    const unsigned of_tallies = NN_PRECISION | NN_RECALL | NN_F1;
    const unsigned of_classes = NN_ACCURACY | NN_TOP_K | of_tallies | NN_AUC;
    const unsigned of_errors = NN_MAE_METRIC | NN_RMSE;
    if (((metrics & of_classes) && check_classes(m)) ||
        ((metrics & (of_errors | NN_R2)) && check_numbers(m)))
        return m->error->status;
    if (metrics & NN_ACCURACY)
        scores->accuracy = accuracy(m);
    if (metrics & NN_TOP_K)
        scores->top_k = top_k(m, k ? k : 5);
    if ((metrics & of_tallies) && measure_classes(m, metrics, scores))
        return m->error->status;
    if ((metrics & NN_AUC) && measure_auc(m, scores))
        return m->error->status;
    if (metrics & of_errors)
        measure_errors(m, metrics, scores);
    return metrics & NN_R2 ? measure_r2(m, scores) : AD_OK;
}

static nn_scores no_scores(int64_t rows)
{
    return (nn_scores){rows, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

size_t nn_scores_bytes(unsigned metrics, int64_t n, int64_t outputs)
{
    const size_t each = sizeof(tally) > sizeof(spread) ? sizeof(tally) : sizeof(spread);
    if ((uint64_t)n > SIZE_MAX / sizeof(ranked) || (uint64_t)outputs > SIZE_MAX / each - 2)
        return SIZE_MAX;
    const size_t ranks = metrics & NN_AUC && outputs <= 2 ? (size_t)n * sizeof(ranked) : 0;
    const size_t sums = ((size_t)outputs + 2) * each;
    return ranks > sums ? ranks : sums;
}

static void compute(measurement *m, unsigned metrics, int k, nn_scores *scores)
{
    scores->rows = m->n;
    measure(m, metrics, k, scores);
}

ad_status nn_scores_of_rows(const nn_rows *prediction, const nn_rows *target,
                            const nn_rows *weights, unsigned metrics, int k, bool probabilities,
                            nn_scratch *scratch, nn_scores *scores, nn_error *error)
{
    nn_error own;
    nn_numbers numbers;
    measurement m = {
        .probabilities = probabilities, .scratch = scratch, .error = nn_error_or(error, &own)};
    *scores = no_scores(0);
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(error);
    if (!take_rows(&m, prediction, target, weights))
        compute(&m, metrics, k, scores);
    nn_own_numbers(&numbers);
    return m.error->status;
}

ad_status nn_compute_scores(const ad_tensor *prediction, const ad_tensor *target,
                            const ad_tensor *weights, unsigned metrics, int k, bool probabilities,
                            nn_scores *scores, nn_error *error)
{
    if (scores)
        *scores = no_scores(0);
    if (nn_earlier(error))
        return nn_earlier(error);
    nn_error own;
    nn_numbers numbers;
    nn_scratch scratch = {0};
    measurement m = {
        .probabilities = probabilities, .scratch = &scratch, .error = nn_error_or(error, &own)};
    if (!scores)
        return nn_fail(error, AD_NULL, "metrics: no place for the scores (NULL)");
    if (k < 0 || metrics >> NN_METRICS)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       metrics >> NN_METRICS ? "metrics: %u has bits of no metric"
                                             : "metrics: k is negative in top-k (metrics %u)",
                       metrics);
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(error);
    if (!take_tensors(&m, prediction, target, weights))
        compute(&m, metrics, k, scores);
    nn_own_numbers(&numbers);
    nn_scratch_free(&scratch);
    return m.error->status;
}

/* ---- confusion ---- */

static ad_status confuse(const measurement *m, int classes, int64_t *counts)
{
    if (m->classes != classes)
        return nn_fail(m->error, AD_BAD_SHAPE,
                       "confusion: %d classes asked for, but the prediction has %lld", classes,
                       (long long)m->classes);
    if (check_classes(m))
        return m->error->status;
    memset(counts, 0, (size_t)classes * (size_t)classes * sizeof *counts);
    for (int64_t i = 0; i < m->n; i++) {
        const int64_t guess = predicted_class(m, i);
        if (guess < 0)
            return nn_fail(m->error, AD_NOT_FINITE, "confusion: row %lld: the prediction has a NaN",
                           (long long)i);
        counts[(int64_t)classes * true_class(m, i) + guess]++;
    }
    return AD_OK;
}

ad_status nn_confusion(const ad_tensor *prediction, const ad_tensor *target, int classes,
                       bool probabilities, int64_t *counts, nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    nn_error own;
    nn_numbers numbers;
    measurement m = {.probabilities = probabilities, .error = nn_error_or(error, &own)};
    if (!counts)
        return nn_fail(error, AD_NULL, "confusion: no place for the counts (NULL)");
    if (!nn_c_numbers(&numbers))
        return nn_no_memory(error);
    if (!take_tensors(&m, prediction, target, NULL))
        confuse(&m, classes, counts);
    nn_own_numbers(&numbers);
    return m.error->status;
}

/* The name of a class, or its number (written to `own`). */
static const char *class_name(const char *const *names, int k, char own[24])
{
    if (names && names[k])
        return names[k];
    snprintf(own, 24, "%d", k);
    return own;
}

/* columns that UTF-8 takes in a terminal, as far as a byte count tells */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

/* `text` in a field, on the left or (align) on the right of it */
static void put(FILE *to, const char *text, int width, bool right)
{
    const int blank = width - width_of(text);
    fprintf(to, "%*s%s%*s", right && blank > 0 ? blank : 0, "", text,
            !right && blank > 0 ? blank : 0, "");
}

static void print_header(int classes, const char *const *names, const int *widths, int first,
                         FILE *to)
{
    char own[24];
    put(to, "", first, false);
    fputs("  predicted\n", to);
    put(to, "true", first, false);
    for (int j = 0; j < classes; j++) {
        fputs("  ", to);
        put(to, class_name(names, j, own), widths[j], true);
    }
    fputc('\n', to);
}

static void print_rows(int classes, const int64_t *counts, const char *const *names,
                       const int *widths, int first, FILE *to)
{
    char own[24], number[24];
    for (int i = 0; i < classes; i++) {
        put(to, class_name(names, i, own), first, false);
        for (int j = 0; j < classes; j++) {
            snprintf(number, sizeof number, "%lld", (long long)counts[(int64_t)classes * i + j]);
            fputs("  ", to);
            put(to, number, widths[j], true);
        }
        fputc('\n', to);
    }
}

ad_status nn_confusion_print(int classes, const int64_t *counts, const char *const *names, FILE *to)
{
    if (!counts || !to)
        return AD_NULL;
    if (classes < 1)
        return AD_BAD_ARGUMENT;
    int *widths = calloc((size_t)classes, sizeof *widths), first = 4;
    if (!widths)
        return AD_NO_MEMORY;
    char own[24], number[24];
    for (int j = 0; j < classes; j++) {
        widths[j] = width_of(class_name(names, j, own));
        first = widths[j] > first ? widths[j] : first;
        for (int i = 0; i < classes; i++) {
            const int digits = snprintf(number, sizeof number, "%lld",
                                        (long long)counts[(int64_t)classes * i + j]);
            widths[j] = digits > widths[j] ? digits : widths[j];
        }
    }
    print_header(classes, names, widths, first, to);
    print_rows(classes, counts, names, widths, first, to);
    free(widths);
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
