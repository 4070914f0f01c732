#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The audit of what the API changes: who, what, old and new, by which request."""

import hashlib
import http.client
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

FORM = "multipart/form-data; boundary=x"
WRITERS = 4
KILLS = 5  # of an instance that is being written to
ANSWERS = 25  # before each


def form(lines):
    return (b'--x\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\n'
            + b"\n".join(lines) + b"\r\n--x--\r\n")


class Case(unittest.TestCase):
    maxDiff = 4000
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.addClassCleanup(cls.service.close)
        cls.one = cls.service.start(options=cls.OPTIONS)

    def rows(self, *words):
        """Newest first."""
        return [json.loads(line) for line in self.service.ctl("audit", "--json", "--limit=0", *words).stdout.splitlines()]

    def by(self, answer):
        """What the request of an answer left: (action, object, old, new) of each row."""
        rows = self.rows("--request=" + answer.headers["X-Request-Id"])
        return [(row["action"], row["object"], row["old"], row["new"]) for row in rows]


class Open(Case):
    """Access=open: nobody has to say who they are."""

    def test_each_change(self):
        made = self.one.post("/users", {"username": "anna", "email": "anna@x.example"})
        user = made.json["id"]
        self.assertEqual(self.by(made), [("create", f"user:{user}", None,
                                          {"email": "anna@x.example", "username": "anna"})])
        changed = self.one.put(f"/users/{user}", {"email": "new@x.example"})
        self.assertEqual(self.by(changed), [("update", f"user:{user}", {"email": "anna@x.example"},
                                             {"email": "new@x.example"})])
        self.assertEqual(self.by(self.one.put(f"/users/{user}", {})), [])
        link = self.one.post("/urls", {"url": "https://x.example/ä?a=\"b\"", "user_id": user, "title": "T"})
        url = link.json["id"]
        self.assertEqual(self.by(link), [("create", f"url:{url}", None, {
            "is_active": True, "original_url": "https://x.example/ä?a=\"b\"", "short_code": link.json["short_code"],
            "title": "T", "user_id": user})])
        changed = self.one.put(f"/urls/{url}", {"original_url": "https://x.example/b", "title": None, "is_active": False})
        self.assertEqual(self.by(changed), [("update", f"url:{url}", {
            "is_active": True, "original_url": "https://x.example/ä?a=\"b\"", "title": "T"}, {
            "is_active": False, "original_url": "https://x.example/b", "title": None})])
        self.one.put(f"/urls/{url}", {"is_active": True})
        gone = self.one.delete(f"/urls/{url}")
        self.assertEqual(self.by(gone), [("delete", f"url:{url}", {"is_active": True}, {"is_active": False})])
        gone = self.one.delete(f"/users/{user}")
        self.assertEqual(self.by(gone), [("delete", f"user:{user}", {"email": "new@x.example", "username": "anna"}, None)])
        rows = self.rows(f"--object=url:{url}")
        self.assertEqual([row["action"] for row in rows], ["delete", "update", "update", "create"])
        self.assertEqual({(row["actor"], row["user_id"]) for row in rows}, {("open", None)})

    def test_the_request_is_named_as_the_answer_names_it(self):
        sent = self.one.post("/urls", {"url": "https://x.example/"}, headers={"X-Request-Id": "mine-1.a_B"})
        self.assertEqual(sent.headers["X-Request-Id"], "mine-1.a_B")
        self.assertEqual(len(self.by(sent)), 1)
        # One that is refused is not written anywhere.
        sent = self.one.post("/urls", {"url": "https://x.example/"}, headers={"X-Request-Id": "bad id'; --"})
        self.assertEqual(len(self.by(sent)), 1)
        self.assertEqual(self.rows("--request=bad id'; --"), [])
        # Requests of one connection, and so of one worker's session, do not inherit from each other.
        connection = self.one.connect()
        answers = [self.one.request("POST", "/urls", {"url": "https://x.example/"}, connection=connection)
                   for _ in range(10)]
        connection.close()
        self.assertEqual([len(self.by(answer)) for answer in answers], [1] * 10)

    def test_events(self):
        url = self.one.create()["id"]
        counted = self.one.post("/events", {"url_id": url, "event_type": "redirect", "details": {"ip": "192.0.2.77"}})
        self.assertEqual(self.by(counted), [("create", f"event:{counted.json['id']}", None,
                                             {"event_type": "redirect", "url_id": url})])
        noted = self.one.post("/events", {"url_id": url, "event_type": "note"})
        self.assertEqual((noted.status, self.by(noted)), (201, []))
        self.assertNotIn("192.0.2.77", json.dumps(self.rows()))

    def test_an_import_is_one_row(self):
        lines = [b"username,email"] + [b"bulk%d,bulk%d@x.example" % (i, i) for i in range(2300)]
        loaded = self.one.post("/users/bulk", form(lines), headers={"Content-Type": FORM})
        self.assertEqual(loaded.json["imported"], 2300)
        self.assertEqual(self.by(loaded), [("import", "store", None, {"events": 0, "urls": 0, "users": 2300})])
        again = self.one.post("/users/bulk", form(lines), headers={"Content-Type": FORM})
        self.assertEqual((again.json["imported"], self.by(again)), (0, []))
        more = self.one.post("/users/bulk", form([lines[0], b"bulk,bulk@x.example"]), headers={"Content-Type": FORM})
        self.assertEqual(self.by(more), [("import", "store", None, {"events": 0, "urls": 0, "users": 1})])

    def test_what_changes_nothing_leaves_no_row(self):
        self.one.post("/users", {"username": "taken", "email": "taken@x.example"})
        url = self.one.create()
        before = self.rows()[0]["id"]
        for method, path, body, status in (
                ("POST", "/users", {"username": "taken", "email": "other@x.example"}, 409),
                ("POST", "/users", {"username": ""}, 400),
                ("PUT", "/users/999999", {"email": "a@x.example"}, 404),
                ("DELETE", "/users/999999", None, 404),
                ("POST", "/urls", {"url": "javascript:alert(1)"}, 400),
                ("POST", "/urls", {"url": "https://x.example/", "user_id": 999999}, 404),
                ("PUT", f"/urls/{url['id']}", {"is_active": "no"}, 400),
                ("DELETE", "/urls/999999", None, 404),
                ("POST", "/events", {"url_id": 999999, "event_type": "redirect"}, 404),
                ("GET", f"/urls/{url['id']}", None, 200),
                ("GET", "/" + url["short_code"], None, 302)):
            with self.subTest((method, path)):
                self.assertEqual(self.one.request(method, path, body).status, status)
        self.assertEqual(self.rows()[0]["id"], before)


class Token(Case):
    OPTIONS = ("API.Access=token", "Limits.FailedAuth=off", "Limits.Create=off")

    def test_who(self):
        user = json.loads(self.service.ctl("--json", "user", "add", "anna", "anna@x.example").stdout)["id"]
        own = self.service.ctl("token", "create", f"--user={user}", "laptop").stdout.strip()
        admin = self.service.ctl("token", "create", "--scopes=admin", "boss").stdout.strip()
        ids = {row["name"]: row["id"] for row in json.loads(self.service.ctl("--json", "token", "list").stdout)}

        def send(token, method, path, body=None):
            return self.one.request(method, path, body, {"Authorization": "Bearer " + token} if token else {})

        made = send(own, "POST", "/urls", {"url": "https://x.example/", "user_id": user})
        url = made.json["id"]
        send(admin, "PUT", f"/urls/{url}", {"title": "T"})
        refused = [send(None, "DELETE", f"/urls/{url}"), send("sht_" + "A" * 49, "DELETE", f"/urls/{url}"),
                   send(own, "POST", "/events", {"url_id": url, "event_type": "redirect"})]
        self.assertEqual([answer.status for answer in refused], [401, 401, 403])
        rows = self.rows(f"--object=url:{url}")
        self.assertEqual([(row["action"], row["actor"], row["user_id"]) for row in rows],
                         [("update", f"token:{ids['boss']}", None), ("create", f"token:{ids['laptop']}", user)])
        self.assertEqual(len(self.rows(f"--actor=token:{ids['laptop']}")), 1)
        self.assertEqual(len(self.rows(f"--actor=user:{user}")), 1)
        self.assertEqual(self.rows()[0]["id"], rows[0]["id"], "what was refused left a row")
        # Nothing of what a token is made of is in there.
        text = json.dumps(self.rows())
        for token in (own, admin):
            digest = hashlib.sha256(token.encode())
            for secret in (token[4:24], token[-12:], digest.hexdigest()[:16]):
                self.assertNotIn(secret, text)


class Killed(unittest.TestCase):
    def write(self, one, stop, answered):
        while not stop.is_set():
            try:
                answer = one.post("/urls", {"url": "https://x.example/k"})
            except (OSError, http.client.HTTPException):
                continue
            if answer.status == 201:
                answered.append(answer.headers["X-Request-Id"])

    def test_change_and_row_are_one(self):
        """An instance is killed while it writes, again and again: each link has its row, each row its link."""
        with harness.Service() as service:
            one = service.start()
            answered, stop = [], threading.Event()
            threads = [threading.Thread(target=self.write, args=(one, stop, answered)) for _ in range(WRITERS)]
            for thread in threads:
                thread.start()
            try:
                for n in range(KILLS):
                    harness.wait_for(lambda n=n: len(answered) >= (n + 1) * ANSWERS, 60, "answers")
                    one.kill()
                    one.start()
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            rows = [json.loads(line) for line in service.ctl("audit", "--json", "--limit=0").stdout.splitlines()]
            links = json.loads(service.ctl("--json", "link", "list", "--limit=0").stdout)
            self.assertGreaterEqual(len(links), KILLS * ANSWERS)
            self.assertEqual(sorted(row["object"] for row in rows), sorted(f"url:{link['id']}" for link in links))
            self.assertEqual(set(answered) - {row["request_id"] for row in rows}, set())


class Keep(unittest.TestCase):
    def test_old_rows_go(self):
        with harness.Service() as service:
            one = service.start()
            one.create()
            [row] = service.ctl("audit", "--json").stdout.splitlines()
            one.stop()
            # Not before the second in which it was written is over: what is that old goes at the start.
            harness.wait_for(lambda: service.ctl("audit", "--since=1s").stdout == "", 20, "the row to be old")
            one.options.append("Audit.Keep=1s")
            one.start()
            harness.wait_for(lambda: service.ctl("audit", "--json").stdout == "", 20, "the row to go")
            one.create()
            later = json.loads(service.ctl("audit", "--json").stdout)
            self.assertGreater(later["id"], json.loads(row)["id"])


if __name__ == "__main__":
    harness.main()
