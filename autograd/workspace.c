/* workspace.c - the buffers of one run of a program, and the run */
#define AD_PLAIN
#include "leaf.h"
#include "routine.h"
#include "tensor.h"
#include <string.h>

/* what there is without memory or without a program: never written to, known by having no program
 */
static const ad_workspace no_memory = {.status = AD_NO_MEMORY, .error = "workspace: out of memory"};
static const ad_workspace no_program = {.status = AD_NULL, .error = "workspace: null program"};

/* Memory for a result: where the plan says, else its own. */
static bool place_result(ad_workspace *w, block *b, uint32_t i)
{
    const plan *q = w->program->plan;
    b->out = array_of(NULL, b->out.dtype, b->out.rank, b->out.shape);
    if (!q || w->plain)
        return (b->out.data = arena_zeros(&w->memory, array_bytes(&b->out)));
    if (q->place[i] != NO_PLACE)
        b->out.data = w->pool + q->place[i];
    return true;
}

static bool copy_frame(ad_workspace *w)
{
    const ad_program *p = w->program;
    arena *m = &w->memory;
    node *nodes = arena_take(m, ((size_t)p->frame.n + 1) * sizeof *nodes);
    double *adjoints = arena_zeros(m, ((size_t)p->frame.n + 1) * sizeof *adjoints);
    if (!nodes || !adjoints)
        return false;
    memcpy(nodes, p->frame.nodes, (size_t)p->frame.n * sizeof *nodes);
    w->frame = p->frame;
    w->frame.nodes = nodes;
    w->frame.adjoints = adjoints;
    w->frame.room = p->frame.n;
    w->frame.memory = m;
    w->frame.scratch = &w->scratch;
    if (p->plan && !(w->pool = arena_zeros(m, p->plan->pool)))
        return false;
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
        if (!place_result(w, copy, i))
            return false;
        if (copy->leaf == LEAF_INPUT)
            array_copy(&copy->out, &b->out);
    }
    return true;
}

/* What a plan needs beside the frame. */
static bool make_passes(ad_workspace *w)
{
    const ad_program *p = w->program;
    const plan *q = p->plan;
    bound *next = w->passes = arena_take(&w->memory, (q->n_fused + 1) * sizeof *w->passes);
    w->products = arena_zeros(&w->memory, (q->n_products + 1) * sizeof *w->products);
    w->at = arena_zeros(&w->memory, (p->n_params + 1) * sizeof *w->at);
    w->memory_at = arena_zeros(&w->memory, (p->n_params + 1) * sizeof *w->memory_at);
    w->slots = arena_take(&w->memory, q->slots);
    if (!next || !w->products || !w->at || !w->memory_at || !w->slots ||
        !commit_reserve(&w->frame, q->n_commits, q->commits))
        return false;
    for (uint32_t k = 0; k < q->n_steps; k++) {
        const plan_step *s = &q->steps[k];
        if (s->pass &&
            !bound_make(next++, s->pass, block_at(p->frame.nodes, s->from)->out.dtype, &w->memory))
            return false;
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
    return w->program->routine ? array_scalar(&w->out[k])
           : w->kept[k].data   ? w->kept[k]
                               : frame_array(&w->frame, w->program->outputs[k]);
}

ad_workspace *ad_workspace_new(const ad_program *p)
{
    ad_workspace *w = p ? memory_take(p->context, sizeof *w) : NULL;
    if (!w)
        return (ad_workspace *)(uintptr_t)(p ? &no_memory : &no_program);
    w->program = p;
    w->memory.context = w->scratch.context = p->context;
    if (p->routine ? !routine_workspace(w)
                   : !copy_frame(w) || !keep_outputs(w) || (p->plan && !make_passes(w))) {
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

static array input_array(const ad_workspace *w, int k)
{
    return w->program->routine ? array_scalar(&w->x[k])
                               : frame_array(&w->frame, w->program->inputs[k]);
}

ad_status ad_workspace_set(ad_workspace *w, int k, const ad_tensor *value)
{
    if (!w || !value)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (k < 0 || (uint32_t)k >= w->program->n_inputs)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_set: no such input");
    array from = tensor_array(value), to = input_array(w, k);
    if (!same_shape(&from, &to))
        return workspace_fail(w, AD_BAD_SHAPE, "workspace_set: the input has another shape");
    if (from.dtype != to.dtype)
        return workspace_fail(w, AD_BAD_DTYPE, "workspace_set: the input has another dtype");
    array_copy(&to, &from);
    return AD_OK;
}

ad_status ad_workspace_set_scalar(ad_workspace *w, int k, double value)
{
    if (!w)
        return AD_NULL;
    if (w->status)
        return w->status;
    if (k < 0 || (uint32_t)k >= w->program->n_inputs || input_array(w, k).size != 1)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_set_scalar: no such scalar input");
    array to = input_array(w, k);
    array_put(&to, 0, value);
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
        *out = w->frame.adjoints[i];
        return out + 1;
    }
    const block *b = n->u.block;
    if (b->adj_pass == w->frame.pass && b->adj.data)
        return read_array(&b->adj, out);
    memset(out, 0, (size_t)b->out.size * sizeof *out);
    return out + b->out.size;
}

/* ---- runs by plan ---- */

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

/* A plan counts on the layout that was captured, and on states that nobody else reads or writes. */
static bool plan_holds(const ad_workspace *w)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_params; k++) {
        const block *now = block_at(w->frame.nodes, p->params[k]);
        if (!same_layout(&now->out, &block_at(p->frame.nodes, p->params[k])->out))
            return false;
        for (uint32_t j = 0; j < p->plan->n_writes; j++)
            if (p->plan->writes[j].state != p->params[k] &&
                overlap(&now->out, &block_at(w->frame.nodes, p->plan->writes[j].state)->out))
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
            !b->op->is_view && !place_result(w, b, i)) {
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
        for (uint32_t i = at->from; k > q->first_write && !at->pass && !lies && !s && i < at->to;
             i++)
            if (block_at(w->frame.nodes, i))
                s = sweep_range(&w->frame, i, i + 1);
    }
    w->rehearsed = !s;
    return s;
}

static ad_status run_once(ad_workspace *w)
{
    const plan *q = w->program->plan;
    ad_status s = AD_OK;
    for (uint32_t k = 0; !s && k < q->n_once; k++)
        s = sweep_range(&w->frame, q->once[k].from, q->once[k].to);
    return s;
}

static void bind_steps(ad_workspace *w)
{
    const plan *q = w->program->plan;
    bound *pass = w->passes;
    bound_product *product = w->products;
    for (const plan_step *at = q->steps, *end = at + q->n_steps; at < end; at++)
        if (at->pass)
            bound_arrays(pass++, &w->frame, w->slots);
        else if (at->product &&
                 !product_bind(&w->frame, block_at(w->frame.nodes, at->from), product++))
            product[-1].c = NULL;
}

/* What depends on where things lie, and on nothing that changes from run to run. */
static ad_status bind_memory(ad_workspace *w)
{
    const plan *q = w->program->plan;
    frame *f = &w->frame;
    bind_params(w);
    if (!plan_holds(w))
        return give_up_plan(w);
    for (uint32_t k = 0; k < q->n_writes; k++)
        block_at(f->nodes, q->writes[k].value)->out.data =
            block_at(f->nodes, q->writes[k].state)->out.data;
    ad_status s = run_once(w);
    bind_steps(w);
    if (!s)
        s = rehearse(w);
    for (uint32_t k = 0; !s && k < w->program->n_params; k++) {
        const block *b = block_at(f->nodes, w->program->params[k]);
        w->at[k] = b->tensor ? b->tensor : b->param->value;
        w->memory_at[k] = b->out.data;
    }
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
        else
            s = sweep_range(&w->frame, at->from, at->to);
    return s;
}

static ad_status run_forward(ad_workspace *w)
{
    w->frame.note[0] = 0;
    if (w->program->plan && !w->plain && (!w->bound || params_moved(w))) {
        ad_status s = bind_memory(w);
        if (s)
            return s;
    }
    if (w->program->plan && !w->plain)
        return run_plan(w);
    bind_params(w);
    return sweep_forward(&w->frame, 0);
}

static ad_status commit(ad_workspace *w)
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

static ad_status backward_pass(ad_workspace *w)
{
    frame *f = &w->frame;
    uint32_t y = w->program->outputs[0];
    frame_begin_pass(f, false);
    ad_status s = frame_seed(f, y, NULL, 1);
    if (!s)
        s = sweep_backward(f, y, false);
    if (s) /* it stopped half-way: the next run must find no adjoints */
        frame_clear_adjoints(f);
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
    if (p->routine)
        return routine_run(w, x, out);
    if (x)
        set_inputs(w, x);
    f->failed_node = NO_NODE;
    ad_status s = run_forward(w);
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
        s = commit(w);
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
    if (!w->ran || (gradient && !(w->program->flags & AD_GRADIENT) && !w->program->n_gradients))
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
    const ad_program *p = w && !w->status ? w->program : NULL;
    if (p && p->n_gradients) /* a compiled program has it as outputs */
        return ad_workspace_read(w, k < 0 || k >= p->n_gradients ? -1 : p->gradient_at + k, out);
    ad_status s = may_read(w, out, k, p ? p->n_inputs : 0, true);
    if (!s)
        read_adjoint(w, p->inputs[k], out);
    return s;
}

ad_status ad_workspace_read_param_gradient(const ad_workspace *w, int k, double *out)
{
    const ad_program *p = w && !w->status ? w->program : NULL;
    ad_status s = may_read(w, out, k, p ? p->n_params : 0, true);
    if (!s && !(p->flags & AD_GRADIENT))
        s = AD_NOT_RECORDED;
    if (!s)
        read_adjoint(w, p->params[k], out);
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
