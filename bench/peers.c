/* peers.c - the peers that live in Python, started, named and stopped */
#define _XOPEN_SOURCE 700
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "machine.h"

#ifndef BENCH_SOURCE_DIRECTORY
#define BENCH_SOURCE_DIRECTORY "bench"
#endif

static const struct {
    const char *name, *script;
} peers[PEER_COUNT] = {
    [PEER_TORCH] = {"PyTorch", "peer_torch.py"},
    [PEER_JAX] = {"JAX", "peer_jax.py"},
    [PEER_CASADI] = {"CasADi", "peer_casadi.py"},
    [PEER_TORCH_COMPILED] = {"PyTorch", "peer_torch.py"},
    [PEER_TORCH_TWO] = {"PyTorch", "peer_torch.py"},
};

/* The processes: there is one of each, and many files ask them. */
static struct {
    child child[PEER_COUNT];
    char name[PEER_COUNT][64];
    bool started[PEER_COUNT], present[PEER_COUNT];
    char folder[96];
    child remover; /* of the folder */
} running;

/* The k-th of the interpreters; Debian's Python, the last, is the one that sees Debian's PyTorch.
 */
static bool interpreter(int k, char to[4096])
{
    const char *chosen = getenv("TAPEGRAD_BENCH_PYTHON"), *rest = chosen ? chosen : "";
    for (; *rest; rest += strcspn(rest, ":") + (rest[strcspn(rest, ":")] == ':'))
        if (k-- == 0) {
            snprintf(to, 4096, "%.*s", (int)strcspn(rest, ":"), rest);
            return true;
        }
    snprintf(to, 4096, "/usr/bin/python3");
    return k == 0;
}

static bool start_peer(enum peer peer, int k)
{
    char python[4096], script[4200];
    if (!interpreter(k, python))
        return false;
    snprintf(script, sizeof script, "%s/%s", BENCH_SOURCE_DIRECTORY, peers[peer].script);
    child_start(&running.child[peer], (char *[]){python, script, NULL});
    return true;
}

/* Reads "ready NAME", or tries the next interpreter. */
static void await_peer(enum peer peer)
{
    child *c = &running.child[peer];
    for (int k = 1;; k++) {
        if (c->pid > 0 && child_read(c) && !strncmp(c->line, "ready ", 6)) {
            memccpy(running.name[peer], c->line + 6, 0, sizeof running.name[peer] - 1);
            running.present[peer] = true;
            return;
        }
        child_stop(c);
        if (!start_peer(peer, k))
            return;
    }
}

static void start_peers(int from, int end)
{
    progress("starting the peers in Python");
    pin_to(0);
    for (int p = from; p < end; p++) {
        running.started[p] = true;
        start_peer((enum peer)p, 0);
    }
    for (int p = from; p < end; p++)
        await_peer((enum peer)p);
    pin_to(1);
    progress(NULL);
}

child *peer_child(enum peer peer)
{
    if (!running.started[peer])
        start_peers(peer < PEER_TORCH_COMPILED ? 0 : (int)peer,
                    peer < PEER_TORCH_COMPILED ? PEER_TORCH_COMPILED : (int)peer + 1);
    return running.present[peer] ? &running.child[peer] : NULL;
}

const char *peer_name(enum peer peer)
{
    return running.present[peer] ? running.name[peer] : peers[peer].name;
}

/* A process that removes the folder when its input ends: when we stop it, and also when we have
 * been stopped ourselves, by whatever signal. What others still write there gets a second. */
static bool start_remover(void)
{
    return child_start(&running.remover,
                       (char *[]){"sh", "-c",
                                  "trap '' HUP INT TERM; echo; read -r _; "
                                  "rm -rf \"$0\" 2>/dev/null || { sleep 1; rm -rf \"$0\"; }",
                                  running.folder, NULL}) &&
           child_read(&running.remover);
}

const char *scratch_folder(void)
{
    static const char name[] = "/tapegrad-bench-XXXXXX";
    const char *chosen = getenv("TMPDIR");
    const size_t most = sizeof running.folder - sizeof name;
    if (!running.folder[0]) {
        snprintf(running.folder, sizeof running.folder, "%s%s",
                 chosen && *chosen && strlen(chosen) <= most ? chosen : "/tmp", name);
        if (!mkdtemp(running.folder)) {
            running.folder[0] = 0;
        } else if (!start_remover()) {
            rmdir(running.folder);
            running.folder[0] = 0;
        } else {
            setenv("TAPEGRAD_CACHE", running.folder, 1); /* our machine code goes there, too */
        }
    }
    return running.folder[0] ? running.folder : NULL;
}

void peers_stop(void)
{
    for (int p = 0; p < PEER_COUNT; p++)
        if (running.present[p])
            child_stop(&running.child[p]);
    if (running.folder[0]) {
        child_stop(&running.remover);
        if (access(running.folder, F_OK) == 0)
            complain("%s stays", running.folder);
    }
    memset(&running, 0, sizeof running);
}
