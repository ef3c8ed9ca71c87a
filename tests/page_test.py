#!/usr/bin/env python3
"""Tries the pages of `tapegrad trace --html` in a real browser, headless, and reports in TAP.

    page_test.py TAPEGRAD OPS_DEF [--shots FOLDER]

Needs Chromium or Chrome; ends with status 77, skipped, where there is none. It is driven through its DevTools
protocol, over two pipes, so that keys and clicks are those of a user. --shots keeps pictures of the pages.
"""
import argparse
import base64
import fcntl
import json
import math
import os
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

BROWSERS = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome",
            "google-chrome-stable")
GOLDEN = "x1*x2 + sin(x1)"
TOLERANCE = 1e-9
POINTS = 6  # of each row


class Failure(Exception):
    pass


def want(good, text):
    if not good:
        raise Failure(text)


def same(got, wanted, what):
    want(got == wanted, "%s: got %r, want %r" % (what, got, wanted))


def near(got, wanted, what):
    want(isinstance(got, (int, float)) and abs(got - wanted) <= TOLERANCE * abs(wanted),
         "%s: got %r, want %r" % (what, got, wanted))


# ---- the browser -----------------------------------------------------------------------------------------------


class Browser:
    """One page of a browser; what goes wrong in it is collected in `errors`."""

    def __init__(self, program, folder):
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        # The protocol wants 3 and 4: a process in between moves the pipes there, from numbers that are not in the way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_read, from_write)]
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--force-color-profile=srgb", "--hide-scrollbars", "--user-data-dir=" + folder, "--remote-debugging-pipe",
                   "--window-size=1280,1000"]
        mover = "import os, sys; os.dup2(%d, 3); os.dup2(%d, 4); os.execv(sys.argv[1], sys.argv[1:])" % tuple(ends)
        self.process = subprocess.Popen([sys.executable, "-c", mover] + command, pass_fds=ends, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in ends + [to_read, from_write]:
            os.close(end)
        self.buffer, self.number, self.errors, self.requests, self.loaded = b"", 0, [], [], False
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")

    def close(self):
        try:
            self.session = None
            self.call("Browser.close", timeout=5)
        except (OSError, Failure):
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_read], [], [], max(0, deadline - time.time()))
            want(ready, "the browser does not answer")
            data = os.read(self.from_read, 1 << 20)
            want(data, "the browser has ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def note(self, message):
        method, about = message.get("method", ""), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(part.get("value", part.get("description"))) for part in about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(about["entry"]["text"])

    def call(self, method, timeout=60, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        deadline = time.time() + timeout
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                want("error" not in answer, "%s: %s" % (method, answer.get("error")))
                return answer["result"]
            self.note(answer)

    def open(self, path):
        self.loaded, self.errors, self.requests = False, [], []
        self.call("Page.navigate", url="file://" + path)
        deadline = time.time() + 60
        while not self.loaded:
            self.note(self.receive(deadline))

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        details = answer.get("exceptionDetails")
        want(not details, details and details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def text(self, id_):
        return self.run("document.getElementById(%s).textContent" % json.dumps(id_))

    def visible(self, id_):
        return self.run("getComputedStyle(document.getElementById(%s)).visibility === 'visible'" % json.dumps(id_))

    def click(self, id_):
        self.run("document.getElementById(%s).click()" % json.dumps(id_))

    def focus(self, id_):
        self.run("document.getElementById(%s).focus()" % json.dumps(id_))

    def key(self, key):
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Tab": 9}
        for type_ in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=type_, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def type(self, id_, text):
        self.run("document.getElementById(%s).select()" % json.dumps(id_))
        self.call("Input.insertText", text=text)

    def media(self, media="", **features):
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def shot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))


# ---- what all tests need ------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, arguments, browser, folder):
        self.tapegrad, self.ops_def, self.shots = arguments.tapegrad, arguments.ops_def, arguments.shots
        self.browser, self.folder = browser, folder

    def html(self, expression, at, *more):
        """The page; a value that is not finite makes status 3, and a page like others."""
        answer = subprocess.run([self.tapegrad, "trace", expression, "--at", at, "--html", *more], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, check=False)
        want(answer.returncode in (0, 3), "%s at %s: status %d: %s" % (expression, at, answer.returncode,
                                                                       answer.stderr.decode()))
        return answer.stdout.decode()

    def load(self, expression, at, *more):
        return self.open(self.html(expression, at, *more))

    def open(self, html):
        path = os.path.join(self.folder, "page.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(html)
        self.browser.open(path)
        same(self.browser.errors, [], "errors in the console")
        same(self.browser.requests, ["file://" + path], "requests")
        return self.browser

    def keep(self, name):
        if self.shots:
            os.makedirs(self.shots, exist_ok=True)
            self.browser.shot(os.path.join(self.shots, name + ".png"))


def command_number(value, digits=6):
    """trace_number of cli/trace.c"""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value != 0 and (abs(value) >= 1e9 or abs(value) < math.pow(10, -digits) * 100):
        return "%.*g" % (digits, value)
    text = "%.*f" % (digits, value)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


# ---- the tests ------------------------------------------------------------------------------------------------------


def forward_steps_show_the_golden_values(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    same(page.text("count"), "Step 1 of 5", "the first step")
    want(page.visible("cell-value-0") and not page.visible("cell-value-2"), "values that are not there yet are hidden")
    page.key("ArrowRight")
    page.key("ArrowRight")
    same(page.text("count"), "Step 3 of 5", "after two steps")
    same(page.text("cell-value-2"), "10", "v3")
    same(page.text("value-2"), "10", "v3 in the graph")
    want(page.visible("cell-value-2") and page.visible("value-2"), "v3 is shown")
    want(not page.visible("cell-value-3"), "v4 is not shown yet")
    same(page.run("[...document.querySelectorAll('.lit')].map((e) => e.id).sort().join()"), "edge-2-0,edge-2-1", "lit edges")
    same(page.run("document.querySelector('[aria-current=step]').id"), "row-2", "the marked row")
    want("10" in page.text("sentence") and "x1 = 2" in page.text("sentence"), "sentence: " + page.text("sentence"))
    want(page.run("document.querySelectorAll('#formula math').length") > 0, "the formula is MathML")
    page.key("ArrowRight")
    same(page.text("cell-value-3"), "0.909297", "v4")
    page.key("End")
    same(page.text("cell-value-4"), "10.909297", "the value")
    want(page.visible("cell-value-4"), "the value is shown")
    page.key("ArrowRight")
    same(page.text("count"), "Step 5 of 5", "the end is the end")
    page.key("ArrowLeft")
    same(page.text("count"), "Step 4 of 5", "a step back")
    want(not page.visible("cell-value-4"), "a step back takes the value back")
    page.key("Home")
    same(page.text("count"), "Step 1 of 5", "Home")
    for script, wanted in (("state.values[2]", 10), ("state.values[3]", math.sin(2)), ("state.values[4]", 10 + math.sin(2)),
                           ("state.adjoints[0]", 5 + math.cos(2)), ("state.adjoints[1]", 2)):
        near(page.run(script), wanted, script)
    bench.keep("forward")


def reverse_steps_show_the_golden_gradient(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    page.click("tab-reverse")
    same(page.text("count"), "Step 1 of 6", "the seed, and five contributions")
    same(page.text("cell-adjoint-4"), "1", "the seed")
    want(not page.visible("cell-adjoint-0"), "no contribution has arrived at x1")
    sums = []
    for _ in range(5):
        page.click("forward")
        same(page.run("document.querySelectorAll('.lit').length"), 1, "one edge is lit a step")
        if page.visible("cell-adjoint-0"):
            sums.append(page.text("cell-adjoint-0"))
    same(sums[-1], "4.583853", "the adjoint of x1")
    want(len(set(sums)) == 2, "the contributions to x1 add up one by one: %s" % sums)
    same(page.text("cell-adjoint-1"), "2", "the adjoint of x2")
    same([page.text("answer-value"), page.text("answer-0"), page.text("answer-1")], ["10.909297", "4.583853", "2"], "the answer")
    same(page.run("document.querySelectorAll('.later').length"), page.run(
        "document.querySelectorAll('[id^=tangent-]:not(th)').length"), "all but the tangents is shown at the end")
    bench.keep("reverse")


def tangent_steps_follow_the_chosen_input(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    page.click("tab-tangent")
    page.key("End")
    same(page.text("tangent-4-0"), "4.583853", "the tangent along x1")
    want(page.visible("tangent-4-0") and not page.visible("tangent-4-1"), "only the chosen input's tangents are shown")
    page.run("by.value = '1'; by.dispatchEvent(new Event('change'))")
    page.click("end")
    same(page.text("tangent-4-1"), "2", "the tangent along x2")
    want(page.visible("tangent-4-1"), "the tangent along x2 is shown")
    bench.keep("tangent")


def edited_inputs_compute_again(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    page.click("tab-reverse")
    page.key("End")
    page.type("input-0", "3")
    same(page.text("answer-value"), command_number(15 + math.sin(3)), "the value at x1 = 3")
    same(page.text("answer-0"), command_number(5 + math.cos(3)), "d/dx1 at x1 = 3")
    same(page.text("answer-1"), "3", "d/dx2 at x1 = 3")
    same(page.text("cell-adjoint-0"), command_number(5 + math.cos(3)), "the table")
    same(page.text("adjoint-0"), command_number(5 + math.cos(3)), "the graph")
    same(page.text("partial-3-0").replace("\u00a0", " "), " = " + command_number(math.cos(3)), "the local partial")
    same(page.text("count"), "Step 6 of 6", "the step stays")
    near(page.run("state.values[4]"), 15 + math.sin(3), "all its digits")
    near(page.run("state.tangents[4][0]"), 5 + math.cos(3), "the tangent")
    bench.keep("edited")
    page.type("input-0", "abc")
    same(page.run("document.getElementById('input-0').getAttribute('aria-invalid')"), "true", "what is no number is marked")
    same(page.text("wrong"), "Not a number: x1", "and named")
    page.type("input-0", "\u22122,5")
    same(page.text("answer-1"), "-2.5", "a minus of Unicode and a comma are read")
    page.key("Home")
    same(page.text("count"), "Step 6 of 6", "keys within a field do not step")
    page.click("reset")
    same(page.text("answer-0"), "4.583853", "Reset gives the first values back")
    same(page.errors, [], "errors in the console")


def keys_and_buttons_do_the_same(bench):
    page = bench.load("h = sigmoid(w*x + b); (h - y)^2/2", "w=.6,b=.9,x=1,y=0")
    page.focus("tab-forward")
    page.key("ArrowRight")
    same(page.run("document.activeElement.id"), "tab-tangent", "arrows on a tab go to the next")
    same(page.run("document.activeElement.getAttribute('aria-selected')"), "true", "and choose it")
    page.key("End")
    same(page.run("document.activeElement.id"), "tab-reverse", "End is the last tab")
    page.focus("graph")
    page.key("ArrowRight")
    want(page.text("count").startswith("Step 2 "), "arrows elsewhere step")
    same(page.run("document.querySelectorAll('[role=tab][tabindex=\"0\"]').length"), 1, "one tab is in the order of Tab")
    page.click("start")
    page.click("play")
    same(page.text("play"), "Pause", "Play plays")
    page.run("new Promise((done) => setTimeout(done, 1900))")
    want(page.text("count").startswith("Step 2 "), "Play has stepped")
    page.click("play")
    same(page.text("play"), "Play", "Pause pauses")
    bench.keep("neuron")


def numbers_are_written_as_by_the_command(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    draw = random.Random(7)
    values = [0.0, -0.0, 1.0, .0078125, -.0234375, 1e9, 999999999.5, 1e-4, 9.9e-5, 1.5e-7, 123456789.123456789, 1e300, -1e-300]
    values += [draw.choice((-1, 1)) * 10 ** draw.uniform(-12, 14) for _ in range(400)]
    values += [draw.randrange(-4000, 4000) / 2 ** draw.randrange(12) for _ in range(400)]
    for digits in (1, 3, 6, 12, 15):
        got = page.run("trace.digits = %d; [%s].map(number)" % (digits, ",".join("-0" if str(v) == "-0.0" else repr(v)
                                                                               for v in values)))
        for value, text in zip(values, got):
            same(text, command_number(value, digits), "%r with %d digits" % (value, digits))


# Is what the page computes what the command did? `other` has the data of another page, at another point.
COMPARE = """((other) => {
  const s = compute(inputs.map((i) => other.nodes[i].value)), wrong = [];
  const check = (got, want, what) => {
    if (!(Object.is(got, want) || got === want || (got !== got && want !== want) ||
          Math.abs(got - want) <= %g * Math.abs(want))) wrong.push(`${what}: page ${got}, command ${want}`);
  };
  other.nodes.forEach((n, i) => {
    check(s.values[i], n.value, `value of ${n.formula}`);
    check(s.adjoints[i], n.adjoint, `adjoint of ${n.formula}`);
    n.parents.forEach((p, k) => {
      if (p >= 0) check(s.partials[i][k], n.partials[k], `partial ${k} of ${n.formula}`);
    });
    n.tangents.forEach((want, w) => check(s.tangents[i][w], want, `tangent ${w} of ${n.formula}`));
  });
  return wrong.map((text) => `${text} at ${inputs.map((i) => other.nodes[i].value)}`);
})(%s)"""


def data_of(html):
    return re.search(r"^const trace = (\{.*?^\]\});$", html, re.M | re.S)[1]


def rows_of(path):
    """(name, [(low, high) of each argument]) of each row of ops.def"""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    number = r"([-+.\de]+)"
    for match in re.finditer(r"^OP([123])\((\w+), ((?:IN\([^)]*\), *)+)", text, re.M):
        intervals = re.findall(r"IN\(%s, *%s\)" % (number, number), match[3])
        same(len(intervals), int(match[1]), "intervals of " + match[2])
        yield match[2], [(float(low), float(high)) for low, high in intervals]


def every_row_agrees_with_the_command(bench):
    draw, wrong, rows = random.Random(42), [], list(rows_of(bench.ops_def))
    want(len(rows) > 60, "rows of ops.def: %d" % len(rows))
    for name, intervals in rows:
        names = "abc"[:len(intervals)]
        expression = "%s(%s)" % (name, ", ".join(names))
        points = [[draw.uniform(low, high) for low, high in intervals] for _ in range(POINTS)]
        pages = [bench.html(expression, ",".join("%s=%r" % pair for pair in zip(names, point))) for point in points]
        page = bench.open(pages[0])
        found = [text for html in pages for text in page.run(COMPARE % (TOLERANCE, data_of(html)))]
        wrong += ["%s, %d times: %s" % (name, len(found), found[0])] if found else []
    want(not wrong, "\n".join(wrong))


def a_network_agrees_with_the_command(bench):
    text = ("z1 = w1*x1 + w2*x2 + b1; z2 = w3*x1 + w4*x2 + b1; h1 = sigmoid(z1); h2 = sigmoid(z2);"
            "o1 = sigmoid(w5*h1 + w6*h2 + b2); o2 = sigmoid(w7*h1 + w8*h2 + b2); (t1 - o1)^2/2 + (t2 - o2)^2/2")
    at = "w1=.15,w2=.2,w3=.25,w4=.3,b1=.35,w5=.4,w6=.45,w7=.5,w8=.55,b2=.6,x1=.05,x2=.1,t1=.01,t2=.99"
    html = bench.html(text, at)
    page = bench.open(html)
    same(page.run(COMPARE % (TOLERANCE, data_of(html))), [], "the page against the command")
    for sweep in ("forward", "tangent", "reverse"):
        page.click("tab-" + sweep)
        steps = int(page.text("count").split()[-1])
        for _ in range(steps - 1):
            page.key("ArrowRight")
        same(page.text("count"), "Step %d of %d" % (steps, steps), sweep)
    bench.keep("network")
    page.run("document.getElementById('whole').click()")
    bench.keep("network_whole")
    same(page.errors, [], "errors in the console")


def tensors_are_shown_and_not_computed(bench):
    page = bench.load("h = sigmoid(W @ x); sum((h - [1, 0])^2)", "W=[1,2;3,4],x=[.5,-.5]")
    want("tensors" in page.run("document.querySelector('.note').textContent"), "the page says that it does not compute")
    same(page.run("document.querySelectorAll('#inputs').length"), 0, "there are no inputs to change")
    same(page.run("document.getElementById('tab-tangent').disabled"), True, "there are no tangents")
    page.click("tab-reverse")
    page.key("End")
    same(page.run("document.querySelectorAll('.later').length"), 0, "all is shown at the end")
    same(page.errors, [], "errors in the console")
    bench.keep("tensors")


def large_traces_are_summarised(bench):
    page = bench.load(" + ".join("sin(x*%d)" % i for i in range(1, 100)), "x=1")
    want("summarised" in page.run("document.querySelector('.note').textContent"), "the page says so")
    same(page.run("document.querySelectorAll('table, script').length"), 0, "no table, no steps")
    bench.keep("summary")


def strange_values_and_texts_are_shown(bench):
    for expression, at in (("log(x)", "x=0"), ("x/y", "x=0,y=0"), ("sqrt(abs(x))", "x=0"), ("script*(script<2)", "script=1"),
                           ("\u03b1*\u03b2_12 + x_ab", "\u03b1=1,\u03b2_12=2,x_ab=-3"), ("x", "x=4"), ("x*x + 0*y", "x=-2,y=1"),
                           ("d = x*3; k = x + 1; k*2", "x=1e-7"), ("where(x > 0, x, y)", "x=1e12,y=2"), ("exp(x*1000)", "x=1"),
                           ("stop_gradient(x)*x", "x=2")):
        page = bench.load(expression, at)
        for sweep in ("forward", "tangent", "reverse"):
            page.click("tab-" + sweep)
            for _ in range(int(page.text("count").split()[-1])):
                page.key("ArrowRight")
        same(page.errors, [], "errors in the console of " + expression)
        for part in page.run("[...document.querySelectorAll('math mtext, merror')].map((e) => e.textContent)"):
            raise Failure("%s: not read as a formula: %s" % (expression, part))


def ends_of_domains_are_explained(bench):
    page = bench.load("log(x) + abs(y)", "x=0,y=0")
    want("log" in page.text("notes"), "notes: " + page.text("notes"))
    bench.keep("notes")
    page.type("input-0", "2")
    same(page.run("document.getElementById('notes').hidden"), True, "notes are about the first inputs")
    same(page.text("answer-value"), command_number(math.log(2)), "the value at x = 2")
    same(page.run("document.querySelectorAll('.bad').length"), 0, "all is finite there")
    page.click("reset")
    same(page.run("document.getElementById('notes').hidden"), False, "Reset gives the notes back")
    want(page.run("document.querySelectorAll('.bad').length") > 0, "what is not finite is marked")


def modes_leave_sweeps_out(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5", "--mode", "forward")
    tabs = "[...document.querySelectorAll('[role=tab]')].map((tab) => tab.dataset.sweep).join()"
    same(page.run(tabs), "forward,tangent", "forward")
    want(not page.run("document.body.innerText.includes('Contributions')"), "no contributions")
    page = bench.load(GOLDEN, "x1=2,x2=5", "--mode", "reverse", "--wrt", "x2", "--digits", "3")
    same(page.run(tabs), "forward,reverse", "reverse")
    same(page.text("answer-0"), "2", "only the input that is asked for")
    same(page.text("answer-value"), "10.909", "digits")


def paper_shows_the_whole_table(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    page.click("tab-reverse")
    page.key("ArrowRight")
    page.media("print")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    same(page.run("""[...document.querySelectorAll('tbody *, .graph text')].filter((e) =>
        getComputedStyle(e).visibility !== 'visible' || (e.localName === 'div' && !e.getClientRects().length)).length"""),
         0, "hidden parts")
    same(page.text("cell-adjoint-0"), "4.583853", "sums are those of the end")
    same(page.run("getComputedStyle(document.getElementById('panel')).display"), "none", "no buttons")
    bench.keep("print")
    page.run("window.dispatchEvent(new Event('afterprint'))")
    page.media("")
    same(page.text("count"), "Step 2 of 6", "the step is as it was")
    want(not page.visible("cell-adjoint-0"), "and so is the table")
    pdf = base64.b64decode(page.call("Page.printToPDF", landscape=True)["data"])
    want(pdf.startswith(b"%PDF"), "a PDF")
    if bench.shots:
        with open(os.path.join(bench.shots, "print.pdf"), "wb") as file:
            file.write(pdf)


# The least contrast of text with what is behind it (WCAG 2.2), over all text of the page.
CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgb = (color) => {
    canvas.fillStyle = color;
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= .04045 * 255 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
  const light = (c) => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const box = e.parentElement && e.parentElement.querySelector(':scope > rect');
      const c = rgb(box && e.closest('.node') ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor);
      if (c[3]) return c;
    }
    return [255, 255, 255, 255];
  };
  let least = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    if (!text || style.visibility !== 'visible' || !e.getClientRects().length) continue;
    if (e.closest('title, desc, script')) continue;
    const a = light(rgb(e instanceof SVGElement ? style.fill : style.color)), b = light(behind(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < least[0]) least = [contrast, `${e.tagName} ${e.id}: ${e.textContent.slice(0, 20)}`];
  }
  return least;
})()"""


def light_and_dark_are_readable(bench):
    for scheme in ("light", "dark"):
        page = bench.load(GOLDEN, "x1=2,x2=5")
        page.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        page.click("tab-reverse")
        page.key("End")
        contrast, where = page.run(CONTRAST)
        want(contrast >= 4.5, "%s: contrast %.2f of %s" % (scheme, contrast, where))
        same(page.run("getComputedStyle(document.querySelector('.lit path')).animationName"), "none", "reduced motion")
        bench.keep(scheme)
    page.media("", prefers_color_scheme="", prefers_reduced_motion="")


def screen_readers_find_their_way(bench):
    page = bench.load(GOLDEN, "x1=2,x2=5")
    found = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
        if not node.get("ignored"):
            found.setdefault(role, []).append(name)
    for role in ("button", "tab", "textbox", "checkbox", "columnheader", "rowheader"):
        want(found.get(role) and all(found[role]), "%s without a name: %s" % (role, found.get(role)))
    same(sorted(found["textbox"]), ["x1", "x2"], "names of the fields")
    want(any("Graph of" in name for role in ("image", "img", "graphics-document") for name in found.get(role, [])),
         "the graph has a title: %s" % sorted(found))
    same(page.run("document.getElementById('sentence').getAttribute('aria-live')"), "polite", "the sentence of a step is read out")
    same(page.run("document.documentElement.lang"), "en", "the language is known")
    ids = page.run("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    same(len(ids) - len(set(ids)), 0, "ids that are there twice")
    page.focus("play")
    want(page.run("getComputedStyle(document.getElementById('play')).outlineStyle") is not None, "the focus is seen")


def narrow_windows_do_not_scroll_sideways(bench):
    page = bench.browser
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    bench.load(GOLDEN, "x1=2,x2=5")
    wide = page.run("document.documentElement.scrollWidth")
    bench.keep("narrow")
    page.call("Emulation.clearDeviceMetricsOverride")
    want(wide <= 390, "the page is %d wide in a window of 390" % wide)


TESTS = (forward_steps_show_the_golden_values, reverse_steps_show_the_golden_gradient, tangent_steps_follow_the_chosen_input,
         edited_inputs_compute_again, keys_and_buttons_do_the_same, numbers_are_written_as_by_the_command,
         every_row_agrees_with_the_command, a_network_agrees_with_the_command, tensors_are_shown_and_not_computed,
         large_traces_are_summarised, strange_values_and_texts_are_shown, ends_of_domains_are_explained,
         modes_leave_sweeps_out, paper_shows_the_whole_table,
         light_and_dark_are_readable, screen_readers_find_their_way, narrow_windows_do_not_scroll_sideways)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("tapegrad")
    parser.add_argument("ops_def")
    parser.add_argument("--shots")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    program = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if not program:
        print("1..1\nok 1 # SKIP no Chromium or Chrome was found")
        return 77
    failed = 0
    tests = [test for test in TESTS if arguments.only in test.__name__]
    print("1..%d" % len(tests))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(program, os.path.join(folder, "profile"))
        try:
            bench = Bench(arguments, browser, folder)
            for number, test in enumerate(tests, 1):
                try:
                    test(bench)
                    print("ok %d - %s" % (number, test.__name__), flush=True)
                except Failure as failure:
                    failed += 1
                    print("not ok %d - %s" % (number, test.__name__))
                    print("\n".join("# " + line for line in str(failure).split("\n")), flush=True)
        finally:
            browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
