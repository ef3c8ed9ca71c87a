/* child.c - a helper process, asked a line at a time */
#define _POSIX_C_SOURCE 200809L
#include "child.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

bool child_start(child *c, char *const argv[])
{
    int down[2], up[2];
    *c = (child){.pid = -1};
    if (pipe(down))
        return false;
    if (pipe(up)) {
        close(down[0]);
        close(down[1]);
        return false;
    }
    fcntl(down[1], F_SETFD, FD_CLOEXEC); /* or the next child would hold this one's input open */
    fcntl(up[0], F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN); /* a peer that dies is reported, not followed */
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO);
    const int ends[4] = {down[0], down[1], up[0], up[1]};
    for (int i = 0; i < 4; i++)
        if (ends[i] > STDERR_FILENO)
            posix_spawn_file_actions_addclose(&actions, ends[i]);
    bool started = posix_spawnp(&c->pid, argv[0], &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(down[0]);
    close(up[1]);
    c->to = fdopen(down[1], "w");
    c->from = fdopen(up[0], "r");
    if (!started)
        c->pid = -1;
    if (!started || !c->to || !c->from) {
        child_stop(c);
        return false;
    }
    return true;
}

bool child_read(child *c)
{
    c->line[0] = 0;
    if (!c->from)
        return false;
    /* One line at a time: nothing waits in the buffer. What hangs is ended, not waited for. */
    struct pollfd ready = {.fd = fileno(c->from), .events = POLLIN};
    if (poll(&ready, 1, 1000 * CHILD_PATIENCE) == 0) {
        kill(c->pid, SIGKILL);
        fclose(c->from);
        c->from = NULL;
        return false;
    }
    if (!fgets(c->line, sizeof c->line, c->from))
        return false;
    c->line[strcspn(c->line, "\n")] = 0;
    return true;
}

bool child_ask(child *c, const char *format, ...)
{
    if (!c->to)
        return false;
    va_list list;
    va_start(list, format);
    bool fine =
        vfprintf(c->to, format, list) >= 0 && fputc('\n', c->to) != EOF && fflush(c->to) == 0;
    va_end(list);
    return child_read(c) && fine;
}

double child_number(child *c, const char *question)
{
    char *end;
    if (!child_ask(c, "%s", question))
        return NAN;
    double value = strtod(c->line, &end);
    return end == c->line ? NAN : value;
}

void child_stop(child *c)
{
    if (c->to)
        fclose(c->to);
    if (c->from)
        fclose(c->from);
    if (c->pid > 0)
        waitpid(c->pid, NULL, 0);
    *c = (child){.pid = -1};
}
