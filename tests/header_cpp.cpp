// header_cpp.cpp - the library from C++17: plain functions, with overloads that take numbers for
// variables
#include <cmath>
#include <cstdio>
#include <tapegrad/ad.h>
#include <tapegrad/dual.h>

namespace
{

int number, failures;

void check(const char *name, double got, double want)
{
    const bool good = std::fabs(got - want) <= 1e-14 * std::fabs(want);
    std::printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, name);
    if (!good)
        std::fprintf(stderr, "%s: got %.17g, want %.17g\n", name, got, want);
    failures += !good;
}

ad_var model(const ad_var *x, void *) { return ad_add(ad_mul(x[0], x[1]), ad_sin(x[0])); }

} // namespace

int main()
{
    std::puts("1..9");
    ad_tape *t = ad_tape_new(nullptr);
    const ad_var x[2] = {ad_input(t, 2), ad_input(t, 5)};
    const ad_var y = model(x, nullptr);
    check("the backward pass comes through", ad_backward(y), AD_OK);
    check("the value of x1*x2 + sin(x1)", ad_value(y), 10 + std::sin(2.0));
    check("its derivative along x1", ad_grad(x[0]), 5 + std::cos(2.0));
    check("its derivative along x2", ad_grad(x[1]), 2);
    check("numbers stand for variables", ad_value(ad_fma(x[0], 3, ad_sub(10, x[1]))), 11);
    const double at[2] = {2, 5};
    double g[2] = {0, 0};
    check("the gradient of a function", ad_gradient(model, nullptr, 2, at, g), AD_OK);
    check("is the same", g[0], 5 + std::cos(2.0));
    ad_var (*sine)(ad_var) = ad_sin;
    check("functions have addresses", ad_value(sine(x[0])), std::sin(2.0));
    ad_tape_free(t);
    const ad_dual a = ad_dual_variable(2, 0), b = ad_dual_constant(5);
    check("duals agree", ad_dual_add(ad_dual_mul(a, b), ad_dual_sin(a)).d[0], 5 + std::cos(2.0));
    return failures != 0;
}
