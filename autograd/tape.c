/* tape.c - the tape: where nodes live, which handles are valid, and the first error
 *
 * Nodes sit in one flat array of 16 bytes each, in the order of recording, so that the order of
 * indices is an order of evaluation and every sweep is a loop. Adjoints, 8 bytes each, are another
 * array, which only sweeps touch. Everything of other size
 * (descriptors and values of tensors, names) comes from an arena that is cut back together with the
 * nodes.
 *
 * A handle carries the epoch in which its node was made. A rewind or reset begins a new epoch and
 * remembers from which node on it removed; a handle is stale exactly if some removal after its
 * epoch reached down to it. Removals that a later one covers are forgotten, so the list stays as
 * short as the nesting of marks. */
#define AD_PLAIN
#include "tape.h"
#include "algebra.h"
#include "leaf.h"
#include "spill.h"
#include "tensor.h"
#include <errno.h>
#include <string.h>

const ad_head_ ad_constant_head_ = {0};

/* what ad_tape_new gives when there is no memory: never written to */
static const ad_tape dead_tape = {.status = AD_NO_MEMORY, .error = "ad_tape_new: out of memory"};

static bool dead(const ad_tape *t) { return t == &dead_tape; }

/* a tape without room for nodes */
static ad_tape *tape_new(const ad_context *context)
{
    const ad_context *c = context_or_default(context);
    ad_tape *t = memory_take(c, sizeof *t);
    if (!t)
        return (ad_tape *)(uintptr_t)&dead_tape;
    t->context = t->memory.context = t->scratch.context = c;
    t->frame = (frame){.context = c,
                       .memory = &t->memory,
                       .scratch = &t->scratch,
                       .last_leaf = NO_NODE,
                       .failed_node = NO_NODE};
    t->head.epoch = 1;
    t->head.last_input = t->frame.last_input = NO_NODE;
    return t;
}

ad_tape *ad_tape_new(const ad_context *context)
{
    ad_tape *t = tape_new(context);
    if (!dead(t))
        tape_room(t, 1); /* a failure is the tape's first error */
    return t;
}

enum { NODE_SHARE = 3, SHARES = 4 }; /* of the memory of a tape on disk; the rest is for sites */

ad_tape *ad_tape_new_in(const ad_context *context, const char *folder, int64_t bytes)
{
    ad_tape *t = tape_new(context);
    if (dead(t))
        return t;
    const size_t resident = (bytes > 0 ? (size_t)bytes : (size_t)1 << 28) / SHARES;
    int error = 0;
    if (!folder) {
        tape_fail(t, AD_NULL, NULL, "tape: null folder");
        return t;
    }
    t->node_pages.spill = spill_new(t->context, folder, (size_t)AD_MAX_NODES * sizeof(node),
                                    NODE_SHARE * resident, &error);
    if (t->node_pages.spill)
        t->site_pages.spill =
            spill_new(t->context, folder, (size_t)AD_MAX_NODES * 2 * sizeof(ad_site_),
                      (SHARES - NODE_SHARE) * resident, &error);
    if (!t->site_pages.spill)
        tape_fail(t, error == ENOMEM || error == ENOSPC ? AD_NO_MEMORY : AD_BAD_ARGUMENT, NULL,
                  "tape: no file in %.200s: %s", folder,
                  error ? strerror(error) : "not on this system");
    else
        tape_room(t, 1);
    return t;
}

/* A tape on disk gives back what is not recorded any more: nobody waits for it to be read in. */
static void shrink_files(ad_tape *t)
{
    if (!t->site_pages.spill)
        return;
    spill_shrink(t->node_pages.spill, t->head.n * sizeof(node), &t->node_pages.committed);
    spill_shrink(t->site_pages.spill, t->head.n_sites * sizeof(ad_site_), &t->site_pages.committed);
    t->room = 0;
    if (t->status == AD_OK)
        tape_room(t, 1);
}

void ad_tape_free(ad_tape *t)
{
    if (!t || dead(t))
        return;
    leaves_release(t, 0);
    params_forget(t);
    scopes_forget(t);
    const ad_context *c = t->context;
    pages *const all[] = {&t->node_pages,  &t->adjoint_pages, &t->site_pages, &t->epoch_pages,
                          &t->scope_pages, &t->assign_pages,  &t->mark_pages, &t->retain_pages};
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the elements are pointers */
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pages_free(c, all[i]);
    arena_free(&t->memory);
    arena_free(&t->scratch);
    memory_give(c, t, sizeof *t);
}

/* ---- room ---- */

void tape_sync(ad_tape *t)
{
    ad_head_ *h = &t->head;
    h->nodes = t->frame.nodes = t->node_pages.base;
    h->sites = t->site_pages.base;
    t->frame.n = h->n;
    t->frame.last_input = h->last_input;
    if (t->status || t->paused || t->behind || t->context->check_finite) {
        h->limit = 0;
        return;
    }
    if (h->n_sites == 0 && h->n == 0) { /* a reset tape */
        h->limit = t->room;
        return;
    }
    size_t nodes = t->node_pages.committed / sizeof(node),
           sites = t->site_pages.committed / sizeof(ad_site_);
    /* one change fewer than there is room for: ad_sited_ may add one to the node before */
    size_t limit = h->n + (sites > h->n_sites ? sites - h->n_sites - 1 : 0);
    if (limit > nodes)
        limit = nodes;
    h->limit = (uint32_t)(limit < NO_NODE ? limit : NO_NODE);
}

bool tape_room(ad_tape *t, uint32_t more)
{
    enum { SITES_AHEAD = 1024 }; /* so that the limit is not met at every node */
    size_t nodes = ((size_t)t->head.n + more) * sizeof(node);
    size_t sites = ((size_t)t->head.n_sites + more + SITES_AHEAD) * sizeof(ad_site_);
    if ((size_t)t->head.n + more > NO_NODE) {
        tape_fail(t, AD_TOO_LARGE, NULL, "tape: more than %u nodes", NO_NODE);
        return false;
    }
    if (!pages_grow(t->context, &t->node_pages, nodes, (size_t)AD_MAX_NODES * sizeof(node)) ||
        !pages_grow(t->context, &t->site_pages, sites,
                    (size_t)AD_MAX_NODES * 2 * sizeof(ad_site_))) {
        tape_fail(t, AD_NO_MEMORY, NULL, "tape: out of memory for nodes");
        return false;
    }
    size_t room = t->node_pages.committed / sizeof(node),
           room_sites = t->site_pages.committed / sizeof(ad_site_);
    room = room < room_sites ? room : room_sites;
    t->room = (uint32_t)(room < NO_NODE ? room : NO_NODE);
    tape_sync(t);
    return true;
}

/* Adjoints begin a good half page into their pages: an adjoint and a node at one place of a page
 * each would look to the processor as if they were one, and a load wait for a store that it does
 * not depend on. */
bool tape_adjoints(ad_tape *t)
{
    enum { AHEAD = 264 };
    const size_t had = t->adjoint_pages.committed;
    if (!pages_grow(t->context, &t->adjoint_pages, ((size_t)t->head.n + AHEAD) * sizeof(double),
                    ((size_t)AD_MAX_NODES + AHEAD) * sizeof(double))) {
        tape_fail(t, AD_NO_MEMORY, NULL, "tape: out of memory for adjoints");
        return false;
    }
    pages_clear(t->context, &t->adjoint_pages, had);
    t->head.adjoints = t->frame.adjoints = (double *)t->adjoint_pages.base + AHEAD;
    t->frame.room = (uint32_t)(t->adjoint_pages.committed / sizeof(double) - AHEAD);
    return true;
}

uint32_t tape_push(ad_tape *t, unsigned op, uint32_t a, uint32_t b, double value, const char *site)
{
    uint32_t n = t->head.n++;
    t->head.nodes[n] = (node){node_code(op, a, b), {value}};
    if (t->head.site != site) {
        t->head.sites[t->head.n_sites++] = (ad_site_){site, n};
        t->head.site = site;
    }
    t->frame.n = t->head.n;
    return n;
}

/* ---- errors ---- */

ad_status ad_tape_status(const ad_tape *t) { return t ? t->status : AD_NULL; }

const char *ad_tape_error(const ad_tape *t) { return t ? t->error : "null tape"; }

ad_var tape_poison(ad_tape *t)
{
    ad_var v;
    v.tape = t;
    v.u.node.id = NO_NODE;
    v.u.node.epoch = t->head.epoch;
    return v;
}

ad_var tape_fail(ad_tape *t, ad_status status, const char *site, const char *format, ...)
{
    if (t->status)
        return tape_poison(t);
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is the line before */
    int n = vsnprintf(t->error, sizeof t->error - 64, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof t->error - 65 ? (size_t)n : sizeof t->error - 65;
    const char *scope = t->head.n ? tape_scope(t, t->head.n - 1) : "";
    snprintf(t->error + used, sizeof t->error - used, " (node %u%s%.40s%s%s)", t->head.n,
             *scope ? ", " : "", scope, site ? ", " : "", site ? site : "");
    t->error_sited = site != NULL;
    t->status = status;
    t->head.limit = 0;
    return tape_poison(t);
}

ad_var(ad_fail)(ad_tape *t, ad_status status, const char *text)
{
    if (!t)
        return (ad_var){0};
    return tape_fail(t, status ? status : AD_BAD_ARGUMENT, NULL, "%s", text ? text : "");
}

bool tape_ready(ad_tape *t)
{
    if (t && t->status && !dead(t))
        t->error_sited = true;
    return tape_ok(t);
}

void frame_report(ad_tape *t, ad_status status, const char *what)
{
    if (!status || t->status)
        return;
    frame *f = &t->frame;
    uint32_t i = f->failed_node;
    if (i >= f->n)
        tape_fail(t, status, NULL, "%s: %s", what, *f->note ? f->note : ad_status_name(status));
    else
        tape_fail(t, status, tape_site(t, i), "%s: %s at node %u%s%s", what, op_name(f, i), i,
                  *f->note ? ": " : "", f->note);
    f->failed_node = NO_NODE;
    f->note[0] = 0;
}

/* ---- marks ---- */

static bool new_epoch(ad_tape *t, uint32_t nodes)
{
    epoch_mark *marks = t->epoch_pages.base;
    while (t->n_epochs && marks[t->n_epochs - 1].nodes >= nodes)
        t->n_epochs--;
    if ((t->n_epochs + 1) * sizeof *marks > t->epoch_pages.committed &&
        !pages_grow(t->context, &t->epoch_pages, (t->n_epochs + 1) * sizeof *marks,
                    (size_t)AD_MAX_NODES * sizeof *marks))
        return false;
    marks = t->epoch_pages.base;
    marks[t->n_epochs++] = (epoch_mark){++t->head.epoch, nodes};
    return true;
}

/* the nodes that handles of this epoch may still reach: those below the first removal after it */
static uint32_t epoch_reach(const ad_tape *t, uint32_t epoch)
{
    const epoch_mark *marks = t->epoch_pages.base;
    uint32_t lo = 0, hi = t->n_epochs;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if ((int32_t)(marks[mid].epoch - epoch) > 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    uint32_t reach = lo < t->n_epochs ? marks[lo].nodes : t->head.n;
    return reach < t->head.n ? reach : t->head.n;
}

/* Adjoints that a sweep left on nodes from here on are of no node any more. */
static void cut_adjoints(ad_tape *t, uint32_t nodes)
{
    frame *f = &t->frame;
    if (f->dirty > nodes) {
        f->stale_to = f->dirty > f->stale_to ? f->dirty : f->stale_to;
        f->stale_from = f->dirty = nodes;
    } else if (f->stale_to && f->stale_from > nodes) {
        f->stale_from = nodes;
    }
    if (t->head.swept > nodes)
        t->head.swept = nodes;
}

static void cut_back(ad_tape *t, uint32_t nodes)
{
    ad_head_ *h = &t->head;
    leaves_release(t, nodes);
    h->n = nodes;
    while (h->n_sites && h->sites[h->n_sites - 1].node >= nodes)
        h->n_sites--;
    h->site = h->n_sites ? h->sites[h->n_sites - 1].text : NULL;
    assignment *assigned = t->assign_pages.base;
    while (t->n_assigns &&
           (assigned[t->n_assigns - 1].state >= nodes || assigned[t->n_assigns - 1].value >= nodes))
        t->n_assigns--;
    uint32_t *retained = t->retain_pages.base, kept = 0;
    for (uint32_t i = 0; i < t->n_retained; i++)
        if (retained[i] < nodes)
            retained[kept++] = retained[i];
    t->n_retained = kept;
    if (t->swept_top > nodes)
        t->swept_top = nodes;
    cut_adjoints(t, nodes);
    if (t->n_scopes)
        scopes_cut(t, nodes);
}

/* Everything goes at once: no walk over what was recorded. */
void ad_reset(ad_tape *t)
{
    if (!t || dead(t))
        return;
    ad_head_ *h = &t->head;
    if (t->frame.last_leaf != NO_NODE)
        leaves_release(t, 0);
    h->n_sites = t->n_scopes = t->scope = t->n_assigns = t->n_retained = t->n_epochs = t->n_marks =
        t->swept_top = 0;
    h->last_input = NO_NODE;
    h->site = NULL;
    arena_reset(&t->memory);
    arena_reset(&t->scratch);
    t->status = AD_OK;
    t->error[0] = t->frame.note[0] = 0;
    t->error_sited = t->kept = false;
    cut_adjoints(t, 0);
    t->head.swept = 0;
    t->paused = 0;
    t->deferring = t->behind = false;
    t->head.value_reads = 0;
    t->frame.failed_node = NO_NODE;
    h->next = (uint64_t)h->epoch << 32;
    if (t->epoch_pages.committed) {
        h->next += (uint64_t)1 << 32;
        *(epoch_mark *)t->epoch_pages.base = (epoch_mark){h->epoch, 0};
        t->n_epochs = 1;
    } else if (!new_epoch(t, 0)) {
        tape_fail(t, AD_NO_MEMORY, NULL, "reset: out of memory");
    }
    shrink_files(t);
    if (!t->node_pages.base)
        tape_room(t, 1);
    else
        tape_sync(t);
}

typedef struct arena_point {
    uint32_t nodes;
    arena_mark mark;
} arena_point;

ad_mark ad_mark_here(const ad_tape *tape)
{
    ad_tape *t = (ad_tape *)(uintptr_t)tape;
    if (!t || dead(t))
        return (ad_mark){0, 0};
    arena_point *points = t->mark_pages.base; /* remembers how far the arena was, for the rewind */
    if (!t->n_marks || points[t->n_marks - 1].nodes != t->head.n) {
        if (pages_grow(t->context, &t->mark_pages, (t->n_marks + 1) * sizeof *points,
                       (size_t)AD_MAX_NODES * sizeof *points)) {
            points = t->mark_pages.base;
            points[t->n_marks++] = (arena_point){t->head.n, arena_here(&t->memory)};
        } else {
            tape_fail(t, AD_NO_MEMORY, NULL, "mark: out of memory");
        }
    }
    return (ad_mark){t->head.n, t->head.epoch};
}

/* Adjoints of leaves and of retained nodes are taken from the tape's memory when a sweep first
 * needs them. Those of nodes that stay are moved out of the way of a rewind. */
static bool move_adjoints(ad_tape *t, const arena *from, arena_mark mark, arena *to)
{
    const node *nodes = t->head.nodes;
    const uint32_t *retained = t->retain_pages.base;
    bool ok = true;
    uint32_t leaf = t->frame.last_leaf, k = 0;
    while (leaf != NO_NODE || k < t->n_retained) {
        block *b = leaf != NO_NODE ? nodes[leaf].u.block : block_at(nodes, retained[k++]);
        leaf = leaf != NO_NODE ? b->next_leaf : NO_NODE;
        if (!b || !b->adj.data || !arena_holds(from, mark, b->adj.data))
            continue;
        void *data = arena_take(to, array_bytes(&b->adj));
        if (data)
            memcpy(data, b->adj.data, array_bytes(&b->adj));
        b->adj.data = data;
        ok = ok && data;
    }
    return ok;
}

static bool cut_memory(ad_tape *t, arena_mark *mark)
{
    arena_mark scratch = arena_here(&t->scratch);
    bool ok = move_adjoints(t, &t->memory, *mark, &t->scratch);
    arena_rewind(&t->memory, *mark);
    ok = move_adjoints(t, &t->scratch, scratch, &t->memory) && ok;
    arena_rewind(&t->scratch, scratch);
    *mark = arena_here(&t->memory);
    return ok;
}

ad_status ad_rewind(ad_tape *t, ad_mark mark)
{
    if (!t)
        return AD_NULL;
    if (dead(t))
        return t->status;
    if (mark.epoch == 0 || (int32_t)(t->head.epoch - mark.epoch) < 0 ||
        (mark.epoch != t->head.epoch && mark.nodes > epoch_reach(t, mark.epoch)) ||
        mark.nodes > t->head.n) {
        tape_fail(t, AD_STALE, NULL,
                  "rewind: the mark at node %u was removed by an earlier rewind or reset",
                  mark.nodes);
        return t->status;
    }
    arena_point *points = t->mark_pages.base;
    while (t->n_marks && points[t->n_marks - 1].nodes > mark.nodes)
        t->n_marks--;
    cut_back(t, mark.nodes);
    bool cut = !t->n_marks || points[t->n_marks - 1].nodes != mark.nodes ||
               cut_memory(t, &points[t->n_marks - 1].mark);
    if (!new_epoch(t, mark.nodes) || !cut)
        tape_fail(t, AD_NO_MEMORY, NULL, "rewind: out of memory");
    shrink_files(t);
    tape_sync(t);
    return t->status;
}

void ad_pause(ad_tape *t)
{
    if (t && !dead(t)) {
        t->paused++;
        tape_sync(t);
    }
}

void ad_resume(ad_tape *t)
{
    if (!t || dead(t))
        return;
    if (t->paused == 0)
        tape_fail(t, AD_BAD_ARGUMENT, NULL, "resume: without a pause before it");
    else
        t->paused--;
    tape_sync(t);
}

void ad_defer(ad_tape *t)
{
    if (t && !dead(t))
        t->deferring = !t->context->check_finite;
}

void ad_seed(ad_tape *t, uint64_t seed)
{
    if (t && !dead(t))
        t->frame.seed = seed;
}

void ad_set_step(ad_tape *t, uint64_t step)
{
    if (t && !dead(t))
        t->frame.step = step;
}

/* ---- handles ---- */

bool tape_valid(const ad_tape *t, ad_var a)
{
    uint32_t i = a.u.node.id & ~AD_TENSOR_BIT_, e = a.u.node.epoch;
    if (e == t->head.epoch)
        return i < t->head.n;
    return e != 0 && (int32_t)(t->head.epoch - e) > 0 && i < epoch_reach(t, e);
}

ad_var tape_var(const ad_tape *t, uint32_t i)
{
    ad_var v;
    v.tape = (ad_tape *)(uintptr_t)t;
    v.u.node.id = i | (node_op(&t->head.nodes[i]) == CODE_TENSOR ? AD_TENSOR_BIT_ : 0);
    v.u.node.epoch = t->head.epoch;
    return v;
}

ad_tape *tape_of(int n, const ad_var *args)
{
    for (int i = 0; i < n; i++)
        if (args[i].tape && !is_constant(args[i]))
            return args[i].tape;
    return NULL;
}

uint32_t tape_node(ad_tape *t, ad_var a, const char *operation)
{
    if (!tape_ok(t))
        return NO_NODE;
    if (!a.tape)
        tape_fail(t, AD_NULL, NULL, "%s: null handle", operation);
    else if (is_constant(a))
        return tape_room(t, 1) ? tape_push(t, CODE_CONSTANT, 0, 0, a.u.constant, t->head.site)
                               : NO_NODE;
    else if (a.tape != t)
        tape_fail(t, AD_FOREIGN, NULL, "%s: handles of two tapes", operation);
    else if (!tape_valid(t, a))
        tape_fail(t, AD_STALE, NULL,
                  "%s: stale handle: its node %u was removed by a rewind or reset", operation,
                  a.u.node.id & ~AD_TENSOR_BIT_);
    else
        return a.u.node.id & ~AD_TENSOR_BIT_;
    return NO_NODE;
}

/* As tape_node, for reading: nothing is recorded, and constants have no node. */
ad_status var_check(ad_var a, uint32_t *i)
{
    *i = NO_NODE;
    if (!a.tape)
        return AD_NULL;
    if (is_constant(a))
        return AD_OK;
    if (a.tape->status)
        return a.tape->status;
    if (!tape_valid(a.tape, a)) {
        tape_fail(a.tape, AD_STALE, NULL,
                  "read: stale handle: its node %u was removed by a rewind or reset",
                  a.u.node.id & ~AD_TENSOR_BIT_);
        return AD_STALE;
    }
    *i = a.u.node.id & ~AD_TENSOR_BIT_;
    return AD_OK;
}

bool is_retained(const ad_tape *t, uint32_t i)
{
    const uint32_t *all = t->retain_pages.base;
    for (uint32_t k = 0; k < t->n_retained; k++)
        if (all[k] == i)
            return true;
    return false;
}
