#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sums up what the suites of script/test found, test case by test case.

Usage: summary.py SUITE=RESULTS... where RESULTS is a file of ctest --output-junit, or PASSED/FAILED.

A CMocka program and a program that ends with `N passed, N failed` count as their cases, any other
test as one. A test that failed in spite of its counts (it crashed, leaked or took too long) is one
more. With CI in the environment a skipped test is a failed one. The last line is `N passed, N
failed`; the exit code is 1 when something failed or nothing passed.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.MULTILINE),
    "failed": re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.MULTILINE),
    "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test\(s\)", re.MULTILINE),
}
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def count_output(output):
    """The cases that a test's output tells of; None when it tells of none."""
    cmocka = {name: sum(map(int, found.findall(output))) for name, found in CMOCKA.items()}
    if any(cmocka.values()):
        return Counts(**cmocka)
    lines = COUNTS.findall(output)
    if lines:
        return Counts(*(int(number or 0) for number in lines[-1]))
    return None


def count_test(test):
    """The cases of one <testcase>."""
    status = test.get("status")
    counts = count_output(test.findtext("system-out") or "")
    if status in ("notrun", "disabled"):
        return Counts(skipped=1)
    if counts is None:
        return Counts(passed=1) if status == "run" else Counts(failed=1)
    if status == "fail" and counts.failed == 0:
        counts.failed += 1
    return counts


def count_suite(name, results, strict):
    """The cases of a suite; prints which tests failed or were skipped."""
    total = Counts()
    if re.fullmatch(r"\d+/\d+", results):
        return Counts(*map(int, results.split("/")))
    try:
        tests = ElementTree.parse(results).iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        print(f"  {name}: no results: {error}")
        return Counts(failed=1)
    for test in tests:
        counts = count_test(test)
        if counts.failed:
            print(f"  {name}: failed: {test.get('name')}")
        if counts.skipped:
            print(f"  {name}: skipped: {test.get('name')}")
        if strict:
            counts = Counts(counts.passed, counts.failed + counts.skipped)
        total.add(counts)
    return total


def main():
    strict = bool(os.environ.get("CI"))
    total = Counts()
    rows = []
    print()
    for argument in sys.argv[1:]:
        name, _, results = argument.partition("=")
        counts = count_suite(name, results, strict)
        rows.append((name, counts))
        total.add(counts)
    print(f"{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for name, counts in rows:
        print(f"{name:<12}{counts.passed:>8}{counts.failed:>8}{counts.skipped:>9}")
    print(f"{total.passed} passed, {total.failed} failed")
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
