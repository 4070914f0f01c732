#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three times as many requests as can be answered, at a rate that does not care for the answers (open-load): of
creates, and of visits to codes that nobody has. As many are done as at the peak, at least 90 %; what is
refused is told at once; whoever visits a known link is served; what was answered with 201 is there.

A store that grows gets slower, so a peak that was measured once says nothing of later: peaks and overloads take
turns on one store, each overload is compared with the mean of the peaks before and behind it, and the median of
these shares counts."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

ROUNDS = 7 if faults.LONG else 3  # overloads, a peak before and behind each
PEAK_SECONDS = 3 if faults.LONG else 1
SECONDS = 5 if faults.LONG else 2
TIMES = 3             # the peak
# Connections that ask without a pause find the peak; of lookups many are one question to the store.
CLOSED = {"create": 32, "miss": 512}
CONNECTIONS = 2000    # of the open loop; MaxConnections= is 4096, and more than queues hold
GOODPUT = 0.9 if faults.LONG else 0.6      # of the peak; the short form runs beside other tests
REFUSAL = 0.05 if faults.LONG else 0.5     # seconds, the p99 of what is refused
REDIRECT = 0.25 if faults.LONG else 1.0    # seconds, the p99 of known links


class Overload(unittest.TestCase):
    def open_load(self, one, kind, rate, seconds, connections):
        process = subprocess.Popen([os.path.join(harness.BUILD, "tests", "open-load"), str(one.port), kind, str(rate),
                                    str(seconds), str(connections)], stdout=subprocess.PIPE, text=True)
        out = process.communicate(timeout=seconds + 60)[0]
        self.assertEqual(process.returncode, 0)
        result = json.loads(out)
        result["good"] = result["taken"]["n"] / result["seconds"]
        return result

    def take_turns(self, one, kind, codes):
        """[peak, overload, peak, ...], all beside the same visitors; and those of the overloads."""
        phases, loads = [], []
        for n in range(2 * ROUNDS + 1):
            load = faults.Load([one], codes, connections=2, depth=1, pause=0.005)
            rate = int(phases[-1]["good"] * TIMES) if n % 2 else 0
            with load:
                phases.append(self.open_load(one, kind, rate, SECONDS if rate else PEAK_SECONDS,
                                             CONNECTIONS if rate else CLOSED[kind]))
            loads.append(load)
        return phases, loads

    def overload(self, kind, refusals):
        memory = None if faults.LONG else tempfile.mkdtemp(dir="/dev/shm", prefix="shortener-test-")
        if memory:
            self.addCleanup(shutil.rmtree, memory)
        with harness.Service(state=memory) as service:
            one = service.start()
            codes = faults.make_links(one)
            for code in codes:
                one.get("/" + code)
            phases, loads = self.take_turns(one, kind, codes)
            faults.wait_shipped(one)
            self.assertEqual(one.stop(), 0)
            audit = faults.Audit(service).check_nothing_lost(self, [pair for load in loads for pair in load.answered()])
        created = sum(phase["taken"]["n"] for phase in phases) if kind == "create" else 0
        self.assertGreaterEqual(len(audit.urls) - len(codes), created, "answered with 201 and not there")
        self.assertEqual({status for load in loads for status in load.statuses()}, {302})
        self.assertEqual(sum(v.broken for load in loads for v in load.visitors), 0)
        self.judge(kind, refusals, phases, [x for load in loads[1::2] for v in load.visitors for x in v.latencies])

    def judge(self, kind, refusals, phases, latencies):
        peaks, overloads = phases[::2], phases[1::2]
        shares = [over["good"] / statistics.mean((before["good"], behind["good"]))
                  for before, over, behind in zip(peaks, overloads, peaks[1:])]
        share, redirect = statistics.median(shares), faults.percentile(latencies, 0.99)
        refused = [phase["refused"] for phase in overloads]
        n_refused, slowest = sum(r["n"] for r in refused), max(r.get("p99", 0) for r in refused) / 1e6
        unsent, broken = (sum(phase[key] for phase in overloads) for key in ("unsent", "broken"))
        seconds = SECONDS * ROUNDS
        print(f"{kind}: {share:.0%} of the peak done, each time {', '.join(f'{s:.0%}' for s in shares)}; peaks of {PEAK_SECONDS} s "
              f"on {CLOSED[kind]} connections {', '.join(format(p['good'], '.0f') for p in peaks)}/s; at {TIMES} times, for "
              f"{SECONDS} s: {', '.join(format(p['good'], '.0f') for p in overloads)}/s done, p99 "
              f"{max(p['taken']['p99'] for p in overloads) / 1000:.0f} ms; {n_refused / seconds:.0f}/s refused, p99 "
              f"{faults.milliseconds(slowest)}; {unsent / seconds:.0f}/s unsent, {broken} broken; {len(latencies)} redirects "
              f"meanwhile, p99 {faults.milliseconds(redirect)}", flush=True)
        self.assertEqual(sum(phase["broken"] for phase in phases), 0)
        for phase in overloads:
            self.assertLessEqual(set(phase["statuses"]), refusals)
        for phase in peaks:  # before, and when it is over
            self.assertLessEqual(set(phase["statuses"]), {"201", "404"}, "no overload, and refused")
        self.assertGreaterEqual(share, GOODPUT)
        if kind == "create":  # lookups wait for each other: the connections are used up before the queue
            self.assertGreater(n_refused, 0, "no overload")
        self.assertLess(slowest, REFUSAL * harness.SLOW)
        self.assertLess(redirect, REDIRECT * harness.SLOW)

    def test_creates(self):
        self.overload("create", {"201", "503", "429"})

    def test_misses(self):
        self.overload("miss", {"404", "503", "429"})


if __name__ == "__main__":
    harness.main()
