/* peer_absent.c - stands in for peer_adolc.cpp where ADOL-C or a C++ compiler is missing */
#include "scalar.h"

const way *peer_adolc_recorded(void) { return NULL; }
const way *peer_adolc_replayed(void) { return NULL; }
