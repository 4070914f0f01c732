#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Warm-up: an instance that starts knows the links before it is asked, the hottest first, as far as
its cache goes; one process puts all of them into Redis; nobody waits for any of it."""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import redis

N_LINKS = 20000


def mapped(pid, suffix):
    """KiB of a file in the memory of a process."""
    n, inside = 0, False
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if not line.split()[0].endswith(":"):
                inside = line.rstrip().endswith(suffix)
            elif inside and line.startswith("Rss:"):
                n += int(line.split()[1])
    return n


class WarmUp(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service(warm_up=True)
        self.addCleanup(self.service.close)
        # The store is made by a start without links.
        self.service.start("1").stop()
        path = os.path.join(self.service.folder, "links.csv")
        with open(path, "w") as file:
            file.write("short_code,original_url,is_active\n")
            file.writelines(f"c{i},https://example.com/{i},{'False' if i % 10 == 9 else 'True'}\n"
                            for i in range(N_LINKS))
        self.service.ctl("import", path)
        self.n_active = N_LINKS * 9 // 10

    def wait_warm(self, instance, tier, n):
        line = f'shortener_warmed_links_total{{tier="{tier}"}}'
        harness.wait_for(lambda: instance.metric(line) >= n, 60, f"{n} links in {tier}, {instance.metric(line)} are")

    def cache(self, instance, code):
        answer = instance.get("/" + code)
        return answer.status, answer.headers["X-Cache"]

    def test_all_links(self):
        one = self.service.start("1")
        self.wait_warm(one, "local", self.n_active)
        harness.wait_for(lambda: one.metric("shortener_cache_entries ") == self.n_active, 10, "the entries")
        lookups = one.metric("shortener_resolver_lookups_total ")
        idle = mapped(one.process.pid, "/page")
        self.assertLess(idle, 300, "KiB of the host page while nobody asks")
        for i in range(0, N_LINKS, 500):
            self.assertEqual(self.cache(one, f"c{i}"), (302, "HIT"))
        self.assertEqual(one.metric("shortener_resolver_lookups_total "), lookups)
        self.assertGreater(mapped(one.process.pid, "/page"), max(idle, 300), "KiB of it for those who ask")
        self.assertEqual(one.get("/c9").status, 404)
        # An edit is seen as ever.
        url = one.create("https://example.com/old")
        self.assertEqual(one.put("/urls/1", {"url": "https://example.com/new"}).status, 200)
        self.assertEqual(one.get("/c0").headers["Location"], "https://example.com/new")
        self.assertEqual(one.get("/" + url["short_code"]).headers["Location"], "https://example.com/old")

    def test_the_hottest_as_far_as_the_cache_goes(self):
        one = self.service.start("1", options=["Cache.WarmUp=no"])
        hot = [f"c{i}" for i in range(0, N_LINKS, 400) if i % 10 != 9]
        for code in hot:
            for _ in range(3):
                one.get("/" + code)
        harness.wait_for(lambda: one.metric("shortener_clicks_pending ") == 0, 30, "the visits to be in the store")
        one.stop()
        two = self.service.start("2", options=["Cache.Size=256K"])
        self.wait_warm(two, "local", 500)

        def settled(before=[-1]):
            now = two.metric("shortener_cache_entries ")
            before.append(now)
            return len(before) > 20 and len(set(before[-20:])) == 1
        harness.wait_for(settled, 30, "the end of the warm-up", pause=0.02)
        self.assertEqual(two.metric("shortener_cache_evictions_total "), 0)
        self.assertLess(two.metric("shortener_cache_entries "), N_LINKS / 4)
        for code in hot:
            self.assertEqual(self.cache(two, code), (302, "HIT"))

    def test_off(self):
        one = self.service.start("1", options=["Cache.WarmUp=no"])
        self.assertEqual(self.cache(one, "c0"), (302, "MISS"))
        self.assertEqual(one.metric('shortener_warmed_links_total{tier="local"}'), 0)

    def test_redis_once(self):
        with redis.Redis(os.path.join(self.service.folder, "redis")) as server:
            options = ["Cache.Redis=" + server.url]
            one = self.service.start("1", options=options)
            self.wait_warm(one, "redis", self.n_active)
            self.assertEqual(server.command("DBSIZE"), self.n_active + 1)  # and the lock
            two = self.service.start("2", options=options)
            self.wait_warm(two, "local", self.n_active)
            self.assertEqual(two.metric('shortener_warmed_links_total{tier="redis"}'), 0)
            # What is there is used: by an instance that knows nothing and need not ask the store.
            redis.age_page(self.service)
            three = self.service.start("3", options=[*options, "Cache.WarmUp=no"])
            harness.wait_for(lambda: three.metric("shortener_redis_up ") == 1, 10, "redis up")
            for i in range(0, N_LINKS, 1000):
                self.assertEqual(self.cache(three, f"c{i}"), (302, "HIT"))
            self.assertEqual(three.metric("shortener_resolver_lookups_total "), 0)

    def test_nobody_waits(self):
        """Redis is frozen while it is filled: redirects go on, and so does the end of the process."""
        with redis.Redis(os.path.join(self.service.folder, "redis")) as server:
            server.freeze()
            one = self.service.start("1", options=["Cache.Redis=" + server.url])
            longest = 0.0
            for i in range(0, N_LINKS, 100):
                start = time.monotonic()
                self.assertEqual(one.get(f"/c{i}").status, 302)
                longest = max(longest, time.monotonic() - start)
            print(f"longest redirect beside a warm-up with a frozen Redis: {longest * 1000:.0f} ms")
            self.assertLess(longest, 0.5 * harness.SLOW)
            self.wait_warm(one, "local", self.n_active)
            self.assertEqual(one.stop(), 0)
            server.thaw()

    def test_ended_in_the_middle(self):
        for _ in range(5):
            one = self.service.start("1")
            one.signal(signal.SIGTERM)
            self.assertEqual(one.process.wait(20), 0)


if __name__ == "__main__":
    harness.main()
