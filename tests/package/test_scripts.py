#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the Debian packages' scripts ask of systemd, which is a stand-in here: what runs is restarted by
an upgrade, what was stopped stays so, a first installation and one after a removal start all.

Usage: test_scripts.py SOURCE
"""

import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

SOURCE = sys.argv.pop(1)
# Programs that write down how they were called. $RUNNING: the active instances.
SYSTEMCTL = """#!/bin/sh
case "$*" in
*list-units*) for unit in $RUNNING; do echo "$unit loaded active running x"; done ;;
*is-active*) ;;
*) echo "systemctl $*" >>"$CALLS" ;;
esac
"""
INVOKE = '#!/bin/sh\necho "$*" >>"$CALLS"\n'
# A /run of its own, on which systemd seems to run; the scripts, each word a line: name arguments.
RUN = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && cd "$1" && sh -e steps && ls /run'
HAS_NAMESPACE = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/run"], check=False,
                               capture_output=True).returncode == 0  # fmt: skip
RUNNING = "shortener@1.service shortener@3.service"
RELOAD = "systemctl --system daemon-reload"


@unittest.skipUnless(HAS_NAMESPACE, "no mount namespace: neither root nor a user namespace")
class Scripts(unittest.TestCase):
    def calls(self, package, *steps, running=""):
        """What was called by the steps ("postinst configure 1"), but for dh's own parts, and what is in /run then."""
        with tempfile.TemporaryDirectory() as folder:
            def write(name, text, mode=0o755):
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(path, mode)
            write("systemctl", SYSTEMCTL)
            write("deb-systemd-invoke", INVOKE)
            write("calls", "")
            write("steps", "".join(f"./{step}\n" for step in steps))
            for script in {step.split()[0] for step in steps}:
                with open(os.path.join(SOURCE, f"debian/{package}.{script}"), encoding="utf-8") as file:
                    write(script, file.read().replace("#DEBHELPER#", ""))
            environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": os.path.join(folder, "calls"), "RUNNING": running}
            done = subprocess.run(["unshare", "-rm", "sh", "-c", RUN, "sh", folder], env=environment, capture_output=True,
                                  text=True, check=False)  # fmt: skip
            self.assertEqual((done.returncode, done.stderr, done.stdout), (0, "", "systemd\n"))
            with open(os.path.join(folder, "calls"), encoding="utf-8") as file:
                return [line for line in file.read().splitlines() if line != RELOAD]

    def test_an_upgrade_restarts_what_runs(self):
        self.assertEqual(self.calls("shortener", "preinst upgrade 0.1", "postinst configure 0.1", running=RUNNING),
                         [f"try-restart {unit}" for unit in RUNNING.split()])  # fmt: skip

    def test_an_upgrade_starts_nothing(self):
        self.assertEqual(self.calls("shortener", "preinst upgrade 0.1", "postinst configure 0.1"), [])
        self.assertEqual(self.calls("shortener-alertd", "preinst upgrade 0.1", "postinst configure 0.1"), [])

    def test_an_installation_starts_all(self):
        started = {"shortener": ["start shortener.target"],
                   "shortener-alertd": ["start shortener-alertd.socket shortener-alertd.service"]}  # fmt: skip
        for package, wanted in started.items():
            for steps in (("preinst install", "postinst configure"), ("preinst install 0.1", "postinst configure 0.1"),
                          ("postinst abort-remove",)):
                self.assertEqual(self.calls(package, *steps), wanted, steps)
            # What was installed again is upgraded later: the mark of the one is not left for the other.
            self.assertEqual(self.calls(package, "preinst install 0.1", "postinst configure 0.1", "preinst upgrade 0.1",
                                        "postinst configure 0.1"), wanted)  # fmt: skip

    def test_only_a_removal_stops(self):
        self.assertEqual(self.calls("shortener", "prerm upgrade 0.2", running=RUNNING), [])
        self.assertEqual(self.calls("shortener", "prerm remove", running=RUNNING), [f"stop shortener.target {RUNNING}"])
        self.assertEqual(self.calls("shortener-alertd", "prerm upgrade 0.2"), [])
        self.assertEqual(self.calls("shortener-alertd", "prerm remove"),
                         ["stop shortener-alertd.socket shortener-alertd.service"])  # fmt: skip


if __name__ == "__main__":
    harness.main()
