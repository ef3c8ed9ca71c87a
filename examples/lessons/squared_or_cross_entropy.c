/* squared_or_cross_entropy.c - two predictions, equally far, unequally surprised (lecture 004)
 *
 * The lecture compares (.4, .5, .1) and (.2, .5, .3) with the truth (.3, .5, .2): the squared loss
 * cannot tell them apart, cross-entropy can. It asks whether that is because cross-entropy
 * preserves the order of the classes. It is not: the prediction whose order is wrong is preferred.
 * Entropy and Kullback-Leibler divergence (lecture 001) say what is preferred instead. */
#include "lesson.h"

enum { CLASSES = 3 };
static const double truth[CLASSES] = {.3, .5, .2};
static const double predictions[2][CLASSES] = {{.4, .5, .1}, {.2, .5, .3}};

/* losses of q with the truth p, as expression code on vectors */
static ad_var squared(ad_var q, ad_var p) { return ad_sum(ad_square(ad_sub(p, q))); }
static ad_var cross_entropy(ad_var q, ad_var p) { return ad_neg(ad_sum(ad_mul(p, ad_log(q)))); }
static ad_var cross_entropy_bits(ad_var q, ad_var p)
{
    return ad_neg(ad_sum(ad_mul(p, ad_log2(q))));
}
static ad_var entropy(ad_var q, ad_var p)
{
    (void)q;
    return ad_neg(ad_sum(ad_xlogy(p, p))); /* 0 ln 0 = 0 */
}
static ad_var divergence(ad_var q, ad_var p)
{
    return ad_sum(ad_mul(p, ad_sub(ad_log(p), ad_log(q))));
}
static ad_var divergence_backward(ad_var q, ad_var p) { return divergence(p, q); }

typedef ad_var (*loss)(ad_var q, ad_var p);

/* The loss of a prediction, and its gradient (NULL: not). */
static double value_of(lesson *l, loss f, const double *prediction, double *gradient)
{
    static const int64_t shape[1] = {CLASSES};
    ad_tape *t = ad_tape_new(NULL);
    ad_var q = ad_input_array(t, AD_F64, 1, shape, prediction);
    ad_var y = f(q, ad_constant_array(t, AD_F64, 1, shape, truth));
    double value = ad_value(y);
    if (gradient) {
        ad_backward(y);
        ad_grad_read(q, gradient);
    }
    lesson_tape_free(l, t);
    return value;
}

static void show_pair(lesson *l, const char *name, loss f, const char *const *slide,
                      const double *right)
{
    for (int k = 0; k < 2; k++) {
        char what[64];
        snprintf(what, sizeof what, "%s, y'%d", name, k + 1);
        lesson_number(l, what, slide ? slide[k] : NULL, value_of(l, f, predictions[k], NULL),
                      right[k]);
    }
}

static void show_losses(lesson *l)
{
    lesson_part("Both losses of both predictions");
    puts("  y = (.3, .5, .2), y'1 = (.4, .5, .1), y'2 = (.2, .5, .3)\n");
    lesson_table();
    show_pair(l, "squared loss", squared, (const char *const[]){"0.02", "0.02"},
              (const double[]){.02, .02});
    show_pair(l, "cross-entropy", cross_entropy, (const char *const[]){"1.08198", "1.0702"},
              (const double[]){1.0819778284410284, 1.07019952487539});
    show_pair(l, "in bits", cross_entropy_bits, NULL,
              (const double[]){1.5609640474436812, 1.54397154729945});
    puts(
        "\n  So the slides' log is the natural one. Their sum over the classes runs over an index\n"
        "  n = 1..N which everywhere else counts samples: here N would be 3 classes.");
}

static bool same_order(const double *a, const double *b)
{
    for (int i = 0; i < CLASSES; i++)
        for (int j = 0; j < CLASSES; j++)
            if ((a[i] < a[j]) != (b[i] < b[j]))
                return false;
    return true;
}

static void show_order(lesson *l)
{
    double ce[2];
    for (int k = 0; k < 2; k++)
        ce[k] = value_of(l, cross_entropy, predictions[k], NULL);
    lesson_part("Preserving the order?");
    lesson_table();
    lesson_claim(l, "does y'1 rank the classes as y does?", NULL, same_order(predictions[0], truth),
                 true);
    lesson_claim(l, "does y'2?", NULL, same_order(predictions[1], truth), false);
    lesson_claim(l, "does cross-entropy prefer y'1?", NULL, ce[0] < ce[1], false);
    puts("\n  It prefers y'2, whose order is wrong: being wrong by .1 on the class of .2 costs\n"
         "  more the smaller the probability that was given to it, and y'1 gave it only .1.");
}

static void show_entropy(lesson *l)
{
    lesson_part("Cross-entropy = entropy + Kullback-Leibler divergence (lecture 001)");
    lesson_table();
    const double h = value_of(l, entropy, truth, NULL);
    lesson_number(l, "H(y)", NULL, h, 1.0296530140645734);
    show_pair(l, "KL(y || y')", divergence, NULL,
              (const double[]){.05232481437645478, .040546510810816436});
    show_pair(l, "KL(y' || y), the other way", divergence_backward, NULL,
              (const double[]){.04575811092471784, .040546510810816436});
    static const double sums[2] = {1.0819778284410284, 1.07019952487539};
    for (int k = 0; k < 2; k++)
        lesson_number(l, k ? "H(y) + KL(y || y'2)" : "H(y) + KL(y || y'1)",
                      k ? "1.0702" : "1.08198", h + value_of(l, divergence, predictions[k], NULL),
                      sums[k]);
    puts("\n  H(y) does not depend on the prediction, so both have the same gradient, and the\n"
         "  least cross-entropy is H(y), not 0.");
}

static ad_var of_logits(ad_var z, ad_var p) { return cross_entropy(ad_softmax(z, -1), p); }

static void show_three(lesson *l, const char *name, int k, const double *gradient,
                       const double *right)
{
    for (int i = 0; i < CLASSES; i++) {
        char what[64];
        snprintf(what, sizeof what, "∂%s%d, class %d", name, k + 1, i + 1);
        lesson_number(l, what, NULL, gradient[i], right[i]);
    }
}

static void show_gradients(lesson *l)
{
    static const double of_squared[2][CLASSES] = {{.2, 0, -.2}, {-.2, 0, .2}};
    static const double of_ce[2][CLASSES] = {{-.75, -1, -2}, {-1.5, -1, -.6666666666666666}};
    static const double by_logits[2][CLASSES] = {{.1, 0, -.1}, {-.1, 0, .1}};
    lesson_part("What learning gets of it: gradients");
    puts("  z are logits with softmax(z) = y', as ln y' is; by these the gradient is y' - y.\n");
    lesson_table();
    for (int k = 0; k < 2; k++) {
        double g[CLASSES] = {0}, z[CLASSES];
        for (int i = 0; i < CLASSES; i++)
            z[i] = log(predictions[k][i]);
        value_of(l, squared, predictions[k], g);
        show_three(l, "squared/∂y'", k, g, of_squared[k]);
        value_of(l, cross_entropy, predictions[k], g);
        show_three(l, "cross-entropy/∂y'", k, g, of_ce[k]);
        value_of(l, of_logits, z, g);
        show_three(l, "cross-entropy/∂z", k, g, by_logits[k]);
    }
}

/* Each loss of nn.h by its name, of one row of probabilities, its default mean. */
static double by_name(lesson *l, nn_loss kind, const double *prediction)
{
    static const int64_t shape[2] = {1, CLASSES};
    ad_tape *t = ad_tape_new(NULL);
    ad_var q = ad_input_array(t, AD_F64, 2, shape, prediction);
    ad_var p = ad_constant_array(t, AD_F64, 2, shape, truth);
    double value = ad_value(nn_record_loss(kind, NULL, q, p, (ad_var){0}));
    lesson_tape_free(l, t);
    return value;
}

static void show_names(lesson *l)
{
    static const struct {
        nn_loss loss;
        double right[2];
    } losses[] = {{NN_CROSS_ENTROPY, {1.0819778284410284, 1.07019952487539}},
                  {NN_KL, {.05232481437645478, .040546510810816436}},
                  {NN_MSE, {.02 / 3, .02 / 3}},
                  {NN_HALF_MSE, {.01 / 3, .01 / 3}},
                  {NN_MAE, {.06666666666666667, .06666666666666667}},
                  {NN_MSLE, {.004354323754122764, .004271223367807471}},
                  {NN_BCE, {.6234725892944851, .6194378520754318}}};
    lesson_part("The losses of nn.h");
    puts("  Where a loss is one number for each class, their mean is taken: a third of the\n"
         "  sums above.\n");
    lesson_table();
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        for (int k = 0; k < 2; k++) {
            char what[64];
            snprintf(what, sizeof what, "%s, y'%d", nn_loss_name(losses[i].loss), k + 1);
            lesson_number(l, what, NULL, by_name(l, losses[i].loss, predictions[k]),
                          losses[i].right[k]);
        }
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "squared_or_cross_entropy", "Squared loss or cross-entropy?");
    show_losses(&l);
    show_order(&l);
    show_entropy(&l);
    show_gradients(&l);
    show_names(&l);
    return lesson_end(&l);
}
