#!/usr/bin/env python3
"""peer_casadi.py - the scalar cases in CasADi, run by its virtual machine, or generated as C and compiled.

Operation by operation where the case is one (SX); the network as matrices (MX) for C, which SX would unroll.
"""
import os
import subprocess
import sys

import peer

try:
    import casadi as ca
except ImportError as error:
    peer.say("absent %s" % error)
    sys.exit(0)

WIDTH = 64


def neurons(x):
    """a function of 64 inputs, and 64-64-64-1 weights, row by row, each layer with its biases"""
    at = WIDTH
    a = x[:WIDTH]
    for _ in range(2):
        w = ca.reshape(x[at:at + WIDTH * WIDTH], WIDTH, WIDTH).T
        b = x[at + WIDTH * WIDTH:at + WIDTH * WIDTH + WIDTH]
        a = ca.tanh(ca.mtimes(w, a) + b)
        at += WIDTH * WIDTH + WIDTH
    return ca.dot(x[at:at + WIDTH], a) + x[at + WIDTH]


def expression(name, size, x):
    if name == "small":
        return x[0] * x[1] + ca.sin(x[0])
    if name == "mlp":
        return neurons(x)
    if name == "chain":
        q, p, k, m = x[0], x[1], x[2], x[3]
        for _ in range(size):
            p = p - k * ca.sin(q)
            q = q + p / m
        return q
    if name == "rotation":
        c, s, a, b, d = (x[i] for i in range(5))
        for _ in range(size):
            c, s = c * a + s * d, c * b + s * a
        return c
    raise peer.Absent(name)


class Scalar:
    def __init__(self, words):
        name, size, n, path, folder = words[0], int(words[1]), int(words[2]), words[3], words[4]
        self.folder = folder if folder != "-" else None
        self.inputs = peer.read_doubles(path)
        symbol = ca.MX if name == "mlp" and self.folder else ca.SX
        x = symbol.sym("x", n)
        y = expression(name, size, x)
        self.f = ca.Function("F", [x], [y, ca.gradient(y, x)])
        self.value = peer.array.array("d", [0])
        self.result = peer.array.array("d", bytes(8 * n))
        if not self.folder:
            self.buffer, self.evaluate = self.f.buffer()
            self.buffer.set_arg(0, memoryview(self.inputs))
            self.buffer.set_res(0, memoryview(self.value))
            self.buffer.set_res(1, memoryview(self.result))

    def run(self, n):
        return peer.timed(self.evaluate, n)

    def gradient(self):
        self.evaluate()
        return list(self.value) + list(self.result)

    def built(self):
        os.makedirs(self.folder, exist_ok=True)
        here = os.getcwd()
        os.chdir(self.folder)
        source = self.f.generate("F.c")
        compiler = os.environ.get("TAPEGRAD_BENCH_CC", "cc").split()
        number = 0
        while os.path.exists("F%d.so" % number):
            number += 1
        done = subprocess.run(compiler + ["-O3", "-shared", "-fPIC", source, "-o", "F%d.so" % number, "-lm"],
                              stderr=subprocess.DEVNULL, check=False)
        os.chdir(here)
        return os.path.join(self.folder, "F%d.so" % number) if done.returncode == 0 else "it does not compile"


peer.serve("CasADi %s" % ca.__version__, scalar=Scalar)
