/* latex_derivation.c - each adjoint as the sum of its contributions, line below line */
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "formula_latex.h"
#include "trace_latex.h"

/* A sum goes on in the next line where this one is full: letters of its text, about. */
enum { LINE = 70, LONG = 90, SHORT = 30 };

/* How a contribution is written: its factors by name, its partial as a formula, as numbers. */
typedef enum stage { BY_NAME, BY_SYMBOL, BY_NUMBER, STAGES } stage;

static bool is_elementwise(const trace_node *n)
{
    for (int i = 0; i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, n->operation) == 0)
            return ad_op_at(i)->elementwise;
    return false;
}

static bool is_same_shape(const trace_node *a, const trace_node *b)
{
    return a->rank == b->rank &&
           (!a->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0);
}

/* Is the node more than one argument of this operation? Then its partials need a number. */
static bool is_repeated(const trace *t, const trace_contribution *c)
{
    const trace_node *from = &t->nodes[c->from];
    int n = 0;
    for (int k = 0; k < from->n_parents; k++)
        n += from->parents[k] == from->parents[c->k];
    return n > 1;
}

static void put_by_name(const trace *t, const trace_contribution *c, FILE *to)
{
    const trace_node *from = &t->nodes[c->from], *x = &t->nodes[from->parents[c->k]];
    const bool repeated = is_repeated(t, c);
    latex_put_name(from->label, "\\bar", to);
    fputs(repeated ? "\\left.\\frac{\\partial " : "\\,\\frac{\\partial ", to);
    latex_put_name(from->label, NULL, to);
    fputs("}{\\partial ", to);
    latex_put_name(x->label, NULL, to);
    fputc('}', to);
    if (repeated)
        fprintf(to, "\\right|_{\\text{argument %d}}", c->k + 1);
}

/* Long formulas may break, which they do in paragraphs only. */
static bool put_symbol(const char *symbol, int least, FILE *to)
{
    const bool is_long = strlen(symbol) > LONG;
    fputs(is_long ? "\\parbox[t]{12cm}{\\raggedright $\\displaystyle " : "", to);
    const bool good = latex_put_formula(symbol, least, to);
    fputs(is_long ? "$}" : "", to);
    return good;
}

static bool put_by_symbol(const trace *t, const trace_contribution *c, FILE *to)
{
    const trace_node *from = &t->nodes[c->from], *x = &t->nodes[from->parents[c->k]];
    if (!is_elementwise(from))
        return put_symbol(from->symbols[c->k], LATEX_TERM, to);
    const bool summed = !is_same_shape(from, x);
    fputs(summed ? "\\textstyle\\sum\\left[" : "", to);
    latex_put_name(from->label, "\\bar", to);
    fputs(from->rank ? " \\odot " : " \\cdot ", to);
    const bool good = put_symbol(from->symbols[c->k], LATEX_FACTOR, to);
    fputs(summed ? "\\right]" : "", to);
    return good;
}

static void put_by_number(const trace *t, const trace_contribution *c, int digits, FILE *to)
{
    const trace_node *from = &t->nodes[c->from];
    latex_put_number(from->adjoint[0], digits, LATEX_FACTOR, to);
    fputs(" \\cdot ", to);
    latex_put_number(from->partials[c->k], digits, LATEX_FACTOR, to);
}

static bool put_sum(const trace *t, int i, int n, const trace_contribution *all, stage s,
                    int digits, FILE *to)
{
    bool good = true;
    size_t used = 0;
    if (i == t->result)
        fputs(n ? "1 + " : "1 \\quad\\text{(the seed)}", to);
    for (int j = 0; good && j < n; j++) {
        const size_t width = s == BY_SYMBOL ? 8 + strlen(t->nodes[all[j].from].symbols[all[j].k])
                             : s == BY_NAME ? 14
                                            : 8 + 2 * (size_t)digits;
        if (used && used + width > LINE) {
            fputs(" \\\\\n  &\\quad {}", to);
            used = 0;
        }
        fputs(j ? " + " : "", to);
        if (s == BY_NAME)
            put_by_name(t, &all[j], to);
        else if (s == BY_NUMBER)
            put_by_number(t, &all[j], digits, to);
        else
            good = put_by_symbol(t, &all[j], to);
        used += width;
    }
    return good;
}

/* Then all that is said of it has room in a line. */
static bool is_short(const trace *t, const trace_contribution *c)
{
    return t->scalars && strlen(t->nodes[c->from].symbols[c->k]) < SHORT;
}

static bool put_adjoint(const trace *t, int i, int n, const trace_contribution *all, int digits,
                        FILE *to)
{
    const trace_node *x = &t->nodes[i];
    bool good = true, numbers = true;
    for (int j = 0; j < n; j++)
        numbers = numbers && has_partials(&t->nodes[all[j].from]);
    const char *equals = n == 1 && i != t->result && is_short(t, &all[0]) ? " = " : " \\\\\n  &= ";
    fputs("\\begin{align*}\n", to);
    latex_put_name(x->label, "\\bar", to);
    fputs(" &= ", to);
    if (!n && i != t->result)
        fputs("0 \\quad\\text{(the result does not depend on it)}", to);
    else if (!n)
        good = put_sum(t, i, n, all, BY_NAME, digits, to);
    for (stage s = numbers ? BY_NAME : BY_SYMBOL; good && n && s < (numbers ? STAGES : BY_NUMBER);
         s++) {
        good = put_sum(t, i, n, all, s, digits, to);
        fputs(equals, to);
    }
    if (n)
        latex_put_values(x, x->adjoint, digits, to);
    fputs("\n\\end{align*}\n", to);
    return good;
}

bool latex_put_derivation(const trace *t, int digits, FILE *to)
{
    bool good = true;
    if (!t->scalars)
        fputs("$\\odot$ multiplies element by element; $\\sum[\\ldots]$ adds up over the axes that "
              "were repeated.\n",
              to);
    for (int i = t->n - 1; good && i >= 0; i--) {
        int n;
        trace_contribution *all = contributions_of(t, i, &n);
        good = all && put_adjoint(t, i, n, all, digits, to);
        free(all);
    }
    return good;
}
