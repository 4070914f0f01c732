#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Behind PgBouncer, which gives each transaction another connection (pool_mode=transaction, Prepared=no), to a
database whose defaults are hostile: what was answered is kept by a crash, writers of one row wait for each
other, and nothing stays in connections that others get next."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pgfaults
import postgres

WRITERS = 8
DEFAULTS = {"synchronous_commit": "off", "default_transaction_isolation": "serializable",
            "idle_in_transaction_session_timeout": "0", "plan_cache_mode": "auto", "jit": "on"}
# What a row was committed under.
WATCH = """CREATE TABLE seen (what text, synchronous text, isolation text, idle text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'), current_setting('transaction_isolation'),
        current_setting('idle_in_transaction_session_timeout'));
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT ON urls FOR EACH STATEMENT EXECUTE FUNCTION see();
CREATE TRIGGER see AFTER UPDATE ON spool_offset FOR EACH STATEMENT EXECUTE FUNCTION see()"""


@unittest.skipUnless(shutil.which("pgbouncer", path="/usr/sbin:/usr/bin"), "pgbouncer is not installed")
class Pooler(unittest.TestCase):
    def setUp(self):
        self.server = postgres.Postgres(settings=DEFAULTS)
        self.addCleanup(self.server.close)
        self.server.create(pgfaults.NAME)
        self.server.psql(WATCH, pgfaults.NAME)
        self.bouncer = postgres.PgBouncer(self.server, "transaction")
        self.addCleanup(self.bouncer.close)
        url = self.server.url(pgfaults.NAME, host=self.bouncer.folder, port=5432)
        self.service = pgfaults.Service(self.server, [f"Server.Workers={WRITERS}", "Store.Prepared=no"], url)
        self.addCleanup(self.service.close)
        self.one = self.service.start()

    def write(self, _):
        return [self.one.post("/urls", {"url": "https://example.com/x"}).status for _ in range(20)]

    def settings_of_one(self, _):
        """By way of the pooler, each of them by a connection that others do not have meanwhile."""
        done = subprocess.run([postgres.program("psql"), "-X", "-A", "-t", "-h", self.bouncer.folder, "-p", "5432", "-U",
                               "postgres", "-d", pgfaults.NAME, "-c",
                               "SELECT setting FROM pg_settings, pg_sleep(0.5) WHERE name = ANY"
                               f" ('{{{','.join(DEFAULTS)}}}') ORDER BY name"],
                              capture_output=True, text=True, timeout=60 * harness.SLOW, check=True)
        return tuple(done.stdout.split())

    def test_hostile_defaults(self):
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as threads:
            statuses = [status for each in threads.map(self.write, range(WRITERS)) for status in each]
            self.assertEqual(self.one.get("/" + self.one.create()["short_code"]).status, 302)
            faults.wait_shipped(self.one)
            left = set(threads.map(self.settings_of_one, range(WRITERS)))
        self.assertEqual(statuses, [201] * WRITERS * 20)
        self.assertEqual(self.server.psql("SELECT DISTINCT what, synchronous, isolation, idle FROM seen ORDER BY 1", pgfaults.NAME),
                         "spool_offset|on|read committed|15s\nurls|on|read committed|15s")
        self.assertEqual(left, {tuple(DEFAULTS[name] for name in sorted(DEFAULTS))})


if __name__ == "__main__":
    harness.main()
