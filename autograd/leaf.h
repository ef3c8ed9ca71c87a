/* leaf.h - what tape.c needs of leaves when it removes nodes */
#ifndef LEAF_H
#define LEAF_H
#include "tape.h"

extern const block_op leaf_op; /* inputs, constants, parameters: nothing to compute */
void leaves_release(
    ad_tape *t, uint32_t from); /* drops references to borrowed tensors of nodes from there on */
void params_forget(ad_tape *t);
void scopes_forget(ad_tape *t);
void scopes_cut(ad_tape *t, uint32_t nodes);

#endif
