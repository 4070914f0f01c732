#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The SQL statements of shortenerctl(1) that prove that each visit is stored once, as they stand there,
on stores that are complete and on stores that are not."""

import glob
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


class Migrated(unittest.TestCase):
    """A store of version 4 with a day that was detached there and not settled."""

    MAKE = """
INSERT INTO urls (id, code, target, is_active, created, updated) VALUES (1, 'a', 'http://a.example/', true, 1, 1);
INSERT INTO spool_offset (spool, first_seq, next_seq, rows) VALUES (gen_random_uuid(), 1, 101, 100);
CREATE TABLE events_20200101 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
INSERT INTO events (url_id, timestamp, seq, type, spool, day)
    SELECT 1, 1577836800, i, 1, 1, '2020-01-01' FROM generate_series(1, 100) AS i;
INSERT INTO events (url_id, timestamp, type, day) VALUES (1, 1577836800, 2, '2020-01-01');
INSERT INTO url_totals VALUES (1, 100);
INSERT INTO url_hours VALUES (1, 438288, 100);
UPDATE totals SET urls = 1, active_urls = 1, events = 101, redirects = 100 WHERE slot = 0;
ALTER TABLE events DETACH PARTITION events_20200101;
"""

    def test_a_day_that_was_detached(self):
        server = postgres.shared()
        server.create("version4", schema=False)
        server.psql("CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL,"
                    " applied timestamptz NOT NULL DEFAULT now())", "version4")
        for path in sorted(glob.glob(os.path.join(harness.ROOT, "src", "store", "schema", "postgres", "000[1-4]-*.sql"))):
            version, name = os.path.basename(path)[:-4].split("-", 1)
            with open(path) as file:
                server.psql(file.read(), "version4")
            server.psql(f"INSERT INTO schema_versions VALUES ({int(version)}, '{name}')", "version4")
        server.psql(self.MAKE, "version4")
        service = harness.Service()
        self.addCleanup(service.close)
        service.url = server.url("version4")
        service.ctl("db", "migrate")
        service.ctl("clicks", "verify")
        self.assertEqual(server.psql("SELECT count(*) FROM events", "version4"), "1")
        harness.wait_for(lambda: server.psql("SELECT events_expire('2021-01-01')", "version4") == "", 60,
                         "the day to be dropped")
        service.ctl("clicks", "verify")
        self.assertEqual(server.psql("SELECT to_regclass('events_20200101') IS NULL", "version4"), "t")
        self.assertEqual(server.psql("SELECT dropped FROM spool_offset", "version4"), "100")


if __name__ == "__main__":
    harness.main()
