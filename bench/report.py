#!/usr/bin/env python3
"""report.py - makes the tables and plots of docs/performance.md from a file of results

    report.py [FILE] [--docs FOLDER]

FILE is what ./run bench wrote; without it the newest of bench/results/. The text between the two markers of
FOLDER/performance.md is replaced, and the plots are FOLDER/performance-*.svg.
"""
import glob
import json
import math
import os
import re
import sys
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- results: written by ./run bench --report -->", "<!-- end of results -->"

TITLES = {
    "start": "Start of a process, to its first gradient",
    "scalar": "Scalars: record, reverse, read the gradient",
    "replay": "Scalars: value and gradient of a captured program at new inputs",
    "program": "What a program costs before its first run (MLP 64-64-64-1)",
    "memory": "Memory of the tape, for an operation or input; adjoints and constants included",
    "large": "Beyond the caches",
    "wide": "Long arrays of float, value and gradient",
    "against": "Against another commit",
}
# Ratios to these say what a gradient costs, or what was promised; they are no rivals to lose to.
NO_RIVALS = ("promised", "plain function", "its bytes at", "limit", "10^6 operations", "true(1)", "recorded",
             "one recorded gradient", "the bare products", "replayed")


def load(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    if results.get("format") != 1:
        sys.exit("%s: not a file of results of format 1" % path)
    return results


def newest():
    files = glob.glob(os.path.join(HERE, "results", "*.json"))
    if not files:
        sys.exit("bench/results has no results: ./run bench makes some")
    return max(files, key=lambda path: load(path)["run"]["date"])


def rows_of(results, bench):
    return [row for row in results["rows"] if row["bench"] == bench]


# ---- numbers -------------------------------------------------------------------------------------


def number(value, unit=""):
    """three digits, without an exponent"""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = "{:,.{}f}".format(value, digits)
    if digits == 3 and value:
        text = "%.2g" % value if abs(value) < .01 else text
    return text + (" " + unit if unit else "")


def ratio(row):
    """with its quartiles, where there are some"""
    if row["ratio"] is None:
        return "–"
    text = number(row["ratio"])
    if row["ratio_low"] is not None and row["ratio_low"] != row["ratio_high"]:
        text += " (%s–%s)" % (number(row["ratio_low"]), number(row["ratio_high"]))
    return text


def promise(row):
    if "promise" not in row:
        return ""
    if row["met"] is None:
        return "≤ %s, not measured" % number(row["promise"])
    return "≤ %s, %s" % (number(row["promise"]), "met" if row["met"] else "**missed**")


def title_of(row):
    return row["case"] + (": " + row["way"] if row["way"] else "")


def table(heads, lines):
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for line in lines:
        yield "| " + " | ".join(line) + " |"


# ---- tables --------------------------------------------------------------------------------------


def head(results):
    machine, build, run, load_ = (results[key] for key in ("machine", "build", "run", "load"))
    busy = load_["others_cores"] + load_["stolen_cores"]
    commit = build["commit"] or "unknown"
    yield "Measured %s at commit `%s`%s: %s, %d cores, %.0f GiB, last cache %.0f MiB; %s; %s, `%s`." % (
        run["date"][:10], commit, " with changes that were not committed" if build["dirty"] else "", machine["cpu"],
        machine["cores"], machine["memory_gib"], machine["last_cache_mib"], machine["system"], build["compiler"],
        build["flags"].strip())
    yield ""
    yield "Load average %.2f before and %.2f after; meanwhile others took the time of %.2f of %d cores.%s%s" % (
        load_["average_before"], load_["average_after"], busy, machine["cores"],
        " **Taken on a busy machine: take the ratios with care, and times not at all.**" if busy > .1 * machine["cores"]
        else "", " `--quick`: few repetitions, few sizes." if run["quick"] else "")


def promises(results):
    rows = [row for row in results["rows"] if "promise" in row]
    if not rows:
        return
    met = sum(row["met"] is True for row in rows)
    missed = sum(row["met"] is False for row in rows)
    yield ""
    yield "### Promises"
    yield ""
    yield "%d met, %d missed, %d not measured here (a peer or a way of ours was not there)." % (
        met, missed, len(rows) - met - missed)
    yield ""
    yield from table(("", "case", "ours", "against", "theirs", "ratio", "promised"),
                     ((row["bench"], title_of(row), number(row["ours"], row["unit"]), row["peer_name"],
                       number(row["peer"], row["unit"]), ratio(row), promise(row)) for row in rows))


def plain_tables(results):
    for bench, title in TITLES.items():
        rows = rows_of(results, bench)
        if not rows:
            continue
        yield ""
        yield "### " + title
        yield ""
        yield from table(("case", "ours", "against", "theirs", "ratio"),
                         ((title_of(row), number(row["ours"], row["unit"]), row["peer_name"],
                           number(row["peer"], row["unit"]), ratio(row)) for row in rows))


def peers_of(rows):
    names = []
    for row in rows:
        if row["peer_name"] not in names:
            names.append(row["peer_name"])
    return names


def pivot(rows, label, unit):
    """a line a case, a column a peer: the ratio"""
    names = peers_of(rows)
    cases = {}
    for row in rows:
        cases.setdefault(row["case"], {})[row["peer_name"]] = row
    lines = []
    for case, by_peer in cases.items():
        ours = next(iter(by_peer.values()))["ours"]
        lines.append([case, number(ours)] + [ratio(by_peer[name]) if name in by_peer else "" for name in names])
    yield from table([label, "ours, " + unit] + ["÷ " + name for name in names], lines)


def growth_tables(results):
    rows = rows_of(results, "growth")
    ways = []
    for row in rows:
        if row["way"] not in ways:
            ways.append(row["way"])
    for way in ways:
        yield ""
        yield "### Growth: %s" % way
        yield ""
        yield "![peer's time ÷ ours over operations, %s](performance-%s.svg)" % (way, slug(way))
        yield ""
        yield from pivot([row for row in rows if row["way"] == way], "chain", "ns/op")


def training_tables(results):
    training, limits = rows_of(results, "training"), rows_of(results, "limit")
    if training:
        yield ""
        yield "### A training step, one thread"
        yield ""
        yield "![peer's time ÷ ours over the batch](performance-training.svg)"
        yield ""
        yield from pivot(training, "network", "µs")
    own = [row for row in limits if not row["way"]]
    if own:
        by_hand = {row["case"]: row for row in limits if row["way"]}
        yield ""
        yield "### A training step against its limit"
        yield ""
        yield from table(("network", "ours, µs", "limit, µs", "ours ÷ limit", "by hand ÷ limit", "promised", "products"),
                         ((row["case"], number(row["ours"]), number(row["peer"]), ratio(row),
                           ratio(by_hand[row["case"]]) if row["case"] in by_hand else "", promise(row),
                           re.sub(r"^limit \(products: (.*)\)$", r"\1", row["peer_name"])) for row in own))
    for bench, title in (("threads", "Two threads"), ("resident", "Memory of the process that trains, at its highest")):
        rows = rows_of(results, bench)
        if not rows:
            continue
        yield ""
        yield "### " + title
        yield ""
        if bench == "resident":
            yield "![peer's memory ÷ ours over the batch](performance-resident.svg)"
            yield ""
            yield from pivot(rows, "network", "MiB")
        else:
            yield from table(("network", "", "ours", "against", "theirs", "ratio", "promised"),
                             ((row["case"], row["way"], number(row["ours"], row["unit"]), row["peer_name"],
                               number(row["peer"], row["unit"]), ratio(row), promise(row)) for row in rows))


def losses(results):
    rows = [row for row in results["rows"]
            if row["ratio"] and row["ratio"] > 1 and row["bench"] != "against" and
            not (row["bench"] == "limit" and row["way"]) and not row["peer_name"].startswith(NO_RIVALS)]
    if not rows:
        return
    worst = {}
    for row in rows:
        key = (row["bench"], row["way"], row["peer_name"])
        worst.setdefault(key, []).append(row)
    yield ""
    yield "### Where we lose"
    yield ""
    yield "Every rival that was faster, or needed less memory, somewhere, and where it was so most:"
    yield ""
    lines = []
    for (bench, way, peer_name), lost in worst.items():
        lost.sort(key=lambda row: -row["ratio"])
        lines.append((bench, way or "", peer_name, str(len(lost)), lost[0]["case"], ratio(lost[0])))
    yield from table(("", "ours", "faster", "cases", "most in", "ours ÷ theirs"), lines)


# ---- plots ---------------------------------------------------------------------------------------

# Mid tones, that stand on white and on black; a peer has its colour and its mark in every plot.
COLOURS = (("hand", "#2e9e6b"), ("ADOL-C", "#d9822b"), ("CoDiPack", "#c2559d"), ("Adept", "#4aa5b0"),
           ("CasADi, its C", "#a68a2d"), ("CasADi", "#cf5c5c"), ("JAX", "#8a7bd1"), ("PyTorch", "#3b82c4"),
           ("limit", "#7d8590"), ("promised", "#7d8590"), ("", "#b06a4e"))
GREY = "#7d8590"
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP, LEGEND = 300, 230, 62, 34, 66, 22


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def style(name):
    """number and colour of a peer, and whether it is drawn in dashes"""
    for kind, (prefix, colour) in enumerate(COLOURS):
        if name.startswith(prefix):
            return kind, colour, prefix in ("limit", "promised") or "compiled" in name and prefix == "PyTorch"
    return 0, GREY, False


def dashes(name):
    return ' stroke-dasharray="5 4"' if style(name)[2] else ""


def marker(kind, x, y, colour):
    if kind % 4 == 0:
        return '<circle cx="%.1f" cy="%.1f" r="3.4" fill="%s"/>' % (x, y, colour)
    shapes = {1: "M-3.2,-3.2h6.4v6.4h-6.4z", 2: "M0,-4.4L4.1,3H-4.1z", 3: "M0,-4.4L4.4,0L0,4.4L-4.4,0z"}
    return '<path transform="translate(%.1f,%.1f)" d="%s" fill="%s"/>' % (x, y, shapes[kind % 4], colour)


def size_label(value):
    exponent = round(math.log10(value))
    return "%g" % value if value < 1e4 else '10<tspan dy="-5" font-size="9">%d</tspan>' % exponent


def ticks(sizes, x_label):
    """powers of ten for operations, which are only about that many; the sizes themselves for batches"""
    if x_label != "operations":
        return sorted(sizes)
    return sorted({10 ** round(math.log10(size)) for size in sizes})


class Panel:
    """one plot: log axes, a line a peer"""

    def __init__(self, title, lines, sizes, y_range, x_label):
        self.title, self.lines, self.x_label = title, lines, x_label
        self.x_values = ticks(sizes, x_label)
        self.x_low = math.log10(min(sizes | set(self.x_values)))
        self.x_high = math.log10(max(sizes | set(self.x_values)))
        self.y_low, self.y_high = y_range

    def x(self, value):
        span = self.x_high - self.x_low or 1
        return (math.log10(value) - self.x_low) / span * PANEL_WIDTH

    def y(self, value):
        return (self.y_high - math.log10(value)) / (self.y_high - self.y_low) * PANEL_HEIGHT

    def axes(self):
        yield '<text x="0" y="-12" font-weight="bold">%s</text>' % escape(self.title)
        equal = self.y(1)
        yield '<rect x="0" y="%.1f" width="%d" height="%.1f" fill="%s" opacity=".10"/>' % (
            equal, PANEL_WIDTH, PANEL_HEIGHT - equal, GREY)
        for decade in range(math.floor(self.y_low), math.ceil(self.y_high) + 1):
            for digit in (1, 2, 5):
                value = digit * 10 ** decade
                if not self.y_low - 1e-9 <= math.log10(value) <= self.y_high + 1e-9:
                    continue
                if digit > 1 and self.y_high - self.y_low > 2.2:
                    continue
                at = self.y(value)
                yield '<line x1="0" y1="%.1f" x2="%d" y2="%.1f" stroke="%s" stroke-width="%s" opacity="%s"/>' % (
                    at, PANEL_WIDTH, at, GREY, 1.4 if value == 1 else .6, 1 if value == 1 else .45)
                yield '<text x="-7" y="%.1f" text-anchor="end">%s×</text>' % (at + 4, "%g" % value)
        for value in self.x_values:
            at = self.x(value)
            yield '<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>' % (
                at, PANEL_HEIGHT, at, PANEL_HEIGHT + 4, GREY)
            yield '<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (at, PANEL_HEIGHT + 17, size_label(value))
        yield '<text x="%d" y="%d" text-anchor="middle">%s</text>' % (PANEL_WIDTH / 2, PANEL_HEIGHT + 34, self.x_label)

    def curves(self):
        for name, points in self.lines.items():
            kind, colour, _ = style(name)
            path = " ".join("%s%.1f,%.1f" % ("L" if i else "M", self.x(size), self.y(mid))
                            for i, (size, mid, _, _) in enumerate(points))
            yield '<path d="%s" fill="none" stroke="%s" stroke-width="1.8"%s/>' % (
                path, colour, dashes(name))
            for size, mid, low, high in points:
                yield '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1" opacity=".6"/>' % (
                    self.x(size), self.y(low), self.x(size), self.y(high), colour)
                yield marker(kind, self.x(size), self.y(mid), colour)


def points_of(rows):
    """peer's ÷ ours by peer: (size, median, and the quartiles)"""
    lines = {}
    for row in rows:
        if row["ratio"]:
            lines.setdefault(row["peer_name"], []).append(
                (row["size"], 1 / row["ratio"], 1 / row["ratio_high"], 1 / row["ratio_low"]))
    return {name: sorted(points) for name, points in lines.items()}


def plot(panels_rows, x_label, describe):
    """SVG of some panels, {title: rows}; None where there is nothing to draw"""
    panels_lines = {title: points_of(rows) for title, rows in panels_rows.items()}
    panels_lines = {title: lines for title, lines in panels_lines.items() if lines}
    names, values = [], [1]
    for lines in panels_lines.values():
        for name, points in lines.items():
            if name not in names:
                names.append(name)
            values += [value for point in points for value in point[1:]]
    if not names:
        return None
    y_range = (math.log10(min(values)) - .12, math.log10(max(values)) + .12)
    sizes = {point[0] for lines in panels_lines.values() for points in lines.values() for point in points}
    panels = [Panel(title, lines, sizes, y_range, x_label) for title, lines in panels_lines.items()]
    across = min(len(panels), 2)
    down = (len(panels) + 1) // 2
    width = LEFT + across * PANEL_WIDTH + (across - 1) * GAP + 22
    width = max(width, 440)
    per_line = max(1, (width - 20) // 215)
    legend_height = LEGEND * math.ceil(len(names) / per_line)
    height = TOP + down * (PANEL_HEIGHT + 74) + legend_height + 24
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
           'font-family="sans-serif" font-size="12" fill="%s" role="img">' % (width, height, width, height, GREY),
           "<title>%s</title>" % escape(describe),
           '<desc>Above 1×, unshaded, Tapegrad is ahead. Bars: quartiles of the rounds.</desc>']
    for i, panel in enumerate(panels):
        out.append('<g transform="translate(%d,%d)">' % (LEFT + i % 2 * (PANEL_WIDTH + GAP),
                                                         TOP + i // 2 * (PANEL_HEIGHT + 74)))
        out += panel.axes()
        out += panel.curves()
        out.append("</g>")
    bottom = TOP + down * (PANEL_HEIGHT + 74) - 6
    for i, name in enumerate(names):
        x, y = 16 + i % per_line * 215, bottom + i // per_line * LEGEND
        kind, colour, _ = style(name)
        out.append('<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="1.8"%s/>' % (
            x, y, x + 22, y, colour, dashes(name)))
        out.append(marker(kind, x + 11, y, colour))
        out.append('<text x="%d" y="%d">%s</text>' % (x + 29, y + 4, escape(name)))
    out.append('<text x="16" y="%d">%s, with quartiles; shaded: the peer is ahead</text>' % (height - 8, escape(describe)))
    out.append("</svg>")
    return "\n".join(out) + "\n"


def by_network(rows):
    panels = {}
    for row in rows:
        panels.setdefault(row["case"].split(",")[0], []).append(row)
    return panels


def plots(results):
    growth = rows_of(results, "growth")
    for way in peers_of([dict(row, peer_name=row["way"]) for row in growth]):
        panels = {}
        for row in growth:
            if row["way"] == way and not row["peer_name"].startswith("plain"):
                panels.setdefault(row["case"].rsplit(",", 1)[0], []).append(row)
        yield slug(way), plot(panels, "operations", "Peer's time ÷ ours (%s)" % way)
    training = rows_of(results, "training") + [
        dict(row, peer_name="limit") for row in rows_of(results, "limit") if not row["way"]]
    yield "training", plot(by_network(training), "batch", "Peer's time of a training step ÷ ours")
    resident = [dict(row, peer_name="promised at most" if row["peer_name"] == "promised" else row["peer_name"])
                for row in rows_of(results, "resident")]
    yield "resident", plot(by_network(resident), "batch", "Peer's memory ÷ ours")


# ---- the document --------------------------------------------------------------------------------


def text_of(results, name):
    lines = ["", "Made of `%s`." % name, ""]
    for part in (head, promises, losses, training_tables, growth_tables, plain_tables):
        lines += part(results)
    notes = [note for note in results["notes"] if note.strip() and not note.lstrip().startswith("Load average")]
    if notes:
        lines += ["", "### Notes of the run", ""] + ["- " + note for note in notes]
    return "\n".join(lines + [""])


def main(arguments):
    docs = os.path.join(HERE, os.pardir, "docs")
    if "--docs" in arguments:
        at = arguments.index("--docs")
        docs = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) > 1 or arguments[:1] == ["--help"]:
        sys.exit(__doc__)
    path = arguments[0] if arguments else newest()
    results = load(path)
    page = os.path.join(docs, "performance.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    if BEGIN not in text or END not in text:
        sys.exit("%s lacks the markers between which results are written" % page)
    name = os.path.relpath(path, os.path.join(HERE, os.pardir))
    text = text[:text.index(BEGIN) + len(BEGIN)] + "\n" + text_of(results, name) + "\n" + text[text.index(END):]
    for old in glob.glob(os.path.join(docs, "performance-*.svg")):
        os.remove(old)
    for which, svg in plots(results):
        if svg:
            with open(os.path.join(docs, "performance-%s.svg" % which), "w", encoding="utf-8") as file:
                file.write(svg)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
