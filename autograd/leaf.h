/* leaf.h - what tapes and programs need of leaves when they come and go */
#ifndef LEAF_H
#define LEAF_H
#include "tape.h"

extern const block_op leaf_op; /* inputs, constants, parameters: nothing to compute */
void leaves_release(
    ad_tape *t, uint32_t from); /* drops references to borrowed tensors of nodes from there on */
/* References to the tensors that leaves of a program, or of a workspace, read where they lie. */
void leaves_hold(const frame *f);
void leaves_let_go(const frame *f);
void params_forget(ad_tape *t);
void scopes_forget(ad_tape *t);
void scopes_cut(ad_tape *t, uint32_t nodes);

#endif
