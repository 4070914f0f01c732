#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The stress of coherence: two hosts with three instances on one PostgreSQL and one Redis, editors and
visitors at full speed, Redis frozen, killed, flushed and restarted from an old snapshot meanwhile.

A GET whose first byte was sent after a PUT's or DELETE's answer was read is not led to an older target
on the host of that answer, and on the other host not when a second has passed. The links are quiet at
the start and in Redis, and the caches too small for them: so what is in Redis is used, and what is
edited has its old target there.
"""

import collections
import os
import random
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres
import redis

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
SECONDS = 60 if LONG else 15
N_LINKS = 4000
ELSEWHERE = 1.0    # seconds until the other host must follow
DELETED = 10**9    # as a version
Edit = collections.namedtuple("Edit", "version host answered")


class Link:
    def __init__(self, number):
        self.id = number + 1
        self.path = f"/c{number}"
        self.version = 0
        self.edits = []  # answered ones, in order

    def due(self, host, now):
        """The version that a GET sent now on this host must at least see."""
        for edit in reversed(self.edits):
            if edit.host == host or edit.answered + ELSEWHERE <= now:
                return edit.version
        return 0


class Worker(threading.Thread):
    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world
        self.n = 0
        self.failures = collections.Counter()
        self.error = None
        self.connections = {}

    def request(self, instance, method, path, body=None):
        connection = self.connections.setdefault(instance.name, instance.connect())
        return instance.request(method, path, body, connection=connection)

    def run(self):
        try:
            while not self.world.ended.is_set():
                self.once()
                self.n += 1
        except Exception as error:
            self.error = error
            self.world.ended.set()


class Editor(Worker):
    """Edits its own links one after the other, each on an instance of either host."""

    def __init__(self, world, links):
        super().__init__(world)
        self.links = links

    def once(self):
        host, instance = random.choice(self.world.instances)
        link = random.choice(self.links)
        if link.version == DELETED:
            return
        link.version += 1
        if random.random() < 0.05:
            link.version = DELETED
            answer = self.request(instance, "DELETE", f"/urls/{link.id}")
        else:
            answer = self.request(instance, "PUT", f"/urls/{link.id}", {"url": f"https://example.com/v{link.version}"})
        if answer.status in (200, 204):
            link.edits.append(Edit(link.version, host, time.monotonic()))
            self.world.recent.append(link)
        else:
            self.failures[answer.status] += 1
        self.world.ended.wait(0.01)


class Visitor(Worker):
    def __init__(self, world, host, instance):
        super().__init__(world)
        self.host, self.instance = host, instance
        self.stale = []
        self.n_hits = 0

    def once(self):
        recent = self.world.recent
        link = random.choice(recent) if recent and random.random() < 0.5 else random.choice(self.world.links)
        known = link.due(self.host, time.monotonic())
        answer = self.request(self.instance, "GET", link.path)
        if answer.status == 404 and link.version == DELETED:
            seen = DELETED
        elif answer.status == 302:
            seen = int(answer.headers["Location"].rsplit("v", 1)[1])
            self.n_hits += answer.headers["X-Cache"] == "HIT"
        else:
            self.failures[answer.status] += 1
            return
        if seen < known:
            self.stale.append((link.path, self.host, seen, known, link.edits[-3:], time.monotonic()))


class World:
    def __init__(self, instances, links):
        self.instances = instances  # (host, instance)
        self.links = links
        self.recent = collections.deque(maxlen=50)
        self.ended = threading.Event()
        self.editors = [Editor(self, links[i::4]) for i in range(4)]
        self.visitors = [Visitor(self, host, instance) for host, instance in instances for _ in range(2)]

    def run(self, seconds, faults):
        threads = self.editors + self.visitors
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.ended.is_set():
            faults(self.ended)
        self.ended.set()
        for thread in threads:
            thread.join(60 * harness.SLOW)
            assert not thread.is_alive(), "a request hangs"
            if thread.error:
                raise thread.error


class Stress(unittest.TestCase):
    def setUp(self):
        self.server = postgres.Postgres()
        self.addCleanup(self.server.close)
        url = self.server.create("stress")
        self.hosts = [harness.Service(options=["Cache.Size=256K", "Store.Timeout=3s", "Cache.RedisTTL=300s"])
                      for _ in range(2)]
        for host in self.hosts:
            self.addCleanup(host.close)
            host.url = url
        self.redis = redis.Redis(os.path.join(self.hosts[0].folder, "redis"))
        self.addCleanup(self.redis.close)
        for host in self.hosts:
            host.options.append("Cache.Redis=" + self.redis.url)
        path = os.path.join(self.hosts[0].folder, "links.csv")
        with open(path, "w") as file:
            file.write("short_code,original_url\n")
            file.writelines(f"c{i},https://example.com/v0\n" for i in range(N_LINKS))
        self.hosts[0].ctl("import", path)
        self.instances = [(0, self.hosts[0].start("1")), (0, self.hosts[0].start("2")), (1, self.hosts[1].start("3"))]
        self.links = [Link(i) for i in range(N_LINKS)]
        for _, instance in self.instances:
            harness.wait_for(lambda i=instance: i.metric("shortener_watcher_up ") == 1 and
                             i.metric("shortener_redis_up ") == 1, 20, "watcher and Redis")
        connection = self.instances[0][1].connect()
        for link in self.links:
            self.assertEqual(self.instances[0][1].get(link.path, connection=connection).status, 302)
        for host in self.hosts:
            redis.age_page(host)

    def hits(self):
        return sum(i.metric('shortener_cache_tier_hits_total{tier="redis"}') for _, i in self.instances)

    def stress(self, name, faults):
        before = self.hits()
        world = World(self.instances, self.links)
        world.run(SECONDS, faults)
        n_edits = sum(len(link.edits) for link in self.links)
        stale = [s for v in world.visitors for s in v.stale]
        failures = sum((w.failures for w in world.visitors), collections.Counter())
        print(f"{name}: {n_edits} edits, {sum(v.n for v in world.visitors)} visits, {self.hits() - before:.0f} from Redis, "
              f"{len(stale)} stale, failed redirects {dict(failures)}, "
              f"failed edits {dict(sum((e.failures for e in world.editors), collections.Counter()))}", flush=True)
        self.assertEqual(stale[:3], [])
        self.assertEqual(failures, {})
        self.assertGreater(n_edits, 5 * SECONDS / harness.SLOW)
        self.assertGreater(self.hits() - before, 10 * SECONDS / harness.SLOW)

    def test_redis_breaks(self):
        self.redis.command("SAVE")  # all at version 0: what an old snapshot brings back

        def frozen(wait):
            self.redis.freeze()
            wait(1)
            self.redis.thaw()

        def killed(wait):
            self.redis.kill()
            wait(0.5)
            self.redis.start()

        def flushed(wait):
            self.redis.command("FLUSHALL")
            wait(0.5)
        steps = [frozen, killed, flushed, killed]

        def faults(ended):
            steps.append(steps.pop(0))
            steps[-1](ended.wait)
            ended.wait(1)
        self.stress("Redis breaks", faults)

    def test_the_listening_connections_break(self):
        """Cut now and then, and frozen: the other host follows within a second all the same."""
        def faults(ended):
            pids = self.server.watchers("stress")
            if not pids:
                return
            pid = random.choice(pids)
            os.kill(pid, signal.SIGSTOP)
            ended.wait(1.5)
            os.kill(pid, signal.SIGCONT)
            ended.wait(0.5)
            self.server.psql(f"SELECT pg_terminate_backend({pid})")
        self.stress("listening connections break", faults)


if __name__ == "__main__":
    harness.main()
