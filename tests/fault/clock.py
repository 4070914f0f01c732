#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host's clock jumps an hour, forward and back, under load (clock-shift.c; CLOCK_MONOTONIC goes on, as it
does when somebody sets a clock): visits are counted once each and carry the time that the clock showed;
time limits, cache entries and rate limits go by the monotonic clock."""

import email.utils
import os
import select
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure
import redis

HOUR = 3600
# Where the clock stands, from the real time, and for how long; the last one is the real time again.
SHIFTS = [0, HOUR, 0, -HOUR, HOUR, -HOUR, 0] * (6 if faults.LONG else 1)
SECONDS = 5.0 if faults.LONG else 0.4
HEAD_SECONDS = 10  # what a client has for its head


class Clock:
    """The wall clock of processes that are started under its wrapper."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "clock")
        library = os.path.join(folder, "clock-shift.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock-shift.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        self.set(0)
        self.wrapper = ["env", "LD_PRELOAD=" + library, "CLOCK_SHIFT_FILE=" + self.path]

    def set(self, shift):
        """shift: seconds from the real time."""
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("=q", shift))

    def shown_by(self, instance):
        """What the instance thinks, in seconds from the real time."""
        date = instance.get("/health").headers["Date"]
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def jump(self, shift, *instances):
        """Returns when all of them see it: a jump that nobody sees proves nothing."""
        self.set(shift)
        for instance in instances:
            harness.wait_for(lambda i=instance: abs(self.shown_by(i) - shift) < 60, 5, f"the clock at {shift:+d} s")


@unittest.skipUnless(shutil.which("cc"), "no compiler")
class ClockJumps(unittest.TestCase):
    def start(self, names, options=()):
        self.service = harness.Service(options)
        self.addCleanup(self.service.close)
        self.clock = Clock(self.service.folder)
        return [self.service.start(name, wrapper=self.clock.wrapper) for name in names]

    def times(self):
        """Of the visits in the store, seconds from now: the first and the last."""
        database = sqlite3.connect(self.service.database)
        try:
            first, last = database.execute("SELECT min(timestamp), max(timestamp) FROM events WHERE type = 1").fetchone()
        finally:
            database.close()
        return first - time.time(), last - time.time()

    def test_under_load(self):
        instances = self.start("12")
        codes = faults.make_links(instances[0])
        load = faults.Load(instances, codes, connections=4, depth=4, writers=2, pause=0.002, write_pause=0.005)
        with pressure.Health(instances[0]) as health, load:
            for shift in SHIFTS:
                self.clock.jump(shift, *instances)
                at = load.n_answered
                time.sleep(SECONDS)  # how long the clock stays there is the test's variable
                self.assertGreater(load.n_answered, at, "nothing is answered")
                load.raise_errors()
        faults.wait_shipped(*instances)
        for instance in instances:
            self.assertEqual(instance.stop(), 0)
        audit = faults.Audit(self.service)
        first, last = self.times()
        failures = [f for w in load.writers for f in w.failures]
        broken = sum(t.broken for t in load.visitors + load.writers)
        print(f"{len(SHIFTS) - 1} jumps of an hour or two: {load.n_answered} visits and {load.n_written} links answered, "
              f"{len(audit.lost(load.answered()))} lost, {len(failures)} writes refused, {broken} connections broken; "
              f"visits from {first / 60:+.0f} to {last / 60:+.0f} min; longest batch "
              f"{faults.milliseconds(max(v.longest for v in load.visitors))}, longest /health "
              f"{faults.milliseconds(max(health.latencies))}", flush=True)
        audit.check_nothing_lost(self, load.answered())
        audit.check_writes(self, load)
        self.assertEqual((set(load.statuses()), failures, broken, health.bad), ({302}, [], 0, []))
        self.assertLess(first, -0.9 * HOUR)
        self.assertGreater(last, 0.9 * HOUR)
        self.assertLess(max(health.latencies), 1.0 * harness.SLOW)

    def half_head(self, one):
        """It is watched from now on: whoever looks later cannot say when the answer came."""
        sock, ages = pressure.connect(one.port), []
        self.addCleanup(sock.close)
        sock.sendall(b"GET /health HTTP/1.1\r\nHost:")
        since = time.monotonic()

        def watch():
            if select.select([sock], [], [], 3 * HEAD_SECONDS * harness.SLOW)[0]:
                ages.append(time.monotonic() - since)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        return sock, watcher, ages

    def age_at_408(self, half):
        sock, watcher, ages = half
        watcher.join()
        self.assertEqual(len(ages), 1, "no 408")
        self.assertTrue(pressure.read_answer(sock).startswith(b"HTTP/1.1 408 "))
        return ages[0]

    def refuse(self, one):
        """How long a write takes to be refused; the store is away."""
        start = time.monotonic()
        self.assertEqual(one.post("/urls", {"url": "https://example.com/never"}).status, 503)
        return time.monotonic() - start

    def refuse_at_jump(self, one, shift):
        """The clock jumps while it waits."""
        found = []
        with harness.held(self.service):
            thread = threading.Thread(target=lambda: found.append(self.refuse(one)))
            thread.start()
            self.clock.jump(shift, one)
            self.assertEqual(found, [], "the jump came too late")
            thread.join()
        harness.wait_for(lambda: one.get("/ready").status == 200, what="the store again")
        return found[0]

    def test_time_limits(self):
        one, = self.start("1", ["Limits.Misses=20/30min", "Store.Timeout=2s"])
        path = "/" + one.create()["short_code"]
        for wanted in ("MISS", "HIT"):
            self.assertEqual(one.get(path).headers["X-Cache"], wanted)
        self.assertEqual(one.get("/nosuch1").status, 404)
        lookups = one.metric("shortener_resolver_lookups_total ")
        halves = [self.half_head(one)]
        idle = one.connect()
        self.assertEqual(one.get("/health", connection=idle).status, 200)
        seconds = [self.refuse_at_jump(one, HOUR)]
        # An hour later by the clock: nothing is overdue, nothing forgotten, no budget whole again.
        self.assertEqual(one.get(path).headers["X-Cache"], "HIT")
        self.assertEqual(one.get("/nosuch1").status, 404)
        self.assertEqual(one.metric("shortener_resolver_lookups_total "), lookups, "an unknown code was forgotten")
        self.assertEqual(one.get("/health", connection=idle).status, 200)
        statuses = [one.get(f"/nosuch{n}").status for n in range(100, 130)]
        self.assertEqual({404, 429}, set(statuses))
        self.assertLessEqual(statuses.count(404), 20)
        halves.append(self.half_head(one))
        seconds.append(self.refuse_at_jump(one, -HOUR))
        halves.append(self.half_head(one))
        self.assertEqual(one.get("/nosuch131").status, 429)
        self.clock.jump(HOUR, one)
        self.assertEqual(one.get("/nosuch131").status, 429, "two hours of the clock filled a budget")
        self.clock.jump(-HOUR, one)
        ages = [self.age_at_408(half) for half in halves]
        self.assertEqual(one.get("/health", connection=idle).status, 200)
        idle.close()
        print(f"time limits: 408 after {', '.join(f'{age:.1f}' for age in ages)} s (of {HEAD_SECONDS}), a store that is away "
              f"told after {', '.join(f'{s:.1f}' for s in seconds)} s (of 2), budget and cache as before", flush=True)
        for age in ages:
            self.assertGreater(age, HEAD_SECONDS - 0.1)
            self.assertLess(age, HEAD_SECONDS + 1.5 * harness.SLOW)
        self.assertLess(max(seconds), 3 * harness.SLOW)

    def start_with_redis(self, ttl):
        server = redis.Redis(tempfile.mkdtemp(prefix="shortener-redis-"))
        self.addCleanup(shutil.rmtree, server.folder)
        self.addCleanup(server.close)
        one, = self.start("1", [f"Cache.RedisTTL={ttl}s", "Cache.Redis=" + server.url])
        self.wait_redis(one)
        return server, one

    def wait_redis(self, instance):
        harness.wait_for(lambda: instance.metric("shortener_redis_up ") == 1, 20, "Redis")

    def check_asked(self, one, n, path):
        """Redis is asked first, for what it does not have; n: how often it was, with that."""
        lookups = one.metric("shortener_resolver_lookups_total ")
        self.assertEqual(one.get(path).status, 404)
        self.assertEqual(one.metric('shortener_cache_tier_misses_total{tier="redis"}'), n)
        self.assertEqual(one.metric("shortener_resolver_lookups_total "), lookups + 1)

    def edited_and_set_back(self, ttl, *before):
        """The clock goes on until nothing from before an edit can be in Redis any more, and is set back, when those
        of before were called: then it is still there. The service and the link's path."""
        server, one = self.start_with_redis(ttl)
        url = one.create("https://example.com/old")
        path, key = "/" + url["short_code"], "shortener:1:" + url["short_code"]
        self.assertEqual(one.get(path).status, 302)
        harness.wait_for(lambda: server.command("EXISTS", key) == 1, 10, "the link to be in Redis")
        self.assertEqual(one.put(f"/urls/{url['id']}", {"url": "https://example.com/new"}).status, 200)
        self.clock.jump(2 * ttl, one)
        redis.age_page(self.service, 2 * ttl)
        self.check_asked(one, 1, "/nosuch")
        for step in before:
            step(one)
        self.clock.jump(0)
        self.assertIn(b"old", server.command("GET", key))
        return one, path

    def check_new(self, one, path):
        self.assertEqual(one.get(path).headers["Location"], "https://example.com/new")
        self.assertEqual(one.metric('shortener_cache_tier_hits_total{tier="redis"}'), 0)

    @unittest.skipIf(redis.why_not(), redis.why_not())
    def test_what_lives_again_in_redis(self):
        self.check_new(*self.edited_and_set_back(300))

    @unittest.skipIf(redis.why_not(), redis.why_not())
    def test_what_lives_again_for_who_starts_then(self):
        one, path = self.edited_and_set_back(300, lambda one: self.assertEqual(one.stop(), 0))
        one = self.service.start("1", wrapper=self.clock.wrapper)
        self.wait_redis(one)
        self.check_new(one, path)

    @unittest.skipIf(redis.why_not(), redis.why_not())
    def test_small_steps_back(self):
        """Each of them is nothing, and with time so is their sum: Redis is asked on."""
        _, one = self.start_with_redis(20)
        redis.age_page(self.service)
        for n in range(10):
            self.clock.set(-7 * n)
            self.check_asked(one, n + 1, f"/nosuch{n}")


if __name__ == "__main__":
    harness.main()
