/* rule.c - see rule.h */
#include "rule.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

/* Arguments stand for themselves in the language, under names that no user has. */
static const char *const stand_ins[] = {"p0_", "p1_", "p2_"};

/* Puts the labels where the stand-ins are. */
static char *with_labels(const char *text, int n, const char *const *labels)
{
    size_t room = strlen(text) + 1;
    for (int k = 0; k < n; k++)
        room += strlen(text) / 3 * (strlen(labels[k]) + 2);
    char *out = malloc(room), *to = out;
    while (out && *text) {
        int k = 0;
        while (k < n && k < 3 && strncmp(text, stand_ins[k], 3) != 0)
            k++;
        if (k == n || k == 3) {
            *to++ = *text++;
            continue;
        }
        const bool negative = *labels[k] == '-';
        to += sprintf(to, negative ? "(%s)" : "%s", labels[k]);
        text += 3;
    }
    if (out)
        *to = 0;
    return out;
}

char *rule_text(const ad_expression *e)
{
    const size_t length = ad_expression_text(e, NULL, 0);
    char *text = length ? malloc(length + 1) : NULL; /* 0: it had no memory */
    if (text && ad_expression_text(e, text, length + 1) != length) {
        free(text);
        return NULL;
    }
    return text;
}

/* "name(a, b)" */
static char *call_text(const char *operation, int n, const char *const *labels)
{
    size_t room = strlen(operation) + 16;
    for (int k = 0; k < n && k < RULE_MOST; k++)
        room += strlen(labels[k]) + 2;
    char *out = malloc(room), *to = out;
    if (!out)
        return NULL;
    to += sprintf(to, "%s(", operation);
    for (int k = 0; k < n && k < RULE_MOST; k++)
        to += sprintf(to, "%s%s", k ? ", " : "", labels[k]);
    sprintf(to, n > RULE_MOST ? ", ...)" : ")");
    return out;
}

static bool is_elementwise(const char *operation)
{
    for (int i = 0; i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, operation) == 0)
            return ad_op_at(i)->elementwise;
    return false;
}

static bool is_number(const char *label)
{
    label += *label == '-';
    return (*label >= '0' && *label <= '9') || *label == '.';
}

/* The operation on stand-ins, read by the language; NULL when out of memory. Numbers stand for
 * themselves, since formulas depend on them: x^3, and 3*x^2. */
static ad_expression *row(const char *operation, int n, const char *const *labels)
{
    const char *arguments[3] = {NULL};
    for (int k = 0; k < n; k++)
        arguments[k] = is_number(labels[k]) ? labels[k] : stand_ins[k];
    char *text = call_text(operation, n, arguments);
    ad_expression *e = text ? ad_parse(text, NULL) : NULL;
    free(text);
    return e;
}

char *rule_formula(const char *operation, int n, const char *const *labels)
{
    if (strcmp(operation, "matmul") == 0 && n == 2) {
        char *out = malloc(strlen(labels[0]) + strlen(labels[1]) + 4);
        if (out)
            sprintf(out, "%s @ %s", labels[0], labels[1]);
        return out;
    }
    if (!is_elementwise(operation) || n > 3)
        return call_text(operation, n, labels);
    ad_expression *e = row(operation, n, labels);
    char *text = e ? rule_text(e) : NULL, *out = text ? with_labels(text, n, labels) : NULL;
    free(text);
    ad_expression_free(e);
    return out;
}

/* ---- partials ---- */

/* The adjoint's rule of structured operations: A, B the arguments, Y the result, G its adjoint. */
static const struct {
    const char *operation, *rule[2];
} structured[] = {
    {"matmul", {"G @ transpose(B)", "transpose(A) @ G"}},
    {"dot", {"G*B", "G*A"}},
    {"outer", {"G @ B", "transpose(G) @ A"}},
    {"sum", {"G to every element", ""}},
    {"mean", {"G/n to every element", ""}},
    {"norm", {"G*A/Y", ""}},
    {"prod", {"G*Y/A", ""}},
    {"amax", {"G to the first largest element", ""}},
    {"amin", {"G to the first smallest element", ""}},
    {"logsumexp", {"G*softmax(A)", ""}},
    {"softmax", {"Y*(G - sum(G*Y))", ""}},
    {"log_softmax", {"G - softmax(A)*sum(G)", ""}},
    {"softmax_cross_entropy", {"G*(softmax(A) - B)", ""}},
    {"reshape", {"G in the shape of A", ""}},
    {"expand", {"G summed over the repeated axes", ""}},
    {"permute", {"G with its axes put back", ""}},
    {"slice", {"G where it was cut out, else 0", ""}},
    {"at", {"G at the index, else 0", ""}},
    {"stack", {"its row of G", "its row of G"}},
    {"concat", {"its part of G", "its part of G"}},
    {"diag", {"G on the diagonal", ""}},
    {"cumsum", {"sums of G from the end", ""}},
    {"stop_gradient", {"0", ""}},
};

/* A, B, Y and G, where they stand alone, are labels. */
static char *with_letters(const char *rule, int n, const char *const *labels, const char *result)
{
    size_t room = 1;
    const size_t longest =
        16 + strlen(result) + strlen(labels[0]) + (n > 1 ? strlen(labels[1]) : 0);
    for (const char *c = rule; *c; c++)
        room += *c >= 'A' && *c <= 'Z' ? longest : 1;
    char *out = malloc(room), *to = out;
    for (; out && *rule; rule++) {
        if (*rule == 'A')
            to += sprintf(to, "%s", labels[0]);
        else if (*rule == 'B' && n > 1)
            to += sprintf(to, "%s", labels[1]);
        else if (*rule == 'Y')
            to += sprintf(to, "%s", result);
        else if (*rule == 'G')
            to += sprintf(to, "adjoint(%s)", result);
        else
            *to++ = *rule;
    }
    if (out)
        *to = 0;
    return out;
}

static char *structured_partial(const char *operation, int n, int k, const char *const *labels,
                                const char *result)
{
    for (size_t i = 0; i < sizeof structured / sizeof *structured; i++)
        if (strcmp(structured[i].operation, operation) == 0)
            return with_letters(structured[i].rule[k > 0], n, labels, result);
    return with_letters("the transpose of its Jacobian times G", n, labels, result);
}

char *rule_partial(const char *operation, int n, int k, const char *const *labels,
                   const char *result)
{
    if (!is_elementwise(operation) || n > 3)
        return structured_partial(operation, n, k, labels, result);
    ad_expression *e = row(operation, n, labels);
    ad_expression *d = e ? ad_expression_derivative(e, stand_ins[k], NULL) : NULL;
    char *text = d ? rule_text(d) : NULL, *out = text ? with_labels(text, n, labels) : NULL;
    free(text);
    ad_expression_free(d);
    ad_expression_free(e);
    return out;
}
