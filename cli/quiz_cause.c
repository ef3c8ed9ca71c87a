/* quiz_cause.c - see quiz_cause.h
 *
 * Each slip is tried: what would come out of it? The first that gives the answer is said. */
#include "quiz_cause.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool quiz_agrees(double answer, double right, int digits)
{
    if (right == 0)
        return fabs(answer) <= .5 * pow(10, -digits);
    /* .6 units of the last digit: rounding up and down are both taken */
    return fabs(answer - right) <= .6 * pow(10, floor(log10(fabs(right))) + 1 - digits);
}

typedef struct detective {
    const question *q;
    const trace_node *n; /* whose operation the question is about: the one that passes on */
    double answer;
    int digits; /* in which the answer has to agree with what a slip gives */
    char *out;
} detective;

/* If this slip gives the answer, says so. */
static bool slip(const detective *d, double gives, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
static bool slip(const detective *d, double gives, const char *format, ...)
{
    if (!isfinite(gives) || quiz_agrees(gives, d->q->right, d->q->digits) ||
        !quiz_agrees(d->answer, gives, d->digits))
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d->out, STEP_TEXT, format, arguments);
    va_end(arguments);
    return true;
}

/* ---- what an expression would be ---- */

/* Of a formula in labels, each input of it times `scale`; NaN where it cannot be said. */
static double evaluate(const detective *d, const char *formula, double scale)
{
    const trace *t = d->q->t;
    double value = (double)NAN;
    ad_tape *tape = ad_tape_new(NULL);
    ad_env *env = ad_env_new(tape);
    ad_expression *e = ad_parse(formula, NULL);
    bool good = env && e;
    for (int i = 0; good && i < t->n; i++)
        good = !ad_env_set(env, t->nodes[i].label, ad_constant(t->nodes[i].value[0] * scale));
    if (good)
        value = ad_value(ad_record_expression(env, e, NULL));
    ad_expression_free(e);
    ad_env_free(env);
    ad_tape_free(tape);
    return value;
}

static bool is_angular(const char *operation)
{
    return strcmp(operation, "sin") == 0 || strcmp(operation, "cos") == 0 ||
           strcmp(operation, "tan") == 0;
}

static const double degree = 0.017453292519943295769;

static bool swapped(const detective *d)
{
    const trace_node *n = d->n;
    for (int op = 0; n->n_parents == 2 && op < ad_op_count(); op++) {
        const int node = (int)(n - d->q->t->nodes);
        const double back[3] = {step_parent_value(d->q->t, node, 1),
                                step_parent_value(d->q->t, node, 0)};
        if (strcmp(ad_op_at(op)->name, n->operation) == 0)
            return slip(d, ad_op_value(op, back), "the two arguments of %s are swapped",
                        n->operation);
    }
    return false;
}

/* ---- values ---- */

static bool other_node(const detective *d)
{
    const trace *t = d->q->t;
    for (int i = 0; i < t->n; i++)
        if ((d->q->about->sweep == SWEEP_REVERSE &&
             slip(d, t->nodes[i].adjoint[0], "that is the adjoint of %s", t->nodes[i].label)) ||
            slip(d, t->nodes[i].value[0], "that is the value of %s", t->nodes[i].label))
            return true;
    return false;
}

static bool other_function(const detective *d)
{
    const trace_node *n = d->n;
    const int node = (int)(n - d->q->t->nodes);
    const double x = n->n_parents == 1 ? step_parent_value(d->q->t, node, 0) : (double)NAN;
    if (strcmp(n->operation, "log") == 0)
        return slip(d, log10(x),
                    "that is the logarithm to base 10; log and ln are the natural one") ||
               slip(d, log2(x), "that is the logarithm to base 2; log and ln are the natural one");
    if (strcmp(n->operation, "square") == 0)
        return slip(d, 2 * x, "that is twice the number, not its square");
    if (is_angular(n->operation))
        return slip(d, evaluate(d, n->formula, degree),
                    "the angle is in radians; that is the value for degrees");
    return false;
}

static bool value_slip(const detective *d)
{
    const trace_node *n = d->n;
    for (int k = 0; k < n->n_parents; k++)
        if (n->parents[k] >= 0 && strpbrk(n->symbols[k], "(^*/") &&
            slip(d, n->partials[k], "that is the derivative %s, not the value", n->symbols[k]))
            return true;
    return other_function(d) || swapped(d);
}

/* ---- one contribution ---- */

static bool other_argument(const detective *d)
{
    const trace_node *from = d->n;
    const int k = d->q->about->k;
    for (int j = 0; j < from->n_parents; j++)
        if (j != k &&
            slip(d, from->adjoint[0] * from->partials[j],
                 "%s was derived by its other argument; by %s the partial is %s", from->formula,
                 d->q->t->nodes[d->q->about->node].label, from->symbols[k]))
            return true;
    return false;
}

static bool contribution_slip(const detective *d)
{
    const trace_node *from = d->n;
    const step *s = d->q->about;
    const char *to = d->q->t->nodes[s->node].label, *symbol = from->symbols[s->k];
    const double adjoint = from->adjoint[0], partial = from->partials[s->k];
    char number[32];
    return slip(d, partial,
                "the incoming adjoint was forgotten: multiply %s by the adjoint of %s, which is %s",
                symbol, from->name, trace_number(number, adjoint, 6)) ||
           slip(d, adjoint, "the inner derivative was forgotten: multiply the adjoint of %s by %s",
                from->name, symbol) ||
           slip(d, adjoint + partial, "adjoint and partial are multiplied, not added") ||
           slip(d, adjoint * from->value[0],
                "that has the value of %s in it; wanted is its derivative %s", from->name,
                symbol) ||
           slip(d, from->value[0],
                "that is the value of %s; wanted is its derivative %s times its adjoint",
                from->name, symbol) ||
           other_argument(d) ||
           (is_angular(from->operation) &&
            slip(d, adjoint * evaluate(d, symbol, degree),
                 "the angle is in radians; that comes of degrees")) ||
           slip(d, s->total, "that is the whole adjoint of %s so far, not this contribution", to) ||
           slip(d, partial == 0 ? (double)NAN : adjoint / partial,
                "the adjoint is multiplied by %s, not divided", symbol);
}

/* ---- sums over paths ---- */

enum { MOST_PATHS = 12 };

typedef struct paths {
    int n;
    double part[MOST_PATHS];
    char name[MOST_PATHS][TRACE_NAME + 16];
} paths;

/* Any choice of paths that was left out, the smallest choices first. */
static bool path_forgotten(const detective *d, const paths *p, const char *what)
{
    for (int missing = 1; missing < p->n; missing++)
        for (unsigned choice = 1; choice < 1u << p->n; choice++) {
            char names[STEP_TEXT] = "";
            double sum = 0;
            int count = 0;
            for (int i = 0; i < p->n; i++)
                if (!(choice >> i & 1)) {
                    sum += p->part[i];
                } else {
                    const size_t used = strlen(names);
                    snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "",
                             p->name[i]);
                }
            if (count == missing && slip(d, sum, "%s was forgotten: %.600s", what, names))
                return true;
        }
    return false;
}

static bool path_signed(const detective *d, const paths *p)
{
    double product = 1;
    for (int i = 0; i < p->n; i++) {
        product *= p->part[i];
        if (p->n > 1 &&
            slip(d, d->q->right - 2 * p->part[i], "the sign of one part is wrong: %s", p->name[i]))
            return true;
    }
    return p->n > 1 && slip(d, product, "the parts are added, not multiplied");
}

static bool adjoint_slip(const detective *d)
{
    paths p = {0};
    if (d->q->about->of > MOST_PATHS)
        return false;
    for (int i = 0; i < d->q->all->n; i++) {
        const step *s = &d->q->all->all[i];
        if (s->sweep != SWEEP_REVERSE || s->node != d->q->about->node)
            continue;
        if (s->from < 0)
            strcpy(p.name[p.n], "the seed 1");
        else
            snprintf(p.name[p.n], sizeof p.name[0], "the one over %s",
                     d->q->t->nodes[s->from].name);
        p.part[p.n++] = s->number;
    }
    return path_forgotten(d, &p, "a path of the fan-out") || path_signed(d, &p);
}

/* ---- tangents ---- */

static bool tangent_slip(const detective *d)
{
    const trace_node *n = d->n;
    const int wrt = d->q->about->wrt;
    paths p = {0};
    double partials = 0, tangents = 0;
    for (int k = 0; k < n->n_parents && p.n < MOST_PATHS; k++) {
        if (n->parents[k] < 0)
            continue;
        const trace_node *parent = &d->q->t->nodes[n->parents[k]];
        if (parent->tangents[wrt] != 0)
            partials += n->partials[k];
        tangents += parent->tangents[wrt];
        snprintf(p.name[p.n], sizeof p.name[0], "the one with d(%s)", parent->label);
        p.part[p.n++] = n->partials[k] * parent->tangents[wrt];
    }
    return slip(d, partials,
                "the inner derivative was forgotten: multiply by the tangent of what stands "
                "inside") ||
           slip(d, tangents, "the local partial was forgotten: multiply the tangents by it") ||
           (p.n > 1 && path_forgotten(d, &p, "a term of the chain rule")) || path_signed(d, &p) ||
           slip(d, n->value[0], "that is the value of %s, not its tangent", n->name);
}

/* ---- all ---- */

static bool rounded(const detective *d)
{
    const double right = d->q->right;
    return fabs(d->answer - right) <= .05 * fabs(right) &&
           snprintf(d->out, STEP_TEXT,
                    "it is nearly right: rounding, it seems; wanted are %d digits, so keep more "
                    "on the way",
                    d->q->digits) > 0;
}

static bool any_slip(const detective *d)
{
    const step *s = d->q->about;
    return slip(d, -d->q->right, "the sign is wrong") ||
           (d->q->sum                    ? adjoint_slip(d)
            : s->sweep == SWEEP_REVERSE  ? contribution_slip(d)
            : s->sweep == SWEEP_TANGENTS ? tangent_slip(d)
                                         : value_slip(d));
}

/* Slips are looked for with the digits wanted, then with fewer, as answers may be rounded, too. */
void quiz_cause(const question *q, double answer, char out[STEP_TEXT])
{
    const step *s = q->about;
    const bool passes = s->sweep == SWEEP_REVERSE && !q->sum;
    detective d = {q, &q->t->nodes[passes ? s->from : s->node], answer, q->digits, out};
    *out = 0;
    if (any_slip(&d) || rounded(&d))
        return;
    d.digits = q->digits < 2 ? q->digits : 2;
    if (any_slip(&d) || other_node(&d))
        return;
    if (q->right != 0 && !slip(&d, 2 * q->right, "it is twice too large"))
        slip(&d, q->right / 2, "it is half of what it should be");
}
