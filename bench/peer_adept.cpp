// peer_adept.cpp - the scalar cases on Adept 2, behind the interface of scalar.h
#include <adept.h>

#include <cstddef>
#include <vector>

#include "cases.hpp"

namespace
{
using adept::adouble;

struct peer {
    const problem &p;
    adept::Stack stack;
    std::vector<adouble> x;

    explicit peer(const problem &of) : p(of), x(of.n) {}
};

void *start(const problem *p) { return new peer(*p); }

void gradient(void *state, const double *x, double *out)
{
    peer &s = *static_cast<peer *>(state);
    adept::set_values(s.x.data(), static_cast<adept::uIndex>(s.p.n), x);
    s.stack.new_recording();
    adouble y = cases::evaluate(s.p, s.x.data());
    y.set_gradient(1.0);
    s.stack.reverse();
    out[0] = y.value();
    adept::get_gradients(s.x.data(), static_cast<adept::uIndex>(s.p.n), out + 1);
}

double bytes(void *state)
{
    return static_cast<double>(static_cast<peer *>(state)->stack.memory());
}

void finish(void *state) { delete static_cast<peer *>(state); }

const way adept_way = {"Adept", start, gradient, bytes, finish};
} // namespace

extern "C" const way *peer_adept(void) { return &adept_way; }
