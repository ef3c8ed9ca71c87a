/* loops_c.c - see loops_c.h
 *
 * A loop stays a loop, so that the text is as long as the program's structure. The rows of ops.def
 * that it needs become functions (c_rows.h). */
#define AD_PLAIN
#include "loops_c.h"
#include "c_rows.h"
#include "elementwise.h"
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    const loops *l;
    FILE *to;
    c_rows rows;
    bool dots;
    bool locals; /* no memory: all that would be there are variables */
} writer;

/* ---- functions ---- */

static bool find_needed(writer *w, const char **lacking)
{
    for (uint32_t i = 0; i < w->l->n_lines; i++) {
        const uint32_t op = w->l->lines[i].op;
        if (op < AD_OP_COUNT_)
            c_rows_need(&w->rows, AD_F64, (int)op);
        w->dots |= op == OP_DOT || op == OP_DOTZ;
    }
    *lacking = c_rows_lacking(&w->rows);
    return !*lacking;
}

/* the same sums as kernel_dot's */
static const char dot_text[] =
    "static double op_dot_(int zero, long n, double c, const double *a, long sa, const double *b, "
    "long "
    "sb)\n"
    "{\n"
    "    double s[8] = {0};\n"
    "    long i = 0, j;\n"
    "    if (sa == 1 && sb == 1 && !zero)\n"
    "        for (; i + 8 <= n; i += 8)\n"
    "            for (j = 0; j < 8; j++)\n"
    "                s[j] += a[i + j] * b[i + j];\n"
    "    for (; i + 8 <= n; i += 8)\n"
    "        for (j = 0; j < 8; j++)\n"
    "            s[j] += zero && a[(i + j) * sa] == 0 ? 0 : a[(i + j) * sa] * b[(i + j) * sb];\n"
    "    for (j = 0; i < n; i++, j++)\n"
    "        s[j] += zero && a[i * sa] == 0 ? 0 : a[i * sa] * b[i * sb];\n"
    "    return c + (((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));\n"
    "}\n\n";

/* ---- addresses ---- */

static int32_t step_of(const writer *w, const line *at, uint32_t level, int j)
{
    return w->l->steps[at->steps].by[level][j];
}

static bool stands_still(const writer *w, const line *at, int j)
{
    for (uint32_t level = 0; level < at->depth; level++)
        if (step_of(w, at, level, j))
            return false;
    return true;
}

static void write_number(FILE *to, double x)
{
    if (isnan(x))
        fputs("NAN", to);
    else if (isinf(x))
        fputs(x < 0 ? "-INFINITY" : "INFINITY", to);
    else
        fprintf(to, signbit(x) ? "(%a)" : "%a", x);
}

/* 64*i0 - i1 + 5, i0 the outermost loop */
static void write_index(const writer *w, const line *at, int j)
{
    for (uint32_t level = at->depth; level-- > 0;) {
        const int32_t by = step_of(w, at, level, j);
        if (by == 1)
            fprintf(w->to, "i%u + ", at->depth - 1 - level);
        else if (by)
            fprintf(w->to, "%ld*i%u + ", (long)by, at->depth - 1 - level);
    }
    fprintf(w->to, "%u", AT_INDEX(at->at[j]));
}

static void write_operand(const writer *w, const line *at, int j)
{
    static const char *const arrays[] = {"x", "m", "out", "c"};
    if (AT_ARRAY(at->at[j]) == AT_ARRAY(IN_M) &&
        (w->locals || AT_INDEX(at->at[j]) >= w->l->n_lasting)) {
        fprintf(w->to, "%sm%u", w->locals && j == AT_Y ? "const double " : "", AT_INDEX(at->at[j]));
        return;
    }
    if (AT_ARRAY(at->at[j]) == AT_ARRAY(IN_CONSTANTS) && stands_still(w, at, j)) {
        write_number(w->to, w->l->constants[AT_INDEX(at->at[j])]);
        return;
    }
    fprintf(w->to, "%s[", arrays[AT_ARRAY(at->at[j])]);
    write_index(w, at, j);
    fputc(']', w->to);
}

/* ---- lines ---- */

static void indent(const writer *w, uint32_t depth)
{
    fprintf(w->to, "%*s", 4 + 4 * (int)depth, "");
}

static void write_guard(const writer *w, const line *at)
{
    fputs(at->guard & 1 ? "if (!(" : "if (", w->to);
    write_operand(w, at, AT_A);
    fprintf(w->to, " %s ", comparison_text(at->guard >> 1));
    write_operand(w, at, AT_B);
    fputs(at->guard & 1 ? ")) return (int)(1 + " : ") return (int)(1 + ", w->to);
    write_index(w, at, AT_Y);
    fputs(");\n", w->to);
}

static void write_dot(const writer *w, const line *at)
{
    write_operand(w, at, AT_Y);
    fprintf(w->to, " = op_dot_(%d, %u, ", at->op == OP_DOTZ, at->n);
    if (at->has_c)
        write_operand(w, at, AT_C);
    else
        fputc('0', w->to);
    for (int j = AT_A; j <= AT_B; j++) {
        static const char *const arrays[] = {"x", "m", "out", "c"};
        fprintf(w->to, ", %s + ", arrays[AT_ARRAY(at->at[j])]);
        write_index(w, at, j);
        fprintf(w->to, ", %d", at->inner[j - AT_A]);
    }
    fputs(");\n", w->to);
}

static void write_row(const writer *w, const line *at)
{
    const char *const sign = at->op == AD_OP_add   ? " + "
                             : at->op == AD_OP_sub ? " - "
                             : at->op == AD_OP_mul ? " * "
                             : at->op == AD_OP_div ? " / "
                                                   : NULL;
    const uint32_t arity = at->op == OP_COPY ? 1 : code_arities[at->op];
    write_operand(w, at, AT_Y);
    fputs(" = ", w->to);
    if (!sign && at->op != OP_COPY)
        fprintf(w->to, "op_%s(", elementwise_ops[at->op].info.name);
    for (uint32_t j = 0; j < arity; j++) {
        fputs(j == 0 ? "" : sign ? sign : ", ", w->to);
        write_operand(w, at, AT_A + (int)j);
    }
    fputs(sign || at->op == OP_COPY ? ";\n" : ");\n", w->to);
}

static void write_loop_head(const writer *w, uint32_t depth, uint32_t n)
{
    indent(w, depth);
    fprintf(w->to, "for (long i%u = 0; i%u < %u; i%u++)", depth, depth, n, depth);
}

/* Dot products side by side whose matrix lies along them: term by term, for all of them at once. */
static bool goes_by_terms(const writer *w, const line *at)
{
    const int32_t y = step_of(w, at, 0, AT_Y), a = step_of(w, at, 0, AT_A),
                  b = step_of(w, at, 0, AT_B);
    const bool along_b = a == 0 && (b == 1 || b == -1), along_a = b == 0 && (a == 1 || a == -1);
    return op_is_dot(at->op) && (y == 1 || y == -1) &&
           ((along_b && at->inner[1] != 1) || (along_a && at->inner[0] != 1 && at->op == OP_DOT));
}

static void write_by_terms(const writer *w, const line *loop)
{
    const line *at = loop + 1;
    const uint32_t depth = loop->depth;
    const bool vector_a = step_of(w, at, 0, AT_A) == 0;
    static const char *const arrays[] = {"x", "m", "out", "c"};
    write_loop_head(w, depth, loop->n);
    fputs("\n    ", w->to);
    indent(w, depth);
    write_operand(w, at, AT_Y);
    fputs(" = ", w->to);
    if (at->has_c)
        write_operand(w, at, AT_C);
    else
        fputc('0', w->to);
    fputs(";\n", w->to);
    indent(w, depth);
    fprintf(w->to, "for (long t = 0; t < %u; t++) {\n    ", at->n);
    indent(w, depth);
    const int v = vector_a ? AT_A : AT_B, m = vector_a ? AT_B : AT_A;
    fprintf(w->to, "const double f = %s[", arrays[AT_ARRAY(at->at[v])]);
    write_index(w, at, v);
    fprintf(w->to, " + %d*t];\n", at->inner[v - AT_A]);
    if (at->op == OP_DOTZ) {
        indent(w, depth + 1);
        fputs("if (f == 0) continue;\n", w->to);
    }
    fputs("    ", w->to);
    write_loop_head(w, depth, loop->n);
    fputs("\n", w->to);
    indent(w, depth + 2);
    write_operand(w, at, AT_Y);
    fprintf(w->to, " += f * %s[", arrays[AT_ARRAY(at->at[m])]);
    write_index(w, at, m);
    fprintf(w->to, " + %d*t];\n", at->inner[m - AT_A]);
    indent(w, depth);
    fputs("}\n", w->to);
}

static void write_lines(const writer *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        const line *at = &w->l->lines[i];
        if (at->op == OP_LOOP) {
            if (at->apart && goes_by_terms(w, at + 1)) {
                write_by_terms(w, at);
            } else { /* as deep as LOOP_DEPTH, at most */
                write_loop_head(w, at->depth, at->n);
                fputs(" {\n", w->to);
                write_lines(w, i + 1, at->body);
                indent(w, at->depth);
                fputs("}\n", w->to);
            }
            i += at->body;
            continue;
        }
        indent(w, at->depth);
        if (at->op == OP_GUARD)
            write_guard(w, at);
        else if (op_is_dot(at->op))
            write_dot(w, at);
        else
            write_row(w, at);
    }
}

/* those that addresses move over */
static void write_constants(const writer *w)
{
    const loops *l = w->l;
    bool moving = false;
    for (uint32_t i = 0; i < l->n_lines; i++)
        for (int j = AT_A; j < AT_COUNT && l->lines[i].op != OP_LOOP; j++)
            moving |= AT_ARRAY(l->lines[i].at[j]) == AT_ARRAY(IN_CONSTANTS) &&
                      (op_is_dot(l->lines[i].op) || !stands_still(w, &l->lines[i], j));
    if (!moving)
        return;
    fprintf(w->to, "static const double c[%u] = {", l->n_constants);
    for (uint32_t i = 0; i < l->n_constants; i++) {
        fputs(i % 6 == 0 ? "\n    " : " ", w->to);
        write_number(w->to, l->constants[i]);
        fputc(',', w->to);
    }
    fputs("\n};\n\n", w->to);
}

ad_status loops_write_c(const loops *l, const char *name, FILE *to, const char **lacking)
{
    writer w = {.l = l, .to = to};
    if (!find_needed(&w, lacking))
        return AD_NOT_RECORDED;
    w.locals = l->n_loops == 0 && !w.dots && !l->origins; /* nobody looks for them by address */
    const uint32_t n_memory = w.locals ? 0 : l->n_lasting;
    fprintf(
        to,
        "/* %s: %u inputs x, %u results out, %u numbers of memory m; no two of them overlap.\n"
        " * Gives 0, or 1 + the number of a recorded comparison that comes out differently. */\n"
        "#include <math.h>\n\n",
        name, l->n_inputs, l->n_outputs, n_memory);
    fprintf(to, "enum { %s_inputs = %u, %s_outputs = %u, %s_memory = %u };\n\n", name, l->n_inputs,
            name, l->n_outputs, name, n_memory);
    c_rows_write(&w.rows, to);
    if (w.dots)
        fputs(dot_text, to);
    write_constants(&w);
    fprintf(to,
            "int %s(const double *restrict x, double *restrict m, double *restrict out)\n{\n"
            "    (void)x, (void)m, (void)out;\n",
            name);
    for (uint32_t i = l->n_lasting; i < l->n_memory && !w.locals; i++)
        fprintf(to, "    double m%u;\n", i);
    write_lines(&w, 0, l->n_lines);
    fputs("    return 0;\n}\n", to);
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
