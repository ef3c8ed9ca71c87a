/* expression_tape.c - from a tape back to an expression
 *
 * The nodes of a tape are in an order in which operands come first, and so are those of an
 * expression: one loop down marks what is needed, one loop up makes it. */
#define AD_PLAIN
#include "algebra.h"
#include "symbolic.h"
#include "tape.h"
#include <string.h>

static void mark_needed(const ad_tape *t, int64_t top, const int64_t *made, bool *needed)
{
    for (int64_t i = top; i >= 0; i--) {
        if (!needed[i] || made[i] != NOT_MADE)
            continue;
        int64_t parent;
        for (int k = 0; (parent = ad_node_parent(t, i, k)) >= 0; k++)
            needed[parent] = true;
    }
}

static int64_t leaf(ad_expression *e, int64_t unmade)
{
    const int name = (int)(-2 - unmade);
    e->free[name] = true;
    return expr_leaf(e, name);
}

static int64_t convert(ad_expression *e, const ad_tape *t, int64_t i, const int64_t *made)
{
    const node *n = &t->head.nodes[i];
    const unsigned op = node_op(n);
    if (op == CODE_CONSTANT && isfinite(n->u.value))
        return expr_number(e, n->u.value);
    if (op >= AD_OP_COUNT_)
        return NOT_MADE;
    int64_t children[3] = {0};
    const int arity = elementwise_ops[op].info.arity;
    for (int k = 0; k < arity; k++)
        children[k] = made[ad_node_parent(t, i, k)];
    return expr_call(e, (int)op, arity, children);
}

bool expr_from_tape(ad_expression *e, const ad_tape *t, int64_t n, const int64_t *tops,
                    int64_t *made)
{
    int64_t top = -1;
    for (int64_t k = 0; k < n; k++)
        top = tops[k] > top ? tops[k] : top;
    const size_t bytes = (size_t)top + 1;
    bool *needed = memory_take(context_or_default(NULL), bytes), ok = needed != NULL;
    for (int64_t k = 0; ok && k < n; k++)
        needed[tops[k]] = true;
    if (ok)
        mark_needed(t, top, made, needed);
    for (int64_t i = 0; ok && i <= top; i++) {
        if (!needed[i] || made[i] >= 0)
            continue;
        made[i] = made[i] == NOT_MADE ? convert(e, t, i, made) : leaf(e, made[i]);
        ok = made[i] >= 0;
    }
    memory_give(context_or_default(NULL), needed, bytes);
    return ok;
}

static ad_expression *of_constant(double value)
{
    ad_expression *e = isfinite(value) ? expr_new() : NULL;
    if (e && (e->result = expr_number(e, value)) >= 0)
        return e;
    ad_expression_free(e);
    return NULL;
}

/* Each name once, each for a scalar of this tape. Inputs that y does not depend on may be among
 * them: they are left out. */
static bool name_inputs(ad_expression *e, const ad_tape *t, int64_t top, int n,
                        const ad_var *inputs, const char *const *names, int64_t *made)
{
    for (int k = 0; k < n; k++) {
        const size_t length = names[k] ? strlen(names[k]) : 0;
        const int64_t i = inputs[k].tape == t ? ad_var_node(inputs[k]) : -1;
        if (!length || expr_name_length(names[k]) != length || i < 0 ||
            expr_function_named(names[k], length) != NO_FUNCTION ||
            expr_name(e, names[k], length) != k)
            return false;
        if (i <= top && node_op(&t->head.nodes[i]) != CODE_TENSOR)
            made[i] = expr_unmade(k);
    }
    return true;
}

/* Comparisons that only guard the recording are left out. A constant that is not finite has no
 * text: NULL. */
ad_expression *ad_expression_of(ad_var y, int n, const ad_var *inputs, const char *const *names)
{
    if (!y.tape || n < 0 || (n && (!inputs || !names)))
        return NULL;
    if (is_constant(y))
        return of_constant(y.u.constant);
    const int64_t top = ad_var_node(y);
    if (top < 0)
        return NULL;
    const size_t bytes = ((size_t)top + 1) * sizeof(int64_t);
    int64_t *made = memory_take(context_or_default(NULL), bytes);
    ad_expression *e = made ? expr_new() : NULL;
    for (int64_t i = 0; made && i <= top; i++)
        made[i] = NOT_MADE;
    const bool ok = e && name_inputs(e, y.tape, top, n, inputs, names, made) &&
                    expr_from_tape(e, y.tape, 1, &top, made);
    if (ok)
        e->result = made[top];
    memory_give(context_or_default(NULL), made, bytes);
    if (ok)
        return e;
    ad_expression_free(e);
    return NULL;
}
