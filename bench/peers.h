/* peers.h - the peers that live in Python: PyTorch, JAX, CasADi
 *
 * bench/peer_<module>.py is started once and asked a line at a time; for each case it forks, so
 * that a case finds a process that has imported the library and nothing else. TAPEGRAD_BENCH_PYTHON
 * names the interpreters to try, separated by colons. */
#ifndef TAPEGRAD_BENCH_PEERS_H
#define TAPEGRAD_BENCH_PEERS_H

#include "child.h"

/* One process answers one case at a time; PyTorch in several manners needs several. */
enum peer { PEER_TORCH, PEER_JAX, PEER_CASADI, PEER_TORCH_COMPILED, PEER_TORCH_TWO, PEER_COUNT };

/* NULL where no interpreter has it. The first three are started
 * together at the first call. */
child *peer_child(enum peer peer);
/* "PyTorch 2.1.0"; "PyTorch" where it is absent */
const char *peer_name(enum peer peer);
void peers_stop(void);

/* A folder for files that pass between processes; NULL where none can be made. It goes when we end,
 * however that is. */
const char *scratch_folder(void);

#endif
