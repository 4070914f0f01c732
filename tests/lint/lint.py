# SPDX-License-Identifier: MIT
"""What the lints share: the tree's files, C without comments and strings, and the report.

A lint is a program `tests/lint/NAME.py [FOLDER]` that looks at the tree (or at FOLDER, for its own
tests), prints `file:line: what` for each finding and, as its last line, `N passed, N failed`, where
one file (or key, or route) is one case. It exits 0, or 1 when something was found.
"""

import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


def root():
    """The folder to look at."""
    return Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else TREE


def tree_files(folder):
    """Every file of the project: what git tracks or would, else (no git) all but build/."""
    command = ["git", "-C", str(folder), "ls-files", "-co", "--exclude-standard", "-z"]
    if (folder / ".git").exists():
        listed = subprocess.run(command, capture_output=True, check=True).stdout
        names = [name for name in listed.decode().split("\0") if name]
    else:
        names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
        names = [name for name in names if not name.startswith(("build/", ".cache/"))]
    return sorted(name for name in names if (folder / name).is_file())


def read(folder, name):
    return (folder / name).read_text(encoding="utf-8", errors="replace")


def is_script(folder, name):
    """Does the file begin with #! of a shell?"""
    with open(folder / name, "rb") as file:
        first = file.readline(80)
    return re.match(rb"#!.*\b(ba)?sh\b", first) is not None


_C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_only(text):
    """C with comments, strings and characters blanked; lines stay where they are."""

    def blank(match):
        token = match.group()
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _C_TOKEN.sub(blank, text)


class Report:
    """Counts cases and prints findings."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def case(self, findings):
        """One case; findings: its list of texts, empty when it passed."""
        for finding in findings:
            print(finding)
        if findings:
            self.failed += 1
        else:
            self.passed += 1

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def skip(why):
    """A lint whose tool is missing. ctest knows 77."""
    print(f"skipped: {why}")
    sys.exit(77)
