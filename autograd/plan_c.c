/* plan_c.c - a program with tensors as one C file: its arrays, its memory, and its steps
 *
 * A workspace that is never run says where things lie: which object an array is in, and at which
 * offset and strides. The text is written twice, first to nowhere: then it is known which functions
 * and arrays it needs. */
#define AD_PLAIN
#include "plan_c.h"
#include "algebra.h"
#include "elementwise.h"
#include "tensor.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

void c_put(c_writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (w->to)
        vfprintf(w->to, format, args);
    va_end(args);
}

void c_begin_line(c_writer *w) { c_put(w, "%*s", 4 * w->depth, ""); }

const char *c_type(ad_dtype dtype)
{
    return dtype == AD_F64 ? "double" : dtype == AD_F32 ? "float" : "int32_t";
}

void c_helper(c_writer *w, int helper, ad_dtype dtype)
{
    static const char *const names[] = {
#define HELPER(name, ...) #name,
#include "c_helpers.def"
    };
    c_helpers_need(&w->helpers, dtype, helper);
    c_put(w, "%s_%s", names[helper], dtype == AD_F64 ? "f64" : "f32");
}

/* The fewest digits that read back as the same number. */
void c_number(c_writer *w, double x, ad_dtype dtype)
{
    const bool is_float = dtype == AD_F32;
    char text[48];
    x = is_float ? (double)(float)x : x;
    if (dtype == AD_I32)
        snprintf(text, sizeof text, x > -2147483648.0 ? "%.0f" : "(-2147483647 - 1)", x);
    else if (!isfinite(x))
        snprintf(text, sizeof text, "%s", isnan(x) ? "NAN" : x < 0 ? "-INFINITY" : "INFINITY");
    else
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, x);
            if (is_float ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x)
                break;
        }
    const bool whole = isfinite(x) && dtype != AD_I32 && !strpbrk(text, ".,e");
    for (char *comma = strchr(text, ','); comma; comma = NULL)
        *comma = '.';
    const char *const ending = isfinite(x) && is_float ? "f" : "";
    c_put(w, x < 0 || signbit(x) ? "(%s%s%s)" : "%s%s%s", text, whole ? ".0" : "", ending);
}

/* ---- lanes and loops ---- */

c_lane c_lane_of(const c_writer *w, uint32_t i)
{
    return (c_lane){i, frame_array(&w->layout->frame, i)};
}

c_lane c_scratch(c_writer *w, ad_dtype dtype, int rank, const int64_t *shape)
{
    const c_lane l = {C_SCRATCH, array_of(NULL, dtype, rank, shape)};
    const size_t bytes = (array_bytes(&l.a) + 7) / 8 * 8;
    w->scratch = bytes > w->scratch ? bytes : w->scratch;
    return l;
}

static bool continues(const c_nest *nest, int n, const array *arrays, int axis)
{
    const int last = nest->rank - 1;
    for (int k = 0; k < n && last >= 0; k++)
        if (nest->stride[k][last] != arrays[k].stride[axis] * arrays[k].shape[axis])
            return false;
    return last >= 0;
}

c_nest c_nest_of(c_writer *w, int n, const array *arrays, bool merged)
{
    c_nest nest = {.stride = arena_take(&w->layout->memory, ((size_t)n + 1) * sizeof *nest.stride)};
    if (!nest.stride) {
        w->status = AD_NO_MEMORY;
        return nest;
    }
    for (int i = 0; i < arrays[0].rank; i++) {
        const int64_t size = arrays[0].shape[i];
        if (merged && size == 1)
            continue;
        const bool joins = merged && continues(&nest, n, arrays, i);
        const int to = joins ? nest.rank - 1 : nest.rank;
        nest.shape[to] = joins ? nest.shape[to] * size : size;
        for (int k = 0; k < n; k++)
            nest.stride[k][to] = arrays[k].stride[i];
        nest.rank = to + 1;
    }
    return nest;
}

void c_open(c_writer *w, const c_nest *n, int from, int to)
{
    for (int i = from; i < to; i++, w->depth++) {
        c_begin_line(w);
        c_put(w, "for (long i%d = 0; i%d < %lld; i%d++)\n", i, i, (long long)n->shape[i], i);
    }
}

void c_close(c_writer *w, int loops) { w->depth -= loops; }

/* ---- names ---- */

/* of a node that is a number */
static void scalar(c_writer *w, uint32_t i)
{
    const node *n = &w->p->frame.nodes[i];
    w->is_used[i] = true;
    if (node_op(n) == CODE_CONSTANT)
        c_number(w, n->u.value, AD_F64);
    else if (w->objects[i].letter)
        c_put(w, "%c%u[0]", w->objects[i].letter, w->objects[i].number);
    else
        c_put(w, "s%u", i);
}

void c_name(c_writer *w, const c_lane *l)
{
    if (l->node == C_SCRATCH) {
        c_put(w, l->a.dtype == AD_F64 ? "r" : "((%s *)r)", c_type(l->a.dtype));
        return;
    }
    if (c_is_scalar(w, l->node)) {
        scalar(w, l->node);
        return;
    }
    const uint32_t base = w->base[l->node];
    w->is_used[base] = true;
    c_put(w, "%c%u", w->objects[base].letter, w->objects[base].number);
}

/* where the array begins in its object, in elements */
static int64_t offset_of(const c_writer *w, const c_lane *l)
{
    if (l->node == C_SCRATCH || c_is_scalar(w, l->node) || !l->a.size)
        return 0;
    const char *from = frame_array(&w->layout->frame, w->base[l->node]).data;
    return ((const char *)l->a.data - from) / (int64_t)ad_dtype_size(l->a.dtype);
}

/* "3*i0 + i1 + 5", each term but perhaps the first behind a sign; gives whether there is any */
static bool terms(c_writer *w, const c_lane *l, const c_nest *n, int k, bool is_first)
{
    for (int i = 0; n && i < n->rank; i++) {
        const int64_t by = n->stride[k][i];
        if (!by)
            continue;
        c_put(w, by < 0 ? (is_first ? "-" : " - ") : is_first ? "" : " + ");
        if (by != 1 && by != -1)
            c_put(w, "%lld*", llabs((long long)by));
        c_put(w, "i%d", i);
        is_first = false;
    }
    const int64_t offset = offset_of(w, l);
    if (offset)
        c_put(w, is_first ? "%lld" : " + %lld", (long long)offset);
    return !is_first || offset;
}

void c_index(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    if (!terms(w, l, n, k, true))
        c_put(w, "0");
}

void c_element(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    c_name(w, l);
    if (c_is_scalar(w, l->node))
        return;
    c_put(w, "[");
    c_index(w, l, n, k);
    c_put(w, "]");
}

void c_pointer(c_writer *w, const c_lane *l, const c_nest *n, int k)
{
    if (!l->a.size) {
        c_put(w, "NULL");
        return;
    }
    if (c_is_scalar(w, l->node))
        c_put(w, "(const double[]){");
    c_name(w, l);
    if (c_is_scalar(w, l->node))
        c_put(w, "}");
    else
        terms(w, l, n, k, false);
}

/* ---- what there is ---- */

static uint32_t operands(const c_writer *w, uint32_t i, const uint32_t **list, uint32_t few[3])
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
        for (uint32_t k = w->is_live[i] && needs ? operands(w, i, &list, few) : 0; k-- > 0;)
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
static bool is_output(const c_writer *w, uint32_t i, uint32_t k)
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
            if (is_output(w, j, k) && q->place[j] < q->place[i])
                gone += bytes_of(w, j);
        }
        w->place[i] = q ? q->place[i] - gone : w->memory;
        const size_t end = w->place[i] + bytes_of(w, i);
        w->memory = end > w->memory ? end : w->memory;
    }
}

static bool prepare(c_writer *w)
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

/* ---- steps ---- */

/* A single elementwise operation as a pass. */
static fused pass_of(c_writer *w, const block *b)
{
    fused pass = {.n_ops = 1, .n_in = b->n_args, .n_out = 1, .like = b->node};
    fused_op *op = pass.ops = arena_zeros(&w->layout->memory, sizeof *op);
    pass.nodes = arena_zeros(&w->layout->memory, (b->n_args + 1) * sizeof *pass.nodes);
    if (!pass.ops || !pass.nodes) {
        w->status = AD_NO_MEMORY;
        return (fused){0};
    }
    *op = (fused_op){.code = (uint16_t)b->code, .n_vectors = (uint8_t)b->n_args, .n_results = 1};
    for (uint32_t k = 0; k < b->n_args; k++) {
        pass.nodes[k] = b->args[k];
        op->x[k] = (uint16_t)k;
    }
    pass.nodes[b->n_args] = b->node;
    op->y[0] = (uint16_t)b->n_args;
    return pass;
}

static void write_scalar_row(c_writer *w, uint32_t i)
{
    const int op = (int)node_op(&w->p->frame.nodes[i]);
    const uint32_t *list;
    uint32_t few[3] = {0}, n = operands(w, i, &list, few);
    c_rows_need(&w->rows, AD_F64, op);
    c_begin_line(w);
    c_put(w, "const double s%u = op_%s(", i, elementwise_ops[op].info.name);
    for (uint32_t k = 0; k < n; k++) {
        c_put(w, k ? ", " : "");
        scalar(w, list[k]);
    }
    c_put(w, ");\n");
}

static void write_guard(c_writer *w, uint32_t i)
{
    const node *nodes = w->p->frame.nodes;
    c_begin_line(w);
    c_put(w, nodes[i].u.bits & 1 ? "if (!(" : "if ((");
    scalar(w, node_a(&nodes[i]));
    c_put(w, " %s ", comparison_text((unsigned)(nodes[i].u.bits >> 1)));
    scalar(w, node_b(&nodes[i]));
    c_put(w, "))\n");
    c_begin_line(w);
    c_put(w, "    return %u;\n", w->objects[i].number);
}

static void comment(c_writer *w, uint32_t i)
{
    char text[SHAPE_TEXT];
    const array a = frame_array(&w->p->frame, i);
    c_begin_line(w);
    c_put(w, "/* %s %s */\n", op_name(&w->p->frame, i), shape_text(text, a.rank, a.shape));
}

static void write_block(c_writer *w, const block *b)
{
    if (c_is_scalar(w, b->node)) {
        c_begin_line(w);
        c_put(w, "double s%u;\n", b->node);
    }
    if (b->op == &elementwise_block) {
        const fused pass = pass_of(w, b);
        c_pass_call(w, &pass, b->node);
        return;
    }
    comment(w, b->node);
    if (!c_block(w, b) && !w->lacking)
        w->lacking = b->name;
}

static void write_node(c_writer *w, uint32_t i)
{
    const unsigned op = node_op(&w->p->frame.nodes[i]);
    const block *b = block_at(w->layout->frame.nodes, i);
    if (!w->is_live[i])
        return;
    if (op < AD_OP_COUNT_)
        write_scalar_row(w, i);
    else if (op == CODE_GUARD)
        write_guard(w, i);
    else if (b && b->leaf == LEAF_NONE && !b->op->is_view)
        write_block(w, b);
}

/* What is left of a sum when a pass has added up its elements. */
static void write_sum(c_writer *w, const summed *s)
{
    const block *b = block_at(w->p->frame.nodes, s->node);
    const c_lane y = c_lane_of(w, s->node);
    if (!w->is_live[s->node])
        return;
    c_begin_line(w);
    c_put(w, c_is_scalar(w, s->node) ? "const double " : "");
    c_element(w, &y, NULL, 0);
    c_put(w, y.a.dtype == AD_F32 ? " = (float)" : " = ");
    if (!strcmp(b->op->name, "mean"))
        c_put(w, "(t%u / %lld)", s->node, (long long)frame_array(&w->p->frame, b->args[0]).size);
    else
        c_put(w, "t%u", s->node);
    c_put(w, ";\n");
}

static void write_steps(c_writer *w, const plan_step *steps, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        if (steps[k].pass)
            c_pass_call(w, steps[k].pass, steps[k].from);
        else if (steps[k].sum)
            write_sum(w, steps[k].sum);
        for (uint32_t i = steps[k].from; !steps[k].pass && !steps[k].sum && i < steps[k].to; i++)
            write_node(w, i);
    }
}

static void write_all_steps(c_writer *w)
{
    const plan *q = w->p->plan;
    const plan_step all = {.from = 0, .to = w->p->frame.n};
    write_steps(w, q ? q->once : &all, q ? q->n_once : 1);
    if (q)
        write_steps(w, q->steps, q->n_steps);
}

/* The functions of passes, also of those of a single operation. */
static void write_functions(c_writer *w)
{
    const plan *q = w->p->plan;
    for (uint32_t k = 0; q && k < q->n_steps; k++)
        if (q->steps[k].pass)
            c_pass_function(w, q->steps[k].pass, q->steps[k].from);
    for (uint32_t k = 0; k < (q ? q->n_once + q->n_steps : 1); k++) {
        const plan_step all = {.from = 0, .to = w->p->frame.n}, *s = !q ? &all
                                                                     : k < q->n_once
                                                                         ? &q->once[k]
                                                                         : &q->steps[k - q->n_once];
        for (uint32_t i = s->from; !s->pass && i < s->to; i++) {
            const block *b = block_at(w->p->frame.nodes, i);
            if (!b || b->op != &elementwise_block || !w->is_live[i])
                continue;
            const fused pass = pass_of(w, b);
            c_pass_function(w, &pass, i);
        }
    }
}

/* ---- results ---- */

static void write_outputs(c_writer *w)
{
    const ad_program *p = w->p;
    for (uint32_t k = 0; k < p->n_outputs; k++) {
        const uint32_t i = p->outputs[k];
        if (is_output(w, w->base[i], k))
            continue;
        const c_lane from = c_lane_of(w, i);
        if (c_is_scalar(w, i)) {
            c_begin_line(w);
            c_put(w, "at->y%u[0] = ", k);
            scalar(w, i);
            c_put(w, ";\n");
            continue;
        }
        const array both[2] = {array_of(NULL, from.a.dtype, from.a.rank, from.a.shape), from.a};
        const c_nest n = c_nest_of(w, 2, both, true);
        const c_lane to = {C_SCRATCH, both[0]}; /* has no offset */
        if (w->status || !from.a.size)
            continue;
        c_open(w, &n, 0, n.rank);
        c_begin_line(w);
        c_put(w, "at->y%u[", k);
        c_index(w, &to, &n, 0);
        c_put(w, "] = ");
        c_element(w, &from, &n, 1);
        c_put(w, ";\n");
        c_close(w, n.rank);
    }
}

static bool lies_in_state(const c_writer *w, uint32_t i)
{
    return w->objects[w->base[i]].letter == 'p';
}

/* The values that lie in states, one behind the other in scratch memory, or from there. */
static void copy_aside(c_writer *w, uint32_t n, const assignment *all, bool back)
{
    int64_t at = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (!lies_in_state(w, all[k].value))
            continue;
        const c_lane state = c_lane_of(w, all[k].state), value = c_lane_of(w, all[k].value),
                     aside = c_scratch(w, value.a.dtype, value.a.rank, value.a.shape);
        const int64_t numbers = (int64_t)(array_bytes(&aside.a) + 7) / 8, end = at + numbers;
        c_scratch(w, AD_F64, 1, &end);
        c_copy(w, back ? &state : &aside, back ? &aside : &value, "=");
        if (numbers) {
            c_begin_line(w);
            c_put(w, "r += %lld;\n", (long long)numbers);
        }
        at = end;
    }
    if (at) {
        c_begin_line(w);
        c_put(w, "r -= %lld;\n", (long long)at);
    }
}

/* After all else. A value that lies in a state is set aside before any is written. */
static void write_commits(c_writer *w)
{
    const ad_program *p = w->p;
    const assignment *all = p->plan ? p->plan->commits : p->assigns;
    const uint32_t n = p->plan ? p->plan->n_commits : p->n_assigns;
    copy_aside(w, n, all, false);
    for (uint32_t k = 0; k < n; k++) {
        const c_lane state = c_lane_of(w, all[k].state), value = c_lane_of(w, all[k].value);
        if (!lies_in_state(w, all[k].value))
            c_copy(w, &state, &value, "=");
    }
    copy_aside(w, n, all, true);
}

/* ---- the file ---- */

/* what a comment may hold of it */
static void put_name(c_writer *w, const char *name)
{
    static const char plain[] = " +-._:[]0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    c_put(w, ", ");
    for (; *name; name++)
        c_put(w, "%c", strchr(plain, *name) ? *name : '?');
}

static void slot_comment(c_writer *w, uint32_t i)
{
    char text[SHAPE_TEXT];
    const array a = frame_array(&w->p->frame, i);
    const block *b = block_at(w->p->frame.nodes, i);
    c_put(w, " /* %s", a.rank ? shape_text(text, a.rank, a.shape) : "a number");
    if (b && b->param)
        put_name(w, ad_param_name(b->param));
    if (w->objects[i].is_written && w->objects[i].letter == 'p')
        c_put(w, ", which is assigned");
    c_put(w, " */\n");
}

static void write_slots(c_writer *w, char letter, uint32_t n, const uint32_t *ids)
{
    for (uint32_t k = 0; k < n; k++) {
        const array a = frame_array(&w->p->frame, ids[k]);
        const bool fixed = letter == 'x' || (letter == 'p' && !w->objects[ids[k]].is_written);
        c_put(w, "    %s%s *%c%u;", fixed ? "const " : "", c_type(a.dtype), letter, k);
        slot_comment(w, ids[k]);
    }
}

static void write_sizes(c_writer *w, char letter, uint32_t n, const uint32_t *ids)
{
    for (uint32_t k = 0; k < n; k++) {
        const array a = frame_array(&w->p->frame, ids[k]);
        if (a.size > INT_MAX)
            w->status = AD_TOO_LARGE;
        c_put(w, "    %s_%c%u = %lld,\n", w->name, letter, k, (long long)a.size);
    }
}

static void write_head(c_writer *w)
{
    const ad_program *p = w->p;
    const size_t numbers = (w->memory + w->scratch) / sizeof(double);
    if (numbers > INT_MAX)
        w->status = AD_TOO_LARGE;
    c_put(w,
          "/* %s: a recorded program, as loops over arrays\n *\n"
          " * Arrays lie by rows, and no two of them overlap; m is memory for %s_memory numbers.\n"
          " * Gives 0; 1 + the number of a recorded comparison that comes out differently; or -1\n"
          " * where an index is out of range. Then results hold anything%s. */\n"
          "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
          "typedef struct %s_arrays {\n",
          w->name, w->name, p->n_assigns ? ", and nothing is assigned" : "", w->name);
    write_slots(w, 'x', p->n_inputs, p->inputs);
    write_slots(w, 'p', p->n_params, p->params);
    write_slots(w, 'y', p->n_outputs, p->outputs);
    if (!p->n_inputs && !p->n_params && !p->n_outputs)
        c_put(w, "    int nothing;\n");
    c_put(w, "} %s_arrays;\n\nenum { /* elements, and memory */\n", w->name);
    write_sizes(w, 'x', p->n_inputs, p->inputs);
    write_sizes(w, 'p', p->n_params, p->params);
    write_sizes(w, 'y', p->n_outputs, p->outputs);
    c_put(w, "    %s_memory = %zu\n};\n\nint %s(const %s_arrays *at, double *m);\n\n", w->name,
          numbers, w->name, w->name);
}

static void write_constants(c_writer *w)
{
    for (uint32_t i = 0; i < w->p->frame.n; i++) {
        const array a = frame_array(&w->p->frame, i);
        if (w->objects[i].letter != 'c' || !w->is_used[i] || !a.size)
            continue;
        c_put(w, "static const %s c%u[%lld] = {", c_type(a.dtype), i, (long long)a.size);
        for (int64_t k = 0; k < a.size; k++) {
            c_put(w, k % 8 == 0 ? "\n    " : " ");
            c_number(w, array_get(&a, k), a.dtype);
            c_put(w, ",");
        }
        c_put(w, "\n};\n\n");
    }
}

/* A pointer for each object that the steps name. */
static void write_objects(c_writer *w)
{
    for (uint32_t i = 0; i < w->p->frame.n; i++) {
        const c_object o = w->objects[i];
        const char *const type = c_type(frame_array(&w->p->frame, i).dtype);
        if (!w->is_used[i] || !o.letter || o.letter == 'c')
            continue;
        c_begin_line(w);
        c_put(w, "%s%s *const %c%u = ", o.is_written ? "" : "const ", type, o.letter, o.number);
        if (o.letter != 'b')
            c_put(w, "at->%c%u;\n", o.letter, o.number);
        else if (!strcmp(type, "double"))
            c_put(w, "m + %zu;\n", w->place[i] / sizeof(double));
        else
            c_put(w, "(%s *)(m + %zu);\n", type, w->place[i] / sizeof(double));
    }
    if (w->scratch) {
        c_begin_line(w);
        c_put(w, "double *r = m + %zu;\n", w->memory / sizeof(double));
    }
}

static void write_sums(c_writer *w)
{
    const plan *q = w->p->plan;
    for (uint32_t k = 0; q && k < q->n_sums; k++) {
        c_begin_line(w);
        c_put(w, "double t%u;\n", q->sums[k].node);
    }
}

static void write_file(c_writer *w)
{
    write_head(w);
    write_constants(w);
    if (w->to) {
        c_rows_write(&w->rows, w->to);
        c_helpers_write(&w->helpers, w->to);
    }
    write_functions(w);
    c_put(w, "int %s(const %s_arrays *at, double *m)\n{\n    (void)at, (void)m;\n", w->name,
          w->name);
    w->depth = 1;
    write_objects(w);
    write_sums(w);
    write_all_steps(w);
    write_outputs(w);
    write_commits(w);
    w->depth = 0;
    c_put(w, "    return 0;\n}\n");
}

ad_status plan_write_c(const ad_program *p, const char *name, FILE *to, const char **lacking)
{
    *lacking = "a backward sweep";
    if (p->flags & AD_GRADIENT)
        return AD_NOT_RECORDED;
    *lacking = NULL;
    c_writer w = {.p = p, .layout = ad_workspace_new(p), .name = name};
    if (w.layout->status || !prepare(&w)) {
        ad_workspace_free(w.layout);
        return AD_NO_MEMORY;
    }
    write_file(&w);
    *lacking = w.lacking ? w.lacking : c_rows_lacking(&w.rows);
    const ad_status s = w.status ? w.status : *lacking ? AD_NOT_RECORDED : AD_OK;
    w.to = to;
    if (!s)
        write_file(&w);
    ad_workspace_free(w.layout);
    return s ? s : w.status ? w.status : ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
