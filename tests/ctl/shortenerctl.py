# SPDX-License-Identifier: MIT
"""What the tests of shortenerctl share: a folder with a store of its own, and running the program.

usage of each test: test_NAME.py SHORTENERCTL SOURCE [unittest's arguments]
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
SEED = os.path.join(SOURCE, "seed_data")
KINDS = ("users", "urls", "events")
TIMEOUT = 120  # seconds for one run of the program

DONE, FAILED, USAGE, AGAIN, CONFIG = 0, 1, 2, 75, 78


def environment():
    """Ours, without what would configure the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHORTENER_")}


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="shortenerctl-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def command(self, *words, store="store.db"):
        """The command line of the program on a store of this test's folder."""
        return [PROGRAM, "--set=Server.RuntimeDirectory=" + self.path("run"),
                "--store=sqlite:" + self.path(store), *words]

    def run_ctl(self, *words, store="store.db", **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "timeout": TIMEOUT, "check": False, "env": environment(), **options}
        if "input" in options:
            del options["stdin"]
        return subprocess.run(self.command(*words, store=store), **options)

    def ctl(self, *words, status=DONE, store="store.db", **options):
        """Runs the program, which must end with the status; returns what it printed."""
        done = self.run_ctl(*words, store=store, **options)
        text = f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.assertEqual(done.returncode, status, text)
        if status == DONE:
            self.assertEqual(done.stderr, b"", text)
        return done.stdout.decode()

    def refused(self, *words, status=FAILED, message=None, **options):
        """Runs the program, which must fail and say why; returns what it said."""
        done = self.run_ctl(*words, **options)
        text = done.stderr.decode()
        self.assertEqual(done.returncode, status, f"{words}\n{done.stdout}\n{text}")
        self.assertTrue(text.startswith("shortenerctl: "), text)
        if message is not None:
            self.assertRegex(text, message)
        return text

    def json(self, *words, **options):
        return json.loads(self.ctl("--json", *words, **options))

    def init(self, store="store.db"):
        self.ctl("db", "init", store=store)

    def seed(self, store="store.db"):
        self.ctl("seed", SEED, store=store)

    def totals(self, store="store.db"):
        totals = self.json("stats", store=store)
        return tuple(totals[kind] for kind in KINDS)

    def export(self, kind, store="store.db"):
        return self.run_ctl("export", kind, store=store).stdout

    def verify(self, store="store.db"):
        """The kept totals are what counting again gives."""
        self.assertTrue(self.json("clicks", "verify", store=store)["sound"])


def count(text, pattern):
    return len(re.findall(pattern, text, re.MULTILINE))


def main():
    """Runs the tests of the program; the last line is a plain count."""
    result = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False).result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{max(0, result.testsRun - failed - skipped)} passed, {failed} failed"
          + (f", {skipped} skipped" if skipped else ""), flush=True)
    sys.exit(1 if failed else 0)
