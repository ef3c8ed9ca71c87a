/* plan_c_layout.c - what of a program its C needs, what that is called there, and where in memory
 * it lies
 *
 * A workspace that is never run says where things lie: which object an array is in, and at which
 * offset and strides. */
#define AD_PLAIN
#include "elementwise.h"
#include "plan_c.h"

uint32_t c_operands(const c_writer *w, uint32_t i, const uint32_t **list, uint32_t few[3])
{
    const node *n = &w->p->frame.nodes[i];
    const unsigned op = node_op(n);
    const block *b = block_at(w->p->frame.nodes, i);
    *list = b ? b->args : few;
    if (b)
        return b->n_args;
    few[0] = node_a(n);
    few[1] = node_b(n);
    if (op < AD_OP_COUNT_ && elementwise_ops[op].info.arity == 3)
        few[2] = node_a(n - 1);
    return op == CODE_GUARD ? 2 : op < AD_OP_COUNT_ ? (uint32_t)elementwise_ops[op].info.arity : 0;
}

/* Arrays without elements need nothing. */
static void find_live(c_writer *w)
{
    const ad_program *p = w->p;
    const uint32_t *list;
    uint32_t few[3];
    for (uint32_t k = 0; k < p->n_outputs; k++)
        w->is_live[p->outputs[k]] = true;
    for (uint32_t k = 0; k < p->n_assigns; k++)
        w->is_live[p->assigns[k].value] = w->is_live[p->assigns[k].state] = true;
    for (uint32_t k = 0; p->plan && k < p->plan->n_steps; k++) {
        const fused *pass = p->plan->steps[k].pass;
        for (uint32_t j = 0; pass && j < pass->n_in; j++)
            w->is_live[pass->nodes[j]] = true;
    }
    for (uint32_t i = p->frame.n; i-- > 0;) {
        const bool needs = frame_array(&p->frame, i).size;
        w->is_live[i] |= node_op(&p->frame.nodes[i]) == CODE_GUARD;
        for (uint32_t k = w->is_live[i] && needs ? c_operands(w, i, &list, few) : 0; k-- > 0;)
            w->is_live[list[k]] = true;
    }
}

/* The node whose result goes right to where the caller wants output k; NO_NODE: it is copied. */
static uint32_t computed_there(const c_writer *w, uint32_t k)
{
    uint32_t i = w->p->outputs[k];
    const block *b = block_at(w->p->frame.nodes, i);
    const array y = frame_array(&w->layout->frame, i);
    while (b && b->op->is_view)
        b = block_at(w->p->frame.nodes, i = b->args[0]);
    const array all = frame_array(&w->layout->frame, i);
    const bool is_all = y.size == all.size && y.data == all.data && array_contiguous(&y);
    return b && is_all && !c_is_scalar(w, i) && b->leaf == LEAF_NONE && !w->objects[i].letter
               ? i
               : NO_NODE;
}

static void name_objects(c_writer *w)
{
    const ad_program *p = w->p;
    for (uint32_t k = 0; k < p->n_inputs; k++)
        w->objects[p->inputs[k]] = (c_object){'x', k, false};
    for (uint32_t k = 0; k < p->n_params; k++)
        w->objects[p->params[k]] = (c_object){'p', k, false};
    for (uint32_t k = 0; k < p->n_assigns; k++)
        w->objects[p->assigns[k].state].is_written = true;
    for (uint32_t i = 0, guards = 0; i < p->frame.n; i++) {
        w->base[i] = i;
        if (node_op(&p->frame.nodes[i]) == CODE_GUARD)
            w->objects[i].number = ++guards;
    }
    for (uint32_t k = 0; p->plan && k < p->plan->n_writes; k++) {
        const assignment a = p->plan->writes[k];
        w->base[a.value] = a.state;
        w->objects[a.value] = w->objects[a.state];
    }
    for (uint32_t k = 0; k < p->n_outputs; k++) {
        const uint32_t i = computed_there(w, k);
        if (i != NO_NODE)
            w->objects[i] = (c_object){'y', k, true};
    }
    for (uint32_t i = 0; i < p->frame.n; i++) {
        const block *b = block_at(p->frame.nodes, i);
        if (b && b->op->is_view)
            w->base[i] = w->base[b->args[0]];
        else if (b && !c_is_scalar(w, i) && !w->objects[i].letter)
            w->objects[i] = (c_object){b->leaf == LEAF_CONSTANT ? 'c' : 'b', i, true};
    }
}

/* Leaves lie by rows in memory that nobody reads or writes, so that views can be found in it. */
static bool lay_out_leaves(c_writer *w, uint32_t n, const uint32_t *ids)
{
    for (uint32_t k = 0; k < n; k++) {
        if (c_is_scalar(w, ids[k]))
            continue;
        block *b = block_at(w->layout->frame.nodes, ids[k]);
        b->out = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
        if (!(b->out.data = arena_take(&w->layout->memory, array_bytes(&b->out))))
            return false;
    }
    return true;
}

static bool lay_out(c_writer *w)
{
    const ad_program *p = w->p;
    frame *f = &w->layout->frame;
    if (!lay_out_leaves(w, p->n_params, p->params) || !lay_out_leaves(w, p->n_inputs, p->inputs))
        return false;
    for (uint32_t k = 0; p->plan && k < p->plan->n_writes; k++)
        block_at(f->nodes, p->plan->writes[k].value)->out.data =
            block_at(f->nodes, p->plan->writes[k].state)->out.data;
    for (uint32_t i = 0; i < f->n; i++) {
        block *b = block_at(f->nodes, i);
        if (b && b->op->is_view && b->op->value(f, b))
            return false;
    }
    return true;
}

/* Is the object of node i the caller's array of output k? */
bool c_is_output(const c_writer *w, uint32_t i, uint32_t k)
{
    return w->objects[i].letter == 'y' && w->objects[i].number == k;
}

static size_t bytes_of(const c_writer *w, uint32_t i)
{
    const array a = frame_array(&w->p->frame, i);
    return (array_bytes(&a) + 63) / 64 * 64 + (a.size ? 0 : 64);
}

/* Where the plan puts them, closed up where outputs would be, which are the caller's and which
 * nothing else is ever put over; without a plan one behind the other. */
static void place_buffers(c_writer *w)
{
    const ad_program *p = w->p;
    const plan *q = p->plan;
    for (uint32_t i = 0; i < p->frame.n; i++) {
        w->place[i] = SIZE_MAX;
        if (w->objects[i].letter != 'b' || (q ? q->place[i] == NO_PLACE : !w->is_live[i]))
            continue;
        size_t gone = 0;
        for (uint32_t k = 0; q && k < p->n_outputs; k++) {
            const uint32_t j = w->base[p->outputs[k]];
            if (c_is_output(w, j, k) && q->place[j] < q->place[i])
                gone += bytes_of(w, j);
        }
        w->place[i] = q ? q->place[i] - gone : w->memory;
        const size_t end = w->place[i] + bytes_of(w, i);
        w->memory = end > w->memory ? end : w->memory;
    }
}

bool plan_c_layout(c_writer *w)
{
    const size_t n = (size_t)w->p->frame.n + 1;
    arena *memory = &w->layout->memory;
    w->is_live = arena_zeros(memory, n * sizeof *w->is_live);
    w->is_used = arena_zeros(memory, n * sizeof *w->is_used);
    w->base = arena_zeros(memory, n * sizeof *w->base);
    w->objects = arena_zeros(memory, n * sizeof *w->objects);
    w->place = arena_zeros(memory, n * sizeof *w->place);
    if (!w->is_live || !w->is_used || !w->base || !w->objects || !w->place || !lay_out(w))
        return false;
    find_live(w);
    name_objects(w);
    place_buffers(w);
    return true;
}
