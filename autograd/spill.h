/* spill.h - arrays longer than memory: in a file without a name, of which a window is resident */
#ifndef SPILL_H
#define SPILL_H
#include "memory.h"

/* A file in `folder`, for one array of `most` bytes at most, of which about `resident` are kept in
 * memory while it is written or read in one direction. NULL: *error is errno's number. */
typedef struct spill spill;
spill *spill_new(const ad_context *context, const char *folder, size_t most, size_t resident,
                 int *error);
void spill_free(const ad_context *context, spill *s);
size_t spill_piece(const spill *s); /* the array grows and is released by so many bytes */
void *spill_base(const spill *s);

/* Room for `need` bytes, on the disk too: a full disk is noticed here and nowhere else. What lies a
 * window behind goes to the disk. *committed: the room that there is now; false: nothing changed.
 */
bool spill_grow(spill *s, size_t need, size_t *committed);
/* Forgets what is beyond `keep` bytes; *committed as above. */
void spill_shrink(spill *s, size_t keep, size_t *committed);
/* For a way back: bytes that are needed soon, and those that are not needed any more. */
void spill_fetch(const spill *s, size_t from, size_t to);
void spill_release(const spill *s, size_t from, size_t to);

#endif
