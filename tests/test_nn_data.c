/* test_nn_data.c - data: making, selecting, batches; readers of CSV, IDX and NumPy; parts, scaling,
 * generated points; and what bad files get told */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"

#include <inttypes.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data.h"
#include "file.h"
#include "idx.h"
#include "nn.h"
#include "number.h"

static void fine_at(const nn_error *error, int line)
{
    if (error->status)
        fail_msg("line %d: got %s (%s), want no error", line, ad_status_name(error->status),
                 error->text);
}

/* an error of that status with that in its text; clears it */
static void failed_at(nn_error *error, ad_status want, const char *part, int line)
{
    if (error->status != want || !strstr(error->text, part))
        fail_msg("line %d: got %s (\"%s\"), want %s with \"%s\"", line,
                 ad_status_name(error->status), error->text, ad_status_name(want), part);
    *error = (nn_error){0};
}

#define FINE(error)               fine_at(&(error), __LINE__)
#define FAILED(error, want, part) failed_at(&(error), want, part, __LINE__)

static double at2(const ad_tensor *t, int64_t i, int64_t j)
{
    return ad_tensor_get(t, (const int64_t[]){i, j});
}

static double at1(const ad_tensor *t, int64_t i) { return ad_tensor_get(t, &i); }

/* ---- a folder for files ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_nn_data.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a test (or nn_file_done) left a file */
}

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *to = fopen(path_of(name), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, size, to), size);
    assert_int_equal(fclose(to), 0);
}

static void write_gz(const char *name, const void *bytes, size_t size)
{
    gzFile to = gzopen(path_of(name), "wb");
    assert_non_null(to);
    assert_int_equal(gzwrite(to, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(to), Z_OK);
}

static void remove_file(const char *name) { assert_int_equal(remove(path_of(name)), 0); }

/* ---- making data ---- */

static ad_tensor *counting(ad_dtype dtype, int rank, const int64_t *shape)
{
    ad_tensor *t = ad_tensor_new(NULL, dtype, rank, shape);
    double values[512];
    for (int i = 0; i < 512; i++)
        values[i] = i;
    assert_true(t && ad_tensor_size(t) <= 512);
    ad_tensor_write(t, values);
    return t;
}

/* (rows,2), classes 0 1 2 0 1 2 ... */
static nn_data *small_data(int64_t rows, int classes)
{
    nn_error error = {0};
    ad_tensor *x = counting(AD_F64, 2, (const int64_t[]){rows, 2});
    ad_tensor *y = ad_tensor_new(NULL, AD_I32, 1, &rows);
    for (int64_t i = 0; i < rows; i++)
        ad_tensor_set(y, &i, (double)(i % classes));
    nn_data *data = nn_data_new(1, &x, y, NULL, &error);
    FINE(error);
    ad_tensor_free(x);
    ad_tensor_free(y);
    return data;
}

static void data_keep_their_tensors(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = small_data(6, 3);
    assert_int_equal(nn_data_rows(data), 6);
    assert_int_equal(nn_data_input_count(data), 1);
    assert_int_equal(nn_data_class_count(data), 3);
    assert_null(nn_data_weights(data));
    assert_null(nn_data_input(data, 1));
    assert_null(nn_data_column(data, 0));
    assert_null(nn_data_class(data, 0));
    EQUAL(at2(nn_data_input(data, 0), 5, 1), 11);
    nn_shape shape = nn_data_shape(data, 0);
    assert_int_equal(shape.rank, 1);
    assert_int_equal(shape.size[0], 2);
    assert_false(shape.indices);
    assert_true(nn_data_shape(data, -1).indices);
    assert_int_equal(nn_data_shape(data, 1).rank, -1);

    ad_tensor *real = counting(AD_F64, 2, (const int64_t[]){6, 1});
    ad_tensor *weights = counting(AD_F64, 1, (const int64_t[]){6});
    nn_data *other = nn_data_with_target(data, real, &error);
    nn_data *weighted = nn_data_with_weights(data, weights, &error);
    FINE(error);
    assert_int_equal(nn_data_class_count(other), 0);
    assert_int_equal(nn_data_class_count(weighted), 3);
    assert_ptr_equal(nn_data_input(other, 0), nn_data_input(data, 0));
    assert_ptr_equal(nn_data_weights(weighted), weights);
    nn_data_free(data);
    EQUAL(at2(nn_data_input(other, 0), 5, 1), 11);
    nn_data_free(other);
    nn_data_free(weighted);
    ad_tensor_free(real);
    ad_tensor_free(weights);
}

static void data_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    nn_error error = {0};
    ad_tensor *x = counting(AD_F64, 2, (const int64_t[]){3, 2}),
              *scalar = counting(AD_F64, 0, NULL), *none = counting(AD_F64, 1, (int64_t[]){0}),
              *four = counting(AD_F64, 1, (int64_t[]){4}), *y = counting(AD_F64, 1, (int64_t[]){3}),
              *floats = counting(AD_F32, 1, (int64_t[]){3});
    ad_tensor *two[2] = {x, four}, *gap[2] = {x, NULL};
    assert_null(nn_data_new(0, &x, NULL, NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "0 inputs: there can be 1 to 8");
    assert_null(nn_data_new(9, &x, NULL, NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "9 inputs");
    assert_null(nn_data_new(1, NULL, NULL, NULL, &error));
    FAILED(error, AD_NULL, "the array of inputs is NULL");
    assert_null(nn_data_new(2, gap, NULL, NULL, &error));
    FAILED(error, AD_NULL, "input 1 is NULL");
    assert_null(nn_data_new(2, two, NULL, NULL, &error));
    FAILED(error, AD_BAD_SHAPE, "input 1 has 4 rows, the first input 3");
    assert_null(nn_data_new(1, &scalar, NULL, NULL, &error));
    FAILED(error, AD_BAD_SHAPE, "input 0 has no axes");
    assert_null(nn_data_new(1, &none, NULL, NULL, &error));
    FAILED(error, AD_BAD_SHAPE, "no rows");
    assert_null(nn_data_new(1, &x, four, NULL, &error));
    FAILED(error, AD_BAD_SHAPE, "the target has 4 rows");
    assert_null(nn_data_new(1, &x, y, floats, &error));
    FAILED(error, AD_BAD_DTYPE, "(rows) of double");
    assert_null(nn_data_new(1, &x, y, x, &error));
    FAILED(error, AD_BAD_SHAPE, "(rows) of double");
    ad_tensor_set(y, (int64_t[]){1}, -1);
    assert_null(nn_data_new(1, &x, NULL, y, &error));
    FAILED(error, AD_BAD_ARGUMENT, "the weight of row 1 is negative");
    ad_tensor_set(y, (int64_t[]){1}, NAN);
    assert_null(nn_data_new(1, &x, NULL, y, &error));
    FAILED(error, AD_BAD_ARGUMENT, "the weight of row 1 is not finite");
    ad_tensor *all[] = {x, scalar, none, four, y, floats};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ad_tensor_free(all[i]);
}

static void null_and_earlier_errors_end_every_call(void **state)
{
    (void)state;
    nn_error none = {0}, early = {AD_BAD_AXIS, "earlier"};
    nn_data *data = small_data(4, 2), *parts[3], *a, *b;
    nn_scaler scaler;
    nn_split_config half = {.test = .5};
    for (int k = 0; k < 2; k++) {
        nn_error *e = k ? &early : &none;
        ad_status want = k ? AD_BAD_AXIS : AD_NULL;
#define NOTHING(call)                                                                              \
    assert_null(call);                                                                             \
    assert_int_equal(e->status, want);                                                             \
    none = (nn_error){0}
#define STATUS_ONLY(call)                                                                          \
    assert_int_equal(call, want);                                                                  \
    none = (nn_error) { 0 }
        NOTHING(nn_data_new(1, NULL, NULL, NULL, e));
        NOTHING(nn_data_select(NULL, 1, (int64_t[]){0}, e));
        NOTHING(nn_data_select(data, 1, NULL, e));
        NOTHING(nn_data_with_target(NULL, NULL, e));
        NOTHING(nn_data_with_weights(NULL, NULL, e));
        NOTHING(nn_data_stream(NULL, e));
        NOTHING(nn_data_stream(&(nn_stream){.n_inputs = 1}, e));
        NOTHING(nn_read_csv(NULL, NULL, e));
        NOTHING(nn_parse_csv(NULL, 3, NULL, e));
        NOTHING(nn_read_idx(NULL, AD_F64, e));
        NOTHING(nn_parse_idx(NULL, 3, AD_F64, "idx", e));
        NOTHING(nn_read_npy(NULL, e));
        NOTHING(nn_read_npz(NULL, "x", e));
        NOTHING(nn_read_npz("x.npz", NULL, e));
        NOTHING(nn_parse_npy(NULL, 3, e));
        NOTHING(nn_one_hot(NULL, 3, AD_F64, e));
        NOTHING(nn_scaler_apply(NULL, data, e));
        NOTHING(nn_scaler_apply(&(nn_scaler){0}, data, e));
        STATUS_ONLY(nn_read_idx_folder(NULL, AD_F64, false, &a, &b, e));
        STATUS_ONLY(nn_read_idx_folder(folder, AD_F64, false, NULL, &b, e));
        STATUS_ONLY(nn_write_npy("x.npy", NULL, e));
        STATUS_ONLY(nn_write_npy(NULL, nn_data_input(data, 0), e));
        STATUS_ONLY(nn_split(NULL, &half, parts, e));
        STATUS_ONLY(nn_split(data, NULL, parts, e));
        STATUS_ONLY(nn_split(data, &half, NULL, e));
        STATUS_ONLY(nn_fold(NULL, 0, 2, false, 1, &a, &b, e));
        STATUS_ONLY(nn_fold(data, 0, 2, false, 1, &a, NULL, e));
        STATUS_ONLY(nn_scaler_fit(NULL, NN_STANDARDISE, data, e));
        STATUS_ONLY(nn_scaler_fit(&scaler, NN_STANDARDISE, NULL, e));
        assert_true(!parts[0] && !parts[1] && !parts[2] && !a && !b && !scaler.scale);
#undef NOTHING
#undef STATUS_ONLY
    }
    assert_null(nn_parse_csv(NULL, 3, NULL, NULL)); /* nor is an nn_error needed */
    assert_int_equal(nn_split(NULL, NULL, NULL, NULL), AD_NULL);
    assert_int_equal(nn_data_rows(NULL), -1);
    assert_int_equal(nn_data_input_count(NULL), 0);
    assert_int_equal(nn_data_class_count(NULL), 0);
    assert_true(!nn_data_input(NULL, 0) && !nn_data_target(NULL) && !nn_data_class(NULL, 0));
    assert_int_equal(nn_scaled(NULL).n_scale, 0);
    nn_data_free(NULL);
    nn_scaler_free(NULL);
    nn_data_free(data);
}

/* ---- selecting and gathering ---- */

static void select_copies_rows_and_keeps_classes(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = small_data(6, 3);
    nn_data *some = nn_data_select(data, 3, (const int64_t[]){3, 0, 3}, &error);
    FINE(error);
    assert_int_equal(nn_data_rows(some), 3);
    assert_int_equal(nn_data_class_count(some), 3); /* only class 0 is among them */
    EQUAL(at2(nn_data_input(some, 0), 0, 1), 7);
    EQUAL(at2(nn_data_input(some, 0), 1, 0), 0);
    EQUAL(at1(nn_data_target(some), 2), 0);
    nn_data_free(some);
    assert_null(nn_data_select(data, 2, (const int64_t[]){1, 6}, &error));
    FAILED(error, AD_BAD_INDEX, "row 6 (number 1 of those asked for): the data have rows 0 to 5");
    assert_null(nn_data_select(data, 1, (const int64_t[]){-1}, &error));
    FAILED(error, AD_BAD_INDEX, "row -1");
    assert_null(nn_data_select(data, 0, (const int64_t[]){0}, &error));
    FAILED(error, AD_BAD_ARGUMENT, "no rows");
    nn_data_free(data);
}

/* views of a (4,3,5): as they are, permuted within rows, sliced (steps of 2, backwards) */
static ad_tensor *view_number(ad_tensor *base, int k)
{
    switch (k) {
    case 0:
        return ad_tensor_retain(base);
    case 1:
        return ad_tensor_permuted(base, (const int[]){0, 2, 1});
    case 2:
        return ad_tensor_permuted(base, (const int[]){2, 1, 0});
    case 3:
        return ad_tensor_sliced(base, 0, 0, 4, 2);
    case 4:
        return ad_tensor_sliced(base, 2, 4, -6, -2);
    case 5:
        return ad_tensor_sliced(base, 0, 3, -5, -1);
    default:
        return ad_tensor_sliced(base, 1, 1, 2, 1);
    }
}

static void gather_agrees_with_single_elements_in_all_types_and_layouts(void **state)
{
    (void)state;
    static const int64_t order[] = {1, 0, 1, 1, 0};
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++)
            for (int k = 0; k < 7; k++)
                for (int shuffled = 0; shuffled < 2; shuffled++) {
                    nn_error error = {0};
                    ad_tensor *base = counting((ad_dtype)from, 3, (const int64_t[]){4, 3, 5});
                    ad_tensor *view = view_number(base, k);
                    nn_data *data = nn_data_new(1, &view, NULL, NULL, &error);
                    FINE(error);
                    int64_t shape[3], n = shuffled ? 3 : 1, width = nn_row_size(view);
                    memcpy(shape, ad_tensor_shape(view), sizeof shape);
                    shape[0] = 4; /* more rows than are asked for */
                    ad_tensor *out = ad_tensor_new(NULL, (ad_dtype)to, 3, shape);
                    assert_int_equal(nn_data_gather(data, 0, shuffled ? order : NULL, 1, n, out),
                                     AD_OK);
                    for (int64_t i = 0; i < 4 * width; i++) {
                        int64_t row = i / width, rest = i % width;
                        int64_t source = shuffled ? order[1 + row % 4] : 1;
                        int64_t index[3] = {source, rest / shape[2], rest % shape[2]};
                        double want = row < n ? ad_tensor_get(view, index) : 0;
                        index[0] = row;
                        EQUAL(ad_tensor_get(out, index), want);
                    }
                    ad_tensor_free(out);
                    nn_data_free(data);
                    ad_tensor_free(view);
                    ad_tensor_free(base);
                }
}

static void gather_gives_ones_for_missing_weights_and_checks_what_it_is_told(void **state)
{
    (void)state;
    nn_data *data = small_data(6, 3);
    ad_tensor *w = ad_tensor_new(NULL, AD_F32, 1, (const int64_t[]){3});
    ad_tensor *column = ad_tensor_new(NULL, AD_F64, 2, (const int64_t[]){3, 1});
    assert_int_equal(nn_data_gather(data, -2, NULL, 0, 2, w), AD_OK);
    EQUAL(at1(w, 1), 1);
    EQUAL(at1(w, 2), 0);
    assert_int_equal(nn_data_gather(data, -1, NULL, 2, 3, column), AD_OK); /* (3) into (3,1) */
    EQUAL(at2(column, 0, 0), 2);
    assert_int_equal(nn_data_gather(data, -1, NULL, 4, 3, column), AD_BAD_INDEX);
    assert_int_equal(nn_data_gather(data, -1, (const int64_t[]){6}, 0, 1, column), AD_BAD_INDEX);
    assert_int_equal(nn_data_gather(data, -1, NULL, 0, 4, column), AD_BAD_SHAPE);
    assert_int_equal(nn_data_gather(data, 0, NULL, 0, 3, column), AD_BAD_SHAPE);
    assert_int_equal(nn_data_gather(data, 1, NULL, 0, 3, column), AD_BAD_ARGUMENT);
    assert_int_equal(nn_data_gather(data, 0, NULL, 0, 3, NULL), AD_NULL);
    ad_tensor_free(w);
    ad_tensor_free(column);
    nn_data_free(data);
}

/* ---- streams ---- */

static int64_t no_batch(void *user, int64_t rows, ad_tensor *const *inputs, ad_tensor *target,
                        ad_tensor *weights)
{
    (void)user, (void)rows, (void)inputs, (void)target, (void)weights;
    return 0;
}

static void streams_have_shapes_but_no_rows_to_pick(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_stream stream = {
        .next = no_batch, .rows = -1, .n_inputs = 1, .inputs = {{2, {3, 4}, false}}};
    nn_data *data = nn_data_stream(&stream, &error), *a, *b, *parts[3];
    nn_scaler scaler;
    FINE(error);
    stream.inputs[0].rank = 9; /* it has a copy */
    assert_int_equal(nn_data_rows(data), -1);
    assert_null(nn_data_input(data, 0));
    assert_int_equal(nn_data_shape(data, 0).size[1], 4);
    assert_int_equal(nn_data_shape(data, -1).rank, 0);
    assert_true(data->stream.rewind(NULL, 0)); /* there is always one */
    assert_null(nn_data_select(data, 1, (const int64_t[]){0}, &error));
    FAILED(error, AD_BAD_ARGUMENT, "the data are a stream");
    nn_split(data, &(nn_split_config){.test = .5}, parts, &error);
    FAILED(error, AD_BAD_ARGUMENT, "the data are a stream");
    nn_fold(data, 0, 2, false, 1, &a, &b, &error);
    FAILED(error, AD_BAD_ARGUMENT, "the data are a stream");
    nn_scaler_fit(&scaler, NN_MIN_MAX, data, &error);
    FAILED(error, AD_BAD_ARGUMENT, "the data are a stream");
    nn_data_free(data);
    assert_null(nn_data_stream(&stream, &error));
    FAILED(error, AD_BAD_SHAPE, "input 0: the rank is 9");
    stream.n_inputs = 0;
    assert_null(nn_data_stream(&stream, &error));
    FAILED(error, AD_BAD_ARGUMENT, "0 inputs");
}

/* ---- CSV ---- */

static nn_data *parsed(const char *text, nn_csv_config config, nn_error *error)
{
    return nn_parse_csv(text, strlen(text), &config, error);
}

#define CSV(text, ...) parsed(text, (nn_csv_config){__VA_ARGS__}, &error)

static void csv_reads_words_as_classes_in_order_of_appearance(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = CSV("a,b,kind\n1,2,owl\n-3.5,4e1,cat\n+.5,6.,owl\n", 0);
    FINE(error);
    assert_int_equal(nn_data_rows(data), 3);
    assert_string_equal(nn_data_column(data, 1), "b");
    assert_null(nn_data_column(data, 2));
    assert_int_equal(nn_data_class_count(data), 2);
    assert_string_equal(nn_data_class(data, 0), "owl");
    assert_string_equal(nn_data_class(data, 1), "cat");
    assert_int_equal(ad_tensor_dtype(nn_data_target(data)), AD_I32);
    assert_int_equal(ad_tensor_rank(nn_data_target(data)), 1);
    EQUAL(at1(nn_data_target(data), 2), 0);
    EQUAL(at2(nn_data_input(data, 0), 1, 0), -3.5);
    EQUAL(at2(nn_data_input(data, 0), 1, 1), 40);
    EQUAL(at2(nn_data_input(data, 0), 2, 0), .5);
    nn_data *one = nn_data_select(data, 1, (const int64_t[]){0}, &error);
    assert_string_equal(nn_data_class(one, 1), "cat");
    assert_string_equal(nn_data_column(one, 0), "a");
    nn_data_free(one);
    nn_data_free(data);
}

static void csv_reads_integers_as_classes_and_numbers_as_targets(void **state)
{
    (void)state;
    nn_error error = {0};
    static const char text[] = "y,x\n4,1\n0,2\n";
    nn_data *data = CSV(text, .label = "y");
    FINE(error);
    assert_int_equal(nn_data_class_count(data), 5);
    assert_null(nn_data_class(data, 0));
    EQUAL(at1(nn_data_target(data), 0), 4);
    nn_data_free(data);
    data = CSV(text, .label = "0", .regression = true, .dtype = AD_F32);
    FINE(error);
    assert_int_equal(nn_data_class_count(data), 0);
    assert_int_equal(ad_tensor_dtype(nn_data_target(data)), AD_F32);
    assert_int_equal(ad_tensor_dtype(nn_data_input(data, 0)), AD_F32);
    assert_int_equal(ad_tensor_rank(nn_data_target(data)), 2);
    EQUAL(at2(nn_data_target(data), 0, 0), 4);
    nn_data_free(data);
    data = CSV(text, .no_label = true);
    FINE(error);
    assert_null(nn_data_target(data));
    EQUAL(at2(nn_data_input(data, 0), 1, 1), 2);
    nn_data_free(data);
}

static void csv_follows_rfc_4180(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a,\"b \"\"x\"\"\ny\",c\n1,2,\"p,q\"\n3,4,p\n",
        "\xEF\xBB\xBF\"a\",\"b \"\"x\"\"\ny\",c\r\n1,2,\"p,q\"\r\n3,\"4\",p",
        "a , \"b \"\"x\"\"\ny\" ,c\r1,2,\"p,q\"\r3,4, p\t\r\r \r",
        "a,\"b \"\"x\"\"\ny\",c\n1 ,\t2,\"p,q\"\n3,4,\"p\"\n\n  \n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nn_error error = {0};
        nn_data *data = CSV(texts[i], 0);
        FINE(error);
        assert_int_equal(nn_data_rows(data), 2);
        assert_string_equal(nn_data_column(data, 0), "a");
        assert_string_equal(nn_data_column(data, 1), "b \"x\"\ny");
        assert_string_equal(nn_data_class(data, 0), "p,q");
        assert_string_equal(nn_data_class(data, 1), "p");
        EQUAL(at2(nn_data_input(data, 0), 0, 1), 2);
        EQUAL(at2(nn_data_input(data, 0), 1, 1), 4);
        nn_data_free(data);
    }
}

static void csv_picks_and_skips_columns(void **state)
{
    (void)state;
    nn_error error = {0};
    static const char text[] = "id;y;x;note\nab;1;2.5;hm\ncd;0;3.5;\n";
    static const char *const skip[] = {"note", "id", NULL}, *const by_number[] = {"3", "0", NULL};
    nn_data *data = CSV(text, .separator = ';', .label = "y", .skip = skip);
    FINE(error);
    assert_int_equal(nn_data_shape(data, 0).size[0], 1);
    assert_string_equal(nn_data_column(data, 0), "x");
    EQUAL(at2(nn_data_input(data, 0), 1, 0), 3.5);
    nn_data_free(data);
    data = CSV(text + 12, .separator = ';', .no_header = true, .label = "1", .skip = by_number,
               .max_rows = 2);
    FINE(error);
    assert_int_equal(nn_data_rows(data), 2);
    assert_null(nn_data_column(data, 0));
    EQUAL(at1(nn_data_target(data), 0), 1);
    nn_data_free(data);
    data = CSV(text, .separator = ';', .skip = (const char *const[]){"note", "id", NULL},
               .regression = true); /* the last column that is left is the label */
    FINE(error);
    assert_string_equal(nn_data_column(data, 0), "y");
    EQUAL(at2(nn_data_target(data), 0, 0), 2.5);
    nn_data_free(data);
}

typedef struct bad_csv {
    const char *text, *want;
    nn_csv_config config;
} bad_csv;

static void csv_says_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const char *const unknown[] = {"iid", NULL}, *const both[] = {"y", NULL},
                             *const all[] = {"a", "y", NULL};
    const bad_csv bad[] = {
        {"", "csv: the table is empty", {0}},
        {"\n \r\n", "the table is empty", {0}},
        {"a,y\n", "no rows after the header", {0}},
        {"a,y\n1,x\n,x\n", "csv:3: column 1 (a): value missing", {0}},
        {"a,y\n1,x\n ? ,x\n", "csv:3: column 1 (a): value missing", {0}},
        {"a,y\n1,x\nNA,x\n", "csv:3: column 1 (a): value missing", {0}},
        {"a,y\n1,x\nNaN,x\n", "csv:3: column 1 (a): value missing", {0}},
        {"a,y\n1,x\n\"\",x\n", "csv:3: column 1 (a): value missing", {0}},
        {"1,x\n,x\n", "csv:2: column 1: value missing", {.no_header = true}},
        {"a,y\n1,x\n2,\n", "csv:3: column 2 (y): label missing", {0}},
        {"a,y\n1,2\n2,?\n", "csv:3: column 2 (y): value missing", {.regression = true}},
        {"a,y\n1,x\n2\n", "csv:3: 1 field, want 2", {0}},
        {"a,y\n1,x\n\n2,x\n", "csv:3: 1 field, want 2: the line is blank", {0}},
        {"a\n1\n\n2\n", "the line is blank", {.no_label = true}},
        {"a,y\n1,x\n2,x,3\n", "csv:3: 3 fields, want 2", {0}},
        {"a,y\n\"\n1\",x\n2,x\n", "csv:2: column 1 (a): \"?1\" is not a number", {0}},
        {"a,y,b\n1,\"p\nq\",2\n3,\"p\n\nq\",z\n", "csv:6: column 3 (b): \"z\"", {.label = "y"}},
        {"a,y\n1.2.3,x\n", "\"1.2.3\" is not a number", {0}},
        {"a,y\n0x10,x\n", "\"0x10\" is not a number", {0}},
        {"a,y\n1e,x\n", "\"1e\" is not a number", {0}},
        {"a,y\n1e+,x\n", "\"1e+\" is not a number", {0}},
        {"a,y\n-,x\n", "\"-\" is not a number", {0}},
        {"a,y\n.,x\n", "\".\" is not a number", {0}},
        {"a,y\n1 2,x\n", "\"1 2\" is not a number", {0}},
        {"a;y\n1,5;x\n",
         "\"1,5\" is not a number: decimals are written with a point",
         {.separator = ';'}},
        {"a,y\nthis is much longer than anybody wants to be shown,x\n",
         "\"this is much longer than anybody wants t...\" is not",
         {0}},
        {"a,y\n-inf,x\n", "csv:2: column 1 (a): the value is infinite", {0}},
        {"a,y\nInfinity,x\n", "the value is infinite", {0}},
        {"a,y\n1e999,x\n", "1e999 is too large for double", {0}},
        {"a,y\n\"1e\"\"999\",x\n", "\"1e\"999\" is not a number", {0}},
        {"a,y\n1e39,x\n", "1e39 is too large for float", {.dtype = AD_F32}},
        {"a,y\n1,\"x\n2,x\n", "csv:2: the quote that opens here is never closed", {0}},
        {"a,y\n1,\"x\"z\n", "csv:2: text after a closing quote", {0}},
        {"a,y\n1,x\"z\n", "csv:2: a quote within a field", {0}},
        {"a,y\n1,1\n2,-1\n", "csv:3: column 2 (y): class -1: classes are integers from 0", {0}},
        {"a,y\n1,1\n2,1.5\n", "csv:3: column 2 (y): class 1.5", {0}},
        {"a,y\n1,1\n2,3e9\n", "csv:3: column 2 (y): class 3e9", {0}},
        {"a,species\n1,1\n",
         "csv: no column \"specis\" (the label); did you mean \"species\"? There are: a, species",
         {.label = "specis"}},
        {"a,y\n1,1\n", "no column \"zzzzzz\" (the label); there are: a, y", {.label = "zzzzzz"}},
        {"a,y\n1,1\n", "no column \"2\"", {.label = "2"}},
        {"a,y\n1,1\n", "no column \"-1\"", {.label = "-1"}},
        {"a,y\n1,1\n", "no column \"99999999999999999999\"", {.label = "99999999999999999999"}},
        {"a,y\n1,1\n", "no column \"\"", {.label = ""}},
        {"1,1\n",
         "without a header, columns go by number, 0 to 1",
         {.label = "a", .no_header = true}},
        {"id,y\n1,1\n",
         "no column \"iid\" (to be skipped); did you mean \"id\"?",
         {.skip = unknown}},
        {"a,y\n1,1\n", "the label's column, \"y\", is skipped too", {.label = "y", .skip = both}},
        {"a,y\n1,1\n", "none is left as an input", {.skip = all}},
        {"a;y\n1;1\n", "none is left as an input: is ',' the separator?", {0}},
        {"a,a,y\n1,1,1\n", "columns 1 and 2 have the same name", {.label = "a"}},
        {"a,y\n1,1\n2,1\n", "csv:3: more than 1 rows (max_rows)", {.max_rows = 1}},
        {"1.5,2\n2,1\n", "set no_header if it is data", {0}},
        {"a,y\n1,1\n", "cannot be the separator", {.separator = '"'}},
        {"a,y\n1,1\n", "inputs are double or float, not int32", {.dtype = AD_I32}},
        {"a,y\n1,1\n", "no_label is set", {.no_label = true, .label = "y"}},
        {"a,y\n1,1\n", "max_rows is negative", {.max_rows = -1}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nn_error error = {0};
        nn_data *data = parsed(bad[i].text, bad[i].config, &error);
        if (data || !error.status || !strstr(error.text, bad[i].want))
            fail_msg("%s: got \"%s\", want \"%s\"", bad[i].text, error.text, bad[i].want);
    }
    nn_error error = {0};
    assert_null(nn_parse_csv("a,y\n1,\0\n", 9, NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "csv:2: a zero byte");
    assert_null(nn_parse_csv("a,y\n1,\"\0\"\n", 11, NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "csv:2: a zero byte");
}

/* the short cut and strtod must agree to the last bit, in any notation */
static void csv_reads_numbers_to_the_last_bit(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "0.1",
        ".1",
        "1.",
        "123456789012345678901234567890",
        "9007199254740993",
        "9007199254740992",
        "9007199254740991e22",
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "4.9e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "0.30000000000000004",
        "5e-1",
        "179769313486231570000000000000000000000000e267",
        "0.000000000000000000000000000000000001",
        "1e-400",
        "0e99999999999999999999",
        "3.14159265358979323846264338327950288",
        "1E5",
        "1e+05",
        "00000000000000000000000000000001.50000000000000000000000000000000000000"};
    uint64_t random = 1;
    for (int i = 0; i < 3000; i++) {
        char text[80], line[200];
        if (i < (int)(sizeof numbers / sizeof *numbers))
            snprintf(text, sizeof text, "%s", numbers[i]);
        else { /* Knuth's MMIX generator */
            random = random * 6364136223846793005u + 1442695040888963407u;
            snprintf(text, sizeof text, "%s%" PRIu64 ".%" PRIu64 "e%d", i % 2 ? "-" : "",
                     (random >> 40) >> i % 24, (random >> 20 & 0xFFFFF) >> i % 19,
                     (int)(random >> 12 & 63) - 32);
        }
        nn_error error = {0};
        snprintf(line, sizeof line, "%s,\"%s\"", text, text);
        nn_data *data = CSV(line, .no_header = true, .no_label = true);
        FINE(error);
        double want = strtod(text, NULL);
        for (int k = 0; k < 2; k++)
            if (memcmp(&want, (const double *)ad_tensor_data_const(nn_data_input(data, 0)) + k,
                       sizeof want) != 0)
                fail_msg("%s: got %.17g, want %.17g", text, at2(nn_data_input(data, 0), 0, k),
                         want);
        nn_data_free(data);
    }
}

static void csv_holds_many_classes_and_long_fields(void **state)
{
    (void)state;
    nn_error error = {0};
    enum { N = 2000, LENGTH = 5000 };
    char *text = malloc(N * 16 + 3 * LENGTH), *to = text;
    assert_non_null(text);
    to += sprintf(to, "x,\"");
    for (int i = 0; i < LENGTH; i++)
        to += sprintf(to, "\"\"");
    to += sprintf(to, "\"\n");
    for (int i = 0; i < N; i++)
        to += sprintf(to, "%d,w%d\n", i, i * i % 997);
    nn_data *data = nn_parse_csv(text, (size_t)(to - text), NULL, &error);
    FINE(error);
    assert_int_equal(nn_data_class_count(data), 499); /* squares modulo 997 */
    for (int i = 0; i < N; i++) {
        char want[16];
        snprintf(want, sizeof want, "w%d", i * i % 997);
        assert_string_equal(nn_data_class(data, (int)at1(nn_data_target(data), i)), want);
    }
    nn_data_free(data);
    free(text);
}

static void csv_files_are_read_plain_or_gzipped(void **state)
{
    (void)state;
    nn_error error = {0};
    static const char text[] = "a,y\n1,x\n2,z\n";
    write_file("plain.csv", text, strlen(text));
    write_gz("packed.csv.gz", text, strlen(text));
    for (int k = 0; k < 2; k++) {
        nn_data *data = nn_read_csv(path_of(k ? "packed.csv.gz" : "plain.csv"), NULL, &error);
        FINE(error);
        assert_int_equal(nn_data_rows(data), 2);
        nn_data_free(data);
    }
    remove_file("plain.csv");
    remove_file("packed.csv.gz");
    write_file("bad.csv", "a,y\n1,x\nz,z\n", 12);
    assert_null(nn_read_csv(path_of("bad.csv"), NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "bad.csv:3: column 1 (a): \"z\" is not a number");
    remove_file("bad.csv");
    assert_null(nn_read_csv(path_of("none.csv"), NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "none.csv: cannot open it: No such file");
    assert_null(nn_read_csv(folder, NULL, &error));
    FAILED(error, AD_BAD_ARGUMENT, "directory");
}

static void numbers_are_read_the_same_where_decimals_have_a_comma(void **state)
{
    (void)state;
    nn_error error = {0};
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", NULL};
    bool set = false;
    for (int i = 0; locales[i] && !set; i++)
        set = setlocale(LC_ALL, locales[i]) != NULL;
    if (!set)
        skip();
    assert_true(strtod("1,5", NULL) > 1.2);
    nn_data *data = CSV("a,b,y\n1.5,1.2345678901234567890e-5,x\n", 0); /* b: by strtod */
    FINE(error);
    nn_numbers numbers;
    assert_true(nn_c_numbers(&numbers));
    EQUAL(at2(nn_data_input(data, 0), 0, 1), strtod("1.2345678901234567890e-5", NULL));
    nn_own_numbers(&numbers);
    assert_true(strtod("1,5", NULL) > 1.2); /* it is as it was */
    setlocale(LC_ALL, "C");
    EQUAL(at2(nn_data_input(data, 0), 0, 0), 1.5);
    nn_data_free(data);
}

/* ---- files ---- */

static void a_file_is_replaced_only_when_it_is_whole(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_file file;
    char *bytes, path[200];
    size_t size;
    snprintf(path, sizeof path, "%s", path_of("whole"));
    write_file("whole", "old", 3);
    assert_int_equal(nn_file_begin(&file, path, &error), AD_OK);
    fputs("new", file.to);
    assert_int_not_equal(nn_file_done(&file, false, &error), AD_OK);
    assert_int_equal(nn_read_file(path, 3, &bytes, &size, &error), AD_OK);
    assert_string_equal(bytes, "old");
    free(bytes);
    assert_int_equal(nn_file_begin(&file, path, &error), AD_OK);
    fputs("newer", file.to);
    assert_int_equal(nn_file_done(&file, true, &error), AD_OK);
    assert_int_equal(nn_read_file(path, 5, &bytes, &size, &error), AD_OK);
    assert_string_equal(bytes, "newer");
    free(bytes);
    FINE(error);
    assert_int_equal(nn_read_file(path, 4, &bytes, &size, &error), AD_TOO_LARGE);
    FAILED(error, AD_TOO_LARGE, "more than 4 bytes");
    assert_null(bytes);
    remove_file("whole");
    nn_file_begin(&file, path_of("no/such/folder"), &error);
    FAILED(error, AD_BAD_ARGUMENT, "cannot write it: No such file");
    nn_file_begin(&file, folder, &error);
    FAILED(error, AD_BAD_ARGUMENT, "not a regular file");
}

static void damaged_gzip_is_told(void **state)
{
    (void)state;
    nn_error error = {0};
    char noise[4000], *bytes, packed[8000];
    uint64_t random = 1;
    size_t size;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (char)(random >> 56);
    }
    write_gz("a.gz", noise, sizeof noise);
    FILE *from = fopen(path_of("a.gz"), "rb");
    assert_non_null(from);
    size_t n = fread(packed, 1, sizeof packed, from);
    fclose(from);
    write_file("a.gz", packed, n - 100);
    nn_read_file(path_of("a.gz"), SIZE_MAX, &bytes, &size, &error);
    FAILED(error, AD_BAD_ARGUMENT, "ends too early");
    packed[n / 2] ^= 1;
    write_file("a.gz", packed, n);
    nn_read_file(path_of("a.gz"), SIZE_MAX, &bytes, &size, &error);
    FAILED(error, AD_BAD_ARGUMENT, "is damaged");
    assert_null(bytes);
    remove_file("a.gz");
}

/* ---- IDX ---- */

#define IDX(dtype, ...)                                                                            \
    nn_parse_idx((const unsigned char[]){__VA_ARGS__},                                             \
                 sizeof((const unsigned char[]){__VA_ARGS__}), dtype, "t.idx", &error)

static void idx_reads_all_its_types(void **state)
{
    (void)state;
    nn_error error = {0};
    for (int k = 0; k < 3; k++) {
        ad_dtype dtype = (ad_dtype)k;
        ad_tensor *all[] = {
            IDX(dtype, 0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 200),
            IDX(dtype, 0, 0, 9, 1, 0, 0, 0, 2, 0, 200),
            IDX(dtype, 0, 0, 11, 1, 0, 0, 0, 2, 1, 0, 255, 254),
            IDX(dtype, 0, 0, 12, 1, 0, 0, 0, 2, 0, 1, 0, 0, 255, 255, 255, 255),
            IDX(dtype, 0, 0, 13, 1, 0, 0, 0, 2, 64, 64, 0, 0, 192, 0, 0, 0),
            IDX(dtype, 0, 0, 14, 1, 0, 0, 0, 2, 64, 8, 0, 0, 0, 0, 0, 0, 192, 0, 0, 0, 0, 0, 0, 0),
        };
        static const double want[][2] = {{0, 200},    {0, -56}, {256, -2},
                                         {65536, -1}, {3, -2},  {3, -2}};
        FINE(error);
        assert_int_equal(ad_tensor_rank(all[0]), 2);
        for (int i = 0; i < 6; i++) {
            double got[2];
            assert_int_equal(ad_tensor_dtype(all[i]), dtype);
            assert_int_equal(ad_tensor_size(all[i]), 2);
            ad_tensor_read(all[i], got);
            EQUAL(got[0], want[i][0]);
            EQUAL(got[1], want[i][1]);
            ad_tensor_free(all[i]);
        }
    }
}

static void idx_that_lies_is_an_error(void **state)
{
    (void)state;
    nn_error error = {0};
    assert_null(IDX(AD_F64, 0, 0, 8));
    FAILED(error, AD_BAD_ARGUMENT, "t.idx: not an IDX file");
    assert_null(IDX(AD_F64, 0, 1, 8, 1, 0, 0, 0, 0));
    FAILED(error, AD_BAD_ARGUMENT, "not an IDX file");
    assert_null(IDX(AD_F64, 0, 0, 10, 1, 0, 0, 0, 0));
    FAILED(error, AD_BAD_ARGUMENT, "not an IDX file");
    assert_null(IDX(AD_F64, 0, 0, 8, 9, 0, 0, 0, 0));
    FAILED(error, AD_BAD_SHAPE, "9 axes: there can be 1 to 8");
    assert_null(IDX(AD_F64, 0, 0, 8, 0, 0));
    FAILED(error, AD_BAD_SHAPE, "0 axes");
    assert_null(IDX(AD_F64, 0, 0, 8, 2, 0, 0, 0, 1, 0));
    FAILED(error, AD_BAD_ARGUMENT, "ends within its head, after 9 of 12 bytes");
    assert_null(IDX(AD_F64, 0, 0, 8, 1, 0, 0, 0, 3, 1, 2));
    FAILED(error, AD_BAD_ARGUMENT,
           "2 bytes follow the head, which claims 3 elements of 1: the "
           "file was cut off");
    assert_null(IDX(AD_F64, 0, 0, 8, 1, 0, 0, 0, 1, 1, 2));
    FAILED(error, AD_BAD_ARGUMENT, "too many");
    assert_null(IDX(AD_F64, 0, 0, 8, 1, 255, 255, 255, 255, 1));
    FAILED(error, AD_BAD_ARGUMENT, "claims 4294967295 elements");
    assert_null(
        IDX(AD_F64, 0, 0, 14, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255));
    FAILED(error, AD_TOO_LARGE, "overflow");
    assert_null(IDX(AD_I32, 0, 0, 13, 1, 0, 0, 0, 1, 63, 0, 0, 0));
    FAILED(error, AD_BAD_ARGUMENT, "element 0 is no int32");
    assert_null(IDX((ad_dtype)7, 0, 0, 8, 1, 0, 0, 0, 1, 63));
    FAILED(error, AD_BAD_DTYPE, "7 is no element type");
}

/* A head that claims little before much that packs well: it is not unpacked to its end. */
static void a_file_longer_than_its_head_says_is_not_read_on(void **state)
{
    (void)state;
    nn_error error = {0};
    enum { LENGTH = 1 << 22 };
    unsigned char *bytes = calloc(LENGTH, 1);
    assert_non_null(bytes);
    memcpy(bytes, (const unsigned char[]){0, 0, 8, 1, 0, 1, 128, 0}, 8); /* 98304 */
    write_gz("a.gz", bytes, LENGTH);
    assert_null(nn_read_idx(path_of("a.gz"), AD_F32, &error));
    FAILED(error, AD_TOO_LARGE, "more than the 98312 bytes that its head says there are");
    write_gz("a.gz", bytes, 98312);
    ad_tensor *t = nn_read_idx(path_of("a.gz"), AD_F32, &error);
    FINE(error);
    assert_int_equal(ad_tensor_size(t), 98304);
    ad_tensor_free(t);
    bytes[2] = 1;
    write_gz("a.gz", bytes, LENGTH);
    assert_null(nn_read_idx(path_of("a.gz"), AD_F32, &error));
    FAILED(error, AD_BAD_ARGUMENT, "not an IDX file");
    remove_file("a.gz");
    free(bytes);
}

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2,  0,   0,
                                       0, 1, 0, 0, 0, 2, 0, 51, 255, 102};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};

static void a_folder_in_mnists_way_is_read(void **state)
{
    (void)state;
    nn_error error = {0};
    unsigned char less[sizeof labels];
    memcpy(less, labels, sizeof labels);
    less[9] = 3;
    write_file("train-images-idx3-ubyte", images, sizeof images);
    write_gz("train-labels-idx1-ubyte.gz", labels, sizeof labels);
    write_gz("t10k-images-idx3-ubyte.gz", images, sizeof images);
    write_file("t10k-labels-idx1-ubyte", less, sizeof less);
    for (int k = 0; k < 4; k++) {
        nn_data *train, *test;
        nn_read_idx_folder(folder, k & 1 ? AD_F32 : AD_F64, k & 2, &train, &test, &error);
        FINE(error);
        ad_tensor *x = nn_data_input(test, 0);
        assert_int_equal(ad_tensor_rank(x), k & 2 ? 4 : 2);
        double got[4];
        ad_tensor_read(x, got);
        EQUAL(got[1], k & 1 ? (double)(51.f / 255) : 51. / 255);
        EQUAL(got[2], 1);
        EQUAL(at1(nn_data_target(train), 1), 9);
        assert_int_equal(nn_data_class_count(train), 10);
        assert_int_equal(nn_data_class_count(test), 10); /* though its largest label is 7 */
        nn_data_free(train);
        nn_data_free(test);
    }
}

/* with the files of the test before */
static void a_folder_whose_files_do_not_agree_is_an_error(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *train, *test;
    remove_file("t10k-labels-idx1-ubyte");
    nn_read_idx_folder(folder, AD_F64, false, &train, &test, &error);
    FAILED(error, AD_BAD_ARGUMENT,
           "t10k-labels-idx1-ubyte: there is no such file, nor one with .gz");
    assert_true(!train && !test);
    write_file("t10k-labels-idx1-ubyte", (const unsigned char[]){0, 0, 8, 1, 0, 0, 0, 1, 7}, 9);
    nn_read_idx_folder(folder, AD_F64, false, &train, &test, &error);
    FAILED(error, AD_BAD_SHAPE, "1 labels for the 2 images");
    write_file("t10k-labels-idx1-ubyte", images, sizeof images);
    nn_read_idx_folder(folder, AD_F64, false, &train, &test, &error);
    FAILED(error, AD_BAD_SHAPE, "labels must have 1 axis, not 3");
    write_gz("t10k-images-idx3-ubyte.gz", labels, sizeof labels);
    nn_read_idx_folder(folder, AD_F64, false, &train, &test, &error);
    FAILED(error, AD_BAD_SHAPE, "t10k-images-idx3-ubyte.gz: images must be");
    nn_read_idx_folder(folder, AD_I32, false, &train, &test, &error);
    FAILED(error, AD_BAD_DTYPE, "double or float");
    remove_file("train-images-idx3-ubyte");
    remove_file("train-labels-idx1-ubyte.gz");
    remove_file("t10k-images-idx3-ubyte.gz");
    remove_file("t10k-labels-idx1-ubyte");
}

/* ---- NumPy ---- */

/* A file of version 1 to 3 with that head and those bytes behind it. */
static ad_tensor *npy(int version, const char *head, const void *bytes, size_t size,
                      nn_error *error)
{
    char file[1024];
    size_t length = strlen(head), before = version == 1 ? 10 : 12;
    assert_true(before + length + size <= sizeof file);
    memcpy(file, "\x93NUMPY\0\0\0\0\0\0", 12);
    file[6] = (char)version;
    file[8] = (char)(length & 255);
    file[9] = (char)(length >> 8);
    memcpy(file + before, head, length);
    if (size)
        memcpy(file + before + length, bytes, size);
    return nn_parse_npy(file, before + length + size, error);
}

#define NPY(head, ...)                                                                             \
    npy(1, head, (const unsigned char[]){__VA_ARGS__},                                             \
        sizeof((const unsigned char[]){__VA_ARGS__}), &error)

static void npy_reads_all_types_and_byte_orders(void **state)
{
    (void)state;
    nn_error error = {0};
#define HEAD(type) "{'descr': '" type "', 'fortran_order': False, 'shape': (2,), }\n"
    struct {
        ad_tensor *tensor;
        ad_dtype dtype;
        double want[2];
    } all[] = {
        {NPY(HEAD("|b1"), 0, 1), AD_I32, {0, 1}},
        {NPY(HEAD("|i1"), 127, 128), AD_I32, {127, -128}},
        {NPY(HEAD("|u1"), 127, 128), AD_I32, {127, 128}},
        {NPY(HEAD("<i2"), 1, 0, 254, 255), AD_I32, {1, -2}},
        {NPY(HEAD(">i2"), 0, 1, 255, 254), AD_I32, {1, -2}},
        {NPY(HEAD("<u2"), 1, 0, 254, 255), AD_I32, {1, 65534}},
        {NPY(HEAD("<i4"), 0, 0, 0, 128, 255, 255, 255, 127), AD_I32, {-2147483648.0, 2147483647}},
        {NPY(HEAD(">i4"), 128, 0, 0, 0, 127, 255, 255, 255), AD_I32, {-2147483648.0, 2147483647}},
        {NPY(HEAD(">u4"), 0, 0, 0, 9, 127, 255, 255, 255), AD_I32, {9, 2147483647}},
        {NPY(HEAD("<i8"), 0, 0, 0, 128, 255, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0),
         AD_I32,
         {-2147483648.0, 5}},
        {NPY(HEAD(">u8"), 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5), AD_I32, {256, 5}},
        {NPY(HEAD("<f2"), 0, 60, 1, 128), AD_F32, {1, -0x1p-24}},
        {NPY(HEAD(">f2"), 123, 255, 252, 0), AD_F32, {65504, -(double)INFINITY}},
        {NPY(HEAD("<f2"), 0, 126, 0, 4), AD_F32, {NAN, 0x1p-14}},
        {NPY(HEAD("<f4"), 0, 0, 192, 63, 0, 0, 0, 192), AD_F32, {1.5, -2}},
        {NPY(HEAD(">f4"), 63, 192, 0, 0, 192, 0, 0, 0), AD_F32, {1.5, -2}},
        {NPY(HEAD("<f8"), 0, 0, 0, 0, 0, 0, 248, 63, 0, 0, 0, 0, 0, 0, 0, 192), AD_F64, {1.5, -2}},
        {NPY(HEAD(">f8"), 63, 248, 0, 0, 0, 0, 0, 0, 192, 0, 0, 0, 0, 0, 0, 0), AD_F64, {1.5, -2}},
    };
    FINE(error);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(ad_tensor_dtype(all[i].tensor), all[i].dtype);
        EQUAL(at1(all[i].tensor, 0), all[i].want[0]);
        EQUAL(at1(all[i].tensor, 1), all[i].want[1]);
        ad_tensor_free(all[i].tensor);
    }
}

static void npy_reads_every_notation_of_the_head(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "{'descr':'|u1','fortran_order':False,'shape':(2,3)}",
        "{'shape': (2, 3), 'fortran_order': False, 'descr': '|u1', }    \n",
        "{\"descr\": \"<u1\", \"fortran_order\": False, \"shape\": (2L, 3L,)} \n\n",
    };
    static const unsigned char bytes[] = {0, 1, 2, 3, 4, 5};
    for (int version = 1; version <= 3; version++)
        for (int i = 0; i < 4; i++) {
            nn_error error = {0};
            bool fortran = i == 3;
            ad_tensor *t = npy(
                version,
                fortran ? "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }" : heads[i],
                bytes, sizeof bytes, &error);
            FINE(error);
            for (int k = 0; k < 6; k++)
                EQUAL(at2(t, k / 3, k % 3), fortran ? k / 3 + 2 * (k % 3) : k);
            ad_tensor_free(t);
        }
    nn_error error = {0};
    ad_tensor *one = NPY("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", 9);
    assert_int_equal(ad_tensor_rank(one), 0);
    EQUAL(ad_tensor_get(one, NULL), 9);
    ad_tensor_free(one);
    ad_tensor *none =
        npy(1, "{'descr': '<f8', 'fortran_order': True, 'shape': (4, 0)}", NULL, 0, &error);
    assert_int_equal(ad_tensor_size(none), 0);
    ad_tensor_free(none);
    FINE(error);
}

static void npy_that_lies_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *head, *want;
    } bad[] = {
        {"", "want a dictionary"},
        {"{", "the key descr"},
        {"{}", "want all of descr, fortran_order and shape"},
        {"{'descr': '<f8', 'fortran_order': False}", "want all of"},
        {"{'descr' '<f8'}", "want a colon"},
        {"{'descr': '<f8' 'shape': (2,)}", "want a comma or a brace"},
        {"{'descr': '<f8', 'descr': '<f8'}", "want every key only once"},
        {"{'what': '<f8'}", "and no other"},
        {"{'descr': '<f8}", "want a type"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", "of type '<c8'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "of type '|O'"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (2,)}", "of type '<U5'"},
        {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", "of type ''"},
        {"{'descr': '|f8', 'fortran_order': False, 'shape': (2,)}", "of type '|f8'"},
        {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,)}", "are records"},
        {"{'descr': '<f8', 'fortran_order': Maybe, 'shape': (2,)}", "want True or False"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': 2}", "want a shape"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2)}", "no tuple"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (-2,)}", "want a size"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2 3)}", "want a comma"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,,)}", "want a size"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,", "want a size"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         "that can be counted"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,4294967296)}", "overflows"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (0,4294967296,4294967296)}",
         "overflows"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846975,)}",
         "the file was cut off"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
         "more than 8 axes"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", "nothing but blanks"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", "8 bytes follow the head"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", "too many"},
    };
    nn_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error = (nn_error){0};
        ad_tensor *t = npy(1, bad[i].head, "12345678", 8, &error);
        if (t || !error.status || !strstr(error.text, bad[i].want))
            fail_msg("%s: got \"%s\", want \"%s\"", bad[i].head, error.text, bad[i].want);
    }
    error = (nn_error){0};
    assert_null(npy(4, "{}", NULL, 0, &error));
    FAILED(error, AD_BAD_ARGUMENT, "version 4.0");
    assert_null(nn_parse_npy("\x93NUMPY\1\0\1", 9, &error));
    FAILED(error, AD_BAD_ARGUMENT, "not a .npy file");
    assert_null(nn_parse_npy("\x93NUMPY\1\0\1\0", 10, &error));
    FAILED(error, AD_BAD_ARGUMENT, "ends within its head of 1 bytes");
    assert_null(nn_parse_npy("\x93NUMPY\2\0\1\0\0", 11, &error));
    FAILED(error, AD_BAD_ARGUMENT, "ends within its head");
    assert_null(nn_parse_npy("\x93NUMPY\2\0\377\377\377\377", 12, &error));
    FAILED(error, AD_BAD_ARGUMENT, "ends within its head of 4294967295 bytes");
    assert_null(NPY("{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}", 0, 0, 0, 0, 0, 0, 0,
                    0, 0, 0, 0, 128, 0, 0, 0, 0));
    FAILED(error, AD_TOO_LARGE, "element 1 does not fit into int32");
    assert_null(NPY("{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", 255, 255, 255, 255,
                    255, 255, 255, 255));
    FAILED(error, AD_TOO_LARGE, "element 0 does not fit into int32");
}

static void npy_is_written_as_numpy_writes_it(void **state)
{
    (void)state;
    nn_error error = {0};
    /* numpy.save of arange(6, dtype='f4').reshape(2, 3) */
    static const char head[] = "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, "
                               "'shape': (2, 3), }                                               "
                               "           \n";
    static const unsigned char elements[] = {0, 0, 0,  0,  0, 0, 128, 63, 0, 0, 0,   64,
                                             0, 0, 64, 64, 0, 0, 128, 64, 0, 0, 160, 64};
    ad_tensor *t = counting(AD_F32, 2, (const int64_t[]){2, 3});
    char *bytes, path[200];
    size_t size;
    snprintf(path, sizeof path, "%s", path_of("a.npy"));
    nn_write_npy(path, t, &error);
    nn_read_file(path, SIZE_MAX, &bytes, &size, &error);
    FINE(error);
    assert_int_equal(sizeof head - 1, 128);
    assert_int_equal(size, 128 + sizeof elements);
    assert_memory_equal(bytes, head, 128);
    assert_memory_equal(bytes + 128, elements, sizeof elements);
    free(bytes);
    ad_tensor *turned = ad_tensor_permuted(t, (const int[]){1, 0}); /* not row-major */
    nn_write_npy(path, turned, &error);
    ad_tensor *back = nn_read_npy(path, &error);
    FINE(error);
    for (int i = 0; i < 6; i++)
        EQUAL(at2(back, i % 3, i / 3), i);
    remove_file("a.npy");
    ad_tensor_free(back);
    ad_tensor_free(turned);
    ad_tensor_free(t);
    assert_null(nn_read_npy(path, &error));
    FAILED(error, AD_BAD_ARGUMENT, "a.npy: cannot open it");
}

static void npy_comes_back_as_it_was_written(void **state)
{
    (void)state;
    static const int64_t shape[AD_MAX_RANK] = {2, 3, 1, 2, 1, 3, 2, 1};
    char path[200];
    snprintf(path, sizeof path, "%s", path_of("a.npy"));
    for (int dtype = 0; dtype < 3; dtype++)
        for (int rank = 0; rank <= AD_MAX_RANK; rank++) {
            nn_error error = {0};
            ad_tensor *t = counting((ad_dtype)dtype, rank, shape);
            nn_write_npy(path, t, &error);
            ad_tensor *back = nn_read_npy(path, &error);
            FINE(error);
            assert_int_equal(ad_tensor_dtype(back), dtype);
            assert_int_equal(ad_tensor_rank(back), rank);
            assert_memory_equal(ad_tensor_shape(back), shape, (size_t)rank * sizeof *shape);
            assert_memory_equal(ad_tensor_data_const(back), ad_tensor_data_const(t),
                                (size_t)ad_tensor_size(t) * ad_dtype_size((ad_dtype)dtype));
            ad_tensor_free(back);
            ad_tensor_free(t);
        }
    remove_file("a.npy");
}

/* numpy.savez_compressed('a.npz', w=numpy.arange(6, dtype='f4').reshape(2, 3),
 *                        y=numpy.array([1, 2], dtype='i8')) */
static const unsigned char archive[] = {
    80,  75,  3,   4,   20,  0,   0,   0,   8,   0,   0,   0,   33,  0,   79,  233, 0,   42,  85,
    0,   0,   0,   152, 0,   0,   0,   5,   0,   20,  0,   119, 46,  110, 112, 121, 1,   0,   16,
    0,   152, 0,   0,   0,   0,   0,   0,   0,   85,  0,   0,   0,   0,   0,   0,   0,   155, 236,
    23,  234, 27,  16,  201, 200, 80,  198, 80,  173, 158, 146, 90,  156, 92,  164, 110, 165, 160,
    110, 147, 102, 162, 174, 163, 160, 158, 150, 95,  84,  82,  148, 152, 23,  159, 95,  148, 146,
    10,  18,  119, 75,  204, 41,  78,  5,   138, 23,  103, 36,  22,  164, 2,   249, 26,  70,  58,
    10,  198, 154, 58,  10,  181, 10,  100, 3,   46,  6,   48,  104, 176, 7,   18,  14,  64,  4,
    196, 13,  64,  188, 192, 1,   0,   80,  75,  3,   4,   20,  0,   0,   0,   8,   0,   0,   0,
    33,  0,   12,  252, 28,  233, 74,  0,   0,   0,   144, 0,   0,   0,   5,   0,   20,  0,   121,
    46,  110, 112, 121, 1,   0,   16,  0,   144, 0,   0,   0,   0,   0,   0,   0,   74,  0,   0,
    0,   0,   0,   0,   0,   155, 236, 23,  234, 27,  16,  201, 200, 80,  198, 80,  173, 158, 146,
    90,  156, 92,  164, 110, 165, 160, 110, 147, 105, 161, 174, 163, 160, 158, 150, 95,  84,  82,
    148, 152, 23,  159, 95,  148, 146, 10,  18,  119, 75,  204, 41,  78,  5,   138, 23,  103, 36,
    22,  164, 2,   249, 26,  70,  58,  154, 58,  10,  181, 10,  20,  0,   46,  70,  6,   8,   96,
    130, 210, 0,   80,  75,  1,   2,   20,  3,   20,  0,   0,   0,   8,   0,   0,   0,   33,  0,
    79,  233, 0,   42,  85,  0,   0,   0,   152, 0,   0,   0,   5,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   128, 1,   0,   0,   0,   0,   119, 46,  110, 112, 121, 80,  75,  1,
    2,   20,  3,   20,  0,   0,   0,   8,   0,   0,   0,   33,  0,   12,  252, 28,  233, 74,  0,
    0,   0,   144, 0,   0,   0,   5,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   128,
    1,   140, 0,   0,   0,   121, 46,  110, 112, 121, 80,  75,  5,   6,   0,   0,   0,   0,   2,
    0,   2,   0,   102, 0,   0,   0,   13,  1,   0,   0,   0,   0,
};

static void npz_members_are_read(void **state)
{
    (void)state;
    nn_error error = {0};
    char path[200];
    snprintf(path, sizeof path, "%s", path_of("a.npz"));
    write_file("a.npz", archive, sizeof archive);
    ad_tensor *w = nn_read_npz(path, "w", &error);
    if (!w && strstr(error.text, "no libzip")) {
        remove_file("a.npz");
        skip();
    }
    ad_tensor *y = nn_read_npz(path, "y.npy", &error);
    FINE(error);
    EQUAL(at2(w, 1, 2), 5);
    EQUAL(at1(y, 1), 2);
    ad_tensor_free(w);
    ad_tensor_free(y);
    assert_null(nn_read_npz(path, "W", &error));
    FAILED(error, AD_BAD_ARGUMENT, "a.npz: no member \"W\"; did you mean \"w\"? There are: w, y");
    assert_null(nn_read_npz(path_of("none.npz"), "w", &error));
    FAILED(error, AD_BAD_ARGUMENT, "none.npz: cannot open it");
    int read = 0, told = 0;
    for (size_t i = 0; i < sizeof archive; i++) { /* any one byte wrong: right or told */
        unsigned char damaged[sizeof archive];
        memcpy(damaged, archive, sizeof archive);
        damaged[i] ^= 0x55;
        write_file("a.npz", damaged, sizeof damaged);
        w = nn_read_npz(path, "w", &error);
        assert_true(w ? !error.status : error.status && error.text[0]);
        if (w)
            EQUAL(at2(w, 1, 2), 5);
        read += w != NULL;
        told += w == NULL;
        ad_tensor_free(w);
        error = (nn_error){0};
    }
    assert_true(read > 0 && told > 50);
    write_file("a.npz", archive, 300);
    assert_null(nn_read_npz(path, "w", &error));
    FAILED(error, AD_BAD_ARGUMENT, "a.npz: cannot open it");
    remove_file("a.npz");
}

/* ---- parts ---- */

/* counts the rows of each class, and marks by its first input which row of small_data each one is
 */
static void tally(const nn_data *data, int *classes, int *seen)
{
    for (int64_t i = 0; data && i < nn_data_rows(data); i++) {
        classes[(int)at1(nn_data_target(data), i)]++;
        seen[(int)at2(nn_data_input(data, 0), i, 0) / 2]++;
    }
}

static void split_puts_every_row_into_one_part(void **state)
{
    (void)state;
    for (int rows = 20; rows < 240; rows += 7)
        for (int k = 0; k < 4; k++) {
            nn_error error = {0};
            nn_data *data = small_data(rows, 3), *parts[3];
            nn_split_config config = {.validation = k & 1 ? .1 : 0,
                                      .test = .25,
                                      .stratified = k & 2,
                                      .seed = (uint64_t)rows};
            nn_split(data, &config, parts, &error);
            FINE(error);
            int seen[240] = {0};
            double share[3] = {1 - config.validation - .25, config.validation, .25};
            for (int p = 0; p < 3; p++) {
                int classes[3] = {0};
                tally(parts[p], classes, seen);
                assert_int_equal(parts[p] != NULL, share[p] > 0);
                double n = parts[p] ? (double)nn_data_rows(parts[p]) : 0;
                if (fabs(n - share[p] * rows) >= 1)
                    fail_msg("%d rows, part %d: got %g, want about %g", rows, p, n,
                             share[p] * rows);
                for (int c = 0; c < 3 && k & 2; c++) {
                    double want = share[p] * ((rows - c - 1) / 3 + 1);
                    if (fabs(classes[c] - want) >= (k & 1 ? 2 : 1) + 1e-9)
                        fail_msg("%d rows, part %d, class %d: got %d, want about %g", rows, p, c,
                                 classes[c], want);
                }
                nn_data_free(parts[p]);
            }
            for (int i = 0; i < rows; i++)
                assert_int_equal(seen[i], 1);
            nn_data_free(data);
        }
}

static void a_stratified_split_is_exact_where_it_can_be(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = small_data(150, 3), *parts[3];
    nn_split(data, &(nn_split_config){.validation = .1, .test = .2, .stratified = true}, parts,
             &error);
    FINE(error);
    static const int want[3] = {35, 5, 10};
    for (int p = 0; p < 3; p++) {
        int classes[3] = {0}, seen[150] = {0};
        tally(parts[p], classes, seen);
        for (int c = 0; c < 3; c++)
            assert_int_equal(classes[c], want[p]);
        nn_data_free(parts[p]);
    }
    nn_data_free(data);
}

static void parts_depend_on_the_seed_alone(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = small_data(100, 4), *a[3], *b[3], *c[3];
    nn_split_config config = {.test = .3, .stratified = true, .seed = 5};
    nn_split(data, &config, a, &error);
    nn_split(data, &config, b, &error);
    config.seed = 6;
    nn_split(data, &config, c, &error);
    FINE(error);
    int same = 0;
    for (int64_t i = 0; i < 70; i++) {
        EQUAL(at2(nn_data_input(a[0], 0), i, 0), at2(nn_data_input(b[0], 0), i, 0));
        same += at2(nn_data_input(a[0], 0), i, 0) == at2(nn_data_input(c[0], 0), i, 0);
    }
    assert_true(same < 15);
    int runs = 0; /* a stratified part is not in order of its classes */
    for (int64_t i = 1; i < 70; i++)
        runs += at1(nn_data_target(a[0]), i) != at1(nn_data_target(a[0]), i - 1);
    assert_true(runs > 30);
    for (int p = 0; p < 3; p++) {
        nn_data_free(a[p]);
        nn_data_free(b[p]);
        nn_data_free(c[p]);
    }
    nn_data_free(data);
}

static void bad_splits_are_told(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *data = small_data(5, 2), *parts[3], *a, *b;
    static const double bad[][2] = {{-.1, .5}, {.5, -.1}, {.5, .5}, {1, 0},
                                    {0, 2},    {NAN, .1}, {.1, NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nn_split(data, &(nn_split_config){.validation = bad[i][0], .test = bad[i][1]}, parts,
                 &error);
        FAILED(error, AD_BAD_ARGUMENT, "the shares of validation and test");
        assert_true(!parts[0] && !parts[1] && !parts[2]);
    }
    nn_split(data, &(nn_split_config){.validation = .01, .test = .3}, parts, &error);
    FAILED(error, AD_BAD_ARGUMENT, "of 5 rows, none is left for the validation part");
    static const int folds[][2] = {{0, 1}, {0, 6}, {-1, 2}, {2, 2}, {0, -3}};
    for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
        nn_fold(data, folds[i][0], folds[i][1], false, 1, &a, &b, &error);
        FAILED(error, AD_BAD_ARGUMENT, "counted from 0");
        assert_true(!a && !b);
    }
    nn_data *plain = nn_data_with_target(data, NULL, &error);
    nn_split(plain, &(nn_split_config){.test = .4, .stratified = true}, parts, &error);
    FAILED(error, AD_BAD_ARGUMENT, "stratified needs classes");
    nn_fold(plain, 0, 2, true, 1, &a, &b, &error);
    FAILED(error, AD_BAD_ARGUMENT, "stratified needs classes");
    nn_data_free(plain);
    nn_data_free(data);
}

static void folds_partition_the_rows(void **state)
{
    (void)state;
    for (int stratified = 0; stratified < 2; stratified++)
        for (int folds = 2; folds <= 23; folds += 3) {
            nn_error error = {0};
            nn_data *data = small_data(23, 3);
            int seen[23] = {0}, in_train[23] = {0};
            for (int k = 0; k < folds; k++) {
                nn_data *train, *test;
                int classes[3] = {0}, ignored[3] = {0};
                nn_fold(data, k, folds, stratified, 3, &train, &test, &error);
                FINE(error);
                tally(test, classes, seen);
                tally(train, ignored, in_train);
                assert_int_equal(nn_data_rows(train) + nn_data_rows(test), 23);
                assert_true(fabs((double)nn_data_rows(test) - 23. / folds) < 1);
                for (int c = 0; c < 3 && stratified; c++)
                    assert_true(fabs(classes[c] - (c < 2 ? 8. : 7.) / folds) < 1);
                nn_data_free(train);
                nn_data_free(test);
            }
            for (int i = 0; i < 23; i++) {
                assert_int_equal(seen[i], 1);
                assert_int_equal(in_train[i], folds - 1);
            }
            nn_data_free(data);
        }
}

static void one_hot_sets_one_in_each_row(void **state)
{
    (void)state;
    nn_error error = {0};
    ad_tensor *classes =
        ad_tensor_from(NULL, AD_I32, 1, (const int64_t[]){3}, (const int32_t[]){2, 0, 1});
    for (int dtype = 0; dtype < 3; dtype++) {
        ad_tensor *hot = nn_one_hot(classes, 4, (ad_dtype)dtype, &error);
        FINE(error);
        assert_int_equal(ad_tensor_dtype(hot), dtype);
        for (int i = 0; i < 12; i++)
            EQUAL(at2(hot, i / 4, i % 4), i % 4 == at1(classes, i / 4));
        ad_tensor_free(hot);
    }
    assert_null(nn_one_hot(classes, 2, AD_F64, &error));
    FAILED(error, AD_BAD_INDEX, "row 0: class 2: there are 0 to 1");
    assert_null(nn_one_hot(classes, 0, AD_F64, &error));
    FAILED(error, AD_BAD_ARGUMENT, "0 classes");
    ad_tensor_set(classes, (int64_t[]){1}, -1);
    assert_null(nn_one_hot(classes, 3, AD_F64, &error));
    FAILED(error, AD_BAD_INDEX, "row 1: class -1");
    ad_tensor *reals = counting(AD_F64, 1, (const int64_t[]){3});
    assert_null(nn_one_hot(reals, 3, AD_F64, &error));
    FAILED(error, AD_BAD_DTYPE, "of int32");
    ad_tensor_free(reals);
    ad_tensor_free(classes);
}

/* ---- scaling ---- */

static nn_data *unlabelled(ad_tensor *x)
{
    nn_error error = {0};
    nn_data *data = nn_data_new(1, &x, NULL, NULL, &error);
    FINE(error);
    ad_tensor_free(x);
    return data;
}

static void scalers_bring_features_to_one_scale(void **state)
{
    (void)state;
    nn_error error = {0};
    /* the second far from 0, the third constant */
    static const double x[] = {1, 1e9 + 1, .1, 2, 1e9 + 2, .1, 6, 1e9 + 6, .1};
    nn_data *data = unlabelled(ad_tensor_from(NULL, AD_F64, 2, (const int64_t[]){3, 3}, x));
    nn_scaler standard, range;
    nn_scaler_fit(&standard, NN_STANDARDISE, data, &error);
    nn_scaler_fit(&range, NN_MIN_MAX, data, &error);
    FINE(error);
    double deviation = sqrt(14. / 3); /* of 1, 2, 6 about 3 */
    for (int k = 0; k < 2; k++) {
        CLOSE(standard.scale[k], 1 / deviation);
        EQUAL(range.scale[k], .2);
    }
    CLOSE(standard.shift[0], -3 / deviation);
    EQUAL(standard.scale[2], 1);
    EQUAL(standard.shift[2], -.1);
    EQUAL(range.scale[2], 1);
    nn_data *a = nn_scaler_apply(&standard, data, &error),
            *b = nn_scaler_apply(&range, data, &error);
    FINE(error);
    CLOSE(at2(nn_data_input(a, 0), 2, 0), 3 / deviation);
    EQUAL(at2(nn_data_input(a, 0), 2, 2), 0);
    EQUAL(at2(nn_data_input(b, 0), 0, 0), 0);
    CLOSE(at2(nn_data_input(b, 0), 2, 0), 1);
    nn_layer layer = nn_scaled(&standard);
    assert_int_equal(layer.kind, NN_SCALE);
    assert_int_equal(layer.n_scale, 3);
    assert_ptr_equal(layer.scale, standard.scale);
    assert_ptr_equal(layer.shift, standard.shift);
    nn_data_free(a);
    nn_data_free(b);
    nn_data_free(data);
    nn_scaler_free(&standard);
    nn_scaler_free(&range);
    assert_null(standard.scale);
}

static void scaling_shares_all_but_the_first_input(void **state)
{
    (void)state;
    nn_error error = {0};
    ad_tensor *in[2] = {counting(AD_F32, 3, (const int64_t[]){100, 2, 2}),
                        counting(AD_F64, 1, (const int64_t[]){100})};
    ad_tensor *y = counting(AD_I32, 1, (const int64_t[]){100});
    nn_data *data = nn_data_new(2, in, y, in[1], &error);
    nn_scaler scaler;
    nn_scaler_fit(&scaler, NN_MIN_MAX, data, &error);
    nn_data *out = nn_scaler_apply(&scaler, data, &error);
    FINE(error);
    assert_int_equal(scaler.n, 4);
    assert_int_equal(ad_tensor_dtype(nn_data_input(out, 0)), AD_F32);
    EQUAL(ad_tensor_get(nn_data_input(out, 0), (const int64_t[]){99, 1, 1}), 1);
    EQUAL(ad_tensor_get(nn_data_input(out, 0), (const int64_t[]){0, 1, 0}), 0);
    assert_ptr_equal(nn_data_input(out, 1), in[1]);
    assert_ptr_equal(nn_data_target(out), y);
    assert_ptr_equal(nn_data_weights(out), in[1]);
    assert_int_equal(nn_data_class_count(out), 100);
    nn_data_free(out);
    nn_data_free(data);
    nn_data *whole = unlabelled(counting(AD_I32, 2, (const int64_t[]){3, 4}));
    out = nn_scaler_apply(&scaler, whole, &error); /* integers become doubles */
    FINE(error);
    assert_int_equal(ad_tensor_dtype(nn_data_input(out, 0)), AD_F64);
    nn_data_free(out);
    nn_data_free(whole);
    nn_data *narrow = small_data(3, 2);
    assert_null(nn_scaler_apply(&scaler, narrow, &error));
    FAILED(error, AD_BAD_SHAPE, "the first input has 2 features, the scaler was fitted on 4");
    nn_data_free(narrow);
    nn_scaler_free(&scaler);
    ad_tensor_free(in[0]);
    ad_tensor_free(in[1]);
    ad_tensor_free(y);
}

static void scalers_refuse_what_is_not_finite(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_scaler scaler;
    static const double bad[][4] = {{1, 2, 3, NAN}, {1, 2, (double)INFINITY, 4}};
    static const char *const want[] = {"row 1, feature 1 is NaN", "row 1, feature 0 is infinite"};
    for (int i = 0; i < 2; i++) {
        nn_data *data =
            unlabelled(ad_tensor_from(NULL, AD_F64, 2, (const int64_t[]){2, 2}, bad[i]));
        nn_scaler_fit(&scaler, NN_STANDARDISE, data, &error);
        FAILED(error, AD_NOT_FINITE, want[i]);
        assert_null(scaler.scale);
        nn_data_free(data);
    }
    nn_data *data = unlabelled(
        ad_tensor_from(NULL, AD_F64, 1, (const int64_t[]){2}, (double[]){-1e308, 1.5e308}));
    nn_scaler_fit(&scaler, NN_STANDARDISE, data, &error);
    FAILED(error, AD_NOT_FINITE, "feature 0 varies");
    nn_scaler_fit(&scaler, (nn_scaling)5, data, &error);
    FAILED(error, AD_BAD_ARGUMENT, "5 is no kind of scaling");
    nn_data_free(data);
}

/* ---- generated ---- */

static nn_data *generated(int kind, int64_t rows, double noise, uint64_t seed, nn_error *error)
{
    switch (kind) {
    case 0:
        return nn_make_xor(rows, noise, seed, error);
    case 1:
        return nn_make_spirals(rows, 3, noise, seed, error);
    case 2:
        return nn_make_moons(rows, noise, seed, error);
    default:
        return nn_make_blobs(rows, 4, noise, seed, error);
    }
}

static void generated_data_are_balanced_and_the_seeds_own(void **state)
{
    (void)state;
    static const int classes[] = {2, 3, 2, 4};
    for (int kind = 0; kind < 4; kind++) {
        nn_error error = {0};
        nn_data *a = generated(kind, 101, .2, 1, &error), *b = generated(kind, 101, .2, 1, &error);
        nn_data *c = generated(kind, 101, .2, 2, &error), *one = generated(kind, 1, .2, 2, &error);
        FINE(error);
        assert_int_equal(nn_data_class_count(one), classes[kind]);
        int counts[4] = {0};
        for (int i = 0; i < 101; i++) {
            counts[(int)at1(nn_data_target(a), i)]++;
            for (int k = 0; k < 2; k++) {
                EQUAL(at2(nn_data_input(a, 0), i, k), at2(nn_data_input(b, 0), i, k));
                assert_true(at2(nn_data_input(a, 0), i, k) != at2(nn_data_input(c, 0), i, k));
            }
        }
        for (int k = 0; k < classes[kind]; k++)
            assert_true(abs(counts[k] * classes[kind] - 101) < classes[kind]);
        nn_data_free(a);
        nn_data_free(b);
        nn_data_free(c);
        nn_data_free(one);
        assert_null(generated(kind, 0, .2, 1, &error));
        FAILED(error, AD_BAD_ARGUMENT, "0 rows");
        assert_null(generated(kind, INT64_MAX, .2, 1, &error));
        FAILED(error, AD_TOO_LARGE, "rows");
        assert_null(generated(kind, 9, -1, 1, &error));
        FAILED(error, AD_BAD_ARGUMENT, "the noise must be 0 or more");
        assert_null(generated(kind, 9, NAN, 1, &error));
        FAILED(error, AD_BAD_ARGUMENT, "the noise must be 0 or more");
    }
    nn_error error = {0};
    assert_null(nn_make_blobs(9, 0, 1, 1, &error));
    FAILED(error, AD_BAD_ARGUMENT, "0 classes");
}

static void generated_points_lie_where_they_should(void **state)
{
    (void)state;
    nn_error error = {0};
    nn_data *all[4];
    for (int kind = 0; kind < 4; kind++)
        all[kind] = generated(kind, 60, 0, 1, &error);
    FINE(error);
    for (int i = 0; i < 60; i++) {
        const ad_tensor *x = nn_data_input(all[0], 0);
        assert_int_equal((at2(x, i, 0) < 0) != (at2(x, i, 1) < 0), i % 2);
        assert_true(fabs(at2(x, i, 0)) <= 1 && fabs(at2(x, i, 1)) <= 1);
        x = nn_data_input(all[2], 0);
        double u = at2(x, i, 0) - i % 2, v = i % 2 ? .5 - at2(x, i, 1) : at2(x, i, 1);
        assert_true(fabs(u * u + v * v - 1) < 1e-12 && v >= 0);
        x = nn_data_input(all[3], 0);
        EQUAL(at2(x, i, 0), cos(2 * 3.14159265358979323846 * (i % 4) / 4));
    }
    for (int kind = 0; kind < 4; kind++)
        nn_data_free(all[kind]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_keep_their_tensors),
        cmocka_unit_test(data_that_do_not_fit_are_refused),
        cmocka_unit_test(null_and_earlier_errors_end_every_call),
        cmocka_unit_test(select_copies_rows_and_keeps_classes),
        cmocka_unit_test(gather_agrees_with_single_elements_in_all_types_and_layouts),
        cmocka_unit_test(gather_gives_ones_for_missing_weights_and_checks_what_it_is_told),
        cmocka_unit_test(streams_have_shapes_but_no_rows_to_pick),
        cmocka_unit_test(csv_reads_words_as_classes_in_order_of_appearance),
        cmocka_unit_test(csv_reads_integers_as_classes_and_numbers_as_targets),
        cmocka_unit_test(csv_follows_rfc_4180),
        cmocka_unit_test(csv_picks_and_skips_columns),
        cmocka_unit_test(csv_says_what_is_wrong_and_where),
        cmocka_unit_test(csv_reads_numbers_to_the_last_bit),
        cmocka_unit_test(csv_holds_many_classes_and_long_fields),
        cmocka_unit_test(csv_files_are_read_plain_or_gzipped),
        cmocka_unit_test(numbers_are_read_the_same_where_decimals_have_a_comma),
        cmocka_unit_test(a_file_is_replaced_only_when_it_is_whole),
        cmocka_unit_test(damaged_gzip_is_told),
        cmocka_unit_test(idx_reads_all_its_types),
        cmocka_unit_test(idx_that_lies_is_an_error),
        cmocka_unit_test(a_file_longer_than_its_head_says_is_not_read_on),
        cmocka_unit_test(a_folder_in_mnists_way_is_read),
        cmocka_unit_test(a_folder_whose_files_do_not_agree_is_an_error),
        cmocka_unit_test(npy_reads_all_types_and_byte_orders),
        cmocka_unit_test(npy_reads_every_notation_of_the_head),
        cmocka_unit_test(npy_that_lies_is_an_error),
        cmocka_unit_test(npy_is_written_as_numpy_writes_it),
        cmocka_unit_test(npy_comes_back_as_it_was_written),
        cmocka_unit_test(npz_members_are_read),
        cmocka_unit_test(split_puts_every_row_into_one_part),
        cmocka_unit_test(a_stratified_split_is_exact_where_it_can_be),
        cmocka_unit_test(parts_depend_on_the_seed_alone),
        cmocka_unit_test(bad_splits_are_told),
        cmocka_unit_test(folds_partition_the_rows),
        cmocka_unit_test(one_hot_sets_one_in_each_row),
        cmocka_unit_test(scalers_bring_features_to_one_scale),
        cmocka_unit_test(scaling_shares_all_but_the_first_input),
        cmocka_unit_test(scalers_refuse_what_is_not_finite),
        cmocka_unit_test(generated_data_are_balanced_and_the_seeds_own),
        cmocka_unit_test(generated_points_lie_where_they_should),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
