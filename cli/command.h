/* command.h - the commands of tapegrad, and what they share: options, output, exit status */
#ifndef COMMAND_H
#define COMMAND_H
#include <stdbool.h>
#include <stdio.h>

/* Exit status: all is well; a check failed; wrong usage or an expression that cannot be read; a
 * value or derivative that is not finite or not defined. */
enum { STATUS_FINE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_NOT_FINITE = 3 };

typedef struct command {
    const char *name;
    const char *summary;               /* a line of `tapegrad --help` */
    const char *help;                  /* all of `tapegrad NAME --help`: usage, options, examples */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} command;

extern const command check_command, grad_command, lesson_command, plot_command, predict_command,
    trace_command, train_command;

/* One option of a command: "--at POINT" or a flag. */
typedef struct option {
    const char *name;   /* "--at" */
    const char **value; /* where its value goes; NULL: a flag */
    bool *flag;
} option;

/* Reads options in any order, and `most` arguments without dashes into `plain` (NULL where fewer
 * were given); "--" ends options. false and a message on stderr, which says what would have been
 * right. */
bool read_options(const command *c, int argc, char **argv, int n, const option *options, int most,
                  const char **plain);
/* "tapegrad: what is wrong" on stderr; gives STATUS_USAGE. */
int usage_error(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

#endif
