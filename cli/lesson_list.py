#!/usr/bin/env python3
"""lesson_list.py - names and descriptions of the lessons, from the heads of their sources, as C

    lesson_list.py OUTPUT SOURCE...

A source opens with `/* name.c - what it shows`, which may go on in the lines below.
"""

import json
import re
import sys

HEAD = re.compile(r"/\* (\w+)\.c - (.*?)(?:\n \*[ \t]*\n|\*/)", re.DOTALL)


def row(path):
    with open(path, encoding="utf-8") as source:
        head = HEAD.match(source.read())
    if not head:
        sys.exit(f"{path}: does not open with '/* name.c - what it shows'")
    what = " ".join(head[2].replace("\n *", " ").split())
    return f"    {{{json.dumps(head[1])}, {json.dumps(what, ensure_ascii=False)}}},\n"


def main():
    output, *sources = sys.argv[1:]
    with open(output, "w", encoding="utf-8", newline="\n") as to:
        to.write("/* Made by lesson_list.py. A name of NULL ends the list. */\n")
        to.write("static const struct lesson {\n    const char *name, *what;\n} lessons[] = {\n")
        to.writelines(row(path) for path in sorted(sources))
        to.write("    {NULL, NULL},\n};\n")


main()
