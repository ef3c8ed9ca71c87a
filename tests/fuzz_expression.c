/* fuzz_expression.c - bytes as text of the expression language: what it cannot read is an error
 * with a place in the text, what it can read is recorded and swept backward; nothing may crash,
 * leak, hang or be undefined
 *
 * As a test this runs over mutations of texts that are right, and of some that are not;
 * `fuzz_expression FILE...` runs files. With libFuzzer:
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
 * ...
 */
#define AD_PLAIN
#include "ad.h"
#include "fuzzing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET = 1 << 19, LARGEST = 64 };

static void check(bool good, const char *what, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_expression: %s: %s\n", what, text);
    abort();
}

/* ---- an allocator with a budget: what a text asks for may be huge ---- */

static void *take(void *user, size_t bytes)
{
    size_t *used = user;
    void *p = bytes > BUDGET || *used + bytes > BUDGET ? NULL : malloc(bytes ? bytes : 1);
    *used += p ? bytes : 0;
    return p;
}

static void give(void *user, void *p, size_t bytes)
{
    size_t *used = user;
    *used -= p ? bytes : 0;
    free(p);
}

/* ---- what is wrong has a place ---- */

static void check_error(const char *text, const ad_parse_error *error)
{
    const int64_t size = (int64_t)strlen(text);
    int line = 1, column = 1;
    check(error->text[0] != 0, "an error without a text", text);
    check(memchr(error->text, 0, sizeof error->text) != NULL, "a text without an end", text);
    check(error->at >= 0 && error->length >= 0 && error->at + error->length <= size,
          "an error beyond the text", text);
    for (int64_t i = 0; i < error->at; i++) {
        line += text[i] == '\n';
        column = text[i] == '\n' ? 1 : column + ((text[i] & 0xC0) != 0x80);
    }
    check(line == error->line && column == error->column, "line and column of another place", text);
}

/* ---- what is right has nodes ---- */

static bool within(const ad_expression *e, int64_t i, const ad_expression_node *n, int64_t size)
{
    bool good = n->at >= 0 && n->length > 0 && n->at + n->length <= size;
    for (int k = 0; k < n->n_children; k++) {
        const int64_t child = ad_expression_child(e, i, k);
        good = good && child >= 0 && child < i;
    }
    return good && ad_expression_child(e, i, n->n_children) == -1 && !isnan(n->number);
}

/* A view of a number, expanded, takes no memory, but time. */
static double expanded(const ad_expression *e, int64_t i, const ad_expression_node *n)
{
    double size = 1;
    for (int k = 1; k < n->n_children && strcmp(n->name, "expand") == 0; k++) {
        ad_expression_node axis = {0};
        ad_expression_node_at(e, ad_expression_child(e, i, k), &axis);
        size *= fabs(axis.number);
    }
    return size;
}

static bool check_nodes(const char *text, const ad_expression *e)
{
    const int64_t count = ad_expression_node_count(e);
    bool quick = true;
    check(ad_expression_result(e) >= 0 && ad_expression_result(e) < count, "no result", text);
    for (int64_t i = 0; i < count; i++) {
        ad_expression_node n;
        check(ad_expression_node_at(e, i, &n) == AD_OK, "no node", text);
        check(within(e, i, &n, (int64_t)strlen(text)), "a node that cannot be", text);
        quick = quick && expanded(e, i, &n) <= LARGEST * LARGEST;
    }
    return quick;
}

/* ---- recording ---- */

static void set_names(ad_env *env, ad_tape *t)
{
    static const double numbers[9] = {1, -2, 3, .5, 0, -.25, 7, 2, -1.5};
    static const int64_t shape[2] = {3, 3};
    ad_env_set(env, "x", ad_input(t, .75));
    ad_env_set(env, "y", ad_input(t, -2));
    ad_env_set(env, "x1", ad_input(t, 0));
    ad_env_set(env, "a", ad_constant(3));
    ad_env_set(env, "\xce\xb1\xce\xb2", ad_constant(-.5));
    ad_env_set(env, "v", ad_input_array(t, AD_F64, 1, shape, numbers));
    ad_env_set(env, "M", ad_input_array(t, AD_F64, 2, shape, numbers));
}

static ad_status record(const char *text, const ad_expression *e, const ad_context *context)
{
    ad_tape *t = ad_tape_new(context);
    ad_env *env = ad_env_new(t);
    ad_status status = AD_NO_MEMORY;
    int64_t *nodes = malloc((size_t)ad_expression_node_count(e) * sizeof *nodes);
    if (env && nodes) {
        set_names(env, t);
        ad_var y = ad_record_expression(env, e, nodes);
        for (int64_t i = 0; i < ad_expression_node_count(e); i++)
            check(nodes[i] >= -1 && nodes[i] < ad_node_count(t), "a node beyond the tape", text);
        if (ad_var_node(y) >= 0 && ad_dtype_of(y) == AD_F64)
            ad_vjp(1, &y, NULL);
        status = ad_tape_status(t);
        check((status == AD_OK) == (ad_tape_error(t)[0] == 0),
              "an error without a text, or a text without one", text);
    }
    free(nodes);
    ad_env_free(env);
    ad_tape_free(t);
    return status;
}

/* Is it an expression that can be recorded? */
static bool run(const char *text)
{
    size_t used = 0;
    ad_status status = AD_OK;
    ad_parse_error error;
    ad_expression *e = ad_parse(text, &error);
    if (!e) {
        check_error(text, &error);
        return false;
    }
    check(error.text[0] == 0, "an error of what was read", text);
    const bool quick = check_nodes(text, e);
    ad_allocator a = {.allocate = take, .release = give, .user = &used};
    ad_context *context = ad_context_new(&(ad_context_config){.allocator = &a});
    if (quick)
        status = record(text, e, context);
    ad_context_free(context);
    ad_expression_free(e);
    check(used == 0, "memory was not given back", text);
    return status == AD_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    run(text);
    free(text);
    return 0;
}

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

enum { MUTATIONS = 150000, LONGEST = 200 };

static const char *const texts[] = {
    "x*y + sin(x)",
    "h = sigmoid(3*x + y); (h - 1)^2/2",
    "-x^2 + 2^-y^x1 - a/3*x",
    "where(x <= y, max(x, y), -1.5e-3)",
    "# a comment\na = 2 \n b = a*x\n\n b^2 + e^b - pi",
    "mean((relu(M@M + v)@v - [1, 2, 3])^2)",
    "sum(M, 0, 1) + norm(v) - dot(v, v)*logsumexp(M, -1)",
    "[x, y; 1, 0] @ [x; y]",
    "sum(softmax(M, 1)*log_softmax(M)) + sum(softmax_cross_entropy(M, [0, 1, 2]))",
    "at(M, 1, 2)*at(v, 0) + sum(take(v, [0, 0, 2])) + trace(tril(M, -1))",
    "sum(slice(M, 1, 0, 3, 2)) - sum(reshape(M, 9)) + sum(permute(M, 1, 0))",
    "sum(repeat(concat(v, v), 0, 3)) + prod(stack(x, y)) + std(v, 1) + var(v)",
    "sum(expand(v, 3, 3)*flip(M, 0)) + amax(cumsum(M, 0)) + amin(cumprod(v))",
    "x \xe2\x89\xa4 y \xc2\xb7 \xcf\x80 \xe2\x88\x92 \xce\xb1\xce\xb2",
    "(((x))) == ((y) != 2)*(x < 3)",
    "gather(M, [0, 1, 2; 0, 0, 1], 0) + sum(maxout(v, 0, 3)) + sum(diag(outer(v, v)))",
    "sinn(x) 2x x**2 [1, 2", /* the only one that is wrong */
};
static const char *const parts[] = {
    "(",        ")",
    "[",        "]",
    ",",        ";",
    "\n",       "-",
    "+",        "^",
    "*",        "/",
    "@",        "=",
    "<",        ">=",
    "!=",       "**",
    "#",        "1",
    "0",        "1e9",
    "1e309",    "1.5",
    "-1",       "x",
    "v",        "M",
    "pi",       "sum(",
    "at(",      " ",
    "e",        "sin(",
    "h=",       "h",
    "\xe2\x88", "\xe2\x88\x92",
};

static uint64_t next_random(uint64_t *state) /* Knuth's MMIX generator */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static size_t put(uint8_t *data, size_t size, size_t at, const void *what, size_t n)
{
    if (size + n > LONGEST)
        return size;
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, what, n);
    return size + n;
}

/* One to three changes: a byte, a part of the language put in, a run taken out, doubled, or moved.
 */
static size_t mutate(uint8_t *data, size_t size, uint64_t *state)
{
    uint8_t run_of[LONGEST];
    for (uint64_t changes = next_random(state) % 3 + 1; changes; changes--) {
        const size_t at = next_random(state) % (size + 1);
        const size_t length = next_random(state) % 8 + 1,
                     n = length < size - at ? length : size - at;
        const char *part = parts[next_random(state) % (sizeof parts / sizeof *parts)];
        memcpy(run_of, data + at, n);
        switch (next_random(state) % 8) {
        case 0:
            if (n)
                data[at] = (uint8_t)next_random(state);
            break;
        case 1:
        case 2:
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
            break;
        case 3:
            size = put(data, size, next_random(state) % (size + 1), run_of, n);
            break;
        default:
            size = put(data, size, at, part, strlen(part));
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    enum { TEXTS = sizeof texts / sizeof *texts };
    const int failed = run_files(argc, argv);
    uint64_t state = 1;
    for (int i = 0; i < TEXTS && argc == 1; i++)
        check(run(texts[i]) == (i < TEXTS - 1), "read otherwise than it is meant", texts[i]);
    for (int i = 0; i < MUTATIONS && argc == 1; i++) {
        uint8_t data[LONGEST];
        size_t size = strlen(texts[i % TEXTS]);
        memcpy(data, texts[i % TEXTS], size);
        size = mutate(data, size, &state);
        LLVMFuzzerTestOneInput(data, size);
    }
    return failed;
}

#endif
