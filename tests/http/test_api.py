#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Users, links and events as api.md has them, over sockets: each rule, its words and its order.

Tables: a row is what is sent and what must come back. Lists are in test_lists.py, the import of
users in test_bulk.py, redirects in test_redirect.py.
"""

import json
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

NO_OBJECT = "Request body must be a JSON object"
NO_JSON_TYPE = "Content-Type must be application/json"
BAD_URL = "A valid HTTP or HTTPS URL is required"
HUGE_ID = "9223372036854775808"
NOT_FOUND = {"users": "User not found", "urls": "URL not found"}
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$"


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.one = cls.service.start()
        cls.connection = cls.one.connect()
        cls.user = cls.post(cls, "/users", {"username": "first", "email": "first@example.com"}).json
        cls.url = cls.post(cls, "/urls", {"url": "https://example.com/first"}).json
        cls.names = 0

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()
        cls.service.close()

    def send(self, method, path, body=None, **headers):
        if isinstance(body, (str, bytes)):
            headers.setdefault("Content_Type", "application/json")
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        body = body.encode() if isinstance(body, str) else body
        try:
            return self.one.request(method, path, body, headers, self.connection)
        except Exception:
            self.connection.close()  # the next test begins with a new one
            raise

    def post(self, path, body):
        return Api.send(self, "POST", path, body)

    def put(self, path, body):
        return self.send("PUT", path, body)

    def new_user(self, **fields):
        Api.names += 1
        body = {"username": f"user{self.names}", "email": f"user{self.names}@example.com", **fields}
        return self.post("/users", body)

    def check(self, answer, status, expected, what):
        """expected: the text of an error, or members that the object has."""
        self.assertEqual(answer.status, status, f"{what}: {answer}")
        if isinstance(expected, str):
            self.assertEqual(answer.json, {"error": expected}, what)
        elif expected:
            self.assertEqual({k: answer.json.get(k) for k in expected}, expected, what)

    # ---- bodies as a whole ----

    def body_routes(self):
        return (("POST", "/users"), ("PUT", f"/users/{self.user['id']}"), ("POST", "/urls"),
                ("PUT", f"/urls/{self.url['id']}"), ("POST", "/events"))

    def test_content_type_comes_first(self):
        for method, path in self.body_routes() + (("PUT", "/users/9999"), ("PUT", "/urls/0")):
            for kind in ("", "text/plain", "application/jsonx", "application/+json", "json", "application/json2",
                         "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
                         "application/json, text/plain"):
                for body in (b"{}", b"{", b""):
                    answer = self.send(method, path, body, Content_Type=kind)
                    self.check(answer, 400, NO_JSON_TYPE, (method, path, kind))
        answer = self.one.raw(b"POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        self.assertIn(NO_JSON_TYPE.encode(), answer)

    def test_content_types_that_are_json(self):
        for kind in ("application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json;x=y",
                     "application/vnd.api+json", "application/Problem+JSON; a=b", " application/json "):
            self.check(self.send("POST", "/users", b"{}", Content_Type=kind), 400, "username is required", kind)

    def test_then_the_body_must_be_an_object(self):
        deep = '{"a":' + "[" * 16 + "]" * 16 + "}"
        bodies = [b"", b"{", b"}", b"null", b"[]", b'"text"', b"5", b"true", b"{}{}", b"{} x", b"{'a':1}", b"{a:1}",
                  b'{"a":1,}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":01}', b'{"a":.5}',
                  b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\n"}', b'{"a":"\\x"}', b'{"a":"\\u12"}',
                  b"\xef\xbb\xbf{}", b'{"a":+1}', b'{"a":1.}', b'{"a" 1}', b"\x00", b'{"a":"\xc0\xaf"}', deep.encode(),
                  b"[" * 100000, b'{"a":' * 100000, b"{}\x00"]
        for method, path in self.body_routes() + (("PUT", "/users/9999"), ("PUT", "/urls/" + HUGE_ID)):
            for body in bodies:
                self.check(self.send(method, path, body), 400, NO_OBJECT, (method, path, body[:40]))

    def test_depth_of_16_is_allowed(self):
        body = '{"username":"deep","email":"deep@example.com","x":' + "[" * 15 + "]" * 15 + "}"
        self.check(self.send("POST", "/users", body), 201, {"username": "deep"}, "depth 16")

    def test_then_existence_then_fields(self):
        for kind, bad in (("users", {"username": ""}), ("urls", {"url": 5})):
            for number in ("0", "99999999", HUGE_ID, "9223372036854775807", "99999999999999999999999", "000"):
                self.check(self.put(f"/{kind}/{number}", bad), 404, NOT_FOUND[kind], (kind, number))

    def test_body_over_the_limit(self):
        for method, path in self.body_routes():
            for size in ((1 << 20) + 1, 12 << 20):
                answer = self.one.request(method, path, b"x" * size,
                                          {"Content-Type": "application/json", "X-Request-Id": "mine"})
                self.check(answer, 413, "Request body too large", path)
                self.assertEqual(answer.headers["X-Request-Id"], "mine")

    def test_texts_with_nul_surrogates_and_controls(self):
        bad = [r"\u0000", r"a\u0000b", r"\ud800", r"a\udc00b", r"\udc00\ud800", r"a\u0001b", r"a\u007fb", r"a\nb",
               r"a\tb", r"a\u0085b", "a\x7fb", r"a\u001fb"]
        url, user = self.url["id"], self.user["id"]
        before = len(self.one.get("/events?per_page=100").json)
        for text in bad:
            for method, path, body in (
                    ("POST", "/users", '{"username":"%s","email":"c@example.com"}'),
                    ("POST", "/users", '{"username":"control","email":"%s@example.com"}'),
                    ("PUT", f"/users/{user}", '{"username":"%s"}'),
                    ("PUT", f"/users/{user}", '{"email":"%s@example.com"}'),
                    ("POST", "/urls", '{"url":"https://example.com/%s"}'),
                    ("POST", "/urls", '{"url":"https://example.com/","title":"%s"}'),
                    ("PUT", f"/urls/{url}", '{"url":"https://example.com/%s"}'),
                    ("PUT", f"/urls/{url}", '{"title":"%s"}'),
                    ("POST", "/events", '{"url_id":%d,"event_type":"%%s"}' % url),
                    ("POST", "/events", '{"url_id":%d,"event_type":"x","details":{"a":["%%s"]}}' % url),
                    ("POST", "/events", '{"url_id":%d,"event_type":"x","details":{"%%s":1}}' % url)):
                answer = self.send(method, path, body % text)
                self.assertEqual(answer.status, 400, (body, text, answer))
                self.assertEqual(list(answer.json), ["error"])
        self.assertEqual(len(self.one.get("/events?per_page=100").json), before)

    def test_duplicate_names_and_case(self):
        self.check(self.send("POST", "/urls", '{"url":"x","url":"https://example.com/last"}'), 201,
                   {"original_url": "https://example.com/last"}, "the last of two")
        self.check(self.post("/urls", {"URL": "https://example.com/"}), 400, "url is required", "case of a name")

    # ---- users ----

    def test_user_object(self):
        answer = self.new_user()
        user = answer.json
        self.assertEqual(answer.status, 201)
        self.assertEqual(list(user), ["created_at", "email", "id", "username"])
        self.assertRegex(user["created_at"], TIME)
        self.assertLess(abs(time.time() - time.mktime(time.strptime(user["created_at"] + "UTC", "%Y-%m-%dT%H:%M:%S%Z"))
                            + time.timezone), 20)
        self.assertEqual(answer.body, self.send("GET", f"/users/{user['id']}").body)
        self.assertEqual(answer.body, self.send("GET", f"/users/000{user['id']}").body)

    def test_user_create_values(self):
        mail, name = {"email": "v@example.com"}, {"username": "v"}
        required = {"username": "username is required", "email": "email is required"}
        for field, rest in (("username", mail), ("email", name)):
            self.check(self.post("/users", rest), 400, required[field], "missing")
            for value in (None, "", "   ", "\t\n ", "\u3000\u00a0", 5, 1.5, True, False, [], ["a@b.co"], {}, {"a": 1}):
                self.check(self.post("/users", {**rest, field: value}), 400, required[field], (field, value))
        too_long = " must be 255 characters or fewer"
        self.check(self.post("/users", {**mail, "username": "x" * 256}), 400, "username" + too_long, "256")
        self.check(self.post("/users", {**mail, "username": "é" * 256}), 400, "username" + too_long, "256 of two")
        self.check(self.post("/users", {**name, "email": "x" * 256}), 400, "email" + too_long, "256, no @")
        self.check(self.post("/users", {**name, "email": "x" * 250 + "@ex.co"}), 400, "email" + too_long, "256")
        for bad in ("plain", "a@b", "a@b@c.com", "@b.com", "a b@c.com", "a@b .com", "a@", "@", "a@b\u00a0c.com", "a.b@c",
                    "a@@b.com", "a@.", "a\u2003@b.com"):
            self.check(self.post("/users", {**name, "email": bad}), 400, "Invalid email format", bad)
        for body in ({}, {"email": "bad"}, {"email": 5}, {"username": "", "email": ""}):
            self.check(self.post("/users", body), 400, required["username"], body)

    def test_user_create_at_the_limits(self):
        for fields in ({"username": "é" * 255}, {"username": "  " + "n" * 255 + " "}, {"email": "x" * 249 + "@ex.co"},
                       {"username": "\U0001f600" * 255}, {"email": "ü@exämple.com"}, {"email": "a.b+c@d.e.f"},
                       {"email": '"q"@a.b'}, {"username": 'q"\\/<>&'}, {"username": "a b"}):
            answer = self.new_user(**fields)
            self.check(answer, 201, {k: v.strip() for k, v in fields.items()}, fields)

    def test_user_ignores_what_it_does_not_know(self):
        answer = self.new_user(id=1, created_at="2000-01-01T00:00:00", admin=True, password=[1, {"a": None}], n=1e300)
        self.assertEqual((answer.status, len(answer.json)), (201, 4))
        self.assertNotEqual(answer.json["id"], 1)
        self.assertFalse(answer.json["created_at"].startswith("2000"))
        self.check(self.send("POST", "/users", '{"username":"big","email":"big@example.com","n":1e400}'), 201, {}, "n")

    def test_user_conflicts(self):
        a, b = (self.new_user(username=f"clash{i}", email=f"clash{i}@example.com").json for i in (1, 2))
        for name, mail, text in (("clash1", "x@example.com", "Username already exists"),
                                 ("x-clash", "clash1@example.com", "Email already exists"),
                                 ("clash1", "clash2@example.com", "Username already exists"),
                                 (" clash1 ", " clash1@example.com ", "Username already exists")):
            self.check(self.post("/users", {"username": name, "email": mail}), 409, text, (name, mail))
        self.check(self.post("/users", {"username": "clash1", "email": "bad"}), 400, "Invalid email format", "400 first")
        self.assertEqual(self.new_user(username="CLASH1", email="CLASH1@example.com").status, 201)
        both = "Username or email already exists"
        path = f"/users/{a['id']}"
        self.check(self.put(path, {"username": "clash2"}), 409, both, "name")
        self.check(self.put(path, {"email": " clash2@example.com"}), 409, both, "mail")
        self.check(self.put(path, {"username": "fresh", "email": "clash2@example.com"}), 409, both, "no part of it")
        self.assertEqual(self.send("GET", path).json, a)
        self.check(self.put(path, {"username": "clash1", "email": "clash1@example.com"}), 200, a, "its own")
        self.assertEqual(self.send("DELETE", f"/users/{b['id']}").status, 204)
        self.check(self.put(path, {"username": "clash2"}), 200, {"username": "clash2"}, "free again")

    def test_user_update(self):
        user = self.new_user().json
        path = f"/users/{user['id']}"
        for field in ("username", "email"):
            for value in ("", "  ", None, 42, True, [], {}):
                self.check(self.put(path, {field: value}), 400, f"{field} cannot be empty", (field, value))
            self.check(self.put(path, {field: "x" * 256}), 400, f"{field} must be 255 characters or fewer", field)
        for bad in ("bad", "a@b", "a@b@c.de", "a b@c.de"):
            self.check(self.put(path, {"email": bad}), 400, "Invalid email format", bad)
        self.check(self.put(path, {"username": "", "email": ""}), 400, "username cannot be empty", "order")
        self.check(self.put(path, {"username": "kept-out", "email": "bad"}), 400, "Invalid email format", "order")
        self.check(self.put(path, {"created_at": "2000-01-01T00:00:00", "id": 7}), 200, user, "unknown fields")
        self.check(self.put(path, {}), 200, user, "nothing")
        self.check(self.put(path, {"username": "  renamed "}), 200, {**user, "username": "renamed"}, "trimmed")
        self.check(self.put(path, {"email": "renamed@example.com"}), 200,
                   {**user, "username": "renamed", "email": "renamed@example.com"}, "partial")

    def test_user_delete(self):
        user = self.new_user().json
        url = self.one.create(user_id=user["id"])
        event = self.post("/events", {"url_id": url["id"], "event_type": "x", "user_id": user["id"]}).json
        answer = self.send("DELETE", f"/users/{user['id']}")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertNotIn("Content-Length", answer.headers)
        for method in ("DELETE", "GET"):
            self.check(self.send(method, f"/users/{user['id']}"), 404, "User not found", method)
        self.check(self.put(f"/users/{user['id']}", {}), 404, "User not found", "PUT")
        self.check(self.send("GET", f"/urls/{url['id']}"), 200, {"user_id": None, "is_active": True}, "orphan")
        rows = {e["id"]: e for e in self.send("GET", f"/urls/{url['id']}/events").json}
        self.assertEqual(rows[event["id"]], {**event, "user_id": None})
        for path in (f"/events?user_id={user['id']}", f"/urls?user_id={user['id']}"):
            self.assertEqual((self.send("GET", path).json, self.send("GET", path).headers["X-Total-Count"]), ([], "0"))
        self.check(self.post("/urls", {"url": "https://a.de", "user_id": user["id"]}), 404, "User not found", "gone")
        self.assertGreater(self.new_user().json["id"], user["id"])

    # ---- links ----

    def test_url_object_and_its_event(self):
        answer = self.post("/urls", {"url": " https://example.com/\u00e9?q#f ", "title": " T ", "user_id": 1,
                                     "is_active": False, "short_code": "custom", "id": 1, "created_at": "2000"})
        url = answer.json
        self.assertEqual(answer.status, 201)
        self.assertEqual(list(url), ["created_at", "id", "is_active", "original_url", "short_code", "title", "updated_at",
                                     "user_id"])
        self.assertEqual((url["original_url"], url["title"], url["user_id"], url["is_active"]),
                         ("https://example.com/\u00e9?q#f", "T", 1, True))
        self.assertRegex(url["short_code"], r"^[A-Za-z0-9]{6}$")
        self.assertRegex(url["created_at"], TIME)
        self.assertEqual(url["created_at"], url["updated_at"])
        self.assertEqual(self.send("GET", f"/urls/{url['id']}").body, answer.body)
        events = self.send("GET", f"/urls/{url['id']}/events").json
        self.assertEqual(len(events), 1)
        self.assertEqual({k: events[0][k] for k in ("event_type", "details", "url_id", "user_id", "timestamp")},
                         {"event_type": "created", "url_id": url["id"], "user_id": 1, "timestamp": url["created_at"],
                          "details": {"original_url": url["original_url"], "short_code": url["short_code"]}})

    def test_url_values(self):
        for body in ({}, {"original_url": None}, {"original_url": "", "url": ""}, {"original_url": 5}, {"url": True},
                     {"original_url": ["https://example.com"]}, {"original_url": {}}, {"url": "   "}, {"url": None},
                     {"original_url": 5, "url": 7}, {"original_url": None, "url": False}):
            self.check(self.post("/urls", body), 400, "url is required", body)
        ok = "https://example.com/alias"
        for body in ({"url": ok}, {"original_url": "", "url": ok}, {"original_url": None, "url": ok},
                     {"original_url": ok, "url": "bad"}, {"original_url": ok, "url": 5}, {"url": f"\t{ok}\r\n"}):
            self.check(self.post("/urls", body), 201, {"original_url": ok}, body)

    def test_url_formats(self):
        for bad in ("bad", "ftp://files.example.com", "http://", "http:///path", "https:example.com", "https:/a.com",
                    "//example.com", "javascript:alert(1)", "https://exa mple.com/x", "https://example.com/a b",
                    "https://example.com:99999/x", "https://example.com:65536", "https://example.com:-1",
                    "https://example.com:port", "https://user@example.com", "https://user:pw@example.com", "http://a",
                    "https://example.com\\path", "https://exa\tmple.com", "https://[::1", "https://[::g]", "http://1.2.3.256",
                    "https://example.com/\r\nX: y", "https://ex<ample.com", "https://?q", "https://#f", "mailto:a@b.co",
                    "https://exa%00mple.com", "https://xn--a", "http://1.2.3.4.5", "data:text/html,x", "https://a|b.com",
                    "https://example.com/" + "x" * 2029, "https://example.com/" + "é" * 1015, "https://:80", "https://@"):
            self.check(self.post("/urls", {"url": bad}), 400, BAD_URL, bad)
            self.check(self.put(f"/urls/{self.url['id']}", {"url": bad}), 400, BAD_URL, bad)

    def test_url_locations(self):
        for target, location in (
                ("http://ab", "http://ab/"), ("HTTPS://EXAMPLE.COM/UP", "https://example.com/UP"),
                ("http://localhost:8080", "http://localhost:8080/"), ("http://10.0.0.1/x", "http://10.0.0.1/x"),
                ("https://example.com/s?q=a%20b&x=1#frag", "https://example.com/s?q=a%20b&x=1#frag"),
                ("https://b\u00fccher.example/\u00e9?\u00fc=\u20ac#\u00df",
                 "https://xn--bcher-kva.example/%C3%A9?%C3%BC=%E2%82%AC#%C3%9F"),
                ("http://[::1]:80/a", "http://[::1]/a"), ("https://example.com:443/\"<>", "https://example.com/%22%3C%3E"),
                ("https://example.com/" + "x" * 2028, "https://example.com/" + "x" * 2028),
                ("https://\u65e5\u672c.example", "https://xn--wgv71a.example/"), ("http://[2001:DB8::1]", "http://[2001:db8::1]/"),
                ("https://example.com/" + "\u00e9" * 1014, "https://example.com/" + "%C3%A9" * 1014)):
            answer = self.post("/urls", {"original_url": target})
            self.check(answer, 201, {"original_url": target}, target)
            for _ in range(2):
                seen = self.send("GET", "/" + answer.json["short_code"])
                self.assertEqual((seen.status, seen.headers["Location"]), (302, location))

    def test_titles(self):
        ok, path = {"url": "https://example.com/"}, f"/urls/{self.url['id']}"
        for title, shown in ((None, None), ("", None), ("   ", None), ("\u3000", None), (" pad ", "pad"), ("t" * 255,) * 2,
                             ("\u00e9" * 255,) * 2, ("\U0001f600 \u202e",) * 2, (' "\\</script> ', '"\\</script>')):
            self.check(self.post("/urls", {**ok, "title": title}), 201, {"title": shown}, title)
            self.check(self.put(path, {"title": title}), 200, {"title": shown}, title)
        for title in (5, 0, True, False, [], ["x"], {}, 1.5):
            self.check(self.post("/urls", {**ok, "title": title}), 400, "title must be a string", title)
            self.check(self.put(path, {"title": title}), 400, "title must be a string", title)
        long = "title must be 255 characters or fewer"
        self.check(self.post("/urls", {**ok, "title": "\u00e9" * 256}), 400, long, "256")
        self.check(self.put(path, {"title": " " + "t" * 256}), 400, long, "256")
        self.check(self.post("/urls", {"url": "bad", "title": 5}), 400, BAD_URL, "order")
        self.check(self.post("/urls", {**ok, "title": 5, "user_id": "x"}), 400, "user_id must be an integer", "order")
        self.check(self.post("/urls", {**ok, "title": 5, "user_id": 99999}), 404, "User not found", "order")
        self.check(self.post("/urls", {"url": "bad", "user_id": 99999}), 400, BAD_URL, "order")

    WHOLE = (("1", 1), ("1.0", 1), ("10e-1", 1), ("0.01e2", 1), ("1.000e0", 1), ("1E0", 1))
    NO_INTEGERS = ("1.5", "true", "false", '"1"', '""', "[]", "[1]", "{}", "1e400", "-1e400", "1e-1", "0.5", HUGE_ID,
                   "1" + "0" * 400, '"abc"', "1e99999999999999999999")
    NOT_POSITIVE = ("0", "-1", "-3", "0.0", "-0", "-9223372036854775808", "0e99", "-1e2")
    UNKNOWN = ("99999999", "99999999999", "9223372036854775807", "1e18", "1e8")

    def test_integers(self):
        url = self.url["id"]
        for field, body, missing in (
                ("user_id", '{"url":"https://example.com/u","user_id":%s}', "User not found"),
                ("user_id", '{"url_id":%d,"event_type":"x","user_id":%%s}' % url, "User not found"),
                ("url_id", '{"url_id":%s,"event_type":"x"}', "URL not found")):
            path = "/urls" if "https" in body else "/events"
            for number, value in self.WHOLE:
                self.check(self.send("POST", path, body % number), 201, {field: value}, number)
            for number in self.NO_INTEGERS:
                self.check(self.send("POST", path, body % number), 400, f"{field} must be an integer", number)
            for number in self.NOT_POSITIVE:
                self.check(self.send("POST", path, body % number), 400, f"{field} must be a positive integer", number)
            for number in self.UNKNOWN:
                self.check(self.send("POST", path, body % number), 404, missing, number)
        self.check(self.post("/urls", {"url": "https://example.com/u", "user_id": None}), 201, {"user_id": None}, "null")

    def test_url_update_and_its_events(self):
        url = self.one.create("https://example.com/a", user_id=1)
        path = f"/urls/{url['id']}"
        for value in (None, "", "  ", 5, True, [], {}, "bad"):
            for name in ("original_url", "url"):
                self.check(self.put(path, {name: value}), 400, BAD_URL, value)
        for value in ("true", "True", 1, 0, None, [], {}, ""):
            self.check(self.put(path, {"is_active": value}), 400, "is_active must be a boolean", value)
        self.check(self.put(path, {"url": "bad", "title": 5, "is_active": 1}), 400, BAD_URL, "order")
        self.check(self.put(path, {"title": 5, "is_active": 1}), 400, "title must be a string", "order")
        self.check(self.put(path, {"url": "https://example.com/no", "title": "no", "is_active": 1}), 400,
                   "is_active must be a boolean", "order")
        self.assertEqual(self.send("GET", path).json, url)
        self.assertEqual(len(self.send("GET", path + "/events").json), 1)

        sent = {"is_active": False, "title": "  t ", "url": " https://example.com/b ", "short_code": "x", "user_id": None}
        changed = {**url, "original_url": "https://example.com/b", "title": "t", "is_active": False}
        changed.pop("updated_at")
        self.check(self.put(path, sent), 200, changed, "all")
        self.check(self.put(path, {"is_active": True, "title": None}), 200, {"is_active": True, "title": None}, "back")
        self.check(self.put(path, {"is_active": True, "original_url": "https://example.com/b"}), 200, {}, "the same again")
        self.check(self.put(path, {}), 200, {}, "nothing")
        events = self.send("GET", path + "/events").json
        self.assertEqual([e["id"] for e in events], sorted((e["id"] for e in events), reverse=True))
        self.assertEqual([(e["details"]["field"], e["details"]["new_value"]) for e in reversed(events[:-1])],
                         [("original_url", "https://example.com/b"), ("title", "t"), ("is_active", "False"),
                          ("title", "None"), ("is_active", "True"),
                          ("original_url", "https://example.com/b"), ("is_active", "True")])
        self.assertEqual({(e["event_type"], e["user_id"], len(e["details"])) for e in events[:-1]}, {("updated", 1, 2)})

    def test_empty_update_moves_updated_at(self):
        url = self.one.create()
        path = f"/urls/{url['id']}"
        moved = harness.wait_for(lambda: self.put(path, {}).json["updated_at"] > url["updated_at"], what="a new second")
        self.assertTrue(moved)
        self.assertEqual(self.send("GET", path).json["created_at"], url["created_at"])
        self.assertEqual(len(self.send("GET", path + "/events").json), 1)

    def test_url_delete(self):
        url = self.one.create()
        path = f"/urls/{url['id']}"
        self.assertEqual(self.send("GET", "/" + url["short_code"]).status, 302)
        self.check(self.send("GET", path + "/stats"), 200, {"redirect_count": 1}, "the visit is in")
        answer = self.send("DELETE", path)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.check(self.send("DELETE", path), 404, "URL not found", "twice")
        self.check(self.send("GET", "/" + url["short_code"]), 404, "URL not found", "redirect")
        self.check(self.send("GET", path), 200, {"is_active": False}, "inactive ones too")
        self.check(self.send("GET", path + "/stats"), 200, {"redirect_count": 1}, "stats")
        self.check(self.post("/events", {"url_id": url["id"], "event_type": "late"}), 201, {}, "event")
        events = self.send("GET", path + "/events").json
        self.assertEqual([e["event_type"] for e in events], ["late", "deleted", "redirect", "created"])
        self.assertEqual(events[1]["details"], {"reason": "user_requested"})
        self.check(self.put(path, {"is_active": True}), 200, {"is_active": True}, "woken")
        self.assertEqual(self.send("GET", "/" + url["short_code"]).status, 302)
        self.assertEqual(self.send("DELETE", path).status, 204)

    def test_stats(self):
        url = self.one.create()
        for n in range(1, 4):
            self.send("GET", "/" + url["short_code"])
            self.send("HEAD", "/" + url["short_code"])
            answer = self.send("GET", f"/urls/{url['id']}/stats")
            self.assertEqual(answer.json, {"redirect_count": n, "url": url})
        self.post("/events", {"url_id": url["id"], "event_type": "redirect"})
        self.post("/events", {"url_id": url["id"], "event_type": "Redirect"})
        self.check(self.send("GET", f"/urls/{url['id']}/stats"), 200, {"redirect_count": 4}, "events of that type")

    # ---- events ----

    def test_event_object(self):
        sent = {"url_id": self.url["id"], "event_type": "click", "user_id": 1, "id": 1, "timestamp": "2000-01-01T00:00:00",
                "details": {"b": [1.0, 1e2, 0.1, -0, None, True, 12345678901234567890], "a": {"z": "\u00e9\U0001f600", "y": {}}}}
        answer = self.post("/events", sent)
        event = answer.json
        self.assertEqual(answer.status, 201)
        self.assertEqual(list(event), ["details", "event_type", "id", "timestamp", "url_id", "user_id"])
        self.assertEqual((event["details"], event["user_id"]), (sent["details"], 1))
        self.assertLess(abs(time.time() - time.mktime(time.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S"))
                            + time.timezone), 20)
        self.assertIn(rb'"details":{"a":{"y":{},"z":"\u00E9\uD83D\uDE00"},"b":[1.0,', answer.body.replace(
            rb"\u00e9\ud83d\ude00", rb"\u00E9\uD83D\uDE00"))
        self.assertEqual(self.send("GET", "/events?per_page=1").body, b"[" + answer.body.rstrip(b"\n") + b"]\n")

    def test_event_values(self):
        ok = {"url_id": self.url["id"], "event_type": "x"}
        for body in ({}, {"event_type": "x"}, {"url_id": None, "event_type": ""}):
            self.check(self.post("/events", body), 400, "url_id is required", body)
        for value in (None, "", "   ", 5, True, ["x"], {}, "e" * 256, "\u00e9" * 256):
            self.check(self.post("/events", {**ok, "event_type": value}), 400, "event_type is required", value)
        self.check(self.post("/events", {"url_id": 1}), 400, "event_type is required", "missing")
        for value in ("e" * 255, "\u00e9" * 255, "A b", "created", "x.y/z"):
            self.check(self.post("/events", {**ok, "event_type": value}), 201, {"event_type": value}, value)
        for value in ("word", 5, [], [1], True, False, "", 0):
            self.check(self.post("/events", {**ok, "details": value}), 400, "details must be a JSON object", value)
        for value in (None, {}, {"a": "x" * 4088}, {"": ""}):
            self.check(self.post("/events", {**ok, "details": value}), 201, {"details": value}, "details")
        self.check(self.post("/events", {**ok, "details": {"a": "x" * 4089}}), 400, "Bad request", "over 4 KiB")
        self.check(self.post("/events", ok), 201, {"details": None, "user_id": None}, "least")

    def test_event_order(self):
        url, bad = self.url["id"], {"event_type": "", "user_id": "x", "details": 5}
        self.check(self.post("/events", {**bad, "url_id": "x"}), 400, "url_id must be an integer", 1)
        self.check(self.post("/events", {**bad, "url_id": 0}), 400, "url_id must be a positive integer", 2)
        self.check(self.post("/events", {**bad, "url_id": 99999999}), 404, "URL not found", 3)
        self.check(self.post("/events", {**bad, "url_id": url}), 400, "event_type is required", 4)
        bad["event_type"] = "x"
        self.check(self.post("/events", {**bad, "url_id": url}), 400, "user_id must be an integer", 5)
        self.check(self.post("/events", {**bad, "url_id": url, "user_id": 99999999}), 404, "User not found", 6)
        self.check(self.post("/events", {**bad, "url_id": url, "user_id": 1}), 400, "details must be a JSON object", 7)

    # ---- paths, methods, fields of answers ----

    def test_paths_that_are_not_there(self):
        url = self.url["id"]
        for path in ("/", "//", "/users/", "/urls/", "/events/", "/users/abc", "/users/-1", "/users/1.5", "/users/1/", "/a/b",
                     "/a/b/c", "/users/+1", "/users/1a", "/users/%31", "/users//1", "//users", "/urls/abc/stats", "/health/",
                     f"/urls/{url}/", f"/urls/{url}/x", f"/urls/{url}/stats/", f"/urls/{url}/stats/x", "/events/1",
                     "/users/1/urls", "/urls/1.0", "/urls/ 1".replace(" ", "%20"), "/metrics/", f"/{self.url['short_code']}/",
                     "/urls/-1/events", "/users/%D9%A1", "/users/1;x"):
            self.check(self.send("GET", path), 404, "Not found", path)
        for kind, text in NOT_FOUND.items():
            for number in ("0", "00", "99999999", HUGE_ID, "99999999999999999999", "9" * 100):
                for method in ("GET", "DELETE"):
                    self.check(self.send(method, f"/{kind}/{number}"), 404, text, (method, number))
        for leaf in ("stats", "events"):
            for number in ("0", "99999999", HUGE_ID):
                self.check(self.send("GET", f"/urls/{number}/{leaf}"), 404, "URL not found", (leaf, number))

    def test_methods(self):
        for path, allow in (("/users", "GET, HEAD, POST, OPTIONS"), ("/users/1", "GET, HEAD, PUT, DELETE, OPTIONS"),
                            ("/users/bulk", "POST, OPTIONS"), ("/urls", "GET, HEAD, POST, OPTIONS"),
                            ("/urls/1", "GET, HEAD, PUT, DELETE, OPTIONS"), ("/urls/1/stats", "GET, HEAD, OPTIONS"),
                            ("/urls/1/events", "GET, HEAD, OPTIONS"), ("/events", "GET, HEAD, POST, OPTIONS"),
                            ("/health", "GET, HEAD, OPTIONS"), ("/ready", "GET, HEAD, OPTIONS"),
                            ("/metrics", "GET, HEAD, OPTIONS"), ("/nosuch", "GET, HEAD, OPTIONS")):
            methods = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"}
            for method in sorted(methods - set(allow.split(", "))):
                answer = self.one.request(method, path)
                self.check(answer, 405, "Method not allowed" if method != "HEAD" else None, (method, path))
                self.assertEqual(answer.headers["Allow"], allow)
            answer = self.send("OPTIONS", path)
            self.assertEqual((answer.status, answer.body, answer.headers["Allow"]), (200, b"", allow), path)
            self.assertEqual(answer.headers["Content-Length"], "0")

    def test_head_is_get_without_the_body(self):
        for path in ("/health", "/ready", "/users", "/users/1", "/urls", f"/urls/{self.url['id']}", "/events?per_page=3",
                     f"/urls/{self.url['id']}/stats", f"/urls/{self.url['id']}/events", "/users/99999", "/users?page=-1",
                     "/a/b", "/nosuch", "/urls?per_page=2&page=2"):
            get, head = (self.send(method, path, X_Request_Id="same") for method in ("GET", "HEAD"))
            self.assertEqual((head.status, head.body), (get.status, b""))
            self.assertEqual([f for f in head.headers.items() if f[0] != "Date"],
                             [f for f in get.headers.items() if f[0] != "Date"])
            self.assertEqual(int(head.headers["Content-Length"]), len(get.body))
        answer = self.send("HEAD", "/metrics")
        self.assertEqual((answer.status, answer.body, answer.headers["Content-Type"]),
                         (200, b"", "text/plain; version=0.0.4; charset=utf-8"))

    def test_fields_of_every_answer(self):
        for method, path, body in (("GET", "/users", None), ("POST", "/users", b"{"), ("GET", "/a/b", None),
                                   ("PATCH", "/urls", None), ("OPTIONS", "/urls", None), ("GET", "/nosuch", None),
                                   ("DELETE", f"/urls/{self.one.create()['id']}", None), ("GET", "/health", None),
                                   ("GET", "/" + self.url["short_code"], None), ("GET", "/metrics", None)):
            for sent in ("my-id_1.2", "x" * 64):
                self.assertEqual(self.send(method, path, body, X_Request_Id=sent).headers["X-Request-Id"], sent)
            ids = set()
            for sent in ("", "a b", "x" * 65, "a/b", "\xe9", "a,b"):
                answer = self.send(method, path, body, X_Request_Id=sent)
                self.assertRegex(answer.headers["X-Request-Id"], r"^[A-Za-z0-9._-]{1,64}$")
                self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
                self.assertIn("GMT", answer.headers["Date"])
                self.assertNotIn("Server", answer.headers)
                ids.add(answer.headers["X-Request-Id"])
            self.assertEqual(len(ids), 6)

    def test_json_is_canonical(self):
        self.new_user(username='\u00e9\U0001f600"\\/\u2028')
        for path in ("/users?per_page=100", "/urls?per_page=100", "/events?event_type=created", "/health", "/users/1",
                     f"/urls/{self.url['id']}/stats", "/users/99999", "/nosuch", "/a/b"):
            answer = self.send("GET", path)
            self.assertEqual(answer.headers["Content-Type"], "application/json")
            self.assertTrue(answer.body.endswith(b"\n") and answer.body.isascii(), path)
            again = json.dumps(answer.json, sort_keys=True, separators=(",", ":"))
            plain = re.sub(r"\\u[0-9A-F]{4}", lambda match: match.group().lower(), answer.body.decode())
            self.assertEqual(plain, again + "\n")

    def test_health(self):
        answer = self.send("GET", "/health")
        self.assertEqual(answer.body, b'{"database":"connected","status":"ok"}\n')
        self.assertEqual(answer.headers["X-Instance"], "1")
        self.assertEqual(self.send("GET", "/ready").status, 200)
        self.assertEqual(self.send("GET", "/metrics").headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")

    def test_codes_are_new_and_never_a_route(self):
        with harness.Service(["Links.CodeLength=4"]) as service:
            one = service.start()
            connection = one.connect()
            body = {"url": "https://example.com/same"}
            rows = [one.post("/urls", body, connection=connection).json for _ in range(300)]
            connection.close()
        codes = {r["short_code"] for r in rows}
        self.assertEqual((len(codes), len({r["id"] for r in rows})), (300, 300))
        self.assertTrue(all(re.fullmatch("[A-Za-z0-9]{4}", c) and c != "urls" for c in codes))


if __name__ == "__main__":
    harness.main()
