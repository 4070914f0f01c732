#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl import and export: rows in, rows refused, and the same rows out again."""

import json
import os
import pty
import select
import stat
import subprocess
import time

from shortenerctl import (AGAIN, DONE, FAILED, KINDS, SEED, TIMEOUT, USAGE, Case, count, environment,
                          main)


def users(n, first=1):
    return "username,email\n" + "".join(
        f"user{i},user{i}@example.com\n" for i in range(first, first + n))


class Import(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def assert_imported(self, said, what):
        """What took longer than a second says how fast it was."""
        self.assertRegex(said, rf"\AImported {what}(: [0-9.]+ s, [0-9,]+ rows/s)?\n\Z")

    def errors(self, name):
        lines = self.read(name + ".errors").decode().split("\n")
        self.assertEqual((lines[0], lines[-1]), ("line,error", ""))
        return [tuple(line.split(",", 1)) for line in lines[1:-1]]

    def test_users(self):
        self.assert_imported(self.ctl("import", self.write("u.csv", users(2500))), "2500 users")
        self.assertEqual(self.totals(), (2500, 0, 0))
        self.assertEqual(sorted(os.listdir(self.folder)), ["store.db", "u.csv"])
        self.verify()

    def test_ids_are_kept(self):
        self.ctl("import", self.write("u.csv", "id,username,email,created_at\n"
                                      "7,anna,anna@example.com,2026-01-02 03:04:05\n"
                                      ",bert,bert@example.com,2026-01-02T03:04:05Z\n"))
        self.assertEqual(self.json("user", "show", "7"),
                         {"created_at": "2026-01-02T03:04:05", "email": "anna@example.com", "id": 7,
                          "username": "anna"})
        self.assertEqual(self.json("user", "show", "8")["username"], "bert")

    def test_urls_without_codes(self):
        """Bulk shortening: each row gets a code of the configured length, and its event."""
        path = self.write("l.csv", "original_url,title\n" + "".join(
            f"https://example.com/{i},T {i}\n" for i in range(1500)))
        self.assert_imported(self.ctl("import", path, "--set=Links.CodeLength=9"), "1500 urls")
        links = self.json("link", "list", "--limit=0")
        self.assertEqual(len({link["short_code"] for link in links}), 1500)
        for link in links:
            self.assertRegex(link["short_code"], "^[0-9A-Za-z]{9}$")
        events = [json.loads(line) for line in
                  self.ctl("export", "events", "--format=jsonl").split("\n")[:-1]]
        self.assertEqual([event["details"] for event in events],
                         [{"original_url": link["original_url"], "short_code": link["short_code"]}
                          for link in links])
        self.verify()

    def test_codes_of_four_characters_collide_and_are_made_again(self):
        path = self.write("l.csv", "original_url\n" + "https://example.com/\n" * 20000)
        self.assertEqual(self.ctl("import", path, "--set=Links.CodeLength=4")[:19],
                         "Imported 20000 urls")
        self.assertEqual(self.totals()[1], 20000)

    def test_a_file_with_ids_brings_no_events_of_its_own(self):
        self.ctl("import", self.write("l.csv", "id,original_url,short_code\n1,http://ab,abc\n"))
        self.assertEqual(self.totals(), (0, 1, 0))

    def test_type_is_found_or_told(self):
        self.refused("import", self.write("x.csv", "a,b\n1,2\n"),
                     message="x.csv: these are neither users .* nor urls|neither users")
        self.refused("import", "--type=events", self.write("u.csv", users(1)),
                     message="u.csv: there is no column event_type")
        self.refused("import", "--type=people", self.path("u.csv"), status=USAGE)
        self.ctl("import", "--type=users", self.path("u.csv"))

    def test_refused_rows_do_not_keep_the_others_out(self):
        path = self.write("u.csv", users(1200) + "user5,new@example.com\n,x@example.com\n"
                          "anna,anna\nbert,bert@example.com\n")
        text = self.refused("import", path)
        self.assertIn("u.csv:1202: Username already exists\n", text)
        self.assertEqual(self.totals()[0], 1201)
        self.assertEqual(self.errors("u.csv"),
                         [("1202", "Username already exists"), ("1203", "username is required"),
                          ("1204", "Invalid email format")])

    def test_a_second_import_adds_nothing(self):
        path = self.write("u.csv", users(1500))
        self.ctl("import", path)
        text = self.refused("import", path, message="u.csv: 1490 more such rows")
        self.assertEqual(count(text, "Username already exists"), 10)
        self.assertEqual(self.totals()[0], 1500)
        self.assertEqual(len(self.errors("u.csv")), 1500)

    def test_errors_go_where_they_are_told_to(self):
        path = self.write("u.csv", "username,email\nanna,\n")
        self.refused("import", path, "--errors=" + self.path("why.csv"))
        self.assertEqual(self.read("why.csv"), b"line,error\n2,email is required\n")
        self.assertFalse(os.path.exists(self.path("u.csv.errors")))
        self.refused("import", path, "--errors=" + self.path("no/why.csv"), message="no/why.csv: No such")

    def test_errors_of_an_earlier_import_go(self):
        path = self.write("u.csv", "username,email\nanna,\n")
        self.refused("import", path)
        self.write("u.csv", users(1))
        self.ctl("import", path)
        self.assertFalse(os.path.exists(self.path("u.csv.errors")))

    def test_errors_do_not_take_the_place_of_the_input(self):
        path = self.write("u.csv", users(3))
        for words in ((), ("--dry-run",)):
            self.refused("import", *words, "--errors=" + path, path, message="is the file that is imported")
            self.assertEqual(self.read("u.csv").decode(), users(3))

    def test_a_dry_run_removes_nothing(self):
        path = self.write("kept", "precious\n")
        self.ctl("import", "--dry-run", "--errors=" + path, self.write("u.csv", users(3)))
        self.assertEqual(self.read("kept"), b"precious\n")

    def test_dry_run(self):
        path = self.write("u.csv", users(1200) + "anna,\n")
        done = self.run_ctl("import", "--dry-run", path)
        self.assertEqual((done.returncode, done.stdout),
                         (FAILED, b"Would import 1200 users, skipped 1 rows\n"))
        self.assertIn(b"u.csv:1202: email is required", done.stderr)
        self.assertEqual(self.totals()[0], 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["store.db", "u.csv"])
        self.refused("import", "--dry-run", "--resume", path, status=USAGE)

    def test_json_report(self):
        path = self.write("u.csv", users(10) + "anna,\n")
        done = self.run_ctl("import", "--json", path)
        self.assertEqual(json.loads(done.stdout), {"errors": path + ".errors", "imported": 10,
                                                   "rows": 11, "skipped": 1, "type": "users"})

    def test_standard_input(self):
        self.assert_imported(self.ctl("import", "-", input=users(1100).encode()), "1100 users")
        self.refused("import", "-", "--resume", input=b"username,email\n", status=USAGE)
        self.refused("import", "-", input=b"username,email\nanna,\n")
        self.assertEqual(os.listdir(self.folder), ["store.db"])

    def test_missing_inputs(self):
        self.refused("import", self.path("nowhere.csv"), message="nowhere.csv: No such file")
        self.refused("import", self.folder, message="Is a directory")
        self.refused("import", status=USAGE)

    def test_many_bad_rows_in_a_row(self):
        path = self.write("u.csv", users(1) + ",\n" * 5000 + "zoe,zoe@example.com\n")
        self.refused("import", path)
        self.assertEqual(self.totals()[0], 2)
        self.assertEqual(len(self.errors("u.csv")), 5000)

    def test_memory_does_not_grow_with_the_file(self):
        path = self.write("u.csv", users(60000))
        pid = os.spawnve(os.P_NOWAIT, self.command()[0], self.command("import", path), environment())
        _, status, usage = os.wait4(pid, 0)
        self.assertEqual(status, 0)
        if "SHORTENER_SANITIZED" not in os.environ:
            self.assertLess(usage.ru_maxrss, 40 * 1024)  # KiB

    def test_events_move_the_totals(self):
        self.seed_links()
        path = self.write("e.csv", "url_id,event_type,details\n" +
                          '1,redirect,"{""ip"":""192.0.2.1""}"\n' * 1500 + "2,created,\n9,redirect,\n")
        self.refused("import", path, message="e.csv:1503: URL not found")
        self.assertEqual(self.json("stats", "1")["redirect_count"], 1500)
        self.assertEqual(self.json("stats", "2")["redirect_count"], 0)
        self.verify()

    def seed_links(self):
        self.ctl("import", self.write("l.csv", "id,original_url,short_code\n"
                                      "1,http://ab,aaa\n2,http://ab,bbb\n"))

    def test_json_lines(self):
        path = self.write("u.jsonl", '{"username":"anna","email":"anna@example.com","id":3}\n'
                          '{"username":7,"email":"b@example.com"}\n'
                          '\n'
                          '{"email":"c@example.com","username":"c\\u00e9"}')
        self.refused("import", path)
        self.assertEqual(self.errors("u.jsonl"), [("2", "username must be a string")])
        self.assertEqual(self.json("user", "show", "4")["username"], "cé")

    def test_a_progress_bar_on_a_terminal(self):
        master, slave = pty.openpty()
        with subprocess.Popen(self.command("import", "-"), stdin=subprocess.PIPE, stderr=slave,
                              stdout=subprocess.PIPE, env=environment()) as process:
            os.close(slave)
            shown, first = b"", 1
            until = time.monotonic() + TIMEOUT
            process.stdin.write(b"username,email\n")
            while b"rows/s" not in shown and b"/s" not in shown and time.monotonic() < until:
                process.stdin.write(users(1100, first).split("\n", 1)[1].encode())
                process.stdin.flush()
                first += 1100
                if select.select([master], [], [], 0.2)[0]:
                    shown += os.read(master, 4096)
            process.stdin.close()
            self.assertIn(b"Imported", process.stdout.read())
            self.assertEqual(process.wait(), 0)
        os.close(master)
        self.assertRegex(shown, rb"\r- [0-9,]+ rows, [0-9,]+/s")


class Export(Case):
    def test_round_trip(self):
        """export, import into an empty store, export: byte for byte the same, in both formats."""
        self.seed()
        self.ctl("link", "edit", "5", "--title=Käse, \"gut\"")
        self.ctl("user", "delete", "--yes", "7")
        self.ctl("link", "delete", "--yes", "1")
        # Its events are the longest that there are: six bytes of JSON for each two of the URL.
        longest = "http://ab/x" + "é" * 1018
        self.ctl("link", "edit", str(self.json("link", "add", longest)["id"]), "--url=" + longest + "y")
        for form in ("csv", "jsonl"):
            self.init(store=form)
            for kind in KINDS:
                path = self.path(f"{kind}.{form}")
                self.assertEqual(self.ctl("export", kind, "--format=" + form, "--output=" + path), "")
                self.ctl("import", path, store=form)
                again = self.run_ctl("export", kind, "--format=" + form, store=form).stdout
                self.assertEqual(again, self.read(f"{kind}.{form}"), (form, kind))
            self.assertEqual(self.totals(store=form), self.totals())
            self.assertEqual(self.json("stats", store=form), self.json("stats"))
            self.verify(store=form)
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".part")])

    def test_targets_with_credentials(self):
        """What the service takes with [Links] Credentials=allow comes out and goes in again; else it does not."""
        target, allow = "https://user:pass@example.com/", "--set=Links.Credentials=allow"
        self.init()
        self.refused("link", "add", target, message="valid HTTP or HTTPS URL")
        link = self.json("link", "add", target, allow)
        self.assertEqual(link["original_url"], target)
        self.refused("link", "edit", str(link["id"]), "--url=" + target, message="valid HTTP or HTTPS URL")
        self.ctl("link", "edit", str(link["id"]), "--url=" + target + "x", allow)
        rows = self.run_ctl("export", "urls").stdout
        self.assertIn((target + "x").encode(), rows)
        path = self.write("urls.csv", rows)
        self.init(store="other.db")
        self.refused("import", path, store="other.db", message="valid HTTP or HTTPS URL")
        self.ctl("import", path, allow, store="other.db")
        self.assertEqual(self.run_ctl("export", "urls", store="other.db").stdout, rows)

    def test_what_is_no_file_is_written_to(self):
        self.seed()
        expected = self.run_ctl("export", "users").stdout
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            self.ctl("export", "users", "--output=" + pipe)
            self.assertEqual(reader.stdout.read(), expected)
        self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
        self.write("target", "old")
        os.symlink(self.path("target"), self.path("link"))
        self.ctl("export", "users", "--output=" + self.path("link"))
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(self.read("target"), expected)

    def test_texts_that_need_care(self):
        self.init()
        details = ('{"a":"\\u00e9\\ud83d\\ude00,\\"x\\"","b":[1.50,1e400,-0,12345678901234567890],'
                   '"c":{"":null,"d":[true,false]}}')
        titles = ["Quote \"x\"", "comma, and ;", "ümlaut 日本語", "=1+1", "'", "back\\slash", "a  b"]
        links = "".join(json.dumps({"id": i + 1, "original_url": "http://ab/?q=a,b&c=\"",
                                    "short_code": f"c{i}", "title": title}) + "\n"
                        for i, title in enumerate(titles))
        self.ctl("import", self.write("l.jsonl", links))
        self.ctl("import", self.write("e.jsonl", '{"url_id":1,"event_type":"x y","details":%s}\n'
                                      % details))
        self.init(store="other.db")
        for kind in ("urls", "events"):
            self.ctl("import", self.write(kind + ".csv", self.export(kind)), store="other.db")
            self.assertEqual(self.export(kind, store="other.db"), self.export(kind))
        self.assertEqual([link["title"] for link in self.json("link", "list", store="other.db")], titles)
        line = self.ctl("export", "events", "--json", store="other.db")
        self.assertIn('"b":[1.50,1e400,-0,12345678901234567890]', line)
        self.verify("other.db")

    def test_sparse_ids(self):
        """Events far apart and densely packed, many more than a page."""
        self.init()
        self.ctl("import", self.write("l.csv", "id,original_url,short_code\n1,http://ab,aaa\n"))
        ids = list(range(1, 50)) + list(range(5000, 7500)) + [10 ** 9 + 3 * i for i in range(2500)]
        ids += [10 ** 15, 10 ** 15 + 1, 4 * 10 ** 18]
        rows = "".join(f"{i},1,x,2026-01-01 00:00:00\n" for i in ids)
        self.ctl("import", self.write("e.csv", "id,url_id,event_type,timestamp\n" + rows))
        lines = self.export("events").decode().split("\n")[1:-1]
        self.assertEqual([int(line.split(",")[0]) for line in lines], ids)

    def test_empty_store(self):
        self.init()
        self.assertEqual(self.ctl("export", "users"), "id,username,email,created_at\n")
        self.assertEqual(self.ctl("export", "events", "--format=jsonl"), "")
        self.ctl("import", self.write("u.csv", self.export("users")))

    def test_wrong_usage(self):
        self.init()
        for words in (["people"], [], ["users", "urls"], ["users", "--format=xml"]):
            self.refused("export", *words, status=USAGE)

    def test_output_that_cannot_be_written(self):
        self.seed()
        self.refused("export", "users", "--output=" + self.path("no/u.csv"), message="No such file")
        with open("/dev/full", "wb") as full:
            done = self.run_ctl("export", "events", stdout=full)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"No space left on device", done.stderr)
        self.refused("export", "users", "--output=" + self.path("u.csv"), store="missing.db", status=78)
        self.assertFalse([name for name in os.listdir(self.folder) if name.startswith("u.csv")])

    def test_seed_files_come_out_again(self):
        self.seed()
        for kind in KINDS:
            with open(os.path.join(SEED, kind + ".csv"), "rb") as file:
                self.assertEqual(self.export(kind), file.read())


class Locked(Case):
    def test_a_store_that_another_writer_holds(self):
        """Waits, then says that it is to be tried again; what was done is kept."""
        self.init()
        path = self.write("u.csv", users(100))
        with subprocess.Popen(["sqlite3", self.path("store.db")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as shell:
            shell.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n")
            shell.stdin.flush()
            self.assertEqual(shell.stdout.readline(), "held\n")
            self.refused("user", "add", "anna", "anna@example.com", status=AGAIN)
            self.assertEqual(self.totals()[0], 0)  # readers go on
            shell.stdin.write("COMMIT;\n")
            shell.stdin.close()
            shell.wait()
        self.ctl("import", path)
        self.assertEqual(self.run_ctl("user", "show", "1").returncode, DONE)


if __name__ == "__main__":
    main()
