#!/usr/bin/env python3
"""cli_train.py - tapegrad train, predict and lesson, the manual and completion, as from a shell

    cli_train.py TAPEGRAD SOURCE_ROOT
"""

import csv
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TAPEGRAD = os.path.abspath(sys.argv[1])
ROOT = os.path.abspath(sys.argv[2])
DATA = os.path.join(ROOT, "examples", "data")
IRIS = os.path.join(DATA, "iris.csv")
PENGUINS = os.path.join(DATA, "penguins.csv")
LESSONS = os.path.join(ROOT, "examples", "lessons")

tests = []


def test(function):
    tests.append(function)
    return function


def tapegrad(*arguments, status=0, environment=None):
    """Runs it; gives what it wrote to standard output and error."""
    done = subprocess.run([TAPEGRAD, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=120,
                          env={**os.environ, **(environment or {})})
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode}, want {status}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def refuses(text, *arguments, status=2):
    """It ends with that status and a message that holds the text."""
    out, error = tapegrad(*arguments, status=status)
    assert error.startswith("tapegrad: ") and text in error, f"{arguments}: {error!r} lacks {text!r}"


def score(out, part, column):
    """A number of the table of scores."""
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("part "))
    row = next(line for line in lines[head:] if line.startswith(part))
    return float(row.split()[lines[head].split().index(column)])


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def read(text):
    return list(csv.DictReader(text.splitlines()))


def moons(path, rows=200):
    """Two half moons with words for classes, and a column that says nothing."""
    draw = random.Random(1)
    table = [["id", "kind", "x", "y"]]
    for i in range(rows):
        angle, which = math.pi * draw.random(), i % 2
        x, y = math.cos(angle) + which, math.sin(angle) * (1 - 2 * which) + which / 2
        table.append([i, ["upper, left", 'lower "right"'][which], x + draw.gauss(0, .1), y + draw.gauss(0, .1)])
    write(path, table)


@test
def iris_is_learnt():
    out, error = tapegrad("train", "--data", IRIS, "--label", "species", "--hidden", "64,32")
    assert score(out, "test", "accuracy") >= .9, out
    assert score(out, "validation", "accuracy") >= .9, out
    assert "confusion matrix, test part" in out and "2,499" in out, out
    assert "epoch 100/100" in error, error
    assert max(map(len, out.splitlines())) <= 80, out


@test
def the_same_seed_gives_the_same_bytes():
    seen = []
    for seed, environment in (("3", {}), ("3", {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}), ("4", {})):
        out, _ = tapegrad("train", "--data", IRIS, "--epochs", "5", "--dropout", ".2", "--seed", seed, "--quiet",
                          "--save", "m", "--curves", "c.svg", environment=environment)
        seen.append((out, *(contents(f) for f in ("m", "m.json", "m.columns.json", "c.svg"))))
    assert seen[0] == seen[1]
    assert seen[0][1] != seen[2][1]


@test
def predict_reads_what_train_saved():
    moons("moons.csv")
    out, error = tapegrad("train", "--data", "moons.csv", "--label", "kind", "--skip", "id", "--rate", ".01", "--save",
                          "moons.model", "--quiet")
    assert error == "" and score(out, "test", "accuracy") >= .95, out
    with open("moons.model.columns.json", encoding="utf-8") as file:
        assert json.load(file) == {"format": "tapegrad columns 1", "inputs": ["x", "y"], "target": "kind",
                                   "classes": ["upper, left", 'lower "right"']}
    out, _ = tapegrad("predict", "--model", "moons.model", "--data", "moons.csv")
    with open("moons.csv", encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    rows = read(out)
    assert len(rows) == len(truth) == 200
    assert sum(a["kind"] == b["kind"] for a, b in zip(rows, truth)) >= 190
    for row in rows:
        p = {name[2:]: float(x) for name, x in row.items() if name.startswith("p_")}
        assert abs(sum(p.values()) - 1) < 1e-5 and max(p, key=p.get) == row["kind"], row


@test
def predict_goes_by_names():
    moons("moons.csv")
    tapegrad("train", "--data", "moons.csv", "--label", "kind", "--skip", "id", "--epochs", "3", "--save", "m", "--quiet")
    want, _ = tapegrad("predict", "--model", "m", "--data", "moons.csv")
    with open("moons.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write("turned.csv", [["y", "remark", "x"]] + [[r["y"], "a word", r["x"]] for r in rows])
    assert tapegrad("predict", "--model", "m", "--data", "turned.csv")[0] == want
    tapegrad("predict", "--model", "m", "--data", "turned.csv", "--output", "answers.csv")
    assert contents("answers.csv").decode() == want


@test
def columns_go_by_number_too():
    moons("moons.csv")
    for arguments in (("--label", "1", "--skip", "0"), ("--label", "kind", "--skip", "0,3"), ("--skip", "id,2,3")):
        status = 2 if arguments[0] == "--skip" else 0
        tapegrad("train", "--data", "moons.csv", "--epochs", "1", "--save", "m", "--quiet", *arguments, status=status)
    with open("moons.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    write("last.csv", [[r[2], r[3], r[1], r[0]] for r in rows])
    tapegrad("train", "--data", "last.csv", "--epochs", "1", "--save", "m", "--quiet", "--skip", "3")
    out, _ = tapegrad("predict", "--model", "m", "--data", "moons.csv")
    assert out.startswith('kind,"p_upper, left","p_lower ""right"""\n'), out[:60]


@test
def a_regression_speaks_the_targets_unit():
    for optimizer in ("adam", "sgd", "lbfgs"):
        out, _ = tapegrad("train", "--data", PENGUINS, "--label", "body_mass_g", "--regression", "--hidden", "16",
                          "--optimizer", optimizer, "--epochs", "60", "--save", "m", "--quiet")
        assert score(out, "test", "r2") > .7, (optimizer, out)
        assert 200 < score(out, "test", "rmse") < 450, (optimizer, out)
    out, _ = tapegrad("predict", "--model", "m", "--data", PENGUINS)
    masses = [float(row["body_mass_g"]) for row in read(out)]
    assert len(masses) == 333 and all(2000 < mass < 7000 for mass in masses)


@test
def bad_input_is_named():
    train = ("train", "--quiet", "--data")
    refuses("cannot open", *train, "nowhere.csv")
    refuses('did you mean "species"', *train, IRIS, "--label", "specie")
    write("word.csv", [["a", "b", "kind"], [1, 2, 0], [3, "four", 1]])
    refuses('word.csv:3: column 2 (b): "four" is not a number', *train, "word.csv")
    write("same.csv", [["a", "kind"]] + [[i, 0] for i in range(9)])
    refuses("the same label", *train, "same.csv")
    refuses("--regression", *train, PENGUINS)
    refuses("unknown activation 'rleu'; did you mean 'relu'", *train, IRIS, "--activation", "rleu")
    refuses("did you mean 'nadam'", *train, IRIS, "--optimizer", "nadamm")
    refuses("did you mean '--hidden'", *train, IRIS, "--hiden", "3")
    refuses("--hidden", *train, IRIS, "--hidden", "64,")
    refuses("--epochs is an integer", *train, IRIS, "--epochs", "many")
    refuses("leave nothing to train on", *train, IRIS, "--test", ".5", "--validation", ".5")
    refuses("two columns", *train, IRIS, "--boundary", "b.svg")
    refuses("cannot write there", *train, IRIS, "--save", "nowhere/model")
    refuses("--data is missing", "train")
    refuses("infinite", *train, PENGUINS, "--regression", "--optimizer", "sgd", "--rate", "1000", status=3)


@test
def what_predict_cannot_use_is_named():
    tapegrad("train", "--data", IRIS, "--epochs", "1", "--save", "m", "--quiet")
    predict = ("predict", "--model", "m", "--data")
    write("short.csv", [["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_widht_cm"], [1, 2, 3, 4]])
    refuses('no column "petal_width_cm", which the model wants; is it "petal_widht_cm"?', *predict, "short.csv")
    write("twice.csv", [["sepal_length_cm"] * 2, [1, 2]])
    refuses('two columns are called "sepal_length_cm"', *predict, "twice.csv")
    write("word.csv", [["petal_width_cm", "petal_length_cm", "sepal_width_cm", "sepal_length_cm"], [1, 2, 3, 4], [1, 2, "x", 4]])
    refuses('word.csv:3: column 3 (sepal_width_cm): "x" is not a number', *predict, "word.csv")
    refuses("cannot open", *predict, "nowhere.csv")
    refuses("nowhere", "predict", "--model", "nowhere", "--data", IRIS)
    refuses("--model is missing", "predict", "--data", IRIS)
    os.remove("m.columns.json")
    refuses("m.columns.json: cannot read it", *predict, IRIS)
    write("m.columns.json", [["not JSON"]])
    refuses("m.columns.json:1:", *predict, IRIS)
    with open("m.columns.json", "w", encoding="utf-8") as file:
        json.dump({"format": "tapegrad columns 1", "inputs": ["a"], "target": "t", "classes": None}, file)
    refuses("does not belong to the model", *predict, IRIS)


@test
def two_columns_have_a_boundary():
    moons("moons.csv")
    out, _ = tapegrad("train", "--data", "moons.csv", "--label", "kind", "--skip", "id", "--rate", ".01", "--boundary",
                      "b.svg", "--curves", "c.svg", "--quiet")
    assert "* decision boundary" in out and "boundary: b.svg" in out and "curves: c.svg" in out, out
    assert max(map(len, out.splitlines())) <= 80, out
    svg = contents("b.svg").decode()
    assert svg.startswith("<svg") and 'lower "right"' in svg.replace("&quot;", '"') and svg.count("<path") >= 6


@test
def ctrl_c_leaves_a_model():
    train = subprocess.Popen([TAPEGRAD, "train", "--data", IRIS, "--epochs", "1000000", "--save", "m", "--curves", "c.svg"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    for _ in range(60):  # epochs
        train.stderr.readline()
    train.send_signal(signal.SIGINT)
    out, error = train.communicate(timeout=60)
    assert train.returncode == 0, (train.returncode, out, error)
    assert "stopped" in error and "confusion matrix" in out, (out, error)
    out, _ = tapegrad("predict", "--model", "m", "--data", IRIS)
    with open(IRIS, encoding="utf-8", newline="") as file:
        truth = [row["species"] for row in csv.DictReader(file)]
    assert sum(a["species"] == b for a, b in zip(read(out), truth)) >= 135
    assert contents("c.svg").startswith(b"<svg")


@test
def lessons_are_listed_and_run():
    out, _ = tapegrad("lesson")
    listed = re.findall(r"^  (\w+)  ", out, re.MULTILINE)
    there = sorted(name[:-2] for name in os.listdir(LESSONS) if name.endswith(".c") and name != "lesson.c")
    assert listed == there or not listed, (listed, there)
    assert max(map(len, out.splitlines())) <= 80, out
    if not listed:
        return
    out, _ = tapegrad("lesson", "chain")
    assert "x1" in out and "right" in out, out
    refuses("did you mean 'chain'", "lesson", "chian")
    refuses("`tapegrad lesson` lists them", "lesson", "../../../bin/sh")


@test
def lessons_come_from_the_folder_that_is_named():
    if not tapegrad("lesson")[0].startswith("  "):
        return
    with open("chain", "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nprintf "%s;" "$@"\nexit 1\n')
    os.chmod("chain", 0o755)
    out, _ = tapegrad("lesson", "chain", "a b", "$HOME", "--", "-x", status=1, environment={"TAPEGRAD_LESSONS": os.getcwd()})
    assert out == "a b;$HOME;--;-x;", out
    _, error = tapegrad("lesson", "chain", status=2, environment={"TAPEGRAD_LESSONS": "/nowhere"})
    assert "/nowhere/chain" in error, error


def commands():
    return re.findall(r"^  ([a-z]+) {2,}", tapegrad("--help")[0], re.MULTILINE)


def options(command):
    lines = re.findall(r"^  (--.*)", tapegrad(command, "--help")[0], re.MULTILINE)
    return [option for line in lines for option in re.findall(r"--[a-z][a-z-]*", line)]


@test
def the_manual_has_every_command_and_option():
    with open(os.path.join(ROOT, "docs", "tapegrad.1"), encoding="utf-8") as file:
        manual = file.read()
    sections = {part.split()[0]: part for part in manual.split(".Sh EXIT STATUS")[0].split("\n.Ss ")[1:]}
    assert sorted(sections) == sorted(commands()), (sorted(sections), commands())
    for command, section in sections.items():
        written = {"--" + name for name in re.findall(r"^\.It Fl -([a-z-]+)", section, re.MULTILINE)}
        assert written == set(options(command)), (command, written ^ set(options(command)))


@test
def bash_completes_what_there_is():
    script = os.path.join(ROOT, "cli", "tapegrad.bash")
    ask = """. "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _tapegrad; printf "%s\\n" "${COMPREPLY[@]}\""""

    def complete(*words):
        done = subprocess.run(["bash", "-c", ask, "bash", script, TAPEGRAD, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.split()

    if not shutil.which("bash"):
        return
    assert complete("") == commands() + ["--help", "--version"]
    assert complete("pre") == ["predict"]
    for command in commands():
        assert complete(command, "--") == options(command) + ["--help"], command
    assert complete("train", "--optimizer", "ada") == ["adagrad", "adadelta", "adam", "adamw", "adamax"]
    assert complete("train", "--data", "x") == []
    if tapegrad("lesson")[0].startswith("  "):
        assert complete("lesson", "ch") == ["chain"]


def main():
    failed = 0
    print(f"1..{len(tests)}")
    for number, function in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                function()
                print(f"ok {number} - {function.__name__}", flush=True)
            except (AssertionError, OSError, ValueError, StopIteration, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"not ok {number} - {function.__name__}", flush=True)
                print("".join(f"# {line}\n" for line in str(error).splitlines()), end="")
            os.chdir("/")
    return failed > 0


sys.exit(main())
