#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The five races that a service with three instances loses when it is careless, on PostgreSQL with
Redis: lost update, double delete, stale fill, deleted owner, read after write. SHORTENER_TEST_LONG=1:
1,000 rounds each."""

import os
import random
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres
import redis

ROUNDS = 1000 if os.environ.get("SHORTENER_TEST_LONG") else 40


class Together:
    """Calls that begin at the same moment, over connections that are kept; their results in order."""

    def __init__(self):
        self.local = [{} for _ in range(8)]

    def __call__(self, *calls):
        barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

        def run(n, instance, *request):
            connection = self.local[n].setdefault(instance.name, instance.connect())
            barrier.wait()
            results[n] = instance.request(*request, connection=connection)
        threads = [threading.Thread(target=run, args=(n, *call)) for n, call in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


class Races(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.close)
        cls.service = harness.Service(options=["Store.Timeout=3s"])
        cls.addClassCleanup(cls.service.close)
        cls.service.url = cls.server.create("races")
        cls.redis = redis.Redis(os.path.join(cls.service.folder, "redis"))
        cls.addClassCleanup(cls.redis.close)
        cls.service.options.append("Cache.Redis=" + cls.redis.url)
        cls.instances = [cls.service.start(str(n)) for n in (1, 2, 3)]
        for instance in cls.instances:
            harness.wait_for(lambda i=instance: i.metric("shortener_watcher_up ") == 1 and
                             i.metric("shortener_redis_up ") == 1, 20, "watcher and Redis")
        redis.age_page(cls.service)

    def setUp(self):
        self.together = Together()  # those of an earlier test may be idle for so long that they were closed
        self.one, self.two, self.three = random.sample(self.instances, 3)
        self.n_rounds = 0
        self.addCleanup(lambda: print(f"{self.id().rpartition('test_')[2].replace('_', ' ')}: {self.n_rounds} of {ROUNDS} rounds right",
                                      flush=True))

    def rounds(self):
        """Their numbers; whoever asks for the next one has found the last one right."""
        for i in range(ROUNDS):
            yield i
            self.n_rounds += 1

    def test_lost_update(self):
        for i in self.rounds():
            url = self.one.create("https://example.com/a", title="t")
            path = f"/urls/{url['id']}"
            answers = self.together((self.one, "PUT", path, {"title": f"new{i}"}),
                                    (self.two, "PUT", path, {"url": f"https://example.com/{i}"}))
            self.assertEqual([a.status for a in answers], [200, 200])
            now = self.three.get(path).json
            self.assertEqual((now["title"], now["original_url"]), (f"new{i}", f"https://example.com/{i}"))
            self.assertEqual(self.three.get("/" + url["short_code"]).headers["Location"], f"https://example.com/{i}")

    def test_double_delete(self):
        for _ in self.rounds():
            url = self.one.create()
            answers = self.together((self.one, "DELETE", f"/urls/{url['id']}"), (self.two, "DELETE", f"/urls/{url['id']}"))
            self.assertEqual(sorted(a.status for a in answers), [204, 404])
            events = self.three.get(f"/urls/{url['id']}/events").json
            self.assertEqual(sorted(e["event_type"] for e in events), ["created", "deleted"])
            self.assertEqual(self.three.get("/" + url["short_code"]).status, 404)

    def test_stale_fill(self):
        """Misses that fill the caches while the link is edited: nobody keeps the old target."""
        for i in self.rounds():
            url = self.one.create("https://example.com/old")
            path = "/" + url["short_code"]
            change = ("DELETE", f"/urls/{url['id']}", None) if i % 2 else \
                ("PUT", f"/urls/{url['id']}", {"url": "https://example.com/new"})
            answers = self.together((self.one, *change), (self.one, "GET", path), (self.two, "GET", path),
                                    (self.two, "GET", path), (self.three, "GET", path))
            self.assertIn(answers[0].status, (200, 204))
            for instance in self.instances:
                answer = instance.get(path)
                if i % 2:
                    self.assertEqual(answer.status, 404)
                else:
                    self.assertEqual(answer.headers["Location"], "https://example.com/new")

    def test_deleted_owner(self):
        """A user is deleted while the links are visited, edited and made: links go on redirecting, their
        visits are counted, and nobody owns them afterwards."""
        for i in self.rounds():
            user = self.one.post("/users", {"username": f"u{i}", "email": f"u{i}@example.com"}).json
            url = self.one.create("https://example.com/a", user_id=user["id"])
            path = "/" + url["short_code"]
            gone, seen, edited, made = self.together(
                (self.one, "DELETE", f"/users/{user['id']}"), (self.two, "GET", path),
                (self.three, "PUT", f"/urls/{url['id']}", {"title": "t"}),
                (self.two, "POST", "/urls", {"url": "https://example.com/b", "user_id": user["id"]}))
            self.assertEqual((gone.status, seen.status, edited.status), (204, 302, 200))
            self.assertIn(made.status, (201, 404))
            self.assertIsNone(self.two.get(f"/urls/{url['id']}").json["user_id"])
            if made.status == 201:
                self.assertIsNone(self.three.get(f"/urls/{made.json['id']}").json["user_id"])
            self.assertEqual(self.three.get(path).status, 302)

            def counted(url=url):
                answer = self.one.get(f"/urls/{url['id']}/stats")
                return answer.json["redirect_count"] + int(answer.headers.get("X-Clicks-Pending", 0)) >= 2
            self.assertTrue(counted())
            self.assertEqual({e["user_id"] for e in self.one.get(f"/urls/{url['id']}/events").json}, {None})

    def test_read_after_write(self):
        for i in self.rounds():
            url = self.one.create(f"https://example.com/{i}", title="t")
            for instance in (self.two, self.three):
                self.assertEqual(instance.get(f"/urls/{url['id']}").json, url)
                self.assertEqual(instance.get("/" + url["short_code"]).headers["Location"], f"https://example.com/{i}")
                newest = instance.get("/events?per_page=5").json
                self.assertIn(url["id"], [e["url_id"] for e in newest])
            total = int(self.two.get("/urls?per_page=1").headers["X-Total-Count"])
            last = self.three.get(f"/urls?per_page=1&page={total}").json
            self.assertEqual([u["id"] for u in last], [url["id"]])
            changed = self.two.put(f"/urls/{url['id']}", {"title": f"new{i}"}).json
            self.assertEqual(self.three.get(f"/urls/{url['id']}").json, changed)


if __name__ == "__main__":
    harness.main()
