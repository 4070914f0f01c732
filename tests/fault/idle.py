#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Thousands of idle keep-alive connections beside live load: redirects by wrk on an instance that has them and on
one that has none, in turns. The p99 is at most 1.2 times as long (median of the pairs), and an idle
connection takes less than 512 bytes of memory."""

import os
import re
import resource
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure

IDLE = 10000 if faults.LONG else 2000
PAIRS = 9 if faults.LONG else 3
SECONDS = 5 if faults.LONG else 1    # of wrk
RATIO = 1.2 if faults.LONG else 4.0  # of the p99; the short form runs beside other tests
BYTES = 512                          # of memory that is not shared, an idle connection
REFRESH = 30                         # seconds; the daemon ends who was idle for 75
REQUEST = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class IdleConnections:
    def __init__(self, port, n):
        self.socks = [pressure.connect(port) for _ in range(n)]
        self.asked = 0.0
        self.ask()

    def ask(self):
        """Each asks for something, so that none is idle for too long."""
        for at in range(0, len(self.socks), 500):
            some = self.socks[at:at + 500]
            for sock in some:
                sock.sendall(REQUEST)
            for sock in some:
                answer = pressure.read_answer(sock)
                assert answer.startswith(b"HTTP/1.1 200 "), answer
        self.asked = time.monotonic()

    def close(self):
        for sock in self.socks:
            sock.close()


class Idle(unittest.TestCase):
    def wrk(self, one):
        """Seconds of the p99."""
        out = subprocess.run(["wrk", "-t1", "-c8", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{one.port}{self.path}"],
                             capture_output=True, text=True, check=True, timeout=SECONDS + 30).stdout
        self.assertNotRegex(out, "Non-2xx|Socket errors")
        self.n_live += int(re.search(r"(\d+) requests in", out)[1])
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(value) * UNITS[unit]

    @staticmethod
    def n_idle(one):
        return int(one.metric('shortener_connections{state="idle"}')) - 1  # the one that asks

    def pair(self, n, plain, crowded, idle):
        """(p99 without idle connections, with them); who is first takes turns."""
        if time.monotonic() - idle.asked > REFRESH:
            idle.ask()
        if n % 2:
            return tuple(reversed([self.wrk(crowded), self.wrk(plain)]))
        return self.wrk(plain), self.wrk(crowded)

    def test_idle_connections(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.n_live = 0
        service = harness.Service([f"Server.MaxConnections={IDLE + 100}"])
        self.addCleanup(service.close)
        plain, crowded = service.start("1"), service.start("2")
        self.path = "/" + plain.create()["short_code"]
        for one in (plain, crowded):
            self.assertEqual(one.get(self.path).status, 302)
        faults.wait_shipped(crowded)  # what a first visit opens is open
        pid = crowded.process.pid
        descriptors, memory = pressure.n_descriptors(pid), pressure.memory(pid)
        idle = IdleConnections(crowded.port, IDLE)
        self.addCleanup(idle.close)
        each = (pressure.memory(pid) - memory) / IDLE
        pairs = [self.pair(n, plain, crowded, idle) for n in range(PAIRS)]
        idle.ask()  # all of them are still there
        harness.wait_for(lambda: self.n_idle(crowded) <= IDLE, 10, "the live load to be gone")
        n_open = self.n_idle(crowded)
        idle.close()
        harness.wait_for(lambda: pressure.n_descriptors(pid) <= descriptors, 20, "the descriptors to be given back")
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{n_open} idle connections: p99 of live load {faults.milliseconds(statistics.median(a for a, _ in pairs))} "
              f"without, {faults.milliseconds(statistics.median(b for _, b in pairs))} with, ratio {ratio:.2f} (median of "
              f"{PAIRS} pairs: {', '.join(f'{b / a:.2f}' for a, b in pairs)}); {each:.0f} bytes each; {self.n_live} live "
              f"requests, none failed", flush=True)
        faults.wait_shipped(plain, crowded, seconds=120)
        for one in (plain, crowded):
            self.assertEqual(one.stop(), 0)
        audit = faults.Audit(service).check(self)
        self.assertGreaterEqual(len(audit.ids), self.n_live)
        self.assertEqual((n_open, audit.shed), (IDLE, 0))
        self.assertLess(each, BYTES)
        self.assertLessEqual(ratio, RATIO * harness.SLOW)


if __name__ == "__main__":
    harness.main()
