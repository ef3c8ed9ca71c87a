/* page_operations.c - the calculus of a trace as JavaScript, so that a page can compute
 *
 * ops.js, made from ops.def, has all rows, and page_math.js what they call. Both consist of pieces
 * that begin "ops.sin = " or "lib.erf = ": a page gets the pieces that its operations need. */
#include "page_operations.h"

#include <stdlib.h>
#include <string.h>

#include "page_text.h"
#include "picture.h"

typedef struct piece {
    const char *const *lines;
    int n;
    bool needed, done;
} piece;

typedef struct pieces {
    piece *all;
    int n;
} pieces;

bool page_can_compute(const trace *t)
{
    for (int i = 0; i < t->n; i++)
        if (!t->nodes[i].is_input && !picture_has_partials(&t->nodes[i]))
            return false;
    return t->scalars;
}

/* Letters of "ops.sin" or "lib.erf" at the beginning of a text; 0: neither. */
static size_t name_length(const char *text)
{
    if (strncmp(text, "ops.", 4) != 0 && strncmp(text, "lib.", 4) != 0)
        return 0;
    return 4 + strspn(text + 4, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

static bool begins_piece(const char *line)
{
    const size_t n = name_length(line);
    return n && strncmp(line + n, " =", 2) == 0;
}

static int count_pieces(const char *const *lines)
{
    int n = 0;
    for (; *lines; lines++)
        n += begins_piece(*lines);
    return n;
}

/* What stands before the first piece is not among them. */
static void split(pieces *p, const char *const *lines)
{
    piece *now = NULL;
    for (; *lines; lines++) {
        if (begins_piece(*lines)) {
            now = &p->all[p->n++];
            now->lines = lines;
        }
        if (now)
            now->n++;
    }
}

static void need(pieces *p, const char *name, size_t length)
{
    for (int i = 0; i < p->n; i++)
        if (strncmp(p->all[i].lines[0], name, length) == 0 && p->all[i].lines[0][length] == ' ')
            p->all[i].needed = true;
}

static void need_what_it_names(pieces *p, const piece *one)
{
    for (int i = 0; i < one->n; i++)
        for (const char *c = one->lines[i]; *c && strncmp(c, "//", 2) != 0; c++)
            if (name_length(c))
                need(p, c, name_length(c));
}

static void close_over(pieces *p)
{
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < p->n; i++) {
            if (!p->all[i].needed || p->all[i].done)
                continue;
            p->all[i].done = more = true;
            need_what_it_names(p, &p->all[i]);
        }
    }
}

static bool is_comment(const char *line) { return strncmp(line, "//", 2) == 0 || *line == '\n'; }

bool page_put_operations(const trace *t, FILE *to)
{
    char name[80];
    pieces p = {.all = calloc((size_t)(count_pieces(ops_js) + count_pieces(page_math_js)) + 1,
                              sizeof *p.all)};
    if (!p.all)
        return false;
    split(&p, ops_js);
    split(&p, page_math_js);
    for (int i = 0; i < t->n; i++) {
        snprintf(name, sizeof name, "ops.%s", t->nodes[i].operation);
        need(&p, name, strlen(name));
    }
    close_over(&p);
    fputs("// the operations of this trace, made from the library's table of operations\n"
          "const ops = {}, lib = {};\n",
          to);
    for (int i = 0; i < p.n; i++)
        for (int k = 0; p.all[i].needed && k < p.all[i].n; k++)
            if (!is_comment(p.all[i].lines[k]))
                fputs(p.all[i].lines[k], to);
    free(p.all);
    return true;
}
