#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three times as many requests as can be answered, at a rate that does not care for the answers (open-load): of
creates, and of visits to codes that nobody has. As many are done as at the peak, at least 90 %; what is
refused is told at once; whoever visits a known link is served; what was answered with 201 is there."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

PEAK_SECONDS = 10 if faults.LONG else 2
SECONDS = 30 if faults.LONG else 3
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

    def overload(self, kind, refusals):
        memory = None if faults.LONG else tempfile.mkdtemp(dir="/dev/shm", prefix="shortener-test-")
        if memory:
            self.addCleanup(shutil.rmtree, memory)
        with harness.Service(state=memory) as service:
            one = service.start()
            codes = faults.make_links(one)
            for code in codes:
                one.get("/" + code)
            peak = self.open_load(one, kind, 0, PEAK_SECONDS, CLOSED[kind])
            rate = int(peak["good"] * TIMES)
            with faults.Load([one], codes, connections=2, depth=1, pause=0.005) as load:
                result = self.open_load(one, kind, rate, SECONDS, CONNECTIONS)
            again = self.open_load(one, kind, 0, 1, CLOSED[kind])  # when it is over
            faults.wait_shipped(one)
            self.assertEqual(one.stop(), 0)
            latencies = sorted(x for v in load.visitors for x in v.latencies)
            share = result["good"] / peak["good"]
            refused, taken = result["refused"], result["taken"]
            created = peak["taken"]["n"] + taken["n"] + again["taken"]["n"] if kind == "create" else 0
            redirect = faults.percentile(latencies, 0.99)
            print(f"{kind}: peak {peak['good']:.0f}/s on {CLOSED[kind]} connections; {rate}/s for {SECONDS} s: {result['good']:.0f}/s "
                  f"done ({share:.0%}), p99 {taken['p99'] / 1000:.0f} ms; {refused['n'] / SECONDS:.0f}/s refused, p50 "
                  f"{refused.get('p50', 0) / 1000:.1f}, p99 {refused.get('p99', 0) / 1000:.1f} ms; {result['unsent'] / SECONDS:.0f}/s "
                  f"unsent, {result['broken']} broken, {result['statuses']}; {load.n_answered} redirects meanwhile, p99 "
                  f"{faults.milliseconds(redirect)}; afterwards {again['good']:.0f}/s", flush=True)
            audit = faults.Audit(service).check_nothing_lost(self, load.answered())
            self.assertGreaterEqual(len(audit.urls) - len(codes), created, "answered with 201 and not there")
            self.assertEqual((set(load.statuses()), sum(v.broken for v in load.visitors)), ({302}, 0))
            self.assertEqual(result["broken"], 0)
            self.assertLessEqual(set(result["statuses"]), refusals)
            self.assertGreaterEqual(share, GOODPUT)
            if kind == "create":  # lookups wait for each other: the connections are used up before the queue
                self.assertGreater(refused["n"], 0, "no overload")
            if refused["n"] > 0:
                self.assertLess(refused["p99"] / 1e6, REFUSAL * harness.SLOW)
            self.assertLess(redirect, REDIRECT * harness.SLOW)
            self.assertEqual(set(again["statuses"]) - {"201", "404"}, set(), "it is over, and still refused")

    def test_creates(self):
        self.overload("create", {"201", "503", "429"})

    def test_misses(self):
        self.overload("miss", {"404", "503", "429"})


if __name__ == "__main__":
    harness.main()
