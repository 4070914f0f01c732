#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the builds of the packages test: single parts, fast, without servers, which a build machine need
not have. Usage: test_checks.py SOURCE BUILD"""

import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

SOURCE, BUILD = sys.argv.pop(1), sys.argv.pop(1)
SERVERS = (b"redis-server", b"initdb", b"pgbouncer")  # what a program would start


def read(*path):
    with open(os.path.join(SOURCE, *path)) as file:
        return file.read()


def ctest(*words):
    """{name: (command, labels)}"""
    done = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1", *words], capture_output=True,
                          text=True, check=True)
    tests = {}
    for test in json.loads(done.stdout)["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test.get("properties", ())}
        tests[test["name"]] = (test["command"], properties.get("LABELS", []))
    return tests


class Checks(unittest.TestCase):
    def selection(self):
        """The options of ctest that both packages have."""
        options = [re.search(pattern, read(*path), re.M).group(1) for path, pattern in (
            (("debian", "rules"), r"^\tctest --test-dir \S+ (-L \w+ -LE \w+) "),
            (("rpm", "shortener.spec"), r"^%check\n%ctest (-L \w+ -LE \w+)$"))]
        self.assertEqual(*options)
        return options[0].split()

    def test_no_server_and_no_script(self):
        tests = ctest(*self.selection())
        self.assertGreater(len(tests), 60)
        for name, (command, labels) in tests.items():
            self.assertNotIn("slow", labels, name)
            program = command[0]
            self.assertTrue(program.startswith(os.path.join(BUILD, "tests", "")), f"{name}: {command}")
            with open(program, "rb") as file:
                text = file.read()
            self.assertEqual([word for word in SERVERS if word in text], [], f"{name} starts a server")

    def test_those_with_a_server_are_known(self):
        """That is, the search above finds what it looks for."""
        left_out = ctest("-L", "^server$")
        self.assertEqual(sorted(left_out), ["cache/redis", "cache/redis-stream", "work/resolver"])
        for name, (command, _) in left_out.items():
            with open(command[0], "rb") as file:
                self.assertTrue(any(word in file.read() for word in SERVERS[:1]), name)


if __name__ == "__main__":
    harness.main()
