#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl audit: what this program leaves in the audit, and how it is shown and searched."""

import json
import os
import pwd
import sqlite3

from shortenerctl import CONFIG, USAGE, Case, main


def login():
    """Who runs this, as the kernel keeps it through su and sudo; else the real user."""
    uid = os.getuid()
    try:
        with open("/proc/self/loginuid") as file:
            known = int(file.read())
            uid = uid if known == 2**32 - 1 else known
    except (OSError, ValueError):
        pass
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


ME = "shortenerctl:" + login()


class Audit(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def rows(self, *words):
        """One JSON object a line, newest first."""
        lines = self.ctl("audit", "--json", *words).splitlines()
        rows = [json.loads(line) for line in lines]
        for line, row in zip(lines, rows):
            self.assertEqual(set(row), {"action", "actor", "id", "new", "object", "old", "request_id", "time", "user_id"})
            self.assertEqual(line, json.dumps(row, sort_keys=True, separators=(",", ":")))
        return rows

    def changes(self, *words):
        return [(row["action"], row["object"], row["old"], row["new"]) for row in self.rows(*words)]

    def test_each_change_leaves_a_row(self):
        self.assertEqual(self.rows(), [])
        self.ctl("user", "add", "anna", "anna@x.example")
        self.ctl("user", "edit", "1", "--email=new@x.example")
        self.ctl("link", "add", "https://x.example/a", "--user=1", "--code=abc")
        self.ctl("link", "edit", "abc", "--url=https://x.example/b", "--title=T")
        self.ctl("link", "disable", "abc")
        self.ctl("link", "enable", "abc")
        self.ctl("link", "delete", "--yes", "abc")
        done = self.run_ctl("token", "create", "--user=1", "--scopes=read", "laptop")
        secret = done.stdout.decode().strip()
        self.ctl("token", "revoke", "1")
        self.ctl("user", "delete", "--yes", "1")
        active, inactive = {"is_active": True}, {"is_active": False}
        rows = self.rows()
        revoked = rows[1]["new"]["revoked_at"]
        self.assertEqual(self.changes(), [
            ("delete", "user:1", {"email": "new@x.example", "username": "anna"}, None),
            ("revoke", "token:1", {"revoked_at": None}, {"revoked_at": revoked}),
            ("create", "token:1", None, {"name": "laptop", "scopes": "read", "user_id": 1}),
            ("delete", "url:1", active, inactive),
            ("update", "url:1", inactive, active),
            ("update", "url:1", active, inactive),
            ("update", "url:1", {"original_url": "https://x.example/a", "title": None},
             {"original_url": "https://x.example/b", "title": "T"}),
            ("create", "url:1", None,
             {"is_active": True, "original_url": "https://x.example/a", "short_code": "abc", "user_id": 1}),
            ("update", "user:1", {"email": "anna@x.example"}, {"email": "new@x.example"}),
            ("create", "user:1", None, {"email": "anna@x.example", "username": "anna"})])
        self.assertEqual({row["actor"] for row in rows}, {ME})
        self.assertEqual({row["request_id"] for row in rows}, {None})
        self.assertNotIn(secret[4:20], self.ctl("audit", "--json"))

    def test_what_is_refused_or_rehearsed_leaves_none(self):
        self.ctl("user", "add", "anna", "anna@x.example")
        self.refused("user", "add", "anna", "other@x.example")
        self.refused("user", "edit", "7", "--email=a@x.example")
        self.refused("link", "add", "nonsense")
        self.refused("token", "revoke", "7")
        self.ctl("user", "delete", "1", "--dry-run")
        self.assertEqual(len(self.rows()), 1)

    def test_an_import_is_one_row(self):
        users = b"username,email\n" + b"".join(b"u%d,u%d@x.example\n" % (i, i) for i in range(2500))
        self.ctl("import", "-", input=users + b"u1,again@x.example\n", status=1)
        self.assertEqual(self.changes(), [("import", "store", None, {"events": 0, "urls": 0, "users": 2500})])
        self.ctl("import", "-", input=b"username,email\nlast,last@x.example\n")
        self.assertEqual(self.changes()[0], ("import", "store", None, {"events": 0, "urls": 0, "users": 1}))

    def test_seed(self):
        self.seed()
        counts = dict(zip(("users", "urls", "events"), self.totals()))
        self.assertEqual(self.changes(), [("import", "store", None, counts)])
        self.ctl("user", "delete", "--yes", "1")
        self.run_ctl("seed", "--force", os.path.join(self.folder, "nowhere"))
        self.assertEqual(len(self.rows()), 2)
        self.assertEqual(self.run_ctl("seed", "--force").returncode, 0)
        self.assertEqual(self.changes()[0], ("load", "store", {**counts, "users": counts["users"] - 1}, counts))

    def test_filters(self):
        self.ctl("user", "add", "anna", "anna@x.example")
        self.ctl("link", "add", "https://x.example/a")
        self.ctl("link", "disable", "1")
        self.assertEqual(len(self.rows("--object=url:1")), 2)
        self.assertEqual(len(self.rows("--object=user:1")), 1)
        self.assertEqual(len(self.rows("--object=token:1")), 0)
        self.assertEqual(len(self.rows("--actor=" + ME)), 3)
        self.assertEqual(len(self.rows("--actor=open")), 0)
        self.assertEqual(len(self.rows("--actor=token:1")), 0)
        self.assertEqual(len(self.rows("--request=x")), 0)
        self.assertEqual(len(self.rows("--since=1h")), 3)
        self.assertEqual(len(self.rows("--until=1h")), 0)
        self.assertEqual(len(self.rows("--since=2026-01-01", "--until=2999-12-31 23:59")), 3)
        self.assertEqual(len(self.rows("--since=2999-01-01T00:00:00")), 0)
        self.assertEqual(len(self.rows("--limit=2")), 2)
        with sqlite3.connect(self.path("store.db")) as db:
            db.execute("UPDATE audit SET time = 1000 * id, request_id = 'r' || id, token_id = id, user_id = 9")
        self.assertEqual([row["id"] for row in self.rows()], [3, 2, 1])
        self.assertEqual([row["id"] for row in self.rows("--since=1970-01-01 00:33:20")], [3, 2])
        self.assertEqual([row["id"] for row in self.rows("--until=1970-01-01 00:33:20")], [1])
        self.assertEqual([row["id"] for row in self.rows("--request=r2")], [2])
        self.assertEqual([row["id"] for row in self.rows("--actor=token:1")], [1])
        self.assertEqual(len(self.rows("--actor=user:9")), 3)

    def test_pages(self):
        """More rows than one page of the program has, many within one second."""
        with sqlite3.connect(self.path("store.db")) as db:
            db.executemany("INSERT INTO audit (id, time, actor, action, kind, object_id) VALUES (?, ?, 'open', 'update',"
                           " 'url', 1)", [(i, 1000 + i // 700) for i in range(1, 2001)])
        self.assertEqual([row["id"] for row in self.rows("--limit=0")], list(range(2000, 0, -1)))
        self.assertEqual([row["id"] for row in self.rows("--limit=501")], list(range(2000, 1499, -1)))
        done = self.run_ctl("audit", "--limit=3")
        self.assertEqual(done.stdout.count(b"update url:1  by open\n"), 3)
        self.assertIn(b"--limit=0", done.stderr)

    def test_table(self):
        long = "https://x.example/" + "\u00e4" * 300
        self.ctl("user", "add", "anna", "anna@x.example")
        self.ctl("link", "add", long, "--title=T")
        self.ctl("link", "edit", "1", "--url=https://x.example/short", "--title=")
        self.ctl("link", "edit", "1", "--url=" + long + "2")
        self.ctl("user", "delete", "--yes", "1")
        text = self.ctl("audit")
        self.assertTrue(text.isascii())
        self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
        lines = text.splitlines()
        self.assertRegex(lines[0], rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  delete user:1  by {ME}$")
        self.assertEqual(lines[1:3], ["    email         anna@x.example -> -", "    username      anna -> -"])
        self.assertRegex(text, r"\n    original_url  https://x.example/short -> https://x.example/\\u00E4[^ ]*\.\.\.\n")
        self.assertRegex(text, r"\n    original_url  https://x.example/\\u00E4[^ ]*\.\.\. -> https://x.example/short\n")
        self.assertIn("\n    title         T -> null\n", text)
        self.assertIn("\n    username      anna\n", text)

    def test_what_is_damaged_is_shown_as_it_is(self):
        """A table that somebody else wrote to: no crash, no escape sequence of theirs that we made."""
        with sqlite3.connect(self.path("store.db")) as db:
            for i, fields in enumerate(["", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"\\",
                                        "x", "{}", "{\"a\":1", "{\"" + "n" * 100 + "\":\"" + "v" * 500 + "\"}"]):
                db.execute("INSERT INTO audit (id, time, actor, action, kind, object_id, old, new) VALUES"
                           " (?, 1, ?, 'update', 'url', 1, ?, ?)", (i + 1, "a" * 100, fields, fields))
        self.assertEqual(self.ctl("audit").count(" update url:1  by a"), 12)

    def test_usage(self):
        for words in (["--since=soon"], ["--until="], ["--actor="], ["--actor=token:x"], ["--actor=user:0"],
                      ["--object=url"], ["--object=url:"], ["--object=url:x"], ["--object=link:1"], ["--limit=-1"], ["x"]):
            with self.subTest(words):
                self.refused("audit", *words, status=USAGE)

    def test_a_store_from_before(self):
        """Without the table nothing is changed unseen: the schema is asked for first."""
        with sqlite3.connect(self.path("store.db")) as db:
            db.execute("PRAGMA user_version = 2")
        self.refused("user", "add", "anna", "anna@x.example", status=CONFIG, message="db migrate")


if __name__ == "__main__":
    main()
