/* test_nn_save.c - models in files: safetensors, descriptions, crashes and lies; and as C source */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* NSIG's kin, usleep */
#include "expect.h"
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"
#include "safetensors.h"

#ifndef TAPEGRAD_SOURCE_DIR
#define TAPEGRAD_SOURCE_DIR "."
#endif
#define DATA TAPEGRAD_SOURCE_DIR "/tests/data/"

#define FINE(call)        fine_at((call), &error, #call, __LINE__)
#define FAILS(call, part) fails_at((call), &error, part, #call, __LINE__)

static void fine_at(ad_status got, const nn_error *error, const char *what, int line)
{
    if (got != AD_OK || error->status != AD_OK)
        fail_msg("line %d: %s: got %s (%s)", line, what, ad_status_name(got), error->text);
}

/* An error that says `part`; and forgets it. */
static void fails_at(ad_status got, nn_error *error, const char *part, const char *what, int line)
{
    if (got == AD_OK || got != error->status || !strstr(error->text, part))
        fail_msg("line %d: %s: got %s, %s (%s), want an error with \"%s\"", line, what,
                 ad_status_name(got), ad_status_name(error->status), error->text, part);
    *error = (nn_error){0};
}

/* ---- files ---- */

static void same_bytes(const char *path, const char *other)
{
    size_t n, m;
    char *a = read_bytes(path, &n), *b = read_bytes(other, &m);
    for (size_t i = 0; i < n && i < m; i++)
        if (a[i] != b[i])
            fail_msg("%s and %s differ at byte %zu: %d, %d", path, other, i, a[i], b[i]);
    if (n != m)
        fail_msg("%s has %zu bytes, %s %zu", path, n, other, m);
    free(a);
    free(b);
}

/* ---- models ---- */

static uint64_t noise(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(noise(state) >> 11) * 0x1p-53;
}

/* All variables random: statistics and weights of norms begin as zeros and ones, which hide
 * mistakes. */
static void disturb(nn_model *model, uint64_t seed)
{
    for (int i = 0; i < nn_param_count(model); i++) {
        ad_tensor *t = ad_param_value(nn_param_at(model, i));
        const bool positive = strstr(ad_param_name(nn_param_at(model, i)), "running_var") != NULL;
        double *values = calloc((size_t)ad_tensor_size(t), sizeof *values);
        for (int64_t k = 0; k < ad_tensor_size(t); k++)
            values[k] = uniform(&seed, positive ? .2 : -1, positive ? 2 : 1);
        ad_tensor_write(t, values);
        free(values);
    }
}

static nn_model *made(const nn_model_config *config, int n, const nn_layer *layers)
{
    nn_model *model = nn_sequential(config, n, layers);
    if (nn_model_status(model))
        fail_msg("no model: %s", nn_model_error(model));
    return model;
}

/* Outputs for x, in evaluation. */
static double *outputs(const nn_model *model, const ad_tensor *x, int64_t *n)
{
    ad_tape *tape = ad_tape_new(NULL);
    const bool indices = nn_model_config_of(model)->inputs[0].indices;
    double *values = calloc((size_t)ad_tensor_size(x) + 1, sizeof *values);
    ad_tensor_read(x, values);
    ad_tensor *own = ad_tensor_new(NULL, indices ? AD_I32 : nn_model_config_of(model)->dtype,
                                   ad_tensor_rank(x), ad_tensor_shape(x));
    ad_tensor_write(own, values);
    free(values);
    ad_var input = ad_constant_tensor(tape, own), y = nn_record(model, tape, false, &input);
    STATUS(ad_tape_status(tape), AD_OK, tape);
    *n = ad_size(y);
    double *result = calloc((size_t)*n + 1, sizeof *result);
    ad_read(y, result);
    ad_tensor_free(own);
    ad_tape_free(tape);
    return result;
}

static void same_values(const nn_model *a, const nn_model *b)
{
    assert_int_equal(nn_param_count(a), nn_param_count(b));
    for (int i = 0; i < nn_param_count(a); i++) {
        const ad_param *p = nn_param_at(a, i), *q = nn_param_at(b, i);
        const ad_tensor *s = ad_param_value(p), *t = ad_param_value(q);
        assert_string_equal(ad_param_name(p), ad_param_name(q));
        assert_int_equal(ad_tensor_size(s), ad_tensor_size(t));
        assert_int_equal(ad_tensor_dtype(s), ad_tensor_dtype(t));
        assert_memory_equal(ad_tensor_data_const(s), ad_tensor_data_const(t),
                            (size_t)ad_tensor_size(s) * ad_dtype_size(ad_tensor_dtype(s)));
    }
}

/* The networks of fixtures_safetensors.py. */
typedef struct network {
    const char *name;
    nn_shape input;
    int n;
    nn_layer layers[8];
} network;

static const network networks[] = {
    {"torch_mlp",
     {.rank = 1, .size = {4}},
     4,
     {{.kind = NN_DENSE, .units = 5},
      {.kind = NN_BATCH_NORM},
      {.kind = NN_ACTIVATION, .activation = "relu"},
      {.kind = NN_DENSE, .units = 3}}},
    {"torch_conv",
     {.rank = 3, .size = {2, 8, 9}},
     8,
     {{.kind = NN_CONV2D, .units = 4, .kernel = {3}, .padding = {1, 1}},
      {.kind = NN_ACTIVATION, .activation = "relu"},
      {.kind = NN_MAX_POOL2D, .kernel = {2}},
      {.kind = NN_CONV2D,
       .units = 6,
       .kernel = {2, 3},
       .stride = {1, 2},
       .padding = {0, 1},
       .groups = 2},
      {.kind = NN_BATCH_NORM},
      {.kind = NN_AVERAGE_POOL2D, .kernel = {2}, .stride = {1}},
      {.kind = NN_FLATTEN},
      {.kind = NN_DENSE, .units = 3}}},
    {"torch_words",
     {.rank = 1, .size = {3}, .indices = true},
     5,
     {{.kind = NN_EMBEDDING, .rows = 7, .units = 4},
      {.kind = NN_LAYER_NORM},
      {.kind = NN_ACTIVATION, .activation = "gelu"},
      {.kind = NN_FLATTEN},
      {.kind = NN_DENSE, .units = 2}}},
};
enum { NETWORKS = sizeof networks / sizeof *networks };

static nn_model *network_model(const network *net, ad_dtype dtype)
{
    return made(&(nn_model_config){.dtype = dtype, .inputs = {net->input}, .seed = 5}, net->n,
                net->layers);
}

static nn_model *small_model(void)
{
    return made(&(nn_model_config){.inputs = {{.rank = 1, .size = {2}}}, .seed = 3}, 2,
                (nn_layer[]){nn_dense(3, "tanh"), nn_dense(1, NULL)});
}

/* ---- the format ---- */

static ad_tensor *tensor_of(ad_dtype dtype, int rank, const int64_t *shape, const double *values)
{
    ad_tensor *t = ad_tensor_new(NULL, dtype, rank, shape);
    ad_tensor_write(t, values);
    return t;
}

static void our_bytes_are_those_of_the_python_package(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    const char *names[] = {"b.weight", "a \"quoted\"\\\n\t\x01/\xc3\xa9\xf0\x9f\x98\x80", "b", "B",
                           "z"};
    double third = 1 / 3.;
    ad_tensor *t[] = {tensor_of(AD_F32, 2, (int64_t[]){2, 3}, (double[]){0, .25, .5, .75, 1, 1.25}),
                      tensor_of(AD_I32, 1, (int64_t[]){2}, (double[]){-1, 2147483647}),
                      tensor_of(AD_F64, 0, NULL, &third),
                      tensor_of(AD_F32, 2, (int64_t[]){0, 2}, &third),
                      tensor_of(AD_F64, 2, (int64_t[]){1, 2}, (double[]){1e300, -0.})};
    const char *metadata[] = {"made \"by\"", "the package", NULL};
    FINE(nn_safetensors_write(in_folder(path, "a"), 5, names, t, metadata, &error));
    same_bytes(path, DATA "bytes.safetensors");
    for (int i = 0; i < 5; i++)
        ad_tensor_free(t[i]);
}

static void strided_views_and_transposed_tensors_are_written_in_their_order(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    double want[6] = {1, 4, 2, 5, 3, 6}, got[6];
    ad_tensor *t = tensor_of(AD_F64, 2, (int64_t[]){2, 3}, (double[]){1, 2, 3, 4, 5, 6});
    ad_tensor *view = ad_tensor_permuted(t, (int[]){1, 0});
    ad_tensor *back = ad_tensor_sliced(t, 1, 2, -4, -1);
    nn_named_tensor list[] = {{"view", view, false}, {"turned", t, true}, {"back", back, false}};
    nn_tensor_file file;
    FINE(nn_tensor_file_write(in_folder(path, "a"), 3, list, NULL, &error));
    FINE(nn_tensor_file_read(path, NULL, &file, &error));
    for (int k = 0; k < 2; k++) {
        ad_tensor *read = nn_tensor_file_find(&file, k ? "view" : "turned");
        assert_int_equal(ad_tensor_shape(read)[0], 3);
        ad_tensor_read(read, got);
        for (int i = 0; i < 6; i++)
            EQUAL(got[i], want[i]);
    }
    ad_tensor_read(nn_tensor_file_find(&file, "back"), got);
    EQUAL(got[0], ad_tensor_get(back, (int64_t[]){0, 0}));
    EQUAL(got[1], ad_tensor_get(back, (int64_t[]){0, 1}));
    nn_tensor_file_free(&file);
    ad_tensor_free(back);
    ad_tensor_free(view);
    ad_tensor_free(t);
}

static void every_type_of_element_is_read(void **state)
{
    (void)state;
    static const char *const types[] = {"f64", "f16", "bf16", "i64",    "i16",
                                        "i8",  "u8",  "bool", "scalar", "empty"};
    nn_error error = {0};
    nn_tensor_file file;
    FINE(nn_tensor_file_read(DATA "types.safetensors", NULL, &file, &error));
    assert_int_equal(file.n, 20);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[32];
        double got[16], want[16];
        snprintf(name, sizeof name, "%s.want", types[i]);
        ad_tensor *a = nn_tensor_file_find(&file, types[i]), *b = nn_tensor_file_find(&file, name);
        if (!a || !b || ad_tensor_size(a) != ad_tensor_size(b) ||
            ad_tensor_dtype(a) != ad_tensor_dtype(b) || ad_tensor_rank(a) != ad_tensor_rank(b))
            fail_msg("%s: missing, or of another shape or dtype than %s", types[i], name);
        ad_tensor_read(a, got);
        ad_tensor_read(b, want);
        for (int64_t k = 0; k < ad_tensor_size(a); k++)
            if (!(got[k] == want[k] || (isnan(got[k]) && isnan(want[k]))) ||
                signbit(got[k]) != signbit(want[k]))
                fail_msg("%s, element %d: got %.17g, want %.17g", types[i], (int)k, got[k],
                         want[k]);
    }
    nn_tensor_file_free(&file);
}

static void metadata_are_kept(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_tensor_file file;
    char path[PATH];
    const char *metadata[] = {"epoch", "7", "\xc3\xa4\n\"", "\\", "empty", "", NULL};
    FINE(nn_tensor_file_write(in_folder(path, "a"), 0, NULL, metadata, &error));
    FINE(nn_tensor_file_read(path, NULL, &file, &error));
    assert_int_equal(file.n_metadata, 3);
    assert_string_equal(nn_tensor_file_text(&file, "epoch"), "7");
    assert_string_equal(nn_tensor_file_text(&file, "\xc3\xa4\n\""), "\\");
    assert_string_equal(nn_tensor_file_text(&file, "empty"), "");
    assert_null(nn_tensor_file_text(&file, "other"));
    assert_null(nn_tensor_file_find(&file, "other"));
    nn_tensor_file_free(&file);
}

static void what_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    ad_tensor *t = tensor_of(AD_F64, 1, (int64_t[]){1}, (double[]){1}), *two[] = {t, t},
              *none[] = {t, NULL};
    in_folder(path, "a");
#define WRITE(n, names, t, ...) nn_safetensors_write(path, n, names, t, __VA_ARGS__, &error)
    FAILS(WRITE(2, ((const char *[]){"x", "x"}), two, NULL), "'x': two tensors");
    FAILS(WRITE(2, ((const char *[]){"x", NULL}), two, NULL), "tensor 1");
    FAILS(WRITE(2, ((const char *[]){"x", "y"}), none, NULL), "tensor 1");
    FAILS(WRITE(1, ((const char *[]){"__metadata__"}), two, NULL), "keeps this name");
    FAILS(WRITE(1, ((const char *[]){"\xff"}), two, NULL), "not UTF-8");
    FAILS(WRITE(1, ((const char *[]){"\xed\xa0\x80"}), two, NULL), "not UTF-8");
    FAILS(WRITE(1, ((const char *[]){"\xe2\x82"}), two, NULL), "not UTF-8");
    FAILS(WRITE(0, NULL, NULL, ((const char *[]){"a", NULL})), "'a' without a text");
    FAILS(WRITE(0, NULL, NULL, ((const char *[]){"a", "1", "a", "2", NULL})), "'a' is given twice");
    FAILS(WRITE(0, NULL, NULL, ((const char *[]){"a", "\xc0\x80", NULL})), "'a' is not UTF-8");
    FAILS(WRITE(-1, NULL, NULL, NULL), "no path, names or tensors");
    FAILS(WRITE(1, NULL, two, NULL), "no path, names or tensors");
#undef WRITE
    FAILS(nn_safetensors_write(NULL, 0, NULL, NULL, NULL, &error), "no path");
    FAILS(nn_tensor_file_write(path, 1, &(nn_named_tensor){"x", t, true}, NULL, &error),
          "only a matrix");
    assert_int_equal(access(path, F_OK), -1); /* nothing was left */
    ad_tensor_free(t);
}

/* ---- lies ---- */

/* Parses a header and so many bytes of data. */
static ad_status parse(const char *header, size_t data, nn_tensor_file *file, nn_error *error)
{
    size_t n = strlen(header);
    char *bytes = calloc(8 + n + data, 1); /* exactly: reading further shows under ASan */
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)n >> 8 * i);
    memcpy(bytes + 8, header, n);
    memset(bytes + 8 + n, 0x7f, data);
    ad_status status = nn_tensor_file_parse("file", bytes, 8 + n + data, NULL, file, error);
    free(bytes);
    return status;
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define F32(name, offsets)                                                                         \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" offsets "}"

static const struct lie {
    const char *header;
    size_t data;
    const char *part; /* of the error; NULL: fine */
} lies[] = {
    {"{}", 0, NULL},
    {"{}        ", 0, NULL},
    {"{\"__metadata__\":{}}", 0, NULL},
    {ONE("F32", "[2]", "[0,8]"), 8, NULL},
    {ONE("F32", "[]", "[0,4]"), 4, NULL},
    {ONE("F32", "[0,9223372036854775807]", "[0,0]"), 0, "too large"},
    {ONE("F32", "[1,1,1,1,1,1,1,1]", "[0,4]"), 4, NULL},
    {"{\"x\":1}", 0, "'x': the header gives no dtype"},
    {"{\"x\":{}}", 0, "'x': the header gives no dtype"},
    {"[]", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"{\"", 0, "header, at byte"},
    {"{}x", 0, "header, at byte"},
    {"{} {}", 0, "header, at byte"},
    {"{\"a\\u0000\":1}", 0, "header, at byte"},
    {"{\"\xff\":1}", 0, "header, at byte"},
    {"{" F32("a", "[0,4]") "," F32("a", "[4,8]") "}", 8, "duplicate"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "duplicate"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is no text"},
    {"{\"__metadata__\":[]}", 0, "no object of texts"},
    {"{\"__metadata__\":\"a\"}", 0, "no object of texts"},
    {ONE("F8_E4M3", "[4]", "[0,4]"), 4, "'a': its dtype is 'F8_E4M3'"},
    {ONE("f32", "[1]", "[0,4]"), 4, "its dtype is 'f32'"},
    {ONE("F32", "1", "[0,4]"), 4, "'a': its shape is no list"},
    {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "'a': 9 axes"},
    {ONE("F32", "[-1]", "[0,4]"), 4, "'a': a size"},
    {ONE("F32", "[1.0]", "[0,4]"), 4, "'a': a size"},
    {ONE("F32", "[\"1\"]", "[0,4]"), 4, "'a': a size"},
    {ONE("F32", "[4294967296,4294967296,4294967296,4294967296]", "[0,4]"), 4, "too large"},
    {ONE("F32", "[4611686018427387904,4]", "[0,0]"), 0, "too large"},
    {ONE("F32", "[99999999999999999999]", "[0,4]"), 4, "header, at byte"},
    {ONE("F32", "[1152921504606846975]", "[0,4]"), 4, "shape needs"},
    {ONE("F32", "[1]", "[0,8]"), 8, "shape needs 1 elements of 4 bytes"},
    {ONE("F32", "[2]", "[0,4]"), 4, "shape needs 2"},
    {ONE("F32", "[1]", "[0]"), 4, "data_offsets are no [begin, end]"},
    {ONE("F32", "[1]", "{}"), 4, "data_offsets are no [begin, end]"},
    {ONE("F32", "[1]", "[4,0]"), 4, "data_offsets are no [begin, end]"},
    {ONE("F32", "[1]", "[-4,0]"), 4, "data_offsets are no [begin, end]"},
    {ONE("F32", "[1]", "[0,4.0]"), 4, "data_offsets are no [begin, end]"},
    {ONE("F32", "[1]", "[0,4]"), 3, "ends at byte 4 of the data, of which there are 3"},
    {ONE("F32", "[1]", "[0,9223372036854775807]"), 4, "ends at byte 9223372036854775807"},
    {ONE("F32", "[1]", "[4,8]"), 8, "begins at byte 4"},
    {ONE("F32", "[1]", "[0,4]"), 5, "5 bytes of data"},
    {"{}", 1, "1 bytes of data"},
    {"{" F32("a", "[0,4]") "," F32("b", "[0,4]") "}", 4, "'b' begins at byte 0"},
    {"{" F32("a", "[0,4]") "," F32("b", "[2,6]") "}", 6, "'b' begins at byte 2"},
    {"{" F32("a", "[0,4]") "," F32("b", "[8,12]") "}", 12, "'b' begins at byte 8"},
    {"{" F32("b", "[4,8]") "," F32("a", "[0,4]") "}", 8, NULL},
    {ONE("I64", "[1]", "[0,8]"), 8, "'a': an integer in it does not fit"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape"},
};

static void malformed_headers_are_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        nn_error error = {0};
        nn_tensor_file file;
        ad_status status = parse(lies[i].header, lies[i].data, &file, &error);
        if (lies[i].part && (!status || status != error.status || file.n || file.tensors ||
                             !strstr(error.text, lies[i].part)))
            fail_msg("%s: got %s (%s), want \"%s\"", lies[i].header, ad_status_name(status),
                     error.text, lies[i].part);
        if (!lies[i].part && status)
            fail_msg("%s: got %s (%s), want a file", lies[i].header, ad_status_name(status),
                     error.text);
        nn_tensor_file_free(&file);
        assert_int_equal(parse(lies[i].header, lies[i].data, &file, NULL), status);
        nn_tensor_file_free(&file);
    }
}

static void lengths_that_lie_are_errors(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0, 1, 3, 11, 100000000, 100000001, UINT64_MAX, 1u << 31};
    char path[PATH];
    in_folder(path, "a");
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        nn_error error = {0};
        nn_tensor_file file;
        unsigned char bytes[10] = "........{}";
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)(lengths[k] >> 8 * i);
        write_bytes(path, bytes, sizeof bytes);
        FAILS(nn_tensor_file_read(path, NULL, &file, &error), "first 8 bytes say");
    }
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    size_t size;
    nn_error error = {0};
    nn_tensor_file file;
    char *bytes = read_bytes(DATA "torch_mlp.safetensors", &size);
    FINE(nn_tensor_file_parse("file", bytes, size, NULL, &file, &error));
    nn_tensor_file_free(&file);
    for (size_t n = 0; n < size; n++) {
        char *part = malloc(n + !n);
        memcpy(part, bytes, n);
        if (!nn_tensor_file_parse("file", part, n, NULL, &file, &error))
            fail_msg("%zu bytes of %zu: want an error", n, size);
        error = (nn_error){0};
        free(part);
    }
    free(bytes);
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    size_t size;
    uint64_t seed = 1;
    char *bytes = read_bytes(DATA "types.safetensors", &size), *damaged = malloc(size);
    for (int trial = 0; trial < 20000; trial++) {
        static const char likely[] = "0123456789[]{},:\"\\-.eFI";
        nn_error error = {0};
        nn_tensor_file file;
        memcpy(damaged, bytes, size);
        for (uint64_t n = 1 + noise(&seed) % 3; n > 0; n--)
            damaged[noise(&seed) % (trial % 4 ? 1400 : size)] =
                trial % 2 ? likely[noise(&seed) % (sizeof likely - 1)] : (char)noise(&seed);
        ad_status status = nn_tensor_file_parse("file", damaged, size, NULL, &file, &error);
        if (status != error.status || (status && (!*error.text || file.tensors)))
            fail_msg("trial %d: %s (%s)", trial, ad_status_name(status), error.text);
        nn_tensor_file_free(&file);
    }
    free(damaged);
    free(bytes);
}

/* ---- saving and loading ---- */

static void a_saved_model_loads_with_the_same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < NETWORKS; k++)
        for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
            nn_error error = {0};
            char a[PATH], b[PATH], a_json[PATH], b_json[PATH];
            nn_model *model = network_model(&networks[k], dtype);
            disturb(model, (uint64_t)k);
            FINE(nn_save(model, in_folder(a, "a"), &error));
            nn_model *loaded = nn_load(a, NULL, &error);
            FINE(error.status);
            same_values(model, loaded);
            assert_int_equal(nn_layer_count(loaded), networks[k].n);
            FINE(nn_save(loaded, in_folder(b, "b"), &error));
            same_bytes(a, b);
            same_bytes(in_folder(a_json, "a.json"), in_folder(b_json, "b.json"));
            nn_model_free(loaded);
            nn_model_free(model);
        }
}

static void dense_weights_lie_in_files_as_in_torch(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    nn_tensor_file file;
    nn_model *model = small_model();
    FINE(nn_save(model, in_folder(path, "a"), &error));
    FINE(nn_tensor_file_read(path, NULL, &file, &error));
    const ad_tensor *own = ad_param_value(nn_param_find(model, "0.weight"));
    const ad_tensor *saved = nn_tensor_file_find(&file, "0.weight");
    assert_int_equal(ad_tensor_shape(own)[0], 2);
    assert_int_equal(ad_tensor_shape(saved)[0], 3);
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < 3; j++)
            EQUAL(ad_tensor_get(saved, (int64_t[]){j, i}), ad_tensor_get(own, (int64_t[]){i, j}));
    nn_tensor_file_free(&file);
    nn_model_free(model);
}

/* Every field that a description knows, set: what is lost on the way differs in the second file. */
static void every_field_of_a_layer_survives(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH], json[PATH];
    const nn_layer layers[] = {
        {.kind = NN_CONV2D,
         .name = "first \"\xc3\xa4\"",
         .units = 4,
         .kernel = {2, 3},
         .stride = {2, 1},
         .padding = {1, 2},
         .dilation = {1, 2},
         .groups = 2,
         .no_bias = true,
         .activation = "leaky_relu",
         .slope = 1 / 3.,
         .weight_init = {.kind = NN_INIT_UNIFORM, .value = .1}},
        {.kind = NN_BATCH_NORM, .momentum = .25, .epsilon = 1e-3, .no_affine = true},
        {.kind = NN_DROPOUT, .rate = .3},
        {.kind = NN_FLATTEN},
        {.kind = NN_DENSE,
         .units = 7,
         .bias_init = {.kind = NN_INIT_CONSTANT, .value = -1e-300},
         .weight_init = {.kind = NN_INIT_HE_NORMAL}},
        {.kind = NN_SCALE,
         .n_scale = 7,
         .scale = (double[]){1, 2, 3, 4, 5, 6, 7},
         .shift = (double[]){.1, .2, .3, .4, .5, .6, .7}},
    };
    enum { N = sizeof layers / sizeof *layers };
    nn_model *model =
        made(&(nn_model_config){.inputs = {{.rank = 3, .size = {2, 6, 7}}}, .seed = UINT64_MAX}, N,
             layers);
    FINE(nn_save(model, in_folder(path, "a"), &error));
    nn_model *loaded = nn_load(path, NULL, &error);
    FINE(error.status);
    same_values(model, loaded);
    assert_true(nn_model_config_of(loaded)->seed == UINT64_MAX);
    for (int i = 0; i < N; i++) {
        const nn_layer *a = nn_layer_at(model, i), *b = nn_layer_at(loaded, i);
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->units, b->units);
        assert_int_equal(a->groups, b->groups);
        assert_int_equal(a->n_scale, b->n_scale);
        assert_int_equal(a->no_bias, b->no_bias);
        assert_int_equal(a->no_affine, b->no_affine);
        assert_memory_equal(a->kernel, b->kernel, sizeof a->kernel);
        assert_memory_equal(a->stride, b->stride, sizeof a->stride);
        assert_memory_equal(a->padding, b->padding, sizeof a->padding);
        assert_memory_equal(a->dilation, b->dilation, sizeof a->dilation);
        EQUAL(a->slope, b->slope);
        EQUAL(a->rate, b->rate);
        EQUAL(a->epsilon, b->epsilon);
        EQUAL(a->momentum, b->momentum);
        EQUAL(a->weight_init.value, b->weight_init.value);
        EQUAL(a->bias_init.value, b->bias_init.value);
        assert_int_equal(a->weight_init.kind, b->weight_init.kind);
        assert_int_equal(a->bias_init.kind, b->bias_init.kind);
        assert_string_equal(a->name ? a->name : "", b->name ? b->name : "");
        assert_string_equal(a->activation ? a->activation : "", b->activation ? b->activation : "");
    }
    size_t size;
    char *text = read_bytes(in_folder(json, "a.json"), &size);
    CONTAINS(text, "\"slope\": 0.333333333333333");
    CONTAINS(text, "{\"kind\": \"dropout\", \"rate\": 0.3}");
    CONTAINS(text, "\"seed\": \"18446744073709551615\"");
    free(text);
    nn_model_free(loaded);
    nn_model_free(model);
}

static void parameters_load_into_the_tensors_that_are_there(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    nn_model *model = small_model(), *other = small_model();
    disturb(model, 1);
    FINE(nn_save(model, in_folder(path, "a"), &error));
    ad_tensor *t = ad_param_value(nn_param_find(other, "1.bias"));
    uint64_t version = ad_tensor_version(t);
    FINE(nn_load_parameters(other, path, &error));
    assert_ptr_equal(ad_param_value(nn_param_find(other, "1.bias")), t);
    assert_true(ad_tensor_version(t) > version);
    same_values(model, other);
    nn_model_free(other);
    nn_model_free(model);
}

static void floats_and_doubles_load_into_each_other(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    nn_model *wide = network_model(&networks[0], AD_F64),
             *narrow = network_model(&networks[0], AD_F32);
    disturb(wide, 4);
    FINE(nn_save(wide, in_folder(path, "a"), &error));
    FINE(nn_load_parameters(narrow, path, &error));
    for (int i = 0; i < nn_param_count(wide); i++) {
        int64_t n = ad_tensor_size(ad_param_value(nn_param_at(wide, i)));
        double a[64], b[64];
        assert_true(n <= 64);
        ad_tensor_read(ad_param_value(nn_param_at(wide, i)), a);
        ad_tensor_read(ad_param_value(nn_param_at(narrow, i)), b);
        for (int64_t k = 0; k < n; k++)
            EQUAL(b[k], (double)(float)a[k]);
    }
    FINE(nn_save(narrow, path, &error));
    FINE(nn_load_parameters(wide, path, &error));
    EQUAL(ad_tensor_get(ad_param_value(nn_param_find(wide, "0.bias")), (int64_t[]){0}),
          ad_tensor_get(ad_param_value(nn_param_find(narrow, "0.bias")), (int64_t[]){0}));
    nn_model_free(narrow);
    nn_model_free(wide);
}

/* A file of the small model's names, one of them changed. */
static void a_file_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    static const struct misfit {
        const char *names[5];
        int64_t rows; /* of 0.weight */
        ad_dtype dtype;
        const char *parts[3];
    } misfits[] = {
        {{"0.weight", "0.bias", "1.weight"}, 3, AD_F64, {"1 missing: '1.bias'", "0 too many", ""}},
        {{"0.weight", "0.bias", "1.weight", "1.bias", "2.bias"},
         3,
         AD_F64,
         {"0 missing", "1 too many: '2.bias'", ""}},
        {{"0.weight", "0.bias", "1.weight", "1.bias"},
         4,
         AD_F64,
         {"1 of another shape: '0.weight' is (4,2), want (3,2)", "", ""}},
        {{"0.weight", "0.bias", "1.weight", "1.bias"},
         3,
         AD_I32,
         {"'0.weight' is (3,2) of integers, want (3,2)", "", ""}},
        {{"a", "b", "c", "d", "e"},
         3,
         AD_F64,
         {"4 missing: '0.weight', '0.bias', '1.weight', ...,", "5 too many: 'a', 'b', 'c', ...",
          ""}},
        {{NULL}, 3, AD_F64, {"4 missing", "", ""}},
    };
    nn_model *model = small_model(), *before = small_model();
    for (size_t k = 0; k < sizeof misfits / sizeof *misfits; k++) {
        const struct misfit *m = &misfits[k];
        nn_error error = {0};
        char path[PATH];
        int n = 0;
        const int64_t shapes[5][2] = {{m->rows, 2}, {3, 0}, {1, 3}, {1, 0}, {1, 0}};
        ad_tensor *t[5] = {NULL};
        while (n < 5 && m->names[n]) {
            t[n] =
                ad_tensor_new(NULL, n == 0 ? m->dtype : AD_F64, n % 2 || n == 4 ? 1 : 2, shapes[n]);
            n++;
        }
        FINE(nn_safetensors_write(in_folder(path, "a"), n, m->names, t, NULL, &error));
        ad_status status = nn_load_parameters(model, path, &error);
        for (int i = 0; i < 3; i++)
            CONTAINS(error.text, m->parts[i]);
        CONTAINS(error.text, "nothing is loaded");
        FAILS(status, "does not fit the model");
        same_values(model, before);
        for (int i = 0; i < n; i++)
            ad_tensor_free(t[i]);
    }
    nn_model_free(before);
    nn_model_free(model);
}

static ad_var own_layer(nn_pass *pass, ad_var x, void *user)
{
    (void)pass, (void)user;
    return ad_mul(x, 2);
}

static ad_var own_function(nn_pass *pass, const ad_var *inputs, void *user)
{
    (void)user;
    return nn_apply(pass, "only", nn_dense(2, NULL), inputs[0]);
}

static void a_function_of_the_user_saves_its_parameters_only(void **state)
{
    (void)state;
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {2}}}};
    for (int k = 0; k < 2; k++) {
        nn_error error = {0};
        char path[PATH];
        nn_model *model[2];
        for (int i = 0; i < 2; i++)
            model[i] = k ? made(&config, 2,
                                (nn_layer[]){nn_dense(2, NULL), nn_custom("own", own_layer, NULL)})
                         : nn_model_new(&config, own_function, NULL);
        disturb(model[0], 1);
        FINE(nn_save(model[0], in_folder(path, "a"), &error));
        assert_null(nn_load(path, NULL, &error));
        FAILS(error.status, "make the model by the same code, then call nn_load_parameters");
        FINE(nn_load_parameters(model[1], path, &error));
        same_values(model[0], model[1]);
        nn_model_free(model[0]);
        nn_model_free(model[1]);
    }
}

#define HEAD                                                                                       \
    "{\"format\": \"tapegrad model\", \"version\": 1, \"seed\": \"1\", \"dtype\": \"double\", "
#define INPUTS     "\"inputs\": [{\"shape\": [2]}], "
#define DENSE(...) HEAD INPUTS "\"layers\": [{\"kind\": \"dense\", " __VA_ARGS__ "}]}"

static const struct description {
    const char *text, *part;
} descriptions[] = {
    {"", "a.json:"},
    {"{", "a.json:"},
    {"[]", "no description of a model"},
    {"3", "a.json:"},
    {"{}", "no description of a model"},
    {"{\"format\": \"other\"}", "no description of a model"},
    {"{\"format\": \"tapegrad model\"}", "version"},
    {"{\"format\": \"tapegrad model\", \"version\": 2}", "reads version 1 only"},
    {"{\"format\": \"tapegrad model\", \"version\": 1}", "layers: missing"},
    {HEAD "\"layers\": [{\"kind\": \"flatten\"}]}", "inputs: missing"},
    {HEAD "\"dtype\": \"float\"}", "duplicate"},
    {HEAD "\"imputs\": []}", "unknown key 'imputs', did you mean 'inputs'?"},
    {HEAD "\"inputs\": []}", "inputs: want a list of 1 to 8 inputs"},
    {HEAD "\"inputs\": {}}", "inputs: want a list of 1 to 8 inputs"},
    {HEAD "\"inputs\": [3]}", "inputs[0]: want an object"},
    {HEAD "\"inputs\": [{\"shape\": 3}]}", "inputs[0].shape: want a list"},
    {HEAD "\"inputs\": [{\"shape\": [1,1,1,1,1,1,1,1]}]}", "inputs[0].shape: want a list"},
    {HEAD "\"inputs\": [{\"shape\": [-1]}]}", "inputs[0].shape: want an integer"},
    {HEAD "\"inputs\": [{\"indices\": 1}]}", "inputs[0].indices: want true or false"},
    {HEAD INPUTS "\"layers\": []}", "layers: want a list"},
    {HEAD INPUTS "\"layers\": [{}]}", "layers[0].kind: want the layer's kind"},
    {HEAD INPUTS "\"layers\": [{\"kind\": 1}]}", "layers[0].kind: want a name"},
    {HEAD INPUTS "\"layers\": [{\"kind\": \"conv2\"}]}",
     "layers[0].kind: unknown name 'conv2', did you mean 'conv2d'?"},
    {HEAD INPUTS "\"layers\": [{\"kind\": \"custom\"}]}", "unknown name 'custom'"},
    {DENSE("\"unit\": 3"), "layers[0]: unknown key 'unit', did you mean 'units'?"},
    {DENSE("\"zzzzzz\": 3"), "layers[0]: unknown key 'zzzzzz'"},
    {DENSE("\"units\": -1"), "layers[0].units: want an integer from 0 to 2^31"},
    {DENSE("\"units\": 1e3"), "layers[0].units: want an integer"},
    {DENSE("\"units\": 9223372036854775807"), "layers[0].units: want an integer"},
    {DENSE("\"units\": 92233720368547758070"), "a.json:1:"},
    {DENSE("\"units\": 2147483649"), "layers[0].units: want an integer"},
    {DENSE("\"units\": 2147483647"), "layers[0]: 2147483647 units, but at most 13 can be right"},
    {DENSE("\"units\": 1, \"rows\": 14"), "layers[0]: 14 rows, but at most 13"},
    {DENSE("\"units\": 1, \"n_scale\": 14"), "layers[0]: 14 numbers to scale"},
    {HEAD "\"inputs\": [{\"shape\": [65536, 65536]}], \"layers\": [{\"kind\": \"flatten\"}]}",
     "inputs[0]: 4294967296 elements"},
    {DENSE("\"units\": 0"), "units must be 1 or more"},
    {DENSE("\"units\": 1, \"activation\": 3"), "layers[0].activation: want a text"},
    {DENSE("\"units\": 1, \"activation\": \"rely\""), "relu"},
    {DENSE("\"units\": 1, \"rate\": \"1\""), "layers[0].rate: want a number"},
    {DENSE("\"units\": 1, \"no_bias\": 1"), "layers[0].no_bias: want true or false"},
    {DENSE("\"units\": 1, \"kernel\": [1]"), "layers[0].kernel: want two integers"},
    {DENSE("\"units\": 1, \"kernel\": [1, -1]"), "layers[0].kernel: want an integer"},
    {DENSE("\"units\": 1, \"weight_init\": {\"kind\": \"he\"}"),
     "layers[0].weight_init.kind: unknown name 'he'"},
    {DENSE("\"units\": 1, \"weight_init\": {\"valve\": 1}"),
     "layers[0].weight_init: unknown key 'valve', did you mean 'value'?"},
    {"{\"format\": \"tapegrad model\", \"version\": 1, \"seed\": 1}", "seed: want a text"},
    {"{\"format\": \"tapegrad model\", \"version\": 1, \"seed\": \"-1\"}", "seed: want a text"},
    {"{\"format\": \"tapegrad model\", \"version\": 1, \"seed\": \"18446744073709551616\"}",
     "seed: want a text"},
    {"{\"format\": \"tapegrad model\", \"version\": 1, \"dtype\": \"int32\"}",
     "dtype: unknown name 'int32'"},
    {HEAD "\"function\": true}", "the user's own"},
    {DENSE("\"units\": 2"), "does not fit the model"},
};

static void descriptions_with_mistakes_are_errors(void **state)
{
    (void)state;
    char path[PATH], json[PATH];
    nn_error error = {0};
    nn_model *model = small_model();
    FINE(nn_save(model, in_folder(path, "a"), &error));
    nn_model_free(model);
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++) {
        const struct description *d = &descriptions[i];
        write_bytes(in_folder(json, "a.json"), d->text, strlen(d->text));
        if (nn_load(path, NULL, &error) || !error.status || !strstr(error.text, d->part))
            fail_msg("%s: got %s (%s), want \"%s\"", d->text, ad_status_name(error.status),
                     error.text, d->part);
        error = (nn_error){0};
        assert_null(nn_load(path, NULL, NULL));
    }
}

static void damaged_descriptions_never_crash(void **state)
{
    (void)state;
    char path[PATH], json[PATH];
    uint64_t seed = 2;
    size_t size;
    nn_error error = {0};
    nn_model *model = network_model(&networks[1], AD_F64);
    FINE(nn_save(model, in_folder(path, "a"), &error));
    nn_model_free(model);
    char *text = read_bytes(in_folder(json, "a.json"), &size), *damaged = malloc(size);
    for (int trial = 0; trial < 300; trial++) {
        static const char likely[] = "012345[]{},:\"\\-.e";
        memcpy(damaged, text, size);
        damaged[noise(&seed) % size] = likely[noise(&seed) % (sizeof likely - 1)];
        write_bytes(json, damaged, size);
        model = nn_load(path, NULL, &error);
        if (!model == !error.status)
            fail_msg("trial %d: %s (%s)", trial, ad_status_name(error.status), error.text);
        nn_model_free(model);
        error = (nn_error){0};
    }
    free(damaged);
    free(text);
}

static void an_earlier_error_stops_every_call(void **state)
{
    (void)state;
    nn_error error = {AD_MISMATCH, "before"};
    char path[PATH];
    int n = 7;
    ad_param **tensors;
    nn_model *model = small_model();
    in_folder(path, "a");
    assert_int_equal(nn_save(model, path, &error), AD_MISMATCH);
    assert_null(nn_load(path, NULL, &error));
    assert_int_equal(nn_load_parameters(model, path, &error), AD_MISMATCH);
    assert_int_equal(nn_safetensors_write(path, 0, NULL, NULL, NULL, &error), AD_MISMATCH);
    assert_int_equal(nn_safetensors_read(path, &n, &tensors, &error), AD_MISMATCH);
    assert_int_equal(nn_export_c(model, "a", stdout, &error), AD_MISMATCH);
    assert_string_equal(error.text, "before");
    assert_int_equal(n, 0);
    assert_int_equal(access(path, F_OK), -1);
    nn_model_free(model);
}

static void nulls_and_dead_models_are_errors(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[PATH];
    int n;
    ad_param **tensors;
    nn_model *model = small_model(), *dead = nn_sequential(NULL, 0, NULL);
    in_folder(path, "a");
    FAILS(nn_save(NULL, path, &error), "no model");
    FAILS(nn_save(model, NULL, &error), "no path");
    FAILS(nn_save(dead, path, &error), "no config");
    FAILS(nn_load_parameters(NULL, path, &error), "no model");
    FAILS(nn_load_parameters(model, NULL, &error), "no path");
    FAILS(nn_load_parameters(dead, path, &error), "no config");
    FAILS(nn_load_parameters(model, path, &error), "/a: cannot open it");
    assert_null(nn_load(NULL, NULL, &error));
    FAILS(error.status, "no path");
    assert_null(nn_load(path, NULL, &error));
    FAILS(error.status, "/a: cannot open it");
    FINE(nn_safetensors_write(path, 0, NULL, NULL, NULL, &error));
    assert_null(nn_load(path, NULL, &error));
    FAILS(error.status, "/a.json: cannot open it");
    FAILS(nn_safetensors_read(path, NULL, &tensors, &error), "nowhere");
    FAILS(nn_safetensors_read(path, &n, NULL, &error), "nowhere");
    FAILS(nn_safetensors_read(NULL, &n, &tensors, &error), "no path");
    FAILS(nn_export_c(NULL, "a", stdout, &error), "no model");
    FAILS(nn_export_c(model, NULL, stdout, &error), "no model, name or file");
    FAILS(nn_export_c(model, "a", NULL, &error), "no model, name or file");
    FAILS(nn_export_c(dead, "a", stdout, &error), "no config");
    assert_int_equal(nn_save(NULL, NULL, NULL), AD_NULL);
    assert_int_equal(nn_load_parameters(NULL, NULL, NULL), AD_NULL);
    assert_int_equal(nn_export_c(NULL, NULL, NULL, NULL), AD_NULL);
    nn_model_free(dead);
    nn_model_free(model);
}

static void the_public_reader_hands_its_tensors_over(void **state)
{
    (void)state;
    nn_error error = {0};
    int n = 0;
    ad_param **tensors = NULL;
    FINE(nn_safetensors_read(DATA "torch_mlp.safetensors", &n, &tensors, &error));
    assert_int_equal(n, 9);
    for (int i = 0; i < n; i++)
        ad_param_free(tensors[i]);
    free(tensors);
}

/* ---- PyTorch ---- */

static void compare(const char *what, const nn_model *model, const ad_tensor *x, const ad_tensor *y)
{
    int64_t n;
    double *got = outputs(model, x, &n), *want = calloc((size_t)n + 1, sizeof *want);
    assert_int_equal(n, ad_tensor_size(y));
    ad_tensor_read(y, want);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-5 * (1 + fabs(want[i]))))
            fail_msg("%s, output %d: got %.9g, want %.9g", what, (int)i, got[i], want[i]);
    free(want);
    free(got);
}

static void files_of_torch_load_and_predict_the_same(void **state)
{
    (void)state;
    static const char *const variants[] = {"", "_f16", "_bf16"};
    for (int k = 0; k < NETWORKS; k++)
        for (int v = 0; v < (k == 0 ? 3 : 1); v++)
            for (ad_dtype dtype = AD_F64; dtype <= AD_F32; dtype++) {
                nn_error error = {0};
                nn_tensor_file file;
                char path[PATH], y[16];
                nn_model *model = network_model(&networks[k], dtype);
                snprintf(path, sizeof path, DATA "%s%s.safetensors", networks[k].name, variants[v]);
                FINE(nn_load_parameters(model, path, &error));
                snprintf(path, sizeof path, DATA "%s_case.safetensors", networks[k].name);
                FINE(nn_tensor_file_read(path, NULL, &file, &error));
                snprintf(y, sizeof y, "y%s", variants[v]);
                compare(networks[k].name, model, nn_tensor_file_find(&file, "x"),
                        nn_tensor_file_find(&file, y));
                nn_tensor_file_free(&file);
                nn_model_free(model);
            }
}

/* Saves all networks, with inputs and outputs, for the script to load. */
static void save_for_torch(void)
{
    for (int k = 0; k < NETWORKS; k++) {
        const ad_dtype dtype = k % 2 ? AD_F64 : AD_F32;
        nn_error error = {0};
        nn_tensor_file file;
        char path[PATH], name[64];
        int64_t n;
        nn_model *model = network_model(&networks[k], dtype);
        disturb(model, (uint64_t)k + 9);
        snprintf(name, sizeof name, "%s.safetensors", networks[k].name);
        FINE(nn_save(model, in_folder(path, name), &error));
        snprintf(path, sizeof path, DATA "%s_case.safetensors", networks[k].name);
        FINE(nn_tensor_file_read(path, NULL, &file, &error));
        ad_tensor *x = nn_tensor_file_find(&file, "x");
        double *values = outputs(model, x, &n);
        const int64_t rows = ad_tensor_shape(x)[0];
        ad_tensor *y = tensor_of(dtype, 2, (int64_t[]){rows, n / rows}, values);
        snprintf(name, sizeof name, "%s_case.safetensors", networks[k].name);
        FINE(nn_safetensors_write(in_folder(path, name), 2, (const char *[]){"x", "y"},
                                  (ad_tensor *[]){x, y}, NULL, &error));
        ad_tensor_free(y);
        free(values);
        nn_tensor_file_free(&file);
        nn_model_free(model);
    }
}

static void torch_loads_our_files_and_predicts_the_same(void **state)
{
    (void)state;
    const char *python = getenv("PYTHON");
    char command[3 * PATH];
    save_for_torch();
    snprintf(command, sizeof command,
             "'%s' " TAPEGRAD_SOURCE_DIR
             "/tests/fixtures_safetensors.py --check '%s' >'%s/said' 2>&1",
             python ? python : "python3", folder, folder);
    int status = system(command);
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127))
        skip(); /* no torch or safetensors here */
    if (status != 0) {
        size_t size;
        char path[PATH];
        fail_msg("%s:\n%s", command, read_bytes(in_folder(path, "said"), &size));
    }
}

/* ---- crashes ---- */

/* A model whose parameters are all one number. */
static nn_model *constant_model(int64_t units, double value)
{
    nn_init init = {.kind = NN_INIT_CONSTANT, .value = value};
    return made(
        &(nn_model_config){.inputs = {{.rank = 1, .size = {100}}}}, 2,
        (nn_layer[]){{.kind = NN_DENSE, .units = units, .weight_init = init, .bias_init = init},
                     {.kind = NN_DENSE, .units = 1, .weight_init = init, .bias_init = init}});
}

/* The one number of a file's parameters; NaN where there are two. */
static double number_of(const char *path)
{
    nn_error error = {0};
    nn_tensor_file file;
    FINE(nn_tensor_file_read(path, NULL, &file, &error));
    double number = ad_tensor_get(nn_tensor_file_find(&file, "0.bias"), (int64_t[]){0});
    for (int i = 0; i < file.n; i++) {
        ad_tensor *t = ad_param_value(file.tensors[i]);
        double *values = calloc((size_t)ad_tensor_size(t), sizeof *values);
        ad_tensor_read(t, values);
        for (int64_t k = 0; k < ad_tensor_size(t); k++)
            if (values[k] != number)
                number = (double)NAN;
        free(values);
    }
    nn_tensor_file_free(&file);
    return number;
}

static void a_child_killed_while_saving_leaves_a_whole_file(void **state)
{
    (void)state;
    char path[PATH];
    nn_error error = {0};
    uint64_t seed = 3;
    nn_model *model[2] = {constant_model(700, 1), constant_model(700, 2)};
    FINE(nn_save(model[0], in_folder(path, "a"), &error));
    for (int trial = 0; trial < 15; trial++) {
        pid_t child = fork();
        if (child == 0)
            for (int i = 0;; i++)
                if (nn_save(model[i % 2], path, NULL))
                    _exit(1);
        usleep((useconds_t)(noise(&seed) % 20000));
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status)); /* it had not failed before */
        double number = number_of(path);
        if (number != 1 && number != 2)
            fail_msg("trial %d: the file is a mixture", trial);
        nn_model *loaded = nn_load(path, NULL, &error);
        FINE(error.status);
        nn_model_free(loaded);
    }
    nn_model_free(model[0]);
    nn_model_free(model[1]);
}

/* A child that may write so many bytes to a file: its disk is full. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    char path[PATH], command[2 * PATH];
    nn_error error = {0};
    nn_model *old = constant_model(50, 1), *new = constant_model(50, 2);
    FINE(nn_save(old, in_folder(path, "a"), &error));
    static const rlim_t limits[] = {0, 1, 8, 100, 500, 5000, 20000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limits[i], limits[i]});
            ad_status status = nn_save(new, path, &error);
            _exit(status && strstr(error.text, "cannot write it") ? 7 : 8);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
            fail_msg("limit %d: want an error of writing, got status %d", (int)limits[i], status);
        EQUAL(number_of(path), 1);
    }
    /* and nothing beside them: no leftovers */
    snprintf(command, sizeof command, "test \"$(ls -A '%s' | wc -l)\" -eq 2", folder);
    assert_int_equal(system(command), 0);
    nn_model_free(new);
    nn_model_free(old);
}

static void places_that_cannot_be_written_are_errors(void **state)
{
    (void)state;
    char path[PATH];
    nn_error error = {0};
    nn_model *model = small_model();
    FAILS(nn_save(model, "/dev/full", &error), "/dev/full");
    FAILS(nn_save(model, folder, &error), "not a regular file");
    FAILS(nn_save(model, in_folder(path, "no/such/folder"), &error), "no/such/folder");
    if (geteuid() != 0) { /* root may write anywhere */
        chmod(folder, 0500);
        FAILS(nn_save(model, in_folder(path, "a"), &error), "cannot write it");
        chmod(folder, 0700);
    }
    /* where the description cannot be written, the parameters are not either */
    in_folder(path, "a.json");
    assert_int_equal(mkdir(path, 0700), 0);
    FAILS(nn_save(model, in_folder(path, "a"), &error), "a.json");
    assert_int_equal(access(path, F_OK), -1);
    nn_model_free(model);
}

/* ---- C source ---- */

typedef struct exported {
    nn_shape input;
    int n;
    nn_layer layers[8];
} exported;

#define WIDTH(n)                                                                                   \
    {                                                                                              \
        .rank = 1, .size = { n }                                                                   \
    }
static const double scales[6] = {1, 2, -3, .5, 1e-3, 7}, shifts[6] = {0, 1, -1, .25, 3, 1e3};
static const exported exports[] = {
    {WIDTH(4), 1, {{.kind = NN_DENSE, .units = 3}}},
    {WIDTH(4), 1, {{.kind = NN_DENSE, .units = 3, .no_bias = true, .activation = "relu"}}},
    {WIDTH(4),
     4,
     {{.kind = NN_DENSE, .units = 9, .activation = "gelu"},
      {.kind = NN_DROPOUT, .rate = .5},
      {.kind = NN_DENSE, .units = 5, .activation = "silu", .name = "named"},
      {.kind = NN_DENSE, .units = 3, .activation = "softmax"}}},
    {{.rank = 2, .size = {3, 4}},
     2,
     {{.kind = NN_DENSE, .units = 5, .activation = "leaky_relu"},
      {.kind = NN_DENSE, .units = 2, .activation = "log_softmax"}}},
    {WIDTH(4), 1, {{.kind = NN_ACTIVATION, .activation = "leaky_relu", .slope = .3}}},
    {WIDTH(4),
     2,
     {{.kind = NN_ACTIVATION, .activation = "elu"},
      {.kind = NN_ACTIVATION, .activation = "elu", .slope = .5}}},
    {WIDTH(4), 2, {{.kind = NN_DROPOUT, .rate = .1}, {.kind = NN_FLATTEN}}},
    {WIDTH(6), 1, {{.kind = NN_SCALE, .n_scale = 6, .scale = scales, .shift = shifts}}},
    {WIDTH(4), 1, {{.kind = NN_BATCH_NORM}}},
    {{.rank = 3, .size = {2, 3, 2}},
     1,
     {{.kind = NN_BATCH_NORM, .epsilon = .1, .no_affine = true}}},
    {{.rank = 2, .size = {3, 4}}, 1, {{.kind = NN_LAYER_NORM, .activation = "tanh"}}},
    {{.rank = 2, .size = {3, 4}}, 1, {{.kind = NN_LAYER_NORM, .epsilon = .1, .no_affine = true}}},
    {{.rank = 1, .size = {3}, .indices = true},
     4,
     {{.kind = NN_EMBEDDING, .rows = 7, .units = 4},
      {.kind = NN_LAYER_NORM},
      {.kind = NN_FLATTEN},
      {.kind = NN_DENSE, .units = 2}}},
    {{.rank = 3, .size = {2, 8, 9}},
     8,
     {{.kind = NN_CONV2D, .units = 4, .kernel = {3}, .padding = {1, 1}, .activation = "relu"},
      {.kind = NN_MAX_POOL2D, .kernel = {2}},
      {.kind = NN_CONV2D,
       .units = 6,
       .kernel = {2, 3},
       .stride = {1, 2},
       .padding = {0, 1},
       .groups = 2},
      {.kind = NN_BATCH_NORM},
      {.kind = NN_AVERAGE_POOL2D, .kernel = {2}, .stride = {1}},
      {.kind = NN_FLATTEN},
      {.kind = NN_DENSE, .units = 3},
      {.kind = NN_ACTIVATION, .activation = "sigmoid"}}},
    {{.rank = 3, .size = {1, 9, 8}},
     3,
     {{.kind = NN_CONV2D,
       .units = 2,
       .kernel = {3, 2},
       .padding = {3, 1},
       .dilation = {2, 3},
       .stride = {2},
       .no_bias = true},
      {.kind = NN_MAX_POOL2D, .kernel = {3, 2}, .padding = {1, 1}, .stride = {1, 2}},
      {.kind = NN_AVERAGE_POOL2D, .kernel = {3, 1}, .padding = {1, 0}}}},
};
enum { EXPORTS = sizeof exports / sizeof *exports, CASES = 2 * EXPORTS };

/* One case of the program that is built: a model, its input and what it should give. */
typedef struct c_case {
    nn_model *model;
    ad_tensor *x;
    const char *what;
} c_case;

static bool must_fail(const char *activation)
{
    return !strcmp(activation, "erfinv") || !strcmp(activation, "lgamma") ||
           !strcmp(activation, "digamma");
}

static void export_to(const char *name, const nn_model *model)
{
    char path[PATH], file[64];
    nn_error error = {0};
    snprintf(file, sizeof file, "%s.c", name);
    FILE *to = fopen(in_folder(path, file), "w");
    FINE(nn_export_c(model, name, to, &error));
    fclose(to);
}

/* Each case's input as a static array, and a main that prints all outputs. */
static void write_program(int n, const c_case *cases)
{
    char path[PATH];
    FILE *to = fopen(in_folder(path, "main.c"), "w");
    fputs("#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n", to);
    for (int i = 0; i < n; i++) {
        char name[16];
        const bool indices = cases[i].model->config.inputs[0].indices;
        const char *real = cases[i].model->config.dtype == AD_F32 ? "float" : "double";
        snprintf(name, sizeof name, "m%d", i);
        export_to(name, cases[i].model);
        const int64_t size = ad_tensor_size(cases[i].x);
        double *x = calloc((size_t)size, sizeof *x);
        ad_tensor_read(cases[i].x, x);
        fprintf(to, "void m%d_predict(const %s *x, %s *y);\nstatic const %s x%d[] = {", i,
                indices ? "int32_t" : real, real, indices ? "int32_t" : real, i);
        for (int64_t k = 0; k < size; k++)
            if (isfinite(x[k]))
                fprintf(to, "(%s)%a, ", indices ? "int32_t" : real, x[k]);
            else
                fputs(isnan(x[k]) ? "NAN, " : x[k] < 0 ? "-INFINITY, " : "INFINITY, ", to);
        fprintf(to, "};\nstatic %s y%d[%d];\n", real, i,
                (int)nn_shape_size(&cases[i].model->output));
        free(x);
    }
    fputs("int main(void)\n{\n", to);
    for (int i = 0; i < n; i++)
        fprintf(
            to,
            "    m%d_predict(x%d, y%d);\n    for (unsigned i = 0; i < sizeof y%d / sizeof *y%d; "
            "i++)\n        printf(\"%%.17g\\n\", (double)y%d[i]);\n",
            i, i, i, i, i, i);
    fputs("    return 0;\n}\n", to);
    fclose(to);
}

static void check_outputs(int n, const c_case *cases)
{
    char path[PATH];
    FILE *from = fopen(in_folder(path, "outputs"), "r");
    assert_non_null(from);
    for (int i = 0; i < n; i++) {
        int64_t size;
        const double unit = cases[i].model->config.dtype == AD_F32 ? 0x1p-23 : 0x1p-52;
        double *want = outputs(cases[i].model, cases[i].x, &size), got, most = 0;
        for (int64_t k = 0; k < size; k++)
            most = fabs(want[k]) > most && isfinite(want[k]) ? fabs(want[k]) : most;
        for (int64_t k = 0; k < size; k++) {
            if (fscanf(from, "%lf", &got) != 1)
                fail_msg("%s: no output %d", cases[i].what, (int)k);
            /* sums of a dozen terms of the size of the largest */
            if (!(got == want[k] || (isnan(got) && isnan(want[k])) ||
                  fabs(got - want[k]) <= 16 * unit * (1 + most)))
                fail_msg("case %d, %s, %s, output %d: got %.17g, want %.17g", i, cases[i].what,
                         ad_dtype_name(cases[i].model->config.dtype), (int)k, got, want[k]);
        }
        free(want);
    }
    fclose(from);
}

static void build_and_check(int n, const c_case *cases)
{
    char command[4 * PATH], path[PATH];
    size_t size;
    write_program(n, cases);
    snprintf(
        command, sizeof command,
        "cd '%s' && cc -std=c99 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror *.c -o "
        "it -lm >said 2>&1 && ./it >outputs",
        folder);
    if (system("cc --version >/dev/null 2>&1") != 0)
        skip();
    if (system(command) != 0)
        fail_msg("%s:\n%s", command, read_bytes(in_folder(path, "said"), &size));
    check_outputs(n, cases);
    for (int i = 0; i < n; i++) {
        ad_tensor_free(cases[i].x);
        nn_model_free(cases[i].model);
    }
}

/* One example. */
static ad_tensor *example(const nn_shape *shape, ad_dtype dtype, double low, double high,
                          uint64_t seed)
{
    int64_t sizes[AD_MAX_RANK] = {1};
    memcpy(sizes + 1, shape->size, sizeof shape->size);
    ad_tensor *x = ad_tensor_new(NULL, shape->indices ? AD_I32 : dtype, shape->rank + 1, sizes);
    double *values = calloc((size_t)ad_tensor_size(x), sizeof *values);
    for (int64_t i = 0; i < ad_tensor_size(x); i++)
        values[i] = shape->indices ? (double)(noise(&seed) % 7) : uniform(&seed, low, high);
    ad_tensor_write(x, values);
    free(values);
    return x;
}

static void exported_models_predict_the_same(void **state)
{
    (void)state;
    c_case cases[CASES];
    for (int i = 0; i < CASES; i++) {
        const exported *e = &exports[i / 2];
        const ad_dtype dtype = i % 2 ? AD_F32 : AD_F64;
        cases[i].what = "layers";
        cases[i].model =
            made(&(nn_model_config){.inputs = {e->input}, .dtype = dtype}, e->n, e->layers);
        if (e->layers[0].kind != NN_SCALE)
            disturb(cases[i].model, (uint64_t)i);
        cases[i].x = example(&e->input, dtype, -2, 2, (uint64_t)i + 100);
    }
    build_and_check(CASES, cases);
}

static void every_activation_can_be_exported(void **state)
{
    (void)state;
    c_case cases[128];
    int n = 0;
    const nn_shape shape = WIDTH(5);
    for (int op = 0; op < ad_op_count(); op++) {
        const ad_op_info *info = ad_op_at(op);
        if (!info->elementwise || info->arity != 1)
            continue;
        const ad_dtype dtype = op % 2 ? AD_F32 : AD_F64;
        nn_model *model = made(&(nn_model_config){.inputs = {shape}, .dtype = dtype}, 1,
                               (nn_layer[]){nn_activation(info->name)});
        if (must_fail(info->name)) {
            nn_error error = {0};
            FILE *to = tmpfile();
            FAILS(nn_export_c(model, "a", to, &error), info->name);
            fclose(to);
            nn_model_free(model);
            continue;
        }
        cases[n].what = info->name;
        cases[n].model = model;
        cases[n++].x = example(&shape, dtype, info->low[0], info->high[0], (uint64_t)op);
        assert_true(n < 128);
    }
    build_and_check(n, cases);
}

static void softmax_of_infinities_is_exported_as_it_is(void **state)
{
    (void)state;
    static const double rows[4][3] = {
        {INFINITY, 1, 2}, {-INFINITY, 1, 2}, {1e300, -1e300, 1e300}, {(double)NAN, 1, INFINITY}};
    c_case cases[8];
    const nn_shape shape = WIDTH(3);
    for (int i = 0; i < 8; i++) {
        cases[i].what = i % 2 ? "softmax" : "log_softmax";
        cases[i].model = made(&(nn_model_config){.inputs = {shape}}, 1,
                              (nn_layer[]){nn_activation(cases[i].what)});
        cases[i].x = tensor_of(AD_F64, 2, (int64_t[]){1, 3}, (double[]){0, 0, 0});
        ad_tensor_write(cases[i].x, rows[i / 2]);
    }
    build_and_check(8, cases);
}

static void what_cannot_be_exported_is_an_error(void **state)
{
    (void)state;
    nn_error error = {0};
    const nn_model_config config = {.inputs = {{.rank = 1, .size = {2}}}};
    nn_model *model = small_model(), *function = nn_model_new(&config, own_function, NULL);
    nn_model *custom = made(&config, 1, (nn_layer[]){nn_custom("own", own_layer, NULL)});
    FILE *to = tmpfile(), *full = fopen("/dev/full", "w");
    static const char *const names[] = {"", "1a", "a-b", "a b", "a*/", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        FAILS(nn_export_c(model, names[i], to, &error), "no C identifier");
    FAILS(nn_export_c(function, "a", to, &error), "a list of layers only");
    FAILS(nn_export_c(custom, "a", to, &error), "layer 0 is the user's own");
    if (full) {
        FAILS(nn_export_c(model, "a", full, &error), "cannot write");
        fclose(full);
    }
    fclose(to);
    nn_model_free(custom);
    nn_model_free(function);
    nn_model_free(model);
}

/* ---- locales ---- */

static void a_locale_with_commas_changes_nothing(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    char path[PATH], other[PATH];
    nn_error error = {0};
    const nn_layer layer = {.kind = NN_ACTIVATION, .activation = "leaky_relu", .slope = .125};
    nn_model *model =
        made(&(nn_model_config){.inputs = {WIDTH(2)}}, 2, (nn_layer[]){layer, nn_dense(2, NULL)});
    FINE(nn_save(model, in_folder(path, "a"), &error));
    FILE *to = fopen(in_folder(path, "a.c"), "w");
    FINE(nn_export_c(model, "a", to, &error));
    fclose(to);
    size_t i = 0, n = sizeof locales / sizeof *locales;
    while (i < n && !setlocale(LC_ALL, locales[i]))
        i++;
    if (i < n) {
        FINE(nn_save(model, in_folder(path, "b"), &error));
        to = fopen(in_folder(path, "b.c"), "w");
        FINE(nn_export_c(model, "a", to, &error));
        fclose(to);
        same_bytes(in_folder(path, "a.json"), in_folder(other, "b.json"));
        same_bytes(in_folder(path, "a.c"), in_folder(other, "b.c"));
        nn_model *loaded = nn_load(in_folder(path, "b"), NULL, &error);
        FINE(error.status);
        EQUAL(nn_layer_at(loaded, 0)->slope, .125);
        nn_model_free(loaded);
        setlocale(LC_ALL, "C");
    }
    nn_model_free(model);
    if (i == n)
        skip(); /* this system has no such locale */
}

#define TEST(name) IN_A_FOLDER(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_bytes_are_those_of_the_python_package),
        TEST(strided_views_and_transposed_tensors_are_written_in_their_order),
        TEST(every_type_of_element_is_read),
        TEST(metadata_are_kept),
        TEST(what_cannot_be_written_is_an_error),
        TEST(malformed_headers_are_errors),
        TEST(lengths_that_lie_are_errors),
        TEST(every_truncation_is_an_error),
        TEST(damaged_bytes_never_crash),
        TEST(a_saved_model_loads_with_the_same_bits),
        TEST(dense_weights_lie_in_files_as_in_torch),
        TEST(every_field_of_a_layer_survives),
        TEST(parameters_load_into_the_tensors_that_are_there),
        TEST(floats_and_doubles_load_into_each_other),
        TEST(a_file_that_does_not_fit_changes_nothing),
        TEST(a_function_of_the_user_saves_its_parameters_only),
        TEST(descriptions_with_mistakes_are_errors),
        TEST(damaged_descriptions_never_crash),
        TEST(an_earlier_error_stops_every_call),
        TEST(nulls_and_dead_models_are_errors),
        TEST(the_public_reader_hands_its_tensors_over),
        TEST(files_of_torch_load_and_predict_the_same),
        TEST(torch_loads_our_files_and_predicts_the_same),
        TEST(a_child_killed_while_saving_leaves_a_whole_file),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(places_that_cannot_be_written_are_errors),
        TEST(exported_models_predict_the_same),
        TEST(every_activation_can_be_exported),
        TEST(softmax_of_infinities_is_exported_as_it_is),
        TEST(what_cannot_be_exported_is_an_error),
        TEST(a_locale_with_commas_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
