/* loops_slots.c - numbers that a loop needs from round to round only, kept in one place
 *
 * A result of a loop has a place for every round. Where nothing but the same round reads it, or the
 * next one, or what comes after the loop reads the last, one place serves all rounds: a slot. The
 * memory of a long recurrence then is what its derivative must remember. Places that are candidates
 * lie behind the others (see place_values); if in the end each of them is found by a fixed address
 * they are numbered anew, without gaps. */
#define AD_PLAIN
#include "loops.h"
#include <string.h>

enum { MOST_TESTS = 1 << 22 }; /* comparisons of a read with a candidate */

typedef struct candidate {
    uint32_t loop, line;
    int64_t first, by, rounds;
    bool wanted, carried; /* carried: read in the round after, and so at first from before */
} candidate;

typedef struct search {
    loops *l;
    candidate *all;
    uint32_t n;
} search;

static bool is_near(const loops *l, uint32_t at)
{
    return AT_ARRAY(at) == AT_ARRAY(IN_M) && AT_INDEX(at) >= l->n_lasting;
}

static int64_t step_of(const loops *l, const line *at, uint32_t level, int j)
{
    return level < at->depth ? l->steps[at->steps].by[level][j] : 0;
}

static bool stands_still(const loops *l, const line *at, int j)
{
    bool still = !(op_is_dot(at->op) && j > AT_Y && j < AT_C && at->n > 1 && at->inner[j - AT_A]);
    for (uint32_t level = 0; level < at->depth; level++)
        still &= step_of(l, at, level, j) == 0;
    return still;
}

static int64_t divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a < 0 ? -a : a;
}

/* false: none, too many, or out of memory */
static bool find_candidates(search *s, arena *scratch)
{
    loops *l = s->l;
    s->all = arena_take(scratch, ((size_t)l->n_lines + 1) * sizeof *s->all);
    for (uint32_t i = 0; s->all && i < l->n_lines; i++) {
        const line *loop = &l->lines[i];
        if (loop->op != OP_LOOP || loop->depth > 0 || loop->apart || !loop->innermost)
            continue;
        for (uint32_t j = i + 1; j <= i + loop->body; j++) {
            const line *at = &l->lines[j];
            const int64_t by = step_of(l, at, 0, AT_Y);
            if (at->op < AD_OP_COUNT_ && is_near(l, at->at[AT_Y]) && by)
                s->all[s->n++] =
                    (candidate){i, j, AT_INDEX(at->at[AT_Y]), by, loop->n, true, false};
        }
    }
    if (!s->all)
        l->status = AD_NO_MEMORY;
    return s->all && (uint64_t)s->n * l->n_lines <= MOST_TESTS;
}

/* Can operand j of a line be the result of some round of the candidate, but for the last where the
 * operand stands still? rounds: of the loops around the line, the innermost first. */
static bool may_read(const loops *l, const line *at, int j, const uint32_t *rounds,
                     const candidate *c)
{
    int64_t low = AT_INDEX(at->at[j]), high = low, common = c->by;
    const int64_t distance = low - c->first, last = c->by * (c->rounds - 1);
    for (uint32_t level = 0; level <= at->depth; level++) {
        const bool inner = level == at->depth && op_is_dot(at->op) && j < AT_C;
        const int64_t by = inner ? at->inner[j - AT_A] : step_of(l, at, level, j),
                      far = by * ((inner               ? at->n
                                   : level < at->depth ? rounds[level]
                                                       : 1) -
                                  (int64_t)1);
        common = far ? divisor(common, by) : common;
        low += far < 0 ? far : 0;
        high += far > 0 ? far : 0;
    }
    const int64_t bottom = c->first + (last < 0 ? last : 0), top = c->first + (last > 0 ? last : 0);
    return (common == 0 || distance % common == 0) && low <= top && high >= bottom &&
           !(low == high && distance == last);
}

/* How line i reads the candidate: not at all, in a way that a slot bears, or in another. */
static void judge(const loops *l, uint32_t i, int j, const uint32_t *rounds, candidate *c)
{
    const line *at = &l->lines[i];
    const bool inside = i > c->loop && i <= c->loop + l->lines[c->loop].body;
    const int64_t later = c->first - AT_INDEX(at->at[j]);
    if (inside && (j == AT_C || !op_is_dot(at->op)) && step_of(l, at, 0, j) == c->by) {
        const bool before = i <= c->line && later == c->by, same = i > c->line && later == 0;
        c->carried |= before;
        if (before || same)
            return;
    }
    c->wanted &= !may_read(l, at, j, rounds, c);
}

static void judge_all(search *s)
{
    const loops *l = s->l;
    uint32_t end[LOOP_DEPTH + 1], n[LOOP_DEPTH + 1], inward[LOOP_DEPTH + 1], depth = 0;
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const line *at = &l->lines[i];
        while (depth && i >= end[depth - 1])
            depth--;
        if (at->op == OP_LOOP) {
            n[depth] = at->n;
            end[depth++] = i + 1 + at->body;
            continue;
        }
        for (uint32_t k = 0; k < depth; k++)
            inward[k] = n[depth - 1 - k];
        for (int j = AT_A; (uint32_t)j <= line_operands(at); j++)
            for (uint32_t k = 0; AT_ARRAY(at->at[j]) == AT_ARRAY(IN_M) && k < s->n; k++)
                if (s->all[k].wanted)
                    judge(l, i, j, inward, &s->all[k]);
    }
}

static void stand_still(loops *l, line *at, int j, int64_t index)
{
    at->at[j] = IN_M | (uint32_t)index;
    l->steps[at->steps].by[0][j] = 0;
}

/* The place of the last round becomes that of all. */
static void make_slot(loops *l, const candidate *c)
{
    const int64_t slot = c->first + c->by * (c->rounds - 1);
    for (uint32_t i = c->loop + 1; i <= c->loop + l->lines[c->loop].body; i++) {
        line *at = &l->lines[i];
        for (int j = AT_A; (uint32_t)j <= line_operands(at); j++) {
            const int64_t later = c->first - AT_INDEX(at->at[j]);
            if (AT_ARRAY(at->at[j]) == AT_ARRAY(IN_M) && step_of(l, at, 0, j) == c->by &&
                (j == AT_C || !op_is_dot(at->op)) && (later == 0 || later == c->by))
                stand_still(l, at, j, slot);
        }
    }
    stand_still(l, &l->lines[c->line], AT_Y, slot);
}

/* Slots that are carried begin with what was there before the loop. */
static bool put_copies(const search *s, uint32_t n_copies)
{
    loops *l = s->l;
    line *lines = arena_take(&l->memory, ((size_t)l->n_lines + n_copies + 1) * sizeof *lines),
         *to = lines;
    const candidate *c = s->all, *end = s->all + s->n;
    for (uint32_t i = 0; lines && i < l->n_lines; i++) {
        for (; c < end && c->loop == i; c++)
            if (c->wanted && c->carried)
                *to++ = (line){.op = OP_COPY,
                               .at = {IN_M | (uint32_t)(c->first + c->by * (c->rounds - 1)),
                                      IN_M | (uint32_t)(c->first - c->by)}};
        *to++ = l->lines[i];
    }
    l->lines = lines;
    l->n_lines += n_copies;
    return lines;
}

/* Numbers what lies behind the lasting places anew, if all of it stands still. */
static void close_up(loops *l, arena *scratch)
{
    uint32_t *number =
                 arena_zeros(scratch, ((size_t)l->n_memory - l->n_lasting + 1) * sizeof *number),
             n = 0;
    bool still = true;
    for (uint32_t i = 0; i < l->n_lines; i++)
        for (int j = AT_Y; l->lines[i].op != OP_LOOP && (uint32_t)j <= line_operands(&l->lines[i]);
             j++)
            still &= !is_near(l, l->lines[i].at[j]) || stands_still(l, &l->lines[i], j);
    if (!still || !number) {
        l->n_lasting = l->n_memory;
        l->status = number ? l->status : AD_NO_MEMORY;
        return;
    }
    for (uint32_t i = 0; i < l->n_lines; i++) {
        line *at = &l->lines[i];
        for (int j = AT_Y; at->op != OP_LOOP && (uint32_t)j <= line_operands(at); j++) {
            if (!is_near(l, at->at[j]))
                continue;
            uint32_t *to = &number[AT_INDEX(at->at[j]) - l->n_lasting];
            *to = *to ? *to : ++n;
            at->at[j] = IN_M | (l->n_lasting + *to - 1);
        }
    }
    l->n_memory = l->n_lasting + n;
}

void loops_slots(loops *l, arena *scratch)
{
    for (int again = 0; again < 2 && !l->status;
         again++) { /* the first makes more of them stand still */
        search s = {.l = l};
        uint32_t copies = 0, slots = 0;
        if (!find_candidates(&s, scratch))
            break;
        judge_all(&s);
        for (uint32_t i = 0; i < s.n; i++) {
            slots += s.all[i].wanted;
            copies += s.all[i].wanted && s.all[i].carried;
            if (s.all[i].wanted)
                make_slot(l, &s.all[i]);
        }
        if (!slots)
            break;
        if (copies && !put_copies(&s, copies))
            l->status = AD_NO_MEMORY;
    }
    if (!l->status)
        close_up(l, scratch);
}
