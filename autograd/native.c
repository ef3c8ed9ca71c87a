/* native.c - programs as machine code: written as C, built by the system's compiler, loaded
 *
 * What was built is kept in a folder of the user's own, under a name made of the text and the
 * compiler's arguments, and beside it the text itself, which is compared before the code is loaded.
 * Files appear there by being renamed, so that several processes may build the same at once. The
 * compiler is started directly; no shell reads anything. */
#if defined(__unix__) || defined(__APPLE__)
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#define HAVE_PROCESSES  1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#define AD_PLAIN
#include "loops_c.h"
#include "plan_c.h"
#include "routine.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_identifier(const char *name)
{
    if (!name || !*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *name))
            return false;
    return true;
}

/* Programs do not change, but for what is said of them. */
static char *note_of(const ad_program *p) { return ((ad_program *)(uintptr_t)p)->note; }

ad_status ad_program_emit_c(const ad_program *p, const char *name, FILE *to)
{
    const char *lacking = NULL;
    if (!p || !to)
        return AD_NULL;
    if (!is_identifier(name))
        return AD_BAD_ARGUMENT;
    const ad_status s = p->routine ? loops_write_c(&p->routine->loops, name, to, &lacking)
                                   : plan_write_c(p, name, to, &lacking);
    if (s == AD_NOT_RECORDED)
        snprintf(note_of(p), sizeof p->note, "%s has no stand-alone C", lacking);
    return s;
}

const char *ad_program_note(const ad_program *p) { return p ? p->note : ""; }

#ifdef HAVE_PROCESSES

enum { MOST_LINES = 5000, PATH = 4096, SECONDS = 60 };

typedef struct building {
    ad_program *p;
    const char *compiler;
    const char *arguments[16];
    char *text;
    size_t size;
    char folder[PATH - 128], code[PATH],
        library[PATH]; /* code: the text, kept beside the library */
} building;

static ad_status refuse(building *b, const char *format, const char *what)
{
    snprintf(b->p->note, sizeof b->p->note, format, what);
    return AD_UNAVAILABLE;
}

/* ---- the folder ---- */

static bool is_ours(const struct stat *s)
{
    return s->st_uid == geteuid() && (s->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* makes the folders on the way to the last as well */
static bool make_folder(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made)
            return false;
    }
    struct stat s;
    return (mkdir(path, 0700) == 0 || errno == EEXIST) && lstat(path, &s) == 0 &&
           S_ISDIR(s.st_mode) && is_ours(&s);
}

static ad_status find_folder(building *b, const ad_native_config *config)
{
    const char *given = config && config->folder ? config->folder : getenv("TAPEGRAD_CACHE"),
               *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = given && *given          ? snprintf(b->folder, sizeof b->folder, "%s", given)
            : cache && *cache == '/' ? snprintf(b->folder, sizeof b->folder, "%s/tapegrad", cache)
            : home && *home == '/'
                ? snprintf(b->folder, sizeof b->folder, "%s/.cache/tapegrad", home)
                : 0;
    if (n <= 0 || (size_t)n >= sizeof b->folder)
        return refuse(b, "no folder for machine code: set TAPEGRAD_CACHE%s", "");
    if (!make_folder(b->folder))
        return refuse(b, "%.150s is no folder that only its owner, who runs this, may write",
                      b->folder);
    return AD_OK;
}

/* ---- names ---- */

static uint64_t hash_bytes(uint64_t h, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ h >> 31;
}

static void choose_arguments(building *b)
{
    static const char *const common[] = {"-std=c11",
                                         "-O3",
                                         "-fPIC",
                                         "-shared",
                                         "-w",
                                         "-ffp-contract=off",
                                         "-fno-math-errno",
                                         "-fno-trapping-math"};
    size_t n = 0;
    for (; n < sizeof common / sizeof *common; n++)
        b->arguments[n] = common[n];
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f"))
        b->arguments[n++] = "-mavx512f";
    else if (__builtin_cpu_supports("avx2"))
        b->arguments[n++] = "-mavx2";
#endif
    b->arguments[n] = NULL;
}

static void name_files(building *b)
{
    uint64_t h = hash_bytes(0xcbf29ce484222325u, b->text, b->size),
             g = hash_bytes(h, AD_VERSION, sizeof AD_VERSION);
    g = hash_bytes(g * 31, b->compiler, strlen(b->compiler));
    for (size_t i = 0; b->arguments[i]; i++)
        g = hash_bytes(g, b->arguments[i], strlen(b->arguments[i]));
    snprintf(b->code, sizeof b->code, "%s/%016llx%016llx.c", b->folder, (unsigned long long)h,
             (unsigned long long)g);
    snprintf(b->library, sizeof b->library, "%s/%016llx%016llx.so", b->folder,
             (unsigned long long)h, (unsigned long long)g);
}

/* ---- building ---- */

static bool write_all(int file, const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(file, text, n);
        if (done < 0 && errno != EINTR)
            return false;
        text += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* Waits for a process to end well; one that takes too long is stopped. Its status is not to be had
 * where the program ignores SIGCHLD: then what it made decides. */
static bool ended_well(pid_t process)
{
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < SECONDS * 1000; i++) {
        int status;
        const pid_t ended = waitpid(process, &status, WNOHANG);
        if (ended == process)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (ended < 0 && errno != EINTR)
            return errno == ECHILD;
        nanosleep(&pause, NULL);
    }
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    return false;
}

static bool run_compiler(const building *b, const char *source, const char *library)
{
    extern char **environ;
    const char *arguments[24] = {b->compiler};
    size_t n = 1;
    for (size_t i = 0; b->arguments[i]; i++)
        arguments[n++] = b->arguments[i];
    const char *const rest[] = {"-o", library, source, "-lm"};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        arguments[n++] = rest[i];
    posix_spawn_file_actions_t files;
    pid_t process;
    if (posix_spawn_file_actions_init(&files))
        return false;
    bool ok =
        !posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0) &&
        !posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0) &&
        !posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0) &&
        !posix_spawnp(&process, b->compiler, &files, NULL, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    return ok && ended_well(process);
}

static ad_status build(building *b)
{
    char source[PATH], library[PATH];
    snprintf(source, sizeof source, "%s/new-XXXXXX.c", b->folder);
    const int file = mkstemps(source, 2);
    if (file < 0)
        return refuse(b, "%.150s cannot be written", b->folder);
    snprintf(library, sizeof library, "%.*s.so", (int)(strlen(source) - 2), source);
    bool ok = write_all(file, b->text, b->size);
    ok = close(file) == 0 && ok;
    if (!ok) {
        unlink(source);
        return refuse(b, "%.150s cannot be written", b->folder);
    }
    ok = run_compiler(b, source, library) && access(library, R_OK) == 0 &&
         rename(source, b->code) == 0 && rename(library, b->library) == 0;
    if (ok)
        return AD_OK;
    unlink(source);
    unlink(library);
    return refuse(b, "the C compiler '%.100s' is missing or failed", b->compiler);
}

/* ---- loading ---- */

/* Is what lies there what would be built now? */
static bool is_built(const building *b)
{
    struct stat s;
    if (lstat(b->library, &s) || !S_ISREG(s.st_mode) || !is_ours(&s) || lstat(b->code, &s) ||
        !S_ISREG(s.st_mode) || !is_ours(&s) || (size_t)s.st_size != b->size)
        return false;
    FILE *from = fopen(b->code, "rb");
    bool same = from;
    for (size_t i = 0; same && i < b->size; i++)
        same = getc(from) == (unsigned char)b->text[i];
    if (from)
        fclose(from);
    return same;
}

static ad_status load(building *b)
{
    void *library = dlopen(b->library, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "tapegrad_run") : NULL;
    if (!symbol) {
        if (library)
            dlclose(library);
        return refuse(b, "%.150s cannot be loaded", b->library);
    }
    memcpy(&b->p->routine->native, &symbol,
           sizeof symbol); /* ISO C has no cast from object to function */
    b->p->routine->library = library;
    b->p->note[0] = 0;
    return AD_OK;
}

static ad_status write_text(building *b)
{
    const char *lacking = NULL;
    FILE *to = open_memstream(&b->text, &b->size);
    const ad_status s =
        to ? loops_write_c(&b->p->routine->loops, "tapegrad_run", to, &lacking) : AD_NO_MEMORY;
    if (to && fclose(to) && !s)
        return AD_NO_MEMORY;
    return s == AD_NOT_RECORDED ? refuse(b, "%s has no stand-alone C", lacking) : s;
}

ad_status ad_program_native(ad_program *p, const ad_native_config *config)
{
    if (!p)
        return AD_NULL;
    if (!p->routine) {
        snprintf(p->note, sizeof p->note, "a program with tensors keeps to the library's kernels");
        return AD_UNAVAILABLE;
    }
    if (p->routine->native)
        return AD_OK;
    const char *chosen = config && config->compiler ? config->compiler : getenv("TAPEGRAD_CC");
    building b = {.p = p, .compiler = chosen && *chosen ? chosen : "cc"};
    if (p->routine->loops.n_lines > MOST_LINES)
        return refuse(&b, "the program has too many lines to be built in a short time%s", "");
    choose_arguments(&b);
    ad_status s = write_text(&b);
    if (!s)
        s = find_folder(&b, config);
    if (!s)
        name_files(&b);
    if (!s && !is_built(&b))
        s = build(&b);
    if (!s)
        s = load(&b);
    free(b.text);
    return s;
}

void native_free(routine *r)
{
    if (r->library)
        dlclose(r->library);
}

#else

ad_status ad_program_native(ad_program *p, const ad_native_config *config)
{
    (void)config;
    if (p)
        snprintf(p->note, sizeof p->note, "no machine code on this platform");
    return p ? AD_UNAVAILABLE : AD_NULL;
}

void native_free(routine *r) { (void)r; }

#endif
