/* random.h - counter-based random numbers: every draw is a pure function of where it stands
 *
 * Element i of a draw depends on (seed, key, step, i) only: not on the size of the array, its
 * strides, what was drawn before, or threads. */
#ifndef RANDOM_H
#define RANDOM_H
#include "array.h"

/* Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011. */
void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A stream: what seed, key and step make of the generator. Block i of it is 128 bits. */
typedef struct random_stream {
    uint32_t key[2];
    uint64_t step;
} random_stream;
random_stream random_stream_of(uint64_t seed, uint64_t key, uint64_t step);

/* These fill arrays of any strides, element i being the row-major one. */
void random_uniform(random_stream s, const array *to); /* [0, 1): 53 bits in double, 24 in float */
void random_normal(random_stream s, const array *to);
void random_bernoulli(random_stream s, double p, const array *to); /* the same in every dtype */
/* 0 .. size-1 in random order; size is at most 2^31 - 1. */
void random_permutation(random_stream s, const array *to);

#endif
