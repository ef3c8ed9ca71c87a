/* numpy.c - arrays of NumPy: .npy, and members of .npz archives
 *
 * A .npy file is six magic bytes, a version, the length of the head and the head, which is a
 * dictionary in Python's notation ({'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), });
 * then the elements. The head is read by a parser for just that, and believed only as far as the
 * bytes behind it go. See numpy.lib.format. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "error.h"
#include "file.h"

#ifdef NN_HAVE_LIBZIP
#include <zip.h>
#endif

enum { MAGIC_SIZE = 6, LONGEST_TYPE = 15 };
static const char magic[MAGIC_SIZE + 1] = "\x93NUMPY";

typedef struct npy_head {
    char kind; /* b, i, u or f */
    bool big_endian, fortran;
    int bytes; /* of an element */
    int rank;
    int64_t shape[AD_MAX_RANK];
    int64_t elements;
    size_t offset; /* of the first element */
} npy_head;

typedef struct npy_text {
    const char *at, *end, *begin;
    const char *name; /* of the file */
    nn_error *error;
} npy_text;

/* ---- the dictionary ---- */

static bool bad_head(const npy_text *t, const char *want)
{
    nn_fail(t->error, AD_BAD_ARGUMENT, "%s: in its head, at byte %zu: want %s", t->name,
            (size_t)(t->at - t->begin), want);
    return false;
}

static void skip_blanks(npy_text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t'))
        t->at++;
}

static bool accept(npy_text *t, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

/* string = "'" characters "'", in either kind of quotes */
static bool read_string(npy_text *t, const char *want, char text[LONGEST_TYPE + 1])
{
    skip_blanks(t);
    char quote = t->at < t->end ? *t->at : 0;
    if (quote != '\'' && quote != '"')
        return bad_head(t, want);
    const char *from = t->at + 1, *p = from;
    while (p < t->end && *p != quote && p - from < LONGEST_TYPE)
        p++;
    if (p == t->end || *p != quote)
        return bad_head(t, want);
    memcpy(text, from, (size_t)(p - from));
    text[p - from] = 0;
    t->at = p + 1;
    return true;
}

static bool known_type(const char *type)
{
    static const char *const known[] = {"b1", "i1", "i2", "i4", "i8", "u1", "u2",
                                        "u4", "u8", "f2", "f4", "f8", NULL};
    for (int i = 0; known[i]; i++)
        if (strcmp(type, known[i]) == 0)
            return true;
    return false;
}

static bool host_is_big_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static bool read_type(npy_text *t, npy_head *head)
{
    char text[LONGEST_TYPE + 1];
    skip_blanks(t);
    if (t->at < t->end && *t->at == '[') {
        nn_fail(t->error, AD_BAD_DTYPE,
                "%s: its elements are records: save their fields one by one", t->name);
        return false;
    }
    if (!read_string(t, "a type such as '<f8'", text))
        return false;
    if (!text[0] || !strchr("<>=|", text[0]) || !known_type(text + 1) ||
        (text[0] == '|' && text[2] != '1')) {
        nn_fail(t->error, AD_BAD_DTYPE,
                "%s: its elements are of type '%s': bool, 8 to 64 bit integers, float16, float32 "
                "and float64 can be read",
                t->name, text);
        return false;
    }
    head->kind = text[1];
    head->bytes = text[2] - '0';
    head->big_endian = text[0] == '>' || (text[0] == '=' && host_is_big_endian());
    return true;
}

/* size = digits ["L"]: Python 2 wrote the L */
static bool read_size(npy_text *t, int64_t *size)
{
    const char *from = t->at;
    int64_t n = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        if (n > (INT64_MAX - 9) / 10)
            return bad_head(t, "a size that can be counted");
        n = 10 * n + (*t->at - '0');
    }
    if (t->at == from)
        return bad_head(t, "a size, such as 3");
    accept(t, "L");
    *size = n;
    return true;
}

/* shape = "(" [size {"," size} [","]] ")" */
static bool read_shape(npy_text *t, npy_head *head)
{
    bool comma = true;
    if (!accept(t, "("))
        return bad_head(t, "a shape such as (3, 4)");
    while (!accept(t, ")")) {
        if (!comma)
            return bad_head(t, "a comma or a parenthesis");
        if (head->rank == AD_MAX_RANK) {
            nn_fail(t->error, AD_BAD_SHAPE, "%s: more than %d axes", t->name, AD_MAX_RANK);
            return false;
        }
        if (!read_size(t, &head->shape[head->rank]))
            return false;
        head->rank++;
        comma = accept(t, ",");
    }
    return head->rank != 1 || comma || bad_head(t, "a comma: (3) is no tuple in Python");
}

static bool read_order(npy_text *t, npy_head *head)
{
    head->fortran = accept(t, "True");
    return head->fortran || accept(t, "False") || bad_head(t, "True or False");
}

/* entry = key ":" value */
static bool read_entry(npy_text *t, npy_head *head, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    static bool (*const readers[])(npy_text *, npy_head *) = {read_type, read_order, read_shape};
    char key[LONGEST_TYPE + 1];
    if (!read_string(t, "the key descr, fortran_order or shape", key))
        return false;
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(key, keys[i]) == 0) {
            if (*seen & 1u << i)
                return bad_head(t, "every key only once");
            *seen |= 1u << i;
            return accept(t, ":") ? readers[i](t, head) : bad_head(t, "a colon");
        }
    return bad_head(t, "the keys descr, fortran_order and shape and no other");
}

/* dictionary = "{" [entry {"," entry} [","]] "}" */
static bool read_dictionary(npy_text *t, npy_head *head)
{
    unsigned seen = 0;
    bool comma = true;
    if (!accept(t, "{"))
        return bad_head(t, "a dictionary in braces");
    while (!accept(t, "}")) {
        if (!comma)
            return bad_head(t, "a comma or a brace");
        if (!read_entry(t, head, &seen))
            return false;
        comma = accept(t, ",");
    }
    skip_blanks(t);
    if (seen != 7)
        return bad_head(t, "all of descr, fortran_order and shape");
    return t->at == t->end || bad_head(t, "nothing but blanks after the brace");
}

/* ---- the head ---- */

static bool read_head(const unsigned char *p, size_t size, const char *name, npy_head *head,
                      nn_error *error)
{
    *head = (npy_head){0};
    if (size < MAGIC_SIZE + 4 || memcmp(p, magic, MAGIC_SIZE) != 0) {
        nn_fail(error, AD_BAD_ARGUMENT, "%s: not a .npy file: it must begin with \\x93NUMPY", name);
        return false;
    }
    int version = p[MAGIC_SIZE];
    size_t before = version == 1 ? 10 : 12, length = (size_t)p[8] | (size_t)p[9] << 8;
    if (version < 1 || version > 3 || p[MAGIC_SIZE + 1] != 0) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: version %d.%d of the format: 1.0, 2.0 and 3.0 are known", name, version,
                p[MAGIC_SIZE + 1]);
        return false;
    }
    if (version > 1 && size >= before)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (size < before || length > size - before) {
        nn_fail(error, AD_BAD_ARGUMENT, "%s: ends within its head of %zu bytes", name, length);
        return false;
    }
    const char *text = (const char *)p + before;
    npy_text t = {text, text + length, (const char *)p, name, error};
    if (!read_dictionary(&t, head))
        return false;
    head->offset = before + length;
    head->elements = nn_elements(head->rank, head->shape);
    if (head->elements < 0)
        nn_fail(error, AD_TOO_LARGE, "%s: the shape that its head claims overflows", name);
    return head->elements >= 0;
}

static size_t claimed_size(const char *bytes, size_t size)
{
    npy_head head;
    if (!read_head((const unsigned char *)bytes, size, "", &head, NULL))
        return 0;
    return head.offset + (size_t)head.elements * (size_t)head.bytes; /* nn_elements kept room */
}

/* ---- elements ---- */

static uint64_t bits_at(const unsigned char *p, int n, bool big_endian)
{
    uint64_t bits = 0;
    for (int i = 0; i < n; i++)
        bits = bits << 8 | p[big_endian ? i : n - 1 - i];
    return bits;
}

static float half(unsigned bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 31  ? fraction ? NAN : INFINITY
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return (float)(bits & 0x8000 ? -size : size);
}

static bool int_of(const npy_head *head, uint64_t bits, int32_t *to)
{
    int unused = 64 - 8 * head->bytes;
    int64_t value;
    if (head->kind == 'i') { /* the highest bit there is becomes the sign */
        bits <<= unused;
        memcpy(&value, &bits, sizeof value);
        value /= (int64_t)1 << unused; /* exact */
    } else
        value = bits <= INT32_MAX ? (int64_t)bits : INT64_MAX;
    if (head->kind == 'b')
        value = bits != 0;
    *to = value >= INT32_MIN && value <= INT32_MAX ? (int32_t)value : 0;
    return value >= INT32_MIN && value <= INT32_MAX;
}

static bool put(const npy_head *head, uint64_t bits, void *to, int64_t i)
{
    uint32_t low = (uint32_t)bits;
    if (head->kind != 'f')
        return int_of(head, bits, (int32_t *)to + i);
    if (head->bytes == 2)
        ((float *)to)[i] = half((unsigned)bits);
    else if (head->bytes == 4)
        memcpy((float *)to + i, &low, sizeof low);
    else
        memcpy((double *)to + i, &bits, sizeof bits);
    return true;
}

static ad_dtype dtype_of(const npy_head *head)
{
    return head->kind != 'f' ? AD_I32 : head->bytes == 8 ? AD_F64 : AD_F32;
}

/* The elements stand in the order of the tensor, or (Fortran's) with the first axis fastest: then
 * an odometer over the tensor's axes says where the next one is. */
static bool put_all(const unsigned char *p, const npy_head *head, void *to, const char *name,
                    nn_error *error)
{
    int64_t index[AD_MAX_RANK] = {0}, stride[AD_MAX_RANK] = {0}, from = 0, next = 1;
    for (int i = 0; i < head->rank; i++) {
        int axis = head->fortran ? i : head->rank - 1 - i;
        stride[axis] = next;
        next *= head->shape[axis];
    }
    for (int64_t i = 0; i < head->elements; i++) {
        if (!put(head, bits_at(p + from * head->bytes, head->bytes, head->big_endian), to, i)) {
            nn_fail(error, AD_TOO_LARGE,
                    "%s: element %" PRId64 " does not fit into int32: save it as float64", name, i);
            return false;
        }
        for (int axis = head->rank - 1; axis >= 0; axis--) {
            from += stride[axis];
            if (++index[axis] < head->shape[axis])
                break;
            from -= stride[axis] * index[axis];
            index[axis] = 0;
        }
    }
    return true;
}

static bool same_bytes(const npy_head *head)
{
    bool same_type =
        (head->kind == 'f' && head->bytes > 2) || (head->kind == 'i' && head->bytes == 4);
    return same_type && (!head->fortran || head->rank < 2) &&
           head->big_endian == host_is_big_endian();
}

static ad_tensor *parse(const unsigned char *p, size_t size, const char *name, nn_error *error)
{
    npy_head head;
    if (!read_head(p, size, name, &head, error))
        return NULL;
    size_t want = (size_t)head.elements * (size_t)head.bytes, got = size - head.offset;
    if (got != want) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: %zu bytes follow the head, which claims %" PRId64 " elements of %d: %s", name,
                got, head.elements, head.bytes,
                got < want ? "the file was cut off" : "there are too many");
        return NULL;
    }
    ad_tensor *tensor = ad_tensor_new(NULL, dtype_of(&head), head.rank, head.shape);
    if (!tensor) {
        nn_no_memory(error);
        return NULL;
    }
    void *to = ad_tensor_data(tensor);
    if (want && same_bytes(&head))
        memcpy(to, p + head.offset, want);
    else if (!put_all(p + head.offset, &head, to, name, error)) {
        ad_tensor_free(tensor);
        return NULL;
    }
    return tensor;
}

ad_tensor *nn_parse_npy(const void *bytes, size_t size, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!bytes) {
        nn_fail(error, AD_NULL, "npy: the bytes are NULL");
        return NULL;
    }
    return parse(bytes, size, "npy", error);
}

ad_tensor *nn_read_npy(const char *path, nn_error *error)
{
    char *bytes;
    size_t size;
    if (nn_earlier(error) || nn_read_claimed(path, claimed_size, &bytes, &size, error))
        return NULL;
    ad_tensor *tensor = parse((const unsigned char *)bytes, size, path, error);
    free(bytes);
    return tensor;
}

/* ---- archives ---- */

#ifdef NN_HAVE_LIBZIP

static zip_t *open_archive(const char *path, nn_error *error)
{
    int code = 0;
    zip_t *archive = zip_open(path, ZIP_RDONLY, &code);
    if (archive)
        return archive;
    zip_error_t reason;
    zip_error_init_with_code(&reason, code);
    if (code == ZIP_ER_MEMORY)
        nn_no_memory(error);
    else
        nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot open it: %s", path,
                zip_error_strerror(&reason));
    zip_error_fini(&reason);
    return NULL;
}

static void no_member(zip_t *archive, const char *path, const char *member, nn_error *error)
{
    enum { MOST = 64, LONGEST = 64 };
    char text[MOST][LONGEST], *names[MOST], hint[600];
    int n = 0;
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0) && n < MOST; i++) {
        const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);
        if (!name)
            continue;
        snprintf(text[n], LONGEST, "%.*s", LONGEST - 1, name);
        char *dot = strrchr(text[n], '.');
        if (dot && strcmp(dot, ".npy") == 0)
            *dot = 0;
        names[n] = text[n];
        n++;
    }
    nn_names_hint(member, n, names, sizeof hint, hint);
    nn_fail(error, AD_BAD_ARGUMENT, "%s: no member \"%s\"%s", path, member, hint);
}

/* by its name in the archive, or with .npy behind it as NumPy writes it */
static zip_int64_t locate(zip_t *archive, const char *member, nn_error *error)
{
    zip_int64_t at = zip_name_locate(archive, member, 0);
    if (at >= 0)
        return at;
    size_t size = strlen(member) + sizeof ".npy";
    char *name = malloc(size);
    if (!name) {
        nn_no_memory(error);
        return -1;
    }
    snprintf(name, size, "%s.npy", member);
    at = zip_name_locate(archive, name, 0);
    free(name);
    return at;
}

static int64_t read_zip(void *user, char *to, size_t n) { return zip_fread(user, to, n); }

/* The member unpacked; its size in the archive's list bounds what is read, but allocates nothing.
 */
static bool unpack(zip_t *archive, zip_int64_t at, const char *path, char **bytes, size_t *size,
                   nn_error *error)
{
    zip_stat_t info;
    zip_file_t *file = NULL;
    bool known =
        zip_stat_index(archive, (zip_uint64_t)at, 0, &info) == 0 && info.valid & ZIP_STAT_SIZE;
    if (known)
        file = zip_fopen_index(archive, (zip_uint64_t)at, 0);
    if (!file) {
        nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot open the member: %s", path,
                zip_strerror(archive));
        return false;
    }
    size_t limit = info.size < NN_FILE_LIMIT ? (size_t)info.size : NN_FILE_LIMIT;
    ad_status status =
        nn_read_source(path, read_zip, file, limit, claimed_size, bytes, size, error);
    if (status == AD_OK && !*bytes)
        nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot unpack the member: %s", path,
                zip_file_strerror(file));
    zip_fclose(file);
    return *bytes != NULL;
}

ad_tensor *nn_read_npz(const char *path, const char *member, nn_error *error)
{
    nn_error own;
    char *bytes = NULL;
    size_t size = 0;
    ad_tensor *tensor = NULL;
    if (nn_earlier(error))
        return NULL;
    error = nn_error_or(error, &own);
    if (!path || !member) {
        nn_fail(error, AD_NULL, "npz: the %s is NULL", path ? "member's name" : "path");
        return NULL;
    }
    zip_t *archive = open_archive(path, error);
    if (!archive)
        return NULL;
    zip_int64_t at = locate(archive, member, error);
    if (at < 0 && !error->status)
        no_member(archive, path, member, error);
    if (at >= 0 && unpack(archive, at, path, &bytes, &size, error)) {
        char name[512];
        snprintf(name, sizeof name, "%s: %s", path, member);
        tensor = parse((const unsigned char *)bytes, size, name, error);
    }
    free(bytes);
    zip_discard(archive);
    return tensor;
}

#else

ad_tensor *nn_read_npz(const char *path, const char *member, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!path || !member)
        nn_fail(error, AD_NULL, "npz: the %s is NULL", path ? "member's name" : "path");
    else
        nn_fail(
            error, AD_BAD_ARGUMENT,
            "%s: this build has no libzip, which .npz archives need: unpack it (a zip file) and "
            "read %s.npy",
            path, member);
    return NULL;
}

#endif

/* ---- writing ---- */

enum { HEAD_CAPACITY = 384, ALIGNED = 64, SPARE_DIGITS = 21 };

/* The head byte for byte as NumPy writes it since 1.23: blanks for the first axis to grow to 21
 * digits, then more up to a multiple of 64 bytes. */
static int write_head(const ad_tensor *tensor, char to[HEAD_CAPACITY])
{
    static const char *const types[] = {[AD_F64] = "f8", [AD_F32] = "f4", [AD_I32] = "i4"};
    const int64_t *shape = ad_tensor_shape(tensor);
    int rank = ad_tensor_rank(tensor), at = 10;
    at += snprintf(to + at, (size_t)(HEAD_CAPACITY - at),
                   "{'descr': '<%s', 'fortran_order': False, 'shape': (",
                   types[ad_tensor_dtype(tensor)]);
    for (int i = 0; i < rank; i++)
        at +=
            snprintf(to + at, (size_t)(HEAD_CAPACITY - at), "%s%" PRId64, i ? ", " : "", shape[i]);
    at += snprintf(to + at, (size_t)(HEAD_CAPACITY - at), "%s), }", rank == 1 ? "," : "");
    char digits[24];
    int spare = rank ? SPARE_DIGITS - snprintf(digits, sizeof digits, "%" PRId64, shape[0]) : 0;
    spare += ALIGNED - (at + spare + 1) % ALIGNED;
    memset(to + at, ' ', (size_t)spare);
    at += spare;
    to[at++] = '\n';
    memcpy(to, magic, MAGIC_SIZE);
    to[6] = 1;
    to[7] = 0;
    to[8] = (char)((at - 10) & 255);
    to[9] = (char)((at - 10) >> 8);
    return at;
}

/* Little-endian, whatever the machine is. */
static bool write_elements(const ad_tensor *tensor, FILE *to)
{
    enum { CHUNK = 1024 };
    const char *from = ad_tensor_data_const(tensor);
    size_t size = ad_dtype_size(ad_tensor_dtype(tensor)), n = (size_t)ad_tensor_size(tensor);
    if (!host_is_big_endian())
        return fwrite(from, size, n, to) == n;
    unsigned char chunk[CHUNK * 8];
    for (size_t done = 0; done < n;) {
        size_t count = n - done < CHUNK ? n - done : CHUNK;
        for (size_t i = 0; i < count * size; i++) /* the bytes of each element in turn, reversed */
            chunk[i] = (unsigned char)from[done * size + i / size * size + size - 1 - i % size];
        if (fwrite(chunk, size, count, to) != count)
            return false;
        done += count;
    }
    return true;
}

ad_status nn_write_npy(const char *path, const ad_tensor *tensor, nn_error *error)
{
    nn_file file;
    char head[HEAD_CAPACITY];
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!tensor)
        return nn_fail(error, AD_NULL, "%s: the tensor to write is NULL", path ? path : "npy");
    ad_tensor *dense = nn_row_major(tensor);
    if (!dense)
        return nn_no_memory(error);
    ad_status status = nn_file_begin(&file, path, error);
    if (status == AD_OK) {
        size_t length = (size_t)write_head(dense, head);
        if (fwrite(head, 1, length, file.to) == length)
            write_elements(dense, file.to); /* what failed is kept by the FILE */
        status = nn_file_done(&file, true, error);
    }
    ad_tensor_free(dense);
    return status;
}
