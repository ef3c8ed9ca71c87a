#!/usr/bin/env python3
"""Compiles and runs what the documentation shows, and reports in TAP, one case a snippet.

    snippets.py --compiler CC [--flag=FLAG]... [--no-sites] [--only TEXT] FILE...

A FILE that ends in .md is a page; each of its ```c fences is a case. A FILE that ends in .c is a program that
must end with status 0. Compiling is done with warnings as errors. Each runs in a folder of its own, where
examples/data is the project's.

A fence with `int main` in it is a program. Any other is a piece: statements that are put into a main. An HTML
comment on the line before the fence says more:

    <!-- snippet: declares -->         functions and types, which all later snippets of the page see
    <!-- snippet: continues -->        goes on where the piece before it ended, with its variables
    <!-- snippet: as examples/x.c -->  must be that file, word for word

A ```text fence that follows is what the snippet prints. A line `...` in it stands for any lines; source
sites (x.c:12) may differ in file and line.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

INCLUDES = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <tapegrad/nn.h>\n"
WARNINGS = ("-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror").split()
QUIET = "-Wno-unused-variable -Wno-unused-but-set-variable -Wno-unused-function".split()
MARK = "\f"  # printed where a piece begins
SITE = re.compile(r"[\w./+-]+\.(?:c|h|md):\d+")


class Snippet:
    def __init__(self, name, source, expected=None, wrapped=False, wrong=""):
        self.name, self.source, self.expected, self.wrapped, self.wrong = name, source, expected, wrapped, wrong


def fences(text):
    """(language, comment before it, line number, content) of each fence"""
    lines = text.split("\n")
    i, comment = 0, ""
    while i < len(lines):
        match = re.match(r"```(\w*)\s*$", lines[i])
        if match:
            end = lines.index("```", i + 1)
            yield match[1], comment, i + 2, "\n".join(lines[i + 1:end]) + "\n"
            i, comment = end, ""
        elif re.match(r"<!-- *snippet:", lines[i]):
            comment = lines[i]
        elif lines[i].strip():
            comment = ""
            yield "", "", i + 1, ""  # prose: the next fence is no longer the output of the last
        i += 1


def snippets_of_page(path, root):
    page = os.path.relpath(path, root)
    found, declarations, chain, last = [], "", "", None
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for language, comment, line, content in fences(text):
        if language == "text" and last:
            last.expected = content
        if language != "c":
            last = None
            continue
        where = '#line %d "%s"\n%s' % (line, os.path.basename(path), content)
        last = Snippet("%s:%d" % (page, line), "")
        found.append(last)
        same = re.search(r"snippet: *as +(\S+)", comment)
        if same:
            with open(os.path.join(root, same[1]), encoding="utf-8") as file:
                if file.read() != content:
                    last.wrong = "differs from " + same[1]
        if re.search(r"\bint main\(", content):
            last.source = where
        elif "declares" in comment:
            declarations += where
            last.wrapped, last.source = True, INCLUDES + declarations + "int main(void) { return 0; }\n"
        else:
            step = 'printf("\\f");\n' + where
            chain = chain + step if "continues" in comment else step
            last.wrapped, last.source = True, INCLUDES + declarations + "int main(void)\n{\n" + chain + "return 0;\n}\n"
    return found


def snippets(paths, root):
    for path in paths:
        if path.endswith(".md"):
            yield from snippets_of_page(path, root)
        else:
            with open(path, encoding="utf-8") as file:
                yield Snippet(os.path.relpath(path, root), '#line 1 "%s"\n%s' % (os.path.basename(path), file.read()))


def tidy(text):
    return [SITE.sub("file:line", line.rstrip()) for line in text.strip("\n").split("\n")]


def agrees(wanted, got):
    """line by line, where the line `...` is any lines"""
    if not wanted:
        return not got
    if wanted[0].strip() == "...":
        return any(agrees(wanted[1:], got[k:]) for k in range(len(got) + 1))
    return bool(got) and wanted[0] == got[0] and agrees(wanted[1:], got[1:])


def run(snippet, options, folder, number):
    """what is wrong with it; nothing if it is right"""
    if snippet.wrong:
        return snippet.wrong
    source, program, place = (os.path.join(folder, "%d%s" % (number, end)) for end in (".c", "", ".d"))
    os.makedirs(os.path.join(place, "examples"))
    os.symlink(os.path.join(options.root, "examples", "data"), os.path.join(place, "examples", "data"))
    with open(source, "w", encoding="utf-8") as file:
        file.write(snippet.source)
    flags = [f for f in options.flag if not f.startswith(("-l", "-L", "-Wl")) and not os.path.isfile(f)]
    libraries = [f for f in options.flag if f not in flags] + ["-lm"]
    command = options.compiler + ["-std=c11"] + WARNINGS + (QUIET if snippet.wrapped else []) + flags
    built = subprocess.run(command + [source, "-o", program] + libraries, capture_output=True, text=True)
    if built.returncode:
        return "does not compile:\n" + built.stderr
    environment = dict(os.environ)
    if snippet.wrapped:  # a piece does not clean up
        environment["ASAN_OPTIONS"] = "detect_leaks=0:" + environment.get("ASAN_OPTIONS", "")
    try:
        ran = subprocess.run([program], capture_output=True, text=True, timeout=120, env=environment, cwd=place)
    except subprocess.TimeoutExpired:
        return "still runs after 120 s"
    if ran.returncode:
        return "ends with status %d:\n%s%s" % (ran.returncode, ran.stdout, ran.stderr)
    if snippet.expected is None or (options.no_sites and SITE.search(snippet.expected)):
        return ""
    wanted, got = tidy(snippet.expected), tidy(ran.stdout.split(MARK)[-1])
    return "" if agrees(wanted, got) else "wanted:\n%s\ngot:\n%s" % ("\n".join(wanted), "\n".join(got))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", required=True, type=str.split, help="with its arguments, split at blanks")
    parser.add_argument("--flag", action="append", default=[], help="for compiling and linking; many times")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--no-sites", action="store_true", help="the library was built without source sites")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    cases = [s for s in snippets(options.files, options.root) if options.only in s.name]
    print("1..%d" % len(cases))
    failures = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = [pool.submit(run, case, options, folder, i) for i, case in enumerate(cases)]
        for i, (case, result) in enumerate(zip(cases, results)):
            wrong = result.result()
            failures += bool(wrong)
            print("%sok %d - %s" % ("not " if wrong else "", i + 1, case.name))
            for line in wrong.rstrip("\n").split("\n") if wrong else []:
                print("# " + line)
            sys.stdout.flush()
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
