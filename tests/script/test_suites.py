#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/test, with programs of the test in place of cmake and ctest: which suites are built and run
in which order, and what the last line says."""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

ROOT = Path(__file__).resolve().parents[2]

# Each writes down its arguments. A build of a suite in $BROKEN fails; every ctest has two cases.
PROGRAMS = {
    "cmake": 'case " $* " in *" --build build/${BROKEN:-none} "*) echo "no such header"; exit 1 ;; esac',
    "ctest": """while [ $# -gt 0 ]; do
    if [ "$1" = --output-junit ]; then
        mkdir -p "${2%/*}"
        echo '<testsuite><testcase name="a" status="run"/><testcase name="b" status="run"/></testsuite>' >"$2"
    fi
    shift
done""",
}


class Suites(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name, "tree")
        self.programs = Path(folder.name, "programs")
        self.log = Path(folder.name, "log")
        for path in (self.tree / "script", self.tree / "tests", self.programs):
            path.mkdir(parents=True)
        self.log.write_text("", encoding="utf-8")
        for name in ("script/test", "tests/summary.py"):
            shutil.copy(ROOT / name, self.tree / name)
        self.program(self.tree / "script" / "bootstrap", "")
        for name, body in PROGRAMS.items():
            self.program(self.programs / name, f'echo "{name} $*" >>"$LOG"\n{body}')

    @staticmethod
    def program(path, body):
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def run_script(self, *arguments, **environment):
        return subprocess.run(
            [self.tree / "script" / "test", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60,
            check=False,
            env={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", "LOG": str(self.log), **environment},
        )

    def steps(self):
        """What was built and run: "build SUITE" and "test SUITE", in order."""
        steps = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:2] == ["cmake", "--build"]:
                steps.append("build " + words[2].partition("/")[2])
            elif words[0] == "ctest":
                steps.append("test " + words[2].partition("/")[2])
        return steps

    def last_line(self, done):
        return done.stdout.splitlines()[-1]

    def test_no_argument_is_the_suite_dev(self):
        done = self.run_script()
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertEqual("2 passed, 0 failed", self.last_line(done))
        self.assertEqual(["build dev", "test dev"], self.steps())

    def test_a_filter_is_ctest_s(self):
        done = self.run_script("--suite", "asan", "--filter", "^http/")
        self.assertEqual("2 passed, 0 failed", self.last_line(done))
        self.assertIn("-R ^http/", self.log.read_text(encoding="utf-8"))

    def test_each_suite_is_built_once_and_before_its_tests(self):
        done = self.run_script("--suite", "dev", "--suite", "clang", "--suite", "tsan")
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertEqual("6 passed, 0 failed", self.last_line(done))
        steps = self.steps()
        self.assertEqual(6, len(steps), steps)
        for suite in ("dev", "clang", "tsan"):
            self.assertLess(steps.index(f"build {suite}"), steps.index(f"test {suite}"))

    def test_a_build_that_fails_is_a_failed_test_and_shown(self):
        for broken, passed in (("clang", ["dev", "tsan"]), ("tsan", ["dev", "clang"])):
            self.log.write_text("", encoding="utf-8")
            done = self.run_script("--suite", "dev", "--suite", "clang", "--suite", "tsan", BROKEN=broken)
            self.assertEqual(1, done.returncode, done.stdout)
            self.assertEqual("4 passed, 1 failed", self.last_line(done))
            self.assertIn("no such header", done.stdout)
            self.assertEqual(passed, [step[5:] for step in self.steps() if step.startswith("test ")])

    def names(self, suite, *options):
        """Of the tests of a real build, as ctest has them."""
        folder = self.tree.parent / suite
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", *options],
                       stdout=subprocess.DEVNULL, check=True)
        listed = subprocess.run(["ctest", "--test-dir", folder, "-N"], stdout=subprocess.PIPE, universal_newlines=True, check=True)
        return set(re.findall(r"^ *Test +#\d+: (\S+)", listed.stdout, re.MULTILINE))

    def test_all_leaves_no_test_out(self):
        """What the suite dev leaves to coverage is in that build, and run there."""
        self.run_script("--all")
        lines = self.log.read_text(encoding="utf-8").splitlines()
        calls = [dict(re.findall(r"(--test-dir|-[RE]) (\S+)", line)) for line in lines if line.startswith("ctest ")]
        built = {"dev": self.names("dev"), "coverage": self.names("coverage", "-DSHORTENER_COVERAGE=ON", "-DSHORTENER_SANITIZE=address")}
        self.assertGreater(min(map(len, built.values())), 200)
        times = collections.Counter()
        for call in calls:
            suite = call["--test-dir"].partition("/")[2]
            times.update(name for name in built.get(suite, ()) if re.search(call.get("-R", ""), name)
                         and not ("-E" in call and re.search(call["-E"], name)))
        self.assertEqual(set(), built["dev"] - set(times))
        self.assertEqual((1, 1), (times["lint/tidy"], times["model/coherence"]))  # beside the booted system

    def test_no_such_suite(self):
        done = self.run_script("--suite", "devel")
        self.assertEqual(2, done.returncode)
        self.assertIn("no such suite: devel", done.stdout)
        self.assertEqual([], self.steps())


if __name__ == "__main__":
    harness.main()
