# SPDX-License-Identifier: MIT
"""Restarts, reloads and deaths under load through nginx: no request fails, no visit is lost."""

import time

from machine import wait_for
from stage import INSTANCES, LONG, Check, note
from traffic import Traffic

AFTER = 10.0 if LONG else 2.0  # seconds of load before and after what happens
STALL = 5.0  # seconds; what the reference took at best. The goal is 0.1, and the figure is noted


class UnderLoad(Check):
    def setUp(self):
        self.machine.write("/run/systemd/system/shortener@.service.d/limit.conf", "[Unit]\nStartLimitIntervalSec=0\n")
        self.machine.run("systemctl daemon-reload")
        self.start_all()

    def tearDown(self):
        self.machine.run("rm -rf /run/systemd/system/shortener@.service.d; systemctl daemon-reload")
        self.start_all()

    def load(self, what, action):
        """64 connections before, while and after action() happens."""
        with Traffic(self.machine, self.codes()) as traffic:
            traffic.go_on(AFTER)
            begin = time.monotonic()
            action()
            seconds = time.monotonic() - begin
            traffic.go_on(AFTER)
        note(f"{what}: took {seconds:.1f} s; {traffic.summary()}")
        self.assertGreater(len(traffic.requests), 500)
        self.assertGreater(len(traffic.good("post")), 20)
        return traffic

    def no_failure(self, what, action):
        traffic = self.load(what, action)
        self.assertEqual(traffic.failed()[:5], [], f"{len(traffic.failed())} failed")
        self.check_promises(traffic)
        self.assertLess(traffic.longest(), STALL)

    def wait_in_use(self, n):
        """Until nginx sends requests to it again."""
        wait_for(lambda: self.answer("/health")[1].get("x-instance") == str(n), 20, f"nginx to use instance {n}")

    def test_nothing_happens(self):
        """What the machine does to requests when nothing else happens: to compare the others with."""
        self.no_failure("nothing", lambda: None)

    def test_restart_of_one(self):
        self.no_failure("restart shortener@2", lambda: self.machine.run("systemctl restart shortener@2"))

    def test_restart_of_the_target(self):
        def action():
            self.machine.run("systemctl restart shortener.target")
            self.wait_ready()
        self.no_failure("restart shortener.target", action)

    def test_rolling_restart(self):
        pids = [self.pid(n) for n in INSTANCES]
        self.no_failure("rolling-restart", lambda: self.machine.run("shortenerctl rolling-restart"))
        self.assertFalse(set(pids) & {self.pid(n) for n in INSTANCES})

    def test_reload_of_a_good_file(self):
        pids = [self.pid(n) for n in INSTANCES]
        self.machine.write("/etc/shortener/shortener.conf.d/90-test.conf", "[Log]\nLevel=notice\n")
        try:
            self.no_failure("reload, good file", lambda: self.machine.run("shortenerctl reload"))
        finally:
            self.machine.run("rm /etc/shortener/shortener.conf.d/90-test.conf; shortenerctl reload")
        self.assertEqual([self.pid(n) for n in INSTANCES], pids)

    def test_reload_of_a_bad_file(self):
        pids = [self.pid(n) for n in INSTANCES]
        self.machine.write("/etc/shortener/shortener.conf.d/90-test.conf", "[Log]\nLevel=loud\n")

        def action():
            done = self.machine.run("shortenerctl reload", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("90-test.conf:2", done.stdout + done.stderr)
            self.machine.run("rm /etc/shortener/shortener.conf.d/90-test.conf")
        self.no_failure("reload, bad file", action)
        self.assertEqual([self.pid(n) for n in INSTANCES], pids)

    def test_kill_of_each(self):
        """No GET fails. A write that was on the killed instance may get nginx's 502."""
        killed = []

        def action():
            for n in INSTANCES:
                pid = self.pid(n)
                killed.append(time.monotonic())
                self.machine.run(f"kill -KILL {pid}")
                wait_for(lambda n=n, pid=pid: self.pid(n) not in (0, pid), 15, "systemd to start it again")
                self.wait_in_use(n)
        traffic = self.load("kill -9 of each", action)
        self.assertEqual(traffic.failed("get")[:5], [], f"{len(traffic.failed('get'))} failed")
        for request in traffic.failed("post"):
            self.assertEqual(request.status, 502)
            self.assertTrue(any(when - 1 < request.end < when + 2 for when in killed), "a 502 at another time")
        # A visit that was in the spool when its instance died, and its answer not yet out, is there
        # for the other instance's answer as well: at most one for each connection and kill.
        self.check_promises(traffic, doubled=56 * len(INSTANCES))
        self.assertLess(traffic.longest(), STALL)
