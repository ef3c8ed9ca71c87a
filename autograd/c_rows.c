/* c_rows.c - see c_rows.h
 *
 * The body of a row's function is the row's own text, which macros around the functions make one of
 * doubles or of floats. */
#define AD_PLAIN
#include "c_rows.h"
#include "algebra.h"
#include <string.h>

static const char *const values[AD_OP_COUNT_] = {
/* as they stand there: K(x) a number, F(f) of the C library, S(f) of special.h, V(f) another row */
#define OP1(name, ia, val, ...)         #val,
#define OP2(name, ia, ib, val, ...)     #val,
#define OP3(name, ia, ib, ic, val, ...) #val,
#include "ops.def"
};

void c_rows_need(c_rows *r, ad_dtype dtype, int op)
{
    if (r->needed[dtype][op])
        return;
    r->needed[dtype][op] = true;
    const char *text = values[op];
    while ((text = strstr(text, "V("))) {
        text += 2;
        const size_t length = strcspn(text, ")");
        for (int i = 0; i < AD_OP_COUNT_; i++)
            if (strlen(elementwise_ops[i].info.name) == length &&
                !strncmp(elementwise_ops[i].info.name, text, length))
                c_rows_need(r, dtype, i);
    }
}

const char *c_rows_lacking(const c_rows *r)
{
    for (int i = 0; i < AD_OP_COUNT_; i++)
        if ((r->needed[AD_F64][i] || r->needed[AD_F32][i]) && strstr(values[i], "S("))
            return elementwise_ops[i].info.name;
    return NULL;
}

static void write_head(FILE *to, const ad_op_info *op, bool is_float)
{
    static const char *const arguments[2][4] = {
        {"", "double a", "double a, double b", "double a, double b, double c"},
        {"", "float a", "float a, float b", "float a, float b, float c"}};
    fprintf(to, "static inline %s %s_%s(%s)", is_float ? "float" : "double",
            is_float ? "opf" : "op", op->name, arguments[is_float][op->arity]);
}

/* in the order of ops.def one after the other would do, but for a row that names a later one */
static void write_type(const c_rows *r, FILE *to, ad_dtype dtype)
{
    const bool is_float = dtype == AD_F32;
    fputs(is_float ? "#define K(x) ((float)(x))\n#define F(name) name##f\n#define V(f) opf_##f\n"
                   : "#define K(x) ((double)(x))\n#define F(f) f\n#define V(f) op_##f\n",
          to);
    for (int declared = 0; declared < 2; declared++)
        for (int i = 0; i < AD_OP_COUNT_; i++) {
            if (!r->needed[dtype][i])
                continue;
            write_head(to, &elementwise_ops[i].info, is_float);
            if (declared)
                fprintf(to, " { return %s; }\n", values[i]);
            else
                fputs(";\n", to);
        }
    fputs("#undef K\n#undef F\n#undef V\n\n", to);
}

static bool any(const c_rows *r, ad_dtype dtype)
{
    bool found = false;
    for (int i = 0; i < AD_OP_COUNT_; i++)
        found |= r->needed[dtype][i];
    return found;
}

void c_rows_write(const c_rows *r, FILE *to)
{
    for (int dtype = AD_F64; dtype <= AD_F32; dtype++)
        if (any(r, (ad_dtype)dtype))
            write_type(r, to, (ad_dtype)dtype);
}
