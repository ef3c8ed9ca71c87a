#!/usr/bin/env python3
"""Makes data/torch_loss.txt: values and gradients of losses, computed by PyTorch.

    /usr/bin/python3 tests/oracle_nn_loss.py > tests/data/torch_loss.txt

Needs PyTorch (Debian: python3-torch), and only to make the file anew. A case is a few lines, each of them a letter
and words, and a blank line behind it:

    o NAME REDUCTION SMOOTHING DELTA FLAGS   REDUCTION: none, sum, elements, samples; FLAGS: "c" divide_by_count,
                                             "z" zero_one_labels, "-" for none
    p RANK SHAPE NUMBER...   the prediction
    y RANK SHAPE NUMBER...   the target; i: of integers
    w NUMBER...              weights of the samples
    c NUMBER...              weights of the classes
    v NUMBER...              the value
    g NUMBER...              a cotangent of the value
    d NUMBER...              the gradient with respect to the prediction

Losses that PyTorch has are PyTorch's; what it lacks (half mse, msle, the hinges) is made of its tensors. So are
reductions with weights of samples; that PyTorch's own reductions agree, where it has them, is checked here. Inputs
are multiples of 1/1024, which are floats too, so one case serves both dtypes.
"""
import itertools
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(20240301)
N, M, C = 4, 2, 3


def text(x):
    s = repr(float(x))
    return s[:-2] if s.endswith(".0") else s


def line(letter, t, shape=False):
    words = [letter]
    if shape:
        words += [str(t.dim())] + [str(n) for n in t.shape]
    return " ".join(words + [text(v) for v in t.detach().reshape(-1)])


def draw(shape, low, high):
    return (torch.randint(int(low * 1024) + 1, int(high * 1024), shape).double() / 1024)


def distribution(rows):
    cuts = torch.stack([torch.sort(torch.randperm(1023)[:C - 1] + 1)[0] for _ in range(rows)]).double() / 1024
    zero, one = torch.zeros(rows, 1).double(), torch.ones(rows, 1).double()
    return torch.diff(torch.cat([zero, cuts, one], 1), dim=1)


def signs(shape):
    return torch.randint(0, 2, shape).double() * 2 - 1


def nll(p, y, weight=None, reduction="none", label_smoothing=0.0):
    """cross-entropy of probabilities, by its definition where PyTorch's, of log-probabilities, does not do"""
    if y.dim() == 1 and label_smoothing == 0:
        return F.nll_loss(torch.log(p), y, weight, reduction=reduction)
    c = torch.ones(C).double() if weight is None else weight
    t = F.one_hot(y, C).double() if y.dim() == 1 else y
    return -((t * (1 - label_smoothing) + label_smoothing / C) * c * torch.log(p)).sum(1)


def elementwise():
    """name, prediction, target, losses of elements, PyTorch's own function with reductions, delta, flags"""
    real, unit = lambda: draw((N, M), -2, 2), lambda: draw((N, M), 0, 1)
    yield "mse", real(), real(), lambda p, y: F.mse_loss(p, y, reduction="none"), F.mse_loss, 0, "-"
    yield "half_mse", real(), real(), lambda p, y: (p - y) ** 2 / 2, None, 0, "-"
    yield "mae", real(), real(), lambda p, y: F.l1_loss(p, y, reduction="none"), F.l1_loss, 0, "-"
    for delta in (1, 0.375, 1.5):
        own = lambda p, y, reduction, d=delta: F.huber_loss(p, y, delta=d, reduction=reduction)
        yield "huber", real(), real(), lambda p, y, f=own: f(p, y, "none"), own, delta, "-"
    yield ("msle", draw((N, M), -0.9, 4), draw((N, M), -0.9, 4),
           lambda p, y: (torch.log1p(p) - torch.log1p(y)) ** 2, None, 0, "-")
    yield ("bce", unit(), unit(), lambda p, y: F.binary_cross_entropy(p, y, reduction="none"),
           F.binary_cross_entropy, 0, "-")
    # 0 and 1 where they are right: where they are wrong PyTorch divides by 1e-12 as a float has it, 4e-9 off
    yield ("bce", torch.tensor([[0, 1], [0.5, 1], [0.25, 0.75], [1, 0]]).double(),
           torch.tensor([[0, 1], [1, 1], [0.5, 1], [1, 0]]).double(),
           lambda p, y: F.binary_cross_entropy(p, y, reduction="none"), F.binary_cross_entropy, 0, "-")
    yield ("bce_logits", draw((N, M), -8, 8), unit(),
           lambda p, y: F.binary_cross_entropy_with_logits(p, y, reduction="none"),
           F.binary_cross_entropy_with_logits, 0, "-")
    for flags in "-", "z":
        label = (lambda y: 2 * y - 1) if flags == "z" else (lambda y: y)
        labels = lambda z=flags: (signs((N, M)) + 1) / 2 if z == "z" else signs((N, M))
        yield ("hinge", real(), labels(), lambda p, y, l=label: F.relu(1 - l(y) * p), None, 0, flags)
        yield ("squared_hinge", real(), labels(), lambda p, y, l=label: F.relu(1 - l(y) * p) ** 2, None, 0, flags)
        own = lambda p, y, reduction, l=label: F.soft_margin_loss(p, l(y), reduction=reduction)
        yield "logistic", real(), labels(), lambda p, y, f=own: f(p, y, "none"), own, 0, flags


def reduced(losses, reduction, weights, divisor, each, flags):
    """divisor: the sum of what PyTorch divides by, sample by sample, or None for one each"""
    shaped = None if weights is None else weights.reshape([-1] + [1] * (losses.dim() - 1))
    y = losses if weights is None else losses * shaped
    if reduction == "none":
        return y
    if reduction == "sum":
        return y.sum()
    d = torch.ones(N).double() if divisor is None else divisor
    if weights is not None:
        d = d * weights
    total = N if "c" in flags else d.sum()
    return y.sum() / total / (each if reduction == "elements" else 1)


def emit(name, p, y, f, native, reduction, weights, classes, divisor, each, smoothing, delta, flags):
    leaf = p.clone().requires_grad_(True)
    value = reduced(f(leaf, y), reduction, weights, divisor, each, flags)
    if native is not None:
        want = native(p, y)
        if not torch.allclose(value, want, rtol=1e-12, atol=0):
            sys.exit("%s %s: %s, but PyTorch's own is %s" % (name, reduction, value, want))
    g = draw(tuple(value.shape), -2, 2) if value.dim() else torch.ones(()).double()
    d, = torch.autograd.grad(value, leaf, g)
    print("o %s %s %s %s %s" % (name, reduction, text(smoothing), text(delta), flags))
    print(line("p", p, True))
    print(line("y" if y.is_floating_point() else "i", y, True))
    if weights is not None:
        print(line("w", weights))
    if classes is not None:
        print(line("c", classes))
    print(line("v", value))
    print(line("g", g))
    print(line("d", d))
    print()


def reductions():
    """all of them, without and with weights of samples, whose sum or number is divided by"""
    for reduction in "none", "sum", "elements", "samples":
        yield reduction, None, ""
        w = draw((N,), 0, 3)
        yield reduction, w, ""
        if reduction in ("elements", "samples"):
            yield reduction, w, "c"


def together(flags, more):
    return (flags + more).replace("-", "") or "-"


def torchs_own(f, reduction, mean="mean", **more):
    """PyTorch's reduction, to be compared with ours"""
    name = mean if reduction in ("elements", "samples") else reduction
    return lambda p, y: f(p, y, reduction=name, **more)


def emit_elementwise():
    for name, p, y, f, own, delta, flags in elementwise():
        for reduction, w, count in reductions():
            native = None
            if own and w is None and reduction != "samples":
                native = torchs_own(own, reduction)
            elif name.startswith("bce") and w is not None and (reduction, count) not in (
                    ("elements", ""), ("samples", ""), ("samples", "c")):
                native = torchs_own(own, reduction, weight=w.reshape(-1, 1))
            emit(name, p, y, f, native, reduction, w, None, None, M, 0, delta, together(flags, count))


def emit_categories():
    for name, hard, smoothing, weighted in itertools.product(
            ("softmax_cross_entropy", "cross_entropy"), (True, False), (0, 0.125), (False, True)):
        p = draw((N, C), -4, 4) if name == "softmax_cross_entropy" else distribution(N)
        y = torch.randint(0, C, (N,)) if hard else distribution(N)
        c = draw((C,), 0.1, 3) if weighted else None
        own = F.cross_entropy if name == "softmax_cross_entropy" else nll
        f = lambda p, y: own(p, y, c, label_smoothing=smoothing, reduction="none")
        for reduction, w, count in reductions():
            native = None
            if own is F.cross_entropy and w is None and reduction != "elements":
                native = torchs_own(own, reduction, weight=c, label_smoothing=smoothing)
            emit(name, p, y, f, native, reduction, w, c, c[y] if weighted and hard else None, C, smoothing, 0,
                 together("-", count))


def emit_kl():
    p, y = distribution(N), distribution(N)
    y[1] = torch.tensor([0, 1, 0]).double()
    f = lambda p, y: F.kl_div(torch.log(p), y, reduction="none").sum(1)
    for reduction, w, count in reductions():
        native = None
        if w is None and reduction != "none":
            own = lambda p, y, reduction: F.kl_div(torch.log(p), y, reduction=reduction)
            native = torchs_own(own, reduction, "batchmean" if reduction == "samples" else "mean")
        emit("kl", p, y, f, native, reduction, w, None, None, C, 0, 0, together("-", count))


emit_elementwise()
emit_categories()
emit_kl()
