#!/usr/bin/env python3
"""Makes data/torch_layers.txt: values, gradients and running statistics of PyTorch's layers and of small models.

    /usr/bin/python3 tests/oracle_nn_layers.py > tests/data/torch_layers.txt

Needs PyTorch (Debian: python3-torch), and only to make the file anew. A case is a few lines, each of them a letter
and words, and a blank line behind it:

    o KIND FIELD=VALUE...      a list of one layer; or "model NAME": the function of that name in test_nn_layers.c
    p NAME RANK SHAPE NUMBER...  a parameter's first value
    t, e                       a pass in training, or in evaluation: what follows belongs to it
    x RANK SHAPE NUMBER...     an input
    i RANK SHAPE NUMBER...     an input of integers, without gradient
    y RANK SHAPE NUMBER...     the value
    g NUMBER...                a cotangent of the value
    d NUMBER...                the gradient of the first x, then of the next, for that cotangent
    q NAME NUMBER...           the gradient of a parameter
    s NAME NUMBER...           a state when the pass is over

Weights of dense layers stand here as Tapegrad has them, (in,out). Everything is computed in double. Parameters, inputs
and cotangents are multiples of 1/1024, which are floats too, so one case serves both dtypes; that PyTorch's own floats
agree with its doubles is checked here.
"""
import copy
import sys

import torch
from torch import nn
from torch.nn import functional

torch.manual_seed(20240301)


def text(x):
    s = repr(float(x))
    return s[:-2] if s.endswith(".0") else s


def line(letter, t, name=None, shape=True):
    words = [letter] + ([name] if name else [])
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


# ---- cases ---------------------------------------------------------------------------------------


def dense_weights(module):
    return {name + ".weight" for name, m in module.named_modules() if isinstance(m, nn.Linear)}


def states_of(module):
    return {name: b for name, b in module.named_buffers() if not name.endswith("num_batches_tracked")}


def one_pass(module, mode, inputs, cotangent):
    """The value, and the gradients of inputs and parameters; cotangent: None to draw one."""
    module.train(mode == "t")
    leaves = [a.detach().clone().requires_grad_(a.is_floating_point()) for a in inputs]
    wanted = [a for a in leaves if a.is_floating_point()]
    params = list(module.parameters())
    y = module(*leaves)
    g = draw(y.shape) if cotangent is None else cotangent
    d = torch.autograd.grad(y, wanted + params, g.to(y.dtype), allow_unused=True)
    d = [torch.zeros_like(a) if v is None else v for a, v in zip(wanted + params, d)]
    return y.detach(), g, d[:len(wanted)], d[len(wanted):]


def check_float(words, narrow, mode, inputs, g, want):
    inputs = [a.float() if a.is_floating_point() else a for a in inputs]
    y, _, d, q = one_pass(narrow, mode, inputs, g)
    for got, want in zip([y] + d + q, want):
        scale = max([1.0] + [abs(v) for v in want.reshape(-1).tolist()])
        if not torch.allclose(got.double(), want, rtol=0, atol=1e-5 * scale):
            sys.exit("%s: PyTorch's float and double differ: %s %s" % (words, got, want))


def case(words, module, *passes):
    """passes: pairs of "t" or "e" and the inputs."""
    module = module.double()
    for p in module.parameters():
        p.data = draw(p.shape)
    narrow, turned = copy.deepcopy(module).float(), dense_weights(module)
    ours = lambda name, v: v.t() if name in turned else v
    print("o", words)
    for name, p in module.named_parameters():
        print(line("p", ours(name, p), name))
    for mode, inputs in passes:
        y, g, d, q = one_pass(module, mode, inputs, None)
        check_float(words, narrow, mode, inputs, g, [y] + d + q)
        print(mode)
        for a in inputs:
            print(line("x" if a.is_floating_point() else "i", a))
        print(line("y", y))
        print(line("g", g, shape=False))
        for v in d:
            print(line("d", v, shape=False))
        for (name, _), v in zip(module.named_parameters(), q):
            print(line("q", ours(name, v), name, shape=False))
        for name, s in states_of(module).items():
            print(line("s", s, name, shape=False))
    print()


def layer(words, module, *inputs):
    """One layer, in training and in evaluation."""
    case(words, nn.Sequential(module), ("t", inputs), ("e", inputs))


# ---- dense and activations -----------------------------------------------------------------------

layer("dense units=3", nn.Linear(4, 3), draw([2, 4]))
layer("dense units=2", nn.Linear(3, 2), draw([2, 4, 3]))
layer("dense units=2", nn.Linear(1, 2), draw([1, 1]))
layer("dense units=1 no_bias=1", nn.Linear(3, 1, bias=False), draw([4, 3]))
layer("dense units=3 no_bias=1", nn.Linear(2, 3, bias=False), draw([2, 2, 3, 2]))


class Fused(nn.Linear):
    """A layer whose result goes through an activation, so that the parameters keep their names."""

    def __init__(self, a, b, activation):
        super().__init__(a, b)
        self.activation = activation

    def forward(self, x):
        return self.activation(super().forward(x))


layer("dense units=3 activation=tanh", Fused(2, 3, torch.tanh), draw([3, 2]))
layer("dense units=4 activation=softmax", Fused(3, 4, lambda x: torch.softmax(x, -1)), draw([2, 3]))
layer("dense units=2 activation=leaky_relu slope=.25", Fused(3, 2, lambda x: functional.leaky_relu(x, .25)),
      draw([2, 5, 3]))


class Function(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


ACTIVATIONS = {
    "relu": functional.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": functional.softplus,
    "silu": functional.silu, "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"), "log_sigmoid": functional.logsigmoid,
    "softmax": lambda x: torch.softmax(x, -1), "log_softmax": lambda x: torch.log_softmax(x, -1),
    "leaky_relu": functional.leaky_relu, "elu": functional.elu, "abs": torch.abs, "square": torch.square,
    "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "sin": torch.sin, "cos": torch.cos,
    "sinh": torch.sinh, "cosh": torch.cosh, "atan": torch.atan, "asinh": torch.asinh, "erf": torch.erf,
    "erfc": torch.erfc, "neg": torch.neg, "sign": torch.sign,
}
for name, f in ACTIVATIONS.items():
    layer("activation activation=" + name, Function(f), draw([2, 5], -3, 3))
layer("activation activation=softmax", Function(lambda x: torch.softmax(x, -1)), draw([2, 2, 4], -4, 4))
layer("activation activation=log_softmax", Function(lambda x: torch.log_softmax(x, -1)), draw([2, 1, 3], -4, 4))
for slope in (.2, .5, 2):
    layer("activation activation=leaky_relu slope=%g" % slope, Function(lambda x: functional.leaky_relu(x, slope)),
          draw([2, 4], -3, 3))
for alpha in (.25, 1.5):
    layer("activation activation=elu slope=%g" % alpha, Function(lambda x: functional.elu(x, alpha)),
          draw([2, 4], -3, 3))

# ---- embedding, shapes, normalisation ------------------------------------------------------------

layer("embedding rows=5 units=3", nn.Embedding(5, 3), torch.tensor([4, 0, 4, 4, 2]))
layer("embedding rows=3 units=2", nn.Embedding(3, 2), torch.tensor([[1, 1, 0, 2], [2, 1, 1, 1]]))
layer("flatten", nn.Flatten(), draw([2, 3, 2, 2]))
layer("flatten", nn.Flatten(), draw([3, 4]))
layer("dropout rate=0", nn.Dropout(0), draw([2, 3]))

layer("layer_norm", nn.LayerNorm(4), draw([3, 4]))
layer("layer_norm epsilon=.125", nn.LayerNorm(3, eps=.125), draw([2, 2, 3]))
layer("layer_norm no_affine=1", nn.LayerNorm(5, elementwise_affine=False), draw([2, 5]))


def batch_norm(words, module, *shapes):
    """Three steps of training, so that the running statistics move, then evaluation."""
    passes = [("t", [draw(s)]) for s in shapes]
    case(words, nn.Sequential(module), *passes, ("e", [draw(shapes[0])]))


batch_norm("batch_norm", nn.BatchNorm1d(3), [4, 3], [2, 3], [5, 3])
batch_norm("batch_norm momentum=.5 epsilon=.25", nn.BatchNorm1d(2, momentum=.5, eps=.25), [3, 2], [3, 2], [2, 2])
batch_norm("batch_norm", nn.BatchNorm1d(2), [2, 2, 3], [1, 2, 3], [3, 2, 3])
batch_norm("batch_norm", nn.BatchNorm2d(2), [2, 2, 3, 2], [3, 2, 3, 2], [1, 2, 3, 2])
batch_norm("batch_norm no_affine=1 momentum=1", nn.BatchNorm2d(3, affine=False, momentum=1.0), [2, 3, 2, 2],
           [2, 3, 2, 2], [2, 3, 2, 2])

# ---- convolution and pooling ---------------------------------------------------------------------


def pair(words):
    h, w = words.split("x")
    return int(h), int(w)


def conv(image, units, kernel, stride="1x1", padding="0x0", dilation="1x1", groups=1, bias=True, activation=None):
    words = "conv2d units=%d kernel=%s stride=%s padding=%s dilation=%s groups=%d" % (
        units, kernel, stride, padding, dilation, groups)
    m = nn.Conv2d(image[1], units, pair(kernel), pair(stride), pair(padding), pair(dilation), groups, bias)
    layer(words + ("" if bias else " no_bias=1"), m, draw(image))


conv([2, 1, 4, 4], 1, "2x2")
conv([2, 3, 4, 5], 4, "3x3", padding="1x1")
conv([2, 2, 5, 4], 3, "3x2")
conv([1, 2, 7, 6], 2, "2x3", stride="2x2")
conv([2, 1, 6, 7], 2, "3x3", stride="2x3", padding="1x2")
conv([1, 2, 7, 8], 2, "3x2", dilation="2x3")
conv([1, 2, 6, 5], 2, "2x2", stride="2x1", padding="2x1", dilation="2x2")
conv([2, 4, 4, 4], 6, "3x3", padding="1x1", groups=2)
conv([2, 3, 4, 3], 3, "2x2", groups=3)
conv([1, 4, 5, 5], 8, "3x3", stride="2x2", padding="1x1", dilation="2x2", groups=4, bias=False)
conv([2, 3, 2, 3], 5, "1x1")
conv([2, 3, 2, 2], 2, "1x1", bias=False)
conv([2, 2, 3, 4], 2, "3x4")


def pool(kind, module, image, kernel, stride=None, padding="0x0"):
    words = "%s kernel=%s padding=%s" % (kind, kernel, padding) + (" stride=" + stride if stride else "")
    m = module(pair(kernel), pair(stride) if stride else None, pair(padding))
    layer(words, m, draw(image, distinct=True))


for kind, module in [("max_pool2d", nn.MaxPool2d), ("average_pool2d", nn.AvgPool2d)]:
    pool(kind, module, [2, 2, 4, 4], "2x2")
    pool(kind, module, [1, 2, 5, 7], "2x3")
    pool(kind, module, [2, 1, 5, 5], "3x3", stride="1x1")
    pool(kind, module, [1, 2, 6, 5], "3x2", stride="2x1")
    pool(kind, module, [2, 1, 5, 4], "3x3", stride="2x2", padding="1x1")
    pool(kind, module, [1, 2, 4, 6], "2x4", stride="2x3", padding="1x2")
    pool(kind, module, [2, 3, 3, 2], "1x1")
layer("max_pool2d kernel=2x2 stride=1x1 dilation=2x1", nn.MaxPool2d(2, 1, 0, (2, 1)), draw([1, 2, 4, 3], distinct=True))
# everything below zero: the border must not win
layer("max_pool2d kernel=3x3 stride=2x2 padding=1x1", nn.MaxPool2d(3, 2, 1), draw([1, 1, 4, 4], -4, -1, distinct=True))

# ---- models --------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Module()
        self.block.first, self.block.second = nn.Linear(3, 5), nn.Linear(5, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        return self.out(x + self.block.second(torch.tanh(self.block.first(x))))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.out = nn.Linear(3, 4), nn.Linear(2, 2, bias=False), nn.Linear(6, 1)

    def forward(self, a, b):
        return self.out(torch.cat([torch.tanh(self.left(a)), torch.sigmoid(self.right(b))], 1))


class Words(nn.Module):
    """Numbers, and words of a table."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(4, 3), nn.Linear(3, 2)

    def forward(self, x, words):
        return self.out(x * self.table(words).sum(1))


class Shared(nn.Module):
    """One layer three times."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(3, 3)

    def forward(self, x):
        h = x
        for _ in range(3):
            h = torch.tanh(self.cell(h + x))
        return h


class Bend(nn.Module):
    """A layer with parameters of its own."""

    def __init__(self, n):
        super().__init__()
        self.strength, self.shift = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(1, n))

    def forward(self, x):
        return x * torch.exp(self.strength) + torch.sin(x + self.shift)


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("0", nn.Linear(3, 4))
        self.bend = Bend(4)
        self.add_module("2", nn.Linear(4, 2))

    def forward(self, x):
        return getattr(self, "2")(self.bend(getattr(self, "0")(x)))


class ConvNet(nn.Module):
    """The losses of a small network over images."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(12, 4)

    def forward(self, x, classes):
        h = functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        return functional.cross_entropy(self.out(h.flatten(1)), classes, reduction="none")


case("model residual", Residual(), ("t", [draw([4, 3])]), ("e", [draw([1, 3])]))
case("model two_inputs", TwoInputs(), ("t", [draw([3, 3]), draw([3, 2])]), ("e", [draw([1, 3]), draw([1, 2])]))
case("model words", Words(), ("t", [draw([3, 3]), torch.tensor([[0, 3], [3, 3], [1, 3]])]))
case("model shared", Shared(), ("t", [draw([4, 3], -1, 1)]))
case("model custom", Custom(), ("t", [draw([3, 3])]))
images = lambda n: [draw([n, 2, 5, 4]), torch.randint(0, 4, (n,))]
case("model conv_net", ConvNet(), ("t", images(3)), ("t", images(2)), ("e", images(1)))
