#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A day of many old visits is dropped ([Events] Keep=) while visits are shipped: shipping goes on, and whoever
counts meanwhile finds each visit where it is."""

import os
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pgfaults
import postgres

OLD = 3000000 if faults.LONG else 300000  # visits
STALL = 0.5 * harness.SLOW  # seconds longer than without
DAY = "(now() AT TIME ZONE 'UTC')::date - 40"

# As if two spools had brought them, of the links that are visited now.
MAKE = f"""
DO $$ BEGIN EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                           events_partition({DAY}), {DAY}, {DAY} + 1); END $$;
WITH o AS (INSERT INTO spool_offset (spool, first_seq, next_seq, rows)
           SELECT gen_random_uuid(), 1, {OLD} / 2 + 1, {OLD} / 2 FROM generate_series(1, 2) RETURNING id)
INSERT INTO events (url_id, timestamp, seq, type, spool, day, details, request_id)
    SELECT 1 + i % 20, extract(epoch FROM {DAY}) + i % 86400, i, 1, id, {DAY}, '{{"ip":"192.0.2.1"}}', 'old.' || i
    FROM o, generate_series(1, {OLD} / 2) AS i;
INSERT INTO url_totals AS t (url_id, redirects) SELECT url_id, count(*) FROM events WHERE day = {DAY} GROUP BY url_id
    ORDER BY url_id ON CONFLICT (url_id) DO UPDATE SET redirects = t.redirects + excluded.redirects;
INSERT INTO url_hours (url_id, hour, redirects) SELECT url_id, timestamp / 3600, count(*) FROM events
    WHERE day = {DAY} GROUP BY 1, 2;
UPDATE totals SET events = events + {OLD}, redirects = redirects + {OLD} WHERE slot = 0;
"""


class Stalls(threading.Thread):
    """How long an instance ships nothing although there is something to ship."""

    def __init__(self, instance):
        super().__init__(daemon=True)
        self.instance, self.ended, self.longest, self.shipped = instance, threading.Event(), 0.0, 0
        self.start()

    def run(self):
        moved, last = time.monotonic(), -1
        while not self.ended.is_set():
            shipped = self.instance.metric("shortener_clicks_shipped_total ")
            idle = self.instance.metric("shortener_clicks_pending ") == 0
            now = time.monotonic()
            self.longest = max(self.longest, now - moved)
            if shipped != last or idle:
                self.shipped += shipped - last if last >= 0 else 0
                moved, last = now, shipped
            time.sleep(0.01)  # a rate, not a wait

    def end(self):
        self.ended.set()
        self.join()
        return self.longest


class Expiry(unittest.TestCase):
    def setUp(self):
        self.server = postgres.Postgres(settings={"shared_buffers": "256MB"})
        self.addCleanup(self.server.close)
        self.server.create(pgfaults.NAME)
        self.service = pgfaults.Service(self.server)
        self.addCleanup(self.service.close)
        self.instances = [self.service.start(name) for name in ("1", "2")]
        self.codes = faults.make_links(self.instances[0])

    def number(self, sql):
        return int(self.server.psql(sql, pgfaults.NAME))

    def verify(self):
        done = self.service.ctl("clicks", "verify", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def stalls_under_load(self, until):
        """Until that is true: (longest of all instances in seconds, visits shipped)."""
        watches = [Stalls(instance) for instance in self.instances]
        until()
        return max([watch.end() for watch in watches]), sum(watch.shipped for watch in watches)

    def watch_the_drop(self, seen):
        """seen: how many old visits were gone, look by look; the proof holds half way."""
        halfway = False

        def gone():
            nonlocal halfway
            seen.append(self.number("SELECT coalesce(sum(dropped), 0) FROM spool_offset"))
            if not halfway and 0 < seen[-1] < OLD:
                halfway = True
                self.verify()
            return seen[-1] == OLD and self.number("SELECT count(*) FROM events_expiring") == 0
        harness.wait_for(gone, 60 + OLD / 2000, "all old visits to be dropped", pause=0.05)
        self.assertTrue(halfway)

    def test_shipping_goes_on(self):
        seen = []
        load = faults.Load(self.instances, self.codes, connections=4, pause=0.005, writers=0).start()
        calm, _ = self.stalls_under_load(lambda: time.sleep(3))  # as long as it takes to measure
        self.server.psql(MAKE, pgfaults.NAME)
        self.service.options = [*self.service.options, "Events.Keep=30d"]
        for instance in self.instances:
            self.assertEqual(instance.stop(), 0)
            instance.start()
        start = time.monotonic()
        longest, shipped = self.stalls_under_load(lambda: self.watch_the_drop(seen))
        took = time.monotonic() - start
        load.stop()
        steps = sorted(set(seen))
        jump = max(b - a for a, b in zip(steps, steps[1:]))
        print(f"{OLD} old visits dropped in {took:.1f} s, {shipped} shipped meanwhile; longest without shipping "
              f"{faults.milliseconds(calm)} before, {faults.milliseconds(longest)} meanwhile; {len(steps)} amounts seen, "
              f"at most {jump} at a time", flush=True)
        self.assertLess(longest, calm + STALL)
        self.assertGreater(shipped, 100 * took / harness.SLOW)
        faults.wait_shipped(*self.instances)
        for instance in self.instances:
            self.assertEqual(instance.metric("shortener_clicks_bad_total "), 0)
            self.assertEqual(instance.stop(), 0)
        self.verify()
        audit = pgfaults.Audit(self.service)
        self.assertEqual(audit.lost([pair for pair in load.answered()]), [])
        self.assertEqual(self.number("SELECT sum(redirects) FROM url_totals"),
                         OLD + self.number("SELECT count(*) FROM events WHERE type = 1"))


class Ahead(unittest.TestCase):
    """Partitions are made ahead, and the default one has many rows that belong to none."""
    PROVED = 'updated partition constraint for default partition "events_default" is implied by existing constraints'

    def setUp(self):
        self.server = postgres.shared()
        self.name = re.match("postgresql:///([^?]+)", self.server.new_url()).group(1)
        self.sql("INSERT INTO events (url_id, timestamp, type, day) SELECT 1, 0, 2, '2001-01-01'"
                 " FROM generate_series(1, 200000)")

    def sql(self, text):
        return self.server.psql(text, self.name)

    def make(self):
        """Each step's part of the server's log."""
        logs, n = [], 1
        while n:
            before = len(self.server.log())
            n = int(self.sql("SET log_min_messages = debug1; SELECT events_prepare(7)"))
            logs.append(self.server.log()[before:])
        self.assertEqual(self.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass"), "10")
        return logs

    def drop(self, days):
        self.sql(f"SELECT format('DROP TABLE %I', events_partition((now() AT TIME ZONE 'UTC')::date + {days}))\\gexec")

    def test_the_default_one_is_not_walked_while_it_is_locked(self):
        self.drop(7)
        self.assertEqual([self.PROVED in log for log in self.make()], [False, False, True, False])

    def test_what_is_needed_at_once_does_not_wait(self):
        self.drop(1)
        self.assertEqual([self.PROVED in log for log in self.make()], [False, False])


if __name__ == "__main__":
    harness.main()
