#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the fuzz corpora reach of the parsers: 95 % of the lines of each.

Usage: coverage.py BUILD, a build with SHORTENER_COVERAGE. Runs each file of tests/fuzz/corpus as it is, without the
changes that the replay makes of them, and asks gcov. Prints a row for each parser, and the lines that are not
reached where it is below; the last line is `N passed, N failed`.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = 95.0

# What it parses: the corpora that are about it, and its files of src/.
PARSERS = {
    "HTTP": (("head", "chunked"), ("http/parser.c", "http/chunked.c")),
    "URL": (("url",), ("model/target.c", "model/host.c", "model/idna.c", "model/punycode.c")),
    "query": (("query",), ("http/query.c",)),
    "JSON": (("json",), ("api/json.c", "api/json-scan.c")),
    "CSV": (("csv",), ("basic/csv.c",)),
    "multipart": (("multipart",), ("http/multipart.c",)),
    "spool": (("spool",), ("clicks/reader.c", "clicks/record.c")),
    "configuration": (("config",), ("config/config.c", "config/file.c", "config/value.c", "config/option-checks.c",
                                    "config/options-load.c", "config/redis-place.c")),
}


def replay(build, corpora, folder):
    """Counts go to the folder: those of the build are of all tests."""
    environment = {**os.environ, "GCOV_PREFIX": folder, "GCOV_PREFIX_STRIP": "0"}
    for name in corpora:
        subprocess.run([build / "tests" / "fuzz" / f"replay-{name}", "--whole", ROOT / "tests" / "fuzz" / "corpus" / name],
                       env=environment, stdout=subprocess.DEVNULL, check=True)


def lines(build, folder, name):
    """{line: how often it ran} of a file of src/."""
    library, file = name.split("/")
    objects = build / "src" / library / "CMakeFiles" / f"{library}.dir" / file
    counts = Path(folder + str(objects) + ".gcda")
    with contextlib.suppress(FileExistsError):
        os.symlink(f"{objects}.gcno", counts.with_suffix(".gcno"))
    done = subprocess.run(["gcov", "--stdout", "--json-format", counts], cwd=folder, stdout=subprocess.PIPE, check=True)
    found = {}
    for row in json.loads(done.stdout)["files"]:
        if row["file"].endswith("src/" + name):
            for line in row["lines"]:
                found[line["line_number"]] = found.get(line["line_number"], 0) + line["count"]
    return found


def measure(build, corpora, files):
    """{file: {line: how often}}"""
    with tempfile.TemporaryDirectory() as folder:
        replay(build, corpora, folder)
        return {name: lines(build, folder, name) for name in files}


def main():
    build, passed, failed = Path(sys.argv[1]).resolve(), 0, 0
    for parser, (corpora, files) in PARSERS.items():
        counts = measure(build, corpora, files)
        total = sum(len(found) for found in counts.values())
        reached = sum(n > 0 for found in counts.values() for n in found.values())
        share = 100.0 * reached / total if total else 0.0
        print(f"{parser:<15}{reached:>6}/{total:<6}{share:5.1f}%")
        if share >= LINES:
            passed += 1
            continue
        failed += 1
        for name, found in counts.items():
            missed = [str(line) for line, n in sorted(found.items()) if n == 0]
            print(f"    {name}: not {', '.join(missed) or 'one line'}" if missed or not found else f"    {name}: all")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
