/* spill.c - see spill.h
 *
 * The array is a shared mapping of the file, so that whatever is asked for by address is found,
 * however far back. It grows by pieces, for which the disk's room is taken first: a store can then
 * not meet a full disk, which would be a signal instead of an error. A piece that is complete is
 * written in the background; a window later it is waited for, and its memory given back. The file
 * has no name: it is gone with the process, however that ends. */
#if defined(__unix__) /* with posix_fallocate */
#define _GNU_SOURCE   /* O_TMPFILE, sync_file_range */
#define HAVE_FILES  1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#include "spill.h"

#ifdef HAVE_FILES
struct spill {
    char *base;
    size_t most, committed, piece, window;
    size_t released; /* pieces below this one, but for the first, have been given back */
    int file;
};

enum { SMALLEST = 1 << 16, LARGEST = 1 << 26, PIECES = 8 };

static int named_and_unlinked(const ad_context *context, const char *folder)
{
    static const char name[] = "/tapegrad-XXXXXX";
    const size_t bytes = strlen(folder) + sizeof name;
    char *path = memory_take(context, bytes);
    if (!path) {
        errno = ENOMEM;
        return -1;
    }
    snprintf(path, bytes, "%s%s", folder, name);
    const int file = mkstemp(path);
    if (file >= 0) {
        unlink(path);
        fcntl(file, F_SETFD, FD_CLOEXEC);
    }
    memory_give(context, path, bytes);
    return file;
}

static int nameless_file(const ad_context *context, const char *folder)
{
#ifdef O_TMPFILE
    const int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0)
        return file;
#endif
    return named_and_unlinked(context, folder);
}

spill *spill_new(const ad_context *context, const char *folder, size_t most, size_t resident,
                 int *error)
{
    spill *s = memory_take(context, sizeof *s);
    *error = ENOMEM;
    if (!s)
        return NULL;
    size_t piece = SMALLEST;
    while (piece < LARGEST && piece * 2 * PIECES <= resident)
        piece *= 2;
    *s = (spill){.piece = piece, .most = (most + piece - 1) / piece * piece};
    s->window = resident > 3 * piece ? resident - 2 * piece : piece;
    s->file = nameless_file(context, folder);
    *error = errno;
    if (s->file >= 0) {
        s->base = mmap(NULL, s->most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *error = errno;
        if (s->base != MAP_FAILED)
            return s;
        close(s->file);
    }
    memory_give(context, s, sizeof *s);
    return NULL;
}

void spill_free(const ad_context *context, spill *s)
{
    if (!s)
        return;
    munmap(s->base, s->most);
    close(s->file);
    memory_give(context, s, sizeof *s);
}

size_t spill_piece(const spill *s) { return s->piece; }
void *spill_base(const spill *s) { return s->base; }

/* begins to write, or waits until it is written */
static void write_out(const spill *s, size_t from, size_t bytes, bool wait)
{
#ifdef SYNC_FILE_RANGE_WRITE
    const unsigned how =
        wait ? SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
             : SYNC_FILE_RANGE_WRITE;
    if (sync_file_range(s->file, (off_t)from, (off_t)bytes, how) == 0)
        return;
#endif
    msync(s->base + from, bytes, wait ? MS_SYNC : MS_ASYNC);
}

/* The first piece stays: inputs and constants are there, for which everybody asks. */
static void keep_window(spill *s)
{
    if (s->committed)
        write_out(s, s->committed - s->piece, s->piece, false);
    while ((s->released + 1) * s->piece + s->window <= s->committed) {
        if (s->released > 0) {
            write_out(s, s->released * s->piece, s->piece, true);
            madvise(s->base + s->released * s->piece, s->piece, MADV_DONTNEED);
        }
        s->released++;
    }
}

/* No memory, but still ours; where even that fails, what is there stays, and is mapped over later.
 */
static void back_to_reserved(char *at, size_t bytes)
{
    (void)mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static bool grow_by_a_piece(spill *s)
{
    char *at = s->base + s->committed;
    int error;
    do
        error = posix_fallocate(s->file, (off_t)s->committed, (off_t)s->piece);
    while (error == EINTR);
    if (error)
        return false;
    if (mmap(at, s->piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->file,
             (off_t)s->committed) == MAP_FAILED) {
        back_to_reserved(at, s->piece);
        return false;
    }
#ifdef MADV_POPULATE_WRITE
    if (madvise(at, s->piece, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
        back_to_reserved(at, s->piece);
        return false;
    }
#endif
    s->committed += s->piece;
    return true;
}

bool spill_grow(spill *s, size_t need, size_t *committed)
{
    const size_t before = s->committed;
    if (need > s->most)
        return false;
    if (need > s->committed)
        keep_window(s);
    while (s->committed < need) {
        if (!grow_by_a_piece(s)) {
            spill_shrink(s, before, committed);
            return false;
        }
    }
    *committed = s->committed;
    return true;
}

void spill_shrink(spill *s, size_t keep, size_t *committed)
{
    const size_t to = (keep + s->piece - 1) / s->piece * s->piece;
    if (to < s->committed) {
        back_to_reserved(s->base + to, s->committed - to);
        s->committed = to;
    }
    /* what a failed growth took of the disk, too */
    if (ftruncate(s->file, (off_t)s->committed) != 0)
        (void)errno; /* a longer file than needed */
    const size_t pieces = s->committed / s->piece;
    if (s->released > pieces)
        s->released = pieces;
    *committed = s->committed;
}

void spill_fetch(const spill *s, size_t from, size_t to)
{
    to = to < s->committed ? to : s->committed;
    from = from / s->piece * s->piece;
    if (from < to)
        madvise(s->base + from, to - from, MADV_WILLNEED);
}

void spill_release(const spill *s, size_t from, size_t to)
{
    from = (from + s->piece - 1) / s->piece * s->piece;
    to = to / s->piece * s->piece;
    if (from == 0)
        from = s->piece;
    if (from < to && to <= s->committed)
        madvise(s->base + from, to - from, MADV_DONTNEED);
}

#else
spill *spill_new(const ad_context *context, const char *folder, size_t most, size_t resident,
                 int *error)
{
    (void)context, (void)folder, (void)most, (void)resident;
    *error = 0;
    return NULL;
}
void spill_free(const ad_context *context, spill *s) { (void)context, (void)s; }
size_t spill_piece(const spill *s)
{
    (void)s;
    return 1;
}
void *spill_base(const spill *s)
{
    (void)s;
    return NULL;
}
bool spill_grow(spill *s, size_t need, size_t *committed)
{
    (void)s, (void)need, (void)committed;
    return false;
}
void spill_shrink(spill *s, size_t keep, size_t *committed)
{
    (void)s, (void)keep, (void)committed;
}
void spill_fetch(const spill *s, size_t from, size_t to) { (void)s, (void)from, (void)to; }
void spill_release(const spill *s, size_t from, size_t to) { (void)s, (void)from, (void)to; }
#endif
