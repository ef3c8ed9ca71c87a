/* algebra.h - the rows of ops.def as tables: what sweeps over arrays, checks and documentation look
 * up */
#ifndef ALGEBRA_H
#define ALGEBRA_H
#include "ad.h"

typedef struct elementwise {
    ad_op_info info;
    bool flows[3]; /* does a cotangent flow to argument k */
    bool plain[3]; /* and is it g itself */
    double (*value)(const double x[3]);
    void (*partials)(double g, const double x[3], double y,
                     double dx[3]);    /* cotangents of all arguments */
    double (*kink)(const double x[3]); /* distance; infinite where smooth */
    /* the rule, recorded: cotangents as variables, for the arguments wanted */
    void (*record)(ad_var g, ad_var a, ad_var b, ad_var c, ad_var y, const bool wants[3],
                   ad_var dx[3]);
} elementwise;

extern const elementwise elementwise_ops[AD_OP_COUNT_];

/* The cotangent of argument k, with magnitudes in place of terms: an upper bound of what rounding
 * may be relative to. */
double elementwise_magnitude(int op, int k, double g, const double x[3], double y);

/* One operation over duals, by dual.h: dy <- tangents at the values x, whose tangents are dx[0..2]
 * (NULL: zero), in one or eight directions; gives the value. */
double tangent_scalar_1(int op, const double x[3], const double *const dx[3], double *dy);
double tangent_scalar_8(int op, const double x[3], const double *const dx[3], double *dy);

/* Distance of the point from the nearest one without a finite derivative: a kink, or here, where it
 * is infinite. */
double elementwise_distance(int op, const double x[3]);

/* Tests of the checks break one rule on purpose: in a library built for that, a variable says
 * which. */
#ifdef AD_MUTATION
enum { MUTATE_NOTHING, MUTATE_SIGN, MUTATE_DROP, MUTATE_SWAP };
typedef struct mutation {
    int op, argument, kind;
    const char *block; /* name of a structured operation whose cotangents change sign, or NULL */
} mutation;
extern AD_API mutation ad_mutation;
#define MUTATED(op_, k, raw)                                                                       \
    (ad_mutation.kind == MUTATE_NOTHING || ad_mutation.op != (int)(op_) ||                         \
             ad_mutation.argument != (k)                                                           \
         ? raw(g, a, b, c, y)                                                                      \
     : ad_mutation.kind == MUTATE_SIGN ? -raw(g, a, b, c, y)                                       \
     : ad_mutation.kind == MUTATE_DROP ? 0 * y                                                     \
                                       : raw(g, b, a, c, y))
#else
#define MUTATED(op_, k, raw) raw(g, a, b, c, y)
#endif

#endif
