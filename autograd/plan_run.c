/* plan_run.c - a program's plan in a workspace: bound to memory once, then run
 *
 * What does not change from run to run is found when memory is bound: where views lie, what follows
 * from constants, the arguments of products, how passes walk. Tensors may be bound that the plan
 * was not made for, of other strides or sharing memory with a state that is written in place; then
 * the workspace runs node after node from there on, as programs without a plan do. */
#define AD_PLAIN
#include "program.h"
#include "tensor.h"

bool plan_workspace(ad_workspace *w)
{
    const ad_program *p = w->program;
    const plan *q = p->plan;
    bound *next = w->passes = arena_take(&w->memory, (q->n_fused + 1) * sizeof *w->passes);
    w->products = arena_zeros(&w->memory, (q->n_products + 1) * sizeof *w->products);
    w->at = arena_zeros(&w->memory, (p->n_params + 1) * sizeof *w->at);
    w->memory_at = arena_zeros(&w->memory, (p->n_params + 1) * sizeof *w->memory_at);
    w->inputs_at = arena_zeros(&w->memory, (p->n_inputs + 1) * sizeof *w->inputs_at);
    w->slots = arena_take(&w->memory, q->slots);
    w->parts = arena_take(&w->memory, q->parts * sizeof *w->parts);
    if (!next || !w->parts || !w->products || !w->at || !w->memory_at || !w->inputs_at ||
        !w->slots || !commit_reserve(&w->frame, q->n_commits, q->commits))
        return false;
    for (uint32_t k = 0; k < q->n_steps; k++) {
        const plan_step *s = &q->steps[k];
        if (s->pass &&
            !bound_make(next++, s->pass, block_at(p->frame.nodes, s->from)->out.dtype, &w->memory))
            return false;
    }
    return true;
}

static bool same_layout(const array *a, const array *b)
{
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != 1 && a->stride[i] != b->stride[i])
            return false;
    return true;
}

/* The bytes that an array lies in. */
static void extent(const array *a, uintptr_t *from, uintptr_t *to)
{
    const int64_t bytes = (int64_t)ad_dtype_size(a->dtype);
    *from = (uintptr_t)a->data;
    *to = *from + (a->size ? (size_t)bytes : 0);
    for (int i = 0; i < a->rank && a->size; i++) {
        const int64_t far = (a->shape[i] - 1) * a->stride[i] * bytes;
        *(far < 0 ? from : to) += (uintptr_t)far;
    }
}

static bool overlap(const array *a, const array *b)
{
    uintptr_t from_a, to_a, from_b, to_b;
    extent(a, &from_a, &to_a);
    extent(b, &from_b, &to_b);
    return from_a < to_b && from_b < to_a;
}

/* Is it written in place, as another state than `self`? */
static bool written(const ad_workspace *w, uint32_t self, const array *a)
{
    const plan *q = w->program->plan;
    for (uint32_t j = 0; j < q->n_writes; j++)
        if (q->writes[j].state != self &&
            overlap(a, &block_at(w->frame.nodes, q->writes[j].state)->out))
            return true;
    return false;
}

/* A plan counts on the layout that was captured, and on states that nobody else reads or writes.
 * Inputs are contiguous wherever they lie. */
static bool fit_params(const ad_workspace *w)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_params; k++) {
        const block *now = block_at(w->frame.nodes, p->params[k]);
        if (!same_layout(&now->out, &block_at(p->frame.nodes, p->params[k])->out) ||
            written(w, p->params[k], &now->out))
            return false;
    }
    return true;
}

static bool fit_inputs(const ad_workspace *w)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_inputs; k++) {
        const block *b = block_at(w->frame.nodes, p->inputs[k]);
        if (b && b->tensor && written(w, NO_NODE, &b->out))
            return false;
    }
    return true;
}

/* Buffers of their own for all nodes, for good. */
static ad_status give_up_plan(ad_workspace *w)
{
    w->plain = true;
    for (uint32_t i = 0; i < w->frame.n; i++) {
        block *b = block_at(w->frame.nodes, i);
        if (b && node_op(&w->frame.nodes[i]) == CODE_TENSOR && b->leaf == LEAF_NONE &&
            !b->op->is_view && !workspace_place(w, b, i)) {
            w->plain = false;
            return AD_NO_MEMORY;
        }
    }
    return AD_OK;
}

static bool params_moved(const ad_workspace *w)
{
    for (uint32_t k = 0; k < w->program->n_params; k++) {
        const block *b = block_at(w->frame.nodes, w->program->params[k]);
        const ad_tensor *t = b->tensor ? b->tensor : b->param->value;
        if (w->at[k] != t || w->memory_at[k] != t->view.data)
            return true;
    }
    return false;
}

static bool inputs_moved(const ad_workspace *w)
{
    for (uint32_t k = 0; k < w->program->n_inputs; k++)
        if (w->inputs_at[k] != frame_array(&w->frame, w->program->inputs[k]).data)
            return true;
    return false;
}

/* Runs what follows the first write to a state, but for the passes: it may need scratch memory, and
 * must not find in a run that there is none. Its results are nothing yet. */
static ad_status rehearse(ad_workspace *w)
{
    const plan *q = w->program->plan;
    const bound_product *product = w->products;
    ad_status s = AD_OK;
    for (uint32_t k = 0; !s && k < q->n_steps && !w->rehearsed; k++) {
        const plan_step *at = &q->steps[k];
        const bool lies = at->product && product++->c;
        for (uint32_t i = at->from;
             k > q->first_write && !at->pass && !at->sum && !lies && !s && i < at->to; i++)
            if (block_at(w->frame.nodes, i))
                s = sweep_range(&w->frame, i, i + 1);
    }
    w->rehearsed = !s;
    return s;
}

static ad_status run_once(ad_workspace *w, bool all)
{
    const plan *q = w->program->plan;
    ad_status s = AD_OK;
    for (uint32_t k = 0; !s && k < q->n_once; k++)
        if (all || q->once[k].reads_input)
            s = sweep_range(&w->frame, q->once[k].from, q->once[k].to);
    return s;
}

static void bind_steps(ad_workspace *w, bool all)
{
    const plan *q = w->program->plan;
    bound *pass = w->passes;
    bound_product *product = w->products;
    for (const plan_step *at = q->steps, *end = at + q->n_steps; at < end; at++) {
        const bool bind = all || at->reads_input;
        if (at->pass && bind) {
            pass->parts = w->parts;
            bound_arrays(pass, &w->frame, w->slots);
        } else if (at->product && bind &&
                   !product_bind(&w->frame, block_at(w->frame.nodes, at->from), product)) {
            product->c = NULL;
        }
        pass += at->pass != NULL;
        product += at->product;
    }
}

static void remember_memory(ad_workspace *w)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_params; k++) {
        const block *b = block_at(w->frame.nodes, p->params[k]);
        w->at[k] = b->tensor ? b->tensor : b->param->value;
        w->memory_at[k] = b->out.data;
    }
    for (uint32_t k = 0; k < p->n_inputs; k++)
        w->inputs_at[k] = frame_array(&w->frame, p->inputs[k]).data;
}

/* What depends on where things lie, and on nothing that changes from run to run; of inputs only, or
 * of all. */
static ad_status bind_memory(ad_workspace *w, bool all)
{
    const plan *q = w->program->plan;
    frame *f = &w->frame;
    if (all)
        workspace_bind_params(w);
    if ((all && !fit_params(w)) || !fit_inputs(w))
        return give_up_plan(w);
    for (uint32_t k = 0; k < q->n_writes; k++)
        block_at(f->nodes, q->writes[k].value)->out.data =
            block_at(f->nodes, q->writes[k].state)->out.data;
    ad_status s = run_once(w, all);
    bind_steps(w, all);
    if (!s)
        s = rehearse(w);
    if (!s)
        remember_memory(w);
    w->bound = !s;
    return s;
}

static ad_status run_plan(ad_workspace *w)
{
    const plan *q = w->program->plan;
    bound *pass = w->passes;
    const bound_product *product = w->products;
    ad_status s = AD_OK;
    for (const plan_step *at = q->steps, *end = at + q->n_steps; !s && at < end; at++)
        if (at->pass)
            bound_run(pass++);
        else if (at->product && product++->c)
            product_run(product - 1);
        else if (at->sum)
            sum_run(&w->frame, at->sum, w->parts);
        else
            s = sweep_range(&w->frame, at->from, at->to);
    return s;
}

ad_status plan_run(ad_workspace *w)
{
    workspace_bind_inputs(w);
    if (w->program->plan && !w->plain) {
        const bool all = !w->bound || params_moved(w);
        const ad_status s = all || inputs_moved(w) ? bind_memory(w, all) : AD_OK;
        if (s)
            return s;
    }
    if (w->program->plan && !w->plain)
        return run_plan(w);
    workspace_bind_params(w);
    return sweep_forward(&w->frame, 0);
}

ad_status plan_commit(ad_workspace *w)
{
    const ad_program *p = w->program;
    const plan *q = w->plain ? NULL : p->plan;
    for (uint32_t k = 0; q && k < q->n_writes; k++) {
        const block *state = block_at(w->frame.nodes, q->writes[k].state);
        tensor_touch(state->tensor ? state->tensor : state->param->value);
    }
    return q ? frame_commit(&w->frame, q->n_commits, q->commits)
             : frame_commit(&w->frame, p->n_assigns, p->assigns);
}
