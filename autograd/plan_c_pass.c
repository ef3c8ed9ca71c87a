/* plan_c_pass.c - passes over memory as C: elementwise operations in one loop
 *
 * Each value of a pass is a variable of the innermost loop; what is read is read when it is first
 * needed, and what is kept is written at the end, so that a state may be read and written in one
 * pass. Sums are taken tile by tile, as the interpreter takes them. */
#define AD_PLAIN
#include "algebra.h"
#include "block_sum.h"
#include "elementwise.h"
#include "plan_c.h"
#include <stdlib.h>
#include <string.h>

typedef struct body {
    c_writer *w;
    const fused *pass;
    ad_dtype dtype;
    c_nest nest;
    int *variable, next; /* of each lane: u0, u1 ...; -1: not read yet */
    uint32_t tiles;      /* sums so far */
} body;

static bool is_float(const body *b) { return b->dtype == AD_F32; }

static uint32_t n_nodes(const fused *pass) { return pass->n_in + pass->n_out; }

/* ---- arguments: the objects and numbers that the lanes name ---- */

static bool is_constant_node(const c_writer *w, uint32_t i)
{
    return c_is_scalar(w, i) ? node_op(&w->p->frame.nodes[i]) == CODE_CONSTANT
                             : w->objects[w->base[i]].letter == 'c';
}

/* Do two lanes have one memory? A result may lie where an operand is read for the last time. */
static bool same_memory(const c_writer *w, uint32_t i, uint32_t j)
{
    if (c_is_scalar(w, i) || c_is_scalar(w, j))
        return i == j;
    i = w->base[i];
    j = w->base[j];
    return i == j || (w->objects[i].letter == 'b' && w->objects[j].letter == 'b' &&
                      w->place[i] == w->place[j]);
}

static bool is_result(const fused *pass, uint32_t k) { return k >= pass->n_in; }

/* The first lane that has the memory of lane k: the function knows it by that one's name. */
static uint32_t first_of(const c_writer *w, const fused *pass, uint32_t k)
{
    uint32_t j = 0;
    while (!same_memory(w, pass->nodes[j], pass->nodes[k]))
        j++;
    return j;
}

static bool is_first(const c_writer *w, const fused *pass, uint32_t k)
{
    return first_of(w, pass, k) == k;
}

static bool is_written(const c_writer *w, const fused *pass, uint32_t k)
{
    for (uint32_t j = pass->n_in; j < n_nodes(pass); j++)
        if (same_memory(w, pass->nodes[j], pass->nodes[k]))
            return true;
    return false;
}

/* Lane k, by that name. */
static c_lane lane_of(const c_writer *w, const fused *pass, uint32_t k)
{
    c_lane l = c_lane_of(w, pass->nodes[k]);
    const uint32_t first = first_of(w, pass, k);
    if (w->base[pass->nodes[first]] != w->base[pass->nodes[k]])
        l.node = pass->nodes[first];
    return l;
}

static void put_parameter(c_writer *w, const fused *pass, uint32_t k)
{
    const uint32_t i = pass->nodes[k];
    const c_lane l = c_lane_of(w, i);
    if (c_is_scalar(w, i)) {
        c_put(w, is_result(pass, k) ? "double *restrict s%u" : "double s%u", i);
        return;
    }
    c_put(w, "%s%s *restrict ", is_written(w, pass, k) ? "" : "const ", c_type(l.a.dtype));
    c_name(w, &l);
}

static void put_argument(c_writer *w, const fused *pass, uint32_t k)
{
    const c_lane l = c_lane_of(w, pass->nodes[k]);
    if (c_is_scalar(w, pass->nodes[k]) && is_result(pass, k))
        c_put(w, "&");
    c_name(w, &l);
}

static void put_list(c_writer *w, const fused *pass, bool parameters)
{
    const char *comma = "";
    for (uint32_t k = 0; k < n_nodes(pass); k++) {
        if (is_constant_node(w, pass->nodes[k]) || !is_first(w, pass, k))
            continue;
        c_put(w, "%s", comma);
        (parameters ? put_parameter : put_argument)(w, pass, k);
        comma = ", ";
    }
    for (uint32_t k = 0; k < pass->n_ops; k++)
        if (pass->ops[k].code == FUSED_SUM) {
            c_put(w, "%s%st%u", comma, parameters ? "double *restrict " : "&",
                  pass->ops[k].sum->node);
            comma = ", ";
        }
}

void c_pass_call(c_writer *w, const fused *pass, uint32_t number)
{
    if (!frame_array(&w->p->frame, pass->like).size)
        return;
    c_begin_line(w);
    c_put(w, "pass_%u(", number);
    put_list(w, pass, false);
    c_put(w, ");\n");
}

/* ---- the loop's body ---- */

static uint32_t lane_node(const body *b, uint16_t x)
{
    return x < n_nodes(b->pass) ? b->pass->nodes[x] : NO_NODE;
}

/* A variable that holds an operand; numbers of double need none. */
static void read_lane(body *b, uint16_t x)
{
    c_writer *w = b->w;
    const uint32_t i = lane_node(b, x);
    if (b->variable[x] >= 0 || (c_is_scalar(w, i) && !is_float(b)))
        return;
    b->variable[x] = b->next++;
    c_begin_line(w);
    c_put(w, "const %s u%d = ", c_type(b->dtype), b->variable[x]);
    if (c_is_scalar(w, i) && is_constant_node(w, i))
        c_number(w, w->p->frame.nodes[i].u.value, b->dtype);
    else if (c_is_scalar(w, i))
        c_put(w, "(float)s%u", i);
    else {
        const c_lane l = lane_of(w, b->pass, x);
        c_put(w, l.a.dtype == b->dtype ? "" : is_float(b) ? "(float)" : "(double)");
        c_element(w, &l, &b->nest, x);
    }
    c_put(w, ";\n");
}

static void put_lane(const body *b, uint16_t x)
{
    c_writer *w = b->w;
    const uint32_t i = lane_node(b, x);
    if (b->variable[x] >= 0)
        c_put(w, "u%d", b->variable[x]);
    else if (is_constant_node(w, i))
        c_number(w, w->p->frame.nodes[i].u.value, AD_F64);
    else
        c_put(w, "s%u", i);
}

static void put_row(const body *b, int op)
{
    c_rows_need(&b->w->rows, b->dtype, op);
    c_put(b->w, "%s_%s(", is_float(b) ? "opf" : "op", elementwise_ops[op].info.name);
}

static void begin_variable(body *b)
{
    c_begin_line(b->w);
    c_put(b->w, "const %s u%d = ", c_type(b->dtype), b->next);
}

static void write_row(body *b, const fused_op *op)
{
    static const struct {
        int op;
        const char *sign;
    } infix[] = {{AD_OP_add, " + "}, {AD_OP_sub, " - "}, {AD_OP_mul, " * "}, {AD_OP_div, " / "}};
    const char *sign = NULL;
    for (size_t k = 0; k < sizeof infix / sizeof *infix; k++)
        sign = infix[k].op == op->code ? infix[k].sign : sign;
    begin_variable(b);
    if (!sign)
        put_row(b, op->code);
    for (int k = 0; k < op->n_vectors; k++) {
        c_put(b->w, "%s", k == 0 ? "" : sign ? sign : ", ");
        put_lane(b, op->x[k]);
    }
    c_put(b->w, sign ? ";\n" : ");\n");
    b->variable[op->y[0]] = b->next++;
}

static const struct {
    int n;
    const char *text[COMPOUND_RESULTS];
} compounds[COMPOUNDS] = {
#define COMPOUND1(name, V, S, text0)               {1, {#text0}},
#define COMPOUND2(name, V, S, text0, text1)        {2, {#text0, #text1}},
#define COMPOUND3(name, V, S, text0, text1, text2) {3, {#text0, #text1, #text2}},
#include "compounds.def"
};

static int row_named(const char *name, size_t length)
{
    int op = 0;
    while (strlen(elementwise_ops[op].info.name) != length ||
           strncmp(elementwise_ops[op].info.name, name, length) != 0)
        op++;
    return op;
}

/* op(name, a, b) becomes a call; v0, s0 and y0 are operands and results. */
static void put_expression(const body *b, const fused_op *op, const char *text)
{
    while (*text) {
        if (!strncmp(text, "op(", 3)) {
            const size_t length = strcspn(text + 3, ",");
            put_row(b, row_named(text + 3, length));
            text += 3 + length + strspn(text + 3 + length, ", ");
        } else if (strchr("vsy", *text)) {
            const int k = text[1] - '0';
            put_lane(b, *text == 'v'   ? op->x[k]
                        : *text == 's' ? op->x[op->n_vectors + k]
                                       : op->y[k]);
            text += 2;
        } else {
            c_put(b->w, "%c", *text++);
        }
    }
}

static void write_compound(body *b, const fused_op *op)
{
    for (int k = 0; k < compounds[op->code - AD_OP_COUNT_].n; k++) {
        begin_variable(b);
        put_expression(b, op, compounds[op->code - AD_OP_COUNT_].text[k]);
        c_put(b->w, ";\n");
        b->variable[op->y[k]] = b->next++;
    }
}

static void write_operation(body *b, const fused_op *op)
{
    for (int k = 0; k < op->n_vectors + op->n_scalars; k++)
        read_lane(b, op->x[k]);
    if (op->code == FUSED_SUM) {
        c_begin_line(b->w);
        c_put(b->w, "tile%u[i1] = u%d;\n", b->tiles++, b->variable[op->x[0]]);
    } else if (op->code >= AD_OP_COUNT_) {
        write_compound(b, op);
    } else {
        write_row(b, op);
    }
}

static void write_body(body *b)
{
    const fused *pass = b->pass;
    c_writer *w = b->w;
    for (uint32_t k = 0; k < pass->n_ops; k++)
        write_operation(b, &pass->ops[k]);
    for (uint32_t k = pass->n_in; k < n_nodes(pass); k++) {
        uint16_t from = (uint16_t)k;
        for (uint32_t j = 0; j < pass->n_stores; j++)
            from = pass->stores[j].to == k ? pass->stores[j].from : from;
        const c_lane to = lane_of(w, pass, k);
        c_begin_line(w);
        if (c_is_scalar(w, pass->nodes[k]))
            c_put(w, "*s%u", pass->nodes[k]);
        else
            c_element(w, &to, &b->nest, (int)k);
        c_put(w, " = u%d;\n", b->variable[from]);
    }
}

/* ---- its loops ---- */

static void write_loops(body *b)
{
    c_writer *w = b->w;
    const int rank = b->nest.rank;
    c_open(w, &b->nest, 0, rank - 1);
    c_begin_line(w);
    if (rank)
        c_put(w, "for (long i%d = 0; i%d < %lld; i%d++) ", rank - 1, rank - 1,
              (long long)b->nest.shape[rank - 1], rank - 1);
    c_put(w, "{\n");
    w->depth++;
    write_body(b);
    w->depth--;
    c_begin_line(w);
    c_put(w, "}\n");
    c_close(w, rank ? rank - 1 : 0);
}

static void write_totals(body *b, bool begin)
{
    c_writer *w = b->w;
    const int64_t all = b->nest.rank ? b->nest.shape[0] : 1, n = all < SUM_TILE ? all : SUM_TILE;
    uint32_t tile = 0;
    for (uint32_t k = 0; k < b->pass->n_ops; k++) {
        if (b->pass->ops[k].code != FUSED_SUM)
            continue;
        c_begin_line(w);
        if (begin) {
            c_put(w, "%s tile%u[%lld];\n", c_type(b->dtype), tile++, (long long)n);
            c_begin_line(w);
            c_put(w, "*t%u = 0;\n", b->pass->ops[k].sum->node);
        } else {
            c_put(w, "*t%u += ", b->pass->ops[k].sum->node);
            c_helper(w, HELPER_sum, b->dtype);
            c_put(w, "(n, tile%u, 1);\n", tile++);
        }
    }
}

/* A pass that takes sums has arrays without gaps only: i0 counts elements, i1 those of a tile. */
static void write_tiles(body *b)
{
    c_writer *w = b->w;
    const int64_t n = b->nest.rank ? b->nest.shape[0] : 1;
    write_totals(b, true);
    c_put(w, "    for (long first = 0; first < %lld; first += %d) {\n", (long long)n, SUM_TILE);
    c_put(w, "        const long n = %lld - first < %d ? %lld - first : %d;\n", (long long)n,
          SUM_TILE, (long long)n, SUM_TILE);
    c_put(w,
          "        for (long i1 = 0; i1 < n; i1++) {\n            const long i0 = first + i1;\n");
    c_put(w, "            (void)i0;\n");
    w->depth = 3;
    write_body(b);
    c_put(w, "        }\n");
    w->depth = 2;
    write_totals(b, false);
    w->depth = 1;
    c_put(w, "    }\n");
}

static bool takes_sums(const fused *pass)
{
    bool any = false;
    for (uint32_t k = 0; k < pass->n_ops; k++)
        any |= pass->ops[k].code == FUSED_SUM;
    return any;
}

static bool bind(body *b)
{
    c_writer *w = b->w;
    const fused *pass = b->pass;
    const array like = frame_array(&w->p->frame, pass->like);
    const uint32_t lanes = n_nodes(pass) + pass->n_slots;
    array *all = arena_take(&w->layout->memory, ((size_t)n_nodes(pass) + 1) * sizeof *all);
    b->variable = arena_take(&w->layout->memory, ((size_t)lanes + 1) * sizeof *b->variable);
    if (!all || !b->variable) {
        w->status = AD_NO_MEMORY;
        return false;
    }
    for (uint32_t k = 0; k < n_nodes(pass); k++) {
        const array a = frame_array(&w->layout->frame, pass->nodes[k]);
        all[k] = array_expanded(&a, like.rank, like.shape);
    }
    for (uint32_t k = 0; k < lanes; k++)
        b->variable[k] = -1;
    if (!n_nodes(pass))
        all[0] = like;
    b->dtype = like.dtype;
    b->nest = c_nest_of(w, (int)n_nodes(pass), all, true);
    return !w->status;
}

void c_pass_function(c_writer *w, const fused *pass, uint32_t number)
{
    char text[SHAPE_TEXT];
    body b = {.w = w, .pass = pass};
    const array like = frame_array(&w->p->frame, pass->like);
    if (!like.size || w->status || !bind(&b))
        return;
    c_put(w, "/* %s", shape_text(text, like.rank, like.shape));
    c_put(w, " */\nstatic void pass_%u(", number);
    put_list(w, pass, true);
    c_put(w, ")\n{\n");
    w->depth = 1;
    (takes_sums(pass) ? write_tiles : write_loops)(&b);
    w->depth = 0;
    c_put(w, "}\n\n");
}
