#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A PostgreSQL store whose schema or encoding is of no use, found when the instance runs already: the
server was away at the start, or another database is there after an outage. The store counts as away, says
why, and comes back by itself."""

import glob
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import pgfaults
import postgres

SCHEMA = sorted(glob.glob(os.path.join(harness.ROOT, "src", "store", "schema", "postgres", "*.sql")))
OLD = 4  # too old for this program
RECOVERS = 4  # seconds at most; about two on a machine that is idle


def migrate_to(server, version, name=pgfaults.NAME):
    """The schema as a program of then left it."""
    server.psql("CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL,"
                " applied timestamptz NOT NULL DEFAULT now())", name)
    for number, path in enumerate(SCHEMA[:version], 1):
        with open(path) as file:
            server.psql(f"BEGIN; {file.read()}\n; INSERT INTO schema_versions VALUES ({number}, 'old'); COMMIT", name)


class Unfit(unittest.TestCase):
    def setUp(self):
        self.server = postgres.Postgres()
        self.addCleanup(self.server.close)
        self.service = pgfaults.Service(self.server)
        self.addCleanup(self.service.close)

    def start_without(self):
        """An instance that starts while the server is away."""
        self.server.stop()
        self.one = self.service.start()
        self.assertEqual(self.one.get("/ready").json, {"error": "Service unavailable"})
        self.server.start()

    def start_with(self):
        self.server.create(pgfaults.NAME)
        self.one = self.service.start()
        harness.wait_for(lambda: self.is_ready() and self.one.heard() is not None, 20, "/ready, and a watcher")

    def is_ready(self):
        return self.one.get("/ready").status == 200

    def assert_unfit(self, reason):
        harness.wait_for(lambda: reason in self.one.get("/ready").json.get("error", ""), 5, f"/ready: {reason}")
        answer = self.one.get("/ready")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"))
        self.assertEqual(self.one.get("/health").json, {"database": "disconnected", "status": "degraded"})
        self.assertEqual(self.one.metric("shortener_store_up "), 0)
        for method, path, body in (("POST", "/urls", {"url": "https://example.com/x"}), ("GET", "/users", None),
                                   ("GET", "/notHere", None), ("DELETE", "/urls/1", None)):
            for _ in range(10):  # some of them are probes
                start = time.monotonic()
                answer = self.one.request(method, path, body)
                self.assertEqual(answer.status, 503, (path, answer))
                self.assertLess(time.monotonic() - start, 1.0 * harness.SLOW)
        harness.wait_for(lambda: self.lines(reason), 5, "a line in the log")

    def lines(self, reason):
        """The lines that say what to do; the shipper's and the watcher's say what they wait for."""
        return [line for line in self.one.log().splitlines() if f": {reason}" in line and "until then" in line]

    def assert_recovers(self, reason):
        harness.wait_for(self.is_ready, RECOVERS, "/ready")
        self.assertEqual(self.one.get("/health").json, {"database": "connected", "status": "ok"})
        self.assertEqual(self.one.post("/urls", {"url": "https://example.com/x"}).status, 201)
        self.assertEqual(len(self.lines(reason)), 1, self.one.log())
        harness.wait_for(lambda: "store is back" in self.one.log(), 5, "the word that it is back")

    def test_too_old(self):
        self.server.create(pgfaults.NAME, schema=False)
        migrate_to(self.server, OLD)
        self.start_without()
        self.assert_unfit(f"schema {OLD} is older than 5: run 'shortenerctl db migrate'")
        self.service.ctl("db", "migrate")
        self.assert_recovers(f"schema {OLD} is older")

    def test_none(self):
        self.server.create(pgfaults.NAME, schema=False)
        self.start_without()
        self.assert_unfit("has no schema: run 'shortenerctl db init'")
        self.service.ctl("db", "migrate")
        self.assert_recovers("has no schema")

    def test_too_new(self):
        self.server.create(pgfaults.NAME)
        self.server.psql("INSERT INTO schema_versions VALUES (99, 'later')", pgfaults.NAME)
        self.start_without()
        self.assert_unfit(f"schema 99 is newer than {len(SCHEMA)}, the newest that this version knows")
        self.server.psql("DELETE FROM schema_versions WHERE version = 99", pgfaults.NAME)
        self.assert_recovers("schema 99 is newer")

    def test_encoding(self):
        self.server.psql(f"CREATE DATABASE {pgfaults.NAME} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
        migrate_to(self.server, len(SCHEMA))
        self.start_without()
        self.assert_unfit("the database's encoding is LATIN1, not UTF8")
        self.server.psql(f"DROP DATABASE {pgfaults.NAME} WITH (FORCE)")
        self.server.create(pgfaults.NAME)
        self.assert_recovers("the database's encoding is LATIN1")

    def test_rolling_upgrade(self):
        # What ran before a later release has migrated goes on, on new connections too.
        self.start_with()
        self.server.psql("INSERT INTO schema_versions VALUES (99, 'later')", pgfaults.NAME)
        for _ in range(3):
            self.server.stop()
            harness.wait_for(lambda: not self.is_ready(), 10, "the store to be away")
            self.server.start()
            harness.wait_for(self.is_ready, 10, "/ready")
            self.assertEqual(self.one.post("/urls", {"url": "https://example.com/x"}).status, 201)
        self.assertEqual(self.lines("schema"), [])

    def test_an_unfit_host_beside_a_fit_one(self):
        """Another server of the URL that has no schema, or one of no use, is no candidate."""
        other = postgres.Postgres(settings={"port": self.server.port})
        self.addCleanup(other.close)
        other.create(pgfaults.NAME, schema=False)
        self.server.create(pgfaults.NAME)
        self.service.url = (f"postgresql:///{pgfaults.NAME}?host={other.folder},{self.server.folder}"
                            f"&port={self.server.port}&user=postgres")
        self.one = self.service.start()
        harness.wait_for(self.is_ready, 10, "/ready")
        self.assertEqual(self.one.post("/urls", {"url": "https://example.com/x"}).status, 201)
        migrate_to(other, OLD)
        self.server.stop()
        self.assert_unfit(f"schema {OLD} is older than 5: run 'shortenerctl db migrate'")
        self.server.start()
        self.assert_recovers(f"schema {OLD} is older than 5")

    def test_an_unfit_host_that_was_promoted(self):
        """History went on there: the old primary is not written to, though its schema is of use."""
        old, new = pgfaults.promoted_pair(self)
        new.psql("DROP TABLE schema_versions CASCADE; DROP TABLE urls CASCADE", pgfaults.NAME)
        for hosts in ((old, new), (new, old)):
            self.service.url = (f"postgresql:///{pgfaults.NAME}?host={','.join(h.folder for h in hosts)}"
                                f"&port={old.port}&user=postgres")
            one = self.service.instance("1")
            one.start(wait=False)
            self.assertEqual(one.process.wait(20 * harness.SLOW), 78, one.log())
            self.assertIn("has no schema", one.log())

    def test_other_schema_after_an_outage(self):
        self.start_with()
        url = self.one.create()
        self.assertEqual(self.one.get("/" + url["short_code"]).status, 302)
        self.server.psql("UPDATE schema_versions SET version = -version WHERE version > 4", pgfaults.NAME)
        self.server.stop()
        self.server.start()
        self.assert_unfit("schema 4 is older than 5")
        for _ in range(50):
            answer = self.one.get("/" + url["short_code"])
            self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "HIT"))
        self.server.psql("UPDATE schema_versions SET version = -version WHERE version < 0", pgfaults.NAME)
        self.assert_recovers("schema 4 is older")

        def counted():
            answer = self.one.get(f"/urls/{url['id']}/stats")
            return answer.status == 200 and answer.json["redirect_count"] == 51
        harness.wait_for(counted, 15, "the visits that were spooled")

    def test_schema_lost_under_connections(self):
        # Nothing was restarted: a restore into the same database. It used to be a 500 for each call; now it is
        # one for the call that finds out.
        self.start_with()
        self.server.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", pgfaults.NAME)
        self.assertIn(self.one.post("/urls", {"url": "https://example.com/x"}).status, (500, 503))
        self.assert_unfit("has no schema")
        self.service.ctl("db", "migrate")
        self.assert_recovers("has no schema")


if __name__ == "__main__":
    harness.main()
