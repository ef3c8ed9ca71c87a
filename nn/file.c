/* file.c - whole files read into memory, and written so that a crash leaves the old one
 *
 * What a file says about its size may be a lie, and a gzipped one may unpack to a thousand times
 * its length: the buffer grows with the bytes that have really come. */
#define _POSIX_C_SOURCE 200809L
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "error.h"

enum { FIRST_BYTES = 1 << 16, MOST_AT_ONCE = 1 << 30 };

/* ---- reading ---- */

static bool grow(char **bytes, size_t *capacity, size_t limit)
{
    size_t more = *capacity ? *capacity * 2 : FIRST_BYTES;
    more = more < limit + 1 ? more : limit + 1; /* one byte too many shows what is too long */
    char *grown = realloc(*bytes, more + 1);
    if (!grown)
        return false;
    *bytes = grown;
    *capacity = more;
    return true;
}

static ad_status too_long(const char *name, size_t limit, bool claimed, nn_error *error)
{
    return nn_fail(error, AD_TOO_LARGE, "%s: more than %s%zu bytes%s", name, claimed ? "the " : "",
                   limit, claimed ? " that its head says there are" : ", the most that is read");
}

/* Room for more, and no more bytes than there may be. */
static ad_status may_go_on(const char *name, char **bytes, size_t n, size_t *capacity, size_t limit,
                           bool claimed, nn_error *error)
{
    if (n > limit)
        return too_long(name, limit, claimed, error);
    if (n == *capacity && !grow(bytes, capacity, limit))
        return nn_no_memory(error);
    return AD_OK;
}

ad_status nn_read_source(const char *name, nn_source source, void *user, size_t limit,
                         nn_claim claim, char **bytes, size_t *size, nn_error *error)
{
    size_t n = 0, capacity = 0;
    bool claimed = false;
    ad_status status;
    int64_t got = 0;
    *bytes = NULL;
    *size = 0;
    limit = limit < NN_FILE_LIMIT ? limit : NN_FILE_LIMIT;
    while ((status = may_go_on(name, bytes, n, &capacity, limit, claimed, error)) == AD_OK) {
        size_t room = capacity - n;
        got = source(user, *bytes + n, room < MOST_AT_ONCE ? room : MOST_AT_ONCE);
        if (got <= 0)
            break;
        n += (size_t)got;
        if (claim && !claimed && n >= FIRST_BYTES) {
            size_t all = claim(*bytes, n);
            if (!all)
                break;
            claimed = true;
            limit = all < limit ? all : limit;
        }
    }
    if (status != AD_OK || got < 0) {
        free(*bytes);
        *bytes = NULL;
        return status;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): may_go_on has made room
    (*bytes)[n] = 0;
    *size = n;
    return AD_OK;
}

static int64_t read_gz(void *user, char *to, size_t n) { return gzread(user, to, (unsigned)n); }

static ad_status cannot(const char *what, const char *path, nn_error *error)
{
    if (errno == ENOMEM)
        return nn_no_memory(error);
    return nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot %s it: %s", path, what, strerror(errno));
}

/* The reason why gzread gave up, or found the end too early. */
static ad_status gz_failed(gzFile file, const char *path, nn_error *error)
{
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return AD_OK;
    if (code == Z_MEM_ERROR)
        return nn_no_memory(error);
    if (code == Z_ERRNO)
        return cannot("read", path, error);
    if (code == Z_BUF_ERROR)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: the gzipped file ends too early: %s", path,
                       "it was cut off, copy it anew");
    return nn_fail(error, AD_BAD_ARGUMENT, "%s: the gzipped file is damaged (%s)", path, text);
}

static ad_status read_path(const char *path, size_t limit, nn_claim claim, char **bytes,
                           size_t *size, nn_error *error)
{
    *bytes = NULL;
    *size = 0;
    if (!path)
        return nn_fail(error, AD_NULL, "the path of the file to read is NULL");
    errno = 0;
    gzFile file = gzopen(path, "rb"); /* also reads what is not gzipped */
    if (!file)
        return errno ? cannot("open", path, error) : nn_no_memory(error);
    gzbuffer(file, 1 << 17); /* if not, it has a smaller one */
    errno = 0;
    ad_status status = nn_read_source(path, read_gz, file, limit, claim, bytes, size, error);
    if (status == AD_OK)
        status = gz_failed(file, path, error);
    if (status == AD_OK && !*bytes)
        status = nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot read it", path);
    gzclose_r(file);
    if (status != AD_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

ad_status nn_read_file(const char *path, size_t limit, char **bytes, size_t *size, nn_error *error)
{
    return read_path(path, limit, NULL, bytes, size, error);
}

ad_status nn_read_claimed(const char *path, nn_claim claim, char **bytes, size_t *size,
                          nn_error *error)
{
    return read_path(path, NN_FILE_LIMIT, claim, bytes, size, error);
}

/* ---- writing ---- */

enum { ATTEMPTS = 1000 };

/* A name of its own in the same folder, so that the rename is one step. Not mkstemp: that would
 * forbid others to read the file, whatever the umask says. */
static int open_aside(nn_file *file, size_t size)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        snprintf(file->aside, size, "%s.%ld-%d.tmp", file->path, (long)getpid(), i);
        int descriptor = open(file->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST)
            return descriptor;
    }
    return -1;
}

/* Renaming onto a device or a folder would replace it. */
static bool can_replace(const char *path)
{
    struct stat status;
    return stat(path, &status) != 0 || S_ISREG(status.st_mode);
}

ad_status nn_file_begin(nn_file *file, const char *path, nn_error *error)
{
    *file = (nn_file){.path = path};
    if (!path)
        return nn_fail(error, AD_NULL, "the path of the file to write is NULL");
    if (!can_replace(path))
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot write it: not a regular file", path);
    size_t size = strlen(path) + 64;
    file->aside = malloc(size);
    if (!file->aside)
        return nn_no_memory(error);
    int descriptor = open_aside(file, size);
    file->to = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    if (file->to)
        return AD_OK;
    ad_status status = cannot("write", path, error);
    if (descriptor >= 0) {
        close(descriptor);
        unlink(file->aside);
    }
    free(file->aside);
    file->aside = NULL;
    return status;
}

/* The folder's entry reaches the disk too; where the system cannot do that, no harm is done. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0; /* "/" stays */
    int folder = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    fsync(folder);
    close(folder);
}

ad_status nn_file_done(nn_file *file, bool ok, nn_error *error)
{
    if (!file->to)
        return nn_earlier(error) ? nn_earlier(error) : AD_BAD_ARGUMENT;
    errno = 0;
    bool written = ok && !ferror(file->to) && fflush(file->to) == 0 && fsync(fileno(file->to)) == 0;
    int reason = errno;
    bool closed = fclose(file->to) == 0;
    if (written && !closed)
        reason = errno;
    bool done = written && closed && rename(file->aside, file->path) == 0;
    if (written && closed && !done)
        reason = errno;
    ad_status status = AD_OK;
    if (done)
        sync_folder(file->aside);
    else
        unlink(file->aside);
    if (!ok)
        status = nn_earlier(error) ? nn_earlier(error) : AD_BAD_ARGUMENT;
    else if (!done)
        status = nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot write it%s%s: the old file is kept",
                         file->path, reason ? ": " : "", reason ? strerror(reason) : "");
    free(file->aside);
    *file = (nn_file){0};
    return status;
}
