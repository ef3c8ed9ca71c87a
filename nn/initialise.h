/* initialise.h - first values of parameters */
#ifndef NN_INITIALISE_H
#define NN_INITIALISE_H
#include "nn.h"

/* Fills `to` by the rule. Draws depend on the seed and the key only. fan_out is ignored where a
 * rule does not need it. */
ad_status nn_initialise(ad_tensor *to, nn_init init, double fan_in, double fan_out, bool bias,
                        uint64_t seed, uint64_t key);
/* 64 bits of a text: FNV-1a, stirred (Stafford's mix 13, as in SplitMix64). */
uint64_t nn_hash(const char *text, uint64_t more);

#endif
