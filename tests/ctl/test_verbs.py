#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl db, user, link, stats, clicks, doctor, config: what they do, print and refuse."""

import json
import os
import pty
import select
import subprocess
import unittest

from shortenerctl import (CONFIG, DONE, FAILED, PROGRAM, TIMEOUT, USAGE, Case, environment, main)

HAS_NAMESPACE = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/etc/default"],
                               check=False, capture_output=True).returncode == 0


class Usage(Case):
    def test_help_is_on_standard_output(self):
        for words in ([], ["user"], ["user", "add"], ["import"]):
            for option in ("--help", "-h"):
                done = self.run_ctl(*words, option)
                self.assertEqual((done.returncode, done.stderr), (DONE, b""))
                self.assertTrue(done.stdout.startswith(b"Usage: shortenerctl "))

    def test_version(self):
        self.assertRegex(self.ctl("--version"), r"^shortenerctl [0-9.]+\n$")

    def test_wrong_usage(self):
        for words in ([], ["sow"], ["user"], ["user", "drop"], ["user", "show"], ["user", "show", "x"],
                      ["user", "show", "0"], ["user", "show", "1", "2"], ["--nonsense"],
                      ["db", "status", "--force"], ["user", "list", "--limit=x"],
                      ["user", "list", "--after=-1"], ["user", "edit", "1"], ["link", "edit", "1"],
                      ["link", "list", "--active", "--inactive"], ["link", "list", "--user=x"],
                      ["export", "people"], ["import"], ["clicks", "adopt"]):
            with self.subTest(words):
                text = self.refused(*words, status=USAGE)
                self.assertRegex(text, r"\nTry 'shortenerctl .*--help'\.\n$")

    def test_bad_configuration(self):
        self.refused("db", "status", "--set=Store.Colour=red", status=CONFIG, message="Colour")
        self.refused("db", "status", "--set=nonsense", status=CONFIG)
        self.refused("db", "status", "--config=" + self.path("nowhere"), status=CONFIG)
        path = self.write("bad.conf", "[Store]\nTimeout=soon\n")
        self.refused("db", "status", "--config=" + path, status=CONFIG, message="bad.conf:2")
        done = subprocess.run([PROGRAM, "--store=mysql:x", "user", "list"], capture_output=True,
                              check=False, timeout=TIMEOUT, env=environment())
        self.assertEqual(done.returncode, CONFIG)

    def test_configuration_is_read(self):
        path = self.write("good.conf", f"[Store]\nURL=sqlite:{self.path('a.db')}\n"
                          f"[Server]\nRuntimeDirectory={self.path('run')}\n")
        command = [PROGRAM, "--config=" + path, "db", "init"]
        subprocess.run(command, check=True, timeout=TIMEOUT, env=environment(),
                       stdout=subprocess.DEVNULL)
        self.assertTrue(os.path.exists(self.path("a.db")))
        subprocess.run(command, check=True, timeout=TIMEOUT, stdout=subprocess.DEVNULL,
                       env={**environment(), "SHORTENER_STORE_URL": "sqlite:" + self.path("b.db")})
        self.assertTrue(os.path.exists(self.path("b.db")))
        self.assertIn(f"URL=sqlite:{self.path('a.db')}",
                      self.ctl("config", "show", "--config=" + path, store="a.db"))
        shown = {row["key"]: row["value"] for row in self.json("config", "show", "--config=" + path)}
        self.assertEqual(shown["Store.URL"], "sqlite:" + self.path("store.db"))
        self.assertEqual(shown["Links.CodeLength"], "6")


class Db(Case):
    def test_a_path_that_no_file_can_have(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("pipe"))
        self.write("file", b"")
        for store, why in (("folder", "is a folder: name a file, such as shortener.db in it"),
                           ("pipe", "is a device, a pipe or a socket: name a file"),
                           ("file/x.db", "can be no file: a part of its path is one")):
            for words in (["db", "init"], ["db", "status"], ["user", "list"], ["seed", "--dry-run"]):
                with self.subTest(store=store, words=words):
                    self.refused(*words, store=store, status=CONFIG,
                                 message=rf'\[Store\] URL: "sqlite:{self.path(store)}" {why}')
        self.assertEqual(os.listdir(self.path("folder")), [])
        self.assertIn("is a folder", self.ctl("doctor", store="folder", status=FAILED))

    def test_life_of_a_store(self):
        self.refused("db", "status", status=CONFIG, message='run "shortenerctl db init"')
        self.refused("user", "list", status=CONFIG)
        self.assertRegex(self.ctl("db", "init"), r": schema [0-9]+, made\n$")
        self.assertRegex(self.ctl("db", "init"), r": schema [0-9]+, there already\n$")
        self.assertRegex(self.ctl("db", "migrate"), r": schema [0-9]+, up to date\n$")
        self.assertRegex(self.ctl("db", "migrate", "--dry-run"), "up to date")
        self.assertIn("users:      0\n", self.ctl("db", "status"))
        self.assertEqual(self.json("db", "status")["users"], 0)

    def test_json(self):
        made = self.json("db", "init")
        self.assertEqual(made["version"], made["supported"])
        self.assertEqual(made["store"], "sqlite:" + self.path("store.db"))
        self.assertEqual(self.json("db", "migrate")["applied"], 0)

    def test_a_folder_that_is_not_there(self):
        self.refused("db", "init", store="no/where.db")

    def test_the_database_of_another_program(self):
        for version in ("0", "1"):
            subprocess.run(["sqlite3", self.path(version + ".db"),
                            "CREATE TABLE bookmarks (x); PRAGMA user_version = " + version], check=True,
                           timeout=TIMEOUT)
            for words in (["db", "init"], ["db", "migrate"], ["db", "status"], ["user", "list"], ["seed"]):
                self.refused(*words, store=version + ".db", status=CONFIG, message="is another program's database")

    def test_a_schema_from_the_future(self):
        self.init()
        subprocess.run(["sqlite3", self.path("store.db"), "PRAGMA user_version = 9999"], check=True,
                       timeout=TIMEOUT)
        for words in (["db", "status"], ["user", "list"], ["db", "migrate"], ["db", "init"]):
            self.refused(*words, status=CONFIG, message="schema 9999 is newer")


class Users(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def add(self, name):
        return self.json("user", "add", name, name + "@example.com")

    def test_add_show_edit_list(self):
        anna = self.add("anna")
        self.assertEqual(set(anna), {"created_at", "email", "id", "username"})
        self.assertEqual((anna["id"], anna["email"]), (1, "anna@example.com"))
        self.assertEqual(self.json("user", "show", "1"), anna)
        self.assertIn("username:   anna\n", self.ctl("user", "show", "1"))
        changed = self.json("user", "edit", "1", "--email= new@example.com ")
        self.assertEqual(changed, {**anna, "email": "new@example.com"})
        changed = self.json("user", "edit", "1", "--username=zoe", "--email=zoe@example.com")
        self.assertEqual((changed["username"], changed["email"]), ("zoe", "zoe@example.com"))
        self.assertEqual(self.json("user", "list"), [changed])
        self.assertRegex(self.ctl("user", "list"), r"^ID  USERNAME +EMAIL +CREATED\n 1  zoe")

    def test_the_rules_of_the_api(self):
        self.add("anna")
        self.add("bert")
        long = "x" * 256
        for words, message in (
                (("add", " ", "a@example.com"), "username is required"),
                (("add", long, "a@example.com"), "username must be 255 characters or fewer"),
                (("add", "a\x01", "a@example.com"), "control characters"),
                (("add", "carl", ""), "email is required"),
                (("add", "carl", long + "@example.com"), "email must be 255 characters or fewer"),
                (("add", "carl", "carl"), "Invalid email format"),
                (("add", "anna", "anna@example.com"), "Username already exists"),
                (("add", "carl", "anna@example.com"), "Email already exists"),
                (("edit", "1", "--username="), "username cannot be empty"),
                (("edit", "1", "--email= "), "email cannot be empty"),
                (("edit", "1", "--username=" + long), "username must be 255 characters or fewer"),
                (("edit", "1", "--email=x@y"), "Invalid email format"),
                (("edit", "1", "--username=bert"), "Username or email already exists"),
                (("edit", "1", "--email=bert@example.com"), "Username or email already exists"),
                (("edit", "7", "--username=x"), "User not found"),
                (("show", "7"), "User not found"),
                (("show", "9223372036854775807"), "User not found"),
                (("delete", "7", "--yes"), "User not found")):
            with self.subTest(words):
                self.refused("user", *words, message=message)
        self.assertEqual(self.totals()[0], 2)

    def test_delete(self):
        self.add("anna")
        link = self.json("link", "add", "https://example.com/", "--user=1")
        self.refused("user", "delete", "1", status=USAGE, message="give --yes")
        self.assertEqual(self.ctl("user", "delete", "1", "--dry-run"),
                         "Would delete user 1 (anna); 1 URLs go on without an owner\n")
        self.assertEqual(self.totals()[0], 1)
        self.assertEqual(self.ctl("user", "delete", "1", "--yes"),
                         "Deleted user 1 (anna); 1 URLs go on without an owner\n")
        self.refused("user", "show", "1", message="User not found")
        self.assertEqual(self.json("link", "show", "1"), {**link, "user_id": None})

    def test_windows_of_a_list(self):
        self.ctl("import", "-", input=b"username,email\n" + b"".join(
            b"u%d,u%d@example.com\n" % (i, i) for i in range(1, 2301)))
        self.assertEqual(len(self.json("user", "list")), 100)
        self.assertEqual([user["id"] for user in self.json("user", "list", "--limit=3", "--after=7")],
                         [8, 9, 10])
        self.assertEqual([user["id"] for user in self.json("user", "list", "--limit=0")],
                         list(range(1, 2301)))
        self.assertEqual(len(self.ctl("user", "list", "--limit=0").split("\n")), 2302)
        self.assertEqual(self.json("user", "list", "--after=9999"), [])
        done = self.run_ctl("user", "list", "--limit=3")
        self.assertIn(b"--after=3", done.stderr)

    def test_asks_on_a_terminal(self):
        self.add("anna")
        for answer, status, left in ((b"n\n", FAILED, 1), (b"\n", FAILED, 1), (b"y\n", DONE, 0)):
            master, slave = pty.openpty()
            with subprocess.Popen(self.command("user", "delete", "1"), stdin=slave, stderr=slave,
                                  stdout=subprocess.DEVNULL, env=environment()) as process:
                os.close(slave)
                shown = b""
                while b"[y/N]" not in shown and select.select([master], [], [], TIMEOUT)[0]:
                    shown += os.read(master, 4096)
                self.assertIn(b"Delete user 1 (anna)? [y/N] ", shown)
                os.write(master, answer)
                self.assertEqual(process.wait(TIMEOUT), status)
            os.close(master)
            self.assertEqual(self.totals()[0], left)


class Links(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def events(self):
        return [(event["event_type"], event["details"]) for event in
                map(json.loads, self.ctl("export", "events", "--json").split("\n")[:-1])]

    def test_add(self):
        self.ctl("user", "add", "anna", "anna@example.com")
        link = self.json("link", "add", " HTTPS://Example.com/a b ".replace(" b", "?b"), "--user=1",
                         "--title= A title ")
        self.assertEqual(set(link), {"created_at", "id", "is_active", "original_url", "short_code",
                                     "title", "updated_at", "user_id"})
        self.assertEqual((link["original_url"], link["title"], link["user_id"], link["is_active"]),
                         ("HTTPS://Example.com/a?b", "A title", 1, True))
        self.assertRegex(link["short_code"], "^[0-9A-Za-z]{6}$")
        self.assertEqual(self.json("link", "show", link["short_code"]), link)
        self.assertEqual(self.json("link", "show", "code:" + link["short_code"]), link)
        self.assertEqual(self.events(), [("created", {"original_url": "HTTPS://Example.com/a?b",
                                                      "short_code": link["short_code"]})])
        self.assertEqual(self.json("link", "add", "http://ab", "--code=My_code-1")["short_code"],
                         "My_code-1")
        self.assertEqual(len(self.json("link", "add", "http://ab",
                                       "--set=Links.CodeLength=12")["short_code"]), 12)

    def test_the_rules_of_the_api(self):
        self.ctl("link", "add", "http://ab", "--code=taken")
        for words, message in (
                (("add", ""), "url is required"),
                (("add", "example.com"), "A valid HTTP or HTTPS URL is required"),
                (("add", "https://example.com/a b"), "A valid HTTP or HTTPS URL is required"),
                (("add", "http://ab", "--user=x"), "user_id must be an integer"),
                (("add", "http://ab", "--user=0"), "user_id must be a positive integer"),
                (("add", "http://ab", "--user=7"), "User not found"),
                (("add", "http://ab", "--title=" + "x" * 256), "title must be 255 characters or fewer"),
                (("add", "http://ab", "--code=taken"), "short_code already exists"),
                (("add", "http://ab", "--code=users"), "name of a route"),
                (("add", "http://ab", "--code=a/b"), "1 to 64 characters"),
                (("add", "http://ab", "--code="), "1 to 64 characters"),
                (("edit", "1", "--url="), "A valid HTTP or HTTPS URL is required"),
                (("edit", "1", "--url=x"), "A valid HTTP or HTTPS URL is required"),
                (("edit", "1", "--title=" + "x" * 256), "title must be 255 characters or fewer"),
                (("edit", "7", "--title=x"), "URL not found"),
                (("show", "nowhere"), "URL not found"),
                (("show", "id:7"), "URL not found"),
                (("show", "id:taken"), "URL not found"),
                (("show", "code:1"), "URL not found"),
                (("disable", "7"), "URL not found"),
                (("delete", "7", "--yes"), "URL not found")):
            with self.subTest(words):
                self.refused("link", *words, message=message)
        self.assertEqual(self.totals()[1:], (1, 1))

    def test_changes_leave_their_events(self):
        code = self.json("link", "add", "http://ab")["short_code"]
        self.ctl("link", "edit", code, "--title=T", "--url=http://cd")
        self.ctl("link", "edit", code, "--title=")
        self.ctl("link", "disable", code)
        self.assertFalse(self.json("link", "show", code)["is_active"])
        self.ctl("link", "enable", "1")
        self.assertEqual(self.ctl("link", "delete", code, "--yes"),
                         f"Deleted URL 1 ({code}); it redirects no more and stays listed\n")
        link = self.json("link", "show", "1")
        self.assertEqual((link["original_url"], link["title"], link["is_active"]),
                         ("http://cd", None, False))
        updated = [("updated", {"field": field, "new_value": value}) for field, value in
                   (("original_url", "http://cd"), ("title", "T"), ("title", "None"),
                    ("is_active", "False"), ("is_active", "True"))]
        self.assertEqual(self.events()[1:], updated + [("deleted", {"reason": "user_requested"})])

    def test_delete(self):
        self.ctl("link", "add", "http://ab", "--code=abc")
        self.refused("link", "delete", "abc", status=USAGE)
        self.assertIn("Would delete URL 1 (abc)", self.ctl("link", "delete", "abc", "--dry-run"))
        self.assertTrue(self.json("link", "delete", "abc", "--dry-run")["url"]["is_active"])
        self.assertFalse(self.json("link", "delete", "abc", "--yes")["url"]["is_active"])
        self.refused("link", "delete", "abc", "--yes", message="inactive already")

    def test_a_code_that_looks_like_an_id(self):
        self.ctl("link", "add", "http://ab", "--code=2")
        self.assertEqual(self.json("link", "show", "2")["id"], 1)
        self.ctl("link", "add", "http://cd", "--code=other")
        self.refused("link", "show", "2", message="write id:2 or code:2")
        self.assertEqual(self.json("link", "show", "id:2")["original_url"], "http://cd")
        self.assertEqual(self.json("link", "show", "code:2")["original_url"], "http://ab")

    def test_filters_of_the_list(self):
        self.seed_links()
        self.assertEqual([link["id"] for link in self.json("link", "list", "--user=1")], [1, 2])
        self.assertEqual([link["id"] for link in self.json("link", "list", "--inactive")], [2])
        self.assertEqual([link["id"] for link in self.json("link", "list", "--active", "--user=1")], [1])
        self.assertEqual(self.json("link", "list", "--user=99"), [])
        self.assertIn("http://ab/3", self.ctl("link", "list"))

    def seed_links(self):
        self.ctl("user", "add", "anna", "anna@example.com")
        for i in (1, 2):
            self.ctl("link", "add", f"http://ab/{i}", "--user=1")
        self.ctl("link", "add", "http://ab/3")
        self.ctl("link", "disable", "2")

    def test_stats(self):
        self.ctl("link", "add", "http://ab", "--code=abc")
        self.ctl("import", "-", input=b"url_id,event_type\n1,redirect\n1,redirect\n1,note\n")
        self.assertEqual(self.json("stats", "abc"),
                         {"redirect_count": 2, "url": self.json("link", "show", "1")})
        self.assertIn("redirects:  2\n", self.ctl("stats", "1"))
        self.refused("stats", "nowhere", message="URL not found")
        self.assertEqual(self.json("stats"), {"active_urls": 1, "events": 4, "redirects": 2, "urls": 1,
                                              "users": 0})


class Page(Case):
    def setUp(self):
        super().setUp()
        self.init()
        os.mkdir(self.path("run"))

    def test_changes_move_the_host_page(self):
        """An empty page is made whole; then each change of a redirect moves a counter in it."""
        self.write("run/page", b"")
        self.ctl("link", "add", "http://ab", "--code=abc")
        for words in (["edit", "abc", "--url=http://cd"], ["disable", "abc"], ["enable", "abc"],
                      ["delete", "abc", "--yes"]):
            before = self.read("run/page")
            self.ctl("link", *words)
            self.assertNotEqual(self.read("run/page"), before, words)

    def test_without_a_page_it_works(self):
        self.ctl("link", "add", "http://ab")
        self.assertEqual(os.listdir(self.path("run")), [])
        done = self.run_ctl("link", "add", "http://ab", "--set=Log.Level=debug")
        self.assertIn(b"no host page at", done.stderr)

    def test_a_page_that_cannot_be_mapped(self):
        os.mkdir(self.path("run/page"))
        self.refused("link", "add", "http://ab", message="run/page: the host page cannot be mapped")
        self.assertEqual(self.totals()[1], 0)


class Clicks(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def sql(self, text):
        subprocess.run(["sqlite3", self.path("store.db"), text], check=True, timeout=TIMEOUT)

    def test_verify(self):
        self.seed()
        self.assertIn("No visit was lost or counted twice.\n", self.ctl("clicks", "verify"))
        report = self.json("clicks", "verify")
        self.assertEqual((report["sound"], report["spools"], report["total_drift"]), (True, [], 0))

    def test_verify_finds_drift(self):
        self.seed()
        self.sql("UPDATE url_totals SET redirects = redirects + 1 WHERE url_id = 1435;"
                 "INSERT OR IGNORE INTO url_totals VALUES (1, 5);")
        done = self.run_ctl("clicks", "verify")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"DRIFT", done.stdout)
        done = self.run_ctl("clicks", "verify", "--json")
        self.assertEqual(done.returncode, FAILED)
        self.assertFalse(json.loads(done.stdout)["sound"])

    def test_status_and_ship_without_instances(self):
        self.assertEqual(self.json("clicks", "status"), {"instances": [], "spools": []})
        self.assertIn("SPOOL", self.ctl("clicks", "status"))
        self.refused("clicks", "ship", message="no instance has run here")

    def test_adopt(self):
        self.refused("clicks", "adopt", self.path("nowhere"), message="nowhere: No such file")
        self.refused("clicks", "adopt", self.path("store.db"), message="Not a directory")
        os.mkdir(self.path("spool"))
        self.write("spool/ship.lock", b"")  # all that was in it is shipped and gone
        self.assertEqual(self.json("clicks", "adopt", self.path("spool")),
                         {"bad": 0, "damaged": 0, "shipped": 0})

    def test_adopt_makes_nothing_where_no_spool_is(self):
        os.mkdir(self.path("other"))
        for names in ([], ["lock", "notes.seg", "0190c2a0-0000-7000-8000-000000000000.old"]):
            for name in names:
                self.write("other/" + name, b"")
            self.refused("clicks", "adopt", self.path("other"), status=USAGE,
                         message="this is no spool, it has no file UUID.NUMBER.seg: name the folder")
            self.assertEqual(sorted(os.listdir(self.path("other"))), sorted(names))


class Doctor(Case):
    def parts(self, **options):
        done = self.run_ctl("doctor", "--json", **options)
        return done.returncode, {part["part"]: part for part in json.loads(done.stdout)}

    def test_nothing_is_there(self):
        status, parts = self.parts()
        self.assertEqual(status, FAILED)
        self.assertTrue(parts["configuration"]["up"])
        self.assertFalse(parts["store"]["up"])
        self.assertIn("shortenerctl db init", parts["store"]["text"])
        self.assertFalse(parts["host page"]["up"])

    def test_a_store_without_instances(self):
        self.init()
        os.mkdir(self.path("run"))
        self.write("run/page", b"")
        status, parts = self.parts()
        self.assertEqual(status, FAILED)
        self.assertTrue(parts["store"]["up"] and parts["host page"]["up"])
        self.assertNotIn("sessions", parts)  # a file has room for all
        self.assertIn("none is running", parts["instances"]["text"])
        self.assertRegex(self.ctl("doctor", status=FAILED), r"\ninstances +DOWN +none is running")

    def test_a_bad_configuration(self):
        done = self.run_ctl("doctor", "--set=Store.Colour=red")
        self.assertEqual(done.returncode, CONFIG)
        self.assertRegex(done.stdout, rb"^configuration  DOWN  .*Colour")

    @unittest.skipUnless(HAS_NAMESPACE, "no mount namespace: neither root nor a user namespace")
    def test_a_typo_in_the_number_of_instances(self):
        """The host's own file, which is another one in a namespace of the test."""
        script = 'mount -t tmpfs none /etc/default && cp "$1" /etc/default/shortener && shift && exec "$@"'
        for text, problem in (("INSTANCES=3", None), ("INSTANCES=3x", "INSTANCES=3x: not a number from 0 to 32")):
            command = ["unshare", "-rm", "sh", "-c", script, "sh", self.write("defaults", text + "\n"), *self.command("doctor")]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=environment())
            self.assertEqual((done.returncode, done.stderr), (FAILED, ""))  # no store, no instances
            if problem:
                self.assertRegex(done.stdout, "(?m)^number of instances +DOWN +/etc/default/shortener: " + problem)
            else:
                self.assertNotIn("number of instances", done.stdout)

    @unittest.skipUnless(HAS_NAMESPACE, "no mount namespace: neither root nor a user namespace")
    def test_the_rest_of_the_stack(self):
        """Units of the host, which a program of the test stands in for: what is enabled is to be active."""
        states = (("nginx", "active", "enabled"), ("prometheus", "inactive", "enabled"), ("prometheus-alertmanager", "failed", "disabled"),
                  ("prometheus-node-exporter", "inactive", "disabled"), ("prometheus-redis-exporter", "inactive", ""),
                  ("shortener-alertd", "activating", "enabled"))
        os.mkdir(self.path("bin"))
        self.write("units", "\n".join(f"Id={name}.service\nActiveState={state}\nUnitFileState={file}\n" for name, state, file in states))
        self.write("bin/systemctl", f'#!/bin/sh\n[ "$1" = show ] && exec cat {self.path("units")}\n')
        os.chmod(self.path("bin/systemctl"), 0o755)
        script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && PATH="$1:$PATH" && shift && exec "$@"'
        program, *words = self.command("doctor", "--json")
        words = [word for word in words if not word.startswith("--store=")]
        env = {**environment(), "SHORTENER_STORE_URL": "sqlite:" + self.path("store.db")}

        def parts(*more):
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.path("bin"), program, *words, *more],
                                  capture_output=True, text=True, check=False, timeout=TIMEOUT, env=env)
            self.assertEqual((done.returncode, done.stderr), (FAILED, ""))
            return {part["part"]: (part["up"], part["text"]) for part in json.loads(done.stdout)}
        found = parts()
        self.assertEqual({name: found.get(name) for name, _, _ in states}, {
            "nginx": (True, "active"), "prometheus": (False, "inactive: systemctl status prometheus.service"),
            "prometheus-alertmanager": (False, "failed: systemctl status prometheus-alertmanager.service"),
            "prometheus-node-exporter": None, "prometheus-redis-exporter": None,
            "shortener-alertd": (False, "activating: systemctl status shortener-alertd.service")})
        # Another store than the host's has nothing to do with its units.
        self.assertNotIn("nginx", parts("--store=sqlite:" + self.path("other.db")))
        self.write("bin/systemctl", "#!/bin/sh\nexit 1\n")
        self.assertFalse(parts()["units"][0])

    def test_passwords_are_not_shown(self):
        for url, shown in (("postgresql://u:SECRET@127.0.0.1:1/x?password=SECRET", "u:***@127.0.0.1:1/x?password=***"),
                           ("postgresql://u:SECRET@127.0.0.1:1/x?nonsense=1", "u:***@127.0.0.1:1/x?nonsense=1"),
                           ("postgresql:/u?password=SECRET", "postgresql:/u?password=***")):
            done = self.run_ctl("doctor", "--store=" + url)
            self.assertIn(shown.encode(), done.stdout)
            self.assertNotIn(b"SECRET", done.stdout + done.stderr)
        done = self.run_ctl("doctor", "--set=Cache.Redis=redis://:SECRET@127.0.0.1")
        self.assertEqual(done.returncode, CONFIG)
        self.assertNotIn(b"SECRET", done.stdout + done.stderr)

    def test_a_store_that_is_none(self):
        self.write("store.db", b"nonsense " * 1000)
        status, parts = self.parts()
        self.assertEqual(status, FAILED)
        self.assertFalse(parts["store"]["up"])


if __name__ == "__main__":
    main()
