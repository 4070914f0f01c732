#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl seed: all or nothing, and never over data without being told to."""

import os
import shutil

from shortenerctl import CONFIG, DONE, FAILED, KINDS, SEED, Case, environment, main

USERS = "id,username,email,created_at\n"
URLS = "id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n"
EVENTS = "id,url_id,user_id,event_type,timestamp,details\n"
LOADED = "Loaded 400 users, 2000 URLs, 3422 events\n"


class Seed(Case):
    def folder_of(self, users="", urls="", events=""):
        folder = self.path("set")
        os.makedirs(folder, exist_ok=True)
        for name, head, rows in (("users", USERS, users), ("urls", URLS, urls),
                                 ("events", EVENTS, events)):
            self.write(f"set/{name}.csv", head + rows)
        return folder

    def test_loads_the_data_set(self):
        self.init()
        self.assertEqual(self.ctl("seed", SEED), LOADED)
        self.assertEqual(self.totals(), (400, 2000, 3422))
        self.assertEqual(self.json("stats")["redirects"], 700)
        self.assertEqual(self.json("stats")["active_urls"], 1647)
        self.verify()
        for kind in KINDS:
            with open(os.path.join(SEED, kind + ".csv"), "rb") as file:
                self.assertEqual(self.export(kind), file.read())

    def test_makes_a_missing_store(self):
        self.assertEqual(self.ctl("seed", SEED), LOADED)
        self.assertEqual(self.totals(), (400, 2000, 3422))

    def test_refuses_a_store_that_holds_data(self):
        self.seed()
        before = self.read("store.db")
        self.refused("seed", SEED, message="holds data already.*--force")
        self.assertEqual(self.totals(), (400, 2000, 3422))
        self.assertEqual(self.read("store.db"), before)

    def test_one_user_is_data(self):
        self.init()
        self.ctl("user", "add", "anna", "anna@example.com")
        self.refused("seed", SEED, message="holds data already")

    def test_force_says_what_it_replaces(self):
        self.seed()
        self.ctl("user", "add", "anna", "anna@example.com")
        done = self.run_ctl("seed", "--force", SEED)
        self.assertEqual((done.returncode, done.stdout), (DONE, LOADED.encode()))
        self.assertIn(b"replacing 401 users, 2000 URLs, 3422 events", done.stderr)
        self.assertEqual(self.totals(), (400, 2000, 3422))
        self.verify()
        # Numbers go on behind the highest that there ever was.
        self.assertEqual(self.json("user", "add", "bert", "bert@example.com")["id"], 402)

    def test_dry_run_changes_nothing(self):
        self.assertEqual(self.ctl("seed", "--dry-run", SEED), LOADED.replace("Loaded", "Would load"))
        self.assertFalse(os.path.exists(self.path("store.db")), "a dry run made the store")
        self.write("store.db", "")
        self.assertEqual(self.ctl("seed", "--dry-run", SEED), LOADED.replace("Loaded", "Would load"))
        os.remove(self.path("store.db"))
        self.refused("seed", "--dry-run", SEED, store="nosuch/store.db", message="folder is not there")
        self.init()
        self.assertEqual(self.ctl("seed", "--dry-run", SEED), LOADED.replace("Loaded", "Would load"))
        self.assertEqual(self.totals(), (0, 0, 0))
        self.seed()
        done = self.run_ctl("seed", "--dry-run", "--force", SEED)
        self.assertEqual(done.returncode, DONE)
        self.assertIn(b"would replace 400 users", done.stderr)
        self.assertEqual(self.totals(), (400, 2000, 3422))

    def test_json(self):
        self.assertEqual(self.json("seed", SEED),
                         {"dry_run": False, "events": 3422, "skipped": 0, "urls": 2000, "users": 400})

    def test_numbers_go_on_behind_the_highest(self):
        self.seed()
        self.assertEqual(self.json("user", "add", "anna", "anna@example.com")["id"], 401)
        self.assertEqual(self.json("link", "add", "https://example.com/")["id"], 2001)

    def test_duplicates_are_skipped_and_named(self):
        folder = self.folder_of(
            users="1,anna,anna@example.com,2026-01-01 00:00:00\n"
                  "2,anna,other@example.com,2026-01-01 00:00:00\n"
                  "3,bert,anna@example.com,2026-01-01 00:00:00\n"
                  "4,carl,carl@example.com,2026-01-01 00:00:00\n",
            urls="1,2,aaaaaa,https://example.com/,T,True,2026-01-01 00:00:00,2026-01-01 00:00:00\n"
                 "2,4,bbbbbb,https://example.com/,T,True,2026-01-01 00:00:00,2026-01-01 00:00:00\n",
            events="1,1,2,created,2026-01-01 00:00:00,\n"
                   "2,2,4,created,2026-01-01 00:00:00,\n")
        done = self.run_ctl("seed", folder)
        self.assertEqual(done.returncode, DONE)
        self.assertEqual(done.stdout, b"Loaded 2 users, 2 URLs, 2 events\n")
        self.assertIn(f"{folder}/users.csv:3: Username already exists: skipped", done.stderr.decode())
        self.assertIn(f"{folder}/users.csv:4: Email already exists: skipped", done.stderr.decode())
        self.assertIsNone(self.json("link", "show", "1")["user_id"])
        self.assertEqual(self.json("link", "show", "2")["user_id"], 4)
        self.verify()

    def test_times_in_any_order(self):
        """Not in the order of ids, and events older than their link."""
        folder = self.folder_of(
            users="1,anna,anna@example.com,2026-01-03 00:00:00\n"
                  "2,bert,bert@example.com,2026-01-01 00:00:00\n",
            urls="1,1,aaaaaa,https://example.com/,,True,2026-03-01 00:00:00,2026-02-01 00:00:00\n",
            events="5,1,1,created,2026-03-01 00:00:00,\n"
                   "3,1,1,redirect,2025-01-01 00:00:00,\n")
        self.assertEqual(self.ctl("seed", folder), "Loaded 2 users, 1 URLs, 2 events\n")

    def test_a_bad_row_is_named_and_nothing_is_loaded(self):
        good_user = "1,anna,anna@example.com,2026-01-01 00:00:00\n"
        good_url = "1,1,aaaaaa,https://example.com/,,True,2026-01-01 00:00:00,2026-01-01 00:00:00\n"
        times = "2026-01-01 00:00:00,2026-01-01 00:00:00\n"
        cases = [
            ({"users": good_user + "2,bert\n"}, "users.csv:3: the row has fewer fields"),
            ({"users": good_user + "2,,b@example.com,2026-01-01 00:00:00\n"},
             "users.csv:3: username is required"),
            ({"users": good_user + "1,bert,b@example.com,2026-01-01 00:00:00\n"},
             "users.csv:3: the id is taken or out of range"),
            ({"users": good_user + "x,bert,b@example.com,2026-01-01 00:00:00\n"},
             "users.csv:3: id must be a positive integer"),
            ({"users": good_user, "urls": "1,7,aaaaaa,https://example.com/,,True," + times},
             "urls.csv:2: User not found"),
            ({"users": good_user, "urls": "1,1,,https://example.com/,,True," + times},
             "urls.csv:2: short_code is required"),
            ({"users": good_user, "urls": good_url + good_url}, "urls.csv:3: "),
            ({"users": good_user, "urls": "1,1,aaaaaa,example.com,,True," + times},
             "urls.csv:2: A valid HTTP or HTTPS URL is required"),
            ({"users": good_user, "urls": good_url, "events": "1,2,1,created,2026-01-01 00:00:00,\n"},
             "events.csv:2: URL not found"),
            ({"users": good_user, "urls": good_url,
              "events": "1,1,1,created,2026-01-01 00:00:00,{\n"},
             "events.csv:2: details must be a JSON object"),
            ({"users": good_user, "urls": good_url,
              "events": "1,1,1,created,2026-01-01 00:00:00,\n" * 2},
             "events.csv:3: the id is taken or out of range"),
        ]
        self.init()
        for files, message in cases:
            with self.subTest(message):
                text = self.refused("seed", self.folder_of(**files), message=message)
                self.assertIn("nothing was loaded", text)
                self.assertEqual(self.totals(), (0, 0, 0))

    def test_a_bad_row_leaves_what_force_would_replace(self):
        self.seed()
        self.refused("seed", "--force", self.folder_of(users="1,anna\n"))
        self.assertEqual(self.totals(), (400, 2000, 3422))
        self.verify()

    def test_missing_and_wrong_files(self):
        self.init()
        self.refused("seed", self.path("nowhere"), message="nowhere/users.csv: No such file")
        folder = self.path("part")
        os.mkdir(folder)
        shutil.copy(os.path.join(SEED, "users.csv"), folder)
        self.refused("seed", folder, message="part/urls.csv: No such file")
        for name in ("urls", "events"):
            shutil.copy(os.path.join(SEED, "users.csv"), os.path.join(folder, name + ".csv"))
        self.refused("seed", folder, message="part/urls.csv: there is no column original_url")
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_a_store_without_schema(self):
        self.write("store.db", b"")
        self.refused("user", "list", status=CONFIG, message='no schema yet: run "shortenerctl db init"')

    def test_a_file_that_is_no_database(self):
        self.write("store.db", b"This is no database, and it is longer than a header is. " * 20)
        self.refused("seed", SEED, status=FAILED)
        self.assertTrue(self.read("store.db").startswith(b"This is no database"))

    def test_root_becomes_the_owner_of_the_folder(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        os.chmod(self.folder, 0o755)
        os.mkdir(self.path("state"), 0o700)
        os.chown(self.path("state"), 12345, 23456)
        os.mkdir(self.path("private"), 0o700)  # the input is root's alone
        for kind in KINDS:
            shutil.copy(os.path.join(SEED, kind + ".csv"), self.path("private"))
        # The leak sanitizer reads /proc/self, which a process that changed its user may not.
        changed = {"env": {**environment(), "ASAN_OPTIONS": "detect_leaks=0"}}
        self.ctl("seed", self.path("private"), store="state/store.db", **changed)
        for name in os.listdir(self.path("state")):
            status = os.stat(self.path("state/" + name))
            self.assertEqual((status.st_uid, status.st_gid), (12345, 23456), name)
        self.ctl("export", "users", "--output=" + self.path("private/out.csv"),
                 store="state/store.db", **changed)
        self.assertEqual(os.stat(self.path("private/out.csv")).st_uid, 0)
        self.write("private/more.csv", "username,email\nanna,anna@example.com\nbert,\n")
        self.ctl("import", self.path("private/more.csv"), store="state/store.db", status=FAILED,
                 **changed)
        self.assertEqual(self.json("stats", store="state/store.db", **changed)["users"], 401)
        self.assertNotIn("more.csv.state", os.listdir(self.path("private")))
        self.assertEqual(os.stat(self.path("private/more.csv.errors")).st_uid, 0)


if __name__ == "__main__":
    main()
