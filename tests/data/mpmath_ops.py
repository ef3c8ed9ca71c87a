#!/usr/bin/env python3
"""Makes mpmath_ops.csv: value and partials of every row of ops.def, from mpmath's arithmetic.

    python3 tests/data/mpmath_ops.py > tests/data/mpmath_ops.csv

Columns: op,a,b,c,value,da,db,dc. Numbers are the shortest decimals that read back as the same
double, an argument that the op lacks is empty, a partial that does not exist is 0. An op is first
met at points drawn from its test intervals, then at extreme ones. A partial is a central
difference of the function below in hundreds of digits; no derivative is written here. Points at
or near a kink, and those where the value or a partial leaves the range of double, are left out;
but where an argument is infinite, all are those far beyond that range, as double rounds them.
"""
from mpmath import *
import os, random, re  # after mpmath, which has an re of its own

sign_ = lambda a: mpf((a > 0) - (a < 0))
sigmoid = lambda a: 1 / (1 + exp(-a))
trunc = lambda a: floor(a) if a > 0 else ceil(a)
normcdf = lambda a: erfc(-a / sqrt(mpf(2))) / 2
mask = lambda test: mpf(1) if test else mpf(0)

OPS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "mulz": lambda a, b: a * b,
    "divz": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": lambda a: fabs(a),
    "sign": sign_,
    "square": lambda a: a * a,
    "recip": lambda a: 1 / a,
    "sqrt": lambda a: sqrt(a),
    "rsqrt": lambda a: 1 / sqrt(a),
    "cbrt": lambda a: sign_(a) * cbrt(fabs(a)),
    "exp": lambda a: exp(a),
    "exp2": lambda a: power(2, a),
    "expm1": lambda a: exp(a) - 1,
    "log": lambda a: log(a),
    "log2": lambda a: log(a) / log(mpf(2)),
    "log10": lambda a: log(a) / log(mpf(10)),
    "log1p": lambda a: log(1 + a),
    "log1mexp": lambda a: log(1 - exp(a)),
    "logaddexp": lambda a, b: log(exp(a) + exp(b)),
    "xlogy": lambda a, b: a * log(b),
    "pow": lambda a, b: power(a, b),
    "powi": lambda a, b: power(a, int(b)),
    "pow_slope": lambda a, b: b * power(a, b - 1),
    "hypot": lambda a, b: sqrt(a * a + b * b),
    "direction": lambda a, b, c: a / c,
    "sin": lambda a: sin(a),
    "cos": lambda a: cos(a),
    "tan": lambda a: tan(a),
    "asin": lambda a: asin(a),
    "acos": lambda a: acos(a),
    "atan": lambda a: atan(a),
    "atan2": lambda a, b: atan2(a, b),
    "sinh": lambda a: sinh(a),
    "cosh": lambda a: cosh(a),
    "tanh": lambda a: tanh(a),
    "sech2": lambda a: 1 / cosh(a) ** 2,
    "asinh": lambda a: asinh(a),
    "acosh": lambda a: acosh(a),
    "atanh": lambda a: atanh(a),
    "erf": lambda a: erf(a),
    "erfc": lambda a: erfc(a),
    "erfinv": lambda a: erfinv(a),
    "lgamma": lambda a: log(fabs(gamma(a))) if a < 1e3 else loggamma(a),
    "digamma": lambda a: psi(0, a),
    "polygamma": lambda a, b: psi(int(a), b),
    "normpdf": lambda a: exp(-a * a / 2) / sqrt(2 * pi),
    "normcdf": normcdf,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda a: log(sigmoid(a)),
    "softplus": lambda a: log(1 + exp(a)),
    "relu": lambda a: a * mask(a > 0),
    "leaky_relu": lambda a, b: a if a > 0 else b * a,
    "elu": lambda a, b: a if a > 0 else b * (exp(a) - 1),
    "silu": lambda a: a * sigmoid(a),
    "gelu": lambda a: a * normcdf(a),
    "gelu_tanh": lambda a: a / 2 * (1 + tanh(sqrt(2 / pi) * (a + mpf("0.044715") * a ** 3))),
    "bce_logits": lambda a, b: log(1 + exp(a)) - a * b,
    "bce": lambda a, b: -b * log(a) - (1 - b) * log(1 - a) if 1e-10 < a < 1 - 1e-10 else nan,
    "floor": lambda a: floor(a),
    "ceil": lambda a: ceil(a),
    "trunc": lambda a: trunc(a),
    "round": lambda a: nint(a),
    "fmod": lambda a, b: a - b * trunc(a / b),
    "remainder": lambda a, b: a - b * nint(a / b),
    "copysign": lambda a, b: fabs(a) * (1 if b >= 0 else -1),
    "min": lambda a, b: a if a < b else b,
    "max": lambda a, b: b if a < b else a,
    "fmin": lambda a, b: a if a < b else b,
    "fmax": lambda a, b: b if a < b else a,
    "less": lambda a, b: mask(a < b),
    "less_equal": lambda a, b: mask(a <= b),
    "greater": lambda a, b: mask(a > b),
    "greater_equal": lambda a, b: mask(a >= b),
    "equal": lambda a, b: mask(a == b),
    "not_equal": lambda a, b: mask(a != b),
    "where": lambda a, b, c: b if a != 0 else c,
    "clamp": lambda a, b, c: b if a < b else c if a > c else a,
    "fma": lambda a, b, c: a * b + c,
}
NO_PARTIAL = {("powi", 1), ("polygamma", 0), ("where", 0), ("direction", 1)}
ONE = (40.25, -40.25, 700.25, -700.25, 17.0, -6.5, 1e-300, -1e-10, 1e200, 1 - 1e-12, 1 + 1e-12)
TWO = ((40.25, -40.25), (-700.25, 1.5), (700.25, 699.75), (1e-300, 0.25), (1e200, 1e199),
       (-1e-10, 1e-12), (17.0, 1.0), (-17.0, 0.0), (20.5, 0.375))
THREE = ((40.25, -40.25, 7.5), (-700.25, 1.5, 2.5), (0.0, 1e200, 3.5), (1e-10, -1e-12, 1e200))
FAR = ((inf, 2.5), (-inf, -1e300), (inf, 0.0), (-2.5, inf), (1e300, -inf), (0.0, inf))
OWN = {  # extreme points that suit only one row
    "powi": ((-1.5, -3.0), (0.0, 1.0), (1e-100, 3.0), (-1.25, 101.0), (2.5, 0.0),
             (2.0 ** -53 - 1, 2.0 ** 53 - 1), (2.0 ** -53 - 1, 2.0 ** 53), (2.0 ** -53 - 1, 2.0 ** 53 + 2),
             (-1 - 2.0 ** -52, 2.0 ** 54), (-1 - 2.0 ** -52, -2.0 ** 53)),
    "hypot": FAR, "atan2": FAR + ((inf, inf), (-inf, inf), (inf, -inf)),
    "copysign": FAR + ((inf, -inf), (-inf, -inf)),
    "polygamma": ((0.0, 0.75), (1.0, 1e-10), (1.0, 40.25), (3.0, 1e6), (20.0, 0.5), (20.0, 30.5),
                  (5.0, 7.25), (1.0, -0.25), (2.0, -3.375), (20.0, -1.25)),
    "lgamma": (1.0009765625, 1.9990234375, -0.25, -2.75),
    "digamma": (1.4616321449683622, -0.25, -2.75),
    "bce": ((1e-5, 0.25), (0.999, 0.75), (2e-6, 1.0), (0.99999, 0.0)),
    "clamp": ((5.5, -1.5, 1.25),),
}


def partial(f, x, i):
    """The derivative of f in argument i, or None at a kink, where the one-sided slopes differ."""
    h = mpf(10) ** (-60 if f is OPS["powi"] else -30) * (min(1, fabs(x[i])) or 1)  # powers are steep
    at = lambda s: f(*(v + s * h if j == i else v for j, v in enumerate(x)))
    down, middle, up = at(-1), at(0), at(1)
    left, right, centre = (middle - down) / h, (up - middle) / h, (up - down) / (2 * h)
    return centre if fabs(left - right) <= mpf(10) ** -15 * fabs(centre) else None


def line(name, x, digits):
    """One line of the file, or None where the point does not suit it."""
    far = any(isinf(v) for v in x)
    mp.dps, f, given = 6000 if far else digits, OPS[name], x
    x = [mpf(10) ** 2000 * (1 if v > 0 else -1) if isinf(v) else mpf(v) for v in x]
    try:
        y = f(*x)
        d = [mpf(0) if (name, i) in NO_PARTIAL else partial(f, x, i) for i in range(len(x))]
        for v in [y] + d:
            if v is None or isinstance(v, mpc) or not (v == 0 or far or 1e-307 < fabs(v) < 1e308):
                return None
    except (ArithmeticError, ValueError, TypeError, NotImplementedError):
        return None
    pad, text = [""] * (3 - len(x)), lambda numbers: [repr(float(v)) for v in numbers]
    return ",".join([name] + text(given) + pad + text([y] + d) + pad)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    table = open(os.path.join(here, "..", "..", "autograd", "ops.def")).read()
    print("op,a,b,c,value,da,db,dc")
    for arity, name, rest in re.findall(r"^OP([123])\((\w+),((?: *IN\([^)]*\),)+)", table, re.M):
        boxes = [tuple(map(float, box)) for box in re.findall(r"IN\(([^,]+),([^)]+)\)", rest)]
        draw = random.Random(name)
        points = [[round(draw.uniform(*box), 4) for box in boxes] for _ in range(12)]
        extreme = OWN.get(name, ())
        if name not in ("powi", "polygamma"):
            extreme = (ONE, TWO, THREE)[int(arity) - 1] + extreme
        extreme = [x if isinstance(x, tuple) else (x,) for x in extreme]
        lines = [line(name, x, 100) for x in points] + [line(name, x, 700) for x in extreme]
        print("\n".join(dict.fromkeys(filter(None, lines))))


if __name__ == "__main__":
    main()
