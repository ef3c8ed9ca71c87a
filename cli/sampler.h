/* sampler.h - an expression at many points: its value, and its derivatives by some of its inputs */
#ifndef SAMPLER_H
#define SAMPLER_H
#include "point.h"

typedef struct sampler {
    const ad_expression *expression;
    point at; /* the inputs that stay; those that move are set anew */
    ad_tape *tape;
} sampler;

/* false and what is wrong; to be freed in either case. */
bool sampler_new(sampler *s, const ad_expression *e, const char *at, char wrong[TRACE_WRONG]);
void sampler_free(sampler *s);
/* At n numbers for n names; the derivatives by them. What is not defined is NaN or infinite. */
bool sampler_read(sampler *s, int n, const char *const *names, const double *x, double *value,
                  double *gradient, char wrong[TRACE_WRONG]);

#endif
