/* test_expression_text.c - expressions as text again, made of tapes, and derived
 *
 * What is written is read again, and must be the same program: of tables of texts, and of random
 * programs over every function of the language. Derivatives must look as in a textbook, and be, at
 * random points of every row of ops.def and of random compositions of them, what the reverse sweep
 * gives. */
#define AD_PLAIN
#include "algebra.h"
#include "compare.h"
#include "expression.h"

enum { TEXT = 4096, PROGRAMS = 400, LARGE = 100000 };

/* ---- texts ---- */

static char *text_of(const ad_expression *e)
{
    const size_t n = ad_expression_text(e, NULL, 0);
    char *text = malloc(n + 1);
    assert_non_null(text);
    assert_int_equal(ad_expression_text(e, text, n + 1), n);
    assert_int_equal(strlen(text), n);
    return text;
}

static ad_expression *parsed(const char *text)
{
    ad_parse_error error;
    ad_expression *e = ad_parse(text, &error);
    if (!e)
        fail_msg("\"%.200s\": column %d: %s", text, error.column, error.text);
    return e;
}

static bool same_node(const ad_expression *e, const ad_expression *f, int64_t i)
{
    ad_expression_node a, b;
    ad_expression_node_at(e, i, &a);
    ad_expression_node_at(f, i, &b);
    bool same = a.kind == b.kind && a.n_children == b.n_children && a.rows == b.rows &&
                strcmp(a.name, b.name) == 0 && strcmp(a.defined_as, b.defined_as) == 0 &&
                same_bits(a.number, b.number);
    for (int k = 0; same && k < a.n_children; k++)
        same = ad_expression_child(e, i, k) == ad_expression_child(f, i, k);
    return same;
}

/* Reads back as the same nodes. */
static void expect_read_back(const ad_expression *e, const char *text)
{
    ad_expression *f = parsed(text);
    char *again = text_of(f);
    if (strcmp(text, again) != 0)
        report("\"%s\" became \"%s\"", text, again);
    bool same = ad_expression_node_count(e) == ad_expression_node_count(f) &&
                ad_expression_result(e) == ad_expression_result(f);
    for (int64_t i = 0; same && i < ad_expression_node_count(e); i++)
        same = same_node(e, f, i);
    if (!same)
        report("\"%s\" reads back as other nodes", text);
    free(again);
    ad_expression_free(f);
}

static const char *const texts[][2] = {
    /* brackets where they are needed, and nowhere else */
    {"(a+b)*c", "(a + b)*c"},
    {"(a*b)+c", "a*b + c"},
    {"a-(b-c)", "a - (b - c)"},
    {"(a-b)-c", "a - b - c"},
    {"a+(b+c)", "a + (b + c)"},
    {"a/(b*c)", "a/(b*c)"},
    {"a/b*c", "a/b*c"},
    {"a*(b/c)", "a*(b/c)"},
    {"sin((a))", "sin(a)"},
    {"(a < b)*(b < c)", "(a < b)*(b < c)"},
    {"(a < b) == (b <= c)", "(a < b) == (b <= c)"},
    {"a + 1 >= b*2", "a + 1 >= b*2"},
    {"where((a > 0), (b), (c))", "where(a > 0, b, c)"},
    {"a != b", "a != b"},
    /* the minus, and numbers that have one */
    {"-(a*b)", "-(a*b)"},
    {"-a*b", "-a*b"},
    {"(-a)^2", "(-a)^2"},
    {"-a^2", "-a^2"},
    {"-2^2", "-2^2"},
    {"(-2)^2", "(-2)^2"},
    {"a - -2", "a - -2"},
    {"a*-b", "a*-b"},
    {"--a", "--a"},
    {"-(2)", "-2"},
    {"neg(2)", "neg(2)"},
    {"-neg(2)", "-neg(2)"},
    {"a - neg(-2)", "a - neg(-2)"},
    {"-0", "-0"},
    {"h = 2; -h", "h = 2; -h"},
    /* powers */
    {"a^b^c", "a^b^c"},
    {"(a^b)^c", "(a^b)^c"},
    {"a^(-b)", "a^-b"},
    {"a^(b+1)", "a^(b + 1)"},
    {"a^(-1)", "a^-1"},
    {"square(a)", "a^2"},
    {"a^2^3", "a^2^3"},
    {"powi(a, 3)", "a^3"},
    {"powi(a, 2)", "powi(a, 2)"},
    {"powi(a, n)", "powi(a, n)"},
    {"powi(a, 2.5)", "powi(a, 2.5)"},
    {"pow(a, 3)", "pow(a, 3)"},
    {"pow(a, 2)", "pow(a, 2)"},
    {"pow(a, 0.5)", "a^0.5"},
    {"pow(a, b)", "a^b"},
    {"n = 2; a^n", "n = 2; a^n"},
    /* functions, tensors */
    {"ln(x)", "log(x)"},
    {"matmul(a, b)", "a @ b"},
    {"a @ (b @ c)*d", "a @ (b @ c)*d"},
    {"sum(a*b, 1, -1)", "sum(a*b, 1, -1)"},
    {"[1,2;3,-a]", "[1, 2; 3, -a]"},
    {"[a]", "[a]"},
    {"reshape([1, 2, 3], 3, 1)", "reshape([1, 2, 3], 3, 1)"},
    /* numbers */
    {"100 + 1e30 + 0.001", "100 + 1e+30 + 0.001"},
    {"0.1 + 1.50", "0.1 + 1.5"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"5e-324 + 2.2250738585072014e-308", "5e-324 + 2.2250738585072014e-308"},
    /* definitions */
    {"h = sigmoid(w*x + b); (h - y)^2/2", "h = sigmoid(w*x + b); (h - y)^2/2"},
    {"h = x + 1\nk = h\nh*k", "h = x + 1; k = h; h*h"},
    {"h = x; h + 1", "h = x; h + 1"},
    {"h = x + 1", "h = x + 1"},
    {"h = 1; g = 2; h", "h = 1; g = 2; h"},
    {"pi*r^2", "pi*r^2"},
};

static void texts_come_out_as_these(void **state)
{
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ad_expression *e = parsed(texts[i][0]);
        char *text = text_of(e);
        if (strcmp(text, texts[i][1]) != 0)
            report("\"%s\": got \"%s\", want \"%s\"", texts[i][0], text, texts[i][1]);
        expect_read_back(e, text);
        free(text);
        ad_expression_free(e);
    }
    end_test();
}

static void text_keeps_to_its_room(void **state)
{
    char room[8];
    (void)state;
    ad_expression *e = parsed("sin(x) + 1");
    memset(room, '?', sizeof room);
    assert_int_equal(ad_expression_text(e, room, 4), 10);
    assert_string_equal(room, "sin");
    assert_int_equal(room[4], '?');
    assert_int_equal(ad_expression_text(e, room, 1), 10);
    assert_string_equal(room, "");
    assert_int_equal(ad_expression_text(e, NULL, 0), 10);
    assert_int_equal(ad_expression_text(NULL, room, sizeof room), 0);
    assert_string_equal(room, "");
    ad_expression_free(e);
}

/* ---- random programs ---- */

static double random_number(uint64_t *state)
{
    double x;
    uint64_t bits = random_bits(state);
    switch (random_below(state, 4)) {
    case 0:
        return random_below(state, 7) - 3;
    case 1:
        return (random_below(state, 2001) - 1000) / 100.;
    default:
        memcpy(&x, &bits, sizeof x);
        return isfinite(x) ? x : -0.;
    }
}

static int64_t random_leaf(uint64_t *state, ad_expression *e)
{
    static const char *const names[] = {"x", "y", "t1", "pi", "w_2"};
    if (random_below(state, 3) == 0)
        return expr_number(e, random_number(state));
    const char *name = names[random_below(state, 5)];
    const int i = expr_name(e, name, strlen(name));
    e->free[i] = true;
    return expr_leaf(e, i);
}

static int64_t random_array(uint64_t *state, ad_expression *e)
{
    int64_t children[6];
    const int rows = 1 + random_below(state, 3), columns = 1 + random_below(state, 2);
    for (int k = 0; k < rows * columns; k++)
        children[k] = random_below(state, (int)e->n);
    return expr_array(e, rows > 1 ? rows : 0, rows * columns, children);
}

static int64_t random_call(uint64_t *state, ad_expression *e)
{
    int64_t children[8];
    const int function = random_below(state, expr_function_count());
    const expr_function f = expr_function_at(function);
    const int most = f.most < 6 ? f.most : 6, n = f.least + random_below(state, most - f.least + 1);
    for (int k = 0; k < n; k++)
        children[k] = f.vars >= 0 && k >= f.vars ? expr_number(e, random_below(state, 5) - 2)
                                                 : random_below(state, (int)e->n);
    return expr_call(e, function, n, children);
}

static void random_definition(uint64_t *state, ad_expression *e, int64_t node)
{
    char name[16];
    snprintf(name, sizeof name, "h%lld", (long long)node);
    if (random_below(state, 8) || e->nodes[node].kind == AD_EXPRESSION_NAME)
        return;
    const int i = expr_name(e, name, strlen(name));
    e->nodes[node].defined = i + 1;
    e->definitions[i] = node;
}

static ad_expression *random_program(uint64_t *state)
{
    ad_expression *e = expr_new();
    const int size = 4 + random_below(state, 40);
    for (int64_t i = 0; e->n < size;) {
        i = e->n < 3 || random_below(state, 4) == 0 ? random_leaf(state, e)
            : random_below(state, 8)                ? random_call(state, e)
                                                    : random_array(state, e);
        random_definition(state, e, i);
    }
    e->result = e->n - 1;
    return e;
}

/* Of programs that differ in what is shared: numbers for what is alike in both. */
typedef struct class
{
    const ad_expression *e;
    int64_t node;
    const int64_t *of_children; /* the classes of e's nodes */
} class;

static bool alike(const class *a, const class *b)
{
    const expr_node *m = &a->e->nodes[a->node], *n = &b->e->nodes[b->node];
    if (m->kind != n->kind || m->n != n->n || m->rows != n->rows || m->function != n->function ||
        !same_bits(m->number, n->number))
        return false;
    if (m->kind == AD_EXPRESSION_NAME && strcmp(a->e->names[m->name], b->e->names[n->name]) != 0)
        return false;
    for (int k = 0; k < m->n; k++)
        if (a->of_children[expr_children(a->e, a->node)[k]] !=
            b->of_children[expr_children(b->e, b->node)[k]])
            return false;
    return true;
}

static int classify(const ad_expression *e, class *all, int n, int64_t *classes)
{
    for (int64_t i = 0; i < e->n; i++) {
        int k = 0;
        all[n] = (class){e, i, classes};
        while (!alike(&all[k], &all[n]))
            k++;
        classes[i] = k;
        n += k == n;
    }
    return n;
}

static bool same_value(const ad_expression *e, const ad_expression *f)
{
    const size_t n = (size_t)(e->n + f->n) + 1;
    class *all = malloc(n * sizeof *all);
    int64_t *classes = calloc(n, sizeof *classes);
    assert_true(all && classes);
    const int known = classify(e, all, 0, classes);
    classify(f, all, known, classes + e->n);
    const bool same = classes[e->result] == classes[e->n + f->result];
    free(all);
    free(classes);
    return same;
}

static void random_programs_read_back(void **state)
{
    (void)state;
    begin_test();
    for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
        uint64_t random = seed;
        ad_expression *e = random_program(&random);
        char *text = text_of(e);
        ad_expression *f = ad_parse(text, NULL);
        if (!f || !same_value(e, f))
            report("seed %" PRIu64 ": other than its text \"%.500s\"", seed, text);
        if (f)
            expect_read_back(f, text);
        free(text);
        ad_expression_free(e);
        ad_expression_free(f);
    }
    end_test();
}

/* Every function, with names and with numbers for what are variables. */
static void every_function_reads_back(void **state)
{
    (void)state;
    begin_test();
    for (int i = 0; i < expr_function_count(); i++)
        for (int numbers = 0; numbers < 3; numbers++) {
            const expr_function f = expr_function_at(i);
            ad_expression *e = expr_new();
            int64_t children[16];
            for (int k = 0; k < f.least; k++)
                children[k] = numbers || (f.vars >= 0 && k >= f.vars)
                                  ? expr_number(e, numbers == 1 ? 2 : -3)
                                  : expr_leaf(e, expr_name(e, "a", 1));
            e->result = expr_call(e, i, f.least, children);
            char *text = text_of(e);
            ad_expression *again = ad_parse(text, NULL);
            if (!again || !same_value(e, again))
                report("%s: other than its text \"%s\"", f.name, text);
            free(text);
            ad_expression_free(e);
            ad_expression_free(again);
        }
    end_test();
}

/* ---- tapes ---- */

static void tapes_become_expressions(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL);
    const char *const names[] = {"x", "y", "z"};
    ad_var v[3] = {ad_input(t, 2), ad_input(t, 3), ad_input(t, 4)};
    ad_constant_array(t, AD_F64, 1, (const int64_t[]){2}, (const double[]){1, 2});
    ad_var h = ad_sigmoid(ad_add(ad_mul(v[0], ad_constant(.5)), v[1]));
    assert_true(ad_lt(v[0], v[1]));
    ad_var y = ad_add(ad_square(h), ad_where(h, ad_exp(h), ad_constant(1)));
    ad_expression *e = ad_expression_of(y, 3, v, names);
    assert_non_null(e);
    char *text = text_of(e);
    assert_string_equal(text, "t1 = sigmoid(x*0.5 + y); t1^2 + where(t1, exp(t1), 1)");
    assert_int_equal(ad_expression_name_count(e), 2);
    free(text);
    ad_expression_free(e);
    ad_var named[3] = {v[1], h, v[0]}; /* any node can have a name */
    e = ad_expression_of(y, 3, named, names);
    text = text_of(e);
    assert_string_equal(text, "y^2 + where(y, exp(y), 1)");
    free(text);
    ad_expression_free(e);
    e = ad_expression_of(ad_constant(-.5), 0, NULL, NULL);
    text = text_of(e);
    assert_string_equal(text, "-0.5");
    free(text);
    ad_expression_free(e);
    ad_tape_free(t);
}

static void tapes_without_a_text_are_refused(void **state)
{
    (void)state;
    ad_tape *t = ad_tape_new(NULL), *other = ad_tape_new(NULL);
    ad_var v[2] = {ad_input(t, 2), ad_input(t, 3)}, y = ad_mul(v[0], v[1]);
    ad_var m = ad_input_array(t, AD_F64, 1, (const int64_t[]){2}, (const double[]){1, 2});
    const char *const names[] = {"x", "y"};
    assert_null(ad_expression_of((ad_var){0}, 2, v, names));
    assert_null(ad_expression_of(y, -1, v, names));
    assert_null(ad_expression_of(y, 2, NULL, names));
    assert_null(ad_expression_of(y, 2, v, NULL));
    assert_null(ad_expression_of(y, 1, v, names)); /* y has no name */
    assert_null(ad_expression_of(y, 2, v, (const char *const[]){"x", "x"}));
    assert_null(ad_expression_of(y, 2, v, (const char *const[]){"x", "sin"}));
    assert_null(ad_expression_of(y, 2, v, (const char *const[]){"x", "2"}));
    assert_null(ad_expression_of(y, 2, v, (const char *const[]){"x", NULL}));
    assert_null(ad_expression_of(y, 2, (ad_var[]){v[0], ad_input(other, 1)}, names));
    assert_null(ad_expression_of(m, 2, v, names));
    assert_null(ad_expression_of(ad_mul(v[0], ad_sum(m)), 2, v, names));
    assert_null(ad_expression_of(ad_add(y, ad_constant(INFINITY)), 2, v, names));
    assert_null(ad_expression_of(ad_constant(NAN), 2, v, names));
    ad_tape_free(t);
    ad_tape_free(other);
}

/* ---- derivatives as texts ---- */

static const char *const derivatives[][3] = {
    {"x1*x2 + sin(x1)", "x1", "x2 + cos(x1)"},
    {"x1*x2 + sin(x1)", "x2", "x1"},
    {"(h - y)^2/2", "h", "h - y"},
    {"(h - y)^2/2", "y", "y - h"},
    {"a*x^2 + b*x + c", "x", "2*a*x + b"},
    {"x^3", "x", "3*x^2"},
    {"x^3 + x", "x", "3*x^2 + 1"},
    {"x*x*x", "x", "3*x^2"},
    {"(-x)^4", "x", "4*x^3"},
    {"x^n", "x", "n*x^(n - 1)"},
    {"a^x", "x", "a^x*log(a)"},
    {"2^x", "x", "2^x*log(2)"},
    {"e^x", "x", "e^x"},
    {"e^e", "e", "e*e^(e - 1) + e^e*log(e)"},
    {"n = 3; x^n", "x", "3*x^2"},
    {"x^1.3", "x", "1.3*x^0.3"},
    {"0.1*x^3", "x", "0.3*x^2"},
    {"x^2/3", "x", "2*x/3"},
    {"x/3", "x", "1/3"},
    {"1/x", "x", "-1/x^2"},
    {"1/(x*y)", "x", "-1/(x^2*y)"},
    {"sin(x)/x", "x", "cos(x)/x - sin(x)/x^2"},
    {"x^2*sin(x)", "x", "2*x*sin(x) + x^2*cos(x)"},
    {"sqrt(x)", "x", "1/(2*sqrt(x))"},
    {"cbrt(x)", "x", "1/(3*cbrt(x)^2)"},
    {"rsqrt(x)", "x", "-1/(2*x*sqrt(x))"},
    {"exp(-x^2)", "x", "-2*x*exp(-x^2)"},
    {"exp(-(x/s)^2/2)", "x", "-x*exp(-(x/s)^2/2)/s^2"},
    {"ln(x)", "x", "1/x"},
    {"log(x^2)", "x", "2/x"},
    {"log10(x)", "x", "1/(x*log(10))"},
    {"log(1 + exp(x))", "x", "exp(x)/(1 + exp(x))"},
    {"tan(x)", "x", "1 + tan(x)^2"},
    {"asin(x)", "x", "1/sqrt(1 - x^2)"},
    {"acos(x)", "x", "-1/sqrt(1 - x^2)"},
    {"atan(x)", "x", "1/(1 + x^2)"},
    {"asinh(x)", "x", "1/sqrt(1 + x^2)"},
    {"acosh(x)", "x", "1/sqrt(x^2 - 1)"},
    {"atanh(x)", "x", "1/(1 - x^2)"},
    {"atan2(y, x)", "x", "-y/(y^2 + x^2)"},
    {"hypot(x, y)", "x", "x/hypot(x, y)"},
    {"tanh(x)", "x", "sech2(x)"},
    {"relu(w*x)", "w", "x*(w*x > 0)"},
    {"softplus(x)", "x", "sigmoid(x)"},
    {"sigmoid(x)", "x", "sigmoid(x)*(1 - sigmoid(x))"},
    {"sigmoid(w*x + b)", "w", "t1 = sigmoid(w*x + b); x*t1*(1 - t1)"},
    {"sigmoid(t1*x + b)", "b", "t2 = sigmoid(t1*x + b); t2*(1 - t2)"},
    {"h = sigmoid(w*x + b); (h - y)^2/2", "b", "h = sigmoid(w*x + b); h*(h - y)*(1 - h)"},
    {"h = x^2; h*exp(h)", "y", "0"},
    {"h = x^2; sin(h)", "h", "0"},
    {"(y - (w*x + b))^2/2", "w", "-x*(y - w*x - b)"},
    {"bce_logits(w*x + b, y)", "b", "sigmoid(w*x + b) - y"},
    {"where(x > 0, x^2, sin(x))", "x", "where(x > 0, 2*x, cos(x))"},
    {"where(x > 0, x*log(x), 0)", "x", "where(x > 0, log(x) + 1, 0)"},
    {"where(x > 0, -3, y)", "x", "0"},
    {"clamp(x, a, b)", "x", "where((x < a) + (x > b), 0, 1)"},
    {"floor(x)*x", "x", "floor(x)"},
    {"2*x + x", "x", "3"},
    {"x - x", "x", "0"},
    {"cos(-x)", "x", "sin(-x)"},
    {"(2*x + 1)^2", "x", "4*(2*x + 1)"},
    {"1/(1 + x^2)", "x", "-2*x/(1 + x^2)^2"},
    {"x", "x", "1"},
    {"y", "x", "0"},
    {"3", "x", "0"},
    {"h = sum(y); x^2", "x", "2*x"},
};

static ad_expression *derived(const ad_expression *e, const char *name)
{
    ad_parse_error error;
    ad_expression *d = ad_expression_derivative(e, name, &error);
    if (!d)
        fail_msg("d/d%s: column %d: %s", name, error.column, error.text);
    return d;
}

static void derivatives_look_as_in_a_textbook(void **state)
{
    (void)state;
    begin_test();
    for (size_t i = 0; i < sizeof derivatives / sizeof *derivatives; i++) {
        ad_expression *e = parsed(derivatives[i][0]), *d = derived(e, derivatives[i][1]);
        char *text = text_of(d);
        if (strcmp(text, derivatives[i][2]) != 0)
            report("d/d%s %s: got %s, want %s", derivatives[i][1], derivatives[i][0], text,
                   derivatives[i][2]);
        ad_expression *again = parsed(text);
        expect_read_back(again, text);
        ad_expression_free(again);
        free(text);
        ad_expression_free(e);
        ad_expression_free(d);
    }
    end_test();
}

static void structured_operations_have_no_symbolic_derivative(void **state)
{
    (void)state;
    ad_parse_error error;
    ad_expression *e = parsed("(x^2 +\n 3*sum(x*y))");
    assert_null(ad_expression_derivative(e, "x", &error));
    assert_string_equal(error.text, "symbolic derivatives are for elementwise operations on "
                                    "scalars; sum is not one");
    assert_int_equal(error.at, 10);
    assert_int_equal(error.length, 8);
    assert_int_equal(error.line, 2);
    assert_int_equal(error.column, 4);
    assert_null(ad_expression_derivative(e, "x", NULL));
    ad_expression_free(e);
    e = parsed("x*[1, 2]");
    assert_null(ad_expression_derivative(e, "x", &error));
    assert_non_null(strstr(error.text, "an array is not one"));
    assert_null(ad_expression_derivative(e, NULL, &error));
    assert_string_equal(error.text, "the name is NULL");
    assert_null(ad_expression_derivative(NULL, "x", &error));
    assert_string_equal(error.text, "the expression is NULL");
    ad_expression_free(e);
}

/* ---- derivatives as numbers ---- */

enum { NAMES = 3 };
static const char *const name_of[NAMES] = {"x", "y", "z"};

static ad_env *environment(ad_tape *t, const double *at, ad_var *v)
{
    ad_env *env = ad_env_new(t);
    assert_non_null(env);
    for (int k = 0; k < NAMES; k++) {
        v[k] = ad_input(t, at[k]);
        assert_int_equal(ad_env_set(env, name_of[k], v[k]), AD_OK);
    }
    return env;
}

static double value_at(const char *text, const double *at)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var v[NAMES];
    ad_env *env = environment(t, at, v);
    const double y = ad_value(ad_eval(env, text));
    if (ad_tape_status(t))
        report("\"%s\": %s", text, ad_tape_error(t));
    ad_env_free(env);
    ad_tape_free(t);
    return y;
}

static double gradient_at(const ad_expression *e, const double *at, int k)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var v[NAMES];
    ad_env *env = environment(t, at, v);
    ad_var y = ad_record_expression(env, e, NULL);
    const double g = ad_backward(y) ? 0 : ad_grad(v[k]), one = 1, *seed = &one;
    double tangent = g, *out = &tangent;
    if (ad_var_node(y) >= 0 && !ad_jvp(1, &v[k], &seed, 1, &y, &out, 1) && isfinite(g) &&
        !(fabs(tangent - g) <= 1e-9 * (1 + fabs(g))))
        report("by %s: duals give %.17g, the reverse sweep %.17g", name_of[k], tangent, g);
    ad_env_free(env);
    ad_tape_free(t);
    return g;
}

/* The derivative by each name is what the reverse sweep gives; and its own, too, `more` times. */
static void expect_gradient(const ad_expression *e, const double *at, int more)
{
    for (int k = 0; k < NAMES; k++) {
        ad_expression *d = derived(e, name_of[k]);
        char *text = text_of(d);
        const double got = value_at(text, at), want = gradient_at(e, at, k);
        if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))) && isfinite(want)) {
            char *of = text_of(e);
            report("d/d%s %.300s = %.400s at %.17g, %.17g, %.17g: got %.17g, want %.17g",
                   name_of[k], of, text, at[0], at[1], at[2], got, want);
            free(of);
        }
        if (more)
            expect_gradient(d, at, more - 1);
        free(text);
        ad_expression_free(d);
    }
}

static void derivatives_of_all_rows_are_right(void **state)
{
    (void)state;
    begin_test();
    uint64_t random = 7;
    for (int op = 0; op < AD_OP_COUNT_; op++) {
        const ad_op_info *row = ad_op_at(op);
        ad_expression *e = expr_new();
        int64_t arguments[3];
        for (int k = 0; k < row->arity; k++)
            arguments[k] = row->low[k] == row->high[k] ? expr_number(e, row->low[k])
                                                       : expr_leaf(e, expr_name(e, name_of[k], 1));
        for (int k = 0; k < e->n_names; k++)
            e->free[k] = true;
        e->result = expr_call(e, op, row->arity, arguments);
        for (int point = 0; point < 8; point++) {
            double at[3] = {0};
            do
                for (int k = 0; k < row->arity; k++)
                    at[k] = row->low[k] == row->high[k]
                                ? row->low[k]
                                : random_between(&random, row->low[k], row->high[k]);
            while (elementwise_distance(op, at) < 1e-3);
            expect_gradient(e, at, 1);
        }
        ad_expression_free(e);
    }
    end_test();
}

/* Of a pool that grows: each operation with its arguments brought into the interval of its row. */
static int64_t within(ad_expression *e, int64_t a, double low, double high)
{
    if (low == high)
        return expr_number(e, low);
    const int64_t unit = expr_call(e, AD_OP_sigmoid, 1, &a);
    const int64_t wide = expr_call(e, AD_OP_mul, 2, (int64_t[]){expr_number(e, high - low), unit});
    return expr_call(e, AD_OP_add, 2, (int64_t[]){wide, expr_number(e, low)});
}

static int64_t random_composition(uint64_t *random, ad_expression *e)
{
    int64_t found[16], n = 0;
    for (int k = 0; k < NAMES; k++) {
        found[n++] = expr_leaf(e, expr_name(e, name_of[k], 1));
        e->free[k] = true;
    }
    while (n < 9) {
        const int plain = random_below(random, 3), op = plain ? random_below(random, AD_OP_neg + 1)
                                                              : random_below(random, AD_OP_COUNT_);
        const ad_op_info *row = ad_op_at(op);
        const bool bounded = !plain || op == AD_OP_div || op == AD_OP_divz || op == AD_OP_mulz;
        int64_t a[3];
        for (int k = 0; k < row->arity; k++) {
            const int64_t one = found[random_below(random, (int)n)];
            a[k] = bounded ? within(e, one, row->low[k], row->high[k]) : one;
        }
        found[n++] = expr_call(e, op, row->arity, a);
    }
    return found[n - 1];
}

static void derivatives_of_random_compositions_are_right(void **state)
{
    (void)state;
    begin_test();
    for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
        uint64_t random = seed;
        const int before = failures;
        double at[NAMES];
        ad_expression *e = expr_new();
        e->result = random_composition(&random, e);
        for (int k = 0; k < NAMES; k++)
            at[k] = random_between(&random, -2, 2);
        expect_gradient(e, at, seed % 8 == 0);
        if (failures > before)
            report("seed %" PRIu64, seed);
        ad_expression_free(e);
    }
    end_test();
}

/* ---- large ones ---- */

static void expect_large(ad_expression *e, const char *name, const char *derivative)
{
    char *text = text_of(e);
    ad_expression *again = parsed(text), *d = derived(e, name);
    char *of_again = text_of(again), *of_derivative = text_of(d);
    assert_string_equal(text, of_again);
    if (derivative)
        assert_string_equal(of_derivative, derivative);
    ad_expression *read = parsed(of_derivative);
    free(text);
    free(of_again);
    free(of_derivative);
    ad_expression_free(e);
    ad_expression_free(again);
    ad_expression_free(d);
    ad_expression_free(read);
}

static ad_expression *one_name(void)
{
    ad_expression *e = expr_new();
    expr_leaf(e, expr_name(e, "x", 1));
    e->free[0] = true;
    return e;
}

/* x + x + ..., x + (x + ...) and the same of products */
static void long_chains_are_no_trouble(void **state)
{
    (void)state;
    static const char *const wanted[2] = {"100001", "100001*x^100000"};
    for (int kind = 0; kind < 4; kind++) {
        ad_expression *e = one_name();
        for (int64_t i = 0; i < LARGE; i++) {
            const int64_t leaf = expr_leaf(e, 0);
            e->result =
                expr_call(e, kind < 2 ? AD_OP_add : AD_OP_mul, 2,
                          kind % 2 ? (int64_t[]){leaf, e->result} : (int64_t[]){e->result, leaf});
        }
        expect_large(e, "x", wanted[kind / 2]);
    }
}

/* sin(sin(... x)): nested deeper than the parser goes, and shared by its own derivative. */
static void deep_nests_are_no_trouble(void **state)
{
    (void)state;
    ad_expression *e = one_name();
    for (int64_t i = 0; i < LARGE; i++)
        e->result = expr_call(e, AD_OP_sin, 1, &e->result);
    expect_large(e, "x", NULL);
    e = one_name(); /* each node used twice: 2^100000 paths */
    for (int64_t i = 0; i < LARGE; i++)
        e->result =
            expr_call(e, i % 2 ? AD_OP_mul : AD_OP_atan2, 2, (int64_t[]){e->result, e->result});
    expect_large(e, "x", NULL);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(texts_come_out_as_these),
        cmocka_unit_test(text_keeps_to_its_room),
        cmocka_unit_test(random_programs_read_back),
        cmocka_unit_test(every_function_reads_back),
        cmocka_unit_test(tapes_become_expressions),
        cmocka_unit_test(tapes_without_a_text_are_refused),
        cmocka_unit_test(derivatives_look_as_in_a_textbook),
        cmocka_unit_test(structured_operations_have_no_symbolic_derivative),
        cmocka_unit_test(derivatives_of_all_rows_are_right),
        cmocka_unit_test(derivatives_of_random_compositions_are_right),
        cmocka_unit_test(long_chains_are_no_trouble),
        cmocka_unit_test(deep_nests_are_no_trouble),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
