/* folder.h - a folder of its own for each test, and files in it
 *
 * To be included behind cmocka's headers, where POSIX is asked for. In memory where that is
 * possible: some tests write thousands of files and wait until each is safe. */
#ifndef FOLDER_H
#define FOLDER_H
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH = 512, LARGEST_FILE = 1 << 24 };

static char folder[PATH];

static inline int make_folder(void **state)
{
    const char *temporary = getenv("TMPDIR"), *memory = "/dev/shm";
    if (!temporary)
        temporary = access(memory, W_OK) == 0 ? memory : "/tmp";
    snprintf(folder, sizeof folder, "%.400s/tapegrad-XXXXXX", temporary);
    *state = NULL;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    char command[PATH + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

static inline const char *in_folder(char path[PATH], const char *name)
{
    snprintf(path, PATH, "%.400s/%.100s", folder, name);
    return path;
}

static inline void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *to = fopen(path, "wb");
    if (!to || fwrite(bytes, 1, size, to) != size)
        fail_msg("cannot write %s", path);
    fclose(to);
}

/* To be freed, and with a 0 behind it. */
static inline char *read_bytes(const char *path, size_t *size)
{
    FILE *from = fopen(path, "rb");
    char *bytes = malloc(LARGEST_FILE);
    if (!from || !bytes)
        fail_msg("cannot read %s", path);
    *size = fread(bytes, 1, LARGEST_FILE - 1, from);
    bytes[*size] = 0;
    fclose(from);
    return bytes;
}

#endif
