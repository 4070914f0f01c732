#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two hosts on one PostgreSQL: what one changes the other shows within a second, whatever becomes of
the connection on which it listens; and without a database what is cached goes on.

A host is a runtime directory of its own: instances share nothing else."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
LIMIT = 1.0  # seconds until another host's change is seen
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


@contextlib.contextmanager
def stopped_thread(pid, name):
    """Holds one thread of a process while the block runs. Its tracer is the calling thread."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    for tid in map(int, os.listdir(f"/proc/{pid}/task")):
        with open(f"/proc/{pid}/task/{tid}/comm") as file:
            if file.read().strip() == name:
                break
    else:
        raise AssertionError(f"{pid} has no thread {name}")
    if ptrace(PTRACE_ATTACH, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    try:
        os.waitpid(tid, WALL)
        yield
    finally:
        ptrace(PTRACE_DETACH, tid, None, None)


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.database = self.id().rsplit(".", 1)[1]
        url = self.server.create(self.database)
        self.addCleanup(self.server.thaw)
        self.hosts = []
        for _ in range(2):
            host = harness.Service()
            self.addCleanup(host.close)
            host.url = url
            self.hosts.append(host)
        self.a = self.hosts[0].start("a")
        self.b = self.hosts[1].start("b")
        for instance in (self.a, self.b):
            self.wait_hears(instance)

    def wait_hears(self, instance, yes=1, seconds=10):
        harness.wait_for(lambda: instance.metric("shortener_watcher_up ") == yes, seconds, f"watcher up: {yes}")

    def cached(self, instance, target="https://example.com/v0"):
        url = self.a.create(target)
        harness.wait_for(lambda: self.is_hit(instance, url), 5, "a hit")
        return url

    @staticmethod
    def is_hit(instance, url):
        return instance.get("/" + url["short_code"]).headers["X-Cache"] == "HIT"

    def seen_after(self, instance, url, target):
        """Seconds until the instance leads there; an older target is its right only within LIMIT."""
        start = time.monotonic()
        while True:
            sent = time.monotonic()
            answer = instance.get("/" + url["short_code"])
            if answer.headers["Location"] == target:
                return time.monotonic() - start
            self.assertLess(sent - start, LIMIT * harness.SLOW, answer)

    def test_an_edit_is_seen_on_the_other_host(self):
        times = []
        for i in range(20):
            url = self.cached(self.b)
            self.a.put(f"/urls/{url['id']}", {"url": f"https://example.com/v{i + 1}"})
            times.append(self.seen_after(self.b, url, f"https://example.com/v{i + 1}"))
            self.a.delete(f"/urls/{url['id']}")
            harness.wait_for(lambda url=url: self.b.get("/" + url["short_code"]).status == 404, LIMIT, "the deletion")
        times.sort()
        print(f"an edit is seen elsewhere after {times[len(times) // 2] * 1000:.1f} ms (median), "
              f"{times[-1] * 1000:.1f} ms at most")
        self.assertGreater(self.b.metric("shortener_watcher_changes_total "), 20)

    def test_an_edit_by_hand(self):
        url = self.cached(self.b)
        self.server.psql(f"UPDATE urls SET target = 'https://example.com/hand' WHERE id = {url['id']}",
                         self.database)
        self.seen_after(self.b, url, "https://example.com/hand")
        self.seen_after(self.a, url, "https://example.com/hand")

    def test_unknown_codes_and_creation(self):
        for i in range(10):
            self.assertEqual(self.b.get(f"/new{i}").status, 404)
        path = os.path.join(self.hosts[0].folder, "new.csv")
        with open(path, "w") as file:
            file.write("short_code,original_url\n")
            file.writelines(f"new{i},https://example.com/{i}\n" for i in range(10))
        self.hosts[0].ctl("import", path)
        start = time.monotonic()
        for i in range(10):
            harness.wait_for(lambda i=i: self.b.get(f"/new{i}").status == 302, LIMIT, "an imported link")
        self.assertLess(time.monotonic() - start, LIMIT * harness.SLOW)

    def test_the_listening_connection_is_frozen(self):
        for i in range(3 if not LONG else 20):
            url = self.cached(self.b)
            pids = self.frozen_watchers()
            try:
                self.a.put(f"/urls/{url['id']}", {"url": f"https://example.com/frozen{i}"})
                seconds = self.seen_after(self.b, url, f"https://example.com/frozen{i}")
                print(f"with the listening connections frozen: seen after {seconds * 1000:.0f} ms")
                self.wait_hears(self.b, 0, 2)
                # Entries live a second, not shorter: the store is not asked for each visit.
                hits = [self.is_hit(self.b, url) for _ in range(20)]
                self.assertGreater(hits.count(True), 10)
                self.assertEqual(self.b.metric("shortener_cache_unverified "), 0)
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            self.wait_hears(self.b)

    def frozen_watchers(self):
        """Freezes the server's processes that serve the watchers; their ids. One that an instance has just given up
        is listed as well, and may end before it is frozen."""
        frozen = []

        def freeze():
            while frozen:
                os.kill(frozen.pop(), signal.SIGCONT)
            with contextlib.suppress(ProcessLookupError):
                for pid in self.server.watchers(self.database):
                    os.kill(pid, signal.SIGSTOP)
                    frozen.append(pid)
            return len(frozen) == 2
        harness.wait_for(freeze, 10, "two watchers to be frozen")
        return frozen

    def test_the_listening_connection_is_cut(self):
        urls = [self.cached(self.b) for _ in range(5)]
        for i, url in enumerate(urls):
            before = self.b.metric("shortener_watcher_losses_total ")
            self.server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                             f" WHERE datname = '{self.database}'")
            harness.wait_for(lambda i=i, url=url: self.a.put(
                f"/urls/{url['id']}", {"url": f"https://example.com/cut{i}"}).status == 200, 10, "a write")
            self.seen_after(self.b, url, f"https://example.com/cut{i}")
            harness.wait_for(lambda before=before: self.b.metric("shortener_watcher_losses_total ") > before, 5, "a loss")
            self.wait_hears(self.b)
            self.wait_hears(self.a)

    def test_the_database_is_frozen(self):
        urls = [self.cached(self.b) for _ in range(5)]
        for url in urls:
            self.is_hit(self.a, url)
        self.server.freeze()
        end, longest, n = time.monotonic() + (60 if LONG else 6), 0.0, 0
        try:
            while time.monotonic() < end:
                for instance in (self.a, self.b):
                    start = time.monotonic()
                    answer = instance.get("/" + urls[n % 5]["short_code"])
                    longest = max(longest, time.monotonic() - start)
                    self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "HIT"))
                    n += 1
            self.assertEqual(self.b.metric("shortener_cache_unverified "), 1)
            self.assertEqual(self.b.metric("shortener_watcher_up "), 0)
            self.assertEqual(self.b.get("/health").json["status"], "degraded")
        finally:
            self.server.thaw()
        print(f"database frozen: {n} redirects, longest {longest * 1000:.1f} ms")
        self.assertLess(longest, 0.5 * harness.SLOW)
        harness.wait_for(lambda: self.a.put(f"/urls/{urls[0]['id']}", {"url": "https://example.com/after"}).status == 200,
                         10, "a write")
        self.seen_after(self.b, urls[0], "https://example.com/after")
        self.wait_hears(self.b)
        self.assertEqual(self.b.metric("shortener_cache_unverified "), 0)

    def test_the_database_restarts_with_a_change(self):
        """What changed while this host could not hear of it is seen once the database is back."""
        url = self.cached(self.b)
        self.is_hit(self.a, url)
        for instance in (self.a, self.b):
            instance.signal(signal.SIGSTOP)
        self.server.stop()
        self.server.start()
        self.server.psql(f"UPDATE urls SET target = 'https://example.com/back' WHERE id = {url['id']}",
                         self.database)
        for instance in (self.a, self.b):
            instance.signal(signal.SIGCONT)
        for instance in (self.a, self.b):
            self.seen_after(instance, url, "https://example.com/back")
            self.wait_hears(instance)

    def test_a_neighbour_keeps_the_cache(self):
        """An instance that starts need not make its neighbours forget what they know; the only one of
        its host does."""
        url = self.cached(self.b)
        page = os.path.join(self.hosts[1].runtime, "page")

        def epoch():
            with open(page, "rb") as file:
                return file.read(136)[128:]
        before = epoch()
        another = self.hosts[1].start("b2")
        self.wait_hears(another)
        self.assertEqual(epoch(), before)
        self.assertTrue(self.is_hit(self.b, url))
        another.kill()
        self.wait_hears(another.start())
        self.assertEqual(epoch(), before)
        another.stop()
        self.b.kill()
        self.a.put(f"/urls/{url['id']}", {"url": "https://example.com/unheard"})
        self.b.start()
        self.wait_hears(self.b)
        self.assertNotEqual(epoch(), before)
        self.seen_after(self.b, url, "https://example.com/unheard")

    def test_a_watcher_that_stands_still(self):
        """It can neither hear of a change nor say that it does not: a second after its last word nobody relies on it.
        So it is for a moment when the process, or the machine, goes on after it was stopped."""
        url = self.cached(self.b)
        with stopped_thread(self.b.process.pid, "watcher"):
            changed = time.monotonic()
            self.a.put(f"/urls/{url['id']}", {"url": "https://example.com/unheard"})
            self.seen_after(self.b, url, "https://example.com/unheard")
            # Entries live a second from then on, not shorter.
            harness.wait_for(lambda: time.monotonic() > changed + LIMIT + 0.3, 5, "the watcher's word to be old")
            hits = [self.is_hit(self.b, url) for _ in range(20)]
            self.assertGreater(hits.count(True), 10)
            self.assertEqual(self.b.metric("shortener_watcher_up "), 0)
        self.wait_hears(self.b)

    def test_a_process_that_goes_on_hears_at_once(self):
        """Not only when its watcher would have spoken next."""
        def blind():
            self.wait_hears(self.b)
            os.kill(self.b.process.pid, signal.SIGSTOP)
            try:
                stopped = time.monotonic()
                harness.wait_for(lambda: time.monotonic() > stopped + LIMIT + 0.3, 5, "the watcher's word to be old")
            finally:
                os.kill(self.b.process.pid, signal.SIGCONT)
            start = time.monotonic()
            self.wait_hears(self.b)
            return time.monotonic() - start
        self.assertLess(min(blind() for _ in range(3)), 0.2)  # from one word to the next: 0.25

    def test_a_watcher_that_stands_still_while_the_database_is_frozen(self):
        """Nothing says that the server is away, and it is asked in vain: what did not change is answered all the same."""
        urls = [self.cached(self.b) for _ in range(3)]
        for url in urls:
            self.is_hit(self.b, url)
        with stopped_thread(self.b.process.pid, "watcher"):
            harness.wait_for(lambda: self.b.metric("shortener_watcher_up ") == 0, 5, "the watcher's word to be old")
            self.server.freeze()
            try:
                for url in urls:
                    start = time.monotonic()
                    answer = self.b.get("/" + url["short_code"])
                    self.assertEqual((answer.status, answer.headers.get("X-Cache")), (302, "HIT"))
                    self.assertLess(time.monotonic() - start, LIMIT * harness.SLOW)
                self.assertEqual(self.b.get("/notHere").status, 503)
            finally:
                self.server.thaw()
        self.wait_hears(self.b)

    def test_without_prepared_statements_nothing_is_heard(self):
        """[Store] Prepared=no is for poolers on which LISTEN does not work: a second it is then."""
        self.b.stop()
        self.b.options.append("Store.Prepared=no")
        self.b.start()
        url = self.a.create("https://example.com/v0")
        self.b.get("/" + url["short_code"])
        self.a.put(f"/urls/{url['id']}", {"url": "https://example.com/v1"})
        self.seen_after(self.b, url, "https://example.com/v1")
        self.assertEqual(self.b.metric("shortener_watcher_up "), 0)


if __name__ == "__main__":
    harness.main()
