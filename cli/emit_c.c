/* emit_c.c - see emit_c.h
 *
 * Straight-line code of the expression's tape: one line for each value, then, from the result back,
 * one for each contribution to an adjoint. What an operation computes, and its partials, are the C
 * sources in the library's table of operations; those that the C library has by the same name are
 * its functions, sums and products are written as such, all others become small functions above,
 * named after the one that is made, so that two files go together. */
#include "emit_c.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENT = 48, MOST_ARGUMENTS = 3, WORD = 32 };

typedef struct buffer {
    char *text;
    size_t n, room;
    bool lost; /* out of memory */
} buffer;

typedef struct emitter {
    const char *name;
    ad_tape *tape;
    int64_t n, result;
    int *op;           /* of each node, -1: none */
    int *number;       /* v1, v2 ... from 1; 0: it is not needed */
    bool *flows, *got; /* does an input stand behind it? has it an adjoint? */
    bool *needed;      /* functions, by operation */
    int writing;       /* whose function is written now: its own name there is the C library's */
    buffer code, functions;
    char *wrong;
} emitter;

/* What a, b, c, y and g are called in an operation's source. */
typedef struct names {
    char argument[MOST_ARGUMENTS][ARGUMENT];
    char result[ARGUMENT], adjoint[ARGUMENT];
} names;

/* ---- text ---- */

static void put_bytes(buffer *b, const char *text, size_t n)
{
    if (b->n + n + 1 > b->room) {
        const size_t room = 2 * (b->n + n) + 256;
        char *more = realloc(b->text, room);
        b->lost = b->lost || !more;
        if (!more)
            return;
        b->text = more;
        b->room = room;
    }
    memcpy(b->text + b->n, text, n);
    b->text[b->n += n] = 0;
}

static void put(buffer *b, const char *text) { put_bytes(b, text, strlen(text)); }

static void put_numbered(buffer *b, const char *before, int64_t number, const char *after)
{
    char text[ARGUMENT];
    snprintf(text, sizeof text, "%s%lld", before, (long long)number);
    put(b, text);
    put(b, after);
}

/* As C reads it back, a double in any case, in brackets where it is negative. */
static void literal(double x, char out[ARGUMENT])
{
    char digits[ARGUMENT - 8];
    if (isnan(x) || isinf(x)) {
        strcpy(out, isnan(x) ? "NAN" : x > 0 ? "INFINITY" : "(-INFINITY)");
        return;
    }
    for (int n = 1; n <= 17; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, x);
        if (strtod(digits, NULL) == x)
            break;
    }
    if (!strpbrk(digits, ".e"))
        strcat(digits, ".0");
    snprintf(out, ARGUMENT, signbit(x) ? "(%s)" : "%s", digits);
}

/* ---- operations ---- */

static int find_op(const char *name)
{
    for (int i = 0; i < ad_op_count(); i++)
        if (strcmp(ad_op_at(i)->name, name) == 0 && ad_op_at(i)->elementwise)
            return i;
    return -1;
}

/* Is its source just a call of the C library's function of the same name? */
static bool is_library(int op)
{
    const ad_op_info *info = ad_op_at(op);
    const size_t length = strlen(info->name);
    if (strncmp(info->value, info->name, length) != 0)
        return false;
    const char *rest = info->value + length;
    const char *const calls[] = {"(a)", "(a, b)", "(a, b, c)"};
    return info->arity >= 1 && info->arity <= 3 && strcmp(rest, calls[info->arity - 1]) == 0;
}

/* The sign that C writes for it; 0: none. */
static char sign_of(const char *name)
{
    static const struct {
        const char *name;
        char sign;
    } signs[] = {{"add", '+'}, {"sub", '-'}, {"mul", '*'}, {"div", '/'}, {"neg", '-'}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strcmp(signs[i].name, name) == 0)
            return signs[i].sign;
    return 0;
}

static bool flows(int op, int k) { return strcmp(ad_op_at(op)->partial[k], "NO") != 0; }

static bool is_word_letter(char c) { return isalnum((unsigned char)c) || c == '_'; }

static size_t read_word(const char *text, char word[WORD])
{
    const bool number = isdigit((unsigned char)*text) || *text == '.';
    size_t n = 0;
    while (is_word_letter(text[n]) || text[n] == '.' || /* "1e-12" */
           (number && n && text[n - 1] == 'e' && (text[n] == '-' || text[n] == '+')))
        n++;
    const size_t kept = n < WORD ? n : WORD - 1;
    memcpy(word, text, kept);
    word[kept] = 0;
    return n;
}

static bool need_function(emitter *m, int op);

/* The name under which an operation is called: the C library's, or that of a function above. */
static bool put_function(emitter *m, buffer *to, const char *word)
{
    const int op = find_op(word);
    if (op >= 0 && !is_library(op) && op != m->writing) {
        put(to, m->name);
        put(to, "_");
        put(to, word);
        return need_function(m, op);
    }
    put(to, word);
    return true;
}

static const char *name_of(const names *n, const char *word)
{
    // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): a letter, and its end at least
    if (word[1])
        return word;
    switch (word[0]) {
    case 'a':
    case 'b':
    case 'c':
        return n->argument[word[0] - 'a'];
    case 'y':
        return n->result;
    case 'g':
        return n->adjoint;
    default:
        return word;
    }
}

/* ---- values ---- */

static bool is_operator(char c) { return strchr("?:<>=!+-*/&|", c) != NULL; }

/* An expression of C with other names, and blanks where people put them. */
static bool put_value(emitter *m, buffer *to, const char *text, const names *n)
{
    char word[WORD];
    bool operand = false, good = true; /* is a minus between numbers? */
    while (*text && good) {
        if (is_word_letter(*text) || *text == '.') {
            text += read_word(text, word);
            if (*text == '(')
                good = put_function(m, to, word);
            else
                put(to, name_of(n, word));
            operand = true;
        } else if (*text == ' ') {
            text++;
        } else if (is_operator(*text)) {
            size_t length = 1;
            while (text[length] == '=' || (text[length] == '&' && *text == '&'))
                length++;
            put(to, operand ? " " : "");
            put_bytes(to, text, length);
            put(to, operand ? " " : "");
            operand = false;
            text += length;
        } else {
            operand = *text == ')';
            put_bytes(to, text, 1);
            put(to, *text++ == ',' ? " " : "");
        }
    }
    return good;
}

/* ---- partials: calls of operations within each other, "mulz(g, cos(a))" ---- */

typedef struct call {
    char word[WORD];
    int n;
    struct call *argument[MOST_ARGUMENTS];
} call;

static void free_call(call *c)
{
    for (int k = 0; c && k < c->n; k++)
        free_call(c->argument[k]);
    free(c);
}

/* The table's own texts, nested a few deep. */
static call *read_call(const char **text)
{
    call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *text += strspn(*text, " ");
    const bool negative = **text == '-';
    c->word[0] = '-';
    *text += negative;
    char *word = c->word + negative;
    char whole[WORD];
    *text += read_word(*text, whole);
    snprintf(word, WORD - 1, "%.30s", whole);
    if (**text != '(')
        return c;
    do {
        ++*text;
        call *argument = c->n < MOST_ARGUMENTS ? read_call(text) : NULL;
        if (!argument)
            return free_call(c), NULL;
        c->argument[c->n++] = argument;
        *text += strspn(*text, " ");
    } while (**text == ',');
    *text += **text == ')';
    return c;
}

/* How tightly it is bound: 1 sums, 2 products, 3 signs, 4 the rest. */
static int binding(const call *c)
{
    if (c->n == 0)
        return c->word[0] == '-' ? 3 : 4;
    switch (sign_of(c->word)) {
    case '+':
        return 1;
    case '-':
        return c->n == 1 ? 3 : 1;
    case '*':
    case '/':
        return 2;
    default:
        return 4;
    }
}

static bool put_call(emitter *m, buffer *to, const call *c, const names *n, int least)
{
    const int own = binding(c);
    const char sign = c->n ? sign_of(c->word) : 0, between[4] = {' ', sign, ' ', 0};
    bool good = true;
    put(to, own < least ? "(" : "");
    if (c->n == 0) {
        put(to, name_of(n, c->word));
    } else if (sign && c->n == 1) {
        put(to, "-");
        good = put_call(m, to, c->argument[0], n, 4);
    } else if (sign) {
        good = put_call(m, to, c->argument[0], n, own);
        put(to, between);
        good = good && put_call(m, to, c->argument[1], n, own + 1);
    } else {
        good = put_function(m, to, c->word);
        put(to, "(");
        for (int k = 0; good && k < c->n; k++) {
            put(to, k ? ", " : "");
            good = put_call(m, to, c->argument[k], n, 0);
        }
        put(to, ")");
    }
    put(to, own < least ? ")" : "");
    return good;
}

static bool put_partial(emitter *m, buffer *to, const char *text, const names *n)
{
    call *c = read_call(&text);
    const bool good = c ? put_call(m, to, c, n, 0) : complain(m->wrong, "out of memory");
    free_call(c);
    return good;
}

/* ---- functions ---- */

/* Writes the function of an operation once, after those that it calls. */
static bool need_function(emitter *m, int op)
{
    static const names own = {{"a", "b", "c"}, "y", "g"};
    static const char *const parameters[] = {"double a", "double a, double b",
                                             "double a, double b, double c"};
    const ad_op_info *info = ad_op_at(op);
    buffer body = {0};
    if (m->needed[op])
        return true;
    m->needed[op] = true;
    if (strstr(info->value, "ad_special_"))
        return complain(m->wrong, "--emit c: the C library does not have %s with its derivatives",
                        info->name);
    const int outer = m->writing;
    m->writing = op;
    bool good = put_value(m, &body, info->value, &own);
    m->writing = outer;
    put(&m->functions, "/* ");
    put(&m->functions, info->doc);
    put(&m->functions, " */\nstatic double ");
    put(&m->functions, m->name);
    put(&m->functions, "_");
    put(&m->functions, info->name);
    put(&m->functions, "(");
    put(&m->functions, parameters[info->arity - 1]);
    put(&m->functions, ") { return ");
    put(&m->functions, body.text ? body.text : "");
    put(&m->functions, "; }\n");
    good = good && !body.lost;
    free(body.text);
    return good;
}

/* ---- nodes ---- */

static void name_node(const emitter *m, int64_t node, char out[ARGUMENT])
{
    ad_node_info info;
    if (m->number[node])
        snprintf(out, ARGUMENT, "v%d", m->number[node]);
    else if (!ad_node_at(m->tape, node, &info))
        literal(info.value, out);
}

static int parents_of(const emitter *m, int64_t node)
{
    ad_node_info info;
    return m->op[node] >= 0 && !ad_node_at(m->tape, node, &info) ? info.n_parents : 0;
}

static names names_of(const emitter *m, int64_t node)
{
    names n = {0};
    for (int k = 0; k < parents_of(m, node); k++)
        name_node(m, ad_node_parent(m->tape, node, k), n.argument[k]);
    name_node(m, node, n.result);
    snprintf(n.adjoint, ARGUMENT, "b%d", m->number[node]);
    return n;
}

/* Which nodes does the result need? Inputs are numbered first, as in traces. */
static bool choose_nodes(emitter *m)
{
    ad_node_info info;
    int count = 0;
    m->number[m->result] = 1;
    for (int64_t i = m->result; i >= 0; i--) {
        if (!m->number[i] || ad_node_at(m->tape, i, &info) || info.kind != AD_NODE_OPERATION)
            continue;
        m->op[i] = find_op(info.operation);
        if (m->op[i] < 0)
            return complain(m->wrong,
                            "--emit c: %s is no elementwise operation; only those on scalars can "
                            "be written as C",
                            info.operation);
        for (int k = 0; k < info.n_parents; k++)
            m->number[ad_node_parent(m->tape, i, k)] = 1;
    }
    for (int64_t i = 0; i < m->n; i++) {
        if (ad_node_at(m->tape, i, &info) || info.kind == AD_NODE_CONSTANT)
            m->number[i] = 0;
        else if (m->number[i] || info.kind == AD_NODE_INPUT)
            m->number[i] = ++count;
        m->flows[i] = m->number[i] && info.kind == AD_NODE_INPUT;
        for (int k = 0; k < parents_of(m, i); k++)
            m->flows[i] =
                m->flows[i] || (m->flows[ad_node_parent(m->tape, i, k)] && flows(m->op[i], k));
    }
    return true;
}

static bool put_values(emitter *m)
{
    bool good = true;
    for (int64_t i = 0; good && i <= m->result; i++) {
        if (m->op[i] < 0)
            continue;
        const names n = names_of(m, i);
        const char *value = ad_op_at(m->op[i])->value;
        put_numbered(&m->code, "    const double v", m->number[i], " = ");
        if (strchr(value, '?') || strstr(value, "ad_special_")) {
            good = put_function(m, &m->code, ad_op_at(m->op[i])->name);
            for (int k = 0; k < parents_of(m, i); k++) {
                put(&m->code, k ? ", " : "(");
                put(&m->code, n.argument[k]);
            }
            put(&m->code, ")");
        } else {
            good = put_value(m, &m->code, value, &n);
        }
        put(&m->code, ";\n");
    }
    return good;
}

static bool put_adjoints(emitter *m)
{
    bool good = true;
    if (!m->flows[m->result])
        return true;
    put_numbered(&m->code, "    const double b", m->number[m->result], " = 1; /* the seed */\n");
    m->got[m->result] = true;
    for (int64_t i = m->result; good && i >= 0; i--) {
        if (!m->got[i] || !m->flows[i])
            continue;
        const names n = names_of(m, i);
        for (int k = 0; good && k < parents_of(m, i); k++) {
            const int64_t parent = ad_node_parent(m->tape, i, k);
            if (!m->flows[parent] || !flows(m->op[i], k))
                continue;
            put_numbered(&m->code, m->got[parent] ? "    b" : "    double b", m->number[parent],
                         m->got[parent] ? " += " : " = ");
            m->got[parent] = true;
            good = put_partial(m, &m->code, ad_op_at(m->op[i])->partial[k], &n);
            put(&m->code, ";\n");
        }
    }
    return good;
}

/* ---- the file ---- */

static void put_inputs(emitter *m, const ad_expression *e, ad_env *env)
{
    for (int i = 0; i < ad_expression_name_count(e); i++) {
        const int64_t node = ad_var_node(ad_env_get(env, ad_expression_name(e, i)));
        bool used = node == m->result;
        for (int64_t j = 0; j <= m->result; j++)
            for (int k = 0; k < parents_of(m, j); k++)
                used = used || ad_node_parent(m->tape, j, k) == node;
        if (!used)
            continue;
        put_numbered(&m->code, "    const double v", m->number[node], " = ");
        put_numbered(&m->code, "x[", i, "]; /* ");
        put(&m->code, ad_expression_name(e, i));
        put(&m->code, " */\n");
    }
}

static void put_gradient(emitter *m, const ad_expression *e, ad_env *env)
{
    for (int i = 0; i < ad_expression_name_count(e); i++) {
        const int64_t node = ad_var_node(ad_env_get(env, ad_expression_name(e, i)));
        put_numbered(&m->code, "    gradient[", i, "] = ");
        if (m->got[node])
            put_numbered(&m->code, "b", m->number[node], ";\n");
        else
            put(&m->code, "0;\n");
    }
    put_numbered(&m->code, "    return v", m->number[m->result], ";\n}\n");
}

static bool write_file(emitter *m, const ad_expression *e, FILE *to)
{
    const int n = ad_expression_name_count(e);
    const size_t room = ad_expression_text(e, NULL, 0) + 1;
    char *text = malloc(room);
    if (!text || m->code.lost || m->functions.lost) {
        free(text);
        return complain(m->wrong, "out of memory");
    }
    ad_expression_text(e, text, room);
    fprintf(to,
            "/* %s - value and gradient of\n *\n *     %s\n *\n"
            " * Made by `tapegrad grad --emit c`. C99, with the C library's mathematics (-lm). */\n"
            "#include <math.h>\n\n",
            m->name, text);
    free(text);
    if (m->functions.n)
        fprintf(to, "%s\n", m->functions.text);
    fputs("/* x:", to);
    for (int i = 0; i < n; i++)
        fprintf(to, "%s %s", i ? "," : "", ad_expression_name(e, i));
    fprintf(to,
            ". gradient gets the derivatives by them. */\n"
            "double %s(const double x[%d], double gradient[%d]);\n\n"
            "double %s(const double x[%d], double gradient[%d])\n{\n%s",
            m->name, n, n, m->name, n, n, m->code.text);
    return true;
}

static bool emit(emitter *m, const ad_expression *e, ad_env *env, FILE *to)
{
    bool good = choose_nodes(m);
    if (!good)
        return false;
    put(&m->code, "    /* values */\n");
    put_inputs(m, e, env);
    good = put_values(m);
    put(&m->code, "\n    /* adjoints, from the result back */\n");
    good = good && put_adjoints(m);
    put(&m->code, "\n");
    put_gradient(m, e, env);
    return good && write_file(m, e, to);
}

static bool record(emitter *m, const ad_expression *e, ad_env *env)
{
    for (int i = 0; env && i < ad_expression_name_count(e); i++)
        if (ad_env_set(env, ad_expression_name(e, i), ad_input(m->tape, 1)))
            return complain(m->wrong, "out of memory");
    const ad_var y = ad_record_expression(env, e, NULL);
    if (ad_tape_status(m->tape))
        return complain(m->wrong, "--emit c is for scalars: %s", ad_tape_error(m->tape));
    if (ad_is_tensor(y))
        return complain(m->wrong, "--emit c is for scalars, and the expression is a tensor");
    m->result = ad_var_node(y);
    m->n = ad_node_count(m->tape);
    return m->result >= 0 ? true : complain(m->wrong, "the expression depends on no input");
}

bool emit_c(const ad_expression *e, const char *name, FILE *to, char wrong[TRACE_WRONG])
{
    emitter m = {.name = name, .tape = ad_tape_new(NULL), .writing = -1, .wrong = wrong};
    ad_env *env = ad_env_new(m.tape);
    bool good = env && record(&m, e, env);
    if (!env)
        complain(wrong, "out of memory");
    if (good) {
        m.op = calloc((size_t)m.n + 1, sizeof *m.op);
        m.number = calloc((size_t)m.n + 1, sizeof *m.number);
        m.flows = calloc((size_t)m.n + 1, sizeof *m.flows);
        m.got = calloc((size_t)m.n + 1, sizeof *m.got);
        m.needed = calloc((size_t)ad_op_count(), sizeof *m.needed);
        good = m.op && m.number && m.flows && m.got && m.needed;
        for (int64_t i = 0; good && i < m.n; i++)
            m.op[i] = -1;
        good = good ? emit(&m, e, env, to) : complain(wrong, "out of memory");
    }
    free(m.op);
    free(m.number);
    free(m.flows);
    free(m.got);
    free(m.needed);
    free(m.code.text);
    free(m.functions.text);
    ad_env_free(env);
    ad_tape_free(m.tape);
    return good;
}

bool emit_c_name(const char *name)
{
    static const char *const words[] = {
        "auto",     "break",   "case",   "char",     "const",  "continue", "default",
        "do",       "double",  "else",   "enum",     "extern", "float",    "for",
        "goto",     "if",      "inline", "int",      "long",   "main",     "register",
        "restrict", "return",  "short",  "signed",   "sizeof", "static",   "struct",
        "switch",   "typedef", "union",  "unsigned", "void",   "volatile", "while"};
    if (!isalpha((unsigned char)*name) || strlen(name) > 60 || find_op(name) >= 0)
        return false;
    for (const char *c = name; *c; c++)
        if (!is_word_letter(*c))
            return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0)
            return false;
    return true;
}
