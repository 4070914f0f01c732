#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An hour of mixed load on two instances, with a fault each minute: kill -9 of one, an instance that stands still,
the store locked, Redis killed and frozen, the spool's disk full. At the end each 302 that a client has read
is a visit in the store, once; each write that was answered is there; the instance that was never killed has the
memory and the descriptors that it had. While Redis is away no redirect fails; links that are edited all the time
are never shown with an older target, on either instance. SHORTENER_TEST_MINUTES= shortens the long form;
SHORTENER_TEST_SEED= is the order of the faults, as it was printed."""

import contextlib
import http.client
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure
import redis

MINUTES = int(os.environ.get("SHORTENER_TEST_MINUTES", "60" if harness.SLOW == 1 else "10"))
PERIOD = 60.0 if faults.LONG else 1.2   # seconds from one fault to the next
LASTS = 5.0 if faults.LONG else 0.5     # seconds of one fault
PAUSE = 0.05 if faults.LONG else 0.01   # seconds between a visitor's batches
ROOM = 24                               # MiB of the spools' disk
GROWTH = 2 << 20                        # bytes of private memory that may come and go
SEED = int(os.environ.get("SHORTENER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
EDITED = 8                              # links
MORE_FILES = 8                          # segments, connections that come and go
OPTIONS = ["Clicks.SegmentSize=1M", "Clicks.Keep=0", "Clicks.OnFull=fail", "Cache.Size=256K", "Cache.RedisTTL=20s"]


class Editor(pressure.Background):
    """Edits links on one instance or the other and looks at them on both. Its links are in Redis before, with a
    target that is old by then."""

    def __init__(self, instances, codes, chance):
        """codes: {id: code}"""
        super().__init__()
        self.instances = instances
        self.chance = chance
        self.codes = codes
        self.told = dict.fromkeys(codes, 0)   # the version that was answered last
        self.asked = dict.fromkeys(codes, 0)  # and the last that may be there
        self.connections = [one.connect() for one in instances]
        self.n_edits = self.n_looks = self.n_failed = 0
        self.older = []                       # what must not be
        self.error = None

    def request(self, i, *arguments):
        """None: it broke off."""
        try:
            return self.instances[i].request(*arguments, connection=self.connections[i])
        except (OSError, http.client.HTTPException):
            self.connections[i].close()
            return None

    def edit(self, link):
        self.asked[link] += 1
        answer = self.request(self.chance.randrange(len(self.instances)), "PUT", f"/urls/{link}",
                              {"url": f"https://example.com/version/{self.asked[link]}"})
        if answer and answer.status == 200:
            self.told[link] = self.asked[link]
            self.n_edits += 1

    def look(self, link, i):
        """The version that this instance sends visitors to."""
        answer = self.request(i, "GET", "/" + self.codes[link])
        if not answer or answer.status != 302:
            self.n_failed += 1
            return None
        version = int(answer.headers["Location"].rpartition("/")[2])
        if not self.told[link] <= version <= self.asked[link]:
            self.older.append((link, i, self.told[link], version, self.asked[link]))
        self.n_looks += 1
        return version

    def run(self):
        try:
            while not self.ended.wait(PAUSE):
                link = self.chance.choice(list(self.codes))
                self.edit(link)
                for i in range(len(self.instances)):
                    self.look(link, i)
        except Exception as error:
            self.error = error

    def __exit__(self, *error):
        super().__exit__(*error)
        for connection in self.connections:
            connection.close()
        if self.error:
            raise self.error


class Mixed(unittest.TestCase):
    def setUp(self):
        print(f"SHORTENER_TEST_SEED={SEED}", flush=True)
        self.chance = random.Random(SEED)
        folder = tempfile.mkdtemp(prefix="shortener-mixed-")
        self.addCleanup(os.rmdir, folder)
        self.disk = self.load = None
        if os.geteuid() == 0:
            faults.run("mount", "-t", "tmpfs", "-o", f"size={ROOM}M", "spool", folder)
            self.addCleanup(faults.run, "umount", folder)
            self.disk = folder
        self.service = harness.Service(OPTIONS)
        self.addCleanup(self.service.close)
        self.redis = redis.Redis(os.path.join(self.service.folder, "redis"))
        self.addCleanup(self.redis.close)
        self.service.options.append("Cache.Redis=" + self.redis.url)
        self.service.seed()
        self.instances = [self.service.instance(name) for name in "12"]
        for one in self.instances:
            one.spool = os.path.join(self.disk or self.service.folder, "spool-" + one.name)
            one.start()
        self.one, self.two = self.instances
        redis.age_page(self.service)

    def codes(self):
        with contextlib.closing(sqlite3.connect(self.service.database, timeout=10)) as database:
            return [row[0] for row in database.execute("SELECT code FROM urls WHERE is_active ORDER BY id LIMIT 3000")]

    # ---- faults ----

    def kill(self):
        self.two.kill()
        self.two.start()

    def stand_still(self):
        one = self.chance.choice(self.instances)
        one.signal(signal.SIGSTOP)
        time.sleep(LASTS)
        one.signal(signal.SIGCONT)

    def lock_store(self):
        with contextlib.closing(sqlite3.connect(self.service.database, isolation_level=None, timeout=30)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            time.sleep(LASTS)
            lock.execute("ROLLBACK")

    @contextlib.contextmanager
    def no_redirect_fails(self):
        """In the block; nothing of an earlier fault is under way any more."""
        def rounds():
            return [len(visitor.latencies) + visitor.broken for visitor in self.load.visitors]

        def failed():
            return (sum(n for status, n in self.load.statuses().items() if status != 302), self.editor.n_failed,
                    sum(visitor.broken for visitor in self.load.visitors))

        def wait_rounds(n):
            before, looks = rounds(), self.editor.n_looks
            harness.wait_for(lambda: all(now >= then + n for then, now in zip(before, rounds())) and
                             self.editor.n_looks > looks + 2 * n, 20, "traffic")
        wait_rounds(2)
        before, looks = failed(), self.editor.n_looks
        yield
        wait_rounds(1)
        self.assertEqual(failed(), before, "redirects failed while Redis was away: others, of edited links, broken")
        self.looks_without_redis += self.editor.n_looks - looks

    def kill_redis(self):
        with self.no_redirect_fails():
            self.redis.kill()
            time.sleep(LASTS)
            self.redis.start()

    def freeze_redis(self):
        with self.no_redirect_fails():
            self.redis.freeze()
            time.sleep(LASTS)
            self.redis.thaw()

    def fill_disk(self):
        """Shipped segments make room again: filled until somebody has been refused."""
        path, before = os.path.join(self.disk, "ballast"), self.load.statuses().get(503, 0)

        def refused():
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(1 << 16))
            return self.load.statuses().get(503, 0) > before
        with open(path, "wb", buffering=0) as ballast:
            harness.wait_for(refused, 50, "a full disk")
            time.sleep(LASTS)
        os.unlink(path)

    def faults(self):
        """Each once, and then at random."""
        kinds = [self.kill, self.stand_still, self.lock_store, self.kill_redis, self.freeze_redis]
        if self.disk:
            kinds.append(self.fill_disk)
        n = max(len(kinds), MINUTES) if faults.LONG else len(kinds)
        return kinds + [self.chance.choice(kinds) for _ in range(n - len(kinds))]

    # ---- what is looked at ----

    def edited_links(self):
        """{id: code} of links that are in Redis."""
        links = [self.one.create("https://example.com/version/0") for _ in range(EDITED)]
        codes = {link["id"]: link["short_code"] for link in links}
        redis.age_page(self.service)  # a link that has just been made is not asked for there
        for code in codes.values():
            self.assertEqual(self.two.get("/" + code).status, 302)
        harness.wait_for(lambda: all(any(key.endswith(code.encode()) for key in self.redis.keys())
                                     for code in codes.values()), 20, "the links to be in Redis")
        return codes

    def wait_served(self):
        """The fault is over: both instances redirect and write."""
        def served():
            with contextlib.suppress(OSError):
                return all(one.get("/ready", timeout=2).status == 200 and
                           one.get("/" + self.visited, timeout=2).status == 302 for one in self.instances)
        harness.wait_for(served, 20, "both instances to serve again")

    def sample(self):
        return pressure.n_descriptors(self.one.process.pid), pressure.memory(self.one.process.pid)

    def run_faults(self, load):
        """{name: how often}, and a sample behind each of them."""
        done, samples = {}, []
        for fault in self.faults():
            start, at = time.monotonic(), load.n_answered
            fault()
            done[fault.__name__] = done.get(fault.__name__, 0) + 1
            self.wait_served()
            harness.wait_for(lambda at=at: load.n_answered > at, 20, "traffic")
            time.sleep(max(0.0, PERIOD - (time.monotonic() - start)))  # a rate, not a wait
            load.raise_errors()
            for one in self.instances:
                self.assertIsNone(one.process.poll(), one.log()[-2000:])
            samples.append(self.sample())
        return done, samples

    def test_faults_under_load(self):
        codes = self.codes()
        self.visited = codes[0]
        self.looks_without_redis = 0
        edited = self.edited_links()
        with faults.Load(self.instances, codes, connections=4, depth=4, writers=8) as warm:  # all workers have a session
            harness.wait_for(lambda: warm.n_written > 50 and warm.n_answered > 2000, 30, "traffic")
        first = self.sample()
        start = time.monotonic()
        load = self.load = faults.Load(self.instances, codes, connections=4, depth=4, writers=2, pause=PAUSE,
                                       write_pause=0.1, agent_size=500)
        self.editor = Editor(self.instances, edited, random.Random(SEED + 1))
        with load, self.editor:
            done, samples = self.run_faults(load)
        seconds = time.monotonic() - start
        faults.wait_shipped(*self.instances)
        from_redis = sum(one.metric('shortener_cache_tier_hits_total{tier="redis"} ') for one in self.instances)
        for one in self.instances:
            self.assertEqual(one.stop(), 0)
        audit = faults.Audit(self.service)
        answered = warm.answered() + load.answered()
        third = max(1, len(samples) // 3)
        descriptors, memory = ([statistics.median(s[i] for s in part) for part in (samples[:third], samples[-third:])]
                               for i in (0, 1))
        editor = self.editor
        print(f"{seconds:.0f} s, {', '.join(f'{name} {n}' for name, n in done.items())}: {len(answered)} visits and "
              f"{load.n_written} links answered, {len(audit.lost(answered))} lost, {len(audit.doubled)} twice, {load.statuses()}, "
              f"{sum(len(w.failures) for w in load.writers)} writes refused, {from_redis:.0f} links from Redis; {editor.n_edits} "
              f"edits, {editor.n_looks} visits to what was edited, {self.looks_without_redis} of them without Redis, "
              f"{len(editor.older)} older; descriptors {first[0]}, then {descriptors[0]:.0f} to {descriptors[1]:.0f}; private memory "
              f"{first[1] / 1e6:.1f}, then {memory[0] / 1e6:.1f} to {memory[1] / 1e6:.1f} MB", flush=True)
        audit.check_nothing_lost(self, answered)
        audit.check_writes(self, load)
        self.assertLessEqual(set(load.statuses()), {302, 503})
        self.assertEqual(self.editor.older[:5], [], "(link, instance, version answered, seen, asked for)")
        self.assertGreater(min(self.looks_without_redis, from_redis), 0)
        self.assertLessEqual(descriptors[1], first[0] + MORE_FILES)
        if harness.SLOW == 1:  # a sanitizer keeps what was freed
            self.assertLess(memory[1] - memory[0], GROWTH)


if __name__ == "__main__":
    faults.own_mounts()
    harness.main()
