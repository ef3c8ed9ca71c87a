#!/usr/bin/env python3
"""Makes data/torch_ops.txt: values and gradients of every operation that PyTorch has too.

    /usr/bin/python3 tests/oracle_torch.py > tests/data/torch_ops.txt

Needs PyTorch (Debian: python3-torch), and only to make the file anew. A case is a few lines, each of them a letter
and words, and a blank line behind it:

    o NAME NUMBER...         the operation as test_oracle.c names it, and its axes and the like
    x RANK SHAPE NUMBER...   an argument: a tensor, or of rank 0 a scalar
    i RANK SHAPE NUMBER...   an argument of integers, without gradient
    y RANK SHAPE NUMBER...   the value
    g NUMBER...              a cotangent of the value
    d NUMBER...              the gradient of the first x, then of the next, for that cotangent

Everything is computed in double. Arguments and cotangents are multiples of 1/1024, which are floats too, so one case
serves both dtypes; that PyTorch's own floats agree with its doubles is checked here.
"""
import itertools
import sys

import torch

torch.manual_seed(20240229)
INF = float("inf")


def text(x):
    s = repr(float(x))
    return s[:-2] if s.endswith(".0") else s


def line(letter, t, shape=True):
    words = [letter]
    if shape:
        words += [str(t.dim())] + [str(n) for n in t.shape]
    return " ".join(words + [text(v) for v in t.detach().reshape(-1)])


def draw(shape, low=-2.0, high=2.0, distinct=False):
    """Multiples of 1/1024 between low and high, on request all different."""
    n = 1
    for k in shape:
        n *= k
    first, last = int(low * 1024) + 1, int(high * 1024)
    if distinct:
        whole = torch.randperm(last - first)[:n] + first
    else:
        whole = torch.randint(first, last, (n,))
    return (whole.double() / 1024).reshape(shape)


def gradients(f, arguments, g):
    leaves = [a.detach().clone().requires_grad_(a.is_floating_point()) for a in arguments]
    y = f(*leaves)
    if not y.requires_grad:
        return y, [torch.zeros_like(a) for a in leaves if a.is_floating_point()]
    wanted = [a for a in leaves if a.is_floating_point()]
    d = torch.autograd.grad(y, wanted, g(y), allow_unused=True)
    return y, [torch.zeros_like(a) if v is None else v for a, v in zip(wanted, d)]


def check_float(name, f, arguments, g, y, d):
    narrow = [a.float() if a.is_floating_point() else a for a in arguments]
    y32, d32 = gradients(f, narrow, lambda v: g.to(v.dtype))
    for got, want in zip([y32] + d32, [y] + d):
        scale = max([1.0] + [abs(v) for v in want.reshape(-1).tolist() if abs(v) < INF])
        if not torch.allclose(got.double(), want.double(), rtol=0, atol=1e-5 * scale, equal_nan=True):
            sys.exit("%s: PyTorch's float and double differ: %s %s" % (name, got, want))


def case(name, numbers, f, *arguments, single=True):
    cotangent = []

    def g(y):
        cotangent.append(draw(y.shape).to(y.dtype))
        return cotangent[0]

    y, d = gradients(f, arguments, g)
    seed = cotangent[0] if cotangent else torch.zeros(y.shape)
    if single:
        check_float(name, f, arguments, seed, y.detach(), d)
    print("o", name, *[int(n) for n in numbers])
    for a in arguments:
        print(line("x" if a.is_floating_point() else "i", a))
    print(line("y", y))
    print(line("g", seed, shape=False))
    for v in d:
        print(line("d", v, shape=False))
    print()


# ---- elementwise ---------------------------------------------------------------------------------

UNARY = {
    "neg": (torch.neg, -3, 3), "abs": (torch.abs, -3, 3), "sign": (torch.sign, -3, 3),
    "square": (torch.square, -3, 3), "recip": (torch.reciprocal, .3, 3), "sqrt": (torch.sqrt, .1, 4),
    "rsqrt": (torch.rsqrt, .1, 4), "exp": (torch.exp, -2, 2), "exp2": (torch.exp2, -2, 2),
    "expm1": (torch.expm1, -2, 2), "log": (torch.log, .1, 4), "log2": (torch.log2, .1, 4),
    "log10": (torch.log10, .1, 4), "log1p": (torch.log1p, -.9, 3), "sin": (torch.sin, -3, 3),
    "cos": (torch.cos, -3, 3), "tan": (torch.tan, -1.2, 1.2), "asin": (torch.asin, -.9, .9),
    "acos": (torch.acos, -.9, .9), "atan": (torch.atan, -3, 3), "sinh": (torch.sinh, -2, 2),
    "cosh": (torch.cosh, -2, 2), "tanh": (torch.tanh, -2, 2), "asinh": (torch.asinh, -3, 3),
    "acosh": (torch.acosh, 1.2, 4), "atanh": (torch.atanh, -.9, .9), "erf": (torch.erf, -2, 2),
    "erfc": (torch.erfc, -2, 2), "erfinv": (torch.erfinv, -.9, .9), "lgamma": (torch.lgamma, .3, 4),
    "normcdf": (torch.special.ndtr, -2, 2), "sigmoid": (torch.sigmoid, -3, 3),
    "log_sigmoid": (torch.nn.functional.logsigmoid, -3, 3),
    "softplus": (torch.nn.functional.softplus, -3, 3), "relu": (torch.relu, -3, 3),
    "silu": (torch.nn.functional.silu, -3, 3), "gelu": (torch.nn.functional.gelu, -3, 3),
    "gelu_tanh": (lambda a: torch.nn.functional.gelu(a, approximate="tanh"), -3, 3),
    "floor": (torch.floor, -3, 3), "ceil": (torch.ceil, -3, 3), "trunc": (torch.trunc, -3, 3),
    "round": (torch.round, -3, 3),
}
mask = lambda test: lambda a, b: test(a, b).to(a.dtype)
BINARY = {
    "add": (torch.add, -3, 3, -3, 3), "sub": (torch.sub, -3, 3, -3, 3), "mul": (torch.mul, -3, 3, -3, 3),
    "div": (torch.div, -3, 3, .5, 3), "logaddexp": (torch.logaddexp, -3, 3, -3, 3),
    "xlogy": (torch.xlogy, -3, 3, .1, 3), "pow": (torch.pow, .2, 3, -2, 2),
    "hypot": (torch.hypot, .2, 3, -3, 3), "atan2": (torch.atan2, .2, 3, -3, 3),
    "fmod": (lambda a, b: a - b * torch.trunc((a / b).detach()), .5, 9, 2, 4),
    "copysign": (torch.copysign, .5, 3, -3, 3), "min": (torch.minimum, -3, 3, -3, 3),
    "max": (torch.maximum, -3, 3, -3, 3), "fmin": (torch.fmin, -3, 3, -3, 3), "fmax": (torch.fmax, -3, 3, -3, 3),
    "leaky_relu": (lambda a, b: torch.where(a > 0, a, b * a), -3, 3, .01, .3),
    "elu": (lambda a, b: torch.where(a > 0, a, b * torch.expm1(a)), -3, 3, .5, 2),
    "bce_logits": (lambda a, b: torch.nn.functional.softplus(a) - a * b, -3, 3, 0, 1),
    "bce": (lambda a, b: torch.nn.functional.binary_cross_entropy(*torch.broadcast_tensors(a, b), reduction="none"),
            .05, .95, 0, 1),
    "less": (mask(torch.lt), -3, 3, -3, 3), "less_equal": (mask(torch.le), -3, 3, -3, 3),
    "greater": (mask(torch.gt), -3, 3, -3, 3), "greater_equal": (mask(torch.ge), -3, 3, -3, 3),
    "equal": (mask(torch.eq), -3, 3, -3, 3), "not_equal": (mask(torch.ne), -3, 3, -3, 3),
}
TERNARY = {
    "where": (lambda a, b, c: torch.where(a != 0, b, c), 0, 1, -3, 3, -3, 3),
    "clamp": (lambda a, b, c: torch.where(a < b, b, torch.where(a > c, c, a)), -3, 3, -2, -1, 1, 2),
    "fma": (lambda a, b, c: a * b + c, -3, 3, -3, 3, -3, 3),
}

for name, (f, low, high) in UNARY.items():
    case(name, [], f, draw([2, 3], low, high))
pairs = itertools.cycle([([2, 3], [2, 3]), ([2, 3], [3]), ([2, 1], [1, 3]), ([3, 1, 2], [2, 2]), ([4], [1]),
                         ([], [2, 2]), ([2, 2], []), ([1, 1, 2], [2, 1]), ([], [])])
for name, (f, a, b, c, d) in BINARY.items():
    for _ in range(3):
        s, t = next(pairs)
        case(name, [], f, draw(s, a, b), draw(t, c, d))
for name, (f, a, b, c, d, e, h) in TERNARY.items():
    for s, t, u in [([2, 3], [2, 3], [2, 3]), ([2, 1], [3], []), ([], [2, 1], [1, 2]), ([3], [2, 1, 1], [2, 1])]:
        x = draw(s, a, b)
        case(name, [], f, x if name != "where" else (x > .5).double(), draw(t, c, d), draw(u, e, h))
for order in (2, 3):  # PyTorch's trigamma is good to 1e-9 only, so digamma and polygamma(1, x) are left out
    case("polygamma", [order], lambda a: torch.polygamma(order, a), draw([4], .3, 4))
for n in (-2, 0, 1, 3):
    case("powi", [n], lambda a: torch.pow(a, n), draw([5], -3, 3))

# The conventions at kinks, where PyTorch has one that is not NaN.
zero, tie = torch.zeros(2).double(), torch.tensor([.5, -1.25]).double()
for name in ("relu", "abs", "sign", "sqrt"):
    case(name, [], UNARY[name][0], zero)
for name in ("max", "min", "fmax", "fmin"):
    case(name, [], BINARY[name][0], tie, tie)
for name in ("leaky_relu", "elu"):
    case(name, [], BINARY[name][0], zero, torch.tensor([.25, .5]).double())
case("pow", [], torch.pow, torch.tensor([0, 0, 0, 0.]).double(), torch.tensor([0, 1, 2, .5]).double())
case("atan2", [], torch.atan2, zero, zero)
case("clamp", [], lambda a, b, c: torch.clamp(a, -1, 1), torch.tensor([-1, 1, 0.]).double(),
     torch.tensor(-1.).double(), torch.tensor(1.).double())
case("xlogy", [], torch.xlogy, zero, torch.tensor([.5, 2]).double())

# ---- products ------------------------------------------------------------------------------------

for s, t in [([3, 4], [4, 2]), ([1, 4], [4, 1]), ([3], [3, 2]), ([2, 3], [3]), ([4], [4]), ([2, 3, 2], [2, 2, 3]),
             ([2, 3, 2], [2, 3]), ([3, 2], [2, 2, 3]), ([2, 1, 2, 3], [3, 3, 2]), ([1, 2, 3], [4, 3, 1]),
             ([2, 3, 2], [2]), ([2], [3, 2, 2]), ([2, 1, 1, 2, 2], [1, 2, 1, 2, 2])]:
    case("matmul", [], torch.matmul, draw(s), draw(t))
case("matmul_self", [], lambda a: torch.matmul(a, a), draw([3, 3]))
case("matmul_gram", [], lambda a: torch.matmul(a.transpose(-1, -2), a), draw([2, 3, 2]))
case("dot", [], torch.dot, draw([5]), draw([5]))
case("outer", [], torch.outer, draw([3]), draw([2]))

# ---- reductions ----------------------------------------------------------------------------------


def over(f):
    """f over one axis, as f over several, one after the other from the last."""
    def several(a, axes, keep):
        for axis in sorted([n % a.dim() for n in axes], reverse=True):
            a = f(a, axis, keep)
        return a
    return several


REDUCTIONS = {
    "sum": torch.sum, "mean": torch.mean, "prod": over(torch.prod),
    "amax": torch.amax, "amin": torch.amin, "logsumexp": torch.logsumexp,
    "norm": lambda a, axes, keep: torch.linalg.vector_norm(a, 2, axes, keep),
}
for name, f in REDUCTIONS.items():
    x = draw([2, 3, 2], distinct=True)
    case(name, [], lambda a: f(a, (0, 1, 2), False), x)
    for axes, keep in [((0,), False), ((-1,), True), ((0, 2), False), ((2, 1), True), ((-3, 1, 2), True)]:
        case(name + "_axes", [keep, *axes], lambda a: f(a, axes, keep), draw([2, 3, 2], distinct=True))
    case(name + "_axes", [0, 1, 3], lambda a: f(a, (1, 3), False), draw([1, 2, 1, 3, 2], distinct=True))
for name, f in {"var": torch.var, "std": torch.std}.items():
    for correction in (0, 1):
        case(name, [correction], lambda a: f(a, (0, 1, 2), correction=correction), draw([2, 3, 2]))
        for axes, keep in [((1,), False), ((0, -1), True)]:
            case(name + "_axes", [correction, keep, *axes],
                 lambda a: f(a, axes, correction=correction, keepdim=keep), draw([2, 3, 2]))
for axis in (0, -1):
    x = draw([3, 4], distinct=True)
    case("argmax", [axis], lambda a: torch.argmax(a, axis).double(), x)
    case("argmin", [axis], lambda a: torch.argmin(a, axis).double(), x)
case("prod", [], torch.prod, torch.tensor([2, 0, -1.5, 3]).double())
case("prod", [], torch.prod, torch.tensor([2, 0, -1.5, 0]).double())
case("norm", [], torch.norm, zero)
case("logsumexp", [], lambda a: torch.logsumexp(a, 0), torch.tensor([-INF, .5, 1]).double())
for axis, shape in [(0, [3, 2]), (-1, [3, 2]), (1, [2, 3, 2])]:
    case("cumsum", [axis], lambda a: torch.cumsum(a, axis), draw(shape))
    case("cumprod", [axis], lambda a: torch.cumprod(a, axis), draw(shape))
case("cumprod", [0], lambda a: torch.cumprod(a, 0), torch.tensor([2, 0, -1.5, 0, 3]).double())

# ---- movement ------------------------------------------------------------------------------------

x = lambda: draw([2, 3, 4])
case("reshape", [4, -1], lambda a: a.reshape(4, -1), x())
case("reshape", [2, 1, 12], lambda a: a.reshape(2, 1, 12), x())
case("reshape_transposed", [3, 8], lambda a: a.transpose(-1, -2).reshape(3, 8), x())
case("permute", [2, 0, 1], lambda a: a.permute(2, 0, 1), x())
case("permute", [-1, -2, -3], lambda a: a.permute(2, 1, 0), x())
case("transpose", [], lambda a: a.transpose(-1, -2), x())
case("expand", [2, 3, 2, 2], lambda a: a.expand(2, 3, 2, 2), draw([3, 1, 2]))
case("expand", [2, 2], lambda a: a.expand(2, 2), draw([]))
for axis, start, stop, step in [(1, 0, 2, 1), (2, 1, 4, 2), (0, 1, 2, 1), (-1, 2, 2, 1), (2, -3, -1, 1)]:
    index = [slice(None)] * (axis % 3) + [slice(start, stop, step)]
    case("slice", [axis, start, stop, step], lambda a: a[index], x())
case("slice", [2, 3, 0, -2], lambda a: a.flip(2)[:, :, 0:3:2], x())
case("flip", [1], lambda a: a.flip(1), x())
case("repeat", [1, 3], lambda a: a.repeat(1, 3), draw([2, 3]))
case("repeat", [0, 2], lambda a: a.repeat(2, 1), draw([2, 3]))
case("concat", [1], lambda a, b, c: torch.cat([a, b, c], 1), draw([2, 1]), draw([2, 3]), draw([2, 2]))
case("concat", [-2], lambda a, b: torch.cat([a, b], -2), draw([1, 2]), draw([3, 2]))
case("concat_self", [0], lambda a: torch.cat([a, a], 0), draw([2, 2]))
for axis in (0, 1, -1):
    case("stack", [axis], lambda a, b: torch.stack([a, b], axis), draw([2, 3]), draw([2, 3]))
case("stack", [0], lambda a, b, c: torch.stack([a, b, c]), draw([]), draw([]), draw([]), single=False)
case("split", [1, 2], lambda a: a.split(2, 1)[1], draw([2, 4]))
case("pad", [1, 0, 2, 1], lambda a: torch.nn.functional.pad(a, (0, 1, 1, 2), value=2), draw([2, 2]))
for k in (-1, 0, 2):
    case("tril", [k], lambda a: torch.tril(a, k), draw([2, 3, 4]))
    case("triu", [k], lambda a: torch.triu(a, k), draw([3, 2]))
case("diag", [], torch.diag, draw([3]))
case("diag", [], torch.diag, draw([2, 3]))
case("trace", [], torch.trace, draw([3, 3]))
case("at", [1, 2], lambda a: a[1, 2], draw([2, 3]))
case("stop_gradient", [], lambda a: a * a.detach(), draw([3]))


def windows(a, size, stride, dilation):
    for axis, k, s, d in zip(range(a.dim() - len(size), a.dim()), size, stride, dilation):
        a = a.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
    return a


for shape, size, stride, dilation in [([7], [3], [1], [1]), ([2, 8], [3], [2], [1]), ([9], [3], [1], [3]),
                                      ([2, 5], [2], [3], [1]), ([2, 4, 5], [2, 3], [1, 1], [1, 1]),
                                      ([5, 6], [2, 3], [3, 2], [2, 1]),
                                      ([2, 3, 4, 3], [2, 3, 1], [1, 1, 2], [1, 1, 1])]:
    case("windows", [len(size), *size, *stride, *dilation], lambda a: windows(a, size, stride, dilation), draw(shape))
for stride, dilation in [(1, 1), (2, 1), (1, 2)]:
    case("conv2d", [stride, dilation], lambda a, w: torch.nn.functional.conv2d(a, w, None, stride, 1, dilation),
         draw([2, 2, 5, 4]), draw([3, 2, 3, 2]))
case("max_pool2d", [2], lambda a: torch.nn.functional.max_pool2d(a, 2), draw([2, 5, 4], distinct=True))

# ---- indices -------------------------------------------------------------------------------------

for shape, axis, index in [([4, 2], 0, [3, 0, 3]), ([2, 3], 1, [[2, 2], [0, 1]]), ([3], 0, [1, 1, 0, 2]),
                           ([2, 3, 2], -2, [2])]:
    i = torch.tensor(index)
    case("take", [axis], lambda a, i: a.index_select(axis, i.reshape(-1)).reshape(
        list(a.shape[:axis % a.dim()]) + list(i.shape) + list(a.shape[axis % a.dim() + 1:])), draw(shape), i)
for shape, axis, index in [([3, 2], 0, [[2, 0], [2, 1]]), ([2, 4], 1, [[3, 3, 0]]), ([2, 2, 2], -1, [[[1], [0]]])]:
    i = torch.tensor(index)
    case("gather", [axis], lambda a, i: a.gather(axis, i), draw(shape), i)
    case("scatter_add", [axis], lambda a, i, s: a.scatter_add(axis, i, s), draw(shape), i, draw(i.shape))

# ---- networks ------------------------------------------------------------------------------------

functional = torch.nn.functional
for axis, shape in [(0, [3]), (1, [2, 3]), (0, [2, 3]), (-2, [2, 3, 2])]:
    case("softmax", [axis], lambda a: torch.softmax(a, axis), draw(shape, -4, 4))
    case("log_softmax", [axis], lambda a: torch.log_softmax(a, axis), draw(shape, -4, 4))
case("softmax", [0], lambda a: torch.softmax(a, 0), torch.tensor([-INF, 1, 2, -INF]).double())
case("softmax", [0], lambda a: torch.softmax(a, 0), torch.tensor([800., 801, -900]).double())
case("log_softmax", [0], lambda a: torch.log_softmax(a, 0), torch.tensor([800., 801, -900]).double())
case("maxout", [1, 2], lambda a: a.reshape(2, 3, 2).amax(2), draw([2, 6], distinct=True))
case("maxout", [0, 3], lambda a: a.reshape(2, 3, 2).amax(1), draw([6, 2], distinct=True))
for n, c in [(3, 4), (1, 2), (2, 1)]:
    case("cross_entropy", [], lambda z, t: functional.cross_entropy(z, t, reduction="none"), draw([n, c], -4, 4),
         torch.randint(0, c, (n,)))
    t = draw([n, c], 0, 1)
    case("cross_entropy", [], lambda z, t: functional.cross_entropy(z, t, reduction="none"), draw([n, c], -4, 4), t)
case("cross_entropy", [], lambda z, t: functional.cross_entropy(z, t, reduction="none"),
     torch.tensor([[900., -900], [0, -50]]).double(), torch.tensor([1, 1]))
case("cast", [], lambda a: a.float().double(), draw([3]))
case("cast_int", [], lambda a: torch.trunc(a.detach()), draw([4]))



def network(x, w, b, v, t):
    """Two layers, a normalisation between them, and a loss over classes."""
    h = torch.tanh(x @ w + b)
    h = (h - h.mean(0)) / (torch.var(h, (0,), correction=0) + .5).sqrt()
    return functional.cross_entropy(h @ v, t)


case("network", [], network, draw([4, 3]), draw([3, 5]), draw([5]), draw([5, 3]), torch.tensor([2, 0, 1, 1]))
