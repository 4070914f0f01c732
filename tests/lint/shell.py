#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shell scripts pass shellcheck; programs of the tree may be run; the rest may not."""

import os
import shutil
import subprocess

from lint import Report, is_script, root, skip, tree_files


def check_mode(folder, name):
    with open(folder / name, "rb") as file:
        has_interpreter = file.read(2) == b"#!"
    if has_interpreter != os.access(folder / name, os.X_OK):
        yield f"{name}: #! and the mode do not agree: chmod {'+' if has_interpreter else '-'}x"


def main():
    folder, report = root(), Report()
    if not shutil.which("shellcheck"):
        skip("shellcheck is not installed (script/bootstrap)")
    for name in tree_files(folder):
        findings = list(check_mode(folder, name))
        if is_script(folder, name) or name.endswith(".bash"):
            command = ["shellcheck", "--format=gcc", "--external-sources", name]
            found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            findings += found.stdout.split("\n")[:-1] + found.stderr.split("\n")[:-1]
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
