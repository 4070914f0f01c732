#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of options, shortener.conf(5) and etc/shortener.conf agree.

Usage: options.py FOLDER PROGRAM [MANUAL EXAMPLE], where PROGRAM prints the table (list_options.c);
without the last two they are the names above. Each key stands in its section, with its default, in
the same order; the man page says of each whether it is reloadable.
"""

import re
import subprocess
import sys

from lint import Report, read, root

MANUAL = "man/shortener.conf.5"
EXAMPLE = "etc/shortener.conf"


def in_table(program):
    """[(section, key, default, reloadable)]"""
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in lines.splitlines()]


def in_manual(text):
    result = []
    options = text[text.index(".Sh OPTIONS") : text.index(".Sh FILES")]
    for part in re.split(r"^\.Ss ", options, flags=re.MULTILINE)[1:]:
        section = re.match(r"\[(\w+)\]", part).group(1)
        for item in re.split(r"^\.It Va ", part, flags=re.MULTILINE)[1:]:
            item = item.split("\n.El")[0]
            key = re.match(r"(\w+) Ns =\n", item).group(1)
            default = re.search(r"^Default: (.*)\.$", item, re.MULTILINE)
            default = default.group(1) if default else "(not said)"
            reloadable = "yes" if re.search(r"^Reloadable\.$", item, re.MULTILINE) else "no"
            result.append((section, key, "" if default == "none" else default, reloadable))
    return result


def in_example(text):
    result = []
    section = ""
    for line in text.split("\n"):
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match.group(1)
        elif match := re.fullmatch(r"#(\w+)=(.*)", line):
            result.append((section, *match.groups()))
    return result


def compare(name, wanted, found):
    """One finding for each difference."""
    for row in wanted:
        if row not in found:
            yield f"{name}: missing or different: {' '.join(row)}"
    for row in found:
        if row not in wanted:
            yield f"{name}: not in the table like that: {' '.join(row)}"
    if sorted(wanted) == sorted(found) and wanted != found:
        yield f"{name}: the order is not that of the table"


def main():
    folder, report = root(), Report()
    table = in_table(sys.argv[2])
    manual, example = sys.argv[3:5] if len(sys.argv) > 3 else (MANUAL, EXAMPLE)
    report.case(list(compare(manual, table, in_manual(read(folder, manual)))))
    lines = in_example(read(folder, example))
    report.case(list(compare(example, [row[:3] for row in table], lines)))
    report.end()


if __name__ == "__main__":
    main()
