/* program.h - what a program and a workspace are inside
 *
 * A program is a frame without values. A workspace is a copy of that frame with buffers of its own,
 * on which the same sweeps run as on a tape. The program is never written after capture, so any
 * number of threads may run workspaces of it. */
#ifndef PROGRAM_H
#define PROGRAM_H
#include "block_matmul.h"
#include "plan.h"

struct ad_program {
    const ad_context *context;
    arena memory;
    frame frame;          /* nodes, blocks and constants; no other values */
    const char **sites;   /* of each node */
    scope_change *scopes; /* of the nodes from each one's on */
    uint32_t n_scopes, n_inputs, n_outputs, n_params, n_assigns;
    uint32_t *inputs, *outputs, *params;
    assignment *assigns;
    int flags;
    int gradient_at; /* of a compiled one: the output that is the first input's gradient, or -1 */
    int n_gradients; /* and how many of them are gradients */
    struct routine *routine; /* of scalars, compiled: then the frame is empty */
    plan *plan;              /* NULL: node after node, each in a buffer of its own */
    char note[256];          /* why it is not written as C, or has no machine code */
};

struct ad_workspace {
    const ad_program *program;
    arena memory, scratch;
    frame frame;
    array *kept; /* outputs that a commit would write over: as they were before it; others have no
                    data */
    double *x, *m, *out;                 /* of a routine: inputs, memory and outputs */
    void **own;                          /* memory for each input that was set */
    bound *passes;                       /* where there is a plan */
    bound_product *products;             /* c NULL: it does not lie so */
    const ad_tensor **at;                /* parameters when memory was bound */
    const void **memory_at, **inputs_at; /* and where they, and inputs, lay */
    char *pool, *slots;
    double *parts; /* sums of tiles */
    bool bound,
        rehearsed; /* is memory bound; is there scratch memory for all that follows a write */
    bool plain;    /* the plan does not hold for the tensors bound: back to node after node */
    bool ran;
    ad_status status; /* of its making */
    char error[400];
};

/* Memory for the result of node i, a copy of the program's: where the plan says, else its own. */
bool workspace_place(ad_workspace *w, block *b, uint32_t i);
/* ad_run of a program that is no routine */
ad_status frame_run(ad_workspace *w, const double *x, double *out);
/* Parameters, and inputs that are bound to tensors, are read where they are at the time of the run.
 */
void workspace_bind_params(ad_workspace *w);
void workspace_bind_inputs(ad_workspace *w);
bool plan_workspace(ad_workspace *w); /* what a plan needs beside the frame */
/* Forward, by the plan if there is one and it holds; and the assignments. */
ad_status plan_run(ad_workspace *w);
ad_status plan_commit(ad_workspace *w);

/* ad_program_capture with some of the passes of plan.h left out */
ad_program *program_capture(ad_tape *t, int n_inputs, const ad_var *inputs, int n_outputs,
                            const ad_var *outputs, int flags, unsigned passes);

#endif
