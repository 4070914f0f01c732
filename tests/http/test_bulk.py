#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""POST /users/bulk: the form around the file, the CSV in it, row-level errors, limits."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

MIB = 1 << 20
TOO_LARGE = {"error": "File too large (max 10MB)"}
NO_FILE = {"error": "No file provided"}
BOUNDARY = "----x1"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
HEADER = b"username,email\n"


def part(name, data, filename="users.csv", extra=""):
    name_of_file = "" if filename is None else f'; filename="{filename}"'
    return (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{name_of_file}\r\n{extra}\r\n'.encode()
            + data + b"\r\n")


def form(*parts):
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Bulk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.one = cls.service.start()
        cls.one.post("/users", {"username": "taken", "email": "taken@example.com"})

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def send(self, body, kind=FORM):
        return self.one.post("/users/bulk", body, headers={"Content-Type": kind} if kind else {})

    def load(self, data):
        answer = self.send(form(part("file", data)))
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json["count"], answer.json["imported"])
        self.assertEqual(answer.body, json.dumps(answer.json, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        return answer.json

    def last(self, n=1):
        total = int(self.one.get("/users?per_page=0").headers["X-Total-Count"])
        rows = []
        path = "/users?per_page=100"
        while path:
            answer = self.one.get(path)
            rows += answer.json
            path = f"/users?per_page=100&after={rows[-1]['id']}" if answer.json else None
        self.assertEqual(len(rows), total)
        return rows[-n:]

    def bare(self, data, imported, skipped=0, lines=()):
        result = self.load(data)
        self.assertEqual((result["imported"], result["skipped"]), (imported, skipped), (data[:80], result))
        self.assertEqual([e["row"] for e in result.get("errors", ())], list(lines), result)
        if not skipped:
            self.assertNotIn("errors", result)
        return result

    # ---- the form ----

    def test_no_file(self):
        rows = HEADER + b"nofile,nofile@example.com\n"
        for body, kind in (
                (b'{"file":"users.csv"}', "application/json"), (rows, "text/csv"), (b"", FORM), (b"", None), (rows, FORM),
                (form(part("csv", rows)), FORM), (form(part("file", rows, None)), FORM), (form(part("File", rows)), FORM),
                (form(), FORM), (form(part("file", rows)), "multipart/form-data"),
                (form(part("file", rows)), "multipart/form-data; boundary=other"),
                (form(part("file", rows)), "multipart/mixed; boundary=" + BOUNDARY),
                (form(part("file", rows)), "multipart/form-data; boundary="),
                (part("file", rows), FORM), (b"file=users.csv", "application/x-www-form-urlencoded")):
            answer = self.send(body, kind)
            self.assertEqual((answer.status, answer.json), (400, NO_FILE), (body[:60], kind))
        self.assertEqual(self.one.get("/users").headers["X-Total-Count"], str(len(self.last(10**6))))
        self.assertNotIn("nofile", [u["username"] for u in self.last(10**6)])

    def test_empty_file_name(self):
        answer = self.send(form(part("file", HEADER + b"noname,noname@example.com\n", "")))
        self.assertEqual((answer.status, answer.json), (400, {"error": "No file selected"}))
        answer = self.send(form(part("file", b"", "")))
        self.assertEqual((answer.status, answer.json), (400, {"error": "No file selected"}))

    def test_forms_that_clients_make(self):
        rows = HEADER + b"form%d,form%d@example.com\n"
        for i, body in enumerate((
                lambda r: form(part("x", b"1", None), part("file", r), part("y", b"2", None)),
                lambda r: form(part("file", r, extra="Content-Type: text/csv\r\nX-Own: 1\r\n")),
                lambda r: b"preamble\r\n" + form(part("file", r)) + b"epilogue",
                lambda r: form(part("file", r, "a;b.csv")), lambda r: form(part("file", r, "\u65e5\u672c.csv")),
                lambda r: form(part("file", r), part("file", HEADER + b"second,second@example.com\n")))):
            answer = self.send(body(rows % (i, i)))
            self.assertEqual((answer.status, answer.json), (201, {"count": 1, "imported": 1, "skipped": 0}), i)
        quoted = f'Multipart/Form-Data; charset=utf-8; Boundary="{BOUNDARY}"'
        self.assertEqual(self.send(form(part("file", rows % (99, 99))), quoted).json["imported"], 1)
        self.assertNotIn("second", [u["username"] for u in self.last(10**6)])

    def test_chunked_and_expected(self):
        body = form(part("file", HEADER + b"chunked,chunked@example.com\n"))
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
        answer = self.one.raw(b"POST /users/bulk HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: " + FORM.encode()
                              + b"\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" + pieces + b"0\r\n\r\n")
        self.assertIn(b"HTTP/1.1 201 ", answer)
        self.assertIn(b'"imported":1', answer)

    def test_other_methods(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
            answer = self.one.request(method, "/users/bulk")
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST, OPTIONS"), method)

    # ---- the file ----

    def test_files_without_rows(self):
        for data in (b"", b"\n", b"\r\n\r\n", HEADER, b"\xef\xbb\xbf", b"\xef\xbb\xbf" + HEADER, b"a,b\n1,2\n",
                     b"username\nx\n", b"email\nx@example.com\n", b"Username,Email\nx,x@example.com\n", b"username;email\nx;y\n",
                     b'"username,email"\nx,x@example.com\n', b"\x00\x01\x02", "username,email\n".encode("utf-16")):
            self.bare(data, 0)

    def test_files_that_go_in(self):
        for i, (data, name) in enumerate((
                (b"\xef\xbb\xbfusername,email\nbom,bom@example.com\n", "bom"),
                (b"\xef\xbb\xbf\"username\",\"email\"\r\n\"bomq\",\"bomq@example.com\"\r\n", "bomq"),
                (b"username,email\r\ncrlf,crlf@example.com\r\n", "crlf"),
                (b"username,email\nopen,open@example.com", "open"),
                (b"email,username\nturn@example.com,turn\n", "turn"),
                (b"id,role,email,x,username,y\n1,admin,cols@example.com,,cols,\n", "cols"),
                (b" username , email \nhead, head@example.com \n", "head"),
                (b'username,email\n"quo""ted, and",quoted@example.com\n', 'quo"ted, and'),
                (b"username,email\nmore,more@example.com,extra,fields\n", "more"),
                (b"username,email\n\n\nlines,lines@example.com\n\n", "lines"),
                ("username,email\n\u00e9\u65e5\U0001f600,uni@example.com\n".encode(), "\u00e9\u65e5\U0001f600"),
                (b"username,email\n" + b"n" * 255 + b",limit@example.com\n", "n" * 255),
                (b"username,email,created_at\nblank,blank@example.com,\n", "blank"),
                (b"username,email,created_at\nblanks,blanks@example.com,   \n", "blanks"))):
            self.bare(data, 1)
            self.assertEqual(self.last()[0]["username"], name, i)

    def test_created_at_is_used_as_given(self):
        for i, (given, shown) in enumerate((
                (b"2024-01-02 03:04:05", "2024-01-02T03:04:05"), (b"2024-01-02T03:04:05", "2024-01-02T03:04:05"),
                (b"2024-02-29", "2024-02-29T00:00:00"), (b" 2024-01-02 03:04:05 ", "2024-01-02T03:04:05"),
                (b"1999-12-31 23:59:59", "1999-12-31T23:59:59"), (b"2024-01-02T03:04:05.678", "2024-01-02T03:04:05"),
                (b"2024-01-02T03:04:05Z", "2024-01-02T03:04:05"), (b"2024-01-02T03:04:05+01:00", "2024-01-02T02:04:05"))):
            self.bare(b"username,email,created_at\ndate%d,date%d@example.com,%s\n" % (i, i, given), 1)
            self.assertEqual(self.last()[0]["created_at"], shown)

    def test_rows_that_are_skipped(self):
        header = b"username,email,created_at\n"
        good = b"good%d,good%d@example.com,\n"
        for i, bad in enumerate((
                b",b@example.com,", b"   ,b@example.com,", b"b,,", b"b,  ,", b"b,bad,", b"b,a@b,", b"b,a@b@c.de,", b"b,@c.de,",
                b"b,a b@c.de,", b"x" * 256 + b",b@example.com,", b"b," + b"x" * 250 + b"@example.com,", b"taken,b@example.com,",
                b"b,taken@example.com,", b"b,b@example.com,never", b"b,b@example.com,2024-13-01", b"b,b@example.com,2023-02-29",
                b"b,b@example.com,2024-01-02 25:00:00", b"b,b@example.com,5", b"b", b"b,b@example.com", b"\xe9,b@example.com,",
                b"b,\xe9@example.com,", b"a\x00b,b@example.com,", b"a\x01b,b@example.com,", b"b,b@example.com,\xe9",
                b'"b"x,b@example.com,', b"\xed\xa0\x80,b@example.com,", b"taken ,b@example.com,")):
            data = header + good % (i, i) + bad + b"\n" + good % (1000 + i, 1000 + i)
            result = self.bare(data, 2, 1, [3])
            self.assertTrue(result["errors"][0]["error"], bad)
            self.assertEqual(set(result["errors"][0]), {"row", "error"})
        self.assertNotIn("b", [u["username"] for u in self.last(10**6)])

    def test_latin1_keeps_the_other_rows(self):
        data = "username,email\nlat1,lat1@example.com\nm\u00fcller,mueller@example.com\nlat2,lat2@example.com\n"
        self.bare(data.encode("latin-1"), 2, 1, [3])

    def test_errors_are_the_first_20(self):
        data = HEADER + b"".join(b"bad%d,bad\n" % i for i in range(25)) + b"after25,after25@example.com\n"
        self.bare(data, 1, 25, range(2, 22))
        # Duplicates are found by the store, at the end of a batch; their lines still come in order.
        data = HEADER + b"".join(b"taken,d%d@example.com\nbad%d,bad\n" % (i, i) for i in range(13))
        self.bare(data, 0, 26, range(2, 22))

    def test_lines_are_those_of_the_file(self):
        data = b'username,email\r\n\r\n"two\r\nlines",two@example.com\r\nbad,bad\r\n'
        result = self.load(data)
        self.assertIn(5, [e["row"] for e in result["errors"]], result)

    def test_duplicates_within_the_file_and_sent_again(self):
        data = HEADER + b"dup,dup@example.com\ndup,dup2@example.com\ndup3,dup@example.com\nDUP,DUP@example.com\n"
        result = self.bare(data, 2, 2, [3, 4])
        self.assertEqual([e["error"] for e in result["errors"]], ["Username already exists", "Email already exists"])
        self.bare(data, 0, 4, [2, 3, 4, 5])

    def test_many_rows(self):
        data = HEADER + b"".join(b"many%d,many%d@example.com\n" % (i, i) for i in range(2500)) + b"last,bad\n"
        self.bare(data, 2500, 1, [2502])
        self.assertEqual([u["username"] for u in self.last(2)], ["many2498", "many2499"])

    def lock_users(self):
        """Nobody adds a user until what is returned is called; reading goes on."""
        if self.service.url.startswith("sqlite:"):
            lock = sqlite3.connect(self.service.database, isolation_level=None)
            self.addCleanup(lock.close)
            lock.execute("BEGIN IMMEDIATE")
            return lambda: lock.execute("ROLLBACK")
        psql = subprocess.Popen(["psql", "-XAtq", self.service.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)
        self.addCleanup(psql.communicate)
        psql.stdin.write("BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE; SELECT 'locked';\n")
        psql.stdin.flush()
        self.assertEqual(psql.stdout.readline(), "locked\n")
        return psql.communicate

    def test_imports_leave_the_workers_free(self):
        # Each may last a minute; as many as there are workers used to stop the whole API.
        unlock = self.lock_users()
        answers, threads = [], []
        for i in range(6):
            body = form(part("file", HEADER + b"queue%d,queue%d@example.com\n" % (i, i)))
            threads.append(threading.Thread(target=lambda body=body: answers.append(self.send(body))))
            threads[-1].start()
        harness.wait_for(lambda: self.one.metric("shortener_worker_queue_depth ") >= 2, what="imports that wait")
        for _ in range(5):
            self.assertEqual(self.one.get("/users/0").status, 404)
            self.assertEqual(self.one.get("/users").status, 200)
        self.assertEqual(answers, [])
        unlock()
        for thread in threads:
            thread.join()
        self.assertEqual([(a.status, a.json["count"]) for a in answers], [(201, 1)] * 6)

    # ---- limits ----

    def test_ten_mebibytes_go_in(self):
        data = HEADER + b"fits,fits@example.com\n"
        self.bare(data + b"\n" * (10 * MIB - len(data)), 1)

    def test_over_ten_mebibytes(self):
        data = HEADER + b"over,over@example.com\n"
        data += b"\n" * (10 * MIB + 1 - len(data))
        for body in (form(part("file", data)), form(part("file", data + b"\n" * MIB))):
            answer = self.send(body)
            self.assertEqual((answer.status, answer.json), (413, TOO_LARGE))
            self.assertRegex(answer.headers["X-Request-Id"], "^[0-9a-f]+$")
        self.assertNotIn("over", [u["username"] for u in self.last(10**6)])

    def test_far_too_large_is_refused_before_it_is_sent(self):
        head = (f"POST /users/bulk HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: {1 << 40}\r\n"
                "X-Request-Id: mine\r\nExpect: 100-continue\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", self.one.port), 5 * harness.SLOW) as sock:
            sock.sendall(head)
            answer = sock.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        self.assertIn(b"\r\nX-Request-Id: mine\r\n", answer)
        self.assertIn(json.dumps(TOO_LARGE, separators=(",", ":")).encode(), answer)


if __name__ == "__main__":
    harness.main()
