/* csv.c - tables of text: RFC 4180, with errors that name the line and the column
 *
 * The text is read twice. The first time counts rows and checks that all have as many fields, so
 * that memory is asked for only when the text has shown that it holds so much; the second time
 * turns fields into numbers, straight into the tensors. Numbers are read by an exact short cut (as
 * most have few digits) or else by strtod in the C locale.
 *
 *     table  = [BOM] [record] {record} {blank line}
 *     record = field {separator field} (CR LF | LF | CR | end)
 *     field  = '"' {any but '"' | '""'} '"' | {any but '"', separator, CR, LF}
 *
 * Blanks around an unquoted field do not count. */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(label) ((label)->lost = true)
#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "data.h"
#include "error.h"
#include "file.h"
#include "number.h"

typedef struct field {
    const char *text; /* not ended by 0 */
    size_t size;
    int64_t line; /* on which it begins */
    bool last;    /* of its record */
} field;

typedef enum use { USE_INPUT, USE_LABEL, USE_NOT } use;

typedef struct label {
    char *text;
    int64_t line;
    int32_t class; /* counted in order of first appearance */
    bool lost;     /* uthash ran out of memory when it was added */
    UT_hash_handle hh;
} label;

typedef struct csv {
    const char *begin, *at, *end;
    int64_t line;
    char separator;
    char *buffer; /* of fields that cannot be read where they stand */
    size_t capacity;
    const char *name; /* of the file, in errors */
    const nn_csv_config *config;
    nn_error *error;

    int columns;
    char **names; /* NULL: there is no header */
    use *uses;    /* of each column */
    int label, inputs;
    int64_t rows;
    label *labels; /* a hash table, which keeps their order */
    ad_tensor *x, *y;
} csv;

/* ---- errors ---- */

enum { SHOWN = 40 };

/* The beginning of a field, printable, in `out`. */
static const char *shown(const char *text, size_t size, char out[SHOWN + 4])
{
    size_t n = size < SHOWN ? size : SHOWN;
    while (n < size && n && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--; /* not within a character of UTF-8 */
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
    memcpy(out + n, n < size ? "..." : "", n < size ? 4 : 1);
    return out;
}

/* "iris.csv:17: column 3 (petal length): " before what is wrong; column -1: of the whole line */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
static bool
wrong(csv *c, int64_t line, int column, const char *format, ...)
{
    char where[200] = "", what[600], short_name[SHOWN + 4];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (column >= 0 && c->names)
        snprintf(where, sizeof where, "column %d (%s): ", column + 1,
                 shown(c->names[column], strlen(c->names[column]), short_name));
    else if (column >= 0)
        snprintf(where, sizeof where, "column %d: ", column + 1);
    nn_fail(c->error, AD_BAD_ARGUMENT, "%s:%" PRId64 ": %s%s", c->name, line, where, what);
    return false;
}

static bool no_memory(csv *c)
{
    nn_no_memory(c->error);
    return false;
}

/* ---- fields ---- */

static bool is_blank(const csv *c, char character)
{
    return (character == ' ' || character == '\t') && character != c->separator;
}

static void next_line(csv *c)
{
    c->at += c->end - c->at > 1 && c->at[0] == '\r' && c->at[1] == '\n' ? 2 : 1;
    c->line++;
}

/* What follows a field: a separator, the end of the line, or that of the text. */
static bool end_field(csv *c, field *f)
{
    f->last = c->at == c->end || *c->at != c->separator;
    if (c->at == c->end)
        return true;
    if (*c->at == c->separator)
        c->at++;
    else if (*c->at == '\n' || *c->at == '\r')
        next_line(c);
    else
        return false;
    return true;
}

static bool reserve(csv *c, size_t size)
{
    if (size < c->capacity)
        return true;
    char *grown = realloc(c->buffer, size + size / 2 + 64);
    if (!grown)
        return no_memory(c);
    c->buffer = grown;
    c->capacity = size + size / 2 + 64;
    return true;
}

/* The field again, in the buffer, with one quote for every two. */
static bool halve_quotes(csv *c, field *f)
{
    size_t n = 0;
    if (!reserve(c, f->size))
        return false;
    for (size_t i = 0; i < f->size; i++) {
        c->buffer[n++] = f->text[i];
        i += f->text[i] == '"';
    }
    f->text = c->buffer;
    f->size = n;
    return true;
}

static bool read_quoted(csv *c, field *f)
{
    bool doubled = false;
    f->text = ++c->at;
    for (; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            if (c->end - c->at < 2 || c->at[1] != '"')
                break;
            doubled = true;
            c->at++;
        } else if (*c->at == '\n' || (*c->at == '\r' && (c->end - c->at < 2 || c->at[1] != '\n')))
            c->line++;
        else if (*c->at == 0)
            return wrong(c, c->line, -1, "a zero byte: this is not a text in UTF-8");
    }
    if (c->at == c->end)
        return wrong(c, f->line, -1, "the quote that opens here is never closed");
    f->size = (size_t)(c->at++ - f->text);
    while (c->at < c->end && is_blank(c, *c->at))
        c->at++;
    if (!end_field(c, f))
        return wrong(c, c->line, -1, "text after a closing quote: a quote within is written \"\"");
    return !doubled || halve_quotes(c, f);
}

static bool read_plain(csv *c, field *f)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at != c->separator && *c->at != '\n' && *c->at != '\r') {
        if (*c->at == '"')
            return wrong(c, c->line, -1,
                         "a quote within a field that does not begin with one: put all of the "
                         "field in quotes, and write \"\" for the quote in it");
        if (*c->at == 0)
            return wrong(c, c->line, -1, "a zero byte: this is not a text in UTF-8");
        c->at++;
    }
    const char *to = c->at;
    while (to > from && is_blank(c, to[-1]))
        to--;
    f->text = from;
    f->size = (size_t)(to - from);
    return end_field(c, f);
}

static bool next_field(csv *c, field *f)
{
    while (c->at < c->end && is_blank(c, *c->at))
        c->at++;
    *f = (field){.line = c->line};
    return c->at < c->end && *c->at == '"' ? read_quoted(c, f) : read_plain(c, f);
}

static bool at_end(const csv *c)
{
    const char *p = c->at;
    while (p < c->end && (is_blank(c, *p) || *p == '\n' || *p == '\r'))
        p++;
    return p == c->end;
}

static void go_to(csv *c, const char *at, int64_t line)
{
    c->at = at;
    c->line = line;
}

/* ---- numbers ---- */

typedef struct decimal { /* digits * 10^exponent */
    uint64_t digits;
    int64_t exponent;
    bool negative, exact; /* exact: no digit was dropped */
} decimal;

static void take_digit(decimal *d, char digit, bool fraction)
{
    if (d->digits <= (UINT64_MAX - 9) / 10) {
        d->digits = 10 * d->digits + (uint64_t)(digit - '0');
        d->exponent -= fraction;
    } else
        d->exact = false;
}

static bool is_digit(const char *p, const char *end) { return p < end && *p >= '0' && *p <= '9'; }

/* number = ["+" | "-"] (digits ["." [digits]] | "." digits) [("e" | "E") ["+" | "-"] digits] */
static bool read_decimal(const char *p, const char *end, decimal *d)
{
    *d = (decimal){.exact = true};
    if (p < end && (*p == '+' || *p == '-'))
        d->negative = *p++ == '-';
    const char *from = p;
    int64_t exponent = 0;
    for (; is_digit(p, end); p++)
        take_digit(d, *p, false);
    bool digits = p > from;
    if (p < end && *p == '.')
        for (p++; is_digit(p, end); p++, digits = true)
            take_digit(d, *p, true);
    if (!digits)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool negative = ++p < end && *p == '-';
        p += p < end && (*p == '+' || *p == '-');
        if (!is_digit(p, end))
            return false;
        for (; is_digit(p, end); p++)
            exponent = exponent < 100000 ? 10 * exponent + (*p - '0') : exponent;
        d->exponent += negative ? -exponent : exponent;
    }
    return p == end;
}

/* Is the text a number? Digits below 2^53 and a power of ten up to 22 are exact doubles, and so one
 * rounding gives the nearest one (Clinger 1990); else strtod. */
static bool read_number(csv *c, const char *text, size_t size, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    decimal d;
    *value = 0;
    if (!read_decimal(text, text + size, &d))
        return false;
    if (FLT_EVAL_METHOD == 0 && d.exact && d.digits <= (uint64_t)1 << 53 && d.exponent >= -22 &&
        d.exponent <= 22) {
        double x = (double)d.digits;
        x = d.exponent < 0 ? x / powers[-d.exponent] : x * powers[d.exponent];
        *value = d.negative ? -x : x;
        return true;
    }
    if (text != c->buffer) {
        if (!reserve(c, size))
            return false;
        memcpy(c->buffer, text, size);
    } else if (!reserve(c, size)) /* it may move, and keeps its bytes */
        return false;
    c->buffer[size] = 0;
    *value = strtod(c->buffer, NULL);
    return true;
}

static bool is_word(const field *f, const char *word) /* capitals or not; word is in small ones */
{
    size_t n = strlen(word);
    for (size_t i = 0; i < n && f->size == n; i++) {
        char small = (char)(f->text[i] >= 'A' && f->text[i] <= 'Z' ? f->text[i] + 32 : f->text[i]);
        if (small != word[i])
            return false;
    }
    return f->size == n;
}

static bool is_missing(const field *f)
{
    return f->size == 0 || is_word(f, "?") || is_word(f, "na") || is_word(f, "nan") ||
           is_word(f, "n/a");
}

static bool is_infinity(field f)
{
    if (f.size && (*f.text == '+' || *f.text == '-')) {
        f.text++;
        f.size--;
    }
    return is_word(&f, "inf") || is_word(&f, "infinity");
}

static bool no_number(csv *c, const field *f, int column)
{
    char text[SHOWN + 4];
    bool comma = memchr(f->text, ',', f->size) != NULL;
    if (c->error->status) /* out of memory */
        return false;
    return wrong(c, f->line, column, "\"%s\" is not a number%s", shown(f->text, f->size, text),
                 comma ? ": decimals are written with a point" : "");
}

static bool number_of(csv *c, field f, int column, double *value)
{
    char text[SHOWN + 4];
    bool held = f.text == c->buffer; /* which may move */
    if (is_missing(&f))
        return wrong(c, f.line, column, "value missing");
    if (is_infinity(f))
        return wrong(c, f.line, column, "the value is infinite");
    if (!read_number(c, f.text, f.size, value))
        return no_number(c, &f, column);
    if (fabs(*value) <= (c->config->dtype == AD_F32 ? (double)FLT_MAX : DBL_MAX))
        return true;
    return wrong(c, f.line, column, "%s is too large for %s",
                 shown(held ? c->buffer : f.text, f.size, text), ad_dtype_name(c->config->dtype));
}

/* ---- labels of classes ---- */

static label *add_label(csv *c, const field *f)
{
    label *l = calloc(1, sizeof *l);
    if (l)
        l->text = malloc(f->size + 1);
    if (!l || !l->text || HASH_COUNT(c->labels) >= INT32_MAX) {
        free(l);
        return NULL;
    }
    memcpy(l->text, f->text, f->size);
    l->text[f->size] = 0;
    l->line = f->line;
    l->class = (int32_t)HASH_COUNT(c->labels);
    HASH_ADD_KEYPTR(hh, c->labels, l->text, f->size, l);
    if (!l->lost)
        return l;
    free(l->text);
    free(l);
    return NULL;
}

static bool label_of(csv *c, const field *f, int32_t *class)
{
    label *l = NULL;
    if (is_missing(f))
        return wrong(c, f->line, c->label, "label missing");
    HASH_FIND(hh, c->labels, f->text, f->size, l);
    if (!l && !(l = add_label(c, f)))
        return no_memory(c);
    *class = l->class;
    return true;
}

/* All labels are numbers: each must be an integer from 0. Puts them into `numbers`. */
static bool integer_classes(csv *c, int32_t *numbers)
{
    for (const label *l = c->labels; l; l = l->hh.next) {
        char text[SHOWN + 4];
        double x;
        if (!read_number(c, l->text, strlen(l->text), &x))
            return false;
        if (!(x >= 0 && x < INT32_MAX) || x != floor(x))
            return wrong(c, l->line, c->label,
                         "class %s: classes are integers from 0, or words; set regression where "
                         "the target is a number",
                         shown(l->text, strlen(l->text), text));
        numbers[l->class] = (int32_t)x;
    }
    int32_t *class = ad_tensor_data(c->y);
    for (int64_t i = 0; i < c->rows; i++)
        class[i] = numbers[class[i]];
    return true;
}

/* Labels that are all numbers are the classes themselves; else their texts are the names. */
static bool settle_labels(csv *c, bool *words)
{
    decimal d;
    *words = false;
    for (const label *l = c->labels; l && !*words; l = l->hh.next)
        *words = !read_decimal(l->text, l->text + strlen(l->text), &d);
    if (*words)
        return true;
    int32_t *numbers = malloc((HASH_COUNT(c->labels) + 1) * sizeof *numbers);
    bool good = numbers ? integer_classes(c, numbers) : no_memory(c);
    free(numbers);
    return good;
}

static bool name_classes(csv *c, nn_data *data)
{
    data->classes = calloc(HASH_COUNT(c->labels) + 1, sizeof *data->classes);
    if (!data->classes)
        return no_memory(c);
    for (label *l = c->labels; l; l = l->hh.next) {
        data->classes[l->class] = l->text;
        l->text = NULL; /* the data's own now */
    }
    return true;
}

/* ---- columns ---- */

static bool too_many_columns(csv *c) { return wrong(c, c->line, -1, "too many columns"); }

static bool add_name(csv *c, const field *f, int *capacity)
{
    if (c->columns == *capacity) {
        if (*capacity > INT32_MAX / 4)
            return too_many_columns(c);
        int more = *capacity ? 2 * *capacity : 16;
        char **names = realloc(c->names, (size_t)more * sizeof *names);
        if (!names)
            return no_memory(c);
        c->names = names;
        *capacity = more;
    }
    char *name = malloc(f->size + 1);
    if (!name)
        return no_memory(c);
    memcpy(name, f->text, f->size);
    name[f->size] = 0;
    c->names[c->columns++] = name;
    return true;
}

/* A first line of numbers, with a fraction among them, is no header: an example would be lost. */
static bool is_header(csv *c)
{
    bool point = false;
    for (int i = 0; i < c->columns; i++) {
        decimal d;
        if (!read_decimal(c->names[i], c->names[i] + strlen(c->names[i]), &d))
            return true;
        point |= strchr(c->names[i], '.') != NULL;
    }
    return !point || wrong(c, 1, -1, "the header holds only numbers: set no_header if it is data");
}

/* The header, or with no_header the number of columns. */
static bool read_columns(csv *c)
{
    field f;
    int capacity = 0;
    if (at_end(c)) {
        nn_fail(c->error, AD_BAD_ARGUMENT, "%s: the table is empty", c->name);
        return false;
    }
    do {
        if (!next_field(c, &f))
            return false;
        if (c->config->no_header && c->columns == INT32_MAX)
            return too_many_columns(c);
        if (c->config->no_header)
            c->columns++;
        else if (!add_name(c, &f, &capacity))
            return false;
    } while (!f.last);
    if (c->config->no_header)
        go_to(c, c->begin, 1);
    return c->config->no_header || is_header(c);
}

static bool unknown_column(csv *c, const char *what, const char *asked)
{
    char hint[600] = "", text[SHOWN + 4];
    if (c->names)
        nn_names_hint(asked, c->columns, c->names, sizeof hint, hint);
    else
        snprintf(hint, sizeof hint, ": without a header, columns go by number, 0 to %d",
                 c->columns - 1);
    nn_fail(c->error, AD_BAD_ARGUMENT, "%s: no column \"%s\" (%s)%s", c->name,
            shown(asked, strlen(asked), text), what, hint);
    return false;
}

/* By name, or by number from 0. */
static bool find_column(csv *c, const char *what, const char *asked, int *column)
{
    int64_t number = 0;
    const char *p = asked;
    *column = -1;
    for (int i = 0; c->names && i < c->columns; i++)
        if (strcmp(c->names[i], asked) == 0) {
            if (*column >= 0)
                return wrong(c, 1, i,
                             "columns %d and %d have the same name: ask by number (from 0)",
                             *column + 1, i + 1);
            *column = i;
        }
    if (*column >= 0)
        return true;
    for (; *p >= '0' && *p <= '9' && number < INT32_MAX; p++)
        number = 10 * number + (*p - '0');
    if (!*asked || *p || number >= c->columns)
        return unknown_column(c, what, asked);
    *column = (int)number;
    return true;
}

static bool choose_label(csv *c)
{
    c->label = -1;
    if (c->config->no_label)
        return true;
    if (c->config->label && !find_column(c, "the label", c->config->label, &c->label))
        return false;
    for (int i = c->columns - 1; i >= 0 && c->label < 0; i--)
        c->label = c->uses[i] == USE_INPUT ? i : -1;
    if (c->label >= 0 && c->uses[c->label] == USE_NOT) {
        nn_fail(c->error, AD_BAD_ARGUMENT, "%s: the label's column, \"%s\", is skipped too",
                c->name, c->config->label);
        return false;
    }
    if (c->label >= 0)
        c->uses[c->label] = USE_LABEL;
    return true;
}

static bool choose_columns(csv *c)
{
    int column;
    c->uses = calloc((size_t)c->columns, sizeof *c->uses); /* all are inputs */
    if (!c->uses)
        return no_memory(c);
    for (int i = 0; c->config->skip && c->config->skip[i]; i++) {
        if (!find_column(c, "to be skipped", c->config->skip[i], &column))
            return false;
        c->uses[column] = USE_NOT;
    }
    if (!choose_label(c))
        return false;
    for (int i = 0; i < c->columns; i++)
        c->inputs += c->uses[i] == USE_INPUT;
    if (c->inputs == 0)
        nn_fail(c->error, AD_BAD_ARGUMENT,
                "%s: of its columns (%d) none is left as an input: is '%c' the separator?", c->name,
                c->columns, c->separator);
    return c->inputs > 0;
}

/* ---- rows ---- */

static bool count_rows(csv *c)
{
    const char *begin = c->at;
    int64_t line = c->line, most = c->config->max_rows;
    while (!at_end(c)) {
        int64_t first = c->line, fields = 0;
        field f = {0};
        while (!f.last) {
            if (!next_field(c, &f))
                return false;
            fields++;
        }
        if (fields != c->columns || (fields == 1 && f.size == 0))
            return wrong(c, first, -1, "%" PRId64 " field%s, want %d%s", fields,
                         fields == 1 ? "" : "s", c->columns,
                         fields == 1 && f.size == 0 ? ": the line is blank" : "");
        if (most && c->rows == most)
            return wrong(c, first, -1, "more than %" PRId64 " rows (max_rows)", most);
        c->rows++;
    }
    go_to(c, begin, line);
    if (c->rows == 0)
        nn_fail(c->error, AD_BAD_ARGUMENT, "%s: no rows after the header", c->name);
    return c->rows > 0;
}

static void put_number(ad_dtype dtype, void *data, int64_t i, double value)
{
    if (dtype == AD_F32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

static bool read_rows(csv *c)
{
    ad_dtype dtype = c->config->dtype;
    void *x = ad_tensor_data(c->x), *y = ad_tensor_data(c->y);
    int64_t at = 0;
    field f;
    for (int64_t row = 0; row < c->rows; row++)
        for (int column = 0; column < c->columns; column++) {
            bool class = c->uses[column] == USE_LABEL && !c->config->regression;
            double value = 0;
            if (!next_field(c, &f))
                return false;
            if (c->uses[column] == USE_NOT)
                continue;
            if (!(class ? label_of(c, &f, (int32_t *)y + row) : number_of(c, f, column, &value)))
                return false;
            if (c->uses[column] == USE_INPUT)
                put_number(dtype, x, at++, value);
            else if (!class)
                put_number(dtype, y, row, value);
        }
    return true;
}

static bool make_tensors(csv *c)
{
    const int64_t shape[2] = {c->rows, c->inputs}, column[2] = {c->rows, 1};
    bool regression = c->config->regression;
    c->x = ad_tensor_new(NULL, c->config->dtype, 2, shape);
    if (c->label >= 0)
        c->y =
            ad_tensor_new(NULL, regression ? c->config->dtype : AD_I32, regression ? 2 : 1, column);
    return (c->x && (c->y || c->label < 0)) || no_memory(c);
}

/* ---- data ---- */

static bool name_columns(csv *c, nn_data *data)
{
    if (!c->names)
        return true;
    data->columns = calloc((size_t)c->inputs, sizeof *data->columns);
    if (!data->columns)
        return no_memory(c);
    for (int i = 0; i < c->columns; i++)
        if (c->uses[i] == USE_INPUT) {
            data->columns[data->n_columns++] = c->names[i];
            c->names[i] = NULL; /* the data's own now */
        }
    return true;
}

static nn_data *read_table(csv *c)
{
    bool words = false, classes;
    if (!read_columns(c) || !choose_columns(c) || !count_rows(c) || !make_tensors(c) ||
        !read_rows(c))
        return NULL;
    classes = c->label >= 0 && !c->config->regression;
    if (classes && !settle_labels(c, &words))
        return NULL;
    nn_data *data = nn_data_new(1, &c->x, c->y, NULL, c->error);
    if (data && (!name_columns(c, data) || (words && !name_classes(c, data)))) {
        nn_data_free(data);
        return NULL;
    }
    return data;
}

static void release(csv *c)
{
    label *l, *next;
    HASH_ITER(hh, c->labels, l, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the table goes with its last label
        HASH_DEL(c->labels, l);
        free(l->text);
        free(l);
    }
    nn_names_free(c->names ? c->columns : 0, c->names);
    free(c->uses);
    free(c->buffer);
    ad_tensor_free(c->x);
    ad_tensor_free(c->y);
}

static bool good_config(const nn_csv_config *config, const char *name, nn_error *error)
{
    char s = config->separator;
    if (s == '"' || s == '\n' || s == '\r' || s == '.' || (s >= '0' && s <= '9'))
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: a quote, a line's end, a point or a digit cannot be "
                "the separator",
                name);
    else if (config->dtype != AD_F64 && config->dtype != AD_F32)
        nn_fail(error, AD_BAD_DTYPE, "%s: inputs are double or float, not %s", name,
                config->dtype == AD_I32 ? "int32" : "of an unknown type");
    else if (config->max_rows < 0)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: max_rows is negative", name);
    else if (config->no_label && config->label)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: no_label is set, and the label is \"%.100s\" too",
                name, config->label);
    else
        return true;
    return false;
}

static nn_data *parse(const char *text, size_t size, const nn_csv_config *config, const char *name,
                      nn_error *error)
{
    static const nn_csv_config defaults = {0};
    nn_error own;
    nn_numbers numbers;
    csv c = {.separator = ',', .name = name, .error = nn_error_or(error, &own)};
    c.config = config ? config : &defaults;
    if (!good_config(c.config, name, c.error))
        return NULL;
    if (c.config->separator)
        c.separator = c.config->separator;
    bool mark = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0; /* byte order mark */
    c.begin = text + (mark ? 3 : 0);
    c.end = text + size;
    go_to(&c, c.begin, 1);
    if (!nn_c_numbers(&numbers)) {
        nn_no_memory(c.error);
        return NULL;
    }
    nn_data *data = read_table(&c);
    nn_own_numbers(&numbers);
    release(&c);
    return data;
}

nn_data *nn_parse_csv(const char *text, size_t size, const nn_csv_config *config, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!text) {
        nn_fail(error, AD_NULL, "csv: the text is NULL");
        return NULL;
    }
    return parse(text, size, config, "csv", error);
}

nn_data *nn_read_csv(const char *path, const nn_csv_config *config, nn_error *error)
{
    char *text;
    size_t size;
    if (nn_earlier(error) || nn_read_file(path, NN_FILE_LIMIT, &text, &size, error))
        return NULL;
    nn_data *data = parse(text, size, config, path, error);
    free(text);
    return data;
}
