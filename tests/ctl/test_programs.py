#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What all three programs do alike: bad words are named by the program's short name, and nothing that was
printed is lost without a word."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

DAEMONS = ("shortenerd", "shortener-alertd")
PROGRAMS = (*DAEMONS, "shortenerctl")


class Programs(unittest.TestCase):
    def run_it(self, name, *words, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SHORTENER_")}
        options = {"stdout": subprocess.PIPE, **options}
        return subprocess.run([os.path.join(harness.BUILD, name), *words], stdin=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE, check=False, timeout=60 * harness.SLOW, env=environment, **options)

    def test_a_full_disk_is_said(self):
        for name in PROGRAMS:
            words = [["--help"], ["--version"], *([["--dump-openapi"]] if name == "shortenerd" else [])]
            words.append(["config", "show"] if name == "shortenerctl" else ["--config=/dev/null", "--dump-config"])
            for some in words:
                with open("/dev/full", "w") as full:
                    done = self.run_it(name, *some, stdout=full)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, f"{name}: standard output: No space left on device\n"), (name, some))
                done = self.run_it(name, *some)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertNotEqual(done.stdout, "")

    def test_bad_words(self):
        for name in PROGRAMS:
            for words, what in ((["--nosuch"], "--nosuch: "), (["-x"], "-x: "), (["--set"], "--set: needs a value"),
                                (["--help=3"], "--help"), (["--nosuch=3"], "--nosuch")):
                done = self.run_it(name, *words)
                self.assertEqual((done.returncode, done.stdout), (2, ""), (name, words))
                self.assertTrue(done.stderr.startswith(f"{name}: {what}"), done.stderr)
                self.assertNotIn("/", done.stderr)

    def test_words_of_the_daemons(self):
        for name in DAEMONS:
            for words, message in (
                    (["extra"], "extra: unexpected argument"), (["--check-config", "-xy"], "-x: no such option here, or it takes no value"),
                    (["--log-format=xml"], "--log-format: not auto, text or json"),
                    (["--set=A.B=1"] * 65, "--set: given too often"),
                    (["--nosuch=SECRET"], "--nosuch: no such option here, or it takes no value")):
                done = self.run_it(name, *words)
                self.assertEqual((done.returncode, done.stderr), (2, f"{name}: {message}; see {name} --help\n"))
                self.assertNotIn("SECRET", done.stderr)
            self.assertEqual(self.run_it(name, "--config=/dev/null", "--log-format=json", "--check-config").returncode, 0)
            bad = self.run_it(name, "--config=/nonexistent")
            self.assertEqual((bad.returncode, bad.stderr), (78, f"{name}: /nonexistent: No such file or directory\n"))
        for instance, status in (("a" * 31, 0), ("a" * 32, 2), ("", 2), ("a b", 2), ("A-z_0.9", 0)):
            done = self.run_it("shortenerd", "--config=/dev/null", "--check-config", "--instance=" + instance)
            self.assertEqual(done.returncode, status, instance)
        for word in ("--instance=1", "--dump-openapi"):
            self.assertEqual(self.run_it("shortener-alertd", "--check-config", word).returncode, 2)

    def test_options_that_must_fit_each_other(self):
        message = "[Clicks] MaxSize=32M: less than two segments of SegmentSize=64M: raise MaxSize=, or lower SegmentSize="
        done = self.run_it("shortenerd", "--config=/dev/null", "--set=Clicks.MaxSize=32M", "--check-config")
        self.assertEqual((done.returncode, done.stderr), (78, f"shortenerd: {message}\n"))
        done = self.run_it("shortenerctl", "--config=/dev/null", "--set=Clicks.MaxSize=32M", "config", "show")
        self.assertEqual((done.returncode, done.stderr), (78, f"shortenerctl: {message}\n"))


if __name__ == "__main__":
    harness.main()
