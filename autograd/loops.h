/* loops.h - a program as loops over arrays: what straight-line code is rolled into
 *
 * x holds the inputs, m intermediate values, out the results, and then there are the constants. A
 * line is one operation on numbers in them, or a loop over the lines behind it; within loops
 * addresses move in steps. So the size of a program is that of its structure: a sum over 10^5
 * numbers is one line.
 *
 * Loops whose rounds do not need one another are single calls of a kernel (loops_kernels.h). */
#ifndef LOOPS_H
#define LOOPS_H
#include "code.h"

enum { OP_LOOP = OP_COUNT, OP_COPY, LINE_OP_COUNT, OP_SINCOS = LINE_OP_COUNT };

/* An address: three bits for the array, the rest an index. Guards have numbers in place of results.
 */
#define IN_X              0u
#define IN_M              (1u << 29)
#define IN_OUT            (2u << 29)
#define IN_CONSTANTS      (3u << 29)
#define IN_GUARDS         (4u << 29)
#define AT_INDEX(address) ((address) & ((1u << 29) - 1))
#define AT_ARRAY(address) ((address) >> 29)

enum { LOOP_DEPTH = 4 }; /* loops around a line, at most */
enum { AT_Y, AT_A, AT_B, AT_C, AT_COUNT };

/* by how much each address moves from round to round, of the innermost loop first */
typedef struct steps {
    int32_t by[LOOP_DEPTH][AT_COUNT];
} steps;

typedef struct line {
    uint32_t op;
    uint32_t n;            /* terms of a dot product; rounds of a loop */
    uint32_t body;         /* lines in a loop, those of inner loops too */
    uint32_t depth;        /* loops around it */
    uint32_t steps;        /* where its steps are, if depth > 0 */
    uint32_t at[AT_COUNT]; /* addresses of the result and its operands, in the first round */
    int32_t inner[2];      /* of a dot product: from term to term, in a and b */
    uint8_t has_c;         /* has a dot product a start */
    uint8_t apart;         /* a loop of one line, whose rounds do not need one another */
    uint8_t innermost;     /* a loop without loops in it */
    uint8_t guard;         /* of a guard: comparison * 2 + outcome */
    uint32_t stretch;      /* that begins with it, or that it is, or NOTHING */
} line;

/* how many of its addresses behind the first are read */
static inline uint32_t line_operands(const line *l)
{
    return l->op == OP_COPY ? 1 : op_is_dot(l->op) ? 2u + l->has_c : code_arities[l->op];
}

/* ---- what is done number by number (loops_stretch.c) ---- */

/* An instruction whose addresses count from anchors of its stretch. OP_SINCOS writes sin a to y and
 * cos a to c. LAST_A and LAST_B are added to the operation of a row, or to OP_SINCOS, where that
 * operand is what the instruction before has written to its y. */
enum { LAST_A = LINE_OP_COUNT + 1, LAST_B = 2 * LAST_A };
/* A product or quotient of a and b, and what is done with it and c, where nothing else reads it. */
enum { PLUS_C, C_PLUS, MINUS_C, C_MINUS, WITH_C };
enum { OP_PAIR = LAST_A + LAST_B, PAIR_LAST_A = 4 * WITH_C, PAIR_LAST_B = 2 * PAIR_LAST_A };
#define PAIR(product, with) (OP_PAIR + (product)*WITH_C + (with))
enum { PAIR_mul, PAIR_mulz, PAIR_div, PAIR_divz };
typedef struct scalar {
    uint32_t op, line;
    uint8_t in[AT_COUNT];
    int32_t at[AT_COUNT];
} scalar;

enum { ANCHORS = 64 }; /* of a stretch, at most */

typedef struct anchor {
    uint32_t array;
    int32_t by[LOOP_DEPTH]; /* how it moves in the loops around, of the innermost first */
} anchor;

typedef struct stretch {
    uint32_t n_lines, rounds; /* rounds: of the loop that it is; else 1 */
    uint32_t scalars, n, anchors, n_anchors;
} stretch;

typedef struct loops {
    arena memory;
    line *lines;
    steps *steps;
    double *constants; /* what m begins with */
    scalar *scalars;
    anchor *anchors;
    stretch *stretches;
    uint32_t n_stretches;
    uint32_t n_lines, n_loops, n_constants, n_memory, n_inputs, n_outputs, n_guards;
    uint32_t n_lasting; /* of m; what lies behind is only found by addresses that stand still */
    uint32_t *guard_origins;
    uint32_t *origins; /* of m, then of out; NULL where nobody asks: no check for finite numbers */
    uint64_t operations, flops; /* of a run */
    ad_status status;
} loops;

/* From scheduled code. with_origins: remembers where each number comes from. rolled: else every
 * line is done once. Errors: l->status. */
void loops_roll(loops *l, code *k, bool with_origins, bool rolled);
void loops_slots(loops *l, arena *scratch); /* the last steps of that */
void loops_stretch(loops *l, arena *scratch);
void loops_free(loops *l);

typedef struct loops_run {
    const loops *l;
    double *base[4];       /* x, m, out, constants */
    uint32_t failed_guard; /* after AD_RETAPE: its number, the comparison (see OP_GUARD) */
    uint32_t guard;
    double compared[2];
} loops_run;

/* AD_OK, or AD_RETAPE */
ad_status loops_go(loops_run *run);

#endif
