/* test_goldens.c - worked examples of the chain rule from lectures, to all their digits
 *
 * The numbers were computed from formulas derived by hand, in 40 digits, and kept to 17. They must
 * come out within 1e-12, relative to the largest number of a group. */
#include "compare.h"

#include "ad.h"

static void expect(const char *what, int64_t n, const double *got, const double *want)
{
    expect_close(what, n, got, want, 1e-12 * scale_of(n, want, 0));
}

static void expect_one(const char *what, double got, double want) { expect(what, 1, &got, &want); }

/* ---- x1 x2 + sin x1 ---- */

static ad_var product_and_sine(const ad_var *x, void *user)
{
    (void)user;
    return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
}

static void product_and_sine_has_its_value_gradient_and_hessian(void **state)
{
    static const struct {
        double x[2], mul, sin, f, gradient[2], hessian[4];
    } points[] = {
        {{2, 3},
         6,
         0.9092974268256817,
         6.909297426825682,
         {2.5838531634528574, 2},
         {-0.9092974268256817, 1, 1, 0}},
        {{2, 5},
         10,
         0.9092974268256817,
         10.909297426825683,
         {4.583853163452858, 2},
         {-0.9092974268256817, 1, 1, 0}},
        {{1, 1},
         1,
         0.8414709848078965,
         1.8414709848078965,
         {1.5403023058681398, 1},
         {-0.8414709848078965, 1, 1, 0}},
        {{1.5, 0.5},
         0.75,
         0.9974949866040544,
         1.7474949866040543,
         {0.5707372016677029, 1.5},
         {-0.9974949866040544, 1, 1, 0}},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        double f, g[2], h[4], tangents[4] = {1, 0, 0, 1}, df[2];
        assert_int_equal(ad_value_and_gradient(product_and_sine, NULL, 2, points[i].x, &f, g),
                         AD_OK);
        expect_one("value", f, points[i].f);
        expect("gradient", 2, g, points[i].gradient);
        assert_int_equal(ad_hessian(product_and_sine, NULL, 2, points[i].x, h), AD_OK);
        expect("Hessian", 4, h, points[i].hessian);

        ad_tape *t = ad_tape_new(NULL);
        ad_var x[2] = {ad_input(t, points[i].x[0]), ad_input(t, points[i].x[1])};
        ad_var v3 = ad_mul(x[0], x[1]), v4 = ad_sin(x[0]), v5 = ad_add(v3, v4);
        expect_one("product", ad_value(v3), points[i].mul);
        expect_one("sine", ad_value(v4), points[i].sin);
        assert_int_equal(ad_backward_keep(v5), AD_OK);
        expect_one("adjoint of the sum", ad_grad(v5), 1);
        expect_one("adjoint of the product", ad_grad(v3), 1);
        expect_one("adjoint of the sine", ad_grad(v4), 1);
        const double *const directions[2] = {tangents, tangents + 2};
        double *const results[1] = {df};
        assert_int_equal(ad_jvp(2, x, directions, 1, &v5, results, 2), AD_OK);
        expect("tangents", 2, df, points[i].gradient);
        for (int k = 0; k < 2; k++) {
            double v[2] = {k == 0, k == 1}, product[2];
            assert_int_equal(ad_hvp(v5, 2, x, (const double *const[]){&v[0], &v[1]},
                                    (double *const[]){&product[0], &product[1]}),
                             AD_OK);
            expect("Hessian-vector product", 2, product, points[i].hessian + 2 * k);
        }
        ad_tape_free(t);
    }
    end_test();
}

/* ---- a linear 2-2-1 network ---- */

static void linear_network_takes_three_steps(void **state)
{
    static const struct {
        double h[2], prediction, delta, error, gradient[6], input_gradient[2], weights[6];
    } steps[3] = {
        {{0.85, 0.48},
         0.191,
         -0.809,
         0.3272405,
         {-0.22652, -0.33978, -0.2427, -0.36405, -0.68765, -0.38832},
         {-0.0270206, -0.0334926},
         {0.121326, 0.226989, 0.132135, 0.0982025, 0.1743825, 0.169416}},
        {{0.923619, 0.5588775},
         0.2557457808075,
         -0.7442542191925,
         0.2769571713929189,
         {-0.2595698227566723, -0.3893547341350084, -0.25217714559743315, -0.37826571839614975,
          -0.6874073376763576, -0.4159469373867564},
         {-0.032406997724646426, -0.04184196031912311},
         {0.1343044911378336, 0.24645673670675042, 0.14474385727987166, 0.1171157859198075,
          0.2087528668838179, 0.19021334686933783}},
        {{1.0079791923959185, 0.6408350723191658},
         0.3323139300689661,
         -0.667686069931034,
         0.22290234398997474,
         {-0.27876276255298527, -0.4181441438294779, -0.2540056040392334, -0.3810084060588501,
          -0.6730136655430883, -0.42787665091075366},
         {-0.03710242093609891, -0.04922551335962886},
         {0.14824262926548287, 0.2673639438982243, 0.15744413748183334, 0.13616620622275,
          0.2424035501609723, 0.2116071794148755}},
    };
    double weight[6] = {.11, .21, .12, .08, .14, .15};
    (void)state;
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    ad_var i[2] = {ad_input(t, 2), ad_input(t, 3)}, w[6];
    for (int k = 0; k < 6; k++)
        w[k] = ad_input(t, weight[k]);
    ad_var h[2] = {ad_add(ad_mul(i[0], w[0]), ad_mul(i[1], w[1])),
                   ad_add(ad_mul(i[0], w[2]), ad_mul(i[1], w[3]))};
    ad_var p = ad_add(ad_mul(h[0], w[4]), ad_mul(h[1], w[5])), delta = ad_sub(p, 1);
    ad_var error = ad_mul(.5, ad_square(delta));
    for (int step = 0; step < 3; step++) {
        for (int k = 0; k < 6; k++)
            assert_int_equal(ad_set(w[k], weight[k]), AD_OK);
        assert_int_equal(ad_replay(t), AD_OK);
        assert_int_equal(ad_backward(error), AD_OK);
        expect("hidden", 2, (double[]){ad_value(h[0]), ad_value(h[1])}, steps[step].h);
        expect_one("prediction", ad_value(p), steps[step].prediction);
        expect_one("delta", ad_value(delta), steps[step].delta);
        expect_one("error", ad_value(error), steps[step].error);
        double g[6];
        for (int k = 0; k < 6; k++)
            weight[k] -= .05 * (g[k] = ad_grad(w[k]));
        expect("gradient", 6, g, steps[step].gradient);
        expect("gradient of the inputs", 2, (double[]){ad_grad(i[0]), ad_grad(i[1])},
               steps[step].input_gradient);
        expect("new weights", 6, weight, steps[step].weights);
    }
    ad_tape_free(t);
    end_test();
}

/* the same with matrices: i (1,2) W1 (2,2) W2 (2,1) */
static void linear_network_is_the_same_with_matrices(void **state)
{
    (void)state;
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    const double first[4] = {.11, .12, .21, .08}, second[2] = {.14, .15}, x[2] = {2, 3};
    double g[4];
    ad_var i = ad_input_array(t, AD_F64, 2, (int64_t[]){1, 2}, x);
    ad_var w1 = ad_input_array(t, AD_F64, 2, (int64_t[]){2, 2}, first);
    ad_var w2 = ad_input_array(t, AD_F64, 2, (int64_t[]){2, 1}, second);
    ad_var error = ad_mul(.5, ad_sum(ad_square(ad_sub(ad_matmul(ad_matmul(i, w1), w2), 1))));
    assert_int_equal(ad_backward(error), AD_OK);
    expect_one("error", ad_value(error), .3272405);
    assert_int_equal(ad_grad_read(w1, g), AD_OK);
    expect("gradient of the first matrix", 4, g, (double[]){-.22652, -.2427, -.33978, -.36405});
    assert_int_equal(ad_grad_read(w2, g), AD_OK);
    expect("gradient of the second matrix", 2, g, (double[]){-.68765, -.38832});
    assert_int_equal(ad_grad_read(i, g), AD_OK);
    expect("gradient of the inputs", 2, g, (double[]){-.0270206, -.0334926});
    ad_tape_free(t);
    end_test();
}

/* ---- a sigmoid 2-2-2 network ---- */

static const double mazur_in[2] = {.05, .1}, mazur_target[2] = {.01, .99};
static const double mazur_weights[8] = {.15, .2, .25, .3, .4, .45, .5, .55};
static const double mazur_error = 0.29837110876000267;
static const double mazur_dw[8] = {
    0.00043856773447434674, 0.0008771354689486935, 0.0004977127352608601, 0.0009954254705217202,
    0.08216704056423078,    0.08266762784753326,   -0.02260254047747506,  -0.022740242215978212};
static const double mazur_db[4] = {0.008771354689486935, 0.009954254705217202, 0.13849856162855698,
                                   -0.038098236516556215},
                    mazur_db_shared[2] = {0.018725609394704135, 0.10040032511200075};
static const double mazur_new_weights[8] = {
    0.14978071613276284, 0.19956143226552564, 0.24975114363236958, 0.29950228726473915,
    0.3589164797178846,  0.4086661860762334,  0.5113012702387375,  0.5613701211079891};

typedef struct neurons {
    ad_var i[2], w[8], b[4], net_h[2], h[2], net_o[2], o[2], e[2], error;
} neurons;

/* scalars; biases b: of one each, or of two of a layer the same variable */
static neurons mazur_scalars(ad_tape *t, const ad_var b[4])
{
    neurons n;
    for (int k = 0; k < 2; k++)
        n.i[k] = ad_input(t, mazur_in[k]);
    for (int k = 0; k < 8; k++)
        n.w[k] = ad_input(t, mazur_weights[k]);
    memcpy(n.b, b, sizeof n.b);
    for (int k = 0; k < 2; k++) {
        n.net_h[k] =
            ad_add(ad_add(ad_mul(n.w[2 * k], n.i[0]), ad_mul(n.w[2 * k + 1], n.i[1])), b[k]);
        n.h[k] = ad_sigmoid(n.net_h[k]);
    }
    for (int k = 0; k < 2; k++) {
        n.net_o[k] = ad_add(ad_add(ad_mul(n.w[4 + 2 * k], n.h[0]), ad_mul(n.w[5 + 2 * k], n.h[1])),
                            b[2 + k]);
        n.o[k] = ad_sigmoid(n.net_o[k]);
        n.e[k] = ad_mul(.5, ad_square(ad_sub(mazur_target[k], n.o[k])));
    }
    n.error = ad_add(n.e[0], n.e[1]);
    return n;
}

static void expect_pair(const char *what, const ad_var *v, bool adjoint, double first,
                        double second)
{
    double got[2] = {adjoint ? ad_grad(v[0]) : ad_value(v[0]),
                     adjoint ? ad_grad(v[1]) : ad_value(v[1])};
    expect(what, 2, got, (double[]){first, second});
}

static void sigmoid_network_has_every_number_of_its_trace(void **state)
{
    (void)state;
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    ad_var b[4] = {ad_input(t, .35), ad_input(t, .35), ad_input(t, .6), ad_input(t, .6)};
    neurons n = mazur_scalars(t, b);
    assert_int_equal(ad_backward_keep(n.error), AD_OK);
    expect_pair("hidden sums", n.net_h, false, 0.3775, 0.3925);
    expect_pair("hidden", n.h, false, 0.5932699921071872, 0.596884378259767);
    expect_pair("output sums", n.net_o, false, 1.1059059670597702, 1.2249214040964655);
    expect_pair("outputs", n.o, false, 0.7513650695523157, 0.7729284653214626);
    expect_pair("errors", n.e, false, 0.27481108317615494, 0.023560025583847736);
    expect_one("error", ad_value(n.error), mazur_error);
    expect_pair("adjoints of outputs", n.o, true, 0.7413650695523157, -0.2170715346785374);
    expect_pair("deltas of outputs", n.net_o, true, 0.13849856162855698, -0.038098236516556215);
    expect_pair("adjoints of hidden", n.h, true, 0.036350306393144675, 0.04137032264874472);
    expect_pair("deltas of hidden", n.net_h, true, 0.008771354689486935, 0.009954254705217202);
    expect_pair("adjoints of inputs", n.i, true, 0.0038042668797273406, 0.004740547349462547);
    double dw[8], db[4], new_weights[8];
    for (int k = 0; k < 8; k++)
        new_weights[k] = mazur_weights[k] - .5 * (dw[k] = ad_grad(n.w[k]));
    for (int k = 0; k < 4; k++)
        db[k] = ad_grad(b[k]);
    expect("gradient of weights", 8, dw, mazur_dw);
    expect("gradient of biases", 4, db, mazur_db);
    expect("new weights", 8, new_weights, mazur_new_weights);
    ad_tape_free(t);
    end_test();
}

static void shared_biases_get_the_sum(void **state)
{
    (void)state;
    begin_test();
    ad_tape *t = ad_tape_new(NULL);
    ad_var b[2] = {ad_input(t, .35), ad_input(t, .6)};
    neurons n = mazur_scalars(t, (ad_var[]){b[0], b[0], b[1], b[1]});
    assert_int_equal(ad_backward(n.error), AD_OK);
    expect_pair("gradient of shared biases", b, true, mazur_db_shared[0], mazur_db_shared[1]);
    double dw[8];
    for (int k = 0; k < 8; k++)
        dw[k] = ad_grad(n.w[k]);
    expect("gradient of weights", 8, dw, mazur_dw);
    ad_tape_free(t);

    t = ad_tape_new(NULL); /* frozen: constants */
    n = mazur_scalars(
        t, (ad_var[]){ad_constant(.35), ad_constant(.35), ad_constant(.6), ad_constant(.6)});
    assert_int_equal(ad_backward(n.error), AD_OK);
    for (int k = 0; k < 8; k++)
        dw[k] = ad_grad(n.w[k]);
    expect("gradient of weights beside frozen biases", 8, dw, mazur_dw);
    ad_tape_free(t);
    end_test();
}

enum { FROZEN, SHARED, PER_NEURON };

/* By matrices, as parameters, with the whole step in one program: w (2,2) of rows by neuron, biases
 * of one or two elements that broadcast, and w <- w - rate dE/dw. */
static void sigmoid_network_is_trained_by_one_program(void **state)
{
    static const struct {
        const char *name;
        int kind, n; /* biases of a layer */
        double error_1, error_10000, outputs[2], biases[4];
    } ways[] = {
        {"frozen biases",
         FROZEN,
         2,
         0.29102777369359933,
         3.510187782978846e-05,
         {0.015913620443550627, 0.9840642735146238},
         {.35, .35, .6, .6}},
        {"shared biases",
         SHARED,
         1,
         0.2857508866992965,
         4.355321066163808e-06,
         {0.012102159123466414, 0.9879283897200597},
         {0.3406371953026479, 0, 0.5497998374439996, 0}},
        {"biases per neuron",
         PER_NEURON,
         2,
         0.28047144679143016,
         2.4475622359322855e-06,
         {0.011587527390870095, 0.9884589350256716},
         {0.34561432265525655, 0.3450228726473914, 0.5307507191857215, 0.6190491182582781}},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const double start[4][4] = {{.15, .2, .25, .3}, {.4, .45, .5, .55}, {.35, .35}, {.6, .6}};
        ad_param *param[4];
        ad_var v[4], gradient[4];
        ad_tape *t = ad_tape_new(NULL);
        for (int k = 0; k < 4; k++) {
            const int64_t shape[2] = {2, 2}, n = ways[i].n;
            param[k] = ad_param_new(
                "p", ad_tensor_from(NULL, AD_F64, k < 2 ? 2 : 1, k < 2 ? shape : &n, start[k]),
                true);
            v[k] = ad_use(t, param[k]);
        }
        ad_var in = ad_constant_array(t, AD_F64, 1, (int64_t[]){2}, mazur_in);
        ad_var target = ad_constant_array(t, AD_F64, 1, (int64_t[]){2}, mazur_target);
        ad_var h = ad_sigmoid(ad_add(ad_matmul(v[0], in), v[2]));
        ad_var o = ad_sigmoid(ad_add(ad_matmul(v[1], h), v[3]));
        ad_var error = ad_mul(.5, ad_sum(ad_square(ad_sub(target, o))));
        assert_int_equal(ad_gradients(error, 4, v, gradient), AD_OK);
        for (int k = 0; k < (ways[i].kind == FROZEN ? 2 : 4); k++)
            assert_int_equal(ad_assign(v[k], ad_sub(v[k], ad_mul(.5, gradient[k]))), AD_OK);
        ad_program *p = ad_program_capture(t, 0, NULL, 2, (ad_var[]){error, o}, AD_VALUES);
        assert_string_equal(ad_tape_error(t), "");
        ad_tape_free(t);
        ad_workspace *w = ad_workspace_new(p);
        double out[3], value[4];
        for (int step = 0; step <= 10000; step++) {
            assert_int_equal(ad_run(w, NULL, out), AD_OK);
            if (step == 0)
                expect_one(ways[i].name, out[0], mazur_error);
            if (step == 1)
                expect_one(ways[i].name, out[0], ways[i].error_1);
            if (step != 0)
                continue;
            for (int k = 0; k < 2; k++) {
                assert_int_equal(ad_tensor_read(ad_param_value(param[k]), value), AD_OK);
                expect("new weights", 4, value, mazur_new_weights + 4 * k);
                assert_int_equal(ad_tensor_read(ad_param_value(param[2 + k]), value), AD_OK);
                expect("new biases", ways[i].n, value, ways[i].biases + 2 * k);
            }
        }
        expect_close(ways[i].name, 1, &out[0], &ways[i].error_10000, 1e-12);
        expect(ways[i].name, 2, out + 1, ways[i].outputs);
        ad_workspace_free(w);
        ad_program_free(p);
        for (int k = 0; k < 4; k++)
            ad_param_free(param[k]);
    }
    end_test();
}

/* ---- squared loss against cross-entropy ---- */

static void losses_of_three_classes(void **state)
{
    static const double y[3] = {.3, .5, .2};
    static const struct {
        double a[3], squared, entropy, bits, divergence, by_a[3], by_logit[3], squared_by_a[3];
    } rows[2] = {
        {{0.4, 0.5, 0.1},
         0.02,
         1.0819778284410284,
         1.5609640474436812,
         0.05232481437645478,
         {-0.75, -1, -2},
         {0.1, 0, -0.1},
         {0.2, 0, -0.2}},
        {{0.2, 0.5, 0.3},
         0.02,
         1.07019952487539,
         1.54397154729945,
         0.040546510810816436,
         {-1.5, -1, -0.6666666666666666},
         {-0.1, 0, 0.1},
         {-0.2, 0, 0.2}},
    };
    (void)state;
    begin_test();
    for (int i = 0; i < 2; i++) {
        double g[3], logits[3];
        ad_tape *t = ad_tape_new(NULL);
        const int64_t three[1] = {3}, row[2] = {1, 3};
        ad_var a = ad_input_array(t, AD_F64, 1, three, rows[i].a),
               target = ad_constant_array(t, AD_F64, 1, three, y);
        ad_var squared = ad_sum(ad_square(ad_sub(target, a))),
               entropy = ad_neg(ad_sum(ad_mul(target, ad_log(a))));
        expect_one("squared loss", ad_value(squared), rows[i].squared);
        expect_one("cross-entropy", ad_value(entropy), rows[i].entropy);
        expect_one("cross-entropy in bits", ad_value(ad_neg(ad_sum(ad_mul(target, ad_log2(a))))),
                   rows[i].bits);
        expect_one("divergence",
                   ad_value(ad_sum(ad_sub(ad_xlogy(target, target), ad_xlogy(target, a)))),
                   rows[i].divergence);
        assert_int_equal(ad_backward(squared), AD_OK);
        assert_int_equal(ad_grad_read(a, g), AD_OK);
        expect("gradient of the squared loss", 3, g, rows[i].squared_by_a);
        assert_int_equal(ad_backward(entropy), AD_OK);
        assert_int_equal(ad_grad_read(a, g), AD_OK);
        expect("gradient of the cross-entropy", 3, g, rows[i].by_a);

        for (int k = 0; k < 3; k++)
            logits[k] = log(rows[i].a[k]) + 7;
        ad_var z = ad_input_array(t, AD_F64, 2, row, logits);
        ad_var fused = ad_softmax_cross_entropy(z, ad_constant_array(t, AD_F64, 2, row, y));
        expect_one("cross-entropy of logits", ad_value(fused), rows[i].entropy);
        assert_int_equal(ad_backward(fused), AD_OK);
        assert_int_equal(ad_grad_read(z, g), AD_OK);
        expect("gradient of the logits", 3, g, rows[i].by_logit);
        ad_tape_free(t);
    }
    end_test();
}

/* ---- one neuron that is to make 0 of 1 ---- */

enum loss { HALF_SQUARED, SQUARED, CROSS_ENTROPY };

typedef struct neuron_run {
    const char *name;
    enum loss loss;
    double rate;
    int below; /* the first epoch with an output below .5; -1: none within 300 */
    struct {
        int epoch;
        double w, b, a, cost, dw;
    } points[4];
} neuron_run;

static const neuron_run neuron_runs[] = {
    {"w = .6, b = .9, half the squared loss, rate .15",
     HALF_SQUARED,
     .15,
     36,
     {{0, 0.6, 0.9, 0.8175744761936437, 0.3342140120616554, 0.12193833242754278},
      {1, 0.5817092501358686, 0.8817092501358685, 0.8120549687507373, 0.32971663613638047,
       0.1239372069641076},
      {10, 0.40409856709999975, 0.7040985670999997, 0.7517928487669856, 0.2825962437285898,
       0.1402848172100478},
      {50, -0.37994810837773624, -0.07994810837773626, 0.38701044441977656, 0.07488854204499647,
       0.09181178821242653}}},
    {"w = .6, b = .9, squared loss, rate .15",
     SQUARED,
     .15,
     18,
     {{0, 0.6, 0.9, 0.8175744761936437, 0.6684280241233108, 0.24387666485508552},
      {1, 0.5634185002717371, 0.8634185002717372, 0.8064080053571027, 0.6502938711040209,
       0.25178337522215716},
      {10, 0.18863202774881074, 0.48863202774881076, 0.6631277896452409, 0.4397384653997829,
       0.2962713376344692},
      {50, -0.8127769698265368, -0.5127769698265369, 0.20989574672342667, 0.04405622449258488,
       0.06961802070979771}}},
    {"w = .6, b = .9, cross-entropy, rate .15",
     CROSS_ENTROPY,
     .15,
     8,
     {{0, 0.6, 0.9, 0.8175744761936437, 1.7014132779827524, 0.8175744761936437},
      {1, 0.47736382857095344, 0.7773638285709534, 0.7781171682627714, 1.505605821404808,
       0.7781171682627714},
      {10, -0.33710779367324667, -0.03710779367324668, 0.4075227811365766, 0.523442855887696,
       0.4075227811365766},
      {50, -1.3765329327143006, -1.0765329327143005, 0.07921463725832538, 0.08252831794139,
       0.07921463725832538}}},
    {"w = .6, b = .9, cross-entropy, rate .005",
     CROSS_ENTROPY,
     .005,
     228,
     {{0, 0.6, 0.9, 0.8175744761936437, 1.7014132779827524, 0.8175744761936437},
      {1, 0.5959121276190318, 0.8959121276190318, 0.8163519254388646, 1.6947339910560093,
       0.8163519254388646},
      {10, 0.5593990197952818, 0.8593990197952819, 0.8051499177791255, 1.635524825227405,
       0.8051499177791255},
      {50, 0.40349934741552573, 0.7034993474155258, 0.751569152072135, 1.3925907501282266,
       0.751569152072135}}},
    {"w = 2, b = 2, half the squared loss, rate .15",
     HALF_SQUARED,
     .15,
     232,
     {{0, 2, 2, 0.9820137900379085, 0.48217554191230866, 0.017345021070840124},
      {1, 1.997398246839374, 1.997398246839374, 0.9819216511431202, 0.4820850644918158,
       0.017430603949148804},
      {10, 1.9733896089570133, 1.9733896089570133, 0.9810492511957553, 0.4812288166358761,
       0.01823929284286083},
      {50, 1.851284614664701, 1.851284614664701, 0.9759333969488283, 0.47622299764003967,
       0.02292213969608378}}},
    {"w = 2, b = 2, squared loss, rate .15",
     SQUARED,
     .15,
     117,
     {{0, 2, 2, 0.9820137900379085, 0.9643510838246173, 0.03469004214168025},
      {1, 1.994796493678748, 1.994796493678748, 0.9818290489774794, 0.9639882814160217,
       0.03503316769578868},
      {10, 1.9455232530316506, 1.9455232530316506, 0.9799848280414578, 0.9603702631914457,
       0.038443951923294375},
      {50, 1.6472819116490207, 1.6472819116490207, 0.9642418463312644, 0.9297623382163258,
       0.06649316913068451}}},
    {"w = 2, b = 2, cross-entropy, rate .15",
     CROSS_ENTROPY,
     .15,
     17,
     {{0, 2, 2, 0.9820137900379085, 4.0181499279178094, 0.9820137900379085},
      {1, 1.8526979314943137, 1.8526979314943137, 0.9759996979907222, 3.7296888649934554,
       0.9759996979907222},
      {10, 0.6186801305386569, 0.6186801305386569, 0.7751041952887353, 1.4921180742092426,
       0.7751041952887353},
      {50, -1.1069796383160058, -1.1069796383160058, 0.09850392651381701, 0.10369959188215729,
       0.09850392651381701}}},
    {"w = 2, b = 2, cross-entropy, rate .005",
     CROSS_ENTROPY,
     .005,
     -1,
     {{0, 2, 2, 0.9820137900379085, 4.0181499279178094, 0.9820137900379085},
      {1, 1.9950899310498105, 1.9950899310498105, 0.9818395163131579, 4.008507271425685,
       0.9818395163131579},
      {10, 1.9509395122725661, 1.9509395122725661, 0.980196202083163, 3.921881545693931,
       0.980196202083163},
      {50, 1.7557403966209195, 1.7557403966209195, 0.9710126732256417, 3.5408965522921374,
       0.9710126732256417}}},
};

static void one_neuron_learns_slowly_from_squared_loss(void **state)
{
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof neuron_runs / sizeof *neuron_runs; i++) {
        const neuron_run *r = &neuron_runs[i];
        int below = -1, point = 0;
        double x[2] = {r->points[0].w, r->points[0].b}, out[4]; /* cost, output, gradient */
        ad_tape *t = ad_tape_new(NULL);
        ad_var v[2] = {ad_input(t, x[0]), ad_input(t, x[1])}, z = ad_add(v[0], v[1]),
               a = ad_sigmoid(z);
        ad_var cost = r->loss == CROSS_ENTROPY ? ad_bce_logits(z, 0)
                      : r->loss == SQUARED     ? ad_square(a)
                                               : ad_mul(.5, ad_square(a));
        ad_program *p = ad_program_capture(t, 2, v, 2, (ad_var[]){cost, a}, AD_GRADIENT);
        ad_tape_free(t);
        ad_workspace *w = ad_workspace_new(p);
        for (int epoch = 0; epoch <= 300; epoch++) {
            assert_int_equal(ad_run(w, x, out), AD_OK);
            if (point < 4 && epoch == r->points[point].epoch) {
                double got[5] = {x[0], x[1], out[1], out[0], out[2]};
                expect(r->name, 5, got,
                       (double[]){r->points[point].w, r->points[point].b, r->points[point].a,
                                  r->points[point].cost, r->points[point].dw});
                point++;
            }
            if (below < 0 && out[1] < .5)
                below = epoch;
            for (int k = 0; k < 2; k++)
                x[k] -= r->rate * out[2 + k];
        }
        if (below != r->below)
            report("%s: below .5 at epoch %d, not %d", r->name, below, r->below);
        ad_workspace_free(w);
        ad_program_free(p);
    }
    end_test();
}

/* ---- single functions ---- */

/* ln x1 + x1 x2 - sin x2, of A. G. Baydin and others' survey */
static ad_var survey(const ad_var *x, void *user)
{
    (void)user;
    return ad_sub(ad_add(ad_log(x[0]), ad_mul(x[0], x[1])), ad_sin(x[1]));
}

/* sigmoid(w0 x0 + w1 x1 + w2), of Stanford's course CS231n */
static ad_var course_neuron(const ad_var *x, void *user)
{
    (void)user;
    return ad_sigmoid(ad_add(ad_add(ad_mul(x[0], x[3]), ad_mul(x[1], x[4])), x[2]));
}

/* tanh(x1 w1 + x2 w2 + b), and the expression of the README, of A. Karpathy's micrograd */
static ad_var micrograd_neuron(const ad_var *x, void *user)
{
    (void)user;
    return ad_tanh(ad_add(ad_add(ad_mul(x[0], x[2]), ad_mul(x[1], x[3])), x[4]));
}

static ad_var micrograd_readme(const ad_var *x, void *user)
{
    (void)user;
    ad_var a = x[0], b = x[1], c = ad_add(a, b), d = ad_add(ad_mul(a, b), ad_powi(b, 3));
    c = ad_add(c, ad_add(c, 1));
    c = ad_add(c, ad_sub(ad_add(1, c), a));
    d = ad_add(d, ad_add(ad_mul(d, 2), ad_relu(ad_add(b, a))));
    d = ad_add(d, ad_add(ad_mul(3, d), ad_relu(ad_sub(b, a))));
    ad_var f = ad_square(ad_sub(c, d));
    return ad_add(ad_div(f, 2), ad_div(10, f));
}

static void functions_of_other_courses(void **state)
{
    static const struct {
        const char *name;
        ad_function f;
        int n;
        double x[5], value, gradient[5];
    } all[] = {
        {"survey", survey, 2, {2, 5}, 11.652071455223084, {5.5, 1.7163378145367738}},
        {"CS231n",
         course_neuron,
         5,
         {2, -3, -3, -1, -2},
         0.7310585786300049,
         {-0.19661193324148185, -0.3932238664829637, 0.19661193324148185, 0.3932238664829637,
          -0.5898357997244456}},
        {"micrograd's neuron",
         micrograd_neuron,
         5,
         {2, 0, -3, 1, 6.881373587019543},
         0.7071067811865476,
         {-1.4999999999999996, 0.4999999999999999, 0.9999999999999998, 0, 0.4999999999999999}},
        {"micrograd",
         micrograd_readme,
         2,
         {-4, 2},
         24.70408163265306,
         {138.8338192419825, 645.5772594752186}},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double value, g[5];
        ad_check_report checked;
        assert_int_equal(ad_value_and_gradient(all[i].f, NULL, all[i].n, all[i].x, &value, g),
                         AD_OK);
        expect_one(all[i].name, value, all[i].value);
        expect(all[i].name, all[i].n, g, all[i].gradient);
        if (ad_gradcheck(all[i].f, NULL, all[i].n, all[i].x, NULL, &checked))
            report("%s", checked.text);
    }
    end_test();
}

static void softmax_of_1_2_3_and_its_jacobian(void **state)
{
    static const double p[3] = {0.09003057317038046, 0.24472847105479764, 0.6652409557748219};
    static const double jacobian[3][3] = {
        {0.08192506906499322, -0.022033044520174298, -0.059892024544818935},
        {-0.022033044520174298, 0.1848364465099787, -0.16280340198980442},
        {-0.059892024544818935, -0.16280340198980442, 0.22269542653462335}};
    (void)state;
    begin_test();
    double got[3];
    ad_tape *t = ad_tape_new(NULL);
    ad_var x = ad_input_array(t, AD_F64, 1, (int64_t[]){3}, (double[]){1, 2, 3}),
           y = ad_softmax(x, 0);
    assert_int_equal(ad_read(y, got), AD_OK);
    expect("softmax", 3, got, p);
    expect_one("logsumexp", ad_value(ad_logsumexp(x)), 3.40760596444438);
    for (int i = 0; i < 3; i++) {
        double seed[3] = {i == 0, i == 1, i == 2};
        assert_int_equal(ad_vjp(1, &y, (const double *const[]){seed}), AD_OK);
        assert_int_equal(ad_grad_read(x, got), AD_OK);
        expect("Jacobian", 3, got, jacobian[i]);
    }
    ad_tape_free(t);
    end_test();
}

static void binary_cross_entropy_of_logits(void **state)
{
    static const double rows[][4] = {
        /* logit, target, loss, derivative */
        {0, 0, 0.6931471805599453, .5},
        {2, 0, 2.1269280110429727, 0.8807970779778824},
        {2, 1, 0.1269280110429725, -0.11920292202211756},
        {17, 0, 17.000000041399375, 0.9999999586006245},
        {100, 0, 100, 1},
        {-100, 1, 100, -1},
        {.5, .3, 0.8240769841801067, 0.32245933120185455},
    };
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ad_tape *t = ad_tape_new(NULL);
        ad_var z = ad_input(t, rows[i][0]), loss = ad_bce_logits(z, rows[i][1]);
        assert_int_equal(ad_backward(loss), AD_OK);
        expect_one("loss", ad_value(loss), rows[i][2]);
        expect_one("derivative", ad_grad(z), rows[i][3]);
        ad_tape_free(t);
    }
    end_test();
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(product_and_sine_has_its_value_gradient_and_hessian),
        cmocka_unit_test(linear_network_takes_three_steps),
        cmocka_unit_test(linear_network_is_the_same_with_matrices),
        cmocka_unit_test(sigmoid_network_has_every_number_of_its_trace),
        cmocka_unit_test(shared_biases_get_the_sum),
        cmocka_unit_test(sigmoid_network_is_trained_by_one_program),
        cmocka_unit_test(losses_of_three_classes),
        cmocka_unit_test(one_neuron_learns_slowly_from_squared_loss),
        cmocka_unit_test(functions_of_other_courses),
        cmocka_unit_test(softmax_of_1_2_3_and_its_jacobian),
        cmocka_unit_test(binary_cross_entropy_of_logits),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
