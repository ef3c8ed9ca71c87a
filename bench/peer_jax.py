#!/usr/bin/env python3
"""peer_jax.py - the cases in JAX, jitted, asked as peer.py says.

Arrays and scans where the case has some, as its users write them; the training step is one jitted function that
gives back parameters and moments, whose memory it may use again.
"""
import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import peer  # pylint: disable=wrong-import-position

try:
    import warnings

    warnings.filterwarnings("ignore", message=".*os.fork.*")
    import jax
    import jax.numpy as jnp
    import numpy as np
except ImportError as error:
    peer.say("absent %s" % error)
    sys.exit(0)

WIDTH = 64


def neurons(x):
    at, a = WIDTH, x[:WIDTH]
    for _ in range(2):
        w = x[at:at + WIDTH * WIDTH].reshape(WIDTH, WIDTH)
        a = jnp.tanh(w @ a + x[at + WIDTH * WIDTH:at + WIDTH * WIDTH + WIDTH])
        at += WIDTH * WIDTH + WIDTH
    return jnp.dot(x[at:at + WIDTH], a) + x[at + WIDTH]


def chain(x, size):
    def step(state, _):
        q, p = state
        p = p - x[2] * jnp.sin(q)
        return (q + p / x[3], p), None

    return jax.lax.scan(step, (x[0], x[1]), None, length=size)[0][0]


def rotation(x, size):
    def step(state, _):
        c, s = state
        return (c * x[2] + s * x[4], c * x[3] + s * x[2]), None

    return jax.lax.scan(step, (x[0], x[1]), None, length=size)[0][0]


def scalar_function(name, size):
    functions = {
        "small": lambda x: x[0] * x[1] + jnp.sin(x[0]),
        "mlp": neurons,
        "chain": lambda x: chain(x, size),
        "rotation": lambda x: rotation(x, size),
        "rosenbrock": lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
        "product": jnp.prod,
    }
    if name not in functions:
        raise peer.Absent(name)
    return functions[name]


class Scalar:
    def __init__(self, words):
        jax.config.update("jax_enable_x64", True)
        self.x = jnp.asarray(np.array(peer.read_doubles(words[3])))
        self.f = jax.jit(jax.value_and_grad(scalar_function(words[0], int(words[1]))))
        self.once()

    def once(self):
        return jax.block_until_ready(self.f(self.x))

    def run(self, n):
        return peer.timed(self.once, n)

    def gradient(self):
        value, gradient = self.once()
        return [float(value)] + np.asarray(gradient).tolist()


# ---- training ------------------------------------------------------------------------------------


def floats(shape, times, modulus, shift, scale):
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    return jnp.asarray(peer.floats(i, times, modulus, shift, scale).astype(np.float32).reshape(shape))


def loss_of(parameters, x, y):
    a = x
    for w, b in parameters[:-1]:
        a = jax.nn.relu(a @ w + b)
    w, b = parameters[-1]
    a = a @ w + b
    if y.ndim == 2:
        return jnp.mean(jnp.maximum(a, 0) - a * y + jnp.log1p(jnp.exp(-jnp.abs(a))))
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(a), y[:, None], axis=1))


def sgd(state, x, y):
    parameters, step = state
    loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
    parameters = jax.tree_util.tree_map(lambda w, g: w - jnp.float32(.1) * g, parameters, gradients)
    return (parameters, step + 1), loss


def adam(state, x, y):
    parameters, first, second, step = state
    loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
    n = (step + 1).astype(jnp.float32)
    tree_map = jax.tree_util.tree_map
    first = tree_map(lambda m, g: .9 * m + .1 * g, first, gradients)
    second = tree_map(lambda v, g: .999 * v + .001 * g * g, second, gradients)
    rate, correction = 1e-3 / (1 - .9 ** n), 1 / jnp.sqrt(1 - .999 ** n)
    parameters = tree_map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) * correction + 1e-8), parameters, first, second)
    return (parameters, first, second, step + 1), loss


class Trainer:
    def __init__(self, words):
        widths = [int(w) for w in words[0].split(",")]
        batch = int(words[1])
        parameters = [(floats((n_in, n_out), 7919 + k, 1000, .5, 2 * (6 / n_in) ** .5), jnp.zeros(n_out, jnp.float32))
                      for k, (n_in, n_out) in enumerate(zip(widths, widths[1:]))]
        zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
        again = jax.tree_util.tree_map(jnp.zeros_like, parameters)
        step = jnp.zeros((), jnp.int32)
        self.state = (parameters, step) if words[2] == "sgd" else (parameters, zeros, again, step)
        self.f = jax.jit(sgd if words[2] == "sgd" else adam, donate_argnums=0)
        self.x = [floats((batch, widths[0]), 31 + i, 97, 0, 1) for i in range(peer.BATCHES)]
        if widths[-1] == 1:
            self.y = [floats((batch, 1), 1 + i, 2, 0, 2) for i in range(peer.BATCHES)]
        else:
            self.y = [jnp.asarray((np.arange(batch) * 7 + i) % widths[-1]) for i in range(peer.BATCHES)]
        self.steps, self.last = 0, None
        self.f.lower(self.state, self.x[0], self.y[0]).compile()

    def step(self):
        which = self.steps % peer.BATCHES
        self.steps += 1
        self.state, self.last = self.f(self.state, self.x[which], self.y[which])

    def run(self, n):
        def steps():
            for _ in range(n):
                self.step()
            jax.block_until_ready((self.state, self.last))

        return peer.timed(steps, 1) / n

    def loss(self):
        return float(self.last)


# ---- long arrays ---------------------------------------------------------------------------------


def wide_function(name):
    return {
        "affine": lambda a, b, c: jnp.sum(a + b * c),
        "tanh": lambda x: jnp.sum(jnp.tanh(x)),
        "exp": lambda x: jnp.sum(jnp.exp(-x * x)),
    }[name]


class Wide:
    def __init__(self, words):
        count = 3 if words[0] == "affine" else 1
        i = np.arange(int(words[1]), dtype=np.int32)
        self.x = [jnp.asarray(((i * 7 + 13 * k) % 1000).astype(np.float32) / np.float32(500) - np.float32(1))
                  for k in range(count)]
        self.f = jax.jit(jax.value_and_grad(wide_function(words[0]), argnums=tuple(range(count))))
        self.once()

    def once(self):
        return jax.block_until_ready(self.f(*self.x))

    def run(self, n):
        return peer.timed(self.once, n)

    def loss(self):
        value, gradients = self.once()
        return float(value) + sum((k + 1) * float(np.asarray(g, np.float64).sum()) for k, g in enumerate(gradients))


peer.serve("JAX %s" % jax.__version__, scalar=Scalar, model=Trainer, wide=Wide)
