#!/usr/bin/env python3
"""cli_teaching.py - trace --step, --quiz and --worksheet, plot and grad, as from a shell and on a terminal

    cli_teaching.py TAPEGRAD [COMPILER]
"""

import codecs
import fcntl
import math
import os
import pty
import random
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import xml.etree.ElementTree as xml

TAPEGRAD = os.path.abspath(sys.argv[1])
COMPILER = shlex.split(sys.argv[2]) if len(sys.argv) > 2 else [shutil.which("cc") or "gcc"]
OPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "autograd", "ops.def")
SVG = "{http://www.w3.org/2000/svg}"
GOLDEN = ["trace", "x1*x2 + sin(x1)", "--at", "x1=2,x2=5"]

tests = []


def test(function):
    tests.append(function)
    return function


def tapegrad(*arguments, keys="", status=0, environment=None):
    """Runs it; gives what it wrote to standard output and error."""
    done = subprocess.run([TAPEGRAD, *arguments], input=keys, capture_output=True, text=True, encoding="utf-8",
                          timeout=120, env={**os.environ, **(environment or {})})
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode}, want {status}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def refuses(text, *arguments, status=2):
    """It ends with that status and a message that holds the text."""
    out, error = tapegrad(*arguments, status=status)
    assert error.startswith("tapegrad: ") and text in error, f"{arguments}: {error!r} lacks {text!r}"
    assert not out, f"{arguments}: printed {out!r} before it refused"


def joined(text):
    """Without the breaks of lines."""
    return " ".join(text.split())


def has(text, *wanted):
    for one in wanted:
        assert one in joined(text), f"{one!r} is not in:\n{text}"


# ---- --step, line by line ----


@test
def step_says_each_reason():
    out, _ = tapegrad(*GOLDEN, "--step", keys="\n" * 40)
    has(out, "x1 is given: 2",
        "v4 = sin(x1) is computed from x1 = 2: sin(2) = 0.909297",
        "v3 = x1*x2: by the chain rule d(v3) = x2*d(x1) + x1*d(x2) = 5*1 + 2*0 = 5",
        "v4 = sin(x1) passes its adjoint 1 times cos(x1) = -0.416147 on to x1, whose adjoint is now -0.416147 "
        "(1 more to come)",
        "v3 = x1*x2 passes its adjoint 1 times x2 = 5 on to x1, whose adjoint is now 4.583853",
        "the end: value 10.909297, d/dx1 = 4.583853, d/dx2 = 2")
    assert max(map(len, out.splitlines())) <= 80


def places(out):
    return [int(place) for place in re.findall(r"^\[(\d+)/", out, re.M)]


@test
def step_goes_forward_and_back():
    out, _ = tapegrad(*GOLDEN, "--step", keys="\n\nb\nb\nb\nG\ng\n7\nr\nt\nf\nq\n\n\n")
    assert places(out) == [1, 2, 3, 2, 1, 1, 19, 1, 7, 14, 6, 1], out


@test
def step_ends_with_its_input():
    assert places(tapegrad(*GOLDEN, "--step")[0]) == [1]
    assert places(tapegrad(*GOLDEN, "--step", keys="\n")[0]) == [1, 2]
    has(tapegrad(*GOLDEN, "--step", keys="xyz\n")[0], "Enter: forward, b: back")


@test
def step_shows_the_sweeps_of_the_mode():
    forward, _ = tapegrad(*GOLDEN, "--step", "--mode", "forward", keys="\n" * 40)
    reverse, _ = tapegrad(*GOLDEN, "--step", "--mode", "reverse", keys="\n" * 40)
    assert "reverse" not in forward and "tangents" not in reverse
    assert places(forward)[-1] == 13 and places(reverse)[-1] == 11


@test
def step_walks_tensors():
    out, _ = tapegrad("trace", "sum((W@x)^2)", "--at", "W=[1,2;3,4],x=[1,1]", "--step", keys="\n" * 30)
    has(out, "v3 = W @ x passes adjoint(v3) @ transpose(x) on to W, whose adjoint is now [6, 6; 14, 14]",
        "v4 = v3^2 passes its adjoint times 2*v3 on to v3")


@test
def step_survives_what_is_not_finite():
    out, _ = tapegrad("trace", "log(x)*x", "--at", "x=0", "--step", keys="\n" * 30, status=3)
    has(out, "log(0) = -inf")


# ---- --step, on a terminal ----


def hear_signals():
    """Whoever runs the tests may ignore some, as nohup and shells in the background do."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """The program on a terminal of its own, which outlives it."""

    def __init__(self, *arguments, rows=24, columns=80, environment=None):
        self.fd, self.inner = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        others = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.program = subprocess.Popen([TAPEGRAD, *arguments], stdin=self.inner, stdout=self.inner,
                                        preexec_fn=hear_signals,
                                        env={**others, "TERM": "xterm", **(environment or {})})
        self.seen = ""
        self.letters = codecs.getincrementaldecoder("utf-8")()  # a read may end within a letter

    def wait(self, text, seconds=20):
        """Reads until the text has appeared since the last wait."""
        until = time.monotonic() + seconds
        ended = False
        while text not in self.seen:
            if select.select([self.fd], [], [], .2)[0]:
                self.seen += self.letters.decode(os.read(self.fd, 65536))
            elif self.program.poll() is not None and not ended:
                ended = True  # once more: its last words may have come just now
            elif ended or time.monotonic() > until:
                raise AssertionError(f"{text!r} did not appear in {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def press(self, keys, text):
        os.write(self.fd, keys)
        return self.wait(text)

    def lines(self):
        return termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def end(self):
        """Its exit status, or the signal that ended it, negative."""
        status = self.program.wait(20)
        os.close(self.fd)
        os.close(self.inner)
        return status


LEFT_SCREEN = "\x1b[?1049l"


@test
def step_draws_on_a_terminal():
    t = Terminal(*GOLDEN, "--step", "--color", "never")
    t.wait("step 1 of 19")
    t.press(b" ", "step 2 of 19")
    t.press(b"\x1b[C", "step 3 of 19")
    t.press(b"\r", "step 4 of 19")
    t.press(b"\x1b[D", "step 3 of 19")
    t.press(b"r", "step 14 of 19: reverse")
    screen = t.press(b"G", "step 19 of 19") + t.wait("gets the number")
    has(screen, "> v2 x2 5 2", ". v3 x1*x2 10 1", "v1 x1 2 4.583853")
    assert "\x1b[1;32m" not in screen
    t.press(b"g", "step 1 of 19")
    t.press(b"t", "step 6 of 19: tangents along x1")
    t.press(b"f", "step 1 of 19: values")
    t.press(b"q", LEFT_SCREEN)
    assert t.end() == 0


@test
def step_restores_the_terminal_on_every_way_out():
    before = termios.ICANON | termios.ECHO
    for leave in (b"q", b"\x03", b"\x04", signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        t = Terminal(*GOLDEN, "--step")
        t.wait("gets the number")
        assert t.lines() == 0
        if isinstance(leave, bytes):
            t.press(leave, LEFT_SCREEN)
        else:
            t.program.send_signal(leave)
            t.wait(LEFT_SCREEN)
        t.program.wait(20)
        assert t.lines() == before, leave
        status = t.end()
        assert status == (0 if isinstance(leave, bytes) else -leave), (leave, status)


@test
def step_stops_and_goes_on():
    t = Terminal(*GOLDEN, "--step")
    t.press(b" ", "step 2 of 19")
    os.write(t.fd, b"\x1a")
    t.wait(LEFT_SCREEN)
    for _ in range(10):  # what nobody could wake is not stopped by the system, but goes on at once
        time.sleep(.05)
        t.program.send_signal(signal.SIGCONT)
    t.wait("step 2 of 19")
    t.press(b" ", "step 3 of 19")
    t.press(b"q", LEFT_SCREEN)
    assert t.end() == 0


@test
def step_colors_only_where_it_should():
    for arguments, environment, wanted in (([], {}, True), ([], {"NO_COLOR": "1"}, False),
                                           (["--color", "never"], {}, False), (["--color", "auto"], {}, True),
                                           (["--color", "always"], {"NO_COLOR": "1"}, True)):
        t = Terminal(*GOLDEN, "--step", *arguments, environment=environment)
        screen = t.wait("gets the number")
        assert ("\x1b[1;32m" in screen) == wanted, (arguments, environment)
        assert "> v1" in screen.replace("\x1b[1;32m", "")
        t.press(b"q", LEFT_SCREEN)
        t.end()


@test
def step_keeps_to_a_small_terminal():
    text = "x1" + " + sin(x1)" * 40
    t = Terminal("trace", text, "--at", "x1=2", "--step", "--color", "never", rows=20, columns=50)
    t.wait("step 1 of")
    screen = t.press(b"G", "it is made from")
    last = screen.split("\x1b[H\x1b[2J")[-1]
    assert last.count("\n") < 20, last
    assert max(map(len, last.replace("\r", "").split("\n"))) <= 50 + 40, last  # the help may be wider
    assert ">" in last
    t.press(b"q", LEFT_SCREEN)
    assert t.end() == 0


@test
def step_reads_lines_on_dumb_terminals():
    t = Terminal(*GOLDEN, "--step", environment={"TERM": "dumb"})
    t.wait("[1/19] values")
    t.press(b"\n", "[2/19] values")
    os.write(t.fd, b"q\n")
    assert t.end() == 0


# ---- --quiz ----

RIGHT = "10 sin(2) 10.909297 1 1 cos(2) 5 4.583853 2".split()


@test
def quiz_takes_numbers_and_expressions():
    for answers in (RIGHT, "x1*x2 sin(x1) v3+v4 1 2-1 1*cos(x1) x2 cos(x1)+x2 2".split(),
                    "10 .909 10.9 1 1 -.416 5 4.58 2".split()):
        out, _ = tapegrad(*GOLDEN, "--quiz", keys="\n".join(answers) + "\n")
        has(out, "Score: 9 of 9 right, 9 at the first try.")
        assert max(map(len, out.splitlines())) <= 80


@test
def quiz_asks_for_as_many_digits_as_said():
    has(tapegrad(*GOLDEN, "--quiz", "--digits", "6", keys="10\n.909\n.909297\n")[0], "rounding", "2 of 2 right")
    has(tapegrad(*GOLDEN, "--quiz", "--digits", "1", keys="10\n.9\n")[0], "2 of 2 right, 2 at")


def explained(number, answer, *expression, right=RIGHT):
    """What is said to a wrong answer of that question, from 1."""
    out, _ = tapegrad(*(expression or GOLDEN), "--quiz", keys="\n".join([*right[:number - 1], answer]) + "\n")
    return joined(out[out.index(f" {number}/"):])


@test
def quiz_explains_likely_causes():
    has(explained(2, ".0349"), "in radians")
    has(explained(2, "-.909"), "the sign is wrong")
    has(explained(2, "cos(2)"), "the derivative cos(x1), not the value")
    has(explained(2, ".91"), "rounding")
    has(explained(6, "1"), "the inner derivative was forgotten")
    has(explained(6, ".416"), "the sign is wrong")
    has(explained(6, "sin(2)"), "its derivative cos(x1)")
    has(explained(7, "2"), "derived by its other argument")
    has(explained(8, "5"), "a path of the fan-out was forgotten: the one over v4")
    has(explained(8, "-.416"), "a path of the fan-out was forgotten: the one over v3")
    has(explained(8, "-2.08"), "added, not multiplied")
    has(explained(8, "5.416"), "the sign of one part is wrong: the one over v4")
    chain = ["trace", "exp(sin(x^2))", "--at", "x=1.2"]
    right = ["1.44", "sin(1.44)", "exp(sin(1.44))", "exp(sin(1.44))", "exp(sin(1.44))*cos(1.44)"]
    has(explained(5, "cos(1.44)", *chain, right=right), "the incoming adjoint was forgotten: multiply cos(v2)")
    has(explained(6, "exp(sin(1.44))*cos(1.44)", *chain, right=right), "the inner derivative was forgotten")
    has(explained(2, "cos(1.44)", *chain, "--mode", "forward", right=right), "not the value")
    has(explained(5, "cos(1.44)", *chain, "--mode", "forward", right=[*right[:3], "2.4"]),
        "the inner derivative was forgotten")


@test
def quiz_gives_two_tries_then_the_answer():
    out, _ = tapegrad(*GOLDEN, "--quiz", keys="1\n2\n.909\nskip\n")
    has(out, "v3 = x1*x2 is computed from x1 = 2, x2 = 5: 2*5 = 10", "Right, 0.909297",
        "Score: 1 of 3 right, 1 at the first try.")
    has(tapegrad(*GOLDEN, "--quiz", keys="9\n10\nq\n")[0], "Score: 1 of 1 right, 0 at the first try.")
    has(tapegrad(*GOLDEN, "--quiz")[0], "Score: 0 of 0 right")


@test
def quiz_takes_a_slip_of_the_keyboard_for_no_try():
    out, _ = tapegrad(*GOLDEN, "--quiz", keys="2x\nsinn(2)\n\n1/0\n[1,2]\nfoo\n10\n")
    has(out, "'2x': write 2*x", "did you mean 'sin'?", "a number or an expression", "no finite number",
        "Score: 1 of 1 right, 1 at the first try.")


@test
def quiz_knows_a_name_from_a_word():
    has(tapegrad("trace", "q^2", "--at", "q=3", "--quiz", keys="q*q\nq\n2*q\n")[0], "Score: 2 of 2 right, 1 at")


@test
def quiz_refuses_what_is_no_number():
    refuses("scalars, not tensors", "trace", "sum(x)", "--at", "x=[1,2]", "--quiz")
    refuses("not finite", "trace", "log(x)", "--at", "x=0", "--quiz", status=3)


# ---- --worksheet ----


@test
def worksheet_has_blanks_where_its_key_has_numbers():
    sheet, _ = tapegrad(*GOLDEN, "--worksheet")
    key, _ = tapegrad(*GOLDEN, "--worksheet", "--key")
    has(sheet, "Worksheet: f = x1*x2 + sin(x1) at x1 = 2, x2 = 5", "v1 x1 2 __________ __________",
        "v4: ________ * ____________ = __________", "v5 1, the seed 1")
    has(key, "Key: f = x1*x2 + sin(x1)", "v4 sin(x1) 0.909297 -0.416147 0", "v1 v4: 1 * cos(x1) = -0.416147",
        "v3: 1 * x2 = 5 4.583853", "Gradient: d/dx1 = 4.583853, d/dx2 = 2")
    assert "0.909" not in sheet and "__" not in key
    assert len(sheet.splitlines()) == len(key.splitlines())
    for text in (sheet, key):
        assert max(map(len, text.splitlines())) <= 80
        assert not [line for line in text.splitlines() if line != line.rstrip()]


@test
def worksheet_keeps_to_the_mode():
    assert "Reverse" not in tapegrad(*GOLDEN, "--worksheet", "--mode", "forward")[0]
    assert "d/dx1  " not in tapegrad(*GOLDEN, "--worksheet", "--mode", "reverse")[0]
    assert tapegrad(*GOLDEN, "--worksheet", "--ascii")[0].isascii()


@test
def worksheet_draws_variants():
    text = ["trace", "ln(x1)*x2/(x1 - x3)", "--key"]
    sheets = [tapegrad(*text, "--seed", str(seed))[0] for seed in range(12)]
    assert len(set(sheets)) > 8
    for sheet in sheets:
        assert "nan" not in sheet and "inf" not in sheet
        for value in re.findall(r" = (-?[\d.]+)", sheet.splitlines()[1]):
            assert float(value) * 2 == int(float(value) * 2) and abs(float(value)) <= 3
    assert sheets[3] == tapegrad(*text, "--seed", "3")[0]
    refuses("--seed", "trace", "ln(-x^2)", "--seed", "1", "--key")
    refuses("--seed is a whole number", *text, "--seed", "x")


@test
def worksheet_and_key_agree_with_the_trace():
    key, _ = tapegrad("trace", "ln(x1)*x2 - sin(x2)", "--key", "--seed", "5", "--digits", "9")
    point = key.splitlines()[1].removeprefix("at ").replace(" ", "")
    out, _ = tapegrad("grad", "ln(x1)*x2 - sin(x2)", "--at", point, "--digits", "9")
    for name, value in re.findall(r"^d/d(\w+) = (.*)$", out, re.M):
        has(key, f"d/d{name} = {value}")


# ---- plot ----


@test
def plot_draws_value_and_derivative():
    out, _ = tapegrad("plot", "x^2", "--over", "x=-2:2")
    has(out, "x^2", "* value", "o d/dx")
    assert max(map(len, out.splitlines())) <= 80
    with_others, _ = tapegrad("plot", "a*x^2", "--over", "x=-2:2", "--at", "a=1")
    assert with_others.splitlines()[1:] == out.splitlines()[1:]
    assert tapegrad("plot", "1/x", "--over", "x=-pi/2:pi/2")[0]


def picture(*arguments):
    tapegrad("plot", *arguments, "--svg", "plot.svg")
    root = xml.parse("plot.svg").getroot()
    assert root.tag == f"{SVG}svg"
    assert tapegrad("plot", *arguments, "--svg", "-")[0] == open("plot.svg", encoding="utf-8").read()
    return root


@test
def plot_writes_pictures():
    picture("tanh(x)", "--over", "x=-3:3")
    root = picture("x^2 + y^2", "--over", "x=-2:2,y=-2:2")
    assert root.find(f"{SVG}title").text == "x^2 + y^2"
    levels = [float(e.text) for e in root.iter(f"{SVG}text") if e.get("class") == "level"]
    assert len(levels) >= 5 and levels == sorted(levels), levels


@test
def plot_draws_circles_round_and_arrows_along_the_gradient():
    """Each point of a contour of x^2 + y^2 has its radius; arrows point away from the middle."""
    root = picture("x^2 + y^2", "--over", "x=-2:2,y=-2:2")
    frame = next(e.get("d") for e in root.iter(f"{SVG}path") if e.get("stroke") == "#777")
    left, top, side = map(float, re.match(r"M([\d.]+) ([\d.]+)h([\d.]+)", frame).groups())
    middle, unit = (left + side / 2, top + side / 2), side / 4
    contours = [e.get("d") for g in root.iter(f"{SVG}g") if g.get("stroke-width") == "1.6" for e in g]
    assert len(contours) >= 5
    for contour in contours:
        points = [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", contour)]
        squares = [((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / unit ** 2 for x, y in points]
        assert max(squares) - min(squares) < .03, (min(squares), max(squares))
    arrows = next(e.get("d") for e in root.iter(f"{SVG}path") if e.get("class") == "gradient")
    for line in re.findall(r"M(-?[\d.]+) (-?[\d.]+)L(-?[\d.]+) (-?[\d.]+)M", arrows):
        x, y, to_x, to_y = map(float, line)
        outward = (to_x - x) * ((x + to_x) / 2 - middle[0]) + (to_y - y) * ((y + to_y) / 2 - middle[1])
        assert outward >= -1 or math.hypot(x - middle[0], y - middle[1]) < 3


@test
def plot_draws_two_variables_as_letters():
    out, _ = tapegrad("plot", "x + 2*y", "--over", "x=-1:1,y=-1:1", "--ascii")
    rows = [line[10:] for line in out.splitlines()[1:25]]
    assert out.isascii() and len({len(row) for row in rows}) == 1
    for row in rows:
        assert list(row) == sorted(row)
    assert "".join(row[0] for row in rows) == "".join(sorted((row[0] for row in rows), reverse=True))
    assert "\u2197" in tapegrad("plot", "x + 2*y", "--over", "x=-1:1,y=-1:1")[0]
    has(out, "x goes to the right, y upward")


@test
def plot_refuses():
    refuses("--over is missing", "plot", "x")
    refuses("no range", "plot", "x", "--over", "x=1")
    refuses("not below", "plot", "x", "--over", "x=1:0")
    refuses("did you mean 'x1'", "plot", "x1", "--over", "x=0:1")
    refuses("has no value", "plot", "x*a", "--over", "x=0:1")
    refuses("one variable or two", "plot", "x*y*z", "--over", "x=0:1,y=0:1,z=0:1")
    refuses("twice", "plot", "x*y", "--over", "x=0:1,x=0:1")
    refuses("tensor", "plot", "x*[1,2]", "--over", "x=0:1")
    refuses("nowhere finite", "plot", "log(-x^2)", "--over", "x=1:2", status=3)
    refuses("nowhere finite", "plot", "log(-x^2-y^2)", "--over", "x=1:2,y=1:2", status=3)
    refuses("no/such/folder", "plot", "x", "--over", "x=1:2", "--svg", "no/such/folder/x.svg")


# ---- grad ----


@test
def grad_prints_numbers():
    out, _ = tapegrad("grad", "x1*x2 + sin(x1)", "--at", "x1=2,x2=5")
    assert out == "value = 10.909297\nd/dx1 = 4.583853\nd/dx2 = 2\n", out
    out, _ = tapegrad("grad", "x1*x2 + sin(x1)", "--at", "x1=2,x2=5", "--wrt", "x2")
    assert out == "value = 10.909297\nd/dx2 = 2\n", out
    out, _ = tapegrad("grad", "sum((W@x)^2)", "--at", "W=[1,2;3,4],x=[1,1]")
    assert out == "value = 58\nd/dW = [6, 6; 14, 14]\nd/dx = [48, 68]\n", out
    tapegrad("grad", "log(x)", "--at", "x=0", status=3)


@test
def grad_prints_products_and_second_derivatives():
    at = ["--at", "x1=2,x2=5"]
    out, _ = tapegrad("grad", "x1*x2 + sin(x1)", *at, "--hessian", "--jvp", "1,2", "--vjp", "2")
    has(out, "jvp along (1,2) = 8.583853", "vjp with (2), x1 = 9.167706", "vjp with (2), x2 = 4",
        "x1 x2 x1 -0.909297 1 x2 1 0")
    out, _ = tapegrad("grad", "W @ x", "--at", "W=[1,2;3,4],x=[1,1]", "--vjp", "1,0", "--jvp", "0,0,0,0,1,0")
    has(out, "value = [3, 7]", "W = [1, 1; 0, 0]", "x = [1, 2]", "= [1, 3]")
    refuses("one number for each", "grad", "x", "--at", "x=1", "--jvp", "1,2")
    refuses("no numbers", "grad", "x", "--at", "x=1", "--vjp", "foo")


@test
def grad_prints_formulas():
    out, _ = tapegrad("grad", "x1*x2 + sin(x1)", "--symbolic")
    lines = dict(line.split(" = ") for line in out.splitlines())
    assert lines["d/dx2"] == "x1" and "cos(x1)" in lines["d/dx1"], out
    check, _ = tapegrad("grad", lines["d/dx1"], "--at", "x1=2,x2=5")
    has(check, "value = 4.583853")
    refuses("", "grad", "sum(x)", "--symbolic")


@test
def grad_refuses():
    refuses("an expression is missing", "grad")
    refuses("'x' has no value", "grad", "x")
    refuses("no input", "grad", "x", "--at", "x=1", "--wrt", "y")
    refuses("--emit writes c", "grad", "x", "--emit", "rust")
    refuses("--name goes with", "grad", "x", "--name", "g")
    for name in ("int", "a-b", "1a", "", "sin"):
        refuses("no name", "grad", "x", "--emit", "c", "--name", name)
    refuses("lgamma", "grad", "lgamma(x)", "--emit", "c")
    refuses("sum", "grad", "sum(x)", "--emit", "c")
    refuses("scalars", "grad", "x*[1,2]", "--emit", "c")


# ---- grad --emit c ----


def operations():
    """Name and intervals of each row of the table, from its source."""
    with open(OPS, encoding="utf-8") as file:
        text = file.read()
    rows = re.findall(r"^OP(\d)\((\w+),\s*((?:IN\([^)]*\),\s*)+)", text, re.M)
    assert len(rows) > 60
    return [(name, [tuple(map(float, pair)) for pair in re.findall(r"IN\(([^,]*), ([^)]*)\)", intervals)])
            for _, name, intervals in rows]


def expressions():
    """Each operation inside others, at points of its own intervals; and some of all kinds."""
    generator = random.Random(7)
    for name, intervals in operations():
        names = [f"x{k}" for k in range(len(intervals))]
        point = {n: round(generator.uniform(low, high), 4) if low < high else low
                 for n, (low, high) in zip(names, intervals)}
        yield f"{name}({', '.join(names)})*x0 + x0^2", point
    yield "x1*x2 + sin(x1)", {"x1": 2, "x2": 5}
    yield "h = sigmoid(w*x + b); where(h > .5, (h - y)^2/2, gelu(h)*relu(x - 2)/pi)", \
        {"w": .6, "x": 1, "b": .9, "y": 0}
    yield "where(x > 0, log(x), 0*y) + y", {"x": 0, "y": 3}
    yield "a = x^2; unused = sin(x)*z; -a^-2*1e-300/1e-300 + 2^x - -3", {"x": 1.5, "z": 2}
    yield "x", {"x": 4}
    yield "floor(x)*2", {"x": 4.5}
    yield "x + 0*y*(1/0)^-1", {"x": 4, "y": 2}
    yield "x # */ int broken;", {"x": 4}
    yield "\u03b1^2*\u03b2", {"\u03b1": 3, "\u03b2": 2}


def numbers_of(text, point):
    """Value and gradient that the library finds; any may be infinite or NaN."""
    at = ",".join(f"{name}={value}" for name, value in point.items())
    done = subprocess.run([TAPEGRAD, "grad", text, "--at", at, "--digits", "15"], capture_output=True, text=True,
                          encoding="utf-8", timeout=60)
    assert done.returncode in (0, 3), f"{text}: {done.stderr}"
    pairs = [line.split(" = ") for line in done.stdout.splitlines()]
    return float(pairs[0][1]), [name.removeprefix("d/d") for name, _ in pairs[1:]], [float(v) for _, v in pairs[1:]]


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-11 * max(1, abs(b))


@test
def grad_writes_c_that_agrees_with_the_library():
    """All functions, each with its test, compiled without a warning as one program."""
    sources, calls, wanted, without = [], [], [], []
    for number, (text, point) in enumerate(expressions()):
        done = subprocess.run([TAPEGRAD, "grad", text, "--emit", "c", "--name", f"f{number}"], capture_output=True,
                              text=True, encoding="utf-8", timeout=60)
        if done.returncode:
            assert "C library does not have" in done.stderr, f"{text}: {done.stderr}"
            without.append(text)
            continue
        value, names, gradient = numbers_of(text, point)
        sources.append(done.stdout)
        values = ", ".join(repr(float(point[name])) for name in names)
        calls.append(f"    {{ const double x[] = {{{values}}}; double g[{len(names)}]; "
                     f'printf("%.17g", f{number}(x, g)); '
                     f'for (int i = 0; i < {len(names)}; i++) printf(" %.17g", g[i]); puts(""); }}\n')
        wanted.append((text, [value, *gradient]))
    assert sorted(text.split("(")[0] for text in without) == ["digamma", "erfinv", "lgamma", "polygamma"], without
    with open("all.c", "w", encoding="utf-8") as file:
        file.write("".join(sources) + "#include <stdio.h>\nint main(void)\n{\n" + "".join(calls) + "    return 0;\n}\n")
    subprocess.run([*COMPILER, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow",
                    "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror", "-ffp-contract=off", "all.c", "-o", "all",
                    "-lm"], check=True, timeout=120)
    lines = subprocess.run(["./all"], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(lines) == len(wanted)
    for line, (text, numbers) in zip(lines, wanted):
        got = list(map(float, line.split()))
        assert len(got) == len(numbers) and all(map(same, got, numbers)), f"{text}: {got}, want {numbers}"


@test
def help_says_how():
    for command, words in (("trace", ["--step", "--quiz", "--worksheet", "--key", "--seed", "--color"]),
                           ("plot", ["--over", "--svg"]), ("grad", ["--emit", "--hessian", "--jvp", "--vjp"])):
        out, _ = tapegrad(command, "--help")
        has(out, "usage:", "examples:", *words)
        assert max(map(len, out.splitlines())) <= 100


def main():
    failed = 0
    print(f"1..{len(tests)}")
    for number, function in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                function()
                print(f"ok {number} - {function.__name__}", flush=True)
            except (AssertionError, OSError, ValueError, StopIteration, subprocess.SubprocessError, xml.ParseError) as error:
                failed += 1
                print(f"not ok {number} - {function.__name__}", flush=True)
                print("".join(f"# {line}\n" for line in str(error).splitlines()), end="")
            os.chdir("/")
    return failed > 0


sys.exit(main())
