/* program_print.c - what a program consists of, for people and in numbers */
#define AD_PLAIN
#include "elementwise.h"
#include "routine.h"
#include <stdlib.h>

/* ---- numbers ---- */

ad_program_stats ad_program_stats_of(const ad_program *p)
{
    ad_program_stats s = {0};
    if (!p)
        return s;
    if (p->routine) {
        s = p->routine->stats;
        s.native = p->routine->native;
    } else {
        s.recorded = s.instructions = s.lines = s.operations = p->frame.n;
        for (uint32_t i = 0; i < p->frame.n; i++) {
            const block *b = block_at(p->frame.nodes, i);
            if (b && !b->op->is_leaf && !b->op->is_view)
                s.workspace_bytes += (int64_t)array_bytes(&b->out) + (int64_t)b->saved_bytes;
        }
    }
    s.bytes = ad_program_bytes(p);
    return s;
}

/* ---- straight-line code ---- */

static const char *code_name(uint32_t op)
{
    return op < AD_OP_COUNT_   ? elementwise_ops[op].info.name
           : op == OP_DOT      ? "dot"
           : op == OP_DOTZ     ? "dotz"
           : op == OP_GUARD    ? "guard"
           : op == OP_CONSTANT ? "constant"
           : op == OP_COPY     ? "copy"
                               : "input";
}

static void print_instr(FILE *to, uint32_t number, const instr *i)
{
    fprintf(to, "  %8u  %s", number, code_name(i->op));
    const uint32_t arity = code_arity(i), operand[3] = {i->a, i->b, i->c};
    if (i->op == OP_INPUT)
        fprintf(to, " x[%u]", i->a);
    for (uint32_t j = 0; j < arity; j++)
        fprintf(to, "%s%u", j ? ", " : " ", operand[j]);
    fputc('\n', to);
}

static void print_before(FILE *to, const listing *l)
{
    for (uint32_t i = 0; i < l->n_first; i++)
        print_instr(to, i, &l->first[i]);
    if (l->last_from > l->n_first)
        fprintf(to, "       ...  %u more\n", l->last_from - l->n_first);
    for (uint32_t i = 0; i < l->n_last; i++)
        print_instr(to, l->last_from + i, &l->last[i]);
}

/* ---- loops ---- */

enum { SHOWN = 100 }; /* lines of either end of a long program */

static const char letters[] = "ijkl";

static bool stands_still(const loops *l, const line *at, int j)
{
    for (uint32_t level = 0; level < at->depth; level++)
        if (l->steps[at->steps].by[level][j])
            return false;
    return !((at->op == OP_DOT || at->op == OP_DOTZ) && (j == AT_A || j == AT_B) &&
             at->inner[j - AT_A]);
}

/* m[5 + i + 64*j]; loops are named from the outermost in */
static void print_address(FILE *to, const loops *l, const line *at, int j)
{
    static const char *const arrays[] = {"x", "m", "out", "c", "guard"};
    if (AT_ARRAY(at->at[j]) == AT_ARRAY(IN_CONSTANTS) && stands_still(l, at, j)) {
        fprintf(to, "%.17g", l->constants[AT_INDEX(at->at[j])]);
        return;
    }
    fprintf(to, "%s[%u", arrays[AT_ARRAY(at->at[j])], AT_INDEX(at->at[j]));
    for (uint32_t level = at->depth; level-- > 0;) {
        const int32_t by = l->steps[at->steps].by[level][j];
        const char letter = letters[at->depth - 1 - level];
        if (by == 1 || by == -1)
            fprintf(to, " %c %c", by < 0 ? '-' : '+', letter);
        else if (by)
            fprintf(to, " %c %ld*%c", by < 0 ? '-' : '+', labs((long)by), letter);
    }
    fputc(']', to);
}

static void print_dot(FILE *to, const loops *l, const line *at)
{
    fprintf(to, "sum of %u: ", at->n);
    print_address(to, l, at, AT_A);
    fprintf(to, " by %d %s ", at->inner[0], at->op == OP_DOTZ ? "*z" : "*");
    print_address(to, l, at, AT_B);
    fprintf(to, " by %d", at->inner[1]);
    if (at->has_c) {
        fputs(" from ", to);
        print_address(to, l, at, AT_C);
    }
}

static void print_guard(FILE *to, const loops *l, const line *at)
{
    static const char *const texts[] = {"<", "<=", ">", ">=", "==", "!="};
    print_address(to, l, at, AT_A);
    fprintf(to, " %s ", texts[at->guard >> 1]);
    print_address(to, l, at, AT_B);
    fprintf(to, " is %s", at->guard & 1 ? "true" : "false");
}

static void print_operation(FILE *to, const loops *l, const line *at)
{
    if (at->op == OP_GUARD) {
        print_guard(to, l, at);
        return;
    }
    print_address(to, l, at, AT_Y);
    fputs(" = ", to);
    if (at->op == OP_DOT || at->op == OP_DOTZ) {
        print_dot(to, l, at);
        return;
    }
    const uint32_t arity = at->op == OP_COPY ? 1 : code_arity(&(instr){.op = at->op});
    fprintf(to, "%s(", code_name(at->op));
    for (uint32_t j = 0; j < arity; j++) {
        fputs(j ? ", " : "", to);
        print_address(to, l, at, AT_A + (int)j);
    }
    fputc(')', to);
}

static void print_loops(FILE *to, const loops *l)
{
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const line *at = &l->lines[i];
        if (i == SHOWN && l->n_lines > 2 * SHOWN) {
            fprintf(to, "  ...  %u more lines\n", l->n_lines - 2 * SHOWN);
            i = l->n_lines - SHOWN - 1;
            continue;
        }
        fprintf(to, "  %*s", 2 * (int)at->depth, "");
        if (at->op == OP_LOOP)
            fprintf(to, "for %c < %u:", letters[at->depth], at->n);
        else
            print_operation(to, l, at);
        fputc('\n', to);
    }
}

/* ---- all of it ---- */

static void print_passes(FILE *to, const ad_program_stats *s)
{
    static const struct {
        const char *name, *did;
    } passes[AD_PASS_COUNT_] = {
        {"dot products", "taken up into them"},
        {"dead code", "taken out"},
        {"constant folding", "computed"},
        {"identities", "replaced by an operand"},
        {"strength reduction", "made cheaper"},
        {"common subexpressions", "replaced by an equal one"},
        {"loops", "made"},
    };
    fputc('\n', to);
    for (int i = 0; i < AD_PASS_COUNT_; i++)
        fprintf(to, "  %-24s %10lld  %s\n", passes[i].name, (long long)s->changed[i],
                passes[i].did);
}

static void print_routine(FILE *to, const routine *r)
{
    const ad_program_stats *s = &r->stats;
    fprintf(to, "before: %lld instructions, of %lld recorded\n", (long long)s->instructions,
            (long long)s->recorded);
    print_before(to, &r->before);
    print_passes(to, s);
    fprintf(to,
            "\nafter: %lld lines; a run does %lld operations, %lld flops; %lld bytes of memory%s\n",
            (long long)s->lines, (long long)s->operations, (long long)s->flops,
            (long long)s->workspace_bytes, r->native ? "; runs as machine code" : "");
    print_loops(to, &r->loops);
}

static void print_nodes(FILE *to, const ad_program *p)
{
    char text[SHAPE_TEXT];
    fprintf(to, "%u nodes\n", p->frame.n);
    for (uint32_t i = 0; i < p->frame.n; i++) {
        const block *b = block_at(p->frame.nodes, i);
        const array a = frame_array(&p->frame, i);
        fprintf(to, "  %8u  %s", i, op_name(&p->frame, i));
        for (uint32_t k = 0; b && k < b->n_args; k++)
            fprintf(to, "%s%u", k ? ", " : " ", b->args[k]);
        fprintf(to, "  %s%s%s\n", shape_text(text, a.rank, a.shape), *p->sites[i] ? "  " : "",
                p->sites[i]);
    }
}

ad_status ad_program_print(const ad_program *p, FILE *to)
{
    if (!p || !to)
        return AD_NULL;
    if (p->routine)
        print_routine(to, p->routine);
    else
        print_nodes(to, p);
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
