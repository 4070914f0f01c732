#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No descriptor is left for a client: those that are connected are served, API and spool have theirs, who waits
in the listen queue is served when somebody goes, the loop sleeps meanwhile, and the log says it once."""

import os
import resource
import select
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure

LIMIT = 1024 if faults.LONG else 180  # descriptors of the process
SECONDS = 30 if faults.LONG else 2    # of load while it is full
QUIET = 10 if faults.LONG else 2      # seconds without load, in which the loop must sleep
SPIN = 0.05 * harness.SLOW            # of a core: ten ticks a second take less
WORD = "connections are in use"
REQUEST = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


class Crowd:
    """Connections that ask once and then stay."""

    def __init__(self, test, one, n):
        self.waiting, self.answered = [], []
        for _ in range(n):
            sock = pressure.connect(one.port, 30)
            test.addCleanup(sock.close)
            sock.sendall(REQUEST)
            self.waiting.append(sock)

    def look(self, seconds=0.0):
        """Reads what has come; returns how many have their answer by now."""
        poll = select.poll()
        for sock in self.waiting:
            poll.register(sock, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(seconds * 1000)}
        for sock in [s for s in self.waiting if s.fileno() in ready]:
            answer = pressure.read_answer(sock)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            self.waiting.remove(sock)
            self.answered.append(sock)
        return len(self.answered)

    def settle(self):
        """Until nobody is answered any more for half a second."""
        while self.waiting:
            before = len(self.answered)
            self.look(0.5)
            if len(self.answered) == before:
                break
        return len(self.answered)

    def leave(self, n):
        for sock in self.answered[:n]:
            sock.close()
        del self.answered[:n]

    def close(self):
        for sock in self.waiting + self.answered:
            sock.close()


class Descriptors(unittest.TestCase):
    def start(self, wrapper=()):
        self.service = harness.Service(["Clicks.SegmentSize=1M", "Clicks.Keep=0"])
        self.addCleanup(self.service.close)
        one = self.service.start(wrapper=wrapper)
        self.admin = one.connect()
        self.addCleanup(self.admin.close)
        self.assertEqual(one.get("/health", connection=self.admin).status, 200)
        return one

    def metric(self, one, name):
        """On a connection that is there already."""
        lines = one.get("/metrics", connection=self.admin).body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def loop_share(self, one):
        """Of a core, used by the loop while nobody asks for anything."""
        before, start = pressure.cpu_seconds(one.process.pid, "shortenerd"), time.monotonic()
        time.sleep(QUIET)  # the time is what is measured over
        return (pressure.cpu_seconds(one.process.pid, "shortenerd") - before) / (time.monotonic() - start)

    def check_waiting_are_served(self, crowd):
        n = len(crowd.answered)
        crowd.leave(10)
        harness.wait_for(lambda: crowd.look(0.1) >= n, 10, "those who waited to be served")
        while crowd.waiting:
            n = len(crowd.waiting)
            crowd.leave(len(crowd.answered))
            harness.wait_for(lambda n=n: crowd.look(0.1) > 0, 10, f"some of {n} who wait to be served")

    def check_gone(self, one, before):
        pid = one.process.pid
        try:
            harness.wait_for(lambda: pressure.n_descriptors(pid) <= before, 10, "the descriptors to be given back")
        except AssertionError as error:
            left = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            raise AssertionError(f"{error}: {before} before, now {len(left)}: {sorted(left)}") from None

    def test_small_limit(self):
        one = self.start(["prlimit", f"--nofile={LIMIT}:{LIMIT}"])
        codes = faults.make_links(one)
        for code in codes:
            one.get("/" + code)
        with faults.Load([one], codes, connections=4, writers=8) as load:  # each worker opens its files
            harness.wait_for(lambda: load.n_written > 50, 20, "workers at work")
        faults.wait_shipped(one)
        before = pressure.n_descriptors(one.process.pid)
        load = faults.Load([one], codes, connections=4, depth=8, writers=2, agent_size=500, pause=0.001).start()
        harness.wait_for(lambda: load.n_answered > 100 and load.n_written > 0, 20, "traffic")
        crowd = Crowd(self, one, LIMIT)
        n_served = crowd.settle()
        at, written = load.n_answered, load.n_written
        bytes_before = self.metric(one, "shortener_clicks_appended_total ")
        time.sleep(SECONDS)  # the load goes on
        n_visits, n_links = load.n_answered - at, load.n_written - written
        n_open = pressure.n_descriptors(one.process.pid)
        appended = self.metric(one, "shortener_clicks_appended_total ") - bytes_before
        load.stop()
        share = self.loop_share(one)
        self.assertGreaterEqual(crowd.look(), n_served)
        self.check_waiting_are_served(crowd)
        crowd.close()
        faults.wait_shipped(one)
        self.check_gone(one, before)
        shed = one.metric("shortener_clicks_shed_total ")
        self.assertEqual(one.stop(), 0)
        audit = faults.Audit(self.service)
        failures = [f for w in load.writers for f in w.failures]
        broken = sum(t.broken for t in load.visitors + load.writers)
        print(f"{LIMIT} descriptors: {n_served} of {LIMIT} clients connected, {n_open} descriptors in use, {n_visits} "
              f"visits and {n_links} links answered meanwhile, {len(audit.lost(load.answered()))} lost, {shed:.0f} shed, "
              f"{len(failures)} writes refused, {broken} broken; loop {share:.2%} of a core when quiet; "
              f"{one.log().count(WORD)} log line", flush=True)
        self.assertLess(n_served, LIMIT)
        self.assertLess(n_open, LIMIT - 20, "nothing is kept for store and spool")
        self.assertGreater(appended * 500, 1 << 20, "no segment was begun meanwhile")
        self.assertGreater(n_links, 0)
        self.assertEqual((set(load.statuses()), failures, broken, shed), ({302}, [], 0, 0))
        self.assertLess(share, SPIN)
        self.assertEqual((one.log().count(WORD), one.log().count("MaxConnections=")), (1, 1), one.log())
        audit.check_nothing_lost(self, load.answered())
        audit.check_writes(self, load)

    def test_none_left(self):
        """The limit itself: accept() fails."""
        one = self.start()
        path = "/" + one.create()["short_code"]
        self.assertEqual(one.get(path, connection=self.admin).status, 302)
        faults.wait_shipped(one)  # its session with the store is open
        pid = one.process.pid
        before = pressure.n_descriptors(pid)
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + 12, hard))
        crowd = Crowd(self, one, 60)
        n_served = crowd.settle()
        for _ in range(200):
            self.assertEqual(one.get(path, connection=self.admin).status, 302)
            self.assertEqual(one.get("/health", connection=self.admin).status, 200)
        share = self.loop_share(one)
        self.check_waiting_are_served(crowd)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        crowd.close()
        self.check_gone(one, before)
        faults.wait_shipped(one)
        self.assertEqual(one.stop(), 0)
        audit = faults.Audit(self.service).check(self)
        print(f"no descriptor left: {n_served} of 60 clients connected, redirects and /health go on, loop {share:.2%} of a "
              f"core when quiet; {one.log().count(WORD)} log line, {len(audit.ids)} visits of 201 counted", flush=True)
        self.assertGreater(n_served, 0)
        self.assertLess(n_served, 60)
        self.assertLess(share, SPIN)
        self.assertEqual((one.log().count(WORD), len(audit.ids)), (1, 201), one.log())


if __name__ == "__main__":
    harness.main()
