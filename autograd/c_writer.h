/* c_writer.h - lines of C about the arrays of a program: loops over them, and their elements */
#ifndef C_WRITER_H
#define C_WRITER_H
#include "c_helpers.h"
#include "c_rows.h"
#include "program.h"

typedef struct c_object { /* an array of the text, by its name: b12, x0, p1, y2, c7 */
    char letter;          /* 0: a scalar, a variable s12 */
    uint32_t number;      /* of guards: what the function gives where it fails */
    bool is_written;      /* of parameters: is it assigned */
} c_object;

typedef struct c_writer {
    const ad_program *p;
    ad_workspace *layout; /* says where arrays lie in their objects; its values mean nothing */
    const char *name;
    FILE *to; /* NULL: only finds out what is needed */
    int depth;
    c_rows rows;
    c_helpers helpers;
    bool *is_live, *is_used; /* by node: does a result need it; does the text name its object */
    uint32_t *base;          /* of each node: whose object it is in */
    c_object *objects;       /* of bases */
    size_t *place, memory;   /* bytes: of b.. in m; SIZE_MAX: not there */
    size_t scratch;          /* behind them, for one step: r */
    const char *lacking;
    ad_status status;
} c_writer;

#define C_SCRATCH NO_NODE

typedef struct c_lane { /* an array, as it lies in an object */
    uint32_t node;      /* or C_SCRATCH, of which it is the beginning */
    array a;
} c_lane;

c_lane c_lane_of(const c_writer *w, uint32_t i);
c_lane c_scratch(c_writer *w, ad_dtype dtype, int rank, const int64_t *shape);
static inline bool c_is_scalar(const c_writer *w, uint32_t i)
{
    return i != C_SCRATCH && node_op(&w->p->frame.nodes[i]) != CODE_TENSOR;
}

/* Loops i0, i1 ... over arrays of one shape; axes that lie behind one another in all are merged. */
typedef struct c_nest {
    int rank;
    int64_t shape[AD_MAX_RANK];
    int64_t (*stride)[AD_MAX_RANK]; /* of each array */
} c_nest;

c_nest c_nest_of(c_writer *w, int n, const array *arrays, bool merged);
/* Loops from..to-1 of the nest; each ends its line, and what follows is one deeper. */
void c_open(c_writer *w, const c_nest *n, int from, int to);
void c_close(c_writer *w, int loops);

void c_put(c_writer *w, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void c_begin_line(c_writer *w);
void c_number(c_writer *w, double x, ad_dtype dtype);
void c_scalar(c_writer *w, uint32_t i);    /* node i, a number: its name or its value */
void c_name(c_writer *w, const c_lane *l); /* of the object; a scalar's value */
/* "3*i0 + i1": of array k of a nest, in its object */
void c_index(c_writer *w, const c_lane *l, const c_nest *n, int k);
void c_element(c_writer *w, const c_lane *l, const c_nest *n, int k);
/* A pointer to it. */
void c_pointer(c_writer *w, const c_lane *l, const c_nest *n, int k);
const char *c_type(ad_dtype dtype);
/* sum_f64 ... and notes that it is needed */
void c_helper(c_writer *w, int helper, ad_dtype dtype);

#endif
