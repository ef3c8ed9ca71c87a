/* idx.c - the format of MNIST
 *
 * Two zero bytes, the type of the elements, the number of axes; then each axis' size as four bytes,
 * and the elements row-major; all of it big-endian. See http://yann.lecun.com/exdb/mnist. */
#include "idx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "error.h"
#include "file.h"

typedef enum idx_type {
    IDX_UNSIGNED_BYTE = 8,
    IDX_BYTE = 9,
    IDX_INT16 = 11,
    IDX_INT32 = 12,
    IDX_FLOAT = 13,
    IDX_DOUBLE = 14
} idx_type;

typedef struct idx_head {
    idx_type type;
    int rank;
    int64_t shape[256];
    int64_t elements;
    size_t element_size, offset; /* bytes; offset: of the first element */
} idx_head;

static size_t size_of(int type)
{
    switch (type) {
    case IDX_UNSIGNED_BYTE:
    case IDX_BYTE:
        return 1;
    case IDX_INT16:
        return 2;
    case IDX_INT32:
    case IDX_FLOAT:
        return 4;
    case IDX_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits = bits << 8 | p[i];
    return bits;
}

static bool read_head(const unsigned char *p, size_t size, const char *name, idx_head *head,
                      nn_error *error)
{
    if (size < 4 || p[0] || p[1] || !size_of(p[2])) {
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: not an IDX file: its first bytes must be 0, 0, a type (8, 9, 11 to 14) and "
                "the number of axes",
                name);
        return false;
    }
    *head = (idx_head){.type = (idx_type)p[2], .rank = p[3]};
    if (head->rank < 1 || head->rank > AD_MAX_RANK) {
        nn_fail(error, AD_BAD_SHAPE, "%s: %d axes: there can be 1 to %d", name, head->rank,
                AD_MAX_RANK);
        return false;
    }
    head->element_size = size_of(p[2]);
    head->offset = 4 + 4 * (size_t)head->rank;
    if (size < head->offset) {
        nn_fail(error, AD_BAD_ARGUMENT, "%s: ends within its head, after %zu of %zu bytes", name,
                size, head->offset);
        return false;
    }
    for (int i = 0; i < head->rank; i++)
        head->shape[i] = (int64_t)big_endian(p + 4 + 4 * i, 4);
    head->elements = nn_elements(head->rank, head->shape);
    if (head->elements < 0)
        nn_fail(error, AD_TOO_LARGE, "%s: the sizes that its head claims overflow", name);
    return head->elements >= 0;
}

static size_t claimed_size(const char *bytes, size_t size)
{
    idx_head head;
    if (!read_head((const unsigned char *)bytes, size, "", &head, NULL))
        return 0;
    return head.offset + (size_t)head.elements * head.element_size; /* nn_elements kept room */
}

static bool read_whole_head(const void *bytes, size_t size, const char *name, idx_head *head,
                            nn_error *error)
{
    if (!read_head(bytes, size, name, head, error))
        return false;
    size_t want = (size_t)head->elements * head->element_size, got = size - head->offset;
    if (got != want)
        nn_fail(error, AD_BAD_ARGUMENT,
                "%s: %zu bytes follow the head, which claims %" PRId64 " elements of %zu: %s", name,
                got, head->elements, head->element_size,
                got < want ? "the file was cut off" : "there are too many");
    return got == want;
}

static double element(const unsigned char *p, idx_type type)
{
    uint64_t bits = big_endian(p, size_of((int)type));
    uint32_t low = (uint32_t)bits;
    float f;
    double d;
    switch (type) {
    case IDX_BYTE:
        return (double)bits - (bits < 128 ? 0 : 256);
    case IDX_INT16:
        return (double)bits - (bits < 32768 ? 0 : 65536);
    case IDX_INT32:
        return (double)bits - (bits < 2147483648u ? 0 : 4294967296.0);
    case IDX_FLOAT:
        memcpy(&f, &low, sizeof f);
        return (double)f;
    case IDX_DOUBLE:
        memcpy(&d, &bits, sizeof d);
        return d;
    default:
        return (double)bits;
    }
}

static bool to_ints(const unsigned char *p, const idx_head *head, const char *name, int32_t *to,
                    nn_error *error)
{
    for (int64_t i = 0; i < head->elements; i++, p += head->element_size) {
        double x = element(p, head->type);
        if (!(x >= INT32_MIN && x <= INT32_MAX) || x != floor(x)) {
            nn_fail(error, AD_BAD_ARGUMENT, "%s: element %" PRId64 " is no int32", name, i);
            return false;
        }
        to[i] = (int32_t)x;
    }
    return true;
}

/* Elements divided by `divisor`, row-major into a tensor of as many. */
static bool convert(const unsigned char *p, const idx_head *head, double divisor, const char *name,
                    ad_tensor *tensor, nn_error *error)
{
    void *data = ad_tensor_data(tensor);
    double *doubles = data;
    float *floats = data;
    p += head->offset;
    if (ad_tensor_dtype(tensor) == AD_I32)
        return to_ints(p, head, name, data, error);
    if (ad_tensor_dtype(tensor) == AD_F64)
        for (int64_t i = 0; i < head->elements; i++, p += head->element_size)
            doubles[i] = element(p, head->type) / divisor;
    else
        for (int64_t i = 0; i < head->elements; i++, p += head->element_size)
            floats[i] = (float)(element(p, head->type) / divisor);
    return true;
}

static ad_tensor *tensor_of(const unsigned char *bytes, const idx_head *head, int rank,
                            const int64_t *shape, double divisor, ad_dtype dtype, const char *name,
                            nn_error *error)
{
    ad_tensor *tensor = ad_tensor_new(NULL, dtype, rank, shape);
    if (!tensor) {
        nn_no_memory(error);
        return NULL;
    }
    if (!convert(bytes, head, divisor, name, tensor, error)) {
        ad_tensor_free(tensor);
        return NULL;
    }
    return tensor;
}

static bool known_dtype(ad_dtype dtype, const char *name, nn_error *error)
{
    bool known = dtype == AD_F64 || dtype == AD_F32 || dtype == AD_I32;
    if (!known)
        nn_fail(error, AD_BAD_DTYPE, "%s: %d is no element type", name, (int)dtype);
    return known;
}

ad_tensor *nn_parse_idx(const void *bytes, size_t size, ad_dtype dtype, const char *name,
                        nn_error *error)
{
    idx_head head;
    if (nn_earlier(error) || !known_dtype(dtype, name, error))
        return NULL;
    if (!bytes) {
        nn_fail(error, AD_NULL, "%s: the bytes are NULL", name);
        return NULL;
    }
    if (!read_whole_head(bytes, size, name, &head, error))
        return NULL;
    return tensor_of(bytes, &head, head.rank, head.shape, 1, dtype, name, error);
}

ad_tensor *nn_read_idx(const char *path, ad_dtype dtype, nn_error *error)
{
    char *bytes;
    size_t size;
    if (nn_earlier(error) || !known_dtype(dtype, path ? path : "idx", error))
        return NULL;
    if (nn_read_claimed(path, claimed_size, &bytes, &size, error))
        return NULL;
    ad_tensor *tensor = nn_parse_idx(bytes, size, dtype, path, error);
    free(bytes);
    return tensor;
}

/* ---- a folder ---- */

typedef struct idx_file {
    char *path, *bytes;
    size_t size;
    idx_head head;
} idx_file;

static void close_file(idx_file *file)
{
    free(file->path);
    free(file->bytes);
    *file = (idx_file){0};
}

static bool exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file || errno != ENOENT; /* other troubles are told when it is read */
}

/* folder/part-what, or the same with .gz behind it. */
static bool open_file(const char *folder, const char *part, const char *what, idx_file *file,
                      nn_error *error)
{
    size_t size = strlen(folder) + 64;
    file->path = malloc(size);
    if (!file->path) {
        nn_no_memory(error);
        return false;
    }
    int length = snprintf(file->path, size, "%s/%s-%s", folder, part, what);
    if (!exists(file->path)) {
        memcpy(file->path + length, ".gz", sizeof ".gz");
        if (!exists(file->path)) {
            file->path[length] = 0;
            nn_fail(error, AD_BAD_ARGUMENT, "%s: there is no such file, nor one with .gz behind it",
                    file->path);
            return false;
        }
    }
    return !nn_read_claimed(file->path, claimed_size, &file->bytes, &file->size, error) &&
           read_whole_head(file->bytes, file->size, file->path, &file->head, error);
}

static bool is_images(const idx_file *file, nn_error *error)
{
    bool good = file->head.rank == 3 && file->head.type == IDX_UNSIGNED_BYTE;
    if (!good)
        nn_fail(error, AD_BAD_SHAPE,
                "%s: images must be unsigned bytes (type 8) with 3 axes, not type %d with %d",
                file->path, (int)file->head.type, file->head.rank);
    return good;
}

static bool is_labels(const idx_file *file, const idx_file *images, nn_error *error)
{
    if (file->head.rank != 1)
        nn_fail(error, AD_BAD_SHAPE, "%s: labels must have 1 axis, not %d", file->path,
                file->head.rank);
    else if (file->head.shape[0] != images->head.shape[0])
        nn_fail(error, AD_BAD_SHAPE,
                "%s: %" PRId64 " labels for the %" PRId64 " images of %s: the files do not belong "
                "together",
                file->path, file->head.shape[0], images->head.shape[0], images->path);
    else
        return true;
    return false;
}

static ad_tensor *read_images(const idx_file *file, ad_dtype dtype, bool channels, nn_error *error)
{
    const int64_t *s = file->head.shape;
    const int64_t image[4] = {s[0], 1, s[1], s[2]};
    if (s[1] && s[2] > INT64_MAX / s[1]) { /* not excluded where there are no images */
        nn_fail(error, AD_TOO_LARGE, "%s: the sizes that its head claims overflow", file->path);
        return NULL;
    }
    const int64_t flat[2] = {s[0], s[1] * s[2]};
    return tensor_of((const unsigned char *)file->bytes, &file->head, channels ? 4 : 2,
                     channels ? image : flat, 255, dtype, file->path, error);
}

static nn_data *read_part(const char *folder, const char *part, ad_dtype dtype, bool channels,
                          nn_error *error)
{
    idx_file images = {0}, labels = {0};
    ad_tensor *x = NULL, *y = NULL;
    nn_data *data = NULL;
    if (open_file(folder, part, "images-idx3-ubyte", &images, error) && is_images(&images, error) &&
        open_file(folder, part, "labels-idx1-ubyte", &labels, error) &&
        is_labels(&labels, &images, error)) {
        x = read_images(&images, dtype, channels, error);
        y = x ? tensor_of((const unsigned char *)labels.bytes, &labels.head, 1, labels.head.shape,
                          1, AD_I32, labels.path, error)
              : NULL;
    }
    close_file(&images);
    close_file(&labels);
    if (x && y)
        data = nn_data_new(1, &x, y, NULL, error);
    ad_tensor_free(x);
    ad_tensor_free(y);
    return data;
}

ad_status nn_read_idx_folder(const char *folder, ad_dtype dtype, bool channels, nn_data **train,
                             nn_data **test, nn_error *error)
{
    nn_error own;
    if (train)
        *train = NULL;
    if (test)
        *test = NULL;
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!folder || !train || !test)
        return nn_fail(error, AD_NULL, "idx folder: %s is NULL",
                       !folder  ? "its path"
                       : !train ? "the place for the training data"
                                : "the place for the test data");
    if (dtype != AD_F64 && dtype != AD_F32)
        return nn_fail(error, AD_BAD_DTYPE, "%s: pixels in 0..1 are double or float", folder);
    *train = read_part(folder, "train", dtype, channels, error);
    *test = *train ? read_part(folder, "t10k", dtype, channels, error) : NULL;
    if (!*test) {
        nn_data_free(*train);
        *train = NULL;
        return error->status;
    }
    int classes =
        (*train)->n_classes > (*test)->n_classes ? (*train)->n_classes : (*test)->n_classes;
    (*train)->n_classes = (*test)->n_classes = classes;
    return AD_OK;
}
