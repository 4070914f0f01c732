#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a client gets in a second of several hosts that share limits through Redis: what one of them would give."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
from test_hosts_limits import CLIENT, Base

SETTLE, MEASURE = (5, 20) if os.environ.get("SHORTENER_TEST_LONG") else (4, 10)  # seconds


class Client(threading.Thread):
    """One client that asks one instance again and again; notes when it was let through."""

    def __init__(self, instance, headers, pause, path="/urls/1"):
        super().__init__(daemon=True)
        self.instance, self.headers, self.pause, self.path = instance, headers, pause, path
        self.through, self.over = [], threading.Event()

    def run(self):
        connection = self.instance.connect()
        while not self.over.is_set():
            if self.instance.request("GET", self.path, headers=self.headers, connection=connection).status != 429:
                self.through.append(time.monotonic())
            self.over.wait(self.pause)
        connection.close()


class Pace(Base):
    def pace(self, instances, pauses, path="/urls/1"):
        """What a client gets through in a second of all instances together, when it asks each with its pause."""
        clients = [Client(instance, CLIENT, pause, path) for instance, pause in zip(instances, pauses)]
        for client in clients:
            client.start()
        self.addCleanup(lambda: [client.over.set() for client in clients])
        threading.Event().wait(SETTLE + MEASURE)  # the time is what is measured
        end = time.monotonic()
        for client in clients:
            client.over.set()
        for client in clients:
            client.join()
        counts = [sum(end - MEASURE <= t < end for t in client.through) for client in clients]
        print(f"{self.id().rsplit('.', 1)[1]}: {counts} of {len(clients)} instances in {MEASURE} s", flush=True)
        return sum(counts) / MEASURE

    def test_three_hosts_keep_the_pace_of_one(self):
        instances = self.hosts("Limits.Read=40/1s:10")
        got = self.pace(instances, [0.005, 0.005, 0.005])
        self.assertAlmostEqual(got, 40, delta=40 * 0.05)

    def test_so_they_do_when_they_are_asked_unevenly(self):
        instances = self.hosts("Limits.Read=40/1s:10")
        got = self.pace(instances, [0.005, 0.05, 0.3])
        self.assertAlmostEqual(got, 40, delta=40 * 0.05)

    def test_two_instances_of_a_host_beside_another_host(self):
        instances = [*self.host("Limits.Read=40/1s:10", n=2), *self.host("Limits.Read=40/1s:10")]
        self.wait_shared(*instances)
        got = self.pace(instances, [0.005, 0.005, 0.005])
        self.assertAlmostEqual(got, 40, delta=40 * 0.05)

    def test_unknown_codes(self):
        instances = self.hosts("Limits.Misses=20/1s:5")
        got = self.pace(instances, [0.01, 0.01, 0.01], "/unknown")
        self.assertAlmostEqual(got, 20, delta=20 * 0.05)


if __name__ == "__main__":
    harness.main()
