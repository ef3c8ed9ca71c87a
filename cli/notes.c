/* notes.c - where a trace meets the end of a domain, a kink, or an overflow
 *
 * A nan alone teaches nothing. So the first node whose value or partial is not finite is named with
 * its arguments, and an operation that has no derivative where it stands with the one that is
 * taken: the convention of its row in ops.def, whose text says so. */
#include "notes.h"

#include <math.h>
#include <string.h>

typedef struct notes {
    const trace *t;
    int digits, n;
    FILE *to;
} notes;

static int row_of(const char *operation)
{
    for (int i = 0; i < ad_op_count(); i++)
        if (ad_op_at(i)->elementwise && strcmp(ad_op_at(i)->name, operation) == 0)
            return i;
    return -1;
}

/* The values of the arguments, constants included; false: not of scalars, or not of a row. */
static bool arguments_of(const notes *s, const trace_node *n, double args[3])
{
    if (n->is_input || n->rank || n->n_parents > 3 || row_of(n->operation) < 0)
        return false;
    for (int k = 0; k < n->n_parents; k++) {
        ad_node_info info;
        const int64_t parent = ad_node_parent(s->t->tape, n->on_tape, k);
        if (ad_node_at(s->t->tape, parent, &info) || info.rank)
            return false;
        args[k] = n->parents[k] >= 0 ? s->t->nodes[n->parents[k]].value[0] : info.value;
    }
    return true;
}

static void begin(notes *s, const trace_node *n)
{
    s->n++;
    if (s->to)
        fprintf(s->to, "note: %s = %s", n->name, n->formula);
}

static void put_arguments(const notes *s, const trace_node *n, const double args[3])
{
    char text[32];
    for (int k = 0; k < n->n_parents; k++)
        if (n->parents[k] >= 0)
            fprintf(s->to, "%s%s = %s", k ? ", " : " at ", s->t->nodes[n->parents[k]].label,
                    trace_number(text, args[k], s->digits));
}

/* Did it begin here, or was an argument not finite already? */
static bool begins_here(const trace_node *n, const double args[3])
{
    for (int k = 0; k < n->n_parents; k++)
        if (!isfinite(args[k]))
            return false;
    return true;
}

static void note_value(notes *s, const trace_node *n, const double args[3])
{
    if (isfinite(n->value[0]) || !begins_here(n, args))
        return;
    begin(s, n);
    if (!s->to)
        return;
    put_arguments(s, n, args);
    if (isnan(n->value[0]))
        fputs(" is not defined: outside of its domain (nan)\n", s->to);
    else if (strcmp(n->operation, "div") == 0 || strcmp(n->operation, "recip") == 0)
        fprintf(s->to, " divides by 0: %s\n", n->value[0] > 0 ? "inf" : "-inf");
    else
        fprintf(s->to, " is %s: %s\n", n->value[0] > 0 ? "inf" : "-inf",
                fabs(args[0]) > 1 ? "larger than any double" : "the end of its domain");
}

/* The operation's value with argument k moved. */
static double moved(const trace_node *n, const double args[3], int k, double by)
{
    double there[3] = {args[0], args[1], args[2]};
    there[k] += by;
    return ad_op_value(row_of(n->operation), there);
}

/* Slopes on either side that differ are a kink; the step is small, the difference must not be. */
static bool is_kink(const trace_node *n, const double args[3], int k)
{
    const double h = 1e-6 * fmax(1, fabs(args[k])), y = n->value[0];
    const double right = (moved(n, args, k, h) - y) / h, left = (y - moved(n, args, k, -h)) / h;
    if (isnan(right) || isnan(left) || !isfinite(y))
        return false;
    return fabs(right - left) > 1e-3 * fmax(1, fmax(fabs(right), fabs(left)));
}

static void note_partial(notes *s, const trace_node *n, const double args[3], int k)
{
    const char *doc = ad_op_at(row_of(n->operation))->doc;
    const bool infinite = !isfinite(n->partials[k]);
    char text[32];
    if (n->parents[k] < 0 || !isfinite(n->value[0]) || !begins_here(n, args) ||
        (!infinite && !is_kink(n, args, k)))
        return;
    begin(s, n);
    if (!s->to)
        return;
    put_arguments(s, n, args);
    fprintf(s->to,
            infinite ? ": its derivative by %s is %s there (%s: %s)\n"
                     : " has a kink; as its derivative by %s is taken %s (%s: %s)\n",
            s->t->nodes[n->parents[k]].label, trace_number(text, n->partials[k], s->digits),
            n->operation, doc);
}

/* Of a tensor the first element that is not finite. */
static void note_tensor(notes *s, const trace_node *n)
{
    char text[32];
    int64_t i = 0;
    for (int k = 0; k < n->n_parents; k++)
        for (int64_t j = 0; n->parents[k] >= 0 && j < s->t->nodes[n->parents[k]].size; j++)
            if (!isfinite(s->t->nodes[n->parents[k]].value[j]))
                return; /* it began before */
    while (i < n->size && isfinite(n->value[i]))
        i++;
    if (i == n->size)
        return;
    begin(s, n);
    if (s->to)
        fprintf(s->to, ": element %lld is %s, of arguments that are finite\n", (long long)i,
                trace_number(text, n->value[i], s->digits));
}

int trace_put_notes(const trace *t, int digits, FILE *to)
{
    notes s = {.t = t, .digits = digits, .to = to};
    for (int i = 0; i < t->n; i++) {
        double args[3] = {0};
        if (t->nodes[i].rank)
            note_tensor(&s, &t->nodes[i]);
        if (!arguments_of(&s, &t->nodes[i], args))
            continue;
        note_value(&s, &t->nodes[i], args);
        for (int k = 0; k < t->nodes[i].n_parents; k++)
            note_partial(&s, &t->nodes[i], args, k);
    }
    return s.n;
}
