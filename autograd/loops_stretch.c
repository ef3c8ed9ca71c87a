/* loops_stretch.c - what of a program is done number by number, made ready for that
 *
 * Lines one behind the other, and innermost loops whose rounds need one another, become stretches:
 * their addresses count from a few anchors that move from round to round, so that a round is a walk
 * over instructions that are never written to. Sine and cosine of the same number become one. */
#define AD_PLAIN
#include "loops.h"
#include <string.h>

enum { FEW = 8, ORDERED = 64 }; /* ORDERED: instructions of a stretch, at most */

typedef struct stretching {
    loops *l;
    uint8_t *reads; /* how many lines read what is behind n_lasting: 0, 1 or more */
    uint32_t n_scalars, n_anchors, room_anchors, room_stretches;
} stretching;

/* twice the room where there is none left; false: out of memory */
static bool grow(arena *memory, void **all, uint32_t n, uint32_t *room, size_t size)
{
    if (n < *room)
        return true;
    const uint32_t more = 2 * *room + 16;
    void *fresh = arena_take(memory, more * size);
    if (!fresh)
        return false;
    if (n)
        memcpy(fresh, *all, n * size);
    *all = fresh;
    *room = more;
    return true;
}

/* The stretch's anchor from which an address of a line counts; ANCHORS: there is no room for it. */
static uint32_t find_anchor(stretching *w, stretch *s, const line *at, int j)
{
    loops *l = w->l;
    anchor p = {AT_ARRAY(at->at[j]), {0}};
    for (uint32_t level = 0; level < at->depth; level++)
        p.by[level] = l->steps[at->steps].by[level][j];
    for (uint32_t i = 0; i < s->n_anchors; i++)
        if (!memcmp(&l->anchors[s->anchors + i], &p, sizeof p))
            return i;
    if (s->n_anchors == ANCHORS)
        return ANCHORS;
    void *all = l->anchors;
    if (!grow(&l->memory, &all, w->n_anchors, &w->room_anchors, sizeof p)) {
        l->status = AD_NO_MEMORY;
        return ANCHORS;
    }
    l->anchors = all;
    l->anchors[w->n_anchors++] = p;
    return s->n_anchors++;
}

/* Is a kernel not worth its call? */
static bool is_short(const line *loop) { return loop->n < FEW && !op_is_dot(loop[1].op); }

/* sin a, cos a: either one after the other */
static bool join_sine_and_cosine(scalar *before, const scalar *now)
{
    const bool sine = before->op == AD_OP_sin && now->op == AD_OP_cos,
               cosine = before->op == AD_OP_cos && now->op == AD_OP_sin;
    if (!(sine || cosine) || before->in[AT_A] != now->in[AT_A] || before->at[AT_A] != now->at[AT_A])
        return false;
    const scalar *s = sine ? before : now, *c = sine ? now : before;
    *before = (scalar){.op = OP_SINCOS,
                       .line = s->line,
                       .in = {s->in[AT_Y], s->in[AT_A], 0, c->in[AT_Y]},
                       .at = {s->at[AT_Y], s->at[AT_A], 0, c->at[AT_Y]}};
    return true;
}

static bool reads(const scalar *now, int j, const scalar *before)
{
    return now->in[j] == before->in[AT_Y] && now->at[j] == before->at[AT_Y];
}

/* ---- in an order in which one reads what the one before has written ---- */

/* Are two addresses the same in some round? */
static bool meet(const loops *l, const stretch *s, const scalar *a, int i, const scalar *b, int j)
{
    const anchor *p = &l->anchors[s->anchors + a->in[i]], *q = &l->anchors[s->anchors + b->in[j]];
    const int64_t apart = (int64_t)b->at[j] - a->at[i];
    if (p == q)
        return apart == 0;
    if (p->array != q->array)
        return false;
    for (int level = 1; level < LOOP_DEPTH; level++)
        if (p->by[level] != q->by[level])
            return true; /* for all we know */
    const int64_t nearer = s->rounds > 1 ? (int64_t)p->by[0] - q->by[0] : 0;
    return nearer == 0 ? apart == 0
                       : apart % nearer == 0 && apart / nearer >= 0 && apart / nearer < s->rounds;
}

/* May `now` be done before `before`? Both are rows. */
static bool may_pass(const loops *l, const stretch *s, const scalar *now, const scalar *before)
{
    if (meet(l, s, now, AT_Y, before, AT_Y))
        return false;
    for (uint32_t j = 1; j <= code_arities[now->op]; j++)
        if (meet(l, s, now, (int)j, before, AT_Y))
            return false;
    for (uint32_t j = 1; j <= code_arities[before->op]; j++)
        if (meet(l, s, now, AT_Y, before, (int)j))
            return false;
    return true;
}

static bool is_row(const scalar *s) { return s->op < AD_OP_COUNT_; }

static bool reads_any(const scalar *now, const scalar *before)
{
    bool any = false;
    for (uint32_t j = 1; is_row(now) && j <= code_arities[now->op]; j++)
        any |= reads(now, (int)j, before);
    return any;
}

/* Which of those from i on reads what the one before i has written, and may follow it? Rather one
 * that others read; i where there is none. */
static uint32_t find_reader(const loops *l, const stretch *s, const scalar *all, uint32_t i)
{
    uint32_t best = i;
    for (uint32_t j = i; j < s->n && is_row(&all[j]); j++) {
        if (!reads_any(&all[j], &all[i - 1]))
            continue;
        bool free = true, goes_on = false;
        for (uint32_t k = i; k < j && free; k++)
            free = may_pass(l, s, &all[j], &all[k]);
        for (uint32_t k = j + 1; k < s->n; k++)
            goes_on |= reads_any(&all[k], &all[j]);
        if (free && goes_on)
            return j;
        best = free && !reads_any(&all[best], &all[i - 1]) ? j : best;
    }
    return best;
}

static void bring_together(const loops *l, const stretch *s)
{
    scalar *all = l->scalars + s->scalars;
    for (uint32_t i = 1; s->n <= ORDERED && i < s->n; i++) {
        const uint32_t j = find_reader(l, s, all, i);
        const scalar next = all[j];
        memmove(all + i + 1, all + i, (j - i) * sizeof *all);
        all[i] = next;
    }
}

/* PAIR_mul ..., or NOTHING */
static uint32_t product_of(uint32_t op)
{
    return op == AD_OP_mul    ? PAIR_mul
           : op == AD_OP_mulz ? PAIR_mulz
           : op == AD_OP_div  ? PAIR_div
           : op == AD_OP_divz ? PAIR_divz
                              : NOTHING;
}

/* The two as one, into the first; false: they cannot be. */
static bool join_pair(const stretching *w, const stretch *s, scalar *before, const scalar *now)
{
    const loops *l = w->l;
    const uint32_t product = product_of(before->op), y = (uint32_t)before->at[AT_Y];
    const bool first = reads(now, AT_A, before), second = reads(now, AT_B, before);
    if (product == NOTHING || (now->op != AD_OP_add && now->op != AD_OP_sub) || first == second ||
        l->anchors[s->anchors + before->in[AT_Y]].array != AT_ARRAY(IN_M) || y < l->n_lasting ||
        w->reads[y - l->n_lasting] != 1)
        return false;
    const int other = first ? AT_B : AT_A;
    before->op = PAIR(product, now->op == AD_OP_add ? (first ? PLUS_C : C_PLUS)
                                                    : (first ? MINUS_C : C_MINUS));
    before->in[AT_Y] = now->in[AT_Y], before->at[AT_Y] = now->at[AT_Y];
    before->in[AT_C] = now->in[other], before->at[AT_C] = now->at[other];
    before->line = now->line;
    return true;
}

static void join_pairs(stretching *w, stretch *s)
{
    scalar *all = w->l->scalars + s->scalars;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (n == 0 || !join_pair(w, s, &all[n - 1], &all[i]))
            all[n++] = all[i];
    s->n = n;
    w->n_scalars = s->scalars + n;
}

static bool gives_last(uint32_t op)
{
    return op < AD_OP_COUNT_ || op == OP_SINCOS || op >= OP_PAIR;
}

/* What is read right after it was written need not come from memory. */
static void take_from_last(const loops *l, const stretch *s)
{
    scalar *all = l->scalars + s->scalars;
    for (uint32_t i = s->n; i-- > 1;) {
        scalar *now = &all[i];
        const scalar *before = &all[i - 1];
        if (!gives_last(now->op) || !gives_last(before->op))
            continue;
        const bool pair = now->op >= OP_PAIR;
        const uint32_t arity = pair ? 2 : is_row(now) ? code_arities[now->op] : 1;
        if (arity <= 2 && reads(now, AT_A, before))
            now->op += pair ? PAIR_LAST_A : LAST_A;
        else if (arity == 2 && reads(now, AT_B, before))
            now->op += pair ? PAIR_LAST_B : LAST_B;
    }
}

/* Line i as the last of a stretch; false: there is no room in it. */
static bool add_line(stretching *w, stretch *s, uint32_t i)
{
    loops *l = w->l;
    const line *at = &l->lines[i];
    scalar next = {.op = at->op, .line = i};
    const uint32_t anchors = s->n_anchors;
    for (int j = at->op == OP_GUARD ? AT_A : AT_Y; j < AT_COUNT; j++) {
        if (j > AT_Y && (uint32_t)j > line_operands(at))
            break;
        const uint32_t in = find_anchor(w, s, at, j);
        if (in == ANCHORS) {
            w->n_anchors -= s->n_anchors - anchors;
            s->n_anchors = anchors;
            return false;
        }
        next.in[j] = (uint8_t)in;
        next.at[j] = (int32_t)AT_INDEX(at->at[j]);
    }
    s->n_lines++;
    if (s->n > 0 && join_sine_and_cosine(&l->scalars[w->n_scalars - 1], &next))
        return true;
    l->scalars[w->n_scalars++] = next;
    s->n++;
    return true;
}

/* As many of `count` lines from i on as one stretch can have. Where all of them are wanted and that
 * is fewer, nothing is done. */
static uint32_t put_stretch(stretching *w, uint32_t i, uint32_t count, uint32_t rounds, bool all)
{
    loops *l = w->l;
    stretch s = {.scalars = w->n_scalars, .anchors = w->n_anchors, .rounds = rounds};
    void *stretches = l->stretches;
    if (!grow(&l->memory, &stretches, l->n_stretches, &w->room_stretches, sizeof s)) {
        l->status = AD_NO_MEMORY;
        return 0;
    }
    l->stretches = stretches;
    while (s.n_lines < count && add_line(w, &s, i + s.n_lines))
        ;
    if (l->status || (all && s.n_lines < count)) {
        w->n_scalars = s.scalars;
        w->n_anchors = s.anchors;
        return 0;
    }
    bring_together(l, &s);
    join_pairs(w, &s);
    take_from_last(l, &s);
    l->stretches[l->n_stretches++] = s;
    return s.n_lines;
}

static void put_stretches(stretching *w, uint32_t first, uint32_t end)
{
    loops *l = w->l;
    for (uint32_t i = first, count; i < end && !l->status; i += count) {
        line *at = &l->lines[i];
        at->stretch = NOTHING;
        if (at->op == OP_LOOP) {
            count = at->body + 1;
            const uint32_t number = l->n_stretches;
            const bool alone = at->innermost && (!at->apart || is_short(at));
            if (alone && put_stretch(w, i + 1, at->body, at->n, true))
                at->stretch = number;
            else if (!at->apart)
                put_stretches(w, i + 1, i + 1 + at->body); /* as deep as LOOP_DEPTH, at most */
            continue;
        }
        for (count = 1; i + count < end && l->lines[i + count].op != OP_LOOP;)
            count++;
        at->stretch = l->n_stretches;
        count = put_stretch(w, i, count, 1, false);
    }
}

static bool count_reads(stretching *w, arena *scratch)
{
    const loops *l = w->l;
    const size_t n = (size_t)l->n_memory - l->n_lasting + 1;
    if (!(w->reads = arena_zeros(scratch, n)))
        return false;
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const line *at = &l->lines[i];
        for (int j = AT_A; at->op != OP_LOOP && (uint32_t)j <= line_operands(at); j++) {
            const uint32_t index = AT_INDEX(at->at[j]);
            if (AT_ARRAY(at->at[j]) == AT_ARRAY(IN_M) && index >= l->n_lasting)
                w->reads[index - l->n_lasting] |= (uint8_t)(1 + w->reads[index - l->n_lasting]);
        }
    }
    return true;
}

void loops_stretch(loops *l, arena *scratch)
{
    stretching w = {.l = l};
    l->scalars = arena_take(&l->memory, ((size_t)l->n_lines + 1) * sizeof *l->scalars);
    if (l->scalars && count_reads(&w, scratch))
        put_stretches(&w, 0, l->n_lines);
    else
        l->status = AD_NO_MEMORY;
}
