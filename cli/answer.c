/* answer.c - a learner's derivative against the right one, term by term
 *
 * Two expressions are the same function where they agree at points enough. So both are evaluated at
 * some, and so are their terms (what + and - join at the top), each of which is looked for on the
 * other side. What is left over on either side is what is wrong. */
#include "answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "point.h"
#include "rule.h"

enum { POINTS = 12, MOST_TERMS = 32, TEXT = 400 };

typedef struct term {
    char text[TEXT];
    double at[POINTS];
    bool found;
} term;

typedef struct answer {
    const ad_expression *expression; /* whose derivative it is about */
    const point *given;
    char *wrong;
    bool tried[POINTS]; /* the derivative is finite there */
} answer;

/* ---- points ---- */

/* A number that is no special point of anything: from the golden ratio's multiples. */
static double odd_number(int i, int k)
{
    const double x = .618033988749895 * (i + 1) + .754877666246693 * (k + 1);
    return .3 + 2.2 * (x - floor(x));
}

/* Point 0 is the user's, where there is one; every third has negative numbers. */
static double coordinate(const answer *a, const char *name, int i, int k)
{
    const ad_var value = ad_env_get(a->given->values, name);
    if (i == 0 && value.tape && !ad_is_tensor(value))
        return ad_value(value);
    return i % 3 == 2 ? -odd_number(i, k) : odd_number(i, k);
}

static bool evaluate(const answer *a, const ad_expression *e, double values[POINTS])
{
    for (int i = 0; i < POINTS; i++) {
        ad_tape *tape = ad_tape_new(NULL);
        ad_env *env = ad_env_new(tape);
        for (int k = 0; env && k < ad_expression_name_count(e); k++) {
            const char *name = ad_expression_name(e, k);
            size_t sum = 0; /* a name has one value, wherever it stands */
            for (const char *c = name; *c; c++)
                sum = sum * 31 + (unsigned char)*c;
            ad_env_set(env, name, ad_input(tape, coordinate(a, name, i, (int)(sum % 97))));
        }
        ad_var y = ad_record_expression(env, e, NULL);
        const bool failed = ad_tape_status(tape) != AD_OK;
        if (failed)
            complain(a->wrong, "%s", ad_tape_error(tape));
        else
            values[i] = ad_value(y);
        ad_env_free(env);
        ad_tape_free(tape);
        if (failed)
            return false;
    }
    return true;
}

static bool agree(const answer *a, const double *x, const double *y)
{
    int compared = 0;
    for (int i = 0; i < POINTS; i++) {
        if (!a->tried[i] || !isfinite(x[i]) || !isfinite(y[i]))
            continue;
        compared++;
        if (!(fabs(x[i] - y[i]) <= 1e-9 * fmax(1, fabs(x[i]))))
            return false;
    }
    return compared > 0;
}

/* ---- terms ---- */

static bool is_call(const ad_expression_node *n, const char *name)
{
    return n->kind == AD_EXPRESSION_CALL && strcmp(n->name, name) == 0;
}

/* The text of one node: what stands there, or for a made expression its own printing. */
static void node_text(const char *source, const ad_expression_node *n, bool minus, char out[TEXT])
{
    snprintf(out, TEXT, minus ? "-(%.*s)" : "%.*s",
             (int)(n->length < TEXT - 8 ? n->length : TEXT - 8), source + n->at);
}

/* Splits at + and - from the result down; the number of terms, -1: too many. */
static int split(const ad_expression *e, const char *source, term *terms)
{
    int64_t waiting[MOST_TERMS];
    bool minus[MOST_TERMS];
    int n = 0, depth = 1;
    waiting[0] = ad_expression_result(e);
    minus[0] = false;
    while (depth > 0) {
        const int64_t node = waiting[--depth];
        const bool negative = minus[depth];
        ad_expression_node info;
        ad_expression_node_at(e, node, &info);
        if (is_call(&info, "neg")) {
            waiting[depth] = ad_expression_child(e, node, 0);
            minus[depth++] = !negative;
        } else if (is_call(&info, "add") || is_call(&info, "sub")) {
            if (depth + 2 > MOST_TERMS)
                return -1;
            waiting[depth] = ad_expression_child(e, node, 1);
            minus[depth++] = is_call(&info, "sub") ? !negative : negative;
            waiting[depth] = ad_expression_child(e, node, 0);
            minus[depth++] = negative;
        } else if (n < MOST_TERMS) {
            node_text(source, &info, negative, terms[n++].text);
        } else {
            return -1;
        }
    }
    return n;
}

/* Also writes them with no more brackets than they need. */
static bool evaluate_terms(const answer *a, int n, term *terms)
{
    for (int i = 0; i < n; i++) {
        ad_expression *e = ad_parse(terms[i].text, NULL);
        const bool good = e && evaluate(a, e, terms[i].at);
        if (good)
            ad_expression_text(e, terms[i].text, TEXT);
        ad_expression_free(e);
        if (!good)
            return false;
    }
    return true;
}

static void find_pairs(const answer *a, int n, term *ours, int m, term *theirs)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m && !ours[i].found; j++)
            if (!theirs[j].found && agree(a, ours[i].at, theirs[j].at))
                ours[i].found = theirs[j].found = true;
}

/* Why a term may be wrong: compared with one that is missing. */
static const char *likely(const answer *a, const term *theirs, const term *right)
{
    double negative[POINTS], ratio = NAN;
    bool constant = true;
    for (int i = 0; i < POINTS; i++) {
        negative[i] = -right->at[i];
        const double q = theirs->at[i] / right->at[i];
        if (!a->tried[i] || !isfinite(q))
            continue;
        constant = constant && (isnan(ratio) || fabs(q - ratio) <= 1e-9 * fabs(ratio));
        ratio = q;
    }
    if (agree(a, theirs->at, negative))
        return "its sign is wrong";
    return constant && isfinite(ratio) && ratio != 0 ? "it is off by a constant factor" : NULL;
}

static void print_left_over(const answer *a, int n, const term *right, int m, const term *theirs)
{
    for (int j = 0; j < m; j++) {
        if (theirs[j].found)
            continue;
        const char *why = NULL;
        for (int i = 0; i < n && !why; i++)
            why = right[i].found ? NULL : likely(a, &theirs[j], &right[i]);
        printf("  wrong:   %s%s%s\n", theirs[j].text, why ? "    " : "", why ? why : "");
    }
    for (int i = 0; i < n; i++)
        if (!right[i].found)
            printf("  missing: %s\n", right[i].text);
}

/* ---- the verdict ---- */

static int explain(answer *a, const ad_expression *right, const char *right_text,
                   const ad_expression *theirs, const char *their_text)
{
    term *r = calloc(MOST_TERMS, sizeof *r), *t = calloc(MOST_TERMS, sizeof *t);
    ad_expression *again = ad_parse(right_text, NULL); /* so that its nodes have places */
    (void)right;
    if (r && t && again) {
        const int n = split(again, right_text, r), m = split(theirs, their_text, t);
        if (n > 0 && m > 0 && evaluate_terms(a, n, r) && evaluate_terms(a, m, t)) {
            find_pairs(a, n, r, m, t);
            print_left_over(a, n, r, m, t);
        }
    }
    ad_expression_free(again);
    free(r);
    free(t);
    return STATUS_FAILED;
}

/* An answer may use names that the expression defines: with those definitions before it. NULL where
 * there are none, or the answer has its own. */
static ad_expression *with_definitions(const ad_expression *e, const char *against)
{
    char *text = rule_text(e), *last = NULL, *whole = NULL;
    for (char *c = text; c && (c = strstr(c, "; ")); c += 2)
        last = c;
    if (last && (whole = malloc((size_t)(last - text) + strlen(against) + 3)))
        sprintf(whole, "%.*s; %s", (int)(last - text), text, against);
    ad_expression *y = whole ? ad_parse(whole, NULL) : NULL;
    free(whole);
    free(text);
    return y;
}

static int compare(answer *a, const ad_expression *right, const ad_expression *theirs,
                   const char *text, const char *their_text, const char *wrt)
{
    double x[POINTS], y[POINTS];
    char *right_text = rule_text(right);
    ad_expression *whole = with_definitions(a->expression, their_text);
    for (int i = 0; i < POINTS; i++)
        a->tried[i] = true;
    const bool known =
        right_text && evaluate(a, right, x) && evaluate(a, whole ? whole : theirs, y);
    ad_expression_free(whole);
    if (!known) {
        free(right_text);
        return usage_error("%s", *a->wrong ? a->wrong : "out of memory");
    }
    int status = STATUS_FINE;
    if (agree(a, x, y)) {
        printf("right: the derivative of %s by %s is %s\n", text, wrt, their_text);
    } else {
        printf("not the derivative of %s by %s, which is %s\n", text, wrt, right_text);
        status = explain(a, right, right_text, theirs, their_text);
    }
    free(right_text);
    return status;
}

int check_answer(const ad_expression *e, const char *text, const char *against, const char *wrt,
                 const char *at)
{
    char wrong[TRACE_WRONG] = "";
    ad_parse_error error;
    point p;
    answer a = {.expression = e, .given = &p, .wrong = wrong};
    ad_expression *theirs = NULL, *right = NULL;
    int status = STATUS_USAGE;
    if (!point_read(&p, at, wrong))
        usage_error("%s", wrong);
    else if (!(theirs = ad_parse(against, &error))) {
        complain_at(wrong, "--against", against, &error);
        usage_error("%s", wrong);
    } else if (!(right = ad_expression_derivative(e, wrt, &error))) {
        complain_at(wrong, "", text, &error);
        usage_error("%s", wrong);
    } else {
        status = compare(&a, right, theirs, text, against, wrt);
    }
    ad_expression_free(theirs);
    ad_expression_free(right);
    point_free(&p);
    return status;
}
