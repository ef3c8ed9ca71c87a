/* expression_text.c - writes an expression as text that reads back as the same program
 *
 * Two passes over the nodes, neither with recursion. The first, children before parents, decides
 * which nodes get a statement of their own: those that have a name; those that several others use
 * and whose text is long, so that the whole grows with the number of nodes; and those at which
 * brackets would nest too deep for the parser. The second writes statement by statement.
 *
 * An operation is written with its sign only where the parser makes the same node of that. */
#define AD_PLAIN
#include "algebra.h"
#include "expression.h"
#include <string.h>

/* How much holds an operation's text together: binding powers as in parse.c, and one above all. */
enum { COMPARISON = 10, ADDITION = 20, PRODUCT = 30, PREFIX = 40, POWER = 50, ATOM = 60 };
enum { LONG = 12, ENDLESS = 1 << 20, DEEP = 150 /* of the 200 that the parser allows */ };

typedef struct sign {
    int function;
    int binding, left,
        right; /* of its text, and that its operands need to stand without brackets */
    const char *before, *between, *after;
} sign;

static const sign signs[] = {
    {AD_OP_equal, COMPARISON, ADDITION, ADDITION, "", " == ", ""},
    {AD_OP_not_equal, COMPARISON, ADDITION, ADDITION, "", " != ", ""},
    {AD_OP_less, COMPARISON, ADDITION, ADDITION, "", " < ", ""},
    {AD_OP_less_equal, COMPARISON, ADDITION, ADDITION, "", " <= ", ""},
    {AD_OP_greater, COMPARISON, ADDITION, ADDITION, "", " > ", ""},
    {AD_OP_greater_equal, COMPARISON, ADDITION, ADDITION, "", " >= ", ""},
    {AD_OP_add, ADDITION, ADDITION, PRODUCT, "", " + ", ""},
    {AD_OP_sub, ADDITION, ADDITION, PRODUCT, "", " - ", ""},
    {AD_OP_mul, PRODUCT, PRODUCT, PREFIX, "", "*", ""},
    {AD_OP_div, PRODUCT, PRODUCT, PREFIX, "", "/", ""},
    {AD_OP_neg, PREFIX, PREFIX, 0, "-", "", ""},
    {AD_OP_square, POWER, ATOM, 0, "", "", "^2"},
    {AD_OP_pow, POWER, ATOM, PREFIX, "", "^", ""},
    {AD_OP_powi, POWER, ATOM, PREFIX, "", "^", ""},
};
static const sign matrix_product = {NO_FUNCTION, PRODUCT, PRODUCT, PREFIX, "", " @ ", ""};

typedef struct note { /* what the first pass finds out about a node */
    int64_t uses;
    int64_t fresh; /* it gets the name t and this number; 0: it does not */
    int name;      /* the first that a definition gives it; -1: none */
    int binding;
    int depth, length; /* of its text: expressions within expressions, and bytes, up to ENDLESS */
} note;

typedef struct place { /* where in a tree the writing is */
    int64_t node;
    int child; /* the next */
    bool bracket;
} place;

typedef struct printer {
    const ad_expression *e;
    note *notes; /* of each node */
    int *others; /* of a name: the next one that is defined as the same node; -1: none */
    place *stack;
    int matmul;
    char *to;
    size_t size, length; /* room, and bytes so far */
} printer;

/* ---- pieces ---- */

static void put(printer *p, const char *text)
{
    const size_t n = strlen(text), room = p->length < p->size ? p->size - p->length : 0;
    if (room)
        memcpy(p->to + p->length, text, n < room ? n : room);
    p->length += n;
}

static bool is_literal(const expr_node *n)
{
    return n->kind == AD_EXPRESSION_NUMBER && !n->defined;
}

/* NULL: it is written as a call. */
static const sign *sign_of(const printer *p, const expr_node *n)
{
    const expr_node *nodes = p->e->nodes;
    const int64_t *children = p->e->children + n->first;
    if (n->kind != AD_EXPRESSION_CALL)
        return NULL;
    if (n->function == p->matmul)
        return &matrix_product;
    if (n->function == AD_OP_neg && is_literal(&nodes[children[0]])) /* -2 is a number */
        return NULL;
    if ((n->function == AD_OP_pow || n->function == AD_OP_powi) &&
        expr_power_for(&nodes[children[1]]) != n->function)
        return NULL;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].function == n->function)
            return &signs[i];
    return NULL;
}

static int binding_of(const printer *p, const expr_node *n)
{
    const sign *s = sign_of(p, n);
    if (s)
        return s->binding;
    return n->kind == AD_EXPRESSION_NUMBER && signbit(n->number) ? PREFIX : ATOM;
}

static bool has_label(const printer *p, int64_t node)
{
    return p->notes[node].name >= 0 || p->notes[node].fresh;
}

static void put_label(printer *p, int64_t node)
{
    char text[32];
    const note *n = &p->notes[node];
    snprintf(text, sizeof text, "t%lld", (long long)n->fresh);
    put(p, n->name >= 0 ? p->e->names[n->name] : text);
}

/* What stands before child k. */
static void put_before(printer *p, const expr_node *n, int k)
{
    const sign *s = sign_of(p, n);
    if (s) {
        put(p, k ? s->between : s->before);
    } else if (n->kind == AD_EXPRESSION_ARRAY) {
        put(p, k == 0 ? "[" : n->rows && k % (n->n / n->rows) == 0 ? "; " : ", ");
    } else if (k) {
        put(p, ", ");
    } else {
        put(p, expr_function_at(n->function).name);
        put(p, "(");
    }
}

/* What stands after the last child; all of a leaf. */
static void put_end(printer *p, const expr_node *n)
{
    const sign *s = sign_of(p, n);
    char text[EXPR_NUMBER_TEXT];
    if (n->kind == AD_EXPRESSION_NUMBER)
        expr_write_number(text, n->number);
    put(p, n->kind == AD_EXPRESSION_NUMBER  ? text
           : n->kind == AD_EXPRESSION_NAME  ? p->e->names[n->name]
           : n->kind == AD_EXPRESSION_ARRAY ? "]"
           : s                              ? s->after
                                            : ")");
}

static bool wants_bracket(const printer *p, const expr_node *n, int k, int64_t child)
{
    const sign *s = sign_of(p, n);
    return s && !has_label(p, child) && p->notes[child].binding < (k ? s->right : s->left);
}

/* ---- the first pass ---- */

static bool is_leaf(const expr_node *n)
{
    return n->kind == AD_EXPRESSION_NUMBER || n->kind == AD_EXPRESSION_NAME;
}

/* How deep the parser is in child k, counted from where it begins to read the parent. */
static int depth_of(const printer *p, const expr_node *n, int k, int64_t child)
{
    const sign *s = sign_of(p, n);
    const bool begins = s && k == 0 && !*s->before; /* the parent's text begins with the child's */
    return (has_label(p, child) ? 1 : p->notes[child].depth) + wants_bracket(p, n, k, child) +
           !begins;
}

static void measure(printer *p, int64_t i)
{
    const expr_node *n = &p->e->nodes[i];
    note *own = &p->notes[i];
    own->binding = binding_of(p, n);
    own->depth = 1;
    p->length = 0;
    for (int k = 0; k < n->n; k++) {
        const int64_t child = expr_children(p->e, i)[k];
        if (depth_of(p, n, k, child) > DEEP && !is_leaf(&p->e->nodes[child]))
            p->notes[child].fresh = 1;
        const int depth = depth_of(p, n, k, child);
        own->depth = depth > own->depth ? depth : own->depth;
        put_before(p, n, k);
        if (has_label(p, child))
            put_label(p, child);
        else
            p->length += (size_t)p->notes[child].length + 2 * wants_bracket(p, n, k, child);
    }
    put_end(p, n);
    own->length = p->length < ENDLESS ? (int)p->length : ENDLESS;
    if (own->uses > 1 && own->name < 0 && !is_leaf(n) && own->length > LONG)
        own->fresh = 1;
}

static void find_names(printer *p)
{
    const ad_expression *e = p->e;
    for (int64_t i = 0; i < e->n; i++)
        p->notes[i].name = -1;
    for (int i = e->n_names; i-- > 0;) {
        if (e->definitions[i] < 0)
            continue;
        note *n = &p->notes[e->definitions[i]];
        p->others[i] = n->name;
        n->name = i;
    }
}

/* By the result, by definitions, and by what these use. */
static void count_uses(printer *p)
{
    const ad_expression *e = p->e;
    p->notes[e->result].uses++;
    for (int64_t i = e->n; i-- > 0;)
        for (int k = 0; (p->notes[i].uses || p->notes[i].name >= 0) && k < e->nodes[i].n; k++)
            p->notes[expr_children(e, i)[k]].uses++;
}

/* Of a name such as t12: 12; 0 of others. */
static int64_t number_of(const char *name, int64_t most)
{
    int64_t number = 0;
    if (name[0] != 't' || name[1] == '0')
        return 0;
    for (const char *c = name + 1; *c; c++) {
        if (*c < '0' || *c > '9' || number > most)
            return 0;
        number = 10 * number + (*c - '0');
    }
    return number <= most ? number : 0;
}

/* t1, t2 ... to the nodes that need a name, without those that there are already. */
static bool number_fresh(printer *p)
{
    const ad_expression *e = p->e;
    int64_t wanted = 0, next = 1;
    for (int64_t i = 0; i < e->n; i++)
        wanted += p->notes[i].fresh;
    const int64_t most = wanted + e->n_names;
    bool *taken = memory_take(context_or_default(NULL), (size_t)most + 1);
    if (!taken)
        return false;
    for (int i = 0; i < e->n_names; i++)
        taken[number_of(e->names[i], most)] = true;
    for (int64_t i = 0; i < e->n; i++) {
        if (!p->notes[i].fresh)
            continue;
        while (taken[next])
            next++;
        p->notes[i].fresh = next++;
    }
    memory_give(context_or_default(NULL), taken, (size_t)most + 1);
    return true;
}

/* ---- the second pass ---- */

static void put_tree(printer *p, int64_t root)
{
    int64_t n = 0;
    p->stack[n++] = (place){.node = root};
    while (n) {
        place *at = &p->stack[n - 1];
        const expr_node *node = &p->e->nodes[at->node];
        if (at->child == node->n) {
            put_end(p, node);
            put(p, at->bracket ? ")" : "");
            n--;
            continue;
        }
        const int64_t child = expr_children(p->e, at->node)[at->child];
        const bool bracket = wants_bracket(p, node, at->child, child);
        put_before(p, node, at->child++);
        put(p, bracket ? "(" : "");
        if (has_label(p, child))
            put_label(p, child);
        else
            p->stack[n++] = (place){.node = child, .bracket = bracket};
    }
}

static void put_definitions(printer *p, int64_t node)
{
    put_label(p, node);
    put(p, " = ");
    put_tree(p, node);
    if (p->notes[node].name < 0)
        return;
    for (int i = p->others[p->notes[node].name]; i >= 0; i = p->others[i]) {
        put(p, "; ");
        put(p, p->e->names[i]);
        put(p, " = ");
        put_label(p, node);
    }
}

/* Definitions in the order of their nodes, and the result, if it is not the last of them. */
static void put_statements(printer *p)
{
    const ad_expression *e = p->e;
    int64_t last = -1;
    for (int64_t i = 0; i < e->n; i++) {
        if (!has_label(p, i))
            continue;
        put(p, last < 0 ? "" : "; ");
        put_definitions(p, i);
        last = i;
    }
    if (last == e->result)
        return;
    put(p, last < 0 ? "" : "; ");
    if (has_label(p, e->result))
        put_label(p, e->result);
    else
        put_tree(p, e->result);
}

/* The arrays are smaller than the nodes themselves: their sizes cannot overflow. */
size_t ad_expression_text(const ad_expression *e, char *to, size_t size)
{
    const ad_context *c = context_or_default(NULL);
    if (to && size)
        *to = 0;
    if (!e || !e->n)
        return 0;
    const size_t notes = (size_t)e->n * sizeof(note), names = (size_t)e->n_names * sizeof(int),
                 places = ((size_t)e->n + 1) * sizeof(place);
    printer p = {.e = e, .matmul = expr_function_named("matmul", 6)};
    p.notes = memory_take(c, notes);
    p.others = memory_take(c, names);
    p.stack = memory_take(c, places);
    bool ok = p.notes && p.others && p.stack;
    if (ok) {
        find_names(&p);
        count_uses(&p);
        for (int64_t i = 0; i < e->n; i++)
            if (p.notes[i].uses || p.notes[i].name >= 0)
                measure(&p, i);
        ok = number_fresh(&p);
    }
    p.length = 0;
    p.to = to;
    p.size = to ? size : 0;
    if (ok)
        put_statements(&p);
    if (p.size)
        to[p.length < size ? p.length : size - 1] = 0;
    memory_give(c, p.notes, notes);
    memory_give(c, p.others, names);
    memory_give(c, p.stack, places);
    return p.length;
}
