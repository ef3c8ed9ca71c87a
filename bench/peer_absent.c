/* peer_absent.c - stands in for the peers in C++ that this machine does not have */
#include "scalar.h"

#ifndef HAVE_ADOLC
const way *peer_adolc_recorded(void) { return NULL; }
const way *peer_adolc_replayed(void) { return NULL; }
#endif
#ifndef HAVE_CODIPACK
const way *peer_codipack(void) { return NULL; }
#endif
#ifndef HAVE_ADEPT
const way *peer_adept(void) { return NULL; }
#endif
