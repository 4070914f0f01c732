#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The store is away: cached redirects, /health and /metrics go on, the rest is 503 within a second,
and afterwards everything that was spooled arrives."""

import os
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres

TIMEOUT = 3  # of the store that is slow
SECONDS = 30 if os.environ.get("SHORTENER_TEST_LONG") else 4


class Away(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        self.one = self.service.start()
        self.url = self.one.create()
        self.path = "/" + self.url["short_code"]
        self.one.get(self.path)

    def assert_goes_on(self, seconds):
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            start = time.monotonic()
            answer = self.one.get(self.path)
            self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "HIT"))
            self.assertEqual(self.one.get("/health").status, 200)
            self.assertEqual(self.one.get("/metrics").status, 200)
            self.assertLess(time.monotonic() - start, 0.5 * harness.SLOW)
            n += 1
            start = time.monotonic()
            answer = self.one.post("/urls", {"url": "https://example.com/never"}, headers={"X-Request-Id": "mine"})
            self.assertEqual(answer.headers["X-Request-Id"], "mine")
            self.assertEqual((answer.status, answer.json), (503, {"error": "Service unavailable"}))
            self.assertEqual(answer.headers["Retry-After"], "1")
            self.assertLess(time.monotonic() - start, 1.0 * harness.SLOW)
        return n

    def assert_arrives(self, n):
        def arrived():
            answer = self.one.get(f"/urls/{self.url['id']}/stats")
            return answer.status == 200 and answer.json["redirect_count"] == n
        harness.wait_for(arrived, 15, f"{n} visits in the store")

    def test_locked_file(self):
        # WAL: a writer's lock keeps no reader out, so reads of the API may go on as well.
        lock = sqlite3.connect(self.service.database, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        n = self.assert_goes_on(SECONDS)
        lock.execute("ROLLBACK")
        lock.close()
        self.assert_arrives(n + 1)
        harness.wait_for(lambda: self.one.get("/ready").status == 200, what="/ready")
        self.assertEqual(self.one.get("/health").json, {"database": "connected", "status": "ok"})
        self.assertEqual(self.one.post("/urls", {"url": "https://example.com/again"}).status, 201)


class Damaged(unittest.TestCase):
    def test_no_database(self):
        # It used to be "connected", and each call of the API a 500.
        service = harness.Service()
        self.addCleanup(service.close)
        with open(service.database, "wb") as file:
            file.write(b"this is no database\n" * 1000)
        one = service.start()
        harness.wait_for(lambda: one.get("/health").json["database"] == "disconnected", what="a store that is away")
        self.assertEqual(one.get("/ready").status, 503)
        self.assertEqual(one.metric("shortener_store_up "), 0)
        for path in ("/users", "/urls/1", "/a1b2c3"):
            for _ in range(100):  # some of them are probes
                answer = one.get(path)
                self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"), path)
        os.rename(service.database, service.database + ".aside")
        harness.wait_for(lambda: one.get("/ready").status == 200, what="/ready")
        self.assertEqual(one.get("/users").json, [])


class Slow(unittest.TestCase):
    """A PostgreSQL server on which a list of users takes a minute, and all else what it takes."""

    def setUp(self):
        self.server = postgres.Postgres()
        self.addCleanup(self.server.close)
        # So long that an answer is never late, however busy this machine is.
        service = harness.Service(options=[f"Store.Timeout={TIMEOUT}s"])
        self.addCleanup(service.close)
        service.url = self.server.new_url() + "&options=-csearch_path%3Dslow,public"
        self.server.psql("CREATE SCHEMA slow; CREATE VIEW slow.users AS SELECT u.* FROM public.users AS u"
                         " WHERE pg_sleep(60) IS NOT NULL;"
                         " INSERT INTO public.users VALUES (1, 'u', 'e@b.co', 1)", f"made_{self.server.n_made}")
        self.one = service.start()
        self.link = self.one.create()
        self.statuses = []

    def list_users(self, end):
        while time.monotonic() < end:
            self.statuses.append(self.one.get("/users").status)

    def test_lists_close_nothing(self):
        # Eight at once used to open the circuit breaker: nobody reached the store, which was well. Of so
        # many some do not come to their turn.
        end = time.monotonic() + max(SECONDS, 2 * TIMEOUT)
        clients = [threading.Thread(target=self.list_users, args=(end,)) for _ in range(24)]
        for client in clients:
            client.start()
        n = 0
        while time.monotonic() < end:
            self.assertEqual(self.one.get(f"/unknown{n}").status, 404)
            self.assertEqual(self.one.metric("shortener_store_up "), 1)
            n += 1
        for client in clients:
            client.join()
        self.assertEqual(set(self.statuses), {503})
        self.assertGreater(n, 20)

    def test_silence_does(self):
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        harness.wait_for(lambda: self.one.metric("shortener_store_up ") == 0, 30, "an open breaker")
        self.list_users(time.monotonic() + 1)
        self.assertEqual(set(self.statuses), {503})
        self.assertGreater(len(self.statuses), 20)  # at once
        self.server.thaw()
        harness.wait_for(lambda: self.one.get("/" + self.link["short_code"]).status == 302, what="a redirect")


if __name__ == "__main__":
    harness.main()
