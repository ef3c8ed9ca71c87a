/* fuzz_nn.c - bytes as files: the readers of CSV, .npy and IDX must read or refuse them, and may
 * not crash, leak or ask for memory that the bytes do not justify
 *
 * The first byte of a string says which reader gets the rest, and with which settings. What is read
 * does not matter here; that a refusal comes with a text does, and that nothing read is larger than
 * the bytes can hold.
 *
 * As a test this runs over mutations of good files from a seeded generator; `fuzz_nn FILE...` runs
 * files. With libFuzzer:
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
 * ...
 */
#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"
#include "idx.h"
#include "nn.h"

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_nn: %s\n", what);
    abort();
}

static void check_error(const nn_error *error, bool read)
{
    check(read == (error->status == AD_OK), "a status that does not fit what came back");
    check(read == (error->text[0] == 0), "a text that does not fit the status");
    check(memchr(error->text, 0, sizeof error->text) != NULL, "an endless text");
}

static void check_tensor(ad_tensor *t, size_t size, const nn_error *error)
{
    check_error(error, t != NULL);
    check(!t || ad_tensor_size(t) <= (int64_t)size, "more elements than bytes");
    ad_tensor_free(t);
}

static void fuzz_csv(unsigned settings, const char *text, size_t size)
{
    static const char separators[] = {0, ';', '\t', ' '};
    static const char *const labels[] = {NULL, "0", "b", "kind"}, *const skip[] = {"a", NULL};
    nn_error error = {0};
    nn_csv_config config = {.separator = separators[settings & 3],
                            .no_header = settings & 4,
                            .label = labels[settings >> 3 & 3],
                            .regression = settings & 32,
                            .skip = (settings & 24) == 24 ? skip : NULL,
                            .dtype = settings & 64 ? AD_F32 : AD_F64};
    nn_data *data = nn_parse_csv(text, size, &config, &error);
    check_error(&error, data != NULL);
    if (data) {
        int64_t n = ad_tensor_size(nn_data_input(data, 0));
        check(n > 0 && n <= (int64_t)size, "more numbers than bytes");
        for (int k = 0; nn_data_class(data, k); k++)
            check(memchr(nn_data_class(data, k), 0, size + 1) != NULL, "an endless name");
    }
    nn_data_free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nn_error error = {0};
    if (size == 0)
        return 0;
    /* a copy of just that size: what is read beyond it is found */
    unsigned settings = data[0];
    char *bytes = malloc(--size);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size);
    if (settings >= 128)
        fuzz_csv(settings, bytes, size);
    else if (settings & 1)
        check_tensor(nn_parse_npy(bytes, size, &error), size, &error);
    else
        check_tensor(nn_parse_idx(bytes, size, (ad_dtype)(settings / 2 % 3), "idx", &error), size,
                     &error);
    free(bytes);
    return 0;
}

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

enum { MUTATIONS = 40000, LONGEST = 400 };

#define FILE_OF(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct {
    const char *bytes;
    size_t size;
} files[] = {
    FILE_OF("\x80"
            "a,b,kind\n1,2,owl\n-3.5,4e1,cat\r\n+.5,6.,owl\n"),
    FILE_OF("\x80"
            "a,\"b \"\"x\"\"\ny\",c\r\n1,2,\"p,q\"\r\n3,\"4\",p"),
    FILE_OF("\xA0"
            "x,y\n0.1234567890123456789,1e-300\n9007199254740993,-0\n"),
    FILE_OF("\xC5"
            "1;2;0\n3;4;1\n\n"),
    FILE_OF("\xD8"
            "a,kind,b\nowl,3,4\nemu,1,2\n"),
    FILE_OF("\1\x93NUMPY\1\0>\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }  "
            "\n\0\0\0\0\0\0\200?"),
    FILE_OF("\1\x93NUMPY\2\0;\0\0\0{'descr': '>i8', 'fortran_order': True, 'shape': (1, 1), }"
            "\n\0\0\0\0\0\0\0\7"),
    FILE_OF("\1\x93NUMPY\3\0009\0\0\0{'descr': '|u1', 'fortran_order': True, 'shape': (2,3,)}"
            "\n123456"),
    FILE_OF("\0\0\0\x08\2\0\0\0\2\0\0\0\3"
            "123456"),
    FILE_OF("\2\0\0\x0D\1\0\0\0\2@@\0\0\300\0\0\0"),
    FILE_OF("\4\0\0\x0B\3\0\0\0\1\0\0\0\2\0\0\0\1\1\2\3\4"),
};

static uint64_t next_random(uint64_t *state) /* Knuth's MMIX generator */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* One to four changes: a byte, a run put in, taken out or doubled, or the end cut off. */
static size_t mutate(uint8_t *data, size_t size, uint64_t *state)
{
    static const char likely[] = "\0\1\xFF\x7F\x80,;\"\n\r0919-+.eE()[]{}':TLf \t";
    for (uint64_t changes = next_random(state) % 4 + 1; changes; changes--) {
        size_t at = next_random(state) % (size + 1), n = next_random(state) % 8 + 1;
        uint8_t new = next_random(state) % 2 ? (uint8_t)next_random(state)
                                             : (uint8_t)likely[next_random(state) % sizeof likely];
        switch (next_random(state) % 8) {
        case 0:
            size = at ? at : size;
            break;
        case 1:
            n = n < size - at ? n : size - at;
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
            break;
        case 2:
            if (size + n <= LONGEST) {
                memmove(data + at + n, data + at, size - at);
                size += n;
            }
            break;
        default:
            if (at < size)
                data[at] = new;
        }
    }
    return size;
}

/* The files to start from are good ones, or mutations of them would all be refused alike. */
static void check_good(size_t i)
{
    nn_error error = {0};
    const char *bytes = files[i].bytes + 1;
    size_t size = files[i].size - 1;
    unsigned settings = (unsigned char)files[i].bytes[0];
    ad_tensor *t = NULL;
    if (settings < 128)
        t = settings & 1 ? nn_parse_npy(bytes, size, &error)
                         : nn_parse_idx(bytes, size, AD_F64, "idx", &error);
    if (settings < 128 && !t) {
        fprintf(stderr, "fuzz_nn: file %zu: %s\n", i, error.text);
        abort();
    }
    ad_tensor_free(t);
    LLVMFuzzerTestOneInput((const uint8_t *)files[i].bytes, files[i].size);
}

int main(int argc, char **argv)
{
    const int failed = run_files(argc, argv);
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        check_good(i);
    for (size_t i = 0; i < MUTATIONS && argc == 1; i++) {
        uint8_t data[LONGEST];
        size_t k = i % (sizeof files / sizeof *files), size = files[k].size;
        memcpy(data, files[k].bytes, size);
        size = mutate(data, size, &state);
        LLVMFuzzerTestOneInput(data, size);
    }
    return failed;
}

#endif
