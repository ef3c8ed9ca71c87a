/* test_nn_metric.c - metrics against scikit-learn's definitions, worked out by hand or written down
 * the long way */
#include "compare.h"
#include "expect.h"
#include "nn.h"

#include <locale.h>

static ad_tensor *tensor(ad_dtype dtype, int rank, int64_t rows, int64_t columns,
                         const double *values)
{
    ad_tensor *x = ad_tensor_new(NULL, dtype, rank, (const int64_t[]){rows, columns});
    assert_non_null(x);
    assert_int_equal(ad_tensor_write(x, values), AD_OK);
    return x;
}

enum { ALL_CLASSES = NN_ACCURACY | NN_TOP_K | NN_PRECISION | NN_RECALL | NN_F1 | NN_AUC };

/* of tensors that it frees */
static nn_scores scores_of(ad_tensor *p, ad_tensor *y, ad_tensor *w, unsigned metrics, int k,
                           bool probabilities)
{
    nn_scores s;
    nn_error error = {0};
    if (nn_compute_scores(p, y, w, metrics, k, probabilities, &s, &error))
        fail_msg("%s: %s", ad_status_name(error.status), error.text);
    ad_tensor_free(p);
    ad_tensor_free(y);
    ad_tensor_free(w);
    return s;
}

/* truth 0 0 1 1 2 2, predicted 0 1 1 1 2 0: a row of outputs each */
static const double three_classes[18] = {5, 1, 2, 0, 3, 1, 0, 9, 1, -3, -1, -2, 1, 2, 4, 3, 1, 2},
                    three_truths[6] = {0, 0, 1, 1, 2, 2};

/* ---- classes ---- */

static void three_classes_are_scored_by_hand(void **state)
{
    (void)state;
    nn_scores s = scores_of(tensor(AD_F64, 2, 6, 3, three_classes),
                            tensor(AD_I32, 1, 6, 0, three_truths), NULL, ALL_CLASSES, 2, false);
    assert_int_equal(s.rows, 6);
    CLOSE(s.accuracy, 4 / 6.);
    CLOSE(s.top_k, 5 / 6.); /* row 1: class 0 is the last */
    /* class 0: predicted 2, right 1; class 1: predicted 3, right 2; class 2: predicted 1, right 1
     */
    CLOSE(s.precision, (1 / 2. + 2 / 3. + 1) / 3);
    CLOSE(s.recall, (1 / 2. + 1 + 1 / 2.) / 3);
    CLOSE(s.f1, (2 / 4. + 4 / 5. + 2 / 3.) / 3);
    assert_true(isnan(s.auc) && isnan(s.mae) && isnan(s.rmse) && isnan(s.r2));
    assert_true(isnan(s.loss) && isnan(s.custom));
}

static void weights_count_rows_as_often_as_they_say(void **state)
{
    (void)state;
    const double w[6] = {1, 2, 3, 0, 5, 1};
    nn_scores s =
        scores_of(tensor(AD_F32, 2, 6, 3, three_classes), tensor(AD_I32, 1, 6, 0, three_truths),
                  tensor(AD_F64, 1, 6, 0, w), ALL_CLASSES, 2, false);
    CLOSE(s.accuracy, 9 / 12.);
    CLOSE(s.top_k, 10 / 12.);
    CLOSE(s.precision, (1 / 2. + 3 / 5. + 1) / 3);
    CLOSE(s.recall, (1 / 3. + 1 + 5 / 6.) / 3);
    CLOSE(s.f1, (2 / 5. + 6 / 8. + 10 / 11.) / 3);
}

static void only_classes_that_occur_are_averaged(void **state)
{
    (void)state;
    /* of 5 classes: truth 0 0 3, predicted 0 1 3; classes 2 and 4 do not occur; 1 was never true */
    const double p[15] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0}, y[3] = {0, 0, 3};
    nn_scores s = scores_of(tensor(AD_F64, 2, 3, 5, p), tensor(AD_I32, 1, 3, 0, y), NULL,
                            ALL_CLASSES, 0, false);
    CLOSE(s.precision, (1 + 0 + 1) / 3.);
    CLOSE(s.recall, (1 / 2. + 0 + 1) / 3.);
    CLOSE(s.f1, (2 / 3. + 0 + 1) / 3.);
    EQUAL(s.top_k, 1); /* 5 of 5 */
}

static void targets_may_be_rows_of_probabilities(void **state)
{
    (void)state;
    const double p[6] = {.2, .7, .1, .3, .3, .4}, y[6] = {0, .6, .4, .5, .5, 0};
    nn_scores s = scores_of(tensor(AD_F64, 2, 2, 3, p), tensor(AD_F64, 2, 2, 3, y), NULL,
                            NN_ACCURACY, 0, false);
    EQUAL(s.accuracy, .5); /* the second row means class 0, the first of the largest */
    s = scores_of(tensor(AD_F64, 2, 2, 3, p),
                  tensor(AD_I32, 2, 2, 3, (const double[]){0, 1, 0, 0, 0, 1}), NULL, NN_ACCURACY, 0,
                  false);
    EQUAL(s.accuracy, 1);
}

static void the_first_of_equal_outputs_is_meant(void **state)
{
    (void)state;
    const double p[8] = {1, 1, 1, 1, 0, 2, 2, 2}, y[2] = {0, 2};
    for (int k = 1; k <= 4; k++) {
        nn_scores s = scores_of(tensor(AD_F64, 2, 2, 4, p), tensor(AD_I32, 1, 2, 0, y), NULL,
                                NN_ACCURACY | NN_TOP_K, k, false);
        EQUAL(s.accuracy, .5);
        EQUAL(s.top_k, k < 2 ? .5 : 1);
    }
}

static void one_output_is_a_logit_or_a_probability(void **state)
{
    (void)state;
    const double p[4] = {-1, .25, .75, 2}, y[4] = {0, 0, 1, 1}, signs[4] = {-1, -1, 1, 1};
    for (int rank = 1; rank <= 2; rank++)
        for (int i = 0; i < 3; i++) {
            ad_tensor *truth = tensor(i ? AD_F64 : AD_I32, i ? rank : 1, 4, 1, i == 1 ? signs : y);
            nn_scores s = scores_of(tensor(AD_F64, 2, 4, 1, p), truth, NULL, ALL_CLASSES, 1, false);
            CLOSE(s.accuracy, 3 / 4.);
            CLOSE(s.top_k, 3 / 4.);
            CLOSE(s.precision, 2 / 3.); /* of class 1 alone */
            CLOSE(s.recall, 1);
            CLOSE(s.f1, 4 / 5.);
            EQUAL(s.auc, 1);
            s = scores_of(tensor(AD_F64, rank, 4, 1, p), tensor(AD_I32, 1, 4, 0, signs), NULL,
                          ALL_CLASSES, 2, true);
            EQUAL(s.accuracy, 1);
            EQUAL(s.top_k, 1);
            EQUAL(s.f1, 1);
        }
    /* neither 0 nor 1/2 is above itself */
    nn_scores s =
        scores_of(tensor(AD_F64, 1, 1, 0, (const double[]){0}),
                  tensor(AD_I32, 1, 1, 0, (const double[]){0}), NULL, NN_ACCURACY, 0, false);
    EQUAL(s.accuracy, 1);
    s = scores_of(tensor(AD_F64, 1, 1, 0, (const double[]){.5}),
                  tensor(AD_I32, 1, 1, 0, (const double[]){0}), NULL, NN_ACCURACY, 0, true);
    EQUAL(s.accuracy, 1);
}

static void two_outputs_are_scored_by_class_1(void **state)
{
    (void)state;
    /* predicted 1 0 1 0, truth 1 1 0 0; preferences 2 -1 1 -3 */
    const double p[8] = {0, 2, 1, 0, 0, 1, 3, 0}, y[4] = {1, 1, 0, 0};
    nn_scores s = scores_of(tensor(AD_F64, 2, 4, 2, p), tensor(AD_I32, 1, 4, 0, y), NULL,
                            ALL_CLASSES, 0, false);
    CLOSE(s.accuracy, .5);
    CLOSE(s.precision, .5);
    CLOSE(s.recall, .5);
    CLOSE(s.f1, .5);
    CLOSE(s.auc, 3 / 4.);
}

static void a_class_never_predicted_has_precision_0(void **state)
{
    (void)state;
    const double p[2] = {-1, -2}, y[2] = {1, 0};
    nn_scores s = scores_of(tensor(AD_F64, 2, 2, 1, p), tensor(AD_I32, 1, 2, 0, y), NULL,
                            ALL_CLASSES, 0, false);
    EQUAL(s.precision, 0);
    EQUAL(s.recall, 0);
    EQUAL(s.f1, 0);
}

static void a_nan_predicts_no_class(void **state)
{
    (void)state;
    const double p[6] = {3, NAN, 0, 1, 0, 0}, y[2] = {0, 0};
    nn_scores s = scores_of(tensor(AD_F64, 2, 2, 3, p), tensor(AD_I32, 1, 2, 0, y), NULL,
                            ALL_CLASSES, 3, false);
    EQUAL(s.accuracy, .5);
    EQUAL(s.top_k, .5);
    EQUAL(s.precision, 1);
    EQUAL(s.recall, .5);
    s = scores_of(tensor(AD_F64, 1, 2, 0, p), tensor(AD_I32, 1, 2, 0, (const double[]){1, 0}), NULL,
                  ALL_CLASSES, 0, false);
    EQUAL(s.accuracy, .5);
    assert_true(isnan(s.auc));
}

/* ---- AUC ---- */

/* by its definition: all pairs */
static double all_pairs(int n, const double *p, const double *y, const double *w)
{
    double won = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (y[i] == 1 && y[j] == 0) {
                pairs += w[i] * w[j];
                won += w[i] * w[j] * (p[i] > p[j] ? 1 : p[i] == p[j] ? .5 : 0);
            }
    return won / pairs;
}

static void auc_is_the_share_of_pairs_ranked_rightly(void **state)
{
    (void)state;
    uint64_t random = 7;
    enum { N = 40 };
    for (int k = 0; k < 200; k++) {
        double p[N], y[N], w[N], ones[N];
        const int n = 2 + random_below(&random, N - 1), levels = 1 + random_below(&random, 30);
        for (int i = 0; i < n; i++) {
            y[i] = random_below(&random, 2);
            p[i] = random_below(&random, levels) - 3 + y[i];
            w[i] = random_below(&random, 4);
            ones[i] = 1;
        }
        nn_scores s = scores_of(tensor(AD_F64, 1, n, 0, p), tensor(AD_I32, 1, n, 0, y), NULL,
                                NN_AUC, 0, k & 1);
        const double plain = all_pairs(n, p, y, ones), weighted = all_pairs(n, p, y, w);
        if (!(fabs(s.auc - plain) < 1e-14) && !(isnan(s.auc) && isnan(plain)))
            fail_msg("trial %d: got %.17g, want %.17g", k, s.auc, plain);
        s = scores_of(tensor(AD_F64, 1, n, 0, p), tensor(AD_I32, 1, n, 0, y),
                      tensor(AD_F64, 1, n, 0, w), NN_AUC, 0, k & 1);
        if (!(fabs(s.auc - weighted) < 1e-14) && !(isnan(s.auc) && isnan(weighted)))
            fail_msg("trial %d, weighted: got %.17g, want %.17g", k, s.auc, weighted);
    }
}

static void auc_needs_both_classes(void **state)
{
    (void)state;
    const double p[3] = {.1, .2, .3}, y[3] = {1, 1, 1}, w[3] = {1, 1, 0};
    nn_scores s =
        scores_of(tensor(AD_F64, 1, 3, 0, p), tensor(AD_I32, 1, 3, 0, y), NULL, NN_AUC, 0, true);
    assert_true(isnan(s.auc));
    s = scores_of(tensor(AD_F64, 1, 3, 0, p), tensor(AD_I32, 1, 3, 0, (const double[]){1, 1, 0}),
                  tensor(AD_F64, 1, 3, 0, w), NN_AUC, 0, true);
    assert_true(isnan(s.auc));
    /* scikit-learn's example */
    s = scores_of(tensor(AD_F64, 1, 4, 0, (const double[]){.1, .4, .35, .8}),
                  tensor(AD_I32, 1, 4, 0, (const double[]){0, 0, 1, 1}), NULL, NN_AUC, 0, true);
    EQUAL(s.auc, .75);
}

static void auc_of_many_rows_is_quick_and_exact(void **state)
{
    (void)state;
    enum { N = 200000 };
    double *p = test_malloc(N * sizeof *p), *y = test_malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) {
        y[i] = i % 2;
        p[i] = i % 4 < 2 ? 1 : 2; /* of each class half at 1, half at 2: all is chance */
    }
    nn_scores s =
        scores_of(tensor(AD_F64, 1, N, 0, p), tensor(AD_I32, 1, N, 0, y), NULL, NN_AUC, 0, false);
    EQUAL(s.auc, .5);
    test_free(p);
    test_free(y);
}

/* ---- regression ---- */

enum { ERRORS = NN_MAE_METRIC | NN_RMSE | NN_R2 };

/* scikit-learn's examples */
static void errors_are_scored_by_hand(void **state)
{
    (void)state;
    const double y[4] = {3, -.5, 2, 7}, p[4] = {2.5, 0, 2, 8};
    nn_scores s =
        scores_of(tensor(AD_F64, 2, 4, 1, p), tensor(AD_F64, 1, 4, 0, y), NULL, ERRORS, 0, false);
    CLOSE(s.mae, .5);
    CLOSE(s.rmse, sqrt(.375));
    CLOSE(s.r2, .9486081370449679);
    assert_true(isnan(s.accuracy) && isnan(s.auc));
    const double y2[6] = {.5, 1, -1, 1, 7, -6}, p2[6] = {0, 2, -1, 2, 8, -5};
    s = scores_of(tensor(AD_F64, 2, 3, 2, p2), tensor(AD_F64, 2, 3, 2, y2), NULL, ERRORS, 0, false);
    CLOSE(s.mae, .75);
    CLOSE(s.rmse, sqrt(4.25 / 6));
    CLOSE(s.r2, ((1 - 1.25 / (217 / 6.)) + (1 - 3 / (98 / 3.))) / 2);
}

static void errors_are_weighted(void **state)
{
    (void)state;
    const double y[4] = {1, 2, 4, 100}, p[4] = {2, 2, 2, NAN}, w[4] = {1, 1, 2, 0};
    nn_scores s = scores_of(tensor(AD_F64, 1, 4, 0, p), tensor(AD_F64, 1, 4, 0, y),
                            tensor(AD_F64, 1, 4, 0, w), ERRORS, 0, false);
    CLOSE(s.mae, 5 / 4.);
    CLOSE(s.rmse, 1.5);
    CLOSE(s.r2, 1 - 9 / (27 / 4.)); /* mean 11/4; 49/16 + 9/16 + 2 25/16 */
}

static void r2_leaves_out_outputs_that_never_change(void **state)
{
    (void)state;
    const double y[6] = {.1, 1, .1, 2, .1, 3}, p[6] = {.2, 1, .1, 2, 0, 3};
    nn_scores s =
        scores_of(tensor(AD_F64, 2, 3, 2, p), tensor(AD_F64, 2, 3, 2, y), NULL, NN_R2, 0, false);
    EQUAL(s.r2, 1);
    s = scores_of(tensor(AD_F64, 1, 1, 0, p), tensor(AD_F64, 1, 1, 0, y), NULL, NN_R2, 0, false);
    assert_true(isnan(s.r2));
    /* far from 0 nothing cancels */
    const double far[3] = {1e9 + 1, 1e9 + 2, 1e9 + 3}, near[3] = {1e9 + 1, 1e9 + 2, 1e9 + 2};
    s = scores_of(tensor(AD_F64, 1, 3, 0, near), tensor(AD_F64, 1, 3, 0, far), NULL, NN_R2, 0,
                  false);
    EQUAL(s.r2, .5);
}

/* ---- odds and ends ---- */

static void no_rows_have_no_scores(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 3; columns++) {
        nn_scores s =
            scores_of(tensor(AD_F64, 2, 0, columns, NULL), tensor(AD_F64, 2, 0, columns, NULL),
                      NULL, (1u << NN_METRICS) - 1, 0, false);
        assert_int_equal(s.rows, 0);
        for (int i = 0; i < NN_METRICS; i++)
            if (!isnan(nn_score(&s, 1 << i)))
                fail_msg("%d columns: %s is %g", columns, nn_metric_name(1 << i),
                         nn_score(&s, 1 << i));
    }
}

static void views_are_read_as_they_are(void **state)
{
    (void)state;
    /* the three classes, stored column by column */
    double turned[18];
    for (int i = 0; i < 18; i++)
        turned[i % 3 * 6 + i / 3] = three_classes[i];
    ad_tensor *base = tensor(AD_F64, 2, 3, 6, turned);
    nn_scores s = scores_of(ad_tensor_permuted(base, (const int[]){1, 0}),
                            tensor(AD_I32, 1, 6, 0, three_truths), NULL, ALL_CLASSES, 2, false);
    CLOSE(s.accuracy, 4 / 6.);
    CLOSE(s.top_k, 5 / 6.);
    ad_tensor *picked = ad_tensor_sliced(base, 1, 5, 3, -1); /* columns 5 and 4 */
    s = scores_of(ad_tensor_permuted(picked, (const int[]){1, 0}),
                  tensor(AD_I32, 1, 2, 0, (const double[]){0, 2}), NULL, NN_ACCURACY, 0, false);
    EQUAL(s.accuracy, 1);
    ad_tensor_free(picked);
    ad_tensor_free(base);
}

typedef struct bad_case {
    int p_rank, p_rows, p_columns;
    ad_dtype y_dtype;
    int y_rank, y_rows, y_columns;
    double y[6], w[3];
    int w_rows;
    unsigned metrics;
    int k;
    ad_status status;
    const char *text;
} bad_case;

static const bad_case bad_cases[] = {
    {2, 2, 3, AD_I32, 1, 3, 0, {0}, {0}, 0, NN_ACCURACY, 0, AD_BAD_SHAPE, "rows (the first axis)"},
    {0, 2, 3, AD_I32, 1, 3, 0, {0}, {0}, 0, NN_ACCURACY, 0, AD_BAD_SHAPE, "prediction ()"},
    {2,
     2,
     3,
     AD_I32,
     1,
     2,
     0,
     {0, 3},
     {0},
     0,
     NN_F1,
     0,
     AD_BAD_INDEX,
     "row 1: class 3, but the prediction has 3 columns, so classes are 0..2"},
    {2, 2, 3, AD_I32, 1, 2, 0, {-1, 3}, {0}, 0, NN_TOP_K, 0, AD_BAD_INDEX, "row 0: class -1"},
    {2, 2, 3, AD_F64, 1, 2, 0, {0, 1}, {0}, 0, NN_ACCURACY, 0, AD_BAD_DTYPE, "must be int32"},
    {2, 2, 3, AD_F64, 2, 2, 2, {0, 1}, {0}, 0, NN_ACCURACY, 0, AD_BAD_SHAPE, "target (2,2)"},
    {2,
     2,
     3,
     AD_F64,
     2,
     2,
     3,
     {0, 1, 0, NAN},
     {0},
     0,
     NN_ACCURACY,
     0,
     AD_NOT_FINITE,
     "row 1: the target has a NaN"},
    {2,
     2,
     1,
     AD_I32,
     1,
     2,
     0,
     {0, 2},
     {0},
     0,
     NN_AUC,
     0,
     AD_BAD_ARGUMENT,
     "row 1: the target 2 is no label of one output"},
    {1, 2, 1, AD_F64, 1, 2, 0, {0, NAN}, {0}, 0, NN_AUC, 0, AD_BAD_ARGUMENT, "the target nan"},
    {2,
     2,
     3,
     AD_F64,
     1,
     2,
     0,
     {0},
     {0},
     0,
     NN_RMSE,
     0,
     AD_BAD_SHAPE,
     "MAE, RMSE and R2 want equal"},
    {2,
     2,
     3,
     AD_F64,
     2,
     2,
     1,
     {0},
     {0},
     0,
     NN_R2,
     0,
     AD_BAD_SHAPE,
     "prediction (2,3), target (2,1)"},
    {2, 3, 2, AD_F64, 1, 3, 0, {0}, {0}, 2, NN_R2, 0, AD_BAD_SHAPE, "weights (2) for 3 rows"},
    {1,
     3,
     0,
     AD_F64,
     1,
     3,
     0,
     {0},
     {1, -1, 1},
     3,
     NN_R2,
     0,
     AD_BAD_ARGUMENT,
     "the weight of row 1 is -1"},
    {1,
     3,
     0,
     AD_F64,
     1,
     3,
     0,
     {0},
     {1, 1, NAN},
     3,
     NN_R2,
     0,
     AD_BAD_ARGUMENT,
     "the weight of row 2 is nan"},
    {1,
     3,
     0,
     AD_F64,
     1,
     3,
     0,
     {0},
     {0},
     0,
     1 << NN_METRICS,
     0,
     AD_BAD_ARGUMENT,
     "512 has bits of no metric"},
    {1, 3, 0, AD_F64, 1, 3, 0, {0}, {0}, 0, NN_TOP_K, -1, AD_BAD_ARGUMENT, "k is negative"},
};

static void what_cannot_be_scored_is_named(void **state)
{
    (void)state;
    const double zeros[12] = {0};
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        const bad_case *c = &bad_cases[i];
        ad_tensor *p = tensor(AD_F64, c->p_rank, c->p_rows, c->p_columns, zeros),
                  *y = tensor(c->y_dtype, c->y_rank, c->y_rows, c->y_columns, c->y),
                  *w = c->w_rows ? tensor(AD_F64, 1, c->w_rows, 0, c->w) : NULL;
        nn_scores s;
        nn_error error = {0};
        const ad_status got = nn_compute_scores(p, y, w, c->metrics, c->k, false, &s, &error);
        if (got != c->status || error.status != got || !strstr(error.text, c->text))
            fail_msg("case %d: got %s, \"%s\"; want %s, \"%s\"", (int)i, ad_status_name(got),
                     error.text, ad_status_name(c->status), c->text);
        assert_true(isnan(nn_score(&s, NN_ACCURACY)));
        assert_int_equal(nn_compute_scores(p, y, w, c->metrics, c->k, false, &s, NULL), c->status);
        /* the first error stays */
        assert_int_equal(nn_compute_scores(y, y, NULL, NN_MAE_METRIC, 0, false, &s, &error), got);
        assert_true(isnan(s.mae));
        ad_tensor_free(p);
        ad_tensor_free(y);
        ad_tensor_free(w);
    }
}

static void null_arguments_are_errors(void **state)
{
    (void)state;
    ad_tensor *x = tensor(AD_F64, 1, 2, 0, (const double[]){0, 1});
    int64_t counts[4];
    nn_scores s;
    assert_int_equal(nn_compute_scores(NULL, x, NULL, 1, 0, false, &s, NULL), AD_NULL);
    assert_int_equal(nn_compute_scores(x, NULL, NULL, 1, 0, false, &s, NULL), AD_NULL);
    assert_int_equal(nn_compute_scores(x, x, NULL, 1, 0, false, NULL, NULL), AD_NULL);
    assert_int_equal(nn_confusion(NULL, x, 2, false, counts, NULL), AD_NULL);
    assert_int_equal(nn_confusion(x, NULL, 2, false, counts, NULL), AD_NULL);
    assert_int_equal(nn_confusion(x, x, 2, false, NULL, NULL), AD_NULL);
    assert_int_equal(nn_confusion_print(2, NULL, NULL, stdout), AD_NULL);
    assert_int_equal(nn_confusion_print(2, counts, NULL, NULL), AD_NULL);
    assert_int_equal(nn_confusion_print(0, counts, NULL, stdout), AD_BAD_ARGUMENT);
    ad_tensor_free(x);
}

static void metrics_have_names_and_places(void **state)
{
    (void)state;
    nn_scores s = {.rows = 1,
                   .loss = .5,
                   .accuracy = 1,
                   .top_k = 2,
                   .precision = 3,
                   .recall = 4,
                   .f1 = 5,
                   .auc = 6,
                   .mae = 7,
                   .rmse = 8,
                   .r2 = 9};
    const char *const names[] = {"accuracy", "top_k", "precision", "recall", "f1",
                                 "auc",      "mae",   "rmse",      "r2"};
    for (int i = 0; i < NN_METRICS; i++) {
        assert_string_equal(nn_metric_name(1 << i), names[i]);
        EQUAL(nn_score(&s, 1 << i), i + 1);
    }
    assert_string_equal(nn_metric_name(0), "loss");
    EQUAL(nn_score(&s, 0), .5);
    assert_string_equal(nn_metric_name(3), "unknown metric");
    assert_string_equal(nn_metric_name(-1), "unknown metric");
    assert_true(isnan(nn_score(&s, 3)));
    assert_true(isnan(nn_score(NULL, NN_ACCURACY)));
}

/* ---- confusion ---- */

static void confusion_counts_truth_by_rows(void **state)
{
    (void)state;
    ad_tensor *p = tensor(AD_F64, 2, 6, 3, three_classes),
              *y = tensor(AD_I32, 1, 6, 0, three_truths);
    int64_t counts[9], want[9] = {1, 1, 0, 0, 2, 0, 1, 0, 1};
    nn_error error = {0};
    assert_int_equal(nn_confusion(p, y, 3, false, counts, &error), AD_OK);
    assert_memory_equal(counts, want, sizeof want);
    assert_int_equal(nn_confusion(p, y, 4, false, counts, &error), AD_BAD_SHAPE);
    CONTAINS(error.text, "4 classes asked for, but the prediction has 3");
    ad_tensor_free(p);
    ad_tensor_free(y);
    p = tensor(AD_F64, 2, 3, 1, (const double[]){.2, .7, .9});
    y = tensor(AD_I32, 1, 3, 0, (const double[]){0, 0, 1});
    assert_int_equal(nn_confusion(p, y, 2, true, counts, NULL), AD_OK);
    const int64_t two[4] = {1, 1, 0, 1};
    assert_memory_equal(counts, two, sizeof two);
    ad_tensor_set(p, (const int64_t[]){1, 0}, NAN);
    error = (nn_error){0};
    assert_int_equal(nn_confusion(p, y, 2, true, counts, &error), AD_NOT_FINITE);
    CONTAINS(error.text, "row 1: the prediction has a NaN");
    ad_tensor_free(p);
    ad_tensor_free(y);
}

static void expect_table(int classes, const int64_t *counts, const char *const *names,
                         const char *want)
{
    char got[1024];
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(nn_confusion_print(classes, counts, names, file), AD_OK);
    rewind(file);
    got[fread(got, 1, sizeof got - 1, file)] = 0;
    fclose(file);
    assert_string_equal(got, want);
}

static void confusion_is_printed_as_a_table(void **state)
{
    (void)state;
    const char *const flowers[] = {"setosa", "versicolor", "virg\xc3\xadnica"};
    expect_table(3, (const int64_t[]){50, 0, 0, 0, 47, 3, 0, 2, 12345678901}, flowers,
                 "            predicted\n"
                 "true        setosa  versicolor    virg\xc3\xadnica\n"
                 "setosa          50           0            0\n"
                 "versicolor       0          47            3\n"
                 "virg\xc3\xadnica        0           2  12345678901\n");
    expect_table(2, (const int64_t[]){7, 10, 0, 3}, NULL,
                 "      predicted\n"
                 "true  0   1\n"
                 "0     7  10\n"
                 "1     0   3\n");
}

static void texts_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        skip();
    ad_tensor *x = tensor(AD_F64, 1, 2, 0, (const double[]){0, 1.5});
    nn_scores s;
    nn_error error = {0};
    nn_compute_scores(x, x, NULL, NN_ACCURACY, 0, false, &s, &error);
    setlocale(LC_NUMERIC, "C");
    CONTAINS(error.text, "the target 1.5 is");
    ad_tensor_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_classes_are_scored_by_hand),
        cmocka_unit_test(weights_count_rows_as_often_as_they_say),
        cmocka_unit_test(only_classes_that_occur_are_averaged),
        cmocka_unit_test(targets_may_be_rows_of_probabilities),
        cmocka_unit_test(the_first_of_equal_outputs_is_meant),
        cmocka_unit_test(one_output_is_a_logit_or_a_probability),
        cmocka_unit_test(two_outputs_are_scored_by_class_1),
        cmocka_unit_test(a_class_never_predicted_has_precision_0),
        cmocka_unit_test(a_nan_predicts_no_class),
        cmocka_unit_test(auc_is_the_share_of_pairs_ranked_rightly),
        cmocka_unit_test(auc_needs_both_classes),
        cmocka_unit_test(auc_of_many_rows_is_quick_and_exact),
        cmocka_unit_test(errors_are_scored_by_hand),
        cmocka_unit_test(errors_are_weighted),
        cmocka_unit_test(r2_leaves_out_outputs_that_never_change),
        cmocka_unit_test(no_rows_have_no_scores),
        cmocka_unit_test(views_are_read_as_they_are),
        cmocka_unit_test(what_cannot_be_scored_is_named),
        cmocka_unit_test(null_arguments_are_errors),
        cmocka_unit_test(metrics_have_names_and_places),
        cmocka_unit_test(confusion_counts_truth_by_rows),
        cmocka_unit_test(confusion_is_printed_as_a_table),
        cmocka_unit_test(texts_do_not_depend_on_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
