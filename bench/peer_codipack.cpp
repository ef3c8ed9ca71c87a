// peer_codipack.cpp - the scalar cases on CoDiPack, behind the interface of scalar.h
//
// Its default tape (Jacobian, linear indices), as its tutorials use it.
#include <codi.hpp>

#include <cstddef>
#include <vector>

#include "cases.hpp"

namespace
{
using real = codi::RealReverse;

struct peer {
    const problem &p;
    std::vector<real> x;
};

void *start(const problem *p) { return new peer{*p, std::vector<real>(p->n)}; }

void gradient(void *state, const double *x, double *out)
{
    peer &s = *static_cast<peer *>(state);
    real::Tape &tape = real::getTape();
    tape.reset();
    tape.setActive();
    for (std::size_t i = 0; i < s.p.n; i++) {
        s.x[i] = x[i];
        tape.registerInput(s.x[i]);
    }
    real y = cases::evaluate(s.p, s.x.data());
    tape.registerOutput(y);
    tape.setPassive();
    y.setGradient(1.0);
    tape.evaluate();
    out[0] = y.getValue();
    for (std::size_t i = 0; i < s.p.n; i++)
        out[i + 1] = s.x[i].getGradient();
}

double bytes(void *) { return real::getTape().getTapeValues().getUsedMemorySize(); }

void finish(void *state) { delete static_cast<peer *>(state); }

const way codipack = {"CoDiPack", start, gradient, bytes, finish};
} // namespace

extern "C" const way *peer_codipack(void) { return &codipack; }
