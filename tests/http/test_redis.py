#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Redis as the second tier: what it answers, and that nothing that becomes of it costs a redirect or
brings an older target back."""

import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import redis

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
TTL = 20
N_LINKS = 5000  # more than the small cache of these instances holds


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Base(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service(options=[f"Cache.RedisTTL={TTL}s", "Cache.Size=256K"])
        self.addCleanup(self.service.close)
        self.redis = redis.Redis(os.path.join(self.service.folder, "redis"))
        self.addCleanup(self.redis.close)
        self.service.options.append("Cache.Redis=" + self.redis.url)
        self.one = self.service.start("1")
        self.wait_redis(self.one)

    def wait_redis(self, instance, up=1):
        harness.wait_for(lambda: instance.metric("shortener_redis_up ") == up, 20, f"redis up {up}")

    def wait_kept(self, url):
        harness.wait_for(lambda: self.redis.command("EXISTS", "shortener:1:" + url["short_code"]) == 1, 10,
                         "the link to be in Redis")

    def kept(self, target="https://example.com/old"):
        """A link that is in Redis."""
        url = self.one.create(target)
        self.one.get("/" + url["short_code"])
        self.wait_kept(url)
        return url

    def cold(self, name):
        """Another instance, with an empty cache; what the page says of the past is forgotten."""
        instance = self.service.start(name)
        self.wait_redis(instance)
        return instance


class Answers(Base):
    def test_another_instance_finds_it_there(self):
        url = self.kept("https://example.com/a?b=c")
        two = self.cold("2")
        answer = two.get("/" + url["short_code"])
        self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "MISS"))  # changed just now
        redis.age_page(self.service)
        three = self.cold("3")
        before = three.metric("shortener_resolver_lookups_total ")
        answer = three.get("/" + url["short_code"])
        self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "HIT"))
        self.assertEqual(answer.headers["Location"], "https://example.com/a?b=c")
        self.assertEqual(three.metric("shortener_resolver_lookups_total "), before)
        self.assertEqual(three.metric('shortener_cache_tier_hits_total{tier="redis"}'), 1)
        self.assertEqual(three.metric('shortener_cache_tier_hits_total{tier="local"}'), 0)
        self.assertEqual(three.metric("cache_hits_total "), 1)
        self.assertEqual(three.get("/nosuch").status, 404)
        self.assertEqual(three.metric('shortener_cache_tier_misses_total{tier="redis"}'), 1)
        self.assertEqual(three.get("/" + url["short_code"]).headers["X-Cache"], "HIT")
        self.assertEqual(three.metric('shortener_cache_tier_hits_total{tier="local"}'), 1)
        self.assertGreater(three.metric("shortener_redis_latency_seconds "), 0)
        # Visits are counted whoever knew the target.
        stats = self.one.get(f"/urls/{url['id']}/stats").json
        self.assertEqual(stats["redirect_count"], 4)

    def test_an_edit_leaves_the_old_value_there_unused(self):
        url = self.kept()
        value = self.redis.command("GET", "shortener:1:" + url["short_code"])
        self.assertIn(b" https://example.com/old", value)
        redis.age_page(self.service)
        self.one.put(f"/urls/{url['id']}", {"url": "https://example.com/new"})
        self.assertEqual(self.redis.command("GET", "shortener:1:" + url["short_code"]), value)
        answer = self.cold("2").get("/" + url["short_code"])
        self.assertEqual(answer.headers["Location"], "https://example.com/new")
        self.one.delete(f"/urls/{url['id']}")
        self.assertEqual(self.cold("3").get("/" + url["short_code"]).status, 404)

    def test_an_old_snapshot(self):
        url = self.kept()
        self.redis.command("SAVE")
        redis.age_page(self.service)
        self.one.put(f"/urls/{url['id']}", {"url": "https://example.com/new"})
        self.redis.kill()
        self.redis.start()
        self.assertIn(b"old", self.redis.command("GET", "shortener:1:" + url["short_code"]))
        for name in ("2", "3"):
            self.assertEqual(self.cold(name).get("/" + url["short_code"]).headers["Location"],
                             "https://example.com/new")
        # That is the counter's doing: with its memory taken away the old target is back. (The new
        # one is in Redis by now: it goes back to the snapshot again.)
        self.redis.kill()
        self.redis.start()
        redis.age_page(self.service)
        self.assertEqual(self.cold("4").get("/" + url["short_code"]).headers["Location"],
                         "https://example.com/old")

    def test_corrupt_values(self):
        urls = [self.kept(f"https://example.com/{i}") for i in range(8)]
        keys = ["shortener:1:" + u["short_code"] for u in urls]
        values = [self.redis.command("GET", key) for key in keys]
        bad = [b"", b"x" * 100000, values[1][:-1], values[2].replace(b"example.com", b"evil.example"),
               values[0], values[5] + b"\r\nSet-Cookie: a=b", values[6].replace(b"1 ", b"2 ", 1), b"\xff\x00\r\n"]
        for key, value in zip(keys, bad):
            self.assertEqual(self.redis.command("SET", key, value), b"OK")
        redis.age_page(self.service)
        two = self.cold("2")
        for i, url in enumerate(urls):
            answer = two.get("/" + url["short_code"])
            self.assertEqual((answer.status, answer.headers["Location"], answer.headers["X-Cache"]),
                             (302, f"https://example.com/{i}", "MISS"))
        self.assertEqual(two.metric("shortener_redis_bad_values_total "), len(bad))
        # What was read from the store has taken their place.
        for url in urls:
            harness.wait_for(lambda url=url: self.redis.command("GET", "shortener:1:" + url["short_code"])
                             .startswith(b"1 "), 10, "a good value")

    def test_a_password(self):
        self.redis.command("CONFIG", "SET", "requirepass", "secret")
        path = os.path.join(self.service.folder, "password")
        with open(path, "w") as file:
            file.write("secret\n")
        two = self.service.start("2", environment={"SHORTENER_REDIS_PASSWORD_FILE": path})
        self.wait_redis(two)
        three = self.service.start("3")
        harness.wait_for(lambda: "redis is away: NOAUTH" in three.log() or
                         three.metric("shortener_redis_failures_total ") > 0, 10, "a refusal")
        self.assertEqual(three.metric("shortener_redis_up "), 0)
        self.assertEqual(three.metric("shortener_redis_circuit_open "), 1)
        four = self.service.instance("4", environment={"SHORTENER_REDIS_PASSWORD_FILE": path + "x"})
        four.start(wait=False)
        self.assertEqual(four.process.wait(20), 78)
        self.assertIn("redis-password", four.log())

    def test_doctor(self):
        def row(**environment):
            command = [harness.CTL, "--config=" + self.service.config, "--store=" + self.service.url,
                       "--set=Server.RuntimeDirectory=" + self.service.runtime, "--set=Cache.Redis=" + place, "doctor"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                                  env={**os.environ, **environment})
            return next((line for line in done.stdout.splitlines() if line.startswith("redis ")), None)
        place = self.redis.url
        self.assertRegex(row(), r"redis +up +unix:.*: version [67]\.\d+, answers in \d+\.\d ms")
        self.redis.command("CONFIG", "SET", "requirepass", "secret")
        self.assertRegex(row(), "redis +DOWN +unix:.*: NOAUTH")
        self.assertRegex(row(SHORTENER_REDIS_PASSWORD_FILE="/nonexistent"), "redis +DOWN +its password cannot be read")
        self.redis.freeze()
        self.assertRegex(row(), "redis +DOWN +unix:.*: no answer")
        self.redis.thaw()
        place = "unix:/nonexistent/socket"
        self.assertRegex(row(), "redis +DOWN +unix:/nonexistent/socket: No such file")
        place = "redis://no-such-host.invalid"
        self.assertRegex(row(), "redis +DOWN +redis://no-such-host.invalid: there is no host of this name")
        place = ""
        self.assertIsNone(row())


def version_of(answer):
    """Which of our targets it leads to; -1 is no target of ours, older than any."""
    ours, _, version = answer.headers["Location"].partition("https://example.com/v")
    return int(version) if not ours and version.isdigit() else -1


class Visitor(threading.Thread):
    """Visits the links in turns over one connection; knows what each must at least lead to."""

    def __init__(self, instance, links, ended):
        super().__init__(daemon=True)
        self.instance, self.links, self.ended = instance, links, ended
        self.latencies, self.failed, self.stale = [], [], []
        self.error = None

    def run(self):
        try:
            self.visit()
        except Exception as error:
            self.error = error

    def visit(self):
        connection, n = self.instance.connect(), 0
        while not self.ended.is_set():
            link = self.links[n % len(self.links)]
            known = link["version"]
            start = time.monotonic()
            answer = self.instance.get(link["path"], connection=connection)
            self.latencies.append(time.monotonic() - start)
            n += 1
            if answer.status != 302:
                self.failed.append((link["path"], answer.status))
            elif version_of(answer) < known:
                self.stale.append((link["path"], answer.headers["Location"], known))
        connection.close()


class Faults(Base):
    """Two instances whose caches are too small for the links, so that most visits ask Redis."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.service.folder, "links.csv")
        with open(path, "w") as file:
            file.write("short_code,original_url\n")
            file.writelines(f"c{i},https://example.com/v0\n" for i in range(N_LINKS))
        self.service.ctl("import", path)
        self.two = self.cold("2")
        self.links = [{"id": i + 1, "path": f"/c{i}", "version": 0} for i in range(N_LINKS)]
        self.version = self.n_edits = 0

    def edit(self, link):
        self.version += 1
        answer = self.one.put(f"/urls/{link['id']}", {"url": f"https://example.com/v{self.version}"})
        if answer.status == 200:  # after a 503 either may be there
            link["version"] = self.version
            self.n_edits += 1

    def run_load(self, seconds, *steps):
        """Visits for seconds, an edit now and then, and the steps spread over the time. Latencies."""
        ended = threading.Event()
        half = N_LINKS // 2
        visitors = [Visitor(self.one, self.links, ended),
                    Visitor(self.two, self.links[half:] + self.links[:half], ended)]
        for visitor in visitors:
            visitor.start()
        begin, steps, n_edits = time.monotonic(), list(steps), 0
        pause = seconds / (len(steps) + 1)
        due = begin + pause
        while steps or time.monotonic() < begin + seconds:  # a step may take long on a busy machine
            self.edit(self.links[(n_edits * 37) % N_LINKS])
            n_edits += 1
            if steps and time.monotonic() >= due:
                steps.pop(0)()
                due += pause
            ended.wait(0.02)
        ended.set()
        for visitor in visitors:
            visitor.join(60 * harness.SLOW)
            self.assertFalse(visitor.is_alive(), "a request hangs")
            if visitor.error:
                raise visitor.error
        self.assertEqual(steps, [])
        self.assertEqual([v.failed[:5] for v in visitors], [[], []])
        self.assertEqual([v.stale[:5] for v in visitors], [[], []])
        return [latency for v in visitors for latency in v.latencies]

    def hits(self):
        return sum(i.metric('shortener_cache_tier_hits_total{tier="redis"}') for i in (self.one, self.two))

    def pair(self, name, steps):
        """A calm run and one with the fault: is the second one's p99 within the bound?"""
        seconds = 10 if LONG else 2
        # The page may be made to forget only what Redis has forgotten too.
        self.redis.command("FLUSHALL")
        connection = self.one.connect()
        for link in self.links:
            self.assertEqual(self.one.get(link["path"], connection=connection).status, 302)
        connection.close()
        redis.age_page(self.service)
        before = self.hits()
        calm = self.run_load(seconds)
        n_hits = self.hits() - before
        faulty = self.run_load(seconds, *steps)
        p99 = percentile(calm, 0.99), percentile(faulty, 0.99)
        print(f"{name}: {len(calm)} then {len(faulty)} visits, {n_hits:.0f} from Redis while calm, "
              f"p99 {p99[0] * 1000:.2f} ms then {p99[1] * 1000:.2f} ms, longest {max(faulty) * 1000:.0f} ms", flush=True)
        self.assertGreater(n_hits, len(calm) / 10)
        self.assertLess(max(faulty), 1 * harness.SLOW)
        return p99[1] < 1.5 * p99[0] + 0.003 * harness.SLOW

    def check(self, name, *steps):
        """The median of five pairs is within the bound: three of them are. A build that is slower than
        what is installed has nothing to say of that: one pair, for all else that run_load() checks."""
        if harness.SLOW > 1 and not LONG:
            self.pair(name, steps)
            self.assertGreater(self.n_edits, 10)
            return
        verdicts = []
        while max(verdicts.count(True), verdicts.count(False)) < 3:
            self.wait_redis(self.one)
            self.wait_redis(self.two)
            verdicts.append(self.pair(name, steps))
        self.assertEqual(verdicts.count(True), 3, "p99 with the fault is over 1.5 times that of the calm run + 3 ms")
        self.assertGreater(self.n_edits, 10)

    def test_frozen(self):
        self.check("frozen and thawed", self.redis.freeze, self.redis.thaw, self.redis.freeze, self.redis.thaw)
        self.wait_redis(self.one)
        self.wait_redis(self.two)

    def test_killed(self):
        self.check("killed and started", self.redis.kill, self.redis.start, self.redis.kill, self.redis.start)
        self.wait_redis(self.one)

    def test_flushed(self):
        self.check("flushed", *[lambda: self.redis.command("FLUSHALL")] * 5)

    def test_restarted_stale(self):
        def save():
            self.redis.command("SAVE")

        def back():
            self.redis.kill()
            self.redis.start()
        self.check("restarted from an old snapshot", save, back, back, back)

    def test_out_of_memory(self):
        def full():
            self.redis.command("CONFIG", "SET", "maxmemory", "1")

        def roomy():
            self.redis.command("CONFIG", "SET", "maxmemory", "0")
        self.check("out of memory", full, roomy, full, roomy)

        def refused():
            self.edit(self.links[0])
            self.assertEqual(self.one.get(self.links[0]["path"]).status, 302)
            return self.one.metric("shortener_redis_refusals_total ") > 0
        full()
        harness.wait_for(refused, 20, "Redis to refuse what is put there")

    def test_corrupted(self):
        def corrupt():
            for i in range(0, N_LINKS, 3):
                self.redis.command("SET", f"shortener:1:c{i}", b"1 00000000 1800000000 1 x https://evil.example/v0")
        self.check("corrupted", corrupt, corrupt)

        def counted():
            """All links once around: more than the cache holds, so that many of them ask Redis."""
            corrupt()
            connection = self.one.connect()
            for link in self.links:
                self.assertGreaterEqual(version_of(self.one.get(link["path"], connection=connection)), link["version"])
            connection.close()
            return self.one.metric("shortener_redis_bad_values_total ") > 0
        harness.wait_for(counted, 20, "values that are bad to be counted")


if __name__ == "__main__":
    harness.main()
