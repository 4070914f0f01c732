#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The coverage gate: 90 % of the lines and 80 % of the branches of each core folder.

Usage: coverage.py BUILD, after the tests have run in it. Prints a row for each folder, and its
weakest files where it is below; the last line is `N passed, N failed` (two gates a folder).

Not counted: the branch of a CHECK() that fails, for it ends the process, and branches that the
compiler added.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["basic", "model", "http", "store", "cache", "clicks", "work", "front", "api"]
LINES, BRANCHES = 90.0, 80.0


def measure(build):
    command = ["gcovr", "--root", str(ROOT), "--object-directory", build]
    command += ["--filter", f"src/({'|'.join(FOLDERS)})/", "--gcov-ignore-parse-errors"]
    command += ["--exclude-unreachable-branches", "--exclude-throw-branches"]
    command += ["--exclude-branches-by-pattern", r".*\bCHECK\(.*", "--json-summary", "-j", "2"]
    done = subprocess.run([*command, build], cwd=ROOT, capture_output=True, check=True)
    return json.loads(done.stdout)["files"]


def percent(covered, total):
    return 100.0 * covered / total if total else 100.0


def weakest(files, kind, most=5):
    """The files of a folder with the most that is not covered."""
    key = f"{kind}_"
    files = sorted(files, key=lambda file: file[key + "covered"] - file[key + "total"])
    for file in files[:most]:
        if file[key + "covered"] < file[key + "total"]:
            yield f"{file['filename']} {file[key + 'covered']}/{file[key + 'total']}"


def main():
    folders = defaultdict(list)
    for file in measure(sys.argv[1]):
        folders[file["filename"].split("/")[1]].append(file)
    passed = failed = 0
    print(f"{'folder':<10}{'lines':>18}{'branches':>18}")
    for name in [name for name in FOLDERS if (ROOT / "src" / name / "CMakeLists.txt").exists()]:
        texts, weak = [], []
        for kind, least in (("line", LINES), ("branch", BRANCHES)):
            covered = sum(file[f"{kind}_covered"] for file in folders[name])
            total = sum(file[f"{kind}_total"] for file in folders[name])
            share = percent(covered, total) if folders[name] else 0.0
            texts.append(f"{covered}/{total} {share:5.1f}%")
            if share < least:
                failed += 1
                weak.append(f"    {kind} coverage is below {least:.0f} %:")
                weak += [f"        {text}" for text in weakest(folders[name], kind)]
            else:
                passed += 1
        print(f"{name:<10}{texts[0]:>18}{texts[1]:>18}")
        for line in weak:
            print(line)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
