/* plan_c.h - a program with tensors as C: the writer, and what its parts share
 *
 * The text follows the steps of the plan: one function for each pass over memory, and in the
 * program's own function a few lines for each other operation. It is as long as there are steps. */
#ifndef PLAN_C_H
#define PLAN_C_H
#include "c_writer.h"

/* A struct NAME_arrays of pointers, sizes, and `int NAME(const NAME_arrays *at, double *m)`; see
 * ad_program_emit_c. AD_NOT_RECORDED where something has no stand-alone C: *lacking says what. */
ad_status plan_write_c(const ad_program *p, const char *name, FILE *to, const char **lacking);

/* ---- among the parts of the writer ---- */

/* What the writer knows of each node, from its workspace w->layout. false: out of memory. */
bool plan_c_layout(c_writer *w);
/* What node i is computed from; see node_operands. */
uint32_t c_operands(const c_writer *w, uint32_t i, const uint32_t **list, uint32_t few[3]);
bool c_is_output(const c_writer *w, uint32_t i, uint32_t k);

/* A pass over memory: its function, and its call. */
void c_pass_function(c_writer *w, const fused *pass, uint32_t number);
void c_pass_call(c_writer *w, const fused *pass, uint32_t number);

/* A structured operation: the lines that compute it. false: it has no stand-alone C. */
bool c_block(c_writer *w, const block *b);
void c_copy(c_writer *w, const c_lane *to, const c_lane *from, const char *assigns);

#endif
