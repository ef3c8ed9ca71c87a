/* chain.c - the chain rule, forward and backward (lectures 001, 003 and 004)
 *
 * First the lectures' f = x1 x2 + sin x1, tangents and adjoints side by side. Then a chain of one
 * function, a3 = f(f(f(a0))), whose derivative is a product of local partials. Then the four
 * equations of backpropagation, compared number by number with a tape that knows none of them. */
#include "lesson.h"

#include <string.h>

/* ---- f = x1 x2 + sin x1 --------------------------------------------------------------------- */

static ad_var example(const ad_var *x, void *user)
{
    (void)user;
    return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0]));
}

static void show_example(lesson *l, const double *at, double f, double d1, double d2)
{
    char title[64];
    double hessian[4] = {0};
    ad_tape *t = ad_tape_new(NULL);
    ad_var x[2] = {ad_input(t, at[0]), ad_input(t, at[1])}, y = example(x, NULL);
    snprintf(title, sizeof title, "f = x1 x2 + sin x1 at (%g, %g)", at[0], at[1]);
    lesson_part(title);
    lesson_ok(l, ad_trace_print(y, 2, x, (const char *const[]){"x1", "x2"}, stdout),
              ad_tape_error(t));
    puts("\n  Tangents go down, one column for each input; adjoints go up, one column for all.\n");
    ad_backward(y);
    lesson_ok(l, ad_hessian(example, NULL, 2, at, hessian), "Hessian");
    lesson_table();
    lesson_number(l, "f", NULL, ad_value(y), f);
    lesson_number(l, "∂f/∂x1 = x2 + cos x1", NULL, ad_grad(x[0]), d1);
    lesson_number(l, "∂f/∂x2 = x1", NULL, ad_grad(x[1]), d2);
    lesson_number(l, "∂²f/∂x1² = -sin x1", NULL, hessian[0], -.9092974268256817);
    lesson_number(l, "∂²f/∂x1∂x2", NULL, hessian[1], 1);
    lesson_number(l, "∂²f/∂x2²", NULL, hessian[3], 0);
    lesson_tape_free(l, t);
}

/* ---- a3 = f(f(f(a0))) ----------------------------------------------------------------------- */

static void show_chain(lesson *l)
{
    static const double partials[3] = {.23500371220159449, .22726609175218427, .22529265908643545};
    ad_tape *t = ad_tape_new(NULL);
    ad_var a0 = ad_input(t, .5), a[3];
    for (int i = 0; i < 3; i++)
        a[i] = ad_sigmoid(i ? a[i - 1] : a0);
    ad_backward(a[2]);
    lesson_part("a3 = f(f(f(a0))), f the sigmoid, a0 = .5");
    lesson_table();
    lesson_number(l, "a3", NULL, ad_value(a[2]), .65718568927725115);
    double product = 1;
    for (int i = 0; i < 3; i++) {
        char what[64];
        double partial = ad_node_partial(t, ad_var_node(a[i]), 0);
        snprintf(what, sizeof what, "f'(a%d), the partial on the tape", i);
        lesson_number(l, what, NULL, partial, partials[i]);
        product *= partial;
    }
    lesson_formula(l, "∂a3/∂a0, the slide's product", product, ad_grad(a0), .012032514870644768);
    puts("\n  Every factor of a sigmoid is at most 1/4: in long chains gradients vanish.");
    lesson_tape_free(l, t);
}

/* ---- the four equations --------------------------------------------------------------------- */

enum { LAYERS = 3, WIDEST = 5 };
static const int64_t widths[LAYERS + 1] = {3, 5, 4, 3};

typedef enum output { SIGMOID_SQUARED, SIGMOID_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY } output;

typedef struct layer { /* variables, and what the tape says of them; w is (units, inputs) */
    ad_var w, b, z, a;
    double weight[WIDEST * WIDEST], dw[WIDEST * WIDEST], db[WIDEST];
    double delta[WIDEST], value[WIDEST], slope[WIDEST], da[WIDEST];
} layer;

static ad_var random_input(ad_tape *t, uint64_t key, int rank, const int64_t *shape)
{
    ad_tensor *values = ad_tensor_new(NULL, AD_F64, rank, shape);
    ad_draw_normal(values, 1, key, 0); /* seed 1 */
    ad_var v = ad_input_tensor(t, values);
    ad_tensor_free(values);
    return v;
}

static ad_var cost_of(output kind, ad_var a, ad_var y)
{
    if (kind == SIGMOID_SQUARED)
        return ad_mul(.5, ad_sum(ad_square(ad_sub(a, y))));
    ad_var on = ad_mul(y, ad_log(a));
    if (kind == SIGMOID_CROSS_ENTROPY)
        on = ad_add(on, ad_mul(ad_sub(1, y), ad_log(ad_sub(1, a))));
    return ad_neg(ad_sum(on));
}

static void sigmoid_slopes(lesson *l, int64_t n, const double *z, double *slope)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var at = ad_input_array(t, AD_F64, 1, &n, z);
    ad_backward(ad_sum(ad_sigmoid(at)));
    ad_grad_read(at, slope);
    lesson_tape_free(l, t);
}

static void read_layer(lesson *l, layer *one)
{
    double z[WIDEST] = {0};
    ad_read(one->w, one->weight);
    ad_read(one->z, z);
    ad_read(one->a, one->value);
    ad_grad_read(one->w, one->dw);
    ad_grad_read(one->b, one->db);
    ad_grad_read(one->z, one->delta);
    ad_grad_read(one->a, one->da);
    sigmoid_slopes(l, ad_size(one->z), z, one->slope);
}

/* net[0] is the input: its a is x */
static void run_net(lesson *l, output kind, layer *net)
{
    ad_tape *t = ad_tape_new(NULL);
    net[0].a = random_input(t, 100, 1, widths);
    ad_read(net[0].a, net[0].value);
    for (int i = 1; i <= LAYERS; i++) {
        const int64_t shape[2] = {widths[i], widths[i - 1]};
        net[i].w = random_input(t, (uint64_t)i, 2, shape);
        net[i].b = random_input(t, (uint64_t)(10 + i), 1, shape);
        net[i].z = ad_add(ad_matmul(net[i].w, net[i - 1].a), net[i].b);
        const bool softmax = i == LAYERS && kind == SOFTMAX_CROSS_ENTROPY;
        net[i].a = softmax ? ad_softmax(net[i].z, -1) : ad_sigmoid(net[i].z);
    }
    ad_var y = ad_constant_array(t, AD_F64, 1, (const int64_t[]){3}, (const double[]){.2, .7, .1});
    ad_backward_keep(cost_of(kind, net[LAYERS].a, y));
    for (int i = 1; i <= LAYERS; i++)
        read_layer(l, &net[i]);
    lesson_tape_free(l, t);
}

/* How far, at most, an equation's right side is from what the tape says. */
static double first_equation(const layer *net) /* δ^L = ∇a C ⊙ σ'(z^L) */
{
    double most = 0;
    for (int j = 0; j < widths[LAYERS]; j++)
        most = fmax(most, fabs(net[LAYERS].da[j] * net[LAYERS].slope[j] - net[LAYERS].delta[j]));
    return most;
}

static double second_equation(const layer *net) /* δ^l = (w^(l+1)ᵀ δ^(l+1)) ⊙ σ'(z^l) */
{
    double most = 0;
    for (int i = 1; i < LAYERS; i++)
        for (int j = 0; j < widths[i]; j++) {
            double sum = 0;
            for (int k = 0; k < widths[i + 1]; k++)
                sum += net[i + 1].weight[k * widths[i] + j] * net[i + 1].delta[k];
            most = fmax(most, fabs(sum * net[i].slope[j] - net[i].delta[j]));
        }
    return most;
}

static double third_equation(const layer *net) /* ∂C/∂b_j = δ_j */
{
    double most = 0;
    for (int i = 1; i <= LAYERS; i++)
        for (int j = 0; j < widths[i]; j++)
            most = fmax(most, fabs(net[i].delta[j] - net[i].db[j]));
    return most;
}

static double fourth_equation(const layer *net) /* ∂C/∂w_jk = a_k δ_j */
{
    double most = 0;
    for (int i = 1; i <= LAYERS; i++)
        for (int j = 0; j < widths[i]; j++)
            for (int k = 0; k < widths[i - 1]; k++)
                most = fmax(most, fabs(net[i - 1].value[k] * net[i].delta[j] -
                                       net[i].dw[j * widths[i - 1] + k]));
    return most;
}

static void show_equations(lesson *l, output kind, const char *title)
{
    static const char *const names[4] = {"1. δ^L = ∇a C ⊙ σ'(z^L)",
                                         "2. δ^l = (wᵀ δ^(l+1)) ⊙ σ'(z^l)", "3. ∂C/∂b_j = δ_j",
                                         "4. ∂C/∂w_jk = a_k δ_j"};
    layer net[LAYERS + 1];
    memset(net, 0, sizeof net);
    run_net(l, kind, net);
    const double off[4] = {first_equation(net), second_equation(net), third_equation(net),
                           fourth_equation(net)};
    printf("  %s\n", title);
    for (int i = 0; i < 4; i++)
        lesson_claim(l, names[i], "yes", off[i] < 1e-13, kind != SOFTMAX_CROSS_ENTROPY || i > 0);
}

int main(void)
{
    lesson l;
    lesson_begin(&l, "chain", "The chain rule, forward and backward");
    show_example(&l, (const double[]){2, 5}, 10.909297426825683, 4.583853163452858, 2);
    show_example(&l, (const double[]){2, 3}, 6.909297426825682, 2.5838531634528574, 2);
    show_chain(&l);
    lesson_part("The four equations of backpropagation, on a random net 3-5-4-3");
    puts("  Do they give, but for rounding, what the tape gives? The slides head them 'for\n"
         "  MSE'; they hold for any cost. Not so the first, where an output depends on all z,\n"
         "  as those of softmax do: there ∂C/∂z_j = Σ_k ∂C/∂a_k ∂a_k/∂z_j keeps its sum.\n");
    lesson_table();
    show_equations(&l, SIGMOID_SQUARED, "sigmoid, ½ squared");
    show_equations(&l, SIGMOID_CROSS_ENTROPY, "sigmoid, cross-entropy");
    show_equations(&l, SOFTMAX_CROSS_ENTROPY, "softmax, cross-entropy");
    return lesson_end(&l);
}
