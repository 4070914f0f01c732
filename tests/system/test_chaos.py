# SPDX-License-Identifier: MIT
"""script/chaos on this machine: one experiment, and that what it breaks is whole however it ends."""

import json
import sys

import packages
from machine import wait_for
from stage import Check, note

sys.path.insert(0, str(packages.TREE / "tests/chaos"))

import chaos  # noqa: E402
import experiments  # noqa: E402
import lab  # noqa: E402

FREEZE = experiments.BY_NAME["freeze-postgres"]


class Interrupted(Exception):
    pass


class Chaos(Check):
    def setUp(self):
        self.start_all()
        self.lab = lab.Lab(self.machine, before=2.0, after=2.0, say=lambda text: None)

    def store_answers(self):
        return self.answer("/urls/1")[0] == 200

    def test_an_experiment(self):
        pid = self.pid(2)
        result = self.lab.run(experiments.BY_NAME["kill-instance"])
        note(f"chaos kill-instance: {result['requests']} requests, {result['failed_get']} and {result['failed_post']} failed,"
             f" longest {result['longest_get_ms']:.0f} ms, recovered in {result['recover_seconds']:.2f} s")  # fmt: skip
        self.assertEqual(result["against"], [])
        self.assertTrue(result["holds"])
        self.assertGreater(result["requests"], 500)
        self.assertNotIn(self.pid(2), (0, pid))
        path = self.machine.folder / "chaos.json"
        chaos.write(path, [result], "here")
        self.assertEqual(json.loads(path.read_text(encoding="utf-8"))["experiments"][0]["name"], "kill-instance")
        path.unlink()

    def test_interrupted_while_it_is_broken(self):
        """PostgreSQL is frozen at that moment, and is not afterwards; its timer is gone."""
        test = self

        class Traffic:
            def go_on(self, _):
                wait_for(lambda: not test.store_answers(), 10, "the store to be frozen")
                raise Interrupted
        with self.assertRaises(Interrupted):
            self.lab.hold(FREEZE, Traffic())
        wait_for(self.store_answers, 20, "the store to go on")
        self.assertFalse(self.is_active(f"{lab.UNDO}.timer"))

    def test_killed_while_it_is_broken(self):
        """Nobody is there to end it: systemd does."""
        self.lab.arm(FREEZE._replace(lasts=-57.0))  # 3 s from now
        self.machine.run(FREEZE.cause)
        wait_for(lambda: not self.store_answers(), 10, "the store to be frozen")
        wait_for(self.store_answers, 30, "systemd to end it")
