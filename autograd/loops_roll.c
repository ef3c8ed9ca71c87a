/* loops_roll.c - straight-line code rolled into loops
 *
 * First every instruction gets its place in memory and becomes a line. Then runs of one operation
 * whose addresses move evenly become loops, and after that, up to a few levels deep, groups of
 * lines that repeat with evenly moving addresses. The search is greedy: from each line on the
 * shortest group that repeats at least three times. */
#define AD_PLAIN
#include "loops.h"
#include "tape.h"
#include <string.h>

enum { RUN = 4, REPEATS = 3, LONGEST = 512, TRIES = 16 };
enum { SOON = 12 };        /* how much deeper the last reader is, at most, of what need not last */
#define IN_NEAR (5u << 29) /* while places are given: behind the lasting ones of m */

/* ---- places ---- */

typedef struct rolling rolling;

typedef struct layout {
    loops *l;
    const code *k;
    uint32_t *place; /* of each instruction */
    bool *lasting;   /* of each instruction; NULL: all of them */
    rolling *to;     /* where lines go */
} layout;

static void put_next(rolling *r, const line *next);
static bool put_more(rolling *r, uint32_t op, const uint32_t at[AT_COUNT]);

/* Marks what is read long after it was written, or as one of many: the rest may be where the memory
 * of few rounds is (loops_slots.c). */
static void mark_lasting(const code *k, bool *lasting)
{
    const uint32_t *depth = k->depth;
    memset(lasting, 0, k->n);
    for (uint32_t i = k->n_lead; i < k->n; i++) {
        const instr *at = &k->at[i];
        const uint32_t arity = code_arity(at), operand[3] = {at->a, at->b, at->c};
        for (uint32_t j = 0; j < arity; j++)
            lasting[operand[j]] |= depth[i] - depth[operand[j]] > SOON;
        for (uint32_t j = 0; code_is_dot(at) && j < 2 * at->b; j++)
            lasting[k->factors[at->a + j]] = true;
        if (code_is_dot(at) && at->c != NOTHING)
            lasting[at->c] = true;
    }
}

static void place_outputs(layout *p)
{
    const code *k = p->k;
    for (uint32_t i = 0; i < k->n_outputs; i++) {
        const instr *at = &k->at[k->outputs[i]];
        if (p->place[k->outputs[i]] == NOTHING && at->op != OP_INPUT && at->op != OP_CONSTANT)
            p->place[k->outputs[i]] = IN_OUT | i;
    }
}

static void place_value(layout *p, uint32_t i)
{
    loops *l = p->l;
    const instr *at = &p->k->at[i];
    uint32_t *to = &p->place[i];
    if (at->op == OP_INPUT) {
        *to = IN_X | at->a;
    } else if (at->op == OP_CONSTANT) {
        l->constants[l->n_constants] = p->k->constants[at->a];
        *to = IN_CONSTANTS | l->n_constants++;
    } else if (at->op == OP_GUARD) {
        l->guard_origins[l->n_guards] = p->k->origin[i];
        *to = IN_GUARDS | l->n_guards++;
    } else if (*to == NOTHING && (!p->lasting || p->lasting[i])) {
        *to = IN_M | l->n_lasting++;
    } else if (*to == NOTHING) {
        *to = IN_NEAR | l->n_memory++;
    }
}

static void place_values(layout *p)
{
    const code *k = p->k;
    for (uint32_t i = 0; i < k->n_lead; i++)
        p->place[i] = IN_X | i;
    memset(p->place + k->n_lead, 0xff, (k->n - k->n_lead) * sizeof *p->place); /* NOTHING */
    if (p->lasting)
        mark_lasting(k, p->lasting);
    place_outputs(p);
    for (uint32_t i = k->n_lead; i < k->n; i++)
        place_value(p, i);
    for (uint32_t i = k->n_lead; i < k->n; i++)
        if (AT_ARRAY(p->place[i]) == AT_ARRAY(IN_NEAR))
            p->place[i] = IN_M | (p->l->n_lasting + AT_INDEX(p->place[i]));
    p->l->n_memory += p->l->n_lasting;
}

/* The factors from t on that lie evenly: one line, with the sum so far as its start. */
static uint32_t put_evenly(layout *p, const instr *at, uint32_t t, uint32_t y)
{
    const uint32_t *f = p->k->factors + at->a, *place = p->place;
    const bool more = t + 1 < at->b && AT_ARRAY(place[f[2 * t]]) == AT_ARRAY(place[f[2 * t + 2]]) &&
                      AT_ARRAY(place[f[2 * t + 1]]) == AT_ARRAY(place[f[2 * t + 3]]);
    const uint32_t by_a = more ? place[f[2 * t + 2]] - place[f[2 * t]] : 0,
                   by_b = more ? place[f[2 * t + 3]] - place[f[2 * t + 1]] : 0;
    uint32_t n = more ? 2 : 1;
    for (uint32_t a = place[f[2 * t]] + 2 * by_a, b = place[f[2 * t + 1]] + 2 * by_b;
         more && t + n < at->b && place[f[2 * (t + n)]] == a && place[f[2 * (t + n) + 1]] == b; n++)
        a += by_a, b += by_b;
    const int64_t sa = (int32_t)by_a, sb = (int32_t)by_b;
    line to = {.op = at->op,
               .n = n,
               .at = {y, place[f[2 * t]], place[f[2 * t + 1]], 0},
               .inner = {(int32_t)sa, (int32_t)sb}};
    if (t > 0 || at->c != NOTHING) {
        to.has_c = 1;
        to.at[AT_C] = t > 0 ? y : place[at->c];
    }
    if (sa < 0 && sb <= 0) { /* upwards through memory */
        to.at[AT_A] = (uint32_t)((int64_t)to.at[AT_A] + (n - 1) * sa);
        to.at[AT_B] = (uint32_t)((int64_t)to.at[AT_B] + (n - 1) * sb);
        to.inner[0] = (int32_t)-sa, to.inner[1] = (int32_t)-sb;
    }
    put_next(p->to, &to);
    return n;
}

static void put_line(layout *p, uint32_t i)
{
    const instr *at = &p->k->at[i];
    const uint32_t y = p->place[i], arity = code_arity(at);
    if (code_is_dot(at)) {
        for (uint32_t t = 0; t < at->b;)
            t += put_evenly(p, at, t, y);
        return;
    }
    const uint32_t to[AT_COUNT] = {y, arity > 0 ? p->place[at->a] : 0,
                                   arity > 1 ? p->place[at->b] : 0,
                                   arity > 2 ? p->place[at->c] : 0};
    if (put_more(p->to, at->op, to))
        return;
    put_next(p->to, &(line){.op = at->op,
                            .at = {to[0], to[1], to[2], to[3]},
                            .guard = at->op == OP_GUARD ? (uint8_t)at->c : 0});
}

static void put_lines(layout *p)
{
    const code *k = p->k;
    for (uint32_t i = k->n_lead; i < k->n; i++)
        if (k->at[i].op != OP_INPUT && k->at[i].op != OP_CONSTANT)
            put_line(p, i);
    for (uint32_t i = 0; i < k->n_outputs; i++) { /* what is already elsewhere */
        const uint32_t from = p->place[k->outputs[i]], to = IN_OUT | i;
        if (from != to)
            put_next(p->to, &(line){.op = OP_COPY, .at = {to, from, 0, 0}});
    }
}

static uint64_t lines_needed(const code *k)
{
    uint64_t n = (uint64_t)k->n + k->n_outputs + 1;
    for (uint32_t i = k->n_lead; i < k->n; i++)
        n += code_is_dot(&k->at[i]) ? k->at[i].b : 0;
    return n;
}

static void remember_origins(layout *p)
{
    loops *l = p->l;
    const code *k = p->k;
    for (uint32_t i = 0; i < k->n; i++)
        if (AT_ARRAY(p->place[i]) == AT_ARRAY(IN_M))
            l->origins[AT_INDEX(p->place[i])] = k->origin[i];
    for (uint32_t i = 0; i < k->n_outputs; i++)
        l->origins[l->n_memory + i] = k->origin[k->outputs[i]];
}

/* ---- groups that repeat ---- */

typedef struct unit { /* lines that stay together: one, or a loop */
    uint32_t first, count, hash;
} unit;

struct rolling {
    loops *l;
    bool rolled;   /* else every line stays as it is */
    line run[RUN]; /* the first lines that go on evenly, `rounds` of them in all */
    uint32_t rounds, expected[AT_COUNT]; /* where the next would be */
    int32_t by[1][AT_COUNT];
    arena *scratch;
    line *from, *to;
    uint32_t room_to; /* while lines are written */
    uint32_t n_from, n_to, room_steps, n_steps;
    unit *units;
    uint32_t n_units;
    uint32_t *next; /* unit of the same hash */
};

static bool steps_equal(const rolling *r, const line *a, const line *b)
{
    return a->depth == 0 || !memcmp(r->l->steps[a->steps].by, r->l->steps[b->steps].by,
                                    a->depth * sizeof r->l->steps->by[0]);
}

static bool same_form(const rolling *r, const line *a, const line *b)
{
    return a->op == b->op && a->n == b->n && a->body == b->body && a->depth == b->depth &&
           a->inner[0] == b->inner[0] && a->inner[1] == b->inner[1] && a->has_c == b->has_c &&
           a->guard == b->guard && (a->op == OP_LOOP || steps_equal(r, a, b));
}

static uint32_t hash_of(const line *lines, uint32_t count)
{
    uint64_t h = count;
    for (uint32_t i = 0; i < count; i++) {
        const line *a = &lines[i];
        h = (h ^ a->op ^ (uint64_t)a->n << 8 ^ (uint64_t)(uint32_t)a->inner[0] << 40) *
            0x9e3779b97f4a7c15u;
        h ^= h >> 29 ^ (uint64_t)a->depth << 50 ^ (uint64_t)(uint32_t)a->inner[1] << 20;
    }
    return (uint32_t)(h >> 16);
}

/* the step from address a to b; false: they lie in different arrays */
static bool step_between(const line *a, const line *b, int32_t by[AT_COUNT])
{
    for (int j = 0; j < AT_COUNT; j++) {
        if (AT_ARRAY(a->at[j]) != AT_ARRAY(b->at[j]))
            return false;
        by[j] = (int32_t)(AT_INDEX(b->at[j]) - AT_INDEX(a->at[j]));
    }
    return true;
}

/* Do the lines from b on go on as those from a on did, `count` of them? by: the steps, found in the
 * first round, kept in the others. */
static bool follows(const rolling *r, const line *a, const line *b, uint32_t count,
                    int32_t (*by)[AT_COUNT], bool first)
{
    for (uint32_t i = 0; i < count; i++) {
        int32_t now[AT_COUNT];
        if (!same_form(r, &a[i], &b[i]) || a[i].depth + 1 > LOOP_DEPTH)
            return false;
        if (a[i].op == OP_LOOP)
            continue;
        if (!step_between(&a[i], &b[i], now) || (!first && memcmp(now, by[i], sizeof now) != 0))
            return false;
        if (first)
            memcpy(by[i], now, sizeof now);
    }
    return true;
}

/* How often the group of `length` units from i on repeats; by: its steps. */
static uint32_t repeats_of(const rolling *r, uint32_t i, uint32_t length, int32_t (*by)[AT_COUNT])
{
    const unit *u = &r->units[i];
    uint32_t rounds = 1;
    uint32_t count = 0;
    for (uint32_t j = 0; j < length; j++)
        count += u[j].count;
    if (count > LONGEST)
        return 1;
    while (i + (rounds + 1) * length <= r->n_units) {
        const unit *before = u + (rounds - 1) * length, *now = u + rounds * length;
        bool same = true;
        for (uint32_t j = 0; same && j < length; j++)
            same = before[j].hash == now[j].hash && before[j].count == now[j].count;
        if (!same ||
            !follows(r, r->from + before->first, r->from + now->first, count, by, rounds == 1))
            break;
        rounds++;
    }
    return rounds;
}

static bool add_steps(rolling *r, line *to, const int32_t by[AT_COUNT])
{
    loops *l = r->l;
    if (to->depth == 0) {
        if (r->n_steps == r->room_steps) {
            const uint32_t room = 2 * r->room_steps + 64;
            steps *more = arena_zeros(&l->memory, room * sizeof *more);
            if (!more)
                return false;
            if (l->steps)
                memcpy(more, l->steps, r->n_steps * sizeof *more);
            l->steps = more;
            r->room_steps = room;
        }
        to->steps = r->n_steps++;
    }
    memcpy(l->steps[to->steps].by[to->depth++], by, sizeof l->steps->by[0]);
    return true;
}

static void find_next(rolling *r, uint32_t *table, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        table[i] = NOTHING;
    for (uint32_t i = r->n_units; i-- > 0;) {
        // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): an odd number
        uint32_t *last = &table[r->units[i].hash % size];
        r->next[i] = *last;
        *last = i;
    }
}

/* The units once more, with what repeats from unit i on as a loop: gives how many units it took. */
static uint32_t roll_from(rolling *r, uint32_t i, int32_t (*by)[AT_COUNT])
{
    const unit *u = &r->units[i];
    uint32_t length = 1, rounds = 1, tries = 0;
    for (uint32_t j = r->next[i]; j != NOTHING && j - i <= LONGEST && tries < TRIES;
         j = r->next[j], tries++) {
        length = j - i;
        rounds = repeats_of(r, i, length, by);
        if (rounds >= REPEATS)
            break;
    }
    const bool loop = rounds >= REPEATS;
    const uint32_t taken = loop ? length : 1;
    uint32_t count = 0;
    for (uint32_t j = 0; j < taken; j++)
        count += u[j].count;
    line *to = r->to + r->n_to;
    if (loop)
        *to++ = (line){.op = OP_LOOP, .n = rounds, .body = count, .depth = 0};
    memcpy(to, r->from + u->first, count * sizeof *to);
    for (uint32_t j = 0; loop && j < count; j++)
        if (to[j].op == OP_LOOP)
            to[j].depth++;
        else if (!add_steps(r, &to[j], by[j]))
            r->l->status = AD_NO_MEMORY;
    r->n_to += count + loop;
    return loop ? rounds * length : 1;
}

static void collect_units(rolling *r)
{
    r->n_units = 0;
    for (uint32_t i = 0; i < r->n_from;) {
        const uint32_t count = r->from[i].op == OP_LOOP ? r->from[i].body + 1 : 1;
        r->units[r->n_units++] = (unit){i, count, hash_of(&r->from[i], count)};
        i += count;
    }
}

/* ---- runs of one line each: most of a program, and found while it is written ---- */

static bool make_room(rolling *r)
{
    if (r->n_to + RUN + 1 <= r->room_to)
        return true;
    const uint32_t room = 2 * r->room_to + 256;
    line *more = arena_take(r->scratch, room * sizeof *more);
    if (!more) {
        r->l->status = AD_NO_MEMORY;
        return false;
    }
    if (r->n_to)
        memcpy(more, r->to, r->n_to * sizeof *more);
    r->to = more;
    r->room_to = room;
    return true;
}

static void end_run(rolling *r)
{
    if (!make_room(r)) {
        r->rounds = 0;
        return;
    }
    const bool loop = r->rounds >= RUN;
    if (loop)
        r->to[r->n_to++] = (line){.op = OP_LOOP, .n = r->rounds, .body = 1};
    memcpy(r->to + r->n_to, r->run, (loop ? 1 : r->rounds) * sizeof *r->run);
    r->n_to += loop ? 1 : r->rounds;
    if (loop && !add_steps(r, &r->to[r->n_to - 1], r->by[0]))
        r->l->status = AD_NO_MEMORY;
    r->rounds = 0;
}

static void expect_next(rolling *r, const uint32_t at[AT_COUNT])
{
    for (int j = 0; j < AT_COUNT; j++)
        r->expected[j] = at[j] + (uint32_t)r->by[0][j];
}

static bool goes_on(rolling *r, const line *next)
{
    if (!r->rolled || r->rounds == 0)
        return false;
    return r->rounds == 1 ? follows(r, &r->run[0], next, 1, r->by, true)
                          : same_form(r, &r->run[0], next) &&
                                !memcmp(next->at, r->expected, sizeof r->expected);
}

static void put_next(rolling *r, const line *next)
{
    if (!goes_on(r, next)) {
        const bool again = r->rounds > 1 && r->rounds < RUN; /* the last may begin another */
        const line last = r->run[again ? r->rounds - 1 : 0];
        r->rounds -= again;
        end_run(r);
        if (again) {
            r->run[0] = last;
            r->rounds = 1;
            if (!goes_on(r, next))
                end_run(r);
        }
    }
    if (r->rounds < RUN)
        r->run[r->rounds] = *next;
    r->rounds++;
    expect_next(r, next->at);
}

/* The same for an operation of a row where it goes on with a run; else false, and nothing done. */
static bool put_more(rolling *r, uint32_t op, const uint32_t at[AT_COUNT])
{
    if (r->rounds < RUN || r->run[0].op != op || op == OP_GUARD ||
        memcmp(at, r->expected, sizeof r->expected) != 0)
        return false;
    r->rounds++;
    expect_next(r, at);
    return true;
}

static void swap_lines(rolling *r)
{
    line *old = r->from;
    r->from = r->to;
    r->to = old;
    r->n_from = r->n_to;
    r->n_to = 0;
}

static void roll(rolling *r, arena *scratch)
{
    const uint32_t size = 2 * r->n_from + 1;
    uint32_t *table = arena_take(scratch, (size_t)size * sizeof *table);
    int32_t(*by)[AT_COUNT] = arena_take(scratch, (LONGEST + 1) * sizeof *by);
    r->units = arena_take(scratch, ((size_t)r->n_from + 1) * sizeof *r->units);
    r->next = arena_take(scratch, ((size_t)r->n_from + 1) * sizeof *r->next);
    if (!table || !by || !r->units || !r->next)
        r->l->status = AD_NO_MEMORY;
    for (int level = 0; level < LOOP_DEPTH && !r->l->status; level++) {
        const uint32_t before = r->n_from;
        collect_units(r);
        find_next(r, table, size);
        for (uint32_t i = 0; i < r->n_units && !r->l->status;)
            i += roll_from(r, i, by);
        swap_lines(r);
        if (r->n_from == before)
            break;
    }
}

/* ---- what rounds need of one another ---- */

typedef struct span {
    int64_t low, high;
} span;

/* where an address goes in `levels` loops, from level `from` on, of those around a line */
static span span_of(const loops *l, const line *a, int j, const uint32_t *rounds, uint32_t levels)
{
    span s = {AT_INDEX(a->at[j]), AT_INDEX(a->at[j])};
    for (uint32_t level = 0; level < levels; level++) {
        const int64_t far = (int64_t)l->steps[a->steps].by[level][j] * (rounds[level] - 1);
        s.low += far < 0 ? far : 0;
        s.high += far > 0 ? far : 0;
    }
    if ((j == AT_A || j == AT_B) && op_is_dot(a->op)) {
        const int64_t far = (int64_t)a->inner[j - AT_A] * (a->n - 1);
        s.low += far < 0 ? far : 0;
        s.high += far > 0 ? far : 0;
    }
    return s;
}

static bool apart(span a, span b) { return a.high < b.low || b.high < a.low; }

/* Does no round of the innermost loop around a line read what another round writes? */
static bool reads_apart(const loops *l, const line *a, int j, const uint32_t *rounds)
{
    const steps *s = &l->steps[a->steps];
    if (AT_ARRAY(a->at[j]) != AT_ARRAY(a->at[AT_Y]))
        return true;
    if (apart(span_of(l, a, AT_Y, rounds, a->depth), span_of(l, a, j, rounds, a->depth)))
        return true;
    for (uint32_t level = 1; level < a->depth; level++)
        if (s->by[level][j] != s->by[level][AT_Y])
            return false;
    if (apart(span_of(l, a, AT_Y, rounds, 1), span_of(l, a, j, rounds, 1)))
        return true;
    return j == AT_C && a->at[j] == a->at[AT_Y] && s->by[0][j] == s->by[0][AT_Y];
}

static void mark_apart(loops *l)
{
    uint32_t rounds[LOOP_DEPTH + 1], end[LOOP_DEPTH + 1], depth = 0;
    for (uint32_t i = 0; i < l->n_lines; i++) {
        line *at = &l->lines[i];
        while (depth && i >= end[depth - 1])
            depth--;
        if (at->op != OP_LOOP)
            continue;
        rounds[depth] = at->n;
        end[depth++] = i + 1 + at->body;
        at->innermost = 1;
        for (uint32_t j = 1; j <= at->body; j++)
            at->innermost &= at[j].op != OP_LOOP;
        uint32_t inward[LOOP_DEPTH] = {0};
        for (uint32_t j = 0; j < depth; j++)
            inward[j] = rounds[depth - 1 - j];
        at->apart = at->body == 1;
        for (uint32_t j = 0; at->apart && j < line_operands(&at[1]); j++)
            at->apart = reads_apart(l, &at[1], AT_A + (int)j, inward);
    }
}

/* ---- all of it ---- */

static void count_work(loops *l)
{
    uint32_t end[LOOP_DEPTH + 1], depth = 0;
    uint64_t times[LOOP_DEPTH + 1] = {1};
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const line *at = &l->lines[i];
        while (depth && i >= end[depth - 1])
            depth--;
        if (at->op == OP_LOOP) {
            l->n_loops++;
            end[depth] = i + 1 + at->body;
            times[depth + 1] = times[depth] * at->n;
            depth++;
            continue;
        }
        const bool dot = op_is_dot(at->op);
        l->operations += times[depth];
        l->flops += times[depth] * (dot ? 2 * at->n : at->op != OP_COPY && at->op != OP_GUARD);
    }
}

static void make_lines(loops *l, code *k, bool with_origins, bool rolled)
{
    const uint64_t room = lines_needed(k);
    arena *scratch = &k->scratch;
    layout p = {.l = l, .k = k};
    if (room > UINT32_MAX / 4) {
        l->status = AD_TOO_LARGE;
        return;
    }
    p.place = arena_take(scratch, ((size_t)k->n + 1) * sizeof *p.place);
    l->constants = arena_take(&l->memory, ((size_t)k->n_constants + 1) * sizeof *l->constants);
    uint32_t guards = 0;
    for (uint32_t i = k->n_lead; i < k->n; i++)
        guards += k->at[i].op == OP_GUARD;
    l->guard_origins = arena_take(&l->memory, ((size_t)guards + 1) * sizeof *l->guard_origins);
    if (rolled && !with_origins)
        p.lasting = arena_take(scratch, (size_t)k->n + 1);
    if ((rolled && !with_origins && !p.lasting) || !p.place || !l->constants || !l->guard_origins) {
        l->status = AD_NO_MEMORY;
        return;
    }
    rolling r = {.l = l, .rolled = rolled, .scratch = scratch};
    p.to = &r;
    place_values(&p);
    put_lines(&p);
    end_run(&r);
    if (!l->status && !(r.from = arena_take(scratch, ((size_t)r.n_to + 1) * sizeof *r.from)))
        l->status = AD_NO_MEMORY;
    if (l->status)
        return;
    swap_lines(&r);
    if (with_origins) {
        l->origins =
            arena_zeros(&l->memory, ((size_t)l->n_memory + l->n_outputs + 1) * sizeof *l->origins);
        if (l->origins)
            remember_origins(&p);
        else
            l->status = AD_NO_MEMORY;
    }
    if (rolled && !l->status)
        roll(&r, scratch);
    l->n_lines = r.n_from;
    if ((l->lines = arena_take(&l->memory, ((size_t)r.n_from + 1) * sizeof *l->lines)))
        memcpy(l->lines, r.from, r.n_from * sizeof *l->lines);
    else
        l->status = AD_NO_MEMORY;
}

void loops_roll(loops *l, code *k, bool with_origins, bool rolled)
{
    *l = (loops){.memory = {.context = k->context},
                 .n_inputs = k->n_inputs,
                 .n_outputs = k->n_outputs,
                 .status = k->status};
    if (!l->status)
        make_lines(l, k, with_origins, rolled);
    if (!l->status) {
        mark_apart(l);
        if (rolled && !with_origins)
            loops_slots(l, &k->scratch);
        else
            l->n_lasting = l->n_memory;
    }
    if (!l->status) {
        count_work(l);
        loops_stretch(l, &k->scratch);
    }
    code_done(k);
}

void loops_free(loops *l) { arena_free(&l->memory); }
