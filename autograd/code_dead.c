/* code_dead.c - the pass that leaves out what no output and no guard depends on
 *
 * The leading inputs stay: they cost nothing, and are found by their place. */
#define AD_PLAIN
#include "code.h"
#include <string.h>

static void mark_operands(const code *k, const instr *i, uint32_t *used)
{
    const uint32_t arity = code_arity(i);
    if (code_is_dot(i)) {
        for (uint32_t j = 0; j < 2 * i->b; j++)
            used[k->factors[i->a + j]] = 1;
        if (i->c != NOTHING)
            used[i->c] = 1;
        return;
    }
    if (arity > 0)
        used[i->a] = 1;
    if (arity > 1)
        used[i->b] = 1;
    if (arity > 2)
        used[i->c] = 1;
}

uint32_t code_dead(code *k)
{
    uint32_t *number = code_take(k, k->n, sizeof *number);
    if (!number)
        return 0;
    const uint32_t before = k->n;
    memset(number, 0, before * sizeof *number);
    for (uint32_t i = 0; i < k->n_outputs; i++)
        number[k->outputs[i]] = 1;
    for (uint32_t i = before; i-- > k->n_lead;)
        if (number[i] || k->at[i].op == OP_GUARD) {
            number[i] = 1;
            mark_operands(k, &k->at[i], number);
        }
    uint32_t n = 0;
    for (; n < k->n_lead; n++)
        number[n] = n;
    for (; n < before && number[n]; n++) /* up to the first that goes everything stays as it is */
        number[n] = n;
    for (uint32_t i = n; i < before; i++) {
        if (!number[i])
            continue;
        code_replace_operands(k, &k->at[i], number);
        k->at[n] = k->at[i];
        k->origin[n] = k->origin[i];
        number[i] = n++;
    }
    if (n < before)
        code_replace_outputs(k, number);
    k->n = n;
    code_done(k);
    return before - n;
}
