#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server of another database system among the hosts of the URL: it is no later primary, whatever its
timeline says. The system that was seen stays; another one is taken when an administrator says so."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import pgfaults
import postgres

REASON = "belongs to another database system"


class Systems(unittest.TestCase):
    def setUp(self):
        self.ours = postgres.Postgres()
        self.addCleanup(self.ours.close)
        self.foreign = postgres.Postgres(settings={"port": self.ours.port})
        self.addCleanup(self.foreign.close)
        for server in (self.ours, self.foreign):
            server.create(pgfaults.NAME)
        self.advance(self.foreign)
        self.systems = {server: server.psql("SELECT system_identifier FROM pg_control_system()")
                        for server in (self.ours, self.foreign)}
        self.service = pgfaults.Service(self.ours)
        self.addCleanup(self.service.close)
        self.one = self.service.instance("1")

    def advance(self, server):
        """To timeline 2."""
        server.stop()
        with open(os.path.join(server.data, "standby.signal"), "w"):
            pass
        server.start()
        server.run(postgres.program("pg_ctl"), "promote", "-w", "-D", server.data)
        harness.wait_for(lambda: server.psql("SELECT pg_is_in_recovery()") == "f", 20, "a primary")

    def run_on(self, *servers):
        """The instance with these in its URL."""
        self.service.url = (f"postgresql:///{pgfaults.NAME}?host={','.join(server.folder for server in servers)}"
                            f"&port={self.ours.port}&user=postgres")
        if self.one.process:
            self.one.stop()
        self.one.start()

    def is_ready(self):
        return self.one.get("/ready").status == 200

    def files(self):
        return [path for folder, _, names in os.walk(self.service.folder) for name in names if name == "timeline"
                for path in [os.path.join(folder, name)]]

    def assert_remembers(self, server):
        self.assertEqual(len(self.files()), 2, self.files())
        for path in self.files():
            with open(path) as file:
                self.assertEqual(file.read().split()[0], self.systems[server], path)

    def assert_writes(self, server):
        """They go to this one, by whichever connection."""
        harness.wait_for(self.is_ready, 20, "/ready")
        before = int(server.psql("SELECT count(*) FROM urls", pgfaults.NAME))
        for _ in range(8):
            self.code = self.one.create()["short_code"]
        self.assertEqual(self.one.get("/" + self.code).status, 302)
        self.assertEqual(int(server.psql("SELECT count(*) FROM urls", pgfaults.NAME)), before + 8)
        self.assert_remembers(server)

    def assert_away(self):
        """And the thread that has something to do says why."""
        self.one.get("/" + self.code)  # cached or not
        harness.wait_for(lambda: REASON in self.one.log(), 20, "the reason in the log")
        for _ in range(5):
            self.assertEqual(self.one.post("/urls", {"url": "https://example.com/x"}).status, 503)
        self.assert_remembers(self.ours)
        self.assertEqual(self.foreign.psql("SELECT count(*) FROM urls", pgfaults.NAME), "0")

    def test_passed_over(self):
        self.run_on(self.ours, self.foreign)  # nothing is remembered: the first one
        self.assert_writes(self.ours)
        for hosts in ((self.foreign, self.ours), (self.ours, self.foreign)):
            self.run_on(*hosts)
            self.assert_writes(self.ours)
        self.ours.stop()
        self.assert_away()
        self.ours.start()
        self.assert_writes(self.ours)
        self.assertEqual(self.foreign.psql("SELECT count(*) FROM urls", pgfaults.NAME), "0")

    def test_alone_at_the_start(self):
        self.run_on(self.ours)
        self.assert_writes(self.ours)
        self.ours.stop()
        self.run_on(self.foreign, self.ours)
        self.assert_away()
        self.ours.start()
        self.assert_writes(self.ours)

    def test_one_of_no_use(self):
        """Its timeline is no reason to leave ours, for a schema that it does not have."""
        self.run_on(self.ours)
        self.assert_writes(self.ours)
        self.foreign.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", pgfaults.NAME)
        for hosts in ((self.foreign, self.ours), (self.ours, self.foreign)):
            self.run_on(*hosts)
            self.assert_writes(self.ours)
        for path in self.files():
            os.unlink(path)
        for hosts in ((self.foreign, self.ours), (self.ours, self.foreign)):
            self.run_on(*hosts)
            self.assert_writes(self.ours)

    def test_meant(self):
        """As shortener.conf(5) has it: the files are removed, then the instances are restarted."""
        self.run_on(self.ours)
        self.assert_writes(self.ours)
        self.run_on(self.foreign, self.ours)
        self.assert_writes(self.ours)
        self.one.stop()
        for path in self.files():
            os.unlink(path)
        self.run_on(self.foreign, self.ours)
        self.assert_writes(self.foreign)

    def test_the_only_host(self):
        """There is none that could be meant instead."""
        self.run_on(self.ours)
        self.assert_writes(self.ours)
        self.run_on(self.foreign)
        self.assert_writes(self.foreign)

    def test_shortenerctl(self):
        """It goes by what the instances have seen, and leaves that as it is."""
        self.run_on(self.foreign, self.ours)  # the first one of them is remembered
        self.assert_writes(self.foreign)
        self.run_on(self.ours, self.foreign)
        link = self.code
        self.assertIn("example.com", self.service.ctl("link", "show", link).stdout)
        self.advance(self.foreign)
        harness.wait_for(self.is_ready, 20, "/ready")
        self.assert_writes(self.foreign)
        for path in self.files():
            with open(path) as file:
                self.assertEqual(file.read().split()[1], "3")
        self.foreign.stop()
        done = self.service.ctl("user", "add", "anna", "anna@example.com", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(REASON, done.stderr)
        self.one.stop()
        self.service.url = self.ours.url(pgfaults.NAME)  # the only host is meant
        self.service.ctl("user", "add", "anna", "anna@example.com")
        self.assertEqual([len(self.files()), self.ours.psql("SELECT count(*) FROM users", pgfaults.NAME)], [2, "1"])
        for path in self.files():
            with open(path) as file:
                self.assertEqual(file.read().split(), [self.systems[self.foreign], "3"])


class Primaries(unittest.TestCase):
    def test_shortenerctl(self):
        """An old primary is not written to by hand either, while the new one is down."""
        old, new = pgfaults.promoted_pair(self)
        service = pgfaults.Service(new, url=f"postgresql:///{pgfaults.NAME}?host={old.folder},{new.folder}&port={old.port}"
                                            "&user=postgres")
        self.addCleanup(service.close)
        one = service.start()
        harness.wait_for(lambda: one.get("/ready").status == 200, 20, "/ready")
        new.stop()
        done = service.ctl("user", "add", "anna", "anna@example.com", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("was seen: an old primary", done.stderr)
        self.assertEqual(old.psql("SELECT count(*) FROM users", pgfaults.NAME), "0")
        new.start()
        service.ctl("user", "add", "anna", "anna@example.com")
        self.assertEqual(new.psql("SELECT count(*) FROM users", pgfaults.NAME), "1")


if __name__ == "__main__":
    harness.main()
