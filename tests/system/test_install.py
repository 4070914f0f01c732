# SPDX-License-Identifier: MIT
"""From a bare system to a redirect through nginx: what script/provision has made of it."""

import json
import os
import subprocess
import sys

import packages
import stage as stages
from stage import INSTANCES, Check, note


class Provisioned(Check):
    def test_redirect_through_nginx(self):
        code = self.codes(1)[0]
        status, fields, _ = self.answer(f"/{code}")
        self.assertEqual(status, 302)
        self.assertTrue(fields["location"].startswith("https://"), fields)

    def test_sample_data(self):
        self.assertIn("Loaded 400 users, 2000 URLs, 3422 events", stages.stage.provisioned)
        self.assertEqual(json.loads(self.answer("/urls/2000")[2])["id"], 2000)
        self.assertEqual(json.loads(self.answer("/users/400")[2])["id"], 400)

    def test_system_is_not_degraded(self):
        state = self.machine.out("systemctl is-system-running", check=False)
        failed = self.machine.out("systemctl list-units --failed --plain --no-legend")
        self.assertEqual((state, failed), ("running", ""))

    def test_three_instances_answer(self):
        seen = {self.answer("/health")[1].get("x-instance") for _ in range(30)}
        self.assertEqual(seen, {str(n) for n in INSTANCES})

    def test_provision_again(self):
        before = [self.pid(n) for n in INSTANCES]
        done = self.machine.run(["bash", "/opt/provision", "--repository", stages.ARCHIVE],
                                seconds=300)  # fmt: skip
        self.assertNotIn("Loaded", done.stdout)
        self.assertEqual([self.pid(n) for n in INSTANCES], before)
        self.assertEqual(self.answer("/health")[0], 200)

    def test_everything_of_ours_is_local(self):
        """nginx alone listens on other addresses than loopback; what the packages of others do is
        test_monitoring's."""
        out = self.machine.out("ss -Hltn 'sport >= 5001 and sport <= 5009'")
        addresses = {line.split()[3] for line in out.splitlines()}
        self.assertEqual(addresses, {f"127.0.0.1:{5000 + n}" for n in INSTANCES})

    if "SHORTENER_RUN_CHECKS" in os.environ:
        def test_run_checks(self):
            """The black-box checks of a specification beside the tree."""
            command = self.machine.enter("--net")
            command += [sys.executable, os.environ["SHORTENER_RUN_CHECKS"], "http://127.0.0.1"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-1000:])
            note(done.stdout.splitlines()[-1])

    def test_smoke(self):
        command = self.machine.enter("--net") + [str(packages.TREE / "script/smoke"), "http://127.0.0.1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
