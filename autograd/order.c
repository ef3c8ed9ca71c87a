/* order.c - the order in which a program's nodes run
 *
 * Nodes that run together (fuse.c) are one unit here. A unit runs when all that it reads is there;
 * of those that could run, the one that was recorded first does, so that the order is the recorded
 * one but for what moved into a group. Groups that compute what is assigned to a state come last:
 * they may write to it when everything that can fail has not. */
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
    bool *late;        /* does a unit compute what is assigned */
    heap ready, later;
} units;

static void *numbers(planner *q) { return arena_zeros(&q->temporary, ((size_t)q->n + 1) * 4); }

static bool make_units(units *u, planner *q)
{
    uint32_t *head_of = numbers(q), *tail_of = numbers(q);
    *u = (units){.q = q, .head = numbers(q), .next = numbers(q), .waiting = numbers(q)};
    u->late = arena_zeros(&q->temporary, q->n + 1);
    u->ready.items = numbers(q);
    u->later.items = numbers(q);
    if (!head_of || !tail_of || !u->head || !u->next || !u->waiting || !u->late ||
        !u->ready.items || !u->later.items)
        return false;
    for (uint32_t g = 0; g < q->n_groups; g++)
        head_of[g] = NO_NODE;
    for (uint32_t i = 0; i < q->n; i++) {
        uint32_t g = q->group[i];
        u->head[i] = i;
        u->next[i] = NO_NODE;
        if (g == NO_NODE)
            continue;
        if (head_of[g] == NO_NODE)
            head_of[g] = i;
        else
            u->next[tail_of[g]] = i;
        tail_of[g] = i;
        u->head[i] = head_of[g];
    }
    for (uint32_t k = 0; k < q->p->n_assigns; k++) {
        uint32_t v = q->p->assigns[k].value;
        if (q->group[v] != NO_NODE)
            u->late[u->head[v]] = true;
    }
    return true;
}

static void is_ready(units *u, uint32_t head)
{
    heap_put(u->late[head] ? &u->later : &u->ready, head);
}

static void count_waiting(units *u)
{
    planner *q = u->q;
    const uint32_t *args;
    uint32_t few[3];
    for (uint32_t i = 0; i < q->n; i++)
        for (uint32_t k = node_operands(q->nodes, i, &args, few); k-- > 0;)
            u->waiting[u->head[i]] += u->head[args[k]] != u->head[i];
    for (uint32_t i = 0; i < q->n; i++)
        if (u->head[i] == i && !u->waiting[i])
            is_ready(u, i);
}

bool plan_order(planner *q)
{
    units u;
    q->order = numbers(q);
    q->position = numbers(q);
    if (!q->order || !q->position || !make_units(&u, q))
        return false;
    count_waiting(&u);
    while (u.ready.n || u.later.n) {
        const uint32_t head = heap_take(u.ready.n ? &u.ready : &u.later);
        for (uint32_t i = head; i != NO_NODE; i = u.next[i]) {
            q->position[i] = q->n_order;
            for (uint32_t k = q->first[i]; k < q->first[i + 1]; k++) {
                uint32_t to = u.head[q->users[k]];
                if (to != head && !--u.waiting[to])
                    is_ready(&u, to);
            }
        }
        q->order[q->n_order++] = head;
    }
    return true;
}
