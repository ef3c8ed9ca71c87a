/* state.c - assignments: what a program writes back to its parameters when it has run */
#define AD_PLAIN
#include "tape.h"
#include "tensor.h"

ad_status ad_assign(ad_var state, ad_var value)
{
    ad_var args[2] = {state, value};
    ad_tape *t = tape_of(2, args);
    if (!t)
        return AD_NULL;
    uint32_t s = tape_node(t, state, "assign"),
             v = s == NO_NODE ? NO_NODE : tape_node(t, value, "assign");
    if (v == NO_NODE)
        return t->status;
    const block *b = block_at(t->head.nodes, s);
    if (!b || !b->param) {
        tape_fail(t, AD_BAD_ARGUMENT, NULL,
                  "assign: node %u is no parameter or state: use the handle of ad_use", s);
        return t->status;
    }
    array to = b->out, from = frame_array(&t->frame, v);
    if (!same_shape(&to, &from) || (from.rank && to.dtype != from.dtype)) {
        char x[SHAPE_TEXT], y[SHAPE_TEXT];
        tape_fail(t, to.dtype == from.dtype ? AD_BAD_SHAPE : AD_BAD_DTYPE, NULL,
                  "assign: %s %s to %s, which is %s %s", ad_dtype_name(from.dtype),
                  shape_text(y, from.rank, from.shape), ad_param_name(b->param),
                  ad_dtype_name(to.dtype), shape_text(x, to.rank, to.shape));
        return t->status;
    }
    assignment *all = t->assign_pages.base;
    for (uint32_t i = 0; i < t->n_assigns; i++)
        if (all[i].state == s) {
            tape_fail(t, AD_BAD_ARGUMENT, NULL, "assign: %s is assigned twice",
                      ad_param_name(b->param));
            return t->status;
        }
    if (!pages_grow(t->context, &t->assign_pages, (t->n_assigns + 1) * sizeof *all,
                    (size_t)AD_MAX_NODES * sizeof *all)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "assign: out of memory");
        return t->status;
    }
    all = t->assign_pages.base;
    all[t->n_assigns++] = (assignment){s, v};
    return AD_OK;
}

/* Values that are parameters themselves, or views of them, are set aside first: all reads come
 * before all writes. NULL when out of memory. */
static array *set_aside(frame *f, uint32_t n, const assignment *all, bool copy)
{
    array *values = arena_take(f->scratch, (n + 1) * sizeof *values);
    for (uint32_t i = 0; values && i < n; i++) {
        const block *b = block_at(f->nodes, all[i].value);
        array value = values[i] = frame_array(f, all[i].value);
        if (!b || !(b->op->is_view || b->leaf))
            continue;
        values[i] = scratch_array(f, value.dtype, value.rank, value.shape);
        if (!values[i].data)
            return NULL;
        if (copy)
            array_copy(&values[i], &value);
    }
    return values;
}

bool commit_reserve(frame *f, uint32_t n, const assignment *all)
{
    arena_mark mark = arena_here(f->scratch);
    const bool ok = set_aside(f, n, all, false);
    arena_rewind(f->scratch, mark);
    return ok;
}

ad_status frame_commit(frame *f, uint32_t n, const assignment *all)
{
    arena_mark mark = arena_here(f->scratch);
    array *values = set_aside(f, n, all, true);
    for (uint32_t i = 0; values && i < n; i++) {
        const block *state = block_at(f->nodes, all[i].state);
        array_copy(&state->out, &values[i]);
        tensor_touch(state->tensor ? state->tensor : state->param->value);
    }
    arena_rewind(f->scratch, mark);
    return values ? AD_OK : AD_NO_MEMORY;
}

ad_status ad_commit(ad_tape *t)
{
    if (!tape_ok(t))
        return t ? t->status : AD_NULL;
    frame_report(t, frame_check_borrowed(&t->frame), "commit");
    if (!t->status)
        tape_catch_up(t);
    if (!t->status)
        frame_report(t, frame_commit(&t->frame, t->n_assigns, t->assign_pages.base), "commit");
    return t->status;
}
