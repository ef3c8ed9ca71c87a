/* program.c - programs captured from a tape: the nodes that its outputs, assignments and guards
 * depend on, renumbered without gaps */
#define AD_PLAIN
#include "algebra.h"
#include "leaf.h"
#include "routine.h"
#include <string.h>

/* ---- capture ---- */

enum { LISTED = 1 }; /* a mark, before numbers are given */

typedef struct capture {
    ad_tape *t;
    ad_program *p;
    uint32_t *number; /* of each tape node in the program; NO_NODE: not in it */
    uint32_t n;
    unsigned passes;
} capture;

static void need(capture *c, uint32_t i) { c->number[i] = 0; }

/* From the last node to the first: what a needed node is computed from is needed. */
static void mark_needed(capture *c)
{
    const node *nodes = c->t->head.nodes;
    for (uint32_t i = c->n; i-- > 0;) {
        unsigned op = node_op(&nodes[i]);
        if (op == CODE_GUARD)
            need(c, i);
        if (c->number[i] == NO_NODE)
            continue;
        const block *b = block_at(nodes, i);
        for (uint32_t k = 0; b && k < b->n_args; k++)
            need(c, b->args[k]);
        if (op < AD_OP_COUNT_ || op == CODE_GUARD) {
            need(c, node_a(&nodes[i]));
            need(c, node_b(&nodes[i]));
        }
        if (op < AD_OP_COUNT_ && elementwise_ops[op].info.arity == 3) {
            need(c, node_a(&nodes[i - 1]));
            need(c, i - 1);
        }
        if (op == CODE_SCALAR_BLOCK)
            need(c, i - 1);
    }
}

static bool check_inputs_listed(capture *c)
{
    const node *nodes = c->t->head.nodes;
    for (uint32_t k = 0; k < c->p->n_inputs; k++)
        c->number[c->p->inputs[k]] = LISTED;
    for (uint32_t i = 0; i < c->n; i++) {
        const block *b = block_at(nodes, i);
        if (c->number[i] == NO_NODE || c->number[i] == LISTED ||
            (node_op(&nodes[i]) != CODE_INPUT && !(b && b->leaf == LEAF_INPUT)))
            continue;
        tape_fail(c->t, AD_NOT_RECORDED, tape_site(c->t, i),
                  "program: input node %u is used but not among the inputs listed", i);
        return false;
    }
    return true;
}

static block *copy_block(capture *c, const block *from, uint32_t i)
{
    arena *m = &c->p->memory;
    block *b = arena_take(m, sizeof *b);
    uint32_t *args = arena_take(m, (from->n_args + 1) * sizeof *args);
    if (!b || !args)
        return NULL;
    *b = *from;
    for (uint32_t k = 0; k < b->n_args; k++)
        args[k] = c->number[from->args[k]];
    b->args = args;
    b->node = i;
    b->saved = NULL;
    b->adj = (array){0};
    b->adj_pass = 0;
    b->adj_place = ADJ_SCRATCH;
    b->tangent = NULL;
    b->retained = false;
    if (b->leaf != LEAF_INPUT || !array_contiguous(&b->out))
        b->tensor = NULL;
    if (b->attr_bytes && !(b->attr = arena_take(m, b->attr_bytes)))
        return NULL;
    if (b->attr_bytes)
        memcpy(b->attr, from->attr, b->attr_bytes);
    if (b->leaf == LEAF_CONSTANT || (b->leaf == LEAF_INPUT && !b->tensor)) {
        array copy = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
        if (!(copy.data = arena_take(m, array_bytes(&copy))))
            return NULL;
        array_copy(&copy, &b->out);
        b->out = copy;
    } else if (b->leaf == LEAF_NONE) {
        b->out.data = NULL;
    }
    return b;
}

/* renumbers what is needed, and copies it */
static bool copy_nodes(capture *c)
{
    ad_program *p = c->p;
    const node *from = c->t->head.nodes;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->number[i] != NO_NODE)
            c->number[i] = n++;
    node *to = arena_take(&p->memory, ((size_t)n + 1) * sizeof *to);
    p->sites = arena_take(&p->memory, ((size_t)n + 1) * sizeof *p->sites);
    if (!to || !p->sites)
        return false;
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t k = c->number[i];
        if (k == NO_NODE)
            continue;
        unsigned op = node_op(&from[i]);
        const block *b = block_at(from, i);
        to[k] = from[i];
        bool third =
            op == CODE_HIDDEN && node_op(&from[i + 1]) < AD_OP_COUNT_; /* else it holds a block */
        if (op < AD_OP_COUNT_ || op == CODE_GUARD || third)
            to[k].code = node_code(op, c->number[node_a(&from[i])], c->number[node_b(&from[i])]);
        if (op == CODE_INPUT) {
            const uint32_t before = p->frame.last_input;
            to[k].code = node_code(op, before, before + 1 == k ? node_b(&to[before]) + 1 : 0);
            p->frame.last_input = k;
        }
        if (b) {
            block *copy = copy_block(c, b, k);
            if (!copy)
                return false;
            to[op == CODE_TENSOR ? k : k - 1].u.block = copy;
            if (copy->leaf != LEAF_NONE) {
                copy->next_leaf = p->frame.last_leaf;
                p->frame.last_leaf = k;
            }
            p->n_params += copy->leaf == LEAF_PARAMETER;
        }
        p->sites[k] = tape_site(c->t, i);
    }
    p->frame.nodes = to;
    p->frame.n = n;
    leaves_hold(&p->frame);
    return true;
}

/* The tape's scopes, by the numbers that nodes have here; their texts would go with the tape. */
static bool copy_scopes(capture *c)
{
    const scope_change *from = c->t->scope_pages.base;
    ad_program *p = c->p;
    scope_change *to = p->scopes = arena_take(&p->memory, (c->t->n_scopes + 1) * sizeof *to);
    uint32_t i = 0, k = 0;
    for (uint32_t j = 0; to && j < c->t->n_scopes; j++) {
        for (; i < c->n && i < from[j].node; i++)
            k += c->number[i] != NO_NODE;
        if (p->n_scopes && to[p->n_scopes - 1].node == k)
            p->n_scopes--; /* nothing needed was recorded in it */
        size_t bytes = strlen(from[j].path) + 1;
        char *path = arena_take(&p->memory, bytes);
        if (!path)
            return false;
        memcpy(path, from[j].path, bytes);
        to[p->n_scopes++] = (scope_change){path, k, 0};
    }
    return to;
}

static bool copy_slots(capture *c)
{
    ad_program *p = c->p;
    const assignment *assigns = c->t->assign_pages.base;
    p->params = arena_take(&p->memory, (p->n_params + 1) * sizeof *p->params);
    p->assigns = arena_take(&p->memory, (c->t->n_assigns + 1) * sizeof *p->assigns);
    if (!p->params || !p->assigns)
        return false;
    for (uint32_t k = 0; k < p->n_inputs; k++)
        p->inputs[k] = c->number[p->inputs[k]];
    for (uint32_t k = 0; k < p->n_outputs; k++)
        p->outputs[k] = c->number[p->outputs[k]];
    p->n_assigns = c->t->n_assigns;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        p->assigns[k] = (assignment){c->number[assigns[k].state], c->number[assigns[k].value]};
    p->n_params = 0;
    for (uint32_t i = 0; i < p->frame.n; i++) {
        const block *b = block_at(p->frame.nodes, i);
        if (b && b->leaf == LEAF_PARAMETER)
            p->params[p->n_params++] = i;
    }
    return true;
}

static bool take_slots(capture *c, int n, const ad_var *vars, uint32_t **ids, uint32_t *count,
                       const char *what, bool leaves)
{
    *count = (uint32_t)n;
    if (!(*ids = arena_take(&c->p->memory, ((size_t)n + 1) * sizeof **ids))) {
        tape_fail(c->t, AD_NO_MEMORY, NULL, "program: out of memory");
        return false;
    }
    for (int k = 0; k < n; k++) {
        uint32_t i = tape_node(c->t, vars[k], what);
        if (i == NO_NODE)
            return false;
        const block *b = block_at(c->t->head.nodes, i);
        if (leaves && node_op(&c->t->head.nodes[i]) != CODE_INPUT &&
            !(b && b->leaf == LEAF_INPUT)) {
            tape_fail(c->t, AD_BAD_ARGUMENT, tape_site(c->t, i),
                      "program: input %d is node %u (%s), which is no input", k, i,
                      op_name(&c->t->frame, i));
            return false;
        }
        (*ids)[k] = i;
    }
    return true;
}

static bool capture_all(capture *c, int n_inputs, const ad_var *inputs, int n_outputs,
                        const ad_var *outputs)
{
    ad_tape *t = c->t;
    ad_program *p = c->p;
    if (!take_slots(c, n_inputs, inputs, &p->inputs, &p->n_inputs, "program", true) ||
        !take_slots(c, n_outputs, outputs, &p->outputs, &p->n_outputs, "program", false))
        return false;
    c->n = t->head.n; /* outputs that are constants have become nodes */
    c->number = memory_take(t->context, c->n * sizeof *c->number);
    if (!c->number) {
        tape_fail(t, AD_NO_MEMORY, NULL, "program: out of memory");
        return false;
    }
    for (uint32_t i = 0; i < c->n; i++)
        c->number[i] = NO_NODE;
    for (uint32_t k = 0; k < p->n_inputs; k++)
        need(c, p->inputs[k]);
    for (uint32_t k = 0; k < p->n_outputs; k++)
        need(c, p->outputs[k]);
    const assignment *assigns = t->assign_pages.base;
    for (uint32_t k = 0; k < t->n_assigns; k++) {
        need(c, assigns[k].state);
        need(c, assigns[k].value);
    }
    mark_needed(c);
    array y = n_outputs ? frame_array(&t->frame, p->outputs[0]) : array_scalar(NULL);
    if ((p->flags & AD_GRADIENT) && (!n_outputs || y.size != 1)) {
        tape_fail(t, AD_BAD_SHAPE, NULL,
                  "program: AD_GRADIENT needs a first output that is a scalar");
        return false;
    }
    if (!check_inputs_listed(c))
        return false;
    if (!copy_nodes(c) || !copy_scopes(c) || !copy_slots(c) ||
        !plan_program(p, c->passes, &p->plan)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "program: out of memory");
        return false;
    }
    return true;
}

ad_program *program_capture(ad_tape *t, int n_inputs, const ad_var *inputs, int n_outputs,
                            const ad_var *outputs, int flags, unsigned passes)
{
    if (!tape_ok(t))
        return NULL;
    if (n_inputs < 0 || n_outputs < 0 || (n_inputs && !inputs) || (n_outputs && !outputs)) {
        tape_fail(t, AD_NULL, NULL, "program: null inputs or outputs");
        return NULL;
    }
    ad_program *p = memory_take(t->context, sizeof *p);
    if (!p) {
        tape_fail(t, AD_NO_MEMORY, NULL, "program: out of memory");
        return NULL;
    }
    p->context = p->memory.context = t->context;
    p->flags = flags;
    p->frame = (frame){.context = t->context,
                       .seed = t->frame.seed,
                       .step = t->frame.step,
                       .last_input = NO_NODE,
                       .last_leaf = NO_NODE};
    capture c = {.t = t, .p = p, .passes = passes};
    bool ok = capture_all(&c, n_inputs, inputs, n_outputs, outputs);
    memory_give(t->context, c.number, c.n * sizeof *c.number);
    tape_sync(t);
    if (ok)
        return p;
    ad_program_free(p);
    return NULL;
}

ad_program *ad_program_capture(ad_tape *t, int n_inputs, const ad_var *inputs, int n_outputs,
                               const ad_var *outputs, int flags)
{
    return program_capture(t, n_inputs, inputs, n_outputs, outputs, flags, PASS_ALL);
}

void ad_program_free(ad_program *p)
{
    if (!p)
        return;
    if (p->routine)
        routine_free(p->routine);
    leaves_let_go(&p->frame);
    arena_free(&p->memory);
    memory_give(p->context, p, sizeof *p);
}

static int64_t slot_size(const ad_program *p, const uint32_t *slots, uint32_t n, int k)
{
    return p && k >= 0 && (uint32_t)k < n ? p->routine ? 1 : frame_array(&p->frame, slots[k]).size
                                          : -1;
}

int64_t ad_program_input_size(const ad_program *p, int k)
{
    return p ? slot_size(p, p->inputs, p->n_inputs, k) : -1;
}

int64_t ad_program_output_size(const ad_program *p, int k)
{
    return p ? slot_size(p, p->outputs, p->n_outputs, k) : -1;
}

int ad_program_parameter_count(const ad_program *p) { return p ? (int)p->n_params : 0; }

ad_param *ad_program_parameter(const ad_program *p, int k)
{
    return p && k >= 0 && (uint32_t)k < p->n_params ? block_at(p->frame.nodes, p->params[k])->param
                                                    : NULL;
}

int64_t ad_program_node_count(const ad_program *p)
{
    return !p ? 0 : p->routine ? p->routine->loops.n_lines : p->frame.n;
}

int64_t ad_program_bytes(const ad_program *p)
{
    return p ? (int64_t)(sizeof *p + p->memory.total +
                         (p->routine ? p->routine->loops.memory.total : 0))
             : 0;
}
