#!/usr/bin/env python3
"""Runs what the course shows, and reports in TAP, one case for each example and each picture.

    course.py [--write] [--only TEXT] TAPEGRAD FILE...

An example is a ```sh fence whose lines are commands of `tapegrad`. The ```text fence that follows at once is what
they print, together; a line `...` in it stands for any lines. They end with status 0, or with that of an HTML
comment on the line before the fence: <!-- status 1 -->. Fences with other commands are not run.

A picture is ![text](NAME.svg), with its command in an HTML comment on the line before it, such as
<!-- tapegrad trace 'x^2' --at x=3 --svg --> or <!-- tapegrad plot 'x^2' --over x=0:1 --svg - -->. The file must be
what that prints, byte for byte.

--write puts the right output into text fences that differ, and makes the pictures anew. Read what it did.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

# What is left of rounding is not the same on every machine.
ROUNDING = re.compile(r"(largest difference |worst relative disagreement |within )[-+.e\d]+")
COMMENT = re.compile(r"<!-- *(.*?) *-->$")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^):]+\.svg)\)$")


class Case:
    def __init__(self, page, line, commands):
        self.page, self.line, self.commands = page, line, commands
        self.status = 0
        self.first = self.last = None  # lines of the page that are the output; none where it shows none
        self.picture = None

    def __str__(self):
        return "%s:%d %s" % (os.path.join(*self.page.split(os.sep)[-2:]), self.line,
                             os.path.basename(self.picture) if self.picture else self.commands[0])


def cases_of_page(path, lines):
    """all examples and pictures"""
    i, comment = 0, ""
    while i < len(lines):
        fence, picture = re.match(r"```(\w*)$", lines[i]), PICTURE.match(lines[i])
        if fence:
            end = lines.index("```", i + 1)
            commands = [line for line in lines[i + 1:end] if line]
            if fence[1] == "sh" and all(line.startswith("tapegrad ") for line in commands):
                case = Case(path, i + 1, commands)
                said = re.match(r"status (\d+)$", comment)
                case.status = int(said[1]) if said else 0
                if end + 1 < len(lines) and lines[end + 1] == "```text":
                    case.first = end + 2
                    case.last = end = lines.index("```", end + 2)
                yield case
            i = end
        elif picture:
            case = Case(path, i + 1, [comment] if comment.startswith("tapegrad ") else [])
            case.picture = os.path.join(os.path.dirname(path), picture[1])
            yield case
        said = COMMENT.match(lines[i])
        comment = said[1] if said else ""
        i += 1


def run(case, tapegrad):
    """what its commands print, and the status: the largest of all"""
    output, status = b"", 0
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with tempfile.TemporaryDirectory() as folder:
        for command in case.commands:
            ran = subprocess.run(["sh", "-c", 'tapegrad() { "$TAPEGRAD" "$@"; }\n' + command], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, timeout=120, check=False,
                                 env=dict(environment, TAPEGRAD=tapegrad))
            output, status = output + ran.stdout, max(status, ran.returncode)
    return output, status


def tidy(lines):
    return [ROUNDING.sub(r"\1...", line.rstrip()) for line in lines]


def agrees(wanted, got):
    """line by line, where the line `...` is any lines"""
    if not wanted:
        return not got
    if wanted[0] == "...":
        return any(agrees(wanted[1:], got[k:]) for k in range(len(got) + 1))
    return bool(got) and wanted[0] == got[0] and agrees(wanted[1:], got[1:])


def judge(case, lines, answer, write):
    """what is wrong with it, nothing if it is right; and the lines to be written in place of those there are"""
    output, status = answer
    if not case.commands:
        return "no comment on the line before says how it was made", None
    if status != case.status:
        return "status %d, not %d:\n%s" % (status, case.status, output.decode(errors="replace")), None
    if case.picture:
        old = None
        if os.path.exists(case.picture):
            with open(case.picture, "rb") as file:
                old = file.read()
        if old != output and write:
            with open(case.picture, "wb") as file:
                file.write(output)
            old = output
        return "" if old == output else "it is not what its command prints", None
    if case.first is None:
        return "", None
    got = [line.rstrip() for line in output.decode().strip("\n").split("\n")]
    wanted = lines[case.first:case.last]
    if agrees(tidy(wanted), tidy(got)):
        return "", None
    return ("", got) if write else ("wanted:\n%s\ngot:\n%s" % ("\n".join(wanted), "\n".join(got)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="puts right what differs")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("tapegrad")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    tapegrad = os.path.abspath(options.tapegrad)

    pages, cases = {}, []
    for path in map(os.path.abspath, options.files):
        with open(path, encoding="utf-8") as file:
            pages[path] = file.read().split("\n")
        cases += [case for case in cases_of_page(path, pages[path]) if options.only in str(case)]

    print("1..%d" % len(cases))
    failures, changes = 0, []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = [pool.submit(run, case, tapegrad) for case in cases]
        for number, (case, answer) in enumerate(zip(cases, answers), 1):
            wrong, written = judge(case, pages[case.page], answer.result(), options.write)
            failures += bool(wrong)
            print("%sok %d - %s" % ("not " if wrong else "", number, case))
            for line in wrong.rstrip("\n").split("\n") if wrong else []:
                print("# " + line)
            if written is not None:
                changes.append((case, written))
    for case, written in reversed(changes):  # from the last, so that the lines before keep their places
        pages[case.page][case.first:case.last] = written
    for path in {case.page for case, _ in changes}:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(pages[path]))
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
