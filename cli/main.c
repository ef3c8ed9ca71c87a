/* main.c - tapegrad, the command: the chain rule at work on an expression */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ad.h>

#include "command.h"

static const command *const commands[] = {&trace_command,  &check_command,  &grad_command,
                                          &plot_command,   &lesson_command, &train_command,
                                          &predict_command};
enum { COMMANDS = sizeof commands / sizeof *commands };

int usage_error(const char *format, ...)
{
    va_list arguments;
    fputs("tapegrad: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return STATUS_USAGE;
}

static void help(FILE *to)
{
    fputs("Traces, checks and draws derivatives.\n\n"
          "usage: tapegrad COMMAND [ARGUMENT...]\n\n",
          to);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs(
        "\n`tapegrad COMMAND --help` says more. Exit status: 0 fine, 1 a check failed, 2 usage or\n"
        "an expression that cannot be read, 3 a value or derivative that is not finite.\n",
        to);
}

/* ---- options ---- */

static const option *find_option(int n, const option *options, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static bool unknown_option(const command *c, int n, const option *options, const char *name)
{
    const char *best = NULL;
    for (int i = 0; i < n; i++)
        ad_suggest(name, options[i].name, &best);
    if (best)
        usage_error("%s: unknown option '%s'; did you mean '%s'?", c->name, name, best);
    else
        usage_error("%s: unknown option '%s'; see `tapegrad %s --help`", c->name, name, c->name);
    return false;
}

/* An expression may begin with a minus: only what looks like a word is an option. */
static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] == '-' && text[2] >= 'a' && text[2] <= 'z';
}

bool read_options(const command *c, int argc, char **argv, int n, const option *options, int most,
                  const char **plain)
{
    int given = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
            continue;
        }
        if (ended || !is_option(argv[i])) {
            if (given == most)
                return usage_error("%s: '%s' is one argument too many", c->name, argv[i]), false;
            plain[given++] = argv[i];
            continue;
        }
        char name[32] = "";
        const char *equals = strchr(argv[i], '=');
        const size_t length = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        memcpy(name, argv[i], length < sizeof name ? length : sizeof name - 1);
        const option *o = find_option(n, options, name);
        if (!o)
            return unknown_option(c, n, options, name);
        if (!o->value && equals)
            return usage_error("%s: %s takes no value", c->name, name), false;
        if (!o->value)
            *o->flag = true;
        else if (equals)
            *o->value = equals + 1;
        else if (i + 1 < argc)
            *o->value = argv[++i];
        else
            return usage_error("%s: %s wants a value", c->name, name), false;
    }
    return true;
}

/* ---- commands ---- */

static int unknown_command(const char *name)
{
    const char *best = NULL;
    for (int i = 0; i < COMMANDS; i++)
        ad_suggest(name, commands[i]->name, &best);
    return best ? usage_error("unknown command '%s'; did you mean '%s'?", name, best)
                : usage_error("unknown command '%s'; see `tapegrad --help`", name);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

/* What could not be written, as on a full disk, is a failure. */
static int finished(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fputs("tapegrad: the output could not be written\n", stderr);
    return STATUS_FAILED;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr), STATUS_USAGE;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return help(stdout), finished(STATUS_FINE);
    if (strcmp(argv[1], "--version") == 0)
        return printf("tapegrad %s\n", ad_version()), finished(STATUS_FINE);
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, argv[1]) != 0)
            continue;
        if (asks_for_help(argc - 1, argv + 1))
            return fputs(commands[i]->help, stdout), finished(STATUS_FINE);
        return finished(commands[i]->run(argc - 1, argv + 1));
    }
    return unknown_command(argv[1]);
}
