#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Access=token: every route with every kind of token, the exact table; and what is around it."""

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

# no token, no token by its looks, one that is unknown, expired, revoked, of a user that is gone,
# another user's, the owner's for reading only, for writing only, the owner's, an admin's
KINDS = ("none", "malformed", "unknown", "expired", "revoked", "orphan",
         "foreign", "reader", "writer", "owner", "admin")
BAD = {kind: 401 for kind in KINDS[:6]}


def good(foreign, reader, writer, owner, admin):
    return {**BAD, "foreign": foreign, "reader": reader, "writer": writer, "owner": owner, "admin": admin}


def public(status):
    return {kind: status for kind in KINDS}


# USER and URL are of the owner. Each cell is a request of its own; {n} makes its texts unique.
NEW_USER = {"username": "new{n}", "email": "new{n}@x.example"}
MATRIX = [
    ("GET", "/health", None, public(200)),
    ("GET", "/ready", None, public(200)),     # from this host; see test_guarded_pages
    ("GET", "/metrics", None, public(200)),
    ("GET", "/users", None, good(200, 200, 403, 200, 200)),
    ("POST", "/users", NEW_USER, good(403, 403, 403, 403, 201)),
    ("POST", "/users/bulk", None, good(403, 403, 403, 403, 400)),
    ("GET", "/users/USER", None, good(404, 200, 403, 200, 200)),
    ("PUT", "/users/USER", {"username": "owner{n}"}, good(404, 403, 200, 200, 200)),
    ("DELETE", "/users/0", None, good(404, 403, 404, 404, 404)),
    ("DELETE", "/users/STRANGER", None, good(404, 403, 404, 404, 204)),
    ("GET", "/urls", None, good(200, 200, 403, 200, 200)),
    ("POST", "/urls", {"url": "https://example.com/{n}"}, good(201, 403, 201, 201, 201)),
    ("POST", "/urls", {"url": "https://example.com/{n}", "user_id": "USER"}, good(404, 403, 201, 201, 201)),
    ("GET", "/urls/URL", None, good(404, 200, 403, 200, 200)),
    ("PUT", "/urls/URL", {"title": "{n}"}, good(404, 403, 200, 200, 200)),
    ("DELETE", "/urls/VICTIM", None, good(404, 403, 204, 204, 204)),
    ("GET", "/urls/URL/stats", None, good(404, 200, 403, 200, 200)),
    ("GET", "/urls/URL/events", None, good(404, 200, 403, 200, 200)),
    ("GET", "/events", None, good(200, 200, 403, 200, 200)),
    ("POST", "/events", {"url_id": "URL", "event_type": "note"}, good(404, 403, 201, 201, 201)),
    ("POST", "/events", {"url_id": "URL", "event_type": "redirect"}, good(404, 403, 403, 403, 201)),
    ("POST", "/events", {"url_id": "URL", "event_type": "note", "user_id": "STRANGER"},
     good(404, 403, 404, 404, 201)),
    ("GET", "/CODE", None, public(302)),
    ("GET", "/unknown", None, public(404)),
    ("OPTIONS", "/urls", None, public(200)),
    ("PATCH", "/urls", None, public(405)),
]


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.addClassCleanup(cls.service.close)
        cls.one = cls.service.start(options=["API.Access=token", "Limits.FailedAuth=off", "Limits.Create=off", "Limits.Misses=off",
                                             "Server.TrustedProxy=127.0.0.1"])
        cls.n = 0
        cls.owner, cls.other, gone = (cls.user(name) for name in ("owner", "other", "gone"))
        cls.tokens = {
            "none": None,
            "malformed": "sht_short",
            "unknown": "sht_" + "A" * 49,
            "expired": cls.token(cls.owner, "--expires=1s"),
            "revoked": cls.token(cls.owner),
            "orphan": cls.token(gone),
            "foreign": cls.token(cls.other),
            "reader": cls.token(cls.owner, "--scopes=read"),
            "writer": cls.token(cls.owner, "--scopes=write"),
            "owner": cls.token(cls.owner),
            "admin": cls.ctl("token", "create", "--scopes=admin", "boss").strip(),
        }
        rows = json.loads(cls.ctl("--json", "token", "list"))
        revoked = next(row["id"] for row in rows if row["user_id"] == cls.owner and not row["expires_at"])
        cls.ctl("token", "revoke", str(revoked))
        cls.ctl("user", "delete", "--yes", str(gone))
        cls.url = cls.send("owner", "POST", "/urls", {"url": "https://example.com/mine"}).json
        harness.wait_for(lambda: cls.send("expired", "GET", "/urls").status == 401, 10, "the token to expire")

    @classmethod
    def ctl(cls, *words):
        return cls.service.ctl(*words).stdout

    @classmethod
    def user(cls, name):
        cls.n += 1
        return json.loads(cls.ctl("--json", "user", "add", f"{name}-{cls.n}", f"{name}{cls.n}@x.example"))["id"]

    @classmethod
    def token(cls, user, *options):
        return cls.ctl("token", "create", f"--user={user}", *options, "test").strip()

    @classmethod
    def send(cls, kind, method, path, body=None, headers=None):
        token = cls.tokens[kind]
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        return cls.one.request(method, path, body, headers)

    def fill(self, value):
        """A body with its places filled: numbers stay numbers."""
        if value in ("USER", "URL", "STRANGER"):
            return {"USER": self.owner, "URL": self.url["id"]}.get(value) or self.user("stranger")
        return value.replace("{n}", str(self.n))

    def test_matrix(self):
        wrong = []
        for method, path, body, row in MATRIX:
            for kind in KINDS:
                type(self).n += 1
                target = path.replace("/URL", f"/{self.url['id']}").replace("/USER", f"/{self.owner}")
                target = target.replace("/CODE", "/" + self.url["short_code"])
                if "VICTIM" in target:
                    victim = self.send("owner", "POST", "/urls", {"url": "https://example.com/v"}).json
                    target = target.replace("VICTIM", str(victim["id"]))
                if "STRANGER" in target:
                    target = target.replace("STRANGER", str(self.user("stranger")))
                filled = {key: self.fill(value) for key, value in body.items()} if body else None
                answer = self.send(kind, method, target, filled)
                if answer.status != row[kind]:
                    wrong.append(f"{method} {path} {body} with {kind}: {answer.status}, not {row[kind]}")
                if answer.status == 401:
                    self.assertEqual(answer.json, {"error": "Authentication required"})
                    self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))
                if answer.status == 403:
                    self.assertEqual(answer.json, {"error": "Forbidden"})
        self.assertEqual(wrong, [])

    def test_matrix_has_every_route(self):
        with open(os.path.join(harness.ROOT, "src", "daemon", "routes.c")) as file:
            text = file.read()
        routes = {(method, pattern) for method, pattern in
                  re.findall(r'\.method = HTTP_(\w+), \.pattern = "([^"]+)"', text)}
        tested = {(method, re.sub("/(USER|URL|VICTIM|STRANGER|0)(?=/|$)", "/{id}", path).replace("/CODE", "/{code}"))
                  for method, path, _, _ in MATRIX}
        self.assertEqual(routes - tested, set())

    def paths(self):
        """{pattern: (a path of it, the methods it has)}, from the table."""
        resources = {}
        for method, path, _, row in MATRIX:
            target = re.sub("/(URL|VICTIM)(?=/|$)", f"/{self.url['id']}", path)
            target = re.sub("/(USER|STRANGER|0)(?=/|$)", f"/{self.owner}", target).replace("/CODE", "/" + self.url["short_code"])
            if method not in ("OPTIONS", "PATCH") and path != "/unknown":
                resources.setdefault(target, {})[method] = row
        return resources

    def test_head_is_as_get(self):
        for target, methods in self.paths().items():
            for kind in KINDS:
                answer = self.send(kind, "HEAD", target)
                wanted = methods["GET"][kind] if "GET" in methods else 405
                self.assertEqual((answer.status, answer.body), (wanted, b""), (target, kind))

    def test_other_methods_do_nothing_and_tell_nothing(self):
        before = self.send("admin", "GET", f"/urls/{self.url['id']}").json
        for target, methods in self.paths().items():
            allow = {*methods, "OPTIONS", *({"HEAD"} & {"HEAD" if m == "GET" else m for m in methods})}
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "SEARCH", "MOVE",
                           "get", "delete", "GETX", "POST_"):
                if method in methods:
                    continue
                answers = {kind: self.send(kind, method, target) for kind in KINDS}
                self.assertEqual({a.status for a in answers.values()}, {200 if method == "OPTIONS" else 405}, (method, target))
                for answer in answers.values():
                    if method != "TRACE":
                        self.assertEqual(set(answer.headers["Allow"].split(", ")), allow, (method, target))
        # Of what is not there, and of another's, OPTIONS says the same.
        self.assertEqual(self.send("none", "OPTIONS", "/urls/999999").headers["Allow"], "GET, HEAD, PUT, DELETE, OPTIONS")
        self.assertEqual(self.send("admin", "GET", f"/urls/{self.url['id']}").json, before)

    def test_method_in_a_header_or_query_is_none(self):
        url = self.send("owner", "POST", "/urls", {"url": "https://example.com/stays"}).json
        path = f"/urls/{url['id']}"
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            self.assertEqual(self.send("reader", "GET", path, headers={name: "DELETE"}).status, 200)
            self.assertEqual(self.send("reader", "POST", "/urls", {"url": "https://e.example/"}, {name: "GET"}).status, 403)
            self.assertEqual(self.send("none", "POST", "/urls", {"url": "https://e.example/"}, {name: "GET"}).status, 401)
        self.assertEqual(self.send("reader", "GET", path + "?_method=DELETE").status, 200)
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"):
            self.assertEqual(self.send("none", "GET", "/health", headers={name: "/urls"}).json["status"], "ok")
        self.assertEqual(self.send("owner", "GET", path).json, url)

    def raw(self, kind, line, extra=""):
        token = self.tokens[kind]
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        answer = self.one.raw(f"{line} HTTP/1.1\r\nHost: a\r\n{bearer}{extra}Connection: close\r\n\r\n".encode())
        return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]

    def test_paths_in_disguise_lead_nowhere(self):
        one = f"/urls/{self.url['id']}"
        for path in ("/%75rls", "/url%73", "/urls%2F1", "/urls%2f1", "/urls%00", "/urls%20", "/urls%3Fx", "/urls%23", "/urls%0d%0a",
                     "/%2e/urls", "/./urls", "/x/../urls", "/../urls", "/..%2furls", "/urls/.", "/urls/..", "/urls/../urls", "//urls",
                     "/urls/", "/urls//", f"/urls//{self.url['id']}", "/urls;a=b", "/URLS", "/Urls", "/urls.json", "/urls*", "/urls+",
                     f"/urls/%3{str(self.url['id'])[0]}{str(self.url['id'])[1:]}", one + "/", one + "%2fstats", one + "/stats/",
                     one + "/%73tats", one + "/Stats", one + ";x", f"/urls/+{self.url['id']}", f"/urls/-{self.url['id']}",
                     f"/urls/{self.url['id']}.0", f"/urls/0x{self.url['id']:x}", "/users/bul%6b", "/users/bulk/", "/users%2fbulk",
                     "/event%73", "/events/", "/%65vents", "/users/%42ulk", "/\u0075\u017fers", "/urls\\1", "/urls\\"):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
                for kind in ("none", "owner", "admin"):
                    status, body = self.raw(kind, f"{method} {path}", "Content-Length: 0\r\n")
                    # One segment may be a code that nobody has; a path that is none is refused.
                    self.assertIn(status, (400, 404, 405), (method, path, kind))
                    self.assertNotIn(b"short_code", body)
                    self.assertNotIn(b"username", body)
        outside = "X-Forwarded-For: 192.0.2.1\r\n"
        for path in ("/%6detrics", "/metrics%20", "/metrics%2f", "/metrics/", "//metrics", "/./metrics", "/Metrics", "/ready/",
                     "/read%79", "/x/../metrics", "/metrics;x", "/health/../metrics"):
            self.assertIn(self.raw("none", f"GET {path}", outside)[0], (400, 404), path)
        for path in ("/metrics?x", "http://a/metrics", "http://a/metrics?", "/ready?", "http://a/ready"):
            self.assertEqual(self.raw("none", f"GET {path}", outside)[0], 401, path)
            self.assertEqual(self.raw("reader", f"GET {path}", outside)[0], 200, path)
        for path in ("/urls?", "/urls?access_token=" + self.tokens["admin"], "http://a/urls", "http://a/urls?x", "/urls?/health"):
            self.assertEqual(self.raw("none", f"GET {path}")[0], 401, path)
            self.assertEqual(self.raw("reader", f"GET {path}")[0], 200, path)

    def test_token_is_of_one_request_only(self):
        connection = self.one.connect()
        self.addCleanup(connection.close)
        for kind, status in (("admin", 200), ("none", 401), ("owner", 200), ("unknown", 401), ("reader", 200), ("none", 401)):
            token = self.tokens[kind]
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            self.assertEqual(self.one.get("/urls", headers=headers, connection=connection).status, status, kind)
        good, bad = (f"Authorization: Bearer {self.tokens[kind]}\r\n" for kind in ("admin", "unknown"))
        pipelined = "".join(f"GET /urls HTTP/1.1\r\nHost: a\r\n{field}\r\n" for field in (good, "", bad, good)) + \
            "GET /urls HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        statuses = re.findall(rb"^HTTP/1.1 (\d+)", self.one.raw(pipelined.encode()), re.M)
        self.assertEqual(statuses, [b"200", b"401", b"401", b"200", b"401"])

    def test_two_tokens_are_none(self):
        good, bad = (f"Authorization: Bearer {self.tokens[kind]}\r\n" for kind in ("admin", "unknown"))
        for extra in (good + bad, bad + good, good + good, f"Authorization: Bearer {self.tokens['admin']}, Bearer x\r\n",
                      "Authorization: Basic x\r\n" + good):
            self.assertIn(self.raw("none", "GET /urls", extra)[0], (400, 401), extra)

    def test_lists_show_what_is_theirs(self):
        foreign = self.send("foreign", "POST", "/urls", {"url": "https://example.com/other"}).json
        self.assertEqual(foreign["user_id"], self.other)
        mine = self.send("owner", "GET", "/urls?per_page=100").json
        self.assertEqual({row["user_id"] for row in mine}, {self.owner})
        self.assertEqual(self.send("owner", "GET", f"/urls?user_id={self.other}").json, [])
        self.assertEqual([row["id"] for row in self.send("foreign", "GET", "/users").json], [self.other])
        self.assertEqual(self.send("foreign", "GET", "/users").headers["X-Total-Count"], "1")
        self.assertEqual(self.send("foreign", "GET", "/users?page=2").json, [])
        events = self.send("foreign", "GET", "/events?per_page=100").json
        self.assertEqual({row["user_id"] for row in events}, {self.other})
        self.assertEqual(self.send("foreign", "GET", f"/events?url_id={self.url['id']}").json, [])
        everything = self.send("admin", "GET", "/urls?per_page=100").json
        self.assertLessEqual({self.owner, self.other}, {row["user_id"] for row in everything})

    def test_events_of_anothers_link_are_not_looked_for(self):
        """Or each such request would walk all that a busy link has. A note of an admin's shows that they are not."""
        note = self.send("admin", "POST", "/events",
                         {"url_id": self.url["id"], "event_type": "note", "user_id": self.other}).json
        self.assertEqual(note["user_id"], self.other)
        of_link = f"url_id={self.url['id']}"
        for filters in (of_link, f"{of_link}&user_id={self.other}", f"{of_link}&user_id={self.owner}",
                        f"{of_link}&event_type=note", f"{of_link}&page=2", f"user_id={self.owner}", "url_id=999999"):
            answer = self.send("foreign", "GET", f"/events?{filters}")
            self.assertEqual((answer.status, answer.json, answer.headers["X-Total-Count"]), (200, [], "0"), filters)
        self.assertIn(note, self.send("foreign", "GET", "/events").json)
        self.assertEqual(self.send("admin", "GET", f"/events?{of_link}&user_id={self.other}").json, [note])
        mine = self.send("owner", "GET", f"/events?{of_link}").json
        self.assertEqual({(row["url_id"], row["user_id"]) for row in mine}, {(self.url["id"], self.owner)})
        self.assertEqual(self.send("owner", "GET", f"/events?{of_link}&user_id={self.owner}").json, mine)
        self.assertEqual(self.send("owner", "GET", f"/events?{of_link}&user_id={self.other}").json, [])

    def test_another_ones_is_answered_as_what_is_not_there(self):
        for method, path, body in (("GET", "/urls/{}", None), ("PUT", "/urls/{}", {"title": "x"}),
                                   ("DELETE", "/urls/{}", None), ("GET", "/urls/{}/stats", None),
                                   ("GET", "/users/{}", None)):
            there = self.owner if "users" in path else self.url["id"]
            theirs = self.send("foreign", method, path.format(there), body)
            missing = self.send("foreign", method, path.format(999999), body)
            self.assertEqual((theirs.status, theirs.body), (missing.status, missing.body), path)

    def test_store_has_no_secret(self):
        secrets = [token[4:] for kind, token in self.tokens.items() if kind not in ("none", "malformed", "unknown")]
        with open(self.service.database, "rb") as file:
            data = file.read()
        if os.path.exists(self.service.database + "-wal"):
            with open(self.service.database + "-wal", "rb") as file:
                data += file.read()
        for text in secrets:
            self.assertNotIn(text.encode(), data)
            self.assertNotIn(text, self.one.log())

    def test_last_use_is_kept(self):
        rows = json.loads(self.ctl("--json", "token", "list"))
        used = {row["state"]: row["used_at"] for row in rows if row["scopes"] == "admin"}
        self.send("admin", "GET", "/urls")
        self.assertIsNotNone(json.loads(self.ctl("--json", "token", "list"))[-1]["used_at"], used)

    def test_last_use_is_noted_when_nobody_waits_for_it(self):
        """A writer that holds the store's lock keeps no reader out, whose token was not used lately either."""
        tokens = [self.ctl("token", "create", "--scopes=admin", f"reader {i}").strip() for i in range(3)]
        with harness.held(self.service):
            for token in tokens:
                begin = time.monotonic()
                answer = self.one.get("/urls", headers={"Authorization": f"Bearer {token}"})
                self.assertEqual(answer.status, 200)
                self.assertLess(time.monotonic() - begin, 0.5 * harness.SLOW)

        def noted():
            self.assertEqual(self.one.get("/urls", headers={"Authorization": f"Bearer {tokens[0]}"}).status, 200)
            return json.loads(self.ctl("--json", "token", "list"))[-3]["used_at"]
        harness.wait_for(noted, 10, "the use of the token")

    def test_guarded_pages(self):
        outside = {"X-Forwarded-For": "192.0.2.1"}
        for path in ("/metrics", "/ready"):
            self.assertEqual(self.one.get(path, headers=outside).status, 401)
            self.assertEqual(self.send("unknown", "GET", path, headers=outside).status, 401)
            self.assertEqual(self.send("reader", "GET", path, headers=outside).status, 200)
            self.assertEqual(self.one.get(path).status, 200)
        self.assertEqual(self.one.get("/health", headers=outside).status, 200)
        self.assertIn(b"http_requests_total", self.send("reader", "GET", "/metrics", headers=outside).body)

    # What stands in X-Forwarded-For, field by field, of proxies that cannot name their client: one that
    # listens on a Unix socket calls it unix:, others unknown or _hidden (RFC 7239, 6.3), or leave it out.
    NAMELESS = (["unix:"], ["127.0.0.1, unix:"], ["198.51.100.7, unix:"], ["unix:, 127.0.0.1"], ["127.0.0.1", "unknown"],
                ["_hidden"], ["127.0.0.1,"], [", 127.0.0.1"], ["::1, name"], [""], ["127.0.0.1", ""], ["unix:", "127.0.0.1"])

    def check_nameless(self, ask):
        """ask(path, fields): the answer's status."""
        first = {"/metrics": 401, "/ready": 401, "/nosuch1": 404, "/nosuch2": 404, "/nosuch3": 429}
        for names in self.NAMELESS:
            fields = "".join(f"X-Forwarded-For: {name}\r\n" for name in names)
            for target, status in first.items():
                self.assertEqual(ask(target, fields), status, (names, target))
            first.update({"/nosuch1": 429, "/nosuch2": 429})  # they are one client
        # A health check of the proxy's own, or Prometheus without one, names nobody and is this host.
        self.assertEqual([ask(target, "") for target in ("/metrics", "/ready", "/nosuch")], [200, 200, 404])

    def test_who_is_named_by_no_address_is_not_this_host(self):
        path = os.path.join(self.service.folder, "socket")
        self.service.start("2", options=["API.Access=token", "Limits.Misses=10/1d:2", "Server.TrustedProxy=127.0.0.1"],
                           path=path)

        def ask(target, fields):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n".encode())
                return int(sock.recv(65536).split()[1])
        self.check_nameless(ask)

    def test_who_is_named_by_no_address_over_tcp_is_not_this_host(self):
        service = harness.Service()  # a host page of its own: the limits are shared by it
        self.addCleanup(service.close)
        one = service.start(options=["API.Access=token", "Limits.Misses=10/1d:2", "Server.TrustedProxy=127.0.0.1"])
        self.check_nameless(lambda target, fields: int(one.raw(
            f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n".encode()).split()[1]))

    def test_who_was_gone_before_is_not_this_host(self):
        """Reset before it was accepted, a connection has no address any more, but what it sent can still be read."""
        with harness.Service() as service:
            one = service.start(options=["API.Access=open", "Limits.Create=10/1d:2"])
            url, body = one.create("https://example.com/"), b'{"url":"https://example.com/"}'

            def accepted():
                return one.metric("shortener_connections_accepted_total ")
            before = accepted()
            one.signal(signal.SIGSTOP)
            for data in [b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % url["short_code"].encode()] + \
                    [b"POST /urls HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body)] * 9:
                with socket.create_connection(("127.0.0.1", one.port)) as sock:
                    sock.sendall(data)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.signal(signal.SIGCONT)
            harness.wait_for(lambda: accepted() - before > 10, 10, "the connections")
            one.create("https://example.com/")  # behind what they asked for, and within the budget
            self.assertEqual(one.get("/urls").headers["X-Total-Count"], "2")
            self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 0)

    def test_large_body_without_a_token_is_not_taken(self):
        answer = self.one.post("/urls", {"url": "https://example.com/" + "x" * 200000})
        self.assertEqual(answer.status, 413)

    def test_body_that_stands_still_is_ended(self):
        """However much came at once before: it would keep others' large bodies out."""
        with socket.create_connection(("127.0.0.1", self.one.port), 45 * harness.SLOW) as sock:
            sock.sendall(b"POST /users/bulk HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sht_" + b"A" * 49 +
                         b"\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 8000000)
            begin = time.monotonic()
            answer = sock.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer[:100])
        self.assertGreater(time.monotonic() - begin, 9)


class ForeignPages(unittest.TestCase):
    """Access=open: nobody needs a token, but a page of somebody else's may not use the browser of one who is there."""
    FORM = {"Content-Type": "multipart/form-data; boundary=b"}
    FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nusername,email\n%s\r\n--b--\r\n'
    HOST = "s.example"
    FOREIGN = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"sec-fetch-SITE": "Cross-Site"},
               {"Sec-Fetch-Site": "cross-site", "Origin": "http://s.example"}, {"Origin": "http://evil.example"},
               {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
               {"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, {"Origin": "null"}, {"Origin": ""},
               {"Origin": "s.example"}, {"Origin": "http://"}, {"Origin": "http://s.example:81"}, {"Origin": "https://s.example:80"},
               {"Origin": "http://s.example.evil.example"}, {"Origin": "http://evil.s.example"}, {"Origin": "http://s.example@evil.example"},
               {"Origin": "http://s.example http://evil.example"}, {"Origin": "file://s.example"}, {"Origin": "http://public.example:8443"}]
    OURS = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://s.example"},
            {"Origin": "https://S.example", "Sec-Fetch-Site": "same-origin"}, {"Origin": "http://s.example:80"},
            {"Origin": "https://public.example:8443"}, {"Referer": "http://evil.example/"}]

    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.addClassCleanup(cls.service.close)
        cls.one = cls.service.start(options=["API.Access=open", "Server.BaseURL=https://public.example:8443/s"])
        cls.n = 0

    def changes(self):
        """Each request that changes something, with what it answers when all is well."""
        type(self).n += 1
        row = b"f%d,f%d@x.example" % (self.n, self.n)
        user = self.one.post("/users", {"username": f"u{self.n}", "email": f"u{self.n}@x.example"}).json["id"]
        url = self.one.create("https://example.com/", user_id=user)
        return [("POST", "/users", {"username": f"v{self.n}", "email": f"v{self.n}@x.example"}, {}, 201),
                ("POST", "/users/bulk", self.FILE % row, self.FORM, 201),
                ("PUT", f"/users/{user}", {"username": f"w{self.n}"}, {}, 200),
                ("POST", "/urls", {"url": "https://example.com/"}, {}, 201),
                ("PUT", f"/urls/{url['id']}", {"title": "t"}, {}, 200),
                ("POST", "/events", {"url_id": url["id"], "event_type": "note"}, {}, 201),
                ("DELETE", f"/urls/{url['id']}", None, {}, 204),
                ("DELETE", f"/users/{user}", None, {}, 204)]

    def rows(self):
        lists = [self.one.get(path).headers["X-Total-Count"] for path in ("/users", "/urls", "/events")]
        return [*lists, self.one.get("/urls?is_active=true&per_page=100").json]

    def test_changes_of_others_are_refused(self):
        for fields in self.FOREIGN:
            changes = self.changes()
            before = self.rows()
            for method, path, body, kind, _ in changes:
                answer = self.one.request(method, path, body, {"Host": self.HOST, **kind, **fields})
                self.assertEqual((answer.status, answer.json), (403, {"error": "Forbidden"}), (method, path, fields))
                self.assertEqual([name for name in answer.headers if name.lower().startswith("access-control")], [])
            self.assertEqual(self.rows(), before, fields)

    def test_ones_own_and_programs_go_on(self):
        for fields in self.OURS:
            for method, path, body, kind, status in self.changes():
                answer = self.one.request(method, path, body, {"Host": self.HOST, **kind, **fields})
                self.assertEqual(answer.status, status, (method, path, fields, answer))

    def test_of_two_fields_each_counts(self):
        body = b'{"url":"https://example.com/"}'
        for first, second, status in (("Origin: http://s.example", "Origin: http://evil.example", 403),
                                      ("Origin: http://evil.example", "Origin: http://s.example", 403),
                                      ("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site", 403),
                                      ("X-Origin: http://evil.example", "Origin: http://s.example", 201)):
            answer = self.one.raw((f"POST /urls HTTP/1.1\r\nHost: s.example\r\n{first}\r\n{second}\r\nConnection: close\r\n"
                                   f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
            self.assertEqual(int(answer.split()[1]), status, (first, second))

    def test_reads_and_redirects_are_for_all(self):
        url = self.one.create("https://example.com/seen")
        for fields in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
            for _ in range(2):  # from the store, from the cache
                self.assertEqual(self.one.get("/" + url["short_code"], headers=fields).status, 302)
            for path in ("/health", "/urls", "/users"):
                answer = self.one.get(path, headers=fields)
                self.assertEqual(answer.status, 200)
                self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])  # the page may not read it
            answer = self.one.request("OPTIONS", "/urls", headers={**fields, "Access-Control-Request-Method": "POST"})
            self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (200, None))

    def test_a_foreign_file_is_not_taken_in(self):
        answer = self.one.request("POST", "/users/bulk", self.FILE % (b"x" * 200000), {"Sec-Fetch-Site": "cross-site", **self.FORM})
        self.assertEqual(answer.status, 413)

    def test_a_budget_is_not_spent(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=open", "Limits.Create=10/1d:2"])
            statuses = [one.request("POST", "/urls", {"url": "https://example.com/"}, fields).status
                        for fields in [{"Sec-Fetch-Site": "cross-site"}] * 5 + [{}] * 3]
            self.assertEqual(statuses, [403] * 5 + [201] * 2 + [429])

    def test_a_token_is_nobodys_surroundings(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=token"])
            token = service.ctl("token", "create", "--scopes=admin", "x").stdout.strip()
            foreign, body = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, {"url": "https://example.com/"}
            self.assertEqual(one.request("POST", "/urls", body, {**foreign, "Authorization": f"Bearer {token}"}).status, 201)
            self.assertEqual(one.request("POST", "/urls", body, foreign).status, 401)


class FailedAuth(unittest.TestCase):
    def test_guessing_ends(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=token", "Limits.FailedAuth=10/1d:5",
                                         "Server.TrustedProxy=127.0.0.1"])
            admin = service.ctl("token", "create", "--scopes=admin", "x").stdout.strip()
            guesser = {"X-Forwarded-For": "192.0.2.1"}
            statuses = [one.get("/urls", headers={**guesser, "Authorization": f"Bearer sht_{i:049d}"}).status
                        for i in range(10)]
            self.assertEqual(statuses, [401] * 5 + [429] * 5)
            good = {"Authorization": f"Bearer {admin}"}
            self.assertEqual(one.get("/urls", headers={**guesser, **good}).status, 429)
            self.assertEqual(one.get("/urls", headers=good).status, 200)
            self.assertEqual(one.get("/urls", headers=guesser).status, 429)
            self.assertEqual(one.metric('shortener_limited_total{budget="auth"}'), 7)

    def test_guesses_that_come_at_once_are_owed(self):
        """None is known to be one before the store has looked, and then all the others are on their way."""
        with harness.Service() as service:
            one = service.start(options=["API.Access=token", "Limits.FailedAuth=60/1min:5"])
            answers = one.at_once([f"GET /urls HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sht_{i:049d}\r\n"
                                   for i in range(60)])
            statuses = [int(answer.split()[1]) for answer in answers]
            self.assertEqual(statuses.count(401), 5)
            self.assertEqual(statuses.count(429) + statuses.count(503), 55)  # nobody waits long for a worker
            answer = one.get("/urls", headers={"Authorization": "Bearer x"})
            self.assertEqual(answer.status, 429)
            self.assertGreater(int(answer.headers["Retry-After"]), statuses.count(429) - 20)

    def test_budget_is_the_tokens(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=token", "Limits.Read=10/1d:5",
                                         "Server.TrustedProxy=127.0.0.1"])
            tokens = [service.ctl("token", "create", "--scopes=admin", "x").stdout.strip() for _ in range(2)]
            for token in tokens:
                statuses = [one.get("/urls", headers={"Authorization": f"Bearer {token}",
                                                      "X-Forwarded-For": f"192.0.2.{i}"}).status for i in range(7)]
                self.assertEqual(statuses, [200] * 5 + [429] * 2)


class Default(unittest.TestCase):
    def start(self, service, *options):
        """A daemon without an activation socket and without an Access= of the harness."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        command = [harness.DAEMON, "--config=" + service.config, f"--set=Server.Listen=127.0.0.1:{port}",
                   f"--set=Store.URL={service.url}", f"--set=Clicks.Directory={service.folder}/spool",
                   f"--set=Server.RuntimeDirectory={service.runtime}", *options]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SHORTENER_")}
        log = open(os.path.join(service.folder, "log"), "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        log.close()
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def up():
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
            except OSError:
                return False
            return True
        harness.wait_for(up, 20, "the daemon to listen")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15 * harness.SLOW)
        self.addCleanup(connection.close)
        connection.request("GET", "/urls")
        return connection.getresponse().status

    def test_own_loopback_listener_is_open(self):
        with harness.Service() as service:
            self.assertEqual(self.start(service), 200)

    def test_unless_told_otherwise(self):
        with harness.Service() as service:
            self.assertEqual(self.start(service, "--set=API.Access=token"), 401)

    def test_activation_asks_for_a_token(self):
        with harness.Service() as service:
            one = service.start(options=["API.Access=auto"])
            self.assertEqual(one.get("/urls").status, 401)
            self.assertEqual(one.get("/health").status, 200)


if __name__ == "__main__":
    harness.main()
