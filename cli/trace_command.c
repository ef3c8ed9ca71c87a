/* trace_command.c - tapegrad trace: what the sweeps do to an expression */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "steps.h"
#include "trace_formats.h"
#include "worksheet.h"

static const char help[] =
    "Shows what the forward and the reverse sweep do to an expression: values, tangents, "
    "adjoints,\n"
    "and every contribution to an adjoint.\n"
    "\n"
    "usage: tapegrad trace EXPRESSION --at POINT [OPTION...]\n"
    "\n"
    "  --at POINT       values of the inputs: x1=2,x2=5; also pi/4, and tensors W=[1,2;3,4]\n"
    "  --wrt NAMES      the inputs to derive by: x1,x2; all of them where not said\n"
    "  --mode MODE      forward, reverse or both\n"
    "  --digits N       decimals, 6 where not said\n"
    "  --notation SIGN  of adjoints in the table: v, bar or delta\n"
    "  --ascii          no signs beyond ASCII\n"
    "  --color WHEN     auto, always or never; auto: on a terminal, without NO_COLOR\n"
    "  --step           walks through the sweeps, each number with its reason\n"
    "  --quiz           asks for the numbers and says what went wrong\n"
    "  --worksheet      the tables with blanks; --key: the same filled in\n"
    "  --seed N         draws the inputs' values for a variant, in place of --at\n"
    "  --json           all of it for programs; docs/trace-json.md has the fields\n"
    "  --csv            a row a node, for spreadsheets\n"
    "  --dot            the graph for Graphviz\n"
    "  --latex          a document for pdflatex: the table, the derivation, the graph\n"
    "  --svg            the graph as a picture\n"
    "  --html           a page that works offline: graph, table, steps, inputs to change\n"
    "\n"
    "examples:\n"
    "  tapegrad trace 'x1*x2 + sin(x1)' --at x1=2,x2=5\n"
    "  tapegrad trace 'x1*x2 + sin(x1)' --at x1=2,x2=5 --step\n"
    "  tapegrad trace 'ln(x1)*x2' --seed 3 --worksheet\n"
    "  tapegrad trace 'h = sigmoid(w*x + b); (h - y)^2/2' --at w=.6,b=.9,x=1,y=0 --wrt w,b\n";

/* ---- formats ---- */

enum {
    AS_JSON,
    AS_CSV,
    AS_DOT,
    AS_LATEX,
    AS_SVG,
    AS_HTML,
    AS_STEP,
    AS_QUIZ,
    AS_WORKSHEET,
    AS_KEY,
    FORMATS
};

typedef bool format(const trace *t, const trace_style *style, FILE *to);
static format *const formats[FORMATS] = {
    trace_put_json, trace_put_csv, trace_put_dot, trace_put_latex,     trace_put_svg,
    trace_put_html, trace_step,    trace_quiz,    trace_put_worksheet, trace_put_key};

/* The one that is asked for, the table for people where none is; NULL and a message for two. */
static format *choose_format(const bool wanted[FORMATS])
{
    format *chosen = NULL;
    for (int i = 0; i < FORMATS; i++) {
        if (!wanted[i])
            continue;
        if (chosen) {
            usage_error("trace: one format at a time");
            return NULL;
        }
        chosen = formats[i];
    }
    return chosen ? chosen : trace_put_text;
}

/* ---- options ---- */

static bool read_mode(const char *text, trace_mode *mode)
{
    *mode = !text || strcmp(text, "both") == 0 ? TRACE_BOTH
            : strcmp(text, "forward") == 0     ? TRACE_FORWARD
                                               : TRACE_REVERSE;
    if (*mode != TRACE_REVERSE || strcmp(text, "reverse") == 0)
        return true;
    usage_error("trace: --mode is forward, reverse or both, not '%s'", text);
    return false;
}

static bool read_notation(const char *text, trace_notation *notation)
{
    *notation = !text || strcmp(text, "v") == 0 ? NOTATION_V
                : strcmp(text, "bar") == 0      ? NOTATION_BAR
                                                : NOTATION_DELTA;
    if (*notation != NOTATION_DELTA || strcmp(text, "delta") == 0)
        return true;
    usage_error("trace: --notation is v, bar or delta, not '%s'", text);
    return false;
}

static bool read_digits(const char *text, int *digits)
{
    char *end = NULL;
    const long n = text ? strtol(text, &end, 10) : 6;
    *digits = (int)n;
    if (!text || (end != text && !*end && n >= 1 && n <= 15))
        return true;
    usage_error("trace: --digits is a number from 1 to 15, not '%s'", text);
    return false;
}

static bool read_color(const char *text, bool *color)
{
    const char *kind = getenv("TERM"), *none = getenv("NO_COLOR");
    *color = text ? strcmp(text, "always") == 0
                  : isatty(STDOUT_FILENO) && !(none && *none) && kind && strcmp(kind, "dumb") != 0;
    if (text && strcmp(text, "auto") == 0)
        return read_color(NULL, color);
    if (!text || *color || strcmp(text, "never") == 0)
        return true;
    usage_error("trace: --color is auto, always or never, not '%s'", text);
    return false;
}

/* With a seed the point is drawn. */
static bool read_seed(const char *text, trace_request *request, char point[WORKSHEET_POINT])
{
    char *end = NULL, wrong[TRACE_WRONG];
    const long long n = text ? strtoll(text, &end, 10) : 0;
    if (!text)
        return true;
    if (end == text || *end || n < 0) {
        usage_error("trace: --seed is a whole number from 0, not '%s'", text);
        return false;
    }
    if (worksheet_point(request->text, (uint64_t)n, point, wrong)) {
        request->at = point;
        return true;
    }
    usage_error("%s", wrong);
    return false;
}

/* Quizzes and worksheets are about numbers. */
static bool can_be_asked(const trace *t, const bool as[FORMATS])
{
    if ((!as[AS_QUIZ] && !as[AS_WORKSHEET] && !as[AS_KEY]) || steps_have_numbers(t))
        return true;
    usage_error(t->scalars
                    ? "trace: a number of this trace is not finite, or its operation is about "
                      "tensors: there is nothing to ask; see `tapegrad trace` without options"
                    : "trace: quizzes and worksheets are about numbers: write the expression with "
                      "scalars, not tensors");
    return false;
}

static bool is_finite(const trace *t)
{
    for (int i = 0; i < t->n; i++)
        for (int64_t k = 0; k < t->nodes[i].size; k++)
            if (t->nodes[i].value[k] - t->nodes[i].value[k] != 0 ||
                t->nodes[i].adjoint[k] - t->nodes[i].adjoint[k] != 0)
                return false;
    return true;
}

static int run(int argc, char **argv)
{
    const char *text = NULL, *mode = NULL, *digits = NULL, *color = NULL, *seed = NULL,
               *notation = NULL;
    trace_request request = {0};
    trace_style style = {0};
    bool as[FORMATS] = {false};
    char wrong[TRACE_WRONG], point[WORKSHEET_POINT];
    const option options[] = {
        {"--at", &request.at, NULL},     {"--wrt", &request.wrt, NULL},
        {"--mode", &mode, NULL},         {"--digits", &digits, NULL},
        {"--notation", &notation, NULL}, {"--ascii", NULL, &style.ascii},
        {"--color", &color, NULL},       {"--step", NULL, &as[AS_STEP]},
        {"--quiz", NULL, &as[AS_QUIZ]},  {"--worksheet", NULL, &as[AS_WORKSHEET]},
        {"--key", NULL, &as[AS_KEY]},    {"--seed", &seed, NULL},
        {"--json", NULL, &as[AS_JSON]},  {"--csv", NULL, &as[AS_CSV]},
        {"--dot", NULL, &as[AS_DOT]},    {"--latex", NULL, &as[AS_LATEX]},
        {"--svg", NULL, &as[AS_SVG]},    {"--html", NULL, &as[AS_HTML]}};
    if (!read_options(&trace_command, argc, argv, sizeof options / sizeof *options, options, 1,
                      &text) ||
        !read_mode(mode, &style.mode) || !read_digits(digits, &style.digits) ||
        !read_notation(notation, &style.notation) || !read_color(color, &style.color))
        return STATUS_USAGE;
    as[AS_WORKSHEET] = as[AS_WORKSHEET] && !as[AS_KEY]; /* together they are the key */
    format *const put = choose_format(as);
    if (!put)
        return STATUS_USAGE;
    if (!text)
        return usage_error("trace: an expression is missing; see `tapegrad trace --help`");
    request.text = text;
    style.digits_given = digits != NULL;
    if (!read_seed(seed, &request, point))
        return STATUS_USAGE;
    trace *t = trace_new(&request, wrong);
    if (!t)
        return usage_error("%s", wrong);
    if (!can_be_asked(t, as)) {
        const bool defined = !t->scalars || is_finite(t);
        trace_free(t);
        return defined ? STATUS_USAGE : STATUS_NOT_FINITE;
    }
    const bool written = put(t, &style, stdout), finite = is_finite(t);
    trace_free(t);
    if (!written)
        return usage_error("out of memory");
    return finite ? STATUS_FINE : STATUS_NOT_FINITE;
}

const command trace_command = {
    "trace", "values, tangents and adjoints of an expression, node by node", help, run};
