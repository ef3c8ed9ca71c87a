#!/usr/bin/env python3
"""peer_torch.py - the cases in PyTorch, asked as peer.py says.

As its users write them: torch.nn, torch.optim, torch.nn.functional; arrays where the case has some. HOW is
"eager", or "compiled": torch.compile and the fused optimizer where they exist, torch.jit.script before.
"""
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import peer  # pylint: disable=wrong-import-position

try:
    import torch
except ImportError as error:
    peer.say("absent %s" % error)
    sys.exit(0)

WIDTH = 64


def neurons(x):
    at, a = WIDTH, x[:WIDTH]
    for _ in range(2):
        w = x[at:at + WIDTH * WIDTH].reshape(WIDTH, WIDTH)
        a = torch.tanh(torch.mv(w, a) + x[at + WIDTH * WIDTH:at + WIDTH * WIDTH + WIDTH])
        at += WIDTH * WIDTH + WIDTH
    return torch.dot(x[at:at + WIDTH], a) + x[at + WIDTH]


def scalar_function(name, size, x):
    if name == "small":
        return x[0] * x[1] + torch.sin(x[0])
    if name == "mlp":
        return neurons(x)
    if name == "chain":
        q, p, k, m = x[0], x[1], x[2], x[3]
        for _ in range(size):
            p = p - k * torch.sin(q)
            q = q + p / m
        return q
    if name == "rotation":
        c, s, a, b, d = x[0], x[1], x[2], x[3], x[4]
        for _ in range(size):
            c, s = c * a + s * d, c * b + s * a
        return c
    raise peer.Absent(name)


class Scalar:
    def __init__(self, words):
        self.name, self.size = words[0], int(words[1])
        self.inputs = peer.read_doubles(words[3])
        torch.set_num_threads(1)
        self.arrays = self.name == "mlp"
        if self.arrays:
            self.x = torch.tensor(self.inputs, dtype=torch.float64, requires_grad=True)
        else:
            self.x = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in self.inputs]
        self.value = self.once()

    def once(self):
        for x in [self.x] if self.arrays else self.x:
            x.grad = None
        y = scalar_function(self.name, self.size, self.x)
        y.backward()
        return y

    def run(self, n):
        return peer.timed(self.once, n)

    def gradient(self):
        value = self.once().item()
        grads = self.x.grad.tolist() if self.arrays else [0 if x.grad is None else x.grad.item() for x in self.x]
        return [value] + grads


# ---- training ------------------------------------------------------------------------------------


def floats(shape, times, modulus, shift, scale):
    count = 1
    for n in shape:
        count *= n
    return peer.floats(torch.arange(count).double(), times, modulus, shift, scale).float().reshape(shape)


def linear_layers(widths):
    layers = []
    for k, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        linear = torch.nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.copy_(floats((n_in, n_out), 7919 + k, 1000, .5, 2 * (6 / n_in) ** .5).T)
            linear.bias.zero_()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class Trainer:
    def __init__(self, words):
        widths = [int(w) for w in words[0].split(",")]
        batch, optimizer, threads, how = int(words[1]), words[2], int(words[3]), words[4]
        torch.set_num_threads(threads)
        compiled = how == "compiled"
        self.model = linear_layers(widths)
        more = {"fused": True} if compiled and hasattr(torch, "compile") else {}
        if optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, **more)
        else:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=.1, **more)
        self.x = [floats((batch, widths[0]), 31 + i, 97, 0, 1) for i in range(peer.BATCHES)]
        if widths[-1] == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits
            self.y = [floats((batch, 1), 1 + i, 2, 0, 2) for i in range(peer.BATCHES)]
        else:
            loss = torch.nn.functional.cross_entropy
            self.y = [(torch.arange(batch) * 7 + i) % widths[-1] for i in range(peer.BATCHES)]
        model = self.model

        def forward(x, y):
            return loss(model(x), y)

        if compiled and hasattr(torch, "compile"):
            forward = torch.compile(forward)
        elif compiled:
            scripted = torch.jit.script(model)

            def forward(x, y):  # pylint: disable=function-redefined
                return loss(scripted(x), y)
        self.forward = forward
        self.steps, self.last = 0, None
        if compiled:
            forward(self.x[0], self.y[0]).backward()  # compiles, or says why not

    def step(self):
        which = self.steps % peer.BATCHES
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)
        self.last = self.forward(self.x[which], self.y[which])
        self.last.backward()
        self.optimizer.step()

    def run(self, n):
        return peer.timed(self.step, n)

    def loss(self):
        return self.last.item()


# ---- long arrays ---------------------------------------------------------------------------------


class Wide:
    def __init__(self, words):
        self.name, n, threads = words[0], int(words[1]), int(words[2])
        torch.set_num_threads(threads)
        count = 3 if self.name == "affine" else 1
        self.x = []
        for k in range(count):
            i = torch.arange(n, dtype=torch.int32)
            x = ((i * 7 + 13 * k) % 1000).float() / 500 - 1
            self.x.append(x.requires_grad_())
        self.value = 0

    def function(self):
        x = self.x
        if self.name == "affine":
            return (x[0] + x[1] * x[2]).sum()
        if self.name == "tanh":
            return torch.tanh(x[0]).sum()
        return torch.exp(-x[0] * x[0]).sum()

    def once(self):
        for x in self.x:
            x.grad = None
        y = self.function()
        y.backward()
        self.value = y

    def run(self, n):
        return peer.timed(self.once, n)

    def loss(self):
        """the value, and the sums of the gradients, so that one number tells"""
        self.once()
        return self.value.item() + sum((k + 1) * x.grad.double().sum().item() for k, x in enumerate(self.x))


def first_gradient():
    """for the time from a process' start to its first gradient"""
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    (x * y + torch.sin(x)).backward()
    peer.say("%.17g" % x.grad.item())


if sys.argv[1:] == ["first"]:
    first_gradient()
else:
    peer.serve("PyTorch %s" % torch.__version__.split("+")[0], scalar=Scalar, model=Trainer, wide=Wide)
