/* plan_c.c - a program with tensors as one C file: its steps, its results, and what stands before
 * them
 *
 * The text is written twice, first to nowhere: then it is known which functions and arrays it
 * needs. */
#define AD_PLAIN
#include "plan_c.h"
#include "algebra.h"
#include "elementwise.h"
#include <limits.h>
#include <string.h>

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
    uint32_t few[3] = {0}, n = c_operands(w, i, &list, few);
    c_rows_need(&w->rows, AD_F64, op);
    c_begin_line(w);
    c_put(w, "const double s%u = op_%s(", i, elementwise_ops[op].info.name);
    for (uint32_t k = 0; k < n; k++) {
        c_put(w, k ? ", " : "");
        c_scalar(w, list[k]);
    }
    c_put(w, ");\n");
}

static void write_guard(c_writer *w, uint32_t i)
{
    const node *nodes = w->p->frame.nodes;
    c_begin_line(w);
    c_put(w, nodes[i].u.bits & 1 ? "if (!(" : "if ((");
    c_scalar(w, node_a(&nodes[i]));
    c_put(w, " %s ", comparison_text((unsigned)(nodes[i].u.bits >> 1)));
    c_scalar(w, node_b(&nodes[i]));
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
        if (c_is_output(w, w->base[i], k))
            continue;
        const c_lane from = c_lane_of(w, i);
        if (c_is_scalar(w, i)) {
            c_begin_line(w);
            c_put(w, "at->y%u[0] = ", k);
            c_scalar(w, i);
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
    if (w.layout->status || !plan_c_layout(&w)) {
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
