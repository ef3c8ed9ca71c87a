/* gen_ops.c - reads ops.def where the preprocessor cannot reach: writes the header of operations,
 * the header of short names, the table of the documentation, and the operations as JavaScript
 *
 * A macro cannot define a macro, so the generic layer (numbers for variables, source sites,
 * left-to-right recording) is printed by this program at build time. */
#include <stdio.h>
#include <string.h>

struct row {
    const char *name;
    int arity;
    const char *value, *partial[3], *doc;
};

#define K(x)                              x
#define F(f)                              f
#define S(f)                              ad_special_##f
#define V(f)                              ad_value_##f##_
#define op(f, ...)                        f(__VA_ARGS__)
#define TEXT_(...)                        #__VA_ARGS__
#define TEXT(...)                         TEXT_(__VA_ARGS__)
#define OP1(name, ia, val, da, kink, doc) {TEXT_(name), 1, TEXT(val), {TEXT(da), "", ""}, doc},
#define OP2(name, ia, ib, val, da, db, kink, doc)                                                  \
    {TEXT_(name), 2, TEXT(val), {TEXT(da), TEXT(db), ""}, doc},
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    {TEXT_(name), 3, TEXT(val), {TEXT(da), TEXT(db), TEXT(dc)}, doc},
static const struct row rows[] = {
#include "ops.def"
};
#undef op

/* The same in JavaScript: `lib` has the functions of C's library and of special.h, by their names.
 */
#undef F
#undef S
#undef V
#undef OP1
#undef OP2
#undef OP3
#define F(f)                              lib.f
#define S(f)                              lib.f
#define V(f)                              ops.f.value
#define op(f, ...)                        ops.f.value(__VA_ARGS__)
#define NO                                0
#define OP1(name, ia, val, da, kink, doc) {TEXT_(name), 1, TEXT(val), {TEXT(da), "", ""}, doc},
#define OP2(name, ia, ib, val, da, db, kink, doc)                                                  \
    {TEXT_(name), 2, TEXT(val), {TEXT(da), TEXT(db), ""}, doc},
#define OP3(name, ia, ib, ic, val, da, db, dc, kink, doc)                                          \
    {TEXT_(name), 3, TEXT(val), {TEXT(da), TEXT(db), TEXT(dc)}, doc},
static const struct row javascript_rows[] = {
#include "ops.def"
};
#undef op
#undef NO

#define BLOCK(name, arguments, doc) {TEXT_(name), arguments, doc},
static const struct {
    const char *name, *arguments, *doc;
} blocks[] = {
#include "blocks.def"
};

/* functions of ad.h that record: the macro over them adds the source site to what they return */
static const char *const sited[] = {
    /* clang-format off */
    "sum", "mean", "prod", "amax", "amin", "norm", "logsumexp", "var_of", "std", "sum_axes",
    "mean_axes", "prod_axes", "amax_axes", "amin_axes", "norm_axes", "logsumexp_axes", "var_axes",
    "std_axes", "argmax", "argmin", "cumsum", "cumprod", "sum_n", "prod_n",
    "dot_n", "dot_add_n", "affine_n", "norm_n", "polynomial_n", "horner_n", "reshape", "permute",
    "transpose", "expand", "slice", "flip", "repeat", "concat", "stack", "pad", "tril", "triu",
    "diag", "trace", "at", "windows", "cast", "softmax", "log_softmax", "maxout", "stop_gradient",
    "input_array", "constant_array", "input_tensor", "constant_tensor", "bind", "use", "call", "apply",
    "random_uniform", "random_normal", "random_bernoulli", "random_permutation", "fail",
    /* clang-format on */
};
/* those with several variables among their arguments, which are evaluated from left to right */
static const struct {
    const char *name;
    int arguments;
} ordered[] = {{"matmul", 2}, {"dot", 2},    {"outer", 2},      {"softmax_cross_entropy", 2},
               {"take", 3},   {"gather", 3}, {"scatter_add", 4}};
static const char *const guards[] = {"lt", "le", "gt", "ge", "eq", "ne"};
enum {
    N_ROWS = sizeof rows / sizeof *rows,
    N_SITED = sizeof sited / sizeof *sited,
    N_ORDERED = sizeof ordered / sizeof *ordered
};

static void print_functions(void)
{
    puts("enum ad_opcode_ {");
    for (int i = 0; i < N_ROWS; i++)
        printf("    AD_OP_%s,\n", rows[i].name);
    puts("    AD_OP_COUNT_\n};\n");
    puts("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    for (int i = 0; i < N_ROWS; i++) {
        static const char *const list[] = {"", "ad_var a", "ad_var a, ad_var b",
                                           "ad_var a, ad_var b, ad_var c"};
        printf("/* %s */\nAD_API ad_var ad_%s(%s);\n", rows[i].doc, rows[i].name,
               list[rows[i].arity]);
    }
    puts("\n#ifdef __cplusplus\n}\n#endif\n");
    for (int i = 0; i < N_ROWS; i++) {
        static const char *const numbers[] = {"", "double a", "double a, double b",
                                              "double a, double b, double c"};
        static const char *const list[] = {"", "ad_var a", "ad_var a, ad_var b",
                                           "ad_var a, ad_var b, ad_var c"};
        static const char *const values[] = {"", "ad_number_(t, a)",
                                             "ad_number_(t, a), ad_number_(t, b)"};
        const struct row *r = &rows[i];
        printf("static inline double ad_value_%s_(%s)\n{\n    return %s;\n}\n", r->name,
               numbers[r->arity], r->value);
        printf("static inline ad_var ad_%s_at_(%s, const char *site)\n{\n", r->name,
               list[r->arity]);
        if (r->arity < 3) {
            puts("    ad_head_ *t = (ad_head_ *)(void *)a.tape;");
            printf("    if (AD_LIKELY_(ad_hot%d_(t, a%s)))\n", r->arity,
                   r->arity == 2 ? ", b" : "");
            printf(
                "        return ad_push_(t, AD_OP_%s, (uint32_t)a.u.bits, (uint32_t)%s.u.bits,\n",
                r->name, r->arity == 2 ? "b" : "a");
            printf("                        ad_value_%s_(%s), site);\n", r->name, values[r->arity]);
        }
        if (r->arity == 2) {
            printf("    ad_head_ *u = (ad_head_ *)(void *)b.tape;\n");
            printf("    if (ad_is_number_(a) && ad_hot_beside_number_(u, b)) {\n        uint32_t k "
                   "= ad_hold_(u, a, site);\n");
            printf("        return ad_push_(u, AD_OP_%s, k, (uint32_t)b.u.bits, "
                   "ad_value_%s_(a.u.constant, ad_number_(u, b)), site);\n    }\n",
                   r->name, r->name);
            printf("    if (ad_is_number_(b) && ad_hot_beside_number_(t, a)) {\n        uint32_t k "
                   "= ad_hold_(t, b, site);\n");
            printf("        return ad_push_(t, AD_OP_%s, (uint32_t)a.u.bits, k, "
                   "ad_value_%s_(ad_number_(t, a), b.u.constant), site);\n    }\n",
                   r->name, r->name);
        }
        static const char *const arguments[] = {"", "a", "a, b", "a, b, c"};
        printf("    return ad_record%d_(AD_OP_%s, %s, site);\n}\n", r->arity, r->name,
               arguments[r->arity]);
    }
}

/* C++: bit k of `numbers` says that argument k is a number */
static void print_overload(const struct row *r, unsigned numbers)
{
    printf("inline ad_var ad_%s(", r->name);
    for (int k = 0; k < r->arity; k++)
        printf("%s%s %c", k ? ", " : "", numbers >> k & 1 ? "double" : "ad_var", 'a' + k);
    printf(") { return ad_%s(", r->name);
    for (int k = 0; k < r->arity; k++)
        printf(numbers >> k & 1 ? "%sad_constant(%c)" : "%s%c", k ? ", " : "", 'a' + k);
    puts("); }");
}

static void print_header(void)
{
    puts("/* ad_ops.h - made from ops.def by gen_ops.c: one function for each elementwise "
         "operation; include ad.h */");
    puts("#ifndef TAPEGRAD_AD_OPS_H\n#define TAPEGRAD_AD_OPS_H\n#include \"ad_record.h\"\n");
    print_functions();
    puts("#if defined(__cplusplus)\n");
    for (int i = 0; i < N_ROWS; i++)
        for (unsigned numbers = 1; numbers < 1u << rows[i].arity; numbers++)
            print_overload(&rows[i], numbers);
    for (unsigned i = 0; i < sizeof guards / sizeof *guards; i++) {
        printf("inline bool ad_%s(double a, ad_var b) { return ad_%s(ad_constant(a), b); }\n",
               guards[i], guards[i]);
        printf("inline bool ad_%s(ad_var a, double b) { return ad_%s(a, ad_constant(b)); }\n",
               guards[i], guards[i]);
    }
    puts("\n#elif !defined(AD_PLAIN) && (defined(__GNUC__) || defined(__clang__))\n");
    for (int i = 0; i < N_ROWS; i++)
        printf("#define ad_%s(...) AD_CALL%d_(ad_%s_at_, __COUNTER__, __VA_ARGS__)\n", rows[i].name,
               rows[i].arity, rows[i].name);
    for (int i = 0; i < N_ORDERED; i++)
        printf("#define ad_%s(...) AD_ORDERED%d_(ad_%s, __COUNTER__, __VA_ARGS__)\n",
               ordered[i].name, ordered[i].arguments, ordered[i].name);
    puts("#ifndef AD_NO_SITES");
    for (int i = 0; i < N_SITED; i++)
        printf("#define ad_%s(...) AD_SITED_(ad_%s(__VA_ARGS__))\n", sited[i], sited[i]);
    puts("#endif");
    puts("#define ad_value(...) ad_value_at_(__VA_ARGS__)\n#define ad_grad(...) "
         "ad_grad_at_(__VA_ARGS__)");
    puts("#define ad_input(t, ...) ad_input_at_(t, __VA_ARGS__, AD_SITE_)");
    puts("#define ad_input_n(...) ad_record_inputs_(__VA_ARGS__, AD_SITE_)");
    for (unsigned i = 0; i < sizeof guards / sizeof *guards; i++)
        printf("#define ad_%s(...) AD_CALL2_(ad_guard_%s_, __COUNTER__, __VA_ARGS__)\n", guards[i],
               guards[i]);
    puts("#endif\n#endif");
}

static void print_short(void)
{
    puts("/* short.h - the operations under short names: include after ad.h, in a file of "
         "expression code only */");
    puts("#ifndef TAPEGRAD_SHORT_H\n#define TAPEGRAD_SHORT_H\n#include \"ad.h\"");
    puts("/* the C library's names must be known before they are covered; <complex.h> and "
         "<tgmath.h> do not go with this */");
    puts("#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>");
    for (int i = 0; i < N_ROWS; i++)
        printf("#undef %s\n#define %s(...) ad_%s(__VA_ARGS__)\n", rows[i].name, rows[i].name,
               rows[i].name);
    for (int i = 0; i < N_ORDERED; i++)
        printf("#undef %s\n#define %s(...) ad_%s(__VA_ARGS__)\n", ordered[i].name, ordered[i].name,
               ordered[i].name);
    for (int i = 0; i < N_SITED; i++)
        if (strcmp(sited[i], "call") != 0 && strcmp(sited[i], "apply") != 0 &&
            strcmp(sited[i], "use") != 0 && strcmp(sited[i], "at") != 0 &&
            strcmp(sited[i], "bind") != 0 && strcmp(sited[i], "fail") != 0)
            printf("#undef %s\n#define %s(...) ad_%s(__VA_ARGS__)\n", sited[i], sited[i], sited[i]);
    puts("#undef input\n#define input(...) ad_input(__VA_ARGS__)\n#endif");
}

static void print_markdown(void)
{
    puts("# Operations\n\nMade from `autograd/ops.def` and `autograd/blocks.def` by "
         "`autograd/gen_ops.c`; do not edit.\n");
    puts("## Elementwise\n\nOn scalars and tensors alike, with broadcasting. `g` is the cotangent "
         "of the result `y`; `mulz` and");
    puts(
        "`divz` are product and quotient with an absorbing zero; `NO` means that nothing flows.\n");
    puts("| function | meaning | value | cotangents of the arguments |\n|---|---|---|---|");
    for (int i = 0; i < N_ROWS; i++) {
        const struct row *r = &rows[i];
        static const char *const arguments[] = {"", "a", "a, b", "a, b, c"};
        char doc[256], *d = doc;
        for (const char *p = r->doc; *p && d < doc + sizeof doc - 2; p++) {
            if (*p == '|')
                *d++ = '\\';
            *d++ = *p;
        }
        *d = 0;
        printf("| `ad_%s(%s)` | %s | `%s` |", r->name, arguments[r->arity], doc, r->value);
        for (int k = 0; k < r->arity; k++)
            printf("%s `%s`", k ? "<br>" : "", r->partial[k]);
        puts(" |");
    }
    puts("\n## Structured\n\n| function | meaning |\n|---|---|");
    for (unsigned i = 0; i < sizeof blocks / sizeof *blocks; i++)
        printf(*blocks[i].arguments ? "| `ad_%s(%s)` | %s |\n" : "| %s%s | %s |\n", blocks[i].name,
               blocks[i].arguments, blocks[i].doc);
}

/* Every row stands on a line of its own, so that who needs a few can pick them. */
static void print_javascript(void)
{
    static const char *const arguments[] = {"", "a", "a, b", "a, b, c"};
    puts("// ops.js - made from ops.def by gen_ops.c: each row's value, and the cotangents of its "
         "arguments given that of y");
    puts("const ops = {};");
    for (int i = 0; i < N_ROWS; i++) {
        const struct row *r = &javascript_rows[i];
        printf("ops.%s = {value: (%s) => %s, cotangents: [", r->name, arguments[r->arity],
               r->value);
        for (int k = 0; k < r->arity; k++)
            printf("%s(g, y, %s) => %s", k ? ", " : "", arguments[r->arity], r->partial[k]);
        puts("]};");
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "header";
    if (!strcmp(what, "header"))
        print_header();
    else if (!strcmp(what, "short"))
        print_short();
    else if (!strcmp(what, "markdown"))
        print_markdown();
    else if (!strcmp(what, "javascript"))
        print_javascript();
    else
        return 1;
    return 0;
}
