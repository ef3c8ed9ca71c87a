/* sites.c - where each node comes from: source lines and named scopes
 *
 * Both are logs of changes, not words in nodes: a run of nodes from one line costs one entry. Paths
 * of scopes are kept once for each tape, in a hash table, since loops open the same scopes again
 * and again. */
#define AD_PLAIN
#include "leaf.h"
#include <string.h>

/* uthash asks here for memory, with the tape in scope as `t`; it must never exit */
#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       memory_take(t->context, bytes)
#define uthash_free(p, bytes)      memory_give(t->context, p, bytes)
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>

struct scope_path {
    UT_hash_handle hh;
    size_t bytes;
    bool lost; /* uthash ran out of memory when it was added */
    char text[];
};

/* A structured operation learns its site after it is recorded (see ad.h): its node, or its error,
 * gets it. */
ad_var ad_sited_(ad_var a, const char *site)
{
    ad_tape *t = a.tape;
    if (!t || is_constant(a) || !t->context || !site)
        return a;
    if (t->status) {
        size_t n = strlen(t->error);
        if (!t->error_sited && n && t->error[n - 1] == ')')
            snprintf(t->error + n - 1, sizeof t->error - n + 1, ", %s)", site);
        t->error_sited = true;
    } else if (t->head.site != site && t->head.n &&
               (a.u.node.id & ~AD_TENSOR_BIT_) == t->head.n - 1) {
        ad_head_ *h = &t->head;
        if (h->n_sites && h->sites[h->n_sites - 1].node == h->n - 1)
            h->sites[h->n_sites - 1].text = site;
        else
            h->sites[h->n_sites++] = (ad_site_){site, h->n - 1};
        h->site = site;
    }
    return a;
}

const char *tape_site(const ad_tape *t, uint32_t i)
{
    const ad_site_ *sites = t->head.sites;
    uint32_t lo = 0, hi = t->head.n_sites; /* the last change at or before node i */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (sites[mid].node <= i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo && sites[lo - 1].text ? sites[lo - 1].text : "";
}

/* "outer/name", kept as long as the tape; NULL when out of memory */
static const char *intern(ad_tape *t, const char *outer, const char *name)
{
    size_t n = strlen(outer), m = strlen(name), bytes = sizeof(struct scope_path) + n + m + 2;
    arena_mark mark = arena_here(&t->scratch);
    char *text = arena_take(&t->scratch, n + m + 2);
    if (!text)
        return NULL;
    snprintf(text, n + m + 2, "%s%s%s", outer, n ? "/" : "", name);
    struct scope_path *found, *fresh;
    HASH_FIND_STR(t->scope_paths, text, found);
    if (!found && (fresh = memory_take(t->context, bytes))) {
        fresh->bytes = bytes;
        memcpy(fresh->text, text, n + m + 2);
        HASH_ADD_STR(t->scope_paths, text, fresh);
        if (!fresh->lost)
            found = fresh;
        else
            memory_give(t->context, fresh, bytes);
    }
    arena_rewind(&t->scratch, mark);
    return found ? found->text : NULL;
}

const char *tape_interned(ad_tape *t, const char *text) { return intern(t, "", text); }

void scopes_forget(ad_tape *t)
{
    struct scope_path *p, *next;
    HASH_ITER(hh, t->scope_paths, p, next)
    {
        HASH_DEL(t->scope_paths, p);
        memory_give(t->context, p, p->bytes);
    }
}

/* Each push or pop is an entry: its full path, from which node on, and the entry that was open
 * around it. */
static bool scope_enter(ad_tape *t, const char *path, uint32_t parent)
{
    scope_change *all;
    if (!path || !pages_grow(t->context, &t->scope_pages, (t->n_scopes + 2) * sizeof *all,
                             (size_t)AD_MAX_NODES * sizeof *all))
        return false;
    all = t->scope_pages.base;
    if (!t->n_scopes)
        all[t->n_scopes++] = (scope_change){"", 0, 0};
    all[t->n_scopes] = (scope_change){path, t->head.n, parent};
    t->scope = t->n_scopes++;
    return true;
}

void ad_scope_push(ad_tape *t, const char *name)
{
    if (!tape_ok(t))
        return;
    if (!name) {
        tape_fail(t, AD_NULL, NULL, "scope_push: null name");
        return;
    }
    const scope_change *all = t->scope_pages.base;
    if (!scope_enter(t, intern(t, t->n_scopes ? all[t->scope].path : "", name), t->scope))
        tape_fail(t, AD_NO_MEMORY, NULL, "scope_push: out of memory");
}

void ad_scope_pop(ad_tape *t)
{
    if (!tape_ok(t))
        return;
    const scope_change *all = t->scope_pages.base;
    if (!t->n_scopes || !*all[t->scope].path) {
        tape_fail(t, AD_BAD_ARGUMENT, NULL, "scope_pop: without a push before it");
        return;
    }
    uint32_t outer = all[t->scope].parent;
    if (!scope_enter(t, all[outer].path, all[outer].parent))
        tape_fail(t, AD_NO_MEMORY, NULL, "scope_pop: out of memory");
}

/* Moves scope i, and those that it lies in, down to the end of the log; gives its number there.
 * Scopes before `first` stay where they are. */
static uint32_t keep_open(scope_change *all, uint32_t i, uint32_t first, uint32_t *n,
                          uint32_t nodes)
{
    if (i < first)
        return i;
    uint32_t parent = keep_open(all, all[i].parent, first, n, nodes);
    all[*n] = (scope_change){all[i].path, nodes, parent};
    return (*n)++;
}

/* Forgets what nodes from there on were named; scopes that are open stay open. */
void scopes_cut(ad_tape *t, uint32_t nodes)
{
    scope_change *all = t->scope_pages.base;
    uint32_t first = t->n_scopes;
    while (first > 1 && all[first - 1].node >= nodes)
        first--;
    if (first) {
        t->n_scopes = first;
        t->scope = keep_open(all, t->scope, first, &t->n_scopes, nodes);
    }
}

const char *tape_scope(const ad_tape *t, uint32_t i)
{
    const scope_change *all = t->scope_pages.base;
    uint32_t lo = 0, hi = t->n_scopes;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (all[mid].node <= i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? all[lo - 1].path : "";
}
