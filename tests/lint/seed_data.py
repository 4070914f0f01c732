#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""seed_data/ is what it is said to be, and its generator makes it again.

usage: seed_data.py SOURCE_DIRECTORY
"""

import collections
import csv
import datetime
import filecmp
import ipaddress
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

SOURCE = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else \
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(SOURCE, "seed_data")

COLUMNS = {
    "users": ["id", "username", "email", "created_at"],
    "urls": ["id", "user_id", "short_code", "original_url", "title", "is_active", "created_at",
             "updated_at"],
    "events": ["id", "url_id", "user_id", "event_type", "timestamp", "details"],
}
DOCUMENTATION_NETWORKS = [ipaddress.ip_network(n) for n in (
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
RESERVED_HOST = re.compile(r"(.+\.)?example\.(com|net|org)$")


def read(name):
    with open(os.path.join(FOLDER, name + ".csv"), encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    if rows[0] != COLUMNS[name]:
        raise AssertionError("%s.csv: columns %s" % (name, rows[0]))
    return [dict(zip(rows[0], row)) for row in rows[1:]]


def moment(text):
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text):
        raise AssertionError("not a time: " + text)
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


class SeedData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.users, cls.urls, cls.events = read("users"), read("urls"), read("events")
        cls.url_of = {url["id"]: url for url in cls.urls}

    def between(self, moments, first, last):
        self.assertEqual(str(min(moments).date()), first)
        self.assertEqual(str(max(moments).date()), last)

    def test_generator_makes_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, os.path.join(FOLDER, "generate.py"), folder], check=True)
            for name in COLUMNS:
                self.assertTrue(filecmp.cmp(os.path.join(folder, name + ".csv"),
                                            os.path.join(FOLDER, name + ".csv"), shallow=False), name)

    def test_bytes(self):
        for name in COLUMNS:
            with open(os.path.join(FOLDER, name + ".csv"), "rb") as file:
                data = file.read()
            self.assertTrue(data.isascii(), name)
            self.assertNotIn(b"\r", data)
            self.assertTrue(data.endswith(b"\n") and not data.endswith(b"\n\n"), name)

    def test_counts_and_ids(self):
        for rows, n in ((self.users, 400), (self.urls, 2000), (self.events, 3422)):
            self.assertEqual([row["id"] for row in rows], [str(i + 1) for i in range(n)])

    def test_users(self):
        self.assertEqual(len({user["username"].lower() for user in self.users}), 400)
        domains = set()
        for user in self.users:
            self.assertRegex(user["username"], r"^[a-z]{4,}\d\d$")
            name, domain = user["email"].split("@")
            self.assertEqual(name, user["username"])
            self.assertRegex(domain, RESERVED_HOST)
            domains.add(domain)
        self.assertEqual(len(domains), 6)
        self.between([moment(user["created_at"]) for user in self.users], "2024-01-02", "2026-01-30")

    def test_url_owners(self):
        owned = collections.Counter(url["user_id"] for url in self.urls)
        self.assertEqual(len(owned), 399)
        self.assertLessEqual(set(owned), {user["id"] for user in self.users})
        self.assertEqual((min(owned.values()), max(owned.values())), (1, 12))

    def test_url_codes(self):
        codes = [url["short_code"] for url in self.urls]
        self.assertEqual(len({code.lower() for code in codes}), 2000)
        for code in codes:
            self.assertRegex(code, r"^[A-Za-z0-9]{6}$")
            self.assertNotIn(code.lower(), ("health", "events"))
        self.assertEqual(len(set("".join(codes))), 62)

    def test_url_texts(self):
        for url in self.urls:
            target = urllib.parse.urlsplit(url["original_url"])
            self.assertEqual(target.scheme, "https")
            self.assertRegex(target.hostname, RESERVED_HOST)
            self.assertEqual(len(url["title"].split(" ")), 3)

    def test_url_state_and_times(self):
        states = collections.Counter(url["is_active"] for url in self.urls)
        self.assertEqual(states, {"True": 1647, "False": 353})
        joined = {user["id"]: moment(user["created_at"]) for user in self.users}
        ages = []
        for url in self.urls:
            created, updated = moment(url["created_at"]), moment(url["updated_at"])
            self.assertGreater(updated, created)
            self.assertGreater(created, joined[url["user_id"]])
            ages.append((updated - created).total_seconds() / 86400)
        self.between([moment(url["created_at"]) for url in self.urls], "2025-01-01", "2026-02-20")
        self.assertTrue(68 <= statistics.median(ages) <= 76, statistics.median(ages))

    def test_event_counts_and_order(self):
        kinds = collections.Counter(event["event_type"] for event in self.events)
        self.assertEqual(kinds, {"created": 2000, "redirect": 700, "updated": 540, "deleted": 182})
        times = [event["timestamp"] for event in self.events]
        self.assertEqual(times, sorted(times))
        for event in self.events:
            self.assertEqual(event["user_id"], self.url_of[event["url_id"]]["user_id"])
            self.assertGreaterEqual(event["timestamp"], self.url_of[event["url_id"]]["created_at"])

    def test_details_are_canonical(self):
        for event in self.events:
            details = json.loads(event["details"])
            self.assertEqual(event["details"],
                             json.dumps(details, sort_keys=True, separators=(",", ":")))

    def test_created(self):
        created = [event for event in self.events if event["event_type"] == "created"]
        self.assertEqual(len({event["url_id"] for event in created}), 2000)
        for event in created:
            url = self.url_of[event["url_id"]]
            self.assertEqual(event["timestamp"], url["created_at"])
            details = json.loads(event["details"])
            self.assertEqual(set(details), {"original_url", "short_code"})
            self.assertEqual(details["short_code"], url["short_code"])

    def test_deleted(self):
        reasons = set()
        for event in self.events:
            if event["event_type"] == "deleted":
                self.assertEqual(self.url_of[event["url_id"]]["is_active"], "False")
                details = json.loads(event["details"])
                self.assertEqual(set(details), {"reason"})
                reasons.add(details["reason"])
        self.assertEqual(reasons, {"user_requested", "policy_cleanup", "duplicate", "expired"})

    def test_links_are_what_their_events_left(self):
        last, changed, deleted = {}, {}, set()
        for event in self.events:
            details = json.loads(event["details"])
            if event["event_type"] == "created":
                last[event["url_id"]] = {"original_url": details["original_url"], "is_active": "True"}
            elif event["event_type"] == "updated":
                self.assertEqual(set(details), {"field", "new_value"})
                self.assertIn(details["field"], ("is_active", "original_url", "title"))
                last[event["url_id"]][details["field"]] = details["new_value"]
                changed[event["url_id"]] = event["timestamp"]
            elif event["event_type"] == "deleted":
                self.assertNotIn(event["url_id"], deleted)
                deleted.add(event["url_id"])
                last[event["url_id"]]["is_active"] = "False"
                changed[event["url_id"]] = event["timestamp"]
            else:
                self.assertEqual(last[event["url_id"]]["is_active"], "True", event)
        for number, fields in last.items():
            for field, value in fields.items():
                self.assertEqual(self.url_of[number][field], value)
        for number, timestamp in changed.items():
            self.assertEqual(self.url_of[number]["updated_at"], timestamp)

    def test_visits(self):
        visits = collections.Counter()
        agents = set()
        for event in self.events:
            if event["event_type"] == "redirect":
                details = json.loads(event["details"])
                self.assertLessEqual({"ip", "user_agent"}, set(details))
                self.assertLessEqual(set(details), {"ip", "user_agent", "referrer"})
                address = ipaddress.ip_address(details["ip"])
                self.assertTrue(any(address in network for network in DOCUMENTATION_NETWORKS), address)
                self.assertEqual(str(address), details["ip"])
                agents.add(details["user_agent"])
                visits[event["url_id"]] += 1
        counts = sorted(visits.values(), reverse=True)
        self.assertGreaterEqual(sum(counts[:10]), 700 // 6)   # a few popular links
        self.assertGreaterEqual(len(counts), 250)             # and a long tail
        self.assertTrue(any(agent.startswith("Mozilla/5.0 (Windows") for agent in agents))
        self.assertTrue(any("Bot" in agent for agent in agents))

    def test_no_foreign_names(self):
        for name in COLUMNS:
            with open(os.path.join(FOLDER, name + ".csv"), encoding="ascii") as file:
                for host in re.findall(r"(?:https?://|@)([A-Za-z0-9.-]+)", file.read()):
                    self.assertRegex(host, RESERVED_HOST)


if __name__ == "__main__":
    unittest.main()
