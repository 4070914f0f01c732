#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing in the tree knows the machine that it was written on, and no file is a stray one."""

import re

from lint import Report, root, tree_files

PATHS = rb"/home/[a-z]+/|/root/[a-z]|/mnt/[a-z]|/Users/"
STRAY = re.compile(r"\.(orig|rej|swp|bak|o|a|so|pyc|gcda|gcno)$|~$")
EXEMPT = ("tests/lint/paths.py",)
MAX_BYTES = 1024 * 1024
SMALL_ENOUGH = re.compile(r"seed_data/.*\.csv")


def paths_of(folder):
    """Homes, and the place of this very checkout."""
    place = folder.resolve()
    own = b"|" + re.escape(str(place).encode()) + rb"\b" if len(place.parts) > 2 else b""
    return re.compile(PATHS + own)


def main():
    folder, report = root(), Report()
    paths = paths_of(folder)
    for name in tree_files(folder):
        findings = []
        data = (folder / name).read_bytes()
        if STRAY.search(name):
            findings.append(f"{name}: does not belong into the tree")
        if len(data) > MAX_BYTES and not SMALL_ENOUGH.fullmatch(name):
            findings.append(f"{name}: {len(data)} bytes; at most {MAX_BYTES}")
        if name not in EXEMPT:
            for match in paths.finditer(data):
                line = data.count(b"\n", 0, match.start()) + 1
                findings.append(f"{name}:{line}: a path of one machine: {match.group().decode()}")
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
