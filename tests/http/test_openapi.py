#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The OpenAPI document is true: every operation of it is called until each status that it names has
been seen, every answer fits its schema and has the header that is promised, and bodies that the
schemas take are taken and no others."""

import concurrent.futures
import json
import os
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

try:
    import jsonschema
except ImportError:
    jsonschema = None

FORM = ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n--b--\r\n')
CSV = b"username,email\nbulk,bulk@x.example\nbulk,again@x.example\n"
SOMETIMES = {"X-Total-Count", "Link", "X-Clicks-Pending", "Idempotency-Replayed", "X-Instance"}  # fields that a good answer need not have
LIMITS = {"RateLimit", "RateLimit-Policy"}  # where there are some; always with 429
OUTSIDE = {"X-Forwarded-For": "192.0.2.1"}
LARGE = "x" * (1 << 20)
LARGE_FILE = b"x" * (10 << 20)

# What the schemas refuse, and so does the service.
WRONG = {
    "NewUser": ({}, {"username": "a"}, {"username": 1, "email": "a@x.example"}, {"username": "", "email": "a@x.example"},
                {"username": "a" * 256, "email": "a@x.example"}, []),
    "UserChange": ({"username": None}, {"username": ""}, {"email": 5}, {"email": "e" * 256}, "text"),
    "NewUrl": ({}, {"url": 1}, {"title": "x"}, {"url": "https://example.com/", "user_id": "1"}, {"url": "https://example.com/", "user_id": 0},
               {"url": "https://example.com/", "title": 1}, {"url": "https://example.com/", "title": "t" * 256},
               {"url": "https://example.com/" + "x" * 2048}, None),
    "UrlChange": ({"is_active": 1}, {"is_active": None}, {"title": 5}, {"url": None}, {"original_url": ""}, 7),
    "NewEvent": ({}, {"url_id": 1}, {"event_type": "x"}, {"url_id": "1", "event_type": "x"}, {"url_id": 1, "event_type": ""},
                 {"url_id": 1, "event_type": "x" * 256}, {"url_id": 1, "event_type": "x", "details": []},
                 {"url_id": 1, "event_type": "x", "user_id": True}),
}
RIGHT = {
    "NewUser": ({"username": "w{n}", "email": "w{n}@x.example"}, {"username": "w{n}", "email": "w{n}@x.example", "more": 1}),
    "UserChange": ({}, {"username": "x{n}"}, {"email": "x{n}@x.example"}),
    "NewUrl": ({"url": "https://example.com/"}, {"original_url": "https://example.com/", "title": None, "user_id": None},
               {"url": "https://example.com/", "title": "t", "user_id": 1}),
    "UrlChange": ({}, {"title": None}, {"title": "t", "is_active": False}, {"is_active": True}, {"url": "https://example.com/"}),
    "NewEvent": ({"url_id": 1, "event_type": "x"}, {"url_id": 1, "event_type": "x", "user_id": None, "details": None},
                 {"url_id": 1, "event_type": "x", "user_id": 1, "details": {"a": [1]}}),
}


class Document:
    def __init__(self):
        text = subprocess.run([harness.DAEMON, "--dump-openapi"], capture_output=True, check=True).stdout
        self.root = json.loads(text)
        self.operations = {(method.upper(), path): operation for path, item in self.root["paths"].items()
                           for method, operation in item.items()}
        self.seen = set()
        self.fields = set()  # of answers: (name, status)

    def follow(self, value):
        while "$ref" in value:
            name = value["$ref"].removeprefix("#/").split("/")
            value = self.root
            for key in name:
                value = value[key]
        return value

    def errors(self, schema, value):
        """What is wrong with a value; none: it fits."""
        whole = {**schema, "components": self.root["components"]}
        return [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(value)]

    def check(self, method, path, answer):
        """That an answer is one that the operation promises; notes that it was seen. Returns what is wrong."""
        responses = self.operations[method, path]["responses"]
        self.seen.add((method, path, str(answer.status)))
        if str(answer.status) not in responses:
            return [f"{answer.status} is not in the document: {answer}"]
        response = self.follow(responses[str(answer.status)])
        return [*self.check_header(response, answer), *self.check_body(response, answer)]

    def check_header(self, response, answer):
        promised = response.get("headers", {})
        sometimes = SOMETIMES | (LIMITS if answer.status != 429 else set()) | ({"Retry-After"} if answer.status == 409 else set())
        for name in self.root["components"]["headers"]:
            value = answer.headers[name]
            self.fields |= {(name, answer.status)} if value is not None else set()
            if value is None and name in promised and name not in sometimes:
                yield f"no {name}"
            if value is not None and name not in promised:
                yield f"{name}: {value} is not in the document"
        for name, header in promised.items():
            value, schema = answer.headers[name], self.follow(header)["schema"]
            if value is not None:
                yield from self.errors(schema, int(value) if schema["type"] == "integer" else value)

    def check_body(self, response, answer):
        if "content" not in response:
            return [f"a body: {answer.body!r}"] if answer.body else []
        kind = (answer.headers["Content-Type"] or "").split(";")[0]
        if kind not in response["content"]:
            return [f"{kind} is not in the document"]
        schema = response["content"][kind]["schema"]
        return self.errors(schema, answer.json if kind == "application/json" else answer.body.decode())


@unittest.skipUnless(jsonschema, "jsonschema is not installed for this python3")
class OpenApi(unittest.TestCase):
    """Requests go by the path of the document; names in it are filled in."""

    @classmethod
    def setUpClass(cls):
        cls.document = Document()
        cls.n = 0

    def setUp(self):
        self.values = {"id": 1, "code": "unknown"}

    def service(self, *options):
        service = harness.Service()
        self.addCleanup(service.close)
        blocklist = os.path.join(service.folder, "blocklist")
        with open(blocklist, "w") as file:
            file.write("evil.example\n")
        return service.start(options=["Server.TrustedProxy=127.0.0.1", f"Links.Blocklist={blocklist}", *options])

    def send(self, one, method, path, body=None, headers=None, query=""):
        filled = path.replace("{id}", str(self.values["id"])).replace("{code}", self.values["code"]) + query
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        kind = {"Content-Type": FORM[0] if path == "/users/bulk" else "application/json"} if body is not None else {}
        answer = one.request(method, filled, body, {**kind, **(headers or {})})
        self.assertEqual(self.document.check(method, path, answer), [], (method, filled, answer))
        return answer

    def expect(self, status, one, method, path, *arguments, **keywords):
        answer = self.send(one, method, path, *arguments, **keywords)
        self.assertEqual(answer.status, status, (method, path, arguments, answer))
        return answer

    def fill(self, body):
        type(self).n += 1
        return {key: value.replace("{n}", str(self.n)) if isinstance(value, str) else value for key, value in body.items()}

    def good_body(self, method, path):
        """A body that this operation takes; None: it takes none."""
        content = self.document.operations[method, path].get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            return FORM[1] % (b"x", CSV)
        if not content:
            return None
        return self.fill(RIGHT[self.schema_name(method, path)][0])

    def schema_name(self, method, path):
        content = self.document.operations[method, path]["requestBody"]["content"]
        return content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]

    def test_schemas_are_schemas(self):
        for schema in self.document.root["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def play_good(self, one):
        """Each operation once as it is meant, in an order in which all is there."""
        self.expect(201, one, "POST", "/users", {"username": "first", "email": "first@x.example"})
        self.expect(201, one, "POST", "/users/bulk", FORM[1] % (b"x", CSV))
        url = self.expect(201, one, "POST", "/urls", {"url": "https://example.com/", "user_id": 1}).json
        self.expect(201, one, "POST", "/events", {"url_id": 1, "event_type": "note", "details": {"a": 1}})
        self.values["code"] = url["short_code"]
        for _ in range(2):
            self.expect(302, one, "GET", "/{code}")
        for path in ("/health", "/ready", "/metrics", "/users", "/users/{id}", "/urls", "/urls/{id}", "/urls/{id}/stats",
                     "/urls/{id}/events", "/events"):
            self.expect(200, one, "GET", path)
        for path, query in (("/urls", "?user_id=1&is_active=true&page=1&per_page=1"), ("/users", "?after=1"),
                            ("/events", "?event_type=redirect&url_id=1&user_id=1"), ("/events", "?type=note")):
            self.expect(200, one, "GET", path, query=query)
        tags = {path: self.send(one, "GET", path).headers["ETag"] for path in ("/users/{id}", "/urls/{id}")}
        self.expect(200, one, "PUT", "/urls/{id}", {"title": "t", "is_active": True}, {"If-Match": tags["/urls/{id}"]})
        self.expect(200, one, "PUT", "/users/{id}", {"username": "changed"}, {"If-Match": tags["/users/{id}"]})

    def play_known(self, one):
        """If-None-Match where the document names it."""
        known = [(method, path) for (method, path), operation in self.document.operations.items()
                 if {"$ref": "#/components/parameters/If-None-Match"} in operation["parameters"]]
        paths = ("/urls/{id}", "/users/{id}")
        self.assertEqual(sorted(known), [(method, path) for method in ("DELETE", "GET", "PUT") for path in paths])
        for method, path in [(method, path) for method, path in known if method == "GET"]:
            tag = self.expect(200, one, method, path).headers["ETag"]
            self.expect(304, one, method, path, headers={"If-None-Match": tag})
            self.expect(200, one, method, path, headers={"If-None-Match": '"other"'})

    def play_refused(self, one):
        """Mistakes of the request; the objects with the id 1 are there."""
        for path in ("/users/{id}", "/urls/{id}"):
            for method in ("PUT", "DELETE"):
                body = self.good_body(method, path)
                self.expect(412, one, method, path, body, {"If-Match": '"other"'})
                self.expect(400, one, method, path, body, {"If-Match": "other"})
                self.expect(412, one, method, path, body, {"If-None-Match": "*"})
                self.expect(400, one, method, path, body, {"If-None-Match": "other"})
        for path in ("/users", "/urls", "/events", "/urls/{id}/events"):
            self.expect(400, one, "GET", path, query="?page=-1")
        for query in ("?url_id=x", "?user_id=1.5"):
            self.expect(400, one, "GET", "/events", query=query)
        self.expect(400, one, "GET", "/urls", query="?user_id=")
        self.expect(400, one, "POST", "/users/bulk", FORM[1] % (b"", CSV))
        self.expect(409, one, "POST", "/users", {"username": "bulk", "email": "new@x.example"})
        self.expect(409, one, "PUT", "/users/{id}", {"username": "bulk"})
        self.expect(410, one, "POST", "/urls", {"url": "https://evil.example/"})
        self.expect(410, one, "PUT", "/urls/{id}", {"url": "https://evil.example/"})
        self.expect(404, one, "POST", "/urls", {"url": "https://example.com/", "user_id": 999})
        self.expect(404, one, "POST", "/events", {"url_id": 999, "event_type": "x"})
        for (method, path), operation in self.document.operations.items():
            if "requestBody" in operation:
                self.expect(413, one, method, path, FORM[1] % (b"x", LARGE_FILE + b"x" * 70000) if "bulk" in path else {"x": LARGE})
        self.values = {"id": 999, "code": "unknown"}
        for method, path in self.document.operations:
            if "{" in path:
                self.expect(404, one, method, path, self.good_body(method, path))

    def play_keys(self, one):
        """Idempotency-Key where the document names it: done, answered again, with another body, and while it is being done."""
        keyed = [(method, path) for (method, path), operation in self.document.operations.items()
                 if {"$ref": "#/components/parameters/Idempotency-Key"} in operation["parameters"]]
        self.assertEqual(sorted(keyed), [("POST", "/events"), ("POST", "/urls"), ("POST", "/users")])
        for method, path in keyed:
            body, other, busy = self.good_body(method, path), {**self.good_body(method, path), "more": 1}, self.good_body(method, path)
            first = self.expect(201, one, method, path, body, {"Idempotency-Key": "k"})
            again = self.expect(201, one, method, path, body, {"Idempotency-Key": "k"})
            self.assertEqual((again.headers["Idempotency-Replayed"], again.body), ("true", first.body))
            self.assertIsNone(first.headers["Idempotency-Replayed"])
            self.expect(422, one, method, path, other, {"Idempotency-Key": "k"})
            for wrong in ("", "k" * 256):
                self.expect(400, one, method, path, body, {"Idempotency-Key": wrong})
            self.one_is_busy(one, method, path, busy)

    def one_is_busy(self, one, method, path, body):
        """While the store is locked, of two requests with one key the later one is told so."""
        lock = sqlite3.connect(one.service.database, isolation_level=None)
        self.addCleanup(lock.close)

        def both():
            lock.execute("BEGIN IMMEDIATE")
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                sent = [pool.submit(self.send, one, method, path, body, {"Idempotency-Key": "busy"}) for _ in range(2)]
                concurrent.futures.wait(sent, return_when=concurrent.futures.FIRST_COMPLETED)
                lock.execute("ROLLBACK")
                return [request.result() for request in sent]
        answers = harness.wait_for(lambda: next(filter(lambda pair: {a.status for a in pair} == {201, 409}, [both()]), None),
                                   20, "two at a time")
        refused, = (answer for answer in answers if answer.status == 409)
        self.assertEqual(refused.headers["Retry-After"], "1")

    def play_blocked(self):
        """A link that was made before its target was put on the list."""
        one = self.service("Links.Blocklist=")
        self.values["code"] = one.create("https://evil.example/")["short_code"]
        one.stop()
        one.options = [option for option in one.options if option != "Links.Blocklist="]
        one.start()
        for accept in ("*/*", "text/html"):
            self.expect(410, one, "GET", "/{code}", headers={"Accept": accept})

    def play_bodies(self, one):
        self.assertEqual(set(WRONG) | {"UserFile"},
                         {name for name in self.document.root["components"]["schemas"] if self.is_sent(name)})
        for (method, path), operation in self.document.operations.items():
            if "application/json" not in operation.get("requestBody", {}).get("content", {}):
                continue
            name = self.schema_name(method, path)
            schema = {"$ref": f"#/components/schemas/{name}"}
            for body in map(self.fill, RIGHT[name]):
                self.assertEqual(self.document.errors(schema, body), [])
                self.assertIn(self.send(one, method, path, body).status, (200, 201), body)
            for body in WRONG[name]:
                self.assertNotEqual(self.document.errors(schema, body), [], body)
                self.expect(400, one, method, path, body if body is not None else b"null")

    def is_sent(self, name):
        return any(f"schemas/{name}\"" in json.dumps(operation.get("requestBody", {}))
                   for operation in self.document.operations.values())

    def play_access(self):
        """Without a token, with one of too few scopes, and with just those that the document asks for."""
        one = self.service("API.Access=token")
        user = json.loads(one.service.ctl("--json", "user", "add", "some", "some@x.example").stdout)["id"]
        tokens = {scope: one.service.ctl("token", "create", f"--scopes={scope}", f"--user={user}", scope).stdout.strip()
                  for scope in ("read", "write", "admin")}
        self.values["id"] = 999  # nobody is removed
        for (method, path), operation in self.document.operations.items():
            body = self.good_body(method, path)
            asked = [item for item in operation["security"] if item]
            if not asked:
                self.assertNotEqual(self.send(one, method, path, body, OUTSIDE).status, 401, path)
                continue
            self.expect(401, one, method, path, body, OUTSIDE)
            if {} in operation["security"]:
                self.expect(200, one, method, path, body)
            scope, = asked[0]["bearer"]
            for other, token in tokens.items():
                status = self.send(one, method, path, body, {**OUTSIDE, "Authorization": f"Bearer {token}"}).status
                self.assertEqual(status == 403, other not in (scope, "admin"), (method, path, other, status))

    def guarded(self):
        """Operations that one may ask for with a token or from this host."""
        return [(method, path) for (method, path), operation in self.document.operations.items()
                if len(operation["security"]) > 1]

    def play_limits(self):
        one = self.service("Limits.Read=1/1d:1", "Limits.Create=1/1d:1", "Limits.Misses=1/1d:1")
        for (method, path), operation in self.document.operations.items():
            if "429" in operation["responses"] and (method, path) not in self.guarded():
                harness.wait_for(lambda m=method, p=path: self.send(one, m, p, self.good_body(m, p)).status == 429, 5, "a limit")
        guarded = self.service("API.Access=token", "Limits.FailedAuth=1/1d:1")
        for method, path in self.guarded():
            harness.wait_for(lambda m=method, p=path: self.send(guarded, m, p, headers={**OUTSIDE, "Authorization": "x"}).status == 429,
                             5, "a limit")
        for name in LIMITS:
            self.assertLessEqual({(name, 200), (name, 201), (name, 404), (name, 429)}, self.document.fields)

    def play_away(self):
        service = harness.Service()
        self.addCleanup(service.close)
        with open(service.database, "wb") as file:
            file.write(b"this is no database\n" * 1000)
        one = service.start(options=["API.Access=token", "Server.TrustedProxy=127.0.0.1"])
        harness.wait_for(lambda: one.get("/ready").status == 503, what="a store that is away")
        token = {**OUTSIDE, "Authorization": "Bearer sht_" + "A" * 49}
        for (method, path), operation in self.document.operations.items():
            status = 503 if "503" in operation["responses"] else 200
            self.expect(status, one, method, path, self.good_body(method, path), token)
        self.expect(200, one, "GET", "/metrics")  # from here nobody has to be asked

    def test_every_status_of_every_operation(self):
        one = self.service()
        self.play_good(one)
        self.play_bodies(one)
        self.play_known(one)
        self.play_refused(one)
        self.values = {"id": 1, "code": "unknown"}
        self.play_keys(one)
        self.values = {"id": 1, "code": "unknown"}
        for path in ("/urls/{id}", "/users/{id}"):
            self.expect(204, one, "DELETE", path)
        self.play_blocked()
        self.values = {"id": 1, "code": "unknown"}
        self.play_access()
        self.play_limits()
        self.play_away()
        promised = {(method, path, status) for (method, path), operation in self.document.operations.items()
                    for status in operation["responses"] if status != "default"}
        self.assertGreater(len(promised), 100)
        self.assertEqual(promised - self.document.seen, set())
        print(f"{len(promised)} statuses of {len(self.document.operations)} operations", flush=True)


if __name__ == "__main__":
    harness.main()
