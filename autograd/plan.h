/* plan.h - how a captured program is run: in which order, in which passes over memory, where
 *
 * A plan changes no bit of any result. It says which nodes are computed once, which elementwise
 * nodes go through memory together, which results are written straight into a state, and which
 * buffers share memory. The nodes themselves stay as they were captured. */
#ifndef PLAN_H
#define PLAN_H
#include "algebra.h"
#include "kernels.h"
#include "tape.h"

/* What a plan may do; tests leave some of it out and compare. Without any there is no plan. */
enum {
    PASS_ONCE = 1,      /* views, and what follows from constants, are computed once */
    PASS_FUSE = 2,      /* elementwise nodes in one pass over memory */
    PASS_STATE = 4,     /* results go straight into the state they are assigned to */
    PASS_REUSE = 8,     /* buffers that nobody reads any more are used again */
    PASS_COMPOUND = 16, /* expressions that are known as one loop */
    PASS_COMMON = 32,   /* what is computed twice is computed once */
    PASS_SUM = 64,      /* sums and means by the pass that computes their elements */
    PASS_ALL = 127
};

typedef struct summed { /* a sum that a pass takes; where the sums of its tiles are */
    uint32_t node;
    size_t parts;
} summed;

/* Elementwise nodes over one shape, computed tile by tile. Operands and results are lanes: first
 * the operands, then the results that are kept, then scratch of one tile. */
typedef struct fused_op {
    uint16_t code; /* row of ops.def, or AD_OP_COUNT_ and more: of compounds.def; FUSED_SUM */
    uint8_t n_vectors, n_scalars, n_results;
    uint16_t x[COMPOUND_VECTORS + COMPOUND_SCALARS], y[COMPOUND_RESULTS]; /* lanes */
    const summed *sum;
} fused_op;
enum { FUSED_SUM = AD_OP_COUNT_ + COMPOUNDS };

typedef struct fused_store { /* after each tile: what was read must be read before it is written */
    uint16_t from, to;
} fused_store;

typedef struct fused {
    uint32_t n_ops, n_in, n_out, n_slots, n_stores;
    uint32_t like;   /* a node of the shape */
    uint32_t *nodes; /* of the lanes but scratch */
    fused_op *ops;
    fused_store *stores;
} fused;

typedef struct plan_step { /* nodes from..to-1 one after the other, or a pass, or one product, or
                              what is left of one sum */
    uint32_t from, to;
    const fused *pass;
    bool product;
    const summed *sum;
    bool reads_input; /* a tensor, or a view of it */
} plan_step;

typedef struct plan {
    plan_step *once, *steps; /* `once` when memory is bound, `steps` in every run */
    uint32_t n_once, n_steps, n_fused, n_products, n_sums, n_writes, n_commits;
    uint32_t first_write; /* the first step that changes a state */
    size_t *place;        /* of each node's buffer in the pool; NO_PLACE */
    size_t pool, slots;   /* bytes: of the pool, and of the scratch of the largest pass */
    summed *sums;         /* by node */
    size_t parts;         /* sums of tiles, of all */
    assignment *writes;   /* values computed in the memory of their states */
    assignment *commits;  /* values copied there after the run */
} plan;
#define NO_PLACE SIZE_MAX

struct ad_program;
/* The plan of a program that was just captured; NULL in *out where there is nothing to plan. false:
 * out of memory. */
bool plan_program(struct ad_program *p, unsigned passes, plan **out);

/* ---- a pass in a workspace ---- */

typedef struct lane {
    char *data, *at; /* first element; of the panel that is walked */
    int64_t stride[AD_MAX_RANK], row, step;
    ad_dtype dtype;
    bool is_vector; /* is it read as an array of a tile */
    enum { LANE_DIRECT, LANE_ONE, LANE_REPEATED, LANE_GATHERED } kind;
} lane;

typedef struct bound { /* a pass over the arrays of a workspace */
    const fused *pass;
    const struct kernels *kernels;
    const ad_context *context;
    ad_dtype dtype;
    int rank; /* of the axes, merged where they lie behind one another in all lanes */
    int64_t shape[AD_MAX_RANK], tile_rows, tile;
    int64_t share; /* tiles that a thread takes at a time; 0: no threads */
    lane *lanes;
    void **at;              /* of each lane and slot, in the tile that is walked */
    uint32_t *busy, n_busy; /* lanes that are brought into buffers */
    bool is_single;         /* one tile is all there is */
    double *scalars;        /* the values of lanes that are numbers */
    double *parts;          /* sums of tiles */
} bound;

/* Memory for a pass; scratch is shared by all passes of a workspace. NULL: out of memory. */
bool bound_make(bound *b, const fused *pass, ad_dtype dtype, arena *memory);
void bound_arrays(bound *b, const frame *f, char *scratch);
void bound_run(bound *b);
size_t bound_scratch(const fused *pass); /* bytes */

const summed *plan_sum(const plan *p, uint32_t i); /* that of node i, which is one */
void sum_run(frame *f, const summed *s, const double *parts);

/* ---- among the parts of the planner ---- */

enum {
    MARK_FIXED = 1,
    MARK_KEPT = 2,
    MARK_FUSABLE = 4,
    MARK_FALLIBLE = 8,
    MARK_DEAD = 16,
    MARK_SUMMED = 32
};

typedef struct planner {
    struct ad_program *p;
    const node *nodes;
    uint32_t n;
    unsigned passes;
    arena temporary;
    plan *plan;
    uint8_t *marks;
    uint32_t *base;  /* the node whose memory a view shows */
    uint32_t *first; /* of each node's users */
    uint32_t *users;
    uint32_t *group; /* of elementwise nodes that run together; NO_NODE */
    uint32_t n_groups;
    fused *passes_of;         /* each group */
    uint32_t *order, n_order; /* nodes, of a group its first, as they run */
    uint32_t *position;       /* of each node in this order */
    uint32_t *state;          /* that a value is written to in place; NO_NODE */
    uint32_t *over;           /* the operand whose memory a result of a pass takes over; NO_NODE */
} planner;

/* What a node is computed from: gives the number, and where they are (few has room for three). */
static inline uint32_t node_operands(const planner *q, uint32_t i, const uint32_t **list,
                                     uint32_t few[3])
{
    const node *n = &q->nodes[i];
    const unsigned op = node_op(n);
    *list = few;
    if (q->marks[i] & MARK_DEAD)
        return 0;
    if (op < AD_OP_COUNT_ || op == CODE_GUARD) {
        few[0] = node_a(n);
        few[1] = node_b(n);
        if (op == CODE_GUARD)
            return 2;
        const int arity = elementwise_ops[op].info.arity;
        if (arity == 3)
            few[2] = node_a(n - 1);
        return (uint32_t)arity;
    }
    const block *b = block_at(q->nodes, i);
    *list = b ? b->args : few;
    return b ? b->n_args : 0;
}
/* Is nothing done for it? */
bool node_idle(const planner *q, uint32_t i);
/* Is it computed when memory is bound, and not in every run? */
bool node_once(const planner *q, uint32_t i);
bool same_lines(const planner *q, uint32_t a, uint32_t b); /* dtype and shape */
bool plan_common(planner *q);                              /* plan_common.c */
bool plan_groups(planner *q);                              /* plan_fuse.c */
bool plan_sums(planner *q);                                /* plan_sum.c */
bool plan_order(planner *q);                               /* plan_order.c */
bool plan_states(planner *q);                              /* plan_place.c */
bool plan_places(planner *q);
/* at most: their scratch must stay in cache */
enum { PASS_NODES = 128, PASS_SUMS = 8 };
/* Is node i, a reader of a member of group g, a part of its pass? */
static inline bool reads_inside(const planner *q, uint32_t i, uint32_t g)
{
    return q->group[i] == g || (q->marks[i] & MARK_SUMMED);
}
bool plan_passes(planner *q); /* plan_pass.c */

#endif
