/* plan_c_blocks.c - structured operations as C: a row of the table below for each
 *
 * What moves elements becomes loops; what reduces rows or multiplies matrices calls a helper
 * (c_helpers.def) for each row or matrix. Views are not here: they are where others look. */
#define AD_PLAIN
#include "block_chain.h"
#include "block_index.h"
#include "block_lines.h"
#include "block_matmul.h"
#include "block_move.h"
#include "block_reduce.h"
#include "block_view.h"
#include "block_windows.h"
#include "plan_c.h"
#include <string.h>

static c_lane argument(const c_writer *w, const block *b, int k)
{
    return c_lane_of(w, b->args[k]);
}

static c_lane result(const c_writer *w, const block *b) { return c_lane_of(w, b->node); }

/* another array in the same object */
static c_lane part_of(const c_lane *l, array a) { return (c_lane){l->node, a}; }

/* ---- copies ---- */

/* what stands around a value of one dtype where another is wanted */
static const char *begin_conversion(c_writer *w, ad_dtype to, ad_dtype from)
{
    if (to == AD_F32 && from == AD_F64)
        c_put(w, "(float)");
    if (to != AD_I32 || from == AD_I32)
        return "";
    c_helper(w, HELPER_to_int, AD_F64);
    c_put(w, "(");
    return ")";
}

void c_copy(c_writer *w, const c_lane *to, const c_lane *from, const char *assigns)
{
    const array both[2] = {to->a, from->a};
    const c_nest n = c_nest_of(w, 2, both, true);
    if (!to->a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_element(w, to, &n, 0);
    c_put(w, " %s ", assigns);
    const char *const end = begin_conversion(w, to->a.dtype, from->a.dtype);
    c_element(w, from, &n, 1);
    c_put(w, "%s;\n", end);
    c_close(w, n.rank);
}

static void fill(c_writer *w, const c_lane *to, double value)
{
    const c_nest n = c_nest_of(w, 1, &to->a, true);
    if (!to->a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_element(w, to, &n, 0);
    c_put(w, " = ");
    c_number(w, value, to->a.dtype);
    c_put(w, ";\n");
    c_close(w, n.rank);
}

static void write_view(c_writer *w, const block *b)
{
    const view *v = b->attr;
    c_lane y = result(w, b), a = argument(w, b, 0);
    if (v->kind == VIEW_RESHAPE)
        array_reshaped(&y.a, a.a.rank, a.a.shape, &y.a);
    else
        view_apply(v, &a.a, &a.a);
    c_copy(w, &y, &a, "=");
}

static void write_unview(c_writer *w, const block *b)
{
    c_lane y = result(w, b), a = argument(w, b, 0);
    fill(w, &y, 0);
    view_apply(b->attr, &y.a, &y.a);
    c_copy(w, &y, &a, "=");
}

static void write_unwindows(c_writer *w, const block *b)
{
    const c_lane y = result(w, b), a = argument(w, b, 0);
    const array places = windows_view(b->attr, &y.a);
    const c_lane to = part_of(&y, windows_by_offset(b->attr, &places)),
                 from = part_of(&a, windows_by_offset(b->attr, &a.a));
    fill(w, &y, 0);
    c_copy(w, &to, &from, "+=");
}

static void write_join(c_writer *w, const block *b)
{
    const c_lane y = result(w, b);
    int64_t at = 0;
    for (int k = 0; k < (int)b->n_args; k++) {
        const c_lane a = argument(w, b, k), to = part_of(&y, join_part(&y.a, b->attr, &a.a, &at));
        c_copy(w, &to, &a, "=");
    }
}

static void write_pad(c_writer *w, const block *b)
{
    const padding *p = b->attr;
    const c_lane y = result(w, b), a = argument(w, b, 0),
                 inside = part_of(&y, pad_inside(&y.a, p, a.a.rank, a.a.shape));
    fill(w, &y, p->value);
    c_copy(w, &inside, &a, "=");
}

static void write_triangle(c_writer *w, const block *b)
{
    const triangle *t = b->attr;
    const c_lane y = result(w, b), a = argument(w, b, 0);
    const array both[2] = {y.a, a.a};
    const c_nest n = c_nest_of(w, 2, both, false);
    if (!y.a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_element(w, &y, &n, 0);
    c_put(w, " = i%d - i%d %s %d ? ", n.rank - 1, n.rank - 2, t->upper ? ">=" : "<=", t->diagonal);
    c_element(w, &a, &n, 1);
    c_put(w, " : 0;\n");
    c_close(w, n.rank);
}

static void write_cast(c_writer *w, const block *b)
{
    const c_lane y = result(w, b), a = argument(w, b, 0);
    if (!c_is_scalar(w, b->node)) {
        c_copy(w, &y, &a, "=");
        return;
    }
    c_begin_line(w); /* a scalar stays a double, but is cut */
    c_name(w, &y);
    c_put(w, " = ");
    c_helper(w, HELPER_to_int, AD_F64);
    c_put(w, "(");
    c_element(w, &a, NULL, 0);
    c_put(w, ");\n");
}

/* ---- reductions ---- */

typedef struct reduced { /* rows that are reduced, and where to */
    const block *b;
    int helper;
    rows r;
    c_lane x, y;
    c_nest n; /* kept axes, then the reduced ones: x, y */
    int kept;
} reduced;

/* The nest of kept axes, and behind it that of reduced ones, along which y stands still. */
static void find_nest(c_writer *w, reduced *d)
{
    array kept[2] = {d->r.a, d->y.a}, row = d->r.a;
    kept[0].rank = d->r.kept;
    kept[1] = array_of(NULL, d->y.a.dtype, d->r.kept, d->r.a.shape);
    row.rank -= d->r.kept;
    memmove(row.shape, row.shape + d->r.kept, (size_t)row.rank * sizeof *row.shape);
    memmove(row.stride, row.stride + d->r.kept, (size_t)row.rank * sizeof *row.stride);
    const c_nest inner = c_nest_of(w, 1, &row, true);
    d->n = c_nest_of(w, 2, kept, true);
    if (w->status)
        return;
    d->kept = d->n.rank;
    for (int i = 0; i < inner.rank; i++, d->n.rank++) {
        d->n.shape[d->n.rank] = inner.shape[i];
        d->n.stride[0][d->n.rank] = inner.stride[0][i];
        d->n.stride[1][d->n.rank] = 0;
    }
}

/* The last loop is within the helper: its length and step. */
static int64_t run_length(const reduced *d)
{
    return d->n.rank > d->kept ? d->n.shape[d->n.rank - 1] : d->r.n;
}

static int64_t run_step(const reduced *d)
{
    return d->n.rank > d->kept ? d->n.stride[0][d->n.rank - 1] : 1;
}

static bool is_sum(const reduced *d)
{
    return !strcmp(d->b->op->name, "sum") || !strcmp(d->b->op->name, "mean");
}

/* "f_f64(n, x + i0, step": the run that begins where the loops around it are */
static void put_run(c_writer *w, const reduced *d, int helper)
{
    c_nest around = d->n;
    around.rank = d->n.rank > d->kept ? d->n.rank - 1 : d->kept;
    c_helper(w, helper, d->x.a.dtype);
    c_put(w, "(%lld, ", (long long)run_length(d));
    c_pointer(w, &d->x, &around, 0);
    c_put(w, ", %lld", (long long)run_step(d));
}

static void put_result(c_writer *w, const reduced *d)
{
    c_nest around = d->n;
    around.rank = d->kept;
    c_begin_line(w);
    c_element(w, &d->y, &around, 1);
    c_put(w, d->y.a.dtype == AD_F32   ? " = (float)("
             : d->y.a.dtype == AD_I32 ? " = (int32_t)("
                                      : " = (");
}

static void put_divisor(c_writer *w, const reduced *d)
{
    c_put(w, strcmp(d->b->op->name, "mean") ? ");\n" : " / %lld.0);\n", (long long)d->r.n);
}

/* Each row is one run, or for sums some. */
static void write_rows(c_writer *w, const reduced *d)
{
    const int runs = d->n.rank > d->kept ? d->n.rank - 1 - d->kept : 0;
    c_open(w, &d->n, 0, d->kept);
    if (runs) {
        c_begin_line(w);
        c_put(w, "{\n");
        w->depth++;
        c_begin_line(w);
        c_put(w, "double sum = 0;\n");
        c_open(w, &d->n, d->kept, d->kept + runs);
        c_begin_line(w);
        c_put(w, "sum += ");
        put_run(w, d, HELPER_sum);
        c_put(w, ");\n");
        c_close(w, runs);
        put_result(w, d);
        c_put(w, "sum");
        put_divisor(w, d);
        w->depth--;
        c_begin_line(w);
        c_put(w, "}\n");
    } else {
        put_result(w, d);
        put_run(w, d, d->helper);
        if (d->helper == HELPER_var_of || d->helper == HELPER_std)
            c_put(w, ", %d", ((const reduce_attr *)d->b->attr)->correction);
        if (d->helper == HELPER_extreme)
            c_put(w, ", %d", !strcmp(d->b->op->name, "argmin"));
        c_put(w, ")");
        put_divisor(w, d);
    }
    c_close(w, d->kept);
}

/* Rows that lie side by side, one element of each after the other: sums of columns. */
static bool goes_by_columns(const reduced *d)
{
    return is_sum(d) && d->n.rank == d->kept + 1 && d->kept && run_step(d) != 1 &&
           d->n.stride[0][d->kept - 1] == 1 && d->y.a.dtype == d->x.a.dtype;
}

static void write_columns(c_writer *w, const reduced *d)
{
    c_nest around = d->n;
    around.rank = d->kept - 1;
    c_open(w, &around, 0, around.rank);
    c_begin_line(w);
    c_helper(w, HELPER_columns, d->x.a.dtype);
    c_put(w, "(%lld, ", (long long)run_length(d));
    c_pointer(w, &d->x, &around, 0);
    c_put(w, ", %lld, %lld, %lld, ", (long long)run_step(d), (long long)d->n.shape[d->kept - 1],
          strcmp(d->b->op->name, "mean") ? 1 : (long long)d->r.n);
    c_pointer(w, &d->y, &around, 1);
    c_put(w, ");\n");
    c_close(w, around.rank);
}

static int reduction_helper(const block *b)
{
    static const struct {
        const char *name;
        int helper;
    } all[] = {{"sum", HELPER_sum},
               {"mean", HELPER_sum},
               {"prod", HELPER_prod},
               {"amax", HELPER_amax},
               {"amin", HELPER_amin},
               {"norm", HELPER_norm},
               {"logsumexp", HELPER_logsumexp},
               {"var_of", HELPER_var_of},
               {"std", HELPER_std},
               {"argmax", HELPER_extreme},
               {"argmin", HELPER_extreme}};
    size_t k = 0;
    while (strcmp(all[k].name, b->op->name) != 0)
        k++;
    return all[k].helper;
}

static void write_reduction(c_writer *w, const block *b)
{
    reduced d = {.b = b, .helper = reduction_helper(b), .x = argument(w, b, 0), .y = result(w, b)};
    if (!d.y.a.size)
        return;
    d.r = rows_of(&d.x.a, ((const reduce_attr *)b->attr)->axes);
    find_nest(w, &d);
    const bool is_run = d.n.rank <= d.kept + 1;
    if ((!is_run && !is_sum(&d)) || d.x.a.dtype == AD_I32) { /* rows without gaps, elsewhere */
        const ad_dtype dtype = d.x.a.dtype == AD_F32 ? AD_F32 : AD_F64;
        const c_lane from = part_of(&d.x, d.r.a);
        d.x = c_scratch(w, dtype, d.r.a.rank, d.r.a.shape);
        c_copy(w, &d.x, &from, "=");
        d.r.a = d.x.a;
        find_nest(w, &d);
    } else {
        d.x.a = d.r.a;
    }
    if (!w->status)
        (goes_by_columns(&d) ? write_columns : write_rows)(w, &d);
}

/* ---- along lines: softmax and running sums ---- */

static array without_axis(array a, int axis)
{
    a.rank--;
    for (int i = axis; i < a.rank; i++) {
        a.shape[i] = a.shape[i + 1];
        a.stride[i] = a.stride[i + 1];
    }
    return a;
}

static void write_lines(c_writer *w, const block *b)
{
    static const struct {
        const char *name;
        int helper;
    } all[] = {{"softmax", HELPER_softmax},
               {"log_softmax", HELPER_log_softmax},
               {"cumsum", HELPER_cumsum},
               {"cumprod", HELPER_cumprod}};
    const c_lane x = argument(w, b, 0), y = result(w, b);
    const int axis = axis_of(b);
    const array both[2] = {without_axis(x.a, axis), without_axis(y.a, axis)};
    const c_nest n = c_nest_of(w, 2, both, true);
    size_t k = 0;
    while (strcmp(all[k].name, b->op->name) != 0)
        k++;
    if (!y.a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_helper(w, all[k].helper, y.a.dtype);
    c_put(w, "(%lld, ", (long long)y.a.shape[axis]);
    c_pointer(w, &x, &n, 0);
    c_put(w, ", %lld, ", (long long)x.a.stride[axis]);
    c_pointer(w, &y, &n, 1);
    c_put(w, ", %lld);\n", (long long)y.a.stride[axis]);
    c_close(w, n.rank);
}

/* ---- indices ---- */

static void check_indices(c_writer *w, const c_lane *index, int64_t size)
{
    const c_nest n = c_nest_of(w, 1, &index->a, true);
    if (!index->a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_put(w, "if (");
    c_element(w, index, &n, 0);
    c_put(w, " < 0 || ");
    c_element(w, index, &n, 0);
    c_put(w, " >= %lld)\n", (long long)size);
    c_begin_line(w);
    c_put(w, "    return -1;\n");
    c_close(w, n.rank);
}

/* the element of the table that the index says */
static void put_place(c_writer *w, const lookup *l, const c_lane *table, const c_lane *index,
                      const c_nest *n)
{
    const c_lane t = part_of(table, l->table), at = part_of(index, l->index);
    c_name(w, &t);
    c_put(w, "[");
    c_index(w, &t, n, 0);
    c_put(w, " + ");
    if (l->stride != 1)
        c_put(w, "%lld*", (long long)l->stride);
    c_element(w, &at, n, 1);
    c_put(w, "]");
}

/* y <- table at indices, or table at indices += y */
static void write_lookup(c_writer *w, const block *b, const c_lane *table, const c_lane *index,
                         const c_lane *y, bool adds)
{
    const lookup l = lookup_of(b->attr, &table->a, &index->a, &y->a);
    const array all[3] = {l.table, l.index, l.result};
    const c_nest n = c_nest_of(w, 3, all, true);
    if (!y->a.size || w->status)
        return;
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    if (adds) {
        put_place(w, &l, table, index, &n);
        c_put(w, table->a.dtype == AD_F32 ? " += (float)" : " += ");
        c_element(w, y, &n, 2);
    } else {
        c_element(w, y, &n, 2);
        c_put(w, " = ");
        const char *const end = begin_conversion(w, y->a.dtype, table->a.dtype);
        put_place(w, &l, table, index, &n);
        c_put(w, "%s", end);
    }
    c_put(w, ";\n");
    c_close(w, n.rank);
}

static void write_read(c_writer *w, const block *b)
{
    const c_lane table = argument(w, b, 0), index = argument(w, b, 1), y = result(w, b);
    check_indices(w, &index, table.a.shape[((const lookup_attr *)b->attr)->axis]);
    write_lookup(w, b, &table, &index, &y, false);
}

/* Floats are summed in double where the interpreter does so. */
static void add_at(c_writer *w, const block *b, const c_lane *y, const c_lane *index,
                   const c_lane *from)
{
    if (lookup_adds_directly(&y->a, &from->a)) {
        write_lookup(w, b, y, index, from, true);
        return;
    }
    const c_lane wide = c_scratch(w, AD_F64, y->a.rank, y->a.shape);
    c_copy(w, &wide, y, "=");
    write_lookup(w, b, &wide, index, from, true);
    c_copy(w, y, &wide, "=");
}

static void write_unread(c_writer *w, const block *b)
{
    const c_lane from = argument(w, b, 0), index = argument(w, b, 1), y = result(w, b);
    check_indices(w, &index, y.a.shape[((const lookup_attr *)b->attr)->axis]);
    fill(w, &y, 0);
    add_at(w, b, &y, &index, &from);
}

static void write_scatter(c_writer *w, const block *b)
{
    const c_lane a = argument(w, b, 0), index = argument(w, b, 1), from = argument(w, b, 2),
                 y = result(w, b);
    check_indices(w, &index, a.a.shape[((const lookup_attr *)b->attr)->axis]);
    c_copy(w, &y, &a, "=");
    add_at(w, b, &y, &index, &from);
}

static void write_entropy(c_writer *w, const block *b)
{
    const c_lane z = argument(w, b, 0), t = argument(w, b, 1), y = result(w, b);
    const bool classes = t.a.dtype == AD_I32;
    const array all[3] = {without_axis(z.a, 1), classes ? t.a : without_axis(t.a, 1), y.a};
    const c_nest n = c_nest_of(w, 3, all, true);
    if (!y.a.size || w->status)
        return;
    if (classes)
        check_indices(w, &t, z.a.shape[1]);
    c_open(w, &n, 0, n.rank);
    c_begin_line(w);
    c_element(w, &y, &n, 2);
    c_put(w, y.a.dtype == AD_F32 ? " = (float)" : " = ");
    c_helper(w, classes ? HELPER_class_loss : HELPER_entropy, z.a.dtype);
    c_put(w, "(%lld, ", (long long)z.a.shape[1]);
    c_pointer(w, &z, &n, 0);
    c_put(w, ", %lld, ", (long long)z.a.stride[1]);
    (classes ? c_element : c_pointer)(w, &t, &n, 1);
    if (!classes)
        c_put(w, ", %lld", (long long)t.a.stride[1]);
    c_put(w, ");\n");
    c_close(w, n.rank);
}

/* ---- products ---- */

typedef struct operand { /* of a product: rows and columns so far apart */
    int64_t row, column;
} operand;

static operand operand_of(const array *a)
{
    const int r = a->rank;
    return (operand){a->shape[r - 2] == 1 ? a->shape[r - 1] : a->stride[r - 2],
                     a->shape[r - 1] == 1 ? 1 : a->stride[r - 1]};
}

/* Of a single column: a dot product for each row, or the product turned around. */
static void put_column(c_writer *w, const c_lane l[3], const c_nest *n, operand a, operand b)
{
    const int r = l[0].a.rank;
    const long long m = (long long)l[0].a.shape[r - 2], k = (long long)l[0].a.shape[r - 1];
    c_begin_line(w);
    c_helper(w, HELPER_product, l[2].a.dtype);
    c_put(w, "(1, %lld, %lld, ", m, k);
    c_pointer(w, &l[1], n, 1);
    c_put(w, ", 1, %lld, ", (long long)b.row);
    c_pointer(w, &l[0], n, 0);
    c_put(w, ", %lld, %lld, ", (long long)a.column, (long long)a.row);
    c_pointer(w, &l[2], n, 2);
    c_put(w, ", %lld);\n", m);
}

static void put_product(c_writer *w, const c_lane l[3], const c_nest *n)
{
    const int r = l[0].a.rank;
    const operand a = operand_of(&l[0].a), b = operand_of(&l[1].a), c = operand_of(&l[2].a);
    if (l[1].a.shape[r - 1] == 1 && l[0].a.shape[r - 2] > 1 && c.row == 1) {
        put_column(w, l, n, a, b);
        return;
    }
    c_begin_line(w);
    c_helper(w, HELPER_product, l[2].a.dtype);
    c_put(w, "(%lld, %lld, %lld, ", (long long)l[0].a.shape[r - 2], (long long)l[1].a.shape[r - 1],
          (long long)l[0].a.shape[r - 1]);
    c_pointer(w, &l[0], n, 0);
    c_put(w, ", %lld, %lld, ", (long long)a.row, (long long)a.column);
    c_pointer(w, &l[1], n, 1);
    c_put(w, ", %lld, %lld, ", (long long)b.row, (long long)b.column);
    c_pointer(w, &l[2], n, 2);
    c_put(w, ", %lld);\n", (long long)c.row);
}

static void write_product(c_writer *w, const block *b)
{
    c_lane l[3] = {argument(w, b, 0), argument(w, b, 1), result(w, b)};
    if (!l[2].a.size)
        return;
    matrices s = product_matrices(b, &l[0].a, &l[1].a, &l[2].a);
    product_fold(&s.a, &s.b, &s.y);
    array heads[3] = {l[0].a = s.a, l[1].a = s.b, l[2].a = s.y};
    for (int k = 0; k < 3; k++)
        heads[k].rank -= 2;
    const c_nest n = c_nest_of(w, 3, heads, true);
    if (w->status)
        return;
    c_open(w, &n, 0, n.rank);
    put_product(w, l, &n);
    c_close(w, n.rank);
}

static void write_dot(c_writer *w, const block *b)
{
    const c_lane x = argument(w, b, 0), z = argument(w, b, 1), y = result(w, b);
    c_begin_line(w);
    c_name(w, &y);
    c_put(w, " = ");
    c_helper(w, HELPER_dot, x.a.dtype);
    c_put(w, "(%lld, ", (long long)x.a.size);
    c_pointer(w, &x, NULL, 0);
    c_put(w, ", %lld, ", (long long)x.a.stride[0]);
    c_pointer(w, &z, NULL, 0);
    c_put(w, ", %lld);\n", (long long)z.a.stride[0]);
}

/* ---- of many scalars ---- */

static void put_scalars(c_writer *w, const block *b, char name, int64_t from, int64_t n)
{
    c_begin_line(w);
    c_put(w, "const double %c[%lld] = {", name, (long long)n);
    for (int64_t k = from; k < from + n; k++) {
        const c_lane l = argument(w, b, (int)k);
        c_name(w, &l);
        c_put(w, k + 1 < from + n ? ", " : "};\n");
    }
}

static void put_numbers(c_writer *w, char name, int64_t n, const double *x)
{
    c_begin_line(w);
    c_put(w, "const double %c[%lld] = {", name, (long long)n);
    for (int64_t k = 0; k < n; k++) {
        c_number(w, x[k], AD_F64);
        c_put(w, k + 1 < n ? ", " : "};\n");
    }
}

/* the start of a sum, or where a polynomial is taken */
static void put_one(c_writer *w, const block *b)
{
    const chain *c = b->attr;
    const c_lane l = c->one ? argument(w, b, (int)(c->lists * c->n)) : (c_lane){0};
    if (c->one)
        c_name(w, &l);
    else
        c_number(w, c->start, AD_F64);
}

static void write_chain(c_writer *w, const block *b)
{
    const chain *c = b->attr;
    const c_lane y = result(w, b);
    const bool is_dot = b->op == &dot_n_op || b->op == &affine_n_op,
               is_polynomial = b->op == &polynomial_n_op || b->op == &horner_n_op;
    c_begin_line(w);
    c_put(w, "{\n");
    w->depth++;
    if (c->n && c->lists)
        put_scalars(w, b, 'a', 0, c->n);
    if (c->n && c->lists == 2)
        put_scalars(w, b, 'b', c->n, c->n);
    if (c->n && (b->op == &affine_n_op || b->op == &horner_n_op))
        put_numbers(w, b->op == &affine_n_op ? 'b' : 'a', c->n, chain_numbers(c));
    c_begin_line(w);
    c_name(w, &y);
    c_put(w, " = ");
    c_helper(w,
             is_dot               ? HELPER_dot
             : is_polynomial      ? HELPER_horner
             : b->op == &sum_n_op ? HELPER_sum
                                  : HELPER_norm,
             AD_F64);
    c_put(w, "(%lld, %s%s", (long long)c->n, c->n ? "a" : "NULL",
          is_dot          ? (c->n ? ", 1, b, 1) + " : ", 1, NULL, 1) + ")
          : is_polynomial ? ", "
                          : ", 1)");
    if (is_dot || is_polynomial)
        put_one(w, b);
    c_put(w, is_polynomial ? ");\n" : ";\n");
    w->depth--;
    c_begin_line(w);
    c_put(w, "}\n");
}

/* ---- the table ---- */

bool c_block(c_writer *w, const block *b)
{
    static const struct {
        const char *name;
        void (*write)(c_writer *w, const block *b);
    } all[] = {
        {"reshape", write_view},
        {"expand", write_view},
        {"at", write_view},
        {"stop_gradient", write_view},
        {"unslice", write_unview},
        {"unat", write_unview},
        {"diag", write_unview},
        {"unwindows", write_unwindows},
        {"concat", write_join},
        {"stack", write_join},
        {"pad", write_pad},
        {"tril", write_triangle},
        {"triu", write_triangle},
        {"cast", write_cast},
        {"sum", write_reduction},
        {"mean", write_reduction},
        {"prod", write_reduction},
        {"amax", write_reduction},
        {"amin", write_reduction},
        {"norm", write_reduction},
        {"logsumexp", write_reduction},
        {"var_of", write_reduction},
        {"std", write_reduction},
        {"argmax", write_reduction},
        {"argmin", write_reduction},
        {"softmax", write_lines},
        {"log_softmax", write_lines},
        {"cumsum", write_lines},
        {"cumprod", write_lines},
        {"take", write_read},
        {"gather", write_read},
        {"untake", write_unread},
        {"ungather", write_unread},
        {"scatter_add", write_scatter},
        {"softmax_cross_entropy", write_entropy},
        {"matmul", write_product},
        {"outer", write_product},
        {"dot", write_dot},
        {"sum_n", write_chain},
        {"dot_n", write_chain},
        {"affine_n", write_chain},
        {"norm_n", write_chain},
        {"polynomial_n", write_chain},
        {"horner_n", write_chain},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!strcmp(all[k].name, b->op->name)) {
            all[k].write(w, b);
            return true;
        }
    return false;
}
