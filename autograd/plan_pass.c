/* plan_pass.c - groups of elementwise nodes as passes over memory: loops, lanes, scratch
 *
 * Where the nodes of a group make up an expression of compounds.def whose inner values nobody else
 * reads, one loop computes it; else each node has a loop of its own. Results that stay inside go
 * through scratch, of which each part is used again when its last reader has run. */
#define AD_PLAIN
#include "algebra.h"
#include "program.h"
#include <string.h>

enum {
    NO_LANE = UINT16_MAX,
    NODES_OF_WORK = COMPOUND_VECTORS + COMPOUND_SCALARS + COMPOUND_RESULTS
};

typedef struct work { /* what is to be one loop */
    uint32_t results[COMPOUND_RESULTS], operands[COMPOUND_VECTORS + COMPOUND_SCALARS];
    uint8_t n_results, n_vectors, n_scalars;
    int compound; /* -1: the node alone */
    bool sum; /* of the operand: the node it stands for is the first result, which has no lane */
} work;

typedef struct build {
    planner *q;
    fused *to;
    uint32_t g, n_members, *members;
    work *works;
    bool *taken;              /* nodes that a compound of another result computes */
    uint16_t *lane;           /* of each node in the pass at work */
    uint32_t *last;           /* number of the last loop that reads a node */
    uint16_t *slots, n_slots; /* scratch lanes free to be used again */
} build;

/* Does every reader of a member belong to the group? */
static bool stays_inside(const planner *q, uint32_t i)
{
    if (q->marks[i] & MARK_KEPT)
        return false;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++)
        if (!reads_inside(q, q->users[k], q->group[i]))
            return false;
    return true;
}

/* ---- compounds ---- */

/* Expressions as their operations and operands, each operation before its operands. */
enum { v0 = AD_OP_COUNT_, v1, v2, v3, s0, s1, s2, s3, s4, s5, s6, y0, y1, VARIABLES };
#define op(name, ...)               AD_OP_##name, __VA_ARGS__
#define COMPOUND1(name, V, S, text) static const uint16_t name##_0[] = {text};
#define COMPOUND2(name, V, S, text0, text1)                                                        \
    static const uint16_t name##_0[] = {text0}, name##_1[] = {text1};
#define COMPOUND3(name, V, S, text0, text1, text2)                                                 \
    static const uint16_t name##_0[] = {text0}, name##_1[] = {text1}, name##_2[] = {text2};
#include "compounds.def"
#undef op

static const struct compound {
    uint8_t n_results, n_vectors, n_scalars;
    const uint16_t *results[COMPOUND_RESULTS];
} compounds[COMPOUNDS] = {
#define COMPOUND1(name, V, S, ...) {1, V, S, {name##_0, NULL, NULL}},
#define COMPOUND2(name, V, S, ...) {2, V, S, {name##_0, name##_1, NULL}},
#define COMPOUND3(name, V, S, ...) {3, V, S, {name##_0, name##_1, name##_2}},
#include "compounds.def"
};

typedef struct matching {
    const build *b;
    uint32_t root, is[VARIABLES - v0]; /* the node that a variable stands for; NO_NODE */
    uint32_t inner[16], n_inner;       /* nodes whose values nobody else reads */
} matching;

static bool bind_variable(matching *m, unsigned variable, uint32_t i)
{
    uint32_t *to = &m->is[variable - v0];
    const bool vector = node_op(&m->b->q->nodes[i]) == CODE_TENSOR;
    if (vector != !(variable >= s0 && variable < y0) || (*to != NO_NODE && *to != i))
        return false;
    *to = i;
    return true;
}

static const block *member_block(const matching *m, uint32_t i)
{
    return m->b->q->group[i] == m->b->g && !m->b->taken[i] ? m->b->q->nodes[i].u.block : NULL;
}

/* The nodes from i on against a pattern, of which `i` may be a result; gives the pattern's rest. */
static const uint16_t *match(matching *m, const uint16_t *pattern, uint32_t i, bool result)
{
    const planner *q = m->b->q;
    const unsigned code = *pattern++;
    if (code >= AD_OP_COUNT_)
        return bind_variable(m, code, i) ? pattern : NULL;
    const block *b = member_block(m, i);
    if (!b || (unsigned)b->code != code ||
        (!result && (!stays_inside(q, i) || q->first[i + 1] - q->first[i] != 1)))
        return NULL;
    if (!result)
        m->inner[m->n_inner++] = i;
    const matching before = *m;
    const uint16_t *rest = pattern;
    for (uint32_t k = 0; k < b->n_args && rest; k++)
        rest = match(m, rest, b->args[k], false);
    if (rest || !(code == AD_OP_add || code == AD_OP_mul))
        return rest;
    *m = before;
    rest = match(m, pattern, b->args[1], false);
    return rest ? match(m, rest, b->args[0], false) : NULL;
}

/* An earlier result must be there when the last one is: nobody else may read it before. */
static bool may_come_late(const matching *m, uint32_t i)
{
    const planner *q = m->b->q;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++) {
        const uint32_t user = q->users[k];
        bool mine = q->group[user] != m->b->g || user >= m->root;
        for (uint32_t j = 0; j < m->n_inner && !mine; j++)
            mine = m->inner[j] == user;
        if (!mine)
            return false;
    }
    return member_block(m, i);
}

/* All results, from the last, which is at the root. */
static bool match_all(matching *m, const struct compound *c)
{
    uint32_t *results = &m->is[y0 - v0];
    if (!match(m, c->results[c->n_results - 1], m->root, true))
        return false;
    for (int k = c->n_results - 2; k >= 0; k--)
        if (results[k] == NO_NODE || !match(m, c->results[k], results[k], true))
            return false;
    for (int k = 0; k < c->n_results - 1; k++)
        if (!may_come_late(m, results[k]))
            return false;
    return true;
}

static work work_of(build *b, uint32_t root)
{
    const block *at = b->q->nodes[root].u.block;
    work w = {.compound = -1, .n_vectors = (uint8_t)at->n_args, .n_results = 1, .results = {root}};
    for (int k = 0; k < COMPOUNDS && (b->q->passes & PASS_COMPOUND); k++) {
        const struct compound *c = &compounds[k];
        matching m = {.b = b, .root = root};
        for (int j = 0; j < VARIABLES - v0; j++)
            m.is[j] = NO_NODE;
        if (!match_all(&m, c))
            continue;
        w = (work){.compound = k,
                   .n_results = c->n_results,
                   .n_vectors = c->n_vectors,
                   .n_scalars = c->n_scalars};
        memcpy(w.operands, m.is, w.n_vectors * sizeof *w.operands);
        memcpy(w.operands + w.n_vectors, m.is + (s0 - v0), w.n_scalars * sizeof *w.operands);
        memcpy(w.results, m.is + (y0 - v0), (w.n_results - 1u) * sizeof *w.results);
        w.results[w.n_results - 1] = root;
        for (uint32_t j = 0; j < m.n_inner; j++)
            b->taken[m.inner[j]] = true;
        for (int j = 0; j < w.n_results - 1; j++)
            b->taken[w.results[j]] = true;
        return w;
    }
    memcpy(w.operands, at->args, at->n_args * sizeof *w.operands);
    return w;
}

/* From the last member to the first: an expression is found from its result. */
static void find_works(build *b)
{
    uint32_t n = 0;
    for (uint32_t k = b->n_members; k-- > 0;)
        if (!b->taken[b->members[k]])
            b->works[n++] = work_of(b, b->members[k]);
    for (uint32_t k = 0; k < n / 2; k++) {
        const work w = b->works[k];
        b->works[k] = b->works[n - 1 - k];
        b->works[n - 1 - k] = w;
    }
    b->to->n_ops = n;
}

/* Last of all, so that what is summed has been computed. */
static void add_sums(build *b)
{
    const planner *q = b->q;
    for (uint32_t k = 0; k < q->plan->n_sums; k++) {
        const uint32_t i = q->plan->sums[k].node, of = block_at(q->nodes, i)->args[0];
        if (q->group[of] == b->g)
            b->works[b->to->n_ops++] = (work){
                .operands = {of}, .results = {i}, .n_vectors = 1, .compound = -1, .sum = true};
    }
}

/* ---- lanes ---- */

static uint32_t n_operands(const work *w) { return (uint32_t)w->n_vectors + w->n_scalars; }

static void number_lanes(build *b)
{
    const planner *q = b->q;
    fused *to = b->to;
    for (uint32_t m = 0; m < to->n_ops; m++)
        for (uint32_t k = 0; k < n_operands(&b->works[m]); k++) {
            const uint32_t a = b->works[m].operands[k];
            b->last[a] = m;
            if (b->lane[a] != NO_LANE || q->group[a] == b->g)
                continue;
            b->lane[a] = (uint16_t)to->n_in;
            to->nodes[to->n_in++] = a;
        }
    for (uint32_t m = 0; m < to->n_ops; m++)
        for (int k = 0; k < b->works[m].n_results; k++)
            if (!stays_inside(q, b->works[m].results[k]))
                to->nodes[to->n_in + to->n_out++] = b->works[m].results[k];
}

static uint16_t slot_take(build *b)
{
    const fused *to = b->to;
    return b->n_slots ? b->slots[--b->n_slots]
                      : (uint16_t)(to->n_in + to->n_out + b->to->n_slots++);
}

/* Scratch whose last reader was loop m is free after it. */
static void slots_give(build *b, uint32_t m)
{
    const planner *q = b->q;
    const work *w = &b->works[m];
    for (uint32_t k = 0; k < n_operands(w); k++) {
        const uint32_t a = w->operands[k];
        if (q->group[a] != b->g || b->last[a] != m || !stays_inside(q, a))
            continue;
        b->slots[b->n_slots++] = b->lane[a];
        b->last[a] = NO_NODE; /* an operand that comes twice is given back once */
    }
}

/* A state, or an operand whose memory is taken over, is read before it is written: by all later
 * loops, and by this one, which may read what it writes only where it is a compound. */
static bool is_read_from(const build *b, uint32_t m, uint32_t result)
{
    const planner *q = b->q;
    const uint32_t old = q->state[result] != NO_NODE ? q->state[result] : q->over[result];
    if (old == NO_NODE || b->lane[old] == NO_LANE)
        return false;
    return b->last[old] > m || (b->last[old] == m && b->works[m].compound < 0);
}

/* Where result i of loop m goes; *out: the next lane of those that are kept */
static uint16_t place_result(build *b, uint32_t m, uint32_t i, uint16_t *out)
{
    fused *to = b->to;
    if (stays_inside(b->q, i))
        return b->lane[i] = slot_take(b);
    if (!is_read_from(b, m, i))
        return b->lane[i] = (*out)++;
    b->lane[i] = slot_take(b);
    to->stores[to->n_stores++] = (fused_store){b->lane[i], (*out)++};
    return b->lane[i];
}

static void place_results(build *b)
{
    uint16_t out = (uint16_t)b->to->n_in;
    for (uint32_t m = 0; m < b->to->n_ops; m++) {
        const work *w = &b->works[m];
        const block *alone = block_at(b->q->nodes, w->results[0]);
        fused_op *o = &b->to->ops[m];
        *o = (fused_op){.code = (uint16_t)(w->sum            ? FUSED_SUM
                                           : w->compound < 0 ? alone->code
                                                             : AD_OP_COUNT_ + w->compound),
                        .sum = w->sum ? plan_sum(b->q->plan, w->results[0]) : NULL,
                        .n_vectors = w->n_vectors,
                        .n_scalars = w->n_scalars,
                        .n_results = w->n_results};
        for (uint32_t k = 0; k < n_operands(w); k++)
            o->x[k] = b->lane[w->operands[k]];
        for (int k = 0; k < w->n_results; k++)
            o->y[k] = place_result(b, m, w->results[k], &out);
        slots_give(b, m);
    }
}

static void forget(build *b)
{
    for (uint32_t m = 0; m < b->to->n_ops; m++)
        for (uint32_t k = 0; k < n_operands(&b->works[m]); k++)
            b->lane[b->works[m].operands[k]] = NO_LANE;
    for (uint32_t k = 0; k < b->n_members; k++)
        b->lane[b->members[k]] = NO_LANE;
}

static bool build_pass(build *b)
{
    arena *memory = &b->q->p->memory;
    fused *to = b->to;
    find_works(b);
    add_sums(b);
    to->like = b->members[0];
    const size_t n = to->n_ops;
    to->ops = arena_take(memory, n * sizeof *to->ops);
    to->nodes = arena_take(memory, n * NODES_OF_WORK * sizeof *to->nodes);
    to->stores = arena_take(memory, n * COMPOUND_RESULTS * sizeof *to->stores);
    if (!to->ops || !to->nodes || !to->stores)
        return false;
    b->n_slots = 0;
    number_lanes(b);
    place_results(b);
    forget(b);
    return true;
}

/* Members of all groups, group by group. */
static bool collect(planner *q, uint32_t **members, uint32_t **starts)
{
    uint32_t *from = *starts = arena_zeros(&q->temporary, ((size_t)q->n_groups + 2) * sizeof *from);
    uint32_t *all = *members = arena_take(&q->temporary, ((size_t)q->n + 1) * sizeof *all);
    if (!from || !all)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        if (q->group[i] != NO_NODE)
            from[q->group[i] + 2]++;
    for (uint32_t g = 2; g < q->n_groups + 2; g++)
        from[g] += from[g - 1];
    for (uint32_t i = 0; i < q->n; i++)
        if (q->group[i] != NO_NODE)
            all[from[q->group[i] + 1]++] = i;
    return true;
}

bool plan_passes(planner *q)
{
    uint32_t *members, *starts;
    build b = {.q = q,
               .works = arena_take(&q->temporary, (PASS_NODES + PASS_SUMS) * sizeof *b.works),
               .taken = arena_zeros(&q->temporary, (size_t)q->n + 1),
               .lane = arena_take(&q->temporary, ((size_t)q->n + 1) * sizeof *b.lane),
               .last = arena_zeros(&q->temporary, ((size_t)q->n + 1) * sizeof *b.last),
               .slots = arena_take(&q->temporary, PASS_NODES * sizeof *b.slots)};
    q->passes_of = arena_zeros(&q->p->memory, ((size_t)q->n_groups + 1) * sizeof *q->passes_of);
    if (!b.works || !b.taken || !b.lane || !b.last || !b.slots || !q->passes_of ||
        !collect(q, &members, &starts))
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        b.lane[i] = NO_LANE;
    q->plan->n_fused = q->n_groups;
    for (b.g = 0; b.g < q->n_groups; b.g++) {
        b.to = &q->passes_of[b.g];
        b.members = members + starts[b.g];
        b.n_members = starts[b.g + 1] - starts[b.g];
        if (!build_pass(&b))
            return false;
        const size_t slots = bound_scratch(b.to);
        q->plan->slots = q->plan->slots > slots ? q->plan->slots : slots;
    }
    return true;
}
