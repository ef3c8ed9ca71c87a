/* code.h - straight-line code of scalar operations: what ad_compile works on
 *
 * Every instruction computes one number from numbers before it, so that its index is its name.
 * Compilation goes down one way: a tape is lowered to code (code_lower.c), derivatives are written
 * behind it (code_derive.c), passes make it shorter (code_*.c, one each), and it is put in order
 * and rolled into loops over memory (loops.h), which are run, or written as C. */
#ifndef CODE_H
#define CODE_H
#include "algebra.h"
#include "memory.h"

/* Operations beyond the rows of ops.def. A dot product is c + sum of a[i] b[i], where the list of
 * its factors begins at `a`: a[0], b[0], a[1], b[1] ...; in OP_DOTZ a zero among the a[i] absorbs
 * its b[i], as in mulz. */
enum { SHORTEST_DOT = 4 }; /* terms: for fewer it is not worth a loop */
enum {
    OP_INPUT = AD_OP_COUNT_, /* a: number of the input */
    OP_CONSTANT,             /* a: number of the constant */
    OP_DOT,                  /* a: where its list begins, b: terms, c: start, or NOTHING */
    OP_DOTZ,
    OP_GUARD, /* of a and b; c: comparison * 2 + outcome; computes nothing */
    OP_COUNT
};
#define NOTHING UINT32_MAX
#define DERIVED (1u << 31) /* of an origin: not the node itself, but its derivative */

typedef struct instr {
    uint32_t op, a, b, c;
} instr;

typedef struct code {
    const ad_context *context;
    pages instr_pages, origin_pages, constant_pages, factor_pages;
    instr *at;
    uint32_t *origin; /* of each instruction: the node of the tape that it comes from */
    double *constants;
    uint32_t *factors; /* of dot products */
    uint32_t n, n_constants, n_factors, n_inputs, n_outputs;
    uint32_t room;              /* instructions and origins that there is memory for */
    uint32_t n_lead;            /* inputs of the tape: the first instructions, in their order */
    uint32_t *outputs;          /* instructions */
    uint32_t from;              /* origin of what is added now */
    uint32_t recent[64];        /* constants, by their bits */
    const uint32_t *depth;      /* of each instruction, from code_schedule to loops_roll */
    uint32_t n_taken, n_spared; /* taken up into dot products; of these, those never written */
    bool dots_wanted;           /* do sums of products become dot products */
    arena scratch;              /* of a pass, and used again by the next: see code_take */
    ad_status status;           /* AD_NO_MEMORY or AD_TOO_LARGE: nothing more is added */
} code;

void code_free(code *k);
/* makes room for one more of each, out of line */
bool code_room(code *k);
uint32_t code_constant(code *k, double value);     /* an instruction */
uint32_t code_new_constant(code *k, double value); /* its number only */
/* Makes the n instructions behind the leading inputs constants; the rest moves. */
bool code_lead(code *k, uint32_t n);
/* room for `n` more factors: where they begin, or NOTHING */
uint32_t code_factors(code *k, uint32_t n);
/* a dot product of a list of its own, in place of operations that are never written */
uint32_t code_put_dot(code *k, bool absorbing, uint32_t list, uint32_t terms, uint32_t start);

static inline uint32_t code_put(code *k, uint32_t op, uint32_t a, uint32_t b, uint32_t c)
{
    if (k->n == k->room && !code_room(k))
        return 0;
    k->at[k->n] = (instr){op, a, b, c};
    k->origin[k->n] = k->from;
    return k->n++;
}

static inline bool code_is_row(const instr *i) { return i->op < AD_OP_COUNT_; }
/* how many of a, b, c are instructions; those of a dot product are its factors and c */
extern const uint8_t code_arities[OP_COUNT];
static inline uint32_t code_arity(const instr *i)
{
    const uint32_t n = code_arities[i->op];
    return n < 3 ? n : 3; /* no row has more: said here for those who only see this */
}
static inline bool op_is_dot(uint32_t op) { return op == OP_DOT || op == OP_DOTZ; }
static inline bool code_is_dot(const instr *i) { return op_is_dot(i->op); }
static inline bool code_is_constant(const code *k, uint32_t i, double *value)
{
    if (k->at[i].op != OP_CONSTANT)
        return false;
    *value = k->constants[k->at[i].a];
    return true;
}

/* ---- from a tape, and its derivatives ---- */

/* The nodes that the outputs and the tape's guards depend on. false where the tape has anything but
 * elementwise operations on scalars (then nothing is reported), or an error, which is on the tape.
 */
bool code_lower(code *k, ad_tape *t, uint32_t n_inputs, const uint32_t *inputs, uint32_t n_outputs,
                const uint32_t *outputs);

/* Writes the reverse sweep behind the code: cotangents of the inputs, into gradient[0 ..
 * n_inputs), from those of the instructions y. */
void code_reverse(code *k, uint32_t n, const uint32_t *y, const uint32_t *cotangents,
                  uint32_t n_inputs, uint32_t *gradient);
/* Writes the forward sweep: tangents of the instructions y from those of the inputs. */
void code_forward(code *k, uint32_t n_inputs, const uint32_t *directions, uint32_t n,
                  const uint32_t *y, uint32_t *tangents);

/* ---- passes: each gives how many instructions it did away with ---- */

uint32_t code_dots(code *k);
uint32_t code_dead(code *k);
/* The passes AD_PASS_FOLDING, IDENTITIES, STRENGTH and COMMON, as far as they are in `which`; adds
 * to `changed`, which is in the order of ad_pass. finite: also identities that NaN, infinities and
 * -0 disprove. */
void code_simplify(code *k, int which, bool finite, int64_t *changed);

/* ---- of single instructions, of rows, whose operands are done ---- */

bool code_fold(code *k, uint32_t i); /* into a constant */
/* the instruction that i is always the same as; i where it became a constant; or NOTHING */
uint32_t code_identity(code *k, uint32_t i, bool finite);
bool code_reduce(code *k, uint32_t i); /* to a cheaper operation */
/* Divisions by powers of two become products: `n` of those that code_divides_exactly says. */
bool code_divides_exactly(const code *k, uint32_t i, double *reciprocal);
uint32_t code_reduce_divisions(code *k, uint32_t n);

/* the instructions that code_same has been asked about, one after the other */
typedef struct seen seen;
seen *code_seen(code *k);
uint32_t code_same(code *k, seen *s, uint32_t i); /* the one that i is the same as, or i */

/* ---- what they share ---- */

/* Memory until code_done, not zeroed; NULL, with the status set, when out of memory. */
void *code_take(code *k, size_t count, size_t size);
static inline void code_done(code *k) { arena_reset(&k->scratch); }

/* what a pass replaced instructions by: to[i] is i where it was not; taken like code_take's */
uint32_t *code_replacements(code *k);
void code_replace_factors(const code *k, instr *i, const uint32_t *to);
static inline void code_replace_operands(const code *k, instr *i, const uint32_t *to)
{
    const uint32_t arity = code_arity(i);
    if (arity > 0)
        i->a = to[i->a];
    if (arity > 1)
        i->b = to[i->b];
    if (arity > 2)
        i->c = to[i->c];
    if (code_is_dot(i))
        code_replace_factors(k, i, to);
}
void code_replace_outputs(code *k, const uint32_t *to);

/* Puts instructions into the order of their depth (k->depth), and those of one depth by operation:
 * what can be done side by side stands side by side. */
void code_schedule(code *k);

#endif
