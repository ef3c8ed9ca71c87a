#!/usr/bin/env python3
"""Makes data/optimizers.csv: paths of every optimizer rule of nn/optimizer.c, written here a second time.

    python3 tests/optimizer_goldens.py > tests/data/optimizers.csv
    python3 tests/optimizer_goldens.py --check     compares with the file, and with PyTorch where installed

30 steps on x^2/2 + 2 y^2 + sin(x y) from (1, 2). The learning rate is halved after step 10, so that rules which
differ only once it changes are told apart: every two paths differ by more than 1e-6 somewhere. Columns:
path,step,x,y. A rule here is a function of one coordinate: of w, its gradient g, the rate n, the step t from 1, and
a dict s of its moments, each 0 at first; it gives the new w.
"""
import os
import sys
from collections import defaultdict
from math import cos, sqrt

STEPS, KEPT = 30, (1, 2, 3, 4, 5, 10, 11, 12, 20, 30)


def mean(s, name, beta, x):
    s[name] = beta * s[name] + (1 - beta) * x
    return s[name]


def sgd(mu=0.0, dampening=0.0, nesterov=False, decay=0.0):
    def step(w, g, n, t, s):
        g += decay * w
        s["b"] = mu * s["b"] + (g if t == 1 else (1 - dampening) * g)
        return w - n * (g + mu * s["b"] if nesterov else s["b"])

    return step


def keras_sgd(mu, nesterov=False, decay=0.0):
    def step(w, g, n, t, s):
        s["v"] = mu * s["v"] - n * g
        return w - n * decay * w + (mu * s["v"] - n * g if nesterov else s["v"])

    return step


def adagrad(start, root):
    def step(w, g, n, t, s):
        s["s"] += g * g
        return w - n * g / root(start + s["s"])

    return step


def rmsprop(alpha, root, centred=False, mu=0.0):
    def step(w, g, n, t, s):
        v = mean(s, "v", alpha, g * g)
        m = mean(s, "m", alpha, g) if centred else 0.0
        s["b"] = mu * s["b"] + g / root(v - m * m)
        return w - n * s["b"]

    return step


def adadelta(rho, epsilon):
    def step(w, g, n, t, s):
        d = g * sqrt(s["u"] + epsilon) / sqrt(mean(s, "v", rho, g * g) + epsilon)
        mean(s, "u", rho, d * d)
        return w - n * d

    return step


def adam(epsilon, keras=False, beta2=0.999, coupled=0.0, decoupled=0.0, amsgrad=False):
    def step(w, g, n, t, s):
        g += coupled * w
        m, v = mean(s, "m", 0.9, g), mean(s, "v", beta2, g * g)
        s["top"] = v = max(s["top"], v) if amsgrad else v
        c1, c2 = 1 - 0.9**t, 1 - beta2**t
        move = sqrt(c2) / c1 * m / (sqrt(v) + epsilon) if keras else m / c1 / (sqrt(v / c2) + epsilon)
        return w - n * decoupled * w - n * move

    return step


def adamax(inner, outer=0.0):
    def step(w, g, n, t, s):
        s["u"] = max(0.999 * s["u"], abs(g) + inner)
        return w - n / (1 - 0.9**t) * mean(s, "m", 0.9, g) / (s["u"] + outer)

    return step


def nadam(epsilon, psi):
    mu = lambda t: 0.9 * (1 - 0.5 * 0.96 ** (t * psi))

    def step(w, g, n, t, s):
        s["p"] = mu(t) * (s["p"] or 1)  # the product of all so far
        hat = mu(t + 1) * mean(s, "m", 0.9, g) / (1 - s["p"] * mu(t + 1)) + (1 - mu(t)) * g / (1 - s["p"])
        return w - n * hat / (sqrt(mean(s, "v", 0.999, g * g) / (1 - 0.999**t)) + epsilon)

    return step


added = lambda epsilon: lambda v: sqrt(v) + epsilon
inside = lambda epsilon: lambda v: sqrt(v + epsilon)

# name: rule; PyTorch's class and arguments. The rate is .05, Adadelta's 1.
RULES = {
    "torch.sgd": (sgd(), "SGD", {}),
    "torch.sgd_m09": (sgd(0.9), "SGD", dict(momentum=0.9)),
    "torch.sgd_nesterov": (sgd(0.9, nesterov=True), "SGD", dict(momentum=0.9, nesterov=True)),
    "torch.sgd_m09_damp05": (sgd(0.9, 0.5), "SGD", dict(momentum=0.9, dampening=0.5)),
    "torch.sgd_wd01": (sgd(decay=0.1), "SGD", dict(weight_decay=0.1)),
    "torch.adagrad": (adagrad(0, added(1e-10)), "Adagrad", {}),
    "torch.rmsprop": (rmsprop(0.99, added(1e-8)), "RMSprop", {}),
    "torch.rmsprop_centered_m09": (rmsprop(0.99, added(1e-8), True, 0.9), "RMSprop", dict(centered=True, momentum=0.9)),
    "torch.adadelta": (adadelta(0.9, 1e-6), "Adadelta", {}),
    "torch.adam": (adam(1e-8), "Adam", {}),
    "torch.adam_wd01": (adam(1e-8, coupled=0.1), "Adam", dict(weight_decay=0.1)),
    "torch.adamw_wd01": (adam(1e-8, decoupled=0.1), "AdamW", dict(weight_decay=0.1)),
    "torch.adam_b2_09": (adam(1e-8, beta2=0.9), "Adam", dict(betas=(0.9, 0.9))),
    "torch.adam_b2_09_amsgrad": (adam(1e-8, beta2=0.9, amsgrad=True), "Adam", dict(betas=(0.9, 0.9), amsgrad=True)),
    "torch.adamax": (adamax(1e-8), "Adamax", {}),
    "torch.adamax_eps001": (adamax(1e-2), "Adamax", dict(eps=1e-2)),
    "torch.nadam": (nadam(1e-8, 0.004), "NAdam", dict(foreach=True)),  # 1.13's other form is wrong
    "keras.sgd_m09": (keras_sgd(0.9),),
    "keras.sgd_nesterov": (keras_sgd(0.9, True),),
    "keras.sgd_wd001_m09": (keras_sgd(0.9, decay=0.01),),
    "keras.adagrad": (adagrad(0.1, inside(1e-7)),),
    "keras.rmsprop": (rmsprop(0.9, inside(1e-7)),),
    "keras.adadelta": (adadelta(0.95, 1e-7),),
    "keras.adam_eps0001": (adam(1e-3, True),),
    "keras.adamw_wd0004_eps0001": (adam(1e-3, True, decoupled=0.004),),
    "keras.adamax_eps001": (adamax(0, 1e-2),),
    "keras.nadam_eps0001": (nadam(1e-3, 1.0),),
}


def rate(name, t):
    return (1.0 if "adadelta" in name else 0.05) * (1 if t <= 10 else 0.5)


def path(name):
    p, s, out = [1.0, 2.0], (defaultdict(float), defaultdict(float)), []
    for t in range(1, STEPS + 1):
        (x, y), c = p, cos(p[0] * p[1])
        p = [RULES[name][0](p[i], (x + y * c, 4 * y + x * c)[i], rate(name, t), t, s[i]) for i in (0, 1)]
        out.append(p)
    return [out[t - 1] for t in KEPT]


def pytorch_path(torch, name):
    _, rule, options = RULES[name]
    torch.set_default_dtype(torch.float64)  # for its own states too
    p, out = torch.nn.Parameter(torch.tensor([1.0, 2.0])), []
    optimizer = getattr(torch.optim, rule)([p], lr=rate(name, 1), **options)
    for t in range(1, STEPS + 1):
        optimizer.param_groups[0]["lr"] = rate(name, t)
        optimizer.zero_grad()
        (p[0] ** 2 / 2 + 2 * p[1] ** 2 + torch.sin(p[0] * p[1])).backward()
        optimizer.step()
        out.append(p.tolist())
    return [out[t - 1] for t in KEPT]


def gap(a, b):
    return max(abs(u - v) for p, q in zip(a, b) for u, v in zip(p, q))


def check(paths):
    stored = defaultdict(list)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "optimizers.csv")) as f:
        for line in f.readlines()[1:]:
            name, _, x, y = line.split(",")
            stored[name].append([float(x), float(y)])
    assert stored.keys() == paths.keys(), "other paths in the file"
    for name in paths:
        assert gap(paths[name], stored[name]) < 1e-13, name
    try:
        import torch
    except ImportError:
        return print("agrees with the file; PyTorch is not installed")
    for name in paths:
        if name.startswith("torch."):
            apart = gap(paths[name], pytorch_path(torch, name))
            print(f"{name:28s} differs from PyTorch by {apart:.1e}")
            assert apart < 1e-12, name


def main():
    paths = {name: path(name) for name in RULES}
    for a in paths:
        for b in paths:
            assert a == b or gap(paths[a], paths[b]) > 1e-6, (a, b)
    if "--check" in sys.argv[1:]:
        return check(paths)
    print("path,step,x,y")
    for name in paths:
        for t, (x, y) in zip(KEPT, paths[name]):
            print(f"{name},{t},{x!r},{y!r}")


if __name__ == "__main__":
    main()
