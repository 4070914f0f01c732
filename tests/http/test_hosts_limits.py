#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits that several hosts share through Redis: what each hears of the others, with Redis and without,
and that no redirect waits for it. (How much they let through together: test_hosts_pace.py.) Each service here is a host: its own folders, store and table of
limits."""

import os
import random
import signal
import statistics
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import pressure
import redis

N_HOSTS = 3
STREAM = "shortener:1: limits"
CLIENT = {"X-Forwarded-For": "192.0.2.1"}


def add_client(address):
    return {"X-Forwarded-For": address}


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = harness.Service()
        self.addCleanup(self.folder.close)
        self.redis = redis.Redis(os.path.join(self.folder.folder, "redis"))
        self.addCleanup(self.redis.close)

    def host(self, *options, n=1):
        """The instances of a new host."""
        service = harness.Service()
        self.addCleanup(service.close)
        options = ["Server.TrustedProxy=127.0.0.1", "Cache.Redis=" + self.redis.url, *options]
        return [service.start(str(i + 1), options=options) for i in range(n)]

    def hosts(self, *options, shared=True):
        instances = [self.host(*options)[0] for _ in range(N_HOSTS)]
        if shared:
            self.wait_shared(*instances)
        return instances

    def wait_shared(self, *instances, shared=1):
        for instance in instances:
            harness.wait_for(lambda i=instance: i.metric("shortener_limits_shared ") == shared, 40, f"shared {shared}")

    def wait_heard(self, instance, n):
        harness.wait_for(lambda: instance.metric("shortener_limits_heard_total ") >= n, 10, f"{n} requests of others")

    def statuses(self, instance, n, headers=None, path="/urls"):
        return [instance.get(path, headers=headers or CLIENT).status for _ in range(n)]


class Budgets(Base):
    def test_what_one_gave_is_taken_of_the_others(self):
        one, two, three = self.hosts("Limits.Read=10/1d:10", "Limits.Create=10/1d:10")
        self.assertEqual(self.statuses(one, 10), [200] * 10)
        for other in (two, three):
            self.wait_heard(other, 10)
            self.assertEqual(self.statuses(other, 3), [429] * 3)
            # Another client and another budget are as before.
            self.assertEqual(self.statuses(other, 2, add_client("192.0.2.2")), [200] * 2)
            self.assertEqual(other.post("/urls", {"url": "https://example.com/"}, headers=CLIENT).status, 201)
        self.wait_heard(one, 6)
        self.assertEqual(one.metric("shortener_limits_heard_total "), 6)
        self.assertEqual(two.metric("shortener_limits_bad_total "), 0)

    def test_one_instance_of_a_host_hears_and_another_takes_over(self):
        first, second = self.host("Limits.Read=100/1d:100", n=2)
        other, = self.host("Limits.Read=100/1d:100")
        self.wait_shared(first, second, other)
        self.assertEqual(self.statuses(other, 20), [200] * 20)
        heard = [i.metric("shortener_limits_heard_total ") for i in (first, second)]
        harness.wait_for(lambda: sum(i.metric("shortener_limits_heard_total ") for i in (first, second)) == 20, 10, f"20, not {heard}")
        self.assertEqual(second.get("/urls", headers=CLIENT).headers["RateLimit"].split(";")[1], "r=79")
        leader, heir = (first, second) if first.metric("shortener_limits_heard_total ") else (second, first)
        leader.kill()
        # It finds the end of what is told before it hears: until then nothing it could have missed is sent.
        sent = 0
        while heir.metric("shortener_limits_heard_total ") == 0:
            self.assertLess(sent, 60, "nobody took over")
            self.assertEqual(self.statuses(other, 1), [200])
            sent += 1
            self.assertTrue(harness.wait_for(lambda n=20 + sent: other.metric("shortener_limits_told_total ") >= n, 10, "it to be told"))
        self.assertEqual(self.statuses(heir, 1), [200])

    def test_a_host_that_starts_late_hears_from_then_on(self):
        one, = self.host("Limits.Read=10/1d:10")
        self.wait_shared(one)
        self.assertEqual(self.statuses(one, 5), [200] * 5)
        harness.wait_for(lambda: one.metric("shortener_limits_told_total ") == 5, 10, "it to be told")
        two, = self.host("Limits.Read=10/1d:10")
        self.wait_shared(two)
        harness.wait_for(lambda: self.statuses(one, 1) and two.metric("shortener_limits_heard_total ") > 0, 10, "it to hear")
        self.assertLess(two.metric("shortener_limits_heard_total "), 6)


class Crowd(Base):
    """Many hosts with many clients at once."""

    PARCELS = 32    # of one moment
    CLIENTS = 2048  # in each
    ROUNDS = 10

    def parcel(self, n):
        """What a host says that gave one request to each of its clients."""
        return (0x1234567 + n).to_bytes(8, "little") + b"".join(
            bytes([1, 1, 1]) + (n * self.CLIENTS + i).to_bytes(4, "big") + bytes(12) + (1).to_bytes(4, "little")
            for i in range(self.CLIENTS))

    def test_the_loop_does_not_hear_itself(self):
        """Whom others told of takes longer than the clients of this instance may wait."""
        one, = self.host("Limits.Read=100/1d:100")
        self.wait_shared(one)
        harness.wait_for(lambda: self.redis.command("XADD", STREAM, "*", "v", self.parcel(0)) and
                         one.metric("shortener_limits_heard_total ") > 0, 10, "it to hear")
        words = [("XADD", STREAM, "*", "v", self.parcel(n)) for n in range(self.PARCELS)]
        pid = one.process.pid
        threads = ("shortenerd", "limits")
        heard = one.metric("shortener_limits_heard_total ")
        before = {name: pressure.cpu_nsec(pid, name) for name in threads}
        with pressure.Health(one) as health:
            for _ in range(self.ROUNDS):
                at = one.metric("shortener_limits_heard_total ")
                self.redis.commands(*words)
                harness.wait_for(lambda at=at: one.metric("shortener_limits_heard_total ") >= at + self.PARCELS * self.CLIENTS,
                                 10, "all that they gave", pause=0.1)
        cpu = {name: (pressure.cpu_nsec(pid, name) - before[name]) / 1e6 for name in threads}
        heard = one.metric("shortener_limits_heard_total ") - heard
        print(f"{heard:.0f} requests of others heard in {self.ROUNDS} rounds: {cpu['limits']:.0f} ms of the thread, "
              f"{cpu['shortenerd']:.0f} of the loop; the longest /health took {max(health.latencies) * 1000:.1f} ms, the median "
              f"{statistics.median(health.latencies) * 1000:.1f}", flush=True)
        self.assertEqual(one.metric("shortener_limits_bad_total "), 0)
        self.assertEqual(health.bad, [])
        self.assertLess(cpu["shortenerd"], cpu["limits"] / 2)


class Away(Base):
    def test_without_redis_each_host_has_its_own(self):
        instances = self.hosts("Limits.Read=10/1d:10")
        self.redis.kill()
        self.wait_shared(*instances, shared=0)
        for instance in instances:
            self.assertEqual(self.statuses(instance, 12), [200] * 10 + [429] * 2)
            harness.wait_for(lambda i=instance: i.metric("shortener_limits_untold_total ") >= 10, 10, "it to know that nobody was told")
        self.redis.start()
        self.wait_shared(*instances)
        other = add_client("192.0.2.9")
        one, two, _ = instances
        # Who has just found the end hears from then on.
        harness.wait_for(lambda: self.statuses(one, 1, add_client(f"198.51.100.{random.randrange(256)}")) and
                         two.metric("shortener_limits_heard_total ") > 0, 10, "it to hear again")
        self.assertEqual(self.statuses(one, 10, other), [200] * 10)
        # Two alone would give it ten requests, whole again in a day; longer takes only what another gave.
        harness.wait_for(lambda: int(two.get("/urls", headers=other).headers["RateLimit"].split("t=")[1]) > 86400 + 1, 10, "a debt")
        self.assertEqual(self.statuses(two, 1, other), [429])

    def test_nobody_waits_for_a_frozen_redis(self):
        one, = self.host("Limits.Read=1000/1s:1000", "Limits.Misses=1000/1s:1000", "Cache.RedisTimeout=400ms")
        self.wait_shared(one)
        url = one.create()
        self.assertEqual(one.get("/" + url["short_code"]).status, 302)
        self.redis.freeze()
        slowest = 0
        for _ in range(200):  # longer than the timeout, the turns and the circuit's opening
            for path, status in (("/" + url["short_code"], 302), ("/urls/1", 200)):
                begin = time.monotonic()
                self.assertEqual(one.get(path, headers=CLIENT).status, status)
                slowest = max(slowest, time.monotonic() - begin)
        self.wait_shared(one, shared=0)
        self.assertLess(slowest, 0.3 * harness.SLOW)
        self.redis.thaw()
        self.wait_shared(one)

    def test_each_instance_of_a_host_knows_of_a_frozen_redis(self):
        instances = self.host("Limits.Read=1000/1d:1000", n=2)
        self.wait_shared(*instances)
        self.redis.freeze()
        for instance in instances:
            harness.wait_for(lambda i=instance: self.statuses(i, 1) and i.metric("shortener_limits_shared ") == 0, 10, "it to know")
            told = instance.metric("shortener_limits_told_total ")
            self.assertEqual(self.statuses(instance, 5), [200] * 5)
            harness.wait_for(lambda i=instance: i.metric("shortener_limits_untold_total ") >= 5, 10, "what nobody was told")
            self.assertEqual(instance.metric("shortener_limits_told_total "), told)
        self.redis.thaw()
        self.wait_shared(*instances)

    def test_a_redis_that_takes_nothing(self):
        one, = self.host("Limits.Read=1000/1d:1000")
        self.wait_shared(one)
        self.redis.command("CONFIG", "SET", "maxmemory", "1")
        told = one.metric("shortener_limits_told_total ")
        self.assertEqual(self.statuses(one, 5), [200] * 5)
        harness.wait_for(lambda: one.metric("shortener_limits_untold_total ") == 5, 10, "what nobody was told")
        self.assertEqual(one.metric("shortener_limits_told_total "), told)
        harness.wait_for(lambda: self.statuses(one, 1) and one.metric("shortener_limits_shared ") == 0, 10, "it to know")
        self.redis.command("CONFIG", "SET", "maxmemory", "0")
        harness.wait_for(lambda: self.statuses(one, 1) and one.metric("shortener_limits_shared ") == 1, 10, "it to be told again")

    def test_who_stood_still_does_not_ask_for_what_was_paid_meanwhile(self):
        one, two = (self.host("Limits.Read=10/1s:10")[0] for _ in range(2))
        self.wait_shared(one, two)
        harness.wait_for(lambda: self.statuses(one, 1) and two.metric("shortener_limits_heard_total ") > 0, 10, "it to hear")
        heard = two.metric("shortener_limits_heard_total ")
        two.signal(signal.SIGSTOP)
        self.addCleanup(two.signal, signal.SIGCONT)
        given = 0
        while given < 60:  # six seconds at its pace
            given += self.statuses(one, 1) == [200]
            time.sleep(0.02)  # a rate, not a wait
        two.signal(signal.SIGCONT)
        # What comes last is heard last; a few may have been under way before.
        other = add_client("192.0.2.2")
        harness.wait_for(lambda: self.statuses(one, 1, other) and two.metric("shortener_limits_heard_total ") > heard + 4, 10, "it to hear again")
        self.assertEqual(self.statuses(two, 1), [200])

    def test_a_reload_that_cannot_share_says_so_and_limits(self):
        service = harness.Service()
        self.addCleanup(service.close)
        unreadable = os.path.join(service.folder, "shortener.redis-password")
        one = service.start("1", options=["Server.TrustedProxy=127.0.0.1", "Cache.Redis=" + self.redis.url],
                            environment={"CREDENTIALS_DIRECTORY": service.folder})
        os.mkdir(unreadable)
        with open(service.config, "w", encoding="utf-8") as file:
            file.write("[Limits]\nRead=10/1d:10\n")
        words = "limits are this host's alone"
        for n in (1, 2):  # each reload tries, and says so
            one.signal(signal.SIGHUP)
            harness.wait_for(lambda n=n: one.log().count(words) == n, 10, words)
        self.assertEqual(self.statuses(one, 11), [200] * 10 + [429])
        self.assertEqual(one.metric("shortener_limits_shared "), 0)
        os.rmdir(unreadable)
        one.signal(signal.SIGHUP)
        self.wait_shared(one)
        self.assertEqual(self.statuses(one, 1), [429])
        self.assertEqual(one.log().count(words), 2)

    def test_what_else_stands_in_the_stream(self):
        one, = self.host("Limits.Read=10/1d:10")
        self.wait_shared(one)
        dice = random.Random(6)
        begin = one.metric("shortener_limits_bad_total ")
        for _ in range(200):
            self.redis.command("XADD", STREAM, "*", "v", dice.randbytes(dice.randrange(1, 200)))
        self.redis.command("XADD", STREAM, "*", "other", "fields", "v", "x")
        harness.wait_for(lambda: one.metric("shortener_limits_bad_total ") >= begin + 200, 10, "the bad entries")
        self.assertEqual(self.statuses(one, 11), [200] * 10 + [429])
        self.redis.command("DEL", STREAM)
        self.redis.command("SET", STREAM, "no stream")
        self.assertEqual(self.statuses(one, 1, add_client("192.0.2.3")), [200])
        harness.wait_for(lambda: one.metric("shortener_limits_told_total ") + one.metric("shortener_limits_untold_total ") >= 11, 10,
                         "its own words")
        self.assertEqual(one.get("/urls", headers=add_client("192.0.2.4")).status, 200)


if __name__ == "__main__":
    harness.main()
