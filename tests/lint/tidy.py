#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy 14 with .clang-tidy over src/. Usage: tidy.py FOLDER BUILD (with compile commands)."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from lint import Report, root, skip, tree_files

TOOL = "clang-tidy-14"
# The nodes of a function's graph that the static analyzer looks at, which is where the time goes: its own default, and
# a third in the short form. The checks that .clang-tidy leaves out for their false reports find the same 37 with both.
NODES = 225000 if os.environ.get("SHORTENER_TEST_LONG") else 75000
# The commands are gcc's: its own warnings are unknown here, and -Werror is the compilers' business.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error",
         *(f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={NODES}"))]


def check(folder, build, name):
    command = [TOOL, "-p", build, "--quiet", *EXTRA, str(folder / name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return [done.stdout or done.stderr] if done.returncode else []


def main():
    folder, report = root(), Report()
    build = sys.argv[2]
    if not shutil.which(TOOL):
        skip(f"{TOOL} is not installed (script/bootstrap)")
    names = [name for name in tree_files(folder) if name.startswith("src/") and name[-2:] == ".c"]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for findings in pool.map(lambda name: check(folder, build, name), names):
            report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
