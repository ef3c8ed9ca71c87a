#!/usr/bin/env python3
"""Looks at what the benchmark says of itself, and at what is made of it; reports in TAP.

    bench_test.py BENCH REPORT

BENCH is the program, run for a few cases that take no time; REPORT is bench/report.py. Nothing here depends on how
fast anything is.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

BENCH, REPORT = sys.argv[1:3]
ENVIRONMENT = dict(os.environ, TAPEGRAD_BENCH_PYTHON="/nonexistent", TAPEGRAD_BENCH_COMMIT="abc1234")


class Failure(Exception):
    pass


def want(good, text):
    if not good:
        raise Failure(text)


def bench(*arguments, status=0):
    done = subprocess.run([BENCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False)
    want(done.returncode == status, "%s: status %d: %s" % (arguments, done.returncode, done.stderr.decode()))
    return done.stdout.decode()


def row(bench_name, case, ours, peer, peer_name, **more):
    ratio = ours / peer if peer else None
    return dict({"bench": bench_name, "case": case, "way": "", "ours": ours, "ours_low": ours, "ours_high": ours,
                 "peer": peer, "peer_low": peer, "peer_high": peer, "peer_name": peer_name, "ratio": ratio,
                 "ratio_low": ratio and ratio * .9, "ratio_high": ratio and ratio * 1.1, "rounds": 9, "unit": "us/step"},
                **more)


def results(rows, others=0.0):
    return {"format": 1,
            "machine": {"cpu": "A <processor> & co", "cores": 2, "memory_gib": 8, "last_cache_mib": 32, "system": "Linux"},
            "build": {"version": "0", "commit": "abc1234", "dirty": True, "compiler": "gcc 12", "flags": "-O3 "},
            "run": {"date": "2026-01-02T03:04:05Z", "against": "", "filter": "", "quick": True}, "rows": rows,
            "notes": ["something was remarked"],
            "load": {"average_before": 1, "average_after": 2, "others_cores": others, "stolen_cores": 0, "seconds": 5},
            "wrong": False}


def report(rows, **more):
    """the page and the pictures that are made of rows"""
    with tempfile.TemporaryDirectory() as folder:
        page, file = os.path.join(folder, "performance.md"), os.path.join(folder, "results.json")
        with open(page, "w", encoding="utf-8") as to:
            to.write("before\n<!-- results: written by ./run bench --report -->\nold\n<!-- end of results -->\nafter\n")
        with open(os.path.join(folder, "performance-old.svg"), "w", encoding="utf-8") as to:
            to.write("old")
        with open(file, "w", encoding="utf-8") as to:
            json.dump(results(rows, **more), to)
        texts = []
        for _ in range(2):  # made twice it is the same
            done = subprocess.run([sys.executable, REPORT, file, "--docs", folder], stderr=subprocess.PIPE, check=False)
            want(done.returncode == 0, done.stderr.decode())
            with open(page, encoding="utf-8") as made:
                texts.append(made.read())
        want(texts[0] == texts[1], "made again, the page is another")
        pictures = {}
        for name in sorted(os.listdir(folder)):
            if name.endswith(".svg"):
                pictures[name] = xml.etree.ElementTree.parse(os.path.join(folder, name)).getroot()
    return texts[0], pictures


def training(batch, ours, torch, hand):
    case = "784-64-64-10, batch %d, Adam" % batch
    return [row("training", case, ours, torch, "PyTorch 9, eager", size=batch, promise=.25, met=ours / torch <= .25),
            row("training", case, ours, hand, "hand-written C on BLAS", size=batch)]


# ---- cases ---------------------------------------------------------------------------------------


def the_program_writes_results_that_can_be_read():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "results.json")
        bench("--quick", "--output", path, "--filter", "scalar: x1*x2")
        with open(path, encoding="utf-8") as file:
            made = json.load(file)
        want(not os.path.exists(path + ".part"), "a part of the results is left over")
    want(made["format"] == 1 and made["wrong"] is False and made["build"]["commit"] == "abc1234", "the head is wrong")
    want(made["machine"]["cores"] >= 1 and made["run"]["quick"] is True, "the machine is wrong")
    rows = {r["peer_name"]: r for r in made["rows"]}
    hand = rows.get("hand-written derivative")
    want(hand and hand["ours"] > 0 and hand["peer"] > 0 and hand["rounds"] >= 5, "no hand-written derivative")
    want(hand["ratio_low"] <= hand["ratio"] <= hand["ratio_high"], "quartiles that are none")
    want(hand["met"] == (hand["ratio"] <= hand["promise"]), "met, but not as promised")
    want(set(r["bench"] for r in made["rows"]) == {"scalar"}, "the filter let others through")


def lines_of_json_are_rows():
    lines = [json.loads(line) for line in bench("--json", "--quick", "--filter", "memory: x1*x2").splitlines()]
    want(lines and all(line["bench"] == "memory" and line["unit"] == "bytes" for line in lines), repr(lines))


def two_builds_are_compared():
    here = os.path.dirname(BENCH)
    text = bench("--quick", "--against", here, "itself", "--filter", "against: x1*x2")
    want("itself" in text and "recorded" in text, text)


def awaited(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(.01)
    return condition()


def what_is_stopped_leaves_nothing_behind():
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            process = subprocess.Popen([BENCH, "--filter", "scalar: x1*x2"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=dict(ENVIRONMENT, TMPDIR=folder),
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # not inherited
            begun = awaited(lambda: os.listdir(folder) != [] or process.poll() is not None)
            process.send_signal(number)
            want(begun and process.wait() == -number, "it had ended by itself")
            want(awaited(lambda: os.listdir(folder) == []), "signal %d: %s is left" % (number, os.listdir(folder)))


def wrong_options_are_refused():
    bench("--nonsense", status=2)
    bench("--quick", "--filter", "no such case", status=2)
    want("--against" in bench("--help"), "no help")


def a_page_says_what_was_met_missed_and_lost():
    text, _ = report(training(32, 100, 500, 60) + training(128, 200, 300, 250) +
                     [row("limit", "784-64-64-10, batch 32, Adam", 100, None, "limit (products: )", promise=1.3, met=None)])
    want(text.startswith("before\n") and text.endswith("after\n") and "old" not in text, "the text around is not kept")
    want("1 met, 1 missed, 1 not measured" in text, "promises are not counted")
    lost = text[text.index("### Where we lose"):text.index("### A training step")]
    want("hand-written C on BLAS | 1 |" in lost and "PyTorch" not in lost, "what is lost is not said: " + lost)
    want("A <processor> & co" in text and "not committed" in text and "something was remarked" in text, "the head is wrong")
    want("busy" not in text, "busy, on a machine that was not")


def a_page_says_that_the_machine_was_busy():
    want("busy machine" in report(training(32, 100, 500, 60), others=1.0)[0], "not said")


def pictures_have_a_line_a_peer_and_fresh_names():
    _, pictures = report(training(32, 100, 500, 60) + training(128, 200, 300, 250) + [
        row("growth", "chain, add and mul, 10^%d operations" % k, 5, 4, "ADOL-C", way="recorded", size=10 ** k)
        for k in range(1, 9)])
    want(set(pictures) == {"performance-recorded.svg", "performance-training.svg"}, repr(sorted(pictures)))
    space = "{http://www.w3.org/2000/svg}"
    for name, root in pictures.items():
        want(root.find(space + "title") is not None and root.find(space + "desc") is not None, name + " has no title")
        box = [float(v) for v in root.get("viewBox").split()]
        for group in root.iter(space + "g"):
            left, top = (float(v) for v in group.get("transform")[10:-1].split(","))
            for circle in group.iter(space + "circle"):
                x, y = left + float(circle.get("cx")), top + float(circle.get("cy"))
                want(0 < x < box[2] and 0 < y < box[3], name + ": a mark lies outside")
    lines = [p for p in pictures["performance-training.svg"].iter(space + "path") if p.get("fill") == "none"]
    want(len(lines) == 2, "%d lines for two peers" % len(lines))


def results_of_another_format_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "results.json")
        with open(file, "w", encoding="utf-8") as to:
            to.write('{"format":2}')
        done = subprocess.run([sys.executable, REPORT, file], stderr=subprocess.PIPE, check=False)
        want(done.returncode == 1 and b"format" in done.stderr, done.stderr.decode())


CASES = [the_program_writes_results_that_can_be_read, lines_of_json_are_rows, two_builds_are_compared,
         what_is_stopped_leaves_nothing_behind,
         wrong_options_are_refused, a_page_says_what_was_met_missed_and_lost, a_page_says_that_the_machine_was_busy,
         pictures_have_a_line_a_peer_and_fresh_names, results_of_another_format_are_refused]

print("1..%d" % len(CASES), flush=True)
bad = 0
for number, case in enumerate(CASES, 1):
    try:
        case()
        print("ok %d - %s" % (number, case.__name__), flush=True)
    except Failure as failure:
        bad += 1
        print("not ok %d - %s" % (number, case.__name__))
        print("# " + str(failure).replace("\n", "\n# "), flush=True)
sys.exit(bad != 0)
