/* program.c - programs captured from a tape, and the workspaces that run them
 *
 * A program is a frame without values: the nodes that its outputs, assignments and guards depend
 * on, renumbered without gaps. A workspace is a copy of that frame with buffers of its own, on
 * which the same sweeps run as on a tape. The program is never written after capture, so any number
 * of threads may run workspaces of it. */
#define AD_PLAIN
#include "algebra.h"
#include "elementwise.h"
#include "leaf.h"
#include "tensor.h"
#include <string.h>

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
};

struct ad_workspace {
    const ad_program *program;
    arena memory, scratch;
    frame frame;
    array *kept; /* outputs that a commit would write over: as they were before it; others have no
                    data */
    bool ran;
    ad_status status; /* of its making */
    char error[400];
};

/* ---- capture ---- */

enum { LISTED = 1 }; /* a mark, before numbers are given */

typedef struct capture {
    ad_tape *t;
    ad_program *p;
    uint32_t *number; /* of each tape node in the program; NO_NODE: not in it */
    uint32_t n;
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
    b->tensor = NULL;
    if (b->attr_bytes && !(b->attr = arena_take(m, b->attr_bytes)))
        return NULL;
    if (b->attr_bytes)
        memcpy(b->attr, from->attr, b->attr_bytes);
    if (b->leaf == LEAF_CONSTANT || b->leaf == LEAF_INPUT) {
        array copy = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
        if (!(copy.data = arena_take(m, array_bytes(&copy))))
            return NULL;
        array_copy(&copy, &b->out);
        b->out = copy;
    } else if (b->leaf != LEAF_PARAMETER) {
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
        to[k].adjoint = 0;
        bool third =
            op == CODE_HIDDEN && node_op(&from[i + 1]) < AD_OP_COUNT_; /* else it holds a block */
        if (op < AD_OP_COUNT_ || op == CODE_GUARD || third)
            to[k].code = node_code(op, c->number[node_a(&from[i])], c->number[node_b(&from[i])]);
        if (op == CODE_INPUT) {
            to[k].code = node_code(op, p->frame.last_input, 0);
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
    if (!copy_nodes(c) || !copy_scopes(c) || !copy_slots(c)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "program: out of memory");
        return false;
    }
    return true;
}

ad_program *ad_program_capture(ad_tape *t, int n_inputs, const ad_var *inputs, int n_outputs,
                               const ad_var *outputs, int flags)
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
    capture c = {.t = t, .p = p};
    bool ok = capture_all(&c, n_inputs, inputs, n_outputs, outputs);
    memory_give(t->context, c.number, c.n * sizeof *c.number);
    tape_sync(t);
    if (ok)
        return p;
    ad_program_free(p);
    return NULL;
}

void ad_program_free(ad_program *p)
{
    if (!p)
        return;
    arena_free(&p->memory);
    memory_give(p->context, p, sizeof *p);
}

static int64_t slot_size(const ad_program *p, const uint32_t *slots, uint32_t n, int k)
{
    return p && k >= 0 && (uint32_t)k < n ? frame_array(&p->frame, slots[k]).size : -1;
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

int64_t ad_program_node_count(const ad_program *p) { return p ? p->frame.n : 0; }

int64_t ad_program_bytes(const ad_program *p)
{
    return p ? (int64_t)(sizeof *p + p->memory.total) : 0;
}

/* ---- workspaces ---- */

/* what there is without memory or without a program: never written to, known by having no program
 */
static const ad_workspace no_memory = {.status = AD_NO_MEMORY, .error = "workspace: out of memory"};
static const ad_workspace no_program = {.status = AD_NULL, .error = "workspace: null program"};

static bool copy_frame(ad_workspace *w)
{
    const ad_program *p = w->program;
    arena *m = &w->memory;
    node *nodes = arena_take(m, ((size_t)p->frame.n + 1) * sizeof *nodes);
    if (!nodes)
        return false;
    memcpy(nodes, p->frame.nodes, (size_t)p->frame.n * sizeof *nodes);
    w->frame = p->frame;
    w->frame.nodes = nodes;
    w->frame.memory = m;
    w->frame.scratch = &w->scratch;
    for (uint32_t i = 0; i < p->frame.n; i++) {
        block *b = block_at(nodes, i);
        if (!b)
            continue;
        block *copy = arena_take(m, sizeof *copy);
        if (!copy)
            return false;
        *copy = *b;
        bool tensor = node_op(&nodes[i]) == CODE_TENSOR;
        nodes[tensor ? i : i - 1].u.block = copy;
        if (copy->saved_bytes && !(copy->saved = arena_zeros(m, copy->saved_bytes)))
            return false;
        if (!tensor || copy->leaf == LEAF_CONSTANT || copy->leaf == LEAF_PARAMETER ||
            copy->op->is_view)
            continue;
        copy->out = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
        if (!(copy->out.data = arena_zeros(m, array_bytes(&copy->out))))
            return false;
        if (copy->leaf == LEAF_INPUT)
            array_copy(&copy->out, &b->out);
    }
    return true;
}

/* Outputs that are states, or views of them, are read from a copy after the commit. */
static bool keep_outputs(ad_workspace *w)
{
    const ad_program *p = w->program;
    if (!(w->kept = arena_zeros(&w->memory, (p->n_outputs + 1) * sizeof *w->kept)))
        return false;
    for (uint32_t k = 0; p->n_assigns && k < p->n_outputs; k++) {
        const block *b = block_at(p->frame.nodes, p->outputs[k]);
        if (!b || !(b->leaf == LEAF_PARAMETER || b->op->is_view))
            continue;
        w->kept[k] = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
        if (!(w->kept[k].data = arena_take(&w->memory, array_bytes(&w->kept[k]))))
            return false;
    }
    return true;
}

static array output_array(const ad_workspace *w, uint32_t k)
{
    return w->kept[k].data ? w->kept[k] : frame_array(&w->frame, w->program->outputs[k]);
}

ad_workspace *ad_workspace_new(const ad_program *p)
{
    ad_workspace *w = p ? memory_take(p->context, sizeof *w) : NULL;
    if (!w)
        return (ad_workspace *)(uintptr_t)(p ? &no_memory : &no_program);
    w->program = p;
    w->memory.context = w->scratch.context = p->context;
    if (!copy_frame(w) || !keep_outputs(w)) {
        w->status = AD_NO_MEMORY;
        snprintf(w->error, sizeof w->error, "workspace: out of memory");
    }
    return w;
}

void ad_workspace_free(ad_workspace *w)
{
    if (!w || !w->program)
        return;
    for (uint32_t k = 0; !(w->status == AD_NO_MEMORY) && k < w->program->n_params; k++)
        ad_tensor_free(block_at(w->frame.nodes, w->program->params[k])->tensor);
    arena_free(&w->memory);
    arena_free(&w->scratch);
    memory_give(w->program->context, w, sizeof *w);
}

const char *ad_workspace_error(const ad_workspace *w) { return w ? w->error : "null workspace"; }

static ad_status workspace_fail(ad_workspace *w, ad_status s, const char *what)
{
    if (w->program)
        snprintf(w->error, sizeof w->error, "%s", what);
    return s;
}

static const char *scope_of(const ad_program *p, uint32_t i)
{
    const char *path = "";
    for (uint32_t k = 0; k < p->n_scopes && p->scopes[k].node <= i; k++)
        path = p->scopes[k].path;
    return path;
}

static ad_status run_failed(ad_workspace *w, ad_status s)
{
    const frame *f = &w->frame;
    uint32_t i = f->failed_node;
    const char *site = i < f->n ? w->program->sites[i] : "";
    const char *scope = i < f->n ? scope_of(w->program, i) : "";
    if (i < f->n)
        snprintf(w->error, sizeof w->error, "run: %s at node %u%s%s%s%.80s%s%s%s", op_name(f, i), i,
                 *f->note ? ": " : "", f->note, *scope || *site ? " (" : "", scope,
                 *scope && *site ? ", " : "", site, *scope || *site ? ")" : "");
    else
        snprintf(w->error, sizeof w->error, "run: %s", *f->note ? f->note : ad_status_name(s));
    return s;
}

static void write_slot(ad_workspace *w, uint32_t i, const array *from)
{
    array to = frame_array(&w->frame, i);
    array_copy(&to, from);
}

ad_status ad_workspace_set(ad_workspace *w, int k, const ad_tensor *value)
{
    if (!w || !value)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (k < 0 || (uint32_t)k >= w->program->n_inputs)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_set: no such input");
    array from = tensor_array(value), to = frame_array(&w->frame, w->program->inputs[k]);
    if (!same_shape(&from, &to))
        return workspace_fail(w, AD_BAD_SHAPE, "workspace_set: the input has another shape");
    if (from.dtype != to.dtype)
        return workspace_fail(w, AD_BAD_DTYPE, "workspace_set: the input has another dtype");
    write_slot(w, w->program->inputs[k], &from);
    return AD_OK;
}

ad_status ad_workspace_set_scalar(ad_workspace *w, int k, double value)
{
    if (!w)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (k < 0 || (uint32_t)k >= w->program->n_inputs ||
        frame_array(&w->frame, w->program->inputs[k]).size != 1)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_set_scalar: no such scalar input");
    array from = frame_array(&w->frame, w->program->inputs[k]);
    array_put(&from, 0, value);
    return AD_OK;
}

/* Parameters are read where they are at the time of the run. */
static void bind_params(ad_workspace *w)
{
    for (uint32_t k = 0; k < w->program->n_params; k++) {
        block *b = block_at(w->frame.nodes, w->program->params[k]);
        b->out = tensor_array(b->tensor ? b->tensor : b->param->value);
    }
}

static const double *set_inputs(ad_workspace *w, const double *x)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_inputs; k++) {
        node *n = &w->frame.nodes[p->inputs[k]];
        if (node_op(n) == CODE_INPUT) {
            n->u.value = *x++;
            continue;
        }
        array to = frame_array(&w->frame, p->inputs[k]);
        array from = array_of((void *)(uintptr_t)x, AD_F64, to.rank, to.shape);
        array_copy(&to, &from);
        x += to.size;
    }
    return x;
}

static double *read_array(const array *v, double *out)
{
    array to = array_of(out, AD_F64, v->rank, v->shape);
    array_copy(&to, v);
    return out + v->size;
}

static double *read_adjoint(const ad_workspace *w, uint32_t i, double *out)
{
    const node *n = &w->frame.nodes[i];
    if (node_op(n) != CODE_TENSOR) {
        *out = n->adjoint;
        return out + 1;
    }
    const block *b = n->u.block;
    if (b->adj_pass == w->frame.pass && b->adj.data)
        return read_array(&b->adj, out);
    memset(out, 0, (size_t)b->out.size * sizeof *out);
    return out + b->out.size;
}

static ad_status backward_pass(ad_workspace *w)
{
    frame *f = &w->frame;
    uint32_t y = w->program->outputs[0];
    frame_begin_pass(f, false);
    ad_status s = frame_seed(f, y, NULL, 1);
    if (!s)
        s = sweep_backward(f, y, false);
    if (s) /* it stopped half-way: the next run must find no adjoints */
        frame_clear_adjoints(f, f->n);
    return s;
}

ad_status ad_run(ad_workspace *w, const double *x, double *out)
{
    if (!w)
        return AD_NULL;
    if (w->status)
        return w->status;
    const ad_program *p = w->program;
    frame *f = &w->frame;
    if (p->n_params)
        bind_params(w);
    if (x)
        set_inputs(w, x);
    f->failed_node = NO_NODE;
    ad_status s = sweep_forward(f, 0);
    if (!s && (p->flags & AD_GRADIENT))
        s = backward_pass(w);
    for (uint32_t k = 0; !s && out && k < p->n_outputs; k++) {
        const node *n = &f->nodes[p->outputs[k]];
        array y;
        if (node_op(n) != CODE_TENSOR)
            *out++ = n->u.value;
        else
            y = frame_array(f, p->outputs[k]), out = read_array(&y, out);
    }
    for (uint32_t k = 0; !s && out && (p->flags & AD_GRADIENT) && k < p->n_inputs; k++)
        out = read_adjoint(w, p->inputs[k], out);
    for (uint32_t k = 0; !s && p->n_assigns && k < p->n_outputs; k++)
        if (w->kept[k].data) {
            array y = frame_array(f, p->outputs[k]);
            array_copy(&w->kept[k], &y);
        }
    if (!s && p->n_assigns)
        s = frame_commit(f, p->n_assigns, p->assigns);
    f->step++;
    w->ran = !s;
    return s ? run_failed(w, s) : AD_OK;
}

static ad_status may_read(const ad_workspace *w, const void *out, int k, uint32_t n, bool gradient)
{
    if (!w || !out)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (!w->ran || (gradient && !(w->program->flags & AD_GRADIENT)))
        return AD_NOT_RECORDED;
    return k >= 0 && (uint32_t)k < n ? AD_OK : AD_BAD_INDEX;
}

ad_status ad_workspace_read(const ad_workspace *w, int k, double *out)
{
    ad_status s = may_read(w, out, k, w && !w->status ? w->program->n_outputs : 0, false);
    if (!s) {
        array y = output_array(w, (uint32_t)k);
        read_array(&y, out);
    }
    return s;
}

ad_status ad_workspace_read_gradient(const ad_workspace *w, int k, double *out)
{
    ad_status s = may_read(w, out, k, w && !w->status ? w->program->n_inputs : 0, true);
    if (!s)
        read_adjoint(w, w->program->inputs[k], out);
    return s;
}

ad_status ad_workspace_read_param_gradient(const ad_workspace *w, int k, double *out)
{
    ad_status s = may_read(w, out, k, w && !w->status ? w->program->n_params : 0, true);
    if (!s)
        read_adjoint(w, w->program->params[k], out);
    return s;
}

ad_status ad_workspace_bind(ad_workspace *w, int k, ad_tensor *value)
{
    if (!w || !value)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (k < 0 || (uint32_t)k >= w->program->n_params)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_bind: no such parameter");
    block *b = block_at(w->frame.nodes, w->program->params[k]);
    array a = tensor_array(value);
    if (a.dtype != b->out.dtype)
        return workspace_fail(w, AD_BAD_DTYPE, "workspace_bind: the parameter has another dtype");
    if (!same_shape(&a, &b->out))
        return workspace_fail(w, AD_BAD_SHAPE, "workspace_bind: the parameter has another shape");
    ad_tensor_retain(value);
    ad_tensor_free(b->tensor);
    b->tensor = value;
    return AD_OK;
}

void ad_workspace_set_step(ad_workspace *w, uint64_t step)
{
    if (w && !w->status)
        w->frame.step = step;
}
