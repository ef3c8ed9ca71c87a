/* expression.c - an expression as data: flat arrays of nodes and children, children first
 *
 * There is no recursion: who walks an expression walks an array. */
#define AD_PLAIN
#include "expression.h"
#include <string.h>

/* uthash asks here for memory; it must never exit */
#define HASH_NONFATAL_OOM         1
#define uthash_malloc(bytes)      memory_take(context_or_default(NULL), bytes)
#define uthash_free(p, bytes)     memory_give(context_or_default(NULL), p, bytes)
#define uthash_nonfatal_oom(word) ((word)->lost = true)
#include <uthash.h>

struct expr_word {
    UT_hash_handle hh;
    size_t bytes;
    int place;
    bool lost; /* uthash ran out of memory when it was added */
    char text[];
};

/* ---- memory ---- */

/* Room for one more in an array of n; false when out of memory. */
static bool grow(void **array, int64_t n, int64_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    const int64_t more = *capacity ? 2 * *capacity : 16;
    void *bigger = memory_take(context_or_default(NULL), (size_t)more * size);
    if (!bigger)
        return false;
    if (*array) {
        memcpy(bigger, *array, (size_t)n * size);
        memory_give(context_or_default(NULL), *array, (size_t)*capacity * size);
    }
    *array = bigger;
    *capacity = more;
    return true;
}

ad_expression *expr_new(void)
{
    return memory_take(context_or_default(NULL), sizeof(ad_expression));
}

void ad_expression_free(ad_expression *e)
{
    const ad_context *c = context_or_default(NULL);
    if (!e)
        return;
    struct expr_word *word, *next;
    HASH_ITER(hh, e->words, word, next)
    {
        HASH_DEL(e->words, word);
        memory_give(c, word, word->bytes);
    }
    memory_give(c, e->names, (size_t)e->names_capacity * sizeof *e->names);
    memory_give(c, e->free, (size_t)e->free_capacity * sizeof *e->free);
    memory_give(c, e->definitions, (size_t)e->definitions_capacity * sizeof *e->definitions);
    memory_give(c, e->nodes, (size_t)e->capacity * sizeof *e->nodes);
    memory_give(c, e->children, (size_t)e->children_capacity * sizeof *e->children);
    memory_give(c, e, sizeof *e);
}

/* ---- building ---- */

static struct expr_word *word_new(ad_expression *e, const char *name, size_t length)
{
    const size_t bytes = sizeof(struct expr_word) + length + 1;
    struct expr_word *word = memory_take(context_or_default(NULL), bytes);
    if (!word)
        return NULL;
    word->bytes = bytes;
    word->place = e->n_names;
    memcpy(word->text, name, length);
    HASH_ADD_KEYPTR(hh, e->words, word->text, length, word);
    if (!word->lost)
        return word;
    memory_give(context_or_default(NULL), word, bytes);
    return NULL;
}

int expr_name(ad_expression *e, const char *name, size_t length)
{
    struct expr_word *word;
    HASH_FIND(hh, e->words, name, length, word);
    if (word)
        return word->place;
    if (!grow((void **)&e->names, e->n_names, &e->names_capacity, sizeof *e->names) ||
        !grow((void **)&e->free, e->n_names, &e->free_capacity, sizeof *e->free) ||
        !grow((void **)&e->definitions, e->n_names, &e->definitions_capacity,
              sizeof *e->definitions))
        return -1;
    if (!(word = word_new(e, name, length)))
        return -1;
    e->names[e->n_names] = word->text;
    e->free[e->n_names] = false;
    e->definitions[e->n_names] = -1;
    return e->n_names++;
}

static int64_t add(ad_expression *e, expr_node node, int n, const int64_t *children)
{
    if (!grow((void **)&e->nodes, e->n, &e->capacity, sizeof *e->nodes))
        return -1;
    node.first = e->n_children;
    node.n = n;
    for (int k = 0; k < n; k++) {
        if (!grow((void **)&e->children, e->n_children, &e->children_capacity, sizeof *e->children))
            return -1;
        e->children[e->n_children++] = children[k];
    }
    e->nodes[e->n] = node;
    return e->n++;
}

int64_t expr_number(ad_expression *e, double number)
{
    return add(e, (expr_node){.kind = AD_EXPRESSION_NUMBER, .number = number}, 0, NULL);
}

int64_t expr_leaf(ad_expression *e, int name)
{
    return add(e, (expr_node){.kind = AD_EXPRESSION_NAME, .name = name}, 0, NULL);
}

int64_t expr_call(ad_expression *e, int function, int n, const int64_t *children)
{
    return add(e, (expr_node){.kind = AD_EXPRESSION_CALL, .function = function}, n, children);
}

int64_t expr_array(ad_expression *e, int rows, int n, const int64_t *children)
{
    return add(e, (expr_node){.kind = AD_EXPRESSION_ARRAY, .rows = rows}, n, children);
}

/* ---- looking at it ---- */

static bool is_free(const ad_expression *e, int i)
{
    double value;
    return e->free[i] && !expr_constant(e->names[i], &value);
}

int ad_expression_name_count(const ad_expression *e)
{
    int n = 0;
    for (int i = 0; e && i < e->n_names; i++)
        n += is_free(e, i);
    return n;
}

const char *ad_expression_name(const ad_expression *e, int wanted)
{
    for (int i = 0; e && i < e->n_names; i++)
        if (is_free(e, i) && wanted-- == 0)
            return e->names[i];
    return NULL;
}

int64_t ad_expression_result(const ad_expression *e) { return e ? e->result : -1; }

int64_t ad_expression_node_count(const ad_expression *e) { return e ? e->n : 0; }

ad_status ad_expression_node_at(const ad_expression *e, int64_t i, ad_expression_node *info)
{
    if (!e || !info)
        return AD_NULL;
    if (i < 0 || i >= e->n)
        return AD_BAD_INDEX;
    const expr_node *n = &e->nodes[i];
    *info = (ad_expression_node){.kind = n->kind,
                                 .name = n->kind == AD_EXPRESSION_NAME ? e->names[n->name]
                                         : n->kind == AD_EXPRESSION_CALL
                                             ? expr_function_at(n->function).name
                                             : "",
                                 .number = n->number,
                                 .n_children = n->n,
                                 .rows = n->rows,
                                 .at = n->at,
                                 .length = n->length,
                                 .defined_as = n->defined ? e->names[n->defined - 1] : ""};
    return AD_OK;
}

int64_t ad_expression_child(const ad_expression *e, int64_t i, int k)
{
    return e && i >= 0 && i < e->n && k >= 0 && k < e->nodes[i].n ? expr_children(e, i)[k] : -1;
}
