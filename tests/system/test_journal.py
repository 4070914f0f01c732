# SPDX-License-Identifier: MIT
"""What the journal has of us, and that requests do not wait for it."""

import json
import re
import time

import packages
from machine import wait_for
from stage import Check
from traffic import Traffic


class Journal(Check):
    def entries(self, *options):
        self.machine.run("journalctl --sync")
        return [json.loads(line) for line in self.machine.journal("-o", "json", *options).splitlines()]

    def test_messages_have_catalog_entries(self):
        """Each id that our units have logged here, and each that the catalog's source has."""
        seen = {e["MESSAGE_ID"] for e in self.entries("-u", "shortener@*", "_COMM=shortenerd") if "MESSAGE_ID" in e}
        self.assertTrue(seen)
        text = (packages.TREE / "systemd/shortener.catalog").read_text(encoding="utf-8")
        known = set(re.findall(r"^-- ([0-9a-f]{32})$", text, re.MULTILINE))
        self.assertLessEqual(seen, known)
        for name in known:
            entry = self.machine.out(["journalctl", "--no-pager", "--dump-catalog", name])
            self.assertIn("Subject:", entry)

    def test_entry_of_a_request(self):
        self.answer("/urls/1", "-H", "X-Request-Id: journal-1", "-H", "User-Agent: journal")
        entry = self.entries("SHORTENER_REQUEST_ID=journal-1")[0]
        self.assertEqual(entry["SHORTENER_METHOD"], "GET")
        self.assertEqual(entry["SHORTENER_ROUTE"], "urls.get_url")
        self.assertEqual(entry["SHORTENER_STATUS"], "200")
        self.assertEqual(entry["SHORTENER_USER_AGENT"], "journal")
        self.assertEqual(entry["SHORTENER_REMOTE_ADDR"], "127.0.0.1")
        self.assertEqual(entry["SHORTENER_URL_ID"], "1")
        self.assertIn(entry["SHORTENER_INSTANCE"], ("1", "2", "3"))
        self.assertEqual(entry["PRIORITY"], "6")
        self.assertGreater(int(entry["SHORTENER_DURATION_USEC"]), 0)

    def test_redirects_are_not_logged(self):
        code = self.codes(1)[0]
        self.answer(f"/{code}", "-H", "X-Request-Id: journal-2")
        self.answer("/urls/1", "-H", "X-Request-Id: journal-3")
        wait_for(lambda: self.entries("SHORTENER_REQUEST_ID=journal-3"), 10, "the later entry")
        self.assertEqual(self.entries("SHORTENER_REQUEST_ID=journal-2"), [])

    def test_failures_are_found_by_status(self):
        """A store that answers with an error that no client caused: 500, and the journal has it."""
        self.machine.run("runuser -u shortener -- psql -Xqd shortener -c 'ALTER TABLE users RENAME TO users_away'")
        try:
            status = self.answer("/users/1", "-H", "X-Request-Id: journal-500")[0]
        finally:
            self.machine.run("runuser -u shortener -- psql -Xqd shortener -c 'ALTER TABLE users_away RENAME TO users'")
        self.assertEqual(status, 500)
        found = self.entries("-u", "shortener@*", "SHORTENER_STATUS=500")
        self.assertIn("journal-500", {e["SHORTENER_REQUEST_ID"] for e in found})
        self.assertEqual({e["SHORTENER_STATUS"] for e in found}, {"500"})
        wait_for(lambda: self.answer("/users/1")[0] == 200, 10, "users to be back")

    def test_stopped_journald_stops_no_request(self):
        pid = self.machine.property("systemd-journald.service", "MainPID")
        self.machine.run(f"kill -STOP {pid}")
        try:
            with Traffic(self.machine, self.codes(), visitors=16, writers=16) as traffic:
                traffic.go_on(5)
        finally:
            self.machine.run(f"kill -CONT {pid}")
        self.assertEqual(traffic.failed()[:5], [])
        self.assertGreater(len(traffic.good("post")), 200)
        self.assertLess(traffic.longest(), 3.0)
        begin = time.monotonic()
        self.answer("/urls/1", "-H", "X-Request-Id: journal-4")
        wait_for(lambda: self.entries("SHORTENER_REQUEST_ID=journal-4"), 20, "the journal to go on")
        self.assertLess(time.monotonic() - begin, 20)
