"""peer.py - what the peers in Python have in common: being asked a line at a time

    scalar chain 500000 4 FILE ...        ->  ok, or absent and why
    model 784,64,64,10 32 adam 1 HOW      ->  the same, for a training step; 1: threads
    wide tanh 30000000 1 HOW              ->  the same, for long arrays
    run 100                               ->  microseconds each
    gradient FILE, loss, memory, done     ->  what peers.h, bench_train.c and bench_wide.c say

Each case is answered by a fork, which finds a process that has imported the library and nothing else.
"""
import array
import os
import sys
import time

BATCHES = 4


class Absent(Exception):
    """a case that this peer does not have"""


def say(text):
    sys.stdout.write(str(text) + "\n")
    sys.stdout.flush()


def use_cores(threads):
    """the last of the cores that this process may use, as the benchmark does itself"""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def memory_mib():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float("nan")


def read_doubles(path):
    values = array.array("d")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def timed(function, n):
    start = time.perf_counter()
    for _ in range(n):
        function()
    return (time.perf_counter() - start) / n * 1e6


def answer(case, words):
    if words[0] == "run":
        return "%.9g" % case.run(int(words[1]))
    if words[0] == "loss":
        return "%.9g" % case.loss()
    if words[0] == "gradient":
        with open(words[1], "wb") as file:
            array.array("d", case.gradient()).tofile(file)
        return "ok"
    if words[0] == "library":
        return case.built()
    if words[0] == "memory":
        return "%.9g" % memory_mib()
    return "0"


def dialogue(make, words):
    """one case, until it is done"""
    try:
        case = make(words[1:])
    except Absent as reason:
        say("absent %s" % reason)
        return
    except Exception as error:  # pylint: disable=broad-except
        say("absent %s" % repr(error).replace("\n", " ")[:300])
        return
    say("ok")
    for line in sys.stdin:
        words = line.split()
        if words[0] == "done":
            say("ok")
            return
        try:
            say(answer(case, words))
        except Exception as error:  # pylint: disable=broad-except
            say("failed %s" % repr(error).replace("\n", " ")[:300])


def serve(name, **makers):
    """makers: of a case, from the words behind the question that begins it"""
    say("ready %s" % name)
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        words = line.split()
        if not words or words[0] not in makers:
            say("absent")
            continue
        child = os.fork()
        if child == 0:
            threads = int(words[4]) if words[0] == "model" else int(words[3]) if words[0] == "wide" else 1
            use_cores(threads)
            dialogue(makers[words[0]], words)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


def floats(i, times, modulus, shift, scale):
    """Any numbers, but the same as in step.c; i: an array of integers, of numpy or PyTorch."""
    return ((i * times % modulus) / modulus - shift) * scale
