#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Redirects and their visits, as api.md has them."""

import json
import os
import re
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness


class Redirect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.one = cls.service.start()

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def events(self, url, **kw):
        answer = self.one.get(f"/urls/{url['id']}/events?per_page=100", **kw)
        self.assertEqual(answer.status, 200)
        return [e for e in answer.json if e["event_type"] == "redirect"]

    def test_miss_then_hit(self):
        url = self.one.create("https://example.com/target?x=1")
        first = self.one.get("/" + url["short_code"])
        second = self.one.get("/" + url["short_code"])
        for answer, cache in ((first, "MISS"), (second, "HIT")):
            self.assertEqual(answer.status, 302)
            self.assertEqual(answer.headers["Location"], "https://example.com/target?x=1")
            self.assertEqual(answer.headers["X-Cache"], cache)
            self.assertEqual(answer.headers["Cache-Control"], "private, no-store")
            self.assertEqual(answer.headers["Content-Length"], "0")
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("Date", answer.headers)
            self.assertNotIn("Server", answer.headers)
            self.assertEqual(answer.body, b"")
        self.assertEqual(self.one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 2)

    def test_query_is_not_forwarded(self):
        url = self.one.create()
        answer = self.one.get("/" + url["short_code"] + "?a=b")
        self.assertEqual(answer.headers["Location"], "https://example.com/x")

    def test_visit_has_what_was_sent(self):
        url = self.one.create()
        for headers, details in (
                ({"User-Agent": "agent/1", "Referer": "https://from.example/\xe9"},
                 {"ip": "127.0.0.1", "user_agent": "agent/1", "referrer": "https://from.example/?"}),
                ({}, {"ip": "127.0.0.1", "user_agent": ""})):
            for _ in range(2):
                self.assertEqual(self.one.get("/" + url["short_code"], headers=headers).status, 302)
            self.assertEqual([e["details"] for e in self.events(url)[:2]], [details] * 2)

    def test_forged_forwarded_for_changes_nothing(self):
        url = self.one.create()
        self.one.get("/" + url["short_code"], headers={"X-Forwarded-For": "6.6.6.6"})
        self.one.get("/" + url["short_code"], headers={"X-Forwarded-For": "6.6.6.6"})
        self.assertEqual({e["details"]["ip"] for e in self.events(url)}, {"127.0.0.1"})

    def test_owner_is_the_one_of_now_and_visits_of_orphans_count(self):
        user = self.one.post("/users", {"username": "owner", "email": "owner@example.com"}).json
        url = self.one.create(user_id=user["id"])
        self.one.get("/" + url["short_code"])
        self.assertEqual(self.events(url)[0]["user_id"], user["id"])
        self.assertEqual(self.one.delete(f"/users/{user['id']}").status, 204)
        self.assertEqual(self.one.get("/" + url["short_code"]).status, 302)
        self.assertEqual(self.one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 2)
        self.assertEqual([e["user_id"] for e in self.events(url)], [None, None])

    def test_events_of_a_link_are_in_the_order_of_the_answers(self):
        """A write waits a moment for the visits before it, no longer: a busy machine may exceed it."""
        right = 0
        for _ in range(20):
            url = self.one.create()
            connection = self.one.connect()
            path = f"/urls/{url['id']}"
            for _ in range(3):  # the second and third come while the shipper rests
                self.one.get("/" + url["short_code"], connection=connection)
                self.one.put(path, {"title": "t"}, connection=connection)
            self.one.get("/" + url["short_code"], connection=connection)
            self.one.delete(path, connection=connection)
            events = self.one.get(path + "/events", connection=connection).json
            connection.close()
            kinds = [e["event_type"] for e in events]
            self.assertEqual(sorted(kinds), ["created", "deleted"] + ["redirect"] * 4 + ["updated"] * 3)
            right += kinds == ["deleted", "redirect"] + ["updated", "redirect"] * 3 + ["created"]
        self.assertGreater(right, 10)

    def test_head_is_no_visit(self):
        url = self.one.create()
        for _ in range(2):
            answer = self.one.request("HEAD", "/" + url["short_code"])
            self.assertEqual((answer.status, answer.headers["Location"]), (302, "https://example.com/x"))
        self.assertEqual(self.events(url), [])

    def test_unknown_and_inactive(self):
        url = self.one.create()
        self.one.get("/" + url["short_code"])
        self.assertEqual(self.one.delete(f"/urls/{url['id']}").status, 204)
        for path in ("/" + url["short_code"], "/nosuch", "/%00", "/%2f", "/a%20b", "/" + "x" * 65, "/" + "x" * 5000,
                     "/" + url["short_code"].swapcase()):
            for _ in range(2):
                answer = self.one.get(path)
                self.assertEqual((answer.status, answer.json), (404, {"error": "URL not found"}), path)
        self.assertEqual(len(self.events(url)), 1)

    def test_error_page_for_browsers(self):
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
        answer = self.one.get("/nosuch", headers=browser)
        self.assertEqual(answer.status, 404)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
        self.assertIn(b"URL not found", answer.body)
        for accept in ("*/*", "application/json", "text/html;q=0.5, application/json", "text/html, */*"):
            self.assertEqual(self.one.get("/nosuch", headers={"Accept": accept}).headers["Content-Type"],
                             "application/json", accept)

    def test_methods(self):
        url = self.one.create()
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
            answer = self.one.request(method, "/" + url["short_code"])
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, OPTIONS"), method)
        answer = self.one.request("OPTIONS", "/" + url["short_code"])
        self.assertEqual((answer.status, answer.headers["Allow"], answer.body), (200, "GET, HEAD, OPTIONS", b""))

    def test_request_id(self):
        url = self.one.create()
        for path in ("/" + url["short_code"], "/" + url["short_code"], "/users", "/nosuch", "/a/b"):
            self.assertEqual(self.one.get(path, headers={"X-Request-Id": "my-id_1.2"}).headers["X-Request-Id"],
                             "my-id_1.2")
            for bad in ("", "a b", "x" * 65, "\xe9"):
                made = self.one.get(path, headers={"X-Request-Id": bad}).headers["X-Request-Id"]
                self.assertRegex(made, r"^[A-Za-z0-9._-]{1,64}$")
                self.assertNotEqual(made, bad)

    def test_http10_and_close(self):
        url = self.one.create()
        for _ in range(2):
            answer = self.one.raw(b"GET /%s HTTP/1.0\r\n\r\n" % url["short_code"].encode())
            self.assertTrue(answer.startswith(b"HTTP/1.1 302 "), answer)
            self.assertIn(b"Connection: close\r\n", answer)
            answer = self.one.raw(b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                                  % url["short_code"].encode())
            self.assertIn(b"Connection: close\r\n", answer)

    def test_pipeline_of_200(self):
        url = self.one.create()
        one = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % url["short_code"].encode()
        last = b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % url["short_code"].encode()
        for _ in range(2):
            self.assertEqual(self.one.raw(one * 199 + last).count(b"HTTP/1.1 302 "), 200)
        self.assertEqual(self.one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 400)

    def test_metrics_count(self):
        before = {m: self.one.metric(m) for m in ("redirects_total", "cache_hits_total", "cache_misses_total")}
        url = self.one.create()
        for _ in range(5):
            self.one.get("/" + url["short_code"])
        after = {m: self.one.metric(m) for m in before}
        self.assertEqual({m: after[m] - before[m] for m in before},
                         {"redirects_total": 5, "cache_hits_total": 4, "cache_misses_total": 1})


class Queued(unittest.TestCase):
    """Answers that cannot leave at once: behind a sync (Sync=always), or because the reader is slow."""

    def setUp(self):
        self.service = harness.Service(options=["Clicks.Sync=always"])
        self.addCleanup(self.service.close)
        self.one = self.service.start()

    def test_hits_and_misses_in_one_pipeline(self):
        known = [self.one.create(f"https://example.com/{n}") for n in range(3)]
        for url in known:
            self.one.get("/" + url["short_code"])
        for n in range(20):
            fresh = self.one.create(f"https://example.com/fresh{n}")
            paths = [known[0], known[1], fresh, known[2], fresh, known[0]]
            data = b"".join(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % u["short_code"].encode() for u in paths[:-1])
            data += b"GET /nosuch HTTP/1.1\r\nHost: a\r\n\r\nGET /users/0 HTTP/1.1\r\nHost: a\r\n\r\n"
            data += b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % paths[-1]["short_code"].encode()
            start = time.monotonic()
            answer = self.one.raw(data)
            self.assertLess(time.monotonic() - start, 4 * harness.SLOW)
            self.assertEqual(re.findall(rb"Location: (\S+)", answer), [u["original_url"].encode() for u in paths])
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", answer), [b"302"] * 5 + [b"404"] * 2 + [b"302"])

    def test_slow_reader_of_a_pipeline(self):
        for n in range(100):
            self.one.create("https://example.com/" + "x" * 1900 + str(n))
        n_requests = 60
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(20 * harness.SLOW)
            sock.connect(("127.0.0.1", self.one.port))
            sock.sendall(b"".join(b"GET /urls?per_page=%d HTTP/1.1\r\nHost: a\r\n\r\n" % (n + 41)
                                  for n in range(n_requests)))
            file = sock.makefile("rb")
            for n in range(n_requests):
                self.assertEqual(file.readline(), b"HTTP/1.1 200 OK\r\n")
                fields = dict(line.split(b": ", 1) for line in iter(file.readline, b"\r\n"))
                body = json.loads(file.read(int(fields[b"Content-Length"])))
                self.assertEqual(len(body), n + 41)


if __name__ == "__main__":
    harness.main()
