/* plan_order.c - the order in which a program's nodes run
 *
 * Nodes that run together (plan_fuse.c) are one unit here. A unit runs when all that it reads is
 * there; of those that could run, the one that was recorded first does, so that the order is the
 * recorded one but for what moved into a group. What is assigned to a state is computed at once
 * when nobody needs the state's old value any more, while what it is computed from is still in
 * cache, and its memory can be used again; as long as somebody does, it waits. */
#define AD_PLAIN
#include "program.h"

typedef struct heap { /* the smallest number first */
    uint32_t *items, n;
} heap;

static void heap_put(heap *h, uint32_t item)
{
    uint32_t i = h->n++;
    for (; i && h->items[(i - 1) / 2] > item; i = (i - 1) / 2)
        h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = item;
}

static uint32_t heap_take(heap *h)
{
    const uint32_t least = h->items[0], last = h->items[--h->n];
    uint32_t i = 0;
    for (uint32_t k; (k = 2 * i + 1) < h->n; i = k) {
        k += k + 1 < h->n && h->items[k + 1] < h->items[k];
        if (h->items[k] >= last)
            break;
        h->items[i] = h->items[k];
    }
    h->items[i] = last;
    return least;
}

typedef struct units {
    planner *q;
    uint32_t *head;    /* first node of the unit that a node belongs to */
    uint32_t *next;    /* node of the same unit; NO_NODE */
    uint32_t *waiting; /* operands that are not there yet, of each unit's head */
    uint32_t *writer;  /* head of the unit that computes what is assigned to a state; NO_NODE */
    uint32_t *readers; /* of the states that a unit computes, other than itself, still to come */
    uint8_t *kind;     /* of each unit's head */
    heap at_once, ready, later;
} units;
enum { UNIT_WRITER = 1, UNIT_FREE = 2, UNIT_DONE = 4 };

static uint32_t *numbers(planner *q) /* not set */
{
    return arena_take(&q->temporary, ((size_t)q->n + 1) * sizeof(uint32_t));
}

static bool units_memory(units *u, planner *q)
{
    uint32_t **all[] = {&u->head,    &u->next,          &u->waiting,     &u->writer,
                        &u->readers, &u->at_once.items, &u->ready.items, &u->later.items};
    *u = (units){.q = q, .kind = arena_zeros(&q->temporary, q->n + 1)};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!(*all[k] = numbers(q)))
            return false;
    return u->kind;
}

static bool make_units(units *u, planner *q)
{
    uint32_t *head_of = numbers(q), *tail_of = numbers(q);
    if (!units_memory(u, q) || !head_of || !tail_of)
        return false;
    for (uint32_t g = 0; g < q->n_groups; g++)
        head_of[g] = NO_NODE;
    for (uint32_t i = 0; i < q->n; i++) {
        const uint32_t g = q->group[i];
        u->head[i] = i;
        u->next[i] = u->writer[i] = NO_NODE;
        u->waiting[i] = u->readers[i] = 0;
        if (g == NO_NODE) {
            u->kind[i] = node_idle(q, i) || node_once(q, i) ? UNIT_FREE : 0;
            continue;
        }
        if (head_of[g] == NO_NODE)
            head_of[g] = i;
        else
            u->next[tail_of[g]] = i;
        tail_of[g] = i;
        u->head[i] = head_of[g];
    }
    return true;
}

/* What has to happen before each unit, and before its state may be written. */
static void count_waiting(units *u)
{
    planner *q = u->q;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t k = 0; k < q->p->n_assigns; k++) {
        const assignment a = q->p->assigns[k];
        if (q->group[a.value] != NO_NODE) {
            u->writer[a.state] = u->head[a.value];
            u->kind[u->head[a.value]] = UNIT_WRITER;
        }
    }
    for (uint32_t i = 0; i < q->n; i++)
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;) {
            const uint32_t writer = u->writer[q->base[args[k]]];
            u->waiting[u->head[i]] += u->head[args[k]] != u->head[i];
            if (q->base[i] == i && writer != NO_NODE && writer != u->head[i])
                u->readers[writer]++;
        }
}

static void is_ready(units *u, uint32_t head)
{
    const uint8_t kind = u->kind[head];
    heap_put(kind == UNIT_FREE     ? &u->at_once
             : kind != UNIT_WRITER ? &u->ready
             : u->readers[head]    ? &u->later
                                   : &u->at_once,
             head);
}

/* A node has run: its users wait for one operand less, the writers of what it read for one reader
 * less. */
static void has_run(units *u, uint32_t i)
{
    planner *q = u->q;
    const uint32_t *args;
    uint32_t few[3];
    q->position[i] = q->n_order;
    for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++) {
        const uint32_t to = u->head[q->users[k]];
        if (to != u->head[i] && !--u->waiting[to])
            is_ready(u, to);
    }
    for (uint32_t k = q->base[i] == i ? node_operands(q, i, &args, few) : 0; k-- > 0;) {
        const uint32_t writer = u->writer[q->base[args[k]]];
        if (writer != NO_NODE && writer != u->head[i] && !--u->readers[writer] &&
            !u->waiting[writer] && !(u->kind[writer] & UNIT_DONE))
            heap_put(&u->at_once, writer); /* it is among the later ones, too */
    }
}

bool plan_order(planner *q)
{
    units u;
    if (!make_units(&u, q))
        return false;
    count_waiting(&u);
    for (uint32_t i = 0; i < q->n; i++)
        if (u.head[i] == i && !u.waiting[i])
            is_ready(&u, i);
    while (u.at_once.n || u.ready.n || u.later.n) {
        const uint32_t head = heap_take(u.at_once.n ? &u.at_once : u.ready.n ? &u.ready : &u.later);
        if (u.kind[head] & UNIT_DONE)
            continue;
        u.kind[head] |= UNIT_DONE;
        for (uint32_t i = head; i != NO_NODE; i = u.next[i])
            has_run(&u, i);
        q->order[q->n_order++] = head;
    }
    return true;
}
