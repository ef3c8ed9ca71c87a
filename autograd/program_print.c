/* program_print.c - what a program consists of, for people and in numbers */
#define AD_PLAIN
#include "elementwise.h"
#include "routine.h"
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

/* of a node: two an element and term of a product, one an element of what is read or written */
static int64_t flops_of(const frame *f, uint32_t i)
{
    const block *b = block_at(f->nodes, i);
    if (!b)
        return node_op(&f->nodes[i]) < AD_OP_COUNT_;
    if (b->op->is_leaf || b->op->is_view)
        return 0;
    const array y = frame_array(f, i);
    int64_t most = y.size;
    for (uint32_t k = 0; k < b->n_args; k++) {
        const array a = frame_array(f, b->args[k]);
        if (k == 0 && !strcmp(b->name, "matmul"))
            return 2 * y.size * (a.rank ? a.shape[a.rank - 1] : 1);
        most = a.size > most ? a.size : most;
    }
    return strcmp(b->name, "dot") ? most : 2 * most;
}

static void count_nodes(const ad_program *p, ad_program_stats *s)
{
    const frame *f = &p->frame;
    const plan *q = p->plan;
    s->recorded = s->instructions = f->n;
    s->lines = q ? q->n_steps : f->n;
    for (uint32_t i = 0; i < f->n; i++) {
        const block *b = block_at(f->nodes, i);
        s->operations += (b && !b->op->is_leaf) || node_op(&f->nodes[i]) < AD_OP_COUNT_;
        s->flops += flops_of(f, i);
        if (b && !b->op->is_leaf && !b->op->is_view && (!q || q->place[i] == NO_PLACE))
            s->workspace_bytes += (int64_t)b->saved_bytes + (q ? 0 : (int64_t)array_bytes(&b->out));
    }
    s->workspace_bytes += q ? (int64_t)(q->pool + q->slots) : 0;
}

ad_program_stats ad_program_stats_of(const ad_program *p)
{
    ad_program_stats s = {0};
    if (!p)
        return s;
    if (p->routine) {
        s = p->routine->stats;
        s.native = p->routine->native;
    } else {
        count_nodes(p, &s);
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
    if (code_is_dot(i))
        fprintf(to, " of %u terms", i->b);
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
    return !(op_is_dot(at->op) && (j == AT_A || j == AT_B) && at->inner[j - AT_A]);
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
    print_address(to, l, at, AT_A);
    fprintf(to, " %s ", comparison_text(at->guard >> 1));
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
    if (op_is_dot(at->op)) {
        print_dot(to, l, at);
        return;
    }
    const uint32_t arity = at->op == OP_COPY ? 1 : code_arities[at->op];
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

static void print_node(FILE *to, const ad_program *p, uint32_t i)
{
    char text[SHAPE_TEXT];
    const block *b = block_at(p->frame.nodes, i);
    const array a = frame_array(&p->frame, i);
    fprintf(to, "  %8u  %s", i, op_name(&p->frame, i));
    for (uint32_t k = 0; b && k < b->n_args; k++)
        fprintf(to, "%s%u", k ? ", " : " ", b->args[k]);
    fprintf(to, "  %s%s%s\n", shape_text(text, a.rank, a.shape), *p->sites[i] ? "  " : "",
            p->sites[i]);
}

static void print_pass(FILE *to, const ad_program *p, const fused *pass)
{
    fprintf(to, "  one pass over memory, %u loops:", pass->n_ops);
    for (uint32_t k = 0; k < pass->n_in + pass->n_out; k++)
        fprintf(to, "%s%u",
                k == 0            ? " reads "
                : k == pass->n_in ? ", writes "
                                  : " ",
                pass->nodes[k]);
    for (uint32_t k = 0, n = 0; k < pass->n_ops; k++)
        if (pass->ops[k].code == FUSED_SUM)
            fprintf(to, "%s%u", n++ ? " " : ", sums for ", pass->ops[k].sum->node);
    char text[SHAPE_TEXT];
    const array y = frame_array(&p->frame, pass->like);
    fprintf(to, "  %s\n", shape_text(text, y.rank, y.shape));
}

static void print_step(FILE *to, const ad_program *p, const plan_step *step)
{
    if (step->pass)
        print_pass(to, p, step->pass);
    for (uint32_t i = step->from; !step->pass && i < step->to; i++)
        print_node(to, p, i);
}

static void print_plan(FILE *to, const ad_program *p)
{
    const plan *q = p->plan;
    const ad_program_stats s = ad_program_stats_of(p);
    fprintf(to,
            "\nafter: %u steps in a run, %u once; %u of them passes over memory; %u results "
            "straight into their states\na run does %lld flops; %lld bytes of memory\n",
            q->n_steps, q->n_once, q->n_fused, q->n_writes, (long long)s.flops,
            (long long)s.workspace_bytes);
    for (uint32_t i = 0; i < q->n_steps; i++)
        print_step(to, p, &q->steps[i]);
}

static void print_nodes(FILE *to, const ad_program *p)
{
    fprintf(to, "before: %u nodes\n", p->frame.n);
    for (uint32_t i = 0; i < p->frame.n; i++)
        print_node(to, p, i);
    if (p->plan)
        print_plan(to, p);
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
