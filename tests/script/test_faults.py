#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/faults, with programs of the test in place of those that break something: what the table says of
them, and that one that hangs ends, and all that it has started with it."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

ROOT = Path(__file__).resolve().parents[2]

HOLDS = 'print("nothing lost")\nprint("1 passed, 0 failed")\n'
FAILS = 'print("7 lost")\nprint("0 passed, 1 failed")\nraise SystemExit(1)\n'
SKIPS = 'print("0 passed, 0 failed, 1 skipped")\n'
# A child in a session of its own, whose parent ends at once; both ignore what may be ignored.
HANGS = """
import os, signal, subprocess, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
ready, said = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(os.environ["PIDS"] + "/orphan", "w").write(str(os.getpid()))
        os.write(said, b"x")
        signal.pause()
    os._exit(0)
os.wait()
os.read(ready, 1)
open(os.environ["PIDS"] + "/program", "w").write(str(os.getpid()))
print("half of it", flush=True)
print("1 passed, 0 failed", flush=True)
signal.pause()
"""
LEAVES = HANGS.rpartition("signal.pause()")[0]  # the same, but it ends


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Faults(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree, self.pids = Path(folder.name, "tree"), Path(folder.name, "pids")
        for path in (self.tree / "script", self.tree / "tests" / "fault", self.pids):
            path.mkdir(parents=True)
        for name in ("script/faults", "tests/fault/table.py"):
            shutil.copy(ROOT / name, self.tree / name)

    def run_faults(self, *arguments, **programs):
        for name, text in programs.items():
            (self.tree / "tests" / "fault" / f"{name}.py").write_text(text, encoding="utf-8")
        return subprocess.run([self.tree / "script" / "faults", *arguments, *programs], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=60 * harness.SLOW, check=False,
                              env={**os.environ, "SHORTENER_BUILD": str(self.tree), "PIDS": str(self.pids)})

    def assert_ended(self, *names):
        for name in names:
            pid = int((self.pids / name).read_text(encoding="utf-8"))
            self.assertFalse(is_running(pid), name)

    def row(self, result, name):
        return next(line for line in result.stdout.splitlines() if line.startswith(f"| {name} |"))

    def test_held_and_not(self):
        result = self.run_faults("--markdown", kill=HOLDS, full=FAILS, clock=SKIPS)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(self.row(result, "kill"), r"\| nothing lost \| held \|$")
        self.assertRegex(self.row(result, "full"), r"\| 7 lost \| NOT HELD \|$")
        self.assertRegex(self.row(result, "clock"), r"\| skipped \|$")
        self.assertTrue(result.stdout.endswith("1 held, 2 not\n"), result.stdout)

    def test_one_that_hangs_is_not_held_and_ends(self):
        result = self.run_faults("--markdown", "--limit", str(2 * harness.SLOW), kill=HANGS, full=HOLDS)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(self.row(result, "kill"), r"\| half of it<br>killed after \d+ s \| NOT HELD \|$")
        self.assertRegex(self.row(result, "full"), r"\| held \|$")  # the next one runs
        self.assert_ended("program", "orphan")

    def test_one_that_ends_leaves_nothing_behind(self):
        result = self.run_faults("--markdown", kill=LEAVES)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_ended("orphan")


if __name__ == "__main__":
    harness.main()
