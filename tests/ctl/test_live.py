#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl beside running instances: what it changes is seen at once, and what they record it
shows, ships and proves."""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness


class Live(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        self.one = self.service.start("1")
        self.two = self.service.start("2")

    def ctl(self, *words, **options):
        return json.loads(self.service.ctl("--json", *words, **options).stdout)

    def location(self, instance, code):
        answer = instance.get("/" + code)
        return answer.headers["Location"] if answer.status == 302 else answer.status

    def test_edits_are_seen_at_once(self):
        for i in range(30):
            code = f"code{i}"
            for instance in (self.one, self.two):  # remembered as unknown
                self.assertEqual(self.location(instance, code), 404)
            self.ctl("link", "add", "https://example.com/a", "--code=" + code)
            for words, expected in ((None, "https://example.com/a"),
                                    (("edit", code, f"--url=https://example.com/{i}"),
                                     f"https://example.com/{i}"),
                                    (("disable", code), 404),
                                    (("enable", code), f"https://example.com/{i}"),
                                    (("delete", code, "--yes"), 404)):
                if words:
                    self.ctl("link", *words)
                for instance in (self.one, self.two):
                    self.assertEqual(self.location(instance, code), expected, words)

    def test_a_seed_replaces_what_is_cached(self):
        seed = os.path.join(harness.ROOT, "seed_data")
        self.ctl("seed", seed)
        link = next(link for link in self.ctl("link", "list") if link["is_active"])
        self.ctl("link", "edit", str(link["id"]), "--url=https://example.com/changed")
        for instance in (self.one, self.two):
            self.assertEqual(self.location(instance, link["short_code"]), "https://example.com/changed")
        self.service.ctl("seed", "--force", seed)
        for instance in (self.one, self.two):
            self.assertEqual(self.location(instance, link["short_code"]), link["original_url"])

    def test_stats_have_the_visits_before(self):
        code = self.ctl("link", "add", "https://example.com/")["short_code"]
        for n in range(1, 21):
            self.assertEqual((self.one if n % 2 else self.two).get("/" + code).status, 302)
            self.assertEqual(self.ctl("stats", code)["redirect_count"], n)

    def test_closed_outputs(self):
        """What is printed must not get into the host page because that has a closed output's number."""
        page = os.path.join(self.service.runtime, "page")
        command = [harness.CTL, "--config=" + self.service.config, "--store=" + self.service.url,
                   "--set=Server.RuntimeDirectory=" + self.service.runtime, "link", "add", "https://example.com/"]
        for closing, words, status in ((">&-", [], 1), ("2>&-", ["--user=77777"], 1), ("<&- 2>&-", [], 0)):
            with open(page, "rb") as file:
                before = file.read(16)
            done = harness.subprocess.run(["sh", "-c", f'"$@" {closing}', "sh", *command, *words], check=False,
                                          timeout=60 * harness.SLOW, stdout=harness.subprocess.PIPE)
            self.assertEqual(done.returncode, status, closing)
            with open(page, "rb") as file:
                self.assertEqual(file.read(16), before, closing)
        self.assertEqual(self.one.restart().get("/ready").status, 200)

    def test_doctor_and_status_while_all_is_well(self):
        code = self.ctl("link", "add", "https://example.com/")["short_code"]
        for _ in range(5):
            self.one.get("/" + code)
        parts = self.ctl("doctor")
        self.assertTrue(all(part["up"] for part in parts), parts)
        names = [part["part"] for part in parts]
        for name in ("configuration", "store", "host page", "instance 1", "instance 2", "spool 1",
                     "spool 2"):
            self.assertIn(name, names)
        self.ctl("stats")  # waits for the visits
        instances = {i["name"]: i for i in self.ctl("clicks", "status")["instances"]}
        self.assertEqual((instances["1"]["appended"], instances["1"]["pending"]), (5, 0))
        self.assertEqual(instances["1"]["directory"], self.one.spool)

    def test_a_frozen_instance_is_down(self):
        self.one.signal(harness.signal.SIGSTOP)

        def frozen():
            done = self.service.ctl("doctor", "--json", check=False)
            return done.returncode == 1 and "no heartbeat for" in done.stdout
        harness.wait_for(frozen, 30, "doctor to see it")
        self.one.signal(harness.signal.SIGCONT)

    def kill_all(self):
        """With visits that nobody has shipped: the store is held while they come."""
        with self.one.hears_more(), self.two.hears_more():
            code = self.ctl("link", "add", "https://example.com/")["short_code"]
        for instance in (self.one, self.two):
            self.assertEqual(instance.get("/" + code).status, 302)
        self.ctl("stats")
        with harness.held(self.service):
            for _ in range(25):
                for instance in (self.one, self.two):
                    self.assertEqual(instance.get("/" + code).status, 302)
            for instance in (self.one, self.two):
                instance.kill()
        self.assertEqual(self.ctl("stats", code)["redirect_count"], 2)
        return code

    def test_ship_brings_in_what_dead_instances_left(self):
        code = self.kill_all()
        done = self.service.ctl("doctor", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "instance 1 +DOWN +not running, 25 visits wait: .*clicks ship")
        self.assertEqual(self.ctl("clicks", "ship"), {"bad": 0, "damaged": 0, "shipped": 50})
        self.assertEqual(self.ctl("stats", code)["redirect_count"], 52)
        self.assertEqual(self.ctl("clicks", "ship")["shipped"], 0)
        report = self.ctl("clicks", "verify")
        self.assertEqual((report["sound"], report["rows"], len(report["spools"])), (True, 52, 2))
        self.assertIn("No visit was lost or counted twice.", self.service.ctl("clicks", "verify").stdout)
        self.one.start()
        self.assertEqual(self.one.get("/" + code).status, 302)
        self.assertEqual(self.ctl("stats", code)["redirect_count"], 53)
        self.assertTrue(self.ctl("clicks", "verify")["sound"])

    def test_adopt_brings_in_a_folder_from_elsewhere(self):
        code = self.kill_all()
        copy = os.path.join(self.service.folder, "copy")
        shutil.copytree(self.one.spool, copy)
        self.assertEqual(self.ctl("clicks", "adopt", copy)["shipped"], 25)
        self.assertEqual(self.ctl("clicks", "adopt", copy)["shipped"], 0)
        self.assertEqual(self.ctl("clicks", "adopt", self.one.spool)["shipped"], 0)
        self.assertEqual(self.ctl("stats", code)["redirect_count"], 27)

    def test_adopt_leaves_a_live_instance_alone(self):
        done = self.service.ctl("clicks", "adopt", self.one.spool, check=False)
        self.assertEqual(done.returncode, 75)
        self.assertIn("a process writes there", done.stderr)
        self.assertEqual(self.ctl("clicks", "ship")["shipped"], 0)

    def test_round_trip(self):
        """Export, import into an empty store, export: byte for byte the same, in both formats."""
        self.service.seed()
        self.ctl("link", "edit", "5", "--title=Käse, \"gut\"")
        self.ctl("user", "delete", "--yes", "7")
        for form in ("csv", "jsonl"):
            other = harness.store_url(os.path.join(self.service.folder, form + ".db"))
            self.service.ctl("--store=" + other, "db", "init")
            for kind in ("users", "urls", "events"):
                path = os.path.join(self.service.folder, f"{kind}.{form}")
                self.service.ctl("export", kind, "--format=" + form, "--output=" + path)
                self.service.ctl("--store=" + other, "import", path)
                again = self.service.ctl("--store=" + other, "export", kind, "--format=" + form).stdout
                with open(path) as file:
                    self.assertEqual(again, file.read(), (form, kind))
            self.assertTrue(json.loads(self.service.ctl("--store=" + other, "--json", "clicks", "verify").stdout)["sound"])

    def test_an_import_beside_clients(self):
        """Their writes go first; all rows arrive, and each write is answered."""
        path = os.path.join(self.service.folder, "u.csv")
        with open(path, "w") as file:
            file.write("username,email\n" + "".join(f"u{i},u{i}@example.com\n" for i in range(30000)))
        command = [harness.CTL, "--config=" + self.service.config, "--store=" + self.service.url,
                   "--set=Server.RuntimeDirectory=" + self.service.runtime, "import", path]
        n = 0
        with harness.subprocess.Popen(command, stdout=harness.subprocess.PIPE) as process:
            while process.poll() is None:
                self.assertEqual(self.one.post("/urls", {"url": "https://example.com/"}).status, 201)
                n += 1
            self.assertTrue(process.stdout.read().startswith(b"Imported 30000 users"))
        self.assertEqual(process.returncode, 0)
        totals = self.ctl("stats")
        self.assertEqual((totals["users"], totals["urls"]), (30000, n))
        self.assertTrue(self.ctl("clicks", "verify")["sound"])


if __name__ == "__main__":
    harness.main()
