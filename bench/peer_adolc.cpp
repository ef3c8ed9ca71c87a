// peer_adolc.cpp - the scalar cases on ADOL-C, behind the interface of scalar.h
//
// Recording is with buffers large enough for the trace to stay in memory (by default ADOL-C writes
// long ones to files), and one reverse sweep follows without another forward one.
#include <adolc/adolc.h>

#include <cstddef>
#include <vector>

#include "cases.hpp"

namespace
{
struct peer {
    const problem &p;
    short tag;
    std::vector<adouble> x;
    double seed = 1;

    peer(const problem &of, short number) : p(of), tag(number), x(of.n) {}
};

void record(peer &s, const double *x, double *value, int keep)
{
    const problem &p = s.p;
    const unsigned operations = static_cast<unsigned>(p.operations), n = static_cast<unsigned>(p.n);
    const unsigned room = 2 * operations + 4 * n + 1024;
    trace_on(s.tag, keep, room, 3 * room, room, room);
    for (std::size_t i = 0; i < p.n; i++)
        s.x[i] <<= x[i];
    adouble y = cases::evaluate(p, s.x.data());
    y >>= *value;
    trace_off();
}

void *start(const problem *p) { return new peer(*p, 1); }

void recorded(void *state, const double *x, double *out)
{
    peer &s = *static_cast<peer *>(state);
    record(s, x, out, 1);
    fos_reverse(s.tag, 1, static_cast<int>(s.p.n), &s.seed, out + 1);
}

void *start_replay(const problem *p)
{
    peer *s = new peer(*p, 2);
    double value;
    record(*s, p->x, &value, 0);
    return s;
}

void replayed(void *state, const double *x, double *out)
{
    peer &s = *static_cast<peer *>(state);
    zos_forward(s.tag, 1, static_cast<int>(s.p.n), 1, x, out);
    fos_reverse(s.tag, 1, static_cast<int>(s.p.n), &s.seed, out + 1);
}

double bytes(void *state)
{
    std::size_t stats[STAT_SIZE];
    tapestats(static_cast<peer *>(state)->tag, stats);
    return static_cast<double>(stats[NUM_OPERATIONS] * sizeof(unsigned char) +
                               stats[NUM_LOCATIONS] * sizeof(locint) +
                               (stats[NUM_VALUES] + stats[TAY_STACK_SIZE]) * sizeof(double));
}

void finish(void *state)
{
    peer *s = static_cast<peer *>(state);
    removeTape(s->tag, ADOLC_REMOVE_COMPLETELY);
    delete s;
}

const way recorded_way = {"ADOL-C", start, recorded, bytes, finish};
const way replayed_way = {"ADOL-C, replayed", start_replay, replayed, bytes, finish};
} // namespace

extern "C" const way *peer_adolc_recorded(void) { return &recorded_way; }

extern "C" const way *peer_adolc_replayed(void) { return &replayed_way; }
