/* file.h - whole files read into memory, and written so that a crash leaves the old one */
#ifndef NN_FILE_H
#define NN_FILE_H
#include <stdio.h>

#include "nn.h"

/* More than any table that fits into memory as text. */
#define NN_FILE_LIMIT (SIZE_MAX / 4 < ((uint64_t)1 << 36) ? SIZE_MAX / 4 : (size_t)1 << 36)

/* Reads a file, gunzipping it where it is gzipped: *bytes (to be freed, with a 0 behind it) and
 * *size. Memory grows with what is really read; more than `limit` bytes is an error. */
ad_status nn_read_file(const char *path, size_t limit, char **bytes, size_t *size, nn_error *error);

/* How many bytes a file has in all by what its first bytes say; 0 where they say nothing sensible:
 * then no more of it is read. */
typedef size_t (*nn_claim)(const char *head, size_t size);
/* The same for a format whose head tells the size: a file that is longer is an error as soon as
 * that is seen, however much it would unpack to. */
ad_status nn_read_claimed(const char *path, nn_claim claim, char **bytes, size_t *size,
                          nn_error *error);

/* Where bytes come from: up to n of them; 0 at the end; negative: failed. */
typedef int64_t (*nn_source)(void *user, char *to, size_t n);
/* The loop of the above for any source. AD_OK with *bytes NULL: the source failed, and its owner
 * knows why. */
ad_status nn_read_source(const char *name, nn_source source, void *user, size_t limit,
                         nn_claim claim, char **bytes, size_t *size, nn_error *error);

/* A file in the making beside `path`; nn_file_done flushes, syncs and renames it, or removes it
 * where `ok` is false or writing failed. */
typedef struct nn_file {
    FILE *to;
    const char *path;
    char *aside;
} nn_file;
ad_status nn_file_begin(nn_file *file, const char *path, nn_error *error);
ad_status nn_file_done(nn_file *file, bool ok, nn_error *error);

#endif
