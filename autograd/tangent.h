/* tangent.h - tangents of a frame, for those who look at single nodes */
#ifndef TANGENT_H
#define TANGENT_H
#include "tape.h"

double *tangents_begin(frame *f,
                       int width); /* zeros for every node, in scratch; NULL when out of memory */
ad_status tangents_seed(frame *f, uint32_t node, double *tangents, int width, int w,
                        const double *seed);
void tangents_read(const frame *f, uint32_t node, double *tangents, int width, int w, double *out);
/* the sweep, in which the tangents of the `given` nodes are kept as seeded */
ad_status sweep_tangent_given(frame *f, uint32_t from, double *tangents, int width, int n,
                              const uint32_t *given);

#endif
