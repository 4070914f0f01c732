#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""API writers beside shippers at full speed: two instances on one SQLite file, redirect load by wrk on both.
No write fails; the 99th percentile of POST, PUT and DELETE is below 50 ms. In the short form store and
spools lie in memory, because what else uses the disk at that time would decide."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

SECONDS = 30 if faults.LONG else 2
LOG_MAX = 64 << 20  # bytes of the write-ahead log, beside writers who never pause: PRAGMA journal_size_limit
LIMIT = 0.050 * harness.SLOW * (1 if faults.LONG else 4)  # the short form runs beside other tests
WRITERS = 8
LUA = """
local codes = {%s}
function request()
   return "GET /" .. codes[math.random(#codes)] .. " HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: wrk\\r\\n\\r\\n"
end
"""


class Writers(unittest.TestCase):
    def wrk(self, instance, script, connections):
        return subprocess.Popen(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", script,
                                 f"http://127.0.0.1:{instance.port}/"], stdout=subprocess.PIPE, text=True)

    def test_writers_beside_shippers(self):
        memory = None if faults.LONG else tempfile.mkdtemp(dir="/dev/shm", prefix="shortener-test-")
        if memory:
            self.addCleanup(shutil.rmtree, memory)
        with harness.Service(state=memory) as service:
            instances = [service.start("1"), service.start("2")]
            codes = faults.make_links(instances[0], 100)
            for instance in instances:
                for code in codes:
                    instance.get("/" + code)
            script = os.path.join(service.folder, "wrk.lua")
            with open(script, "w") as file:
                file.write(LUA % ", ".join(f'"{code}"' for code in codes))
            before = sum(i.metric("shortener_clicks_shipped_total ") for i in instances)
            with faults.Load(instances, codes, connections=0, writers=WRITERS) as load:
                start = time.monotonic()
                loads = [self.wrk(instance, script, 16) for instance in instances]
                outs = [process.communicate(timeout=SECONDS + 30)[0] for process in loads]
                seconds = time.monotonic() - start
            shipped = sum(i.metric("shortener_clicks_shipped_total ") for i in instances) - before
            n_redirects = sum(int([l for l in out.splitlines() if "requests in" in l][0].split()[0]) for out in outs)
            log = os.path.getsize(service.database + "-wal")
            latencies = [x for w in load.writers for x in w.latencies]
            failures = [f for w in load.writers for f in w.failures]
            print(f"{seconds:.0f} s, {n_redirects / seconds:.0f} redirects/s, {shipped / seconds:.0f} visits shipped/s, "
                  f"{len(latencies)} writes ({len(latencies) / seconds:.0f}/s) on {WRITERS} connections, "
                  f"{len(failures)} failed; p50 {faults.milliseconds(faults.percentile(latencies, 0.5))}, "
                  f"p99 {faults.milliseconds(faults.percentile(latencies, 0.99))}, "
                  f"max {faults.milliseconds(max(latencies))}; log of {log >> 20} MiB", flush=True)
            faults.wait_shipped(*instances, seconds=120)
            for instance in instances:
                self.assertEqual(instance.stop(), 0)
            self.assertEqual(len(failures), 0, failures[:5])  # no diff of thousands
            self.assertEqual(sum(w.broken for w in load.writers), 0)
            self.assertLessEqual(log, LOG_MAX)
            audit = faults.Audit(service).check(self)
            audit.check_writes(self, load)
            self.assertEqual((audit.shed, audit.bad, audit.damaged), (0, 0, 0))
            self.assertGreaterEqual(len(audit.ids), n_redirects)
            self.assertLess(faults.percentile(latencies, 0.99), LIMIT)


if __name__ == "__main__":
    harness.main()
