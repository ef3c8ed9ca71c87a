/* columns.c - see columns.h */
#include "columns.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_name[] = "tapegrad columns 1";

bool table_error(nn_error *error, ad_status status, const char *format, ...)
{
    va_list arguments;
    if (error->status)
        return false;
    error->status = status;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool no_memory(nn_error *error) { return table_error(error, AD_NO_MEMORY, "out of memory"); }

static char *joined(const char *a, const char *b)
{
    char *text = malloc(strlen(a) + strlen(b) + 1);
    if (text)
        strcat(strcpy(text, a), b);
    return text;
}

const char *columns_class(const nn_data *data, int k, char number[16])
{
    const char *word = nn_data_class(data, k);
    if (word)
        return word;
    snprintf(number, 16, "%d", k);
    return number;
}

/* ---- writing ---- */

static json_t *inputs_of(const nn_data *data)
{
    json_t *list = json_array();
    const char *name;
    for (int i = 0; list && (name = nn_data_column(data, i)) != NULL; i++)
        if (json_array_append_new(list, json_string(name))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *classes_of(const nn_data *data)
{
    json_t *list = json_array();
    char number[16];
    for (int k = 0; list && k < nn_data_class_count(data); k++)
        if (json_array_append_new(list, json_string(columns_class(data, k, number)))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Written aside and renamed: a crash leaves the old file. */
static bool write_aside(const json_t *root, const char *path, nn_error *error)
{
    char *aside = joined(path, ".tmp");
    if (!aside)
        return no_memory(error);
    errno = 0;
    FILE *to = fopen(aside, "w");
    bool good = to && json_dumpf(root, to, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0 &&
                fputc('\n', to) != EOF;
    good = to && fclose(to) == 0 && good && rename(aside, path) == 0;
    if (!good)
        table_error(error, AD_BAD_ARGUMENT, "%s: cannot write it%s%s", path, errno ? ": " : "",
                    errno ? strerror(errno) : "");
    free(aside);
    return good;
}

bool columns_write(const char *model, const nn_data *data, const char *target, bool regression,
                   nn_error *error)
{
    if (error->status)
        return false;
    char *path = joined(model, COLUMNS_SUFFIX);
    json_t *root = json_object();
    bool good = root && !json_object_set_new(root, "format", json_string(format_name)) &&
                !json_object_set_new(root, "inputs", inputs_of(data)) &&
                !json_object_set_new(root, "target", json_string(target)) &&
                !json_object_set_new(root, "classes", regression ? json_null() : classes_of(data));
    if (path && !good) /* json_string gives NULL for what is not UTF-8 */
        table_error(error, AD_BAD_ARGUMENT, "%s: the names of columns and classes must be UTF-8",
                    path);
    good = path ? good && write_aside(root, path, error) : no_memory(error);
    json_decref(root);
    free(path);
    return good;
}

/* ---- reading ---- */

/* The strings of a list; false where it is none. */
static bool strings(const json_t *list, int *n, const char ***out)
{
    const size_t count = json_array_size(list);
    if (!json_is_array(list) || count > INT32_MAX / 8)
        return false;
    *out = calloc(count + 1, sizeof **out);
    for (size_t i = 0; *out && i < count; i++)
        if (!((*out)[i] = json_string_value(json_array_get(list, i))))
            return false;
    *n = (int)count;
    return *out != NULL;
}

static bool take(columns *c, const json_t *root)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const json_t *classes = json_object_get(root, "classes");
    c->target = json_string_value(json_object_get(root, "target"));
    return format && strcmp(format, format_name) == 0 && c->target &&
           strings(json_object_get(root, "inputs"), &c->n_inputs, &c->inputs) &&
           (json_is_null(classes) || strings(classes, &c->n_classes, &c->classes));
}

bool columns_read(columns *c, const char *model, nn_error *error)
{
    json_error_t where;
    *c = (columns){0};
    if (error->status)
        return false;
    char *path = joined(model, COLUMNS_SUFFIX);
    if (!path)
        return no_memory(error);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    c->held = root;
    if (!root && where.line < 0)
        table_error(error, AD_BAD_ARGUMENT,
                    "%s: cannot read it; `tapegrad train --save` writes it beside the model", path);
    else if (!root)
        table_error(error, AD_BAD_ARGUMENT, "%s:%d: %s", path, where.line, where.text);
    else if (!take(c, root))
        table_error(error, AD_BAD_ARGUMENT, "%s: this is no \"%s\"", path, format_name);
    free(path);
    return error->status == AD_OK;
}

void columns_free(columns *c)
{
    json_decref(c->held);
    free(c->inputs);
    free(c->classes);
    *c = (columns){0};
}

/* ---- the header ---- */

typedef struct text {
    char *bytes;
    size_t size, room;
} text;

static bool put(text *t, int byte)
{
    if (t->size == t->room) {
        const size_t room = 2 * t->room + 256;
        char *more = realloc(t->bytes, room);
        if (!more)
            return false;
        t->bytes = more;
        t->room = room;
    }
    t->bytes[t->size++] = (char)byte;
    return true;
}

/* The first line, and below it one of zeros: a table that the reader of tables takes, so that names
 * are read by it, quotes and all, whatever stands below them in the file. */
static bool header_and_zeros(FILE *from, text *t)
{
    enum { MOST = 1 << 24 };
    int byte, separators = 0;
    bool quoted = false;
    while ((byte = getc(from)) != EOF && (quoted || (byte != '\n' && byte != '\r'))) {
        quoted ^= byte == '"';
        separators += byte == ',' && !quoted;
        if (t->size > MOST || !put(t, byte))
            return false;
    }
    bool good = put(t, '\n') && put(t, '0');
    for (; good && separators; separators--)
        good = put(t, ',') && put(t, '0');
    return good;
}

nn_data *columns_header(const char *path, nn_error *error)
{
    nn_error inner = {0};
    text t = {0};
    if (error->status)
        return NULL;
    FILE *from = fopen(path, "rb");
    if (!from) {
        table_error(error, AD_BAD_ARGUMENT, "%s: cannot open it: %s", path, strerror(errno));
        return NULL;
    }
    nn_data *header = NULL;
    if (!header_and_zeros(from, &t))
        no_memory(error);
    else if (!(header = nn_parse_csv(t.bytes, t.size, &(nn_csv_config){.no_label = true}, &inner)))
        table_error(error, inner.status, "%s: its first line: %s", path, inner.text);
    fclose(from);
    free(t.bytes);
    return header;
}
