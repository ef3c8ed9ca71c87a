/* compile.c - ad_compile: a tape's outputs and their derivatives as an optimised program
 *
 * What is made of scalars alone becomes straight-line code (code.h), to which derivatives are
 * added, which the passes shorten, and which is rolled into loops (loops.h). Where there are
 * tensors, the derivatives are recorded on the tape, captured with the rest, and taken off it
 * again. */
#define AD_PLAIN
#include "routine.h"
#include <string.h>

typedef struct request {
    ad_tape *t;
    uint32_t n_inputs, n_outputs;
    const ad_var *inputs, *outputs;
    ad_compile_config config;
} request;

/* ---- passes ---- */

/* Lowering and reverse sweeps make dot products themselves; forward sweeps do not. */
static void run_passes(code *k, const ad_compile_config *config, ad_program_stats *stats)
{
    if (k->dots_wanted && config->want & (AD_JVP | AD_JACOBIAN | AD_HVP))
        code_dots(k);
    stats->changed[0] = k->n_taken;
    code_simplify(k, ~config->without, config->finite, stats->changed);
    stats->changed[1] = config->without & AD_PASS_DEAD ? 0 : code_dead(k);
}

/* ---- programs of scalars ---- */

/* inputs beyond the user's, in their order */
static void put_inputs(code *k, uint32_t *to, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = code_put(k, OP_INPUT, k->n_inputs++, 0, 0);
}

static uint32_t count_outputs(const request *r)
{
    const int want = r->config.want;
    return (want & AD_NO_VALUES ? 0 : r->n_outputs) + (want & AD_GRADIENT ? r->n_inputs : 0) +
           (want & AD_VJP ? r->n_inputs : 0) + (want & AD_JVP ? r->n_outputs : 0) +
           (want & AD_JACOBIAN ? r->n_inputs * r->n_outputs : 0) +
           (want & AD_HVP ? r->n_inputs : 0);
}

/* Row by row by reverse sweeps, or column by column by forward ones, whichever are fewer. */
static void put_jacobian(code *k, uint32_t n, uint32_t m, uint32_t *to, arena *scratch)
{
    uint32_t *unit = arena_take(scratch, ((size_t)n + 1) * sizeof *unit),
             *column = arena_take(scratch, ((size_t)m + 1) * sizeof *column);
    if (!unit || !column) {
        k->status = AD_NO_MEMORY;
        return;
    }
    const uint32_t one = code_constant(k, 1);
    for (uint32_t i = 0; m <= n && i < m; i++)
        code_reverse(k, 1, k->outputs + i, &one, n, to + (size_t)i * n);
    for (uint32_t j = 0; m > n && j < n; j++) {
        for (uint32_t i = 0; i < n; i++)
            unit[i] = i == j ? one : NOTHING;
        code_forward(k, n, unit, m, k->outputs, column);
        for (uint32_t i = 0; i < m && !k->status; i++)
            to[(size_t)i * n + j] = column[i];
    }
}

/* Derivatives, and with them the outputs of the whole. */
static void put_derivatives(code *k, const request *r, arena *scratch)
{
    const uint32_t n = r->n_inputs, m = r->n_outputs, all = count_outputs(r);
    const int want = r->config.want;
    uint32_t *cotangents = arena_take(scratch, ((size_t)m + 1) * sizeof *cotangents),
             *directions = arena_take(scratch, ((size_t)n + 1) * sizeof *directions),
             *gradient = arena_take(scratch, ((size_t)n + 1) * sizeof *gradient),
             *outputs = memory_take(k->context, ((size_t)all + 1) * sizeof *outputs), *to = outputs;
    if (!cotangents || !directions || !gradient || !outputs) {
        k->status = AD_NO_MEMORY;
        memory_give(k->context, outputs, ((size_t)all + 1) * sizeof *outputs);
        return;
    }
    if (want & AD_VJP)
        put_inputs(k, cotangents, m);
    if (want & (AD_JVP | AD_HVP))
        put_inputs(k, directions, n);
    if (!(want & AD_NO_VALUES)) {
        memcpy(to, k->outputs, m * sizeof *to);
        to += m;
    }
    k->from |= DERIVED;
    const uint32_t one = code_constant(k, 1);
    if (want & (AD_GRADIENT | AD_HVP))
        code_reverse(k, 1, k->outputs, &one, n, gradient);
    if (want & AD_GRADIENT) {
        memcpy(to, gradient, n * sizeof *to);
        to += n;
    }
    if (want & AD_VJP) {
        code_reverse(k, m, k->outputs, cotangents, n, to);
        to += n;
    }
    if (want & AD_JVP) {
        code_forward(k, n, directions, m, k->outputs, to);
        to += m;
    }
    if (want & AD_JACOBIAN) {
        put_jacobian(k, n, m, to, scratch);
        to += (size_t)n * m;
    }
    if (want & AD_HVP)
        code_forward(k, n, directions, n, gradient, to);
    memory_give(k->context, k->outputs, ((size_t)k->n_outputs + 1) * sizeof *k->outputs);
    k->outputs = outputs;
    k->n_outputs = all;
}

static void keep_listing(listing *l, const code *k)
{
    l->n = k->n;
    l->n_first = k->n < SHOWN_ENDS ? k->n : SHOWN_ENDS;
    l->n_last = k->n - l->n_first < SHOWN_ENDS ? k->n - l->n_first : SHOWN_ENDS;
    l->last_from = k->n - l->n_last;
    if (l->n_first)
        memcpy(l->first, k->at, l->n_first * sizeof *k->at);
    if (l->n_last)
        memcpy(l->last, k->at + l->last_from, l->n_last * sizeof *k->at);
}

/* What errors name: the sites of guards, and of all operations where numbers are checked. */
static bool keep_sites(routine *to, ad_program *p, const request *r)
{
    const loops *l = &to->loops;
    const uint32_t n = r->t->head.n;
    to->guard_sites = arena_take(&p->memory, ((size_t)l->n_guards + 1) * sizeof *to->guard_sites);
    for (uint32_t i = 0; to->guard_sites && i < l->n_guards; i++)
        to->guard_sites[i] = tape_site(r->t, l->guard_origins[i]);
    if (!p->context->check_finite)
        return to->guard_sites;
    to->sites = arena_take(&p->memory, ((size_t)n + 1) * sizeof *to->sites);
    to->operations = arena_take(&p->memory, (size_t)n + 1);
    for (uint32_t i = 0; to->sites && to->operations && i < n; i++) {
        const unsigned op = node_op(&r->t->head.nodes[i]);
        to->sites[i] = tape_site(r->t, i);
        to->operations[i] = (uint8_t)(op < AD_OP_COUNT_ ? op : 0);
    }
    return to->guard_sites && to->sites && to->operations;
}

static bool finish(routine *to, ad_program *p, const request *r, code *k)
{
    const bool roll = !(r->config.without & AD_PASS_LOOPS);
    if (roll)
        code_schedule(k);
    loops_roll(&to->loops, k, p->context->check_finite, roll);
    if (to->loops.status || !keep_sites(to, p, r))
        return false;
    to->n_all = k->n_inputs;
    to->starts = arena_zeros(&p->memory, ((size_t)to->n_all + 1) * sizeof *to->starts);
    for (uint32_t i = 0; to->starts && i < r->n_inputs; i++)
        to->starts[i] = r->t->head.nodes[r->inputs[i].u.node.id].u.value;
    const loops *l = &to->loops;
    to->stats.changed[AD_PASS_COUNT_ - 1] = roll ? l->n_loops : 0;
    to->stats.lines = l->n_lines;
    to->stats.operations = (int64_t)l->operations;
    to->stats.flops = (int64_t)l->flops;
    to->stats.workspace_bytes =
        ((int64_t)l->n_memory + to->n_all + l->n_outputs) * (int64_t)sizeof(double);
    return to->starts;
}

/* false: there are tensors, or an error is on the tape; p->routine is there where it succeeded */
static bool compile_scalars(ad_program *p, const request *r, const uint32_t *inputs,
                            const uint32_t *outputs)
{
    const ad_compile_config *config = &r->config;
    code k = {.context = p->context,
              .scratch = {.context = p->context},
              .dots_wanted = !(config->without & AD_PASS_DOTS)};
    arena scratch = {.context = p->context};
    routine *to = arena_zeros(&p->memory, sizeof *to);
    bool ok = to && code_lower(&k, r->t, r->n_inputs, inputs, r->n_outputs, outputs);
    if (ok) {
        ad_program_stats *stats = &to->stats;
        stats->recorded = (int64_t)k.n + k.n_spared - k.n_inputs;
        put_derivatives(&k, r, &scratch);
        stats->instructions = (int64_t)k.n + k.n_spared;
        keep_listing(&to->before, &k);
        run_passes(&k, config, stats);
        p->routine = to;
        ok = !k.status && finish(to, p, r, &k);
    }
    const ad_status s = !to ? AD_NO_MEMORY : k.status ? k.status : to->loops.status;
    if (s || (p->routine && !ok))
        tape_fail(r->t, s ? s : AD_NO_MEMORY, NULL, "compile: %s",
                  s == AD_TOO_LARGE ? "more than 2^30 instructions" : "out of memory");
    code_free(&k);
    arena_free(&scratch);
    p->n_inputs = to && ok ? to->n_all : 0;
    p->n_outputs = ok ? to->loops.n_outputs : 0;
    return ok;
}

/* ---- with tensors ---- */

/* A leaf like v: an input that is not there yet, such as a direction. */
static ad_var leaf_like(ad_tape *t, ad_var v, const double *zeros)
{
    return ad_is_tensor(v) ? ad_input_array(t, ad_dtype_of(v), ad_rank(v), ad_shape(v), zeros)
                           : ad_input(t, 0);
}

typedef struct recording {
    ad_var *inputs, *outputs, *gradient, *pulled, *swept;
    uint32_t n_inputs, n_outputs;
} recording;

static int64_t largest(const request *r)
{
    int64_t most = 1;
    for (uint32_t i = 0; i < r->n_inputs; i++)
        most = ad_size(r->inputs[i]) > most ? ad_size(r->inputs[i]) : most;
    for (uint32_t i = 0; i < r->n_outputs; i++)
        most = ad_size(r->outputs[i]) > most ? ad_size(r->outputs[i]) : most;
    return most;
}

static const ad_var *put_leaves(recording *to, const request *r, const ad_var *like, uint32_t n,
                                const double *zeros)
{
    ad_var *first = to->inputs + to->n_inputs;
    for (uint32_t i = 0; i < n; i++)
        to->inputs[to->n_inputs++] = leaf_like(r->t, like[i], zeros);
    return first;
}

static void put_outputs(recording *to, const ad_var *from, uint32_t n)
{
    memcpy(to->outputs + to->n_outputs, from, n * sizeof *from);
    to->n_outputs += n;
}

/* The Jacobian times a direction, as the derivative of the transposed product, which is linear in
 * its cotangents u. */
static void record_jvp(recording *to, const request *r, const ad_var *directions,
                       const double *zeros)
{
    const int n = (int)r->n_inputs, m = (int)r->n_outputs;
    for (int i = 0; i < m; i++)
        to->pulled[i] = leaf_like(r->t, r->outputs[i], zeros);
    ad_gradients_seeded(m, r->outputs, to->pulled, n, r->inputs, to->swept);
    ad_gradients_seeded(n, to->swept, directions, m, to->pulled, to->outputs + to->n_outputs);
    to->n_outputs += r->n_outputs;
}

static void record_derivatives(recording *to, const request *r, const double *zeros)
{
    const int n = (int)r->n_inputs, m = (int)r->n_outputs, want = r->config.want;
    const ad_var *cotangents =
                     want & AD_VJP ? put_leaves(to, r, r->outputs, r->n_outputs, zeros) : NULL,
                 *directions = want & (AD_JVP | AD_HVP)
                                   ? put_leaves(to, r, r->inputs, r->n_inputs, zeros)
                                   : NULL;
    if (!(want & AD_NO_VALUES))
        put_outputs(to, r->outputs, r->n_outputs);
    if (want & (AD_GRADIENT | AD_HVP))
        ad_gradients(r->outputs[0], n, r->inputs, to->gradient);
    if (want & AD_GRADIENT)
        put_outputs(to, to->gradient, r->n_inputs);
    if (want & AD_VJP) {
        ad_gradients_seeded(m, r->outputs, cotangents, n, r->inputs, to->swept);
        put_outputs(to, to->swept, r->n_inputs);
    }
    if (want & AD_JVP)
        record_jvp(to, r, directions, zeros);
    if (want & AD_HVP) {
        ad_gradients_seeded(n, to->gradient, directions, n, r->inputs, to->swept);
        put_outputs(to, to->swept, r->n_inputs);
    }
}

static ad_program *compile_recorded(const request *r)
{
    ad_tape *t = r->t;
    if (r->config.want & AD_JACOBIAN) {
        tape_fail(t, AD_BAD_ARGUMENT, NULL,
                  "compile: a Jacobian is of scalars only; of tensors there is AD_VJP");
        return NULL;
    }
    arena scratch = {.context = t->context};
    const size_t n = r->n_inputs, m = r->n_outputs;
    recording to = {arena_zeros(&scratch, (2 * n + m + 1) * sizeof(ad_var)),
                    arena_zeros(&scratch, (3 * n + 2 * m + 1) * sizeof(ad_var)),
                    arena_zeros(&scratch, (n + 1) * sizeof(ad_var)),
                    arena_zeros(&scratch, (m + 1) * sizeof(ad_var)),
                    arena_zeros(&scratch, (n + 1) * sizeof(ad_var)),
                    0,
                    0};
    const double *zeros = arena_zeros(&scratch, (size_t)largest(r) * sizeof *zeros);
    ad_program *p = NULL;
    if (!to.inputs || !to.outputs || !to.gradient || !to.pulled || !to.swept || !zeros) {
        tape_fail(t, AD_NO_MEMORY, NULL, "compile: out of memory");
    } else {
        const ad_mark mark = ad_mark_here(t);
        memcpy(to.inputs, r->inputs, n * sizeof *to.inputs);
        to.n_inputs = r->n_inputs;
        record_derivatives(&to, r, zeros);
        p = ad_program_capture(t, (int)to.n_inputs, to.inputs, (int)to.n_outputs, to.outputs,
                               AD_VALUES);
        const ad_status s = t->status;
        if (!s && ad_rewind(t, mark)) {
            ad_program_free(p);
            p = NULL;
        }
    }
    arena_free(&scratch);
    return p;
}

/* ---- the call ---- */

static bool node_ids(const request *r, const ad_var *vars, uint32_t n, uint32_t *ids)
{
    for (uint32_t i = 0; i < n; i++)
        if ((ids[i] = tape_node(r->t, vars[i], "compile")) == NO_NODE)
            return false;
    return true;
}

static bool check_request(const request *r, const uint32_t *inputs)
{
    ad_tape *t = r->t;
    const int want = r->config.want;
    if (want & ~(AD_GRADIENT | AD_VJP | AD_JVP | AD_JACOBIAN | AD_HVP | AD_NO_VALUES))
        tape_fail(t, AD_BAD_ARGUMENT, NULL, "compile: there is no such thing to want as %d", want);
    else if ((want & (AD_GRADIENT | AD_HVP)) && (!r->n_outputs || ad_size(r->outputs[0]) != 1))
        tape_fail(t, AD_BAD_SHAPE, NULL,
                  "compile: a gradient and a Hessian need a first output that is a scalar");
    else if (want & AD_JACOBIAN && (uint64_t)r->n_inputs * r->n_outputs > 1u << 28)
        tape_fail(t, AD_TOO_LARGE, NULL, "compile: a Jacobian of %u x %u", r->n_outputs,
                  r->n_inputs);
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        const block *b = block_at(t->head.nodes, inputs[i]);
        if (node_op(&t->head.nodes[inputs[i]]) != CODE_INPUT && !(b && b->leaf == LEAF_INPUT))
            tape_fail(t, AD_BAD_ARGUMENT, tape_site(t, inputs[i]),
                      "compile: input %u is node %u (%s), which is no input", i, inputs[i],
                      op_name(&t->frame, inputs[i]));
    }
    return tape_ok(t);
}

static ad_program *compile(request *r)
{
    ad_tape *t = r->t;
    const size_t ids = ((size_t)r->n_inputs + r->n_outputs + 1) * sizeof(uint32_t);
    ad_program *p = memory_take(t->context, sizeof *p);
    uint32_t *inputs = memory_take(t->context, ids),
             *outputs = inputs ? inputs + r->n_inputs : NULL;
    if (p)
        p->context = p->memory.context = t->context;
    if (!p || !inputs)
        tape_fail(t, AD_NO_MEMORY, NULL, "compile: out of memory");
    bool fine = p && inputs && node_ids(r, r->inputs, r->n_inputs, inputs) &&
                node_ids(r, r->outputs, r->n_outputs, outputs) && check_request(r, inputs);
    bool scalars = fine && t->n_assigns == 0 && compile_scalars(p, r, inputs, outputs);
    memory_give(t->context, inputs, ids);
    tape_sync(t);
    if (scalars)
        return p;
    ad_program_free(p);
    return fine && tape_ok(t) ? compile_recorded(r) : NULL;
}

ad_program *ad_compile(ad_tape *t, int n_inputs, const ad_var *inputs, int n_outputs,
                       const ad_var *outputs, const ad_compile_config *config)
{
    if (!tape_ok(t))
        return NULL;
    if (n_inputs < 0 || n_outputs < 0 || (n_inputs && !inputs) || (n_outputs && !outputs)) {
        tape_fail(t, AD_NULL, NULL, "compile: null inputs or outputs");
        return NULL;
    }
    request r = {t, (uint32_t)n_inputs, (uint32_t)n_outputs, inputs, outputs, {0}};
    if (config)
        r.config = *config;
    ad_program *p = compile(&r);
    if (!p)
        return NULL;
    const bool gradient = r.config.want & AD_GRADIENT;
    p->gradient_at = gradient ? r.config.want & AD_NO_VALUES ? 0 : n_outputs : -1;
    p->n_gradients = gradient ? n_inputs : 0;
    return p;
}
