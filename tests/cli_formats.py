#!/usr/bin/env python3
"""Reads what `tapegrad trace` writes for programs with parsers that others wrote: cli_formats.py TAPEGRAD

JSON, CSV, Graphviz and LaTeX of golden traces and of every elementwise operation. Documents are compiled where
pdflatex and TikZ are, graphs drawn where dot is. Reports in TAP.
"""
import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "tapegrad"
FORMATS = ["--json", "--csv", "--dot", "--latex"]
FINE, USAGE, NOT_FINITE = 0, 2, 3

# expression, point, value, gradient
GOLDEN = [
    ("x1*x2 + sin(x1)", "x1=2,x2=5", 10.909297426825681, {"x1": 4.583853163452858, "x2": 2.0}),
    ("x1*x2 + sin(x1)", "x1=2,x2=3", 6.909297426825682, {"x1": 2.5838531634528574, "x2": 2.0}),
    ("ln(x1) + x1*x2 - sin(x2)", "x1=2,x2=5", 11.652071455223084, {"x1": 5.5, "x2": 1.7163378145367738}),
    ("sigmoid(w0*x0 + w1*x1 + w2)", "w0=2,w1=-3,w2=-3,x0=-1,x1=-2", 0.7310585786300049,
     {"w0": -0.19661193324148185, "w1": -0.3932238664829637, "w2": 0.19661193324148185,
      "x0": 0.3932238664829637, "x1": -0.5898357997244456}),
]
# what is hard on a format: tensors, names, numbers that are not finite, one node as two arguments, constants
HARD = [
    ("norm(softmax(W @ x + b, 0)) + sum(x)^2", "W=[1,2;3,4],x=[1,2],b=[.5,1]"),
    ("sum([1, 2; 3, 4] @ transpose(W) * W) + dot(x, [1, 2])", "W=[1,2;3,4],x=[1,2]"),
    ("h = sigmoid(w*x + b); loss = (h - y)^2/2 + h*h; loss", "w=.6,b=.9,x=1,y=0"),
    ("θ*x₁ + φ_2/é - 漢字^2*_a*b_*__ + net_out12", "θ=1,x₁=2,φ_2=3,é=4,漢字=5,_a=6,b_=7,__=8,net_out12=9"),
    ("log(x)/0 + exp(1000*y) - 1e-300*y + 1/3*x", "x=1,y=1"),
    ("where(x > y, x, [1, 2]) @ [3, 4] + pi*x^-3", "x=1,y=2"),
    ("a = x\nb = a*a # the square\nb + a", "x=3"),
    ("x", "x=3"),
    ("x" + "/2" * 40, "x=3"),
    (" + ".join("sin(%d*x)" % i for i in range(1, 30)), "x=.1"),
]


def run(arguments, env=None):
    done = subprocess.run([PROGRAM, "trace"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    return done.returncode, done.stdout, done.stderr.decode()


def trace(expression, at, *options):
    status, out, message = run([expression, "--at", at] + list(options))
    assert status in (FINE, NOT_FINITE) and not message, "%s: status %d: %s" % (expression, status, message)
    return out.decode()


def as_json(expression, at, *options):
    def refuse(word):
        raise AssertionError("JSON has no %s" % word)

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), "a key is there twice: %s" % [k for k, _ in pairs]
        return dict(pairs)

    return json.loads(trace(expression, at, "--json", *options), parse_constant=refuse, object_pairs_hook=unique)


def near(a, b, tolerance=1e-12):
    """Numbers, or arrays of them; NaN is near NaN"""
    if isinstance(a, list):
        return len(a) == len(b) and all(near(x, y, tolerance) for x, y in zip(a, b))
    a, b = float(a), float(b)
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (math.isnan(a) and math.isnan(b))
    return abs(a - b) <= tolerance * max(1, abs(a), abs(b))


def operations():
    """(name, number of arguments) of each elementwise row"""
    with open(os.path.join(ROOT, "docs", "ops.md"), encoding="utf-8") as page:
        rows = page.read().split("## Elementwise")[1].split("\n## ")[0]
    found = [(name, len(arguments.split(","))) for name, arguments in re.findall(r"^\| `ad_(\w+)\(([^)]*)\)`", rows, re.M)]
    assert len(found) > 50, "docs/ops.md has changed: %d rows found" % len(found)
    return found


def calls():
    """Each elementwise operation on inputs, and a point within its domain"""
    points = {"log1mexp": "a=-.6", "acosh": "a=1.6", "polygamma": "a=2,b=.7", "clamp": "a=.6,b=-1,c=1"}
    for name, n in operations():
        letters = "abc"[:n]
        at = points.get(name, ",".join("%s=%s" % pair for pair in zip(letters, (".6", ".7", ".4"))))
        yield "%s(%s)" % (name, ", ".join(letters)), at


# ---- JSON ----

def shape_of(value):
    return [len(value)] + shape_of(value[0]) if isinstance(value, list) else []


def check_node(t, node):
    where = "%s, %s" % (t["expression"], node["name"])
    assert node["name"] == "v%d" % node["id"], where
    assert shape_of(node["value"]) == node["shape"] == shape_of(node["adjoint"]), where
    assert len(node["parents"]) == len(node["partials"]), where
    for parent in node["parents"]:
        assert isinstance(parent, dict) and list(parent) == ["constant"] or 1 <= parent < node["id"], where
    if node["span"]:
        at, length = node["span"]["at"], node["span"]["length"]
        assert 0 <= at < at + length <= len(t["expression"].encode()), where
    total = 1 if node["id"] == t["result"] else 0
    for c in node["contributions"]:
        source = t["nodes"][c["from"] - 1]
        partial = source["partials"][c["argument"] - 1]
        assert source["parents"][c["argument"] - 1] == node["id"], where
        assert c["symbol"] == partial["symbol"] != "", where
        total = None if c["value"] is None or total is None else total + float(c["value"])
        if c["value"] is not None:
            assert near(c["value"], float(source["adjoint"]) * float(partial["value"])), where
    if total is not None and math.isfinite(total):
        assert near(node["adjoint"], total), where


def check_json(t):
    assert (t["format"], t["version"]) == ("tapegrad trace", 1)
    assert [node["id"] for node in t["nodes"]] == list(range(1, len(t["nodes"]) + 1))
    result = t["nodes"][t["result"] - 1]
    assert near(t["value"], result["value"], 0)
    wrt = [x for x in t["inputs"] if x["wrt"]]
    assert [x["name"] for x in wrt] == list(t["gradient"]) or sorted(x["name"] for x in wrt) == sorted(t["gradient"])
    for x in t["inputs"]:
        node = t["nodes"][x["node"] - 1]
        assert (node["label"], node["op"]) == (x["name"], "input") and near(node["value"], x["value"], 0)
    for x in wrt:
        assert near(t["gradient"][x["name"]], t["nodes"][x["node"] - 1]["adjoint"], 0)
        if result["tangents"] is not None:
            tangent = float(result["tangents"][x["name"]])
            assert near(tangent, t["gradient"][x["name"]], 1e-9) or not math.isfinite(tangent), \
                "%s: forward %g, reverse %g" % (t["expression"], tangent, float(t["gradient"][x["name"]]))
    for node in t["nodes"]:
        check_node(t, node)


def json_has_the_golden_numbers():
    for expression, at, value, gradient in GOLDEN:
        t = as_json(expression, at)
        check_json(t)
        assert t["expression"] == expression
        assert near(t["value"], value), (expression, t["value"])
        assert list(t["gradient"]) and all(near(t["gradient"][x], d) for x, d in gradient.items()), t["gradient"]
    x1 = as_json(*GOLDEN[0][:2])["nodes"][0]
    assert sorted((c["symbol"], round(c["value"], 6)) for c in x1["contributions"]) == [("cos(x1)", -0.416147), ("x2", 5)]


def json_agrees_with_itself():
    for expression, at in HARD + list(calls()):
        check_json(as_json(expression, at))


def json_takes_the_inputs_of_interest_only():
    t = as_json("a*b*c", "a=1,b=2,c=3", "--wrt", "b,c")
    check_json(t)
    assert list(t["gradient"]) == ["b", "c"] and list(t["nodes"][4]["tangents"]) == ["b", "c"]


def json_has_strings_for_numbers_that_are_not_finite():
    status, out, _ = run(["log(x)", "--at", "x=0", "--json"])
    t = json.loads(out.decode())
    assert status == NOT_FINITE and t["value"] == "-inf" and t["gradient"]["x"] == "inf"


def json_numbers_read_back():
    for text in ["0.1", "1e22", "5e-324", "1.7976931348623157e308", "123456789012345678", "0.30000000000000004", "-0.0"]:
        assert as_json("x*1", "x=" + text)["inputs"][0]["value"] == float(text), text
    assert math.copysign(1, as_json("-x", "x=0")["value"]) == -1


def json_is_as_documented():
    with open(os.path.join(ROOT, "docs", "trace-json.md"), encoding="utf-8") as page:
        text = page.read()
    command = re.search(r"`tapegrad trace '([^']*)' --at (\S+) --json`:", text)
    example = re.search(r"```json\n(.*?)```", text, re.S)
    assert trace(command[1], command[2], "--json") == example[1], "docs/trace-json.md shows something else"
    fields = set(re.findall(r"^\| `(\w+)`(?:, `(\w+)`)?", text, re.M))
    named = {name for pair in fields for name in pair if name}
    t = as_json(command[1], command[2])
    assert set(t) | set(t["nodes"][0]) == named, set(t) ^ set(t["nodes"][0]) ^ named


# ---- CSV ----

def csv_has_what_json_has():
    for expression, at in [g[:2] for g in GOLDEN] + HARD + list(calls()):
        text = trace(expression, at, "--csv")
        t = as_json(expression, at)
        assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) == len(t["nodes"]), expression
        for row, node in zip(rows, t["nodes"]):
            assert None not in row and None not in row.values(), row
            assert (row["node"], row["label"], row["formula"]) == (node["name"], node["label"], node["formula"])
            for key in ("value", "adjoint"):
                number = re.sub(r"-?\binf\b|\bnan\b", lambda m: '"%s"' % m[0], row[key])
                assert near(json.loads(number), node[key], 0), row
            for name, tangent in (node["tangents"] or {}).items():
                assert near(row["d/d" + name], tangent, 0), row


# ---- Graphviz ----

def dot_has_every_edge():
    for expression, at in [g[:2] for g in GOLDEN] + HARD + list(calls()):
        text = trace(expression, at, "--dot")
        t = as_json(expression, at)
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S)
        assert bare.count("{") == bare.count("}") == 1 and bare.count("[") == bare.count("]") and '"' not in bare, text
        edges = re.findall(r"^  (v\d+) -> (v\d+) \[", text, re.M)
        wanted = [("v%d" % p, node["name"]) for node in t["nodes"] for p in node["parents"] if not isinstance(p, dict)]
        assert sorted(edges) == sorted(wanted), expression
    assert 'v1 -> v4 [label="cos(x1)\\n= -0.416147"]' in trace(*GOLDEN[0][:2], "--dot")


def dot_is_read_by_graphviz():
    if not shutil.which("dot"):
        return "no dot here"
    for expression, at in HARD + [GOLDEN[0][:2]]:
        done = subprocess.run(["dot", "-Tsvg"], input=trace(expression, at, "--dot").encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        assert done.returncode == 0 and b"syntax" not in done.stderr, done.stderr
    return None


# ---- LaTeX ----

def check_balance(text):
    depth = 0
    for c in re.sub(r"\\[\\{}]", "", text):
        depth += (c == "{") - (c == "}")
        assert depth >= 0, text
    assert depth == 0, text
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        assert kind == "begin" or opened.pop() == name, text
        if kind == "begin":
            opened.append(name)
    assert not opened and len(re.findall(r"\\left(?![a-z])", text)) == len(re.findall(r"\\right(?![a-z])", text)), text


def latex_is_well_formed():
    for expression, at in [g[:2] for g in GOLDEN] + HARD + list(calls()):
        for options in [], ["--mode", "forward"], ["--mode", "reverse", "--digits", "3"]:
            check_balance(trace(expression, at, "--latex", *options))


def latex_has_fractions_and_the_chain_rule():
    text = trace(*GOLDEN[0][:2], "--latex")
    for part in [r"x_{1}\,x_{2} + \sin(x_{1})", r"\frac{\partial v_{4}}{\partial x_{1}}",
                 r"\bar{v}_{4} \cdot \cos(x_{1}) + \bar{v}_{3} \cdot x_{2}", r"1 \cdot (-0.416147) + 1 \cdot 5",
                 r"\begin{tikzpicture}"]:
        assert part in text, "%s is not in\n%s" % (part, text)
    for expression, part in [("(a + b)/(2*a)", r"\frac{a + b}{2\,a}"), ("sigmoid(w_12*a)", r"\sigma(w_{12}\,a)"),
                             ("sqrt(theta)^b^2", r"\sqrt{\theta}^{b^{2}}"), ("-(a - b)", "-(a - b)"),
                             ("2*3e-9*a", r"2 \cdot (3 \cdot 10^{-9})\,a"),
                             ("(a > 0)*b", r"[a > 0]\,b"), ("a*(b + 1)", r"a \cdot (b + 1)")]:
        text = trace(expression, "a=1,b=2,theta=3,w_12=4", "--latex")
        assert "$\\displaystyle %s$" % part in text, "%s: %s" % (expression, text.split("\n\n")[0])


def compile_latex(text):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "trace.tex"), "w", encoding="utf-8") as to:
            to.write(text)
        done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "trace.tex"], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        log = done.stdout.decode(errors="replace")
        assert done.returncode == 0, "%s\n%s" % (text.split("\n\n")[0], log[log.find("\n!"):])


def latex_compiles():
    if not shutil.which("pdflatex") or not shutil.which("kpsewhich"):
        return "no pdflatex here"
    if subprocess.run(["kpsewhich", "tikz.sty"], stdout=subprocess.DEVNULL).returncode:
        return "no TikZ here"
    for expression, at in [GOLDEN[0][:2]] + HARD:
        compile_latex(trace(expression, at, "--latex"))
    names = [name for name, _ in calls()]
    for part in names[:40], names[40:]:  # every row, in two documents
        compile_latex(trace(" + ".join(part), "a=.6,b=.7,c=.4", "--latex"))
    return None


# ---- all of them ----

def two_runs_give_the_same_bytes():
    other = dict(os.environ, LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8", COLUMNS="40")
    for expression, at in [GOLDEN[0][:2]] + HARD:
        for option in FORMATS:
            arguments = [expression, "--at", at, option]
            assert run(arguments) == run(arguments, other), (expression, option)


def two_formats_at_a_time_are_an_error():
    status, out, message = run(["x", "--at", "x=1", "--json", "--csv"])
    assert status == USAGE and not out and "one format" in message


TESTS = [
    json_has_the_golden_numbers, json_agrees_with_itself, json_takes_the_inputs_of_interest_only,
    json_has_strings_for_numbers_that_are_not_finite, json_numbers_read_back, json_is_as_documented,
    csv_has_what_json_has, dot_has_every_edge, dot_is_read_by_graphviz, latex_is_well_formed,
    latex_has_fractions_and_the_chain_rule, latex_compiles, two_runs_give_the_same_bytes,
    two_formats_at_a_time_are_an_error,
]


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for i, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            skipped = test()
            print("ok %d - %s%s" % (i, name, " # SKIP %s" % skipped if skipped else ""))
        except AssertionError as error:
            failed += 1
            print("not ok %d - %s" % (i, name))
            print("\n".join("# " + line for line in str(error).split("\n")))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
