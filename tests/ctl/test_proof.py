#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The SQL statements of shortenerctl(1) that prove that each visit is stored once, as they stand there,
on stores that are complete and on stores that are not."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres

VISITS = 25


def statement(table):
    """The one of the manual that reads this table."""
    with open(os.path.join(harness.ROOT, "man", "shortenerctl.1")) as file:
        found = [text for text in re.findall(r"^\.Bd [^\n]*\n(.*?)^\.Ed$", file.read(), re.M | re.S)
                 if f"FROM {table} AS s" in text]
    assert len(found) == 1 and found[0].count(";") == 1, found
    return found[0]


class Proof:
    """What is the same for both stores."""

    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        self.service.url = self.make_store()
        instances = [self.service.start("1"), self.service.start("2")]
        code = instances[0].create()["short_code"]
        for instance in instances:
            for _ in range(VISITS):
                self.assertEqual(instance.get("/" + code).status, 302)
        answer = instances[0].get("/urls/1/stats")  # waits for them
        self.assertEqual(answer.json["redirect_count"], 2 * VISITS)
        for instance in instances:
            instance.stop()

    def proof(self):
        """(visits, shed, bad, damaged, unaccounted, missing, repeated) of each spool."""
        rows = [line.split("|") for line in self.sql(statement(self.TABLE)).split("\n") if line]
        return [tuple(map(int, row[1:])) for row in rows]

    def sound(self):
        return self.service.ctl("clicks", "verify", check=False).returncode == 0

    def broken(self, sql, *expected):
        """After this one spool's last columns are these; clicks verify sees it too."""
        self.sql(sql)
        self.assertEqual(self.proof(), [(VISITS, 0, 0, 0, 0, 0, 0), expected])
        self.assertFalse(self.sound())

    def test_complete(self):
        self.assertEqual(self.proof(), [(VISITS, 0, 0, 0, 0, 0, 0)] * 2)
        self.assertTrue(self.sound())

    def test_a_visit_is_removed(self):
        self.broken("DELETE FROM events WHERE spool = 2 AND seq = (SELECT max(seq) FROM events WHERE spool = 2);",
                    VISITS, 0, 0, 0, 0, 1, 0)

    def test_all_of_a_spool_are_removed(self):
        self.broken("DELETE FROM events WHERE spool = 2;", VISITS, 0, 0, 0, 0, VISITS, 0)

    def test_a_visit_is_there_twice(self):
        self.broken(self.COPY, VISITS, 0, 0, 0, 0, 0, 1)

    def test_one_is_removed_and_another_there_twice(self):
        """The counts alone would not tell."""
        self.broken("DELETE FROM events WHERE spool = 2 AND seq = (SELECT max(seq) FROM events WHERE spool = 2);"
                    + self.COPY, VISITS, 0, 0, 0, 0, 1, 1)

    def test_a_number_that_was_never_given_out(self):
        self.sql("UPDATE events SET seq = seq + 1000 WHERE spool = 2"
                 " AND seq = (SELECT max(seq) FROM events WHERE spool = 2);")
        self.assertEqual(self.proof()[1], (VISITS, 0, 0, 0, 0, 1, 1))

    def test_a_position_that_went_too_far(self):
        self.broken(f"UPDATE {self.TABLE} SET next_seq = next_seq + 3 WHERE id = 2;", VISITS + 3, 0, 0, 0, 3, 0, 0)


class Sqlite(Proof, unittest.TestCase):
    TABLE = "spools"
    COPY = ("INSERT INTO events (url_id, type, timestamp, spool, seq) SELECT url_id, type, timestamp, spool, seq"
            " FROM events WHERE spool = 2 ORDER BY seq LIMIT 1;")

    def make_store(self):
        return self.service.url

    def sql(self, text):
        return subprocess.run(["sqlite3", self.service.database], input=text, check=True, capture_output=True,
                              text=True, timeout=60 * harness.SLOW).stdout


class Postgres(Proof, unittest.TestCase):
    TABLE = "spool_offset"
    COPY = ("INSERT INTO events (url_id, type, timestamp, day, spool, seq)"
            " SELECT url_id, type, timestamp, day, spool, seq FROM events WHERE spool = 2 ORDER BY seq LIMIT 1;")

    def make_store(self):
        self.url = postgres.shared().new_url()
        return self.url

    def sql(self, text):
        return postgres.shared().psql(text, re.match("postgresql:///([^?]+)", self.url).group(1))

    def test_old_visits_are_dropped(self):
        def expired():
            self.assertEqual(self.proof(), [(VISITS, 0, 0, 0, 0, 0, 0)] * 2)  # after each step
            self.assertTrue(self.sound())
            return self.sql("SELECT events_expire(current_date + 2)") == ""

        harness.wait_for(expired, 60, "all visits to be dropped")
        self.assertEqual(self.sql("SELECT count(*) FROM events WHERE type = 1"), "0")
        self.assertEqual(self.proof(), [(VISITS, 0, 0, 0, 0, 0, 0)] * 2)


if __name__ == "__main__":
    harness.main()
