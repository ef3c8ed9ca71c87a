#!/usr/bin/env python3
"""Writes a folder of tiny images in MNIST's format and runs a program on it: tiny_idx.py FOLDER PROGRAM [ARGUMENT]...

The program gets the folder as its first argument. The images are 10x4, in ten classes that a network tells apart at
once, mirrored or not: class k is bright in row k.
"""
import os
import random
import struct
import subprocess
import sys

CLASSES, WIDTH = 10, 4  # an image has a row for each class


def image(label, noise):
    rows = [[noise.randrange(40) + 200 * (row == label) for _ in range(WIDTH)] for row in range(CLASSES)]
    return bytes(sum(rows, []))


def write(folder, part, rows, noise):
    labels = [i % CLASSES for i in range(rows)]
    with open(os.path.join(folder, part + '-images-idx3-ubyte'), 'wb') as to:
        to.write(struct.pack('>4i', 0x803, rows, CLASSES, WIDTH) + b''.join(image(k, noise) for k in labels))
    with open(os.path.join(folder, part + '-labels-idx1-ubyte'), 'wb') as to:
        to.write(struct.pack('>2i', 0x801, rows) + bytes(labels))


def main():
    folder, program, *arguments = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    noise = random.Random(1)
    write(folder, 'train', 600, noise)
    write(folder, 't10k', 100, noise)
    sys.exit(subprocess.run([program, folder, *arguments]).returncode)


main()
