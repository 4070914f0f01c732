#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Slow clients by slowhttptest: heads that never end (-H), bodies that hardly come (-B), answers that are hardly
read (-X), as many as nearly fill MaxConnections=. Meanwhile each live request is served, on connections that
are there and on new ones; the slow ones are ended by their time limit, heads and bodies with 408. Each costs at
most 8 KiB of the daemon's memory."""

import os
import resource
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure

SLOW = 4000 if faults.LONG else 150   # connections of each kind; MaxConnections= is 4096
LIMIT = 1.0 * harness.SLOW            # seconds that a live request may take
# Options of slowhttptest, path, and the seconds after which the daemon has ended the last one.
KINDS = {"-H": (["-i", "3"], "/nosuch", 10), "-B": (["-i", "2", "-x", "10", "-s", "8192"], "/urls", 10),
         "-X": (["-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "3"], "/urls?per_page=10", 75)}
# Of memory that is not shared, a slow connection: the 512 of an idle one; what it sent of a head, in a buffer that doubles;
# for a body the exchange, whose arena begins with 4 KiB. What a slow reader does not take is in the kernel's buffer.
BYTES = {"-H": 2048, "-B": 8192, "-X": 8192}
LOAD_BYTES = 4 << 20                  # the same, for the live load beside them
LEFT = "No open connections left"     # because the peer has closed all


class Newcomers(pressure.Asker):
    """A new connection for each visit."""

    PAUSE = 0.01
    GOOD = 302

    def __init__(self, one, path):
        super().__init__(one)
        self.path = path

    def ask(self):
        return self.instance.get(self.path).status


@unittest.skipUnless(shutil.which("slowhttptest"), "slowhttptest is not installed")
class Slow(unittest.TestCase):
    def setUp(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        self.one = self.service.start()
        self.codes = faults.make_links(self.one)
        for n in range(10):
            self.one.create(f"https://example.com/{n}/" + "x" * 1900)
        self.answered = []

    @staticmethod
    def seconds(kind):
        """Of the tool, which ends before when it sees that all are closed; for slow readers the short form has no time."""
        limit = KINDS[kind][2]
        return limit + 15 * harness.SLOW if faults.LONG or limit < 20 else limit // 5

    def tool(self, kind):
        options, path, _ = KINDS[kind]
        log = os.path.join(self.service.folder, "slow" + kind)
        with open(log, "w") as file:
            process = subprocess.Popen(["slowhttptest", kind, *options, "-c", str(SLOW), "-r", "1000", "-l", str(self.seconds(kind)),
                                        "-p", "5", "-v", "1", "-u", f"http://127.0.0.1:{self.one.port}{path}"],
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.service.folder)
        return process, log

    def watch(self, processes, connection):
        """Until all tools have ended: the most connections, the most memory, and when the last of them was gone."""
        most, memory, start, gone = 0, 0, time.monotonic(), 0.0
        while any(process.poll() is None for process in processes):
            lines = self.one.get("/metrics", connection=connection).body.decode().splitlines()
            n = sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("shortener_connections{"))
            most, memory = max(most, n), max(memory, pressure.memory(self.one.process.pid))
            if n > 20:
                gone = time.monotonic() - start
            time.sleep(0.1)  # a rate, not a wait
        return most, memory, gone

    def run_kinds(self, *kinds):
        admin = self.one.connect()
        refusals = self.one.metric("shortener_http_refusals_total ")
        memory = pressure.memory(self.one.process.pid)
        load = faults.Load([self.one], self.codes, connections=4, depth=1, writers=1, pause=0.01, write_pause=0.05)
        with load, Newcomers(self.one, "/" + self.codes[0]) as newcomers:
            tools = [self.tool(kind) for kind in kinds]
            most, peak, gone = self.watch([process for process, _ in tools], admin)
        admin.close()
        outputs = [faults.read_text(log) for _, log in tools]
        refused = int(self.one.metric("shortener_http_refusals_total ") - refusals)
        used, left = peak - memory, pressure.memory(self.one.process.pid) - memory
        allowed = LOAD_BYTES + SLOW * sum(BYTES[kind] for kind in kinds)
        failures = [f for w in load.writers for f in w.failures]
        broken = sum(t.broken for t in load.visitors + load.writers)
        longest = max([max(v.longest for v in load.visitors), *newcomers.latencies])
        print(f"slowhttptest {' '.join(kinds)}, {SLOW} each: at most {most} connections, gone after {gone:.0f} s, {refused} of "
              f"them by 408; {load.n_answered} visits, {len(newcomers.latencies)} of new clients and {load.n_written} links "
              f"answered, {len(failures) + broken + len(newcomers.bad)} failed, p99 "
              f"{faults.milliseconds(faults.percentile(newcomers.latencies, 0.99))}, longest "
              f"{faults.milliseconds(longest)}; memory {used / 1e6:+.1f} MB of {allowed / 1e6:.1f} allowed, then {left / 1e6:+.1f} MB",
              flush=True)
        self.answered += load.answered()
        self.assertEqual((set(load.statuses()), failures, broken, newcomers.bad), ({302}, [], 0, []))
        self.assertGreater(most, 0.9 * SLOW * len(kinds))
        self.assertLess(longest, LIMIT)
        if harness.SLOW == 1:  # a sanitizer keeps what was freed
            self.assertLess(used, allowed)
        self.assertGreaterEqual(refused, 0.95 * SLOW * len([kind for kind in kinds if kind != "-X"]))
        for kind, output in zip(kinds, outputs):
            if kind != "-X":
                self.assertIn(LEFT, output)
            elif faults.LONG:  # such a client sees the end only behind what it has not read
                self.assertLess(gone, self.seconds(kind) - 5)

    def test_slow_clients(self):
        for kinds in (("-H",), ("-B",), ("-X",)) if faults.LONG else (("-H", "-B", "-X"),):
            self.run_kinds(*kinds)
        faults.wait_shipped(self.one)
        self.assertEqual(self.one.stop(), 0)
        faults.Audit(self.service).check_nothing_lost(self, self.answered)


if __name__ == "__main__":
    harness.main()
