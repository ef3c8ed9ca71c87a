/* safetensors.c - files of named tensors: Hugging Face's format
 *
 * Eight bytes give the length of the header, little end first; the header is JSON,
 * {"__metadata__": {key: text}, name: {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}};
 * the elements follow, row-major, little end first, the tensors one behind the other without gaps.
 * What is written is, byte for byte, what the Python package writes for the same tensors. Elements
 * are put together from bytes, so that the order of bytes in this machine does not matter. */
#define _POSIX_C_SOURCE 200809L
#include "safetensors.h"

#include <float.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "file.h"

enum { LENGTH_BYTES = 8, LONGEST_HEADER = 100000000, ALIGNED_TO = 8, CHUNK = 1 << 13 };
static const char metadata_name[] = "__metadata__";

/* ---- elements ---------------------------------------------------------------------------- */

static uint64_t load(const unsigned char *from, int bytes)
{
    uint64_t bits = 0;
    for (int i = bytes; i-- > 0;)
        bits = bits << 8 | from[i];
    return bits;
}

static void store(unsigned char *to, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(bits >> 8 * i);
}

static bool copy_8(const unsigned char *from, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = load(from + 8 * i, 8);
        memcpy((char *)to + 8 * i, &bits, 8);
    }
    return true;
}

static bool copy_4(const unsigned char *from, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)load(from + 4 * i, 4);
        memcpy((char *)to + 4 * i, &bits, 4);
    }
    return true;
}

/* float16: 1 bit of sign, 5 of exponent, 10 of fraction */
static uint32_t widened(uint32_t half)
{
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 1023u;
    if (exponent == 31)
        return sign | 0x7f800000u | fraction << 13;
    if (exponent > 0)
        return sign | (exponent + 127 - 15) << 23 | fraction << 13;
    float value = (float)fraction * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return sign | bits;
}

static bool from_f16(const unsigned char *from, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = widened((uint32_t)load(from + 2 * i, 2));
        memcpy((char *)to + 4 * i, &bits, 4);
    }
    return true;
}

/* bfloat16 is the upper half of a float */
static bool from_bf16(const unsigned char *from, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)load(from + 2 * i, 2) << 16;
        memcpy((char *)to + 4 * i, &bits, 4);
    }
    return true;
}

static int64_t signed_of(uint64_t bits, int bytes)
{
    uint64_t top = (uint64_t)1 << (8 * bytes - 1);
    return bits < top ? (int64_t)bits : -(int64_t)(top - 1 - (bits - top)) - 1;
}

static bool from_signed(const unsigned char *from, int64_t n, int bytes, int32_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t value = signed_of(load(from + bytes * i, bytes), bytes);
        if (value < INT32_MIN || value > INT32_MAX)
            return false;
        to[i] = (int32_t)value;
    }
    return true;
}

static bool from_i64(const unsigned char *from, int64_t n, void *to)
{
    return from_signed(from, n, 8, to);
}

static bool from_i16(const unsigned char *from, int64_t n, void *to)
{
    return from_signed(from, n, 2, to);
}

static bool from_i8(const unsigned char *from, int64_t n, void *to)
{
    return from_signed(from, n, 1, to);
}

static bool from_u8(const unsigned char *from, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++)
        ((int32_t *)to)[i] = from[i];
    return true;
}

typedef struct element_type {
    const char *name;
    int bytes;
    ad_dtype dtype;                                               /* that it becomes */
    bool (*read)(const unsigned char *from, int64_t n, void *to); /* false: does not fit */
} element_type;

/* The first three, in this order, are those written: indexed by ad_dtype. */
static const element_type types[] = {
    {"F64", 8, AD_F64, copy_8},   {"F32", 4, AD_F32, copy_4},     {"I32", 4, AD_I32, copy_4},
    {"F16", 2, AD_F32, from_f16}, {"BF16", 2, AD_F32, from_bf16}, {"I64", 8, AD_I32, from_i64},
    {"I16", 2, AD_I32, from_i16}, {"I8", 1, AD_I32, from_i8},     {"U8", 1, AD_I32, from_u8},
    {"BOOL", 1, AD_I32, from_u8},
};
_Static_assert(AD_F64 == 0 && AD_F32 == 1 && AD_I32 == 2, "types begins with the dtypes");

static const element_type *type_of(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name))
            return &types[i];
    return NULL;
}

/* ---- reading the header ------------------------------------------------------------------ */

typedef struct entry { /* what the header says of one tensor */
    const char *name;
    const element_type *type;
    int rank;
    int64_t shape[AD_MAX_RANK], elements;
    uint64_t begin, end;
} entry;

static ad_status bad(nn_error *error, const char *path, const char *name, const char *what)
{
    return nn_fail(error, AD_BAD_ARGUMENT, "%s: tensor '%.100s': %s", path, name, what);
}

static ad_status read_shape(const char *path, entry *e, const json_t *list, nn_error *error)
{
    bool empty = false;
    uint64_t elements = 1, most = INT64_MAX / 8;
    if (!json_is_array(list))
        return bad(error, path, e->name, "its shape is no list of sizes");
    if (json_array_size(list) > AD_MAX_RANK)
        return nn_fail(error, AD_BAD_SHAPE,
                       "%s: tensor '%.100s': %zu axes, but at most %d can be read", path, e->name,
                       json_array_size(list), AD_MAX_RANK);
    e->rank = (int)json_array_size(list);
    for (int i = 0; i < e->rank; i++) {
        const json_t *size = json_array_get(list, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad(error, path, e->name, "a size in its shape is no integer from 0");
        e->shape[i] = (int64_t)json_integer_value(size);
        if (e->shape[i] == 0)
            empty = true;
        else if ((uint64_t)e->shape[i] > most / elements)
            return bad(error, path, e->name, "the product of its shape is too large");
        else
            elements *= (uint64_t)e->shape[i];
    }
    e->elements = empty ? 0 : (int64_t)elements;
    return AD_OK;
}

static ad_status read_offsets(const char *path, entry *e, const json_t *list, size_t data,
                              nn_error *error)
{
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return bad(error, path, e->name,
                   "its data_offsets are no [begin, end] with 0 <= begin <= end");
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    if (e->end > data)
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "%s: tensor '%.100s' ends at byte %llu of the data, of which there are %zu: the "
            "file was cut off, copy it anew",
            path, e->name, (unsigned long long)e->end, data);
    if ((uint64_t)e->elements * (uint64_t)e->type->bytes != e->end - e->begin)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: tensor '%.100s': its shape needs %lld elements of %d bytes, its "
                       "data_offsets have %llu bytes",
                       path, e->name, (long long)e->elements, e->type->bytes,
                       (unsigned long long)(e->end - e->begin));
    return AD_OK;
}

static ad_status read_entry(const char *path, const char *name, const json_t *about, size_t data,
                            entry *e, nn_error *error)
{
    const char *type = json_string_value(json_object_get(about, "dtype"));
    *e = (entry){.name = name, .type = type ? type_of(type) : NULL};
    if (!type)
        return bad(error, path, name, "the header gives no dtype");
    if (!e->type)
        return nn_fail(
            error, AD_BAD_DTYPE,
            "%s: tensor '%.100s': its dtype is '%.20s': F64, F32, F16, BF16, I64, I32, I16, "
            "I8, U8 and BOOL can be read",
            path, name, type);
    ad_status status = read_shape(path, e, json_object_get(about, "shape"), error);
    return status ? status
                  : read_offsets(path, e, json_object_get(about, "data_offsets"), data, error);
}

static int by_place(const void *a, const void *b)
{
    const entry *p = a, *q = b;
    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    if (p->end != q->end)
        return p->end < q->end ? -1 : 1;
    return strcmp(p->name, q->name);
}

/* One behind the other, from the first byte to the last: nothing can hide between them. */
static ad_status check_places(const char *path, int n, entry *entries, size_t data, nn_error *error)
{
    uint64_t at = 0;
    qsort(entries, (size_t)n, sizeof *entries, by_place);
    for (int i = 0; i < n; i++) {
        if (entries[i].begin != at)
            return nn_fail(
                error, AD_BAD_ARGUMENT,
                "%s: tensor '%.100s' begins at byte %llu of the data, but the one before it "
                "ends at %llu: there must be neither gaps nor overlaps",
                path, entries[i].name, (unsigned long long)entries[i].begin,
                (unsigned long long)at);
        at = entries[i].end;
    }
    if (at != data)
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "%s: %zu bytes of data, but its tensors have %llu: damaged, or not written to "
            "its end",
            path, data, (unsigned long long)at);
    return AD_OK;
}

/* ---- reading ----------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static ad_status read_metadata(const char *path, json_t *texts, nn_tensor_file *file,
                               nn_error *error)
{
    const char *key;
    json_t *value;
    size_t n = json_object_size(texts);
    if (texts && !json_is_object(texts))
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: its __metadata__ is no object of texts", path);
    if (n == 0)
        return AD_OK;
    file->keys = calloc(n, sizeof *file->keys);
    file->values = calloc(n, sizeof *file->values);
    if (!file->keys || !file->values)
        return nn_no_memory(error);
    json_object_foreach(texts, key, value)
    {
        int i = file->n_metadata;
        if (!json_is_string(value))
            return nn_fail(error, AD_BAD_ARGUMENT, "%s: its __metadata__: '%.100s' is no text",
                           path, key);
        file->keys[i] = copy_text(key);
        file->values[i] = copy_text(json_string_value(value));
        file->n_metadata++;
        if (!file->keys[i] || !file->values[i])
            return nn_no_memory(error);
    }
    return AD_OK;
}

static ad_status read_tensor(const char *path, const entry *e, const unsigned char *data,
                             const ad_context *context, ad_param **to, nn_error *error)
{
    ad_tensor *t = ad_tensor_new(context, e->type->dtype, e->rank, e->shape);
    if (!t)
        return nn_fail(error, AD_NO_MEMORY, "%s: tensor '%.100s': out of memory", path, e->name);
    if (!e->type->read(data + e->begin, e->elements, ad_tensor_data(t))) {
        ad_tensor_free(t);
        return bad(error, path, e->name, "an integer in it does not fit into 32 bits");
    }
    *to = ad_param_new(e->name, t, false);
    return *to ? AD_OK : nn_no_memory(error);
}

static ad_status read_entries(const char *path, json_t *header, const unsigned char *data,
                              size_t size, const ad_context *context, entry *entries,
                              nn_tensor_file *file, nn_error *error)
{
    const char *name;
    json_t *about;
    int n = 0;
    ad_status status = AD_OK;
    json_object_foreach(header, name, about)
    {
        if (strcmp(name, metadata_name) != 0)
            status = read_entry(path, name, about, size, &entries[n++], error);
        if (status)
            return status;
    }
    status = check_places(path, n, entries, size, error);
    for (int i = 0; !status && i < n; i++) {
        status = read_tensor(path, &entries[i], data, context, &file->tensors[i], error);
        file->n += !status;
    }
    return status;
}

static ad_status read_header(const char *path, json_t *header, const char *data, size_t size,
                             const ad_context *context, nn_tensor_file *file, nn_error *error)
{
    size_t n = json_object_size(header) + 1; /* one more: calloc(0) may be NULL */
    entry *entries = calloc(n, sizeof *entries);
    file->tensors = calloc(n, sizeof(*file->tensors));
    ad_status status = entries && file->tensors ? AD_OK : nn_no_memory(error);
    if (!status)
        status = read_metadata(path, json_object_get(header, metadata_name), file, error);
    if (!status)
        status = read_entries(path, header, (const unsigned char *)data, size, context, entries,
                              file, error);
    free(entries);
    return status;
}

static json_t *parse_header(const char *path, const char *text, size_t length, nn_error *error)
{
    json_error_t why = {0};
    json_t *header = *text == '{' ? json_loadb(text, length, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (header)
        return header;
    if (*text == '{' && !*why.text) /* what jansson says when it is out of memory */
        nn_no_memory(error);
    else if (*text == '{')
        nn_fail(error, AD_BAD_ARGUMENT, "%s: its header, at byte %d: %s", path,
                LENGTH_BYTES + why.position, why.text);
    else
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: its header does not begin with '{': no safetensors file", path);
    return NULL;
}

ad_status nn_tensor_file_parse(const char *path, const char *bytes, size_t size,
                               const ad_context *context, nn_tensor_file *file, nn_error *error)
{
    *file = (nn_tensor_file){0};
    if (size < LENGTH_BYTES + 2)
        return nn_fail(
            error, AD_BAD_ARGUMENT,
            "%s: %zu bytes are too few for a safetensors file: cut off, or another format", path,
            size);
    uint64_t length = load((const unsigned char *)bytes, LENGTH_BYTES);
    if (length > LONGEST_HEADER || length > size - LENGTH_BYTES || length < 2)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: its first 8 bytes say that %llu bytes of header follow, but %s: no "
                       "safetensors file, or cut off",
                       path, (unsigned long long)length,
                       length > LONGEST_HEADER ? "at most 100000000 are allowed"
                       : length < 2            ? "\"{}\" are 2"
                                               : "the file is shorter");
    json_t *header = parse_header(path, bytes + LENGTH_BYTES, (size_t)length, error);
    if (!header)
        return nn_earlier(error) == AD_NO_MEMORY ? AD_NO_MEMORY : AD_BAD_ARGUMENT;
    ad_status status = read_header(path, header, bytes + LENGTH_BYTES + length,
                                   size - LENGTH_BYTES - (size_t)length, context, file, error);
    json_decref(header);
    if (status)
        nn_tensor_file_free(file);
    return status;
}

/* No more is read of a file whose first bytes cannot be right. */
static size_t claimed_size(const char *head, size_t size)
{
    uint64_t length = size < LENGTH_BYTES ? 0 : load((const unsigned char *)head, LENGTH_BYTES);
    return length < 2 || length > LONGEST_HEADER ? 0 : NN_FILE_LIMIT;
}

ad_status nn_tensor_file_read(const char *path, const ad_context *context, nn_tensor_file *file,
                              nn_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    *file = (nn_tensor_file){0};
    ad_status status = nn_read_claimed(path, claimed_size, &bytes, &size, error);
    if (!status)
        status = nn_tensor_file_parse(path, bytes, size, context, file, error);
    free(bytes);
    return status;
}

void nn_tensor_file_free(nn_tensor_file *file)
{
    for (int i = 0; i < file->n; i++)
        ad_param_free(file->tensors[i]);
    for (int i = 0; i < file->n_metadata; i++) {
        free(file->keys[i]);
        free(file->values[i]);
    }
    free(file->tensors);
    free(file->keys);
    free(file->values);
    *file = (nn_tensor_file){0};
}

ad_tensor *nn_tensor_file_find(const nn_tensor_file *file, const char *name)
{
    for (int i = 0; i < file->n; i++)
        if (!strcmp(ad_param_name(file->tensors[i]), name))
            return ad_param_value(file->tensors[i]);
    return NULL;
}

const char *nn_tensor_file_text(const nn_tensor_file *file, const char *key)
{
    for (int i = 0; i < file->n_metadata; i++)
        if (!strcmp(file->keys[i], key))
            return file->values[i];
    return NULL;
}

/* ---- JSON strings ------------------------------------------------------------------------ */

/* The bytes of the letter of UTF-8 that begins here; 0 if none does. */
static int letter_bytes(const unsigned char *s)
{
    int n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
        (*s == 0xf4 && s[1] > 0x8f))
        return 0; /* longer than need be, surrogates, beyond U+10FFFF */
    return n;
}

bool nn_put_json_text(FILE *to, const char *text)
{
    static const char plain[] = "\"\\\b\f\n\r\t", escaped[] = "\"\\bfnrt";
    fputc('"', to);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const char *special = strchr(plain, *s);
        int n = letter_bytes(s);
        if (special)
            fprintf(to, "\\%c", escaped[special - plain]);
        else if (*s < 0x20)
            fprintf(to, "\\u%04x", *s);
        else if (n > 0)
            fwrite(s, 1, (size_t)n, to);
        else
            return false;
        s += n;
    }
    fputc('"', to);
    return true;
}

/* ---- writing ----------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const nn_named_tensor *p = a, *q = b;
    return strcmp(p->name, q->name);
}

/* The package's order: the widest elements first, so that all are aligned, then by name. */
static int by_type_and_name(const void *a, const void *b)
{
    const nn_named_tensor *p = a, *q = b;
    ad_dtype d = ad_tensor_dtype(p->tensor), e = ad_tensor_dtype(q->tensor);
    return d != e ? (d < e ? -1 : 1) : strcmp(p->name, q->name);
}

static ad_status check_tensors(const char *path, int n, const nn_named_tensor *tensors,
                               nn_error *error)
{
    if (n < 0 || (n > 0 && !tensors))
        return nn_fail(error, AD_NULL, "%s: no tensors to write", path);
    for (int i = 0; i < n; i++) {
        if (!tensors[i].name || !tensors[i].tensor)
            return nn_fail(error, AD_NULL, "%s: tensor %d to write, or its name, is NULL", path, i);
        if (!strcmp(tensors[i].name, metadata_name))
            return bad(error, path, metadata_name, "the format keeps this name for itself");
        if (tensors[i].transposed && ad_tensor_rank(tensors[i].tensor) != 2)
            return nn_fail(error, AD_BAD_SHAPE,
                           "%s: tensor '%.100s': only a matrix can be transposed", path,
                           tensors[i].name);
    }
    return AD_OK;
}

/* A sorted copy, without names that occur twice; NULL after an error. */
static nn_named_tensor *sorted(const char *path, int n, const nn_named_tensor *tensors,
                               nn_error *error)
{
    nn_named_tensor *copy = calloc((size_t)n + 1, sizeof *copy);
    if (!copy) {
        nn_no_memory(error);
        return NULL;
    }
    if (n > 0)
        memcpy(copy, tensors, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, by_name);
    for (int i = 1; i < n; i++)
        if (!strcmp(copy[i - 1].name, copy[i].name)) {
            bad(error, path, copy[i].name, "two tensors to write have this name");
            free(copy);
            return NULL;
        }
    qsort(copy, (size_t)n, sizeof *copy, by_type_and_name);
    return copy;
}

/* The axes in the order in which they are written. */
static int axis_of(const nn_named_tensor *t, int i) { return t->transposed ? 1 - i : i; }

static ad_status put_metadata(FILE *to, const char *path, const char *const *metadata,
                              nn_error *error)
{
    fprintf(to, "\"%s\":{", metadata_name);
    for (int i = 0; metadata[i]; i += 2) {
        if (!metadata[i + 1])
            return nn_fail(error, AD_NULL, "%s: metadata '%.100s' without a text: want pairs", path,
                           metadata[i]);
        for (int k = 0; k < i; k += 2)
            if (!strcmp(metadata[k], metadata[i]))
                return nn_fail(error, AD_BAD_ARGUMENT, "%s: metadata '%.100s' is given twice", path,
                               metadata[i]);
        if (i > 0)
            fputc(',', to);
        bool ok = nn_put_json_text(to, metadata[i]);
        fputc(':', to);
        if (!ok || !nn_put_json_text(to, metadata[i + 1]))
            return nn_fail(error, AD_BAD_ARGUMENT, "%s: metadata '%.100s' is not UTF-8", path,
                           metadata[i]);
    }
    fputc('}', to);
    return AD_OK;
}

static ad_status put_entry(FILE *to, const char *path, const nn_named_tensor *t, uint64_t *at,
                           nn_error *error)
{
    const element_type *type = &types[ad_tensor_dtype(t->tensor)];
    if (!nn_put_json_text(to, t->name))
        return bad(error, path, t->name, "its name is not UTF-8");
    fprintf(to, ":{\"dtype\":\"%s\",\"shape\":[", type->name);
    for (int i = 0; i < ad_tensor_rank(t->tensor); i++)
        fprintf(to, "%s%lld", i ? "," : "", (long long)ad_tensor_shape(t->tensor)[axis_of(t, i)]);
    uint64_t end = *at + (uint64_t)ad_tensor_size(t->tensor) * (uint64_t)type->bytes;
    fprintf(to, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*at,
            (unsigned long long)end);
    *at = end;
    return AD_OK;
}

static ad_status put_header(FILE *to, const char *path, int n, const nn_named_tensor *tensors,
                            const char *const *metadata, nn_error *error)
{
    ad_status status = AD_OK;
    const bool texts = metadata && metadata[0];
    uint64_t at = 0;
    fputc('{', to);
    if (texts)
        status = put_metadata(to, path, metadata, error);
    for (int i = 0; !status && i < n; i++) {
        if (texts || i > 0)
            fputc(',', to);
        status = put_entry(to, path, &tensors[i], &at, error);
    }
    fputc('}', to);
    return status;
}

/* The header in memory, since its length comes first; NULL after an error. */
static char *header_text(const char *path, int n, const nn_named_tensor *tensors,
                         const char *const *metadata, size_t *length, nn_error *error)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, length);
    if (!to) {
        nn_no_memory(error);
        return NULL;
    }
    ad_status status = put_header(to, path, n, tensors, metadata, error);
    bool whole = !ferror(to);
    whole = fclose(to) == 0 && whole;
    if (!status && whole && *length <= LONGEST_HEADER)
        return text;
    if (!status && whole)
        nn_fail(error, AD_TOO_LARGE, "%s: names and metadata take more than 100000000 bytes", path);
    else if (!status)
        nn_no_memory(error);
    free(text);
    return NULL;
}

/* The elements, last written axis fastest, by way of a buffer of their bytes. */
static void put_elements(FILE *to, const nn_named_tensor *t)
{
    unsigned char chunk[CHUNK];
    const int bytes = types[ad_tensor_dtype(t->tensor)].bytes, rank = ad_tensor_rank(t->tensor);
    const char *data = ad_tensor_data_const(t->tensor);
    int64_t index[AD_MAX_RANK] = {0}, offset = 0;
    int used = 0;
    for (int64_t left = ad_tensor_size(t->tensor); left > 0; left--) {
        uint32_t narrow;
        uint64_t bits;
        if (bytes == 8) {
            memcpy(&bits, data + 8 * offset, 8);
        } else {
            memcpy(&narrow, data + 4 * offset, 4);
            bits = narrow;
        }
        store(chunk + used, bits, bytes);
        used += bytes;
        if (used == CHUNK || left == 1) {
            fwrite(chunk, 1, (size_t)used, to);
            used = 0;
        }
        for (int i = rank; i-- > 0;) {
            const int axis = axis_of(t, i);
            const int64_t stride = ad_tensor_strides(t->tensor)[axis];
            offset += stride;
            if (++index[i] < ad_tensor_shape(t->tensor)[axis])
                break;
            offset -= stride * index[i];
            index[i] = 0;
        }
    }
}

ad_status nn_tensor_file_put(FILE *to, const char *path, int n, const nn_named_tensor *tensors,
                             const char *const *metadata, nn_error *error)
{
    nn_error own;
    size_t length = 0;
    unsigned char count[LENGTH_BYTES];
    error = nn_error_or(error, &own);
    if (check_tensors(path, n, tensors, error))
        return error->status;
    nn_named_tensor *order = sorted(path, n, tensors, error);
    char *header = order ? header_text(path, n, order, metadata, &length, error) : NULL;
    if (header) {
        size_t padding = (ALIGNED_TO - length % ALIGNED_TO) % ALIGNED_TO;
        store(count, length + padding, LENGTH_BYTES);
        fwrite(count, 1, LENGTH_BYTES, to);
        fwrite(header, 1, length, to);
        fwrite("        ", 1, padding, to);
        for (int i = 0; i < n; i++)
            put_elements(to, &order[i]);
    }
    free(header);
    free(order);
    return error->status;
}

ad_status nn_tensor_file_write(const char *path, int n, const nn_named_tensor *tensors,
                               const char *const *metadata, nn_error *error)
{
    nn_file file;
    ad_status status = nn_file_begin(&file, path, error);
    if (status)
        return status;
    status = nn_tensor_file_put(file.to, path, n, tensors, metadata, error);
    ad_status done = nn_file_done(&file, !status, error);
    return status ? status : done;
}

/* ---- the public pair --------------------------------------------------------------------- */

ad_status nn_safetensors_write(const char *path, int n, const char *const *names,
                               ad_tensor *const *tensors, const char *const *metadata,
                               nn_error *error)
{
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!path || n < 0 || (n > 0 && (!names || !tensors)))
        return nn_fail(error, AD_NULL, "nn_safetensors_write: no path, names or tensors");
    nn_named_tensor *list = calloc((size_t)n + 1, sizeof *list);
    if (!list)
        return nn_no_memory(error);
    for (int i = 0; i < n; i++)
        list[i] = (nn_named_tensor){.name = names[i], .tensor = tensors[i]};
    ad_status status = nn_tensor_file_write(path, n, list, metadata, error);
    free(list);
    return status;
}

ad_status nn_safetensors_read(const char *path, int *n, ad_param ***tensors, nn_error *error)
{
    nn_tensor_file file;
    if (n)
        *n = 0;
    if (tensors)
        *tensors = NULL;
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!path || !n || !tensors)
        return nn_fail(error, AD_NULL,
                       "nn_safetensors_read: no path, or nowhere to put the tensors");
    ad_status status = nn_tensor_file_read(path, NULL, &file, error);
    if (status)
        return status;
    *n = file.n;
    *tensors = file.tensors;
    file.n = 0;
    file.tensors = NULL;
    nn_tensor_file_free(&file);
    return AD_OK;
}
