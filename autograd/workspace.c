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

bool workspace_place(ad_workspace *w, block *b, uint32_t i)
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
        if (tensor && copy->leaf == LEAF_NONE && !copy->op->is_view && !workspace_place(w, copy, i))
            return false;
    }
    return (w->own = arena_zeros(m, (p->n_inputs + 1) * sizeof *w->own));
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
                   : !copy_frame(w) || !keep_outputs(w) || (p->plan && !plan_workspace(w))) {
        w->status = AD_NO_MEMORY;
        snprintf(w->error, sizeof w->error, "workspace: out of memory");
    } else {
        leaves_hold(&w->frame);
    }
    return w;
}

void ad_workspace_free(ad_workspace *w)
{
    if (!w || !w->program)
        return;
    if (w->status != AD_NO_MEMORY)
        leaves_let_go(&w->frame);
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

/* ---- inputs ----
 *
 * They are read where the program has them, or where the tensor lies that they are bound to, until
 * they are set: then this workspace has memory of its own for them. */

static array input_array(const ad_workspace *w, int k)
{
    return w->program->routine ? array_scalar(&w->x[k])
                               : frame_array(&w->frame, w->program->inputs[k]);
}

/* Where input k is to be written; false: out of memory. */
static bool own_input(ad_workspace *w, int k, array *to)
{
    block *b = w->program->routine ? NULL : block_at(w->frame.nodes, w->program->inputs[k]);
    if (b && !w->own[k] && !(w->own[k] = arena_take(&w->memory, array_bytes(&b->out))))
        return false;
    if (b && b->out.data != w->own[k]) {
        b->out.data = w->own[k];
        ad_tensor_free(b->tensor);
        b->tensor = NULL;
    }
    *to = input_array(w, k);
    return true;
}

/* May input k have this value? */
static ad_status check_input(ad_workspace *w, int k, const ad_tensor *value, const char *who)
{
    static const char *const wrong[] = {[AD_BAD_INDEX] = "no such input",
                                        [AD_BAD_SHAPE] = "the input has another shape",
                                        [AD_BAD_DTYPE] = "the input has another dtype"};
    if (!w || !value)
        return AD_NULL;
    if (w->status)
        return w->status;
    ad_status s = k < 0 || (uint32_t)k >= w->program->n_inputs ? AD_BAD_INDEX : AD_OK;
    const array from = tensor_array(value), to = s ? from : input_array(w, k);
    if (!s && !same_shape(&from, &to))
        s = AD_BAD_SHAPE;
    if (!s && from.dtype != to.dtype)
        s = AD_BAD_DTYPE;
    if (s)
        snprintf(w->error, sizeof w->error, "%s: %s", who, wrong[s]);
    return s;
}

static ad_status copy_input(ad_workspace *w, int k, const ad_tensor *value, const char *who)
{
    array from = tensor_array(value), to;
    if (!own_input(w, k, &to)) {
        snprintf(w->error, sizeof w->error, "%s: out of memory", who);
        return AD_NO_MEMORY;
    }
    array_copy(&to, &from);
    return AD_OK;
}

ad_status ad_workspace_set(ad_workspace *w, int k, const ad_tensor *value)
{
    const ad_status s = check_input(w, k, value, "workspace_set");
    return s ? s : copy_input(w, k, value, "workspace_set");
}

ad_status ad_workspace_bind_input(ad_workspace *w, int k, ad_tensor *value)
{
    const ad_status s = check_input(w, k, value, "workspace_bind_input");
    if (s)
        return s;
    block *b = w->program->routine ? NULL : block_at(w->frame.nodes, w->program->inputs[k]);
    const array a = tensor_array(value);
    if (!b || !array_contiguous(&a))
        return copy_input(w, k, value, "workspace_bind_input");
    ad_tensor_retain(value);
    ad_tensor_free(b->tensor);
    b->tensor = value;
    return AD_OK;
}

ad_status ad_workspace_set_scalar(ad_workspace *w, int k, double value)
{
    if (!w)
        return AD_NULL;
    if (w->status)
        return w->status;
    array to;
    if (k < 0 || (uint32_t)k >= w->program->n_inputs || input_array(w, k).size != 1)
        return workspace_fail(w, AD_BAD_INDEX, "workspace_set_scalar: no such scalar input");
    if (!own_input(w, k, &to))
        return workspace_fail(w, AD_NO_MEMORY, "workspace_set_scalar: out of memory");
    array_put(&to, 0, value);
    return AD_OK;
}

void workspace_bind_params(ad_workspace *w)
{
    for (uint32_t k = 0; k < w->program->n_params; k++) {
        block *b = block_at(w->frame.nodes, w->program->params[k]);
        b->out = tensor_array(b->tensor ? b->tensor : b->param->value);
    }
}

void workspace_bind_inputs(ad_workspace *w)
{
    for (uint32_t k = 0; k < w->program->n_inputs; k++) {
        block *b = block_at(w->frame.nodes, w->program->inputs[k]);
        if (b && b->tensor)
            b->out.data = tensor_array(b->tensor).data;
    }
}

static ad_status set_inputs(ad_workspace *w, const double *x)
{
    const ad_program *p = w->program;
    for (uint32_t k = 0; k < p->n_inputs; k++) {
        array to;
        if (!own_input(w, (int)k, &to))
            return AD_NO_MEMORY;
        array from = array_of((void *)(uintptr_t)x, AD_F64, to.rank, to.shape);
        array_copy(&to, &from);
        x += to.size;
    }
    return AD_OK;
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

ad_status frame_run(ad_workspace *w, const double *x, double *out)
{
    const ad_program *p = w->program;
    frame *f = &w->frame;
    f->failed_node = NO_NODE;
    f->note[0] = 0;
    ad_status s = x ? set_inputs(w, x) : AD_OK;
    if (!s)
        s = plan_run(w);
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
        s = plan_commit(w);
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
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): status 0, and so a program
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
