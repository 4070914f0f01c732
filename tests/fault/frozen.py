#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The store is locked, frozen, read-only or gone: cached redirects, /health and /metrics answer as before,
everything else answers within a second (503, or what can still be read), and afterwards all that was
spooled arrives."""

import collections
import contextlib
import fcntl
import os
import random
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

SECONDS = 30 if faults.LONG else 3
REQUESTS = 1000 if faults.LONG else 300  # of each kind
LIMIT = 1.0 * harness.SLOW
TAIL = (0.025 if faults.LONG else 0.1) * harness.SLOW  # seconds: p99 below it is as before on a busy machine


def locked_by(*statements):
    """A connection that has done these and goes on holding what it got."""
    @contextlib.contextmanager
    def away(service):
        connection = sqlite3.connect(service.database, isolation_level=None, timeout=5)
        for statement in statements:
            connection.execute(statement)
        try:
            yield
        finally:
            connection.rollback()
            connection.close()
    return away


@contextlib.contextmanager
def all_locks(service):
    """Every lock of the write-ahead index: readers are kept out too."""
    with open(service.database + "-shm", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
        yield


@contextlib.contextmanager
def moved(service):
    names = [n for n in os.listdir(service.state) if n.startswith("shortener.db")]
    for name in names:
        os.rename(os.path.join(service.state, name), os.path.join(service.state, "away-" + name))
    try:
        yield
    finally:
        made = os.path.exists(service.database)
        for name in names:
            os.rename(os.path.join(service.state, "away-" + name), os.path.join(service.state, name))
        assert not made, "an empty store was made in place of the one that is away"


def mount_as(*command, back):
    @contextlib.contextmanager
    def away(service):
        faults.run(*command, service.state)
        try:
            yield
        finally:
            faults.run(*back, service.state)
    return away


WHY_NO_DISK = faults.why_no_disk() if os.environ.get("SHORTENER_TEST_UNSHARED") or os.geteuid() else None


AT_ONCE = 0.2 * harness.SLOW  # seconds


class Frozen(unittest.TestCase):
    def start(self, state=None):
        self.service = harness.Service(state=state)
        self.addCleanup(self.service.close)
        self.one = self.service.instance()
        self.one.spool = os.path.join(self.service.folder, "spool")  # never on the store's disk
        self.one.start()
        self.urls = [self.one.create(f"https://example.com/{n}") for n in range(20)]
        for url in self.urls:
            self.one.get("/" + url["short_code"])
        self.unknown = self.one.create("https://example.com/not-cached")
        self.answered = []

    def measure(self, seconds):
        """p99 of cached redirects, /health and /metrics."""
        connection = self.one.connect()
        latencies = {"redirect": [], "health": [], "metrics": []}
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end or n < REQUESTS:
            n += 1
            request_id = f"f{os.getpid()}.{len(self.answered)}"
            for kind, path in (("redirect", "/" + random.choice(self.urls)["short_code"]), ("health", "/health"),
                               ("metrics", "/metrics")):
                start = time.monotonic()
                answer = self.one.get(path, connection=connection, headers={"X-Request-Id": request_id})
                latencies[kind].append(time.monotonic() - start)
                self.assertEqual(answer.status, 302 if kind == "redirect" else 200)
                if kind == "redirect":
                    self.assertEqual(answer.headers["X-Cache"], "HIT")
                    self.answered.append((request_id, time.time()))
            time.sleep(0.002)  # a rate, not a wait
        connection.close()
        return {kind: faults.percentile(values, 0.99) for kind, values in latencies.items()}

    def others(self, ended, found):
        """What needs the store: (method, path, status, seconds)."""
        requests = (("POST", "/urls", {"url": "https://example.com/never"}), ("GET", "/users", None),
                    ("PUT", f"/urls/{self.urls[0]['id']}", {"title": "never"}), ("GET", "/urls?per_page=3", None),
                    ("GET", f"/urls/{self.urls[0]['id']}/stats", None), ("GET", "/nosuch1", None),
                    ("DELETE", "/urls/999999", None), ("GET", "/" + self.unknown["short_code"], None),
                    ("POST", "/events", {"url_id": self.urls[0]["id"], "event_type": "never"}),
                    ("GET", "/events", None))
        while not ended.is_set():
            for method, path, body in requests:
                start = time.monotonic()
                answer = self.one.request(method, path, body)
                found.append((method, path, answer.status, time.monotonic() - start))
                if answer.status == 503 and answer.headers["Retry-After"] is None:
                    found.append((method, path, "503 without Retry-After", 0))
            found.append(self.as_browser("/nosuch2"))

    def as_browser(self, path):
        """A redirect that nobody has cached, for a person."""
        start = time.monotonic()
        answer = self.one.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
        status = answer.status if "text/html" in answer.headers["Content-Type"] else "no page"
        return "GET", path, status, time.monotonic() - start

    def run_away(self, name, away, reads_may_go_on=False):
        before = self.measure(0.5)
        ended, found = threading.Event(), []  # what else was asked
        with away(self.service):
            thread = threading.Thread(target=self.others, args=(ended, found))
            thread.start()
            try:
                during = self.measure(SECONDS)
            finally:
                ended.set()
                thread.join()
            if not reads_may_go_on:
                harness.wait_for(lambda: self.one.get("/health").json ==
                                 {"database": "disconnected", "status": "degraded"}, 3, "/health to tell it")
                # The breaker is open: who cannot be answered is told at once, whatever the probe waits for.
                at_once = [self.as_browser("/nosuch2") for _ in range(20)]
                self.assertEqual({one[2] for one in at_once}, {503})
                self.assertLess(max(one[3] for one in at_once), AT_ONCE)
        longest = max(f[3] for f in found)
        statuses = sorted({(f[0], f[2]) for f in found}, key=str)
        harness.wait_for(lambda: self.one.post("/urls", {"url": "https://example.com/again"}).status == 201, 10,
                         "writes when it is back")
        faults.wait_shipped(self.one)
        self.assertEqual(self.one.get("/health").json["status"], "ok")
        self.assertEqual(self.one.stop(), 0)
        audit = faults.Audit(self.service)
        figures = ", ".join(f"{k} {faults.milliseconds(before[k])} then {faults.milliseconds(during[k])}"
                            for k in before)
        print(f"{name}: p99 {figures}; {len(found)} other requests, longest {faults.milliseconds(longest)}, "
              f"{statuses}; {len(self.answered)} visits, {len(audit.lost(self.answered))} lost", flush=True)
        audit.check_nothing_lost(self, self.answered)
        self.assertLess(longest, LIMIT)
        for kind in before:
            self.assertLess(during[kind], max(3 * before[kind], TAIL), kind)
        allowed = {503, 200, 302, 404} if reads_may_go_on else {503}
        self.assertEqual({f[2] for f in found if f[0] == "GET"} - allowed - {404}, set())
        self.assertEqual({f[2] for f in found if f[0] in ("POST", "PUT")}, {503})

    def test_write_lock(self):
        self.start()
        self.run_away("BEGIN EXCLUSIVE", locked_by("BEGIN EXCLUSIVE"), True)

    def test_reads_beside_writes_that_fail(self):
        """The breaker is open because of writes: that keeps few redirects from being looked up."""
        self.start()
        answers, ended = collections.Counter(), threading.Event()

        def post():
            while not ended.is_set():
                self.one.post("/urls", {"url": "https://example.com/never"})
        with locked_by("BEGIN IMMEDIATE")(self.service):
            threads = [threading.Thread(target=post) for _ in range(4)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                answers[self.one.get(f"/q{sum(answers.values())}").status] += 1
                time.sleep(0.01)  # a rate, not a wait
            ended.set()
            for thread in threads:
                thread.join()
        print(f"reads beside writes that fail: {dict(answers)}", flush=True)
        self.assertGreater(answers[404], 0.3 * sum(answers.values()))

    def test_exclusive_mode_before_the_start(self):
        """Another program has the file for itself alone: that cannot be had while we use it."""
        self.start()
        self.measure(0.1)
        self.assertEqual(self.one.stop(), 0)
        with locked_by("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE")(self.service):
            self.one.start()
            for path, status in (("/health", 200), ("/metrics", 200), ("/users", 503),
                                 ("/" + self.urls[0]["short_code"], 503), ("/health", 200)):
                start = time.monotonic()
                answer = self.one.get(path)
                self.assertEqual(answer.status, status, path)
                self.assertLess(time.monotonic() - start, LIMIT)
            harness.wait_for(lambda: self.one.get("/health").json["status"] == "degraded", 10, "degraded")
            self.assertEqual(self.one.get("/ready").status, 503)
        harness.wait_for(lambda: self.one.get("/ready").status == 200, 10, "ready when it is back")
        for url in self.urls:
            self.one.get("/" + url["short_code"])
        self.measure(0.1)
        faults.wait_shipped(self.one)
        self.assertEqual(self.one.stop(), 0)
        faults.Audit(self.service).check_nothing_lost(self, self.answered)

    def test_all_locks(self):
        self.start()
        self.run_away("all locks", all_locks)

    def test_file_gone(self):
        self.start()
        self.run_away("file renamed", moved)

    @unittest.skipIf(WHY_NO_DISK, WHY_NO_DISK)
    def test_disk_frozen(self):
        disk = faults.Disk(32)
        self.addCleanup(disk.close)
        self.start(disk.path)
        self.run_away("fsfreeze", mount_as("fsfreeze", "-f", back=("fsfreeze", "-u")), True)

    @unittest.skipIf(WHY_NO_DISK, WHY_NO_DISK)
    def test_disk_full(self):
        disk = faults.Disk(32)
        self.addCleanup(disk.close)
        self.start(disk.path)

        @contextlib.contextmanager
        def full_disk(service):
            path = os.path.join(service.state, "ballast")
            with open(path, "wb", buffering=0) as file:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"b" * 4096)
            try:
                yield
            finally:
                os.unlink(path)
        self.run_away("store's disk full", full_disk, True)


if __name__ == "__main__":
    faults.own_mounts()
    harness.main()
