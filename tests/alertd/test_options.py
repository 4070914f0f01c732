#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line: --help, the man page and the completion have the same options; what they do."""

import os
import re
import subprocess
import tempfile
import unittest

import alertd
import harness

PAGE = os.path.join(harness.ROOT, "man", "shortener-alertd.8")
COMPLETION = os.path.join(harness.ROOT, "completion", "bash", "shortener-alertd")


def run(*arguments, **extra):
    return subprocess.run([alertd.PROGRAM, *arguments], capture_output=True, text=True, timeout=60 * harness.SLOW,
                          check=False, env=alertd.environment(extra))


def complete(*words):
    """What bash offers for the last word."""
    script = f'. "{COMPLETION}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shortener_alertd; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


class Options(unittest.TestCase):
    def test_help_page_and_completion(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        options = set(re.findall(r"--[a-z-]+", done.stdout))
        with open(PAGE) as file:
            page = file.read()
        described = {"--" + name for name in re.findall(r"^\.It Fl -([a-z-]+)", page, re.MULTILINE)}
        self.assertEqual(described, options)
        offered = {word.rstrip("=") for word in complete("shortener-alertd", "--")}
        self.assertEqual(offered, options)

    def test_completion_of_values(self):
        self.assertEqual(complete("shortener-alertd", "--log-format", "="), {"auto", "text", "json"})
        self.assertEqual(complete("shortener-alertd", "--log-format", "=", "j"), {"json"})
        self.assertEqual(complete("shortener-alertd", "--set", "=", "A"), {"Alerts."})
        self.assertIn("/etc/passwd", complete("shortener-alertd", "--config", "=", "/etc/pass"))
        self.assertEqual(complete("shortener-alertd", "--ver"), {"--version"})

    def test_version_and_usage(self):
        self.assertRegex(run("--version").stdout, r"^shortener-alertd \d+\.\d+\.\d+\n$")
        for arguments in (["x"], ["--nothing"], ["--log-format=x"], ["--set=a"] * 65):
            done = run("--config=/dev/null", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertTrue(done.stderr.startswith(("shortener-alertd: ", alertd.PROGRAM + ": ")), done.stderr)

    def test_check_and_dump(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/alertd.conf"
            with open(path, "w") as file:
                file.write("[Alerts]\nTimeout=5s\nGiveUp=2h\n")
            self.assertEqual(run("--config=" + path, "--check-config").returncode, 0)
            done = run("--config=" + path, "--dump-config", "--set=Log.Level=debug", ALERT_LOG="/x", GRAFANA_URL="http://g",
                       SHORTENER_ALERTS_GIVEUP="3h")
            for line in ("Timeout=5s", "GiveUp=3h", "Log=/x", "GrafanaURL=http://g", "Level=debug"):
                self.assertIn("\n" + line + "\n", done.stdout + "\n")
            # What is dumped is read back.
            with open(path, "w") as file:
                file.write(done.stdout)
            self.assertEqual(run("--config=" + path, "--dump-config").stdout, done.stdout)
            with open(path, "w") as file:
                file.write("[Alerts]\nTimeout=nonsense\n")
            done = run("--config=" + path, "--check-config")
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"{path}:2: [Alerts] Timeout=: ", done.stderr)
            self.assertEqual(run("--config=" + folder + "/none", "--check-config").returncode, 78)

    def test_example_is_the_default(self):
        example = os.path.join(harness.ROOT, "etc", "alertd.conf")
        self.assertEqual(run("--config=" + example, "--dump-config").stdout, run("--config=/dev/null", "--dump-config").stdout)


if __name__ == "__main__":
    harness.main()
