/* simplify.h - the normal form of an expression: what simplify.c makes, and its rooms share
 *
 * Forms and lists of their parts are in simplify_forms.c, the operations and the choices that are
 * put together in simplify.c, the way back to an expression in simplify_render.c. */
#ifndef SIMPLIFY_H
#define SIMPLIFY_H
#include "coefficient.h"
#include "symbolic.h"

/* uthash asks here for memory; it must never exit */
#define HASH_NONFATAL_OOM         1
#define uthash_malloc(bytes)      memory_take(context_or_default(NULL), bytes)
#define uthash_free(p, bytes)     memory_give(context_or_default(NULL), p, bytes)
#define uthash_nonfatal_oom(form) ((form)->lost = true)
#include <uthash.h>

/* SMALL: parts of what is opened though it is shared */
enum { SMALL = 8, FOLDED_EXPONENT = 64, LARGEST_EXPONENT = 1 << 28 };

typedef enum form_kind { NUMBER, NAME, CALL, PRODUCT, SUM, SCALED } form_kind;

typedef struct form form;

typedef struct term {
    coefficient c;
    form *of; /* that of the number 1, where the term is a number */
} term;

typedef struct part { /* of a CALL or PRODUCT: a form to a power; of a SUM, or SCALED: a term */
    form *of;
    coefficient c;
    int64_t exponent;
} part;

struct form {
    UT_hash_handle hh; /* by its key: kind, what, number and parts, in the order of their ids */
    form_kind kind;
    int what; /* the function of a CALL, the place of a NAME in `names` */
    double number;
    int64_t n, id;
    int64_t out;  /* its node in the result */
    part *shown;  /* the parts in the order to be written */
    int defined;  /* 1 + place of the name that a definition gives it; 0: none */
    bool needed;  /* in the result */
    bool lost;    /* uthash ran out of memory when it was added */
    part parts[]; /* the first is the head of the key */
};

typedef struct item { /* a term or a factor of a list that is being made */
    part part;
    int64_t order;
} item;

typedef struct list { /* where it begins among the items, and what stands before its factors */
    int64_t base;
    coefficient lead;
} list;

typedef struct visit { /* a node of a chain, and the sign or exponent that it has there */
    int64_t node;
    int sign;
} visit;

typedef struct normal {
    const ad_expression *e;
    ad_expression *y;
    arena memory;
    form *forms, *last, *one;
    int64_t n_forms;
    term *terms;   /* of each node of e */
    int64_t *user; /* of each node: the one that uses it, or one of these: */
    list list;     /* the one that is being made: the last of the items */
    item *items;
    int64_t n, capacity, pushed;
    int choices; /* within choices */
    visit *stack;
    bool failed; /* out of memory */
} normal;
enum { UNUSED = -1, SHARED = -2 };

static inline term term_of(form *f) { return (term){{1, 1}, f}; }

static inline term term_of_number(const normal *s, double number)
{
    return (term){{number == 0 ? 0 : number, 1}, s->one};
}

static inline bool term_is_number(const normal *s, term t) { return t.of == s->one && t.c.q == 1; }

static inline bool form_may_open(const form *f, form_kind kind)
{
    return f->kind == kind && !f->defined && f->n <= SMALL;
}

static inline int compared(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

/* ---- forms: simplify_forms.c ---- */

/* field by field: what a struct may have between them would be in the key */
void part_set(part *to, part from);
form *form_new(normal *s, form_kind kind, int what, double number, int64_t n);
/* the form that there is already, or this one, the last that was taken since the mark */
form *form_unique(normal *s, form *f, arena_mark mark);
form *form_leaf(normal *s, form_kind kind, int what, double number);
form *form_of(normal *s, term t);

/* ---- lists of terms and factors: simplify_forms.c ---- */

int list_by_order(const void *left, const void *right);
void list_sort(normal *s, int (*order)(const void *, const void *));
void list_join(normal *s, form_kind kind);
/* A list within a list: what was begun is ended, with the term that it became. */
list list_begin(normal *s);
term list_end(normal *s, list outer, term t);
/* what is put into it: a term of a sum; a number, or a term, to a power, of a product */
void list_add(normal *s, term t, int sign);
void list_scale(normal *s, coefficient c, int64_t exponent);
void list_multiply(normal *s, term t, int64_t exponent);
/* what it is, choices aside */
term list_sum(normal *s);
term list_product(normal *s);

/* ---- back to an expression: simplify_render.c ---- */

/* writes what the result needs to s->y */
void form_render(normal *s, form *result);

#endif
