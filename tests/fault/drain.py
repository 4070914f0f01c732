#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PostgreSQL is down while visits come, and an instance is killed and started with all of them before it: it is
ready at once, takes no memory for them, and ships each once, at no less than half of the rate at which psql
COPYs the same rows; redirects go on meanwhile. In its long form 36 million visits: an hour of ten thousand a second."""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pgfaults
import postgres

VISITS = 36_000_000 if faults.LONG else 400_000
STEP = 5 if faults.LONG else 1           # seconds of one wrk
READY = 0.1 if faults.LONG else 0.5      # seconds; the short form has a build without optimisation
TAIL = 0.0 if faults.LONG else 0.05      # seconds on top of twice the calm p99
LOAD = 10_000 if faults.LONG else 1000   # redirects a second while that is measured, in an open loop
CONNECTIONS = 2000                       # of that; MaxConnections= is 4096
CALM = 120 if faults.LONG else 3         # seconds before, and as many behind: a machine has its better minutes
RATE = 0.5 if faults.LONG else 0.25      # of psql's
GUESS = 0.95 if faults.LONG else 0.25    # of the visits: the number in the last segment is a guess, from its bytes
MEMORY = 32e6                            # bytes
SCRIPT = """
local codes = {%s}
function request() return wrk.format("GET", "/" .. codes[math.random(#codes)], {["Host"] = "127.0.0.1"}) end
"""


class Drain(unittest.TestCase):
    def setUp(self):
        self.server = postgres.Postgres(sync=True, settings={"shared_buffers": "256MB", "max_wal_size": "4GB"})
        self.addCleanup(self.server.close)
        self.server.create(pgfaults.NAME)
        self.service = pgfaults.Service(self.server, ["Clicks.MaxSize=64G", "Clicks.Keep=0"])
        self.addCleanup(self.service.close)
        self.one = self.service.start()
        self.codes = faults.make_links(self.one)
        self.warm_up()

    def warm_up(self):
        harness.wait_for(lambda: self.one.metric("shortener_watcher_up ") == 1 and all(
            self.one.request("HEAD", "/" + code).headers.get("X-Cache") == "HIT" for code in self.codes), 60, "a warm cache")

    def visit(self, n):
        """Until so many more were answered; how many of them the clients saw."""
        seen = 0
        path = os.path.join(self.service.folder, "visit.lua")
        with open(path, "w") as file:
            file.write(SCRIPT % ", ".join(f'"{code}"' for code in self.codes))
        before = self.one.metric("redirects_total")
        while self.one.metric("redirects_total") - before < n:
            done = subprocess.run(["wrk", "-t1", "-c32", f"-d{STEP}s", "-s", path, f"http://127.0.0.1:{self.one.port}"],
                                  check=True, capture_output=True, text=True, timeout=60 * harness.SLOW)
            self.assertNotIn("Non-2xx", done.stdout)
            seen += int(re.search(r"(\d+) requests in", done.stdout)[1])
        return seen

    @contextlib.contextmanager
    def redirects(self):
        """An open loop while the body runs; afterwards {"sent": number, "p99": seconds from when each was due,
        "windows": those of each 5 s}. Each found a connection and was answered, nearly all out of the cache, whose
        entries end after ten minutes."""
        command = [os.path.join(harness.BUILD, "tests", "open-load"), str(self.one.port), "redirect", str(LOAD), "3600",
                   str(CONNECTIONS), *self.codes]
        found = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield found
            finally:
                process.terminate()
                out = process.communicate(timeout=60 * harness.SLOW)[0]
        result = json.loads(out)
        self.assertEqual((result["unsent"], result["broken"]), (0, 0))
        self.assertEqual(result["statuses"], {"302": result["sent"]})
        self.assertEqual(result["taken"]["n"], result["sent"])
        self.assertGreater(result["hits"], 0.999 * result["sent"])
        found["sent"], found["p99"] = result["sent"], result["taken"]["p99"] / 1e6
        found["windows"] = [usec / 1e6 for usec in result["windows"]]

    def calm(self):
        """What redirects() finds with nothing to drain, and a server that is through with what it got."""
        faults.wait_shipped(self.one, seconds=3600)
        harness.wait_for(lambda: self.server.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                                                  "'autovacuum worker'") == "0", 600, "autovacuum to end", pause=0.5)
        self.server.psql("CHECKPOINT")
        with self.redirects() as found:
            time.sleep(CALM)  # the time is what is measured
        faults.wait_shipped(self.one)
        return found

    def is_up(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.one.get("/health").status == 200
        return False

    def restart(self):
        """After a kill; how long it takes until it answers."""
        self.one.kill()
        start = time.monotonic()
        self.one.start(wait=False)
        harness.wait_for(self.is_up, 20, "shortenerd to answer", pause=0.002)
        return time.monotonic() - start

    def resident(self):
        return self.one.metric("process_resident_memory_bytes ")

    def drain(self):
        """(visits a second, what redirects() finds, most bytes of memory) meanwhile."""
        self.warm_up()
        most = self.resident()
        self.assertGreater(self.one.metric("shortener_clicks_pending "), LOAD)
        shipped, start = self.one.metric("shortener_clicks_shipped_total"), time.monotonic()
        with self.redirects() as found:
            while self.one.metric("shortener_clicks_pending ") > LOAD:
                most = max(most, self.resident())
                time.sleep(0.1)  # a rate, not a wait
        rate = (self.one.metric("shortener_clicks_shipped_total") - shipped) / (time.monotonic() - start)
        return rate, found, most

    def copy_rate(self):
        """Rows a second of psql's COPY of the shipped rows into the same table, with its indexes and partitions."""
        path = os.path.join(self.server.folder, "visits.copy")
        columns = self.server.psql("SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM "
                                   "information_schema.columns WHERE table_name = 'events'", pgfaults.NAME)
        self.server.psql(f"COPY (SELECT {columns} FROM events WHERE spool IS NOT NULL ORDER BY id) TO '{path}'",
                         pgfaults.NAME)
        self.server.psql(f'DROP DATABASE "{pgfaults.NAME}"')
        self.server.create("other")
        self.server.psql("CHECKPOINT")
        start = time.monotonic()
        self.server.psql(f"\\copy events ({columns}) FROM '{path}'", "other")
        seconds = time.monotonic() - start
        return int(self.server.psql("SELECT count(*) FROM events", "other")) / seconds

    def check(self, before, busy, after):
        """Redirects: the p99 of the windows while it drained is in the middle at most twice what it is else."""
        calm = statistics.median(before["windows"] + after["windows"])
        drained = statistics.median(busy["windows"])
        print(f"redirect p99 at {LOAD} a second, median of {len(before['windows'] + after['windows'])} windows of 5 s "
              f"{faults.milliseconds(calm)}, of {len(busy['windows'])} while it drained {faults.milliseconds(drained)}: "
              f"{drained / calm:.2f} times; of all {faults.milliseconds(before['p99'])} before, "
              f"{faults.milliseconds(busy['p99'])} meanwhile, {faults.milliseconds(after['p99'])} behind", flush=True)
        self.assertLess(drained, 2 * calm + TAIL * harness.SLOW)

    def test_spooled_while_the_server_was_down(self):
        memory = self.resident()
        before = self.calm()
        self.server.stop()
        seen = self.visit(VISITS)
        most = self.resident()
        answered = self.one.metric("redirects_total")
        ready = self.restart()
        pending = self.one.metric("shortener_clicks_pending ")
        most = max(most, self.resident())
        self.server.start()
        rate, busy, more = self.drain()
        grown = max(most, more) - memory
        after = self.calm()
        answered += self.one.metric("redirects_total")
        seen += before["sent"] + busy["sent"] + after["sent"]
        self.assertEqual(self.one.stop(), 0)
        self.service.ctl("clicks", "verify", timeout=3600)
        stored = int(self.server.psql("SELECT count(*) FROM events WHERE type = 1", pgfaults.NAME))
        theirs = self.copy_rate()
        print(f"{answered:.0f} visits answered, {stored} stored; with {pending:.0f} pending ready after {ready * 1000:.0f} ms, "
              f"{grown / 1e6:.1f} MB more; {rate:.0f} shipped a second, psql COPY {theirs:.0f}", flush=True)
        self.assertEqual(stored, answered)
        self.assertGreaterEqual(answered, seen)  # and some whose answer wrk did not wait for
        self.assertGreater(pending, GUESS * VISITS)
        self.assertLess(ready, READY * harness.SLOW)
        self.assertLess(grown, MEMORY)
        self.assertGreater(rate, RATE * theirs)
        self.check(before, busy, after)


if __name__ == "__main__":
    harness.main()
