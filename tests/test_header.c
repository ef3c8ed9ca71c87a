/* test_header.c - the public headers by themselves: every compiler at hand, C11 and C++17, without
 * a warning */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#define WARNINGS "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

typedef struct language {
    const char *compilers[2], *flags;
    bool here[2], looked;
} language;

static language c11 = {.compilers = {"gcc", "clang"}, .flags = "-x c -std=c11 -Wstrict-prototypes"},
                cpp17 = {.compilers = {"g++", "clang++"}, .flags = "-x c++ -std=c++17"};

static bool there_is(const char *compiler)
{
    char command[200];
    const bool cpp = strstr(compiler, "++") != NULL; /* which may lack its library */
    snprintf(command, sizeof command, "echo '#include <%s>' | %s -x %s -fsyntax-only - 2>/dev/null",
             cpp ? "cmath" : "math.h", compiler, cpp ? "c++" : "c");
    return system(command) == 0;
}

/* compiles the text with each set of flags, by the compilers at hand, both at once */
static void compiles(language *l, const char *text, const char *const *variants, int n)
{
    static char command[12000];
    for (int i = 0; i < 2 && !l->looked; i++)
        l->here[i] = there_is(l->compilers[i]);
    l->looked = true;
    for (int k = 0; k < n; k++) {
        int used = snprintf(command, sizeof command, "jobs=;");
        for (int i = 0; i < 2; i++)
            if (l->here[i])
                used +=
                    snprintf(command + used, sizeof command - (size_t)used,
                             "%s %s " WARNINGS
                             " %s -I'%s' -fsyntax-only - <<'END' &\n%s\nEND\njobs=\"$jobs $!\";",
                             l->compilers[i], l->flags, variants[k], TAPEGRAD_HEADERS, text);
        snprintf(command + used, sizeof command - (size_t)used,
                 "for job in $jobs; do wait $job || exit 1; done");
        if (system(command))
            fail_msg("%s %s does not compile:\n%.300s", l->flags, variants[k], text);
    }
}

static const char *const as_it_is[] = {""}, *const variants[] = {"", "-DAD_PLAIN", "-DAD_NO_SITES",
                                                                 "-DAD_PLAIN -DAD_NO_SITES"};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* what both languages have in common, plain functions included */
static const char common[] =
    "#include <tapegrad/ad.h>\n"
    "#include <tapegrad/ad.h>\n"
    "ad_var f(ad_var a, ad_var b);\n"
    "ad_var f(ad_var a, ad_var b)\n"
    "{\n"
    "    ad_var (*one)(ad_var) = ad_sin;\n"
    "    ad_var (*two)(ad_var, ad_var) = ad_matmul;\n"
    "    return ad_add(ad_add(ad_mul(a, ad_sin(b)), one(a)), two(a, (ad_exp)(ad_sum(b))));\n"
    "}\n";

static void ad_h_is_clean_in_c11(void **state)
{
    (void)state;
    compiles(&c11, common, variants, VARIANTS);
}

static void ad_h_is_clean_in_cpp17(void **state)
{
    (void)state;
    compiles(&cpp17, common, (const char *const[]){"", "-DAD_PLAIN -DAD_NO_SITES"}, 2);
}

static void the_generic_layer_is_clean_when_nested(void **state)
{
    (void)state;
    static const char text[] =
        "#include <tapegrad/ad.h>\n"
        "typedef struct pair { ad_var a, b; } pair;\n"
        "ad_var f(ad_var x, float n, int i, const pair *p);\n"
        "ad_var f(ad_var x, float n, int i, const pair *p)\n"
        "{\n"
        "    ad_var a = x, b = x, c = x, t = x, y = x; /* names that the macros might use */\n"
        "    const ad_var k = ad_constant(1);\n"
        "    y = ad_add(ad_mul(ad_add(a, ad_mul(b, ad_sub(c, ad_div(t, ad_pow(y, "
        "ad_sin(ad_cos(ad_exp(ad_neg(ad_sqrt(\n"
        "        ad_log(ad_square(ad_tanh(x))))))))))))), 2), ad_fma(n, i, ad_where(ad_less(x, 3), "
        "ad_clamp(x, 0, 1), k)));\n"
        "    y = ad_add(y, ad_sum(ad_matmul(ad_reshape(y, 2, (const int64_t[]){1, 1}), "
        "ad_concat(2, (const ad_var[]){x, y}, 0))));\n"
        "    y = ad_neg((pair){x, y}.b);\n"
        "    y = ad_mul(p->a, (pair){x, y}.a);\n"
        "    if (ad_lt(x, 1) && !ad_ge(2.5, y) && ad_ne(ad_sin(x), ad_cos(y)))\n"
        "        return ad_mul(1u, y);\n"
        "    for (int j = 0; j < i; j++)\n"
        "        y = j % 2 ? ad_max(y, j) : ad_min(j, y);\n"
        "    return ad_sum_n(2, (const ad_var[]){ad_sin(x), ad_stop_gradient(y)});\n"
        "}\n";
    compiles(&c11, text, (const char *const[]){"", "-DAD_NO_SITES"}, 2);
}

static void numbers_stand_for_variables_in_cpp(void **state)
{
    (void)state;
    static const char text[] =
        "#include <tapegrad/ad.h>\n"
        "ad_var f(ad_var x, ad_var y)\n"
        "{\n"
        "    x = ad_add(2, ad_mul(x, 3.0f));\n"
        "    x = ad_fma(x, 2, ad_where(ad_less(x, 1), 0, y));\n"
        "    return ad_lt(x, y) ? ad_clamp(x, 0, 1) : ad_pow(ad_sin(.5), y);\n"
        "}\n";
    compiles(&cpp17, text, as_it_is, 1);
}

static void numbers_stand_anywhere_in_cpp(void **state)
{
    (void)state;
    static const char text[] = "#include <tapegrad/ad.h>\n"
                               "ad_var f(ad_var x, ad_var y)\n"
                               "{\n"
                               "    x = ad_fma(2, x, y);\n"
                               "    x = ad_fma(2, 3, x);\n"
                               "    x = ad_fma(2, x, 3);\n"
                               "    return ad_lt(x, 3) || ad_ge(2, y) ? x : y;\n"
                               "}\n";
    compiles(&cpp17, text, as_it_is, 1);
}

static void dual_h_stands_alone(void **state)
{
    (void)state;
    static const char text[] = "#include <tapegrad/dual.h>\n"
                               "#include <tapegrad/dual.h>\n"
                               "ad_dual f(ad_dual x);\n"
                               "ad_dual f(ad_dual x) { return ad_dual_mul(x, ad_dual_sin(x)); }\n";
    static const char *const widths[] = {"", "-DAD_DUAL_WIDTH=8"};
    compiles(&c11, text, widths, 2);
    compiles(&cpp17, text, widths, 2);
}

/* without the library: compiled, linked with libm, run */
static void dual_h_needs_no_library(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char command[2000];
        if (!there_is(c11.compilers[i]))
            continue;
        snprintf(command, sizeof command,
                 "program=$(mktemp) && %s %s " WARNINGS " -I'%s' -o \"$program\" - -lm <<'END'\n"
                 "#include <tapegrad/dual.h>\n"
                 "int main(void)\n"
                 "{\n"
                 "    ad_dual x1 = ad_dual_variable(2, 0), x2 = ad_dual_constant(5);\n"
                 "    ad_dual y = ad_dual_add(ad_dual_mul(x1, x2), ad_dual_sin(x1));\n"
                 "    return fabs(y.v - 10.909297426825681) > 1e-14 || fabs(y.d[0] - "
                 "4.5838531634528574) > 1e-14;\n"
                 "}\n"
                 "END\n"
                 "\"$program\"; status=$?; rm -f \"$program\"; exit $status",
                 c11.compilers[i], c11.flags, TAPEGRAD_HEADERS);
        if (system(command))
            fail_msg("%s: dual.h alone does not give the gradient of x1*x2 + sin(x1)",
                     c11.compilers[i]);
    }
}

static void short_h_is_clean(void **state)
{
    (void)state;
    static const char text[] = "#include <tapegrad/ad.h>\n"
                               "#include <tapegrad/short.h>\n"
                               "ad_var f(ad_var x, ad_var y);\n"
                               "ad_var f(ad_var x, ad_var y) { return add(mul(x, y), sin(x)); }\n";
    compiles(&c11, text, (const char *const[]){"", "-DAD_NO_SITES"}, 2);
    compiles(&cpp17, text, as_it_is, 1);
}

static void headers_may_come_in_any_order(void **state)
{
    (void)state;
    static const char text[] = "#include <tapegrad/dual.h>\n"
                               "#include <tapegrad/short.h>\n"
                               "#include <tapegrad/ad.h>\n"
                               "#include <stdlib.h>\n"
                               "#include <string.h>\n"
                               "ad_var f(ad_var x);\n"
                               "ad_var f(ad_var x) { return sqrt(abs(x)); }\n";
    compiles(&c11, text, as_it_is, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ad_h_is_clean_in_c11),
        cmocka_unit_test(ad_h_is_clean_in_cpp17),
        cmocka_unit_test(the_generic_layer_is_clean_when_nested),
        cmocka_unit_test(numbers_stand_for_variables_in_cpp),
        cmocka_unit_test(numbers_stand_anywhere_in_cpp),
        cmocka_unit_test(dual_h_stands_alone),
        cmocka_unit_test(dual_h_needs_no_library),
        cmocka_unit_test(short_h_is_clean),
        cmocka_unit_test(headers_may_come_in_any_order),
    };
    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
