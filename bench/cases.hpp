// cases.hpp - the scalar cases as templates, for peers that overload the operators of C++
#ifndef TAPEGRAD_BENCH_CASES_HPP
#define TAPEGRAD_BENCH_CASES_HPP

#include <cmath>
#include <cstddef>

#include "scalar.h"

namespace cases
{
using std::sin;
using std::tanh;

template <class T> T chain(const T *x, std::size_t size)
{
    T q = x[0], p = x[1];
    const T &k = x[2], &m = x[3];
    for (std::size_t i = 0; i < size; i++) {
        p = p - k * sin(q);
        q = q + p / m;
    }
    return q;
}

template <class T> T rotation(const T *x, std::size_t size)
{
    T c = x[0], s = x[1];
    const T &a = x[2], &b = x[3], &d = x[4];
    for (std::size_t i = 0; i < size; i++) {
        T turned = c * a + s * d;
        s = c * b + s * a;
        c = turned;
    }
    return c;
}

template <class T> T product(const T *x, std::size_t size)
{
    T y = x[0];
    for (std::size_t i = 1; i < size; i++)
        y = y * x[i];
    return y;
}

template <class T> T rosenbrock(const T *x, std::size_t size)
{
    T y = 0;
    for (std::size_t i = 0; i + 1 < size; i++) {
        T a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        y = y + (100.0 * (a * a) + b * b);
    }
    return y;
}

template <class T> T neuron(const T *w, const T *a, const T &b)
{
    T z = b;
    for (int i = 0; i < MLP_WIDTH; i++)
        z = z + w[i] * a[i];
    return z;
}

template <class T> T mlp(const T *x)
{
    const T *a = x, *w = x + MLP_WIDTH;
    T hidden[2][MLP_WIDTH];
    for (int layer = 0; layer < 2; layer++) {
        const T *b = w + MLP_WIDTH * MLP_WIDTH;
        for (int j = 0; j < MLP_WIDTH; j++)
            hidden[layer][j] = tanh(neuron(w + j * MLP_WIDTH, a, b[j]));
        a = hidden[layer];
        w = b + MLP_WIDTH;
    }
    return neuron(w, a, w[MLP_WIDTH]);
}

template <class T> T evaluate(const problem &p, const T *x)
{
    switch (p.id) {
    case CASE_CHAIN:
        return chain(x, p.size);
    case CASE_ROTATION:
        return rotation(x, p.size);
    case CASE_PRODUCT:
        return product(x, p.size);
    case CASE_ROSENBROCK:
        return rosenbrock(x, p.size);
    case CASE_MLP:
        return mlp(x);
    default:
        return T(x[0] * x[1] + sin(x[0]));
    }
}
} // namespace cases

#endif
