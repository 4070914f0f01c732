#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/rollout, with programs of the test in place of tar, systemctl, curl and shortenerd."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Each writes down its arguments. curl fails for the ports in $BROKEN, shortenerd when told to.
PROGRAMS = {
    "tar": "",
    "shortenerd": 'exit "${CONFIG_STATUS:-0}"',
    "systemctl": "",
    "curl": 'case "$*" in *":${BROKEN:-none}/"*) exit 22 ;; esac',
    "sleep": "",
}


class Rollout(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.log = Path(self.folder.name, "log")
        self.log.write_text("", encoding="utf-8")
        for name, body in PROGRAMS.items():
            path = Path(self.folder.name, name)
            path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$LOG"\n{body}\n', encoding="utf-8")
            path.chmod(0o755)

    def run_it(self, *arguments, **environment):
        path = f"{self.folder.name}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "LOG": str(self.log), "READY_SECONDS": "1"}
        env.update(environment)
        command = [ROOT / "script/rollout", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        lines = self.log.read_text(encoding="utf-8").splitlines()
        # What waits asks many times.
        calls = [line for line in lines if not line.startswith("sleep")]
        return done, [b for a, b in zip([None, *calls], calls) if a != b]

    def test_all(self):
        done, calls = self.run_it("x.tar.gz", "1", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            calls,
            [
                "tar -C / --exclude=./etc/* -xzf x.tar.gz",
                "shortenerd --check-config",
                "systemctl restart shortener@1.service",
                "curl -fsS -o /dev/null --max-time 2 http://127.0.0.1:5001/ready",
                "systemctl restart shortener@2.service",
                "curl -fsS -o /dev/null --max-time 2 http://127.0.0.1:5002/ready",
            ],
        )

    def test_bad_configuration_restarts_nothing(self):
        done, calls = self.run_it("x.tar.gz", "1", CONFIG_STATUS="78")
        self.assertEqual(done.returncode, 78)
        self.assertEqual(calls[-1], "shortenerd --check-config")

    def test_stops_at_the_first_that_is_not_ready(self):
        done, calls = self.run_it("x.tar.gz", "1", "2", "3", BROKEN="5002")
        self.assertEqual(done.returncode, 1)
        self.assertIn("instance 2 is not ready", done.stderr)
        self.assertIn("systemctl restart shortener@1.service", calls)
        self.assertNotIn("systemctl restart shortener@3.service", calls)

    def test_usage(self):
        for arguments in ([], ["x.tar.gz"]):
            done, calls = self.run_it(*arguments)
            self.assertEqual((done.returncode, calls), (2, []))


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
