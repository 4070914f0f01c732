#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/rollout, with programs of the test in place of those that change the host."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Each writes down its arguments. curl fails for the ports in $BROKEN; the instances in $OLD run
# something else than shortenerd, and those in $DEAD nothing.
PROGRAMS = {
    "apt-get": 'exit "${APT_STATUS:-0}"',
    "dpkg-deb": 'name=${2##*/}; echo "${name%%_*}"',
    "dpkg-query": 'for last; do :; done; case " $INSTALLED " in *" $last "*) printf installed ;; *) exit 1 ;; esac',
    "shortenerd": "",
    "systemctl": """case $1 in
list-units) for n in $ACTIVE; do echo "shortener@$n.service loaded active running URL shortener"; done ;;
show) n=${4#shortener@}; n=${n%.service}
    case " $OLD " in *" $n "*) echo 1$n; exit ;; esac
    case " $DEAD " in *" $n "*) echo 0; exit ;; esac
    echo 2$n ;;
esac""",
    "readlink": """case $1 in
-f) exec /usr/bin/readlink "$@" ;;
/proc/1*) echo "$(command -v shortenerd) (deleted)" ;;
/proc/2*) command -v shortenerd ;;
esac""",
    "curl": 'case "$*" in *":${BROKEN:-none}/"*) exit 22 ;; esac',
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
        self.release = Path(self.folder.name, "release")
        self.release.mkdir()
        for name in ("shortener", "shortener-nginx", "shortener-alertd", "shortener-dbgsym"):
            (self.release / f"{name}_1.0_all.deb").write_text("", encoding="utf-8")

    def run_it(self, *arguments, **environment):
        path = f"{self.folder.name}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "LOG": str(self.log), "ACTIVE": "1 2 10", "INSTALLED": "shortener-nginx"}
        env.update(environment)
        command = [ROOT / "script/rollout", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return done, [line for line in lines if line.startswith(("apt-get", "curl"))]

    def test_all(self):
        done, calls = self.run_it(self.release)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "".join(f"rollout: instance {n} is ready\n" for n in (1, 2, 10)) + "rollout: done\n")
        # The daemon, and what the host has of the rest.
        self.assertRegex(calls[0], r"install --no-install-recommends \S+/shortener-nginx_1.0_all.deb \S+/shortener_1.0_all.deb$")
        self.assertIn("--force-confold", calls[0])
        self.assertEqual([call.split("/")[-2:] for call in calls[1:]],
                         [[f"127.0.0.1:500{n}", "ready"] for n in (1, 2, 10)])

    def test_nothing_is_looked_at_when_the_installation_fails(self):
        done, calls = self.run_it(self.release, APT_STATUS="100")
        self.assertEqual((done.returncode, len(calls)), (100, 1))

    def test_an_instance_with_the_old_program(self):
        for which in ("OLD", "DEAD"):
            done, _ = self.run_it(self.release, **{which: "2"})
            self.assertEqual(done.returncode, 1)
            self.assertIn("rollout: instance 2 does not run the new program", done.stderr)

    def test_an_instance_that_is_not_ready(self):
        done, _ = self.run_it(self.release, BROKEN="5002")
        self.assertEqual(done.returncode, 1)
        self.assertIn("rollout: instance 2 is not ready", done.stderr)

    def test_a_first_installation(self):
        done, calls = self.run_it(self.release, ACTIVE="", INSTALLED="")
        self.assertEqual((done.returncode, len(calls)), (0, 1), done.stderr)
        self.assertRegex(calls[0], r"install --no-install-recommends \S+/shortener_1.0_all.deb$")

    def test_usage(self):
        empty = Path(self.folder.name, "empty")
        empty.mkdir()
        for arguments, status in (([], 2), ([self.log], 2), ([self.release, "1"], 2), ([empty], 1)):
            done, calls = self.run_it(*arguments)
            self.assertEqual((done.returncode, calls), (status, []), done.stderr)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
