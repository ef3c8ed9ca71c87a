/* plan_sum.c - sums and means that are taken while their elements are computed
 *
 * The sum over all of an array that a pass computes needs no second way through memory: each tile
 * leaves its sum, and what is left to do afterwards is to add these up. Long sums are halved at
 * multiples of a tile (block_reduce.c), so that every tile is one branch of the same tree of
 * additions. An array that only such sums read is never written. */
#define AD_PLAIN
#include "block_sum.h"
#include "program.h"

/* Do the lanes of group g lie so that its tiles come one after the other? Operands must be as the
 * results are, by rows without gaps, or one number. Members lie so by themselves. */
static bool operand_fits(const planner *q, const array *like, uint32_t i)
{
    if (node_op(&q->nodes[i]) != CODE_TENSOR)
        return true;
    const array a = frame_array(&q->p->frame, i);
    bool one = true;
    for (int k = 0; k < a.rank; k++)
        one = one && (a.shape[k] == 1 || a.stride[k] == 0);
    return one || (same_shape(&a, like) && array_contiguous(&a));
}

static bool *fitting_groups(planner *q)
{
    const uint32_t *args;
    uint32_t few[3];
    bool *fits = arena_take(&q->temporary, (size_t)q->n_groups + 1);
    for (uint32_t g = 0; fits && g < q->n_groups; g++)
        fits[g] = true;
    for (uint32_t i = 0; fits && i < q->n; i++) {
        if (q->group[i] == NO_NODE)
            continue;
        const array like = frame_array(&q->p->frame, i);
        for (uint32_t k = node_operands(q, i, &args, few); k-- > 0;)
            if (q->group[args[k]] != q->group[i] && !operand_fits(q, &like, args[k]))
                fits[q->group[i]] = false;
    }
    return fits;
}

bool plan_sums(planner *q)
{
    plan *to = q->plan;
    const bool *fits = fitting_groups(q);
    uint32_t *count = arena_zeros(&q->temporary, ((size_t)q->n_groups + 1) * sizeof *count), n = 0;
    if (!fits || !count)
        return false;
    for (uint32_t i = 0; i < q->n; i++) {
        const block *b = block_at(q->nodes, i);
        if (!(q->passes & PASS_SUM) || !b || (q->marks[i] & MARK_DEAD) || !is_total(b))
            continue;
        const uint32_t g = q->group[b->args[0]];
        if (g == NO_NODE || !fits[g] || count[g] == PASS_SUMS)
            continue;
        q->marks[i] |= MARK_SUMMED;
        count[g]++;
        n++;
    }
    to->sums = arena_take(&q->p->memory, ((size_t)n + 1) * sizeof *to->sums);
    for (uint32_t i = 0; to->sums && i < q->n; i++)
        if (q->marks[i] & MARK_SUMMED) {
            const int64_t size = frame_array(&q->p->frame, block_at(q->nodes, i)->args[0]).size;
            to->sums[to->n_sums++] = (summed){i, q->plan->parts};
            to->parts += (size_t)((size + SUM_TILE - 1) / SUM_TILE);
        }
    return to->sums;
}

const summed *plan_sum(const plan *p, uint32_t i)
{
    const summed *s = p->sums;
    while (s->node != i)
        s++;
    return s;
}

void sum_run(frame *f, const summed *s, const double *parts)
{
    const block *b = block_at(f->nodes, s->node);
    const array x = block_arg(f, b, 0), y = block_result(f, b);
    array_put(&y, 0, total_of_tiles(b, x.size, parts + s->parts));
}
