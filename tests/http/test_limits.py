#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""[Limits]: budgets of clients, what does not help against them, and what they must not cost."""

import concurrent.futures
import os
import re
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres

# A budget that comes back so slowly that no test sees more than its burst.
ONCE = "10/1d:{}"


def limits(**rates):
    return [f"Limits.{key}={value}" for key, value in rates.items()]


class Off(unittest.TestCase):
    def test_nothing_is_limited_by_default_where_access_is_open(self):
        with harness.Service() as service:
            one = service.start()
            for _ in range(700):
                answer = one.get("/unknown")
                self.assertEqual(answer.status, 404)
            self.assertNotIn("RateLimit", one.get("/urls").headers)
            self.assertFalse(os.path.exists(os.path.join(service.runtime, "limits")))


class Budgets(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)

    def start(self, name="1", extra=(), **rates):
        # This host is the proxy, so that X-Forwarded-For can name clients.
        return self.service.start(name, options=[*limits(**rates), "Server.TrustedProxy=127.0.0.1", *extra])

    @staticmethod
    def client(address):
        return {"X-Forwarded-For": address}

    def statuses(self, one, n, address, path="/urls", method="GET", body=None):
        return [one.request(method, path, body, headers=self.client(address)).status for _ in range(n)]

    def test_refusal_says_when(self):
        one = self.start(Read="60/1min:3")
        answers = [one.get("/urls", headers=self.client("192.0.2.1")) for _ in range(4)]
        self.assertEqual([a.status for a in answers], [200, 200, 200, 429])
        self.assertEqual(answers[0].headers["RateLimit-Policy"], '"read";q=60;w=60')
        self.assertEqual(answers[0].headers["RateLimit"], '"read";r=2;t=1')
        self.assertEqual(answers[3].json, {"error": "Too many requests"})
        self.assertEqual(answers[3].headers["Retry-After"], "1")
        self.assertRegex(answers[3].headers["RateLimit"], r'^"read";r=0;t=[23]$')
        harness.wait_for(lambda: one.get("/urls", headers=self.client("192.0.2.1")).status == 200, 5, "a new request")

    def test_clients_and_budgets_are_apart(self):
        one = self.start(Read=ONCE.format(2), Create=ONCE.format(3))
        self.assertEqual(self.statuses(one, 3, "192.0.2.1"), [200, 200, 429])
        self.assertEqual(self.statuses(one, 3, "192.0.2.2"), [200, 200, 429])
        body = {"url": "https://example.com/"}
        self.assertEqual(self.statuses(one, 4, "192.0.2.1", method="POST", body=body), [201, 201, 201, 429])
        self.assertEqual(self.statuses(one, 2, "192.0.2.1", path="/health"), [200, 200])
        self.assertEqual(one.metric('shortener_limited_total{budget="read"}'), 2)
        self.assertEqual(one.metric('shortener_limited_total{budget="create"}'), 1)

    def test_addresses_of_one_64_are_one_client(self):
        one = self.start(Read=ONCE.format(5))
        result = [self.statuses(one, 1, f"2001:db8::{i:x}:{i:x}")[0] for i in range(1, 21)]
        self.assertEqual(result, [200] * 5 + [429] * 15)
        self.assertEqual(self.statuses(one, 1, "2001:db8:0:1::1"), [200])

    def test_forged_address_is_no_other_client(self):
        one = self.service.start(options=limits(Read=ONCE.format(5)))
        result = [self.statuses(one, 1, f"192.0.2.{i}")[0] for i in range(20)]
        self.assertEqual(result, [200] * 5 + [429] * 15)

    def test_forged_address_before_the_proxys(self):
        one = self.start(Read=ONCE.format(5))
        result = [self.statuses(one, 1, f"203.0.113.{i}, 192.0.2.1")[0] for i in range(20)]
        self.assertEqual(result, [200] * 5 + [429] * 15)

    def test_names_that_are_no_addresses_are_one_client(self):
        one = self.start(Read=ONCE.format(5))
        result = [self.statuses(one, 1, f"name-{i}")[0] for i in range(20)]
        self.assertEqual(result, [200] * 5 + [429] * 15)

    def test_scanning_ends(self):
        one = self.start(Misses=ONCE.format(5))
        url = one.create()
        found = one.get("/" + url["short_code"], headers=self.client("192.0.2.1"))
        self.assertEqual(found.status, 302)
        result = [one.get(f"/code{i}", headers=self.client("192.0.2.1")).status for i in range(20)]
        self.assertEqual(result, [404] * 5 + [429] * 15)
        # The scanner no longer learns which codes there are, cached or not.
        hidden = one.get("/" + url["short_code"], headers=self.client("192.0.2.1"))
        self.assertEqual(hidden.status, 429)
        self.assertGreater(int(hidden.headers["Retry-After"]), 0)
        page = one.get("/code99", headers={**self.client("192.0.2.1"), "Accept": "text/html"})
        self.assertEqual((page.status, page.headers["Content-Type"]), (429, "text/html; charset=utf-8"))
        # Others, and the API, are not touched.
        self.assertEqual(one.get("/" + url["short_code"], headers=self.client("192.0.2.2")).status, 302)
        self.assertEqual(one.get("/code1", headers=self.client("192.0.2.2")).status, 404)
        self.assertEqual(one.get("/urls", headers=self.client("192.0.2.1")).status, 200)
        self.assertGreaterEqual(one.metric('shortener_limited_total{budget="misses"}'), 16)

    def test_scanner_learns_nothing_of_another_instance(self):
        one, two = (self.start(name, Misses=ONCE.format(5)) for name in "12")
        url = one.create()
        self.assertEqual(self.statuses(two, 2, "192.0.2.2", "/" + url["short_code"]), [302] * 2)  # cached there
        self.assertEqual(self.statuses(one, 6, "192.0.2.1", "/unknown"), [404] * 5 + [429])
        self.assertEqual(self.statuses(two, 3, "192.0.2.1", "/" + url["short_code"]), [429] * 3)
        self.assertEqual(self.statuses(two, 1, "192.0.2.2", "/" + url["short_code"]), [302])

    def test_blocked_scanner_comes_back(self):
        one = self.start(Misses="60/1min:1")
        url = one.create()
        self.statuses(one, 1, "192.0.2.1", "/" + url["short_code"])
        self.assertEqual(self.statuses(one, 2, "192.0.2.1", "/unknown"), [404, 429])
        harness.wait_for(lambda: self.statuses(one, 1, "192.0.2.1", "/" + url["short_code"]) == [302], 5, "the 302")

    def at_once(self, one, codes):
        requests = [f"GET /{code} HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.1\r\n" for code in codes]
        return [int(answer.split()[1]) for answer in one.at_once(requests)]

    def test_scanning_ends_also_for_who_asks_for_all_at_once(self):
        one = self.start(Misses=ONCE.format(5))
        codes = [one.create()["short_code"] for _ in range(20)]
        one.restart()
        statuses = self.at_once(one, [f"code{i}" for i in range(200)] + codes)
        self.assertLessEqual(statuses.count(404), 5)
        self.assertEqual(statuses.count(302), 0, "links that were found by trying")
        self.assertEqual(self.statuses(one, 1, "192.0.2.2", "/" + codes[0]), [302])

    def test_many_links_at_once_are_no_scan(self):
        one = self.start(Misses=ONCE.format(5))
        codes = [one.create()["short_code"] for _ in range(200)]
        one.restart()
        self.assertEqual(set(self.at_once(one, codes)), {302})
        self.assertEqual(self.statuses(one, 6, "192.0.2.1", "/unknown"), [404] * 5 + [429])

    def test_what_waits_for_its_turn_ends_with_its_time(self):
        """Lookups behind others of their client, while the store answers none."""
        self.service.url = postgres.shared().new_url()
        one = self.start(Misses=ONCE.format(1))
        codes = [one.create()["short_code"] for _ in range(3)]
        one.restart()
        with harness.held(self.service):
            self.assertEqual(self.at_once(one, codes), [503] * 3)
        harness.wait_for(lambda: self.at_once(one, codes) == [302] * 3, 10, "the store")

    def test_visits_are_not_limited(self):
        one = self.start(Read=ONCE.format(1), Create="off", Misses=ONCE.format(1))
        url = one.create()
        self.assertEqual(set(self.statuses(one, 200, "192.0.2.1", "/" + url["short_code"])), {302})

    def test_instances_share_the_budgets(self):
        one, two = (self.start(name, Read=ONCE.format(6)) for name in "12")
        result = [self.statuses(i, 1, "192.0.2.1")[0] for _ in range(6) for i in (one, two)]
        self.assertEqual(result, [200] * 6 + [429] * 6)

    def test_user_has_as_many_links_as_allowed(self):
        """Two instances, each asked eight times at once for the rest of what a user may have."""
        one, two = (self.start(name, LinksPerUser=20) for name in "12")
        users = [one.post("/users", {"username": n, "email": f"{n}@example.com"}).json["id"] for n in ("ann", "bob")]
        body = {"url": "https://example.com/", "user_id": users[0]}
        first = one.post("/urls", body).json
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: (one, two)[n % 2].post("/urls", body), range(64)))
        self.assertEqual(sorted(a.status for a in answers), [201] * 19 + [403] * 45)
        self.assertEqual({a.body for a in answers if a.status == 403}, {b'{"error":"This user may have no more links"}\n'})
        self.assertEqual(one.get(f"/urls?user_id={users[0]}&per_page=0").headers["X-Total-Count"], "20")
        self.assertEqual(two.post("/urls", {**body, "user_id": users[1]}).status, 201)
        self.assertEqual(two.post("/urls", {"url": body["url"]}).status, 201)
        self.assertEqual(two.delete(f"/urls/{first['id']}").status, 204)
        self.assertEqual(two.post("/urls", body).status, 403)
        self.assertEqual(two.put(f"/urls/{first['id']}", {"url": "https://example.org/", "is_active": True}).status, 200)
        self.assertEqual(one.get("/" + first["short_code"]).headers["Location"], "https://example.org/")
        # An administrator may give more; then the user has more than enough.
        self.service.ctl("link", "add", f"--user={users[0]}", "https://example.com/")
        self.assertEqual(one.post("/urls", body).status, 403)

    def test_number_of_links_is_reloaded(self):
        one = self.service.start()
        user = one.post("/users", {"username": "ann", "email": "ann@example.com"}).json["id"]
        body = {"url": "https://example.com/", "user_id": user}
        self.assertEqual([one.post("/urls", body).status for _ in range(3)], [201] * 3)
        with open(self.service.config, "w", encoding="utf-8") as file:
            file.write("[Limits]\nLinksPerUser=3\n")
        one.signal(signal.SIGHUP)
        harness.wait_for(lambda: one.post("/urls", body).status == 403, 10, "LinksPerUser=3")

    def test_reload(self):
        config = self.service.config
        one = self.service.start(options=["Server.TrustedProxy=127.0.0.1"])
        self.assertEqual(set(self.statuses(one, 20, "192.0.2.1")), {200})
        for rate, expected in ((ONCE.format(4), 429), ("off", 200)):
            with open(config, "w") as file:
                file.write(f"[Limits]\nRead={rate}\n")
            one.signal(signal.SIGHUP)
            harness.wait_for(lambda: self.statuses(one, 1, "192.0.2.1") == [expected], 10, f"Read={rate}")

    def test_unix_socket_without_a_client_is_not_limited(self):
        path = os.path.join(self.service.folder, "socket")
        one = self.service.start(options=limits(Read=ONCE.format(1)), path=path)
        data = b"GET /urls HTTP/1.1\r\nHost: a.example\r\n\r\n" * 5
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.settimeout(10 * harness.SLOW)
            sock.sendall(data)
            text = b""
            while text.count(b"HTTP/1.1 ") < 5:
                text += sock.recv(65536)
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", text), [b"200"] * 5)
        self.assertEqual(one.get("/urls").status, 200)
        self.assertEqual(one.get("/urls").status, 429)

    def test_pace_of_one_client(self):
        """What one client gets through at full speed, against what is configured."""
        one = self.start(Read="50/1s:2")
        connection = one.connect()
        self.addCleanup(connection.close)
        granted, begin = 0, time.monotonic()
        while time.monotonic() < begin + 3:
            granted += one.request("GET", "/urls/1", headers=self.client("192.0.2.1"),
                                   connection=connection).status != 429
        # What the machine's pauses took away is not to be had again: an upper bound always, a lower
        # one as far as the requests came evenly.
        self.assertLessEqual(granted, 50 * (time.monotonic() - begin) + 2)
        self.assertGreater(granted, 100)


if __name__ == "__main__":
    harness.main()
