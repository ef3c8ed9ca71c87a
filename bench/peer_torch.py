#!/usr/bin/env python3
"""peer_torch.py - the training steps of step.c in PyTorch, asked the same way.

One thread, eager, as its users write it: torch.nn, torch.optim, torch.nn.functional.
"""
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

BATCHES = 4


def say(text):
    print(text, flush=True)


try:
    import torch
except ImportError as error:
    say(f"absent {error}")
    sys.exit(0)


def floats(shape, times, modulus, shift, scale):
    """Any numbers, but the same as in step.c."""
    i = torch.arange(int(torch.tensor(shape).prod()))
    return (((i * times % modulus).double() / modulus - shift) * scale).float().reshape(shape)


class Trainer:
    def __init__(self, widths, batch, optimizer):
        layers = []
        for k, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            linear = torch.nn.Linear(n_in, n_out)
            with torch.no_grad():
                weight = floats((n_in, n_out), 7919 + k, 1000, .5, 2 * (6 / n_in) ** .5)
                linear.weight.copy_(weight.T)
                linear.bias.zero_()
            layers += [linear, torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        if optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        else:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=.1)
        self.x = [floats((batch, widths[0]), 31 + i, 97, 0, 1) for i in range(BATCHES)]
        if widths[-1] == 1:
            self.loss_function = torch.nn.functional.binary_cross_entropy_with_logits
            self.y = [floats((batch, 1), 1 + i, 2, 0, 2) for i in range(BATCHES)]
        else:
            self.loss_function = torch.nn.functional.cross_entropy
            self.y = [(torch.arange(batch) * 7 + i) % widths[-1] for i in range(BATCHES)]
        self.steps = 0
        self.loss = None

    def run(self, n):
        start = time.perf_counter()
        for _ in range(n):
            which = self.steps % BATCHES
            self.steps += 1
            self.optimizer.zero_grad(set_to_none=True)
            self.loss = self.loss_function(self.model(self.x[which]), self.y[which])
            self.loss.backward()
            self.optimizer.step()
        return (time.perf_counter() - start) / n * 1e6


def resident_mib():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return float("nan")


torch.set_num_threads(1)
say(f"ready PyTorch {torch.__version__}")
trainer = None
for question in sys.stdin:
    words = question.split()
    if words[0] == "model":
        trainer = Trainer([int(w) for w in words[1].split(",")], int(words[2]), words[3])
        say("ok")
    elif words[0] == "run":
        say(f"{trainer.run(int(words[1])):.9g}")
    elif words[0] == "loss":
        say(f"{trainer.loss.item():.9g}")
    elif words[0] == "memory":
        say(f"{resident_mib():.9g}")
    else:
        say("what?")
