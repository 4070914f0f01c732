#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-format 14 would change nothing."""

import shutil
import subprocess

from lint import Report, root, skip, tree_files

TOOL = "clang-format-14"


def main():
    folder, report = root(), Report()
    if not shutil.which(TOOL):
        skip(f"{TOOL} is not installed (script/bootstrap)")
    for name in tree_files(folder):
        if name.startswith(("src/", "tests/")) and name.endswith((".c", ".h")):
            text = (folder / name).read_bytes()
            command = [TOOL, "--style=file", f"--assume-filename={folder / name}"]
            wanted = subprocess.run(command, input=text, capture_output=True, check=True).stdout
            line = next(
                (
                    number
                    for number, (a, b) in enumerate(
                        zip(text.split(b"\n") + [None], wanted.split(b"\n") + [None]), 1
                    )
                    if a != b
                ),
                0,
            )
            report.case([] if text == wanted else [f"{name}:{line}: run {TOOL} -i {name}"])
    report.end()


if __name__ == "__main__":
    main()
