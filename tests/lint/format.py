#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-format 14 would change nothing."""

import re
import shutil
import subprocess

from lint import Report, root, skip, tree_files

TOOL = "clang-format-14"


def main():
    folder, report = root(), Report()
    if not shutil.which(TOOL):
        skip(f"{TOOL} is not installed (script/bootstrap)")
    names = [name for name in tree_files(folder) if name.startswith(("src/", "tests/")) and name.endswith((".c", ".h"))]
    # One call: most of its time is its start.
    said = subprocess.run([TOOL, "--style=file", "--dry-run", *names], cwd=folder, stderr=subprocess.PIPE, text=True, check=True).stderr
    lines = {}
    for name, line in re.findall(r"^(\S+):(\d+):\d+: \w+: code should be clang-formatted", said, re.MULTILINE):
        lines.setdefault(name, line)
    for name in names:
        report.case([f"{name}:{lines[name]}: run {TOOL} -i {name}"] if name in lines else [])
    report.end()


if __name__ == "__main__":
    main()
