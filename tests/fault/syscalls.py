#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SIGKILL at each of the system calls of the append and the ship path.

strace is attached to one thread (or follows all from the start) and kills at its n-th call of a kind.
Segments are small and the visits long, so that segments change all the time."""

import contextlib
import http.client
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

RUNNING = (
    ("shortenerd", "pwrite64"), ("shortenerd", "renameat"), ("spool", "fdatasync"), ("spool", "fsync"),
    ("spool", "fallocate"), ("spool", "openat"), ("spool", "ftruncate"), ("spool", "close"), ("spool", "unlinkat"),
    ("shipper", "pread64"), ("shipper", "pwrite64"), ("shipper", "fdatasync"), ("shipper", "fcntl"),
    ("shipper", "openat"), ("shipper", "fchmodat"),
)
SWEEPING = (("shipper", "unlinkat"),)  # every ten seconds
STARTING = ("openat", "flock", "fallocate", "fsync", "fdatasync", "renameat", "unlinkat", "ftruncate", "pread64",
            "pwrite64", "fchmodat", "fcntl", "lseek", "getdents64")
OPTIONS = ["Clicks.SegmentSize=1M", "Clicks.MaxSize=256M", "Clicks.Keep=0"]
AGENT = 500  # bytes: some 1,800 visits a segment
TIMES = (1, 2, 3, 5, 8, 13, 21, 34) if faults.LONG else (1,)
WORKERS = [f"worker-{n}" for n in range(1, 5)]
WHY_NOT = faults.why_no_strace()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Killed(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service(options=OPTIONS)
        self.addCleanup(self.service.close)
        self.one = self.service.start()
        self.codes = faults.make_links(self.one)
        self.answered = []
        self.loads = []

    def load(self):
        # Paced, so that the shipper keeps up however long a call lets itself be waited for: a spool
        # that reaches MaxSize= sheds, and that is tests/fault/full.py's.
        load = faults.Load([self.one], self.codes, connections=3, depth=16, pause=0.004, agent_size=AGENT)
        self.loads.append(load)
        return load

    def died(self):
        return self.one.process.poll() is not None

    def check(self):
        faults.wait_shipped(self.one)
        self.assertEqual(self.one.stop(), 0)
        answered = [pair for load in self.loads for pair in load.answered()]
        audit = faults.Audit(self.service).check_nothing_lost(self, answered)
        print(f"{len(answered)} visits answered, 0 lost, {len(audit.ids)} in the store", flush=True)

    def test_while_running(self):
        met = {}
        for thread, call in RUNNING + (SWEEPING if faults.LONG else ()):
            for when in TIMES:
                load = self.load()
                with faults.Inject(self.one, [thread], f"{call}:signal=SIGKILL:when={when}"):
                    load.start()
                    with contextlib.suppress(AssertionError):
                        harness.wait_for(self.died, 15)
                if self.died():
                    met[thread, call] = met.get((thread, call), 0) + 1
                    self.one.start()
                load.stop()
        print(f"{sum(met.values())} kills at {len(met)} kinds of calls", flush=True)
        self.check()
        self.assertEqual([k for k in RUNNING if k not in met], [], "calls never met")

    def test_while_starting(self):
        """With a backlog of several segments that a killed process left."""
        n_kills = 0
        calls = STARTING if faults.LONG else random.sample(STARTING, 5)
        for call in calls:
            for when in TIMES + ((4, 6, 7, 10, 15, 20, 26, 30) if faults.LONG else ()):
                with self.load() as load:
                    harness.wait_for(lambda: load.n_answered > 100, 20, "traffic")
                    self.one.kill()
                    self.one.wrapper = ["strace", "-D", "-qq", "-f", "-o", "/dev/null", "-e", "trace=" + call,
                                        "-e", f"inject={call}:signal=SIGKILL:when={when}"]
                    self.one.start(wait=False)
                    with contextlib.suppress(AssertionError):
                        harness.wait_for(self.died, 0.6)
                    n_kills += self.died()
                    if not self.died():
                        self.one.kill()
                    self.one.wrapper = []
                    self.one.start()
        print(f"{n_kills} kills at {len(calls)} kinds of calls", flush=True)
        self.check()

    def test_between_commit_and_counter(self):
        """Who edits dies when it looks for the host page behind the COMMIT. The other instances take over what it was
        about to say."""
        self.one.stop()
        others, longest = [self.service.start(name) for name in "23"], 0
        page = os.path.join(self.service.runtime, "page")
        for n in range(3 * len(TIMES)):
            self.one.start()
            url = self.one.create("https://example.com/old")
            path, new = "/" + url["short_code"], f"https://example.com/new{n}"
            for other in others:
                harness.wait_for(lambda o=other, p=path: o.get(p).headers["X-Cache"] == "HIT", 5, "a hit")
            with faults.Inject(self.one, WORKERS, "newfstatat:signal=SIGKILL:when=2", page):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.one.put(f"/urls/{url['id']}", {"url": new})
                harness.wait_for(self.died, 15, "the end of who edits")
            start = time.monotonic()
            self.assertEqual(others[0].get(f"/urls/{url['id']}").json["original_url"], new, "it died too early")
            for other in others:
                harness.wait_for(lambda o=other, p=path, t=new: o.get(p).headers["Location"] == t, 10, "the new target", 0.01)
            longest = max(longest, time.monotonic() - start)
        print(f"killed between COMMIT and its counter: the others were right after {longest:.1f} s", flush=True)
        self.assertLess(longest, 2 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
