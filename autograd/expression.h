/* expression.h - an expression as data, and what the parts of the language share
 *
 * A text is read into nodes (parse.c), which are recorded (environment.c), printed
 * (expression_text.c), made of a tape again (expression_tape.c) and derived (symbolic.c). */
#ifndef EXPRESSION_H
#define EXPRESSION_H
#include "memory.h"

/* A function of the language: a row of ops.def, or a structured operation (functions.c). */
enum { NO_FUNCTION = -1 };

typedef struct expr_node {
    ad_expression_kind kind;
    int function;  /* of a call */
    int name;      /* of a name: its place in `names` */
    int defined;   /* 1 + place in `names` of the name that a definition gives it; 0: none */
    int n, rows;   /* children; rows of an array, 0: a vector */
    int64_t first; /* place of the first child in `children` */
    int64_t at, length;
    int line, column; /* of `at`, for people; 0: it was not read from a text */
    double number;
} expr_node;

struct ad_expression {
    expr_node *nodes;
    int64_t *children;
    struct expr_word *words; /* uthash: a name's place in `names` */
    const char **names;      /* each once; those of definitions, too */
    bool *free;              /* is it one that the environment has to give? */
    int64_t *definitions;    /* the node that a definition says it is; -1: none does */
    int n_names;
    int64_t result; /* the node */
    int64_t n, n_children, capacity, children_capacity, names_capacity, free_capacity,
        definitions_capacity;
};

/* ---- building: -1 (or NULL) when out of memory ---- */

ad_expression *expr_new(void);
int expr_name(ad_expression *e, const char *name, size_t length); /* its place in `names` */
int64_t expr_number(ad_expression *e, double number);
int64_t expr_leaf(ad_expression *e, int name);
int64_t expr_call(ad_expression *e, int function, int n, const int64_t *children);
int64_t expr_array(ad_expression *e, int rows, int n, const int64_t *children);

static inline const int64_t *expr_children(const ad_expression *e, int64_t node)
{
    return e->children + e->nodes[node].first;
}

/* ---- functions ---- */

typedef struct expr_arguments {
    const ad_var *vars;
    int n_vars;
    int64_t integers[AD_MAX_RANK + 4]; /* axes, sizes ... after the variables */
    int n_integers;
    const char *site;
} expr_arguments;

typedef struct expr_function {
    const char *name;
    int least, most; /* arguments */
    int vars;        /* so many of them are variables, the rest integers; -1: all */
    const char *usage;
    ad_var (*record)(ad_tape *tape, const expr_arguments *a);
} expr_function;

/* By name; NO_FUNCTION if there is none. All numbers from 0 to expr_function_count() - 1 are
 * functions; those below AD_OP_COUNT_ are rows of ops.def. */
int expr_function_named(const char *name, size_t length);
int expr_function_count(void);
expr_function expr_function_at(int function);

/* The function that a^exponent stands for: a square and an integer power have rules of their own,
 * which hold for negative bases, too. */
int expr_power_for(const expr_node *exponent);

/* ---- numbers, whatever the locale is ---- */

enum { EXPR_NUMBER_TEXT = 40 };
/* The number that `length` bytes of digits, point and exponent write. */
double expr_read_number(const char *text, size_t length);
/* With the fewest digits that read back as the same number; of finite ones. */
void expr_write_number(char text[EXPR_NUMBER_TEXT], double number);

/* Values of pi and e; false for other names. */
bool expr_constant(const char *name, double *value);
/* Bytes of a name at the beginning of the text; 0: none begins here. */
size_t expr_name_length(const char *text);

#endif
