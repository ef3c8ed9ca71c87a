/* check_command.c - tapegrad check: is this gradient right? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "command.h"
#include "point.h"

static const char help[] =
    "Compares the derivatives of an expression found in three ways, or a derivative of your own\n"
    "with the right one.\n"
    "\n"
    "usage: tapegrad check EXPRESSION --at POINT\n"
    "       tapegrad check EXPRESSION --against DERIVATIVE --wrt NAME [--at POINT]\n"
    "\n"
    "  --at POINT              values of the inputs: x1=2,x2=5; also pi/4, and tensors "
    "W=[1,2;3,4]\n"
    "  --against DERIVATIVE    an expression: is it the derivative? If not, which term is wrong?\n"
    "  --wrt NAME              by which input it was derived\n"
    "\n"
    "Without --against: reverse mode against forward-mode duals, to rounding, and both against\n"
    "differences. Exit status 1 where they disagree.\n"
    "\n"
    "examples:\n"
    "  tapegrad check 'x1*x2 + sin(x1)' --at x1=2,x2=5\n"
    "  tapegrad check 'x1*x2 + sin(x1)' --against 'x2 - cos(x1)' --wrt x1\n";

/* ---- three ways ---- */

typedef struct subject {
    const ad_expression *expression;
} subject;

static ad_var evaluate(const ad_var *x, void *user)
{
    const ad_expression *e = ((subject *)user)->expression;
    ad_tape *tape = x[0].tape;
    ad_env *env = ad_env_new(tape);
    ad_status status = env ? AD_OK : AD_NO_MEMORY;
    for (int i = 0; !status && i < ad_expression_name_count(e); i++)
        status = ad_env_set(env, ad_expression_name(e, i), x[i]);
    ad_var y = status ? ad_fail(tape, status, "out of memory") : ad_record_expression(env, e, NULL);
    ad_env_free(env);
    return y;
}

/* The values of the inputs, as tensors; a number is a tensor of one element. */
static bool inputs_at(const point *p, const ad_expression *e, ad_tensor **x, char *wrong)
{
    for (int i = 0; i < ad_expression_name_count(e); i++) {
        const char *name = ad_expression_name(e, i);
        const ad_var value = ad_env_get(p->values, name);
        if (!value.tape)
            return complain(wrong, "'%s' has no value: give it one, as in --at %s=2", name, name);
        double number = ad_is_tensor(value) ? 0 : ad_value(value);
        x[i] = ad_is_tensor(value) ? ad_read_tensor(value)
                                   : ad_tensor_from(NULL, AD_F64, 0, NULL, &number);
        if (!x[i])
            return complain(wrong, "out of memory");
    }
    return true;
}

static int check_three_ways(const ad_expression *e, const char *at)
{
    char wrong[TRACE_WRONG] = "";
    point p;
    ad_check_report report = {0};
    const int n = ad_expression_name_count(e);
    ad_tensor **x = calloc((size_t)n + 1, sizeof(ad_tensor *));
    bool good = x ? point_read(&p, at, wrong) && inputs_at(&p, e, x, wrong)
                  : complain(wrong, "out of memory");
    if (good && n == 0)
        good = complain(wrong, "the expression depends on no input: there is nothing to derive");
    if (good) {
        ad_gradcheck_tensors(evaluate, &(subject){e}, n, x, NULL, &report);
        fputs(report.text, stdout);
    }
    for (int i = 0; x && i < n; i++)
        ad_tensor_free(x[i]);
    if (x)
        point_free(&p);
    free(x);
    if (!good)
        return usage_error("%s", wrong);
    return report.passed                    ? STATUS_FINE
           : report.status == AD_NOT_FINITE ? STATUS_NOT_FINITE
                                            : STATUS_FAILED;
}

/* ---- the command ---- */

static int run(int argc, char **argv)
{
    const char *text = NULL, *at = NULL, *against = NULL, *wrt = NULL;
    char wrong[TRACE_WRONG] = "";
    ad_parse_error error;
    const option options[] = {
        {"--at", &at, NULL}, {"--against", &against, NULL}, {"--wrt", &wrt, NULL}};
    if (!read_options(&check_command, argc, argv, 3, options, 1, &text))
        return STATUS_USAGE;
    if (!text)
        return usage_error("check: an expression is missing; see `tapegrad check --help`");
    if (!!against != !!wrt)
        return usage_error("check: --against and --wrt go together: --against 'x2' --wrt x1");
    ad_expression *e = ad_parse(text, &error);
    if (!e) {
        complain_at(wrong, "", text, &error);
        return usage_error("%s", wrong);
    }
    const int status = against ? check_answer(e, text, against, wrt, at) : check_three_ways(e, at);
    ad_expression_free(e);
    return status;
}

const command check_command = {"check", "is a derivative right? three ways, or your own answer",
                               help, run};
