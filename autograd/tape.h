/* tape.h - what a tape is inside: nodes, blocks, and the frame that sweeps run on
 *
 * A node is 16 bytes (ad_record.h), and its adjoint 8 more elsewhere: scalars live in it. Anything
 * else - a tensor, or a scalar computed from tensors - has a block: a descriptor with arguments,
 * attributes and arrays. A scalar that has a block finds it in the hidden node before its own; a
 * tensor's node points to it.
 *
 * A frame is a program with its values: nodes, blocks, and the memory that sweeps need. A tape
 * holds one, and so does every workspace of a captured program; the sweeps know nothing else. */
#ifndef TAPE_H
#define TAPE_H
#include "array.h"
#include "memory.h"
#include <stdarg.h>

/* node codes beyond the elementwise operations of ops.def */
enum {
    CODE_INPUT = 240,  /* a scalar leaf; operand a links to the input before it; ad_record.h knows
                          the number */
    CODE_CONSTANT,     /* a scalar constant */
    CODE_HIDDEN,       /* third operand (as a) of the node after it, or its block (as value) */
    CODE_SCALAR_BLOCK, /* a scalar computed by the block of the hidden node before it */
    CODE_TENSOR,       /* the block is the value */
    CODE_GUARD         /* a comparison of a and b: bits = comparison * 2 + outcome */
};
#define NO_NODE ((uint32_t)AD_MAX_NODES - 1)

typedef ad_node_ node;
static inline unsigned node_op(const node *n) { return (unsigned)(n->code & 255); }
static inline uint32_t node_a(const node *n)
{
    return (uint32_t)(n->code >> 8) & (AD_MAX_NODES - 1);
}
static inline uint32_t node_b(const node *n) { return (uint32_t)(n->code >> 36); }
static inline uint64_t node_code(unsigned op, uint32_t a, uint32_t b)
{
    return (uint64_t)op | (uint64_t)a << 8 | (uint64_t)b << 36;
}

/* ---- blocks ---- */

typedef struct block block;
typedef struct frame frame;
typedef struct rule rule;

/* A structured operation. Dtypes: value and adjoint work in the arrays' own; tangent gets and gives
 * contiguous doubles. NULL adjoint: no gradient flows. */
typedef struct block_op {
    const char *name;
    /* computes the result from the arguments; for a view: points b->out into the argument */
    ad_status (*value)(frame *f, block *b);
    /* given the cotangent g of the result (dtype and shape of the result; contiguous but for
     * any_strides), adds to the arguments' by adjoint_add and friends. Where f->magnitude is set,
     * sums |contributions| instead (g >= 0 then). */
    ad_status (*adjoint)(frame *f, block *b, const array *g);
    /* dy from da[k] (NULL where zero): contiguous doubles of the shapes of result and arguments;
     * a[k], y likewise */
    ad_status (*tangent)(frame *f, block *b, const array *a, const array *y, const array *const *da,
                         array *dy);
    /* The same for scalars of scalars, in place of tangent where there are very many: of `width`
     * directions, where sweep_tangent keeps them. */
    ad_status (*tangents)(frame *f, block *b, double *tangents, int width);
    /* cotangents of the arguments as variables, in terms of other operations */
    void (*record)(rule *r);
    /* distance from the nearest kink; NULL: smooth */
    double (*kink)(frame *f, block *b);
    bool is_view;     /* the result shares the argument's memory */
    bool is_leaf;     /* no arguments: input, parameter, constant, random draw */
    bool any_strides; /* adjoint reads g wherever it lies */
    bool is_impure;   /* more than the arguments decides the result: a user's function may */
} block_op;

/* whose memory a cotangent is in: the sweep's, another node's (see adjoint_lend), or the tape's */
enum adj_place { ADJ_SCRATCH, ADJ_LENT, ADJ_LASTING };

enum leaf_kind { LEAF_NONE, LEAF_INPUT, LEAF_CONSTANT, LEAF_PARAMETER };

struct block {
    const block_op *op;
    const char *name; /* of the operation */
    int code;         /* row of ops.def for elementwise, else -1 */
    uint32_t node;    /* its node */
    uint32_t n_args;
    const uint32_t *args;
    bool needs_grad;
    bool retained;
    enum leaf_kind leaf;
    uint32_t next_leaf; /* the leaf block before it */
    void *attr; /* what the operation needs to know: constant, shared by copies of the block */
    size_t attr_bytes;
    void *saved; /* what value() leaves for adjoint() */
    size_t saved_bytes;
    array out; /* of a tensor; a scalar's value is in its node: use frame_array */
    array adj; /* cotangent, valid when adj_pass is the frame's pass */
    uint64_t adj_pass;
    enum adj_place adj_place;
    double *tangent;          /* of each direction, contiguous doubles; NULL: zero */
    struct ad_tensor *tensor; /* of a borrowed leaf */
    struct ad_param *param;
    uint64_t version, checksum;
};

struct frame {
    const ad_context *context;
    node *nodes;
    double *adjoints; /* of scalars, by node; zero outside of sweeps, except where they are kept */
    uint32_t n;
    uint32_t room;                 /* adjoints that there are */
    uint32_t dirty;                /* adjoints from here on are zero, but for */
    uint32_t stale_from, stale_to; /* those of nodes that were removed since the last sweep */
    arena *memory;                 /* lives as long as the nodes */
    arena *scratch;                /* lives for one sweep */
    uint64_t pass;                 /* of backward: tells fresh cotangents from stale ones */
    bool magnitude; /* sum magnitudes of contributions: for the rounding bound of the gradient check
                     */
    uint64_t seed, step;
    uint32_t last_input, last_leaf; /* scalar inputs; tensor leaves: linked lists, NO_NODE ends */
    uint32_t failed_node;           /* where a sweep stopped */
    char note[160];                 /* and why, where the status does not say */
};

static inline block *block_at(const node *nodes, uint32_t i)
{
    unsigned op = node_op(&nodes[i]);
    return op == CODE_TENSOR         ? nodes[i].u.block
           : op == CODE_SCALAR_BLOCK ? nodes[i - 1].u.block
                                     : NULL;
}

static inline bool shape_negative(int rank, const int64_t *shape)
{
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0)
            return true;
    return false;
}
/* the value of any node as an array: a scalar's is of rank 0, in its node */
array frame_array(const frame *f, uint32_t node);
bool node_needs_grad(const frame *f, uint32_t node);
/* where the cotangent of a node goes: see adjoint_slot */
array frame_slot(frame *f, uint32_t node, bool *fresh);

/* ---- for authors of blocks: arguments and cotangents ---- */

static inline array block_arg(const frame *f, const block *b, int k)
{
    return frame_array(f, b->args[k]);
}
static inline array block_result(const frame *f, const block *b) { return frame_array(f, b->node); }
static inline bool block_wants(const frame *f, const block *b, int k)
{
    return node_needs_grad(f, b->args[k]);
}

/* The cotangent of an argument as a contiguous array in the argument's shape and dtype. *fresh: it
 * holds rubbish and must be written; else it must be added to. data is NULL when out of memory. */
array adjoint_slot(frame *f, const block *b, int k, bool *fresh);
/* The same, zeroed if it was fresh: only to be added to. */
array adjoint_zeroed(frame *f, const block *b, int k);
/* Adds a contribution of the argument's shape (any strides, any float dtype). */
ad_status adjoint_add(frame *f, const block *b, int k, const array *contribution);
/* The same of a contribution that is g, or all of g seen otherwise: where it is the first, nothing
 * is copied, and the argument borrows g's memory until another contribution arrives. */
ad_status adjoint_lend(frame *f, const block *b, int k, const array *contribution);
/* Contiguous scratch for one sweep; data NULL when out of memory. */
array scratch_array(frame *f, ad_dtype dtype, int rank, const int64_t *shape);
/* `a` itself if contiguous and of that dtype, else a contiguous copy in scratch. */
array scratch_contiguous(frame *f, const array *a, ad_dtype dtype);

/* What `record` gets: everything as variables; it sets da[k] (null: nothing flows) where wants[k].
 */
struct rule {
    ad_tape *tape;
    const block *b;
    const void *attr;
    ad_var g, y;
    const ad_var *a;
    uint32_t n;
    const bool *wants;
    ad_var *da;
};

/* ---- tape ---- */

typedef struct epoch_mark { /* nodes from `nodes` on were removed when `epoch` began */
    uint32_t epoch, nodes;
} epoch_mark;

typedef struct scope_change {
    const char *path;
    uint32_t node, parent; /* parent: number of the change that opened the scope around it */
} scope_change;

typedef struct assignment {
    uint32_t state, value;
} assignment;

struct ad_tape {
    ad_head_ head; /* first: what the inlined path sees */
    frame frame;
    arena memory, scratch;
    const ad_context *context;
    pages node_pages, adjoint_pages, site_pages, epoch_pages, scope_pages, assign_pages, mark_pages,
        retain_pages;
    uint32_t room; /* nodes that fit, with a source site each */
    uint32_t n_epochs, n_scopes, scope, n_assigns, n_marks, n_retained;
    int paused;
    bool deferring, behind;         /* are tensors computed later; is there something to compute */
    bool kept;                      /* the last sweep left adjoints on all nodes */
    uint32_t swept_top;             /* of nodes below this */
    struct param_entry *params;     /* uthash: parameter -> leaf */
    struct scope_path *scope_paths; /* uthash: full path of a scope */
    const char *rule_site; /* while rules are recorded: the site of the operation they belong to */
    ad_status status;
    char error[512];
    bool error_sited;
};

/* nodes and limits after anything changed: keeps head.limit at what the inlined path may use */
void tape_sync(ad_tape *t);
/* room for `more` nodes (and as many site changes); reports AD_NO_MEMORY or AD_TOO_LARGE */
bool tape_room(ad_tape *t, uint32_t more);
/* an adjoint for every node, before a sweep; reports AD_NO_MEMORY */
bool tape_adjoints(ad_tape *t);
/* is this tape alive, without error, and are we recording */
static inline bool tape_ok(const ad_tape *t) { return t && t->status == AD_OK; }
/* The same, asked by an operation as it begins: an error from before is not its own and does not
 * get its site. */
bool tape_ready(ad_tape *t);
/* Keeps the first error; text as printf, "operation: what". Gives a poisoned handle. */
ad_var tape_fail(ad_tape *t, ad_status status, const char *site, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;
ad_var tape_poison(ad_tape *t);
ad_var tape_var(const ad_tape *t, uint32_t node);
const char *tape_site(const ad_tape *t, uint32_t node);
const char *tape_scope(const ad_tape *t, uint32_t node);
/* The same text, kept as long as the tape, for sites that are not literals; NULL when out of
 * memory. */
const char *tape_interned(ad_tape *t, const char *text);
uint32_t tape_push(ad_tape *t, unsigned op, uint32_t a, uint32_t b, double value, const char *site);
static inline bool is_constant(ad_var a)
{
    return (const void *)a.tape == (const void *)&ad_constant_head_;
}
/* The node of a handle on t; reports null, stale and foreign handles and gives NO_NODE. */
uint32_t tape_node(ad_tape *t, ad_var a, const char *operation);
bool tape_valid(const ad_tape *t, ad_var a); /* a handle of t: does its node still exist */
bool is_retained(const ad_tape *t, uint32_t node);
/* writes the assigned values to their parameters, after all reads */
ad_status frame_commit(frame *f, uint32_t n, const assignment *all);
/* Takes the scratch memory for that beforehand: then it cannot fail. */
bool commit_reserve(frame *f, uint32_t n, const assignment *all);
/* The same for reading functions, which may not record: */
ad_status var_check(ad_var a, uint32_t *node);
/* The first real tape among arguments, or NULL. */
ad_tape *tape_of(int n, const ad_var *args);
/* Computes what was recorded without being computed; gives the tape's status. */
ad_status tape_catch_up(ad_tape *t);
/* borrowed leaves unchanged since they were recorded? */
ad_status frame_check_borrowed(frame *f);
const char *op_name(const frame *f, uint32_t node); /* "sin", "matmul", "input" ... */

/* ---- recording of blocks ---- */

typedef struct call {
    ad_tape *tape;
    const char *name;
    uint32_t n;
    uint32_t *ids;
    array *in; /* the arguments' values */
    bool ok;
} call;

/* Checks the handles, finds the tape, turns constants into nodes. false: an error is on the tape;
 * give back call_poison(c). Rank-0 arguments are scalars. */
bool call_begin(call *c, const char *name, ad_tape *tape, int n, const ad_var *args);
ad_var call_poison(const call *c);
ad_var call_fail(call *c, ad_status status, const char *format,
                 ...) /* text without the operation's name */
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* An attribute, copied into the tape's memory by call_end. */
typedef struct call_attr {
    const void *data;
    size_t bytes, saved_bytes;
} call_attr;
/* Makes the node, with a result of this dtype and shape (rank 0 and AD_F64: a scalar), and computes
 * it. */
ad_var call_end(call *c, const block_op *op, int code, ad_dtype dtype, int rank,
                const int64_t *shape, call_attr attr);
/* For scalars of very many scalars: a block with its attribute, n arguments and their numbers in
 * c->ids, which are still to be filled in, before call_scalar_end. NULL: an error is on the tape.
 */
block *call_scalar(call *c, const block_op *op, uint32_t n, size_t attr_bytes);
ad_var call_scalar_end(call *c, block *b);
/* axis counted from the end if negative, checked; -1 and an error on the tape */
int call_axis(call *c, int axis, int rank);
/* an argument must be a float or double tensor or a scalar (integer tensors are refused) */
bool call_float(call *c, int k);

/* ---- sweeps ---- */

ad_status sweep_forward(frame *f, uint32_t from);
/* nodes from..end-1 of such a sweep; f->note is empty */
ad_status sweep_range(frame *f, uint32_t from, uint32_t end);
/* adjoints must be seeded; visits top..0; keep: leaves every adjoint in place */
ad_status sweep_backward(frame *f, uint32_t top, bool keep);
ad_status block_adjoint(frame *f, block *b, const array *g); /* one operation's part of the sweep */
void frame_begin_pass(frame *f, bool accumulate);
void frame_clear_adjoints(frame *f); /* of all scalars, after a kept sweep */
ad_status frame_seed(frame *f, uint32_t node, const double *seed, double scale); /* NULL: ones */
/* tangents of every node; W directions: those of scalars in tangents[node * W + w], of tensors in
 * their block */
ad_status sweep_tangent(frame *f, uint32_t from, double *tangents, int width);
void frame_report(ad_tape *t, ad_status status,
                  const char *what); /* a sweep's failure onto the tape */

#endif
