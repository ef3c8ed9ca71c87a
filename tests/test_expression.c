/* test_expression.c - the language of expressions: its grammar, its functions, what it records, and
 * what it says of texts that it cannot read */
#define context_or_default library_context_or_default
#include "memory.c" /* in place of the library's, which the linker then leaves out */
#undef context_or_default
/* first, since it asks for more of the system's headers */
#include "algebra.h"
#include "allocator.h"
#include "expect.h"
#include "expression.h"
#include <locale.h>
#include <pthread.h>

/* Expressions are of the default context; a test may put another in its place. */
static const ad_context *in_place;
const ad_context *context_or_default(const ad_context *context);
const ad_context *context_or_default(const ad_context *context)
{
    return context ? context : in_place ? in_place : &default_context;
}

/* ---- a tape with names ---- */

typedef struct stage {
    ad_tape *t;
    ad_env *env;
    ad_var x, y, z, v, w, m, a;
} stage;

static const int64_t three[1] = {3}, two_by_three[2] = {2, 3}, three_by_three[2] = {3, 3};
static const double numbers[9] = {1, -2, 3, .5, 5, -.25, 7, 2, -1.5};

static void begin(stage *s, const ad_context *context)
{
    ad_tape *t = s->t = ad_tape_new(context);
    s->env = ad_env_new(t);
    ad_env_set(s->env, "x", s->x = ad_input(t, 2));
    ad_env_set(s->env, "y", s->y = ad_input(t, 5));
    ad_env_set(s->env, "z", s->z = ad_input(t, -3));
    ad_env_set(s->env, "v", s->v = ad_input_array(t, AD_F64, 1, three, numbers));
    ad_env_set(s->env, "w", s->w = ad_input_array(t, AD_F64, 1, three, numbers + 3));
    ad_env_set(s->env, "M", s->m = ad_input_array(t, AD_F64, 2, two_by_three, numbers));
    ad_env_set(s->env, "A", s->a = ad_input_array(t, AD_F64, 2, three_by_three, numbers));
}

static void end(stage *s)
{
    ad_env_free(s->env);
    ad_tape_free(s->t);
}

static int set_up(void **state)
{
    stage *s = *state = calloc(1, sizeof *s);
    if (!s)
        return -1;
    begin(s, NULL);
    return s->env ? 0 : -1;
}

static int tear_down(void **state)
{
    end(*state);
    free(*state);
    return 0;
}

static ad_expression *parsed(const char *text)
{
    ad_parse_error error;
    ad_expression *e = ad_parse(text, &error);
    if (!e)
        fail_msg("\"%s\": line %d, column %d: %s", text, error.line, error.column, error.text);
    assert_string_equal(error.text, "");
    return e;
}

static ad_expression_node node_of(const ad_expression *e, int64_t i)
{
    ad_expression_node n;
    assert_int_equal(ad_expression_node_at(e, i, &n), AD_OK);
    return n;
}

static double value_of(stage *s, const char *text)
{
    ad_var y = ad_eval(s->env, text);
    if (ad_tape_status(s->t))
        fail_msg("\"%s\": %s", text, ad_tape_error(s->t));
    return ad_value(y);
}

static const char *operation_of(ad_var y)
{
    ad_node_info info;
    return ad_node_at(y.tape, ad_var_node(y), &info) ? "none" : info.operation;
}

/* ---- two texts that mean the same ---- */

static void same_node(const char *text, const ad_expression *e, const ad_expression *f, int64_t i)
{
    const ad_expression_node n = node_of(e, i), m = node_of(f, i);
    bool same = n.kind == m.kind && strcmp(n.name, m.name) == 0 && n.n_children == m.n_children &&
                memcmp(&n.number, &m.number, sizeof n.number) == 0 && n.rows == m.rows &&
                strcmp(n.defined_as, m.defined_as) == 0;
    for (int k = 0; k < n.n_children && same; k++)
        same = ad_expression_child(e, i, k) == ad_expression_child(f, i, k);
    if (!same)
        fail_msg("\"%s\": node %d is %s, want %s", text, (int)i, n.name, m.name);
}

static void means(const char *text, const char *other)
{
    ad_expression *e = parsed(text), *f = parsed(other);
    if (ad_expression_node_count(e) != ad_expression_node_count(f))
        fail_msg("\"%s\" has %d nodes, \"%s\" %d", text, (int)ad_expression_node_count(e), other,
                 (int)ad_expression_node_count(f));
    for (int64_t i = 0; i < ad_expression_node_count(e); i++)
        same_node(text, e, f, i);
    assert_int_equal(ad_expression_result(e), ad_expression_result(f));
    ad_expression_free(e);
    ad_expression_free(f);
}

static void brackets_stand_where_mathematics_has_them(void **state)
{
    static const char *const pairs[][2] = {{"-x^2", "-(x^2)"},
                                           {"-x^2^y", "-(x^(2^y))"},
                                           {"2^3^2", "2^(3^2)"},
                                           {"2^-1", "2^(-1)"},
                                           {"2^-x^2", "2^(-(x^2))"},
                                           {"2^-x*y", "(2^(-x))*y"},
                                           {"x^+2", "x^2"},
                                           {"a-b-c", "(a-b)-c"},
                                           {"a-b+c", "(a-b)+c"},
                                           {"a/b*c", "(a/b)*c"},
                                           {"a/b/c", "(a/b)/c"},
                                           {"a@b@c", "(a@b)@c"},
                                           {"a*b@c", "(a*b)@c"},
                                           {"a+b*c", "a+(b*c)"},
                                           {"a*b+c", "(a*b)+c"},
                                           {"a*b^c", "a*(b^c)"},
                                           {"a^b*c", "(a^b)*c"},
                                           {"a*-b", "a*(-b)"},
                                           {"a*-b^2", "a*(-(b^2))"},
                                           {"-a*b", "(-a)*b"},
                                           {"-a+b", "(-a)+b"},
                                           {"a--b", "a-(-b)"},
                                           {"- -a", "-(-a)"},
                                           {"+a", "a"},
                                           {"a + +b", "a+b"},
                                           {"+-+a", "-a"},
                                           {"a+b<c*d", "(a+b)<(c*d)"},
                                           {"-a<=b^2", "(-a)<=(b^2)"},
                                           {"a==b+1", "a==(b+1)"},
                                           {"(a<b)*(b<c)", "((a<b))*((b<c))"},
                                           {"(((a)))", "a"},
                                           {"a @ b", "matmul(a, b)"},
                                           {"a <= b", "less_equal(a, b)"},
                                           {"a != b", "not_equal(a, b)"},
                                           {"ln(a)", "log(a)"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        means(pairs[i][0], pairs[i][1]);
}

static void expressions_have_the_values_of_mathematics(void **state)
{
    stage *s = *state;
    const double x = 2, y = 5, z = -3;
    const struct {
        const char *text;
        double value;
    } all[] = {{"-x^2", -4},
               {"-2^2", -4},
               {"(-2)^2", 4},
               {"2^3^2", 512},
               {"2^-1", .5},
               {"x - y - z", x - y - z},
               {"x / y * z", x / y * z},
               {"x / (y * z)", x / (y * z)},
               {"x/y/z", x / y / z},
               {"1 - x*y^2/4", 1 - x * (y * y) / 4},
               {"x < y", 1},
               {"x > y", 0},
               {"x <= 2", 1},
               {"x >= 2.5", 0},
               {"x == 2", 1},
               {"x != 2", 0},
               {"1 - 2 < 3", 1},
               {"1 - (2 < 3)", 0},
               {"where(x < y, x*10, 1/0)", 20},
               {"(x < y)*(y < 3)", 0},
               {"max(x, min(y, 3))", 3},
               {"e", exp(1)},
               {"pi", acos(-1)},
               {"\xcf\x80", acos(-1)},
               {"2*pi*x", 2 * acos(-1) * x},
               {"1e3 + 1E-3 + 1.5e+2", 1e3 + 1E-3 + 1.5e+2},
               {".5 + 5. + 0.25", 5.75},
               {"0.1 + 0.2", .1 + .2},
               {"123456789012345678901234567890", 123456789012345678901234567890.},
               {"4.9e-324", 4.9e-324},
               {"1.7976931348623157e308", 1.7976931348623157e308},
               {"1e-400", 0}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        equal_at(value_of(s, all[i].text), all[i].value, all[i].text, __LINE__);
}

static void powers_are_of_three_kinds(void **state)
{
    static const struct {
        const char *text, *operation;
        double value, slope;
    } all[] = {{"z^2", "square", 9, -6},
               {"z^2.0", "square", 9, -6},
               {"z^(2)", "square", 9, -6},
               {"z^3", "powi", -27, 27},
               {"z^1", "powi", -3, 1},
               {"z^0", "powi", 1, 0},
               {"z^-1", "powi", -1. / 3, -1. / 9},
               {"z^y", "pow", -243, 405},
               {"y^0.5", "pow", 2.2360679774997898, 0},
               {"y^1e2", "powi", 7.8886090522101182e69, 0},
               {"y^1e-9", "pow", 1.0000000016094379, 0},
               {"k = 3; z^k", "pow", -27, 27}};
    stage *s = *state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ad_var power = ad_eval(s->env, all[i].text);
        assert_string_equal(operation_of(power), all[i].operation);
        CLOSE(ad_value(power), all[i].value);
        STATUS(ad_backward(power), AD_OK, s->t);
        CLOSE(ad_grad(s->z), all[i].slope);
    }
    ad_var e_to_x = ad_eval(s->env, "e^x");
    CLOSE(ad_value(e_to_x), exp(2));
    STATUS(ad_backward(e_to_x), AD_OK, s->t);
    CLOSE(ad_grad(s->x), exp(2));
}

/* ---- functions ---- */

/* "name(a, b)" */
static void call_text(char text[96], const char *name, int n)
{
    int k = snprintf(text, 96, "%s(", name);
    for (int i = 0; i < n; i++)
        k += snprintf(text + k, 96 - (size_t)k, "%s%c", i ? ", " : "", 'a' + i);
    snprintf(text + k, 96 - (size_t)k, ")");
}

static void same_row(ad_tape *t, ad_env *env, int op, double part)
{
    const ad_op_info *row = ad_op_at(op);
    char text[96], name[2] = "a";
    double x[3] = {0, 0, 0};
    ad_var in[3];
    for (int k = 0; k < row->arity; k++, name[0]++) {
        x[k] = row->low[k] + part * (row->high[k] - row->low[k]);
        ad_env_set(env, name, in[k] = ad_input(t, x[k]));
    }
    call_text(text, row->name, row->arity);
    ad_var y = ad_eval(env, text), want = ad_apply(op, row->arity, in);
    equal_at(ad_value(y), ad_op_value(op, x), text, __LINE__);
    assert_string_equal(operation_of(y), operation_of(want));
    for (int k = 0; k < row->arity; k++)
        assert_int_equal(ad_node_parent(t, ad_var_node(y), k),
                         ad_node_parent(t, ad_var_node(want), k));
}

static void every_row_of_the_table_has_its_name(void **state)
{
    (void)state;
    for (int op = 0; op < AD_OP_COUNT_; op++)
        for (double part = .125; part < 1; part += .25) {
            ad_tape *t = ad_tape_new(NULL);
            ad_env *env = ad_env_new(t);
            same_row(t, env, op, part);
            STATUS(ad_tape_status(t), AD_OK, t);
            ad_env_free(env);
            ad_tape_free(t);
        }
}

static void functions_of_numbers_are_numbers(void **state)
{
    stage *s = *state;
    const int64_t before = ad_node_count(s->t);
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const ad_op_info *row = ad_op_at(op);
        static const char *const arguments[] = {"(0.5)", "(0.5, 1.5)", "(0.5, 1.5, 2.5)"};
        const double x[3] = {.5, 1.5, 2.5};
        char text[96];
        snprintf(text, sizeof text, "%s%s", row->name, arguments[row->arity - 1]);
        equal_at(value_of(s, text), ad_op_value(op, x), text, __LINE__);
    }
    assert_int_equal(ad_node_count(s->t), before);
}

static void same_array(const char *text, ad_var got, ad_var want)
{
    double g[64], w[64];
    assert_string_equal(ad_tape_error(want.tape), "");
    if (ad_rank(got) != ad_rank(want) || ad_size(got) != ad_size(want) || ad_size(got) > 64 ||
        ad_dtype_of(got) != ad_dtype_of(want))
        fail_msg("%s: rank %d, want %d", text, ad_rank(got), ad_rank(want));
    for (int i = 0; i < ad_rank(got); i++)
        assert_int_equal(ad_shape(got)[i], ad_shape(want)[i]);
    ad_read(got, g);
    ad_read(want, w);
    if (memcmp(g, w, (size_t)ad_size(got) * sizeof *g) != 0)
        fail_msg("%s: other numbers than the same in C", text);
}

static void same_gradients(const stage *s, const char *text, ad_var got, ad_var want)
{
    const ad_var in[] = {s->x, s->y, s->v, s->w, s->m, s->a};
    double g[6][9], w[6][9];
    STATUS(ad_vjp(1, &got, NULL), AD_OK, s->t);
    for (int i = 0; i < 6; i++)
        ad_grad_read(in[i], g[i]);
    STATUS(ad_vjp(1, &want, NULL), AD_OK, s->t);
    for (int i = 0; i < 6; i++) {
        ad_grad_read(in[i], w[i]);
        if (memcmp(g[i], w[i], (size_t)ad_size(in[i]) * sizeof **g) != 0)
            fail_msg("%s: another gradient of input %d than the same in C", text, i);
    }
}

typedef struct both {
    const char *text;
    ad_var want;
} both;

static void same_as_in_c(const stage *s, int n, const both *all)
{
    for (int i = 0; i < n; i++) {
        ad_var got = ad_eval(s->env, all[i].text);
        if (ad_tape_status(s->t))
            fail_msg("%s: %s", all[i].text, ad_tape_error(s->t));
        same_array(all[i].text, got, all[i].want);
        assert_string_equal(operation_of(got), operation_of(all[i].want));
        if (ad_dtype_of(got) == AD_F64)
            same_gradients(s, all[i].text, got, all[i].want);
    }
}

static bool is_called(const char *name, int n, const both *all)
{
    const size_t length = strlen(name);
    for (int i = 0; i < n; i++)
        if (strncmp(all[i].text, name, length) == 0 && all[i].text[length] == '(')
            return true;
    return false;
}

static ad_var ints(const stage *s, int n, const int32_t *values)
{
    const int64_t shape[1] = {n};
    return ad_constant_array(s->t, AD_I32, 1, shape, values);
}

static ad_var index_matrix(const stage *s)
{
    return ad_constant_array(s->t, AD_I32, 2, two_by_three, (const int32_t[]){0, 1, 0, 1, 1, 0});
}

static void every_structured_function_is_the_c_call(void **state)
{
    stage *s = *state;
    ad_var v = s->v, w = s->w, m = s->m, a = s->a, vw[2] = {v, w}, xy[2] = {s->x, s->y};
    ad_var two = ad_constant_array(s->t, AD_F64, 2, two_by_three, numbers);
    const both all[] = {
        {"matmul(M, A)", ad_matmul(m, a)},
        {"M @ A @ v", ad_matmul(ad_matmul(m, a), v)},
        {"v @ w", ad_matmul(v, w)},
        {"dot(v, w)", ad_dot(v, w)},
        {"outer(v, w)", ad_outer(v, w)},
        {"sum(M)", ad_sum(m)},
        {"sum(M, 1)", ad_sum_axes(m, 1, (const int[]){1}, false)},
        {"sum(M, -2)", ad_sum_axes(m, 1, (const int[]){-2}, false)},
        {"sum(M, 0, 1)", ad_sum_axes(m, 2, (const int[]){0, 1}, false)},
        {"k = 1; sum(M, k)", ad_sum_axes(m, 1, (const int[]){1}, false)},
        {"mean(M)", ad_mean(m)},
        {"mean(M, 0)", ad_mean_axes(m, 1, (const int[]){0}, false)},
        {"prod(M)", ad_prod(m)},
        {"prod(M, 1)", ad_prod_axes(m, 1, (const int[]){1}, false)},
        {"amax(M)", ad_amax(m)},
        {"amax(M, 0)", ad_amax_axes(m, 1, (const int[]){0}, false)},
        {"amin(M)", ad_amin(m)},
        {"amin(M, 0)", ad_amin_axes(m, 1, (const int[]){0}, false)},
        {"norm(M)", ad_norm(m)},
        {"norm(M, 1)", ad_norm_axes(m, 1, (const int[]){1}, false)},
        {"logsumexp(M)", ad_logsumexp(m)},
        {"logsumexp(M, 1)", ad_logsumexp_axes(m, 1, (const int[]){1}, false)},
        {"var(v)", ad_var_of(v, 0)},
        {"var(v, 1)", ad_var_of(v, 1)},
        {"std(v)", ad_std(v, 0)},
        {"std(v, 1)", ad_std(v, 1)},
        {"argmax(M, 0)", ad_argmax(m, 0)},
        {"argmax(v)", ad_argmax(v, 0)},
        {"argmin(M, 1)", ad_argmin(m, 1)},
        {"cumsum(M, 0)", ad_cumsum(m, 0)},
        {"cumprod(v)", ad_cumprod(v, 0)},
        {"reshape(M, 3, 2)", ad_reshape(m, 2, (const int64_t[]){3, 2})},
        {"reshape(M, -1)", ad_reshape(m, 1, (const int64_t[]){-1})},
        {"expand(v, 2, 3)", ad_expand(v, 2, two_by_three)},
        {"transpose(M)", ad_transpose(m)},
        {"permute(M, 1, 0)", ad_permute(m, (const int[]){1, 0})},
        {"slice(M, 1, 1, 3)", ad_slice(m, 1, 1, 3, 1)},
        {"slice(v, 0, 2, 0, -1)", ad_slice(v, 0, 2, 0, -1)},
        {"flip(M, 1)", ad_flip(m, 1)},
        {"repeat(M, 0, 2)", ad_repeat(m, 0, 2)},
        {"concat(v, w)", ad_concat(2, vw, 0)},
        {"stack(v, w)", ad_stack(2, vw, 0)},
        {"stack(x, y)", ad_stack(2, xy, 0)},
        {"tril(A)", ad_tril(a, 0)},
        {"triu(A, 1)", ad_triu(a, 1)},
        {"diag(v)", ad_diag(v)},
        {"trace(A)", ad_trace(a)},
        {"at(M, 1, 2)", ad_at(m, (const int64_t[]){1, 2})},
        {"take(v, [2, 0, 2])", ad_take(v, 0, ints(s, 3, (const int32_t[]){2, 0, 2}))},
        {"take(M, [2, 0], 1)", ad_take(m, 1, ints(s, 2, (const int32_t[]){2, 0}))},
        {"take(v, argmax(M, 1))", ad_take(v, 0, ad_argmax(m, 1))},
        {"gather(M, [0, 1, 0; 1, 1, 0], 0)", ad_gather(m, 0, index_matrix(s))},
        {"softmax(M)", ad_softmax(m, 1)},
        {"softmax(M, 0)", ad_softmax(m, 0)},
        {"log_softmax(M)", ad_log_softmax(m, 1)},
        {"maxout(v, 0, 3)", ad_maxout(v, 0, 3)},
        {"softmax_cross_entropy(M, [2, 0])",
         ad_softmax_cross_entropy(m, ints(s, 2, (const int32_t[]){2, 0}))},
        {"softmax_cross_entropy(M, [1, -2, 3; 0.5, 5, -0.25])", ad_softmax_cross_entropy(m, two)},
        {"stop_gradient(v)", ad_stop_gradient(v)},
    };
    const int n = (int)(sizeof all / sizeof *all);
    STATUS(ad_tape_status(s->t), AD_OK, s->t);
    same_as_in_c(s, n, all);
    for (int i = AD_OP_COUNT_; i < expr_function_count(); i++)
        if (!is_called(expr_function_at(i).name, n, all))
            fail_msg("nothing here calls %s", expr_function_at(i).name);
}

static void structured_functions_take_numbers_too(void **state)
{
    stage *s = *state;
    EQUAL(value_of(s, "sum(3)"), 3);
    EQUAL(value_of(s, "norm(-pi)"), acos(-1));
    EQUAL(value_of(s, "dot([1, 2], [3, 4])"), 11);
    EQUAL(value_of(s, "sum(stack(1, 2, x))"), 5);
    EQUAL(value_of(s, "at(concat(stack(1, 2), [3]), 2)"), 3);
    STATUS(ad_tape_status(ad_eval(s->env, "trace(2)").tape), AD_BAD_SHAPE, s->t);
}

static void a_usage_says_the_name(void **state)
{
    (void)state;
    for (int i = 0; i < expr_function_count(); i++) {
        const expr_function f = expr_function_at(i);
        assert_int_equal(expr_function_named(f.name, strlen(f.name)), i);
        assert_true(f.least >= 1 && f.most >= f.least);
        if (f.record)
            assert_memory_equal(f.usage, f.name, strlen(f.name));
    }
    assert_int_equal(expr_function_named("sin", 2), NO_FUNCTION);
    assert_int_equal(expr_function_named("sinh2", 4), expr_function_named("sinh", 4));
}

static void the_documentation_has_every_function(void **state)
{
    (void)state;
    FILE *file = fopen(TAPEGRAD_SOURCE_DIR "/docs/expressions.md", "rb");
    char *page = calloc(1, 1 << 20), row[128];
    assert_non_null(file);
    assert_non_null(page);
    assert_true(fread(page, 1, (1 << 20) - 1, file) > 0);
    for (int i = AD_OP_COUNT_; i < expr_function_count(); i++) {
        snprintf(row, sizeof row, "| `%s` |", expr_function_at(i).usage);
        CONTAINS(page, row);
    }
    fclose(file);
    free(page);
}

/* ---- signs, names, blanks ---- */

static void unicode_signs_are_the_ascii_ones(void **state)
{
    static const char *const pairs[][2] = {
        {"x − y", "x - y"},  {"−x", "-x"},
        {"x·y", "x*y"},      {"x⋅y", "x*y"},
        {"x∗y", "x*y"},      {"x×y÷2", "x*y/2"},
        {"x ≤ y", "x <= y"}, {"x ≥ y", "x >= y"},
        {"x ≠ y", "x != y"}, {"x\u00a0+\u2009y\u202f+ 1", "x + y + 1"},
        {"\ufeffx", "x"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        means(pairs[i][0], pairs[i][1]);
}

static void names_are_of_any_script(void **state)
{
    static const char *const all[] = {"a",   "x1", "x_2",   "_",        "_1", "αβ",  "x₁", "Δt",
                                      "θ_0", "é",  "eps_𝛼", "weights2", "e1", "pi2", "E"};
    stage *s = *state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ad_expression *e = parsed(all[i]);
        assert_int_equal(ad_expression_node_count(e), 1);
        assert_string_equal(ad_expression_name(e, 0), all[i]);
        assert_int_equal(expr_name_length(all[i]), strlen(all[i]));
        STATUS(ad_env_set(s->env, all[i], ad_constant((double)i)), AD_OK, s->t);
        EQUAL(value_of(s, all[i]), (double)i);
        ad_expression_free(e);
    }
}

static void names_are_told_in_the_order_they_appear_in(void **state)
{
    (void)state;
    ad_expression *e = parsed("h = b*x + a; g = e^h; pi*h*g + x*c");
    static const char *const want[] = {"b", "x", "a", "c"};
    assert_int_equal(ad_expression_name_count(e), 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(ad_expression_name(e, i), want[i]);
    assert_null(ad_expression_name(e, 4));
    assert_null(ad_expression_name(e, -1));
    ad_expression_free(e);
}

static void pi_and_e_can_be_something_else(void **state)
{
    stage *s = *state;
    EQUAL(value_of(s, "pi = 3; 2*pi"), 6); /* by a definition, which goes into the environment */
    EQUAL(value_of(s, "2*pi"), 6);
    STATUS(ad_env_set(s->env, "e", s->x), AD_OK, s->t);
    EQUAL(value_of(s, "e^2"), 4);
    ad_expression *e = parsed("e*pi*π*tau");
    assert_int_equal(ad_expression_name_count(e), 1);
    assert_string_equal(ad_expression_name(e, 0), "tau");
    ad_expression_free(e);
}

static void lines_and_comments_are_as_in_a_notebook(void **state)
{
    static const char *const pairs[][2] = {{"h = x # a name\nh*2", "h = x; h*2"},
                                           {"\n\n# nothing\n x \n\n", "x"},
                                           {"; ;x;;", "x"},
                                           {"x # no\r\n", "x"},
                                           {"\tx\t+\ty", "x + y"},
                                           {"(x\n + y # sum\n)", "(x + y)"},
                                           {"max(x,\n\n y)", "max(x, y)"},
                                           {"[1,\n 2;\n 3, 4]", "[1, 2; 3, 4]"},
                                           {"a = x\nb = a\nb", "a = x; b = a; b"},
                                           {"x # ; y = 1", "x"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        means(pairs[i][0], pairs[i][1]);
}

/* ---- definitions ---- */

static void a_definition_is_recorded_once(void **state)
{
    stage *s = *state;
    const int64_t before = ad_node_count(s->t);
    ad_expression *e = parsed("h = sin(x); h*h");
    const int64_t top = ad_expression_result(e);
    assert_int_equal(ad_expression_node_count(e), 3);
    assert_int_equal(ad_expression_child(e, top, 0), ad_expression_child(e, top, 1));
    assert_string_equal(node_of(e, 1).defined_as, "h");
    assert_string_equal(node_of(e, top).defined_as, "");
    ad_var y = ad_record_expression(s->env, e, NULL);
    assert_int_equal(ad_node_count(s->t), before + 2);
    EQUAL(ad_value(y), sin(2) * sin(2));
    EQUAL(ad_value(ad_env_get(s->env, "h")), sin(2));
    STATUS(ad_backward(y), AD_OK, s->t);
    CLOSE(ad_grad(s->x), 2 * sin(2) * cos(2));
    ad_expression_free(e);
}

static void a_name_may_have_two_names(void **state)
{
    stage *s = *state;
    const int64_t before = ad_node_count(s->t);
    EQUAL(value_of(s, "a = x; b = a; b"), 2);
    assert_int_equal(ad_node_count(s->t), before);
    assert_int_equal(ad_env_get(s->env, "b").u.bits, s->x.u.bits);
    EQUAL(value_of(s, "h = x*y; k = h; h + k"), 20);
    EQUAL(ad_value(ad_env_get(s->env, "k")), 10);
    ad_expression *e = parsed("h = x*y; k = h");
    assert_string_equal(node_of(e, ad_expression_result(e)).defined_as, "h");
    ad_expression_free(e);
}

static void definitions_go_into_the_environment(void **state)
{
    stage *s = *state;
    EQUAL(value_of(s, "r = x + y"), 7);
    EQUAL(value_of(s, "2*r"), 14);
    EQUAL(value_of(s, "r = 1"), 1);
    EQUAL(value_of(s, "r"), 1);
    EQUAL(value_of(s, "x = 10; x*y"), 50);
    EQUAL(value_of(s, "x"), 10);
    assert_null(ad_env_get(s->env, "unheard").tape);
}

static void a_negative_definition_stays_what_it_is(void **state)
{
    stage *s = *state;
    EQUAL(value_of(s, "h = 2; g = -h; h - g + -h"), 2);
    EQUAL(value_of(s, "k = -2; -k^2"), -4);
}

/* ---- arrays ---- */

static void arrays_of_numbers_are_constants(void **state)
{
    stage *s = *state;
    ad_node_info info;
    double out[4];
    const int64_t before = ad_node_count(s->t);
    ad_var y = ad_eval(s->env, "[1, -2.5; pi, sqrt(4)]");
    assert_int_equal(ad_node_count(s->t), before + 1);
    assert_int_equal(ad_node_at(s->t, ad_var_node(y), &info), AD_OK);
    assert_int_equal(info.kind, AD_NODE_CONSTANT);
    assert_int_equal(ad_rank(y), 2);
    STATUS(ad_read(y, out), AD_OK, s->t);
    const double want[4] = {1, -2.5, acos(-1), 2};
    assert_memory_equal(out, want, sizeof want);
    assert_int_equal(ad_rank(ad_eval(s->env, "[7]")), 1);
    assert_int_equal(ad_rank(ad_eval(s->env, "[7; 8]")), 2);
    assert_int_equal(ad_shape(ad_eval(s->env, "[7; 8]"))[1], 1);
}

static void arrays_of_variables_are_stacked(void **state)
{
    stage *s = *state;
    ad_var row[2] = {s->x, s->y};
    ad_var four[4] = {s->x, ad_constant(1), ad_constant(0), s->y};
    const both all[] = {
        {"[x, y]", ad_stack(2, row, 0)},
        {"[x, 1; 0, y]", ad_reshape(ad_stack(4, four, 0), 2, (const int64_t[]){2, 2})},
        {"[v, w]", ad_stack(2, (const ad_var[]){s->v, s->w}, 0)},
        {"[[x, y], [1, 0]]",
         ad_stack(2,
                  (const ad_var[]){ad_stack(2, row, 0),
                                   ad_constant_array(s->t, AD_F64, 1, (const int64_t[]){2},
                                                     (const double[]){1, 0})},
                  0)},
        {"[x, y] @ [1, 0]",
         ad_matmul(ad_stack(2, row, 0), ad_constant_array(s->t, AD_F64, 1, (const int64_t[]){2},
                                                          (const double[]){1, 0}))}};
    same_as_in_c(s, (int)(sizeof all / sizeof *all), all);
    ad_expression *e = parsed("[a, b; c, d]");
    const ad_expression_node n = node_of(e, ad_expression_result(e));
    assert_int_equal(n.kind, AD_EXPRESSION_ARRAY);
    assert_int_equal(n.rows, 2);
    assert_int_equal(n.n_children, 4);
    ad_expression_free(e);
}

/* ---- gradients ---- */

static void the_textbook_example_has_its_gradient(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    ad_env *env = ad_env_new(t);
    ad_var x1 = ad_input(t, 2), x2 = ad_input(t, 5);
    ad_env_set(env, "x1", x1);
    ad_env_set(env, "x2", x2);
    ad_var y = ad_eval(env, "x1*x2 + sin(x1)");
    STATUS(ad_backward(y), AD_OK, t);
    EQUAL(ad_value(y), 2 * 5 + sin(2));
    CLOSE(ad_grad(x1), 4.583853163452858);
    EQUAL(ad_grad(x2), 2);
    ad_env_free(env);
    ad_tape_free(t);
}

typedef struct layer {
    ad_var x, y, w1, b1, w2, b2;
} layer;

enum { ROWS = 4, IN = 3, UNITS = 5 };

static ad_var filled(ad_tape *t, ad_env *env, const char *name, int rank, int64_t n, int64_t m)
{
    const int64_t shape[2] = {n, m};
    double x[ROWS * UNITS + UNITS];
    for (int i = 0; i < (int)(sizeof x / sizeof *x); i++)
        x[i] = sin(1.3 * i + name[0] + 2 * (double)n);
    ad_var a = ad_input_array(t, AD_F64, rank, shape, x);
    assert_int_equal(ad_env_set(env, name, a), AD_OK);
    return a;
}

static layer layer_of(ad_tape *t, ad_env *env)
{
    return (layer){.x = filled(t, env, "X", 2, ROWS, IN),
                   .y = filled(t, env, "Y", 2, ROWS, 1),
                   .w1 = filled(t, env, "W1", 2, IN, UNITS),
                   .b1 = filled(t, env, "b1", 1, UNITS, 1),
                   .w2 = filled(t, env, "W2", 2, UNITS, 1),
                   .b2 = filled(t, env, "b2", 1, 1, 1)};
}

static ad_var loss_in_c(const layer *l)
{
    ad_var h = ad_relu(ad_add(ad_matmul(l->x, l->w1), l->b1));
    return ad_mean(ad_square(ad_sub(ad_add(ad_matmul(h, l->w2), l->b2), l->y)));
}

static void same_gradient(ad_var got, ad_var want)
{
    double g[ROWS * UNITS], w[ROWS * UNITS];
    assert_int_equal(ad_grad_read(got, g), AD_OK);
    assert_int_equal(ad_grad_read(want, w), AD_OK);
    assert_memory_equal(g, w, (size_t)ad_size(got) * sizeof *g);
}

static void a_network_is_the_one_written_in_c(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL), *u = ad_tape_new(NULL);
    ad_env *env = ad_env_new(t), *unused = ad_env_new(u);
    layer l = layer_of(t, env), m = layer_of(u, unused);
    ad_var y = ad_eval(env, "mean((relu(X@W1 + b1)@W2 + b2 - Y)^2)"), want = loss_in_c(&m);
    EQUAL(ad_value(y), ad_value(want));
    assert_int_equal(ad_node_count(t), ad_node_count(u));
    STATUS(ad_backward(y), AD_OK, t);
    STATUS(ad_backward(want), AD_OK, u);
    same_gradient(l.w1, m.w1);
    same_gradient(l.b1, m.b1);
    same_gradient(l.w2, m.w2);
    same_gradient(l.b2, m.b2);
    same_gradient(l.x, m.x);
    ad_env_free(env);
    ad_env_free(unused);
    ad_tape_free(t);
    ad_tape_free(u);
}

/* ---- where things stand ---- */

static void nodes_know_their_part_of_the_text(void **state)
{
    static const struct {
        const char *text, *parts[9];
    } all[] = {{"y + sin(x1*2)^2",
                {"y", "x1", "2", "x1*2", "sin(x1*2)", "sin(x1*2)^2", "y + sin(x1*2)^2"}},
               {"(x + y)*2", {"x", "y", "x + y", "2", "(x + y)*2"}},
               {"a - -3", {"a", "-3", "a - -3"}},
               {"-(x)", {"x", "-(x)"}},
               {"h = 2*x; h", {"2", "x", "2*x"}},
               {"[1, α; 2, β ]", {"1", "α", "2", "β", "[1, α; 2, β ]"}},
               {"sum( v , 0 ) # all", {"v", "0", "sum( v , 0 )"}}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ad_expression *e = parsed(all[i].text);
        for (int64_t k = 0; k < ad_expression_node_count(e); k++) {
            const ad_expression_node n = node_of(e, k);
            assert_int_equal(n.length, strlen(all[i].parts[k]));
            assert_memory_equal(all[i].text + n.at, all[i].parts[k], (size_t)n.length);
        }
        assert_null(all[i].parts[ad_expression_node_count(e)]);
        ad_expression_free(e);
    }
}

static void operations_know_their_place(void **state)
{
    static const char *const text = "αβ = x*y\n   δ*αβ + sin(\n sum(v)) # x";
    static const struct {
        const char *operation, *site;
    } want[] = {{"mul", "text:1:6"},
                {"mul", "text:2:4"},
                {"sum", "text:3:2"},
                {"sin", "text:2:11"},
                {"add", "text:2:4"}};
    stage *s = *state;
    int64_t nodes[16];
    int found = 0;
    STATUS(ad_env_set(s->env, "δ", s->x), AD_OK, s->t);
    ad_expression *e = parsed(text);
    assert_true(ad_expression_node_count(e) <= 16);
    ad_record_expression(s->env, e, nodes);
    for (int64_t i = 0; i < ad_expression_node_count(e); i++) {
        ad_node_info info;
        if (node_of(e, i).kind != AD_EXPRESSION_CALL)
            continue;
        assert_int_equal(ad_node_at(s->t, nodes[i], &info), AD_OK);
        assert_string_equal(info.operation, want[found].operation);
#ifndef AD_NO_SITES
        assert_string_equal(info.site, want[found].site);
#endif
        found++;
    }
    assert_int_equal(found, 5);
    ad_expression_free(e);
}

static void recording_tells_the_nodes(void **state)
{
    static const char *const want[] = {"input", NULL, "mul", "input", "sin", "sum", "add"};
    stage *s = *state;
    int64_t nodes[7];
    ad_expression *e = parsed("x*2 + sum(sin(v))");
    assert_int_equal(ad_expression_node_count(e), 7);
    ad_var y = ad_record_expression(s->env, e, nodes);
    STATUS(ad_tape_status(s->t), AD_OK, s->t);
    for (int i = 0; i < 7; i++)
        if (want[i])
            assert_string_equal(operation_of(ad_node_var(s->t, nodes[i])), want[i]);
        else
            assert_int_equal(nodes[i], -1);
    assert_int_equal(nodes[6], ad_var_node(y));
    assert_int_equal(nodes[0], ad_var_node(s->x));
    ad_env_set(s->env, "v", s->m);
    ad_env_set(s->env, "x", ad_eval(s->env, "[1, 2]")); /* shapes that do not fit */
    ad_expression *wrong = parsed("2 + x*v");
    ad_record_expression(s->env, wrong, nodes);
    STATUS(ad_tape_status(s->t), AD_BAD_SHAPE, s->t);
    for (int i = 0; i < 5; i++)
        assert_int_equal(nodes[i], -1);
    ad_expression_free(e);
    ad_expression_free(wrong);
}

static void nodes_can_be_walked(void **state)
{
    (void)state;
    ad_expression *e = parsed("max(a, 2.5)");
    ad_expression_node n;
    assert_int_equal(ad_expression_node_count(e), 3);
    assert_int_equal(ad_expression_result(e), 2);
    n = node_of(e, 0);
    assert_int_equal(n.kind, AD_EXPRESSION_NAME);
    assert_string_equal(n.name, "a");
    n = node_of(e, 1);
    assert_int_equal(n.kind, AD_EXPRESSION_NUMBER);
    EQUAL(n.number, 2.5);
    assert_string_equal(n.name, "");
    n = node_of(e, 2);
    assert_int_equal(n.kind, AD_EXPRESSION_CALL);
    assert_string_equal(n.name, "max");
    assert_int_equal(n.n_children, 2);
    assert_int_equal(ad_expression_child(e, 2, 0), 0);
    assert_int_equal(ad_expression_child(e, 2, 1), 1);
    assert_int_equal(ad_expression_child(e, 2, 2), -1);
    assert_int_equal(ad_expression_child(e, 2, -1), -1);
    assert_int_equal(ad_expression_child(e, 0, 0), -1);
    assert_int_equal(ad_expression_child(e, 3, 0), -1);
    assert_int_equal(ad_expression_child(e, -1, 0), -1);
    assert_int_equal(ad_expression_node_at(e, 3, &n), AD_BAD_INDEX);
    assert_int_equal(ad_expression_node_at(e, -1, &n), AD_BAD_INDEX);
    assert_int_equal(ad_expression_node_at(e, 0, NULL), AD_NULL);
    ad_expression_free(e);
}

/* ---- what is wrong ---- */

static void nothing_is_an_answer_too(void **state)
{
    stage *s = *state;
    ad_parse_error error;
    ad_expression_node n;
    assert_null(ad_parse(NULL, NULL));
    assert_null(ad_parse("2x", NULL));
    assert_null(ad_parse(NULL, &error));
    assert_string_equal(error.text, "the text is NULL");
    assert_int_equal(error.line, 1);
    ad_expression_free(NULL);
    assert_int_equal(ad_expression_name_count(NULL), 0);
    assert_null(ad_expression_name(NULL, 0));
    assert_int_equal(ad_expression_node_count(NULL), 0);
    assert_int_equal(ad_expression_result(NULL), -1);
    assert_int_equal(ad_expression_child(NULL, 0, 0), -1);
    assert_int_equal(ad_expression_node_at(NULL, 0, &n), AD_NULL);
    assert_null(ad_env_new(NULL));
    ad_env_free(NULL);
    assert_int_equal(ad_env_set(NULL, "x", s->x), AD_NULL);
    assert_int_equal(ad_env_set(s->env, NULL, s->x), AD_NULL);
    assert_int_equal(ad_env_set(s->env, "q", (ad_var){0}), AD_NULL);
    assert_null(ad_env_get(NULL, "x").tape);
    assert_null(ad_env_get(s->env, NULL).tape);
    assert_null(ad_env_get(s->env, "q").tape);
    assert_null(ad_eval(NULL, "x").tape);
    assert_null(ad_record_expression(NULL, NULL, NULL).tape);
    STATUS(ad_tape_status(s->t), AD_OK, s->t);
    ad_record_expression(s->env, NULL, NULL);
    STATUS(ad_tape_status(s->t), AD_NULL, s->t);
    ad_reset(s->t);
    ad_eval(s->env, NULL);
    STATUS(ad_tape_status(s->t), AD_NULL, s->t);
    CONTAINS(ad_tape_error(s->t), "null text");
}

static void what_is_no_name_cannot_be_set(void **state)
{
    static const char *const wrong[] = {"",   " ",   "1",   "2x",  "x y",
                                        "x+", "a.b", "x-1", "x·y", "sin("};
    stage *s = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(ad_env_set(s->env, wrong[i], s->x), AD_BAD_ARGUMENT);
    ad_tape *other = ad_tape_new(NULL);
    assert_int_equal(ad_env_set(s->env, "other", ad_input(other, 1)), AD_FOREIGN);
    ad_tape_free(other);
    STATUS(ad_tape_status(s->t), AD_OK, s->t);
}

static void a_name_whose_node_is_gone_is_an_error(void **state)
{
    stage *s = *state;
    ad_mark mark = ad_mark_here(s->t);
    STATUS(ad_env_set(s->env, "gone", ad_input(s->t, 1)), AD_OK, s->t);
    STATUS(ad_rewind(s->t, mark), AD_OK, s->t);
    ad_eval(s->env, "a = 1; gone");
    STATUS(ad_tape_status(s->t), AD_STALE, s->t);
    CONTAINS(ad_tape_error(s->t), "gone: stale handle");
    CONTAINS(ad_tape_error(s->t), "text:1:8");
}

#define X8  "xxxxxxxx"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8

static const struct {
    const char *text;
    int line, column, length;
    const char *says;
} errors[] = {
    /* nothing, and too little */
    {"", 1, 1, 0, "the text is empty"},
    {" \n # only words\n", 3, 1, 0, "the text is empty"},
    {"x +", 1, 4, 0, "something is missing here: a number, a name, or '('"},
    {"x +\ny", 1, 4, 0, "something is missing here"},
    {"h = ", 1, 5, 0, "something is missing here"},
    {"x*;y", 1, 3, 0, "something is missing here"},
    {"-", 1, 2, 0, "something is missing here"},
    {"sin(", 1, 5, 0, "something is missing here"},
    /* functions */
    {"sinn(x)", 1, 1, 4, "unknown function 'sinn'; did you mean 'sin'?"},
    {"1 + softmx(x)", 1, 5, 6, "did you mean 'softmax'?"},
    {"lnn(x)", 1, 1, 3, "did you mean 'ln'?"},
    {"f(x)", 1, 1, 1, "unknown function 'f'; for a product write f*(...)"},
    {"amount(x)", 1, 1, 6, "unknown function 'amount'; for a product write amount*(...)"},
    {X64 "(x)", 1, 1, 64, "unknown function 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; for a product"},
    {"sin", 1, 1, 3, "'sin' is a function: write sin(...)"},
    {"2*ln", 1, 3, 2, "'ln' is a function: write ln(...)"},
    {"sin x", 1, 1, 5, "'sin x': write sin(x)"},
    {"exp 2", 1, 1, 5, "'exp 2': write exp(2)"},
    {"sin(1, 2)", 1, 1, 9, "sin takes 1 argument, not 2"},
    {"pow(1)", 1, 1, 6, "pow takes 2 arguments, not 1"},
    {"sin()", 1, 1, 5, "sin takes 1 argument, not 0"},
    {"x + sum()", 1, 5, 5, "sum cannot take 0 arguments: sum(a), or sum(a, axis, ...)"},
    {"reshape(x)", 1, 1, 10, "reshape cannot take 1 argument: reshape(a, size, ...)"},
    {"slice(v, 0, 1, 2, 1, 1)", 1, 1, 23, "slice cannot take 6 arguments"},
    {"sum(x, y)", 1, 8, 1, "sum: argument 2 must be an integer: sum(a), or"},
    {"sum(x, 1.5)", 1, 8, 3, "must be an integer"},
    {"sum(x, 1e300)", 1, 8, 5, "must be an integer"},
    {"sum(x, 0, 1+1)", 1, 11, 3, "sum: argument 3 must be an integer"},
    /* products */
    {"2x", 1, 1, 2, "'2x': write 2*x"},
    {"y + 2 x", 1, 5, 3, "'2 x': write 2*x"},
    {"x y", 1, 1, 3, "'x y': write x*y"},
    {"x 2", 1, 1, 3, "'x 2': write x*2"},
    {"2(x)", 1, 1, 2, "'2(': write 2*( for a product"},
    {"(x)(y)", 1, 3, 2, "')(': write )*( for a product"},
    {"sin(x) cos(x)", 1, 6, 5, "') cos': write )*cos for a product"},
    {"v[1]", 1, 1, 2, "'v[': write v*[ for a product"},
    {"(x\n y)", 1, 2, 4, "'x y': write x*y"},
    /* signs of other languages */
    {"x**2", 1, 2, 2, "'**': write ^ for a power"},
    {"a && b", 1, 3, 2, "'&&': write a product of comparisons"},
    {"a || b", 1, 3, 2, "'||': write max(a, b) of comparisons"},
    {"|x|", 1, 1, 1, "'|': write abs(x)"},
    {"5 % 3", 1, 3, 1, "'%': write fmod(a, b)"},
    {"n!", 1, 2, 1, "'!': write exp(lgamma(n + 1)) for a factorial"},
    {"x + != y", 1, 5, 2, "'!=' where a number, a name, or '(' was expected"},
    {"x\u2013y", 1, 2, 3, "write -"},
    {"x\u2010y", 1, 2, 3, "write -"},
    {"αβ²", 1, 3, 2, "'²': write ^2"},
    {"√x", 1, 1, 3, "'√': write sqrt(x)"},
    {"x $ y", 1, 3, 1, "'$' where an operator or the end was expected"},
    {"{x}", 1, 1, 1, "'{' where a number, a name, or '(' was expected"},
    {"\"x\"", 1, 1, 1, "'\"' where a number"},
    {"x*\x01", 1, 3, 1, "where a number"},
    {"..", 1, 1, 1, "'.' where a number"},
    {"a.b", 1, 2, 1, "'.' where an operator"},
    {"x & y", 1, 3, 1, "'&' where an operator"},
    /* brackets */
    {"(x", 1, 1, 1, "'(' is not closed: ')' is missing"},
    {"x*(y + (2)", 1, 3, 1, "'(' is not closed"},
    {"sin(x", 1, 4, 1, "'(' is not closed"},
    {"[1, 2", 1, 1, 1, "'[' is not closed: ']' is missing"},
    {"x)", 1, 2, 1, "')' closes nothing"},
    {"x]", 1, 2, 1, "']' closes nothing"},
    {")", 1, 1, 1, "')' where a number"},
    {"(x]", 1, 3, 1, "']' where ')' was expected"},
    {"sin(x]", 1, 6, 1, "']' where ',' or ')' was expected"},
    {"sum(v; 1)", 1, 6, 1, "';' where ',' or ')' was expected"},
    {"[1, 2)", 1, 6, 1, "')' where ',', ';' or ']' was expected"},
    {"max(x,)", 1, 7, 1, "')' where a number"},
    {"[]", 1, 2, 1, "']' where a number"},
    {"[1, 2;]", 1, 7, 1, "']' where a number"},
    {"[1, 2; 3]", 1, 8, 1, "row 2 has 1 element, but the first has 2"},
    {"[1; 2, 3]", 1, 5, 4, "row 2 has 2 elements, but the first has 1"},
    {"x, y", 1, 2, 1, "',' stands between arguments"},
    {"1,5*x", 1, 2, 1, "the point of a number '.'"},
    {"2*(1, 5)", 1, 5, 1, "a vector is [1, 2]"},
    /* comparisons and definitions */
    {"x < y < z", 1, 7, 1, "comparisons in a row: write (a < b)*(b < c)"},
    {"x == y != z", 1, 8, 2, "comparisons in a row"},
    {"x + 1 = 3", 1, 7, 1, "'=' defines a name at the beginning; to compare write =="},
    {"where(x = 2, 1, 0)", 1, 9, 1, "to compare write =="},
    {"a = b = 3", 1, 7, 1, "'=' defines a name at the beginning"},
    {"= 3", 1, 1, 1, "'=' defines a name at the beginning"},
    {"sin = 3", 1, 1, 3, "'sin' is a function: take another name"},
    {"y = x*2; x = 3", 1, 10, 1, "'x' has a meaning already: take another name"},
    {"x\n+ y", 1, 1, 1, "this value is not used"},
    {"a = 1; x*2; a", 1, 8, 3, "this value is not used"},
    {"h = 1\nh = 2", 2, 1, 1, "'h' has a meaning already"},
    {"y = 2*e; e = 3", 1, 10, 1, "'e' has a meaning already"},
    {"x = x + 1", 1, 1, 1, "'x' is in its own definition"},
    /* numbers */
    {"1e999", 1, 1, 5, "'1e999' is larger than any double"},
    {"1.2.3", 1, 1, 5, "'1.2.3': write 1.2*.3"},
    {"0x1F", 1, 1, 4, "'0x1F': write 0*x1F"},
    /* lines and letters */
    {"a = 1 # α\nβγ = a\n  βγ*δε ζ", 3, 6, 7, "'δε ζ': write δε*ζ"},
};

static void an_error_says_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        ad_parse_error got;
        if (ad_parse(errors[i].text, &got))
            fail_msg("\"%s\" was read", errors[i].text);
        if (!strstr(got.text, errors[i].says) || got.line != errors[i].line ||
            got.column != errors[i].column || got.length != errors[i].length)
            fail_msg("\"%s\": got %d:%d, %d bytes: %s; want %d:%d, %d bytes: %s", errors[i].text,
                     got.line, got.column, (int)got.length, got.text, errors[i].line,
                     errors[i].column, errors[i].length, errors[i].says);
        assert_true(got.at >= 0 && got.at + got.length <= (int64_t)strlen(errors[i].text));
    }
}

static void a_text_that_is_wrong_is_an_error_of_the_tape(void **state)
{
    stage *s = *state;
    ad_eval(s->env, "y = x;\n 2x");
    STATUS(ad_tape_status(s->t), AD_BAD_ARGUMENT, s->t);
    CONTAINS(ad_tape_error(s->t), "eval: line 2, column 2: '2x': write 2*x");
}

static void an_unknown_name_is_told_with_the_nearest(void **state)
{
    stage *s = *state;
    ad_env_set(s->env, "weight", s->x);
    ad_eval(s->env, "x + wieght");
    STATUS(ad_tape_status(s->t), AD_BAD_ARGUMENT, s->t);
    CONTAINS(ad_tape_error(s->t), "eval: unknown name 'wieght'; did you mean 'weight'?");
    CONTAINS(ad_tape_error(s->t), "text:1:5");
    ad_reset(s->t);
    ad_eval(s->env, "something");
    CONTAINS(ad_tape_error(s->t), "eval: unknown name 'something': it has no value");
    ad_var y = ad_eval(s->env, "1 + 1"); /* after an error nothing is done */
    assert_true(isnan(ad_value(y)));
}

static void an_operation_that_fails_says_its_place(void **state)
{
    static const struct {
        const char *text, *says, *where;
        ad_status status;
    } all[] = {{"q = sum(v)\n+ M @ M", "matmul: (2,3) x (2,3)", "text:2:1", AD_BAD_SHAPE},
               {"x + y + (v + A@[1, 2, 3, 4])", "matmul", "text:1:14", AD_BAD_SHAPE},
               {"α = 2; α*(M + A)", "add", "text:1:11", AD_BAD_SHAPE},
               {"2*sum(M, 2)", "sum: axis 2 is out of range", "text:1:3", AD_BAD_AXIS},
               {"sum(M, 4294967296)", "out of range", "text:1:1", AD_BAD_AXIS},
               {"sum(M, -4294967296)", "out of range", "text:1:1", AD_BAD_AXIS},
               {"permute(M, 0)", "permute: wants each axis", "text:1:1", AD_BAD_AXIS},
               {"permute(M, 0, 8589934593)", "permute", "text:1:1", AD_BAD_AXIS},
               {"at(M, 1)", "at: wants an index for each axis", "text:1:1", AD_BAD_INDEX},
               {"at(v, 3)", "at", "text:1:1", AD_BAD_INDEX},
               {"1 + [v; v]", "reshape", "text:1:5", AD_BAD_SHAPE},
               {"[v, x]", "stack", "text:1:1", AD_BAD_SHAPE},
               {"reshape(v, 9007199254740992)", "reshape", "text:1:1", AD_BAD_SHAPE}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        stage s;
        begin(&s, NULL);
        ad_eval(s.env, all[i].text);
        STATUS(ad_tape_status(s.t), all[i].status, s.t);
        CONTAINS(ad_tape_error(s.t), all[i].says);
        CONTAINS(ad_tape_error(s.t), all[i].where);
        end(&s);
    }
    (void)state;
}

/* ---- numbers ---- */

static uint64_t next_random(uint64_t *state) /* Knuth's MMIX generator */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 32;
}

static void numbers_come_back_as_they_went(void)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = next_random(&state) << 32 | next_random(&state);
        char text[EXPR_NUMBER_TEXT];
        double x;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        expr_write_number(text, x);
        const bool minus = *text == '-';
        const double y = expr_read_number(text + minus, strlen(text) - minus);
        if ((minus ? -y : y) != x || strchr(text, ','))
            fail_msg("%.17g was written %s", x, text);
    }
}

static void numbers_are_written_with_the_fewest_digits(void **state)
{
    static const struct {
        double number;
        const char *text;
    } all[] = {{0, "0"},
               {-0.0, "-0"},
               {10, "10"},
               {-1500, "-1500"},
               {999999999999999, "999999999999999"},
               {1e15, "1e+15"},
               {1e22, "1e+22"},
               {.1, "0.1"},
               {-2.5, "-2.5"},
               {.1 + .2, "0.30000000000000004"},
               {1. / 3, "0.3333333333333333"},
               {1e-7, "1e-07"},
               {5e-324, "5e-324"},
               {1.7976931348623157e308, "1.7976931348623157e+308"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[EXPR_NUMBER_TEXT];
        expr_write_number(text, all[i].number);
        assert_string_equal(text, all[i].text);
    }
    numbers_come_back_as_they_went();
}

static void numbers_are_the_same_in_every_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    stage *s = *state;
    char text[EXPR_NUMBER_TEXT];
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]);
    if (!found)
        skip();
    snprintf(text, sizeof text, "%.1f", .5);
    if (strcmp(text, "0,5") == 0) {
        EQUAL(value_of(s, "1.5 + .25e1*2."), 6.5);
        expr_write_number(text, -1234.5);
        assert_string_equal(text, "-1234.5");
        numbers_come_back_as_they_went();
        assert_null(ad_parse("1,5", NULL));
    }
    setlocale(LC_NUMERIC, "C");
}

/* ---- very long texts ---- */

static char *repeated(const char *part, long times, const char *last)
{
    const size_t n = strlen(part), total = n * (size_t)times;
    char *text = malloc(total + strlen(last) + 1);
    assert_non_null(text);
    for (long i = 0; i < times; i++)
        memcpy(text + (size_t)i * n, part, n);
    memcpy(text + total, last, strlen(last) + 1);
    return text;
}

static void a_million_terms_are_read_and_recorded(void **state)
{
    enum { TERMS = 1000000 };
    stage *s = *state;
    char *text = repeated("x + ", TERMS - 1, "x");
    EQUAL(value_of(s, text), 2. * TERMS);
    free(text);
}

static void a_hundred_thousand_names_are_read_and_recorded(void **state)
{
    enum { NAMES = 100000 };
    stage *s = *state;
    char *text = malloc(NAMES * 24), *end = text;
    assert_non_null(text);
    for (int i = 0; i < NAMES; i++)
        end += snprintf(end, 24, "t%d = %s%d\n", i, i ? "1 + t" : "", i ? i - 1 : 0);
    EQUAL(value_of(s, text), NAMES - 1);
    EQUAL(ad_value(ad_env_get(s->env, "t500")), 500);
    free(text);
}

static void nesting_has_an_end(void **state)
{
    static const struct {
        const char *open, *inside, *close;
        long deepest;
    } all[] = {{"(", "x", ")", 199}, {"-", "x", "", 199},     {"+", "x", "", 199},
               {"[", "x", "]", 199}, {"sin(", "x", ")", 199}, {"x^", "x", "", 199}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (long n = 1; n <= 100000; n = n < 198   ? 198
                                          : n < 202 ? n + 1
                                                    : 100000 + (n == 100000)) {
            ad_parse_error error;
            char *tail = repeated(all[i].close, n, ""), *text;
            char *core = malloc(strlen(tail) + 2);
            assert_non_null(core);
            sprintf(core, "%s%s", all[i].inside, tail);
            text = repeated(all[i].open, n, core);
            ad_expression *e = ad_parse(text, &error);
            assert_int_equal(e != NULL, n <= all[i].deepest);
            if (!e)
                CONTAINS(error.text, "nested more than 200 deep: use definitions");
            ad_expression_free(e);
            free(text);
            free(core);
            free(tail);
        }
}

static void long_numbers_and_names_are_whole(void **state)
{
    stage *s = *state;
    char *digits = repeated("0", 10000, "1.5"), *name = repeated("n", 10000, "");
    EQUAL(value_of(s, digits), 1.5);
    STATUS(ad_env_set(s->env, name, s->y), AD_OK, s->t);
    EQUAL(value_of(s, name), 5);
    name[9999] = 'm';
    ad_eval(s->env, name);
    CONTAINS(ad_tape_error(s->t), "unknown name 'nnnnnnnn");
    free(digits);
    free(name);
}

/* ---- memory ---- */

static const char *const everything =
    "h = sin(x)*[x, y; 1, z]; k = h@h\n q9 = sum(k, 1); r = [1, 2];"
    "sum(q9*r) + norm(M) + sum(take(v, [0, 2])) - pi^2 - m10";

static void no_memory_while_reading_is_an_error(void **state)
{
    (void)state;
    ad_expression *e = NULL;
    for (long k = 0; !e; k++) {
        probe p;
        ad_parse_error error;
        ad_allocator a = probe_allocator(&p, false);
        ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
        p.fail_at = p.calls + k;
        in_place = c;
        e = ad_parse(everything, &error);
        assert_string_equal(error.text, e ? "" : "out of memory");
        assert_true(e || p.failed);
        ad_expression_free(e);
        in_place = NULL;
        ad_context_free(c);
        assert_int_equal(p.blocks, 0);
        assert_int_equal(p.wrong_sizes + p.overruns, 0);
    }
}

/* Sets more names than a hash table begins with room for, and records. */
static ad_status use(const ad_context *context, const ad_expression *e, double *value)
{
    stage s;
    ad_status status = AD_OK;
    begin(&s, context);
    for (int i = 0; i < 400 && s.env && !status; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        status = ad_env_set(s.env, name, ad_constant(i));
    }
    ad_var y = ad_record_expression(s.env, e, NULL);
    *value = ad_value(y);
    if (!s.env)
        status = AD_NO_MEMORY;
    else if (!status)
        status = ad_tape_status(s.t);
    for (int i = 0; i < 400 && !status; i++) { /* all are there */
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        assert_true(ad_value(ad_env_get(s.env, name)) == i);
    }
    end(&s);
    return status;
}

static void no_memory_while_recording_is_an_error(void **state)
{
    (void)state;
    ad_expression *e = parsed(everything);
    double want, got;
    assert_int_equal(use(NULL, e, &want), AD_OK);
    for (int reserving = 0; reserving < 2; reserving++)
        for (long k = 0;; k++) {
            probe p;
            ad_allocator a = probe_allocator(&p, reserving);
            ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
            p.calls = 0;
            p.fail_at = k;
            const ad_status status = use(c, e, &got);
            ad_context_free(c);
            assert_int_equal(p.blocks, 0);
            assert_int_equal(p.wrong_sizes + p.overruns, 0);
            if (!status)
                EQUAL(got, want);
            if (!p.failed)
                break;
            assert_true(status == AD_NO_MEMORY || status == AD_BAD_ARGUMENT || !status);
            assert_true(k < 10000);
        }
    ad_expression_free(e);
}

static void a_dead_tape_has_an_environment(void **state)
{
    (void)state;
    probe p;
    int64_t nodes[1] = {7};
    ad_allocator a = probe_allocator(&p, false);
    ad_context *c = ad_context_new(&(ad_context_config){.allocator = &a});
    p.fail_at = p.calls;
    ad_tape *t = ad_tape_new(c);
    assert_int_equal(ad_tape_status(t), AD_NO_MEMORY);
    ad_env *env = ad_env_new(t);
    assert_non_null(env);
    assert_int_equal(ad_env_set(env, "x", ad_input(t, 1)), AD_OK);
    assert_true(isnan(ad_value(ad_eval(env, "x + 1"))));
    ad_expression *e = parsed("x");
    ad_record_expression(env, e, nodes);
    assert_int_equal(nodes[0], -1);
    ad_expression_free(e);
    ad_env_free(env);
    ad_tape_free(t);
    ad_context_free(c);
    assert_int_equal(p.blocks, 0);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 50 };

typedef struct job {
    const ad_expression *shared;
    double values[ROUNDS];
    bool failed;
} job;

static void *record_and_parse(void *of)
{
    job *j = of;
    for (int i = 0; i < ROUNDS; i++) {
        double value = 0;
        ad_expression *own = ad_parse(everything, NULL);
        j->failed |= !own || use(NULL, i % 2 ? own : j->shared, &value) != AD_OK;
        j->values[i] = value;
        ad_expression_free(own);
        own = ad_parse("1 + 2x", NULL);
        j->failed |= own != NULL;
    }
    return NULL;
}

static void threads_share_an_expression(void **state)
{
    (void)state;
    ad_expression *e = parsed(everything);
    pthread_t threads[THREADS];
    static job jobs[THREADS];
    double want;
    use(NULL, e, &want);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.shared = e};
        assert_int_equal(pthread_create(&threads[i], NULL, record_and_parse, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(jobs[i].failed);
        for (int r = 0; r < ROUNDS; r++)
            EQUAL(jobs[i].values[r], want);
    }
    ad_expression_free(e);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brackets_stand_where_mathematics_has_them),
        STAGED(expressions_have_the_values_of_mathematics),
        STAGED(powers_are_of_three_kinds),
        cmocka_unit_test(every_row_of_the_table_has_its_name),
        STAGED(functions_of_numbers_are_numbers),
        STAGED(every_structured_function_is_the_c_call),
        STAGED(structured_functions_take_numbers_too),
        cmocka_unit_test(a_usage_says_the_name),
        cmocka_unit_test(the_documentation_has_every_function),
        cmocka_unit_test(unicode_signs_are_the_ascii_ones),
        STAGED(names_are_of_any_script),
        cmocka_unit_test(names_are_told_in_the_order_they_appear_in),
        STAGED(pi_and_e_can_be_something_else),
        cmocka_unit_test(lines_and_comments_are_as_in_a_notebook),
        STAGED(a_definition_is_recorded_once),
        STAGED(a_name_may_have_two_names),
        STAGED(definitions_go_into_the_environment),
        STAGED(a_negative_definition_stays_what_it_is),
        STAGED(arrays_of_numbers_are_constants),
        STAGED(arrays_of_variables_are_stacked),
        cmocka_unit_test(the_textbook_example_has_its_gradient),
        cmocka_unit_test(a_network_is_the_one_written_in_c),
        cmocka_unit_test(nodes_know_their_part_of_the_text),
        STAGED(operations_know_their_place),
        STAGED(recording_tells_the_nodes),
        cmocka_unit_test(nodes_can_be_walked),
        STAGED(nothing_is_an_answer_too),
        STAGED(what_is_no_name_cannot_be_set),
        STAGED(a_name_whose_node_is_gone_is_an_error),
        cmocka_unit_test(an_error_says_what_and_where),
        STAGED(a_text_that_is_wrong_is_an_error_of_the_tape),
        STAGED(an_unknown_name_is_told_with_the_nearest),
        cmocka_unit_test(an_operation_that_fails_says_its_place),
        cmocka_unit_test(numbers_are_written_with_the_fewest_digits),
        STAGED(numbers_are_the_same_in_every_locale),
        STAGED(a_million_terms_are_read_and_recorded),
        STAGED(a_hundred_thousand_names_are_read_and_recorded),
        cmocka_unit_test(nesting_has_an_end),
        STAGED(long_numbers_and_names_are_whole),
        cmocka_unit_test(no_memory_while_reading_is_an_error),
        cmocka_unit_test(no_memory_while_recording_is_an_error),
        cmocka_unit_test(a_dead_tape_has_an_environment),
        cmocka_unit_test(threads_share_an_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
