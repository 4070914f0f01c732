#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ETag, If-Match and If-None-Match on two instances: who read an old state changes nothing, who has the
newest gets it no second time."""

import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

ROUNDS = 1000


class IfMatch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.one, cls.two = cls.service.start("1"), cls.service.start("2")

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def tag(self, path, instance=None):
        return (instance or self.one).get(path).headers["ETag"]

    def race(self, path, bodies):
        """ROUNDS times both instances get a PUT with the same If-Match; the statuses of each round. The
        last answer of who won has the tag of the next round."""
        start, done = threading.Barrier(2), threading.Barrier(2)
        rounds, tags = [[None, None] for _ in range(ROUNDS)], [self.tag(path), self.tag(path)]

        def run(side, instance):
            connection = instance.connect()
            for n in range(ROUNDS):
                tag = tags[n % 2]
                start.wait(60)
                answer = instance.put(path, bodies(n, side), headers={"If-Match": tag}, connection=connection)
                rounds[n][side] = answer.status
                if answer.status == 200:
                    tags[(n + 1) % 2] = answer.headers["ETag"]
                done.wait(60)
            connection.close()
        threads = [threading.Thread(target=run, args=(side, i)) for side, i in enumerate((self.one, self.two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return rounds

    def test_of_two_changes_of_one_state_one_is_made(self):
        path = f"/urls/{self.one.create()['id']}"
        rounds = self.race(path, lambda n, side: {"title": f"{n} by {side}"})
        self.assertEqual([r for r in rounds if sorted(r) != [200, 412]], [])
        winners = [r.index(200) for r in rounds]
        self.assertEqual(self.two.get(path).json["title"], f"{ROUNDS - 1} by {winners[-1]}")
        total = self.one.get(path + "/events?per_page=1").headers["X-Total-Count"]
        self.assertEqual(total, str(1 + ROUNDS))

    def test_the_same_for_users(self):
        user = self.one.post("/users", {"username": "racer", "email": "racer@example.com"}).json
        path = f"/users/{user['id']}"
        rounds = self.race(path, lambda n, side: {"email": f"n{n}s{side}@example.com"})
        self.assertEqual([r for r in rounds if sorted(r) != [200, 412]], [])

    def test_the_tag_is_the_same_everywhere_and_visits_leave_it_alone(self):
        url = self.one.create()
        path = f"/urls/{url['id']}"
        tag = self.tag(path)
        self.assertEqual(self.tag(path, self.two), tag)
        self.assertEqual(self.one.request("HEAD", path).headers["ETag"], tag)
        for _ in range(5):
            self.assertEqual(self.two.get("/" + url["short_code"]).status, 302)
        self.assertEqual(self.one.get(path + "/stats").json["redirect_count"], 5)
        self.assertEqual(self.tag(path), tag)
        answer = self.two.put(path, {"title": "x"}, headers={"If-Match": f'"a", {tag}'})
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.tag(path), answer.headers["ETag"])

    def test_a_change_that_is_refused_leaves_the_redirect(self):
        url = self.one.create()
        path, stale = f"/urls/{url['id']}", {"If-Match": '"stale"'}
        answer = self.one.put(path, {"url": "https://example.com/stale"}, headers=stale)
        self.assertEqual((answer.status, answer.json), (412, {"error": "Precondition failed"}))
        self.assertIsNone(answer.headers["ETag"])
        self.assertEqual(self.one.delete(path, headers=stale).status, 412)
        self.assertEqual(self.one.delete(path, headers={"If-Match": "W/" + self.tag(path)}).status, 412)
        for instance in (self.one, self.two):
            self.assertEqual(instance.get("/" + url["short_code"]).headers["Location"], url["original_url"])
        self.assertEqual(self.one.delete(path, headers={"If-Match": self.tag(path)}).status, 204)
        self.assertEqual(self.two.get("/" + url["short_code"]).status, 404)

    def test_a_change_of_what_must_not_be_there(self):
        """RFC 9110, 13.1.2: If-None-Match that fits is 412 for what is no GET."""
        url = self.one.create()
        path = f"/urls/{url['id']}"
        tag = self.tag(path)
        for field in ("*", tag, "W/" + tag, f'"a", {tag}'):
            for method, body in (("DELETE", None), ("PUT", {"url": "https://example.com/changed"})):
                answer = self.two.request(method, path, body, headers={"If-None-Match": field})
                self.assertEqual((answer.status, answer.json), (412, {"error": "Precondition failed"}), (method, field))
        self.assertEqual(self.tag(path), tag)
        self.assertEqual(self.one.get("/" + url["short_code"]).headers["Location"], url["original_url"])
        self.assertEqual(self.one.delete("/urls/999999", headers={"If-None-Match": "*"}).status, 404)
        self.assertEqual(self.one.delete(path, headers={"If-None-Match": '"a"'}).status, 204)
        self.assertEqual(self.two.get("/" + url["short_code"]).status, 404)

    def test_two_lines_of_if_match_are_refused(self):
        path = f"/urls/{self.one.create()['id']}"
        tag = self.tag(path).encode()
        for lines in (b"If-Match: %s\r\nIf-Match: %s\r\n" % (tag, tag), b"If-Match: *\r\nif-match: *\r\n"):
            answer = self.one.raw(b"DELETE %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % (path.encode(), lines))
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertTrue(self.one.get(path).json["is_active"])

    def test_who_has_it_already_gets_no_body(self):
        url = self.one.create()
        path = f"/urls/{url['id']}"
        before = self.one.get(path)
        tag = before.headers["ETag"]
        for instance in (self.one, self.two):
            for field in (tag, f'"a", W/{tag}', "*"):
                for method in ("GET", "HEAD"):
                    answer = instance.request(method, path, headers={"If-None-Match": field})
                    self.assertEqual((answer.status, answer.body, answer.headers["ETag"]), (304, b"", tag))
                    self.assertIsNone(answer.headers["Content-Type"])
        self.assertEqual(self.two.put(path, {"title": "other"}).status, 200)
        answer = self.one.get(path, headers={"If-None-Match": tag})
        self.assertEqual((answer.status, answer.json["title"]), (200, "other"))
        self.assertNotEqual(answer.headers["ETag"], tag)

    def test_the_bytes_of_304_and_what_follows_on_the_connection(self):
        """Neither a body nor its length: the next answer begins behind the empty line."""
        path = f"/urls/{self.one.create()['id']}".encode()
        tag = self.tag(path.decode()).encode()
        one = b"GET %s HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n" % (path, tag)
        last = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path
        first, second, third = self.one.raw(one + one + last).split(b"HTTP/1.1 ")[1:]
        for head in (first, second):
            self.assertTrue(head.startswith(b"304 Not Modified\r\n"), head)
            self.assertTrue(head.endswith(b"\r\n\r\n"), head)
            self.assertEqual(head.count(b"\r\n\r\n"), 1, head)
            self.assertIn(b"\r\nETag: %s\r\n" % tag, head)
            self.assertNotRegex(head, rb"(?i)\r\n(content-length|transfer-encoding|content-type):")
        self.assertTrue(third.startswith(b"200 OK\r\n"), third)
        self.assertIn(b"\r\nContent-Length: ", third)

    def test_304_is_counted(self):
        path = f"/urls/{self.one.create()['id']}"
        self.assertEqual(self.one.get(path, headers={"If-None-Match": "*"}).status, 304)
        line = 'http_requests_total{method="GET",endpoint="urls.get_url",status="304"}'
        harness.wait_for(lambda: self.one.metric(line) > 0, what=line)

    def test_two_lines_of_if_none_match_are_as_none(self):
        path = f"/urls/{self.one.create()['id']}"
        answer = self.one.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: *\r\nIf-None-Match: *\r\n\r\n"
                              % path.encode())
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)


if __name__ == "__main__":
    harness.main()
