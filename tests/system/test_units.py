# SPDX-License-Identifier: MIT
"""Units as an administrator uses them: sockets that start their service, stop, start, instances."""

import re
import time

from machine import wait_for
from stage import INSTANCES, Check, note


class Units(Check):
    def setUp(self):
        # These start and stop more often than ten times a minute; the limit has its own check.
        self.machine.write("/run/systemd/system/shortener@.service.d/limit.conf", "[Unit]\nStartLimitIntervalSec=0\n")
        self.machine.run("systemctl daemon-reload")
        self.start_all()

    def tearDown(self):
        self.machine.run("rm -rf /run/systemd/system/shortener@.service.d; systemctl daemon-reload")
        self.start_all()

    def stop_all(self):
        """systemctl waits for the target itself, not for what stops with it."""
        self.machine.run("systemctl stop shortener.target")
        wait_for(lambda: self.listening() == ({}, set()), 20, "everything to be stopped")

    def listening(self):
        """{port: inode} of our listeners, and which Unix sockets are there."""
        out = self.machine.out("ss -Hltne 'sport >= 5001 and sport <= 5009'")
        ports = {int(line.split()[3].rsplit(":", 1)[1]): re.search(r"ino:(\d+)", line)[1] for line in out.splitlines()}
        return ports, set(self.machine.out("ls /run | grep '^shortener-.*sock$'", check=False).split())

    def test_first_request_starts_its_instance(self):
        code = self.codes(1)[0]
        self.stop_all()
        self.machine.run(["systemctl", "start", *(f"shortener@{n}.socket" for n in INSTANCES)])
        self.assertEqual([self.pid(n) for n in INSTANCES], [0, 0, 0])
        for n in INSTANCES:
            self.assertEqual(self.answer(f"/{code}", port=5000 + n)[0], 302)
            self.assertTrue(self.is_active(f"shortener@{n}.service"))

    def test_first_request_by_the_unix_socket(self):
        self.stop_all()
        self.machine.run("systemctl start shortener@2.socket")
        out = self.machine.out(["runuser", "-u", "www-data", "--", "curl", "-si", "--unix-socket",
                                "/run/shortener-2.sock", "http://localhost/health"])  # fmt: skip
        self.assertIn("X-Instance: 2", out)

    def test_unix_sockets_are_the_proxys_alone(self):
        done = self.machine.run(["runuser", "-u", "nobody", "--", "curl", "-sS", "--unix-socket",
                                 "/run/shortener-1.sock", "http://localhost/health"], check=False)  # fmt: skip
        self.assertNotEqual(done.returncode, 0)
        mode, group = self.machine.out("stat -c '%a %G' /run/shortener-1.sock").split()
        self.assertEqual((mode, group), ("660", "shortener-http"))

    def test_link_is_seen_by_all(self):
        for first in INSTANCES:
            code = self.create(f"https://example.org/{first}", port=5000 + first)
            for n in INSTANCES:
                status, fields, _ = self.answer(f"/{code}", port=5000 + n)
                self.assertEqual((status, fields.get("location")), (302, f"https://example.org/{first}"))

    def test_stop_and_start_of_the_target(self):
        self.stop_all()
        self.assertEqual(self.answer("/health")[0], 502)
        self.machine.run("systemctl start shortener.target")
        ports, sockets = self.listening()
        self.assertEqual((set(ports), sockets),
                         ({5000 + n for n in INSTANCES}, {f"shortener-{n}.sock" for n in INSTANCES}))  # fmt: skip
        self.wait_ready()

    def test_start_of_each(self):
        self.stop_all()
        self.machine.shell("systemctl start shortener@{1..3}")
        for n in INSTANCES:
            self.assertEqual(self.answer("/ready", port=5000 + n)[0], 200)

    def test_restart_of_the_target_keeps_the_listeners(self):
        before, pids = self.listening(), [self.pid(n) for n in INSTANCES]
        self.machine.run("systemctl restart shortener.target")
        self.assertEqual(self.listening(), before)
        for n, pid in zip(INSTANCES, pids):
            self.assertNotIn(self.pid(n), (0, pid))

    def test_number_of_instances(self):
        try:
            self.machine.run("sed -i s/^INSTANCES=.*/INSTANCES=2/ /etc/default/shortener; systemctl daemon-reload")
            wants = self.machine.property("shortener.target", "Wants")
            self.assertIn("shortener@2.service", wants)
            self.assertNotIn("shortener@3.service", wants)
            self.stop_all()
            self.machine.run("systemctl start shortener.target")
            self.assertEqual(set(self.listening()[0]), {5001, 5002})
        finally:
            self.machine.run("sed -i s/^INSTANCES=.*/INSTANCES=3/ /etc/default/shortener; systemctl daemon-reload")

    def test_stop_of_one(self):
        """Service and socket; what a scrape or a request finds is refused, not started again."""
        self.machine.run("shortenerctl stop 3")
        self.assertEqual(self.answer("/health", port=5003)[0], 0)
        self.assertEqual([self.is_active(u) for u in ("shortener@3.service", "shortener@3.socket")], [False, False])
        self.assertEqual({self.answer("/health")[1].get("x-instance") for _ in range(12)}, {"1", "2"})

    def test_boot(self):
        """After a boot everything is as it was, without a person."""
        code = self.create()
        self.machine.reboot()
        self.wait_ready(seconds=30)
        wait_for(lambda: self.answer(f"/{code}")[0] == 302, 20, "a redirect through nginx")

    def test_memory_of_three_idle_instances(self):
        self.machine.run("systemctl restart shortener.target")
        self.wait_ready()
        for n in INSTANCES:  # warm, as they are after their first seconds
            self.answer("/urls", port=5000 + n)
            self.answer(f"/{self.codes(1)[0]}", port=5000 + n)
        total = 0
        for n in INSTANCES:
            rollup = self.machine.out(f"cat /proc/{self.pid(n)}/smaps_rollup")
            total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1])
        note(f"three idle instances: {total / 1024:.1f} MiB of proportional set size")
        self.assertLess(total, 20 * 1024)


class Recovery(Check):
    """What dies or hangs is back without a person."""

    def tearDown(self):
        self.machine.run("rm -rf /run/systemd/system/shortener@.service.d; systemctl daemon-reload")
        self.start_all()

    def back(self, what, port=80, path="/health", limit=15.0):
        """Seconds until it answers again."""
        begin = time.monotonic()
        wait_for(lambda: self.answer(path, port=port)[0] == 200, limit, f"{what} to be back", pause=0.02)
        seconds = time.monotonic() - begin
        note(f"{what}: back after {seconds:.2f} s")
        return seconds

    def test_killed_instance(self):
        pid = self.pid(1)
        self.machine.run(f"kill -KILL {pid}")
        self.back("killed instance", port=5001)
        self.assertNotEqual(self.pid(1), pid)

    def test_stuck_instance(self):
        """The watchdog ends one that does not answer; the others go on meanwhile."""
        pid = self.pid(2)
        self.machine.run(f"kill -STOP {pid}")
        begin = time.monotonic()
        self.assertEqual(self.answer("/health", port=5001)[0], 200)
        wait_for(lambda: self.pid(2) not in (0, pid), 15, "the watchdog")
        self.assertEqual(self.answer("/health", port=5002)[0], 200)
        seconds = time.monotonic() - begin
        note(f"stuck instance: serves again after {seconds:.1f} s")
        self.assertLess(seconds, 15)
        self.assertEqual(self.machine.property("shortener@2.service", "NRestarts"), "1")

    def crash_loop(self, n):
        """Kills the instance each time it comes up, until systemd gives up."""
        unit = f"shortener@{n}.service"

        def is_given_up():
            pid = self.pid(n)
            if pid:
                self.machine.run(f"kill -KILL {pid}", check=False)
            return self.machine.property(unit, "ActiveState") == "failed"
        wait_for(is_given_up, 30, "the start limit")
        self.assertIn("repeated too quickly", self.machine.journal("-u", unit, "-n", "20", "-o", "cat"))

    def test_crash_loop_is_recovered_by_the_timer(self):
        self.crash_loop(3)
        begin = time.monotonic()
        instances = {self.answer("/health")[1].get("x-instance") for _ in range(20)}
        self.assertEqual(instances, {"1", "2"}, "nginx goes on with the others")
        wait_for(lambda: self.answer("/ready", port=5003)[0] == 200, 75, "the timer", pause=0.5)
        note(f"crash loop: back after {time.monotonic() - begin:.0f} s")

    def test_crash_loop_is_recovered_by_hand(self):
        others = [self.pid(n) for n in (1, 2)]
        self.crash_loop(3)
        self.machine.run("shortenerctl recover")
        self.wait_ready(3)
        self.assertEqual([self.pid(n) for n in (1, 2)], others)

    def test_bad_configuration_is_not_tried_again(self):
        self.machine.write("/etc/shortener/shortener.conf.d/99-bad.conf", "[Server]\nWorkers=none\n")
        try:
            self.machine.run("systemctl restart shortener@1.service", check=False)
            wait_for(lambda: self.machine.property("shortener@1.service", "ActiveState") == "failed", 5, "exit 78")
            self.assertEqual(self.machine.property("shortener@1.service", "ExecMainStatus"), "78")
            self.assertEqual(self.machine.property("shortener@1.service", "NRestarts"), "0")
            self.assertIn("99-bad.conf:2", self.machine.journal("-u", "shortener@1", "-n", "20", "-o", "cat"))
            self.assertEqual(self.answer("/health")[0], 200)
        finally:
            self.machine.run("rm /etc/shortener/shortener.conf.d/99-bad.conf")

    def kill_main(self, unit):
        pid = self.machine.property(unit, "MainPID")
        self.assertNotEqual(pid, "0", unit)
        self.machine.run(f"kill -KILL {pid}")

    def test_killed_nginx(self):
        self.kill_main("nginx.service")
        wait_for(lambda: not self.is_active("nginx.service") or self.machine.property("nginx.service", "NRestarts") != "0",
                 10, "systemd to notice")  # fmt: skip
        self.back("killed nginx")
        self.wait_active("nginx.service")

    def test_killed_postgresql(self):
        self.kill_main("postgresql@15-main.service")
        wait_for(lambda: self.machine.run("runuser -u postgres -- psql -XAtqc 'SELECT 1'", check=False).stdout == "1\n",
                 15, "PostgreSQL to be back")  # fmt: skip
        self.back("killed PostgreSQL", path="/urls/1")

    def test_killed_redis(self):
        self.kill_main("redis-server@shortener.service")
        begin = time.monotonic()
        ping = "redis-cli -s /run/redis-shortener/redis.sock ping"
        wait_for(lambda: self.machine.run(ping, check=False).stdout == "PONG\n", 15, "Redis to be back")
        note(f"killed Redis: back after {time.monotonic() - begin:.2f} s")
        self.assertEqual(self.answer(f"/{self.codes(1)[0]}")[0], 302)
