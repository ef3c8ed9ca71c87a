/* trace.c - makes a trace: reads the expression and the point, records, sweeps, and asks the tape
 */
#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "point.h"
#include "rule.h"

/* ---- small things ---- */

static char *copy(const char *text)
{
    char *to = malloc(strlen(text) + 1);
    return to ? strcpy(to, text) : NULL;
}

void trace_free(trace *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n; i++) {
        trace_node *n = &t->nodes[i];
        for (int k = 0; n->symbols && k < n->n_parents; k++)
            free(n->symbols[k]);
        free(n->symbols);
        free(n->formula);
        free(n->defined_as);
        free(n->value);
        free(n->adjoint);
        free(n->tangents);
        free(n->parents);
        free(n->partials);
    }
    free(t->nodes);
    free(t->wrt);
    free(t->differences);
    free(t->text);
    ad_expression_free(t->expression);
    ad_tape_free(t->tape);
    free(t);
}

/* ---- recording ---- */

typedef struct maker {
    const trace_request *request;
    trace *t;
    point point;
    ad_env *env;     /* the names of the trace's tape */
    int64_t *places; /* of each of the expression's nodes on the tape */
    int *numbers;    /* of each node of the tape in the trace; -1: none */
    char *wrong;
} maker;

static bool no_memory(maker *m)
{
    complain(m->wrong, "out of memory");
    return false;
}

static bool record(maker *m)
{
    trace *t = m->t;
    t->tape = ad_tape_new(NULL);
    m->env = ad_env_new(t->tape);
    m->places = malloc((size_t)ad_expression_node_count(t->expression) * sizeof *m->places);
    if (!m->env || !m->places)
        return no_memory(m);
    if (!point_inputs(&m->point, t->expression, t->tape, m->env, m->wrong))
        return false;
    ad_var y = ad_record_expression(m->env, t->expression, m->places);
    if (ad_tape_status(t->tape))
        return complain(m->wrong, "%s", ad_tape_error(t->tape));
    if (ad_var_node(y) < 0)
        return complain(m->wrong, "'%s' depends on no input: there is nothing to derive", t->text);
    if (ad_size(y) != 1)
        return complain(m->wrong, "'%s' is a tensor: end in a number, as in sum(...) or norm(...)",
                        t->text);
    if (ad_backward_keep(y))
        return complain(m->wrong, "%s", ad_tape_error(t->tape));
    t->result = (int)ad_var_node(y); /* its number in the trace comes later */
    return true;
}

/* ---- nodes ---- */

static bool is_shown(const ad_node_info *info)
{
    return info->kind == AD_NODE_INPUT || info->kind == AD_NODE_OPERATION;
}

/* v for nodes, but where an input is called like one of them another letter. */
static char free_letter(const ad_expression *e)
{
    for (const char *letter = "vuwnz"; *letter; letter++) {
        bool taken = false;
        for (int i = 0; i < ad_expression_name_count(e); i++) {
            const char *name = ad_expression_name(e, i);
            taken = taken || (*name == *letter && name[1] >= '0' && name[1] <= '9');
        }
        if (!taken)
            return *letter;
    }
    return '_';
}

static bool number_nodes(maker *m)
{
    trace *t = m->t;
    const int64_t all = ad_node_count(t->tape);
    m->numbers = malloc((size_t)all * sizeof *m->numbers + 1);
    t->nodes = calloc((size_t)all + 1, sizeof *t->nodes);
    if (!m->numbers || !t->nodes)
        return no_memory(m);
    t->scalars = true;
    const char letter = free_letter(t->expression);
    for (int64_t i = 0; i < all; i++) {
        ad_node_info info;
        m->numbers[i] = -1;
        if (ad_node_at(t->tape, i, &info) || !is_shown(&info))
            continue;
        trace_node *n = &t->nodes[t->n];
        m->numbers[i] = t->n++;
        n->on_tape = i;
        n->operation = info.operation;
        n->is_input = info.kind == AD_NODE_INPUT;
        n->rank = info.rank;
        n->shape = info.shape;
        n->size = ad_size(ad_node_var(t->tape, i));
        n->n_parents = n->is_input ? 0 : info.n_parents;
        t->scalars = t->scalars && info.rank == 0;
        snprintf(n->name, sizeof n->name, "%c%d", letter, t->n);
        strcpy(n->label, n->name);
    }
    t->result = m->numbers[t->result];
    return true;
}

static bool name_nodes(maker *m)
{
    trace *t = m->t;
    for (int i = 0; i < ad_expression_name_count(t->expression); i++) {
        const char *name = ad_expression_name(t->expression, i);
        trace_node *n = &t->nodes[m->numbers[ad_var_node(ad_env_get(m->env, name))]];
        if (strlen(name) >= sizeof n->label)
            return complain(m->wrong, "'%s': a trace has room for names of %d bytes", name,
                            (int)sizeof n->label - 1);
        snprintf(n->label, sizeof n->label, "%s", name);
    }
    for (int64_t i = 0; i < ad_expression_node_count(t->expression); i++) {
        ad_expression_node info;
        if (ad_expression_node_at(t->expression, i, &info) || m->places[i] < 0)
            continue;
        const int number = m->numbers[m->places[i]];
        if (number < 0 || t->nodes[number].defined_as || t->nodes[number].length)
            continue;
        t->nodes[number].at = info.at;
        t->nodes[number].length = info.length;
        if (!t->nodes[number].is_input && !(t->nodes[number].defined_as = copy(info.defined_as)))
            return no_memory(m);
    }
    return true;
}

static bool read_values(maker *m, trace_node *n)
{
    const ad_var v = ad_node_var(m->t->tape, n->on_tape);
    const size_t bytes = (size_t)n->size * sizeof(double) + 1;
    n->value = malloc(bytes);
    n->adjoint = calloc(1, bytes);
    if (!n->value || !n->adjoint || ad_read(v, n->value))
        return no_memory(m);
    if (ad_dtype_of(v) != AD_I32)
        ad_grad_read(v, n->adjoint);
    return true;
}

/* What a parent is called in formulas: a label, or the number of a constant. */
static bool parent_label(maker *m, const trace_node *n, int k, char out[TRACE_NAME])
{
    const int64_t parent = ad_node_parent(m->t->tape, n->on_tape, k);
    ad_node_info info;
    if (n->parents[k] >= 0)
        snprintf(out, TRACE_NAME, "%s", m->t->nodes[n->parents[k]].label);
    else if (!ad_node_at(m->t->tape, parent, &info) && info.rank == 0)
        snprintf(out, TRACE_NAME, "%.12g", info.value);
    else
        snprintf(out, TRACE_NAME, "constant");
    return true;
}

static bool describe_operation(maker *m, trace_node *n)
{
    char labels[RULE_MOST][TRACE_NAME];
    const char *texts[RULE_MOST];
    const int shown = n->n_parents < RULE_MOST ? n->n_parents : RULE_MOST;
    n->parents = calloc((size_t)n->n_parents + 1, sizeof *n->parents);
    n->symbols = calloc((size_t)n->n_parents + 1, sizeof *n->symbols);
    n->partials = calloc((size_t)n->n_parents + 1, sizeof *n->partials);
    if (!n->parents || !n->symbols || !n->partials)
        return no_memory(m);
    for (int k = 0; k < n->n_parents; k++) {
        n->parents[k] = m->numbers[ad_node_parent(m->t->tape, n->on_tape, k)];
        n->partials[k] = ad_node_partial(m->t->tape, n->on_tape, k);
        if (k < shown)
            parent_label(m, n, k, labels[k]);
        texts[k < shown ? k : 0] = labels[k < shown ? k : 0];
    }
    n->formula = rule_formula(n->operation, n->n_parents, texts);
    for (int k = 0; n->formula && k < n->n_parents; k++)
        if (!(n->symbols[k] = rule_partial(n->operation, n->n_parents, k, texts, n->label)))
            return no_memory(m);
    return n->formula ? true : no_memory(m);
}

static bool describe(maker *m, trace_node *n)
{
    if (!n->defined_as && !(n->defined_as = copy("")))
        return no_memory(m);
    if (!read_values(m, n))
        return false;
    if (!n->is_input)
        return describe_operation(m, n);
    n->formula = copy(n->label);
    return n->formula ? true : no_memory(m);
}

/* ---- tangents ---- */

static bool choose_wrt(maker *m)
{
    trace *t = m->t;
    const char *list = m->request->wrt;
    t->wrt = calloc((size_t)t->n + 1, sizeof *t->wrt);
    if (!t->wrt)
        return no_memory(m);
    while (list && *list) {
        const size_t length = strcspn(list, ",");
        int found = -1;
        for (int i = 0; i < t->n; i++)
            if (t->nodes[i].is_input && !t->nodes[i].is_wrt &&
                strlen(t->nodes[i].label) == length && memcmp(t->nodes[i].label, list, length) == 0)
                found = i;
        if (found < 0)
            return complain(m->wrong, "--wrt: '%.*s' is no input of '%s', or named twice",
                            (int)length, list, t->text);
        t->nodes[found].is_wrt = true;
        t->wrt[t->n_wrt++] = found;
        list += length + (list[length] == ',');
    }
    for (int i = 0; !m->request->wrt && i < t->n; i++)
        if (t->nodes[i].is_input)
            t->wrt[t->n_wrt++] = i;
    for (int k = 0; k < t->n_wrt; k++)
        t->nodes[t->wrt[k]].is_wrt = true;
    return true;
}

/* One forward sweep along input k, over all nodes that have tangents. */
static bool sweep(maker *m, int k, const ad_var *vars, double **results, int n)
{
    trace *t = m->t;
    const double one = 1, *seed = &one;
    const ad_var x = ad_node_var(t->tape, t->nodes[t->wrt[k]].on_tape);
    for (int i = 0; i < n; i++)
        results[i] = t->nodes[i].tangents + (int64_t)k * t->nodes[i].size;
    if (ad_jvp(1, &x, &seed, n, vars, results, 1))
        return complain(m->wrong, "%s", ad_tape_error(t->tape));
    return true;
}

static bool make_tangents(maker *m)
{
    trace *t = m->t;
    ad_var *vars = calloc((size_t)t->n + 1, sizeof *vars);
    double **results = calloc((size_t)t->n + 1, sizeof *results);
    bool good = vars && results ? true : no_memory(m);
    for (int i = 0; good && i < t->n; i++) {
        vars[i] = ad_node_var(t->tape, t->nodes[i].on_tape);
        t->nodes[i].tangents = calloc((size_t)(t->nodes[i].size * t->n_wrt) + 1, sizeof(double));
        good = t->nodes[i].tangents ? true : no_memory(m);
    }
    for (int k = 0; good && t->scalars && k < t->n_wrt; k++)
        good = sweep(m, k, vars, results, t->n);
    free(vars);
    free(results);
    return good;
}

/* ---- differences ---- */

static double value_at(trace *t, const trace_node *x, double value)
{
    const ad_var y = ad_node_var(t->tape, t->nodes[t->result].on_tape);
    if (ad_set(ad_node_var(t->tape, x->on_tape), value) || ad_replay(t->tape))
        return NAN;
    return ad_value(y);
}

/* A third opinion that knows nothing of derivatives: the slope between two points nearby, which is
 * right to some ten digits. A comparison that comes out differently there leaves it undefined. */
static bool make_differences(maker *m)
{
    trace *t = m->t;
    t->differences = calloc((size_t)t->n_wrt + 1, sizeof *t->differences);
    if (!t->differences)
        return no_memory(m);
    for (int k = 0; k < t->n_wrt; k++) {
        const trace_node *x = &t->nodes[t->wrt[k]];
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): of the nodes that were made
        const double at = x->value[0], h = 6e-6 * fmax(1, fabs(at)), up = at + h, down = at - h;
        t->differences[k] = NAN;
        if (x->rank)
            continue;
        t->differences[k] = (value_at(t, x, up) - value_at(t, x, down)) / (up - down);
        value_at(t, x, at);
    }
    return true;
}

/* ---- all of it ---- */

static bool make(maker *m)
{
    trace *t = m->t;
    ad_parse_error error;
    if (!(t->text = copy(m->request->text)))
        return no_memory(m);
    t->expression = ad_parse(t->text, &error);
    if (!t->expression)
        return complain_at(m->wrong, "", t->text, &error);
    if (!point_read(&m->point, m->request->at, m->wrong) || !record(m) || !number_nodes(m) ||
        !name_nodes(m))
        return false;
    for (int i = 0; i < t->n; i++)
        if (!describe(m, &t->nodes[i]))
            return false;
    return choose_wrt(m) && make_tangents(m) && make_differences(m);
}

trace *trace_new(const trace_request *request, char wrong[TRACE_WRONG])
{
    maker m = {.request = request, .wrong = wrong};
    *wrong = 0;
    m.t = calloc(1, sizeof *m.t);
    bool good = m.t ? make(&m) : no_memory(&m);
    ad_env_free(m.env);
    point_free(&m.point);
    free(m.places);
    free(m.numbers);
    if (good)
        return m.t;
    trace_free(m.t);
    return NULL;
}

int trace_contributions(const trace *t, int i, trace_contribution *out)
{
    int n = 0;
    for (int from = t->n - 1; from > i; from--)
        for (int k = 0; k < t->nodes[from].n_parents; k++)
            if (t->nodes[from].parents[k] == i) {
                const double adjoint = t->nodes[from].adjoint[0];
                const double value = adjoint == 0 ? 0 : adjoint * t->nodes[from].partials[k];
                if (out)
                    out[n] = (trace_contribution){from, k, value};
                n++;
            }
    return n;
}
