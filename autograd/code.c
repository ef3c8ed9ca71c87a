/* code.c - straight-line code: its memory, and what passes share */
#define AD_PLAIN
#include "code.h"
#include "tape.h"
#include <string.h>

enum { MOST = 1 << 29 }; /* of each array: addresses of loops are 29 bits */

const uint8_t code_arities[OP_COUNT] = {
#define OP1(name, ...) [AD_OP_##name] = 1,
#define OP2(name, ...) [AD_OP_##name] = 2,
#define OP3(name, ...) [AD_OP_##name] = 3,
#include "ops.def"
    [OP_GUARD] = 2,
};

static bool grow(code *k, pages *p, size_t count, size_t size)
{
    if (pages_grow(k->context, p, count * size, (size_t)MOST * size))
        return true;
    k->status = count > MOST ? AD_TOO_LARGE : AD_NO_MEMORY;
    return false;
}

bool code_room(code *k)
{
    if (k->status)
        return false;
    bool ok = grow(k, &k->instr_pages, (size_t)k->n + 1, sizeof *k->at) &&
              grow(k, &k->origin_pages, (size_t)k->n + 1, sizeof *k->origin);
    k->at = k->instr_pages.base;
    k->origin = k->origin_pages.base;
    const size_t room = k->instr_pages.committed / sizeof *k->at,
                 origins = k->origin_pages.committed / sizeof *k->origin;
    k->room = (uint32_t)(room < origins ? room : origins);
    return ok;
}

uint32_t code_new_constant(code *k, double value)
{
    if (k->status || !grow(k, &k->constant_pages, (size_t)k->n_constants + 1, sizeof value))
        return 0;
    k->constants = k->constant_pages.base;
    k->constants[k->n_constants] = value;
    return k->n_constants++;
}

uint32_t code_constant(code *k, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t *recent = &k->recent[(bits ^ bits >> 23 ^ bits >> 52) % 64];
    if (*recent < k->n && k->at[*recent].op == OP_CONSTANT &&
        /* the same bits: -0 is another constant than 0, and a NaN is itself */
        // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison)
        !memcmp(&k->constants[k->at[*recent].a], &value, sizeof value))
        return *recent;
    return *recent = code_put(k, OP_CONSTANT, code_new_constant(k, value), 0, 0);
}

bool code_lead(code *k, uint32_t n)
{
    const uint32_t before = k->n, first = k->n_lead;
    for (uint32_t i = 0; i < n; i++)
        code_put(k, OP_CONSTANT, 0, 0, 0);
    uint32_t *to = code_replacements(k);
    if (!to)
        return false;
    for (uint32_t i = first; i < before; i++)
        to[i] = i + n;
    memmove(k->at + first + n, k->at + first, (before - first) * sizeof *k->at);
    memmove(k->origin + first + n, k->origin + first, (before - first) * sizeof *k->origin);
    for (uint32_t i = first; i < first + n; i++)
        k->at[i] = (instr){OP_CONSTANT, code_new_constant(k, 0), 0, 0};
    for (uint32_t i = first + n; i < k->n; i++)
        code_replace_operands(k, &k->at[i], to);
    code_replace_outputs(k, to);
    code_done(k);
    return !k->status;
}

uint32_t code_factors(code *k, uint32_t n)
{
    if (k->status || !grow(k, &k->factor_pages, (size_t)k->n_factors + n, sizeof *k->factors))
        return NOTHING;
    k->factors = k->factor_pages.base;
    uint32_t first = k->n_factors;
    k->n_factors += n;
    return first;
}

uint32_t code_put_dot(code *k, bool absorbing, uint32_t list, uint32_t terms, uint32_t start)
{
    const uint32_t taken = 2 * terms - (start == NOTHING);
    k->n_taken += taken;
    k->n_spared += taken - 1;
    return code_put(k, absorbing ? OP_DOTZ : OP_DOT, list, terms, start);
}

void code_free(code *k)
{
    pages_free(k->context, &k->instr_pages);
    pages_free(k->context, &k->origin_pages);
    pages_free(k->context, &k->constant_pages);
    pages_free(k->context, &k->factor_pages);
    memory_give(k->context, k->outputs, ((size_t)k->n_outputs + 1) * sizeof *k->outputs);
    arena_free(&k->scratch);
    *k = (code){.context = k->context};
}

/* ---- for passes ---- */

void *code_take(code *k, size_t count, size_t size)
{
    void *p = k->status ? NULL : arena_take(&k->scratch, (count + 1) * size);
    if (!p)
        k->status = k->status ? k->status : AD_NO_MEMORY;
    return p;
}

uint32_t *code_replacements(code *k)
{
    uint32_t *to = code_take(k, k->n, sizeof *to);
    for (uint32_t i = 0; to && i < k->n; i++)
        to[i] = i;
    return to;
}

void code_replace_factors(const code *k, instr *i, const uint32_t *to)
{
    uint32_t *factors = k->factors + i->a, n = 2 * i->b;
    for (uint32_t j = 0; j < n; j++)
        factors[j] = to[factors[j]];
    if (i->c != NOTHING)
        i->c = to[i->c];
}

void code_replace_outputs(code *k, const uint32_t *to)
{
    for (uint32_t i = 0; i < k->n_outputs; i++)
        k->outputs[i] = to[k->outputs[i]];
}
