#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of at most 500 lines, functions of at most 60, lines of C of at most 100 characters.

Tests may be longer, 800 and 100, and a test program's main() is a table that does not count. What
is longer still is listed, with the reason, in length-exceptions.txt; an entry that is no longer
needed is a finding too.
"""

import re

from lint import Report, code_only, read, root, tree_files

FILE_LINES, FUNCTION_LINES = 500, 60
TEST_FILE_LINES, TEST_FUNCTION_LINES = 800, 100
LINE_WIDTH = 100
EXCEPTIONS = "tests/lint/length-exceptions.txt"
SUFFIXES = (".c", ".h", ".def", ".py", ".sh", ".sql", ".cmake")


def exceptions(folder):
    """{what: (most lines, line number in the list)}; what is FILE or FILE:FUNCTION."""
    result = {}
    if not (folder / EXCEPTIONS).exists():
        return result
    for number, line in enumerate(read(folder, EXCEPTIONS).split("\n"), 1):
        words = line.split("#")[0].split()
        if words:
            result[words[0]] = (int(words[1]), number)
    return result


def functions(code):
    """(name, first line, lines) of each function at file scope of formatted C."""
    lines = code.split("\n")
    start = name = None
    for number, line in enumerate(lines):
        if start is None:
            if re.match(r"[A-Za-z_].*[\w)]\s*\(|[A-Za-z_]\w*\(", line) and not line.startswith(
                ("typedef", "struct", "enum", "union", "#")
            ):
                head = number
                while not re.search(r"[;{}=]", lines[number]) and number + 1 < len(lines):
                    number += 1
                if lines[number].rstrip().endswith("{") and "=" not in lines[number]:
                    start, name = head, re.search(r"(\w+)\s*\(", line).group(1)
        elif line.startswith("}"):
            yield name, start + 1, number - start + 1
            start = None


def limits(name):
    if name.startswith("tests/"):
        return TEST_FILE_LINES, TEST_FUNCTION_LINES
    return FILE_LINES, FUNCTION_LINES


def check(name, text, known, used):
    def too_long(what, line, lines, most):
        if lines <= most:
            return
        if what in known:
            used.add(what)
            most = known[what][0]
        if lines > most:
            yield f"{name}:{line}: {what} has {lines} lines; at most {most}"

    lines = text.split("\n")
    file_lines, function_lines = limits(name)
    yield from too_long(name, 1, len(lines) - 1, file_lines)
    if not name.endswith((".c", ".h")):
        return
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_WIDTH:
            yield f"{name}:{number}: {len(line)} characters; at most {LINE_WIDTH}"
    for function, line, n in functions(code_only(text)):
        if not (name.startswith("tests/") and function == "main"):
            yield from too_long(f"{name}:{function}", line, n, function_lines)


def main():
    folder, report = root(), Report()
    known, used = exceptions(folder), set()
    for name in tree_files(folder):
        if name.endswith(SUFFIXES) and "/corpus/" not in name:
            report.case(list(check(name, read(folder, name), known, used)))
    for what, (_, line) in sorted(known.items()):
        report.case([] if what in used else [f"{EXCEPTIONS}:{line}: {what} needs it no more"])
    report.end()


if __name__ == "__main__":
    main()
