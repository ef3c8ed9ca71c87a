#!/usr/bin/env python3
"""fashion_torch.py - the recipes of examples/lessons/fashion.c in PyTorch, for docs/results.md

    fashion_torch.py FOLDER [slide|adam|best] [--epochs N] [--seeds N]

One thread, eager, as its users write it: the images in memory, a permutation an epoch, a slice of it a step.
"""
import argparse
import gzip
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch
from torch import nn

RECIPES = {
    "slide": dict(hidden=64, epochs=10, batch=32, optimizer=lambda p: torch.optim.RMSprop(p, 1e-3, .9, 1e-7)),
    "adam": dict(hidden=64, epochs=10, batch=32, optimizer=lambda p: torch.optim.Adam(p, 1e-3)),
    "best": dict(hidden=512, epochs=30, batch=128, optimizer=lambda p: torch.optim.AdamW(p, 4e-3, weight_decay=.02),
                 dropout=.3, smoothing=.05, cycle=4e-3, flip=True),
}


def read(folder, part, kind, header):
    path = os.path.join(folder, "%s-%s-ubyte" % (part, kind))
    opened = gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")
    with opened as file:
        data = bytearray(file.read())
    return torch.frombuffer(data, dtype=torch.uint8, offset=header)


def images(folder, part):
    x = read(folder, part, "images-idx3", 16).reshape(-1, 1, 28, 28).float() / 255
    return x, read(folder, part, "labels-idx1", 8).long()


def network(r):
    layers, width = [nn.Flatten()], 784
    for _ in range(2):
        layers += [nn.Linear(width, r["hidden"])]
        layers += [nn.BatchNorm1d(r["hidden"])] if "dropout" in r else []
        layers += [nn.ReLU()]
        layers += [nn.Dropout(r["dropout"])] if "dropout" in r else []
        width = r["hidden"]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def train(r, x, y):
    model = network(r)
    optimizer = r["optimizer"](model.parameters())
    loss = nn.CrossEntropyLoss(label_smoothing=r.get("smoothing", 0))
    steps = -(-len(x) // r["batch"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, r["cycle"], total_steps=r["epochs"] * steps, cycle_momentum=False) if "cycle" in r else None
    start = time.perf_counter()
    for _ in range(r["epochs"]):
        order = torch.randperm(len(x))
        for i in range(0, len(x), r["batch"]):
            rows = order[i:i + r["batch"]]
            batch = x[rows]
            if r.get("flip"):
                batch = torch.where(torch.rand(len(rows), 1, 1, 1) < .5, batch.flip(3), batch)
            optimizer.zero_grad()
            loss(model(batch), y[rows]).backward()
            optimizer.step()
            if schedule:
                schedule.step()
    return model, (time.perf_counter() - start) / r["epochs"]


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("recipe", nargs="?", default="slide", choices=RECIPES)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    recipe = dict(RECIPES[asked.recipe])
    recipe["epochs"] = asked.epochs or recipe["epochs"]
    torch.set_num_threads(1)
    data, test = images(asked.folder, "train"), images(asked.folder, "t10k")
    reached = []
    for seed in range(1, asked.seeds + 1):
        torch.manual_seed(seed)
        model, seconds = train(recipe, *data)
        reached.append(100 * accuracy(model, *test))
        print("seed %d: test accuracy %.2f %%, %.2f s an epoch" % (seed, reached[-1], seconds), flush=True)
    spread = torch.tensor(reached).std().item() if len(reached) > 1 else 0
    print("PyTorch %s, %s, %d epochs, %d seeds: test accuracy %.2f %%, standard deviation %.2f"
          % (torch.__version__, asked.recipe, recipe["epochs"], len(reached), sum(reached) / len(reached), spread))


if __name__ == "__main__":
    main()
