#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Idempotency-Key: however often a POST is sent, and whoever dies meanwhile, it is done once."""

import http.client
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

BURST = 64
KILLS = 20
TARGET = {"url": "https://example.com/once"}


def together(n, function):
    """function(0) ... function(n - 1) at the same time; their results."""
    results, start = [None] * n, threading.Barrier(n)

    def run(i):
        start.wait(60)
        results[i] = function(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.addClassCleanup(cls.service.close)
        cls.instances = [cls.service.start(name) for name in "12"]
        cls.one, cls.two = cls.instances

    def post(self, instance, key, body=None, path="/urls", **kw):
        return instance.post(path, body or TARGET, headers={"Idempotency-Key": key}, **kw)

    def total(self, path="/urls"):
        return int(self.one.get(path + "?per_page=0").headers["X-Total-Count"])

    def until_done(self, instance, key):
        """Sends the request until its answer comes, as a client would."""
        def send():
            try:
                answer = self.post(instance, key)
            except (OSError, http.client.HTTPException):
                return None
            self.assertIn(answer.status, (201, 409, 503), answer)
            return answer if answer.status == 201 else None
        return harness.wait_for(send, 20, "the answer to a request that is sent again and again")


class Once(Base):
    def test_the_same_answer_from_each_instance(self):
        before = self.total()
        first = self.post(self.one, "same")
        self.assertEqual((first.status, first.headers["Idempotency-Replayed"]), (201, None))
        for instance in self.instances * 2:
            answer = self.post(instance, "same")
            self.assertEqual((answer.status, answer.body, answer.headers["Idempotency-Replayed"], answer.headers["ETag"]),
                             (201, first.body, "true", first.headers["ETag"]))
        self.assertEqual(self.total(), before + 1)
        # Also when what it is about has changed.
        path = f"/urls/{first.json['id']}"
        self.assertEqual(self.two.delete(path).status, 204)
        self.assertEqual(self.post(self.one, "same").body, first.body)
        other = self.post(self.two, "same", {"url": "https://example.com/other"})
        self.assertEqual((other.status, other.json), (422, {"error": "Idempotency-Key was used with another request"}))
        self.assertEqual(self.total(), before + 1)

    def test_of_a_burst_one_is_done(self):
        for n in range(5):
            before = self.total()
            answers = together(BURST, lambda i, n=n: self.post(self.instances[i % 2], f"burst {n}"))
            self.assertLessEqual({a.status for a in answers}, {201, 409})
            made = [a for a in answers if a.status == 201]
            self.assertEqual(len({a.body for a in made}), 1)
            self.assertEqual(sum(a.headers["Idempotency-Replayed"] is None for a in made), 1)
            for answer in answers:
                if answer.status == 409:
                    self.assertEqual((answer.json, answer.headers["Retry-After"]),
                                     ({"error": "A request with this Idempotency-Key is in progress"}, "1"))
            self.assertEqual(self.until_done(self.two, f"burst {n}").body, made[0].body)
            self.assertEqual(self.total(), before + 1)
            events = self.one.get(f"/urls/{made[0].json['id']}/events").json
            self.assertEqual([e["event_type"] for e in events], ["created"])

    def test_users_and_events(self):
        user = {"username": "once", "email": "once@example.com"}
        answers = [self.post(i, "u", user, "/users") for i in self.instances]
        self.assertEqual([a.status for a in answers], [201, 201])
        self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(self.one.post("/users", user).status, 409)
        event = {"url_id": self.one.create()["id"], "event_type": "printed"}
        answers = [self.post(i, "u", event, "/events") for i in self.instances]
        self.assertEqual([a.status for a in answers], [201, 201])
        self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(len(self.one.get("/events?event_type=printed").json), 1)

    def test_refusals(self):
        for lines in (b"Idempotency-Key:\r\n", b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n",
                      b"Idempotency-Key: " + b"k" * 256 + b"\r\n", b"Idempotency-Key: \xc3\xa9\r\n"):
            body = b'{"url":"https://example.com/"}'
            answer = self.one.raw(b"POST /urls HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                                  b"Content-Length: %d\r\n%s\r\n%s" % (len(body), lines, body))
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertEqual(self.post(self.one, "r", {"url": "no"}).status, 400)
        self.assertEqual(self.post(self.one, "r").status, 201)


class Killed(Base):
    """The key is in the change's transaction: whoever dies, it is done once."""

    def test_kill_9(self):
        first = self.post(self.one, "killed")
        self.one.kill()
        self.one.start()
        again = self.post(self.one, "killed")
        self.assertEqual((again.body, again.headers["Idempotency-Replayed"]), (first.body, "true"))

    def test_kill_9_in_the_midst(self):
        before = self.total()
        sent = threading.Event()

        def send(key):
            connection = self.two.connect()
            try:
                connection.request("POST", "/urls", b'{"url": "https://example.com/once"}',
                                   {"Content-Type": "application/json", "Idempotency-Key": key})
                sent.set()
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                pass
            finally:
                sent.set()
                connection.close()

        bodies = set()
        for n in range(KILLS):
            sent.clear()
            thread = threading.Thread(target=send, args=(f"midst {n}",))
            thread.start()
            sent.wait(60)
            self.two.kill()
            answer = self.until_done(self.one, f"midst {n}")
            self.two.start()
            thread.join()  # what was not taken yet waited for the new process
            self.assertEqual(self.until_done(self.two, f"midst {n}").body, answer.body)
            bodies.add(answer.body)
        self.assertEqual(len(bodies), KILLS)
        self.assertEqual(self.total(), before + KILLS)


class Tokens(unittest.TestCase):
    def test_a_tokens_keys_are_its_own(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=token", "Limits.Create=off"])
            tokens = []
            for name in ("ann", "bob"):
                service.ctl("user", "add", name, f"{name}@example.com")
                tokens.append(service.ctl("token", "create", f"--user={len(tokens) + 1}", "test").stdout.strip())
            ids = []
            for token in tokens * 2:
                answer = one.post("/urls", TARGET, headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "mine"})
                self.assertEqual(answer.status, 201, answer)
                ids.append((answer.json["id"], answer.json["user_id"]))
            self.assertEqual(ids, [(1, 1), (2, 2)] * 2)


if __name__ == "__main__":
    harness.main()
