/* lesson_command.c - tapegrad lesson: lists the lectures' examples, and runs one
 *
 * A lesson is a program of its own, which takes the place of this one. It is looked for where the
 * user says, else beside the build's tapegrad, else where it was installed; never in the folder one
 * is in, nor by way of a shell. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tapegrad/ad.h>

#include "command.h"
#include "lesson_list.h"

#ifndef LESSONS_INSTALLED
#define LESSONS_INSTALLED "/usr/local/libexec/tapegrad/lessons"
#endif

enum { PATH_ROOM = 4096, COLUMNS = 80, WHAT_AT = 28 };

static const char help[] =
    "Runs a lesson: a program that works through an example of a lecture on\n"
    "backpropagation, and says what the slide prints, what is right, and why.\n"
    "\n"
    "usage: tapegrad lesson\n"
    "       tapegrad lesson NAME [ARGUMENT...]\n"
    "\n"
    "Without a name, lists them. Arguments are handed on: lessons that draw take the\n"
    "name of an SVG file, those that train the folder of their data. Exit status 1\n"
    "where a number that a lesson computes is not right.\n"
    "\n"
    "TAPEGRAD_LESSONS in the environment is the folder of the programs, where they\n"
    "are not where tapegrad was built or installed.\n"
    "\n"
    "examples:\n"
    "  tapegrad lesson chain\n"
    "  tapegrad lesson saturated_neuron neuron.svg\n";

/* ---- the list ---- */

/* A line ends before the word that would go over its end; characters are counted, not bytes. */
static void put_wrapped(const char *text)
{
    int column = WHAT_AT;
    while (*text) {
        const size_t bytes = strcspn(text, " ");
        int letters = 0;
        for (size_t i = 0; i < bytes; i++)
            letters += ((unsigned char)text[i] & 0xC0) != 0x80;
        if (column > WHAT_AT && column + 1 + letters > COLUMNS) {
            printf("\n%*s", WHAT_AT, "");
            column = WHAT_AT;
        }
        const int space = column > WHAT_AT;
        printf("%s%.*s", space ? " " : "", (int)bytes, text);
        column += space + letters;
        text += bytes + (text[bytes] == ' ');
    }
    putchar('\n');
}

static int list_lessons(void)
{
    for (const struct lesson *l = lessons; l->name; l++) {
        printf("  %-*s", WHAT_AT - 2, l->name);
        put_wrapped(l->what);
    }
    if (!lessons[0].name)
        puts("This tapegrad was built without its lessons.");
    return STATUS_FINE;
}

/* ---- one of them ---- */

static bool join(char path[PATH_ROOM], const char *folder, const char *rest)
{
    const int n = snprintf(path, PATH_ROOM, "%s/%s", folder, rest);
    return n > 0 && n < PATH_ROOM;
}

/* The folder of this program, as far as the system tells. */
static bool own_folder(char folder[PATH_ROOM])
{
    const ssize_t n = readlink("/proc/self/exe", folder, PATH_ROOM - 1);
    if (n <= 0 || n >= PATH_ROOM - 1)
        return false;
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    return slash != NULL;
}

static bool find_program(char path[PATH_ROOM], const char *name)
{
    char own[PATH_ROOM], built[PATH_ROOM];
    const char *given = getenv("TAPEGRAD_LESSONS");
    if (given && *given)
        return join(path, given, name) && access(path, X_OK) == 0;
    if (own_folder(own) && join(built, own, "../examples/lessons") && join(path, built, name) &&
        access(path, X_OK) == 0)
        return true;
    return join(path, LESSONS_INSTALLED, name) && access(path, X_OK) == 0;
}

static int unknown_lesson(const char *name)
{
    const char *best = NULL;
    for (const struct lesson *l = lessons; l->name; l++)
        ad_suggest(name, l->name, &best);
    return best ? usage_error("lesson: there is none called '%s'; did you mean '%s'?", name, best)
                : usage_error("lesson: there is none called '%s'; `tapegrad lesson` lists them",
                              name);
}

static int run(int argc, char **argv)
{
    char path[PATH_ROOM];
    if (argc < 2)
        return list_lessons();
    const struct lesson *l = lessons;
    while (l->name && strcmp(l->name, argv[1]) != 0)
        l++;
    if (!l->name)
        return unknown_lesson(argv[1]);
    if (!find_program(path, l->name))
        return usage_error("lesson: the program of '%s' is not where it should be, at %s; set "
                           "TAPEGRAD_LESSONS to its folder",
                           l->name, path);
    fflush(stdout);
    execv(path, argv + 1);
    return usage_error("lesson: cannot run %s: %s", path, strerror(errno));
}

const command lesson_command = {
    "lesson", "examples of lectures, worked through: lists them, or runs one", help, run};
